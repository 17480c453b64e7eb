"""Steps that read and write at indices, known and traced."""

from __future__ import annotations

from typing import Any

from tests.fuzz.draw import Draw, Index, Literal, Refused, Value, step
from tests.fuzz.steps_shapes import cut


def indices(g: Draw, n: int, shape: tuple[int, ...] | None = None, beyond: float = 0.2) -> Value:
    """A traced index array into ``n``; some point outside."""
    shape = shape or ((g.int(1, 6),) if g.chance(0.8) else (g.int(1, 3), g.int(1, 3)))
    low, high = (-n - 2, n + 3) if g.chance(beyond) else (0, max(n, 1))
    return g.input(shape, g.choose("i8", "i8", "i4"), "small", low, high)


def known(g: Draw, n: int) -> Literal:
    return Literal(tuple(g.int(-n, n - 1) for _ in range(g.int(1, 5))), "i8")


@step(2)
def gather(g: Draw) -> None:
    v = g.pick(lambda v: v.rank and v.size)
    axis = g.axis(v)
    n = v.shape[axis]
    index: Any = indices(g, n).ref if g.chance(0.6) else known(g, n)
    if g.chance(0.4):
        g.step(g.choose("lnp.take({0}, {1}, {2})", "{0}.take({1}, {2})"), v.ref, index, axis)
    else:
        items: list[Any] = [slice(None)] * (axis % v.rank)
        g.step("{0}[{1}]", v.ref, Index((*items, index)))


@step(0.5)
def gather_pairs(g: Draw) -> None:
    """Two index arrays; a scalar index beside slices."""
    v = g.pick(lambda v: v.rank >= 2 and v.size)
    shape = (g.int(1, 5),)
    first, last = indices(g, v.shape[0], shape).ref, indices(g, v.shape[-1], shape).ref
    rest = [slice(None)] * (v.rank - 2)
    if g.chance(0.3):
        first = g.input((), "i4", "small", 0, v.shape[0]).ref
    g.step("{0}[{1}]", v.ref, Index((first, *rest, last) if g.chance(0.6) else (first,)))


@step(0.3)
def masked(g: Draw) -> None:
    v = g.pick(lambda v: v.rank and 0 < v.shape[0] <= 12)
    mask = Literal(tuple(g.chance(0.5) for _ in range(v.shape[0])), "?")
    g.step("{0}[{1}]", v.ref, Index((mask,)))


@step(1.5)
def scatter(g: Draw) -> None:
    v = g.pick(lambda v: v.rank and v.size and v.dtype.kind != "b")
    n = v.shape[0]
    kind = g.choose("set", "add", "add", "max", "min")
    way = g.int(0, 3)
    index: Any
    if way == 0:
        index, count = Index((indices(g, n, (k := g.int(1, 5),)).ref,)), (k, *v.shape[1:])
    elif way == 1:
        literal = known(g, n)
        index, count = Index((literal,)), (len(literal.values), *v.shape[1:])
    elif way == 2:
        index, count = Index((g.input((), "i8", "small", -1, n + 1).ref,)), v.shape[1:]
    else:
        index = Index(tuple(cut(g, m) for m in v.shape))
        count = g.step("{0}[{1}]", v.ref, index).shape
    values: Any = g.choose(1, 2)
    if g.chance(0.8):
        values = g.input(count, v.dtype.str[1:]).ref
    target = "lnp.asarray({0})" if g.chance(0.1) else "{0}"
    g.step(f"{target}.at[{{1}}].{kind}({{2}})", v.ref, index, values)


@step(0.5)
def scatter_add(g: Draw) -> None:
    v = g.floats(1)
    axis = g.rng.randrange(v.rank)
    if not v.shape[axis]:
        raise Refused("empty")
    count = g.int(1, 6)
    updates = g.input((*v.shape[:axis], count, *v.shape[axis + 1:]), v.dtype.str[1:])
    g.step("lax.scatter_add({0}, {1}, {2}, {3})", v.ref, indices(g, v.shape[axis], (count,)).ref, updates.ref, axis)


@step(0.7)
def dynamic(g: Draw) -> None:
    """Windows at starts that may be traced, and may point outside."""
    v = g.pick(lambda v: 1 <= v.rank <= 3 and v.size and v.dtype.kind != "b")
    starts = tuple(g.input((), g.choose("i8", "i4"), "small", -2, n + 2).ref if g.chance(0.5) else g.int(0, n - 1) for n in v.shape)
    sizes = tuple(g.int(1, n) for n in v.shape)
    if g.chance(0.5):
        g.step("lax.dynamic_slice({0}, {1}, {2})", v.ref, starts, sizes)
    else:
        update = g.input(sizes, v.dtype.str[1:])
        g.step("lax.dynamic_update_slice({0}, {1}, {2})", v.ref, update.ref, starts)


@step(0.4)
def padded_gather(g: Draw) -> None:
    """Rows of a padded table."""
    v = g.floats(2)
    pads = ((g.choose(0, 0, 2), g.int(0, 6)), *(((0, 0),) * (v.rank - 1)))
    padded = g.step("lnp.pad({0}, {1})", v.ref, pads)
    g.step("{0}[{1}]", padded.ref, Index((indices(g, padded.shape[0], (g.int(1, 6),)).ref,)))
