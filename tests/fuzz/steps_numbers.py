"""Steps that are given dimension numbers: gather and scatter in every form and mode, and sums of products in letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.fuzz.draw import Draw, Raw, Refused, Value, step

MODES = ("", ", mode='clip'", ", mode='fill'", ", mode='drop'")
SCATTERS = ("lax.scatter", "lax.scatter_add", "lax.scatter_add", "lax.scatter_sub", "lax.scatter_mul", "lax.scatter_min",
            "lax.scatter_max")


@dataclass(frozen=True)
class Numbers:
    """``dims``: of the windows in the result or the updates, of axes of one element left out, of the indices' numbers, and of
    batches in the operand and the indices. ``result``: the shape of what is read or written."""

    places: tuple[int, ...]
    dims: tuple[tuple[int, ...], ...]
    sizes: tuple[int, ...]
    result: tuple[int, ...]


def numbers(g: Draw, shape: tuple[int, ...]) -> Numbers:
    """Any axes left out or in batches, any order of numbers in an index, windows up to the whole."""
    roles = [g.choose("batch", "left out", "left out", "window", "window") for _ in shape]
    batch = [d for d, role in enumerate(roles) if role == "batch"]
    pointed = [d for d, role in enumerate(roles) if role != "batch" and g.chance(0.8)]
    g.rng.shuffle(pointed)
    sizes = tuple(g.int(1, n) if role == "window" else 1 for role, n in zip(roles, shape))
    places = [g.int(1, 3) for _ in range(g.int(0, 2))]
    batch_at: list[int] = []
    for d in batch:
        at = g.int(0, len(places))
        places.insert(at, shape[d])
        batch_at = [b + (b >= at) for b in batch_at] + [at]
    windows = [n for n, role in zip(sizes, roles) if role == "window"]
    inner = tuple(sorted(g.rng.sample(range(len(places) + len(windows)), len(windows))))
    result = list(places)
    for d, n in zip(inner, windows):
        result.insert(d, n)
    left_out = tuple(d for d, role in enumerate(roles) if role == "left out")
    return Numbers((*places, len(pointed)), (inner, left_out, tuple(pointed), tuple(batch), tuple(batch_at)), sizes, tuple(result))


def operand(g: Draw) -> Value:
    found = [v for v in g.values if 1 <= v.rank <= 3 and 0 < v.size <= 300 and v.dtype.kind != "b"]
    shape = tuple(g.int(2, 5) for _ in range(g.int(1, 3)))
    return g.choose(*found) if found and g.chance(0.6) else g.input(shape, g.choose(g.float, g.float, "f8", "i4"))


def indices(g: Draw, x: Value, made: Numbers) -> Any:
    return g.input(made.places, g.choose("i8", "i4"), "small", *((-2, max(x.shape) + 2) if g.chance(0.4) else (0, 3))).ref


@step(1)
def gather_windows(g: Draw) -> None:
    x = operand(g)
    made = numbers(g, x.shape)
    mode = g.choose(*MODES[1:], ", mode='fill', fill_value=2")
    g.step(f"lax.gather({{0}}, {{1}}, lax.GatherDimensionNumbers(*{{2}}), {{3}}{mode})", x.ref, indices(g, x, made), made.dims,
           made.sizes)


@step(1.5)
def scatter_windows(g: Draw) -> None:
    x = operand(g)
    made = numbers(g, x.shape)
    where = (x.ref, indices(g, x, made), made.dims)
    if g.chance(0.1):
        g.step("lax.scatter_apply({0}, {1}, lambda v: v * v + 1, lax.ScatterDimensionNumbers(*{2}), update_shape={3})", *where,
               made.result)
        return
    updates = g.input(made.result, x.dtype.str[1:])
    form = f"{g.choose(*SCATTERS)}({{0}}, {{1}}, {{3}}, lax.ScatterDimensionNumbers(*{{2}}){g.choose(*MODES)})"
    g.step(form, *where, updates.ref)


@step(1)
def letters(g: Draw) -> None:
    """einsum: letters that stay, are summed, stand twice in one operand or in several; an order of the result, or none."""
    x = g.pick(lambda v: 1 <= v.rank <= 3 and 0 < v.size <= 200 and v.dtype.kind in "fiuc")
    extents: dict[str, int] = {}
    terms, args = [_term(g, extents, x.shape)], [x.ref]
    for _ in range(g.choose(0, 1, 1, 2)):
        shape = [g.choose(*extents.values(), g.int(1, 4)) for _ in range(g.int(1, 3))]
        terms.append(_term(g, extents, tuple(shape)))
        args.append(g.input(shape, x.dtype.str[1:]).ref)
    free = sorted(extents)
    out = "->" + "".join(g.rng.sample(free, g.int(0, min(len(free), 4)))) if g.chance(0.8) else ""
    g.step("lnp.einsum({0}, " + ", ".join(f"{{{n + 1}}}" for n in range(len(args))) + ")", Raw(repr(",".join(terms) + out)), *args)


def _term(g: Draw, extents: dict[str, int], shape: tuple[int, ...]) -> str:
    """A letter for each axis, one that is there where it fits."""
    term = ""
    for n in shape:
        fitting = [c for c, m in extents.items() if m == n]
        if len(extents) > 5 and not fitting:
            raise Refused("letters")
        letter = g.choose(*fitting) if fitting and (g.chance(0.6) or len(extents) > 5) else "abcdefgh"[len(extents)]
        extents[letter] = n
        term += letter
    return term
