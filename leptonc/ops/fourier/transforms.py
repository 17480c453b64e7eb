"""Fourier transforms of complex and of real arrays along one axis, without a factor, for any length.

Lengths of small prime factors are transformed by ``dft``; above a few thousand as a matrix [n1, n2], first its columns, then, times
roots of unity, its rows (Bailey 1990). Others are convolutions with a chirp (Bluestein 1970) of the next such length. A real
array of even length is half as many complex numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value
from leptonc.ops.fourier.butterflies import radices_of

MOST_POINTS = 4096  # of one kernel: its local buffers and roots fill a part of the second-level cache
TILE_BYTES = 64 * 1024  # of one part of all points of a tile
FEWEST, WIDEST = 8, 16  # transforms beside each other in a tile: a cache line of c64, or two
FINE = 64  # columns with roots of their own; others are products of two


def _op(name: str, *operands: Any, **attrs: Any) -> Value:
    return get_op(name)(*operands, **attrs)


class Transform(Op):
    """Along ``axis``."""

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        return self(*operands, **{**attrs, "axis": attrs["axis"] + 1})

    def check(self, x: TensorType, axis: int, complex_: bool) -> None:
        if not 0 <= axis < x.rank or not x.shape[axis]:
            raise op_error(self.name, f"axis {axis} is no axis of at least one element", {"x": x})
        if x.dtype.is_complex != complex_ or x.dtype.real.bits < 32 or not x.dtype.is_inexact:
            raise op_error(self.name, f"does not take {x.dtype}", {"x": x}, kind=DtypeError)


@register
class fft(Transform):
    """Sums of x_j w^(j k), w = e^(-2 pi i / n), or its conjugate with ``inverse``."""

    name = "fft"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        self.check(types[0], attrs["axis"], True)
        return types[0]

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, axis = np.asarray(arrays[0]), attrs["axis"]
        found = np.fft.ifft(x, axis=axis, norm="forward") if attrs["inverse"] else np.fft.fft(x, axis=axis)
        return found.astype(x.dtype, copy=False)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (self(g, **attrs),)

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        z, axis, inverse = operands[0], attrs["axis"], attrs["inverse"]
        shape = z.shape
        b, n, lanes = prod(shape[:axis]), shape[axis], prod(shape[axis + 1:])
        if n == 1 or not z.type.size:
            return z
        if radices_of(n) is None:
            return _by_chirp(z, axis, inverse)
        if n > MOST_POINTS and lanes > 1:
            order = (*(d for d in range(len(shape)) if d != axis), axis)
            moved = self(_op("transpose", z, perm=order), axis=len(shape) - 1, inverse=inverse)
            return _op("transpose", moved, perm=tuple(int(d) for d in np.argsort(order)))
        flat = _op("reshape", _op("as_reals", z), shape=(b, n, lanes, 2))
        found = _columns(flat, inverse) if n <= MOST_POINTS else _rows(flat, inverse)
        return _op("from_reals", _op("reshape", found, shape=(*shape, 2)))

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...], axis: int, inverse: bool = False) -> Sample:
            return Sample(lambda rng: [rng.standard_normal(shape) + 1j * rng.standard_normal(shape)],
                          {"axis": axis, "inverse": inverse}, False, f"{shape}{axis}{inverse}")

        return [make((12,), 0), make((3, 8), 1), make((6, 10), 0, True), make((17,), 0), make((1, 1), 1), make((0, 3), 1),
                make((2, 19, 3), 1, True), make((5400,), 0)]


def _columns(x: Value, inverse: bool, turned: bool = False, twisted: int = 0) -> Value:
    """x [b, n, l, 2] by one kernel (with ``turned`` [b, l, n, 2]); ``twisted``: times w^(k j) of this order for element (k, j)."""
    n, lanes = (x.shape[2], x.shape[1]) if turned else x.shape[1:3]
    radices = radices_of(n)
    assert radices is not None
    dtype = x.dtype
    widest = max(FEWEST, min(WIDEST, TILE_BYTES // (n * dtype.itemsize)))
    tile = _divisor(lanes, widest)
    emit = x.builder.emit
    table = emit("pass_roots", (), {"radices": radices, "dtype": dtype})
    tables: list[Value] = []
    if twisted:
        fine = tile * _divisor(lanes // tile, max(FINE // tile, 1))
        tables = [emit("grid_roots", (), {"n": twisted, "rows": n, "columns": lanes // fine, "step": fine, "dtype": dtype}),
                  emit("grid_roots", (), {"n": twisted, "rows": n, "columns": fine, "step": 1, "dtype": dtype})]
    return emit("dft", (x, table, *tables), {"radices": radices, "tile": tile, "turned": turned, "inverse": inverse})


def _divisor(n: int, most: int) -> int:
    """The greatest divisor up to ``most``."""
    return max((d for d in range(1, min(n, most) + 1) if n % d == 0), default=1)


def _rows(x: Value, inverse: bool) -> Value:
    """x [b, n, 1, 2] as [b, n1, n2]: columns, roots of unity, then rows, turned as they are read."""
    b, n = x.shape[:2]
    first = max(d for d in range(1, int(n**0.5) + 1) if n % d == 0)
    if n // first > MOST_POINTS:
        first = next((d for d in range(2, MOST_POINTS + 1) if n % d == 0 and n // d <= MOST_POINTS), first)
    second = n // first
    columns = _columns(_op("reshape", x, shape=(b, first, second, 2)), inverse, twisted=n)
    if second <= MOST_POINTS:
        return _columns(columns, inverse, turned=True)
    rows = _op("fft", _op("from_reals", columns), axis=2, inverse=inverse)
    return _op("transpose", _op("as_reals", rows), perm=(0, 2, 1, 3))


def _by_chirp(z: Value, axis: int, inverse: bool) -> Value:
    """j k = (j^2 + k^2 - (k - j)^2) / 2: so the transform is a chirp times a convolution with another."""
    n, rank, emit = z.shape[axis], z.type.rank, z.builder.emit
    m = next(m for m in range(2 * n - 1, 4 * n) if (radices_of(m) or (99,))[0] in (8, 16) and max(radices_of(m) or (99,)) <= 16)
    own = z.dtype.real

    def line(name: str, **attrs: Any) -> Value:
        row = _op("from_reals", emit(name, (), {**attrs, "dtype": own}))
        return _op("broadcast", row, shape=tuple(row.shape[0] if d == axis else k for d, k in enumerate(z.shape)), dims=(axis,))

    z = _op("conj", z) if inverse else z
    none = (0,) * rank
    high = tuple(m - n if d == axis else 0 for d in range(rank))
    padded = _op("pad", z * line("chirp", n=n), low=none, high=high, interior=none, value=0)
    product = _op("fft", padded, axis=axis, inverse=False) * line("chirp_spectrum", n=n, m=m)
    whole = _op("fft", product, axis=axis, inverse=True)
    out = _op("slice", whole, start=none, size=z.shape, step=(1,) * rank) * line("chirp", n=n)
    return _op("conj", out) if inverse else out


def _along(x: Value, axis: int, start: int, size: int, step: int = 1) -> Value:
    """Elements along an axis."""
    return _op("slice", x, start=tuple(start if d == axis else 0 for d in range(x.type.rank)),
               size=tuple(size if d == axis else n for d, n in enumerate(x.shape)),
               step=tuple(step if d == axis else 1 for d in range(x.type.rank)))


def _last(x: Value, axis: int) -> Value:
    order = (*(d for d in range(x.type.rank) if d != axis), axis)
    return x if axis == x.type.rank - 1 else _op("transpose", x, perm=order)


def _back(x: Value, axis: int) -> Value:
    rank = x.type.rank
    order = (*range(axis), rank - 1, *range(axis, rank - 1))
    return x if axis == rank - 1 else _op("transpose", x, perm=order)


def _line(x: Value, n: int, count: int, conjugate: bool) -> Value:
    """Roots of order n along the last axis, in the shape of x."""
    row = x.builder.emit("line_roots", (), {"n": n, "count": count, "conjugate": conjugate, "dtype": x.dtype.real})
    return _op("broadcast", _op("from_reals", row), shape=x.shape, dims=(x.type.rank - 1,))


def _with_mirror(x: Value) -> tuple[Value, Value]:
    """x_k and conj(x_(h - k)) along the last axis, k = 0 ... h, of what has period h or is given to h."""
    return x, _op("conj", _along(x, x.type.rank - 1, x.shape[-1] - 1, x.shape[-1], -1))


@register
class rfft(Transform):
    """The first n // 2 + 1 of the sums that ``fft`` has of reals."""

    name = "rfft"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, axis = types[0], attrs["axis"]
        self.check(x, axis, False)
        return TensorType(tuple(n // 2 + 1 if d == axis else n for d, n in enumerate(x.shape)), x.dtype.complex)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x = np.asarray(arrays[0])
        return np.fft.rfft(x, axis=attrs["axis"]).astype(np.result_type(x.dtype, np.complex64), copy=False)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """The transform of the cotangents with zeros for the sums left out."""
        axis, n, rank = attrs["axis"], operands[0].shape[attrs["axis"]], g.type.rank
        none = (0,) * rank
        high = tuple(n - g.shape[d] if d == axis else 0 for d in range(rank))
        padded = _op("pad", g, low=none, high=high, interior=none, value=0)
        return (_op("real", _op("fft", padded, axis=axis, inverse=False)),)

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        axis = attrs["axis"]
        x = _last(operands[0], axis)
        n, rank = x.shape[-1], x.type.rank
        if n % 2 or n < 4:
            whole = _op("fft", _op("complex", x, x.builder.full(x.type, 0)), axis=rank - 1, inverse=False)
            return _back(_along(whole, rank - 1, 0, n // 2 + 1), axis)
        half = n // 2
        z = _op("from_reals", _op("reshape", x, shape=(*x.shape[:-1], half, 2)))  # x_0 + i x_1, x_2 + i x_3 ...
        z = _op("fft", z, axis=rank - 1, inverse=False)
        z, mirror = _with_mirror(_op("concatenate", z, _along(z, rank - 1, 0, 1), axis=rank - 1))
        even, odd = (z + mirror) * 0.5, (z - mirror) * -0.5j
        return _back(even + odd * _line(odd, n, half + 1, False), axis)

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...], axis: int) -> Sample:
            return Sample(lambda rng: [rng.standard_normal(shape)], {"axis": axis}, False, f"{shape}{axis}")

        return [make((12,), 0), make((3, 8), 1), make((6, 5), 0), make((9,), 0), make((1, 1), 1), make((2,), 0), make((0, 4), 1)]


@register
class irfft(Transform):
    """The ``n`` reals that have these sums, times n; imaginary parts of the first and, for an even n, of the last count as 0."""

    name = "irfft"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, axis, n = types[0], attrs["axis"], attrs["n"]
        self.check(x, axis, True)
        if n < 1 or x.shape[axis] != n // 2 + 1:
            raise op_error(self.name, f"{n} points have {n // 2 + 1} sums along axis {axis}", {"x": x})
        return TensorType(tuple(n if d == axis else k for d, k in enumerate(x.shape)), x.dtype.real)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x = np.asarray(arrays[0])
        return np.fft.irfft(x, attrs["n"], attrs["axis"], norm="forward").astype(x.real.dtype, copy=False)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Sums that stand for two count twice."""
        axis, n = attrs["axis"], attrs["n"]
        sums = _op("conj", _op("rfft", g, axis=axis))
        factors = np.full(n // 2 + 1, 2.0)
        factors[[0, -1] if n % 2 == 0 else [0]] = 1
        row = g.builder.constant(factors.astype(sums.dtype.numpy))
        return (sums * _op("broadcast", row, shape=sums.shape, dims=(axis,)),)

    def expand(self, *operands: Value, **attrs: Any) -> Value:
        axis, n = attrs["axis"], attrs["n"]
        x = _last(operands[0], axis)
        rank, half = x.type.rank, n // 2
        ends = np.ones(x.shape[-1])
        ends[[0, -1] if n % 2 == 0 else [0]] = 0
        mask = _op("broadcast", x.builder.constant(ends.astype(x.dtype.real.numpy)), shape=x.shape, dims=(rank - 1,))
        x = _op("complex", _op("real", x), _op("imag", x) * mask)
        if n % 2 or n < 4:
            count = n - x.shape[-1]
            rest = _op("conj", _along(x, rank - 1, count if count else 0, count, -1))
            whole = _op("fft", _op("concatenate", x, rest, axis=rank - 1), axis=rank - 1, inverse=True)
            return _back(_op("real", whole), axis)
        x, mirror = _with_mirror(x)
        odd = x - mirror
        z = (x + mirror) + odd * _line(odd, n, half + 1, True) * 1j
        z = _op("fft", _along(z, rank - 1, 0, half), axis=rank - 1, inverse=True)
        return _back(_op("reshape", _op("as_reals", z), shape=(*x.shape[:-1], n)), axis)

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...], axis: int, n: int) -> Sample:
            return Sample(lambda rng: [rng.standard_normal(shape) + 1j * rng.standard_normal(shape)], {"axis": axis, "n": n}, False,
                          f"{shape}{axis}{n}")

        return [make((7,), 0, 12), make((7,), 0, 13), make((3, 5), 1, 8), make((3, 5), 0, 5), make((1,), 0, 1), make((2, 2), 1, 2),
                make((0, 3), 1, 4)]
