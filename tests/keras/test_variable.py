"""Memory of variables: made once, lent to who looks, and copied only while somebody still holds what was lent."""

from __future__ import annotations

import gc
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

from leptonc.keras import KerasTensor, Sequential, initializers, layers
from leptonc.keras.src import variable as variables
from leptonc.keras.src.standin import LARGE
from leptonc.keras.src.variable import Variable
from leptonc.trace import Tracer

SHAPE = (600, 300)


@pytest.mark.parametrize("initializer", ["zeros", "ones", "glorot_uniform"])
def test_what_an_initializer_made_is_not_copied(initializer, monkeypatch):
    copies = []
    monkeypatch.setattr(variables, "copied", copies.append)
    made = Variable(initializers.get(initializer), shape=SHAPE)
    assert not copies and made._value.shape == SHAPE


@pytest.mark.parametrize("initializer", ["zeros", "glorot_uniform"])
def test_what_an_initializer_made_is_of_the_variables_dtype(initializer):
    made = Variable(initializers.get(initializer), shape=(4, 4), dtype="float64")
    assert made.value.dtype == made.dtype == "float64"


def test_what_an_initializer_keeps_is_copied():
    kept = np.ones(SHAPE, np.float32)
    made = Variable(lambda shape, dtype: kept, shape=SHAPE)
    made.taken()[...] = 2
    assert (kept == 1).all()


@pytest.mark.parametrize("hold", [lambda v: v.value, lambda v: v.value[3:], lambda v: v.value.T.reshape(-1, 2),
                                  lambda v: memoryview(v.value), lambda v: {"cycle": [v.value]}])
def test_what_is_held_stays_what_it_was(hold):
    made = Variable(initializers.Ones(), shape=(8, 4))
    held = hold(made)
    made.taken()[...] = 2
    values = held["cycle"][0] if isinstance(held, dict) else held
    assert (np.asarray(values) == 1).all() and (made.value == 2).all()


def test_what_is_held_no_more_is_not_copied():
    made = Variable(initializers.Ones(), shape=(8, 4))
    array = made._value
    float(made.value[0].sum())
    held = made.value
    del held
    gc.collect()
    place = array.__array_interface__["data"][0]
    del array
    assert made.taken().__array_interface__["data"][0] == place


def test_shapes_are_found_without_the_values_of_large_variables():
    seen = []

    class Looks(layers.Layer):
        def build(self, shape):
            self.large = self.add_weight(shape=(LARGE,), dtype="float32")
            self.small = self.add_weight(shape=(3,), initializer="ones")

        def call(self, x):
            seen.append((type(self.large.value), type(self.small.value)))
            return x + self.large + float(np.asarray(self.small.value).sum())

    layer = Looks()
    layer.build((None, 1))
    found = layer.compute_output_spec(KerasTensor((None, 1)))
    assert found.shape == (None, LARGE) and all(large is Tracer and small is not Tracer for large, small in seen)
    assert Sequential([layers.Input((1,)), layer]).run_eagerly is False
    np.testing.assert_array_equal(layer(np.zeros((2, 1), np.float32))[1], layer.large.numpy() + 3)
