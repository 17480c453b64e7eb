"""Python functions as regions of an op: traced on types, with what they close over as operands."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.errors import ShapeError, TreeError, describe
from leptonc.ir.builder import Builder
from leptonc.ir.graph import Graph
from leptonc.ir.types import TensorType, dtype_of
from leptonc.promotion import asarray, is_weak
from leptonc.signature import as_leaf
from leptonc.trace import ClosedGraph, Tracer, cast, known, trace_to_graph, tracing

RETRIES = 3  # a weak number may make another one strong


def leaf_values(leaves: Sequence[Any], paths: Sequence[str], name: str) -> list[Any]:
    """Leaves as arrays, tracers and Python numbers."""
    return [leaf if isinstance(leaf, Tracer) or is_weak(leaf) else known(as_leaf(leaf, path, name), (leaf,))
            for leaf, path in zip(leaves, paths, strict=True)]


def type_of(x: Any) -> TensorType:
    """The type of a tracer, an array or a Python number."""
    if isinstance(x, Tracer):
        return x.type
    array = asarray(x)
    return TensorType(array.shape, dtype_of(array.dtype))


def hashable(f: Callable[..., Any]) -> Callable[..., Any]:
    """f, or one that stands for it if it has no hash: compiled code is kept by functions."""
    try:
        hash(f)
    except TypeError:
        return functools.partial(f)
    return f


def outside(*leaves: Any) -> bool:
    """Whether nothing here is traced."""
    return not tracing() and not any(isinstance(leaf, Tracer) for leaf in leaves)


def traced(f: Callable[..., Any], structures: Sequence[tree.TreeDef], types: Sequence[TensorType], weak: Sequence[bool], name: str,
           effects: bool = False) -> ClosedGraph:
    """``f(*trees)`` as a graph of all their leaves; ``effects``: it may have some."""
    counts = [structure.num_leaves for structure in structures]

    def on_leaves(*leaves: Any) -> Any:
        rest = list(leaves)
        return f(*(tree.unflatten(s, [rest.pop(0) for _ in range(n)]) for s, n in zip(structures, counts)))

    return trace_to_graph(on_leaves, types, name, (), weak, effects)


def closed_together(graphs: Sequence[ClosedGraph]) -> tuple[tuple[Graph, ...], list[Tracer]]:
    """The graphs with what any of them captures as their first inputs, and what that is."""
    captured = list({id(x): x for closed in graphs for x in closed.captured}.values())
    return tuple(_closed(closed, captured) for closed in graphs), captured


def _closed(closed: ClosedGraph, captured: Sequence[Tracer]) -> Graph:
    graph = closed.graph
    builder = Builder(graph.name)
    names = graph.input_names or ("",) * len(graph.inputs)
    outer = {id(x): builder.input(x.type, x.label) for x in captured}
    declared = len(graph.inputs) - len(closed.captured)
    own = [builder.input(t, n) for t, n in zip(graph.input_types[:declared], names[:declared])]
    return builder.finish(builder.inline(graph, [*own, *(outer[id(x)] for x in closed.captured)]))


def settled(leaves: list[Any], body: Callable[[list[Any]], tuple[ClosedGraph, Sequence[TensorType], Sequence[bool]]],
            ) -> tuple[list[Any], ClosedGraph]:
    """Carry leaves and the body traced on them; a Python number among them becomes an array of what the body makes of it.
    ``body(leaves)``: its graph, and what it gives as the carry."""
    for _ in range(RETRIES):
        closed, types, weak = body(leaves)
        if len(types) != len(leaves):
            break
        after = [x if not is_weak(x) or (type_of(x).dtype == t.dtype and w) else cast(x, t.dtype)
                 for x, t, w in zip(leaves, types, weak)]
        if all(a is b for a, b in zip(after, leaves)):
            break
        leaves = after
    return leaves, closed


def begun(step: Callable[[Any], Any], carry: Any) -> Any:
    """The carry of a loop that goes step by step, Python numbers in it in the dtype that a step gives them."""
    for _ in range(RETRIES):
        leaves, structure = tree.flatten(carry)
        if not any(map(is_weak, leaves)):
            break
        after, returned = tree.flatten(step(carry))
        if returned != structure or all(is_weak(old) == is_weak(new) for old, new in zip(leaves, after)):
            break
        carry = tree.unflatten(structure, [cast(old, new.dtype) if is_weak(old) and not is_weak(new) else old
                                           for old, new in zip(leaves, after)])
    return carry


def check_trip(before: Any, after: Any, name: str) -> None:
    """Raises unless the carry of a loop that goes step by step comes out as it went in."""
    olds, structure = tree.flatten(before)
    news, returned = tree.flatten(after)
    went, came = ([x if isinstance(x, Tracer) else np.asarray(x) for x in leaves] for leaves in (olds, news))
    check_carry(structure, returned, went, came, name)


def check_carry(structure: tree.TreeDef, returned: tree.TreeDef, olds: Sequence[Any], news: Sequence[Any], name: str) -> None:
    """Raises unless both are of one structure, and leaf by leaf of one shape and dtype."""
    if structure != returned:
        raise TreeError(f"{name}: the carry went in as {structure} and came out as {returned}: "
                        f"{tree.difference(structure, returned, 'carry')}; fix: return a carry of the structure that came in")
    changed = next((n for n, (old, new) in enumerate(zip(olds, news)) if (old.shape, old.dtype) != (new.shape, new.dtype)), None)
    if changed is not None:
        path, old, new = structure.paths("carry")[changed], olds[changed], news[changed]
        raise ShapeError(f"{name}: {path} went in as {describe(old)} and came out as {describe(new)}; fix: start with what "
                             "the step returns, such as an array of its dtype")
