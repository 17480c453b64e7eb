"""Convolutions with 3x3 kernels of step 1, and their input gradients, as passes that compute them by squares see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
)
from leptonc.ir.structure import Factor, product_sum
from leptonc.ir.types import DType, TensorType, i32
from leptonc.passes.conv.squares import APART, TAPS, ScalarCode, Square, SquareBits, at_points, transformed, with_epilogue
from leptonc.passes.loops.coarsen import lifted
from leptonc.passes.loops.draft import Draft, Task, buffer_name, buffer_number, index_at, inst_at, tidy

LINE, BLOCK = 16, 64  # channels of either side in a block of weights that are transposed
MANY = 256  # channels from which lines would be gone before their next elements are read



@dataclass(frozen=True)
class _Weights:
    """The kernel's load: the instruction with its two axes of taps taken out; and what it is cast to."""

    buffer: str
    load: Load
    casts: tuple[DType, ...]
    taps: tuple[str, str]


@dataclass(frozen=True)
class Conv3x3:
    """A convolution that is the first stage of a kernel of tiles.

    Its results' columns are the axis ``columns``; its rows ``strip``, ``height`` in each tile (None: one row), where the
    tiles follow each other along ``down``. ``depth`` are the folded channels, ``col`` the channels made: those of ``col_index``,
    which may differ from tile to tile. ``casts``: what the input is cast to.
    ``flipped``: the input is read against the taps (an input gradient)."""

    kernel: Kernel
    reduce: int
    x: Load
    casts: tuple[DType, ...]
    w: _Weights
    down: Axis | None
    strip: Axis | None
    columns: Axis
    depth: Axis
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
    def arrangement(self) -> tuple[str, ...]:
        """What each dimension of the kernel is."""
        ky, kx = (Index(((tap, 1),)) for tap in self.w.taps)
        names = {ky: "row", kx: "column", Index.of(self.depth): "depth", self.col_index: "col"}
        return tuple(names[i] for i in self.w.load.index)

    @property
    def images(self) -> Axis | None:
        """Another axis of tiles that may lie in one."""
        return next((a for a in reversed(self.kernel.outer) if a != self.down and not self.col_index.coeff(a.name)), None)


def find_conv3x3(kernel: Kernel) -> Conv3x3 | None:
    """The convolution that is a kernel's first stage, in a kernel of tiles."""
    if not kernel.stages:
        return None
    stage = kernel.stages[0]
    found = product_sum(stage.insts)
    if found is None:
        return None
    if any(store.masked or store.accumulate for store in stage.stores) or any(isinstance(i, AxisIndex) for i in stage.insts):
        return None
    one, other = zip(found.factors, found.casts)
    return _matched(kernel, found.reduce, one, other) or _matched(kernel, found.reduce, other, one)


def _matched(kernel: Kernel, number: int, image: Factor, weight: Factor) -> Conv3x3 | None:
    stage, (x, casts), (w, _) = kernel.stages[0], image, weight
    if x.pad is not None or w.pad is not None or len(stage.reduce_axes) != 3 or not stage.insts[number].dtype.is_float:
        return None
    pairs = [_position(stage, x, axis) for axis in stage.reduce_axes]
    moving = [(axis, p) for axis, p in zip(stage.reduce_axes, pairs) if p is not None]
    if len(moving) != 2 or any(axis.extent != TAPS for axis, _ in moving):
        return None
    (ky, (rows, sign)), (kx, (columns, other)) = moving
    depth = next(axis for axis, p in zip(stage.reduce_axes, pairs) if p is None)
    cols = [a for a in stage.map_axes if _moves(w, a) and not _moves(x, a)]
    if sign != other or rows == columns or len(cols) != 1 or not _moves(x, depth):
        return None
    col_index = _col_index(w, (ky, kx, depth), cols[0], kernel.outer)
    if col_index is None or any(_moves(x, a) for a in kernel.outer if col_index.coeff(a.name)):
        return None
    others = tuple(a for a in stage.map_axes if a not in (rows, columns, cols[0]))
    weights = _Weights(w.buffer, *weight, (ky.name, kx.name))
    if not kernel.outer:
        return Conv3x3(lifted(kernel, (*others, rows)), number, x, casts, weights, rows, None, columns, depth, cols[0], col_index,
                      sign < 0)
    if others:
        return None
    along = next(i for i in x.index if i.coeff(rows.name))
    outer = [a for a in kernel.outer if along.coeff(a.name)]
    down = outer[0] if len(outer) == 1 and along.coeff(outer[0].name) == rows.extent else None
    return Conv3x3(kernel, number, x, casts, weights, down, rows, columns, depth, cols[0], col_index, sign < 0)


def _position(stage: Stage, x: Load, axis: Axis) -> tuple[Axis, int] | None:
    """The result axis that a tap moves along, and the tap's sign, if a dimension of x is ``result + offset +- tap``."""
    for index in x.index:
        coeff = index.coeff(axis.name)
        if not coeff:
            continue
        maps = [a for a in stage.map_axes if index.coeff(a.name)]
        inner = [a for a in maps if index.coeff(a.name) == 1]
        if abs(coeff) != 1 or index.div != 1 or index.values or len(inner) != 1 or len(maps) != 1:
            return None
        return inner[0], coeff
    return None


def _moves(load: Load, axis: Axis) -> bool:
    return any(i.coeff(axis.name) for i in load.index)


def _col_index(w: Load, axes: Sequence[Axis], col: Axis, outer: Sequence[Axis]) -> Index | None:
    """The dimension of the kernel along ``col``, if the others are these axes, each once: ``col`` alone, or from where a tile's
    channels begin."""
    along = [i for i in w.index if i.coeff(col.name)]
    rest = [i for i in w.index if not i.coeff(col.name)]
    if len(along) != 1 or sorted(rest, key=lambda i: i.axes) != sorted(map(Index.of, axes), key=lambda i: i.axes):
        return None
    (index,) = along
    inside = {col.name, *(a.name for a in outer)} >= {axis for axis, _ in index.axes}
    return index if inside and index.coeff(col.name) == 1 and not (index.offset or index.values or index.div != 1) else None


def is_frozen(draft: Draft, found: Conv3x3) -> bool:
    """Whether the weights are the same at every call, and transformed once for all."""
    return draft.buffers[buffer_number(found.w.buffer)].frozen


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

    def of(self, found: Conv3x3, plan: Square, task: Task) -> tuple[Param, list[Task]]:
        """Those of a task's convolution, and what makes them if nothing has yet."""
        weights = task.kernel.buffer(found.w.buffer)
        columns = weights.type.shape[found.w.load.index.index(found.col_index)]
        key = (found.w.buffer, found.w.casts, found.arrangement, found.flipped, found.depth.extent, columns, plan.shape)
        type_ = TensorType((plan.points, found.depth.extent + APART, columns), found.dtype)
        return self.once(key, type_, lambda out: _weight_kernel(found, plan, weights, out), task)


def _weight_kernel(found: Conv3x3, plan: Square, weights: Param, out: Param) -> Kernel:
    """u[q, depth, col] = (G w G')[q]"""
    depth, col = replace(found.depth, reduce=False), replace(found.col, extent=out.type.shape[-1])
    code = ScalarCode(out.type.dtype)
    square = transformed(code, lambda y, x: code.load(_tap(found, y, x), found.w.casts), (TAPS, TAPS), plan.down.kernel,
                         plan.along.kernel)
    stage = Stage((depth, col), tuple(code.insts), at_points(out, square, (Index.of(depth), Index.of(col))))
    if found.arrangement[-1] != "col" and col.extent >= MANY:
        stage = _in_blocks(stage, depth, col)
    return Kernel("winograd_weights", (replace(weights, role="in"), out), (stage,))


def _in_blocks(stage: Stage, depth: Axis, col: Axis) -> Stage:
    """Against the order of memory: ``depth`` channels that share lines taken together."""
    sizes = [gcd(axis.extent, size) for axis, size in ((depth, LINE), (col, BLOCK))]
    blocks = [Axis(f"{a.name}_block", a.extent // size) for a, size in zip((depth, col), sizes)]
    inside = [replace(a, extent=size) for a, size in zip((depth, col), sizes)]
    place = {a.name: block * size + a for a, block, size in zip(inside, blocks, sizes)}
    stores = tuple(replace(s, index=tuple(index_at(i, place) for i in s.index)) for s in stage.stores)
    return Stage((*blocks, *inside), tuple(inst_at(i, place) for i in stage.insts), stores)


def _tap(found: Conv3x3, y: int, x: int) -> Load:
    """The kernel's element at a tap, as the input meets it."""
    at = (TAPS - 1 - y, TAPS - 1 - x) if found.flipped else (y, x)
    place = dict(zip(("row", "column"), map(Index.of, at))) | {"depth": Index.of(found.depth), "col": Index.of(found.col)}
    return replace(found.w.load, index=tuple(place[dimension] for dimension in found.arrangement))


def input_at(found: Conv3x3, place: Mapping[str, Index], y: Index, x: Index) -> Load:
    """The input so many rows and columns from the first that a result at a place reads."""
    # against the taps, the first is what the last tap reads
    taps = {tap: (i - (TAPS - 1)) * -1 if found.flipped else i for tap, i in zip(found.w.taps, (y, x))}
    return replace(found.x, index=tuple(index_at(i, {**place, **taps}) for i in found.x.index))


def input_stage(found: Conv3x3, plan: Square, axes: Sequence[Axis], number: Index, place: Mapping[str, Index], pad: float | None,
                v: Param, bits: Param | None) -> Stage:
    """The squares of ``axes``, counted by ``number``, at the points; and if asked for, in two words of bits, which of their
    elements are not 0. ``place``: of a square's first result."""
    code, depth = ScalarCode(v.type.dtype), replace(found.depth, reduce=False)
    seen = SquareBits(code, plan)

    def load(y: int, x: int) -> int:
        value = code.load(replace(input_at(found, place, Index(offset=y), Index(offset=x)), pad=pad), found.casts)
        seen.take(y, x, value)
        return value

    square = transformed(code, load, plan.shape, plan.down.input, plan.along.input)
    stores = at_points(v, square, (number, Index.of(depth)))
    if bits is not None:
        stores += tuple(Store(bits.name, (Index(offset=n), number, Index.of(depth)), word) for n, word in enumerate(seen.words))
    return tidy(Stage((*axes, depth), tuple(code.insts), stores))


def product_stage(found: Conv3x3, count: int, v: Param, u: Param, m: Param) -> Stage:
    """m[q, t, col] = sum over depth of v[q, t, depth] u[q, depth, col], for ``count`` squares."""
    point, square, dtype = Axis("point", u.type.shape[0]), Axis("square", count), u.type.dtype
    insts = (Load(v.name, tuple(map(Index.of, (point, square, found.depth))), dtype),
             Load(u.name, (Index.of(point), Index.of(found.depth), found.col_index), dtype),
             Apply("mul", (0, 1), dtype), Reduce("sum", 2, dtype))
    store = Store(m.name, tuple(map(Index.of, (point, square, found.col))), 3)
    return Stage((point, square, found.col, found.depth), insts, (store,))


class Result(NamedTuple):
    """A result of a square: its row and column there, and where the convolution's axes stand."""

    y: int
    x: int
    place: Mapping[str, Index]


def result_stage(found: Conv3x3, plan: Square, axes: Sequence[Axis], number: Index, m: Param, met: Param,
                 results: Iterable[Result]) -> Stage:
    """Results of the squares of ``axes``, counted by ``number``: 0 where no product is anything else, then what follows the
    convolution."""
    code, dtype = ScalarCode(m.type.dtype), m.type.dtype

    def load(y: int, x: int) -> int:
        return code.push(Load(m.name, (Index(offset=y * plan.along.points + x), number, Index.of(found.col)), dtype))

    sums = transformed(code, load, plan.shape, plan.down.output, plan.along.output)
    stores: list[Store] = []
    word = code.push(Load(met.name, (number, Index.of(found.col)), i32))
    for y, x, place in results:
        total = code.kept(sums[y][x], code.has_bit(word, plan.bit(y, x)))
        stores += with_epilogue(code, found.stage, found.reduce, total, place)
    return tidy(Stage((*axes, found.col), tuple(code.insts), tuple(stores)))
