"""The kernels that a weight gradient by squares is made of: transforms, products, and the gradient from them.

``passes/conv/weightgrad.py`` says what they compute, and decides.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import prod

from leptonc.ir.kernel import Apply, Axis, Const, Index, Kernel, Load, Param, Reduce, Stage, Store, points
from leptonc.ir.structure import Factor
from leptonc.ir.types import DType, TensorType, bool_, i32
from leptonc.passes.conv.forms import Transform
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
from leptonc.passes.loops.draft import Draft, Task, buffer_name, index_at, tidy


@dataclass(frozen=True)
class WeightGrad:
    """``sum over images, rows, columns of x[image, row + ky, column + kx, depth] * g[image, row, column, col]``, the only stage of
    a kernel, with its axes: ``taps`` are ky and kx, ``moved`` the rows and columns, ``images`` the other folded ones, ``depths``
    the input's channels, with its phases before them where the convolution has a stride. ``casts``: what x and g are cast to."""

    kernel: Kernel
    reduce: int
    x: Load
    g: Load
    casts: tuple[tuple[DType, ...], tuple[DType, ...]]
    taps: tuple[Axis, Axis]
    moved: tuple[Axis, Axis]
    images: tuple[Axis, ...]
    depths: tuple[Axis, ...]
    col: Axis

    @property
    def stage(self) -> Stage:
        return self.kernel.stages[0]

    @property
    def depth(self) -> Axis:
        """All ``depths`` as one axis."""
        return joined(self.depths)

    @property
    def channels(self) -> int:
        """Of the side that has fewer of them, phases left out: as many lie next to each other."""
        return min(self.depths[-1].extent, self.col.extent)

    @property
    def tap_counts(self) -> tuple[int, int]:
        down, along = self.taps
        return down.extent, along.extent


@dataclass(frozen=True)
class Plan:
    """``square``: of which form the squares are. ``tile``: how many of them along each axis are transformed and multiplied while
    they are in cache; None if all are transformed first."""

    square: Square
    tile: tuple[int, ...] | None = None


def squares_along(found: WeightGrad, square: Square) -> tuple[int, ...]:
    """Squares along each axis: images, rows and columns."""
    return (*(a.extent for a in found.images), *(-(-a.extent // size) for a, size in zip(found.moved, square.results)))


@dataclass(frozen=True)
class _Squares:
    """The squares of all images: their axes, and where the gradient's folded axes are in one. With a ``tile`` they are those of one
    tile, at the axes over all."""

    found: WeightGrad
    square: Square
    tile: tuple[int, ...] | None = None

    @property
    def axes(self) -> tuple[Axis, ...]:
        return tuple(replace(a, extent=size) for a, size in zip(self._whole, self.tile or self.counts))

    @property
    def outer(self) -> tuple[Axis, ...]:
        """Axes over tiles."""
        return tuple(part for a, part, size in self._parts if size < a.extent)

    @property
    def counts(self) -> tuple[int, ...]:
        return squares_along(self.found, self.square)

    @property
    def ragged(self) -> bool:
        """Whether some squares reach beyond the image."""
        return any(a.extent % size for a, size in zip(self.found.moved, self.square.results))

    @property
    def number(self) -> Index:
        """Which of all squares one is."""
        return index_at(row_major(self._whole), self._tiled)

    @property
    def local(self) -> Index:
        """Which of its tile."""
        return row_major(self.axes)

    def place(self, y: int, x: int) -> dict[str, Index]:
        """Images, rows and columns at an element of the square, met at the first tap."""
        moved = {a.name: self._tiled[a.name] * size + at for a, size, at in zip(self.found.moved, self.square.results, (y, x))}
        return {**self._tiled, **moved, **{tap.name: Index() for tap in self.found.taps}}

    @property
    def _whole(self) -> tuple[Axis, ...]:
        axes = (*self.found.images, *self.found.moved)
        return tuple(Axis(a.name, count) for a, count in zip(axes, self.counts))

    @property
    def _parts(self) -> list[tuple[Axis, Axis, int]]:
        """Each axis over all squares, over tiles, and how many squares along it are in a tile."""
        return [(a, Axis(f"{a.name}_tile", a.extent // size), size) for a, size in zip(self._whole, self.tile or self.counts)]

    @property
    def _tiled(self) -> dict[str, Index]:
        return {a.name: part * size + a if size < a.extent else Index.of(a) for a, part, size in self._parts}


def tasks_by_squares(draft: Draft, task: Task, found: WeightGrad, plan: Plan) -> list[Task]:
    """Both transforms, the products and the gradient from them."""
    squares, dtype = _Squares(found, plan.square, plan.tile), found.stage.insts[found.reduce].dtype
    depth, col, count = found.depth.extent, found.col.extent, prod(squares.counts)

    def temp(type_: TensorType) -> Param:
        return Param(buffer_name(draft.temp(type_)), type_, "out")

    square_sums = TensorType((plan.square.points, depth + APART, col), dtype)
    tiles = TensorType((points(squares.outer), *square_sums.shape), dtype)
    stored = [temp(type_) for type_ in ([tiles] if plan.tile else _transformed_types(squares))]
    m = temp(square_sums)
    x, g = (temp(TensorType(shape, i32)) for shape in ((2, count, depth), (1, count, col)))
    no_x, no_g, met = (temp(TensorType(shape, bool_)) for shape in ((depth,), (col,), (*found.tap_counts, depth, col)))
    if plan.tile is None:
        *before, total = _products(squares, (stored[0], stored[1]), x, g, m)
    else:
        *before, total = _products_of_tiles(squares, stored[0], x, g, m)
    kernels = (
        *before,
        _empty(found.depth, x, no_x),
        _empty(found.col, g, no_g),
        total,
        _met(found, plan.square, (x, no_x), (g, no_g), met),
        _gradient(found, plan.square, m, met),
    )
    return [Task(kernel, task.loc) for kernel in kernels]


def _products(squares: _Squares, made: tuple[Param, Param], x: Param, g: Param, m: Param) -> list[Kernel]:
    """All squares transformed, then multiplied."""
    u, v = made
    found, stages = squares.found, _transforms(squares, (u, x), (v, g))
    sources = (found.kernel.buffer(load.buffer) for load in (found.x, found.g))
    names = ("winograd_input", "winograd_cotangent")
    transforms = [Kernel(name, (replace(source, role="in"), out, words), (stage,))
                  for name, source, (out, words), stage in zip(names, sources, ((u, x), (v, g)), stages)]
    params = (replace(u, role="in"), replace(v, role="in"), m)
    return [*transforms, Kernel("winograd_products", params, (_product_stage(squares, u, v, m, ()),))]


def _products_of_tiles(squares: _Squares, sums: Param, x: Param, g: Param, m: Param) -> list[Kernel]:
    """Squares transformed and multiplied tile by tile, and the sum over tiles."""
    found, outer = squares.found, squares.outer
    types = _transformed_types(squares)
    u, v = (Param(name, type_, "local") for name, type_ in zip(("inputs", "cotangents"), types))
    tiles = Axis("tile", points(outer), reduce=True)
    params = {load.buffer: replace(found.kernel.buffer(load.buffer), role="in") for load in (found.x, found.g)}
    stages = (*_transforms(squares, (u, x), (v, g)), _product_stage(squares, u, v, sums, (row_major(outer),)))
    products = Kernel("winograd_products", (*params.values(), x, g, sums), stages, outer, (u, v))
    point, dtype = Axis("point", m.type.shape[0]), m.type.dtype
    axes = (point, replace(found.depth, reduce=False), replace(found.col, reduce=False))
    at = tuple(map(Index.of, axes))
    insts = (Load(sums.name, (Index.of(tiles), *at), dtype), Reduce("sum", 0, dtype))
    total = Stage((*axes, tiles), insts, (Store(m.name, at, 1),))
    return [products, Kernel("winograd_sums", (replace(sums, role="in"), m), (total,))]


def _transformed_types(squares: _Squares) -> list[TensorType]:
    """Of both images' squares at the points."""
    found, count = squares.found, points(squares.axes)
    dtype = found.stage.insts[found.reduce].dtype
    return [TensorType((squares.square.points, count + APART, a.extent), dtype) for a in (found.depth, found.col)]


def _transforms(squares: _Squares, inputs: tuple[Param, Param], cotangents: tuple[Param, Param]) -> tuple[Stage, Stage]:
    found, square = squares.found, squares.square
    down, along = square.down, square.along
    return (_transform(squares, (found.x, found.casts[0]), found.depths, inputs, square.shape, (down.input, along.input)),
            _transform(squares, (found.g, found.casts[1]), (found.col,), cotangents, square.results,
                       (down.cotangent, along.cotangent)))


def _transform(squares: _Squares, factor: Factor, channels: tuple[Axis, ...], outs: tuple[Param, Param],
               shape: tuple[int, int], transforms: tuple[Transform, Transform]) -> Stage:
    """The squares that a load reads, at the points, and in words which of their elements are not 0."""
    (out, words), (load, casts) = outs, factor
    code = ScalarCode(out.type.dtype)
    bits = SquareBits(code, squares.square)

    def element(y: int, x: int) -> int:
        place = squares.place(y, x)
        pad = 0.0 if squares.ragged and load.pad is None else load.pad
        value = code.load(replace(load, index=tuple(index_at(i, place) for i in load.index), pad=pad), casts)
        bits.take(y, x, value)
        return value

    square = transformed(code, element, shape, *transforms)
    channel = row_major(channels)
    at = squares.number, channel
    stores = tuple(Store(words.name, (Index(offset=n), *at), word) for n, word in enumerate(bits.words[:words.type.shape[0]]))
    return tidy(Stage((*squares.axes, *channels), tuple(code.insts), (*at_points(out, square, (squares.local, channel)), *stores)))


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
    down, along = found.tap_counts
    for ky, kx in product(range(down), range(along)):
        word, rows = (words[0], ky) if ky < down - 1 else (words[1], ky - 1)
        moved = code.integer("shl", against, code.number(rows * plan.along.points + kx))
        meets = code.push(Apply("or", (known, code.is_set(code.integer("and", word, moved))), bool_))
        value = code.push(Reduce("any", meets, bool_))
        stores.append(Store(met.name, (*map(Index, ((), ()), (ky, kx)), Index.of(found.depth), Index.of(found.col)), value))
    stage = Stage((found.depth, found.col, square), tuple(code.insts), tuple(stores))
    params = (*(replace(p, role="in") for p in (x, g, no_x, no_g)), met)
    return Kernel("winograd_met", params, (tidy(stage),))


def _product_stage(squares: _Squares, u: Param, v: Param, m: Param, tile: tuple[Index, ...]) -> Stage:
    found, dtype = squares.found, u.type.dtype
    point, square = Axis("point", squares.square.points), Axis("square", points(squares.axes), reduce=True)
    insts = (Load(u.name, tuple(map(Index.of, (point, square, found.depth))), dtype),
             Load(v.name, tuple(map(Index.of, (point, square, found.col))), dtype),
             Apply("mul", (0, 1), dtype), Reduce("sum", 2, dtype))
    store = Store(m.name, (*tile, *map(Index.of, (point, found.depth, found.col))), 3)
    return Stage((point, found.depth, found.col, square), insts, (store,))


def _gradient(found: WeightGrad, plan: Square, m: Param, met: Param) -> Kernel:
    """The gradient at each tap, 0 where no product is anything else, with its epilogue."""
    kernel, stage, code = found.kernel, found.stage, ScalarCode(m.type.dtype)
    at = (row_major(found.depths), Index.of(found.col))

    def load(y: int, x: int) -> int:
        return code.push(Load(m.name, (Index(offset=y * plan.along.points + x), *at), m.type.dtype))

    sums = transformed(code, load, plan.shape, plan.down.gradient, plan.along.gradient)
    stores: list[Store] = []
    for y, x in product(*map(range, found.tap_counts)):
        place = {tap.name: Index(offset=n) for tap, n in zip(found.taps, (y, x))}
        kept = code.push(Load(met.name, (Index(offset=y), Index(offset=x), *at), bool_))
        total = code.push(Apply("mul", (sums[y][x], code.push(Apply("cast", (kept,), code.dtype))), code.dtype))
        total = code.push(Apply("add", (total, code.push(Const(0.0, code.dtype))), code.dtype))  # the zero of sums, not -0.0
        stores += with_epilogue(code, stage, found.reduce, total, place)
    made = tidy(Stage((*found.depths, found.col), tuple(code.insts), tuple(stores)))
    still = {i.buffer for i in made.insts if isinstance(i, Load)}
    params = tuple(p for p in kernel.params if p.role != "in" or p.name in still)
    read = (replace(p, role="in") for p in (m, met))
    return replace(kernel, name=kernel.name.replace("conv", "conv_winograd", 1), params=(*read, *params), stages=(made,))
