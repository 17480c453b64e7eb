"""What need not be in a loop leaves it.

Results that nobody reads, and carries that only make themselves, go. What is the same in all trips is computed before the loop.
Products of slices with what is the same in all trips become one product of all slices, before it; a carry that adds up products
becomes one product over all trips, behind it, where the factors of all trips are smaller than the sums would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, ClassVar

from leptonc.ir.builder import Builder, rebuild
from leptonc.ir.graph import Graph, Node, with_regions
from leptonc.ir.parts import part
from leptonc.ir.types import f32, f64
from leptonc.ir.value import Value
from leptonc.passes.graph.batch import batch
from leptonc.passes.graph.dce import Dce

FREE = frozenset({"constant", "broadcast", "iota", "reshape"})  # cost nothing where they are used
HEAVY = frozenset({"dot_general", "conv"})
SUMMED = frozenset({"dot_general", "sum"})  # whose sum over all trips is one of them
MOVES = frozenset({"add", "neg", "reshape"})  # of sums over all trips as of each, and a pad with zeros
MOST_BYTES = 1 << 30  # of what all trips of a loop keep for outside of it, together
FEW_BYTES = 1 << 20  # of what all trips make: a cache has room for it
WIDE = 16  # points along which a product is computed in vectors
STRIP = 32  # columns: two registers of a wide machine's, four of a narrow one's
FAR_BYTES = 1024  # between rows, of which a tile reads a line or two
LARGE_BYTES = 1 << 16  # more than the nearest cache has room for
SOME_ROWS = 8  # fewer have no use for what is read once
LONG = 8  # trips that are worth laying out anew what all of them read
SAVING = 2  # weights, and sums, that are read at each trip count for so many times what is kept of it instead


@dataclass(frozen=True)
class HoistFromLoops:
    name: str = "hoist-from-loops"
    changes: ClassVar[tuple[str, ...]] = ("rounding",)  # sums over all trips in another order

    def __call__(self, graph: Graph) -> Graph:
        graph = with_regions(graph, self)
        if not any(node.op == "scan" for node in graph.nodes):
            return graph
        builder, env = rebuild(graph)
        used = graph.use_counts
        for node in graph.nodes:
            operands = [env[i] for i in node.operands]
            with builder.at(node.loc):
                results = (_Scan(node, builder, operands, [bool(used[i]) for i in node.results]).emitted() if node.op == "scan"
                           else dict(enumerate(builder.copy_node(node, operands))))
            env.update((node.results[n], value) for n, value in results.items())
        return builder.finish([env[i] for i in graph.outputs])


@dataclass
class _Scan:
    """A scan under revision: ``consts`` and ``xs`` by their number in the body, ``carries`` with what they become there."""

    node: Node
    builder: Builder
    operands: Sequence[Value]
    used: Sequence[bool]
    consts: dict[int, Value] = field(default_factory=dict)
    carries: dict[int, tuple[Value, int, int]] = field(default_factory=dict)  # initial value, body's output, number of the result
    xs: dict[int, Value] = field(default_factory=dict)
    ys: dict[int, int | None] = field(default_factory=dict)  # number of the result -> the body's output
    results: dict[int, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        attrs = self.node.attributes
        consts, carries = attrs["consts"], attrs["carries"]
        self.length: int = attrs["length"]
        self.body = body = (_upright(self.node.regions[0], consts, carries, self.length) if self.length > 1
                            else self.node.regions[0])
        inputs = list(zip(body.inputs, self.operands, strict=True))
        self.consts = dict(inputs[:consts])
        self.carries = {i: (x, out, n) for n, ((i, x), out) in enumerate(zip(inputs[consts:consts + carries], body.outputs))}
        self.xs = dict(inputs[consts + carries:])
        self.ys = {n: out for n, out in enumerate(body.outputs) if n >= carries and self.used[n]}

    def emitted(self) -> dict[int, Value]:
        """The results that are used, by their numbers."""
        self._drop_unchanged()
        self._drop_unread()
        if self.length:
            self._hoist_steady()
            self._hoist_sliced()
            behind = self._sum_behind()
        else:
            behind = []
        stacked = self._emit()
        for task in behind:
            task.emit(self, stacked)
        return self.results

    # Less to do

    def _drop_unchanged(self) -> None:
        """A carry that stays what it is is a constant."""
        for i, (first, out, n) in list(self.carries.items()):
            if i == out:
                del self.carries[i]
                self.consts[i] = self.results[n] = first

    def _drop_unread(self) -> None:
        needed = {i for i, (_, _, n) in self.carries.items() if self.used[n]}
        while True:
            outputs = [out for i, (_, out, _) in self.carries.items() if i in needed] + list(self._outputs())
            found = needed | (_ancestors(self.body, outputs, ()) & self.carries.keys())
            if found == needed:
                break
            needed = found
        self.carries = {i: carry for i, carry in self.carries.items() if i in needed}

    def _outputs(self) -> list[int]:
        return [out for out in self.ys.values() if out is not None]

    # Before the loop

    def _hoist_steady(self) -> None:
        steady = _descended(self.body, self.consts)
        wanted = [i for i in self._frontier(steady) if i not in self.consts and self.body.producer[i].op not in FREE]
        if not wanted:
            return
        before = part(self.body, list(self.consts), wanted)
        self.consts.update(zip(wanted, self.builder.inline(before, list(self.consts.values()))))

    def _frontier(self, inside: set[int]) -> list[int]:
        """The values of a set that what is not in it reads; free ones are made where they are read, of what they are made of."""
        roots = [i for node in self.body.nodes if node.results[0] not in inside for i in node.operands]
        work = [i for i in dict.fromkeys([*roots, *self._outputs(), *(c[1] for c in self.carries.values())]) if i in inside]
        found: dict[int, None] = {}
        for i in work:
            maker = self.body.producer.get(i)
            if maker is not None and maker.op in FREE and i not in self.consts:
                work += [k for k in maker.operands if k not in work]
            else:
                found[i] = None
        return list(found)

    def _hoist_sliced(self) -> None:
        """Products of slices with what stays: one product, of all slices."""
        sliced = _descended(self.body, {**self.consts, **self.xs})
        moving = sliced - _descended(self.body, self.consts)
        steady = sliced - moving
        heavy = {i for i in moving if i in self.body.producer and self._pays(self.body.producer[i], steady)}
        outputs = [*self._outputs(), *(c[1] for c in self.carries.values())]
        wanted = sorted(heavy & _ancestors(self.body, outputs, heavy))
        if not wanted or self.length * sum(self.body.types[i].nbytes for i in wanted) > MOST_BYTES:
            return
        inputs = [*self.consts, *self.xs]
        one = part(self.body, inputs, wanted)
        every, _ = batch(one, [None] * len(self.consts) + [0] * len(self.xs), self.length)
        self.xs.update(zip(wanted, self.builder.inline(every, [*self.consts.values(), *self.xs.values()])))

    def _pays(self, node: Node, steady: set[int]) -> bool:
        """A product much smaller than what it reads anew at each trip, or of which all trips make little. A larger one has rows
        enough in each trip, and all trips' may be what a loop is there to avoid: the scores of blockwise attention."""
        read = sum(self.body.types[i].nbytes for i in node.operands if i in steady)
        made = sum(t.nbytes for t in node.types)
        return node.op in HEAVY and (SAVING * made <= read or self.length * made <= FEW_BYTES)

    # Behind the loop

    def _sum_behind(self) -> list[_Behind]:
        """Carries that add up products, or sums of what all trips keep anyway."""
        known = {**self.consts, **self.xs}
        counts = self._uses()
        tasks = list[_Behind]()
        for products in (True, False):
            for i, (first, out, n) in list(self.carries.items()):
                term = self._term(i, out, counts)
                if term is None or (term.has_products != products) or any(k in self.consts for k in term.factors):
                    continue
                fresh = [k for k in dict.fromkeys(term.factors) if k not in known and not self._is_kept(k)]
                cost = sum(self.body.types[k].nbytes for k in fresh)
                if (fresh and not products) or cost > SAVING * self.body.types[out].nbytes or self.length * cost > MOST_BYTES:
                    continue
                del self.carries[i]
                for k in fresh:
                    self.ys[-1 - k] = k
                tasks.append(_Behind(first, term, n))
        return tasks

    def _uses(self) -> dict[int, int]:
        counts = dict.fromkeys(self.body.types, 0)
        for node in part(self.body, self.body.inputs, [*self._outputs(), *(c[1] for c in self.carries.values())]).nodes:
            for i in node.operands:
                counts[i] += 1
        for i in [*self._outputs(), *(c[1] for c in self.carries.values())]:
            counts[i] += 1
        return counts

    def _term(self, carry: int, out: int, counts: dict[int, int]) -> _Term | None:
        """What is added to a carry at each trip, if that is all that becomes of either."""
        add = self.body.producer.get(out)
        if out in self.xs or add is None or add.op != "add" or carry not in add.operands or counts[carry] != 1 or counts[out] != 1:
            return None
        return self._linear(add.operands[1 - add.operands.index(carry)], counts)

    def _linear(self, i: int, counts: dict[int, int]) -> _Term | None:
        """A value as sums and products, moved and added up by what nothing else reads."""
        maker = self.body.producer.get(i)
        if i in self.xs or maker is None:
            return None
        if maker.op in SUMMED:
            return _Term(maker)
        if counts[i] != 1 or not (maker.op in MOVES or (maker.op == "pad" and not maker.attributes["value"])):
            return None
        parts = [self._linear(k, counts) for k in maker.operands]
        found = tuple(part for part in parts if part is not None)
        return _Term(maker, found) if len(found) == len(parts) else None

    def _is_kept(self, i: int) -> bool:
        return i in self.ys.values()

    # The loop

    def _emit(self) -> dict[int, Value]:
        """The scan, if anything is left of it; returns of what is kept of all trips, by its number in the body, the ys."""
        of_carries, of_ys = [c[1] for c in self.carries.values()], list(dict.fromkeys(self._outputs()))
        whole = part(self.body, [*self.consts, *self.carries, *self.xs], [*of_carries, *of_ys])
        reads = {i for node in whole.nodes for i in node.operands} | set(whole.outputs)
        consts = {i: x for i, x in self.consts.items() if i in reads}
        xs = {i: x for i, x in self.xs.items() if i in reads}
        inputs = (*consts, *self.carries, *xs)
        names = dict(zip(self.body.inputs, self.body.input_names or ("",) * len(self.body.inputs)))
        body = Dce()(replace(whole, inputs=inputs, input_types=tuple(whole.types[i] for i in inputs),
                             input_names=tuple(names.get(i, "") for i in inputs)))
        if not whole.outputs:
            return self.xs
        out = self.builder.emit("scan", [*consts.values(), *(c[0] for c in self.carries.values()), *xs.values()], {
            **self.node.attributes, "consts": len(consts), "carries": len(self.carries)}, (body,))
        self.results.update((n, value) for (_, _, n), value in zip(self.carries.values(), out))
        stacked = dict(zip(of_ys, out[len(self.carries):]))
        self.results.update((n, stacked[i]) for n, i in self.ys.items() if n >= 0 and i is not None)
        return {**self.xs, **stacked}


@dataclass(frozen=True)
class _Term:
    """What a node makes: a sum or a product, or what is made of others, ``parts``, by moving or adding them."""

    node: Node
    parts: tuple[_Term, ...] = ()

    @property
    def leaves(self) -> tuple[Node, ...]:
        return tuple(node for part in self.parts for node in part.leaves) if self.parts else (self.node,)

    @property
    def factors(self) -> tuple[int, ...]:
        return tuple(i for node in self.leaves for i in node.operands)

    @property
    def has_products(self) -> bool:
        return any(node.op == "dot_general" for node in self.leaves)

    def total(self, builder: Builder, stacked: dict[int, Value]) -> Value:
        """The sum over all trips, of the factors of all trips."""
        given = [part.total(builder, stacked) for part in self.parts] or [stacked[i] for i in self.node.operands]
        with builder.at(self.node.loc):
            return builder.emit(self.node.op, given, self.node.attributes if self.parts else self._over_trips())

    def _over_trips(self) -> dict[str, Any]:
        attrs = self.node.attributes
        if self.node.op == "sum":
            return {**attrs, "axes": (0, *(a + 1 for a in attrs["axes"]))}
        contract, batched = (tuple(tuple(a + 1 for a in side) for side in attrs[what]) for what in ("contract", "batch"))
        return {**attrs, "contract": tuple((0, *side) for side in contract), "batch": batched}


@dataclass(frozen=True)
class _Behind:
    """A sum over all trips."""

    first: Value
    term: _Term
    result: int

    def emit(self, scan: _Scan, stacked: dict[int, Value]) -> None:
        total = self.term.total(scan.builder, stacked)
        with scan.builder.at(self.term.node.loc):
            scan.results[self.result] = self.first + total


def _upright(body: Graph, consts: int, carries: int, length: int) -> Graph:
    """The body, with what is the same in all trips turned so that products add up along its first axes: vectors of the others are
    read as they lie, where each trip would have to turn it, or the other factor, anew. Where the products are of carries, each trip
    reads all of it: in strips, then, that a cache finds line by line."""
    steady = _descended(body, body.inputs[:consts])
    sliced = _descended(body, (*body.inputs[:consts], *body.inputs[consts + carries:]))
    builder, env = rebuild(body)
    for node in body.nodes:
        operands, attrs = [env[i] for i in node.operands], node.attributes
        side = _turned(body, node, steady)
        with builder.at(node.loc):
            if side is not None:
                order, attrs = _turning(node, side, operands[side].type.rank)
                operands[side] = builder.emit("transpose", [operands[side]], {"perm": order})
            node = replace(node, attrs=tuple(attrs.items()))
            side = _striped(node, operands, steady) if length >= LONG and node.results[0] not in sliced else None
            results = builder.copy_node(node, operands) if side is None else [_in_strips(builder, node, operands, side)]
        env.update(zip(node.results, results))
    return builder.finish([env[i] for i in body.outputs])


def _striped(node: Node, operands: Sequence[Value], steady: set[int]) -> int | None:
    """The operand of a product of several rows that is better laid out in strips of its columns, if one is: rows of it lie far
    apart, so that what a tile reads of them shares sets of the caches, and is on a page each."""
    if node.op != "dot_general" or steady.issuperset(node.operands) or steady.isdisjoint(node.operands):
        return None
    side = 0 if node.operands[0] in steady else 1
    given, other = operands[side].type, operands[1 - side].type
    attrs = node.attributes
    if given.rank != 2 or attrs["contract"][side] != (0,) or attrs["batch"][side] or given.dtype not in (f32, f64):
        return None
    rows = prod(n for axis, n in enumerate(other.shape) if axis not in attrs["contract"][1 - side])
    far = given.shape[1] * given.dtype.itemsize >= FAR_BYTES
    return side if far and given.nbytes >= LARGE_BYTES and not given.shape[1] % STRIP and rows >= SOME_ROWS else None


def _in_strips(builder: Builder, node: Node, operands: Sequence[Value], side: int) -> Value:
    """The product, with the columns of one operand in strips, each of all rows."""
    depth, columns = operands[side].type.shape
    strips = builder.emit("reshape", [operands[side]], {"shape": (depth, columns // STRIP, STRIP)})
    strips = builder.emit("transpose", [strips], {"perm": (1, 0, 2)})
    contract = tuple((1,) if n == side else axes for n, axes in enumerate(node.attributes["contract"]))
    given = [strips if n == side else x for n, x in enumerate(operands)]
    product = builder.emit("dot_general", given, {**node.attributes, "contract": contract})
    return builder.emit("reshape", [product], {"shape": node.types[0].shape})


def _turned(body: Graph, node: Node, steady: set[int]) -> int | None:
    """The operand of a product that is better turned, if one is."""
    if node.op != "dot_general" or steady.issuperset(node.operands):
        return None
    for side, i in enumerate(node.operands):
        contract, batched = node.attributes["contract"][side], node.attributes["batch"][side]
        shape = body.types[i].shape
        free = prod(n for axis, n in enumerate(shape) if axis not in contract and axis not in batched)
        if i in steady and free >= WIDE and len(shape) - 1 in contract:
            return side
    return None


def _turning(node: Node, side: int, ndim: int) -> tuple[tuple[int, ...], dict[str, Any]]:
    """The order of the operand's axes, those of the batch and of the sum first; and the product's attributes with it."""
    contract, batched = node.attributes["contract"], node.attributes["batch"]
    first = (*batched[side], *contract[side])
    order = (*first, *(axis for axis in range(ndim) if axis not in first))

    def placed(axes: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(map(order.index, found)) if n == side else found for n, found in enumerate(axes))

    return order, {**node.attributes, "contract": placed(contract), "batch": placed(batched)}


def _descended(graph: Graph, inputs: Iterable[int]) -> set[int]:
    """The values that depend on no other inputs than these."""
    known = set(inputs)
    for node in graph.nodes:
        if known.issuperset(node.operands):
            known.update(node.results)
    return known


def _ancestors(graph: Graph, values: Iterable[int], ends: Iterable[int]) -> set[int]:
    """Values and what they are made of, up to ``ends``."""
    found, stop = set(values), set(ends)
    for node in reversed(graph.nodes):
        if not found.isdisjoint(set(node.results) - stop):
            found.update(node.operands)
    return found
