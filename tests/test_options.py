"""Options of JAX's that do nothing here, or less: taken, obeyed, or refused by name. And functions that take trees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import lax, nn, random
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError
from tests.compare import both

F = np.float32
X = np.random.default_rng(3).standard_normal((3, 4)).astype(F)


def test_hints_change_nothing() -> None:
    f = leptonc.jit(lambda x: x + 1, keep_unused=True, inline=True, device="cpu", backend=None, in_shardings=None,
                    donate_argnums=None, compiler_options=None)
    np.testing.assert_array_equal(f(X), X + 1)
    mapped = leptonc.vmap(lambda x: leptonc.lax.psum(x, "i", axis_index_groups=None), axis_name="i", spmd_axis_name=None)
    np.testing.assert_allclose(mapped(X), np.broadcast_to(X.sum(0), X.shape), rtol=1e-6)
    np.testing.assert_array_equal(random.key(7, impl="threefry2x32"), random.PRNGKey(7, impl=None))
    assert leptonc.grad(lambda x: (x * x).sum(), 0, False, False, False)(X).shape == X.shape


@pytest.mark.parametrize("call", [
    lambda: leptonc.jit(lambda x: x, in_shardings=1), lambda: leptonc.jit(lambda x: x, device="gpu"),
    lambda: leptonc.jit(lambda x: x, compiler_options={"a": 1}), lambda: leptonc.vmap(lambda x: x, spmd_axis_name="i"),
    lambda: leptonc.grad(lambda x: x, allow_int=True), lambda: leptonc.jacrev(lambda x: x, allow_int=True),
    lambda: leptonc.checkpoint(lambda x: x, concrete=True), lambda: leptonc.checkpoint(lambda x: x, static_argnames="y"),
    lambda: leptonc.custom_jvp(lambda x: x, nondiff_argnames="y"), lambda: random.key(1, impl="rbg"),
    lambda: lax.exp(X, accuracy="highest"), lambda: lax.rsqrt(X, accuracy=1), lambda: nn.standardize(X, algorithm="other"),
    lambda: leptonc.vmap(lambda x: lax.pmean(x, "i", axis_index_groups=[[0], [1, 2]]), axis_name="i")(X),
    lambda: lax.switch(0, [abs], 1.0, operand=2.0),
])
def test_what_is_not_supported_is_named(call: Any) -> None:
    with pytest.raises(ArgumentError):
        call()


def test_stop_gradient_maps_over_trees() -> None:
    tree = {"a": X, "b": [X[0], (X[1], 2.0)]}
    found = leptonc.jit(lax.stop_gradient)(tree)
    assert leptonc.tree.structure(found) == leptonc.tree.structure(tree)
    slope = leptonc.grad(lambda t: (t["a"] * lax.stop_gradient(t)["a"]).sum() + lax.stop_gradient(t["b"])[1][0].sum())(tree)
    np.testing.assert_array_equal(slope["a"], X)
    assert not slope["b"][1][0].any()


def test_logsumexp_takes_what_jax_takes() -> None:
    weights = np.array([1.0, 2.0, 0.5, 1.0], F)
    total, weighted, (size, sign) = leptonc.jit(lambda x: (
        nn.logsumexp(x), nn.logsumexp(x, 1, weights, True), nn.logsumexp(x, 0, None, False, True, X > -1)))(X)
    assert total.shape == () and weighted.shape == (3, 1) and sign.shape == size.shape == (4,)
    np.testing.assert_allclose(total, np.log(np.exp(X).sum()), rtol=1e-6)
    np.testing.assert_allclose(weighted, np.log((weights * np.exp(X)).sum(1, keepdims=True)), rtol=1e-5)
    np.testing.assert_allclose(size, np.log((np.exp(X) * (X > -1)).sum(0)), rtol=1e-5)


def test_standardize_leaves_elements_out() -> None:
    (found,) = both(lambda x: nn.standardize(x, 1, None, None, 1e-5, X > -1, algorithm="fast"), X)
    part = np.ma.masked_array(X.astype(float), X <= -1)
    mean, var = part.mean(1, keepdims=True), part.var(1, keepdims=True)
    np.testing.assert_allclose(found, (X - mean.data) / np.sqrt(var.data + 1e-5), rtol=1e-4, atol=1e-5)


def test_lax_options() -> None:
    turned, wide, chosen, like, e = both(lambda x: (
        lax.reshape(x, (2, 6), (1, 0)), lax.mul(x, x, out_dtype=np.float64), lax.switch(1, [lax.neg, lambda v: v * 2], operand=x),
        lax.full_like(x, 3, shape=(2,)), lax.exp(x, accuracy=None)), X)
    np.testing.assert_array_equal(turned, X.T.reshape(2, 6))
    np.testing.assert_array_equal(wide, X.astype(np.float64) ** 2, strict=True)
    np.testing.assert_array_equal(chosen, X * 2)
    np.testing.assert_array_equal(like, np.full(2, 3, F), strict=True)
    np.testing.assert_allclose(e, np.exp(X), rtol=1e-6)
    np.testing.assert_array_equal(lax.fori_loop(0, 3, lambda i, v: v + i, 0, unroll=None), 3)


def test_arguments_are_named_that_are_not_differentiated() -> None:
    @leptonc.checkpoint(static_argnames=("power", "times"))
    def raised(x: Any, power: int, *, times: int = 1) -> Any:
        return sum(lnp.sin(x) ** power for _ in range(times))

    slope = leptonc.jit(leptonc.grad(lambda x: raised(x, power=2).sum() + raised(x, 2, times=1).sum()))(X)
    np.testing.assert_allclose(slope, 2 * np.sin(2 * X), rtol=1e-5, atol=1e-6)

    def twice(f: Any, x: Any) -> Any:
        return f(f(x))

    named = leptonc.custom_vjp(twice, nondiff_argnames=("f",))
    named.defvjp(lambda f, x: (twice(f, x), x), lambda f, x, g: (g * 7,))
    np.testing.assert_array_equal(leptonc.grad(lambda x: named(lnp.sin, x).sum())(X), np.full_like(X, 7))


def test_windows_of_several_arrays() -> None:
    """The greatest element of each window, and its place: a fold of pairs."""
    def later(a: Any, b: Any) -> Any:
        first = (a[0] > b[0]) | ((a[0] == b[0]) & (a[1] < b[1]))
        return lnp.where(first, a[0], b[0]), lnp.where(first, a[1], b[1])

    places = np.arange(12, dtype=np.int32).reshape(3, 4)
    values, at = both(lambda x: lax.reduce_window((x, places), (-np.inf, np.int32(99)), later, (2, 3), (1, 1), "VALID"), X)
    windows = np.lib.stride_tricks.sliding_window_view(X, (2, 3)).reshape(2, 2, 6)
    numbers = np.lib.stride_tricks.sliding_window_view(places, (2, 3)).reshape(2, 2, 6)
    np.testing.assert_array_equal(values, windows.max(-1))
    np.testing.assert_array_equal(at, np.take_along_axis(numbers, windows.argmax(-1)[..., None], -1)[..., 0])
