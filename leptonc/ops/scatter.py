"""``gather``, and the scatters, which set, add, multiply, or keep the greater or the less: of windows (``ops/windows.py``).

``mode``: "clip" moves a window that leaves x back into it, "drop" leaves it out: gather reads ``fill`` instead, and a scatter
writes nothing. Scatters go through the updates in row-major order: of those that meet the last one stays, on any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, LeptonError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder, Scalar, StageBuilder
from leptonc.ir.op import Op, Sample, get_op, register
from leptonc.ir.pair import Pair
from leptonc.ir.types import TensorType, i64
from leptonc.ir.value import Value
from leptonc.ops import pairs
from leptonc.ops.structural import number_of, part_of
from leptonc.ops.windows import (
    CASES,
    Case,
    Layout,
    check,
    clamped_start,
    elements,
    index_of,
    is_within,
    load_starts,
    of_batched_both,
    of_batched_indices,
    of_batched_x,
    random_numbers,
    type_of,
)


@register
class gather(Op):
    """Windows of ``sizes`` of x at ``indices``: see ``ops/windows.py``. ``fill`` is read where a window is left out."""

    name, operand_names = "gather", ("x", "indices")
    stores = True

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, indices = types
        layout, sizes, operands = Layout.of(attrs), attrs["sizes"], {"x": x, "indices": indices}
        check("gather", layout, operands, x, indices, attrs["mode"])
        if len(sizes) != x.rank or any(not 0 <= sizes[d] <= n for d, n in enumerate(x.shape)
                                        if d not in layout.batch_dims):
            raise op_error("gather", f"sizes {sizes} do not fit into x", operands)
        if any(sizes[d] != 1 for d in (*layout.inserted, *layout.batch_dims)):
            raise op_error("gather", f"sizes {sizes} must be 1 along {(*layout.inserted, *layout.batch_dims)}", operands)
        return x.with_shape(layout.shape(indices, sizes))

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, indices = map(np.asarray, arrays)
        out = self.infer(type_of(x), type_of(indices), **attrs)
        if not out.size:
            return np.empty(out.shape, x.dtype)
        number, inside = elements(Layout.of(attrs), type_of(x), indices, out, attrs["mode"])
        return np.where(inside, x.reshape(-1)[number], np.asarray(number_of(attrs["fill"])).astype(x.dtype))

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        x, indices = operands
        zero = x.builder.full(x.type, 0)
        return get_op("scatter_sum")(zero, indices, g, **Layout.of(attrs).attrs, mode=attrs["mode"], unique=False), None

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder("gather")
        x, indices = (k.input(t) for t in types)
        layout, out = Layout.of(attrs), k.output(self.infer(*types, **attrs))
        axes = k.axes(out.type.shape)
        stage = k.stage(axes)
        last = {d: x.type.shape[d] - attrs["sizes"][d] for d in layout.index_dims}
        starts = load_starts(stage, layout, indices, axes)
        clamped = {d: clamped_start(stage, start, last[d]) for d, start in starts.items()}
        value, inside = stage.load(x, index_of(layout, x.type.rank, axes, clamped)), None
        for d, start in starts.items() if attrs["mode"] == "drop" else ():
            here = is_within(stage, start, last[d])
            inside = here if inside is None else stage.and_(inside, here)
        fill = np.asarray(attrs["fill"]).astype(x.type.dtype.numpy).item()
        stage.store(out, axes, value if inside is None else stage.select(inside, value, stage.const(fill, x.type.dtype)))
        return k.build()

    def part_attrs(self, number: int, attrs: dict[str, Any]) -> dict[str, Any]:
        return {**attrs, "fill": part_of(attrs["fill"], number)}

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        layout, sizes, rest = Layout.of(attrs), attrs["sizes"], {"mode": attrs["mode"], "fill": attrs["fill"]}
        if batched == (True, True):
            return self(*operands, **of_batched_both(layout).attrs, sizes=(1, *sizes), **rest)
        if batched[0]:
            return self(*operands, **of_batched_x(layout).attrs, sizes=(axis.size, *sizes), **rest)
        return self(*operands, **of_batched_indices(layout).attrs, sizes=sizes, **rest)

    def samples(self) -> Sequence[Sample]:
        def make(case: Case, mode: str, fill: Any = 0, dtype: str = "float64") -> Sample:
            at = np.asarray(case.indices, case.dtype)
            return Sample(lambda rng: [random_numbers(rng, case.shape, dtype), at],
                          {**case.layout.attrs, "sizes": case.sizes, "mode": mode, "fill": fill},
                          dtype == "float64" and fill == 0,
                          f"{case.name} {mode}{fill}{dtype}")

        return [*(make(case, mode) for case in CASES for mode in ("clip", "drop")), make(CASES[0], "drop", float("nan")),
                make(CASES[0], "drop", -7, "int32"), make(CASES[1], "drop", True, "bool")]


class Scatter(Op):
    """x with ``updates`` at ``indices``, combined with what is there ``by`` something. ``unique``: no two of them meet."""

    by = ""
    updates = True
    operand_names = ("x", "indices", "updates")
    ordered = False  # whether it asks which of two elements is greater

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        x, indices, updates = types
        layout, operands = Layout.of(attrs), dict(zip(self.operand_names, types))
        if self.ordered and x.dtype.is_complex:
            raise op_error(self.name, "complex numbers have no order", operands, kind=DtypeError)
        check(self.name, layout, operands, x, indices, attrs["mode"])
        if updates.rank != indices.rank - 1 + len(layout.walked(x.rank)):
            raise op_error(self.name, f"updates must have {indices.rank - 1 + len(layout.walked(x.rank))} axes", operands)
        sizes = layout.sizes(x, updates)
        if any(w > n for w, n in zip(sizes, x.shape) if n) or updates.dtype != x.dtype:
            raise op_error(self.name, "updates do not fit into x", operands)
        if updates.shape != layout.shape(indices, sizes):
            raise op_error(self.name, f"updates must be {x.with_shape(layout.shape(indices, sizes))}", operands)
        return x

    def join(self, x: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
        """In place, in order. Both one-dimensional."""
        raise op_error(self.name, "has no eager rule", {"x": x})

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        x, indices, updates = np.array(arrays[0]), np.asarray(arrays[1]), np.asarray(arrays[2])
        self.infer(*map(type_of, (x, indices, updates)), **attrs)
        if not x.size or not updates.size:
            return x
        number, inside = elements(Layout.of(attrs), type_of(x), indices, type_of(updates), attrs["mode"])
        flat, keep = x.reshape(-1), inside.reshape(-1)
        with np.errstate(all="ignore"):
            self.join(flat, number.reshape(-1)[keep], updates.reshape(-1)[keep])
        return flat.reshape(x.shape)

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder(self.name)
        x, indices, updates = (k.input(t) for t in types)
        layout, out = Layout.of(attrs), k.output(types[0])
        axes = k.axes(x.type.shape)
        stage = k.stage(axes)
        stage.store(out, axes, stage.load(x, axes))
        if not x.type.size or not updates.type.size:
            return k.build()
        axes = k.axes(updates.type.shape)
        stage, sizes = k.stage(axes), layout.sizes(x.type, updates.type)
        starts = {d: self._start(stage, start, x.type.shape[d], sizes[d], attrs["mode"])
                  for d, start in load_starts(stage, layout, indices, axes).items()}
        place = index_of(layout, x.type.rank, axes, starts)
        stage.store(out, place, stage.load(updates, axes), accumulate=True, masked=attrs["mode"] == "drop", by=self.by)
        return k.build()

    @staticmethod
    def _start(stage: StageBuilder, start: Scalar, n: int, size: int, mode: str) -> Scalar:
        """Where a window begins; what begins behind x is masked, and so is all of it."""
        if mode == "clip":
            return clamped_start(stage, start, n - size)
        if size == 1:
            return stage.max(stage.min(start, n), -1)
        out: Scalar = stage.select(is_within(stage, start, n - size), clamped_start(stage, start, n - size), n)
        return out

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        layout, rest = Layout.of(attrs), {"mode": attrs["mode"], "unique": attrs["unique"]}
        if batched[1]:
            return self(*axis.front(batched, operands), **of_batched_both(layout).attrs, **rest)
        x, updates = axis.front((batched[0], batched[2]), (operands[0], operands[2]))
        return self(x, operands[1], updates, **of_batched_x(layout).attrs, **rest)

    def taken(self, x: Value, operands: Sequence[Value], attrs: dict[str, Any], fill: Any = 0) -> Value:
        """x's elements where the updates go; ``fill`` for those that are dropped."""
        of, indices, updates = operands
        if not x.type.size or not updates.type.size:
            return x.builder.full(TensorType(updates.shape, x.dtype), fill)
        return get_op("gather")(x, indices, **Layout.of(attrs).attrs, mode=attrs["mode"], fill=fill,
                                      sizes=Layout.of(attrs).sizes(of.type, updates.type))

    smooth_in_meeting = True

    def samples(self) -> Sequence[Sample]:
        def make(case: Case, mode: str, unique: bool = False, dtype: str = "float64") -> Sample:
            at = np.asarray(case.indices, case.dtype)
            windows = case.layout.shape(type_of(at), case.sizes)
            smooth = dtype == "float64" and (unique or self.smooth_in_meeting)
            return Sample(lambda rng: [random_numbers(rng, case.shape, dtype), at, random_numbers(rng, windows, dtype)],
                          {**case.layout.attrs, "mode": mode, "unique": unique}, smooth, f"{case.name} {mode}{unique}{dtype}")

        drops = CASES if self.smooth_in_meeting else [case for case in CASES if case.unique or case.name in ("rows", "windows")]
        return [*(make(case, "drop", case.unique) for case in drops), *(make(case, "clip", True) for case in CASES if case.unique),
                make(CASES[0], "clip", dtype="int32"), make(CASES[1], "drop", dtype="bool")]


@register
class scatter(Scatter):
    """Elements replaced; of several the last one stays. Where updates meet, their gradient goes to that one."""

    name, by = "scatter", "set"
    stores = True

    def join(self, x: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
        x[at] = values

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        indices, updates = operands[1:]
        kept = self(g, indices, updates.builder.full(updates.type, 0), **attrs)
        taken = self.taken(g, operands, attrs)
        return kept, None, taken if attrs["unique"] else self._of_last(taken, operands, attrs)

    def _of_last(self, taken: Value, operands: Sequence[Value], attrs: dict[str, Any]) -> Value:
        """Updates that others have replaced get no cotangent: their number is not what a scatter of numbers leaves there."""
        x, indices, updates = operands
        emit, full = x.builder.emit, x.builder.full
        count = prod(updates.shape)
        numbers = emit("reshape", (emit("iota", (), {"shape": (count,), "axis": 0, "dtype": i64}),), {"shape": updates.shape})
        last = self(full(TensorType(x.shape, i64), -1), indices, numbers, **attrs)
        mine = get_op("eq")(self.taken(last, operands, attrs, -1), numbers)
        return get_op("select")(mine, taken, full(updates.type, 0))


@register
class scatter_sum(Scatter):
    name, by, componentwise = "scatter_sum", "add", True

    def join(self, x: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
        np.add.at(x, at, values)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return g, None, self.taken(g, operands, attrs)


@register
class scatter_prod(Scatter):
    """Complex numbers only where no two updates meet: each is read, multiplied and put back."""

    name, by = "scatter_prod", "mul"
    smooth_in_meeting = False

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        out = super().infer(*types, **attrs)
        if out.dtype.is_complex and not attrs["unique"]:
            named = dict(zip(self.operand_names, types))
            raise op_error(self.name, "multiplies complex numbers only where no two updates meet", named,
                           "say unique_indices=True if that is so", DtypeError)
        return out

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        x, indices, updates = operands
        there = Pair(*(self.taken(part, (part, indices, update), attrs) for part, update in zip(x, updates)))
        made = pairs.multiply(there, updates)
        return Pair(*(get_op("scatter")(part, indices, new, **attrs) for part, new in zip(x, made)))

    def join(self, x: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
        np.multiply.at(x, at, values)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Raises LeptonError unless updates are unique, as JAX does."""
        x, indices, updates = operands
        if not attrs["unique"]:
            raise op_error(self.name, "has a gradient only where no two updates meet", dict(zip(self.operand_names, operands)),
                           "say unique_indices=True if that is so", LeptonError)
        return self(g, indices, updates, **attrs), None, self.taken(g * x, operands, attrs)


class ScatterExtreme(Scatter):
    ordered = True

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Shared equally among all that are the extreme; none is where it is NaN."""
        x, indices, updates = operands
        eq, cast = get_op("eq"), get_op("cast")
        kept = cast(eq(x, y), dtype=x.dtype)
        hit = cast(eq(updates, self.taken(y, operands, attrs)), dtype=x.dtype)
        count = get_op("scatter_sum")(kept, indices, hit, **attrs)
        share = g / get_op("max")(count, x.builder.full(x.type, 1))
        return kept * share, None, hit * self.taken(share, operands, attrs)


@register
class scatter_max(ScatterExtreme):
    name, by = "scatter_max", "max"

    def join(self, x: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
        np.maximum.at(x, at, values)


@register
class scatter_min(ScatterExtreme):
    name, by = "scatter_min", "min"

    def join(self, x: np.ndarray, at: np.ndarray, values: np.ndarray) -> None:
        np.minimum.at(x, at, values)
