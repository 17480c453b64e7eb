"""A contraction as it runs: operand roles, register tile, packing, blocks, items.

``C[batch, m, n] = sum over k of A[batch, m, k] * B[batch, k, n]``: the roles follow from which axes move which
operand, so matmul, batched matmul and convolution with both its gradients are one case. B is the operand whose
elements fill vectors (along the column axis); elements of A are broadcast.

Where the machine multiplies pairs of bf16 and adds both products to an f32 (``Target.bf16``), or pairs of i16 in i32
(``Target.vnni``; i8 and u8 become i16 as they are packed), the last reduce axis is taken in pairs: a *word* of 32 bits holds the
elements of an operand at two of its points, and all else is as if words were elements.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod

from leptonc.codegen.loops.access import Access
from leptonc.codegen.loops.linear import LinearStage
from leptonc.ir.kernel import Axis
from leptonc.ir.types import DType, bf16, i16, u32

EPILOGUE_INLINE = 4  # epilogues of at most that many instructions are written out for each accumulator
FUNCTION_DEPTH = 64  # multiply-adds for each result from which moving it through L1 once more is lost in them
COLUMNS_FIRST = 2  # times as large must A be as B for threads to share B rather than A


@dataclass(frozen=True)
class Side:
    """One operand: its load's number, address, and whether it is copied into panels first.

    ``dtype``: of its elements in memory; ``casts``: what they are converted to, in turn, before they are multiplied. Where the fold
    is taken in pairs, ``access`` goes from one pair to the next, and ``gap`` elements lie between the two of one.
    """

    load: int
    access: Access
    buffer: str
    dtype: DType
    casts: tuple[DType, ...] = ()
    pack: bool = False
    gap: int = 0

    @property
    def given(self) -> DType:
        """The numbers that are multiplied, before they are cast to the dtype of the sum."""
        return (self.dtype, *self.casts)[-2] if self.casts else self.dtype


@dataclass(frozen=True)
class Contraction:
    """A scheduled contraction.

    ``row`` and ``col`` are the axes of the register tile; ``outer`` all other map axes, ``fold`` the reduce axes. In a kernel
    with outer axes of its own, all items run at each of their points.
    ``rows`` x ``vectors`` accumulators of ``lanes``; ``row_block`` and ``col_block`` count register tiles in one
    item; ``pairs``: the last reduce axis is taken in pairs, and counts them (``odd``: the last one has a first element alone).
    ``fold_block`` > 0 takes the fold in parts, accumulating in memory: the first ``fold_outer`` reduce axes point by point,
    the next in blocks of that extent. ``prefetch_blocks``: while it works on one part, a tile asks for its operands of the next.
    ``prefetch_rows``: A comes from memory once, a tile's rows in one piece; each tile asks for the next one's.
    ``limit``: the instruction that says how many of the first points of the only reduce axis are multiplied, if not all are;
    ``guard``: the condition, of an item, without which its sums are not asked for.
    """

    stage: LinearStage
    reduce: int
    a: Side
    b: Side
    row: Axis
    col: Axis
    outer: tuple[Axis, ...]
    fold: tuple[Axis, ...]
    dtype: DType
    lanes: int
    rows: int
    vectors: int
    row_block: int = 1
    col_block: int = 1
    fold_block: int = 0
    fold_outer: int = 0
    prefetch_blocks: bool = False
    prefetch_rows: bool = False
    limit: int | None = None
    guard: int | None = None
    registers: int = 16  # vector registers of the target
    pairs: bool = False
    odd: bool = False

    @property
    def width(self) -> int:
        """Columns of a register tile."""
        return self.lanes * self.vectors

    @property
    def row_tiles(self) -> int:
        return ceil(self.row.extent / self.rows)

    @property
    def col_tiles(self) -> int:
        return ceil(self.col.extent / self.width)

    @property
    def row_items(self) -> int:
        return ceil(self.row_tiles / self.row_block)

    @property
    def col_items(self) -> int:
        return ceil(self.col_tiles / self.col_block)

    @property
    def items(self) -> int:
        return prod(a.extent for a in self.outer) * self.row_items * self.col_items

    @property
    def columns_first(self) -> bool:
        """Whether items that follow each other, which are one thread's, lie along the columns. Each thread then reads its part of
        A and all of B; else it is the other way round."""
        return self.row.extent > COLUMNS_FIRST * self.col.extent

    @property
    def tiles(self) -> int:
        """Register tiles of all items."""
        return prod(a.extent for a in self.outer) * self.row_tiles * self.col_tiles

    @property
    def tiles_per_column(self) -> int:
        """Register tiles that read the same columns of B."""
        return self.row_tiles * prod(a.extent for a in self.outer if not self.b.access.stride(a.name))

    @property
    def depth(self) -> int:
        """Multiply-adds per result."""
        return prod(a.extent for a in self.fold)

    @property
    def work(self) -> int:
        return prod(a.extent for a in self.outer) * self.row.extent * self.col.extent * self.depth

    @property
    def k_strided(self) -> bool:
        """Rows of A lie next to each other, so its elements along the fold apart: a weight gradient."""
        return (not self.a.pack and not self.pairs and self.a.access.stride(self.row.name) == 1
                and self.depth >= FUNCTION_DEPTH)

    @property
    def direct_store(self) -> bool:
        """The sums are the results, in whole vectors: tiles write them where they belong."""
        if self._epilogue or len(self.stage.stores) > 1 or self.stage.stores[0].value != self.reduce:
            return False
        out = self.stage.targets[0]
        return (self.depth >= FUNCTION_DEPTH and out.is_affine and out.stride(self.col.name) == 1 and not self.transposed
                and self.col.extent % self.lanes == 0)

    @property
    def local_tile(self) -> bool:
        """Sums of a whole item wait in a local tile: those that blocks of the fold add to, or whose epilogue is transposed."""
        return not self.direct_store and (self.fold_block > 0 or self.transposed)

    @property
    def tile_function(self) -> bool:
        """Whether register tiles are functions that leave their sums in memory: for long epilogues and several results, and
        where the sums are long enough that it costs nothing."""
        return (self.local_tile or self.depth >= FUNCTION_DEPTH or self._epilogue > EPILOGUE_INLINE
                or len(self.stage.stores) > 1)

    @property
    def epilogue_operands(self) -> tuple[int, ...]:
        """Loads of the epilogue that read one element for each result, in the order of the results: a tile's part of them is
        asked for while its sums are made."""
        if not self.tile_function or self.local_tile:
            return ()
        return tuple(n for n, access in self.stage.loads.items() if n not in (self.a.load, self.b.load) and access.is_affine
                     and access.stride(self.col.name) == 1 and access.stride(self.row.name))

    @property
    def runs_short(self) -> bool:
        """Whether it is known when it runs alone how much of the fold is multiplied."""
        return self.limit is not None or self.guard is not None

    @property
    def _epilogue(self) -> int:
        """Instructions on the sum."""
        return sum(self.stage.after_reduce) - 1

    @property
    def transposed(self) -> bool:
        """Results lie next to each other along the rows: the epilogue runs in vectors along them."""
        return all(t.stride(self.row.name) == 1 and t.stride(self.col.name) != 1 for t in self.stage.targets)

    @property
    def paired(self) -> DType:
        """The numbers that pairs are of."""
        return bf16 if self.dtype.is_float else i16

    def stored(self, side: Side) -> DType:
        """The elements that an operand is read in: its own, or its panels'."""
        if not side.pack:
            return side.dtype
        return u32 if self.pairs else self.dtype

    def panel_axes(self, side: Side) -> tuple[Axis, ...]:
        """The outer axes that an operand's panels differ along."""
        return tuple(axis for axis in self.outer if side.access.stride(axis.name))
