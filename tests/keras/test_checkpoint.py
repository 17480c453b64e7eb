"""Checkpoints: a run that was stopped anywhere ends with the bits of one that was not, and no file is ever half there."""

from __future__ import annotations

import json
import os
import random
import signal
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("leptonc.keras", reason="Keras is not installed", exc_type=ImportError)

from leptonc.callbacks import Checkpoint, ModelCheckpoint, archive, atomic
from leptonc.callbacks.archive import CheckpointError
from leptonc.errors import ArgumentError
from tests.keras import training

keras = training.keras


class Stop(keras.callbacks.Callback):
    """Raises at a batch, counted over all epochs, or in the validation of an epoch."""

    def __init__(self, batch: int = 0, epoch: int = -1):
        super().__init__()
        self.batch, self.epoch, self.seen = batch, epoch, 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen += 1
        if self.seen == self.batch:
            raise Stopped

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.now = epoch

    def on_test_begin(self, logs: Any = None) -> None:
        if self.now == self.epoch:
            raise Stopped


class Stopped(Exception):
    pass


@pytest.fixture(scope="module")
def expected() -> str:
    made = training.model()
    return training.digest(made, training.fit(made, None))


def resumed(path: Path, every: Any, stop: Stop) -> str:
    with pytest.raises(Stopped):
        training.fit(training.model(), path, every, extra=[stop])
    np.random.seed(99)  # what a new process has is none of the old one's
    random.seed(99)
    made = training.model()
    return training.digest(made, training.fit(made, path, every))


@pytest.mark.parametrize("every, stop", [("epoch", Stop(12)), (3, Stop(15))])
def test_a_resumed_run_ends_with_the_same_bits(tmp_path, expected, every, stop):
    assert resumed(tmp_path / "run.ckpt", every, stop) == expected


def test_a_run_that_ended_is_not_run_again_and_goes_on_to_more_epochs(tmp_path):
    def run(epochs: int, *callbacks: Any) -> str:
        made = linear()
        return training.digest(made, made.fit(X, Y, epochs=epochs, verbose=0, callbacks=callbacks))

    wanted = run(3)
    run(2, Checkpoint(tmp_path / "run.ckpt"))
    assert [run(3, Checkpoint(tmp_path / "run.ckpt")) for _ in range(2)] == [wanted] * 2


def test_a_second_fit_of_the_same_callback_goes_on_from_the_model(tmp_path):
    made, callback = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), Checkpoint(tmp_path / "run.ckpt")
    made.compile("sgd", "mse")
    x = np.ones((4, 2), np.float32)
    made.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[callback])
    assert made.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[callback]).epoch == [0, 1]


def linear() -> Any:
    keras.backend.clear_session()
    keras.utils.set_random_seed(3)
    made = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    made.compile("adam", "mse", steps_per_execution=2)
    return made


X = np.random.default_rng(0).standard_normal((26, 2)).astype(np.float32)
Y = X.sum(1, keepdims=True)


class Rows(keras.utils.PyDataset):
    def __len__(self) -> int:
        return 7

    def __getitem__(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        return X[4 * n:4 * n + 4], Y[4 * n:4 * n + 4]


def rows() -> Any:
    n = 0
    while True:
        yield X[n % 20:n % 20 + 4], Y[n % 20:n % 20 + 4]
        n += 1


@pytest.mark.parametrize("options", [
    lambda: {"x": X, "y": Y, "batch_size": 4, "shuffle": "batch"},
    lambda: {"x": X, "y": Y, "batch_size": 4, "steps_per_epoch": 4},
    lambda: {"x": Rows(), "shuffle": True},
    lambda: {"x": rows(), "steps_per_epoch": 6, "shuffle": False},
], ids=["within batches", "part of the arrays", "PyDataset", "generator"])
@pytest.mark.filterwarnings("ignore:.*PyDataset.*super", "ignore:Your input ran out of data")
def test_the_order_of_the_data_goes_on(tmp_path, options):
    def run(*callbacks: Any) -> Any:
        made = linear()
        history = made.fit(**options(), epochs=2, verbose=0, callbacks=callbacks)
        return training.digest(made, history)

    wanted = run()
    with pytest.raises(Stopped):
        run(Checkpoint(tmp_path / "run.ckpt", 2), Stop(3))
    assert run(Checkpoint(tmp_path / "run.ckpt", 2)) == wanted


class Counter(keras.callbacks.Callback):
    count = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.count += 1

    def get_state(self) -> dict[str, int]:
        return {"count": self.count}

    def set_state(self, state: dict[str, int]) -> None:
        self.count = state["count"]


def test_a_callback_of_ones_own_keeps_what_it_remembers(tmp_path):
    with pytest.raises(Stopped):
        linear().fit(X, Y, batch_size=2, verbose=0, callbacks=[Counter(), Stop(4), Checkpoint(tmp_path / "run.ckpt", 2)])
    counter = Counter()
    linear().fit(X, Y, batch_size=2, verbose=0, callbacks=[counter, Checkpoint(tmp_path / "run.ckpt", 2)])
    assert counter.count == 7  # 13 batches, 2 in an execution


# Files.

TREE = {"a": [np.arange(6, dtype=np.float32).reshape(2, 3), None, True, 1.5, "text"], "b": {"c": np.uint32(7), "nan": float("nan")}}


def test_an_archive_gives_back_what_it_got(tmp_path):
    archive.save(str(tmp_path / "x"), TREE)
    found = archive.load(str(tmp_path / "x"))
    np.testing.assert_array_equal(found["a"][0], TREE["a"][0])
    assert found["a"][1:] == TREE["a"][1:] and found["b"]["c"].dtype == np.uint32 and found["b"]["nan"] != found["b"]["nan"]
    narrow = np.arange(4).astype(pytest.importorskip("ml_dtypes").bfloat16)
    archive.save(str(tmp_path / "x"), {"narrow": narrow})
    assert archive.load(str(tmp_path / "x"))["narrow"].tobytes() == narrow.tobytes()
    with pytest.raises(CheckpointError, match="type function can't be kept"):
        archive.save(str(tmp_path / "y"), {"f": lambda: 0})
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_damaged_files_are_refused_and_kept(tmp_path):
    path = tmp_path / "x"
    archive.save(str(path), TREE)
    whole = path.read_bytes()
    cut = [whole[:n] for n in (0, 5, 20, 30, len(whole) // 2, len(whole) - 1)]
    flipped = [whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1:] for n in range(0, len(whole), 7)]
    for data in [*cut, *flipped, whole + b"x", b"PK\x03\x04" + whole]:
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=r"cut off|damaged|longer|no checkpoint"):
            archive.load(str(path))
        assert path.read_bytes() == data


@pytest.mark.parametrize("header", [
    {"array:": "object", "shape": [1], "offset": 0}, {"array:": "float32", "shape": [1 << 60], "offset": 0},
    {"array:": "float32", "shape": [1], "offset": 1 << 70}, {"array:": "float32", "shape": "x", "offset": 0},
    {"array:": "float32", "shape": [1], "offset": -4}, {"array:": "float32"}, {"array:": ["float32"]}])
def test_hostile_headers_are_refused(tmp_path, header):
    text = json.dumps(header).encode()
    text += b" " * (-(archive.HEAD + len(text)) % archive.ALIGNED)
    atomic.write(str(tmp_path / "x"), archive._summed(text, [], archive.HEAD + len(text) + archive.SUM))
    with pytest.raises(CheckpointError, match="no checkpoint"):
        archive.load(str(tmp_path / "x"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("point", ["open", "write", "fsync", "replace", "after replace"])
@pytest.mark.parametrize("old", [False, True])
def test_a_kill_at_any_call_leaves_a_whole_file(tmp_path, point, old):
    path = str(tmp_path / "x")
    if old:
        archive.save(path, {"n": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # there are threads here that the child does not need
        child = os.fork()
    if child == 0:
        _die_at(point)
        archive.save(path, {"n": 2, "x": np.zeros(1000)})
        os._exit(1)  # it was to be killed
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    if os.path.exists(path):
        assert archive.load(path)["n"] == (2 if point == "after replace" else 1)
    else:
        assert not old and point != "after replace"
    archive.save(path, {"n": 3})  # what the killed one left is in nobody's way
    assert archive.load(path)["n"] == 3 and os.listdir(tmp_path) == ["x"]


def _die_at(point: str) -> None:
    """This process is killed as it comes to a call of the system."""
    name = {"after replace": "replace"}.get(point, point)
    real = getattr(os, name)

    def dying(*args: Any, **kwargs: Any) -> Any:
        if point == "write":
            real(args[0], args[1][:10])
        elif point == "after replace":
            real(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, name, dying)


def test_a_checkpoint_of_something_else_says_what_differs_and_changes_nothing(tmp_path):
    path = tmp_path / "run.ckpt"
    with pytest.raises(Stopped):
        linear().fit(X, Y, batch_size=2, verbose=0, callbacks=[Stop(4), Checkpoint(path, 2)])
    data = path.read_bytes()
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)])
    other.compile("adam", "mse")
    before = other.get_weights()
    differs = r"(?s)dense.*/kernel float32\[2, 3\] here.*float32\[2, 1\] in the file.*is not in the file"
    with pytest.raises(CheckpointError, match=differs):
        other.fit(X, Y, verbose=0, callbacks=[Checkpoint(path)])
    assert all((a == b).all() for a, b in zip(before, other.get_weights())) and path.read_bytes() == data
    with pytest.raises(CheckpointError, match="an epoch has 2 batches here, and 13 in the file"):
        linear().fit(X, Y, batch_size=13, verbose=0, callbacks=[Checkpoint(path)])
    made = linear()
    made.compile("sgd", "mse")
    with pytest.raises(CheckpointError, match=r"optimizer: .*momentum.* is in the file alone"):
        made.fit(X, Y, batch_size=2, verbose=0, callbacks=[Checkpoint(path)])
    assert path.read_bytes() == data


def test_arguments(tmp_path):
    for every in ("batch", 0, -1, 1.5, True):
        with pytest.raises(ArgumentError, match="'epoch', or a number of batches"):
            Checkpoint(tmp_path / "x", every)
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        linear().fit(X, Y, verbose=0, callbacks=[Checkpoint(tmp_path)])


def test_model_checkpoints_are_whole(tmp_path):
    """Keras's own writes over the file in place."""
    made, path = linear(), tmp_path / "best.keras"
    made.fit(X, Y, verbose=0, callbacks=[ModelCheckpoint(path)])
    assert (keras.models.load_model(path).predict(X, verbose=0) == made.predict(X, verbose=0)).all()
    data = path.read_bytes()

    def fails(file: Any, **kwargs: Any) -> None:
        Path(file).write_bytes(b"half")
        raise OSError("disk full")

    made.save = fails
    with pytest.raises(OSError, match="disk full"):
        made.fit(X, Y, verbose=0, callbacks=[ModelCheckpoint(path)])
    assert path.read_bytes() == data and os.listdir(tmp_path) == ["best.keras"]
    made.fit(X, Y, verbose=0, callbacks=[ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True)])
    assert sorted(os.listdir(tmp_path)) == ["1.weights.h5", "best.keras"]
