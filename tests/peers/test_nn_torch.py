"""Losses, normalization, recurrent layers, convolutions and resizing against PyTorch, where it is installed: values and
gradients, f64."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import nn
from leptonc import numpy as lnp

torch = pytest.importorskip("torch")
F = torch.nn.functional


def channels_first(x):
    return torch.moveaxis(x, -1, 1)


def compare(ours, theirs, *args, rtol=1e-9, atol=1e-10):
    """Values, and gradients of a weighted sum by all float arguments."""
    tensors = [torch.from_numpy(np.array(a)).requires_grad_(a.dtype.kind == "f") for a in args]
    wanted = theirs(*tensors)
    np.testing.assert_allclose(leptonc.jit(ours)(*args), wanted.detach().numpy(), rtol=rtol, atol=atol)
    weights = np.random.default_rng(0).standard_normal(wanted.shape)
    (wanted * torch.from_numpy(np.asarray(weights))).sum().backward()
    numbers = tuple(n for n, a in enumerate(args) if a.dtype.kind == "f")
    got = leptonc.jit(leptonc.grad(lambda *a: lnp.sum(ours(*a) * weights), numbers))(*args)
    for n, a in zip(numbers, got):
        grad = tensors[n].grad
        np.testing.assert_allclose(
            a, 0 if grad is None else grad.numpy(), rtol=rtol, atol=atol, err_msg=f"gradient of argument {n}"
        )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_losses(rng, reduction):
    x, y = rng.standard_normal((2, 5, 4)) * 3
    chances = rng.random((5, 4))
    compare(
        lambda x, y: nn.mean_squared_error(x, y, reduction=reduction), lambda x, y: F.mse_loss(x, y, reduction=reduction), x, y
    )
    compare(
        lambda x, y: nn.mean_absolute_error(x, y, reduction=reduction), lambda x, y: F.l1_loss(x, y, reduction=reduction), x, y
    )
    compare(lambda x, y: nn.huber_loss(x, y, 1.5, reduction=reduction), lambda x, y: F.huber_loss(x, y, reduction, 1.5), x, y)
    compare(
        lambda x, y: nn.binary_cross_entropy_with_logits(x, y, reduction=reduction),
        lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction=reduction),
        x,
        chances,
    )
    weight, positive = rng.random(4), rng.random(4) * 3
    compare(
        lambda x: nn.binary_cross_entropy_with_logits(x, chances, weight=weight, pos_weight=positive, reduction=reduction),
        lambda x: F.binary_cross_entropy_with_logits(
            x, torch.from_numpy(chances), torch.from_numpy(weight), reduction=reduction, pos_weight=torch.from_numpy(positive)
        ),
        x,
    )
    a, p, n = rng.standard_normal((3, 6, 4))
    compare(
        lambda a, p, n: nn.triplet_loss(a, p, n, reduction=reduction),
        lambda a, p, n: F.triplet_margin_loss(a, p, n, reduction=reduction),
        a,
        p,
        n,
    )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy(rng, reduction, smoothing, weighted):
    x, labels, weight = rng.standard_normal((6, 4)), rng.integers(0, 4, 6), rng.random(4) if weighted else None
    chances = rng.dirichlet(np.ones(4), 6)
    theirs = {
        "reduction": reduction,
        "label_smoothing": smoothing,
        "weight": None if weight is None else torch.from_numpy(weight),
    }
    ours = {"reduction": reduction, "label_smoothing": smoothing, "weight": weight}
    compare(lambda x, y: nn.cross_entropy(x, y, **ours), lambda x, y: F.cross_entropy(x, y, **theirs), x, chances)
    if weighted and smoothing:
        theirs["label_smoothing"] = 0.0
        ours["label_smoothing"] = 0.0
    compare(lambda x, y: nn.cross_entropy(x, y, **ours), lambda x, y: F.cross_entropy(x, y, **theirs), x, labels)


def test_weights_and_smoothing_of_labels(rng):
    x, labels, weight = rng.standard_normal((6, 4)), rng.integers(0, 4, 6), rng.random(4)
    compare(
        lambda x: nn.cross_entropy(x, labels, weight=weight, label_smoothing=0.2),
        lambda x: F.cross_entropy(x, torch.from_numpy(labels), torch.from_numpy(weight), label_smoothing=0.2),
        x,
    )


def test_divergences(rng):
    x, y = rng.standard_normal((2, 5, 4))
    target = rng.dirichlet(np.ones(4), 5)
    target[0, 1] = 0
    compare(
        lambda x: nn.kl_divergence(nn.log_softmax(x), target),
        lambda x: F.kl_div(F.log_softmax(x, -1), torch.from_numpy(target), reduction="batchmean"),
        x,
    )
    compare(
        lambda x, y: nn.kl_divergence(nn.log_softmax(x), nn.log_softmax(y), log_targets=True),
        lambda x, y: F.kl_div(F.log_softmax(x, -1), F.log_softmax(y, -1), reduction="batchmean", log_target=True),
        x,
        y,
    )
    compare(lambda x, y: nn.cosine_similarity(x, y), lambda x, y: F.cosine_similarity(x, y, -1), x, y)


@pytest.mark.parametrize("blank", [0, 3])
def test_ctc(rng, blank):
    n, t, s, c = 4, 7, 3, 5
    logits = rng.standard_normal((n, t, c)) * 2
    labels = rng.choice([i for i in range(c) if i != blank], (n, s))
    labels[0] = labels[0, 0]  # repeated: a blank must stand between
    ends, counts = np.array([7, 6, 3, 7]), np.array([3, 2, 1, 0])
    compare(
        lambda x: nn.ctc_loss(x, labels, ends, counts, blank=blank, reduction="none"),
        lambda x: F.ctc_loss(
            F.log_softmax(x, -1).transpose(0, 1),
            torch.from_numpy(labels),
            torch.from_numpy(ends),
            torch.from_numpy(counts),
            blank,
            reduction="none",
        ),
        logits,
    )


def test_norms(rng):
    x, scale, bias = rng.standard_normal((4, 5, 3, 6)), rng.standard_normal(6), rng.standard_normal(6)
    compare(lambda *a: nn.layer_norm(*a), lambda x, s, b: F.layer_norm(x, (6,), s, b), x, scale, bias)
    compare(lambda x: nn.layer_norm(x, axis=(-2, -1)), lambda x: F.layer_norm(x, (3, 6)), x)
    compare(lambda x, s: nn.rms_norm(x, s, epsilon=1e-3), lambda x, s: F.rms_norm(x, (6,), s, 1e-3), x, scale)
    compare(
        lambda *a: nn.group_norm(a[0], 3, *a[1:]),
        lambda x, s, b: torch.moveaxis(F.group_norm(channels_first(x), 3, s, b), 1, -1),
        x,
        scale,
        bias,
    )
    compare(
        lambda *a: nn.instance_norm(*a),
        lambda x, s, b: torch.moveaxis(F.instance_norm(channels_first(x), weight=s, bias=b), 1, -1),
        x,
        scale,
        bias,
    )
    mean, var = rng.standard_normal(6), rng.random(6) + 0.5
    for training in (True, False):
        compare(
            lambda *a: nn.batch_norm(a[0], mean, var, *a[1:], training=training)[0],  # noqa: B023
            lambda x, s, b: torch.moveaxis(
                F.batch_norm(channels_first(x), torch.from_numpy(mean.copy()), torch.from_numpy(var.copy()), s, b, training),  # noqa: B023
                1,
                -1,
            ),
            x,
            scale,
            bias,
        )
    running = torch.from_numpy(mean.copy())
    F.batch_norm(channels_first(torch.from_numpy(x)), running, torch.from_numpy(var.copy()), training=True, momentum=0.25)
    got = leptonc.jit(lambda x: nn.batch_norm(x, mean, var, training=True, momentum=0.75))(x)
    np.testing.assert_allclose(got[1], running.numpy(), rtol=1e-12)
    np.testing.assert_allclose(got[2], 0.75 * var + 0.25 * x.var((0, 1, 2)), rtol=1e-12)


def torch_weights(layer):
    """PyTorch's weights as leptonc's list of layers and directions."""
    found = []
    for n in range(layer.num_layers):
        for way in ("", "_reverse")[: 1 + layer.bidirectional]:
            w, u, b, c = (
                getattr(layer, f"{part}_l{n}{way}").detach().numpy() for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            )
            found.append((w.T.copy(), u.T.copy(), b.copy(), c.copy()))
    return found


def loaded(model, weights):
    """The model with these weights; where it has one bias, their sum."""
    layers = [
        layer.replace(
            kernel=w,
            recurrent_kernel=u,
            bias=b if layer.recurrent_bias is not None else b + c,
            recurrent_bias=c if layer.recurrent_bias is not None else None,
        )
        for layer, (w, u, b, c) in zip(model.layers, weights)
    ]
    return model.replace(layers=layers)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("num_layers, bidirectional, lengths", [(1, False, None), (2, True, [4, 1, 3])])
def test_recurrent_layers(rng, name, num_layers, bidirectional, lengths):
    torch.manual_seed(0)
    theirs = getattr(torch.nn, name.replace("Simple", ""))(
        3, 5, num_layers, batch_first=True, bidirectional=bidirectional
    ).double()
    ours = loaded(
        getattr(nn, name)(3, 5, num_layers=num_layers, bidirectional=bidirectional, dtype="float64"), torch_weights(theirs)
    )
    x = rng.standard_normal((3, 4, 3))

    def run_theirs(x):
        if lengths is None:
            ys, last = theirs(x)
        else:
            packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(lengths), batch_first=True, enforce_sorted=False)
            ys, last = theirs(packed)
            ys = torch.nn.utils.rnn.pad_packed_sequence(ys, batch_first=True)[0]
        states = torch.stack(last) if name == "LSTM" else last[None]
        return torch.cat([ys.flatten(), states.flatten()])

    def run_ours(x):
        ys, last = ours(x, lengths=None if lengths is None else np.array(lengths))
        states = [lnp.stack(list(part)) for part in zip(*last)] if name == "LSTM" else [lnp.stack(last)]
        return lnp.concatenate([ys.ravel(), *[s.ravel() for s in states]])

    compare(run_ours, run_theirs, x)


def test_cells(rng):
    x, h, c = rng.standard_normal((2, 3)), rng.standard_normal((2, 5)), rng.standard_normal((2, 5))
    cell = torch.nn.LSTMCell(3, 5).double()
    w, u, b, d = (getattr(cell, n).detach().numpy() for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    compare(
        lambda x, h, c: lnp.concatenate(nn.lstm_cell(x, (h, c), w.T, u.T, b + d)),
        lambda x, h, c: torch.cat(cell(x, (h, c))),
        x,
        h,
        c,
    )
    cell = torch.nn.GRUCell(3, 5).double()
    w, u, b, d = (getattr(cell, n).detach().numpy() for n in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    compare(lambda x, h: nn.gru_cell(x, h, w.T, u.T, b, d), lambda x, h: cell(x, h), x, h)


@pytest.mark.parametrize(
    "stride, padding, output_padding, dilation, groups",
    [(1, 0, 0, 1, 1), (2, 1, 1, 1, 1), (3, 2, 1, 2, 2), (2, (1, 0), (0, 1), 1, 4)],
)
def test_conv_transpose(rng, stride, padding, output_padding, dilation, groups):
    x, w = rng.standard_normal((2, 5, 4, 4)), rng.standard_normal((3, 3, 4, 8 // groups))
    compare(
        lambda x, w: nn.conv_transpose(
            x,
            w,
            stride=stride,
            padding=padding,
            output_padding=output_padding,
            dilation=dilation,
            groups=groups,
            convention="pytorch",
        ),
        lambda x, w: torch.moveaxis(
            F.conv_transpose2d(channels_first(x), w.permute(2, 3, 0, 1), None, stride, padding, output_padding, groups, dilation),
            1,
            -1,
        ),
        x,
        w,
    )


def test_separable_conv(rng):
    x, w, p = rng.standard_normal((2, 6, 5, 3)), rng.standard_normal((3, 3, 3, 2)), rng.standard_normal((6, 4))
    compare(
        lambda x, w, p: nn.separable_conv(x, w, p, padding=1),
        lambda x, w, p: torch.moveaxis(
            F.conv2d(
                F.conv2d(channels_first(x), w.permute(2, 3, 0, 1).reshape(6, 1, 3, 3), padding=1, groups=3), p.T[:, :, None, None]
            ),
            1,
            -1,
        ),
        x,
        w,
        p,
    )


@pytest.mark.parametrize(
    "method, options",
    [
        ("nearest", {}),
        ("bilinear", {}),
        ("bilinear", {"align_corners": True}),
        ("bicubic", {}),
        ("bicubic", {"align_corners": True}),
    ],
)
@pytest.mark.parametrize("size", [(11, 3), (2, 8), (7, 10)])
def test_resize(rng, method, options, size):
    x = rng.standard_normal((2, 7, 5, 3))
    compare(
        lambda x: nn.resize(x, size, method, convention="pytorch", **options),
        lambda x: torch.moveaxis(F.interpolate(channels_first(x), size, mode=method, **options), 1, -1),
        x,
    )


@pytest.mark.parametrize("size", [(3, 2), (1, 1), (4, 5), (7, 6), (9, 8)])
def test_adaptive_pools(rng, size):
    x = rng.standard_normal((2, 8, 6, 3))
    for ours, theirs in ((nn.adaptive_avg_pool, F.adaptive_avg_pool2d), (nn.adaptive_max_pool, F.adaptive_max_pool2d)):
        compare(lambda x: ours(x, size), lambda x: torch.moveaxis(theirs(channels_first(x), size), 1, -1), x)  # noqa: B023


def test_three_dimensional_convolution_and_pools(rng):
    x, w = rng.standard_normal((2, 6, 5, 4, 3)), rng.standard_normal((3, 2, 2, 3, 4))
    compare(
        lambda x, w: nn.conv(x, w, stride=(2, 1, 1), padding=1),
        lambda x, w: torch.moveaxis(F.conv3d(channels_first(x), w.permute(4, 3, 0, 1, 2), None, (2, 1, 1), 1), 1, -1),
        x,
        w,
    )
    compare(lambda x: nn.max_pool(x, 2), lambda x: torch.moveaxis(F.max_pool3d(channels_first(x), 2), 1, -1), x)
    compare(lambda x: nn.avg_pool(x, 2, stride=1), lambda x: torch.moveaxis(F.avg_pool3d(channels_first(x), 2, 1), 1, -1), x)


def test_multi_head_attention(rng):
    torch.manual_seed(0)
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True).double()
    ours = nn.MultiHeadAttention(8, 2, dtype="float64", key=0)
    parts = [*theirs.in_proj_weight.detach().numpy().reshape(3, 8, 8), theirs.out_proj.weight.detach().numpy()]
    biases = [*theirs.in_proj_bias.detach().numpy().reshape(3, 8), theirs.out_proj.bias.detach().numpy()]
    ours = ours.replace(
        **{
            name: getattr(ours, name).replace(kernel=w.T.copy(), bias=b.copy())
            for name, w, b in zip(("query", "key", "value", "out"), parts, biases)
        }
    )
    x, memory = rng.standard_normal((2, 5, 8)), rng.standard_normal((2, 3, 8))
    compare(lambda x, m: ours(x, m), lambda x, m: theirs(x, m, m, need_weights=False)[0], x, memory)
    causal = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1)
    compare(lambda x: ours.replace(is_causal=True)(x), lambda x: theirs(x, x, x, attn_mask=causal, need_weights=False)[0], x)
