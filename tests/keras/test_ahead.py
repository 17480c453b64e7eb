"""Batches made on a thread while the step runs: rows of large arrays, and what generators yield."""

from __future__ import annotations

import copy
import pickle
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

from leptonc.keras import Sequential, layers, utils
from leptonc.keras.src import rows, slots
from leptonc.keras.src.ahead import Ahead
from leptonc.keras.src.batches import Batches

X = np.arange(120, dtype=np.float32).reshape(30, 4)
Y = X.sum(1, keepdims=True)


def epochs(large: int, monkeypatch, **options):
    """Two epochs of shuffled batches, copied as they come, and what was read ahead."""
    readers = []

    def ahead(items, depth):
        readers.append(Ahead(items, depth))
        return readers[-1]

    monkeypatch.setattr(rows, "LARGE", large)
    monkeypatch.setattr(rows, "Ahead", ahead)
    monkeypatch.setattr(rows, "has_idle_cpu", lambda: True)
    np.random.seed(3)
    batches = Batches(x=X, y=Y, batch_size=8, shuffle=True, **options)
    batches.reset()
    found = []
    for _ in range(2):
        for _, _, iterator in batches:
            x, y = next(iterator)
            found.append((x.copy(), y.copy(), x.__array_interface__["data"][0]))
    return found, readers


@pytest.mark.parametrize("reuse", [True, False])
def test_large_batches_are_gathered_ahead_in_two_buffers(reuse, monkeypatch):
    """The same rows, by the same draws of NumPy's generator."""
    wanted, here = epochs(1 << 40, monkeypatch, reuse=reuse)
    state = np.random.get_state()[1].copy()
    found, readers = epochs(1, monkeypatch, reuse=reuse)
    assert len(readers) == 2 and not here
    assert all(np.array_equal(a[0], b[0]) and np.array_equal(a[1], b[1]) for a, b in zip(found, wanted, strict=True))
    assert np.array_equal(np.random.get_state()[1], state)
    if reuse:
        places = [place for _, _, place in found]
        assert len(set(places)) == 2 and places[:4] == places[4:] and not any(place % 64 for place in places)


def test_no_thread_takes_a_cpu_from_the_step(monkeypatch):
    """It would hold up all of the step's threads at their next barrier."""
    for threads, read_ahead in ((1, True), (2, False)):
        monkeypatch.setattr(rows, "available_cpus", lambda: 2)
        monkeypatch.setattr(rows, "recent_num_threads", lambda threads=threads: threads)
        assert rows.has_idle_cpu() == read_ahead


def test_memory_of_batches_is_kept_for_the_next_fit(monkeypatch):
    taken = []

    model = Sequential([layers.Input((4,)), layers.Dense(1)])
    model.compile("adam", "mse")
    take = slots.Lender.take

    def noted(self, *args):
        taken.append(take(self, *args))
        return taken[-1]

    monkeypatch.setattr(slots.Lender, "take", noted)
    for size in (7, 7, 5):
        model.fit(X, Y, batch_size=size, verbose=0)
    assert all(a is b for a, b in zip(taken[:2], taken[2:4])) and not any(a is b for a, b in zip(taken[:2], taken[4:]))
    assert len(model._lender._idle) == 2
    assert not copy.deepcopy(model._lender)._idle and not pickle.loads(pickle.dumps(model._lender))._idle


def test_memory_is_lent_to_one_walk_at_a_time():
    lender = slots.Lender()
    a, b = (lender.take(2, (3,), X.dtype) for _ in range(2))
    lender.give_back([a, b])
    again = [lender.take(2, (3,), X.dtype) for _ in range(3)]
    assert again[0] is a and again[1] is b and again[2] is not a and again[2] is not b


def test_the_next_batch_is_made_while_one_is_used():
    """And no more than that: a batch in use is not written over."""
    made = []
    reader = Ahead(map(made.append, range(5)), 1)
    next(reader)
    while len(made) < 2:
        assert reader._thread.is_alive()
    assert made == [0, 1]
    reader.close()
    assert len(made) == 2


def test_a_walk_that_was_left_ends_before_the_next(monkeypatch):
    monkeypatch.setattr(rows, "LARGE", 1)
    monkeypatch.setattr(rows, "has_idle_cpu", lambda: True)
    batches = Batches(x=X, y=Y, batch_size=2, shuffle=True, reuse=True)
    batches.reset()
    for _, _, iterator in batches:
        next(iterator)
        break
    left = batches._rows._reader._thread
    batches.reset()
    assert not left.is_alive()


def test_training_is_the_same_ahead_and_not(monkeypatch):
    weights = []
    monkeypatch.setattr(rows, "has_idle_cpu", lambda: True)
    for large in (1, 1 << 40):
        monkeypatch.setattr(rows, "LARGE", large)
        utils.set_random_seed(1)
        model = Sequential([layers.Input((4,)), layers.Dense(3, "relu"), layers.Dense(1)])
        model.compile("adam", "mse")
        model.fit(X, Y, batch_size=7, epochs=3, validation_split=0.3, verbose=0)
        weights.append(model.get_weights())
    assert all(map(np.array_equal, *weights))


def test_a_generator_may_write_the_next_batch_where_the_last_was():
    """Keras itself takes two batches to look at, and keeps no copy of them."""
    def generator():
        x = np.empty((5, 4))  # float64, which is converted
        for start in range(0, 30, 5):
            x[...] = X[start:start + 5]
            yield x, Y[start:start + 5]

    batches = Batches(x=generator(), steps_per_epoch=6, reuse=True)
    batches.reset()
    for n, (_, _, iterator) in enumerate(batches):
        x, y = next(iterator)
        batches._reader._thread.join(0.01)  # the thread goes on as far as it may
        start = 5 * max(n, 1)
        assert x.dtype == np.float32 and np.array_equal(x, X[start:start + 5]) and np.array_equal(y, Y[5 * n:5 * n + 5])
