"""Conversion, shape inference, scatter and slices; with control flow, all that Keras calls the core of a backend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from keras.src import tree
from keras.src.backend.common import KerasVariable, standardize_dtype
from keras.src.backend.common.keras_tensor import KerasTensor
from keras.src.backend.common.stateless_scope import StatelessScope
from keras.src.backend.common.symbolic_scope import SymbolicScope

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.keras.src.ops import control, gradients
from leptonc.keras.src.ops.tensors import convert_to_tensor, dtype_name, is_tensor
from leptonc.keras.src.standin import standing_in
from leptonc.updates import IndexedUpdate

SUPPORTS_SPARSE_TENSORS = False
SUPPORTS_RAGGED_TENSORS = False
SUPPORTS_COMPLEX_DTYPES = True
IS_THREAD_SAFE = False  # callbacks see the state that belongs to their batch

STANDINS = (83, 89)  # extents for None: two runs show which extents of the results depend on it


def convert_to_numpy(x: Any) -> np.ndarray:
    """An array of its own. Raises TracerError inside a trace."""
    return np.array(convert_to_tensor(x) if isinstance(x, KerasVariable) else x)


def cast(x: Any, dtype: Any) -> Any:
    return convert_to_tensor(x, dtype=dtype)


def shape(x: Any) -> tuple[int, ...]:
    return tuple(x.shape)


def random_seed_dtype() -> str:
    return "uint32"


@contextlib.contextmanager
def device_scope(device_name: str) -> Iterator[None]:
    """There is one device. Raises ValueError for another name than "cpu" or "cpu:0"."""
    if str(device_name).lower() not in ("cpu", "cpu:0"):
        raise ValueError(f"leptonc runs on device 'cpu:0' alone, got device_name={device_name!r}")
    yield


def compute_output_spec(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Shapes and dtypes of ``fn``'s results for KerasTensors, by tracing; extents of None come out as None."""
    symbolic = [x for x in tree.flatten((args, kwargs)) if isinstance(x, KerasTensor)]
    first = second = _traced(fn, args, kwargs, STANDINS[0])
    if any(None in x.shape for x in symbolic):
        second = _traced(fn, args, kwargs, STANDINS[1])
    return tree.map_structure(_merged, first, second)


def _traced(fn: Callable[..., Any], args: Any, kwargs: Any, extent: int) -> Any:
    """The results with KerasTensors for tensors."""
    symbolic = [leaf for leaf in tree.flatten((args, kwargs)) if isinstance(leaf, KerasTensor)]
    results: list[Any] = []

    def run(number: Any, *tensors: Any) -> None:
        remaining = iter(tensors)
        given, named = tree.map_structure(lambda leaf: next(remaining) if isinstance(leaf, KerasTensor) else leaf, (args, kwargs))
        with StatelessScope(), SymbolicScope(), standing_in(number):  # of its own: what is assigned inside belongs to this trace
            results.append(tree.map_structure(_spec, fn(*given, **named)))

    leptonc.eval_shape(run, leptonc.ShapeDtypeStruct((), np.dtype(np.float32)), *(_standin(leaf, extent) for leaf in symbolic))
    return results[0]


def _standin(x: KerasTensor, extent: int) -> leptonc.ShapeDtypeStruct:
    return leptonc.ShapeDtypeStruct(tuple(extent if d is None else d for d in x.shape), np.dtype(dtype_name(x.dtype)))


def _spec(x: Any) -> Any:
    return KerasTensor(tuple(x.shape), standardize_dtype(x.dtype)) if is_tensor(x) else x


def _merged(first: Any, second: Any) -> Any:
    if not isinstance(first, KerasTensor):
        return first
    extents = [a if a == b else None for a, b in zip(first.shape, second.shape)]
    return KerasTensor(extents, first.dtype)


def stop_gradient(variable: Any) -> Any:
    return lax.stop_gradient(convert_to_tensor(variable))


def scatter(indices: Any, values: Any, shape: Any) -> Any:
    """Zeros of ``shape`` with values added at indices [..., axis]."""
    values = convert_to_tensor(values)
    return scatter_update(lnp.zeros(tuple(shape), values.dtype), indices, values, "add")


def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Any:
    x = convert_to_tensor(inputs)
    at = convert_to_tensor(indices)
    place = IndexedUpdate(x)[tuple(at[..., axis] for axis in range(at.shape[-1]))]
    method = {None: "set", "add": "add", "max": "max", "min": "min", "mul": "multiply"}.get(reduction)
    if method is None:
        raise ValueError(f"Unsupported reduction: {reduction}")
    return getattr(place, method)(convert_to_tensor(updates, x.dtype))


def slice(inputs: Any, start_indices: Any, shape: Any) -> Any:
    """So many elements from a start on, which may be traced; -1 in ``shape``: all behind it."""
    x = convert_to_tensor(inputs)
    starts = _scalars(start_indices)
    sizes = [extent - int(start) if size == -1 else int(size) for size, start, extent in zip(shape, starts, x.shape)]
    return lax.dynamic_slice(x, starts, sizes)


def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Any:
    x = convert_to_tensor(inputs)
    return lax.dynamic_update_slice(x, convert_to_tensor(updates, x.dtype), _scalars(start_indices))


def _scalars(starts: Any) -> list[Any]:
    return [convert_to_tensor(start, "int32") for start in starts]


def unstack(x: Any, num: int | None = None, axis: int = 0) -> list[Any]:
    x = convert_to_tensor(x)
    return [lnp.squeeze(part, axis) for part in lnp.split(x, num or x.shape[axis], axis)]


globals().update({name: getattr(part, name) for part in (control, gradients) for name in part.__all__})

__all__ = [name for name in dir() if not name.startswith("_")]
