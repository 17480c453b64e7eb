"""Training curves."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from leptonc.errors import ArgumentError, op_error
from leptonc.plot.figures import BLUE, LARGE, NORMAL, ORANGE, SMALL, finished, new

Curve = tuple[np.ndarray, np.ndarray]  # epochs, values


def history(history: Any, *, title: str = "", path: str | os.PathLike[str] | None = None) -> Any:
    """Curves of training, one panel for each metric, validation beside it where there is some.

    ``history``: the History that ``fit`` returns, its ``.history`` (a dict of a list per metric), or a list with a dict of metrics
    for each epoch. The best epoch of the validation loss is marked; epochs without a finite value are named. Returns a Figure.
    Raises ArgumentError for what is none of that, or has no epochs.
    """
    values, epochs = _values(history)
    panels = _panels(values)
    columns = min(len(panels), 3)
    rows = -(-len(panels) // columns)
    figure = new(4.2 * columns, 3.1 * rows, title)
    grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axes, name in zip(grid, panels):
        _panel(axes, name, _curve(values, name, epochs), _curve(values, f"val_{name}", epochs))
    for axes in grid[len(panels):]:
        axes.set_axis_off()
    return finished(figure, path)


def _values(history: Any) -> tuple[dict[str, list[Any]], list[int]]:
    """(lists by metric, numbers of the epochs from 1 on)."""
    found = getattr(history, "history", history)
    if isinstance(found, Sequence) and not isinstance(found, str) and all(isinstance(logs, Mapping) for logs in found):
        names = dict.fromkeys(name for logs in found for name in logs)
        found = {name: [logs.get(name, np.nan) for logs in found] for name in names}
    if not isinstance(found, Mapping):
        raise op_error("plot.history", "history must be what fit returns, a dict of lists, or a list of dicts",
                       {"history": history}, kind=ArgumentError)
    values = {str(name): list(np.atleast_1d(np.asarray(column, np.float64))) for name, column in found.items()}
    values = {name: column for name, column in values.items() if column}
    if not values:
        raise ArgumentError("plot.history: there are no epochs in it; fix: train first")
    count = max(map(len, values.values()))
    given = [int(epoch) + 1 for epoch in getattr(history, "epoch", ())]
    return values, given if len(given) == count else list(range(1, count + 1))


def _panels(values: dict[str, Any]) -> list[str]:
    """Metrics, the loss first; one that only validation has stands alone."""
    names = list(dict.fromkeys(name.removeprefix("val_") for name in values))
    return sorted(names, key=lambda name: name != "loss")


def _curve(values: dict[str, list[Any]], name: str, epochs: list[int]) -> Curve | None:
    """Validation may come every few epochs, and then has fewer values."""
    column = values.get(name)
    if column is None:
        return None
    every = max(1, len(epochs) // len(column))
    at = epochs[every - 1::every][:len(column)]
    return np.asarray(at), np.asarray(column[:len(at)])


def _panel(axes: Any, name: str, train: Curve | None, validation: Curve | None) -> None:
    for curve, label, color in ((train, "training", BLUE), (validation, "validation", ORANGE)):
        if curve is not None:
            mark = "o" if len(curve[0]) <= 30 else ""
            lines = axes.plot(*curve, color=color, marker=mark, markersize=3, linewidth=1.4)
            lines[0].set_label(label + _gaps(curve))
    if validation is not None and name == "loss":
        _mark_best(axes, validation)
    axes.set_title(name.replace("_", " "), fontsize=LARGE)
    axes.set_xlabel("epoch", fontsize=NORMAL)
    axes.tick_params(labelsize=SMALL + 1)
    at = [int(epoch) for curve in (train, validation) if curve is not None for epoch in curve[0]]
    axes.xaxis.get_major_locator().set_params(integer=True)
    if len(set(at)) == 1:
        axes.set_xticks(at[:1])
    axes.grid(alpha=0.25)
    axes.margins(y=0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=SMALL + 1, frameon=False)


def _gaps(curve: Curve) -> str:
    bad = curve[0][~np.isfinite(curve[1]).reshape(len(curve[0]), -1).all(1)]
    return f" (not finite in epoch {bad[0]}{' and others' if len(bad) > 1 else ''})" if len(bad) else ""


def _mark_best(axes: Any, curve: Curve) -> None:
    if curve[1].ndim > 1 or not np.isfinite(curve[1]).any():
        return
    best = int(np.nanargmin(np.where(np.isfinite(curve[1]), curve[1], np.nan)))
    axes.plot(curve[0][best], curve[1][best], "o", color=ORANGE, markersize=8, fillstyle="none",
              label=f"best: {curve[1][best]:.4g}, epoch {curve[0][best]}")
