"""Results that cheap operations make of others are made again where they are read."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc import numpy as lnp
from leptonc.ir.evaluate import evaluate
from leptonc.ir.interpret import run_program

F = np.float64


def temporaries(f, *args, size=0, **options):
    """The sizes of all temporaries that are not smaller than ``size``, and of those without the pass; results are the same."""
    graph = leptonc.make_graph(f)(*args)
    optimized, leaves = driver.optimize(graph), leptonc.tree.leaves(args)
    counts = []
    for disable in (frozenset(), frozenset({"drop-derived"})):
        program = driver.lower(optimized, options=driver.Options(disable))
        for got, wanted in zip(run_program(program, leaves), evaluate(graph, leaves), strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-9, atol=1e-9)
        counts.append(sum(b.kind == "temp" and b.type.size >= size for b in program.buffers))
    return tuple(counts)


def layer(activation):
    def f(x, w, b, v):
        return lnp.sum((activation(x @ w + b) @ v) ** 2)

    return leptonc.grad(f, argnums=(1, 2, 3))


def arguments(rng, rows=160, features=24, hidden=128):
    return (rng.standard_normal((rows, features)).astype(F), rng.standard_normal((features, hidden)).astype(F) * F(0.2),
            rng.standard_normal(hidden).astype(F), rng.standard_normal((hidden, 8)).astype(F))


@pytest.mark.parametrize("activation, kept, stored", [
    (nn.gelu, 4, 7),  # x, tanh, the result and the cotangent
    (nn.silu, 4, 4),
    (lambda x: lnp.tanh(x) * lnp.tanh(x) + 3 * lnp.tanh(x), 3, 4),
])
def test_an_activation_keeps_what_its_derivative_is_made_of(rng, activation, kept, stored):
    assert temporaries(layer(activation), *arguments(rng), size=160 * 128) == (kept, stored)


def test_small_results_stay(rng):
    found, stored = temporaries(layer(nn.gelu), *arguments(rng, 8, 24, 32), size=8 * 32)
    assert found == stored


def test_what_is_folded_or_read_elsewhere_stays(rng):
    """A factor of a product is made once; a row that is read at another place is, as well."""
    def f(x, w, v):
        y = lnp.tanh(x @ w)
        z = y * 2 + 1
        return y, z @ v, lnp.flip(z, 0) * y

    x, w, v = (rng.standard_normal(s).astype(F) for s in ((160, 24), (24, 128), (128, 160)))
    found, stored = temporaries(f, x, w, v, size=160 * 128)
    assert found == stored


def test_results_of_the_program_stay(rng):
    def f(x, w):
        y = lnp.tanh(x @ w)
        return y * 2, y * y, lnp.sum(y * 2 + y * y, 1)

    x, w = (rng.standard_normal(s).astype(F) for s in ((160, 24), (24, 128)))
    temporaries(f, x, w)
