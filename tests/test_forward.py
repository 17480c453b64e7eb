"""jvp, linearize, linear_transpose, jacfwd, jacrev, hessian: values, structures, errors."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import disable_jit, grad, hessian, jacfwd, jacrev, jit, jvp, lax, linear_transpose, linearize, nn, vjp
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, DtypeError, LeptonError, ShapeError, TreeError


def network(params, x):
    """A tree in, a tree out: a convolution, a pool, a product, a softmax."""
    h = nn.max_pool(nn.relu(nn.conv(x, params["kernel"])), 2)
    logits = lnp.reshape(h, (h.shape[0], -1)) @ params["dense"][0] + params["dense"][1]
    return {"probabilities": nn.softmax(logits), "loss": (lnp.mean(nn.logsumexp(logits, -1)),)}


@pytest.fixture
def point(rng):
    return ({"kernel": rng.standard_normal((3, 3, 2, 3)), "dense": (rng.standard_normal((12, 4)), rng.standard_normal(4))},
            rng.standard_normal((2, 6, 6, 2)))


def everywhere(f):
    """Compiled, evaluated graph by graph, and op by op."""
    def eagerly(*args):
        with disable_jit():
            return f(*args)

    return jit(f), f, eagerly


def assert_trees(got, wanted, rtol=1e-11):
    a, b = leptonc.tree.flatten(got), leptonc.tree.flatten(wanted)
    assert a[1] == b[1]
    for x, y in zip(a[0], b[0]):
        assert np.shape(x) == np.shape(y) and np.asarray(x).dtype == np.asarray(y).dtype
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-12)


def test_jvp_of_a_network_is_the_difference_quotient(rng, point):
    tangents = leptonc.tree.map(lambda x: rng.standard_normal(x.shape), point)
    step = 1e-6
    high, low = (network(*leptonc.tree.map(lambda x, t, s=s: x + s * step * t, point, tangents)) for s in (1, -1))
    wanted = leptonc.tree.map(lambda a, b: (a - b) / (2 * step), high, low)
    for run in everywhere(lambda p, t: jvp(network, p, t)):
        out, tangent = run(point, tangents)
        assert_trees(out, network(*point))
        assert_trees(tangent, wanted, 1e-6)


def test_linearize_computes_the_function_once(rng, point):
    out, push = linearize(network, *point)
    assert_trees(out, network(*point))
    for _ in range(2):
        tangents = leptonc.tree.map(lambda x: rng.standard_normal(x.shape), point)
        assert_trees(push(*tangents), jvp(network, point, tangents)[1])

    def apart(x, t):
        y, push = linearize(lambda x: lnp.exp(lnp.sin(x)), x)
        return y, push(t), push(2 * t)

    text = jit(apart).trace(np.ones(3), np.ones(3)).lower().as_text("optimized")
    assert text.count("exp(") == text.count("sin(") == text.count("cos(") == 1


def test_vjp_computes_the_function_once():
    def pulls(x):
        y, pull = vjp(lambda x: lnp.exp(lnp.sin(x)), x)
        return y, pull(y), pull(2 * y)

    text = jit(pulls).trace(np.ones(3)).as_text()
    assert text.count("exp(") == text.count("sin(") == text.count("cos(") == 1


def test_a_function_of_known_values_has_no_tangent():
    y, t = jvp(lambda x: (lnp.ones(2), lax.stop_gradient(x), x > 0, lnp.floor(x)), (2.0,), (1.0,))
    assert [np.asarray(x).tolist() for x in t] == [[0, 0], 0, False, 0] and y[3] == 2


def test_elementwise_tangents_are_as_short_as_written_by_hand():
    """tanh: one multiplication by 1 - y * y; a product: two and a sum."""
    def nodes(f, *args):
        traced = jit(lambda x, t: jvp(f, (x,), (t,))[1]).trace(np.ones(30), np.ones(30))
        return [n.op for n in traced.lower().graph.nodes if n.op not in ("constant", "broadcast")]

    assert nodes(lnp.tanh) == ["tanh", "mul", "sub", "mul"]
    assert nodes(lambda x: x * x) == ["mul", "add"]
    assert nodes(lnp.sin) == ["cos", "mul"] and nodes(lnp.exp) == ["exp", "mul"]


def test_integers_have_no_tangents():
    out, tangent = jvp(lambda x, n: (x * n, n + 1), (2.0, np.int32(3)), (1.0, np.int32(0)))
    assert out == (6, 4) and tangent == (3, 0) and np.asarray(tangent[1]).dtype == np.int32
    assert vjp(lambda x, n: x * n, 2.0, 3)[1](1.0) == (3, 0)


def test_aux_is_passed_by():
    f = lambda x: (lnp.sum(x**2), {"doubled": 2 * x})  # noqa: E731
    x, t = np.arange(3.0), np.ones(3)
    assert_trees(jvp(f, (x,), (t,), has_aux=True), (np.array(5.0), np.array(6.0), {"doubled": 2 * x}))
    out, pull, aux = vjp(f, x, has_aux=True)
    assert_trees((out, pull(1.0), aux), (np.array(5.0), (2 * x,), {"doubled": 2 * x}))
    out, push, aux = linearize(f, x, has_aux=True)
    assert_trees((push(t), aux), (np.array(6.0), {"doubled": 2 * x}))
    for jacobian in (jacfwd, jacrev, leptonc.jacobian):
        assert_trees(jit(jacobian(f, has_aux=True))(x), (2 * x, {"doubled": 2 * x}))
    assert_trees(hessian(f, has_aux=True)(x), (2 * np.eye(3), {"doubled": 2 * x}))


def test_jacobians_of_trees(point):
    """Of each output what the arguments have, the output's axes first."""
    params, x = point
    forward, reverse = (jit(j(network, argnums=(0, 1)))(params, x) for j in (jacfwd, jacrev))
    assert forward["probabilities"][0]["dense"][1].shape == (2, 4, 4) and forward["loss"][0][1].shape == x.shape
    assert_trees(forward, reverse, 1e-9)
    assert_trees(forward["loss"][0][0], grad(lambda p: network(p, x)["loss"][0])(params), 1e-9)
    assert_trees(jacrev(network, argnums=-1)(params, x)["loss"][0], forward["loss"][0][1], 1e-9)


def test_hessian_of_trees(rng):
    p = {"a": rng.standard_normal(3), "b": rng.standard_normal((2, 2))}
    f = lambda p: lnp.sum(lnp.sin(p["a"])) * lnp.sum(p["b"] ** 3)  # noqa: E731
    h = jit(hessian(f))(p)
    np.testing.assert_allclose(h["a"]["a"], np.diag(-np.sin(p["a"])) * np.sum(p["b"] ** 3), rtol=1e-12)
    np.testing.assert_allclose(h["a"]["b"], np.cos(p["a"])[:, None, None] * 3 * p["b"] ** 2, rtol=1e-12)
    np.testing.assert_allclose(h["b"]["a"], np.moveaxis(h["a"]["b"], 0, -1), rtol=1e-12)
    assert h["b"]["b"].shape == (2, 2, 2, 2)


def test_empty_inputs_and_outputs():
    assert jacfwd(lambda x: x * 2)(np.zeros(0)).shape == jacrev(lambda x: x * 2)(np.zeros(0)).shape == (0, 0)
    assert jacrev(lambda x: lnp.sum(x))(np.zeros((0, 2))).shape == (0, 2)
    assert jacfwd(lambda x: {})(np.ones(2)) == jacrev(lambda x: {})(np.ones(2)) == {}


def test_derivatives_nest(rng):
    x, t = rng.standard_normal(4), rng.standard_normal(4)
    f = lambda x: lnp.sum(lnp.tanh(x) ** 3) * x[0]  # noqa: E731
    h = hessian(f)(x)
    for run in everywhere(lambda x, t: jvp(grad(f), (x,), (t,))[1]):
        np.testing.assert_allclose(run(x, t), h @ t, rtol=1e-10)
    for run in everywhere(lambda x, t: grad(lambda x: jvp(f, (x,), (t,))[1])(x)):
        np.testing.assert_allclose(run(x, t), h @ t, rtol=1e-10)
    np.testing.assert_allclose(jacrev(jacfwd(f))(x), h, rtol=1e-10)
    np.testing.assert_allclose(jvp(lambda x: jvp(f, (x,), (t,))[1], (x,), (t,))[1], t @ h @ t, rtol=1e-10)
    third = jit(jacfwd(hessian(f)))(x)
    np.testing.assert_allclose(third, np.transpose(third, (2, 0, 1)), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(leptonc.vmap(hessian(f))(np.stack([x, t]))[1], hessian(f)(t), rtol=1e-12)


def test_jvp_sees_values_of_the_trace_around_it():
    def outer(w, x):
        _, tangent = jvp(lambda x: x * w, (x,), (lnp.ones_like(x),))
        return lnp.sum(tangent * x)

    np.testing.assert_array_equal(jit(grad(outer))(np.arange(3.0), np.ones(3)), np.ones(3))


def test_linear_transpose(rng):
    a, x = rng.standard_normal((3, 4)), leptonc.ShapeDtypeStruct((4,), np.float64)
    y = rng.standard_normal(3)
    for run in everywhere(lambda a, y: linear_transpose(lambda x: a @ x, x)(y)):
        np.testing.assert_allclose(run(a, y)[0], a.T @ y)
    (twice,) = linear_transpose(linear_transpose(lambda x: a @ x, x), y)((a[0],))
    np.testing.assert_allclose(twice, a @ a[0])


@pytest.mark.parametrize("kind, match, call", [
    (ArgumentError, "tuple or list", lambda: jvp(lnp.sin, 1.0, 1.0)),
    (ArgumentError, "1 primals, but 2 tangents", lambda: jvp(lnp.sin, (1.0,), (1.0, 2.0))),
    (TreeError, r"tangents\[0\]", lambda: jvp(lambda d: d["a"], ({"a": 1.0},), (1.0,))),
    (ShapeError, r"tangents\[0\] must be f64\[2\]", lambda: jvp(lnp.sin, (np.ones(2),), (np.ones(3),))),
    (DtypeError, "cast it to f64", lambda: jvp(lnp.sin, (np.ones(2),), (np.ones(2, np.float32),))),
    (ArgumentError, "1 arguments, but 2 tangents", lambda: linearize(lnp.sin, 1.0)[1](1.0, 2.0)),
    (DtypeError, "differentiated by n, which is not float", lambda: jacfwd(lambda n: n * 2.0)(3)),
    (DtypeError, "the output of <?lambda>? is not float", lambda: jacrev(lambda x: x > 0)(3.0)),
    (ArgumentError, "jacfwd of .*argnums=2", lambda: jacfwd(lnp.sin, 2)(1.0)),
    (TreeError, "has_aux", lambda: jacrev(lnp.sin, has_aux=True)(1.0)),
    (TreeError, "has_aux", lambda: jvp(lnp.sin, (1.0,), (1.0,), has_aux=True)),
    (LeptonError, "not linear", lambda: linear_transpose(lambda x: x * x, np.ones(2))),
    (DtypeError, "not float", lambda: linear_transpose(lambda x: x, np.ones(2, int))),
    (TreeError, "cotangent", lambda: linear_transpose(lambda x: (x, x), np.ones(2))(np.ones(2))),
    (ArgumentError, "must be a function", lambda: jvp(3, (1.0,), (1.0,))),
])
def test_errors_say_what_does_not_fit(kind, match, call):
    with pytest.raises(kind, match=match):
        call()
