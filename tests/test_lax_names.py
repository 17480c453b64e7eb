"""lax's names for what NumPy has under others, and what NumPy has not."""

from __future__ import annotations

from math import gamma, lgamma

import numpy as np
import pytest

import leptonc
from leptonc import lax

RNG = np.random.default_rng(3)
X, I = RNG.standard_normal(9).astype("f4"), RNG.integers(-99, 99, 9).astype("i4")


@pytest.mark.parametrize("run", [lambda f: f, leptonc.jit], ids=["eager", "compiled"])
def test_names(run):
    def same(got, want):
        assert np.asarray(got).dtype == np.asarray(want).dtype
        np.testing.assert_allclose(got, want, rtol=2e-6)

    same(run(lax.max)(X, X[::-1]), np.maximum(X, X[::-1]))
    same(run(lax.div)(I, np.where(I % 7 == 0, 1, I % 7 - 9).astype("i4")), (I / np.where(I % 7 == 0, 1, I % 7 - 9)).astype("i4"))
    same(run(lax.rem)(I, np.full(9, 7, "i4")), np.fmod(I, np.full(9, 7, "i4")))
    same(run(lax.shift_right_logical)(I, np.full(9, 3, "i4")), (I.view("u4") >> 3).view("i4"))
    same(run(lambda x: lax.integer_pow(x, 5))(X), X**5)
    same(run(lambda x: lax.bitcast_convert_type(x, "uint32"))(X), X.view("u4"))
    same(run(lambda x: lax.bitcast_convert_type(x, "float32"))(X.view("u4")), X)
    same(run(lax.population_count)(I), np.array([bin(n & 0xFFFFFFFF).count("1") for n in I.tolist()], "i4"))
    same(run(lax.clz)(I), np.array([32 - (n & 0xFFFFFFFF).bit_length() for n in I.tolist()], "i4"))
    same(run(lax.select_n)(I % 3, X, -X, 2 * X), np.choose(I % 3, [X, -X, 2 * X]))
    same(run(lambda x: lax.broadcast(x, (2, 3)))(X), np.broadcast_to(X, (2, 3, 9)))
    same(run(lambda x: lax.split(x, (2, 3, 4))[1])(X), X[2:5])
    same(run(lax.lgamma)(X), np.array([lgamma(x) for x in X.tolist()], "f4"))
    same(run(lambda x: lax.exp(lax.lgamma(x)))(np.abs(X) + 1), np.array([gamma(x) for x in (np.abs(X) + 1).tolist()], "f4"))
    same(run(lambda q: lax.zeta(2, q))(np.ones(1)), np.array([np.pi**2 / 6]))


@pytest.mark.parametrize("given, wanted", [("float32", "uint8"), ("float64", "float32"), ("int64", "int16"), ("uint16", "int8")])
@pytest.mark.parametrize("run", [leptonc.jit, lambda f: f])
def test_bits_as_parts_and_back(given, wanted, run):
    x = np.frombuffer(np.random.default_rng(0).bytes(96), np.uint8).astype(given).reshape(8, 12) - np.dtype(given).type(100)
    parts = run(lambda x: lax.bitcast_convert_type(x, wanted))(x)
    np.testing.assert_array_equal(parts, x.view(wanted).reshape(parts.shape))
    assert np.shape(parts) == (8, 12, x.itemsize // np.dtype(wanted).itemsize)
    np.testing.assert_array_equal(run(lambda x: lax.bitcast_convert_type(x, given))(parts), x)


def test_what_has_other_bits_is_an_error():
    for wrong in (lambda: lax.bitcast_convert_type(X, "float64"), lambda: lax.bitcast_convert_type(X * 1j, "uint64"),
                  lambda: lax.split(X, (2, 3)), lambda: lax.zeta(1, X * 1j),
                  lambda: lax.select_n(X, X, X), lambda: lax.shift_right_logical(X, X)):
        with pytest.raises(leptonc.LeptonError):
            wrong()
