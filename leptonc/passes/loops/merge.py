"""Joining the loop nests of two kernels: the mechanics of fusion, each step a function from stages to a stage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from leptonc.ir.affine import in_dimension
from leptonc.ir.kernel import Apply, AxisIndex, Const, Index, Inst, Load, Stage, Store
from leptonc.ir.scalar import NUMPY
from leptonc.lazy import remembered
from leptonc.passes.loops.draft import rename_stage, renumber, renumber_store, tidy


@remembered
def is_map(stage: Stage) -> bool:
    """No reductions, no accumulating or masked stores."""
    return not stage.has_reduce and not any(s.accumulate or s.masked for s in stage.stores)


def stores_at_axes(stage: Stage, store: Store) -> bool:
    """The store's dimensions are exactly the map axes, in order (an axis of extent 1 may be missing as index 0), and it makes all
    of its buffer."""
    if sum(s.buffer == store.buffer for s in stage.stores) > 1:
        return False
    axes = list(stage.map_axes)
    for index in store.index:
        if index.div != 1 or index.values or index.offset or len(index.axes) > 1:
            return False
        if not index.axes:
            continue
        if not axes or index.axes[0] != (axes[0].name, 1):
            return False
        axes.pop(0)
    return not axes


def loads_of(stage: Stage, buffer: str) -> list[int]:
    return stage.loads.get(buffer, [])


def loads_at_axes(stage: Stage, load: Load) -> bool:
    """The load's dimensions are exactly the stage's map axes in order."""
    if load.pad is not None and any(i.offset or i.div != 1 for i in load.index):
        return False
    return stores_at_axes(stage, Store(load.buffer, load.index, 0))


def with_prefix(stage: Stage, prefix: str) -> Stage:
    """Axes renamed so that two stages share no name."""
    return rename_stage(stage, {}, {a.name: prefix + a.name for a in stage.axes})


# Inlining a producer at each load of its result


Shapes = Mapping[str, tuple[int, ...]]  # buffer -> extents


def inline(consumer: Stage, producer: Stage, store: Store, shapes: Shapes) -> Stage | None:
    """Each load of the producer's result becomes the producer's body at the loaded point; None if that is not exact. ``shapes``:
    of the buffers that the producer touches."""
    insts: list[Inst] = []
    number: dict[int, int] = {}
    for n, inst in enumerate(consumer.insts):
        moved = renumber(inst, number)
        if isinstance(moved, Load) and moved.buffer == store.buffer:
            guarded = _guarded_dimensions(moved, shapes[store.buffer], consumer)
            if guarded and not _carries_pad(producer, store, moved, guarded, shapes):
                return None
            at = moved if guarded or moved.pad is None else replace(moved, pad=None)
            result = _body_at(producer, store, at, insts)
            if result is None:
                return None
            number[n] = result
        else:
            number[n] = len(insts)
            insts.append(moved)
    stores = tuple(renumber_store(s, number) for s in consumer.stores)
    return tidy(Stage(consumer.axes, tuple(insts), stores))


def _body_at(producer: Stage, store: Store, load: Load, insts: list[Inst]) -> int | None:
    """Append the producer's body for the point ``load`` reads; returns the number of its result."""
    point = {index.axes[0][0]: at for index, at in zip(store.index, load.index) if index.axes}
    number: dict[int, int] = {}
    for n, inst in enumerate(producer.insts):
        moved = renumber(inst, number)
        at = _inst_at(moved, point, load.pad)
        if at is None:
            return None
        number[n] = len(insts)
        insts.append(at)
    return number[store.value]


def _inst_at(inst: Inst, point: dict[str, Index], pad: float | int | bool | None) -> Inst | None:
    """An instruction of a producer's body at a point; its loads take the pad of the load that the body replaces."""
    if not isinstance(inst, Load | AxisIndex):
        return inst
    index = [_compose(i, point) for i in (inst.index if isinstance(inst, Load) else (inst.index,))]
    known = tuple(i for i in index if i is not None)
    if len(known) < len(index):
        return None
    if isinstance(inst, AxisIndex):
        return AxisIndex(known[0], inst.dtype)
    own = inst.pad if inst.pad is not None or pad is None else inst.dtype.numpy.type(pad).item()
    return Load(inst.buffer, known, inst.dtype, own)


def _compose(index: Index, point: dict[str, Index]) -> Index | None:
    """The index with each axis replaced by an expression; None if that divides more than once."""
    total = Index(offset=index.offset, values=index.values)
    for axis, coeff in index.axes:
        at = point[axis]
        if at.div != 1:
            if coeff == 1 and index.offset == 0 and len(index.axes) == 1 and index.div == 1:
                return at
            return None
        total = total + at * coeff
    return total.exact_div(index.div) if index.div != 1 else total


def _guarded_dimensions(load: Load, shape: tuple[int, ...], stage: Stage) -> frozenset[int]:
    """The dimensions in which a load may be out of range: none if it has no pad, which the verifier sees to."""
    if load.pad is None:
        return frozenset()
    extents = {a.name: a.extent for a in stage.axes}
    return frozenset(d for d, (index, extent) in enumerate(zip(load.index, shape)) if not in_dimension(index, extent, extents))


def _carries_pad(producer: Stage, store: Store, load: Load, guarded: frozenset[int], shapes: Shapes) -> bool:
    """Whether the body gives the load's pad value where the load is out of range of the producer's result, which it may be in
    the ``guarded`` dimensions.

    It does if its own loads are out of range at the very same points: each that is not a constant reads exactly the loaded
    point of a buffer that ends where the result does; and if the body maps pads to the pad."""
    if any(not store.index[d].axes for d in guarded):
        return False
    shape = shapes[store.buffer]
    values: dict[int, np.ndarray] = {}
    for n, inst in enumerate(producer.insts):
        match inst:
            case Load():
                if inst.pad is not None or inst.index != store.index or any(shapes[inst.buffer][d] != shape[d] for d in guarded):
                    return False
                values[n] = np.asarray(load.pad).astype(inst.dtype.numpy)
            case Const():
                values[n] = np.asarray(inst.value, inst.dtype.numpy)
            case Apply():
                values[n] = NUMPY.apply(inst.op, (values[k] for k in inst.args), inst.dtype)
            case _:
                return False
    result = values[store.value]
    return result.tobytes() == np.asarray(load.pad).astype(result.dtype).tobytes()


# Appending a consumer to the stage that makes what it reads


def append(producer: Stage, consumer: Stage, buffers: set[str]) -> Stage | None:
    """Run the consumer's body at each map point of the producer, on the values just made for ``buffers``.

    All loads of those buffers must be at the map axes. The producer's stores stay: the caller drops dead ones and tidies.
    """
    if [a.extent for a in consumer.map_axes] != [a.extent for a in producer.map_axes]:
        return None
    axes = {c.name: p.name for c, p in zip(consumer.map_axes, producer.map_axes)}
    renamed = rename_stage(consumer, {}, axes)
    made = {s.buffer: s.value for s in producer.stores}
    insts = list(producer.insts)
    number: dict[int, int] = {}
    for n, inst in enumerate(renamed.insts):
        if isinstance(inst, Load) and inst.buffer in buffers:
            number[n] = made[inst.buffer]
            continue
        number[n] = len(insts)
        insts.append(renumber(inst, number))
    stores = (*producer.stores, *(renumber_store(s, number) for s in renamed.stores))
    return Stage(producer.axes, tuple(insts), stores)


def side_by_side(first: Stage, second: Stage) -> Stage | None:
    """Two stages over equal axes as one, common loads shared."""
    if [(a.extent, a.reduce) for a in first.axes] != [(a.extent, a.reduce) for a in second.axes]:
        return None
    renamed = rename_stage(second, {}, {b.name: a.name for a, b in zip(first.axes, second.axes)})
    number = {n: n + len(first.insts) for n in range(len(renamed.insts))}
    insts = (*first.insts, *(renumber(i, number) for i in renamed.insts))
    return tidy(Stage(first.axes, insts, (*first.stores, *(renumber_store(s, number) for s in renamed.stores))), first)


def loads_by_place(stage: Stage) -> frozenset[Load]:
    """The loads of a stage with its axes named by their places: two stages over equal axes share those that both have."""
    names = {a.name: f"{n}" for n, a in enumerate(stage.axes)}
    loads = tuple({i for i in stage.insts if isinstance(i, Load)})
    return frozenset(i for i in rename_stage(Stage((), loads, ()), {}, names).insts if isinstance(i, Load))
