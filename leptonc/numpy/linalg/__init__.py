"""NumPy's and the array API's linear algebra, compiled, of stacks of matrices of floats; with JAX's derivatives and treatment of
matrices that have no result: NaN in place of an error."""

from typing import Any as _Any

from leptonc.arguments import flag as _flag
from leptonc.numpy.linalg import factorizations as _factorizations
from leptonc.numpy.linalg.operands import transposed as _transposed
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
from leptonc.numpy.linear import matmul, outer, tensordot
from leptonc.numpy.manipulation import matrix_transpose
from leptonc.numpy.products import cross, vecdot
from leptonc.public import publish as _publish


def cholesky(x: _Any, /, *, upper: bool = False, symmetrize_input: bool = True) -> _Any:
    """L, lower triangular, with L L' = x [..., n, n], or U = L' with ``upper``; NaN where x is not positive definite.

    x is replaced by (x + x') / 2, as in JAX, unless ``symmetrize_input`` is False. Raises ShapeError or DtypeError.
    """
    found = _factorizations.cholesky(x, symmetrize_input=symmetrize_input)
    return _transposed(found) if _flag("cholesky", "upper", upper) else found


__all__ = [
    "SlogdetResult", "cholesky", "cross", "det", "inv", "matmul", "matrix_power", "matrix_transpose", "outer", "slogdet", "solve",
    "tensordot", "tensorinv", "tensorsolve", "vecdot",
]

_publish(globals(), __all__)
