"""Products of numbers in blocks that share a scale, and of operands that are rounded to such blocks first.

Formats of 4 and 8 bits have no dtype here: what is rounded to them stays in f32, so that products are those of the format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from leptonc.arguments import array, choice, items
from leptonc.arithmetic import absolute
from leptonc.custom import custom_vjp
from leptonc.errors import ArgumentError, ShapeError, op_error
from leptonc.numpy.elementwise import clip, maximum, rint, where
from leptonc.numpy.floatbits import frexp, ldexp
from leptonc.numpy.manipulation import matrix_transpose, repeat, reshape, transpose
from leptonc.numpy.reductions import max as greatest
from leptonc.products import dot_general
from leptonc.promotion import numpy_dtype
from leptonc.public import public
from leptonc.trace import cast


@public
def scaled_matmul(lhs: Any, rhs: Any, lhs_scales: Any, rhs_scales: Any, preferred_element_type: Any = np.float32) -> Any:
    """[b, m, n]: lhs [b, m, k] times rhs [b, n, k], of both of which blocks along k are multiplied by lhs_scales [b, m, blocks] and
    rhs_scales [b, n, blocks]. In f32, rounded to ``preferred_element_type``. Raises ShapeError."""
    name = "scaled_matmul"
    named = {"lhs": lhs, "rhs": rhs, "lhs_scales": lhs_scales, "rhs_scales": rhs_scales}
    a, b, first, second = (array(name, what, v) for what, v in named.items())
    if any(len(x.shape) != 3 for x in (a, b, first, second)):
        raise op_error(name, "takes arrays of three axes", named, kind=ShapeError)
    fits = a.shape[::2] == b.shape[::2] and first.shape[:2] == a.shape[:2] and second.shape[:2] == b.shape[:2]
    if not fits or first.shape[2] != second.shape[2] or not first.shape[2] or a.shape[2] % first.shape[2]:
        raise op_error(name, "wants lhs [b, m, k], rhs [b, n, k], lhs_scales [b, m, blocks] and rhs_scales [b, n, blocks], k a "
                       "multiple of blocks", named, kind=ShapeError)
    block = a.shape[2] // first.shape[2]
    x, y = (cast(v, np.float32) * repeat(cast(s, np.float32), block, -1) for v, s in ((a, first), (b, second)))
    return cast(_product(x, y), numpy_dtype(preferred_element_type, name))


def _product(x: Any, y: Any) -> Any:
    """[b, m, n] of [b, m, k] and [b, n, k]."""
    return dot_general(x, y, (((2,), (2,)), ((0,), (0,))))


@dataclass(frozen=True)
class Format:
    """A float of few bits: those of its mantissa, its least exponent, its greatest number."""

    mantissa: int
    least: int
    most: float

    def rounded(self, x: Any) -> Any:
        """Numbers in f32, each rounded to the nearest of the format, of two to the even one; they must not exceed its greatest."""
        exponent = maximum(frexp(x).exponent - 1, np.int32(self.least)) - self.mantissa
        step = ldexp(np.float32(1), exponent)
        return rint(x / step) * step


E4M3, E2M1 = Format(3, -6, 448.0), Format(1, 0, 6.0)


@dataclass(frozen=True)
class BlockScaleConfig:
    """How an operand is rounded: blocks of ``block_size`` in ``data_type`` share a scale, a power of two ("mxfp8") or an e4m3
    number beside a ``global_scale`` for all ("nvfp4")."""

    mode: str
    block_size: int
    data_type: str
    scale_type: str
    global_scale: Any
    infer_only: bool = False


@public
def get_scaled_dot_general_config(mode: str, global_scale: Any = None) -> BlockScaleConfig:
    """The configuration of ``scaled_dot_general`` for one operand: "mxfp8" or "nvfp4", whose ``global_scale`` is 1 by default."""
    name = "get_scaled_dot_general_config"
    if choice(name, "mode", mode, ("mxfp8", "nvfp4")) == "mxfp8":
        if global_scale is not None:
            raise op_error(name, "mxfp8 has no global_scale", {}, kind=ArgumentError)
        return BlockScaleConfig(mode, 32, "float8_e4m3fn", "float8_e8m0fnu", None)
    scale = np.float32(1) if global_scale is None else cast(array(name, "global_scale", global_scale), np.float32)
    return BlockScaleConfig(mode, 16, "float4_e2m1fn", "float8_e4m3fn", scale)


def _quantized(x: Any, config: BlockScaleConfig) -> Any:
    """x [b, m, k] in f32 as the blocks along k have it."""
    size = config.block_size
    if x.shape[2] % size or not x.shape[2]:
        raise op_error("scaled_dot_general", f"{config.mode} wants a multiple of {size} products to be summed", {"x": x},
                       kind=ShapeError)
    blocks = reshape(cast(x, np.float32), (*x.shape[:2], x.shape[2] // size, size))
    form = E4M3 if config.mode == "mxfp8" else E2M1
    whole = 1 if config.global_scale is None else config.global_scale
    blocks = blocks / whole
    most = greatest(absolute(blocks), -1, keepdims=True) / np.float32(form.most)
    scale = _power_above(most) if config.mode == "mxfp8" else E4M3.rounded(clip(most, 0, np.float32(E4M3.most)))
    safe = where(scale > 0, scale, np.float32(1))
    values = form.rounded(clip(blocks / safe, np.float32(-form.most), np.float32(form.most)))
    return reshape(values * scale * whole, x.shape)


def _power_above(x: Any) -> Any:
    """The least power of two that is no less, of normal numbers."""
    fraction, exponent = frexp(x)
    return ldexp(np.float32(1), maximum(exponent - cast(fraction == 0.5, np.int32), np.int32(-126)))


def _scaled(x: Any, y: Any, scales: tuple[Any, Any], modes: tuple[str, str, str]) -> Any:
    first, second = (_config(mode, s) for mode, s in zip(modes, scales))
    return _product(_quantized(x, first), _quantized(y, second))


def _config(mode: str, scale: Any) -> BlockScaleConfig:
    return get_scaled_dot_general_config(mode, scale if mode == "nvfp4" else None)


_scaled_product = custom_vjp(_scaled, nondiff_argnums=(3,))


def _forward(x: Any, y: Any, scales: tuple[Any, Any], modes: tuple[str, str, str]) -> Any:
    return _scaled(x, y, scales, modes), (x, y, scales)


def _backward(modes: tuple[str, str, str], saved: Any, g: Any) -> Any:
    """Straight through the rounding: mxfp8 rounds the factors of both products again, along the axes that they sum, where
    blocks divide these; nvfp4 does not, and has no slope where an operand is cut off."""
    x, y, scales = saved
    back, columns, rows = matrix_transpose(g), matrix_transpose(y), matrix_transpose(x)
    none = tuple(s * np.float32(0) for s in scales)
    if modes[2] == "mxfp8":
        first, second, third = (_config(mode, None) for mode in modes)
        return _rounded_product(g, third, columns, second), _rounded_product(back, third, rows, first), none
    limit = np.float32(E2M1.most * E4M3.most)
    by_x, by_y = _product(g, columns), _product(back, rows)
    return (where(absolute(x) <= scales[0] * limit, by_x, 0), where(absolute(y) <= scales[1] * limit, by_y, 0), none)


_scaled_product.defvjp(_forward, _backward)


def _rounded_product(x: Any, by: BlockScaleConfig, y: Any, other: BlockScaleConfig) -> Any:
    """Of rounded operands where blocks divide what is summed."""
    return _product(x, y) if x.shape[2] % by.block_size else _product(_quantized(x, by), _quantized(y, other))


@public
def scaled_dot_general(lhs: Any, rhs: Any, dimension_numbers: Any, preferred_element_type: Any = np.float32,
                       configs: Sequence[BlockScaleConfig] | None = None, implementation: Any = None) -> Any:
    """``lax.dot_general`` of operands rounded to blocks as ``configs`` say, three of ``get_scaled_dot_general_config``: of lhs, rhs
    and the gradient; None: as they are. Raises ShapeError unless blocks divide what is summed."""
    name = "scaled_dot_general"
    a, b = array(name, "lhs", lhs), array(name, "rhs", rhs)
    if configs is None:
        return dot_general(a, b, dimension_numbers, preferred_element_type=preferred_element_type)
    given = items(configs)
    if len(given) != 3 or not all(isinstance(c, BlockScaleConfig) for c in given):
        raise op_error(name, "configs must be three of get_scaled_dot_general_config, for lhs, rhs and the gradient", {},
                       kind=ArgumentError)
    (contract, other), (batch, other_batch) = ((tuple(axes) for axes in pair) for pair in dimension_numbers)
    x, y = _rows(a, contract, batch), _rows(b, other, other_batch)
    scales = tuple(np.float32(1) if c.global_scale is None else c.global_scale for c in given[:2])
    out = _scaled_product(cast(x, np.float32), cast(y, np.float32), scales, tuple(c.mode for c in given))
    shape = (*(a.shape[d] for d in batch), *_kept(a, contract, batch), *_kept(b, other, other_batch))
    return cast(reshape(out, shape), numpy_dtype(preferred_element_type, name))


def _kept(x: Any, contract: Sequence[int], batch: Sequence[int]) -> list[int]:
    """The extents of the axes that are none of both."""
    return [n for d, n in enumerate(x.shape) if d not in contract and d not in batch]


def _rows(x: Any, contract: Sequence[int], batch: Sequence[int]) -> Any:
    """x as [batch, kept, contracted]."""
    kept = [d for d in range(len(x.shape)) if d not in contract and d not in batch]
    groups = [list(batch), kept, list(contract)]
    moved = transpose(x, tuple(d for group in groups for d in group))
    return reshape(moved, tuple(prod(x.shape[d] for d in group) for group in groups))


__all__ = ["BlockScaleConfig", "get_scaled_dot_general_config", "scaled_dot_general", "scaled_matmul"]
