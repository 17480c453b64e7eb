"""What follows the sums of a contraction: its epilogue and stores, from registers, row by row from memory, or transposed."""

from __future__ import annotations

from collections.abc import Sequence

from leptonc.codegen.contraction.plan import Contraction
from leptonc.codegen.contraction.tile import Tile
from leptonc.codegen.llvm.emitter import Emitter, llvm_type
from leptonc.codegen.loops.addresses import Reg, transposed
from leptonc.codegen.loops.nest import NestEmitter
from leptonc.codegen.loops.schedule import Nest

Span = tuple[str, str]  # first and last+1


class Epilogue:
    """Emits the epilogue of results of one contraction. ``pointers``: of the kernel's buffers; ``ivs`` has the kernel's open outer
    axes, and those of the contraction once they are."""

    def __init__(self, e: Emitter, plan: Contraction, pointers: dict[str, str], ivs: dict[str, str]):
        self.e, self.plan, self.ivs = e, plan, ivs
        nest = Nest((), (), plan.row if plan.transposed else plan.col, plan.lanes, 0, plan.fold, False)
        self.nest = NestEmitter(e, plan.stage, nest, pointers, ivs)

    def of_item(self, insts: Sequence[int]) -> dict[int, Reg]:
        """What instructions that vary along no axis of a tile, and are made of no sum, give in this item."""
        with self.nest.at([(axis, self.ivs[axis.name]) for axis in self.plan.outer], epilogue=True):
            return {n: self.nest.values[n] for n in insts}

    def of_registers(self, tile: Tile, row_tile: str, col_tile: str, state: list[str]) -> None:
        """A whole tile from its accumulators, row-major."""
        row0 = self.e.mul(row_tile, str(self.plan.rows))
        for row in range(tile.rows):
            self._row(tile, self.e.add(row0, str(row)), col_tile, state[row * tile.vectors:(row + 1) * tile.vectors])

    def of_memory(self, tile: Tile, row_tile: str, col_tile: str, sums: str) -> None:
        """Row by row of a tile whose sums lie at ``sums``."""
        with self.e.loop("r", "0", str(tile.rows)) as r:
            self.row_of_memory(tile, r, row_tile, col_tile, sums)

    def row_of_memory(self, tile: Tile, r: str, row_tile: str, col_tile: str, sums: str) -> None:
        """Row ``r`` of such a tile."""
        e, plan = self.e, self.plan
        scalar, vector = llvm_type(plan.dtype), llvm_type(plan.dtype, plan.lanes)
        line = e.mul(r, str(plan.width))
        accumulators = []
        for v in range(tile.vectors):
            at = e.at(scalar, sums, e.add(line, str(v * plan.lanes)))
            accumulators.append(e.let(f"load {vector}, ptr {at}, align {plan.dtype.itemsize}", "acc"))
        self._row(tile, e.add(e.mul(row_tile, str(plan.rows)), r), col_tile, accumulators)

    def _row(self, tile: Tile, row: str, col_tile: str, accumulators: list[str]) -> None:
        """One row of a tile; a partial vector goes in power-of-two pieces."""
        e, plan = self.e, self.plan
        col0 = e.mul(col_tile, str(plan.width))
        for v, accumulator in enumerate(accumulators):
            valid = min(plan.lanes, tile.cols - v * plan.lanes)
            start, piece = 0, plan.lanes
            while start < valid:
                if start + piece > valid:
                    piece //= 2
                    continue
                value = _part(e, accumulator, llvm_type(plan.dtype), plan.lanes, start, piece)
                col = e.add(col0, str(v * plan.lanes + start))
                self._point(row, col, piece, Reg(value, plan.dtype, piece))
                start += piece

    def _point(self, row: str, col: str, lanes: int, value: Reg) -> None:
        """Results along the nest's vector axis from (row, col) on."""
        points = [(axis, self.ivs[axis.name]) for axis in self.plan.outer]
        self.nest.epilogue_at([*points, (self.plan.row, row), (self.plan.col, col)], lanes, {self.plan.reduce: value})

    # In vectors along the rows

    def transposed(self, rows: Span, cols: Span, scratch: str) -> None:
        """The tiles of a local tile at ``scratch``: squares of it are transposed, what is left over goes singly."""
        e, plan = self.e, self.plan
        first_row, count = self._extent(rows, plan.rows, plan.row.extent)
        with e.loop("transposed", *cols) as col_tile:
            column = e.let(f"sub nsw i64 {col_tile}, {cols[0]}", "c")
            offset = e.mul(column, str(plan.row_block * plan.rows * plan.width))
            tiles = e.held(e.at(llvm_type(plan.dtype), scratch, offset, "tiles"), "ptr")
            first_col = e.held(e.mul(col_tile, str(plan.width)))
            left = e.let(f"sub nsw i64 {plan.col.extent}, {first_col}", "left")
            width = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {left}, i64 {plan.width}", "width")
            whole = [e.mul(e.let(f"udiv i64 {x}, {plan.lanes}", "whole"), str(plan.lanes)) for x in (count, width)]
            with e.loop("c", "0", whole[1], plan.lanes) as c:
                start = e.held(c)
                with e.loop("r", "0", whole[0], plan.lanes) as r:
                    self._square(tiles, r, start, first_row, first_col)
            with e.loop("c", whole[1], width) as c, e.loop("r", "0", whole[0]) as r:
                self._single(tiles, r, c, first_row, first_col)
            with e.loop("r", whole[0], count) as r, e.loop("c", "0", width) as c:
                self._single(tiles, r, c, first_row, first_col)

    def _extent(self, tiles: Span, size: int, extent: int) -> Span:
        """First element of an item along one side, and how many there are."""
        e = self.e
        start, stop = e.held(e.mul(tiles[0], str(size))), e.mul(tiles[1], str(size))
        stop = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {stop}, i64 {extent}", "stop")
        return start, e.let(f"sub nsw i64 {stop}, {start}", "count")

    def _sum_at(self, tiles: str, r: str, c: str) -> str:
        offset = self.e.add(self.e.mul(r, str(self.plan.width)), c)
        return self.e.at(llvm_type(self.plan.dtype), tiles, offset, "local")

    def _square(self, tiles: str, r: str, c: str, first_row: str, first_col: str) -> None:
        e, plan = self.e, self.plan
        vector = llvm_type(plan.dtype, plan.lanes)
        lines = [e.let(f"load {vector}, ptr {self._sum_at(tiles, e.add(r, str(k)), c)}, align {plan.dtype.itemsize}", "line")
                 for k in range(plan.lanes)]
        for k, value in enumerate(transposed(e, lines, vector)):
            col = e.add(first_col, e.add(c, str(k)))
            self._point(e.add(first_row, r), col, plan.lanes, Reg(value, plan.dtype, plan.lanes))

    def _single(self, tiles: str, r: str, c: str, first_row: str, first_col: str) -> None:
        e, plan = self.e, self.plan
        value = e.let(f"load {llvm_type(plan.dtype)}, ptr {self._sum_at(tiles, r, c)}, align {plan.dtype.itemsize}", "x")
        self._point(e.add(first_row, r), e.add(first_col, c), 1, Reg(value, plan.dtype))


def _part(e: Emitter, vector: str, scalar: str, lanes: int, start: int, count: int) -> str:
    """``count`` lanes of a vector register from ``start``."""
    if count == lanes:
        return vector
    if count == 1:
        return e.let(f"extractelement <{lanes} x {scalar}> {vector}, i64 {start}", "part")
    mask = f"<{count} x i32> <" + ", ".join(f"i32 {start + k}" for k in range(count)) + ">"
    return e.let(f"shufflevector <{lanes} x {scalar}> {vector}, <{lanes} x {scalar}> poison, {mask}", "part")
