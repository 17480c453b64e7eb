"""Records in memory and in registers: words side by side."""

from __future__ import annotations

from leptonc.codegen.llvm.emitter import Emitter
from leptonc.codegen.sorting.keys import Ints, int_type
from leptonc.codegen.sorting.plan import Field, Records


class RecordEmitter:
    """Of ``lanes`` records at once each word is a vector."""

    def __init__(self, e: Emitter, records: Records, lanes: int = 1):
        self.e, self.records, self.lanes = e, records, lanes
        self.ints = Ints(e, records.bits, lanes)
        self.type = int_type(records.bits, lanes)

    def _at(self, base: str, record: str, word: int) -> str:
        """Lanes of a word lie side by side, then the words of a record."""
        words, lanes = self.records.words, self.lanes
        place = self.e.add(self.e.mul(record, str(words * lanes)), str(word * lanes))
        return self.e.let(f"getelementptr i{self.records.bits}, ptr {base}, i64 {place}", "at")

    def load(self, base: str, record: str) -> list[str]:
        align = self.records.bits // 8
        return [self.e.let(f"load {self.type}, ptr {self._at(base, record, w)}, align {align}", "word")
                for w in range(self.records.words)]

    def store(self, base: str, record: str, words: list[str]) -> None:
        for w, word in enumerate(words):
            self.e.line(f"store {self.type} {word}, ptr {self._at(base, record, w)}, align {self.records.bits // 8}")

    def pack(self, values: list[str]) -> list[str]:
        """Words of the fields' values, each an int of its field's bits."""
        words: list[str | None] = [None] * self.records.words
        for field, value in zip(self.records.fields, values, strict=True):
            wide = Ints(self.e, field.bits, self.lanes).widened(value, self.records.bits)
            moved = self.ints.op("shl", wide, field.shift) if field.shift else wide
            before = words[field.word]
            words[field.word] = moved if before is None else self.ints.op("or", before, moved)
        return [w for w in words if w is not None]

    def value(self, words: list[str], field: Field) -> str:
        """A field, as an int of its bits."""
        word = words[field.word]
        return self.ints.narrowed(self.ints.op("lshr", word, field.shift) if field.shift else word, field.bits)

    def bits(self, word: str, shift: int, bits: int) -> str:
        """Some bits of one word as an i64."""
        moved = self.ints.op("lshr", word, shift) if shift else word
        return self.ints.widened(self.ints.op("and", moved, (1 << bits) - 1), 64)

    def greatest(self) -> list[str]:
        """What no record is greater than."""
        return [self.ints.const((1 << self.records.bits) - 1)] * self.records.words
