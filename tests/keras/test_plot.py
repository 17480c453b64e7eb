"""``leptonc.plot``: what the pictures show, odd forms of pictures and labels, and what it says to what is none."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("matplotlib")
pytest.importorskip("leptonc.keras", exc_type=ImportError)

import leptonc
from leptonc.errors import ArgumentError, LeptonError, RangeError, ShapeError
from leptonc.keras import Input, Model, Sequential, layers, utils
from leptonc.plot import confusion_matrix, feature_maps, filters, grad_cam, graph, history, predictions, saliency
from leptonc.plot.attribution import enlarged
from leptonc.plot.images import classes, pictures

SIZE = 8


def texts(figure) -> list[str]:
    """All that is written in a figure's axes."""
    return [text.get_text() for axes in figure.axes for text in [*axes.texts, axes.title] if text.get_text()]


def drawn(axes) -> np.ndarray:
    return np.asarray(axes.get_images()[0].get_array())


@pytest.fixture(scope="module")
def model():
    """Convolution, mean over the maps, classes: its Grad-CAM is the class's weights times the maps."""
    utils.set_random_seed(0)
    return Sequential([Input((SIZE, SIZE, 3)), layers.Conv2D(4, 3, activation="relu", name="maps"), layers.GlobalAveragePooling2D(),
                       layers.Dense(3, activation="softmax", name="classes")])


@pytest.fixture
def images(rng):
    return rng.uniform(size=(4, SIZE, SIZE, 3)).astype(np.float32)


# Only when asked for.

def test_neither_keras_nor_matplotlib_is_imported_before_it_is_asked_for():
    program = ("import sys, leptonc\n"
               "assert not {'keras', 'matplotlib', 'leptonc.keras', 'leptonc.plot', 'leptonc.callbacks'} & set(sys.modules)\n"
               "leptonc.plot.history({'loss': [1.0]})\n"
               "assert 'keras' not in sys.modules and 'matplotlib.pyplot' not in sys.modules\n"
               "assert leptonc.keras.backend.backend() == 'leptonc'\n"
               "import keras\n"
               "assert leptonc.keras.layers.Dense is keras.layers.Dense\n")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_what_is_missing_is_said():
    program = ("import sys\n"
               "sys.modules['matplotlib'] = None\n"
               "import leptonc\n"
               "try:\n    leptonc.plot\n"
               "except leptonc.MissingNameError as error:\n    assert 'fix: pip install leptonc[plot]' in str(error), error\n"
               "else:\n    raise SystemExit('no error')\n")
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_names_that_are_not_there():
    with pytest.raises(AttributeError, match="did you mean history"):
        leptonc.plot.histroy  # noqa: B018
    with pytest.raises(AttributeError, match="leptonc has no plots"):
        leptonc.plots  # noqa: B018


# Curves.

def test_history_has_a_panel_for_each_metric():
    found = SimpleNamespace(history={"accuracy": [0.1, 0.5, 0.6], "loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 1.0, 2.0]},
                            epoch=[4, 5, 6])
    figure = history(found)
    loss, accuracy = figure.axes
    assert (loss.get_title(), accuracy.get_title()) == ("loss", "accuracy")
    assert [line.get_label() for line in loss.get_lines()] == ["training", "validation", "best: 1, epoch 6"]
    np.testing.assert_array_equal(loss.get_lines()[0].get_xdata(), [5, 6, 7])
    np.testing.assert_array_equal(accuracy.get_lines()[0].get_ydata(), [0.1, 0.5, 0.6])


def test_history_of_logs_and_with_gaps():
    figure = history([{"loss": 1.0}, {"loss": np.nan, "val_loss": 2.0}, {"loss": np.inf}, {"loss": 0.5, "val_loss": 1.0}])
    labels = [line.get_label() for line in figure.axes[0].get_lines()]
    assert labels[0] == "training (not finite in epoch 2 and others)"
    sparse = history({"loss": [4, 3, 2, 1], "val_loss": [2, 1]}).axes[0].get_lines()[1]
    np.testing.assert_array_equal(sparse.get_xdata(), [2, 4])


@pytest.mark.parametrize("wrong", [3, "loss", {}, [], {"loss": []}])
def test_history_of_nothing(wrong):
    with pytest.raises(ArgumentError, match=r"plot\.history"):
        history(wrong)


# Pictures and labels.

FORMS = {
    "grey": (np.full((5, 4), 0.5), (5, 4), 0.5), "grey with its axis": (np.full((5, 4, 1), 0.5), (5, 4), 0.5),
    "bytes": (np.full((5, 4, 3), 51, np.uint8), (5, 4, 3), 0.2), "floats of bytes": (np.full((5, 4, 3), 51.0), (5, 4, 3), 0.2),
    "channels first": (np.full((3, 5, 6), 0.5), (5, 6, 3), 0.5), "batch of those": (np.full((2, 1, 5, 6), 0.5), (5, 6), 0.5),
    "opacity": (np.full((5, 4, 4), 0.5), (5, 4, 4), 0.5), "booleans": (np.ones((5, 4), bool), (5, 4), 1.0),
    "negative": (np.linspace(-3, 3, 50).reshape(5, 10), (5, 10), 0.5),
    "half": (np.full((5, 4), 0.5, np.float16), (5, 4), 0.5),
}


@pytest.mark.parametrize("image, shape, mean", FORMS.values(), ids=FORMS)
def test_forms_of_pictures(image, shape, mean):
    found = pictures("predictions", image)[0]
    assert found.shape == shape and found.min() >= 0 and found.max() <= 1
    np.testing.assert_allclose(found.mean(), mean, rtol=1e-5)


def test_what_is_not_finite_in_a_picture_is_magenta():
    image = np.full((3, 3), 0.5)
    image[0, 1], image[2, 2] = np.nan, np.inf
    found, = pictures("predictions", image)
    assert found.shape == (3, 3, 3)
    np.testing.assert_array_equal(found[0, 1], [1, 0, 1])
    np.testing.assert_array_equal(found[2, 2], [1, 0, 1])
    np.testing.assert_array_equal(found[1, 1], [0.5, 0.5, 0.5])


def test_three_grey_pictures_with_three_labels_are_no_colours():
    assert len(predictions(np.zeros((3, 9, 7)), [0, 1, 2]).axes) == 3


LABELS = {
    "numbers": ([2, 0], [2, 0], None), "floats": ([2.0, 0.0], [2, 0], None), "one-hot": ([[0, 0, 1], [1, 0, 0]], [2, 0], None),
    "probabilities": ([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]], [2, 0], [0.7, 0.5]), "logits": ([[-1.0, 3.0], [2.0, 1.0]], [1, 0], None),
    "sigmoid": ([[0.75], [0.25]], [1, 0], [0.75, 0.75]), "column": ([[2], [0]], [2, 0], None),
}


@pytest.mark.parametrize("labels, wanted, sure", LABELS.values(), ids=LABELS)
def test_forms_of_labels(labels, wanted, sure):
    found, probabilities = classes("predictions", "predicted", labels, binary=True)
    np.testing.assert_array_equal(found, wanted)
    assert (probabilities is None) == (sure is None)
    if sure is not None:
        np.testing.assert_allclose(probabilities, sure)


def test_predictions_are_named_and_coloured(images):
    scores = [[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [1, 0]]
    figure = predictions(images, scores, [0, 0, 1, 0], ["cat", "dog"], rows=1, columns=3)
    assert texts(figure) == ["cat 90 %", "dog 80 %\nis cat", "dog 60 %"]
    colors = [axes.title.get_color() for axes in figure.axes]
    assert colors[0] == colors[2] != colors[1]
    assert len(predictions(images, scores, rows=5, columns=5).axes) == 4


def test_confusion_matrix_counts():
    figure = confusion_matrix([0, 0, 1, 2, 2], np.eye(3)[[0, 1, 1, 2, 0]], {0: "a", 1: "b"})
    axes = figure.axes[0]
    assert axes.get_title() == "60.0 % of 5 right"
    np.testing.assert_allclose(drawn(axes), [[0.5, 0.5, 0], [0, 1, 0], [0.5, 0, 0.5]])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "2"]
    assert len(confusion_matrix(np.arange(100), np.arange(100)).axes[0].texts) == 0


WRONG = {
    "five axes": lambda: predictions(np.zeros((1, 2, 3, 4, 5)), [0]), "nothing": lambda: predictions([], []),
    "two channels": lambda: predictions(np.zeros((1, 5, 5, 2)), [0]),
    "lengths": lambda: predictions(np.zeros((2, 8, 8)), [0, 1, 2]),
    "words": lambda: predictions(np.zeros((2, 8, 8)), ["a", "b"]), "rows": lambda: predictions(np.zeros((8, 8)), [0], rows=0),
    "logits in a column": lambda: predictions(np.zeros((2, 8, 8)), [[-3.0], [2.5]]),
    "ragged": lambda: predictions([[1], [1, 2]], [0]),
    "NaN labels": lambda: confusion_matrix([np.nan, 1], [0, 1]), "negative": lambda: confusion_matrix([0, -1], [0, 1]),
    "huge": lambda: confusion_matrix([0, 10**9], [0, 1]), "true's length": lambda: confusion_matrix([0, 1, 1], [0, 1]),
    "no model": lambda: grad_cam(3, np.zeros((8, 8))), "no graph": lambda: graph("model"), "no layer": lambda: filters(None),
    "no filters": lambda: filters(Sequential([Input((3,)), layers.Dense(2)])),
    "not built": lambda: feature_maps(Sequential([layers.Conv2D(2, 3)]), np.zeros((8, 8))),
    "no layers": lambda: graph(Sequential()),
}


@pytest.mark.parametrize("call", WRONG.values(), ids=WRONG)
def test_wrong_calls(call):
    with pytest.raises(LeptonError, match=r"plot\.\w+: "):
        call()


# Models.

def test_grad_cam_of_a_mean_over_maps_is_the_class_activation_map(model, images):
    """Zhou et al. 2016, of which Selvaraju et al. is the generalization."""
    maps = np.maximum(np.asarray(layer_output(model, "maps", images)), 0)
    weights = model.get_layer("classes").kernel.numpy()
    figure = grad_cam(model, images[:2], target=[2, 0], layer="maps")
    for n, target in enumerate((2, 0)):
        heat = np.maximum(maps[n] @ weights[:, target], 0)
        wanted = enlarged(heat / (heat.max() or 1), (SIZE, SIZE))
        np.testing.assert_allclose(drawn(figure.axes[3 * n + 1]), wanted, rtol=1e-4, atol=1e-5)
    assert not [layer for layer in model.layers if "call" in layer.__dict__]
    assert model.get_layer("classes").activation.__name__ == "softmax"


def test_enlarging_keeps_a_slope_and_a_picture_of_its_size(rng):
    rows = enlarged(np.array([[0.0], [1.0]]), (4, 1))
    np.testing.assert_allclose(rows[:, 0], [0, 0.25, 0.75, 1])
    x = rng.normal(size=(3, 5))
    np.testing.assert_array_equal(enlarged(x, x.shape), x)


def layer_output(model, name, x):
    return Model(model.inputs, model.get_layer(name).output).predict(x, verbose=0)


def test_saliency_of_a_linear_model_is_its_weights(rng):
    linear = Sequential([Input((4, 4, 1)), layers.Flatten(), layers.Dense(2), layers.Softmax()])
    heat = drawn(saliency(linear, rng.uniform(size=(4, 4)), target=1).axes[1])
    wanted = np.abs(linear.layers[1].kernel.numpy()[:, 1]).reshape(4, 4)
    np.testing.assert_allclose(heat, wanted / wanted.max(), rtol=1e-5)


def test_saliency_of_one_sigmoid(rng):
    """Its score, however sure the model is."""
    binary = Sequential([Input((4, 4, 3)), layers.Flatten(), layers.Dense(1, activation="sigmoid")])
    binary.layers[-1].bias.assign([200.0])
    heat = drawn(saliency(binary, rng.uniform(size=(4, 4, 3)), target=0, names=["no", "yes"]).axes[1])
    wanted = np.abs(binary.layers[-1].kernel.numpy()).reshape(4, 4, 3).max(-1)
    np.testing.assert_allclose(heat, wanted / wanted.max(), rtol=1e-5)


def test_feature_maps_are_what_the_layer_gives(model, images):
    figure = feature_maps(model, images[0], "maps")
    wanted = layer_output(model, "maps", images)[0]
    for channel in range(4):
        np.testing.assert_allclose(drawn(figure.axes[channel]), wanted[..., channel], rtol=1e-5, atol=1e-6)
    assert len(feature_maps(model, images).axes) == 16  # the image and one layer, eight places for each


def test_filters_are_the_kernel(model):
    kernel = model.get_layer("maps").kernel.numpy()
    figure = filters(model)
    np.testing.assert_allclose(drawn(figure.axes[1]), kernel[..., 1] / (2 * np.abs(kernel).max()) + 0.5, rtol=1e-5)
    grey = Sequential([Input((SIZE, SIZE, 1)), layers.Conv2D(2, 3), layers.Conv2D(5, 3)])
    np.testing.assert_array_equal(drawn(filters(grey).axes[1]), grey.layers[0].kernel.numpy()[..., 0, 1])
    assert len(filters(grey.layers[1]).axes) == 11  # 5 filters of 2 channels, and the scale
    dense = Sequential([Input((SIZE, SIZE, 1)), layers.Flatten(), layers.Dense(3)])
    np.testing.assert_array_equal(drawn(filters(dense).axes[2]), dense.layers[1].kernel.numpy()[:, 2].reshape(SIZE, SIZE))


def test_layers_are_named_in_errors(model, images):
    with pytest.raises(ArgumentError, match="did you mean maps"):
        grad_cam(model, images, "map")
    with pytest.raises(ShapeError, match="gives no maps"):
        feature_maps(model, images, "classes")
    with pytest.raises(ShapeError, match="gives no maps"):
        grad_cam(model, images, model.layers[-1])
    with pytest.raises(RangeError, match="classes 0 to 2"):
        grad_cam(model, images, target=3)
    with pytest.raises(ShapeError, match="the model takes"):
        saliency(model, images[:, :4])


def test_graph_has_every_layer_and_no_boxes_that_meet():
    image, table = Input((SIZE, SIZE, 3), name="image"), Input((5,), name="table")
    x = layers.Conv2D(4, 3, padding="same", name="first")(image)
    x = layers.Add(name="around")([x, layers.Conv2D(4, 3, padding="same", name="second")(x)])
    x = layers.Concatenate(name="both")([layers.Flatten(name="flat")(x), table])
    figure = graph(Model([image, table], [layers.Dense(2, name="left")(x), layers.Dense(1, name="right")(x)], name="joined"))
    written = "\n".join(texts(figure))
    for name in ("image", "table", "first", "second", "around", "flat", "both", "left", "right"):
        assert name in written
    boxes = [patch for patch in figure.axes[0].patches if hasattr(patch, "get_boxstyle")]
    assert len(boxes) == 9
    places = [(box.get_x(), box.get_y(), box.get_x() + box.get_width(), box.get_y() + box.get_height()) for box in boxes]
    for n, (left, low, right, high) in enumerate(places):
        for other in places[n + 1:]:
            assert right <= other[0] or other[2] <= left or high <= other[1] or other[3] <= low


def test_a_model_of_a_class_of_its_own(rng):
    class Own(Model):
        def __init__(self):
            super().__init__()
            self.conv, self.out = layers.Conv2D(2, 3, name="conv"), layers.Dense(2, name="out")

        def call(self, x):
            return self.out(layers.Flatten()(self.conv(x)))

    own, x = Own(), rng.uniform(size=(1, SIZE, SIZE, 1)).astype(np.float32)
    own(x)
    assert len(grad_cam(own, x).axes) == 3
    assert "conv" in "\n".join(texts(graph(own)))


def test_files_and_notebooks(tmp_path):
    figure = history({"loss": [1.0, 0.5]}, path=tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:4] == figure._repr_png_()[:4] == b"\x89PNG"
    history({"loss": [1.0]}, path=str(tmp_path / "curves.svg"))
    assert "svg" in (tmp_path / "curves.svg").read_text()[:300]
