"""No memory: the n-th allocation of a path fails. A MemoryError, or none where it can do without; the next call works."""

from __future__ import annotations

import contextlib
import mmap
import resource
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import leptonc
from leptonc import numpy as lnp
from tests.attack.paths import PATHS, W, X, check_everywhere, layers, same
from tests.attack.process import Attempt, Count, run

ALLOCATING = ("empty", "zeros", "ones", "array", "ascontiguousarray", "frombuffer", "stack", "arange", "copy", "full")


class Refusing:
    """While entered, counts what NumPy and ``mmap`` are asked for, and refuses request number ``at``."""

    def __init__(self, at: int = -1):
        self.at, self.asked = at, 0
        self._saved: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Refusing:
        for name in ALLOCATING:
            self._replace(np, name, MemoryError)
        self._replace(mmap, "mmap", OSError)
        return self

    def __exit__(self, *exc: object) -> None:
        for owner, name, value in self._saved:
            setattr(owner, name, value)

    def _replace(self, owner: Any, name: str, error: type[Exception]) -> None:
        wanted = getattr(owner, name)
        self._saved.append((owner, name, wanted))

        def refusing(*args: Any, **kwargs: Any) -> Any:
            self.asked += 1
            if self.asked - 1 == self.at:
                raise error(12, "Cannot allocate memory") if error is OSError else error("refused")
            return wanted(*args, **kwargs)

        setattr(owner, name, refusing)


def refused(name: str) -> Attempt:
    leptonc.set_num_threads(2)
    path = PATHS[name]()
    path.check()

    def attempt(number: int) -> str:
        path.ready()
        with Refusing(number) as requests:
            try:
                path.act()
                outcome = "done without" if requests.asked > number else "past the end"
            except MemoryError:
                outcome = "MemoryError"
        check_everywhere(path)
        return outcome

    return attempt


def total(name: str) -> Attempt:
    leptonc.set_num_threads(2)
    path = PATHS[name]()

    def attempt(number: int) -> str:
        path.ready()
        with Refusing() as requests:
            path.act()
        return str(requests.asked)

    return attempt


@contextlib.contextmanager
def limited(nbytes: int) -> Iterator[None]:
    """The process can have so many bytes more of address space."""
    with open("/proc/self/statm", encoding="ascii") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def for_real() -> Attempt:
    """Intermediates, results or copies of arguments that the system has no room for; then a small call of the same function."""
    leptonc.set_num_threads(2)
    large: list[tuple[Callable[..., Any], tuple[int, ...]]] = [
        (lambda x: lnp.tanh(x @ x.T).sum(), (3000, 4)),  # an arena
        (lambda x: x[:, None] * x[None, :], (6000,)),  # a result
        (lambda x: lnp.sum(lnp.flip(x) + x), (1 << 24,)),
    ]

    def attempt(number: int) -> str:
        f, shape = large[number % len(large)]
        jitted = leptonc.jit(f)
        x, small = np.ones(shape, np.float32), np.ones(tuple(min(n, 6) for n in shape), np.float32)
        wanted = jitted(small)
        if number % 2:
            jitted.compiled_for(x)
        outcome = "enough"
        for _ in range(2):
            with limited((number % 5) << 22):
                try:
                    jitted(x)
                except MemoryError:
                    outcome = "MemoryError"
                except leptonc.errors.LeptonError as error:
                    assert "memory" in str(error).lower(), error  # LLVM had none
                    outcome = "LeptonError"
                same(jitted(small), wanted)
        jitted(x)
        same(leptonc.jit(layers)(X, W), leptonc.jit(layers)(X, W))
        return outcome

    return attempt


def attacks(every: int = 1) -> Iterator[tuple[str, Count]]:
    for name in PATHS:
        (found,) = run("memory", "total", range(1), name).outcomes
        stride = 3 * every if name in ("load", "store", "compile_anew") else every
        yield f"allocations of {name}", run("memory", "refused", range(0, int(found), stride), name)
    yield "an address space that is full", run("memory", "for_real", range(0, 30, every))
