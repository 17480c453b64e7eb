"""Rows of arrays in memory, batch by batch: in place where they lie together, else gathered into memory that is used in turns."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from keras.src import tree
from keras.src.trainers.data_adapters import array_slicing
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter

from leptonc.config import recent_num_threads
from leptonc.cpus import available_cpus
from leptonc.keras.src.ahead import Ahead
from leptonc.keras.src.arrays import READY, as_array
from leptonc.keras.src.slots import Lender

CONVERTED_WHOLE = 1 << 30  # bytes of an array up to which all of it is converted at once
LARGE = 1 << 20  # bytes of a batch that take longer to gather, some 100 us, than to be handed over by a thread, some 30


class Rows:
    """Batches out of a Keras adapter's arrays, in the order that it gives them: one permutation, or one within each batch.

    With ``reuse`` a gathered batch is overwritten when ``block`` batches more have been taken, in memory that ``lender`` has, if
    any. Large ones are gathered ahead, on a thread, where the step leaves it a CPU: one that it takes from the step holds up all.
    """

    def __init__(self, adapter: ArrayDataAdapter, reuse: bool, block: int, lender: Lender | None = None):
        whole = array_slicing.convert_to_sliceable(adapter._inputs, target_backend="numpy")
        self._structure = tree.lists_to_tuples(tree.map_structure(_prepared, whole))
        self._sources = [leaf for leaf in tree.flatten(self._structure) if leaf is not None]
        self._is_flat = (type(self._structure) is tuple and len(self._sources) == len(self._structure)
                         and all(map(operator.is_, self._sources, self._structure)))
        self._count, self._size, self._shuffle = adapter._num_samples, adapter.batch_size, adapter._shuffle
        self._reuse, self._block = reuse, block
        self._lender = lender or Lender()
        self._rings: list[Any] = []
        self._reader: Ahead | None = None
        plain = all(type(source.array) is np.ndarray for source in self._sources)
        rows = min(self._size, self._count)
        self._is_large = plain and sum(rows * source.array[:1].nbytes for source in self._sources) >= LARGE

    def epoch(self, first: int, ahead: bool) -> Iterator[Any]:
        """The batches from the one numbered ``first`` on, in an order that is drawn now; ``ahead``: a thread may read."""
        self.close()
        starts = range(first * self._size, self._count, self._size)
        if not self._shuffle:
            return map(self._packed, self._slices(starts))
        if self._shuffle == "batch":
            return map(self._packed, self._shuffled_within(starts))
        order = np.random.permutation(self._count)
        ahead = ahead and self._is_large and has_idle_cpu()
        self._make_rings(2 * self._block if ahead else self._block)
        batches: Iterator[Any] = gathered(self._sources, self._rings, (order[start:start + self._size] for start in starts))
        if ahead:
            batches = self._reader = Ahead(batches, self._block)
        return map(self._packed, batches)

    def close(self) -> None:
        """End reading ahead: the thread is in the memory of the rings."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def end(self) -> None:
        """No epoch follows: the memory of the rings is for the next walk."""
        self.close()
        self._lender.give_back(slots for slots in self._rings if slots is not None)
        self._rings = []

    def _slices(self, starts: range) -> Iterator[list[np.ndarray]]:
        for start in starts:
            rows = slice(start, min(start + self._size, self._count))
            yield [as_array(source.convert_to_numpy(source[rows])) for source in self._sources]

    def _shuffled_within(self, starts: range) -> Iterator[list[np.ndarray]]:
        """A batch's order is drawn when it is asked for."""
        self._make_rings(self._block)
        sizes = (min(self._size, self._count - start) for start in starts)
        return gathered(self._sources, self._rings, (np.random.permutation(size) + start for start, size in zip(starts, sizes)))

    def _make_rings(self, slots: int) -> None:
        """For each source, memory of so many batches, or None where each batch is an array of its own."""
        if not self._rings or len(self._rings[0] or range(slots)) != slots:
            rows = min(self._size, self._count)
            self._rings = [self._lender.take(slots, (rows, *source.array.shape[1:]), source.array.dtype)
                           if self._reuse and type(source.array) is np.ndarray and source.array.dtype in READY else None
                           for source in self._sources]

    def _packed(self, leaves: Sequence[np.ndarray]) -> Any:
        """The data's structure with these leaves where it has some, and None where it has None."""
        if self._is_flat:
            return tuple(leaves)
        remaining = iter(leaves)
        return tree.map_structure(lambda leaf: None if leaf is None else next(remaining), self._structure)


def has_idle_cpu() -> bool:
    """Whether a step leaves a CPU to others."""
    return available_cpus() > recent_num_threads()


def gathered(sources: Sequence[Any], rings: Sequence[Any], orders: Iterator[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """The rows of each source in each of the orders, in the slots of its ring in turns."""
    for n, rows in enumerate(orders):
        yield [as_array(source.convert_to_numpy(source[rows])) if slots is None else
               source.array.take(rows, 0, slots[n % len(slots)][:len(rows)], "clip")
               for source, slots in zip(sources, rings)]


def _prepared(source: Any) -> Any:
    """An array in memory, converted once rather than batch by batch."""
    array = getattr(source, "array", None)
    if type(source) is not array_slicing.NumpySliceable or type(array) is not np.ndarray or array.dtype in READY:
        return source
    return array_slicing.NumpySliceable(as_array(array)) if array.nbytes <= CONVERTED_WHOLE else source
