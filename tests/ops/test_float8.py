"""Floats of 8 bits are stored, and computed with as f32: casts are those of ml_dtypes to the bit, promotion is JAX's."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.bfloat16 import EIGHT_BITS, low_float
from leptonc.errors import DtypeError
from leptonc.ir.reader import parse

pytest.importorskip("ml_dtypes")
F = np.float32


def codes(dtype):
    """Every number of a format."""
    return np.arange(1 << 8 * dtype.itemsize).astype(f"u{dtype.itemsize}").view(dtype)


def between(dtype):
    """All numbers, halves between two, and their neighbours in f32; numbers beyond, NaN and random ones."""
    finite = np.sort(codes(dtype).astype(F))
    finite = finite[np.isfinite(finite)].astype(np.float64)
    near = np.concatenate([finite, (finite[1:] + finite[:-1]) / 2, finite[[0, -1]] * 1.05]).astype(F)
    beyond = F([np.inf, -np.inf, np.nan, 465, 480, 61439, 61440, 65536, -1e30, 1e-38, -1e-45])
    drawn = np.random.default_rng(0).integers(0, 1 << 32, 3000, np.uint32).view(F)
    return np.concatenate([near, *(np.nextafter(near, F(end)) for end in (-np.inf, np.inf)), beyond, drawn])


def same(got, wanted):
    """Bits, of NaN any."""
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    bits = f"u{wanted.dtype.itemsize}"
    nan = np.isnan(got.astype(np.float64)) & np.isnan(wanted.astype(np.float64))
    wrong = (got.view(bits) != wanted.view(bits)) & ~nan
    assert not wrong.any(), (got[wrong][:5], wanted[wrong][:5])


@pytest.mark.parametrize("compiled", [True, False])
def test_casts_both_ways(compiled):
    dtypes = [low_float(name) for name in EIGHT_BITS]

    def both(ints, xs, numbers):
        down = [[lnp.astype(v, d) for v in (x, lnp.astype(x, np.float64), ints)] for x, d in zip(xs, dtypes, strict=True)]
        return down, [(lnp.astype(v, F), lnp.astype(v, "i4")) for v in numbers]

    ints, xs, numbers = np.arange(-300, 300), [between(d) for d in dtypes], [codes(d) for d in dtypes]
    with np.errstate(all="ignore"):
        down, up = (leptonc.jit(both) if compiled else both)(ints, xs, numbers)
        for found, x, d in zip(down, xs, dtypes, strict=True):
            for got, given in zip(found, (x, x.astype(np.float64), ints), strict=True):
                same(got, given.astype(d))
    for (wide, whole), given in zip(up, numbers, strict=True):
        same(wide, given.astype(F))
        np.testing.assert_array_equal(whole, np.asarray(lnp.astype(given.astype(F), "i4")))


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2fnuz"])
def test_an_op_is_that_on_f32_rounded(name):
    narrow = low_float(name)

    def f(x, y):
        return x * y, lnp.exp(x) + y, lnp.sum(x), x @ y, lnp.maximum(x, y), lnp.where(x > y, x, 1.5), lnp.sort(x), lnp.mean(x * 2)

    x, y = (np.random.default_rng(n).standard_normal(40).astype(narrow) for n in (1, 2))
    wide = f(x.astype(F), y.astype(F))
    exact = [a.astype(narrow) for a in wide[:1] + wide[2:7]]
    with leptonc.disable_jit():
        eager = leptonc.jit(f)(x, y)
    for got, other in zip(leptonc.jit(f)(x, y), eager, strict=True):
        same(got, other)
    for got, wanted in zip(eager[:1] + eager[2:7], exact, strict=True):
        same(got, wanted)
    graph = leptonc.make_graph(f)(x, y)
    assert str(parse(str(graph))) == str(graph)
    assert leptonc.grad(lambda x: lnp.astype(lnp.sum(x * x), F))(x).dtype == narrow


@pytest.mark.parametrize("name", ["bfloat16", "float8_e4m3fn", "float8_e5m2fnuz"])
def test_bits_are_kept(name):
    """Those of the numbers below the normal ones, and of NaN."""
    dtype = low_float(name)
    x, bits = codes(dtype), f"u{dtype.itemsize}"

    def there(x):
        return lax.bitcast_convert_type(x, dtype)

    def back(x):
        return lax.bitcast_convert_type(x, bits)

    for f, run in ((there, leptonc.jit(there)), (back, leptonc.jit(back))):
        given = x.view(bits) if f is there else x
        assert run(given).tobytes() == f(given).tobytes() == x.tobytes()


def test_promotion():
    x = np.ones(2, low_float("float8_e4m3fn"))
    for settings in ("numpy", "jax"):
        with leptonc.config.override(promotion=settings):
            for other in (np.ones(2, np.int32), np.ones(2, bool), 2, 2.5, x):
                assert lnp.add(x, other).dtype == x.dtype
            for other in (np.ones(2, F), np.ones(2, np.float16), x.astype(low_float("float8_e5m2")), 1j):
                with pytest.raises(DtypeError, match=r"meets other inexact numbers by a cast only.*astype"):
                    lnp.add(x, other)


def test_products_of_two_formats_are_added_up_in_the_preferred_type():
    rng = np.random.default_rng(4)
    x, w = (rng.standard_normal(s).astype(low_float(n)) for s, n in (((5, 40), "float8_e4m3fn"), ((40, 7), "float8_e5m2")))
    got = leptonc.jit(lambda x, w: lax.dot(x, w, preferred_element_type=F))(x, w)
    np.testing.assert_allclose(got, x.astype(F) @ w.astype(F), rtol=1e-5, atol=1e-5)


def test_names_and_limits():
    assert lnp.float8_e4m3fn is low_float("float8_e4m3fn").type and float(lnp.finfo(lnp.float8_e5m2).max) == 57344
    assert lnp.isdtype(lnp.float8_e4m3fn, "real floating") and lnp.can_cast("float8_e4m3fn", F)
    for name, format_ in EIGHT_BITS.items():
        assert format_.greatest == float(lnp.finfo(getattr(lnp, name)).max)
