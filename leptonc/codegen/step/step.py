"""The step as data: what stands between kernels and LLVM text.

``build`` makes a Step of a Program and takes every decision; ``emit`` writes it as text and takes none; ``verify`` looks for races
in it, and ``interpret`` runs it. Its text says of each line which file decided it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, prod

from leptonc.codegen.contraction.panels import Panels
from leptonc.codegen.contraction.plan import Contraction
from leptonc.codegen.loops.linear import LinearStage
from leptonc.codegen.loops.schedule import Nest
from leptonc.codegen.prefix.plan import PrefixPlan
from leptonc.codegen.routed.lookup import Lookup
from leptonc.codegen.routed.plan import Routed
from leptonc.codegen.sorting.plan import SortPlan
from leptonc.codegen.step.prefetch import Prefetch
from leptonc.ir.affine import Interval
from leptonc.ir.graph import Loc
from leptonc.ir.kernel import Kernel, Load, Program, Store
from leptonc.target import Target

LOOK_COST = 30_000_000  # work between two looks whether a step is to stop, about 10 ms of one thread
LONG_COST = 2 * LOOK_COST  # a step that has as much looks
PANELS = ""  # the buffer that packed operands lie in

# What a unit touches


@dataclass(frozen=True)
class Digit:
    """One digit of an item's number: it stands for ``block`` points of an axis, the last one for what is left of them."""

    axis: str
    extent: int
    block: int = 1

    @property
    def count(self) -> int:
        return ceil(self.extent / self.block)


@dataclass(frozen=True)
class Term:
    """An axis moves a region by ``stride`` bytes from each of its ``extent`` points to the next; "" is no axis of the items."""

    axis: str
    stride: int
    extent: int


@dataclass(frozen=True)
class Region:
    """The bytes of a buffer that a unit reads or writes: ``run`` bytes at ``offset`` and the sum of all terms. An item has its own
    points of the axes of its digits, and all points of the others. ``guarded``: what of it is not in the buffer is left alone.
    ``disjoint``: what a store writes at places made at run time, no two points the same, as the verifier of kernels has seen; or
    under guards, where elements tell items apart, bytes do not.

    ``stage``: the region's place in the order of what an item does.
    """

    buffer: str
    write: bool
    offset: int
    terms: tuple[Term, ...]
    run: int
    stage: int = 0
    guarded: bool = False
    disjoint: bool = False

    @property
    def reach(self) -> Interval:
        """The first and the last byte from the start of the buffer on, whatever the item; none if there are no points."""
        steps = [t.stride * (t.extent - 1) for t in self.terms]
        if any(t.extent == 0 for t in self.terms):
            return Interval(0, -1)
        return Interval(self.offset + sum(s for s in steps if s < 0), self.offset + sum(s for s in steps if s > 0) + self.run - 1)

    @property
    def moved(self) -> str:
        return "".join(f" + {t.stride}*{t.axis or '?'}:{t.extent}" for t in self.terms) + f", {self.run} bytes"


# How a unit runs


@dataclass(frozen=True)
class NestUnit:
    """A loop nest (``loops/schedule.py``)."""

    linear: LinearStage
    nest: Nest


@dataclass(frozen=True)
class PackingUnit:
    """Copies an operand into panels that begin at ``offset`` (``contraction/panels.py``)."""

    panels: Panels
    offset: int


@dataclass(frozen=True)
class ContractionUnit:
    """A contraction (``contraction/plan.py``); the panels of its packed operands begin at 0."""

    plan: Contraction


@dataclass(frozen=True)
class Inner:
    """One stage of a tiled unit: a contraction, whose panels begin at ``panels_at``, or a nest."""

    linear: LinearStage
    plan: Contraction | None
    nest: Nest
    panels_at: int


@dataclass(frozen=True)
class TiledUnit:
    """All stages at each outer point. ``locals_at``: where local buffers lie in a thread's scratch, ``scratch_at``: what is left of
    it for contractions. ``prefetches``: what one point asks for of the next one's memory (``step/prefetch.py``)."""

    stages: tuple[Inner, ...]
    locals_at: tuple[int, ...]
    scratch_at: int
    prefetches: tuple[Prefetch, ...]


@dataclass(frozen=True)
class RoutedPackingUnit:
    """Copies the dense operand of a routed sum with the held axes innermost (``routed/plan.py``)."""

    plan: Routed


@dataclass(frozen=True)
class RoutedUnit:
    """A routed sum by lists (``routed/plan.py``); ``clear``: elements of the result that each item sets to zero first."""

    plan: Routed
    clear: int


@dataclass(frozen=True)
class LookupUnit:
    """A routed sum by lookups (``routed/lookup.py``)."""

    plan: Lookup


@dataclass(frozen=True)
class SortUnit:
    """Rows put in order (``sorting/plan.py``)."""

    plan: SortPlan


@dataclass(frozen=True)
class PrefixUnit:
    """One phase of a prefix scan (``prefix/plan.py``); what blocks begin with lies in panels."""

    plan: PrefixPlan
    phase: str


@dataclass(frozen=True)
class RowShare:
    """What a block of rows is to a unit: ``each`` points of the digit at ``place``."""

    place: int
    each: int


@dataclass(frozen=True)
class Rows:
    """``count`` blocks of rows that go through all trips of a loop independently, and what they are to each launch of its body."""

    count: int
    shares: tuple[RowShare, ...]


@dataclass(frozen=True)
class ControlUnit:
    """A loop or a branch: of each of its bodies the step. ``starts``: of a loop's carries what copies them to where they end.
    ``counted``: it is no loop whose number of trips is not known.

    If more than one thread has work in a body, all of them run all of it together, with its own barriers. If there are ``rows``,
    and no more threads than blocks of them, or nothing else to share, each thread takes its blocks through all trips instead.
    """

    bodies: tuple[Step, ...]
    starts: tuple[Unit, ...]
    counted: bool = True
    rows: Rows | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a loop in it of as many trips as its condition says."""
        inner = (launch.unit.schedule for body in self.bodies for launch in body.launches)
        return not self.counted or any(schedule.is_open for schedule in inner if isinstance(schedule, ControlUnit))

    @property
    def together(self) -> bool:
        """Whether a body is for several threads, with its own barriers."""
        return any(body.parallel for body in self.bodies)

    @property
    def parallel(self) -> bool:
        return self.rows is not None or self.together


Schedule = (NestUnit | PackingUnit | ContractionUnit | TiledUnit | RoutedPackingUnit | RoutedUnit | LookupUnit | SortUnit
            | PrefixUnit | ControlUnit)


@dataclass(frozen=True)
class Unit:
    """One function of a kernel over a range of items. ``digits``: of an item's number, the slowest first. ``panel_bytes``: what
    its panels take of the panel scratch; ``local_bytes``: per-thread scratch. ``fills``: the result whose initial value it sets,
    ``border``: around what the kernel writes, so that it meets none of that."""

    function: str
    kernel: Kernel
    schedule: Schedule
    digits: tuple[Digit, ...]
    regions: tuple[Region, ...]
    cost: int
    description: str
    panel_bytes: int = 0
    local_bytes: int = 0
    fills: str | None = None
    border: bool = False

    @property
    def items(self) -> int:
        return prod(d.count for d in self.digits)

    @property
    def items_between_looks(self) -> int:
        """Of a step that lasts: so many items are done between two looks whether it is to stop."""
        return max(1, self.items * LOOK_COST // max(self.cost, 1))

    @property
    def reads(self) -> frozenset[str]:
        return frozenset(r.buffer for r in self.regions if not r.write)

    @property
    def writes(self) -> frozenset[str]:
        return frozenset(r.buffer for r in self.regions if r.write)


# The step


@dataclass(frozen=True)
class Memory:
    """Bytes [start, stop) of a block: "arena", or an argument "b<number>" that no other argument shares bytes with."""

    block: str
    start: int
    stop: int

    def meets(self, other: Memory) -> bool:
        return self.block == other.block and self.start < other.stop and other.start < self.stop

    def __str__(self) -> str:
        return f"{self.block}[{self.start}:{self.stop}]"


@dataclass(frozen=True)
class Launch:
    """A unit on the buffers of one call. ``serial``: all items on thread 0, else each thread has its part of them. ``call``: the
    number of the program's call; ``loc``: the user's line. ``stays``: it would copy memory onto itself, and is not emitted."""

    unit: Unit
    args: tuple[int, ...]
    serial: bool
    call: int
    loc: Loc | None = None
    stays: bool = False

    @property
    def cost(self) -> int:
        return 0 if self.stays else self.unit.cost

    def __str__(self) -> str:
        return f"{self.unit.function}({', '.join(f'b{n}' for n in self.args)})"


def copies_onto_itself(unit: Unit, places: Sequence[object]) -> bool:
    """Whether a unit stores each element where it was loaded from. ``places``: where its kernel's parameters lie."""
    if not isinstance(unit.schedule, NestUnit):
        return False
    stage, place = unit.schedule.linear, dict(zip((p.name for p in unit.kernel.params), places, strict=True))
    match stage.insts, stage.stores:
        case (Load() as load,), (Store(accumulate=False) as store,):
            access = stage.loads[0]
            return access.is_affine and (access,) == stage.targets and place[load.buffer] == place[store.buffer]
    return False


@dataclass(frozen=True)
class Barrier:
    """No thread goes on before all are here. ``before`` and ``after``: two launches that touch ``memory``, one writing."""

    before: int
    after: int
    memory: Memory


@dataclass(frozen=True)
class Parallel:
    """A launch by all threads: thread t of n has items t * items / n to (t + 1) * items / n."""

    launch: int


@dataclass(frozen=True)
class Together:
    """A loop or a branch that all threads go through, whose statements say who does what."""

    launch: int


@dataclass(frozen=True)
class Serial:
    """Launches by thread 0, one after the other."""

    launches: tuple[int, ...]


@dataclass(frozen=True)
class Blocks:
    """``launches`` block by block: each thread has its part of ``count`` blocks as of items, and takes each through all launches.
    ``otherwise`` runs instead if a thread would have more than 1 / ``slack`` over the mean; that is known at the call."""

    count: int
    launches: tuple[int, ...]
    otherwise: tuple[Statement, ...]
    slack: int


Statement = Barrier | Parallel | Serial | Blocks | Together


@dataclass(frozen=True)
class Step:
    """``units``: those of each kernel once; ``launches`` in the order of the program's calls; ``body``: what every thread runs.
    ``memory`` is that of each of the program's buffers; panels begin at ``panels_at`` of the arena."""

    program: Program
    target: Target
    units: tuple[Unit, ...]
    launches: tuple[Launch, ...]
    body: tuple[Statement, ...]
    memory: tuple[Memory, ...]
    panels_at: int
    arena_bytes: int
    local_bytes: int

    @property
    def parallel(self) -> bool:
        """Whether more than one thread has work."""
        return any(not launch.serial for launch in self.launches)

    @property
    def lasts(self) -> bool:
        """Whether it may run so long that signals are to be answered meanwhile."""
        return sum(launch.cost for launch in self.launches) >= LONG_COST or any(
            launch.unit.schedule.is_open for launch in self.launches if isinstance(launch.unit.schedule, ControlUnit))

    def __str__(self) -> str:
        return "\n".join([*_head(self), "", "memory", *_memory_lines(self), "", "units", *_unit_lines(self), "", "body",
                          *_body_lines(self, self.body, "  ")])


# Text

FILES: dict[type, str] = {
    NestUnit: "loops/schedule.py",
    PackingUnit: "contraction/choose.py",
    ContractionUnit: "contraction/choose.py",
    TiledUnit: "step/units.py",
    RoutedPackingUnit: "routed/plan.py",
    RoutedUnit: "routed/plan.py",
    LookupUnit: "routed/lookup.py",
    SortUnit: "sorting/plan.py",
    PrefixUnit: "prefix/plan.py",
    ControlUnit: "step/control.py",
}
"""The file below ``leptonc/codegen`` that decides how each kind of unit runs."""


def _head(step: Step) -> Iterator[str]:
    barriers = sum(isinstance(s, Barrier) for s in step.body)
    yield (f"step @{step.program.name} for {step.target.name}: {len(step.units)} units, {len(step.launches)} launches, "
           f"{barriers} barriers, arena of {step.arena_bytes} bytes, {step.local_bytes} bytes for each thread")
    yield "; files are those of leptonc/codegen, unless they begin with passes/"


def _memory_lines(step: Step) -> Iterator[str]:
    for number, (buffer, memory) in enumerate(zip(step.program.buffers, step.memory)):
        name = f" {buffer.name}" if buffer.name else ""
        why = {"temp": "passes/memory/plan.py"}.get(buffer.kind, "the caller's")
        why = "passes/memory/plan.py: donated" if buffer.donated is not None else why
        yield f"  b{number}: {buffer.type} {buffer.kind}{name} = {memory}  ; {why}"
    if step.arena_bytes > step.panels_at:
        yield f"  panels = arena[{step.panels_at}:{step.arena_bytes}]  ; contraction/panels.py, routed/plan.py, prefix/plan.py"


def _unit_lines(step: Step) -> Iterator[str]:
    for unit in step.units:
        file = FILES[type(unit.schedule)] if unit.fills is None else "loops/filling.py"
        yield f"  {unit.function} = {unit.description}  ; {file}"
        digits = " ".join(f"{d.axis}:{d.extent}" + (f" by {d.block}" if d.block > 1 else "") for d in unit.digits)
        yield f"    {unit.items} items{f' of {digits}' if digits else ''}, cost {unit.cost}"
        yield from _region_lines(unit.regions)
        if isinstance(unit.schedule, ControlUnit) and unit.schedule.rows is not None:
            yield f"    {unit.schedule.rows.count} blocks of rows, each through all trips  ; step/rows.py"
        for body in unit.schedule.bodies if isinstance(unit.schedule, ControlUnit) else ():
            yield from (f"    | {line}" for line in str(body).splitlines())


def _region_lines(regions: tuple[Region, ...]) -> Iterator[str]:
    """A line for all that differ in their offsets alone."""
    alike: dict[tuple[str, bool, int, str], list[int]] = {}
    for region in regions:
        alike.setdefault((region.buffer, region.write, region.stage, region.moved), []).append(region.offset)
    for (buffer, write, _, moved), offsets in alike.items():
        some = offsets if len(offsets) <= 4 else [*offsets[:2], "...", f"{offsets[-1]} ({len(offsets)})"]
        few = ", ".join(map(str, some))
        yield f"    {'writes' if write else 'reads'} {buffer or 'panels'} at {few}{moved}"


def _body_lines(step: Step, body: tuple[Statement, ...], indent: str) -> Iterator[str]:
    for statement in body:
        match statement:
            case Barrier():
                before, after = (step.launches[n].unit.function for n in (statement.before, statement.after))
                yield f"{indent}barrier  ; step/build.py: {before} and {after} at {statement.memory}"
            case Parallel():
                launch = step.launches[statement.launch]
                unit = launch.unit
                yield f"{indent}parallel {launch}  ; step/build.py: {unit.items} items, cost {unit.cost}{_line(launch)}"
            case Together(number):
                launch = step.launches[number]
                yield f"{indent}together {launch}  ; step/control.py: its body is for all threads{_line(launch)}"
            case Serial():
                yield f"{indent}serial  ; step/build.py: one item, or less work than a barrier"
                yield from (f"{indent}  {step.launches[n]}{_line(step.launches[n])}" for n in statement.launches)
            case Blocks():
                yield f"{indent}in {statement.count} blocks  ; step/interleave.py: the same blocks of these touch the same bytes"
                yield from (f"{indent}  {step.launches[n]}{_line(step.launches[n])}" for n in statement.launches)
                yield f"{indent}or, if a thread had more than 1/{statement.slack} over the mean"
                yield from _body_lines(step, statement.otherwise, indent + "  ")


def _line(launch: Launch) -> str:
    if launch.loc is None:
        return ""
    return f"  {launch.loc}" + (f" [{', '.join(launch.loc.scopes)}]" if launch.loc.scopes else "")
