"""The examples run, the reference model is the one documented, faces are learned from real images."""

from __future__ import annotations

import gzip

import dcgan_digits
import digits_data
import face_recognition
import fashion_data
import gpt_text
import gradient_norms
import lbfgs_fit
import lstm_text
import maml_sines
import numpy as np
import pytest
import resnet_fashion
import seed_cnn
import text_data
import tiles
import tour
import unet_shapes
import vae_digits

import leptonc
from leptonc import nn
from leptonc import numpy as lnp


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


@pytest.fixture
def digits():
    """A part of the digits, trained on and not."""
    pytest.importorskip("sklearn")
    (x, y), (x_test, y_test) = digits_data.load_data("train"), digits_data.load_data("validation")
    return x[:512], y[:512], x_test[:128], y_test[:128]


def test_a_residual_network_learns_digits(digits, capsys):
    x, y, *unseen = digits
    model, state, losses = resnet_fashion.train(resnet_fashion.ResNet(8, depth=1).init(0), x, y, 8)
    assert losses[-1] < losses[0] / 2 and resnet_fashion.accuracy(model, state, *unseen) > 0.6


def test_pictures_are_moved_by_up_to_a_pixel(rng):
    x = np.zeros((50, 5, 5, 1), np.float32)
    x[:, 2, 2] = 1
    places = np.argwhere(resnet_fashion.moved(x, rng)[..., 0])
    assert len(places) == 50 and len({tuple(place) for place in places[:, 1:]}) == 9 and abs(places[:, 1:] - 2).max() == 1


def test_clothes_are_read_as_debian_has_them(monkeypatch, tmp_path):
    monkeypatch.setattr(fashion_data, "FOLDER", tmp_path)
    assert not fashion_data.is_there()
    pixels = np.arange(2 * 784, dtype=np.uint8)
    for name, header, content in (("images-idx3", 16, pixels.tobytes()), ("labels-idx1", 8, b"\x07\x02")):
        (tmp_path / f"train-{name}-ubyte.gz").write_bytes(gzip.compress(bytes(header) + content))
    assert fashion_data.is_there()
    x, y = fashion_data.load_data("train")
    assert x.shape == (2, 28, 28, 1) and y.tolist() == [7, 2]
    np.testing.assert_array_equal(np.rint(x.ravel() * 255), pixels)


def test_two_networks_are_trained_against_each_other(digits, capsys):
    x, y, x_test, y_test = digits
    generator, critic = dcgan_digits.Generator(8).init(0), dcgan_digits.Discriminator(8).init(1)
    generator, state, losses = dcgan_digits.train(generator, critic, x, 20, chunk=10)
    assert len(losses) == 2 and np.isfinite(losses).all()
    drawn = dcgan_digits.draw(generator, state, 64)
    mean, fresh = x.mean(0), dcgan_digits.draw(dcgan_digits.Generator(8).init(0), state, 64)
    assert drawn.shape == (64, 8, 8, 1) and 0 <= drawn.min() and drawn.max() <= 1
    assert np.abs(drawn.mean(0) - mean).mean() < np.abs(fresh.mean(0) - mean).mean()
    judge = dcgan_digits.classifier(x, y, 20)
    assert (np.asarray(judge(x_test)).argmax(1) == y_test).mean() > 0.7


def test_an_autoencoder_beats_independent_pixels(digits, capsys):
    x, _, x_test, _ = (part.reshape(len(part), -1) for part in digits)
    model, losses = vae_digits.train(vae_digits.VAE(64).init(0), x, 200, chunk=100)
    assert losses[-1] < losses[0]
    assert vae_digits.cost(model, x_test) < vae_digits.cost_of_independent_pixels(x, x_test)
    assert vae_digits.map_of_digits(model, 3).shape == (9, 8, 8)


def test_shapes_are_found(monkeypatch, capsys):
    monkeypatch.setattr(unet_shapes, "SIDE", 16)
    model, losses = unet_shapes.train(unet_shapes.UNet((8, 16)).init(0), 150)
    x, classes = unet_shapes.pictures(np.random.default_rng(1), 16)
    assert losses[-1] < 0.7 * losses[0] and x.shape == (16, 16, 16, 1) and set(np.unique(classes)) == {0, 1, 2, 3}
    assert unet_shapes.overlap(classes, classes) == 1 and unet_shapes.found(model, x).shape == classes.shape


def test_a_step_on_a_new_task_helps_who_was_trained_for_it(capsys):
    fresh = nn.MLP(1, [20, 20], 1).init(0)
    model, losses = maml_sines.train(fresh, 600, chunk=300)
    before, after = maml_sines.errors_by_steps(model, 1, 50)
    assert losses[-1] < losses[0] and after < before and after < maml_sines.errors_by_steps(fresh, 1, 50)[1]


def test_lbfgs_finds_the_end_of_the_valley():
    found = leptonc.jit(lambda x: lbfgs_fit.minimize(lbfgs_fit.rosenbrock, x))(np.full(6, -1.0))
    np.testing.assert_allclose(found.x, 1, atol=1e-4)
    assert int(found.count) < 200 and not bool(found.goes_on)


def test_lbfgs_takes_few_steps_on_a_bowl(rng):
    basis = rng.standard_normal((5, 5))
    bowl, start = basis @ basis.T + np.eye(5), rng.standard_normal(5)
    found = leptonc.jit(lambda x: lbfgs_fit.minimize(lambda x: x @ bowl @ x / 2 - lnp.sum(x), x, 1e-8))(start)
    np.testing.assert_allclose(found.x, np.linalg.solve(bowl, np.ones(5)), rtol=1e-6, atol=1e-8)
    assert int(found.count) < 40


def test_lbfgs_fits_digits(digits):
    x, y, *unseen = digits
    fit = leptonc.jit(lambda x, y, w: lbfgs_fit.minimize(lbfgs_fit.regression(x, y), w, most=30))
    assert lbfgs_fit.accuracy(fit(x, y, np.zeros(650, np.float32)).x, *unseen) > 0.85


def test_each_example_has_a_gradient_norm_of_its_own(rng):
    model = gradient_norms.Network(2).init(0)
    x, y = rng.random((3, 8, 8, 1), np.float32), np.array([1, 5, 9], np.int32)
    singly = [np.sqrt(sum((np.asarray(g)**2).sum() for g in leptonc.tree.leaves(
        leptonc.grad(gradient_norms.loss)(model, x[n:n + 1], y[n:n + 1])))) for n in range(3)]
    np.testing.assert_allclose(gradient_norms.norms(model, x, y), singly, rtol=1e-5)


def test_wrong_labels_have_great_gradients(digits):
    x, true, *_ = digits
    y, wrong = gradient_norms.mislabelled(true)
    assert (y[wrong] != true[wrong]).all() and (y[~wrong] == true[~wrong]).all()
    model = gradient_norms.train(gradient_norms.Network(8).init(0), x, y, 60)
    assert gradient_norms.found_among_first(np.asarray(gradient_norms.norms(model, x, y)), wrong) > 0.5


def test_tiles_lie_row_by_row(tmp_path):
    image = pytest.importorskip("matplotlib.image")
    tiles.save(tmp_path / "new" / "out.png", np.stack([np.zeros((2, 2)), np.full((2, 2), 0.5), np.ones((2, 2))]), 2, zoom=1)
    grid = image.imread(tmp_path / "new" / "out.png")[..., 0]
    assert grid.shape == (6, 6) and grid[0, 0] == 0 and abs(grid[0, 3] - 0.5) < 0.01 and grid[3, 0] == 1
