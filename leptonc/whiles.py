"""``while_loop`` and ``fori_loop``: loops whose trips are not known before they run."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc import tree
from leptonc.arguments import function
from leptonc.eager import jit_disabled
from leptonc.errors import DtypeError, TreeError, op_error
from leptonc.ir.types import TensorType, bool_
from leptonc.jit import Jitted, jit
from leptonc.promotion import is_weak
from leptonc.public import public
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
from leptonc.scan import scan
from leptonc.signature import as_leaf
from leptonc.trace import ClosedGraph, Tracer, bind, cast, function_name, weakened_as

LOOPS_KEPT = 128  # pairs of functions whose compiled loops are kept


@public
def while_loop(cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any) -> Any:
    """``while cond_fun(val): val = body_fun(val)``; returns the last val.

    ``init_val`` is a tree, whose structure, shapes and dtypes stay; a Python number in it takes the dtype that the body gives it.
    ``cond_fun`` gives one bool. The loop runs natively. It has forward derivatives (``jvp``); reverse ones need a number of trips
    that is known (``scan``). Under ``vmap`` it runs until the last example ends. Raises ShapeError, TreeError or DtypeError.
    """
    name = f"while_loop of {function_name(function('while_loop', 'body_fun', body_fun, 1))}"
    function("while_loop", "cond_fun", cond_fun, 1)
    leaves, structure = tree.flatten(init_val)
    if outside(*leaves):
        if jit_disabled():
            return _step_by_step(cond_fun, body_fun, init_val, name)
        return _compiled(hashable(cond_fun), hashable(body_fun), name)(init_val)
    return _traced(cond_fun, body_fun, leaves, structure, name)


@functools.lru_cache(LOOPS_KEPT)
def _compiled(cond_fun: Callable[..., Any], body_fun: Callable[..., Any], name: str) -> Jitted:
    made: Jitted = jit(lambda val: _traced(cond_fun, body_fun, *tree.flatten(val), name))
    return made


def _step_by_step(cond_fun: Callable[..., Any], body_fun: Callable[..., Any], val: Any, name: str) -> Any:
    if not _goes_on(cond_fun(val), name):
        return val
    val = begun(body_fun, val)
    while _goes_on(cond_fun(val), name):
        before, val = val, body_fun(val)
        check_trip(before, val, name)
    return val


def _goes_on(found: Any, name: str) -> bool:
    """What a condition gives. Raises DtypeError unless that is one bool."""
    leaves = tree.leaves(found)
    _check_condition([type_of(as_leaf(x, "cond_fun", name)) for x in leaves], name)
    return bool(leaves[0])


def _traced(cond_fun: Callable[..., Any], body_fun: Callable[..., Any], leaves: list[Any], structure: tree.TreeDef,
            name: str) -> Any:
    def body(carry: list[Any]) -> tuple[ClosedGraph, Sequence[TensorType], Sequence[bool]]:
        closed = traced(body_fun, (structure,), [type_of(x) for x in carry], [is_weak(x) for x in carry], function_name(body_fun))
        return closed, closed.graph.output_types, closed.out_weak

    values, inner = settled(leaf_values(leaves, structure.paths("init_val"), name), body)
    types = [type_of(x) for x in values]
    check_carry(structure, inner.out_tree, types, inner.graph.output_types, name)
    condition = traced(cond_fun, (structure,), types, [is_weak(x) for x in values], function_name(cond_fun))
    _check_condition(condition.graph.output_types, name)
    regions, captured = closed_together([condition, inner])
    if not values:
        raise TreeError(f"{name}: init_val has no arrays, so the condition can never change")
    out = bind("while_loop", *captured, *values, regions=regions, consts=len(captured))
    return tree.unflatten(structure, weakened_as(out, list(map(is_weak, values))))


def _check_condition(types: Sequence[TensorType], name: str) -> None:
    if tuple(types) != (TensorType((), bool_),):
        found = ", ".join(map(str, types))
        raise op_error(name, f"cond_fun must give one bool, it gives {found or 'nothing'}", {}, kind=DtypeError)


MOST_INDEX_BYTES = 1 << 20  # of a loop's indices as an array, which what depends on them alone can be taken out of the loop with


@public
def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, Any], Any], init_val: Any, *,
              unroll: int | bool | None = None) -> Any:
    """``for i in range(lower, upper): val = body_fun(i, val)``; returns the last val. i is as weak as a Python int: beside a
    float it takes the float's dtype.

    Bounds are Python ints, arrays or tracers of one integer. If both are known before anything runs the loop is a ``scan`` and has
    all derivatives; else a ``while_loop``. ``unroll``: see ``scan``. Raises as those do, DtypeError for bounds that are no
    integers.
    """
    function("fori_loop", "body_fun", body_fun, 2)
    bounds = [_bound(what, x) for what, x in (("lower", lower), ("upper", upper))]
    if not any(isinstance(x, Tracer) for x in bounds):
        return _counted(bounds, body_fun, init_val, 1 if unroll is None else unroll)
    low, high = (lnp.asarray(x) if not isinstance(x, Tracer) else x for x in bounds)
    dtype = np.result_type(low.dtype, high.dtype) if not all(map(is_weak, (lower, upper))) else np.dtype(np.int32)
    low, high = cast(low, dtype), cast(high, dtype)

    def trip(state: tuple[Any, Any]) -> tuple[Any, Any]:
        return state[0] + np.ones((), dtype), body_fun(as_weak(state[0]), state[1])

    return while_loop(lambda state: state[0] < high, trip, (low, init_val))[1]


def as_weak(i: Any) -> Any:
    """An index that takes on the dtype of what it meets."""
    return Tracer(i.trace, i.value, i.loc, True, i.label) if isinstance(i, Tracer) else int(i)


def _bound(what: str, x: Any) -> Any:
    if type(x) is int:
        return x
    value = x if isinstance(x, Tracer) else as_leaf(x, what, "fori_loop")
    if value.shape or value.dtype.kind not in "iu":
        raise op_error("fori_loop", f"{what} must be one integer", {what: value}, kind=DtypeError)
    return value


def _counted(bounds: list[Any], body_fun: Callable[..., Any], init_val: Any, unroll: int | bool) -> Any:
    low, high = map(int, bounds)
    count, dtype = max(high - low, 0), _index_dtype(bounds)
    if count * dtype.itemsize <= MOST_INDEX_BYTES:
        return scan(_Trip(body_fun), init_val, np.arange(low, low + count).astype(dtype), unroll=unroll)[0]

    def trip(state: tuple[Any, Any], _: None) -> tuple[tuple[Any, Any], None]:
        return (state[0] + np.ones((), dtype), body_fun(as_weak(state[0]), state[1])), None

    trip.__name__ = function_name(body_fun)
    return scan(trip, (np.array(low, dtype), init_val), length=count, unroll=unroll)[0][1]


def _index_dtype(bounds: list[Any]) -> np.dtype:
    """Of all bounds that have one; of Python ints i32, or i64 if they need it."""
    strong = [x.dtype for x in bounds if type(x) is not int]
    if strong:
        return np.result_type(*strong)
    return np.dtype(np.int32 if all(-1 << 31 <= x < 1 << 31 for x in bounds) else np.int64)


class _Trip:
    """``body_fun`` as ``scan`` takes it; one is as good as another of the same function."""

    def __init__(self, body_fun: Callable[..., Any]):
        self.body_fun = body_fun
        self.__name__ = function_name(body_fun)

    def __call__(self, val: Any, i: Any) -> tuple[Any, None]:
        return self.body_fun(as_weak(i), val), None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Trip) and self.body_fun == other.body_fun

    def __hash__(self) -> int:
        return hash(self.body_fun)
