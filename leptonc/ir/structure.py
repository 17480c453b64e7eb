"""Shapes of computation that passes and code generation recognise in a stage, whatever op it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from leptonc.ir.affine import counted_axes
from leptonc.ir.kernel import Apply, Axis, AxisIndex, Const, Index, Inst, Load, Reduce, Stage, operands, reduction_identity
from leptonc.ir.types import DType, i32, i64, u32
from leptonc.lazy import remembered

COUNTERS = (i32, u32, i64)  # what the points of an axis are counted in without wrapping around
WITHIN = {"lt": (False, False), "le": (False, True), "gt": (True, False), "ge": (True, True)}  # (limit first, closed)
EXTREMES = ("argmax", "argmin")  # of which there is a position even where they are over nothing
Factor = tuple[Load, tuple[DType, ...]]
"""What is loaded, and the dtypes that it is cast to, in turn, before it is multiplied."""


@dataclass(frozen=True)
class Bound:
    """A fold goes over those points of a reduce axis whose number (instruction ``number``) is less than ``limit``; no greater, if
    it is ``closed``."""

    number: int
    limit: int
    closed: bool = False


@dataclass(frozen=True)
class ProductSum:
    """``sum of a * b`` over a stage's reduce axes, of two loads or what casts make of them: a contraction. Fields are numbers of
    instructions; what depends on ``reduce`` is the epilogue, and loads besides ``a`` and ``b``, which are the ``factors``, are
    operands of that alone. ``casts``: the dtypes that each factor is converted to before it is multiplied, in turn. ``bound``: of
    which points it is the sum, if not of all: those that others have are not multiplied, whatever they are."""

    reduce: int
    a: int
    b: int
    factors: tuple[Load, Load]
    casts: tuple[tuple[DType, ...], tuple[DType, ...]] = ((), ())
    bound: Bound | None = None


def product_sum(insts: Sequence[Inst]) -> ProductSum | None:
    """The sum of products among a stage's instructions, if that is their only reduction and goes over all points."""
    found = bounded_sum(insts)
    return None if found is None or found.bound is not None else found


def bounded_sum(insts: Sequence[Inst]) -> ProductSum | None:
    """The sum of products among a stage's instructions, if that is their only reduction: of all points, or of the first ones, which
    are ``sum of select(number < limit, a * b, 0)``."""
    reduces = [(n, i) for n, i in enumerate(insts) if isinstance(i, Reduce)]
    if len(reduces) != 1 or reduces[0][1].kind != "sum":
        return None
    number, reduce = reduces[0]
    bound, product = _bound(insts, reduce.arg)
    if not isinstance(product, Apply) or product.op != "mul":
        return None
    (a, first, one), (b, second, other) = (converted_load(insts, n) for n in product.args)
    if not isinstance(first, Load) or not isinstance(second, Load):
        return None
    return ProductSum(number, a, b, (first, second), (one, other), bound)


def _bound(insts: Sequence[Inst], n: int) -> tuple[Bound | None, Inst]:
    """What instruction ``n`` is under a bound that is the same at all points, and that bound."""
    found = first_points(insts, n, 0)
    if found is None or found[0].closed or varying_axes(insts[:found[0].limit + 1])[found[0].limit]:
        return None, insts[n]
    return found[0], insts[found[1]]


def first_points(insts: Sequence[Inst], n: int, other: float) -> tuple[Bound, int] | None:
    """The bound within which instruction ``n`` is another one, and that; beyond it ``n`` is the number ``other``."""
    select = insts[n]
    if not isinstance(select, Apply) or select.op != "select":
        return None
    within, beyond = insts[select.args[0]], insts[select.args[2]]
    if not isinstance(beyond, Const) or beyond.value != other or not isinstance(within, Apply) or within.op not in WITHIN:
        return None
    turned, closed = WITHIN[within.op]
    number, limit = within.args[::-1] if turned else within.args
    counter = insts[number]
    if not isinstance(counter, AxisIndex) or counter.dtype not in COUNTERS:
        return None
    return Bound(number, limit, closed), select.args[1]


@dataclass(frozen=True)
class FoldBound:
    """All folds of a stage go over the points of ``axis`` within ``bound``; ``args``: what each (by its number) folds of these."""

    axis: str
    bound: Bound
    args: dict[int, int]


def fold_bound(insts: Sequence[Inst], axes: Sequence[Axis], indices: Mapping[int, Index] | None = None,
               axes_of: Sequence[frozenset[str]] | None = None) -> FoldBound | None:
    """What bounds the folds of a stage's instructions, if it is the same for all of them and known before they begin: each is a
    ``fold of select(number < limit, x, what folding nothing gives)``. ``indices``: as for ``find_routing``; ``axes_of``: the axes
    that instructions vary along, if that is known."""
    args, bounds = dict[int, int](), set[Bound]()
    for n, inst in enumerate(insts):
        if isinstance(inst, Reduce):
            identity = reduction_identity(inst.kind, insts[inst.arg].dtype)
            found = None if inst.kind in EXTREMES else first_points(insts, inst.arg, identity)
            if found is None:
                return None
            bound, args[n] = found
            bounds.add(bound)
    if len(bounds) != 1:
        return None
    (bound,) = bounds
    folded = {Index.of(a): a.name for a in axes if a.reduce}
    counter = insts[bound.number]
    assert isinstance(counter, AxisIndex)
    axis = folded.get(counter.index if indices is None else indices[bound.number])
    varies = (axes_of or varying_axes(insts[:bound.limit + 1]))[bound.limit]
    return None if axis is None or varies.intersection(folded.values()) else FoldBound(axis, bound, args)


def converted_load(insts: Sequence[Inst], n: int) -> tuple[int, Inst, tuple[DType, ...]]:
    """The instruction that casts alone make instruction ``n`` of: its number, itself, and their dtypes in turn."""
    casts: tuple[DType, ...] = ()
    inst = insts[n]
    while isinstance(inst, Apply) and inst.op == "cast":
        casts = (inst.dtype, *casts)
        n = inst.args[0]
        inst = insts[n]
    return n, inst, casts


@remembered
def is_contraction(stage: Stage) -> bool:
    """A sum of products, of two loads or of a load and a one-hot factor."""
    return bounded_sum(stage.insts) is not None or find_routing(stage.insts, stage.axes) is not None


@dataclass(frozen=True)
class Routing:
    """``sum of dense * select(index == number, value, 0)``, where ``number`` counts the points of the routing axes.

    The factor is one-hot along those axes: of all their points, one at most gives anything. All fields but ``axes`` are
    numbers of instructions; ``value`` and ``index`` depend on no routing axis.
    """

    reduce: int
    dense: int
    value: int
    index: int
    number: int
    axes: frozenset[str]


def find_routing(insts: Sequence[Inst], axes: Sequence[Axis], indices: Mapping[int, Index] | None = None) -> Routing | None:
    """The routed sum of a stage's instructions, or None. ``indices``: what AxisIndex instructions stand for, if the axes
    are no longer those they were written with."""
    reduces = [n for n, i in enumerate(insts) if isinstance(i, Reduce)]
    if len(reduces) != 1:
        return None
    reduce = insts[reduces[0]]
    assert isinstance(reduce, Reduce)
    product = insts[reduce.arg]
    if reduce.kind != "sum" or not reduce.dtype.is_float or not isinstance(product, Apply) or product.op != "mul":
        return None
    for dense, select in (product.args, product.args[::-1]):
        found = one_hot(insts, select)
        if found is None or not isinstance(insts[dense], Load):
            continue
        value, index, number = found
        inst = insts[number]
        assert isinstance(inst, AxisIndex)
        routing = counted_axes(inst.index if indices is None else indices[number], {a.name: a.extent for a in axes})
        axes_of = varying_axes(insts)
        if routing and not routing & (axes_of[value] | axes_of[index]):
            return Routing(reduces[0], dense, value, index, number, routing)
    return None


def one_hot(insts: Sequence[Inst], n: int) -> tuple[int, int, int] | None:
    """(value, index, number) of ``select(index == number, value, 0)``."""
    select = insts[n]
    if not isinstance(select, Apply) or select.op != "select":
        return None
    condition, value, other = select.args
    same, zero = insts[condition], insts[other]
    if not isinstance(zero, Const) or zero.value != 0 or not isinstance(same, Apply) or same.op != "eq":
        return None
    for index, number in (same.args, same.args[::-1]):
        if isinstance(insts[index], Load) and isinstance(insts[number], AxisIndex):
            return value, index, number
    return None


def varying_axes(insts: Sequence[Inst], folded: frozenset[str] = frozenset()) -> tuple[frozenset[str], ...]:
    """The axes along which the value of each instruction may vary; a Reduce's does not along those that are ``folded``."""
    found: list[frozenset[str]] = []
    for inst in insts:
        axes = frozenset[str]().union(*(found[n] for n in operands(inst)))
        match inst:
            case Load():
                axes |= {axis for index in inst.index for axis, _ in index.axes}
            case AxisIndex():
                axes |= {axis for axis, _ in inst.index.axes}
            case Reduce():
                axes -= folded
        found.append(axes)
    return tuple(found)


def made_of(insts: Sequence[Inst], roots: Iterable[int]) -> frozenset[int]:
    """The instructions that some are made of, and these themselves."""
    needed, work = set[int](), list(roots)
    while work:
        n = work.pop()
        if n not in needed:
            needed.add(n)
            work += operands(insts[n])
    return frozenset(needed)


def routed_inputs(insts: Sequence[Inst], routing: Routing) -> frozenset[int]:
    """The instructions that make a routed sum's value and index: they run once for all points of the other axes."""
    return made_of(insts, (routing.value, routing.index))
