"""Small parts of a graph or a program that can stand alone, with the values that they get in a run of the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from leptonc.ir.graph import Graph, Node
from leptonc.ir.kernel import Buffer, Call, Program
from leptonc.ir.types import TensorType, c128, out_of_reals
from leptonc.validation.execution import Runner

DEPTHS = (0, 1, 2, 3, 4, 6)  # of producers taken along
WINDOWS = (2, 3, 4, 6)  # neighbours in a row: what is joined side by side does not read each other
MOST = 300


@dataclass(frozen=True)
class Slice:
    """``arrays``: its inputs, in f64."""

    ir: Any
    arrays: list[np.ndarray]


def slices(runner: Runner, ir: Any, arrays: Sequence[np.ndarray]) -> Iterator[Slice]:
    """Parts of a graph or program, small ones first."""
    items, env = _program_items(runner, ir, arrays) if isinstance(ir, Program) else _graph_items(runner, ir, arrays)
    seen = set[tuple[int, ...]]()
    for chosen in _choices(items):
        if chosen in seen or len(chosen) >= len(items) or len(seen) >= MOST:
            continue
        seen.add(chosen)
        part, inputs = _program_part(ir, chosen) if isinstance(ir, Program) else _graph_part(ir, chosen)
        yield Slice(part, [_array(env[n], type_) for n, type_ in inputs])


def _array(found: np.ndarray, type: TensorType) -> np.ndarray:
    """Of a program's buffer, whose complex numbers are reals, or of a graph's value; as a whole in f64."""
    if type.dtype.is_complex and found.dtype.kind == "f":
        return out_of_reals(found, type.with_dtype(c128))
    return np.asarray(found).reshape(type.shape)


@dataclass(frozen=True)
class _Item:
    """A call or a node: numbers of what it reads and makes."""

    reads: frozenset[int]
    makes: frozenset[int]


def _choices(items: Sequence[_Item]) -> Iterator[tuple[int, ...]]:
    """Each item with its producers to some depth, and windows of neighbours; positions in order."""
    maker = {v: n for n, item in enumerate(items) for v in item.makes}
    found = [_with_producers(items, maker, n, depth) for depth in DEPTHS for n in range(len(items))]
    found += [tuple(range(n, n + width)) for width in WINDOWS for n in range(len(items) - width + 1)]
    yield from sorted(found, key=len)


def _with_producers(items: Sequence[_Item], maker: dict[int, int], n: int, depth: int) -> tuple[int, ...]:
    chosen = ring = {n}
    for _ in range(depth):
        ring = {maker[v] for k in ring for v in items[k].reads if v in maker}
        chosen = chosen | ring
    return tuple(sorted(chosen))


# Programs


def _program_items(runner: Runner, program: Program, arrays: Sequence[np.ndarray]) -> tuple[list[_Item], dict[int, np.ndarray]]:
    items = []
    for call in program.calls:
        roles = [(p.role, n) for p, n in zip(call.kernel.params, call.args)]
        items.append(_Item(frozenset(n for role, n in roles if role != "out"), frozenset(n for role, n in roles if role != "in")))
    return items, runner.values(program, arrays)


def _program_part(program: Program, chosen: Sequence[int]) -> tuple[Program, list[tuple[int, TensorType]]]:
    calls = [program.calls[n] for n in chosen]
    used = list(dict.fromkeys(n for call in calls for n in call.args))
    made = {n for call in calls for p, n in zip(call.kernel.params, call.args) if p.role != "in"}
    elsewhere = {n for k, call in enumerate(program.calls) if k not in set(chosen) for n in call.args} | set(program.outputs)
    inputs = [n for n in used if n not in made and program.buffers[n].literal is None]
    outputs = [n for n in used if n in made and n in elsewhere]
    taken = [d for n in outputs if n in program.outputs and (d := program.buffers[n].donated) is not None]
    inputs += [d for d in taken if d not in inputs]
    number = {old: new for new, old in enumerate(dict.fromkeys([*used, *inputs]))}
    buffers = tuple(_buffer(program.buffers[n], n in inputs, n in outputs, number) for n in number)
    part = Program(program.name, buffers, tuple(Call(c.kernel, tuple(number[n] for n in c.args), c.loc) for c in calls),
                   tuple(number[n] for n in inputs), tuple(number[n] for n in outputs))
    return part, [(n, program.buffers[n].type) for n in inputs]


def _buffer(buffer: Buffer, given: bool, wanted: bool, number: dict[int, int]) -> Buffer:
    kind = "input" if given else "output" if wanted else "constant" if buffer.literal is not None else "temp"
    donated = number[buffer.donated] if wanted and buffer.kind == kind and buffer.donated is not None else None
    return replace(buffer, kind=kind, donated=donated, offset=None)


# Graphs


def _graph_items(runner: Runner, graph: Graph, arrays: Sequence[np.ndarray]) -> tuple[list[_Item], dict[int, np.ndarray]]:
    items = [_Item(frozenset(node.operands), frozenset(node.results)) for node in graph.nodes]
    return items, runner.values(graph, arrays)


def _graph_part(graph: Graph, chosen: Sequence[int]) -> tuple[Graph, list[tuple[int, TensorType]]]:
    """Constants that are read come along: a rule may look at them."""
    constants = {n for n, node in enumerate(graph.nodes) if not node.operands}
    taken = set(chosen)
    needed = {v for n in chosen for v in graph.nodes[n].operands}
    taken |= {n for n in constants if needed & set(graph.nodes[n].results)}
    nodes: list[Node] = [graph.nodes[n] for n in sorted(taken)]
    made = {v for node in nodes for v in node.results}
    inputs = tuple(dict.fromkeys(v for node in nodes for v in node.operands if v not in made))
    elsewhere = {v for n, node in enumerate(graph.nodes) if n not in taken for v in node.operands} | set(graph.outputs)
    outputs = tuple(v for node in nodes if node.operands or len(nodes) == 1 for v in node.results if v in elsewhere)
    part = Graph(graph.name, inputs, tuple(graph.types[v] for v in inputs), tuple(nodes), outputs)
    return part, [(v, graph.types[v]) for v in inputs]
