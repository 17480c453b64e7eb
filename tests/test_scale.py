"""Large graphs: near-linear time, no recursion limit."""

from __future__ import annotations

import sys

import numpy as np

import leptonc
from leptonc import numpy as lnp
from tests.work import assert_near_linear


def chain(length, tanh=lnp.tanh):
    def f(x):
        for n in range(length):
            x = x * 0.999 + (n % 7) * 0.1 if n % 2 else tanh(x)
        return x

    return f


def test_chain_of_10000_nodes():
    x = np.linspace(-1, 1, 8, dtype=np.float32)
    traced = leptonc.jit(chain(5_000)).trace(x)  # 2,500 tanh, 2,500 times two; a constant for each number
    assert len(traced.graph.nodes) > 10_000
    wanted = chain(5_000, np.tanh)(x.astype(np.float64))
    np.testing.assert_allclose(traced.compile()(x), wanted, rtol=1e-3, atol=1e-4)


def test_gradient_of_a_long_chain():
    """Longer than Python's recursion limit."""
    x = np.float64(0.3)
    f = chain(1_050)
    grad = leptonc.jit(leptonc.grad(f))(x)
    with leptonc.disable_jit():
        wanted = leptonc.grad(f)(x)
    np.testing.assert_allclose(grad, wanted, rtol=1e-9)


def test_graph_1050_wide():
    """What is added up is longer than Python's recursion limit."""
    def f(x):
        return sum((lnp.sqrt(x + float(n)) for n in range(1_050)), start=x * 0)

    x = np.linspace(0, 1, 4, dtype=np.float64)
    np.testing.assert_allclose(leptonc.jit(f)(x), sum(np.sqrt(x + n) for n in range(1_050)), rtol=1e-9)


def test_5000_outputs():
    """More than Python's recursion limit."""
    outs = leptonc.jit(lambda x: [x + float(n) for n in range(5_000)])(np.ones(3, np.float32))
    assert len(outs) == 5_000
    np.testing.assert_array_equal(outs, np.arange(1, 5_001, dtype=np.float32)[:, None].repeat(3, 1))


def test_time_grows_nearly_linearly():
    assert_near_linear(lambda n: lambda: leptonc.jit(chain(n)).trace(np.ones(8, np.float32)).lower(), 300, 1_200)
    assert sys.getrecursionlimit() <= 10_000
