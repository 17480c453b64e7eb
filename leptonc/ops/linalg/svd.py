"""Singular values and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import LeptonError, op_error
from leptonc.ir.op import Sample, register
from leptonc.ir.types import TensorType, i32
from leptonc.ir.value import Value
from leptonc.ops.linalg.bidiagonal import bidiagonal
from leptonc.ops.linalg.building import (
    BLOCK,
    MatrixOp,
    adjoint,
    as_diagonal,
    as_panel,
    as_stack,
    blocks_of,
    conjugate,
    cropped,
    diagonal,
    divided,
    extent,
    filled,
    flattened,
    identity,
    in_field,
    loop,
    on_diagonal,
    op,
    padded,
    product,
    real,
    repeat_while,
    reshaped,
    scaled_columns,
    scaled_rows,
    select,
    size,
    spread,
    squared,
    swapped,
    zeros,
)
from leptonc.ops.linalg.conquering import LEAF, conquered
from leptonc.ops.linalg.degenerate import Basis
from leptonc.ops.linalg.jacobi import (
    FEW,
    SWEEPS,
    all_finite,
    eager_signs,
    epsilon,
    even,
    halves,
    in_order,
    moved_on,
    or_nan,
    order_of,
    orthonormal_rows,
    phase_of,
    rotated_rows,
    rotation,
    signs_of_rows,
    turned_rows,
    window,
)
from leptonc.ops.linalg.lu import permuted
from leptonc.ops.linalg.tridiagonal import turned_back
from leptonc.ops.linalg.unblocked import UNBLOCKED, bidiagonal_of_few, turned_back_of_few

ROTATED = 16  # columns, at most, that are rotated: of so many rotations take as long as a reduction, and compile sooner


@register
class svd(MatrixOp):
    """(u, s, vh) of [..., m, n], m >= n: a = u diag(s) vh, s descending, the first of the largest elements of vh's rows positive.

    u has n columns, or m if ``full``. QR first, then of R's columns, if they are few, rotations until all are orthogonal
    (Hestenes 1958), else products with eigenvectors of a tridiagonal matrix: their lengths are s, u is the Q of what they are then.
    NaN for a matrix that holds an infinity or NaN.
    """

    name, operand_names, results = "svd", ("a",), 3

    def infer(self, *types: TensorType, **attrs: Any) -> tuple[TensorType, ...]:
        a = types[0]
        self.matrices(a)
        m, n = a.shape[-2:]
        if m < n:
            raise op_error(self.name, "a has more columns than rows", {"a": a}, "transpose it")
        lead = a.shape[:-2]
        s = a.with_shape((*lead, n)).with_dtype(a.dtype.real)
        return a.with_shape((*lead, m, m if attrs["full"] else n)), s, a.with_shape((*lead, n, n))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        a = np.asarray(arrays[0])
        finite = np.isfinite(a).all((-2, -1))
        u, s, vh = np.linalg.svd(np.where(finite[..., None, None], a, 0).astype(a.dtype), full_matrices=attrs["full"])
        if vh.size:
            signs, n = eager_signs(vh), vh.shape[-1]
            u, vh = u.copy(), vh * signs
            u[..., :n] *= np.conj(np.swapaxes(signs, -1, -2))
        flag = finite[..., None, None]
        return (np.where(flag, u, np.nan).astype(a.dtype), np.where(finite[..., None], s, np.nan).astype(a.real.dtype),
                np.where(flag, vh, np.nan).astype(a.dtype))

    def vjp(self, g: Any, y: Any, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """u (diag(gs) + X / (s[j] - s[i]) + Y / (s[j] + s[i])) vh, X + Y and X - Y the parts of u'gu and vh gvh' that are not
        symmetric; and what of gu is outside of u's columns, divided by s. Of complex matrices for the cotangents' conjugates, with
        adjoints, and for the phases that JAX lets u's columns have."""
        u, s, vh = y
        if u.shape[-1] != s.shape[-1]:
            raise op_error(self.name, "has no derivative of full matrices, unless they are square", {"a": operands[0]},
                           "full_matrices=False", LeptonError)
        g = [None if x is None else conjugate(x) for x in g]
        terms = [] if g[1] is None else [in_field(as_diagonal(g[1]), u)]
        crossed = None if g[0] is None else product(conjugate(u), g[0], left=True)
        basis = Basis(s, alone=g[1] is None)
        terms += _turns(basis, crossed, None if g[2] is None else product(vh, conjugate(g[2]), right=True))
        if crossed is not None and u.dtype.is_complex:
            phases = select(on_diagonal(crossed), op("complex", zeros(crossed, crossed.shape, s.dtype), op("imag", crossed)), 0)
            wide = spread(s, phases.shape, *_columns(phases))
            terms.append(select(op("eq", wide, filled(wide, 0)), filled(phases, 0), divided(phases, wide)))
        inner = terms[0]
        for term in terms[1:]:
            inner = inner + term
        out = product(product(u, inner), vh)
        if g[0] is not None and crossed is not None and u.shape[-2] > u.shape[-1]:
            outside = g[0] - product(u, crossed)
            out = out + product(basis.over(outside, spread(s, outside.shape, *_columns(outside)), g[0]), vh)
        return (conjugate(out),)

    def expand(self, *operands: Value, **attrs: Any) -> tuple[Value, ...]:
        a, full = operands[0], attrs["full"]
        m, n = a.shape[-2:]
        lead, k = a.shape[:-2], m if full else n
        if not a.type.size:
            return cropped(identity(a, m), m, k), zeros(a, (*lead, n), a.dtype.real), identity(swapped(a), n)
        stack = flattened(a)
        finite = all_finite(stack)
        stack = select(spread(finite, stack.shape, 0), stack, 0)
        q = None
        if m > n:
            q, stack = op("qr", stack, complete=full)
            stack = cropped(stack, n, n)
        left, s, right = _square(stack)
        u = left if q is None else _joined(q, left, k)
        u, s, right = or_nan(finite, u, s, right)
        return reshaped(u, (*lead, m, k)), reshaped(s, (*lead, n)), reshaped(right, (*lead, n, n))

    def samples(self) -> Sequence[Sample]:
        def make(*shape: int) -> Sample:
            def arrays(rng: np.random.Generator) -> list[np.ndarray]:
                n = shape[-1]
                wide = np.zeros(shape[-2:])
                wide[:n, :n] = 3 * np.diag(1 + np.arange(n))
                return [rng.standard_normal(shape) / 2 + wide]

            return Sample(arrays, {"full": False}, True, str(shape))

        spoiled = np.stack([np.array([[1.0, np.nan], [0.0, 1.0]]), np.diag([2.0, 1.0])])
        nan = Sample(lambda rng: [spoiled], {"full": False}, False, "nan")
        return [make(3, 2), make(2, 3, 3), make(0, 0), nan]


@register
class pinv_of(MatrixOp):
    """x, which is the pseudoinverse of a: it has a derivative by a alone, that of Golub and Pereyra (1973) where the rank stays."""

    name, operand_names = "pinv_of", ("a", "x")

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        a, x = types
        self.matrices(a)
        if x != a.with_shape((*a.shape[:-2], a.shape[-1], a.shape[-2])):
            raise op_error(self.name, "a must be [..., m, n] and x [..., n, m]", {"a": a, "x": x})
        return x

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        return np.array(arrays[1])

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """-x' g x' + (1 - a x) g' x x' + x' x g' (1 - x a)."""
        a, turned = operands[0], swapped(g)
        first = product(product(y, g, left=True), y, right=True)
        right = product(product(turned, y), y, right=True)
        left = product(product(y, y, left=True), turned)
        rest = right - product(a, product(y, right)) + left - product(product(left, y), a)
        return rest - first, None

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        return operands[1]

    def samples(self) -> Sequence[Sample]:
        def make(*shape: int) -> Sample:
            def arrays(rng: np.random.Generator) -> list[np.ndarray]:
                a = rng.standard_normal(shape)
                return [a, np.linalg.pinv(a)]

            return Sample(arrays, {}, False, str(shape))

        return [make(3, 2)]


def _columns(x: Value) -> tuple[int, ...]:
    """The axes of a number for each column of matrices."""
    return (*range(x.type.rank - 2), x.type.rank - 1)


def _turns(basis: Basis, left: Value | None, right: Value | None) -> list[Value]:
    """X / (s[j] - s[i]) and Y / (s[j] + s[i]) of u'gu and vh gvh'."""
    given = [x for x in (left, right) if x is not None]
    if not given:
        return []
    skew = [(x - adjoint(x)) * 0.5 for x in given]
    if len(given) == 2:
        sides, like = (skew[0] + skew[1], skew[0] - skew[1]), op("max", *(size(x) for x in given))
    else:
        sides, like = (skew[0], skew[0] if right is None else -skew[0]), given[0]
    return [basis.turn(x, sign, like) for x, sign in zip(sides, (-1, 1))]


def _joined(q: Value, left: Value, k: int) -> Value:
    """q's first n columns times ``left``, then its others."""
    b, m, _ = q.shape
    n = left.shape[-1]
    first = product(cropped(q, m, n), left)
    if k == n:
        return first
    rest = op("slice", q, start=(0, 0, n), size=(b, m, k - n), step=(1, 1, 1))
    return op("concatenate", first, rest, axis=2)


def _square(a: Value) -> tuple[Value, Value, Value]:
    """(u, s, vh) of finite a [b, n, n]; u is the Q of orthogonal columns, longest first, so it is whole where some are 0."""
    size = op("reduce_max", extent(a), axes=(1, 2))
    scale = select(op("eq", size, filled(size, 0)), filled(size, 1), size)
    columns, rows = _orthogonalized(swapped(divided(a, spread(scale, a.shape, 0))))
    lengths = op("sqrt", op("sum", squared(columns), axes=(2,)))
    order = order_of(lengths, descending=True)
    s = in_order(lengths, order)
    columns, rows = permuted(columns, order), permuted(rows, order)
    signs = signs_of_rows(rows)
    q, r = op("qr", swapped(columns), complete=False)
    side = real(diagonal(r))
    turned = select(op("lt", side, filled(side, 0)), -signs, signs)
    return scaled_columns(q, turned), s * spread(scale, s.shape, 0), conjugate(scaled_rows(signs, rows))


def _orthogonalized(columns: Value) -> tuple[Value, Value]:
    """Of a matrix given by its columns as rows [b, n, n]: those rotated so that they are orthogonal, and the rotations' rows.

    Of more than a few twice, as ``eigh``: from the rows made orthonormal, and the columns made of them anew."""
    n = columns.shape[-1]
    if n > ROTATED:
        return _by_reduction(columns)
    whole = padded(columns, even(n), n)
    least = op("sqrt", op("sum", squared(whole), axes=(1, 2))) * epsilon(columns)  # a shorter column is a rounding error

    def refined(_: Value, consts: Sequence[Value], carries: Sequence[Value], xs: Sequence[Value]) -> list[Value]:
        whole, least = consts
        rows = orthonormal_rows(carries[0])
        x, rows = _rotated(as_panel(product(rows, whole)), as_panel(rows), least)
        return [as_stack(rows), as_stack(x)]

    if n <= FEW:
        x, rows = (as_stack(v) for v in _rotated(as_panel(whole), as_panel(identity(columns, even(n))), least))
        return cropped(x, n, n), cropped(rows, n, n)
    rows, x = loop(2, refined, [identity(columns, even(n)), filled(whole, 0)], [whole, least])
    return cropped(x, n, n), cropped(rows, n, n)


def _by_reduction(columns: Value) -> tuple[Value, Value]:
    """By way of a bidiagonal matrix B, whose singular values are eigenvalues of [[0, B'], [B, 0]]: that is tridiagonal if rows and
    columns take turns. Halves of these vectors are nearly orthogonal, but for those of values that are rounding errors; the Q of
    all, the greatest value first, is orthogonal, and just as good."""
    few = columns.shape[-1] <= UNBLOCKED
    return (_one_by_one if few else _by_panels)(columns)


def _by_panels(columns: Value) -> tuple[Value, Value]:
    n = columns.shape[-1]
    size = blocks_of(n) * BLOCK
    d, e, steps = bidiagonal(padded(swapped(columns), size, size))
    rows = _right_vectors(window(d, 1, 0, n), window(e, 1, 0, n), LEAF)
    rows = conjugate(cropped(turned_back(padded(rows, n, size), steps), n, n))
    return product(rows, columns), rows


def _one_by_one(columns: Value) -> tuple[Value, Value]:
    d, e, reflections = bidiagonal_of_few(swapped(columns))
    rows = conjugate(turned_back_of_few(_right_vectors(d, e, FEW // 2), reflections))
    return product(rows, columns), rows


def _right_vectors(d: Value, e: Value, leaf: int) -> Value:
    """Right singular vectors of a bidiagonal matrix as rows [b, n, n], the greatest value first."""
    b, n = d.shape
    beside = reshaped(op("concatenate", *(reshaped(x, (b, n, 1)) for x in (d, e)), axis=2), (b, 2 * n))
    _, rows = conquered(zeros(beside, (b, 2 * n)), beside, n, descending=True, leaf=leaf)
    rows = op("slice", rows, start=(0, 0, 0), size=(b, n, n), step=(1, 1, 2))
    return swapped(op("qr", swapped(rows), complete=False)[0])


def _rotated(x: Value, rows: Value, least: Value) -> tuple[Value, Value]:
    """Sweeps over columns [n, m, b] until all are orthogonal, and those ``rows`` [n, n, b] with them."""
    many = x.shape[0]
    limit = epsilon(x) * max(many, 4) ** 0.5

    def goes_on(count: Value, worst: Value, *_: Value) -> Value:
        going = op("gt", worst, filled(worst, limit))
        return op("and", going, op("lt", count, filled(count, SWEEPS[x.dtype.real.name])))

    def sweep(count: Value, worst: Value, x: Value, rows: Value, least: Value) -> list[Value]:
        x, rows, found = loop(many - 1, _round, [x, rows, zeros(x, (), x.dtype.real)], [least])
        return [count + 1, found, x, rows, least]

    first = [zeros(x, (), i32), filled(zeros(x, (), x.dtype.real), 1), x, rows, least]
    _, _, x, rows, _ = repeat_while(goes_on, sweep, first)
    return x, rows


def _round(_: Value, consts: Sequence[Value], carries: Sequence[Value], xs: Sequence[Value]) -> list[Value]:
    """One rotation of each pair; the greatest cosine between two columns that was met; the pairs of the next round."""
    (least,), (x, rows, worst) = consts, carries
    top, bottom = halves(x, 0)
    first, second = (op("sum", squared(v), axes=(1,)) for v in (top, bottom))
    both = op("sum", conjugate(top) * bottom, axes=(1,))
    if x.dtype.is_complex:
        phase, both = conjugate(phase_of(both)), size(both)
        x, rows = turned_rows(x, phase), turned_rows(rows, phase)
    floor = spread(least, first.shape, 1)
    short = [op("max", op("sqrt", v), floor) for v in (first, second)]
    divisor = [select(op("eq", v, filled(v, 0)), filled(v, 1), v) for v in short]
    met = op("reduce_max", op("abs", both / divisor[0] / divisor[1]), axes=(0, 1))
    cosine, sine, _tangent = rotation(first, second, both, short[0] * short[1] * epsilon(x))
    return [moved_on(rotated_rows(x, cosine, sine), 0), moved_on(rotated_rows(rows, cosine, sine), 0), op("max", worst, met)]
