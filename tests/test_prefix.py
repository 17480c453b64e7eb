"""Cumulative operations: rows along, across and in shared blocks, every join, against NumPy in f64; bits and threads."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, lax
from leptonc import numpy as lnp
from leptonc.codegen.prefix.plan import PREFIXES, TOTALS, plan_prefix
from leptonc.codegen.step.build import build_step
from leptonc.codegen.step.interpret import run_step
from leptonc.errors import LeptonError
from leptonc.ir import parse
from leptonc.ir.builder import Builder
from leptonc.ir.kernel import Kernel
from leptonc.ir.op import get_op
from leptonc.ir.prefix import UFUNCS, Prefix
from leptonc.ir.types import type_of_array
from leptonc.target import AVX2, AVX512, SSE

JOINS = {"cumsum": "add", "cumprod": "mul", "cummax": "max", "cummin": "min", "cumlogsumexp": "logaddexp"}
SHAPES = [((2, 9001), 1), ((20, 37), 1), ((5, 3), 1), ((300, 70), 0), ((3, 2100, 3), 1), ((33_000,), 0)]
"""Shared blocks, rows along a vector, rows of less than one, strips with a rest, few side by side, one long row."""


def wanted(name: str, x: np.ndarray, axis: int, reverse: bool) -> np.ndarray:
    turned = np.flip(x, axis) if reverse else x
    found = UFUNCS[JOINS[name]].accumulate(turned, axis, dtype=x.dtype)
    return np.flip(found, axis) if reverse else found


def scan_of(name: str, shape: tuple[int, ...], axis: int, reverse: bool, dtype: str = "float32") -> Prefix:
    kernel = get_op(name).lower(type_of_array(np.zeros(shape, dtype)), axis=axis, reverse=reverse)
    assert isinstance(kernel, Prefix)
    return kernel


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", JOINS)
def test_all_shapes_of_rows(name, reverse, rng):
    """One program of all shapes, in f32."""
    arrays = [(rng.standard_normal(shape) * 0.01 + (name == "cumprod")).astype(np.float32) for shape, _ in SHAPES]
    found = leptonc.jit(lambda *xs: [getattr(lax, name)(x, axis, reverse) for x, (_, axis) in zip(xs, SHAPES)])(*arrays)
    for got, x, (_, axis) in zip(found, arrays, SHAPES):
        np.testing.assert_allclose(got, wanted(name, x.astype(np.float64), axis, reverse), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_integers_and_bools_are_exact(reverse, rng):
    arrays = [rng.integers(-9, 9, (3, 300)).astype(dtype) for dtype in ("int8", "uint16", "int32", "uint64", "bool")]
    names = ["cumsum", "cumprod", "cummax", "cummin"]

    def all_of(*xs):
        return [getattr(lax, name)(x, 1, reverse) for x in xs for name in names if x.dtype != bool or name != "cumsum"]

    found = iter(leptonc.jit(all_of)(*arrays))
    for x in arrays:
        for name in names:
            if x.dtype != bool or name != "cumsum":
                np.testing.assert_array_equal(next(found), wanted(name, x, 1, reverse))


def test_ten_million_sums_are_as_exact_as_two_short_ones():
    x = np.random.default_rng(7).random(1 << 21, dtype=np.float32)
    exact = np.cumsum(x.astype(np.float64))
    found = leptonc.jit(lnp.cumsum)(x)
    assert np.abs(found - exact).max() <= 4 * np.finfo(np.float32).eps * exact[-1]
    assert np.abs(np.cumsum(x) - exact).max() > np.abs(found - exact).max()


def test_special_values():
    special = np.array([-0.0, -0.0, 1, np.inf, 2, np.nan, 3, -np.inf], np.float32)
    x = np.concatenate([np.full(5000, -0.0, np.float32), special, np.ones(40_000, np.float32)])
    for name in ("cumsum", "cummax", "cumlogsumexp"):
        for reverse in (False, True):
            with np.errstate(invalid="ignore"):
                expected = wanted(name, x, 0, reverse)
            found = leptonc.jit(lambda x, name=name, reverse=reverse: getattr(lax, name)(x, 0, reverse))(x)
            np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert np.signbit(leptonc.jit(lnp.cumsum)(x)[:5000]).all()


def compiled(name: str, x: np.ndarray, axis: int, reverse: bool) -> driver.Compiled:
    builder = Builder("scan")
    out = get_op(name)(builder.input(type_of_array(x)), axis=axis, reverse=reverse)
    return driver.compile_program(driver.lower(driver.optimize(builder.finish([out]))))


def test_bits_do_not_depend_on_threads(rng):
    x = rng.standard_normal(200_001).astype(np.float32)
    run = compiled("cumsum", x, 0, True).executable
    one, *others = (run([x], nthreads=n)[0] for n in (1, 2, 3))
    for other in others:
        np.testing.assert_array_equal(other.view(np.uint32), one.view(np.uint32))


def test_an_associative_scan_by_one_op_is_cumulative(rng):
    x = rng.standard_normal((3, 40))
    for join, name in ((lnp.add, "cumsum"), (lambda a, b: b * a, "cumprod"), (lnp.logaddexp, "cumlogsumexp")):
        def scan(x, join=join):
            return lax.associative_scan(join, x, reverse=True, axis=1)

        assert f"= {name}(" in str(leptonc.make_graph(scan)(x))
        np.testing.assert_allclose(leptonc.jit(scan)(x), wanted(name, x, 1, True), rtol=1e-12)
        np.testing.assert_allclose(scan(x), wanted(name, x, 1, True), rtol=1e-12)


@pytest.mark.parametrize("target", [SSE, AVX2, AVX512], ids=lambda t: t.name)
def test_steps_with_simulated_threads(target, rng):
    """Shared blocks of which the last is shorter, forward and reverse, any order of threads."""
    for reverse in (False, True):
        builder = Builder("scan")
        x = rng.integers(-4, 5, (2, 8 * 256 + 9, 5)).astype(np.float32)
        out = get_op("cumsum")(builder.input(type_of_array(x)), axis=1, reverse=reverse)
        step = build_step(driver.lower(driver.optimize(builder.finish([out]))), target)
        assert {u.schedule.phase for u in step.units} == {"totals", "bases", "prefixes"}
        for order in ("forward", "backward"):
            (found,) = run_step(step, [x], 3, order)
            np.testing.assert_array_equal(found, wanted("cumsum", x, 1, reverse))


def test_what_is_shared():
    assert plan_prefix(scan_of("cumsum", (10_000_000,), 0, False), AVX512).phases[0] == TOTALS
    assert plan_prefix(scan_of("cumsum", (4096, 1024), 1, False), AVX512).phases == (PREFIXES,)
    assert plan_prefix(scan_of("cumsum", (4096, 1024), 0, False), AVX512).columns == 64
    assert plan_prefix(scan_of("cumsum", (1000,), 0, False), AVX512).phases == (PREFIXES,)


def test_text_is_read_back_and_wrong_ones_are_refused():
    kernel = scan_of("cummax", (3, 5), 0, True)
    assert parse(str(kernel)) == kernel
    for wrong in (str(kernel).replace("max", "mean"), str(kernel).replace("out r0", "in r0"),
                  str(kernel).replace("r0: f32[1,3,5]", "r0: f32[1,5,3]")):
        with pytest.raises(LeptonError):
            parse(wrong)
    assert isinstance(kernel, Kernel)


def test_gradients_of_products_and_extremes(rng):
    x = rng.standard_normal(9)
    for name in ("cumprod", "cummax", "cumlogsumexp"):
        def loss(x, name=name):
            return lnp.sum(getattr(lax, name)(x) * np.arange(1.0, 10))

        grad = leptonc.jit(leptonc.grad(loss))(x)
        eps = 1e-6
        steps = [(float(loss(x + eps * e)) - float(loss(x - eps * e))) / (2 * eps) for e in np.eye(9)]
        np.testing.assert_allclose(grad, steps, rtol=1e-5, atol=1e-7)
        _, tangent = leptonc.jit(lambda x, t, loss=loss: leptonc.jvp(loss, (x,), (t,)))(x, np.ones(9))
        np.testing.assert_allclose(tangent, grad.sum(), rtol=1e-9)
