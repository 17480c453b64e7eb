"""Convolutions with 3x3 kernels by Winograd's F(2x2, 3x3): 16 products for a square of four results instead of 36.

    for every n, pair of rows:                       outer axes, in parallel
      v[q, t, c] = (B' d B)[q]                       each 4x4 square d of the input, t along the row
      m[q, t, o] = sum over c of v[q, t, c] u[q, c, o]
      y = A' m A, and what follows the convolution   each 2x2 square of results
    with u = G w G' computed before, once for all of them.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015. In exact arithmetic the result is the convolution;
rounding errors are about those of summing directly. An infinity in a square makes NaN of results that a direct sum would
make infinite, and a sum near the largest float may overflow earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

from leptonc.ir.kernel import (
    Apply,
    Axis,
    AxisIndex,
    Const,
    Index,
    Inst,
    Kernel,
    Load,
    Param,
    Program,
    Reduce,
    Stage,
    Store,
)
from leptonc.ir.structure import is_product_sum
from leptonc.ir.types import DType, TensorType
from leptonc.passes.draft import Draft, Task, buffer_name, index_at, inst_at, renumber, tidy

SIDE, TAPS = 4, 3  # squares of the input; of the kernel
POINTS = SIDE * SIDE
MOVED = 70  # loads, stores and additions of one channel's transforms, in instructions
WEIGHT = 400  # the same of one weight's, which run once, as multiply-adds (they are bound by stores)
APART = 1  # unused rows between the matrices of two points: powers of two apart, they would fall into few cache sets
GAIN = 1.2  # how much less work it must be


@dataclass(frozen=True)
class Winograd:
    """``local_bytes``: most that the squares of one pair of rows may take."""

    local_bytes: int = 512 * 1024
    name: str = "winograd"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        tasks: list[Task] = []
        made: dict[object, int] = {}
        for task in draft.tasks:
            tasks += self._replaced(draft, made, task)
        draft.tasks = tasks
        return draft.finish()

    def _replaced(self, draft: Draft, made: dict[object, int], task: Task) -> list[Task]:
        found = _find(task.kernel, self.local_bytes)
        if found is None:
            return [task]
        weights = task.kernel.buffer(found.w.buffer)
        key = (found.w.buffer, found.w.index_without_taps, found.flipped, found.depth.extent, found.col.extent)
        before = []
        if key not in made:
            type_ = TensorType((POINTS, found.depth.extent + APART, found.col.extent), weights.type.dtype)
            made[key] = draft.temp(type_)
            before = [Task(_weight_kernel(found, weights, Param(buffer_name(made[key]), type_, "out")), task.loc)]
        number = made[key]
        return [*before, replace(task, kernel=_tiled(task.kernel, found, Param(buffer_name(number), draft.buffers[number].type)))]


@dataclass(frozen=True)
class _Weights:
    """The kernel's load: the instruction with its two axes of taps taken out."""

    buffer: str
    load: Load
    taps: tuple[str, str]

    @property
    def index_without_taps(self) -> tuple[Index, ...]:
        return tuple(Index() if any(i.coeff(t) for t in self.taps) else i for i in self.load.index)


@dataclass(frozen=True)
class _Found:
    """A convolution stage: ``rows`` and ``columns`` are the axes of its results' positions, ``depth`` the folded channels and
    ``col`` the channels made. ``flipped``: the input is read against the taps (an input gradient)."""

    stage: Stage
    reduce: int
    x: Load
    w: _Weights
    rows: Axis
    columns: Axis
    depth: Axis
    col: Axis
    others: tuple[Axis, ...]
    flipped: bool


def _find(kernel: Kernel, local_bytes: int) -> _Found | None:
    """The convolution that is a kernel's first stage, if it gains."""
    if not kernel.stages:
        return None
    stage = kernel.stages[0]
    if not any(isinstance(i, Reduce) for i in stage.insts) or not is_product_sum(stage):
        return None
    if any(store.masked or store.accumulate for store in stage.stores) or any(isinstance(i, AxisIndex) for i in stage.insts):
        return None
    for swap in (False, True):
        found = _matched(stage, swap)
        if found is not None and _gains(kernel, found, local_bytes):
            return found
    return None


def _matched(stage: Stage, swap: bool) -> _Found | None:
    number = next(n for n, i in enumerate(stage.insts) if isinstance(i, Reduce))
    reduce = stage.insts[number]
    assert isinstance(reduce, Reduce)
    product = stage.insts[reduce.arg]
    assert isinstance(product, Apply)
    x, w = (stage.insts[n] for n in (product.args[::-1] if swap else product.args))
    if not isinstance(x, Load) or not isinstance(w, Load) or x.pad is not None or w.pad is not None:
        return None
    if len(stage.reduce_axes) != 3 or not reduce.dtype.is_float:
        return None
    pairs = [_position(stage, x, axis) for axis in stage.reduce_axes]
    moving = [(axis, p) for axis, p in zip(stage.reduce_axes, pairs) if p is not None]
    if len(moving) != 2 or any(axis.extent != TAPS for axis, _ in moving):
        return None
    (ky, (rows, sign)), (kx, (columns, other)) = moving
    depth = next(axis for axis, p in zip(stage.reduce_axes, pairs) if p is None)
    cols = [a for a in stage.map_axes if _moves(w, a) and not _moves(x, a)]
    if sign != other or rows == columns or len(cols) != 1 or not _plain(w, (ky, kx, depth, cols[0])):
        return None
    if rows.extent % 2 or columns.extent % 2 or not _moves(x, depth):
        return None
    others = tuple(a for a in stage.map_axes if a not in (rows, columns, cols[0]))
    weights = _Weights(w.buffer, w, (ky.name, kx.name))
    return _Found(stage, number, x, weights, rows, columns, depth, cols[0], others, sign < 0)


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


def _plain(w: Load, axes: Sequence[Axis]) -> bool:
    """Whether the kernel's dimensions are these axes, each once."""
    return sorted(w.index, key=lambda i: i.axes) == sorted(map(Index.of, axes), key=lambda i: i.axes)


def _gains(kernel: Kernel, found: _Found, local_bytes: int) -> bool:
    """Fewer instructions, and squares that stay in cache. In a kernel of tiles the rows must be one pair."""
    if kernel.outer and (found.rows.extent != 2 or found.others):
        return False
    depth, col, squares = found.depth.extent, found.col.extent, found.columns.extent // 2
    size = found.stage.insts[found.reduce].dtype.itemsize
    if POINTS * squares * (depth + col) * size > local_bytes or squares < 2 or min(depth, col) < 8:
        return False
    count = squares * (found.rows.extent // 2) * prod(a.extent for a in (*kernel.outer, *found.others))
    work = count * (POINTS * depth * col + MOVED * (depth + col)) + WEIGHT * depth * col
    return work * GAIN < count * SIDE * TAPS * TAPS * depth * col


class _Code:
    """Straight-line scalar code under construction; sums of terms of a matrix known in advance."""

    def __init__(self, dtype: DType):
        self.dtype = dtype
        self.insts: list[Inst] = []

    def push(self, inst: Inst) -> int:
        self.insts.append(inst)
        return len(self.insts) - 1

    def add(self, x: int, y: int, op: str = "add") -> int:
        return self.push(Apply(op, (x, y), self.dtype))

    def half(self, x: int) -> int:
        return self.add(self.push(Const(0.5, self.dtype)), x, "mul")

    def both(self, square: list[list[int]], one: Callable[[list[int]], list[int]]) -> list[list[int]]:
        """A transform of every column, then of every row."""
        columns = [one([row[n] for row in square]) for n in range(len(square[0]))]
        return [one([column[n] for column in columns]) for n in range(len(columns[0]))]

    def input(self, d: list[int]) -> list[int]:
        """B' d = (d0 - d2, d1 + d2, d2 - d1, d1 - d3)"""
        return [self.add(d[0], d[2], "sub"), self.add(d[1], d[2]), self.add(d[2], d[1], "sub"), self.add(d[1], d[3], "sub")]

    def kernel(self, g: list[int]) -> list[int]:
        """G g = (g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2, g2)"""
        ends = self.add(g[0], g[2])
        return [g[0], self.half(self.add(ends, g[1])), self.half(self.add(ends, g[1], "sub")), g[2]]

    def output(self, m: list[int]) -> list[int]:
        """A' m = (m0 + m1 + m2, m1 - m2 - m3)"""
        return [self.add(self.add(m[0], m[1]), m[2]), self.add(self.add(m[1], m[2], "sub"), m[3], "sub")]


def _weight_kernel(found: _Found, weights: Param, out: Param) -> Kernel:
    """u[q, depth, col] = (G w G')[q]"""
    depth, col = replace(found.depth, reduce=False), found.col
    code = _Code(weights.type.dtype)
    square = [[code.push(_tap(found, y, x)) for x in range(TAPS)] for y in range(TAPS)]
    rows = code.both(square, code.kernel)
    stores = tuple(Store(out.name, (Index(offset=q), Index.of(depth), Index.of(col)), rows[q // SIDE][q % SIDE])
                   for q in range(POINTS))
    return Kernel("winograd_weights", (replace(weights, role="in"), out), (Stage((depth, col), tuple(code.insts), stores),))


def _tap(found: _Found, y: int, x: int) -> Load:
    """The kernel's element at a tap, as the input meets it."""
    at = dict(zip(found.w.taps, (TAPS - 1 - y, TAPS - 1 - x) if found.flipped else (y, x)))
    index = tuple(next((Index(offset=at[t]) for t in found.w.taps if i.coeff(t)), i) for i in found.w.load.index)
    return replace(found.w.load, index=index)


def _tiled(kernel: Kernel, found: _Found, u: Param) -> Kernel:
    """The kernel with its first stage done by squares."""
    dtype = u.type.dtype
    squares = Axis(f"{found.columns.name}_square", found.columns.extent // 2)
    v = Param("squares", TensorType((POINTS, squares.extent + APART, found.depth.extent), dtype), "local")
    m = Param("products", TensorType((POINTS, squares.extent + APART, found.col.extent), dtype), "local")
    outer, place = kernel.outer, {found.columns.name: squares * 2}
    if outer:
        place[found.rows.name] = Index()
    else:
        pairs = Axis(f"{found.rows.name}_pair", found.rows.extent // 2)
        outer = (*found.others, pairs)
        place[found.rows.name] = pairs * 2
    stages = (_input_stage(found, place, squares, v), _product_stage(found, squares, v, m, u),
              _output_stage(found, place, squares, m))
    still = {i.buffer for s in (*stages, *kernel.stages[1:]) for i in s.insts if isinstance(i, Load)}
    params = tuple(p for p in kernel.params if p.role != "in" or p.name in still)
    return Kernel(kernel.name.replace("conv", "conv_winograd", 1), (u, *params), (*stages, *kernel.stages[1:]), outer,
                  (*kernel.locals, v, m))


def _input_stage(found: _Found, place: dict[str, Index], squares: Axis, v: Param) -> Stage:
    depth = replace(found.depth, reduce=False)
    code = _Code(v.type.dtype)
    # against the taps, the square begins where the last tap reads
    first = -(TAPS - 1) if found.flipped else 0

    def load(y: int, x: int) -> Load:
        taps = {found.w.taps[0]: Index(offset=y + first), found.w.taps[1]: Index(offset=x + first)}
        if found.flipped:
            taps = {t: Index(offset=-i.offset) for t, i in taps.items()}
        return replace(found.x, index=tuple(index_at(i, {**place, **taps}) for i in found.x.index))

    square = code.both([[code.push(load(y, x)) for x in range(SIDE)] for y in range(SIDE)], code.input)
    stores = tuple(Store(v.name, (Index(offset=q), Index.of(squares), Index.of(depth)), square[q // SIDE][q % SIDE])
                   for q in range(POINTS))
    return Stage((squares, depth), tuple(code.insts), stores)


def _product_stage(found: _Found, squares: Axis, v: Param, m: Param, u: Param) -> Stage:
    point = Axis("point", POINTS)
    at_v, at_u = (point, squares, found.depth), (point, found.depth, found.col)
    dtype = u.type.dtype
    insts = (Load(v.name, tuple(map(Index.of, at_v)), dtype), Load(u.name, tuple(map(Index.of, at_u)), dtype),
             Apply("mul", (0, 1), dtype), Reduce("sum", 2, dtype))
    store = Store(m.name, tuple(map(Index.of, (point, squares, found.col))), 3)
    return Stage((point, squares, found.col, found.depth), insts, (store,))


def _output_stage(found: _Found, place: dict[str, Index], squares: Axis, m: Param) -> Stage:
    """Four results of each square, each with the convolution's epilogue."""
    stage, code = found.stage, _Code(m.type.dtype)
    loads = [[code.push(Load(m.name, (Index(offset=y * SIDE + x), Index.of(squares), Index.of(found.col)), m.type.dtype))
              for x in range(SIDE)] for y in range(SIDE)]
    sums = code.both(loads, code.output)
    stores = []
    for y in range(2):
        for x in range(2):
            here = {**place, found.rows.name: place[found.rows.name] + y, found.columns.name: place[found.columns.name] + x}
            number = {found.reduce: sums[y][x]}
            for n, inst in enumerate(stage.insts):
                if n != found.reduce and _after(stage, n, found.reduce):
                    number[n] = code.push(inst_at(renumber(inst, number), here))
            for store in stage.stores:
                stores.append(replace(store, index=tuple(index_at(i, here) for i in store.index), value=number[store.value]))
    return tidy(Stage((squares, found.col), tuple(code.insts), tuple(stores)))


def _after(stage: Stage, n: int, reduce: int) -> bool:
    """Whether an instruction is none of those that feed the sum alone."""
    product = stage.insts[reduce]
    assert isinstance(product, Reduce)
    inner = stage.insts[product.arg]
    assert isinstance(inner, Apply)
    return n != product.arg and n not in inner.args
