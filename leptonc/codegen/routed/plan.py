"""How a routed sum runs (``ir.structure.find_routing``): where its nonzero entries are listed, what stays in registers.

An entry is one element of the routed value with its place. Entries are gathered into lists, zeros left out; then, list by
list, ``held += value * dense[place]`` with the held results in registers. Two cases, one generated kernel:

* the routing axes are folded (a weight gradient): a list per *group* point, over the folded axes; the place depends on the
  routing, and the held results of all groups wait in a local tile until the epilogue;
* the routing axes are map axes (an input gradient): a list per group point and routing point, over the folded axes; held
  results are added to the result at the routed place. The dense operand is packed with the held axes innermost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, prod

from leptonc.codegen.loops.access import Access
from leptonc.codegen.loops.linear import LinearStage, mergeable, merged
from leptonc.ir.kernel import Axis, Load
from leptonc.ir.structure import Routing, find_routing, routed_inputs
from leptonc.ir.types import DType
from leptonc.target import Target

SHORT_LIST = 24  # points over which a list is not cut further: adding its sums up costs
LIST_POINTS = 48  # a list shorter than that is lengthened by another row of the axis around it
MAX_LIST = 8192
MIN_GROUPS = 16  # groups that share the making of lists, at least
FEW_ITEMS = 16  # items wanted where whole groups are too few of them
UNIT = Axis("unit", 1)  # stands where a role has no axis
ENOUGH = 8  # accumulators that cover the latency of a multiply-add: 4 cycles, two at a time
TILE_SHARE = 2  # the local tile may fill one in so many parts of L2
OFFSET_BYTES = 4  # an entry's place


@dataclass(frozen=True)
class Routed:
    """A scheduled routed sum.

    Parallel items run over ``outer`` and blocks of ``group_block`` of the ``group`` axis. Inside, ``loops`` run one by one, the
    last of them in strips of ``strip``; lists are made for one strip, over blocks of ``list_block`` of the last list axis,
    ``list_lanes`` entries at a time (0: one by one). ``rows`` and ``vector`` are the held axes: ``chunk_rows`` x
    ``chunk_vectors`` registers of ``lanes`` accumulate at a time.
    """

    stage: LinearStage
    routing: Routing
    taps: tuple[tuple[Axis, int], ...]  # routing axes with the coefficient of each in the routing number
    folded: bool
    outer: tuple[Axis, ...]
    group: Axis
    group_block: int
    loops: tuple[Axis, ...]
    strip: int
    lists: tuple[Axis, ...]
    rows: tuple[Axis, ...]
    vector: Axis
    lanes: int = 1
    chunk_rows: int = 1
    chunk_vectors: int = 1
    list_block: int = 1
    list_lanes: int = 0

    @property
    def dtype(self) -> DType:
        return self.stage.insts[self.routing.reduce].dtype

    @property
    def dense(self) -> Access:
        return self.stage.loads[self.routing.dense]

    @property
    def dense_buffer(self) -> str:
        load = self.stage.insts[self.routing.dense]
        assert isinstance(load, Load)
        return load.buffer

    @property
    def packs(self) -> bool:
        return not self.folded

    @property
    def tap_count(self) -> int:
        return prod(a.extent for a, _ in self.taps)

    @property
    def row_count(self) -> int:
        return prod(a.extent for a in self.rows)

    @property
    def vectors(self) -> int:
        return ceil(self.vector.extent / self.lanes)

    @property
    def padded(self) -> int:
        """Elements of one held row in the local tile and in panels."""
        return self.vectors * self.lanes

    @property
    def group_items(self) -> int:
        return ceil(self.group.extent / self.group_block)

    @property
    def items(self) -> int:
        return prod(a.extent for a in self.outer) * self.group_items

    def whole_groups(self, lanes: int) -> bool:
        """Whether every item's groups come in whole registers."""
        return self.group_block % lanes == 0 and self.group.extent % self.group_block == 0

    @property
    def slots(self) -> int:
        """Lists made at a time."""
        return self.group_block if self.folded else self.strip * self.group.extent * self.tap_count

    @property
    def capacity(self) -> int:
        """Room in one list."""
        points = prod(a.extent for a in self.lists[:-1]) * self.list_block * (self.strip if self.folded else 1)
        return points + self.list_lanes  # a whole vector is stored at the end

    @property
    def entries(self) -> int:
        axes = (*self.outer, self.group, *self.loops, *self.lists)
        return prod(a.extent for a in axes)

    @property
    def tile_elements(self) -> int:
        return self.group_block * self.row_count * self.padded if self.folded else 0

    @property
    def dense_lines(self) -> tuple[int, int]:
        """Elements from where a strip meets the dense operand to where the next strip reaches beyond it, and how many it
        reaches there; 0, 0 where rows are not read line by line."""
        if not self.folded or not self.rows or not self.loops:
            return 0, 0
        line, step = self.dense.stride(self.rows[-1].name), self.dense.stride(self.loops[-1].name)
        if line <= 0 or step <= 0 or step % line:
            return 0, 0
        around = [a for a in (*self.rows, *(a for a, _ in self.taps)) if self.dense.stride(a.name) % line == 0]
        reach = line + sum(self.dense.stride(a.name) * (a.extent - 1) for a in around) + step * (self.strip - 1)
        return reach, step * self.strip

    @property
    def panel_elements(self) -> int:
        return prod(a.extent for a in self.lists) * self.row_count * self.padded if self.packs else 0


def find_routed(stage: LinearStage, target: Target) -> Routed | None:
    """The stage as a scheduled routed sum; None if it is none, or of a form that has no schedule."""
    routing = find_routing(stage.insts, stage.axes, stage.indices)
    if routing is None or stage.outer or not stage.loads[routing.dense].is_affine or any(a.extent == 0 for a in stage.axes):
        return None
    entry = frozenset[str]()
    for n in routed_inputs(stage.insts, routing):
        entry |= stage.axes_of[n]
        if n in stage.loads and not stage.loads[n].is_affine:
            return None
    reduce_names = {a.name for a in stage.reduce_axes}
    if routing.axes <= reduce_names:
        return _folded(stage, routing, entry, target)
    if routing.axes.isdisjoint(reduce_names):
        return _scattered(stage, routing, entry, target)
    return None


def cleared_by_item(plan: Routed, size: int) -> int:
    """Elements of a result of ``size`` that each item may set to zero before it adds to them: its own share, in one piece; 0 if
    items do not have such shares."""
    if plan.folded or plan.group_items != 1 or not plan.outer or plan.items == 0:
        return 0
    share, target = size // plan.items, plan.stage.targets[0]
    step = share
    for axis in reversed(plan.outer):
        if target.stride(axis.name) != step:
            return 0
        step *= axis.extent
    return share if step == size else 0


def _folded(stage: LinearStage, routing: Routing, entry: frozenset[str], target: Target) -> Routed | None:
    """Routing axes under the sum: a weight gradient."""
    dense = stage.loads[routing.dense]
    if any(s.accumulate or s.masked for s in stage.stores) or not {a.name for a in stage.map_axes} <= stage.parallel:
        return None
    groups = [a for a in stage.map_axes if a.name in entry and not dense.stride(a.name)]
    held = [a for a in stage.map_axes if a.name not in entry]
    folded = [a for a in stage.reduce_axes if a.name not in routing.axes]
    vectors = [a for a in held if dense.stride(a.name) == 1]
    if not vectors or any(a.name not in entry for a in folded):
        return None
    groups, folded = groups or [UNIT], folded or [UNIT]
    values = [stage.loads[n] for n in routed_inputs(stage.insts, routing) if n in stage.loads]
    group = min(groups, key=lambda a: sum(abs(v.stride(a.name)) for v in values))
    outer = tuple(a for a in stage.map_axes if a.name in entry and a != group)
    strip = _strip(folded[:-1], folded[-1].extent)
    block = _group_block(group, prod(a.extent for a in outer), held, stage, target)
    rows = tuple(a for a in held if a != vectors[0])
    return _tuned(Routed(stage, routing, _taps(stage, routing), True, outer, group, block, tuple(folded[:-1]), strip,
                         tuple(folded[-1:]), rows, vectors[0]), target)


def _scattered(stage: LinearStage, routing: Routing, entry: frozenset[str], target: Target) -> Routed | None:
    """Routing axes of the result, which is added to: an input gradient."""
    if len(stage.stores) != 1:
        return None
    store = stage.stores[0]
    if not store.accumulate or store.by != "add" or not stage.targets[0].is_affine or store.value != routing.reduce:
        return None
    stage = _merged_held(stage, entry | routing.axes)
    dense, access = stage.loads[routing.dense], stage.targets[0]
    points = [a for a in stage.map_axes if a.name in entry]
    held = [a for a in stage.map_axes if a.name not in entry and a.name not in routing.axes]
    vectors = [a for a in held if access.stride(a.name) == 1]
    lists = stage.reduce_axes or (UNIT,)
    points = points or [UNIT]
    taps = _taps(stage, routing)
    if not vectors or any(dense.stride(a.name) for a in (*points, *(tap for tap, _ in taps))):
        return None  # the dense operand is packed along the axes that are held and folded alone
    if any(a.name not in entry for a in stage.reduce_axes) or prod(a.extent for a in lists) > MAX_LIST:
        return None
    serial = [a for a in points if a.name not in stage.parallel] or points[-1:]
    outer = tuple(a for a in points if a not in serial)
    group = serial[-1]
    strip = _strip(serial[:-1], group.extent)
    rows = tuple(a for a in held if a != vectors[0])
    return _tuned(Routed(stage, routing, taps, False, outer, group, group.extent, tuple(serial[:-1]), strip,
                         tuple(lists), rows, vectors[0]), target)


def _taps(stage: LinearStage, routing: Routing) -> tuple[tuple[Axis, int], ...]:
    number = dict(stage.indices[routing.number].axes)
    return tuple((a, number[a.name]) for a in stage.axes if a.name in routing.axes)


def _merged_held(stage: LinearStage, others: frozenset[str]) -> LinearStage:
    """Held axes that every access walks as one are one. (They need not be parallel: one thread has them all.)"""
    while True:
        held = [a for a in stage.map_axes if a.name not in others]
        pair = next((p for p in pairwise(held) if mergeable(stage, *p)), None)
        if pair is None:
            return stage
        stage = merged(stage, *pair)


def _strip(loops: list[Axis], extent: int) -> int:
    """Steps of the innermost loop that are taken at once."""
    if not loops:
        return 1
    return max(1, min(loops[-1].extent, ceil(LIST_POINTS / max(extent, 1))))


def _group_block(group: Axis, outer: int, held: list[Axis], stage: LinearStage, target: Target) -> int:
    """Groups of one item: their held results stay in L2, and there are items enough for a few threads."""
    each = prod(a.extent for a in held) * stage.insts[stage.reduces[0]].dtype.itemsize
    fits = max(1, target.l2_bytes // TILE_SHARE // max(each, 1))
    block = min(group.extent, fits, max(group.extent * outer // FEW_ITEMS, MIN_GROUPS))
    even = ceil(group.extent / ceil(group.extent / block))
    return min(group.extent, ceil(even / MIN_GROUPS) * MIN_GROUPS) if even > MIN_GROUPS // 2 else even


def _tuned(plan: Routed, target: Target) -> Routed:
    """Registers, and how lists are made."""
    lanes = target.lanes(plan.dtype.itemsize)
    while lanes > 4 and lanes // 2 >= plan.vector.extent:
        lanes //= 2
    plan = replace(plan, lanes=lanes)
    chunk_rows, chunk_vectors = _chunk(plan, target)
    plan = replace(plan, chunk_rows=chunk_rows, chunk_vectors=chunk_vectors)
    plan = replace(plan, strip=_short_strip(plan, target))
    plan = replace(plan, list_lanes=_list_lanes(plan, target))
    return replace(plan, list_block=_list_block(plan, target))


def _short_strip(plan: Routed, target: Target) -> int:
    """The strip, shortened until what its lists reach stays in L1 beside them."""
    strip, lists = plan.strip, plan.group_block * plan.lists[-1].extent * (OFFSET_BYTES + plan.dtype.itemsize)
    while plan.folded and strip > 1:
        reached = _slice_bytes(replace(plan, strip=strip), plan.chunk_rows, plan.chunk_vectors, plan.lists[-1].extent)
        if reached + lists * strip <= target.l1_bytes * 7 // 8:
            break
        strip -= 1
    return strip


def _list_block(plan: Routed, target: Target) -> int:
    """Points of the last list axis in one list: what its entries reach, and the lists, should stay in L1 together."""
    extent = plan.lists[-1].extent
    if not plan.folded or plan.strip > 1:
        return extent
    entry = OFFSET_BYTES + plan.dtype.itemsize
    blocks = 1
    while extent // blocks > SHORT_LIST:
        block = ceil(extent / blocks)
        reached = _slice_bytes(plan, plan.chunk_rows, plan.chunk_vectors, block)
        if reached + plan.group_block * block * entry <= target.l1_bytes * 7 // 8:
            break
        blocks += 1
    return ceil(extent / blocks)


def _list_lanes(plan: Routed, target: Target) -> int:
    """Entries listed at a time: whole vectors where they fill well, one by one elsewhere."""
    lanes = target.lanes(plan.dtype.itemsize)
    along = plan.group_block if plan.folded else plan.lists[-1].extent
    if not target.compress or along < lanes or plan.tap_count > lanes:
        return 0
    return lanes if not plan.folded or 2 * plan.strip * plan.lists[-1].extent >= lanes else 0


def _chunk(plan: Routed, target: Target) -> tuple[int, int]:
    """Registers held at a time: what one pass reads of the dense operand should stay in L1, and the FMA latency be covered."""
    budget = target.rows * target.vectors
    vectors = ceil(plan.vectors / ceil(plan.vectors / min(plan.vectors, budget)))
    rows = plan.rows[-1].extent if plan.rows else 1
    best, block = 1, min(plan.lists[-1].extent, SHORT_LIST)
    for count in range(1, rows + 1):
        if rows % count or count * vectors > budget:
            continue
        if best * vectors >= ENOUGH and _slice_bytes(plan, count, vectors, block) > target.l1_bytes * 3 // 4:
            break
        best = count
    return best, vectors


def _slice_bytes(plan: Routed, rows: int, vectors: int, block: int) -> int:
    """What lists over ``block`` points of the last list axis, and a strip, reach of the dense operand, for a chunk of held
    results."""
    size = plan.dtype.itemsize
    width = vectors * plan.lanes
    if plan.packs:
        return prod(a.extent for a in plan.lists) * rows * width * size
    apart = plan.dense.stride(plan.rows[-1].name) if plan.rows else 0
    line, tall = width, rows
    reach = [(a, a.extent) for a in (*plan.lists[:-1], *(a for a, _ in plan.taps))] + [(plan.lists[-1], block)]
    reach += [(a, plan.strip) for a in plan.loops[-1:]]
    for axis, extent in reach:
        stride = plan.dense.stride(axis.name)
        if apart and stride >= apart:
            tall += stride // apart * (extent - 1)
        else:
            line += stride * (extent - 1)
    return line * tall * size
