"""What JAX has for the border between a program and the process around it: arrays that wait for nothing, and calls of Python."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import array, flag, function, known_array, shape
from leptonc.eager import plain
from leptonc.effects import Effect
from leptonc.errors import ArgumentError, DtypeError, ShapeError, op_error
from leptonc.ir.host import HostCall, kept
from leptonc.ir.types import TensorType, dtype_of
from leptonc.promotion import numpy_dtype
from leptonc.trace import Tracer, bind, function_name, known, lifted, note, tracing
from leptonc.transforms import ShapeDtypeStruct


def block_until_ready(x: Any) -> Any:
    """x, a tree: results are there when a call returns."""
    return x


def device_put(x: Any, device: Any = None, *, src: Any = None, donate: Any = False, may_alias: Any = None) -> Any:
    """x, a tree, with its leaves as arrays: they lie in the memory of the one machine there is."""
    return tree.map(lambda leaf: leaf if isinstance(leaf, Tracer) else array("device_put", "x", leaf), x)


def device_get(x: Any) -> Any:
    """x, a tree, with its leaves as NumPy arrays. Raises TracerError for a traced value."""
    return tree.map(lambda leaf: plain(known_array("device_get", "x", leaf, "biufcV")), x)


def _promise(value: Any) -> TensorType:
    """The type of a ShapeDtypeStruct, or of whatever else has a shape and a dtype."""
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise op_error("pure_callback", f"result_shape_dtypes has {value!r:.60}, wants what has a shape and a dtype", {},
                       "leptonc.ShapeDtypeStruct(shape, dtype)", ArgumentError)
    return TensorType(shape("pure_callback", value.shape), dtype_of(numpy_dtype(value.dtype, "pure_callback")))


def pure_callback(callback: Callable[..., Any], result_shape_dtypes: Any, *args: Any, sharding: Any = None,
                  vmap_method: str | None = None, **kwargs: Any) -> Any:
    """What ``callback(*args, **kwargs)`` of NumPy arrays gives, a tree of arrays as ``result_shape_dtypes`` say (ShapeDtypeStructs,
    or whatever has a shape and a dtype). It must have no effects: it may be called never, or again.

    In a jitted function it stands between two pieces of native code, with all threads at rest. Under ``vmap`` examples go one
    after the other, whatever ``vmap_method``. It has no derivative: ``custom_vjp`` and ``custom_jvp`` give it one. In a compiled
    loop or branch tracing raises LeptonError. Raises ShapeError or DtypeError for a result of another type.
    """
    call = function("pure_callback", "callback", callback)
    promised, structure = tree.flatten(result_shape_dtypes)
    types = tuple(_promise(s) for s in promised)
    leaves, given = tree.flatten((args, kwargs))
    values = [array("pure_callback", f"argument {n}", x) for n, x in enumerate(leaves)]

    def run(*arrays: np.ndarray) -> list[np.ndarray]:
        whole, named = tree.unflatten(given, [np.asarray(plain(a)) for a in arrays])
        found = tree.flatten_up_to(structure, call(*whole, **named), "the result")
        return [_as_promised(x, t) for x, t in zip(found, types)]

    if not any(isinstance(x, Tracer) for x in values):
        return tree.unflatten(structure, [known(x, values) for x in run(*values)])
    out = bind("host_call", *values, call=kept(HostCall(run, types, function_name(call))))
    return tree.unflatten(structure, out)


def io_callback(callback: Callable[..., Any], result_shape_dtypes: Any, *args: Any, sharding: Any = None, ordered: bool = False,
                **kwargs: Any) -> Any:
    """What ``callback(*args, **kwargs)`` gives, as of ``pure_callback``, but it may have effects: in a jitted function it is called
    once for each run, whether its results are used or not, and always in the order of the program (``ordered`` or not).

    ``result_shape_dtypes`` may be None for a callback that gives nothing. Under ``vmap`` examples go one after the other. It has no
    derivative; in a compiled loop or branch tracing raises LeptonError. Raises ShapeError or DtypeError for another result.
    """
    call = function("io_callback", "callback", callback)
    flag("io_callback", "ordered", ordered)
    promised, structure = tree.flatten(result_shape_dtypes)
    if not tracing():
        return pure_callback(call, result_shape_dtypes, *args, **kwargs)
    nothing = ShapeDtypeStruct((), np.int32)  # of a callback without results: there must be one that the run waits for

    def run(mark: Any, *given: Any, **named: Any) -> Any:
        return [np.int32(0), *tree.flatten_up_to(structure, call(*given, **named), "the result")]

    mark, *found = pure_callback(functools.wraps(call)(run), [nothing, *promised], lifted(np.int32(0)), *args, **kwargs)
    note([Effect(_forget, 1)], [mark])
    return tree.unflatten(structure, found)


def _forget(found: Any) -> None:
    """What is done with a callback's mark."""


def _as_promised(value: Any, wanted: TensorType) -> np.ndarray:
    found = np.asarray(value)
    if found.shape != wanted.shape:
        raise op_error("pure_callback", f"the callback gave shape {found.shape}, {wanted.shape} was promised", {}, kind=ShapeError)
    if found.dtype != wanted.dtype.numpy and not np.can_cast(found.dtype, wanted.dtype.numpy, "same_kind"):
        raise op_error("pure_callback", f"the callback gave {found.dtype}, {wanted.dtype} was promised", {}, kind=DtypeError)
    return found.astype(wanted.dtype.numpy)


__all__ = ["block_until_ready", "device_get", "device_put", "io_callback", "pure_callback"]
