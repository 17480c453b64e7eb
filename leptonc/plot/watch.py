"""A Keras model watched from outside while it runs: which layers were called, with what results; and its gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

import leptonc
from leptonc.errors import ArgumentError, ShapeError, near_names, op_error
from leptonc.plot.images import numbers

Hook = Callable[[Any, Any], Any]  # (layer, its result) -> the result to go on with
SQUASHING = ("softmax", "sigmoid", "hard_sigmoid")


@dataclass(frozen=True)
class Call:
    """A call of a layer: the shape of its result; whether that is the model's."""

    layer: Any
    shape: tuple[int, ...]
    last: bool


def check(what: str, model: Any) -> None:
    """Raises ArgumentError for what is no model of Keras on leptonc, or has no variables yet."""
    if not hasattr(model, "stateless_call") or not hasattr(model, "layers"):
        raise op_error(f"plot.{what}", "model must be a Keras model", {"model": model}, kind=ArgumentError)
    if not model.built:
        raise ArgumentError(f"plot.{what}: the model is not built yet; fix: call it on data, or train it, first")
    if "Leptonc" not in {base.__name__[:7].title() for base in type(model).__mro__}:
        raise ArgumentError(f"plot.{what}: the model runs on another backend of Keras; fix: KERAS_BACKEND=leptonc")


def inputs(what: str, model: Any, image: Any) -> np.ndarray:
    """A batch as the model takes it: f32, with the axes that one image or a grey one lacks. Raises ShapeError."""
    array = numbers(what, "image", image).astype(np.float32)
    wanted = getattr(model, "input_shape", None)
    if isinstance(wanted, list | dict) or (wanted and not isinstance(wanted[0], int | None)):
        raise ShapeError(f"plot.{what}: the model has several inputs, and this takes models of one")
    rank = len(wanted) if wanted else 4
    if array.ndim == rank - 1 and wanted and wanted[-1] == 1 and array.shape[-1] != 1:
        array = array[..., None]  # a batch of grey ones
    if array.ndim == rank - 2:
        array = array[..., None]
    if array.ndim == rank - 1:
        array = array[None]
    fits = array.ndim == rank and (not wanted or all(w in (None, n) for w, n in zip(wanted[1:], array.shape[1:])))
    if not fits:
        takes = list(wanted) if wanted else "a batch of images"
        raise op_error(f"plot.{what}", f"the model takes {takes}", {"image": np.asarray(image)})
    return array


def layers_of(model: Any) -> list[Any]:
    """The layers that are made of no others, those of nested models included."""
    found = model._flatten_layers(include_self=False)
    return [layer for layer in found if not list(layer._flatten_layers(include_self=False))]


def find(what: str, model: Any, layer: Any) -> Any:
    """A layer by itself, its name, or its number in ``model.layers``. Raises ArgumentError."""
    everything = model._flatten_layers(include_self=False)
    if isinstance(layer, str):
        found = [item for item in everything if item.name == layer]
        if found:
            return found[0]
        near = near_names(layer, [item.name for item in everything])
        raise ArgumentError(f"plot.{what}: the model has no layer {layer!r}; " + (near or f"it has {_listed(everything)}"))
    if isinstance(layer, int) and -len(model.layers) <= layer < len(model.layers):
        return model.layers[layer]
    if not any(item is layer for item in everything):
        raise op_error(f"plot.{what}", f"no layer of the model; it has {_listed(everything)}", {"layer": layer}, kind=ArgumentError)
    return layer


def _listed(layers: list[Any]) -> str:
    names = [layer.name for layer in layers]
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")


@contextmanager
def watched(layers: list[Any], hook: Hook) -> Iterator[None]:
    """Inside, results of these layers pass through ``hook``. Layers are put right again at the end."""
    def wrapped(layer: Any, call: Any) -> Any:
        return lambda *args, **kwargs: hook(layer, call(*args, **kwargs))

    before = {id(layer): layer.__dict__.get("call") for layer in layers}
    for layer in layers:
        layer.__dict__["call"] = wrapped(layer, layer.call)  # past Keras's __setattr__, and found before the method of the class
    try:
        yield
    finally:
        for layer in layers:
            layer.__dict__.pop("call", None)
            if before[id(layer)] is not None:
                layer.__dict__["call"] = before[id(layer)]


@contextmanager
def without_squashing(layer: Any) -> Iterator[None]:
    """Inside, the layer that makes the model's result gives scores, not probabilities: their gradient vanishes where it is sure."""
    activation = getattr(layer, "activation", None)
    if getattr(activation, "__name__", "") in SQUASHING and "activation" in layer.__dict__:
        layer.__dict__["activation"] = _identity
        try:
            yield
        finally:
            layer.__dict__["activation"] = activation
    elif type(layer).__name__ == "Softmax":
        layer.__dict__["call"] = lambda x, *args, **kwargs: x
        try:
            yield
        finally:
            del layer.__dict__["call"]
    else:
        yield


def _identity(x: Any) -> Any:
    return x


def variables(model: Any) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [v.numpy() for v in model.trainable_variables], [v.numpy() for v in model.non_trainable_variables]


def run(model: Any, values: Any, x: Any) -> Any:
    """The model's result in inference, on these values of its variables."""
    training = {"training": False} if getattr(model, "_call_has_training_arg", True) else {}
    return model.stateless_call(*values, x, **training)[0]


def calls(model: Any, x: np.ndarray) -> list[Call]:
    """The layers that are called on ``x``, in order; nothing is computed."""
    layers, found, made = layers_of(model), list[tuple[Any, Any]](), list[Any]()

    def forward(values: Any, x: Any) -> Any:
        made.append(run(model, values, x))
        return made[0]

    def note(layer: Any, result: Any) -> Any:
        found.append((layer, result))
        return result

    with watched(layers, note):
        leptonc.eval_shape(forward, variables(model), x)
    return [Call(layer, tuple(result.shape), result is made[0]) for layer, result in found if hasattr(result, "shape")]


def results(model: Any, x: np.ndarray, layers: list[Any]) -> list[np.ndarray]:
    """What each of these layers gives on ``x``; the last time, if it is called several times."""
    found: dict[int, Any] = {}

    def forward(values: Any, x: Any) -> Any:
        run(model, values, x)
        return [found[id(layer)] for layer in layers]

    def keep(layer: Any, result: Any) -> Any:
        found[id(layer)] = result
        return result

    with watched(layers, keep):
        return [np.asarray(a) for a in leptonc.jit(forward)(variables(model), x)]
