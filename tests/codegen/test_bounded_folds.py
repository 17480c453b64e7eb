"""Folds of any kind over the first points of an axis: loops end there, whichever axis lies in lanes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest

import leptonc
from leptonc import driver
from leptonc import numpy as lnp
from leptonc.codegen.loops.bounded import bounded_folds
from leptonc.codegen.loops.linear import linear_stage
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Kernel, reduction_identity
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.types import TensorType, bool_, dtype_of, f32, f64, i8, i32, i64, u32
from leptonc.target import AVX2, AVX512, SSE, host_target
from tests.codegen.test_kernels import program_of

TARGETS = [t for t in (SSE, AVX2, AVX512) if t.vector_bytes <= host_target().vector_bytes]
RELATIONS = ("lt", "le", "gt", "ge")
LIMITS = (-3, 0, 1, 7, 8, 31, 33, 10**6, -(1 << 31), (1 << 31) - 1)


@dataclass(frozen=True)
class Case:
    """``kinds`` of x[m, k, n] along k, and along n as well if ``both``; a row's ``own`` limit, or one of all. ``turned``:
    x[m, n, k]."""

    m: int
    k: int
    n: int
    kinds: tuple[str, ...] = ("sum",)
    dtype: object = f32
    relation: str = "lt"
    counter: object = i32
    own: bool = False
    turned: bool = False
    both: bool = False
    inner: bool = False  # the limit is that of the inner axis
    other: float | None = None  # in the place of what folding nothing gives

    def kernel(self) -> Kernel:
        b = KernelBuilder("bounded")
        x = b.input(TensorType((self.m, self.n, self.k) if self.turned else (self.m, self.k, self.n), self.dtype))
        limits = b.input(TensorType((self.m,), self.counter))
        i, *rest = b.axes((self.m,) if self.both else (self.m, self.n))
        (r, *more) = b.axes((self.k, self.n) if self.both else (self.k,), reduce=True)
        j = more[0] if self.both else rest[0]
        stage = b.stage([i, *rest, r, *more])
        value = stage.load(x, (i, j, r) if self.turned else (i, r, j))
        number = stage.index(j if self.inner else r, self.counter)
        limit = stage.load(limits, (i,) if self.own else (0,))
        within = stage.apply(self.relation, *((number, limit) if self.relation in ("lt", "le") else (limit, number)))
        for kind in self.kinds:
            other = reduction_identity(kind, self.dtype) if self.other is None else self.other
            made = stage.select(within, value, stage.const(other, self.dtype))
            folded = stage.reduce(kind, made)
            out = b.output(TensorType((self.m,) if self.both else (self.m, self.n), folded.dtype))
            stage.store(out, (i, *rest), folded)
        return b.build()


def is_bounded(kernel: Kernel) -> bool:
    return bounded_folds(linear_stage(kernel, kernel.stages[0])) is not None


def numbers(rng, kind: TensorType) -> np.ndarray:
    dtype = kind.dtype
    if dtype.is_bool:
        return rng.random(kind.shape) < 0.5
    if not dtype.is_float:
        return rng.integers(-100, 100, kind.shape).astype(dtype.numpy)
    return (rng.standard_normal(kind.shape) + 0.25).astype(dtype.numpy)


CASES = [
    Case(5, 40, 64), Case(5, 40, 64, own=True, relation="ge"), Case(3, 300, 1, ("sum", "max"), relation="le"),
    Case(1, 5000, 3, relation="gt", dtype=f64), Case(4, 1000, 1, own=True, dtype=f64, turned=True), Case(2, 70, 33, ("max", "min")),
    Case(2, 64, 24, ("sum",), dtype=i32, counter=i64, own=True), Case(3, 45, 16, ("prod",), dtype=f64, relation="le"),
    Case(3, 37, 17, ("max",), dtype=i8, turned=True),
    Case(2, 50, 9, ("sum", "max", "min"), own=True), Case(2, 33, 70, ("sum",), turned=True, relation="ge"),
    Case(3, 20, 30, both=True), Case(3, 20, 30, both=True, inner=True, own=True),
    Case(2, 200, 48, both=True, inner=True, turned=True),
    Case(2, 9000, 1, ("sum",), own=True, relation="le"), Case(1, 33, 8, counter=u32),
]


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: t.name)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_they_end_there(case, target, rng):
    kernel = case.kernel()
    assert is_bounded(kernel)
    compiled = driver.compile_program(program_of(kernel), target)
    assert "%count" in compiled.llvm_text()
    x, limits = (p.type for p in kernel.inputs)
    info = np.iinfo(limits.dtype.numpy)
    for first in LIMITS:
        rows = np.clip(first + 5 * np.arange(case.m), info.min, info.max).astype(limits.dtype.numpy)
        arrays = [numbers(rng, x), rows]
        expected = run_program(program_of(kernel), arrays)
        found = [compiled.executable([np.array(a) for a in arrays], nthreads=threads) for threads in (1, 2, 3)]
        for n, want in enumerate(expected):
            tolerance = 1e-5 if want.dtype == "f4" else 1e-12
            np.testing.assert_allclose(found[0][n].astype("f8"), want.astype("f8"), rtol=tolerance, atol=10 * tolerance)
            assert found[0][n].tobytes() == found[1][n].tobytes() == found[2][n].tobytes()


@pytest.mark.parametrize("case", [Case(3, 40, 8, other=1.0), Case(3, 40, 8, ("max",), other=0.0), Case(2, 40, 8, ("argmax",)),
                                  Case(2, 40, 8, ("max", "argmax")), Case(2, 40, 8, ("any",), dtype=bool_)], ids=str)
def test_others_go_on(case):
    """Beyond the limit there is something; or a position is looked for; or the fold ends early anyway."""
    assert not is_bounded(case.kernel())


def test_limits_of_lanes_are_no_end(rng):
    """A limit for each column, which are lanes."""
    def f(x, n):
        return lnp.sum(lnp.where(lnp.arange(50)[:, None] < n, x, 0), axis=0)

    x, n = rng.standard_normal((50, 64)).astype("f4"), np.arange(-7, 57).astype("i4")
    np.testing.assert_allclose(leptonc.jit(f)(x, n), np.where(np.arange(50)[:, None] < n, x, 0).sum(0), rtol=1e-5, atol=1e-5)


def test_what_lies_beyond_does_not_matter():
    """NaN stays away from sums and extremes, and -0.0 from sums."""
    def f(x, n):
        inside = lnp.arange(x.shape[1]) < n
        return lnp.sum(lnp.where(inside, x, 0), axis=1), lnp.max(lnp.where(inside, x, -lnp.inf), axis=1)

    x = np.full((3, 1000), np.nan, np.float32)
    x[:, :10] = -0.0
    total, most = leptonc.jit(f)(x, np.int32(10))
    assert not np.signbit(total).any() and (most == 0).all()
    total, most = leptonc.jit(f)(x, np.int32(0))
    assert (total == 0).all() and np.isneginf(most).all()


@pytest.mark.parametrize("f, kernels", [
    (lambda x, y, n: lnp.sum(lnp.where(lnp.arange(64)[None, :, None] < n[0], x[:, :, None] * y[None], 0), axis=1), "contraction"),
    (lambda x, y, n: lnp.sum(lnp.where(lnp.arange(64) < n[:, None], x, 0), axis=-1), "count"),
    (lambda x, y, n: lnp.mean(x, axis=1, where=lnp.arange(64) < n[:, None]), "count"),
    (lambda x, y, n: leptonc.grad(lambda x: lnp.sum(lnp.where(lnp.arange(64) < n[:, None], x, 0) ** 2))(x), ""),
    (lambda x, y, n: leptonc.vmap(lambda row, k: lnp.max(lnp.where(lnp.arange(64) < k, row, -lnp.inf)))(x, n), "count"),
    (lambda x, y, n: lnp.sum(lnp.where(n[0] >= lnp.arange(64)[:, None], y, 0), axis=0), "count"),
], ids=["products", "rows", "mean", "gradient", "vmap", "columns"])
def test_users_masks_are_bounds(f, kernels, rng):
    """What ``arange`` is compared with: no table of numbers, no mask in memory."""
    args = (rng.standard_normal((50, 64)).astype("f4"), rng.standard_normal((64, 33)).astype("f4"), np.arange(50, dtype="i4") + 3)
    compiled = leptonc.jit(f)
    with leptonc.disable_jit():
        expected = f(*args)
    np.testing.assert_allclose(compiled(*args), expected, rtol=2e-5, atol=2e-5)
    program = driver.lower(driver.optimize(compiled.trace(*args).graph))
    assert ("= contraction" in driver.emit(program, "step")) == (kernels == "contraction")
    assert not kernels or "%count" in driver.emit(program, "llvm")
    assert not kernels or not re.search(r"constant i64|bool\[", str(program).split("call")[0])


def test_masks_that_end_nothing_are_made_once(rng):
    """A limit for each point of the fold, of a mask that many columns read: no comparison at each of them."""
    def f(x, n):
        inside = lnp.arange(30)[:, None] < n
        return lnp.sum(lnp.where(inside[:, :, None], x, 0), axis=1)

    x, n = rng.standard_normal((50, 64)).astype("f4"), np.arange(-7, 43, dtype="i8")
    np.testing.assert_allclose(leptonc.jit(f)(x, n), (np.arange(30)[:, None] < n).astype("f4") @ x, rtol=1e-4, atol=1e-4)
    assert "temp bool[30,50]" in str(driver.lower(driver.optimize(leptonc.jit(f).trace(x, n).graph)))


def test_a_counter_that_is_used_otherwise_stays_a_table():
    def f(n):
        places = lnp.arange(200)
        return places * 3, places < n

    program = str(driver.lower(driver.optimize(leptonc.jit(f).trace(np.int64(3)).graph)))
    assert "constant i64[200]" in program


def test_dtypes_of_counters(rng):
    for name in ("i32", "u32", "i64"):
        dtype = dtype_of(name).numpy
        x = rng.standard_normal((4, 100)).astype("f4")
        f = leptonc.jit(lambda x, n, dtype=dtype: lnp.sum(lnp.where(lnp.arange(100, dtype=dtype) < n, x, 0), axis=1))
        np.testing.assert_allclose(f(x, np.asarray(37, dtype)), x[:, :37].sum(1), rtol=1e-4, atol=1e-5)
