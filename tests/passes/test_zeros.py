"""What is 0 product by product is 0, in whole networks; ``python -m tests.zeros`` takes more of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.zeros import check


@pytest.mark.parametrize("number", range(3))
def test_networks(number):
    found = check(np.random.default_rng((7, number)))
    assert found.zeros and not found.wrong
