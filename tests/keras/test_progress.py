"""The bar fits a line of the terminal while it moves, and shows all in the end; files get plain lines."""

from __future__ import annotations

import re
import threading
from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

from leptonc.keras import Sequential, layers, utils
from leptonc.keras.src.batches import Batches
from leptonc.keras.src.progress import Bar

MANY = {f"a_metric_{n}": 1 / (n + 1) for n in range(9)}


def drawn(capsys) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).split("\r")[1:]


@pytest.mark.parametrize("columns", [30, 80, 200])
@pytest.mark.parametrize("target", [7, 12345, None])
def test_it_fits_the_line(columns, target, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    bar = Bar(32, target=target, verbose=1, stateless_metrics=set())
    bar.interval = 0
    for step in range(1, 5):
        bar.update(step, MANY.items(), finalize=False)
    *moving, last = drawn(capsys)
    assert len(moving) == 3 and max(len(line.rstrip()) for line in moving) < columns and "\n" not in "".join(moving) + last
    assert ("a_metric_0" in last) == (columns > 30)
    bar.update(target or 4, MANY.items(), finalize=True)
    (final,) = drawn(capsys)
    assert max(len(line.rstrip()) for line in final.splitlines()) < columns and all(name in final for name in MANY)
    assert final.endswith("\n")


def test_samples_per_second_where_there_is_room(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    for size in (32, None):
        bar = Bar(size, target=4, verbose=1, stateless_metrics=set())
        bar.update(1, {"loss": np.float32(0.25)}.items(), finalize=False)
        (line,) = drawn(capsys)
        assert line.startswith("1/4 ━") and "loss: 0.2500" in line and ("samples/s" in line) == (size is not None)


def test_plain_lines_without_a_terminal(capsys):
    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(np.ones((8, 2), "f4"), np.ones((8, 1), "f4"), batch_size=4, epochs=2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0] == "Epoch 1/2" and lines[1].startswith("2/2 - ") and "loss:" in lines[1]
    assert not any(set(line) & set("\r\x1b━") for line in lines)


class Clock:
    """Seconds that pass when batches are made, and when they are trained on."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(Batches, "clock", staticmethod(lambda: self.now))


class Slow(utils.PyDataset):
    """Batches that take a while, on the caller's own thread: what is read ahead is waited for as well, but when is the system's."""

    def __init__(self, clock, seconds, **options):
        super().__init__(**options)
        self.clock, self.seconds = clock, seconds

    def __len__(self):
        return 4

    def __getitem__(self, n):
        self.clock.now += self.seconds
        return np.ones((2, 2), np.float32), np.ones((2, 1), np.float32)


class Training(Sequential):
    """A step takes one second of the clock."""

    def train_step(self, data):
        self.clock.now += 1
        return super().train_step(data)


@pytest.mark.parametrize("verbose", [1, 2])
@pytest.mark.parametrize("seconds", [0.1, 3])
def test_waiting_for_data_is_shown_where_it_is_the_bottleneck(verbose, seconds, capsys, monkeypatch):
    monkeypatch.setattr("leptonc.keras.src.batches.Ahead", lambda items, depth: items)
    monkeypatch.setenv("COLUMNS", "100")
    clock = Clock(monkeypatch)
    model = Training([layers.Input((2,)), layers.Dense(1)])
    model.clock = clock
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(Slow(clock, seconds), epochs=2, verbose=verbose)
    text = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert ("waiting for data: 75%" in text) == ("waiting for data" in text) == (seconds == 3)
    hint = "Training waited for data for 24 s, 75% of the time"
    assert (text.count(hint), text.count("fix: PyDataset(workers=4)")) == ((1, 1) if seconds == 3 else (0, 0))


def test_several_threads_make_batches_at_once():
    """Two workers are in ``__getitem__`` together: each waits for the other."""
    meeting = threading.Barrier(2)

    class Met(utils.PyDataset):
        def __len__(self):
            return 4

        def __getitem__(self, n):
            meeting.wait(60)
            return np.ones((2, 2), np.float32), np.ones((2, 1), np.float32)

    model = Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(Met(workers=2), verbose=0)
    assert not meeting.broken
