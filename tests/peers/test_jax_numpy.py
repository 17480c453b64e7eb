"""Names of jax.numpy that are seldom used, against JAX's: polynomials, bits, bins, brackets, universal functions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.usefixtures("double_precision")
RNG = np.random.default_rng(4)
X, Y, W = RNG.standard_normal((3, 20))
C = RNG.integers(-2, 3, (3, 8)) + 1j * RNG.integers(-2, 3, (3, 8))
BITS = RNG.integers(0, 2, (3, 19)).astype("u1")
BYTES = RNG.integers(0, 256, (3, 4)).astype("u1")
KNOWN = {  # of values that are known
    "roots": lambda m: np.sort(np.asarray(m.np.roots(np.array([1.0, -3, 2, 0.5])))),
    "roots zeros": lambda m: np.sort(np.asarray(m.np.roots(np.array([0.0, 1, 1, 0])))), "mgrid": lambda m: m.np.mgrid[0:3, 1:2:5j],
    "ogrid": lambda m: m.np.ogrid[0:3, 1:2:5j], "r_": lambda m: m.np.r_[1:4, 0, X, 0:1:3j],
    "r_ text": lambda m: m.np.r_["0,2", X, Y],
    "mask_indices": lambda m: m.np.mask_indices(4, m.np.triu, 1), "poly matrix": lambda m: m.np.poly(np.array([[1.0, 2], [3, 4]])),
    "frombuffer": lambda m: m.np.frombuffer(b"abcdefgh", "uint8", 3, 1), "einsum_path": lambda m: m.np.zeros(2),
    "fromstring": lambda m: m.np.fromstring("1, 2,3", sep=","),
    "trim": lambda m: m.np.polydiv(np.array([1.0, 0, -1]), np.array([1.0, 1]), trim_leading_zeros=True),
}
TRACED = {
    "poly": (lambda m, x: m.np.poly(x[:5]), X), "polydiv": (lambda m, x: m.np.polydiv(x[:7], x[10:13]), X),
    "polydiv short": (lambda m, x: m.np.polydiv(x[:2], x[10:13]), X), "polyfit": (lambda m, x: m.np.polyfit(x, Y, 3), X),
    "polyfit weights": (lambda m, x: m.np.polyfit(x, np.stack([Y, W], 1), 2, w=abs(W)), X),
    "polyfit full": (lambda m, x: m.np.polyfit(x, Y, 2, full=True)[:2], X), "c_": (lambda m, x: m.np.c_[x, Y, 1:21], X),
    "polyfit cov": (lambda m, x: m.np.polyfit(x, Y, 2, cov=True), X), "r_": (lambda m, x: m.np.r_[1:4, 0.0, x], X),
    "polyfit unscaled": (lambda m, x: m.np.polyfit(x, Y, 2, cov="unscaled"), X),
    "sort_complex": (lambda m, x: m.np.sort_complex(x), C), "sort_complex real": (lambda m, x: m.np.sort_complex(x), X),
    "put": (lambda m, x: m.np.put(x, np.array([3, -1, 99]), np.array([1.0, 2]), inplace=False), X),
    "put wrap": (lambda m, x: m.np.put(x, np.array([3, -1, 99]), 7.0, mode="wrap", inplace=False), X),
    "place": (lambda m, x: m.np.place(x, x > 0, np.array([1.0, 2, 3]), inplace=False), X),
    "packbits": (lambda m, x: m.np.packbits(x), BITS), "packbits axis": (lambda m, x: m.np.packbits(x, -1, "little"), BITS),
    "packbits 0": (lambda m, x: m.np.packbits(x, 0), BITS), "unpackbits": (lambda m, x: m.np.unpackbits(x), BYTES),
    "unpackbits axis": (lambda m, x: m.np.unpackbits(x, 1, 30, "little"), BYTES),
    "unpackbits less": (lambda m, x: m.np.unpackbits(x, 1, -3), BYTES),
    "unpackbits more": (lambda m, x: m.np.unpackbits(x, 0, 40), BYTES),
    "histogram2d": (lambda m, x: m.np.histogram2d(x, Y, bins=4, weights=abs(W)), X),
    "histogram2d ends": (lambda m, x: m.np.histogram2d(
        x, Y, bins=[3, np.array([-1.0, 0, 2])], range=[[-2, 2], None], density=True), X),
    "histogramdd": (lambda m, x: m.np.histogramdd(m.np.stack([x, Y, W], 1), bins=[2, 3, 2], weights=abs(Y))[0], X),
    "ufunc": (lambda m, x: m.np.frompyfunc(lambda a, b: a * b + 1, 2, 1)(x, Y), X),
    "reduce": (lambda m, x: m.np.frompyfunc(lambda a, b: a * b + 1, 2, 1).reduce(x.reshape(4, 5), 1), X),
    "reduce keep": (lambda m, x: m.np.frompyfunc(m.np.add, 2, 1, identity=0).reduce(x.reshape(4, 5), None, keepdims=True), X),
    "accumulate": (lambda m, x: m.np.frompyfunc(lambda a, b: a * b + 1, 2, 1).accumulate(x.reshape(4, 5), 1), X),
    "outer": (lambda m, x: m.np.frompyfunc(lambda a, b: a - b, 2, 1).outer(x[:3], Y[:2]), X),
    "at": (lambda m, x: m.np.frompyfunc(lambda a, b: a * b, 2, 1).at(x, np.array([1, 4]), 3.0, inplace=False), X),
}
OURS, THEIRS = SimpleNamespace(np=lnp), SimpleNamespace(np=jax.numpy)


def same(found, wanted):
    found, wanted = leptonc.tree.leaves(found), jax.tree_util.tree_leaves(wanted)
    assert len(found) == len(wanted)
    for got, want in zip(found, wanted):
        assert np.shape(got) == np.shape(want) and np.asarray(got).dtype == np.asarray(want).dtype
        np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", KNOWN)
def test_of_known_values(name):
    same(KNOWN[name](OURS), KNOWN[name](THEIRS))


@pytest.mark.parametrize("name", TRACED)
def test_of_traced_values(name):
    program, x = TRACED[name]
    wanted = program(THEIRS, jax.numpy.asarray(x))
    same(program(OURS, x), wanted)
    same(leptonc.jit(lambda v: program(OURS, v))(x), wanted)
