"""Models exported as ONNX predict in ONNX Runtime what they predict here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("leptonc.keras", reason="Keras is not installed", exc_type=ImportError)
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import onnx
import onnxruntime as runtime

from leptonc.errors import LeptonError
from leptonc.keras import layers
from tests.keras import exchange

keras = exchange.keras
runtime.set_default_logger_severity(4)


def trained(model: Any) -> Any:
    """With statistics and weights that are not those of the beginning."""
    rng = np.random.default_rng(0)
    model.set_weights([w + 0.1 * rng.random(w.shape).astype(w.dtype) if w.dtype.kind == "f" else w for w in model.get_weights()])
    return model


def check(model: Any, path: Any, *batches: Any, **options: Any) -> Any:
    """The exported model's session, after each batch (an array or a list of them) gave what ``predict`` gives."""
    model.export(path, format="onnx", verbose=False, **options)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for batch in batches:
        given = batch if isinstance(batch, list) else [batch]
        found = session.run(None, dict(zip([i.name for i in session.get_inputs()], given, strict=True)))
        expected = model.predict_on_batch(batch)
        for a, b in zip(found, expected if isinstance(expected, list) else [expected], strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)
    return session


def numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).random(shape, np.float32)


def sequential(shape: tuple[int | None, ...], *parts: Any) -> Any:
    return trained(keras.Sequential([layers.Input(shape), *parts]))


def test_a_convolutional_network(tmp_path):
    model = sequential((12, 12, 3), layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.MaxPooling2D(),
                       layers.SeparableConv2D(6, 3, padding="same"), layers.Dropout(0.5), layers.GlobalAveragePooling2D(),
                       layers.Dense(5, activation="softmax"))
    session = check(model, tmp_path / "x.onnx", numbers(4, 12, 12, 3), numbers(1, 12, 12, 3))
    assert session.get_inputs()[0].shape == ["batch", 12, 12, 3] and session.get_outputs()[0].shape == ["batch", 5]
    names = {t.name for t in onnx.load(tmp_path / "x.onnx").graph.initializer}
    assert any("dense/kernel" in name for name in names)


def test_a_unet_of_transposed_convolutions(tmp_path):
    x = layers.Input((8, 8, 3))
    first = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    low = layers.Conv2D(6, 3, strides=2, padding="same", activation="gelu")(first)
    up = layers.Conv2DTranspose(4, 3, strides=2, padding="same")(low)
    wide = layers.UpSampling2D(interpolation="bilinear")(layers.AveragePooling2D(2, padding="same")(first))
    out = layers.Conv2D(2, 1, activation="sigmoid")(layers.Concatenate()([first, up, wide]))
    check(trained(keras.Model(x, out)), tmp_path / "x.onnx", numbers(2, 8, 8, 3), numbers(5, 8, 8, 3))


@pytest.mark.parametrize("layer", [layers.LSTM, layers.GRU, layers.SimpleRNN])
def test_recurrent_layers(tmp_path, layer):
    model = sequential((6, 3), layers.Bidirectional(layer(4, return_sequences=True)), layer(5), layers.Dense(2))
    check(model, tmp_path / "x.onnx", numbers(3, 6, 3), numbers(1, 6, 3))


def test_a_transformer(tmp_path):
    tokens = layers.Input((7,), dtype="int32")
    x = layers.Embedding(20, 8)(tokens)
    x = x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True)
    x = layers.LayerNormalization()(x)
    x = layers.LayerNormalization()(x + layers.Dense(8)(layers.Dense(16, activation="gelu")(x)))
    model = trained(keras.Model(tokens, layers.Dense(20)(x)))
    given = np.random.default_rng(2).integers(0, 20, (3, 7)).astype(np.int32)
    check(model, tmp_path / "x.onnx", given, given[:1])


def test_several_inputs_and_outputs_by_name(tmp_path):
    a, b = layers.Input((4,), name="first"), layers.Input((3,), name="second")
    x = layers.Dense(5, activation="tanh")(layers.Concatenate()([a, b]))
    model = trained(keras.Model([a, b], [layers.Dense(2)(x), layers.Softmax()(x)]))
    session = check(model, tmp_path / "x.onnx", [numbers(2, 4), numbers(2, 3)], opset_version=20)
    assert [i.name for i in session.get_inputs()] == ["first", "second"]
    assert onnx.load(tmp_path / "x.onnx").opset_import[0].version == 20


def test_a_subclassed_model_and_its_own_signature(tmp_path):
    class Network(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(3)

        def call(self, x, training=False):
            return self.dense(x) * (2.0 if training else 1.0)

    model = Network()
    model(numbers(2, 4))
    check(model, tmp_path / "x.onnx", numbers(5, 4))
    fixed = check(model, tmp_path / "y.onnx", numbers(3, 4), input_signature=[keras.InputSpec(shape=(3, 4), dtype="float32")])
    assert fixed.get_inputs()[0].shape == [3, 4]


def test_an_open_length(tmp_path):
    model = sequential((None, 3), layers.Conv1D(4, 3, padding="same"), layers.GlobalAveragePooling1D(), layers.Dense(2))
    check(model, tmp_path / "x.onnx", numbers(2, 9, 3), numbers(1, 4, 3))


def test_pictures_are_prepared_in_the_model(tmp_path):
    model = sequential((9, 7, 3), layers.Rescaling(1 / 255), layers.Resizing(6, 6), layers.CenterCrop(4, 4), layers.Flatten(),
                       layers.Dense(2))
    check(model, tmp_path / "x.onnx", numbers(2, 9, 7, 3))


def test_a_model_of_16_bits(tmp_path):
    model = keras.Sequential([layers.Input((4,)), layers.Dense(8, activation="relu", dtype="mixed_float16"),
                              layers.Dense(2, dtype="float32")])
    check(model, tmp_path / "x.onnx", numbers(3, 4))


def test_verbose(tmp_path, capsys):
    model = sequential((4,), layers.Dense(2))
    model.export(tmp_path / "x.onnx", format="onnx")
    assert f"Saved artifact at '{tmp_path / 'x.onnx'}'" in capsys.readouterr().out


def test_what_cannot_be_exported_says_what_can(tmp_path):
    model = sequential((4,), layers.Dense(2))
    with pytest.raises(NotImplementedError, match="format='onnx'"):
        model.export(tmp_path / "x")
    square = sequential((4,), layers.Lambda(lambda x: x * float(np.sqrt(x.shape[0]))))
    with pytest.raises(LeptonError, match="input_signature"):
        square.export(tmp_path / "x.onnx", format="onnx")
