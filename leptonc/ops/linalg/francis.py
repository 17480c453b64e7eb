"""Francis's QR iterations on one matrix, in NumPy: the meaning of the op ``schur``."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.ops.linalg.hessenberg import eager_reflector
from leptonc.ops.linalg.jacobi import eager_signs


def francis(a: np.ndarray, most: int, odd: int) -> tuple[np.ndarray, np.ndarray]:
    """T and Z of a finite matrix [n, n], n > 0; NaN after ``most`` sweeps. ``odd``: of how many at one row one has other shifts."""
    n = len(a)
    scale = np.exp2(np.floor(np.log2(np.abs(a).max() or 1))).astype(a.real.dtype)
    h, z = a / scale, np.eye(n, dtype=a.dtype)
    for j in range(n - 2):
        _reflect(h, z, j + 1, h[j + 1:, j].copy(), j)
    sweeps, last, stays = 0, n, 0
    while (high := _last_row(h)) and sweeps < most:
        low = max(k for k in range(high) if not k or not h[k, k - 1])
        stays = stays + 1 if high == last else 0
        _sweep(h, z, low, high, _bulge(h, low, high, stays % odd == odd - 1))
        sweeps, last = sweeps + 1, high
    for k in range(n - 1):
        for _ in range(2):
            if h[k + 1, k]:
                _turn(h, z, k)
    if high:
        return np.full_like(h, np.nan), np.full_like(z, np.nan)
    signs = eager_signs(z.T)[:, 0]
    return np.conj(signs)[:, None] * h * signs * scale + 0, z * signs + 0  # no zero is negative


def _last_row(h: np.ndarray) -> int:
    """The last row of a window that is more than a block of 2; 0 if there is none. What is least below the diagonal is made 0."""
    n, d, eps = len(h), np.abs(np.diagonal(h)), np.finfo(h.dtype).eps
    for k in range(1, n):
        if abs(h[k, k - 1]) <= eps * (d[k] + d[k - 1] or 1):
            h[k, k - 1] = 0
    return next((k for k in range(n - 1, 1, -1) if h[k, k - 1] and h[k - 1, k - 2]), 0)


def _bulge(h: np.ndarray, low: int, high: int, odd: bool) -> np.ndarray:
    x, y, across, under = h[high, high], h[high - 1, high - 1], h[high - 1, high], h[high, high - 1]
    if odd:
        under = abs(under) + abs(h[high - 1, high - 2])
        x = y = x + under * 0.75
        across = under * -0.4375
    first, beside = h[low, low], h[low + 1, low]
    r, s = x - first, y - first
    unit = abs(r) + abs(s) + abs(beside) + abs(under)
    return np.array([r * (s / unit) - under / unit * across + h[low, low + 1] * (beside / unit),
                     beside / unit * (h[low + 1, low + 1] - first - r - s), beside / unit * h[low + 2, low + 1]], h.dtype)


def _sweep(h: np.ndarray, z: np.ndarray, low: int, high: int, bulge: np.ndarray) -> None:
    for k in range(low, high):
        _reflect(h, z, k, bulge if k == low else h[k:k + 3, k - 1].copy(), k - 1 if k > low else None)


def _reflect(h: np.ndarray, z: np.ndarray, at: int, x: np.ndarray, column: int | None) -> None:
    """The reflection of x, which stands in this column from row ``at`` on, of H from both sides, and of Z."""
    v, tau, beta = eager_reflector(x[:len(h) - at])
    rows = slice(at, at + len(v))
    h[rows] -= np.conj(tau) * np.outer(v, np.conj(v) @ h[rows])
    if column is not None:
        h[rows, column] = 0
        h[at, column] = beta
    h[:, rows] -= tau * np.outer(h[:, rows] @ v, np.conj(v))
    z[:, rows] -= tau * np.outer(z[:, rows] @ v, np.conj(v))


def _turn(h: np.ndarray, z: np.ndarray, k: int) -> None:
    """The block of rows k and k + 1 split, or its diagonal made equal."""
    (a, b), (c, d) = h[k:k + 2, k:k + 2]
    turn, splits = _rotation(a, b, c, d)
    rows = slice(k, k + 2)
    h[rows] = np.conj(turn.T) @ h[rows]
    h[:, rows], z[:, rows] = h[:, rows] @ turn, z[:, rows] @ turn
    if splits:
        h[k + 1, k] = 0
    else:
        h[k, k] = h[k + 1, k + 1] = (h[k, k] + h[k + 1, k + 1]) / 2


def _rotation(a: Any, b: Any, c: Any, d: Any) -> tuple[np.ndarray, bool]:
    most = max(abs(a - d), abs(b), abs(c))
    b, c, p = b / most, c / most, (a - d) / most / 2
    square = p * p + b * c
    splits = np.iscomplexobj(square) or square >= 0
    if splits:
        root = np.sqrt(square)
        x = p - root if (p * np.conj(root)).real < 0 or (p.real < 0 and not np.iscomplexobj(p)) else p + root
        pair = np.array([x, c])
        cosine, sine = pair / np.linalg.norm(pair)
    else:
        length = np.hypot(b + c, 2 * p)
        if not length:
            return np.eye(2, dtype=type(a)), False
        cosine = np.sqrt((abs(b + c) / length + 1) / 2)
        sine = p / (length * cosine) * (-1 if b + c >= 0 else 1)
        if abs(b) < abs(c):  # it is above the diagonal as well, so turn by a right angle more
            cosine, sine = -sine, cosine
    return np.array([[cosine, -np.conj(sine)], [sine, np.conj(cosine)]]), bool(splits)
