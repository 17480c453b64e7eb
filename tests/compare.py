"""Running a function both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import leptonc


def both(f: Callable[..., Any], *args: Any, rtol: float = 1e-5, atol: float = 1e-6) -> list[np.ndarray]:
    """The leaves of the compiled result, equal to those of the eager one in shape, dtype and value."""
    compiled = leptonc.tree.leaves(leptonc.jit(f)(*args))
    with leptonc.disable_jit(), np.errstate(all="ignore"):
        eager = leptonc.tree.leaves(leptonc.jit(f)(*args))
    for a, b in zip(compiled, eager, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), (a.shape, a.dtype, b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol * _size(b))
    return compiled


def _size(x: np.ndarray) -> float:
    """Of the largest finite element, at least 1: what rounding errors of sums are measured by, also where a sum cancels."""
    finite = np.abs(x[np.isfinite(x)]) if x.dtype.kind == "f" else np.zeros(0)
    return max(1.0, float(finite.max(initial=0)))


def same(f: Callable[[Any], Callable[..., Any]], *args: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """``f(leptonc.numpy)`` gives what ``f(numpy)`` gives: shape, dtype, value; compiled and eager."""
    got = both(f(leptonc.numpy), *args, rtol=rtol, atol=atol)
    with np.errstate(all="ignore"):
        wanted = leptonc.tree.leaves(f(np)(*args))
    for a, b in zip(got, wanted, strict=True):
        b = np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype), (a.shape, a.dtype, b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


def lowered(f: Any, *args: Any) -> Any:
    """A function's kernels."""
    return leptonc.jit(f).trace(*args).lower()


def exact(f: Any, *args: Any) -> Any:
    """The result in f64, op by op."""
    with leptonc.disable_jit():
        return leptonc.jit(f)(*leptonc.tree.map(lambda a: a.astype(np.float64), args))
