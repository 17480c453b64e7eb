"""A Program run in the memory it was given: temporaries are parts of one array of bytes, a donated input's memory is the output's.

What is free holds garbage. A kernel that overwrites what it reads is run piece by piece along every axis, from either end: its
points may run in any order, so that must change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from leptonc.errors import IRError
from leptonc.ir.interpret import execute
from leptonc.ir.kernel import Call, Param, Program
from leptonc.validation.compare import difference

GARBAGE = 0xCB  # as f32 -2.7e7, as f64 -1e55, as an index out of range
PIECES = 3


def run_placed(program: Program, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs. Raises IRError for a temporary without a place, or outside of the arena."""
    memory = _memory(program, arrays)
    for call in program.calls:
        _call(call, memory)
    return [_typed(memory[n], program.buffers[n].type.dtype.numpy, program.buffers[n].type.shape) for n in program.outputs]


def _memory(program: Program, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The bytes of each buffer. Before anything is placed, temporaries have memory of their own."""
    placed = any(b.offset is not None for b in program.buffers)
    arena = np.full(program.arena_bytes, GARBAGE, np.uint8)
    given = {n: np.ascontiguousarray(a).reshape(-1).view(np.uint8).copy() for n, a in zip(program.inputs, arrays, strict=True)}
    places = []
    for n, buffer in enumerate(program.buffers):
        size = buffer.type.nbytes
        if n in given:
            places.append(given[n])
        elif buffer.literal is not None:
            places.append(np.frombuffer(buffer.literal.data, np.uint8))
        elif buffer.donated is not None:
            places.append(given[buffer.donated])
        elif buffer.kind == "output" or not placed:
            places.append(np.full(size, GARBAGE, np.uint8))
        elif buffer.offset is None or buffer.offset < 0 or buffer.offset + size > program.arena_bytes:
            raise IRError(f"b{n} has offset {buffer.offset} and {size} bytes, the arena {program.arena_bytes}")
        else:
            places.append(arena[buffer.offset:buffer.offset + size])
    return places


def _typed(memory: np.ndarray, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    return memory.view(dtype).reshape(shape)


def _call(call: Call, memory: list[np.ndarray]) -> None:
    params = call.kernel.params
    env = {p.name: _typed(memory[n], p.type.dtype.numpy, p.type.shape) for p, n in zip(params, call.args)}
    read = [env[p.name] for p in params if p.role != "out"]
    in_place = False
    for param in params:
        if param.role == "out":
            shared = any(np.may_share_memory(env[param.name], other) for other in read)
            in_place |= shared
            _begin(param, env[param.name], shared)
    if in_place:
        _in_either_order(call, env)
    else:
        execute(call.kernel, env)


def _in_either_order(call: Call, env: dict[str, np.ndarray]) -> None:
    """Raises IRError if a result depends on the order."""
    written = [p.name for p in call.kernel.params if p.role != "in"]
    before = {name: env[name].copy() for name in written}
    execute(call.kernel, env, pieces=PIECES, backwards=True)
    results = {name: env[name].copy() for name in written}
    for name in written:
        env[name][...] = before[name]
    execute(call.kernel, env, pieces=PIECES)
    for name in written:
        if difference([results[name]], [env[name]]) is not None:
            raise IRError(f"kernel {call.kernel.name} overwrites what it has yet to read: {name} depends on its points' order")


def _begin(param: Param, target: np.ndarray, shared: bool) -> None:
    """Filled with its initial value; else with garbage, unless an operand lives there."""
    if param.init is not None:
        target[...] = param.init
    elif not shared:
        target.reshape(-1).view(np.uint8)[...] = GARBAGE
