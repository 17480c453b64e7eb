"""Random numbers against JAX's, where it is installed: bits of ints, bools, uniform and normal floats, the rest but for rounding.

JAX's logarithms round otherwise, so what is made by them is compared in units of the last place of 1 or of the
number, whichever is greater: near 0 a logarithm of a logarithm has few digits in either.
"""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import random

jax = pytest.importorskip("jax")

SHAPE = (300, 7)
TABLE = np.arange(60, dtype=np.float32).reshape(5, 12)
LOGITS = np.cos(TABLE)
P = np.arange(1, 13, dtype=np.float32) / 78
LOW = np.linspace(-3, 1, 7, dtype=np.float32)
BOUNDS = np.arange(7, dtype=np.int32) - 3, np.array([5, 5, 5, 5, 1, 0, 9], np.int32)
SMALL = ("int8", "uint8", "int16", "uint16")

SAME = {
    "split": lambda r, k: r.split(k, 5),
    "split into a shape": lambda r, k: r.split(k, (2, 3)),
    "fold_in": lambda r, k: r.fold_in(k, 7),
    **{f"bits {d}": lambda r, k, d=d: r.bits(k, SHAPE, d) for d in ("uint8", "uint16", "uint32")},
    **{f"uniform {d}": lambda r, k, d=d: r.uniform(k, SHAPE, d) for d in ("float16", "float32")},
    **{f"normal {d}": lambda r, k, d=d: r.normal(k, SHAPE, d) for d in ("float16", "float32")},
    "uniform of arrays": lambda r, k: r.uniform(k, SHAPE, "float32", LOW, LOW + 2),
    "uniform of bounds that are rounded": lambda r, k: r.uniform(k, SHAPE, "float32", -1.3, 2.4),
    "triangular": lambda r, k: r.triangular(k, 0.0, 1.0, 3.0, SHAPE),
    "uniform of whole bounds": lambda r, k: r.uniform(k, SHAPE, "float32", -2.0, 2.0),
    **{f"randint {d}": lambda r, k, d=d: r.randint(k, SHAPE, 3, 100, d) for d in (*SMALL, "int32", "uint32")},
    **{f"randint all {d}": lambda r, k, d=d: r.randint(k, SHAPE, int(np.iinfo(d).min), int(np.iinfo(d).max) + 1, d) for d in SMALL},
    "randint of arrays": lambda r, k: r.randint(k, SHAPE, *BOUNDS),
    "bernoulli": lambda r, k: r.bernoulli(k, 0.3, SHAPE),
    "bernoulli high": lambda r, k: r.bernoulli(k, 0.3, SHAPE, "high"),
    "bernoulli of arrays": lambda r, k: r.bernoulli(k, np.linspace(0, 1, 7, dtype=np.float32), SHAPE),
    "permutation of an int": lambda r, k: r.permutation(k, 3000),
    "permutation": lambda r, k: r.permutation(k, TABLE),
    "permutation along 1": lambda r, k: r.permutation(k, TABLE, 1),
    "permutation, independent": lambda r, k: r.permutation(k, TABLE, 0, independent=True),
    "categorical": lambda r, k: r.categorical(k, LOGITS, -1, (3, 5)),
    "categorical along 0": lambda r, k: r.categorical(k, LOGITS, 0),
    "categorical without replacement": lambda r, k: r.categorical(k, LOGITS, 0, (2, 12), replace=False),
    "choice": lambda r, k: r.choice(k, 12, (4, 5)),
    "choice without replacement": lambda r, k: r.choice(k, TABLE, (2, 3), False, axis=1),
    "choice by p": lambda r, k: r.choice(k, 12, (40, 5), p=P),
    "choice by p, once": lambda r, k: r.choice(k, 12, (2, 5), False, P),
    "rademacher": lambda r, k: r.rademacher(k, SHAPE),
    "geometric": lambda r, k: r.geometric(k, 0.2, SHAPE),
}
CLOSE = {
    **{n: lambda r, k, n=n: getattr(r, n)(k, SHAPE) for n in ("exponential", "gumbel", "laplace", "logistic", "maxwell")},
    "gumbel high": lambda r, k: r.gumbel(k, SHAPE, mode="high"),
    "cauchy": lambda r, k: r.cauchy(k, SHAPE),
    "rayleigh": lambda r, k: r.rayleigh(k, np.float32(2), SHAPE),
    "pareto": lambda r, k: r.pareto(k, 3.0, SHAPE),
    "weibull_min": lambda r, k: r.weibull_min(k, 2.0, 3.0, SHAPE),
    "lognormal": lambda r, k: r.lognormal(k, 0.5, SHAPE),
    "double_sided_maxwell": lambda r, k: r.double_sided_maxwell(k, 1.0, 2.0, SHAPE),
}


def both(draw, seed):
    key = random.key(seed)
    wanted = np.asarray(draw(jax.random, jax.numpy.asarray(key)))
    return wanted, (draw(random, key), leptonc.jit(lambda k: draw(random, k))(key))


@pytest.mark.parametrize("name", SAME)
def test_same_bits(name):
    wanted, found = both(SAME[name], 42)
    for x in found:
        assert x.shape == wanted.shape
        np.testing.assert_array_equal(x, wanted, err_msg="seed 42")


@pytest.mark.parametrize("name", CLOSE)
def test_same_numbers_but_for_rounding(name):
    wanted, found = both(CLOSE[name], 42)
    for x in found:
        assert x.shape == wanted.shape and x.dtype == wanted.dtype
        units = np.abs(x.astype("f8") - wanted) / np.maximum(np.spacing(np.float32(1)), np.spacing(np.abs(wanted)))
        assert units.max() <= 4, "seed 42"


def test_truncated_normal():
    """Its bounds' error functions round apart by units of the last place of 1, which count for more the rarer a number is."""
    wanted, found = both(lambda r, k: r.truncated_normal(k, -2.0, 1.5, SHAPE), 42)
    for x in found:
        slope = (np.pi / 2) ** 0.5 * np.exp(wanted.astype("f8") ** 2 / 2)
        assert (np.abs(x.astype("f8") - wanted) <= 2 * np.spacing(np.float32(1)) * (slope + np.abs(wanted))).all(), "seed 42"


@pytest.mark.parametrize("dtype", ["float64", "int64", "uint64"])
def test_64_bits(dtype):
    with jax.enable_x64(True):
        if dtype == "float64":
            wanted, found = both(lambda r, k: r.uniform(k, SHAPE, dtype, -1.3, 2.4), 3)
        else:
            wanted, found = both(lambda r, k: r.randint(k, SHAPE, 5, 2**40, dtype), 3)
    for x in found:
        assert x.dtype == wanted.dtype
        np.testing.assert_array_equal(x, wanted, err_msg="seed 3")


def test_normal_of_64_bits():
    """XLA's logarithm of 64 bits is another one."""
    with jax.enable_x64(True):
        wanted, found = both(lambda r, k: r.normal(k, SHAPE, "float64"), 3)
    for x in found:
        np.testing.assert_array_max_ulp(x, wanted, 2)


def test_large_draws():
    """Those made in blocks."""
    key = random.key(9)
    for draw in (lambda r, k: r.bits(k, (300_001,)), lambda r, k: r.normal(k, (300_001,))):
        np.testing.assert_array_equal(draw(random, key), draw(jax.random, jax.numpy.asarray(key)), err_msg="seed 9")


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1])
def test_keys(seed):
    for make in (random.key, random.PRNGKey):
        np.testing.assert_array_equal(make(seed), jax.random.key_data(jax.random.key(seed)), err_msg=str(seed))
