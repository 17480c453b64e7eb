"""Random numbers from counters: a key and a shape decide every bit, traced or not, on any number of threads.

Threefry-2x32 with 20 rounds (Salmon et al. 2011), and JAX's bits for the same key, shape and dtype, where the functions do not say
otherwise. A key is two u32.
"""

from leptonc.public import members as _members
from leptonc.public import publish as _publish
from leptonc.random.continuous import (
    cauchy,
    double_sided_maxwell,
    exponential,
    gumbel,
    laplace,
    logistic,
    lognormal,
    maxwell,
    normal,
    pareto,
    rayleigh,
    triangular,
    truncated_normal,
    wald,
    weibull_min,
)
from leptonc.random.discrete import bernoulli, categorical, choice, geometric, permutation, rademacher, randint
from leptonc.random.draws import bits, uniform
from leptonc.random.keys import PRNGKey, clone, fold_in, key, key_data, key_impl, split, threefry, wrap_key_data
from leptonc.random.matrices import multivariate_normal, orthogonal
from leptonc.random.rejection import ball, beta, chisquare, dirichlet, f, gamma, generalized_normal, loggamma, poisson, t

__all__ = [
    "PRNGKey", "ball", "bernoulli", "beta", "binomial", "bits", "categorical", "cauchy", "chisquare", "choice", "clone",
    "dirichlet", "double_sided_maxwell", "exponential", "f", "fold_in", "gamma", "generalized_normal", "geometric", "gumbel",
    "key", "key_data", "key_impl", "laplace", "loggamma", "logistic", "lognormal", "maxwell", "multinomial",
    "multivariate_normal", "normal", "orthogonal", "pareto", "permutation", "poisson", "rademacher", "randint", "rayleigh",
    "split", "t", "threefry", "triangular", "truncated_normal", "uniform", "wald", "weibull_min", "wrap_key_data",
]

_LATER = _members("leptonc.random.counts", "binomial", "multinomial")
_publish(globals(), [name for name in __all__ if name not in _LATER], later=_LATER)
