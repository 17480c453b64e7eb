"""How a sort runs: what its records are, and which algorithm puts them in order.

An element of a row is a **record**: the keys of the element as unsigned ints (``ir/sorting.py``), the first one in the highest
bits, then its place in the row, in one word of 32 bits, or as many of 64 as it takes. Places make records different, so any
algorithm is stable; and what belongs to a record is looked up by its place at the end. A row of one operand whose order nobody
asks for has records without places: elements are made of keys again.

No algorithm has a bad case: networks compare the same places whatever is there, radix sort reads as many digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log2

from leptonc.ir.sorting import Sort
from leptonc.ir.types import DType
from leptonc.memory import aligned
from leptonc.target import Target

COMPARE_CYCLES = 2.0  # of two registers: loads, minimum, maximum, stores
RADIX_CYCLES = 5.0  # of one record and digit: it is read and counted, then read and put where it belongs
BUCKET_CYCLES = 2.0  # of one bucket: it is cleared, and its start found
NETWORK_ROWS = 1 << 14  # records of a row: rows side by side are to lie in a cache
WIDE_DIGIT, NARROW_DIGIT = 11, 8
FEW = 8  # one in so many elements, at most, is worth a threshold
SELECT_FROM = 256  # elements of a row
LEAST_ROOM = 256  # candidates behind a threshold until they are sorted


@dataclass(frozen=True)
class Field:
    """``bits`` of a record's word, from ``shift`` on: a key, the number of an operand, or the place in the row (None)."""

    operand: int | None
    word: int
    shift: int
    bits: int


@dataclass(frozen=True)
class Records:
    """``words`` of ``bits`` bits each, all of 64 if there are several."""

    words: int
    bits: int
    fields: tuple[Field, ...]

    @property
    def nbytes(self) -> int:
        return self.words * self.bits // 8

    @property
    def keys(self) -> tuple[Field, ...]:
        return tuple(f for f in self.fields if f.operand is not None)

    @property
    def place(self) -> Field | None:
        return next((f for f in self.fields if f.operand is None), None)


@dataclass(frozen=True)
class Pass:
    """A digit of ``bits`` bits that radix sort looks at, the least one first."""

    word: int
    shift: int
    bits: int


@dataclass(frozen=True)
class SortPlan:
    """``method``: "network" (``lanes`` rows, along ``across``, "o" the outer axis or "i" the inner one; ``block`` records at
    a time in registers), "radix" or "select" (row by row)."""

    kernel: Sort
    records: Records
    method: str
    passes: tuple[Pass, ...]
    lanes: int = 1
    across: str = "o"
    block: int = 1

    @property
    def looks_up(self) -> bool:
        """Whether records have places, by which elements are looked up."""
        return self.records.place is not None

    @property
    def key(self) -> DType:
        """The first key's type."""
        return self.kernel.inputs[0].type.dtype

    @property
    def mends_zeros(self) -> bool:
        """Whether zeros are put back behind: made of keys, all are positive."""
        return not self.looks_up and self.key.is_float

    @property
    def padded(self) -> int:
        """Records of a row in a network: whole blocks."""
        return ceil(self.kernel.shape[1] / self.block) * self.block

    @property
    def run(self) -> int:
        """Records of a run that a network sorts, of all or of as many as are wanted: a block, doubled so many times."""
        return self.block << ceil(log2(max(ceil(self.kernel.count / self.block), 1)))

    @property
    def room(self) -> int:
        """Records in scratch."""
        if self.method == "network":
            return self.padded * self.lanes
        return self.kernel.shape[1] if self.method == "radix" else candidates(self.kernel.count)

    @property
    def buckets(self) -> int:
        return max((1 << p.bits for p in self.passes), default=0)

    @property
    def second_at(self) -> int:
        return aligned(self.room * self.records.nbytes)

    @property
    def counts_at(self) -> int:
        return 2 * self.second_at

    @property
    def state_at(self) -> int:
        return self.counts_at + aligned(self.buckets * 4 * len(self.passes))

    @property
    def scratch_bytes(self) -> int:
        if self.method == "network":
            return self.second_at
        return self.state_at + (aligned(24) if self.method == "select" else 0)

    @property
    def cycles(self) -> int:
        outer, n, inner = self.kernel.shape
        if self.method == "network":
            return int(_network_cycles(self, self.run))
        return int(outer * inner * (n * RADIX_CYCLES + _radix_cycles(self.passes, self.room)))

    def __str__(self) -> str:
        outer, n, inner = self.kernel.shape
        what = f"sort {outer} x {n} x {inner}" + (f", the first {self.kernel.count}" if self.kernel.count < n else "")
        records = f"records of {self.records.words} x {self.records.bits} bits"
        if self.method == "network":
            return f"{what}: network of {self.lanes} rows along {self.across}, {records}, {self.block} in registers"
        digits = " ".join(str(p.bits) for p in self.passes)
        return f"{what}: {self.method} by digits of {digits} bits, {records}"


def candidates(count: int) -> int:
    return max(2 * count, LEAST_ROOM)


def plan_sort(kernel: Sort, target: Target) -> SortPlan:
    """The cheapest way to sort rows, by cycles; a threshold, if no network does and only the first few are wanted."""
    outer, n, inner = kernel.shape
    records = records_of(kernel)
    network = _network(kernel, records, target)
    digits = passes_of(records, n)
    if n <= NETWORK_ROWS and _network_cycles(network, network.padded) <= outer * inner * _radix_cycles(digits, n):
        return network
    if kernel.keys == 1 and n >= SELECT_FROM and kernel.count * FEW <= n:
        return SortPlan(kernel, records, "select", passes_of(records, candidates(kernel.count)))
    return SortPlan(kernel, records, "radix", digits)


def records_of(kernel: Sort) -> Records:
    """Fields go into words from the highest bits down, none across two."""
    n = kernel.shape[1]
    widths: list[tuple[int | None, int]] = [(k, kernel.inputs[k].type.dtype.bits) for k in range(kernel.keys)]
    if kernel.order or len(kernel.inputs) > 1:
        widths.append((None, 16 if n < 1 << 16 else 32 if n < 1 << 32 else 64))
    total = sum(bits for _, bits in widths)
    size = 32 if total <= 32 else 64
    fields, word, left = list[Field](), 0, size
    for operand, bits in widths:
        if bits > left:
            word, left = word + 1, size
        left -= bits
        fields.append(Field(operand, word, left, bits))
    return Records(word + 1, size, tuple(fields))


def passes_of(records: Records, n: int) -> tuple[Pass, ...]:
    """Digits of all keys, the last key's lowest first: of a width that makes the least work for n records."""
    choices = [tuple(p for f in reversed(records.keys) for p in _digits(f, width)) for width in (NARROW_DIGIT, WIDE_DIGIT)]
    return min(choices, key=lambda passes: _radix_cycles(passes, n))


def _digits(field: Field, width: int) -> list[Pass]:
    return [Pass(field.word, field.shift + at, min(width, field.bits - at)) for at in range(0, field.bits, width)]


def _radix_cycles(passes: tuple[Pass, ...], n: int) -> float:
    return len(passes) * (RADIX_CYCLES * n) + BUCKET_CYCLES * sum(1 << p.bits for p in passes)


def _network(kernel: Sort, records: Records, target: Target) -> SortPlan:
    outer, _, inner = kernel.shape
    lanes = target.lanes(records.bits // 8)
    block = 1 << int(log2(max(target.registers // (2 * records.words), 2)))
    return SortPlan(kernel, records, "network", (), lanes, "i" if inner >= lanes or inner > outer else "o", block)


def _network_cycles(plan: SortPlan, run: int) -> float:
    """Of rows in which runs of so many records are sorted, and the least of all are found."""
    outer, _, inner = plan.kernel.shape
    rows = ceil(outer / plan.lanes) * inner if plan.across == "o" else outer * ceil(inner / plan.lanes)
    levels = ceil(log2(max(min(run, plan.padded), 2)))
    compares = plan.padded * levels * (levels + 1) / 4 + max(plan.padded - run, 0) * (1 + levels / 2)
    words = plan.records.words
    return rows * compares * COMPARE_CYCLES * (words if words == 1 else 2 * words)
