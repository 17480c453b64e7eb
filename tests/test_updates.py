"""``x.at``: every form of an index and every method against NumPy; modes, duplicates, gradients, threads, code."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.codegen.step.build import build_step
from leptonc.codegen.step.interpret import ORDERS, run_step
from leptonc.errors import ArgumentError, LeptonError, MissingNameError, RangeError
from leptonc.target import AVX512

UFUNCS = {"add": np.add, "subtract": np.subtract, "multiply": np.multiply, "min": np.minimum, "max": np.maximum}
A, B = np.array([2, -1, 2, 0]), np.array([[1], [-3]])
MASK = np.array([True, False, True, True])
INDICES = {
    "int": (-1,), "window": (slice(1, 3), slice(None), slice(2, 5)), "steps": (slice(None, None, 2), slice(3, None, -2)),
    "new axes": (None, slice(1, None), None, 2), "dots": (..., slice(4, None, -3)), "array": (A,), "second": (slice(None), A),
    "last": (..., A), "pairs": (A, A[::-1]), "apart": (A, slice(1, 4, 2), A), "stretched": (slice(1, 3), A, B),
    "int beside": (1, slice(None), A), "part beside": (slice(1, 3), A, slice(None, None, 2)), "mask": (MASK,),
    "mask of two": (slice(None), np.arange(20).reshape(4, 5) % 3 == 0), "mask and array": (MASK, slice(1, 2), np.array([4, 4, 0])),
    "empty": (np.zeros(0, int),), "nothing": (slice(3, 3), A), "one": (np.array(2), 1, np.array([3])), "all": (),
}


def updated(x: np.ndarray, index: tuple, method: str, values: np.ndarray) -> np.ndarray:
    """NumPy's, one value after the other."""
    out, numbers = x.copy().reshape(-1), np.arange(x.size).reshape(x.shape)[index].reshape(-1)
    values = np.broadcast_to(values, x[index].shape).reshape(-1)
    if method == "set":
        for at, value in zip(numbers, values):
            out[at] = value
    else:
        UFUNCS[method].at(out, numbers, values)
    return out.reshape(x.shape)


@pytest.mark.parametrize("name", INDICES)
def test_every_index_with_every_method(name: str, rng):
    index, x = INDICES[name], np.random.default_rng(5).permutation(80).reshape(4, 4, 5) * 0.25
    values = np.random.default_rng(6).permutation(x[index].size).reshape(x[index].shape) * 0.5 + 0.125
    arrays = [i for i in index if isinstance(i, np.ndarray) and i.dtype.kind == "i"]

    def all_methods(x, values, arrays):
        given = iter(arrays)
        here = tuple(next(given) if isinstance(i, np.ndarray) and i.dtype.kind == "i" else i for i in index)
        return x.at[here].get(mode="clip"), x.at[here].set(values), {m: getattr(x.at[here], m)(values) for m in UFUNCS}

    wanted = x[index], updated(x, index, "set", values), {m: updated(x, index, m, values) for m in UFUNCS}

    def check(found) -> None:
        for got, of in zip(leptonc.tree.leaves(found), leptonc.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(got, of, rtol=1e-15)

    check(leptonc.jit(all_methods)(x, values, arrays))
    check(leptonc.jit(lambda x, values: all_methods(x, values, arrays))(x, values))
    with leptonc.disable_jit():
        check(leptonc.jit(all_methods)(x, values, arrays))


def test_values_stretch_and_take_the_dtype_of_x():
    x = np.zeros((3, 4), np.int32)
    found = leptonc.jit(lambda x, i: (x.at[i].set(2.75), x.at[:, i].add(np.arange(3)[:, None])))(x, np.array([0, 2]))
    np.testing.assert_array_equal(found[0], [[2] * 4, [0] * 4, [2] * 4])
    np.testing.assert_array_equal(found[1], [[0] * 4, [1, 0, 1, 0], [2, 0, 2, 0]])
    assert found[0].dtype == np.int32
    with pytest.raises(LeptonError, match="do not broadcast"):
        leptonc.jit(lambda x, i: x.at[i].set(np.zeros((3, 4))))(x, np.array([0, 2]))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "bfloat16"])
def test_other_dtypes(dtype: str):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    x = lnp.astype(lnp.asarray([1, 0, 3, 1]), dtype)
    found = leptonc.jit(lambda x, i: (x.at[i].set(x[::-1]), x.at[i].max(x), x.at[i].min(x), x.at[i].mul(x), x.at[i].add(x)))(
        x, np.array([1, 1, 2, 9]))
    with leptonc.disable_jit():
        wanted = leptonc.jit(lambda x, i: (x.at[i].set(x[::-1]), x.at[i].max(x), x.at[i].min(x), x.at[i].mul(x), x.at[i].add(x)))(
            x, np.array([1, 1, 2, 9]))
    for got, of in zip(found, wanted):
        assert got.dtype == x.dtype == of.dtype
        np.testing.assert_array_equal(np.asarray(got, float), np.asarray(of, float))


def test_modes():
    x, i = np.arange(5.0), np.array([7, -7, -1])

    def all_modes(x, i):
        at = x.at[i]
        return (at.get(), at.get(mode="fill"), at.get(fill_value=3), at.get(mode="clip"), at.set(9, mode="clip"), at.set(9), at.add(
            1, mode="drop"), at.get(mode=lax.GatherScatterMode.CLIP))

    wanted = ([4, 0, 4], [np.nan, np.nan, 4], [3, 3, 4], [4, 0, 4], [9, 1, 2, 3, 9], [0, 1, 2, 3, 9], [0, 1, 2, 3, 5], [4, 0, 4])
    for got, of in zip(leptonc.jit(all_modes)(x, i), wanted, strict=True):
        np.testing.assert_array_equal(got, of)
    y = lnp.asarray(x)
    np.testing.assert_array_equal(leptonc.jit(lambda y: y.at[i].set(9, mode="drop"))(y), [0, 1, 2, 3, 9])
    np.testing.assert_array_equal(leptonc.jit(lambda y: y.at[8].get(mode="fill", fill_value=2))(y), 2)
    with pytest.raises(RangeError):
        leptonc.jit(lambda y: y.at[i].set(9))(y)
    with pytest.raises(ArgumentError, match="one of 'clip'"):
        leptonc.jit(lambda y: y.at[i].set(9, mode="wrap"))(y)
    with pytest.raises(MissingNameError, match="did you mean multiply"):
        leptonc.jit(lambda y: y.at[0].multply(2))(y)


def test_apply_as_often_as_a_place_is_met():
    x, i = np.arange(1.0, 6), np.array([1, 3, 1, -9, 1])
    wanted = x.copy()
    for at in (1, 3, 1, 1):
        wanted[at] = wanted[at] * 2 + 1
    np.testing.assert_array_equal(leptonc.jit(lambda x: x.at[i].apply(lambda v: v * 2 + 1, mode="drop"))(x), wanted)
    np.testing.assert_array_equal(leptonc.jit(lambda x, i: x.at[i].apply(lambda v: v * 2 + 1))(x, i), wanted)
    slope = leptonc.grad(lambda x: lnp.sum(x.at[i].apply(lambda v: v * v, mode="drop")))(x)
    np.testing.assert_allclose(slope, [1, 8 * x[1] ** 7, 1, 2 * x[3], 1])


def test_a_product_with_duplicates_says_that_it_has_no_gradient():
    with pytest.raises(LeptonError, match="unique_indices=True"):
        leptonc.grad(lambda x, i: lnp.sum(x.at[i].multiply(2.0)))(np.ones(3), np.array([0, 0]))


@pytest.mark.parametrize("method", ["mul", "max", "set", "add"])
def test_gradients_of_nothing_updated(method: str):
    """No elements, no places."""
    def f(x, u):
        return lnp.sum(getattr(x.at[np.zeros(0, np.int64)], method)(u, unique_indices=True) ** 2)

    slopes = leptonc.jit(leptonc.grad(f, (0, 1)))(np.zeros((0, 4)), 2.0)
    assert slopes[0].shape == (0, 4) and slopes[1] == 0


def test_equal_extremes_share_the_gradient():
    x, u = np.array([1.0, 5.0]), np.array([1.0, 1.0, 9.0])
    found = leptonc.jit(leptonc.grad(lambda x, u, i: lnp.sum(x.at[i].max(u)), (0, 1)))(x, u, np.array([0, 0, 1]))
    np.testing.assert_allclose(found[0], [1 / 3, 0])
    np.testing.assert_allclose(found[1], [1 / 3, 1 / 3, 1])


@pytest.mark.parametrize("method", ["set", "add", "multiply"])
def test_the_same_bits_for_any_number_of_threads(method: str):
    rng = np.random.default_rng(4)
    x, i, u = (rng.standard_normal((50, 96)).astype(np.float32), rng.integers(0, 50, 3000),
               rng.standard_normal((3000, 96)).astype(np.float32))
    call = leptonc.jit(lambda x, i, u: getattr(x.at[i], method)(u))
    found = []
    try:
        for threads in (1, 2, 3, 4):
            leptonc.set_num_threads(threads)
            found.append(np.asarray(call(x, i, u)).tobytes())
    finally:
        leptonc.set_num_threads(None)
    assert len(set(found)) == 1
    if method == "set":
        np.testing.assert_array_equal(np.frombuffer(found[0], np.float32).reshape(x.shape), updated(x, (i,), "set", u))


@pytest.mark.parametrize("method", ["set", "add", "max"])
def test_rows_are_shared_among_items_of_columns(method: str):
    """An item adds its columns of all rows, in order: the verifier lets them run at once, and any order of items gives the same."""
    rng = np.random.default_rng(4)
    x, i, u = (rng.standard_normal((7, 96)).astype(np.float32), rng.integers(-8, 8, 900),
               rng.standard_normal((900, 96)).astype(np.float32))
    program = leptonc.jit(lambda x, i, u: getattr(x.at[i], method)(u)).trace(x, i, u).lower().program
    step = build_step(program, AVX512)
    (scatter,) = [unit for unit in step.units if "loop i2:900" in unit.description]
    assert scatter.items == 3
    keep = (i >= -7) & (i < 7)
    wanted = updated(x, (i[keep],), method, u[keep])
    for order in ORDERS:
        (found,) = run_step(step, [x, i, u], 2, order)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_a_set_needs_no_pairs_of_places():
    """As many steps as there are updates, however long x is."""
    x, i, u = np.zeros((1000, 3), np.float32), np.zeros(500, np.int64), np.ones((500, 3), np.float32)
    kernels = leptonc.jit(lambda x, i, u: x.at[i].set(u)).trace(x, i, u).lower().program.calls
    assert not any({500, 1000} <= {a.extent for a in stage.axes} for call in kernels for stage in call.kernel.stages)
