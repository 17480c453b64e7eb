"""Whole matrices of derivatives: ``jacfwd`` column by column, ``jacrev`` row by row, ``hessian`` by both."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import is_one
from leptonc.driver import batch, linear_forward, linear_reverse
from leptonc.errors import DtypeError, op_error
from leptonc.ir.differentiation import Linearized
from leptonc.ir.types import TensorType
from leptonc.public import public
from leptonc.trace import bind, call_graph, function_name
from leptonc.transforms import Primal, check_options, positions, trace_selected, with_aux

Argnums = int | Sequence[int]


def jacfwd(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False) -> Callable[..., Any]:
    """A function returning the Jacobian of ``f`` with respect to ``argnums`` by forward mode, a column at a time: for more outputs
    than inputs.

    For each array of the output it has, in the output's structure, what the arguments have at that place (a tuple of such for a
    sequence of ``argnums``): an array of the output's shape followed by the argument's. With ``has_aux``, f returns ``(output,
    aux)`` and the result is ``(jacobian, aux)``. ``holomorphic``: arguments and outputs are complex, and so are the derivatives.
    Raises DtypeError if an argument is not float, or the output no float or complex number.
    """
    return _jacobian("jacfwd", f, argnums, has_aux, holomorphic, _columns)


def jacrev(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False,
           allow_int: bool = False) -> Callable[..., Any]:
    """As ``jacfwd``, by reverse mode, a row at a time: for more inputs than outputs."""
    check_options("jacrev", f, argnums, has_aux, holomorphic, allow_int)
    return _jacobian("jacrev", f, argnums, has_aux, holomorphic, _rows)


jacobian = jacrev  # JAX's name for it


def hessian(f: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False) -> Callable[..., Any]:
    """A function returning the second derivatives of ``f`` with respect to ``argnums``: the Jacobian, by forward mode, of that by
    reverse mode, whose structures are nested in that order."""
    check_options("hessian", f, argnums, has_aux, holomorphic)
    return jacfwd(jacrev(f, argnums, has_aux, holomorphic), argnums, has_aux, holomorphic)


def _jacobian(transform: str, f: Callable[..., Any], argnums: Argnums, has_aux: bool, holomorphic: bool,
              blocks_of: Callable[[Primal, tuple[TensorType, ...]], tuple[Sequence[Any], list[list[Any]]]]) -> Callable[..., Any]:
    check_options(transform, f, argnums, has_aux, holomorphic)
    taken = "c" if holomorphic else "f" if transform == "jacfwd" else "fc"
    given = "c" if holomorphic else "fc" if transform == "jacfwd" else "f"
    name = function_name(f)
    finish = functools.partial(with_aux, transform, name) if has_aux else lambda out: out

    @public
    @functools.wraps(f)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        numbers = positions(f, argnums, len(args), transform)
        chosen = tuple(dict.fromkeys(numbers))
        primal = trace_selected(transform, f, chosen, args, kwargs, finish, taken)
        out_tree = primal.closed.out_tree.children[0] if has_aux else primal.closed.out_tree
        types = primal.closed.graph.output_types[:out_tree.num_leaves]
        _check_outputs(transform, name, types, out_tree, given)
        outputs, blocks = blocks_of(primal, types)
        found = tree.unflatten(out_tree, [_arguments(primal, row, chosen, numbers, is_one(argnums)) for row in blocks])
        out = primal.closed.finished(outputs)
        return (found, out[1]) if has_aux else found

    return jacobian


def _check_outputs(transform: str, name: str, types: Sequence[TensorType], out_tree: tree.TreeDef, kinds: str) -> None:
    for type_, path in zip(types, out_tree.paths("the output")):
        if not type_.dtype.is_inexact:
            raise op_error(transform, f"{path} of {name} is not float", {path: str(type_)}, "return it as aux (has_aux=True)",
                           DtypeError)
        if type_.dtype.kind not in kinds:
            wanted, fix = ("complex", "leave holomorphic out") if kinds == "c" else ("real", "say holomorphic=True, or use jacfwd")
            raise op_error(transform, f"{path} of {name} is not {wanted}", {path: str(type_)}, fix, DtypeError)


def _arguments(primal: Primal, row: Sequence[Any], chosen: Sequence[int], numbers: Sequence[int], one: bool) -> Any:
    """An output's blocks as the arguments are laid out."""
    parts = dict(zip(chosen, tree.unflatten(primal.treedef, row)))
    return parts[numbers[0]] if one else tuple(parts[n] for n in numbers)


def _columns(primal: Primal, outputs: tuple[TensorType, ...]) -> tuple[Sequence[Any], list[list[Any]]]:
    """The outputs, and for each of them a block per input; one direction of the inputs after the other."""
    graph, count = primal.closed.graph, primal.treedef.num_leaves
    parts = linear_forward(graph, tuple(range(count)))
    inputs = graph.input_types[:count]
    results = call_graph(parts.known, primal.inputs)
    given = _fixed(parts, primal, results)
    columns = _mapped(parts, given, inputs)  # of each output [directions, *its shape]
    return results[:len(graph.outputs)], [
        [_turned(part, t) for part, t in zip(_parts(column, inputs), inputs)] for column in columns[:len(outputs)]]


def _rows(primal: Primal, outputs: tuple[TensorType, ...]) -> tuple[Sequence[Any], list[list[Any]]]:
    """As ``_columns``, one direction of the outputs after the other."""
    graph, count = primal.closed.graph, primal.treedef.num_leaves
    parts = linear_reverse(graph, tuple(range(count)))
    results = call_graph(parts.known, primal.inputs)
    unseen = [t for t in graph.output_types[len(outputs):] if t.dtype.is_inexact]  # an aux's
    found = _mapped(parts, _fixed(parts, primal, results), outputs, unseen)
    rows = [primal.cotangent(n, x) for n, x in enumerate(found)]  # of each input [directions, *its shape]
    split = [[bind("reshape", part, shape=(*t.shape, *row.shape[1:])) for part, t in zip(_parts(row, outputs), outputs)]
             for row in rows]
    return results[:len(graph.outputs)], [list(blocks) for blocks in zip(*split)] if split else [[] for _ in outputs]


def _fixed(parts: Linearized, primal: Primal, results: Sequence[Any]) -> list[Any]:
    """What the linear graph takes beside its directions."""
    return [*(primal.inputs[p] for p in parts.needed), *results[len(primal.closed.graph.outputs):]]


def _mapped(parts: Linearized, fixed: Sequence[Any], directions: Sequence[TensorType],
            zeros: Sequence[TensorType] = ()) -> list[Any]:
    """The linear graph's outputs for every unit direction, along a first axis."""
    size = sum(t.size for t in directions)
    axes = [*(None for _ in fixed), *(0 for _ in directions), *(None for _ in zeros)]
    graph, _ = batch(parts.linear, axes, size, None, (True,) * len(parts.linear.outputs))
    rest = [np.zeros(t.shape, t.dtype.numpy) for t in zeros]
    return list(call_graph(graph, [*fixed, *_basis(directions, size), *rest]))


def _basis(types: Sequence[TensorType], size: int) -> list[np.ndarray]:
    """For every type [size, *its shape]: 1 at the direction that is its element's."""
    at, found = 0, []
    for t in types:
        found.append(np.eye(size, t.size, -at, t.dtype.numpy).reshape(size, *t.shape))
        at += t.size
    return found


def _parts(x: Any, types: Sequence[TensorType]) -> list[Any]:
    """x cut along its first axis: as many rows for each type as it has elements."""
    found, at = [], 0
    for t in types:
        rest = len(x.shape) - 1
        found.append(bind("slice", x, start=(at, *(0,) * rest), size=(t.size, *x.shape[1:]), step=(1,) * (rest + 1)))
        at += t.size
    return found


def _turned(x: Any, type_: TensorType) -> Any:
    """[elements of an input, *shape of an output] as [*shape of the output, *shape of the input]."""
    behind = bind("transpose", x, perm=(*range(1, len(x.shape)), 0))
    return bind("reshape", behind, shape=(*x.shape[1:], *type_.shape))
