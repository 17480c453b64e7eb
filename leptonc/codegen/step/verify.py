"""The step's verifier: no number of threads, and no speed of theirs, changes what a step computes.

It knows nothing of why the builder put a barrier somewhere. It derives where each buffer lies from the program alone, and asks

* of all launches: that each of the program's stands once, but for copies of memory onto itself, after all that it depends on, and
  reads what the program says, not what another buffer has left in its place;
* of launches between two barriers: that none writes bytes which another one touches, unless one thread runs both;
* of the items of a launch, and the blocks of a group: that none writes bytes which another one touches;
* of what is written in place: that each point overwrites what it alone reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations_with_replacement, product

from leptonc.codegen.loops.linear import LinearStage
from leptonc.codegen.step.accesses import WHOLE, Accesses, Split, Touched, place_in
from leptonc.codegen.step.disjoint import Span, all_disjoint, disjoint
from leptonc.codegen.step.step import (
    PANELS,
    Barrier,
    Blocks,
    ContractionUnit,
    ControlUnit,
    Launch,
    LookupUnit,
    NestUnit,
    Parallel,
    Region,
    RoutedUnit,
    Rows,
    Serial,
    Statement,
    Step,
    Term,
    TiledUnit,
    Together,
    Unit,
    copies_onto_itself,
)
from leptonc.errors import IRError
from leptonc.ir.control import Loop
from leptonc.ir.kernel import Kernel, Load


def verify_step(step: Step) -> None:
    """Raises IRError with the two launches and the bytes they share."""
    for unit in step.units:
        _verify_unit(unit)
        if isinstance(unit.schedule, ControlUnit):
            _verify_bodies(unit, unit.schedule)
    access = Accesses(step)
    _verify_memory(step, access)
    _verify_form(step)
    _verify_order(step, access)
    for number in _unlike(access):
        _verify_items(access, number)
    _Walk(step, access).statements(step.body)


def race_check(step: Step) -> Callable[[Iterable[Statement]], None]:
    """Raises IRError if launches of a body race: for several bodies with the launches of one step, whose accesses are found
    once."""
    access = Accesses(step)
    return lambda body: _Walk(step, access).statements(body)


def _verify_bodies(unit: Unit, schedule: ControlUnit) -> None:
    for body in schedule.bodies:
        verify_step(body)
    if schedule.rows is None:
        return
    (step,) = schedule.bodies
    if not isinstance(unit.kernel, Loop) or unit.kernel.trips is None or len(schedule.rows.shares) != len(step.launches):
        raise IRError(f"{unit.function} has rows of something else than its launches")
    _verify_rows(step, schedule.rows)


def _verify_rows(step: Step, rows: Rows) -> None:
    """Threads take their blocks of rows through all trips without a barrier: different blocks of any launches, in this trip or
    another, touch no byte that one of them writes. (A trip has its own slices of what is stacked.)"""
    access, splits = Accesses(step), list[Split]()
    for launch, share in zip(step.launches, rows.shares):
        digit = launch.unit.digits[share.place]
        if not 0 <= rows.count * share.each - digit.count < share.each:
            raise IRError(f"{rows.count} blocks of {share.each} are not the {digit.count} points of an axis of {launch}")
        splits.append(Split(((digit.axis, share.each * digit.block),)))
    for one, other in combinations_with_replacement(range(len(step.launches)), 2):
        _verify_apart(access, (one, splits[one]), (other, splits[other]), rows.count, "rows")


# Units


def _verify_unit(unit: Unit) -> None:
    """Its regions name what its stages load and store, lie in their buffers, and those it writes are of one item each."""
    sizes = {p.name: p.type.nbytes for p in unit.kernel.params} | {PANELS: unit.panel_bytes}
    for region in unit.regions:
        low, high = region.reach
        if not region.guarded and low <= high and not (low >= 0 and high < sizes[region.buffer]):
            raise IRError(f"{unit.function} touches {_named(region.buffer)}[{low}..{high}], which has {sizes[region.buffer]} bytes")
    params = {p.name for p in unit.kernel.params}
    for linear in linears(unit):
        loads = {inst.buffer for inst in map(linear.insts.__getitem__, linear.loads) if isinstance(inst, Load)} & params
        stores = {s.buffer for s in linear.stores} & params
        packed = PANELS in unit.reads
        if not stores <= unit.writes or not (packed or loads <= unit.reads):
            raise IRError(f"{unit.function} has no regions for {sorted(stores - unit.writes) or sorted(loads - unit.reads)}")


def linears(unit: Unit) -> tuple[LinearStage, ...]:
    """The stages that a unit runs, in order; none if it packs."""
    match unit.schedule:
        case NestUnit(linear):
            return (linear,)
        case ContractionUnit(plan):
            return (plan.stage,)
        case TiledUnit(stages):
            return tuple(inner.linear for inner in stages)
        case RoutedUnit(plan):
            return (plan.stage,)
        case LookupUnit(lookup):
            return (lookup.routed.stage,)
    return ()


def _named(buffer: str) -> str:
    return buffer or "panels"


def _verify_memory(step: Step, access: Accesses) -> None:
    """The step has buffers where they are."""
    blocks = {memory.block: place[0] for memory, place in zip(step.memory, access.places)}
    for number, (memory, place) in enumerate(zip(step.memory, access.places)):
        if (blocks[memory.block], memory.start, memory.stop) != (place[0], place[1], max(place[2], place[1] + 1)):
            raise IRError(f"b{number} is taken to be at {memory}; it is at {place[0]}[{place[1]}:{place[2]}]")
    if len(set(blocks.values())) < len(blocks):
        raise IRError(f"one block of memory is taken for two: {blocks}")


# Items and blocks


def _unlike(access: Accesses) -> list[int]:
    """One launch of each unit for each way in which its buffers share bytes: of equal layers there are many."""
    found = dict[tuple[object, ...], int]()
    for number, launch in enumerate(access.step.launches):
        bound = dict[int, tuple[int, ...]]()  # buffer -> its parameters
        for n, buffer in enumerate(launch.args):
            bound[buffer] = (*bound.get(buffer, ()), n)
        shared = tuple([(bound.get(a.buffer), bound.get(b.buffer), access.starts(a.buffer, b.buffer))
                        for a, b in access.pairs(number, number) if a.buffer <= b.buffer])
        found.setdefault((id(launch.unit), launch.serial, shared), number)
    return list(found.values())


def _verify_items(access: Accesses, number: int) -> None:
    """Items on different threads; and of memory that a launch knows by two names, all of its items and points."""
    launch = access.step.launches[number]
    for a, b in access.pairs(number, number):
        if a.buffer > b.buffer or (a.buffer == b.buffer and launch.serial):
            continue
        digits = [d for d in launch.unit.digits if d.count > 1]
        split = Split(tuple((d.axis, 1) for d in digits))
        both = list(zip((a, b) if a is not b else (a,), access.starts(a.buffer, b.buffer)))
        writes = [split.span(region, start) for t, start in both for region in t.writes]
        reads = [split.span(region, start) for t, start in both for region in t.reads]
        alone = not digits or (a is b and a.has_own_places)
        if not alone and not _items_disjoint(writes, [*writes, *reads], [d.extent for d in digits]):
            raise IRError(f"race: two items of {launch} may touch the same bytes of {access.name(a.buffer)} and "
                          f"{access.name(b.buffer)}, {access.bytes(a.buffer)}, one writing")
        if a.buffer != b.buffer:
            _verify_in_place(access, launch, a, b)
            _verify_in_place(access, launch, b, a)


def _items_disjoint(writes: list[Span], every: list[Span], extents: list[int]) -> bool:
    return all_disjoint(every, extents) or all(disjoint(write, other, extents) for write in writes for other in every)


def _verify_in_place(access: Accesses, launch: Launch, read: Touched, written: Touched) -> None:
    """What is read of one buffer and written of another one at the same bytes: read by an earlier stage, or by the same point."""
    stages = linears(launch.unit)
    for r, w in product(read.reads, written.writes):
        axes = [a for a in stages[w.stage].map_axes if a.extent > 1] if w.stage < len(stages) else []
        split = Split(tuple((a.name, 1) for a in axes))
        starts = access.starts(read.buffer, written.buffer)
        spans = [split.span(region, start) for region, start in zip((r, w), starts)]
        same_point = r.stage == w.stage and _same_place(r, w, starts[0] - starts[1])
        if r.stage < w.stage or (same_point and all_disjoint(spans, [a.extent for a in axes])):
            continue
        if not disjoint(WHOLE.span(r, starts[0]), WHOLE.span(w, starts[1])):
            raise IRError(f"{launch} overwrites {access.name(read.buffer)} with {access.name(written.buffer)} before it has read "
                          f"it, {access.bytes(written.buffer)}")


def _same_place(read: Region, write: Region, shift: int) -> bool:
    return read.offset + shift == write.offset and sorted(map(_key, read.terms)) == sorted(map(_key, write.terms))


def _key(term: Term) -> tuple[str, int, int]:
    return term.axis, term.stride, term.extent


# The body


def _verify_form(step: Step) -> None:
    """Blocks go into the items of their launches, serial launches stand in no parallel place, memory and scratch suffice."""
    for statement in _all(step.body):
        numbers = statement.launches if isinstance(statement, Serial | Blocks) else ()
        numbers = (statement.launch,) if isinstance(statement, Parallel | Together) else numbers
        if any(step.launches[n].serial != isinstance(statement, Serial) for n in numbers):
            raise IRError(f"{[str(step.launches[n]) for n in numbers]} stand in a {type(statement).__name__}")
        if any(isinstance(step.launches[n].unit.schedule, ControlUnit) != isinstance(statement, Together | Serial)
               for n in numbers if not isinstance(statement, Serial)):
            raise IRError(f"{[str(step.launches[n]) for n in numbers]} stand in a {type(statement).__name__}")
        if isinstance(statement, Blocks):
            if any(not d or d[0].count % statement.count for d in (step.launches[n].unit.digits for n in numbers)):
                raise IRError(f"{statement.count} blocks are no blocks of items of {[str(step.launches[n]) for n in numbers]}")
            if _order((statement,)) != _order(statement.otherwise):
                raise IRError(f"{statement.count} blocks and what runs instead have different launches")
    for launch in step.launches:
        if launch.unit.local_bytes > step.local_bytes or step.panels_at + launch.unit.panel_bytes > step.arena_bytes:
            raise IRError(f"{launch} needs {launch.unit.local_bytes} bytes of scratch and {launch.unit.panel_bytes} of panels")
    if step.panels_at < step.program.arena_bytes:
        raise IRError(f"panels begin at {step.panels_at}, in an arena of {step.program.arena_bytes} bytes")


def _all(body: Iterable[Statement]) -> Iterator[Statement]:
    for statement in body:
        yield statement
        if isinstance(statement, Blocks):
            yield from _all(statement.otherwise)


def _order(body: Iterable[Statement]) -> list[int]:
    """The launches as they follow each other."""
    out = list[int]()
    for statement in body:
        match statement:
            case Parallel(number) | Together(number):
                out.append(number)
            case Serial(numbers) | Blocks(_, numbers):
                out += numbers
    return out


def _verify_order(step: Step, access: Accesses) -> None:
    order = _order(step.body)
    if sorted(order) != list(range(len(step.launches))):
        raise IRError(f"a launch is missing or stands twice: {order} of {len(step.launches)}")
    _verify_calls(step)
    if [launch.call for launch in step.launches] != sorted(launch.call for launch in step.launches):
        raise IRError("launches are not in the order of the program's calls")
    position = {number: n for n, number in enumerate(order)}
    wrote, touched = dict[int, int](), dict[int, int]()  # the latest position of a launch that writes, or touches, a place
    holds: dict[int, tuple[int, int]] = {}  # the buffer last written to some of a place's bytes, and by what launch
    for number, launch in enumerate(step.launches):
        here = position[number]
        for t in access.of[number]:
            buffer, taker = holds.get(t.place, (t.buffer, 0))
            if t.reads and buffer != t.buffer and not (t.writes and _is_made(launch, t.buffer)):
                raise IRError(f"{launch} reads {access.name(t.buffer)} after {step.launches[taker]} has written "
                              f"{access.name(buffer)} there, {access.bytes(t.buffer)}")
            for other in access.sharing[t.place]:
                if wrote.get(other, -1) > here or (t.writes and touched.get(other, -1) > here):
                    _verify_before(access, number, position)
        for t in access.of[number]:
            touched[t.place] = max(touched.get(t.place, -1), here)
            if t.writes:
                wrote[t.place] = max(wrote.get(t.place, -1), here)
                holds |= dict.fromkeys(access.sharing[t.place], (t.buffer, number))
    for number in step.program.outputs:
        buffer, taker = holds.get(access.place_of[number], (number, 0))
        if buffer != number:
            raise IRError(f"output b{number} is overwritten by {step.launches[taker]}")


def _verify_calls(step: Step) -> None:
    """That each call has all units of its kernel, but those that would copy memory onto itself."""
    launched, units = {(launch.call, launch.unit.function) for launch in step.launches}, dict[Kernel, list[Unit]]()
    for unit in step.units:
        units.setdefault(unit.kernel, []).append(unit)
    for number, call in enumerate(step.program.calls):
        places = [place_in(step.program, n) for n in call.args]
        for unit in units.get(call.kernel, ()):
            if (number, unit.function) not in launched and not copies_onto_itself(unit, places):
                raise IRError(f"{unit.function} is not launched for call {number} of the program")
    for launch in step.launches:
        if launch.stays and not copies_onto_itself(launch.unit, [place_in(step.program, n) for n in launch.args]):
            raise IRError(f"{launch} stays, and does not copy memory onto itself")


def _is_made(launch: Launch, buffer: int) -> bool:
    """Whether a kernel makes a buffer; what it reads of one that it also writes is then its own."""
    return any(n == buffer and p.role == "out" for p, n in zip(launch.unit.kernel.params, launch.args))


def _verify_before(access: Accesses, number: int, position: dict[int, int]) -> None:
    """That all launches before a launch which it meets stay before it."""
    for earlier in range(number):
        if position[earlier] > position[number]:
            race = access.race(earlier, number)
            if race is not None:
                first, second = access.step.launches[earlier], access.step.launches[number]
                raise IRError(f"{first} runs after {second}, which depends on it: {race}")


@dataclass
class _Pending:
    """What was touched since the last barrier: place -> launches, those of all threads and those of thread 0 apart."""

    reads: dict[int, list[int]] = field(default_factory=dict)
    writes: dict[int, list[int]] = field(default_factory=dict)
    serial_reads: dict[int, list[int]] = field(default_factory=dict)
    serial_writes: dict[int, list[int]] = field(default_factory=dict)

    def copy(self) -> _Pending:
        return _Pending(*({n: list(found) for n, found in each.items()} for each in self._all()))

    def _all(self) -> tuple[dict[int, list[int]], ...]:
        return self.reads, self.writes, self.serial_reads, self.serial_writes

    def add(self, number: int, touched: Iterable[Touched], serial: bool) -> None:
        reads, writes = (self.serial_reads, self.serial_writes) if serial else (self.reads, self.writes)
        for t in touched:
            for found in ([reads] if t.reads else []) + ([writes] if t.writes else []):
                found.setdefault(t.place, []).append(number)

    def against(self, t: Touched, place: int, serial: bool) -> Iterator[int]:
        """Launches that another thread may run beside one that touches ``t``, if they touch ``place``."""
        tables = [self.writes] + ([self.reads] if t.writes else [])
        if not serial:
            tables += [self.serial_writes] + ([self.serial_reads] if t.writes else [])
        for table in tables:
            yield from table.get(place, ())

    def merge(self, other: _Pending) -> None:
        for mine, theirs in zip(self._all(), other._all()):
            for place, numbers in theirs.items():
                known = mine.setdefault(place, [])
                known += [n for n in numbers if n not in known]


class _Walk:
    """Follows the body from barrier to barrier, on both ways through blocks."""

    def __init__(self, step: Step, access: Accesses):
        self.step, self.access, self.pending = step, access, _Pending()

    def statements(self, body: Iterable[Statement]) -> None:
        for statement in body:
            match statement:
                case Barrier():
                    self.pending = _Pending()
                case Parallel(number) | Together(number):
                    self._launch(number)
                case Serial(numbers):
                    for number in numbers:
                        self._launch(number)
                case Blocks():
                    self._blocks(statement)

    def _launch(self, number: int, beside: frozenset[int] = frozenset()) -> None:
        """``beside``: launches that were compared with this one already."""
        serial = self.step.launches[number].serial
        for t in self.access.of[number]:
            for place in self.access.sharing[t.place]:
                for other in self.pending.against(t, place, serial):
                    race = None if other in beside else self.access.race(other, number)
                    if race is not None:
                        first, second = self.step.launches[other], self.step.launches[number]
                        raise IRError(f"race: no barrier between {first} and {second}, which touch {race}")
        self.pending.add(number, self.access.of[number], serial)

    def _blocks(self, group: Blocks) -> None:
        before = self.pending.copy()
        for n, number in enumerate(group.launches):
            for other in group.launches[:n + 1]:
                self._verify_blocks(group, other, number)
            self._launch(number, frozenset(group.launches))
        after, self.pending = self.pending, before
        self.statements(group.otherwise)
        self.pending.merge(after)

    def _verify_blocks(self, group: Blocks, one: int, other: int) -> None:
        """That different blocks of two launches meet nowhere that one of them writes."""
        first, second = ((n, self._split(self.step.launches[n], group.count)) for n in (one, other))
        _verify_apart(self.access, first, second, group.count, "blocks")

    def _split(self, launch: Launch, count: int) -> Split:
        digit = launch.unit.digits[0]
        return Split(((digit.axis, digit.count // count * digit.block),))


def _verify_apart(access: Accesses, first: tuple[int, Split], second: tuple[int, Split], count: int, what: str) -> None:
    """That different ones of ``count`` parts of two launches meet nowhere that one of them writes."""
    (one, _), (other, _) = first, second
    for a, b in access.pairs(one, other):
        if one == other and a is b and a.has_own_places:
            continue
        starts = access.starts(a.buffer, b.buffer)
        spans = [{r: split.span(r, start) for r in (*t.writes, *t.reads)}
                 for t, (_, split), start in zip((a, b), (first, second), starts)]
        if all_disjoint([*spans[0].values(), *spans[1].values()], [count]):
            continue
        for x, y in (*product(a.writes, (*b.writes, *b.reads)), *product(a.reads, b.writes)):
            if not disjoint(spans[0][x], spans[1][y], [count]):
                launches = access.step.launches
                raise IRError(f"race: different {what} of {launches[one]} and {launches[other]} may touch the same bytes of "
                              f"{access.name(a.buffer)} and {access.name(b.buffer)}, {access.bytes(a.buffer)}")
