"""Parameters of jax.numpy's functions: the same values and gradients as JAX's, traced."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

import leptonc  # noqa: E402
from leptonc import numpy as lnp  # noqa: E402
from tests.test_parameters import OF_NUMPY, SMALL, V, W, X  # noqa: E402

pytestmark = pytest.mark.usefixtures("double_precision")
OURS, THEIRS = SimpleNamespace(np=lnp, jit=leptonc.jit, lax=leptonc.lax), SimpleNamespace(np=jnp, jit=jax.jit, lax=jax.lax)
OTHERS: dict[str, Any] = {  # f(leptonc's or JAX's names, X, V, SMALL): what NumPy does not have
    "sum promote": lambda m, x, v, n: m.np.sum(n, 0, promote_integers=False),
    "prod promote": lambda m, x, v, n: m.np.prod(n, 1, promote_integers=False),
    "sum bools": lambda m, x, v, n: m.np.sum(n > 0, 1, promote_integers=False),
    "where size": lambda m, x, v, n: m.np.where(v > 0, size=9, fill_value=(-1, 7)),
    "compress": lambda m, x, v, n: m.np.compress(v[0] > 0, v, 1, size=4, fill_value=2.5),
    "compress short": lambda m, x, v, n: m.np.compress(v[0, :2] > 0, v, 1, size=2),
    "extract": lambda m, x, v, n: m.np.extract(v > 0, v, size=11, fill_value=-1.0),
    "repeat": lambda m, x, v, n: m.np.repeat(v, m.np.asarray(v[:, 0] > 0, int) * 2, 0, total_repeat_length=7),
    "repeat less": lambda m, x, v, n: m.np.repeat(v, 3, 1, total_repeat_length=4),
    "delete": lambda m, x, v, n: m.np.delete(v, m.np.argsort(v[0])[:2], 1, assume_unique_indices=True),
    "argsort dtype": lambda m, x, v, n: m.np.argsort(v, 1, dtype=np.int8),
    "method": lambda m, x, v, n: m.np.searchsorted(m.np.sort(v[0]), x[0], method="sort"),
    "isin": lambda m, x, v, n: m.np.isin(n, n[0], method="compare_all"),
    "along": lambda m, x, v, n: m.np.take_along_axis(v[:2], n % 3 - 1, 1, mode="fill", wrap_negative_indices=False),
    "take": lambda m, x, v, n: m.np.take(v, np.array([0, 7]), 1, None, "fill", False, True, -2.0),
    "unique": lambda m, x, v, n: m.np.unique(n, size=4, sorted=False),
    "weights": lambda m, x, v, n: m.np.quantile(v, np.array([0.1, 0.5]), 1, weights=W, method="inverted_cdf", keepdims=True),
    "nan weights": lambda m, x, v, n: m.np.nanquantile(m.np.where(v > 0.5, np.nan, v), 0.4, 1, weights=W, method="inverted_cdf"),
    "ravel_multi_index": lambda m, x, v, n: m.np.ravel_multi_index((n[0] % 3, n[1] % 4), (3, 4), mode="wrap", dtype=np.int16),
    "add.at": lambda m, x, v, n: m.np.add.at(v, (0, np.array([1, 1, 2])), 2.0, inplace=False),
    "multiply.at": lambda m, x, v, n: m.np.multiply.at(v, (np.array([0, 2]), 1), v[:2, 0], inplace=False),
    "maximum.at": lambda m, x, v, n: m.np.maximum.at(v, 1, v[0], inplace=False),
}
GRADLESS = frozenset({"weights all", "weights", "nan weights", "multiply.at"})  # no derivative there, or none in JAX
APART = frozenset({  # what JAX does not have, or means otherwise
    "asarray order", "where", "sort", "argsort", "polyint", "reduceat", "mean bool", "mean bool of floats",
})


def of_numpy(case: Any) -> Any:
    return lambda m, *given: case(m.np, *given)


CASES = {**{name: of_numpy(case) for name, case in OF_NUMPY.items() if name not in APART}, **OTHERS}


def leaves(case: Any, m: Any, *given: Any) -> list[Any]:
    return leptonc.tree.leaves(case(m, *given)) if m is OURS else jax.tree.leaves(case(m, *given))


def everything(m: Any) -> Any:
    return m.jit(lambda *given: {name: leaves(case, m, *given) for name, case in CASES.items()})(X, V, SMALL)


@pytest.fixture(scope="module")
def results() -> Any:
    before = jax.config.read("jax_enable_x64")
    jax.config.update("jax_enable_x64", True)
    found = everything(OURS), everything(THEIRS)
    jax.config.update("jax_enable_x64", before)
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_parameter_means_what_it_means_in_jax(results: Any, name: str) -> None:
    ours, theirs = (result[name] for result in results)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert a.shape == b.shape and a.dtype.kind == np.asarray(b).dtype.kind, (a.dtype, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_gradients_are_those_of_jax() -> None:
    names = [name for name in CASES if name not in GRADLESS]

    def total(m: Any, x: Any, v: Any, weights: Any) -> Any:
        out = 0.0
        for name, weight in zip(names, weights):
            for leaf in leaves(CASES[name], m, x, v, SMALL):
                out = out + (weight * m.np.sum(m.np.sin(leaf)) if leaf.dtype.kind == "f" else 0.0)
        return out

    weights = np.linspace(0.1, 1, len(names))
    found = leptonc.jit(leptonc.grad(lambda *args: total(OURS, *args), (0, 1)))(X, V, weights)
    wanted = jax.jit(jax.grad(lambda *args: total(THEIRS, *args), (0, 1)))(X, V, weights)
    for a, b in zip(found, wanted):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)
