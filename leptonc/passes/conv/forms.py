"""Winograd's minimal algorithms along one dimension: how a run of inputs becomes points, and products at points become results.

F(m, r) makes m neighbouring results of a kernel of r taps from m + r - 1 inputs with as many multiplications:
``y = A' ((G g) * (B' d))``. The matrices follow from the points at which the polynomials are evaluated (Toom and Cook): 0, 1, -1
and infinity for F(2, 3), without -1 for F(2, 2); for the larger ones infinity, two pairs +-x and, where there are six, 0. The pairs
make few constants and, against the usual +-1 and +-2, a third of the rounding error. Those of F(4, 2) are of few bits, so that f32
holds their powers, and such that it very nearly holds the factors of weights, too: an error of these is the same at every pixel,
and does not average out in a sum over pixels. By +-1/2 and +-5/4 such sums are wrong by a quarter more, single results by as much.

F(r, m), at the same points, makes the kernel's gradient: r neighbouring sums, of a run of inputs and m cotangents of results.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
Barabasz et al., Error Analysis and Improving the Accuracy of Winograd Convolution for Deep Neural Networks, 2018.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import sqrt

from leptonc.passes.conv.scalarcode import ScalarCode

Transform = Callable[[ScalarCode, list[int]], list[int]]


@dataclass(frozen=True)
class Form:
    """F(results, taps) along one dimension, and F(taps, results): ``cotangent`` transforms its kernel, ``gradient`` its results.
    The counts are instructions of a transform, loads and stores left out."""

    results: int
    taps: int
    input: Transform
    kernel: Transform
    output: Transform
    cotangent: Transform
    gradient: Transform
    input_work: int
    output_work: int
    cotangent_work: int
    exact_zeros: bool  # a result is made of those products alone that its own inputs make: of zeros comes zero

    @property
    def points(self) -> int:
        return self.results + self.taps - 1


@dataclass(frozen=True)
class Pairs:
    """The points +-x and +-y, by their squares, infinity, and 0 where there are six; with 0 the squares' product is 1.

    At -x the transform of kernels has the sign of that at x, whatever the polynomials say: without 0 results take differences
    where they would take sums."""

    low: float
    high: float
    zero: bool

    @property
    def _pairs(self) -> list[tuple[float, float, float]]:
        """Of each pair the positive point, its square, and the square of the other one."""
        return [(sqrt(self.low), self.low, self.high), (sqrt(self.high), self.high, self.low)]

    def input(self, c: ScalarCode, d: list[int]) -> list[int]:
        first = int(self.zero)
        halves = [(c.plus(d[first + 3], -other, d[first + 1]), c.plus(d[first + 2], -other, d[first]))
                  for _, _, other in self._pairs]
        points = [self._ends(c, d[0], d[2], d[4])] if self.zero else []
        for (x, _, _), (even, odd) in zip(self._pairs, halves):
            points += [c.plus(even, x, odd), c.plus(even, -x, odd)]
        return [*points, self._ends(c, d[first], d[first + 2], d[first + 4])]

    def _ends(self, c: ScalarCode, low: int, middle: int, high: int) -> int:
        """All points' polynomial, of which the others divide one factor out."""
        return c.add(c.plus(c.scaled(self.low * self.high, low), -(self.low + self.high), middle), high)

    def kernel(self, c: ScalarCode, g: list[int]) -> list[int]:
        points = [g[0]] if self.zero else []
        for x, x2, other in self._pairs:
            scale = 1 / (2 * (x2 if self.zero else x) * (x2 - other))
            even, odds = c.polynomial(scale, x2, g[::2]), g[1::2]
            if len(odds) == 1:
                points += [c.plus(even, scale * x, odds[0]), c.plus(even, -scale * x, odds[0])]
            else:
                odd = c.polynomial(scale * x, x2, odds)
                points += [c.add(even, odd), c.sub(even, odd)]
        return [*points, g[-1]]

    def results(self, c: ScalarCode, m: list[int], count: int) -> list[int]:
        first = int(self.zero)
        pairs = []
        for at in (first, first + 2):
            halves = c.add(m[at], m[at + 1]), c.sub(m[at], m[at + 1])
            pairs.append(halves if self.zero else halves[::-1])
        made = [c.add(c.add(m[0], pairs[0][0]) if self.zero else pairs[0][0], pairs[1][0])]
        for n in range(1, count):
            low, high = (halves[n % 2] for halves in pairs)
            x, y = ((x if n % 2 else 1.0) * x2 ** (n // 2) for x, x2, _ in self._pairs)
            made.append(c.plus(c.plus(m[-1], x, low) if n == count - 1 else c.times(x, low), y, high))
        return made

    def form(self, results: int, taps: int) -> Form:
        """With these points."""
        assert results + taps == (7 if self.zero else 6), "as many inputs as points"
        output, gradient = (partial(self.results, count=count) for count in (results, taps))
        return Form(results, taps, self.input, self.kernel, output, self.kernel, gradient,
                    input_work=12 if self.zero else 11, output_work=2 * results + (4 if self.zero else 3), cotangent_work=12,
                    exact_zeros=False)


def _input23(c: ScalarCode, d: list[int]) -> list[int]:
    return [c.sub(d[0], d[2]), c.add(d[1], d[2]), c.sub(d[2], d[1]), c.sub(d[1], d[3])]


def _kernel23(c: ScalarCode, g: list[int]) -> list[int]:
    ends = c.add(g[0], g[2])
    return [g[0], c.times(0.5, c.add(ends, g[1])), c.times(0.5, c.sub(ends, g[1])), g[2]]


def _output23(c: ScalarCode, m: list[int]) -> list[int]:
    return [c.add(c.add(m[0], m[1]), m[2]), c.sub(c.sub(m[1], m[2]), m[3])]


def _cotangent23(c: ScalarCode, g: list[int]) -> list[int]:
    half, other = c.times(0.5, g[0]), c.times(0.5, g[1])
    return [g[0], c.add(half, other), c.sub(half, other), g[1]]


def _gradient23(c: ScalarCode, m: list[int]) -> list[int]:
    both = c.add(m[1], m[2])
    return [c.add(m[0], both), c.sub(m[1], m[2]), c.sub(both, m[3])]


def _input22(c: ScalarCode, d: list[int]) -> list[int]:
    return [c.sub(d[0], d[1]), d[1], c.sub(d[2], d[1])]


def _kernel22(c: ScalarCode, g: list[int]) -> list[int]:
    return [g[0], c.add(g[0], g[1]), g[1]]


def _output22(c: ScalarCode, m: list[int]) -> list[int]:
    return [c.add(m[0], m[1]), c.add(m[1], m[2])]


F23 = Form(2, 3, _input23, _kernel23, _output23, _cotangent23, _gradient23, 4, 4, 4, True)
F43 = Pairs(0.5, 2.0, zero=True).form(4, 3)
F22 = Form(2, 2, _input22, _kernel22, _output22, _kernel22, _output22, 2, 2, 1, True)
F42 = Pairs((117 / 256) ** 2, (89 / 64) ** 2, zero=False).form(4, 2)
FORMS = {2: (F22, F42), 3: (F23, F43)}  # for kernels of so many taps
