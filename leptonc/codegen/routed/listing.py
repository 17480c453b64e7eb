"""The lists of a routed sum: its nonzero entries, each with the place it meets the dense operand at.

Without branches: every entry is stored at the end of its list, and the end moves on if the entry is not zero. Where the
target can compress vectors, a register's worth of entries is stored at once; entries of neighbouring groups come in one vector
and go to different lists, so a square of them is transposed first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type
from leptonc.codegen.loops.access import Access
from leptonc.codegen.loops.addresses import Reg, element, splat, transposed, widen
from leptonc.codegen.loops.nest import NestEmitter
from leptonc.codegen.routed.plan import OFFSET_BYTES, Routed
from leptonc.ir.kernel import Axis, Load
from leptonc.ir.structure import routed_inputs
from leptonc.ir.types import DType, i32, i64

Span = tuple[str, str]  # first and last+1


@dataclass
class Points:
    """The open axes of a routed sum under emission."""

    e: Emitter
    plan: Routed
    nest: NestEmitter
    ivs: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def open(self, points: Sequence[tuple[Axis, str]], lanes: int = 1) -> Iterator[None]:
        """Axes at a point, for addresses and for what makes the entries; lanes > 1: of the nest's vector axis."""
        saved = dict(self.ivs)
        self.ivs.update((axis.name, iv) for axis, iv in points)
        with self.nest.at(points, lanes):
            yield
        self.ivs = saved

    def walk(self, axes: Sequence[tuple[Axis, str, str]], body: Callable[[], None]) -> None:
        """Loops over axes, each from start to stop."""
        if not axes:
            body()
            return
        axis, start, stop = axes[0]
        with self.e.loop(axis.name, start, stop) as iv, self.open([(axis, iv)]):
            self.walk(axes[1:], body)

    def least(self, x: str, limit: int) -> str:
        return self.e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {x}, i64 {limit}", "stop")

    def at(self, type_: str, base: str, offset: str) -> str:
        return self.e.at(type_, base, offset)

    def strip_axes(self, strip: Span) -> list[tuple[Axis, str, str]]:
        return [(axis, *strip) for axis in self.plan.loops[-1:]]

    def slot(self, strip: Span, groups: Span, number: str) -> str:
        """The list of the current group point, and routing number."""
        e, plan = self.e, self.plan
        group = self.ivs[plan.group.name]
        if plan.folded:
            return e.let(f"sub nsw i64 {group}, {groups[0]}", "slot")
        if plan.loops:
            row = e.let(f"sub nsw i64 {self.ivs[plan.loops[-1].name]}, {strip[0]}", "row")
            group = e.add(e.mul(row, str(plan.group.extent)), group)
        return e.add(e.mul(group, str(plan.tap_count)), number)

    def item(self, item: str) -> tuple[Span, list[tuple[Axis, str]]]:
        """First and last+1 group of an item, and its point of the outer axes."""
        e, plan = self.e, self.plan
        number, item = e.digit(item, plan.group_items)
        start = e.mul(number, str(plan.group_block))
        stop = self.least(e.add(start, str(plan.group_block)), plan.group.extent)
        points = []
        for axis in reversed(plan.outer):
            digit, item = e.digit(item, axis.extent)
            points.append((axis, digit))
        return (start, stop), points

    @contextmanager
    def rows(self, row: str) -> Iterator[None]:
        """The held axes but the vector axis are open at flat number ``row``."""
        saved, rest = dict(self.ivs), row
        for axis in reversed(self.plan.rows[1:]):
            self.ivs[axis.name], rest = self.e.digit(rest, axis.extent)
        for axis in self.plan.rows[:1]:
            self.ivs[axis.name] = rest
        yield
        self.ivs = saved

    def offset(self, access: Access, axes: Sequence[Axis]) -> str:
        """An access's element offset at the current point of some axes."""
        total = str(access.offset)
        for axis in axes:
            total = self.e.add(total, self.e.mul(self.ivs[axis.name], str(access.stride(axis.name))))
        return total

    def ask_ahead(self) -> None:
        """Asks for what the entries at hand are made of, in the next strip. What is done with entries once they are there takes
        longer than reading them: left to itself, memory would wait for the arithmetic, and then the other way round."""
        for n in routed_inputs(self.plan.stage.insts, self.plan.routing):
            inst, key = self.plan.stage.insts[n], ("load", n)
            if isinstance(inst, Load) and self.plan.loops:
                step = self.nest.addresses.accesses[key].stride(self.plan.loops[-1].name) * self.plan.strip
                ahead = self.nest.addresses.offsets[key].plus(step)
                self.e.prefetch(element(self.e, self.nest.pointers[inst.buffer], ahead, inst.dtype))

    def number(self, lanes: int) -> tuple[str, str]:
        """The routing number of the entries at hand (i64, of several i32), 0 where it is out of range; and where it is in range."""
        e, dtype = self.e, i64 if lanes == 1 else i32
        type_ = llvm_type(dtype, lanes)
        number = self._number_as(dtype, lanes)
        inside = e.let(f"icmp ult {type_} {number}, {emit_const(self.plan.tap_count, dtype, lanes)}", "inside")
        mask = "i1" if lanes == 1 else f"<{lanes} x i1>"
        zero = emit_const(0, dtype, lanes)
        return e.let(f"select {mask} {inside}, {type_} {number}, {type_} {zero}", "number"), inside

    def _number_as(self, dtype: DType, lanes: int) -> str:
        """What the index holds, as ``dtype``: numbers beyond its range stay beyond that of the routing numbers."""
        e, reg = self.e, self.nest.values[self.plan.routing.index]
        if reg.dtype.bits > dtype.bits:
            limit = emit_const(self.plan.tap_count, reg.dtype, reg.lanes)
            type_ = llvm_type(reg.dtype, reg.lanes)
            name = e.call(f"{type_} @llvm.umin.{_suffix(reg.dtype, reg.lanes)}({type_}, {type_})",
                          f"{type_} {reg.name}, {type_} {limit}", "number")
            narrow = e.let(f"trunc {type_} {name} to {llvm_type(dtype, reg.lanes)}", "number")
        elif reg.dtype == dtype:
            narrow = reg.name
        else:
            widening = "zext" if reg.dtype.kind == "u" or reg.dtype.is_bool else "sext"
            narrow = e.let(f"{widening} {llvm_type(reg.dtype, reg.lanes)} {reg.name} to {llvm_type(dtype, reg.lanes)}", "number")
        return widen(e, Reg(narrow, dtype, reg.lanes), lanes)

    def value(self, inside: str, lanes: int) -> str:
        """The entries' values, 0 where the routing number is out of range."""
        e, type_ = self.e, llvm_type(self.plan.dtype, lanes)
        value = widen(e, self.nest.values[self.plan.routing.value], lanes)
        zero = emit_const(0, self.plan.dtype, lanes)
        return e.let(f"select <{lanes} x i1> {inside}, {type_} {value}, {type_} {zero}", "value")


class Lister:
    """Emits the making of the lists of one strip."""

    def __init__(self, points: Points, counts: str, places: str, values: str, squares: str):
        self.points = points
        self.e, self.plan, self.nest = points.e, points.plan, points.nest
        self.counts, self.places, self.values = counts, places, values
        self.squares = squares  # room for a square of values, then one of places

    def emit(self, strip: Span, groups: Span, block: Span) -> None:
        """The lists of a strip, over ``block`` of the last list axis."""
        points, plan = self.points, self.plan
        lists = [*((axis, "0", str(axis.extent)) for axis in plan.lists[:-1]), (plan.lists[-1], *block)]
        rows = points.strip_axes(strip)
        if plan.folded:
            rest = groups[0]
            if plan.list_lanes:
                count = self.e.let(f"sub nsw i64 {groups[1]}, {groups[0]}", "count")
                whole = self.e.mul(self.e.let(f"udiv i64 {count}, {plan.list_lanes}", "whole"), str(plan.list_lanes))
                rest = self.e.add(groups[0], whole)
                self._squares(strip, (groups[0], rest), groups, block)
                if plan.whole_groups(plan.list_lanes):
                    return
            points.walk([*rows, *lists, (plan.group, rest, groups[1])], lambda: self._append(strip, groups))
            return
        main = plan.lists[-1].extent // plan.list_lanes * plan.list_lanes if plan.list_lanes else 0
        walk = [*rows, (plan.group, *groups), *lists[:-1]]
        points.walk(walk, lambda: self._vectors(strip, groups, main))
        if main < plan.lists[-1].extent:
            points.walk([*walk, (plan.lists[-1], str(main), str(plan.lists[-1].extent))], lambda: self._append(strip, groups))

    # One entry at a time

    def _append(self, strip: Span, groups: Span) -> None:
        e, plan, points = self.e, self.plan, self.points
        scalar = llvm_type(plan.dtype)
        number, live = points.number(1)
        value = self.nest.values[plan.routing.value].name
        nonzero = e.let(f"fcmp une {scalar} {value}, {emit_const(0, plan.dtype, 1)}", "nonzero")
        live = e.let(f"and i1 {nonzero}, {live}", "live")
        slot, place = points.slot(strip, groups, number), self._place(number, 1)
        at_count, count, end = self._end(slot)
        e.line(f"store i32 {place}, ptr {points.at('i32', self.places, end)}, align {OFFSET_BYTES}")
        e.line(f"store {scalar} {value}, ptr {points.at(scalar, self.values, end)}, align {plan.dtype.itemsize}")
        self._move_on(at_count, count, e.let(f"zext i1 {live} to i32", "step"))

    def _end(self, slot: str) -> tuple[str, str, str]:
        """Address and value of a list's length, and the number of the element behind its last."""
        e = self.e
        at_count = self.points.at("i32", self.counts, slot)
        count = e.let(f"load i32, ptr {at_count}, align 4", "count")
        return at_count, count, e.add(e.mul(slot, str(self.plan.capacity)), e.let(f"zext i32 {count} to i64", "end"))

    def _move_on(self, at_count: str, count: str, step: str) -> None:
        self.e.line(f"store i32 {self.e.let(f'add i32 {count}, {step}', 'count')}, ptr {at_count}, align 4")

    def _place(self, number: str, lanes: int) -> str:
        """Where the dense operand of the entries at hand begins, from that of their strip's loops; i32."""
        e, plan, points = self.e, self.plan, self.points
        if plan.packs:
            flat = "0"
            for axis in plan.lists:
                flat = e.add(e.mul(flat, str(axis.extent)), points.ivs[axis.name])
            return self._as_i32(e.mul(flat, str(plan.row_count * plan.padded)))
        total = "0"
        for axis in (*plan.loops[-1:], *plan.lists):
            total = e.add(total, e.mul(points.ivs[axis.name], str(plan.dense.stride(axis.name))))
        return self._routed_place(self._as_i32(total), number, lanes)

    def _routed_place(self, place: str, number: str, lanes: int) -> str:
        """``place`` moved by the routing numbers."""
        e, plan = self.e, self.plan
        type_ = llvm_type(i32, lanes)
        total = splat(e, place, i32, lanes)
        if lanes == 1:
            number = e.let(f"trunc i64 {number} to i32", "number")
        for axis, coeff in plan.taps:
            digit = number if coeff == 1 else e.let(f"udiv {type_} {number}, {emit_const(coeff, i32, lanes)}", "tap")
            if coeff * axis.extent < plan.tap_count:
                digit = e.let(f"urem {type_} {digit}, {emit_const(axis.extent, i32, lanes)}", "tap")
            step = e.let(f"mul {type_} {digit}, {emit_const(plan.dense.stride(axis.name), i32, lanes)}", "step")
            total = e.let(f"add {type_} {total}, {step}", "place")
        return total

    def _as_i32(self, x: str) -> str:
        return self.e.let(f"trunc i64 {x} to i32", "place") if x.startswith("%") else x

    # A vector of entries at a time

    def _vectors(self, strip: Span, groups: Span, main: int) -> None:
        """Entries along the last list axis: a list for each routing number takes those routed there."""
        if not main:
            return
        e, plan, points, lanes = self.e, self.plan, self.points, self.plan.list_lanes
        axis = plan.lists[-1]
        with e.loop(axis.name, "0", str(main), lanes) as iv, points.open([(axis, iv)], lanes):
            points.ask_ahead()
            number, inside = points.number(lanes)
            value = points.value(inside, lanes)
            nonzero = e.let(f"fcmp une {llvm_type(plan.dtype, lanes)} {value}, {emit_const(0, plan.dtype, lanes)}", "nonzero")
            step = plan.row_count * plan.padded
            iota = f"<{lanes} x i32> <" + ", ".join(f"i32 {n * step}" for n in range(lanes)) + ">"
            first = splat(e, self._place("0", 1), i32, lanes)
            places = e.let(f"add <{lanes} x i32> {first}, {iota.split('> ', 1)[1]}", "places")
            for tap in range(plan.tap_count):
                same = e.let(f"icmp eq {llvm_type(i32, lanes)} {number}, {emit_const(tap, i32, lanes)}", "same")
                live = e.let(f"and <{lanes} x i1> {same}, {nonzero}", "live")
                self._append_live(points.slot(strip, groups, str(tap)), value, places, live)

    def _append_live(self, slot: str, value: str, places: str, live: str) -> None:
        """The live lanes go to the end of a list, which has room for a whole vector more."""
        e, plan, points, lanes = self.e, self.plan, self.points, self.plan.list_lanes
        at_count, count, end = self._end(slot)
        for type_, name, base, scalar in ((llvm_type(plan.dtype, lanes), value, self.values, llvm_type(plan.dtype)),
                                          (f"<{lanes} x i32>", places, self.places, "i32")):
            suffix = f"v{lanes}" + {"float": "f32", "double": "f64", "i32": "i32"}[scalar]
            packed = e.call(f"{type_} @llvm.experimental.vector.compress.{suffix}({type_}, <{lanes} x i1>, {type_})",
                            f"{type_} {name}, <{lanes} x i1> {live}, {type_} poison", "packed")
            e.line(f"store {type_} {packed}, ptr {points.at(scalar, base, end)}, align 4")
        bits = e.let(f"bitcast <{lanes} x i1> {live} to i{lanes}", "bits")
        number = e.call(f"i{lanes} @llvm.ctpop.i{lanes}(i{lanes})", f"i{lanes} {bits}", "number")
        self._move_on(at_count, count, e.let(f"zext i{lanes} {number} to i32", "step"))

    def _squares(self, strip: Span, whole: Span, groups: Span, block: Span) -> None:
        """Squares of list points by groups: read along the groups, transposed, appended along the list."""
        e, plan, points, lanes = self.e, self.plan, self.points, self.plan.list_lanes
        count = e.let(f"sub nsw i64 {block[1]}, {block[0]}", "count")
        if plan.strip > 1:  # the points of all rows of the strip, one after the other: short rows fill no square
            rows = e.let(f"sub nsw i64 {strip[1]}, {strip[0]}", "rows")
            count = e.mul(rows, str(plan.lists[-1].extent))
        last = e.let(f"sub nsw i64 {count}, 1", "last")
        values, places = self.squares, points.at("i8", self.squares, str(lanes ** 2 * plan.dtype.itemsize))
        with e.loop("square", "0", count, lanes) as start:
            left = e.let(f"sub nsw i64 {count}, {start}", "left")
            valid = self._valid(left, lanes)
            with e.loop(plan.group.name, *whole, lanes) as group:
                with e.loop("point", "0", str(lanes)) as n:
                    at = self._point(e.add(start, n), last, strip, block)
                    with points.open([*at, (plan.group, group)], lanes):
                        points.ask_ahead()
                        number, inside = points.number(lanes)
                        self._store_line(llvm_type(plan.dtype, lanes), points.value(inside, lanes), values, n)
                        self._store_line(f"<{lanes} x i32>", self._place(number, lanes), places, n)
                self._turn(llvm_type(plan.dtype, lanes), values)
                self._turn(f"<{lanes} x i32>", places)
                with e.loop("line", "0", str(lanes)) as n:
                    value = self._load_line(llvm_type(plan.dtype, lanes), values, n)
                    zero = emit_const(0, plan.dtype, lanes)
                    live = e.let(f"fcmp une {llvm_type(plan.dtype, lanes)} {value}, {zero}", "nonzero")
                    live = e.let(f"and <{lanes} x i1> {live}, {valid}", "live")
                    with points.open([(plan.group, e.add(group, n))]):
                        slot = points.slot(strip, groups, "0")
                    self._append_live(slot, value, self._load_line(f"<{lanes} x i32>", places, n), live)

    def _store_line(self, type_: str, value: str, base: str, n: str) -> None:
        self.e.line(f"store {type_} {value}, ptr {self.points.at(type_, base, n)}, align 4")

    def _load_line(self, type_: str, base: str, n: str) -> str:
        return self.e.let(f"load {type_}, ptr {self.points.at(type_, base, n)}, align 4", "line")

    def _turn(self, type_: str, base: str) -> None:
        """The square at ``base``, transposed. It goes through L1 so that what is done line by line is written out once."""
        lines = [self._load_line(type_, base, str(n)) for n in range(self.plan.list_lanes)]
        for n, line in enumerate(transposed(self.e, lines, type_)):
            self._store_line(type_, line, base, str(n))

    def _point(self, number: str, last: str, strip: Span, block: Span) -> list[tuple[Axis, str]]:
        """The axes of the list at its point of that number, or at the last one."""
        e, plan = self.e, self.plan
        axis = plan.lists[-1]
        number = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {number}, i64 {last}", "point")
        if plan.strip > 1:
            column, row = e.digit(number, axis.extent)
            return [(plan.loops[-1], e.add(strip[0], row)), (axis, column)]
        return [*((loop, strip[0]) for loop in plan.loops[-1:]), (axis, e.add(block[0], number))]

    def _valid(self, left: str, lanes: int) -> str:
        """The lanes below ``left``."""
        iota = "<" + ", ".join(f"i64 {n}" for n in range(lanes)) + ">"
        return self.e.let(f"icmp slt <{lanes} x i64> {iota}, {splat(self.e, left, i64, lanes)}", "valid")


def square_bytes(plan: Routed) -> int:
    """What the squares take that lists are made through; none where entries are listed in another way."""
    return plan.list_lanes ** 2 * (plan.dtype.itemsize + OFFSET_BYTES) if plan.folded else 0


def _suffix(dtype: DType, lanes: int) -> str:
    """Of an integer intrinsic."""
    return f"i{dtype.bits}" if lanes == 1 else f"v{lanes}i{dtype.bits}"
