"""NumPy's and the array API's linear algebra, compiled, of stacks of matrices of floats or complex numbers; with JAX's derivatives
and treatment of matrices that have no result: NaN in place of an error."""

from typing import Any as _Any

from leptonc.arguments import array as _array
from leptonc.arguments import flag as _flag
from leptonc.errors import ShapeError as _ShapeError
from leptonc.errors import op_error as _op_error
from leptonc.numpy.linalg import factorizations as _factorizations
from leptonc.numpy.linalg.functions import diagonal, expm, multi_dot, trace
from leptonc.numpy.linalg.general import EigResult, eig, eigvals
from leptonc.numpy.linalg.norms import cond, matrix_norm, matrix_rank, norm, vector_norm
from leptonc.numpy.linalg.operands import adjoint as _adjoint
from leptonc.numpy.linalg.solving import (
    SlogdetResult,
    det,
    inv,
    matrix_power,
    slogdet,
    solve,
    tensorinv,
    tensorsolve,
)
from leptonc.numpy.linalg.spectral import (
    EighResult,
    LstsqResult,
    QRResult,
    SVDResult,
    eigh,
    eigvalsh,
    lstsq,
    pinv,
    qr,
    svd,
    svdvals,
)
from leptonc.numpy.linear import matmul, outer, tensordot
from leptonc.numpy.manipulation import matrix_transpose
from leptonc.numpy.products import cross as _cross
from leptonc.numpy.products import vecdot
from leptonc.public import publish as _publish


def cholesky(x: _Any, /, *, upper: bool = False, symmetrize_input: bool = True) -> _Any:
    """L, lower triangular, with L L' = x [..., n, n], or U = L' with ``upper``; NaN where x is not positive definite.

    x is replaced by (x + x') / 2, as in JAX, unless ``symmetrize_input`` is False. Raises ShapeError or DtypeError.
    """
    found = _factorizations.cholesky(x, symmetrize_input=symmetrize_input)
    return _adjoint(found) if _flag("cholesky", "upper", upper) else found


def cross(x1: _Any, x2: _Any, /, *, axis: int = -1) -> _Any:
    """The vector product of 3 elements along an axis; the other axes broadcast. Raises ShapeError or DtypeError."""
    a, b = _array("cross", "x1", x1), _array("cross", "x2", x2)
    found = _cross(a, b, axis=axis)
    if a.shape[axis] != 3 or b.shape[axis] != 3:
        raise _op_error("cross", f"axis {axis} must have 3 elements", {"x1": a, "x2": b}, "leptonc.numpy.cross", _ShapeError)
    return found


__all__ = [
    "EigResult", "EighResult", "LstsqResult", "QRResult", "SVDResult", "SlogdetResult",
    "cholesky", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "expm", "inv", "lstsq", "matmul",
    "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm", "outer", "pinv", "qr", "slogdet",
    "solve", "svd", "svdvals", "tensordot", "tensorinv", "tensorsolve", "trace", "vecdot", "vector_norm",
]

_publish(globals(), __all__)
