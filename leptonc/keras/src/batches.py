"""Batches for a step: out of arrays in memory, or from an iterator that works ahead on a thread."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from keras.src import tree
from keras.src.trainers.data_adapters import array_slicing
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
from keras.src.trainers.epoch_iterator import EpochIterator

from leptonc.keras.src.ops.tensors import SUPPORTED
from leptonc.memory import empty

AHEAD = 2  # batches that wait ready
CONVERTED_WHOLE = 1 << 30  # bytes of an array up to which all of it is converted at once
NARROWER = {"float64": "float32", "int64": "int32", "uint64": "uint32"}
READY = frozenset(np.dtype(name) for name in SUPPORTED if name not in NARROWER and name != "bfloat16")


def as_batch(data: Any) -> Any:
    """A batch as a step takes it: tuples of arrays in dtypes that leptonc has, those of 64 bits as 32."""
    if type(data) is tuple and all(type(x) is np.ndarray and x.dtype in READY for x in data):
        return data
    return tree.map_structure(as_array, tree.lists_to_tuples(data), none_is_leaf=False)


def as_array(x: Any) -> np.ndarray:
    """Raises ValueError for what is no number, and for integers beyond 32 bits."""
    array = np.asarray(x)
    if array.dtype in READY:
        return array
    name = array.dtype.name
    wanted = NARROWER.get(name)
    if wanted is None:
        if name not in SUPPORTED:
            raise ValueError(f"data of dtype {array.dtype} can't be trained on; fix: an array of numbers")
        return array
    if array.dtype.kind in "iu" and name in NARROWER and array.size:
        limits = np.iinfo(wanted)
        if array.min() < limits.min or array.max() > limits.max:
            raise ValueError(f"integers of 64 bits become {wanted}, and the data has {array.min()} to {array.max()}; fix: smaller "
                             "numbers, such as indices into a table")
    return array.astype(wanted)


class Batches(EpochIterator):
    """Keras's walk over an epoch, which gives (first step, last step, iterator over batches); ``waited``: seconds spent on waiting
    for data that others make."""

    def __init__(self, *args: Any, reuse: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.waited = 0.0
        self._reuse = reuse and self.steps_per_execution == 1
        self._buffers: dict[int, np.ndarray] = {}
        self._arrays: Any = None

    def __next__(self) -> Any:
        return next(self._epoch_iterator)

    def _get_iterator(self) -> Iterator[Any]:
        adapter = self.data_adapter
        if not isinstance(adapter, ArrayDataAdapter):
            return self._timed(Ahead(adapter.get_numpy_iterator()))
        if self._arrays is None:
            whole = array_slicing.convert_to_sliceable(adapter._inputs, target_backend="numpy")
            self._arrays = tree.lists_to_tuples(tree.map_structure(_prepared, whole))
        return self._rows_of(self._arrays, adapter)

    def _rows_of(self, structure: Any, adapter: ArrayDataAdapter) -> Iterator[Any]:
        """Batches of the arrays, in the order that Keras's adapter gives them: one permutation, or one within each batch."""
        sources = [leaf for leaf in tree.flatten(structure) if leaf is not None]
        flat = type(structure) is tuple and len(sources) == len(structure)
        count, size, shuffle = adapter._num_samples, adapter.batch_size, adapter._shuffle
        order = np.random.permutation(count) if shuffle and shuffle != "batch" else None
        for start in range(0, count, size):
            stop = min(start + size, count)
            rows = slice(start, stop) if order is None else order[start:stop]
            if shuffle == "batch":
                rows = np.random.permutation(stop - start) + start
            leaves = [self._rows(n, source, rows) for n, source in enumerate(sources)]
            yield tuple(leaves) if flat else _packed(structure, leaves)

    def _rows(self, number: int, source: Any, rows: Any) -> np.ndarray:
        """Some rows of an array: in place where they lie together, else gathered, into memory that was used before if it may be."""
        array = source.array
        if type(array) is not np.ndarray or isinstance(rows, slice):
            return as_array(source.convert_to_numpy(source[rows]))
        if not self._reuse or array.dtype not in READY:
            return as_array(array[rows])
        buffer = self._buffers.get(number)
        if buffer is None or len(buffer) < len(rows):
            buffer = self._buffers[number] = empty((len(rows), *array.shape[1:]), array.dtype)
        return np.take(array, rows, 0, out=buffer[:len(rows)], mode="clip")

    def _timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        while True:
            start = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self.waited += time.perf_counter() - start
            yield as_batch(batch)


def _prepared(source: Any) -> Any:
    """An array in memory, converted once rather than batch by batch."""
    array = getattr(source, "array", None)
    if type(source) is not array_slicing.NumpySliceable or type(array) is not np.ndarray or array.dtype in READY:
        return source
    return array_slicing.NumpySliceable(as_array(array)) if array.nbytes <= CONVERTED_WHOLE else source


def _packed(structure: Any, leaves: list[Any]) -> Any:
    """The structure with these leaves where it has some, and None where it has None."""
    remaining = iter(leaves)
    return tree.map_structure(lambda leaf: None if leaf is None else next(remaining), structure)


class Ahead:
    """An iterator's items, made on a thread while the caller works; an exception of the iterator's comes where its item would.

    Two queues and no lock: the thread takes a permit for each item, ``AHEAD`` of which are out at once, and ends at None. It holds
    no reference to this object, whose end is its own.
    """

    def __init__(self, items: Any):
        self._ready: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
        self._permits: queue.SimpleQueue[bool | None] = queue.SimpleQueue()
        self._process = os.getpid()
        self._done = False
        for _ in range(AHEAD):
            self._permits.put(True)
        threading.Thread(target=_fill, args=(iter(items), self._ready, self._permits), name="leptonc-batches", daemon=True).start()

    def __iter__(self) -> Ahead:
        return self

    def __next__(self) -> Any:
        if self._done:
            raise StopIteration
        if os.getpid() != self._process:
            raise RuntimeError("this process was forked while batches were read: the thread that reads them is the parent's")
        kind, value = self._ready.get()
        if kind == "item":
            self._permits.put(True)
            return value
        self._done = True
        raise StopIteration if kind == "end" else value

    def __del__(self) -> None:
        self._permits.put(None)


def _fill(items: Iterator[Any], ready: queue.SimpleQueue[tuple[str, Any]], permits: queue.SimpleQueue[bool | None]) -> None:
    """What the thread does, until there is nothing more or nobody left who takes it."""
    kind = "item"
    while kind == "item" and permits.get():
        try:
            kind, value = "item", next(items)
        except StopIteration:
            kind, value = "end", None
        except BaseException as error:
            kind, value = "error", error
        ready.put((kind, value))
