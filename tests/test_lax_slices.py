"""lax's slices along one axis, exchanges between examples, and what says how programs are compiled."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp

X = np.arange(24.0).reshape(4, 6)
MODES = pytest.mark.parametrize("run", [lambda f: f, leptonc.jit], ids=["eager", "compiled"])


@MODES
def test_a_negative_start_counts_from_the_end(run):
    def window(start, **options):
        return run(lambda s: lax.dynamic_slice_in_dim(X, s, 2, 1, **options))(np.int64(start))

    np.testing.assert_array_equal(window(-3), X[:, 3:5])
    np.testing.assert_array_equal(window(-9), X[:, :2])
    np.testing.assert_array_equal(window(5), X[:, 4:])
    np.testing.assert_array_equal(window(-3, allow_negative_indices=False), X[:, :2])
    update = run(lambda s: lax.dynamic_update_index_in_dim(X, np.zeros(6), s, 0))(np.int64(-1))
    np.testing.assert_array_equal(update, np.where(np.arange(4)[:, None] == 3, 0, X))


@MODES
def test_known_slices(run):
    np.testing.assert_array_equal(run(lambda x: lax.slice_in_dim(x, -5, None, 2, axis=1))(X), X[:, 1::2])
    np.testing.assert_array_equal(run(lambda x: lax.index_in_dim(x, -1, 1, keepdims=False))(X), X[:, -1])
    np.testing.assert_array_equal(run(lambda x: lax.index_take(x, [np.array([1, -1]), np.array([0, 7])], (0, 1)))(X), [6, 19])


@MODES
def test_examples_exchange_values(run):
    each = np.arange(48.0).reshape(4, 4, 3)
    moved = run(leptonc.vmap(lambda v: lax.ppermute(v, "n", [(0, 1), (1, 3)]), axis_name="n"))(each)
    np.testing.assert_array_equal(moved, [0 * each[0], each[0], 0 * each[0], each[1]])
    swapped = run(leptonc.vmap(lambda v: lax.pswapaxes(v, "n", 0), axis_name="n"))(each)
    np.testing.assert_array_equal(swapped, each.transpose(1, 0, 2))
    parts = run(leptonc.vmap(lambda v: lax.psum_scatter(v, "n"), axis_name="n"))(each)
    np.testing.assert_array_equal(parts, each.sum(0))


@MODES
def test_rows_choose_among_matrices(run):
    rows, stack = np.arange(12.0).reshape(4, 3), np.arange(30.0).reshape(2, 3, 5)
    got = run(lax.ragged_dot)(rows, stack, np.array([1, 2]))
    np.testing.assert_array_equal(got, [rows[0] @ stack[0], rows[1] @ stack[1], rows[2] @ stack[1], np.zeros(5)])


@MODES
def test_halves_are_rounded_away_from_zero(run):
    x = np.array([-2.5, -0.5, -0.0, 0.49999999999999994, 0.5, 1.5, 2.5, np.inf, np.nan])
    got = run(lax.round)(x)
    np.testing.assert_array_equal(got, [-3, -1, -0.0, 0, 1, 2, 3, np.inf, np.nan])
    assert np.signbit(got[2])
    np.testing.assert_array_equal(run(lambda v: lax.round(v, lax.RoundingMethod.TO_NEAREST_EVEN))(x), np.rint(x))


@MODES
def test_rounding_has_no_slope(run):
    """Where the number stays what it is, infinite or NaN, neither."""
    x = np.array([-2.5, 0.5, 1e30, np.inf, -np.inf, np.nan], "f4")
    tens = [lambda v, n=n: lnp.round(v, n) for n in (1, -1)]
    for f in (lax.round, lnp.round, lnp.rint, lnp.trunc, lnp.floor, lnp.ceil, *tens):
        np.testing.assert_array_equal(run(leptonc.grad(lambda v, f=f: lnp.sum(f(v))))(x), np.zeros(6))


@MODES
def test_upper_halves_of_products(run):
    a = np.array([2**62 + 12345, -(2**63), -1, 7], "i8")
    want = np.array([(int(x) * int(y)) >> 64 for x, y in zip(a, a[::-1])], "i8")
    np.testing.assert_array_equal(run(lax.mulhi)(a, a[::-1].copy()), want)
    b = a.view("u8")
    np.testing.assert_array_equal(run(lax.mulhi)(b, b), np.array([(int(x) ** 2) >> 64 for x in b], "u8"))


def test_a_barrier_changes_nothing_but_when_things_are_made():
    def loss(x):
        a, b = lax.optimization_barrier((x * x, x))
        return (a * b).sum()

    np.testing.assert_allclose(leptonc.jit(leptonc.grad(loss))(X), 3 * X**2)
    text = leptonc.jit(loss).trace(X).as_text()
    assert "barrier_token" in text


@pytest.mark.parametrize("wrong", [
    lambda: lax.index_in_dim(X, 6, 1), lambda: lax.slice_in_dim(X, 3, 9, axis=0), lambda: lax.dynamic_slice_in_dim(X, 1.5, 1),
    lambda: lax.dynamic_slice(X, (0, 0), (1, 1), allow_negative_indices=[True]), lambda: lax.collapse(X, 1, 1),
    lambda: lax.dot(X, X[None]), lambda: lax.batch_matmul(X, X[0]), lambda: lax.ragged_dot(X, X, np.array([1])),
    lambda: lax.platform_dependent(X, tpu=np.sin), lambda: lax.dot_general(X, X.T, (((1,), (0,)), ((), ())), "low"),
    lambda: lax.conv_transpose(X, X, (1,), "SAME"), lambda: lax.mulhi(X, X), lambda: lax.reduce_xor(X, (0,)),
    lambda: leptonc.vmap(lambda v: lax.ppermute(v, "n", [(0, 9)]), axis_name="n")(X),
    lambda: leptonc.vmap(lambda v: lax.all_to_all(v, "n", 0, 0), axis_name="n")(X),
], ids=range(15))
def test_wrong_calls(wrong):
    with pytest.raises(leptonc.LeptonError):
        wrong()


def test_rows_at_places_that_are_data_are_replaced_block_by_block():
    """A row of each of many matrices, between products with all of them that run on the same blocks of matrices."""
    rng = np.random.default_rng(0)
    a, x, v = (rng.standard_normal(shape).astype(np.float32) for shape in ((500, 64, 64), (500, 64, 64), (500, 64)))

    def f(a, x, v, i):
        x = lax.dynamic_update_slice(x, lnp.einsum("bij,bj->bi", a, v)[:, None, :], (0, i, 0))
        return lax.dynamic_update_slice(x, lnp.einsum("bij,bj->bi", x, v)[:, None, :], (0, i + 1, 0))

    wanted = f(a, x, v, 3)
    np.testing.assert_allclose(leptonc.jit(f)(a, x, v, np.int64(3)), wanted, rtol=1e-4, atol=1e-4)
