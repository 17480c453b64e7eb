"""Winograd's 3x3 convolutions of small images with many channels: each phase for all images before the next.

    v[q, t, c] = (B' d B)[q]                       each square d of the input; t numbers the squares of all images
    m[q, t, o] = sum over c of v[q, t, c] u[q, c, o]
    y = A' m A, and what follows the convolution   each square of results
    with u = G w G' computed before

A tile of ``passes/winograd.py`` is done with before the next one begins, and reads all transformed weights again. Where these are
many and the squares few, it is better to read the weights once, and to let the squares pass through L3. Then the last squares of
a row or a column may also reach beyond the image: what they read there is 0, what they make there is never written.

Rounding, infinities and zeros are as in ``passes/winograd.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from leptonc.ir.kernel import Apply, Axis, Index, Kernel, Load, Param, Program, Reduce, Stage, Store
from leptonc.ir.types import TensorType, bool_
from leptonc.passes.conv3x3 import Conv3x3, any_stage, find_conv3x3, input_at, is_frozen, weight_kernel
from leptonc.passes.draft import Draft, Task, buffer_name, tidy
from leptonc.passes.squares import APART, F2, F4, LEAST_CHANNELS, TAPS, ScalarCode, Square, at_points, transformed, with_epilogue
from leptonc.passes.winograd import HELD, WEIGHT, tiled_work

GAIN, GAIN_ON_TILES = 1.2, 1.15  # how much less work it must be than direct sums, and than tiles
MOST_BYTES = 256 * 1024 * 1024  # that transformed squares may take
NEAR_BYTES = 24 * 1024 * 1024  # transformed squares that are still in L3 when they are read
NEAR, FAR = 14, 56  # what writing a vector of them and reading it costs, in multiply-adds, where they are and where they are not


@dataclass(frozen=True)
class SpreadWinograd:
    """Replaces the kernel of a convolution by its phases, where that is less work than by tiles."""

    name: str = "spread-winograd"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        tasks: list[Task] = []
        for task in draft.tasks:
            found = None if task.kernel.outer or len(task.kernel.stages) != 1 else find_conv3x3(task.kernel)
            plan = None if found is None else _best(found, 0 if is_frozen(draft, found) else WEIGHT)
            tasks += [task] if found is None or plan is None else _tasks(draft, task, found, plan)
        draft.tasks = tasks
        return draft.finish()


def _best(found: Conv3x3, weight: int) -> Square | None:
    """The squares that take least work; None if tiles or direct sums take hardly more."""
    depth, col = found.depth.extent, found.col.extent
    if min(depth, col) < LEAST_CHANNELS:
        return None
    plans = [Square(down, along) for down, along in product((F2, F4), repeat=2)]
    plans = [plan for plan in plans if _bytes(found, plan) <= MOST_BYTES]
    work, _, best = min(((_work(found, plan, weight), n, plan) for n, plan in enumerate(plans)), default=(0.0, 0, None))
    direct = _count(found, 1, 1) * TAPS * TAPS * depth * col
    return best if work * GAIN < direct and work * GAIN_ON_TILES < tiled_work(found, weight) else None


def _rows(found: Conv3x3) -> Axis:
    assert found.down is not None
    return found.down


def _images(found: Conv3x3) -> tuple[Axis, ...]:
    return tuple(a for a in found.kernel.outer if a != found.down)


def _count(found: Conv3x3, tall: int, wide: int) -> int:
    """Squares of all images."""
    return prod(a.extent for a in _images(found)) * -(-_rows(found).extent // tall) * -(-found.columns.extent // wide)


def _bytes(found: Conv3x3, plan: Square) -> int:
    """Of transformed squares, before and after the products."""
    size = found.stage.insts[found.reduce].dtype.itemsize
    return plan.points * _count(found, *plan.results) * (found.depth.extent + found.col.extent) * size


def _work(found: Conv3x3, plan: Square, weight: int) -> float:
    """Multiply-adds, and instructions of the transforms; ``weight`` of them for each weight at a point."""
    depth, col, squares = found.depth.extent, found.col.extent, _count(found, *plan.results)
    down, along, points = plan.down, plan.along, plan.points
    into = down.input_work * along.points + along.input_work * down.points
    out = down.output_work * along.points + along.output_work * down.results
    moving = NEAR if _bytes(found, plan) <= NEAR_BYTES else FAR
    moved = depth * into + col * (out + 2 * prod(plan.results)) + moving * points * (depth + col)
    if found.keeps_zeros and not plan.exact_zeros:
        moved += HELD * depth * prod(plan.results)
    return float(squares * (points * depth * col + moved) + (weight + NEAR) * points * depth * col)


@dataclass(frozen=True)
class _Squares:
    """The squares of all images, and where the convolution's axes are in one."""

    found: Conv3x3
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
        """Which of all squares one is."""
        total = Index()
        for axis in _images(self.found):
            total = total * axis.extent + axis
        tall, wide = self.extents
        return (total * tall + row) * wide + column

    def place(self, row: Index, column: Index, y: int = 0, x: int = 0) -> dict[str, Index]:
        """The convolution's rows and columns at a result of a square."""
        down, along = self.plan.results
        return {_rows(self.found).name: row * down + y, self.found.columns.name: column * along + x}

    def parts(self) -> Iterator[tuple[tuple[Axis | None, Index, int], ...]]:
        """The squares in groups that have as many results inside of the image: for rows and columns an axis, None of a single
        one, the place along it, and how many results of a square are inside."""
        sides, images = [], (_rows(self.found), self.found.columns)
        for axis, extent, results, image in zip(self.axes, self.extents, self.plan.results, images):
            rest = image.extent % results
            whole = replace(axis, extent=image.extent // results)
            parts: list[tuple[Axis | None, Index, int]] = [(whole, Index.of(whole), results)] if whole.extent else []
            sides.append([*parts, (None, Index(offset=extent - 1), rest)] if rest else parts)
        yield from product(*sides)


def _tasks(draft: Draft, task: Task, found: Conv3x3, plan: Square) -> list[Task]:
    """The transforms, the products, and the results from them."""
    squares, dtype = _Squares(found, plan), found.stage.insts[found.reduce].dtype
    depth, col, count = found.depth.extent, found.col.extent, _count(found, *plan.results)
    weights = task.kernel.buffer(found.w.buffer)
    columns = weights.type.shape[found.w.load.index.index(found.col_index)]

    def temp(shape: tuple[int, ...]) -> Param:
        type_ = TensorType(shape, dtype)
        return Param(buffer_name(draft.temp(type_)), type_, "out")

    u, v, m = temp((plan.points, depth + APART, columns)), temp((plan.points, count + APART, depth)), temp(
        (plan.points, count + APART, col))
    kernels = [weight_kernel(found, plan, weights, u), _input(squares, v), _products(found, count, u, v, m)]
    reached = None
    if found.keeps_zeros and not plan.exact_zeros:
        sizes = (*(a.extent for a in _images(found)), _rows(found).extent, found.columns.extent)
        reached = temp(sizes)
        held_type = TensorType((*sizes[:-2], sizes[-2] + TAPS - 1, sizes[-1] + TAPS - 1), bool_)
        kernels += _reached(found, Param(buffer_name(draft.temp(held_type)), held_type, "out"), reached)
    return [Task(kernel, task.loc) for kernel in (*kernels, _output(squares, m, reached))]


def _input(squares: _Squares, v: Param) -> Kernel:
    found, plan = squares.found, squares.plan
    row, column = squares.axes
    ragged = any(image.extent % size for image, size in zip((_rows(found), found.columns), plan.results))
    place, code = squares.place(Index.of(row), Index.of(column)), ScalarCode(v.type.dtype)

    def load(y: int, x: int) -> int:
        return code.push(replace(input_at(found, place, Index(offset=y), Index(offset=x)), pad=0.0 if ragged else None))

    square = transformed(code, load, plan.shape, plan.down.input, plan.along.input)
    depth = replace(found.depth, reduce=False)
    stores = at_points(v, square, (squares.number(Index.of(row), Index.of(column)), Index.of(depth)))
    source = replace(found.kernel.buffer(found.x.buffer), role="in")
    return Kernel("winograd_input", (source, v), (Stage((*_images(found), row, column, depth), tuple(code.insts), stores),))


def _products(found: Conv3x3, count: int, u: Param, v: Param, m: Param) -> Kernel:
    point, square, dtype = Axis("point", u.type.shape[0]), Axis("square", count), u.type.dtype
    insts = (Load(v.name, tuple(map(Index.of, (point, square, found.depth))), dtype),
             Load(u.name, tuple(map(Index.of, (point, found.depth, found.col))), dtype),
             Apply("mul", (0, 1), dtype), Reduce("sum", 2, dtype))
    store = Store(m.name, tuple(map(Index.of, (point, square, found.col))), 3)
    stage = Stage((point, square, found.col, found.depth), insts, (store,))
    return Kernel("winograd_products", (replace(v, role="in"), replace(u, role="in"), m), (stage,))


def _reached(found: Conv3x3, held: Param, reached: Param) -> list[Kernel]:
    """Which positions of the input hold anything in any channel, and which results read such a position."""
    images, (tall, wide) = _images(found), held.type.shape[-2:]
    y, x = Axis("input_row", tall), Axis("input_column", wide)
    start = {_rows(found).name: Index(), found.columns.name: Index()}
    filled = any_stage((*images, y, x), (found.depth,), input_at(found, start, Index.of(y), Index.of(x)), held)
    row, column = Axis("result_row", tall - TAPS + 1), Axis("result_column", wide - TAPS + 1)
    ky, kx = Axis("tap_row", TAPS, reduce=True), Axis("tap_column", TAPS, reduce=True)
    load = Load(held.name, (*map(Index.of, images), row + ky, column + kx), bool_)
    source = replace(found.kernel.buffer(found.x.buffer), role="in")
    return [Kernel("winograd_held", (source, held), (filled,)),
            Kernel("winograd_reached", (replace(held, role="in"), reached),
                   (any_stage((*images, row, column), (ky, kx), load, reached),))]


def _output(squares: _Squares, m: Param, reached: Param | None) -> Kernel:
    """The results, each with the convolution's epilogue."""
    kernel = squares.found.kernel
    stages = tuple(_output_stage(squares, m, reached, *part) for part in squares.parts())
    still = {i.buffer for stage in stages for i in stage.insts if isinstance(i, Load)}
    params = tuple(p for p in kernel.params if p.role != "in" or p.name in still)
    made = (replace(p, role="in") for p in (m, reached) if p is not None)
    return replace(kernel, name=kernel.name.replace("conv", "conv_winograd", 1), params=(*made, *params), outer=(), stages=stages)


def _output_stage(squares: _Squares, m: Param, reached: Param | None, rows: tuple[Axis | None, Index, int],
                  columns: tuple[Axis | None, Index, int]) -> Stage:
    found, plan, code = squares.found, squares.plan, ScalarCode(m.type.dtype)
    (row_axis, row, tall), (column_axis, column, wide) = rows, columns
    at = (squares.number(row, column), Index.of(found.col))

    def load(y: int, x: int) -> int:
        return code.push(Load(m.name, (Index(offset=y * plan.along.points + x), *at), m.type.dtype))

    sums = transformed(code, load, plan.shape, plan.down.output, plan.along.output)
    stores: list[Store] = []
    for y, x in product(range(tall), range(wide)):
        place, total = squares.place(row, column, y, x), sums[y][x]
        if reached is not None:
            index = (*map(Index.of, _images(found)), *place.values())
            total = code.push(Apply("mul", (total, code.push(Load(reached.name, index, m.type.dtype))), m.type.dtype))
        stores += with_epilogue(code, found.stage, found.reduce, total, place)
    axes = (*_images(found), *(a for a in (row_axis, column_axis) if a is not None), found.col)
    return tidy(Stage(axes, tuple(code.insts), tuple(stores)))
