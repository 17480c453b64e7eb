"""A table of compositions: transformation of transformation of control flow of control flow, against JAX's.

    python -m tests.peers.control_table [--share 0.1] [--seed 0]

A construct makes of a step ``h -> h`` another one that repeats or chooses it; a program is a construct of a construct. Each cell of
the table is a program under transformations. Where JAX raises, leptonc must.
"""

from __future__ import annotations

import argparse
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.errors import LeptonError

N, B = 3, 2
RNG = np.random.default_rng(17)
H, W = RNG.standard_normal(N), 0.5 * RNG.standard_normal((N, N))
HS, WS = RNG.standard_normal((B, N)), 0.5 * RNG.standard_normal((B, N, N))
NAMES = ("vmap", "grad", "jvp", "jit", "checkpoint", "jacfwd")
OURS = SimpleNamespace(np=lnp, lax=lax, **{n: getattr(leptonc, n) for n in NAMES})
THEIRS = SimpleNamespace(np=jnp, lax=jax.lax, **{n: getattr(jax, n) for n in NAMES})

Step = Callable[[Any], Any]


def cell(m: Any, w: Any) -> Step:
    return lambda h: m.np.tanh(w @ h) * 1.5 + 0.1


def scan(m: Any, w: Any, step: Step) -> Step:
    def run(h: Any) -> Any:
        xs = m.np.stack([h, h * 0.5, -h, w[0]])
        (last, total), ys = m.lax.scan(lambda c, x: ((step(c[0]) + x, c[1] + m.np.sum(x)), c[0] * x), (h, 0.0 * h[0]), xs)
        return last + total + ys[1] + ys[-1]

    return run


def reversed_scan(m: Any, w: Any, step: Step) -> Step:
    def run(h: Any) -> Any:
        (a, b, n), ys = m.lax.scan(lambda c, x: ((c[1], step(c[0]) * x, c[2] + 1), (c[0], x * c[2])), (h, w[1], 0),
                                   w[:, 0], reverse=True)
        return a * 0.5 + b + ys[0][0] * ys[1][2] + n

    return run


def fori(m: Any, w: Any, step: Step) -> Step:
    return lambda h: m.lax.fori_loop(0, 3, lambda i, c: step(c) + 0.1 * i * h, h)


def traced_fori(m: Any, w: Any, step: Step) -> Step:
    return lambda h: m.lax.fori_loop(0, m.np.where(h[0] > 0, 1, 3), lambda i, c: step(c) + 0.1 * i * w[0], h)


def while_(m: Any, w: Any, step: Step) -> Step:
    def run(h: Any) -> Any:
        return m.lax.while_loop(lambda s: (s[0] < 4) & (m.np.sum(s[1] * s[1]) < 20),
                                lambda s: (s[0] + 1, step(s[1]) + 0.7 * s[1] + h), (0, w[2]))[1]

    return run


def cond(m: Any, w: Any, step: Step) -> Step:
    return lambda h: m.lax.cond(h[0] + h[1] > 0.3, lambda h: step(h) * 2.0, lambda h: m.np.sin(h) * w[0], h)


def switch(m: Any, w: Any, step: Step) -> Step:
    def run(h: Any) -> Any:
        index = m.np.floor(h[0] * 3).astype(np.int32)
        return m.lax.switch(index, [step, lambda h: h * h, lambda h: m.np.ones(N), lambda h: w @ step(h)], h)

    return run


def map_(m: Any, w: Any, step: Step) -> Step:
    return lambda h: m.np.sum(m.lax.map(lambda row: step(row + h), w), 0) * 0.3


def associative(m: Any, w: Any, step: Step) -> Step:
    def run(h: Any) -> Any:
        a, b = m.lax.associative_scan(lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1]), (w, m.np.sin(w)))
        return step(h) + m.np.sum(a * b, 0)

    return run


CONSTRUCTS = {"scan": scan, "reversed": reversed_scan, "fori": fori, "traced fori": traced_fori, "while": while_, "cond": cond,
              "switch": switch, "map": map_, "associative": associative}


def program(outer: str, inner: str, m: Any) -> Callable[[Any, Any], Any]:
    def run(h: Any, w: Any) -> Any:
        step = cell(m, w)
        return CONSTRUCTS[outer](m, w, CONSTRUCTS[inner](m, w, step) if inner else step)(h)

    return run


def scalar(f: Any, m: Any) -> Any:
    return lambda h, w: m.np.sum(m.np.sin(f(h, w)))


def tangent(f: Any, m: Any) -> Any:
    return lambda h, w: m.jvp(f, (h, w), (m.np.cos(h), m.np.sin(w)))


Transformation = Callable[[Any, Any], Any]
ONE: dict[str, Transformation] = {
    "jit": lambda f, m: m.jit(f),
    "grad": lambda f, m: m.grad(scalar(f, m), (0, 1)),
    "jvp": tangent,
    "vmap h": lambda f, m: lambda h, w: m.vmap(f, (0, None))(HS + h, w),
    "vmap w": lambda f, m: lambda h, w: m.vmap(f, (None, 2))(h, WS.transpose(1, 2, 0) + w[:, :, None]),
    "vmap hw": lambda f, m: lambda h, w: m.vmap(f)(HS + h, WS + w),
}


def total(f: Any, m: Any) -> Any:
    """The sum of all that f gives, as a function a gradient can be taken of."""
    def run(h: Any, w: Any) -> Any:
        return sum(m.np.sum(m.np.sin(x)) for x in jax.tree_util.tree_leaves(f(h, w)))

    return run


def gradient_of_all(f: Any, m: Any) -> Any:
    return m.grad(total(f, m), (0, 1))


def composed(around: Transformation, within: Transformation) -> Transformation:
    return lambda f, m: around(within(f, m), m)


def transformations() -> dict[str, Transformation]:
    """One, and two deep; the outer one first."""
    found: dict[str, Transformation] = dict(ONE)
    for outer, around in ONE.items():
        for inner, within in ONE.items():
            if inner != "jit":
                found[f"{outer} of {inner}"] = composed(gradient_of_all if outer == "grad" else around, within)
    found["grad of checkpoint"] = lambda f, m: m.grad(scalar(m.checkpoint(f), m), (0, 1))
    found["checkpoint of grad"] = lambda f, m: m.checkpoint(m.grad(scalar(f, m)))
    found["jacfwd"] = lambda f, m: m.jacfwd(f, 1)
    return found


TRANSFORMATIONS = transformations()


def cells() -> Iterator[tuple[str, str, str]]:
    for outer in CONSTRUCTS:
        for inner in ("", *CONSTRUCTS):
            for transformation in TRANSFORMATIONS:
                yield transformation, outer, inner


def share(fraction: float, seed: int) -> list[tuple[str, str, str]]:
    """A part of the table, the same for the same seed."""
    return [c for c in cells() if zlib.crc32(f"{seed} {c}".encode()) < fraction * 2 ** 32]


def outcome(m: Any, at: tuple[str, str, str], mode: Any, error: Any) -> Any:
    """The leaves of the result, or None where the program has no derivative."""
    transformation, outer, inner = at
    try:
        transformed = TRANSFORMATIONS[transformation](program(outer, inner, m), m)
        return [np.asarray(x) for x in jax.tree_util.tree_leaves(mode(transformed)(H, W))]
    except error as found:
        if "reverse" not in str(found).lower():
            raise
        return None


def check(at: tuple[str, str, str]) -> str:
    """Compares; says whether it was equal, or without a derivative in both."""
    wanted = outcome(THEIRS, at, jax.jit, ValueError)
    for mode in (lambda f: f, leptonc.jit):
        found = outcome(OURS, at, mode, LeptonError)
        assert (found is None) == (wanted is None), f"{at}: one of them has no derivative: {found} {wanted}"
        for got, leaf in zip(found or [], wanted or [], strict=True):
            assert got.shape == leaf.shape and got.dtype.kind == leaf.dtype.kind, at
            np.testing.assert_allclose(got, leaf, rtol=1e-8, atol=1e-9, err_msg=str(at))
    return "no derivative in reverse mode" if wanted is None else "equal"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--share", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    jax.config.update("jax_enable_x64", True)
    counts: Counter[str] = Counter()
    for at in share(args.share, args.seed):
        try:
            counts[check(at)] += 1
        except Exception as e:  # what is wrong is listed, and the table goes on
            counts["wrong"] += 1
            print(at, type(e).__name__, str(e)[:300].replace("\n", " "), flush=True)
    print(dict(counts))


if __name__ == "__main__":
    main()
