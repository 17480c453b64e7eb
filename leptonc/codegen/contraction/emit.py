"""Emission of a scheduled contraction: items, tiles, and blocks of the fold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from leptonc.codegen.contraction.epilogue import Epilogue, Span
from leptonc.codegen.contraction.panels import Panels
from leptonc.codegen.contraction.plan import Contraction, Side
from leptonc.codegen.contraction.tile import Strides, Tile, emit_tile
from leptonc.codegen.contraction.tilefunction import tile_function
from leptonc.codegen.llvm.emitter import Emitter, llvm_type, memory_type
from leptonc.codegen.llvm.scalars import emit_scalar
from leptonc.codegen.loops.access import Access
from leptonc.ir.kernel import Axis, Load
from leptonc.ir.types import i64
from leptonc.memory import ALIGN


class Part(NamedTuple):
    """A part of the fold: a block of the axis that is taken in blocks, and a number that is 0 for the first part alone."""

    start: str
    stop: str
    done: str


def panels_of(plan: Contraction) -> dict[str, Panels]:
    """The packed operands, by role."""
    sides = {"a": Panels(plan, plan.a, plan.row, plan.rows), "b": Panels(plan, plan.b, plan.col, plan.width)}
    return {role: panels for role, panels in sides.items() if panels.side.pack}


def workspace_bytes(plan: Contraction) -> int:
    """Per-thread scratch: the local tile, or the sums of one register tile."""
    if plan.direct_store or not plan.tile_function:
        return 0
    if not plan.local_tile:
        return plan.rows * plan.width * plan.dtype.itemsize
    return plan.row_block * plan.rows * plan.col_block * plan.width * plan.dtype.itemsize


class ContractionEmitter:
    """Emits the items of one contraction. ``sources`` are the pointers A and B are read from (panels if packed);
    ``ivs`` the kernel's open outer axes. ``before_tile``: emits something else with each register tile,
    from its number; not if the fold is taken in parts."""

    def __init__(self, e: Emitter, plan: Contraction, pointers: dict[str, str], sources: dict[str, str], scratch: str,
                 ivs: dict[str, str] | None = None, before_tile: Callable[[str], None] | None = None):
        self.e = e
        self.plan = plan
        self.sources = sources
        self.scratch = scratch
        self.before_tile = None if plan.fold_block else before_tile
        self.panels = panels_of(plan)
        self.ivs: dict[str, str] = dict(ivs or {})
        self.pointers = pointers
        self.epilogue = Epilogue(e, plan, pointers, self.ivs)
        self.short = ""  # how many points of the fold, of one axis, an item multiplies, if that is known when it runs alone

    def emit(self, begin: str, end: str) -> None:
        """All items from ``begin`` to ``end``."""
        if self.plan.items == 0:
            return
        with self.e.loop("item", begin, end) as item:
            row_item, col_item = self._decode(item)
            self.short = self._short() if self.plan.runs_short else ""
            rows = self._block(row_item, self.plan.row_block, self.plan.row_tiles)
            cols = self._block(col_item, self.plan.col_block, self.plan.col_tiles)
            if self.plan.direct_store:
                self._plain_item(rows, cols)
            elif self.plan.local_tile:
                self._local_item(rows, cols)
            else:
                self._direct_item(rows, cols)

    def _decode(self, item: str) -> Span:
        """Open the outer axes; returns the item's row block and column block."""
        plan = self.plan
        if plan.columns_first:
            col_item, item = self.e.digit(item, plan.col_items)
            row_item, item = self.e.digit(item, plan.row_items)
        else:
            row_item, item = self.e.digit(item, plan.row_items)
            col_item, item = self.e.digit(item, plan.col_items)
        for axis in reversed(plan.outer):
            self.ivs[axis.name], item = self.e.digit(item, axis.extent)
        return row_item, col_item

    def _short(self) -> str:
        """How many of the first points of the fold this item multiplies: none where its sums are not asked for."""
        e, plan, extent = self.e, self.plan, self.plan.fold[0].extent
        found = self.epilogue.of_item([n for n in (plan.limit, plan.guard) if n is not None])
        count = str(extent)
        if plan.limit is not None:
            limit = emit_scalar(e, "cast", [found[plan.limit].name], [found[plan.limit].dtype], i64, 1)
            count = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {limit}, i64 {extent}", "count")
            count = e.call("i64 @llvm.smax.i64(i64, i64)", f"i64 {count}, i64 0", "count")
        if plan.guard is not None:
            count = e.let(f"select i1 {found[plan.guard].name}, i64 {count}, i64 0", "count")
        return count

    def _first_points(self) -> Part | None:
        """What an item multiplies of a fold that is not taken in parts, if not all of it."""
        return Part("0", self.short, "0") if self.short else None

    def _block(self, item: str, block: int, tiles: int) -> Span:
        """First and last+1 register tile of an item."""
        start = self.e.mul(item, str(block))
        if tiles % block == 0:
            return start, self.e.add(start, str(block))
        stop = self.e.add(start, str(block))
        return start, self.e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {stop}, i64 {tiles}", "stop")

    # Items

    def _direct_item(self, rows: Span, cols: Span) -> None:
        """Each tile is finished as soon as its sums are there."""
        plan = self.plan
        for tile, row_tile, col_tile in self._summed_tiles(rows, cols):
            if plan.tile_function:
                self._ask_beside(tile, row_tile, col_tile)
                self._call_tile(tile, row_tile, col_tile, self.scratch, self._first_points())
                self.epilogue.of_memory(tile, row_tile, col_tile, self.scratch)
            else:
                a, b = self._bases(row_tile, col_tile)
                fold = [(axis, "0", self.short or str(axis.extent)) for axis in plan.fold]
                self.epilogue.of_registers(tile, row_tile, col_tile, emit_tile(self.e, tile, a, b, fold))

    def _local_item(self, rows: Span, cols: Span) -> None:
        """Tiles accumulate in the local tile, over blocks of the fold; then the epilogue runs over it."""
        with self._fold_block() as block:
            for tile, row_tile, col_tile in self._summed_tiles(rows, cols):
                self._call_tile(tile, row_tile, col_tile, self._local_address(rows, cols, row_tile, col_tile), block)
        if self.plan.transposed:
            self.epilogue.transposed(rows, cols, self.scratch)
            return
        for tile, row_tile, col_tile in self._tiles(rows, cols):
            self.epilogue.of_memory(tile, row_tile, col_tile, self._local_address(rows, cols, row_tile, col_tile))

    def _plain_item(self, rows: Span, cols: Span) -> None:
        """Sums are results: tiles accumulate where they belong."""
        with self._fold_block() as block:
            for tile, row_tile, col_tile in self._summed_tiles(rows, cols):
                self._call_tile(tile, row_tile, col_tile, self._result_address(row_tile, col_tile), block)

    @contextmanager
    def _fold_block(self, done: str = "0", axes: int = 0) -> Iterator[Part | None]:
        """Loops over the parts of the fold, if it is taken in parts."""
        plan, e = self.plan, self.e
        if not plan.fold_block:
            yield self._first_points()
            return
        axis = plan.fold[axes]
        if axes < plan.fold_outer:
            with e.loop(axis.name, "0", str(axis.extent)) as iv:
                self.ivs[axis.name] = iv
                with self._fold_block(e.add(done, iv), axes + 1) as part:
                    yield part
                del self.ivs[axis.name]
            return
        extent = end = str(axis.extent)
        if self.short:  # of no points at all there is one part, which makes zeros
            extent, end = self.short, e.call("i64 @llvm.smax.i64(i64, i64)", f"i64 {self.short}, i64 1", "end")
        with e.loop("block", "0", end, plan.fold_block) as start:
            limit = e.add(start, str(plan.fold_block))
            stop = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {limit}, i64 {extent}", "stop")
            yield Part(start, stop, e.add(done, start))

    # Tiles

    def _tiles(self, rows: Span, cols: Span) -> Iterator[tuple[Tile, str, str]]:
        """Loops over the register tiles of an item: full ones in a loop, the edge's own shape after it."""
        plan = self.plan
        for width, col_loop in self._shapes(cols, plan.col_tiles, plan.width, plan.col.extent, "col"):
            with col_loop as col_tile:
                for height, row_loop in self._shapes(rows, plan.row_tiles, plan.rows, plan.row.extent, "row"):
                    with row_loop as row_tile:
                        yield self._tile(height, width), row_tile, col_tile

    def _summed_tiles(self, rows: Span, cols: Span) -> Iterator[tuple[Tile, str, str]]:
        """The same where their sums are made."""
        for tile, row_tile, col_tile in self._tiles(rows, cols):
            if self.before_tile:
                self.before_tile(self._number(row_tile, col_tile))
            yield tile, row_tile, col_tile

    def _number(self, row_tile: str, col_tile: str) -> str:
        """Counts the register tiles of all items."""
        number = "0"
        for axis in self.plan.outer:
            number = self.e.add(self.e.mul(number, str(axis.extent)), self.ivs[axis.name])
        number = self.e.add(self.e.mul(number, str(self.plan.row_tiles)), row_tile)
        return self.e.add(self.e.mul(number, str(self.plan.col_tiles)), col_tile)

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

    def _call_tile(self, tile: Tile, row_tile: str, col_tile: str, out: str, part: Part | None) -> None:
        """Sums of one register tile to ``out``: over the whole fold, or added over one part of it."""
        plan = self.plan
        a, b = self._bases(row_tile, col_tile)
        pitch = plan.stage.targets[0].stride(plan.row.name) if plan.direct_store else plan.width
        name = tile_function(self.e, tile, plan.fold[plan.fold_outer:], part is not None, pitch)
        start, stop, done = part or ("0", "0", "0")
        ahead = self._ahead(tile, a, b, row_tile) if plan.prefetch_blocks else (a, b)
        self.e.line(f"call void {name}(ptr {a}, ptr {b}, ptr {out}, i64 {start}, i64 {stop}, i64 {done}, "
                    f"ptr {ahead[0]}, ptr {ahead[1]})")

    def _ask_beside(self, tile: Tile, row_tile: str, col_tile: str) -> None:
        """Have what the epilogue reads beside a tile's sums brought into L1 while these are made."""
        plan, e = self.plan, self.e
        corner = ((plan.row, row_tile, plan.rows), (plan.col, col_tile, plan.width))
        for n in plan.epilogue_operands:
            inst, access = plan.stage.insts[n], plan.stage.loads[n]
            assert isinstance(inst, Load)
            scalar = memory_type(inst.dtype)
            first = self._element(self.pointers[inst.buffer], access, corner, "beside", scalar=scalar)
            with e.loop("r", "0", str(tile.rows)) as r:
                line = e.mul(r, str(access.stride(plan.row.name)))
                for start in range(0, tile.cols, ALIGN // inst.dtype.itemsize):
                    e.prefetch(e.at(scalar, first, e.add(line, str(start)), "beside"), near=True)

    def _ahead(self, tile: Tile, a: str, b: str, row_tile: str) -> tuple[str, str]:
        """The operands one part of the fold on. Of B's lines each row tile asks for another."""
        plan, e = self.plan, self.e
        scalar_a, scalar_b = (memory_type(plan.stored(side)) for side in (plan.a, plan.b))
        axis, step = plan.fold[plan.fold_outer], plan.fold_block
        if plan.fold_outer and step >= axis.extent:
            axis, step = plan.fold[plan.fold_outer - 1], 1
        line = e.mul(e.let(f"urem i64 {row_tile}, {tile.vectors}", "line"), str(plan.lanes)) if tile.vectors > 1 else "0"
        at_b = e.add(line, str(step * tile.b.fold[axis.name]))
        return (e.at(scalar_a, a, step * tile.a.fold[axis.name], "ahead"),
                e.at(scalar_b, b, at_b, "ahead"))

    def _bases(self, row_tile: str, col_tile: str) -> tuple[str, str]:
        plan = self.plan
        return (self._base("a", plan.a, plan.row, row_tile, plan.rows),
                self._base("b", plan.b, plan.col, col_tile, plan.width))

    def _base(self, role: str, side: Side, axis: Axis, number: str, size: int) -> str:
        """Pointer to a tile's first element of an operand."""
        if role not in self.panels:
            return self._element(self.sources[role], side.access, ((axis, number, size),), role,
                                 self.plan.fold[:self.plan.fold_outer], memory_type(side.dtype))
        offset = self.panels[role].offset(self.e, self.ivs, number)
        for fold in self.plan.fold[:self.plan.fold_outer]:
            offset = self.e.add(offset, self.e.mul(self.ivs[fold.name], str(self.panels[role].strides().fold[fold.name])))
        return self.e.at(llvm_type(self.panels[role].dtype), self.sources[role], offset, role)

    def _result_address(self, row_tile: str, col_tile: str) -> str:
        plan = self.plan
        corner = ((plan.row, row_tile, plan.rows), (plan.col, col_tile, plan.width))
        return self._element(self.pointers[plan.stage.stores[0].buffer], plan.stage.targets[0], corner, "out")

    def _local_address(self, rows: Span, cols: Span, row_tile: str, col_tile: str) -> str:
        """A register tile's place in the local tile, where each is contiguous."""
        e, plan = self.e, self.plan
        number = e.let(f"sub nsw i64 {row_tile}, {rows[0]}", "r")
        column = e.let(f"sub nsw i64 {col_tile}, {cols[0]}", "c")
        number = e.add(e.mul(column, str(plan.row_block)), number)
        offset = e.mul(number, str(plan.rows * plan.width))
        return e.at(llvm_type(plan.dtype), self.scratch, offset, "local")

    def _element(self, pointer: str, access: Access, tiles: tuple[tuple[Axis, str, int], ...], hint: str,
                 fold: tuple[Axis, ...] = (), scalar: str = "") -> str:
        """Where an access points at the open outer axes, those of ``fold`` too, and at the first element of a tile: (axis, its
        number, its size). ``scalar``: the elements' type in memory, if not that of the sums."""
        e = self.e
        offset = str(access.offset)
        for axis, number, size in tiles:
            offset = e.add(offset, e.mul(number, str(size * access.stride(axis.name))))
        for outer in (*self.plan.stage.outer, *self.plan.outer, *fold):
            offset = e.add(offset, e.mul(self.ivs[outer.name], str(access.stride(outer.name))))
        return e.at(scalar or llvm_type(self.plan.dtype), pointer, offset, hint)


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
