"""Ops along an axis: what all elements up to each one make, and Fourier transforms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from leptonc.ir.graph import Node
from leptonc.ir.prefix import doubled, neutral
from leptonc.ir.types import i64
from leptonc.onnx.emitters.arranging import edged, sliced
from leptonc.onnx.emitters.elementwise import Formula, logaddexp
from leptonc.onnx.emitters.reductions import folding_type
from leptonc.onnx.extents import Extent
from leptonc.onnx.writer import Shape, Tensor, Writer, emits


@emits("cumsum")
def cumsum(w: Writer, node: Node, x: Tensor) -> str:
    dtype, wide = x.type.dtype, folding_type(x.type.dtype)
    axis = w.number(node.attributes["axis"], i64)
    return w.cast(w.add("CumSum", w.cast(w.full(x), dtype, wide), axis, reverse=int(node.attributes["reverse"])), wide, dtype)


@dataclass(frozen=True)
class _Rows:
    """A value whose rows are joined with themselves."""

    name: str
    shape: Shape


def _cumulative(name: str, join: str, formula: Formula) -> None:
    """ONNX has sums alone (others since opset 26): log2(n) joins with itself, shifted."""

    @emits(name)
    def cumulated(w: Writer, node: Node, x: Tensor) -> str:
        dtype, wide = x.type.dtype, folding_type(x.type.dtype)
        axis, shape = node.attributes["axis"], x.type.shape
        if isinstance(shape[axis], Extent):
            raise w.fault(node, [x], "the axis is an open dimension, of whose extent the steps depend", "give it an extent")
        value = w.cast(w.number(neutral(join, dtype), dtype), dtype, wide)

        def shifted(rows: _Rows, low: Shape, high: Shape) -> _Rows:
            padded = edged(w, rows.name, [max(n, 0) for n in low], [max(n, 0) for n in high], value)
            grown = tuple(n + max(a, 0) + max(b, 0) for n, a, b in zip(shape, low, high))
            return _Rows(sliced(w, padded, grown, [max(-n, 0) for n in low], shape, (1,) * len(shape)), shape)

        def joined(a: _Rows, b: _Rows) -> _Rows:
            return _Rows(formula(w, wide, a.name, b.name), shape)

        rows = doubled(_Rows(w.cast(w.full(x), dtype, wide), shape), axis, node.attributes["reverse"], joined, shifted)
        return w.cast(rows.name, wide, dtype)


_cumulative("cumprod", "mul", lambda w, dtype, a, b: w.add("Mul", a, b))
_cumulative("cummax", "max", lambda w, dtype, a, b: w.add("Max", a, b))
_cumulative("cummin", "min", lambda w, dtype, a, b: w.add("Min", a, b))
_cumulative("cumlogsumexp", "logaddexp", logaddexp)


MOST_POINTS = 1024  # of a transform: its matrix has four times their square


@emits("dft")
def dft(w: Writer, node: Node, x: Tensor, *tables: Tensor) -> str:
    """A product with a matrix: ONNX Runtime's own DFT of f32, if n is no power of two, is wrong by 1e-4."""
    batch, n, lanes, two = node.types[0].shape
    if len(tables) > 1 or n > MOST_POINTS:
        raise w.fault(node, [x], f"transforms of more than {MOST_POINTS} points are not exported", "take shorter ones")
    rows = w.full(x) if node.attributes["turned"] else w.transpose(w.full(x), (0, 2, 1, 3))
    flat = batch * lanes, n * two
    matrix = w.constant(_matrix(n, node.attributes["inverse"]).astype(x.type.dtype.numpy))
    out = w.add("MatMul", w.reshape(rows, (batch, lanes, n, two), flat), matrix)
    return w.transpose(w.reshape(out, flat, (batch, lanes, n, two)), (0, 2, 1, 3))


def _matrix(n: int, inverse: bool) -> np.ndarray:
    """What n points, each a real and an imaginary part, are multiplied by: e^(-2 pi i j k / n), conjugates for the inverse."""
    angles = 2 * np.pi / n * (np.outer(np.arange(n), np.arange(n)) % n)
    cos, sin = np.cos(angles), np.sin(angles) * (-1 if inverse else 1)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], 1).reshape(2 * n, 2 * n)


@emits("part")
def part(w: Writer, node: Node, x: Tensor) -> str:
    """The real or the imaginary part, of [..., 2]."""
    return str(w.add("Gather", w.full(x), w.number(node.attributes["number"], i64), axis=-1))


@emits("joined")
def joined(w: Writer, node: Node, re: Tensor, im: Tensor) -> str:
    """Both parts as [..., 2]."""
    shape = re.type.shape
    return str(w.add("Concat", *(w.reshape(w.full(x), shape, (*shape, 1)) for x in (re, im)), axis=-1))
