"""Initial weights: variances, fans of named axes, orthogonal ones, all three sources of numbers."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import nn, random
from leptonc.nn import initializers

SOURCES = pytest.mark.parametrize("source", [lambda: random.key(3), lambda: 3, lambda: np.random.default_rng(3)],
                                  ids=["key", "seed", "generator"])


@SOURCES
@pytest.mark.parametrize("distribution", ["normal", "truncated_normal", "uniform"])
@pytest.mark.parametrize("mode, fan", [("fan_in", 100), ("fan_out", 400), ("fan_avg", 250), ("fan_geo_avg", 200)])
def test_variances(source, distribution, mode, fan):
    w = initializers.variance_scaling(2.0, mode, distribution)(source(), (100, 400), "float64")
    np.testing.assert_allclose([w.mean(), w.var()], [0, 2 / fan], rtol=0.03, atol=0.003)
    if distribution == "truncated_normal":
        assert np.abs(w).max() <= 2.28 * (2 / fan) ** 0.5  # two standard deviations of what is cut


def test_axes_are_named():
    assert initializers.fans((3, 3, 16, 8)) == (144, 72)
    assert initializers.fans((8, 3, 5, 2), in_axis=(1, 2), out_axis=0, batch_axis=3) == (15, 8)
    assert initializers.fans((7,), in_axis=0, out_axis=(), batch_axis=()) == (7, 1)


@SOURCES
def test_orthogonal_kernels(source):
    w = initializers.orthogonal(2.0, column_axis=0)(source(), (3, 2, 4), "float64").reshape(3, 8)
    np.testing.assert_allclose(w @ w.T, 4 * np.eye(3), atol=1e-12)
    w = initializers.delta_orthogonal()(source(), (3, 4, 3, 5), "float64")
    np.testing.assert_allclose(w[1, 1] @ w[1, 1].T, np.eye(3), atol=1e-12)
    w[1, 1] = 0
    assert not w.any()


def test_zeros_and_ones_are_initializers():
    for init in (initializers.zeros, initializers.zeros()):
        assert init(None, (2, 3)).dtype == np.float32 and not init(random.key(0), (2, 3)).any()
    assert initializers.ones(random.key(0), (2,), "float64").tolist() == [1, 1]
    layer = nn.Linear(3, 4, kernel_init=initializers.orthogonal(), key=random.key(0))
    np.testing.assert_allclose(layer.kernel @ layer.kernel.T, np.eye(3), atol=1e-6)


def test_default_dtypes():
    assert initializers.normal(1.0, "float64")(1, (2,)).dtype == np.float64
    assert initializers.he_uniform(dtype="float16")(random.key(0), (4, 4)).dtype == np.float16


@pytest.mark.parametrize("wrong", [
    lambda: initializers.variance_scaling(1.0, "fan", "normal"), lambda: initializers.he_normal(in_axis=4)(0, (2, 3)),
    lambda: initializers.orthogonal()(0, (3,)), lambda: initializers.delta_orthogonal()(0, (3, 5, 2)),
    lambda: initializers.truncated_normal(lower=2.0, upper=1.0), lambda: initializers.normal(dtype="int32")])
def test_wrong_calls(wrong):
    with pytest.raises(leptonc.LeptonError):
        wrong()


@pytest.mark.parametrize("name, scale, fan", [("glorot_uniform", 1, 72), ("he_uniform", 2, 108), ("lecun_uniform", 1, 108)])
def test_kernels_of_a_seed_are_numpys_draws_to_the_bit(name, scale, fan):
    """Computed in f64 and rounded once: a training from a seed starts where it always did."""
    limit = np.sqrt(3 * (scale / fan))
    wanted = np.random.default_rng(3).uniform(-limit, limit, (3, 3, 12, 4)).astype(np.float32)
    np.testing.assert_array_equal(getattr(initializers, name)()(3, wanted.shape), wanted)
