"""The same bits for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import nn
from leptonc import numpy as lnp
from tests import models


@pytest.fixture(autouse=True)
def restore_threads():
    yield
    leptonc.set_num_threads(None)


def bits_for(f, *args):
    """The results' bytes for 1, 2, 3, 4 and 8 threads, of a program that more than one has work in."""
    jitted = leptonc.jit(f)
    executable = jitted.compiled_for(*args).executable.executable
    found = []
    for threads in (1, 2, 3, 4, 8):
        leptonc.set_num_threads(threads)
        assert executable._thread_count() == threads
        found.append([np.asarray(leaf).tobytes() for leaf in leptonc.tree.leaves(jitted(*args))])
    return found


def test_training_step():
    params = models.init(size=40)
    first, *others = bits_for(models.step, params, models.optimizer.init(params), *models.batch(size=40, count=8))
    assert all(other == first for other in others)


def test_pool_in_the_tile_of_its_convolution(rng):
    x, w = rng.standard_normal((3, 21, 18, 5)).astype(np.float32), rng.standard_normal((3, 3, 5, 24)).astype(np.float32)
    grads = leptonc.grad(lambda w, x: (nn.max_pool(nn.relu(nn.conv(x, w)), window=2) ** 2).sum(), argnums=(0, 1))
    first, *others = bits_for(grads, w, x)
    assert all(other == first for other in others)


@pytest.mark.parametrize("shape, axis", [((1 << 20,), None), ((3, 200_001), 1), ((100_003, 5), 0), ((64, 700, 9), (0, 2))])
def test_long_sums(rng, shape, axis):
    x = rng.standard_normal(shape).astype(np.float32)
    first, *others = bits_for(lambda x: lnp.sum(x, axis), x)
    assert all(other == first for other in others)
    np.testing.assert_allclose(np.frombuffer(first[0], np.float32), np.sum(x, axis, dtype=np.float64).ravel(), rtol=1e-4, atol=1e-3)


def test_matrix_products(rng):
    a, b = rng.standard_normal((70, 9_000)).astype(np.float32), rng.standard_normal((9_000, 50)).astype(np.float32)
    first, *others = bits_for(lambda a, b: (a @ b, a @ a.T, b.T @ b), a, b)
    assert all(other == first for other in others)


def test_convolution_gradients(rng):
    x, w = rng.random((3, 30, 31, 5), np.float32), rng.standard_normal((3, 3, 5, 9)).astype(np.float32)
    grads = leptonc.grad(lambda x, w: (nn.conv(x, w, stride=2, padding="SAME") ** 2).sum(), argnums=(0, 1))
    first, *others = bits_for(grads, x, w)
    assert all(other == first for other in others)


def test_2_to_the_25_ones_sum_exactly():
    x = np.ones(1 << 25, np.float32)
    assert leptonc.jit(lambda x: x.sum())(x) == 2**25
    assert leptonc.jit(lambda x: x.mean())(x) == 1


def test_float_environment_is_restored():
    tiny = np.float32(1e-40)
    for size, threads in ((4, 1), (1 << 20, 2)):
        leptonc.set_num_threads(threads)
        assert not leptonc.jit(lambda x: x * np.float32(1.5))(np.full(size, 1e-40, np.float32)).any()  # flushed inside
        assert tiny * np.float32(0.5) != 0  # not outside
