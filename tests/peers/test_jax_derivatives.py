"""Forward mode, custom rules and checkpoint, two and three deep, against JAX, where it is installed."""

from __future__ import annotations

import itertools
import sys
import zlib

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

pytestmark = pytest.mark.usefixtures("double_precision")

X, T = np.array([0.3, -0.7, 1.1]), np.array([1.0, -0.5, 2.0])


def plain(lib, np_):
    return lambda x: np_.sum(np_.tanh(np_.sin(x) * x[0]) ** 3)


def tree(lib, np_):
    def parts(x):
        return {"a": np_.exp(x[:2]), "b": (np_.sum(x * x), x[::-1])}

    def f(x):
        p = parts(x)
        return np_.sum(p["a"]) * p["b"][0] + np_.sum(p["b"][1] * x)

    return f


def with_custom_vjp(lib, np_):
    @lib.custom_vjp
    def f(x, y):
        return np_.sin(x) * y

    f.defvjp(lambda x, y: (f(x, y), (x, y)), lambda res, g: (3 * np_.cos(res[0]) * g * res[1], f(res[0], g)))
    return lambda x: np_.sum(f(x, x * x))


def with_custom_jvp(lib, np_):
    @lib.custom_jvp
    def f(x, y):
        return np_.sin(x) * y

    @f.defjvp
    def rule(primals, tangents):
        (x, y), (s, t) = primals, tangents
        return f(x, y), 3 * np_.cos(x) * s * y + f(x, t)

    return lambda x: np_.sum(f(x, x * x))


def with_defjvps(lib, np_):
    f = lib.custom_jvp(lambda x, y: x * y)
    f.defjvps(lambda t, out, x, y: 2 * t * y, lambda t, out, x, y: t * out)
    return lambda x: np_.sum(f(np_.sin(x), x))


def with_checkpoint(lib, np_):
    dots = lib.checkpoint_policies.dots_saveable
    inner = lib.checkpoint(lambda x: np_.tanh(np_.outer(x, x) @ np_.sin(x)), policy=dots)
    return lib.checkpoint(lambda x: np_.sum(inner(np_.cos(x)) * x))


def nondiff(lib, np_):
    f = lib.custom_vjp(lambda n, x: x**n, nondiff_argnums=(0,))
    f.defvjp(lambda n, x: (f(n, x), x), lambda n, x, g: (5 * n * g * x,))
    return lambda x: np_.sum(f(3, np_.sin(x)))


def with_vjp_of_others(lib, np_):
    f = lib.custom_vjp(lambda x: np_.sin(x))
    f.defvjp(lambda x: (np_.sin(x), x), lambda x, g: (4 * g * np_.cos(x),))
    return lambda x: np_.sum(f(x * x) * x)


FUNCTIONS = [with_vjp_of_others, plain, tree, with_custom_vjp, with_custom_jvp, with_defjvps, with_checkpoint, nondiff]
# JAX, as leptonc, has no forward mode of a custom_vjp. Where reverse mode has put the rules in its place, it depends on them:
REVERSE_ONLY = (with_custom_vjp, nondiff)  # rules that call the function itself
REVERSE_FIRST = (with_vjp_of_others,)


def derivative(name, lib, np_):
    """A transformation of a function to a scalar that gives one to a scalar again."""
    weights = np.array([0.5, -1.0, 2.0])
    return {
        "grad": lambda f: lambda x: np_.sum(lib.grad(f)(x) * weights),
        "vjp": lambda f: lambda x: np_.sum(lib.vjp(f, x)[1](np_.sum(x))[0] * weights),
        "jvp": lambda f: lambda x: lib.jvp(f, (x,), (x * weights,))[1],
        "linearize": lambda f: lambda x: lib.linearize(f, x)[1](weights * 1.0),
        "jacrev": lambda f: lambda x: np_.sum(lib.jacrev(lambda x: np_.stack([f(x), f(x) * x[0]]))(x) * weights),
        "jacfwd": lambda f: lambda x: np_.sum(lib.jacfwd(lambda x: {"a": f(x) * x})(x)["a"] * weights),
        "hessian": lambda f: lambda x: np_.sum(lib.hessian(f)(x) * weights),
        "checkpoint": lambda f: lib.checkpoint(f),
        "jit": lambda f: lib.jit(f),
        "vmap": lambda f: lambda x: np_.sum(lib.vmap(f)(np_.stack([x, x * 2])) * np.array([1.0, 0.5])),
    }[name]


NAMES = ["grad", "vjp", "jvp", "linearize", "jacrev", "jacfwd", "hessian", "checkpoint", "jit", "vmap"]
FORWARD = {"jvp", "linearize", "jacfwd"}


def _allowed(function, chain):
    orders = [n for n in chain if n not in ("checkpoint", "jit", "vmap")]
    if function in REVERSE_ONLY:
        return FORWARD.isdisjoint(orders) and "hessian" not in orders
    return function not in REVERSE_FIRST or not orders or orders[0] not in FORWARD


PAIRS = [(f, c) for f in FUNCTIONS for c in itertools.product(NAMES, NAMES) if _allowed(f, c)]
TRIPLES = [(f, c) for f in FUNCTIONS for c in itertools.product(NAMES, NAMES, NAMES) if _allowed(f, c)]


def _compare(function, chain, compiled):
    ours, theirs = function(leptonc, lnp), function(jax, jnp)
    for name in chain:
        ours, theirs = derivative(name, leptonc, lnp)(ours), derivative(name, jax, jnp)(theirs)
    np.testing.assert_allclose((leptonc.jit(ours) if compiled else ours)(X), theirs(jnp.asarray(X)), rtol=1e-9, atol=1e-10,
                               err_msg=f"{function.__name__} {chain}")


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_a_sample_of_transformations_two_deep(function):
    """``python -m tests.peers.test_jax_derivatives`` takes them all, and many three deep."""
    own = [c for f, c in PAIRS if f is function]
    rng = np.random.default_rng(zlib.crc32(function.__name__.encode()))
    for n in rng.choice(len(own), 8, replace=False):
        _compare(function, own[n], bool(n % 4 == 0))


def test_a_sample_of_those_three_deep():
    rng = np.random.default_rng(zlib.crc32(b"three deep"))
    for n in rng.choice(len(TRIPLES), 8, replace=False):
        _compare(*TRIPLES[n], bool(n % 4 == 0))


def _tree_function(np_):
    return lambda p, x: {"u": np_.tanh(p["w"] @ x), "v": (np_.sum(x**2), p["b"] * x[:2])}


@pytest.mark.parametrize("name", ["jacfwd", "jacrev", "hessian"])
@pytest.mark.parametrize("argnums", [0, 1, (0, 1), (1, 0)])
def test_trees_are_laid_out_as_jaxs(name, argnums):
    p = {"w": np.arange(6.0).reshape(2, 3) / 5, "b": np.array([1.5, -0.5])}
    got = getattr(leptonc, name)(_tree_function(lnp), argnums)(p, X)
    wanted = getattr(jax, name)(_tree_function(jnp), argnums)(p, jnp.asarray(X))
    a, b = leptonc.tree.flatten(got), leptonc.tree.flatten(jax.tree.map(np.asarray, wanted))
    assert a[1] == b[1]
    for x, y in zip(a[0], b[0]):
        np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-12)


def main():
    """All pairs, and as many triples as the argument says."""
    jax.config.update("jax_enable_x64", True)
    rng = np.random.default_rng(0)
    wanted = PAIRS + [TRIPLES[n] for n in rng.permutation(len(TRIPLES))[:int((sys.argv[1:] or ["0"])[0])]]
    failed = 0
    for n, (function, chain) in enumerate(wanted):
        try:
            _compare(function, chain, n % 7 == 0)
        except Exception as error:
            failed += 1
            print(function.__name__, chain, type(error).__name__, str(error)[:300])
    print(f"{len(wanted)} comparisons, {failed} differ")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
