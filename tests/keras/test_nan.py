"""``leptonc.callbacks.NamedNaN``: the layer, the op and the line of the first value that is not finite; weights kept."""

from __future__ import annotations

import inspect
import re
from contextlib import nullcontext

import numpy as np
import pytest

pytest.importorskip("leptonc.keras", exc_type=ImportError)

from leptonc.callbacks import NamedNaN
from leptonc.keras import Input, Sequential, callbacks, layers, ops, optimizers, utils
from leptonc.keras.src.steps import Step

FILE = "test_nan.py"


class Scaled(layers.Layer):
    """Rows divided by their length: 0 / 0 for a row of zeros."""

    def call(self, x):
        return x / ops.sqrt(ops.sum(x * x, -1, keepdims=True))


class Size(layers.Layer):
    """A root whose gradient at 0 is infinite, of a square whose gradient is 0 there."""

    def call(self, x):
        return ops.sqrt(x * x)


class Log(layers.Layer):
    def call(self, x):
        return ops.log(ops.relu(x))


@pytest.fixture
def data(rng):
    utils.set_random_seed(0)
    return rng.normal(size=(24, 4)).astype(np.float32), rng.normal(size=(24, 1)).astype(np.float32)


def network(*inner, optimizer="sgd", **options):
    model = Sequential([Input((4,)), *inner, layers.Dense(1, name="last")])
    model.compile(optimizer, "mse", **options)
    return model


def run(model, data, **options):
    """(report, history) of a fit over batches of 8, in order."""
    callback = NamedNaN(**options)
    history = model.fit(*data, batch_size=8, shuffle=False, verbose=0, callbacks=[callback])
    return callback.report, history.history


def zero_row(data, row):
    x, y = data
    x[row] = 0
    return x, y


def line_of(cls, text):
    """The line of ``text`` in a class of this file."""
    source, first = inspect.getsourcelines(cls)
    return first + next(n for n, line in enumerate(source) if text in line)


def test_forward(data):
    model = network(layers.Dense(3, use_bias=False), Scaled(name="scaled"))
    report, history = run(model, zero_row(data, 18))
    line = line_of(Scaled, "return")
    assert re.search(r"epoch 1, batch 2: the loss is NaN; NaN came up first in op div of layer 'scaled' \(Scaled, made at "
                     rf"{FILE}:\d+\), at {FILE}:{line}: f32\[8,3\] \(3 NaN", report), report
    assert np.isnan(history["loss"][0]) and "weights are those before" in report


def test_the_weights_are_those_before_the_batch(data):
    twins = [network(layers.Dense(3, use_bias=False, name="first"), Scaled(), optimizer=optimizers.Adam(0.1)) for _ in range(2)]
    twins[1].set_weights(twins[0].get_weights())
    run(twins[0], zero_row(data, 18))
    twins[1].fit(data[0][:16], data[1][:16], batch_size=8, shuffle=False, verbose=0)
    for found, wanted in zip(twins[0].variables, twins[1].variables):
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    assert int(twins[0].optimizer.iterations.numpy()) == 2


def test_an_infinity_behind_it(data):
    report, _ = run(network(Log(name="log")), data)
    assert "in op dot_general of layer 'last' (Dense" in report
    line = line_of(Log, "return")
    assert re.search(rf"by an infinite value that came up in op log of layer 'log' \(Log.*at {FILE}:{line}", report)


def test_the_gradient(data):
    report, history = run(network(layers.Dense(3, use_bias=False), Size(name="size")), zero_row(data, 10))
    assert "batch 1: the new weights are not finite; NaN came up first in the gradient of layer 'size' (Size" in report
    assert np.isfinite(history["loss"][0])


def test_weights_not_looked_at(data):
    model = network(layers.Dense(3, use_bias=False, name="lost"), Size())
    report, _ = run(model, zero_row(data, 10), weights=False)
    assert "batch 2: the loss is NaN; NaN came up first in weight sequential" in report and "NamedNaN(weights=True)" in report


def test_data(data):
    data[0][11, 2] = np.nan
    assert "batch 1: the loss is NaN; NaN came up first in the batch, x: f32[8,4] (1 NaN" in (report := run(network(), data)[0])
    assert ", in row 3" in report
    data[0][11, 2], data[1][1] = 0, np.inf
    assert "in the batch, y: f32[8,1] (1 infinite" in run(network(), data)[0]


def test_a_loss_that_overflows(data):
    report, history = run(network(optimizer=optimizers.SGD(1e20)), data)
    assert "batch 1: the loss is infinite; an infinite value came up first in op mul of compile_loss/mse" in report
    assert np.isinf(history["loss"][0])


@pytest.mark.parametrize("options", [{"steps_per_execution": 3}, {"run_eagerly": True}], ids=str)
def test_several_steps_at_once_and_eagerly(data, options):
    report, _ = run(network(layers.Dense(3, use_bias=False), Scaled(name="scaled"), **options), zero_row(data, 10))
    assert "batch 1: the loss is NaN; NaN came up first in op div of layer 'scaled'" in report


@pytest.mark.parametrize("raise_error", [False, True])
def test_kerass_own_callback_says_where(data, raise_error, capsys):
    """And does what Keras's does; the model's own step is back afterwards."""
    model = network(layers.Dense(3, use_bias=False), Scaled(name="scaled"))
    x, y = zero_row(data, 10)
    with pytest.raises(RuntimeError, match="NaN or Inf loss") if raise_error else nullcontext():
        model.fit(x, y, batch_size=8, shuffle=False, verbose=0, callbacks=[callbacks.TerminateOnNaN(raise_error=raise_error)])
    printed = capsys.readouterr().out
    assert "epoch 1, batch 1: the loss is NaN; NaN came up first in op div of layer 'scaled'" in printed
    assert ("Batch 1: Invalid loss, terminating training" in printed) != raise_error and type(model.train_function) is Step
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_an_error_if_wanted(data):
    model = network()
    data[0][0] = np.nan
    with pytest.raises(RuntimeError, match="came up first in the batch, x"):
        run(model, data, raise_error=True)
    data[0][0] = 0
    assert run(model, data)[0] == ""


def test_nothing_is_changed_where_all_is_finite(data):
    """The same bits, dropout included; the model's own step is back afterwards."""
    twins = []
    for given in ([], [NamedNaN()]):
        utils.set_random_seed(1)
        inner = layers.Dense(8, activation="relu"), layers.Dropout(0.5), layers.BatchNormalization()
        twins.append(network(*inner, optimizer="adam"))
        twins[-1].fit(*data, batch_size=8, epochs=2, verbose=0, callbacks=given)
    for found, wanted in zip(twins[0].variables, twins[1].variables):
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    assert type(twins[1].train_function) is Step
