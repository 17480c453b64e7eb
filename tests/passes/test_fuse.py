"""Fusion: what joins, what must not, and that depth does not stop it."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc import numpy as lnp
from leptonc.ir.evaluate import evaluate
from leptonc.ir.interpret import run_program
from leptonc.passes.loops.draft import bind, tidy
from leptonc.passes.loops.merge import side_by_side, with_prefix
from tests.work import assert_near_linear

F = np.float32


def program_of(f, *args, **options):
    return driver.lower(driver.optimize(leptonc.make_graph(f)(*args)), options=driver.Options(**options))


def names(program):
    return [call.kernel.name for call in program.calls]


def check(f, *args):
    """The fused program gives what the graph gives; returns its kernels' names."""
    graph = leptonc.make_graph(f)(*args)
    program = driver.lower(driver.optimize(graph))
    leaves = leptonc.tree.leaves(args)
    for got, wanted in zip(run_program(program, leaves), evaluate(graph, leaves), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)
    return names(program)


def test_an_elementwise_chain_is_one_kernel(rng):
    x = rng.standard_normal((5, 7)).astype(F)
    assert len(check(lambda x, y: lnp.tanh(x * 2 + y) * x - 1, x, x)) == 1


def test_a_producer_goes_into_the_reduction(rng):
    x = rng.standard_normal((40, 70)).astype(F)
    assert len(check(lambda x: (x * x + 1).sum(1), x)) == 1


def test_an_epilogue_goes_into_the_contraction(rng):
    x, w, b = (rng.standard_normal(s).astype(F) for s in ((9, 20), (20, 30), (30,)))
    assert len(check(lambda x, w, b: nn.relu(x @ w + b) * 2, x, w, b)) == 1
    image, kernel = rng.standard_normal((2, 8, 8, 3)).astype(F), rng.standard_normal((3, 3, 3, 5)).astype(F)
    assert len(check(lambda x, w, b: nn.relu(nn.conv(x, w) + b), image, kernel, b[:5])) == 1


def test_two_results_of_the_same_data_are_made_side_by_side(rng):
    x = rng.standard_normal((50, 60)).astype(F)
    assert len(check(lambda x: (x.sum(1), x.max(1), lnp.abs(x).max(1)), x)) == 1


def test_what_is_needed_elsewhere_is_still_stored(rng):
    x = rng.standard_normal((6, 6)).astype(F)
    check(lambda x: (lnp.exp(x), lnp.exp(x).sum(0), lnp.exp(x) @ x), x)


def test_no_cycle_is_closed(rng):
    """y depends on s, which depends on x * 2: the product may not wait for y's loop."""
    def f(x):
        doubled = x * 2
        s = (doubled @ doubled.T).sum()
        return doubled + s, doubled * s

    check(f, rng.standard_normal((4, 4)).astype(F))


@pytest.mark.parametrize("depth", [4, 32, 96])
def test_depth_does_not_stop_fusion(depth):
    """A deep net's step has the kernels of a shallow one, times the layers."""
    params = [(np.zeros((8, 8), F), np.zeros(8, F)) for _ in range(depth)]

    def loss(params, x):
        for w, b in params:
            x = nn.relu(x @ w + b)
        return x.sum()

    def step(params, x):
        return leptonc.tree.map(lambda p, g: p - 0.1 * g, params, leptonc.grad(loss)(params, x))

    # forward; input gradient with the mask; weight and bias update
    assert len(program_of(step, params, np.zeros((4, 8), F)).calls) <= 4 * depth + 2


def test_many_readers_of_one_buffer_cost_no_more_each():
    def outputs(count):
        return lambda: program_of(lambda x: [x + float(n) for n in range(count)], np.ones(3, F))

    assert_near_linear(outputs, 100, 400, slack=1.1)


def test_a_body_tidied_from_where_it_was_tidy_is_the_same():
    program = driver.lower(driver.optimize(leptonc.make_graph(lambda x: (lnp.sqrt(x) + x, lnp.sqrt(x) * 2))(np.ones(3, F))),
                           options=driver.Options(stop_after="halo"))
    stages = [bind(call.kernel, call.args).stages[0] for call in program.calls]
    for first in map(tidy, stages):
        for second in stages:
            both = side_by_side(first, with_prefix(second, "p"))
            assert both == tidy(both)
            assert both.numbers == {inst: n for n, inst in enumerate(both.insts)}
