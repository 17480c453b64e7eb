"""``scan``: a step repeated over data in memory, without going back to Python for each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import flag, function, integer
from leptonc.eager import jit_disabled
from leptonc.effects import of_each
from leptonc.errors import LeptonError, ShapeError, TreeError
from leptonc.ir.types import TensorType
from leptonc.jit import Jitted, jit
from leptonc.memory import empty
from leptonc.numpy.creation import stack
from leptonc.pieces import Pieces
from leptonc.promotion import asarray, is_weak
from leptonc.regions import (
    begun,
    check_carry,
    check_trip,
    closed_together,
    hashable,
    leaf_values,
    outside,
    settled,
    traced,
    type_of,
)
from leptonc.signature import as_leaf
from leptonc.stages import Compiled
from leptonc.trace import ClosedGraph, Tracer, bind, function_name, known, note, weakened_as

STEPS_KEPT = 128  # functions whose compiled steps are kept
NUMBER = "an argument is a Python number; fix: an array"


def scan(f: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any = None, length: int | None = None,
         reverse: bool = False, unroll: int | bool = 1) -> tuple[Any, Any]:
    """``carry, y = f(carry, x)`` for each x along the first axis of ``xs``; returns the last carry, and the ys stacked.

    ``init`` and ``xs`` are trees; every leaf of ``xs`` has the same first extent, which ``length`` gives where there are
    none; it may be 0. The carry keeps its structure, shapes and dtypes from step to step; a Python number in ``init`` takes the
    dtype that f gives it. ``reverse`` goes from the last x to the first, and stacks the ys where their xs were. ``unroll``: True,
    or at least the number of steps, writes the steps out one behind the other; other numbers make no difference.

    The steps run natively, over slices of ``xs`` where they lie, with the carry updated in place (``init`` itself is left alone),
    and compile once whatever their number. In a trace they are one loop of the program, which ``grad``, ``jvp`` and ``vmap`` go
    through; outside of one, f is compiled and kept. Raises ShapeError, TreeError or LeptonError.
    """
    name = f"scan of {function_name(function('scan', 'f', f, 2))}"
    flag("scan", "reverse", reverse)
    leaves, structure = tree.flatten(xs)
    steps = _extent(leaves, length, name)
    written_out = unroll is True or integer(name, "unroll", int(unroll), least=0) >= max(steps, 2)
    order = range(steps - 1, -1, -1) if reverse else range(steps)
    plain = outside(*leaves, *tree.leaves(init))
    if steps and (written_out or (plain and jit_disabled())):
        return _written_out(f, init, leaves, structure, order, name)
    if plain and not jit_disabled() and steps:
        arrays = [np.asarray(as_leaf(leaf, f"xs[{n}]", name)) for n, leaf in enumerate(leaves)]
        if any(map(is_weak, tree.leaves(init))):
            return _whole(hashable(f), structure, order, name)(init, arrays)
        return _run(f, init, arrays, structure, order, name)
    return _traced(f, init, leaves, structure, order, name)


def _traced(f: Callable[..., Any], init: Any, leaves: list[Any], structure: tree.TreeDef, order: range,
            name: str) -> tuple[Any, Any]:
    """As one node, or evaluated."""
    values, carry_tree = tree.flatten(init)
    values = leaf_values(values, carry_tree.paths("init"), name)
    xs = [leaf if isinstance(leaf, Tracer) else known(np.asarray(as_leaf(leaf, "xs", name)), (leaf,)) for leaf in leaves]
    slices = [type_of(x).with_shape(x.shape[1:]) for x in xs]

    def body(carry: list[Any]) -> tuple[ClosedGraph, Sequence[TensorType], Sequence[bool]]:
        types = [type_of(x) for x in carry]
        weak = [*map(is_weak, carry), *[False] * len(slices)]
        closed = traced(f, (carry_tree, structure), [*types, *slices], weak, function_name(f), True)
        count = _out_trees(closed.out_tree, name)[0].num_leaves
        return closed, closed.graph.output_types[:count], closed.out_weak[:count]

    values, closed = settled(values, body)
    carry_out, y_tree = _out_trees(closed.out_tree, name)
    kept = len(values)
    check_carry(carry_tree, carry_out, [type_of(x) for x in values], closed.graph.output_types[:kept], name)
    (region,), captured = closed_together([closed])
    if not closed.graph.outputs:
        return tree.unflatten(carry_tree, []), tree.unflatten(y_tree, [])
    out = bind("scan", *captured, *values, *xs, regions=(region,), consts=len(captured), carries=kept, length=len(order),
               reverse=order.step < 0)
    count = kept + y_tree.num_leaves
    if closed.effects:
        note([of_each(closed.effects, order)], out[count:])
    found = weakened_as(out[:count], [*map(is_weak, values), *closed.out_weak[kept:]])
    return tree.unflatten(carry_tree, found[:kept]), tree.unflatten(y_tree, found[kept:])


def _extent(leaves: list[Any], length: int | None, name: str) -> int:
    """How many steps there are."""
    found = None if length is None else integer(name, "length", length, least=0)
    for n, leaf in enumerate(leaves):
        shape = leaf.shape if isinstance(leaf, Tracer) else as_leaf(leaf, f"xs[{n}]", name).shape
        if not shape or (found is not None and shape[0] != found):
            wanted = "at least one axis" if found is None else f"a first extent of {found}"
            raise ShapeError(f"{name}: every leaf of xs wants {wanted}, got shape {tuple(shape)}; "
                             "fix: arrays of equal first extent")
        found = shape[0]
    if found is None:
        raise LeptonError(f"{name}: the number of steps is unknown; fix: give xs, or length")
    return found


def _written_out(f: Callable[..., Any], init: Any, leaves: list[Any], structure: tree.TreeDef, order: range,
                 name: str) -> tuple[Any, Any]:
    """Step by step, in a trace or op by op."""
    first, carry_tree = tree.flatten(init)
    carry = tree.unflatten(carry_tree, leaf_values(first, carry_tree.paths("init"), name))
    leaves = [leaf if isinstance(leaf, Tracer) else known(np.asarray(as_leaf(leaf, "xs", name)), (leaf,)) for leaf in leaves]
    first_x = tree.unflatten(structure, [leaf[order[0]] for leaf in leaves])
    carry = begun(lambda carry: _pair(f(carry, first_x), name)[0], carry)
    ys = []
    for i in order:
        out = _pair(f(carry, tree.unflatten(structure, [leaf[i] for leaf in leaves])), name)
        check_trip(carry, out[0], name)
        carry = out[0]
        ys.append(out[1])
    if order.step < 0:
        ys.reverse()
    return tree.map(_as_array, carry), tree.map(lambda *y: stack(y), *ys)


def _as_array(x: Any) -> Any:
    """A result that is a number of Python's as an array that is as weak."""
    return weakened_as([known(asarray(x), (x,))], [True])[0] if is_weak(x) and not isinstance(x, Tracer) else x


def _pair(out: Any, name: str) -> tuple[Any, Any]:
    if not isinstance(out, tuple) or len(out) != 2:
        raise TreeError(f"{name}: it returned {type(out).__name__}, expected a tuple (carry, y)")
    return out[0], out[1]


def _run(f: Callable[..., Any], init: Any, xs: list[np.ndarray], structure: tree.TreeDef, order: range,
         name: str) -> tuple[Any, Any]:
    leaves, carry_tree = tree.flatten(init)
    carry = [np.asarray(as_leaf(leaf, path, name)) for leaf, path in zip(leaves, carry_tree.paths("init"))]
    compiled = _step(hashable(f)).compiled_for(tree.unflatten(carry_tree, carry), tree.unflatten(structure, [x[0] for x in xs]))
    if compiled.interface.effects or isinstance(compiled.executable, Pieces):
        found: tuple[Any, Any] = _whole(hashable(f), structure, order, name)(init, xs)
        return found
    carry_out, y_tree = _out_trees(compiled.interface.out_tree, name)
    executable = compiled.executable.executable
    slots = executable.outputs
    check_carry(carry_tree, carry_out, carry, list(slots[:len(carry)]), name)
    ys = [empty((len(order), *slot.shape), slot.dtype) for slot in slots[len(carry):]]
    carry = executable.repeat(carry, [np.ascontiguousarray(x) for x in xs], ys, len(order), order.step < 0)
    return tree.unflatten(carry_tree, carry), tree.unflatten(y_tree, ys)


def repeat(step: Jitted, fixed: Any, carry: Any, xs: Any) -> tuple[Any, Any]:
    """``scan`` of a jitted ``step(fixed, carry, x)`` that gives its carry away and returns (carry, y), by the program that a call
    runs; the carry's own arrays are written, so a signal finds them as whole steps left them. All leaves are arrays; the items of
    ``xs`` are contiguous, whatever lies between them. Outside of a trace, for at least one x."""
    leaves, structure = tree.flatten(xs)
    arguments = fixed, carry, tree.unflatten(structure, [x[0] for x in leaves])
    compiled = step.compiled_for(*arguments)
    if "repeated" not in compiled.derived:
        compiled.derived["repeated"] = Repeated(compiled, len(leaves))
    out: tuple[Any, Any] = compiled.derived["repeated"](arguments, leaves)
    return out


class Repeated:
    """A step (fixed, carry, x) -> (carry, y) that is repeated; its types are looked at once, for they are the program's."""

    def __init__(self, compiled: Compiled, xs: int):
        interface = compiled.interface
        name = f"{interface.name}, repeated"
        carry_out, _ = _out_trees(interface.out_tree, name)
        if interface.effects:
            raise LeptonError(f"{name}: a debug callback cannot stand in a step that is repeated; fix: one step for each call")
        if compiled.shortcut is None or compiled.shortcut.numbers:
            raise LeptonError(f"{name}: {NUMBER}")
        self._name, self._shortcut = name, compiled.shortcut
        self._executable = executable = compiled.executable.executable
        self._stop = len(executable.inputs) - xs
        self._start = self._stop - carry_out.num_leaves
        self._ys = executable.outputs[carry_out.num_leaves:]
        check_carry(interface.signature.treedef.children[0].children[1], carry_out, executable.inputs[self._start:self._stop],
                    executable.outputs[:carry_out.num_leaves], name)

    def __call__(self, arguments: tuple[Any, ...], xs: list[Any]) -> tuple[Any, Any]:
        given = self._shortcut.flatten((arguments, {}))
        if given is None:
            raise LeptonError(f"{self._name}: {NUMBER}")
        ys = [empty((len(xs[0]), *slot.shape), slot.dtype) for slot in self._ys]
        values = self._executable.repeat(given[self._start:self._stop], xs, ys, len(xs[0]), fixed=given[:self._start], donated=True)
        return self._shortcut.build([*values, *ys])


def _out_trees(out: tree.TreeDef, name: str) -> tuple[tree.TreeDef, tree.TreeDef]:
    if out.kind is not tuple or len(out.children) != 2:
        raise TreeError(f"{name}: it returned {out}, expected a tuple (carry, y)")
    return out.children[0], out.children[1]


@functools.lru_cache(STEPS_KEPT)
def _whole(f: Callable[..., Any], structure: tree.TreeDef, order: range, name: str) -> Jitted:
    """The loop as a program, for a carry with Python numbers, which have no dtype of their own."""
    made: Jitted = jit(lambda init, xs: _traced(f, init, xs, structure, order, name))
    return made


@functools.lru_cache(STEPS_KEPT)
def _step(f: Callable[..., Any]) -> Jitted:
    """f as a step that gives its carry away."""
    plain = f.function if isinstance(f, Jitted) else f

    @functools.wraps(plain)
    def step(carry: Any, x: Any) -> Any:
        return plain(carry, x)

    made: Jitted = jit(step, donate_argnums=0)
    return made
