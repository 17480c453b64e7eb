"""Emission of a stage's instructions and stores at the points of open axes.

Each instruction is emitted in the outermost loop that it depends on, once; what does not vary along the vector axis stays scalar.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type
from leptonc.codegen.llvm.scalars import emit_scalar
from leptonc.codegen.loops.addresses import (
    Addresses,
    Reg,
    Space,
    element,
    index_value,
    load,
    store,
    store_interleaved,
    widen,
)
from leptonc.codegen.loops.linear import LinearStage, interleaved_stores
from leptonc.codegen.loops.neighbours import folded_insts
from leptonc.codegen.loops.schedule import Nest
from leptonc.codegen.loops.streams import AHEAD, Key
from leptonc.ir.kernel import Apply, Axis, AxisIndex, Const, Load, Reduce, operands
from leptonc.ir.types import DType, i64
from leptonc.lazy import cached_property


class PointEmitter:
    """Emits one stage. ``pointers`` maps buffer names to LLVM pointers; ``ivs`` holds the kernel's open outer axes."""

    def __init__(self, e: Emitter, stage: LinearStage, nest: Nest, pointers: dict[str, str], ivs: dict[str, str]):
        self.e = e
        self.stage = stage
        self.nest = nest
        self.pointers = pointers
        self.space = Space(e, dict(ivs), nest.vector.name if nest.vector else None, 1)
        accesses = {("load", n): a for n, a in stage.loads.items()}
        accesses |= {("store", n): a for n, a in enumerate(stage.targets)}
        self.addresses = Addresses(self.space, accesses)
        self.values: dict[int, Reg] = {}
        self.folding = frozenset(folded_insts(stage))  # emitted before or inside the reduce loops; all others after them
        self._inside = False  # whether the store's condition holds here
        for axis in ivs:
            self.addresses.enter(axis)

    @contextmanager
    def _scope(self) -> Iterator[None]:
        """What is emitted inside is forgotten after: it does not dominate what follows."""
        values, ivs = dict(self.values), dict(self.space.ivs)
        with self.addresses.scope():
            yield
        self.values, self.space.ivs = values, ivs

    @contextmanager
    def _open(self, points: Sequence[tuple[Axis, str]], lanes: int = 1) -> Iterator[None]:
        """Axes are open at given points; lanes > 1 makes one of them the vector axis."""
        saved = self.space.lanes
        with self._scope():
            for axis, iv in points:
                self.space.ivs[axis.name] = iv
                self.addresses.enter(axis.name)
            self.space.lanes = lanes if lanes > 1 else saved
            yield
        self.space.lanes = saved

    def _axis(self, axis: Axis, iv: str, lanes: int = 1) -> AbstractContextManager[None]:
        """``axis`` is open at ``iv``; lanes > 1 makes it the vector axis."""
        return self._open([(axis, iv)], lanes)

    @contextmanager
    def at(self, points: Sequence[tuple[Axis, str]], lanes: int = 1, epilogue: bool = False) -> Iterator[None]:
        """Axes open at given points (of the vector axis ``lanes``), and every instruction emitted that can be then."""
        with self._open(points, lanes):
            self._ready(epilogue)
            yield

    def epilogue_at(self, points: list[tuple[Axis, str]], lanes: int, reduced: dict[int, Reg]) -> None:
        """Epilogue and stores at given points of the map axes, the last of them the vector axis with ``lanes``."""
        with self._open(points, lanes):
            self.values.update(reduced)
            self._epilogue()

    def _epilogue(self) -> None:
        if self.stage.reduces:
            self._ready(epilogue=True)
        for group in self._interleaved if self.space.lanes > 1 else ():
            values = [self.values[self.stage.stores[n].value] for n in group]
            store_interleaved(self.addresses, group[0], self.pointers[self.stage.stores[group[0]].buffer], values)
        together = {n for group in self._interleaved for n in group} if self.space.lanes > 1 else set()
        for n, target in enumerate(self.stage.stores):
            if n in together:
                continue
            store(self.addresses, ("store", n), self.pointers[target.buffer], self.values[target.value],
                  target.by if target.accumulate else "set", self.values, self._inside)
            self._ask_ahead(("store", n), target.buffer, self.values[target.value].dtype)

    def _ask_ahead(self, key: Key, buffer: str, dtype: DType) -> None:
        """Have the line that an access comes to next but one brought into L1, if it is one that asks."""
        if key in self.nest.ahead:
            offset = self.addresses.offsets[key].plus(AHEAD // dtype.itemsize)
            self.e.prefetch(element(self.e, self.pointers[buffer], offset, dtype), write=key[0] == "store", near=True)

    @cached_property
    def _interleaved(self) -> tuple[tuple[int, ...], ...]:
        """Stores that fill every element along the vector axis together, each one of so many, in order: parts of complex numbers,
        results of a butterfly."""
        vector = self.nest.vector
        return () if vector is None or vector.reduce else interleaved_stores(self.stage, vector.name)

    def _ready(self, epilogue: bool = False) -> None:
        """Emit every instruction whose axes are open and which belongs to this part of the stage."""
        axes_of, after = self.stage.axes_of, self.stage.after_reduce
        has_reduces = bool(self.stage.reduces)
        for n, inst in enumerate(self.stage.insts):
            if n in self.values or isinstance(inst, Reduce):
                continue
            if has_reduces and not epilogue and n not in self.folding:
                continue
            if after[n] and not epilogue:
                continue
            if axes_of[n] <= self.space.ivs.keys() and all(k in self.values for k in operands(inst)):
                self.values[n] = self._inst(n)

    def _inst(self, n: int) -> Reg:
        inst, e = self.stage.insts[n], self.e
        match inst:
            case Const():
                return Reg(emit_const(inst.value, inst.dtype, 1), inst.dtype)
            case Load():
                self._ask_ahead(("load", n), inst.buffer, inst.dtype)
                return load(self.addresses, ("load", n), self.pointers[inst.buffer], inst.dtype, inst.pad, self.values)
            case AxisIndex():
                return self._axis_index(n, inst)
            case Apply():
                args = [self.values[k] for k in inst.args]
                lanes = max(a.lanes for a in args)
                names = [self._operand(k, lanes) for k in inst.args]
                return Reg(emit_scalar(e, inst.op, names, [a.dtype for a in args], inst.dtype, lanes), inst.dtype, lanes)
        raise AssertionError(inst)

    def _operand(self, n: int, lanes: int) -> str:
        inst = self.stage.insts[n]
        if isinstance(inst, Const):
            return emit_const(inst.value, inst.dtype, lanes)
        return widen(self.e, self.values[n], lanes)

    def _axis_index(self, n: int, inst: AxisIndex) -> Reg:
        index = self.stage.indices[n]
        varying = self.space.varies(index) or any(self.values[v].lanes > 1 for v, _ in index.values)
        lanes = self.space.lanes if varying else 1
        name = index_value(self.space, index, self.values, lanes)
        if index.div != 1:
            name = self.e.let(f"sdiv {llvm_type(i64, lanes)} {name}, {emit_const(index.div, i64, lanes)}", "div")
        if inst.dtype != i64:
            name = emit_scalar(self.e, "cast", [name], [i64], inst.dtype, lanes)
        return Reg(name, inst.dtype, lanes)
