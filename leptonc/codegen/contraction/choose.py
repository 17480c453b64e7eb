"""Recognising contractions, and deciding by costs how one runs."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, gcd, prod

from leptonc.codegen.contraction.plan import Contraction, Side
from leptonc.codegen.loops.access import Access
from leptonc.codegen.loops.linear import LinearStage
from leptonc.ir.kernel import Apply, Axis, Index, operands
from leptonc.ir.structure import Bound, ProductSum, bounded_sum
from leptonc.ir.types import bf16, f32, i8, i16, i32, u8
from leptonc.memory import ALIGN
from leptonc.target import Target

MIN_WORK = 4096  # multiply-adds below which a plain loop nest is as good
ITEM_WORK = 1 << 18  # multiply-adds worth a parallel item
MIN_ITEMS = 32  # items wanted, so that the split is even for any thread count
LEAST_SHARED = 8  # rows: fewer are one tile
SHARING_PAYS = 1.15  # times the cost of the best plan is that of one whose rows threads may share without waiting for each other
MIN_ITEMS_K_STRIDED = 24  # the same where tiles of an item share lines of A
FROM_L2 = 3.2  # multiply-adds in the time that a vector of B takes from L2
L2_WAYS = 8
LOAD_COST = 0.25  # multiply-adds that a load of an operand costs, when operands come from beyond L1
LINE_COST = 1  # the same of an element of A that comes in a cache line of its own
CAST_COST = 1  # the same of converting a register of an operand
FAR_COST = 3  # so many loads more, the first time, for each row that lies on a page of its own
SHARE_FOR_A = 5 / 8  # of L1's ways; the rest is left to B and the results
PAGE = 4096  # bytes; also what one way of L1 covers
STORE_COST = 48  # a strided store of one lane, in multiply-adds
TRANSPOSE_COST = 4  # the same where rows of results are contiguous: squares of results are transposed in registers
LOCAL_SHARE = 8  # a local tile of finished sums fills one in so many parts of L2
ITEM_SHARE = 4  # of L2 for an item's part of A, and as much for B's
PACK_COST = 6  # moving one element into a panel
STRIDED_PACK_COST = 60  # the same where its neighbours in the panel lie apart in the operand
FEW_COLUMNS = 2  # tiles of columns side by side, where parts of the fold are to fit L1
FEW_TILES = 8  # register tiles that use a part of B
PACK_REUSE = 8  # register tiles that must read a panel before packing it for locality pays
COPIES = 2  # of each element of A, at most, in panels that are made to convert it once
NEAR_SHARE = 4  # columns that fill at most one in so many parts of L2

PAIRED = {f32: (bf16,), i32: (i16, i8, u8)}  # what sums of a dtype may be of, where pairs are multiplied


def find_contraction(stage: LinearStage, target: Target, local: frozenset[str] = frozenset(), rows: int = 0) -> Contraction | None:
    """The stage as a scheduled contraction, or None if it is none or too small to be worth it. ``local``: the kernel's local
    buffers, which are there too late to be packed. ``rows``: the extent of an axis that threads share, each some tiles of it."""
    found = bounded_sum(stage.insts)
    pair = None if found is None or not _is_counted(stage, found.bound) else _operands(stage, found)
    if found is None or pair is None or not {a.name for a in stage.map_axes} <= stage.parallel:
        return None
    reduce, (first, second), limit = found.reduce, pair, None if found.bound is None else found.bound.limit
    points = prod(a.extent for a in stage.axes)
    if points < MIN_WORK:
        return None
    options = [c for a, b in ((first, second), (second, first)) for c in _assignments(stage, reduce, a, b, target, rows)]
    options = [c for c in options if not _packs_inside(c, local) and not (c.pairs and limit is not None)]
    if not options:
        return None
    best = min(options, key=_cost)
    sharing = [c for c in options if rows and c.row.extent == rows and not (c.a.pack or c.b.pack)]
    if sharing and _cost(min(sharing, key=_cost)) <= _cost(best) * SHARING_PAYS:
        best = min(sharing, key=_cost)
    return _blocked(replace(best, limit=limit, guard=_guard(best)), target, rows)


def _packs_inside(plan: Contraction, local: frozenset[str]) -> bool:
    """Whether panels would differ from one outer point of the kernel to the next."""
    outer = [a.name for a in plan.stage.outer]
    return any(side.pack and (side.buffer in local or any(side.access.stride(name) for name in outer))
               for side in (plan.a, plan.b))


def _operands(stage: LinearStage, found: ProductSum) -> tuple[Side, Side] | None:
    """The operands of a sum of products, of two affine loads."""
    if stage.insts[found.reduce].dtype.is_bool or any(s.accumulate or s.masked for s in stage.stores):
        return None
    a, b = (Side(n, stage.loads[n], load.buffer, load.dtype, casts)
            for n, load, casts in zip((found.a, found.b), found.factors, found.casts))
    return (a, b) if a.access.is_affine and b.access.is_affine else None


def _is_counted(stage: LinearStage, bound: Bound | None) -> bool:
    """Whether a bound's number is that of a point of the only reduce axis."""
    return bound is None or [stage.indices[bound.number]] == [Index.of(axis) for axis in stage.reduce_axes]


def _guard(plan: Contraction) -> int | None:
    """The condition without which nobody asks for a sum, if an item has all of its sums under one."""
    stage = plan.stage
    if len(plan.fold) != 1 or plan.pairs:
        return None
    users = [inst for inst in stage.insts if plan.reduce in operands(inst)]
    only = users[0] if len(users) == 1 and all(store.value != plan.reduce for store in stage.stores) else None
    if not isinstance(only, Apply) or only.op != "select" or plan.reduce in only.args[::2]:
        return None
    condition = only.args[0]
    return condition if stage.axes_of[condition] <= {axis.name for axis in (*stage.outer, *plan.outer)} else None


def _assignments(stage: LinearStage, reduce: int, a: Side, b: Side, target: Target, shared: int) -> list[Contraction]:
    """Every choice of tile axes with ``a`` broadcast and ``b`` in vectors."""
    rows = [x for x in stage.map_axes if a.access.stride(x.name) and not b.access.stride(x.name)]
    cols = [x for x in stage.map_axes if b.access.stride(x.name) and not a.access.stride(x.name)]
    out = []
    for row in rows:
        for col in cols:
            outer = tuple(x for x in stage.map_axes if x not in (row, col))
            plan = _tiled(stage, reduce, a, b, row, col, outer, target, shared=shared)
            out.append(plan)
            if _is_alone(plan):
                out.append(_tiled(stage, reduce, a, b, row, col, outer, target, plan.lanes // 2))
            if plan.a.pack:  # else few enough rows that all of them stay in their cache sets
                out.append(_tiled(stage, reduce, a, b, row, col, outer, target, _rows_that_fit(plan, target)))
    return [*out, *(_paired(plan, target) for plan in out if _multiplies_pairs(plan, target))]


def _tiled(stage: LinearStage, reduce: int, a: Side, b: Side, row: Axis, col: Axis, outer: tuple[Axis, ...],
           target: Target, most_rows: int | None = None, shared: int = 0) -> Contraction:
    dtype = stage.insts[reduce].dtype
    lanes = target.lanes(dtype.itemsize)
    while lanes > 4 and lanes // 2 >= col.extent:
        lanes //= 2
    fold = tuple(sorted(stage.reduce_axes, key=lambda x: -abs(a.access.stride(x.name))))
    halves = row.extent == shared and shared >= LEAST_SHARED
    depth = prod(x.extent for x in fold)
    rows, vectors = _register_tile(row.extent, ceil(col.extent / lanes), target, most_rows or row.extent, 2 if halves else 1, depth)
    plan = Contraction(stage, reduce, a, b, row, col, outer, fold, dtype, lanes, rows, vectors, registers=target.registers)
    pack_b = b.access.stride(col.name) != 1 or _panel_pays(plan, target)
    pack_a = (_rows_collide(plan, target) or _conversion_pays(plan) or _parts_of_lines(plan, target)) and not stage.outer
    return replace(plan, a=replace(a, pack=pack_a), b=replace(b, pack=pack_b))


def _multiplies_pairs(plan: Contraction, target: Target) -> bool:
    """Whether there is an instruction for it."""
    there = {f32: target.bf16, i32: target.vnni}.get(plan.dtype, False)
    fits = all(side.given in PAIRED[plan.dtype] for side in (plan.a, plan.b)) if there else False
    return fits and bool(plan.fold) and plan.fold[-1].extent > 1


def _paired(plan: Contraction, target: Target) -> Contraction:
    """The last reduce axis in pairs. Those of B are laid out beside each other; A's are words of memory as it is if they lie so."""
    last = plan.fold[-1]
    gaps = [side.access.stride(last.name) for side in (plan.a, plan.b)]
    a, b = (replace(side, access=_every_other(side.access, last), gap=gap) for side, gap in zip((plan.a, plan.b), gaps))
    odd = last.extent % 2 == 1
    plan = replace(plan, a=a, b=replace(b, pack=True), fold=(*plan.fold[:-1], replace(last, extent=ceil(last.extent / 2))),
                   pairs=True, odd=odd)
    packed = gaps[0] != 1 or a.dtype != plan.paired or (odd and len(plan.fold) == 1)
    return replace(plan, a=replace(a, pack=packed or (_rows_collide(plan, target) and not plan.stage.outer)))


def _every_other(access: Access, axis: Axis) -> Access:
    return replace(access, strides=tuple((name, 2 * stride if name == axis.name else stride) for name, stride in access.strides))


def _conversion_pays(plan: Contraction) -> bool:
    """A's elements are converted once, not for each column of tiles; unless the panels would hold them several times over."""
    return bool(plan.a.casts) and plan.col_tiles >= 2 and _few_copies(plan)


def _parts_of_lines(plan: Contraction, target: Target) -> bool:
    """A tile takes at most half of a line of A, whose rows are neighbours: other tiles want the rest when it has left L1."""
    step = min((abs(plan.a.access.stride(axis.name)) for axis in plan.fold), default=0) * plan.a.dtype.itemsize
    part = plan.rows < plan.row.extent and plan.rows * plan.a.dtype.itemsize <= ALIGN // 2
    return plan.k_strided and part and step >= ALIGN and plan.col_tiles >= target.packing.parts and _few_copies(plan)


def _few_copies(plan: Contraction) -> bool:
    """Whether panels of A hold its elements a few times at most: windows overlap."""
    axes = [x for x in (*plan.outer, plan.row, *plan.fold) if plan.a.access.stride(x.name)]
    reached = 1 + sum(abs(plan.a.access.stride(x.name)) * (x.extent - 1) for x in axes)
    return prod(x.extent for x in axes) <= COPIES * reached


def _register_tile(rows: int, vectors: int, target: Target, most_rows: int, among: int, depth: int) -> tuple[int, int]:
    """Accumulator tile (rows, vectors) within the target's budget that wastes least at the edges. So many tiles of rows that
    ``among`` threads have the same."""
    best, best_cost = (1, 1), float("inf")
    for wide in range(1, min(vectors, target.vectors * 2) + 1):
        wider = min(target.wide_accumulators, target.registers - wide - 1)  # beside the columns and a broadcast
        accumulators = target.rows * target.vectors if wide <= target.vectors else wider
        tall = min(rows, most_rows, accumulators // wide)
        tall = ceil(rows / (ceil(rows / tall / among) * among))  # even tiles: the last one is nearly as tall as the others
        tiles = ceil(rows / tall) * ceil(vectors / wide)
        # loads share two ports with as many FMA units; few accumulators leave the FMA latency (4) uncovered
        step = max(tall * wide, tall + wide, 8, FROM_L2 * wide if depth * wide * target.vector_bytes > target.l1_bytes // 2 else 0)
        cost = tiles * (step + target.load_cost * (tall + wide))
        if cost < best_cost:
            best, best_cost = (tall, wide), cost
    return best


def _panel_pays(plan: Contraction, target: Target) -> bool:
    """Rows of B lie apart and are read by many register tiles: contiguous panels save cache sets and pages. A tile's columns that
    stay in L2 are read from there as fast as they are needed, and it takes more tiles to make up for the copy."""
    enough = PACK_REUSE
    if plan.depth * plan.width * plan.dtype.itemsize <= target.l2_bytes // NEAR_SHARE:
        enough = target.packing.colliding if _columns_collide(plan, target) else target.packing.near
    return plan.col_tiles > 1 and plan.tiles_per_column >= enough


def _columns_collide(plan: Contraction, target: Target) -> bool:
    """Rows of B a large power of two apart fall into few sets of L2 and evict each other."""
    step = abs(plan.b.access.stride(plan.fold[-1].name)) * plan.dtype.itemsize if plan.fold else 0
    way = target.l2_bytes // L2_WAYS
    return step > 0 and plan.depth > way // gcd(step, way) * L2_WAYS


def _rows_collide(plan: Contraction, target: Target) -> bool:
    """Tile rows a large power of two apart fall into few cache sets and evict each other."""
    stride = abs(plan.a.access.stride(plan.row.name)) * plan.a.dtype.itemsize
    if not stride or plan.depth < 64 or plan.col_tiles < 2:
        return False
    return stride >= 1024 and plan.rows > _rows_that_fit(plan, target)


def _rows_that_fit(plan: Contraction, target: Target) -> int:
    """Rows of A whose lines stay in L1 side by side: their share of the ways in each set that they fall into."""
    ways = max(1, int(target.l1_bytes // PAGE * SHARE_FOR_A))
    return ways * (PAGE // gcd(abs(plan.a.access.stride(plan.row.name)) * plan.a.dtype.itemsize, PAGE))


def _cost(plan: Contraction) -> float:
    """Multiply-adds and what is moved beside them: operands into registers, panels, strided results."""
    apart = abs(plan.a.access.stride(plan.row.name)) * plan.a.dtype.itemsize
    far = FAR_COST / plan.col_tiles if apart >= PAGE and not plan.a.pack else 0  # later columns find the rows in the cache
    loads = plan.rows * (1 + far) + plan.vectors
    lines = LINE_COST * plan.rows if _is_scattered(plan) else 0
    converted = sum(count * len(side.casts) for side, count in ((plan.a, plan.rows), (plan.b, plan.vectors))
                    if not (side.pack or plan.pairs))
    step = max(plan.rows * plan.vectors, plan.rows + plan.vectors, 8) + LOAD_COST * loads + lines + CAST_COST * converted
    outer = prod(a.extent for a in plan.outer)
    cost = float(outer * plan.row_tiles * plan.col_tiles * step * plan.lanes * plan.depth)
    for side, axis in ((plan.a, plan.row), (plan.b, plan.col)):
        if side.pack:
            each = PACK_COST if side.access.stride(axis.name) == 1 else STRIDED_PACK_COST
            cost += each * axis.extent * plan.depth * prod(x.extent for x in plan.panel_axes(side))
    strided = sum(t.stride(plan.col.name) != 1 for t in plan.stage.targets)
    each = TRANSPOSE_COST if plan.transposed and plan.row.extent >= plan.lanes else STORE_COST
    if _is_alone(plan):
        cost *= 2
    return cost + each * outer * plan.row.extent * plan.col.extent * strided


def _is_scattered(plan: Contraction) -> bool:
    """Whether neither rows nor steps of the fold are neighbours in A: of each line that it brings, a tile uses one element."""
    steps = [abs(plan.a.access.stride(axis.name)) for axis in (plan.row, *plan.fold)]
    return not plan.a.pack and all(step * plan.a.dtype.itemsize >= ALIGN for step in steps)


def _blocked(plan: Contraction, target: Target, shared: int) -> Contraction:
    """Choose the blocks of tiles that make a parallel item, and blocks of the fold that keep operands in cache. Of rows that are
    ``shared`` an item has as few as it may."""
    outer = prod(a.extent for a in plan.outer)
    tile_work = plan.rows * plan.width * plan.depth
    whole = _whole_rows(plan)
    row_block, col_block = whole if plan.row.extent == shared else plan.row_tiles, plan.col_tiles

    def wanting() -> bool:
        return not plan.stage.outer and items() < (MIN_ITEMS_K_STRIDED if plan.k_strided else MIN_ITEMS)

    def items() -> int:
        return outer * ceil(plan.row_tiles / row_block) * ceil(plan.col_tiles / col_block)

    while wanting() and row_block * col_block * tile_work > ITEM_WORK and (row_block > whole or col_block > 1):
        # Near a square, each element of either operand is read by the fewest items. But what an epilogue reads and writes beside
        # the sums is best left in whole lines to one thread.
        tall = row_block * plan.rows >= col_block * plan.width if plan.direct_store else row_block >= col_block
        if row_block > whole and (tall or col_block == 1):
            row_block = max(ceil(row_block / 2), whole)
        else:
            col_block = ceil(col_block / 2)
    if not plan.direct_store:  # a local tile of an item's sums should leave L2 room for the operands
        room = target.l2_bytes // LOCAL_SHARE // plan.dtype.itemsize // (plan.rows * plan.width)
        col_block = min(col_block, max(1, room))
        row_block = min(row_block, max(whole, room // col_block))
    row_block = min(row_block, max(whole, _rows_in_cache(plan, col_block, target)))
    if whole < row_block < plan.row_tiles:
        row_block -= row_block % whole
    plan = replace(plan, row_block=row_block, col_block=col_block)
    plan = replace(plan, prefetch_rows=_streams(plan, target))
    if plan.k_strided:
        return _in_parts(plan, target)
    block = _fold_block(plan, target)
    if block and _comes_from_memory(plan, target):
        plan = replace(plan, col_block=min(plan.col_block, FEW_COLUMNS))
        return replace(plan, fold_block=_block_that_fits(plan, target.l1_bytes // 3), prefetch_blocks=True)
    return replace(plan, fold_block=block)


def _whole_rows(plan: Contraction) -> int:
    """Tiles of rows that stay in one item: transposed results are stored in vectors along the rows, whole and aligned."""
    return min(plan.row_tiles, plan.lanes // gcd(plan.rows, plan.lanes)) if plan.transposed else 1


def _is_alone(plan: Contraction) -> bool:
    """Whether all of it is one item, though there is work for several threads."""
    if plan.stage.outer or plan.col_tiles > 1 or not 1 < plan.row_tiles <= _whole_rows(plan):
        return False
    return prod(a.extent for a in plan.outer) == 1 and plan.row_tiles * plan.rows * plan.width * plan.depth > 2 * ITEM_WORK


def _rows_in_cache(plan: Contraction, col_block: int, target: Target) -> int:
    """Tiles of rows whose part of A stays in L2 while the columns of an item go by, if that of B leaves it the room."""
    room, size = target.l2_bytes // ITEM_SHARE, plan.depth * plan.dtype.itemsize
    if col_block < 2 or plan.k_strided or size * col_block * plan.width > room:
        return plan.row_tiles
    return room // max(size * plan.rows, 1)


def _comes_from_memory(plan: Contraction, target: Target) -> bool:
    """B is large and few tiles use a part of it: reading it takes about as long as multiplying. Both happen at once if parts are
    short and each tile asks for B's lines of the next part."""
    moved = prod(x.extent for x in (*plan.outer, plan.col, *plan.fold) if plan.b.access.stride(x.name)) * plan.dtype.itemsize
    return not plan.b.pack and plan.tiles_per_column <= FEW_TILES and moved > 4 * target.l2_bytes


def _in_parts(plan: Contraction, target: Target) -> Contraction:
    """The fold in parts short enough that a part of B's tile stays in L1 while the tiles of a column go by.

    A row of A serves several tiles but gives each a few elements of its line: over a long fold the lines would be gone before
    the next tile wants the rest of them. No hardware prefetcher follows such rows either, so each tile asks for its lines of the
    next part.
    """
    if plan.row_block < 2:
        return plan
    fits = target.l1_bytes * 2 // 3 // (plan.width * plan.dtype.itemsize)
    inner, at = 1, len(plan.fold) - 1
    while at > 0 and inner * plan.fold[at].extent <= fits:
        inner *= plan.fold[at].extent
        at -= 1
    extent = plan.fold[at].extent
    block = ceil(extent / ceil(extent / max(1, fits // inner)))
    if at == 0 and block >= extent:
        return plan
    return replace(plan, fold_outer=at, fold_block=block, prefetch_blocks=True)


def _streams(plan: Contraction, target: Target) -> bool:
    """Rows of A lie behind each other, each is read once, and all of them do not fit the caches: short streams side by side,
    which no hardware prefetcher follows."""
    step = 2 if plan.pairs else 1
    if plan.a.pack or len(plan.fold) != 1 or plan.col_tiles > 1 or plan.a.access.stride(plan.fold[0].name) != step:
        return False
    whole = prod(x.extent for x in (*plan.outer, plan.row) if plan.a.access.stride(x.name)) * plan.depth * plan.dtype.itemsize
    return plan.a.access.stride(plan.row.name) == plan.depth * step and whole > 4 * target.l2_bytes


def _fold_block(plan: Contraction, target: Target) -> int:
    """Extent of a block of the first reduce axis so that one block's operands fit half the L2 cache; 0: no blocks."""
    if plan.row_block * plan.col_block < 4 or not plan.fold:
        return 0
    first = plan.fold[0]
    if plan.prefetch_rows and plan.tile_function and not plan.direct_store:  # A passes through L1, where B should stay
        fits = target.l1_bytes // 4 // (plan.width * plan.dtype.itemsize)
        return 0 if fits >= first.extent else ceil(first.extent / ceil(first.extent / fits))
    return _block_that_fits(plan, target.l2_bytes // 2)


def _block_that_fits(plan: Contraction, room: int) -> int:
    """Extent of a block of the first reduce axis whose operands take that many bytes; 0: no blocks."""
    first = plan.fold[0]
    inner = plan.depth // max(first.extent, 1)
    columns = min(plan.col_block * plan.width, plan.col.extent)
    rows = min(plan.row_block * plan.rows, plan.row.extent) if plan.col_block > 1 else plan.rows  # else read once
    step = abs(plan.a.access.stride(plan.row.name))
    per_fold = inner * (columns + (rows if plan.a.pack or step > 64 else min(rows, step + 1)))
    fits = room // plan.dtype.itemsize // max(per_fold, 1)
    if fits >= first.extent or fits == 0:
        return 0
    return ceil(first.extent / ceil(first.extent / fits))
