"""A register tile as a function of its own: nothing beside it competes for registers, and equal tiles share code.

In one function with the loops around it and the epilogue behind it, LLVM's register allocator splits the accumulators'
live ranges now and then, and moves some of them to the stack at every step.
"""

from __future__ import annotations

from leptonc.codegen.contraction.tile import Tile, emit_tile
from leptonc.codegen.llvm.emitter import Emitter, llvm_type
from leptonc.ir.kernel import Axis

PARAMETERS = "ptr %a, ptr %b, ptr %out, i64 %start, i64 %stop, i64 %done, ptr %ahead.a, ptr %ahead.b"


def tile_function(e: Emitter, tile: Tile, fold: tuple[Axis, ...], blocked: bool, pitch: int) -> str:
    """The name of ``void tile(a, b, out, start, stop, done, ahead_a, ahead_b)``, defined once for equal tiles.

    It multiplies over all of ``fold`` into ``out``, whose rows are ``pitch`` elements apart. ``blocked``: the first fold axis
    runs from start to stop alone, and where ``done`` is not 0 the results are added to what ``out`` holds. A plan that looks
    ahead has lines prefetched from where the ``prefetch_blocks`` pointers stand as ``a`` and ``b`` do for these.
    """
    own = e.beside()
    own.reserve("a", "b", "out", "start", "stop", "done", "ahead.a", "ahead.b")
    spans = [(axis, "0", str(axis.extent)) for axis in fold]
    if blocked:
        spans[0] = (fold[0], "%start", "%stop")
    state = emit_tile(own, tile, "%a", "%b", spans)
    if blocked:
        first, more = own.label("first"), own.label("more")
        own.branch(own.let("icmp eq i64 %done, 0", "fresh"), first, more)
        own.block(more)
        _store(own, tile, state, pitch, added=True)
        own.line("ret void")
        own.block(first)
    _store(own, tile, state, pitch, added=False)
    return e.define(f"tile.{tile.rows}x{tile.vectors}x{tile.plan.lanes}", PARAMETERS, own)


def _store(e: Emitter, tile: Tile, state: list[str], pitch: int, added: bool) -> None:
    plan = tile.plan
    vector, align = llvm_type(plan.dtype, plan.lanes), plan.dtype.itemsize
    for row in range(tile.rows):
        for v in range(tile.vectors):
            value = state[row * tile.vectors + v]
            offset = row * pitch + v * plan.lanes
            at = e.at(llvm_type(plan.dtype), "%out", offset)
            if added:
                old = e.let(f"load {vector}, ptr {at}, align {align}", "old")
                value = e.let(f"{'fadd contract' if plan.dtype.is_float else 'add'} {vector} {old}, {value}", "total")
            e.line(f"store {vector} {value}, ptr {at}, align {align}")
