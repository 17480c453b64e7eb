"""Keras's ``Equalization`` in a compiled step: its own counts are as many as the pixels say, here as many as there are bins."""

from __future__ import annotations

from typing import Any

from leptonc import numpy as lnp
from leptonc.trace import Tracer

WHITE = 255


def with_known_lengths(layer: Any) -> None:
    """Change the class in place, for it is saved and loaded by name. Pixels that are known, and TensorFlow's, take Keras's way."""
    counted, equalized = layer._custom_histogram_fixed_width, layer._apply_equalization

    def count(self: Any, values: Any, value_range: Any, nbins: int) -> Any:
        if not isinstance(values, Tracer):
            return counted(self, values, value_range, nbins)
        low, high = value_range
        return histogram(values, low, high, nbins)

    def equalize(self: Any, channel: Any, hist: Any) -> Any:
        return equalization(channel, hist) if isinstance(channel, Tracer) else equalized(self, channel, hist)

    layer._custom_histogram_fixed_width, layer._apply_equalization = count, equalize


def histogram(values: Any, low: float, high: float, bins: int) -> Any:
    """How many of the values lie in each bin, i32[bins]: the first is at ``low``, the last at ``high``."""
    places = (lnp.astype(values, "float32") - low) * (bins - 1) / (high - low)
    return lnp.bincount(lnp.ravel(lnp.clip(lnp.astype(places, "int32"), 0, bins - 1)), length=bins)


def equalization(channel: Any, counts: Any) -> Any:
    """Pixels of 0 to 255, each by the share of the pixels up to its bin. Counts are multiplied as floats: 255 times as many pixels
    as a batch may have are no i32."""
    below = lnp.cumsum(counts)
    first = below[lnp.argmax(below > 0)]
    total = lnp.astype(lnp.maximum(below[-1] - first, 1), "float32")
    table = lnp.clip(lnp.round(lnp.astype(below - first, "float32") * WHITE / total), 0, WHITE)
    bins = counts.shape[0]
    places = lnp.astype(lnp.clip(channel / WHITE * (bins - 1), 0, bins - 1), "int32")
    return table[places]
