"""``steps_per_execution``: several steps in one native run, by the program of one, and batches where they lie."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

from leptonc.keras import Sequential, callbacks, layers, utils
from leptonc.keras.src.slots import Slots, ring, stacked
from leptonc.runtime.executable import Executable

X = np.random.default_rng(0).random((43, 6), np.float32)
Y = np.arange(43) % 3


class Seen(callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.batches = []

    def on_train_batch_begin(self, batch, logs=None):
        self.batches.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.batches.append((batch, sorted(logs)))


def network(steps: int):
    utils.set_random_seed(1)
    model = Sequential([layers.Input((6,)), layers.Dense(4, "relu"), layers.BatchNormalization(), layers.Dropout(0.3),
                        layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], steps_per_execution=steps)
    return model


def generator():
    while True:
        for start in range(0, 43, 8):
            yield X[start:start + 8], Y[start:start + 8]


def all_of(steps: int, data: str):
    """History, weights, and what evaluate and predict give; the epoch has 6 batches, the last of 3 rows."""
    model, seen = network(steps), Seen()
    arrays, generated = {"x": X, "y": Y, "batch_size": 8, "validation_split": 0.2}, {"x": generator(), "steps_per_epoch": 6}
    options = arrays if data == "arrays" else {**generated, "shuffle": False}
    history = model.fit(**options, epochs=2, verbose=0, callbacks=[seen]).history
    found = history, model.evaluate(X, Y, batch_size=8, verbose=0), model.predict(X, batch_size=8, verbose=0).tolist()
    return found, model, seen


@pytest.mark.parametrize("data, steps", [("arrays", 2), ("arrays", 50), ("generator", 3)])
def test_the_same_bits_as_one_by_one(data, steps):
    wanted, one, _ = all_of(1, data)
    found, several, seen = all_of(steps, data)
    assert found == wanted
    for a, b in zip(one.variables, several.variables):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert several.train_function.compiles == one.train_function.compiles
    first, last = seen.batches[:2]
    assert first == 0 and last == (steps - 1, ["accuracy", "loss"])


def test_one_native_run_writes_the_variables_where_they_are(monkeypatch):
    runs = []
    repeat = Executable.repeat

    def counted(self, carry, xs, ys, count, *args, **options):
        runs.append((count, [x.base is not None and not x.flags.owndata for x in xs]))
        return repeat(self, carry, xs, ys, count, *args, **options)

    monkeypatch.setattr(Executable, "repeat", counted)
    model = network(3)
    model.fit(X, Y, batch_size=8, verbose=0)
    arrays = [v._value for v in model.variables]
    runs.clear()
    model.fit(X[:40], Y[:40], batch_size=8, epochs=2, verbose=0)
    assert [count for count, _ in runs] == [3, 2, 3, 2] and all(all(in_place) for _, in_place in runs)
    assert all(v._value is array for v, array in zip(model.variables, arrays))


def test_a_signal_finds_whole_steps(monkeypatch):
    """What was run before it is in the variables, as that many steps one by one leave them."""
    sliced = Executable._slice

    def interrupted(self, *args):
        sliced(self, *args)
        raise KeyboardInterrupt

    model, other = network(6), network(1)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(Executable, "_slice", interrupted)  # the first slice is one step
        model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    other.fit(X[:8], Y[:8], batch_size=8, shuffle=False, verbose=0)
    for a, b in zip(model.variables, other.variables):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    model.fit(X, Y, batch_size=8, verbose=0)


def test_stacking_copies_only_what_lies_anyhow():
    whole = np.arange(24, dtype=np.float32).reshape(6, 4)
    slots = ring(3, (2, 4), whole.dtype)
    for n, slot in enumerate(slots):
        slot[...] = whole[2 * n:2 * n + 2]
    anyhow = [whole[:2], whole[4:], whole[2:4]]
    for parts, in_place in (([whole[:2], whole[2:4], whole[4:]], True), (slots, True), (anyhow, False), ([whole[:, :2]], False)):
        found = stacked(parts)
        np.testing.assert_array_equal(found, np.stack(parts))
        assert np.shares_memory(found, parts[0]) == in_place


def test_slots_are_used_in_turns():
    slots = Slots(2)
    batches = [slots.keep((np.full((size, 3), size, np.float32), None)) for size in (4, 4, 2, 5)]
    (first, _), (second, _), (third, _), (larger, _) = batches
    assert first[0, 0] == 2 and second[0, 0] == 4 and np.shares_memory(third, first) and not np.shares_memory(larger, second)
    assert all(x.__array_interface__["data"][0] % 64 == 0 for x, _ in batches)
