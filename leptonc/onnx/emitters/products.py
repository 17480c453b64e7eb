"""Products of tensors, convolutions, transposed convolutions. ONNX has channels first, and weights [o, c, kernel...]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leptonc.ir.graph import Node
from leptonc.ir.types import i32
from leptonc.onnx.emitters.arranging import edged, sliced
from leptonc.onnx.writer import Shape, Tensor, Writer, emits


@emits("dot_general")
def dot_general(w: Writer, node: Node, a: Tensor, b: Tensor) -> str:
    """MatMul of [batch..., rows, folded] and [batch..., folded, columns]."""
    (fold_a, fold_b), (batch_a, batch_b) = node.attributes["contract"], node.attributes["batch"]
    free_a, free_b = (_rest(x.type.rank, (*fold, *batch)) for x, fold, batch in ((a, fold_a, batch_a), (b, fold_b, batch_b)))
    left, right = (*batch_a, *free_a, *fold_a), (*batch_b, *fold_b, *free_b)
    x, y = w.transpose(_computed(w, a), left), w.transpose(_computed(w, b), right)
    rows, columns, folded = (_extents(t, axes) for t, axes in ((a, free_a), (b, free_b), (a, fold_a)))
    batch = _extents(a, batch_a)
    if len(folded) != 1 or len(columns) != 1 or (batch and len(rows) != 1) or not rows:
        flat = _product(rows), _product(columns), _product(folded)
        x = w.reshape(x, (*batch, *rows, *folded), (*batch, *(rows if rows and not batch else flat[:1]), flat[2]))
        y = w.reshape(y, (*batch, *folded, *columns), (*batch, flat[2], flat[1]))
        made = (*batch, *(rows if rows and not batch else flat[:1]), flat[1])
    else:
        made = (*batch, *rows, *columns)
    out = w.reshape(w.add("MatMul", x, y), made, node.types[0].shape)
    return w.cast(out, i32 if _is_short(a) else a.type.dtype, a.type.dtype)


def _rest(rank: int, axes: Sequence[int]) -> Shape:
    return tuple(d for d in range(rank) if d not in axes)


def _extents(x: Tensor, axes: Sequence[int]) -> Shape:
    return tuple(x.type.shape[d] for d in axes)


def _product(extents: Shape) -> int:
    out = 1
    for n in extents:
        out = out * n
    return out


def _is_short(x: Tensor) -> bool:
    return x.type.dtype.is_int and x.type.dtype.bits < 32


def _computed(w: Writer, x: Tensor) -> str:
    """Short ints as i32: what is left of it wraps around when it is cast back."""
    return w.cast(w.full(x), x.type.dtype, i32) if _is_short(x) else w.full(x)


def channels_first(rank: int) -> tuple[int, ...]:
    return (0, rank - 1, *range(1, rank - 1))


def channels_last(rank: int) -> tuple[int, ...]:
    return (0, *range(2, rank), 1)


def kept(w: Writer, x: str, shape: Shape, padding: Sequence[tuple[int, int]]) -> tuple[str, list[tuple[int, int]]]:
    """x [n, spatial..., c] without what negative padding cuts off, and the padding that is left."""
    start = (0, *(max(-low, 0) for low, _ in padding), 0)
    size = (shape[0], *(n - max(-low, 0) - max(-high, 0) for n, (low, high) in zip(shape[1:-1], padding)), shape[-1])
    return sliced(w, x, shape, start, size, (1,) * len(shape)), [(max(low, 0), max(high, 0)) for low, high in padding]


def window_attributes(attrs: dict[str, Any], padding: Sequence[tuple[int, int]]) -> dict[str, Any]:
    return {"strides": list(attrs["stride"]), "dilations": list(attrs["dilation"]), "group": attrs["groups"],
            "pads": [*(low for low, _ in padding), *(high for _, high in padding)]}


@emits("conv")
def conv(w: Writer, node: Node, x: Tensor, kernel: Tensor) -> str:
    if not x.type.dtype.is_float:
        raise w.fault(node, [x, kernel], "convolutions of ints are not exported", "cast to floats")
    rank, attrs = x.type.rank, node.attributes
    image, padding = kept(w, w.full(x), x.type.shape, attrs["padding"])
    weights = w.transpose(w.full(kernel), (rank - 1, rank - 2, *range(rank - 2)))
    out = w.add("Conv", w.transpose(image, channels_first(rank)), weights, **window_attributes(attrs, padding))
    return w.transpose(out, channels_last(rank))


@emits("conv_input_grad")
def transposed(w: Writer, node: Node, g: Tensor, kernel: Tensor) -> str:
    """A convolution the other way round. ``pads`` of ONNX crop its result; where ``shape`` goes beyond it there are zeros."""
    if not g.type.dtype.is_float:
        raise w.fault(node, [g, kernel], "convolutions of ints are not exported", "cast to floats")
    rank, attrs = g.type.rank, node.attributes
    whole = [(n - 1) * s + (k - 1) * d + 1 for n, k, s, d in zip(
        g.type.shape[1:-1], kernel.type.shape[:-2], attrs["stride"], attrs["dilation"])]
    lows = [low for low, _ in attrs["padding"]]
    cuts = [(low, n - low - shape) for low, n, shape in zip(lows, whole, attrs["shape"])]
    weights = w.transpose(w.full(kernel), (rank - 1, rank - 2, *range(rank - 2)))
    out = w.add("ConvTranspose", w.transpose(w.full(g), channels_first(rank)), weights,
                **window_attributes(attrs, [(max(low, 0), max(high, 0)) for low, high in cuts]))
    grown = edged(w, out, [0, 0, *(max(-low, 0) for low, _ in cuts)], [0, 0, *(max(-high, 0) for _, high in cuts)],
                  w.number(0, g.type.dtype))
    return w.transpose(grown, channels_last(rank))
