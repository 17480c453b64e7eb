"""Products: matmul, dot, tensordot through one op; outer, which sums nothing, multiplies."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.accumulation import checked_precision, preferring
from leptonc.arguments import axes as axes_of
from leptonc.arguments import integer, no_out, operand
from leptonc.arguments import items as items_of
from leptonc.errors import ArgumentError, DtypeError, op_error
from leptonc.numpy.complexes import conj
from leptonc.trace import align, bind, broadcast, promote

Pairs = tuple[tuple[int, ...], tuple[int, ...]]


def product(name: str, x: Any, y: Any, contract: Pairs, batch: Pairs = ((), ())) -> Any:
    """``dot_general``, for the function ``name``."""
    check_numbers(name, x, y)
    return bind("dot_general", x, y, contract=contract, batch=batch)


def _multiplied(name: str, x: Any, y: Any) -> Any:
    """Element by element: a sum of one product would begin with 0.0, and lose the sign of a zero."""
    check_numbers(name, x, y)
    return bind("mul", *align(name, x, y))


def check_numbers(name: str, x: Any, y: Any) -> None:
    """Raises DtypeError for bools."""
    if x.dtype.kind == "b":
        raise op_error(name, "does not take bools", {"x": x, "y": y}, "cast them", DtypeError)


def operands_of(name: str, x: Any, y: Any, preferred: Any = None, precision: Any = None) -> tuple[Any, Any]:
    """Both in one dtype. A Python number stays weak."""
    checked_precision(name, precision)
    a, b = promote(operand(name, "x", x), operand(name, "y", y))
    a, b = preferring(name, preferred, a, b)
    return a, b


def matmul(x: Any, y: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """x @ y: of vectors, matrices, and stacks of matrices whose leading axes broadcast.

    ``preferred_element_type``: a dtype to add up in, and of the result, no narrower than the operands'; ``precision``, JAX's,
    changes nothing. Raises ShapeError if the inner extents differ or an operand has no axis, DtypeError for another dtype.
    """
    a, b = operands_of("matmul", x, y, preferred_element_type, precision)
    ra, rb = len(a.shape), len(b.shape)
    if not ra or not rb:
        raise op_error("matmul", "operands need at least one axis", {"x": a, "y": b}, "use *")
    if a.shape[-1] != b.shape[max(rb - 2, 0)]:
        raise op_error("matmul", f"x has {a.shape[-1]} columns, y has {b.shape[max(rb - 2, 0)]} rows", {"x": a, "y": b})
    if ra <= 2 and rb <= 2:
        return product("matmul", a, b, ((ra - 1,), (max(rb - 2, 0),)))
    if rb <= 2:  # rows of a stack against one matrix: one large product
        return product("matmul", a, b, ((ra - 1,), (max(rb - 2, 0),)))
    if ra == 1:
        return product("matmul", a, b, ((0,), (rb - 2,)))
    lead = _lead(a, b)
    a, b = broadcast(a, (*lead, *a.shape[-2:])), broadcast(b, (*lead, *b.shape[-2:]))
    both = tuple(range(len(lead)))
    return product("matmul", a, b, ((len(lead) + 1,), (len(lead),)), (both, both))


def _lead(a: Any, b: Any) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError:
        raise op_error("matmul", "leading axes do not broadcast together", {"x": a, "y": b}) from None


def dot(x: Any, y: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """NumPy's dot: scalars multiply; else the last axis of x against the last but one of y. ``precision`` and
    ``preferred_element_type`` as in ``matmul``."""
    a, b = operands_of("dot", x, y, preferred_element_type, precision)
    ra, rb = len(a.shape), len(b.shape)
    if not ra and not rb:
        return _multiplied("dot", a, b)
    if not ra or not rb:
        return product("dot", a, b, ((), ()))
    return tensordot(a, b, ((ra - 1,), (max(rb - 2, 0),)))


def vdot(x: Any, y: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The sum of the products of all elements, of x's conjugates; options as in ``matmul``."""
    a, b = operands_of("vdot", x, y, preferred_element_type, precision)
    left, right = (bind("reshape", v, shape=(int(np.prod(v.shape)),)) for v in (conj(a), b))
    return tensordot(left, right, 1)


def outer(x: Any, y: Any, out: None = None) -> Any:
    """Every element of x times every element of y."""
    no_out("outer", out)
    a, b = operands_of("outer", x, y)
    column, row = (int(np.prod(a.shape)), 1), (int(np.prod(b.shape)),)
    return _multiplied("outer", bind("reshape", a, shape=column), bind("reshape", b, shape=row))


def tensordot(x: Any, y: Any, axes: Any = 2, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """Sums over pairs of axes: the last ``axes`` of x with the first of y, or two lists of axes. ``precision`` and
    ``preferred_element_type`` as in ``matmul``."""
    a, b = operands_of("tensordot", x, y, preferred_element_type, precision)
    given = items_of(axes)
    if len(given) == 1:
        count = integer("tensordot", "axes", given[0], {"x": a, "y": b}, least=0, most=min(len(a.shape), len(b.shape)))
        pairs = (tuple(range(len(a.shape) - count, len(a.shape))), tuple(range(count)))
    elif len(given) == 2:
        first, second = (items_of(p) for p in given)
        pairs = axes_of("tensordot", a, first), axes_of("tensordot", b, second)
    else:
        raise op_error("tensordot", f"axes={axes!r} must be a number of axes, or a pair of lists", {"x": a, "y": b},
                       kind=ArgumentError)
    if len(pairs[0]) != len(pairs[1]) or any(a.shape[i] != b.shape[j] for i, j in zip(*pairs)):
        raise op_error("tensordot", f"axes {axes} do not pair", {"x": a, "y": b})
    return product("tensordot", a, b, pairs)
