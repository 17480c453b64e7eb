"""NumPy's names on traced values and arrays: the array API, with NumPy's semantics and NEP 50 promotion.

Importing this package gives Tracer its methods and operators.
"""

from math import e, inf, nan, pi

import numpy as _np

from leptonc import indexing as _indexing
from leptonc.arithmetic import (
    absolute,
    add,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    divide,
    divmod,
    equal,
    floor_divide,
    greater,
    greater_equal,
    invert,
    left_shift,
    less,
    less_equal,
    multiply,
    negative,
    not_equal,
    positive,
    power,
    remainder,
    right_shift,
    subtract,
)
from leptonc.bfloat16 import bfloat16 as _bfloat16
from leptonc.numpy.along import put_along_axis, take_along_axis
from leptonc.numpy.creation import (
    arange,
    array,
    asarray,
    astype,
    empty,
    eye,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    stack,
    zeros,
    zeros_like,
)
from leptonc.numpy.elementwise import (
    arctan2,
    ceil,
    clip,
    cos,
    cosh,
    exp,
    expm1,
    floor,
    isfinite,
    isinf,
    isnan,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    nan_to_num,
    reciprocal,
    rint,
    round,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    tan,
    tanh,
    trunc,
    where,
)
from leptonc.numpy.linear import dot, einsum, matmul, outer, tensordot, vdot
from leptonc.numpy.manipulation import (
    broadcast_arrays,
    broadcast_to,
    concat,
    concatenate,
    expand_dims,
    flip,
    hstack,
    matrix_transpose,
    moveaxis,
    pad,
    permute_dims,
    ravel,
    repeat,
    reshape,
    split,
    squeeze,
    swapaxes,
    take,
    tile,
    transpose,
    vstack,
)
from leptonc.numpy.reductions import all, any, argmax, argmin, cumsum, max, mean, min, prod, std, sum, var
from leptonc.numpy.sorting import argpartition, argsort, lexsort, partition, sort
from leptonc.operators import install as _install
from leptonc.public import publish as _publish

abs = absolute
mod = remainder
true_divide = divide
pow = power
bitwise_not = invert
bitwise_invert = invert
newaxis = None
ndarray = _np.ndarray
bool_ = _np.bool_
uint8, uint16, uint32, uint64 = _np.uint8, _np.uint16, _np.uint32, _np.uint64
int8, int16, int32, int64 = _np.int8, _np.int16, _np.int32, _np.int64
float16, float32, float64 = _np.float16, _np.float32, _np.float64

__all__ = [
    "asarray", "array", "astype", "arange", "empty", "eye", "full", "full_like", "linspace", "ones", "ones_like", "stack",
    "zeros", "zeros_like",
    "abs", "absolute", "add", "bitwise_and", "bitwise_invert", "bitwise_not", "bitwise_or", "bitwise_xor", "divide",
    "divmod", "equal", "floor_divide", "greater", "greater_equal", "invert", "left_shift", "less", "less_equal", "mod",
    "multiply", "negative", "not_equal", "positive", "pow", "power", "remainder", "right_shift", "subtract", "true_divide",
    "arctan2", "ceil", "clip", "cos", "cosh", "exp", "expm1", "floor", "isfinite", "isinf", "isnan", "log", "log10",
    "log1p", "log2", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor", "maximum", "minimum",
    "nan_to_num", "reciprocal", "rint", "round", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc", "where",
    "all", "any", "argmax", "argmin", "cumsum", "max", "mean", "min", "prod", "std", "sum", "var",
    "broadcast_arrays", "broadcast_to", "concat", "concatenate", "expand_dims", "flip", "hstack", "matrix_transpose",
    "moveaxis", "pad", "permute_dims", "put_along_axis",
    "ravel", "repeat", "reshape", "split", "squeeze", "swapaxes", "take", "take_along_axis", "tile",
    "transpose", "vstack",
    "argpartition", "argsort", "lexsort", "partition", "sort",
    "dot", "einsum", "matmul", "outer", "tensordot", "vdot",
    "e", "inf", "nan", "newaxis", "pi", "ndarray", "bool_", "uint8", "uint16", "uint32", "uint64",
    "int8", "int16", "int32", "int64", "float16", "float32", "float64",
]

_publish(globals(), __all__, later={"bfloat16": lambda: _bfloat16().type})
_install({
    "matmul": matmul, "matrix_transpose": matrix_transpose, "transpose": transpose, "reshape": reshape,
    "sum": sum, "prod": prod, "mean": mean, "var": var, "std": std, "max": max, "min": min,
    "argmax": argmax, "argmin": argmin, "all": all, "any": any, "cumsum": cumsum, "squeeze": squeeze,
    "swapaxes": swapaxes, "repeat": repeat, "take": take, "clip": clip, "round": round, "dot": dot,
    "getitem": _indexing.getitem,
})
