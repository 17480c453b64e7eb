"""Functions of leptonc.nn for normalization, dropout, sequences, attention and images, against NumPy written out."""

from __future__ import annotations

import re
from math import prod

import numpy as np
import pytest

import leptonc
from leptonc import nn, random
from leptonc import numpy as lnp
from leptonc.errors import LeptonError
from leptonc.nn import attention
from tests.compare import both

F = np.float32


def logistic(x):
    return 1 / (1 + np.exp(-x))


def normalized(x, axes, epsilon):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon)


def test_norms(rng):
    x, scale, bias = rng.standard_normal((4, 3, 5, 6)), rng.standard_normal(6), rng.standard_normal(6)
    for ours, wanted in (
        (lambda x: nn.layer_norm(x, scale, bias), normalized(x, -1, 1e-5) * scale + bias),
        (lambda x: nn.layer_norm(x, axis=(1, 3), epsilon=0.1), normalized(x, (1, 3), 0.1)),
        (lambda x: nn.instance_norm(x, scale), normalized(x, (1, 2), 1e-5) * scale),
        (
            lambda x: nn.group_norm(x, 2, scale, bias),
            normalized(x.reshape(4, 3, 5, 2, 3), (1, 2, 4), 1e-5).reshape(x.shape) * scale + bias,
        ),
        (lambda x: nn.rms_norm(x, scale), x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale),
    ):
        np.testing.assert_allclose(both(ours, x)[0], wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm(rng, training):
    x, mean, var = rng.standard_normal((8, 3, 4)) * 2 + 1, rng.standard_normal(4), rng.random(4) + 0.5
    y, *running = both(lambda x: nn.batch_norm(x, mean, var, training=training, momentum=0.8), x)
    if training:
        np.testing.assert_allclose(y, normalized(x, (0, 1), 1e-5), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(running[0], 0.8 * mean + 0.2 * x.mean((0, 1)), rtol=1e-12)
        np.testing.assert_allclose(running[1], 0.8 * var + 0.2 * x.var((0, 1)), rtol=1e-12)
    else:
        np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-5), rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(running, [mean, var])


def test_running_statistics_have_no_gradient(rng):
    x = rng.standard_normal((8, 4))
    grad = leptonc.grad(lambda x: lnp.sum(nn.batch_norm(x, np.zeros(4), np.ones(4), training=True)[1]))(x)
    assert not np.asarray(grad).any()


def test_dropouts():
    x, key = np.ones((64, 4, 4, 16), F), random.key(0)
    normal = np.asarray(random.normal(random.key(1), (64 * 256,)))  # of other words than the dropout is
    plain, spatial, alpha, gaussian = both(
        lambda key, x: (
            nn.dropout(key, x, 0.25),
            nn.spatial_dropout(key, x, 0.5),
            nn.alpha_dropout(key, normal, 0.3),
            nn.gaussian_dropout(key, x, 0.2),
        ),
        key,
        x,
    )
    assert set(np.unique(plain)) == {0, F(4 / 3)} and abs((plain == 0).mean() - 0.25) < 0.02
    assert (spatial == spatial[:, :1, :1]).all() and 0.4 < (spatial == 0).mean() < 0.6
    np.testing.assert_allclose([alpha.mean(), alpha.var()], [0, 1], atol=0.05)  # six standard errors
    np.testing.assert_allclose([gaussian.mean(), gaussian.var()], [1, 0.25], atol=0.025)
    np.testing.assert_array_equal(nn.dropout(key, x[:, 0, 0], 0.5, broadcast_dims=(0,)).std(0), 0)
    for f in (nn.dropout, nn.alpha_dropout):
        assert not np.asarray(f(key, x[0], 1.0)).any()
        np.testing.assert_allclose(f(key, x[0], 0), x[0], rtol=1e-6)
    grad = leptonc.grad(lambda x: lnp.sum(nn.dropout(key, x, 0.25)))(x)
    np.testing.assert_array_equal(grad, plain)


def steps_of(name, x, w, u, b, c, h, cell):
    """One sequence [t, in], a step at a time."""
    for now in x:
        if name == "lstm":
            i, f, g, o = np.split(now @ w + h @ u + b, 4, -1)
            cell = logistic(f) * cell + logistic(i) * np.tanh(g)
            h = logistic(o) * np.tanh(cell)
        elif name == "simple_rnn":
            h = np.tanh(now @ w + h @ u + b)
        else:
            (r, z, n), (hr, hz, hn) = np.split(now @ w + b, 3, -1), np.split(h @ u + c, 3, -1)
            r, z = logistic(r + hr), logistic(z + hz)
            h = (1 - z) * np.tanh(n + r * hn) + z * h
        yield h, cell


@pytest.mark.parametrize("name, gates", [("simple_rnn", 1), ("lstm", 4), ("gru", 3)])
@pytest.mark.parametrize("reverse", [False, True])
def test_sequences_of_other_lengths(rng, name, gates, reverse):
    n, t, features, hidden, lengths = 3, 4, 2, 3, np.array([4, 2, 1])
    w, u = rng.standard_normal((features, gates * hidden)), rng.standard_normal((hidden, gates * hidden))
    b, c = rng.standard_normal((2, gates * hidden))
    x, h, cell = rng.standard_normal((n, t, features)), rng.standard_normal((n, hidden)), rng.standard_normal((n, hidden))
    given = {"simple_rnn": (b, h), "lstm": (b, (h, cell)), "gru": (b, c, h)}[name]
    function = getattr(nn, name)
    mask = np.arange(t) < lengths[:, None]
    runs = [lambda x, options=options: function(x, w, u, *given, reverse=reverse, **options)
            for options in ({"lengths": lengths}, {"mask": mask})]
    ys, *last = both(runs[0], x)
    last = last if name == "lstm" else last[0]
    for k, count in enumerate(lengths):
        sequence = x[k, :count][::-1] if reverse else x[k, :count]
        states = list(steps_of(name, sequence, w, u, b, c, h[k], cell[k]))
        outputs = [state[0] for state in (states[::-1] if reverse else states)]
        np.testing.assert_allclose(ys[k], [*outputs, *[np.zeros(hidden)] * (t - count)], rtol=1e-9)
        np.testing.assert_allclose(last[0][k] if name == "lstm" else last[k], states[-1][0], rtol=1e-9)
        if name == "lstm":
            np.testing.assert_allclose(last[1][k], states[-1][1], rtol=1e-9)
    with leptonc.disable_jit():
        np.testing.assert_allclose(leptonc.jit(runs[1])(x)[0], ys, rtol=1e-9)


def test_gru_in_keras_order_and_as_published(rng):
    x, h, w, u, b = (rng.standard_normal(s) for s in ((2, 3), (2, 4), (3, 12), (4, 12), (12,)))
    order = np.r_[4:8, 0:4, 8:12]
    mine = nn.gru_cell(x, h, w[:, order], u[:, order], b[order], b[order], gates="keras")
    np.testing.assert_allclose(mine, nn.gru_cell(x, h, w, u, b, b), rtol=1e-12)
    (r, z, n), (ur, uz, un) = np.split(x @ w + b, 3, -1), np.split(u, 3, -1)
    r, z = logistic(r + h @ ur), logistic(z + h @ uz)
    wanted = (1 - z) * np.tanh(n + (r * h) @ un) + z * h
    np.testing.assert_allclose(both(lambda x: nn.gru_cell(x, h, w, u, b, reset_after=False), x)[0], wanted, rtol=1e-9)


def test_gradients_of_a_sequence_are_those_of_its_cells(rng):
    x, w, u, b = (rng.standard_normal(s) for s in ((2, 3, 2), (2, 12), (3, 12), (12,)))

    def by_cells(w, u, b):
        state = (np.zeros((2, 3)), np.zeros((2, 3)))
        for t in range(3):
            state = nn.lstm_cell(x[:, t], state, w, u, b)
        return lnp.sum(state[0] ** 2)

    got = leptonc.jit(leptonc.grad(lambda *p: lnp.sum(nn.lstm(x, *p)[1][0] ** 2), (0, 1, 2)))(w, u, b)
    for a, b_ in zip(got, leptonc.jit(leptonc.grad(by_cells, (0, 1, 2)))(w, u, b)):
        np.testing.assert_allclose(a, b_, rtol=1e-9, atol=1e-12)


def attended(q, k, v, mask):
    scores = np.einsum("bthd,bshd->bhts", q, k) / np.sqrt(q.shape[-1])
    scores = np.where(mask, scores, -1e30)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("bhts,bshd->bthd", weights / weights.sum(-1, keepdims=True), v)


@pytest.mark.parametrize("implementation", ["plain", "blockwise"])
def test_attention(rng, implementation, monkeypatch):
    monkeypatch.setattr(attention, "BLOCK", 4)
    q, k, v = (rng.standard_normal((2, t, h, 4)) for t, h in ((5, 4), (6, 2), (6, 2)))
    every, shared = np.arange(6), (np.repeat(k, 2, 2), np.repeat(v, 2, 2))
    mask = rng.random((2, 1, 5, 6)) < 0.7
    for options, seen in (
        ({"is_causal": True}, every <= np.arange(5)[:, None]),
        ({"mask": mask}, mask),
        ({"key_value_seq_lengths": np.array([2, 6])}, every < np.array([2, 6])[:, None, None, None]),
        ({"local_window_size": 1}, abs(every - np.arange(5)[:, None]) <= 1),
    ):
        (got,) = both(lambda q, k, v: nn.dot_product_attention(q, k, v, **options, implementation=implementation), q, k, v)  # noqa: B023
        np.testing.assert_allclose(got, attended(q, *shared, seen), rtol=1e-9, atol=1e-12, err_msg=str(list(options)))


@pytest.mark.parametrize("implementation", ["plain", "blockwise"])
@pytest.mark.parametrize("n, t", [(0, 5), (2, 0)])
def test_attention_of_no_examples_or_queries(n, t, implementation):
    f = leptonc.grad(lambda q, k: lnp.sum(nn.dot_product_attention(q, k, k, implementation=implementation)), argnums=(0, 1))
    q, k = np.ones((n, t, 4, 8)), np.ones((n, 6, 2, 8))
    assert [x.shape for x in both(f, q, k)] == [q.shape, k.shape]
    assert both(lambda q, k: nn.dot_product_attention(q, k, k, implementation=implementation), q, k)[0].shape == q.shape


def test_attention_over_a_long_sequence_never_has_all_scores():
    """Neither in the graph nor in memory: blocks are what it is taken in."""
    t = 2 * attention.BLOCK
    q = np.ones((1, t, 1, 8), F)

    def largest(implementation):
        text = str(leptonc.make_graph(lambda q: nn.dot_product_attention(q, q, q, implementation=implementation))(q))
        return max(prod(map(int, shape.split(","))) for shape in re.findall(r"f32\[([\d,]+)\]", text))

    assert largest("plain") == t * t and largest("blockwise") == t * attention.BLOCK


def test_huge_scores_are_safe():
    q = np.array([[[[1e4]], [[-1e4]]]], F)
    for implementation in ("plain", "blockwise"):
        value, grad = leptonc.jit(
            leptonc.value_and_grad(lambda q: lnp.sum(nn.dot_product_attention(q, q, q, implementation=implementation)))  # noqa: B023
        )(q)
        assert np.isfinite(value) and np.isfinite(grad).all()


def test_positions(rng):
    table = nn.sinusoidal_positions(7, 6)
    np.testing.assert_allclose(
        table[3], np.r_[np.sin(3 / 10000 ** (np.arange(3) / 3)), np.cos(3 / 10000 ** (np.arange(3) / 3))], rtol=1e-5
    )
    x = rng.standard_normal((2, 5, 3, 8))
    turn = np.arange(5)[:, None] * 10000.0 ** (-np.arange(4) / 4)
    for interleaved in (False, True):
        a, b = (x[..., ::2], x[..., 1::2]) if interleaved else (x[..., :4], x[..., 4:])
        (y,) = both(lambda x: nn.rotary_embedding(x, interleaved=interleaved), x)  # noqa: B023
        whole = (a + 1j * b) * np.exp(1j * turn)[:, None]
        wanted = (
            np.stack([whole.real, whole.imag], -1).reshape(x.shape)
            if interleaved
            else np.concatenate([whole.real, whole.imag], -1)
        )
        np.testing.assert_allclose(y, wanted, rtol=1e-9, atol=1e-12)
    later = nn.rotary_embedding(x[:, 2:], np.array([[2, 3, 4]] * 2))
    np.testing.assert_allclose(later, nn.rotary_embedding(x)[:, 2:], rtol=1e-12)


def test_a_key_value_cache_gives_what_the_whole_gives(rng):
    layer = nn.MultiHeadAttention(8, 4, num_kv_heads=2, is_causal=True, rotary=True, key=0)
    x = rng.standard_normal((2, 6, 8)).astype(F)
    cache, step = layer.empty_cache(2, 9), leptonc.jit(lambda layer, x, cache: layer(x, cache=cache))
    first, cache = step(layer, x[:, :3], cache)
    parts = [first]
    for t in range(3, 6):
        y, cache = step(layer, x[:, t : t + 1], cache)
        parts.append(y)
    assert cache.length == 6 and step.compiles == 2
    np.testing.assert_allclose(np.concatenate(parts, 1), layer(x), rtol=1e-4, atol=1e-5)
    with pytest.raises(LeptonError, match="room for x"):
        layer(np.ones((2, 10, 8), F), cache=cache)
    with pytest.raises(LeptonError, match="is_causal=True"):
        layer.replace(is_causal=False)(x, cache=cache)


def test_transposed_convolution_is_the_gradient_of_a_convolution(rng):
    y, w = rng.standard_normal((2, 4, 3, 5)), rng.standard_normal((3, 3, 2, 5))
    x = np.zeros((2, 8, 6, 2))
    _, pull = leptonc.vjp(lambda x: nn.conv(x, w, stride=2, padding=1), x)
    (got,) = both(
        lambda y: nn.conv_transpose(y, w.swapaxes(2, 3), stride=2, padding=1, output_padding=1, convention="pytorch"), y
    )
    np.testing.assert_allclose(got, pull(y)[0], rtol=1e-9, atol=1e-12)
    assert nn.conv_transpose(y, w.swapaxes(2, 3), stride=2).shape == (2, 8, 6, 2)


def test_separable_convolution_is_a_convolution(rng):
    x, w, p = rng.standard_normal((2, 5, 6, 3)), rng.standard_normal((3, 2, 3, 2)), rng.standard_normal((6, 4))
    whole = np.einsum("hwcm,cmo->hwco", w, p.reshape(3, 2, 4))
    (got,) = both(lambda x: nn.separable_conv(x, w, p, stride=2), x)
    np.testing.assert_allclose(got, nn.conv(x, whole, stride=2), rtol=1e-9, atol=1e-12)


def test_images_of_other_sizes(rng):
    x = rng.standard_normal((1, 4, 4, 2))
    np.testing.assert_array_equal(nn.upsample(x, 2), x.repeat(2, 1).repeat(2, 2))
    np.testing.assert_allclose(
        both(lambda x: nn.resize(x, 2), x)[0][0, 0, 0], np.einsum("hwc,h,w->c", x[0], *[[3 / 7, 3 / 7, 1 / 7, 0]] * 2), rtol=1e-9
    )
    ramp = np.arange(5.0).reshape(1, 5, 1)
    for method in ("linear", "cubic"):
        (y,) = both(lambda x: nn.resize(x, 9, method, convention="pytorch", align_corners=True), ramp)  # noqa: B023
        np.testing.assert_allclose(y[0, 4:5, 0], [2], rtol=1e-12)
    np.testing.assert_allclose(nn.resize(ramp, 9, "linear", convention="pytorch", align_corners=True)[0, :, 0], np.arange(9) / 2)
    np.testing.assert_allclose(nn.adaptive_avg_pool(ramp, 2)[0, :, 0], [1, 3])
    np.testing.assert_allclose(nn.adaptive_max_pool(ramp, 3)[0, :, 0], [1, 3, 4])
    for ours, theirs in ((nn.global_avg_pool, np.mean), (nn.global_max_pool, np.max)):
        np.testing.assert_allclose(both(ours, x)[0], theirs(x, (1, 2)), rtol=1e-12)


X, IMAGE = np.ones((2, 3), F), np.ones((1, 4, 4, 2), F)
WRONG = {
    "norm without features": lambda: nn.batch_norm(X, np.ones(2), np.ones(3), training=True),
    "groups": lambda: nn.group_norm(IMAGE, 3),
    "rate": lambda: nn.dropout(random.key(0), X, 1.5),
    "cell": lambda: nn.lstm_cell(X, X, np.ones((3, 8)), np.ones((2, 8))),
    "weights": lambda: nn.lstm(X[None], np.ones((3, 8)), np.ones((2, 6))),
    "lengths and mask": lambda: nn.gru(
        X[None], np.ones((3, 6)), np.ones((2, 6)), lengths=np.array([1]), mask=np.ones((1, 2), bool)
    ),
    "gates": lambda: nn.gru(X[None], np.ones((3, 6)), np.ones((2, 6)), gates="kears"),
    "heads": lambda: nn.dot_product_attention(np.ones((1, 2, 3, 4)), np.ones((1, 2, 2, 4)), np.ones((1, 2, 2, 4))),
    "mask of floats": lambda: nn.dot_product_attention(*[np.ones((1, 2, 3, 4))] * 3, mask=np.ones((1, 1, 2, 2))),
    "odd": lambda: nn.rotary_embedding(np.ones((1, 2, 3, 5))),
    "transposed": lambda: nn.conv_transpose(IMAGE, np.ones((3, 3, 2, 2)), padding="SAME", convention="pytorch"),
    "size": lambda: nn.resize(IMAGE, (0, 3)),
    "method": lambda: nn.resize(IMAGE, 3, "bilinaer"),
    "antialias": lambda: nn.resize(IMAGE, 3, antialias=True, convention="pytorch"),
    "glu": lambda: nn.glu(X),
    "labels": lambda: nn.ctc_loss(np.ones((1, 2, 3)), np.ones((1, 2))),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_wrong_calls_name_the_line(call):
    with pytest.raises(LeptonError, match=r"\(test_layers.py:\d+\)"):
        call()


@pytest.mark.parametrize("causal", [False, True])
def test_long_attention_never_has_all_scores(causal):
    """Forward and backward: less than a fifth of what the scores take."""
    length = 4096
    q = leptonc.ShapeDtypeStruct((1, length, 1, 64), np.float32)
    f = leptonc.grad(lambda q, k, v: lnp.sum(nn.dot_product_attention(q, k, v, is_causal=causal) ** 2), argnums=(0, 1, 2))
    assert leptonc.jit(f).trace(q, q, q).compile().memory_analysis().arena_bytes < 0.2 * 4 * length**2


def test_blocks_of_queries_and_keys_are_all_of_them(rng):
    """Lengths that are no multiples of the blocks, masks and biases of every shape, forward and backward."""
    q, k, v = (rng.standard_normal((2, n, 2, 4)) for n in (300, 280, 280))
    bias, mask = rng.standard_normal((1, 2, 300, 280)), rng.random((2, 1, 1, 280)) < 0.8
    options = {"mask": mask, "is_causal": True, "local_window_size": (90, 40), "key_value_seq_lengths": np.array([280, 77])}

    def loss(kind):
        return lambda q, k, v, bias: lnp.sum(lnp.sin(nn.dot_product_attention(
            q, k, v, **{**options, "bias": bias}, implementation=kind)))

    for ours, plain in zip(leptonc.grad(loss("blockwise"), argnums=(0, 1, 2, 3))(q, k, v, bias),
                           leptonc.grad(loss("plain"), argnums=(0, 1, 2, 3))(q, k, v, bias)):
        np.testing.assert_allclose(ours, plain, rtol=1e-8, atol=1e-10)
