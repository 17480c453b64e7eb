"""What fusion asks of a kernel's body: what it costs to do it again, what it reads, how it uses what it reads."""

from __future__ import annotations

from leptonc.ir.kernel import Apply, AxisIndex, Kernel, Load, Param, Reduce, Stage
from leptonc.ir.scalar import SCALARS
from leptonc.ir.structure import WITHIN, converted_load, find_routing, made_of, product_sum, routed_inputs
from leptonc.lazy import remembered
from leptonc.passes.loops.draft import pruned
from leptonc.passes.loops.merge import loads_of

SMALL = 8  # times smaller than a result is what an operand of it costs little to read


def is_cheap(stage: Stage, most: int) -> bool:
    """Whether a body is so many instructions at most, none of which is a function or a division."""
    applied = [i for i in stage.insts if isinstance(i, Apply)]
    return len(applied) <= most and all(i.op not in SCALARS or SCALARS[i.op].cost == 1 for i in applied)


def part_of(stage: Stage, buffer: str) -> Stage:
    """What of a stage without reductions makes one of its results."""
    if len(stage.stores) == 1:
        return stage
    return pruned(stage, tuple(s for s in stage.stores if s.buffer == buffer))


def large(kernel: Kernel, stage: Stage, result: str) -> list[Param]:
    """Buffers that a stage reads and that are not much smaller than its result."""
    least = kernel.buffer(result).type.size / SMALL
    return [p for p in kernel.params if p.name in stage.loads and p.type.size >= least]


def is_routed_value(stage: Stage, buffer: str) -> bool:
    """Whether the buffer is read for the value of a one-hot factor alone, which is computed once per element."""
    routing = find_routing(stage.insts, stage.axes)
    if routing is None:
        return False
    return all(n in routed_inputs(stage.insts, routing) and n != routing.index for n in loads_of(stage, buffer))


def is_folded(stage: Stage, buffer: str) -> bool:
    """Whether a load of the buffer goes into a Reduce, and so runs at every point of the reduce axes."""
    return not stage.reduce_axes or not _folded(stage).isdisjoint(loads_of(stage, buffer))


@remembered
def _folded(stage: Stage) -> frozenset[int]:
    """The instructions that go into a Reduce."""
    return made_of(stage.insts, (i.arg for i in stage.insts if isinstance(i, Reduce)))


@remembered
def scatters(stage: Stage) -> bool:
    """Whether it stores where other points may store too."""
    return any(s.accumulate or s.masked for s in stage.stores)


def transposes(stage: Stage) -> bool:
    """Whether a stage only moves elements, into another order of axes."""
    load, store = stage.insts[0], stage.stores[0]
    if not is_plain_copy(stage) or not isinstance(load, Load) or len(stage.stores) > 1:
        return False
    wide = {a.name for a in stage.axes if a.extent > 1}
    orders = [[name for index in access.index for name, _ in index.axes if name in wide] for access in (load, store)]
    return orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1])


def is_plain_copy(stage: Stage) -> bool:
    """Whether a body is one load, without padding."""
    first = stage.insts[0]
    return len(stage.insts) == 1 and isinstance(first, Load) and first.pad is None


def is_conversion(stage: Stage) -> bool:
    """Whether a body is one load, without padding, and casts of it."""
    _, first, casts = converted_load(stage.insts, stage.stores[0].value)
    return len(stage.insts) == 1 + len(casts) and isinstance(first, Load) and first.pad is None


def walks_once(stage: Stage, buffer: str) -> bool:
    """Whether no two axes move an index of a buffer's loads together, as those of a convolution do its image's."""
    loads = [stage.insts[n] for n in loads_of(stage, buffer)]
    return all(len(index.axes) <= 1 and not index.values for load in loads if isinstance(load, Load) for index in load.index)


@remembered
def body_cost(stage: Stage) -> int:
    """Of a point's operations."""
    return sum(SCALARS[i.op].cost if i.op in SCALARS else 1 for i in stage.insts if isinstance(i, Apply))


@remembered
def multiplies_gaps(stage: Stage) -> bool:
    """Whether a sum of products would have come to read the gaps of an interior padding. The products with gaps are left out where
    a convolution's gradient is lowered so (``phases``); in a user's own product they count, as 0 * inf does."""
    found = product_sum(stage.insts)
    return found is not None and any(i.div != 1 for load in found.factors for i in load.index)


def compares(stage: Stage) -> bool:
    """Whether a body is one comparison of the number of a point."""
    applied = [inst for inst in stage.insts if isinstance(inst, Apply)]
    return len(applied) == 1 and applied[0].op in WITHIN and any(isinstance(stage.insts[n], AxisIndex) for n in applied[0].args)
