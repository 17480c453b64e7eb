"""Building kernels: stages are recorded by the very functions that say what an op does to single elements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leptonc.errors import IRError
from leptonc.ir.kernel import (
    REDUCTIONS,
    Apply,
    Axis,
    AxisIndex,
    Const,
    Index,
    Inst,
    Kernel,
    Load,
    Param,
    Reduce,
    Result,
    Stage,
    Store,
)
from leptonc.ir.scalar import SCALARS, result_dtype
from leptonc.ir.types import DType, TensorType, bool_, i64


@dataclass(frozen=True)
class Scalar(Result):
    """Handle of an instruction under construction; the recorder is the handler ``s`` of elementwise bodies."""

    recorder: StageBuilder
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
        return Scalar(len(self.insts) - 1, self, inst.dtype)

    def load(self, buffer: Param, index: Sequence[Any] = (), pad: Any = None) -> Scalar:
        if len(index) != buffer.type.rank:
            raise IRError(f"{buffer.name} has rank {buffer.type.rank}, index has {len(index)}")
        return self._push(Load(buffer.name, tuple(Index.of(i) for i in index), buffer.type.dtype, pad))

    def store(self, buffer: Param, index: Sequence[Any], value: Scalar, *, accumulate: bool = False,
              masked: bool = False, by: str = "add") -> None:
        if len(index) != buffer.type.rank or value.dtype != buffer.type.dtype:
            raise IRError(f"store of {value.dtype} at {len(index)} indices into {buffer.name}: {buffer.type}")
        self.stores.append(Store(buffer.name, tuple(Index.of(i) for i in index), value.id, accumulate, masked, by))

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

    def from_bits(self, x: Scalar, dtype: DType) -> Scalar:
        return self._push(Apply("from_bits", (x.id,), dtype))

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
