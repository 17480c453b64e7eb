"""The examples run, the reference model is the one documented, faces are learned from real images."""

from __future__ import annotations

import face_recognition
import gpt_text
import lstm_text
import numpy as np
import pytest
import seed_cnn
import text_data
import tour

import leptonc


def test_tour(capsys):
    tour.main()
    out = capsys.readouterr().out
    assert all(f"== {title}" in out for title in ("traced", "optimized", "kernels", "llvm", "asm")) and "compiled" in out


def test_the_reference_model():
    params = seed_cnn.init(0)
    assert {name: params[name]["kernel"].shape for name in params} == {
        "conv1": (3, 3, 3, 32), "conv2": (3, 3, 32, 64), "dense1": (186624, 128), "dense2": (128, 2)}
    assert all(p["bias"].shape == p["kernel"].shape[-1:] and not p["bias"].any() for p in params.values())
    np.testing.assert_array_equal(seed_cnn.init(0)["conv1"]["kernel"], params["conv1"]["kernel"])
    with pytest.raises(ValueError, match="too small"):
        seed_cnn.init(0, (8, 8, 3))


def test_a_small_reference_step_compiled_and_eager(rng):
    image, classes = (20, 22, 1), 3
    x = rng.random((6, *image), np.float32)
    y = np.eye(classes, dtype=np.float32)[rng.integers(0, classes, 6)]
    losses = []
    for eager in (False, True):
        params = seed_cnn.init(1, image, classes)
        state = seed_cnn.init_opt(params)
        with leptonc.disable_jit(eager):
            found = []
            for _ in range(10):
                params, state, value = seed_cnn.train_step(params, state, x, y)
                found.append(float(value))
            probabilities = seed_cnn.predict(params, x)
        losses.append(found)
        np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    assert losses[0][-1] < losses[0][0]


def test_faces_are_learned_from_small_pictures():
    images = face_recognition.load(size=40)
    training, validation = face_recognition.split(images)
    assert len(training) == 160 and len(validation) == 40 and validation.labels.sum() == 20
    assert images.x.min() >= 0 and images.x.max() <= 1
    assert not {t.tobytes() for t in training.x} & {v.tobytes() for v in validation.x}
    params, history = face_recognition.train(training, validation, epochs=8)
    assert max(history.validation) >= 0.85 and history.losses[-1] < history.losses[0]
    assert face_recognition.probabilities(params, validation).shape == (40, 2)


def test_pictures_are_drawn(tmp_path):
    images = face_recognition.load(size=24)
    _, validation = face_recognition.split(images)
    history = face_recognition.History([1.0, 0.5], [0.5], [0.6], [0.1, 0.1])
    params = seed_cnn.init(0, images.x.shape[1:])
    for path in face_recognition.draw(params, validation, history, tmp_path):
        assert path.read_bytes()[:4] == b"\x89PNG"


def test_a_text_is_that_of_python():
    text = text_data.load(20_000)
    assert len(text.training) == 18_000 and text.decode(text.encode("The\n")) == "The\n"
    assert text.training.max() < len(text.symbols) and text.decode(text.training[:6]) == "The \"a"
    counts = np.bincount(text.training, minlength=len(text.symbols)) / 18_000
    one = np.exp(-np.log(np.maximum(counts, 1e-4))[text.validation].mean())
    assert 1 < text_data.trigram_perplexity(text) < one
    assert text_data.windows(text.training, np.random.default_rng(0), 2, 3, 5).shape == (2, 3, 5)


def test_an_lstm_learns_characters(monkeypatch, capsys):
    monkeypatch.setattr(lstm_text, "LENGTH", 6)
    text = text_data.load(20_000)
    model = lstm_text.CharacterLSTM(len(text.symbols), 32).init(0)
    model, losses = lstm_text.train(model, text, 200)
    assert losses[-1] < losses[0] and lstm_text.perplexity(model, text.validation) < len(text.symbols) / 3
    written = lstm_text.generate(model, text.encode("The "), 20)
    assert written.shape == (20,) and (written < len(text.symbols)).all()
    np.testing.assert_array_equal(written, lstm_text.generate(model, text.encode("The "), 20))


def test_a_gpt_goes_on_from_its_cache_as_without(monkeypatch, capsys):
    monkeypatch.setattr(gpt_text, "LENGTH", 16)
    text = text_data.load(20_000)
    model = gpt_text.GPT(len(text.symbols), 16, 2, 1).init(0)
    model, losses = gpt_text.train(model, text, 200)
    assert losses[-1] < losses[0] and gpt_text.perplexity(model, text.validation) < len(text.symbols) / 3
    start = text.encode("The ")
    np.testing.assert_array_equal(gpt_text.generate(model, start, 12), gpt_text.generate_without_cache(model, start, 12))
