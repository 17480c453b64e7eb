"""Promotion by NumPy's rules and JAX's, the default float dtype, and the settings that choose them."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest

import leptonc
from leptonc import config, lax
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError
from leptonc.ir.types import DTYPES
from tests import dtypes_page

F, I, U8 = np.float32, np.int32, np.uint8
NUMBERS = (True, 2, 2.0, 2j)
ARRAYS = {name: np.ones(2, kind.numpy) for name, kind in DTYPES.items() if not name.startswith("f8")}


def traced_and_eager(f, *args):
    """The dtypes of f's results, traced and op by op, which are the same."""
    found = [x.dtype for x in leptonc.eval_shape(f, *args)]
    with leptonc.disable_jit():
        assert [x.dtype for x in leptonc.jit(f)(*args)] == found
    return found


def test_arrays_and_numbers_make_what_numpy_makes():
    arrays = [x for name, x in ARRAYS.items() if name != "bf16"]
    pairs = [*itertools.product(range(len(arrays)), repeat=2)]

    def products(*xs):
        return [*(xs[m] * xs[n] for m, n in pairs), *(x * number for x in xs for number in NUMBERS)]

    wanted = [x.dtype for x in products(*arrays)]
    assert traced_and_eager(products, *arrays) == wanted


def test_the_page_has_the_tables_of_the_code():
    text = dtypes_page.PAGE.read_text()
    assert text.count("<!-- table:") == 2 and dtypes_page.written(text) == text, "run python -m tests.dtypes_page"


@config.override(promotion="jax")
def test_ints_do_not_make_floats_wider_with_jaxs_promotion():
    for kind in ("i8", "u16", "i32", "u64", "i64", "bool"):
        n = ARRAYS[kind]
        for floats in ("f16", "bf16", "f32", "f64"):
            x = ARRAYS[floats]
            assert set(traced_and_eager(lambda n, x: [n * x, x - n, n / x, lnp.maximum(n, x), lnp.where(x > 0, x, n)], n, x)) == {
                x.dtype}
        assert set(traced_and_eager(lambda n: [n / 255.0, n / n, lnp.sqrt(n), lnp.mean(n), n * 0.5], n)) == {np.dtype(F)}


@config.override(promotion="jax")
def test_what_a_weak_number_makes_of_ints_is_weak():
    def f(n, half, x):
        y = n * 2.0  # f32 so far
        z = lnp.where(n > 1, 1.0, n)
        return [y, y * half, lnp.sum(y) * half, y[0] * half, (y + 1) * x, z * half, lnp.astype(y, F) * half,
                lnp.reshape(y, (2, 1)) * half]

    x64 = np.ones(2, np.float64)
    wanted = [F, np.float16, F, np.float16, np.float64, np.float16, F, np.float16]
    assert traced_and_eager(f, np.ones(2, I), np.ones(2, np.float16), x64) == wanted


@config.override(promotion="jax")
def test_compiled_values_with_jaxs_promotion_are_those_of_f32():
    pixels, n, x = np.arange(5, dtype=U8), np.arange(5, dtype=I), np.linspace(-1, 1, 5).astype(F)

    def f(m, pixels, n, x):
        return m.divide(pixels, F(255)), m.multiply(x, n.astype(F)), m.add(n.astype(F), F(0.5))

    found = leptonc.jit(lambda pixels, n, x: (pixels / 255.0, x * n, n + 0.5))(pixels, n, x)
    for got, wanted in zip(found, f(np, pixels.astype(F), n, x), strict=True):
        assert got.dtype == F
        np.testing.assert_array_equal(got, wanted)


def test_gradients_and_loops_with_jaxs_promotion():
    def loss(x, n):
        total, _ = leptonc.lax.scan(lambda c, k: (c + lnp.sum(x * k / n), None), 0.0, lnp.arange(3))
        return total

    with config.override(promotion="jax"):
        found = leptonc.jit(leptonc.grad(loss))(np.ones(2, F), np.int64(2))
    assert found.dtype == F
    np.testing.assert_array_equal(found, [1.5, 1.5])


def test_settings_are_part_of_what_a_function_is_compiled_for():
    f = leptonc.jit(lambda n: n / 2)
    n = np.arange(3, dtype=I)
    for _ in range(2):  # the second time from the cache, the short way too
        assert f(n).dtype == f(n).dtype == np.float64
        with config.override(promotion="jax"):
            assert f(n).dtype == f(n).dtype == F
            with config.override(default_dtype="f16"):
                assert f(n).dtype == np.float16
    assert f.compiles == 3
    assert "numpy's promotion, default dtype float64 -> jax's promotion, default dtype float32" in f.explain()


def test_a_function_has_its_own_promotion():
    inner = config.override(promotion="jax")(lambda n: n / 2)
    found = leptonc.jit(lambda n: (inner(n), n / 2))(np.arange(3, dtype=I))
    assert [x.dtype for x in found] == [F, np.float64]


def test_assigned_settings_hold_everywhere_and_overrides_for_a_thread(monkeypatch):
    seen = []
    with config.override(default_dtype=F):
        thread = threading.Thread(target=lambda: seen.append(config.default_dtype))
        thread.start()
        thread.join()
        assert config.default_dtype == "float32" and seen == ["float64"]
    try:
        config.promotion = "jax"
        assert (config.promotion, config.default_dtype) == ("jax", "float32")
        with pytest.raises(KeyError), config.override(promotion="numpy"):
            assert config.promotion == "numpy"
            raise KeyError
        assert config.promotion == "jax"
        config.default_dtype = "f64"
        assert lnp.ones(1).dtype == np.float64
        config.default_dtype = None
        assert lnp.ones(1).dtype == F
    finally:
        config.promotion = "numpy"
    assert lnp.ones(1).dtype == np.float64


CREATED = {
    "zeros": lambda: lnp.zeros(2), "ones": lambda: lnp.ones((2, 1)), "empty": lambda: lnp.empty(2), "eye": lambda: lnp.eye(2),
    "identity": lambda: lnp.identity(2), "tri": lambda: lnp.tri(2), "full": lambda: lnp.full(2, 0.5),
    "list": lambda: lnp.asarray([1.5, 2]),
    "nested": lambda: lnp.array([[1.0], (True,)]), "float": lambda: lnp.asarray(1.5), "arange": lambda: lnp.arange(0, 1, 0.5),
    "linspace": lambda: lnp.linspace(0, 1, 3), "logspace": lambda: lnp.logspace(0, 1, 3),
    "geomspace": lambda: lnp.geomspace(1, 2, 3),
    "hanning": lambda: lnp.hanning(3), "kaiser": lambda: lnp.kaiser(3, 1.0), "fftfreq": lambda: lnp.fft.fftfreq(3),
    "fromfunction": lambda: lnp.fromfunction(lambda i: i, (2,)), "sqrt of a float": lambda: lnp.sqrt(2.0),
    "operand": lambda: lnp.add(lnp.zeros(2), [1.0, 2.0]),
}


@pytest.mark.parametrize("name", CREATED)
def test_the_default_dtype_is_that_of_what_is_created(name):
    make = CREATED[name]
    for kind in ("f16", "f32", "f64"):
        with config.override(default_dtype=kind):
            assert make().dtype == DTYPES[kind].numpy
            assert leptonc.jit(make).trace().graph.output_types[0].dtype.name == kind
    assert make().dtype == np.float64


def test_what_has_a_dtype_keeps_it_whatever_the_default():
    with config.override(default_dtype="f32"):
        assert lnp.asarray(np.ones(2)).dtype == lnp.asarray([np.float64(1)]).dtype == np.float64
        assert lnp.asarray([1, 2]).dtype == lnp.arange(3).dtype == np.int64
        assert lnp.asarray([1j, 2.0]).dtype == np.complex64
        assert lnp.zeros_like(np.ones(2)).dtype == lnp.zeros(2, np.float64).dtype == np.float64
        info = lnp.__array_namespace_info__().default_dtypes()
        assert (info["real floating"], info["complex floating"]) == (np.float32, np.complex64)
        third = leptonc.jit(lambda s, x: s * x)(1 / 3, np.ones(1))  # digits of an argument are not lost
        assert third.dtype == np.float64 and third[0] == 1 / 3


@leptonc.custom_vjp
def scaled(x, number):
    return x * number, number


scaled.defvjp(lambda x, number: (scaled(x, number), (x, number)), lambda saved, g: (g[0] * saved[1], lnp.sum(saved[0] * g[0])))


@leptonc.custom_jvp
def products(x, number):
    return x * number, number


products.defjvps(lambda t, out, x, number: (t * number, 0 * number), lambda t, out, x, number: (x * t, t))
NESTED = {  # (x * number, number)
    "jit": leptonc.jit(lambda x, number: (x * number, number)), "custom_vjp": scaled, "custom_jvp": products,
    "checkpoint": leptonc.checkpoint(lambda x, number: (x * number, number)),
    "cond": lambda x, number: lax.cond(x[0] > 0, lambda x, n: (x * n, n), lambda x, n: (x, n), x, number),
    "switch": lambda x, number: lax.switch(lnp.astype(x[0], I), [lambda x, n: (x, n), lambda x, n: (x * n, n)], x, number),
    "scan": lambda x, number: lax.scan(lambda c, row: (c, row * c), number, x)[::-1],
    "fori_loop": lambda x, number: lax.fori_loop(0, 1, lambda i, c: (c[0] * c[1], c[1]), (x, number)),
    "while_loop": lambda x, number: lax.while_loop(lambda c: c[0][0] < 2, lambda c: (c[0] * c[1], c[1]), (x, number)),
}


@pytest.mark.parametrize("settings", [{"promotion": "jax"}, {"default_dtype": "f32"}], ids=["jax", "f32"])
@pytest.mark.parametrize("name", NESTED)
def test_python_numbers_given_to_what_is_nested_are_of_the_default_dtype(name, settings):
    f, x = NESTED[name], np.ones(3, F)
    with config.override(**settings):
        assert traced_and_eager(lambda x: f(x, 2.0), x) == [F, F]
        assert leptonc.vmap(lambda x: f(x, 2.0)[0])(np.ones((2, 3), F)).dtype == F
        if name != "while_loop":  # which has no gradient
            assert leptonc.grad(lambda x: lnp.sum(f(x, 2.0)[0]))(x).tolist() == [2, 2, 2]
            for gradient in (leptonc.grad(lambda number: lnp.sum(f(x, number)[0])), leptonc.jacrev(lambda n: lnp.sum(f(x, n)[0]))):
                assert gradient(2.0) == 3 and gradient(2.0).dtype == leptonc.jit(gradient)(2.0).dtype == F


@config.override(promotion="jax")
@pytest.mark.parametrize("name", NESTED)
def test_python_numbers_that_come_out_of_what_is_nested_are_weak(name):
    f, x = NESTED[name], ARRAYS["bf16"]
    assert traced_and_eager(lambda x: [x * f(x, 2.0)[1], f(x, 2.0)[0]], x) == [x.dtype, x.dtype]


@pytest.mark.parametrize("settings", [{"promotion": "jax"}, {"default_dtype": "f32"}], ids=["jax", "f32"])
def test_python_numbers_that_meet_nothing_are_of_the_default_dtype(settings):
    with config.override(**settings):
        found = traced_and_eager(lambda s, z: [s, s * 2, lnp.asarray(s), lnp.full(3, s), z, 1.5], 2.0, 1j)
        assert found == [F, F, F, F, np.complex64, F]
        _, pull = leptonc.vjp(lambda s, x: s * x, 2.0, np.ones(2, F))
        assert pull(np.ones(2, F))[0].dtype == F


@pytest.mark.parametrize("call, said", [
    (lambda: setattr(config, "promotion", "torch"), "promotion=torch must be 'numpy' or 'jax'"),
    (lambda: setattr(config, "default_dtype", np.int32), "default_dtype=.* must be one of f16, bf16, f32, f64"),
    (lambda: setattr(config, "promotions", "jax"), "no setting promotions; did you mean promotion"),
    (lambda: config.override(promotion=np.ones(2)).__enter__(), "promotion="),
])
def test_wrong_settings(call, said):
    with pytest.raises(ArgumentError, match=said):
        call()
    assert (config.promotion, config.default_dtype) == ("numpy", "float64")
