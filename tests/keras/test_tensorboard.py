"""Keras's TensorBoard callback on leptonc, without TensorFlow."""

from __future__ import annotations

import gzip
import json
import struct
import sys

import numpy as np
import pytest

pytest.importorskip("leptonc.keras", exc_type=ImportError)

from leptonc.keras import Input, Sequential, callbacks, layers, optimizers


def classifier() -> Sequential:
    model = Sequential([Input((6, 6, 1)), layers.Conv2D(4, 3, name="conv"), layers.Flatten(), layers.Dense(3, name="out")],
                       name="net")
    model.compile(optimizers.Adam(name="adam"), "mse")
    return model


def fit(model, callback, rng, **options):
    x, y = rng.normal(size=(32, 6, 6, 1)).astype(np.float32), rng.normal(size=(32, 3)).astype(np.float32)
    model.fit(x, y, batch_size=8, verbose=0, callbacks=[callback], **options)


def events(folder):
    """The events of all files of a folder."""
    event = pytest.importorskip("tensorboardX.proto.event_pb2").Event
    for path in sorted(folder.glob("events*")):
        data, start = path.read_bytes(), 0
        while start < len(data):  # length, its checksum, the event, its checksum
            size, = struct.unpack_from("<Q", data, start)
            yield event.FromString(data[start + 12:start + 12 + size])
            start += 16 + size


def values(folder):
    return [(event.step, value) for event in events(folder) for value in event.summary.value]


def scalars(folder):
    return {(value.tag, step): value.simple_value for step, value in values(folder) if value.WhichOneof("value") == "simple_value"}


@pytest.fixture
def written(tmp_path):
    pytest.importorskip("tensorboardX")
    return tmp_path


def test_without_tensorboardx(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=r"pip install leptonc\[tensorboard\]"):
        callbacks.TensorBoard()


def test_scalars_weights_and_graphs(written, rng):
    model = classifier()
    fit(model, callbacks.TensorBoard(written, histogram_freq=1, write_images=True), rng, epochs=2, validation_split=0.25)
    history = model.history.history
    train, validation = scalars(written / "train"), scalars(written / "validation")
    for epoch in range(2):
        np.testing.assert_allclose(train["epoch_loss", epoch], history["loss"][epoch], rtol=1e-6)
        np.testing.assert_allclose(validation["epoch_loss", epoch], history["val_loss"][epoch], rtol=1e-6)
    assert train["epoch_learning_rate", 0] == pytest.approx(1e-3) and ("evaluation_loss_vs_iterations", 3) in validation
    found = values(written / "train")
    kinds = {value.tag: value.WhichOneof("value") for _, value in found}
    assert kinds["net/conv/kernel/histogram"] == "histo" and kinds["net/conv/kernel/image/2"] == "image"
    keras, = (value for _, value in found if value.metadata.plugin_data.plugin_name == "graph_keras_model")
    assert json.loads(keras.tensor.string_val[0])["class_name"] == "Sequential"
    graph = pytest.importorskip("tensorboardX.proto.graph_pb2").GraphDef
    step, = (graph.FromString(event.graph_def) for event in events(written / "train") if event.graph_def)
    names = {node.name for node in step.node}
    assert "net/conv/conv" in names and any(name.startswith("adam/") for name in names)
    assert all(source in names for node in step.node for source in node.input) and len(names) == len(step.node)


def test_batches_profile_and_a_second_fit(written, rng):
    model = classifier()
    fit(model, callbacks.TensorBoard(written, update_freq=2, profile_batch=(2, 3), write_steps_per_second=True), rng)
    steps = {step for tag, step in scalars(written / "train") if tag == "batch_loss"}
    assert steps == {2, 4}
    with gzip.open(next((written / "train/plugins/profile").glob("*/*.trace.json.gz")), "rt") as file:
        names = [event["name"] for event in json.load(file)["traceEvents"]]
    assert names[1:] == ["batch 1", "batch 2"]  # the second and third
    fit(model, callbacks.TensorBoard(written), rng)
    assert len(list((written / "train").glob("events*"))) == 2
    with pytest.raises(ValueError, match="profile_batch"):
        callbacks.TensorBoard(written, profile_batch=(3, 2))


def test_weights_that_are_not_finite(written, rng):
    model = classifier()
    model.get_layer("out").bias.assign([np.nan] * 3)
    fit(model, callbacks.TensorBoard(written, histogram_freq=1, write_images=True), rng)
    assert np.isnan(scalars(written / "train")["epoch_loss", 0])


def test_embeddings(written, rng):
    model = Sequential([Input((4,), dtype="int32"), layers.Embedding(5, 3, name="words"), layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    (written / "words.tsv").write_text("a\nb\nc\nd\ne\n")
    callback = callbacks.TensorBoard(written, embeddings_freq=1, embeddings_metadata={"words": "words.tsv"}, write_graph=False)
    model.fit(rng.integers(0, 5, (8, 4)), np.zeros(8), verbose=0, callbacks=[callback])
    table = np.loadtxt(written / "train/00000/words/tensors.tsv")
    np.testing.assert_allclose(table, model.get_layer("words").embeddings.numpy(), rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match="Unrecognized `Embedding` layer names"):
        callbacks.TensorBoard(written, embeddings_freq=1, embeddings_metadata={"none": "words.tsv"}).set_model(model)
