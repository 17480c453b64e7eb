"""Kernels of tiles ask for the memory of the next tile while they work on one.

Most of a tile's time is arithmetic over what caches hold; its first and last stages read an image and write one. Left to
themselves these wait for memory while the arithmetic rests, and then the other way round. So a contraction between them asks, a few
lines for each of its register tiles, for the lines that the next outer point is the first to touch, to read or to write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.loops.access import Access
from leptonc.codegen.loops.linear import LinearStage
from leptonc.ir.kernel import Kernel, Load
from leptonc.memory import ALIGN
from leptonc.target import Target

FAR = 2  # buffers so many times as large as L2 are worth it
SHARE = 2  # a tile's lines may fill one in so many parts of L2


@dataclass(frozen=True)
class Prefetch:
    """What an outer point is the first to touch of a buffer: ``blocks`` runs of ``lines`` cache lines, ``apart`` elements from
    each other, from ``start`` elements behind the point's own offset on. ``strides``: of the outer axes."""

    buffer: str
    strides: tuple[tuple[str, int], ...]
    start: int
    blocks: int
    apart: int
    lines: int
    itemsize: int
    write: bool

    @property
    def count(self) -> int:
        return self.blocks * self.lines


def prefetches(kernel: Kernel, stages: Sequence[LinearStage], target: Target) -> tuple[Prefetch, ...]:
    """Of all large buffers that tiles walk through; none if they are more than should be asked for."""
    touched: dict[tuple[str, bool], list[tuple[LinearStage, Access]]] = {}
    for stage in stages:
        for n, access in stage.loads.items():
            inst = stage.insts[n]
            assert isinstance(inst, Load)
            touched.setdefault((inst.buffer, False), []).append((stage, access))
        for store, access in zip(stage.stores, stage.targets):
            touched.setdefault((store.buffer, True), []).append((stage, access))
    params = {p.name: p for p in kernel.params}
    found = [_prefetch(kernel, buffer, write, accesses) for (buffer, write), accesses in touched.items()
             if buffer in params and params[buffer].type.nbytes > FAR * target.l2_bytes]
    out = tuple(r for r in found if r is not None)
    return out if sum(r.count for r in out) * ALIGN <= target.l2_bytes // SHARE else ()


def _prefetch(kernel: Kernel, buffer: str, write: bool, accesses: list[tuple[LinearStage, Access]]) -> Prefetch | None:
    first = accesses[0][1]
    outer = tuple((a.name, first.stride(a.name)) for a in kernel.outer)
    step = first.stride(kernel.outer[-1].name)
    if step <= 0 or not all(access.is_affine for _, access in accesses):
        return None
    if any(access.stride(name) != stride for _, access in accesses for name, stride in outer):
        return None
    low = min(access.offset for _, access in accesses)
    run, blocks, apart = max(access.offset for _, access in accesses) - low + 1, 1, 0
    for stride, extent in _strides(accesses):
        if stride <= run:
            run += stride * (extent - 1)
        elif blocks == 1:
            blocks, apart = extent, stride
        else:
            return None
    itemsize = kernel.buffer(buffer).type.dtype.itemsize
    fresh = min(step, run)
    return Prefetch(buffer, outer, low + run - fresh, blocks, apart, -(-fresh * itemsize // ALIGN), itemsize, write)


def _strides(accesses: list[tuple[LinearStage, Access]]) -> list[tuple[int, int]]:
    """Strides along the stages' own axes with their extents, the smallest first; of equal strides the longest."""
    longest: dict[int, int] = {}
    for stage, access in accesses:
        for axis in stage.axes:
            stride = access.stride(axis.name)
            if stride > 0:
                longest[stride] = max(longest.get(stride, 1), axis.extent)
    return sorted(longest.items())


class AskAhead:
    """Emits, for the register tile of a number out of ``tiles``, its share of the lines at the outer point ``ivs``."""

    def __init__(self, e: Emitter, parts: Sequence[Prefetch], tiles: int, pointers: dict[str, str], ivs: dict[str, str]):
        self.e, self.tiles = e, tiles
        self.parts = [(region, self._base(region, pointers[region.buffer], ivs)) for region in parts]

    def _base(self, region: Prefetch, pointer: str, ivs: dict[str, str]) -> str:
        e, offset = self.e, str(region.start)
        for axis, stride in region.strides:
            offset = e.add(offset, e.mul(ivs[axis], str(stride)))
        return e.let(f"getelementptr i8, ptr {pointer}, i64 {e.mul(offset, str(region.itemsize))}", "next")

    def __call__(self, number: str) -> None:
        e = self.e
        for region, base in self.parts:
            share = -(-region.count // self.tiles)
            start = e.mul(number, str(share))
            with e.loop("ahead", start, e.add(start, str(share))) as line:
                offset = e.mul(line, str(ALIGN))
                if region.blocks > 1:
                    within, block = e.digit(line, region.lines)
                    offset = e.add(e.mul(within, str(ALIGN)), e.mul(block, str(region.apart * region.itemsize)))
                e.prefetch(e.let(f"getelementptr i8, ptr {base}, i64 {offset}", "at"), region.write)
