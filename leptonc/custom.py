"""Functions with derivatives of their own: ``custom_vjp`` and ``custom_jvp``.

A call is one node; the function and its rules are traced when it is called, and are the node's regions. A rule that calls its own
function (``fwd`` often does) would be traced for ever: there, the node has the function alone as a region, and gets the rest
when the rule is used (``ops/calls.py``).
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import function, integers, items
from leptonc.calls import closed_over, region
from leptonc.containers import LEAF, TreeDef
from leptonc.errors import ArgumentError, DtypeError, LeptonError, ShapeError, TreeError, describe, op_error
from leptonc.ir.types import TensorType
from leptonc.promotion import is_weak
from leptonc.public import hide_own_frames
from leptonc.signature import argument_names, as_leaf, leaf_type, parameter_names
from leptonc.trace import ClosedGraph, Tracer, bind, cast, function_name, trace_to_graph, tracing, weakened_as


class _CustomFunction:
    """What both kinds share: arguments by position, those not differentiated apart, and methods."""

    def __init__(self, fun: Callable[..., Any], nondiff_argnums: int | Sequence[int] = (),
                 nondiff_argnames: str | Sequence[str] = ()):
        kind = type(self).__name__
        functools.update_wrapper(self, function(kind, "fun", fun))
        self.fun = fun
        self.name = f"{kind} of {function_name(fun)}"
        self.nondiff_argnums = (*integers(kind, "nondiff_argnums", nondiff_argnums), *self._places(kind, nondiff_argnames))

    def _places(self, kind: str, names: str | Sequence[str]) -> list[int]:
        """The positions of arguments with these names."""
        known = parameter_names(self.fun)
        given = items(names)
        if unknown := [name for name in given if name not in known]:
            raise ArgumentError(f"{self.name}: nondiff_argnames={unknown}, but it takes {', '.join(known)}")
        return [list(known).index(name) for name in given]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            call = _Call.of(self.fun, self.name, self.nondiff_argnums, self._by_position(args, kwargs))
            self._check_rule()
            return self._traced(call) if tracing() else self.fun(*args, **kwargs)
        except Exception as error:
            hide_own_frames(error)
            raise

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def _by_position(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments, defaults included. Raises ArgumentError if one can only be given by name."""
        try:
            bound = inspect.signature(self.fun).bind(*args, **kwargs)
        except ValueError:  # of a built-in function
            return args
        except TypeError as error:
            raise ArgumentError(f"{self.name}: {error}") from None
        bound.apply_defaults()
        if bound.kwargs:
            raise ArgumentError(f"{self.name}: {', '.join(bound.kwargs)} can only be given by name, and rules take their arguments "
                                "by position; fix: make it positional")
        return bound.args

    def _check_rule(self) -> None:
        raise NotImplementedError

    def _rules(self, call: _Call, primal: ClosedGraph) -> list[tuple[ClosedGraph, int]]:
        """The rules traced, each with the position among its inputs of what it closes over."""
        raise NotImplementedError

    def _traced(self, call: _Call) -> Any:
        op = f"{type(self).__name__}_call"
        own = next((r for r in _within.get() if r.is_of(self, call)), None)
        if own is not None:
            own.called = True
            return call.emit(op, own.primal, own.captured, [(own.primal, len(call.leaves))], own.level)
        primal = call.primal()
        rule = _Rule(self, call, primal, closed_over(primal), len(_within.get()))
        rules = rule.trace()
        captured = closed_over(primal, *(closed for closed, _ in rules))
        if rule.called and len(captured) > len(rule.captured):  # once more, now that it is known what a call in a rule takes
            rule.captured = captured
            rules = rule.trace()
        if not any(isinstance(x, Tracer) for x in (*call.leaves, *captured)):
            return self.fun(*call.arguments(call.leaves))
        return call.emit(op, primal, captured, [(primal, len(call.leaves)), *rules], rule.level)


@dataclass(frozen=True)
class _Call:
    """One call. ``fixed`` are arguments not differentiated, by position, which rules get first; ``leaves`` those of the others."""

    fun: Callable[..., Any]
    name: str
    count: int
    fixed: dict[int, Any]
    leaves: tuple[Any, ...]
    treedef: tree.TreeDef
    paths: tuple[str, ...]

    @staticmethod
    def of(fun: Callable[..., Any], name: str, nondiff: Sequence[int], args: tuple[Any, ...]) -> _Call:
        for n in nondiff:
            if not -len(args) <= n < len(args):
                raise ArgumentError(f"{name}: nondiff_argnums={tuple(nondiff)}, but it is called with {len(args)} arguments")
        places = {n % len(args) for n in nondiff}
        dynamic = tuple(x for n, x in enumerate(args) if n not in places)
        leaves, treedef = tree.flatten(dynamic)
        roots = argument_names(fun, tree.structure((tuple(0 for _ in args), {})))
        shown = [root for n, root in enumerate(roots) if n not in places]
        paths = [path for root, child in zip(shown, treedef.children) for path in child.paths(root)]
        made = tuple(leaf if isinstance(leaf, Tracer) or is_weak(leaf) else as_leaf(leaf, path, name)
                     for leaf, path in zip(leaves, paths))
        return _Call(fun, name, len(args), {n: args[n] for n in sorted(places)}, made, treedef, tuple(paths))

    @property
    def types(self) -> list[TensorType]:
        return [leaf_type(leaf, path, self.name) for leaf, path in zip(self.leaves, self.paths)]

    @property
    def weak(self) -> list[bool]:
        return [is_weak(leaf) for leaf in self.leaves]

    @property
    def floats(self) -> list[int]:
        """The positions of leaves that have tangents and cotangents."""
        return [n for n, t in enumerate(self.types) if t.dtype.is_inexact]

    def arguments(self, leaves: Sequence[Any]) -> list[Any]:
        """All arguments of the function, from its leaves."""
        rest = iter(tree.unflatten(self.treedef, leaves))
        return [self.fixed[n] if n in self.fixed else next(rest) for n in range(self.count)]

    def trace(self, body: Callable[..., Any], extra: Sequence[TensorType] = (), what: str = "",
              extra_weak: Sequence[bool] = ()) -> ClosedGraph:
        """``body`` traced over the leaves of the arguments, then values of the types ``extra``, none of them weak if not said."""
        weak = [*self.weak, *(extra_weak or (False,) * len(extra))]
        paths = [*self.paths, *("" for _ in extra)]
        return trace_to_graph(functools.wraps(self.fun)(body), [*self.types, *extra], what or function_name(self.fun), paths, weak)

    def primal(self) -> ClosedGraph:
        return self.trace(lambda *leaves: self.fun(*self.arguments(leaves)))

    def tangents(self, given: Sequence[Any]) -> tuple[Any, ...]:
        """Tangents of the float leaves as arguments, zeros for integers."""
        found = iter(given)
        whole = [next(found) if t.dtype.is_inexact else np.zeros(t.shape, t.dtype.numpy) for t in self.types]
        arguments: tuple[Any, ...] = tree.unflatten(self.treedef, whole)
        return arguments

    def emit(self, op: str, primal: ClosedGraph, captured: Sequence[Tracer], closed: Sequence[tuple[ClosedGraph, int]],
             level: int) -> Any:
        regions = tuple(region(one, captured, at) for one, at in closed)
        out = bind(op, *self.leaves, *captured, regions=regions, args=len(self.leaves), level=level)
        return tree.unflatten(primal.out_tree, weakened_as(out, primal.out_weak))

    def is_like(self, other: _Call) -> bool:
        """Whether both are of one structure, of the same types, and have the same fixed arguments."""
        return (self.treedef == other.treedef and self.types == other.types and self.fixed.keys() == other.fixed.keys()
                and all(_is_same(x, other.fixed[n]) for n, x in self.fixed.items()))


def _is_same(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and isinstance(a, int | float | str) and a == b)


class _Rule:
    """The rules of a call while they are traced. ``captured``: what the call closes over, as far as it is known; ``called``:
    whether a rule called the function again; ``level``: how many rules of other functions are being traced around it."""

    def __init__(self, owner: _CustomFunction, call: _Call, primal: ClosedGraph, captured: tuple[Tracer, ...], level: int):
        self.owner, self.call, self.primal, self.captured, self.level = owner, call, primal, captured, level
        self.called = False

    def is_of(self, owner: _CustomFunction, call: _Call) -> bool:
        return self.owner is owner and self.call.is_like(call)

    def trace(self) -> list[tuple[ClosedGraph, int]]:
        token = _within.set((*_within.get(), self))
        try:
            return self.owner._rules(self.call, self.primal)
        finally:
            _within.reset(token)


_within: contextvars.ContextVar[tuple[_Rule, ...]] = contextvars.ContextVar("rules", default=())


class custom_vjp(_CustomFunction):
    """A function whose reverse-mode derivative is given by ``defvjp``.

    ``nondiff_argnums`` are positions, ``nondiff_argnames`` names, of arguments that are passed to the rules as they are, first:
    ``bwd(*nondiff, residuals, cotangent)``. Forward mode does not take it. To differentiate by a value that the function or a rule
    closes over is an error.

        @leptonc.custom_vjp
        def f(x): return leptonc.numpy.log1p(leptonc.numpy.exp(x))
        f.defvjp(lambda x: (f(x), x), lambda x, g: (g * leptonc.nn.sigmoid(x),))
    """

    fwd: Callable[..., Any] | None = None
    bwd: Callable[..., Any] | None = None

    def defvjp(self, fwd: Callable[..., Any], bwd: Callable[..., Any]) -> None:
        """``fwd(*args)`` gives ``(output, residuals)``, a tree of arrays; ``bwd(residuals, cotangent)`` a tuple with the cotangent
        of each argument, None for a zero."""
        self.fwd = function(self.name, "fwd", fwd)
        self.bwd = function(self.name, "bwd", bwd)

    def _check_rule(self) -> None:
        if self.fwd is None:
            raise LeptonError(f"{self.name} has no rule; fix: {function_name(self.fun)}.defvjp(fwd, bwd)")

    def _rules(self, call: _Call, primal: ClosedGraph) -> list[tuple[ClosedGraph, int]]:
        assert self.fwd is not None and self.bwd is not None
        fwd, bwd = self.fwd, self.bwd
        forward = call.trace(lambda *leaves: fwd(*call.arguments(leaves)), what=f"fwd of {function_name(self.fun)}")
        out_tree, residual_tree = _pair(forward.out_tree, self.name, "fwd", "(output, residuals)")
        count = out_tree.num_leaves
        _check_same(f"{self.name}: fwd's output", primal, out_tree, forward.graph.output_types[:count])
        residuals = forward.graph.output_types[count:]
        seeds = [t for t in primal.graph.output_types if t.dtype.is_inexact]

        def backward(*leaves: Tracer) -> list[Any]:
            saved = tree.unflatten(residual_tree, leaves[:len(residuals)])
            cotangent = _spread(primal, leaves[len(residuals):])
            return _argument_cotangents(call, bwd(*call.fixed.values(), saved, cotangent))

        weak = [*forward.out_weak[count:], *(False for _ in seeds)]
        reverse = trace_to_graph(backward, [*residuals, *seeds], f"bwd of {function_name(self.fun)}", (), weak)
        return [(forward, len(call.leaves)), (reverse, 0)]


def _pair(found: tree.TreeDef, name: str, rule: str, wanted: str) -> tuple[tree.TreeDef, tree.TreeDef]:
    if found.kind not in (tuple, list) or len(found.children) != 2:
        raise TreeError(f"{name}: {rule} must return a pair {wanted}, returned {found}")
    return found.children[0], found.children[1]


def _check_same(what: str, primal: ClosedGraph, out_tree: tree.TreeDef, types: Sequence[TensorType]) -> None:
    """Raises unless a rule's output is of the function's structure and types."""
    reason = tree.difference(primal.out_tree, out_tree, "the output")
    if reason:
        raise TreeError(f"{what} is not of the function's structure: {reason}")
    for path, wanted, got in zip(out_tree.paths("the output"), primal.graph.output_types, types):
        if wanted != got:
            kind: type[LeptonError] = ShapeError if wanted.shape != got.shape else DtypeError
            raise kind(f"{what} differs from the function's: {path} is {got}, the function's {wanted}")


def _spread(primal: ClosedGraph, floats: Sequence[Any]) -> Any:
    """Cotangents of the float outputs in the output's structure, zeros for integers."""
    given = iter(floats)
    return tree.unflatten(primal.out_tree, [next(given) if t.dtype.is_inexact else np.zeros(t.shape, t.dtype.numpy)
                                            for t in primal.graph.output_types])


def _argument_cotangents(call: _Call, found: Any) -> list[Any]:
    """What ``bwd`` returned, as an array for each float leaf. Raises TreeError, ShapeError or DtypeError for what does not fit."""
    arguments = call.treedef.children
    if not isinstance(found, tuple | list) or len(found) != len(arguments):
        got = f"{len(found)} of them" if isinstance(found, tuple | list) else describe(found)
        raise TreeError(f"{call.name}: bwd must return a tuple with a cotangent for each of the {len(arguments)} arguments (None "
                        f"for a zero), returned {got}")
    leaves = [leaf for part, child in zip(found, arguments) for leaf in _leaves_or_none(call, part, child)]
    return [_fitting(call, leaf, path, t, weak) for leaf, path, t, weak in zip(leaves, call.paths, call.types, call.weak)
            if t.dtype.is_inexact]


def _leaves_or_none(call: _Call, part: Any, structure: tree.TreeDef) -> list[Any]:
    """The leaves of one argument's cotangent; None for a subtree is a zero for each leaf of it."""
    if part is None:
        return [None] * structure.num_leaves
    if structure.is_leaf:
        return [part]
    try:
        parts = tree.flatten_up_to(_shallow(structure), part, "the cotangent")
    except TreeError as error:
        raise TreeError(f"{call.name}: bwd returned a cotangent of another structure than its argument: {error.message}") from None
    return [leaf for x, child in zip(parts, structure.children) for leaf in _leaves_or_none(call, x, child)]


def _shallow(structure: tree.TreeDef) -> tree.TreeDef:
    return TreeDef(structure.kind, structure.data, (LEAF,) * len(structure.children))


def _fitting(call: _Call, leaf: Any, path: str, wanted: TensorType, weak: bool) -> Any:
    """The cotangent of an argument's leaf, cast to its dtype if either is ``weak``."""
    if leaf is None:
        return np.zeros(wanted.shape, wanted.dtype.numpy)
    got = leaf_type(leaf, path, call.name)
    if got.shape != wanted.shape:
        raise op_error(call.name, f"bwd's cotangent of {path} is {got}, must be {wanted}", {})
    if got.dtype != wanted.dtype and not (weak or is_weak(leaf)):
        raise op_error(call.name, f"bwd's cotangent of {path} is {got}, must be {wanted}", {}, f"cast it to {wanted.dtype}",
                       DtypeError)
    return cast(leaf, wanted.dtype.numpy)


class custom_jvp(_CustomFunction):
    """A function whose derivative is given by ``defjvp`` or ``defjvps``, for forward mode and, transposed, for reverse mode.

        @leptonc.custom_jvp
        def f(x, y): return leptonc.numpy.sin(x) * y

        @f.defjvp
        def f_jvp(primals, tangents): ...  # returns (f(*primals), tangent)
    """

    rule: Callable[..., Any] | None = None

    def defjvp(self, jvp: Callable[..., Any]) -> Callable[..., Any]:
        """``jvp(primals, tangents)``, tuples, gives ``(output, its tangent)``, the latter linear in ``tangents``. Arguments
        not differentiated come first. It returns the rule, and so serves as a decorator."""
        self.rule = function(self.name, "jvp", jvp)
        return jvp

    def defjvps(self, *jvps: Callable[..., Any] | None) -> None:
        """A rule for each argument, None for one that the output does not depend on: ``jvp(tangent, output, *args)`` gives what the
        argument's tangent adds to the output's."""
        if self.nondiff_argnums:
            raise ArgumentError(f"{self.name}: defjvps does not go with nondiff_argnums; fix: defjvp")
        for n, rule in enumerate(jvps):
            if rule is not None:
                function(self.name, f"jvps[{n}]", rule)

        def jvp(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
            if len(jvps) != len(primals):
                raise ArgumentError(f"{self.name}: {len(jvps)} rules by defjvps, but {len(primals)} arguments")
            out = self(*primals)
            parts = [rule(t, out, *primals) for rule, t in zip(jvps, tangents) if rule is not None]
            if not parts:
                return out, tree.map(lambda x: np.zeros(x.shape, x.dtype), out)
            return out, functools.reduce(lambda a, b: tree.map(lambda x, y: x + y, a, b), parts)

        self.rule = jvp

    def _check_rule(self) -> None:
        if self.rule is None:
            raise LeptonError(f"{self.name} has no rule; fix: {function_name(self.fun)}.defjvp(jvp)")

    def _rules(self, call: _Call, primal: ClosedGraph) -> list[tuple[ClosedGraph, int]]:
        rule, count = self.rule, len(call.leaves)
        assert rule is not None

        def forward(*leaves: Tracer) -> Any:
            primals, tangents = tree.unflatten(call.treedef, leaves[:count]), call.tangents(leaves[count:])
            return _checked_pair(self.name, primal, rule(*call.fixed.values(), primals, tangents))

        types, weak = zip(*((call.types[n], call.weak[n]) for n in call.floats)) if call.floats else ((), ())
        return [(call.trace(forward, types, f"jvp of {function_name(self.fun)}", weak), count)]


def _checked_pair(name: str, primal: ClosedGraph, out: Any) -> tuple[list[Any], list[Any]]:
    """The leaves of what a jvp rule returned: of the output, and of the tangents of floats. Raises for what does not fit."""
    if not isinstance(out, tuple | list) or len(out) != 2:
        raise TreeError(f"{name}: jvp must return a pair (output, tangent), returned {describe(out)}")
    found = []
    for what, part in zip(("output", "tangent"), out):
        leaves, structure = tree.flatten(part)
        reason = tree.difference(primal.out_tree, structure, f"the {what}")
        if reason:
            raise TreeError(f"{name}: jvp's {what} is not of the function's structure: {reason}")
        found.append([_of_type(name, what, leaf, t) for leaf, t in zip(leaves, primal.graph.output_types)])
    return found[0], [t for t, type_ in zip(found[1], primal.graph.output_types) if type_.dtype.is_inexact]


def _of_type(name: str, what: str, leaf: Any, wanted: TensorType) -> Any:
    if what == "tangent" and not wanted.dtype.is_inexact:
        return leaf
    got = leaf_type(leaf, what, name)
    if got.shape != wanted.shape or (got.dtype != wanted.dtype and not is_weak(leaf)):
        kind: type[LeptonError] = ShapeError if got.shape != wanted.shape else DtypeError
        raise kind(f"{name}: jvp's {what} has {got} where the function gives {wanted}")
    return cast(leaf, wanted.dtype.numpy)
