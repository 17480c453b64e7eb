"""Gradients of a depthwise convolution's weights, all taps of a channel at once.

    w[ky, kx, c] = sum over n, y, x of a[n, y + ky, x + kx, c] * g[n, y, x, c]

is no product of matrices: no axis moves ``g`` alone, so nothing is shared by a register tile. Tap by tap, both images would be read
as often as there are taps. Written out, with a sum for each tap, they pass through the cache once and the sums stay in registers:

    for every c:
      w[0, 0, c], w[0, 1, c] ... = sum over n, y, x of a[n, y, x, c] * g[n, y, x, c], a[n, y, x + 1, c] * g[n, y, x, c] ...
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import prod

from leptonc.ir.kernel import Axis, Index, Inst, Program, Stage, Store
from leptonc.ir.structure import product_sum
from leptonc.passes.loops.draft import Draft, Task, index_at, inst_at, renumber, renumber_store, tidy

LEAST_POINTS = 64  # of the sum: before and after it something is done for each tap


@dataclass(frozen=True)
class WriteOutTaps:
    """``most``: taps whose sums stay in registers; ``insts``: longest body. The channels must lie next to each other, and be
    ``channels`` or more, for what is written out to run in vectors along them."""

    most: int = 16
    insts: int = 512
    channels: int = 8
    name: str = "write-out-taps"

    def __call__(self, program: Program) -> Program:
        draft = Draft(program)
        draft.tasks = [self._written_out(task) for task in draft.tasks]
        return draft.finish()

    def _written_out(self, task: Task) -> Task:
        stage = task.stage
        taps = [] if stage is None else self._taps(task, stage)
        if stage is None or not taps or len(stage.insts) * prod(a.extent for a in taps) > self.insts:
            return task
        return replace(task, kernel=replace(task.kernel, stages=(_written_out(stage, taps),)))

    def _taps(self, task: Task, stage: Stage) -> list[Axis]:
        """The map axes that move one operand of a sum of products alone, if the others all move both; else none."""
        found = product_sum(stage.insts)
        if found is None or prod(a.extent for a in stage.reduce_axes) < LEAST_POINTS:
            return []
        if any(i.values or i.div != 1 for load in found.factors for i in load.index):
            return []
        if any(s.accumulate or s.masked for s in stage.stores) or any(p.init is not None for p in task.kernel.params):
            return []
        moved = [{a.name for a in stage.map_axes if any(i.coeff(a.name) for i in load.index)} for load in found.factors]
        alone = moved[0] ^ moved[1]
        if alone & moved[0] and alone & moved[1]:
            return []  # a product of matrices
        taps = [a for a in stage.map_axes if a.name in alone]
        if not all(load.index for load in found.factors):
            return []  # a number is a factor
        inside = all(load.index[-1].coeff(a.name) == 1 for load in found.factors for a in stage.map_axes[-1:])
        wide = bool(stage.map_axes) and stage.map_axes[-1] not in taps and stage.map_axes[-1].extent >= self.channels
        return taps if inside and wide and 1 < prod(a.extent for a in taps) <= self.most else []


def _written_out(stage: Stage, taps: list[Axis]) -> Stage:
    """The body once for each tap; what they have in common, once."""
    insts, stores = list[Inst](), list[Store]()
    for at in product(*(range(a.extent) for a in taps)):
        place = {a.name: Index(offset=n) for a, n in zip(taps, at)}
        number: dict[int, int] = {}
        for n, inst in enumerate(stage.insts):
            number[n] = len(insts)
            insts.append(inst_at(renumber(inst, number), place))
        for store in stage.stores:
            moved = renumber_store(store, number)
            stores.append(replace(moved, index=tuple(index_at(i, place) for i in moved.index)))
    return tidy(Stage(tuple(a for a in stage.axes if a not in taps), tuple(insts), tuple(stores)))
