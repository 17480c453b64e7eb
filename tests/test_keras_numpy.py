"""Keras's NumPy functions on leptonc: NumPy's values, and the same compiled as not; derivatives where formulas are composed."""

import numpy as np
import pytest

from leptonc import grad, jit

pytest.importorskip("leptonc.keras", exc_type=ImportError)
from leptonc.keras.src.ops import numpy as knp

RNG = np.random.default_rng(0)
X, Y = (RNG.normal(size=(3, 4)).astype(np.float32) for _ in range(2))
UNIT = RNG.uniform(0.05, 0.95, (3, 4)).astype(np.float32)
GAPS = np.where(X > 1, np.nan, X)
INTS = RNG.integers(-3, 4, (3, 4)).astype(np.int32)
EDGES = np.array([0.0, -0.0, 1, -1, 1e-8, 1e10, -1e10, 3e38, np.inf, -np.inf, np.nan, 2.5], np.float32)

ONE = {
    "arctan arcsinh cbrt sinc exp2 trunc round angle signbit isposinf nan_to_num ptp cumprod diagonal diag diagflat trace diff "
    "rot90 tril triu corrcoef trapezoid fabs rad2deg count_nonzero": X,
    "arcsin arccos arctanh": UNIT,
    "nansum nanprod nanmean nanvar nanstd nanmax nanmin nancumsum nancumprod nanargmax nanargmin": GAPS,
    "cumprod prod trace square diff": INTS,
    "arcsin arccos arctanh arcsinh arccosh cbrt sinc sign signbit nan_to_num angle isneginf": EDGES,
}
TWO = {
    "hypot fmod fmax fmin logaddexp logaddexp2 heaviside isclose inner kron isin mod floor_divide arctan2 append": (X, Y),
    "fmod floor_divide mod left_shift ldexp": (INTS, np.abs(INTS) + 1),
    "hypot fmod fmax fmin heaviside maximum isclose nextafter": tuple(np.meshgrid(EDGES, EDGES)),
}
CALLS = [(name, (x,)) for names, x in ONE.items() for name in names.split()]
CALLS += [(name, xs) for names, xs in TWO.items() for name in names.split()]


@pytest.mark.parametrize(("name", "args"), CALLS, ids=lambda v: v if isinstance(v, str) else str(v[0].dtype))
def test_values_are_numpys_and_compiled_ones_the_same(name, args):
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(*args)
    function = getattr(knp, name)
    for found in (function(*args), jit(function)(*args)):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("subscripts", "shapes"), [
    ("...i,...i->...", [(3, 4), (3, 4)]), ("ii->i", [(4, 4)]), ("ii", [(4, 4)]), ("...ij,jk->...ik", [(2, 3, 4), (4, 5)]),
    ("...a,...b", [(1, 3), (5, 4)]), ("iij,j->i", [(3, 3, 4), (4,)])])
def test_einsum_takes_ellipses_and_repeated_letters(subscripts, shapes):
    xs = [RNG.normal(size=shape).astype(np.float32) for shape in shapes]
    expected = np.einsum(subscripts, *xs)
    np.testing.assert_allclose(jit(lambda *a: knp.einsum(subscripts, *a))(*xs), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("sizes", [(5, 2), (5, 3), (2, 5), (4, 4)])
def test_correlate(mode, sizes):
    a, b = (RNG.normal(size=n).astype(np.float32) for n in sizes)
    np.testing.assert_allclose(knp.correlate(a, b, mode), np.correlate(a, b, mode), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "at", "expected"), [
    ("arcsinh", 0.0, 1.0), ("arcsinh", 1e10, 1e-10), ("arcsin", 1.0, np.inf), ("arccosh", 1.0, np.inf), ("sinc", 0.0, 0.0),
    ("arccos", 1.0, -np.inf), ("cbrt", -8.0, 1 / 12)])
def test_derivatives_at_the_ends_of_formulas(name, at, expected):
    np.testing.assert_allclose(jit(grad(getattr(knp, name)))(np.float32(at)), expected, rtol=1e-5)


def test_a_shape_that_depends_on_data_is_an_error_that_says_so():
    with pytest.raises(NotImplementedError, match="shapes that depend on data"):
        jit(knp.nonzero)(X)


@pytest.mark.parametrize("given", ["float32", "float16", "int32", "int16", "uint8", "bool"])
@pytest.mark.parametrize("wanted", ["float64", "float32", "float16", "int64", "int32", "uint16", "int8"])
def test_views_have_numpys_bytes(given, wanted):
    x = np.frombuffer(np.random.default_rng(3).bytes(96), given if given != "bool" else "uint8").reshape(2, -1)
    x = x > 99 if given == "bool" else x
    for found in (knp.view(x, wanted), jit(lambda x: knp.view(x, wanted))(x)):
        assert found.dtype == wanted
        np.testing.assert_array_equal(found.view("uint8"), x.view(wanted).view("uint8"))


def test_views_that_end_in_the_middle_of_an_element():
    with pytest.raises(ValueError, match="no whole elements"):
        knp.view(np.ones((2, 3), "int16"), "int32")
    with pytest.raises(ValueError, match="no whole elements"):
        knp.view(np.float32(1), "int16")


def test_i0_of_large_and_small_numbers():
    x = np.array([0, 1e-3, -0.5, 3, 20, -88.9, 91.5, 92], "float32")
    with np.errstate(over="ignore"):
        expected = np.i0(x.astype("float64")).astype("float32")
    for found in (knp.i0(x), jit(knp.i0)(x)):
        np.testing.assert_allclose(found, expected, rtol=2e-6)
    assert knp.i0(np.arange(3)).dtype == "float32"
    np.testing.assert_allclose(grad(lambda x: knp.i0(x).sum())(x[:5]), [0, 5e-4, -0.25789431, 3.9533702, 4.2454972e7], rtol=1e-4,
                               atol=1e-7)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8", "uint16", "bool"])
@pytest.mark.parametrize("name", ["sum", "nansum", "prod", "nanprod", "trace"])
def test_small_integers_add_up_in_32_bits(name, dtype):
    x = np.full((9, 9), 3 if "prod" in name else 100).astype(dtype)
    x = x[:1] if "prod" in name else x
    found = getattr(knp, name)(x)
    assert found.dtype == ("uint32" if dtype[0] == "u" else "int32")
    assert found == getattr(np, name)(x.astype("int64"))


def test_bfloat16_has_floats_rules():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = np.array([1, np.nan, 2], bfloat16)
    assert knp.nansum(x) == 3 and knp.nansum(x).dtype == bfloat16
    assert knp.correlate(x[:1], np.ones(1, "int8")).dtype == bfloat16
