"""Scalar opcodes: what one element of a Kernel's body computes, and their meaning in NumPy.

An elementwise op is a function over a handler ``s`` (``s.tanh(x)``). The same function runs under ``NumpyScalars``
(the eager meaning), under a kernel's recorder (which makes instructions), and so under every code generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from leptonc.ir.erfinv import erf_inv, fma
from leptonc.ir.types import DType, bool_, dtype_of, i8, i16, i32, i64


@dataclass(frozen=True)
class ScalarOp:
    """``result``: "same" (the operands' common dtype), "bool", "last" (select: dtype of the last operand), "bits" (of a float: the
    signed integer of its bits) or "given" (that of the instruction)."""

    name: str
    arity: int
    numpy: Callable[..., Any]
    result: str = "same"
    cost: int = 1  # vector instructions, roughly: what the fusion cost model counts


def _saturating_cast(x: np.ndarray, dtype: DType) -> np.ndarray:
    """Float to integer saturates and takes NaN to 0, as llvm.fptosi.sat; every other cast is NumPy's."""
    x = np.asarray(x)
    if dtype_of(x.dtype).is_narrow and not dtype.is_narrow:
        x = x.astype(np.float32)  # exact
    if x.dtype.kind == "c" and not dtype.is_complex:
        x = x != 0 if dtype.is_bool else x.real
    if not (x.dtype.kind == "f" and dtype.is_int):
        return x.astype(dtype.numpy)
    info = np.iinfo(dtype.numpy)
    wide = np.trunc(np.nan_to_num(x, nan=0.0, posinf=np.inf, neginf=-np.inf))
    inside = (wide > float(info.min)) & (wide < float(info.max))
    out = np.where(inside, wide, 0).astype(dtype.numpy)
    low, zero, high = np.array([info.min, 0, info.max], dtype.numpy)
    beyond = np.where(wide >= float(info.max), high, np.where(wide <= float(info.min), low, zero))
    return np.where(inside, out, beyond)


def _erf(x: np.ndarray) -> np.ndarray:
    from math import erf

    x = np.asarray(x)
    return np.vectorize(erf, otypes=[np.float64])(x.astype(np.float64)).astype(x.dtype).reshape(x.shape)


def _in_doubles(function: Callable[..., Any]) -> Callable[..., Any]:
    """f32 by way of f64: NumPy's own f32 logarithms to a base miss whole numbers."""
    return lambda x: function(np.asarray(x, np.float64)).astype(np.asarray(x).dtype)


def _shift(numpy_shift: Callable[..., Any], fill_sign: bool) -> Callable[..., Any]:
    """Shifts by the width or more: 0, or the sign for an arithmetic right shift, as NumPy."""

    def shift(x: np.ndarray, n: np.ndarray) -> np.ndarray:
        x, n = np.asarray(x), np.asarray(n)
        width = x.dtype.itemsize * 8
        big = (n < 0) | (n >= width)
        out = numpy_shift(x, np.where(big, 0, n).astype(x.dtype))
        return np.where(big, (x >> (width - 1)) if fill_sign and x.dtype.kind == "i" else 0, out).astype(x.dtype)

    return shift


def _shift_right_logical(x: np.ndarray, n: np.ndarray) -> np.ndarray:
    unsigned = x.dtype.str.replace("i", "u")
    return (x.view(unsigned) >> n.view(unsigned)).view(x.dtype)


def _sign(x: np.ndarray) -> np.ndarray:
    return np.sign(x)


_BINARY: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "floordiv": np.floor_divide,
    "mod": np.remainder, "pow": np.power, "max": np.maximum, "min": np.minimum, "atan2": np.arctan2,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor,
    "shl": _shift(np.left_shift, False), "shr": _shift(np.right_shift, True),
    "shr_logical": _shift(_shift_right_logical, False), "gcd": np.gcd,
}
_COMPARE: dict[str, Callable[..., Any]] = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater,
            "ge": np.greater_equal}
_UNARY: dict[str, Callable[..., Any]] = {
    "neg": np.negative, "abs": np.abs, "sign": _sign, "floor": np.floor, "ceil": np.ceil, "round": np.rint,
    "trunc": np.trunc, "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "log2": _in_doubles(np.log2),
    "log10": _in_doubles(np.log10),
    "sqrt": np.sqrt, "rsqrt": lambda x: (1 / np.sqrt(x)).astype(np.asarray(x).dtype), "tanh": np.tanh, "sinh": np.sinh,
    "cosh": np.cosh, "erf": _erf, "erf_inv": erf_inv, "sin": np.sin, "cos": np.cos, "tan": np.tan,
    "not": np.invert,
}
_COSTS = {"exp": 12, "expm1": 16, "log": 16, "log1p": 18, "log2": 30, "log10": 30, "tanh": 18, "sinh": 40, "cosh": 40,
          "erf": 20, "erf_inv": 60, "sin": 18, "cos": 18, "tan": 30, "pow": 40,
          "div": 4, "sqrt": 5, "rsqrt": 8, "mod": 10, "floordiv": 8, "atan2": 30, "gcd": 300}

SCALARS: dict[str, ScalarOp] = {
    **{n: ScalarOp(n, 2, f, cost=_COSTS.get(n, 1)) for n, f in _BINARY.items()},
    **{n: ScalarOp(n, 2, f, "bool") for n, f in _COMPARE.items()},
    **{n: ScalarOp(n, 1, f, cost=_COSTS.get(n, 1)) for n, f in _UNARY.items()},
    "isnan": ScalarOp("isnan", 1, lambda x: np.asarray(x) != x, "bool"),
    "fma": ScalarOp("fma", 3, fma),
    "select": ScalarOp("select", 3, np.where, "last"),
    "to_bits": ScalarOp("to_bits", 1, lambda x: x.view(bits_dtype(dtype_of(x.dtype)).numpy), "bits", 0),
    "from_bits": ScalarOp("from_bits", 1, lambda x, dtype: np.asarray(x).view(dtype.numpy), "given", 0),
}
"""``cast`` stands beside the table. Its result dtype is an argument, as that of ``from_bits``. ``not`` on bools is logical."""
_GIVEN = frozenset({"cast", "from_bits"})


def bits_dtype(dtype: DType) -> DType:
    """The signed integer as wide as a float."""
    return {8: i8, 16: i16, 32: i32, 64: i64}[dtype.bits]


def result_dtype(op: str, operands: tuple[DType, ...]) -> DType:
    rules = {"bool": lambda x: bool_, "bits": bits_dtype}
    return rules.get(SCALARS[op].result, lambda x: x)(operands[-1])


class NumpyScalars:
    """The handler whose values are arrays. IEEE results without NumPy's warnings; dtypes stay as the table says."""

    def __getattr__(self, name: str) -> Callable[..., np.ndarray]:
        op = SCALARS[name.rstrip("_")]

        def apply(*args: Any) -> np.ndarray:
            with np.errstate(all="ignore"):
                arrays = _with_numbers(args)
                out = np.asarray(op.numpy(*arrays))
            return out.astype(arrays[-1].dtype, copy=False) if op.result in ("same", "last") else out

        return apply

    def cast(self, x: Any, dtype: DType) -> np.ndarray:
        with np.errstate(all="ignore"):
            return _saturating_cast(np.asarray(x), dtype)

    def from_bits(self, x: Any, dtype: DType) -> np.ndarray:
        return np.asarray(SCALARS["from_bits"].numpy(x, dtype))

    def apply(self, op: str, operands: Iterable[Any], dtype: DType) -> np.ndarray:
        """What an instruction gives, ``dtype`` being that of its result."""
        given = (dtype,) if op in _GIVEN else ()
        return np.asarray(getattr(self, op)(*operands, *given))

    def const(self, number: Any, dtype: DType) -> np.ndarray:
        return np.asarray(number, dtype.numpy)

    def dtype(self, x: Any) -> DType:
        return dtype_of(np.asarray(x).dtype)


def _with_numbers(args: tuple[Any, ...]) -> list[np.ndarray]:
    """Python numbers take the dtype of the arrays beside them."""
    dtype = next((a.dtype for a in reversed(args) if isinstance(a, (np.ndarray, np.generic))), None)
    return [a if isinstance(a, np.ndarray) else np.asarray(a, None if isinstance(a, np.generic) else dtype) for a in args]


NUMPY = NumpyScalars()
