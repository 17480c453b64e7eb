"""Convolutions with few taps by Winograd's algorithms: of 3x3 4, or by larger squares 2.25, products for each result instead of 9.

    for some n, some rows:                         outer axes, in parallel
      v[q, t, c] = (B' d B)[q]                     each square d of the input; t numbers the squares of the tile
      m[q, t, o] = sum over c of v[q, t, c] u[q, c, o]
      y = A' m A, and what follows the convolution   each square of results, 0 where all inputs of a result are
    with u = G w G' computed before, once for all of them.

``passes/conv/forms.py`` has the transforms, ``passes/conv/convolution.py`` says what is such a convolution. Squares of results are
2x2 or 4x4, or 2 by 4, whatever takes least work; a tile is rows of squares of an image, or of some images, as many as give the
products enough rows and still fit the cache; or a part of the columns of a wide image; of one phase, where a strided convolution's
input gradient has some. In exact arithmetic the result is the convolution. Rounding errors are those of direct sums, about twice as
much for 4x4. An infinity in a square makes NaN of results that a direct sum would make infinite, and a sum near the largest float
may overflow earlier.

Sums of products that are all 0 are 0, by what ``passes/conv/nonzero.py`` sees of the operands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from math import inf, prod
from typing import ClassVar

from leptonc.ir.kernel import Axis, Index, Kernel, Load, Param, Program, Stage, divisors
from leptonc.ir.types import TensorType, i32
from leptonc.passes.conv.convolution import (
    Convolution,
    Result,
    TransformedWeights,
    find_convolution,
    input_stage,
    is_frozen,
    product_stage,
    result_stage,
)
from leptonc.passes.conv.nonzero import full_weights, held_stage, met_stage, reached_stage
from leptonc.passes.conv.squares import APART, LEAST_CHANNELS, Square, row_major, square_forms
from leptonc.passes.loops.alike import Alike
from leptonc.passes.loops.coarsen import coarsened
from leptonc.passes.loops.draft import Draft, Task, index_at, inst_at

GAIN = 1.2  # how much less work it must be
LOOK, REACH = 3, 1024  # to see whether an element of a square is 0, and which of its results read any that is not, in the same
LEAST_POINTS = 16  # tiles wanted, so that the split is even for any thread count
WEIGHT = 25  # a transformed weight, which is made once, as multiply-adds (they are bound by stores)
LEAST_WIDTH = 8  # columns of a tile: the two around them are transformed again
NEAR_BYTES = 576 * 1024  # a tile and transformed weights that stay near the core together, these from one tile to the next
NEAR, FAR = 2, 8  # what reading a vector of weights costs, in multiply-adds, where they do and where they do not


@dataclass(frozen=True)
class Winograd:
    """``local_bytes``: most that the squares of one tile may take."""

    local_bytes: int = 640 * 1024
    name: str = "winograd"
    changes: ClassVar[tuple[str, ...]] = ("rounding", "special values")  # transforms' constants are rounded; infinities become NaN

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        weights, alike, tasks = TransformedWeights(draft), Alike(draft), list[Task]()
        for task in draft.tasks:
            tasks += self._replaced(draft, weights, alike, task)
        draft.tasks = tasks
        return draft.finish()

    def _replaced(self, draft: Draft, weights: TransformedWeights, alike: Alike, task: Task) -> list[Task]:
        whole = find_convolution(task.kernel)
        best = None if whole is None else _best(whole, self.local_bytes, 0 if is_frozen(draft, whole) else WEIGHT)
        if best is None:
            return [task]
        (u, before), (full, look) = weights.of(*best, task), full_weights(weights, best[0], task)
        made = alike.tasks(task, (u, full), best[1], lambda: [replace(task, kernel=_tiled(*best, u, full))])
        return [*before, *look, *made]


@dataclass(frozen=True)
class _Plan(Square):
    """Squares in tiles of ``strips`` neighbours along the rows, ``images`` images."""

    strips: int
    images: int


def _best(whole: Convolution, local_bytes: int, weight: int) -> tuple[Convolution, _Plan] | None:
    """The squares and tiles that take least work; None if direct sums take hardly more."""
    depth, col = whole.depth.extent, whole.col.extent
    if whole.channels < LEAST_CHANNELS:
        return None
    work, best = _least(whole, local_bytes, weight)
    rows = prod(a.extent for a in whole.kernel.outer) * whole.height
    direct = rows * (whole.columns.extent + NEAR) * prod(whole.tap_counts) * depth * col
    return best if work * GAIN < direct else None


def tiled_work(whole: Convolution, weight: int) -> float:
    """The least work that tiles take, infinite if none fit. To compare it with other ways, not only tiles with tiles, what
    it costs that weights are far is halved: most of the time they arrive while others are multiplied."""
    return _least(whole, Winograd().local_bytes, weight, FAR // 2)[0]


def _least(whole: Convolution, local_bytes: int, weight: int, far: int = FAR) -> tuple[float, tuple[Convolution, _Plan] | None]:
    plans = [(found, plan) for found in _widths(whole) for plan in _plans(found) if _local_bytes(found, plan) <= local_bytes]
    work, _, best = min(((_work(*plan, weight, far), n, plan) for n, plan in enumerate(plans)), default=(inf, 0, None))
    return work, best


def _widths(found: Convolution) -> Iterator[Convolution]:
    """The convolution in tiles as wide as the image, and in narrower ones if nothing else is in the kernel."""
    yield found
    axis, kernel = found.columns, found.kernel
    for width in divisors(axis.extent)[-2::-1] if len(kernel.stages) == 1 else ():
        if width >= LEAST_WIDTH:
            part = Axis(f"{axis.name}_part", axis.extent // width)
            place = {axis.name: part * width + axis}
            narrow = _moved(kernel, place, replace(axis, extent=width))
            x = narrow.stages[0].insts[found.stage.insts.index(found.x)]
            assert isinstance(x, Load)
            yield replace(found, kernel=replace(narrow, outer=(part, *kernel.outer)), x=x, columns=replace(axis, extent=width))


def _moved(kernel: Kernel, place: Mapping[str, Index], axis: Axis) -> Kernel:
    """The only stage with an axis at another place, and of another extent."""
    (stage,) = kernel.stages
    stores = tuple(replace(s, index=tuple(index_at(i, place) for i in s.index)) for s in stage.stores)
    axes = tuple(axis if a.name == axis.name else a for a in stage.axes)
    return replace(kernel, stages=(Stage(axes, tuple(inst_at(i, place) for i in stage.insts), stores),))


def _plans(found: Convolution) -> Iterator[_Plan]:
    points = prod(a.extent for a in found.kernel.outer)
    for down, along in square_forms(found.tap_counts):
        if found.columns.extent % along.results or down.results % found.height:
            continue
        least = down.results // found.height
        for strips in divisors(found.down.extent if found.down else 1):
            for images in divisors(found.images.extent if found.images else 1):
                enough = strips * images <= max(points // LEAST_POINTS, least)
                if strips % least == 0 and enough and _squares(found, _Plan(down, along, strips, images)) > 1:
                    yield _Plan(down, along, strips, images)


def _squares(found: Convolution, plan: _Plan) -> int:
    """Squares in a tile."""
    rows = plan.strips * found.height // plan.down.results
    return plan.images * rows * (found.columns.extent // plan.along.results)


def _local_bytes(found: Convolution, plan: _Plan) -> int:
    size = found.stage.insts[found.reduce].dtype.itemsize
    return plan.points * (_squares(found, plan) + APART) * (found.depth.extent + found.col.extent) * size


def _work(found: Convolution, plan: _Plan, weight: int, far: int) -> float:
    """Multiply-adds, and instructions of the transforms; ``weight`` of them for each weight at a point."""
    depth, col, squares = found.depth.extent, found.col.extent, _squares(found, plan)
    weights = plan.points * depth * col
    size = weights * found.stage.insts[found.reduce].dtype.itemsize + _local_bytes(found, plan)
    reading = NEAR if size <= NEAR_BYTES else far
    down, along = plan.down, plan.along
    into = down.input_work * along.points + along.input_work * down.points
    out = down.output_work * along.points + along.output_work * down.results
    moved = depth * (into + 2 * plan.points) + col * (out + plan.points + 2 * down.results * along.results)
    if not plan.exact_zeros:
        moved += LOOK * plan.points * depth + REACH
    tiles = prod(a.extent for a in found.kernel.outer) // (plan.strips * plan.images)
    made = weight * weights * prod(a.extent for a in found.phases)
    return float(tiles * (weights * (squares + reading) + squares * moved) + made)


@dataclass(frozen=True)
class _Squares:
    """The squares of a tile: axes over the images, rows and columns of them, and where the convolution's axes are in one."""

    found: Convolution
    plan: _Plan
    image: Axis | None
    inner: Axis | None
    row: Axis
    column: Axis

    @property
    def images(self) -> tuple[Axis, ...]:
        return (self.image,) if self.image else ()

    @property
    def axes(self) -> tuple[Axis, ...]:
        return (*self.images, self.row, self.column)

    @property
    def number(self) -> Index:
        """Which of the tile's squares one is."""
        across = self.row * self.column.extent + self.column
        return across + self.image * (self.row.extent * self.column.extent) if self.image else across

    @property
    def count(self) -> int:
        return prod(a.extent for a in self.axes)

    def place(self, y: int, x: int) -> dict[str, Index]:
        """The convolution's position axes at a result of the square."""
        height, place = self.found.height, {self.found.columns.name: self.column * self.plan.along.results + x}
        if self.inner is not None:
            place[self.inner.name] = self.row * (self.plan.down.results // height) + y // height
        if self.found.strip is not None:
            place[self.found.strip.name] = Index.of(y % height)
        return place


def _tiled(found: Convolution, plan: _Plan, u: Param, full: Param) -> Kernel:
    """The kernel with larger tiles, each of one phase, and its first stage done by squares."""
    dtype, kernel = u.type.dtype, found.kernel
    kernel, inner = coarsened(kernel, found.down, plan.strips) if found.down else (kernel, None)
    kernel, image = coarsened(kernel, found.images, plan.images) if found.images else (kernel, None)
    stage = kernel.stages[0]
    x = stage.insts[found.stage.insts.index(found.x)]
    assert isinstance(x, Load)
    row = Axis("square_row", plan.strips * found.height // plan.down.results)
    squares = _Squares(replace(found, kernel=kernel, x=x, phases=()), plan, image, inner, row,
                       Axis("square_column", found.columns.extent // plan.along.results))
    v = Param("squares", TensorType((plan.points, squares.count + APART, found.depth.extent), dtype), "local")
    m = Param("products", TensorType((plan.points, squares.count + APART, found.col.extent), dtype), "local")
    made, seen = _nonzero(squares, v, full)
    results = (Result(y, x, squares.place(y, x)) for y, x in product(range(plan.down.results), range(plan.along.results)))
    number = squares.number
    stages = (*made, product_stage(squares.found, squares.count, v, u, m, row_major(found.phases) * plan.points),
              result_stage(squares.found, plan, squares.axes, number, m, seen[0], number, results), *kernel.stages[1:])
    still = {i.buffer for s in stages for i in s.insts if isinstance(i, Load)}
    params = tuple(p for p in kernel.params if p.role != "in" or p.name in still)
    return replace(kernel, name=kernel.name.replace("conv", "conv_winograd", 1), params=(u, full, *params), stages=stages,
                   locals=(*kernel.locals, v, m, *seen))


def _nonzero(squares: _Squares, v: Param, full: Param) -> tuple[tuple[Stage, ...], tuple[Param, ...]]:
    """The stages that transform the input and see which results have a product that is not 0, and the local buffers they fill
    beside ``v``, the answer first."""
    found, plan, axes, number = squares.found, squares.plan, squares.axes, squares.number
    met = Param("met", TensorType((squares.count, found.col.extent), i32), "local")
    if plan.exact_zeros:
        return (input_stage(found, plan, axes, number, squares.place(0, 0), None, v, None, number),
                met_stage(found, plan, axes, number, squares.place, None, full, None, met)), (met,)
    shapes = {"bits": (2, squares.count, found.depth.extent), "held": (2, squares.count), "reached": (squares.count,)}
    bits, held, reached = (Param(name, TensorType(shape, i32), "local") for name, shape in shapes.items())
    stages = (input_stage(found, plan, axes, number, squares.place(0, 0), None, v, bits, number),
              held_stage(found, axes, number, bits, held), reached_stage(plan, axes, number, held, reached),
              met_stage(found, plan, axes, number, squares.place, None, full, reached, met))
    return stages, (met, bits, held, reached)
