"""How far results may differ where a step rounds otherwise: seen by running with every rounding off by a random part of one.

Where the result of a comparison hangs on a rounding (a tie for a maximum), this shows as a large deviation there, and nothing is
claimed of that element.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from leptonc.ir.control import Control
from leptonc.ir.evaluate import evaluate
from leptonc.ir.graph import Graph
from leptonc.ir.kernel import Apply, Inst, Program
from leptonc.ir.types import FLOATS8, TensorType, bf16, f16, f32, f64, in_reals, out_of_reals
from leptonc.validation.compare import default_tolerance
from leptonc.validation.execution import Runner

RUNS = 3
MARGIN = 64  # times the largest deviation seen: squares of a Winograd convolution lose up to a digit more than direct sums.
# A sum of n terms is off in a run by a roundoff or two of the sum of magnitudes, n / ALIKE of them if there are many terms: with
# the margin by n / 2 or more, which is what n additions one after the other may lose.
USUAL = 0.9  # the quantile of a result's deviations that any of its elements may have
TINY = 1e-30  # f32 results below it may be flushed to zero, or their operands
EXACT = frozenset({"neg", "abs", "max", "min", "select", "floor", "ceil", "round", "trunc", "sign"})
WHOLE = 1 << 24  # integers up to it are floats


@dataclass(frozen=True)
class Precision:
    """``unit`` of roundoff, the ``greatest`` number, and a ``tiny`` one: results below it may be flushed, or lose digits."""

    unit: float
    greatest: float
    tiny: float


F64 = Precision(2.0 ** -52, f64.greatest, TINY)
F32 = Precision(2.0 ** -24, f32.greatest, TINY)
PRECISIONS = {f64: F64, f32: F32, f16: Precision(2.0 ** -11, f16.greatest, 2.0 ** -24),
              bf16: Precision(2.0 ** -8, bf16.greatest, TINY),
              **{t: Precision(2.0 ** -(t.format.mantissa + 1), t.greatest, 2.0 ** (1 - t.format.bias - t.format.mantissa))
                 for t in FLOATS8}}


class Noise:
    """Each float result but those of exact instructions is off by ``unit`` of itself, a sum of its magnitudes, or by half as much:
    were it less, a result that few roundings make would be held to what three draws happen to be."""

    def __init__(self, unit: float, seed: int):
        self.unit, self.rng = unit, np.random.default_rng(seed)
        self.casts = unit > F32.unit  # to floats of 16 bits

    def __call__(self, inst: Inst, value: np.ndarray, size: np.ndarray | None) -> np.ndarray:
        if isinstance(inst, Apply) and inst.op in EXACT:
            return value
        if isinstance(inst, Apply) and inst.op == "cast" and not self.casts:
            size = np.where(np.abs(value) > WHOLE, value, 0.0)
        with np.errstate(all="ignore"):
            off = self.unit * self._off(value.shape) * (value if size is None else 2 * size)
            return np.asarray(value + off).astype(value.dtype, copy=False)

    def _off(self, shape: tuple[int, ...]) -> np.ndarray:
        drawn = self.rng.uniform(-1, 1, shape)
        return np.asarray((drawn + np.sign(drawn)) / 2)

    def of(self, value: np.ndarray) -> np.ndarray:
        """A tensor each of whose elements is off; of complex numbers each part that is not 0, by so much of the whole."""
        if value.dtype.kind not in "fc":
            return value
        with np.errstate(all="ignore"):
            parts = in_reals(value)
            size = parts if parts is value else np.where(parts == 0, 0, np.abs(value)[..., None])
            off = self.unit * self._off(parts.shape) * size
            whole = np.asarray(parts + off).astype(parts.dtype, copy=False)
        return whole if parts is value else np.ascontiguousarray(whole).view(value.dtype).reshape(value.shape)


def precision_of(types: Sequence[TensorType]) -> Precision:
    """That of the coarsest float among them, of whichever has the least range."""
    found = [PRECISIONS[dtype] for dtype in {t.dtype.real for t in types} & PRECISIONS.keys()] or [F64]
    return Precision(max(p.unit for p in found), min(p.greatest for p in found), max(p.tiny for p in found))


def types_of(ir: Any) -> list[TensorType]:
    """The types of all values of a graph, of all buffers and instructions of a program."""
    if isinstance(ir, Graph):
        return [*ir.types.values(), *chain.from_iterable(types_of(region) for node in ir.nodes for region in node.regions)]
    insts = {i.dtype for call in ir.calls for stage in call.kernel.stages for i in stage.insts}
    bodies = [body for call in ir.calls if isinstance(call.kernel, Control) for body in call.kernel.bodies]
    return [*(b.type for b in ir.buffers), *(TensorType((), dtype) for dtype in insts), *chain.from_iterable(map(types_of, bodies))]


def tolerance(runner: Runner, ir: Any, arrays: Sequence[np.ndarray], expected: Sequence[np.ndarray], kept: Precision,
              ) -> list[np.ndarray]:
    """How far each element of the results may be off, for such rounding. ``arrays`` are in f64."""
    runs = [_run(runner, ir, arrays, kept.unit, seed) for seed in range(RUNS)]
    return [_limit(want, [run[n] for run in runs], kept) for n, want in enumerate(expected)]


def _run(runner: Runner, ir: Any, arrays: Sequence[np.ndarray], unit: float, seed: int) -> list[np.ndarray]:
    wide = runner.widened(ir)
    noise = Noise(unit, seed)
    with np.errstate(all="ignore"):
        if isinstance(wide, Program):
            env = runner.buffers(wide, arrays, noise)
            return [out_of_reals(env[n], wide.buffers[n].type) for n in wide.outputs]
        return evaluate(wide, [noise.of(a) for a in arrays], noise.of)


def _limit(want: np.ndarray, runs: list[np.ndarray], kept: Precision) -> np.ndarray:
    """Infinite where nothing is claimed: a run is not finite, or the result itself is none of the floats there are."""
    want, runs = in_reals(want), list(map(in_reals, runs))
    if want.dtype.kind != "f":
        return np.zeros(())
    with np.errstate(all="ignore"):
        off = np.max([np.where(np.isfinite(run), np.abs(run - want), np.inf) for run in runs], 0)
        off = np.where(np.isfinite(want) & (np.abs(want) > kept.greatest / 2), np.inf, off)
    finite = off[np.isfinite(off)]
    usual = np.quantile(finite, USUAL) if finite.size else 0.0
    return np.asarray(MARGIN * np.maximum(off, usual) + kept.tiny + default_tolerance(want))
