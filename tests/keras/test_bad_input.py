"""Wrong data, wrong names, damaged and hostile files: a clear answer, nothing lost, nothing run."""

from __future__ import annotations

import base64
import json
import marshal
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("leptonc.keras", reason="Keras is not installed", exc_type=ImportError)

import leptonc.keras
from leptonc.errors import RangeError
from leptonc.keras.src.missing import MissingOpError

keras: Any = leptonc.keras
layers = keras.layers
X = np.random.default_rng(0).standard_normal((10, 4)).astype(np.float32)
Y = np.arange(10) % 3
GIVEN = {"verbose": 0, "shuffle": False}


def model(loss: Any = "sparse_categorical_crossentropy", units: int = 3, optimizer: Any = "sgd", **options: Any) -> Any:
    keras.utils.set_random_seed(0)
    made = keras.Sequential([keras.Input((4,)), layers.Dense(units, activation="softmax", name="dense")])
    made.compile(optimizer, loss, **options)
    return made


def fit(x: Any = X, y: Any = Y, loss: Any = "sparse_categorical_crossentropy", **options: Any) -> float:
    return model(loss).fit(x, y, verbose=0, **options).history["loss"][-1]


def empty(*shape: int) -> np.ndarray:
    return np.zeros(shape, np.float32)


DATA: dict[str, tuple[Callable[[], Any], str]] = {
    "x too narrow": (lambda: fit(X[:, :3]), "expected axis -1 of input shape to have value 4, but received input with shape"),
    "fewer labels": (lambda: fit(y=Y[:5]), "cardinality is ambiguous"),
    "labels of rank 2": (lambda: fit(y=empty(10, 2)), r"target.shape=\(10, 2\), output.shape=\(10, 3\)"),
    "five classes for three": (lambda: fit(y=np.eye(5)[Y], loss="categorical_crossentropy"), r"target.shape=\(10, 5\), output"),
    "numbers for vectors": (lambda: fit(y=Y, loss="categorical_crossentropy"), r"target.shape=\(10,\), output"),
    "wide targets": (lambda: fit(y=empty(10, 2), loss="mse"), r"do not broadcast together; x=f32\[10,2\], y=f32\[10,3\]"),
    "strings": (lambda: fit(np.full((10, 4), "a")), "data of dtype <U1 can't be trained on"),
    "labels that are strings": (lambda: fit(y=np.full(10, "a")), "data of dtype <U1 can't be trained on"),
    "objects": (lambda: fit(np.full((10, 4), None)), "data of dtype object can't be trained on"),
    "complex": (lambda: fit(X + 1j), "data of dtype complex64 can't be trained on"),
    "beyond 32 bits": (lambda: fit(y=np.full(10, 1 << 40)), "integers of 64 bits become int32, and the data has 1099511627776"),
    "no data": (lambda: model().fit(), "fit has no data: x is None"),
    "no samples": (lambda: fit(X[:0], Y[:0]), "the data has no batches"),
    "no samples to evaluate": (lambda: model().evaluate(X[:0], Y[:0], verbose=0), "the data has no batches"),
    "no samples to predict": (lambda: model().predict(X[:0], verbose=0), "the data has no batches"),
    "no samples in a batch": (lambda: model().train_on_batch(X[:0], Y[:0]), r"a batch has no samples: an array of shape \(0, 4\)"),
    "no samples to validate with": (lambda: fit(validation_data=(X[:0], Y[:0])), "the data has no batches"),
    "nothing left to train": (lambda: fit(validation_split=1.0), "not sufficient to split"),
    "negative batch": (lambda: fit(batch_size=-1), "a batch_size from 1 up"),
    "no batch from a generator": (lambda: model().fit(iter_of(), **GIVEN), "must yield at least one batch"),
    "a generator of arrays": (lambda: model().fit(iter_of(X), **GIVEN), "must return a tuple"),
    "a generator whose batches change": (lambda: model().fit(iter_of((X, Y), (X[:, :3], Y)), **GIVEN), "to have value 4, but"),
    "an unknown kind of data": (lambda: fit("data"), "Unrecognized data type: x=data"),
    "few sample weights": (lambda: fit(sample_weight=np.ones(3)), "cardinality is ambiguous"),
    "both weights": (lambda: fit(sample_weight=np.ones(10), class_weight={0: 1.0}), "at the same time"),
    "not compiled": (lambda: keras.Sequential([keras.Input((4,)), layers.Dense(3)]).fit(X, Y), r"must call `compile\(\)`"),
    "few weights": (lambda: model().set_weights([empty(4, 3)]), "weight list of length 1, but the layer was expecting 2"),
    "weights of another shape": (lambda: model().set_weights([empty(2, 2), empty(3)]), "not compatible with provided weight shape"),
    "loss": (lambda: fit(loss="nosuch"), "Could not interpret loss identifier: nosuch"),
    "optimizer": (lambda: model(optimizer="nosuch"), "Could not interpret optimizer identifier: nosuch"),
    "metric": (lambda: model(metrics=["nosuch"]).fit(X, Y, verbose=0), "Could not interpret metric identifier: nosuch"),
    "activation": (lambda: layers.Dense(3, activation="nosuch"), "Could not interpret activation function identifier: nosuch"),
    "initializer": (lambda: layers.Dense(3, kernel_initializer="nosuch"), "not interpret initializer identifier: nosuch"),
    "regularizer": (lambda: layers.Dense(3, kernel_regularizer="nosuch"), "Could not interpret regularizer identifier: nosuch"),
    "padding": (lambda: layers.Conv2D(3, 3, padding="nosuch"), "`padding` argument must be .* Received: nosuch"),
    "dtype": (lambda: layers.Dense(3, dtype="nosuch"), "Cannot convert 'nosuch' to a mixed precision DTypePolicy"),
    "a window beyond the image": (lambda: keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(3, 7)]), "zero or negative"),
    "no units": (lambda: layers.Dense(-1), "invalid value for `units`"),
}


def iter_of(*items: Any) -> Any:
    return (item for item in items)


@pytest.mark.parametrize("case", DATA)
def test_wrong_data_and_names(case):
    call, message = DATA[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_dtypes_that_are_missing_are_named():
    with pytest.raises(MissingOpError, match="no dtype string yet"):
        keras.ops.cast(X, "string")


@pytest.mark.parametrize("labels", [Y + 1, Y - 1, np.where(Y == 1, np.nan, Y)], ids=["above", "below", "NaN"])
def test_a_label_that_is_no_class_is_an_error_where_it_is_known_and_a_loss_of_nan_in_a_step(labels):
    assert np.isnan(fit(y=labels))
    assert np.isnan(model().evaluate(X, labels, verbose=0))
    with pytest.raises(RangeError, match="is none of 3 classes, 0 to 2; fix: the labels, or as many outputs"):
        keras.ops.sparse_categorical_crossentropy(labels, X[:, :3])


def test_other_labels_have_their_loss_and_only_they_train():
    known = Y < 2
    labels = np.where(known, Y, 7)
    made = model()
    made.fit(X, labels, verbose=0, batch_size=10)
    assert all(np.isfinite(w).all() for w in made.get_weights())
    ignoring = keras.losses.SparseCategoricalCrossentropy(ignore_class=7)
    assert np.isfinite(fit(y=labels, loss=ignoring))


def test_nan_in_data_shows_in_the_loss_and_can_stop_the_run():
    x = X.copy()
    x[3, 1] = np.nan
    for loss, y in (("sparse_categorical_crossentropy", Y), ("mse", np.eye(3)[Y]), ("binary_crossentropy", np.eye(3)[Y])):
        assert np.isnan(fit(x, y, loss))
    assert len(model().fit(x, Y, epochs=5, verbose=0, callbacks=[keras.callbacks.TerminateOnNaN()]).history["loss"]) == 1
    assert np.isnan(fit(sample_weight=np.full(10, np.nan)))
    assert np.isnan(model().predict(x, verbose=0)).any(1).tolist() == [n == 3 for n in range(10)]


def test_an_error_in_a_generator_reaches_the_user_and_the_model_can_be_used():
    def batches() -> Any:
        for _ in range(5):
            yield X, Y
        raise RuntimeError("the disk is gone")

    made = model()
    with pytest.raises(RuntimeError, match="the disk is gone"):
        made.fit(batches(), verbose=0, shuffle=False)
    assert int(made.optimizer.iterations) == 5 and np.isfinite(made.predict(X, verbose=0)).all()


def test_no_batch_of_a_generator_is_lost():
    made = model()
    made.fit(((X, Y) for _ in range(20)), steps_per_epoch=10, epochs=2, verbose=0, shuffle=False)
    assert int(made.optimizer.iterations) == 20


# Files.


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "ok.keras"
    model().save(path)
    return path


def changed(saved: Path, folder: Path, change: Callable[[str, bytes], bytes | None] = lambda name, data: data,
            **extra: bytes) -> Path:
    """A copy of a model's file with members changed, left out and added."""
    path = folder / "changed.keras"
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        members = {name: change(name, old.read(name)) for name in old.namelist()}
        for name, data in {**members, **extra}.items():
            if data is not None:
                new.writestr(name, data)
    return path


def config(change: Callable[[Any], Any]) -> Callable[[str, bytes], bytes]:
    """Changes the model's configuration."""
    def changed_member(name: str, data: bytes) -> bytes:
        if name != "config.json":
            return data
        found = json.loads(data)
        change(found)
        return json.dumps(found).encode()

    return changed_member


def layer(**spec: Any) -> Callable[[str, bytes], bytes]:
    def put(found: Any) -> None:
        found["config"]["layers"][1] = {"registered_name": None, **spec}

    return config(put)


def activation(**spec: Any) -> Callable[[str, bytes], bytes]:
    def put(found: Any) -> None:
        found["config"]["layers"][1]["config"]["activation"] = spec

    return config(put)


def load(path: Path) -> Any:
    return keras.models.load_model(path)


def test_cut_off_and_damaged_models(saved, tmp_path):
    data = saved.read_bytes()
    for cut in (0, 10, len(data) // 2, len(data) - 1):
        (tmp_path / "x.keras").write_bytes(data[:cut])
        with pytest.raises(ValueError, match=r"ensure the file is an accessible `\.keras` zip file"):
            load(tmp_path / "x.keras")
    middle = len(data) // 2
    (tmp_path / "x.keras").write_bytes(data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1:])
    with pytest.raises(zipfile.BadZipFile, match="Bad CRC"):
        load(tmp_path / "x.keras")
    for name, error in (("config.json", KeyError), ("model.weights.h5", ValueError)):
        with pytest.raises(error, match=name):
            load(changed(saved, tmp_path, lambda member, data, name=name: None if member == name else data))


def test_cut_off_weights_change_nothing(tmp_path):
    path = tmp_path / "x.weights.h5"
    made = model()
    made.save_weights(path)
    data, before = path.read_bytes(), made.get_weights()
    for cut in (0, 100, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(OSError, match=r"truncated file|signature not found"):
            made.load_weights(path)
    model(units=5).save_weights(path)
    with pytest.raises(ValueError, match=r"variable.shape=\(4, 3\), Received: value.shape=\(4, 5\)"):
        made.load_weights(path)
    assert all((a == b).all() for a, b in zip(before, made.get_weights()))


def test_paths_that_lead_out_of_the_archive_are_not_written(saved, tmp_path):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    evil = str(tmp_path / "evil.txt")
    with pytest.warns(UserWarning, match="Skipping invalid path during archive extraction"):
        load(changed(saved, inner, **{"../evil.txt": b"x", "../../evil.txt": b"x", evil: b"x"}))
    assert [p.name for p in tmp_path.rglob("evil*")] == []


def test_bombs_are_not_unpacked(saved, tmp_path, monkeypatch):
    monkeypatch.setattr("keras.src.saving.saving_lib._ZIP_EXTRACT_BOMB_FLOOR_BYTES", 1 << 20)  # of 256 MiB
    with pytest.raises(ValueError, match=r"(?s)decompression.*bomb"):
        load(changed(saved, tmp_path, **{"assets/zeros": bytes(2 << 20)}))
    for options in ({"shape": (1 << 20, 1 << 14), "chunks": (1024, 1024)}, {"shape": (4, 3), "external": [("/etc/passwd", 0, 48)]}):
        hostile = weights(tmp_path, **options)
        with pytest.raises(ValueError, match=r"(?s)bomb|external"):
            load(changed(saved, tmp_path, lambda name, data, hostile=hostile: hostile if name.endswith("h5") else data))


def weights(folder: Path, **options: Any) -> bytes:
    """A file of weights whose kernel is made with ``options``."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(folder / "x.h5", "w") as file:
        variables = file.create_group("layers/dense/vars")
        variables.create_dataset("0", dtype="f4", **options)
        variables.create_dataset("1", shape=(3,), dtype="f4")
    return (folder / "x.h5").read_bytes()


class Runs:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.marker}",)


def test_nothing_in_a_file_is_run(saved, tmp_path):
    marker = tmp_path / "ran"
    code = compile(f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]", "x", "eval").co_consts[0]
    coded = {"class_name": "__lambda__", "config": {"code": base64.b64encode(marshal.dumps(code)).decode(), "defaults": None,
                                                    "closure": None}}
    touch = ["touch", str(marker)]
    hostile = {
        "Python lambda": layer(module="keras.layers", class_name="Lambda", config={"name": "l", "function": coded}),
        "os.system": layer(module="os", class_name="system", config={"command": " ".join(touch)}),
        "subprocess.Popen": layer(module="subprocess", class_name="Popen", config={"args": touch}),
        "get_file": layer(module="keras.utils", class_name="get_file", config={"fname": "x", "origin": "file:///etc/passwd"}),
        "eval": activation(module="builtins", class_name="function", config="eval", registered_name="eval"),
        "system": activation(module="os", class_name="function", config="system", registered_name="system"),
    }
    for change in hostile.values():
        with pytest.raises((ValueError, TypeError), match=r"disallowed|deserialize"):
            load(changed(saved, tmp_path, change))
    for suffix in (".keras", ".h5"):
        path = tmp_path / f"pickled{suffix}"
        path.write_bytes(pickle.dumps(Runs(marker)))
        with pytest.raises((ValueError, OSError)):
            load(path)
    np.save(tmp_path / "x.npy", np.array([Runs(marker)], object), allow_pickle=True)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.write(tmp_path / "x.npy", "__root__.npy")
    with pytest.raises(ValueError, match="allow_pickle=False"):
        load(changed(saved, tmp_path, lambda name, data: None if name.endswith("h5") else data,
                     **{"model.weights.npz": (tmp_path / "x.npz").read_bytes()}))
    assert not marker.exists()
