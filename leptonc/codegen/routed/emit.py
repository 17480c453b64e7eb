"""Emission of a routed sum: its lists are made (``codegen/routed/listing.py``), then multiplied list by list."""

from __future__ import annotations

from dataclasses import dataclass

from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type
from leptonc.codegen.loops.addresses import Reg, splat, transposed
from leptonc.codegen.loops.nest import NestEmitter
from leptonc.codegen.loops.schedule import Nest
from leptonc.codegen.routed.listing import Lister, Points, Span, square_bytes
from leptonc.codegen.routed.plan import ENOUGH, OFFSET_BYTES, Routed
from leptonc.ir.kernel import Axis
from leptonc.memory import ALIGN, aligned


def routed_scratch(plan: Routed) -> int:
    """Per-thread bytes: list lengths, places and values of entries, the local tile, a square of it, squares of entries."""
    return sum(_scratch_sizes(plan))


def _scratch_sizes(plan: Routed) -> tuple[int, ...]:
    entries, size = plan.slots * plan.capacity, plan.dtype.itemsize
    return (aligned(plan.slots * OFFSET_BYTES), aligned(entries * OFFSET_BYTES), aligned(entries * size),
            aligned(plan.tile_elements * size), aligned(plan.lanes ** 2 * size if plan.folded else 0),
            aligned(square_bytes(plan)))


class RoutedEmitter:
    """Emits the items of one routed sum. ``dense`` is the pointer the dense operand is read from (panels if packed); ``clear``
    the elements of the result that each item sets to zero first."""

    def __init__(self, e: Emitter, plan: Routed, pointers: dict[str, str], dense: str, scratch: str, clear: int = 0):
        self.e = e
        self.plan = plan
        self.dense = dense
        self.clear = clear
        self.pointers = pointers
        self.scalar, self.wide = llvm_type(plan.dtype), llvm_type(plan.dtype, plan.lanes)
        nest = Nest((), (), plan.group if plan.folded else plan.lists[-1], 1, 0, (), False)
        self.nest = NestEmitter(e, plan.stage, nest, pointers, {})
        self.points = Points(e, plan, self.nest)
        offset, parts = 0, []
        for size in _scratch_sizes(plan):
            parts.append(e.at("i8", scratch, offset, "scratch"))
            offset += size
        self.counts, self.places, self.values, self.tile, self.square, squares = parts
        self.lister = Lister(self.points, self.counts, self.places, self.values, squares)

    def emit(self, begin: str, end: str) -> None:
        """All items from ``begin`` to ``end``."""
        if self.plan.items == 0:
            return
        with self.e.loop("item", begin, end) as item:
            groups, points = self.points.item(item)
            with self.points.open(points):
                if self.plan.folded:
                    self._clear(self.tile, self.plan.tile_elements)
                elif self.clear:
                    result = self.pointers[self.plan.stage.stores[0].buffer]
                    self._clear(self.points.at(self.scalar, result, self.e.mul(item, str(self.clear))), self.clear)
                self._strips(self.plan.loops, groups)
                if self.plan.folded:
                    self._epilogue(groups)

    def _clear(self, target: str, count: int) -> None:
        """Zeros, in whole registers as far as they go."""
        e, plan = self.e, self.plan
        whole = count // plan.lanes * plan.lanes
        for start, stop, lanes in ((0, whole, plan.lanes), (whole, count, 1)):
            with e.loop("clear", str(start), str(stop), lanes) as n:
                at = self.points.at(self.scalar, target, n)
                e.line(f"store {llvm_type(plan.dtype, lanes)} {emit_const(0, plan.dtype, lanes)}, ptr {at}, "
                       f"align {plan.dtype.itemsize}")

    def _clear_counts(self) -> None:
        with self.e.loop("clear", "0", str(self.plan.slots)) as n:
            self.e.line(f"store i32 0, ptr {self.points.at('i32', self.counts, n)}, align {OFFSET_BYTES}")

    # Strips

    def _strips(self, loops: tuple[Axis, ...], groups: Span) -> None:
        e, plan = self.e, self.plan
        if len(loops) > 1:
            with e.loop(loops[0].name, "0", str(loops[0].extent)) as iv, self.points.open([(loops[0], iv)]):
                self._strips(loops[1:], groups)
        elif not loops:
            self._strip(("0", "1"), groups)
        else:
            with e.loop("strip", "0", str(loops[0].extent), plan.strip) as start:
                self._strip((start, self.points.least(e.add(start, str(plan.strip)), loops[0].extent)), groups)

    def _strip(self, strip: Span, groups: Span) -> None:
        e, plan = self.e, self.plan
        extent = plan.lists[-1].extent
        with e.loop("block", "0", str(extent), max(plan.list_block, 1)) as start:
            stop = self.points.least(e.add(start, str(plan.list_block)), extent)
            self._clear_counts()
            self.lister.emit(strip, groups, (start, stop))
            self._passes(strip, groups, start)

    # Multiply-adds

    def _passes(self, strip: Span, groups: Span, block: str) -> None:
        """All lists, once for each chunk of held results."""
        e, plan = self.e, self.plan
        whole = plan.vector.extent // plan.lanes // plan.chunk_vectors  # chunks of full vectors
        rest = plan.vectors - whole * plan.chunk_vectors
        with e.loop("rows", "0", str(plan.row_count), plan.chunk_rows) as row, self.points.rows(row):
            if whole:
                with e.loop("chunk", "0", str(whole)) as chunk:
                    self._lists(strip, groups, block, _Chunk(row, e.mul(chunk, str(plan.chunk_vectors)), plan.chunk_vectors))
            if rest:
                valid = plan.vector.extent - (plan.vectors - 1) * plan.lanes
                self._lists(strip, groups, block, _Chunk(row, str(whole * plan.chunk_vectors), rest, valid))

    def _lists(self, strip: Span, groups: Span, block: str, chunk: _Chunk) -> None:
        plan = self.plan
        walk = [(plan.group, *groups)]
        if not plan.folded:
            walk = [*self.points.strip_axes(strip), *walk, *((axis, "0", str(axis.extent)) for axis, _ in plan.taps)]
        self.points.walk(walk, lambda: self._list(strip, groups, block, chunk))

    def _list(self, strip: Span, groups: Span, block: str, chunk: _Chunk) -> None:
        """One list: its sum for a chunk of held results, added to what is there."""
        e, plan = self.e, self.plan
        number = "0"
        for axis, coeff in () if plan.folded else plan.taps:
            number = e.add(number, e.mul(self.points.ivs[axis.name], str(coeff)))
        slot = self.points.slot(strip, groups, number)
        count = e.let(f"load i32, ptr {self.points.at('i32', self.counts, slot)}, align 4", "count")
        with e.when(e.let(f"icmp ne i32 {count}, 0", "any")):
            stop = e.let(f"zext i32 {count} to i64", "stop")
            self._ask_ahead(strip, block, slot)
            state = self._accumulate(e.mul(slot, str(plan.capacity)), stop, chunk)
            self._flush(slot, chunk, state)

    def _ask_ahead(self, strip: Span, block: str, slot: str) -> None:
        """For a list's share of the lines of the dense operand that the next strip is the first to reach."""
        e, plan = self.e, self.plan
        reach, fresh = plan.dense_lines
        if not fresh:
            return
        line = ALIGN // plan.dtype.itemsize
        each = fresh // plan.lists[-1].extent  # for a point of the lists
        share = -(-each * plan.list_block // (line * plan.slots))
        start = self.points.offset(plan.dense, [*plan.outer, *plan.loops[:-1]])
        start = e.add(start, e.mul(strip[0], str(plan.dense.stride(plan.loops[-1].name))))
        start = e.add(start, e.add(str(reach), e.mul(block, str(each))))
        start = e.add(start, e.mul(slot, str(share * line)))
        for n in range(share):
            e.prefetch(self.points.at(self.scalar, self.dense, e.add(start, str(n * line))))

    def _accumulate(self, first: str, count: str, chunk: _Chunk) -> list[str]:
        e, plan, size = self.e, self.plan, self.plan.dtype.itemsize
        places, values = self.points.at("i32", self.places, first), self.points.at(self.scalar, self.values, first)
        base, apart = self._dense(chunk)
        zero = emit_const(0, plan.dtype, plan.lanes)
        held = plan.chunk_rows * chunk.vectors
        unroll = min(4, -(-ENOUGH // held))
        whole = e.mul(e.let(f"udiv i64 {count}, {unroll}", "whole"), str(unroll)) if unroll > 1 else count

        def step(n: str, state: list[str]) -> list[str]:
            place = e.let(f"load i32, ptr {self.points.at('i32', places, n)}, align {OFFSET_BYTES}", "place")
            at = self.points.at(self.scalar, base, e.let(f"sext i32 {place} to i64", "place"))
            value = e.let(f"load {self.scalar}, ptr {self.points.at(self.scalar, values, n)}, align {size}", "value")
            value = splat(e, value, plan.dtype, plan.lanes)
            return [self._multiply_add(value, self._held_load(at, k, apart, chunk), acc) for k, acc in enumerate(state)]

        with e.reduce_loop("listed", "0", whole, unroll, [(self.wide, zero)] * (held * unroll)) as (n, phis, following):
            for k in range(unroll):
                following += step(e.add(n, str(k)), phis[k * held:(k + 1) * held])
        state = phis[:held]
        for k in range(held, held * unroll):
            state[k % held] = e.let(f"fadd contract {self.wide} {state[k % held]}, {phis[k]}", "total")
        if unroll > 1:
            with e.reduce_loop("listed", whole, count, 1, [(self.wide, x) for x in state]) as (n, state, following):
                following += step(n, state)
        return state

    def _held_load(self, at: str, k: int, apart: int, chunk: _Chunk) -> str:
        """The dense operand of the k-th held register."""
        plan = self.plan
        row, v = divmod(k, chunk.vectors)
        lanes = plan.lanes if plan.packs else chunk.lanes(v, plan.lanes)
        return self._load(self.points.at(self.scalar, at, str(row * apart + v * plan.lanes)), lanes)

    def _dense(self, chunk: _Chunk) -> tuple[str, int]:
        """Where a chunk of the dense operand begins, but for an entry's place, and how far its rows are apart."""
        e, plan = self.e, self.plan
        shift = e.mul(chunk.first, str(plan.lanes))
        if plan.packs:
            offset = e.add(e.mul(chunk.row, str(plan.padded)), shift)
            return self.points.at(self.scalar, self.dense, offset), plan.padded
        offset = e.add(self.points.offset(plan.dense, [*plan.outer, *plan.loops[:-1], *plan.rows]), shift)
        return self.points.at(self.scalar, self.dense, offset), plan.dense.stride(plan.rows[-1].name) if plan.rows else 0

    def _multiply_add(self, x: str, y: str, held: str) -> str:
        if not self.e.fma:
            product = self.e.let(f"fmul contract {self.wide} {x}, {y}", "mul")
            return self.e.let(f"fadd contract {self.wide} {held}, {product}", "held")
        name = f"{self.wide} @llvm.fma.v{self.plan.lanes}{_suffix(self.plan.dtype.bits)}"
        arguments = f"{self.wide} {x}, {self.wide} {y}, {self.wide} {held}"
        return self.e.call(f"{name}({self.wide}, {self.wide}, {self.wide})", arguments, "held")

    def _flush(self, slot: str, chunk: _Chunk, state: list[str]) -> None:
        """Add a list's sums to the local tile, or to the result."""
        e, plan = self.e, self.plan
        shift = e.mul(chunk.first, str(plan.lanes))
        if plan.folded:
            row = e.add(e.mul(slot, str(plan.row_count)), chunk.row)
            base, apart = self.points.at(self.scalar, self.tile, e.add(e.mul(row, str(plan.padded)), shift)), plan.padded
        else:
            target = plan.stage.targets[0]
            axes = [*plan.outer, *plan.loops, plan.group, *(a for a, _ in plan.taps), *plan.rows]
            result = self.pointers[plan.stage.stores[0].buffer]
            base = self.points.at(self.scalar, result, e.add(self.points.offset(target, axes), shift))
            apart = target.stride(plan.rows[-1].name) if plan.rows else 0
        for k, value in enumerate(state):
            row_number, v = divmod(k, chunk.vectors)
            at = self.points.at(self.scalar, base, str(row_number * apart + v * plan.lanes))
            lanes = plan.lanes if plan.folded else chunk.lanes(v, plan.lanes)
            total = e.let(f"fadd contract {self.wide} {self._load(at, lanes)}, {value}", "total")
            self._store(at, total, lanes)

    def _load(self, at: str, valid: int) -> str:
        """A vector of which ``valid`` lanes are in range; the others are 0."""
        e, lanes, size = self.e, self.plan.lanes, self.plan.dtype.itemsize
        if valid == lanes:
            return e.let(f"load {self.wide}, ptr {at}, align {size}", "x")
        name = f"{self.wide} @llvm.masked.load.v{lanes}{_suffix(self.plan.dtype.bits)}.p0"
        return e.call(f"{name}(ptr, i32, <{lanes} x i1>, {self.wide})",
                      f"ptr {at}, i32 {size}, {_mask(lanes, valid)}, {self.wide} zeroinitializer", "x")

    def _store(self, at: str, value: str, valid: int) -> None:
        e, lanes, size = self.e, self.plan.lanes, self.plan.dtype.itemsize
        if valid == lanes:
            e.line(f"store {self.wide} {value}, ptr {at}, align {size}")
            return
        name = f"void @llvm.masked.store.v{lanes}{_suffix(self.plan.dtype.bits)}.p0"
        arguments = f"{self.wide} {value}, ptr {at}, i32 {size}, {_mask(lanes, valid)}"
        e.call(f"{name}({self.wide}, ptr, i32, <{lanes} x i1>)", arguments)

    # The local tile

    def _epilogue(self, groups: Span) -> None:
        """Epilogue and stores of every held result, in vectors along the groups: the tile has them along the held axis, so squares
        of it are transposed; what is left over goes singly."""
        e, plan = self.e, self.plan
        count = e.let(f"sub nsw i64 {groups[1]}, {groups[0]}", "count")
        whole = e.mul(e.let(f"udiv i64 {count}, {plan.lanes}", "whole"), str(plan.lanes))
        columns = plan.vector.extent // plan.lanes * plan.lanes
        with e.loop("row", "0", str(plan.row_count)) as row, self.points.rows(row):
            if columns and plan.group_block >= plan.lanes:
                with e.loop("group", "0", whole, plan.lanes) as group:
                    with e.loop(plan.vector.name, "0", str(columns), plan.lanes) as column:
                        self._square(row, column, group, groups)
                    if columns < plan.vector.extent:
                        with e.loop(plan.vector.name, str(columns), str(plan.vector.extent)) as column:
                            self._gathered(row, column, group, groups, plan.lanes)
                rest = whole
                if plan.whole_groups(plan.lanes):
                    return
            else:
                rest = "0"
            with e.loop(plan.vector.name, "0", str(plan.vector.extent)) as column, e.loop("group", rest, count) as group:
                self._gathered(row, column, group, groups, 1)

    def _tile_at(self, row: str, column: str, slot: str) -> str:
        e, plan = self.e, self.plan
        offset = e.add(e.add(e.mul(slot, str(plan.row_count * plan.padded)), e.mul(row, str(plan.padded))), column)
        return self.points.at(self.scalar, self.tile, offset)

    def _square(self, row: str, column: str, slot: str, groups: Span) -> None:
        """As many columns as lanes, through a square in L1: the epilogue is written out once."""
        e, plan, size = self.e, self.plan, self.plan.dtype.itemsize
        lines = [e.let(f"load {self.wide}, ptr {self._tile_at(row, column, e.add(slot, str(n)))}, align {size}", "line")
                 for n in range(plan.lanes)]
        for n, line in enumerate(transposed(e, lines, self.wide)):
            e.line(f"store {self.wide} {line}, ptr {self.points.at(self.scalar, self.square, str(n * plan.lanes))}, align {size}")
        with e.loop("line", "0", str(plan.lanes)) as number:
            at = self.points.at(self.scalar, self.square, e.mul(number, str(plan.lanes)))
            value = e.let(f"load {self.wide}, ptr {at}, align {size}", "x")
            self._finish(e.add(column, number), e.add(groups[0], slot), plan.lanes, value)

    def _gathered(self, row: str, column: str, slot: str, groups: Span, lanes: int) -> None:
        """One column: the elements of some groups, one by one."""
        e, plan = self.e, self.plan
        vector, value = llvm_type(plan.dtype, lanes), "poison"
        for lane in range(lanes):
            at = self._tile_at(row, column, e.add(slot, str(lane)))
            x = e.let(f"load {self.scalar}, ptr {at}, align {plan.dtype.itemsize}", "x")
            value = x if lanes == 1 else e.let(f"insertelement {vector} {value}, {self.scalar} {x}, i64 {lane}", "x")
        self._finish(column, e.add(groups[0], slot), lanes, value)

    def _finish(self, column: str, group: str, lanes: int, value: str) -> None:
        plan = self.plan
        points = [*((axis, self.points.ivs[axis.name]) for axis in plan.rows), (plan.vector, column), (plan.group, group)]
        self.nest.epilogue_at(points, lanes, {plan.routing.reduce: Reg(value, plan.dtype, lanes)})


@dataclass(frozen=True)
class _Chunk:
    """Held results in registers: all of ``vectors`` registers from ``first`` on, in each row from ``row`` on."""

    row: str
    first: str
    vectors: int
    last: int = 0  # lanes of the last vector that are in range; 0: all

    def lanes(self, v: int, lanes: int) -> int:
        return self.last if self.last and v == self.vectors - 1 else lanes


def _suffix(bits: int) -> str:
    return f"f{bits}"


def _mask(lanes: int, valid: int) -> str:
    bits = ", ".join(f"i1 {'true' if n < valid else 'false'}" for n in range(lanes))
    return f"<{lanes} x i1> <{bits}>"


def emit_routed_packing(e: Emitter, plan: Routed, source: str, target: str, begin: str, end: str) -> None:
    """Copy the dense operand with the held axes innermost."""
    packing = _Packing(e, plan, source, target)
    with e.loop("panel", begin, end) as item:
        block, rest = e.digit(item, -(-plan.lists[-1].extent // plan.lanes))
        packing.block(e.mul(block, str(plan.lanes)), rest)


class _Packing:
    """Lists' points by held elements, each side along the other's lines: squares are transposed where lists lie in lines."""

    def __init__(self, e: Emitter, plan: Routed, source: str, target: str):
        self.e, self.plan, self.source, self.target = e, plan, source, target
        self.scalar, self.wide = llvm_type(plan.dtype), llvm_type(plan.dtype, plan.lanes)
        self.step, self.size = plan.dense.stride(plan.lists[-1].name), plan.dtype.itemsize

    def block(self, first: str, rest: str) -> None:
        """As many points of the last list axis as there are lanes, from ``first`` on; ``rest`` numbers those of the others."""
        e, plan = self.e, self.plan
        offset, point = str(plan.dense.offset), rest
        for axis in reversed(plan.lists[:-1]):
            digit, rest = e.digit(rest, axis.extent)
            offset = e.add(offset, e.mul(digit, str(plan.dense.stride(axis.name))))
        point = e.add(e.mul(point, str(plan.lists[-1].extent)), first)
        offset = e.add(offset, e.mul(first, str(self.step)))
        stop = e.add(first, str(plan.lanes))
        count = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {stop}, i64 {plan.lists[-1].extent}", "stop")
        count = e.let(f"sub nsw i64 {count}, {first}", "count")
        whole = plan.vector.extent // plan.lanes * plan.lanes if self.step == 1 else 0
        with e.loop("row", "0", str(plan.row_count)) as row:
            start, digits = offset, row
            for axis in reversed(plan.rows):
                digit, digits = e.digit(digits, axis.extent)
                start = e.add(start, e.mul(digit, str(plan.dense.stride(axis.name))))
            to = e.mul(e.add(e.mul(point, str(plan.row_count)), row), str(plan.padded))
            full = e.let(f"icmp eq i64 {count}, {plan.lanes}", "full")
            done = e.let(f"select i1 {full}, i64 {whole}, i64 0", "done")
            with e.loop("lane", "0", done, plan.lanes) as lane:
                self._square(start, to, lane)
            with e.loop("point", "0", count) as n:
                self._line(start, to, n, done)

    def _at(self, base: str, offset: str) -> str:
        return self.e.at(self.scalar, base, offset)

    def _square(self, start: str, to: str, lane: str) -> None:
        e, plan = self.e, self.plan
        along = plan.dense.stride(plan.vector.name)
        first = e.add(start, e.mul(lane, str(along)))
        lines = [e.let(f"load {self.wide}, ptr {self._at(self.source, e.add(first, str(n * along)))}, align {self.size}", "line")
                 for n in range(plan.lanes)]
        for n, line in enumerate(transposed(e, lines, self.wide)):
            at = self._at(self.target, e.add(e.add(to, lane), str(n * plan.row_count * plan.padded)))
            e.line(f"store {self.wide} {line}, ptr {at}, align {self.size}")

    def _line(self, start: str, to: str, n: str, done: str) -> None:
        """One point's held elements from ``done`` on, one by one, and zeros to the end of the last register."""
        e, plan = self.e, self.plan
        first = e.add(start, e.mul(n, str(self.step)))
        to = e.add(to, e.mul(n, str(plan.row_count * plan.padded)))
        with e.loop("lane", done, str(plan.vector.extent)) as lane:
            at = self._at(self.source, e.add(first, e.mul(lane, str(plan.dense.stride(plan.vector.name)))))
            x = e.let(f"load {self.scalar}, ptr {at}, align {self.size}", "x")
            e.line(f"store {self.scalar} {x}, ptr {self._at(self.target, e.add(to, lane))}, align {self.size}")
        with e.loop("lane", str(plan.vector.extent), str(plan.padded)) as lane:
            zero = emit_const(0, plan.dtype, 1)
            e.line(f"store {self.scalar} {zero}, ptr {self._at(self.target, e.add(to, lane))}, align {self.size}")
