"""Discrete Fourier transforms, by NumPy's names: of any length, compiled, with gradients; f32 and c64 give c64.

``n`` crops an axis, or fills it up with zeros; ``norm`` is "backward" (the inverse is divided by n), "ortho" (both by its root) or
"forward". Raises ShapeError for axes that are not there or have no elements, DtypeError for what is no number.
"""

from __future__ import annotations

from typing import Any as _Any

import numpy as _np

from leptonc.arguments import array as _array
from leptonc.arguments import axes as _axes
from leptonc.arguments import axis as _axis
from leptonc.arguments import choice as _choice
from leptonc.arguments import extent as _extent
from leptonc.arguments import integer as _integer
from leptonc.arguments import integers as _integers
from leptonc.arguments import number as _number
from leptonc.arguments import on_cpu as _on_cpu
from leptonc.arguments import shape as _shape_of
from leptonc.arithmetic import multiply as _multiply
from leptonc.errors import DtypeError as _DtypeError
from leptonc.errors import ShapeError as _ShapeError
from leptonc.errors import op_error as _op_error
from leptonc.numpy.arranging import roll as _roll
from leptonc.numpy.complexes import as_complex as _as_complex
from leptonc.numpy.complexes import conj as _conj
from leptonc.numpy.creation import asarray as _asarray
from leptonc.promotion import default_float as _default_float
from leptonc.promotion import float_of_ints as _float_of_ints
from leptonc.promotion import numpy_dtype as _numpy_dtype
from leptonc.public import publish as _publish
from leptonc.trace import bind as _bind
from leptonc.trace import cast as _cast
from leptonc.trace import promote as _promote

NORMS = ("backward", "ortho", "forward")


def _fitted(x: _Any, at: int, n: int) -> _Any:
    """The axis cropped, or filled up, to n elements."""
    extent, rank = x.shape[at], len(x.shape)
    if extent > n:
        size = tuple(n if d == at else k for d, k in enumerate(x.shape))
        return _bind("slice", x, start=(0,) * rank, size=size, step=(1,) * rank)
    high = tuple(n - extent if d == at else 0 for d in range(rank))
    return x if extent == n else _bind("pad", x, low=(0,) * rank, high=high, interior=(0,) * rank, value=0)


def _points(name: str, x: _Any, at: int, n: _Any) -> int:
    count = x.shape[at] if n is None else _integer(name, "n", n, {"a": x})
    if count < 1:
        raise _op_error(name, f"{count} points have no transform", {"a": x}, kind=_ShapeError)
    _shape_of(name, [int(count) if d == at else k for d, k in enumerate(x.shape)], x.dtype.itemsize, "n")
    return int(count)


def _scaled(name: str, x: _Any, n: int, norm: _Any, inverse: bool) -> _Any:
    """By what the norm asks for: one direction of the two is divided."""
    how = "backward" if norm is None else _choice(name, "norm", norm, NORMS, {"a": x})
    if how == "ortho":
        return _multiply(x, n**-0.5)
    return _multiply(x, 1 / n) if inverse == (how == "backward") else x


def _complex(name: str, a: _Any) -> _Any:
    return _as_complex(_array(name, "a", a))


def _real(name: str, a: _Any) -> _Any:
    """f32 or f64. Raises DtypeError for complex numbers."""
    (x,) = _promote(_array(name, "a", a))
    if x.dtype.kind == "c":
        raise _op_error(name, "takes reals", {"a": x}, "use fft", _DtypeError)
    if x.dtype in (_np.float32, _np.float64):
        return x
    return _cast(x, _float_of_ints() if x.dtype.kind in "biu" else _np.float32)


def _along(name: str, x: _Any, at: int, n: _Any, norm: _Any, inverse: bool) -> _Any:
    count = _points(name, x, at, n)
    return _scaled(name, _bind("fft", _fitted(x, at, count), axis=at, inverse=inverse), count, norm, inverse)


def fft(a: _Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> _Any:
    """Sums of a_j e^(-2 pi i j k / n) along an axis."""
    x = _complex("fft", a)
    return _along("fft", x, _axis("fft", x, axis), n, norm, False)


def ifft(a: _Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> _Any:
    """The inverse of ``fft``."""
    x = _complex("ifft", a)
    return _along("ifft", x, _axis("ifft", x, axis), n, norm, True)


def rfft(a: _Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> _Any:
    """The first n // 2 + 1 sums that ``fft`` has of reals; the others are their conjugates."""
    x = _real("rfft", a)
    at = _axis("rfft", x, axis)
    count = _points("rfft", x, at, n)
    return _scaled("rfft", _bind("rfft", _fitted(x, at, count), axis=at), count, norm, False)


def irfft(a: _Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> _Any:
    """The inverse of ``rfft``: n reals, by default 2 (m - 1) of m sums."""
    return _irfft("irfft", _complex("irfft", a), n, axis, norm)


def _irfft(name: str, x: _Any, n: _Any, axis: _Any, norm: _Any) -> _Any:
    at = _axis(name, x, axis)
    count = _points(name, x, at, 2 * (x.shape[at] - 1) if n is None else n)
    return _scaled(name, _bind("irfft", _fitted(x, at, count // 2 + 1), axis=at, n=count), count, norm, True)


_OTHER = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}


def _other(name: str, norm: _Any) -> str:
    """The norm with which an inverse transform is divided as the norm says of a forward one."""
    return _OTHER[None if norm is None else _choice(name, "norm", norm, NORMS)]


def hfft(a: _Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> _Any:
    """The transform, n reals, of what has conjugates on either side of its first element; a has one side."""
    return _irfft("hfft", _conj(_complex("hfft", a)), n, axis, _other("hfft", norm))


def ihfft(a: _Any, n: int | None = None, axis: int = -1, norm: str | None = None) -> _Any:
    """The inverse of ``hfft``."""
    return _conj(rfft(a, n, axis, _other("ihfft", norm)))


def _several(name: str, x: _Any, s: _Any, axes: _Any) -> tuple[tuple[int, ...], list[int | None]]:
    """The axes, and how many points each is to have."""
    if axes is not None:
        along = _axes(name, x, _integers(name, "axes", axes, {"a": x}))
    else:
        count = len(x.shape) if s is None else len(_integers(name, "s", s, {"a": x}))
        along = _axes(name, x, tuple(range(-count, 0)))
    if s is None:
        return along, [None] * len(along)
    found = _integers(name, "s", s, {"a": x}, count=len(along))
    return along, [x.shape[at] if n == -1 else n for at, n in zip(along, found)]


def _transformed(name: str, x: _Any, s: _Any, axes: _Any, norm: _Any, inverse: bool) -> _Any:
    for at, n in reversed(list(zip(*_several(name, x, s, axes)))):
        x = _along(name, x, at, n, norm, inverse)
    return x


def fftn(a: _Any, s: _Any = None, axes: _Any = None, norm: str | None = None) -> _Any:
    """``fft`` along each of several axes, all of them by default, of ``s`` points."""
    return _transformed("fftn", _complex("fftn", a), s, axes, norm, False)


def ifftn(a: _Any, s: _Any = None, axes: _Any = None, norm: str | None = None) -> _Any:
    """The inverse of ``fftn``."""
    return _transformed("ifftn", _complex("ifftn", a), s, axes, norm, True)


def rfftn(a: _Any, s: _Any = None, axes: _Any = None, norm: str | None = None) -> _Any:
    """``rfft`` along the last of the axes, then ``fft`` along the others."""
    x = _real("rfftn", a)
    along, points = _several("rfftn", x, s, axes)
    if not along:
        raise _op_error("rfftn", "needs at least one axis", {"a": x}, kind=_ShapeError)
    x = rfft(x, points[-1], along[-1], norm)
    for at, n in zip(along[-2::-1], points[-2::-1]):
        x = _along("rfftn", x, at, n, norm, False)
    return x


def irfftn(a: _Any, s: _Any = None, axes: _Any = None, norm: str | None = None) -> _Any:
    """The inverse of ``rfftn``."""
    x = _complex("irfftn", a)
    along, points = _several("irfftn", x, s, axes)
    if not along:
        raise _op_error("irfftn", "needs at least one axis", {"a": x}, kind=_ShapeError)
    for at, n in zip(along[:-1], points[:-1]):
        x = _along("irfftn", x, at, n, norm, True)
    return _irfft("irfftn", x, None if s is None or _integers("irfftn", "s", s)[-1] == -1 else points[-1], along[-1], norm)


def fft2(a: _Any, s: _Any = None, axes: _Any = (-2, -1), norm: str | None = None) -> _Any:
    """``fftn`` along two axes."""
    return _transformed("fft2", _complex("fft2", a), s, axes, norm, False)


def ifft2(a: _Any, s: _Any = None, axes: _Any = (-2, -1), norm: str | None = None) -> _Any:
    """``ifftn`` along two axes."""
    return _transformed("ifft2", _complex("ifft2", a), s, axes, norm, True)


def rfft2(a: _Any, s: _Any = None, axes: _Any = (-2, -1), norm: str | None = None) -> _Any:
    """``rfftn`` along two axes."""
    return rfftn(a, s, axes, norm)


def irfft2(a: _Any, s: _Any = None, axes: _Any = (-2, -1), norm: str | None = None) -> _Any:
    """``irfftn`` along two axes."""
    return irfftn(a, s, axes, norm)


def _frequencies(name: str, n: _Any, d: _Any, count: int, first: int, dtype: _Any, device: _Any) -> _Any:
    _on_cpu(name, device)
    step = _number(name, "d", d)
    kind = _default_float() if dtype is None else _numpy_dtype(dtype, name)
    k = _np.arange(count)
    return _asarray(_np.asarray(_np.where(k < first, k, k - n) / (n * step), kind))


def fftfreq(n: int, d: float = 1.0, *, dtype: _Any = None, device: _Any = None) -> _Any:
    """The frequencies of ``fft``'s sums of n samples that are d apart: 0, 1 ... -1 over n d."""
    count = _extent("fftfreq", "n", _integer("fftfreq", "n", n, least=1))
    return _frequencies("fftfreq", count, d, count, (count - 1) // 2 + 1, dtype, device)


def rfftfreq(n: int, d: float = 1.0, *, dtype: _Any = None, device: _Any = None) -> _Any:
    """The frequencies of ``rfft``'s sums: 0, 1 ... n // 2 over n d."""
    count = _extent("rfftfreq", "n", _integer("rfftfreq", "n", n, least=1))
    return _frequencies("rfftfreq", count, d, count // 2 + 1, count, dtype, device)


def _shifted(name: str, x: _Any, axes: _Any, sign: int) -> _Any:
    operand = _array(name, "x", x)
    along = _axes(name, operand, axes)
    shifts = tuple(sign * (operand.shape[at] // 2) for at in along)
    return _roll(operand, shifts, along) if along else operand


def fftshift(x: _Any, axes: _Any = None) -> _Any:
    """The sum of frequency 0 in the middle of each axis."""
    return _shifted("fftshift", x, axes, 1)


def ifftshift(x: _Any, axes: _Any = None) -> _Any:
    """The inverse of ``fftshift``."""
    return _shifted("ifftshift", x, axes, -1)


__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "irfft", "irfft2",
    "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]

_publish(globals(), __all__)
