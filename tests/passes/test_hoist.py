"""What hoist-from-loops takes out of a loop, and that the numbers are those of a loop it left alone."""

from __future__ import annotations

import numpy as np

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.ir.evaluate import evaluate
from leptonc.passes.graph.loops import HoistFromLoops


def f32(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def hoisted(f, *args):
    """The optimized graph and the numbers of its nodes (outside of loops, in each loop's body), when the numbers are right."""
    graph = leptonc.jit(f).trace(*args).lower().graph
    traced = leptonc.jit(f).trace(*args).graph
    for got, wanted in zip(evaluate(HoistFromLoops()(traced), args), evaluate(traced, args), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    loops = [[inner.op for inner in node.regions[0].nodes] for node in graph.nodes if node.op == "scan"]
    return graph, [node.op for node in graph.nodes], loops


def test_products_of_inputs_are_one_product():
    def f(w, u, h, xs):
        return lax.scan(lambda h, x: (lnp.tanh(x @ w + h @ u), h), h, xs)

    graph, outside, loops = hoisted(f, f32(3, 4), f32(4, 4), f32(2, 4), f32(7, 2, 3))
    assert outside.count("dot_general") == 1 and [body.count("dot_general") for body in loops] == [1]
    product = next(n for n in graph.nodes if n.op == "dot_general")
    assert product.types[0].size == 7 * 2 * 4


def test_weight_gradients_are_one_product_behind():
    def loss(w, u, h, xs):
        return lnp.sum(lax.scan(lambda h, x: (lnp.tanh(x @ w + h @ u), None), h, xs)[0])

    _, outside, loops = hoisted(leptonc.grad(loss, (0, 1)), f32(3, 16), f32(16, 16), f32(2, 16), f32(7, 2, 3))
    assert outside.count("dot_general") == 3 and [body.count("dot_general") for body in loops] == [1, 1]


def test_what_stays_the_same_is_computed_before():
    _, outside, loops = hoisted(lambda w, c, xs: lax.scan(lambda c, x: (c + x * lnp.exp(w), None), c, xs)[0],
                                f32(3), f32(3), f32(5, 3))
    assert "exp" in outside and "exp" not in loops[0]


def test_a_constant_carry_is_no_carry():
    _, _, loops = hoisted(lambda w, c, xs: lax.scan(lambda s, x: ((s[0], s[1] + x * lnp.exp(s[0])), None), (w, c), xs)[0],
                          f32(3), f32(3), f32(5, 3))
    assert "exp" not in loops[0]


def test_what_nobody_reads_goes():
    def f(c, xs):
        (kept, _), _ = lax.scan(lambda s, x: ((s[0] + x, lnp.sin(s[1])), lnp.cos(s[0])), (c, c), xs)
        return kept

    _, _, loops = hoisted(f, f32(3), f32(5, 3))
    assert not {"sin", "cos"} & set(loops[0])
    assert not hoisted(lambda c, xs: (lax.scan(lambda s, x: (s + x, None), c, xs), c)[1], f32(3), f32(5, 3))[2]


def test_sums_of_what_is_known_anyway_leave():
    _, outside, loops = hoisted(lambda c, xs: lax.scan(lambda s, x: (s + lnp.sum(x), None), c, xs)[0], f32(), f32(5, 3))
    assert "sum" in outside and not loops


def test_sums_leave_that_are_placed_and_added_up():
    """As the gradient of biases that are the rows of one array: a pad of each one's sum, added to the other's."""
    def f(c, xs):
        def step(s, x):
            rows = lnp.pad(-lnp.sum(x, 0)[None], ((0, 1), (0, 0))) + lnp.pad(lnp.sum(x * x, 0)[None], ((1, 0), (0, 0)))
            return s + rows, x * x

        return lax.scan(step, c, xs)

    _, outside, loops = hoisted(f, f32(2, 4), f32(5, 3, 4))
    assert outside.count("sum") == 2 and not {"sum", "pad", "reshape"} & set(loops[0])


def test_what_else_reads_keeps_a_sum_in_the_loop():
    def f(c, xs):
        def step(s, x):
            rows = lnp.pad(lnp.sum(x, 0), (1, 0))
            return s + rows, lnp.sin(rows)

        return lax.scan(step, c, xs)

    _, _, loops = hoisted(f, f32(5), f32(5, 3, 4))
    assert {"sum", "pad"} <= set(loops[0])


def test_nothing_leaves_a_loop_of_no_trips():
    """What is the same in all trips is the same in none, where it may be an error or a nan for nothing."""
    found = leptonc.jit(lambda w, c, xs: lax.scan(lambda c, x: (c + x * lnp.log(w), c), c, xs))(f32(3), f32(3), f32(0, 3))
    np.testing.assert_array_equal(found[0], f32(3))


def through(width):
    """A loop whose product adds up along the last axis of what stays, which has ``width`` other points."""
    def f(w, h):
        return lax.scan(lambda h, _: (lnp.tanh(h + lnp.einsum("bj,ij->bi", h, w) @ w), None), h, length=7)[0]

    return hoisted(f, f32(width, 5), f32(2, 5))


def test_weights_are_turned_once():
    graph, outside, loops = through(16)
    body = next(n for n in graph.nodes if n.op == "scan").regions[0]
    assert outside.count("transpose") == 1 and "transpose" not in loops[0]
    assert [n.attributes["contract"] for n in body.nodes if n.op == "dot_general"] == [((1,), (0,))] * 2


def test_thin_weights_stay_as_they_are():
    _, outside, loops = through(3)
    assert "transpose" not in [*outside, *loops[0]]


def steps(w, h, xs):
    """A loop whose carry is multiplied by what is the same in all trips, and from the other side."""
    return lax.scan(lambda h, x: (lnp.tanh(h @ w + x), h), h, xs)


def in_strips(graph):
    """The shapes that products in loops read what is the same in all trips in."""
    bodies = [node.regions[0] for node in graph.nodes if node.op == "scan"]
    return [body.types[i].shape for body in bodies for node in body.nodes if node.op == "dot_general"
            for i in node.operands if i in body.inputs and body.types[i].rank == 3]


def test_weights_of_many_trips_are_read_in_strips():
    """A tile of columns that all rows of a batch share lies in one piece, forward and backward."""
    w, h, xs = f32(320, 320) / 20, f32(12, 320), f32(9, 12, 320)
    graph, _, _ = hoisted(steps, w, h, xs)
    assert in_strips(graph) == [(10, 320, 32)]

    def loss(*args):
        return lnp.sum(steps(*args)[1] ** 2)

    graph, _, _ = hoisted(leptonc.grad(loss, (0, 1)), w, h, xs)
    assert in_strips(graph) == [(10, 320, 32)] * 2
    for got, wanted in zip(leptonc.jit(leptonc.grad(loss, (0, 1)))(w, h, xs), leptonc.grad(loss, (0, 1))(w, h, xs), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-4)


def test_weights_from_the_left_are_read_in_strips():
    w, h, xs = f32(288, 320) / 20, f32(288, 8), f32(8, 320, 8)
    graph, _, _ = hoisted(lambda w, h, xs: lax.scan(lambda h, x: (lnp.tanh(w @ (w.T @ h + x)), None), h, xs)[0], w, h, xs)
    assert sorted(in_strips(graph)) == [(9, 320, 32), (10, 288, 32)]


def test_few_trips_rows_or_bytes_are_not_worth_strips():
    def strips(rows=12, trips=9, columns=320, depth=320, dtype=np.float32):
        h, xs = f32(rows, depth).astype(dtype), f32(trips, rows, columns).astype(dtype)
        w = f32(depth, columns).astype(dtype)

        def g(w, h, xs):
            return lax.scan(lambda h, x: (lnp.tanh(h @ w + x)[:, :depth], None), h, xs)[0]

        return in_strips(leptonc.jit(g).trace(w, h, xs).lower().graph)

    assert strips() and strips(dtype=np.float64)
    assert not strips(rows=7) and not strips(trips=7) and not strips(columns=330) and not strips(columns=128, depth=128)
    assert not strips(dtype=np.float16)
