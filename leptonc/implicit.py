"""``lax.custom_linear_solve`` and ``lax.custom_root``: results that equations define, with derivatives of the equations.

How a solution is found, by a loop or anything else, is not differentiated. What the equation's function closes over is made an
argument, so that there are derivatives by it; what only the solver closes over counts as constant.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from leptonc import tree
from leptonc.arguments import array, flag, function
from leptonc.calls import closed_over, region
from leptonc.custom import custom_jvp
from leptonc.errors import ShapeError, TreeError, op_error
from leptonc.forward import jvp, linear_transpose
from leptonc.ir.graph import Graph
from leptonc.ir.types import TensorType, dtype_of
from leptonc.public import publish
from leptonc.trace import ClosedGraph, Tracer, bind, call_graph, function_name, trace_to_graph, tracing

Function = Callable[..., Any]


def custom_linear_solve(matvec: Function, b: Any, solve: Function, transpose_solve: Function | None = None, symmetric: bool = False,
                        has_aux: bool = False) -> Any:
    """``solve(matvec, b)``: x with matvec(x) = b, a tree like b, for a linear ``matvec``.

    Tangents are solutions of the same equation, by ``solve``; cotangents those of the transposed one, by ``transpose_solve(vecmat,
    cotangent)``, by ``solve`` if ``symmetric``. With ``has_aux`` solvers give (x, what else they found), which has no derivative.
    There are derivatives of second order, and any of forward mode. Raises TreeError or ShapeError for an x that is not like b.
    """
    name = "custom_linear_solve"
    for what, f in (("matvec", matvec), ("solve", solve), ("transpose_solve", transpose_solve)):
        if f is not None or what != "transpose_solve":
            function(name, what, f)
    same, more = flag(name, "symmetric", symmetric), flag(name, "has_aux", has_aux)
    if not tracing():
        return solve(matvec, b)
    system = _System(name, b)
    aux = _aux_of(solve(matvec, _constant(b))) if more else None

    def first(found: Any) -> Any:
        return _pair(name, found)[0] if more else found

    product = system.traced(matvec, "matvec")
    solved = system.traced(lambda x: first(solve(matvec, x)), "solve")
    back = solve if same else transpose_solve
    pulled = linear_transpose(matvec, b)

    def vecmat(y: Any) -> Any:
        return pulled(y)[0]

    adjoint = system.traced(vecmat, "the transpose of matvec") if back is not None else None
    unsolved = system.traced(lambda x: first(back(matvec if same else vecmat, x)), "transpose_solve") if back is not None else None
    captured = closed_over(*(c for c in (product, solved, adjoint, unsolved) if c is not None))
    own = _graph(solved, captured)
    if adjoint is None or unsolved is None:
        answer = system.solution(_graph(product, captured), captured, (own,))
    else:
        other = _graph(unsolved, captured)
        turned = system.solution(_graph(adjoint, captured), captured, (other, own))
        types = [*(x.type for x in captured), *system.types]
        both = trace_to_graph(lambda *xs: turned(*xs), types, f"{name}, transposed").graph
        answer = system.solution(_graph(product, captured), captured, (own, both))
    x = system.unflatten(answer(*_differentiated(captured, product), *system.leaves))
    return (x, aux) if more else x


class _System:
    """The leaves of b, and functions of a tree like it as functions of leaves."""

    def __init__(self, name: str, b: Any):
        leaves, self.structure = tree.flatten(b)
        self.name = name
        self.leaves = [array(name, f"leaf {n} of b", x) for n, x in enumerate(leaves)]
        self.types = [TensorType(tuple(x.shape), dtype_of(x.dtype)) for x in self.leaves]

    def unflatten(self, leaves: Sequence[Any]) -> Any:
        return tree.unflatten(self.structure, leaves)

    def traced(self, f: Function, what: str) -> ClosedGraph:
        """Raises TreeError or ShapeError if what it gives is not like b."""
        closed = trace_to_graph(lambda *leaves: f(self.unflatten(leaves)), self.types, function_name(f))
        reason = tree.difference(self.structure, closed.out_tree, "the result")
        if reason:
            raise TreeError(f"{self.name}: what {what} gives is not of b's structure: {reason}")
        for wanted, got in zip(self.types, closed.graph.output_types):
            if wanted != got:
                raise op_error(self.name, f"{what} gives {got}, not {wanted} as b", {}, kind=ShapeError)
        return closed

    def solution(self, product: Graph, captured: Sequence[Tracer], solvers: tuple[Graph, ...]) -> Any:
        """A function of what is closed over, and b's leaves."""
        count, name = len(captured), self.name

        @custom_jvp
        def solved(*args: Any) -> Any:
            return bind("linear_call", *args, regions=solvers, linear=len(args) - count, name=name)

        @solved.defjvp
        def tangents(primals: tuple[Any, ...], moved: tuple[Any, ...]) -> tuple[Any, Any]:
            """Of A x = b: A dx = db - dA x."""
            x = solved(*primals)
            change = _moved_by(product, primals[:count], moved[:count], x)
            return x, solved(*primals[:count], *(db - dx for db, dx in zip(moved[count:], change, strict=True)))

        return solved


def custom_root(f: Function, initial_guess: Any, solve: Function, tangent_solve: Function, has_aux: bool = False) -> Any:
    """``solve(f, initial_guess)``: x with f(x) = 0, a tree like the guess, differentiable by what ``f`` closes over.

    ``tangent_solve(g, y)`` gives z with g(z) = y for f's derivative g at the root, which is linear: ``lambda g, y: y / g(1.0)`` of
    numbers; for reverse mode its own derivative is taken, as of ``custom_linear_solve``. With ``has_aux`` ``solve`` gives (x, what
    else it found), which has no derivative. Raises TreeError or ShapeError for an x, or an f(x), that is not like the guess.
    """
    name = "custom_root"
    for what, given in (("f", f), ("solve", solve), ("tangent_solve", tangent_solve)):
        function(name, what, given)
    more = flag(name, "has_aux", has_aux)
    if not tracing():
        return solve(f, initial_guess)
    system = _System(name, _constant(initial_guess))
    aux = _aux_of(solve(f, _constant(initial_guess))) if more else None
    equation = system.traced(f, "f")
    solved = system.traced(lambda x: _pair(name, solve(f, x))[0] if more else solve(f, x), "solve")
    captured = closed_over(equation, solved)
    inner, own, count = _graph(equation, captured), _graph(solved, captured), len(captured)

    @custom_jvp
    def root(*args: Any) -> Any:
        return call_graph(own, args)

    @root.defjvp
    def tangents(primals: tuple[Any, ...], moved: tuple[Any, ...]) -> tuple[Any, Any]:
        """Of f(x) = 0: f'(x) dx = -df."""
        known, x = primals[:count], root(*primals)

        def slope(v: Any) -> Any:
            leaves = tuple(tree.leaves(v))
            return system.unflatten(jvp(lambda *y: call_graph(inner, (*known, *y)), x, leaves)[1])

        change = _moved_by(inner, known, moved[:count], x)
        return x, tuple(tree.leaves(tangent_solve(slope, system.unflatten([-c for c in change]))))

    x = system.unflatten(root(*_differentiated(captured, equation), *system.leaves))
    return (x, aux) if more else x


def _graph(closed: ClosedGraph, captured: Sequence[Tracer]) -> Graph:
    return region(closed, captured, 0)


def _differentiated(captured: Sequence[Tracer], equation: ClosedGraph) -> list[Any]:
    """What is closed over: constants, but for what the equation itself reads."""
    own = {(id(x.trace), x.value.id) for x in equation.captured}
    return [x if (id(x.trace), x.value.id) in own else bind("stop_gradient", x) for x in captured]


def _moved_by(graph: Graph, known: Sequence[Any], moved: Sequence[Any], x: Sequence[Any]) -> Sequence[Any]:
    """The tangents of a function of ``known`` and x by those of ``known``; x stays."""
    floats = [n for n, k in enumerate(known) if dtype_of(k.dtype).is_inexact]
    if not floats:
        return [leaf * 0 for leaf in x]

    def of(*given: Any) -> Any:
        found = dict(zip(floats, given, strict=True))
        return call_graph(graph, (*(found.get(n, k) for n, k in enumerate(known)), *x))

    return jvp(of, tuple(known[n] for n in floats), tuple(moved[n] for n in floats))[1]


def _constant(x: Any) -> Any:
    return tree.map(lambda leaf: bind("stop_gradient", leaf) if isinstance(leaf, Tracer) else leaf, x)


def _pair(name: str, found: Any) -> tuple[Any, Any]:
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise TreeError(f"{name}: with has_aux a solver gives a pair (x, aux)")
    return found[0], found[1]


def _aux_of(found: Any) -> Any:
    return _constant(_pair("has_aux", found)[1])


__all__ = ["custom_linear_solve", "custom_root"]

publish(globals(), __all__)
