"""``preferred_element_type`` of products and convolutions: values, dtypes, gradients, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, lax, nn
from leptonc import numpy as lnp
from leptonc.errors import DtypeError

F, H = np.float32, np.float16
DIMS = (((1,), (0,)), ((), ()))
PRODUCTS = {
    "dot_general": lambda a, b, **p: lax.dot_general(a, b, DIMS, **p),
    "matmul": lnp.matmul, "dot": lnp.dot, "tensordot": lambda a, b, **p: lnp.tensordot(a, b, 1, **p),
    "einsum": lambda a, b, **p: lnp.einsum("ij,jk->ik", a, b, **p),
}


@pytest.mark.parametrize("run", [lambda f: f, leptonc.jit], ids=["eager", "compiled"])
@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("given, wanted", [("float16", "float32"), ("float32", "float64"), ("int8", "int32"), ("uint8", "uint32"),
                                           ("uint8", "int32"), ("int16", "int64"), ("int8", "float32"), ("float32", "float32")])
def test_products(given, wanted, name, run, rng):
    a, b = ((rng.standard_normal(s) * 40).astype(given) for s in ((33, 50), (50, 21)))
    got = run(lambda a, b: PRODUCTS[name](a, b, preferred_element_type=wanted))(a, b)
    assert got.dtype == np.dtype(wanted)
    exact = a.astype("f8") @ b.astype("f8")
    scale = np.abs(a.astype("f8")) @ np.abs(b.astype("f8"))
    allowed = 0 if got.dtype.kind in "iu" else scale * 52 * np.finfo(wanted).eps / 2
    assert np.all(np.abs(got - exact) <= allowed)


def test_the_products_read_narrow_numbers(rng):
    """i8 by i8 to i32, in one kernel."""
    a, b = ((rng.standard_normal(s) * 40).astype("i1") for s in ((33, 50), (50, 21)))
    graph = leptonc.make_graph(lambda a, b: lnp.matmul(a, b, preferred_element_type="int32"))(a, b)
    (call,) = driver.lower(driver.optimize(graph)).calls
    assert [p.type.dtype.name for p in call.kernel.params] == ["i8", "i8", "i32"]


def test_results_of_16_bits_lose_what_preferred_ones_keep():
    """A sum of 2,049 ones, which f16 has no number for."""
    ones = np.ones((1, 2049), H)
    wide = lax.dot_general(ones, ones.T, DIMS, preferred_element_type=F)
    assert float(wide[0, 0]) == 2049
    assert float(lax.dot_general(ones, ones.T, DIMS)[0, 0]) == 2048


@pytest.mark.parametrize("run", [lambda f: f, leptonc.jit], ids=["eager", "compiled"])
def test_convolutions(run, rng):
    x, w = rng.standard_normal((2, 4, 9, 9)).astype(H), rng.standard_normal((8, 4, 3, 3)).astype(H)
    got = run(lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME", preferred_element_type=F))(x, w)
    wanted = lax.conv_general_dilated(x.astype(F), w.astype(F), (1, 1), "SAME")
    assert got.dtype == F
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_gradients_are_of_the_operands_dtypes(rng):
    a, b = rng.standard_normal((5, 7)).astype(H), rng.standard_normal((7, 3)).astype(H)
    loss = leptonc.grad(lambda a, b: lnp.sum(lnp.matmul(a, b, preferred_element_type=F) ** 2), (0, 1))
    c = a.astype(F) @ b.astype(F)
    for run in (loss, leptonc.jit(loss)):
        for got, wanted in zip(run(a, b), (2 * c @ b.astype(F).T, 2 * a.astype(F).T @ c)):
            assert got.dtype == H
            np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=1e-3)


@pytest.mark.parametrize("given, wanted", [("float32", "float16"), ("float32", "int32"), ("int32", "int8"), ("int8", "uint32"),
                                           ("int32", "float16")])
def test_what_is_refused(given, wanted):
    a = np.ones((2, 2), given)
    with pytest.raises(DtypeError, match="preferred_element_type"):
        lnp.matmul(a, a, preferred_element_type=wanted)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("norm", [
    lambda x: nn.layer_norm(x), lambda x: nn.rms_norm(x), lambda x: nn.group_norm(x, 2),
    lambda x: nn.batch_norm(x, np.zeros(8, F), np.ones(8, F), training=True)[0],
    lambda x: nn.batch_norm(x, np.zeros(8, F), np.ones(8, F), training=False)[0],
], ids=["layer", "rms", "group", "batch", "inference"])
def test_normalization_of_16_bits_rounds_once(norm, dtype, rng):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    x = (rng.standard_normal((64, 8)) + 30).astype(lnp.zeros(1, dtype).dtype)
    wanted = norm(x.astype(F))
    for got in (norm(x), leptonc.jit(norm)(x)):
        assert got.dtype == x.dtype
        unit = 2.0**-10 if dtype == "float16" else 2.0**-7
        np.testing.assert_allclose(got.astype(F), wanted, rtol=unit, atol=2e-5)
