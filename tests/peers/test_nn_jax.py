"""Activations, attention, transposed convolutions and resizing against JAX, where it is installed: values and gradients, f64."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import nn
from leptonc import numpy as lnp

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

pytestmark = pytest.mark.usefixtures("double_precision")

POINTS = np.array(
    [-np.inf, -1e4, -100, -7, -3, -2.5, -1, -0.5, -1e-8, -0.0, 0.0, 1e-8, 0.3, 1, 2.5, 3, 6, 7, 100, 1e4, np.inf, np.nan]
)
FINITE = POINTS[np.isfinite(POINTS)]
SMOOTH = (
    "celu selu mish soft_sign log_sigmoid squareplus sparse_plus sparse_sigmoid hard_sigmoid hard_silu hard_tanh relu6 "
    "silu elu gelu identity hard_swish"
).split()


def compare(ours, theirs, *args, rtol=1e-9, atol=1e-11, inputs=None):
    """Values, and gradients of a weighted sum by the arguments ``inputs`` (all of them if left out)."""
    wanted = np.asarray(theirs(*args))
    np.testing.assert_allclose(leptonc.jit(ours)(*args), wanted, rtol=rtol, atol=atol)
    weights = np.random.default_rng(0).standard_normal(wanted.shape)
    numbers = tuple(range(len(args))) if inputs is None else inputs
    got = leptonc.jit(leptonc.grad(lambda *a: lnp.sum(ours(*a) * weights), numbers))(*args)
    right = jax.grad(lambda *a: jnp.sum(theirs(*a) * weights), numbers)(*args)
    for n, a, b in zip(numbers, got, right):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=f"gradient of argument {n}")


@pytest.mark.parametrize("name", SMOOTH)
def test_activations_at_points(name):
    ours, theirs = getattr(nn, name), getattr(jax.nn, name)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(leptonc.jit(lambda x: ours(x))(POINTS), theirs(POINTS), rtol=1e-9, atol=1e-12)
    for order in range(3):
        np.testing.assert_allclose(
            leptonc.jit(lambda x, f=ours: f(x))(FINITE), jax.vmap(theirs)(FINITE), rtol=1e-9, atol=1e-12, err_msg=f"order {order}"
        )
        ours, theirs = (lambda x, f=ours: leptonc.grad(lambda x: lnp.sum(f(x)))(x)), jax.grad(theirs)


def test_the_rest_of_the_activations(rng):
    x = rng.standard_normal((3, 4, 6)) * 3
    compare(lambda x: nn.log1mexp(x), jax.nn.log1mexp, np.array([1e-12, 1e-3, 0.5, 0.7, 3.0, 50.0]))
    compare(lambda x: nn.glu(x, 1), lambda x: jax.nn.glu(x, 1), x)
    for axis in (-1, (0, 2), None):
        compare(lambda x: nn.standardize(x, axis), lambda x: jax.nn.standardize(x, axis, algorithm="stable"), x)  # noqa: B023
    compare(
        lambda x: nn.standardize(x, mean=0.5, variance=np.full((3, 1, 6), 2.0), epsilon=1e-2),
        lambda x: jax.nn.standardize(x, mean=0.5, variance=np.full((3, 1, 6), 2.0), epsilon=1e-2),
        x,
    )
    mask = rng.random((3, 4, 1)) < 0.7
    for name in ("softmax", "log_softmax"):
        chosen = np.where(mask, 1.0, 0.0)  # what is left out is -inf, which has no sum
        compare(
            lambda x: lnp.where(mask, getattr(nn, name)(x, 1, where=mask), 0) * chosen,  # noqa: B023
            lambda x: jnp.where(mask, getattr(jax.nn, name)(x, 1, where=mask), 0) * chosen,  # noqa: B023
            x,
        )
        np.testing.assert_allclose(getattr(nn, name)(x, 1, where=mask), getattr(jax.nn, name)(x, 1, where=mask), rtol=1e-9)
    np.testing.assert_allclose(nn.logsumexp(x, 1, keepdims=True), jax.nn.logsumexp(x, 1, keepdims=True), rtol=1e-12)
    labels = rng.integers(-1, 6, (2, 3))
    for axis in (-1, 0, 1):
        np.testing.assert_array_equal(nn.one_hot(labels, 5, axis=axis), jax.nn.one_hot(labels, 5, axis=axis))


OPTIONS = [
    {},
    {"is_causal": True},
    {"scale": 0.3, "local_window_size": 2},
    {"local_window_size": (3, 0), "is_causal": True},
    {"key_value_seq_lengths": np.array([3, 7], np.int32), "query_seq_lengths": np.array([5, 2], np.int32)},
]
OF_SCORES = {"rtol": 1e-5, "atol": 3e-6}  # JAX takes the softmax in f32, whatever the operands


@pytest.mark.parametrize("implementation", ["plain", "blockwise"])
@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(o) or "none")
def test_attention(rng, options, implementation, monkeypatch):
    monkeypatch.setattr("leptonc.nn.attention.BLOCK", 4)
    q, k, v = (rng.standard_normal((2, t, h, 4)) for t, h in ((5, 6), (7, 3), (7, 3)))
    compare(
        lambda *a: nn.dot_product_attention(*a, **options, implementation=implementation),
        lambda *a: jax.nn.dot_product_attention(*a, **options),
        q,
        k,
        v,
        **OF_SCORES,
    )


@pytest.mark.parametrize("implementation", ["plain", "blockwise"])
def test_attention_with_bias_and_a_row_that_sees_nothing(rng, implementation, monkeypatch):
    monkeypatch.setattr("leptonc.nn.attention.BLOCK", 4)
    q, k, v = (rng.standard_normal((2, t, h, 4)) for t, h in ((5, 6), (7, 3), (7, 3)))
    bias, mask = rng.standard_normal((1, 6, 5, 7)), rng.random((2, 1, 5, 7)) < 0.6
    mask[0, 0, 1] = False
    compare(
        lambda q, k, v, bias: nn.dot_product_attention(q, k, v, bias, mask, implementation=implementation),
        lambda q, k, v, bias: jax.nn.dot_product_attention(q, k, v, bias, mask),
        q,
        k,
        v,
        bias,
        **OF_SCORES,
    )


@pytest.mark.parametrize("seed", range(12))
def test_conv_transpose(seed):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    window, stride, dilation = (tuple(int(n) for n in rng.integers(1, 4, rank)) for _ in range(3))
    padding = ["SAME", "VALID", tuple((int(a), int(b)) for a, b in rng.integers(0, 3, (rank, 2)))][seed % 3]
    x, w = rng.standard_normal((2, *rng.integers(3, 6, rank), 3)), rng.standard_normal((*window, 3, 2))
    letters = "DHW"[-rank:]
    numbers = ("N" + letters + "C", letters + "IO", "N" + letters + "C")
    compare(
        lambda x, w: nn.conv_transpose(x, w, stride=stride, padding=padding, dilation=dilation),
        lambda x, w: jax.lax.conv_transpose(x, w, stride, padding, dilation, dimension_numbers=numbers),
        x,
        w,
    )


@pytest.mark.parametrize("method", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("size", [(11, 3), (2, 8), (7, 5)])
def test_resize(rng, method, antialias, size):
    x = rng.standard_normal((2, 7, 5, 3))
    compare(
        lambda x: nn.resize(x, size, method, antialias=antialias),
        lambda x: jax.image.resize(x, (2, *size, 3), method, antialias=antialias),
        x,
    )


def test_depthwise_and_three_dimensions(rng):
    x, w = rng.standard_normal((2, 6, 7, 3)), rng.standard_normal((3, 2, 3, 2))
    compare(
        lambda x, w: nn.depthwise_conv(x, w, stride=2, padding="SAME"),
        lambda x, w: jax.lax.conv_general_dilated(
            x, w.reshape(3, 2, 1, 6), (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=3
        ),
        x,
        w,
    )
    x, w = rng.standard_normal((2, 5, 6, 4, 3)), rng.standard_normal((2, 3, 2, 3, 4))
    compare(
        lambda x, w: nn.conv(x, w, stride=(1, 2, 1), padding="SAME"),
        lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 2, 1), "SAME", dimension_numbers=("NDHWC", "DHWIO", "NDHWC")),
        x,
        w,
    )


def test_modules_of_a_network_without_jax_arrays_go_through_both():
    """A tree of leptonc's modules is one of JAX's once its leaves are listed: names and order agree with the sorted names of
    dicts."""
    model = nn.MLP(3, [4], 2, key=0)
    flat = model.named_parameters()
    assert list(flat) == ["layers.0.kernel", "layers.0.bias", "layers.1.kernel", "layers.1.bias"]
    x = np.ones((5, 3), np.float32)
    hidden = jax.nn.relu(x @ flat["layers.0.kernel"] + flat["layers.0.bias"])
    np.testing.assert_allclose(model(x), hidden @ flat["layers.1.kernel"] + flat["layers.1.bias"], rtol=1e-5)
