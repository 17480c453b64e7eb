"""Bitonic sorting networks, vectorised over rows: a register holds the same place of as many rows as it has lanes.

Sorted runs double: two of them are merged by comparing places that mirror each other, then places half as far apart, and so on.
Every comparison puts the lesser record first, so what is missing behind the end of a row counts as greater than all else, and is
not there. Blocks of some records are sorted, and the last steps of each merge done, in registers.

Where a row's first few are wanted, runs are sorted that hold as many. Of the first run and another one the lesser records of places
that mirror each other are the least of both, and as easily put in order as two runs are merged; so with one run after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log2

from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.sorting.plan import SortPlan
from leptonc.codegen.sorting.records import RecordEmitter

Pair = tuple[int, int]


def mirrored(size: int) -> list[Pair]:
    return [(n, size - 1 - n) for n in range(size // 2)]


def halves(block: int, distance: int) -> list[Pair]:
    return [(start + n, start + n + distance) for start in range(0, block, 2 * distance) for n in range(distance)]


def merge_steps(block: int, size: int) -> Iterator[Pair]:
    """The comparisons that merge two sorted halves of each ``size`` records, after the mirrored ones."""
    distance = size // 4
    while distance:
        yield from halves(block, distance)
        distance //= 2


def block_pairs(block: int) -> list[Pair]:
    """The comparisons that sort a block."""
    pairs, size = list[Pair](), 2
    while size <= block:
        pairs += [(start + a, start + b) for start in range(0, block, size) for a, b in mirrored(size)]
        pairs += merge_steps(block, size)
        size *= 2
    return pairs


class NetworkEmitter:
    """Sorts ``plan.padded`` records of as many rows as there are lanes, which lie at ``base``."""

    def __init__(self, e: Emitter, plan: SortPlan, base: str):
        self.e, self.plan, self.base = e, plan, base
        self.records = RecordEmitter(e, plan.records, plan.lanes)
        self.size = plan.padded

    def emit(self) -> None:
        e, block = self.e, self.plan.block
        self._in_blocks(block_pairs(block), self.size)
        with e.loop("level", "0", str(int(log2(self.plan.run // block)))) as level:
            half = e.let(f"shl i64 {block}, {level}", "half")
            self._mirror(half)
            with e.loop("step", "1", e.add(level, "1")) as step:
                self._compare_halves(e.let(f"lshr i64 {half}, {step}", "distance"), self.size)
            self._last_steps(self.size)
        with e.loop("other", str(self.plan.run), str(self.size), self.plan.run) as start:
            self._keep_least(start)

    def _keep_least(self, start: str) -> None:
        """Of the first run and that which begins at ``start``, in order in the first."""
        e, run = self.e, self.plan.run
        last = e.add(start, str(run - 1))
        over = e.let(f"sub i64 {last}, {self.size - 1}", "over")
        with e.loop("place", self._greater(over, "0"), str(run)) as n:
            mirror = e.let(f"sub i64 {last}, {n}", "mirror")
            least, _ = self._ordered(self.records.load(self.base, n), self.records.load(self.base, mirror))
            self.records.store(self.base, n, least)
        distance = run // 2
        while distance >= self.plan.block:
            self._compare_halves(str(distance), run)
            distance //= 2
        self._last_steps(run)

    def _last_steps(self, size: int) -> None:
        block = self.plan.block
        self._in_blocks([*halves(block, block // 2), *merge_steps(block, block)], size)

    def _in_blocks(self, pairs: list[Pair], size: int) -> None:
        """Comparisons within every block, in registers."""
        with self.e.loop("block", "0", str(size), self.plan.block) as start:
            places = [self.e.add(start, str(n)) for n in range(self.plan.block)]
            held = [self.records.load(self.base, place) for place in places]
            for a, b in pairs:
                held[a], held[b] = self._ordered(held[a], held[b])
            for place, words in zip(places, held):
                self.records.store(self.base, place, words)

    def _mirror(self, half: str) -> None:
        """Places of two sorted runs that mirror each other."""
        e = self.e
        double = e.let(f"shl i64 {half}, 1", "double")
        runs = e.let(f"udiv i64 {e.add(str(self.size - 1), double)}, {double}", "runs")
        with e.loop("run", "0", runs) as run:
            start = e.mul(run, double)
            last = e.add(e.add(start, double), "-1")
            over = e.let(f"sub i64 {last}, {self.size - 1}", "over")
            with e.loop("place", self._greater(over, "0"), half) as n:
                self._compare(e.add(start, n), e.let(f"sub i64 {last}, {n}", "mirror"))

    def _compare_halves(self, distance: str, size: int) -> None:
        """Places so far apart, in every two runs of that length."""
        e = self.e
        double = e.let(f"shl i64 {distance}, 1", "double")
        runs = e.let(f"udiv i64 {e.add(str(size - 1), double)}, {double}", "runs")
        with e.loop("run", "0", runs) as run:
            start = e.mul(run, double)
            second = e.add(start, distance)
            left = e.let(f"sub i64 {size}, {second}", "left")
            count = e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {left}, i64 {distance}", "count")
            with e.loop("place", "0", count) as n:
                self._compare(e.add(start, n), e.add(second, n))

    def _greater(self, x: str, y: str) -> str:
        return self.e.call("i64 @llvm.smax.i64(i64, i64)", f"i64 {x}, i64 {y}", "greater")

    def _compare(self, first: str, second: str) -> None:
        words = [self.records.load(self.base, place) for place in (first, second)]
        for place, found in zip((first, second), self._ordered(*words)):
            self.records.store(self.base, place, found)

    def _ordered(self, a: list[str], b: list[str]) -> tuple[list[str], list[str]]:
        """The lesser of each two records and the greater."""
        if len(a) == 1:
            return [self._extreme("umin", a[0], b[0])], [self._extreme("umax", a[0], b[0])]
        ints, e = self.records.ints, self.e
        less = ints.test("ult", a[-1], b[-1])
        for x, y in zip(a[-2::-1], b[-2::-1]):
            same = e.let(f"and {ints.bools} {ints.test('eq', x, y)}, {less}", "same")
            less = e.let(f"or {ints.bools} {ints.test('ult', x, y)}, {same}", "less")
        low = [ints.select(less, x, y) for x, y in zip(a, b)]
        return low, [ints.select(less, y, x) for x, y in zip(a, b)]

    def _extreme(self, kind: str, x: str, y: str) -> str:
        type_, lanes, bits = self.records.type, self.records.lanes, self.records.records.bits
        name = f"@llvm.{kind}.v{lanes}i{bits}" if lanes > 1 else f"@llvm.{kind}.i{bits}"
        return self.e.call(f"{type_} {name}({type_}, {type_})", f"{type_} {x}, {type_} {y}", kind)
