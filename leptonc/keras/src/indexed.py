"""grain's ``MapDataset``, whose batches have numbers, read epoch by epoch. Imported where grain is already."""

from __future__ import annotations

import sys
from typing import Any

import grain

from leptonc import config

PER_THREAD = 2  # batches read ahead


class Epochs(grain.IterDataset):
    """The batches of epoch ``epoch`` of a dataset: as grain counts on past its end, shuffles and random maps draw anew in each.

    A few are read ahead by as many threads as leptonc has; grain by itself reads 500, which may be more than memory holds.
    """

    def __init__(self, dataset: Any):
        super().__init__(dataset)
        self._dataset = dataset
        self.epoch = 0
        self.batches = None if len(dataset) >= sys.maxsize else len(dataset)  # of an epoch, if it has an end

    def __iter__(self) -> Any:
        start = self.epoch * (self.batches or 0)
        one = self._dataset.repeat()[start:start + len(self._dataset)] if start else self._dataset
        threads = config.num_threads()
        return iter(one.to_iter_dataset(grain.ReadOptions(num_threads=threads, prefetch_buffer_size=PER_THREAD * threads)))


def in_epochs(x: Any) -> Any:
    """``Epochs`` of a MapDataset, other data as it is."""
    return Epochs(x) if isinstance(x, grain.MapDataset) else x
