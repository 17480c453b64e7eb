"""A nest that reads some operands along one axis and writes along another, in squares of registers.

Along the vector axis such an operand is strided: a gather of one element from each of as many cache lines. Read along the axis
where it is contiguous instead, a register's worth of rows is transposed in registers, and every line is touched once
(f32[512, 128]: 121 -> 7 us).
"""

from __future__ import annotations

from leptonc.codegen.llvm.emitter import llvm_type
from leptonc.codegen.loops.addresses import Reg, element, transposed
from leptonc.codegen.loops.nest import NestEmitter
from leptonc.codegen.loops.schedule import turned_loads
from leptonc.ir.kernel import Axis, Load


class SquaresEmitter(NestEmitter):
    """Emits a stage whose nest has a ``turned`` axis: an item has a register's worth of its points."""

    def emit(self, begin: str, end: str) -> None:
        """The whole nest, for the parallel items ``begin`` to ``end``."""
        turned, vector, e = self.nest.turned, self.nest.vector, self.e
        assert turned is not None and vector is not None
        lanes = self.nest.lanes
        with e.loop("item", begin, end) as item, self._scope():
            number, rest = e.digit(item, -(-turned.extent // lanes))
            self._decode(rest)
            self._ready()
            first = e.mul(number, str(lanes))
            if turned.extent % lanes == 0:
                self._squares(first, self.nest.loops)
                return
            whole = e.let(f"icmp slt i64 {number}, {turned.extent // lanes}", "whole")
            with e.when(whole, "squares"):
                self._squares(first, self.nest.loops)
            with e.when(e.let(f"xor i1 {whole}, true", "rest"), "rows"):
                self._rows(turned, str(turned.extent // lanes * lanes), self.nest.loops)

    def _squares(self, first: str, loops: tuple[Axis, ...]) -> None:
        """Points ``first`` and as many as a register has lanes of the turned axis, and all of the others."""
        turned, vector, lanes = self.nest.turned, self.nest.vector, self.nest.lanes
        assert turned is not None and vector is not None
        with self._scope():
            if loops:
                with self.e.loop(loops[0].name, "0", str(loops[0].extent)) as iv, self._axis(loops[0], iv):
                    self._ready()
                    self._squares(first, loops[1:])
                return
            main = vector.extent // lanes * lanes
            with self.e.loop(vector.name, "0", str(main), lanes) as iv:
                self._square(turned, first, vector, iv)
            if main < vector.extent:
                with self.e.loop(turned.name, first, self.e.add(first, str(lanes))) as at, self._axis(turned, at):
                    self._ready()
                    self._tail_points(vector, main)

    def _square(self, turned: Axis, first: str, vector: Axis, iv: str) -> None:
        columns = {n: self._columns(n, first, vector, iv) for n in turned_loads(self.stage, vector, turned.name)}
        for k in range(self.nest.lanes):
            with self._scope():
                self.values |= {n: found[k] for n, found in columns.items()}
                with self.at([(turned, self.e.add(first, str(k))), (vector, iv)], self.nest.lanes):
                    self._point()

    def _columns(self, n: int, first: str, vector: Axis, iv: str) -> list[Reg]:
        """What a load reads along the vector axis from ``iv`` on, at each of the points ``first`` ... of the turned axis."""
        e, lanes, inst = self.e, self.nest.lanes, self.stage.insts[n]
        assert isinstance(inst, Load)
        type_, stride = llvm_type(inst.dtype, lanes), self.stage.loads[n].stride(vector.name)
        start = self.addresses.offsets["load", n].with_register(e, e.mul(iv, str(stride))).with_register(e, first)
        rows = []
        for k in range(lanes):
            at = element(e, self.pointers[inst.buffer], start.plus(k * stride), inst.dtype)
            rows.append(e.let(f"load {type_}, ptr {at}, align {inst.dtype.itemsize}", "row"))
        return [Reg(name, inst.dtype, lanes) for name in transposed(e, rows, type_)]

    def _rows(self, turned: Axis, start: str, loops: tuple[Axis, ...]) -> None:
        """The last points of the turned axis, fewer than make a square, one by one."""
        with self.e.loop(turned.name, start, str(turned.extent)) as iv, self._axis(turned, iv):
            self._ready()
            self._loops(loops, None)

