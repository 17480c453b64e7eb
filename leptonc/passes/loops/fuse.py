"""Fusion of kernels: producers into the loops that read them, consumers onto the loops that feed them.

Three moves, tried consumer by consumer in program order:

* *append*: an elementwise consumer runs where its operand is made (an epilogue, for reductions and contractions);
  the operand is still stored if others read it;
* *inline*: a producer's body replaces the loads of its result, where that repeats little work: some operations on what is read
  there anyway, or instead, are done again rather than their results kept;
* *side by side*: two kernels over the same loops that share loads become one.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from dataclasses import dataclass, replace
from math import prod

from leptonc.ir.kernel import Kernel, Load, Param, Program, Stage
from leptonc.ir.structure import fold_bound, is_contraction, product_sum
from leptonc.ir.types import TensorType
from leptonc.lazy import cached_property
from leptonc.passes.loops.bodies import (
    body_cost,
    compares,
    is_cheap,
    is_conversion,
    is_folded,
    is_plain_copy,
    is_routed_value,
    large,
    multiplies_gaps,
    part_of,
    scatters,
    walks_once,
)
from leptonc.passes.loops.draft import Draft, Task, buffer_name, buffer_number, pruned, tidy
from leptonc.passes.loops.merge import (
    append,
    inline,
    is_map,
    loads_at_axes,
    loads_by_place,
    loads_of,
    side_by_side,
    stores_at_axes,
    with_prefix,
)
from leptonc.passes.loops.overwriting import Versions
from leptonc.passes.loops.ranks import Ranks
from leptonc.passes.loops.views import agreed_views

NEIGHBOURS = 8  # earlier readers of a buffer that a kernel may join: the nearest ones
SEARCH = 256  # kernels looked at when asking whether a merge would close a cycle
RANGES = 200  # merges until ranks are counted anew


@dataclass(frozen=True)
class Fuse:
    """``max_insts``: longest body; ``max_params``: most buffers of one kernel; ``repeat``: how many operations may be
    done again per element read to save a buffer; ``again``: how many where no more memory is read than the buffer."""

    max_insts: int = 160
    max_params: int = 48
    repeat: int = 4
    again: int = 8
    name: str = "fuse"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        draft.tasks = _Fusion(draft, self).run()
        return draft.finish()


class _Facts:
    """What of a task of one stage decides whether it joins others; looked up for many pairs, so found once."""

    def __init__(self, task: Task, stage: Stage):
        self.task, self.stage = task, stage

    @cached_property
    def joins(self) -> bool:
        return not is_contraction(self.stage) and not scatters(self.stage)

    @cached_property
    def space(self) -> tuple[tuple[int, bool], ...]:
        return tuple((axis.extent, axis.reduce) for axis in self.stage.axes)

    @cached_property
    def types(self) -> dict[str, TensorType]:
        return {p.name: p.type for p in self.task.kernel.params}

    @cached_property
    def loads(self) -> frozenset[Load]:
        return loads_by_place(self.stage)


class _Fusion:
    """The dependence graph of tasks under merging. Task numbers are stable; a merged task keeps the consumer's."""

    def __init__(self, draft: Draft, options: Fuse):
        self.draft = draft
        self.options = options
        self.versions = Versions(draft)
        self.tasks: dict[int, Task] = dict(enumerate(draft.tasks))
        self.producer: dict[int, int] = {}
        self.readers: dict[int, list[int]] = {}  # in order: of a thousand readers, those just before a task are found at once
        self.facts: dict[int, _Facts] = {}
        self._parts: dict[tuple[int, str], tuple[Stage, Stage]] = {}
        self.stale = False
        for n, task in self.tasks.items():
            self._link(n, task)
        self.ranks = Ranks(self._order())

    def _link(self, n: int, task: Task) -> None:
        for buffer in task.writes:
            self.producer[buffer] = n
        for buffer in task.reads:
            insort(self.readers.setdefault(buffer, []), n)

    def _unlink(self, n: int, task: Task) -> None:
        for buffer in task.writes:
            del self.producer[buffer]
        for buffer in task.reads:
            readers = self.readers[buffer]
            del readers[bisect_left(readers, n)]

    def run(self) -> list[Task]:
        for n in range(len(self.draft.tasks)):
            while n in self.tasks and self._improve(n):
                if self.stale:
                    self.ranks, self.stale = Ranks(self._order()), False
        return self._ordered()

    def _improve(self, n: int) -> bool:
        """One merge of task ``n`` with something before it; False if there is none."""
        task = self.tasks[n]
        if not task.loops:
            return False
        producers = dict.fromkeys(self.producer[b] for b in task.reads if b in self.producer)
        if task.stage is None:
            return any(self._inline(p, n) for p in producers)
        return (any(self._inline(p, n, free=True) for p in producers) or any(self._append(p, n) for p in producers)
                or any(self._inline(p, n) for p in producers) or self._beside(n))

    # Moves

    def _append(self, p: int, n: int) -> bool:
        """Run task ``n`` in the loops of its producer ``p``."""
        made, task = self.tasks[p], self.tasks[n]
        if not self._may_fit(made, task):
            return False
        consumer, producer = task.stage, made.stage
        if producer is None or consumer is None or not is_map(consumer) or self._is_left_to_readers(p, n):
            return False
        shared = {buffer_name(b) for b in made.writes} & {buffer_name(b) for b in task.reads}
        agreed = agreed_views(made.kernel, task.kernel, shared)
        if agreed is None:
            return False
        first, second = agreed
        producer, consumer = first.stages[0], second.stages[0]
        if not _hands_over(producer, consumer, shared) or scatters(producer) or not self._mergeable(p, n):
            return False
        stage = append(producer, with_prefix(consumer, "c"), shared)
        return stage is not None and self._replace(p, n, first, second, stage)

    def _inline(self, p: int, n: int, free: bool = False) -> bool:
        """Put the body of ``p`` in the place of the loads of a result of it in ``n``. ``free``: only a result that several read
        and that is made of little memory without an operation, as a broadcast number is."""
        made, task = self.tasks[p], self.tasks[n]
        if not self._may_fit(made, task):
            return False
        producer = made.stage
        if producer is None or not is_map(producer):
            return False
        read = [s.buffer for s in producer.stores if buffer_number(s.buffer) in task.reads]
        return any(self._inline_result(p, n, at, buffer, free) for buffer in read for at, loop in enumerate(task.loops)
                   if buffer_number(buffer) in loop.reads)

    def _inline_result(self, p: int, n: int, at: int, buffer: str, free: bool) -> bool:
        """``at``: which of the loops of task ``n``."""
        made, task = self.tasks[p], self.tasks[n].loops[at]
        whole, consumer = made.stage, task.stage
        assert whole is not None and consumer is not None
        if self._is_output(buffer) or made.kernel.buffer(buffer).init is not None:
            return False
        if free and len(self.readers[buffer_number(buffer)]) < 2:
            return False
        producer = self._part(p, whole, buffer)
        if len(producer.stores) > 1 or (free and body_cost(producer)):
            return False
        worth = self._worth(made, producer, task, buffer, free)
        if not stores_at_axes(producer, producer.stores[0]) or not (worth or compares(producer)):
            return False
        agreed = agreed_views(replace(made.kernel, params=_joined_params(made.kernel, made.kernel, producer), stages=(producer,)),
                               task.kernel, {buffer})
        if agreed is None:
            return False
        first, second = agreed
        body = with_prefix(first.stages[0], "p")
        stage = inline(second.stages[0], body, body.stores[0], {p.name: p.type.shape for p in first.params})
        if stage is None or (multiplies_gaps(stage) and not multiplies_gaps(second.stages[0])):
            return False
        if not worth and fold_bound(stage.insts, stage.axes) is None:  # a mask that ends folds is no work, and no memory
            return False
        params = _joined_params(first, second, stage)
        if not self._fits(stage, params):
            return False
        joined = self.tasks[n].with_loop(at, replace(second, params=params, stages=(stage,)), self.tasks[n].joined_loc(made))
        if joined is None:
            return False
        self._swap(n, joined)
        if not self.readers[buffer_number(buffer)]:
            self._drop_result(p, buffer)
        return True

    def _part(self, p: int, whole: Stage, buffer: str) -> Stage:
        """What of a task's body makes a buffer: found once, for it is asked for by each reader."""
        known, part = self._parts.get((p, buffer), (None, whole))
        if known is not whole:
            part = part_of(whole, buffer)
            self._parts[p, buffer] = whole, part
        return part

    def _drop_result(self, p: int, buffer: str) -> None:
        """What nobody reads any more is not stored."""
        made = self.tasks[p]
        assert made.stage is not None
        kept = tuple(s for s in made.stage.stores if s.buffer != buffer)
        if not kept:
            self._unlink(p, self.tasks.pop(p))
            return
        stage = pruned(made.stage, kept)
        params = _joined_params(made.kernel, made.kernel, stage)
        self._swap(p, replace(made, kernel=replace(made.kernel, params=params, stages=(stage,))))

    def _beside(self, n: int) -> bool:
        """Join task ``n`` with an earlier one over the same loops that reads the same elements."""
        task = self.tasks[n]
        for buffer in task.reads:
            readers = self.readers[buffer]
            here = bisect_left(readers, n)
            if any(self._join(other, n) for other in reversed(readers[max(here - NEIGHBOURS, 0):here])):
                return True
        return False

    def _join(self, other: int, n: int) -> bool:
        first, second = self.tasks[other], self.tasks[n]
        if not self._may_fit(first, second):
            return False
        a, b = first.stage, second.stage
        if a is None or b is None or not self._alike(self._facts(other, a), self._facts(n, b)):
            return False
        if self._reaches(other, n) or self._reaches(n, other):
            return False
        stage = side_by_side(a, b)
        if stage is None:
            return False
        params = _joined_params(first.kernel, second.kernel, stage)
        if not self._fits(stage, params):
            return False
        self._unlink(other, self.tasks.pop(other))
        self._joined(other, n)
        self._swap(n, Task(Kernel(_named(first.kernel, second.kernel), params, (stage,)),
                           second.joined_loc(first)))
        return True

    # Conditions

    def _is_left_to_readers(self, p: int, n: int) -> bool:
        """Whether what cheap operations make of the results of a contraction ``p`` is better made by those that read it in turn:
        they do not multiply it, and what it is made of is stored for another reduction anyway. (The mask of a ReLU is smaller.)"""
        task, made = self.tasks[n], self.tasks[p]
        producer, consumer = made.stage, task.stage
        if producer is None or consumer is None or not is_contraction(producer) or not is_cheap(consumer, self.options.again):
            return False
        if any(p.role != "in" and p.type.dtype.is_bool for p in task.kernel.params):
            return False
        readers = [[self.tasks[r].stage for r in self.readers.get(b, ())] for b in task.writes]
        stored = {b for b in made.writes for r in self.readers.get(b, ()) if r != n and _reduces(self.tasks[r])}
        return (set(made.writes) & set(task.reads) <= stored and not any(self._is_output(buffer_name(b)) for b in task.writes)
                and all(stages and not any(s is None or is_contraction(s) for s in stages) for stages in readers))

    def _facts(self, n: int, stage: Stage) -> _Facts:
        found = self.facts.get(n)
        if found is None or found.task is not self.tasks[n]:
            found = self.facts[n] = _Facts(self.tasks[n], stage)
        return found

    def _alike(self, first: _Facts, second: _Facts) -> bool:
        """Whether two tasks run over the same points, read some elements both, and see the buffers they share under one type."""
        if first.space != second.space or not (first.joins and second.joins) or first.loads.isdisjoint(second.loads):
            return False
        types, others = first.types, second.types
        if len(types.keys() | others.keys()) > self.options.max_params:
            return False
        return not any(types.get(name, type) != type for name, type in others.items())

    def _is_output(self, buffer: str) -> bool:
        return self.draft.buffers[buffer_number(buffer)].kind != "temp"

    def _mergeable(self, p: int, n: int) -> bool:
        """No way from ``p`` to ``n`` but the direct one."""
        return not self._reaches(p, n, skip_direct=True)

    def _reaches(self, start: int, goal: int, skip_direct: bool = False) -> bool:
        """Whether ``goal`` depends on ``start``; True also when the search is given up."""
        last, low = self.ranks.bound(goal), self.ranks.low
        seen = {start, goal}
        work = [start]
        while work:
            here = work.pop()
            for buffer in self.tasks[here].writes:
                for reader in self.readers.get(buffer, ()):
                    if reader not in seen:
                        if low[reader] < last:
                            seen.add(reader)
                            work.append(reader)
                    elif reader == goal and not (skip_direct and here == start):
                        return True
            if len(seen) > SEARCH + 1:
                return True
        return False

    def _worth(self, made: Task, producer: Stage, task: Task, buffer: str, free: bool) -> bool:
        """Inlining saves a buffer; it costs the body once more for every further read of an element. ``producer``: what of a task
        makes the buffer."""
        made_stage, consumer, cost = made.stage, task.stage, body_cost(producer)
        assert made_stage is not None and consumer is not None
        users = len(self.readers[buffer_number(buffer)])
        if free:
            return not large(made.kernel, producer, buffer)
        folded = is_folded(consumer, buffer)
        if folded and is_contraction(consumer):
            converts = is_conversion(producer) and walks_once(consumer, buffer) and product_sum(consumer.insts) is not None
            return is_plain_copy(producer) or converts or (cost <= 2 and is_routed_value(consumer, buffer))
        points = prod(a.extent for a in (consumer.axes if folded else consumer.map_axes))
        made_points = max(1, prod(a.extent for a in producer.axes))
        reads = len(loads_of(consumer, buffer)) * points / made_points
        if cost == 0:
            return True
        if len(made_stage.stores) > 1 and not is_cheap(producer, self.options.again):
            return False
        if reads <= 1 and is_cheap(producer, self.options.again) and self._reads_no_more(made, producer, task, buffer):
            return True
        if users > 1 and cost > 2:
            return False
        return reads <= 1.5 or cost * reads <= self.options.repeat * 2

    def _reads_no_more(self, made: Task, producer: Stage, task: Task, buffer: str) -> bool:
        """Whether a task reads no more memory if it makes a buffer's elements itself."""
        new = [p.type.nbytes for p in large(made.kernel, producer, buffer) if buffer_number(p.name) not in task.reads]
        return sum(new) <= made.kernel.buffer(buffer).type.nbytes

    def _may_fit(self, first: Task, second: Task) -> bool:
        """A quick look before the work of merging."""
        return first.work + second.work <= self.options.max_insts and not self.versions.mix(first, second)

    def _fits(self, stage: Stage, params: tuple[Param, ...]) -> bool:
        return len(stage.insts) <= self.options.max_insts and len(params) <= self.options.max_params

    # Changes

    def _replace(self, p: int, n: int, first: Kernel, second: Kernel, stage: Stage) -> bool:
        """Put the merged stage in the place of ``n``; stores nobody reads go."""
        kept = []
        for store in stage.stores:
            others = any(other != n for other in self.readers.get(buffer_number(store.buffer), ()))
            if others or self._is_output(store.buffer):
                kept.append(store)
        stage = tidy(Stage(stage.axes, stage.insts, tuple(kept)), first.stages[0])
        params = _joined_params(first, second, stage)
        if not self._fits(stage, params):
            return False
        made, task = self.tasks.pop(p), self.tasks[n]
        self._unlink(p, made)
        self._joined(p, n)
        self._swap(n, Task(Kernel(_named(first, second), params, (stage,)),
                           made.joined_loc(task) if stage.has_reduce else task.joined_loc(made)))
        return True

    def _swap(self, n: int, task: Task) -> None:
        self._unlink(n, self.tasks[n])
        self.tasks[n] = task
        self._link(n, task)

    def _joined(self, part: int, n: int) -> None:
        """Task ``n`` takes ``part`` in; ranks are counted anew before too many of them have become ranges."""
        self.ranks.join(part, n)
        if len(self.ranks.joined) >= RANGES:
            self.stale = True

    def _ordered(self) -> list[Task]:
        return [self.tasks[n] for n in self._order()]

    def _order(self) -> list[int]:
        """Task numbers in an order that respects dependences, near the original one."""
        waiting = {n: len({self.producer[b] for b in t.reads if b in self.producer} - {n}) for n, t in self.tasks.items()}
        heap = sorted(n for n, count in waiting.items() if not count)
        out: list[int] = []
        while heap:
            n = heapq.heappop(heap)
            out.append(n)
            followers = {r for b in self.tasks[n].writes for r in self.readers.get(b, ()) if r != n}
            for reader in sorted(followers):
                waiting[reader] -= 1
                if not waiting[reader]:
                    heapq.heappush(heap, reader)
        assert len(out) == len(self.tasks), "fusion closed a cycle"
        return out


def _named(first: Kernel, second: Kernel) -> str:
    """``conv+add+relu``; long names are cut in the middle of nothing: later parts are counted."""
    parts = [*first.name.split("+"), *second.name.split("+")]
    return "+".join(parts) if len(parts) <= 4 else "+".join([*parts[:3], parts[-1]])


def _reduces(task: Task) -> bool:
    return task.stage is not None and task.stage.has_reduce


def _hands_over(producer: Stage, consumer: Stage, shared: set[str]) -> bool:
    """The producer stores each shared buffer at its map axes once, and the consumer loads it nowhere else."""
    stored = [s for s in producer.stores if s.buffer in shared]
    if {s.buffer for s in stored} != shared or len(stored) != len(shared):
        return False
    if not all(stores_at_axes(producer, s) for s in stored):
        return False
    loads = [i for i in consumer.insts if isinstance(i, Load) and i.buffer in shared]
    return all(loads_at_axes(consumer, i) for i in loads)


def _joined_params(first: Kernel, second: Kernel, stage: Stage) -> tuple[Param, ...]:
    """Parameters of both that the merged stage still touches; a buffer made inside is a result only."""
    stored = {s.buffer for s in stage.stores}
    loaded = {i.buffer for i in stage.insts if isinstance(i, Load)}
    params: dict[str, Param] = {}
    for param in (*first.params, *second.params):
        if param.name in stored:
            if param.role != "in" or param.name not in params:
                params[param.name] = param
        elif param.name in loaded:
            params.setdefault(param.name, param)
    ordered = sorted(params.values(), key=lambda p: p.role != "in")
    return tuple(ordered)
