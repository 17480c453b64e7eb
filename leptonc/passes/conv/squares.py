"""Winograd's minimal algorithms for three taps: how a run of inputs becomes points, and products at points become results.

F(m, 3) makes m neighbouring results of a kernel of three taps from m + 2 inputs with m + 2 multiplications:
``y = A' ((G g) * (B' d))``. A square is transformed along its columns, then along its rows. The matrices follow from the
points at which the polynomials are evaluated (Toom and Cook): 0, 1, -1 and infinity for F(2, 3); for F(4, 3) 0, infinity and
+-sqrt(1/2), +-sqrt(2), which make few constants and, against the usual +-1, +-2, a third of the rounding error.

F(3, m), at the same points, makes the kernel's gradient: three neighbouring sums, of a run of inputs and m cotangents of results.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
Barabasz et al., Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks, 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import prod, sqrt

from leptonc.ir.kernel import Apply, Const, Index, Inst, Load, Param, Reduce, Stage, Store
from leptonc.ir.types import DType, bool_, i32
from leptonc.passes.loops.draft import index_at, inst_at, renumber

TAPS = 3
LEAST_CHANNELS = 8  # of both sides: with fewer the transforms cost more than the products they save
APART = 1  # unused rows between the matrices of two points: powers of two apart, they would fall into few cache sets


class ScalarCode:
    """Straight-line scalar code under construction."""

    def __init__(self, dtype: DType):
        self.dtype = dtype
        self.insts: list[Inst] = []

    def push(self, inst: Inst) -> int:
        self.insts.append(inst)
        return len(self.insts) - 1

    def load(self, load: Load, casts: Sequence[DType]) -> int:
        """What is loaded, after casts."""
        value = self.push(load)
        for dtype in casts:
            value = self.push(Apply("cast", (value,), dtype))
        return value

    def add(self, x: int, y: int) -> int:
        return self.push(Apply("add", (x, y), self.dtype))

    def sub(self, x: int, y: int) -> int:
        return self.push(Apply("sub", (x, y), self.dtype))

    def times(self, factor: float, x: int) -> int:
        return self.push(Apply("mul", (self.push(Const(factor, self.dtype)), x), self.dtype))

    def full(self, condition: int) -> int:
        """A word of bits that are all set under a condition."""
        return self.push(Apply("select", (condition, self.number(-1), self.number(0)), i32))

    def integer(self, op: str, x: int, y: int) -> int:
        return self.push(Apply(op, (x, y), i32))

    def number(self, value: int) -> int:
        return self.push(Const(value, i32))

    def is_set(self, x: int) -> int:
        """Whether an element, or a word, is not 0."""
        zero = self.push(Const(0, self.insts[x].dtype))
        return self.push(Apply("ne", (x, zero), bool_))

    def with_bit(self, word: int, bit: int, condition: int) -> int:
        """The word, with a bit set under a condition."""
        return self.push(Apply("select", (condition, self.integer("or", word, self.number(1 << bit)), word), i32))

    def has_bit(self, word: int, bit: int) -> int:
        return self.is_set(self.integer("and", word, self.number(1 << bit)))

    def joined(self, words: Iterable[int]) -> int:
        return reduce(lambda x, y: self.integer("or", x, y), words)

    def moved(self, word: int, bits: int) -> int:
        """The word with its bits so many places lower."""
        return self.integer("shr_logical", word, self.number(bits)) if bits else word

    def is_wild(self, x: int) -> int:
        """Whether an element is infinite or no number: times 0 it is none."""
        return self.push(Apply("isnan", (self.sub(x, x),), bool_))

    def kept(self, total: int, condition: int) -> int:
        """A sum under a condition, else 0."""
        return self.push(Apply("select", (condition, total, self.push(Const(0.0, self.dtype))), self.dtype))

    def plus(self, x: int, factor: float, y: int) -> int:
        """``x + factor * y``, one instruction where the target has it; the product is no one else's, so that it can be."""
        return self.add(x, self.times(factor, y))


Transform = Callable[[ScalarCode, list[int]], list[int]]


@dataclass(frozen=True)
class Form:
    """F(results, 3) along one dimension, and F(3, results): ``cotangent`` transforms its kernel, ``taps`` its results. The
    counts are instructions of a transform, loads and stores left out."""

    results: int
    input: Transform
    kernel: Transform
    output: Transform
    cotangent: Transform
    taps: Transform
    input_work: int
    output_work: int
    cotangent_work: int
    exact_zeros: bool  # a result is made of those products alone that its own inputs make: of zeros comes zero

    @property
    def points(self) -> int:
        return self.results + TAPS - 1


@dataclass(frozen=True)
class Square:
    """F(down.results x along.results, 3 x 3), in two dimensions."""

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


def _input2(c: ScalarCode, d: list[int]) -> list[int]:
    return [c.sub(d[0], d[2]), c.add(d[1], d[2]), c.sub(d[2], d[1]), c.sub(d[1], d[3])]


def _kernel2(c: ScalarCode, g: list[int]) -> list[int]:
    ends = c.add(g[0], g[2])
    return [g[0], c.times(0.5, c.add(ends, g[1])), c.times(0.5, c.sub(ends, g[1])), g[2]]


def _output2(c: ScalarCode, m: list[int]) -> list[int]:
    return [c.add(c.add(m[0], m[1]), m[2]), c.sub(c.sub(m[1], m[2]), m[3])]


def _cotangent2(c: ScalarCode, g: list[int]) -> list[int]:
    half, other = c.times(0.5, g[0]), c.times(0.5, g[1])
    return [g[0], c.add(half, other), c.sub(half, other), g[1]]


def _taps2(c: ScalarCode, m: list[int]) -> list[int]:
    both = c.add(m[1], m[2])
    return [c.add(m[0], both), c.sub(m[1], m[2]), c.sub(both, m[3])]


# Points +-LOW and +-HIGH: LOW * HIGH = 1, and their squares and the sum of these are exact.
LOW, HIGH = sqrt(0.5), sqrt(2.0)
LOW2, HIGH2 = 0.5, 2.0


def _input4(c: ScalarCode, d: list[int]) -> list[int]:
    low, low_odd = c.plus(d[4], -HIGH2, d[2]), c.plus(d[3], -HIGH2, d[1])
    high, high_odd = c.plus(d[4], -LOW2, d[2]), c.plus(d[3], -LOW2, d[1])
    return [
        c.add(c.plus(d[0], -(LOW2 + HIGH2), d[2]), d[4]),
        c.plus(low, LOW, low_odd), c.plus(low, -LOW, low_odd),
        c.plus(high, HIGH, high_odd), c.plus(high, -HIGH, high_odd),
        c.add(c.plus(d[1], -(LOW2 + HIGH2), d[3]), d[5]),
    ]


def _kernel4(c: ScalarCode, g: list[int]) -> list[int]:
    points = [g[0]]
    for x, x2, other in ((LOW, LOW2, HIGH2), (HIGH, HIGH2, LOW2)):
        scale = 1 / (2 * x2 * (x2 - other))
        even = c.plus(c.times(scale, g[0]), scale * x2, g[2])
        points += [c.plus(even, scale * x, g[1]), c.plus(even, -scale * x, g[1])]
    return [*points, g[2]]


def _output4(c: ScalarCode, m: list[int]) -> list[int]:
    low, low_odd = c.add(m[1], m[2]), c.sub(m[1], m[2])
    high, high_odd = c.add(m[3], m[4]), c.sub(m[3], m[4])
    return [
        c.add(c.add(m[0], low), high),
        c.plus(c.times(LOW, low_odd), HIGH, high_odd),
        c.plus(c.times(LOW2, low), HIGH2, high),
        c.plus(c.plus(m[5], LOW * LOW2, low_odd), HIGH * HIGH2, high_odd),
    ]


def _cotangent4(c: ScalarCode, g: list[int]) -> list[int]:
    points = [g[0]]
    for x, x2, other in ((LOW, LOW2, HIGH2), (HIGH, HIGH2, LOW2)):
        scale = 1 / (2 * x2 * (x2 - other))
        even = c.plus(c.times(scale, g[0]), scale * x2, g[2])
        odd = c.plus(c.times(scale * x, g[1]), scale * x * x2, g[3])
        points += [c.add(even, odd), c.sub(even, odd)]
    return [*points, g[3]]


def _taps4(c: ScalarCode, m: list[int]) -> list[int]:
    low, low_odd = c.add(m[1], m[2]), c.sub(m[1], m[2])
    high, high_odd = c.add(m[3], m[4]), c.sub(m[3], m[4])
    return [
        c.add(c.add(m[0], low), high),
        c.plus(c.times(LOW, low_odd), HIGH, high_odd),
        c.plus(c.plus(m[5], LOW2, low), HIGH2, high),
    ]


F2 = Form(2, _input2, _kernel2, _output2, _cotangent2, _taps2, 4, 4, 4, True)
F4 = Form(4, _input4, _kernel4, _output4, _cotangent4, _taps4, 12, 12, 12, False)


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


def at_points(into: Param, square: Sequence[Sequence[int]], index: tuple[Index, ...]) -> tuple[Store, ...]:
    """Stores of a square's values, at points that are numbered row by row."""
    values = [value for row in square for value in row]
    return tuple(Store(into.name, (Index(offset=q), *index), value) for q, value in enumerate(values))


def transformed(code: ScalarCode, element: Callable[[int, int], int], shape: tuple[int, int], down: Transform,
                along: Transform) -> list[list[int]]:
    """A transform of every column, then of every row. ``element(y, x)`` makes one where it is wanted: a column at a time, or a
    square would not stay in registers. """
    columns = [down(code, [element(y, x) for y in range(shape[0])]) for x in range(shape[1])]
    return [along(code, [column[y] for column in columns]) for y in range(len(columns[0]))]
