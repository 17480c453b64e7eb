"""Which results of a branch are its operands with some elements replaced: it writes them in the memory of those.

    lax.cond(p, lambda a: a.at[i].set(x), lambda a: a, a)      in a loop, a stays where it is

It is enough that one choice updates: what the others make of the memory costs them no more than a copy.
"""

from __future__ import annotations

from collections.abc import Sequence

from leptonc.ir.graph import Graph, Node
from leptonc.ir.op import get_op

LOOPS = ("scan", "while_loop")


def updates(choices: Sequence[Graph]) -> dict[int, int]:
    """By the number of a result that of the operand it updates, for graphs that take and give the same types. Each operand is
    updated once."""
    found: dict[int, int] = {}
    for choice in choices:
        number = {value: n for n, value in enumerate(choice.inputs)}
        producers = {value: (node, n) for node in choice.nodes for n, value in enumerate(node.results)}
        for result, value in enumerate(choice.outputs):
            source = number.get(_begins(producers, value))
            if source is not None and value not in number and choice.types[value] == choice.types[choice.inputs[source]]:
                if result not in found and source not in found.values():
                    found[result] = source
    return found


def _begins(producers: dict[int, tuple[Node, int]], value: int) -> int:
    """The value that this one is, but for some elements: itself, if nothing else."""
    while value in producers:
        before = _updated(*producers[value])
        if before is None:
            return value
        value = before
    return value


def _updated(node: Node, result: int) -> int | None:
    """The operand that a result of a node is, but for some elements."""
    if get_op(node.op).updates:
        return node.operands[0]
    if node.op in LOOPS and result < node.attributes["carries"]:
        return node.operands[node.attributes["consts"] + result]
    if node.op == "switch":
        source = updates(node.regions).get(result)
        return None if source is None else node.operands[1 + source]
    return None
