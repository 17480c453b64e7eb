"""Figures, and what all of them share: how they are made, laid out and written."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np

try:
    import matplotlib
    from matplotlib.backends.registry import BackendFilter, backend_registry
    from matplotlib.figure import Figure
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] != "matplotlib":
        raise
    raise ImportError("leptonc.plot draws with matplotlib, which is not installed; fix: pip install leptonc[plot]") from None

SMALL, NORMAL, LARGE = 7, 9, 11  # font sizes, in points
BLUE, ORANGE, GREY, GOOD, BAD = "#1f6fb4", "#e07b1a", "#8a8a8a", "#1b7f3b", "#c22a2a"
DPI = 120


class Picture(Figure):
    """A figure that a notebook shows, whether pyplot is loaded or not."""

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()


def new(width: float, height: float, title: str = "") -> Any:
    """An empty figure of so many inches."""
    size: dict[str, Any] = {"figsize": (width, height), "dpi": DPI, "layout": "constrained"}
    pyplot = sys.modules.get("matplotlib.pyplot")
    figure: Any = pyplot.figure(FigureClass=Picture, **size) if pyplot is not None and _has_windows() else Picture(**size)
    figure.get_layout_engine().set(w_pad=0.04, h_pad=0.04, wspace=0.02, hspace=0.02)
    if title:
        figure.suptitle(title, fontsize=LARGE)
    return figure


def _has_windows() -> bool:
    return matplotlib.get_backend().lower() in {name.lower() for name in backend_registry.list_builtin(BackendFilter.INTERACTIVE)}


def finished(figure: Any, path: str | os.PathLike[str] | None) -> Any:
    """The figure, written to ``path`` if there is one."""
    if path is not None:
        figure.savefig(path)
    return figure


def cells(figure: Any, count: int, columns: int, rows: int | None = None) -> list[Any]:
    """Axes without ticks for ``count`` pictures, row by row."""
    rows = rows or -(-count // columns)
    grid = figure.subplots(rows, columns, squeeze=False).reshape(-1)
    for axes in grid:
        axes.set_axis_off()
    return list(grid[:count])


def show(axes: Any, image: np.ndarray, title: str = "", color: str = "black", **options: Any) -> Any:
    """A picture as ``images.pictures`` gives them, or a map of numbers with ``cmap``; pixels stay sharp where they are few."""
    few = max(image.shape[:2]) < 100
    out = axes.imshow(image, interpolation="nearest" if few else "antialiased", **{"vmin": 0, "vmax": 1, "cmap": "gray", **options})
    if title:
        axes.set_title(title, fontsize=SMALL + 1, color=color, pad=3)
    return out


def side(columns: int, widest: float = 10.0, largest: float = 2.2) -> float:
    """Inches of a cell, so that ``columns`` of them fit."""
    return min(largest, widest / columns)


def shortened(text: Any, most: int = 18) -> str:
    text = str(text)
    return text if len(text) <= most else text[:most - 1] + "…"


def named(names: Any, number: int) -> str:
    """The name of a class: out of a list or dict, else its number."""
    if names is None:
        return str(number)
    try:
        return str(names[number])
    except (KeyError, IndexError):
        return str(number)


def spread(figure: Any, image: Any, axes: Sequence[Any], label: str = "") -> None:
    """A colour scale for maps of one range."""
    bar = figure.colorbar(image, ax=list(axes), shrink=0.8, pad=0.02, aspect=30)
    bar.ax.tick_params(labelsize=SMALL)
    if label:
        bar.set_label(label, fontsize=SMALL + 1)
