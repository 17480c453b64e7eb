"""Pictures side by side in a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

EXTRA = "fix: pip install 'leptonc[examples]'"


def save(path: Path, pictures: np.ndarray, columns: int, zoom: int = 4) -> None:
    """f32[n, height, width] in [0, 1], row by row, as a grey PNG; each pixel is ``zoom`` of them."""
    try:
        from matplotlib.image import imsave
    except ImportError as error:
        raise SystemExit(f"pictures are written by matplotlib ({error}); {EXTRA}") from None
    height, width = pictures.shape[1:]
    rows = -(-len(pictures) // columns)
    padded = np.pad(pictures, ((0, rows * columns - len(pictures)), (0, 1), (0, 1)), constant_values=1)
    grid = padded.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2).reshape(rows * (height + 1), -1)
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, np.clip(grid, 0, 1).repeat(zoom, 0).repeat(zoom, 1), cmap="gray", vmin=0, vmax=1)
