"""leptonc.nn: convolution and pooling against loops, activations against formulas, initializers against their variance."""

from __future__ import annotations

from math import erf

import numpy as np
import pytest

import leptonc
from leptonc import lax, nn
from leptonc.errors import DtypeError, LeptonError, RangeError, ShapeError
from tests.compare import both

F = np.float32


def naive_conv(x, w, stride, pads, dilation):
    """NHWC by the definition, one result at a time."""
    padded = np.pad(x, ((0, 0), *[(max(a, 0), max(b, 0)) for a, b in pads], (0, 0)))
    (kh, kw), (n, _, _, _) = w.shape[:2], x.shape
    h = (padded.shape[1] - (kh - 1) * dilation - 1) // stride + 1
    v = (padded.shape[2] - (kw - 1) * dilation - 1) // stride + 1
    out = np.zeros((n, h, v, w.shape[-1]))
    for i in range(h):
        for j in range(v):
            rows, columns = (slice(p * stride, p * stride + (k - 1) * dilation + 1, dilation) for p, k in ((i, kh), (j, kw)))
            out[:, i, j] = np.tensordot(padded[:, rows, columns], w, 3)
    return out


@pytest.mark.parametrize("stride, padding, pads, dilation", [
    (1, "VALID", ((0, 0), (0, 0)), 1), (2, "SAME", ((1, 1), (0, 1)), 1), (1, 2, ((2, 2), (2, 2)), 1),
    (3, ((1, 0), (0, 2)), ((1, 0), (0, 2)), 2), (1, (0, 1), ((0, 0), (1, 1)), 2),
])
def test_conv_is_its_definition(rng, stride, padding, pads, dilation):
    x, w = rng.standard_normal((2, 9, 8, 3)).astype(F), rng.standard_normal((3, 3, 3, 5)).astype(F)
    (got,) = both(lambda x, w: nn.conv(x, w, stride=stride, padding=padding, dilation=dilation), x, w)
    np.testing.assert_allclose(got, naive_conv(x, w, stride, pads, dilation), rtol=1e-4, atol=1e-5)
    (other,) = both(lambda x, w: lax.conv_general_dilated(
        x, w, (stride, stride), pads, rhs_dilation=(dilation, dilation), dimension_numbers=("NHWC", "HWIO", "NHWC")), x, w)
    np.testing.assert_array_equal(got, other)


def test_grouped_and_one_dimensional_conv(rng):
    x, w = rng.standard_normal((2, 6, 6, 4)).astype(F), rng.standard_normal((3, 3, 2, 6)).astype(F)
    (got,) = both(lambda x, w: nn.conv(x, w, groups=2), x, w)
    for g in range(2):
        part = naive_conv(x[..., 2 * g:2 * g + 2], w[..., 3 * g:3 * g + 3], 1, ((0, 0), (0, 0)), 1)
        np.testing.assert_allclose(got[..., 3 * g:3 * g + 3], part, rtol=1e-4, atol=1e-5)
    (line,) = both(lambda x, w: nn.conv(x, w, padding="SAME"), x[:, 0], w[0][:, :, :5].repeat(2, 1))
    np.testing.assert_allclose(line[:, 1], np.tensordot(x[:, 0, 0:3], w[0][:, :, :5].repeat(2, 1), 2), rtol=1e-4, atol=1e-5)


def test_pools(rng):
    x = rng.standard_normal((2, 6, 7, 3)).astype(F)
    (got,) = both(lambda x: nn.max_pool(x, 2), x)
    np.testing.assert_array_equal(got, x[:, :, :6].reshape(2, 3, 2, 3, 2, 3).max((2, 4)))
    (got,) = both(lambda x: nn.avg_pool(x, (2, 3), stride=1), x)
    np.testing.assert_allclose(got[0, 1, 2], x[0, 1:3, 2:5].mean((0, 1)), rtol=1e-5)
    (got,) = both(lambda x: nn.avg_pool(x, 3, stride=2, padding="SAME"), x)
    # 6 rows in steps of 2 need one row of padding, at the end; 7 columns need one on either side
    np.testing.assert_allclose(got[0, 0, 0], x[0, :3, :2].mean((0, 1)), rtol=1e-5)
    np.testing.assert_allclose(got[0, 2, 0], x[0, 4:, :2].mean((0, 1)), rtol=1e-5)
    (got,) = both(lambda x: nn.avg_pool(x, 3, stride=2, padding=1, count_include_pad=True), x)
    np.testing.assert_allclose(got[0, 0, 0], x[0, :2, :2].sum((0, 1)) / 9, rtol=1e-5, atol=1e-6)
    both(leptonc.grad(lambda x: (nn.max_pool(x, 3, stride=2, padding=1) ** 2).sum()), x)


def test_pool_gradient_goes_to_the_first_maximum():
    x = np.zeros((1, 2, 2, 1), F)
    grad = leptonc.jit(leptonc.grad(lambda x: nn.max_pool(x, 2).sum()))(x)
    np.testing.assert_array_equal(grad.ravel(), [1, 0, 0, 0])


@pytest.mark.parametrize("f, formula", [
    (nn.relu, lambda x: np.maximum(x, 0)), (nn.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x)),
    (nn.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))), (nn.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    (nn.silu, lambda x: x / (1 + np.exp(-x))), (nn.softplus, lambda x: np.logaddexp(x, 0)),
    (lambda x: nn.gelu(x, approximate=False), lambda x: x * 0.5 * (1 + np.vectorize(erf)(x / 2**0.5))),
    (nn.softmax, lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
    (nn.log_softmax, lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True))), (nn.logsumexp, lambda x: np.log(np.exp(x).sum())),
    (nn.tanh, np.tanh),
])
def test_activations(rng, f, formula):
    x = rng.standard_normal((4, 7)) * 3
    np.testing.assert_allclose(both(f, x)[0], formula(x), rtol=1e-9, atol=1e-12)
    both(leptonc.grad(lambda x: (f(x) ** 2).sum()), x)


def test_gelu_approximation_is_near(rng):
    x = rng.standard_normal(100)
    np.testing.assert_allclose(both(nn.gelu, x)[0], both(lambda x: nn.gelu(x, approximate=False), x)[0], atol=2e-3)


def test_stable_at_huge_logits():
    x = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4]], F)
    y = np.eye(3, dtype=F)[[1, 2]]
    value, grad = leptonc.jit(leptonc.value_and_grad(nn.cross_entropy))(x, y)
    np.testing.assert_allclose(value, (2e4 + np.log(3)) / 2, rtol=1e-6)
    assert np.isfinite(grad).all()
    assert np.isfinite(both(nn.sigmoid, x)[0]).all()


def test_cross_entropy_of_classes_and_probabilities(rng):
    x, labels = rng.standard_normal((6, 4)).astype(F), rng.integers(0, 4, 6)
    one_hot = np.eye(4, dtype=F)[labels]
    (a,) = both(nn.cross_entropy, x, labels)
    (b,) = both(nn.cross_entropy, x, one_hot)
    np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_array_equal(both(lambda n: nn.one_hot(n, 4), labels)[0], one_hot)
    grad = leptonc.jit(leptonc.grad(nn.cross_entropy))(x, labels)
    np.testing.assert_allclose(grad, (np.exp(x) / np.exp(x).sum(1, keepdims=True) - one_hot) / 6, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name, variance", [("glorot_uniform", 2 / 700), ("glorot_normal", 2 / 700), ("he_normal", 2 / 300),
                                            ("he_uniform", 2 / 300), ("lecun_normal", 1 / 300), ("lecun_uniform", 1 / 300)])
def test_initializers(name, variance):
    w = getattr(nn.initializers, name)()(0, (300, 400))
    assert w.dtype == F and w.shape == (300, 400)
    np.testing.assert_allclose(w.var(), variance, rtol=0.02)
    np.testing.assert_array_equal(w, getattr(nn.initializers, name)()(np.random.default_rng(0), (300, 400)))


def test_errors():
    with pytest.raises(ShapeError, match="fans"):
        nn.initializers.glorot_uniform()(0, (3,))
    with pytest.raises(LeptonError, match="dimension_numbers"):
        lax.conv_general_dilated(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), (1, 1), "VALID",
                                 dimension_numbers=("NCHW", "OIHW", "NCWW"))
    with pytest.raises(DtypeError, match="numbers"):
        nn.conv(np.ones((1, 4, 4, 1), bool), np.ones((3, 3, 1, 1), bool))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i4", "i8", "u8"])
def test_ints_convolve_exactly(rng, dtype):
    info = np.iinfo(dtype)
    x, w = (rng.integers(info.min, info.max, shape, dtype, endpoint=True) for shape in ((2, 18, 9, 8), (3, 3, 8, 8)))
    plain, grouped, wide = both(lambda x, w: (
        nn.conv(x, w, padding="SAME"), nn.conv(x, w[:, :, :2], stride=2, groups=4),
        nn.conv_transpose(x, w, stride=2, padding="VALID")), x, w, rtol=0, atol=0)
    window = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))), (3, 3), (1, 2))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(plain, np.einsum("nhwcij,ijco->nhwo", window, w))
    assert grouped.shape == (2, 8, 4, 8) and wide.shape == (2, 37, 19, 8) and plain.dtype == np.dtype(dtype)


def test_softmax_of_no_elements():
    x = np.zeros((2, 0, 3), F)
    for axis, left in ((1, (2, 3)), (None, ()), ((0, 1), (3,))):
        (total,) = both(lambda x: nn.logsumexp(x, axis), x)  # noqa: B023
        assert total.shape == left and (total == -np.inf).all() and total.dtype == F
    assert both(lambda x: nn.logsumexp(x, (1, 2), keepdims=True), x)[0].shape == (2, 1, 1)
    assert {y.shape for y in both(lambda x: (nn.softmax(x, 1), nn.log_softmax(x, 1)), x)} == {x.shape}


LABELS = {"beyond": ([0, 3, 1, 2], [1]), "negative": ([-1, 0, 2, -7], [0, 3]), "all": ([3, 4, 5, 100], [0, 1, 2, 3]),
          "none": ([0, 1, 2, 0], [])}


@pytest.mark.parametrize("dtype", ["i4", "i8", "u1", "u4"])
@pytest.mark.parametrize("labels, wrong", LABELS.values(), ids=LABELS)
@pytest.mark.parametrize("axis", [-1, 0])
def test_labels_out_of_range(labels, wrong, axis, dtype):
    """NaN for the loss and the gradient of that row alone, in compiled code; an error where the labels are known."""
    labels = np.array(labels).astype(dtype)  # negative ones become large unsigned ones, out of range as well
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((4, 3) if axis == -1 else (3, 4)).astype(F)
    loss, gradient = leptonc.jit(leptonc.value_and_grad(lambda x, y: nn.cross_entropy(x, y, axis=axis)))(scores, labels)
    assert np.isnan(loss) == bool(wrong)
    rows = np.isnan(gradient) if axis == -1 else np.isnan(gradient).T
    np.testing.assert_array_equal(rows, [[n in wrong] * 3 for n in range(4)])
    valid = np.where(np.isin(np.arange(4), wrong), 0, labels)
    good = leptonc.grad(lambda x: nn.cross_entropy(x, valid, axis=axis))(scores)
    kept = ~np.isnan(gradient)
    np.testing.assert_allclose(gradient[kept], good[kept], rtol=1e-5, atol=1e-7)
    for call in (lambda: nn.cross_entropy(scores, labels, axis=axis),
                 lambda: leptonc.jit(lambda x: nn.cross_entropy(x, labels, axis=axis))(scores),
                 lambda: without_jit(lambda x, y: nn.cross_entropy(x, y, axis=axis), scores, labels)):
        if not wrong:
            assert np.isclose(call(), loss)
            continue
        with pytest.raises(RangeError, match=r"out of range for 3 classes.*labels count from 0 to 2"):
            call()


def without_jit(f, *args):
    with leptonc.disable_jit():
        return leptonc.jit(f)(*args)


def test_class_numbers_do_not_begin_again():
    """More classes than the labels' dtype can count."""
    labels = np.array([5, 255], np.uint8)
    for got in (nn.one_hot(labels, 300), leptonc.jit(lambda y: nn.one_hot(y, 300))(labels)):
        np.testing.assert_array_equal(got, np.eye(300)[labels])
    scores = np.random.default_rng(0).standard_normal((2, 300))
    wanted = -np.mean([scores[n, y] - np.log(np.exp(scores[n]).sum()) for n, y in enumerate(labels)])
    np.testing.assert_allclose(leptonc.jit(nn.cross_entropy)(scores, labels), wanted, rtol=1e-12)


def test_padding_is_multiplied():
    """As in any system that lays it out: an infinite weight that meets it makes NaN, compiled and op by op."""
    x, w = np.ones((1, 4, 4, 2), np.float32), np.ones((3, 3, 2, 8), np.float32)
    w[0, 0, 0, 0] = np.inf
    (y,) = both(lambda x, w: nn.conv(x, w, padding=1), x, w)
    assert np.isnan(y[0, 0, :, 0]).all() and np.isposinf(y[0, 1:, 1:, 0]).all() and np.isfinite(y[..., 1:]).all()
    g = np.ones((1, 4, 4, 8), np.float32)
    g[0, 0, 0, 0] = np.nan
    (dw,) = both(lambda x, w, g: leptonc.vjp(lambda w: nn.conv(x, w, padding=1), w)[1](g)[0], x, np.ones_like(w), g)
    assert np.isnan(dw[..., 0]).all() and np.isfinite(dw[..., 1:]).all()


@pytest.mark.parametrize("pool", [nn.max_pool, nn.avg_pool])
@pytest.mark.parametrize("padding", [((0, 1), (0, 1)), ((1, 0), (1, 0)), ((0, 1), (1, 1))])
def test_windows_that_end_one_cell_beyond_the_image(pool, padding, rng):
    """Low or high padding alone, by the one cell that the last or the first window needs."""
    x = rng.standard_normal((1, 5, 5, 3)).astype(np.float32)
    both(lambda x: pool(x, 2, stride=2, padding=padding), x)
    both(leptonc.grad(lambda x: (pool(x, 2, stride=2, padding=padding) ** 2).sum()), x)


def test_logarithms_of_means():
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(leptonc.jit(nn.logmeanexp)(x), np.log(np.exp(x).mean()))
    np.testing.assert_allclose(nn.logmeanexp(x, 1, where=x > 1), [2, np.log(np.exp(x[1]).mean())])
