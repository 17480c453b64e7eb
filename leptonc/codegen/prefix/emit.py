"""The items of a prefix scan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from leptonc.codegen.llvm.emitter import Emitter, emit_const, llvm_type
from leptonc.codegen.llvm.scalars import emit_scalar
from leptonc.codegen.prefix.plan import BASES, TOTALS, PrefixPlan
from leptonc.ir.prefix import JOINS, neutral
from leptonc.ir.scalar import result_dtype
from leptonc.ir.types import DType

SUMS = 4  # vectors of a row whose total is made, at once


class _Register(NamedTuple):
    name: str
    dtype: DType


class _Registers:
    """The handler of scalar functions (``ir/scalar.py``) on registers of ``lanes`` elements."""

    def __init__(self, e: Emitter, lanes: int):
        self.e, self.lanes = e, lanes

    def __getattr__(self, op: str) -> Callable[..., _Register]:
        def apply(*args: _Register) -> _Register:
            dtypes = [a.dtype for a in args]
            result = result_dtype(op, tuple(dtypes))
            return _Register(emit_scalar(self.e, op, [a.name for a in args], dtypes, result, self.lanes), result)

        return apply


class _Item(NamedTuple):
    """``row``: its outer point; ``first``: the column it begins at; ``widths``: of its vectors."""

    row: str
    first: str
    widths: tuple[int, ...]


class PrefixEmitter:
    """Emits one phase; ``panels`` hold a total of each block, then what it begins with."""

    def __init__(self, e: Emitter, plan: PrefixPlan, phase: str, pointers: dict[str, str], panels: str):
        self.e, self.plan, self.phase, self.panels = e, plan, phase, panels
        self.source, self.target = (pointers[p.name] for p in plan.kernel.params)
        self.kernel, self.reverse = plan.kernel, plan.kernel.reverse
        self.element, self.base = plan.element, plan.base
        self.n, self.inner = plan.kernel.shape[1:]

    def emit(self, begin: str, end: str) -> None:
        """All items from ``begin`` to ``end``."""
        with self.e.loop("item", begin, end) as item:
            column, rest = self.e.digit(item, sum(stop - start for start, stop, _ in self.plan.strips()))
            blocked = self.plan.shared and self.phase != BASES
            block, row = self.e.digit(rest, self.plan.blocks if blocked else 1)
            for widths in self._strips(column):
                self._item(_Item(row, self.e.mul(column, str(self.plan.columns)), widths), block)

    def _strips(self, column: str) -> Iterator[tuple[int, ...]]:
        strips = list(self.plan.strips())
        for start, _, widths in strips:
            with self._only(len(strips) > 1, f"{'eq' if start else 'ne'} i64 {column}, {strips[-1][0]}"):
                yield widths

    @contextmanager
    def _only(self, asked: bool, test: str) -> Iterator[None]:
        if not asked:
            yield
            return
        with self.e.when(self.e.let(f"icmp {test}", "here"), "here"):
            yield

    def _item(self, item: _Item, block: str) -> None:
        if self.phase == BASES:
            self._bases(item)
        elif self.plan.shared:
            self._block(item, block)
        else:
            self._row(item)

    # Phases

    def _row(self, item: _Item) -> None:
        """Block after block."""
        whole, rest = divmod(self.n, self.plan.block)
        bases = self._nothing(self.base, self._bases_of(item))
        if rest and self.reverse:
            bases = self._prefixes(item, str(whole), rest, bases)
        carried = [(llvm_type(self.base, w), base) for w, base in zip(self._bases_of(item), bases)]
        with self.e.reduce_loop("block", "0", str(whole), 1, carried) as (n, state, following):
            following += self._prefixes(item, self._from_end(n, whole), self.plan.block, state)
        if rest and not self.reverse:
            self._prefixes(item, str(whole), rest, state)

    def _block(self, item: _Item, block: str) -> None:
        """One block, which may be the last and shorter one."""
        whole, rest = divmod(self.n, self.plan.block)
        for count, test in ((self.plan.block, "ne"), (rest, "eq")):
            if not count:
                continue
            with self._only(rest > 0, f"{test} i64 {block}, {whole}"):
                self._of_block(item, block, count)

    def _of_block(self, item: _Item, block: str, count: int) -> None:
        places = self._panel(item, block)
        if self.phase == TOTALS:
            for place, width, total in zip(places, self._bases_of(item), self._totals(item, block, count)):
                self._store(self.base, width, total, place)
        else:
            bases = [self._load(self.base, width, place) for place, width in zip(places, self._bases_of(item))]
            self._prefixes(item, block, count, bases)

    def _bases(self, item: _Item) -> None:
        """Totals of blocks become what each begins with."""
        widths = self._bases_of(item)
        carried = [(llvm_type(self.base, w), x) for w, x in zip(widths, self._nothing(self.base, widths))]
        with self.e.reduce_loop("block", "0", str(self.plan.blocks), 1, carried) as (n, state, following):
            for place, width, before in zip(self._panel(item, self._from_end(n, self.plan.blocks)), widths, state):
                total = self._load(self.base, width, place)
                self._store(self.base, width, before, place)
                following.append(self._join(self.base, width, before, total))

    # A block

    def _prefixes(self, item: _Item, block: str, count: int, bases: Sequence[str]) -> list[str]:
        """Writes a block's prefixes; returns what the next one begins with."""
        first = self.e.mul(block, str(self.plan.block))
        before = [self._spread(self._cast(base, self.base, self.element, width), wide)
                  for base, width, wide in zip(bases, self._bases_of(item), item.widths)]
        begin = self._nothing(self.element, item.widths) if self.plan.anew else before
        walk = self._along if self.plan.along else self._across
        local = [self._first_lane(x, w) for x, w in zip(walk(item, first, count, begin, before), item.widths)]
        if not self.plan.anew:
            return local
        return [self._join(self.base, width, base, self._cast(x, self.element, self.base, width))
                for base, x, width in zip(bases, local, self._bases_of(item))]

    def _across(self, item: _Item, first: str, count: int, begin: list[str], before: list[str]) -> list[str]:
        carried = [(llvm_type(self.element, w), x) for w, x in zip(item.widths, begin)]
        with self.e.reduce_loop("point", "0", str(count), 1, carried) as (n, state, following):
            point = self.e.add(first, self._from_end(n, count))
            for place, width, local, base in zip(self._places(item, point), item.widths, state, before):
                joined = self._join(self.element, width, local, self._load(self.element, width, self._at(self.source, place)))
                following.append(joined)
                self._store(self.element, width, self._whole(width, base, joined), self._at(self.target, place))
        return state

    def _along(self, item: _Item, first: str, count: int, begin: list[str], before: list[str]) -> list[str]:
        """Vector by vector; the last one of a row may have fewer elements."""
        whole, rest = divmod(count, self.plan.lanes)
        local, end = begin[0], self.e.add(first, str(whole * self.plan.lanes))
        if rest and self.reverse:
            local = self._vector(item, end, rest, local, before[0])
        carried = [(llvm_type(self.element, self.plan.lanes), local)]
        with self.e.reduce_loop("vector", "0", str(whole), 1, carried) as (n, state, following):
            start = self.e.add(first, self.e.mul(self._from_end(n, whole), str(self.plan.lanes)))
            following.append(self._vector(item, start, self.plan.lanes, state[0], before[0]))
        return [self._vector(item, end, rest, state[0], before[0])] if rest and not self.reverse else list(state)

    def _vector(self, item: _Item, start: str, count: int, local: str, before: str) -> str:
        """Writes ``count`` prefixes; returns the last one of the block yet, in all lanes."""
        lanes, (place,) = self.plan.lanes, self._places(item, start)
        inside = self._inside(self._filled(self._load(self.element, count, self._at(self.source, place)), count))
        found = self._whole(lanes, before, self._join(self.element, lanes, local, inside))
        kept = self._shuffle(found, found, range(count), lanes) if count < lanes else found
        self._store(self.element, count, kept, self._at(self.target, place))
        last = self._shuffle(inside, inside, [0 if self.reverse else lanes - 1] * lanes, lanes)
        return self._join(self.element, lanes, local, last)

    def _inside(self, x: str) -> str:
        """All prefixes within a vector."""
        lanes, shift = self.plan.lanes, 1
        while shift < lanes:
            turned = [(k + shift if self.reverse else k - shift) for k in range(lanes)]
            chosen = [k % lanes if not 0 <= k < lanes else lanes + k for k in turned]  # out of range: from the neutral one
            x = self._join(self.element, lanes, self._shuffle(self._neutral(self.element, lanes), x, chosen, lanes), x)
            shift *= 2
        return x

    def _totals(self, item: _Item, block: str, count: int) -> list[str]:
        """All of a block joined."""
        first = self.e.mul(block, str(self.plan.block))
        if self.plan.along:
            return [self._cast(self._total(item, first, count), self.element, self.base, 1)]
        carried = [(llvm_type(self.element, w), self._neutral(self.element, w)) for w in item.widths]
        with self.e.reduce_loop("point", "0", str(count), 1, carried) as (n, state, following):
            for place, width, total in zip(self._places(item, self.e.add(first, n)), item.widths, state):
                x = self._load(self.element, width, self._at(self.source, place))
                following.append(self._join(self.element, width, total, x))
        return [self._cast(x, self.element, self.base, w) for x, w in zip(state, item.widths)]

    def _total(self, item: _Item, first: str, count: int) -> str:
        lanes = self.plan.lanes
        groups, rest = divmod(count, lanes * SUMS)
        carried = [(llvm_type(self.element, lanes), self._neutral(self.element, lanes))] * SUMS
        with self.e.reduce_loop("vectors", "0", str(groups), 1, carried) as (n, state, following):
            start = self.e.add(first, self.e.mul(n, str(lanes * SUMS)))
            for k, total in enumerate(state):
                following.append(self._join(self.element, lanes, total, self._some(item, self.e.add(start, str(k * lanes)), lanes)))
        totals, summed = list(state), groups * lanes * SUMS
        for k in range(0, rest, lanes):
            some = self._some(item, self.e.add(first, str(summed + k)), min(lanes, rest - k))
            totals[k // lanes] = self._join(self.element, lanes, totals[k // lanes], some)
        while len(totals) > 1:
            totals = [self._join(self.element, lanes, x, y) for x, y in zip(totals[::2], totals[1::2])]
        return self._halved(totals[0])

    def _some(self, item: _Item, start: str, count: int) -> str:
        (place,) = self._places(item, start)
        return self._filled(self._load(self.element, count, self._at(self.source, place)), count)

    def _halved(self, x: str) -> str:
        lanes = self.plan.lanes
        while lanes > 1:
            half = lanes // 2
            low, high = (self._shuffle(x, x, range(start, start + half), lanes) for start in (0, half))
            x, lanes = self._join(self.element, half, low, high), half
        return x

    # Registers

    def _join(self, dtype: DType, lanes: int, x: str, y: str) -> str:
        return str(JOINS[self.kernel.join](_Registers(self.e, lanes), _Register(x, dtype), _Register(y, dtype)).name)

    def _whole(self, lanes: int, before: str, x: str) -> str:
        return self._join(self.element, lanes, before, x) if self.plan.anew else x

    def _neutral(self, dtype: DType, lanes: int) -> str:
        return emit_const(neutral(self.kernel.join, dtype), dtype, lanes)

    def _nothing(self, dtype: DType, widths: Sequence[int]) -> list[str]:
        return [self._neutral(dtype, w) for w in widths]

    def _bases_of(self, item: _Item) -> tuple[int, ...]:
        """What blocks begin with is a scalar along a row."""
        return (1,) if self.plan.along else item.widths

    def _cast(self, x: str, source: DType, target: DType, lanes: int) -> str:
        return emit_scalar(self.e, "cast", [x], [source], target, lanes)

    def _shuffle(self, x: str, y: str, chosen: Sequence[int], lanes: int) -> str:
        """Lanes of two registers; one lane is no register."""
        type_ = llvm_type(self.element, lanes)
        if len(chosen) == 1:
            return self.e.let(f"extractelement {type_} {x}, i64 {chosen[0]}", "lane") if lanes > 1 else x
        mask = ", ".join(f"i32 {k}" for k in chosen)
        return self.e.let(f"shufflevector {type_} {x}, {type_} {y}, <{len(chosen)} x i32> <{mask}>", "lanes")

    def _filled(self, x: str, count: int) -> str:
        """``count`` elements, with neutral ones behind them."""
        lanes = self.plan.lanes
        if count == lanes:
            return x
        if count == 1:
            return self.e.let(f"insertelement {llvm_type(self.element, lanes)} {self._neutral(self.element, lanes)}, "
                              f"{llvm_type(self.element)} {x}, i64 0", "lanes")
        return self._shuffle(x, self._neutral(self.element, count), [min(k, count) for k in range(lanes)], count)

    def _spread(self, x: str, lanes: int) -> str:
        """A scalar in all lanes of the vector along a row."""
        if not self.plan.along or lanes == 1:
            return x
        type_ = llvm_type(self.element, lanes)
        one = self.e.let(f"insertelement {type_} poison, {llvm_type(self.element)} {x}, i64 0", "one")
        return self._shuffle(one, one, [0] * lanes, lanes)

    def _first_lane(self, x: str, lanes: int) -> str:
        return self._shuffle(x, x, [0], lanes) if self.plan.along else x

    # Memory

    def _from_end(self, n: str, count: int) -> str:
        """The place of the n-th of ``count``, in the order of the scan."""
        if not self.reverse:
            return n
        return self.e.let(f"sub i64 {count - 1}, {n}", "place")

    def _places(self, item: _Item, point: str) -> list[str]:
        """Where the vectors of an item lie, at a point of the row."""
        start = self.e.add(self.e.mul(self.e.add(self.e.mul(item.row, str(self.n)), point), str(self.inner)), item.first)
        return self._behind(start, item.widths)

    def _behind(self, start: str, widths: Sequence[int]) -> list[str]:
        return [self.e.add(start, str(sum(widths[:k]))) for k in range(len(widths))]

    def _panel(self, item: _Item, block: str) -> list[str]:
        row = self.e.add(self.e.mul(item.row, str(self.plan.blocks)), block)
        start = self.e.add(self.e.mul(row, str(self.inner)), item.first)
        type_ = llvm_type(self.base)
        return [self.e.at(type_, self.panels, place, "base")
                for place in self._behind(start, self._bases_of(item))]

    def _at(self, pointer: str, place: str) -> str:
        return self.e.at(llvm_type(self.element), pointer, place)

    def _load(self, dtype: DType, lanes: int, address: str) -> str:
        return self.e.let(f"load {llvm_type(dtype, lanes)}, ptr {address}, align {dtype.itemsize}", "x")

    def _store(self, dtype: DType, lanes: int, x: str, address: str) -> None:
        self.e.line(f"store {llvm_type(dtype, lanes)} {x}, ptr {address}, align {dtype.itemsize}")
