"""Stages of a step in NumPy: a linearised stage at the points of one item, packed operands through their panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np

from leptonc.codegen.contraction.emit import panels_of
from leptonc.codegen.contraction.panels import Panels
from leptonc.codegen.contraction.plan import Contraction
from leptonc.codegen.loops.access import Access
from leptonc.codegen.loops.linear import LinearStage
from leptonc.codegen.routed.plan import Routed
from leptonc.codegen.step.step import PANELS
from leptonc.ir.interpret import COMBINE, fold
from leptonc.ir.kernel import Apply, Axis, AxisIndex, Const, Index, Inst, Load, Reduce, Store
from leptonc.ir.scalar import NUMPY
from leptonc.ir.types import DType
from leptonc.memory import aligned

Points = Mapping[str, range]  # the points of each axis


class Item(Protocol):
    """What stages are evaluated for: memory by names of buffers, and the points that are this item's."""

    buffers: dict[str, np.ndarray]
    points: dict[str, range]

    def touch(self, buffer: str, places: np.ndarray, write: bool, stage: int) -> None:
        """Raises IRError if elements are none of a buffer, or of none of the item's regions."""


def grid_of(axes: Sequence[Axis], points: Points) -> dict[str, np.ndarray]:
    """The points of axes, each along a dimension of its own."""
    sides = {axis.name: [-1 if d == n else 1 for d in range(len(axes))] for n, axis in enumerate(axes)}
    return {name: np.arange(points[name].start, points[name].stop).reshape(side) for name, side in sides.items()}


# Operands in panels


@dataclass(frozen=True)
class _Packed:
    """Where an operand of a contraction lies in its panels, which begin at byte ``start``."""

    panels: Panels
    start: int

    @property
    def dtype(self) -> DType:
        return self.panels.numbers

    def places(self, grid: Mapping[str, np.ndarray]) -> np.ndarray:
        """Elements from ``start`` on."""
        if not self.panels.plan.pairs:
            return self._places(grid)
        last = self.panels.plan.fold[-1].name
        return 2 * self._places({**grid, last: grid[last] // 2}) + grid[last] % 2

    def _places(self, grid: Mapping[str, np.ndarray]) -> np.ndarray:
        panels, number = self.panels, np.asarray(0)
        for axis in panels.outer:
            number = number * axis.extent + grid[axis.name]
        place = grid.get(panels.axis.name, np.asarray(0))
        number = number * panels.tiles + place // panels.width
        inside = sum((grid[k.name] * panels.strides().fold[k.name] for k in panels.plan.fold), np.asarray(0))
        return np.asarray(number * (panels.plan.depth * panels.width) + inside + place % panels.width)


@dataclass(frozen=True)
class RoutedPanel:
    """The same of the dense operand of a routed sum."""

    plan: Routed
    start: int = 0

    @property
    def dtype(self) -> DType:
        return self.plan.dtype

    def places(self, grid: Mapping[str, np.ndarray]) -> np.ndarray:
        number = np.asarray(0)
        for axis in (*self.plan.lists, *self.plan.rows):
            number = number * axis.extent + grid.get(axis.name, np.asarray(0))
        return np.asarray(number * self.plan.padded + grid[self.plan.vector.name])


Panel = _Packed | RoutedPanel


def panel_loads(plan: Contraction, start: int) -> dict[int, Panel]:
    """Packed loads, by number."""
    out = dict[int, Panel]()
    for panels in panels_of(plan).values():
        out[panels.side.load] = _Packed(panels, start)
        start += aligned(panels.nbytes)
    return out


# Stages


class Evaluation:
    """A linearised stage at the points of one item, all at once: loads first, stores last."""

    def __init__(self, linear: LinearStage, item: Item, panels: Mapping[int, Panel], number: int):
        self.linear, self.item, self.panels, self.number = linear, item, panels, number
        points = {a.name: item.points.get(a.name, range(a.extent)) for a in linear.axes}
        self.grid = {axis: np.asarray(own.start) for axis, own in item.points.items()} | grid_of(linear.axes, points)
        self.shape = tuple(len(points[a.name]) for a in linear.axes)
        self.folded = tuple(n for n, a in enumerate(linear.axes) if a.reduce)
        self.values: list[np.ndarray] = []

    def run(self) -> None:
        for n, inst in enumerate(self.linear.insts):
            self.values.append(self._inst(n, inst))
        for store, access in zip(self.linear.stores, self.linear.targets):
            self._store(store, access, self.values[store.value])

    def _inst(self, n: int, inst: Inst) -> np.ndarray:
        match inst:
            case Const():
                return np.asarray(inst.value, inst.dtype.numpy)
            case AxisIndex():
                index = self.linear.indices[n]
                return (self._number(index) // index.div).astype(inst.dtype.numpy)
            case Load():
                return self._load(n, inst)
            case Apply():
                return NUMPY.apply(inst.op, (self.values[k] for k in inst.args), inst.dtype)
            case Reduce():
                return self._reduce(inst)

    def _number(self, index: Index) -> np.ndarray:
        total = np.asarray(index.offset)
        for axis, coeff in index.axes:
            total = total + self.grid[axis] * coeff
        for value, coeff in index.values:
            total = total + self.values[value].astype(np.int64) * coeff
        return total

    def _places(self, access: Access) -> tuple[np.ndarray, np.ndarray]:
        """Elements, 0 where the access is out of range, and whether it is in range."""
        total, inside = np.asarray(access.offset), np.asarray(True)
        for axis, stride in access.strides:
            total = total + self.grid[axis] * stride
        for value, stride in access.values:
            total = total + self.values[value].astype(np.int64) * stride
        for index, stride in access.divided:
            total = total + self._number(index) // index.div * stride
        for check in access.checks:
            number = self._number(check.index)
            inside = inside & (number >= 0 if check.lower else True) & (number % check.index.div == 0)
            inside = inside & (number <= (check.extent - 1) * check.index.div if check.upper else True)
        return np.where(inside, total, 0), inside

    def _load(self, n: int, load: Load) -> np.ndarray:
        if n in self.panels:
            return self._load_panel(self.panels[n])
        places, inside = self._places(self.linear.loads[n])
        self._touch(load.buffer, places, inside, False)
        buffer = self.item.buffers[load.buffer]
        if not inside.any():
            return np.full(np.broadcast_shapes(places.shape, inside.shape), 0 if load.pad is None else load.pad, buffer.dtype)
        return np.where(inside, buffer[places], np.asarray(0 if load.pad is None else load.pad).astype(buffer.dtype))

    def _load_panel(self, panel: Panel) -> np.ndarray:
        places, size = panel.places(self.grid), panel.dtype.itemsize
        data = self.item.buffers[PANELS][panel.start:]
        self.item.touch(PANELS, panel.start + places * size, False, self.number)
        return data[:data.size // size * size].view(panel.dtype.numpy)[places]

    def _touch(self, buffer: str, places: np.ndarray, inside: np.ndarray, write: bool) -> None:
        places, inside = np.broadcast_arrays(places, inside)
        self.item.touch(buffer, places[inside], write, self.number)

    def _reduce(self, reduce: Reduce) -> np.ndarray:
        full = np.broadcast_to(self.values[reduce.arg], self.shape)
        kept = tuple(1 if n in self.folded else extent for n, extent in enumerate(self.shape))
        moved = np.moveaxis(full, self.folded, range(len(self.shape) - len(self.folded), len(self.shape)))
        kept_alone = tuple(e for n, e in enumerate(self.shape) if n not in self.folded)
        flat = moved.reshape((*kept_alone, prod(self.shape[n] for n in self.folded)))
        return fold(reduce.kind, flat, reduce.dtype).reshape(kept)

    def _store(self, store: Store, access: Access, value: np.ndarray) -> None:
        target = self.item.buffers[store.buffer]
        places, inside = self._places(access)
        points = tuple(1 if n in self.folded and self.linear.reduces else e for n, e in enumerate(self.shape))
        keep = np.broadcast_to(inside, points).reshape(-1)
        where = np.broadcast_to(places, points).reshape(-1)[keep]
        self.item.touch(store.buffer, where, True, self.number)
        kept = np.broadcast_to(value, points).reshape(-1)[keep]
        if store.accumulate and store.by != "set":
            COMBINE[store.by].at(target, where, kept)
        else:
            target[where] = kept
