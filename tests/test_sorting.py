"""Sorts against NumPy's: every dtype, every algorithm, and what is hard for one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import driver, lax
from leptonc import numpy as lnp
from leptonc.bfloat16 import is_bfloat16
from leptonc.codegen.sorting.network import block_pairs
from leptonc.codegen.sorting.plan import plan_sort
from leptonc.ir.builder import Builder
from leptonc.ir.op import get_op
from leptonc.ir.sorting import Sort, order_key
from leptonc.ir.types import type_of_array
from leptonc.target import AVX2, AVX512, SSE, host_target

DTYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]
SPECIAL = np.array([np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 1.0, 1.0])


def hard(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Ties, extremes, and what of floats is special."""
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    with np.errstate(over="ignore"):
        if dtype.startswith("float"):
            return np.where(rng.random(shape) < 0.6, rng.choice(SPECIAL, shape), rng.standard_normal(shape)).astype(dtype)
    info = np.iinfo(dtype)
    some = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    kinds = rng.integers(0, 4, shape)
    return np.choose(kinds, [np.full(shape, info.min, dtype), np.full(shape, info.max, dtype), some % 3, some]).astype(dtype)


def attributes(count: int, axis: int = 0, **changed: Any) -> dict[str, Any]:
    return {"axis": axis, "keys": 1, "descending": False, "count": count, "values": True, "order": False} | changed


def compiled(arrays: list[np.ndarray], attrs: dict[str, Any]) -> list[np.ndarray]:
    builder = Builder("sorted")
    out = get_op("sort")(*(builder.input(type_of_array(a)) for a in arrays), **attrs)
    found: list[np.ndarray] = driver.compile_program(driver.lower(driver.optimize(builder.finish(list(out)))))(arrays)
    return found


def method(arrays: list[np.ndarray], attrs: dict[str, Any]) -> str:
    kernel = get_op("sort").lower(*map(type_of_array, arrays), **attrs)
    assert isinstance(kernel, Sort)
    return plan_sort(kernel, AVX512).method


def same(got: np.ndarray, wanted: np.ndarray) -> None:
    """Equal, NaNs alike, zeros of the same sign."""
    np.testing.assert_array_equal(got, wanted)
    if wanted.dtype.kind == "f":
        zeros = wanted == 0
        np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(wanted[zeros]))


def stable(x: np.ndarray, axis: int, descending: bool) -> np.ndarray:
    """NumPy's places; a descending order is that of the row back to front, back to front."""
    if not descending:
        return np.argsort(x, axis, kind="stable")
    return x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)


CASES = {"network": ((37, 3, 19), 1), "columns": ((70, 21), 0), "radix": ((700,), 0), "select": ((2, 3000), 1)}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_way_sorts_every_dtype(name: str, dtype: str):
    (shape, axis), rng = CASES[name], np.random.default_rng(3)
    x = hard(rng, dtype, shape)
    count = 7 if name == "select" else shape[axis]
    number = DTYPES.index(dtype) + list(CASES).index(name)
    some = [(number % 2 > 0, number % 4 > 1)] if dtype != "float32" else [(False, False), (True, False), (True, True)]
    for descending, order in some:
        attrs = attributes(count, axis, descending=descending, order=order)
        places = np.take(stable(x, axis, descending), range(count), axis)
        out = compiled([x], attrs)
        same(out[0], np.take_along_axis(x, places, axis))
        if order:
            same(out[1], places)


def test_the_cases_are_of_all_ways():
    found = {method([np.zeros(shape, np.float32)], attributes(7 if name == "select" else shape[axis], axis))
             for name, (shape, axis) in CASES.items()}
    assert found == {"network", "radix", "select"}


ROWS = {
    "random": lambda rng, n: rng.standard_normal(n), "sorted": lambda rng, n: np.arange(n) * 1.0,
    "reversed": lambda rng, n: -np.arange(n) * 1.0, "equal": lambda rng, n: np.full(n, 2.5),
    "two": lambda rng, n: rng.integers(0, 2, n) * 1.0, "NaN": lambda rng, n: np.full(n, np.nan),
    "organ": lambda rng, n: np.abs(np.arange(n) - n / 2),
}


@pytest.mark.parametrize("row", ROWS)
def test_rows_that_are_hard_for_some_algorithm(row: str):
    rng = np.random.default_rng(5)
    x = ROWS[row](rng, 3000).astype(np.float32)
    for rows in (1, 20):
        many = np.stack([x] * rows)
        out = compiled([many], attributes(3000, 1, order=True))
        same(out[0], np.sort(many, 1))
        same(out[1], np.argsort(many, 1, kind="stable"))
        out = compiled([many], attributes(10, 1, descending=True, order=True))
        same(out[1], stable(many, 1, True)[:, :10])


@pytest.mark.parametrize("n", [0, 1, 2, 3, 15, 16, 17, 31, 33, 63, 65, 100, 129])
def test_every_length_of_a_network(n: int):
    x = np.random.default_rng(n).integers(0, 50, (18, n)).astype(np.int32)
    same(compiled([x], attributes(n, 1))[0], np.sort(x, 1))


@pytest.mark.parametrize("target", ["sse", host_target().name])
@pytest.mark.parametrize("n", [17, 40, 129, 1000])
@pytest.mark.parametrize("count", [1, 2, 8, 9, 16, 17])
def test_the_first_few_of_a_network(monkeypatch: Any, count: int, n: int, target: str):
    """Runs are as long as a block, longer, and half of all; the last one is cut short or not."""
    monkeypatch.setenv("LEPTONC_TARGET", target)
    x = np.random.default_rng(n).integers(0, 50, (2, n, 18)).astype(np.int32)
    attrs = attributes(count, 1, order=True, descending=count % 2 > 0)
    assert method([x], attrs) == "network"
    places = stable(x, 1, attrs["descending"])[:, :count]
    values, found = compiled([x], attrs)
    same(found, places)
    same(values, np.take_along_axis(x, places, 1))


def test_block_networks_sort_all_zeros_and_ones():
    """Which is to sort everything."""
    for block in (2, 4, 8):
        bits = ((np.arange(1 << block)[:, None] >> np.arange(block)) & 1).astype(np.int8)
        for a, b in block_pairs(block):
            bits[:, [a, b]] = np.sort(bits[:, [a, b]], 1)
        assert (np.diff(bits, axis=1) >= 0).all()


@pytest.mark.parametrize("shape, axis", [((40, 30), 1), ((900,), 0)])
def test_several_keys(shape: tuple[int, ...], axis: int):
    rng = np.random.default_rng(8)
    keys = [rng.integers(0, 3, shape).astype(np.int8), rng.integers(-2, 2, shape).astype(np.int64), hard(rng, "float32", shape)]
    payload = rng.standard_normal(shape)
    for number in (1, 2, 3):
        places = np.lexsort([order_key(k) for k in keys[:number]][::-1], axis)
        out = compiled([*keys, payload], attributes(shape[axis], axis, keys=number))
        for got, x in zip(out, [*keys, payload]):
            same(got, np.take_along_axis(x, places, axis))


@pytest.mark.parametrize("target", [SSE, AVX2], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_narrower_machines(monkeypatch: Any, target: Any, dtype: str):
    monkeypatch.setenv("LEPTONC_TARGET", target.name)
    x = hard(np.random.default_rng(1), dtype, (21, 40))
    for order in (False, True):
        same(compiled([x], attributes(40, 1, order=order))[0], np.sort(x, 1, kind="stable"))


def test_bfloat16():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = hard(np.random.default_rng(2), "float32", (20, 50)).astype(bfloat16)
    out = compiled([x], attributes(50, 1))[0]
    assert is_bfloat16(out.dtype)
    same(out.astype(np.float32), np.sort(x.astype(np.float32), 1, kind="stable"))


def test_places_of_rows_longer_than_16_bits_count():
    x = np.random.default_rng(2).integers(0, 3, 70_000).astype(np.int8)
    same(compiled([x], attributes(70_000, values=False, order=True))[0], np.argsort(x, kind="stable"))


def test_threads_share_rows_and_give_the_same():
    x = np.random.default_rng(4).standard_normal((600, 200)).astype(np.float32)
    step = leptonc.jit(lambda x: lnp.sort(x * 2))
    assert "parallel" in step.trace(x).lower().compile().as_text("step")
    same(step(x), np.sort(x * 2, kind="stable"))


# In NumPy's and JAX's names


@pytest.mark.parametrize("axis", [0, -1, None])
@pytest.mark.parametrize("wrapped", [leptonc.jit, lambda f: f], ids=["jit", "eager"])
def test_along_every_axis(wrapped: Any, axis: int | None):
    x = hard(np.random.default_rng(6), "float32", (5, 8))
    row, along = (x.reshape(-1), 0) if axis is None else (x, axis)
    same(wrapped(lambda x: lnp.sort(x, axis))(x), np.sort(x, axis, kind="stable"))
    same(wrapped(lambda x: lnp.argsort(x, axis))(x), np.argsort(x, axis, kind="stable"))
    same(wrapped(lambda x: lnp.argsort(x, axis, descending=True))(x), stable(row, along, True))
    found = np.asarray(wrapped(lambda x: lnp.partition(x, 3, axis))(x))
    same(np.take(found, 3, along), np.take(np.sort(row, along), 3, along))


@pytest.mark.parametrize("wrapped", [leptonc.jit, lambda f: f], ids=["jit", "eager"])
def test_functions(wrapped: Any):
    rng = np.random.default_rng(6)
    x, keys = hard(rng, "float32", (5, 8)), rng.integers(0, 3, (2, 40))
    same(wrapped(lnp.lexsort)(keys), np.lexsort(keys))
    values, places = wrapped(lambda x: lax.top_k(x, 3))(x)
    assert places.dtype == np.int32
    same(places, stable(x, 1, True)[:, :3].astype(np.int32))
    same(values, np.take_along_axis(x, places, 1))
    a, b = wrapped(lambda k, v: lax.sort_key_val(k, v))(keys[0], keys[1])
    same(b, keys[1][np.argsort(keys[0], kind="stable")])
    same(a, np.sort(keys[0]))
    out = wrapped(lambda *k: lax.sort(k, num_keys=2))(keys[1], keys[0])
    same(out[1], keys[0][np.lexsort(keys)])


@pytest.mark.parametrize("wrapped", [leptonc.jit, lambda f: f], ids=["jit", "eager"])
def test_one_operand_may_stand_twice(wrapped: Any):
    x = np.random.default_rng(8).integers(0, 4, (6, 5))
    for found in wrapped(lambda x: lax.sort((x, x + 1, lnp.reshape(x, (6, 5)), x), 0, num_keys=2))(x)[::2]:
        same(found, np.sort(x, 0))


def test_gradients_follow_the_elements():
    x = np.random.default_rng(7).permutation(20).astype(np.float64).reshape(4, 5)
    w = np.arange(20.0).reshape(4, 5)
    wanted = np.empty((4, 5))
    np.put_along_axis(wanted, np.argsort(x, 1), w, 1)
    same(leptonc.grad(lambda x: lnp.sum(lnp.sort(x) * w))(x), wanted)
    values, tangents = leptonc.jvp(lambda x: lax.top_k(x, 2)[0], (x,), (w,))
    same(tangents, np.take_along_axis(w, stable(x, 1, True)[:, :2], 1))
    same(values, -np.sort(-x, 1)[:, :2])


@pytest.mark.parametrize("call, words", [
    (lambda x: lnp.sort(x, 2), "axis 2 is out of bounds"),
    (lambda x: lax.top_k(x, 6), "must be from 0 to 5"),
    (lambda x: lnp.partition(x, 5), "must be from -5 to 4"),
    (lambda x: lax.sort((x, x[0])), "of one shape"),
    (lambda x: lax.sort((x, x), num_keys=3), "must be from 1 to 2"),
    (lambda x: lnp.lexsort(()), "of one shape"),
])
def test_wrong_calls(call: Any, words: str):
    with pytest.raises(leptonc.errors.LeptonError, match=words):
        call(np.ones((4, 5)))
