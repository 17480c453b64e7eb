"""Real pictures for the examples: ``skimage.data.lfw_subset()``, 100 faces and 100 parts of pictures that are none."""

from __future__ import annotations

import numpy as np

SIZE = 224
NAMES = ("no face", "face")
VALIDATION = 40
EXTRA = "fix: pip install 'leptonc[examples]'"


def load_data(part: str, size: int = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """(f32[n, size, size, 3] in [0, 1], f32[n, 2] one-hot) of part "train" (160) or "validation" (40), half of them faces."""
    try:
        from skimage.data import lfw_subset
        from skimage.transform import resize
    except ImportError as error:
        raise SystemExit(f"the pictures come with scikit-image ({error}); {EXTRA}") from None
    small = lfw_subset().astype(np.float32)
    small = (small - small.min()) / (small.max() - small.min())
    labels = np.repeat([1, 0], len(small) // 2)
    order = np.random.default_rng(0).permutation(len(small) // 2)
    held_out = np.isin(np.arange(len(small)) % len(order), order[:VALIDATION // 2])
    chosen = np.flatnonzero(held_out if part == "validation" else ~held_out)
    chosen = np.random.default_rng(1).permutation(chosen)
    large = np.stack([resize(image, (size, size), order=1) for image in small[chosen]]).astype(np.float32)
    return np.repeat(large[..., None], 3, axis=-1), np.eye(2, dtype=np.float32)[labels[chosen]]
