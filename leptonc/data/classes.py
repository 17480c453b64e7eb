"""Labels: how many examples each class has, and which ones a model doubts."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.data.findings import Issue

SMALL = 10  # times as many examples as a small class has are in the largest
Classes = dict[str, dict[str, int]]


def counted(parts: Sequence[str], labels: Sequence[str | None]) -> Classes:
    """Examples by part and class; those without a label are not counted."""
    names = sorted({label for label in labels if label is not None}, key=_natural)
    found: Classes = {}
    for part, label in zip(parts, labels):
        if label is not None:
            found.setdefault(part, dict.fromkeys(names, 0))[label] += 1
    return found


def _natural(name: str) -> tuple[int, str]:
    """Class numbers in the order of numbers."""
    return (len(name), name) if name.isdigit() else (1 << 30, name)


def imbalances(classes: Classes) -> list[Issue]:
    return [Issue("imbalance", label if len(classes) == 1 else f"{part}/{label}",
                  f"{count} examples, the largest class has {max(names.values())}")
            for part, names in classes.items() for label, count in names.items() if count * SMALL < max(names.values())]


def doubts(names: Sequence[str | int], labels: Sequence[str | None], features: np.ndarray,
           seed: int) -> tuple[list[Issue], list[str]]:
    """(issues of kind "label", notes). ``features``: [n, ...], of all examples, labelled or not."""
    chosen = [n for n, label in enumerate(labels) if label is not None]
    known: list[Any] = sorted({labels[n] for n in chosen}, key=lambda name: _natural(str(name)))
    if len(known) < 2:
        return [], []
    number = {label: n for n, label in enumerate(known)}
    judge = importlib.import_module("leptonc.data.labels")  # cleanlab takes a second to import
    found = judge.opinion(features[chosen], np.array([number[labels[n]] for n in chosen]), seed)
    issues = [Issue("label", names[chosen[doubt.place]], f"labelled {known[doubt.given]}; the model says "
                    f"{known[doubt.suggested]} ({doubt.confidence:.0%})", suggestion=known[doubt.suggested])
              for doubt in found.doubts]
    return issues, [f"labels: {found.note}"]
