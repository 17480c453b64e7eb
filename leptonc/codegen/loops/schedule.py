"""HOW a stage runs: which axes are parallel, which one is the vector axis, what is unrolled. Decisions as data.

Everything is decided from the stage's structure and the target; no op names, no search. The parallel split depends on
shapes alone, so results are the same bits for any number of threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, lcm, prod

from leptonc.codegen.loops.access import Access
from leptonc.codegen.loops.bounded import bounded_folds
from leptonc.codegen.loops.linear import LinearStage
from leptonc.codegen.loops.neighbours import folded_insts, together
from leptonc.codegen.loops.reduction import constant_part
from leptonc.codegen.loops.streams import Key, unfollowed
from leptonc.ir.kernel import Apply, Axis, Load, Reduce
from leptonc.ir.scalar import SCALARS
from leptonc.target import Target

ITEM_COST = 4096  # scalar operations in one parallel item, about: enough to hide decoding its index
ENOUGH_ITEMS = 8  # from so many on, the vector axis is cut in long blocks only
SHORTEST_BLOCK = 1024  # elements
SERIAL_COST = 24_000  # below this a stage runs on one thread: a barrier costs about as much as the work saved
LEAST_CUT = 4  # vectors in an item of a small nest that is cut for its rows
ROW_ITEMS = 8  # items that share the rows of a scatter, at most
ROW_BYTES = 128  # of a row in an item: two cache lines, which come together
ACROSS_LANES = 12  # instructions that fold the lanes of a sum
STORE_COST = 4  # a store brings its cache line first, mostly from afar
UNROLL_POINTS = 16  # reductions over fewer points are written out
UNROLL_INSTS = 192
STATE_SHARE = 2  # the states of sums are made no wider once they fill one in so many registers
MOST_REGISTERS = 8  # those of other reductions
LEAST_SQUARE = 4  # lanes from which on squares are transposed
TURNED_BYTES = (4, 8)  # of elements that are: narrower ones make squares of more rows than there are registers
MOST_TURNED_INSTS, MOST_TURNED_COST = 16, 64  # of a body that is written out for each row of a square


@dataclass(frozen=True)
class Nest:
    """A loop nest: ``parallel`` axes flattened into items, ``loops`` inside, the ``vector`` axis innermost.

    ``block`` > 0 splits the vector axis into parallel blocks of that many elements. ``fold`` are the reduce axes in
    order, the vector axis last if it is one of them; ``unroll`` writes the reduction out. ``jam`` points of the last of
    the loops are taken together. ``turned``: the axis along which loads that are strided along the vector axis are contiguous;
    items have ``lanes`` of its points (``loops/squares.py``). ``ahead``: accesses that ask for lines ahead (``loops/streams.py``).
    """

    parallel: tuple[Axis, ...]
    loops: tuple[Axis, ...]
    vector: Axis | None
    lanes: int
    block: int
    fold: tuple[Axis, ...]
    unroll: bool
    jam: int = 1
    turned: Axis | None = None
    ahead: frozenset[Key] = frozenset()


def point_cost(stage: LinearStage) -> int:
    """Vector instructions per point, about."""
    cost = 0
    for inst in stage.insts:
        if isinstance(inst, Apply):
            cost += 1 if inst.op == "cast" else SCALARS[inst.op].cost
        elif isinstance(inst, Load | Reduce):
            cost += 1
    return cost + STORE_COST * len(stage.stores)


def stage_cost(stage: LinearStage, lanes: int, target: Target) -> int:
    """Vector instructions of a stage that takes ``lanes`` points at once, in several registers if these are more than one has."""
    sizes = [i.dtype.itemsize for i in stage.insts if isinstance(i, Load)]
    lanes = min(lanes, target.lanes(max(sizes, default=4)))
    points = prod(a.extent for a in (*stage.outer, *stage.axes))
    return points * point_cost(stage) // lanes


def schedule_nest(stage: LinearStage, target: Target, rows: int = 0) -> Nest:
    """Choose vector axis, lanes, unrolling and the parallel split of a stage that is no contraction. ``rows``: the extent of an
    axis that is to be among those split, if it is the outermost one."""
    nest = _nest(stage, target)
    nest = replace(nest, ahead=unfollowed(stage, nest.vector, target)) if nest.turned is None else nest
    return _cut_in_rows(nest, stage, rows) if rows and not stage.outer else nest


def _cut_in_rows(nest: Nest, stage: LinearStage, rows: int) -> Nest:
    """The nest with items of a row, or of some where rows are short or end within a vector; as it is if that cannot be."""
    first = next(iter(stage.map_axes), None)
    if first is None or first.extent % rows or first.name not in stage.parallel or first in nest.parallel:
        return nest
    if first != nest.vector:
        return replace(nest, parallel=(first,), loops=nest.loops[1:]) if nest.loops[:1] == (first,) and not nest.parallel else nest
    whole = lcm(first.extent // rows, nest.lanes)
    if nest.parallel or nest.loops or nest.turned is not None or first.extent % whole:
        return nest
    count = first.extent // whole
    each = next((n for n in range(1, count) if count % n == 0 and n * whole >= LEAST_CUT * nest.lanes), 1)
    return replace(nest, block=whole * each if each < count else nest.block)


def _nest(stage: LinearStage, target: Target) -> Nest:
    vector, lanes = _vector_axis(stage, target)
    unroll = _unrolls(stage) and not (vector is not None and vector.reduce)
    fold = tuple(a for a in stage.reduce_axes if a != vector)
    if vector is not None and vector.reduce:
        fold += (vector,)
    maps = [a for a in stage.map_axes if a != vector]
    if stage.outer:
        return Nest((), tuple(maps), vector, lanes, 0, fold, unroll)
    turned = _turned_axis(stage, vector, lanes)
    if turned is not None:
        maps.remove(turned)
        parallel, _ = _parallel_split(stage, maps, stage_cost(stage, lanes, target) * lanes // turned.extent)
        return Nest(parallel, tuple(a for a in maps if a not in parallel), vector, lanes, 0, fold, unroll, turned=turned)
    jam = _jam(stage, maps, vector) if unroll else 1
    parallel, work = _parallel_split(stage, maps[:-1] if jam > 1 else maps, stage_cost(stage, lanes, target))
    block = _block_of_rows(stage, vector, parallel, maps, lanes)
    if vector is not None and not vector.reduce and vector.name in stage.parallel and _leading(maps, parallel):
        each = ITEM_COST * vector.extent // max(work, 1)  # elements that make an item's work
        if prod(a.extent for a in parallel) >= ENOUGH_ITEMS:
            each = max(each, SHORTEST_BLOCK)  # rows are read in one piece
        block = max(1, each // lanes) * lanes
        block = block if block < vector.extent else 0
    loops = tuple(a for a in maps if a not in parallel)
    return Nest(parallel, loops, vector, lanes, block, fold, unroll, jam)


def _jam(stage: LinearStage, maps: list[Axis], vector: Axis | None) -> int:
    """How many points of the last axis of ``maps``, which then is no parallel one, are best taken together."""
    if vector is None or prod(a.extent for a in maps[:-1] if a.name in stage.parallel) < ENOUGH_ITEMS:
        return 1
    return together(stage, maps[-1])


def _turned_axis(stage: LinearStage, vector: Axis | None, lanes: int) -> Axis | None:
    """The axis to read strided operands along, transposing in registers what is read; None if there is nothing to gain.

    The body is written out for each of its points in a square."""
    if vector is None or vector.reduce or stage.reduces or lanes < LEAST_SQUARE or any(s.accumulate for s in stage.stores):
        return None
    if len(stage.insts) > MOST_TURNED_INSTS or point_cost(stage) > MOST_TURNED_COST:
        return None
    for axis in stage.map_axes:
        loads = turned_loads(stage, vector, axis.name)
        if axis != vector and axis.name in stage.parallel and axis.extent >= lanes and loads:
            return axis if all(stage.insts[n].dtype.itemsize in TURNED_BYTES for n in loads) else None
    return None


def turned_loads(stage: LinearStage, vector: Axis, turned: str) -> list[int]:
    """Loads that are contiguous along ``turned`` and strided along the vector axis."""
    return [n for n, access in stage.loads.items()
            if access.is_affine and access.stride(vector.name) not in (0, 1) and access.stride(turned) == 1]


def _block_of_rows(stage: LinearStage, vector: Axis | None, parallel: tuple[Axis, ...], maps: list[Axis], lanes: int) -> int:
    """How many elements of its rows an item of a scatter adds: rows that may meet are walked in order by every item; 0: all."""
    serial = prod(a.extent for a in maps if a.name not in stage.parallel)
    if parallel or vector is None or vector.name not in stage.parallel or vector.reduce or serial < 2:
        return 0
    size = max((stage.insts[s.value].dtype.itemsize for s in stage.stores if s.accumulate), default=0)
    if not size:
        return 0
    block = max(ceil(vector.extent / ROW_ITEMS), ROW_BYTES // size)
    block = ceil(block / lanes) * lanes
    return block if block < vector.extent else 0


def _leading(maps: list[Axis], parallel: tuple[Axis, ...]) -> bool:
    """Whether all loops around the vector loop are parallel, so that the vector axis may be split too."""
    return len(maps) == len(parallel)


def _parallel_split(stage: LinearStage, maps: list[Axis], work: int) -> tuple[tuple[Axis, ...], int]:
    """Flatten leading parallel axes until an item of all the ``work`` holds ITEM_COST operations; returns them and an item's
    cost."""
    chosen: list[Axis] = []
    for axis in maps:
        if axis.name not in stage.parallel or work <= ITEM_COST:
            break
        chosen.append(axis)
        work //= max(axis.extent, 1)
    return tuple(chosen), work


def _unrolls(stage: LinearStage) -> bool:
    points = prod(a.extent for a in stage.reduce_axes)
    return 0 < points <= UNROLL_POINTS and points * len(stage.insts) <= UNROLL_INSTS


def _vector_axis(stage: LinearStage, target: Target) -> tuple[Axis | None, int]:
    """The axis whose neighbours lie next to each other in most accesses; lanes 1 if scalar code is as good."""
    best, best_cost, best_lanes = None, 1.0, 1
    for axis in stage.axes:
        lanes = _lanes(stage, axis, target)
        if lanes > 1 and _may_vectorise(stage, axis):
            cost = _relative_cost(stage, axis.name, lanes)
            # a later axis of equal cost is nearer the innermost one: its neighbours share cache lines
            if cost <= best_cost and cost < 1.0:
                best, best_cost, best_lanes = axis, cost, lanes
    return best, best_lanes


def _is_vector(stage: LinearStage, n: int, axis: Axis) -> bool:
    """Whether an instruction is a load of one element for each lane; of an index that a row has it is one for all."""
    return isinstance(stage.insts[n], Load) and axis.name in stage.axes_of[n]


def _lanes(stage: LinearStage, axis: Axis, target: Target) -> int:
    """Lanes along ``axis``: a register's worth, several registers where that breaks a chain of dependent adds."""
    size = max((stage.insts[i.arg].dtype.itemsize if isinstance(i, Reduce) else i.dtype.itemsize
                for n, i in enumerate(stage.insts) if isinstance(i, Reduce) or _is_vector(stage, n, axis)), default=4)
    lanes = target.lanes(max(size, 4))
    while lanes > max(axis.extent, 1):
        lanes //= 2
    long_fold = stage.reduces and prod(a.extent for a in stage.reduce_axes) > UNROLL_POINTS
    if long_fold:
        register = target.lanes(max(size, 4))
        sums = all(isinstance(i, Reduce) and i.kind == "sum" for i in (stage.insts[n] for n in stage.reduces))
        most = target.registers // STATE_SHARE if sums else MOST_REGISTERS
        while lanes < 4 * register and lanes * len(stage.reduces) < most * register and 2 * lanes <= axis.extent:
            lanes *= 2
    return lanes


def _tracks_position(stage: LinearStage) -> bool:
    return any(isinstance(i, Reduce) and i.kind in ("argmax", "argmin") for i in stage.insts)


def _may_vectorise(stage: LinearStage, axis: Axis) -> bool:
    """Not along a folded axis if what starts a state may end the fold before it begins; where positions count, along the last one
    alone, whose lanes then are visited in their order."""
    if axis.reduce:
        return not may_end_at_once(stage) and (not _tracks_position(stage) or axis == stage.reduce_axes[-1])
    accumulates = any(s.accumulate for s in stage.stores)
    return not accumulates or axis.name in stage.parallel


def may_end_at_once(stage: LinearStage) -> bool:
    """Whether what starts the states of reductions may end the fold before it begins."""
    return any(constant_part(stage, n) is not None for n in stage.reduces)


def _relative_cost(stage: LinearStage, axis: str, lanes: int) -> float:
    """Cost of vector code along ``axis`` over that of scalar code; of a fold that may end at once without the fold."""
    early = may_end_at_once(stage)
    folded = frozenset(a.name for a in stage.reduce_axes)
    points = 1 if early else max(1, prod(a.extent for a in stage.reduce_axes))
    extent = next((max(a.extent, 1) for a in stage.axes if a.name == axis), 1)
    scalar = vector = 0.0

    def count(times: float, one: float, wide: float) -> None:
        nonlocal scalar, vector
        scalar, vector = scalar + times * one, vector + times * wide

    skipped = _left_out(stage, axis)
    for n, inst in enumerate(stage.insts):
        inside = isinstance(inst, Reduce) or folded & stage.axes_of[n]
        if (early and folded & stage.axes_of[n]) or n in skipped:
            continue
        times = 1 if inside else 1 / points  # what does not vary in a fold is done once for it
        if n in stage.loads:
            count(times, 1, _access_cost(stage, stage.loads[n], axis, lanes))
        if isinstance(inst, Apply | Reduce):
            cost = SCALARS[inst.op].cost if isinstance(inst, Apply) and inst.op != "cast" else 1
            along = axis in stage.axes_of[n] or isinstance(inst, Reduce)
            count(times, cost, cost / lanes if along else cost if stage.reduces else cost / extent)
    for access in stage.targets:
        count(1 / points, 1, _access_cost(stage, access, axis, lanes))
    if axis in folded:
        count(len(stage.reduces) / points, 0, ACROSS_LANES)
    return vector / scalar if scalar else 1.0


def _left_out(stage: LinearStage, axis: str) -> frozenset[int]:
    """Instructions that folds over the first points of an axis have no use for, with lanes along ``axis``."""
    bounded = bounded_folds(stage, next(a for a in stage.axes if a.name == axis))
    return frozenset() if bounded is None else frozenset(folded_insts(stage)) - bounded.folding


def _access_cost(stage: LinearStage, access: Access, axis: str, lanes: int) -> float:
    if any(i.coeff(axis) for i, _ in access.divided):
        return 6.0
    stride = access.stride(axis)
    if access.is_of_pairs(axis):
        return 2.0 / lanes
    if any(axis in stage.axes_of[value] for value, _ in access.values):
        return 2.0  # lanes apart; of a value that all lanes have, the row there is read like any other
    masked = 2.0 if access.check_depends_on(axis) else 1.0
    if stride in (0, 1):
        return masked / lanes if stride else 0.2
    return 1.5 * masked
