"""Sorts, the greatest few and sets of a static size against JAX's, with derivatives."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

import leptonc  # noqa: E402
from leptonc import lax  # noqa: E402
from leptonc import numpy as lnp  # noqa: E402

pytestmark = pytest.mark.usefixtures("double_precision")

X = np.random.default_rng(0).standard_normal((4, 7))
W = np.random.default_rng(1).standard_normal((4, 7))
K = np.random.default_rng(2).integers(0, 3, (4, 7))

FUNCTIONS = {
    "sort": lambda np, lax, x: np.sort(x, 0) * W,
    "descending": lambda np, lax, x: np.sort(x, descending=True) * W,
    "several": lambda np, lax, x: sum(a * W * (n + 1) for n, a in enumerate(lax.sort((K, x, x * x), num_keys=2)[1:])),
    "values": lambda np, lax, x: lax.sort_key_val(K, x, 0)[1] * W,
    "top": lambda np, lax, x: lax.top_k(x, 3)[0] * W[:, :3],
    "quantile": lambda np, lax, x: np.quantile(x, 0.3, 1) * W[:, 0],
    "median": lambda np, lax, x: np.median(x, 0) * W[0],
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(name):
    f = FUNCTIONS[name]

    def ours(x):
        return lnp.sum(f(lnp, lax, x) ** 2)

    def theirs(x):
        return jnp.sum(f(jnp, jax.lax, x) ** 2)

    for mine, wanted in ((ours, theirs), (leptonc.grad(ours), jax.grad(theirs))):
        np.testing.assert_allclose(leptonc.jit(mine)(X), wanted(X), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(leptonc.jvp(ours, (X,), (W,))[1], jax.jvp(theirs, (X,), (W,))[1], rtol=1e-10)
    if name not in ("several", "top"):
        return
    second = leptonc.jvp(leptonc.grad(ours), (X,), (W,))[1]
    np.testing.assert_allclose(second, jax.jvp(jax.grad(theirs), (X,), (W,))[1], rtol=1e-10, atol=1e-12)


def test_batched():
    for f in (lambda np, lax, x: np.argsort(x, 0), lambda np, lax, x: lax.top_k(x, 2)[1]):
        got = leptonc.vmap(lambda x: f(lnp, lax, x))(np.stack([X, -X]))  # noqa: B023
        np.testing.assert_array_equal(got, jax.vmap(lambda x: f(jnp, jax.lax, x))(np.stack([X, -X])))  # noqa: B023


@pytest.mark.parametrize("x", [np.array([3, 1, 0, 3, 0]), np.array([2.0, np.nan, np.nan, 0.0]), np.zeros(3)], ids=str)
def test_static_sizes(x):
    for size in (2, 8):
        for fill in (None,) if size == 2 else (None, 7):
            options = {"size": size, "fill_value": fill}
            for f in (lambda np, x: np.nonzero(x, **options), lambda np, x: (np.argwhere(x, **options),),  # noqa: B023
                      lambda np, x: np.unique(x, True, True, True, **options)):  # noqa: B023
                for got, wanted in zip(f(lnp, x), f(jnp, x), strict=True):
                    np.testing.assert_array_equal(got, wanted)
            if not np.isnan(x).any():
                y = np.array([0, 2, 3, 3, 9], x.dtype)
                for name in ("union1d", "intersect1d", "setdiff1d", "setxor1d"):
                    got, wanted = (getattr(np_, name)(x, y, **options) for np_ in (lnp, jnp))
                    np.testing.assert_array_equal(got, wanted, err_msg=name)
