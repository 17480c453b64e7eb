"""How far rounding may take complex results: their parts as reals along a last axis of two, and for each part a scale of its error.

Quotients and products are sums of products of parts; functions are right to roundoff of their norm, but a part that is 0 stays so.
Of what is made of infinities, of NaN, or of terms near the greatest number, nothing is claimed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.ir.op import get_op

BY_NORM = frozenset({"dot_general", "conv", "conv_input_grad", "conv_weight_grad"})
TRANSFORMS = frozenset({"fft", "rfft", "irfft"})
UNDERFLOWN = 1e-290  # times an epsilon still a number


def reals(x: np.ndarray) -> np.ndarray:
    """Complex numbers as pairs of reals along a last axis; other arrays as they are."""
    return np.stack([x.real, x.imag], -1) if x.dtype.kind == "c" else x


def complexes(x: np.ndarray) -> np.ndarray:
    """Pairs of f64 along a last axis as complex numbers."""
    return np.ascontiguousarray(x).view(np.complex128)[..., 0]


def both(norm: np.ndarray) -> np.ndarray:
    """One scale for both parts."""
    return np.stack([norm, norm], -1)


def product_scale(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What the parts of x y add up, without signs."""
    a, b, c, d = (np.abs(v) for v in (x.real, x.imag, y.real, y.imag))
    return np.stack([a * c + b * d, a * d + b * c], -1)


def quotient_scale(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    size = np.abs(y)[..., None]
    return product_scale(x, y) / size / size


def function_scale(op: str, operands: list[np.ndarray], out: np.ndarray, paired: bool) -> np.ndarray:
    """The norm, but where a part is 0. That of a power times that of the logarithm, whatever its parts: by a phase; a power that
    underflows may be a 0 of any signs. ``out``: in reals, pairs of them if ``paired``."""
    norm = np.hypot(out[..., 0], out[..., 1]) if paired else np.abs(out)
    if op == "pow":
        norm = norm * (1 + np.abs(operands[1] * np.log(np.where(operands[0] == 0, 1, operands[0]))))
    if op == "pow" and paired:
        return both(np.where((norm == 0) & (operands[0] != 0), UNDERFLOWN, norm))
    return np.where(out == 0, 0, both(norm)) if paired else norm


def transform_scale(x: np.ndarray, out: np.ndarray, axis: int, paired: bool) -> np.ndarray:
    """Each sum's error is that of the norm of its row; halves of a row stand for the whole."""
    norm = np.sqrt(2 * np.sum(np.abs(x) ** 2, axis, keepdims=True))
    return np.broadcast_to(both(norm) if paired else norm, out.shape)


def sum_scale(op: str, operands: list[np.ndarray], attrs: dict[str, Any]) -> np.ndarray:
    """The sum of the magnitudes of all terms."""
    if op in BY_NORM:
        return both(np.abs(get_op(op).eager(*(np.abs(x.real) + np.abs(x.imag) for x in operands), **attrs)))
    parts = ([np.abs(part(x)) if x.dtype.kind in "fc" else x for x in operands] for part in (np.real, np.imag))
    return np.stack([np.abs(get_op(op).eager(*each, **attrs)) for each in parts], -1)


def uncertain(operands: list[np.ndarray], out: np.ndarray, scale: np.ndarray, greatest: float, paired: bool) -> np.ndarray:
    """Where a result, in reals, may be anything: of infinities and NaN, and where terms come near the greatest number."""
    far = ~(scale <= greatest / 16) | ~np.isfinite(out)
    far = far.any(-1) if paired else far
    for x in operands:
        if x.dtype.kind in "fc" and x.shape == far.shape:
            far = far | ~np.isfinite(x)
    return np.broadcast_to(far[..., None], out.shape) if paired else far
