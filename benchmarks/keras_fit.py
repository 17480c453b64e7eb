"""``fit`` of Keras on leptonc against Keras on its other backends, in one interleaved run.

    python benchmarks/keras_fit.py [--rounds 5] [--cases program lenet text dcgan resnet20 transformer]
                                   [--backends leptonc tensorflow jax torch] [--python BACKEND=INTERPRETER ...]

One process for each backend that is installed; they take turns of one epoch. Prints a Markdown table: median milliseconds of a
batch, how many times faster leptonc is, and the loss of the first epoch, from the same weights and data. For leptonc also the
bare step on batches that lie ready, and what Python costs per batch of LeNet at batch 1 (time of ``fit`` less that of the bare
step).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from statistics import median

from keras_models import CASES, compiled

BACKENDS = ("leptonc", "tensorflow", "jax", "torch")
PAUSE = 2.0  # seconds before a turn: threads of the one before may go on for as long as that


def worker(backend: str, case: str) -> None:
    """Says the loss of the first epoch; then answers lines "fit" and "bare" by milliseconds per batch."""
    if backend == "leptonc":
        import leptonc.keras as keras
    else:
        import keras
    batch, batches = CASES[case][2:]
    model, x, y = compiled(case, keras)
    loss = model.fit(x, y, batch_size=batch, epochs=1, verbose=0, shuffle=False).history["loss"][0]
    model.fit(x, y, batch_size=batch, epochs=1, verbose=0)
    ready = [(x[n:n + batch].copy(), y[n:n + batch].copy()) for n in range(0, len(x), batch)]

    def fit() -> None:
        model.fit(x, y, batch_size=batch, epochs=1, verbose=0)

    def bare() -> None:
        for data in ready:
            model.train_function(data)

    print("loss", loss, flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        {"fit": fit, "bare": bare}[line.strip()]()
        print("ms", (time.perf_counter() - start) * 1e3 / batches, flush=True)


class Peer:
    """A worker process."""

    def __init__(self, backend: str, case: str, python: str):
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.backend = backend
        self.times: list[float] = []
        self._process = subprocess.Popen([python, __file__, "--worker", backend, case], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        self.loss = self._number("loss")  # None where the backend is not installed, or could not run the case

    def _number(self, name: str) -> float | None:
        """The next line of this name; a backend may print others."""
        assert self._process.stdout is not None
        lines = (line.split() for line in self._process.stdout)
        return next((float(words[1]) for words in lines if words[:1] == [name]), None)

    def run(self, what: str) -> float:
        time.sleep(PAUSE)
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        found = self._number("ms")
        if found is None:
            raise RuntimeError(f"the worker of {self.backend} ended")
        return found

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def measure(case: str, backends: list[str], pythons: dict[str, str], rounds: int) -> None:
    peers = [peer for peer in (Peer(b, case, pythons.get(b, sys.executable)) for b in backends) if peer.loss is not None]
    bare: list[float] = []
    for turn in range(rounds):
        for peer in peers if turn % 2 == 0 else peers[::-1]:
            peer.times.append(peer.run("fit"))
            if peer.backend == "leptonc":
                bare.append(peer.run("bare"))
    own = median(next(peer.times for peer in peers if peer.backend == "leptonc"))
    for peer in peers:
        took = median(peer.times)
        print(f"| {case} | {peer.backend} | {took:.3f} | {took / own:.2f} | {peer.loss:.6f} |", flush=True)
        peer.end()
    print(f"| {case} | leptonc, bare step | {median(bare):.3f} | {median(bare) / own:.2f} | |", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--worker"]:
        return worker(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--python", action="append", default=[], metavar="BACKEND=INTERPRETER")
    options = parser.parse_args()
    pythons = dict(entry.split("=", 1) for entry in options.python)
    print("| case | Keras on | ms a batch | times leptonc's | loss of the first epoch |\n|---|---|---|---|---|")
    for case in options.cases:
        backends = ["leptonc"] if case == "lenet-b1" else options.backends
        measure(case, backends, pythons, options.rounds)
    return None


if __name__ == "__main__":
    main()
