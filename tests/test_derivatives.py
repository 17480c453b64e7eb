"""First and second derivatives at ties, kinks and singular points: those of the functions themselves, as JAX gives them."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import disable_jit, grad, jit, lax, nn
from leptonc import numpy as lnp

INF, NAN, E = np.inf, np.nan, np.e

# (name, function, [(x, first derivative, second)]); None: not looked at
POINTS = [
    ("abs", lnp.abs, [(0.0, 1, 0), (-0.0, 1, 0), (2.0, 1, 0), (-2.0, -1, 0), (-INF, -1, 0)]),
    ("sign", lnp.sign, [(0.0, 0, 0), (3.0, 0, 0)]),
    ("sqrt", lnp.sqrt, [(0.0, INF, -INF), (4.0, 0.25, -1 / 32)]),
    ("rsqrt", lax.rsqrt, [(0.0, -INF, None), (4.0, -1 / 16, 3 / 128)]),
    ("reciprocal", lnp.reciprocal, [(0.0, -INF, INF), (2.0, -0.25, 0.25)]),
    ("relu", nn.relu, [(0.0, 0, 0), (-0.0, 0, 0), (1.0, 1, 0)]),
    ("leaky_relu", nn.leaky_relu, [(0.0, 1, 0), (-0.0, 1, 0), (-1.0, 0.01, 0), (1.0, 1, 0)]),
    ("elu", nn.elu, [(0.0, 1, 1), (-0.0, 1, 1), (1.0, 1, 0), (-1.0, 1 / E, 1 / E), (-INF, 0, 0), (800.0, 1, 0), (NAN, NAN, NAN)]),
    ("elu of alpha 2", lambda x: nn.elu(x, 2.0), [(0.0, 2, 2), (1e-9, 1, 0), (-1.0, 2 / E, 2 / E)]),
    ("softplus", nn.softplus, [(0.0, 0.5, 0.25), (-0.0, 0.5, 0.25), (INF, 1, 0), (-INF, 0, 0), (800.0, 1, 0), (-800.0, 0, 0)]),
    ("sigmoid", nn.sigmoid, [(0.0, 0.25, 0), (INF, 0, 0), (-INF, 0, 0), (800.0, 0, 0)]),
    ("silu", nn.silu, [(0.0, 0.5, 0.5), (800.0, 1, 0)]),
    ("gelu", nn.gelu, [(0.0, 0.5, (2 / np.pi) ** 0.5), (100.0, 1, 0), (-100.0, 0, 0)]),
    ("gelu by erf", lambda x: nn.gelu(x, approximate=False), [(0.0, 0.5, (2 / np.pi) ** 0.5), (100.0, 1, 0)]),
    ("clip", lambda x: lnp.clip(x, 0.0, 1.0), [(0.0, 0.5, 0), (1.0, 0.5, 0), (0.5, 1, 0), (-1.0, 0, 0), (2.0, 0, 0)]),
    ("maximum with itself", lambda x: lnp.maximum(x, x), [(0.0, 1, 0), (3.0, 1, 0)]),
    ("maximum(x, -x)", lambda x: lnp.maximum(x, -x), [(0.0, 0, 0), (3.0, 1, 0)]),
    ("minimum(x, 0)", lambda x: lnp.minimum(x, 0), [(0.0, 0.5, 0), (-0.0, 0.5, 0)]),
    ("logaddexp(x, 0)", lambda x: lnp.logaddexp(x, 0.0), [(0.0, 0.5, 0.25), (-0.0, 0.5, 0.25), (INF, 1, 0), (-INF, 0, 0)]),
    ("logaddexp(x, x)", lambda x: lnp.logaddexp(x, x), [(0.0, 1, 0), (1e30, 1, 0), (-INF, 1, 0)]),
    ("x ** 0", lambda x: lnp.power(x, 0.0), [(0.0, 0, 0), (2.0, 0, 0)]),
    ("x ** 1", lambda x: lnp.power(x, 1.0), [(0.0, 1, 0), (-2.0, 1, 0)]),
    ("x ** 2", lambda x: lnp.power(x, 2.0), [(0.0, 0, 2), (-2.0, -4, 2)]),
    ("x ** 3", lambda x: x**3, [(0.0, 0, 0), (-2.0, 12, -12)]),
    ("x ** 0.5", lambda x: x**0.5, [(0.0, INF, -INF), (4.0, 0.25, -1 / 32)]),
    ("x ** 1.5", lambda x: x**1.5, [(0.0, 0, INF), (4.0, 3, 0.375)]),
    ("x ** -1", lambda x: lnp.power(x, -1.0), [(0.0, -INF, INF), (2.0, -0.25, 0.25)]),
    ("2 ** x", lambda x: 2.0**x, [(0.0, np.log(2), np.log(2) ** 2)]),
    ("0 ** x", lambda x: 0.0**x, [(0.0, 0, 0), (2.0, 0, 0)]),
    ("(-2) ** x", lambda x: lnp.power(-2.0, x), [(2.0, NAN, NAN)]),
    ("remainder", lambda x: lnp.remainder(-1.0, x), [(INF, 1, 0), (0.75, 2, 0)]),
    ("huber", lambda x: lnp.where(lnp.abs(x) <= 1, 0.5 * x * x, lnp.abs(x) - 0.5),
     [(0.0, 0, 1), (1.0, 1, 1), (-1.0, -1, 1), (3.0, 1, 0)]),
    ("log2", lnp.log2, [(8.0, 1 / (8 * np.log(2)), -1 / (64 * np.log(2))), (0.0, INF, -INF)]),
    ("log10", lnp.log10, [(10.0, 1 / (10 * np.log(10)), -1 / (100 * np.log(10)))]),
    ("tan", lnp.tan, [(0.0, 1, 0), (np.pi / 4, 2, 4)]),
    ("sinh", lnp.sinh, [(0.0, 1, 0)]),
    ("cosh", lnp.cosh, [(0.0, 0, 1)]),
]


def _modes(f):
    def eagerly(*args):
        with disable_jit():
            return f(*args)

    return jit(f), eagerly


@pytest.mark.parametrize("f, points", [p[1:] for p in POINTS], ids=[p[0] for p in POINTS])
def test_derivatives_at_points(f, points):
    def first(x):
        return grad(lambda x: lnp.sum(f(x)))(x)

    def both(x):
        return first(x), grad(lambda x: lnp.sum(first(x)))(x)

    for run in _modes(both):
        for order, found in enumerate(run(np.array([x for x, *_ in points])), 1):
            for got, point in zip(found, points):
                if point[order] is not None:
                    np.testing.assert_allclose(got, point[order], rtol=1e-14, atol=1e-15, err_msg=f"order {order} at {point[0]}")


def _hessian(f, x):
    """Rows of second derivatives of a function of one vector, compiled and eager."""
    def rows(x):
        return [grad(lambda v, i=i: grad(f)(v)[i])(x) for i in range(x.size)]

    return [np.stack(run(x)) for run in _modes(rows)]


@pytest.mark.parametrize("a, b, first", [
    (0.0, 0.0, (0.5, 0.5)), (3.0, 3.0, (0.5, 0.5)), (-0.0, 0.0, (0.5, 0.5)), (INF, INF, (1, 1)), (-INF, -INF, (0.5, 0.5)),
    (INF, 0.0, (1, 0)), (0.0, -INF, (1, 0)), (1e30, 1e30, (0.5, 0.5)), (800.0, -800.0, (1, 0)), (NAN, 0.0, (NAN, NAN)),
])
def test_logaddexp_where_its_operands_meet(a, b, first):
    """Weights p and 1 - p, second derivatives +-p (1 - p); 1 for an operand that is inf, whose second derivative is 0."""
    x = np.array([a, b])
    share = 0 if np.isinf(x).any() else first[0] * (1 - first[0]) if a == b else first[0] * first[1]
    if (a, b) == (-INF, -INF):
        share = 0
    for run in _modes(grad(lambda v: lnp.logaddexp(v[0], v[1]))):
        np.testing.assert_array_equal(run(x), first)
    for found in _hessian(lambda v: lnp.logaddexp(v[0], v[1]), x):
        np.testing.assert_allclose(found, [[share, -share], [-share, share]], atol=1e-15)


def test_mixed_second_derivatives_of_powers():
    """d2/dx dy x^y = x^(y-1) (1 + y log x): 1/x at y = 0."""
    for x, y in ((2.0, 0.0), (0.5, 0.0), (3.0, 2.0), (1.0, 0.0)):
        wanted = x ** (y - 1) * (1 + y * np.log(x))
        for first, second in ((0, 1), (1, 0)):
            for run in _modes(grad(grad(lnp.power, argnums=first), argnums=second)):
                np.testing.assert_allclose(run(np.float64(x), np.float64(y)), wanted, rtol=1e-14)


@pytest.mark.parametrize("x", [[0, 2, 3], [0, 0, 3], [0, 0, 0], [2, 3, 4], [-1, 0, 5, 7], [2], [1, 2, 0, 4, 0.5, 6, 7]], ids=str)
def test_products_with_zeros(x):
    """The first derivative is the product of all others, the second of all but two."""
    x = np.array(x, float)
    others = [np.prod(np.delete(x, i)) for i in range(x.size)]
    second = [[0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(x.size)] for i in range(x.size)]
    for run in _modes(grad(lnp.prod)):
        np.testing.assert_allclose(run(x), others)
    for found in _hessian(lnp.prod, x):
        np.testing.assert_allclose(found, second)


@pytest.mark.parametrize("axis", [0, 1, 2, (0, 2), (2, 1), None])
def test_products_over_axes(rng, axis):
    x = rng.integers(-2, 3, (3, 4, 5)).astype(float)
    found = [np.asarray(run(x)) for run in _modes(grad(lambda x: lnp.sum(lnp.prod(x, axis))))]
    for at in np.ndindex(*x.shape):
        one, zero = x.copy(), x.copy()
        one[at], zero[at] = 1, 0
        slope = np.sum(np.prod(one, axis) - np.prod(zero, axis))  # it is linear in each element
        for gradient in found:
            np.testing.assert_allclose(gradient[at], slope)


@pytest.mark.parametrize("f, x, wanted", [
    (lnp.max, [2, 2, 1], [0.5, 0.5, 0]),
    (lambda x: lnp.max(x, where=np.array([True, False]), initial=1), [1, 7], [0.5, 0]),
    (lambda x: lnp.min(x, where=np.array([False, True]), initial=1), [-1, 1], [0, 0.5]),
    (lambda x: lnp.sum(lnp.zeros(3).at[np.array([0, 0, 2])].max(x)), [NAN, 1, 2], [0, 0, 1]),
    (lambda x: lnp.sum(lnp.ones(2).at[np.array([0, 0, 1])].min(x)), [1, 1, 0.5], [1 / 3, 1 / 3, 1]),
    (lnp.min, [2, 1, 1], [0, 0.5, 0.5]), (lnp.max, [0.0, -0.0, -1], [0.5, 0.5, 0]),
    (lambda x: lnp.max(lnp.abs(x)), [-3, 3, 1], [-0.5, 0.5, 0]), (lambda x: lnp.max(x) - lnp.min(x), [2, 2, 2], [0, 0, 0]),
    (lambda x: lnp.sum(nn.max_pool(x[None, :, None], 2, stride=1)), [1, 1, 1], [1, 1, 0]),
    (lambda x: lnp.sqrt(lnp.sum(x * x)), [0, 3, 4], [0, 0.6, 0.8]), (lambda x: lnp.sqrt(lnp.sum(x * x)), [0, 0, 0], [NAN] * 3),
    (lnp.std, [2, 2, 2], [NAN] * 3), (lnp.var, [2, 2, 2], [0, 0, 0]),
    (nn.logsumexp, [INF, 1, 2], [NAN, 0, 0]), (nn.logsumexp, [-INF, 1, 1], [0, 0.5, 0.5]),
    (nn.logsumexp, [1e4, 1e4, 0], [0.5, 0.5, 0]),
    (lambda x: nn.log_softmax(x)[1], [-INF, 1, 1], [0, 0.5, -0.5]),
    (lambda x: lnp.sum(lnp.frexp(x)[0]), [0, 0.5, 1.3, -3, INF], [1, 1, 0.5, 0.25, 1]),
    (lambda x: lnp.sum(lnp.modf(x)[0]), [0.0, -0.0, -2, 2.5, -2.5], [1] * 5),
    (lambda x: lnp.sum(lnp.fmod(x, 2.0)), [0.0, -0.0, -2, 2.5, -2.5], [1] * 5),
    (lambda x: lnp.sum(lnp.fmod(-5.0, x)), [2, -2, 3], [2, -2, 1]),
    (lnp.median, [1, 1, 0, 2], [0.5, 0.5, 0, 0]),
    (lambda x: lnp.quantile(x, 0.35), [0, 1, -2, 0.5, 0, 3], [0.25, 0, 0, 0, 0.75, 0]),
    (lnp.nanmedian, [3, NAN, 3], [0.5, 0, 0.5]), (lnp.median, [INF, INF, 0, INF], [1, 0, 0, 0]),
], ids=lambda value: getattr(value, "__name__", str(value)))
def test_gradients_of_reductions_at_ties(f, x, wanted):
    for run in _modes(grad(f)):
        np.testing.assert_allclose(run(np.array(x, float)), wanted)


@pytest.mark.parametrize("f", [nn.softmax, nn.log_softmax])
def test_an_infinite_logit_makes_its_row_nan(f):
    x = np.array([[INF, 1, 2], [-INF, -INF, -INF], [0, -INF, 0]])
    for run in _modes(f):
        np.testing.assert_array_equal(np.isnan(run(x)), [[True] * 3, [True] * 3, [False] * 3])


def test_single_precision_derivatives_stay_in_single():
    for f, x, wanted in ((nn.elu, 0.0, 1.0), (nn.softplus, 0.0, 0.25), (lambda x: lnp.logaddexp(x, x * 2), 0.0, 0.25)):
        got = jit(grad(grad(f)))(np.float32(x))
        assert got.dtype == np.float32 and got == np.float32(wanted), (f, got)
    assert leptonc.jit(grad(lnp.prod))(np.array([0, 2], "f")).tolist() == [2, 0]
