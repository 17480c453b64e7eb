"""The first few of a long row: elements are compared with the last of the best ones so far, and few are less.

What is less is a candidate. As soon as there is no room for more, candidates are sorted, the best are kept, and the last of them is
what later elements must be less than. So a row in the worst order costs what sorting it does.
"""

from __future__ import annotations

from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.sorting.keys import Ints, emit_key, int_type
from leptonc.codegen.sorting.plan import SortPlan, candidates
from leptonc.codegen.sorting.rows import Row, RowEmitter

LANES = 16


class SelectEmitter:
    """``sides``: both halves of the scratch, and the counts; ``state``: how many candidates a row has yet, and the key that
    others must be less than; ``sort``: the radix sort's function."""

    def __init__(self, e: Emitter, plan: SortPlan, rows: RowEmitter, sides: list[str], state: str, sort: str):
        self.e, self.plan, self.rows, self.sides, self.sort = e, plan, rows, sides, sort
        self.count_at = state
        self.bound_at = e.let(f"getelementptr i8, ptr {state}, i64 8", "bound_at")
        self.any_at = e.let(f"getelementptr i8, ptr {state}, i64 16", "any_at")
        self.key = plan.key
        self.room = candidates(plan.kernel.count)

    def emit(self, row: Row) -> str:
        """Where the best records are, sorted."""
        e, n = self.e, self.plan.kernel.shape[1]
        e.line(f"store i64 0, ptr {self.count_at}, align 8")
        e.line(f"store i8 0, ptr {self.any_at}, align 1")
        e.line(f"store i{self.key.bits} {Ints(e, self.key.bits).const((1 << self.key.bits) - 1)}, ptr {self.bound_at}, align 8")
        starts = self.rows.starts(self.plan.kernel.inputs, row)
        whole = n // LANES * LANES if self.rows.stride == 1 else 0
        with e.loop("vector", "0", str(whole), LANES) as j:
            with e.when(self._some_less(starts[0], j), "some"):
                with e.loop("element", j, e.add(j, str(LANES))) as one:
                    self._element(starts, one)
        with e.loop("element", str(whole), str(n)) as one:
            self._element(starts, one)
        count = e.let(f"load i64, ptr {self.count_at}, align 8", "count")
        return e.let(f"call ptr {self.sort}({', '.join(f'ptr {side}' for side in self.sides)}, i64 {count})", "sorted")

    def _bound(self) -> str:
        return self.e.let(f"load i{self.key.bits}, ptr {self.bound_at}, align 8", "bound")

    def _unbounded(self) -> str:
        """Whether there is no bound yet."""
        bounded = self.e.let(f"load i8, ptr {self.any_at}, align 1", "bounded")
        return self.e.let(f"icmp eq i8 {bounded}, 0", "unbounded")

    def _some_less(self, start: str, j: str) -> str:
        e, bits = self.e, self.key.bits
        vector = int_type(bits, LANES)
        at = self.rows.at(self.key, start, j)
        found = e.let(f"load {vector}, ptr {at}, align {self.key.itemsize}", "elements")
        key = emit_key(e, found, self.key, self.plan.kernel.descending, LANES)
        one = e.let(f"insertelement {vector} poison, i{bits} {self._bound()}, i64 0", "one")
        bound = e.let(f"shufflevector {vector} {one}, {vector} poison, <{LANES} x i32> zeroinitializer", "bounds")
        less = Ints(e, bits, LANES).test("ult", key, bound)
        some = e.call(f"i1 @llvm.vector.reduce.or.v{LANES}i1(<{LANES} x i1>)", f"<{LANES} x i1> {less}", "some")
        return e.let(f"or i1 {some}, {self._unbounded()}", "wanted")

    def _element(self, starts: list[str], j: str) -> None:
        e, records = self.e, self.rows.records
        words = self.rows.record(starts, j)
        key = records.value(words, self.plan.records.fields[0])
        less = Ints(e, self.key.bits).test("ult", key, self._bound())
        with e.when(e.let(f"or i1 {less}, {self._unbounded()}", "wanted"), "candidate"):
            count = e.let(f"load i64, ptr {self.count_at}, align 8", "count")
            records.store(self.sides[0], count, words)
            more = e.add(count, "1")
            e.line(f"store i64 {more}, ptr {self.count_at}, align 8")
            with e.when(e.let(f"icmp eq i64 {more}, {self.room}", "full"), "full"):
                self._sort_out()

    def _sort_out(self) -> None:
        """Keep the best."""
        e, records, kept = self.e, self.rows.records, self.plan.kernel.count
        sorted_ = e.let(f"call ptr {self.sort}({', '.join(f'ptr {side}' for side in self.sides)}, i64 {self.room})", "sorted")
        with e.loop("kept", "0", str(kept)) as n:
            records.store(self.sides[0], n, records.load(sorted_, n))
        last = records.value(records.load(sorted_, str(kept - 1)), self.plan.records.fields[0])
        e.line(f"store i{self.key.bits} {last}, ptr {self.bound_at}, align 8")
        e.line(f"store i64 {kept}, ptr {self.count_at}, align 8")
        e.line(f"store i8 1, ptr {self.any_at}, align 1")
