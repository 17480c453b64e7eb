"""The items of a sort: rows, or as many at once as a register has lanes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.sorting.network import NetworkEmitter
from leptonc.codegen.sorting.plan import SortPlan
from leptonc.codegen.sorting.radix import radix_function
from leptonc.codegen.sorting.records import RecordEmitter
from leptonc.codegen.sorting.rows import Row, RowEmitter
from leptonc.codegen.sorting.select import SelectEmitter


class SortEmitter:
    """Emits the items of one sort; ``scratch`` is the thread's own."""

    def __init__(self, e: Emitter, plan: SortPlan, pointers: dict[str, str], scratch: str):
        self.e, self.plan, self.scratch = e, plan, scratch
        self.rows = RowEmitter(e, plan, pointers)

    def emit(self, begin: str, end: str) -> None:
        """All items from ``begin`` to ``end``."""
        with self.e.loop("item", begin, end) as item:
            if self.plan.method == "network":
                self._network(item)
            else:
                inner, outer = self.e.digit(item, self.plan.kernel.shape[2])
                self._row(Row(outer, inner))

    def _row(self, row: Row) -> None:
        sides = [self._scratch_at(n) for n in (0, self.plan.second_at, self.plan.counts_at)]
        name = radix_function(self.e, self.plan.records, self.plan.passes)
        if self.plan.method == "select":
            first = SelectEmitter(self.e, self.plan, self.rows, sides, self._scratch_at(self.plan.state_at), name).emit(row)
        else:
            starts, n = self.rows.starts(self.plan.kernel.inputs, row), str(self.plan.kernel.shape[1])
            with self.e.loop("element", "0", n) as j:
                self.rows.records.store(sides[0], j, self.rows.record(starts, j))
            first = self.e.let(f"call ptr {name}({', '.join(f'ptr {side}' for side in sides)}, i64 {n})", "sorted")
        self.rows.write(row, lambda j: self.rows.records.load(first, j))

    def _scratch_at(self, offset: int) -> str:
        return self.e.let(f"getelementptr i8, ptr {self.scratch}, i64 {offset}", "scratch")

    # Rows side by side

    def _network(self, item: str) -> None:
        with self._lane(item) as (lane, row):
            starts = self.rows.starts(self.plan.kernel.inputs, row)
            with self.e.loop("element", "0", str(self.plan.kernel.shape[1])) as j:
                self._store(lane, j, self.rows.record(starts, j))
        records = RecordEmitter(self.e, self.plan.records, self.plan.lanes)
        with self.e.loop("missing", str(self.plan.kernel.shape[1]), str(self.plan.padded)) as j:
            records.store(self.scratch, j, records.greatest())
        NetworkEmitter(self.e, self.plan, self.scratch).emit()
        with self._lane(item) as (lane, row):
            self.rows.write(row, lambda j: self._load(lane, j))

    @contextmanager
    def _lane(self, item: str) -> Iterator[tuple[str, Row]]:
        """Every lane with its row; lanes behind the last row have that once more."""
        outer, _, inner = self.plan.kernel.shape
        along_outer = self.plan.across == "o"
        blocks = inner if along_outer else -(-inner // self.plan.lanes)
        i, o = self.e.digit(item, blocks)
        with self.e.loop("lane", "0", str(self.plan.lanes)) as lane:
            place = self.e.add(self.e.mul(o if along_outer else i, str(self.plan.lanes)), lane)
            last = (outer if along_outer else inner) - 1
            place = self.e.call("i64 @llvm.smin.i64(i64, i64)", f"i64 {place}, i64 {last}", "place")
            yield lane, Row(place, i) if along_outer else Row(o, place)

    def _word_at(self, lane: str, j: str, word: int) -> str:
        records, lanes = self.plan.records, self.plan.lanes
        place = self.e.add(self.e.add(self.e.mul(j, str(records.words * lanes)), str(word * lanes)), lane)
        return self.e.let(f"getelementptr i{records.bits}, ptr {self.scratch}, i64 {place}", "at")

    def _load(self, lane: str, j: str) -> list[str]:
        records = self.plan.records
        return [self.e.let(f"load i{records.bits}, ptr {self._word_at(lane, j, w)}, align {records.bits // 8}", "word")
                for w in range(records.words)]

    def _store(self, lane: str, j: str, words: list[str]) -> None:
        bits = self.plan.records.bits
        for w, word in enumerate(words):
            self.e.line(f"store i{bits} {word}, ptr {self._word_at(lane, j, w)}, align {bits // 8}")
