"""First and second derivatives at ties and singular points against JAX, where it is installed.

Left out is what JAX makes NaN or rounds away while the function has a derivative: x ** 0 and x ** 1 at 0, logaddexp beside an
infinity or at numbers so large that log 2 is lost beside them.
"""

from __future__ import annotations

import numpy as np
import pytest

from leptonc import grad, jit, nn
from leptonc import numpy as lnp

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

pytestmark = pytest.mark.usefixtures("double_precision")

POINTS = np.array([0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, 0.5, -0.5, np.inf, -np.inf, np.nan, 100.0, -100.0, 1e-8, -1e-8, 2.5])
UNARY = ("absolute exp expm1 log log1p log2 log10 sqrt tanh sinh cosh sin cos tan square reciprocal sign floor ceil trunc rint "
         "logaddexp maximum minimum power1.5 power2 power3 power-1").split()
ACTIVATIONS = "relu elu gelu sigmoid silu softplus leaky_relu".split()
VECTORS = ([0, 2, 3], [0, 0, 3], [0, 0, 0], [2, 2, 2], [-1, 2, 2], [np.inf, 1, 2], [-np.inf, 1, 1], [1e4, -1e4, 1e4], [3, 3, -1])
REDUCTIONS = "prod max min sum mean var std cumsum softmax log_softmax logsumexp".split()


def _pair(name):
    """A function of leptonc's and JAX's."""
    if name.startswith("power"):
        exponent = float(name[5:])
        return (lambda x: lnp.power(x, exponent)), (lambda x: jnp.power(x, exponent))
    if name in ("maximum", "minimum"):
        return (lambda x: getattr(lnp, name)(x, 0.0)), (lambda x: getattr(jnp, name)(x, 0.0))
    if name == "logaddexp":
        return (lambda x: lnp.logaddexp(x, 0.0)), (lambda x: jnp.logaddexp(x, 0.0))
    ours, theirs = (nn, jax.nn) if hasattr(nn, name) and not hasattr(jnp, name) else (lnp, jnp)
    return getattr(ours, name), getattr(theirs, name)


@pytest.mark.parametrize("name", [*UNARY, *ACTIVATIONS])
def test_derivatives_at_points(name):
    ours, theirs = _pair(name)
    points = POINTS[~np.isinf(POINTS)] if name == "logaddexp" else POINTS
    for order in range(3):
        got, wanted = jit(lambda x, f=ours: f(x))(points), jax.vmap(theirs)(jnp.array(points))
        np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-12, err_msg=f"order {order}")
        ours, theirs = (lambda x, f=ours: grad(lambda x: lnp.sum(f(x)))(x)), jax.grad(theirs)


@pytest.mark.parametrize("name", REDUCTIONS)
def test_gradients_and_second_derivatives_of_reductions(name):
    ours, theirs = _pair(name)
    weights, direction = np.array([1.0, 2.0, -0.5]), np.array([-0.3, 0.7, 1.1])

    def weighted(f, m):
        return lambda x: m.sum(f(x) * weights[:f(x).size].reshape(f(x).shape) if f(x).ndim else f(x))

    first, first_jax = grad(weighted(ours, lnp)), jax.grad(weighted(theirs, jnp))
    second, second_jax = grad(lambda x: lnp.sum(first(x) * direction)), jax.grad(lambda x: jnp.sum(first_jax(x) * direction))
    for got, wanted in ((ours, theirs), (first, first_jax), (second, second_jax)):
        compiled = jit(got)
        for x in VECTORS:
            if name == "prod" and np.isinf(x).any():
                continue  # inf * 0 in other places
            right = wanted(jnp.array(x, float))
            np.testing.assert_allclose(compiled(np.array(x, float)), right, rtol=1e-9, atol=1e-12, err_msg=str(x))
