"""Eigenvalues of matrices that need not be symmetric: LAPACK's, which a compiled function calls through NumPy."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from leptonc import numpy as lnp
from leptonc.custom import custom_jvp
from leptonc.host import pure_callback
from leptonc.numpy.linalg.operands import matrices
from leptonc.numpy.linalg.solving import solve
from leptonc.transforms import ShapeDtypeStruct


class EigResult(NamedTuple):
    """Eigenvalues, and eigenvectors as columns."""

    eigenvalues: Any
    eigenvectors: Any


def eig(x: Any, /) -> EigResult:
    """(eigenvalues [..., n], eigenvectors [..., n, n], as columns of length 1) of any square matrices x [..., n, n], complex always
    and in LAPACK's order; NaN of a matrix that is not finite, as in JAX.

    In a jitted function NumPy is called between two pieces of native code, so that tracing a compiled loop or branch raises
    LeptonError. It has no derivative; ``eigvals`` has one. Raises ShapeError or DtypeError.
    """
    return EigResult(*_called(lapack_eig, matrices("eig", x, square=True), 2))


def eigvals(x: Any, /) -> Any:
    """The eigenvalues of ``eig``, with a derivative where they differ: u' dx v / u' v of an eigenvalue's left and right vectors
    (Magnus 1985). Raises as ``eig``."""
    return _eigvals(matrices("eigvals", x, square=True))


@custom_jvp
def _eigvals(a: Any) -> Any:
    return _called(lapack_eigvals, a, 1)[0]


@_eigvals.defjvp
def _moved(primals: tuple[Any], tangents: tuple[Any]) -> tuple[Any, Any]:
    values, vectors = _called(lapack_eig, primals[0], 2)
    change = solve(vectors, lnp.matmul(lnp.astype(tangents[0], vectors.dtype), vectors))
    return values, lnp.diagonal(change, axis1=-2, axis2=-1)


def _called(of: Any, a: Any, results: int) -> list[Any]:
    """What ``of`` gives of the matrices: their eigenvalues, and their eigenvectors if there are two results."""
    kind = np.result_type(a.dtype, np.complex64)  # of f16 as well, which LAPACK has not
    types = [ShapeDtypeStruct(a.shape[:-1], kind), ShapeDtypeStruct(a.shape, kind)]
    return pure_callback(of, types[:results], lnp.astype(a, np.result_type(a.dtype, np.float32)))


def lapack_eig(a: np.ndarray) -> list[np.ndarray]:
    usable, finite = _finite(a)
    values, vectors = np.linalg.eig(usable)
    return [np.where(finite[..., 0], values, np.nan), np.where(finite, vectors, np.nan)]


def lapack_eigvals(a: np.ndarray) -> list[np.ndarray]:
    usable, finite = _finite(a)
    return [np.where(finite[..., 0], np.linalg.eigvals(usable), np.nan)]


def _finite(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(the matrices, 0 in place of those that are not finite, which NumPy refuses; [..., 1, 1], which are finite)."""
    finite = np.isfinite(a).all((-2, -1), keepdims=True)
    return np.where(finite, a, 0), finite


__all__ = ["EigResult", "eig", "eigvals"]
