"""What a model makes of data: pictures with their predictions, and the confusion matrix."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from leptonc.errors import ArgumentError, ShapeError
from leptonc.plot.figures import BAD, GOOD, NORMAL, SMALL, cells, finished, named, new, shortened, show, side
from leptonc.plot.images import classes, pictures, same_length

NUMBERED = 25  # classes, up to which a confusion matrix has its counts written in
LABELLED = 30  # and up to which each has its name


def predictions(images: Any, predicted: Any, true: Any = None, names: Any = None, rows: int = 5, columns: int = 5, *,
                path: str | os.PathLike[str] | None = None) -> Any:
    """The first ``rows`` x ``columns`` images, each with its predicted class, and its probability where it is known.

    ``predicted``: what ``model.predict`` gives ([n, classes], or [n, 1] of a sigmoid), or class numbers; ``true``: class numbers or
    one-hot rows: right ones are green, others red with the true class. ``names``: of the classes, a list or dict. Returns a Figure.
    Raises ArgumentError or ShapeError for what is no image, no label, or not as many.
    """
    if rows < 1 or columns < 1:
        raise ArgumentError(f"plot.predictions: rows and columns must be positive, got {rows} and {columns}")
    found, sure = classes("predictions", "predicted", predicted, binary=True)
    drawn = pictures("predictions", images, len(found))
    right = None if true is None else classes("predictions", "true", true)[0]
    same_length("predictions", images=drawn, predicted=found, true=right)
    count = min(len(drawn), rows * columns)
    columns = min(columns, count)
    size = side(columns)
    shape = drawn[0].shape
    row = size * min(1.5, shape[0] / shape[1]) + (0.2 if right is None else 0.34)
    figure = new(size * columns, -(-count // columns) * row)
    most = int(size * 9)
    for n, axes in enumerate(cells(figure, count, columns)):
        title = shortened(named(names, int(found[n])), most) + ("" if sure is None else f" {100 * sure[n]:.0f} %")
        color = "black"
        if right is not None:
            color = GOOD if found[n] == right[n] else BAD
            title += "" if color == GOOD else f"\nis {shortened(named(names, int(right[n])), most)}"
        show(axes, drawn[n], title, color)
    return finished(figure, path)


def confusion_matrix(true: Any, predicted: Any, names: Any = None, *, path: str | os.PathLike[str] | None = None) -> Any:
    """How many of each true class (rows) were predicted as which (columns); colours are shares of a row.

    ``true`` and ``predicted`` as ``predictions`` takes them; ``names``: of the classes, a list or dict. Returns a Figure. Raises
    ArgumentError for negative class numbers, ShapeError for unequal lengths.
    """
    counts = _counts(true, predicted, names)
    size = len(counts)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    labels = [shortened(named(names, n), 16) for n in range(size)]
    inches = 6.5 if size > NUMBERED else max(2.4, 0.36 * size + 0.4)
    margin = 0.075 * max(map(len, labels))
    turned = 0.08 * max(map(len, labels)) > inches / size * (1 if size <= LABELLED else size // 20)
    figure = new(inches + 1.15 + margin, inches + 0.75 + (margin * 0.8 if turned else 0))
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if size <= NUMBERED:
        _write_counts(axes, counts, shares)
    every = 1 if size <= LABELLED else -(-size // 20)
    ticks = range(0, size, every)
    slant: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if turned else {}
    axes.set_xticks(ticks, labels[::every], fontsize=SMALL + 1, **slant)
    axes.set_yticks(ticks, labels[::every], fontsize=SMALL + 1)
    axes.set_xlabel("predicted", fontsize=NORMAL)
    axes.set_ylabel("true", fontsize=NORMAL)
    total = int(counts.sum())
    axes.set_title(f"{100 * np.trace(counts) / total:.1f} % of {total} right", fontsize=NORMAL + 1)
    bar = figure.colorbar(image, ax=axes, shrink=0.75, pad=0.02)
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label("share of the true class", fontsize=SMALL + 1)
    return finished(figure, path)


def _counts(true: Any, predicted: Any, names: Any) -> np.ndarray:
    right, found = classes("confusion_matrix", "true", true)[0], classes("confusion_matrix", "predicted", predicted, binary=True)[0]
    same_length("confusion_matrix", true=right, predicted=found)
    if min(right.min(), found.min()) < 0:
        raise ArgumentError("plot.confusion_matrix: class numbers must not be negative")
    known = max([int(n) for n in names], default=-1) + 1 if isinstance(names, dict) else len(names or ())
    widths = [np.shape(x)[1] for x in (true, predicted) if np.ndim(x) == 2]
    size = max(int(right.max()) + 1, int(found.max()) + 1, known, 2, *widths)
    if size > 2000:
        raise ShapeError(f"plot.confusion_matrix: a class is number {size - 1}, too many to draw")
    counts = np.zeros((size, size), np.int64)
    np.add.at(counts, (right, found), 1)
    return counts


def _write_counts(axes: Any, counts: np.ndarray, shares: np.ndarray) -> None:
    longest = len(str(counts.max()))
    font = NORMAL if longest < 4 else max(4, NORMAL * 3.6 / longest)
    for (row, column), count in np.ndenumerate(counts):
        if count:
            axes.text(column, row, str(count), ha="center", va="center", fontsize=font,
                      color="white" if shares[row, column] > 0.55 else "black")
