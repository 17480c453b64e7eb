"""Steps of the names in ``families.py``: alone, and in the bodies of loops, branches, maps and calls."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fuzz.draw import Draw, Maker, Value, step
from tests.fuzz.families import FAMILIES, Family
from tests.fuzz.families_complex import COMPLEX_FAMILIES
from tests.fuzz.forms import written

CODES = {"c": ("c8", "c8", "c16"), "f": ("f4", "f4", "f8", "f2"), "i": ("i8", "i4", "i2", "i1"), "u": ("u1", "u4", "u2", "u8"),
         "b": ("?",)}
EXTENTS = (1, 1, 2, 3, 4, 5, 6, 7, 9, 17)
# FORM is about v; X stands for what is given.
BODIES = (
    "lax.cond(FLAG, lambda v: FORM, lambda v: (lambda v: FORM)(lnp.flip(v)), X)",
    "lax.switch(NUMBER, [lambda v: FORM, lambda v: (lambda v: FORM)(lnp.flip(v))], X)",
    "lax.scan(lambda c, v: (c + 1, FORM), 0, lnp.stack([X, lnp.flip(X)]))[1]",
    "lax.map(lambda v: FORM, lnp.stack([X, lnp.flip(X)]))",
    "leptonc.vmap(lambda v: FORM)(lnp.stack([X, lnp.flip(X)]))",
    "leptonc.vmap(lambda v: FORM, RANK)(lnp.stack([X, lnp.flip(X)], -1))",
    "leptonc.jit(lambda v: FORM)(X)",
    "leptonc.checkpoint(lambda v: FORM)(X)",
)
CARRIED = (
    "lax.fori_loop(0, 2, lambda i, v: leptonc.tree.leaves(FORM)[0].astype(v.dtype), X)",
    "lax.while_loop(lambda t: t[0] < 2, lambda t: (t[0] + 1, "
    "(lambda v: leptonc.tree.leaves(FORM)[0].astype(v.dtype))(t[1])), (0, X))[1]",
    "lax.scan(lambda v, _: (leptonc.tree.leaves(FORM)[0].astype(v.dtype), lnp.sum(v)), X, None, length=2)",
)


def shape_for(g: Draw, family: Family) -> tuple[int, ...]:
    rank = g.int(max(family.rank, g.choose(0, 1, 1)), min(family.highest, max(family.rank + 1, 3)))
    extents = [0 if g.chance(0.03) else g.choose(*EXTENTS) for _ in range(rank)]
    if rank == 1 and g.chance(0.15):
        extents = [g.int(18, 300)]
    if family.square and rank > 1 and g.chance(0.7):
        extents[-1] = extents[-2]
    return tuple(extents)


def fits(family: Family, v: Value) -> bool:
    return v.dtype.kind in family.kinds and family.rank <= v.rank <= family.highest and v.size <= family.largest


def subject(g: Draw, family: Family) -> Value:
    """A value that a family's lines may be about, one that is there or a new one."""
    found = [v for v in g.values if fits(family, v)]
    if found and g.chance(0.7):
        return found[max(g.rng.randrange(len(found)), g.rng.randrange(len(found)))]
    kind = g.choose(*(k for k in family.kinds if k != "c" or g.is_complex))
    code = g.float if kind == np.dtype(g.float).kind and g.chance(0.7) else g.choose(*CODES[kind])
    return g.input(shape_for(g, family), code)


def drawn(g: Draw, family: Family) -> None:
    x = subject(g, family)
    form, args = written(g, g.choose(*family.lines), x)
    if g.chance(0.2):
        form = within(g, form, x, args)
    g.several(form, *args)


def within(g: Draw, form: str, x: Value, args: list[Any]) -> str:
    """The form in a body that is given x."""
    body = g.choose(*BODIES, *(CARRIED if x.dtype.kind == "f" else ())).replace("RANK", str(x.rank)).replace("X", "{0}")
    for word, value in (("FLAG", lambda: g.input((), "?")), ("NUMBER", lambda: g.input((), "i4", "small", -1, 3))):
        if word in body:
            body = body.replace(word, f"{{{len(args)}}}")
            args.append(value().ref)
    return body.replace("FORM", form.replace("{0}", "v"))


def _maker(family: Family) -> Maker:
    def maker(g: Draw) -> None:
        drawn(g, family)

    maker.__name__ = family.name
    return maker


for _family in FAMILIES:
    step(_family.weight)(_maker(_family))

COMPLEX_STEPS: list[tuple[float, Maker]] = [(family.weight, _maker(family)) for family in COMPLEX_FAMILIES]
"""Steps of complex numbers, and those of any numbers in ``SHARED``: what programs of complex numbers are made of."""
SHARED = frozenset({"reductions", "places", "pads", "arranged", "product", "other_product", "letters", "gather_windows",
                    "scatter_windows"})
