"""A step of the compiler claims that what it makes computes the same. Checking that, and the least that shows where it does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np

from leptonc.errors import LeptonError
from leptonc.ir.graph import Graph
from leptonc.ir.kernel import Program
from leptonc.ir.types import TensorType, f32, in_reals
from leptonc.validation.compare import Difference, difference
from leptonc.validation.execution import Runner, wide_arrays
from leptonc.validation.inputs import Kind
from leptonc.validation.rounding import F64, precision_of, tolerance, types_of
from leptonc.validation.slices import slices

Arrays = Sequence[np.ndarray]
ROUNDING, SPECIAL_VALUES = "rounding", "special values"
FINE = replace(F64, unit=2.0 ** -50)  # rounding in f64, between orders of one sum
SQUARED = 1e18  # of numbers up to it, squares are numbers in f32
BREAKS = (LeptonError, IndexError, KeyError, ValueError, TypeError, ZeroDivisionError, AttributeError, AssertionError)
"""What running a wrong program, or a pass on a part of one, may raise."""


@dataclass(frozen=True)
class Claim:
    """``rewrite(before)`` gives what was made of it, which ``run`` runs; results in f64 or in its own types.
    ``changes``: what it need not preserve. ``most``: so many parts of a program are tried to find the least that fails.
    ``signs``: the signs of zeros are preserved."""

    step: str
    rewrite: Callable[[Any], Any]
    run: Callable[[Any, Arrays], list[np.ndarray]]
    changes: frozenset[str] = frozenset()
    most: int = 200
    signs: bool = False

    def covers(self, kind: Kind) -> bool:
        return not (kind.special and SPECIAL_VALUES in self.changes)


@dataclass(frozen=True)
class Finding:
    """``arrays``: inputs of ``before``, in f64, that show the difference."""

    step: str
    kind: Kind
    seed: int
    difference: Difference
    before: Any
    after: Any
    arrays: list[np.ndarray]
    whole: Difference


def check(runner: Runner, claim: Claim, before: Any, after: Any, kind: Kind, arrays: Arrays, want: Arrays) -> Difference | None:
    """``arrays`` in f64; ``want``: what ``before`` makes of them. With ties, what is found may be due to rounding unless
    ``is_exact`` says that there is none."""
    try:
        have = wide_arrays(claim.run(after, arrays))
    except BREAKS as error:
        return Difference(0, (), "a result", f"{type(error).__name__}: {str(error)[:300]}", 1, 1)
    found = difference(want, have, signs=claim.signs and kind.special)
    if found is None or kind.ties or (kind.special and ROUNDING not in claim.changes):
        return found
    kept = precision_of(types_of(before)) if ROUNDING in claim.changes else FINE
    if kept != FINE and _overflows(runner, before, arrays):
        return None
    return difference(want, have, tolerance(runner, before, arrays, want, kept))


def _overflows(runner: Runner, ir: Any, arrays: Arrays) -> bool:
    """Whether what a program in f32 computes may be too large for it: f64 has room for values and squares that f32 has not. Of f16,
    all that is stored is looked at."""
    greatest = precision_of(types_of(ir)).greatest
    if greatest >= F64.greatest:
        return False
    with np.errstate(all="ignore"):
        floats = [v for v in map(in_reals, runner.values(ir, arrays).values()) if v.dtype.kind == "f"]
        return any(bool((np.isfinite(v) & (np.abs(v) > min(greatest, SQUARED))).any()) for v in floats)


def is_exact(runner: Runner, ir: Any, arrays: Arrays) -> bool:
    """Whether every value has so few digits that nothing can have been rounded, in f64 or in its own type: then the order of sums
    does not matter, and a tie is one for everybody."""
    values = [in_reals(v) for v in runner.values(ir, arrays).values()]
    kinds = [f32.numpy, *{t.dtype.numpy for t in types_of(ir) if t.dtype.is_narrow}]
    with np.errstate(all="ignore"):
        return all(np.array_equal(v.astype(kind).astype(v.dtype), v) for v in values if v.dtype.kind == "f" for kind in kinds)


def _both_exact(runner: Runner, before: Any, after: Any, arrays: Arrays) -> bool:
    """Machine code is as exact as its program."""
    return all(is_exact(runner, ir, arrays) for ir in (before, after) if isinstance(ir, Graph | Program))


def narrowed(types: Sequence[TensorType], arrays: Arrays) -> list[np.ndarray]:
    return [np.asarray(a).astype(t.dtype.numpy, copy=False) for t, a in zip(types, arrays)]


def input_types(ir: Any) -> list[TensorType]:
    return list(ir.input_types) if isinstance(ir, Graph) else [ir.buffers[n].type for n in ir.inputs]


def least(runner: Runner, claim: Claim, before: Any, after: Any, kind: Kind, seed: int, arrays: Arrays, whole: Difference,
          ) -> Finding | None:
    """The smallest part found that the step gets wrong as well, on inputs with as many zeros as will do. None if it was a matter of
    ties that rounding decides."""
    exact = not kind.ties or _both_exact(runner, before, after, arrays)
    if not exact and ROUNDING in claim.changes:
        return None
    finding = Finding(claim.step, kind, seed, whole, before, after, list(arrays), whole) if exact else None
    for part in islice(slices(runner, before, arrays), claim.most):
        inputs = wide_arrays(narrowed(input_types(part.ir), part.arrays))
        found = _try(runner, claim, part.ir, kind, inputs)
        if found is not None:
            finding = Finding(claim.step, kind, seed, found[1], part.ir, found[0], inputs, whole)
            break
    return None if finding is None else _with_zeros(runner, claim, finding)


def _try(runner: Runner, claim: Claim, before: Any, kind: Kind, arrays: Arrays) -> tuple[Any, Difference] | None:
    """What the step makes of ``before``, if that is wrong. A part on which it fails or that cannot run shows nothing."""
    try:
        after = claim.rewrite(before)
        want = runner.outputs(before, arrays)
    except BREAKS:
        return None
    found = check(runner, claim, before, after, kind, arrays, want)
    return None if found is None or (kind.ties and not _both_exact(runner, before, after, arrays)) else (after, found)


ZEROING_TRIES = 40


def _with_zeros(runner: Runner, claim: Claim, finding: Finding) -> Finding:
    """Inputs set to zero, whole or in halves of halves, as long as the difference stays."""
    work = [(n, 0, a.size) for n, a in enumerate(finding.arrays) if a.size]
    for _ in range(ZEROING_TRIES):
        if not work:
            break
        n, start, stop = work.pop(0)
        if not np.any(finding.arrays[n].reshape(-1)[start:stop]):
            continue
        trial = [a.copy() for a in finding.arrays]
        trial[n].reshape(-1)[start:stop] = 0
        found = _again(runner, claim, finding, trial)
        if found is not None:
            finding = replace(finding, arrays=trial, difference=found)
        elif stop - start > 1:
            middle = (start + stop) // 2
            work += [(n, start, middle), (n, middle, stop)]
    return finding


def _again(runner: Runner, claim: Claim, finding: Finding, arrays: list[np.ndarray]) -> Difference | None:
    try:
        want = runner.outputs(finding.before, arrays)
    except BREAKS:
        return None
    return check(runner, claim, finding.before, finding.after, finding.kind, arrays, want)
