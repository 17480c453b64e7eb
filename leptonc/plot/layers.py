"""What layers have learnt and what they see: filters and feature maps."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from leptonc.errors import ArgumentError, ShapeError, op_error
from leptonc.plot.figures import SMALL, cells, finished, new, shortened, show, side, spread
from leptonc.plot.images import pictures
from leptonc.plot.watch import calls, check, find, inputs, layers_of, results

MOST = 64  # maps of one layer that are drawn
ACROSS = 8  # of each layer, where all layers are
LAYERS = 8


def filters(model_or_layer: Any, *, path: str | os.PathLike[str] | None = None) -> Any:
    """The filters of a convolution, up to 64: of a model the first that has any, or of a layer.

    Three input channels are shown as colours (grey is 0), one as a map (blue negative, red positive), more as a row of maps for
    each filter. A Dense layer on square pictures is shown as pictures. Returns a Figure. Raises ArgumentError if there are
    no filters.
    """
    layer, kernel = _kernel(model_or_layer)
    largest = float(np.abs(kernel[np.isfinite(kernel)]).max(initial=0)) or 1.0
    channels, count = kernel.shape[2:]
    title = f"{layer.name}: {count} filters of {kernel.shape[0]}×{kernel.shape[1]}" + (f"×{channels}" if channels > 1 else "")
    title += "" if count <= MOST else f", the first {MOST}"
    if channels == 3:
        colors = np.nan_to_num(kernel / (2 * largest) + 0.5)
        return finished(_grid([colors[..., n] for n in range(min(count, MOST))], title), path)
    if channels == 1:
        maps = [kernel[..., 0, n] for n in range(min(count, MOST))]
        return finished(_grid(maps, title, "weight", cmap="RdBu_r", vmin=-largest, vmax=largest), path)
    rows, columns = min(count, 16), min(channels, 16)
    cut = "" if (rows, columns) == (count, channels) else f", of {rows} filters {columns} channels"
    maps = [kernel[..., c, n] for n in range(rows) for c in range(columns)]
    return finished(_grid(maps, title.partition(",")[0] + cut + " (a row is a filter)", "weight", columns, cmap="RdBu_r",
                          vmin=-largest, vmax=largest), path)


def _kernel(model_or_layer: Any) -> tuple[Any, np.ndarray]:
    """The layer and its filters as [height, width, channels, filters]."""
    if not hasattr(model_or_layer, "_flatten_layers"):
        raise op_error("plot.filters", "takes a Keras model or layer", {"model_or_layer": model_or_layer}, kind=ArgumentError)
    for layer in layers_of(model_or_layer) or [model_or_layer]:
        kernel = getattr(layer, "kernel", None)
        if kernel is None or not layer.built:
            continue
        found = _as_filters(kernel.numpy(), "Depthwise" in type(layer).__name__)
        if found is not None:
            return layer, found
    raise ArgumentError(f"plot.filters: {getattr(model_or_layer, 'name', 'it')} has no filters to draw; it takes a built Conv1D, "
                        "Conv2D, or Dense on square pictures, or a model that has one")


def _as_filters(kernel: np.ndarray, depthwise: bool) -> np.ndarray | None:
    if kernel.ndim == 4:
        return kernel.reshape(*kernel.shape[:2], 1, -1) if depthwise else kernel
    if kernel.ndim == 3:  # Conv1D: a picture of length x channels
        return kernel[:, :, None, :] if not depthwise else None
    if kernel.ndim == 2:
        for channels in (1, 3):
            extent = math.isqrt(kernel.shape[0] // channels)
            if extent >= 4 and extent * extent * channels == kernel.shape[0]:
                return kernel.reshape(extent, extent, channels, -1)
    return None


def _grid(maps: list[np.ndarray], title: str, scale: str = "", columns: int = 0, **options: Any) -> Any:
    columns = columns or min(len(maps), ACROSS if len(maps) > 4 else len(maps))
    size = side(columns, 8.0, 1.0)
    rows = -(-len(maps) // columns)
    ratio = min(4.0, max(0.25, maps[0].shape[0] / maps[0].shape[1]))
    figure = new(max(size * columns + (0.8 if scale else 0), 0.085 * len(title) + 0.3), size * ratio * rows + 0.45, title)
    axes = cells(figure, len(maps), columns)
    for cell, image in zip(axes, maps):
        drawn = show(cell, image, **options)
    if scale:
        spread(figure, drawn, axes, scale)
    return figure


def feature_maps(model: Any, image: Any, layer: Any = None, *, path: str | os.PathLike[str] | None = None) -> Any:
    """What layers make of an image (the first, of a batch): maps of their channels.

    ``layer`` (a layer, its name, or its number): its first 64 channels, on one scale. None: a row for each layer that gives maps,
    with its 8 channels of the largest mean. Values are those of inference. Returns a Figure. Raises ArgumentError or ShapeError if
    the model takes no such image, or the layer gives no maps.
    """
    check("feature_maps", model)
    x = inputs("feature_maps", model, image)[:1]
    known = [call for call in calls(model, x) if len(call.shape) == 4]
    if layer is None:
        chosen = list({id(call.layer): call.layer for call in known if type(call.layer).__name__ != "InputLayer"}.values())
        if not chosen:
            raise ShapeError("plot.feature_maps: no layer of the model gives maps [n, height, width, channels]")
        return finished(_rows_of_layers(model, x, chosen), path)
    one = find("feature_maps", model, layer)
    maps, = results(model, x, [one])
    if maps.ndim != 4:
        raise op_error("plot.feature_maps", f"layer {one.name} gives no maps [n, height, width, channels]", {one.name: maps})
    return finished(_one_layer(one, maps[0]), path)


def _one_layer(layer: Any, maps: np.ndarray) -> Any:
    count = maps.shape[-1]
    title = f"{layer.name}: {maps.shape[0]}×{maps.shape[1]}, {count if count <= MOST else f'{MOST} of {count}'} channels"
    low, high = limits(maps)
    return _grid([maps[..., n] for n in range(min(count, MOST))], title, "activation", cmap="viridis", vmin=low, vmax=high)


def _rows_of_layers(model: Any, x: np.ndarray, chosen: list[Any]) -> Any:
    if len(chosen) > LAYERS:
        chosen = [chosen[n] for n in np.linspace(0, len(chosen) - 1, LAYERS).round().astype(int)]
    size, rows = 1.0, len(chosen) + 1
    figure = new(size * ACROSS + 1.3, (size + 0.06) * rows)
    axes = cells(figure, rows * ACROSS, ACROSS)
    if x.shape[-1] in (1, 3, 4):
        show(axes[0], pictures("feature_maps", x)[0])
        _label(axes[0], f"image\n{x.shape[1]}×{x.shape[2]}×{x.shape[3]}")
    for n, (layer, maps) in enumerate(zip(chosen, results(model, x, chosen)), 1):
        row = axes[n * ACROSS:(n + 1) * ACROSS]
        means = np.nan_to_num(maps[0]).mean((0, 1))
        low, high = limits(maps)
        for cell, channel in zip(row, np.argsort(-means, kind="stable")[:ACROSS]):
            show(cell, maps[0, ..., channel], cmap="viridis", vmin=low, vmax=high)
            cell.text(0.04, 0.96, str(channel), transform=cell.transAxes, fontsize=SMALL - 1, color="white", va="top",
                      bbox={"facecolor": "black", "alpha": 0.45, "pad": 1, "linewidth": 0})
        _label(row[0], f"{shortened(layer.name, 20)}\n{maps.shape[1]}×{maps.shape[2]}×{maps.shape[3]}")
    return figure


def _label(axes: Any, text: str) -> None:
    axes.text(-0.08, 0.5, text, transform=axes.transAxes, fontsize=SMALL, ha="right", va="center")


def limits(maps: np.ndarray) -> tuple[float, float]:
    """Of a scale: all but the outermost values."""
    finite = maps[np.isfinite(maps)]
    if not finite.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, (0.5, 99.8)))
    return (low, high) if high > low else (float(finite.min()), float(finite.max()) or 1.0)
