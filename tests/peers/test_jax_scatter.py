"""gather and scatter against JAX's: generated dimension numbers, modes, duplicates, gradients; ``.at`` with its methods."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

pytestmark = pytest.mark.usefixtures("double_precision")

SCATTERS = ("scatter", "scatter_add", "scatter_sub", "scatter_mul", "scatter_min", "scatter_max")


@dataclass(frozen=True)
class Numbers:
    """Operands and dimension numbers, for gather and scatter alike."""

    x: np.ndarray
    indices: np.ndarray
    updates: np.ndarray
    dims: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]


def drawn(seed: int) -> Numbers:
    """Any axes inserted or in batches, any order of numbers in an index, windows up to the whole, places within and without."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    shape = tuple(map(int, rng.integers(2, 5, rank)))
    role = rng.choice(["batch", "inserted", "window"], rank, p=[0.2, 0.3, 0.5])
    batch = tuple(d for d in range(rank) if role[d] == "batch")
    inserted = tuple(d for d in range(rank) if role[d] == "inserted")
    index_dims = tuple(int(d) for d in rng.permutation([d for d in range(rank) if role[d] != "batch"]) if rng.random() < 0.8)
    sizes = tuple(1 if role[d] != "window" else int(rng.integers(1, n + 1)) for d, n in enumerate(shape))
    places = [int(n) for n in rng.integers(1, 4, rng.integers(0, 3))]
    batch_at = []
    for d in batch:
        at = int(rng.integers(0, len(places) + 1))
        places.insert(at, shape[d])
        batch_at = [b + (b >= at) for b in batch_at] + [at]
    windows = [n for n, r in zip(sizes, role) if r == "window"]
    window_dims = tuple(sorted(map(int, rng.permutation(len(places) + len(windows))[:len(windows)])))
    rest, inner = iter(places), iter(windows)
    result = tuple(next(inner) if d in window_dims else next(rest) for d in range(len(places) + len(windows)))
    indices = rng.integers(-2, 6, (*places, len(index_dims)))
    return Numbers(rng.permutation(int(np.prod(shape))).reshape(shape) * 0.5 + 1, indices,
                   rng.standard_normal(result) + 3, (window_dims, inserted, index_dims, batch, tuple(batch_at)), sizes)


@pytest.mark.parametrize("seed", range(12))
def test_gather_and_its_gradient(seed: int):
    case, mode = drawn(seed), "clip" if seed % 2 else "fill"
    bare = jax.lax.gather(case.x, case.indices, jax.lax.GatherDimensionNumbers(*case.dims), case.sizes)
    np.testing.assert_array_equal(lax.gather(case.x, case.indices, lax.GatherDimensionNumbers(*case.dims), case.sizes), bare)

    def ours(x, indices):
        return lax.gather(x, indices, lax.GatherDimensionNumbers(*case.dims), case.sizes, mode=mode, fill_value=-1.5)

    def theirs(x, indices):
        return jax.lax.gather(x, indices, jax.lax.GatherDimensionNumbers(*case.dims), case.sizes, mode=mode, fill_value=-1.5)

    wanted = theirs(case.x, case.indices)
    weights = np.random.default_rng(1).standard_normal(wanted.shape)
    slope = jax.grad(lambda x: (theirs(x, case.indices) * weights).sum())(case.x)
    for how in (lambda f: f, leptonc.jit):
        np.testing.assert_array_equal(how(ours)(case.x, case.indices), wanted, f"seed {seed}")
        got = how(leptonc.grad(lambda x, i: lnp.sum(ours(x, i) * weights)))(case.x, case.indices)
        np.testing.assert_allclose(got, slope, rtol=1e-12, err_msg=f"seed {seed}")


@pytest.mark.parametrize("seed", range(18))
def test_scatters_and_their_gradients(seed: int):
    case, name = drawn(seed), SCATTERS[seed % len(SCATTERS)]
    mode = "clip" if seed % 4 == 3 else "drop"

    def ours(x, u, i):
        return getattr(lax, name)(x, i, u, lax.ScatterDimensionNumbers(*case.dims), mode=mode)

    def theirs(x, u):
        return getattr(jax.lax, name)(x, case.indices, u, jax.lax.ScatterDimensionNumbers(*case.dims), mode=mode)

    wanted = theirs(case.x, case.updates)
    for how in (lambda f: f, leptonc.jit):
        np.testing.assert_allclose(how(ours)(case.x, case.updates, case.indices), wanted, rtol=1e-12, err_msg=f"seed {seed}")
    if name == "scatter_mul" or (mode == "clip" and name in ("scatter_min", "scatter_max")):
        return  # JAX has a gradient only of unique places; of extremes at places that are clipped, 0.10's divides by 0
    weights = np.random.default_rng(2).standard_normal(wanted.shape)
    slopes = jax.grad(lambda x, u: (theirs(x, u) * weights).sum(), (0, 1))(case.x, case.updates)
    got = leptonc.jit(leptonc.grad(lambda x, u, i: lnp.sum(ours(x, u, i) * weights), (0, 1)))(case.x, case.updates, case.indices)
    for mine, slope in zip(got, slopes):
        np.testing.assert_allclose(mine, slope, rtol=1e-12, atol=1e-12, err_msg=f"seed {seed}")


def test_duplicates_of_a_set_share_no_gradient():
    x, u, i = np.arange(5.0), np.arange(4.0) + 10, np.array([1, 1, 3, 1])
    weights = np.arange(5.0) + 1
    wanted = jax.grad(lambda x, u: (x.at[i].set(u) * weights).sum(), (0, 1))(x, u)
    got = leptonc.grad(lambda x, u: lnp.sum(lnp.asarray(x).at[i].set(u) * weights), (0, 1))(x, u)
    for mine, slope in zip(got, wanted):
        np.testing.assert_allclose(mine, slope)


def test_unique_places_of_a_product_have_gradients():
    x, u, i = np.arange(5.0), np.arange(3.0) - 1, np.array([4, 0, 2])
    weights = np.arange(5.0) + 1
    wanted = jax.grad(lambda x, u: (x.at[i].mul(u, unique_indices=True) * weights).sum(), (0, 1))(x, u)
    got = leptonc.jit(leptonc.grad(lambda x, u, i: lnp.sum(x.at[i].mul(u, unique_indices=True) * weights), (0, 1)))(x, u, i)
    for mine, slope in zip(got, wanted):
        np.testing.assert_allclose(mine, slope)


METHODS = {
    "get": lambda x, i, u: x.at[:, i].get(mode="fill"), "get fill": lambda x, i, u: x.at[i, i].get(mode="fill", fill_value=7),
    "clip": lambda x, i, u: x.at[i].get(mode="clip"), "set": lambda x, i, u: x.at[i, ::2].set(u[:, ::2], mode="drop"),
    "set clip": lambda x, i, u: x.at[i].set(u, mode="clip"), "subtract": lambda x, i, u: x.at[i].subtract(u),
    "divide": lambda x, i, u: x.at[i].divide(u), "power": lambda x, i, u: x.at[i].power(u), "min": lambda x, i, u: x.at[i].min(u),
    "max": lambda x, i, u: x.at[1:, i].max(u[:, 1:].T), "mul": lambda x, i, u: x.at[i, None].mul(u[:, None]),
    "apply": lambda x, i, u: x.at[i].apply(lambda v: v * v + 1), "apply one": lambda x, i, u: x.at[i[0], 1].apply(lambda v: -v)}


@pytest.mark.parametrize("method", METHODS)
def test_methods_of_at(method: str):
    rng = np.random.default_rng(3)
    x, i, u = rng.uniform(1, 2, (6, 6)), np.array([3, -1, 9, 3, -8, 0]), rng.uniform(1, 2, (6, 6))
    wanted = METHODS[method](jnp.asarray(x), jnp.asarray(i), jnp.asarray(u))
    got = leptonc.jit(METHODS[method])(x, i, u)
    assert got.dtype == wanted.dtype
    np.testing.assert_allclose(got, wanted, rtol=1e-12)
    with leptonc.disable_jit():
        np.testing.assert_allclose(leptonc.jit(METHODS[method])(x, i, u), wanted, rtol=1e-12)
