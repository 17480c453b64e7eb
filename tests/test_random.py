"""Known bits, the same compiled and eager, and the distributions: moments and Kolmogorov-Smirnov tests with fixed seeds."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
from leptonc import random
from leptonc.errors import DtypeError, LeptonError


@pytest.mark.parametrize("key, counter, wanted", [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
])
def test_known_answers(key, counter, wanted):
    """The test vectors of Random123."""
    x0, x1 = (np.array([c], np.uint32) for c in counter)
    for run in (random.threefry, leptonc.jit(random.threefry)):
        a, b = run(np.array(key, np.uint32), x0, x1)
        assert (int(a[0]), int(b[0])) == wanted


@pytest.mark.parametrize("draw", [
    lambda key: random.bits(key, (7, 3)), lambda key: random.uniform(key, (1001,)), lambda key: random.split(key, 5),
    lambda key: random.bernoulli(key, 0.3, (50,)), lambda key: random.randint(key, (40,), -3, 9),
    lambda key: random.uniform(key, (8,), "f8", -1, 1), lambda key: random.fold_in(key, 3),
])
def test_same_bits_compiled_and_eager(draw):
    key = random.key(42)
    compiled, eager = leptonc.jit(draw)(key), draw(key)
    assert compiled.dtype == eager.dtype
    np.testing.assert_array_equal(compiled, eager)


def test_moments():
    n = 200_000
    uniform, normal = random.uniform(random.key(1), (n,)), random.normal(random.key(2), (n,))
    assert uniform.dtype == normal.dtype == np.float32
    assert 0 <= uniform.min() and uniform.max() < 1
    np.testing.assert_allclose([uniform.mean(), uniform.var()], [1 / 2, 1 / 12], atol=3e-3)
    np.testing.assert_allclose([normal.mean(), normal.var(), (normal**3).mean(), (normal**4).mean()], [0, 1, 0, 3], atol=5e-2)
    np.testing.assert_allclose(random.exponential(random.key(3), (n,)).mean(), 1, atol=1e-2)
    counts = np.bincount(random.randint(random.key(4), (n,), 0, 10), minlength=10)
    assert counts.min() > 0.95 * n / 10
    np.testing.assert_allclose(random.normal(random.key(2), (n,), "f8").std(), 1, atol=1e-2)


def test_keys_are_independent():
    keys = random.split(random.key(0), 100)
    assert len({tuple(k) for k in keys}) == 100
    draws = np.stack([random.uniform(k, (1000,)) for k in keys])
    assert abs(np.corrcoef(draws)[np.triu_indices(100, 1)]).max() < 0.2


def test_errors():
    with pytest.raises(DtypeError, match="key"):
        random.uniform(np.zeros(2), (3,))
    with pytest.raises(DtypeError, match="float"):
        random.uniform(random.key(0), (3,), "i4")


def test_elements_of_bernoulli_are_drawn_on_their_own():
    p = np.full(1000, 0.5, np.float32)
    draws = random.bernoulli(random.key(0), p)
    assert draws.shape == (1000,) and 400 < draws.sum() < 600
    np.testing.assert_array_equal(draws, leptonc.jit(lambda k, p: random.bernoulli(k, p))(random.key(0), p))
    assert random.bernoulli(random.key(0)).shape == ()


def test_the_widest_range_of_ints():
    draws = random.randint(random.key(1), (1000,), -2**31, 2**31)
    assert draws.dtype == np.int32 and draws.min() < -2**30 and draws.max() > 2**30


# JAX 0.10.2's, of key(42)
KNOWN_SPLIT = [[1832780943, 270669613], [64467757, 2916123636]]
KNOWN_BITS = [2098992034, 2919706841, 2646866425, 2409546199]
KNOWN_ORDER = [7, 4, 2, 5, 3, 6, 0, 1]
KNOWN_INTS = [-3, 3, 0, -2, 2, 0]


def test_known_bits():
    key = random.key(42)
    np.testing.assert_array_equal(random.split(key), KNOWN_SPLIT)
    np.testing.assert_array_equal(random.bits(key, (4,)), KNOWN_BITS)
    np.testing.assert_array_equal(random.permutation(key, 8), KNOWN_ORDER)
    np.testing.assert_array_equal(random.randint(key, (6,), -3, 9), KNOWN_INTS)


@pytest.mark.parametrize("form", [random.bits, random.uniform, random.normal, random.gumbel])
def test_large_draws_are_the_small_ones(form):
    """Blocks of compiled code count as a traced draw does."""
    key = random.key(5)
    np.testing.assert_array_equal(form(key, (150_001,)), leptonc.jit(lambda k: form(k, (150_001,)))(key))


@pytest.mark.parametrize("draw", [
    lambda k: random.permutation(k, np.arange(24).reshape(4, 6), 1, independent=True),
    lambda k: random.choice(k, 20, (3, 4), replace=False),
    lambda k: random.categorical(k, np.zeros((3, 5), "f4"), -1, (2, 3), False),
    lambda k: random.randint(k, (5,), np.zeros(5, "i4"), np.arange(1, 6, dtype="i4")), lambda k: random.split(k, (2, 2)),
    lambda k: random.randint(k, (5,), 0, 2**64, np.uint64), lambda k: random.poisson(k, np.array([0.5, 4.0, 40.0]), (6, 3)),
])
def test_ints_are_the_same_compiled_and_eager(draw):
    key = random.key(8)
    compiled, eager = leptonc.jit(draw)(key), draw(key)
    assert compiled.dtype == eager.dtype
    np.testing.assert_array_equal(compiled, eager)


@pytest.mark.parametrize("draw", [
    random.normal, lambda k: random.permutation(k, 7), lambda k: random.choice(k, 9, (4,), False), lambda k: random.poisson(k, 3.0),
    lambda k: random.gamma(k, 2.0, (3,)), lambda k: random.split(k, 3), lambda k: random.randint(k, (4,), 0, np.arange(1, 5)),
    lambda k: random.categorical(k, np.zeros((3, 5), "f4")),
], ids=["normal", "permutation", "choice", "poisson", "gamma", "split", "randint", "categorical"])
def test_mapped_over_keys_is_a_loop(draw):
    keys = random.split(random.key(3), 4)
    wanted, mapped = np.stack([draw(k) for k in keys]), leptonc.jit(leptonc.vmap(draw))(keys)
    assert mapped.dtype == wanted.dtype
    np.testing.assert_allclose(mapped, wanted, rtol=1e-5)


def test_choice_without_replacement_has_no_duplicates():
    assert len(set(random.choice(random.key(3), 50, (50,), replace=False).tolist())) == 50
    assert len(set(random.choice(random.key(3), 50, (40,), False, np.full(50, 0.02, "f4")).tolist())) == 40


N = 40_000


def _kolmogorov(draws, cdf):
    """The Kolmogorov-Smirnov statistic times sqrt(n); above 1.95 with probability 0.001."""
    x = np.sort(np.asarray(draws, np.float64))
    steps, values = np.arange(len(x) + 1) / len(x), cdf(x)
    return max(np.max(steps[1:] - values), np.max(values - steps[:-1])) * len(x) ** 0.5


def _erlang(x, n):
    """The distribution function of gamma draws with a whole exponent."""
    terms = np.cumprod(np.concatenate([np.ones((1, x.size)), x / np.arange(1, n)[:, None]]), 0)
    return 1 - np.exp(-x) * terms.sum(0)


CDFS = {
    "gamma 1": (lambda k: random.gamma(k, 1.0, (N,)), lambda x: 1 - np.exp(-x)),
    "gamma 4": (lambda k: random.gamma(k, 4.0, (N,)), lambda x: _erlang(x, 4)),
    "gamma 1/2": (lambda k: random.gamma(k, 0.5, (N,)), lambda x: np.vectorize(erf)(np.sqrt(x))),
    "beta 3 1": (lambda k: random.beta(k, 3.0, 1.0, (N,)), lambda x: x**3),
    "beta 0.5 0.5": (lambda k: random.beta(k, 0.5, 0.5, (N,)), lambda x: 2 / np.pi * np.arcsin(np.sqrt(x))),
    "dirichlet": (lambda k: random.dirichlet(k, np.ones(3), (N,))[:, 0], lambda x: 1 - (1 - x) ** 2),
    "chisquare": (lambda k: random.chisquare(k, 2.0, (N,)), lambda x: 1 - np.exp(-x / 2)),
    "f": (lambda k: random.f(k, 2.0, 4.0, (N,)), lambda x: 1 - (1 + x / 2) ** -2.0),
    "t": (lambda k: random.t(k, 2.0, (N,)), lambda x: 0.5 + x / (2 * np.sqrt(2 + x * x))),
    "ball": (lambda k: np.linalg.norm(random.ball(k, 3, shape=(N,)), axis=-1), lambda x: x**3),
    "normal": (lambda k: random.normal(k, (N,)), lambda x: (1 + np.vectorize(erf)(x / 2**0.5)) / 2),
    "cauchy": (lambda k: random.cauchy(k, (N,)), lambda x: 0.5 + np.arctan(x) / np.pi),
    "logistic": (lambda k: random.logistic(k, (N,)), lambda x: 1 / (1 + np.exp(-x))),
}


@pytest.mark.parametrize("name", CDFS)
def test_distributions(name):
    draw, cdf = CDFS[name]
    assert _kolmogorov(draw(random.key(17)), cdf) < 1.95, "seed 17"


@pytest.mark.parametrize("mean", [0.0, 0.3, 3.0, 9.9, 10.0, 25.0, 1000.0])
def test_poisson(mean):
    draws = random.poisson(random.key(23), mean, (N,)).astype(np.float64)
    five_sigma = 5 / N**0.5
    assert abs(draws.mean() - mean) <= five_sigma * mean**0.5
    assert abs(draws.var() - mean) <= five_sigma * (2 * mean**2 + mean) ** 0.5


@pytest.mark.parametrize("draw", [
    lambda k, a: random.gamma(k, a), lambda k, a: random.loggamma(k, a), lambda k, a: random.beta(k, 2.0, a),
    lambda k, a: random.dirichlet(k, a), lambda k, a: random.chisquare(k, a), lambda k, a: random.f(k, a, 3.0),
    lambda k, a: random.t(k, a),
], ids=["gamma", "loggamma", "beta", "dirichlet", "chisquare", "f", "t"])
def test_parameters_of_draws_by_rejection_have_no_derivative(draw):
    """An error, not a zero; constants they are where they are said to be."""
    a, key = np.array([1.5, 2.5], "f4"), random.key(0)
    with pytest.raises(LeptonError, match=r"parameter \w+ of \w+: has no derivative.*stop_gradient"):
        leptonc.grad(lambda a: lnp.sum(draw(key, a)))(a)
    with pytest.raises(LeptonError, match="no derivative"):
        leptonc.jvp(lambda a: draw(key, a), (a,), (a,))
    scaled = leptonc.grad(lambda s: lnp.sum(s * draw(key, leptonc.lax.stop_gradient(a * s))))(np.float32(1))
    np.testing.assert_allclose(scaled, lnp.sum(draw(key, a)), rtol=1e-5)


def test_orthogonal_and_multivariate_normal():
    q = random.orthogonal(random.key(1), 4, (3,), np.float64, m=2)
    np.testing.assert_allclose(q.swapaxes(-1, -2) @ q, np.broadcast_to(np.eye(2), (3, 2, 2)), atol=1e-12)
    cov = np.array([[2, 0.5], [0.5, 1]])
    for method in ("cholesky", "eigh", "svd"):
        draws = random.multivariate_normal(random.key(2), np.array([1.0, -1.0]), cov, (N,), method=method)
        np.testing.assert_allclose(np.cov(draws.T), cov, atol=0.06)
        np.testing.assert_allclose(draws.mean(0), [1, -1], atol=0.04)
        mean = np.array([1.0, -1.0])
        traced = leptonc.jit(lambda c, m=method, mean=mean: random.multivariate_normal(random.key(2), mean, c, (9,), method=m))
        np.testing.assert_allclose(leptonc.vmap(traced)(np.stack([cov] * 2)), np.stack([draws[:9]] * 2), atol=1e-12)
    found = leptonc.jit(lambda k: random.orthogonal(k, 4, (3,), np.float64, m=2))(random.key(1))
    np.testing.assert_allclose(found, q, atol=1e-12)


@pytest.mark.parametrize("n, p", [(1000, 0.3)])
def test_binomial_counts(n, p):
    found = random.binomial(random.key(8), n, p, (500,), np.float64)
    np.testing.assert_allclose(found.mean(), n * p, atol=5 * (n * p * (1 - p) / 500) ** 0.5)
    np.testing.assert_allclose(found.var(), n * p * (1 - p), rtol=0.3)
    np.testing.assert_array_equal(leptonc.jit(lambda k: random.binomial(k, n, p, (500,), np.float64))(random.key(8)), found)


def test_counts_of_several_ways():
    p = np.array([0.5, 0.2, 0.0, 0.3])
    found = random.multinomial(random.key(2), 40, p, shape=(200, 4))
    np.testing.assert_array_equal(found.sum(-1), 40)
    np.testing.assert_allclose(found.mean(0), 40 * p, atol=5 * (10 / 200) ** 0.5)
    edges = random.binomial(random.key(0), np.array([5, 5, -1, 5, 0]), np.array([0, 1, 0.5, 1.5, 0.5]))
    np.testing.assert_array_equal(edges, [0, 5, np.nan, np.nan, 0])
    assert random.key_impl(random.clone(random.key(0))) == "threefry2x32"
