"""Slopes of all functions of one array, at numbers where formulas end: JAX's, where JAX has one."""

from __future__ import annotations

import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import lax, nn
from leptonc import numpy as lnp

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

pytestmark = pytest.mark.usefixtures("double_precision")
POINTS = np.array([0.5, 2.5, 1.0, -1.0, -3.7, 0.0, -0.0, 1e-30, 1e30, 88.0, -88.0, np.inf, -np.inf, np.nan])
APART = {  # where they differ, and why
    "acosh": "beyond its domain", "arccosh": "beyond its domain", "log1mexp": "beyond its domain",
    "modf": "what an infinity has behind the point is 0, and stays so", "celu": "0 of NaN, where JAX has NaN",
    "bessel_i1e": "NaN of NaN, where JAX has 0.5", "vander": "powers that overflow, in another order",
    "digamma": "0 at infinity, where it is flat",
}


def slopes(grad: Any, array: Any, total: Any, f: Any) -> np.ndarray:
    return np.asarray(grad(lambda x: total(array(f(x)).astype(np.float64)))(POINTS))


@pytest.mark.parametrize("ours, theirs", [(lnp, jnp), (lax, jax.lax), (nn, jax.nn)], ids=["numpy", "lax", "nn"])
def test_slopes_where_formulas_end(ours: ModuleType, theirs: ModuleType) -> None:
    compared, apart = 0, []
    for name in sorted(set(dir(ours)) & set(dir(theirs))):
        f, g = getattr(ours, name), getattr(theirs, name)
        if name in APART or not callable(f) or isinstance(f, type):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                wanted = slopes(jax.grad, jnp.asarray, jnp.sum, g)
                found = slopes(leptonc.grad, lnp.asarray, lnp.sum, f)
            except Exception:  # no function of one array, or of how many elements it gives nobody knows
                continue
        compared += 1
        if not np.allclose(found, wanted, rtol=1e-6, equal_nan=True):
            apart.append((name, found, wanted))
    assert not apart
    assert compared > {"jax.numpy": 90, "jax.lax": 40, "jax.nn": 15}[theirs.__name__]
