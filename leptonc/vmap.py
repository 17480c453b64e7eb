"""``vmap``: a function of one example as a function of many, which lie along an axis of its arguments.

The function is traced for one example; its graph is batched (``passes/graph/batch.py``), and put into the enclosing trace, or
evaluated if there is none.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import function, integer
from leptonc.bfloat16 import is_low
from leptonc.collectives import NamedAxis, key_of, name_axis
from leptonc.driver import batch
from leptonc.eager import argument
from leptonc.effects import of_each
from leptonc.errors import ArgumentError, DtypeError, ShapeError, TreeError, op_error
from leptonc.ir.types import TensorType, i32, type_of_array
from leptonc.promotion import SUPPORTED, is_weak
from leptonc.public import public
from leptonc.signature import argument_names, as_leaf, is_array_like
from leptonc.trace import ClosedGraph, Tracer, bind, call_graph, function_name, note, trace_to_graph

Axes = Any  # an int, None, or a tree of them that is a prefix of another


def vmap(f: Callable[..., Any], in_axes: Axes = 0, out_axes: Axes = 0, axis_name: str | None = None,
         axis_size: int | None = None, spmd_axis_name: None = None) -> Callable[..., Any]:
    """``f``, which takes one example, as a function of many that lie along an axis of its arguments.

    ``in_axes`` says along which: an int, None for what all examples share, or a tuple with an entry for each positional
    argument, which may be trees that are prefixes of the arguments'. Keyword arguments are mapped over axis 0. What is shared may
    be anything; f gets it as it came, its elements known if they are. ``out_axes`` says likewise where the results have the axis;
    None is for results that do not depend on an example. Negative axes count from the end. ``axis_name`` names the axis for
    ``lax.psum`` and its like; ``axis_size`` gives the number of examples where no argument does.

    Raises ArgumentError, TreeError or ShapeError for axes that do not fit, ShapeError where arguments differ in their number of
    examples, LeptonError for an op that has no batch rule.
    """
    function("vmap", "f", f)
    if spmd_axis_name is not None:
        raise ArgumentError("vmap: spmd_axis_name is for several devices; fix: leave it out")
    name = f"vmap of {function_name(f)}"
    positions = _checked_axes(name, "in_axes", in_axes)
    results = _checked_axes(name, "out_axes", out_axes)
    if axis_name is not None and not isinstance(axis_name, str):
        raise ArgumentError(f"{name}: axis_name={axis_name!r:.60} must be a string")
    if axis_size is not None:
        integer(name, "axis_size", axis_size, least=0)

    @public
    @functools.wraps(f)
    def mapped(*args: Any, **kwargs: Any) -> Any:
        call = _Call.of(f, name, positions, axis_size, args, kwargs)
        key = None if axis_name is None else key_of(axis_name)
        closed = call.traced(f, axis_name, key)
        shared = (None,) * len(closed.captured)
        places = () if axis_name is None else (0,)
        graph, batched = batch(closed.graph, (*call.mapped_axes, *places, *shared), call.size, key)
        order = (np.arange(call.size, dtype=np.int32),) if places else ()
        found = call_graph(graph, (*call.mapped, *order, *closed.captured))
        return _results(name, closed, found, batched, results, call.size)

    return mapped


def _checked_axes(name: str, what: str, axes: Axes) -> Axes:
    """``in_axes`` or ``out_axes``; a list is a tuple. Raises ArgumentError unless all leaves are ints or None."""
    found = tuple(axes) if isinstance(axes, list) else axes
    if what == "in_axes" and not (found is None or isinstance(found, tuple) or _is_axis(found)):
        raise ArgumentError(f"{name}: in_axes={axes!r:.60} must be an int, None, or a tuple with an entry for each positional "
                            "argument")
    for leaf in tree.leaves(found, is_leaf=_is_none):
        if leaf is not None and not _is_axis(leaf):
            raise ArgumentError(f"{name}: {what}={axes!r:.60} has {leaf!r:.60} where an int or None belongs")
    return found


def _is_axis(x: Any) -> bool:
    return isinstance(x, int | np.integer) and not isinstance(x, bool)


def _is_none(x: Any) -> bool:
    return x is None


def _axes_of_leaves(name: str, what: str, axes: Axes, whole: Any) -> list[int | None]:
    """The axis of each leaf of ``whole``, of which ``axes`` is a prefix."""
    given, structure = tree.flatten(axes, is_leaf=_is_none)
    try:
        parts = tree.flatten_up_to(structure, whole, what)
    except TreeError as error:
        raise TreeError(f"{name}: {what} is no prefix of what it is for: {error.message}") from None
    return [None if axis is None else int(axis) for axis, part in zip(given, parts) for _ in tree.leaves(part)]


@dataclass(frozen=True)
class _Call:
    """The arguments of one call: ``leaves`` of ``(args, kwargs)``, the axis of each (None: shared), and how many examples."""

    leaves: tuple[Any, ...]
    treedef: tree.TreeDef
    names: tuple[str, ...]
    axes: tuple[int | None, ...]
    size: int

    @staticmethod
    def of(f: Callable[..., Any], name: str, in_axes: Axes, size: int | None, args: tuple[Any, ...],
           kwargs: dict[str, Any]) -> _Call:
        leaves, treedef = tree.flatten((args, kwargs))
        names = argument_names(f, treedef)
        if isinstance(in_axes, tuple) and len(in_axes) != len(args):
            raise ArgumentError(f"{name}: in_axes has {len(in_axes)} entries, but it is called with {len(args)} positional "
                                "arguments; fix: keyword arguments are mapped over axis 0")
        given = [*_axes_of_leaves(name, "in_axes", in_axes, args), *(0 for _ in tree.leaves(kwargs))]
        leaves = [_shared(leaf) if axis is None else _array(name, path, leaf) for leaf, path, axis in zip(leaves, names, given)]
        axes = [axis if axis is None else _place(name, path, axis, leaf) for leaf, path, axis in zip(leaves, names, given)]
        return _Call(tuple(leaves), treedef, tuple(names), tuple(axes), _common_size(name, leaves, names, axes, size))

    @property
    def mapped(self) -> tuple[Any, ...]:
        return tuple(leaf for leaf, axis in zip(self.leaves, self.axes) if axis is not None)

    @property
    def mapped_axes(self) -> tuple[int, ...]:
        return tuple(axis for axis in self.axes if axis is not None)

    def traced(self, f: Callable[..., Any], axis_name: str | None, key: str | None) -> ClosedGraph:
        """``f`` of one example. The last input is its place on the axis, if that has a name."""
        @functools.wraps(f)
        def on_examples(*tracers: Tracer) -> Any:
            given = iter(tracers)
            whole = [leaf if axis is None else next(given) for leaf, axis in zip(self.leaves, self.axes)]
            if axis_name is not None and key is not None:
                name_axis(axis_name, NamedAxis(key, self.size, next(given)))
            args, kwargs = tree.unflatten(self.treedef, whole)
            return f(*args, **kwargs)

        types = [_example(leaf, axis) for leaf, axis in zip(self.leaves, self.axes) if axis is not None]
        names = [path for path, axis in zip(self.names, self.axes) if axis is not None]
        if axis_name is not None:
            types, names = [*types, TensorType((), i32)], [*names, f"axis_index({axis_name!r})"]
        weak = [is_weak(leaf) for leaf in self.mapped]
        flags = [*weak, *(False for _ in types[len(weak):])]
        return trace_to_graph(on_examples, types, function_name(f), names, flags, effects=True)


def _shared(leaf: Any) -> Any:
    """A leaf that all examples share, as f sees it: of an array one that meets traced values as they do each other."""
    is_array = isinstance(leaf, np.ndarray) and (leaf.dtype in SUPPORTED or is_low(leaf.dtype))
    return argument(leaf) if is_array else leaf


def _array(name: str, path: str, leaf: Any) -> Any:
    """A mapped leaf. Raises DtypeError if it is no array."""
    if isinstance(leaf, Tracer):
        return leaf
    if not isinstance(leaf, np.ndarray | np.generic | bool | int | float | complex) and not is_array_like(leaf):
        raise op_error(name, f"in_axes maps {path}, which is {leaf!r:.60} of type {type(leaf).__name__}, not an array", {},
                       "give None to share it among all examples", DtypeError)
    return as_leaf(leaf, path, name)


def _place(name: str, path: str, axis: int, leaf: Any) -> int:
    """An axis of a leaf, counted from the start."""
    rank = len(leaf.shape)
    if not -rank <= axis < rank:
        raise op_error(name, f"in_axes maps {path} along axis {axis}, but it has {rank} axes", {path: leaf},
                       "map another axis, or give None to share it among all examples" if rank == 0 else None)
    return axis % rank


def _common_size(name: str, leaves: Sequence[Any], names: Sequence[str], axes: Sequence[int | None], given: int | None) -> int:
    """The number of examples. Raises ShapeError if arguments differ in it, ArgumentError if nothing says it."""
    sizes = {path: leaf.shape[axis] for path, leaf, axis in zip(names, leaves, axes) if axis is not None}
    if given is None and not sizes:
        raise ArgumentError(f"{name}: nothing is mapped, so the number of examples is unknown; fix: an entry of in_axes other than "
                            "None, for an argument that holds an array, or axis_size")
    size = int(given) if given is not None else next(iter(sizes.values()))
    if any(n != size for n in sizes.values()):
        places = {path: axis for path, axis in zip(names, axes) if axis is not None}
        counts = ", ".join(f"{n} in {path} (axis {places[path]})" for path, n in sizes.items())
        raise ShapeError(f"{name}: arguments differ in their number of examples: {counts}"
                         + ("" if given is None else f"; axis_size is {given}"))
    return size


def _example(leaf: Any, axis: int) -> TensorType:
    """The type of one example of a mapped leaf."""
    from_leaf = leaf.type if isinstance(leaf, Tracer) else type_of_array(leaf)
    return from_leaf.with_shape((*from_leaf.shape[:axis], *from_leaf.shape[axis + 1:]))


def _results(name: str, closed: ClosedGraph, found: Sequence[Any], batched: Sequence[int | None], out_axes: Axes, size: int) -> Any:
    count = closed.out_tree.num_leaves
    if closed.effects:
        wanted = zip(found[count:], batched[count:], closed.graph.output_types[count:])
        note([of_each(closed.effects, range(size))], [_placed(name, size, x, at, 0, t, "") for x, at, t in wanted])
    whole = tree.unflatten(closed.out_tree, found[:count])
    axes = _axes_of_leaves(name, "out_axes", out_axes, whole)
    paths = closed.out_tree.paths("the result")
    rows = zip(found, batched, axes, closed.graph.output_types, paths)
    return tree.unflatten(closed.out_tree, [_placed(name, size, *row) for row in rows])


def _placed(name: str, size: int, x: Any, batched: int | None, axis: int | None, example: TensorType, path: str) -> Any:
    """A result with the batch axis where ``out_axes`` wants it."""
    if axis is None:
        if batched is not None:
            raise op_error(name, f"out_axes is None for {path}, which differs from example to example", {path: str(example)},
                           "give it an axis, or reduce it over the examples (leptonc.lax.psum, with axis_name)", ArgumentError)
        return x
    rank = example.rank + 1
    if not -rank <= axis < rank:
        raise op_error(name, f"out_axes puts the axis at {axis} of {path}, which has {rank} axes with it", {path: str(example)})
    axis %= rank
    if batched is None:
        shape = (*example.shape[:axis], size, *example.shape[axis:])
        return bind("broadcast", x, shape=shape, dims=tuple(d for d in range(rank) if d != axis))
    return bind("transpose", x, perm=(*range(1, axis + 1), 0, *range(axis + 1, rank))) if axis else x
