"""Random numbers: the state of a SeedGenerator is a key of leptonc."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras.src.backend.config import floatx
from keras.src.random.seed_generator import SeedGenerator, draw_seed, make_default_seed

from leptonc import nn
from leptonc import numpy as lnp
from leptonc import random as lrandom
from leptonc.keras.src.missing import MissingOpError
from leptonc.keras.src.ops.core import while_loop
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor, dtype_name, is_tensor
from leptonc.trace import Tracer

__all__ = ["SeedGenerator", "beta", "binomial", "categorical", "draw_seed", "dropout", "gamma", "make_default_seed", "normal",
           "randint", "shuffle", "truncated_normal", "uniform"]

WITHIN_TWO = 0.9544997361036416  # of a standard normal: erf(sqrt 2)
FEW = 16  # trials, of which a binomial draw waits for each success
# The inverse error function where w = -log(1 - x^2) < 5 (Giles 2010, "Approximating the erfinv function"): powers of w - 2.5
ERFINV = (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
          0.246640727, 1.50140941)


def _key(seed: Any) -> Any:
    return convert_to_tensor(seed if is_tensor(seed) else draw_seed(seed), "uint32")


def _float(dtype: Any) -> str:
    return dtype_name(dtype or floatx())


def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    return _scaled(lrandom.normal(_key(seed), tuple(shape), _float(dtype)), stddev, mean)


def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    low, high = (v if isinstance(v, int | float) else convert_to_tensor(v, _float(dtype)) for v in (minval, maxval))
    return _scaled(lrandom.uniform(_key(seed), tuple(shape), _float(dtype)), high - low, low)


def _scaled(x: Any, factor: Any, offset: Any) -> Any:
    """x * factor + offset, in x's dtype."""
    x = x if _is(factor, 1) else x * (factor if isinstance(factor, int | float) else convert_to_tensor(factor, x.dtype))
    return x if _is(offset, 0) else x + (offset if isinstance(offset, int | float) else convert_to_tensor(offset, x.dtype))


def _is(value: Any, number: int) -> bool:
    return isinstance(value, int | float) and value == number


def truncated_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Normal within two standard deviations, by inversion."""
    centered = lrandom.uniform(_key(seed), tuple(shape), _float(dtype)) * (2 * WITHIN_TWO) - WITHIN_TWO
    return _scaled(lnp.clip(_erfinv(centered) * 2**0.5, -2.0, 2.0), stddev, mean)


def _erfinv(x: Any) -> Any:
    """For |x| < 0.99."""
    w = -lnp.log((1 - x) * (1 + x)) - 2.5
    value = ERFINV[0]
    for coefficient in ERFINV[1:]:
        value = value * w + coefficient
    return value * x


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """[n, num_samples] classes drawn by [n, classes] logits: the greatest of them beside Gumbel noise."""
    logits = as_float(logits)
    rows, classes = logits.shape
    noise = -lnp.log(-lnp.log(lrandom.uniform(_key(seed), (rows, int(num_samples), classes), logits.dtype)))
    return convert_to_tensor(lnp.argmax(lnp.expand_dims(logits, 1) + noise, -1), dtype)


def randint(shape: Any, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> Any:
    if isinstance(minval, int) and isinstance(maxval, int):
        return convert_to_tensor(lrandom.randint(_key(seed), tuple(shape), minval, maxval), dtype)
    low, high = convert_to_tensor(minval, "int32"), convert_to_tensor(maxval, "int32")
    within = lnp.remainder(lrandom.bits(_key(seed), tuple(shape)), lnp.astype(high - low, "uint32"))
    return convert_to_tensor(lnp.astype(within, "int32") + low, dtype)


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """Zeros at random, the rest scaled up; None in ``noise_shape``: the extent of the inputs there."""
    x = as_float(inputs)
    if rate == 0:
        return x
    if rate == 1:
        return lnp.zeros_like(x)
    shape = x.shape if noise_shape is None else tuple(n if d is None else d for n, d in zip(x.shape, noise_shape))
    kept = lrandom.bernoulli(_key(seed), 1.0 - rate, shape)
    return lnp.where(kept, x / (1.0 - rate), 0.0)


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
    """The slices along ``axis`` in random order."""
    x = convert_to_tensor(x)
    return lnp.take(x, _order(lrandom.bits(_key(seed), (x.shape[axis],))), axis=axis)


def _order(keys: Any) -> Any:
    if isinstance(keys, Tracer):
        raise MissingOpError("keras.random.shuffle of a traced value: leptonc has no sort yet")
    return np.argsort(keys, kind="stable").astype(np.int32)


def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Any:
    above, boost = _gamma_above_one(_key(seed), tuple(shape), convert_to_tensor(alpha, _float(dtype)))
    return above * lnp.exp(boost)


def _gamma_above_one(key: Any, shape: tuple[int, ...], alpha: Any) -> tuple[Any, Any]:
    """Draws for alpha + 1, and the logarithms of what makes them draws for alpha (Marsaglia and Tsang 2000)."""
    d = lnp.broadcast_to(alpha + 1 - 1 / 3, shape)
    c = 1 / lnp.sqrt(9 * d)
    key, other = _split(key)

    def draw(key: Any, found: Any, open: Any) -> tuple[Any, Any, Any]:
        following, first, second = _split(key, 3)
        x = lrandom.normal(first, shape, d.dtype)
        v = (1 + c * x) ** 3
        u = lrandom.uniform(second, shape, d.dtype)
        taken = (v > 0) & (lnp.log(u) < 0.5 * x * x + d * (1 - v + lnp.log(lnp.where(v > 0, v, 1.0))))
        return following, lnp.where(open & taken, d * v, found), open & ~taken

    _, above, _ = while_loop(lambda key, found, open: lnp.any(open), draw, (key, lnp.zeros_like(d), lnp.ones(shape, "bool")))
    return above, lnp.log1p(-lrandom.uniform(other, shape, d.dtype)) / alpha


def _split(key: Any, num: int = 2) -> tuple[Any, ...]:
    keys = lrandom.split(key, num)
    return tuple(keys[n] for n in range(num))


def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Any:
    kind = _float(dtype)
    return _beta(_key(seed), tuple(shape), convert_to_tensor(alpha, kind), convert_to_tensor(beta, kind))


def _beta(key: Any, shape: tuple[int, ...], alpha: Any, beta: Any) -> Any:
    """a / (a + b) of two gamma draws, by their logarithms, which do not vanish for small parameters."""
    (a, more), (b, much) = (_gamma_above_one(k, shape, v) for k, v in zip(_split(key), (alpha, beta)))
    return nn.sigmoid(lnp.log(a) + more - lnp.log(b) - much)


def binomial(shape: Any, counts: Any, probabilities: Any, dtype: Any = None, seed: Any = None) -> Any:
    """Successes among ``counts`` trials, exactly (Devroye 1986, chapter X, 4.3 and 4.4)."""
    n, p = (lnp.broadcast_to(convert_to_tensor(v, "float64"), tuple(shape)) for v in (counts, probabilities))
    first, second = _split(_key(seed))
    found, n, p = _halved(first, n, p)
    return convert_to_tensor(found + _by_waiting(second, n, p), _float(dtype))


def _halved(key: Any, n: Any, p: Any) -> tuple[Any, Any, Any]:
    """Successes that are settled, and the trials that are not, FEW or less, with their probabilities.

    Trials are uniform numbers; the middle one by size is a beta draw, and shows what half of them, below it or above it, are.
    """
    def halve(key: Any, found: Any, n: Any, p: Any) -> tuple[Any, Any, Any, Any]:
        following, own = _split(key)
        many, middle = n > FEW, lnp.floor((n + 1) / 2)
        x = _beta(own, n.shape, middle, n + 1 - middle)
        below = x <= p
        fewer = lnp.where(below, n - middle, middle - 1)
        share = lnp.where(below, (p - x) / (1 - x), p / x)
        return (following, lnp.where(many & below, found + middle, found), lnp.where(many, fewer, n),
                lnp.where(many, lnp.clip(share, 0.0, 1.0), p))

    return while_loop(lambda key, found, n, p: lnp.any(n > FEW), halve, (key, lnp.zeros_like(n), n, p))[1:]


def _by_waiting(key: Any, n: Any, p: Any) -> Any:
    """By the waiting times between those of the rarer outcome."""
    rarer = lnp.log1p(-lnp.minimum(p, 1 - p))

    def wait(key: Any, trial: Any, found: Any) -> tuple[Any, Any, Any]:
        following, own = _split(key)
        trial = trial + lnp.floor(lnp.log1p(-lrandom.uniform(own, n.shape, n.dtype)) / rarer) + 1
        return following, trial, found + lnp.astype(trial <= n, n.dtype)

    none = lnp.zeros_like(n)
    found = while_loop(lambda key, trial, found: lnp.any(trial <= n), wait, (key, none, none))[2]
    return lnp.where(p > 0.5, n - found, found)
