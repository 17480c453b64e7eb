"""JAX's ``scipy.stats``: distributions by SciPy's names, and statistics of samples.

A distribution is an object whose functions are ``logpdf``, ``pdf``, ``cdf`` ...: ``stats.norm.logpdf(x, loc, scale)``. They
broadcast, and work under jit, grad and vmap.
"""

from leptonc.public import publish
from leptonc.scipy.stats.continuous import (
    beta,
    cauchy,
    chi2,
    expon,
    gamma,
    gennorm,
    gumbel_l,
    gumbel_r,
    laplace,
    logistic,
    norm,
    pareto,
    t,
    truncnorm,
    uniform,
    vonmises,
    wrapcauchy,
)
from leptonc.scipy.stats.descriptive import mode, rankdata, sem
from leptonc.scipy.stats.discrete import (
    bernoulli,
    betabinom,
    binom,
    dirichlet,
    geom,
    multinomial,
    multivariate_normal,
    nbinom,
    poisson,
)
from leptonc.scipy.stats.kernel import gaussian_kde

__all__ = [
    "bernoulli", "beta", "betabinom", "binom", "cauchy", "chi2", "dirichlet", "expon", "gamma", "gaussian_kde", "gennorm", "geom",
    "gumbel_l", "gumbel_r", "laplace", "logistic", "mode", "multinomial", "multivariate_normal", "nbinom", "norm", "pareto",
    "poisson", "rankdata", "sem", "t", "truncnorm", "uniform", "vonmises", "wrapcauchy",
]

publish(globals(), __all__)
