"""Reports on arrays: examples along the first axis, pictures if they have the shape of some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from leptonc.data import classes, pictures
from leptonc.data.copies import Examples, equal
from leptonc.data.findings import Issue
from leptonc.data.results import Report
from leptonc.errors import ArgumentError, op_error

CHANNELS = (1, 3, 4)
SMALLEST = 8  # pixels a side, of what is taken for pictures


class ArrayContent(NamedTuple):
    """What ``clean`` takes from. ``classes``: the names in the order of their numbers, where labels are numbers."""

    x: np.ndarray
    y: np.ndarray | None
    names: Sequence[str] | None


def array_report(op: str, x: Any, y: Any, validation: Any, names: Sequence[str] | None, seed: int) -> Report:
    parts = {"all": _pair(op, x, y)}
    if validation is not None:
        parts = {"train": parts["all"], "validation": _pair(op, *_given(op, validation))}
        _check_alike(op, *(found for found, _ in parts.values()))
    joined = np.concatenate([found for found, _ in parts.values()])
    labels = [label for found, given in parts.values() for label in label_names(op, given, names, len(found))]
    examples = Examples([_name(part, n) for part, (found, _) in parts.items() for n in range(len(found))],
                        [part for part, (found, _) in parts.items() for _ in found], labels)
    issues = [issue for part, (found, given) in parts.items() for issue in _non_finite(part, found, given)]
    if are_pictures(joined):
        more, notes = pictures.picture_issues(examples, pictures.array_pictures(joined), "the same numbers", seed)
        thumbnail = _thumbnails(examples, joined)
    else:
        more, notes = _rows(examples, joined, seed)
        thumbnail = None
    counts = classes.counted(examples.parts, labels)
    shape = ",".join(map(str, joined.shape[1:]))
    return Report(f"{joined.dtype} arrays [{shape}]", "pictures" if thumbnail else "rows", len(joined), counts,
                  (*issues, *more, *classes.imbalances(counts)), tuple(notes),
                  ArrayContent(*parts[next(iter(parts))], names), thumbnail)


def _thumbnails(examples: Examples, joined: np.ndarray) -> Any:
    place = {name: n for n, name in enumerate(examples.names)}
    draw = pictures.array_thumbnail(joined)
    return lambda item: draw(place[item]) if item in place else None


def _name(part: str, n: int) -> str | int:
    return n if part != "validation" else f"validation/{n}"


def are_pictures(x: np.ndarray) -> bool:
    return x.ndim == 4 and x.shape[-1] in CHANNELS and min(x.shape[1:3]) >= SMALLEST


def _given(op: str, validation: Any) -> tuple[Any, Any]:
    if isinstance(validation, tuple | list) and len(validation) == 2:
        return validation[0], validation[1]
    if isinstance(validation, np.ndarray):
        return validation, None
    raise op_error(op, "validation must be (x, y)", {"validation": validation}, kind=ArgumentError)


def _pair(op: str, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Examples and labels as arrays; grey pictures get the axis that they may lack."""
    x = _numbers(op, x)
    if x.ndim == 3 and min(x.shape[1:]) >= SMALLEST and x.shape[-1] not in CHANNELS:
        x = x[..., None]
    if y is not None:
        y = np.asarray(y)
        if len(y.shape) not in (1, 2) or len(y) != len(x):
            raise op_error(op, "labels must be one for each example", {"x": x, "labels": y})
    return x, y


def _numbers(op: str, x: Any) -> np.ndarray:
    try:
        x = np.asarray(x)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"{op}: the data is no array: {error}") from None
    if x.dtype.kind not in "biuf" or not x.ndim:
        raise op_error(op, "data must be a folder, a table, or numbers with examples along the first axis", {"data": x},
                       kind=ArgumentError)
    return x[:, None] if x.ndim == 1 else x


def _check_alike(op: str, x: np.ndarray, validation: np.ndarray) -> None:
    if x.shape[1:] != validation.shape[1:]:
        raise op_error(op, "training and validation have examples of different shapes", {"x": x, "validation": validation})


def label_names(op: str, y: np.ndarray | None, names: Sequence[str] | None, count: int) -> list[str | None]:
    """The class of each example by name; None where labels are no classes."""
    if y is None or (y.ndim == 2 and y.shape[1] > 1 and not _are_one_hot(y)):
        return [None] * count
    flat = y.argmax(1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1)
    if flat.dtype.kind == "f":
        if not (np.isfinite(flat) & (flat == np.floor(flat))).all():
            return [None] * count  # quantities
        flat = flat.astype(np.int64)
    if names is not None and flat.dtype.kind in "iu" and count and not 0 <= flat.min() <= flat.max() < len(names):
        raise ArgumentError(f"{op}: labels from {flat.min()} to {flat.max()}, and {len(names)} names")
    return [str(names[int(value)]) if names is not None and flat.dtype.kind in "iub" else str(value) for value in flat.tolist()]


def _are_one_hot(y: np.ndarray) -> bool:
    return bool(((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all())


def _non_finite(part: str, x: np.ndarray, y: np.ndarray | None) -> list[Issue]:
    flat = x.reshape(len(x), -1)
    counts = (~np.isfinite(flat)).sum(1) if x.dtype.kind == "f" else np.zeros(len(x), np.int64)
    found = [Issue("non_finite", _name(part, int(n)), f"{counts[n]:,} of {flat.shape[1]:,} numbers")
             for n in np.flatnonzero(counts)]
    if y is not None and y.dtype.kind == "f":
        bad = np.flatnonzero(~np.isfinite(y.reshape(len(y), -1)).all(1))
        found += [Issue("non_finite", _name(part, int(n)), "its label") for n in bad]
    return found


def _rows(examples: Examples, x: np.ndarray, seed: int) -> tuple[list[Issue], list[str]]:
    flat = x.reshape(len(x), -1)
    issues = [*examples.exact_issues(equal([row.tobytes() for row in flat]), "the same numbers")]
    if x.ndim == 2 and len(x) > 1:
        issues += [Issue("constant", f"column {n}", f"always {flat[0, n]}") for n in np.flatnonzero((flat == flat[:1]).all(0))]
    clean = finite(flat)
    doubted, notes = classes.doubts(examples.names, examples.labels, clean, seed)
    return [*issues, *doubted], notes


def finite(x: np.ndarray) -> np.ndarray:
    """NaN and infinity replaced by the median of the finite numbers at the same place of other examples, 0 if there are none."""
    if x.dtype.kind != "f" or np.isfinite(x).all():
        return x
    bad = ~np.isfinite(x)
    hollow = np.where(bad, np.nan, x)
    known = ~bad.all(0)
    medians = np.zeros(x.shape[1:], x.dtype)
    medians[known] = np.nanmedian(hollow[:, known], axis=0)
    return np.where(bad, medians, x)
