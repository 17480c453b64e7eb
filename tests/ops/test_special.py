"""Elementwise functions over special values, against NumPy: all dtypes for some, floats for all."""

import pytest

from tests.ops.special import both_modes, functions

INTEGER_SHARE = {"power", "floor_divide", "remainder", "right_shift", "left_shift", "absolute", "sign", "negative", "maximum"}


@pytest.mark.parametrize("name, dtype", [(n, d) for n, d in functions() if d[0] == "f" or n in INTEGER_SHARE])
def test_special_values_are_numpys(name, dtype):
    found = both_modes(name, dtype)
    assert not found, "\n".join(found[:20])
