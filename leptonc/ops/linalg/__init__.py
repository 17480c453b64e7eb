"""Factorizations of stacks of matrices, each an op with a derivative by formula, defined by loops over blocks."""

from leptonc.ops.linalg import (
    cholesky,
    determinant,
    eigh,
    eigh_tridiagonal,
    elimination,
    hessenberg,
    jacobi,
    lu,
    qr,
    schur,
    substitution,
    svd,
    triangular,
)

__all__ = ["cholesky", "determinant", "eigh", "eigh_tridiagonal", "elimination", "hessenberg", "jacobi", "lu", "qr", "schur",
           "substitution", "svd", "triangular"]
