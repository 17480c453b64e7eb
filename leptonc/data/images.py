"""Pictures read with Pillow: whatever is in a file becomes 8-bit grey or RGB, upright; what can't be read says why."""

from __future__ import annotations

import hashlib
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from leptonc.data.extra import missing

try:
    from PIL import Image, ImageOps, UnidentifiedImageError
except ModuleNotFoundError as error:
    raise missing(error, "reads pictures") from None

MOST_PIXELS = 100_000_000  # of a picture; a small file may claim far more than memory has
EXIF_ORIENTATION = 0x0112
SIDEWAYS = range(5, 9)  # orientations whose width is the upright height
PLAIN_MODES = ("L", "RGB")
THUMBNAIL = 96  # pixels, of the longer side


# What Pillow's decoders raise of damaged files, beside OSError.
DAMAGED = (MemoryError, RuntimeError, SyntaxError, ValueError, TypeError, LookupError, EOFError, ArithmeticError)


class Unreadable(Exception):
    """A file that is no picture that can be read; the text says why."""


class Reading(NamedTuple):
    """``image``: 8-bit, mode L or RGB, upright, and as a JPEG of a fraction of its size where that is at least what was asked for;
    ``size``: (width, height) of the upright whole; ``peculiar``: {kind: what} of what is unusual about the file;
    ``digest``: of the file's bytes; ``pixels``: a digest of the pixels, None where only a fraction was decoded."""

    image: Image.Image
    size: tuple[int, int]
    peculiar: dict[str, str]
    digest: bytes
    pixels: bytes | None


@contextmanager
def quietly() -> Iterator[None]:
    """Pillow's warnings about odd files are not shown; the files are read, or reported. For the main thread, around all reading."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read(path: Path, enough: int | None = None) -> Reading:
    """The picture of a file, not smaller than ``enough`` pixels a side where that saves decoding. Raises Unreadable."""
    try:
        _check_file(path)
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "blake2b").digest()
            file.seek(0)
            with Image.open(file) as image:
                return _read(image, digest, enough)
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("not a picture that Pillow knows") from None
    except Image.DecompressionBombError:
        raise Unreadable("claims to be larger than memory should hold") from None
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from None
    except DAMAGED as error:
        raise Unreadable(f"broken: {error}") from None


def _check_file(path: Path) -> None:
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise Unreadable("not a file")  # to open a pipe would wait for ever
    if not found.st_size:
        raise Unreadable("empty, 0 bytes")


def _read(image: Image.Image, digest: bytes, enough: int | None) -> Reading:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise Unreadable(f"{width} x {height} pixels, more than {MOST_PIXELS:,}")
    peculiar = _peculiar(image)
    if enough is not None:
        image.draft(None, (enough, enough))
    whole = image.size == (width, height)
    image.load()
    size = (height, width) if image.getexif().get(EXIF_ORIENTATION) in SIDEWAYS else (width, height)
    plain = as_plain(ImageOps.exif_transpose(image))
    return Reading(plain, size, peculiar, digest, pixel_digest(plain) if whole else None)


def _peculiar(image: Image.Image) -> dict[str, str]:
    found = {}
    turned = image.getexif().get(EXIF_ORIENTATION, 1)
    if turned in range(2, 9):
        found["rotated"] = f"EXIF orientation {turned}"
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        found["animated"] = f"{frames} frames"
    if image.mode not in PLAIN_MODES:
        found["mode"] = MODES.get(image.mode, f"mode {image.mode}")
    return found


MODES = {"P": "palette", "PA": "palette with transparency", "LA": "grey with transparency", "RGBA": "RGB with transparency",
         "CMYK": "CMYK, for print", "1": "black and white, 1 bit", "I;16": "16 bits", "I": "32 bits", "F": "floats"}


def as_plain(image: Image.Image) -> Image.Image:
    """Mode L or RGB; of 16 bits the upper 8, of floats and 32 bits the range stretched."""
    if image.mode in PLAIN_MODES:
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        return Image.fromarray(_stretched(np.asarray(image, np.float64)))
    if image.mode in ("1", "LA"):
        return image.convert("L")
    return image.convert("RGB")


def _stretched(x: np.ndarray) -> np.ndarray:
    finite = np.isfinite(x)
    x = np.where(finite, x, 0)
    low, high = (x[finite].min(), x[finite].max()) if finite.any() else (0.0, 0.0)
    if low >= 0 and 255 < high <= 65535:
        return (x / 257).astype(np.uint8)  # 16 bits, as some PNG files are read
    if low >= 0 and high <= 255:
        return x.astype(np.uint8)
    return np.rint((x - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)


def pixel_digest(image: Image.Image) -> bytes:
    """Equal for equal pixels, a grey RGB picture and a grey one included."""
    head = f"{image.size}".encode()
    return hashlib.blake2b(head + image.convert("RGB").tobytes()).digest()


def thumbnail(image: Image.Image) -> bytes:
    """A small JPEG."""
    small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def of_array(array: np.ndarray, low: float = 0.0, scale: float = 255.0) -> Image.Image:
    """A picture of [height, width, 1, 3 or 4 channels], of which ``low`` is black and ``low + scale`` white."""
    finite = np.where(np.isfinite(array), array, low)
    levels = np.rint((finite.astype(np.float64) - low) * (255 / scale)).clip(0, 255).astype(np.uint8)
    return as_plain(Image.fromarray(levels[..., 0] if array.shape[-1] == 1 else levels))


def values(image: Image.Image, size: tuple[int, int] | None, channels: int, resample: Any) -> np.ndarray:
    """f32[height, width, channels] in 0..255 of a picture made ``size`` (height, width)."""
    image = image.convert("L" if channels == 1 else "RGB")
    if size is not None and image.size != size[::-1]:
        image = image.resize(size[::-1], resample)
    return np.asarray(image, np.float32).reshape(image.size[1], image.size[0], channels)
