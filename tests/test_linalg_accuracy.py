"""Backward errors of each factorization, compiled, in units of eps n |a|: never ten times LAPACK's.

LAPACK is NumPy's, in f64: of f32 matrices NumPy computes in f64 and rounds, so its results there are no measure of an f32
algorithm, whose errors in units of its own eps are the same.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp

N, SEED, WORSE = 42, 5, 10
FLOOR = 0.1  # of eps n |a|: where LAPACK happens to make no error at all


def values(s: Any, symmetric: bool) -> np.ndarray:
    """A matrix of these singular values, or eigenvalues."""
    rng = np.random.default_rng(SEED)
    u, v = (np.linalg.qr(rng.standard_normal((N, N)))[0] for _ in range(2))
    return np.asarray((u * s) @ (u if symmetric else v).T)


@functools.cache
def matrices(kind: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Names, and a stack: of no structure, symmetric, or positive definite."""
    rng, places = np.random.default_rng(SEED), np.arange(N)
    random, scales = rng.standard_normal((N, N)), 10.0 ** (-4 * places / N)
    symmetric = kind != "general"
    found = {"ill-conditioned": values(np.logspace(0, -4, N), symmetric), "clustered": values(1 + 1e-6 * places, symmetric),
             "two values": values(np.where(places < N // 2, 1.0, 3.0), symmetric),
             "tiny": 1e-15 * values(1 + places, symmetric), "huge": 1e15 * values(1 + places, symmetric)}
    if kind == "definite":
        found["graded"] = scales[:, None] * (random @ random.T / N + np.eye(N)) * scales
    else:
        found["random"] = random + random.T if symmetric else random
        found["graded"] = scales[:, None] * random if kind == "general" else scales[:, None] * (random + random.T) * scales
        found["of low rank"] = values(np.where(places < N // 3, 1.0, 0.0), symmetric)
        found["nearly singular"] = values(np.logspace(0, -16, N), symmetric)
    return tuple(found), np.stack(list(found.values()))


RIGHT = np.random.default_rng(SEED + 1).standard_normal((N, 3))


def size(x: np.ndarray) -> np.ndarray:
    return np.sqrt((x * x).sum((-2, -1)))


def off(x: np.ndarray) -> np.ndarray:
    """How far columns are from orthonormal, for each."""
    return size(x.swapaxes(-1, -2) @ x - np.eye(x.shape[-1])) / np.sqrt(N)


def residual(a: np.ndarray, x: np.ndarray, b: np.ndarray) -> np.ndarray:
    return size(a @ x - b) / (size(a) * size(x))


def lu_parts(a: np.ndarray, factors: np.ndarray, order: np.ndarray) -> np.ndarray:
    lower, rows = np.tril(factors, -1) + np.eye(N), np.take_along_axis(a, order[..., None].astype(int), -2)
    return size(lower @ np.triu(factors) - rows) / size(a)


def exponential(a: np.ndarray) -> np.ndarray:
    w, v = np.linalg.eigh(a)
    return np.asarray((v * np.exp(w)[..., None, :]) @ v.swapaxes(-1, -2))


def part(a: Any) -> Any:
    """Some rows and columns, of numbers whose product does not overflow."""
    return a[..., :12, :12] / a.max((-2, -1), keepdims=True) * 2


Errors = list[np.ndarray]
# name: kind of matrix, the function of a module and a stack, and the errors of its results beside those of the matrices
CASES: dict[str, tuple[str, Callable[[Any, Any], Any], Callable[..., Errors]]] = {
    "cholesky": ("definite", lambda m, a: m.linalg.cholesky(a), lambda a, x: [size(x @ x.swapaxes(-1, -2) - a) / size(a)]),
    "qr": ("general", lambda m, a: tuple(m.linalg.qr(a)), lambda a, q, r: [size(q @ r - a) / size(a), off(q)]),
    "eigh": ("symmetric", lambda m, a: tuple(m.linalg.eigh(a)), lambda a, w, v: [
        size(a @ v - v * w[..., None, :]) / size(a), off(v)]),
    "svd": ("general", lambda m, a: tuple(m.linalg.svd(a)), lambda a, u, s, vh: [
        size((u * s[..., None, :]) @ vh - a) / size(a), off(u), off(vh.swapaxes(-1, -2)),
        np.abs(s - np.linalg.svd(a, compute_uv=False)).max(-1) / size(a)]),
    "solve": ("general", lambda m, a: m.linalg.solve(a, RIGHT.astype(a.dtype)), lambda a, x: [
        residual(a, x, RIGHT.astype(np.float32) if x.dtype == np.float32 else RIGHT)]),
    "inv": ("general", lambda m, a: m.linalg.inv(a), lambda a, x: [residual(a, x, np.eye(N))]),
    "slogdet": ("definite", lambda m, a: tuple(m.linalg.slogdet(a)), lambda a, sign, log: [
        np.abs(sign - 1), np.abs(log - np.linalg.slogdet(a)[1]) * np.linalg.cond(a, 2) ** -1]),
    "det": ("definite", lambda m, a: m.linalg.det(part(a)), lambda a, x: [
        np.abs(x / np.linalg.det(part(a)) - 1) / np.linalg.cond(part(a))]),
    "pinv": ("general", lambda m, a: m.linalg.pinv(a, rcond=1e-3), lambda a, x: [
        size(x @ a @ x - x) / (size(a) * size(x) ** 2), size(a @ x - (a @ x).swapaxes(-1, -2)) / (size(a) * size(x))]),
}


TESTED = [(name, dtype) for name in CASES for dtype in ("float32", "float64")
          if dtype == "float32" or name in ("eigh", "svd")]


@functools.cache
def compiled(dtype: str) -> dict[str, Any]:
    """All of them in one program; in f64 those that rotate until something is small: the others are the same loops."""
    stacks = {kind: matrices(kind)[1].astype(dtype) for kind in ("general", "symmetric", "definite")}
    return leptonc.jit(lambda stacks: {name: f(lnp, stacks[kind]) for name, (kind, f, _) in CASES.items()
                                       if (name, dtype) in TESTED})(stacks)


@pytest.mark.parametrize("name, dtype", TESTED)
def test_errors_are_lapacks(name, dtype):
    kind, f, errors = CASES[name]
    names, a = matrices(kind)
    check(names, errors, a, f, compiled(dtype)[name], dtype)


def check(names: Any, errors: Any, a: np.ndarray, f: Any, got: Any, dtype: str) -> None:
    with np.errstate(all="ignore"):
        ours, lapacks = (errors(*(np.asarray(x, np.float64) for x in (given, *(x if isinstance(x, tuple) else (x,)))))
                         for given, x in ((a.astype(dtype), got), (a, f(np, a))))
    for found, wanted in zip(ours, lapacks, strict=True):
        found, wanted = found / (np.finfo(dtype).eps * N), wanted / (np.finfo(float).eps * N)
        worse = ~(found <= WORSE * np.maximum(wanted, FLOOR))
        assert not worse.any(), [(names[i], found[i], wanted[i]) for i in np.flatnonzero(worse)]


def test_what_lapack_is_not_asked_for_in_numpy():
    """Factors of lu, triangular systems, least squares, the exponential: one unit of error."""
    dtype = "float32"
    unit = np.finfo(dtype).eps * N
    a, s = matrices("general")[1].astype(dtype), matrices("symmetric")[1][-2].astype(dtype)
    right = RIGHT.astype(dtype)

    def all_of(a: Any, s: Any) -> Any:
        factors, _, order = lax.linalg.lu(a)
        low = lax.linalg.triangular_solve(a, lnp.broadcast_to(right, (len(a), N, 3)), left_side=True, lower=True)
        return factors, order, low, lnp.linalg.lstsq(a[0, :8, :8], right[:8])[0], lnp.linalg.expm(s)

    factors, order, low, least, power = (np.asarray(x, np.float64) for x in leptonc.jit(all_of)(a, s))
    wide = a.astype(float)
    assert (lu_parts(wide, factors, order) <= unit).all()
    sound = np.isfinite(low).all((-2, -1))
    assert (residual(np.tril(wide), low, right.astype(float))[sound] <= unit).all()
    assert residual(wide[0, :8, :8], least, right[:8].astype(float)) <= unit
    exact = exponential(s.astype(float))
    assert size(power - exact) / size(exact) <= unit * max(size(s.astype(float)), 1)
