"""vmap against JAX's: functions, axes, compositions with gradients, collectives."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import leptonc
from leptonc import lax, nn
from leptonc import numpy as lnp

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

pytestmark = pytest.mark.usefixtures("double_precision")

N = 4
RNG = np.random.default_rng(11)
X, Y = RNG.standard_normal((2, N, N, N))
W = RNG.standard_normal((N, 3))
IMAGE, KERNEL = RNG.standard_normal((N, 2, 6, 6, 3)), RNG.standard_normal((N, 3, 3, 3, 2))
OURS = SimpleNamespace(np=lnp, lax=lax, nn=nn, vmap=leptonc.vmap, grad=leptonc.grad, vjp=leptonc.vjp, jit=leptonc.jit,
                       value_and_grad=leptonc.value_and_grad)
THEIRS = SimpleNamespace(np=jnp, lax=jax.lax, nn=jax.nn, vmap=jax.vmap, grad=jax.grad, vjp=jax.vjp, jit=jax.jit,
                         value_and_grad=jax.value_and_grad)


def same(program, *args):
    """``program(m, *args)`` of leptonc, eager and compiled, gives what it gives of JAX."""
    wanted, structure = jax.tree_util.tree_flatten(program(THEIRS, *map(jnp.asarray, args)))
    for mode in (lambda f: f, leptonc.jit):
        found, ours = jax.tree_util.tree_flatten(mode(lambda *args: program(OURS, *args))(*args))
        assert ours == structure
        for got, leaf in zip(found, wanted):
            assert got.shape == leaf.shape and got.dtype.kind == leaf.dtype.kind
            np.testing.assert_allclose(got, leaf, rtol=1e-9, atol=1e-10)


FUNCTIONS = {
    "arithmetic": lambda m, x, y: m.np.tanh(x) * y - m.np.sum(x, 0),
    "matmul": lambda m, x, y: x @ y,
    "vector": lambda m, x, y: x[0] @ y,
    "matvec": lambda m, x, y: x @ y[:, 1],
    "softmax": lambda m, x, y: m.nn.softmax(x, axis=0) + m.nn.log_softmax(y, axis=-1),
    "logsumexp": lambda m, x, y: m.nn.logsumexp(x, axis=0) * y,
    "reductions": lambda m, x, y: m.np.max(x, 1) + m.np.prod(y, 0) + m.np.mean(x),
    "argmax": lambda m, x, y: (m.np.argmax(x, 0), m.np.argmin(y)),
    "cumsum": lambda m, x, y: m.np.cumsum(x, 1) + m.np.cumsum(y, 0),
    "shapes": lambda m, x, y: m.np.concatenate([x.T, y.reshape(2, 2 * N).reshape(N, N)[::-1]], 1),
    "pad": lambda m, x, y: m.lax.pad(x, np.float64(0), ((1, -1, 0), (0, 2, 1))),
    "einsum": lambda m, x, y: m.np.einsum("ij,kj->ki", x, y),
    "where": lambda m, x, y: m.np.where(x > y, x, y[0]),
    "take": lambda m, x, y: m.np.take(x, m.np.argmax(y, 0), axis=1),
    "index": lambda m, x, y: x[m.np.argmax(y[0])] * y[m.np.argmin(x[:, 0])],
    "dynamic_slice": lambda m, x, y: m.lax.dynamic_slice(x, (m.np.argmax(y[0]), m.np.argmin(y[1])), (2, 3)),
    "dynamic_update_slice": lambda m, x, y: m.lax.dynamic_update_slice(x, y[:2, :1], (m.np.argmax(y[0]), m.np.argmin(y[1]))),
    "scatter": lambda m, x, y: x.at[m.np.argmax(y, 0)].add(y),
    "scatter_set": lambda m, x, y: x.at[m.np.argmax(y[0])].set(y[1]),
    "iota": lambda m, x, y: x * m.np.arange(N) + m.np.eye(N),
    "shared": lambda m, x, y: m.np.asarray(W).T @ x,
    "constant": lambda m, x, y: (x, m.np.ones(2), 3.0),
}
AXES = [(0, 0), (0, None), (None, 1), (-1, 1)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name):
    """Over all axes, as vmaps of vmaps where an axis is left, with the axis of the results behind."""
    f = FUNCTIONS[name]
    for axes in AXES:
        args = [a[0] if axis is None else a for a, axis in zip((X, Y), axes)]
        same(lambda m, x, y, axes=axes: m.vmap(lambda x, y: f(m, x, y), axes)(x, y), *args)
    two = np.stack([X, Y, X - Y])
    behind = -1 if name != "argmax" else 0
    same(lambda m, x, y: m.vmap(m.vmap(lambda x, y: f(m, x, y), (0, None)), (0, -1), behind)(x, y), two, two.T[0])


SMOOTH = [name for name in FUNCTIONS if name not in ("argmax", "constant")]


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    """Gradients of each example, the gradient of the sum of all, and gradients of those."""
    f = FUNCTIONS[name]

    def scalar(m, x, y):
        return m.np.sum(m.np.sin(f(m, x, y)))

    def each(m, x, y):
        return m.vmap(m.grad(lambda x, y: scalar(m, x, y), (0, 1)))(x, y)

    def total(m, x, y):
        return m.np.sum(m.vmap(lambda x, y: scalar(m, x, y), (0, None))(x, y) ** 2)

    same(each, X, Y)
    same(lambda m, x, y: m.grad(lambda x, y: total(m, x, y), (0, 1))(x, y), X, Y[0])
    same(lambda m, x, y: m.grad(lambda x: m.np.sum(each(m, x, y)[0] ** 2))(x), X, Y)


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0)])
@pytest.mark.parametrize("strides, groups", [((1, 1), 1), ((2, 1), 1), ((1, 1), 3)])
def test_convolutions(axes, strides, groups):
    kernels = KERNEL if groups == 1 else RNG.standard_normal((N, 3, 3, 1, 6))

    def conv(m, x, w):
        return m.lax.conv_general_dilated(x, w, strides, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"),
                                          feature_group_count=groups)

    def pair(m, x, w):
        y = m.vmap(lambda x, w: conv(m, x, w), axes)(x, w)
        return y, m.vmap(m.grad(lambda x, w: m.np.sum(m.np.tanh(conv(m, x, w))), (0, 1)), axes)(x, w)

    same(pair, *(a[0] if axis is None else a for a, axis in zip((IMAGE, kernels), axes)))


COLLECTIVES = {
    "psum": lambda m, x: m.lax.psum(m.np.sin(x), "i"),
    "pmean": lambda m, x: x * m.lax.pmean(x, "i"),
    "pmax": lambda m, x: m.lax.pmax(x, "i") - x,
    "pmin": lambda m, x: m.lax.pmin(x, "i") * 2,
    "index": lambda m, x: x * m.lax.axis_index("i"),
    "gather": lambda m, x: m.lax.all_gather(x, "i") * m.np.arange(1.0, N + 1),
    "gather_behind": lambda m, x: m.lax.all_gather(x, "i", axis=1)[0] * x,
    "gather_tiled": lambda m, x: m.lax.all_gather(x, "i", axis=0, tiled=True),
    "unmapped": lambda m, x: x + m.lax.psum(m.np.ones(N), "i") + m.lax.psum(2, "i") + m.lax.all_gather(m.np.ones(()), "i"),
    "statistics": lambda m, x: (x - m.lax.pmean(x, "i")) / m.np.sqrt(m.lax.pmean(x * x, "i") + 1),
    "square_of_sum": lambda m, x: m.lax.psum(x, "i") ** 2 * x,
}


@pytest.mark.parametrize("name", COLLECTIVES)
def test_collectives(name):
    f = COLLECTIVES[name]
    same(lambda m, x: m.vmap(lambda x: f(m, x), axis_name="i")(x), X[0])
    same(lambda m, x: m.vmap(m.vmap(lambda x: f(m, x), axis_name="i"), 1)(x), X)
    same(lambda m, x: m.vmap(m.vmap(lambda x: f(m, x)), axis_name="i")(x), X)


@pytest.mark.parametrize("name", [name for name in COLLECTIVES if name not in ("pmax", "pmin")])  # JAX has no gradient of those
def test_gradients_of_collectives(name):
    f = COLLECTIVES[name]

    def inside(m, x):
        return m.vmap(m.grad(lambda x: m.np.sum(f(m, x) ** 2)), axis_name="i")(x)

    same(inside, X[0])
    same(lambda m, x: m.vmap(lambda x: inside(m, x))(x), X)
    same(lambda m, x: m.vmap(m.grad(lambda x: m.np.sum(f(m, x[0])) * x[1, 0]), axis_name="i")(x), X)
    same(lambda m, x: m.vmap(m.vmap(m.grad(lambda x: m.np.sum(f(m, x) ** 2))), axis_name="i")(x), X)
    same(lambda m, x: m.grad(lambda x: m.np.sum(m.vmap(lambda x: f(m, x), axis_name="i")(x) ** 2))(x), X[0])
    same(lambda m, x: m.grad(lambda x: m.np.sum(inside(m, x) ** 2))(x), X[0])


def test_nested_names():
    def f(m, x):
        both = m.lax.psum(x, ("o", "i"))
        return both, m.lax.axis_index(("o", "i")), m.lax.all_gather(x, "o", axis=1), m.lax.psum(m.lax.axis_index("i"), "o")

    same(lambda m, x: m.vmap(m.vmap(lambda x: f(m, x), axis_name="i"), axis_name="o")(x), X)
    same(lambda m, x: m.vmap(m.vmap(m.grad(lambda x: m.np.sum(m.lax.pmean(x * m.lax.psum(x, "o"), ("i", "o")))), axis_name="i"),
                             axis_name="o")(x), X)


def test_results_without_the_axis():
    same(lambda m, x: m.vmap(lambda x: (m.lax.psum(x, "i"), W, x), axis_name="i", out_axes=(None, None, 1))(x), X)
    for m in (OURS, THEIRS):
        with pytest.raises(ValueError, match="out_axes"):
            m.vmap(lambda x: x, out_axes=None)(X)


@pytest.mark.parametrize("call", [
    lambda m: m.vmap(lambda x, y: x)(X, Y[:2]),
    lambda m: m.vmap(lambda x: x, None)(X),
    lambda m: m.vmap(lambda x: x, 3)(X),
    lambda m: m.vmap(lambda x: x, (0, 0))(X),
    lambda m: m.vmap(lambda x: x, ({"a": 0},))(X),
    lambda m: m.vmap(lambda x: x, axis_size=3)(X),
    lambda m: m.vmap(lambda x: x)(2.0),
    lambda m: m.vmap(lambda x: x, out_axes=(0, 0))(X),
    lambda m: m.vmap(lambda x: x, out_axes=4)(X),
], ids=range(9))
def test_both_refuse(call):
    for m in (OURS, THEIRS):
        with pytest.raises(ValueError):
            call(m)


@pytest.mark.parametrize("m", [OURS, THEIRS], ids=("leptonc", "jax"))
def test_unbound_names(m):
    with pytest.raises(NameError, match="unbound axis name"):
        m.vmap(lambda x: m.lax.psum(x, "j"), axis_name="i")(X)
