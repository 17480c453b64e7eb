"""The notation of ``families.py``: a line of Python with choices and arguments that are drawn.

``{a|b|}`` is one of the texts between the bars; ``<kind>`` an argument of one of ``ARGUMENTS``, the same one each time that it
stands in a line. ``<x>`` is the value that a line is about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

from tests.fuzz.draw import Draw, Literal, Raw, Refused, Value
from tests.fuzz.steps_elementwise import partner

CHOICE = re.compile(r"\{([^{}]*)\}")
TOKEN = re.compile(r"<([a-z_]+)>")


def chosen(g: Draw, text: str) -> str:
    """One of the texts that a line stands for."""
    while found := CHOICE.search(text):
        text = text[:found.start()] + g.choose(*found[1].split("|")) + text[found.end():]
    return text


def every(text: str) -> Iterator[str]:
    """All of them; of a line with many choices each alternative once."""
    groups = [m.split("|") for m in CHOICE.findall(text)]
    shape = CHOICE.sub("\0", text)
    whole = product(*groups) if len(groups) < 4 else zip(*(g * (40 // len(g) + 1) for g in groups))
    for pieces in whole:
        rest = iter(pieces)
        yield re.sub("\0", lambda _, rest=rest: next(rest), shape)


def written(g: Draw, text: str, x: Value) -> tuple[str, list[Any]]:
    """A form of ``Step`` and its arguments."""
    drawn: dict[str, int] = {"x": 0}
    args: list[Any] = [x.ref]
    own = Drawn(g, x)

    def place(found: re.Match[str]) -> str:
        kind = found[1]
        if kind not in drawn:
            drawn[kind] = len(args)
            args.append(own[kind])
        return f"{{{drawn[kind]}}}"

    return TOKEN.sub(place, chosen(g, text)), args


class Drawn(dict[str, Any]):
    """The arguments of one line by kind: made when they are asked for, by a kind that another one builds on as well."""

    def __init__(self, g: Draw, x: Value) -> None:
        super().__init__()
        self.g, self.x = g, x

    def __missing__(self, kind: str) -> Any:
        self[kind] = ARGUMENTS[kind](self.g, self.x, self)
        return self[kind]


ARGUMENTS: dict[str, Callable[[Draw, Value, Drawn], Any]] = {}


def argument(maker: Callable[[Draw, Value, Drawn], Any]) -> Callable[[Draw, Value, Drawn], Any]:
    ARGUMENTS[maker.__name__] = maker
    return maker


def code(v: Value) -> str:
    return "?" if v.dtype.kind == "b" else v.dtype.str[1:]


# Values

@argument
def y(g: Draw, x: Value, _: Drawn) -> Any:
    """Of the same kind, broadcast with x."""
    return partner(g, x, lambda v: v.dtype.kind == x.dtype.kind).ref


@argument
def same(g: Draw, x: Value, _: Drawn) -> Any:
    """Of the same type; x itself now and then."""
    found = [v for v in g.values if v.shape == x.shape and v.dtype == x.dtype]
    return g.choose(*found).ref if g.chance(0.6) else g.input(x.shape, code(x)).ref


@argument
def third(g: Draw, x: Value, own: Drawn) -> Any:
    return same(g, x, own)


@argument
def integers(g: Draw, x: Value, _: Drawn) -> Any:
    """Of x's shape, small."""
    return g.input(x.shape, g.choose("i4", "i8"), "small", -4, 5).ref


@argument
def mask(g: Draw, x: Value, _: Drawn) -> Any:
    """Bools of x's shape, or one that broadcasts to it."""
    shape = tuple(n if g.chance(0.8) else 1 for n in x.shape)[g.int(0, x.rank) if g.chance(0.15) else 0:]
    return g.input(shape, "?").ref


@argument
def vector(g: Draw, x: Value, _: Drawn) -> Any:
    """One axis, of any length but 0."""
    return g.input((g.int(1, 7),), code(x)).ref


@argument
def row(g: Draw, x: Value, _: Drawn) -> Any:
    """One axis, as long as x's last."""
    return g.input(x.shape[-1:], code(x)).ref


@argument
def column(g: Draw, x: Value, own: Drawn) -> Any:
    """One axis, as long as x's ``axis``."""
    return g.input((x.shape[own["axis"]],), code(x)).ref


@argument
def scalar(g: Draw, x: Value, _: Drawn) -> Any:
    return g.input((), code(x)).ref


@argument
def matrix(g: Draw, x: Value, _: Drawn) -> Any:
    """What x can be multiplied with."""
    return g.input((x.shape[-1], g.int(1, 4)), code(x)).ref


@argument
def unlike(g: Draw, x: Value, own: Drawn) -> Any:
    """x's shape but for ``axis``."""
    axis = own["axis"] % x.rank
    return g.input((*x.shape[:axis], g.int(0, 4), *x.shape[axis + 1:]), code(x)).ref


@argument
def complex(g: Draw, x: Value, _: Drawn) -> Any:
    """x, or where that is real something complex of its shape."""
    return x.ref if x.dtype.kind == "c" else g.input(x.shape, {2: "c8", 4: "c8", 8: "c16"}[x.dtype.itemsize]).ref


# Numbers in the text

@argument
def axis(g: Draw, x: Value, _: Drawn) -> Any:
    return g.axis(x)


@argument
def dim(g: Draw, x: Value, _: Drawn) -> Any:
    """An axis, counted from the first."""
    return g.axis(x) % x.rank


@argument
def dims(g: Draw, x: Value, _: Drawn) -> Any:
    """Some axes, in order."""
    return tuple(sorted(g.rng.sample(range(x.rank), g.int(0, x.rank))))


@argument
def axes(g: Draw, x: Value, _: Drawn) -> Any:
    return g.axes(x)


@argument
def planes(g: Draw, x: Value, _: Drawn) -> Any:
    """Two axes."""
    if x.rank < 2:
        raise Refused("one axis")
    return tuple(g.rng.sample(range(x.rank), 2))


@argument
def offset(g: Draw, x: Value, _: Drawn) -> Any:
    return g.int(-3, 3)


@argument
def n(g: Draw, x: Value, _: Drawn) -> Any:
    return g.int(1, 5)


@argument
def extent(g: Draw, x: Value, own: Drawn) -> Any:
    return x.shape[own["axis"]]


@argument
def last(g: Draw, x: Value, _: Drawn) -> Any:
    """The last axis's extent."""
    return x.shape[-1]


@argument
def extent_or_more(g: Draw, x: Value, _: Drawn) -> Any:
    return x.shape[-1] + g.choose(0, 0, 1)


@argument
def count(g: Draw, x: Value, _: Drawn) -> Any:
    """As many as the last axis has, or fewer."""
    return g.int(0 if g.chance(0.1) else min(x.shape[-1], 1), x.shape[-1])


@argument
def kth(g: Draw, x: Value, own: Drawn) -> Any:
    """A place in ``axis``."""
    extent = x.shape[own["axis"]]
    if not extent:
        raise Refused("empty")
    return g.int(-extent, extent - 1)


@argument
def size(g: Draw, x: Value, _: Drawn) -> Any:
    """Room for what is found: none too much, too little or more than enough."""
    return g.choose(x.size, x.size + 2, max(x.size // 2, 1), 0 if g.chance(0.1) else 1)


@argument
def real(g: Draw, x: Value, _: Drawn) -> Any:
    return g.choose(0.5, -1.5, 2.0, 0.0, 0.25)


@argument
def q(g: Draw, x: Value, _: Drawn) -> Any:
    return g.choose(0.5, 0.25, 0.0, 1.0, 0.9, [0.1, 0.5, 0.75], [1.0])


@argument
def percent(g: Draw, x: Value, _: Drawn) -> Any:
    return g.choose(50, 25.0, 0, 100, 90.0, [10, 50.0, 75], [100])


@argument
def method(g: Draw, x: Value, _: Drawn) -> Any:
    return g.choose("linear", "linear", "lower", "higher", "midpoint", "nearest")


@argument
def bins(g: Draw, x: Value, _: Drawn) -> Any:
    """Rising edges, equal ones among them."""
    edges = sorted(g.choose(-2, -1, -0.5, 0, 0.25, 1, 1.5, 2) for _ in range(g.int(1, 6)))
    return Literal(tuple(map(float, edges)), "f8")


@argument
def pairs(g: Draw, x: Value, _: Drawn) -> Any:
    """How much goes before and behind each axis."""
    return tuple((g.choose(0, 0, 1, 2, 5), g.choose(0, 0, 1, 3)) for _ in x.shape)


@argument
def wide(g: Draw, x: Value, own: Drawn) -> Any:
    """The same of lax's: with gaps, and less than nothing."""
    return tuple((a - g.int(0, 1), b - g.int(0, 1)) for a, b in own["pairs"])


@argument
def window(g: Draw, x: Value, _: Drawn) -> Any:
    return tuple(g.choose(1, 2, 2, 3) for _ in x.shape)


@argument
def strides(g: Draw, x: Value, _: Drawn) -> Any:
    return tuple(g.choose(1, 1, 2, 3) for _ in x.shape)


@argument
def dilation(g: Draw, x: Value, _: Drawn) -> Any:
    return tuple(g.choose(1, 1, 2) for _ in x.shape)


@argument
def shape(g: Draw, x: Value, _: Drawn) -> Any:
    return tuple(g.choose(0 if g.chance(0.1) else 1, 2, 3, 5) for _ in range(g.int(0, 3)))


@argument
def dtype(g: Draw, x: Value, _: Drawn) -> Any:
    return Raw(g.choose("np.float32", "np.float64", "np.float16", "np.int32", "np.int64", "np.int8", "np.uint8",
                        "np.uint32", "np.bool_"))


@argument
def unsigned(g: Draw, x: Value, _: Drawn) -> Any:
    """The unsigned integer of x's width."""
    return Raw(f"np.uint{8 * x.dtype.itemsize}")


@argument
def parts(g: Draw, x: Value, own: Drawn) -> Any:
    """Extents that ``axis`` falls into."""
    first = g.int(0, x.shape[own["axis"]])
    return (first, x.shape[own["axis"]] - first)


@argument
def channels(g: Draw, x: Value, _: Drawn) -> Any:
    return x.shape[-1]


def _weights(g: Draw, x: Value, spatial: bool, inner: int, outer: int) -> Any:
    kernel = tuple(g.int(1, 3) for _ in x.shape[1:-1]) if spatial else (1,) * (x.rank - 2)
    return g.input((*kernel, inner, outer), code(x)).ref


@argument
def filters(g: Draw, x: Value, _: Drawn) -> Any:
    return _weights(g, x, True, x.shape[-1], g.int(1, 4))


@argument
def depths(g: Draw, x: Value, _: Drawn) -> Any:
    """Filters of each channel alone."""
    return _weights(g, x, True, x.shape[-1], 1)


@argument
def points(g: Draw, x: Value, _: Drawn) -> Any:
    return _weights(g, x, False, x.shape[-1], g.int(1, 4))


# Places

@argument
def places(g: Draw, x: Value, own: Drawn) -> Any:
    """Indices into ``axis``, some twice, some outside."""
    extent = x.shape[own["axis"]]
    return g.input(g.choose((3,), (1,), (6,), (2, 2), ()), g.choose("i8", "i4", "u1"), "small", -extent - 2, extent + 3).ref


@argument
def inside(g: Draw, x: Value, own: Drawn) -> Any:
    """Indices into ``axis``, none outside."""
    extent = x.shape[own["axis"]]
    if not extent:
        raise Refused("empty")
    return g.input((g.int(1, 6),), g.choose("i8", "i4"), "small", 0, extent).ref


@argument
def distinct(g: Draw, x: Value, own: Drawn) -> Any:
    """Indices into ``axis``, each once."""
    extent = x.shape[own["axis"]]
    return Literal(tuple(g.rng.sample(range(extent), g.int(0, min(extent, 8)))), "i8")


@argument
def known_mask(g: Draw, x: Value, _: Drawn) -> Any:
    """Bools of the first axis."""
    return Literal(tuple(g.chance(0.5) for _ in range(x.shape[0])), "?")


@argument
def along(g: Draw, x: Value, own: Drawn) -> Any:
    """For each row along ``axis`` indices into it."""
    axis = own["axis"] % x.rank
    extent = x.shape[axis]
    inner = (*x.shape[:axis], g.int(1, 4), *x.shape[axis + 1:])
    low, high = (-extent - 2, extent + 3) if g.chance(0.4) else (0, max(extent, 1))
    return g.input(inner, g.choose("i8", "i4"), "small", low, high).ref


@argument
def put(g: Draw, x: Value, own: Drawn) -> Any:
    """Values for ``along``: as many, one for a row, or one."""
    axis = own["axis"] % x.rank
    named = {v.name: v for v in g.values}
    wanted = named[own["along"].name].shape
    return g.input(g.choose(wanted, wanted, (), tuple(1 if d == axis else m for d, m in enumerate(wanted))), code(x)).ref


@argument
def ids(g: Draw, x: Value, own: Drawn) -> Any:
    """Segments of the first axis, some of them without an element, some outside."""
    low = g.choose(0, 0, -1)
    return g.input(x.shape[:1], g.choose("i8", "i4"), "small", low, own["n"] + g.int(0, 2)).ref


@argument
def sorted_ids(g: Draw, x: Value, own: Drawn) -> Any:
    return Literal(tuple(sorted(g.int(0, own["n"] - 1) for _ in range(x.shape[0]))), "i8")


@argument
def classes(g: Draw, x: Value, _: Drawn) -> Any:
    """Small whole numbers of x's shape, none negative."""
    return g.input(x.shape, g.choose("i8", "i4", "u1"), "small", 0, 5).ref
