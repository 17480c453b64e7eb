"""leptonc.scipy.linalg by what it promises: products of factors, solutions put in again."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, ShapeError
from leptonc.scipy import linalg

RNG = np.random.default_rng(3)
A = RNG.normal(size=(2, 4, 4)) + 1j * RNG.normal(size=(2, 4, 4))
B = RNG.normal(size=(4, 3)) + 1j * RNG.normal(size=(4, 3))
KINDS = {"real": (A.real, B.real), "complex": (A, B)}
OPERATIONS = {0: lambda a: a, "T": lambda a: np.swapaxes(a, -1, -2), 2: lambda a: np.swapaxes(a.conj(), -1, -2)}


def close(x, y):
    np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lower", [False, True])
def test_factors_of_cholesky_are_solved_with(kind, lower):
    a, b = KINDS[kind]
    a = a @ OPERATIONS[2](a) + np.eye(4)
    half = np.tril(a) if lower else np.triu(a)  # one triangle is read
    factor = linalg.cholesky(half, lower)
    close(factor @ OPERATIONS[2](factor) if lower else OPERATIONS[2](factor) @ factor, a)
    close(a @ linalg.cho_solve(linalg.cho_factor(half, lower), b), np.broadcast_to(b, (2, 4, 3)))
    close(a[0] @ linalg.solve(a[0], b[:, 0], lower=lower, assume_a="pos"), b[:, 0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trans", OPERATIONS)
def test_triangles_and_lu_are_solved_with(kind, trans):
    a, b = KINDS[kind]
    op = OPERATIONS[trans]
    for lower, triangle in ((True, np.tril(a)), (False, np.triu(a))):
        close(op(triangle) @ linalg.solve_triangular(a, b, trans, lower), b + 0 * triangle[..., :3])
    ones = np.tril(a, -1) + np.eye(4)
    close(op(ones) @ linalg.solve_triangular(a, b, trans, lower=True, unit_diagonal=True), b + 0 * ones[..., :3])
    close(op(a) @ linalg.lu_solve(linalg.lu_factor(a), b, trans), b + 0 * a[..., :3])
    close(op(a[0]) @ linalg.lu_solve(linalg.lu_factor(a[0]), b[:, 0], trans), b[:, 0])


@pytest.mark.parametrize("shape", [(4, 4), (2, 4), (4, 3)])
def test_lu(shape):
    a = A[:, :shape[0], :shape[1]].real
    places, left, right = linalg.lu(a)
    close(places @ left @ right, a)
    close(linalg.lu(a, permute_l=True)[0], places @ left)
    assert linalg.lu(A)[0].dtype == np.float64 and set(places.ravel()) == {0, 1}


def test_matrices_of_blocks_and_of_diagonals():
    blocks = linalg.block_diag(A[0].real, np.arange(3.0), 7.0)
    assert blocks.shape == (6, 8) and blocks[5, 7] == 7 and (blocks[4, 4:7] == np.arange(3)).all()
    close(blocks[:4, :4], A[0].real)
    assert np.count_nonzero(blocks) == 16 + 2 + 1 and linalg.block_diag().shape == (1, 0)
    assert linalg.toeplitz(np.arange(3)).tolist() == [[0, 1, 2], [1, 0, 1], [2, 1, 0]]
    assert linalg.toeplitz(np.arange(2), np.arange(9, 12)).tolist() == [[0, 10, 11], [1, 0, 10]]
    assert linalg.toeplitz(np.array([1, 1j])).tolist() == [[1, -1j], [1j, 1]]
    assert linalg.toeplitz(np.arange(6).reshape(2, 3)).shape == (2, 3, 3)


def test_compiled_as_op_by_op():
    def f(a, b):
        spd = a @ lnp.matrix_transpose(a) + lnp.eye(4)
        return [linalg.cho_solve(linalg.cho_factor(spd), b), linalg.lu_solve(linalg.lu_factor(a), b, 1), linalg.lu(a),
                linalg.block_diag(a, b), linalg.toeplitz(b[0], a[0])]

    for x, y in zip(leptonc.tree.leaves(leptonc.jit(f)(A[0].real, B.real)), leptonc.tree.leaves(f(A[0].real, B.real))):
        close(x, y)


def test_gradients_of_a_gaussian_process():
    def loss(s):
        factor = linalg.cho_factor(s * np.eye(3) + np.ones((3, 3)), lower=True)
        return np.arange(3.0) @ linalg.cho_solve(factor, np.arange(3.0))

    close(leptonc.jit(leptonc.grad(loss))(2.0), (loss(2 + 1e-6) - loss(2 - 1e-6)) / 2e-6)


@pytest.mark.parametrize("call, error, said", [
    (lambda: linalg.solve_triangular(A, B, 3), ArgumentError, "trans=3 must be 0, 1, 2, 'N', 'T' or 'C'"),
    (lambda: linalg.solve_triangular(A, B[:3]), ShapeError, r"a must be \[..., n, n\] and b \[n\] or \[..., n, k\]"),
    (lambda: linalg.cho_solve(A, B), ArgumentError, "c_and_lower must be the pair that cho_factor gives"),
    (lambda: linalg.block_diag(A), ShapeError, r"arrs\[0\] must have at most two axes"),
    (lambda: linalg.cho_factor(B), ShapeError, r"a must be \[..., n, n\]"),
])
def test_wrong_calls(call, error, said):
    with pytest.raises(error, match=said):
        call()


@pytest.mark.parametrize("kind", KINDS)
def test_eigenvalues_singular_values_and_qr(kind):
    a, _ = KINDS[kind]
    symmetric, tall = a + OPERATIONS[2](a), a[..., :3]
    values, vectors = leptonc.jit(linalg.eigh)(symmetric)
    close(symmetric @ vectors, vectors * values[:, None])
    close(linalg.eigh(symmetric, eigvals_only=True), np.linalg.eigvalsh(symmetric))
    close(linalg.svd(tall, compute_uv=False), np.linalg.svd(tall, compute_uv=False))
    assert [x.shape for x in linalg.svd(tall)] == [(2, 4, 4), (2, 3), (2, 3, 3)]
    for mode, columns in (("full", 4), ("economic", 3)):
        q, r = linalg.qr(tall, mode=mode)
        assert q.shape == (2, 4, columns)
        close(q @ r, tall)
    close(linalg.qr(tall, mode="r")[0], linalg.qr(tall)[1])
    with pytest.raises(ArgumentError):
        linalg.eigh(a, b=a)


VECTOR = RNG.normal(size=5)
MADE = {
    "circulant": lambda m: m.circulant(VECTOR), "companion": lambda m: m.companion(VECTOR), "fiedler": lambda m: m.fiedler(VECTOR),
    **{f"fiedler_companion {n}": lambda m, n=n: m.fiedler_companion(VECTOR[:n]) for n in (2, 3, 4, 5)},
    "hankel": lambda m: m.hankel(VECTOR), "hankel, two": lambda m: m.hankel(VECTOR, VECTOR[:3]),
    "toeplitz": lambda m: m.toeplitz(VECTOR, VECTOR[:3]), "leslie": lambda m: m.leslie(VECTOR, VECTOR[1:]),
    **{f"convolution_matrix {k} {n} {mode}": lambda m, k=k, n=n, mode=mode: m.convolution_matrix(VECTOR[:k], n, mode)
       for k in (1, 2, 5) for n in (1, 3, 4, 6) for mode in ("full", "same", "valid")},
    **{f"dft {scale}": lambda m, scale=scale: m.dft(6, scale) for scale in (None, "sqrtn", "n")},
    "hadamard": lambda m: m.hadamard(8), "helmert": lambda m: m.helmert(5), "helmert, full": lambda m: m.helmert(5, True),
    "hilbert": lambda m: m.hilbert(5), "invhilbert": lambda m: m.invhilbert(5),
    **{f"{name} {kind}": lambda m, name=name, kind=kind: getattr(m, name)(5, kind)
       for name in ("pascal", "invpascal") for kind in ("symmetric", "lower", "upper")},
    "polar": lambda m: m.polar(A[0, :3]), "polar, left": lambda m: m.polar(A[0, :3].real, "left"),
    **{f"qr_multiply {mode} {conjugate}": lambda m, mode=mode, conjugate=conjugate: m.qr_multiply(
        A[0, :, :3], B.T if mode == "right" else B[:3], mode, False, conjugate)
       for mode in ("left", "right") for conjugate in (False, True)},
}


@pytest.mark.parametrize("name", MADE)
def test_matrices_are_scipys(name):
    theirs = pytest.importorskip("scipy.linalg")
    wanted, found = MADE[name](theirs), MADE[name](linalg)
    wanted, found = (x if isinstance(x, tuple) else (x,) for x in (wanted, found))
    if name.startswith("qr_multiply"):  # columns of q, and rows of r, have a sign each
        wanted, found = ([np.abs(pair[0] @ pair[1] if "right" in name else pair[1]), np.abs(pair[1])] for pair in (wanted, found))
    for x, y in zip(found, wanted, strict=True):
        assert x.shape == y.shape
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5)


def test_matrices_of_stacks_and_their_gradients():
    """Each of a stack is its own, compiled and not; what is made of vectors has slopes."""
    stack = RNG.normal(size=(2, 3, 4))
    for name in ("circulant", "companion", "fiedler", "fiedler_companion", "hankel", "toeplitz"):
        f = getattr(linalg, name)
        whole, single = f(stack), [[f(x) for x in rows] for rows in stack]
        np.testing.assert_array_equal(whole, np.array(single))
        np.testing.assert_array_equal(leptonc.jit(f)(stack), whole)
        weights, step = RNG.normal(size=whole.shape), RNG.normal(size=stack.shape)

        def loss(x, f=f, weights=weights):
            return lnp.sum(f(x) * weights)

        slope = (loss(stack + 1e-6 * step) - loss(stack - 1e-6 * step)) / 2e-6
        np.testing.assert_allclose(np.sum(leptonc.jit(leptonc.grad(loss))(stack) * step), slope, rtol=1e-5)
    assert linalg.leslie(stack, stack[..., 1:]).shape == (2, 3, 4, 4)
    assert linalg.leslie(stack, stack[0, 0, 1:]).shape == (2, 3, 4, 4)


@pytest.mark.parametrize("call", [
    lambda: linalg.hadamard(6), lambda: linalg.pascal(3, "low"), lambda: linalg.dft(3, "m"), lambda: linalg.helmert(0),
    lambda: linalg.companion([1.0]), lambda: linalg.leslie([1.0, 2.0], [1.0, 2.0]), lambda: linalg.convolution_matrix([[1.0]], 2),
    lambda: linalg.polar(A[0], "up"),
    lambda: linalg.qr_multiply(A[0], B.T[:, :2]), lambda: linalg.hilbert(2.5),
])
def test_what_makes_no_matrix(call):
    with pytest.raises((ArgumentError, ShapeError)):
        call()


@pytest.mark.parametrize("name", ["hadamard", "hilbert", "helmert", "pascal", "dft"])
def test_sizes_that_no_memory_has_room_for(name):
    with pytest.raises(ShapeError, match=f"{name}: .* must be at most"):
        getattr(linalg, name)(2**70)
