"""Branches and loops: native where something is traced, Python's elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from keras.src import tree

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError
from leptonc.keras.src.ops.effects import performed, with_effects
from leptonc.keras.src.ops.tensors import convert_to_tensor, operand
from leptonc.trace import Tracer, tracing

__all__ = ["associative_scan", "cond", "fori_loop", "map", "scan", "switch", "vectorized_map", "while_loop"]


def _each(run: Callable[..., Any], *trees: Any) -> Any:
    """``run`` on the leaves of trees of one structure; None stays None."""
    return tree.map_structure(lambda *leaves: None if leaves[0] is None else run(*leaves), *trees)


def cond(pred: Any, true_fn: Callable[[], Any], false_fn: Callable[[], Any]) -> Any:
    """What the chosen function gives; it alone runs, and what it assigns to variables is assigned."""
    pred = convert_to_tensor(pred)
    if not isinstance(pred, Tracer):
        return true_fn() if bool(pred) else false_fn()
    return _chosen(lambda branches, values: lax.cond(pred, *branches, values), [true_fn, false_fn], ())


def switch(index: Any, branches: Sequence[Callable[..., Any]], *operands: Any) -> Any:
    """``branches[index](*operands)``; an index out of range is clamped."""
    index = convert_to_tensor(index)
    if not isinstance(index, Tracer):
        return branches[min(max(int(index), 0), len(branches) - 1)](*operands)
    return _chosen(lambda branches, values, *given: lax.switch(index, branches, values, *given), branches,
                   _each(operand, operands))


def _chosen(choose: Callable[..., Any], branches: Sequence[Callable[..., Any]], operands: Any) -> Any:
    def attempt(variables: Any, values: list[Any]) -> Any:
        made = [with_effects(lambda *given, f=f: _each(operand, f(*given)), variables) for f in branches]
        return choose(made, values, *operands)

    return performed(attempt)


def while_loop(cond: Callable[..., Any], body: Callable[..., Any], loop_vars: Any, maximum_iterations: int | None = None) -> Any:
    """``while cond(*loop_vars): loop_vars = body(*loop_vars)``. It has no gradient in a trace, as its trips are not known: ``scan``
    has one, and ``fori_loop`` with bounds that are known."""
    several = isinstance(loop_vars, list | tuple)
    start = tree.map_structure(convert_to_tensor, tuple(loop_vars) if several else (loop_vars,))

    def step(now: Any) -> Any:
        found = body(*now)
        return tree.map_structure(operand, tuple(found) if isinstance(found, list | tuple) and several else (found,))

    run = _native_while if tracing() else _while
    end = run(cond, step, start, maximum_iterations)
    return end if several else end[0]


def _while(cond: Callable[..., Any], step: Callable[..., Any], now: Any, most: int | None) -> Any:
    done = 0
    while (most is None or done < most) and bool(convert_to_tensor(cond(*now))):
        now = tree.map_structure(convert_to_tensor, step(now))
        done += 1
    return now


def _native_while(cond: Callable[..., Any], step: Callable[..., Any], start: Any, most: int | None) -> Any:
    def attempt(variables: Any, values: list[Any]) -> Any:
        def goes_on(state: Any) -> Any:
            values, done, now = state
            more, after = with_effects(lambda: convert_to_tensor(cond(*now), "bool"), variables)(values)
            if any(a is not b for a, b in zip(after, values)):
                raise ArgumentError("keras.ops.while_loop: the condition assigns a variable; fix: assign it in the body")
            return more if most is None else lnp.logical_and(more, done < most)

        def trip(state: Any) -> Any:
            values, done, now = state
            now, values = with_effects(step, variables)(values, now)
            return values, done if most is None else done + 1, now

        values, _, now = lax.while_loop(goes_on, trip, (values, np.int32(0), start))
        return now, values

    return performed(attempt)


def fori_loop(lower: Any, upper: Any, body_fun: Callable[..., Any], init_val: Any) -> Any:
    """``for i in range(lower, upper): val = body_fun(i, val)``."""
    bounds = [x if type(x) is int else convert_to_tensor(x) for x in (lower, upper)]
    if not tracing():
        value = init_val
        for i in range(*(int(x) for x in bounds)):
            value = body_fun(convert_to_tensor(i, "int32"), value)
        return value

    def attempt(variables: Any, values: list[Any]) -> Any:
        def trip(i: Any, state: Any) -> Any:
            value, values = with_effects(lambda i, value: _each(operand, body_fun(i, value)), variables)(state[0], i, state[1])
            return values, value

        values, value = lax.fori_loop(bounds[0], bounds[1], trip, (values, _each(operand, init_val)))
        return value, values

    return performed(attempt)


def scan(f: Callable[..., Any], init: Any, xs: Any = None, length: int | None = None, reverse: bool = False,
         unroll: Any = 1) -> tuple[Any, Any]:
    """``carry, y = f(carry, x)`` along the first axis of ``xs``; (last carry, ys stacked)."""
    if not callable(f):
        raise TypeError(f"`f` should be a callable. Received: f={f}")
    if not isinstance(unroll, bool) and (not isinstance(unroll, int) or unroll < 1):
        raise ValueError(f"`unroll` must be an positive integer or boolean. Received: unroll={unroll}")
    if xs is None and length is None:
        raise ValueError("Got no `xs` to scan over and `length` not provided.")
    xs, carry = _each(convert_to_tensor, xs), _each(operand, init)
    count = tree.flatten(xs)[0].shape[0] if length is None else int(length)
    if not tracing() and count:
        return _scan(f, carry, xs, range(count - 1, -1, -1) if reverse else range(count))

    def attempt(variables: Any, values: list[Any]) -> Any:
        def step(state: Any, x: Any) -> Any:
            (carry, y), values = with_effects(lambda carry, x: _each(operand, f(carry, x)), variables)(state[0], state[1], x)
            return (values, carry), y

        (values, carry_out), ys = lax.scan(step, (values, carry), xs, count, reverse, unroll)
        return (carry_out, ys), values

    return performed(attempt)


def _scan(f: Callable[..., Any], carry: Any, xs: Any, order: range) -> tuple[Any, Any]:
    """Step by step, as Python goes."""
    carry, ys = _each(convert_to_tensor, carry), []
    for n in order:
        carry, y = f(carry, _each(lambda x, n=n: x[n], xs))
        ys.append(y)
    return carry, _each(lambda *parts: lnp.stack(parts), *(ys[::-1] if order.step < 0 else ys))


def map(f: Callable[..., Any], xs: Any) -> Any:
    return scan(lambda _, x: ((), f(x)), (), xs)[1]


def associative_scan(f: Callable[..., Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    if not callable(f):
        raise TypeError(f"`f` should be a callable. Received: f={f}")
    elems = _each(convert_to_tensor, elems)
    extents = {x.shape[axis] for x in tree.flatten(elems)}
    if len(extents) > 1:
        raise ValueError("Array inputs to associative_scan must have the same first dimension (along the axis), got "
                         f"{sorted(extents)}")
    return lax.associative_scan(f, elems, reverse, axis)


def vectorized_map(function: Callable[..., Any], elements: Any) -> Any:
    return leptonc.vmap(function)(tree.map_structure(convert_to_tensor, elements))
