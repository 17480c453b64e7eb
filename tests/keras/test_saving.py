"""Models as files, by this backend and others. ``tests/keras/saved`` was made by ``tests.keras.exchange`` with JAX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("leptonc.keras", reason="Keras is not installed", exc_type=ImportError)

from tests.keras import exchange

keras = exchange.keras
SAVED = Path(__file__).with_name("saved")


@pytest.mark.parametrize("name", ["convolutional", "functional", "sequence", "attention"])
def test_models_that_jax_saved_predict_the_same_here(name):
    assert exchange.check(SAVED / "jax", [name]) == []


def test_a_saved_model_goes_on_as_it_was(tmp_path):
    """Optimizer included. Seeds of dropout are not in Keras's files: ``leptonc.callbacks.Checkpoint`` keeps them."""
    model: Any = exchange.trained("functional")
    model.save(tmp_path / "x.keras")
    model.save_weights(tmp_path / "x.weights.h5")
    loaded = keras.models.load_model(tmp_path / "x.keras")
    assert max(np.abs(a - b).max() for a, b in zip(exchange.predictions(model), exchange.predictions(loaded))) == 0
    x, y = exchange.inputs(model), [np.ones((6, 3), np.float32), np.ones((6, 1), np.float32)]
    held = model.get_weights()
    for made in (model, loaded):
        made.fit(x, y, verbose=0, shuffle=False)
    assert all((a == b).all() for a, b in zip(model.get_weights(), loaded.get_weights()))
    assert not all((a == b).all() for a, b in zip(held, model.get_weights()))
    model.load_weights(tmp_path / "x.weights.h5")  # what a user holds is not written by steps
    assert all((a == b).all() for a, b in zip(held, model.get_weights()))


def test_a_name_without_a_known_ending_makes_no_file(tmp_path):
    with pytest.raises(ValueError, match="Invalid filepath extension"):
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(tmp_path / "x.model")
    assert not list(tmp_path.iterdir())
