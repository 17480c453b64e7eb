"""Real handwritten digits for the examples: ``sklearn.datasets.load_digits()``, 1,797 pictures of 8x8."""

from __future__ import annotations

import numpy as np

EXTRA = "fix: pip install 'leptonc[examples]'"
TRAINING, VALIDATION = 1408, 384  # whole batches of 32: another shape is another program to compile


def load_data(part: str) -> tuple[np.ndarray, np.ndarray]:
    """(f32[n, 8, 8, 1] in [0, 1], i32[n] digits) of part "train" (1,408) or "validation" (384), shuffled."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise SystemExit(f"the pictures come with scikit-learn ({error}); {EXTRA}") from None
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    chosen = order[:VALIDATION] if part == "validation" else order[VALIDATION:VALIDATION + TRAINING]
    return (digits.images[chosen, ..., None] / 16).astype(np.float32), digits.target[chosen].astype(np.int32)
