"""Random numbers: the state of a SeedGenerator is a key of leptonc."""

from __future__ import annotations

from typing import Any

from keras.src.backend.config import floatx
from keras.src.random.seed_generator import SeedGenerator, draw_seed, make_default_seed

from leptonc import numpy as lnp
from leptonc import random as lrandom
from leptonc.keras.src.ops.control import while_loop
from leptonc.keras.src.ops.tensors import as_float, convert_to_tensor, dtype_name, is_tensor

__all__ = ["SeedGenerator", "beta", "binomial", "categorical", "draw_seed", "dropout", "gamma", "make_default_seed", "normal",
           "randint", "shuffle", "truncated_normal", "uniform"]

FEW = 16  # trials, of which a binomial draw waits for each success


def _key(seed: Any) -> Any:
    return convert_to_tensor(seed if is_tensor(seed) else draw_seed(seed), "uint32")


def _float(dtype: Any) -> str:
    return dtype_name(dtype or floatx())


def normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    return _scaled(lrandom.normal(_key(seed), tuple(shape), _float(dtype)), stddev, mean)


def uniform(shape: Any, minval: Any = 0.0, maxval: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    low, high = (v if isinstance(v, int | float) else convert_to_tensor(v, _float(dtype)) for v in (minval, maxval))
    return lrandom.uniform(_key(seed), tuple(shape), _float(dtype), low, high)


def _scaled(x: Any, factor: Any, offset: Any) -> Any:
    """x * factor + offset, in x's dtype."""
    factor, offset = (v if isinstance(v, int | float) else convert_to_tensor(v, x.dtype) for v in (factor, offset))
    x = x if _is(factor, 1) else lnp.multiply(x, factor)
    return x if _is(offset, 0) else lnp.add(x, offset)


def _is(value: Any, number: int) -> bool:
    return isinstance(value, int | float) and value == number


def truncated_normal(shape: Any, mean: Any = 0.0, stddev: Any = 1.0, dtype: Any = None, seed: Any = None) -> Any:
    """Normal within two standard deviations."""
    return _scaled(lrandom.truncated_normal(_key(seed), -2.0, 2.0, tuple(shape), _float(dtype)), stddev, mean)


def categorical(logits: Any, num_samples: int, dtype: Any = "int32", seed: Any = None) -> Any:
    """[n, num_samples] classes drawn by [n, classes] logits."""
    logits = as_float(logits)
    drawn = lrandom.categorical(_key(seed), logits, -1, (int(num_samples), logits.shape[0]))
    return convert_to_tensor(lnp.transpose(drawn), dtype)


def randint(shape: Any, minval: Any, maxval: Any, dtype: Any = "int32", seed: Any = None) -> Any:
    low, high = (v if isinstance(v, int) else convert_to_tensor(v, "int64") for v in (minval, maxval))
    return lrandom.randint(_key(seed), tuple(shape), low, high, dtype_name(dtype))


def dropout(inputs: Any, rate: float, noise_shape: Any = None, seed: Any = None) -> Any:
    """Zeros at random, the rest scaled up; None in ``noise_shape``: the extent of the inputs there."""
    x = as_float(inputs)
    if rate == 0:
        return x
    if rate == 1:
        return lnp.zeros_like(x)
    shape = x.shape if noise_shape is None else tuple(n if d is None else d for n, d in zip(x.shape, noise_shape))
    kept = lrandom.bernoulli(_key(seed), 1.0 - rate, shape)
    return lnp.where(kept, lnp.divide(x, 1.0 - rate), 0.0)


def shuffle(x: Any, axis: int = 0, seed: Any = None) -> Any:
    """The slices along ``axis`` in random order."""
    return lrandom.permutation(_key(seed), convert_to_tensor(x), axis)


def gamma(shape: Any, alpha: Any, dtype: Any = None, seed: Any = None) -> Any:
    return lrandom.gamma(_key(seed), convert_to_tensor(alpha, _float(dtype)), tuple(shape), _float(dtype))


def beta(shape: Any, alpha: Any, beta: Any, dtype: Any = None, seed: Any = None) -> Any:
    kind = _float(dtype)
    return lrandom.beta(_key(seed), convert_to_tensor(alpha, kind), convert_to_tensor(beta, kind), tuple(shape), kind)


def _split(key: Any, num: int = 2) -> tuple[Any, ...]:
    keys = lrandom.split(key, num)
    return tuple(keys[n] for n in range(num))


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
        x = lrandom.beta(own, middle, n + 1 - middle, n.shape, n.dtype)
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
