"""Gradients of small kernels by Winograd's algorithms: of 3x3 a quarter of the products, or by smaller squares less than a half.

    u[q, t, c] = (B' d B)[q]                     each square d of the input, t numbers the squares of all images
    v[q, t, o] = (G e G')[q]                     the square e of cotangents that the input's square meets
    m[q, c, o] = sum over t of u[q, t, c] v[q, t, o]
    dw = A' m A, and what follows the gradient   for every pair of channels once

A weight gradient is the convolution of an image by an image, with as many results as the kernel has taps; of a strided one, for
each phase of the image. Cut into squares of cotangents it is a sum of
small ones, F(3x3, 4x4), and since the last transform is linear it can follow the sum: a product of matrices at each point.
``passes/conv/forms.py`` has the transforms. The last squares of a row or column may reach beyond the image, where nothing is.
Of few channels most of the time goes into transforms. So tiles of some images or rows are transformed and multiplied, while they
are in cache, where their products, which are added up at the end, are less to move than the squares.

In exact arithmetic the sums are the direct ones; rounding errors are of their order, and a sum whose terms are all 0 would be one:
an optimizer may make a full step of it. So each transform also makes words of bits, one for each element of its square: whether
it is not 0. A gradient is kept if for any square

    (word of x, at the tap) and (word of g)

has a bit set. A square has up to 16 products in a word, and most gradients are known to be kept after the first few squares. Those
of a channel that holds nothing at all need not be looked for: they are 0 as they are.

An infinity makes NaN of all taps, as it does of one in a direct sum.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, prod
from typing import ClassVar

from leptonc.ir.kernel import Axis, Index, Kernel, Program, divisors
from leptonc.ir.structure import product_sum
from leptonc.ir.types import DType
from leptonc.passes.conv.convolution import load_of
from leptonc.passes.conv.gradientsquares import Plan, WeightGrad, squares_along, tasks_by_squares
from leptonc.passes.conv.squares import LEAST_CHANNELS, Square, square_forms
from leptonc.passes.conv.strides import by_phases
from leptonc.passes.loops.alike import Alike
from leptonc.passes.loops.draft import Draft, Task

GAIN = 1.2  # how much less work it must be
LEAST_POSITIONS = 1024  # of results: of fewer, many gradients are sums of few products, and rounding errors of the others' size
MOST_BYTES = 256 * 1024 * 1024  # that transformed squares may take
NEAR_BYTES = 16 * 1024 * 1024  # transformed squares that are still in L3 when they are multiplied
NEAR, FAR = 8, 24  # what writing a vector of them and reading it costs, in multiply-adds, where they are and where they are not
CLOSE = 4  # the same of a tile, in L2
TILE_BYTES = 640 * 1024  # that a tile's transformed squares may take
LEAST_TILES = 16  # so that they share among threads evenly


@dataclass(frozen=True)
class WinogradWeightGrad:
    """Replaces the kernel of a convolution's weight gradient by some, where that is less work."""

    name: str = "winograd-weight-grad"
    changes: ClassVar[tuple[str, ...]] = ("rounding", "special values")  # transforms' constants are rounded; infinities become NaN

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        alike, tasks = Alike(draft), list[Task]()
        for task in draft.tasks:
            found = find_weight_grad(task.kernel)
            plan = _best(found, _fills_image(found) or _has_zeros_around(draft, found)) if found else None
            tasks += [task] if found is None or plan is None else _replaced(draft, alike, task, found, plan)
        draft.tasks = tasks
        return draft.finish()


def _replaced(draft: Draft, alike: Alike, task: Task, found: WeightGrad, plan: Plan) -> list[Task]:
    return alike.tasks(task, (), plan, lambda: tasks_by_squares(draft, task, found, plan))


def _fills_image(found: WeightGrad) -> bool:
    """Whether the cotangents' buffer ends where the image does."""
    shape = found.kernel.buffer(found.g.buffer).type.shape
    return all(extent == a.extent for i, extent in zip(found.g.index, shape) for a in found.moved if i.coeff(a.name))


def _has_zeros_around(draft: Draft, found: WeightGrad) -> bool:
    """Whether it was made with a halo of zeros."""
    made = [p for task in draft.tasks for p in task.kernel.outputs if p.name == found.g.buffer]
    return bool(made) and all(p.init == 0 for p in made)


def is_winograd_weight_grad(kernel: Kernel) -> bool:
    """Whether the pass will take a kernel, so that its sum need not be split for there to be parallel work."""
    found = find_weight_grad(kernel)
    return found is not None and _best(found, _fills_image(found)) is not None


def find_weight_grad(kernel: Kernel) -> WeightGrad | None:
    """The weight gradient of a convolution with few taps, of step and dilation 1 or by phases, that a kernel is."""
    if kernel.outer or len(kernel.stages) != 1:
        return None
    stage = kernel.stages[0]
    found = product_sum(stage.insts)
    if found is None or len(stage.map_axes) != 4 or not stage.insts[found.reduce].dtype.is_float:
        return None
    if any(store.masked or store.accumulate for store in stage.stores):
        return None
    (a, b), casts = (found.a, found.b), found.casts
    return _matched(kernel, found.reduce, a, b, casts) or _matched(kernel, found.reduce, b, a, casts[::-1])


def _matched(kernel: Kernel, number: int, image: int, cotangent: int,
             casts: tuple[tuple[DType, ...], tuple[DType, ...]]) -> WeightGrad | None:
    stage = by_phases(kernel.stages[0], load_of(kernel.stages[0], image))
    x, g = load_of(stage, image), load_of(stage, cotangent)
    axes = {a.name: a for a in stage.axes}
    inner = [_axes_of(index, axes) for index in x.index]
    outer = [_axes_of(index, axes) for index in g.index]
    moving = [dim for dim in inner if dim is not None and len(dim) > 1]
    if None in inner or None in outer or len(moving) != 2:
        return None
    pairs = [_tap_and_position(dim) for dim in moving]
    alone = [axis for dim in inner if dim is not None and len(dim) == 1 for axis, coeff in dim if coeff == 1]
    read = [axis for dim in outer if dim is not None and len(dim) == 1 for axis, coeff in dim if coeff == 1]
    (first, second), cols = pairs, [a for a in read if not a.reduce]
    if first is None or second is None or len(cols) != 1:
        return None
    (ky, row, *down), (kx, column, *along) = first, second
    depths = (*down, *along, *(a for a in alone if not a.reduce))
    images = tuple(a for a in alone if a.reduce)
    whole = {ky, kx, *depths, *cols} == set(stage.map_axes) and {row, column, *images} == set(stage.reduce_axes)
    fits = set(read) == {row, column, *images, *cols} and len(read) == len(images) + 3 and len(depths) == 1 + len(down) + len(along)
    if not whole or not fits:
        return None
    kernel = replace(kernel, stages=(stage,))
    return WeightGrad(kernel, number, x, g, casts, (ky, kx), (row, column), images, depths, cols[0])


Terms = list[tuple[Axis, int]]


def _axes_of(index: Index, axes: dict[str, Axis]) -> Terms | None:
    """The axes that an index is a sum of, with a constant, and their coefficients; None if it is another."""
    if index.div != 1 or index.values or any(coeff < 1 or name not in axes for name, coeff in index.axes):
        return None
    return [(axes[name], coeff) for name, coeff in index.axes]


def _tap_and_position(terms: Terms) -> list[Axis] | None:
    """Of ``step * (position + tap) + phase`` the tap, the position and, if the step is more than 1, the phase."""
    steps = max(coeff for _, coeff in terms)
    taps = [a for a, coeff in terms if coeff == steps and not a.reduce]
    positions = [a for a, coeff in terms if coeff == steps and a.reduce]
    phases = [a for a, coeff in terms if coeff < steps]
    fits = len(taps) == len(positions) == 1 and len(phases) == (steps > 1)
    if not fits or any(a.reduce or a.extent != steps or coeff != 1 for a, coeff in terms if coeff < steps):
        return None
    return [*taps, *positions, *phases]


def _best(found: WeightGrad, ends: bool) -> Plan | None:
    """The squares that take least work; None if the direct sum takes hardly more. They may reach beyond an image that ``ends``:
    there are no cotangents."""
    if found.channels < LEAST_CHANNELS or prod(a.extent for a in found.stage.reduce_axes) < LEAST_POSITIONS:
        return None
    work, _, plan = min(((_work(found, plan), n, plan) for n, plan in enumerate(_plans(found, ends))), default=(inf, 0, None))
    direct = prod(a.extent for a in found.stage.axes)
    return plan if work * GAIN < direct else None


def _plans(found: WeightGrad, ragged: bool) -> Iterator[Plan]:
    for down, along in square_forms(found.tap_counts):
        square = Square(down, along)
        if ragged or all(a.extent % size == 0 for a, size in zip(found.moved, square.results)):
            counts = squares_along(found, square)
            if _bytes(found, square, prod(counts)) <= MOST_BYTES:
                yield Plan(square)
            yield from (Plan(square, tile) for tile in _tiles(counts) if _fits(found, square, prod(tile), prod(counts)))


def _fits(found: WeightGrad, square: Square, tile: int, count: int) -> bool:
    """Whether so many squares stay in the cache together, and the sums of all tiles in a larger one."""
    sums = square.points * found.depth.extent * found.col.extent * found.stage.insts[found.reduce].dtype.itemsize
    return _bytes(found, square, tile) <= TILE_BYTES and LEAST_TILES <= count // tile <= NEAR_BYTES // sums


def _tiles(counts: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Parts of an axis with all that is behind it."""
    for n, count in enumerate(counts):
        yield from ((1,) * n + (size,) + counts[n + 1:] for size in divisors(count) if n == 0 or size < count)


def _bytes(found: WeightGrad, square: Square, count: int) -> int:
    """Of so many transformed squares, of both images."""
    size = found.stage.insts[found.reduce].dtype.itemsize
    return square.points * count * (found.depth.extent + found.col.extent) * size


def _work(found: WeightGrad, plan: Plan) -> float:
    """Multiply-adds, and instructions of the transforms."""
    depth, col, square = found.depth.extent, found.col.extent, plan.square
    count, down, along = prod(squares_along(found, square)), square.down, square.along
    into = down.input_work * along.points + along.input_work * down.points
    against = down.cotangent_work * along.results + along.cotangent_work * down.points
    out = down.output_work * along.points + along.output_work * down.taps + 2 * square.points
    done = count * (square.points * depth * col + depth * into + col * against) + depth * col * out
    return float(done + _moving(found, plan, count * square.points * (depth + col)))


def _moving(found: WeightGrad, plan: Plan, elements: int) -> float:
    """What it costs that transformed squares, and sums of tiles, are written and read."""
    count = prod(squares_along(found, plan.square))
    if plan.tile is None:
        return elements * (NEAR if _bytes(found, plan.square, count) <= NEAR_BYTES else FAR)
    sums = count // prod(plan.tile) * plan.square.points * found.depth.extent * found.col.extent
    return elements * CLOSE + sums * NEAR
