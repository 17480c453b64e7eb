"""Calls: ops whose meaning is the graph in their first region. They carry what differentiation is to do there, and are gone after
``passes/graph/inline.py``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from leptonc.errors import IRError, LeptonError, op_error
from leptonc.frames import Loc
from leptonc.ir.batching import BatchAxis
from leptonc.ir.builder import rebuild
from leptonc.ir.differentiation import Differentiation
from leptonc.ir.evaluate import evaluate
from leptonc.ir.graph import Graph, Node
from leptonc.ir.op import Op, get_op, register
from leptonc.ir.parts import dependents, live_nodes, part
from leptonc.ir.policies import Policy, saved_values
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value

Regions = tuple[Graph, ...]


class Call(Op):
    """``regions[0]`` applied to the operands."""

    results, regional, stores = 0, True, True
    region_count = 1

    def infer(self, *types: TensorType, **attrs: Any) -> tuple[TensorType, ...]:
        regions: Regions = attrs["regions"]
        if len(regions) not in (1, self.region_count) or regions[0].input_types != types:
            raise op_error(self.name, f"the region takes {', '.join(map(str, regions[0].input_types))}",
                           {f"x{n}": t for n, t in enumerate(types)})
        return regions[0].output_types

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        return tuple(evaluate(attrs["regions"][0], arrays, attrs.get("perturb", np.asarray)))

    def inline(self, given: Sequence[bool], /, *operands: Value, **attrs: Any) -> Sequence[Value]:
        """The results, without the call; ``given`` says which operands are the whole graph's inputs."""
        return _inlined(attrs["regions"][0], operands)

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Sequence[Value]:
        """Every region on its own."""
        return _batched(self, axis, batched, operands, attrs)


def _batched(op: Op, axis: BatchAxis, batched: tuple[bool, ...], operands: Sequence[Value],
             attrs: dict[str, Any]) -> Sequence[Value]:
    """All that the regions take and give with the axis."""
    regions = tuple(axis.region(r, (True,) * len(r.inputs), (True,) * len(r.outputs))[0] for r in attrs["regions"])
    return _emit(op, axis.front(batched, operands), _own(attrs), regions)


def _emit(op: Op, operands: Sequence[Value], attrs: dict[str, Any], regions: Regions) -> tuple[Value, ...]:
    out: tuple[Value, ...] = operands[0].builder.emit(op, operands, attrs, regions)
    return out


def _own(attrs: dict[str, Any]) -> dict[str, Any]:
    """The attributes of a node among what its rule gets."""
    return {name: value for name, value in attrs.items() if name != "regions"}


def _inlined(graph: Graph, operands: Sequence[Value]) -> tuple[Value, ...]:
    return operands[0].builder.inline(graph, operands)


def without_rules(graph: Graph) -> Graph:
    """The graph with functions in the place of calls that have derivatives of their own."""
    while any(isinstance(get_op(node.op), CustomCall) for node in graph.nodes):
        builder, env = rebuild(graph)
        for node in graph.nodes:
            operands = [env[i] for i in node.operands]
            called = isinstance(get_op(node.op), CustomCall)
            results = builder.inline(node.regions[0], operands) if called else builder.copy_node(node, operands)
            env.update(zip(node.results, results, strict=True))
        graph = builder.finish([env[i] for i in graph.outputs])
    return graph


def _is_float(x: Value) -> bool:
    return x.dtype.is_inexact


def _or_zero(g: Value | None, like: Value | TensorType, builder: Any) -> Value:
    made: Value = g if g is not None else builder.full(getattr(like, "type", like), 0)
    return made


class CustomCall(Call):
    """A function with a derivative of its own by its first ``args`` operands; the others are what its regions close over.

    Where a rule calls the function itself, the call in it has the function alone as a region, and the same ``level``: by how many
    rules of others it is surrounded. It is made whole when the rule is used.
    """

    def whole(self, attrs: dict[str, Any]) -> Regions:
        """The regions, with the function's calls of itself made whole. Raises IRError if they are not there: a rule on its own."""
        regions: Regions = attrs["regions"]
        if len(regions) != self.region_count:
            raise IRError(f"{self.name}: a call of level {attrs['level']} stands outside of the rule that it belongs to")
        return (regions[0], *(self._completed(r, attrs["level"], regions) for r in regions[1:]))

    def _completed(self, graph: Graph, level: int, regions: Regions) -> Graph:
        def complete(node: Node) -> Node:
            if node.op == self.name and len(node.regions) == 1 and dict(node.attrs)["level"] == level:
                return replace(node, regions=regions)
            return replace(node, regions=tuple(self._completed(r, level, regions) for r in node.regions)) if node.regions else node

        return replace(graph, nodes=tuple(map(complete, graph.nodes)))

    def title(self, attrs: dict[str, Any]) -> str:
        """What errors call it: ``custom_vjp of f``."""
        return f"{self.name.removesuffix('_call')} of {attrs['regions'][0].name}"

    def refuse_closed_over(self, moving: Sequence[bool], attrs: dict[str, Any], operands: Sequence[Value]) -> None:
        """Raises LeptonError if what the function closes over is differentiated."""
        for flag, x in zip(moving[attrs["args"]:], operands[attrs["args"]:]):
            if flag:
                raise op_error(self.title(attrs), "it is differentiated by a value that the function or its rule closes over",
                               {"value": str(x.type)}, "pass the value as an argument of the function", LeptonError)


@register
class custom_vjp_call(CustomCall):
    """Regions: the function; ``fwd``, which gives its results and residuals; ``bwd``, which takes the operands closed over, the
    residuals and a cotangent for each float result, and gives one for each float argument."""

    name, region_count = "custom_vjp_call", 3

    def jvp(self, autodiff: Differentiation, tangents: tuple[Value | None, ...], /, *operands: Value, **attrs: Any) -> Any:
        """For reverse mode of loops and branches, which transposes what it gets: tangents by what pulls them back."""
        results, (_, residuals) = self.forward_pass(autodiff, tuple(t is not None for t in tangents), *operands, **attrs)
        args, builder = attrs["args"], operands[0].builder
        moved = [_or_zero(t, x, builder) for t, x in zip(tangents[:args], operands) if _is_float(x)]
        found = iter(_emit(get_op("custom_vjp_tangents"), (*operands[args:], *residuals, *moved),
                           {"name": self.title(attrs), "tangents": len(moved)}, (self.whole(attrs)[2],)))
        return results, [next(found) if _is_float(y) else None for y in results]

    def forward_pass(self, autodiff: Differentiation, varied: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        self.refuse_closed_over(varied, attrs, operands)
        function, fwd, _ = self.whole(attrs)
        out, count = _inlined(fwd, operands), len(function.outputs)
        return out[:count], (out[:count], out[count:])

    def backward_pass(self, autodiff: Differentiation, saved: Any, g: tuple[Value | None, ...], /, *operands: Value,
                      **attrs: Any) -> list[Value | None]:
        results, residuals = saved
        builder = operands[0].builder
        seeds = [_or_zero(x, y, builder) for x, y in zip(g, results) if _is_float(y)]
        found = iter(builder.inline(self.whole(attrs)[2], (*operands[attrs["args"]:], *residuals, *seeds)))
        return [next(found) if n < attrs["args"] and _is_float(x) else None for n, x in enumerate(operands)]


def _no_tangents(attrs: dict[str, Any], loc: Loc | None = None) -> LeptonError:
    """What is said where tangents of a ``custom_vjp`` are to be computed."""
    return op_error(attrs["name"], "forward mode (jvp, linearize, jacfwd) knows no rule for it", {},
                    "use reverse mode (grad, vjp, jacrev), or define the rule by custom_jvp, which serves both", LeptonError, loc)


@register
class custom_vjp_tangents(Op):
    """Tangents of the float results of a function of which only ``bwd``, the region, is known: it takes the other operands and
    cotangents of the results, and gives those of the last ``tangents`` operands. To be transposed; what computes it is refused."""

    name = "custom_vjp_tangents"
    results, regional, stores = 0, True, True

    def infer(self, *types: TensorType, **attrs: Any) -> tuple[TensorType, ...]:
        bwd: Graph = attrs["regions"][0]
        known = len(types) - attrs["tangents"]
        if (bwd.input_types[:known], bwd.output_types) != (types[:known], types[known:]):
            raise op_error(self.name, f"the region takes {', '.join(map(str, bwd.input_types))} and gives "
                           f"{', '.join(map(str, bwd.output_types))}", {f"x{n}": t for n, t in enumerate(types)})
        return bwd.input_types[known:]

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> Any:
        raise _no_tangents(attrs)

    def jvp(self, autodiff: Differentiation, tangents: tuple[Value | None, ...], /, *operands: Value, **attrs: Any) -> Any:
        known = len(operands) - attrs["tangents"]
        self._refuse_others([t is not None for t in tangents[:known]], attrs)
        results = _emit(self, operands, _own(attrs), attrs["regions"])
        moved = [_or_zero(t, x, x.builder) for t, x in zip(tangents[known:], operands[known:])]
        return results, _emit(self, (*operands[:known], *moved), _own(attrs), attrs["regions"])

    def forward_pass(self, autodiff: Differentiation, varied: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        self._refuse_others(varied[:len(varied) - attrs["tangents"]], attrs)
        return _emit(self, operands, _own(attrs), attrs["regions"]), None

    def backward_pass(self, autodiff: Differentiation, saved: Any, g: tuple[Value | None, ...], /, *operands: Value,
                      **attrs: Any) -> list[Value | None]:
        bwd, known = attrs["regions"][0], len(operands) - attrs["tangents"]
        seeds = [_or_zero(x, t, operands[0].builder) for x, t in zip(g, bwd.input_types[known:])]
        return [*[None] * known, *_inlined(bwd, (*operands[:known], *seeds))]

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Sequence[Value]:
        """As the function's own call."""
        return _batched(self, axis, batched, operands, attrs)

    def _refuse_others(self, moving: Sequence[bool], attrs: dict[str, Any]) -> None:
        """Raises LeptonError where forward mode is differentiated once more."""
        if any(moving):
            raise _no_tangents(attrs)


def refuse_unknown_tangents(graph: Graph) -> None:
    """Raises LeptonError if forward mode has met a function with a ``bwd`` alone."""
    for node in graph.nodes:
        if node.op == custom_vjp_tangents.name:
            raise _no_tangents(node.attributes, node.loc)
        for region in node.regions:
            refuse_unknown_tangents(region)


@register
class custom_jvp_call(CustomCall):
    """Regions: the function; ``jvp``, which takes the operands and a tangent for each float argument, and gives the results and a
    tangent for each float one."""

    name, region_count = "custom_jvp_call", 2

    def jvp(self, autodiff: Differentiation, tangents: tuple[Value | None, ...], /, *operands: Value, **attrs: Any) -> Any:
        args, (function, rule) = attrs["args"], self.whole(attrs)
        self.refuse_closed_over([t is not None for t in tangents], attrs, operands)
        builder = operands[0].builder
        moved = [_or_zero(t, x, builder) for t, x in zip(tangents[:args], operands) if _is_float(x)]
        out = _inlined(rule, (*operands, *moved))
        count = len(function.outputs)
        found = iter(out[count:])
        return out[:count], [next(found) if _is_float(y) else None for y in out[:count]]

    def forward_pass(self, autodiff: Differentiation, varied: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        function, rule = self.whole(attrs)
        self.refuse_closed_over(varied, attrs, operands)
        tangents = len(rule.inputs) - len(operands)
        parts = autodiff.linearized(rule, tangents, len(function.outputs))
        out = _inlined(parts.known, operands)
        linear = without_rules(parts.linear)  # a rule may call its own function of a tangent: what is linear needs no rule
        transposed = autodiff.transpose(linear, tuple(range(len(linear.inputs) - tangents, len(linear.inputs))))
        count = len(function.outputs)
        return out[:count], (transposed, out[:count], [*(operands[p] for p in parts.needed), *out[count:]])

    def backward_pass(self, autodiff: Differentiation, saved: Any, g: tuple[Value | None, ...], /, *operands: Value,
                      **attrs: Any) -> list[Value | None]:
        transposed, results, residuals = saved
        builder = operands[0].builder
        seeds = [_or_zero(x, y, builder) for x, y in zip(g, results) if _is_float(y)]
        found = iter(builder.inline(transposed, (*residuals, *seeds)))
        return [next(found) if n < attrs["args"] and _is_float(x) else None for n, x in enumerate(operands)]


@register
class linear_call(Call):
    """A function that is linear in its last ``linear`` operands, by whatever loop. Regions: the function; its transpose, which
    takes the other operands and a cotangent for each result, and gives those of the last ones. Tangents go through the function,
    cotangents through the transpose; by the other operands there is no derivative."""

    name, region_count = "linear_call", 2

    def jvp(self, autodiff: Differentiation, tangents: tuple[Value | None, ...], /, *operands: Value, **attrs: Any) -> Any:
        known = self._known([t is not None for t in tangents], attrs)
        moved = [_or_zero(t, x, x.builder) for t, x in zip(tangents[known:], operands[known:])]
        own, regions = _own(attrs), attrs["regions"]
        return _emit(self, operands, own, regions), _emit(self, (*operands[:known], *moved), own, regions)

    def forward_pass(self, autodiff: Differentiation, varied: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        known = self._known(varied, attrs)
        if len(attrs["regions"]) < self.region_count:
            raise op_error(attrs["name"], "reverse mode needs its transpose", {}, "give transpose_solve, or symmetric=True",
                           LeptonError)
        return _emit(self, operands, _own(attrs), attrs["regions"]), known

    def backward_pass(self, autodiff: Differentiation, saved: Any, g: tuple[Value | None, ...], /, *operands: Value,
                      **attrs: Any) -> list[Value | None]:
        function, transpose = attrs["regions"]
        seeds = [_or_zero(x, t, operands[0].builder) for x, t in zip(g, function.output_types)]
        return [*[None] * saved, *_inlined(transpose, (*operands[:saved], *seeds))]

    def _known(self, moving: Sequence[bool], attrs: dict[str, Any]) -> int:
        """How many operands it is not linear in. Raises LeptonError if it is differentiated by one of them."""
        known = len(moving) - int(attrs["linear"])
        if any(moving[:known]):
            raise op_error(attrs["name"], "there is no derivative of this order by what the function closes over", {},
                           kind=LeptonError)
        return known


def _kept(whole: Graph, given: tuple[int, ...], policy: Policy) -> tuple[int, ...]:
    """What is saved of a graph of forward mode whose inputs behind ``given`` are tangents: what depends on none and is
    needed for them."""
    moving = dependents(whole, whole.inputs[len(given):])
    read = {i for node in whole.nodes if not moving.isdisjoint(node.results) for i in node.operands}
    behind = {i for node in live_nodes(whole.nodes, read - moving, given) for i in node.results}
    return tuple(i for i in saved_values(policy, whole.nodes) if i in behind and i not in moving)


@register
class checkpoint_call(Call):
    """A function of which reverse mode saves what ``policy`` says, and computes the rest anew. The last ``cotangents`` operands of
    one that does so are what its work must wait for, with ``prevent_cse``: else it would be done in the forward pass, and kept."""

    name = "checkpoint_call"

    def jvp(self, autodiff: Differentiation, tangents: tuple[Value | None, ...], /, *operands: Value, **attrs: Any) -> Any:
        """A call for the results, and what of it is saved if it is to be cut from the tangents, and one for the tangents."""
        function, own = attrs["regions"][0], _own(attrs)
        wrt, count = [n for n, t in enumerate(tangents) if t is not None], len(function.outputs)
        whole = autodiff.forward(function, wrt)
        given = whole.inputs[:len(function.inputs)]
        kept = _kept(whole, given, own["policy"]) if autodiff.apart else ()
        known = part(whole, given, (*whole.outputs[:count], *kept)) if kept else function
        pushed = part(whole, (*whole.inputs, *kept), whole.outputs[count:])
        out = _emit(self, operands, own, (known,))
        moved = [t for t in tangents if t is not None]
        found = iter(self._on_what_it_reads(pushed, (*operands, *moved, *out[count:]), own))
        return out[:count], [next(found) if _is_float(y) else None for y in out[:count]]

    def _on_what_it_reads(self, graph: Graph, operands: Sequence[Value], attrs: dict[str, Any]) -> tuple[Value, ...]:
        """A call of ``graph``. What is linear in some operands does not depend on them once it is pushed forward, and must not
        seem to."""
        read = {i for node in graph.nodes for i in node.operands} | set(graph.outputs)
        kept = [n for n, i in enumerate(graph.inputs) if i in read]
        waited = sum(n >= len(operands) - attrs["cotangents"] for n in kept)
        inner = part(graph, [graph.inputs[n] for n in kept], graph.outputs)
        if not kept:
            return operands[0].builder.inline(inner, ())
        return _emit(self, [operands[n] for n in kept], attrs | {"cotangents": waited}, (inner,))

    def forward_pass(self, autodiff: Differentiation, varied: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        function, policy = attrs["regions"][0], attrs["policy"]
        wrt = [n for n, flag in enumerate(varied) if flag and _is_float(operands[n])]

        def saves(nodes: Sequence[Node]) -> tuple[int, ...]:  # a part that is linear comes after what is saved
            return () if autodiff.linear else saved_values(policy, nodes)

        parts = autodiff.split(function, wrt, saves)
        out = _emit(self, operands, _own(attrs), (parts.forward,))
        count = len(function.outputs)
        return out[:count], (parts, wrt, out)

    def backward_pass(self, autodiff: Differentiation, saved: Any, g: tuple[Value | None, ...], /, *operands: Value,
                      **attrs: Any) -> list[Value | None]:
        parts, wrt, out = saved
        count, builder = len(attrs["regions"][0].outputs), operands[0].builder
        seeds = [_or_zero(x, y, builder) for x, y in zip(g, out[:count]) if _is_float(y)]
        given = (*(operands[p] for p in parts.needed), *out[count:], *seeds)
        found = _emit(self, given, _own(attrs) | {"cotangents": len(seeds)}, (parts.backward,))
        cotangents: list[Value | None] = [None] * len(operands)
        for position, cotangent in zip(wrt, found, strict=True):
            cotangents[position] = cotangent
        return cotangents

    def inline(self, given: Sequence[bool], /, *operands: Value, **attrs: Any) -> Sequence[Value]:
        """Operands that the whole graph is given stay as they are: nothing that is made of them alone is recomputed, which is
        little, such as a transposed weight; where there are only such, all wait."""
        count = attrs["cotangents"]
        ready = next((g for g in operands[len(operands) - count:] if g.type.size), None) if attrs["prevent_cse"] and count else None
        if ready is None:
            return super().inline(given, *operands, **attrs)
        token, barrier = get_op("barrier_token")(ready), get_op("barrier")
        fixed = len(operands) - count
        waits = [not flag or all(given[:fixed]) for flag in given[:fixed]] + [False] * count
        return super().inline(given, *(barrier(x, token) if wait else x for x, wait in zip(operands, waits)), **attrs)
