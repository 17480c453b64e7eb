"""Batches for a step: out of arrays in memory, or from an iterator that works ahead on a thread."""

from __future__ import annotations

import itertools
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

NOTHING = np.zeros(0, np.float32)
AHEAD = 2  # batches that wait ready
WIDER = {"int8": "int32", "int16": "int32", "uint16": "int32", "float16": "float32", "bfloat16": "float32"}
NARROWER = {"float64": "float32", "int64": "int32", "uint64": "uint32"}


def as_batch(data: Any) -> Any:
    """A batch as a step takes it: tuples of arrays in dtypes that leptonc has, those of 64 bits as 32."""
    return tree.map_structure(as_array, tree.lists_to_tuples(data), none_is_leaf=False)


def as_array(x: Any) -> np.ndarray:
    """Raises ValueError for what is no number, for integers beyond 32 bits, and for no samples."""
    array = np.asarray(x)
    if array.shape[:1] == (0,):
        raise ValueError(f"a batch has no samples: an array of shape {array.shape}")
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
    for data that others make. One that is ``watched`` says where it is (``position``), and another goes on from there (``resume``)."""

    def __init__(self, *args: Any, reuse: bool = False, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._check()
        self.waited = 0.0
        self._reuse = reuse and self.steps_per_execution == 1
        self._buffers: dict[int, np.ndarray] = {}
        self._arrays: Any = None
        self._ahead = False
        self.watched = False
        self.logs: Any = {}  # of the last batch before the place that was resumed from
        self._states: Any = None  # of the random generators as the epoch began
        self._began: Any = None  # the same, of the epoch in which the iterator began
        self._drawn = 0
        self._resumed: Any = None
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
        """Before the first epoch; what is read of the data until then, to see what it is like, is not read ahead of."""
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
        """The batches behind the first ``dropping`` ones, which were taken before. Nothing is done before the first is asked for."""
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
        if not isinstance(adapter, ArrayDataAdapter):
            batches = adapter.get_numpy_iterator()
            return self._timed(Ahead(batches) if self._ahead else iter(batches))
        if self._arrays is None:
            self._arrays = array_slicing.convert_to_sliceable(adapter._inputs, target_backend="numpy")
        return adapter._get_iterator(self._rows, self._arrays)

    def _rows(self, source: Any, indices: Any) -> np.ndarray:
        """Some rows of an array: in place where they lie together, else gathered, into memory that was used before if it may be."""
        if self._skips:
            return NOTHING
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
    """An iterator's items, made on a thread while the caller works. An exception of the iterator's comes where its item would."""

    def __init__(self, items: Any):
        self._ready: queue.Queue[tuple[str, Any]] = queue.Queue(AHEAD)
        self._gone = threading.Event()
        self._thread = threading.Thread(target=_fill, args=(iter(items), self._ready, self._gone), name="leptonc-batches", daemon=True)
        self._thread.start()

    def __iter__(self) -> Ahead:
        return self

    def __next__(self) -> Any:
        if self._gone.is_set():
            raise StopIteration
        kind, value = self._ready.get()
        if kind == "item":
            return value
        self._gone.set()
        raise StopIteration if kind == "end" else value

    def __del__(self) -> None:
        self._gone.set()


def _fill(items: Iterator[Any], ready: queue.Queue[tuple[str, Any]], gone: threading.Event) -> None:
    """What the thread does, until there is nothing more or nobody left who takes it. It holds no reference to the taker."""
    while not gone.is_set():
        try:
            entry = ("item", next(items))
        except StopIteration:
            entry = ("end", None)
        except BaseException as error:
            entry = ("error", error)
        while not gone.is_set():
            try:
                ready.put(entry, timeout=0.1)
                break
            except queue.Full:
                continue
        if entry[0] != "item":
            return
