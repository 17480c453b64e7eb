"""Names of NumPy's that are seldom used: files, brackets, bits, bins, polynomials, universal functions."""

from __future__ import annotations

import io

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp

RNG = np.random.default_rng(5)
X, Y = RNG.standard_normal((2, 12))
BITS = RNG.integers(0, 2, (3, 13)).astype("u1")
PROGRAMS = {
    "polyfit": (lambda m, x: m.polyfit(x, Y, 3), X), "poly": (lambda m, x: m.poly(x[:4]), X),
    "packbits": (lambda m, x: m.packbits(x, 1, bitorder="little"), BITS), "sort_complex": (lambda m, x: m.sort_complex(x), X),
    "unpackbits": (lambda m, x: m.unpackbits(x, 0, count=20), BITS), "r_": (lambda m, x: m.r_[0:3, 1.0, x], X),
    "c_": (lambda m, x: m.c_[x, Y], X), "histogram2d": (lambda m, x: m.histogram2d(x, Y, 3, [[-1, 1], [-2, 2]]), X),
    "histogramdd": (lambda m, x: m.histogramdd(m.stack([x, Y], 1), 3)[0], X),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_numpy_gives(name):
    program, x = PROGRAMS[name]
    want = leptonc.tree.leaves(program(np, x))
    for run in (lambda f: f, leptonc.jit):
        for got, leaf in zip(leptonc.tree.leaves(run(lambda v: program(lnp, v))(x)), want, strict=True):
            assert got.dtype == leaf.dtype
            np.testing.assert_allclose(got, leaf, rtol=1e-9, atol=1e-12)


def test_elements_are_replaced_in_a_new_array():
    x = np.arange(6.0).reshape(2, 3)
    put = leptonc.jit(lambda v: lnp.put(v, np.array([0, -1]), 9.0, inplace=False))(x)
    np.testing.assert_array_equal(put, [[9, 1, 2], [3, 4, 9]])
    placed = leptonc.jit(lambda v: lnp.place(v, v > 2, np.array([7.0, 8]), inplace=False))(x)
    np.testing.assert_array_equal(placed, [[0, 1, 2], [7, 8, 7]])
    assert x[0, 0] == 0
    for wrong in (lambda: lnp.put(x, 0, 1), lambda: lnp.place(x, x > 0, 1)):
        with pytest.raises(leptonc.LeptonError, match="inplace=False"):
            wrong()


def test_files_and_texts():
    file = io.BytesIO()
    lnp.save(file, X)
    file.seek(0)
    np.testing.assert_array_equal(lnp.load(file), X)
    file = io.BytesIO()
    lnp.savez(file, X, y=Y)
    file.seek(0)
    np.testing.assert_array_equal(lnp.load(file)["y"], Y)
    assert lnp.fromstring("1 2", sep=" ").tolist() == [1, 2] and lnp.array_repr(np.ones(2)) == "array([1., 1.])"
    assert lnp.frombuffer(b"ab", "u1").tolist() == [97, 98]


def test_what_needs_values_says_so_of_traced_ones():
    for wrong in (lambda x: lnp.save(io.BytesIO(), x), lambda x: lnp.roots(x), lambda x: lnp.array_str(x),
                  lambda x: lnp.polydiv(x, x, trim_leading_zeros=True), lambda x: lnp.poly(x[:9].reshape(3, 3))):
        with pytest.raises(leptonc.TracerError):
            leptonc.jit(wrong)(X)


def test_universal_functions():
    f = lnp.frompyfunc(lambda a, b: 2 * a + b, 2, 1)
    np.testing.assert_allclose(leptonc.jit(f)(X, 1.0), 2 * X + 1)
    np.testing.assert_allclose(f.reduce(np.array([1.0, 2, 3])), 11)
    np.testing.assert_allclose(leptonc.jit(f.accumulate)(np.array([1.0, 2, 3])), [1, 4, 11])
    np.testing.assert_allclose(f.outer(np.array([1.0, 2]), np.array([0.0, 1, 2])), [[2, 3, 4], [4, 5, 6]])
    np.testing.assert_allclose(f.reduceat(np.array([1.0, 2, 3, 4]), [0, 2]), [4, 10])
    np.testing.assert_allclose(f.at(np.array([1.0, 2]), np.array([0]), 5.0, inplace=False), [7, 2])
    order, text = lnp.einsum_path("ij,jk,kl->il", np.ones((9, 2)), np.ones((2, 9)), np.ones((9, 2)))
    assert len(order) == 2 and "Complete contraction" in text


@pytest.mark.parametrize("wrong", [
    lambda: lnp.packbits(X), lambda: lnp.unpackbits(X), lambda: lnp.mgrid[3], lambda: lnp.polyfit(X, X[:3], 2),
    lambda: lnp.histogramdd(X), lambda: lnp.histogram2d(X, X[:2]), lambda: lnp.frompyfunc(3, 1, 1),
    lambda: lnp.fromstring(3, sep=","),
    lambda: lnp.frompyfunc(lambda a: a, 1, 1).reduce(X), lambda: lnp.polydiv(X, X[:0]), lambda: lnp.poly(np.ones((2, 3)))])
def test_wrong_calls(wrong):
    with pytest.raises(leptonc.LeptonError):
        wrong()
