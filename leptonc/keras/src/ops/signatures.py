"""Signatures of ops as Keras writes its own, which have no annotations: it compares them."""

from __future__ import annotations

import inspect
from types import FunctionType, ModuleType


def leave_out_annotations(module: ModuleType) -> None:
    """Of what ``inspect.signature`` says about the public functions of a module."""
    for name, function in vars(module).items():
        if isinstance(function, FunctionType) and not name.startswith("_"):
            function.__signature__ = _without_annotations(inspect.signature(function))  # type: ignore[attr-defined]


def _without_annotations(signature: inspect.Signature) -> inspect.Signature:
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
