"""Warnings: f64 that enters a function of f32, donations that nothing is written into; and none where all is as it was meant."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import leptonc
from leptonc import LeptonWarning, config, lax, nn, optim, random
from leptonc import numpy as lnp

X = np.ones((4, 3), np.float32)
TABLE = np.linspace(0, 1, 3)


def shown(f, *args):
    """The warnings of a call, as texts; all of leptonc's, and at this file."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        f(*args)
    assert all(w.category is LeptonWarning and w.filename == __file__ for w in found), [str(w.message) for w in found]
    return [str(w.message) for w in found]


WIDENING = {
    "a root of NumPy's": (lambda x: x / np.sqrt(3), "a number of NumPy's in f64 makes f64 of f32; fix: float.number."),
    "a number on the left": (lambda x: np.float64(2) * x, "fix: float.number."),
    "a table": (lambda x: x @ TABLE, "an array in f64 makes f64 of f32; fix: array.astype.numpy.float32."),
    "a table of leptonc's": (lambda x: x + lnp.asarray(TABLE)[::-1], "fix: array.astype"),
    "a function of a table": (lambda x: lnp.maximum(lnp.sqrt(lnp.asarray(TABLE)), x), "fix: array.astype"),
    "zeros": (lambda x: lnp.concatenate([x, lnp.zeros((1, 3))]), "created without a dtype .* leptonc.config.default_dtype"),
    "linspace": (lambda x: x * lnp.linspace(0, 1, 3), "created without a dtype"),
    "a list": (lambda x: x + lnp.asarray([1.0, 2.0, 3.0]), "created without a dtype"),
    "complex numbers": (lambda x: x * np.complex128(1j), "c128 enters lambda, whose inputs are narrower: .* c128 of f32"),
    "16 bits": (lambda x: x.astype(np.float16) + TABLE, "f64 of f16"),
    "in a loop": (lambda x: lax.fori_loop(0, 3, lambda i, y: (y * np.float64(2)).astype(np.float32), x), "f64 enters lambda"),
    "a list of traced values": (lambda x: lnp.asarray([x[0, 0], 1.0]), "created without a dtype"),
    "under grad": (leptonc.grad(lambda x: lnp.sum(x * np.float64(2))), "f64 enters lambda"),
    "a choice": (lambda x: lnp.where(x > 0, x, np.float64(0)), "fix: float"),
}


@pytest.mark.parametrize("name", WIDENING)
def test_f64_that_enters_is_shown_with_the_line(name):
    f, said = WIDENING[name]
    jitted = leptonc.jit(f)
    with pytest.warns(LeptonWarning, match=f"{said}.* \\(test_notices.py:\\d+\\)$"):
        jitted.trace(X)
    assert shown(jitted, X)


def test_a_line_is_shown_once():
    def f(x):
        for _ in range(3):
            x = lnp.astype(x * np.float64(2), np.float32)
        return x

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        leptonc.jit(f)(X)
        leptonc.jit(f)(X[:2])
    assert len(found) == 1 and found[0].lineno == f.__code__.co_firstlineno + 2


MEANT = {
    "f64 arguments": (lambda x, y: x * y * np.sqrt(2) + TABLE, X, TABLE),
    "Python's numbers": (lambda x: x * 2.0 / 3 + 1j, X),
    "an argument of Python's": (lambda x, s: x * s, X, 0.5),
    "a cast": (lambda x: x.astype(np.float64) * np.sqrt(2) + TABLE, X),
    "a dtype that was named": (lambda x: x + lnp.zeros(3, np.float64) + lnp.asarray(TABLE, np.float64), X),
    "ints": (lambda x, n: (n * np.sqrt(2), n / 3, x * n), X, np.arange(3)),
    "constants among themselves": (lambda x: x * float(lnp.sum(lnp.sqrt(TABLE))), X),
    "casts of constants": (lambda x: x + TABLE.astype(np.float32) + np.float32(np.sqrt(2)), X),
    "a returned table": (lambda x: (x, TABLE), X),
    "set": (lambda x: x.at[0].set(np.float64(2)).at[1].add(TABLE), X),
    "layers": (lambda x: nn.softmax(nn.layer_norm(nn.gelu(x), X[0], X[0])), X),
    "statistics": (lambda x: (lnp.quantile(x, 0.3), lnp.percentile(x, [30, 60], 0), lnp.histogram(x), lnp.std(x)), X),
    "random numbers": (lambda k: [random.normal(k, (3,)), random.gamma(k, np.float32(2)), random.poisson(k, np.float32(2))],
                       random.key(0)),
}


@pytest.mark.parametrize("name", MEANT)
def test_what_is_meant_is_not_shown(name):
    f, *args = MEANT[name]
    assert not shown(leptonc.jit(f), *args)
    with leptonc.disable_jit():
        assert not shown(leptonc.jit(f), *args)


def test_with_a_default_dtype_nothing_widens():
    f = leptonc.jit(lambda x: x + lnp.zeros(3) + lnp.linspace(0, 1, 3) + lnp.asarray([1.0, 2.0, 3.0]))
    with config.override(default_dtype="f32"):
        assert not shown(f, X) and f(X).dtype == np.float32


def test_steps_of_optimizers_show_nothing():
    params = {"w": X, "b": X[0]}
    for opt in (optim.adam(1e-3), optim.lamb(optim.cosine_decay_schedule(0.1, 10)), optim.radam(0.1), optim.adafactor(0.1)):
        step = leptonc.jit(lambda g, s, p, opt=opt: opt.update(g, s, p), donate_argnums=1)
        assert not shown(step, params, opt.init(params), params)


def test_donations_without_a_use_are_shown():
    f = leptonc.jit(lambda params, x: {"w": params["w"] * 2, "n": params["n"]}, donate_argnums=(0, 1))
    params = {"w": X.copy(), "n": np.int32(3), "old": np.ones(5, np.float32)}
    (found,) = shown(f, params, np.ones((2, 2), np.float32))
    assert "lambda cannot use what is donated to it: params['old']=f32[5], x=f32[2,2]; no result of that type" in found


def test_donations_that_are_used_are_not_shown():
    f = leptonc.jit(lambda p, s, empty: (p + 1, empty[:0]), donate_argnums=(0, 1, 2))
    assert not shown(f, X.copy(), 0.5, np.ones((0, 2), np.float32))
    assert not shown(leptonc.jit(lambda p: (p, p + 1), donate_argnums=0), X.copy())
