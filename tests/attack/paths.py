"""The runtime's paths: what is interrupted, and how it is told afterwards that all is well."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.runtime import pool

THREAD_SECONDS = 60.0


def nothing() -> None:
    pass


@dataclass(frozen=True)
class Path:
    """``act()`` is what is attacked; ``check()`` raises AssertionError unless it works as it should. ``ready()`` comes before."""

    act: Callable[[], Any]
    check: Callable[[], None]
    ready: Callable[[], None] = nothing


def _arrays(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def layers(x: Any, w: Any) -> Any:
    """Two products with a barrier between: an arena, scratch, several threads."""
    return (lnp.tanh(x @ w) @ w).sum(0), x[:3] * 2


X, W = _arrays((160, 96), (96, 96))
OTHER, = _arrays((80, 96))


def same(found: Any, wanted: Any) -> None:
    for a, b in zip(leptonc.tree.leaves(found), leptonc.tree.leaves(wanted), strict=True):
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes(), "other bits"


def call() -> Path:
    f = leptonc.jit(layers)
    wanted = f(X, W)
    return Path(lambda: same(f(X, W), wanted), lambda: same(f(X, W), wanted))


def call_the_long_way() -> Path:
    """Arguments that have to be converted."""
    f = leptonc.jit(layers)
    turned, wanted = np.asfortranarray(X), f(X, W)
    return Path(lambda: same(f(turned, W), wanted), lambda: same(f(X, W), wanted))


def call_in_new_memory() -> Path:
    f = leptonc.jit(layers)
    wanted = f(X, W)
    executable = f.compiled_for(X, W).executable.executable
    return Path(lambda: same(f(X, W), wanted), lambda: same(f(X, W), wanted), executable.rest)


def shapes() -> Path:
    """Two signatures in turns."""
    f = leptonc.jit(layers)
    wanted, other = f(X, W), f(OTHER, W)

    def act() -> None:
        same(f(X, W), wanted)
        same(f(OTHER, W), other)

    return Path(act, act)


def donate() -> Path:
    """A step that is cut short has been made or not; it is never half made."""
    step = leptonc.jit(lambda p, x: {"w": p["w"] - 0.5 * (x.T @ (x @ p["w"])) / 1e3, "n": p["n"] + 1}, donate_argnums=0)

    def fresh() -> dict[str, np.ndarray]:
        return {"w": W.copy(), "n": np.zeros((), np.int64)}

    states = [fresh()]
    for _ in range(4):
        states.append(leptonc.tree.map(np.copy, step(leptonc.tree.map(np.copy, states[-1]), X)))
    held: list[dict[str, np.ndarray]] = []

    def ready() -> None:
        held[:] = [fresh()]

    def act() -> None:
        step(held[0], X)

    def check() -> None:
        if not held:
            ready()
        made = int(held[0]["n"])
        same(held[0], states[made])
        held[0] = step(held[0], X)
        same(held[0], states[made + 1])
        ready()

    return Path(act, check, ready)


def threads() -> Path:
    """The number of threads changes; the frame is built anew."""
    f = leptonc.jit(layers)
    wanted = f(X, W)

    def act() -> None:
        for n in (2, 3, 1):
            leptonc.set_num_threads(n)
            same(f(X, W), wanted)

    def check() -> None:
        for n in (2, 1, 3):
            leptonc.set_num_threads(n)
            same(f(X, W), wanted)

    return Path(act, check)


def first_threads() -> Path:
    """The pool begins, and its threads."""
    f = leptonc.jit(layers)
    wanted = f(X, W)

    def forget() -> None:
        pool._pool = None

    return Path(lambda: same(f(X, W), wanted), lambda: same(f(X, W), wanted), forget)


def scan(reverse: bool = False, swapped: bool = False) -> Path:
    xs, = _arrays((60, 96))

    def body(carry: Any, x: Any) -> Any:
        a, b = carry
        a, b = lnp.tanh(a @ W * 0.1 + x), b + a
        return ((b, a) if swapped else (a, b)), a.sum()

    init = (np.zeros(96, np.float32), np.ones(96, np.float32))
    wanted = lax.scan(body, init, xs, reverse=reverse)

    def act() -> None:
        same(lax.scan(body, init, xs, reverse=reverse), wanted)

    return Path(act, act)


def scan_turned() -> Path:
    return scan(reverse=True, swapped=True)


def freeze() -> Path:
    predict = leptonc.freeze(lambda w, x: layers(x, w), W)
    wanted = predict(X)
    return Path(lambda: same(predict(X), wanted), lambda: same(predict(X), wanted))


def compile_anew() -> Path:
    """A new function: traced, optimized, compiled, loaded, run."""
    wanted = leptonc.jit(layers)(X, W)
    made = [leptonc.jit(layers)]

    def ready() -> None:
        made[0] = leptonc.jit(layers)

    def check() -> None:
        same(made[0](X, W), wanted)  # that which was cut short
        assert not leptonc.trace.tracing()

    return Path(lambda: same(made[0](X, W), wanted), check, ready)


def _cached(act: Callable[[], Any], check: Callable[[], None], keep: bool) -> Path:
    """With the disk cache on, in a directory of its own."""
    os.environ["LEPTONC_CACHE"] = "1"
    os.environ["LEPTONC_CACHE_DIR"] = directory = tempfile.mkdtemp()

    def ready() -> None:
        if not keep:
            shutil.rmtree(directory, ignore_errors=True)

    return Path(act, check, ready)


def load() -> Path:
    """Found in the cache."""
    path = compile_anew()
    return _cached(lambda: (path.ready(), path.act()), path.check, True)


def store() -> Path:
    path = compile_anew()
    return _cached(lambda: (path.ready(), path.act()), path.check, False)


PATHS: dict[str, Callable[[], Path]] = {f.__name__: f for f in (
    call, call_the_long_way, call_in_new_memory, shapes, donate, threads, first_threads, scan, scan_turned, freeze, load, store,
    compile_anew)}


def check_everywhere(path: Path) -> None:
    """In this thread, and in another: one of them may find locked what the other does not."""
    path.check()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            path.check()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(THREAD_SECONDS)
    assert not thread.is_alive(), "another thread waits for ever"
    if failed:
        raise failed[0]
