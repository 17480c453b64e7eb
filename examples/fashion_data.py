"""Fashion-MNIST (Xiao et al. 2017) as Debian's package dataset-fashion-mnist has it; handwritten digits where it is missing."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import digits_data
import numpy as np

FOLDER = Path(os.environ.get("FASHION_MNIST", "/usr/share/datasets/fashion-mnist"))
PARTS = {"train": "train", "validation": "t10k"}


def is_there() -> bool:
    return (FOLDER / "train-images-idx3-ubyte.gz").is_file()


def load_data(part: str) -> tuple[np.ndarray, np.ndarray]:
    """(f32[n, 28, 28, 1] in [0, 1], i32[n] classes of 10) of part "train" (60,000) or "validation" (10,000); digits are 8x8, 1,408
    and 384 of them."""
    if not is_there():
        return digits_data.load_data(part)
    images, labels = _read(f"{PARTS[part]}-images-idx3-ubyte.gz", 16), _read(f"{PARTS[part]}-labels-idx1-ubyte.gz", 8)
    return images.reshape(-1, 28, 28, 1).astype(np.float32) / 255, labels.astype(np.int32)


def _read(name: str, header: int) -> np.ndarray:
    with gzip.open(FOLDER / name) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)
