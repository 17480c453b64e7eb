"""Programs in JAX's spelling that are run by JAX and by leptonc: plain, under jit and op by op.

    python -m tests.peers.odd [NAME ...] [--f32]

A program takes the module, ``jax`` or ``leptonc``, and gives a tree of arrays. ``odd_loops.py``,
``odd_rules.py`` and ``odd_training.py`` hold them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import leptonc
from leptonc.errors import LeptonError

F = np.float32 if "--f32" in sys.argv else np.float64
RNG = np.random.default_rng(5)
A = (RNG.standard_normal((4, 4)) * 0.5).astype(F)
X = RNG.standard_normal((6, 4)).astype(F)
V = RNG.standard_normal(4).astype(F)
W = (RNG.standard_normal((4, 4)) * 0.4).astype(F)
TOLERANCES = {"float64": 1e-9, "complex128": 1e-9, "float32": 1e-4, "complex64": 1e-4}

Program = Callable[[Any], Any]
PROGRAMS: dict[str, Program] = {}


def program(f: Program) -> Program:
    PROGRAMS[f.__name__] = f
    return f


def ways(f: Program) -> dict[str, Callable[[], Any]]:
    def eagerly() -> Any:
        with leptonc.disable_jit():
            return f(leptonc)

    return {"plain": lambda: f(leptonc), "jit": lambda: leptonc.jit(lambda: f(leptonc))(), "op by op": eagerly}


def check(name: str) -> None:
    """Raises AssertionError where leptonc's leaves are not JAX's in number, shape, kind and value (64 bits: in dtype)."""
    wanted = [np.asarray(x) for x in jax.tree.leaves(PROGRAMS[name](jax))]
    for way, run in ways(PROGRAMS[name]).items():
        found = [np.asarray(x) for x in leptonc.tree.leaves(run())]
        assert len(found) == len(wanted), (name, way)
        for n, (got, want) in enumerate(zip(found, wanted)):
            same = got.dtype == want.dtype if F is np.float64 else got.dtype.kind == want.dtype.kind
            assert same and got.shape == want.shape, (name, way, n, got.dtype, want.dtype, got.shape, want.shape)
            limit = TOLERANCES.get(want.dtype.name, 0.0)
            np.testing.assert_allclose(got, want, rtol=limit, atol=limit, err_msg=f"{name}, {way}, leaf {n}")


def main() -> int:
    parser = argparse.ArgumentParser("tests.peers.odd", description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--f32", action="store_true")
    given = parser.parse_args()
    jax.config.update("jax_enable_x64", not given.f32)
    wrong = 0
    for name in given.names or PROGRAMS:
        try:
            check(name)
        except (AssertionError, LeptonError) as error:
            wrong += 1
            print(f"{name}: {error}", flush=True)
    print(f"{len(given.names or PROGRAMS)} programs, {wrong} differ")
    return int(wrong > 0)


if __name__ == "__main__":
    from tests.peers import odd, odd_loops, odd_rules, odd_training  # noqa: F401

    sys.exit(odd.main())
