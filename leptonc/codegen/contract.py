"""Emission of a scheduled contraction: items, tiles, blocks of the fold, and the epilogue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from leptonc.codegen.contraction import Contraction, Side
from leptonc.codegen.emitter import Emitter, llvm_type
from leptonc.codegen.memory import Reg, transposed
from leptonc.codegen.nest import NestEmitter
from leptonc.codegen.panels import Panels
from leptonc.codegen.schedule import Nest
from leptonc.codegen.tile import Strides, Tile, emit_tile
from leptonc.ir.kernel import Axis

Span = tuple[str, str]  # first and last+1


def panels_of(plan: Contraction) -> dict[str, Panels]:
    """The packed operands, by role."""
    sides = {"a": Panels(plan, plan.a, plan.row, plan.rows), "b": Panels(plan, plan.b, plan.col, plan.width)}
    return {role: panels for role, panels in sides.items() if panels.side.pack}


def workspace_bytes(plan: Contraction) -> int:
    """Per-thread scratch: the local tile."""
    if not plan.local_tile:
        return 0
    return plan.row_block * plan.rows * plan.col_block * plan.width * plan.dtype.itemsize


class ContractionEmitter:
    """Emits the items of one contraction. ``sources`` are the pointers A and B are read from (panels if packed);
    ``ivs`` the kernel's open outer axes."""

    def __init__(self, e: Emitter, plan: Contraction, pointers: dict[str, str], sources: dict[str, str], scratch: str,
                 ivs: dict[str, str] | None = None):
        self.e = e
        self.plan = plan
        self.sources = sources
        self.scratch = scratch
        self.panels = panels_of(plan)
        self.ivs: dict[str, str] = dict(ivs or {})
        nest = Nest((), (), plan.row if plan.turned else plan.col, plan.lanes, 0, plan.fold, False)
        self.nest = NestEmitter(e, plan.stage, nest, pointers, self.ivs)

    def emit(self, begin: str, end: str) -> None:
        """All items from ``begin`` to ``end``."""
        if self.plan.items == 0:
            return
        with self.e.loop("item", begin, end) as item:
            row_item, col_item = self._decode(item)
            rows = self._block(row_item, self.plan.row_block, self.plan.row_tiles)
            cols = self._block(col_item, self.plan.col_block, self.plan.col_tiles)
            if self.plan.local_tile:
                self._local_item(rows, cols)
            else:
                self._direct_item(rows, cols)

    def _decode(self, item: str) -> Span:
        """Open the outer axes; returns the item's row block and column block. Row blocks vary fastest."""
        plan = self.plan
        row_item, item = self.e.digit(item, plan.row_items)
        col_item, item = self.e.digit(item, plan.col_items)
        for axis in reversed(plan.outer):
            self.ivs[axis.name], item = self.e.digit(item, axis.extent)
        return row_item, col_item

    def _block(self, item: str, block: int, tiles: int) -> Span:
        """First and last+1 register tile of an item."""
        start = self.e.mul(item, str(block))
        if tiles % block == 0:
            return start, self.e.add(start, str(block))
        stop = self.e.add(start, str(block))
        return start, self.e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {stop}, i64 {tiles}", "stop")

    # Items

    def _direct_item(self, rows: Span, cols: Span) -> None:
        """Each tile is finished in registers."""
        for tile, row_tile, col_tile in self._tiles(rows, cols):
            state = self._accumulate(tile, row_tile, col_tile, self._whole_fold())
            self._finish_tile(tile, row_tile, col_tile, state)

    def _local_item(self, rows: Span, cols: Span) -> None:
        """Tiles accumulate in the local tile, over blocks of the fold; then the epilogue runs over it."""
        plan, e = self.plan, self.e
        if plan.fold_block:
            first = plan.fold[0]
            with e.loop("block", "0", str(first.extent), plan.fold_block) as start:
                limit = e.add(start, str(plan.fold_block))
                stop = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {limit}, i64 {first.extent}", "stop")
                fresh = e.let(f"icmp eq i64 {start}, 0", "fresh")
                fold = [(first, start, stop), *self._whole_fold()[1:]]
                for tile, row_tile, col_tile in self._tiles(rows, cols):
                    state = self._accumulate(tile, row_tile, col_tile, fold)
                    self._keep(tile, rows, cols, row_tile, col_tile, state, fresh)
        else:
            for tile, row_tile, col_tile in self._tiles(rows, cols):
                state = self._accumulate(tile, row_tile, col_tile, self._whole_fold())
                self._keep(tile, rows, cols, row_tile, col_tile, state, None)
        if plan.turned:
            self._epilogue_turned(rows, cols)
            return
        for tile, row_tile, col_tile in self._tiles(rows, cols):
            self._epilogue_rows(tile, rows, cols, row_tile, col_tile)

    def _whole_fold(self) -> list[tuple[Axis, str, str]]:
        return [(axis, "0", str(axis.extent)) for axis in self.plan.fold]

    # Tiles

    def _tiles(self, rows: Span, cols: Span) -> Iterator[tuple[Tile, str, str]]:
        """Loops over the register tiles of an item: full ones in a loop, the edge's own shape after it."""
        plan = self.plan
        for width, col_loop in self._shapes(cols, plan.col_tiles, plan.width, plan.col.extent, "col"):
            with col_loop as col_tile:
                for height, row_loop in self._shapes(rows, plan.row_tiles, plan.rows, plan.row.extent, "row"):
                    with row_loop as row_tile:
                        yield self._tile(height, width), row_tile, col_tile

    def _shapes(self, span: Span, tiles: int, size: int, extent: int,
                hint: str) -> list[tuple[int, _TileLoop]]:
        edge = extent - (tiles - 1) * size
        out = []
        if edge == size:
            return [(size, _TileLoop(self.e, hint, span, None))]
        if tiles > 1:
            out.append((size, _TileLoop(self.e, hint, span, ("below", tiles - 1))))
        out.append((edge, _TileLoop(self.e, hint, span, ("edge", tiles - 1))))
        return out

    def _tile(self, rows: int, cols: int) -> Tile:
        plan = self.plan
        return Tile(plan, rows, cols, self._strides("a", plan.a, plan.row), self._strides("b", plan.b, plan.col))

    def _strides(self, role: str, side: Side, axis: Axis) -> Strides:
        if role in self.panels:
            return self.panels[role].strides()
        return Strides(side.access.stride(axis.name), {k.name: side.access.stride(k.name) for k in self.plan.fold})

    def _accumulate(self, tile: Tile, row_tile: str, col_tile: str, fold: list[tuple[Axis, str, str]]) -> list[str]:
        plan = self.plan
        a = self._base("a", plan.a, plan.row, row_tile, plan.rows)
        b = self._base("b", plan.b, plan.col, col_tile, plan.width)
        return emit_tile(self.e, tile, a, b, fold)

    def _base(self, role: str, side: Side, axis: Axis, number: str, size: int) -> str:
        """Pointer to a tile's first element of an operand."""
        e = self.e
        if role in self.panels:
            offset = self.panels[role].offset(e, self.ivs, number)
        else:
            offset = e.add(str(side.access.offset), e.mul(number, str(size * side.access.stride(axis.name))))
            for outer in (*self.plan.stage.outer, *self.plan.outer):
                offset = e.add(offset, e.mul(self.ivs[outer.name], str(side.access.stride(outer.name))))
        return e.let(f"getelementptr {llvm_type(self.plan.dtype)}, ptr {self.sources[role]}, i64 {offset}", role)

    # Results

    def _finish_tile(self, tile: Tile, row_tile: str, col_tile: str, state: list[str]) -> None:
        row0 = self.e.mul(row_tile, str(self.plan.rows))
        for row in range(tile.rows):
            self._finish_row(tile, self.e.add(row0, str(row)), col_tile,
                             state[row * tile.vectors:(row + 1) * tile.vectors])

    def _finish_row(self, tile: Tile, row: str, col_tile: str, accumulators: list[str]) -> None:
        """Epilogue and stores of one row of a tile; a partial vector goes in power-of-two pieces."""
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
        """Epilogue and stores of results along the nest's vector axis from (row, col) on."""
        points = [(axis, self.ivs[axis.name]) for axis in self.plan.outer]
        self.nest.epilogue_at([*points, (self.plan.row, row), (self.plan.col, col)], lanes, {self.plan.reduce: value})

    def _epilogue_turned(self, rows: Span, cols: Span) -> None:
        """The epilogue in vectors along the rows: squares of the local tile are transposed, what is left over goes singly."""
        e, plan = self.e, self.plan
        first_row, count = self._extent(rows, plan.rows, plan.row.extent)
        with e.loop("turned", *cols) as col_tile:
            column = e.let(f"sub nsw i64 {col_tile}, {cols[0]}", "c")
            base = e.mul(column, str(plan.row_block * plan.rows * plan.width))
            first_col = e.mul(col_tile, str(plan.width))
            left = e.let(f"sub nsw i64 {plan.col.extent}, {first_col}", "left")
            width = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {left}, i64 {plan.width}", "width")
            whole = [e.mul(e.let(f"udiv i64 {x}, {plan.lanes}", "whole"), str(plan.lanes)) for x in (count, width)]
            with e.loop("c", "0", whole[1], plan.lanes) as c:
                with e.loop("r", "0", whole[0], plan.lanes) as r:
                    self._square(base, r, c, first_row, first_col)
            with e.loop("c", whole[1], width) as c, e.loop("r", "0", whole[0]) as r:
                self._single(base, r, c, first_row, first_col)
            with e.loop("r", whole[0], count) as r, e.loop("c", "0", width) as c:
                self._single(base, r, c, first_row, first_col)

    def _extent(self, tiles: Span, size: int, extent: int) -> Span:
        """First element of an item along one side, and how many there are."""
        e = self.e
        start, stop = e.mul(tiles[0], str(size)), e.mul(tiles[1], str(size))
        stop = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {stop}, i64 {extent}", "stop")
        return start, e.let(f"sub nsw i64 {stop}, {start}", "count")

    def _scratch_at(self, base: str, r: str, c: str) -> str:
        offset = self.e.add(self.e.add(base, self.e.mul(r, str(self.plan.width))), c)
        return self.e.let(f"getelementptr {llvm_type(self.plan.dtype)}, ptr {self.scratch}, i64 {offset}", "local")

    def _square(self, base: str, r: str, c: str, first_row: str, first_col: str) -> None:
        e, plan = self.e, self.plan
        vector = llvm_type(plan.dtype, plan.lanes)
        lines = [e.let(f"load {vector}, ptr {self._scratch_at(base, e.add(r, str(k)), c)}, align {plan.dtype.itemsize}", "line")
                 for k in range(plan.lanes)]
        for k, value in enumerate(transposed(e, lines, vector)):
            col = e.add(first_col, e.add(c, str(k)))
            self._point(e.add(first_row, r), col, plan.lanes, Reg(value, plan.dtype, plan.lanes))

    def _single(self, base: str, r: str, c: str, first_row: str, first_col: str) -> None:
        e, plan = self.e, self.plan
        value = e.let(f"load {llvm_type(plan.dtype)}, ptr {self._scratch_at(base, r, c)}, align {plan.dtype.itemsize}", "x")
        self._point(e.add(first_row, r), e.add(first_col, c), 1, Reg(value, plan.dtype))

    def _local_address(self, rows: Span, cols: Span, row_tile: str, col_tile: str, row: str,
                       v: int) -> str:
        """Element of the local tile: tile-major, so that a register tile is contiguous."""
        e, plan = self.e, self.plan
        number = e.let(f"sub nsw i64 {row_tile}, {rows[0]}", "r")
        column = e.let(f"sub nsw i64 {col_tile}, {cols[0]}", "c")
        number = e.add(e.mul(column, str(plan.row_block)), number)
        offset = e.add(e.mul(number, str(plan.rows * plan.width)), e.mul(row, str(plan.width)))
        offset = e.add(offset, str(v * plan.lanes))
        return e.let(f"getelementptr {llvm_type(plan.dtype)}, ptr {self.scratch}, i64 {offset}", "local")

    def _keep(self, tile: Tile, rows: Span, cols: Span, row_tile: str, col_tile: str,
              state: list[str], fresh: str | None) -> None:
        """Store accumulators to the local tile, added to what earlier blocks left (``fresh``: none did)."""
        e, plan = self.e, self.plan
        vector, align = llvm_type(plan.dtype, plan.lanes), plan.dtype.itemsize
        for row in range(tile.rows):
            for v in range(tile.vectors):
                at = self._local_address(rows, cols, row_tile, col_tile, str(row), v)
                value = state[row * tile.vectors + v]
                if fresh is not None:
                    old = e.let(f"load {vector}, ptr {at}, align {align}", "old")
                    zero = e.let(f"select i1 {fresh}, {vector} zeroinitializer, {vector} {old}", "old")
                    add = "fadd contract" if plan.dtype.is_float else "add"
                    value = e.let(f"{add} {vector} {zero}, {value}", "total")
                e.line(f"store {vector} {value}, ptr {at}, align {align}")

    def _epilogue_rows(self, tile: Tile, rows: Span, cols: Span, row_tile: str,
                       col_tile: str) -> None:
        e, plan = self.e, self.plan
        vector = llvm_type(plan.dtype, plan.lanes)
        row0 = e.mul(row_tile, str(plan.rows))
        with e.loop("r", "0", str(tile.rows)) as r:
            accumulators = []
            for v in range(tile.vectors):
                at = self._local_address(rows, cols, row_tile, col_tile, r, v)
                accumulators.append(e.let(f"load {vector}, ptr {at}, align {plan.dtype.itemsize}", "acc"))
            self._finish_row(tile, e.add(row0, r), col_tile, accumulators)


class _TileLoop:
    """The tiles of one shape within an item: all, those below the last one, or the last one if the item holds it."""

    def __init__(self, e: Emitter, hint: str, span: Span, part: tuple[str, int] | None):
        self.e, self.hint, self.span, self.part = e, hint, span, part
        self._context = self._open()

    @contextmanager
    def _open(self) -> Iterator[str]:
        e, (start, stop) = self.e, self.span
        if self.part is None:
            with e.loop(self.hint, start, stop) as number:
                yield number
            return
        which, last = self.part
        if which == "below":
            below = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {stop}, i64 {last}", "below")
            with e.loop(self.hint, start, below) as number:
                yield number
            return
        with e.when(e.let(f"icmp sgt i64 {stop}, {last}", "edge"), "edge"):
            yield str(last)

    def __enter__(self) -> str:
        return self._context.__enter__()

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(None, None, None)


def _part(e: Emitter, vector: str, scalar: str, lanes: int, start: int, count: int) -> str:
    """``count`` lanes of a vector register from ``start``."""
    if count == lanes:
        return vector
    if count == 1:
        return e.let(f"extractelement <{lanes} x {scalar}> {vector}, i64 {start}", "part")
    mask = f"<{count} x i32> <" + ", ".join(f"i32 {start + k}" for k in range(count)) + ">"
    return e.let(f"shufflevector <{lanes} x {scalar}> {vector}, <{lanes} x {scalar}> poison, {mask}", "part")
