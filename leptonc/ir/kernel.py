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

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from leptonc.errors import IRError
from leptonc.ir.graph import Literal, Loc
from leptonc.ir.scalar import SCALARS, result_dtype
from leptonc.ir.types import DType, TensorType, bool_, i64


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
        if isinstance(x, Scalar):
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
        return dict(self.axes).get(axis, 0)

    @property
    def is_constant(self) -> bool:
        return not self.axes and not self.values


def _merge(a: tuple[tuple[Any, int], ...], b: tuple[tuple[Any, int], ...]) -> tuple[tuple[Any, int], ...]:
    total = dict(a)
    for key, coeff in b:
        total[key] = total.get(key, 0) + coeff
    return tuple(sorted((k, c) for k, c in total.items() if c))


@dataclass(frozen=True)
class Load:
    """``buffer[index]``; ``pad`` (a number, or None: always in range) where out of range."""

    buffer: str
    index: tuple[Index, ...]
    dtype: DType
    pad: float | int | bool | None = None


@dataclass(frozen=True)
class Const:
    value: float | int | bool
    dtype: DType

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and self.dtype == other.dtype and self._bits == other._bits

    def __hash__(self) -> int:
        return hash((self._bits, self.dtype))

    @cached_property
    def _bits(self) -> bytes:
        return Literal.of(self.dtype.numpy.type(self.value)).data


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
    if dtype.is_float:
        return float("-inf") if low else float("inf")
    if dtype.is_bool:
        return not low
    info = np.iinfo(dtype.numpy)
    return int(info.min if low else info.max)


@dataclass(frozen=True)
class Store:
    """``buffer[index] = value`` or, accumulating, ``+=`` (points may then collide); ``masked`` drops out-of-range."""

    buffer: str
    index: tuple[Index, ...]
    value: int
    accumulate: bool = False
    masked: bool = False


@dataclass(frozen=True)
class Stage:
    axes: tuple[Axis, ...]
    insts: tuple[Inst, ...]
    stores: tuple[Store, ...]

    @property
    def map_axes(self) -> tuple[Axis, ...]:
        return tuple(a for a in self.axes if not a.reduce)

    @property
    def reduce_axes(self) -> tuple[Axis, ...]:
        return tuple(a for a in self.axes if a.reduce)

    @property
    def has_reduce(self) -> bool:
        return any(isinstance(i, Reduce) for i in self.insts)


@dataclass(frozen=True)
class Param:
    """A buffer parameter. Roles: "in" is read; "out" is written whole before it is read or left as ``init`` says;
    "inout" is read and written. ``init``: the number an out buffer is filled with before the first stage, or None
    when the stores cover every element."""

    name: str
    type: TensorType
    role: str = "in"
    init: float | int | bool | None = None


@dataclass(frozen=True)
class Kernel:
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

    def __str__(self) -> str:
        from leptonc.ir.text import print_kernel

        return print_kernel(self)


@dataclass(frozen=True)
class Buffer:
    """Storage of a Program. ``kind``: input | output | temp | constant. ``donated``: the input buffer whose memory
    an output takes. ``offset``: a temp's place in the arena (bytes), set by the memory planner. ``frozen``: an input that is the
    same at every call."""

    type: TensorType
    kind: str
    name: str = ""
    literal: Literal | None = None
    donated: int | None = None
    offset: int | None = None
    frozen: bool = False


@dataclass(frozen=True)
class Call:
    """One kernel on buffers: ``args[i]`` is the buffer bound to ``kernel.params[i]`` (same bytes, maybe reshaped)."""

    kernel: Kernel
    args: tuple[int, ...]
    loc: Loc | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Program:
    """Calls in order. ``inputs``/``outputs`` are buffer numbers in the order of the graph's."""

    name: str
    buffers: tuple[Buffer, ...]
    calls: tuple[Call, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    arena_bytes: int = 0

    def __str__(self) -> str:
        from leptonc.ir.text import print_program

        return print_program(self)


@dataclass(frozen=True)
class Scalar:
    """Handle of an instruction under construction; the recorder is the handler ``s`` of elementwise bodies."""

    recorder: StageBuilder
    id: int
    dtype: DType


class StageBuilder:
    """Records one stage. Also a scalar handler: ``s.add(x, y)``, ``s.select(c, a, b)``, ``s.cast(x, dtype)``."""

    def __init__(self, owner: KernelBuilder, axes: Sequence[Axis]):
        self.owner = owner
        self.axes = tuple(axes)
        self.insts: list[Inst] = []
        self.stores: list[Store] = []

    def _push(self, inst: Inst) -> Scalar:
        self.insts.append(inst)
        return Scalar(self, len(self.insts) - 1, inst.dtype)

    def load(self, buffer: Param, index: Sequence[Any] = (), pad: Any = None) -> Scalar:
        if len(index) != buffer.type.rank:
            raise IRError(f"{buffer.name} has rank {buffer.type.rank}, index has {len(index)}")
        return self._push(Load(buffer.name, tuple(Index.of(i) for i in index), buffer.type.dtype, pad))

    def store(self, buffer: Param, index: Sequence[Any], value: Scalar, *, accumulate: bool = False,
              masked: bool = False) -> None:
        if len(index) != buffer.type.rank or value.dtype != buffer.type.dtype:
            raise IRError(f"store of {value.dtype} at {len(index)} indices into {buffer.name}: {buffer.type}")
        self.stores.append(Store(buffer.name, tuple(Index.of(i) for i in index), value.id, accumulate, masked))

    def const(self, number: Any, dtype: DType) -> Scalar:
        return self._push(Const(dtype.numpy.type(number).item(), dtype))

    def index(self, index: Any, dtype: DType = i64) -> Scalar:
        return self._push(AxisIndex(Index.of(index), dtype))

    def reduce(self, kind: str, x: Scalar) -> Scalar:
        if kind not in REDUCTIONS:
            raise IRError(f"no reduction {kind!r}")
        dtype = {"argmax": i64, "argmin": i64, "any": bool_, "all": bool_}.get(kind, x.dtype)
        return self._push(Reduce(kind, x.id, dtype))

    def cast(self, x: Scalar, dtype: DType) -> Scalar:
        return x if x.dtype == dtype else self._push(Apply("cast", (x.id,), dtype))

    def dtype(self, x: Scalar) -> DType:
        return x.dtype

    def apply(self, op: str, *args: Any) -> Scalar:
        dtype = next(a.dtype for a in reversed(args) if isinstance(a, Scalar))
        scalars = [a if isinstance(a, Scalar) else self.const(a, dtype) for a in args]
        return self._push(Apply(op, tuple(a.id for a in scalars), result_dtype(op, tuple(a.dtype for a in scalars))))

    def __getattr__(self, name: str) -> Any:
        op = name.rstrip("_")
        if op not in SCALARS:
            raise AttributeError(name)
        return lambda *args: self.apply(op, *args)


class KernelBuilder:
    """Makes a Kernel: parameters first (operands, then results), then stages."""

    def __init__(self, name: str):
        self.name = name
        self.params: list[Param] = []
        self.locals: list[Param] = []
        self.outer: tuple[Axis, ...] = ()
        self.stages: list[StageBuilder] = []
        self._axis = 0

    def input(self, type: TensorType, name: str = "") -> Param:
        return self._param(Param(name or f"a{len(self.params)}", type, "in"))

    def output(self, type: TensorType, name: str = "", init: Any = None) -> Param:
        count = sum(p.role != "in" for p in self.params)
        return self._param(Param(name or f"r{count}", type, "out", init))

    def local(self, type: TensorType, name: str = "") -> Param:
        self.locals.append(Param(name or f"t{len(self.locals)}", type, "local"))
        return self.locals[-1]

    def _param(self, param: Param) -> Param:
        self.params.append(param)
        return param

    def axes(self, shape: Sequence[int], reduce: bool = False) -> list[Axis]:
        """Fresh axes of these extents, named i0, i1 ... (k0 ... for reduce axes)."""
        out = []
        for extent in shape:
            out.append(Axis(f"{'k' if reduce else 'i'}{self._axis}", int(extent), reduce))
            self._axis += 1
        return out

    def stage(self, axes: Sequence[Axis]) -> StageBuilder:
        self.stages.append(StageBuilder(self, axes))
        return self.stages[-1]

    def build(self) -> Kernel:
        stages = tuple(Stage(s.axes, tuple(s.insts), tuple(s.stores)) for s in self.stages)
        return Kernel(self.name, tuple(self.params), stages, self.outer, tuple(self.locals))


def divisors(extent: int) -> list[int]:
    """The numbers of points that an axis can be cut into pieces of, all alike."""
    return [n for n in range(1, extent + 1) if extent % n == 0]


def points(axes: Sequence[Axis]) -> int:
    """Number of points of a loop nest."""
    return prod(a.extent for a in axes)
