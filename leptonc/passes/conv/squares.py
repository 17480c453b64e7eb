"""Squares of Winograd's algorithms: their points and results, and the stages' code that makes one of the other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from leptonc.ir.kernel import Apply, Axis, Index, Param, Reduce, Stage, Store, points
from leptonc.passes.conv.forms import FORMS, Form, Transform
from leptonc.passes.conv.scalarcode import ScalarCode
from leptonc.passes.loops.draft import index_at, inst_at, renumber

LEAST_CHANNELS = 8  # of both sides: with fewer the transforms cost more than the products they save
APART = 1  # unused rows between the matrices of two points: powers of two apart, they would fall into few cache sets


@dataclass(frozen=True)
class Square:
    """F(down.results x along.results, down.taps x along.taps), in two dimensions."""

    down: Form
    along: Form

    @property
    def shape(self) -> tuple[int, int]:
        return self.down.points, self.along.points

    @property
    def points(self) -> int:
        return prod(self.shape)

    @property
    def results(self) -> tuple[int, int]:
        return self.down.results, self.along.results

    def bit(self, y: int, x: int) -> int:
        """Which bit of a word is that of a result."""
        return y * self.along.points + x

    @property
    def exact_zeros(self) -> bool:
        return self.down.exact_zeros and self.along.exact_zeros


def square_forms(taps: tuple[int, int]) -> list[tuple[Form, Form]]:
    """The forms that squares may have, along columns and rows, for a kernel of so many taps."""
    down, along = taps
    return list(product(FORMS.get(down, ()), FORMS.get(along, ())))


def with_epilogue(code: ScalarCode, stage: Stage, reduce: int, total: int, place: Mapping[str, Index]) -> list[Store]:
    """What follows the Reduce of a stage, pushed for a result at a place whose sum is ``total``; its stores."""
    number = {reduce: total}
    for n, inst in enumerate(stage.insts):
        if n != reduce and _after(stage, n, reduce):
            number[n] = code.push(inst_at(renumber(inst, number), place))
    return [replace(s, index=tuple(index_at(i, place) for i in s.index), value=number[s.value]) for s in stage.stores]


def _after(stage: Stage, n: int, reduce: int) -> bool:
    """Whether an instruction is none of those that feed the sum of products alone."""
    total = stage.insts[reduce]
    assert isinstance(total, Reduce)
    inner = stage.insts[total.arg]
    assert isinstance(inner, Apply)
    return n != total.arg and n not in inner.args


class SquareBits:
    """Which elements of a square are not 0, as bits, ``pitch`` to a row, of two words: of all rows but the last one, and of all but
    the first."""

    def __init__(self, code: ScalarCode, plan: Square):
        self.code = code
        self.rows, self.pitch = plan.down.points - 1, plan.along.points
        self.most, self.last = code.number(0), code.number(0)

    def take(self, y: int, x: int, value: int) -> None:
        """See an element, in a row and column of the square."""
        found = self.code.is_set(value)
        if y < self.rows:
            self.most = self.code.with_bit(self.most, y * self.pitch + x, found)
        else:
            self.last = self.code.with_bit(self.last, (y - 1) * self.pitch + x, found)

    @property
    def words(self) -> tuple[int, int]:
        return self.most, self.code.integer("or", self.code.moved(self.most, self.pitch), self.last)


def at_points(into: Param, square: Sequence[Sequence[int]], index: tuple[Index, ...],
              point: Callable[[int], Index] = Index.of) -> tuple[Store, ...]:
    """Stores of a square's values, at points that are numbered row by row; ``point`` says where of ``into`` each one lies."""
    values = [value for row in square for value in row]
    return tuple(Store(into.name, (point(q), *index), value) for q, value in enumerate(values))


def row_major(axes: Sequence[Axis]) -> Index:
    """The number of a point of some axes."""
    total = Index()
    for axis in axes:
        total = total * axis.extent + axis
    return total


def joined(axes: Sequence[Axis]) -> Axis:
    """One axis for some that are all folded or all not."""
    return axes[0] if len(axes) == 1 else replace(axes[-1], extent=points(axes))


def transformed(code: ScalarCode, element: Callable[[int, int], int], shape: tuple[int, int], down: Transform,
                along: Transform) -> list[list[int]]:
    """A transform of every column, then of every row. ``element(y, x)`` makes one where it is wanted: a column at a time, or a
    square would not stay in registers. """
    columns = [down(code, [element(y, x) for y in range(shape[0])]) for x in range(shape[1])]
    return [along(code, [column[y] for column in columns]) for y in range(len(columns[0]))]
