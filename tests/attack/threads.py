"""Eight threads that compile and run, each with numbers of its own: the same bits as alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from tests.attack.paths import layers, same
from tests.attack.process import Attempt, Count, run

THREADS = 8
SIZES = range(16, 96, 8)


def programs() -> list[tuple[Callable[..., Any], Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]]]:
    """(function, its arguments from a generator and a size)."""
    def matrix(rng: np.random.Generator, n: int) -> np.ndarray:
        return rng.standard_normal((n, n)).astype(np.float32)

    def add(carry: Any, row: Any) -> Any:
        return carry + row, row.sum()

    def summed(x: Any) -> Any:
        return lax.scan(add, np.zeros(x.shape[1:], np.float32), x)

    return [
        (leptonc.jit(layers), lambda rng, n: (matrix(rng, n), matrix(rng, n))),
        (leptonc.jit(lambda p, x: p - 0.1 * (x @ p), donate_argnums=0), lambda rng, n: (matrix(rng, n), matrix(rng, n))),
        (leptonc.jit(leptonc.grad(lambda x: lnp.sum(lnp.tanh(x @ x)))), lambda rng, n: (matrix(rng, n),)),
        (summed, lambda rng, n: (matrix(rng, n),)),
    ]


def at_once(calls: str) -> Attempt:
    """Each attempt: threads that make so many calls each, of signatures that most of them meet at the same time."""
    leptonc.set_num_threads(2)

    def attempt(seed: int) -> str:
        made = programs()
        references = programs()
        wrong: list[BaseException] = []

        def work(number: int) -> None:
            rng = np.random.default_rng([seed, number])
            try:
                for n in range(int(calls)):
                    which, size = int(rng.integers(len(made))), int(rng.choice(SIZES))
                    f, arguments = made[which]
                    if n % 100 == 99:
                        f = programs()[which][0]  # a function of this thread's own
                    given = arguments(rng, size)
                    wanted = references[which][0](*map(np.copy, given))
                    same(f(*map(np.copy, given)), wanted)
                    if n % 50 == 0:
                        leptonc.set_num_threads(1 + n // 50 % 3)
            except BaseException as error:
                wrong.append(error)

        workers = [threading.Thread(target=work, args=(n,)) for n in range(THREADS)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if wrong:
            raise wrong[0]
        return "right"

    return attempt


def attacks(calls: int = 1000) -> Iterator[tuple[str, Count]]:
    yield f"{THREADS} threads x {calls} calls", run("threads", "at_once", range(-(-calls // 100)), str(min(calls, 100)))
