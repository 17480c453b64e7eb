"""What users get wrong: each a LeptonError that names the op, the operands and the user's line."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import leptonc
from leptonc import nn
from leptonc import numpy as lnp
from leptonc.errors import DtypeError, IRError, LeptonError, ShapeError, TracerError, TreeError
from leptonc.ir.reader import parse

F = np.float32


def message(f, *args, kind=LeptonError):
    """The message of the error that jit raises; eager mode raises one of the same kind, with the line as well."""
    with pytest.raises(kind, match=r"test_bad_input.py"), leptonc.disable_jit():
        leptonc.jit(f)(*args)
    with pytest.raises(kind) as jitted:
        leptonc.jit(f)(*args)
    return str(jitted.value)


def test_channels():
    text = message(lambda x, w: nn.conv(x, w), np.zeros((2, 5, 5, 3), F), np.zeros((3, 3, 8, 4), F), kind=ShapeError)
    line = inspect.currentframe().f_lineno - 1
    assert text == f"conv: x has 3 channels, w wants 8; x=f32[2,5,5,3], w=f32[3,3,8,4] (test_bad_input.py:{line})"


@pytest.mark.parametrize("f, shapes, words", [
    (lambda a, b: a + b, [(2, 3), (4,)], ["add", "f32[2,3]", "f32[4]"]),
    (lambda a, b: a @ b, [(2, 3), (4, 5)], ["matmul", "3 columns", "4 rows"]),
    (lambda a: a.reshape(7), [(2, 3)], ["reshape", "6 elements", "f32[2,3]"]),
    (lambda a: a.sum(axis=2), [(2, 3)], ["sum", "axis 2", "f32[2,3]"]),
    (lambda a: a.sum(axis=(0, -2)), [(2, 3)], ["sum", "twice"]),
    (lambda a: lnp.max(a, axis=0), [(0, 3)], ["no elements"]),
    (lambda a: nn.max_pool(a, 9), [(1, 4, 4, 1)], ["max_pool", "f32[1,4,4,1]"]),
    (lambda a: nn.conv(a, np.zeros((3, 3, 1, 1), F), padding="WRONG"), [(1, 4, 4, 1)], ["conv", "WRONG", "SAME"]),
    (lambda a: nn.conv(a, np.zeros((5, 5, 1, 1), F)), [(1, 4, 4, 1)], ["does not fit"]),
    (lambda a: nn.conv(a, np.zeros((3, 3, 1, 1), F), stride=0), [(1, 4, 4, 1)], ["stride", "0"]),
    (lambda a: a[5], [(3,)], ["index", "5"]),
    (lambda a, b: lnp.concatenate([a, b], 1), [(2, 3), (3, 3)], ["concatenate"]),
    (lambda a, b: nn.cross_entropy(a, b), [(2, 3), (2, 4)], ["cross_entropy", "f32[2,3]", "f32[2,4]"]),
])
def test_shapes(f, shapes, words):
    text = message(f, *(np.zeros(s, F) for s in shapes), kind=ShapeError)
    assert all(word in text for word in words), text
    assert "test_bad_input.py" in text


@pytest.mark.parametrize("f", [
    lambda x: np.array(["2020"], "M8[s]") * x, lambda x: x.astype("longdouble"), lambda x: x & 1, lambda x: lnp.asarray("text") + x,
    lambda x: ~x, lambda x: nn.one_hot(x, 3), lambda x: lnp.take(x, x),
])
def test_dtypes(f):
    message(f, np.ones(3), kind=DtypeError)


@pytest.mark.parametrize("f, words", [
    (lambda x: 1 if x.sum() > 0 else 2, ["bool()", "where"]),
    (lambda x: float(x[0]), ["float()"]),
    (lambda x: lnp.zeros(x.sum().astype(int)), ["size", "static_argnums"]),
    (lambda x: np.exp(x), ["numpy.exp", "leptonc.numpy.exp"]),
    (lambda x: x.item(), ["item()"]),
    (lambda x: {x: 1}, ["hash()"]),
])
def test_traced_values_used_as_concrete_ones(f, words):
    with pytest.raises(TracerError) as error:
        leptonc.jit(f)(np.ones(3, F))
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "test_bad_input.py" in str(error.value)


def test_item_assignment():
    def f(x):
        x[0] = 1
        return x

    with pytest.raises(TracerError, match=r"x\.at\[i\]\.set"):
        leptonc.jit(f)(np.ones(3))


def test_leaked_tracer():
    leaked = []
    leptonc.jit(lambda x: leaked.append(x) or x)(np.ones(3, F))
    with pytest.raises(TracerError, match=r"f32\[3\].*leaked"):
        leaked[0] + 1
    with pytest.raises(TracerError, match="leaked"):
        leptonc.jit(lambda x: x + leaked[0])(np.ones(3, F))


def test_wrong_trees():
    compiled = leptonc.jit(lambda p: p["a"] + 1).trace({"a": np.ones(2)}).lower().compile()
    with pytest.raises(TreeError, match=r"'b'|b"):
        compiled({"b": np.ones(2)})
    with pytest.raises(ShapeError, match=r"f64\[2\].*f64\[3\]"):
        compiled({"a": np.ones(3)})
    with pytest.raises(DtypeError):
        compiled({"a": np.ones(2, np.int32)})
    with pytest.raises(TreeError):
        leptonc.tree.map(lambda a, b: a, {"a": 1}, {"b": 1})


def test_arguments_that_are_no_arrays():
    with pytest.raises(DtypeError, match=r"x is .*set"):
        leptonc.jit(lambda x: x)({1, 2})
    with pytest.raises(DtypeError, match="static_argnames"):
        leptonc.jit(lambda x: x)("text")


def test_gradients_of_what_has_none():
    with pytest.raises(ShapeError, match="scalar"):
        leptonc.grad(lambda x: x)(np.ones(3))
    with pytest.raises(DtypeError):
        leptonc.grad(lambda x: x.sum())(np.ones(3, np.int32))


def test_casts_of_nan_and_out_of_range():
    x = np.array([np.nan, np.inf, -np.inf, 3e9, -3e9, 1.9])
    wanted = [0, 2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 1]
    f = leptonc.jit(lambda x: x.astype("i32"))
    np.testing.assert_array_equal(f(x), wanted)
    with leptonc.disable_jit():
        np.testing.assert_array_equal(leptonc.jit(lambda x: lnp.astype(x, "i32"))(x), wanted)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0)])
def test_empty_arrays(shape):
    x = np.zeros(shape)
    f = leptonc.jit(lambda x: (x.sum(0), lnp.exp(x) * 2, x.T, lnp.concatenate([x, x]), x.reshape(-1) if x.ndim == 1 else x.T))
    for got, wanted in zip(f(x), (x.sum(0), np.exp(x) * 2, x.T, np.concatenate([x, x]), x.T)):
        np.testing.assert_array_equal(got, wanted)


def text():
    return str(leptonc.make_graph(lambda x, w: nn.relu(nn.conv(x, w, padding=1)).sum())(
        np.zeros((1, 4, 4, 2), F), np.zeros((3, 3, 2, 2), F)))


def test_truncated_ir_text():
    whole = text()
    for cut in range(len(whole) - 1):
        with pytest.raises(IRError):
            parse(whole[:cut])


def test_garbled_ir_text(rng):
    whole = text()
    for _ in range(400):
        at, char = rng.integers(len(whole)), chr(rng.integers(32, 127))
        try:
            parse(whole[:at] + char + whole[at + 1:])
        except IRError:
            pass  # anything else would fail the test


@pytest.mark.parametrize("change, words", [
    (("relu(", "rleu("), "did you mean relu"),
    (("f32[1,4,4,2]", "f99[1,4,4,2]"), "no dtype"),
    (("return %", "return %9"), "nothing defines"),
    (("padding = ((1, 1), (1, 1))", "padding = ((1, 1),)"), "padding"),
    (("groups = 1, ", ""), "attributes"),
    (("= relu(%", "= relu(%9"), "before it is defined"),
])
def test_wrong_ir_text(change, words):
    with pytest.raises(IRError, match=words):
        parse(text().replace(*change))


def test_deeply_nested_text_is_an_error_not_a_crash():
    with pytest.raises(IRError, match="nested"):
        parse("graph @f() { %0: f32[] = constant() {value = " + "(" * 100_000)
    with pytest.raises(IRError):
        parse(b"graph")
    with pytest.raises(IRError):
        parse("")
