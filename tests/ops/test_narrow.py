"""Floats of 16 bits: every op is that on f32, its results rounded, compiled, interpreted and eager; every cast is NumPy's."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

import leptonc
from leptonc import driver
from leptonc import numpy as lnp
from leptonc.ir.evaluate import evaluate
from leptonc.ir.interpret import run_program
from leptonc.ir.op import all_ops
from leptonc.ir.reader import parse
from leptonc.ir.types import DTYPES, LOW, dtype_of
from leptonc.target import TARGETS, host_target
from tests.ops.sweep import Case, joined

SAMPLES = 3  # of each op: the special values and some shapes
UNITS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
RUNNING = list(TARGETS)[:list(TARGETS).index(host_target().name) + 1]
LEAST = 2.0**-126  # of f32: what is smaller is flushed


@pytest.fixture(params=["float16", "bfloat16"])
def narrow(request):
    if request.param == "bfloat16":
        pytest.importorskip("ml_dtypes")
    return dtype_of(request.param).numpy


def _samples(op):
    """Special values, and the last ones of those that take floats."""
    def takes_floats(sample):
        return any(np.asarray(a).dtype.kind == "f" for a in sample.make(np.random.default_rng(0)))

    special = [s for s in op.samples() if s.name == "special"]
    others = (s for s in reversed(op.samples()) if s not in special and takes_floats(s))
    return [*special, *islice(others, SAMPLES - len(special))]


PARTS = ("complex", "from_reals", "dft", "rfft")  # of complex numbers are f32 or f64


@pytest.mark.parametrize("op", [op for op in all_ops().values() if op.name not in PARTS], ids=lambda op: op.name)
def test_ops_are_those_on_f32_rounded(op, narrow):
    """All samples in one program: their own inputs and outputs."""
    cases = [Case(op, sample, narrow) for sample in _samples(op)]
    with np.errstate(over="ignore"):
        arrays = [case.arrays(np.random.default_rng(case.seed)) for case in cases]
    graphs = [case.graph(given) for case, given in zip(cases, arrays)]
    program = driver.lower(driver.optimize(joined(graphs)))
    assert str(parse(str(program))) == str(program)
    given = [a for own in arrays for a in own]
    results = iter(zip(driver.compile_program(program)(given), run_program(program, given), strict=True))
    for case, graph, own in zip(cases, graphs, arrays):
        assert str(parse(str(graph))) == str(graph)
        for wanted, (got, interpreted) in zip(evaluate(graph, own), results):
            assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
            for found in (got, interpreted.reshape(wanted.shape)):
                _assert_near(found, wanted, f"{op.name} {case.sample.name}")
    assert not [*results]


def _assert_near(found, wanted, what):
    """To the bit but for an f32 sum in another order, which may round to the number beside."""
    unit = UNITS.get(wanted.dtype.name, 0.0)
    found, wanted = found.astype(np.float64), wanted.astype(np.float64)
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(found[~finite], wanted[~finite], err_msg=what)
    found, wanted = found[finite], wanted[finite]
    assert np.all(np.abs(found - wanted) <= np.maximum(np.abs(wanted) * unit, 2.0**-24 if unit else 0)), what


def everything(dtype):
    """All numbers there are, those left out that f32 flushes, and a NaN."""
    numbers = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    with np.errstate(invalid="ignore"):  # of signalling NaN
        size = np.abs(numbers.astype(np.float32))
        return np.append(numbers[(size >= LEAST) | (size == 0)], np.array(np.nan, dtype))


def ties(dtype):
    """What lies halfway between two neighbours, and beside that, as f64."""
    numbers = np.unique(everything(dtype)[np.isfinite(everything(dtype))].astype(np.float64))
    middle = (numbers[1:] + numbers[:-1]) / 2
    middle = middle[np.abs(middle) >= LEAST]
    return np.concatenate([middle, np.nextafter(middle, np.inf), np.nextafter(middle, -np.inf), [1e39, -1e39, np.inf, np.nan]])


def assert_same(got, wanted):
    """Numbers and signs of zeros."""
    assert got.dtype == wanted.dtype
    got, wanted = got.astype(np.float64), wanted.astype(np.float64)
    np.testing.assert_array_equal(got, wanted)
    np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(wanted[wanted == 0]))


@pytest.mark.parametrize("target", RUNNING)
def test_casts_to_and_from_wider_floats_round_as_numpys(monkeypatch, target, narrow):
    monkeypatch.setenv("LEPTONC_TARGET", target)
    numbers, exact = everything(narrow), ties(narrow)
    with np.errstate(all="ignore"):
        f32 = np.concatenate([exact.astype(np.float32), np.nextafter(exact.astype(np.float32), np.float32(0))])
        f32 = f32[~(np.abs(f32) < LEAST)]
        arrays = (numbers, f32, exact)
        wanted = (numbers.astype(np.float32), numbers.astype(np.float64), f32.astype(narrow), exact.astype(narrow))
    found = leptonc.jit(lambda x, f32, f64: (lnp.astype(x, "f4"), lnp.astype(x, "f8"), lnp.astype(f32, narrow),
                                             lnp.astype(f64, narrow)))(*arrays)
    for got, expected in zip(found, wanted):
        assert_same(got, expected)


def test_casts_to_and_from_ints(narrow):
    numbers, rng = everything(narrow), np.random.default_rng(1)
    ints = [t.numpy for t in DTYPES.values() if t.is_int]
    divisors = 1 + rng.integers(0, 99, 5000)
    given = [rng.integers(np.iinfo(t).min, np.iinfo(t).max, 5000, dtype=t) // divisors.astype(t) for t in ints]

    def f(numbers, *given):
        return [lnp.astype(numbers, t) for t in (*ints, bool)], [lnp.astype(x, narrow) for x in given]

    for run in (leptonc.jit(f), f):
        out, back = run(numbers, *given)
        for t, got in zip((*ints, bool), out):
            np.testing.assert_array_equal(got, lnp.astype(numbers.astype(np.float32), t))
        for x, got in zip(given, back):
            with np.errstate(over="ignore"):
                assert_same(got, x.astype(narrow))


def test_promotion_beside_other_dtypes(narrow):
    """NumPy's; bfloat16, of which it knows nothing, as JAX: other floats win, all else does not."""
    x = np.ones(2, narrow)
    for dtype in DTYPES.values():
        if dtype.name in LOW:
            continue
        y = np.ones(2, dtype.numpy)
        wins = dtype.is_float or dtype.is_complex
        jaxs = np.promote_types(y.dtype, np.float32) if wins else narrow
        wanted = jaxs if narrow.name == "bfloat16" else np.result_type(x, y)
        assert lnp.add(x, y).dtype == leptonc.jit(lnp.add)(x, y).dtype == wanted
    for number in (True, 2, 2.5):
        assert lnp.multiply(x, number).dtype == leptonc.jit(lambda x, n=number: n * x)(x).dtype == narrow


def test_gradients_are_in_the_operands_dtype(narrow):
    rng = np.random.default_rng(2)
    w, x = rng.standard_normal((5, 3)).astype(narrow), rng.standard_normal((4, 5)).astype(narrow)

    def loss(w, x):
        return lnp.mean(lnp.astype(lnp.tanh(x @ w), np.float32) ** 2)

    got = leptonc.jit(leptonc.grad(loss))(w, x)
    wanted = leptonc.grad(loss)(w.astype(np.float32), x.astype(np.float32))
    assert got.dtype == narrow
    np.testing.assert_allclose(got.astype(np.float32), wanted, rtol=0.03, atol=0.01)


def test_reductions_do_not_overflow_or_stagnate_on_the_way(narrow):
    ones = np.ones(60_000, narrow)
    total, mean, far = leptonc.jit(lambda x: (lnp.sum(x), lnp.mean(x * 2), lnp.std(x * 200)))(ones)
    assert total == narrow.type(60_000) and mean == 2 and far == 0


def test_donation_and_random_numbers(narrow):
    x = np.ones(8, narrow)
    out = leptonc.jit(lambda x: x + 1, donate_argnums=0)(x)
    assert out.dtype == narrow and np.all(out == 2)
    key = leptonc.random.key(3)
    u = leptonc.random.uniform(key, (2000,), narrow)
    assert u.dtype == narrow and np.all(u < 1) and np.all(u >= 0) and 0.45 < u.astype(np.float32).mean() < 0.55
    normal = leptonc.random.normal(key, (9,), narrow)
    assert normal.dtype == leptonc.random.exponential(key, (9,), narrow).dtype == narrow
    np.testing.assert_array_equal(leptonc.jit(lambda k: leptonc.random.normal(k, (9,), narrow))(key), normal)


@pytest.mark.parametrize("target", RUNNING)
@pytest.mark.parametrize("length", [1, 5, 33])
def test_two_roundings_one_behind_the_other_stay_two(monkeypatch, target, length):
    """f64 -> f32 -> f16, written so or within a function computed in f64: LLVM would make one of them, and a library call."""
    monkeypatch.setenv("LEPTONC_TARGET", target)
    x = np.linspace(-3, 2, length).astype(np.float16)

    def f(x):
        wide = lnp.astype(x, np.float64) * 3.3
        return lnp.astype(lnp.astype(wide, np.float32), np.float16), lnp.sum(lnp.tanh(lnp.arctan2(x, x))), lnp.arctan2(x, x * 0.3)

    for got, wanted in zip(leptonc.jit(f)(x), f(x)):
        np.testing.assert_allclose(got.astype("f4"), wanted.astype("f4"), rtol=2e-3)
    np.testing.assert_array_equal(leptonc.jit(f)(x)[0], f(x)[0])
