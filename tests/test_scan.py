"""lax.scan: natively over data in memory, written out in a trace, step by step without jit; all three agree."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax, tree
from leptonc import numpy as lnp
from leptonc.errors import LeptonError, ShapeError, TreeError


def plainly(f, init, xs, reverse=False):
    with leptonc.disable_jit():
        return lax.scan(f, init, xs, reverse=reverse)


def all_close(got, wanted):
    assert tree.structure(got) == tree.structure(wanted)
    for a, b in zip(tree.leaves(got), tree.leaves(wanted)):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-5)


def recurrent(carry, x):
    h = lnp.tanh(x @ carry["w"] + carry["h"])
    return {"w": carry["w"], "h": h}, (h, lnp.sum(h))


def swapping(carry, x):
    """Each part of the carry comes out where another went in."""
    a, b, c = carry
    return (b, c + x, a * 0.5), a - c


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_agrees_with_a_loop(rng, reverse, nested):
    init = {"w": rng.standard_normal((5, 3)).astype(np.float32), "h": np.zeros((2, 3), np.float32)}
    xs = rng.standard_normal((7, 2, 5)).astype(np.float32)
    before = {k: v.copy() for k, v in init.items()}
    run = leptonc.jit(lambda c, x: lax.scan(recurrent, c, x, reverse=reverse)) if nested else (
        lambda c, x: lax.scan(recurrent, c, x, reverse=reverse))
    all_close(run(init, xs), plainly(recurrent, init, xs, reverse))
    all_close(init, before)  # left alone


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("reverse", [False, True])
def test_parts_of_the_carry_may_change_places(rng, steps, reverse):
    init = tuple(rng.standard_normal(9).astype(np.float32) for _ in range(3))
    xs = rng.standard_normal((steps, 9)).astype(np.float32)
    all_close(lax.scan(swapping, init, xs, reverse=reverse), plainly(swapping, init, xs, reverse))


def test_an_input_that_is_returned_as_y_too(rng):
    """The old carry is the result: it cannot be overwritten while it is read."""
    def f(carry, x):
        return carry * 0.5 + x, carry

    init, xs = rng.standard_normal(6).astype(np.float32), rng.standard_normal((4, 6)).astype(np.float32)
    all_close(lax.scan(f, init, xs), plainly(f, init, xs))


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "c16", "i8", "i2", "?", "u1"])
@pytest.mark.parametrize("reverse", [False, True])
def test_numbers_of_a_scan_that_gives_its_carry_as_y_too(dtype, reverse):
    """Steps are then called one by one: a number out of an array has no memory of its own."""
    xs, start = (np.arange(1, 6) % 3).astype(dtype), np.ones((2, 3), "f4")

    def step(c, x):
        return c * 0.5, (x, c)

    carry, (numbers, carries) = lax.scan(step, start, xs, reverse=reverse)
    np.testing.assert_array_equal(numbers, xs)
    np.testing.assert_array_equal(carry, start / 32)
    order = np.arange(5)[::-1] if reverse else np.arange(5)
    np.testing.assert_array_equal(carries[order], [start * 0.5**n for n in range(5)])


def test_odd_items_are_not_aligned(rng):
    """Items of 3 and 7 bytes' worth of odd sizes: slices start anywhere."""
    def f(carry, x):
        return carry + lnp.sum(x["a"]), (x["a"] * carry, x["b"] + 1)

    xs = {"a": rng.standard_normal((9, 37)).astype(np.float32)[:, ::-1], "b": rng.integers(0, 9, (9, 7)).astype(np.int32)}
    all_close(lax.scan(f, np.float32(1), xs), plainly(f, np.float32(1), xs))


def test_byte_swapped_arrays_are_read_right(rng):
    init, xs = rng.standard_normal(3).astype(">f4"), rng.standard_normal((4, 3)).astype(">f4")
    def f(carry, x):
        return carry + x, carry * x

    all_close(lax.scan(f, init, xs), plainly(f, init, xs))


def test_without_xs(rng):
    carry, ys = lax.scan(lambda c, x: (c * 2, None), np.float32(1), None, length=10)
    assert carry == 1024 and ys is None


def test_a_jitted_training_step_gives_the_losses_of_calls_one_by_one(rng):
    from leptonc import optim

    optimizer = optim.adam(1e-2)
    x, w = rng.standard_normal((20, 64, 32)).astype(np.float32), rng.standard_normal((32, 48)).astype(np.float32)

    @leptonc.jit
    def train(carry, x):
        params, state = carry
        loss, grads = leptonc.value_and_grad(lambda p: lnp.mean((x @ p - 1) ** 2))(params)
        updates, state = optimizer.update(grads, state, params)
        return (optim.apply_updates(params, updates), state), loss

    state = optimizer.init(w)
    (params, _), losses = lax.scan(train, (w, state), x)
    carry, single = (w, state), []
    for batch in x:
        carry, loss = train(carry, batch)
        single.append(loss)
    assert losses.tobytes() == np.array(single).tobytes()
    assert params.tobytes() == np.asarray(carry[0]).tobytes()


def test_the_step_is_compiled_once():
    count = []

    def f(carry, x):
        count.append(1)
        return carry + x, carry

    for _ in range(3):
        lax.scan(f, np.float32(0), np.ones(4, np.float32))
    assert len(count) == 1


def test_is_differentiated_in_a_trace(rng):
    w, xs = rng.standard_normal((4, 4)), rng.standard_normal((5, 4))

    def loss(w):
        last, ys = lax.scan(lambda h, x: (lnp.tanh(h @ w + x), h), np.zeros(4), xs)
        return lnp.sum(last * last) + lnp.sum(ys)

    grad = np.asarray(leptonc.grad(loss)(w))
    step, at = 1e-6, (1, 2)
    moved = [w.copy(), w.copy()]
    moved[0][at] += step
    moved[1][at] -= step
    assert abs((loss(moved[0]) - loss(moved[1])) / (2 * step) - grad[at]) < 1e-6


@pytest.mark.parametrize("f, init, xs, error, words", [
    (lambda c, x: c, np.float32(0), np.ones(3), TreeError, "expected a tuple"),
    (lambda c, x: (c + x, c), np.zeros(2, np.float32), np.ones((3, 4, 2), np.float32), ShapeError, "came out as"),
    (lambda c, x: ((c, c), x), np.float32(0), np.ones(3, np.float32), TreeError, "came out as"),
    (lambda c, x: (c, x), np.float32(0), {"a": np.ones(3), "b": np.ones(4)}, ShapeError, "a first extent of 3"),
    (lambda c, x: (c, x), np.float32(0), np.float32(3), ShapeError, "at least one axis"),
    (lambda c, x: (c, x), np.float32(0), None, LeptonError, "number of steps is unknown"),
    (lambda c, x: (c, x), "no array", np.ones(3), LeptonError, "init"),
])
@pytest.mark.parametrize("jitted", [True, False])
def test_errors_say_what_is_wrong(f, init, xs, error, words, jitted):
    with leptonc.disable_jit(not jitted), pytest.raises(error, match=words):
        lax.scan(f, init, xs)


@pytest.mark.parametrize("jitted", [True, False])
def test_no_steps_give_the_carry_and_nothing(jitted):
    def run(c, xs):
        return lax.scan(lambda c, x: (c + x[0], (c, x)), c, xs)

    with leptonc.disable_jit(not jitted):
        for f in (run, leptonc.jit(run)):
            carry, (a, b) = f(np.float32(3), np.ones((0, 2), np.float32))
            assert carry == 3 and a.shape == (0,) and b.shape == (0, 2)


def test_trips_that_take_nothing_of_a_cotangent_have_none():
    """What is made of bools alone: there are neither residuals nor cotangents for the backward scan."""
    x = np.ones((2, 3), "f")
    for of in (lambda v: lnp.any(v > 0), lambda v: lnp.mean(v, dtype=bool)):
        f = lambda x, of=of: lnp.mean(lax.scan(lambda c, v: (c + 1, of(v)), 0, x)[1])  # noqa: E731
        np.testing.assert_array_equal(leptonc.grad(f)(x), np.zeros_like(x))
