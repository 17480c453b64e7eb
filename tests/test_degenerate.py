"""Derivatives of eigenvectors and singular vectors of values that stand twice, op by op and compiled."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp

RANDOM = np.random.default_rng(0)
ORTHOGONAL = np.linalg.qr(RANDOM.standard_normal((4, 4)))[0]
LOW_RANK = {
    "zero": np.zeros((3, 3)), "one": np.eye(3), "diagonal": np.diag([2.0, 0.0, 0.0]), "ones": np.ones((3, 3)),
    "tall": np.concatenate([RANDOM.standard_normal((6, 2)), np.zeros((6, 2))], 1),
    "stack": np.stack([np.diag([3.0, 1.0, 1.0]), np.ones((3, 3))]),
}


@functools.cache
def compiled(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The gradient, once for all matrices of a type."""
    return leptonc.jit(leptonc.grad(f))


def gradients(f: Callable[[Any], Any], a: np.ndarray) -> list[np.ndarray]:
    with leptonc.disable_jit():
        eager = np.asarray(leptonc.grad(f)(a))
    return [eager, np.asarray(compiled(f)(a))]


def svd(a: Any) -> Any:
    return lnp.linalg.svd(a, full_matrices=False)


def symmetric(a: Any) -> Any:
    return a @ lnp.swapaxes(a, -1, -2)


def of_singular_vectors(a: Any) -> Any:
    return lnp.sum(lnp.abs(svd(a)[2]) ** 2)


def of_eigenvectors(a: Any) -> Any:
    return lnp.sum(lnp.abs(lnp.linalg.eigh(symmetric(a))[1]) ** 2)


@pytest.mark.parametrize("dtype", ["float32", "complex64"])
@pytest.mark.parametrize("a", LOW_RANK.values(), ids=LOW_RANK)
def test_lengths_of_vectors_have_no_slope(a, dtype):
    """Whatever basis of equal values was found: vectors are of length 1. JAX gives NaN."""
    for f in (of_singular_vectors, of_eigenvectors):
        for found in gradients(f, a.astype(dtype)):
            np.testing.assert_allclose(found, np.zeros_like(a), atol=1e-5)


def test_projections_on_a_space_of_equal_values_have_their_derivative():
    """v v' of the vectors of both eigenvalues 1 is the same for all bases; so is u u' and vh' vh. Finite differences."""
    a = ORTHOGONAL @ np.diag([1.0, 1.0, 3.0, 4.0]) @ ORTHOGONAL.T
    weights, direction, step = (*RANDOM.standard_normal((2, 4, 4)), 1e-6)

    def of_values(a: Any) -> Any:
        v = lnp.linalg.eigh(a).eigenvectors[:, :2]
        return lnp.sum(weights * (v @ v.T))

    def of_singular_values(a: Any) -> Any:
        u, _, vh = svd(a)
        return lnp.sum(weights * (u[:, 2:] @ u[:, 2:].T)) + lnp.sum(weights.T * (vh[2:].T @ vh[2:]))

    for f in (of_values, of_singular_values):
        wanted = (f(a + step * direction) - f(a - step * direction)) / (2 * step)
        for found in gradients(f, a):
            np.testing.assert_allclose(np.sum(found * direction), wanted, rtol=1e-6)


def test_the_orthogonal_factor_of_the_identity_has_its_derivative():
    """u vh of a + t is a + (t - t') / 2, a being 1: all singular values are equal."""
    weights = RANDOM.standard_normal((3, 3))

    def f(a: Any) -> Any:
        u, _, vh = svd(a)
        return lnp.sum(weights * (u @ vh))

    for found in gradients(f, np.eye(3)):
        np.testing.assert_allclose(found, (weights - weights.T) / 2, atol=1e-12)


def test_what_depends_on_the_basis_or_mixes_values_and_vectors_is_nan_as_of_jax():
    """A limit that no cotangent tells is no number."""
    weights = RANDOM.standard_normal((3, 3))

    def of_one_vector(a: Any) -> Any:
        return lnp.linalg.eigh(a).eigenvectors[1, 0]

    def root(a: Any) -> Any:
        w, v = lnp.linalg.eigh(a)
        return lnp.sum(weights * ((v * lnp.sqrt(w)) @ v.T))

    for f in (of_one_vector, root):
        for found in gradients(f, np.eye(3)):
            assert np.isnan(found).any()
