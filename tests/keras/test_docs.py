"""docs/keras.md: its programs run, its lists are those of the code, and what it says of what is missing is so."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

import leptonc
from leptonc.keras import Sequential, backend, layers, ops
from leptonc.keras.src.missing import MissingOpError
from tests import forked

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/keras.md"
X = np.ones((4, 4), "float32")


@pytest.mark.parametrize("number", range(3))
def test_programs(number, tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 3
    forked.run(blocks[number], tmp_path, "error")


def in_a_step(f):
    return lambda: leptonc.jit(f)(X)


def fitted(*given, optimizer="sgd"):
    model = Sequential([layers.Input((4,)), *given])
    model.compile(optimizer, "mse")
    model.fit(X, X[:, :1], verbose=0)


MISSING = {
    "bincount": in_a_step(lambda x: ops.bincount(ops.cast(x[0], "int32"))),
}


@pytest.mark.parametrize("name", MISSING)
def test_what_is_said_to_be_missing_is(name):
    """A failure is good news, and the page needs a change."""
    assert f"`{name}`" in PAGE.read_text()
    with pytest.raises(MissingOpError):
        MISSING[name]()


def test_four_ways_to_one_keras():
    import keras

    from leptonc import keras as attribute
    assert attribute.layers is keras.layers is leptonc.keras.layers and layers.Dense is keras.layers.Dense
    assert backend.backend() == "leptonc"
