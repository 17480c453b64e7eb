"""custom_vjp and custom_jvp: which derivative is taken, in all transformations; closures, trees, integers; errors."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import (
    custom_jvp,
    custom_vjp,
    disable_jit,
    grad,
    hessian,
    jacfwd,
    jit,
    jvp,
    lax,
    linearize,
    nn,
    value_and_grad,
    vjp,
    vmap,
)
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, DtypeError, LeptonError, ShapeError, TreeError
from leptonc.ir import parse, verify

X, Y = np.array([0.3, -1.2, 2.0]), np.array([1.5, 0.5, -2.0])


@custom_vjp
def times(x, y):
    """x * y with ten times its derivative, so that the rule shows."""
    return x * y


times.defvjp(lambda x, y: (times(x, y), (x, y)), lambda res, g: (10 * g * res[1], 10 * res[0] * g))


@custom_jvp
def sine(x):
    """sin(x) with derivative 10 cos(x)."""
    return lnp.sin(x)


@sine.defjvp
def _sine_jvp(primals, tangents):
    return sine(primals[0]), 10 * lnp.cos(primals[0]) * tangents[0]


def total(f):
    return lambda *args: lnp.sum(f(*args))


def everywhere(f):
    def eagerly(*args):
        with disable_jit():
            return f(*args)

    return jit(f), f, eagerly


def test_custom_vjp_decides_the_gradient():
    for run in everywhere(value_and_grad(total(times), (0, 1))):
        value, (dx, dy) = run(X, Y)
        np.testing.assert_allclose(value, np.sum(X * Y))
        np.testing.assert_allclose(dx, 10 * Y)
        np.testing.assert_allclose(dy, 10 * X)
    for run in everywhere(times):
        np.testing.assert_array_equal(run(X, Y), X * Y)


def test_custom_jvp_decides_both_modes():
    for run in everywhere(lambda x: (grad(total(sine))(x), jvp(sine, (x,), (lnp.ones_like(x),))[1], linearize(sine, x)[1](x) / x)):
        for found in run(X):
            np.testing.assert_allclose(found, 10 * np.cos(X))


def test_second_derivatives_are_those_of_the_rules():
    """Of 10 y g by y: 10; a rule that calls its function is differentiated by the rule again."""
    assert jit(grad(grad(times), 1))(2.0, 3.0) == 10

    @custom_vjp
    def exp(x):
        return lnp.exp(x)

    exp.defvjp(lambda x: (exp(x), x), lambda x, g: (3 * g * exp(x),))
    f, order = exp, 0
    while order < 3:
        f, order = grad(f), order + 1
        for run in everywhere(f):
            np.testing.assert_allclose(run(0.5), 3**order * np.exp(0.5), rtol=1e-12)
    np.testing.assert_allclose(jacfwd(grad(lambda x: sine(x)))(0.4), -10 * np.sin(0.4))
    np.testing.assert_allclose(grad(grad(grad(sine)))(0.4), -100 * np.cos(0.4) / 10)


def test_rules_of_rules_recurse():
    """The derivative of ``even`` calls ``odd``, whose derivative calls ``even``."""
    even = custom_jvp(lambda x: lnp.cosh(x))
    odd = custom_jvp(lambda x: lnp.sinh(x))
    even.defjvp(lambda p, t: (even(*p), 2 * odd(*p) * t[0]))
    odd.defjvp(lambda p, t: (odd(*p), 2 * even(*p) * t[0]))
    f, wanted = even, [2 * np.sinh(0.7), 4 * np.cosh(0.7), 8 * np.sinh(0.7)]
    for value in wanted:
        f = grad(f)
        np.testing.assert_allclose(jit(f)(0.7), value, rtol=1e-12)


def test_defjvps_adds_up_what_each_argument_gives():
    f = custom_jvp(lambda x, y, n: {"a": x * y, "b": y * n})
    f.defjvps(lambda t, out, x, y, n: {"a": 2 * t * y, "b": 0 * y}, lambda t, out, x, y, n: {"a": 3 * t * x, "b": t * n}, None)
    out, tangent = jit(lambda x, y: jvp(f, (x, y, 5), (1.0, 1.0, 0)))(2.0, 7.0)
    assert out == {"a": 14, "b": 35} and tangent == {"a": 14 + 6, "b": 5}
    assert jit(grad(lambda x, y: f(x, y, 5)["a"], (0, 1)))(2.0, 7.0) == (14, 6)


def test_arguments_not_differentiated(rng):
    def apply(f, x, n):
        return f(x) ** n

    rule = custom_vjp(apply, nondiff_argnums=(0, 2))
    rule.defvjp(lambda f, x, n: (apply(f, x, n), x), lambda f, n, x, g: (100 * n * g * f(x),))
    for run in everywhere(lambda x: grad(lambda x: lnp.sum(rule(lnp.sin, x, 2)))(x)):
        np.testing.assert_allclose(run(X), 200 * np.sin(X))
    forward = custom_jvp(apply, nondiff_argnums=(0, 2))
    forward.defjvp(lambda f, n, primals, tangents: (apply(f, *primals, n), n * tangents[0]))
    np.testing.assert_array_equal(jit(grad(lambda x: lnp.sum(forward(f=lnp.sin, x=x, n=2))))(X), [2, 2, 2])


def test_trees_integers_none_and_residuals(rng):
    @custom_vjp
    def pick(params, index, scale=2.0):
        return {"out": params["table"][index] * scale, "index": index}

    def fwd(params, index, scale):
        return pick(params, index, scale), {"index": index, "like": params["table"], "sizes": (3, None)}

    def bwd(res, g):
        assert g["index"].dtype == np.int32
        table = lnp.zeros_like(res["like"]).at[res["index"]].add(g["out"] * res["sizes"][0])
        return {"table": table, "unused": None}, None, None

    pick.defvjp(fwd, bwd)
    params = {"table": rng.standard_normal((4, 2)), "unused": (np.ones(2), np.ones(3))}
    index = np.array([1, 1, 3], np.int32)
    for run in everywhere(lambda p, i: grad(lambda p: lnp.sum(pick(p, i)["out"]))(p)):
        found = run(params, index)
        np.testing.assert_array_equal(found["table"], np.array([0, 6, 0, 3.0])[:, None] * np.ones(2))
        assert not any(np.any(x) for x in found["unused"])
    _, pull = vjp(lambda p, s: pick(p, index, s), params, 2.0)
    assert pull({"out": np.ones((3, 2)), "index": index})[1] == 0


def test_closures_over_traced_values():
    """In the function and in both rules; they are extra operands, by which nothing is differentiated."""
    def outer(w, x):
        @custom_vjp
        def f(x):
            return x * w

        f.defvjp(lambda x: (f(x) + 0 * v, v), lambda res, g: (g * w * res * u,))
        u, v = w + 1, w + 2
        return lnp.sum(f(x))

    for run in everywhere(lambda w, x: grad(lambda x: outer(w, x))(x)):
        np.testing.assert_allclose(run(3.0, X), [3 * 5 * 4] * 3)
    with pytest.raises(LeptonError, match=r"custom_vjp of f: .*closes over.*pass the value as an argument"):
        grad(outer)(3.0, X)

    def forward(w, x):
        f = custom_jvp(lambda x: x * w)
        f.defjvp(lambda p, t: (f(*p), t[0] * w * 7))
        return lnp.sum(f(x))

    np.testing.assert_allclose(jit(lambda w, x: grad(lambda x: forward(w, x))(x))(2.0, X), [14] * 3)
    np.testing.assert_allclose(jit(lambda w, x: jvp(lambda x: forward(w, x), (x,), (x,))[1])(2.0, X), 14 * np.sum(X))
    with pytest.raises(LeptonError, match=r"custom_jvp of .*closes over"):
        jvp(forward, (2.0, X), (1.0, X))


def test_inside_vmap_checkpoint_and_each_other():
    batch = np.stack([X, Y])
    for f, factor in ((lambda x: times(x, x), 20 * batch), (sine, 10 * np.cos(batch))):
        for run in (lambda f: f, jit):
            np.testing.assert_allclose(run(vmap(grad(total(f))))(batch), factor)
            np.testing.assert_allclose(run(grad(lambda x, f=f: lnp.sum(vmap(f)(x))))(batch), factor)
            np.testing.assert_allclose(run(grad(total(leptonc.checkpoint(f))))(batch), factor)
    np.testing.assert_allclose(jit(vmap(grad(total(times)), in_axes=(0, None)))(batch, Y), 10 * np.stack([Y, Y]))
    np.testing.assert_allclose(jit(grad(lambda y: lnp.sum(vmap(times, (0, None))(batch, y))))(Y), 10 * batch.sum(0))
    np.testing.assert_allclose(jit(hessian(lambda x: lnp.sum(sine(x) ** 2)))(X),
                               np.diag(200 * np.cos(X) ** 2 - 20 * np.sin(X) ** 2), rtol=1e-12)
    both = custom_vjp(lambda x: sine(x))
    both.defvjp(lambda x: vjp(sine, x), lambda pull, g: pull(g))
    with pytest.raises(DtypeError, match="no array"):  # a function is no residual
        grad(total(both))(X)


def looped(trip, unroll):
    return lambda x: lax.scan(lambda c, row: (trip(c, row), None), x, np.stack([X, Y, X * Y]), unroll=unroll)[0]


@pytest.mark.parametrize("trip", [
    lambda c, row: times(lnp.sin(c), row) + c,
    lambda c, row: lax.cond(row[0] > 0, lambda c: times(c, row), lambda c: lnp.sin(times(c, c)), c),
    lambda c, row: lnp.sum(lax.map(lambda r: times(c, r), lnp.stack([row, c])), 0),
    lambda c, row: leptonc.checkpoint(lambda c: times(lnp.sin(times(c, row)), c))(c),
    lambda c, row: sine(lax.scan(lambda c, r: (times(c, c) + r, None), c, lnp.stack([row, row]))[0]),
], ids=["plain", "cond", "map", "checkpoint", "scan"])
def test_custom_vjp_in_loops_is_that_of_the_trips_written_out(trip):
    loop, batch = looped(trip, 1), np.stack([X, Y, 2 * X])

    def gradients(f):
        first = grad(total(f))
        return first(X), vmap(first)(batch), grad(total(vmap(f)))(batch), grad(lambda x: lnp.sum(first(x) * Y))(X)

    with disable_jit():
        wanted, eager = gradients(looped(trip, True)), gradients(loop)
    for got, one, other in zip(jit(lambda: gradients(loop))(), eager, wanted):
        np.testing.assert_allclose(got, other, rtol=1e-12)
        np.testing.assert_allclose(one, other, rtol=1e-12)
    for refused in (lambda: jvp(loop, (X,), (Y,)), lambda: linearize(loop, X), lambda: jit(jacfwd(loop))(X)):
        with pytest.raises(LeptonError, match=r"custom_vjp of times: forward mode .*use reverse mode"):
            refused()


def test_custom_vjp_of_integers_in_loops():
    @custom_vjp
    def at(x, i):
        return x[i] * 2, i + 1

    at.defvjp(lambda x, i: (at(x, i), i), lambda i, g: (lnp.zeros(3).at[i].add(5 * g[0]), None))
    p, q, r = 2 * X
    for run in everywhere(grad(lambda x: lax.scan(lambda c, i: (c * at(x, i)[0] + at(x, i)[1], None), 1.0, np.arange(3))[0])):
        np.testing.assert_allclose(run(X), [5 * q * r, 5 * (p + 1) * r, 5 * ((p + 1) * q + 2)], rtol=1e-12)


def test_optimized_graphs_have_no_calls_and_their_texts_parse():
    def f(x):
        return lnp.sum(times(x, sine(x)))

    for traced in (jit(f).trace(X), jit(grad(f)).trace(X)):
        text = str(traced.graph)
        verify(traced.graph)
        assert parse(text) == traced.graph and str(parse(text)) == text
        assert "_call" not in traced.lower().as_text("optimized")
    assert "custom_vjp_call" in str(jit(f).trace(X).graph) and "fwd of times" in str(jit(f).trace(X).graph)


def test_a_rule_that_stands_alone_is_named():
    """The region of a rule, taken out of its call and differentiated."""
    graph = leptonc.make_graph(lambda x, y: times(x, y))(1.0, 2.0)
    rule = graph.nodes[0].regions[1]
    with pytest.raises(LeptonError, match="stands outside of the rule"):
        leptonc.driver.differentiate(rule, (0, 1))


def test_outside_of_a_trace_the_function_runs_as_it_is():
    seen = []
    f = custom_vjp(lambda x: seen.append(type(x)) or x)
    f.defvjp(lambda x: (x, None), lambda r, g: (g,))
    assert f(2.0) == 2.0 and seen == [float]


def test_methods():
    class Layer:
        @custom_jvp
        def __call__(self, x):
            return x

        scale = custom_vjp(lambda self, x: x * 2, nondiff_argnums=0)

    Layer.scale.__get__(None).defvjp(lambda self, x: (x * 2, ()), lambda self, res, g: (g * 5,))
    np.testing.assert_array_equal(grad(lambda x: lnp.sum(Layer().scale(x)))(X), [5, 5, 5])


def _vjp(fwd, bwd, f=lambda x, y: x * y):
    made = custom_vjp(f)
    made.defvjp(fwd, bwd)
    return grad(lambda x: lnp.sum(made(x, X)))


def _jvp(rule):
    made = custom_jvp(lambda x: x * 2)
    made.defjvp(rule)
    return grad(lambda x: lnp.sum(made(x)))


def _fwd(x, y):
    return x * y, x


@pytest.mark.parametrize("kind, match, f", [
    (LeptonError, r"custom_vjp of \w+ has no rule; fix: \w+.defvjp", custom_vjp(nn.relu)),
    (LeptonError, r"custom_jvp of \w+ has no rule; fix: \w+.defjvp", custom_jvp(nn.relu)),
    (TreeError, "bwd must return a tuple with a cotangent for each of the 2 arguments .*1 of them", _vjp(_fwd, lambda r, g: (g,))),
    (TreeError, "bwd must return a tuple .* returned f64", _vjp(_fwd, lambda r, g: g)),
    (ShapeError, r"bwd's cotangent of x is f64\[\], must be f64\[3\]", _vjp(_fwd, lambda r, g: (lnp.sum(g), None))),
    (DtypeError, r"bwd's cotangent of x is f32\[3\].*cast it", _vjp(_fwd, lambda r, g: (lnp.astype(g, "f4"), None))),
    (TreeError, "fwd must return a pair", _vjp(lambda x, y: x * y, lambda r, g: (g, g))),
    (TreeError, "fwd's output is not of the function's structure", _vjp(lambda x, y: ((x,), x), lambda r, g: (g, g))),
    (ShapeError, "fwd's output differs from the function's", _vjp(lambda x, y: (lnp.sum(x), x), lambda r, g: (g, g))),
    (DtypeError, "fwd's output differs from the function's", _vjp(lambda x, y: (x > y, x), lambda r, g: (g, g))),
    (TreeError, "jvp must return a pair", _jvp(lambda p, t: p[0])),
    (TreeError, "jvp's tangent is not of the function's structure", _jvp(lambda p, t: (p[0], t))),
    (ShapeError, r"jvp's tangent has f64\[\] where the function gives f64\[3\]", _jvp(lambda p, t: (p[0], lnp.sum(t[0])))),
    (LeptonError, "not linear", _jvp(lambda p, t: (p[0], t[0] * t[0]))),
    (LeptonError, "custom_vjp of times: forward mode .*use reverse mode", jacfwd(lambda x: times(x, x))),
    (ArgumentError, "nondiff_argnums=.*called with 1", custom_vjp(lambda x: x, nondiff_argnums=3)),
    (ArgumentError, "missing a required argument", times),
    (ArgumentError, "can only be given by name", custom_vjp(lambda x, *, scale=2: x * scale)),
    (ArgumentError, "must be a function", lambda x: custom_vjp(x)),
])
def test_errors_say_what_does_not_fit(kind, match, f):
    with pytest.raises(kind, match=match):
        f(X)


def test_defvjp_and_defjvps_check_what_they_get():
    with pytest.raises(ArgumentError, match="bwd=3 must be a function"):
        custom_vjp(lnp.sin).defvjp(lnp.sin, 3)
    with pytest.raises(ArgumentError, match="does not go with nondiff_argnums"):
        custom_jvp(lnp.sin, nondiff_argnums=0).defjvps(None)
    f = custom_jvp(lambda x, y: x)
    f.defjvps(None)
    with pytest.raises(ArgumentError, match="1 rules by defjvps, but 2 arguments"):
        grad(f)(1.0, 2.0)
