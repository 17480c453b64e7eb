"""``fit`` of Keras on leptonc against Keras on its other backends, in one interleaved run.

    python benchmarks/keras_fit.py [--rounds 5] [--cases program lenet] [--backends leptonc tensorflow jax torch]
                                   [--python BACKEND=INTERPRETER ...]

One process for each backend that is installed; they take turns of one epoch. Prints a Markdown table: median milliseconds of a
batch, and how many times faster leptonc is. For leptonc also the bare step on batches that lie ready, and what Python costs per
batch of LeNet at batch 1 (time of ``fit`` less that of the bare step).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from statistics import median
from typing import Any

BACKENDS = ("leptonc", "tensorflow", "jax", "torch")
PAUSE = 0.5  # seconds before a turn: threads of the one before may spin as long as that
CASES = {"program": (224, 32, 8), "lenet": (28, 32, 60), "lenet-b1": (28, 1, 1000)}  # size of a picture, batch, batches in an epoch


def program(keras: Any) -> Any:
    """The network of examples/keras_faces.py."""
    layers = keras.layers
    return keras.Sequential([
        keras.Input((224, 224, 3)), layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(128, activation="relu"),
        layers.Dense(2, activation="softmax")])


def lenet(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential([
        keras.Input((28, 28, 1)), layers.Conv2D(6, 5, padding="same", activation="relu"), layers.MaxPooling2D(2),
        layers.Conv2D(16, 5, activation="relu"), layers.MaxPooling2D(2), layers.Flatten(), layers.Dense(120, activation="relu"),
        layers.Dense(84, activation="relu"), layers.Dense(10, activation="softmax")])


def worker(backend: str, case: str) -> None:
    """Answers lines "fit" and "bare" by JSON with milliseconds per batch."""
    import numpy as np

    size, batch, batches = CASES[case]
    if backend == "leptonc":
        import leptonc.keras as keras
    else:
        import keras
    keras.utils.set_random_seed(0)
    model = program(keras) if case == "program" else lenet(keras)
    channels, classes = model.input_shape[-1], model.output_shape[-1]
    rng = np.random.default_rng(0)
    x = rng.random((batch * batches, size, size, channels), dtype=np.float32)
    y = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, len(x))]
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, batch_size=batch, epochs=2, verbose=0)
    ready = [(x[n:n + batch].copy(), y[n:n + batch].copy()) for n in range(0, len(x), batch)]

    def fit() -> None:
        model.fit(x, y, batch_size=batch, epochs=1, verbose=0)

    def bare() -> None:
        for data in ready:
            model.train_function(data)

    print("ready", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        {"fit": fit, "bare": bare}[line.strip()]()
        print(json.dumps((time.perf_counter() - start) * 1e3 / batches), flush=True)


class Peer:
    """A worker process."""

    def __init__(self, backend: str, case: str, python: str):
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.backend = backend
        self.times: list[float] = []
        self._process = subprocess.Popen([python, __file__, "--worker", backend, case], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
        self.is_there = self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == "ready" or line[0].isdigit():
                return line.strip()
        return ""

    def run(self, what: str) -> float:
        time.sleep(PAUSE)
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return float(self._line())

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


def measure(case: str, backends: list[str], pythons: dict[str, str], rounds: int) -> None:
    peers = [peer for peer in (Peer(b, case, pythons.get(b, sys.executable)) for b in backends) if peer.is_there]
    bare: list[float] = []
    for turn in range(rounds):
        for peer in peers if turn % 2 == 0 else peers[::-1]:
            peer.times.append(peer.run("fit"))
            if peer.backend == "leptonc":
                bare.append(peer.run("bare"))
    own = median(next(peer.times for peer in peers if peer.backend == "leptonc"))
    for peer in peers:
        print(f"| {case} | {peer.backend} | {median(peer.times):.3f} | {median(peer.times) / own:.2f} |", flush=True)
        peer.end()
    print(f"| {case} | leptonc, bare step | {median(bare):.3f} | {median(bare) / own:.2f} |", flush=True)


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
    print("| case | Keras on | ms a batch | times leptonc's |\n|---|---|---|---|")
    for case in options.cases:
        backends = ["leptonc"] if case == "lenet-b1" else options.backends
        measure(case, backends, pythons, options.rounds)
    return None


if __name__ == "__main__":
    main()
