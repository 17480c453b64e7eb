"""An unpooled image in the tile of the convolution that reads it: it is never stored.

    for every n, some rows:                       outer axes, in parallel
      t[y, x, c] = select(i[n, y // s, x // s, c] == the cell's number, g[n, y // s, x // s, c], 0)
      ...                                         what read the image, now a local buffer

Behind a max-pool the gradient of the convolution's input is that of an image with one cotangent in each window. Where squares
of results take a quarter of the products (``passes/conv/winograd.py``), this costs no more than to sum over the winners alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np

from leptonc.ir.affine import Interval, at_first, span, terms_of
from leptonc.ir.kernel import Axis, AxisIndex, Const, Index, Inst, Kernel, Load, Param, Program, Stage, Store
from leptonc.ir.structure import one_hot
from leptonc.ir.types import TensorType
from leptonc.passes.loops.draft import Draft, Task, index_at, inst_at, join_producers, renumber, tidy
from leptonc.passes.loops.merge import with_prefix

MOST_CELLS = 16  # of a window, each written out


@dataclass(frozen=True)
class UnpoolInTiles:
    """``tile_bytes``: most that a tile's part of the image may take."""

    tile_bytes: int = 512 * 1024
    name: str = "unpool-in-tiles"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        join_producers(draft, lambda made, used, buffer: _joined(made, used, buffer, self.tile_bytes))
        return draft.finish()


@dataclass(frozen=True)
class _Dimension:
    """``axis * step + cell + offset``, a dimension of the image as it is stored; a step of 1 has no cell."""

    axis: Axis
    cell: Axis | None
    step: int
    offset: int


@dataclass(frozen=True)
class _Reach:
    """What a tile reads along a dimension: from ``start`` (of outer axes) ``+ low`` to ``start + high``."""

    start: Index
    low: int
    high: int


@dataclass(frozen=True)
class _Part:
    """The part of the image in a tile along one dimension: ``count`` positions from ``start + first`` on."""

    dimension: _Dimension
    reach: _Reach

    @property
    def start(self) -> Index:
        step = self.dimension.step
        return replace(self.reach.start, axes=tuple((axis, coeff // step) for axis, coeff in self.reach.start.axes))

    @property
    def first(self) -> int:
        return (self.reach.low - self.dimension.offset) // self.dimension.step

    @property
    def count(self) -> int:
        return (self.reach.high - self.dimension.offset) // self.dimension.step - self.first + 1

    @property
    def extent(self) -> int:
        return self.count * self.dimension.step

    def inside(self, index: Index) -> Index:
        """Where in the part a place of the image is."""
        return index - self.reach.start - (self.first * self.dimension.step + self.dimension.offset)


def _joined(made: Task, used: Task, buffer: str, tile_bytes: int) -> Task | None:
    """Both tasks as one; None if they do not fit together."""
    image, kernel = made.kernel.buffer(buffer), used.kernel
    if made.stage is None or not kernel.outer or image.init not in (None, 0):
        return None
    stage = with_prefix(made.stage, "u")
    dimensions, reaches = _dimensions(stage, buffer), _reaches(kernel, buffer)
    if dimensions is None or reaches is None or kernel.buffer(buffer) != replace(image, role="in", init=None):
        return None
    parts = [_Part(d, r) for d, r in zip(dimensions, reaches, strict=True)]
    if any(coeff % p.dimension.step for p in parts for _, coeff in p.reach.start.axes):
        return None
    tile = Param(f"{buffer}_tile", TensorType(tuple(p.extent for p in parts), image.type.dtype), "local")
    types = {p.name: p.type for p in made.kernel.params}
    if tile.type.nbytes > tile_bytes or any(types.get(p.name, p.type) != p.type for p in kernel.params):
        return None
    fill = _fill(stage, parts, made.kernel, kernel, tile)
    if fill is None:
        return None
    stages = (fill, *(_reading(s, buffer, parts, tile) for s in kernel.stages))
    params = {p.name: p for p in (*made.kernel.inputs, *kernel.params) if p.name != buffer}
    joined = replace(kernel, name=f"{made.kernel.name}+{kernel.name}", params=tuple(params.values()), stages=stages,
                     locals=(*kernel.locals, tile))
    return Task(joined, used.joined_loc(made))


def _dimensions(stage: Stage, buffer: str) -> list[_Dimension] | None:
    """How a stage stores an unpooled image, all cells of every window; None if it does something else."""
    if stage.has_reduce or len(stage.stores) != 1 or stage.stores[0].masked or stage.stores[0].accumulate:
        return None
    store, found = stage.stores[0], one_hot(stage.insts, stage.stores[0].value)
    if store.buffer != buffer or found is None or any(isinstance(i, Load) and i.pad is not None for i in stage.insts):
        return None
    index = stage.insts[found[1]]
    assert isinstance(index, Load)
    positions = {axis for i in index.index for axis, _ in i.axes}
    axes = {a.name: a for a in stage.axes}
    out = [_dimension(index, axes, positions) for index in store.index]
    taken = [a for d in out if d for a in (d.axis, d.cell) if a]
    whole = len(taken) == len(stage.axes) and set(taken) == set(stage.axes)
    return [d for d in out if d] if None not in out and whole else None


def _dimension(index: Index, axes: dict[str, Axis], positions: set[str]) -> _Dimension | None:
    terms = [(axes[a], coeff) for a, coeff in index.axes]
    at, cells = [t for t in terms if t[0].name in positions], [t for t in terms if t[0].name not in positions]
    if index.div != 1 or index.values or len(at) != 1 or len(cells) > 1:
        return None
    (axis, step), (cell, stride) = at[0], cells[0] if cells else (None, 1)
    fits = step == (cell.extent if cell else 1) and stride == 1
    return _Dimension(axis, cell, step, index.offset) if fits else None


def _reaches(kernel: Kernel, buffer: str) -> list[_Reach] | None:
    """What each tile of a kernel reads of a buffer, along each dimension; None if that is no block."""
    outer = {a.name for a in kernel.outer}
    found: list[list[_Reach]] = []
    for stage in kernel.stages:
        extents = {a.name: a.extent for a in stage.axes}
        for inst in stage.insts:
            if isinstance(inst, Load) and inst.buffer == buffer:
                if inst.pad is not None or any(i.div != 1 or i.values for i in inst.index):
                    return None
                found.append([_reach(index, outer, extents) for index in inst.index])
    joined = [_Reach(along[0].start, min(r.low for r in along), max(r.high for r in along)) for along in zip(*found)]
    same = all(r.start == joined[d].start for reaches in found for d, r in enumerate(reaches))
    return joined if found and same else None


def _reach(index: Index, outer: set[str], extents: dict[str, int]) -> _Reach:
    reached = span(at_first(index, outer), extents)
    assert reached is not None, "no values"
    return _Reach(terms_of(index, outer), reached.low, reached.high)


def _fill(stage: Stage, parts: Sequence[_Part], made: Kernel, kernel: Kernel, tile: Param) -> Stage | None:
    """The tile's part of the image, 0 where the pool has no window: there the index is padded with the number of no cell. None if
    the index is not known to end where the windows do."""
    store = replace(stage.stores[0], buffer=tile.name, index=tuple(replace(i, offset=0) for i in stage.stores[0].index))
    found = one_hot(stage.insts, stage.stores[0].value)
    assert found is not None
    index, outer = stage.insts[found[1]], {a.name: a.extent for a in kernel.outer}
    assert isinstance(index, Load)
    beyond = any(_leaves(p, outer) for p in parts)
    ends = tuple(map(Index.of, (p.dimension.axis for p in parts))) == index.index and made.buffer(index.buffer).type.shape == tuple(
        p.dimension.axis.extent for p in parts)
    none = np.iinfo(index.dtype.numpy).max
    if beyond and not (ends and prod(p.dimension.step for p in parts) <= none):
        return None
    place = {p.dimension.axis.name: p.start + p.first + p.dimension.axis for p in parts}
    insts = []
    for n, inst in enumerate(stage.insts):
        moved = inst_at(inst, place)
        if beyond and isinstance(moved, Load):
            moved = replace(moved, pad=none if n == found[1] else moved.dtype.numpy.type(0).item())
        insts.append(moved)
    counts = {p.dimension.axis.name: p.count for p in parts}
    filled = Stage(tuple(replace(a, extent=counts.get(a.name, a.extent)) for a in stage.axes), tuple(insts), (store,))
    return _written_out(filled, [p.dimension.cell for p in parts if p.dimension.cell])


def _written_out(stage: Stage, cells: Sequence[Axis]) -> Stage:
    """The stage with a store for each cell, so that a window's cotangent and index are loaded once for all of them."""
    if prod(c.extent for c in cells) > MOST_CELLS:
        return stage
    insts: list[Inst] = []
    stores: list[Store] = []
    for at in product(*(range(c.extent) for c in cells)):
        place = {c.name: Index(offset=n) for c, n in zip(cells, at)}
        number = {n: len(insts) + n for n, _ in enumerate(stage.insts)}
        insts += [_constant(inst_at(renumber(inst, number), place)) for inst in stage.insts]
        stores += [replace(s, index=tuple(index_at(i, place) for i in s.index), value=number[s.value]) for s in stage.stores]
    names = {c.name for c in cells}
    return tidy(Stage(tuple(a for a in stage.axes if a.name not in names), tuple(insts), tuple(stores)))


def _constant(inst: Inst) -> Inst:
    """An index without axes as the number that it is."""
    if isinstance(inst, AxisIndex) and not inst.index.axes and not inst.index.values:
        return Const(inst.index.offset // inst.index.div, inst.dtype)
    return inst


def _leaves(part: _Part, outer: dict[str, int]) -> bool:
    """Whether some tile's part reaches beyond the pool's windows."""
    first = span(part.start + part.first, outer)
    assert first is not None, "no values"
    return not Interval(first.low, first.high + part.count - 1).within(part.dimension.axis.extent)


def _reading(stage: Stage, buffer: str, parts: Sequence[_Part], tile: Param) -> Stage:
    """The stage with the image's part for the image."""
    insts = tuple(replace(i, buffer=tile.name, index=tuple(p.inside(at) for p, at in zip(parts, i.index)))
                  if isinstance(i, Load) and i.buffer == buffer else i for i in stage.insts)
    return replace(stage, insts=insts)
