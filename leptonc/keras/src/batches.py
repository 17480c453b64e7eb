"""Batches for a step, in the order that Keras gives them, and where in that order a run is."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import queue
import sys
import time
from collections.abc import Iterator
from types import GeneratorType
from typing import Any

import numpy as np
from keras.src import tree
from keras.src.trainers.data_adapters import is_grain_dataset, is_tf_dataset, is_torch_dataloader
from keras.src.trainers.data_adapters.array_data_adapter import ArrayDataAdapter
from keras.src.trainers.data_adapters.generator_data_adapter import GeneratorDataAdapter
from keras.src.trainers.epoch_iterator import EpochIterator

from leptonc.keras.src import randomness
from leptonc.keras.src.ahead import Ahead
from leptonc.keras.src.arrays import as_array, as_batch
from leptonc.keras.src.rows import Rows
from leptonc.keras.src.slots import Lender, Slots
from leptonc.memory import copied

AHEAD = 2  # batches that wait ready


class Batches(EpochIterator):
    """Keras's walk over an epoch, which gives (first step, last step, iterator over batches); ``waited``: seconds spent on waiting
    for data that others make, by ``clock``. One that is ``watched`` says where it is (``position``); another goes on from there
    (``resume``)."""

    clock = staticmethod(time.perf_counter)
    _current_iterator: Any

    def __init__(self, x: Any, *args: Any, reuse: bool = False, lender: Lender | None = None, **kwargs: Any):
        self._given = _in_epochs(x)
        if _has_an_order(x):
            kwargs["shuffle"] = False  # it does so itself, or not: fit's default is no reason for a warning
        super().__init__(self._given, *args, **kwargs)
        self._count()
        self._check()
        self.waited = 0.0
        self._reuse, self._lender = reuse, lender
        self._rows: Rows | None = None
        self._reader: Ahead | None = None
        self._ahead = False
        self.watched = False
        self.logs: Any = {}  # of the last batch before the place that was resumed from
        self._states: Any = None  # of the random generators as the epoch began
        self._began: Any = None  # the same, of the epoch in which the iterator began
        self._drawn = 0
        self._ended = False
        self._resumed: Any = None
        self._dropping = 0
        self._after: Any = None

    def _count(self) -> None:
        """How many batches an epoch has, where Keras has no way to ask."""
        if self.data_adapter.num_batches is None:
            self._num_batches: int | None = getattr(self._given, "batches", None)

    def begin_epoch(self, epoch: int) -> None:
        """Data whose order depends on the epoch has the one of this; where epochs go on in one walk over it, of the first."""
        if hasattr(self._given, "epoch") and self.steps_per_epoch is None:
            self._given.epoch = epoch

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
        if self._rows is not None:
            self._rows.close()
        super().reset()
        self._count()
        self.read_ahead()

    def read_ahead(self) -> None:
        """What is read of the data from here on is trained on, or predicted."""
        self._ahead = True

    @contextlib.contextmanager
    def catch_stop_iteration(self) -> Iterator[None]:
        """The end of data whose length nobody knew is the end of an epoch. Keras warns of it; here only if more was asked for: so
        many steps, or another epoch of a generator, which has ended."""
        try:
            yield
        except StopIteration:
            if self.steps_per_epoch or (self._ended and isinstance(self.data_adapter, GeneratorDataAdapter)):
                self._interrupted_warning()
            self._ended = True
            self._current_iterator = None
            self.data_adapter.on_epoch_end()

    def end(self) -> None:
        """No epoch follows."""
        if self._rows is not None:
            self._rows.end()

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
        if isinstance(self.data_adapter, ArrayDataAdapter):
            source = self._arrays().epoch(dropping, self._ahead)
            if dropping:
                randomness.put(self._after)
        else:
            source = self._source()
            for _ in itertools.islice(source, dropping):
                pass
        for batch in source:
            self._drawn += 1
            yield batch

    def _source(self) -> Iterator[Any]:
        adapter = self.data_adapter
        if getattr(adapter, "enqueuer", None) is not None:  # a PyDataset's own workers are ahead, and belong to one epoch
            if adapter.num_batches is not None:
                _empty(adapter.enqueuer.ready_queue)
            return self._timed(map(as_batch, adapter.get_numpy_iterator()))
        batches = map(as_batch, adapter.get_numpy_iterator())
        if not self._ahead:
            return self._timed(batches)
        depth = max(AHEAD, self.steps_per_execution)
        keep = Slots(depth + self.steps_per_execution).keep if self._reuse else _copied
        self._reader = Ahead(map(keep, batches), depth)
        return self._timed(self._reader)

    def _arrays(self) -> Rows:
        if self._rows is None:
            self._rows = Rows(self.data_adapter, self._reuse, self.steps_per_execution, self._lender)
        return self._rows

    def _timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        while True:
            start = self.clock()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self.waited += self.clock() - start
            yield batch


def _empty(leftover: queue.Queue[Any]) -> None:
    """Drop what workers had read ahead when an earlier walk ended: those of this one begin at the first batch again."""
    with contextlib.suppress(queue.Empty):
        while True:
            leftover.get(block=False)


def _has_an_order(x: Any) -> bool:
    return isinstance(x, GeneratorType) or is_grain_dataset(x) or is_tf_dataset(x) or is_torch_dataloader(x)


def _in_epochs(x: Any) -> Any:
    """grain's datasets by the epoch. Who has one has imported grain, which others need not wait for."""
    return importlib.import_module("leptonc.keras.src.indexed").in_epochs(x) if "grain" in sys.modules else x


def _copied(batch: Any) -> Any:
    return tree.map_structure(copied, batch, none_is_leaf=False)
