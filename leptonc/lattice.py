"""JAX's order of element types (its proposal 9263), in which two types meet in the least one above both. A leaf module.

Python's numbers, and what is made of them alone, stand in it as ``int``, ``float`` and ``complex``: below all types of their kind.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

from leptonc.errors import DtypeError

FLOATS8 = ("f8_e4m3fn", "f8_e5m2", "f8_e4m3fnuz", "f8_e5m2fnuz", "f8_e4m3b11fnuz", "f8_e4m3", "f8_e3m4")
"""Bools, ints and Python's numbers take them on; among themselves and beside other floats they are cast by the user."""

ABOVE: dict[str, tuple[str, ...]] = {
    "bool": ("int",),
    "int": ("u8", "i8"),
    "u8": ("u16", "i16"), "u16": ("u32", "i32"), "u32": ("u64", "i64"), "u64": ("float",),
    "i8": ("i16",), "i16": ("i32",), "i32": ("i64",), "i64": ("float",),
    "float": ("f16", "bf16", "complex", *FLOATS8), **dict.fromkeys(FLOATS8, ()),
    "f16": ("f32",), "bf16": ("f32",), "f32": ("f64", "c64"), "f64": ("c128",),
    "complex": ("c64",), "c64": ("c128",), "c128": (),
}
WEAK = ("int", "float", "complex")


@functools.cache
def _reached(node: str) -> frozenset[str]:
    return frozenset({node}).union(*map(_reached, ABOVE[node]))


@functools.cache
def _least(nodes: frozenset[str]) -> str:
    common = frozenset.intersection(*map(_reached, nodes))
    found = next((node for node in common if _reached(node) == common), None)
    if found is None:
        raise DtypeError(f"{' and '.join(sorted(nodes))} do not promote: a float of 8 bits meets other inexact numbers by a cast "
                         "only; fix: x.astype('float32')")
    return found


def join(nodes: Iterable[str]) -> str:
    """The least node at or above all of them. Raises DtypeError if there is none."""
    return _least(frozenset(nodes))
