"""``lax``'s products: of operands whose axes are named, of matrices, of stacks, and of rows that choose among matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.accumulation import checked_precision, wide_enough
from leptonc.arguments import array, integers
from leptonc.errors import ArgumentError, DtypeError, ShapeError, op_error
from leptonc.public import publish
from leptonc.trace import bind, broadcast, cast

Axes = tuple[Sequence[int], Sequence[int]]
DotDimensionNumbers = tuple[Axes, Axes]  # of both operands, the axes that are contracted, and those of the batch


def dot_general(lhs: Any, rhs: Any, dimension_numbers: Any, precision: Any = None,
                preferred_element_type: Any = None) -> Any:
    """``dimension_numbers`` = ((lhs contracted, rhs contracted), (lhs batch, rhs batch)).

    ``preferred_element_type``: a dtype to add up in, and of the result, such as f32 for products of bf16, or i32 for those of i8;
    else the operands' (of floats of 16 bits, sums in f32 rounded once); ``precision`` changes nothing. Of bools a sum is whether
    any product is True. Raises ShapeError for axes that are out of bounds or named twice, DtypeError for a narrower dtype or one of
    another kind.
    """
    name = "dot_general"
    checked_precision(name, precision)
    a, b = wide_enough(name, array(name, "lhs", lhs), array(name, "rhs", rhs), preferred_element_type)
    operands = {"lhs": a, "rhs": b}
    contract, batch = (tuple(integers("dot_general", "dimension_numbers", axes, operands, least=0)
                             for axes in _pair("dot_general", pair, operands))
                       for pair in _pair("dot_general", dimension_numbers, operands))
    for n, x in enumerate((a, b)):
        used = (*contract[n], *batch[n])
        if len(set(used)) != len(used) or any(d >= len(x.shape) for d in used):
            raise op_error("dot_general", f"axes {used} of {'lhs' if n == 0 else 'rhs'} are out of bounds, or one is named twice",
                           operands)
    counted = tuple(cast(x, np.int64) for x in (a, b)) if a.dtype.kind == "b" else (a, b)
    y = bind("dot_general", *counted, contract=contract, batch=batch)
    y = cast(y, np.bool_) if a.dtype.kind == "b" else y
    return y if preferred_element_type is None else cast(y, preferred_element_type)


def _pair(name: str, value: Any, operands: dict[str, object]) -> tuple[Any, Any]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise op_error(name, f"dimension_numbers has {value!r:.40} where a pair belongs: ((lhs contracted, rhs contracted), "
                       "(lhs batch, rhs batch))", operands, kind=ArgumentError)
    return value[0], value[1]


def dot(lhs: Any, rhs: Any, *, dimension_numbers: Any = None, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The product of vectors and matrices, or ``dot_general`` with dimension numbers. Raises ShapeError for other ranks."""
    a, b = array("dot", "lhs", lhs), array("dot", "rhs", rhs)
    ranks = len(a.shape), len(b.shape)
    if dimension_numbers is None and not {*ranks} <= {1, 2}:
        raise op_error("dot", "without dimension_numbers it takes vectors and matrices", {"lhs": a, "rhs": b},
                       "use leptonc.numpy.dot", ShapeError)
    numbers = (((ranks[0] - 1,), (0,)), ((), ())) if dimension_numbers is None else dimension_numbers
    return dot_general(a, b, numbers, precision, preferred_element_type)


def batch_matmul(lhs: Any, rhs: Any, precision: Any = None) -> Any:
    """[..., m, k] times [..., k, n], with equal axes in front. Raises ShapeError for less than two axes."""
    a, b = array("batch_matmul", "lhs", lhs), array("batch_matmul", "rhs", rhs)
    rank = len(a.shape)
    if rank < 2 or len(b.shape) != rank:
        raise op_error("batch_matmul", "lhs and rhs must have equally many axes, two or more", {"lhs": a, "rhs": b},
                       kind=ShapeError)
    front = tuple(range(rank - 2))
    return dot_general(a, b, (((rank - 1,), (rank - 2,)), (front, front)), precision)


def ragged_dot(lhs: Any, rhs: Any, group_sizes: Any, precision: Any = None, preferred_element_type: Any = None,
               group_offset: Any = None) -> Any:
    """Rows of lhs [m, k], of which the first ``group_sizes[0]`` are multiplied by rhs[0] [k, n], the next by rhs[1] ...: [m, n].

    Rows behind the last group are 0. As much work as all rows by all matrices. Raises ShapeError, DtypeError or ArgumentError.
    """
    name = "ragged_dot"
    x, w = wide_enough(name, array(name, "lhs", lhs), array(name, "rhs", rhs), preferred_element_type)
    sizes = array(name, "group_sizes", group_sizes)
    named = {"lhs": x, "rhs": w, "group_sizes": sizes}
    checked_precision(name, precision)
    if group_offset is not None:
        raise op_error(name, "group_offset is of shards, of which there are none", named, "leave it out", ArgumentError)
    if len(x.shape) != 2 or len(w.shape) != 3 or w.shape[1] != x.shape[1] or tuple(sizes.shape) != w.shape[:1]:
        raise op_error(name, "wants lhs [m, k], rhs [g, k, n] and group_sizes [g]", named, kind=ShapeError)
    if sizes.dtype.kind not in "iu":
        raise op_error(name, "group_sizes must be ints", named, kind=DtypeError)
    (rows, width), (groups, _, out) = x.shape, w.shape
    counts = cast(sizes, np.int64)
    ends = bind("cumsum", counts, axis=0, reverse=False)
    place, shape = np.arange(rows).reshape(rows, 1), (rows, groups)
    end, start = (broadcast(bind("reshape", v, shape=(1, groups)), shape) for v in (ends, ends - counts))
    mine = (end > place) & (start <= place)
    wide = bind("broadcast", x, shape=(rows, groups, width), dims=(0, 2))
    chosen = bind("select", bind("broadcast", mine, shape=wide.shape, dims=(0, 1)), wide, np.zeros(wide.shape, x.dtype))
    y = bind("dot_general", bind("reshape", chosen, shape=(rows, groups * width)), bind("reshape", w, shape=(groups * width, out)),
             contract=((1,), (0,)), batch=((), ()))
    return y if preferred_element_type is None else cast(y, preferred_element_type)


__all__ = ["DotDimensionNumbers", "batch_matmul", "dot", "dot_general", "ragged_dot"]

publish(globals(), __all__)
