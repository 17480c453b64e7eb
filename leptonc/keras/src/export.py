"""Export of models: ONNX. Keras's other formats belong to other backends, and say so."""

from __future__ import annotations

import importlib
import os
from typing import Any, NoReturn

import numpy as np
from keras.src import backend, tree
from keras.src.export.export_utils import get_input_signature
from keras.src.utils import io_utils

import leptonc
from leptonc.keras.src.missing import MissingOpError


def export_onnx(model: Any, filepath: str | os.PathLike[str], verbose: bool | None = None, input_signature: Any = None,
                opset_version: int | None = None, **kwargs: Any) -> None:
    """``model.export(filepath, format="onnx")``: what the model predicts. An extent that its inputs leave open stays open; the
    first one is called "batch"."""
    signature = get_input_signature(model) if input_signature is None else input_signature
    specs = tree.flatten(signature)
    names = _input_names(specs)
    weights, call = _call(model, signature)
    options = {} if opset_version is None else {"opset_version": opset_version}
    exported = importlib.import_module("leptonc.onnx").export  # which says what to install if ONNX is not
    axes = {name: _open(n, spec) for n, (name, spec) in enumerate(zip(names, specs))}
    exported(leptonc.freeze(call, weights), *map(_example, specs), path=filepath, input_names=names, dynamic_axes=axes,
             **options, **kwargs)
    if verbose or verbose is None:
        io_utils.print_msg(f"Saved artifact at '{filepath}'.")


def _input_names(specs: list[Any]) -> list[str]:
    given = [getattr(spec, "name", None) or f"input_{n}" for n, spec in enumerate(specs)]
    return [name if given.count(name) == 1 else f"{name}_{n}" for n, name in enumerate(given)]


def _example(spec: Any) -> leptonc.ShapeDtypeStruct:
    return leptonc.ShapeDtypeStruct([n or 1 for n in spec.shape], backend.standardize_dtype(spec.dtype))


def _open(number: int, spec: Any) -> dict[int, str]:
    """The names that Keras gives to open extents."""
    return {d: f"dim_{number}_{d}" if d else "batch" for d, n in enumerate(spec.shape) if n is None}


def _call(model: Any, signature: Any) -> tuple[dict[str, np.ndarray], Any]:
    """The model's variables by name, and its predictions as a function of them and of the leaves of its inputs."""
    groups = model.trainable_variables, model.non_trainable_variables
    named: dict[str, Any] = {}
    for n, variable in enumerate([*groups[0], *groups[1]]):
        named[f"{variable.path}:{n}" if variable.path in named else variable.path] = variable
    places = {id(variable): name for name, variable in named.items()}
    training = {"training": False} if model._call_has_training_arg else {}

    def predict(weights: dict[str, Any], *leaves: Any) -> Any:
        values = ([weights[places[id(v)]] for v in group] for group in groups)
        return model.stateless_call(*values, *tree.pack_sequence_as(signature, leaves), **training)[0]

    predict.__name__ = model.name
    return {name: np.asarray(variable.value) for name, variable in named.items()}, predict


def _refuse(*args: Any, **kwargs: Any) -> NoReturn:
    raise MissingOpError("`export_saved_model` only currently supports the tensorflow, jax and torch backends. On leptonc: "
                         "model.export('name.onnx', format='onnx'), or model.save('name.keras'), which each of them loads")


class LeptoncExportArchive:
    """What other formats ask for: each way says what to do instead."""

    def track(self, resource: Any) -> None:
        _refuse()

    def add_endpoint(self, name: str, fn: Any, input_signature: Any = None, **kwargs: Any) -> None:
        _refuse()

    def track_and_add_endpoint(self, name: str, resource: Any, input_signature: Any, **kwargs: Any) -> None:
        _refuse()
