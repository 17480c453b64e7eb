"""What a checkpoint's policy saves of a function. A policy is an attribute of ``checkpoint_call``: a word, or a tuple of a word and
names, or of ``either`` and policies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from leptonc.ir.graph import Node

Policy = str | tuple["Policy", ...]
Rule = Callable[[Sequence[Node], frozenset[str]], Sequence[int]]

PRODUCTS = frozenset({"dot_general", "conv", "conv_input_grad", "conv_weight_grad"})
NAMED = "checkpoint_name"


def saved_values(policy: Policy, nodes: Sequence[Node]) -> tuple[int, ...]:
    """The values that ``policy`` saves of what ``nodes`` make and read."""
    kind, *rest = (policy,) if isinstance(policy, str) else policy
    if kind == "either":
        found = [i for part in rest for i in saved_values(part, nodes)]
    else:
        found = [*_RULES[str(kind)](nodes, frozenset(map(str, rest)))]
    return tuple(dict.fromkeys(found))


def _everything(nodes: Sequence[Node], names: frozenset[str]) -> Sequence[int]:
    return [i for n in nodes for i in n.results]


def _nothing(nodes: Sequence[Node], names: frozenset[str]) -> Sequence[int]:
    return ()


def _dots(nodes: Sequence[Node], names: frozenset[str]) -> Sequence[int]:
    return [i for n in nodes if n.op in PRODUCTS for i in n.results]


def _dots_with_no_batch_dims(nodes: Sequence[Node], names: frozenset[str]) -> Sequence[int]:
    return [i for n in nodes if n.op == "dot_general" and n.attributes["batch"] == ((), ()) for i in n.results]


def _only(nodes: Sequence[Node], names: frozenset[str]) -> Sequence[int]:
    """What is named, not the name's result: so what the rule of the op that made it needs of it is saved as well."""
    return [i for n, label in _named(nodes) if label in names for i in n.operands]


def _names_but(nodes: Sequence[Node], names: frozenset[str]) -> Sequence[int]:
    return [i for n, label in _named(nodes) if label not in names for i in n.operands]


def _all_but(nodes: Sequence[Node], names: frozenset[str]) -> Sequence[int]:
    """Neither what is named nor the name's result, which are one array."""
    left = {i for n, label in _named(nodes) if label in names for i in (*n.operands, *n.results)}
    return [i for n in nodes if n.op != "constant" for i in n.results if i not in left]


def _named(nodes: Sequence[Node]) -> list[tuple[Node, str]]:
    return [(n, str(n.attributes["label"])) for n in nodes if n.op == NAMED]


_RULES: dict[str, Rule] = {
    "everything": _everything, "nothing": _nothing, "dots": _dots, "dots_with_no_batch_dims": _dots_with_no_batch_dims,
    "only": _only, "names_but": _names_but, "all_but": _all_but,
}
