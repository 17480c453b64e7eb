"""custom_gradient and closure_convert: rules that close over what the forward pass made."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import closure_convert, custom_gradient, custom_vjp, grad, jit, jvp, lax, value_and_grad, vmap
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, LeptonError, ShapeError, TreeError

X = np.array([0.3, -1.2, 2.0])


@custom_gradient
def exponential(x):
    """exp(x), with ten times its derivative, so that the rule shows."""
    y = lnp.exp(x)
    return y, lambda g: 10 * g * y


@pytest.mark.parametrize("transform", [lambda f: f, jit])
def test_the_rule_is_taken(transform):
    np.testing.assert_allclose(transform(exponential)(X), np.exp(X))
    value, slope = transform(value_and_grad(lambda x: lnp.sum(lnp.sin(exponential(x)))))(X)
    np.testing.assert_allclose(value, np.sum(np.sin(np.exp(X))))
    np.testing.assert_allclose(slope, 10 * np.cos(np.exp(X)) * np.exp(X))
    np.testing.assert_allclose(transform(vmap(grad(exponential)))(X), 10 * np.exp(X))


def test_of_second_order():
    """The rule is differentiated as what it computes, of what it closes over."""
    np.testing.assert_allclose(grad(grad(exponential))(0.5), 10 * np.exp(0.5))
    np.testing.assert_allclose(jit(grad(grad(lambda x: exponential(x * 2))))(0.5), 40 * np.exp(1.0))


def test_in_loops_branches_and_checkpoints():
    def by(f):
        def run(x):
            end, _ = lax.scan(lambda c, _: (f(c * 0.1), None), x, None, 3)
            return lnp.sum(lax.cond(end[0] > 0, f, lambda v: v, leptonc.checkpoint(f)(end * 0.1)))
        return run

    @custom_vjp
    def written_out(x):
        return lnp.exp(x)

    written_out.defvjp(lambda x: (lnp.exp(x), lnp.exp(x)), lambda y, g: (10 * g * y,))
    np.testing.assert_allclose(jit(grad(by(exponential)))(X), grad(by(written_out))(X), rtol=1e-12)


def test_trees_of_arguments_and_results():
    @custom_gradient
    def swapped(p, n, scale=2.0):
        out = {"a": p["a"] * scale, "b": p["b"] * n}
        return out, lambda g: ({"a": g["b"] * 10, "b": g["a"] * 100}, None, None)

    def loss(p):
        out = swapped(p, 3)
        return lnp.sum(out["a"]) + 5 * lnp.sum(out["b"])

    found = jit(grad(loss))({"a": X, "b": X})
    np.testing.assert_allclose(found["a"], np.full(3, 50.0))
    np.testing.assert_allclose(found["b"], np.full(3, 100.0))
    assert swapped({"a": X, "b": X}, 3, scale=4.0)["a"][0] == X[0] * 4


def test_a_rule_that_calls_its_own_function():
    @custom_gradient
    def f(x):
        return lnp.exp(x), lambda g: g * f(x)

    np.testing.assert_allclose(grad(lambda x: lnp.sum(f(x)))(X), np.exp(X))
    np.testing.assert_allclose(jit(grad(grad(f)))(0.5), np.exp(0.5))


def test_what_is_no_pair_or_does_not_fit():
    with pytest.raises(TreeError, match=r"custom_gradient of alone: it must return a pair .*returned f64\[3\]"):
        jit(custom_gradient(_alone))(X)
    with pytest.raises(TreeError, match="custom_gradient of alone"):
        custom_gradient(_alone)(X)
    with pytest.raises(ShapeError, match=r"cotangent of x is f64\[2\], must be f64\[3\]"):
        grad(lambda x: lnp.sum(custom_gradient(lambda x: (x * 2, lambda g: g[:2]))(x)))(X)
    with pytest.raises(LeptonError, match="forward mode"):
        jvp(exponential, (X,), (X,))
    with pytest.raises(ArgumentError, match="custom_gradient: fun=3"):
        custom_gradient(3)


def _alone(x):
    return x * 2


_alone.__name__ = "alone"


def test_what_a_function_closes_over_becomes_an_argument():
    """As in an adjoint solver: the rule gets what f closes over as an argument, and gives a cotangent of it."""
    def root_of(f, start):
        converted, closed = closure_convert(f, start)

        @custom_vjp
        def solve(start, *closed):
            return lax.fori_loop(0, 60, lambda _, x: converted(x, *closed), start)

        def backward(kept, g):
            x, closed = kept
            by_x = grad(lambda x: converted(x, *closed))(x)
            return (None, *leptonc.vjp(lambda *c: converted(x, *c), *closed)[1](g / (1 - by_x)))

        solve.defvjp(lambda start, *closed: ((x := solve(start, *closed)), (x, closed)), backward)
        return solve(start, *closed)

    def answer(a, n):  # x = a cos(x) / n
        return root_of(lambda x: a * lnp.cos(x) / n, 0.5)

    x = answer(0.7, 1)
    by_hand = np.cos(x) / (1 + 0.7 * np.sin(x))
    for run in (grad(answer), jit(grad(answer))):
        np.testing.assert_allclose(run(0.7, 1), by_hand, rtol=1e-9)
    np.testing.assert_allclose(vmap(grad(answer), in_axes=(0, None))(np.array([0.7, 0.2]), 1)[0], by_hand, rtol=1e-9)


def test_integers_stay_inside_and_outside_of_a_trace_nothing_is_closed_over():
    f, closed = closure_convert(lambda x: x * X, X)
    assert closed == [] and (f(X) == X * X).all()
    counts = []

    def run(w, n):
        f, closed = closure_convert(lambda p: p["x"] * w + n, {"x": w})
        counts.append(len(closed))
        return f({"x": w}, *closed)

    np.testing.assert_allclose(jit(run)(X, 3), X * X + 3)
    assert counts == [1]


def test_calls_that_differ_from_the_examples():
    def few(w):
        f, _ = closure_convert(lambda x: x * w, w)
        return f(w)

    def other(w):
        f, closed = closure_convert(lambda x: x * w, w)
        return f((w, w), *closed)

    with pytest.raises(ArgumentError, match="takes 1 arguments and 1 values closed over, given 1 in all"):
        jit(few)(X)
    with pytest.raises(TreeError, match="not as the examples"):
        jit(other)(X)
    with pytest.raises(ArgumentError, match="closure_convert: fun=3"):
        closure_convert(3, X)
