"""A checkpoint that a killed run goes on from, to the same bits as one that was never killed."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

import leptonc.keras
from leptonc.callbacks import archive
from leptonc.callbacks.archive import CheckpointError
from leptonc.errors import ArgumentError
from leptonc.keras.src import randomness

keras: Any = leptonc.keras

# What Keras's callbacks remember of a run. A callback of one's own has get_state() and set_state(state) if it remembers anything.
REMEMBERED = {
    "History": ("epoch", "history"),
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_weights", "best_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
    "ModelCheckpoint": ("best", "_batches_seen_since_last_saving", "_last_batch_seen"),
    "SwapEMAWeights": ("_ema_weights_in_model",),
    "TensorBoard": ("_global_train_batch", "_global_test_batch"),
}


class Checkpoint(keras.callbacks.Callback):
    """Writes the state of a run to ``path``, and goes on from there if the file exists when ``fit`` begins.

    path : the file: one run, one file. It stays when training ends, and a run that is started again then has nothing left to
        train; remove it to start anew.
    every : "epoch", or a number of batches, after which the next checkpoint is written.

    The state is all that decides what comes next: weights, seeds, optimizer, metrics, what Keras's callbacks remember (others':
    ``get_state`` and ``set_state``), epoch, batch, and the order of the data. A run that was killed ends with the same bits as one
    that was not. The file is the old one or the new one, whole, whenever the process is killed.

    Raises CheckpointError as ``fit`` begins if the file is damaged or is of another model; model and file stay as they are.
    """

    def __init__(self, path: Any, every: Any = "epoch"):
        super().__init__()
        self.path = os.fspath(path)
        if every != "epoch":
            if isinstance(every, str | float | bool) or operator.index(every) < 1:
                raise ArgumentError(f"Checkpoint: every={every!r}; fix: 'epoch', or a number of batches from 1 up")
            self.on_train_batch_end = self._batch_ended  # where it is not there, Keras calls callbacks on a thread
        self.every = every
        self._run = False  # whether this object saw a run to its end: it does not go back then
        self._callbacks: list[Any] = []
        self._batches: Any = None
        self._epoch, self._seen, self._passed = 0, 0, 0
        self._resumed: dict[str, Any] | None = None

    def join(self, callbacks: Any, batches: Any) -> None:
        """The trainer calls it: this is the list that the callback is in, and the walk over the data.

        It goes behind all others: what they did belongs to the state.
        """
        self._callbacks = [*(c for c in callbacks.callbacks if c is not self), self]
        callbacks.callbacks = self._callbacks
        self._batches = batches
        batches.watched = True

    def on_train_begin(self, logs: Any = None) -> None:
        self._resumed, self._seen, self._passed = None, 0, 0
        if self._batches is None:
            raise CheckpointError("Checkpoint is a callback of fit on the leptonc backend")
        if not self._run and os.path.exists(self.path):
            state = self._loaded()
            self._put(state)
            self.model._initial_epoch = self.params["epochs"] if state["stopped"] else state["epoch"]
            self._resumed = state
        self._run = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        state, self._resumed = self._resumed, None
        self._epoch, self._seen = epoch, 0
        if state is None:
            return
        self.model._initial_epoch = None
        self._seen, self._passed = state["batch"], state["passed"]
        if state["batch"]:
            self._put(state)  # again: it has what the callbacks did as this epoch began
        if state["position"]["began"] is not None:
            self._batches.resume(state["batch"], state["position"], state["logs"])

    def _batch_ended(self, batch: int, logs: Any = None) -> None:
        self._passed += batch + 1 - self._seen
        self._seen = batch + 1
        steps = self.params.get("steps")
        if self._passed >= self.every and (steps is None or self._seen < steps):  # else it waits for the end of the epoch
            self._save(self._epoch, self._seen, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        if last or self.every == "epoch" or self._passed >= self.every:
            self._save(epoch + 1, 0, {})

    def on_train_end(self, logs: Any = None) -> None:
        self.model._initial_epoch = None
        self._run, self._callbacks, self._batches, self._resumed = True, [], None, None

    # The state.

    def _save(self, epoch: int, batch: int, logs: Any) -> None:
        self._passed = 0
        archive.save(self.path, {
            "epoch": epoch, "batch": batch, "passed": self._passed, "stopped": bool(self.model.stop_training),
            "steps": self.params.get("steps"), "logs": {name: np.asarray(value) for name, value in (logs or {}).items()},
            "position": self._batches.position(batch), "callbacks": [*self._remembered()],
            "variables": [{"kind": kind, "path": v.path, "value": v.read()} for kind, v in self._variables()],
        })

    def _variables(self) -> Iterator[tuple[str, Any]]:
        """All variables, with what they belong to."""
        yield from (("model", v) for v in self.model.variables)
        yield from (("metrics", v) for v in self.model.metrics_variables)
        if self.model.optimizer is not None:
            yield from (("optimizer", v) for v in self.model.optimizer.variables)
        yield from (("other", v) for v in getattr(self.model.train_function, "others", ()))
        seeds = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
        if seeds is not None:
            yield "seed", seeds.state

    def _remembered(self) -> Iterator[dict[str, Any]]:
        for callback in self._callbacks:
            name = type(callback).__name__
            if hasattr(callback, "get_state") and hasattr(callback, "set_state"):
                yield {"name": name, "own": callback.get_state()}
            elif names := _attributes(callback):
                yield {"name": name, "keras": {key: getattr(callback, key) for key in names if hasattr(callback, key)}}

    def _loaded(self) -> dict[str, Any]:
        """The file's content, which fits this run. Raises CheckpointError."""
        state = archive.load(self.path)
        known = {"epoch", "batch", "passed", "stopped", "steps", "logs", "position", "callbacks", "variables"}
        if not isinstance(state, dict) or not known <= state.keys():
            raise CheckpointError(f"{self.path} is no checkpoint of a run")
        try:
            differences = [*self._differences(state)]
        except (TypeError, KeyError, AttributeError) as error:
            raise CheckpointError(f"{self.path} is no checkpoint of a run: {error}") from error
        if differences:
            more = f"\n  and {len(differences) - 8} more" if len(differences) > 8 else ""
            raise CheckpointError(f"{self.path} is of another run:\n  " + "\n  ".join(differences[:8]) + more +
                                  "\nfix: the model and data that it is of, or another path")
        return state

    def _differences(self, state: dict[str, Any]) -> Iterator[str]:
        steps = self.params.get("steps")
        if state["batch"] and state["steps"] != steps:
            yield f"an epoch has {steps} batches here, and {state['steps']} in the file, which is in the middle of one"
        here, there = [*self._variables()], state["variables"]
        for kind in ("model", "metrics", "optimizer"):
            own = [v for k, v in here if k == kind]
            found = [entry for entry in there if entry["kind"] == kind]
            yield from _differences(kind, own, found)

    def _put(self, state: dict[str, Any]) -> None:
        """Make everything what it was."""
        for kind in ("model", "metrics", "optimizer", "seed"):
            values = [entry["value"] for entry in state["variables"] if entry["kind"] == kind]
            for variable, value in zip([v for k, v in self._variables() if k == kind], values):
                variable.assign(value)
        self.model.train_function.expect([entry["value"] for entry in state["variables"] if entry["kind"] == "other"])
        entries = list(state["callbacks"])
        for callback in self._callbacks:
            n = next((n for n, entry in enumerate(entries) if entry["name"] == type(callback).__name__), None)
            if n is not None:
                _remember(callback, entries.pop(n))
        randomness.put(state["position"]["now"])


def _remember(callback: Any, entry: dict[str, Any]) -> None:
    if "own" in entry and hasattr(callback, "set_state"):
        callback.set_state(entry["own"])
    for key, value in entry.get("keras", {}).items():
        if key in _attributes(callback):
            setattr(callback, key, value)


def _attributes(callback: Any) -> tuple[str, ...]:
    """Those of Keras's callback that ``callback`` is, or is derived from, if it is one that remembers."""
    return next((REMEMBERED[cls.__name__] for cls in type(callback).__mro__ if cls.__name__ in REMEMBERED), ())


def _differences(kind: str, own: list[Any], found: list[Any]) -> Iterator[str]:
    """Between the variables of this run and the entries of a file."""
    for variable, entry in zip(own, found):
        value, here = entry["value"], variable.read()
        if (value.shape, value.dtype) != (here.shape, here.dtype) or (
                kind == "model" and _leaf(entry["path"]) != _leaf(variable.path)):
            yield f"{kind}: {variable.path} {_type(here)} here, {entry['path']} {_type(value)} in the file"
    for variable in own[len(found):]:
        yield f"{kind}: {variable.path} {_type(variable.read())} is not in the file"
    for entry in found[len(own):]:
        yield f"{kind}: {entry['path']} {_type(entry['value'])} is in the file alone"


def _leaf(path: str) -> str:
    """The last name of a path. Names of layers have numbers that depend on what else was made before."""
    return path.rpartition("/")[2].rstrip("0123456789_")


def _type(array: np.ndarray) -> str:
    return f"{array.dtype.name}{[*array.shape]}"


__all__ = ["Checkpoint", "CheckpointError"]
