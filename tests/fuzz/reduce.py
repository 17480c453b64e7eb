"""Making a program that fails small: fewer steps, smaller shapes, plainer literals, as long as it fails in the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tests.fuzz.check import Checker
from tests.fuzz.program import Function, Index, Input, Program, Ref, Step, pruned

Fails = Callable[[Program], bool]


def reduced(program: Program, fails: Fails, seconds: float = 60.0) -> Program:
    """The smallest program found in ``seconds`` for which ``fails`` holds."""
    end = time.monotonic() + seconds
    progress = True
    while progress and time.monotonic() < end:
        progress = False
        for candidate in candidates(program):
            if time.monotonic() > end:
                break
            if fails(candidate):
                program, progress = candidate, True
                break
    return program


def candidates(program: Program) -> Iterator[Program]:
    """Programs that are a little simpler, the boldest first."""
    yield from _fewer_outputs(program)
    yield from _plainer_modes(program)
    yield from _later_starts(program)
    yield from _bypassed(program)
    yield from _smaller_inputs(program)
    yield from _plainer_literals(program)


def _fewer_outputs(program: Program) -> Iterator[Program]:
    if program.mode == "scan":
        return
    if len(program.outputs) > 1:
        for n in range(len(program.outputs)):
            yield pruned(replace(program, outputs=program.outputs[n:n + 1]))
        for n in range(len(program.outputs)):
            yield pruned(replace(program, outputs=program.outputs[:n] + program.outputs[n + 1:]))
    if program.mode == "forward":  # an earlier value
        for step in program.steps[:-1]:
            for name in step.names:
                if program.outputs != (name,):
                    yield pruned(replace(program, outputs=(name,)))


def _plainer_modes(program: Program) -> Iterator[Program]:
    if program.mode in ("aux", "second", "train", "vjp", "nested", "vmap", "vmap_grad"):
        yield pruned(replace(program, mode="forward", wrt=(), donated=()))
        if program.wrt:
            yield replace(program, mode="grad")
    if program.mode == "grad":
        yield pruned(replace(program, mode="forward", wrt=(), donated=()))
        for n in range(len(program.wrt) if len(program.wrt) > 1 else 0):
            yield replace(program, wrt=program.wrt[:n] + program.wrt[n + 1:],
                          donated=tuple(d for d in program.donated if d != program.wrt[n]))
    if program.mode == "train" and program.optimizer != "optim.sgd(0.1)":
        yield replace(program, optimizer="optim.sgd(0.1)")
    if program.donated:
        yield replace(program, donated=())


def _later_starts(program: Program) -> Iterator[Program]:
    """Values that become inputs; all at once for the first steps, else one by one."""
    types = _types(program)
    for n, step in reversed(list(enumerate(program.steps))):
        if all(name in types for name in step.names):
            made = tuple(_given(name, *types[name], len(program.inputs) + k) for k, name in enumerate(step.names))
            yield pruned(replace(program, inputs=(*program.inputs, *made), steps=program.steps[:n] + program.steps[n + 1:]))


def _given(name: str, shape: tuple[int, ...], dtype: str, seed: int) -> Input:
    recipe = {"f": "normal", "c": "normal", "?": "bits"}.get(dtype[0], "small")
    return Input(name, shape, dtype, recipe, seed, 0, 4)


def _types(program: Program) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shapes and dtypes of all values of f, as far as they can be had."""
    names = tuple(n for s in program.steps for n in s.names)
    if program.mode == "scan":
        return {}
    try:
        checker = Checker(replace(program, mode="forward", outputs=names, wrt=(), donated=()))
    except Exception:
        return {}
    codes = {n: "?" if t.dtype.numpy.kind == "b" else t.dtype.numpy.str[1:] for n, t in zip(names,
                                                                                            checker.traced.graph.output_types)}
    return {n: (t.shape, codes[n]) for n, t in zip(names, checker.traced.graph.output_types)}


def _bypassed(program: Program) -> Iterator[Program]:
    """A step replaced by one of its operands of the same type."""
    types: dict[str, Any] = {i.name: (i.shape, i.dtype) for i in program.inputs} | _types(program)
    for n, step in reversed(list(enumerate(program.steps))):
        if len(step.names) != 1:
            continue
        for arg in step.args:
            if isinstance(arg, Ref) and types.get(arg.name) == types.get(step.names[0]):
                yield pruned(replace(program, steps=program.steps[:n] + (Step(step.names, "{0}", (arg,)),) + program.steps[n + 1:])
                             if step.form != "{0}" else program)
                break


def _smaller_inputs(program: Program) -> Iterator[Program]:
    """Extents halved or one less, everywhere at once where they are equal; plainer contents."""
    extents = sorted({n for i in program.inputs for n in i.shape if n > 1}, reverse=True)
    for n in extents:
        for smaller in dict.fromkeys((1, n // 2, n - 1)):
            if smaller >= 1:
                resized = (replace(i, shape=tuple(smaller if m == n else m for m in i.shape)) for i in program.inputs)
                yield replace(program, inputs=tuple(resized))
    for k, given in enumerate(program.inputs):
        for d, n in enumerate(given.shape):
            for smaller in dict.fromkeys((1, n // 2, n - 1)):
                if 1 <= smaller < n:
                    shape = given.shape[:d] + (smaller,) + given.shape[d + 1:]
                    yield replace(program, inputs=(*program.inputs[:k], replace(given, shape=shape), *program.inputs[k + 1:]))
        if given.recipe in ("special", "sparse", "grid"):
            yield replace(program, inputs=(*program.inputs[:k], replace(given, recipe="normal"), *program.inputs[k + 1:]))


def _plainer_literals(program: Program) -> Iterator[Program]:
    for n, step in enumerate(program.steps):
        for k, arg in enumerate(step.args):
            for plainer in _plainer(arg):
                args = step.args[:k] + (plainer,) + step.args[k + 1:]
                yield replace(program, steps=program.steps[:n] + (replace(step, args=args),) + program.steps[n + 1:])


def _plainer(arg: Any) -> Iterator[Any]:
    """A literal nearer to 0, 1 and None."""
    match arg:
        case bool() | Ref() | Function():
            return
        case int():
            yield from (m for m in dict.fromkeys((0, 1, arg // 2, arg - 1)) if abs(m) < abs(arg))
        case float():
            yield from (m for m in (0.0, 1.0) if m != arg and abs(arg) not in (0.0, 1.0))
        case slice():
            if (arg.start, arg.stop, arg.step) != (None, None, None):
                yield slice(None)
                yield from (slice(*p) for p in ((None, arg.stop, arg.step), (arg.start, None, arg.step), (arg.start, arg.stop,
                                                                                                          None))
                            if slice(*p) != arg)
            for n, part in enumerate((arg.start, arg.stop, arg.step)):
                for plainer in _plainer(part) if isinstance(part, int) else ():
                    if n < 2 or plainer:
                        yield slice(*[plainer if m == n else p for m, p in enumerate((arg.start, arg.stop, arg.step))])
        case Index():
            yield from (Index(items) for items in _plainer(arg.items))
        case tuple():
            for n, part in enumerate(arg):
                yield from (arg[:n] + (plainer,) + arg[n + 1:] for plainer in _plainer(part))


def size(program: Program) -> int:
    """How much there is to read."""
    return len(program.steps) + sum(int(np.prod(i.shape)) for i in program.inputs)
