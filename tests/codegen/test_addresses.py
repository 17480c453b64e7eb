"""Addresses as they are written: numbers last, shared registers, and of the loops around nothing but a frozen sum."""

from __future__ import annotations

import re

import numpy as np
import pytest

import leptonc
from leptonc import nn
from leptonc import numpy as lnp
from leptonc.codegen.llvm.emitter import Emitter
from tests.compare import exact


def test_numbers_stand_last():
    """(x + 3) * 8 + (y + 2) - 1 is x * 8 + y and 25."""
    e = Emitter()
    total = e.add(e.add(e.mul(e.add("%x", "3"), "8"), e.add("%y", "2")), "-1")
    register, number = e.parts(total)
    assert number == 25
    assert e.add(e.mul("%x", "8"), "%y") == register
    assert e.at("float", "%p", total).startswith("%at") and "i64 25" in e.lines[-1] and f"i64 {register}" in e.lines[-2]


def test_numbers_alone_are_folded():
    e = Emitter()
    assert e.add("3", "-5") == "-2" and e.mul("3", "-5") == "-15" and e.mul("%x", "0") == "0" and e.add("%x", "0") == "%x"
    assert e.add(e.add("%x", "3"), "-3") == "%x" and e.parts("7") == ("0", 7) and e.at("float", "%p", 0) == "%p"
    assert e.mul("%x", "%y") == e.mul("%x", "%y")
    e.block("next")
    assert len(e.lines) == 3
    e.mul("%x", "%y")  # what is known in one block is not in another
    assert len(e.lines) == 4


def _bodies(text: str) -> list[str]:
    """The innermost loops of a listing."""
    return [body for body in re.split(r"^[\w.]+:\n", text, flags=re.MULTILINE) if body.count(" load ") >= 27]


def test_what_differs_by_numbers_shares_a_register(rng):
    """A stencil of 27 points: two or three sums, not one for each point."""
    def f(x):
        places = [(i, j, k) for i in range(3) for j in range(3) for k in range(3)]
        return sum(x[i:i + 6, j:j + 7, k:k + 64] * float(9 * i + 3 * j + k + 1) for i, j, k in places)

    x = rng.standard_normal((8, 9, 66)).astype(np.float32)
    np.testing.assert_allclose(leptonc.jit(f)(x), exact(f, x), rtol=1e-4, atol=1e-4)
    bodies = _bodies(leptonc.jit(f).compiled_for(x).as_text("llvm"))
    assert bodies
    for body in bodies:
        assert len(set(re.findall(r"add nsw i64 (%[\w.]+), %", body))) <= 3


def test_sums_of_outer_loops_are_frozen(rng):
    """Those of a step with Winograd's transformations, whose strength reduction took nine tenths of their time."""
    def f(x, w):
        return lnp.sum(nn.relu(nn.conv(x, w, padding=1)) ** 2)

    x, w = rng.standard_normal((2, 14, 14, 32)).astype(np.float32), rng.standard_normal((3, 3, 32, 32)).astype(np.float32)
    step = leptonc.jit(leptonc.value_and_grad(f, argnums=(0, 1)))
    text = step.compiled_for(x, w).as_text("llvm")
    held = set(re.findall(r"(%held[\w.]*) = freeze", text))
    assert held and all(len(re.findall(rf"{re.escape(name)}\b(?!\.)", text)) > 1 for name in held)


def _examples(x, w):
    return leptonc.vmap(lambda x, w: lnp.tensordot(x, w, ((0, 2), (0, 1))), (3, None))(x, w)


def _peaks(x, w):
    return lnp.sum(lnp.max(nn.relu(nn.conv(x, w) + w[0, 0, 0]), (1, 2)) @ w[0, 0, 0][:, None])


@pytest.mark.parametrize("f, shapes, dtype", [
    (_examples, [(2, 9, 32, 2), (2, 32, 15)], "f4"), (leptonc.grad(_peaks, (0, 1)), [(3, 5, 9, 1), (3, 3, 1, 17)], "f8"),
])
def test_a_sum_is_frozen_in_its_own_loop(f, shapes, dtype, rng):
    """And not where another loop has the same register."""
    args = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    with leptonc.disable_jit():
        wanted = leptonc.tree.leaves(f(*args))
    for got, expected in zip(leptonc.tree.leaves(leptonc.jit(f)(*args)), wanted, strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
