"""Options of lax's products, convolutions and padding, and lax.reduce_precision, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, LeptonError
from tests.compare import both

F = np.float32


@pytest.mark.parametrize("dtypes, preferred", [
    (("i1", "i1"), "i4"), (("u1", "i1"), "i4"), (("f2", "f2"), "f4"), (("i1", "f2"), "f4"), (("f4", "f4"), "f8"),
    (("f4", "f4"), "f4"),
])
def test_sums_in_the_preferred_type(rng, dtypes, preferred):
    x, y = (rng.integers(0, 100, shape).astype(d) for shape, d in zip(((3, 40), (40, 2)), dtypes))
    image, w = x.reshape(1, 3, 40), np.ascontiguousarray(y.T).reshape(2, 1, 40)
    product, sums = both(lambda x, y, image, w: (
        lax.dot_general(x, y, (((1,), (0,)), ((), ())), preferred_element_type=preferred),
        lax.conv_general_dilated(image.transpose(1, 0, 2), w, (1,), "VALID", preferred_element_type=preferred)), x, y, image, w)
    assert product.dtype == sums.dtype == np.dtype(preferred)
    np.testing.assert_array_equal(product, x.astype("f8") @ y.astype("f8"))  # whole numbers: exact in f32, and beyond i1, f2
    np.testing.assert_array_equal(sums[:, :, 0], product)


def test_products_of_bools(rng):
    x, y = rng.random((3, 300)) < 0.1, rng.random((300, 4)) < 0.1
    x[0], y[:, 0] = True, True  # 300 products: more than a byte counts
    x[1] = False
    (got,) = both(lambda x, y: lax.dot_general(x, y, (((1,), (0,)), ((), ()))), x, y)
    assert got.dtype == bool
    np.testing.assert_array_equal(got, x @ y)


def test_parts_of_the_batch_have_features_of_their_own(rng):
    x, w = rng.standard_normal((6, 4, 9, 8)).astype(F), rng.standard_normal((10, 4, 3, 3)).astype(F)
    (got,) = both(lambda x, w: lax.conv_general_dilated(x, w, (2, 1), "SAME", batch_group_count=2), x, w)
    parts = [lax.conv_general_dilated(x[3 * g:3 * g + 3], w[5 * g:5 * g + 5], (2, 1), "SAME") for g in range(2)]
    np.testing.assert_allclose(got, np.concatenate(parts, 1), rtol=1e-4, atol=1e-5)
    for options in ({"batch_group_count": 4}, {"batch_group_count": 2, "feature_group_count": 2}, {"batch_group_count": 0}):
        with pytest.raises(LeptonError, match="batch_group_count"):
            lax.conv_general_dilated(x, w, (1, 1), "SAME", **options)


@pytest.mark.parametrize("dtype", ["f4", "i2", "?"])
def test_padding_with_a_traced_number(rng, dtype):
    x, value = rng.integers(0, 2, (3, 4)).astype(dtype), np.ones((), dtype)
    config = ((1, 0, 2), (-1, 2, 0))
    (got,) = both(lambda x, v: lax.pad(x, v, config), x, value)
    np.testing.assert_array_equal(got, lax.pad(x, 1, config))
    (padded,) = both(lambda x, v: leptonc.numpy.pad(x, ((1, 2), (0, 3)), constant_values=v), x, value)
    np.testing.assert_array_equal(padded, np.pad(x, ((1, 2), (0, 3)), constant_values=1))
    with pytest.raises(LeptonError, match="one number"):
        leptonc.jit(lambda x, v: lax.pad(x, v, config))(x, np.ones(2, dtype))


def reduced(x, exponent, mantissa):
    """By arithmetic, in f64."""
    most = 2 ** (exponent - 1) - 1
    step = np.ldexp(1.0, np.frexp(x)[1] - 1 - mantissa)
    y = np.where(np.isfinite(x), np.rint(x / step) * step, x)
    y = np.where(np.abs(y) >= 2.0 ** (most + 1), np.copysign(np.inf, x), y)
    return np.where(np.isnan(x), x, np.where(np.abs(y) < 2.0 ** (1 - most), np.copysign(0, x), y))


@pytest.mark.parametrize("exponent, mantissa", [(5, 10), (8, 7), (5, 2), (4, 3), (3, 0)])
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
def test_reduced_precision(rng, dtype, exponent, mantissa):
    x = np.concatenate([rng.standard_normal(200) * 2.0 ** rng.integers(-40, 40, 200), rng.integers(-70000, 70000, 200) + 0.5,
                        [0.0, -0.0, np.inf, -np.inf, np.nan, 1 + 2.0**-11, 1 + 3 * 2.0**-11, 65519, 65520]])
    with np.errstate(all="ignore"):
        x = x.astype(dtype)
        (got,) = both(lambda x: lax.reduce_precision(x, exponent, mantissa), x, rtol=0, atol=0)
        wanted = reduced(x.astype("f8"), exponent, mantissa).astype(dtype)
    normal = (x == 0) | (np.abs(x.astype("f8")) >= np.finfo(dtype).tiny) | np.isnan(x)
    np.testing.assert_array_equal(got[normal], wanted[normal])
    np.testing.assert_array_equal(np.signbit(got), np.signbit(x))


def test_tangents_of_reduced_numbers_are_not_reduced():
    x, t = np.array([1.0, 3.3]), np.array([1 + 2.0**-9, 0.1])
    y, dy = leptonc.jit(lambda x, t: leptonc.jvp(lambda x: lax.reduce_precision(x, 8, 7), (x,), (t,)))(x, t)
    np.testing.assert_array_equal(np.stack([y, dy]), np.stack([reduced(x, 8, 7), t]))
    assert leptonc.grad(lambda x: lax.reduce_precision(x, 8, 7))(1.0) == 1
    for arguments in ((1, 8, 7), (x, 0, 7), (x, 8, -1)):
        with pytest.raises(LeptonError, match="reduce_precision"):
            lax.reduce_precision(*arguments)


def test_products_of_numpy_take_jaxs_options():
    """A precision that changes nothing, and a dtype to add up in."""
    x, y = np.ones((3, 3), np.float16) * 300, np.ones(3, np.float16) * 300
    calls = {"matmul": (x, x), "dot": (x, y), "inner": (x, y), "vdot": (x, x), "vecdot": (x, y), "tensordot": (x, x),
             "convolve": (y, y), "correlate": (y, y), "einsum": ("ij,j->i", x, y)}
    for name, args in calls.items():
        f = getattr(lnp, name)
        got = f(*args, precision="highest", preferred_element_type=np.float32)
        wide = f(*(v if isinstance(v, str) else v.astype(np.float32) for v in args), precision=lax.Precision.HIGH)
        assert got.dtype == np.float32
        np.testing.assert_array_equal(got, wide)
        with pytest.raises(ArgumentError, match=f"{name}: precision='best' must be"):
            f(*args, precision="best")
    np.testing.assert_array_equal(lnp.linalg.multi_dot([x / 300] * 2, precision="high"), x / 100)
