"""Ways to vary a picture, f32[height, width, channels]: what loaders take as ``augment``.

Each is a function of it and a generator.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


def random_flip(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Half of all pictures, left and right exchanged."""
    return image[:, ::-1] if rng.random() < 0.5 else image


class RandomShift(NamedTuple):
    """Up to so many pixels in either direction along both axes; the edge is repeated."""

    pixels: int

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        down, right = rng.integers(0, 2 * self.pixels + 1, 2)
        height, width = image.shape[:2]
        room = np.pad(image, ((self.pixels, self.pixels), (self.pixels, self.pixels), (0, 0)), mode="edge")
        return room[down:down + height, right:right + width]


class RandomBrightness(NamedTuple):
    """Times a factor between 1 - ``share`` and 1 + ``share``; at most 255."""

    share: float

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return np.minimum(image * np.float32(rng.uniform(1 - self.share, 1 + self.share)), np.float32(255))
