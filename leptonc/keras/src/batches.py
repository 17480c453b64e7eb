"""Batches for a step: out of arrays in memory, or from an iterator that works ahead on a thread."""

from __future__ import annotations

import contextlib
import itertools
import operator
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

from leptonc.keras.src import randomness
from leptonc.keras.src.ops.tensors import SUPPORTED
from leptonc.memory import empty

NOTHING = np.zeros(0, np.float32)
AHEAD = 2  # batches that wait ready
CONVERTED_WHOLE = 1 << 30  # bytes of an array up to which all of it is converted at once
NARROWER = {"float64": "float32", "int64": "int32", "uint64": "uint32"}
READY = frozenset(np.dtype(name) for name in SUPPORTED if name not in NARROWER and name != "bfloat16")


def as_batch(data: Any) -> Any:
    """A batch as a step takes it: tuples of arrays in dtypes that leptonc has, those of 64 bits as 32."""
    if type(data) is tuple and all(type(x) is np.ndarray and x.dtype in READY and x.size for x in data):
        return data
    return tree.map_structure(as_array, tree.lists_to_tuples(data), none_is_leaf=False)


def as_array(x: Any) -> np.ndarray:
    """Raises ValueError for what is no number, for integers beyond 32 bits, and for no samples."""
    array = np.asarray(x)
    if array.shape[:1] == (0,):
        raise ValueError(f"a batch has no samples: an array of shape {array.shape}")
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
    for data that others make. One that is ``watched`` says where it is (``position``); another goes on from there (``resume``)."""

    def __init__(self, *args: Any, reuse: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._check()
        self.waited = 0.0
        self._reuse = reuse and self.steps_per_execution == 1
        self._buffers: dict[int, np.ndarray] = {}
        self._arrays: Any = None
        self._reader: Ahead | None = None
        self._ahead = False
        self.watched = False
        self.logs: Any = {}  # of the last batch before the place that was resumed from
        self._states: Any = None  # of the random generators as the epoch began
        self._began: Any = None  # the same, of the epoch in which the iterator began
        self._drawn = 0
        self._resumed: Any = None
        self._skips = False
        self._dropping = 0
        self._after: Any = None

    def _check(self) -> None:
        """Raises ValueError for data that no batch can be made of."""
        if self.num_batches is not None and self.num_batches < 1:
            raise ValueError("the data has no batches; fix: arrays with samples, and a batch_size from 1 up")
        if isinstance(self.data_adapter, ArrayDataAdapter):
            for array in tree.flatten(self.data_adapter._inputs):
                if type(array) is np.ndarray:
                    as_array(array[:1])

    def reset(self) -> None:
        """Before the first epoch; what is read of the data until then, to see what it is like, is not read ahead of.

        What reads ahead of another walk stops first: this one may read the same generator.
        """
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        super().reset()
        self._ahead = True

    def __iter__(self) -> Batches:
        step, position = self._resumed or (0, None)
        self._resumed = None
        if position is not None:
            randomness.put(position["began"])
        self._states = randomness.states() if self.watched else None
        super().__iter__()
        if position is not None:
            self._go_to(step, position)
        return self

    def __next__(self) -> Any:
        return next(self._epoch_iterator)

    def position(self, step: int) -> dict[str, Any]:
        """Where the walk is before batch ``step`` of an epoch: what ``resume`` takes, as arrays and numbers."""
        goes_on = step > 0 or (self.steps_per_epoch is not None and self._current_iterator is not None and self._steps_seen > 0)
        return {"began": self._began if goes_on else None, "drawn": self._drawn if goes_on else 0, "seen": self._steps_seen,
                "now": randomness.states()}

    def resume(self, step: int, position: dict[str, Any], logs: Any) -> None:
        """The next epoch goes on at batch ``step``, in the order of the data that it had."""
        self._resumed = step, position
        self.logs = logs

    def _go_to(self, step: int, position: dict[str, Any]) -> None:
        self._dropping, self._after = position["drawn"], position["now"]
        if not step:
            self._current_iterator = iter(self._get_iterator())
        for _ in range(0, step, self.steps_per_execution):
            next(self._epoch_iterator)
        self._steps_seen = position["seen"]

    def _get_iterator(self) -> Iterator[Any]:
        dropping, self._dropping = self._dropping, 0
        return self._counted(dropping)

    def _counted(self, dropping: int) -> Iterator[Any]:
        """The batches behind the first ``dropping`` ones, which were taken before. Nothing is done before one is asked for."""
        self._began, self._drawn = self._states, dropping
        self._skips = True  # rows that are dropped need not be gathered
        source = self._source()
        for _ in itertools.islice(source, dropping):
            pass
        self._skips = False
        if dropping and isinstance(self.data_adapter, ArrayDataAdapter):
            randomness.put(self._after)
        for batch in source:
            self._drawn += 1
            yield batch

    def _source(self) -> Iterator[Any]:
        adapter = self.data_adapter
        if getattr(adapter, "enqueuer", None) is not None:  # a PyDataset's own workers are ahead, and belong to one epoch
            return self._timed(adapter.get_numpy_iterator())
        if not isinstance(adapter, ArrayDataAdapter):
            batches = adapter.get_numpy_iterator()
            if not self._ahead:
                return self._timed(iter(batches))
            self._reader = Ahead(batches)
            return self._timed(self._reader)
        if self._arrays is None:
            whole = array_slicing.convert_to_sliceable(adapter._inputs, target_backend="numpy")
            self._arrays = tree.lists_to_tuples(tree.map_structure(_prepared, whole))
        return self._rows_of(self._arrays, adapter)

    def _rows_of(self, structure: Any, adapter: ArrayDataAdapter) -> Iterator[Any]:
        """Batches of the arrays, in the order that Keras's adapter gives them: one permutation, or one within each batch."""
        sources = [leaf for leaf in tree.flatten(structure) if leaf is not None]
        flat = type(structure) is tuple and len(sources) == len(structure) and all(map(operator.is_, sources, structure))
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
        if self._skips:
            return NOTHING
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
        given = iter(items), self._ready, self._permits
        self._thread = threading.Thread(target=_fill, args=given, name="leptonc-batches", daemon=True)
        self._thread.start()

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

    def close(self) -> None:
        """End after the item that is being made."""
        self._done = True
        for _ in range(AHEAD):
            with contextlib.suppress(queue.Empty):
                self._permits.get_nowait()
        self._permits.put(None)
        if self._thread.is_alive() and os.getpid() == self._process:
            self._thread.join()

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
