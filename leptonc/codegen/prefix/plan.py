"""How a prefix scan runs: what of a row is in registers at once, and whether threads share rows or blocks of them.

Rows with a gap of ``inner`` elements between neighbours lie side by side: a vector is at one place of as many rows. A row without
a gap is taken a vector at a time, whose prefixes are log2(lanes) joins with the vector itself, shifted (Hillis and Steele 1986).

A row is cut in blocks. Sums of floats begin anew in each, and what comes before is added last, so that the error is that of two
short sums. If rows are too few to be shared, blocks are: all totals are made, then what each block begins with, then the prefixes.
What is cut depends on shapes alone, so results are the same bits for any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, log2

from leptonc.ir.prefix import Prefix
from leptonc.ir.types import DType, dtype_of, f32, f64
from leptonc.target import Target

LEAST_ITEMS = 16  # rows, or strips of them, that can be shared as they are
BLOCK_VECTORS = 256  # of a block: the square root of those of rows of some millions, which makes both sums equally long
LEAST_BLOCKS = 8
STRIP_VECTORS = 4  # side by side: joins of one wait for the one before it
JOIN_COST = {"logaddexp": 40}  # vector instructions; others take one

TOTALS, BASES, PREFIXES = "totals", "bases", "prefixes"


@dataclass(frozen=True)
class PrefixPlan:
    """``lanes`` of a vector; ``columns`` side by side in an item, ``block`` points of a row in a block; ``shared``: blocks are
    items."""

    kernel: Prefix
    lanes: int
    columns: int
    block: int
    shared: bool

    @property
    def along(self) -> bool:
        """Whether a vector lies along the row."""
        return self.kernel.shape[2] == 1

    @property
    def element(self) -> DType:
        """What is computed with: bools are numbers 0 and 1."""
        return dtype_of("u8") if self.kernel.dtype.is_bool else self.kernel.dtype

    @property
    def anew(self) -> bool:
        """Whether each block begins with nothing, and what is before it joins last."""
        return self.kernel.join == "add" and self.element.is_float

    @property
    def base(self) -> DType:
        """The type of what a block begins with: sums of f32 are added up in f64."""
        return f64 if self.anew and self.element == f32 else self.element

    @property
    def blocks(self) -> int:
        return ceil(self.kernel.shape[1] / self.block)

    @property
    def phases(self) -> tuple[str, ...]:
        return (TOTALS, BASES, PREFIXES) if self.shared else (PREFIXES,)

    @property
    def panel_bytes(self) -> int:
        outer, _, inner = self.kernel.shape
        return outer * self.blocks * inner * self.base.itemsize if self.shared else 0

    def strips(self) -> Iterator[tuple[int, int, tuple[int, ...]]]:
        """Items of a row side by side: from which to before which, and the widths of their vectors."""
        if self.along:
            yield 0, 1, (self.lanes,)
            return
        whole, rest = divmod(self.kernel.shape[2], self.columns)
        if whole:
            yield 0, whole, _widths(self.columns, self.lanes)
        if rest:
            yield whole, whole + 1, _widths(rest, self.lanes)

    def cost(self, phase: str) -> int:
        """Vector instructions."""
        outer, n, inner = self.kernel.shape
        join = JOIN_COST.get(self.kernel.join, 1)
        if phase == BASES:
            return outer * self.blocks * inner * (join + 2) // (1 if self.along else self.lanes)
        joins = 1 if phase == TOTALS else 2 + (2 * int(log2(self.lanes)) if self.along else 0)
        return outer * n * inner * (joins * join + 2) // self.lanes

    def describe(self, phase: str) -> str:
        """One line, for people."""
        outer, n, inner = self.kernel.shape
        where = "along rows" if self.along else f"across {self.columns} rows"
        cut = f"{self.blocks} blocks of {self.block}" if self.blocks > 1 else "one block"
        return f"prefix {outer} x {n} x {inner} by {self.kernel.join}: {phase}, x{self.lanes} {where}, {cut}"


def _widths(count: int, lanes: int) -> tuple[int, ...]:
    return (lanes,) * (count // lanes) + ((count % lanes,) if count % lanes else ())


def plan_prefix(kernel: Prefix, target: Target) -> PrefixPlan:
    """Blocks are as long as errors want them, and shared where rows are few."""
    outer, n, inner = kernel.shape
    most = target.lanes(kernel.dtype.itemsize)
    if inner == 1:
        lanes, columns = min(most, 1 << max(n - 1, 1).bit_length()), 1
        block = lanes * BLOCK_VECTORS
    else:
        lanes = min(most, max(inner, 1))
        columns, block = min(lanes * STRIP_VECTORS, max(inner, 1)), BLOCK_VECTORS
    shared = outer * ceil(inner / columns) < LEAST_ITEMS and n >= LEAST_BLOCKS * block
    return PrefixPlan(kernel, lanes, columns, block, shared)
