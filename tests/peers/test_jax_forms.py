"""Forms of matrices, what stands on them, and bits of generators, against JAX, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

from leptonc import lax as llax
from leptonc import numpy as lnp
from leptonc.scipy import linalg

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

pytestmark = pytest.mark.usefixtures("double_precision")

RNG = np.random.default_rng(4)
A = RNG.normal(size=(5, 5))
C = A + 1j * RNG.normal(size=(5, 5))
B = RNG.normal(size=(3, 3)) + 4 * np.eye(3)
SAME = {  # functions of (scipy.linalg, lax, numpy) whose results are the same numbers
    **{f"{name}, {kind}": lambda s, x, n, name=name, a=a: getattr(x.linalg, name)(n.asarray(a))
       for name in ("hessenberg",) for kind, a in (("real", A), ("complex", C))},
    **{f"tridiagonal, {kind}, {lower}": lambda s, x, n, a=a, lower=lower: x.linalg.tridiagonal(n.asarray(a), lower=lower)
       for kind, a in (("real", A + A.T), ("complex", C + C.conj().T)) for lower in (False, True)},
    "householder_product": lambda s, x, n: x.linalg.householder_product(n.asarray(A[:, :3]), n.asarray(A[0, :3])),
    **{f"ormqr, {left}, {transpose}": lambda s, x, n, left=left, transpose=transpose: x.linalg.ormqr(
        n.asarray(A[:, :3]), n.asarray(A[0, :3]), n.asarray(A), left=left, transpose=transpose)
       for left in (False, True) for transpose in (False, True)},
    "hessenberg of scipy": lambda s, x, n: s.hessenberg(n.asarray(A), calc_q=True), "sqrtm": lambda s, x, n: s.sqrtm(n.asarray(A)),
    "funm": lambda s, x, n: s.funm(n.asarray(A), n.sin),
    "solve_sylvester": lambda s, x, n: s.solve_sylvester(n.asarray(A), n.asarray(B), n.asarray(A[:, :3])),
    "solve_sylvester, singular": lambda s, x, n: s.solve_sylvester(n.asarray(B), n.asarray(-B), n.asarray(B)),
    "expm_frechet": lambda s, x, n: s.expm_frechet(n.asarray(A), n.asarray(A[::-1].copy())),
    "eigh_tridiagonal": lambda s, x, n: s.eigh_tridiagonal(n.asarray(A[0]), n.asarray(A[1, :4]), eigvals_only=True),
    "eigh_tridiagonal, some": lambda s, x, n: s.eigh_tridiagonal(n.asarray(A[0]), n.asarray(A[1, :4]), eigvals_only=True,
                                                                 select="i", select_range=(1, 3)),
    "tridiagonal_solve": lambda s, x, n: x.linalg.tridiagonal_solve(*(n.asarray(v) for v in (A[0] * [0, 1, 1, 1, 1], A[1],
                                                                    A[2] * [1, 1, 1, 1, 0], A[:, :2]))),
    "cholesky_update": lambda s, x, n: x.linalg.cholesky_update(n.asarray(np.triu(A)), n.asarray(A[0])),
    "symmetric_product": lambda s, x, n: x.linalg.symmetric_product(n.asarray(A[:, :3]), n.asarray(A + A.T), alpha=2.0, beta=0.5,
                                                                    symmetrize_output=True),
}


@pytest.mark.parametrize("name", SAME)
def test_numbers_are_jaxs(name):
    ours, theirs = (np.asarray(x) if not isinstance(x, tuple | list) else x for x in (
        SAME[name](linalg, llax, lnp), SAME[name](jax.scipy.linalg, jax.lax, jnp)))
    for x, y in zip(*(x if isinstance(x, tuple | list) else [x] for x in (ours, theirs)), strict=True):
        x, y = np.asarray(x), np.asarray(y)
        if name == "cholesky_update":  # rows have a sign each
            x, y = np.abs(x), np.abs(y)
        assert (x.shape, x.dtype) == (y.shape, y.dtype)
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("algorithm", [0, 1, 2])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (2, 3), (3, 3), (3, 1, 4)])
def test_bits_are_jaxs(algorithm, shape):
    for key in (np.array([7, 2**32 - 1, 2**32 - 2, 2**32 - 1], np.uint32), np.array([9, 2**64 - 1], np.uint64)):
        for dtype in ("uint8", "uint16", "uint32", "uint64"):
            wanted = jax.lax.rng_bit_generator(jnp.asarray(key), shape, dtype, jax.lax.RandomAlgorithm(algorithm))
            found = llax.rng_bit_generator(key, shape, dtype, llax.RandomAlgorithm(algorithm))
            for x, y in zip(found, wanted, strict=True):
                assert x.dtype == y.dtype and (np.asarray(x) == np.asarray(y)).all()
