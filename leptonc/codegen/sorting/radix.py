"""Radix sort of records, the least digit first: as many steps whatever the records are."""

from __future__ import annotations

import hashlib

from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.sorting.plan import Pass, Records
from leptonc.codegen.sorting.records import RecordEmitter

ZEROS = 8  # counts that are cleared at once


def radix_function(e: Emitter, records: Records, passes: tuple[Pass, ...]) -> str:
    """The name of ``ptr f(ptr a, ptr b, ptr counts, i64 n)``, defined once: it sorts n records of a, uses b, and says which of them
    holds the result. Digits that are the same in all records are passed over."""
    own = e.beside()
    own.reserve("a", "b", "counts", "n")
    result = _Radix(own, records, passes).emit()
    body = "\n".join(own.lines)
    digest = hashlib.sha1(body.encode(), usedforsecurity=False).hexdigest()[:12]
    name = f"@sort.radix.{digest}"
    e.functions[name] = (f"define internal ptr {name}(ptr %a, ptr %b, ptr %counts, i64 %n) noinline {{\nentry:\n{body}\n"
                         f"  ret ptr {result}\n}}\n")
    return name


class _Radix:
    def __init__(self, e: Emitter, records: Records, passes: tuple[Pass, ...]):
        self.e, self.passes, self.records = e, passes, RecordEmitter(e, records)
        self.starts = [sum(1 << p.bits for p in passes[:n]) for n in range(len(passes) + 1)]

    def emit(self) -> str:
        e = self.e
        slots = [e.let("alloca ptr", hint) for hint in ("from", "to")]
        for slot, pointer in zip(slots, ("%a", "%b")):
            e.line(f"store ptr {pointer}, ptr {slot}")
        self._count()
        for number in range(len(self.passes)):
            self._pass(number, slots)
        return e.let(f"load ptr, ptr {slots[0]}", "sorted")

    def _count(self) -> None:
        """How many records have each digit, of all passes."""
        e = self.e
        with e.loop("clear", "0", str(self.starts[-1]), ZEROS) as n:
            at = e.let(f"getelementptr i32, ptr %counts, i64 {n}", "at")
            e.line(f"store <{ZEROS} x i32> zeroinitializer, ptr {at}, align 4")
        with e.loop("record", "0", "%n") as j:
            words = self.records.load("%a", j)
            for number in range(len(self.passes)):
                at = self._counter(number, self._digit(words, number))
                count = e.let(f"load i32, ptr {at}, align 4", "count")
                e.line(f"store i32 {e.let(f'add i32 {count}, 1', 'more')}, ptr {at}, align 4")

    def _digit(self, words: list[str], number: int) -> str:
        return self.records.bits(words[self.passes[number].word], self.passes[number].shift, self.passes[number].bits)

    def _counter(self, number: int, digit: str) -> str:
        return self.e.let(f"getelementptr i32, ptr %counts, i64 {self.e.add(digit, str(self.starts[number]))}", "counter")

    def _pass(self, number: int, slots: list[str]) -> None:
        e = self.e
        source, target = (e.let(f"load ptr, ptr {slot}", "side") for slot in slots)
        some = e.let("icmp sgt i64 %n, 1", "some")
        with e.when(some, "pass"):
            first = self._digit(self.records.load(source, "0"), number)
            count = e.let(f"load i32, ptr {self._counter(number, first)}, align 4", "count")
            alike = e.let(f"zext i32 {count} to i64", "alike")
            with e.when(e.let(f"icmp ne i64 {alike}, %n", "differ"), "sorting"):
                self._starts(number)
                with e.loop("record", "0", "%n") as j:
                    words = self.records.load(source, j)
                    at = self._counter(number, self._digit(words, number))
                    place = e.let(f"load i32, ptr {at}, align 4", "place")
                    e.line(f"store i32 {e.let(f'add i32 {place}, 1', 'next')}, ptr {at}, align 4")
                    self.records.store(target, e.let(f"zext i32 {place} to i64", "wide"), words)
                e.line(f"store ptr {target}, ptr {slots[0]}")
                e.line(f"store ptr {source}, ptr {slots[1]}")

    def _starts(self, number: int) -> None:
        """Counts become the first place of each digit."""
        e = self.e
        with e.reduce_loop("bucket", "0", str(1 << self.passes[number].bits), 1, [("i32", "0")]) as (digit, (start,), following):
            at = self._counter(number, digit)
            count = e.let(f"load i32, ptr {at}, align 4", "count")
            e.line(f"store i32 {start}, ptr {at}, align 4")
            following.append(e.let(f"add i32 {start}, {count}", "start"))
