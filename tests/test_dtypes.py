"""Every dtype beside every other: promotion, arithmetic, casts and reductions are NumPy's, compiled and eager."""

from __future__ import annotations

import copy
import itertools
import pickle

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
from leptonc.ir.types import DTYPES

INTS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
PAIRS = ("add subtract multiply floor_divide remainder maximum minimum divide less less_equal equal not_equal greater "
         "greater_equal").split()
BITS = ("bitwise_and", "bitwise_or", "left_shift", "right_shift")


def ends(dtype: str, rng: np.random.Generator) -> np.ndarray:
    """The ends of an integer type, small numbers, and its middle, in any order."""
    info = np.iinfo(dtype)
    numbers = [info.min, info.min + 1, 0, 1, 2, 3, 7, info.max // 2, info.max // 3, info.max - 1, info.max]
    return rng.permutation(np.array(numbers * 3, dtype))


def both(function, *args):
    """What ``function`` gives compiled, and eager."""
    return [leptonc.jit(function)(*args), function(*args)]


@pytest.mark.parametrize("first", INTS)
def test_pairs_of_ints_are_numpys(first):
    rng = np.random.default_rng(1)
    for second in INTS:
        a, b = ends(first, rng), ends(second, rng)
        names = PAIRS if np.result_type(a, b).kind == "f" else (*PAIRS, *BITS)
        with np.errstate(all="ignore"):
            wanted = [getattr(np, name)(a, b) for name in names]
        for found in both(lambda a, b, names=names: [getattr(lnp, name)(a, b) for name in names], a, b):
            for name, x, w in zip(names, found, wanted, strict=True):
                assert x.dtype == w.dtype, (name, first, second)
                np.testing.assert_array_equal(x, w, err_msg=f"{name} {first} {second}")


@pytest.mark.parametrize("dtype", INTS)
def test_ints_beside_python_ints_they_cannot_hold(dtype):
    x = ends(dtype, np.random.default_rng(2))
    for name, number in itertools.product(PAIRS[-6:], (2**64, 2**63, -1, -(10**30))):
        compare, numpys = getattr(lnp, name), getattr(np, name)
        for found in both(lambda x, f=compare, n=number: (f(x, n), f(n, x)), x):
            np.testing.assert_array_equal(found, [numpys(x, number), numpys(number, x)])


@pytest.mark.parametrize("dtype", INTS)
def test_casts_of_ints(dtype):
    info = np.iinfo(dtype)
    floats = np.array([0.5, -0.5, 1e30, -1e30, np.nan, np.inf, -np.inf, 127.9, -129, 255.5, 2.0**31, -(2.0**63), 2.0**63, 2.0**64])
    wanted = np.array([0 if np.isnan(f) else int(min(max(f, info.min), info.max)) for f in floats.tolist()], dtype)
    for kind in ("float32", "float64"):
        for found in both(lambda x: lnp.astype(x, dtype), floats.astype(kind)):
            np.testing.assert_array_equal(found, wanted)
        x = ends(dtype, np.random.default_rng(3))
        for found in both(lambda x, kind=kind: lnp.astype(x, kind), x):
            np.testing.assert_array_equal(found, x.astype(kind))


@pytest.mark.parametrize("dtype", INTS)
def test_reductions_and_products_of_ints(dtype):
    rng = np.random.default_rng(4)
    info = np.iinfo(dtype)
    a = rng.integers(info.min // 4, info.max // 4, (19, 70)).astype(dtype)
    b = rng.permutation(a.ravel()).reshape(70, 19)

    def f(m, a, b):
        return [m.sum(a, 0), m.sum(a), m.sum(a, dtype=dtype), m.prod(a, 1), m.cumsum(a, 1), m.max(a, 1), m.min(a), m.argmin(a, 0),
                m.matmul(a, b), a[::2, ::-3], m.mean(a, 0), m.where(a > 3, a, b.T)]

    for found in both(lambda a, b: f(lnp, a, b), a, b):
        for x, w in zip(found, f(np, a, b), strict=True):
            assert x.dtype == w.dtype
            np.testing.assert_allclose(x, w, rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_there_is_one_object_of_each_element_type(dtype):
    assert pickle.loads(pickle.dumps(dtype)) is dtype
    assert copy.deepcopy(dtype) is dtype
