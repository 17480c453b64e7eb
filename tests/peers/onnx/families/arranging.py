"""Ops that make, move or choose elements by shapes and numbers known while tracing."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

import leptonc.numpy as lnp
from leptonc import lax, nn
from tests.peers.onnx import types
from tests.peers.onnx.registry import Node, NotImportedError, op
from tests.peers.onnx.values import integers, known, one


@op("Identity")
def identity(node: Node, x: Any) -> Any:
    return x


@op("Cast")
def cast(node: Node, x: Any) -> Any:
    return types.cast(x, node.get("to"), bool(node.get("saturate", 1)), node.get("round_mode", "up"))


@op("CastLike")
def cast_like(node: Node, x: Any, like: Any) -> Any:
    element_type = node.input_types[1]
    if element_type is None:
        return lnp.astype(x, like.dtype)
    return types.cast(x, element_type, bool(node.get("saturate", 1)), node.get("round_mode", "up"))


@op("Shape")
def shape(node: Node, x: Any) -> Any:
    return np.array(x.shape[slice(node.get("start", 0), node.get("end"))], np.int64)


@op("Size")
def size(node: Node, x: Any) -> Any:
    return np.array(prod(x.shape), np.int64)


@op("Constant")
def constant(node: Node) -> Any:
    for kind, dtype in (("float", np.float32), ("floats", np.float32), ("int", np.int64), ("ints", np.int64)):
        if f"value_{kind}" in node.attributes:
            return np.asarray(node.get(f"value_{kind}"), dtype)
    if "value" not in node.attributes:
        raise NotImportedError("strings")
    return node.get("value")


@op("ConstantOfShape", known=(0,))
def constant_of_shape(node: Node, extents: Any) -> Any:
    value = np.asarray(node.get("value", np.zeros(1, np.float32)))
    return lnp.full(tuple(integers(extents)), value.reshape(()), value.dtype)


@op("EyeLike")
def eye_like(node: Node, x: Any) -> Any:
    dtype = types.dtype(node.get("dtype")) if "dtype" in node.attributes else x.dtype
    return lnp.eye(*x.shape, k=node.get("k", 0), dtype=dtype)


@op("Range", known=(0, 1, 2))
def range_(node: Node, start: Any, limit: Any, delta: Any) -> Any:
    first, step = known(start).reshape(()), known(delta).reshape(())
    count = max(int(np.ceil((known(limit).reshape(()).item() - first.item()) / step.item())), 0)
    return lnp.astype(lnp.asarray(first + np.arange(count).astype(first.dtype) * step), first.dtype)


@op("Reshape", known=(1,))
def reshape(node: Node, x: Any, extents: Any = None) -> Any:
    wanted = node.get("shape") if extents is None else integers(extents)
    copied = [x.shape[d] if n == 0 and not node.get("allowzero", 0) else n for d, n in enumerate(wanted)]
    return lnp.reshape(x, tuple(copied))


@op("Flatten")
def flatten(node: Node, x: Any) -> Any:
    axis = node.get("axis", 1)
    axis += len(x.shape) if axis < 0 else 0
    return lnp.reshape(x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


@op("Transpose")
def transpose(node: Node, x: Any) -> Any:
    return lnp.transpose(x, node.get("perm"))


@op("Squeeze", known=(1,))
def squeeze(node: Node, x: Any, axes: Any = None) -> Any:
    wanted = node.get("axes") if axes is None else integers(axes)
    return lnp.squeeze(x, None if wanted is None else tuple(wanted))


@op("Unsqueeze", known=(1,))
def unsqueeze(node: Node, x: Any, axes: Any = None) -> Any:
    return lnp.expand_dims(x, tuple(node.get("axes") if axes is None else integers(axes)))


@op("Concat")
def concat(node: Node, *xs: Any) -> Any:
    return lnp.concatenate(xs, node.get("axis"))


@op("Split", known=(1,))
def split(node: Node, x: Any, sizes: Any = None) -> Any:
    axis = node.get("axis", 0)
    extents = node.get("split") if sizes is None else integers(sizes)
    if extents is None:
        n, count = x.shape[axis], node.get("num_outputs", node.outputs)
        part = -(-n // count)
        extents = [part] * (count - 1) + [n - part * (count - 1)]
    return tuple(lax.split(x, extents, axis % len(x.shape)))


@op("Slice", known=(1, 2, 3, 4))
def slice_(node: Node, x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Any:
    first, last = ((node.get(name) if given is None else integers(given)) for name, given in (("starts", starts), ("ends", ends)))
    along = (node.get("axes") or list(range(len(first)))) if axes is None else integers(axes)
    strides = [1] * len(first) if steps is None else integers(steps)
    index = [slice(None)] * len(x.shape)
    for axis, begin, end, stride in zip(along, first, last, strides):
        n = x.shape[axis]
        low = -n - 1 if stride < 0 else -n
        begin, end = max(begin, low), max(end, low)
        index[axis] = slice(begin, None if stride < 0 and end < -n else end, stride)
    return x[tuple(index)]


@op("Expand", known=(1,))
def expand(node: Node, x: Any, extents: Any) -> Any:
    return lnp.broadcast_to(x, np.broadcast_shapes(x.shape, tuple(integers(extents))))


@op("Tile", known=(1,))
def tile(node: Node, x: Any, repeats: Any) -> Any:
    return lnp.tile(x, tuple(integers(repeats)))


@op("Pad", known=(1, 3))
def pad(node: Node, x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
    rank, edges = len(x.shape), node.get("pads") if pads is None else integers(pads)
    along = list(range(rank)) if axes is None else integers(axes)
    pairs = [(0, 0)] * rank
    for n, axis in enumerate(along):
        pairs[axis] = (edges[n], edges[n + len(along)])
    x = x[tuple(slice(max(-low, 0), n - max(-high, 0)) for n, (low, high) in zip(x.shape, pairs))]
    pairs = [(max(low, 0), max(high, 0)) for low, high in pairs]
    mode = node.get("mode", "constant")
    if mode != "constant":
        return lnp.pad(x, pairs, mode)
    fill = lnp.reshape(value, ()) if value is not None else node.get("value", 0)
    return lnp.pad(x, pairs, constant_values=fill)


@op("DepthToSpace")
def depth_to_space(node: Node, x: Any) -> Any:
    (n, c, h, w), b = x.shape, node.get("blocksize")
    if node.get("mode", "DCR") == "DCR":
        moved = lnp.transpose(lnp.reshape(x, (n, b, b, c // b**2, h, w)), (0, 3, 4, 1, 5, 2))
    else:
        moved = lnp.transpose(lnp.reshape(x, (n, c // b**2, b, b, h, w)), (0, 1, 4, 2, 5, 3))
    return lnp.reshape(moved, (n, c // b**2, h * b, w * b))


@op("SpaceToDepth")
def space_to_depth(node: Node, x: Any) -> Any:
    (n, c, h, w), b = x.shape, node.get("blocksize")
    parts = lnp.reshape(x, (n, c, h // b, b, w // b, b))
    perm = (0, 3, 5, 1, 2, 4) if node.get("mode", "DCR") == "DCR" else (0, 1, 3, 5, 2, 4)
    return lnp.reshape(lnp.transpose(parts, perm), (n, c * b * b, h // b, w // b))


@op("Trilu", known=(1,))
def trilu(node: Node, x: Any, k: Any = None) -> Any:
    offset = 0 if k is None else one(k)
    return lnp.triu(x, offset) if node.get("upper", 1) else lnp.tril(x, offset)


@op("ReverseSequence")
def reverse_sequence(node: Node, x: Any, lengths: Any) -> Any:
    time, batch = node.get("time_axis", 0), node.get("batch_axis", 1)
    moved = lnp.moveaxis(x, (batch, time), (0, 1))
    steps, n = lnp.arange(moved.shape[1]), lnp.reshape(lengths, (-1, 1))
    places = lnp.where(steps < n, n - 1 - steps, steps)
    out = lnp.take_along_axis(moved, lnp.reshape(places, (*places.shape, *(1,) * (len(x.shape) - 2))), 1)
    return lnp.moveaxis(out, (0, 1), (batch, time))


@op("OneHot", known=(1,))
def one_hot(node: Node, indices: Any, depth: Any, values: Any) -> Any:
    count = one(depth)
    numbers = lnp.mod(lnp.astype(indices, np.int64), count)  # negative ones count from the end
    inside = (indices >= -count) & (indices < count)
    numbers = lnp.where(inside, numbers, count)
    return lnp.where(nn.one_hot(numbers, count, bool, node.get("axis", -1)), values[1], values[0])


@op("Compress", known=(1,))
def compress(node: Node, x: Any, condition: Any) -> Any:
    return lnp.compress(known(condition), x, node.get("axis"))


@op("Dropout", known=(1, 2))
def dropout(node: Node, x: Any, ratio: Any = None, training: Any = None) -> Any:
    drops = training is not None and bool(known(training)) and (0.5 if ratio is None else float(known(ratio))) > 0
    if drops:
        raise NotImportedError("random numbers of another generator")
    return (x, lnp.ones(x.shape, bool))[:node.outputs] if node.outputs > 1 else x


@op("Bernoulli")
def bernoulli(node: Node, x: Any) -> Any:
    raise NotImportedError("random numbers of another generator")
