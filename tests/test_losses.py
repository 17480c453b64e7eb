"""Losses and activations of leptonc.nn against formulas in NumPy, and at extreme logits; CTC against all alignments."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import leptonc
from leptonc import nn, random
from leptonc import numpy as lnp
from tests.compare import both

F = np.float32


def logistic(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    "f, formula",
    [
        (nn.relu6, lambda x: np.clip(x, 0, 6)),
        (nn.celu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
        (lambda x: nn.celu(x, 2.0), lambda x: np.where(x > 0, x, 2 * np.expm1(np.minimum(x, 0) / 2))),
        (nn.selu, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))),
        (nn.mish, lambda x: x * np.tanh(np.logaddexp(x, 0))),
        (nn.hard_sigmoid, lambda x: np.clip(x / 6 + 0.5, 0, 1)),
        (nn.hard_silu, lambda x: x * np.clip(x / 6 + 0.5, 0, 1)),
        (nn.hard_tanh, lambda x: np.clip(x, -1, 1)),
        (nn.soft_sign, lambda x: x / (1 + abs(x))),
        (nn.log_sigmoid, lambda x: -np.logaddexp(-x, 0)),
        (nn.squareplus, lambda x: (x + np.sqrt(x * x + 4)) / 2),
        (nn.sparse_sigmoid, lambda x: np.clip(x + 1, 0, 2) / 2),
        (nn.sparse_plus, lambda x: np.where(x >= 1, x, np.maximum(x + 1, 0) ** 2 / 4)),
        (nn.identity, lambda x: x),
        (lambda x: nn.glu(x, 0), lambda x: x[:2] * logistic(x[2:])),
        (nn.standardize, lambda x: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)),
    ],
)
def test_activations(rng, f, formula):
    x = rng.standard_normal((4, 6)) * 4
    np.testing.assert_allclose(both(f, x)[0], formula(x), rtol=1e-9, atol=1e-12)


def test_log1mexp():
    x = np.array([1e-300, 1e-9, 0.1, 0.6931, 0.6932, 5.0, 40.0, 800.0])
    wanted = [np.log(1e-300), np.log(1e-9), *np.log(-np.expm1(-x[2:5])), *np.log1p(-np.exp(-x[5:]))]
    (got,) = both(nn.log1mexp, x)
    np.testing.assert_allclose(got, wanted, rtol=1e-8)
    assert np.isfinite(leptonc.jit(leptonc.grad(lambda x: lnp.sum(nn.log1mexp(x))))(x[1:])).all()


def test_losses_are_their_formulas(rng):
    x, y = rng.standard_normal((2, 5, 4)) * 2
    off, signs = x - y, np.sign(y)
    chances = rng.dirichlet(np.ones(4), 5)
    logs = x - np.log(np.exp(x).sum(-1, keepdims=True))
    cosines = (x * y).sum(-1) / np.linalg.norm(x, axis=-1) / np.linalg.norm(y, axis=-1)
    for ours, wanted in (
        (lambda x, y: nn.mean_absolute_error(x, y), abs(off).mean()),
        (lambda x, y: nn.mean_squared_error(x, y, reduction="sum"), (off**2).sum()),
        (lambda x, y: nn.huber_loss(x, y, 0.7), np.where(abs(off) < 0.7, off**2 / 2, 0.7 * (abs(off) - 0.35)).mean()),
        (lambda x, y: nn.hinge_loss(x, lnp.sign(y), reduction="none"), np.maximum(1 - x * signs, 0)),
        (
            lambda x, y: nn.binary_cross_entropy_with_logits(x, chances),
            -(chances * np.log(logistic(x)) + (1 - chances) * np.log(logistic(-x))).mean(),
        ),
        (lambda x, y: nn.kl_divergence(nn.log_softmax(x), chances), (chances * (np.log(chances) - logs)).sum(-1).mean()),
        (lambda x, y: nn.cosine_distance(x, y), 1 - cosines.mean()),
        (lambda x, y: nn.cross_entropy(x, chances, label_smoothing=0.2), -((0.8 * chances + 0.05) * logs).sum(-1).mean()),
        (
            lambda x, y: nn.triplet_loss(x, y, chances),
            np.maximum(np.linalg.norm(off + 1e-6, axis=-1) - np.linalg.norm(x - chances + 1e-6, axis=-1) + 1, 0).mean(),
        ),
    ):
        np.testing.assert_allclose(both(ours, x, y)[0], wanted, rtol=1e-9)


def test_weights_of_classes(rng):
    x, labels, weight = rng.standard_normal((6, 3)), np.array([0, 1, 2, 2, 1, 0]), np.array([1.0, 2.0, 0.5])
    each = -(x - np.log(np.exp(x).sum(-1, keepdims=True)))[np.arange(6), labels] * weight[labels]
    for reduction, wanted in (("none", each), ("sum", each.sum()), ("mean", each.sum() / weight[labels].sum())):
        (got,) = both(lambda x, y: nn.cross_entropy(x, y, weight=weight, reduction=reduction), x, labels)  # noqa: B023
        np.testing.assert_allclose(got, wanted, rtol=1e-9)


EXTREME = np.array([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4]], F)
CHANCES = np.array([[0, 1, 0], [0.5, 0.5, 0], [1, 0, 0]], F)
STABLE = {
    "bce": lambda x: nn.binary_cross_entropy_with_logits(x, CHANCES, pos_weight=np.float32(3)),
    "ce": lambda x: nn.cross_entropy(x, CHANCES, label_smoothing=0.1),
    "kl": lambda x: nn.kl_divergence(nn.log_softmax(x), CHANCES),
    "kl of logs": lambda x: nn.kl_divergence(nn.log_softmax(x), nn.log_softmax(x * 0.5), log_targets=True),
    "huber": lambda x: nn.huber_loss(x, CHANCES),
    "hinge": lambda x: nn.hinge_loss(x, CHANCES * 2 - 1),
    "cosine": lambda x: nn.cosine_similarity(x, CHANCES).sum() + nn.cosine_similarity(x * 0, CHANCES).sum(),
    "triplet": lambda x: nn.triplet_loss(x, x, CHANCES),
    "ctc": lambda x: nn.ctc_loss(x[None], np.array([[1]])),
    "mish": lambda x: nn.mish(x).sum(),
    "log_sigmoid": lambda x: nn.log_sigmoid(x).sum(),
}


@pytest.mark.parametrize("name", STABLE)
def test_extreme_logits(name):
    value, grad = both(leptonc.value_and_grad(STABLE[name]), EXTREME)
    assert np.isfinite(value) and np.isfinite(grad).all(), (value, grad)


def spellings(log_chances, labels, blank):
    """-log of the chance of labels, by all paths through [t, classes]."""
    total = 0.0
    for path in product(range(log_chances.shape[1]), repeat=len(log_chances)):
        merged = [c for n, c in enumerate(path) if n == 0 or c != path[n - 1]]
        if [c for c in merged if c != blank] == list(labels):
            total += np.exp(log_chances[np.arange(len(path)), path].sum())
    return -np.log(total) if total else np.inf


@pytest.mark.parametrize("blank", [0, 2])
def test_ctc_sums_over_all_alignments(rng, blank):
    logits = rng.standard_normal((4, 5, 3))
    a, b = (c for c in range(3) if c != blank)
    labels, counts, ends = np.array([[a, a, b], [a, b, b], [b, b, b], [a, b, a]]), np.array([3, 2, 0, 3]), np.array([5, 3, 4, 2])
    logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    wanted = [spellings(logs[n, : ends[n]], labels[n, : counts[n]], blank) for n in range(4)]
    f = leptonc.jit(lambda x: nn.ctc_loss(x, labels, ends, counts, blank=blank, reduction="none"))
    np.testing.assert_allclose(f(logits), wanted, rtol=1e-9)
    assert wanted[3] == np.inf
    grad = leptonc.jit(leptonc.grad(lambda x: lnp.sum(lnp.where(lnp.isfinite(f(x)), f(x), 0))))(logits)
    assert np.isfinite(grad).all() and not grad[1, 3:].any() and not grad[3].any() and grad[0].any()
    np.testing.assert_allclose(grad[0].sum(-1), 0, atol=1e-12)  # logits may be shifted


OF_ANY_FLOAT = {
    **{name: getattr(nn, name) for name in (
        "relu6 leaky_relu elu celu selu gelu glu silu mish softplus soft_sign squareplus sparse_plus sparse_sigmoid hard_sigmoid "
        "hard_silu hard_tanh log_sigmoid log1mexp softmax standardize layer_norm rms_norm instance_norm global_avg_pool").split()},
    "dropout": lambda x: nn.alpha_dropout(KEY, nn.gaussian_dropout(KEY, nn.dropout(KEY, x, 0.5), 0.5), 0.5),
    "huber": lambda x: nn.huber_loss(x, x * 0),
    "cross_entropy": lambda x: nn.cross_entropy(x, x * 0, label_smoothing=0.1, weight=np.ones(8)),
    "bce": lambda x: nn.binary_cross_entropy_with_logits(x, x * 0),
    "kl": lambda x: nn.kl_divergence(x, x * 0),
    "triplet": lambda x: nn.triplet_loss(x, x, x),
    "cosine": lambda x: nn.cosine_similarity(x, x),
    "attention": lambda x: nn.dot_product_attention(nn.rotary_embedding(x), x, x, is_causal=True),
    "blocks": lambda x: nn.dot_product_attention(x, x, x, implementation="blockwise"),
    "batch_norm": lambda x: nn.batch_norm(x, np.zeros(8, F), np.ones(8, F), training=True)[0],
    "resize": lambda x: nn.adaptive_avg_pool(nn.resize(x, 9), 4),
    "lstm": lambda x: nn.lstm(x[0], x[0, 0, :1] * lnp.ones((8, 1), x.dtype), lnp.ones((2, 8), x.dtype))[0],
}
KEY = random.key(0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_dtypes_stay_what_they_were(dtype):
    x = leptonc.ShapeDtypeStruct((2, 6, 6, 8), dtype)
    wrong = {name: str(found.dtype) for name, f in OF_ANY_FLOAT.items() if (found := leptonc.eval_shape(f, x)).dtype != dtype}
    assert not wrong


def test_softmax_of_some(rng):
    x, mask = rng.standard_normal((4, 6)), np.arange(6) < [[1], [3], [6], [2]]
    chances = np.exp(x) * mask
    np.testing.assert_allclose(both(lambda x: nn.softmax(x, where=mask), x)[0], chances / chances.sum(-1, keepdims=True), rtol=1e-9)
    assert np.isneginf(nn.log_softmax(x, where=mask)[~mask]).all()
    np.testing.assert_array_equal(nn.logsumexp(x, -1, keepdims=True)[:, 0], nn.logsumexp(x, -1))
