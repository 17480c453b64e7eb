"""The examples in Keras run, learn, and see what they say: each with fewer pictures or epochs than it has by itself."""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

import leptonc.keras  # noqa: F401  # before what imports keras by its own name

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`:UserWarning")  # Keras's, of the program as people write it
def test_faces(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib").use("Agg")
    faces_data = pytest.importorskip("faces_data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(faces_data, "load_data", functools.partial(faces_data.load_data, size=40))
    text = (EXAMPLES / "keras_faces.py").read_text()
    smaller = text.replace("(224, 224, 3)", "(40, 40, 3)")
    assert smaller != text and text.count("leptonc") == 1 + text.split('"""')[1].count("leptonc")
    found: dict[str, object] = {}
    exec(compile(smaller, "keras_faces.py", "exec"), found)
    assert found["test_accuracy"] >= 0.85
    assert "Test accuracy: 0." in capsys.readouterr().out
    assert (tmp_path / "out/keras_faces.png").read_bytes()[:4] == b"\x89PNG"


def test_digits(tmp_path, capsys):
    keras_digits = pytest.importorskip("keras_digits")
    assert keras_digits.main(["--epochs", "6", "--out", str(tmp_path)]) > 0.6
    written = capsys.readouterr().out.rpartition("written: ")[2].strip().split(", ")
    assert len(written) == 4 and all(Path(path).stat().st_size > 1000 for path in written)


def test_two_inputs_and_two_outputs(capsys):
    keras_two_inputs = pytest.importorskip("keras_two_inputs")
    sums = keras_two_inputs.pairs("train", 2000)[1]["sum"]
    weights = keras_two_inputs.weights(sums)
    np.testing.assert_allclose(np.bincount(sums, weights), 2000 / 19, rtol=1e-4)
    found = keras_two_inputs.main(["--epochs", "2", "--pairs", "1920"])
    assert found["larger_accuracy"] > 0.65 and found["sum_accuracy"] > 0.09
    assert found["loss"] == pytest.approx(found["sum_loss"] + 0.5 * found["larger_loss"], rel=1e-3)
    assert max(map(len, capsys.readouterr().out.partition("Epoch")[0].splitlines())) <= 80


def test_a_layer_a_step_and_a_loop_of_ones_own(tmp_path):
    keras_custom = pytest.importorskip("keras_custom")
    assert min(keras_custom.main(["--epochs", "2"])) > 0.6


def test_a_layer_of_ones_own_is_saved_and_loaded(tmp_path, rng):
    keras_custom = pytest.importorskip("keras_custom")
    from leptonc import keras
    x = rng.random((3, 8, 8, 1), np.float32)
    inputs = keras.Input((8, 8, 1))
    model = keras.Model(inputs, keras_custom.through(inputs))
    model.save(tmp_path / "model.keras")
    np.testing.assert_array_equal(keras.saving.load_model(tmp_path / "model.keras")(x), model(x))


def test_transfer(capsys):
    keras_transfer = pytest.importorskip("keras_transfer")
    found = keras_transfer.main(["--epochs", "3"])
    assert min(found.values()) > 0.5
    assert "frozen base: 5,125 parameters trained" in capsys.readouterr().out


def test_programs_are_told_apart_by_their_words():
    keras_text_classifier = pytest.importorskip("keras_text_classifier")
    training, validation = keras_text_classifier.data(0.1)
    assert {len(x) % 32 for x in (*training, *validation)} == {0} and (training[0] == keras_text_classifier.PADDING).any()
    assert keras_text_classifier.main(["--epochs", "4", "--share", "0.1"]) > 0.4


def test_text_is_written_on(capsys):
    keras_text_generator = pytest.importorskip("keras_text_generator")
    found, _ = keras_text_generator.main(["--epochs", "1", "--batches", "100", "--characters", "40000"])
    assert found < 16
    written = capsys.readouterr().out.partition("The following ")[2]
    assert len(written) > 200 and written.count("e") > 3


def test_a_series_is_forecast():
    keras_forecast = pytest.importorskip("keras_forecast")
    error, still = keras_forecast.main(["--epochs", "3", "--length", "2000"])
    assert error < still / 4


def test_digits_from_four_numbers(tmp_path):
    keras_vae = pytest.importorskip("keras_vae")
    before, after = keras_vae.main(["--epochs", "8", "--out", str(tmp_path)])
    assert after < 30 < before
    assert (tmp_path / "keras_vae.png").read_bytes()[:4] == b"\x89PNG"


def test_digits_are_drawn_against_a_critic(tmp_path):
    keras_dcgan = pytest.importorskip("keras_dcgan")
    before, after = keras_dcgan.main(["--epochs", "12", "--out", str(tmp_path)])
    assert after < 0.75 * before
    assert (tmp_path / "keras_dcgan.png").read_bytes()[:4] == b"\x89PNG"


def test_a_transformer_reads():
    keras_transformer = pytest.importorskip("keras_transformer")
    found, _ = keras_transformer.main(["--epochs", "1", "--batches", "40", "--characters", "40000", "--depth", "1"])
    assert found < 20


def test_shapes_are_found():
    keras_segmentation = pytest.importorskip("keras_segmentation")
    assert keras_segmentation.main(["--epochs", "2", "--batches", "40", "--levels", "2"]) > 0.3


def test_likeness_is_learned():
    keras_metric_learning = pytest.importorskip("keras_metric_learning")
    found = keras_metric_learning.main(["--epochs", "6"])
    assert all(model > pixels + 0.05 for pixels, model in found.values())


def test_sums_are_learned():
    keras_addition = pytest.importorskip("keras_addition")
    questions, answers = keras_addition.sums(2, 500)
    for question, answer in zip(keras_addition.read(questions), keras_addition.read(answers)):
        assert sum(map(int, question[::-1].split("+"))) == int(answer)
    characters, _ = keras_addition.main(["--epochs", "40", "--digits", "2", "--sums", "1400", "--units", "32"])
    assert characters > 0.55 > answers[..., 11].mean() + 0.1  # of saying blanks


def test_series_that_knock_are_told():
    keras_series_classifier = pytest.importorskip("keras_series_classifier")
    assert keras_series_classifier.main(["--epochs", "5", "--series", "512", "--blocks", "1"]) > 0.65


def test_unusual_days_are_found():
    keras_anomaly = pytest.importorskip("keras_anomaly")
    found, false = keras_anomaly.main(["--epochs", "10", "--days", "16"])
    assert all(found.values()) and false < 0.05
