"""What of a result must hold its initial value before a kernel's stages run: all of it, or what lies around a box that they
write anyway. A padded convolution's operand is such a box with a border of zeros."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from leptonc.ir.affine import Places, box, met
from leptonc.ir.kernel import Axis, Const, Index, Kernel, Load, Param, Stage, Store

Span = tuple[int, int]  # first and last+1


@dataclass(frozen=True)
class Filling:
    """Parts of a result to be filled, each a span of every dimension; the first ``whole`` dimensions are whole in all."""

    parts: tuple[tuple[Span, ...], ...]
    whole: int = 0


def filling(kernel: Kernel, param: Param) -> Filling:
    """What of ``param`` to fill; no parts if its stores cover it."""
    shape = param.type.shape
    everything = tuple((0, extent) for extent in shape)
    box = _written_box(kernel, param)
    if box is None or prod(shape) == 0:
        return Filling((everything,))
    margins = [n for n, (span, extent) in enumerate(zip(box, shape)) if span != (0, extent)]
    if not margins:
        return Filling(())
    if not margins[0]:  # nothing to share between threads but the elements themselves
        return Filling((everything,))
    return Filling(tuple(_around(box, shape)), margins[0])


def _around(box: tuple[Span, ...], shape: tuple[int, ...]) -> Iterator[tuple[Span, ...]]:
    """What lies outside of a box, in boxes: before and behind it in each dimension, inside it in those before."""
    for n, ((low, high), extent) in enumerate(zip(box, shape)):
        for span in ((0, low), (high, extent)):
            if span[0] < span[1]:
                yield (*box[:n], span, *((0, e) for e in shape[n + 1:]))


def fill_kernel(kernel: Kernel, param: Param, what: Filling) -> Kernel:
    """A kernel of the same parameters that fills; it runs over the dimensions that are whole, in parallel, if there are any."""
    outer = tuple(Axis(f"o{n}", extent) for n, extent in enumerate(param.type.shape[:what.whole]))
    params = tuple(replace(p, init=None) for p in kernel.params)
    return replace(kernel, params=params, outer=outer, locals=(),
                   stages=tuple(_fill_stage(param, outer, part) for part in what.parts))


def _fill_stage(param: Param, outer: tuple[Axis, ...], part: tuple[Span, ...]) -> Stage:
    axes = tuple(Axis(f"i{n}", high - low) for n, (low, high) in enumerate(part) if n >= len(outer))
    index = [*map(Index.of, outer), *(Index.of(a) + low for a, (low, _) in zip(axes, part[len(outer):]))]
    assert param.init is not None
    return Stage(axes, (Const(param.init, param.type.dtype),), (Store(param.name, tuple(index), 0),))


def _written_box(kernel: Kernel, param: Param) -> tuple[Span, ...] | None:
    """The box that plain stores write all of, before anything reads it; None if there is no such box."""
    if any(isinstance(i, Load) and i.buffer == param.name for s in kernel.stages for i in s.insts):
        return None
    found: list[tuple[Places, ...]] = []
    for stage in kernel.stages:
        extents = {a.name: a.extent for a in (*kernel.outer, *stage.map_axes)}
        for store in stage.stores:
            if store.buffer == param.name:
                plain = not (store.accumulate or store.masked) and _moves_in(store, extents)
                reached = met(store.index, extents) if plain else None
                if reached is None:
                    return None
                found.append(reached)
    spans = box(found)
    return None if spans is None else tuple((s.low, s.high + 1) for s in spans)


def _moves_in(store: Store, extents: dict[str, int]) -> bool:
    """Whether a store's place depends on map axes alone."""
    return all(axis in extents for index in store.index for axis, _ in index.axes)
