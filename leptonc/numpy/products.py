"""Products of vectors and matrices beyond ``matmul``."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import axis as axis_of
from leptonc.errors import ShapeError, op_error
from leptonc.numpy.complexes import conj
from leptonc.numpy.linear import check_numbers, matmul, operands_of, tensordot
from leptonc.trace import align, bind, broadcast


def _operands(name: str, x: Any, y: Any, preferred: Any = None, precision: Any = None) -> tuple[Any, Any]:
    a, b = operands_of(name, x, y, preferred, precision)
    check_numbers(name, a, b)
    return a, b


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """Sums of products along an axis, which both have, of x1's conjugates; the other axes broadcast. ``precision`` and
    ``preferred_element_type`` as in ``matmul``. Raises ShapeError or DtypeError."""
    a, b = _operands("vecdot", x1, x2, preferred_element_type, precision)
    operands = {"x1": a, "x2": b}
    if not a.shape or not b.shape:
        raise op_error("vecdot", "both need an axis", operands, kind=ShapeError)
    a, b = (_axis_last("vecdot", x, axis) for x in (a, b))
    if a.shape[-1] != b.shape[-1]:
        raise op_error("vecdot", f"the axes have {a.shape[-1]} and {b.shape[-1]} elements", operands, kind=ShapeError)
    a, b = align("vecdot", conj(a), b)
    lead = tuple(range(len(a.shape) - 1))
    return bind("dot_general", a, b, contract=((len(lead),), (len(lead),)), batch=(lead, lead))


def _axis_last(name: str, x: Any, axis: int) -> Any:
    at, rank = axis_of(name, x, axis), len(x.shape)
    return x if at == rank - 1 else bind("transpose", x, perm=(*(d for d in range(rank) if d != at), at))


def inner(x: Any, y: Any, *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """Sums of products over the last axes of both: [*x.shape[:-1], *y.shape[:-1]]. ``precision`` and ``preferred_element_type`` as
    in ``matmul``. Raises ShapeError or DtypeError."""
    a, b = _operands("inner", x, y, preferred_element_type, precision)
    if not a.shape or not b.shape:
        return bind("mul", *align("inner", a, b))
    if a.shape[-1] != b.shape[-1]:
        raise op_error("inner", f"the last axes have {a.shape[-1]} and {b.shape[-1]} elements", {"x": a, "y": b}, kind=ShapeError)
    return tensordot(a, b, ((len(a.shape) - 1,), (len(b.shape) - 1,)))


def kron(x: Any, y: Any) -> Any:
    """Kronecker's product: blocks of y, each times an element of x. Raises DtypeError."""
    a, b = _operands("kron", x, y)
    rank = max(len(a.shape), len(b.shape))
    left, right = ((1,) * (rank - len(v.shape)) + tuple(v.shape) for v in (a, b))
    wide_a = bind("reshape", a, shape=tuple(n for m in left for n in (m, 1)))
    wide_b = bind("reshape", b, shape=tuple(n for m in right for n in (1, m)))
    out = bind("mul", *align("kron", wide_a, wide_b))
    return bind("reshape", out, shape=tuple(m * n for m, n in zip(left, right)))


def cross(x: Any, y: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The vector product of 3 (or 2) elements along an axis of each; of two pairs it is one number. The other axes broadcast.

    Raises ShapeError or DtypeError.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = _operands("cross", x, y)
    operands = {"x": a, "y": b}
    if not a.shape or not b.shape:
        raise op_error("cross", "both need an axis", operands, kind=ShapeError)
    a, b = _axis_last("cross", a, axisa), _axis_last("cross", b, axisb)
    if a.shape[-1] not in (2, 3) or b.shape[-1] not in (2, 3):
        raise op_error("cross", "the axes must have 2 or 3 elements", operands, kind=ShapeError)
    try:
        lead = np.broadcast_shapes(tuple(a.shape[:-1]), tuple(b.shape[:-1]))
    except ValueError:
        raise op_error("cross", "operands do not broadcast together", operands) from None
    u, v = _parts(a, lead), _parts(b, lead)
    third = u[0] * v[1] - u[1] * v[0]
    if len(u) == len(v) == 2:
        return third
    first = _minus(u, v, 1, 2)
    second = _minus(u, v, 2, 0)
    shape = (*lead, 1)
    out = bind("concatenate", *(bind("reshape", part, shape=shape) for part in (first, second, third)), axis=len(lead))
    to = axis_of("cross", out, axisc)
    order = list(range(len(lead)))
    order.insert(to, len(lead))
    return out if to == len(lead) else bind("transpose", out, perm=tuple(order))


def _parts(x: Any, lead: tuple[int, ...]) -> list[Any]:
    """The elements along the last axis."""
    return [broadcast(x[..., n], lead) for n in range(x.shape[-1])]


def _minus(u: list[Any], v: list[Any], i: int, j: int) -> Any:
    """u[i] v[j] - u[j] v[i], of which an element that is not there is 0."""
    left = u[i] * v[j] if i < len(u) and j < len(v) else None
    right = u[j] * v[i] if j < len(u) and i < len(v) else None
    if left is None:
        return -right if right is not None else u[0] * 0
    return left if right is None else left - right


def matvec(x1: Any, x2: Any, /) -> Any:
    """x1 [..., m, n] times the vectors x2 [..., n]. Raises ShapeError or DtypeError."""
    a, b = _operands("matvec", x1, x2)
    if not b.shape or len(a.shape) < 2:
        raise op_error("matvec", "x2 needs an axis, and x1 two", {"x1": a, "x2": b}, kind=ShapeError)
    return matmul(a, bind("reshape", b, shape=(*b.shape, 1)))[..., 0]


def vecmat(x1: Any, x2: Any, /) -> Any:
    """The conjugates of the vectors x1 [..., m] times x2 [..., m, n]. Raises ShapeError or DtypeError."""
    a, b = _operands("vecmat", x1, x2)
    if not a.shape or len(b.shape) < 2:
        raise op_error("vecmat", "x1 needs an axis, and x2 two", {"x1": a, "x2": b}, kind=ShapeError)
    return matmul(bind("reshape", conj(a), shape=(*a.shape[:-1], 1, a.shape[-1])), b)[..., 0, :]
