"""Square matrices as Q H Q' with H zero below its first subdiagonal, by Householder's reflections (LAPACK's gehrd and orghr)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import LeptonError, op_error
from leptonc.ir.op import Sample, register
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value
from leptonc.ops.linalg.building import (
    MatrixOp,
    as_panel,
    as_stack,
    compare,
    conjugate,
    counted,
    filled,
    flattened,
    loop,
    on_diagonal,
    op,
    part,
    reshaped,
    select,
    spread,
    swapped,
    zeros,
)
from leptonc.ops.linalg.jacobi import all_finite, or_nan
from leptonc.ops.linalg.qr import reflector


class Underived(MatrixOp):
    """A factorization whose derivative nobody has written down for what it may be asked of; JAX has none either."""

    def vjp(self, g: Any, y: Any, *operands: Value, **attrs: Any) -> Any:
        raise op_error(self.name, "has no derivative", {"a": operands[0].type}, "give it one by leptonc.custom_vjp", LeptonError)


@register
class hessenberg(Underived):
    """(h, tau) of [..., n, n]: H on and above the first subdiagonal, below it the vectors of n - 1 reflections, without their ones,
    whose factors are tau [..., n - 1]. NaN for a matrix that holds an infinity or NaN."""

    name, operand_names, results = "hessenberg", ("a",), 2

    def infer(self, *types: TensorType, **attrs: Any) -> tuple[TensorType, ...]:
        a = types[0]
        self.matrices(a, square=True)
        return a, a.with_shape((*a.shape[:-2], max(a.shape[-1] - 1, 0)))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        a = np.array(arrays[0])
        n = a.shape[-1]
        taus = np.zeros((*a.shape[:-2], max(n - 1, 0)), a.dtype)
        for at in np.ndindex(a.shape[:-2]):
            if not np.isfinite(a[at]).all():
                a[at], taus[at] = np.nan, np.nan
                continue
            for j in range(n - 1):
                taus[at][j] = _eager_step(a[at], j)
        return a, taus

    def expand(self, *operands: Value, **attrs: Any) -> tuple[Value, ...]:
        a = operands[0]
        n = a.shape[-1]
        if n < 2 or not a.type.size:
            return a, zeros(a, (*a.shape[:-2], max(n - 1, 0)))
        stack = flattened(a)
        finite = all_finite(stack)
        packed, taus = loop(n - 1, _reduced, [as_panel(select(spread(finite, stack.shape, 0), stack, 0))])
        packed, taus = or_nan(finite, as_stack(packed), swapped(taus))
        return reshaped(packed, a.shape), reshaped(taus, (*a.shape[:-2], n - 1))

    def samples(self) -> Sequence[Sample]:
        nan = Sample(lambda rng: [np.stack([np.array([[1.0, np.nan], [0.0, 1.0]]), np.diag([2.0, 1.0])])], {}, False, "nan")
        return [*(_normal(*shape) for shape in ((4, 4), (2, 3, 5, 5), (1, 1), (0, 0))), nan]


def _normal(*shape: int) -> Sample:
    return Sample(lambda rng: [rng.standard_normal(shape)], {}, False, str(shape))


def _reduced(j: Value, consts: Sequence[Value], carries: Sequence[Value], _: Sequence[Value]) -> list[Value]:
    """Column j of the panel [n, n, b] reduced, and its tau [b]."""
    p = carries[0]
    n, _n, b = p.shape
    column, row = reshaped(part(p, (0, j, 0), (n, 1, b)), (n, b)), counted(p, (n, b), 0)
    here, under = compare("eq", row, j + 1), compare("gt", row, j + 1)
    v, tau, beta = reflector(column, under, reshaped(part(column, (j + 1, 0), (1, b)), (b,)))
    full = select(here, filled(v, 1), v)
    place = counted(p, p.shape, 1)
    rest = select(compare("gt", place, j), reflected_rows(p, full, tau), p)
    less = reflected_columns(rest, full, tau)
    kept = select(under, v, select(here, spread(beta, (n, b), 1), column))
    return [select(compare("eq", place, j), spread(kept, p.shape, 0, 2), less), tau]


def reflected_rows(p: Value, v: Value, tau: Value) -> Value:
    """(I - tau v v')' p of a panel [m, n, b], v [m, b] and tau [b]."""
    along = op("sum", p * spread(conjugate(v), p.shape, 0, 2), axes=(0,)) * spread(conjugate(tau), p.shape[1:], 1)
    return p - spread(v, p.shape, 0, 2) * spread(along, p.shape, 1, 2)


def reflected_columns(p: Value, v: Value, tau: Value) -> Value:
    """p (I - tau v v') of a panel [m, n, b], v [n, b] and tau [b]."""
    along = op("sum", p * spread(v, p.shape, 1, 2), axes=(1,)) * spread(tau, p.shape[::2], 1)
    return p - spread(along, p.shape, 0, 2) * spread(conjugate(v), p.shape, 1, 2)


def eager_reflector(x: np.ndarray) -> tuple[np.ndarray, Any, Any]:
    """``reflector`` of one vector in NumPy: v with its one, tau and beta."""
    v, size = np.array(x), np.abs(x).max()
    imaginary = x.dtype.kind == "c" and x[0].imag != 0
    if not (x[1:].any() or imaginary):
        v[1:], v[0] = 0, 1
        return v, x.dtype.type(0), x[0]
    beta = -np.copysign(size * np.sqrt(np.sum(np.abs(x / size)**2)), x[0].real)
    v = v / (x[0] - beta)
    v[0] = 1
    return v, (beta - x[0]) / beta, beta


def _eager_step(a: np.ndarray, j: int) -> Any:
    v, tau, beta = eager_reflector(a[j + 1:, j])
    a[j + 1:, j + 1:] -= np.conj(tau) * np.outer(v, np.conj(v) @ a[j + 1:, j + 1:])
    a[:, j + 1:] -= tau * np.outer(a[:, j + 1:] @ v, np.conj(v))
    a[j + 1, j], a[j + 2:, j] = beta, v[1:]
    return tau


@register
class householder_product(Underived):
    """The first n columns of H1 H2 ... Hk, of reflections I - tau v v' whose vectors stand below the diagonal of a [..., m, n],
    m >= n >= k, without their ones, and whose factors are tau [..., k] (LAPACK's orgqr)."""

    name, operand_names = "householder_product", ("a", "tau")

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        a, tau = types
        self.matrices(a)
        m, n = a.shape[-2:]
        if tau.shape[:-1] != a.shape[:-2] or tau.dtype != a.dtype or not m >= n >= tau.shape[-1]:
            raise op_error(self.name, "a must be [..., m, n] and tau [..., k], m >= n >= k, of one dtype", {"a": a, "tau": tau})
        return a

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        a, taus = np.asarray(arrays[0]), np.asarray(arrays[1])
        m, n = a.shape[-2:]
        q = np.zeros(a.shape, a.dtype) + np.eye(m, n, dtype=a.dtype)
        with np.errstate(all="ignore"):
            for j in reversed(range(taus.shape[-1])):
                v = np.tril(a, -1)[..., j] + np.eye(m, dtype=a.dtype)[j]
                along = taus[..., j, None, None] * (np.conj(v)[..., None, :] @ q)
                q -= v[..., None] * along
        return q

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        a, taus = operands
        if not a.type.size or not taus.type.size:
            return select(on_diagonal(a), filled(a, 1), 0)
        m, n = a.shape[-2:]
        k = taus.shape[-1]
        panel, factors = as_panel(flattened(a)), swapped(flattened(taus, 1))
        q = zeros(panel, panel.shape)
        q = select(op("eq", counted(q, q.shape, 0), counted(q, q.shape, 1)), filled(q, 1), 0)
        q = loop(k, _turned_back, [q], [panel], [factors], reverse=True)[0]
        return reshaped(as_stack(q), (*a.shape[:-2], m, n))

    def samples(self) -> Sequence[Sample]:
        def make(m: int, n: int, k: int, *lead: int) -> Sample:
            return Sample(lambda rng: [rng.standard_normal((*lead, m, n)), rng.standard_normal((*lead, k)) / m], {}, False,
                          f"{lead}{m}{n}{k}")

        return [make(4, 4, 3), make(5, 3, 3, 2), make(3, 3, 1, 2), make(2, 2, 0), make(0, 0, 0)]


def _turned_back(j: Value, consts: Sequence[Value], carries: Sequence[Value], xs: Sequence[Value]) -> list[Value]:
    (panel,), (q,), (tau,) = consts, carries, xs
    m, _n, b = panel.shape
    row, column = counted(panel, (m, b), 0), reshaped(part(panel, (0, j, 0), (m, 1, b)), (m, b))
    v = select(compare("gt", row, j), column, select(compare("eq", row, j), filled(column, 1), 0))
    return [reflected_rows(q, v, conjugate(tau))]
