"""The vector maths over all magnitudes: errors in units of the last place."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import ulp

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.target import host_target
from leptonc.trace import bind

COUNT = 50_000
NEAR = {"log2", "log10", "power", "sinh", "cosh", "sin", "cos", "tan", "exp", "log", "sqrt"}  # within one unit, tanh in f64 too


@pytest.mark.parametrize("target", ["sse", host_target().name])  # without and with fused multiply-add
@pytest.mark.parametrize("name", ulp.FUNCTIONS)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_errors_in_units_of_the_last_place(monkeypatch, name, dtype, target):
    monkeypatch.setenv("LEPTONC_TARGET", target)
    operands = ulp.operands(name, dtype, COUNT, seed=1)
    off = ulp.errors(name, *operands)
    limit = 1.05 if name in NEAR or (name, dtype) == ("tanh", "f8") else 2.5
    assert off.max() <= limit, (off.max(), [x[off.argmax()] for x in operands])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("mode", ["compiled", "eager"])
def test_what_is_exact_comes_out_exact(dtype, mode):
    """Whole powers, square roots, logarithms of whole powers of the base: as far as the type holds them."""
    run = leptonc.jit if mode == "compiled" else (lambda f: f)
    holds = 2 ** (np.finfo(dtype).nmant + 1)
    pairs = [(b, e) for b in range(2, 200) for e in range(54) if b**e <= holds]
    base, exponent = (np.array(v, dtype) for v in zip(*pairs))
    power = np.array([b**e for b, e in pairs], dtype)
    np.testing.assert_array_equal(run(lnp.power)(base, exponent), power)
    np.testing.assert_array_equal(run(lnp.power)(-base, exponent), np.where(exponent % 2 == 1, -power, power))
    roots = np.arange(1, 4_000).astype(dtype)
    np.testing.assert_array_equal(run(lnp.power)(roots * roots, np.full_like(roots, 0.5)), roots)
    np.testing.assert_array_equal(run(lambda x: x**0.5)(roots * roots), roots)
    n = np.arange(-120, 121).astype(dtype)
    np.testing.assert_array_equal(run(lnp.log2)(np.exp2(n)), n)
    np.testing.assert_array_equal(run(lambda n: lnp.power(np.float64(2).astype(dtype), n))(n), np.exp2(n))
    tens = np.arange(23 if dtype == "f8" else 11)
    np.testing.assert_array_equal(run(lnp.log10)(np.array([10**int(k) for k in tens], dtype)), tens.astype(dtype))


def test_erf(rng):
    x = np.concatenate([rng.standard_normal(3_000) * 2, [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-300, 6.0, 0.9999]])
    wanted = np.array([math.erf(v) for v in x])
    np.testing.assert_allclose(leptonc.jit(lax.erf)(x), wanted, rtol=1e-14)
    np.testing.assert_allclose(leptonc.jit(lax.erf)(x.astype("f4")), [math.erf(v) for v in x.astype("f4")], rtol=2e-7)


def test_erf_inv(rng):
    """erf undoes it, up to what a unit of y makes of x; f32 has the same bits compiled and eager."""
    x = np.concatenate([rng.uniform(-1, 1, 3_000), 1 - np.exp2(-rng.uniform(1, 50, 500)), [0.0, -0.0, 1e-300, 1e-9]])
    y = leptonc.jit(lax.erf_inv)(x)
    slope = 2 / math.sqrt(math.pi) * np.exp(-y * y)
    wanted = np.array([math.erf(v) for v in y])
    assert (np.abs(wanted - x) <= 24 * np.spacing(np.abs(y)) * slope + np.spacing(np.abs(x))).all()
    np.testing.assert_allclose(lax.erf_inv(x), y, rtol=1e-15)
    ends = np.array([1, -1, 1.5, -2, np.inf, np.nan, -0.0])
    for run in (leptonc.jit(lax.erf_inv), lax.erf_inv):
        for dtype in ("f4", "f8"):
            found = run(ends.astype(dtype))
            np.testing.assert_array_equal(found, np.array([np.inf, -np.inf, np.nan, np.nan, np.nan, np.nan, -0.0], dtype))
            assert np.signbit(found[-1])
    single = np.concatenate([x, np.linspace(0.9999, 1, 1_000)]).astype("f4")
    np.testing.assert_array_equal(leptonc.jit(lax.erf_inv)(single).view("i4"), lax.erf_inv(single).view("i4"))


@pytest.mark.skipif(not host_target().fma, reason="rounds twice without the instruction")
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_a_multiply_add_is_rounded_once(rng, dtype):
    """Against fractions, where the sum cancels and where it does not."""
    x, y = (rng.standard_normal(500).astype(dtype) for _ in range(2))
    z = np.where(np.arange(500) % 2, -x * y, rng.standard_normal(500)).astype(dtype)
    exact = [Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c)) for a, b, c in zip(x, y, z)]
    wanted = np.array([float(v) for v in exact]).astype(dtype)
    for run in (leptonc.jit(lambda *v: bind("fma", *v)), partial(bind, "fma")):
        np.testing.assert_array_equal(run(x, y, z), wanted)


@pytest.mark.parametrize("target", ["sse", host_target().name])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_remainders_are_exact_however_large_the_quotient(monkeypatch, rng, dtype, target):
    monkeypatch.setenv("LEPTONC_TARGET", target)
    widest = 80 if dtype == "f4" else 900  # no remainder is so small that it is flushed
    x, y = ((rng.choice([-1, 1], 3_000) * 2 ** rng.uniform(-widest, widest, 3_000)).astype(dtype) for _ in range(2))
    for ours, exact in ((lnp.remainder, np.remainder), (lnp.fmod, np.fmod)):
        np.testing.assert_array_equal(leptonc.jit(ours)(x, y), exact(x, y))


@pytest.mark.parametrize("name", ["power", "arctan2", "remainder", "floor_divide"])
def test_functions_of_two_numbers(rng, name):
    special = np.array([0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.5, np.inf, -np.inf, np.nan, 1e300, 1e-300, 7.0, -1e10])
    x, y = (np.concatenate([g.ravel(), rng.standard_normal(2_000) * 10.0 ** rng.integers(-3, 4, 2_000)])
            for g in np.meshgrid(special, special))
    with np.errstate(all="ignore"):
        wanted = getattr(np, name)(x, y)
    got = leptonc.jit(getattr(lnp, name))(x, y)
    normal = ~((np.abs(wanted) < np.finfo(np.float64).tiny) & (wanted != 0))  # others are flushed to zero
    got, wanted = got[normal], wanted[normal]
    np.testing.assert_allclose(got, wanted, rtol=2e-15 if name != "floor_divide" else 1e-15)
    np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(wanted[wanted == 0]))


def test_powers_are_right_to_a_rounding_however_large(rng):
    """The logarithm's last digits are multiplied by y."""
    x = rng.uniform(0.5, 2.0, 3_000) * 2.0 ** rng.integers(-30, 31, 3_000) ** rng.integers(0, 2, 3_000)
    y = rng.uniform(-700, 700, 3_000) / np.maximum(np.abs(np.log(x)), 0.2)
    got = leptonc.jit(lnp.power)(x, y)
    with localcontext(prec=40):
        true = [Decimal(a) ** Decimal(b) for a, b in zip(x.tolist(), y.tolist())]
        off = [abs(Decimal(g) - t) / Decimal(np.spacing(float(t)).item()) for g, t in zip(got.tolist(), true)]
    assert max(off) <= 1.5, (max(off), x[np.argmax(off)], y[np.argmax(off)])


def test_large_arguments_of_sine_are_reduced_exactly():
    x = np.array([2.0**20, 2.0**52 + 1, 1e22, 1e300, -1e100, 6381956970095103.0 * 2.0**797])
    np.testing.assert_allclose(leptonc.jit(lnp.sin)(x), np.sin(x), rtol=1e-15)
    np.testing.assert_allclose(leptonc.jit(lnp.cos)(x), np.cos(x), rtol=1e-14)
