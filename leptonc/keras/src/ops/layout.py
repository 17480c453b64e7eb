"""Data formats: leptonc's windows slide over channels-last tensors."""

from __future__ import annotations

from typing import Any

from keras.src.backend.config import standardize_data_format

from leptonc import numpy as lnp


def is_channels_first(data_format: str | None) -> bool:
    """Keras's configuration decides if none is given. Raises ValueError for another name."""
    return bool(standardize_data_format(data_format) == "channels_first")


def channels_last(x: Any, data_format: str | None) -> Any:
    """[n, spatial..., c] from ``data_format``."""
    return lnp.moveaxis(x, 1, -1) if is_channels_first(data_format) else x


def as_format(x: Any, data_format: str | None) -> Any:
    """[n, spatial..., c] as ``data_format`` has it."""
    return lnp.moveaxis(x, -1, 1) if is_channels_first(data_format) else x


def listed(value: Any) -> Any:
    """An int as it is, else a tuple of ints."""
    return value if isinstance(value, int) else tuple(value)
