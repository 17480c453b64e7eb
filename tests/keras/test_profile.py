"""``leptonc.profile.model``: kernels by layer, told apart as forward, backward and update; the model stays as it is."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("leptonc.keras", exc_type=ImportError)

from leptonc import profile
from leptonc.errors import ArgumentError
from leptonc.keras import Input, Sequential, layers, ops

MACHINE = {"cpu": "test", "threads": 1, "fma_gflops": 100.0, "copy_gbs": 10.0}


class Gate(layers.Layer):
    def call(self, x):
        y = ops.sum(x, axis=(1, 2))
        return ops.tanh(y)


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(profile, "_machine", lambda threads: MACHINE)


@pytest.fixture
def model():
    found = Sequential([
        Input((10, 10, 1)),
        layers.Conv2D(4, 3, activation="relu", name="conv"),
        layers.MaxPooling2D(2, name="pool"),
        Gate(name="gate"),
        layers.Dense(3, activation="softmax", name="dense")])
    found.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return found


def test_training_by_layers(model, rng):
    x, y = rng.random((8, 10, 10, 1), np.float32), rng.integers(0, 3, 8)
    model.train_on_batch(x, y)
    before = [v.numpy() for v in model.variables]
    found = profile.model(model, x, y)
    assert all(np.array_equal(a, v.numpy()) for a, v in zip(before, model.variables, strict=True))
    assert found.name == f"{model.name}, training"
    known = {layer.layer: layer for layer in found.layers()}
    assert {"conv", "gate", "dense", "loss/sparse_categorical_crossentropy", "metrics"} <= known.keys()
    assert known["conv"].parts.keys() == {"forward", "backward"} and known["conv"].line.startswith("test_profile.py:")
    layers = {kernel.layers for kernel in found.kernels}
    assert any(names[:2] == ("conv", "pool") for names in layers)
    updates = [kernel for kernel in found.kernels if any(name.startswith("adam") for name in kernel.layers)]
    assert updates and all(kernel.part in ("update", "backward", "forward") for kernel in updates)
    assert str(known["gate"].line) != "" and "sparse_categorical_cros…" in found.text()
    assert np.isfinite(model.train_on_batch(x, y)[0])


def test_lines_are_those_of_a_layers_call_where_it_is_the_users(model, rng):
    found = profile.model(model, rng.random((8, 10, 10, 1), np.float32))
    gate = next(kernel for kernel in found.kernels if "sum" in kernel.function and kernel.layer == "gate")
    first = Gate.call.__code__.co_firstlineno
    assert gate.loc.file == __file__ and gate.loc.line in (first + 1, first + 2)
    assert {kernel.part for kernel in found.kernels} == {""} and found.name.endswith("prediction")


def test_models_that_cannot_be_profiled(model, rng):
    x = rng.random((8, 10, 10, 1), np.float32)
    with pytest.raises(ValueError, match="compile"):
        profile.model(Sequential([Input((3,)), layers.Dense(1)]), np.ones((2, 3)), np.ones((2, 1)))
    model.compile(loss="mse", run_eagerly=True)
    with pytest.raises(ArgumentError, match="eagerly"):
        profile.model(model, x, np.zeros((8, 3)))


def test_a_model_that_was_not_called_yet_is_built(rng):
    assert profile.model(Sequential([layers.Dense(2)]), rng.random((4, 3), np.float32)).kernels
