"""Conversions as parts of the products that need them.

    t[i, k] = cast(x[i, k], f32)                      y[i, j] = sum over k of cast(x[i, k], f32) * w[k, j]
    y[i, j] = sum over k of t[i, k] * w[k, j]   =>

A product of narrow numbers is one of what they are converted to, as they are loaded or packed: what is in memory stays narrow, its
halo too, which is why this runs before ``halo``. Casts to narrower numbers, as of f32 weights to bf16, are left to fusion: they
are the epilogue of what makes those numbers, if anything does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from leptonc.ir.kernel import Apply, Inst, Load, Program, Stage
from leptonc.ir.structure import product_sum
from leptonc.ir.types import DType
from leptonc.passes.loops.draft import Draft, Task, buffer_name, renumber, renumber_store
from leptonc.passes.loops.merge import is_map, loads_at_axes, stores_at_axes


@dataclass(frozen=True)
class TakeCasts:
    """``y = product(cast(x), w) => y = product of x, cast as it is read, and w``."""

    name: str = "take-casts"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        casts = {task.writes[0]: task for task in draft.tasks if _widens(task)}
        if not casts:
            return program
        named = {buffer_name(b): task for b, task in casts.items()}
        draft.tasks = [_taken(task, named) for task in draft.tasks]
        read = {b for task in draft.tasks for b in task.reads} | set(program.outputs)
        draft.tasks = [task for task in draft.tasks if casts.get(task.writes[0]) is not task or task.writes[0] in read]
        return draft.finish()


def _widens(task: Task) -> bool:
    """Whether a kernel makes all of a buffer's numbers wider ones of their kind, and does nothing else."""
    stage = task.stage
    if stage is None or len(stage.insts) != 2 or len(stage.stores) != 1 or not is_map(stage):
        return False
    load, cast = stage.insts
    if not isinstance(load, Load) or not isinstance(cast, Apply) or cast.op != "cast" or not widens(load.dtype, cast.dtype):
        return False
    shapes = {p.type.shape for p in task.kernel.params}
    return load.pad is None and len(shapes) == 1 and loads_at_axes(stage, load) and stores_at_axes(stage, stage.stores[0])


def widens(source: DType, target: DType) -> bool:
    """Whether every number of one dtype is one of the other, a wider one of its kind."""
    return source.kind == target.kind and source.bits < target.bits


def _taken(task: Task, casts: dict[str, Task]) -> Task:
    """A product with the casts of its factors; each is of a buffer that is read for nothing else, in its own shape."""
    stage = task.stage
    found = None if stage is None else product_sum(stage.insts)
    if stage is None or found is None:
        return task
    others = {i.buffer for n, i in enumerate(stage.insts) if isinstance(i, Load) and n not in (found.a, found.b)}
    for buffer in dict.fromkeys(load.buffer for load in found.factors):
        made = casts.get(buffer)
        if made is not None and buffer not in others and _is_seen_alike(task, buffer, made):
            task = _with_cast(task, buffer, made)
    return task


def _is_seen_alike(task: Task, buffer: str, made: Task) -> bool:
    """Whether a product sees a cast's result, and its operand if it reads that as well, in the shapes that the cast does."""
    shapes = {p.name: p.type for p in task.kernel.params}
    return shapes[buffer] == made.kernel.buffer(buffer).type and all(
        shapes.get(p.name, p.type) == p.type for p in made.kernel.params)


def _with_cast(task: Task, buffer: str, made: Task) -> Task:
    """Loads of a buffer that a cast makes as casts of loads of its operand."""
    stage = task.kernel.stages[0]
    source = next(p for p in made.kernel.params if p.role == "in")
    insts, number = list[Inst](), dict[int, int]()
    for n, inst in enumerate(stage.insts):
        moved = renumber(inst, number)
        if isinstance(moved, Load) and moved.buffer == buffer:
            pad = None if moved.pad is None else source.type.dtype.numpy.type(moved.pad).item()
            insts.append(replace(moved, buffer=source.name, dtype=source.type.dtype, pad=pad))
            moved = Apply("cast", (len(insts) - 1,), inst.dtype)
        number[n] = len(insts)
        insts.append(moved)
    stores = tuple(renumber_store(s, number) for s in stage.stores)
    params = tuple(source if p.name == buffer else p for p in task.kernel.params if p.name != source.name)
    if source.name not in {p.name for p in params}:
        params = (source, *params)
    return replace(task, kernel=replace(task.kernel, params=params, stages=(Stage(stage.axes, tuple(insts), stores),)))
