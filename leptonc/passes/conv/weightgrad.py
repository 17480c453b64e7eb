"""Gradients of 3x3 kernels by Winograd's algorithms: a quarter of the products, or by smaller squares less than a half.

    u[q, t, c] = (B' d B)[q]                     each square d of the input, t numbers the squares of all images
    v[q, t, o] = (G e G')[q]                     the square e of cotangents that the input's square meets
    m[q, c, o] = sum over t of u[q, t, c] v[q, t, o]
    dw = A' m A, and what follows the gradient   for every pair of channels once

A weight gradient is the convolution of an image by an image, with nine results. Cut into squares of cotangents it is a sum of
small ones, F(3x3, 4x4), and since the last transform is linear it can follow the sum: a product of matrices at each point.
``passes/conv/squares.py`` has the transforms. The last squares of a row or column may reach beyond the image, where nothing is.

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
from itertools import product
from math import prod
from typing import ClassVar

from leptonc.ir.kernel import Apply, Axis, Const, Index, Kernel, Load, Param, Program, Reduce, Stage, Store
from leptonc.ir.structure import product_sum
from leptonc.ir.types import TensorType, bool_, i32
from leptonc.passes.conv.squares import (
    APART,
    F2,
    F4,
    LEAST_CHANNELS,
    TAPS,
    ScalarCode,
    Square,
    SquareBits,
    Transform,
    at_points,
    transformed,
    with_epilogue,
)
from leptonc.passes.loops.draft import Draft, Task, buffer_name, index_at, tidy

GAIN = 1.2  # how much less work it must be
LEAST_POSITIONS = 1024  # of results: of fewer, many gradients are sums of few products, and rounding errors of the others' size
MOST_BYTES = 256 * 1024 * 1024  # that transformed squares may take
NEAR_BYTES = 16 * 1024 * 1024  # transformed squares that are still in L3 when they are multiplied
NEAR, FAR = 8, 24  # what writing a vector of them and reading it costs, in multiply-adds, where they are and where they are not


@dataclass(frozen=True)
class WinogradWeightGrad:
    """Replaces the kernel of a convolution's weight gradient by four, where that is less work."""

    name: str = "winograd-weight-grad"
    changes: ClassVar[tuple[str, ...]] = ("rounding", "special values")  # transforms' constants are rounded; infinities become NaN

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        tasks: list[Task] = []
        for task in draft.tasks:
            found = find_weight_grad(task.kernel)
            plan = _best(found, _fills_image(found) or _has_zeros_around(draft, found)) if found else None
            tasks += [task] if found is None or plan is None else _tasks(draft, task, found, plan)
        draft.tasks = tasks
        return draft.finish()


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


@dataclass(frozen=True)
class WeightGrad:
    """``sum over images, rows, columns of x[image, row + ky, column + kx, depth] * g[image, row, column, col]``, the only stage of
    a kernel, with its axes: ``taps`` are ky and kx, ``moved`` the rows and columns, ``images`` the other folded ones."""

    kernel: Kernel
    reduce: int
    x: Load
    g: Load
    taps: tuple[Axis, Axis]
    moved: tuple[Axis, Axis]
    images: tuple[Axis, ...]
    depth: Axis
    col: Axis

    @property
    def stage(self) -> Stage:
        return self.kernel.stages[0]


def find_weight_grad(kernel: Kernel) -> WeightGrad | None:
    """The weight gradient of a convolution with a 3x3 kernel, of step and dilation 1, that a kernel is."""
    if kernel.outer or len(kernel.stages) != 1:
        return None
    stage = kernel.stages[0]
    found = product_sum(stage.insts)
    if found is None or len(stage.map_axes) != 4 or not stage.insts[found.reduce].dtype.is_float:
        return None
    if any(store.masked or store.accumulate for store in stage.stores):
        return None
    one, other = found.factors
    return _matched(kernel, found.reduce, one, other) or _matched(kernel, found.reduce, other, one)


def _matched(kernel: Kernel, number: int, x: Load, g: Load) -> WeightGrad | None:
    stage = kernel.stages[0]
    axes = {a.name: a for a in stage.axes}
    inner = [_axes_of(index, axes) for index in x.index]
    outer = [_axes_of(index, axes) for index in g.index]
    pairs = [pair for pair in inner if pair is not None and len(pair) == 2]
    if None in inner or None in outer or len(pairs) != 2:
        return None
    taps = [next((a for a in pair if not a.reduce), None) for pair in pairs]
    moved = [next((a for a in pair if a.reduce), None) for pair in pairs]
    alone = [one[0] for one in inner if one is not None and len(one) == 1]
    read = [one[0] for one in outer if one is not None and len(one) == 1]
    depths, cols = [a for a in alone if not a.reduce], [a for a in read if not a.reduce]
    images = tuple(a for a in alone if a.reduce)
    (ky, kx), (row, column) = taps, moved
    if ky is None or kx is None or row is None or column is None or len(depths) != 1 or len(cols) != 1:
        return None
    (depth,), (col,) = depths, cols
    whole = {ky, kx, depth, col} == set(stage.map_axes) and {row, column, *images} == set(stage.reduce_axes)
    fits = ky.extent == kx.extent == TAPS and set(read) == {row, column, *images, col} and len(read) == len(images) + 3
    if not whole or not fits:
        return None
    return WeightGrad(kernel, number, x, g, (ky, kx), (row, column), images, depth, col)


def _axes_of(index: Index, axes: dict[str, Axis]) -> list[Axis] | None:
    """The axes that an index is the sum of, with a constant; None if it is another."""
    if index.div != 1 or index.values or any(coeff != 1 or name not in axes for name, coeff in index.axes):
        return None
    return [axes[name] for name, _ in index.axes]


def _best(found: WeightGrad, ends: bool) -> Square | None:
    """The squares that take least work; None if the direct sum takes hardly more. They may reach beyond an image that ``ends``:
    there are no cotangents."""
    depth, col = found.depth.extent, found.col.extent
    if min(depth, col) < LEAST_CHANNELS or prod(a.extent for a in found.stage.reduce_axes) < LEAST_POSITIONS:
        return None
    work, _, plan = min(((_work(found, plan), n, plan) for n, plan in enumerate(_plans(found, ends))), default=(0.0, 0, None))
    direct = prod(a.extent for a in found.stage.axes)
    return plan if work * GAIN < direct else None


def _plans(found: WeightGrad, ragged: bool) -> Iterator[Square]:
    for down, along in product((F2, F4), repeat=2):
        plan = Square(down, along)
        even = all(a.extent % size == 0 for a, size in zip(found.moved, plan.results))
        if (ragged or even) and _bytes(found, plan) <= MOST_BYTES:
            yield plan


def _bytes(found: WeightGrad, plan: Square) -> int:
    """Of transformed squares, of both images."""
    size = found.stage.insts[found.reduce].dtype.itemsize
    return plan.points * _count(found, plan) * (found.depth.extent + found.col.extent) * size


def _count(found: WeightGrad, plan: Square) -> int:
    """Squares of all images."""
    return prod(a.extent for a in found.images) * prod(-(-a.extent // size) for a, size in zip(found.moved, plan.results))


def _work(found: WeightGrad, plan: Square) -> float:
    """Multiply-adds, and instructions of the transforms."""
    depth, col, squares, points = found.depth.extent, found.col.extent, _count(found, plan), plan.points
    down, along = plan.down, plan.along
    into = down.input_work * along.points + along.input_work * down.points
    against = down.cotangent_work * along.results + along.cotangent_work * down.points
    elements = points * squares * (depth + col)
    moving = NEAR if _bytes(found, plan) <= NEAR_BYTES else FAR
    out = down.output_work * along.points + along.output_work * TAPS + 2 * points
    return float(squares * (points * depth * col + depth * into + col * against) + moving * elements + depth * col * out)


@dataclass(frozen=True)
class _Squares:
    """The squares of all images: their axes, and where the gradient's folded axes are in one."""

    found: WeightGrad
    plan: Square

    @property
    def axes(self) -> tuple[Axis, ...]:
        images = (replace(a, reduce=False) for a in self.found.images)
        return (*images, *(Axis(a.name, -(-a.extent // size)) for a, size in zip(self.found.moved, self.plan.results)))

    @property
    def ragged(self) -> bool:
        """Whether some squares reach beyond the image."""
        return any(a.extent % size for a, size in zip(self.found.moved, self.plan.results))

    @property
    def number(self) -> Index:
        total = Index()
        for axis in self.axes:
            total = total * axis.extent + axis
        return total

    def place(self, y: int, x: int) -> dict[str, Index]:
        """Rows and columns at an element of the square, met at the first tap."""
        moved = {a.name: Index.of(a) * size + at for a, size, at in zip(self.found.moved, self.plan.results, (y, x))}
        return {**moved, **{tap.name: Index() for tap in self.found.taps}}


def _tasks(draft: Draft, task: Task, found: WeightGrad, plan: Square) -> list[Task]:
    """Both transforms, the products and the gradient from them."""
    squares, dtype = _Squares(found, plan), found.stage.insts[found.reduce].dtype
    depth, col, count = found.depth.extent, found.col.extent, _count(found, plan)
    shapes = (count + APART, depth), (count + APART, col), (depth + APART, col)
    temps = [TensorType((plan.points, *shape), dtype) for shape in shapes]
    temps += [TensorType(shape, i32) for shape in ((2, count, depth), (1, count, col))]
    temps += [TensorType(shape, bool_) for shape in ((depth,), (col,), (TAPS, TAPS, depth, col))]
    u, v, m, x, g, no_x, no_g, met = (Param(buffer_name(draft.temp(type_)), type_, "out") for type_ in temps)
    kernels = (
        _transform("winograd_input", squares, found.x, found.depth, (u, x), plan.shape, (plan.down.input, plan.along.input)),
        _transform("winograd_cotangent", squares, found.g, found.col, (v, g), plan.results,
                   (plan.down.cotangent, plan.along.cotangent)),
        _empty(found.depth, x, no_x),
        _empty(found.col, g, no_g),
        _products(found, count, u, v, m),
        _met(found, plan, (x, no_x), (g, no_g), met),
        _gradient(found, plan, m, met),
    )
    return [Task(kernel, task.loc) for kernel in kernels]


def _transform(name: str, squares: _Squares, load: Load, channel: Axis, outs: tuple[Param, Param], shape: tuple[int, int],
               transforms: tuple[Transform, Transform]) -> Kernel:
    """The squares that a load reads, at the points, and in words which of their elements are not 0."""
    out, words = outs
    code = ScalarCode(out.type.dtype)
    bits = SquareBits(code, squares.plan)

    def element(y: int, x: int) -> int:
        place = squares.place(y, x)
        pad = 0.0 if squares.ragged and load.pad is None else load.pad
        value = code.push(replace(load, index=tuple(index_at(i, place) for i in load.index), pad=pad))
        bits.take(y, x, value)
        return value

    square = transformed(code, element, shape, *transforms)
    at = squares.number, Index.of(channel)
    stores = tuple(Store(words.name, (Index(offset=n), *at), word) for n, word in enumerate(bits.words[:words.type.shape[0]]))
    stage = Stage((*squares.axes, channel), tuple(code.insts), (*at_points(out, square, at), *stores))
    source = replace(squares.found.kernel.buffer(load.buffer), role="in")
    return Kernel(name, (source, out, words), (tidy(stage),))


def _empty(channel: Axis, words: Param, out: Param) -> Kernel:
    """Whether a channel holds nothing, by the words of its squares."""
    n, square = (Axis(name, extent, reduce=True) for name, extent in zip(("word", "square"), words.type.shape))
    code = ScalarCode(i32)
    word = code.push(Load(words.name, tuple(map(Index.of, (n, square, channel))), i32))
    value = code.push(Apply("not", (code.push(Reduce("any", code.is_set(word), bool_)),), bool_))
    store = Store(out.name, (Index.of(channel),), value)
    return Kernel("winograd_empty", (replace(words, role="in"), out), (Stage((channel, n, square), tuple(code.insts), (store,)),))


def _met(found: WeightGrad, plan: Square, inputs: tuple[Param, Param], cotangents: tuple[Param, Param], met: Param) -> Kernel:
    """Whether any product of a gradient's sum is not 0. A tap moves the cotangents' bits to those of the input that they meet."""
    (x, no_x), (g, no_g) = inputs, cotangents
    square, code = Axis("square", g.type.shape[1], reduce=True), ScalarCode(i32)
    none = [code.push(Load(p.name, (Index.of(axis),), bool_)) for p, axis in ((no_x, found.depth), (no_g, found.col))]
    known = code.push(Apply("or", (none[0], none[1]), bool_))
    words = [code.push(Load(x.name, (Index(offset=n), Index.of(square), Index.of(found.depth)), i32)) for n in range(2)]
    against = code.push(Load(g.name, (Index(), Index.of(square), Index.of(found.col)), i32))
    stores = []
    for ky, kx in product(range(TAPS), repeat=2):
        word, rows = (words[0], ky) if ky < TAPS - 1 else (words[1], ky - 1)
        moved = code.integer("shl", against, code.number(rows * plan.along.points + kx))
        meets = code.push(Apply("or", (known, code.is_set(code.integer("and", word, moved))), bool_))
        value = code.push(Reduce("any", meets, bool_))
        stores.append(Store(met.name, (*map(Index, ((), ()), (ky, kx)), Index.of(found.depth), Index.of(found.col)), value))
    stage = Stage((found.depth, found.col, square), tuple(code.insts), tuple(stores))
    params = (*(replace(p, role="in") for p in (x, g, no_x, no_g)), met)
    return Kernel("winograd_met", params, (tidy(stage),))


def _products(found: WeightGrad, count: int, u: Param, v: Param, m: Param) -> Kernel:
    point, square, dtype = Axis("point", u.type.shape[0]), Axis("square", count, reduce=True), u.type.dtype
    insts = (Load(u.name, tuple(map(Index.of, (point, square, found.depth))), dtype),
             Load(v.name, tuple(map(Index.of, (point, square, found.col))), dtype),
             Apply("mul", (0, 1), dtype), Reduce("sum", 2, dtype))
    store = Store(m.name, tuple(map(Index.of, (point, found.depth, found.col))), 3)
    stage = Stage((point, found.depth, found.col, square), insts, (store,))
    return Kernel("winograd_products", (replace(u, role="in"), replace(v, role="in"), m), (stage,))


def _gradient(found: WeightGrad, plan: Square, m: Param, met: Param) -> Kernel:
    """The gradient at each tap, 0 where no product is anything else, with its epilogue."""
    kernel, stage, code = found.kernel, found.stage, ScalarCode(m.type.dtype)
    at = (Index.of(found.depth), Index.of(found.col))

    def load(y: int, x: int) -> int:
        return code.push(Load(m.name, (Index(offset=y * plan.along.points + x), *at), m.type.dtype))

    sums = transformed(code, load, plan.shape, plan.down.taps, plan.along.taps)
    stores: list[Store] = []
    for y, x in product(range(TAPS), repeat=2):
        place = {tap.name: Index(offset=n) for tap, n in zip(found.taps, (y, x))}
        kept = code.push(Load(met.name, (Index(offset=y), Index(offset=x), *at), bool_))
        total = code.push(Apply("mul", (sums[y][x], code.push(Apply("cast", (kept,), code.dtype))), code.dtype))
        total = code.push(Apply("add", (total, code.push(Const(0.0, code.dtype))), code.dtype))  # the zero of sums, not -0.0
        stores += with_epilogue(code, stage, found.reduce, total, place)
    made = tidy(Stage((found.depth, found.col), tuple(code.insts), tuple(stores)))
    still = {i.buffer for i in made.insts if isinstance(i, Load)}
    params = tuple(p for p in kernel.params if p.role != "in" or p.name in still)
    read = (replace(p, role="in") for p in (m, met))
    return replace(kernel, name=kernel.name.replace("conv", "conv_winograd", 1), params=(*read, *params), stages=(made,))
