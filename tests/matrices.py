"""Matrices of tests, and what is asked of them."""

from __future__ import annotations

from typing import Any

import numpy as np


def normal(rng: np.random.Generator, dtype: Any, *shape: int) -> np.ndarray:
    """Normally distributed elements, of complex numbers both parts."""
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def adjoint(x: np.ndarray) -> np.ndarray:
    return np.conj(np.swapaxes(x, -1, -2))


def close(x: Any, y: Any, within: float = 1e-9) -> None:
    np.testing.assert_allclose(x, y, rtol=within, atol=within)
