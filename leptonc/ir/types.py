"""Element types and tensor types: what every value of the IR is."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, prod

import numpy as np

from leptonc.bfloat16 import EIGHT_BITS, FORMATS, Format, is_low, low_float
from leptonc.errors import IRError, LeptonError
from leptonc.lazy import cached_property


@dataclass(frozen=True, eq=False)
class DType:
    """An element type. ``kind`` is NumPy's letter: b(ool), u(nsigned), i(nteger), f(loat), c(omplex). There is one object of each,
    so that they are compared and hashed, which happens for each instruction in every pass, as what they are."""

    name: str
    kind: str
    bits: int

    def __reduce__(self) -> tuple[Callable[[str], DType], tuple[str]]:
        return dtype_of, (self.name,)

    @cached_property
    def numpy(self) -> np.dtype:
        """The NumPy dtype of the same values; a bool is one byte."""
        if self.name in LOW:
            return low_float(LOW[self.name])
        return np.dtype("bool" if self.kind == "b" else f"{self.kind}{self.bits // 8}")

    @property
    def itemsize(self) -> int:
        """Bytes per element."""
        return self.bits // 8

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def is_inexact(self) -> bool:
        """Whether it is a float or complex: what has derivatives."""
        return self.kind in "fc"

    @property
    def real(self) -> DType:
        """The float type of a complex number's two parts; of any other type itself."""
        return {"c64": f32, "c128": f64}[self.name] if self.kind == "c" else self

    @property
    def complex(self) -> DType:
        """The complex type with two parts of this float type; a complex type itself."""
        return {"f32": c64, "f64": c128}.get(self.name, self)

    @property
    def is_narrow(self) -> bool:
        """Whether it is a float of 16 bits or 8: one that is stored, and computed with as f32."""
        return self.kind == "f" and self.bits <= 16

    @property
    def greatest(self) -> float:
        """The greatest finite number of a float type, or of a part of a complex one."""
        return self.format.greatest if self.name in LOW else float(np.finfo(self.numpy).max)

    @property
    def format(self) -> Format:
        """Of bf16 and the floats of 8 bits."""
        return FORMATS[LOW[self.name]]

    @property
    def is_int(self) -> bool:
        return self.kind in "iu"

    @property
    def is_bool(self) -> bool:
        return self.kind == "b"

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


bool_ = DType("bool", "b", 8)
u8 = DType("u8", "u", 8)
u16 = DType("u16", "u", 16)
u32 = DType("u32", "u", 32)
u64 = DType("u64", "u", 64)
i8 = DType("i8", "i", 8)
i16 = DType("i16", "i", 16)
i32 = DType("i32", "i", 32)
i64 = DType("i64", "i", 64)
f16 = DType("f16", "f", 16)
bf16 = DType("bf16", "f", 16)
f32 = DType("f32", "f", 32)
f64 = DType("f64", "f", 64)
c64 = DType("c64", "c", 64)
c128 = DType("c128", "c", 128)

LOW = {"bf16": "bfloat16", **{name.replace("loat", ""): name for name in EIGHT_BITS}}
"""Types whose NumPy dtypes are those of ml_dtypes, which may not be installed, by name: f8_e4m3fn ..."""
FLOATS8 = tuple(DType(name, "f", 8) for name in LOW if name != "bf16")

DTYPES = {t.name: t for t in (bool_, u8, u16, u32, u64, i8, i16, i32, i64, f16, bf16, f32, f64, c64, c128, *FLOATS8)}
REALS = {name: t for name, t in DTYPES.items() if not t.is_complex}
"""What kernels compute with, and load and store."""
_BY_NUMPY = {t.numpy: t for t in DTYPES.values() if t.name not in LOW}
_BY_LOW_NAME = {name: DTYPES[short] for short, name in LOW.items()}


def dtype_of(dtype: object) -> DType:
    """The DType for a DType, its name, or anything ``np.dtype`` takes.

    Raises LeptonError for a dtype that leptonc has no code for (datetime, object ...).
    """
    if isinstance(dtype, DType):
        return dtype
    if isinstance(dtype, np.dtype) and (native := _BY_NUMPY.get(dtype)) is not None:
        return native
    if isinstance(dtype, str) and dtype in DTYPES:
        return DTYPES[dtype]
    if isinstance(dtype, str) and dtype in _BY_LOW_NAME:
        return _BY_LOW_NAME[dtype]
    given: np.dtype = np.dtype(dtype)  # type: ignore[call-overload]
    found = _BY_LOW_NAME[given.name] if is_low(given) else _BY_NUMPY.get(given.newbyteorder("="))
    if found is None:
        raise LeptonError(f"dtype {given} is not supported; use one of {', '.join(DTYPES)}")
    return found


@dataclass(frozen=True)
class TensorType:
    """A shape and an element type; ``str`` gives ``f32[2,3]``."""

    shape: tuple[int, ...]
    dtype: DType

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def with_shape(self, shape: tuple[int, ...]) -> TensorType:
        return TensorType(tuple(int(d) for d in shape), self.dtype)

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(self.shape, dtype)

    @property
    def in_reals(self) -> TensorType:
        """How an array of complex numbers lies in memory: as reals, the two parts of each along a last axis; others as they are."""
        return TensorType((*self.shape, 2), self.dtype.real) if self.dtype.is_complex else self

    def __str__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"

    __repr__ = __str__


def in_reals(array: np.ndarray) -> np.ndarray:
    """Complex numbers as reals, the parts of each along a last axis; another array as it is."""
    if array.dtype.kind != "c":
        return array
    return np.ascontiguousarray(array).reshape(-1).view(array.real.dtype).reshape(*array.shape, 2)


def out_of_reals(array: np.ndarray, type: TensorType) -> np.ndarray:
    """The elements of a buffer as an array of its type."""
    whole = np.ascontiguousarray(array).reshape(-1)
    return (whole.view(type.dtype.numpy) if type.dtype.is_complex else whole).reshape(type.shape)


MOST_BYTES = 1 << 47  # of a tensor: what a process can address
MOST_DIMENSIONS = 64  # as NumPy


def is_addressable(shape: tuple[int, ...], dtype: DType) -> bool:
    """Whether an array of that shape may exist: extents, and the bytes of those that are not 0, are within bounds."""
    if len(shape) > MOST_DIMENSIONS or any(n < 0 for n in shape):
        return False
    return prod(max(n, 1) for n in shape) * dtype.itemsize <= MOST_BYTES


def is_element(number: object, dtype: DType) -> bool:
    """Whether a Python number is an element of a dtype; a float may be rounded to one, but not to infinity."""
    if dtype.is_bool or isinstance(number, bool):
        return dtype.is_bool and isinstance(number, bool)
    if dtype.is_int:
        info = np.iinfo(dtype.numpy)
        return isinstance(number, int) and int(info.min) <= number <= int(info.max)
    if not isinstance(number, int | float):
        return False
    return not isfinite(number) or abs(number) <= dtype.greatest


_TYPE_TEXT = re.compile(r"([a-z0-9_]+)\[((?:[0-9]{1,18}(?:, *[0-9]{1,18})*)?)\]\Z")


def parse_type(text: str) -> TensorType:
    """``f32[2,3]`` -> TensorType. Raises IRError for anything else."""
    match = _TYPE_TEXT.match(text.strip())
    if not match or match[1] not in DTYPES:
        raise IRError(f"{text!r:.60} is no tensor type; expected something like f32[2,3], dtype one of {', '.join(DTYPES)}")
    return TensorType(tuple(int(d) for d in match[2].split(",") if d), DTYPES[match[1]])


def type_of_array(array: np.ndarray) -> TensorType:
    return TensorType(array.shape, dtype_of(array.dtype))
