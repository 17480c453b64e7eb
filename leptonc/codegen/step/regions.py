"""The bytes that a unit touches, as functions of its items: from what its stages load and store, and from its panels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from leptonc.codegen.contraction.emit import panels_of
from leptonc.codegen.contraction.panels import Panels
from leptonc.codegen.contraction.plan import Contraction
from leptonc.codegen.loops.access import Access, row_major
from leptonc.codegen.loops.linear import LinearStage
from leptonc.codegen.loops.schedule import Nest
from leptonc.codegen.prefix.plan import BASES, PREFIXES, TOTALS, PrefixPlan
from leptonc.codegen.routed.plan import Routed
from leptonc.codegen.sorting.plan import SortPlan
from leptonc.codegen.step.step import PANELS, Digit, Region, Term
from leptonc.ir.affine import distinct_axes, span
from leptonc.ir.kernel import Axis, Index, Kernel, Load, Store
from leptonc.memory import aligned

# Digits of item numbers


def nest_digits(nest: Nest) -> tuple[Digit, ...]:
    blocks = (Digit(nest.vector.name, nest.vector.extent, nest.block),) if nest.block and nest.vector else ()
    squares = (Digit(nest.turned.name, nest.turned.extent, nest.lanes),) if nest.turned else ()
    return (*axis_digits(nest.parallel), *blocks, *squares)


def contraction_digits(plan: Contraction) -> tuple[Digit, ...]:
    row = Digit(plan.row.name, plan.row.extent, plan.rows * plan.row_block)
    col = Digit(plan.col.name, plan.col.extent, plan.width * plan.col_block)
    return (*axis_digits(plan.outer), *((row, col) if plan.columns_first else (col, row)))


def packing_digits(panels: Panels) -> tuple[Digit, ...]:
    return (*axis_digits(panels.outer), Digit(panels.axis.name, panels.tiles * panels.width, panels.width))


def routed_digits(plan: Routed) -> tuple[Digit, ...]:
    return (*axis_digits(plan.outer), Digit(plan.group.name, plan.group.extent, plan.group_block))


def routed_packing_digits(plan: Routed) -> tuple[Digit, ...]:
    return (*axis_digits(plan.lists[:-1]), Digit(plan.lists[-1].name, plan.lists[-1].extent, plan.lanes))


def sort_digits(plan: SortPlan) -> tuple[Digit, ...]:
    """Rows, or as many side by side as there are lanes; none if there is nothing to write."""
    outer, _, inner = plan.kernel.shape
    by = {plan.across: plan.lanes}
    if 0 in plan.kernel.outputs[0].type.shape:
        return (Digit("o", 0),)
    return Digit("o", outer, by.get("o", 1)), Digit("i", inner, by.get("i", 1))


def prefix_digits(plan: PrefixPlan, phase: str) -> tuple[Digit, ...]:
    """Rows, the blocks of them if they are shared, and what is side by side; none if there is nothing to write."""
    outer, n, inner = plan.kernel.shape
    if 0 in (outer, n, inner):
        return (Digit("o", 0),)
    blocks = (Digit("b", plan.blocks),) if plan.shared and phase != BASES else ()
    return Digit("o", outer), *blocks, Digit("i", inner, plan.columns)


def axis_digits(axes: Iterable[Axis]) -> tuple[Digit, ...]:
    return tuple(Digit(axis.name, axis.extent) for axis in axes)


# Regions


def stage_regions(kernel: Kernel, linear: LinearStage, digits: Iterable[Digit], number: int = 0,
                  left_out: Iterable[int] = ()) -> Iterator[Region]:
    """What a stage loads and stores of the kernel's parameters; ``left_out``: loads that read something else instead."""
    split = frozenset(d.axis for d in digits)
    params = {p.name for p in kernel.params}
    for n, access in linear.loads.items():
        inst = linear.insts[n]
        assert isinstance(inst, Load)
        if inst.buffer in params and n not in left_out:
            yield _region(kernel, linear, inst, access, split, False, number)
    for store, access in zip(linear.stores, linear.targets):
        if store.buffer in params:
            yield _region(kernel, linear, store, access, split, True, number)
            if store.accumulate:
                yield _region(kernel, linear, store, access, split, False, number)


def _region(kernel: Kernel, linear: LinearStage, inst: Load | Store, access: Access, split: frozenset[str], write: bool,
            number: int) -> Region:
    """Where an access is affine, its terms; of a dimension whose index is divided or made at run time, all of it. Where it is
    guarded along a dimension that items do not share, what of that it reaches."""
    buffer = kernel.buffer(inst.buffer)
    size, extents = buffer.type.dtype.itemsize, {a.name: a.extent for a in (*linear.outer, *linear.axes)}
    disjoint = isinstance(inst, Store) and not inst.accumulate and (
        any(i.values for i in inst.index) or bool(access.checks and _tells_items(kernel, inst, split, extents)))
    offset, strides, terms = access.offset, dict(access.strides), list[Term]()
    for index, extent, step in zip(inst.index, buffer.type.shape, row_major(buffer.type.shape)):
        if index.values or index.div != 1:
            terms.append(Term("", step * size, extent))
            if index.div == 1:
                whole_axes = extents | _extents_of(kernel, inst)  # of those that were merged, too
                if any(whole_axes.get(axis, 1) != 1 for axis, _ in index.axes):
                    return replace(whole(kernel, inst.buffer, write, number), disjoint=disjoint)
                offset -= step * index.offset
            continue
        own = {axis: coeff for axis, coeff in index.axes if axis in extents}
        moving = Index(tuple(own.items()), index.offset)
        reached = span(moving, extents) if any(c.index == moving and c.extent == extent for c in access.checks) else None
        alone = split.isdisjoint(own) and all(strides.get(axis) == coeff * step for axis, coeff in own.items())
        if alone and reached is not None and min(extents.values(), default=1):
            strides = {axis: stride for axis, stride in strides.items() if axis not in own}
            low, high = max(reached.low, 0), min(reached.high, extent - 1)
            offset += step * (low - index.offset)
            terms.append(Term("", step * size, max(high - low + 1, 0)))
    affine = [Term(axis, stride * size, extents[axis]) for axis, stride in strides.items()]
    return Region(inst.buffer, write, offset * size, (*affine, *terms), size, number, bool(access.checks), disjoint)


def _tells_items(kernel: Kernel, store: Store, split: frozenset[str], extents: dict[str, int]) -> bool:
    """Whether the element says which item writes it: bytes do not, where what guards leave out lies on others' elements."""
    own = _extents_of(kernel, store)
    moving = {axis for axis in split if extents.get(axis, 2) > 1}
    return all(own.get(axis, 0) == extents.get(axis) for axis in moving) and moving <= distinct_axes(store.index, own)


def _extents_of(kernel: Kernel, inst: Load | Store) -> dict[str, int]:
    """The axes that are open where an instruction or a store stands."""
    stage = next((s for s in kernel.stages if any(one is inst for one in (*s.insts, *s.stores))), None)
    return {a.name: a.extent for a in (*kernel.outer, *(stage.axes if stage else ()))}


def whole(kernel: Kernel, buffer: str, write: bool, number: int = 0) -> Region:
    """Nothing is known but the buffer."""
    return Region(buffer, write, 0, (), kernel.buffer(buffer).type.nbytes, number)


def contraction_regions(kernel: Kernel, plan: Contraction, digits: Iterable[Digit], panels_at: int = 0,
                        number: int = 0) -> Iterator[Region]:
    """As its stage's, but packed operands are read from their panels."""
    packed = panels_of(plan)
    yield from stage_regions(kernel, plan.stage, digits, number, {panels.side.load for panels in packed.values()})
    for panels in packed.values():
        size = panels.nbytes
        yield Region(PANELS, False, panels_at, (), size, number)
        panels_at += aligned(size)


def packing_regions(panels: Panels, offset: int) -> tuple[Region, ...]:
    """An item reads its columns of the operand and writes a panel, zeros at the edge."""
    plan, size = panels.plan, panels.side.dtype.itemsize
    axes = (*panels.outer, panels.axis, *plan.stage.reduce_axes)
    access = plan.stage.loads[panels.side.load]
    read = Region(panels.side.buffer, False, access.offset * size, _terms(access, axes, size), size)
    tile = Term(panels.axis.name, plan.depth * panels.dtype.itemsize, panels.tiles * panels.width)
    return read, Region(PANELS, True, offset, (*_flat(panels.outer, tile.stride * tile.extent), tile), tile.stride)


def _terms(access: Access, axes: Sequence[Axis], size: int) -> tuple[Term, ...]:
    return tuple(Term(a.name, access.stride(a.name) * size, a.extent) for a in axes if access.stride(a.name))


def _flat(axes: Sequence[Axis], step: int) -> tuple[Term, ...]:
    """Terms that count the points of ``axes`` in steps of ``step`` bytes, the last axis fastest."""
    out = list[Term]()
    for axis in reversed(axes):
        out.append(Term(axis.name, step, axis.extent))
        step *= axis.extent
    return tuple(reversed(out))


def routed_packing_regions(plan: Routed) -> tuple[Region, ...]:
    size = plan.dtype.itemsize
    read = Region(plan.dense_buffer, False, plan.dense.offset * size,
                  _terms(plan.dense, (*plan.lists, *plan.rows, plan.vector), size), size)
    point = plan.row_count * plan.padded * size
    return read, Region(PANELS, True, 0, _flat(plan.lists, point), point)


def routed_regions(kernel: Kernel, plan: Routed, clear: int) -> Iterator[Region]:
    """``clear``: elements of the result that each item sets to zero, one item's behind the other's."""
    size = plan.dtype.itemsize
    if clear:
        axes = (*plan.outer, Axis(plan.group.name, 1))
        yield Region(plan.stage.stores[0].buffer, True, 0, _flat(axes, clear * size), clear * size)
    yield from stage_regions(kernel, plan.stage, routed_digits(plan), 0, {plan.routing.dense} if plan.packs else ())
    if plan.packs:
        yield Region(PANELS, False, 0, (), plan.panel_elements * size)


def sort_regions(plan: SortPlan, digits: Iterable[Digit]) -> Iterator[Region]:
    """Of every parameter an item's rows."""
    split = {d.axis for d in digits if d.extent}
    for param in plan.kernel.params if split else ():
        outer, length, inner = param.type.shape
        size = param.type.dtype.itemsize
        rows = Term("o", length * inner * size, outer)
        columns = (Term("", inner * size, length), Term("i", size, inner)) if inner > 1 else ()
        yield Region(param.name, param.role == "out", 0, (rows, *columns), size if inner > 1 else length * size)


def prefix_regions(plan: PrefixPlan, phase: str) -> Iterator[Region]:
    """Of operand and result an item's part of rows, and what its blocks begin with."""
    outer, n, inner = plan.kernel.shape
    if 0 in (outer, n, inner):
        return
    size, base = plan.kernel.dtype.itemsize, plan.base.itemsize
    side = Term("i", size, inner)
    along = (Term("b", plan.block * inner * size, plan.blocks), Term("", inner * size, plan.block)) if plan.shared else (
        Term("", inner * size, n),)
    ragged = plan.shared and n % plan.block > 0  # the last block ends before its rows do
    source, target = plan.kernel.params
    row = Term("o", n * inner * size, outer)
    if phase != BASES:
        yield Region(source.name, False, 0, (row, *along, side), size, guarded=ragged)
    if phase == PREFIXES:
        yield Region(target.name, True, 0, (row, *along, side), size, guarded=ragged, disjoint=ragged)
    if plan.shared:
        own = Term("" if phase == BASES else "b", inner * base, plan.blocks)
        terms = (Term("o", plan.blocks * inner * base, outer), own, Term("i", base, inner))
        yield from (Region(PANELS, write, 0, terms, base) for write in (False, True)
                    if (write and phase != PREFIXES) or (not write and phase != TOTALS))


def distinct(regions: Iterable[Region]) -> tuple[Region, ...]:
    """Each once, without terms that do not move."""
    return tuple(dict.fromkeys(map(_moving, regions)))


def _moving(region: Region) -> Region:
    terms = tuple([t for t in region.terms if t.stride and t.extent != 1])
    return region if len(terms) == len(region.terms) else replace(region, terms=terms)
