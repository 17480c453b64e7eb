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

AHEAD = 2  # batches that wait ready
WIDER = {"int8": "int32", "int16": "int32", "uint16": "int32", "float16": "float32", "bfloat16": "float32"}
NARROWER = {"float64": "float32", "int64": "int32", "uint64": "uint32"}


def as_batch(data: Any) -> Any:
    """A batch as a step takes it: tuples of arrays in dtypes that leptonc has, those of 64 bits as 32."""
    return tree.map_structure(as_array, tree.lists_to_tuples(data), none_is_leaf=False)


def as_array(x: Any) -> np.ndarray:
    """Raises ValueError for what is no number, and for integers beyond 32 bits."""
    array = np.asarray(x)
    name = array.dtype.name
    wanted = WIDER.get(name) or NARROWER.get(name)
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
            self._arrays = array_slicing.convert_to_sliceable(adapter._inputs, target_backend="numpy")
        return adapter._get_iterator(self._rows, self._arrays)

    def _rows(self, source: Any, indices: Any) -> np.ndarray:
        """Some rows of an array: in place where they lie together, else gathered, into memory that was used before if it may be."""
        array = source.array
        if type(array) is not np.ndarray or isinstance(indices, slice):
            return as_array(source.convert_to_numpy(source[indices]))
        if not self._reuse or array.dtype.name not in SUPPORTED or array.dtype.name in NARROWER:
            return as_array(array[indices])
        buffer = self._buffers.get(id(source))
        if buffer is None or len(buffer) < len(indices):
            buffer = self._buffers[id(source)] = np.empty((len(indices), *array.shape[1:]), array.dtype)
        return np.take(array, indices, 0, out=buffer[:len(indices)], mode="clip")

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
