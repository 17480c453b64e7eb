"""lax.linalg's tridiagonal systems, and products and factors that are moved on by a vector."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, flag, number
from leptonc.errors import DtypeError, ShapeError, op_error
from leptonc.implicit import custom_linear_solve
from leptonc.numpy.elementwise import as_float
from leptonc.numpy.linalg.operands import in_one_dtype, masked, matrices, transposed
from leptonc.scan import scan
from leptonc.trace import promote


def tridiagonal_solve(dl: Any, d: Any, du: Any, b: Any, *, perturb_singular: bool = False) -> Any:
    """x [..., m, k] with A x = b, of the tridiagonal A with dl [..., m] below its diagonal d [..., m] and du [..., m] above it, of
    which dl[..., 0] and du[..., -1] are not read; by elimination with partial pivoting (LAPACK's gtsv).

    A singular A gives infinities or NaN, or with ``perturb_singular`` the solution with pivots of a rounding error's size. Raises
    ShapeError or DtypeError.
    """
    name = "tridiagonal_solve"
    given = {"dl": dl, "d": d, "du": du, "b": b}
    dl, d, du, b = promote(*(as_float(array(name, what, x)) for what, x in given.items()))
    if not d.shape or not dl.shape == d.shape == du.shape == b.shape[:-1]:
        raise op_error(name, "dl, d and du must be [..., m] and b [..., m, k]", {"dl": dl, "d": d, "du": du, "b": b},
                       kind=ShapeError)
    perturbed = flag(name, "perturb_singular", perturb_singular)
    if not b.size:
        return b
    edge = lnp.zeros_like(d[..., :1])
    below, above = lnp.concatenate([edge, dl[..., 1:]], -1), lnp.concatenate([du[..., :-1], edge], -1)

    def product(x: Any) -> Any:
        nothing = lnp.zeros_like(x[..., :1, :])
        before, behind = lnp.concatenate([nothing, x[..., :-1, :]], -2), lnp.concatenate([x[..., 1:, :], nothing], -2)
        return below[..., None] * before + d[..., None] * x + above[..., None] * behind

    def solved(_: Any, right: Any) -> Any:
        return _substituted(*_eliminated(below, d, above, right), perturbed)

    def turned(_: Any, right: Any) -> Any:
        flipped = lnp.concatenate([edge, above[..., :-1]], -1), d, lnp.concatenate([below[..., 1:], edge], -1)
        return _substituted(*_eliminated(*flipped, right), perturbed)

    return custom_linear_solve(product, b, solved, turned)


def _eliminated(below: Any, d: Any, above: Any, right: Any) -> tuple[Any, Any, Any, Any]:
    """The rows [m, ...] of U, three numbers each, and of what is right of it [m, ..., k]."""
    below, d, above = (lnp.moveaxis(x, -1, 0) for x in (below, d, above))
    right = lnp.moveaxis(right, -2, 0)
    nothing = lnp.zeros_like(d[0])

    def step(row: tuple[Any, ...], following: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        swaps = lnp.absolute(following[0]) > lnp.absolute(row[0])
        first, second = (*row[:2], nothing, row[2]), following
        top = [lnp.where(swaps[..., None] if x.ndim > swaps.ndim else swaps, y, x) for x, y in zip(first, second)]
        rest = [lnp.where(swaps[..., None] if x.ndim > swaps.ndim else swaps, x, y) for x, y in zip(first, second)]
        factor = lnp.where(rest[0] == 0, 0, rest[0] / lnp.where(top[0] == 0, 1, top[0]))
        left = rest[1] - factor * top[1], rest[2] - factor * top[2], rest[3] - factor[..., None] * top[3]
        return left, tuple(top)

    last, rows = scan(step, (d[0], above[0], right[0]), (below[1:], d[1:], above[1:], right[1:]))
    ends = (last[0], nothing, nothing, last[2])
    pivots, second, third, moved = (lnp.concatenate([x, end[None]]) for x, end in zip(rows, ends))
    return pivots, second, third, moved


def _substituted(pivots: Any, second: Any, third: Any, right: Any, perturbed: bool) -> Any:
    if perturbed:
        most = lnp.max(lnp.maximum(lnp.maximum(lnp.absolute(pivots), lnp.absolute(second)), lnp.absolute(third)), axis=0)
        least = lnp.maximum(np.finfo(pivots.dtype).eps * most, np.finfo(pivots.dtype).tiny)
        signs = lnp.where(lnp.real(pivots) < 0, -1, 1)
        pivots = lnp.where(lnp.absolute(pivots) < least, lnp.astype(signs * least, pivots.dtype), pivots)

    def step(known: tuple[Any, Any], row: tuple[Any, ...]) -> tuple[tuple[Any, Any], Any]:
        pivot, one, two, b = row
        x = lnp.divide(b - one[..., None] * known[0] - two[..., None] * known[1], pivot[..., None])
        return (x, known[0]), x

    nothing = lnp.zeros_like(right[0])
    _, found = scan(step, (nothing, nothing), (pivots, second, third, right), reverse=True)
    return lnp.moveaxis(found, 0, -2)


def symmetric_product(a_matrix: Any, c_matrix: Any, *, alpha: float = 1.0, beta: float = 0.0,
                      symmetrize_output: bool = False) -> Any:
    """alpha a a^T + beta c of a [..., m, n] and symmetric c [..., m, m]; with ``symmetrize_output`` the upper triangle is the lower
    one's. Raises ShapeError or DtypeError."""
    name = "symmetric_product"
    a, c = in_one_dtype(name, a_matrix, c_matrix, ("a_matrix", "c_matrix"))
    m = matrices(name, a, "a_matrix").shape[-2]
    if matrices(name, c, "c_matrix").shape != (*a.shape[:-1], m):
        raise op_error(name, "a_matrix must be [..., m, n] and c_matrix [..., m, m]", {"a_matrix": a, "c_matrix": c},
                       kind=ShapeError)
    found = number(name, "alpha", alpha) * (a @ transposed(a)) + number(name, "beta", beta) * c
    if flag(name, "symmetrize_output", symmetrize_output):
        return masked(found, lower=True) + transposed(masked(found, lower=True, offset=-1))
    return found


def cholesky_update(r_matrix: Any, w_vector: Any) -> Any:
    """Upper triangular R with R^T R = r^T r + w w^T, of real upper triangular r [n, n] and w [n], by a rotation for each row.

    Raises ShapeError or DtypeError.
    """
    name = "cholesky_update"
    r, w = in_one_dtype(name, r_matrix, w_vector, ("r_matrix", "w_vector"))
    if len(r.shape) != 2 or r.shape != (*w.shape, *w.shape):
        raise op_error(name, "r_matrix must be [n, n] and w_vector [n]", {"r_matrix": r, "w_vector": w}, kind=ShapeError)
    if r.dtype.kind == "c":
        raise op_error(name, "r_matrix and w_vector must be real", {"r_matrix": r, "w_vector": w}, kind=DtypeError)
    if not w.shape[0]:
        return r

    def turn(w: Any, at: tuple[Any, Any]) -> tuple[Any, Any]:
        row, k = at
        x, y = lnp.take(row, k), lnp.take(w, k)
        still = y == 0
        length = lnp.where(still, 1, lnp.hypot(x, lnp.where(still, 1, y)))
        cosine, sine = lnp.where(still, 1, x / length), lnp.where(still, 0, y / length)
        return cosine * w - sine * row, cosine * row + sine * w

    _, found = scan(turn, w, (r, np.arange(w.shape[0])))
    return found
