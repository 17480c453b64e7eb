"""Convolutions of stride 1 with few taps, and what becomes one (strided ones, their input gradients), as passes that compute them
by squares see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import gcd
from typing import NamedTuple

from leptonc.ir.kernel import (
    Apply,
    Axis,
    AxisIndex,
    Index,
    Kernel,
    Load,
    Param,
    Reduce,
    Stage,
    Store,
    points,
)
from leptonc.ir.structure import product_sum
from leptonc.ir.types import DType, TensorType, i32
from leptonc.passes.conv.scalarcode import ScalarCode
from leptonc.passes.conv.squares import (
    APART,
    Square,
    SquareBits,
    at_points,
    joined,
    row_major,
    transformed,
    with_epilogue,
)
from leptonc.passes.conv.strides import by_phases
from leptonc.passes.loops.coarsen import lifted
from leptonc.passes.loops.draft import Draft, Task, buffer_name, buffer_number, index_at, inst_at, tidy

LINE, BLOCK = 16, 64  # channels of either side in a block of weights that are transposed
MANY = 256  # channels from which lines would be gone before their next elements are read


@dataclass(frozen=True)
class Operand:
    """A factor of the products: the load, and what it is cast to."""

    load: Load
    casts: tuple[DType, ...]


@dataclass(frozen=True)
class Convolution:
    """A convolution that is the first stage of a kernel of tiles.

    Its results' columns are the axis ``columns``; its rows ``strip``, ``height`` in each tile (None: one row), where the
    tiles follow each other along ``down``. ``folds`` are the folded channels, of strided convolutions with phases of the input
    before them, ``col`` the channels made: those of ``col_index``, which may differ from tile to tile. ``taps``: axes over the
    kernel's rows and columns. ``phases``: axes of results that have kernels and places of the input of their own (an input gradient
    of a strided convolution). ``flipped``: the input is read against the taps (an input gradient)."""

    kernel: Kernel
    reduce: int
    x: Load
    casts: tuple[DType, ...]
    w: Operand
    taps: tuple[Axis, Axis]
    down: Axis | None
    strip: Axis | None
    columns: Axis
    folds: tuple[Axis, ...]
    phases: tuple[Axis, ...]
    col: Axis
    col_index: Index
    flipped: bool

    @property
    def stage(self) -> Stage:
        return self.kernel.stages[0]

    @property
    def dtype(self) -> DType:
        """Of the products."""
        return self.stage.insts[self.reduce].dtype

    @property
    def height(self) -> int:
        return self.strip.extent if self.strip else 1

    @property
    def depth(self) -> Axis:
        """All that is folded at a tap, as one axis."""
        return joined(self.folds)

    @property
    def tap_counts(self) -> tuple[int, int]:
        down, along = self.taps
        return down.extent, along.extent

    @property
    def channels(self) -> int:
        """Of the side that has fewer of them, phases left out: as many lie next to each other."""
        return min(self.folds[-1].extent, self.col.extent)

    def point(self, plan: Square, number: int) -> Index:
        """Where a point of a phase's squares lies among those of all phases, one phase behind the other."""
        return row_major(self.phases) * plan.points + number

    @property
    def arrangement(self) -> tuple[object, ...]:
        """What of the weights is read, whatever the axes are called: equal ones make equal points."""
        axes = (*self.taps, *self.folds, *self.phases)
        names = {a.name: Index(((str(n), 1),)) for n, a in enumerate(axes)}
        index = tuple("col" if i == self.col_index else index_at(i, names) for i in self.w.load.index)
        return (*index, self.tap_counts, *(a.extent for a in (*self.folds, *self.phases)))

    @property
    def images(self) -> Axis | None:
        """Another axis of tiles that may lie in one."""
        own = {self.down, *self.phases}
        return next((a for a in reversed(self.kernel.outer) if a not in own and not self.col_index.coeff(a.name)), None)


def find_convolution(kernel: Kernel) -> Convolution | None:
    """The convolution that is a kernel's first stage, in a kernel of tiles, or its only one."""
    if not kernel.stages or (len(kernel.stages) > 1 and not kernel.outer):
        return None
    stage = kernel.stages[0]
    found = product_sum(stage.insts)
    if found is None:
        return None
    if any(store.masked or store.accumulate for store in stage.stores) or any(isinstance(i, AxisIndex) for i in stage.insts):
        return None
    one, other = zip((found.a, found.b), found.casts)
    return _matched(kernel, found.reduce, one, other) or _matched(kernel, found.reduce, other, one)


def _matched(kernel: Kernel, number: int, image: tuple[int, tuple[DType, ...]],
             weight: tuple[int, tuple[DType, ...]]) -> Convolution | None:
    stage = kernel.stages[0]
    if not kernel.outer:
        stage = by_phases(stage, load_of(stage, image[0]))
        kernel = replace(kernel, stages=(stage,))
    x, w = load_of(stage, image[0]), load_of(stage, weight[0])
    if x.pad is not None or w.pad is not None or len(stage.reduce_axes) < 3 or not stage.insts[number].dtype.is_float:
        return None
    pairs = [_position(stage, x, w, axis) for axis in stage.reduce_axes]
    moving = [(axis, p) for axis, p in zip(stage.reduce_axes, pairs) if p is not None]
    if len(moving) != 2:
        return None
    (ky, (rows, sign)), (kx, (columns, other)) = moving
    folds = tuple(axis for axis, p in zip(stage.reduce_axes, pairs) if p is None)
    cols = [a for a in stage.map_axes if _moves(w, a) and not _moves(x, a)]
    if sign != other or rows == columns or len(cols) != 1 or not all(_moves(x, a) and _moves(w, a) for a in folds):
        return None
    phases = tuple(a for a in stage.map_axes if _moves(w, a) and a != cols[0])
    if phases and (kernel.outer or not all(_moves_within(x, a, (rows, columns)) for a in phases)):
        return None
    col_index = _col_index(w, (ky, kx, *folds, *phases), cols[0], kernel.outer)
    if col_index is None or any(_moves(x, a) for a in kernel.outer if col_index.coeff(a.name)):
        return None
    others = (*phases, *(a for a in stage.map_axes if a not in (rows, columns, cols[0], *phases)))
    weights = Operand(w, weight[1])
    if not kernel.outer:
        return Convolution(lifted(kernel, (*others, rows)), number, x, image[1], weights, (ky, kx), rows, None, columns, folds,
                           phases, cols[0], col_index, sign < 0)
    if others:
        return None
    along = next(i for i in x.index if i.coeff(rows.name))
    outer = [a for a in kernel.outer if along.coeff(a.name)]
    down = outer[0] if len(outer) == 1 and along.coeff(outer[0].name) == rows.extent else None
    return Convolution(kernel, number, x, image[1], weights, (ky, kx), down, rows, columns, folds, (), cols[0], col_index, sign < 0)


def load_of(stage: Stage, number: int) -> Load:
    load = stage.insts[number]
    assert isinstance(load, Load)
    return load


def _position(stage: Stage, x: Load, w: Load, axis: Axis) -> tuple[Axis, int] | None:
    """The result axis that a tap moves along, and the tap's sign, if a dimension of x is ``step * (result +- tap) + offset``, an
    offset that may differ among phases."""
    for index in x.index:
        coeff = index.coeff(axis.name)
        if not coeff:
            continue
        maps = [a for a in stage.map_axes if index.coeff(a.name) and not _moves(w, a)]
        if index.div != 1 or index.values or len(maps) != 1 or index.coeff(maps[0].name) != abs(coeff):
            return None
        return maps[0], coeff
    return None


def _moves(load: Load, axis: Axis) -> bool:
    return any(i.coeff(axis.name) for i in load.index)


def _moves_within(load: Load, axis: Axis, among: Sequence[Axis]) -> bool:
    """Whether an axis moves a load in dimensions that some others move, and nowhere else."""
    return all(any(i.coeff(a.name) for a in among) for i in load.index if i.coeff(axis.name)) and _moves(load, axis)


def _col_index(w: Load, axes: Sequence[Axis], col: Axis, outer: Sequence[Axis]) -> Index | None:
    """The dimension of the kernel along ``col``, if the others depend on these axes alone: ``col`` alone, or from where a tile's
    channels begin."""
    along = [i for i in w.index if i.coeff(col.name)]
    rest = [i for i in w.index if not i.coeff(col.name)]
    names = {a.name for a in axes}
    if len(along) != 1 or any(i.values or i.div != 1 or not {name for name, _ in i.axes} <= names for i in rest):
        return None
    (index,) = along
    inside = {col.name, *(a.name for a in outer)} >= {axis for axis, _ in index.axes}
    return index if inside and index.coeff(col.name) == 1 and not (index.offset or index.values or index.div != 1) else None


def is_frozen(draft: Draft, found: Convolution) -> bool:
    """Whether the weights are the same at every call, and transformed once for all."""
    return draft.buffers[buffer_number(found.w.load.buffer)].frozen


class TransformedWeights:
    """What is made of the weights of a draft's convolutions, once for all that read the same ones in the same way."""

    def __init__(self, draft: Draft):
        self.draft = draft
        self._made: dict[object, int] = {}

    def once(self, key: object, type_: TensorType, kernel: Callable[[Param], Kernel], task: Task) -> tuple[Param, list[Task]]:
        """A buffer that a kernel makes of the weights, and the task that does if none has yet for this key."""
        before = []
        if key not in self._made:
            self._made[key] = self.draft.temp(type_)
            before = [Task(kernel(Param(buffer_name(self._made[key]), type_, "out")), task.loc)]
        return Param(buffer_name(self._made[key]), type_), before

    def of(self, found: Convolution, plan: Square, task: Task, width: int = 0) -> tuple[Param, list[Task]]:
        """Those of a task's convolution, and what makes them if nothing has yet: [point, depth, column], or [point, panel, depth,
        column] in panels of ``width`` columns."""
        weights = task.kernel.buffer(found.w.load.buffer)
        columns = weights.type.shape[found.w.load.index.index(found.col_index)]
        key = (found.w.load.buffer, found.w.casts, found.arrangement, found.flipped, columns, plan.shape, width)
        panels = (columns // width, found.depth.extent + APART, width) if width else (found.depth.extent + APART, columns)
        type_ = TensorType((plan.points * points(found.phases), *panels), found.dtype)
        return self.once(key, type_, lambda out: _weight_kernel(found, plan, weights, out), task)


def _weight_kernel(found: Convolution, plan: Square, weights: Param, out: Param) -> Kernel:
    """u[q, depth, col] = (G w G')[q]"""
    folds, col = unfolded(found.folds), replace(found.col, extent=out.type.shape[-1])
    panels = tuple(_panels(col, out.type.shape[1]) for _ in out.type.shape[3:])
    code = ScalarCode(out.type.dtype)
    square = transformed(code, lambda y, x: code.load(_tap(found, y, x, row_major((*panels, col))), found.w.casts),
                         found.tap_counts, plan.down.kernel, plan.along.kernel)
    at = (*map(Index.of, panels), row_major(folds), Index.of(col))
    stage = Stage((*found.phases, *panels, *folds, col), tuple(code.insts), at_points(out, square, at, partial(found.point, plan)))
    if found.w.load.index[-1] != found.col_index and points((*panels, col)) >= MANY:
        stage = _in_blocks(stage, folds[-1], col)
    return Kernel("winograd_weights", (replace(weights, role="in"), out), (stage,))


def unfolded(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Reduce axes as map axes."""
    return tuple(replace(a, reduce=False) for a in axes)


def _in_blocks(stage: Stage, depth: Axis, col: Axis) -> Stage:
    """Against the order of memory: ``depth`` channels that share lines taken together."""
    sizes = [gcd(axis.extent, size) for axis, size in ((depth, LINE), (col, BLOCK))]
    blocks = [Axis(f"{a.name}_block", a.extent // size) for a, size in zip((depth, col), sizes)]
    inside = [replace(a, extent=size) for a, size in zip((depth, col), sizes)]
    place = {a.name: block * size + a for a, block, size in zip(inside, blocks, sizes)}
    stores = tuple(replace(s, index=tuple(index_at(i, place) for i in s.index)) for s in stage.stores)
    outer = tuple(a for a in stage.axes if a not in (depth, col))
    return Stage((*outer, *blocks, *inside), tuple(inst_at(i, place) for i in stage.insts), stores)


def _panels(col: Axis, count: int) -> Axis:
    """The axis over panels of columns."""
    return Axis(f"{col.name}_panel", count)


def _tap(found: Convolution, y: int, x: int, col: Index) -> Load:
    """The kernel's element at a tap, as the input meets it."""
    place = {tap.name: Index.of(tap.extent - 1 - n if found.flipped else n) for tap, n in zip(found.taps, (y, x))}
    index = (col if i == found.col_index else index_at(i, place) for i in found.w.load.index)
    return replace(found.w.load, index=tuple(index))


def input_at(found: Convolution, place: Mapping[str, Index], y: Index, x: Index) -> Load:
    """The input so many rows and columns from the first that a result at a place reads."""
    # against the taps, the first is what the last tap reads
    taps = {tap.name: (i - (tap.extent - 1)) * -1 if found.flipped else i for tap, i in zip(found.taps, (y, x))}
    return replace(found.x, index=tuple(index_at(i, {**place, **taps}) for i in found.x.index))


def input_stage(found: Convolution, plan: Square, axes: Sequence[Axis], number: Index, place: Mapping[str, Index],
                pad: float | None, v: Param, bits: Param | None, word: Index) -> Stage:
    """The squares of ``axes``, counted by ``number``, at the points; and if asked for, in two words of bits, counted by ``word``,
    which of their elements are not 0. ``place``: of a square's first result."""
    code, folds = ScalarCode(v.type.dtype), unfolded(found.folds)
    seen, depth = SquareBits(code, plan), row_major(folds)

    def load(y: int, x: int) -> int:
        value = code.load(replace(input_at(found, place, Index(offset=y), Index(offset=x)), pad=pad), found.casts)
        seen.take(y, x, value)
        return value

    square = transformed(code, load, plan.shape, plan.down.input, plan.along.input)
    stores = at_points(v, square, (number, depth), partial(found.point, plan))
    if bits is not None:
        stores += tuple(Store(bits.name, (Index(offset=n), word, depth), value) for n, value in enumerate(seen.words))
    return tidy(Stage((*axes, *folds), tuple(code.insts), stores))


def product_stage(found: Convolution, count: int, v: Param, u: Param, m: Param, first: Index) -> Stage:
    """m[q, t, col] = sum over depth of v[q, t, depth] u[first + q, depth, col], for ``count`` squares."""
    point, square, dtype = Axis("point", v.type.shape[0]), Axis("square", count), u.type.dtype
    col, column = found.col, found.col_index
    panels = tuple(_panels(col, u.type.shape[1]) for _ in u.type.shape[3:])
    if panels:
        col = replace(col, extent=u.type.shape[-1])
        column = Index.of(col)
    insts = (Load(v.name, tuple(map(Index.of, (point, square, found.depth))), dtype),
             Load(u.name, (first + point, *map(Index.of, (*panels, found.depth)), column), dtype),
             Apply("mul", (0, 1), dtype), Reduce("sum", 2, dtype))
    store = Store(m.name, (Index.of(point), Index.of(square), row_major((*panels, col))), 3)
    return Stage((point, *panels, square, col, found.depth), insts, (store,))


class Result(NamedTuple):
    """A result of a square: its row and column there, and where the convolution's axes stand."""

    y: int
    x: int
    place: Mapping[str, Index]


def result_stage(found: Convolution, plan: Square, axes: Sequence[Axis], number: Index, m: Param, met: Param, word: Index,
                 results: Iterable[Result]) -> Stage:
    """Results of the squares of ``axes``, counted by ``number``: 0 where no product is anything else, by the words of ``met``,
    counted by ``word``; then what follows the convolution."""
    code, dtype = ScalarCode(m.type.dtype), m.type.dtype

    def load(y: int, x: int) -> int:
        return code.push(Load(m.name, (found.point(plan, y * plan.along.points + x), number, Index.of(found.col)), dtype))

    sums = transformed(code, load, plan.shape, plan.down.output, plan.along.output)
    stores: list[Store] = []
    kept = code.push(Load(met.name, (word, Index.of(found.col)), i32))
    for y, x, place in results:
        total = code.kept(sums[y][x], code.has_bit(kept, plan.bit(y, x)))
        stores += with_epilogue(code, found.stage, found.reduce, total, place)
    return tidy(Stage((*axes, found.col), tuple(code.insts), tuple(stores)))
