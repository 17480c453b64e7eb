"""Models that Keras takes for ones that can't be compiled, and data that several threads read."""

from __future__ import annotations

import threading
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

from leptonc import errors
from leptonc.keras import Input, Model, Sequential, callbacks, layers, losses, random, utils

X = np.random.default_rng(0).random((8, 6, 6, 1), np.float32)
Y = np.arange(8) % 3


def trained(*varied, eager=False):
    utils.set_random_seed(1)
    model = Sequential([layers.Input((6, 6, 1)), *(kind(*args, **options) for kind, args, options in varied), layers.Flatten(),
                        layers.Dense(3)])
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=eager)
    return model, model.fit(X, Y, batch_size=8, epochs=3, verbose=0).history["loss"]


def test_geometric_augmentation_is_compiled_and_the_same_as_op_by_op():
    varied = [(layers.RandomTranslation, (0.2, 0.2), {"fill_mode": "constant"}), (layers.RandomRotation, (0.1,), {}),
              (layers.RandomZoom, (0.2,), {}), (layers.RandomShear, (0.1, 0.1), {})]
    model, found = trained(*varied)
    assert model.jit_compile and model.train_function.compiles == 1
    np.testing.assert_allclose(found, trained(*varied, eager=True)[1], rtol=1e-4)


def test_draws_by_rejection_and_shuffles_are_compiled():
    """MixUp draws beta numbers and an order in each step."""
    varied = [(layers.MixUp, (0.4,), {"seed": 3}), (ShuffledRows, (), {})]
    model, found = trained(*varied)
    assert model.jit_compile and model.train_function.compiles == 1
    np.testing.assert_allclose(found, trained(*varied, eager=True)[1], rtol=1e-4)


class ShuffledRows(layers.Layer):
    """Images with their rows in another order for each batch."""

    def __init__(self):
        super().__init__()
        self.generator = random.SeedGenerator(5)

    def call(self, x):
        return random.shuffle(x, 1, self.generator)


def test_a_layer_that_does_not_compile_makes_the_model_run_op_by_op():
    model, _ = trained((layers.RandomCrop, (6, 6), {}))
    assert not model.jit_compile and model.train_function.compiles == 0
    with pytest.raises(errors.ArgumentError, match="op by op"):
        model.train_function.as_text()


def test_programs_of_a_model():
    model, _ = trained()
    step = model.train_function
    assert "graph @train_step" in step.as_text() and step.cost_analysis()["flops"] > 0 and step.compiles == 1
    model.train_on_batch(X[:2], Y[:2])
    assert step.compiles == 2 and "f32[8,6,6,1]" in step.as_text("traced")  # the larger one
    assert step.compiled_for((X[:2], Y[:2].astype("i4"))) is not step.compiled_for()
    with pytest.raises(errors.ArgumentError, match="no batch yet"):
        model.make_test_function(force=True).as_text()


class Pictures(utils.PyDataset):
    def __len__(self):
        return 4

    def __getitem__(self, batch):
        return X[2 * batch:2 * batch + 2], Y[2 * batch:2 * batch + 2]


class Seen(callbacks.Callback):
    batches = 0

    def on_train_batch_end(self, batch, logs=None):
        self.batches += 1


@pytest.mark.parametrize("workers", [1, 3])
def test_every_epoch_reads_its_own_batches(workers):
    """Also those of the validation, between epochs; nothing hangs, nothing is left running."""
    model, _ = trained()
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True)
    seen = Seen()
    model.fit(Pictures(workers=workers), validation_data=Pictures(workers=workers), epochs=6, verbose=0, callbacks=[seen])
    assert seen.batches == 24
    model.evaluate(Pictures(workers=workers), verbose=0)
    reading = [thread for thread in threading.enumerate() if thread.name == "leptonc-batches"]
    for thread in reading:  # they have been told to end
        thread.join(30)
    assert not any(thread.is_alive() for thread in reading)


def test_workers_begin_each_epoch_at_its_first_batch():
    """What they had read ahead when the model was built, or when an epoch ended, is not trained on in the next."""
    class Numbered(Pictures):
        def __getitem__(self, batch):
            return np.full((2, 1), batch, np.float32), np.zeros((2, 1), np.float32)

    class Given(Model):
        def call(self, x):
            return x

        def train_step(self, data):
            return {"batch": data[0][0, 0]}

    model, given = Given(), []
    model.compile(loss="mse")
    told = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: given.append(int(logs["batch"])))
    model.fit(Numbered(workers=3), epochs=3, shuffle=False, verbose=0, callbacks=[told])
    assert given == [0, 1, 2, 3] * 3


@pytest.mark.parametrize("steps", [1, 2])
def test_what_is_frozen_is_asked_again_at_each_fit(steps):
    """Two layers of one shape: what was traced to train one must not be run to train the other."""
    found = []
    for eager in (False, True):
        utils.set_random_seed(1)
        model = Sequential([layers.Input((4,)), layers.Dense(4, "tanh"), layers.Dense(4)])
        model.compile("sgd", "mse", steps_per_execution=steps, run_eagerly=eager)
        for frozen in (0, 1):
            for n, layer in enumerate(model.layers):
                layer.trainable = n != frozen
            before = model.layers[frozen].get_weights()
            model.fit(np.ones((8, 4), "f"), np.zeros((8, 4), "f"), batch_size=2, verbose=0)
            assert all(map(np.array_equal, before, model.layers[frozen].get_weights()))
        found.append(model.get_weights())
    for compiled, wanted in zip(*found):
        np.testing.assert_allclose(compiled, wanted, rtol=1e-4, atol=1e-6)


def batches():
    for n in range(0, 8, 3):
        yield X[n:n + 3], Y[n:n + 3]


def of_torch(workers=0):
    data = pytest.importorskip("torch.utils.data")
    return data.DataLoader(list(zip(X, Y)), batch_size=3, num_workers=workers)


def of_torch_without_length():
    data = pytest.importorskip("torch.utils.data")

    class Examples(data.IterableDataset):
        def __iter__(self):
            return iter(zip(X, Y))

    return data.DataLoader(Examples(), batch_size=3)


def of_grain():
    return pytest.importorskip("grain").MapDataset.source(list(zip(X, Y))).batch(3).to_iter_dataset()


def of_tensorflow():
    return pytest.importorskip("tensorflow").data.Dataset.from_tensor_slices((X, Y)).filter(lambda *_: True).batch(3)


class Begun(callbacks.Callback):
    """Which executions began, each of which must end."""

    def __init__(self):
        self.numbers, self.ends = [], 0

    def on_train_batch_begin(self, batch, logs=None):
        assert len(self.numbers) == self.ends
        self.numbers.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.ends += 1


def linear():
    utils.set_random_seed(0)
    model = Sequential([Input((6, 6, 1)), layers.Flatten(), layers.Dense(3)])
    model.compile("sgd", losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


@pytest.mark.parametrize("source", [of_grain, of_torch, of_torch_without_length, of_tensorflow])
@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_data_of_unknown_length_is_read_to_its_end_in_each_epoch_and_nothing_is_warned_of(source, steps_per_execution):
    """pytest makes an error of any warning."""
    begun, model = Begun(), linear()
    model.steps_per_execution = steps_per_execution
    found = model.fit(source(), validation_data=source(), epochs=3, verbose=0, callbacks=[begun]).history
    assert begun.numbers == [*range(0, 3, steps_per_execution)] * 3 and begun.ends == len(begun.numbers)
    model = linear()
    assert model.fit(X, Y, batch_size=3, shuffle=False, validation_data=(X, Y), epochs=3, verbose=0).history == {
        name: pytest.approx(values, rel=1e-6) for name, values in found.items()}
    assert model.predict(source(), verbose=0).shape == (8, 3)


def test_a_generator_is_read_once():
    model, begun = linear(), Begun()
    model.fit(batches(), verbose=0, callbacks=[begun])
    assert begun.numbers == [0, 1, 2] and begun.ends == 3
    for options in ({"epochs": 2}, {"steps_per_epoch": 4}):
        with pytest.warns(UserWarning, match="ran out of data"):
            model.fit(batches(), verbose=0, **options)
