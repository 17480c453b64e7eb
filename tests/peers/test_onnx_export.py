"""Exported functions and networks give in ONNX Runtime what they give in leptonc."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", minversion="1.19")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime as runtime

import leptonc
import leptonc.numpy as lnp
from leptonc import lax, nn
from leptonc.errors import ArgumentError, LeptonError
from leptonc.ir.op import Sample, get_op
from leptonc.onnx.writer import EMITTERS
from leptonc.trace import bind
from tests import models
from tests.peers.onnx.model import of_model

runtime.set_default_logger_severity(4)
RNG = np.random.default_rng


def run(model: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    """What ONNX Runtime gives, for a model that is a valid one."""
    onnx.checker.check_model(model, full_check=True)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, dict(zip([i.name for i in session.get_inputs()], arrays, strict=True)))


def check(f: Callable[..., Any], *arrays: np.ndarray, others: Sequence[Sequence[np.ndarray]] = (), atol: float = 1e-5,
          **options: Any) -> Any:
    """``f`` exported for ``arrays``, compared on them and on ``others``, of other extents."""
    model = leptonc.onnx.export(f, *arrays, **options)
    for given in (arrays, *others):
        expected = leptonc.tree.leaves(f(*given))
        found = run(model, *given)
        for a, b in zip(found, expected, strict=True):
            assert (a.shape, a.dtype) == (np.shape(b), np.asarray(b).dtype)
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=atol)
    return model


def ops_of(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


# Every op

NOT_COMPARED = {
    ("pow", "int32"): "powers of ints are refused",
    ("reduce_max", "special"): "ONNX Runtime's maxima may be numbers where an element is NaN",
    ("reduce_min", "special"): "as maxima",
    ("argmax", "special"): "as maxima",
    ("argmin", "special"): "as maxima",
    ("max_pool", "nan"): "as maxima",
    ("dft", "(1, 16, 32, 2)(16,)FalseFalse"): "part of a longer transform, which is refused",
    ("sort", "(600,)u01600vo"): "ONNX Runtime has no TopK of u64",
}
ATOL = {"dft": 1e-4}  # sums of up to 1,000 numbers, of size 30
SIMPLE = sorted(name for name in EMITTERS if not get_op(name).regional)


def samples(name: str) -> list[Sample]:
    return [s for s in get_op(name).samples() if (name, s.name) not in NOT_COMPARED]


@pytest.mark.parametrize("name", SIMPLE)
def test_ops(name):
    op, rng = get_op(name), RNG(0)
    for sample in samples(name):
        arrays = [np.asarray(a) for a in sample.make(rng)]
        arrays = [a.astype(np.float32) if a.dtype == np.float64 else a for a in arrays]
        with np.errstate(all="ignore"):
            expected = op.run(*arrays, **sample.attrs)
        found = run(leptonc.onnx.export(lambda *xs, attrs=sample.attrs: bind(name, *xs, **attrs), *arrays), *arrays)
        for a, b in zip(found, expected if isinstance(expected, tuple) else (expected,), strict=True):
            assert (a.shape, a.dtype) == (b.shape, b.dtype), sample.name
            np.testing.assert_allclose(a, b, rtol=2e-5, atol=ATOL.get(name, 2e-5), err_msg=sample.name)


def test_not_compared_are_samples():
    assert all(any(s.name == sample for s in get_op(name).samples()) for name, sample in NOT_COMPARED)


# Networks


def images(count: int, size: int = 12, channels: int = 3) -> np.ndarray:
    return RNG(count).random((count, size, size, channels), np.float32)


def weights(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)


def test_lenet():
    model = check(leptonc.freeze(models.logits, models.init()), images(4), others=[[images(1)], [images(7)]],
                  dynamic_axes="batch")
    assert [d.dim_param or d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == ["batch", 12, 12, 3]
    assert model.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    names = {t.name for t in model.graph.initializer}
    assert "params['dense1']['kernel']" in names and "params['conv1']['kernel']_1" in names  # the latter transposed


def normalized(x: Any, p: dict[str, np.ndarray]) -> Any:
    return (x - p["mean"]) * lax.rsqrt(p["variance"] + 1e-3) * p["scale"] + p["shift"]


def statistics(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    return {"mean": weights(rng, n), "variance": rng.random(n, np.float32) + 0.5, "scale": rng.random(n, np.float32) + 0.5,
            "shift": weights(rng, n)}


def residual_block(x: Any, p: dict[str, Any], stride: int) -> Any:
    y = nn.relu(normalized(nn.conv(x, p["first"], stride=stride, padding="SAME"), p["norm1"]))
    y = normalized(nn.conv(y, p["second"], padding="SAME"), p["norm2"])
    return nn.relu(y + (x if "short" not in p else nn.conv(x, p["short"], stride=stride)))


def resnet(params: list[dict[str, Any]], x: Any) -> Any:
    x = nn.relu(normalized(nn.conv(x, params[0]["stem"], padding="SAME"), params[0]["norm"]))
    for p in params[1:-1]:
        x = residual_block(x, p, 2 if "short" in p else 1)
    return lnp.mean(x, (1, 2)) @ params[-1]["dense"]


def resnet_params(depth: int = 3) -> list[dict[str, Any]]:
    rng, width = RNG(1), 4
    params: list[dict[str, Any]] = [{"stem": weights(rng, 3, 3, 3, width), "norm": statistics(rng, width)}]
    for stage in range(3):
        for block in range(depth):
            narrow, width = width, width * 2 if stage and not block else width
            p = {"first": weights(rng, 3, 3, narrow, width), "second": weights(rng, 3, 3, width, width),
                 "norm1": statistics(rng, width), "norm2": statistics(rng, width)}
            params.append(p | ({"short": weights(rng, 1, 1, narrow, width)} if narrow != width else {}))
    return [*params, {"dense": weights(rng, width, 10)}]


def test_resnet():
    check(leptonc.freeze(resnet, resnet_params()), images(2, 16), others=[[images(5, 16)]], dynamic_axes="batch")


def test_mobilenet_block():
    rng = RNG(2)
    wide, depthwise, narrow = weights(rng, 1, 1, 4, 12), weights(rng, 3, 3, 1, 12), weights(rng, 1, 1, 12, 4)

    def block(x):
        y = nn.relu6(nn.conv(x, wide))
        y = nn.relu6(nn.conv(y, depthwise, padding="SAME", groups=12))
        return x + nn.conv(y, narrow)

    model = check(block, images(2, 9, 4), others=[[images(1, 9, 4)]], dynamic_axes="batch")
    assert [a.i for n in model.graph.node if n.op_type == "Conv" for a in n.attribute if a.name == "group"] == [1, 12, 1]


def test_unet():
    rng = RNG(3)
    down, middle, up, out = (weights(rng, *s) for s in ((3, 3, 3, 4), (3, 3, 4, 8), (2, 2, 8, 4), (3, 3, 8, 2)))

    def unet(x):
        first = nn.relu(nn.conv(x, down, padding="SAME"))
        low = nn.relu(nn.conv(nn.max_pool(first, 2), middle, padding="SAME"))
        high = lax.conv_transpose(low, up, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return nn.softmax(nn.conv(lnp.concatenate([first, high], axis=-1), out, padding="SAME"))

    model = check(unet, images(2), others=[[images(3)]], dynamic_axes="batch")
    assert "ConvTranspose" in ops_of(model) and "Softmax" in ops_of(model)


@pytest.mark.parametrize("layout", [("NCHW", "OIHW", "NCHW"), ("NHWC", "HWIO", "NCHW")])
@pytest.mark.parametrize("padding", [((1, 2), (0, 1)), ((-1, 0), (1, -2)), "SAME"])
def test_convolutions(layout, padding):
    rng = RNG(4)
    x = rng.random((2, 4, 9, 8) if layout[0] == "NCHW" else (2, 9, 8, 4), np.float32)
    w = weights(rng, *((6, 2, 3, 2) if layout[1] == "OIHW" else (3, 2, 2, 6)))
    check(lambda x: lax.conv_general_dilated(x, w, (2, 1), padding, rhs_dilation=(1, 2), dimension_numbers=layout,
                                             feature_group_count=2), x, dynamic_axes="batch")


def test_transposed_convolutions_of_odd_paddings():
    rng = RNG(5)
    x, w = rng.random((2, 5, 4, 3), np.float32), weights(rng, 4, 3, 3, 2)
    for padding in ("SAME", "VALID", ((1, 0), (3, 2)), ((4, 5), (0, 0))):
        check(lambda x, padding=padding: lax.conv_transpose(x, w, (3, 2), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")), x)


# Loops, attention, dense networks


def test_lstm():
    rng = RNG(6)
    kernel, recurrent, bias = weights(rng, 3, 20), weights(rng, 5, 20), weights(rng, 20)

    def lstm(x):
        def step(carry, item):
            h, c = carry
            i, f, g, o = lnp.split(item @ kernel + h @ recurrent + bias, 4, axis=-1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * lnp.tanh(g)
            h = nn.sigmoid(o) * lnp.tanh(c)
            return (h, c), h

        zeros = lnp.zeros((x.shape[0], 5), np.float32)
        (h, _), states = lax.scan(step, (zeros, zeros), lnp.moveaxis(x, 1, 0))
        return h, lnp.moveaxis(states, 0, 1)

    x = rng.random((2, 7, 3), np.float32)
    model = check(lstm, x, others=[[rng.random((4, 7, 3), np.float32)]], dynamic_axes="batch")
    assert "Scan" in ops_of(model)


@pytest.mark.parametrize("layer", [nn.LSTM, nn.GRU], ids=["lstm", "gru"])
def test_recurrent_layers(layer):
    x = RNG(7).random((2, 6, 3), np.float32)
    made = layer(3, 5).init(leptonc.random.key(0))
    check(made, x, others=[[x[:1]]], dynamic_axes="batch")


def test_loops_backwards_and_without_slices():
    x = RNG(8).random((5, 3), np.float32)
    check(lambda x: lax.scan(lambda c, row: (c * 0.5 + row, c), lnp.zeros(3, np.float32), x, reverse=True), x)
    check(lambda x: lax.fori_loop(0, 4, lambda n, c: c * 0.5 + n.astype(np.float32), x), x)


def test_while_loop_and_branches():
    x = RNG(9).random(3, np.float32)
    check(lambda x: lax.while_loop(lambda c: lnp.sum(c) < 10, lambda c: c * 2 + x, x), x)
    for number in (-1, 0, 1, 2, 5):
        check(lambda x, n: lax.switch(n, [lambda y: y + 1, lambda y: y * x, lnp.exp], x), x, np.array(number, np.int32))
    for flag in (False, True):
        check(lambda flag, x: lax.cond(flag, lambda: x * 2, lambda: lnp.flip(x)), np.array(flag), x)


def transformer_params(width: int = 8, words: int = 11) -> dict[str, Any]:
    rng = RNG(10)
    shapes = {"words": (words, width), "q": (width, width), "k": (width, width), "v": (width, width), "out": (width, width),
              "up": (width, 16), "down": (16, width)}
    return {**{name: weights(rng, *shape) for name, shape in shapes.items()}, "scale": np.ones(width, np.float32),
            "shift": weights(rng, width)}


def transformer(p: dict[str, Any], tokens: Any, heads: int = 2) -> Any:
    def norm(x):
        return nn.layer_norm(x, p["scale"], p["shift"])

    def split(x):
        return lnp.reshape(x, (*x.shape[:2], heads, x.shape[2] // heads))

    x = p["words"][tokens]
    y = norm(x)
    q, k, v = (split(y @ p[name]) for name in "qkv")
    scores = lnp.einsum("bqhd,bkhd->bhqk", q, k) / 2
    causal = lnp.tril(lnp.ones(scores.shape[-2:], bool))
    mixed = lnp.einsum("bhqk,bkhd->bqhd", nn.softmax(lnp.where(causal, scores, -np.inf)), v)
    x = x + lnp.reshape(mixed, x.shape) @ p["out"]
    return x + nn.gelu(norm(x) @ p["up"]) @ p["down"]


def test_transformer():
    params, rng = transformer_params(), RNG(11)
    given = [rng.integers(0, 11, shape) for shape in ((2, 6), (3, 6), (1, 9), (5, 1))]
    f = leptonc.freeze(transformer, params)
    model = check(f, given[0], others=[[x] for x in given[1:]], dynamic_axes={"tokens": {0: "batch", 1: "length"}})
    assert [d.dim_param for d in model.graph.input[0].type.tensor_type.shape.dim] == ["batch", "length"]


def test_modules_have_weights_by_name():
    made = nn.MLP(4, [8], 3).init(leptonc.random.key(0))
    model = check(made, RNG(12).random((2, 4), np.float32), dynamic_axes="batch", opset_version=21)
    assert {"module.layers[0].kernel", "module.layers[1].kernel"} <= {t.name for t in model.graph.initializer}
    assert [i.name for i in model.graph.input] == ["x"]


def test_preprocessing_and_postprocessing():
    rng = RNG(13)
    pictures = rng.integers(0, 255, (2, 8, 6, 3), np.uint8)

    def prepared(x):
        x = nn.resize(x.astype(np.float32) / 255, (5, 9), "bilinear")
        return lnp.clip(lnp.pad(x, ((0, 0), (1, 2), (0, 0), (0, 0)), mode="reflect")[:, ::-1, 1:], 0.1, 0.9)

    check(prepared, pictures)
    scores = rng.random((3, 10), np.float32)
    check(lambda s: (lax.top_k(s, 3), lnp.argmax(s, -1), lnp.sort(s, -1), lnp.cumsum(s, 1) > 2, nn.one_hot(lnp.argmin(s, 1), 10)),
          scores, others=[[rng.random((1, 10), np.float32)]], dynamic_axes="batch")


# Open dimensions


def test_numbers_that_follow_open_dimensions():
    """Means, last elements, lengths as numbers, outer products of two dimensions."""
    rng = RNG(14)

    def f(x, y):
        length = x.shape[1]
        last = x[:, -1] + x[:, length - 2] + x[:, 1:length - 1].sum(1)
        wide = x[:, :, 0] * lnp.broadcast_to(lnp.arange(length, dtype=np.float32), (x.shape[0], length)) / length
        pairs = lnp.reshape(x[:, :, None, 0] * y[:, None, :, 0], (x.shape[0], -1))
        pairs = pairs, x[:, ::3], x[:, length - 2::-2], nn.max_pool(x[:, :, None], (2, 1))
        return lnp.mean(x, 1), last, wide, pairs, lnp.flip(x, 1), lnp.zeros((x.shape[0], 2)) + length

    def given(batch, first, second):
        return [rng.random((batch, first, 3), np.float32), rng.random((batch, second, 2), np.float32)]

    check(f, *given(2, 5, 4), others=[given(3, 8, 6), given(1, 2, 1)],
          dynamic_axes={"x": {0: "batch", 1: "first"}, "y": {0: "batch", 1: "second"}})


def test_without_open_dimensions_shapes_are_those_of_the_example():
    model = check(lambda x: x / x.shape[0], RNG(15).random((61, 2), np.float32))
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [61, 2]


def test_what_depends_on_an_open_dimension_otherwise_is_an_error():
    x = np.ones((4, 3), np.float32)
    with pytest.raises(LeptonError, match=r"a constant depends on a dimension that is to be open.*test_onnx_export.py"):
        leptonc.onnx.export(lambda x: x * float(np.sqrt(x.shape[0])), x, dynamic_axes="batch")
    with pytest.raises(LeptonError, match="depends on a dimension that is to be open"):
        leptonc.onnx.export(lambda x: x + 1 if x.shape[0] == 61 else x, x, dynamic_axes="batch")
    picture, w = np.ones((1, 8, 8, 3), np.float32), np.ones((3, 3, 3, 2), np.float32)
    for f in (lambda x: nn.conv(x, w, stride=2, padding="SAME"), lambda x: lnp.max(x[:, :x.shape[1] // 2], 1),
              lambda x: lnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, 0), (0, 0)))):
        with pytest.raises(LeptonError, match=r"to be open|open dimensions"):
            leptonc.onnx.export(f, picture, dynamic_axes={"x": {1: "height"}})
    with pytest.raises(LeptonError, match="neither a multiple of open dimensions"):
        leptonc.onnx.export(lambda x: lnp.broadcast_to(x[:1], (x.shape[0] ** 2, 3)), x, dynamic_axes="batch")


# Calls


def test_inputs_and_outputs_have_the_names_of_arguments():
    x = np.ones(3, np.float32)
    model = leptonc.onnx.export(lambda batch: {"sum": batch["a"] + batch["b"], "same": batch["a"], "one": np.float32(1)},
                                {"a": x, "b": x})
    assert [float(out.sum()) for out in run(model, x, x * 2)] == [1, 3, 9]
    assert [i.name for i in model.graph.input] == ["batch['a']", "batch['b']"]
    assert [o.name for o in model.graph.output] == ["output['one']", "output['same']", "output['sum']"]
    named = leptonc.onnx.export(lambda x, y: x + y, x, x, input_names=["left", "right"])
    assert [i.name for i in named.graph.input] == ["left", "right"]


def test_a_file(tmp_path):
    x = np.ones((2, 3), np.float32)
    model = leptonc.onnx.export(lambda x: x + 1, x, path=tmp_path / "model.onnx")
    assert onnx.load(tmp_path / "model.onnx") == model


def test_large_weights_go_to_a_file_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(leptonc.onnx.exporting, "MOST_BYTES", 1000)
    w = RNG(16).random((30, 30), np.float32)
    leptonc.onnx.export(lambda x: x @ w, np.ones((2, 30), np.float32), path=tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx.data").stat().st_size >= w.nbytes
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(session.run(None, {"x": np.ones((2, 30), np.float32)})[0], np.ones((2, 30)) @ w, rtol=1e-5)


def test_what_has_no_form_in_onnx_names_the_op_and_the_line():
    x = np.ones(3, np.float32)
    with pytest.raises(LeptonError, match=r"onnx.export: lgamma: has no form in ONNX.*f32\[3\].*test_onnx_export.py:\d+"):
        leptonc.onnx.export(lambda x: lax.lgamma(x), x)
    with pytest.raises(LeptonError, match="complex numbers are not exported"):
        leptonc.onnx.export(lambda z: z.real, x.astype(np.complex64))
    with pytest.raises(LeptonError, match="no callback"):
        leptonc.onnx.export(lambda x: leptonc.pure_callback(np.sin, leptonc.ShapeDtypeStruct((3,), "f4"), x), x)


@pytest.mark.parametrize("options, message", [
    ({"opset_version": 11}, "opset_version=11 must be an int from 18"),
    ({"dynamic_axes": {"y": {0: "batch"}}}, "'y', which is no input"),
    ({"dynamic_axes": {"x": {1: "batch"}}}, "has axis 1"),
    ({"input_names": ["a", "b"]}, "must be 1 different names"),
])
def test_wrong_options(options, message):
    with pytest.raises(ArgumentError, match=message):
        leptonc.onnx.export(lambda x: x, np.ones(3, np.float32), **options)


def test_no_function():
    with pytest.raises(ArgumentError, match="must be a function"):
        leptonc.onnx.export(3, np.ones(3, np.float32))


# Transforms, and back again


def test_spectra():
    x = RNG(17).standard_normal((3, 40)).astype(np.float32)
    check(lambda x: lnp.abs(lnp.fft.rfft(x)), x, others=[[x[:1]]], dynamic_axes="batch")
    check(lambda x: lnp.fft.irfft(lnp.fft.rfft(x) * np.exp(-np.arange(21, dtype=np.float32))), x)
    with pytest.raises(LeptonError, match="dft: transforms of more than 1024 points"):
        leptonc.onnx.export(lambda x: lnp.fft.fft(x).real, np.zeros(1 << 14, np.float32))


def test_cumulative_ops_need_an_extent():
    x = RNG(18).random((3, 5), np.float32)
    check(lambda x: lnp.cumprod(x, 1), x, others=[[x[:2]]], dynamic_axes="batch")
    with pytest.raises(LeptonError, match="the axis is an open dimension"):
        leptonc.onnx.export(lambda x: lnp.cumprod(x, 0), x, dynamic_axes="batch")


@pytest.mark.parametrize("f, x", [
    (leptonc.freeze(models.logits, models.init()), images(3)),
    (leptonc.freeze(transformer, transformer_params()), RNG(19).integers(0, 11, (2, 6))),
], ids=["lenet", "transformer"])
def test_what_is_exported_can_be_imported(f, x):
    """By the importer of the tests, into a function that leptonc compiles."""
    imported = of_model(leptonc.onnx.export(f, x, input_names=["x"]))
    found = leptonc.jit(lambda x: imported.run({"x": x})[0])(x)
    np.testing.assert_allclose(found, f(x), rtol=1e-5, atol=1e-5)
