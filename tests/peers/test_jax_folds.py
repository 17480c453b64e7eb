"""Folds against JAX's: reduce_window and its gradients, cumulative operations, segments, logsumexp with weights."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax, nn, segments
from leptonc import numpy as lnp

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

pytestmark = pytest.mark.usefixtures("double_precision")

RNG = np.random.default_rng(7)
X = RNG.permutation(54).reshape(6, 9) * 0.125 + 0.5


def same(ours, theirs, *args) -> None:
    """Results, and gradients of a weighted sum of them, compiled."""
    wanted = theirs(*map(jnp.asarray, args))
    np.testing.assert_allclose(leptonc.jit(ours)(*args), wanted, rtol=1e-10)
    weights = np.random.default_rng(1).standard_normal(wanted.shape)
    slope = jax.grad(lambda x, *rest: (theirs(x, *rest) * weights).sum())(*args)
    found = leptonc.jit(leptonc.grad(lambda x, *rest: lnp.sum(ours(x, *rest) * weights)))(*args)
    np.testing.assert_allclose(found, slope, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", ["add", "max", "min", "multiply"])
@pytest.mark.parametrize("more", [((2, 3), (1, 2), "SAME"), ((3, 1), (2, 1), ((1, 2), (0, 0)), None, (2, 1)),
                                  ((2, 2), (1, 1), "VALID", (2, 1), (1, 3))], ids=str)
def test_reduce_window(name, more):
    start = {"add": 0.0, "max": -np.inf, "min": np.inf, "multiply": 1.0}[name]
    names = {"max": "maximum", "min": "minimum"}.get(name, name)
    differentiable = name in ("add", "max", "min") and len(more) == 3

    def ours(x):
        return lax.reduce_window(x, start, getattr(lnp, names), *more)

    def theirs(x):
        return jax.lax.reduce_window(x, start, {"multiply": jax.lax.mul}.get(name) or getattr(jax.lax, name), *more)

    if differentiable:
        same(ours, theirs, X)
    np.testing.assert_allclose(leptonc.jit(ours)(X), theirs(X), rtol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", ["cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp"])
def test_cumulative(name, reverse):
    same(lambda x: getattr(lax, name)(x, 1, reverse), lambda x: getattr(jax.lax, name)(x, 1, reverse), X)


@pytest.mark.parametrize("kind", ["sum", "max", "min"])
def test_segments(kind):
    ids = np.array([2, 0, -1, 2, 7, 2])
    same(lambda x: getattr(segments, f"segment_{kind}")(x, ids, 2), lambda x: getattr(jax.ops, f"segment_{kind}")(x, ids, 2), X)


def test_weighted_sums_of_exponentials():
    b = np.where(RNG.random(X.shape) < 0.2, 0, RNG.random(X.shape))
    same(lambda x: nn.logsumexp(x, (0, 1), b=b), lambda x: jax.nn.logsumexp(x, (0, 1), b=b), X)
    same(lambda x: nn.logsumexp(x, 1, keepdims=True, where=b > 0.1),
         lambda x: jax.nn.logsumexp(x, 1, keepdims=True, where=b > 0.1), X)
