"""A mean and a variance in one pass over memory.

    r1[i, c] = sum over k of x[i, k, c]                 chunks i of a long sum, from which a mean a[c] is made
    r2[i, c] = sum over k of (x[i, k, c] - a[c]) ** 2

The second sum waits for the mean of all chunks, and by then x has left the cache. Chunk by chunk, while it is there:

    r1[i, c] = sum over k of x[i, k, c]                 m = r1 / n, a mean of the chunk's own
    s[i, c], q[i, c] = sum over k of d, d * d           with d = x[i, k, c] - m

and where r2 is read

    r2[i, c] = (q - s * s / n) + n * ((m - a) + s / n) ** 2

which is exact for any m. Of a large mean and a small variance as much is left as of the two passes: d is small, s makes good what m
was rounded by, and neither term cancels the other (Chan, Golub and LeVeque, Algorithms for Computing the Sample Variance, 1983).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import ClassVar

from leptonc.ir.kernel import Apply, Axis, Const, Index, Inst, Kernel, Load, Param, Program, Reduce, Stage, Store
from leptonc.ir.types import DType, TensorType
from leptonc.passes.loops.draft import Draft, Task, buffer_name, buffer_number
from leptonc.passes.loops.merge import inline


@dataclass(frozen=True)
class JoinMoments:
    """``chunk_bytes``: most that a chunk may take, to be in cache when it is read again."""

    chunk_bytes: int = 512 * 1024
    name: str = "join-moments"
    changes: ClassVar[tuple[str, ...]] = ("rounding", "special values")

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        tasks: dict[int, Task] = dict(enumerate(draft.tasks))
        sums = {found: n for n, task in tasks.items() for found in [_plain_sum(task)] if found is not None}
        for n, task in list(tasks.items()):
            squares = _squares(task)
            first = None if squares is None else sums.pop(squares.x, None)
            if squares is not None and first is not None and squares.x.chunk_bytes <= self.chunk_bytes:
                self._join(draft, tasks, (first, n), squares)
        draft.tasks = list(tasks.values())
        return draft.finish()

    def _join(self, draft: Draft, tasks: dict[int, Task], places: tuple[int, int], squares: _Squares) -> None:
        """The sum at the first place and the sum of squares at the second in one kernel, if one task alone reads the latter."""
        first, second = places
        total, wanted = tasks[first], tasks[second].kernel.outputs[0]
        readers = [n for n, task in tasks.items() if buffer_number(wanted.name) in task.reads]
        if len(readers) != 1 or draft.buffers[buffer_number(wanted.name)].kind != "temp":
            return
        r1 = total.kernel.outputs[0]
        s, q = (replace(r1, name=buffer_name(draft.temp(r1.type))) for _ in range(2))
        reader = _reading(tasks[readers[0]], tasks[second].kernel, squares, (r1, s, q), total)
        if reader is not None:
            tasks[first] = Task(_moments(total.kernel, squares.x, (r1, s, q)), total.joined_loc(tasks[second]))
            tasks[readers[0]] = reader
            del tasks[second]


@dataclass(frozen=True)
class _Summed:
    """``load`` of a float, folded over the reduce axes of ``axes``; ``type`` of the buffer."""

    load: Load
    axes: tuple[Axis, ...]
    type: TensorType

    @property
    def count(self) -> int:
        return prod(a.extent for a in self.axes if a.reduce)

    @property
    def inner(self) -> tuple[Axis, ...]:
        """Map axes along which neighbours lie next to each other."""
        return tuple(a for a in self.axes if not a.reduce and self.load.index[-1].coeff(a.name))

    @property
    def outer(self) -> tuple[Axis, ...]:
        return tuple(a for a in self.axes if not a.reduce and a not in self.inner)

    @property
    def chunk_bytes(self) -> int:
        return self.count * prod(a.extent for a in self.inner) * self.type.dtype.itemsize


@dataclass(frozen=True)
class _Squares:
    """The squares of ``x - a`` summed, where ``a`` does not vary along the sum."""

    x: _Summed
    a: Load


def _plain_sum(task: Task) -> _Summed | None:
    """What a task sums, if it does nothing else, chunk by chunk."""
    stage = task.stage
    match None if stage is None else stage.insts:
        case (Load() as load, Reduce("sum", 0)):
            return _summed(task, load, 1)
    return None


def _squares(task: Task) -> _Squares | None:
    stage = task.stage
    if stage is None or len(stage.insts) != 5:
        return None
    loads = [n for n, i in enumerate(stage.insts) if isinstance(i, Load)]
    match stage.insts[2:]:
        case (Apply("sub", (x, a)), Apply("mul", (2, 2)), Reduce("sum", 3)) if loads == [0, 1]:
            one, other = stage.insts[x], stage.insts[a]
            assert isinstance(one, Load) and isinstance(other, Load)
            summed = _summed(task, one, 4)
            folded = {axis.name for axis in stage.reduce_axes}
            still = not any(name in folded for index in other.index for name, _ in index.axes)
            return _Squares(summed, other) if summed is not None and still else None
    return None


def _summed(task: Task, load: Load, value: int) -> _Summed | None:
    """A load as what is summed, if the sum is stored as it is and there is more than one chunk."""
    stage = task.stage
    assert stage is not None
    plain = [store.value for store in stage.stores if not (store.accumulate or store.masked)] == [value]
    if not plain or not load.dtype.is_float or load.pad is not None or any(i.values for i in load.index) or not load.index:
        return None
    found = _Summed(load, stage.axes, task.kernel.buffer(load.buffer).type)
    return found if found.outer and found.count else None


def _moments(kernel: Kernel, x: _Summed, outs: tuple[Param, Param, Param]) -> Kernel:
    """Both sums of each chunk, one after the other."""
    dtype, (store,) = x.load.dtype, kernel.stages[0].stores
    mean = Param("mean", TensorType(tuple(a.extent for a in x.inner), dtype), "local")
    at, axes = tuple(map(Index.of, x.inner)), tuple(a for a in x.axes if a not in x.outer)
    total = Stage(axes, (x.load, Reduce("sum", 0, dtype), _number(x.count, dtype), Apply("div", (1, 2), dtype)),
                  (replace(store, value=1), Store(mean.name, at, 3)))
    insts = (x.load, Load(mean.name, at, dtype), Apply("sub", (0, 1), dtype), Reduce("sum", 2, dtype), Apply("mul", (2, 2), dtype),
             Reduce("sum", 4, dtype))
    about = Stage(axes, insts, tuple(Store(out.name, store.index, value) for out, value in zip(outs[1:], (3, 5))))
    source = replace(kernel.buffer(x.load.buffer), role="in")
    return Kernel(f"{kernel.name}+moments", (source, *outs), (total, about), x.outer, (mean,))


def _reading(reader: Task, second: Kernel, squares: _Squares, made: tuple[Param, Param, Param], total: Task) -> Task | None:
    """The task that reads the sum of squares, making it of the chunks' moments; None if it cannot."""
    assert total.stage is not None
    x, dtype, stage = squares.x, squares.x.load.dtype, second.stages[0]
    place, store = total.stage.stores[0].index, stage.stores[0]
    r1, s, q = (Load(p.name, place, dtype) for p in made)
    insts: tuple[Inst, ...] = (
        r1, s, q, squares.a, _number(x.count, dtype),
        Apply("div", (0, 4), dtype), Apply("div", (1, 4), dtype),  # m, s / n
        Apply("mul", (1, 6), dtype), Apply("sub", (2, 7), dtype), Const(0.0, dtype),
        Apply("max", (8, 9), dtype),  # what rounding made less than 0
        Apply("sub", (5, 3), dtype), Apply("add", (11, 6), dtype), Apply("mul", (12, 12), dtype), Apply("mul", (4, 13), dtype),
        Apply("add", (10, 14), dtype),
    )
    producer = Stage(stage.map_axes, insts, (replace(store, value=15),))
    read = {p.name: replace(p, role="in", init=None) for p in (*made, second.buffer(squares.a.buffer), second.buffer(store.buffer))}
    types = {p.name: p.type for p in reader.kernel.params}
    if reader.stage is None or any(types.get(name, p.type) != p.type for name, p in read.items()):
        return None
    merged = inline(reader.stage, producer, producer.stores[0], {name: p.type.shape for name, p in read.items()})
    if merged is None:
        return None
    del read[store.buffer]
    params = {p.name: p for p in (*read.values(), *reader.kernel.params) if p.name != store.buffer}
    ordered = tuple(sorted(params.values(), key=lambda p: p.role != "in"))
    return replace(reader, kernel=replace(reader.kernel, params=ordered, stages=(merged,)))


def _number(count: int, dtype: DType) -> Const:
    return Const(float(count), dtype)
