"""Packing an operand of a contraction into panels: ``[outer axes][tile][fold][width]``, zero-padded at the edge."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from leptonc.codegen.contraction.plan import Contraction, Side
from leptonc.codegen.contraction.tile import Strides
from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type
from leptonc.codegen.loops.addresses import transposed
from leptonc.ir.kernel import Axis


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
    def elements(self) -> int:
        return prod(a.extent for a in self.outer) * self.tiles * self.plan.depth * self.width

    @property
    def items(self) -> int:
        return prod(a.extent for a in self.outer) * self.tiles

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
    plan, axis = panels.plan, panels.axis
    if plan.depth == 0:
        return
    with e.loop("panel", begin, end) as item:
        ivs, rest = _decode(e, panels, item)
        base = e.mul(item, str(plan.depth * panels.width))
        offset = str(panels.side.access.offset)
        for name, iv in ivs.items():
            offset = e.add(offset, e.mul(iv, str(panels.side.access.stride(name))))
        start = e.mul(rest, str(panels.width))
        offset = e.add(offset, e.mul(start, str(panels.side.access.stride(axis.name))))
        left = e.let(f"sub nsw i64 {axis.extent}, {start}", "left")
        count = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {left}, i64 {panels.width}", "count")
        _copy_panel(e, panels, plan.fold, source, target, offset, base, count)


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
        squares = e.let(f"select i1 {whole}, i64 {axis.extent // panels.plan.lanes * panels.plan.lanes}, i64 0", "squares")
        _turn_squares(e, panels, axis, source, target, at, to, squares)
        _copy_rows(e, panels, fold, source, target, at, to, count, squares)
    else:
        _copy_rows(e, panels, fold, source, target, at, to, count, "0")


def _copy_rows(e: Emitter, panels: Panels, fold: tuple[Axis, ...], source: str, target: str, at: str, to: str, count: str,
               start: str) -> None:
    """From ``start`` along the first of the fold's axes on."""
    axis, inside = fold[0], panels.strides().fold[fold[0].name]
    with e.loop(axis.name, start, str(axis.extent)) as iv:
        at = e.add(at, e.mul(iv, str(panels.side.access.stride(axis.name))))
        to = e.add(to, e.mul(iv, str(inside)))
        _copy_panel(e, panels, fold[1:], source, target, at, to, count)


def _turns(panels: Panels, axis: Axis) -> bool:
    """Whether a panel's rows lie across the source's lines, and whole registers of these are worth turning."""
    access, lanes = panels.side.access, panels.plan.lanes
    return (access.stride(axis.name) == 1 and access.stride(panels.axis.name) != 1 and panels.width % lanes == 0
            and axis.extent >= lanes > 1)


def _turn_squares(e: Emitter, panels: Panels, axis: Axis, source: str, target: str, at: str, to: str, stop: str) -> None:
    """Squares of a register's worth of lines, each transposed in registers."""
    dtype, lanes = panels.plan.dtype, panels.plan.lanes
    scalar, vector = llvm_type(dtype), llvm_type(dtype, lanes)
    stride, inside = panels.side.access.stride(panels.axis.name), panels.strides().fold[axis.name]
    with e.loop(axis.name, "0", stop, lanes) as iv, e.loop("lane", "0", str(panels.width), lanes) as lane:
        corner = e.add(e.add(at, iv), e.mul(lane, str(stride)))
        lines = [e.let(f"load {vector}, ptr {_at(e, scalar, source, e.add(corner, str(k * stride)))}, align {dtype.itemsize}", "x")
                 for k in range(lanes)]
        corner = e.add(e.add(to, e.mul(iv, str(inside))), lane)
        for k, line in enumerate(transposed(e, lines, vector)):
            e.line(f"store {vector} {line}, ptr {_at(e, scalar, target, e.add(corner, str(k * inside)))}, align {dtype.itemsize}")


def _copy_row(e: Emitter, panels: Panels, source: str, target: str, at: str, to: str, count: str) -> None:
    """One row of a panel: whole vectors where the source is contiguous and the tile full, else element by element."""
    dtype, lanes = panels.plan.dtype, panels.plan.lanes
    scalar, vector = llvm_type(dtype), llvm_type(dtype, lanes)
    stride = panels.side.access.stride(panels.axis.name)
    to_row = e.let(f"getelementptr {scalar}, ptr {target}, i64 {to}", "to")
    from_row = e.let(f"getelementptr {scalar}, ptr {source}, i64 {at}", "from")
    if stride == 1 and panels.width % lanes == 0:
        whole = e.let(f"icmp eq i64 {count}, {panels.width}", "whole")
        partial = e.let(f"xor i1 {whole}, true", "partial")
        with e.when(whole):
            for v in range(0, panels.width, lanes):
                x = e.let(f"load {vector}, ptr {_at(e, scalar, from_row, str(v))}, align {dtype.itemsize}", "x")
                e.line(f"store {vector} {x}, ptr {_at(e, scalar, to_row, str(v))}, align {dtype.itemsize}")
        with e.when(partial):
            _copy_elements(e, panels, from_row, to_row, count)
    else:
        _copy_elements(e, panels, from_row, to_row, count)


def _copy_elements(e: Emitter, panels: Panels, from_row: str, to_row: str, count: str) -> None:
    dtype = panels.plan.dtype
    scalar, stride = llvm_type(dtype), panels.side.access.stride(panels.axis.name)
    with e.loop("lane", "0", count) as lane:
        x = e.let(f"load {scalar}, ptr {_at(e, scalar, from_row, e.mul(lane, str(stride)))}, align {dtype.itemsize}", "x")
        e.line(f"store {scalar} {x}, ptr {_at(e, scalar, to_row, lane)}, align {dtype.itemsize}")
    with e.loop("lane", count, str(panels.width)) as lane:
        e.line(f"store {scalar} {emit_const(0, dtype, 1)}, ptr {_at(e, scalar, to_row, lane)}, align {dtype.itemsize}")


def _at(e: Emitter, scalar: str, base: str, offset: str) -> str:
    return e.let(f"getelementptr {scalar}, ptr {base}, i64 {offset}", "at")
