"""How much of the time an epoch waits for data, and what to do about it."""

from __future__ import annotations

from typing import Any

from keras.src.trainers.data_adapters.generator_data_adapter import GeneratorDataAdapter
from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

from leptonc.keras.src.batches import Batches

SHOWN = 0.2  # of an epoch's time
WORTH_A_HINT = 1.0  # seconds of a fit
FIXES = {
    "GrainDatasetAdapter": "to_iter_dataset with grain.ReadOptions of more threads, or mp_prefetch",
    "TorchDataLoaderAdapter": "DataLoader(num_workers=4)",
    "TFDatasetAdapter": "map(num_parallel_calls=tf.data.AUTOTUNE) and prefetch(tf.data.AUTOTUNE)",
}


class Waiting:
    """Of one walk over batches: the part of each epoch, and of all of them, that was spent on waiting for data that others make."""

    def __init__(self, batches: Batches):
        self._batches = batches
        self._waited = self._began = self._ended = self._before = 0.0
        self._all = self._all_waited = 0.0

    def start(self) -> None:
        """An epoch begins."""
        self._began = self._ended = self._batches.clock()
        self._before = self._batches.waited
        self._waited = 0.0

    def look(self) -> None:
        """A batch has been trained on."""
        now, waited = self._batches.clock(), self._batches.waited - self._before
        self._all += now - self._ended
        self._all_waited += waited - self._waited
        self._ended, self._waited = now, waited

    @property
    def text(self) -> str:
        """``waiting for data: 43%`` of the epoch so far, or nothing where it is little."""
        share = self._waited / max(self._ended - self._began, 1e-9)
        return f"waiting for data: {share:.0%}" if share > SHOWN else ""

    @property
    def hint(self) -> str:
        """What to do about it, where that is worth it."""
        share = self._all_waited / max(self._all, 1e-9)
        if share <= SHOWN or self._all_waited < WORTH_A_HINT:
            return ""
        return (f"Training waited for data for {self._all_waited:.0f} s, {share:.0%} of the time: batches are made more slowly "
                f"than they are trained on; fix: {_fix(self._batches.data_adapter)}")


def _fix(adapter: Any) -> str:
    if isinstance(adapter, GeneratorDataAdapter):
        return "a generator is read by one thread; a keras.utils.PyDataset(workers=4) is by four"
    if isinstance(adapter, PyDatasetAdapter):
        return _dataset_fix(adapter.py_dataset)
    return FIXES.get(type(adapter).__name__, "read on more threads, or prepare the data before training")


def _dataset_fix(dataset: Any) -> str:
    if dataset.workers <= 1:
        return "PyDataset(workers=4) reads on four threads"
    more = "" if dataset.use_multiprocessing else ", or use_multiprocessing=True if reading is Python's own work"
    return f"PyDataset(workers={2 * dataset.workers}) reads on more than its {dataset.workers} threads{more}"
