"""Functions applied to parts of arrays: along axes, element by element, by conditions."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leptonc.arguments import array, function, integer, items, kinds_in, known_array, listed, no_out, scalar, vector
from leptonc.arguments import axis as axis_of
from leptonc.arguments import choice as one_of
from leptonc.errors import ArgumentError, DtypeError, RangeError, TracerError, op_error
from leptonc.numpy.creation import asarray, zeros_like
from leptonc.numpy.elementwise import as_bool, logical_not, logical_or, where
from leptonc.numpy.manipulation import broadcast_to, concatenate, expand_dims, moveaxis, reshape, take
from leptonc.numpy.sorting import sort_rows
from leptonc.trace import Tracer, as_seen, cast, promote
from leptonc.vmap import vmap


def apply_along_axis(func1d: Callable[..., Any], axis: int, arr: Any, *args: Any, **kwargs: Any) -> Any:
    """``func1d`` of every vector along an axis, batched; the axes of what it returns stand where that one was."""
    operand = array("apply_along_axis", "arr", arr)
    at = axis_of("apply_along_axis", operand, axis)
    f = function("apply_along_axis", "func1d", func1d)
    front = moveaxis(operand, at, -1)
    run: Callable[..., Any] = functools.partial(lambda v: asarray(f(v, *args, **kwargs)))
    for _ in front.shape[:-1]:
        run = vmap(run)
    out = run(front)
    lead, rank = len(front.shape) - 1, len(out.shape)
    made = rank - lead
    return moveaxis(out, tuple(range(lead, rank)), tuple(range(at, at + made))) if made else out


def apply_over_axes(func: Callable[..., Any], a: Any, axes: Any) -> Any:
    """``func(a, axis)`` for one axis after the other; an axis that it takes away stays with extent 1."""
    operand, f = array("apply_over_axes", "a", a), function("apply_over_axes", "func", func)
    for axis in items(axes):
        at = axis_of("apply_over_axes", operand, axis)
        found = asarray(f(operand, at))
        operand = found if len(found.shape) == len(operand.shape) else expand_dims(found, at)
    return operand


def vectorize(pyfunc: Callable[..., Any], *, excluded: Any = frozenset(), signature: str | None = None) -> Callable[..., Any]:
    """``pyfunc``, of numbers or by ``signature`` ("(m,n),(n)->(m)") of small arrays, as a function of arrays that broadcast.

    Arguments in ``excluded``, places or names, are passed as they are.
    """
    f = function("vectorize", "pyfunc", pyfunc)
    if not isinstance(excluded, set | frozenset | list | tuple) or not isinstance(signature, str | None):
        raise op_error("vectorize", "excluded must be a set, signature a text", {}, kind=ArgumentError)
    ranks = None if signature is None else _core_ranks(signature)

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        mapped = [n for n in range(len(args)) if n not in excluded]
        given = [asarray(args[n]) for n in mapped]
        cores = [0] * len(given) if ranks is None else ranks
        if len(cores) != len(given):
            raise op_error("vectorize", f"{len(given)} arguments for signature {signature!r}", {}, kind=ArgumentError)
        shape = np.broadcast_shapes(*(x.shape[:len(x.shape) - r] for x, r in zip(given, cores)))

        def one(*values: Any) -> Any:
            found = dict(zip(mapped, values))
            return f(*(found.get(n, args[n]) for n in range(len(args))), **kwargs)

        run: Callable[..., Any] = one
        for _ in shape:
            run = vmap(run)
        return run(*(broadcast_to(x, (*shape, *x.shape[len(x.shape) - r:])) for x, r in zip(given, cores)))

    return call


def _core_ranks(signature: str) -> list[int]:
    """How many axes each operand of a signature has. Raises ArgumentError for text that is none."""
    text = signature.replace(" ", "")
    group = r"\((?:\w+(?:,\w+)*)?\)"
    if not re.fullmatch(rf"{group}(?:,{group})*->{group}(?:,{group})*", text):
        raise op_error("vectorize", f"signature={signature!r} must be like '(m,n),(n)->(m)'", {}, kind=ArgumentError)
    return [len([name for name in g[1:-1].split(",") if name]) for g in re.findall(group, text.split("->")[0])]


def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: Any = 0) -> Any:
    """For each element the choice of the first condition that holds, else ``default``."""
    conditions, given = listed("select", "condlist", condlist), listed("select", "choicelist", choicelist)
    if len(conditions) != len(given) or not given:
        raise op_error("select", "needs as many conditions as choices, and one at least", {}, kind=ArgumentError)
    choices = promote(*given, default)
    out = choices[-1]
    for condition, choice in reversed(list(zip(conditions, choices))):
        out = where(condition, choice, out)
    return out


def choose(a: Any, choices: Sequence[Any], out: None = None, mode: str = "raise") -> Any:
    """For each element of ``a``, an int, that of the array of this number; numbers out of range are errors, which in traced code
    nobody can see: there ``mode`` must be "clip" or "wrap"."""
    no_out("choose", out)
    index, given = array("choose", "a", a), listed("choose", "choices", choices, least=1)
    one_of("choose", "mode", mode, ("raise", "clip", "wrap"))
    if index.dtype.kind not in "iu":
        raise op_error("choose", "takes ints", {"a": index}, kind=DtypeError)
    if mode == "raise":
        _check_choices(index, len(given))
    index = index % len(given) if mode == "wrap" else index.clip(0, len(given) - 1)
    found, *rest = promote(*given)
    for n, choice in enumerate(rest, 1):
        found = where(index == n, choice, found)
    return broadcast_to(found, np.broadcast_shapes(index.shape, found.shape))


def _check_choices(index: Any, count: int) -> None:
    """Raises RangeError for a number out of range, TracerError if they are not known."""
    fix = 'mode="clip" or "wrap"'
    if isinstance(index, Tracer):
        raise op_error("choose", "whether traced numbers are in range is not known", {"a": index}, fix, TracerError)
    if ((index < 0) | (index >= count)).any():
        raise op_error("choose", f"a number is out of range for {count} choices", {"a": index}, fix, RangeError)


def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Any:
    """For each element the function (or number) of the last condition that holds; one more of them is for where none does."""
    operand = array("piecewise", "x", x)
    conditions = [as_bool(c) for c in (condlist if isinstance(condlist, list | tuple) else [condlist])]
    pieces = listed("piecewise", "funclist", funclist, least=1)
    if not conditions:
        raise op_error("piecewise", "needs a condition", {"x": operand}, kind=ArgumentError)
    if len(pieces) == len(conditions) + 1:
        any_: Any = conditions[0]
        for c in conditions[1:]:
            any_ = logical_or(any_, c)
        conditions.append(logical_not(any_))
    if len(pieces) != len(conditions):
        raise op_error("piecewise", f"{len(pieces)} functions for {len(conditions)} conditions", {"x": operand}, kind=ArgumentError)
    out = zeros_like(operand)
    for condition, piece in zip(conditions, pieces):
        value = piece(operand, *args, **kw) if callable(piece) else piece
        out = where(condition, cast(asarray(value), operand.dtype), out)
    return out


def compress(condition: Any, a: Any, axis: int | None = None, *, size: int | None = None, fill_value: Any = 0,
             out: None = None) -> Any:
    """The elements along an axis where a condition, known while tracing, holds. With ``size`` so many, the rest ``fill_value``:
    then the condition may be traced."""
    no_out("compress", out)
    operand = array("compress", "a", a)
    if axis is None:
        operand, axis = reshape(operand, (-1,)), 0
    at = axis_of("compress", operand, axis)
    if size is not None:
        return _compressed(operand, condition, at, size, fill_value)
    hits = np.flatnonzero(known_array("compress", "condition", condition, "buif"))
    if hits.size and hits[-1] >= operand.shape[at]:
        raise op_error("compress", f"condition is longer than the {operand.shape[at]} elements", {"a": operand})
    return as_seen(operand)[(*(slice(None) for _ in range(at)), hits)]


def _compressed(x: Any, condition: Any, axis: int, size: Any, fill_value: Any) -> Any:
    """``size`` slices along an axis: those where a condition holds, which stops with it, then others."""
    n = x.shape[axis]
    count = integer("compress", "size", size, {"a": x}, least=0, most=n)
    test = as_bool(vector("compress", "condition", condition))[:n]
    front = moveaxis(x, axis, 0)[:test.shape[0]]
    mask = expand_dims(test, tuple(range(1, len(x.shape))))
    value = cast(scalar("compress", "fill_value", fill_value, kinds=kinds_in(x.dtype)), x.dtype)
    missing = max(count - test.shape[0], 0)
    (places,) = sort_rows([test], 0, descending=True, count=min(count, test.shape[0]), values=False, order=True)
    found = take(where(mask, front, value), places, 0)
    if missing:
        found = concatenate([found, broadcast_to(value, (missing, *found.shape[1:]))])
    return moveaxis(found, 0, axis)


def extract(condition: Any, arr: Any, *, size: int | None = None, fill_value: Any = 0) -> Any:
    """The elements where a condition, known while tracing, holds. With ``size`` so many, the rest ``fill_value``: then the
    condition may be traced."""
    return compress(reshape(array("extract", "condition", condition), (-1,)), arr, size=size, fill_value=fill_value)

