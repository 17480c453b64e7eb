"""Packing an operand of a contraction into panels: ``[outer axes][tile][fold][width]``, zero-padded at the edge.

What is packed is converted to what is multiplied: numbers, or words of two.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from leptonc.codegen.contraction.plan import Contraction, Side
from leptonc.codegen.contraction.tile import Strides
from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type, memory_type
from leptonc.codegen.llvm.scalars import emit_casts, emit_scalar
from leptonc.codegen.loops.addresses import from_memory, transposed
from leptonc.ir.kernel import Axis
from leptonc.ir.types import DType, u16, u32
from leptonc.memory import ALIGN

BESIDE = 128  # bytes of a row to read in one piece: panels that are narrower are filled side by side


@dataclass(frozen=True)
class Panels:
    """The layout of one packed operand. ``axis`` is cut into ``tiles`` of ``width`` elements."""

    plan: Contraction
    side: Side
    axis: Axis
    width: int

    @property
    def tiles(self) -> int:
        return -(-self.axis.extent // self.width)

    @property
    def outer(self) -> tuple[Axis, ...]:
        return self.plan.panel_axes(self.side)

    @property
    def dtype(self) -> DType:
        """Of the panels' elements."""
        return self.plan.stored(self.side)

    @property
    def numbers(self) -> DType:
        """What is multiplied: the elements, or both halves of each."""
        return self.plan.paired if self.plan.pairs else self.plan.dtype

    @property
    def nbytes(self) -> int:
        return self.elements * self.dtype.itemsize

    @property
    def elements(self) -> int:
        return prod(a.extent for a in self.outer) * self.tiles * self.plan.depth * self.width

    @property
    def items(self) -> int:
        return prod(a.extent for a in self.outer) * self.tiles

    @property
    def beside(self) -> int:
        """Panels that are filled side by side, as rows of the source lie on lines, or pages, of their own."""
        access, row = self.side.access, self.width * self.side.dtype.itemsize
        steps = [abs(access.stride(axis.name)) * self.side.dtype.itemsize for axis in self.plan.fold[-1:]]
        if self.plan.pairs or access.stride(self.axis.name) != 1 or min(steps, default=0) < ALIGN:
            return 1
        return max(1, min(-(-BESIDE // row), self.axis.extent // self.width))

    def strides(self) -> Strides:
        """Strides inside one panel."""
        fold, step = {}, self.width
        for axis in reversed(self.plan.fold):
            fold[axis.name] = step
            step *= axis.extent
        return Strides(1, fold)

    def offset(self, e: Emitter, ivs: dict[str, str], tile: str) -> str:
        """Element offset of a panel."""
        number = "0"
        for axis in self.outer:
            number = e.add(e.mul(number, str(axis.extent)), ivs[axis.name])
        number = e.add(e.mul(number, str(self.tiles)), tile)
        return e.mul(number, str(self.plan.depth * self.width))


def emit_packing(e: Emitter, panels: Panels, source: str, target: str, begin: str, end: str) -> None:
    """Copy panels ``begin`` to ``end`` (flat numbers)."""
    if panels.plan.depth == 0:
        return
    beside = panels.beside
    with e.loop("panel", begin, end, beside) as item:
        if beside == 1:
            _pack_panel(e, panels, source, target, item)
            return
        last = e.add(item, str(beside))
        tile = e.add(_decode(e, panels, item)[1], str(beside))
        inside = e.let(f"icmp sle i64 {last}, {end}", "inside")
        whole = e.let(f"icmp sle i64 {tile}, {panels.axis.extent // panels.width}", "whole")
        together = e.let(f"and i1 {inside}, {whole}", "together")
        alone = e.let(f"xor i1 {together}, true", "alone")
        with e.when(together):
            _copy_together(e, panels, panels.plan.fold, source, target, *_places(e, panels, item)[:2])
        with e.when(alone):
            stop = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {last}, i64 {end}", "stop")
            with e.loop("panel", item, stop) as single:
                _pack_panel(e, panels, source, target, single)


def _pack_panel(e: Emitter, panels: Panels, source: str, target: str, item: str) -> None:
    at, to, start = _places(e, panels, item)
    left = e.let(f"sub nsw i64 {panels.axis.extent}, {start}", "left")
    count = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {left}, i64 {panels.width}", "count")
    _copy_panel(e, panels, panels.plan.fold, source, target, at, to, count)


def _places(e: Emitter, panels: Panels, item: str) -> tuple[str, str, str]:
    """Where a panel begins in the source and among the panels, and along the axis that is cut."""
    ivs, tile = _decode(e, panels, item)
    offset = str(panels.side.access.offset)
    for name, iv in ivs.items():
        offset = e.add(offset, e.mul(iv, str(panels.side.access.stride(name))))
    start = e.mul(tile, str(panels.width))
    offset = e.add(offset, e.mul(start, str(panels.side.access.stride(panels.axis.name))))
    return offset, e.mul(item, str(panels.plan.depth * panels.width)), start


def _copy_together(e: Emitter, panels: Panels, fold: tuple[Axis, ...], source: str, target: str, at: str, to: str) -> None:
    """Whole panels side by side: a row of each in turn."""
    if fold:
        with e.loop(fold[0].name, "0", str(fold[0].extent)) as iv:
            moved = _moved(e, panels, fold[0], iv, at, to, panels.strides().fold[fold[0].name])
            _copy_together(e, panels, fold[1:], source, target, *moved)
        return
    for k in range(panels.beside):
        begin = e.add(at, str(k * panels.width)), e.add(to, str(k * panels.plan.depth * panels.width))
        _copy_vectors(e, panels, source, target, *begin, single=False)


def _decode(e: Emitter, panels: Panels, item: str) -> tuple[dict[str, str], str]:
    tile = e.let(f"urem i64 {item}, {panels.tiles}", "tile") if panels.outer else item
    rest = e.let(f"udiv i64 {item}, {panels.tiles}", "rest") if panels.outer else "0"
    ivs = {}
    for axis in reversed(panels.outer):
        ivs[axis.name] = e.let(f"urem i64 {rest}, {axis.extent}", axis.name)
        rest = e.let(f"udiv i64 {rest}, {axis.extent}", "rest")
    return ivs, tile


def _copy_panel(e: Emitter, panels: Panels, fold: tuple[Axis, ...], source: str, target: str, at: str, to: str,
                count: str) -> None:
    if not fold:
        _copy_row(e, panels, source, target, at, to, count)
        return
    axis = fold[0]
    if len(fold) == 1 and _turns(panels, axis):
        whole = e.let(f"icmp eq i64 {count}, {panels.width}", "whole")
        pairs = axis.extent - panels.plan.odd
        squares = e.let(f"select i1 {whole}, i64 {pairs // panels.plan.lanes * panels.plan.lanes}, i64 0", "squares")
        _turn_squares(e, panels, axis, source, target, at, to, squares)
        _copy_rows(e, panels, fold, source, target, at, to, count, squares)
    else:
        _copy_rows(e, panels, fold, source, target, at, to, count, "0")


def _copy_rows(e: Emitter, panels: Panels, fold: tuple[Axis, ...], source: str, target: str, at: str, to: str, count: str,
               start: str) -> None:
    """From ``start`` along the first of the fold's axes on."""
    axis, inside = fold[0], panels.strides().fold[fold[0].name]
    single = panels.plan.odd and len(fold) == 1  # of the last pair there is one row alone
    with e.loop(axis.name, start, str(axis.extent - single)) as iv:
        row, place = _moved(e, panels, axis, iv, at, to, inside)
        if len(fold) == 1:
            _copy_row(e, panels, source, target, row, place, count)
        else:
            _copy_panel(e, panels, fold[1:], source, target, row, place, count)
    if single:
        row, place = _moved(e, panels, axis, str(axis.extent - 1), at, to, inside)
        _copy_row(e, panels, source, target, row, place, count, single=True)


def _moved(e: Emitter, panels: Panels, axis: Axis, iv: str, at: str, to: str, inside: int) -> tuple[str, str]:
    return e.add(at, e.mul(iv, str(panels.side.access.stride(axis.name)))), e.add(to, e.mul(iv, str(inside)))


def _turns(panels: Panels, axis: Axis) -> bool:
    """Whether a panel's rows lie across the source's lines, and whole registers of these are worth turning."""
    access, lanes = panels.side.access, panels.plan.lanes
    beside = panels.side.gap == 1 if panels.plan.pairs else access.stride(axis.name) == 1
    return beside and access.stride(panels.axis.name) != 1 and 2 * panels.width >= lanes and axis.extent >= lanes > 1


def _turn_squares(e: Emitter, panels: Panels, axis: Axis, source: str, target: str, at: str, to: str, stop: str) -> None:
    """Squares of a register's worth of lines, each transposed in registers; of the last one maybe the first lines alone."""
    lanes = panels.plan.lanes
    stride, inside = panels.side.access.stride(panels.axis.name), panels.strides().fold[axis.name]
    full = panels.width // lanes * lanes
    with e.loop(axis.name, "0", stop, lanes) as iv:
        begin = e.add(at, e.mul(iv, str(panels.side.access.stride(axis.name)))), e.add(to, e.mul(iv, str(inside)))
        if full:
            with e.loop("lane", "0", str(full), lanes) as lane:
                _turn_square(e, panels, source, target, e.add(begin[0], e.mul(lane, str(stride))), e.add(begin[1], lane), lanes)
        if panels.width > full:
            corner = e.add(begin[0], str(full * stride)), e.add(begin[1], str(full))
            _turn_square(e, panels, source, target, *corner, panels.width - full)


def _turn_square(e: Emitter, panels: Panels, source: str, target: str, at: str, to: str, count: int) -> None:
    """``count`` lines, which become as many lanes of rows."""
    lanes, access = panels.plan.lanes, panels.side.access
    inside = panels.strides().fold[panels.plan.fold[-1].name]
    lines = [_line(e, panels, source, e.add(at, str(k * access.stride(panels.axis.name)))) for k in range(count)]
    lines += [emit_const(0, panels.dtype, lanes)] * (lanes - count)
    for k, row in enumerate(transposed(e, lines, llvm_type(panels.dtype, lanes))):
        for place, some in _pieces(count, lanes):
            part = row if some == lanes else _part(e, panels, row, place, some)
            _write(e, panels, target, e.add(to, str(k * inside + place)), part, some)


def _part(e: Emitter, panels: Panels, row: str, place: int, count: int) -> str:
    """Some lanes of a register."""
    vector = llvm_type(panels.dtype, panels.plan.lanes)
    if count == 1:
        return e.let(f"extractelement {vector} {row}, i64 {place}", "part")
    picks = ", ".join(f"i32 {place + k}" for k in range(count))
    return e.let(f"shufflevector {vector} {row}, {vector} poison, <{count} x i32> <{picks}>", "part")


def _line(e: Emitter, panels: Panels, source: str, at: str) -> str:
    """A register's worth of panel elements that lie behind each other along the fold."""
    lanes = panels.plan.lanes
    if not panels.plan.pairs:
        return _read(e, panels, source, at, lanes)
    pairs = _read(e, panels, source, at, 2 * lanes)
    return e.let(f"bitcast {llvm_type(panels.numbers, 2 * lanes)} {pairs} to {llvm_type(u32, lanes)}", "words")


def _copy_row(e: Emitter, panels: Panels, source: str, target: str, at: str, to: str, count: str, single: bool = False) -> None:
    """One row of a panel: in vectors where the source is contiguous and the tile full, else element by element. ``single``:
    its words have a first element alone."""
    if panels.side.access.stride(panels.axis.name) == 1 and panels.width > 1:
        whole = e.let(f"icmp eq i64 {count}, {panels.width}", "whole")
        partial = e.let(f"xor i1 {whole}, true", "partial")
        with e.when(whole):
            _copy_vectors(e, panels, source, target, at, to, single)
        with e.when(partial):
            _copy_elements(e, panels, source, target, at, to, count, single)
    else:
        _copy_elements(e, panels, source, target, at, to, count, single)


def _copy_vectors(e: Emitter, panels: Panels, source: str, target: str, at: str, to: str, single: bool) -> None:
    """A whole row, which lies in one piece."""
    for place, lanes in _pieces(panels.width, panels.plan.lanes):
        _write(e, panels, target, e.add(to, str(place)), _elements(e, panels, source, e.add(at, str(place)), lanes, single), lanes)


def _pieces(width: int, lanes: int) -> list[tuple[int, int]]:
    """(place, lanes) of the vectors that fill a row: whole registers, then halves, quarters ... of one."""
    out, at = [], 0
    while at < width:
        while lanes > width - at:
            lanes //= 2
        out.append((at, lanes))
        at += lanes
    return out


def _copy_elements(e: Emitter, panels: Panels, source: str, target: str, at: str, to: str, count: str, single: bool) -> None:
    with e.loop("lane", "0", count) as lane:
        x = _elements(e, panels, source, e.add(at, e.mul(lane, str(panels.side.access.stride(panels.axis.name)))), 1, single)
        _write(e, panels, target, e.add(to, lane), x, 1)
    with e.loop("lane", count, str(panels.width)) as lane:
        _write(e, panels, target, e.add(to, lane), emit_const(0, panels.dtype, 1), 1)


def _elements(e: Emitter, panels: Panels, source: str, at: str, lanes: int, single: bool) -> str:
    """So many elements of a row: numbers, or words of one of this row and one of the next."""
    first = _read(e, panels, source, at, lanes)
    if not panels.plan.pairs:
        return first
    low = emit_scalar(e, "cast", [first], [u16], u32, lanes)
    if single:
        return low
    second = _read(e, panels, source, e.add(at, str(panels.side.gap)), lanes)
    high = emit_scalar(e, "cast", [second], [u16], u32, lanes)
    high = emit_scalar(e, "shl", [high, emit_const(16, u32, lanes)], [u32, u32], u32, lanes)
    return emit_scalar(e, "or", [low, high], [u32, u32], u32, lanes)


def _read(e: Emitter, panels: Panels, source: str, at: str, lanes: int) -> str:
    """Numbers of the operand, converted to those of the panel."""
    side = panels.side
    place = e.at(memory_type(side.dtype), source, at)
    x = e.let(f"load {memory_type(side.dtype, lanes)}, ptr {place}, align {side.dtype.itemsize}", "x")
    casts = (*side.casts[:-1], panels.numbers) if panels.plan.pairs else side.casts
    return emit_casts(e, from_memory(e, x, side.dtype, lanes).name, side.dtype, casts, lanes)


def _write(e: Emitter, panels: Panels, target: str, at: str, x: str, lanes: int) -> None:
    place = e.at(llvm_type(panels.dtype), target, at)
    e.line(f"store {llvm_type(panels.dtype, lanes)} {x}, ptr {place}, align {panels.dtype.itemsize}")
