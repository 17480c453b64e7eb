"""Reductions with where and initial, without NaNs, cumulative ones; lax.reduce, reduce_window with any function; against NumPy."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import leptonc
from leptonc import lax, nn
from leptonc import numpy as lnp
from leptonc.errors import LeptonError

X = np.array([[1.5, np.nan, 3, -2], [np.nan] * 4, [2, -np.inf, -np.inf, 0], [np.inf, np.inf, np.nan, -1]])
ROWS = np.array([[True, False, True, True], [False] * 4, [True] * 4])


def everywhere(f, *args):
    """The result of a function, the same compiled and op by op."""
    compiled = leptonc.jit(f)(*args)
    with leptonc.disable_jit():
        by_ops = leptonc.jit(f)(*args)
    for got, of in zip(leptonc.tree.leaves(compiled), leptonc.tree.leaves(by_ops), strict=True):
        assert got.dtype == of.dtype
        np.testing.assert_allclose(got, of, rtol=1e-12, atol=1e-12)
    return compiled


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("name", ["nansum", "nanprod", "nanmax", "nanmin", "nanmean", "nanvar", "nanstd", "nancumsum",
                                  "nancumprod"])
def test_without_nans(name, axis):
    with np.errstate(all="ignore"):
        wanted = getattr(np, name)(X, axis)
    np.testing.assert_allclose(everywhere(lambda x: getattr(lnp, name)(x, axis), X), wanted, rtol=1e-12)
    ints = np.arange(6).reshape(2, 3)
    np.testing.assert_allclose(everywhere(lambda x: getattr(lnp, name)(x, axis), ints), getattr(np, name)(ints, axis))


def test_positions_without_nans():
    np.testing.assert_array_equal(everywhere(lambda x: lnp.nanargmax(x, 1), X), [2, -1, 0, 0])
    np.testing.assert_array_equal(everywhere(lambda x: lnp.nanargmin(x, 1), X), [3, -1, 1, 3])
    low = np.array([[np.nan, -np.inf, np.nan, -np.inf]])
    np.testing.assert_array_equal(everywhere(lambda x: lnp.nanargmax(x, 1, keepdims=True), low), [[1]])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "var", "std", "any", "all", "max", "min"])
def test_where_and_initial(name, axis, rng):
    x = rng.standard_normal((3, 4)) > 0 if name in ("any", "all") else rng.standard_normal((3, 4))
    more = {"initial": 0.25} if name in ("sum", "prod", "max", "min") else {}
    for mask in (ROWS, ROWS[:, :1]):
        with np.errstate(all="ignore"):
            wanted = getattr(np, name)(x, axis, where=mask, keepdims=True, **more)
        found = everywhere(lambda x, mask: getattr(lnp, name)(x, axis, where=mask, keepdims=True, **more), x, mask)
        np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_extremes_of_nothing_and_wrong_masks():
    empty = np.zeros((2, 0))
    np.testing.assert_array_equal(everywhere(lambda x: lnp.max(x, 1, initial=-3.0), empty), [-3, -3])
    for wrong in (lambda x: lnp.max(x, where=ROWS), lambda x: lnp.sum(x, where=np.ones((3, 4))),
                  lambda x: lnp.sum(x, where=ROWS[:2])):
        with pytest.raises(LeptonError):
            wrong(np.ones((3, 4)))
    assert everywhere(lambda x: lnp.count_nonzero(x, 1), np.array([[0, 2, -1], [0, 0, 0]])).tolist() == [2, 0]


CUMULATIVE = {"cumsum": np.add, "cumprod": np.multiply, "cummax": np.maximum, "cummin": np.minimum, "cumlogsumexp": np.logaddexp}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CUMULATIVE)
def test_cumulative(name, reverse, rng):
    x = rng.standard_normal((3, 11, 2))
    turned = np.flip(x, 1) if reverse else x
    wanted = CUMULATIVE[name].accumulate(turned, 1)
    wanted = np.flip(wanted, 1) if reverse else wanted
    np.testing.assert_allclose(everywhere(lambda x: getattr(lax, name)(x, 1, reverse), x), wanted, rtol=1e-12)


def test_cumulative_products_of_ints_and_with_a_beginning():
    x = np.array([[3, 0, 2], [1, 4, 5]], np.int32)
    for found, axis in zip(everywhere(lambda x: [lnp.cumprod(x, a) for a in (0, 1, None)], x), (0, 1, None)):
        np.testing.assert_array_equal(found, np.cumprod(x, axis))
        assert found.dtype == np.int64
    products = everywhere(lambda x: lnp.cumulative_prod(x, axis=1, include_initial=True), x)
    np.testing.assert_array_equal(products, [[1, 3, 0, 0], [1, 1, 4, 20]])
    sums = everywhere(lambda x: lnp.cumulative_sum(x, axis=1, include_initial=True), x)
    np.testing.assert_array_equal(sums, [[0, 3, 3, 5], [0, 1, 5, 10]])


def test_gradients_of_cumulative_products_through_zeros():
    x, weights = np.array([2.0, 0, 3, 0, 5]), np.arange(1.0, 6)
    products = [[np.prod(np.delete(x[:n + 1], k)) if k <= n else 0 for k in range(5)] for n in range(5)]
    found = leptonc.jit(leptonc.grad(lambda x: lnp.sum(lnp.cumprod(x) * weights)))(x)
    np.testing.assert_allclose(found, weights @ np.array(products))


JOINS = {"sum": (0.0, lambda a, b: a + b, np.add.reduce), "product": (1.0, lambda a, b: a * b, np.multiply.reduce),
         "max": (-np.inf, lnp.maximum, np.maximum.reduce), "from 3": (3.0, lnp.minimum, lambda x, axis: np.minimum(
             np.minimum.reduce(x, axis), 3)), "logaddexp": (-np.inf, lnp.logaddexp, np.logaddexp.reduce),
         "last": (0.0, lambda a, b: b + 0 * a, lambda x, axis: np.take(x, -1, axis))}


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("name", JOINS)
def test_reduce_by_any_function(name, axis, rng):
    start, join, wanted = JOINS[name]
    x = rng.standard_normal((7, 5, 2))
    np.testing.assert_allclose(everywhere(lambda x: lax.reduce(x, start, join, (axis,)), x), wanted(x, axis), rtol=1e-12)


def test_reduce_several_axes_and_several_operands(rng):
    x = rng.standard_normal((4, 3, 5))
    np.testing.assert_allclose(everywhere(lambda x: lax.reduce(x, 0.0, lnp.add, (0, 2)), x), x.sum((0, 2)), rtol=1e-12)

    def greater(a, b):
        first = a[0] >= b[0]
        return lnp.where(first, a[0], b[0]), lnp.where(first, a[1], b[1])

    places = np.broadcast_to(np.arange(5), x.shape)
    best, at = everywhere(lambda x, i: lax.reduce((x, i), (-np.inf, -1), greater, (2,)), x, places)
    np.testing.assert_array_equal(best, x.max(2))
    np.testing.assert_array_equal(at, x.argmax(2))


def test_reduce_bits():
    x = np.random.default_rng(2).integers(0, 100, (3, 7))
    cases = ((lnp.bitwise_and, np.bitwise_and, -1), (lnp.bitwise_or, np.bitwise_or, 0), (lnp.bitwise_xor, np.bitwise_xor, 0))
    results = everywhere(lambda x: [lax.reduce(x, case[2], case[0], (1,)) for case in cases], x)
    for found, (_, theirs, _) in zip(results, cases):
        np.testing.assert_array_equal(found, theirs.reduce(x, 1))


def windowed(x, start, join, size, strides, pads, base, dilation):
    wide = np.full([(n - 1) * b + 1 + sum(p) for n, b, p in zip(x.shape, base, pads)], start)
    wide[tuple(slice(low, low + (n - 1) * b + 1, b) for n, b, (low, _) in zip(x.shape, base, pads))] = x
    counts = [(n - (k - 1) * d - 1) // s + 1 for n, k, d, s in zip(wide.shape, size, dilation, strides)]
    out = np.empty(counts)
    for at in np.ndindex(*counts):
        total = start
        for tap in np.ndindex(*size):
            total = join(total, wide[tuple(p * s + t * d for p, s, t, d in zip(at, strides, tap, dilation))])
        out[at] = total
    return out


@pytest.mark.parametrize("name", ["sum", "product", "max", "logaddexp", "last"])
@pytest.mark.parametrize("size, strides, pads, base, dilation", [
    ((3, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), (1, 1)), ((2, 7), (2, 3), ((1, 0), (2, 3)), (1, 1), (1, 1)),
    ((1, 3), (1, 2), ((0, 0), (1, 2)), (2, 3), (1, 2)), ((3, 1), (1, 1), ((2, 2), (0, 0)), (1, 1), (2, 1))])
def test_reduce_window_by_any_function(name, size, strides, pads, base, dilation, rng):
    start, join, _ = JOINS[name]
    x = rng.uniform(0.5, 1.5, (5, 9))
    plain = {"sum": np.add, "product": np.multiply, "max": np.maximum, "logaddexp": np.logaddexp, "last": lambda a, b: b}[name]
    found = everywhere(lambda x: lax.reduce_window(x, start, join, size, strides, pads, base, dilation), x)
    np.testing.assert_allclose(found, windowed(x, start, plain, size, strides, pads, base, dilation), rtol=1e-12)


def test_gradient_of_a_window_product():
    x = np.array([2.0, 0, 3, 4])
    found = leptonc.jit(leptonc.grad(lambda x: lnp.sum(lax.reduce_window(x, 1.0, lnp.multiply, 3))))(x)
    np.testing.assert_allclose(found, [0, 2 * 3 + 3 * 4, 0, 0])


def test_sums_of_exponentials_over_several_axes(rng):
    x, b = rng.standard_normal((3, 4, 5)) * 50, rng.standard_normal((3, 4, 5))
    np.testing.assert_allclose(everywhere(lambda x: nn.logsumexp(x, (0, 2)), x), np.log(np.exp(x).sum((0, 2))), rtol=1e-12)
    total = (b * np.exp(x)).sum((0, 2), keepdims=True)
    y, sign = everywhere(lambda x, b: nn.logsumexp(x, (0, 2), b=b, return_sign=True, keepdims=True), x, b)
    np.testing.assert_allclose(y, np.log(abs(total)), rtol=1e-9)
    np.testing.assert_array_equal(sign, np.sign(total))
    assert everywhere(lambda x: nn.logsumexp(x, None), np.full((2, 2), -np.inf)) == -np.inf
    assert everywhere(lambda x: nn.logsumexp(x, None), np.array([np.inf, 0.0])) == np.inf


@pytest.mark.parametrize("ddof", [0, 1, 2, 3, 2.5])
@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_variance_of_too_few_elements(count, ddof):
    """x / 0, as NumPy's, and never a negative one."""
    x = np.arange(count, dtype=np.float32)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        wanted = np.var(x, ddof=ddof), np.std(x, ddof=ddof)
        f = leptonc.jit(lambda x: (lnp.var(x, ddof=ddof), lnp.std(x, ddof=ddof)))
        np.testing.assert_allclose(f(x), wanted, rtol=1e-6)
        assert {got.dtype for got in f(x)} == {x.dtype}
        np.testing.assert_allclose([lnp.var(x, ddof=ddof), lnp.std(x, ddof=ddof)], wanted, rtol=1e-6)


@pytest.mark.parametrize("shape, axes", [((4096, 16), (0,)), ((64, 8, 8, 40), (0, 1, 2)), ((3000, 2, 24), (0, 1)),
                                         ((3, 100_003), (1,)), ((50, 1030), (0, 1)), ((40, 5, 7, 33), (0, 2))])
def test_long_sums_of_equal_numbers(shape, axes, rng):
    """One after the other each addition rounds as the one before did, to an error of 1e-5."""
    def sums(x):
        return lnp.sum(x, axes), lnp.sum(lnp.exp(x), axes)

    sums = leptonc.jit(sums)
    for number in (0.7123, 1.3, *rng.random(4)):
        x = np.full(shape, number, np.float32)
        for found, of in zip(sums(x), (x, np.exp(x))):
            np.testing.assert_allclose(found, of.sum(axes, dtype=np.float64), rtol=1e-6)


def test_long_products_of_equal_numbers(depth=3000):
    """The same of sums of products, in rows and columns that are whole tiles and that are not."""
    for rows, columns in ((64, 64), (33, 100)):
        x, y = np.full((rows, depth), 0.7123, np.float32), np.full((depth, columns), 0.913, np.float32)
        np.testing.assert_allclose(leptonc.jit(lnp.matmul)(x, y), x.astype(np.float64) @ y, rtol=4e-6)


@pytest.mark.parametrize("sign, fold", [(1, lax.max), (-1, lax.min)])
def test_the_first_of_equal_extremes_of_a_window_has_the_gradient(sign, fold):
    """As of max_pool, and by JAX: in order of rows, not half for each."""
    x = sign * np.array([[1.0, 3, 2], [3, 3, 0], [0, 3, 3]])
    weights = np.array([[1.0, 10], [100, 1000]])

    def loss(x):
        return lnp.sum(lax.reduce_window(x, -sign * np.inf, fold, (2, 2)) * weights)

    np.testing.assert_array_equal(leptonc.jit(leptonc.grad(loss))(x), [[0, 11, 0], [100, 1000, 0], [0, 0, 0]])
    nan = np.array([[1.0, np.nan, 2], [2, 3, 1]])
    pooled = everywhere(lambda x: lax.reduce_window(x, -sign * np.inf, fold, (1, 2)), nan)
    assert np.isnan(pooled).tolist() == [[True, True], [False, False]]


def test_a_mean_of_an_integer_dtype_is_of_that_dtype():
    x = np.array([1.5, 2.7, 9.2])
    assert lnp.mean(x, dtype=np.uint8) == 4 and lnp.mean(x, dtype=np.uint8).dtype == np.uint8


def test_unsigned_reductions_begin_with_nothing_negative():
    with pytest.raises(leptonc.errors.LeptonError, match=r"initial=-2\.5 is below what uint64 holds"):
        lnp.sum(np.array([1, 2], np.uint32), initial=-2.5)
