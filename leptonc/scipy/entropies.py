"""Products with logarithms, whose value is 0 where a factor is 0, and maps of probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.public import publish
from leptonc.scipy.operands import real_function
from leptonc.scipy.slopes import with_slopes
from leptonc.trace import bind


def _xlogy(x: Any, y: Any) -> Any:
    none = (x == 0) & ~lnp.isnan(y)
    return lnp.where(none, 0.0, x * lnp.log(lnp.where(none, 1.0, y)))


def _xlog1py(x: Any, y: Any) -> Any:
    none = (x == 0) & ~lnp.isnan(y)
    return lnp.where(none, 0.0, x * lnp.log1p(lnp.where(none, 0.0, y)))


_xlogy_ruled = with_slopes(_xlogy, lambda x, y, z: lnp.log(y), lambda x, y, z: x / y)
_xlog1py_ruled = with_slopes(_xlog1py, lambda x, y, z: lnp.log1p(y), lambda x, y, z: x / (1 + y))


@real_function
def xlogy(x: Any, y: Any) -> Any:
    """x log(y), 0 for x = 0."""
    return _xlogy_ruled(x, y)


@real_function
def xlog1py(x: Any, y: Any) -> Any:
    """x log(1 + y), 0 for x = 0."""
    return _xlog1py_ruled(x, y)


_entr = with_slopes(lambda x: lnp.where(x < 0, -np.inf, -_xlogy(x, x)), lambda x, y: -1 - lnp.log(x))


@real_function
def entr(x: Any) -> Any:
    """-x log(x), 0 at 0, -inf below it."""
    return _entr(x)


def _rel_entr(p: Any, q: Any) -> Any:
    both, none = (p > 0) & (q > 0), (p == 0) & (q >= 0)
    found = lnp.where(both, p, 1.0) * (lnp.log(lnp.where(both, p, 1.0)) - lnp.log(lnp.where(both, q, 1.0)))
    return lnp.where(lnp.isnan(p) | lnp.isnan(q), np.nan, lnp.where(both, found, lnp.where(none, 0 * found, np.inf)))


@real_function
def rel_entr(p: Any, q: Any) -> Any:
    """p log(p / q), 0 for p = 0, inf for what are no probabilities."""
    return _rel_entr(p, q)


@real_function
def kl_div(p: Any, q: Any) -> Any:
    """p log(p / q) - p + q."""
    return _rel_entr(p, q) - p + q


@real_function
def logit(x: Any) -> Any:
    """log(x / (1 - x)), of probabilities."""
    return lnp.log(x) - lnp.log1p(-x)


@real_function
def expit(x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return bind("sigmoid", x)


@real_function
def boxcox(x: Any, lmbda: Any) -> Any:
    """(x^lmbda - 1) / lmbda, log(x) for lmbda = 0."""
    return _boxcox(lnp.log(x), lmbda)


@real_function
def boxcox1p(x: Any, lmbda: Any) -> Any:
    """((1 + x)^lmbda - 1) / lmbda, log(1 + x) for lmbda = 0."""
    return _boxcox(lnp.log1p(x), lmbda)


def _boxcox(log: Any, power: Any) -> Any:
    none = power == 0
    safe = lnp.where(none, 1.0, power)
    return lnp.where(none, log, lnp.expm1(safe * log) / safe)


__all__ = ["boxcox", "boxcox1p", "entr", "expit", "kl_div", "logit", "rel_entr", "xlog1py", "xlogy"]

publish(globals(), __all__)
