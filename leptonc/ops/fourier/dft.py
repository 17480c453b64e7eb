"""Transforms of few thousand points, pass by pass in memory that the cache holds: Stockham's algorithm, which sorts as it goes.

A pass of radix r sees its part of r m points as [r, m], next to each other s points of other parts: from x[j, p, q] it makes
y[p, k, q] = w^(p k) sum over j of x[j, p, q] e^(-2 pi i j k / r). All passes run at each outer point: of a transform, or of a tile
of transforms that lie beside each other, along whose lanes they are vectors.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import op_error
from leptonc.ir.kernel import Axis, Index, Kernel, Param
from leptonc.ir.kernelbuilder import KernelBuilder, StageBuilder
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.types import TensorType, f64
from leptonc.ir.value import Value
from leptonc.ops.fourier.butterflies import Point, product, transform
from leptonc.ops.fourier.tables import roots, table_offsets


@register
class dft(Op):
    """x [b, n, l, 2] transformed along n, the product of ``radices``, without a factor; ``inverse``: with w's conjugates.

    ``turned``: x is [b, l, n, 2]. ``tile``: so many of l, which it divides, are transformed together. With tables ``coarse`` [2, n,
    l / c] and ``fine`` [2, n, c], element (k, j) is multiplied by coarse[k, j // c] fine[k, j % c]; tile divides c.
    """

    name, operand_names = "dft", ("x", "table", "coarse", "fine")
    rounds = True  # roots of unity of small orders

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, n = types[0], prod(attrs["radices"])
        b, first, second, two = x.shape if x.rank == 4 else (0, 0, 0, 0)
        length, lanes = (second, first) if attrs["turned"] else (first, second)
        if length != n or two != 2 or attrs["tile"] < 1 or lanes % attrs["tile"]:
            raise op_error(self.name, f"{n} points of radices {attrs['radices']}, tiles of {attrs['tile']}", {"x": x})
        return x.with_shape((b, n, lanes, 2))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x = np.asarray(arrays[0])
        x = np.swapaxes(x, 1, 2) if attrs["turned"] else x
        z = x[..., 0] + 1j * x[..., 1]
        z = np.fft.ifft(z, axis=1, norm="forward") if attrs["inverse"] else np.fft.fft(z, axis=1)
        if len(arrays) == 4:
            coarse, fine = (np.asarray(a)[0] + 1j * np.asarray(a)[1] for a in arrays[2:])
            factors = (coarse[:, :, None] * fine[:, None, :]).reshape(z.shape[1:])
            z = z * (factors.conj() if attrs["inverse"] else factors)
        return np.stack([z.real, z.imag], -1).astype(x.dtype)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        return _Lowering(types, attrs).kernel(self.infer(*types, **attrs))

    def batch(self, axis: Any, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        """Examples are more transforms; with tables of their own, one after the other."""
        x = operands[0]
        if any(batched[1:]):
            whole = axis.front(batched, operands)
            alone = [self(*(_example(v, n) for v in whole), **attrs) for n in range(axis.size)]
            parts = [get_op("reshape")(y, shape=(1, *y.shape)) for y in alone]
            shape = self.infer(*(v.type.with_shape(v.shape[1:]) for v in whole), **attrs).shape
            return get_op("concatenate")(*parts, axis=0) if parts else x.builder.full(x.type.with_shape((0, *shape)), 0)
        flat = get_op("reshape")(x, shape=(x.shape[0] * x.shape[1], *x.shape[2:]))
        out = self(flat, *operands[1:], **attrs)
        return get_op("reshape")(out, shape=(x.shape[0], x.shape[1], *out.shape[1:]))

    def samples(self) -> Sequence[Sample]:
        def make(shape: tuple[int, ...], radices: tuple[int, ...], tile: int = 1, turned: bool = False, inverse: bool = False,
                 columns: int = 0) -> Sample:
            n, attrs = prod(radices), {"radices": radices, "tile": tile, "turned": turned, "inverse": inverse}

            def arrays(rng: np.random.Generator) -> list[np.ndarray]:
                x = rng.standard_normal(shape)
                table = get_op("pass_roots").eager(radices=radices, dtype=f64)
                lanes = shape[1] if turned else shape[2]
                parts = [_grid(n, lanes // columns, columns, n * lanes), _grid(n, columns, 1, n * lanes)] if columns else []
                return [x, np.asarray(table), *parts]

            return Sample(arrays, attrs, False, f"{shape}{radices}{turned}{inverse}")

        return [make((3, 40, 1, 2), (8, 5)), make((2, 12, 6, 2), (4, 3), 3), make((2, 6, 12, 2), (4, 3), 2, True, True),
                make((1, 16, 32, 2), (16,), 16, columns=16), make((2, 7, 1, 2), (7,)), make((1, 130, 1, 2), (13, 5, 2)),
                make((2, 99, 1, 2), (9, 11), inverse=True), make((1, 1000, 1, 2), (8, 5, 5, 5)), make((0, 8, 1, 2), (8,))]


def _example(x: Value, n: int) -> Value:
    rest = x.type.rank - 1
    one = get_op("slice")(x, start=(n, *(0,) * rest), size=(1, *x.shape[1:]), step=(1,) * (rest + 1))
    return get_op("reshape")(one, shape=x.shape[1:])


def _grid(rows: int, columns: int, step: int, n: int) -> np.ndarray:
    z = roots(np.outer(np.arange(rows), np.arange(columns) * step), n)
    return np.stack([z.real, z.imag])


class _Lowering:
    """A kernel with a stage for each pass; what lies between them is local to an outer point, real and imaginary parts apart."""

    def __init__(self, types: Sequence[TensorType], attrs: dict[str, Any]):
        self.attrs = attrs
        self.k = KernelBuilder("dft")
        self.params = [self.k.input(t) for t in types]
        self.radices: tuple[int, ...] = attrs["radices"]
        self.tile: int = attrs["tile"]
        self.offsets = table_offsets(self.radices)

    def kernel(self, result: TensorType) -> Kernel:
        b, n, lanes, _ = result.shape
        self.n, last = n, self.radices[-1] if self.radices else 1
        self.out = self.k.output(result.with_shape((b, last, n // last, lanes, 2)))
        columns = self.params[3].type.shape[2] if len(self.params) == 4 else lanes
        self.batch, self.column, self.group = self.k.axes((b, lanes // columns, columns // self.tile))
        self.columns = columns
        self.k.outer = (self.batch, self.column, self.group)
        m, s = n, 1
        before: tuple[Param, Param] | None = None
        for number, r in enumerate(self.radices):
            m //= r
            before = self._pass(number, r, m, s, before)
            s *= r
        return self.k.build()

    def _pass(self, number: int, r: int, m: int, s: int, before: tuple[Param, Param] | None) -> tuple[Param, Param] | None:
        shape = before[0].type.shape if before else (0, 1, 1, 0)
        p, ahead, q, lane = self.k.axes((m, shape[1], shape[2], self.tile))
        stage = self.k.stage((p, ahead, q, lane))
        place = ahead * shape[2] + q  # among the s points beside each other
        x = [self._loaded(stage, before, j * m + p, (ahead, q), lane) for j in range(r)]
        y = transform(stage, x)
        if m > 1:
            y = [y[0], *(product(stage, self._root(stage, number, r, m, k, p), y[k]) for k in range(1, r))]
        if number == len(self.radices) - 1:
            self._store_result(stage, y, s, place, lane)
            return None
        after = tuple(self.k.local(TensorType((m, r, s, self.tile), self.out.type.dtype)) for _ in range(2))
        for k, point in enumerate(y):
            for buffer, value in zip(after, point):
                stage.store(buffer, (p, k, place, lane), value)
        return after[0], after[1]

    def _lane(self, lane: Axis) -> Index:
        """Which of the transforms beside each other."""
        return self.column * self.columns + self.group * self.tile + lane

    def _loaded(self, stage: StageBuilder, before: tuple[Param, Param] | None, j: Any, place: tuple[Axis, Axis],
                lane: Axis) -> Point:
        if before is not None:
            return Point(*(stage.load(buffer, (j, *place, lane)) for buffer in before))
        where = (self._lane(lane), j) if self.attrs["turned"] else (j, self._lane(lane))
        parts = (1, 0) if self.attrs["inverse"] else (0, 1)  # exchanged, a forward transform is an inverse one
        return Point(*(stage.load(self.params[0], (self.batch, *where, part)) for part in parts))

    def _root(self, stage: StageBuilder, number: int, r: int, m: int, k: int, p: Axis) -> Point:
        first = self.offsets[number] + (k - 1) * m
        return Point(*(stage.load(self.params[1], (p + (first + part * (r - 1) * m),)) for part in range(2)))

    def _store_result(self, stage: StageBuilder, y: Sequence[Point], s: int, place: Index, lane: Axis) -> None:
        parts = (1, 0) if self.attrs["inverse"] else (0, 1)
        for k, point in enumerate(y):
            if len(self.params) == 4:
                point = self._multiplied(stage, point, place + k * s, lane)
            for part in range(2):
                stage.store(self.out, (self.batch, k, place, self._lane(lane), part), point[parts[part]])

    def _multiplied(self, stage: StageBuilder, y: Point, row: Index, lane: Axis) -> Point:
        coarse = Point(*(stage.load(self.params[2], (part, row, self.column)) for part in range(2)))
        fine = Point(*(stage.load(self.params[3], (part, row, self.group * self.tile + lane)) for part in range(2)))
        return product(stage, y, product(stage, coarse, fine))
