"""What depends on frozen inputs alone, apart from the rest: it is computed once, not at every call."""

from __future__ import annotations

from dataclasses import replace

from leptonc.ir.graph import Graph, Node
from leptonc.ir.kernel import Call, Program
from leptonc.passes.graph.dce import Dce
from leptonc.passes.loops.draft import Draft


def split_graph(graph: Graph, frozen: int) -> tuple[Graph, Graph]:
    """Two graphs: ``compute`` takes the frozen inputs and gives values that depend on nothing else; ``step`` takes the frozen
    inputs, then what ``compute`` gives, named ``computed 0``, ``computed 1`` ..., then the others. What only repeats elements
    stays where it is read."""
    names = graph.input_names or ("",) * len(graph.inputs)
    ahead, behind, either = _nodes_apart(graph, frozen)
    made = {v for node in ahead for v in node.results}
    wanted = tuple(v for v in dict.fromkeys((*(v for node in behind for v in node.operands), *graph.outputs)) if v in made)
    inputs = (*graph.inputs[:frozen], *wanted, *graph.inputs[frozen:])
    compute = Graph(graph.name, graph.inputs[:frozen], graph.input_types[:frozen], (*either, *ahead), wanted, names[:frozen])
    step = Graph(graph.name, inputs, tuple(graph.types[v] for v in inputs), (*either, *behind), graph.outputs,
                 (*names[:frozen], *(f"computed {n}" for n in range(len(wanted))), *names[frozen:]))
    return Dce()(compute), Dce()(step)


def _nodes_apart(graph: Graph, frozen: int) -> tuple[list[Node], list[Node], list[Node]]:
    """Nodes to run ahead, the others, and those that depend on constants alone: either part may have them."""
    known, free = set(graph.inputs[:frozen]), set[int]()
    ahead: list[Node] = []
    behind: list[Node] = []
    either: list[Node] = []
    for node in graph.nodes:
        if set(node.operands) <= free:
            either.append(node)
            free |= set(node.results)
        elif set(node.operands) <= known | free and node.op != "broadcast":
            ahead.append(node)
            known |= set(node.results)
        else:
            behind.append(node)
    return ahead, behind, either


def split_frozen(program: Program) -> tuple[Program, Program]:
    """Two programs: ``prepare`` takes the frozen inputs, in order, and gives intermediates that depend on nothing else; ``step``
    takes the other inputs, then those frozen ones it still reads, then what ``prepare`` gives. Buffers of the latter are named
    ``prepared 0``, ``prepared 1`` ... Nothing is donated or placed yet."""
    ahead, behind = _apart(program)
    made = {n for call in ahead for n in _written(call)}
    wanted = sorted(made & {n for call in behind for n in call.args})
    names = {n: f"prepared {k}" for k, n in enumerate(wanted)}
    frozen = [n for n in program.inputs if program.buffers[n].frozen]
    read = {n for call in behind for n in call.args}
    given = [n for n in program.inputs if not program.buffers[n].frozen]
    prepare = _program(program, ahead, frozen, wanted, dict.fromkeys(wanted, "output"), names)
    step = _program(program, behind, [*given, *(n for n in frozen if n in read), *wanted], list(program.outputs),
                    dict.fromkeys(wanted, "input"), names)
    return prepare, step


def _apart(program: Program) -> tuple[list[Call], list[Call]]:
    """Calls that read frozen inputs, constants and each other's results alone; and the rest, which make all outputs."""
    known = {n for n, b in enumerate(program.buffers) if b.frozen or b.kind == "constant"}
    ahead: list[Call] = []
    behind: list[Call] = []
    for call in program.calls:
        written = _written(call)
        if set(call.args) - written <= known and all(program.buffers[n].kind == "temp" for n in written):
            ahead.append(call)
            known |= written
        else:
            behind.append(call)
    return ahead, behind


def _written(call: Call) -> set[int]:
    return {n for n, param in zip(call.args, call.kernel.params) if param.role != "in"}


def _program(program: Program, calls: list[Call], inputs: list[int], outputs: list[int], kinds: dict[int, str],
             names: dict[int, str]) -> Program:
    buffers = tuple(replace(b, kind=kinds.get(n, b.kind), name=names.get(n, b.name), frozen=False)
                    for n, b in enumerate(program.buffers))
    part = replace(program, buffers=buffers, calls=tuple(calls), inputs=tuple(inputs), outputs=tuple(outputs))
    return Draft(part).finish()
