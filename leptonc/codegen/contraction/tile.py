"""The micro-kernel of contractions: a register tile of accumulators over the fold axes.

Accumulators are phis; B is loaded in vectors, elements of A are loaded and broadcast. All strides are constants, so
the rows of a tile share one base register. The innermost loop is unrolled a little, never so far that one block
reads an element of A twice: LLVM would share the broadcast and spill accumulators to keep it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from leptonc.codegen.contraction.plan import Contraction
from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type
from leptonc.codegen.llvm.scalars import emit_scalar
from leptonc.codegen.loops.addresses import splat
from leptonc.ir.kernel import Axis

UNROLL = 2
LONG_SUM, SHORT_SUM = 4096, 64  # products added up one by one: at most, and at least where sums are taken apart


@dataclass(frozen=True)
class Strides:
    """Element strides of one operand inside a tile: along the tile (rows or columns) and each fold axis."""

    tile: int
    fold: dict[str, int]


@dataclass(frozen=True)
class Tile:
    """One register tile to emit: ``rows`` accumulator rows, ``cols`` valid columns (the last vector may be partial)."""

    plan: Contraction
    rows: int
    cols: int
    a: Strides
    b: Strides

    @property
    def vectors(self) -> int:
        return -(-self.cols // self.plan.lanes)


def emit_tile(e: Emitter, tile: Tile, a: str, b: str, fold: list[tuple[Axis, str, str]]) -> list[str]:
    """Accumulate over the fold axes, each (axis, start, stop); returns rows * vectors accumulator names, row-major.

    ``a`` and ``b`` are pointers to the tile's first elements.
    """
    plan = tile.plan
    zero = emit_const(0, plan.dtype, plan.lanes)
    state = [zero] * (tile.rows * tile.vectors)
    if not fold:
        return _step(e, tile, a, b, "0", "0", state)
    return _fold(e, tile, a, b, fold, "0", "0", state)


def _fold(e: Emitter, tile: Tile, a: str, b: str, fold: list[tuple[Axis, str, str]], at_a: str, at_b: str,
          state: list[str]) -> list[str]:
    axis, start, stop = fold[0]
    if len(fold) > 1:
        with e.reduce_loop(axis.name, start, stop, 1, _carried(tile, state)) as (iv, phis, following):
            next_a, next_b = _advance(e, tile, axis, iv, at_a, at_b)
            if _summed_apart(tile, fold[1:]):
                part = _fold(e, tile, a, b, fold[1:], next_a, next_b, [emit_const(0, tile.plan.dtype, tile.plan.lanes)] * len(phis))
                following += [_add(e, tile.plan, x, y) for x, y in zip(phis, part)]
            else:
                following += _fold(e, tile, a, b, fold[1:], next_a, next_b, phis)
        return phis
    unroll = _unroll(tile, axis) if start == "0" and stop == str(axis.extent) else 1
    main = axis.extent // unroll * unroll if unroll > 1 else None
    with e.reduce_loop(axis.name, start, str(main) if main else stop, unroll, _carried(tile, state)) as (
        iv, phis, following):
        state = phis
        for step in range(unroll):
            next_a, next_b = _advance(e, tile, axis, e.add(iv, str(step)), at_a, at_b)
            state = _step(e, tile, a, b, next_a, next_b, state)
        following += state
    state = phis
    for k in range(main, axis.extent) if main else ():
        next_a, next_b = _advance(e, tile, axis, str(k), at_a, at_b)
        state = _step(e, tile, a, b, next_a, next_b, state)
    return state


def _summed_apart(tile: Tile, inner: list[tuple[Axis, str, str]]) -> bool:
    """Long sums go in two levels, which keeps their error near that of pairwise summation. The outer totals wait in
    memory, which costs a few per cent of an inner loop of this length."""
    depth = prod(axis.extent for axis, _, _ in inner)
    return tile.plan.dtype.is_float and tile.plan.depth > LONG_SUM and SHORT_SUM <= depth <= LONG_SUM


def _add(e: Emitter, plan: Contraction, x: str, y: str) -> str:
    return e.let(f"fadd contract {llvm_type(plan.dtype, plan.lanes)} {x}, {y}", "total")


def _carried(tile: Tile, state: list[str]) -> list[tuple[str, str]]:
    return [(llvm_type(tile.plan.dtype, tile.plan.lanes), s) for s in state]


def _advance(e: Emitter, tile: Tile, axis: Axis, iv: str, at_a: str, at_b: str) -> tuple[str, str]:
    return (e.add(at_a, e.mul(iv, str(tile.a.fold[axis.name]))), e.add(at_b, e.mul(iv, str(tile.b.fold[axis.name]))))


def _unroll(tile: Tile, axis: Axis) -> int:
    """Steps in one block of the innermost loop, so that no element of A is read by two of them, and that the columns of
    all its steps find registers: LLVM loads them before anything else."""
    along, across = abs(tile.a.fold[axis.name]), abs(tile.a.tile)
    if axis.extent < 2 * UNROLL or not along:
        return 1
    if tile.rows * tile.vectors + UNROLL * tile.vectors + 1 > tile.plan.registers:
        return 1
    if tile.rows > 1 and across % along == 0 and across // along < UNROLL:
        return 1
    return UNROLL


def _step(e: Emitter, tile: Tile, a: str, b: str, at_a: str, at_b: str, state: list[str]) -> list[str]:
    """One value of every fold axis: ``acc[r][v] += a[r] * b[v]``."""
    plan = tile.plan
    scalar, vector = llvm_type(plan.dtype), llvm_type(plan.dtype, plan.lanes)
    base_b = e.let(f"getelementptr {scalar}, ptr {b}, i64 {at_b}", "pb")
    columns = [_load_b(e, tile, base_b, v, scalar, vector) for v in range(tile.vectors)]
    base_a = e.let(f"getelementptr {scalar}, ptr {a}, i64 {at_a}", "pa")
    if plan.prefetch_rows:
        ahead = e.add(e.mul(at_a, str(plan.rows)), str(plan.rows * plan.depth))
        e.prefetch(e.let(f"getelementptr {scalar}, ptr {a}, i64 {ahead}", "ahead"))
    if plan.prefetch_blocks:
        e.prefetch(e.let(f"getelementptr {scalar}, ptr %ahead.b, i64 {at_b}", "ahead"))
    if plan.prefetch_blocks and plan.k_strided:
        e.prefetch(e.let(f"getelementptr {scalar}, ptr %ahead.a, i64 {at_a}", "ahead"))
    out = []
    for row in range(tile.rows):
        at = e.let(f"getelementptr {scalar}, ptr {base_a}, i64 {row * tile.a.tile}", "pa") if row else base_a
        element = e.let(f"load {scalar}, ptr {at}, align {plan.dtype.itemsize}", "a")
        broadcast = splat(e, element, plan.dtype, plan.lanes)
        for v in range(tile.vectors):
            out.append(_multiply_add(e, plan, broadcast, columns[v], state[row * tile.vectors + v]))
    return out


def _load_b(e: Emitter, tile: Tile, base: str, v: int, scalar: str, vector: str) -> str:
    plan = tile.plan
    at = e.let(f"getelementptr {scalar}, ptr {base}, i64 {v * plan.lanes}", "pb") if v else base
    valid = tile.cols - v * plan.lanes
    if valid >= plan.lanes or plan.b.pack:  # panels are padded with zeros
        return e.let(f"load {vector}, ptr {at}, align {plan.dtype.itemsize}", "b")
    mask = "<" + ", ".join(f"i1 {'true' if lane < valid else 'false'}" for lane in range(plan.lanes)) + ">"
    suffix = f"v{plan.lanes}{ {'float': 'f32', 'double': 'f64'}.get(scalar, scalar)}"
    return e.call(f"{vector} @llvm.masked.load.{suffix}.p0(ptr, i32, <{plan.lanes} x i1>, {vector})",
                  f"ptr {at}, i32 {plan.dtype.itemsize}, <{plan.lanes} x i1> {mask}, {vector} zeroinitializer", "b")


def _multiply_add(e: Emitter, plan: Contraction, x: str, y: str, acc: str) -> str:
    dtypes = [plan.dtype, plan.dtype]
    if not plan.dtype.is_float:
        product = emit_scalar(e, "mul", [x, y], dtypes, plan.dtype, plan.lanes)
        return emit_scalar(e, "add", [product, acc], dtypes, plan.dtype, plan.lanes)
    vector = llvm_type(plan.dtype, plan.lanes)
    if not e.fma:
        product = e.let(f"fmul contract {vector} {x}, {y}", "mul")
        return e.let(f"fadd contract {vector} {acc}, {product}", "acc")
    suffix = ("" if plan.lanes == 1 else f"v{plan.lanes}") + ("f32" if plan.dtype.bits == 32 else "f64")
    return e.call(f"{vector} @llvm.fma.{suffix}({vector}, {vector}, {vector})",
                  f"{vector} {x}, {vector} {y}, {vector} {acc}", "acc")
