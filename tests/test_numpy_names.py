"""leptonc.numpy's names beside NumPy's own: outside of jit, inside, and op by op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, DtypeError

RNG = np.random.default_rng(7)
V, W = RNG.standard_normal(7), RNG.standard_normal(4)
M, N = RNG.standard_normal((4, 5)), RNG.standard_normal((4, 5))
T = RNG.standard_normal((3, 4, 2)).astype("f4")
S = RNG.standard_normal((4, 4))
I = RNG.integers(-9, 9, (3, 4))
U = RNG.integers(0, 200, 9).astype("u1")
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, -2.5, 3.5, 1e30, -1e-30, 7.25])
X, Y = (g.ravel() for g in np.meshgrid(SPECIAL, SPECIAL))
F = 1 / (1 + np.exp(-V))

Call = tuple[Callable[[Any], Callable[..., Any]], tuple[np.ndarray, ...]]
CASES: dict[str, Call] = {
    **{name: (lambda xp, name=name: getattr(xp, name), (F.astype(d),)) for d in ("f4", "f8") for name in (
        "asin", "acos", "atan", "asinh", "atanh", "cbrt", "exp2", "deg2rad", "rad2deg", "sinc", "signbit", "spacing", "frexp",
        "modf",
        "fabs", "i0", "isposinf", "isneginf", "arcsin", "arctan", "radians", "degrees")},
    **{f"{name} special": (lambda xp, name=name: getattr(xp, name), (X, Y)) for name in (
        "hypot", "copysign", "nextafter", "fmod", "fmax", "fmin", "heaviside", "isclose")},
    "acosh": (lambda xp: xp.acosh, (F + 1,)), "logaddexp2": (lambda xp: xp.logaddexp2, (V, V[::-1])),
    "ldexp": (lambda xp: lambda x: xp.ldexp(x, np.arange(-600, 607, 173, dtype="i4")), (V,)),
    "float_power": (lambda xp: xp.float_power, (np.abs(I), I * 0 + 2)), "unwrap": (lambda xp: xp.unwrap, (np.cumsum(4 * V),)),
    "gcd": (lambda xp: xp.gcd, (I, I.T[:1, :1] * 6)), "lcm": (lambda xp: xp.lcm, (I, I * 0 + 6)),
    "fmod of ints": (lambda xp: xp.fmod, (I, np.where(I == 0, 3, -I // 2))), "bitwise_count": (lambda xp: xp.bitwise_count, (I,)),
    "frexp special": (lambda xp: xp.frexp, (SPECIAL,)),
    "tril of vectors": (lambda xp: lambda v, b: (xp.tril(v), xp.triu(v, 1), xp.tril(b, -1), xp.triu(b[:0])), (U, V > 0)),
    "vander of ints": (lambda xp: lambda v, b: (xp.vander(v), xp.vander(b, 3, increasing=True)), (U, V > 0)),
    "spacing special": (lambda xp: xp.spacing, (SPECIAL[SPECIAL == SPECIAL],)),
    "nan_to_num": (lambda xp: lambda x, i: (xp.nan_to_num(x), xp.nan_to_num(x, True, 2.0, 3.0, -4.0), xp.nan_to_num(x, posinf=0),
                                            xp.nan_to_num(x, neginf=-1e9), xp.nan_to_num(i), xp.nan_to_num(i > 0)), (SPECIAL, I)),
    "tril": (lambda xp: xp.tril, (T,)), "triu": (lambda xp: lambda x: xp.triu(x, -1), (M,)),
    **{f"diag {k}": (lambda xp, k=k: lambda x, v: (xp.diag(x, k), xp.diag(v, k)), (M, W)) for k in (-2, 0, 3)},
    "diagflat": (lambda xp: lambda x: xp.diagflat(x, 1), (I,)), "trace": (lambda xp: lambda x: xp.trace(x, 1, 0, 2), (T,)),
    "diagonal": (lambda xp: lambda x: xp.diagonal(x, -1, 2, 1), (T,)), "vander": (lambda xp: lambda x: xp.vander(x, 4), (W,)),
    "roll": (lambda xp: lambda x: (xp.roll(x, 3), xp.roll(x, (1, -2), (0, 1)), xp.roll(x, -1, axis=1)), (M,)),
    "rollaxis": (lambda xp: lambda x: (xp.rollaxis(x, 2), xp.rollaxis(x, 0, 2)), (T,)),
    "rot90": (lambda xp: lambda x: tuple(xp.rot90(x, k, (1, 2)) for k in range(-1, 4)), (T,)),
    "fliplr": (lambda xp: lambda x: (xp.fliplr(x), xp.flipud(x)), (M,)),
    "atleast": (lambda xp: lambda x, v: (xp.atleast_1d(v), xp.atleast_2d(v), xp.atleast_3d(v), xp.atleast_3d(x)), (M, W)),
    "column_stack": (lambda xp: lambda v, x: (xp.column_stack([v, x]), xp.dstack([x, x]), xp.dstack([v, v])), (W, M)),
    "array_split": (lambda xp: lambda x: tuple(xp.array_split(x, 3, 1)) + tuple(xp.array_split(x, [1, 3])), (M,)),
    "hsplit": (lambda xp: lambda x: tuple(xp.hsplit(x, 2)) + tuple(xp.vsplit(x, 3)) + tuple(xp.dsplit(x, [1])), (T,)),
    "unstack": (lambda xp: lambda x: xp.unstack(x, axis=1), (T,)),
    "block": (lambda xp: lambda a, b: (xp.block([[a, b], [b, a]]), xp.block([a[0], 1.0]), xp.block([[a[0], b[0]]])), (M, N)),
    "append": (lambda xp: lambda a, b: (xp.append(a, b), xp.append(a, b, axis=0)), (M, N)),
    "insert": (lambda xp: lambda a: (xp.insert(a, 2, 9.0), xp.insert(a, [1, 3], [7.0, 8.0], axis=1),
                                     xp.insert(a, -1, a[:, 0], axis=1), xp.insert(a, slice(0, 4, 2), 0, axis=0)), (M,)),
    "insert vector": (lambda xp: lambda a: (xp.insert(a, [0, 0, 7], [1, 2, 3.0]), xp.insert(a, 1, [4.0, 5.0])), (V,)),
    "delete": (lambda xp: lambda a: (xp.delete(a, 2), xp.delete(a, [0, -1], 1), xp.delete(a, slice(1, 3), 0)), (M,)),
    "resize": (lambda xp: lambda a: (xp.resize(a, (3, 9)), xp.resize(a, 2)), (M,)),
    "ravel_multi_index": (lambda xp: lambda i: xp.ravel_multi_index((i, i), (5, 9), mode="clip"), (np.arange(7),)),
    "unravel_index": (lambda xp: lambda i: xp.unravel_index(i, (3, 4, 5)), (np.arange(60),)),
    "diff": (lambda xp: lambda a: (xp.diff(a), xp.diff(a, 2, 0), xp.diff(a, prepend=0.0, append=a[:, :2]), xp.diff(a > 0)), (M,)),
    "ediff1d": (lambda xp: lambda a: (xp.ediff1d(a), xp.ediff1d(a, 1.0, [2.0, 3.0])), (M,)),
    "gradient": (lambda xp: lambda a: (*xp.gradient(a), xp.gradient(a, 0.5, axis=1, edge_order=2)), (M,)),
    "gradient uneven": (lambda xp: lambda a, x: (xp.gradient(a, x), xp.gradient(a, x, edge_order=2)), (V, np.cumsum(F))),
    "gradient special": (lambda xp: lambda a: (xp.gradient(a), xp.gradient(a[::-1], edge_order=2)), (SPECIAL,)),
    "gradient single": (lambda xp: lambda a: (xp.gradient(a, axis=0), xp.gradient(a, 0.5, axis=1, edge_order=2)), (T,)),
    "trapezoid single": (lambda xp: lambda a: (xp.trapezoid(a), xp.trapezoid(a, dx=0.5, axis=0)), (T,)),
    "trapezoid": (lambda xp: lambda a, x: (xp.trapezoid(a), xp.trapezoid(a, x), xp.trapezoid(a, dx=0.5, axis=0)), (M,
    np.cumsum(F[:5]))),
    "interp": (lambda xp: lambda x, p, f: (xp.interp(x, p, f), xp.interp(x, p, f, left=-1.0, right=9.0)), (5 * M, np.cumsum(F), V)),
    **{f"convolve {m}": (lambda xp, m=m: lambda a, b: (xp.convolve(a, b, m), xp.convolve(b, a, m)), (V, W))
       for m in ("full", "same", "valid")},
    **{f"convolve special {m}": (lambda xp, m=m: lambda a, b: (xp.convolve(a, b, m), xp.correlate(b, a, m)),
                                 (np.array([1, np.inf, 2, 3, 4.0, 5]), np.array([-np.inf, 1, 3])))
       for m in ("full", "same", "valid")},
    **{f"correlate {m} {k}": (lambda xp, m=m: lambda a, b: (xp.correlate(a, b, m), xp.correlate(b, a, m)), (V[:n], W[:k]))
       for m in ("full", "same", "valid") for n, k in ((7, 4), (6, 4), (6, 3), (7, 3))},
    "average": (lambda xp: lambda a, w: (xp.average(a), xp.average(a, 1, w), *xp.average(a, 0, returned=True)), (M, F[:5])),
    "ptp": (lambda xp: lambda a: xp.ptp(a, 1), (M,)),
    "cov": (lambda xp: lambda a, b: (xp.cov(a), xp.cov(a, b, bias=True), xp.cov(a[0]), xp.cov(a, rowvar=False)), (M, N)),
    "corrcoef": (lambda xp: lambda a: xp.corrcoef(a), (M,)), "cross": (lambda xp: xp.cross, (M[:, :3], N[:, :3])),
    "polynomials": (lambda xp: lambda p, q: (xp.polyval(p, q), xp.polyadd(p, q), xp.polysub(q, p), xp.polymul(p, q), xp.polyder(p),
                                             xp.polyder(p, 9), xp.polyint(q, 2, [1.0, 2.0])), (V, W)),
    "meshgrid": (lambda xp: lambda a, b: (*xp.meshgrid(a, b), *xp.meshgrid(a, b, indexing="ij", sparse=True), *xp.meshgrid(a)),
    (V, W)),
    "ix_": (lambda xp: lambda x: x[xp.ix_(np.array([0, 2]), np.array([1, 3]))], (M,)),
    "apply_along_axis": (lambda xp: lambda x: (xp.apply_along_axis(lambda v: v.sum(), 1, x),
                                               xp.apply_along_axis(lambda v: xp.stack([v, -v]), 0, x)), (M,)),
    "apply_over_axes": (lambda xp: lambda x: xp.apply_over_axes(xp.sum, x, [0, 2]), (T,)),
    "vectorize": (lambda xp: xp.vectorize(lambda a, b: a * b + 1.0), (M, V[:5])),
    "vectorize core": (lambda xp: xp.vectorize(lambda a, b: xp.dot(a, b), signature="(n),(n)->()"), (M, V[:5])),
    "select": (lambda xp: lambda x: xp.select([x > 1, x > 0], [x, x * x], -1.0), (M,)),
    "choose": (lambda xp: lambda i, a: xp.choose(i, [a, -a, a * a], mode="clip"), (I, M[:3, :4])),
    "piecewise": (lambda xp: lambda x: xp.piecewise(x, [x < -0.5, x > 0.5], [lambda v: -v, 2.0, lambda v: v * v]), (M,)),
    "compress": (lambda xp: lambda x: (xp.compress([True, False, True], x, axis=1), xp.extract(np.arange(20) % 3 == 0, x)), (M,)),
    "allclose": (lambda xp: lambda a, b: (xp.allclose(a, a + 1e-9), xp.allclose(a, b), xp.array_equal(a, a)), (M, N)),
    **{f"pad {mode}": (lambda xp, mode=mode: lambda x: (xp.pad(x, 2, mode), xp.pad(x, ((0, 3), (1, 0)), mode)), (M,)) for mode in (
        "constant", "edge", "reflect", "symmetric", "wrap", "linear_ramp", "maximum", "mean", "minimum")},
    **{f"pad {mode} odd": (lambda xp, mode=mode: lambda x: xp.pad(x, ((9, 2), (1, 7)), mode, reflect_type="odd"), (M,))
       for mode in ("reflect", "symmetric")},
    "pad values": (lambda xp: lambda x: (xp.pad(x, 1, constant_values=((1, 2), (3, 4))), xp.pad(x, 2, "mean", stat_length=2),
                                         xp.pad(x, 3, "linear_ramp", end_values=(5, -5))), (M,)),
    "pad ints": (lambda xp: lambda x: (xp.pad(x, 3, "linear_ramp", end_values=7), xp.pad(x, 1, "mean"), xp.pad(x, 6,
    "wrap")), (I,)),
    "signbit of ints": (lambda xp: lambda a: xp.signbit(a * 1.0), (I,)),
}


def together(out: Any) -> list[np.ndarray]:
    return [np.asarray(x) for x in out] if isinstance(out, tuple | list) else [np.asarray(out)]


@pytest.mark.parametrize("name", CASES)
def test_names_mean_what_they_mean_in_numpy(name):
    make, arrays = CASES[name]
    with np.errstate(all="ignore"):
        wanted = together(make(np)(*arrays))
    close = 2e-6 if arrays[0].dtype == np.float32 else 1e-11
    op_by_op = leptonc.jit(make(lnp))
    with leptonc.disable_jit():
        runs = [together(op_by_op(*arrays))]
    for found in (*runs, together(make(lnp)(*arrays)), together(leptonc.jit(make(lnp))(*arrays))):
        assert len(found) == len(wanted)
        for got, want in zip(found, wanted):
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            np.testing.assert_allclose(got, want, rtol=close, atol=close)
            if want.dtype.kind == "f" and name.split()[0] not in ("fmax", "fmin"):
                zeros = (want == 0) & (got == 0) & (np.abs(want) == 0)
                np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(want[zeros]))


KNOWN: dict[str, Callable[[Any], Any]] = {
    "tri": lambda xp: xp.tri(3, 5, 1, "f4"), "identity": lambda xp: xp.identity(3), "logspace": lambda xp: xp.logspace(0, 2, 5),
    "geomspace": lambda xp: xp.geomspace(1, 256, 9), "hanning": lambda xp: xp.hanning(8), "hamming": lambda xp: xp.hamming(7),
    "blackman": lambda xp: xp.blackman(6), "bartlett": lambda xp: xp.bartlett(5), "kaiser": lambda xp: xp.kaiser(6, 3.0),
    "indices": lambda xp: xp.indices((2, 3)), "fromfunction": lambda xp: xp.fromfunction(lambda i, j: i * 10 + j, (2, 3)),
    "tril_indices": lambda xp: xp.tril_indices(4, -1), "triu_indices": lambda xp: xp.triu_indices(3, 1, 5),
    "diag_indices": lambda xp: xp.diag_indices(3), "trim_zeros": lambda xp: xp.trim_zeros(np.array([0, 0, 1, 0, 2, 0])),
    "broadcast_shapes": lambda xp: xp.broadcast_shapes((3, 1), (4,)), "tril_indices_from": lambda xp: xp.tril_indices_from(M),
    "triu_indices_from": lambda xp: xp.triu_indices_from(M), "diag_indices_from": lambda xp: xp.diag_indices_from(S),
    "shape": lambda xp: (*xp.shape(M), xp.ndim(T), xp.size(M), xp.size(M, 1)),
}


@pytest.mark.parametrize("name", KNOWN)
def test_what_is_known_while_tracing_is_numpys(name):
    for got, want in zip(together(KNOWN[name](lnp)), together(KNOWN[name](np)), strict=True):
        assert got.dtype == want.dtype
        np.testing.assert_allclose(got, want, rtol=1e-14, atol=1e-15)


def test_fill_diagonal():
    for a, value in ((M, 3.0), (S, W), (np.zeros((3, 3, 3)), 2.0), (np.zeros((9, 2)), 1.0)):
        for wrap in (False, True):
            want = a.copy()
            np.fill_diagonal(want, value, wrap)
            np.testing.assert_array_equal(leptonc.jit(lambda a, v, w=wrap: lnp.fill_diagonal(a, v, w, inplace=False))(a, value),
                want)


@pytest.mark.filterwarnings("ignore:Degrees of freedom:RuntimeWarning", "ignore:Mean of empty:RuntimeWarning")
@pytest.mark.parametrize("samples", (M[0, :0], M[:, :1], M[:, :0]))
def test_cov_of_too_few_samples(samples):
    with np.errstate(all="ignore"):
        wanted = np.cov(samples)
    for call in (lnp.cov, leptonc.jit(lnp.cov)):
        np.testing.assert_array_equal(call(samples), wanted)
    assert not np.isfinite(wanted).any()


@pytest.mark.parametrize("shift", [True, False, np.array([True, False]), np.array([True, True, True])], ids=str)
def test_roll_by_truth_values(shift):
    """Which count as 0 and 1, as in NumPy."""
    x = np.arange(7)
    np.testing.assert_array_equal(lnp.roll(x, shift), np.roll(x, shift))
    np.testing.assert_array_equal(leptonc.jit(lnp.roll)(x, shift), np.roll(x, shift))


def test_roll_by_a_traced_shift():
    np.testing.assert_array_equal(leptonc.jit(lambda x, n: lnp.roll(x, n, 1))(M, -7), np.roll(M, -7, 1))


@pytest.mark.parametrize(("shift", "axis"), [
    ([1, 2], (0, 1)), ([1, -2, 1], (0, 1, 1)), ([2, 1], 1), ([1, 2], None), ([], 0), ([3], 0)])
def test_roll_by_traced_shifts(shift, axis):
    """One for each axis: a vector is that many, as a list is."""
    for wrapped in (lnp.roll, leptonc.jit(lnp.roll, static_argnums=2)):
        np.testing.assert_array_equal(wrapped(M, np.array(shift, np.int64), axis), np.roll(M, shift, axis))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "u8"])
def test_places_beyond_an_end_are_that_end(dtype):
    places = np.array([0, 11, 12, 100] if dtype[0] == "u" else [-100, -13, -12, -1, 0, 11, 12, 100], dtype)
    inside = np.clip(places.astype(np.float64), -12, 11).astype(np.int64)
    for f in (lnp.unravel_index, leptonc.jit(lnp.unravel_index, static_argnums=1)):
        for found, wanted in zip(f(places, (3, 4)), np.unravel_index(inside % 12, (3, 4)), strict=True):
            assert found.dtype == places.dtype
            np.testing.assert_array_equal(found, wanted)
        assert [x.shape for x in f(places[:0], (0, 4))] == [(0,), (0,)]


def test_words_and_flags_are_no_arrays():
    for call in (lambda x: lnp.ravel(x, x), lambda x: lnp.reshape(x, -1, x), lambda x: lnp.array_equal(x, x, x)):
        with pytest.raises(ArgumentError):
            call(M)


def test_products_of_bools_are_errors_compiled_or_not():
    for call in (lambda x: lnp.linalg.matrix_power(x, 3), lambda x: lnp.linalg.multi_dot([x, x])):
        for wrapped in (call, leptonc.jit(call)):
            with pytest.raises(DtypeError, match="does not take bools"):
                wrapped(np.eye(2, dtype=bool))


def test_matrices_that_are_not_finite_have_no_eigenvalues():
    stack = np.array([[[1, 2], [0, 3]], [[np.inf, 1], [2, 3]], [[1, np.nan], [2, 3]]], np.float32)
    w, v = lnp.linalg.eig(stack)
    np.testing.assert_array_equal(np.isnan(w), [[False, False], [True, True], [True, True]])
    np.testing.assert_array_equal(np.isnan(v).all((1, 2)), [False, True, True])
    np.testing.assert_allclose(w[0], [1, 3])
    np.testing.assert_array_equal(lnp.linalg.eigvals(stack), w)
    assert np.isnan(lnp.poly(stack[1])[1:]).all() and np.isnan(lnp.roots(stack[1, 0])).all()


def test_dtypes():
    assert lnp.result_type(np.float32, 2.0) == np.float32 and lnp.result_type(M, np.float32(1)) == np.float64
    assert lnp.promote_types("int32", "f4") == np.float64 and lnp.can_cast("int32", "int64") and not lnp.can_cast(M, "f4")
    assert lnp.isdtype(np.dtype("f4"), "real floating") and lnp.isdtype(np.int8, ("bool", "signed integer"))
    assert not lnp.isdtype(np.dtype("u1"), "signed integer") and lnp.issubdtype(np.float32, np.floating)
    assert lnp.finfo("f4").eps == np.finfo("f4").eps and lnp.iinfo("u2").max == 65535


def test_dtypes_of_bfloat16():
    pytest.importorskip("ml_dtypes")
    assert lnp.promote_types("bfloat16", "i4") == lnp.bfloat16 and lnp.can_cast("bfloat16", "f4")
    assert lnp.isdtype("bfloat16",
        "numeric") and lnp.issubdtype("bfloat16", np.floating) and float(lnp.finfo("bfloat16").max) > 3e38
    low = lnp.asarray(np.array([1.0, -2.0, np.inf]), "bfloat16")
    np.testing.assert_array_equal(np.float32(leptonc.jit(lnp.nextafter)(low, low * 2)), np.float32([1.0078125, -2.015625, np.inf]))


SLOPES = {
    "hypot": lambda x: lnp.hypot(x, 2.0), "copysign": lambda x: lnp.copysign(x, -1.0) * x, "sinc": lnp.sinc,
    "ldexp": lambda x: lnp.ldexp(x, 3),
    "fmod": lambda x: lnp.fmod(x, 0.7), "logaddexp2": lambda x: lnp.logaddexp2(x, 1.0),
    "interp": lambda x: lnp.interp(x, np.cumsum(F), V),
    "pad": lambda x: lnp.pad(x, 3, "reflect", reflect_type="odd") ** 2, "convolve": lambda x: lnp.convolve(x, x), "cbrt": lnp.cbrt,
    "gradient": lambda x: lnp.gradient(x) ** 2, "tril": lambda x: lnp.tril(x * lnp.ones((7, 7))) ** 2,
    "roll": lambda x: lnp.roll(x, 2) * x,
}


@pytest.mark.parametrize("name", SLOPES)
def test_derivatives(name):
    """Against central differences, in a random direction."""
    def f(x: Any) -> Any:
        return lnp.sum(SLOPES[name](x) * 0.7)

    x, d = V * 1.3 + 0.05, RNG.standard_normal(V.shape)
    step = 1e-6
    wanted = (f(x + step * d) - f(x - step * d)) / (2 * step)
    np.testing.assert_allclose(leptonc.jit(leptonc.grad(f))(x) @ d, wanted, rtol=1e-6, atol=1e-7)


def test_spacing_of_zeros_is_above_zero_and_its_slope_0():
    x = np.array([0.0, -0.0, 3.5, -3.5])
    with leptonc.disable_jit():
        np.testing.assert_array_equal(np.signbit(lnp.spacing(x)), np.signbit(np.spacing(x)))
    assert not np.any(leptonc.grad(lambda x: lnp.sum(lnp.spacing(x)))(x))


def test_sinc_at_zero():
    second = leptonc.grad(leptonc.grad(lnp.sinc))
    u = np.pi * np.array([0.0999, 0.1001])
    wanted = np.pi**2 * (2 * np.sin(u) / u**3 - 2 * np.cos(u) / u**2 - np.sin(u) / u)
    np.testing.assert_allclose([second(0.0), second(0.0999), second(0.1001)], [-np.pi**2 / 3, *wanted], rtol=1e-10)


def test_interp_between_infinite_ends(rng):
    """As NumPy's: at a point its value, and where a line from one end is NaN, that from the other."""
    both = leptonc.jit(lnp.interp)
    ends, values = [-np.inf, -2.0, -1.0, 0.0, 1.0, 3.0, np.inf], [-np.inf, -2.0, 0.0, 1.0, np.inf, np.nan]
    with np.errstate(all="ignore"):
        for _ in range(200):
            xp = np.sort(rng.choice(ends, 4, replace=False))
            fp, x = rng.choice(values, 4), rng.choice([*ends, -1.5, 0.5, 9.0, np.nan], 6)
            np.testing.assert_allclose(both(x, xp, fp), np.interp(x, xp, fp), atol=1e-12, err_msg=f"{x} {xp} {fp}")
    assert leptonc.grad(lambda x: lnp.interp(x, np.array([0.0, 1.0, np.inf]), np.array([0.0, 2.0, 2.0])))(3.0) == 0


LINEAR = {"deg2rad", "degrees", "rad2deg", "radians", "fabs"}  # which make sense of complex numbers, as in JAX


@pytest.mark.parametrize("name", [name for name in sorted(dir(lnp)) if isinstance(f := getattr(np, name, None), np.ufunc)
                                  and f.signature is None and name not in LINEAR])
def test_what_numpy_refuses_of_complex_numbers_is_refused(name):
    args = (np.array([1 + 2j], "c8"),) * getattr(np, name).nin
    try:
        getattr(np, name)(*args)
    except TypeError:
        with pytest.raises((DtypeError, ArgumentError)):
            getattr(lnp, name)(*args)
    else:
        getattr(lnp, name)(*args)


def test_derivatives_of_polynomials_are_as_narrow_as_these():
    for kind, wanted in (("f2", "f2"), ("f4", "f4"), ("c8", "c8"), ("i4", "i8")):
        for m in (1, 2, 7):
            found = leptonc.jit(lambda p, m=m: lnp.polyder(p, m))(np.arange(5).astype(kind))
            assert found.dtype == wanted and (found == np.polyder(np.arange(5), m)).all()
