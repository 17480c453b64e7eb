"""Rows of a sort: elements made records, and what belongs to sorted records written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.sorting.keys import Ints, emit_element, emit_key
from leptonc.codegen.sorting.plan import SortPlan
from leptonc.codegen.sorting.records import RecordEmitter
from leptonc.ir.kernel import Param
from leptonc.ir.types import DType


@dataclass(frozen=True)
class Row:
    """One row, at ``outer`` and ``inner``."""

    outer: str
    inner: str


class RowEmitter:
    """Elements of rows, one at a time."""

    def __init__(self, e: Emitter, plan: SortPlan, pointers: dict[str, str]):
        self.e, self.plan, self.pointers = e, plan, pointers
        self.records = RecordEmitter(e, plan.records)
        self.stride = plan.kernel.shape[2]

    def start(self, param: Param, row: Row) -> str:
        """Where a row begins in a parameter."""
        e, (_, length, inner) = self.e, param.type.shape
        place = e.add(e.mul(row.outer, str(length * inner)), row.inner)
        return e.let(f"getelementptr i{param.type.dtype.bits}, ptr {self.pointers[param.name]}, i64 {place}", "row")

    def starts(self, params: Sequence[Param], row: Row) -> list[str]:
        return [self.start(p, row) for p in params]

    def at(self, dtype: DType, start: str, j: str) -> str:
        return self.e.let(f"getelementptr i{dtype.bits}, ptr {start}, i64 {self.e.mul(j, str(self.stride))}", "at")

    def load(self, dtype: DType, start: str, j: str) -> str:
        return self.e.let(f"load i{dtype.bits}, ptr {self.at(dtype, start, j)}, align {dtype.itemsize}", "element")

    def store(self, dtype: DType, start: str, j: str, bits: str) -> None:
        self.e.line(f"store i{dtype.bits} {bits}, ptr {self.at(dtype, start, j)}, align {dtype.itemsize}")

    def record(self, starts: Sequence[str], j: str) -> list[str]:
        """The record of element j."""
        values = []
        for field in self.plan.records.fields:
            if field.operand is None:
                values.append(Ints(self.e, 64).narrowed(j, field.bits))
            else:
                dtype = self.plan.kernel.inputs[field.operand].type.dtype
                values.append(emit_key(self.e, self.load(dtype, starts[field.operand], j), dtype, self.plan.kernel.descending))
        return self.records.pack(values)

    def write(self, row: Row, load: Callable[[str], list[str]]) -> None:
        """What belongs to the sorted records, of which ``load`` gives the words of the one at a place."""
        kernel = self.plan.kernel
        sources, targets = self.starts(kernel.inputs, row), self.starts(kernel.outputs, row)
        if self.plan.looks_up:
            with self.e.loop("place", "0", str(kernel.count)) as j:
                self._write_looked_up(sources, targets, j, load(j))
            return
        (dtype, start), place = (self.plan.key, targets[0]), self.plan.records.keys[0]
        with self.e.reduce_loop("place", "0", str(kernel.count), 1, [("i1", "false")]) as (j, zeros, following):
            element = emit_element(self.e, self.records.value(load(j), place), dtype, kernel.descending)
            self.store(dtype, start, j, element)
            is_zero = self.e.let(f"icmp eq i{dtype.bits} {element}, 0", "is_zero")
            following.append(self.e.let(f"or i1 {zeros[0]}, {is_zero}", "zeros"))
        if self.plan.mends_zeros:
            with self.e.when(zeros[0], "zeros"):
                self.mend(sources[0], start)

    def _write_looked_up(self, sources: list[str], targets: list[str], j: str, words: list[str]) -> None:
        kernel, field = self.plan.kernel, self.plan.records.place
        assert field is not None
        place = Ints(self.e, field.bits).widened(self.records.value(words, field), 64)
        for param, source, target in zip(kernel.inputs if kernel.values else (), sources, targets):
            self.store(param.type.dtype, target, j, self.load(param.type.dtype, source, place))
        if kernel.order:
            self.store(kernel.outputs[-1].type.dtype, targets[-1], j, place)

    def mend(self, source: str, target: str) -> None:
        """Zeros of a sorted row as they follow each other in the row that was sorted: keys know nothing of their signs."""
        kernel = self.plan.kernel
        name = zeros_function(self.e, self.plan.key, kernel.descending, self.stride)
        self.e.line(f"call void {name}(ptr {source}, ptr {target}, i64 {kernel.shape[1]}, i64 {kernel.count})")


def zeros_function(e: Emitter, dtype: DType, descending: bool, stride: int) -> str:
    """The name of ``void f(ptr source, ptr target, i64 n, i64 count)``, defined once."""
    own = Emitter(e.fma, e.halves, e.bf16)
    own.reserve("source", "target", "n", "count")
    _Zeros(own, dtype, descending, stride).emit()
    body = "\n".join(own.lines)
    name = f"@sort.zeros.{hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest()[:12]}"
    e.functions[name] = (f"define internal void {name}(ptr %source, ptr %target, i64 %n, i64 %count) noinline {{\nentry:\n{body}\n"
                         "  ret void\n}\n")
    return name


class _Zeros:
    def __init__(self, e: Emitter, dtype: DType, descending: bool, stride: int):
        self.e, self.dtype, self.descending, self.stride = e, dtype, descending, stride
        self.ints = Ints(e, dtype.bits)
        self.zero = self._key("0")

    def _key(self, bits: str) -> str:
        return emit_key(self.e, bits, self.dtype, self.descending)

    def _at(self, start: str, j: str) -> str:
        return self.e.let(f"getelementptr i{self.dtype.bits}, ptr {start}, i64 {self.e.mul(j, str(self.stride))}", "at")

    def _load(self, j: str) -> str:
        return self.e.let(f"load i{self.dtype.bits}, ptr {self._at('%source', j)}, align {self.dtype.itemsize}", "element")

    def emit(self) -> None:
        """What stands before zeros is counted, then every zero goes to the next place."""
        e = self.e
        with e.reduce_loop("before", "0", "%n", 1, [("i64", "0")]) as (j, before, following):
            less = self.ints.test("ult", self._key(self._load(j)), self.zero)
            following.append(e.add(before[0], e.let(f"zext i1 {less} to i64", "one")))
        with e.reduce_loop("zero", "0", "%n", 1, [("i64", before[0])]) as (j, (place,), following):
            bits = self._load(j)
            is_zero = self.ints.test("eq", self._key(bits), self.zero)
            inside = e.let(f"icmp slt i64 {place}, %count", "inside")
            with e.when(e.let(f"and i1 {is_zero}, {inside}", "put"), "put"):
                e.line(f"store i{self.dtype.bits} {bits}, ptr {self._at('%target', place)}, align {self.dtype.itemsize}")
            following.append(e.add(place, e.let(f"zext i1 {is_zero} to i64", "one")))
