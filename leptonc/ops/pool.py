"""Pooling over windows of the spatial dimensions: x is [n, spatial..., c].

``window``, ``stride`` and ``padding`` ((low, high) pairs, not negative) have an entry per spatial dimension. Padded
cells never win a maximum and add nothing to a sum. The gradient of a maximum goes to its first position, which
``max_pool_index`` gives as the row-major number of the cell in its window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.kernel import Kernel, Param, reduction_identity
from leptonc.ir.kernelbuilder import KernelBuilder, Scalar
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.types import DType, TensorType, dtype_of, i32, u8
from leptonc.ir.value import Value
from leptonc.ops.conv import out_extent

Shape = tuple[int, ...]


def pooled_spatial(spatial: Shape, attrs: dict[str, Any]) -> Shape:
    return tuple(out_extent(n, k, s, p, 1) for n, k, s, p in zip(spatial, attrs["window"], attrs["stride"], attrs["padding"]))


def index_dtype(window: Shape) -> DType:
    return u8 if prod(window) <= 255 else i32


def _check(op: str, rank: int, attrs: dict[str, Any], operands: dict[str, object]) -> None:
    for key in ("window", "stride", "padding"):
        if len(attrs[key]) != rank:
            raise op_error(op, f"{key} {attrs[key]} needs {rank} entries", operands)
    if rank < 1 or any(n < 1 for n in (*attrs["window"], *attrs["stride"])):
        raise op_error(op, "window and stride must be at least 1, over at least one dimension", operands)
    if any(not 0 <= p < k for pair, k in zip(attrs["padding"], attrs["window"]) for p in pair):
        raise op_error(op, "padding must be less than the window: a window of padding alone has no value", operands)


def _pooled(op: str, x: TensorType, attrs: dict[str, Any]) -> TensorType:
    _check(op, x.rank - 2, attrs, {"x": x})
    spatial = pooled_spatial(x.shape[1:-1], attrs)
    if any(n < 1 for n in spatial):
        raise op_error(op, f"the window {attrs['window']} does not fit into x", {"x": x})
    return x.with_shape((x.shape[0], *spatial, x.shape[-1]))


def _unpooled(op: str, g: TensorType, attrs: dict[str, Any]) -> TensorType:
    _check(op, g.rank - 2, attrs, {"g": g})
    if len(attrs["shape"]) != g.rank - 2 or pooled_spatial(attrs["shape"], attrs) != g.shape[1:-1]:
        raise op_error(op, f"g does not come from pooling {attrs['shape']}", {"g": g})
    return g.with_shape((g.shape[0], *attrs["shape"], g.shape[-1]))


def _windows(x: np.ndarray, pooled: Shape, attrs: dict[str, Any], fill: Any) -> np.ndarray:
    """[window points, n, pooled..., c]: the cells of every window."""
    padded = np.pad(x, [(0, 0), *((lo, hi + k) for (lo, hi), k in zip(attrs["padding"], attrs["window"])), (0, 0)],
                    constant_values=fill)
    return np.stack([padded[(slice(None), *_reach(tap, pooled, attrs["stride"]))] for tap in _taps(attrs["window"])])


def _taps(window: Shape) -> Iterator[Shape]:
    return product(*(range(k) for k in window))


def _reach(tap: Shape, pooled: Shape, stride: Shape) -> tuple[slice, ...]:
    return tuple(slice(k, k + (o - 1) * s + 1, s) for k, o, s in zip(tap, pooled, stride))


def _scattered(parts: np.ndarray, shape: Shape, attrs: dict[str, Any]) -> np.ndarray:
    """Adjoint of ``_windows``: adds [window points, n, pooled..., c] up in [n, shape..., c]."""
    _, n, *pooled, c = parts.shape
    wide = [s + lo + hi + k for s, (lo, hi), k in zip(shape, attrs["padding"], attrs["window"])]
    out = np.zeros((n, *wide, c), parts.dtype)
    apart = all(w <= s for w, s in zip(attrs["window"], attrs["stride"]))
    for part, tap in zip(parts, _taps(attrs["window"])):
        cells = out[(slice(None), *_reach(tap, tuple(pooled), attrs["stride"]))]
        cells[...] = part if apart else cells + part  # what is not added up keeps the sign of a zero
    return out[(slice(None), *(slice(lo, lo + s) for s, (lo, _) in zip(shape, attrs["padding"])))].copy()


def _type(x: np.ndarray) -> TensorType:
    return TensorType(x.shape, dtype_of(x.dtype))


def _window_kernel(name: str, x: TensorType, result: TensorType, attrs: dict[str, Any], kind: str, fill: Any,
                   index: TensorType | None = None) -> Kernel:
    """One reduction over each window; with ``index``, of the indexed cell alone."""
    k = KernelBuilder(name)
    source = k.input(x)
    chosen = k.input(index) if index is not None else None
    out = k.output(result)
    axes = k.axes(result.shape)
    taps = k.axes(attrs["window"], reduce=True)
    stage = k.stage([*axes, *taps])
    places = [p * s + t - lo for p, s, t, (lo, _) in zip(axes[1:-1], attrs["stride"], taps, attrs["padding"])]
    leaves = any((o - 1) * s + w - 1 - lo >= n or lo > 0 for o, s, w, (lo, _), n in
                 zip(result.shape[1:-1], attrs["stride"], attrs["window"], attrs["padding"], x.shape[1:-1]))
    value = stage.load(source, [axes[0], *places, axes[-1]], fill if leaves else None)
    if chosen is not None:
        here = stage.eq(stage.load(chosen, axes), tap_number(stage, taps, attrs["window"], chosen.type.dtype))
        value = stage.select(here, value, stage.const(0, x.dtype))
    reduced = stage.reduce(kind, value)
    stage.store(out, axes, stage.cast(reduced, result.dtype))
    return k.build()


def tap_number(stage: Any, taps: Sequence[Any], window: Shape, dtype: DType) -> Scalar:
    """Row-major number of a window's cell."""
    step, total = 1, 0
    for tap, extent in reversed(list(zip(taps, window))):
        total = tap * step + total
        step *= extent
    out: Scalar = stage.index(total, dtype)
    return out


def _unpool_kernel(name: str, g: TensorType, index: TensorType | None, result: TensorType, attrs: dict[str, Any]) -> Kernel:
    """Cotangents back to the cells of their windows: a plain store where windows do not overlap, else a sum over taps."""
    k = KernelBuilder(name)
    params = [k.input(t) for t in (g, index) if t is not None]
    if all(w <= s for w, s in zip(attrs["window"], attrs["stride"])):
        _store_cells(k, params, k.output(result, init=0), attrs)
    else:
        _gather_cells(k, params, k.output(result), attrs)
    return k.build()


def _store_cells(k: KernelBuilder, params: list[Param], out: Param, attrs: dict[str, Any]) -> None:
    pooled = params[0].type.shape
    axes = k.axes(pooled[:-1])
    taps = k.axes(attrs["window"])
    channel = k.axes(pooled[-1:])
    stage = k.stage([*axes, *taps, *channel])
    at = [*axes, *channel]
    places = [p * s + t - lo for p, s, t, (lo, _) in zip(axes[1:], attrs["stride"], taps, attrs["padding"])]
    masked = any((o - 1) * s + w - 1 - lo >= n or lo > 0 for o, s, w, (lo, _), n in
                 zip(pooled[1:-1], attrs["stride"], attrs["window"], attrs["padding"], out.type.shape[1:-1]))
    value = stage.load(params[0], at)
    if len(params) == 2:
        here = stage.eq(stage.load(params[1], at), tap_number(stage, taps, attrs["window"], params[1].type.dtype))
        value = stage.select(here, value, stage.const(0, value.dtype))
    stage.store(out, [axes[0], *places, *channel], value, masked=masked)


def _gather_cells(k: KernelBuilder, params: list[Param], out: Param, attrs: dict[str, Any]) -> None:
    axes, taps = k.axes(out.type.shape), k.axes(attrs["window"], reduce=True)
    stage = k.stage([*axes, *taps])
    back = [(i + lo - t).exact_div(s) for i, t, s, (lo, _) in zip(axes[1:-1], taps, attrs["stride"], attrs["padding"])]
    at = [axes[0], *back, axes[-1]]
    value = stage.load(params[0], at, 0)
    if len(params) == 2:
        nowhere = 255 if params[1].type.dtype == u8 else -1
        here = stage.eq(stage.load(params[1], at, nowhere), tap_number(stage, taps, attrs["window"], params[1].type.dtype))
        value = stage.select(here, value, stage.const(0, value.dtype))
    stage.store(out, axes, stage.reduce("sum", value))


# (x, window, stride, padding)
Case = tuple[Shape, Shape, Shape, tuple[tuple[int, int], ...]]
CASES: tuple[Case, ...] = (
    ((2, 4, 6, 3), (2, 2), (2, 2), ((0, 0), (0, 0))),
    ((1, 5, 7, 2), (2, 2), (2, 2), ((0, 0), (0, 0))),
    ((1, 7, 6, 2), (3, 3), (2, 2), ((1, 1), (0, 1))),
    ((2, 5, 5, 1), (3, 2), (1, 1), ((1, 0), (0, 0))),
    ((1, 9, 17), (2,), (3,), ((0, 0),)),
    ((1, 7, 7, 2), (2, 3), (3, 4), ((1, 0), (0, 2))),
    ((1, 6, 7, 2), (4, 3), (1, 2), ((3, 0), (2, 1))),
    ((1, 8, 5, 3), (4, 3), (4, 3), ((3, 1), (2, 2))),
    ((0, 4, 4, 2), (2, 2), (2, 2), ((0, 0), (0, 0))),
)


def _attrs(window: Shape, stride: Shape, padding: tuple[tuple[int, int], ...]) -> dict[str, Any]:
    return {"window": window, "stride": stride, "padding": padding}


def distinct(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """No two values near each other, so that finite differences do not change a maximum."""
    return np.asarray(rng.permutation(prod(shape)).reshape(shape) * 0.1 - 1.0)


def _window_sample(numbers: Callable[[np.random.Generator, Shape], np.ndarray], case: Case, smooth: bool) -> Sample:
    x, window, stride, padding = case
    return Sample(lambda rng: [numbers(rng, x)], _attrs(window, stride, padding), smooth, f"{x}{window}{stride}{padding}")


def _grad_sample(x: Shape, window: Shape, stride: Shape, padding: tuple[tuple[int, int], ...]) -> Sample:
    attrs = _attrs(window, stride, padding)
    small = (x[0], *pooled_spatial(x[1:-1], attrs), x[-1])
    return Sample(lambda rng: [rng.standard_normal(small)], {**attrs, "shape": x[1:-1]}, True, f"{x}{window}{stride}{padding}")


class Windowed(Op):
    """What the ops share: images are independent, so that examples are more of them."""

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        images = [axis.images(x) for x in axis.front(batched, operands)]
        return axis.examples(self(*images, **attrs), operands[batched.index(True)].shape[1])


@register
class max_pool(Windowed):
    """Greatest element of each window; NaN if any is."""

    name = "max_pool"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        if types[0].dtype.is_bool:
            raise op_error("max_pool", "does not take bool", {"x": types[0]}, kind=DtypeError)
        return _pooled("max_pool", types[0], attrs)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x = np.asarray(arrays[0])
        pooled = self.infer(_type(x), **attrs)
        return np.asarray(_windows(x, pooled.shape[1:-1], attrs, reduction_identity("max", pooled.dtype)).max(0))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        x = operands[0]
        return (get_op("unpool")(g, get_op("max_pool_index")(x, **attrs), shape=x.shape[1:-1], **attrs),)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        x = types[0]
        return _window_kernel("max_pool", x, self.infer(x, **attrs), attrs, "max", reduction_identity("max", x.dtype))

    def samples(self) -> Sequence[Sample]:
        def nan(rng: np.random.Generator) -> list[np.ndarray]:
            return [np.where(rng.random((1, 4, 4, 3)) < 0.3, np.nan, rng.standard_normal((1, 4, 4, 3)))]

        out = [_window_sample(distinct, case, True) for case in CASES]
        return [*out, Sample(nan, _attrs((2, 2), (2, 2), ((0, 0), (0, 0))), False, "nan")]


@register
class max_pool_index(Windowed):
    """Row-major number of each window's first maximum (first NaN): u8 for windows up to 255 cells, else i32."""

    name = "max_pool_index"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        return _pooled("max_pool_index", types[0], attrs).with_dtype(index_dtype(attrs["window"]))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x = np.asarray(arrays[0])
        pooled = self.infer(_type(x), **attrs)
        cells = _windows(x, pooled.shape[1:-1], attrs, reduction_identity("max", dtype_of(x.dtype)))
        return np.asarray(cells.argmax(0)).astype(pooled.dtype.numpy)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (None,)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        x = types[0]
        return _window_kernel(self.name, x, self.infer(x, **attrs), attrs, "argmax", reduction_identity("max", x.dtype))

    def samples(self) -> Sequence[Sample]:
        ties = Sample(lambda rng: [rng.integers(0, 3, (1, 6, 6, 2)).astype(float)], _attrs((2, 2), (2, 2), ((0, 0), (0, 0))), False,
                      "ties")
        out = [_window_sample(distinct, case, False) for case in CASES]
        return [*out, ties]


def _index_sample(pooled: bool, x: Shape, window: Shape, stride: Shape, padding: tuple[tuple[int, int], ...]) -> Sample:
    attrs = _attrs(window, stride, padding)
    small = (x[0], *pooled_spatial(x[1:-1], attrs), x[-1])

    def make(rng: np.random.Generator) -> list[np.ndarray]:
        image = distinct(rng, x)
        index = get_op("max_pool_index").eager(image, **attrs)
        return [rng.standard_normal(small) if pooled else image, index]

    return Sample(make, {**attrs, "shape": x[1:-1]} if pooled else attrs, True, f"{x}{window}{stride}")


@register
class unpool(Windowed):
    """Puts each element of g at the indexed cell of its window, in an image of extents ``shape``; overlaps add up."""

    name, operand_names = "unpool", ("g", "index")

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        g, index = types
        if index != g.with_dtype(index_dtype(attrs["window"])):
            raise op_error("unpool", f"index must be {g.with_dtype(index_dtype(attrs['window']))}", {"g": g, "index": index})
        return _unpooled("unpool", g, attrs)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        g, index = map(np.asarray, arrays)
        self.infer(_type(g), _type(index), **attrs)
        taps = np.arange(prod(attrs["window"])).reshape((-1,) + (1,) * g.ndim)
        return _scattered(np.where(index[None] == taps, g[None], np.zeros((), g.dtype)), attrs["shape"], attrs)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        window = {key: value for key, value in attrs.items() if key != "shape"}
        return get_op("pool_take")(g, operands[1], **window), None

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        return _unpool_kernel("unpool", types[0], types[1], self.infer(*types, **attrs), attrs)

    def samples(self) -> Sequence[Sample]:
        return [_index_sample(True, *case) for case in CASES]


@register
class pool_take(Windowed):
    """The indexed cell of each window: the adjoint of unpool. It is a sum in which the others are 0, so -0.0 becomes 0.0."""

    name, operand_names = "pool_take", ("x", "index")

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, index = types
        out = _pooled("pool_take", x, attrs)
        if index != out.with_dtype(index_dtype(attrs["window"])):
            raise op_error("pool_take", f"index must be {out.with_dtype(index_dtype(attrs['window']))}", {"x": x, "index": index})
        return out

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, index = map(np.asarray, arrays)
        pooled = self.infer(_type(x), _type(index), **attrs)
        cells = _windows(x, pooled.shape[1:-1], attrs, 0)
        return np.asarray(np.take_along_axis(cells, index[None].astype(np.int64), 0)[0] + cells.dtype.type(0))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        x, index = operands
        return get_op("unpool")(g, index, shape=x.shape[1:-1], **attrs), None

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        return _window_kernel("pool_take", types[0], self.infer(*types, **attrs), attrs, "sum", 0, types[1])

    def samples(self) -> Sequence[Sample]:
        return [_index_sample(False, *case) for case in CASES]


@register
class window_sum(Windowed):
    """Sum of each window."""

    name = "window_sum"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        if types[0].dtype.is_bool:
            raise op_error("window_sum", "does not take bool", {"x": types[0]}, kind=DtypeError)
        return _pooled("window_sum", types[0], attrs)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x = np.asarray(arrays[0])
        pooled = self.infer(_type(x), **attrs)
        return _windows(x, pooled.shape[1:-1], attrs, 0).sum(0, dtype=x.dtype)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (get_op("window_sum_grad")(g, shape=operands[0].shape[1:-1], **attrs),)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        return _window_kernel("window_sum", types[0], self.infer(*types, **attrs), attrs, "sum", 0)

    def samples(self) -> Sequence[Sample]:
        return [_window_sample(lambda rng, shape: rng.standard_normal(shape), case, True) for case in CASES]


@register
class window_sum_grad(Windowed):
    """Each element of g added to every cell of its window: the adjoint of window_sum."""

    name, operand_names = "window_sum_grad", ("g",)

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        return _unpooled("window_sum_grad", types[0], attrs)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        g = np.asarray(arrays[0])
        self.infer(_type(g), **attrs)
        return _scattered(np.broadcast_to(g[None], (prod(attrs["window"]), *g.shape)), attrs["shape"], attrs)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (get_op("window_sum")(g, **{key: value for key, value in attrs.items() if key != "shape"}),)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        return _unpool_kernel(self.name, types[0], None, self.infer(*types, **attrs), attrs)

    def samples(self) -> Sequence[Sample]:
        return [_grad_sample(*case) for case in CASES]
