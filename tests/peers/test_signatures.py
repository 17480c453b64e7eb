"""Parameters of functions shared with JAX and optax: each is there, at its place, with the same default, or stands here with the
reason why not."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from enum import Enum
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

from tests.parameters_of_peers import MISSING, NOT_THERE, OTHERWISE  # noqa: E402

MODULES = {
    "numpy": "jax.numpy", "numpy.linalg": "jax.numpy.linalg", "numpy.fft": "jax.numpy.fft", "lax": "jax.lax", "nn": "jax.nn",
    "nn.initializers": "jax.nn.initializers", "random": "jax.random", "": "jax", "tree": "jax.tree", "tree_util": "jax.tree_util",
    "flatten_util": "jax.flatten_util", "scipy.linalg": "jax.scipy.linalg", "scipy.special": "jax.scipy.special",
    "scipy.stats": "jax.scipy.stats", "optim": "optax",
}
POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def pairs(own: str) -> Iterator[tuple[str, inspect.Signature, inspect.Signature]]:
    """What both modules have, by its name here, with both signatures."""
    ours, theirs = importlib.import_module(f"leptonc.{own}".rstrip(".")), importlib.import_module(MODULES[own])
    for name in sorted(dir(ours)):
        try:
            f, g = getattr(ours, name), getattr(theirs, name)
            signatures = inspect.signature(f), inspect.signature(g)
        except (AttributeError, TypeError, ValueError):  # not there, no function, or a dtype, which says nothing
            continue
        yield f"{own}.{name}".lstrip("."), *signatures


def differences(ours: inspect.Signature, theirs: inspect.Signature) -> Iterator[tuple[str, str]]:
    """(parameter, what is wrong with it) of those that have a default in JAX: required ones go by other names here."""
    places = [p.name for p in ours.parameters.values() if p.kind in POSITIONAL]
    takes_all = any(p.kind is p.VAR_KEYWORD for p in ours.parameters.values())
    for at, p in enumerate(theirs.parameters.values()):
        own = ours.parameters.get(p.name)
        if p.default is p.empty or p.kind not in (*NAMED, p.POSITIONAL_ONLY) or p.name.startswith("_"):
            continue
        if own is None:
            if p.kind in NAMED and not takes_all:
                yield p.name, "missing"
            continue
        if p.kind in POSITIONAL and (p.name not in places or places.index(p.name) != at):
            yield p.name, "of another place"
        if not same(own.default, p.default):
            yield p.name, f"{own.default!r:.40}, there {p.default!r:.40}"


def same(own: Any, other: Any) -> bool:
    """Whether two defaults mean the same. Marks of what was left out are each one's own, and so is a dtype for None."""
    if isinstance(own, Enum):
        return own.name == getattr(other, "name", None)
    if own is not inspect.Parameter.empty and (
            type(own) is object or type(other).__name__ in ("Unspecified", "UnspecifiedValue", "object")):
        return True
    if (isinstance(own, type) and other is None and own is not inspect.Parameter.empty) or (callable(own) and callable(other)):
        return True
    return own is other or bool(np.all(own == other)) or (own in (None, False, ()) and other in (None, False, ()))


@pytest.mark.parametrize("own", MODULES)
def test_parameters_are_those_of_jax(own: str) -> None:
    pytest.importorskip(MODULES[own].split(".")[0])
    wrong = [f"{name}: {parameter}: {what}" for name, *signatures in pairs(own) for parameter, what in differences(*signatures)
             if parameter not in NOT_THERE and f"{name}: {parameter}" not in {**MISSING, **OTHERWISE}]
    assert not wrong, "\n".join(wrong)


def test_what_stands_apart_is_apart() -> None:
    """No reason outlives what it is for."""
    pytest.importorskip("optax")
    found = {f"{name}: {parameter}" for own in MODULES for name, *signatures in pairs(own)
             for parameter, _ in differences(*signatures)}
    assert {*MISSING, *OTHERWISE} <= found, sorted({*MISSING, *OTHERWISE} - found)
