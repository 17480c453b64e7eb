"""Emission of a scheduled loop nest: maps, reductions and their epilogues, scatters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod

from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.loops.addresses import condition_along
from leptonc.codegen.loops.folds import FoldEmitter
from leptonc.codegen.loops.linear import LinearStage
from leptonc.codegen.loops.schedule import Nest
from leptonc.ir.kernel import Axis

WRITTEN_OUT = 8  # vectors of a scatter's row


class NestEmitter(FoldEmitter):
    """Emits one stage: its loops, and all there is at a point."""

    def __init__(self, e: Emitter, stage: LinearStage, nest: Nest, pointers: dict[str, str], ivs: dict[str, str]):
        super().__init__(e, stage, nest, pointers, ivs)
        self._jammed: tuple[Axis, str, int] | None = None  # points that are taken together: their axis, the first, how many

    # Loops

    def emit(self, begin: str, end: str) -> None:
        """The whole nest, for the parallel items ``begin`` to ``end``."""
        if prod(a.extent for a in self.stage.map_axes) == 0:
            return
        if not self.nest.parallel and not self.nest.block:
            with self.e.when(self.e.let(f"icmp slt i64 {begin}, {end}", "any")):
                self._ready()
                self._loops(self.nest.loops, None)
            return
        with self.e.loop("item", begin, end) as item, self._scope():
            block = self._decode(item)
            self._ready()
            self._loops(self.nest.loops, block)

    def emit_inner(self) -> None:
        """The whole nest at one point of the kernel's outer axes."""
        if prod(a.extent for a in self.stage.map_axes) == 0:
            return
        with self._scope():
            self._ready()
            self._loops(self.nest.loops, None)

    def _decode(self, item: str) -> str | None:
        """Open the parallel axes of a flat item number; returns the number of the vector axis' block."""
        e, nest = self.e, self.nest
        block = None
        if nest.block and nest.vector:
            blocks = -(-nest.vector.extent // nest.block)
            block = item if not nest.parallel else e.let(f"urem i64 {item}, {blocks}", "block")
            item = item if not nest.parallel else e.let(f"udiv i64 {item}, {blocks}", "item")
        for n, axis in reversed(list(enumerate(nest.parallel))):
            last = n == 0
            self.space.ivs[axis.name] = item if last else e.let(f"urem i64 {item}, {axis.extent}", axis.name)
            self.addresses.enter(axis.name)
            item = item if last else e.let(f"udiv i64 {item}, {axis.extent}", "item")
        return block

    def _loops(self, loops: tuple[Axis, ...], block: str | None) -> None:
        if len(loops) == 1 and self.nest.jam > 1:
            self._jammed_loop(loops[0], block)
        elif loops:
            with self.e.loop(loops[0].name, "0", str(loops[0].extent)) as iv, self._axis(loops[0], iv):
                self._ready()
                self._loops(loops[1:], block)
        elif self.nest.vector is not None and not self.nest.vector.reduce:
            with self._where_stored(self.nest.vector):
                self._vector_loop(self.nest.vector, block)
        else:
            self._point()

    @contextmanager
    def _where_stored(self, vector: Axis) -> Iterator[None]:
        """All of the vector axis at once is left out where the only store's condition, the same along it, does not hold."""
        only = len(self.stage.stores) == 1 and not self.stage.reduces
        condition = condition_along(self.addresses, ("store", 0), vector.name, self.values) if only else None
        if condition is None:
            yield
            return
        self._inside = True
        with self.e.when(condition, "inside"), self._scope():
            yield
        self._inside = False

    def _jammed_loop(self, axis: Axis, block: str | None) -> None:
        """``jam`` points of an axis together, and those that are left over."""
        step, vector = self.nest.jam, self.nest.vector
        main = axis.extent // step * step
        assert vector is not None
        for start, stop, count in ((0, main, step), (main, axis.extent, axis.extent - main)):
            if start < stop:
                with self.e.loop(axis.name, str(start), str(stop), step) as iv:
                    self._jammed = (axis, iv, count)
                    self._vector_loop(vector, block)
        self._jammed = None

    def _vector_loop(self, axis: Axis, block: str | None) -> None:
        e, lanes = self.e, self.nest.lanes
        main = axis.extent // lanes * lanes
        start, stop = "0", str(main)
        if block is not None:
            start = e.mul(block, str(self.nest.block))
            limit = e.add(start, str(self.nest.block))
            stop = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {limit}, i64 {main}", "stop")
        few = self._written_out(axis)
        for at in range(0, few, lanes):
            with self._axis(axis, e.add(start, str(at)), lanes):
                self._ready()
                self._point()
        if main and not few:
            with e.loop(axis.name, start, stop, lanes) as iv, self._axis(axis, iv, lanes):
                self._ready()
                self._point()
        if main < axis.extent:
            self._tail(axis, main, block)

    def _written_out(self, axis: Axis) -> int:
        """Points of a scatter's rows, or of its blocks of them, if they are few whole vectors: no loop within the one over rows."""
        points = self.nest.block or axis.extent
        whole = points % self.nest.lanes == 0 and axis.extent % points == 0
        return points if self._inside and whole and points <= WRITTEN_OUT * self.nest.lanes else 0

    def _tail(self, axis: Axis, start: int, block: str | None) -> None:
        """The last ``extent - start`` points in ever narrower vectors; only the last block has them."""
        if block is None:
            self._tail_points(axis, start)
            return
        last = (axis.extent - 1) // self.nest.block
        with self.e.when(self.e.let(f"icmp eq i64 {block}, {last}", "last")):
            self._tail_points(axis, start)

    def _tail_points(self, axis: Axis, start: int) -> None:
        lanes = self.nest.lanes // 2
        while start < axis.extent:
            if start + lanes <= axis.extent:
                with self._axis(axis, str(start), lanes):
                    self._ready()
                    self._point()
                start += lanes
            else:
                lanes //= 2

    # Points

    def _point(self) -> None:
        """All map axes are open: reduce, epilogue, stores."""
        if self._jammed is not None:
            self._jammed_points(*self._jammed)
            return
        with self._scope():
            if self.stage.reduces:
                self._reduce()
            self._epilogue()
