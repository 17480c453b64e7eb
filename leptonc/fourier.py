"""``lax.fft``: transforms over the last axes, as JAX's."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

from leptonc.arguments import array, integers
from leptonc.errors import ArgumentError, op_error
from leptonc.numpy import fft as transforms
from leptonc.public import publish


class FftType(enum.IntEnum):
    """Complex to complex and its inverse, real to complex and its inverse."""

    FFT = 0
    IFFT = 1
    RFFT = 2
    IRFFT = 3


_FUNCTIONS = {FftType.FFT: transforms.fftn, FftType.IFFT: transforms.ifftn, FftType.RFFT: transforms.rfftn,
              FftType.IRFFT: transforms.irfftn}


def fft(x: Any, fft_type: Any, fft_lengths: int | Sequence[int]) -> Any:
    """The transform of this type, an FftType or its name, over as many last axes as there are lengths, which are the extents of the
    complex arrays, or of the reals that go in or come out. Raises ShapeError, DtypeError or ArgumentError."""
    operand = array("fft", "x", x)
    lengths = integers("fft", "fft_lengths", fft_lengths, {"x": operand}, least=1)
    name = getattr(fft_type, "name", fft_type)
    if not isinstance(name, str) or name.upper() not in FftType.__members__:
        raise op_error("fft", f"fft_type={fft_type!r:.40} must be one of {', '.join(FftType.__members__)}", {"x": operand},
                       kind=ArgumentError)
    kind = FftType[name.upper()]
    axes = tuple(range(-len(lengths), 0))
    given = operand.shape[len(operand.shape) - len(lengths):]
    wanted = (*lengths[:-1], lengths[-1] // 2 + 1) if kind is FftType.IRFFT and lengths else lengths
    if len(operand.shape) < len(lengths) or tuple(given) != wanted:
        raise op_error("fft", f"fft_lengths {lengths} do not fit the last axes", {"x": operand})
    return _FUNCTIONS[kind](operand, s=lengths, axes=axes)


__all__ = ["FftType", "fft"]

publish(globals(), __all__)
