"""A Program under revision: kernels whose parameters are named by the buffers they are bound to.

Passes over Programs edit a Draft and turn it back. With parameters named ``b<number>`` two kernels can be merged by
joining their instructions; ``finish`` gives parameters and axes canonical names again, so that equal kernels are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from leptonc.errors import IRError
from leptonc.frames import joined
from leptonc.ir.graph import Literal, Loc
from leptonc.ir.kernel import (
    Apply,
    Axis,
    AxisIndex,
    Buffer,
    Call,
    Index,
    Inst,
    Kernel,
    Load,
    Opaque,
    Param,
    Program,
    Reduce,
    Stage,
    Store,
    operands,
)
from leptonc.ir.types import TensorType
from leptonc.ir.verify.known import Known
from leptonc.lazy import cached_property


@dataclass(frozen=True)
class Task:
    """A kernel with parameters named by buffer."""

    kernel: Kernel
    loc: Loc | None = None

    @cached_property
    def reads(self) -> tuple[int, ...]:
        return tuple(buffer_number(p.name) for p in self.kernel.params if p.role != "out")

    @cached_property
    def writes(self) -> tuple[int, ...]:
        return tuple(buffer_number(p.name) for p in self.kernel.params if p.role != "in")

    @cached_property
    def work(self) -> int:
        """Instructions that compute: what stays of a body when it is merged with another."""
        return sum(isinstance(i, Apply | Reduce) for s in self.kernel.stages for i in s.insts)

    def joined_loc(self, other: Task) -> Loc | None:
        """The line of a kernel that does what both do, above all this one; constants and copies have no name in it."""
        return joined(self.loc, other.loc) if other.work else self.loc

    @cached_property
    def stage(self) -> Stage | None:
        """The only stage of a kernel that fusion can work on."""
        return self.kernel.stages[0] if len(self.kernel.stages) == 1 and not self.kernel.outer else None

    @cached_property
    def loops(self) -> tuple[Task, ...]:
        """Each of the loops that fusion can work on, by itself: one, or the copies that a concatenation is made of."""
        if self.stage is not None:
            return (self,)
        stages = self.kernel.stages if _is_joined(self.kernel) else ()
        return tuple(Task(replace(self.kernel, params=_touched(self.kernel, stage), stages=(stage,)), self.loc) for stage in stages)

    def with_loop(self, n: int, kernel: Kernel, loc: Loc | None) -> Task | None:
        """The task with one of its loops replaced; None where others see a buffer of it under another shape."""
        if len(self.loops) == 1:
            return Task(kernel, loc)
        stages = (*self.kernel.stages[:n], *kernel.stages, *self.kernel.stages[n + 1:])
        params = {p.name: p for k, loop in enumerate(self.loops) if k != n for p in loop.kernel.params}
        if any(params.get(p.name, p) != p for p in kernel.params):
            return None
        joined = sorted({**params, **{p.name: p for p in kernel.params}}.values(), key=lambda p: p.role != "in")
        return Task(replace(kernel, params=tuple(joined), stages=stages), loc)


def _is_joined(kernel: Kernel) -> bool:
    """Whether its stages make a part each of one result, and together all of it once: what updates some places does not."""
    made = [p for p in kernel.params if p.role != "in"]
    if kernel.outer or kernel.locals or len(made) != 1 or made[0].role != "out" or made[0].init is not None:
        return False
    if any(made[0].name in stage.loads for stage in kernel.stages):
        return False
    stores = [store for stage in kernel.stages for store in stage.stores]
    if len(stores) != len(kernel.stages) or any(s.accumulate or s.masked or any(i.values for i in s.index) for s in stores):
        return False
    return (not any(stage.reduce_axes for stage in kernel.stages)
            and sum(prod(a.extent for a in stage.axes) for stage in kernel.stages) == made[0].type.size)


def _touched(kernel: Kernel, stage: Stage) -> tuple[Param, ...]:
    names = {*stage.loads, *(s.buffer for s in stage.stores)}
    return tuple(p for p in kernel.params if p.name in names)


def buffer_name(number: int) -> str:
    return f"b{number}"


def buffer_number(name: str) -> int:
    return int(name[1:])


class Draft:
    """Buffers and tasks, editable; tasks are in an order that respects dependences."""

    def __init__(self, program: Program):
        self.program = program
        self.buffers: list[Buffer] = list(program.buffers)
        self.tasks: list[Task] = [_task(c) for c in program.calls]
        self._calls = [(task, call) for task, call in zip(self.tasks, program.calls)]

    def temp(self, type: TensorType) -> int:
        self.buffers.append(Buffer(type, "temp"))
        return len(self.buffers) - 1

    def constant(self, literal: Literal) -> int:
        self.buffers.append(Buffer(literal.type, "constant", literal=literal))
        return len(self.buffers) - 1

    def finish(self) -> Program:
        """The Program, without buffers that nothing uses; the one that came in, if nothing was changed."""
        if self._is_unchanged and _finished.get(self.program):
            return self.program
        used = set(self.program.inputs) | set(self.program.outputs)
        for task in self.tasks:
            used |= {buffer_number(p.name) for p in task.kernel.params}
        kept = [n for n in range(len(self.buffers)) if n in used]
        number = {old: new for new, old in enumerate(kept)}
        canonical = _Equal()
        unchanged = {id(task.kernel): call for task, call in self._calls if len(task.kernel.params) == len(call.kernel.params)}
        calls = []
        for task in self.tasks:
            args = tuple([number[buffer_number(p.name)] for p in task.kernel.params])
            before = unchanged.get(id(task.kernel))
            kernel = canonical.first(task.kernel, None if before is None else before.kernel)
            same = before is not None and before.kernel is kernel and before.args == args and before.loc is task.loc
            calls.append(before if before is not None and same else Call(kernel, args, task.loc))
        buffers = tuple(_renumbered(self.buffers[n], number) for n in kept)
        made = replace(self.program, buffers=buffers, calls=tuple(calls),
                       inputs=tuple(number[n] for n in self.program.inputs),
                       outputs=tuple(number[n] for n in self.program.outputs))
        _finished.set(made, True)
        return made

    @property
    def _is_unchanged(self) -> bool:
        """Whether the very same tasks and buffers are there, in the same order."""
        tasks, buffers = [task for task, _ in self._calls], self.program.buffers
        return _are_same(self.tasks, tasks) and _are_same(self.buffers, buffers)


def _are_same(found: Sequence[object], wanted: Sequence[object]) -> bool:
    return len(found) == len(wanted) and all(a is b for a, b in zip(found, wanted))


_tasks = Known[Call, Task]()
"""Most calls pass through most passes as they are."""
_canonically_named = Known[Kernel, bool]()
_patterns = Known[Kernel, Kernel]()
"""Kernels that ``rename_as`` made, and what of."""
_finished = Known[Program, bool]()
"""Programs that ``finish`` made: no buffer is without use, equal kernels are one."""


def _task(call: Call) -> Task:
    return _tasks.get(call) or _tasks.set(call, Task(bind(call.kernel, call.args), call.loc))


class _Equal:
    """The first of kernels that are equal under canonical names. One that was asked for already is known by its identity: to name
    it, and to hash it, takes a look at all of it."""

    def __init__(self) -> None:
        self._found: dict[Kernel, Kernel] = {}
        self._asked: dict[int, tuple[Kernel, Kernel]] = {}  # with what is asked for, so that it lives

    def first(self, bound: Kernel, before: Kernel | None) -> Kernel:
        """``before``: what was bound to make the kernel, if that is known."""
        pattern = _patterns.get(bound) or bound
        key = pattern if before is None else before
        asked = self._asked.get(id(key))
        if asked is None:
            kernel = unbind(pattern, before)
            asked = self._asked[id(key)] = key, self._found.setdefault(kernel, kernel)
        return asked[1]


def join_producers(draft: Draft, join: Callable[[Task, Task, str], Task | None]) -> None:
    """Joins tasks with the ones that make a temporary which they alone read: ``join`` is asked for the task that takes the place of
    the reader, given producer, reader and the temporary's name, and may decline. The producer then runs later than it did: nothing
    has written what it reads in the meantime, for buffers are written once, before they are read."""
    tasks: dict[int, Task] = dict(enumerate(draft.tasks))
    producer = {w: n for n, task in tasks.items() for w in task.writes}
    readers: dict[int, set[int]] = {}
    for n, task in tasks.items():
        for buffer in task.reads:
            readers.setdefault(buffer, set()).add(n)
    for n, task in list(tasks.items()):
        for buffer in task.reads:
            p = producer.get(buffer)
            if p is None or p not in tasks or readers[buffer] != {n} or draft.buffers[buffer].kind != "temp":
                continue
            joined = join(tasks[p], task, buffer_name(buffer))
            if joined is not None:
                tasks[n] = joined
                del tasks[p]
                break
    draft.tasks = list(tasks.values())


def _renumbered(buffer: Buffer, number: Mapping[int, int]) -> Buffer:
    return buffer if buffer.donated is None else replace(buffer, donated=number[buffer.donated])


def bind(kernel: Kernel, args: tuple[int, ...]) -> Kernel:
    """Parameters named by the buffers they are bound to. A buffer bound twice stays one parameter."""
    names = {p.name: buffer_name(n) for p, n in zip(kernel.params, args, strict=True)}
    bound = rename(kernel, names, {})
    params: dict[str, Param] = {}
    for param in bound.params:
        if param.name in params and params[param.name].type != param.type:
            # lowering copies such an operand first, so that a name has one shape
            raise IRError(f"{kernel.name}: buffer {param.name} bound twice under different shapes")
        params.setdefault(param.name, param)
    return bound if len(params) == len(bound.params) else replace(bound, params=tuple(params.values()))


def unbind(kernel: Kernel, before: Kernel | None = None) -> Kernel:
    """Canonical names: a0 ... for operands, r0 ... for results, i0 ... and k0 ... for axes. ``before``: what was bound to make
    the kernel; that itself, if it had them."""
    if before is not None and _has_canonical_names(before):
        return before
    return rename(kernel, *_canonical(kernel))


def _has_canonical_names(kernel: Kernel) -> bool:
    known = _canonically_named.get(kernel)
    if known is None:
        known = _canonically_named.set(kernel, all(a == b for names in _canonical(kernel) for a, b in names.items()))
    return known


def _canonical(kernel: Kernel) -> tuple[dict[str, str], dict[str, str]]:
    """The canonical names of parameters and axes."""
    names, counts = {}, {"a": 0, "r": 0}
    for param in kernel.params:
        letter = "a" if param.role == "in" else "r"
        names[param.name] = f"{letter}{counts[letter]}"
        counts[letter] += 1
    axes: dict[str, str] = {}
    for axis in (*kernel.outer, *(a for s in kernel.stages for a in s.axes)):
        axes.setdefault(axis.name, f"{'k' if axis.reduce else 'i'}{len(axes)}")
    return names, axes


def rename(kernel: Kernel, buffers: Mapping[str, str], axes: Mapping[str, str]) -> Kernel:
    """The kernel with buffers and axes renamed."""
    if isinstance(kernel, Opaque):
        return kernel.with_names(buffers)
    # built field by field, as all below: this runs over all code in each pass, and dataclasses.replace is slow
    def params(of: tuple[Param, ...]) -> tuple[Param, ...]:
        return tuple([Param(buffers.get(p.name, p.name), p.type, p.role, p.init) for p in of])

    return Kernel(kernel.name, params(kernel.params), tuple([rename_stage(s, buffers, axes) for s in kernel.stages]),
                  tuple([Axis(axes.get(a.name, a.name), a.extent, a.reduce) for a in kernel.outer]), params(kernel.locals))


def rename_as(pattern: Kernel, buffers: Mapping[str, str]) -> Kernel:
    """The kernel on other buffers, different ones for different ones: ``finish`` will know that both are the same."""
    renamed = rename(pattern, buffers, {})
    _patterns.set(renamed, _patterns.get(pattern) or pattern)
    return renamed


def rename_stage(stage: Stage, buffers: Mapping[str, str], axes: Mapping[str, str]) -> Stage:
    renamed: dict[int, tuple[Index, ...]] = {}  # by identity: loads and stores share many, and do so behind this too

    def index(at: tuple[Index, ...]) -> tuple[Index, ...]:
        if not axes:
            return at
        if id(at) not in renamed:
            renamed[id(at)] = tuple([_renamed_index(i, axes) for i in at])
        return renamed[id(at)]

    def inst(i: Inst) -> Inst:
        if isinstance(i, Load):
            return Load(buffers.get(i.buffer, i.buffer), index(i.index), i.dtype, i.pad)
        return AxisIndex(_renamed_index(i.index, axes), i.dtype) if isinstance(i, AxisIndex) and axes else i

    stores = [Store(buffers.get(s.buffer, s.buffer), index(s.index), s.value, s.accumulate, s.masked, s.by) for s in stage.stores]
    return Stage(tuple([Axis(axes.get(a.name, a.name), a.extent, a.reduce) for a in stage.axes]),
                 tuple([inst(i) for i in stage.insts]), tuple(stores))


def _renamed_index(index: Index, axes: Mapping[str, str]) -> Index:
    if not index.axes:
        return index
    return Index(tuple(sorted([(axes.get(a, a), c) for a, c in index.axes])), index.offset, index.values, index.div)


def index_at(index: Index, place: Mapping[str, Index]) -> Index:
    """The index with some axes replaced by expressions."""
    total = Index(offset=index.offset, values=index.values)
    for axis, coeff in index.axes:
        total = total + place.get(axis, Index(((axis, 1),))) * coeff
    return total.exact_div(index.div) if index.div != 1 else total


def inst_at(inst: Inst, place: Mapping[str, Index]) -> Inst:
    """The instruction with some axes replaced by expressions."""
    if isinstance(inst, Load):
        return replace(inst, index=tuple(index_at(i, place) for i in inst.index))
    return replace(inst, index=index_at(inst.index, place)) if isinstance(inst, AxisIndex) else inst


def renumber(inst: Inst, number: Mapping[int, int]) -> Inst:
    """The instruction with operand numbers replaced, those inside indices too."""
    if type(inst) is Apply:  # most are
        args = tuple([number[n] for n in inst.args])
        return inst if args == inst.args else Apply(inst.op, args, inst.dtype)
    if all(number[n] == n for n in operands(inst)):
        return inst
    match inst:
        case Reduce():
            return Reduce(inst.kind, number[inst.arg], inst.dtype)
        case Load():
            return replace(inst, index=tuple(i.renumbered(number) for i in inst.index))
        case AxisIndex():
            return replace(inst, index=inst.index.renumbered(number))
    return inst


def renumber_store(store: Store, number: Mapping[int, int]) -> Store:
    index = store.index
    if any([i.values for i in index]):
        index = tuple(i.renumbered(number) for i in index)
    elif number[store.value] == store.value:
        return store
    return Store(store.buffer, index, number[store.value], store.accumulate, store.masked, store.by)


def tidy(stage: Stage, start: Stage | None = None) -> Stage:
    """Equal instructions once, unused ones gone. ``start``: a stage whose instructions are the first ones; if it is tidy, they are
    not looked at again, so that a body that grows merge by merge is not hashed from its beginning each time."""
    known = {} if start is None else start.numbers
    if start is None or len(known) < len(start.insts):
        known, insts = {}, []
    else:
        insts = list(start.insts)
    seen = dict(known)
    number: dict[int, int] = {n: n for n in range(len(insts))}
    for n in range(len(insts), len(stage.insts)):
        moved = renumber(stage.insts[n], number)
        number[n] = seen.setdefault(moved, len(insts))
        if number[n] == len(insts):
            insts.append(moved)
    stores = tuple([renumber_store(s, number) for s in stage.stores])
    needed = _most_needed(insts, stores)
    if len(needed) == len(insts):
        done = Stage(stage.axes, tuple(insts), stores)
        done.__dict__.update(numbers=seen, is_distinct=True)  # what the cached properties would count again
        return done
    return _only(stage, insts, stores, needed)


def pruned(stage: Stage, stores: tuple[Store, ...]) -> Stage:
    """A stage with some of its stores alone, tidy. Where no two instructions are equal there is nothing to look for in the rest."""
    if not stage.is_distinct:
        return tidy(Stage(stage.axes, stage.insts, stores))
    return _only(stage, stage.insts, stores, _needed(stage.insts, stores))


def _only(stage: Stage, insts: Sequence[Inst], stores: tuple[Store, ...], needed: set[int]) -> Stage:
    order = sorted(needed)
    number = {old: new for new, old in enumerate(order)}
    kept = tuple([renumber(insts[n], number) for n in order])
    done = Stage(_axes_of(stage, kept), kept, tuple([renumber_store(s, number) for s in stores]))
    done.__dict__["is_distinct"] = True
    return done


def _axes_of(stage: Stage, kept: Sequence[Inst]) -> tuple[Axis, ...]:
    """Its axes, without the folded ones if nothing is folded any more: each point would be written once for each of theirs."""
    folds = any(axis.reduce for axis in stage.axes) and any(isinstance(i, Reduce) for i in stage.insts)
    if not folds or any(isinstance(i, Reduce) for i in kept):
        return stage.axes
    return tuple(axis for axis in stage.axes if not axis.reduce)


def _needed(insts: Sequence[Inst], stores: Sequence[Store]) -> set[int]:
    """The instructions that the stores depend on."""
    needed = set[int]()
    work = [v for s in stores for v in (s.value, *(v for i in s.index for v, _ in i.values))]
    while work:
        n = work.pop()
        if n not in needed:
            needed.add(n)
            inst = insts[n]
            work += inst.args if type(inst) is Apply else operands(inst)
    return needed


def _most_needed(insts: Sequence[Inst], stores: Sequence[Store]) -> set[int]:
    """The same, sooner where there are few others."""
    needed = {s.value for s in stores} | {v for s in stores for i in s.index for v, _ in i.values}
    for n in range(len(insts) - 1, -1, -1):
        if n in needed:
            inst = insts[n]
            needed.update(inst.args if type(inst) is Apply else operands(inst))
    return needed
