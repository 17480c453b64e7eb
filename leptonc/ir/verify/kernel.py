"""What must hold of a Kernel, whatever program it is in.

Names are declared once; instructions have the dtypes that ``ir.scalar`` says; what is computed at a point depends on that point;
accesses are in range, by their indices or by a pad or a mask; points, and outer points, share no element that one of them writes,
except by adding to it; nothing is read before it is written, and results are written whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from math import prod

from leptonc.ir.affine import UNKNOWN, Interval, disjoint, distinct_axes, divides, is_injective, meet_at_one, span
from leptonc.ir.kernel import (
    COMBINATIONS,
    REDUCTIONS,
    Apply,
    Axis,
    AxisIndex,
    Const,
    Index,
    Inst,
    Kernel,
    Load,
    Param,
    Reduce,
    RowKernel,
    Stage,
    Store,
    operands,
)
from leptonc.ir.scalar import SCALARS, result_dtype
from leptonc.ir.structure import varying_axes
from leptonc.ir.text import print_kernel
from leptonc.ir.types import DType, bool_, i64, is_addressable, is_element
from leptonc.ir.verify.faults import Fault, raised
from leptonc.ir.verify.values import integer_ranges
from leptonc.ir.written import Written
from leptonc.lazy import cached_property

REACH = 1 << 62  # numerators of indices, far from where 64 bits end
ON_INTEGERS = frozenset({
    "add", "sub", "mul", "floordiv", "mod", "pow", "max", "min", "and", "or", "xor", "shl", "shr", "shr_logical", "neg", "abs",
    "sign", "not", "floor", "ceil", "round", "trunc", "isnan", "eq", "ne", "lt", "le", "gt", "ge", "select", "from_bits", "gcd"})
ON_BOOLS = frozenset({"add", "mul", "max", "min", "and", "or", "xor", "not", "isnan", "eq", "ne", "lt", "le", "gt", "ge", "select"})
NOT_ON_FLOATS = frozenset({"and", "or", "xor", "not", "shl", "shr", "shr_logical", "from_bits", "gcd"})


def verify_kernel(kernel: Kernel, after: str | None = None) -> None:
    """Raises IRError with the first fault, naming the pass ``after`` which it was found and showing the lines around it."""
    fault = kernel_fault(kernel)
    if fault is not None:
        raise raised(fault, f"kernel {kernel.name}: ", print_kernel(kernel), after)


def kernel_fault(kernel: Kernel) -> Fault | None:
    """The first thing that is wrong, with its line in the kernel's text."""
    reason = _declaration_fault(kernel) or (next(kernel.faults(), None) if isinstance(kernel, RowKernel) else None)
    if reason is not None:
        return Fault(reason, 0)
    written, line = Written(kernel), 1
    for stage in kernel.stages:
        found = _stage_fault(_Scope(kernel, stage), written)
        if found is not None:
            return Fault(found.reason, line if found.line is None else line + 1 + found.line)
        written.add(stage)
        line += len(stage.insts) + len(stage.stores) + 2
    reason = _outer_fault(kernel) or written.missing()
    return None if reason is None else Fault(reason, 0)


# Declarations


def _declaration_fault(kernel: Kernel) -> str | None:
    names = [p.name for p in (*kernel.params, *kernel.locals)]
    if len(set(names)) < len(names):
        return "a buffer is declared twice"
    for param in (*kernel.params, *kernel.locals):
        reason = _param_fault(param, ("local",) if param in kernel.locals else ("in", "out", "inout"))
        if reason is not None:
            return f"{param.name}: {reason}"
    for axis in kernel.outer:
        if axis.reduce:
            return f"outer axis {axis.name} is folded"
    return None


def _param_fault(param: Param, roles: tuple[str, ...]) -> str | None:
    if param.role not in roles:
        return f"role {param.role!r}; expected {' or '.join(roles)}"
    if not is_addressable(param.type.shape, param.type.dtype):
        return f"{param.type} has a negative extent, or is larger than any memory"
    if param.init is not None and param.role != "out":
        return "only a result has an initial value"
    if param.init is not None and not is_element(param.init, param.type.dtype):
        return f"initial value {param.init!r} is no {param.type.dtype}"
    return None


# Stages


@dataclass(frozen=True)
class _Scope:
    """A stage in its kernel, and what follows from its instructions once these are in order."""

    kernel: Kernel
    stage: Stage

    @cached_property
    def buffers(self) -> dict[str, Param]:
        return {p.name: p for p in (*self.kernel.params, *self.kernel.locals)}

    @cached_property
    def extents(self) -> dict[str, int]:
        return {a.name: a.extent for a in (*self.kernel.outer, *self.stage.axes)}

    @cached_property
    def varies(self) -> tuple[frozenset[str], ...]:
        return varying_axes(self.stage.insts, frozenset(a.name for a in self.stage.reduce_axes))

    @cached_property
    def ranges(self) -> dict[int, Interval]:
        return integer_ranges(self.stage, self.extents)

    @cached_property
    def empty(self) -> frozenset[str]:
        """Axes without a point."""
        return frozenset(name for name, extent in self.extents.items() if extent == 0)

    @cached_property
    def folded(self) -> frozenset[str]:
        """The axes that are gone once the stage's Reduces are made."""
        return frozenset(a.name for a in self.stage.reduce_axes) if self.stage.has_reduce else frozenset()

    @cached_property
    def points(self) -> tuple[str, ...]:
        """The axes over which the stage stores."""
        return tuple(name for name in self.extents if name not in self.folded)

    def span(self, index: Index) -> Interval:
        found = span(index, self.extents, self.ranges if index.values else UNKNOWN)
        assert found is not None, "every integer has a range"
        return found

    def never(self, access: Load | Store) -> bool:
        """Whether there is no point at which an access is made."""
        return bool(self.empty and self.moves(access.index) & self.empty)

    def moves(self, index: tuple[Index, ...]) -> frozenset[str]:
        """The axes along which an access may move."""
        axes = frozenset(axis for i in index for axis, _ in i.axes)
        return axes.union(*(self.varies[v] for i in index for v, _ in i.values))


def _stage_fault(scope: _Scope, written: Written) -> Fault | None:
    """``line``: the row of the stage, instructions first, then stores."""
    stage = scope.stage
    reason = _axes_fault((*scope.kernel.outer, *stage.axes))
    if reason is not None:
        return Fault(reason)
    for n, inst in enumerate(stage.insts):
        reason = _inst_fault(scope, n, inst)
        if reason is not None:
            return Fault(f"%{n}: {reason}", n)
    for n, store in enumerate(stage.stores, len(stage.insts)):
        reason = _store_fault(scope, store)
        if reason is not None:
            return Fault(f"store: {reason}", n)
    folding = _point_fault(scope) if stage.has_reduce else None
    return _reach_fault(scope) or folding or _meeting_fault(scope) or _order_fault(scope, written)


def _axes_fault(axes: tuple[Axis, ...]) -> str | None:
    names = [a.name for a in axes]
    if len(set(names)) < len(names):
        return "an axis is declared twice"
    if any(a.extent < 0 for a in axes) or prod(max(a.extent, 1) for a in axes) > REACH:
        return "an axis has a negative extent, or there are more points than can be counted"
    return None


def _inst_fault(scope: _Scope, n: int, inst: Inst) -> str | None:
    insts = scope.stage.insts
    for k in operands(inst):
        if not 0 <= k < n:
            return f"uses %{k}, which is not made yet"
    match inst:
        case Load():
            return _load_fault(scope, inst)
        case Const():
            return None if is_element(inst.value, inst.dtype) else f"{inst.value!r} is no {inst.dtype}"
        case AxisIndex():
            return _position_fault(scope, inst)
        case Apply(op="cast"):
            return None if len(inst.args) == 1 else "cast takes one operand"
        case Apply():
            return _apply_fault(inst, [insts[k].dtype for k in inst.args])
        case Reduce():
            return _reduce_fault(inst, insts[inst.arg].dtype)


def _has_twin(dtype: DType, wanted: str) -> bool:
    """Whether there is a number of the other kind with the same bits."""
    return dtype.is_float if wanted == "bits" else dtype.kind == "i"


def _as_wide(float_: DType, whole: DType) -> DType | str:
    """The float that bits are said to be, if it is one as wide as they are."""
    return float_ if float_.is_float and float_.bits == whole.bits else f"a float of {whole.bits} bits"


def _apply_fault(inst: Apply, dtypes: list[DType]) -> str | None:
    op = SCALARS.get(inst.op)
    if op is None:
        return f"there is no scalar op {inst.op}"
    if len(dtypes) != op.arity:
        return f"{inst.op} takes {op.arity} operands, has {len(dtypes)}"
    if inst.op == "select" and dtypes.pop(0) != bool_:
        return "the condition of a select is no bool"
    if len(set(dtypes)) != 1:
        return f"operands of {inst.op} are {', '.join(map(str, dtypes))}"
    if op.result in ("bits", "given") and not _has_twin(dtypes[0], op.result):
        return f"{inst.op} takes no {dtypes[0]}"
    result = result_dtype(inst.op, tuple(dtypes)) if op.result != "given" else _as_wide(inst.dtype, dtypes[0])
    if inst.dtype != result:
        return f"{inst.op} of {dtypes[-1]} gives {result}, not {inst.dtype}"
    return None if _takes(inst.op, dtypes[-1]) else f"{inst.op} does not take {dtypes[-1]}"


def _takes(op: str, dtype: DType) -> bool:
    if dtype.is_float:
        return op in ("select", "to_bits") if dtype.is_narrow else op not in NOT_ON_FLOATS
    return op in (ON_BOOLS if dtype.is_bool else ON_INTEGERS)


def _reduce_fault(inst: Reduce, dtype: DType) -> str | None:
    if inst.kind not in REDUCTIONS:
        return f"there is no reduction {inst.kind}"
    number = not dtype.is_bool
    if dtype.is_narrow:
        return f"{dtype} is stored, not computed with"
    taken = {"any": dtype.is_bool, "all": dtype.is_bool, "argmax": number, "argmin": number, "or": dtype.is_int}
    if not taken.get(inst.kind, True):
        return f"{inst.kind} does not take {dtype}"
    result = i64 if inst.kind in ("argmax", "argmin") else dtype
    return None if inst.dtype == result else f"{inst.kind} of {dtype} gives {result}, not {inst.dtype}"


def _position_fault(scope: _Scope, inst: AxisIndex) -> str | None:
    return "an index is no bool" if inst.dtype.is_bool else _index_fault(scope, inst.index)


def _index_fault(scope: _Scope, index: Index) -> str | None:
    """What is wrong with an index wherever it stands, its range apart."""
    for axis, _ in index.axes:
        if axis not in scope.extents:
            return f"there is no axis {axis}"
    if not 1 <= index.div <= REACH:
        return f"division by {index.div}"
    for value, _ in index.values:
        if not scope.stage.insts[value].dtype.is_int:
            return f"%{value} in an index is no integer"
    return None


# Accesses


def _load_fault(scope: _Scope, load: Load) -> str | None:
    reason = _access_fault(scope, load)
    if reason is not None:
        return reason
    dtype = scope.buffers[load.buffer].type.dtype
    if load.dtype != dtype:
        return f"a load of {load.dtype} from {load.buffer}, which is {dtype}"
    if load.pad is not None and not is_element(load.pad, dtype):
        return f"pad {load.pad!r} is no {dtype}"
    return None


def _store_fault(scope: _Scope, store: Store) -> str | None:
    insts = scope.stage.insts
    values = [store.value, *(v for i in store.index for v, _ in i.values)]
    if any(not 0 <= v < len(insts) for v in values):
        return f"into {store.buffer} of a value that is never made"
    reason = _access_fault(scope, store)
    if reason is not None:
        return reason
    param = scope.buffers[store.buffer]
    if param.role == "in":
        return f"{store.buffer} is read-only"
    if insts[store.value].dtype != param.type.dtype:
        return f"of {insts[store.value].dtype} into {store.buffer}, which is {param.type.dtype}"
    return _combination_fault(store, param.type.dtype)


def _combination_fault(store: Store, dtype: DType) -> str | None:
    if store.by not in COMBINATIONS:
        return f"there is no way to accumulate by {store.by}"
    if not store.accumulate and store.by != "add":
        return f"it replaces what is there, and says how to accumulate: by {store.by}"
    if store.accumulate and store.by != "set" and dtype.is_narrow:
        return f"{dtype} is stored, not computed with"
    return None


def _access_fault(scope: _Scope, access: Load | Store) -> str | None:
    if access.buffer not in scope.buffers:
        return f"there is no buffer {access.buffer}"
    type_ = scope.buffers[access.buffer].type
    if len(access.index) != type_.rank:
        return f"{len(access.index)} indices for {type_} {access.buffer}"
    return next((reason for index in access.index for reason in [_index_fault(scope, index)] if reason is not None), None)


# Ranges


def _reach_fault(scope: _Scope) -> Fault | None:
    """What indices reach, once it is known that all instructions are in order."""
    for n, access in enumerate((*scope.stage.insts, *scope.stage.stores)):
        match access:
            case Load():
                reason = _range_fault(scope, access, access.pad is not None)
            case Store():
                reason = _range_fault(scope, access, access.masked)
            case AxisIndex():
                reason = _number_fault(scope, access.index)
            case _:
                continue
        if reason is not None:
            return Fault(f"%{n}: {reason}" if n < len(scope.stage.insts) else f"store: {reason}", n)
    return None


def _number_fault(scope: _Scope, index: Index) -> str | None:
    reached = scope.span(index)
    if index.div != 1 and reached.low < 0:
        return "a number that may be negative is divided"
    return _overflow(index, reached)


def _overflow(index: Index, reached: Interval) -> str | None:
    """Numerators must be far from where 64 bits end; a value alone, which may be anything, must fit."""
    limit = 2 * REACH if index.values else REACH
    return "an index may not fit 64 bits" if reached.low < -limit or reached.high >= limit else None


def _range_fault(scope: _Scope, access: Load | Store, guarded: bool) -> str | None:
    spans = [scope.span(index) for index in access.index]
    for index, reached in zip(access.index, spans):
        if _overflow(index, reached) is not None:
            return _overflow(index, reached)
    if guarded or scope.never(access):
        return None
    for index, reached, extent in zip(access.index, spans, scope.buffers[access.buffer].type.shape):
        if index.div != 1 and not divides(index, scope.extents):
            return f"an index of {access.buffer} is divided by {index.div} and has no pad"
        if not reached.within((extent - 1) * index.div + 1):
            return f"an index of {access.buffer} runs over [{reached.low}, {reached.high}]/{index.div}, outside of [0, {extent})"
    return None


# Points


def _point_fault(scope: _Scope) -> Fault | None:
    """What comes after a Reduce is computed once for all points of the reduce axes, so nothing there may vary along them."""
    stage, after = scope.stage, set[int]()
    for n, inst in enumerate(stage.insts):
        behind = after.intersection(operands(inst))
        if isinstance(inst, Reduce) and behind:
            return Fault(f"%{n}: a reduction of what is made of one", n)
        if isinstance(inst, Reduce) or behind:
            after.add(n)
        if behind and scope.varies[n] & scope.folded:
            return Fault(f"%{n}: varies along an axis that is folded", n)
    for n, store in enumerate(stage.stores):
        if (scope.varies[store.value] | scope.moves(store.index)) & scope.folded:
            return Fault("store: varies along an axis that is folded", len(stage.insts) + n)
    return None


def _meeting_fault(scope: _Scope) -> Fault | None:
    """Points in any order, or at once: no two of them may write one element, but by adding to it."""
    stores, rows = scope.stage.stores, len(scope.stage.insts)
    for n, store in enumerate(stores):
        if not store.accumulate and not _is_injective(scope, store):
            return Fault(f"store: two points may write one element of {store.buffer}", rows + n)
    for (_, a), (n, b) in combinations(enumerate(stores), 2):
        if a.buffer == b.buffer and not _may_both_write(scope, a, b):
            return Fault(f"store: another one may write the same element of {b.buffer} at another point", rows + n)
    return None


def _is_injective(scope: _Scope, store: Store) -> bool:
    """Outer points have local buffers of their own."""
    private = {a.name for a in scope.kernel.outer} if scope.buffers[store.buffer].role == "local" else ()
    extents = {name: 1 if name in private else extent for name, extent in scope.extents.items()} if private else scope.extents
    varies = dict(enumerate(scope.varies)) if any(i.values for i in store.index) else None
    return bool(scope.empty) or is_injective(store.index, scope.points, extents, varies)


def _may_both_write(scope: _Scope, a: Store, b: Store) -> bool:
    """Both add, or they write at the same place of a point one after the other, or nowhere the same."""
    if (a.accumulate and b.accumulate and a.by == b.by != "set") or (a.index == b.index and a.accumulate == b.accumulate):
        return True
    computed = any(i.values for i in (*a.index, *b.index))
    return disjoint(a.index, b.index, scope.extents, values=scope.ranges if computed else UNKNOWN)


def _order_fault(scope: _Scope, written: Written) -> Fault | None:
    """Nothing is read, or added to, before it is written; and not in the stage that writes it."""
    stage = scope.stage
    stored = {s.buffer for s in stage.stores}
    for n, inst in enumerate(stage.insts):
        if isinstance(inst, Load) and scope.buffers[inst.buffer].role != "in":
            if inst.buffer in stored:
                return Fault(f"%{n}: {inst.buffer} is written in the same stage", n)
            if not written.covers(inst, scope.extents, scope.never(inst)):
                return Fault(f"%{n}: {inst.buffer} may be read where nothing has written it", n)
    for n, store in enumerate(stage.stores, len(stage.insts)):
        if store.accumulate and not written.covers(store, scope.extents, scope.never(store)):
            return Fault(f"store: adds to {store.buffer} where nothing has written it", n)
    return None


# Outer points


def _outer_fault(kernel: Kernel) -> str | None:
    """Outer points run in any order, or at once: what one of them writes, no other may touch."""
    moving = [a for a in kernel.outer if a.extent > 1]
    for param in kernel.params if moving else ():
        if param.role == "in":
            continue
        accesses = [(access, stage) for stage in kernel.stages for access in (*stage.insts, *stage.stores)
                    if isinstance(access, Load | Store) and access.buffer == param.name]
        for (one, stage), (other, second) in _pairs(accesses):
            if not (isinstance(one, Load) and isinstance(other, Load)) and not _apart(kernel, one, stage, other, second):
                return f"two outer points may touch one element of {param.name}"
    return None


def _pairs(accesses: list[tuple[Load | Store, Stage]]) -> Iterator[tuple[tuple[Load | Store, Stage], tuple[Load | Store, Stage]]]:
    for n, one in enumerate(accesses):
        for other in accesses[n:]:
            yield one, other


def _apart(kernel: Kernel, one: Load | Store, stage: Stage, other: Load | Store, second: Stage) -> bool:
    """Whether two accesses meet at the same outer point alone."""
    extents, others = ({a.name: a.extent for a in (*kernel.outer, *s.axes)} for s in (stage, second))
    if one is other:
        varies = dict(enumerate(varying_axes(stage.insts, frozenset(a.name for a in stage.reduce_axes))))
        known = distinct_axes(one.index, extents, varies)
        if all(a.name in known for a in kernel.outer if a.extent > 1):
            return True
    return disjoint(one.index, other.index, extents, others) or all(
        meet_at_one(one.index, other.index, a.name, extents, others) for a in kernel.outer if a.extent > 1)
