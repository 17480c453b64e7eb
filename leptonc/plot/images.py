"""Arrays as pictures, and labels as class numbers, from the many forms that people have them in."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.errors import ArgumentError, ShapeError, op_error

CHANNELS = (1, 3, 4)  # grey, RGB, RGB with opacity
NOT_FINITE = (1.0, 0.0, 1.0)  # magenta


def numbers(what: str, name: str, x: Any) -> np.ndarray:
    """Raises ArgumentError for what is no array of numbers, or an empty one."""
    try:
        array = np.asarray(x)
    except (ValueError, TypeError) as error:
        raise ArgumentError(f"plot.{what}: {name} is no array: {error}") from None
    if array.dtype.kind not in "biuf" and array.dtype.name != "bfloat16":
        raise op_error(f"plot.{what}", f"{name} must be numbers", {name: array}, kind=ArgumentError)
    if not array.size:
        raise op_error(f"plot.{what}", f"{name} is empty", {name: array})
    return array.astype(np.float32) if array.dtype.name in ("float16", "bfloat16") else array


def batch(what: str, x: Any, count: int | None = None) -> np.ndarray:
    """[n, height, width, channels] with 1, 3 or 4 channels, of one image or several, channels last or first; grey ones may lack
    the axis. ``count``: how many there should be, if that is known. Raises ShapeError."""
    array = numbers(what, "images", x)
    if array.ndim == 2 or (array.ndim == 3 and _are_grey(array.shape, count)):
        array = array[..., None]  # grey, one or several
    if array.ndim == 3:
        array = np.moveaxis(array, 0, -1)[None] if array.shape[-1] not in CHANNELS else array[None]
    if array.ndim == 4 and array.shape[-1] not in CHANNELS and array.shape[1] in CHANNELS:
        array = np.moveaxis(array, 1, -1)
    if array.ndim != 4 or array.shape[-1] not in CHANNELS:
        raise op_error(f"plot.{what}", "images must be [height, width], [height, width, channels] or a batch of them, with 1, 3 or "
                       "4 channels", {"images": np.asarray(x)})
    return array


def _are_grey(shape: tuple[int, ...], count: int | None) -> bool:
    """Whether three axes are those of several grey images, not of one with channels."""
    if count is not None and (count > 1 or shape[0] == 1):
        return shape[0] == count
    return shape[-1] not in CHANNELS and shape[0] not in CHANNELS[1:]


def pictures(what: str, x: Any, count: int | None = None) -> list[np.ndarray]:
    """Each image as f32[height, width] or f32[height, width, 3 or 4] in [0, 1]."""
    array = batch(what, x, count)
    finite = np.isfinite(array)
    low, scale = _range(array, finite)
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.clip((np.where(finite, array, low).astype(np.float32) - low) / scale, 0, 1)
    return [_marked(image, good) for image, good in zip(scaled, finite)]


def _range(array: np.ndarray, finite: np.ndarray) -> tuple[float, float]:
    """(what is black, how far white is from it): 0..1 and 0..255 are taken as they are, other ranges stretched."""
    if array.dtype == np.uint8:
        return 0.0, 255.0
    known = array[finite]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and high <= 255 and high > 2:
        return 0.0, 255.0
    return low, high - low or 1.0


def _marked(image: np.ndarray, finite: np.ndarray) -> np.ndarray:
    """Grey without its axis; pixels that are not finite in a colour of their own."""
    if image.shape[-1] == 1 and finite.all():
        return image[..., 0]
    colored = np.repeat(image, 3, -1) if image.shape[-1] == 1 else image.copy()
    colored[~finite.all(-1), :3] = NOT_FINITE
    return colored


def classes(what: str, name: str, labels: Any, binary: bool = False) -> tuple[np.ndarray, np.ndarray | None]:
    """(class numbers [n], their probabilities or None), of class numbers, one-hot rows, or probabilities.

    A single column, and floats between 0 and 1 where ``binary`` ones may be meant, are probabilities of class 1.
    """
    array = numbers(what, name, labels)
    array = array.reshape(1) if not array.ndim else array
    if array.ndim == 2 and array.shape[1] > 1:
        best, rows = array.argmax(1), array.astype(np.float64)
        sums = np.abs(rows.sum(1) - 1) < 0.02
        return best, rows.max(1) if array.dtype.kind == "f" and sums.all() and (rows >= 0).all() else None
    if array.size != len(array):
        raise op_error(f"plot.{what}", f"{name} must be class numbers [n], or one row of probabilities per class [n, classes]",
                       {name: array})
    flat = array.reshape(-1)
    if flat.dtype.kind != "f":
        return flat.astype(np.int64), None
    if not np.isfinite(flat).all():
        raise op_error(f"plot.{what}", f"{name} has values that are not finite", {name: array}, kind=ArgumentError)
    if (flat == np.round(flat)).all() and not (binary and array.ndim == 2):
        return flat.astype(np.int64), None
    if flat.min() < 0 or flat.max() > 1:
        raise op_error(f"plot.{what}", f"{name} are neither class numbers nor probabilities in 0..1", {name: array},
                       "logits of one column: take their sigmoid first", ArgumentError)
    found = (flat >= 0.5).astype(np.int64)
    return found, np.where(found == 1, flat, 1 - flat)


def same_length(what: str, **arrays: Any) -> None:
    """Raises ShapeError."""
    lengths = {name: len(array) for name, array in arrays.items() if array is not None}
    if len(set(lengths.values())) > 1:
        raise ShapeError(f"plot.{what}: " + ", ".join(f"{name} has {n}" for name, n in lengths.items()) + "; they must be as many")
