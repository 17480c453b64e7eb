"""Strided convolutions as convolutions of stride 1: of the phases of their images, as so many channels.

    y[i] = sum over k, c of x[2 i + k, c] * w[k, c]
         = sum over k, p, c of x[2 (i + k) + p, c] * w[2 k + p, c]      k half as far, p in 0, 1

where x[2 i + p, c] is an image of half as many rows with twice the channels (p, c), read where it lies. So a 4x4 kernel with stride
2 has 2x2 taps. Of gradients of weights, whose results are the taps, the same.
"""

from __future__ import annotations

from dataclasses import replace

from leptonc.ir.kernel import Axis, Index, Load, Stage
from leptonc.passes.loops.draft import index_at, inst_at


def by_phases(stage: Stage, image: Load) -> Stage:
    """The stage with an axis over phases behind each tap's, where ``image`` is read at ``step * position + tap`` and the step, of 2
    or more, divides the number of taps."""
    axes = {a.name: a for a in stage.axes}
    for index in image.index:
        moving = [(axes[name], coeff) for name, coeff in index.axes if name in axes]
        if len(moving) == len(index.axes) == 2 and index.div == 1 and not index.values:
            (tap, one), (position, step) = sorted(moving, key=lambda term: term[1])
            if one == 1 < step and tap.extent % step == 0 and tap.reduce != position.reduce:
                stage = _split(stage, tap, step)
    return stage


def _split(stage: Stage, tap: Axis, step: int) -> Stage:
    """``tap => step * tap + phase``"""
    phase = Axis(f"{tap.name}_phase", step, tap.reduce)
    parts = {tap: (replace(tap, extent=tap.extent // step), phase)}
    place = {tap.name: Index.of(tap) * step + phase}
    stores = tuple(replace(s, index=tuple(index_at(i, place) for i in s.index)) for s in stage.stores)
    axes = tuple(new for a in stage.axes for new in parts.get(a, (a,)))
    return replace(stage, axes=axes, insts=tuple(inst_at(i, place) for i in stage.insts), stores=stores)
