"""Fusion: what joins, what must not, and that depth does not stop it."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, lax, nn
from leptonc import numpy as lnp
from leptonc.ir.evaluate import evaluate
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Const
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


@pytest.mark.parametrize("axis", [0, 1])
def test_parts_are_written_where_they_are_joined(rng, axis):
    """Elementwise parts of one shape are made in one loop, and written side by side into one buffer."""
    x, y = rng.standard_normal((2, 6, 20)).astype(F)
    assert len(check(lambda x, y: lnp.concatenate([x * y, lnp.tanh(x), x + y, y], axis), x, y)) == 1


@pytest.mark.parametrize("f", [
    lambda x: lnp.roll(x, 1, 0),
    lambda x: lnp.roll(x, (2, -3), (0, 1)),
    lambda x: lnp.concatenate([x[:, ::2] * 2, lnp.exp(x[:, :2])], 1),
    lambda x: lnp.concatenate([x[1:], x[:1], x[:2].sum(1, keepdims=True) + x[:2]]),
    lambda x: lnp.concatenate([x[:2, :3].T, x[3:8, :2]])],
    ids=["roll", "roll twice", "expressions", "a sum", "transposed"])
def test_parts_of_several_sizes_are_made_where_they_are_joined(rng, f):
    x = rng.standard_normal((9, 7)).astype(F)
    assert all("concatenate" in name or "sum" in name for name in check(f, x))


def test_joined_parts_are_whole_to_those_that_read_them(rng):
    """What is written by several stores of a loop is in no loop that reads it."""
    x, y = rng.standard_normal((2, 6, 20)).astype(F)
    w = rng.standard_normal((40, 30)).astype(F)
    check(lambda x, y: lnp.sin(lnp.concatenate([x * y, x + y], 1)) * 2, x, y)
    check(lambda x, y: lnp.concatenate([x * y, x + y], 1)[:, 10:30] * 2, x, y)
    check(lambda x, y: lnp.concatenate([x * y, x + y], 1).sum(1), x, y)
    assert len(check(lambda x, y, w: lnp.concatenate([x * y, x + y], 1) @ w, x, y, w)) == 2


def test_what_is_needed_elsewhere_is_still_stored(rng):
    x = rng.standard_normal((6, 6)).astype(F)
    check(lambda x: (lnp.exp(x), lnp.exp(x).sum(0), lnp.exp(x) @ x), x)


def large(program, least=1000):
    """Temporaries of many elements."""
    return [b for b in program.buffers if b.kind == "temp" and b.type.size >= least]


def normalized(x, w, scale, shift):
    y = nn.conv(x, w, padding=1)
    zeros = np.zeros(w.shape[-1], F)
    return nn.relu(nn.batch_norm(y, zeros, zeros + 1, scale, shift, training=True)[0])


def normalized_arguments(rng, channels=8):
    return [rng.standard_normal(s).astype(F) for s in ((4, 8, 8, 4), (3, 3, 4, channels), (channels,), (channels,))]


def test_what_cheap_operations_make_of_what_is_read_anyway_is_made_again(rng):
    """Centered and normalized values, the masks of a ReLU: of the convolution's result, wherever they are needed."""
    args = normalized_arguments(rng)
    assert len(large(program_of(normalized, *args))) == 2  # the image with its border, and what the convolution makes of it
    check(normalized, *args)
    check(leptonc.grad(lambda *args: (normalized(*args) ** 2).sum(), argnums=(0, 1, 2, 3)), *args)


def test_products_that_are_summed_up_are_not_stored_behind_a_contraction(rng):
    """What is summed is its result anyway; the mask of a ReLU is smaller than what it is made of, and is stored."""
    def f(x, w, y):
        z = x @ w
        return z.sum(0), (z * y).sum(0), lnp.max(z * y - z, 0)

    args = [rng.standard_normal(s).astype(F) for s in ((60, 40), (40, 50), (60, 50))]
    assert [b.type.shape for b in large(program_of(f, *args))] == [(60, 50)]
    check(f, *args)


def test_a_broadcast_number_is_never_stored(rng):
    """Not for several readers either, as the masks of two ReLUs are, whose loops have nothing else in common."""
    def f(x, w, v, scale, shift):
        return (normalized(normalized(x, w, scale, shift), v, scale, shift) ** 2).sum()

    args = [rng.standard_normal(s).astype(F) for s in ((4, 8, 8, 8), (3, 3, 8, 8), (3, 3, 8, 8), (8,), (8,))]
    program = program_of(leptonc.grad(f, argnums=(0, 1, 2, 3)), *args)
    stages = [stage for call in program.calls for stage in call.kernel.stages]
    assert not [s for stage in stages for s in stage.stores if isinstance(stage.insts[s.value], Const)]


@pytest.mark.parametrize("f", [
    lambda x: ((x[:, None] - x[None]) ** 2).sum(-1), lambda x: lnp.maximum(x[:, None], x[None, :, :]),
    lambda x: lnp.where(x[:, None, None] > x[None, :, None], x[None, None], 1),
], ids=["distances", "maxima", "three"])
def test_pairs_of_the_rows_of_one_array_are_not_stored(rng, f):
    assert len(check(f, rng.standard_normal((7, 3)).astype(F))) == 1


def test_a_depthwise_convolution_has_the_axes_of_what_is_around_it(rng):
    """So a ReLU before it writes into its border, and one behind it runs in its loops."""
    x, w = rng.standard_normal((2, 9, 9, 16)).astype(F), rng.standard_normal((3, 3, 1, 16)).astype(F)
    assert len(check(lambda x, w: nn.relu(nn.conv(nn.relu(x + 1), w, padding=1, groups=16) + 2), x, w)) == 2


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


def test_a_sum_that_only_said_which_of_equal_numbers_leaves_no_fold():
    """All places of a constant array hold the same: the sum that chose one goes, and its axis with it."""
    equal = np.ones(5, np.float32)

    def f(x):
        return x * lnp.take(equal, lnp.sum(x[:, None] > equal, axis=1, dtype=np.int32))

    x = np.linspace(0, 2, 4, dtype=np.float32)
    np.testing.assert_array_equal(leptonc.jit(f)(x), x)
    np.testing.assert_array_equal(leptonc.jit(lambda x: lnp.interp(x, equal, equal))(x), np.interp(x, equal, equal))


def test_a_row_of_a_matrix_and_a_vector_are_made_by_one_kernel(rng):
    """Their shapes differ by an axis of one element."""
    def f(x, w, i):
        row = lax.dynamic_slice(x, (i, 0), (1, 40)).reshape(40)
        return row - lnp.sum(w * w, 0)

    x, w, i = rng.standard_normal((6, 40)), rng.standard_normal((5, 40)), np.array(3)
    assert not large(program_of(f, x, w, i), 10)
    check(f, x, w, i)


def test_substitution_of_few_rows_is_one_kernel(rng):
    """All rows of a column stay in registers."""
    def f(a, b):
        return lax.linalg.triangular_solve(a, b, left_side=True, lower=True)

    a, b = np.tril(rng.standard_normal((8, 8))) + 4 * np.eye(8), rng.standard_normal((8, 100))
    assert len(program_of(f, a, b).calls) == 1
    check(f, a, b)


def test_a_transposition_is_a_kernel_by_itself_where_axes_of_one_element_are_around_it(rng):
    """It goes through memory in squares; a convolution that read its weights across would not."""
    def f(x, w):
        turned = lnp.swapaxes(w.reshape(3, 3, 8, 1, 16), 2, 4).reshape(3, 3, 16, 8)
        return nn.conv(x, turned, padding=1)

    x, w = rng.standard_normal((2, 6, 6, 16)).astype("f"), rng.standard_normal((3, 3, 8, 16)).astype("f")
    assert "transpose" in names(program_of(f, x, w))
    check(f, x, w)
