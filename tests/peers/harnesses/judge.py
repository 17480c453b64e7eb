"""Which harnesses are run, and how a result is judged."""

from __future__ import annotations

import functools
import zlib
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

import leptonc
from leptonc.errors import LeptonError
from tests.peers.harnesses.primitives import HELD, NotThereError, call

# Relative to the greatest element: sums are added up in another order, and special functions are other polynomials.
TOLERANCE = {"float64": 1e-11, "float32": 2e-5, "float16": 2e-3, "bfloat16": 1.6e-2}
WIDE = {"erf_inv": 20, "lgamma": 5, "digamma": 5, "igamma": 10, "igammac": 10}


@dataclass(frozen=True)
class Outcome:
    """``kind``: "agrees", "differs", "missing" (leptonc refused, or has it not), "dtype" (typed keys)."""

    name: str
    kind: str
    reason: str = ""


@functools.cache
def harnesses() -> tuple[Any, ...]:
    """Those that JAX itself runs on a CPU."""
    jax.config.update("jax_enable_x64", True)
    from jax._src.internal_test_util import test_harnesses

    return tuple(h for h in test_harnesses.all_harnesses if h.filter("cpu"))


def outcome(harness: Any) -> Outcome:
    rng = np.random.RandomState(zlib.crc32(harness.fullname.encode()))
    args = harness.dyn_args_maker(rng)
    traced = jax.make_jaxpr(harness.dyn_fun)(*args)
    if (found := unheld(traced.jaxpr)) is not None:
        return Outcome(harness.fullname, "dtype", found)
    expected = _expected(harness, args)
    flat = [np.asarray(x, v.aval.dtype) for x, v in zip(jax.tree.leaves(args), traced.jaxpr.invars, strict=True)]
    try:
        got = leptonc.jit(lambda *xs: call(traced, *xs))(*flat)
    except NotThereError as error:
        return Outcome(harness.fullname, "missing", str(error))
    except LeptonError as error:
        return Outcome(harness.fullname, "missing", str(error).splitlines()[0])
    if harness.group_name in ("eigh", "svd"):
        got, expected = ([_signless(np.asarray(x)) for x in xs] for xs in (got, expected))
    if harness.group_name == "eig":
        got, expected = (_eigen_ordered([np.asarray(x) for x in xs]) for xs in (got, expected))
    if harness.group_name == "cholesky":  # the primitive says nothing of the other triangle
        got, expected = ([np.tril(np.asarray(x)) for x in xs] for xs in (got, expected))
    if harness.group_name == "sort" and not harness.params.get("is_stable", True):  # of equal keys any order
        got, expected = (_in_order([np.asarray(x) for x in xs], harness.params["dimension"]) for xs in (got, expected))
    reason = next((why for a, b in zip(got, expected, strict=True) if (why := _differs(harness, np.asarray(a), b))), "")
    return Outcome(harness.fullname, "differs" if reason else "agrees", reason)


def _expected(harness: Any, args: Any) -> list[np.ndarray]:
    """JAX's results. Of f32 eigenvectors those in f64: an error grows by the matrix over the distance of two eigenvalues, of random
    ones of 50 rows by 900, so that LAPACK's f32 vectors are 2e-5 from the true ones (leptonc's 4e-6)."""
    wanted = [np.asarray(x) for x in jax.tree.leaves(jax.jit(harness.dyn_fun)(*args))]
    if harness.group_name != "eigh" or wanted[0].dtype != np.float32:
        return wanted
    wide = jax.tree.map(lambda x: np.asarray(x, np.float64), args)
    return [np.asarray(x, np.float32) for x in jax.tree.leaves(jax.jit(harness.dyn_fun)(*wide))]


def unheld(jaxpr: Any) -> str | None:
    """A dtype of a value in it that leptonc has not."""
    for v in [*jaxpr.invars, *jaxpr.constvars, *(v for e in jaxpr.eqns for v in e.outvars)]:
        dtype = getattr(v.aval, "dtype", None)
        if isinstance(dtype, np.dtype) and dtype not in HELD:
            return "complex" if dtype.kind == "c" else str(dtype)
    inner = [q for e in jaxpr.eqns for p in e.params.values() for q in (p if isinstance(p, list | tuple) else [p])]
    graphs = [getattr(q, "jaxpr", q) for q in inner if hasattr(q, "jaxpr") or hasattr(q, "eqns")]
    return next((found for g in graphs if hasattr(g, "eqns") and (found := unheld(g)) is not None), None)


def _differs(harness: Any, a: np.ndarray, b: np.ndarray) -> str:
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{a.dtype}{list(a.shape)}, not {b.dtype}{list(b.shape)}"
    if not a.size:
        return ""
    if a.dtype.kind in "iub":
        return "" if (a == b).all() else f"{(a != b).sum()} of {a.size} differ, such as {a[a != b].flat[0]} for {b[a != b].flat[0]}"
    if a.dtype.kind == "c":
        return _differs(harness, np.stack([a.real, a.imag]), np.stack([b.real, b.imag]))
    x, y = a.astype(np.float64), b.astype(np.float64)
    rtol = TOLERANCE[a.dtype.name] * WIDE.get(harness.group_name, 1)
    finite = np.abs(y[np.isfinite(y)])
    atol = rtol * min(float(finite.max(initial=0)), 1e3)
    wrong = ~np.isclose(x, y, rtol=rtol, atol=atol, equal_nan=True)
    if not wrong.any():
        return ""
    worst = np.flatnonzero(wrong)[0]
    return f"{wrong.sum()} of {a.size} differ, such as {x.flat[worst]!r} for {y.flat[worst]!r}"


def _eigen_ordered(arrays: list[np.ndarray]) -> list[np.ndarray]:
    """Eigenvalues in order of their parts, to some digits, and eigenvectors with them, whose first of the largest elements is 1."""
    values, *vectors = arrays
    order = np.lexsort((np.round(values.imag, 3), np.round(values.real, 3)), axis=-1)
    out = [np.take_along_axis(values, order, -1)]
    for v in vectors:
        v = np.take_along_axis(v, order[..., None, :], -1)
        large = np.abs(v) >= 0.999 * np.abs(v).max(-2, keepdims=True, initial=0)
        out.append(v / np.take_along_axis(v, large.argmax(-2)[..., None, :], -2) if v.size else v)
    return out


def _in_order(arrays: list[np.ndarray], axis: int) -> list[np.ndarray]:
    """Rows of several arrays by all of them."""
    order = np.lexsort(arrays[::-1], axis)
    return [np.take_along_axis(x, order, axis) for x in arrays]


def _signless(x: np.ndarray) -> np.ndarray:
    """Of vectors that are unique but for signs the magnitudes of their elements (of values, which are not negative or come in
    order, they say nothing new)."""
    return np.abs(x) if x.ndim > 1 else x
