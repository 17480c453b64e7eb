"""f32 stays f32: of arrays in it and Python numbers no function makes f64 by itself, which would widen all that follows."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import disable_jit, lax, nn, tree
from leptonc import numpy as lnp
from leptonc.scipy import linalg, special, stats

X = (np.arange(1, 6) / 7).astype("f4")
M = (np.eye(5) + np.outer(X, X)).astype("f4")
CALLS = ((X,), (M,), (X, X), (M, M), (M, X), (X, 2), (X, 0.5), (M, 2), (M, 1, 1), ([X, X],), (X, X, X), (X, X, 2), (X, 0.1, 0.9),
         (X, X, 0.5), (0.5, X), (2, X), (X, X, X, X))
# NumPy's and SciPy's meaning: numbers that become arrays of their own, counts and ranks.
WIDE = {"append", "atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays", "ediff1d", "meshgrid", "polyval", "where",
        "block_diag", "hankel", "toeplitz", "histogram2d", "histogramdd", "rankdata"}


def modules() -> Iterator[tuple[str, Any]]:
    yield from (("numpy", lnp), ("linalg", lnp.linalg), ("fft", lnp.fft), ("lax", lax), ("nn", nn), ("scipy.linalg", linalg),
                ("special", special), ("stats", stats))
    yield from ((f"stats.{name}", part) for name, part in inspect.getmembers(stats)
                if hasattr(part, "logpdf") or hasattr(part, "logpmf"))


def functions(module: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in dir(module):
        found = getattr(module, name)
        if callable(found) and not isinstance(found, type) and not name.startswith("_"):
            yield name, found


def wide(function: Callable[..., Any]) -> Iterator[str]:
    """The calls whose results are f64, though there is a result at all."""
    for args in CALLS:
        try:
            out = function(*args)
        except Exception:  # it takes others
            continue
        if {str(getattr(leaf, "dtype", "")) for leaf in tree.leaves(out)} & {"float64", "complex128"}:
            yield ", ".join(f"f32{list(a.shape)}" if isinstance(a, np.ndarray) else str(a)[:20] for a in args)


@pytest.mark.parametrize("name, module", list(modules()), ids=[name for name, _ in modules()])
def test_no_function_makes_f64_of_f32(name: str, module: Any) -> None:
    with disable_jit(), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = {f: calls for f, function in functions(module) if f not in WIDE and (calls := list(wide(function)))}
    allowed = {"average": {"f32[5, 5], 1, 1"}, "log_ndtr": {"0.5, f32[5]", "2, f32[5]"}}  # of a number alone
    assert {f: calls for f, calls in found.items() if set(calls) - allowed.get(f, set())} == {}


@pytest.mark.parametrize("call", [
    lambda x: special.rel_entr(x, x), lambda x: special.kl_div(x, 0.5), lambda x: nn.hinge_loss(x, 1),
    lambda x: nn.huber_loss(x, 0.5),
    lambda x: nn.logsumexp(x, b=2.0), lambda x: nn.standardize(x, mean=0.5, variance=2), lambda x: stats.bernoulli.ppf(x, 0.5),
    lambda x: nn.binary_cross_entropy_with_logits(x, x, weight=0.5, pos_weight=2.0), lambda x: stats.multinomial.logpmf(x, 3, x),
    lambda x: stats.multivariate_normal.logpdf(x, x, 0.5)])
def test_nor_do_options(call: Callable[..., Any]) -> None:
    """And the values are those of f64."""
    found = leptonc.jit(call)(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, call(X.astype("f8")), rtol=1e-5)
