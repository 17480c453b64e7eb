"""A plain ``train_step`` of a model's own: whatever variables it reads or assigns are its state."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

import leptonc
from leptonc import keras
from leptonc.callbacks import Checkpoint, NamedNaN
from leptonc.keras import layers, ops

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")


class Pair(keras.Model):
    """Two networks with an optimizer each, as a GAN has them; never called itself."""

    def __init__(self):
        super().__init__()
        self.first, self.second = (network(seed) for seed in (1, 2))

    def compile(self, first, second, **kwargs):
        super().compile(**kwargs)
        self.optimizers = {"first": first, "second": second}

    def train_step(self, x):
        return {"first": updated(self.first, self.optimizers["first"], x, 1.0),
                "second": updated(self.second, self.optimizers["second"], x, 2.0)}


def network(seed):
    drawn = keras.initializers.GlorotUniform(seed)
    return keras.Sequential([layers.Input((3,)), layers.Dense(2, use_bias=False, kernel_initializer=drawn),
                             layers.BatchNormalization(), layers.Dense(1, kernel_initializer=drawn)])


def updated(net, optimizer, x, target):
    """The loss before one step of the optimizer, with the running means of the network."""
    def loss(trainable):
        y, state = net.stateless_call(trainable, [v.value for v in net.non_trainable_variables], x, training=True)
        return ops.mean(ops.square(y - target)), state

    (value, state), slopes = leptonc.value_and_grad(loss, has_aux=True)([v.value for v in net.trainable_variables])
    for variable, new in zip(net.non_trainable_variables, state):
        variable.assign(new)
    optimizer.apply(slopes, net.trainable_variables)
    return value


def optimizers():
    return keras.optimizers.Adam(0.05), keras.optimizers.SGD(0.02, momentum=0.9)


def pair(**kwargs):
    model = Pair()
    model.compile(*optimizers(), **kwargs)
    return model


def state_of(model):
    return [v.numpy() for part in (model.first, model.second, *model.optimizers.values()) for v in part.variables]


def by_hand(epochs):
    """What the steps are to do, one by one and not traced."""
    nets, own = [network(1), network(2)], optimizers()
    for n in [0, 8, 16] * epochs:
        for net, optimizer, target in zip(nets, own, (1.0, 2.0)):
            updated(net, optimizer, X[n:n + 8], target)
    return [v.numpy() for part in (*nets, *own) for v in part.variables]


@pytest.mark.parametrize("options", [{"run_eagerly": True}, {"steps_per_execution": 2}], ids=str)
def test_each_optimizer_keeps_its_state(options):
    model = pair(**options)
    model.fit(X, batch_size=8, epochs=2, shuffle=False, verbose=0)
    assert int(model.optimizers["first"].iterations.numpy()) == 6
    for found, wanted in zip(state_of(model), by_hand(2), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-6)


def test_a_learning_rate_may_change_and_a_guard_sees_the_step():
    model, weights = pair(), []

    def stop(epoch, logs):
        weights.append(model.first.get_weights()[0])
        model.optimizers["first"].learning_rate = 0.0

    stopping = keras.callbacks.LambdaCallback(on_epoch_end=stop)
    model.fit(X, batch_size=8, epochs=2, shuffle=False, verbose=0, callbacks=[NamedNaN(), stopping])
    np.testing.assert_array_equal(*weights)
    assert int(model.optimizers["first"].iterations.numpy()) == 6


def test_a_resumed_run_has_the_state_of_both(tmp_path):
    for epochs in (1, 2):
        model = pair()
        model.fit(X, batch_size=8, epochs=epochs, shuffle=False, verbose=0, callbacks=[Checkpoint(tmp_path / "run")])
    for found, wanted in zip(state_of(model), by_hand(2), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-6)


def test_a_network_and_a_seed_of_nobody_are_read_and_go_on():
    teacher, seed = network(3), keras.random.SeedGenerator(5)

    class Noisy(keras.Model):
        def train_step(self, data):
            return {"mean": ops.mean(teacher(data[0])), "noise": keras.random.normal((), seed=seed)}

    model = Noisy()
    model.compile()
    found = [model.train_on_batch(X, return_dict=True) for _ in range(2)]
    assert found[0]["noise"] != found[1]["noise"]
    np.testing.assert_allclose(found[0]["mean"], np.mean(teacher(X)), rtol=1e-5)
    teacher.set_weights([w + 1 for w in teacher.get_weights()])
    np.testing.assert_allclose(model.train_on_batch(X, return_dict=True)["mean"], np.mean(teacher(X)), rtol=1e-5)
    assert model.train_function.compiles == 1


def test_predictions_belong_to_the_rows_that_the_data_has():
    """A PyDataset may shuffle itself when an epoch ends: predict alone is no end."""
    class Turned(keras.utils.PyDataset):
        rows = X

        def __len__(self):
            return 1

        def __getitem__(self, n):
            return (self.rows,)

        def on_epoch_end(self):
            self.rows = self.rows[::-1]

    net, data = network(1), Turned()
    np.testing.assert_array_equal(net.predict(data, verbose=0), net.predict(X, verbose=0))
