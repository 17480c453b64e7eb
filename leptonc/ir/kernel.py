"""The second level of the IR: Programs of Kernels over buffers. It says WHAT each loop nest computes, never how.

A Kernel is a function of buffer parameters. For every point of its ``outer`` axes (in any order, in parallel) its
``stages`` run one after the other; ``locals`` are buffers private to one outer point. A Stage is a loop nest:

* ``axes``: map axes and reduce axes, each with an extent;
* ``insts``: straight-line scalar code. Instructions before a Reduce run at every point of all axes, a Reduce folds
  its operand over ALL reduce axes of the stage (row-major order of the reduce axes), and what depends on a Reduce
  (the epilogue) runs once per point of the map axes. Loads whose index uses no reduce axis may stand in either part;
* ``stores``: at map points (the stage has Reduces) or at all points (it has none), affine, perhaps accumulating.

Index arithmetic: each dimension of an access is ``(sum(coeff*axis) + sum(coeff*value) + offset) / div``. ``axis`` is an
axis name of the stage or of the outer axes; ``value`` the number of an earlier integer instruction of the stage.
A load with a ``pad`` reads the pad value where any dimension is outside [0, extent) or does not divide evenly: that is
convolution padding, and with div, transposed convolution. A store with ``masked`` drops what is out of range.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, Self

import numpy as np

from leptonc.errors import IRError
from leptonc.ir.graph import Literal, Loc
from leptonc.ir.printing import Printed
from leptonc.ir.types import DType, TensorType, i64
from leptonc.lazy import cached_property, hashed_once


@dataclass(frozen=True)
class Axis:
    """A loop. ``reduce`` axes are folded by the stage's Reduces."""

    name: str
    extent: int
    reduce: bool = False

    def __add__(self, other: Any) -> Index:
        return Index.of(self) + other

    __radd__ = __add__

    def __sub__(self, other: Any) -> Index:
        return Index.of(self) - other

    def __rsub__(self, other: Any) -> Index:
        return Index.of(self) * -1 + other

    def __mul__(self, factor: int) -> Index:
        return Index.of(self) * factor

    __rmul__ = __mul__


@dataclass(frozen=True)
class Result:
    """What an instruction gives, by its number."""

    id: int


@dataclass(frozen=True)
class Index:
    """One dimension of an access: affine in axes and earlier integer values, then divided by ``div``."""

    axes: tuple[tuple[str, int], ...] = ()
    offset: int = 0
    values: tuple[tuple[int, int], ...] = ()
    div: int = 1

    @staticmethod
    def of(x: Any) -> Index:
        if isinstance(x, Index):
            return x
        if isinstance(x, Axis):
            return Index(((x.name, 1),))
        if isinstance(x, Result):
            return Index(values=((x.id, 1),))
        return Index(offset=int(x))

    def __add__(self, other: Any) -> Index:
        other = Index.of(other)
        if self.div != 1 or other.div != 1:
            raise IRError("an index is divided last")
        return Index(_merge(self.axes, other.axes), self.offset + other.offset, _merge(self.values, other.values))

    __radd__ = __add__

    def __sub__(self, other: Any) -> Index:
        return self + Index.of(other) * -1

    def __rsub__(self, other: Any) -> Index:
        return self * -1 + other

    def __mul__(self, factor: int) -> Index:
        if self.div != 1:
            raise IRError("an index is divided last")
        return Index(tuple((a, c * factor) for a, c in self.axes if factor), self.offset * factor,
                     tuple((v, c * factor) for v, c in self.values if factor))

    __rmul__ = __mul__

    def exact_div(self, div: int) -> Index:
        """This index over ``div``; where it does not divide, the access is out of range."""
        return Index(self.axes, self.offset, self.values, self.div * div)

    def coeff(self, axis: str) -> int:
        for name, coeff in self.axes:
            if name == axis:
                return coeff
        return 0

    def renumbered(self, number: Mapping[int, int]) -> Index:
        """With other numbers of instructions, of which two may be one."""
        if not self.values:
            return self
        return Index(self.axes, self.offset, _merge((), tuple((number[v], c) for v, c in self.values)), self.div)

    @property
    def is_constant(self) -> bool:
        return not self.axes and not self.values


def _merge(a: tuple[tuple[Any, int], ...], b: tuple[tuple[Any, int], ...]) -> tuple[tuple[Any, int], ...]:
    total = dict(a)
    for key, coeff in b:
        total[key] = total.get(key, 0) + coeff
    return tuple(sorted((k, c) for k, c in total.items() if c))


def number_bits(number: float | int | bool | None, dtype: DType) -> bytes | str | None:
    """A number as an element of a dtype, by its bits: NaN is itself, 0.0 is not -0.0, 1 is 1.0. What is no element is its text."""
    if number is None:
        return None
    try:
        with np.errstate(over="ignore"):
            return Literal.of(dtype.numpy.type(number)).data
    except (ValueError, OverflowError, TypeError):
        return repr(number)


@dataclass(frozen=True)
class Load:
    """``buffer[index]``; ``pad`` (a number, or None: always in range) where out of range. Pads are compared by their bits."""

    buffer: str
    index: tuple[Index, ...]
    dtype: DType
    pad: float | int | bool | None = None

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, Load) and self.buffer == other.buffer and self.index == other.index
                and self.dtype == other.dtype and self._bits == other._bits)

    def __hash__(self) -> int:
        return hash((self.buffer, self.index, self._bits))

    @cached_property
    def _bits(self) -> bytes | str | None:
        return None if self.pad is None else number_bits(self.pad, self.dtype)


@dataclass(frozen=True)
class Const:
    value: float | int | bool
    dtype: DType

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and self.dtype == other.dtype and self._bits == other._bits

    def __hash__(self) -> int:
        return hash((self._bits, self.dtype))

    @cached_property
    def _bits(self) -> bytes | str | None:
        return number_bits(self.value, self.dtype)


@dataclass(frozen=True)
class AxisIndex:
    """The value of an index expression as a number (iota, masks)."""

    index: Index
    dtype: DType = i64


@dataclass(frozen=True)
class Apply:
    """A scalar opcode of ``ir.scalar.SCALARS``, or "cast"; ``args`` are numbers of earlier instructions."""

    op: str
    args: tuple[int, ...]
    dtype: DType


REDUCTIONS = ("sum", "prod", "max", "min", "argmax", "argmin", "any", "all", "or")


@dataclass(frozen=True)
class Reduce:
    """Folds ``arg`` over the stage's reduce axes. argmax/argmin give the row-major index (i64) of the first extreme
    (first NaN if any) over the reduce axes; "or" joins the bits of integers. Over no points: sum 0, prod 1, any False, all True,
    or 0, max -inf/lowest."""

    kind: str
    arg: int
    dtype: DType


Inst = Load | Const | AxisIndex | Apply | Reduce


def operands(inst: Inst) -> tuple[int, ...]:
    """Numbers of the instructions an instruction reads, index values included."""
    match inst:
        case Apply():
            return inst.args
        case Reduce():
            return (inst.arg,)
        case Load():
            return tuple(v for index in inst.index for v, _ in index.values)
        case AxisIndex():
            return tuple(v for v, _ in inst.index.values)
    return ()


def reduction_identity(kind: str, dtype: DType) -> float | int | bool:
    """What a reduction over no points gives."""
    if kind in ("sum", "prod", "any", "all", "or"):
        return {"sum": 0, "prod": 1, "any": False, "all": True, "or": 0}[kind]
    low = kind in ("max", "argmax")
    if dtype.is_inexact:
        return float("-inf") if low else float("inf")
    if dtype.is_bool:
        return not low
    info = np.iinfo(dtype.numpy)
    return int(info.min if low else info.max)


COMBINATIONS = ("add", "mul", "max", "min", "set")


@dataclass(frozen=True)
class Store:
    """``buffer[index] = value`` or, accumulating, ``+=`` (points may then collide); ``masked`` drops out-of-range.

    ``by``: what an accumulating store makes of the element there and the value: their sum, product, maximum, minimum (of bools or,
    and, or, and), or the value alone ("set"): that of the last point, in row-major order of the stage's axes, stays.
    """

    buffer: str
    index: tuple[Index, ...]
    value: int
    accumulate: bool = False
    masked: bool = False
    by: str = "add"

    @property
    def ordered(self) -> bool:
        """Whether it matters in which order points meet, rounding apart."""
        return self.accumulate and self.by == "set"


@hashed_once
@dataclass(frozen=True)
class Stage:
    axes: tuple[Axis, ...]
    insts: tuple[Inst, ...]
    stores: tuple[Store, ...]

    @cached_property
    def map_axes(self) -> tuple[Axis, ...]:
        return tuple(a for a in self.axes if not a.reduce)

    @cached_property
    def reduce_axes(self) -> tuple[Axis, ...]:
        return tuple(a for a in self.axes if a.reduce)

    @cached_property
    def has_reduce(self) -> bool:
        return any(isinstance(i, Reduce) for i in self.insts)

    @cached_property
    def loads(self) -> dict[str, list[int]]:
        """The numbers of the instructions that load from each buffer."""
        found: dict[str, list[int]] = {}
        for n, inst in enumerate(self.insts):
            if isinstance(inst, Load):
                found.setdefault(inst.buffer, []).append(n)
        return found

    @cached_property
    def numbers(self) -> dict[Inst, int]:
        """Where each instruction stands; the last of equal ones."""
        return {inst: n for n, inst in enumerate(self.insts)}

    @cached_property
    def is_distinct(self) -> bool:
        """Whether no two instructions are equal."""
        return len(self.numbers) == len(self.insts)


@dataclass(frozen=True)
class Param:
    """A buffer parameter. Roles: "in" is read; "out" is written whole before it is read or left as ``init`` says;
    "inout" is read and written. ``init``: the number an out buffer is filled with before the first stage, or None
    when the stores cover every element."""

    name: str
    type: TensorType
    role: str = "in"
    init: float | int | bool | None = None

    def __eq__(self, other: object) -> bool:
        return (isinstance(other, Param) and self.name == other.name and self.type == other.type and self.role == other.role
                and self._bits == other._bits)

    def __hash__(self) -> int:
        return hash((self.name, self.type, self.role, self._bits))

    @cached_property
    def _bits(self) -> bytes | str | None:
        return None if self.init is None else number_bits(self.init, self.type.dtype)


@hashed_once
@dataclass(frozen=True)
class Kernel(Printed):
    name: str
    params: tuple[Param, ...]
    stages: tuple[Stage, ...]
    outer: tuple[Axis, ...] = ()
    locals: tuple[Param, ...] = ()

    @property
    def inputs(self) -> tuple[Param, ...]:
        return tuple(p for p in self.params if p.role == "in")

    @property
    def outputs(self) -> tuple[Param, ...]:
        return tuple(p for p in self.params if p.role != "in")

    def buffer(self, name: str) -> Param:
        return next(p for p in (*self.params, *self.locals) if p.name == name)


@dataclass(frozen=True)
class Opaque(Kernel):
    """A kernel without stages: it may read all of what it reads, and writes all of what it writes."""

    def with_names(self, names: Mapping[str, str]) -> Self:
        """With other names for its parameters."""
        return replace(self, params=tuple(replace(p, name=names.get(p.name, p.name)) for p in self.params))


@dataclass(frozen=True)
class RowKernel(Opaque):
    """An opaque kernel of rows: its operands are [outer, n, inner], rows along n."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """outer, n, inner."""
        outer, n, inner = self.params[0].type.shape
        return outer, n, inner

    def run(self, env: dict[str, np.ndarray]) -> None:
        """On arrays by parameter name; the results are written into theirs."""
        raise NotImplementedError

    def faults(self) -> Iterator[str]:
        """What is wrong with it, whatever program it is in."""
        if len({p.name for p in self.params}) < len(self.params) or self.stages or self.outer or self.locals:
            yield "its parameters have names of their own, and it has no stages"
        if any(p.role not in ("in", "out") or p.init is not None for p in self.params):
            yield "its parameters are read or written, and have no initial values"


@dataclass(frozen=True)
class Buffer:
    """Storage of a Program. ``kind``: input | output | temp | constant. ``donated``: the input buffer whose memory an output
    takes, or a temp on the way to that output. ``offset``: a temp's place in the arena (bytes), set by the memory planner.
    ``frozen``: an input that is the same at every call."""

    type: TensorType
    kind: str
    name: str = ""
    literal: Literal | None = None
    donated: int | None = None
    offset: int | None = None
    frozen: bool = False

    @property
    def is_placed(self) -> bool:
        """Whether the memory planner has to find a place for it."""
        return self.kind == "temp" and self.donated is None


@dataclass(frozen=True)
class Call:
    """One kernel on buffers: ``args[i]`` is the buffer bound to ``kernel.params[i]`` (same bytes, maybe reshaped)."""

    kernel: Kernel
    args: tuple[int, ...]
    loc: Loc | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Program(Printed):
    """Calls in order. ``inputs``/``outputs`` are buffer numbers in the order of the graph's."""

    name: str
    buffers: tuple[Buffer, ...]
    calls: tuple[Call, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    arena_bytes: int = 0


def divisors(extent: int) -> list[int]:
    """The numbers of points that an axis can be cut into pieces of, all alike."""
    return [n for n in range(1, extent + 1) if extent % n == 0]


def points(axes: Sequence[Axis]) -> int:
    """Number of points of a loop nest."""
    return prod(a.extent for a in axes)
