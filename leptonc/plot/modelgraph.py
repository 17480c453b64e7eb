"""The graph of a model: layers as boxes, in levels from the inputs down."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from matplotlib.patches import FancyBboxPatch, PathPatch
from matplotlib.path import Path

from leptonc.errors import ArgumentError, op_error
from leptonc.plot.figures import GREY, SMALL, finished, new, shortened

WIDE, HIGH, GAP, DROP = 2.35, 0.5, 0.25, 0.3  # inches: a box, and what is between boxes and between levels
THIN = 0.3  # the way of an edge past a level
SWEEPS = 8

COLORS = {"Conv": "#cfe3f5", "Pool": "#d9efd8", "Dense": "#fbe3c8", "Norm": "#efe0f5", "Input": "#e8e8e8", "Drop": "#f3f3f3",
          "Flatten": "#f3f3f3", "Reshape": "#f3f3f3", "Add": "#fff3b8", "Concat": "#fff3b8", "LSTM": "#f8d5dc", "GRU": "#f8d5dc",
          "RNN": "#f8d5dc", "Embedding": "#f8d5dc", "Attention": "#f8d5dc", "Activation": "#d3f0ee", "ReLU": "#d3f0ee"}


@dataclass(eq=False)
class Box:
    """A layer; or, without a ``layer``, the place where an edge passes a level."""

    layer: Any = None
    shape: str = ""
    above: list[Box] = field(default_factory=list)
    level: int = 0
    x: float = 0.0

    @property
    def width(self) -> float:
        return THIN if self.layer is None else WIDE


def graph(model: Any, *, path: str | os.PathLike[str] | None = None) -> Any:
    """The model's layers with their kind, shape and number of weights, joined as data goes; a nested model is one box.

    A model that is a class of its own, whose ``call`` only Python knows, has its layers in the order of ``model.layers``, joined by
    dots. Wants no graphviz. Returns a Figure, as high as the model is deep. Raises ArgumentError for what is no model, or one
    without layers.
    """
    if not hasattr(model, "layers"):
        raise op_error("plot.graph", "model must be a Keras model", {"model": model}, kind=ArgumentError)
    boxes, known = _boxes(model)
    if not boxes:
        raise ArgumentError("plot.graph: the model has no layers yet; fix: add some")
    levels = _levels(boxes)
    width, depth = _place(levels), len(levels)
    figure = new(width + 0.3, depth * (HIGH + DROP) + 0.35)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(-0.15, width + 0.15)
    axes.set_ylim(-depth * (HIGH + DROP) + DROP - 0.05, 0.3)
    axes.set_axis_off()
    total = f"{model.count_params():,} weights" if model.built else "not built yet"
    axes.text(width / 2, 0.12, f"{shortened(model.name, 28)}: {total}", fontsize=SMALL + 2, ha="center", weight="bold")
    for level in levels:
        for box in level:
            _draw_edges(axes, box, known)
            if box.layer is not None:
                _draw_box(axes, box)
    return finished(figure, path)


def _boxes(model: Any) -> tuple[list[Box], bool]:
    """The boxes, parents before children, and whether it is known how they are joined."""
    inner = getattr(model, "_functional", None) or model  # what a Sequential model is made of
    nodes = getattr(inner, "_nodes", None)
    if not nodes:
        boxes = [Box(layer, _shape(layer)) for layer in model.layers]
        for upper, lower in pairwise(boxes):
            lower.above = [upper]
        return boxes, type(model).__name__ == "Sequential"
    found: dict[int, Box] = {}
    depths = inner._nodes_by_depth
    for depth in sorted(depths, reverse=True):
        for node in depths[depth]:
            box = found[id(node)] = Box(node.operation, _shapes(node.output_tensors))
            box.above = [found[key] for key in dict.fromkeys(id(parent) for parent in node.parent_nodes) if key in found]
    return list(found.values()), True


def _shapes(tensors: Any) -> str:
    texts = [_text(t.shape) for t in tensors]
    return texts[0] if len(texts) == 1 else f"{len(texts)} × {texts[0]}" if texts else ""


def _text(shape: Any) -> str:
    return "×".join("n" if extent is None else str(extent) for extent in shape[1:]) or "scalar"


def _shape(layer: Any) -> str:
    try:
        return _text(layer.output.shape)
    except (AttributeError, ValueError):  # of a layer that was not called yet, or by a class alone
        return ""


def _levels(boxes: list[Box]) -> list[list[Box]]:
    """Each box below all that it takes from; edges that pass levels get a place in each."""
    for box in boxes:
        box.level = max((upper.level + 1 for upper in box.above), default=0)
    children: dict[int, list[int]] = defaultdict(list)
    for box in boxes:
        for upper in box.above:
            children[id(upper)].append(box.level)
    for box in boxes:
        if not box.above and children[id(box)]:
            box.level = min(children[id(box)]) - 1  # an input stands above what it is for
    levels: list[list[Box]] = [[] for _ in range(max(box.level for box in boxes) + 1)]
    for box in boxes:
        levels[box.level].append(box)
        box.above = [_led(upper, box.level, levels) for upper in box.above]
    for _ in range(SWEEPS):
        _untangle(levels)
    return levels


def _led(upper: Box, level: int, levels: list[list[Box]]) -> Box:
    """The last of the places of an edge from ``upper`` to a box on ``level``."""
    for between in range(upper.level + 1, level):
        upper = Box(above=[upper], level=between)
        levels[between].append(upper)
    return upper


def _untangle(levels: list[list[Box]]) -> None:
    """One sweep down and one up, each level ordered by the mean place of its neighbours (Sugiyama et al. 1981)."""
    below: dict[int, list[Box]] = defaultdict(list)
    for level in levels:
        for box in level:
            for upper in box.above:
                below[id(upper)].append(box)
    for order, neighbours in ((levels[1:], lambda box: box.above), (levels[-2::-1], lambda box: below[id(box)])):
        for level in levels:
            for n, box in enumerate(level):
                box.x = n - len(level) / 2
        for level in order:
            place = {id(box): _mean([other.x for other in neighbours(box)], box.x) for box in level}
            level.sort(key=lambda box: place[id(box)])
            for n, box in enumerate(level):
                box.x = n - len(level) / 2


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _place(levels: list[list[Box]]) -> float:
    """Give each box its place, near those it is joined to; returns the width of it all."""
    widest = max(sum(box.width + GAP for box in level) - GAP for level in levels)
    below: dict[int, list[Box]] = defaultdict(list)
    for level in levels:
        start = (widest - sum(box.width + GAP for box in level) + GAP) / 2
        for box in level:
            box.x = start + box.width / 2
            start += box.width + GAP
            for upper in box.above:
                below[id(upper)].append(box)
    for sweep in range(6 * SWEEPS):
        down = sweep % 2 == 0
        for level in levels[1:] if down else levels[-2::-1]:
            _settle(level, [_mean([o.x for o in (box.above if down else below[id(box)])], box.x) for box in level])
    left = min(box.x - box.width / 2 for level in levels for box in level)
    right = max(box.x + box.width / 2 for level in levels for box in level)
    room = max(0.0, 3.2 - (right - left))  # a title has room
    for level in levels:
        for box in level:
            box.x += room / 2 - left
    return right - left + room


def _settle(level: list[Box], wanted: list[float]) -> None:
    """Boxes where they want to be, in their order and apart: blocks of those that would overlap share their mean."""
    offsets, total = [], 0.0
    for before, box in zip([None, *level], level):
        total += 0.0 if before is None else (before.width + box.width) / 2 + GAP
        offsets.append(total)
    blocks: list[list[float]] = []  # sum of what is wanted less the offset, number of boxes
    for want, offset in zip(wanted, offsets):
        blocks.append([want - offset, 1])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            last = blocks.pop()
            blocks[-1] = [blocks[-1][0] + last[0], blocks[-1][1] + last[1]]
    starts = [total / count for total, count in blocks for _ in range(int(count))]
    for box, start, offset in zip(level, starts, offsets):
        box.x = start + offset


def _top(box: Box) -> float:
    return -box.level * (HIGH + DROP)


def _draw_box(axes: Any, box: Box) -> None:
    kind = type(box.layer).__name__
    color = next((color for part, color in COLORS.items() if part in kind), "white")
    nested = bool(getattr(box.layer, "layers", None))
    axes.add_patch(FancyBboxPatch((box.x - WIDE / 2, _top(box) - HIGH), WIDE, HIGH, boxstyle="round,pad=0,rounding_size=0.06",
                                  facecolor=color, edgecolor="#555555", linewidth=1.6 if nested else 0.8))
    activation = getattr(getattr(box.layer, "activation", None), "__name__", "linear")
    heading = kind if activation in ("linear", kind.lower()) else f"{kind}, {activation}"
    axes.text(box.x, _top(box) - HIGH * 0.3, shortened(heading, 34), fontsize=SMALL + 1, ha="center", va="center", weight="bold")
    count = sum(math.prod(v.shape) for v in getattr(box.layer, "weights", ()))
    texts = [shortened(box.layer.name, 20), box.shape, f"{_thousands(count)} w" if count else ""]
    axes.text(box.x, _top(box) - HIGH * 0.72, "   ".join(text for text in texts if text), fontsize=SMALL, ha="center", va="center",
              color="#333333")


def _thousands(count: int) -> str:
    return f"{count / 1e6:.1f}M" if count >= 1e6 else f"{count / 1e3:.1f}k" if count >= 1e4 else str(count)


def _draw_edges(axes: Any, box: Box, known: bool) -> None:
    for upper in box.above:
        start = (upper.x, _top(upper) - HIGH)
        end = (box.x, _top(box))
        bend = DROP * 0.55
        curve = Path([start, (start[0], start[1] - bend), (end[0], end[1] + bend), end],
                     [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4])
        axes.add_patch(PathPatch(curve, fill=False, edgecolor=GREY, linewidth=1.1, linestyle="-" if known else ":"))
        if box.layer is not None:
            axes.plot(end[0], end[1] + 0.035, marker="v", color=GREY, markersize=4)
    if box.layer is None:
        axes.plot([box.x, box.x], [_top(box), _top(box) - HIGH], color=GREY, linewidth=1.1)
