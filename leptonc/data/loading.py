"""What all loaders share: which examples, in what order, in which batches, as a grain dataset."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from leptonc.data.extra import missing
from leptonc.errors import ArgumentError

_absl = logging.getLogger("absl")
_level = _absl.level
_absl.setLevel(logging.ERROR)  # grain warns of JAX's profiler, which nobody asked for
try:
    import grain
except ModuleNotFoundError as error:
    raise missing(error, "makes datasets") from None
finally:
    _absl.setLevel(_level)

Augmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]
SUBSETS = ("training", "validation")


class Order(NamedTuple):
    """Which examples, in what order, in which batches."""

    batch_size: int | None = 32
    shuffle: bool = True
    seed: int = 0
    shard: tuple[int, int] = (0, 1)
    validation_split: float | None = None
    subset: str | None = None
    drop_remainder: bool = False


def chosen(op: str, count: int, order: Order) -> np.ndarray:
    """Numbers of the examples of a subset and a shard, of ``count``. Raises ArgumentError if there are none."""
    _check(op, order)
    numbers = np.arange(count)
    if order.validation_split is not None:
        mixed = np.random.default_rng(order.seed).permutation(count)
        held = round(count * order.validation_split)
        numbers = np.sort(mixed[:held] if order.subset == "validation" else mixed[held:])
    index, shards = order.shard
    numbers = numbers[index::shards]
    if not len(numbers):
        raise ArgumentError(f"{op}: there are no examples" + (f" in shard {index} of {shards}" if shards > 1 else ""))
    return numbers


def _check(op: str, order: Order) -> None:
    index, shards = order.shard
    if not 0 <= index < shards:
        raise ArgumentError(f"{op}: shard={order.shard} must be (index, count) with 0 <= index < count")
    if (order.validation_split is None) != (order.subset is None) or order.subset not in (None, *SUBSETS):
        raise ArgumentError(f"{op}: validation_split={order.validation_split} and subset={order.subset!r} go together; subset is "
                            "'training' or 'validation'")
    if order.validation_split is not None and not 0 < order.validation_split < 1:
        raise ArgumentError(f"{op}: validation_split={order.validation_split} must be between 0 and 1")
    if order.batch_size is not None and order.batch_size < 1:
        raise ArgumentError(f"{op}: batch_size={order.batch_size} must be at least 1, or None for single examples")
    if not 0 <= order.seed < 2**32:
        raise ArgumentError(f"{op}: seed={order.seed} must be between 0 and 2**32 - 1")


def dataset(numbers: np.ndarray, order: Order, read: Any, augment: Sequence[Augmentation] = ()) -> Any:
    """A ``grain.MapDataset`` of batches of what ``read`` gives for each of the numbers, x or (x, y); ``augment`` changes x.

    Its order and its augmentations are those of ``seed``, others in each epoch, the same at each run and for any number of threads.
    """
    made = _shuffled(numbers, order).map(_Read(read))
    if augment:
        made = made.random_map(_Augment(augment))
    return _batched(made, order)


def in_memory(numbers: np.ndarray, order: Order, read: Any) -> Any:
    """The same where ``read`` takes an array of numbers at once."""
    return _batched(_shuffled(numbers, order), order).map(_Read(read))


def _shuffled(numbers: np.ndarray, order: Order) -> Any:
    made = grain.MapDataset.source(numbers).seed(order.seed)
    return made.shuffle() if order.shuffle else made


def _batched(made: Any, order: Order) -> Any:
    return made if order.batch_size is None else made.batch(order.batch_size, drop_remainder=order.drop_remainder)


class _Read(grain.transforms.Map):
    """In classes of their own, so that grain may pickle them for other processes."""

    def __init__(self, read: Any):
        self._function = read

    def map(self, element: Any) -> Any:
        return self._function(element)


class _Augment(grain.transforms.RandomMap):
    def __init__(self, functions: Sequence[Augmentation]):
        self._functions = tuple(functions)

    def random_map(self, element: Any, rng: np.random.Generator) -> Any:
        x, *rest = element if isinstance(element, tuple) else (element,)
        for function in self._functions:
            x = function(x, rng)
        return (x, *rest) if rest else x
