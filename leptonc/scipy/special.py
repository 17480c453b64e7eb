"""JAX's ``scipy.special``: functions of one element at a time, right to a few last places in f64, rounded once to f32.

Of real numbers, but for ``wofz``. They broadcast and promote as ``leptonc.numpy`` does, ints as f64.
"""

from __future__ import annotations

from typing import Any

from leptonc import numpy as lnp
from leptonc.elementary import bessel_i0e, bessel_i1e, digamma
from leptonc.nn import activations
from leptonc.public import publish
from leptonc.scipy.entropies import boxcox, boxcox1p, entr, expit, kl_div, logit, rel_entr, xlog1py, xlogy
from leptonc.scipy.factorials import (
    bernoulli,
    beta,
    betaln,
    comb,
    factorial,
    gamma,
    gammaln,
    gammasgn,
    loggamma,
    multigammaln,
    poch,
)
from leptonc.scipy.gaussian import dawsn, erf, erfc, erfcx, erfinv, fresnel, log_ndtr, ndtr, ndtri, owens_t, wofz
from leptonc.scipy.hypergeometric import bessel_jn, hyp1f1, hyp2f1
from leptonc.scipy.incomplete import betainc
from leptonc.scipy.incomplete import igamma as gammainc
from leptonc.scipy.incomplete import igammac as gammaincc
from leptonc.scipy.integrals import exp1, expi, expn, sici, spence
from leptonc.scipy.operands import wide_function
from leptonc.scipy.zetas import polygamma, zeta

i0, i0e, i1e = lnp.i0, bessel_i0e, bessel_i1e


@wide_function
def i1(x: Any) -> Any:
    """The modified Bessel function of the first kind, of order 1; e^|x| in two factors, of which none overflows before it does."""
    grown = lnp.exp(lnp.absolute(x) * 0.5)
    return grown * bessel_i1e(x) * grown


def logsumexp(a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False, where: Any = None) -> Any:
    """log of the sum of b e^a along ``axis`` (one, several, or None: all), with ``return_sign`` of its magnitude, and its sign.
    Elements where ``where`` is False are left out."""
    return activations.logsumexp(a, axis, b, keepdims, return_sign, where)


def softmax(x: Any, /, *, axis: Any = None) -> Any:
    """e^x over its sum along ``axis``: one, several, or None: all."""
    return lnp.exp(log_softmax(x, axis=axis))


def log_softmax(x: Any, /, *, axis: Any = None) -> Any:
    """x less the logarithm of the sum of e^x along ``axis``: one, several, or None: all."""
    return lnp.subtract(x, activations.logsumexp(x, axis, keepdims=True))


__all__ = [
    "bernoulli", "bessel_jn", "beta", "betainc", "betaln", "boxcox", "boxcox1p", "comb", "dawsn", "digamma", "entr", "erf", "erfc",
    "erfcx", "erfinv", "exp1", "expi", "expit", "expn", "factorial", "fresnel", "gamma", "gammainc", "gammaincc", "gammaln",
    "gammasgn", "hyp1f1", "hyp2f1", "i0", "i0e", "i1", "i1e", "kl_div", "log_ndtr", "log_softmax", "loggamma", "logit", "logsumexp",
    "multigammaln", "ndtr", "ndtri", "owens_t", "poch", "polygamma", "rel_entr", "sici", "softmax", "spence", "wofz", "xlog1py",
    "xlogy", "zeta",
]

publish(globals(), __all__)
