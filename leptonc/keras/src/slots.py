"""Memory that batches lie in by turns: at cache lines, and at equal distances, so that several are an array as they lie."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from keras.src import tree
from numpy.lib.stride_tricks import as_strided

import leptonc
from leptonc.memory import aligned, copied, uninitialized_bytes


def address(array: np.ndarray) -> int:
    """Of the first element."""
    return int(array.__array_interface__["data"][0])


class Slots:
    """Room for ``count`` batches like the first; a batch is overwritten when so many more have been kept."""

    def __init__(self, count: int):
        self._count = count
        self._turn = itertools.cycle(range(count))
        self._rings: list[list[np.ndarray]] = []

    def keep(self, batch: Any) -> Any:
        """The batch, copied: whoever made it may go on to write the next one where it was."""
        leaves = [leaf for leaf in tree.flatten(batch) if leaf is not None]
        if not self._rings:
            self._rings = [ring(self._count, leaf.shape, leaf.dtype) for leaf in leaves]
        slot = next(self._turn)
        kept = iter([_kept(leaf, slots[slot]) for leaf, slots in zip(leaves, self._rings)] if len(leaves) == len(self._rings)
                    else map(copied, leaves))
        return tree.map_structure(lambda leaf: None if leaf is None else next(kept), batch)


def _kept(array: np.ndarray, slot: np.ndarray) -> np.ndarray:
    """A copy in the slot if it has room for as many rows, else in memory of its own."""
    if not array.ndim or array.dtype != slot.dtype or array.shape[1:] != slot.shape[1:] or len(array) > len(slot):
        return copied(array)
    slot = slot[:len(array)]
    slot[...] = array
    return slot


def ring(slots: int, shape: Sequence[int], dtype: np.dtype) -> list[np.ndarray]:
    """Arrays at equal distances, each at a multiple of 64 bytes."""
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    memory = uninitialized_bytes(slots * aligned(size)).reshape(slots, -1)
    return [memory[n, :size].view(dtype).reshape(shape) for n in range(slots)]


class Lender:
    """Rings that outlive an epoch's walk: the pages of a fresh one come from the system one by one, at ten times a copy's cost.

    A ring belongs to one walk at a time: who asks for one while another has it gets memory of its own.
    """

    def __init__(self) -> None:
        self._idle: list[list[np.ndarray]] = []

    def take(self, slots: int, shape: Sequence[int], dtype: np.dtype) -> list[np.ndarray]:
        for n, idle in enumerate(self._idle):
            if (len(idle), idle[0].shape, idle[0].dtype) == (slots, tuple(shape), dtype):
                return self._idle.pop(n)
        return ring(slots, shape, dtype)

    def give_back(self, rings: Iterable[list[np.ndarray]]) -> None:
        """For the next walk; those of walks before are let go."""
        self._idle = [*rings]

    def __deepcopy__(self, memo: Any) -> Lender:
        return Lender()

    def __reduce__(self) -> Any:
        return Lender, ()


def is_flat(batch: Any) -> bool:
    """Whether a batch is a plain tuple of arrays, which needs no walk through its structure."""
    return type(batch) is tuple and all(type(leaf) is np.ndarray for leaf in batch)


def columns(batches: Sequence[Any]) -> Iterable[tuple[Any, ...]]:
    """For each leaf, that of all batches."""
    return zip(*(batches if all(map(is_flat, batches)) else map(leptonc.tree.leaves, batches)))


def stacked(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Arrays of one type as one with a first axis more, for as long as they live: as they lie if they lie at equal distances."""
    starts = [address(part) for part in parts]
    distance = starts[1] - starts[0] if len(starts) > 1 else 0
    if (all(later - start == distance for start, later in itertools.pairwise(starts))
            and all(part.flags.c_contiguous and part.flags.aligned for part in parts)):
        return as_strided(parts[0], (len(parts), *parts[0].shape), (distance, *parts[0].strides), writeable=False)
    return np.stack(parts)
