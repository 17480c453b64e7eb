"""Linear algebra: eager and compiled against NumPy's LAPACK, sizes above and below a block, matrices without a result."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.errors import LeptonError
from leptonc.ops.linalg.building import BLOCK, panels_at_once

SHAPES = [(4, 4), (0, 0), (3, 1, 1), (2, 40, 40)]  # one block is 32
LIMIT = {"float32": 2e-4, "float64": 1e-10}


jitted = functools.lru_cache(8)(leptonc.jit)  # a function in several cases is compiled once for matrices of a type


def both(f: Callable[..., Any], *args: Any) -> list[Sequence[np.ndarray]]:
    """The results of f op by op and compiled, as tuples."""
    found = [f(*args), jitted(f)(*args)]
    return [tuple(x) if isinstance(x, tuple) else (x,) for x in found]


def check(f: Callable[..., Any], numpys: Callable[..., Any], *args: np.ndarray) -> None:
    """f against NumPy's function, small matrices in f32 as well, relative to the largest number."""
    for dtype, limit in LIMIT.items():
        if dtype == "float32" and args[0].size > 1000:
            continue
        given = [np.asarray(x).astype(dtype) for x in args]
        wanted = numpys(*given)
        wanted = tuple(wanted) if isinstance(wanted, tuple) else (wanted,)
        for found in both(f, *given):
            for x, y in zip(found, wanted, strict=True):
                assert (x.shape, x.dtype) == (y.shape, y.dtype), (f, x.dtype, y.dtype)
                np.testing.assert_allclose(x, y, rtol=limit, atol=limit * max(np.abs(y).max(initial=0), 1), err_msg=str(f))


def stack(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Matrices that are far from singular."""
    return np.random.default_rng(seed).standard_normal(shape) / np.sqrt(max(shape[-1], 1)) + 2 * np.eye(shape[-1])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_goes_by_lu_and_cholesky(shape):
    a, b = stack(shape), stack(shape, 1)[..., :3]

    def all_of(module: Any) -> Callable[..., Any]:
        return lambda a, b: (module.solve(a, b), module.inv(a), module.det(a / 2), *module.slogdet(a), module.matrix_power(a, -2),
                             module.cholesky(a @ a.swapaxes(-1, -2)))

    check(all_of(lnp.linalg), all_of(np.linalg), a, b)


@pytest.mark.parametrize("name", ["svd", "eigh", "qr"])
@pytest.mark.parametrize("shape", [(2, 0, 0), (0, 3, 3)], ids=str)
def test_derivatives_of_empty_vectors_alone(name, shape):
    """Of one result at a time."""
    for n in range({"svd": 3}.get(name, 2)):
        grad = leptonc.grad(lambda a, n=n: lnp.sum(getattr(lnp.linalg, name)(a)[n] ** 2))
        for found in both(grad, np.zeros(shape)):
            assert found[0].shape == shape


@pytest.mark.parametrize("shape", [(5, 5), (2, 70, 35), (35, 70), (4, 0)], ids=str)
def test_lu_gives_the_matrix_back(shape):
    a = np.random.default_rng(2).standard_normal(shape)
    k = min(shape[-2:])
    for factors, pivots, order in both(lax.linalg.lu, a):
        lower = np.tril(factors[..., :, :k], -1) + np.eye(shape[-2], k)
        assert np.abs(lower).max(initial=0) <= 1
        rows = np.take_along_axis(a, np.broadcast_to(order[..., None], shape).astype(int), -2)
        np.testing.assert_allclose(lower @ np.triu(factors[..., :k, :]), rows, atol=1e-12)
        for found in both(lambda p: lax.linalg.lu_pivots_to_permutation(p, shape[-2]), pivots):
            np.testing.assert_array_equal(found[0], order)


@pytest.mark.parametrize("n", [3, 40])
@pytest.mark.parametrize("left", [True, False])
def test_triangular_solve_of_every_kind(n, left):
    a, b = stack((2, n, n)), np.random.default_rng(1).standard_normal((2, n, 2) if left else (2, 2, n))
    kinds = [(lower, transpose, unit) for lower in (True, False) for transpose in (True, False) for unit in (True, False)]
    lax_names = [{"left_side": left, "lower": lower, "transpose_a": t, "unit_diagonal": u} for lower, t, u in kinds]
    for found in both(lambda a, b: tuple(lax.linalg.triangular_solve(a / n, b, **kind) for kind in lax_names), a, b):
        for x, (lower, transpose, unit) in zip(found, kinds):
            matrix = (np.tril if lower else np.triu)(a / n)
            matrix = np.where(np.eye(n, dtype=bool), 1, matrix) if unit else matrix
            matrix = matrix.swapaxes(-1, -2) if transpose else matrix
            np.testing.assert_allclose(matrix @ x if left else x @ matrix, b, atol=1e-9)


def test_matrices_without_a_result_give_nan_and_no_error():
    """As in JAX: a matrix that is not positive definite, a singular one."""
    indefinite, singular = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([[1.0, 2.0], [2.0, 4.0]])
    linalg = lnp.linalg
    for found in both(lambda a: (linalg.cholesky(a), linalg.cholesky(a, upper=True)), indefinite):
        np.testing.assert_array_equal(found, np.array([[[np.nan, 0], [np.nan, np.nan]], [[np.nan, np.nan], [0, np.nan]]]))
    for x, y, determinant, sign, log in both(
            lambda a: (linalg.inv(a), linalg.solve(a, np.ones(2)), linalg.det(a), *linalg.slogdet(a)), singular):
        assert not np.isfinite(x).all() and not np.isfinite(y).all()
        assert (determinant, sign, log) == (0, 0, -np.inf)


def test_one_matrix_of_a_stack_does_not_spoil_the_others():
    x = np.stack([np.eye(3), np.full((3, 3), np.nan), -np.eye(3), 4 * np.eye(3)])
    for (found,) in both(lnp.linalg.cholesky, x):
        np.testing.assert_array_equal(found[[0, 3]], x[[0, 3]] / np.array([1, 2]).reshape(2, 1, 1))
        assert np.isnan(found[1:3][:, *np.tril_indices(3)]).all()


def test_lower_triangles_alone_are_read_if_asked_for():
    a = stack((4, 4)) @ stack((4, 4)).T
    for (found,) in both(lambda a: lax.linalg.cholesky(a, symmetrize_input=False), np.tril(a) + 7 * np.triu(a, 1)):
        np.testing.assert_allclose(found, np.linalg.cholesky(a), atol=1e-12)


def test_ill_conditioned_systems_have_small_residuals():
    """Hilbert's matrix, of condition 1e16: what counts is a x - b, as of LAPACK."""
    n = 40
    places = np.arange(n)
    a = 1.0 / (places[:, None] + places + 1)
    b = a @ np.ones(n)
    for (x,) in both(lnp.linalg.solve, a, b):
        assert np.abs(a @ x - b).max() <= 1e-14 * np.abs(a).sum(1).max() * np.abs(x).max()


def test_the_determinants_gradient_is_finite_where_it_is_zero():
    """Of rank n - 1 the adjugate; of less 0."""
    a = np.diag([1.0, 2.0, 3.0, 0.0])
    for gradient in (leptonc.grad(lnp.linalg.det), leptonc.jit(leptonc.grad(lnp.linalg.det))):
        np.testing.assert_allclose(gradient(a), np.diag([0, 0, 0, 6.0]), atol=1e-14)
        np.testing.assert_array_equal(gradient(np.diag([1.0, 2.0, 0.0, 0.0])), np.zeros((4, 4)))


@pytest.mark.parametrize("function", [
    lnp.linalg.inv, lnp.linalg.det, lambda a: lnp.linalg.slogdet(a)[1], lambda a: lnp.linalg.solve(a, np.ones((3, 2))),
    lambda a: lnp.linalg.cholesky(a @ a.T), lambda a: lax.linalg.lu(a)[0], lambda a: lax.linalg.lu(a[:2])[0],
    lambda a: lax.linalg.triangular_solve(a, a, lower=True), lambda a: lnp.linalg.tensorinv(a.reshape(3, 3, 1), 1),
], ids=["inv", "det", "slogdet", "solve", "cholesky", "lu", "wide lu", "triangular_solve", "tensorinv"])
def test_gradients_are_those_of_finite_differences_twice(function):
    weights = np.random.default_rng(3).standard_normal(function(stack((3, 3))).shape)
    check_derivatives(lambda a: lnp.sum(weights * function(a)), stack((3, 3))[::-1].copy())


def check_derivatives(f: Callable[[Any], Any], x: np.ndarray) -> None:
    """First and second derivatives of a number along a direction, compiled."""
    t = np.random.default_rng(4).standard_normal(x.shape)
    step = 1e-5

    def along(x: Any) -> Any:
        return lnp.sum(leptonc.grad(f)(x) * t)

    for g, slope in ((f, lambda x: along(x)), (along, lambda x: lnp.sum(leptonc.grad(along)(x) * t))):
        wanted = (g(x + step * t) - g(x - step * t)) / (2 * step)
        np.testing.assert_allclose(leptonc.jit(slope)(x), wanted, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(leptonc.jvp(f, (x,), (t,))[1], along(x), rtol=1e-10)


def test_a_program_grows_with_the_logarithm_of_the_matrix():
    """A loop over blocks: of 250 rows there are no more kernels than of 100, but for some that split long sums; of more there is
    one loop for each third of the rows that goes."""
    def kernels(n: int) -> int:
        compiled = leptonc.jit(lnp.linalg.solve).trace(np.zeros((n, n)), np.zeros((n, 1))).lower()
        return compiled.as_text(stage="kernels").count("\nk")

    def loops(columns: int) -> int:
        left = columns - BLOCK * panels_at_once(columns)
        return 1 + (loops(left) if left > 0 else 0)

    assert kernels(250) <= kernels(100) + 5
    assert [loops(n) for n in (250, 1000, 10 ** 6)] == [1, 5, 21]


@pytest.mark.parametrize("call, words", [
    (lambda: lnp.linalg.inv(np.ones((2, 3))), r"inv: x must be \[..., n, n\]; x=f64\[2,3\]"),
    (lambda: lnp.linalg.solve(np.eye(3), np.ones(2)), "solve: a must be"),
    (lambda: lnp.linalg.solve(np.zeros((2, 3, 3)), np.ones((4, 3, 1))), "leading axes"),
    (lambda: lnp.linalg.cholesky(np.ones(3)), "cholesky: x must be"),
    (lambda: lnp.linalg.matrix_power(np.eye(2), 1.5), "matrix_power: n"),
    (lambda: lnp.linalg.tensorsolve(np.ones((2, 2)), np.ones(3)), "tensorsolve: a must be"),
    (lambda: lnp.linalg.tensorinv(np.ones((2, 3)), 1), "tensorinv: the first"),
    (lambda: lax.linalg.triangular_solve(np.eye(3), np.ones((3, 2))), r"b \[..., k, n\]"),
    (lambda: lax.linalg.lu_pivots_to_permutation(np.ones(3), 3), "pivots must be ints"),
    (lambda: lnp.cross(np.ones(4), np.ones(4)), "2 or 3 elements"), (lambda: lnp.vecdot(np.ones(4), np.ones(3)), "4 and 3"),
    (lambda: lnp.inner(np.ones((2, 4)), np.ones(3)), "4 and 3"), (lambda: lnp.kron(True, True), "bools"),
])
def test_wrong_operands_are_named(call, words):
    with pytest.raises(LeptonError, match=words):
        call()


@pytest.mark.parametrize("x, y", [((3,), (3,)), ((2, 3), (3,)), ((4, 1, 3), (2, 3)), ((2,), (3,)), ((2, 2), (2,)), ((), (3,))])
def test_products_are_numpys(x, y):
    rng = np.random.default_rng(5)
    a, b = rng.standard_normal(x), rng.standard_normal(y)
    names = ["kron"]
    if x and y and x[-1] == y[-1]:
        names += ["inner", "vecdot", *(["cross"] if x[-1] == 3 else [])]
    if len(x) > 1:
        names += ["matvec"] if y == (3,) and hasattr(np, "matvec") else []
    for name in names:
        check(getattr(lnp, name), getattr(np, name), a, b)


def test_products_along_other_axes_are_numpys():
    rng = np.random.default_rng(6)
    a, b = rng.standard_normal((3, 4)), rng.standard_normal((3, 4))
    for f in (lambda m: m.vecdot, lambda m: lambda a, b, **k: m.cross(a, b, **k)):
        check(lambda a, b, f=f: f(lnp)(a, b, axis=0), lambda a, b, f=f: f(np)(a, b, axis=0), a, b)


def test_tensor_equations_are_numpys():
    rng = np.random.default_rng(7)
    check(lnp.linalg.tensorsolve, np.linalg.tensorsolve, rng.standard_normal((2, 3, 6)), rng.standard_normal((2, 3)))
    check(lambda a: lnp.linalg.tensorinv(a, 1), lambda a: np.linalg.tensorinv(a, 1), rng.standard_normal((6, 2, 3)))
