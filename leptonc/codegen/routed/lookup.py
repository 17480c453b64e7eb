"""A routed sum whose entries all reach few elements: looked up in registers, without lists.

A small kernel over few channels (a network's first layer) moves a handful of dense elements past each pooling window. Lists
would multiply mostly empty registers. Here the vector runs along the groups instead: what the cells of one window reach of a line
fits two registers, and an instruction that picks any lane of two registers finds, for as many groups at once, what each one's
winner meets:

    for each window:                               all groups of a chunk, their held results in registers
      t0, t1 = the dense elements that its cells reach
      for each held element v:
        held[v] += value * (t0, t1)[slot[number] + v]
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type
from leptonc.codegen.loops.addresses import Reg, splat
from leptonc.codegen.loops.nest import NestEmitter
from leptonc.codegen.loops.schedule import Nest
from leptonc.codegen.routed.listing import Points, Span
from leptonc.codegen.routed.plan import ENOUGH, Routed
from leptonc.ir.kernel import divisors
from leptonc.ir.types import f32, i32
from leptonc.target import Target

LANES = 16  # of the registers that lookups take
TABLES = 2  # registers that a lookup takes an element of
LIVE = 0.75  # entries that are not zero behind a ReLU and its pool, about
LIST_CYCLES = 1.5  # of putting one entry on a list
LOAD_CYCLES = 1.5  # of a multiply-add with an operand that crosses cache lines or is masked
LOOKUP_CYCLES = 1.1  # of a lookup and its multiply-add
WINDOW_CYCLES = 6  # of a register of entries and its tables, for each chunk of held rows


@dataclass(frozen=True)
class Lookup:
    """``segments``: where the tables of a held row begin, from its first dense element on; ``reach`` elements are read of each.
    ``slots``: for each routing number, the lane of the tables at which its elements begin. ``chunk_rows`` held rows
    are summed at a time, for ``chunk_groups`` registers of groups."""

    routed: Routed
    segments: tuple[int, ...]
    reach: int
    slots: tuple[int, ...]
    chunk_rows: int
    chunk_groups: int

    @property
    def tile_bytes(self) -> int:
        """Per-thread bytes: the held results of an item's groups."""
        routed = self.routed
        return routed.group_block * routed.row_count * routed.vector.extent * routed.dtype.itemsize


def find_lookup(routed: Routed, target: Target) -> Lookup | None:
    """The routed sum by lookups, if its entries reach few enough elements and that takes less time than lists."""
    if not target.permute or routed.dtype != f32 or not routed.folded or not routed.whole_groups(LANES):
        return None
    tables = _tables(routed)
    chunk = _chunk(routed, target)
    if tables is None or chunk is None:
        return None
    segments, reach, slots = tables
    plan = Lookup(routed, segments, reach, slots, *chunk)
    return plan if _cycles(plan) < _list_cycles(routed) * LANES else None


def _tables(routed: Routed) -> tuple[tuple[int, ...], int, tuple[int, ...]] | None:
    """Segments, reach and slots: what the routing numbers reach of a line, cut into pieces that fit a register."""
    moves = [routed.dense.stride(axis.name) for axis, _ in routed.taps]
    at = {sum(c * n for (_, c), n in zip(routed.taps, digits)): sum(m * n for m, n in zip(moves, digits))
          for digits in product(*(range(axis.extent) for axis, _ in routed.taps))}
    width, segments = routed.vector.extent, list[int]()
    for offset in sorted(at.values()):
        if not segments or offset + width > segments[-1] + LANES:
            segments.append(offset)
    if len(segments) > TABLES or width > LANES or sorted(at) != list(range(len(at))) or len(at) > LANES:
        return None
    table = {offset: max(n for n, first in enumerate(segments) if first <= offset) for offset in at.values()}
    reach = max(offset - segments[table[offset]] + width for offset in at.values())
    return tuple(segments), reach, tuple(table[at[n]] * LANES + at[n] - segments[table[at[n]]] for n in range(len(at)))


def _chunk(routed: Routed, target: Target) -> tuple[int, int] | None:
    """Held rows and registers of groups at a time: the most results that stay in registers, beside tables, entries and what was
    looked up for each."""
    best, most = None, 0
    for rows in divisors(routed.rows[-1].extent if routed.rows else 1):
        for groups in divisors(routed.group_block // LANES):
            held = rows * groups * routed.vector.extent
            if most < held and 2 * held + TABLES * rows + 2 * groups + 3 <= target.registers:
                best, most = (rows, groups), held
    return best if most >= ENOUGH else None


def _cycles(plan: Lookup) -> float:
    """Of a register of entries."""
    routed = plan.routed
    return LOOKUP_CYCLES * routed.row_count * routed.vector.extent + WINDOW_CYCLES * routed.row_count / plan.chunk_rows


def _list_cycles(routed: Routed) -> float:
    """Of one entry, by lists."""
    return LIST_CYCLES + LIVE * LOAD_CYCLES * routed.row_count * routed.vectors


class LookupEmitter:
    """Emits the items of one such sum."""

    def __init__(self, e: Emitter, plan: Lookup, pointers: dict[str, str], dense: str, scratch: str):
        self.e, self.plan, self.routed = e, plan, plan.routed
        self.dense, self.tile = dense, scratch
        self.wide, self.wide_int = llvm_type(f32, LANES), llvm_type(i32, LANES)
        nest = NestEmitter(e, self.routed.stage, Nest((), (), self.routed.group, 1, 0, (), False), pointers, {})
        self.points = Points(e, self.routed, nest)

    def emit(self, begin: str, end: str) -> None:
        """All items from ``begin`` to ``end``."""
        e, routed = self.e, self.routed
        if routed.items == 0:
            return
        with e.loop("item", begin, end) as item:
            groups, points = self.points.item(item)
            with self.points.open(points):
                size = routed.group_block * routed.row_count * routed.vector.extent
                with e.loop("clear", "0", str(size), LANES) as n:
                    self._store(self.points.at("float", self.tile, n), emit_const(0, f32, LANES))
                loops = [(axis, "0", str(axis.extent)) for axis in routed.loops]
                self.points.walk(loops, lambda: self._line(groups))
                self._finish(groups)

    def _line(self, groups: Span) -> None:
        """The windows of one line, for every chunk of held results."""
        e, plan, routed = self.e, self.plan, self.routed
        block = routed.group_block // LANES
        with e.loop("rows", "0", str(routed.row_count), plan.chunk_rows) as row:
            with e.loop("groups", "0", str(block), plan.chunk_groups) as group:
                at = self._tile_at(row, group)
                count = plan.chunk_rows * routed.vector.extent * plan.chunk_groups
                held = [self._load(self._held_at(at, n)) for n in range(count)]
                for n, total in enumerate(self._windows(row, e.add(groups[0], e.mul(group, str(LANES))), held)):
                    self._store(self._held_at(at, n), total)

    def _tile_at(self, row: str, group: str) -> str:
        """Held results lie by row, element, group."""
        e, routed = self.e, self.routed
        offset = e.add(e.mul(row, str(routed.vector.extent * routed.group_block)), e.mul(group, str(LANES)))
        return self.points.at("float", self.tile, offset)

    def _held_at(self, at: str, n: int) -> str:
        element, group = divmod(n, self.plan.chunk_groups)
        return self.points.at("float", at, str(element * self.routed.group_block + group * LANES))

    def _windows(self, row: str, group: str, held: list[str]) -> list[str]:
        """A loop over the windows of a line: the held results with what they add."""
        e, routed = self.e, self.routed
        axis = routed.lists[-1]
        with e.reduce_loop(axis.name, "0", str(axis.extent), 1, [(self.wide, x) for x in held]) as (iv, held, following):
            with self.points.open([(axis, iv)]):
                entries = [self._entries(e.add(group, str(n * LANES))) for n in range(self.plan.chunk_groups)]
                for chunk_row in range(self.plan.chunk_rows):
                    tables = self._tables(e.add(row, str(chunk_row)))
                    for element in range(routed.vector.extent):
                        for slot, value, live in entries:
                            following.append(self._looked_up(tables, slot, element, value, live, held[len(following)]))
        return held

    def _entries(self, group: str) -> tuple[str, str, str]:
        """A register of entries: their slots, values, and which are not zero."""
        e, points = self.e, self.points
        with points.open([(self.routed.group, group)], LANES):
            number, inside = points.number(LANES)
            value = points.value(inside, LANES)
            points.ask_ahead()
        live = e.let(f"fcmp une {self.wide} {value}, {emit_const(0, f32, LANES)}", "live")
        slots = ", ".join(f"i32 {slot}" for slot in (*self.plan.slots, *[0] * (LANES - len(self.plan.slots))))
        slot = self._permute("si", self.wide_int, f"<{slots}>", number)
        return slot, value, live

    def _permute(self, kind: str, type_: str, table: str, lane: str) -> str:
        return self.e.call(f"{type_} @llvm.x86.avx512.permvar.{kind}.512({type_}, {self.wide_int})",
                           f"{type_} {table}, {self.wide_int} {lane}", "picked")

    def _tables(self, row: str) -> list[str]:
        """The registers that a held row's elements are found in, at the current window."""
        e, plan, routed, points = self.e, self.plan, self.routed, self.points
        with points.rows(row):
            axes = [*routed.outer, *routed.loops, *routed.lists, *routed.rows]
            base = points.at("float", self.dense, points.offset(routed.dense, axes))
        out = []
        for segment in plan.segments:
            at = points.at("float", base, str(segment))
            if routed.loops:
                e.prefetch(points.at("float", base, str(segment + routed.dense.stride(routed.loops[-1].name))))
            if plan.reach == LANES:
                out.append(self._load(at))
                continue
            bits = ", ".join(f"i1 {'true' if n < plan.reach else 'false'}" for n in range(LANES))
            mask = f"<{LANES} x i1>"
            out.append(e.call(f"{self.wide} @llvm.masked.load.v{LANES}f32.p0(ptr, i32, {mask}, {self.wide})",
                              f"ptr {at}, i32 4, {mask} <{bits}>, {self.wide} zeroinitializer", "table"))
        return out

    def _looked_up(self, tables: list[str], slot: str, element: int, value: str, live: str, held: str) -> str:
        """One held register with what a register of entries adds to it."""
        e, wide, ints = self.e, self.wide, self.wide_int
        lane = slot if element == 0 else e.let(f"add {ints} {slot}, {splat(e, str(element), i32, LANES)}", "lane")
        if len(tables) == 1:
            x = self._permute("sf", wide, tables[0], lane)
        else:
            x = e.call(f"{wide} @llvm.x86.avx512.vpermi2var.ps.512({wide}, {ints}, {wide})",
                       f"{wide} {tables[0]}, {ints} {lane}, {wide} {tables[1]}", "x")
        total = e.call(f"{wide} @llvm.fma.v{LANES}f32({wide}, {wide}, {wide})", f"{wide} {value}, {wide} {x}, {wide} {held}",
                       "total")
        return e.let(f"select <{LANES} x i1> {live}, {wide} {total}, {wide} {held}", "held")

    def _load(self, at: str) -> str:
        return self.e.let(f"load {self.wide}, ptr {at}, align 4", "x")

    def _store(self, at: str, value: str) -> None:
        self.e.line(f"store {self.wide} {value}, ptr {at}, align 4")

    def _finish(self, groups: Span) -> None:
        """Epilogue and stores of every held result, in vectors along the groups."""
        e, routed, points = self.e, self.routed, self.points
        with e.loop("row", "0", str(routed.row_count)) as row, points.rows(row):
            with e.loop(routed.vector.name, "0", str(routed.vector.extent)) as element:
                with e.loop("group", "0", str(routed.group_block), LANES) as group:
                    at = e.add(e.mul(e.add(e.mul(row, str(routed.vector.extent)), element), str(routed.group_block)), group)
                    total = self._load(points.at("float", self.tile, at))
                    held = [*((axis, points.ivs[axis.name]) for axis in routed.rows), (routed.vector, element)]
                    at_group = (routed.group, e.add(groups[0], group))
                    points.nest.epilogue_at([*held, at_group], LANES, {routed.routing.reduce: Reg(total, f32, LANES)})
