"""The micro-kernel of contractions: a register tile of accumulators over the fold axes.

Accumulators are phis; B is loaded in vectors, elements of A are loaded and broadcast. All strides are constants, so
the rows of a tile share one base register. The innermost loop is unrolled a little, never so far that one block
reads an element of A twice: LLVM would share the broadcast and spill accumulators to keep it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from leptonc.codegen.contraction.plan import Contraction
from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type, memory_type
from leptonc.codegen.llvm.scalars import emit_casts, emit_scalar
from leptonc.codegen.loops.addresses import from_memory, splat
from leptonc.ir.kernel import Axis
from leptonc.ir.types import bf16, f32, u32

UNROLL = 2
LONG_SUM, SHORT_SUM = 256, 32  # products added up one by one: at most where the fold allows it, at least where sums are in parts
LONG_DOUBLE = 4096  # the same of f64
PART = 128  # of a long axis


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
    state = [emit_const(0, plan.dtype, plan.lanes)] * (tile.rows * tile.vectors)
    if not fold:
        return _step(e, tile, a, b, "0", "0", state)
    return _fold(e, tile, a, b, fold, "0", "0", state, _part_axes(plan, [axis.extent for axis, _, _ in fold]))


def _part_axes(plan: Contraction, extents: list[int]) -> int | None:
    """How many of the last fold axes make a part of a long sum, 0 if the last one is cut in parts itself: the totals of parts wait
    in memory, which costs a few per cent of an inner loop of such a length. None if the sum is short or in no parts."""
    longest = LONG_SUM if plan.dtype == f32 else LONG_DOUBLE
    inner = [(prod(extents[at:]), len(extents) - at) for at in range(1, len(extents))]
    if not plan.dtype.is_float or prod(extents) <= longest:
        return None
    fits = [axes for points, axes in inner if SHORT_SUM <= points <= longest]
    return fits[0] if fits else 0 if extents[-1] >= 2 * PART and not plan.pairs else None


def _added(e: Emitter, plan: Contraction, totals: list[str], part: list[str]) -> list[str]:
    type_ = llvm_type(plan.dtype, plan.lanes)
    return [e.let(f"fadd contract {type_} {x}, {y}", "total") for x, y in zip(totals, part)]


def _fold(e: Emitter, tile: Tile, a: str, b: str, fold: list[tuple[Axis, str, str]], at_a: str, at_b: str, state: list[str],
          part_axes: int | None) -> list[str]:
    (axis, start, stop), zeros = fold[0], [emit_const(0, tile.plan.dtype, tile.plan.lanes)] * len(state)
    if len(fold) > 1:
        with e.reduce_loop(axis.name, start, stop, 1, _carried(tile, state)) as (iv, phis, following):
            next_a, next_b = _advance(e, tile, axis, iv, at_a, at_b)
            apart = part_axes == len(fold) - 1
            part = _fold(e, tile, a, b, fold[1:], next_a, next_b, zeros if apart else phis, part_axes)
            following += _added(e, tile.plan, phis, part) if apart else part
        return phis
    whole = start == "0" and stop == str(axis.extent)
    if part_axes != 0:
        return _run(e, tile, a, b, fold[0], at_a, at_b, state, _unroll(tile, axis) if whole else 1)
    with e.reduce_loop(axis.name, start, stop, PART, _carried(tile, state)) as (iv, phis, following):
        end = e.add(iv, str(PART))
        if not whole or axis.extent % PART:
            end = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {end}, i64 {stop}", "stop")
        following += _added(e, tile.plan, phis, _steps(e, tile, a, b, (axis, iv, end), at_a, at_b, zeros, 1))
    return phis


def _run(e: Emitter, tile: Tile, a: str, b: str, run: tuple[Axis, str, str], at_a: str, at_b: str, state: list[str],
         unroll: int) -> list[str]:
    """Accumulate over the last axis, steps that do not fill a block written out behind the loop."""
    axis, start, stop = run
    single = tile.plan.odd and not tile.plan.a.pack  # of the last pair of A; a panel has a zero beside it
    whole = axis.extent - single
    if single:
        stop = str(whole)
    main = whole // unroll * unroll if unroll > 1 else None
    state = _steps(e, tile, a, b, (axis, start, str(main) if main else stop), at_a, at_b, state, unroll)
    for k in range(main or whole, axis.extent) if main or single else ():
        next_a, next_b = _advance(e, tile, axis, str(k), at_a, at_b)
        state = _step(e, tile, a, b, next_a, next_b, state, single=k == whole)
    return state


def _steps(e: Emitter, tile: Tile, a: str, b: str, run: tuple[Axis, str, str], at_a: str, at_b: str, state: list[str],
           unroll: int) -> list[str]:
    """The innermost loop, ``unroll`` steps in a block; of parts a step, or LLVM would move accumulators of the one to the stack."""
    axis, start, stop = run
    with e.reduce_loop(axis.name, start, stop, unroll, _carried(tile, state)) as (iv, phis, following):
        state = phis
        for step in range(unroll):
            next_a, next_b = _advance(e, tile, axis, e.add(iv, str(step)), at_a, at_b)
            state = _step(e, tile, a, b, next_a, next_b, state)
        following += state
    return phis


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
    if tile.plan.pairs and across and along % across == 0 and along // across < tile.rows:
        return 1
    if tile.rows * tile.vectors + UNROLL * tile.vectors + 1 > tile.plan.registers:
        return 1
    if tile.rows > 1 and across % along == 0 and across // along < UNROLL:
        return 1
    return UNROLL


def _step(e: Emitter, tile: Tile, a: str, b: str, at_a: str, at_b: str, state: list[str], single: bool = False) -> list[str]:
    """One value of every fold axis: ``acc[r][v] += a[r] * b[v]``. ``single``: of a pair of A there is the first element alone."""
    plan = tile.plan
    scalar_a, scalar_b = (memory_type(plan.stored(side)) for side in (plan.a, plan.b))
    base_b = e.at(scalar_b, b, at_b, "pb")
    columns = [_load_b(e, tile, base_b, v) for v in range(tile.vectors)]
    base_a = e.at(scalar_a, a, at_a, "pa")
    if plan.prefetch_rows:
        ahead = e.add(e.mul(at_a, str(plan.rows)), str(plan.rows * plan.a.access.stride(plan.row.name)))
        e.prefetch(e.at(scalar_a, a, ahead, "ahead"))
    if plan.prefetch_blocks:
        e.prefetch(e.at(scalar_b, "%ahead.b", at_b, "ahead"))
    if plan.prefetch_blocks and plan.k_strided:
        e.prefetch(e.at(scalar_a, "%ahead.a", at_a, "ahead"))
    out = []
    for row in range(tile.rows):
        at = e.at(scalar_a, base_a, row * tile.a.tile, "pa")
        broadcast = _broadcast_a(e, plan, at, single)
        for v in range(tile.vectors):
            out.append(_multiply_add(e, plan, broadcast, columns[v], state[row * tile.vectors + v]))
    return out


def _broadcast_a(e: Emitter, plan: Contraction, at: str, single: bool) -> str:
    """An element of A, or a pair, in all lanes, as it is multiplied."""
    side, stored = plan.a, plan.stored(plan.a)
    if plan.pairs:
        if single:
            element = e.let(f"zext i16 {e.let(f'load i16, ptr {at}, align 2', 'a')} to i32", "a")
        else:
            element = e.let(f"load i32, ptr {at}, align {stored.itemsize}", "a")
        return splat(e, element, u32, plan.lanes)
    element = e.let(f"load {memory_type(stored)}, ptr {at}, align {stored.itemsize}", "a")
    if side.pack or not side.casts:
        return splat(e, element, plan.dtype, plan.lanes)
    if side.casts == (f32,) and stored == bf16 and plan.lanes > 1:  # the upper half of each lane; of half as many, and longer ones
        words = f"<{2 * plan.lanes} x i16>"
        both = e.let(f"bitcast {words} {splat(e, element, bf16, 2 * plan.lanes)} to {llvm_type(u32, plan.lanes)}", "both")
        upper = emit_scalar(e, "and", [both, emit_const(0xFFFF0000, u32, plan.lanes)], [u32, u32], u32, plan.lanes)
        return emit_scalar(e, "from_bits", [upper], [u32], f32, plan.lanes)
    element = from_memory(e, element, stored, 1).name
    return splat(e, emit_casts(e, element, stored, side.casts, 1), plan.dtype, plan.lanes)


def _load_b(e: Emitter, tile: Tile, base: str, v: int) -> str:
    plan, stored = tile.plan, tile.plan.stored(tile.plan.b)
    scalar, vector = memory_type(stored), memory_type(stored, plan.lanes)
    at = e.at(scalar, base, v * plan.lanes, "pb")
    valid = tile.cols - v * plan.lanes
    if valid >= plan.lanes or plan.b.pack:  # panels are padded with zeros
        loaded = e.let(f"load {vector}, ptr {at}, align {stored.itemsize}", "b")
    else:
        mask = "<" + ", ".join(f"i1 {'true' if lane < valid else 'false'}" for lane in range(plan.lanes)) + ">"
        suffix = f"v{plan.lanes}{ {'float': 'f32', 'double': 'f64'}.get(scalar, scalar)}"
        loaded = e.call(f"{vector} @llvm.masked.load.{suffix}.p0(ptr, i32, <{plan.lanes} x i1>, {vector})",
                        f"ptr {at}, i32 {stored.itemsize}, <{plan.lanes} x i1> {mask}, {vector} zeroinitializer", "b")
    if plan.b.pack:
        return loaded
    return emit_casts(e, from_memory(e, loaded, stored, plan.lanes).name, stored, plan.b.casts, plan.lanes)


def _multiply_pairs(e: Emitter, plan: Contraction, x: str, y: str, acc: str) -> str:
    """Both products of pairs of bf16 are exact in f32, and added one after the other."""
    vector, words = llvm_type(plan.dtype, plan.lanes), llvm_type(u32, plan.lanes)
    pairs = f"<{2 * plan.lanes} x {'bfloat' if plan.dtype.is_float else 'i16'}>"
    x, y = (e.let(f"bitcast {words} {register} to {pairs}", "pairs") for register in (x, y))
    name = "avx512bf16.dpbf16ps" if plan.dtype.is_float else "avx512.vpdpwssd"
    return e.call(f"{vector} @llvm.x86.{name}.{32 * plan.lanes}({vector}, {pairs}, {pairs})",
                  f"{vector} {acc}, {pairs} {x}, {pairs} {y}", "acc")


def _multiply_add(e: Emitter, plan: Contraction, x: str, y: str, acc: str) -> str:
    if plan.pairs:
        return _multiply_pairs(e, plan, x, y, acc)
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
