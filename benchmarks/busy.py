"""Training steps beside other busy processes: how leptonc runs them against one thread, in the same minute.

``python benchmarks/busy.py [rounds]`` prints a Markdown table: median milliseconds of a step as leptonc chooses its threads, of one
thread, and their ratio, beside 0, 2, 6 and 12 processes of three kinds: pure loops, matrix products in another library's spinning
thread pool (NumPy's BLAS), and processes that live for a few milliseconds. Turns of the two alternate, two seconds each.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import numpy as np

import leptonc
from leptonc import nn, optim
from leptonc import numpy as lnp
from leptonc.bench.systems import find_case, make

SECONDS = 2.0  # of one turn
KINDS = {
    "loops": "while True: pass",
    "spinning": "import numpy as np\na = np.ones((200, 200), 'f4')\nwhile True: a @ a",
    "short-lived": "import subprocess\nwhile True: subprocess.run(['true'])",
}
COUNTS = (2, 6, 12)
PARENT_GONE = """
import os, threading, time
parent = os.getppid()
def watch():
    while os.getppid() == parent: time.sleep(0.2)
    os._exit(0)
threading.Thread(target=watch, daemon=True).start()
"""


@contextmanager
def load(kind: str, count: int) -> Iterator[None]:
    """So many busy processes; none is left behind, even if this one is killed."""
    processes = [subprocess.Popen([sys.executable, "-c", PARENT_GONE + KINDS[kind]]) for _ in range(count)]
    try:
        time.sleep(1.0)
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def lstm(batch: int = 32, steps: int = 16, features: int = 64, units: int = 128, classes: int = 10) -> Callable[[], object]:
    """A step of training an LSTM: many short kernels."""
    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return (rng.standard_normal(shape) * 0.1).astype(np.float32)

    params: Any = [normal(features, 4 * units), normal(units, 4 * units), normal(4 * units), normal(units, classes)]
    x, y = normal(batch, steps, features), rng.integers(0, classes, batch)
    optimizer = optim.adam(1e-3)

    def loss(params: Any, x: Any, y: Any) -> Any:
        h = c = lnp.zeros((batch, units), np.float32)
        for t in range(steps):
            i, f, g, o = lnp.split(x[:, t] @ params[0] + h @ params[1] + params[2], 4, axis=1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * lnp.tanh(g)
            h = nn.sigmoid(o) * lnp.tanh(c)
        return nn.cross_entropy(h @ params[3], y)

    @leptonc.jit
    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, grads = leptonc.value_and_grad(loss)(params, x, y)
        updates, state = optimizer.update(grads, state, params)
        return optim.apply_updates(params, updates), state, value

    state = optimizer.init(params)
    return lambda: step(params, state, x, y)


MODELS: dict[str, Callable[[], Callable[[], object]]] = {
    "lstm": lstm,
    "mlp": lambda: make("leptonc", "compiled", find_case("mlp")),
    "lenet-28": lambda: make("leptonc", "compiled", find_case("lenet-28")),
}


def turn(run: Callable[[], object], threads: int | None) -> list[float]:
    """Seconds of each call in one turn."""
    leptonc.set_num_threads(threads)
    seconds, stop = [], time.perf_counter() + SECONDS
    while time.perf_counter() < stop:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return seconds


def measure(chosen: Callable[[], object], alone: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Median seconds of a call, as leptonc chooses and on one thread."""
    for run, threads in ((chosen, None), (alone, 1)):
        turn(run, threads)
    turns = [(turn(chosen, None), turn(alone, 1)) for _ in range(rounds)]
    return median(s for t, _ in turns for s in t), median(s for _, t in turns for s in t)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 2
    models = {name: (make_model(), make_model()) for name, make_model in MODELS.items()}
    print("| processes | model | chosen ms | one thread ms | ratio |\n|---|---|---|---|---|")
    for kind, count in [("loops", 0), *((kind, count) for kind in KINDS for count in COUNTS)]:
        with load(kind, count):
            for name, (chosen, alone) in models.items():
                a, b = measure(chosen, alone, rounds)
                print(f"| {count} {kind} | {name} | {a * 1e3:.2f} | {b * 1e3:.2f} | {a / b:.2f} |", flush=True)


if __name__ == "__main__":
    main()
