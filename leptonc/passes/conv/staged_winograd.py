"""Winograd's convolutions of small images with many channels: each stage for all images before the next.

    v[q, t, c] = (B' d B)[q]                       each square d of the input; t numbers the squares of all images
    m[q, t, o] = sum over c of v[q, t, c] u[q, c, o]
    y = A' m A, and what follows the convolution   each square of results
    with u = G w G' computed before

A tile of ``passes/conv/winograd.py`` is done with before the next one begins, and reads all transformed weights again. Where
these are many and the squares few, it is better to read the weights once, and to let the squares pass through L3. Then the last
squares of a row or a column may also reach beyond the image: what they read there is 0, what they make there is never written.

Rounding, infinities and zeros are as in ``passes/conv/winograd.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import ClassVar

from leptonc.ir.kernel import Axis, Index, Kernel, Load, Param, Program, points
from leptonc.ir.types import DType, TensorType, i32
from leptonc.passes.conv.convolution import (
    Convolution,
    Result,
    TransformedWeights,
    find_convolution,
    input_at,
    input_stage,
    is_frozen,
    product_stage,
    result_stage,
)
from leptonc.passes.conv.nonzero import full_weights, held_stage, met_stage, reached_stage
from leptonc.passes.conv.squares import APART, LEAST_CHANNELS, Square, row_major, square_forms
from leptonc.passes.conv.winograd import LOOK, REACH, WEIGHT, tiled_work
from leptonc.passes.loops.alike import Alike
from leptonc.passes.loops.draft import Draft, Task, buffer_name

GAIN, GAIN_ON_TILES = 1.2, 1.15  # how much less work it must be than direct sums, and than tiles
MOST_BYTES = 256 * 1024 * 1024  # that transformed squares may take
PANEL = 32  # columns of transformed weights that lie together: products that read rows of all are a fourth slower
NEAR_BYTES = 24 * 1024 * 1024  # transformed squares that are still in L3 when they are read
NEAR, FAR = 14, 56  # what writing a vector of them and reading it costs, in multiply-adds, where they are and where they are not


@dataclass(frozen=True)
class SpreadWinograd:
    """Replaces the kernel of a convolution by its stages, where that is less work than by tiles."""

    name: str = "spread-winograd"
    changes: ClassVar[tuple[str, ...]] = ("rounding", "special values")  # transforms' constants are rounded; infinities become NaN

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        weights, alike, tasks = TransformedWeights(draft), Alike(draft), list[Task]()
        for task in draft.tasks:
            found = None if task.kernel.outer or len(task.kernel.stages) != 1 else find_convolution(task.kernel)
            plan = None if found is None else _best(found, 0 if is_frozen(draft, found) else WEIGHT)
            tasks += [task] if found is None or plan is None else _tasks(draft, weights, alike, task, found, plan)
        draft.tasks = tasks
        return draft.finish()


def _best(found: Convolution, weight: int) -> Square | None:
    """The squares that take least work; None if tiles or direct sums take hardly more."""
    depth, col = found.depth.extent, found.col.extent
    if found.channels < LEAST_CHANNELS:
        return None
    plans = [Square(down, along) for down, along in square_forms(found.tap_counts)]
    plans = [plan for plan in plans if _bytes(found, plan) <= MOST_BYTES and (_is_even(found, plan) or _ends(found))]
    work, _, best = min(((_work(found, plan, weight), n, plan) for n, plan in enumerate(plans)), default=(0.0, 0, None))
    direct = points(found.phases) * _count(found, 1, 1) * prod(found.tap_counts) * depth * col
    return best if work * GAIN < direct and work * GAIN_ON_TILES < tiled_work(found, weight) else None


def _is_even(found: Convolution, plan: Square) -> bool:
    """Whether squares divide the image."""
    return not any(image.extent % size for image, size in zip((_rows(found), found.columns), plan.results))


def _ends(found: Convolution) -> bool:
    """Whether the input's buffer ends where the convolution's input does: squares that reach further find nothing there."""
    moving = (_rows(found), found.columns)
    last = {axis.name: Index(offset=axis.extent - 1) for axis in (*moving, *found.folds)}
    down, along = (Index(offset=taps - 1) for taps in found.tap_counts)
    load, shape = input_at(found, last, down, along), found.kernel.buffer(found.x.buffer).type.shape
    moved = [n for n, index in enumerate(found.x.index) if any(index.coeff(axis.name) for axis in moving)]
    return all(not load.index[n].axes and load.index[n].offset == shape[n] - 1 for n in moved)


def _rows(found: Convolution) -> Axis:
    assert found.down is not None
    return found.down


def _images(found: Convolution) -> tuple[Axis, ...]:
    return tuple(a for a in found.kernel.outer if a not in (found.down, *found.phases))


def _count(found: Convolution, tall: int, wide: int) -> int:
    """Squares of all images, of one phase."""
    return prod(a.extent for a in _images(found)) * -(-_rows(found).extent // tall) * -(-found.columns.extent // wide)


def _bytes(found: Convolution, plan: Square) -> int:
    """Of transformed squares, before and after the products."""
    size = found.stage.insts[found.reduce].dtype.itemsize
    return plan.points * points(found.phases) * _count(found, *plan.results) * (found.depth.extent + found.col.extent) * size


def _work(found: Convolution, plan: Square, weight: int) -> float:
    """Multiply-adds, and instructions of the transforms; ``weight`` of them for each weight at a point."""
    depth, col, squares = found.depth.extent, found.col.extent, _count(found, *plan.results)
    down, along, at = plan.down, plan.along, plan.points
    into = down.input_work * along.points + along.input_work * down.points
    out = down.output_work * along.points + along.output_work * down.results
    moving = NEAR if _bytes(found, plan) <= NEAR_BYTES else FAR
    moved = depth * into + col * (out + 2 * prod(plan.results)) + moving * at * (depth + col)
    if not plan.exact_zeros:
        moved += LOOK * at * depth + REACH
    return float(points(found.phases) * (squares * (at * depth * col + moved) + (weight + NEAR) * at * depth * col))


@dataclass(frozen=True)
class _Squares:
    """The squares of all images, and where the convolution's axes are in one."""

    found: Convolution
    plan: Square

    @property
    def extents(self) -> tuple[int, int]:
        """Rows and columns of squares of an image."""
        sides = zip((_rows(self.found), self.found.columns), self.plan.results)
        tall, wide = (-(-axis.extent // size) for axis, size in sides)
        return tall, wide

    @property
    def axes(self) -> tuple[Axis, Axis]:
        tall, wide = self.extents
        return Axis("square_row", tall), Axis("square_column", wide)

    def number(self, row: Index, column: Index) -> Index:
        """Which of all squares of its phase one is."""
        tall, wide = self.extents
        return (row_major(_images(self.found)) * tall + row) * wide + column

    def word(self, row: Index, column: Index) -> Index:
        """Which of the squares of all phases."""
        return row_major(self.found.phases) * _count(self.found, *self.plan.results) + self.number(row, column)

    @property
    def all(self) -> tuple[Axis, ...]:
        """Axes over the squares of all phases."""
        return (*self.found.phases, *_images(self.found), *self.axes)

    def place(self, row: Index, column: Index, y: int = 0, x: int = 0) -> dict[str, Index]:
        """The convolution's rows and columns at a result of a square."""
        down, along = self.plan.results
        return {_rows(self.found).name: row * down + y, self.found.columns.name: column * along + x}

    def results(self) -> Iterator[tuple[tuple[Axis, ...], tuple[Index, Index], list[Result]]]:
        """The squares in groups that have as many results inside of the image: axes over them, their place, those results."""
        for (rows, row, tall), (columns, column, wide) in product(*self._sides()):
            places = [(y, x, self.place(row, column, y, x)) for y, x in product(range(tall), range(wide))]
            yield (*rows, *columns), (row, column), [Result(y, x, at) for y, x, at in places]

    def _sides(self) -> Iterator[list[tuple[tuple[Axis, ...], Index, int]]]:
        """Along rows and columns the whole squares, and the one that is cut off: an axis if there are several, the place along it,
        and how many results of a square are inside."""
        images = _rows(self.found), self.found.columns
        for axis, extent, results, image in zip(self.axes, self.extents, self.plan.results, images):
            rest, whole = image.extent % results, replace(axis, extent=image.extent // results)
            side: list[tuple[tuple[Axis, ...], Index, int]] = [((whole,), Index.of(whole), results)] if whole.extent else []
            yield [*side, ((), Index(offset=extent - 1), rest)] if rest else side


def _tasks(draft: Draft, weights: TransformedWeights, alike: Alike, task: Task, found: Convolution, plan: Square) -> list[Task]:
    """The transforms, the products, and the results from them."""
    u, before = weights.of(found, plan, task, 0 if found.col.extent % PANEL else PANEL)
    full, see = full_weights(weights, found, task)
    made = alike.tasks(task, (u, full), plan, lambda: [Task(k, task.loc) for k in _kernels(draft, _Squares(found, plan), u, full)])
    return [*before, *see, *made]


def _kernels(draft: Draft, squares: _Squares, u: Param, full: Param) -> list[Kernel]:
    found, plan = squares.found, squares.plan
    dtype, count = found.stage.insts[found.reduce].dtype, _count(found, *plan.results)

    def temp(*shape: int, dtype: DType = dtype) -> Param:
        type_ = TensorType(shape, dtype)
        return Param(buffer_name(draft.temp(type_)), type_, "out")

    v, m = (temp(u.type.shape[0], count + APART, channels) for channels in (found.depth.extent, found.col.extent))
    words = points(squares.all)
    met = temp(words, found.col.extent, dtype=i32)
    bits, reached, look = None, None, list[Kernel]()
    if not plan.exact_zeros:
        bits, held, reached = (temp(*shape, dtype=i32) for shape in ((2, words, found.depth.extent), (2, words), (words,)))
        look = _reached(squares, bits, held, reached)
    products = Kernel("winograd_products", (_read(v), u, m), (product_stage(found, count, v, u, m, Index()),))
    return [_input(squares, v, bits), *look, products, _met(squares, full, reached, met), _output(squares, m, met)]


def _read(made: Param) -> Param:
    return replace(made, role="in")


def _input(squares: _Squares, v: Param, bits: Param | None) -> Kernel:
    found, (row, column) = squares.found, map(Index.of, squares.axes)
    stage = input_stage(found, squares.plan, squares.all, squares.number(row, column), squares.place(row, column),
                        None if _is_even(found, squares.plan) else 0.0, v, bits, squares.word(row, column))
    outs = (v,) if bits is None else (v, bits)
    return Kernel("winograd_input", (_read(found.kernel.buffer(found.x.buffer)), *outs), (stage,))


def _reached(squares: _Squares, bits: Param, held: Param, reached: Param) -> list[Kernel]:
    axes, number = squares.all, squares.word(*map(Index.of, squares.axes))
    looks = held_stage(squares.found, axes, number, bits, held), reached_stage(squares.plan, axes, number, held, reached)
    return [Kernel("winograd_held", (_read(bits), held), looks[:1]), Kernel("winograd_reached", (_read(held), reached), looks[1:])]


def _met(squares: _Squares, full: Param, reached: Param | None, met: Param) -> Kernel:
    found, plan = squares.found, squares.plan
    row, column = squares.axes

    def place(y: int, x: int) -> dict[str, Index]:
        return squares.place(Index.of(row), Index.of(column), y, x)

    stage = met_stage(found, plan, squares.all, squares.word(Index.of(row), Index.of(column)), place,
                      None if _is_even(found, plan) else 0.0, full, reached, met)
    operands = (found.kernel.buffer(name) for name in dict.fromkeys((found.x.buffer, found.w.load.buffer)))
    made = (_read(p) for p in (full, reached) if p is not None)
    return Kernel("winograd_met", (*(_read(p) for p in operands), *made, met), (stage,))


def _output(squares: _Squares, m: Param, met: Param) -> Kernel:
    """The results, each with the convolution's epilogue."""
    found, kernel = squares.found, squares.found.kernel
    outer = (*found.phases, *_images(found))
    stages = tuple(result_stage(found, squares.plan, (*outer, *axes), squares.number(*at), m, met, squares.word(*at), results)
                   for axes, at, results in squares.results())
    still = {i.buffer for stage in stages for i in stage.insts if isinstance(i, Load)}
    params = tuple(p for p in kernel.params if p.role != "in" or p.name in still)
    made = (_read(p) for p in (m, met))
    return replace(kernel, name=kernel.name.replace("conv", "conv_winograd", 1), params=(*made, *params), outer=(), stages=stages)
