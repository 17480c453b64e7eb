"""Factors that leave sums: where they do, where they stay, and that the numbers remain."""

from __future__ import annotations

import numpy as np

import leptonc
from leptonc import nn
from leptonc import numpy as lnp
from leptonc.ir.evaluate import evaluate
from leptonc.passes.graph.canonicalize import Canonicalize
from leptonc.passes.graph.cse import Cse
from leptonc.passes.graph.dce import Dce
from leptonc.passes.graph.expand import Expand
from leptonc.passes.graph.sums import FactorSums


def rewritten(f, *args):
    """The graph before and after the pass; both mean the same."""
    graph = Dce()(Cse()(Canonicalize()(Expand()(leptonc.make_graph(f)(*args)))))
    after = Dce()(Cse()(FactorSums()(graph)))
    leaves = leptonc.tree.leaves(args)
    for got, wanted in zip(evaluate(after, leaves), evaluate(graph, leaves), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-10, atol=1e-10)
    return graph, after


def sums(graph):
    return [graph.producer.get(n.operands[0]) for n in graph.nodes if n.op == "sum"]


def test_terms_that_are_summed_anyway_are_summed_apart(rng):
    def f(x, y, c, d):
        return (x * c + y * d).sum((0, 1)), x.sum((0, 1)), (y * y).sum((0, 1))

    args = [rng.standard_normal(s) for s in ((4, 5, 3), (4, 5, 3), (3,), (3,))]
    before, after = rewritten(f, *args)
    assert [n is not None and n.op == "add" for n in sums(before)].count(True) == 1
    assert not [n for n in sums(after) if n is not None and n.op == "add"]


def test_differences_and_negations_are_terms(rng):
    def f(x, y, c, d):
        return (-(x * c - d * y)).sum(0), x.sum(0), y.sum(0)

    args = [rng.standard_normal(s) for s in ((7, 3), (7, 3), (3,), (3,))]
    assert [n.op for n in sums(rewritten(f, *args)[1]) if n is not None] == []


def test_a_sum_that_is_zero_has_no_sign(rng):
    """... whatever its factors': products of 0.0 and a negative number are -0.0, their sum from 0.0 on is not."""
    def f(x, y, c, d):
        return (x * c + y * d).sum((0, 1)), x.sum((0, 1)), y.sum((0, 1))

    zeros, factors = np.zeros((4, 5, 3)), np.array([-1.0, 2.0, -3.0])
    before, after = rewritten(f, zeros, zeros, factors, factors)
    assert len(sums(after)) == 2
    leaves = [zeros, zeros, factors, factors]
    for graph in (before, after):
        assert not np.signbit(evaluate(graph, leaves)[0]).any()
    assert not np.signbit(leptonc.jit(f)(*leaves)[0]).any()


def test_others_stay_together(rng):
    x, y, c = (rng.standard_normal(s) for s in ((9, 3), (9, 3), (3,)))
    stay = [
        lambda x, y, c: ((x - c).sum(0), x.sum(0)),  # cancels before it is summed
        lambda x, y, c: ((x * c + y * c).sum(0), x.sum(0)),  # y is summed nowhere else
        lambda x, y, c: ((x * c + y * c).sum(1), x.sum(1), y.sum(1)),  # the factor varies along the axis
        lambda x, y, c: ((x * c + y).sum(0), x.sum(0), y.sum(0)),
    ]
    for f in stay:
        before, after = rewritten(f, x, y, c)
        assert before == after


def test_a_batch_norm_takes_no_pass_for_the_mean_of_its_gradient(rng):
    """Of its input's gradient: the sums of the gradients of scale and shift are enough."""
    def f(x, scale, shift, g):
        y = nn.batch_norm(x, np.zeros(3), np.ones(3), scale, shift, training=True)[0]
        return (lnp.tanh(y) * g).sum()

    args = [rng.standard_normal(s) for s in ((4, 5, 3), (3,), (3,), (4, 5, 3))]
    before, after = rewritten(leptonc.grad(f, argnums=(0, 1, 2)), *args)
    assert any(n is not None and n.op == "neg" for n in sums(before))
    assert {n.op for n in sums(after) if n is not None} == {"sub", "mul"}
    rewritten(leptonc.grad(lambda *a: sum((g * g).sum() for g in leptonc.grad(f, argnums=(0, 1, 2))(*a))), *args)
    rewritten(leptonc.vmap(leptonc.grad(f), (0, None, None, 0)), *(np.stack([a, a + 1]) if a.ndim > 1 else a for a in args))
