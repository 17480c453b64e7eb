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
from leptonc.bfloat16 import scalar_types as _scalar_types
from leptonc.numpy.along import put_along_axis, take_along_axis
from leptonc.numpy.arranging import (
    append,
    array_split,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    block,
    broadcast_shapes,
    column_stack,
    delete,
    dsplit,
    dstack,
    fliplr,
    flipud,
    hsplit,
    insert,
    ravel_multi_index,
    resize,
    roll,
    rollaxis,
    rot90,
    trim_zeros,
    unravel_index,
    unstack,
    vsplit,
)
from leptonc.numpy.complexes import angle, conj, conjugate, imag, iscomplex, isreal, real, real_if_close
from leptonc.numpy.creation import (
    arange,
    array,
    asarray,
    astype,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    ones,
    ones_like,
    stack,
    zeros,
    zeros_like,
)
from leptonc.numpy.cumulative import cumprod, cumsum, cumulative_prod, cumulative_sum
from leptonc.numpy.differences import (
    average,
    convolve,
    corrcoef,
    correlate,
    cov,
    diff,
    ediff1d,
    gradient,
    interp,
    polyadd,
    polyder,
    polyint,
    polymul,
    polysub,
    polyval,
    ptp,
    trapezoid,
)
from leptonc.numpy.division import fmod, gcd, lcm
from leptonc.numpy.dtypes import can_cast, finfo, iinfo, isdtype, issubdtype, promote_types, result_type
from leptonc.numpy.einstein import einsum
from leptonc.numpy.elementwise import (
    arctan2,
    ceil,
    clip,
    cos,
    cosh,
    exp,
    expm1,
    fabs,
    floor,
    fmax,
    fmin,
    isfinite,
    isinf,
    isnan,
    isneginf,
    isposinf,
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
)
from leptonc.numpy.floatbits import bitwise_count, copysign, frexp, ldexp, modf, nextafter, signbit, spacing
from leptonc.numpy.functions import apply_along_axis, apply_over_axes, choose, compress, extract, piecewise, select, vectorize
from leptonc.numpy.grids import (
    bartlett,
    blackman,
    fromfunction,
    hamming,
    hanning,
    indices,
    ix_,
    kaiser,
    meshgrid,
)
from leptonc.numpy.intervals import geomspace, linspace, logspace
from leptonc.numpy.linear import dot, matmul, outer, tensordot, vdot
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
from leptonc.numpy.nans import (
    nanargmax,
    nanargmin,
    nancumprod,
    nancumsum,
    nanmax,
    nanmean,
    nanmin,
    nanprod,
    nanstd,
    nansum,
    nanvar,
)
from leptonc.numpy.padding import pad
from leptonc.numpy.predicates import (
    allclose,
    array_equal,
    array_equiv,
    isclose,
    iscomplexobj,
    isrealobj,
    isscalar,
    iterable,
    ndim,
    shape,
    size,
)
from leptonc.numpy.products import cross, inner, kron, matvec, vecdot, vecmat
from leptonc.numpy.quantiles import median, nanmedian, nanpercentile, nanquantile, percentile, quantile
from leptonc.numpy.reductions import all, any, argmax, argmin, count_nonzero, max, mean, min, prod, std, sum, var
from leptonc.numpy.searching import bincount, digitize, histogram, histogram_bin_edges, searchsorted
from leptonc.numpy.sets import (
    argwhere,
    flatnonzero,
    intersect1d,
    isin,
    nonzero,
    setdiff1d,
    setxor1d,
    union1d,
    unique,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
    where,
)
from leptonc.numpy.sorting import argpartition, argsort, lexsort, partition, sort
from leptonc.numpy.standard import (
    __array_namespace_info__,
    copy,
    from_dlpack,
)
from leptonc.numpy.standard import (
    namespace as _namespace,
)
from leptonc.numpy.transcendental import (
    acos,
    acosh,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctanh,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    cbrt,
    deg2rad,
    degrees,
    exp2,
    float_power,
    heaviside,
    hypot,
    i0,
    logaddexp2,
    rad2deg,
    radians,
    sinc,
    unwrap,
)
from leptonc.numpy.triangles import (
    diag,
    diag_indices,
    diag_indices_from,
    diagflat,
    diagonal,
    fill_diagonal,
    identity,
    trace,
    tri,
    tril,
    tril_indices,
    tril_indices_from,
    triu,
    triu_indices,
    triu_indices_from,
    vander,
)
from leptonc.numpy.ufuncmethods import give_methods as _give_methods
from leptonc.operators import install as _install
from leptonc.public import members as _members
from leptonc.public import publish as _publish
from leptonc.public import submodules as _submodules

abs = absolute
bitwise_left_shift, bitwise_right_shift = left_shift, right_shift
around = round
amax, amin = max, min
euler_gamma = 0.5772156649015329
s_, index_exp = _np.s_, _np.index_exp
single, double, float_, int_, uint = _np.float32, _np.float64, _np.float64, _np.int64, _np.uint64
generic, number, integer, signedinteger, unsignedinteger = (_np.generic, _np.number, _np.integer, _np.signedinteger,
                                                            _np.unsignedinteger)
inexact, floating, complexfloating, dtype = _np.inexact, _np.floating, _np.complexfloating, _np.dtype
flexible, character, object_, ComplexWarning = _np.flexible, _np.character, _np.object_, _np.exceptions.ComplexWarning
mod = remainder
true_divide = divide
pow = power
bitwise_not = invert
bitwise_invert = invert
newaxis = None
ndarray = _np.ndarray
bool = bool_ = _np.bool_
__array_api_version__ = "2024.12"
uint8, uint16, uint32, uint64 = _np.uint8, _np.uint16, _np.uint32, _np.uint64
int8, int16, int32, int64 = _np.int8, _np.int16, _np.int32, _np.int64
float16, float32, float64 = _np.float16, _np.float32, _np.float64
complex64, complex128, csingle, cdouble, complex_ = _np.complex64, _np.complex128, _np.complex64, _np.complex128, _np.complex128

_LATER = {  # seldom used: loaded when they are asked for
    **_members("leptonc.numpy.files", "array_repr", "array_str", "frombuffer", "fromfile", "fromiter", "fromstring",
               "get_printoptions", "load", "printoptions", "save", "savez", "set_printoptions"),
    **_members("leptonc.numpy.gridding", "c_", "mask_indices", "mgrid", "ogrid", "r_"),
    **_members("leptonc.numpy.placing", "histogram2d", "histogramdd", "packbits", "place", "put", "sort_complex", "unpackbits"),
    **_members("leptonc.numpy.polynomials", "poly", "polydiv", "polyfit", "roots"),
    **_members("leptonc.numpy.ufuncs", "einsum_path", "frompyfunc", "ufunc"),
}
__all__ = [
    "asarray", "array", "astype", "arange", "empty", "eye", "full", "full_like", "linspace", "ones", "ones_like", "stack",
    "zeros", "zeros_like",
    "abs", "absolute", "add", "bitwise_and", "bitwise_invert", "bitwise_not", "bitwise_or", "bitwise_xor", "divide",
    "divmod", "equal", "floor_divide", "greater", "greater_equal", "invert", "left_shift", "less", "less_equal", "mod",
    "multiply", "negative", "not_equal", "positive", "pow", "power", "remainder", "right_shift", "subtract", "true_divide",
    "arctan2", "ceil", "clip", "cos", "cosh", "exp", "expm1", "floor", "isfinite", "isinf", "isnan", "log", "log10",
    "log1p", "log2", "logaddexp", "logical_and", "logical_not", "logical_or", "logical_xor", "maximum", "minimum",
    "nan_to_num", "reciprocal", "rint", "round", "sign", "sin", "sinh", "sqrt", "square", "tan", "tanh", "trunc", "where",
    "all", "any", "argmax", "argmin", "count_nonzero", "cumprod", "cumsum", "cumulative_prod",
    "cumulative_sum", "max", "mean", "min", "prod", "std", "sum", "var",
    "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmin", "nanprod", "nanstd", "nansum", "nanvar",
    "broadcast_arrays", "broadcast_to", "concat", "concatenate", "expand_dims", "flip", "hstack", "matrix_transpose",
    "moveaxis", "pad", "permute_dims", "put_along_axis",
    "ravel", "repeat", "reshape", "split", "squeeze", "swapaxes", "take", "take_along_axis", "tile",
    "transpose", "vstack",
    "acos", "acosh", "allclose", "amax", "amin", "append", "apply_along_axis", "apply_over_axes", "arccos", "arccosh", "arcsin",
    "arcsinh", "arctan", "arctanh", "argpartition", "argsort", "argwhere", "around", "array_equal", "array_equiv", "array_split",
    "asin", "asinh", "atan", "atan2", "atanh", "atleast_1d", "atleast_2d", "atleast_3d", "average", "bartlett", "bincount",
    "bitwise_count", "bitwise_left_shift", "bitwise_right_shift", "blackman", "block", "broadcast_shapes", "can_cast", "cbrt",
    "choose", "column_stack", "compress", "convolve", "copysign", "corrcoef", "correlate", "cov", "cross", "deg2rad", "degrees",
    "delete", "diag", "diag_indices", "diag_indices_from", "diagflat", "diagonal", "diff", "digitize", "dot", "double", "dsplit",
    "dstack", "dtype", "ediff1d", "einsum", "euler_gamma", "exp2", "extract", "fabs", "fill_diagonal", "finfo", "flatnonzero",
    "fliplr", "flipud", "float_", "float_power", "floating", "fmax", "fmin", "fmod", "frexp", "fromfunction", "gcd", "generic",
    "geomspace", "gradient", "hamming", "hanning", "heaviside", "histogram", "histogram_bin_edges", "hsplit", "hypot", "identity",
    "i0", "iinfo", "index_exp", "indices", "inexact", "inner", "insert", "int_", "integer", "interp", "intersect1d", "isclose",
    "iscomplexobj", "isdtype", "isin", "isneginf", "isposinf", "isrealobj", "isscalar", "issubdtype", "iterable", "ix_", "kaiser",
    "kron", "lcm", "ldexp", "lexsort", "logaddexp2", "logspace", "matmul", "matvec", "median", "meshgrid", "modf", "nanmedian",
    "nanpercentile", "nanquantile", "ndim", "nextafter", "nonzero", "number", "outer", "partition", "percentile", "piecewise",
    "polyadd", "polyder", "polyint", "polymul", "polysub", "polyval", "promote_types", "ptp", "quantile", "rad2deg", "radians",
    "ravel_multi_index", "resize", "result_type", "roll", "rollaxis", "rot90", "s_", "searchsorted", "select", "setdiff1d",
    "setxor1d", "shape", "signbit", "signedinteger", "sinc", "single", "size", "sort", "spacing", "tensordot", "trace", "trapezoid",
    "tri", "tril", "tril_indices", "tril_indices_from", "trim_zeros", "triu", "triu_indices", "triu_indices_from", "uint",
    "union1d", "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values", "unravel_index", "unsignedinteger",
    "unstack", "unwrap", "vander", "vdot", "vecdot", "vecmat", "vectorize", "vsplit",
    "__array_api_version__", "__array_namespace_info__", "bool", "conj", "conjugate", "copy", "empty_like", "from_dlpack", "imag",
    "iscomplex", "isreal", "real",
    "e", "inf", "nan", "newaxis", "pi", "ndarray", "bool_", "uint8", "uint16", "uint32", "uint64",
    "int8", "int16", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128",
    "angle", "cdouble", "complex_", "complexfloating", "csingle", "real_if_close",
    "ComplexWarning", "character", "flexible", "object_", *_LATER,
]

_give_methods()
_publish(globals(), [name for name in __all__ if name not in _LATER], later={
    **_scalar_types(), **_submodules(__name__, "fft", "linalg"), **_LATER})
_install({
    "matmul": matmul, "matrix_transpose": matrix_transpose, "transpose": transpose, "reshape": reshape,
    "sum": sum, "prod": prod, "mean": mean, "var": var, "std": std, "max": max, "min": min,
    "argmax": argmax, "argmin": argmin, "all": all, "any": any, "cumsum": cumsum, "cumprod": cumprod, "squeeze": squeeze,
    "swapaxes": swapaxes, "repeat": repeat, "take": take, "clip": clip, "round": round, "dot": dot,
    "real": real, "imag": imag, "conj": conj, "asarray": asarray, "namespace": _namespace, "getitem": _indexing.getitem,
})
