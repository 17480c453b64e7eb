"""``scan``: a step repeated over data in memory, without going back to Python for each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import flag, function, integer
from leptonc.eager import jit_disabled
from leptonc.errors import LeptonError, ShapeError, TreeError, describe
from leptonc.jit import Jitted, jit
from leptonc.numpy.creation import stack
from leptonc.signature import as_leaf
from leptonc.trace import Tracer, function_name, known, tracing

STEPS_KEPT = 128  # functions whose compiled steps are kept


def scan(f: Callable[[Any, Any], tuple[Any, Any]], init: Any, xs: Any = None, length: int | None = None,
         reverse: bool = False) -> tuple[Any, Any]:
    """``carry, y = f(carry, x)`` for each x along the first axis of ``xs``; returns the last carry, and the ys stacked.

    ``init`` and ``xs`` are trees; every leaf of ``xs`` has the same first extent, which ``length`` gives where there are
    none. The carry keeps its structure, shapes and dtypes from step to step. ``reverse`` goes from the last x to the first,
    and stacks the ys where their xs were.

    Called outside a trace, f is compiled for one step, which then runs natively over slices of ``xs`` where they lie, the
    carry updated in place (``init`` itself is left alone); an optimizer's step over many batches is one call. Inside a
    trace the steps are written out one behind the other, so that they can be differentiated; the time to compile grows
    with their number. Raises ShapeError, TreeError or LeptonError.
    """
    name = f"scan of {function_name(function('scan', 'f', f))}"
    flag("scan", "reverse", reverse)
    leaves, structure = tree.flatten(xs)
    steps = _extent(leaves, length, name)
    order = range(steps - 1, -1, -1) if reverse else range(steps)
    traced = tracing() or any(isinstance(leaf, Tracer) for leaf in (*leaves, *tree.leaves(init)))
    if traced or jit_disabled() or not steps:
        return _written_out(f, init, leaves, structure, order, name)
    arrays = [np.asarray(as_leaf(leaf, f"xs[{n}]", name)) for n, leaf in enumerate(leaves)]
    return _run(f, init, arrays, structure, order, name)


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
    if not order:
        raise LeptonError(f"{name}: there are no steps, so the shape of y is unknown; fix: check for empty xs before")
    first, carry_tree = tree.flatten(init)
    carry = tree.unflatten(carry_tree, [leaf if isinstance(leaf, Tracer) else known(as_leaf(leaf, path, name))
                                        for leaf, path in zip(first, carry_tree.paths("init"))])
    leaves = [leaf if isinstance(leaf, Tracer) else known(np.asarray(as_leaf(leaf, "xs", name))) for leaf in leaves]
    ys = []
    for i in order:
        out = _pair(f(carry, tree.unflatten(structure, [leaf[i] for leaf in leaves])), name)
        _check_carry(carry, out[0], name)
        carry = out[0]
        ys.append(out[1])
    if order.step < 0:
        ys.reverse()
    return carry, tree.map(lambda *y: stack(y), *ys)


def _pair(out: Any, name: str) -> tuple[Any, Any]:
    if not isinstance(out, tuple) or len(out) != 2:
        raise TreeError(f"{name}: it returned {type(out).__name__}, expected a tuple (carry, y)")
    return out[0], out[1]


def _check_carry(before: Any, after: Any, name: str) -> None:
    """The carry must come out as it went in."""
    olds, structure = tree.flatten(before)
    news, returned = tree.flatten(after)
    went, came = ([x if isinstance(x, Tracer) else np.asarray(x) for x in leaves] for leaves in (olds, news))
    _check_types(structure, returned, went, came, name)


def _check_types(structure: tree.TreeDef, returned: tree.TreeDef, olds: list[Any], news: list[Any], name: str) -> None:
    """Raises unless both are of one structure, and leaf by leaf of one shape and dtype."""
    if structure != returned:
        raise TreeError(f"{name}: the carry went in as {structure} and came out as {returned}")
    for path, old, new in zip(structure.paths("carry"), olds, news):
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            raise ShapeError(f"{name}: {path} went in as {describe(old)} and came out as {describe(new)}; fix: start with what "
                             "the step returns, such as an array of its dtype")


def _run(f: Callable[..., Any], init: Any, xs: list[np.ndarray], structure: tree.TreeDef, order: range,
         name: str) -> tuple[Any, Any]:
    leaves, carry_tree = tree.flatten(init)
    carry = [np.asarray(as_leaf(leaf, path, name)) for leaf, path in zip(leaves, carry_tree.paths("init"))]
    hashable = f if isinstance(f, Hashable) else functools.partial(f)  # the step is kept by f, an object that may have no hash
    compiled = _step(hashable).compiled_for(tree.unflatten(carry_tree, carry), tree.unflatten(structure, [x[0] for x in xs]))
    carry_out, y_tree = _out_trees(compiled.interface.out_tree, name)
    executable = compiled.executable.executable
    slots = executable.outputs
    _check_types(carry_tree, carry_out, carry, list(slots[:len(carry)]), name)
    ys = [np.empty((len(order), *slot.shape), slot.dtype) for slot in slots[len(carry):]]
    carry = executable.repeat(carry, [np.ascontiguousarray(x) for x in xs], ys, len(order), order.step < 0)
    return tree.unflatten(carry_tree, carry), tree.unflatten(y_tree, ys)


def _out_trees(out: tree.TreeDef, name: str) -> tuple[tree.TreeDef, tree.TreeDef]:
    if out.kind is not tuple or len(out.children) != 2:
        raise TreeError(f"{name}: it returned {out}, expected a tuple (carry, y)")
    return out.children[0], out.children[1]


@functools.lru_cache(STEPS_KEPT)
def _step(f: Callable[..., Any]) -> Jitted:
    """f as a step that gives its carry away."""
    plain = f.function if isinstance(f, Jitted) else f

    @functools.wraps(plain)
    def step(carry: Any, x: Any) -> Any:
        return plain(carry, x)

    made: Jitted = jit(step, donate_argnums=0)
    return made
