"""Initial weights by a key are JAX's, bit by bit where both draw the same bits and round alike."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import nn, random

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.usefixtures("double_precision")
CASES = {
    "zeros": ("zeros", None, (3, 4)), "ones": ("ones", None, (2,)), "constant": ("constant", (2.5,), (3,)),
    "uniform": ("uniform", (), (5, 7)), "uniform 3": ("uniform", (3.0,), (5, 7)), "normal": ("normal", (), (5, 7)),
    "truncated_normal": ("truncated_normal", (0.5,), (64,)),
    "glorot axes": ("glorot_uniform", (0, (1, 2), 3), (4, 3, 5, 2)),
    "geometric": ("variance_scaling", (2.0, "fan_geo_avg", "normal"), (3, 4, 6)),
    "fan_out": ("variance_scaling", (0.5, "fan_out", "uniform"), (3, 4, 6)),
    **{name: (name, (), (3, 3, 4, 8)) for name in (
        "glorot_normal", "glorot_uniform", "he_normal", "he_uniform", "lecun_normal", "lecun_uniform", "xavier_normal",
        "kaiming_uniform")},
    "orthogonal": ("orthogonal", (2.0,), (3, 5)), "orthogonal columns": ("orthogonal", (1.0, 0), (3, 2, 4)),
    "delta_orthogonal": ("delta_orthogonal", (), (3, 4, 3, 5)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CASES)
def test_numbers_are_those_of_jax(name, dtype):
    which, given, shape = CASES[name]
    ours, theirs = (getattr(m, which) if given is None else getattr(m, which)(*given) for m in (
        nn.initializers, jax.nn.initializers))
    want = np.asarray(theirs(jax.random.key(7), shape, dtype))
    for run in (ours, leptonc.jit(lambda key, s, d: ours(key, s, d), static_argnums=(1, 2))):
        got = run(random.key(7), shape, dtype)
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(got, want, rtol=3e-6 if dtype == "float32" else 1e-12, atol=2e-6 if "orthogonal" in name else 0)
        if "uniform" in name:
            np.testing.assert_array_equal(got, want)
