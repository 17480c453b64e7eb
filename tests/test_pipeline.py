"""The training step through every stage: each result equals the traced graph's, every text reads back."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

import leptonc
from leptonc import driver, lax, nn, optim, tree
from leptonc import numpy as lnp
from leptonc import target as targets
from leptonc.errors import LeptonError
from leptonc.ir.evaluate import evaluate
from leptonc.ir.interpret import run_program
from leptonc.ir.reader import parse
from leptonc.ir.text import print_graph, print_program
from leptonc.passes.conv import staged_winograd
from leptonc.passes.graph.expand import Expand
from leptonc.passes.loops.derived import DropDerived
from leptonc.passes.loops.lower import lower_graph
from leptonc.passes.loops.rows import JoinRows
from leptonc.passes.loops.scatters import SplitScatters
from leptonc.target import TARGETS
from tests import models
from tests.passes import test_unpool


@pytest.fixture(scope="module")
def graph():
    return leptonc.make_graph(models.step)(*models.arguments())


@pytest.fixture(scope="module")
def inputs():
    return tree.leaves(models.arguments())


@pytest.fixture(scope="module")
def wanted(graph, inputs):
    return evaluate(graph, inputs)


@pytest.fixture(scope="module")
def right():
    """Texts of programs whose code was compared."""
    return set()


def close(got, wanted):
    for a, b in zip(got, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5 * max(1.0, float(np.abs(b).max())))


def _normal(*shapes):
    rng = np.random.default_rng(0)
    return [(rng.standard_normal(shape) * 0.3).astype(np.float32) for shape in shapes]


def _pooled(w1, w2, w3, x):
    h = nn.max_pool(nn.relu(nn.conv(x, w1, padding=1)), 2)
    h = nn.max_pool(nn.relu(nn.conv(h, w2, padding=1)), 2)
    return lnp.mean(nn.softmax(h.reshape((h.shape[0], -1)) @ w3, axis=-1)[:, 0])


def _strided(w1, w2, x):
    return lnp.sum(nn.conv(nn.relu(nn.conv(x, w1, stride=2, padding=1)), w2, stride=2, padding=1) ** 2)


def _deep(w1, w2, x):
    return lnp.mean(nn.relu(nn.conv(nn.relu(nn.conv(x, w1, padding=1)), w2, padding=1)) ** 2)


def _dense(w, v, x):
    return lnp.sum(nn.relu(lnp.tanh(x) @ w) @ v)


def _normalized(w, v, scale, shift, x):
    zeros = np.zeros(8, np.float32)
    for kernel in (w, v):
        x = nn.relu(nn.batch_norm(nn.conv(x, kernel, padding=1), zeros, zeros + 1, scale, shift, training=True)[0])
    return lnp.mean(lnp.mean(x, (1, 2))[:, 0] ** 2)


def _depthwise(w, x):
    return lnp.sum(nn.conv(x, w, padding=1, groups=8) ** 2)


def _generated(w, x):
    return lnp.sum(nn.conv_transpose(x, w, padding="VALID") ** 2)


def _activated(w, v, x):
    return lnp.mean((nn.gelu(x @ w) @ v) ** 2)


def _checkpointed(w, v, x):
    for weight in (w, v):
        x = leptonc.checkpoint(lambda w, x: lnp.tanh(x @ w), policy="dots")(weight, x)
    return lnp.mean(x * x)


def _swapped(x, y):
    return x[::-1] * 2, y + lnp.sum(x)


def _train(loss):
    """Parameters updated by Adam."""
    optimizer = optim.adam(1e-2)

    def step(params, state, x):
        value, grads = leptonc.value_and_grad(lambda params, x: loss(*params, x))(params, x)
        updates, state = optimizer.update(grads, state, params)
        return optim.apply_updates(params, updates), state, value

    return step


# What each program is there for. Together they change at every pass; sizes are the least at which the passes do something.
PROGRAMS = {
    "pooled": (_pooled, _normal((3, 3, 3, 8), (3, 3, 8, 16), (8 * 8 * 16, 8)), _normal((2, 32, 32, 3)),
               {"canonicalize", "cse", "dce", "fold", "sink-relu", "route-gradients", "expand", "split-reductions", "halo", "fuse",
                "tile-windows", "join-rows", "plan-memory"}),
    "strided": (_strided, _normal((3, 3, 3, 8), (3, 3, 8, 8)), _normal((2, 16, 16, 3)), {"split-phases"}),
    "deep": (_deep, _normal((3, 3, 32, 32), (3, 3, 32, 32)), _normal((2, 24, 24, 32)), {"winograd", "winograd-weight-grad"}),
    "checkpointed": (_checkpointed, _normal((8, 8), (8, 8)), _normal((4, 8)), {"inline-calls"}),
    "normalized": (_normalized, _normal((3, 3, 4, 8), (3, 3, 8, 8), (8,), (8,)), _normal((5, 32, 32, 4)),
                   {"factor-sums", "join-moments"}),
    "activated": (_activated, _normal((8, 16), (16, 8)), _normal((32, 8)), {"drop-derived"}),
    "generated": (_generated, _normal((4, 4, 6, 8)), _normal((4, 1, 1, 6)), {"single-positions"}),
    "depthwise": (_depthwise, _normal((3, 3, 1, 8)), _normal((4, 8, 8, 8)), {"write-out-taps"}),
    "staged": (_deep, _normal((3, 3, 16, 24), (3, 3, 24, 16)), _normal((2, 7, 7, 16)), {"spread-winograd"}),
}


@pytest.fixture
def small_sizes(monkeypatch, request):
    """Passes that pay for large operands alone take small ones."""
    if request.node.callspec.params.get("name") == "staged":
        monkeypatch.setattr(staged_winograd, "GAIN", 0)
        monkeypatch.setattr(staged_winograd, "tiled_work", lambda found, weight: inf)
    monkeypatch.setattr(driver, "PROGRAM_PASSES", tuple(DropDerived(least=1) if isinstance(p, DropDerived) else p
                                                        for p in driver.PROGRAM_PASSES))
    passes = tuple(JoinRows(least_bytes=0, tile_bytes=8 * 1024, least_blocks=2) if isinstance(p, JoinRows) else p
                   for p in driver.PROGRAM_PASSES)
    monkeypatch.setattr(driver, "PROGRAM_PASSES", passes)


def _every_pass(graph, inputs, donated):
    """(name, whether it changed something) of each pass; what each gives is compared with the traced graph's results."""
    wanted = evaluate(graph, inputs)
    for step in driver.GRAPH_PASSES:
        before, graph = graph, step(graph)
        yield step.name, before != graph
        if before != graph:
            close(evaluate(graph, inputs), wanted)
    program = lower_graph(Expand()(graph), donated, 0, lambda region, carried: driver.lower(driver.optimize(region), carried))
    close(run_program(program, inputs), wanted)
    for step in driver.PROGRAM_PASSES:
        before, program = program, step(program)
        yield step.name, before != program
        if before != program:
            close(run_program(program, inputs), wanted)
    close(driver.compile_program(program)([a.copy() for a in inputs]), wanted)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_pass_keeps_the_meaning(name, small_sizes):
    loss, params, data, reached = PROGRAMS[name]
    step = _train(loss)
    args = (params, optim.adam(1e-2).init(params), *data)
    donated = {n: n for n in range(len(tree.leaves(args[:2])))}
    changed = {pass_ for pass_, change in _every_pass(leptonc.make_graph(step)(*args), tree.leaves(args), donated) if change}
    assert reached <= changed, reached - changed


def test_unpooled_images_keep_their_meaning(rng):
    args = test_unpool.operands(rng)
    assert "unpool-in-tiles" in {n for n, change in _every_pass(leptonc.make_graph(test_unpool.back)(*args), args, {}) if change}


def test_readers_that_go_before_an_update_keep_their_meaning():
    def f(x, i):
        return x.at[i].set(0.0), lnp.sum(lnp.sin(x))

    x, i = *_normal((60, 8)), np.array(3)
    assert "order-kernels" in {n for n, change in _every_pass(leptonc.make_graph(f)(x, i), [x, i], {0: 0}) if change}


def test_a_donation_that_is_not_safe_is_copied():
    x, y = _normal((6, 8), (6, 8))
    assert "donate" in {n for n, change in _every_pass(leptonc.make_graph(_swapped)(x, y), [x, y], {0: 0, 1: 1}) if change}


def test_floats_of_16_bits_keep_their_meaning():
    x, y = (a.astype(np.float16) for a in _normal((6, 8), (8, 5)))
    graph = leptonc.make_graph(lambda x, y: nn.softmax(x @ y) + 1)(x, y)
    assert {"widen", "take-casts"} <= {n for n, change in _every_pass(graph, [x, y], {}) if change}


def test_complex_numbers_keep_their_meaning():
    x, y = (a + 1j * b for a, b in zip(_normal((4, 6), (6, 3)), _normal((4, 6), (6, 3))))
    graph = leptonc.make_graph(lambda x, y: lnp.abs(x @ y) + lnp.exp(x)[:, :3].real)(x, y)
    assert "split-complex" in {n for n, change in _every_pass(graph, [x, y], {}) if change}


def test_what_leaves_loops_and_calls_keeps_its_meaning():
    def loss(w, xs):
        cell = leptonc.checkpoint(lambda h, x: lnp.tanh(h @ w["h"] + x @ w["x"]))
        h, ys = lax.scan(lambda h, x: (cell(h, x), lnp.sum(h)), lnp.zeros((4, 6), np.float32), xs)
        return lnp.sum(h * h) + lnp.sum(ys)

    w, x, xs = _normal((6, 6), (3, 6), (5, 4, 3))
    args = ({"h": w, "x": x}, xs)
    graph = leptonc.make_graph(leptonc.grad(loss))(*args)
    changed = {n for n, change in _every_pass(graph, tree.leaves(args), {}) if change}
    assert {"hoist-from-loops", "inline-calls"} <= changed


def test_scatters_in_parts_keep_their_meaning(monkeypatch, rng):
    small = tuple(SplitScatters(updates=64, repaid=1) if isinstance(p, SplitScatters) else p for p in driver.PROGRAM_PASSES)
    monkeypatch.setattr(driver, "PROGRAM_PASSES", small)
    args = [*_normal((2, 3)), rng.integers(0, 2, 64), *_normal((64, 3))]
    graph = leptonc.make_graph(lambda x, places, updates: x.at[places].add(updates))(*args)
    assert "split-scatters" in {n for n, change in _every_pass(graph, args, {}) if change}


def test_every_pass_is_reached():
    """No pass is left out above."""
    reached = set[str]().union(*(names for *_, names in PROGRAMS.values())) | {
        "unpool-in-tiles", "donate", "widen", "take-casts", "hoist-from-loops", "inline-calls", "split-complex", "split-scatters",
        "order-kernels"}
    assert reached == set(driver.pipeline_names())


@pytest.mark.parametrize("name", sorted(set(driver.pipeline_names()) - {"plan-memory", "donate", "split-complex"}))
def test_any_pass_can_be_switched_off(graph, inputs, wanted, right, name):
    options = driver.Options(disable=frozenset({name}))
    program = driver.lower(driver.optimize(graph, options), {}, options)
    if str(program) not in right:  # of most passes this program makes no use
        close(driver.compile_program(program)(inputs), wanted)
        right.add(str(program))


def test_any_number_of_passes_can_run(graph, inputs, wanted):
    for limit in range(0, len(driver.pipeline_names()), 3):
        optimized = driver.optimize(graph, driver.Options(bisect_limit=limit))
        close(evaluate(optimized, inputs), wanted)


def test_unknown_pass_is_named_with_near_ones(graph):
    with pytest.raises(LeptonError, match="did you mean fuse"):
        driver.dump_after(graph, {}, "fuze")


def test_dump_after_each_pass(graph):
    """What each pass leaves is read back, all in one compile; a dump is what the last run of a pass leaves."""
    left = {}
    options = driver.Options(observe=lambda step, before, after, seconds: left.update({step.name: after}))
    driver.lower(driver.optimize(graph, options), {}, options)
    assert left.keys() == set(driver.pipeline_names())
    for ir in left.values():
        parse(str(ir))
    for name in ("canonicalize", "expand", "fuse", driver.pipeline_names()[-1]):
        assert driver.dump_after(graph, {}, name) == str(left[name])


def test_texts_read_back(graph):
    optimized = driver.optimize(graph)
    program = driver.lower(optimized)
    assert parse(str(graph)) == graph
    assert parse(str(optimized)) == optimized
    assert str(parse(str(program))) == str(program)
    assert parse(str(program)) == program


def test_compiled_from_text_alone(graph, inputs, wanted):
    program = parse(str(driver.lower(parse(str(graph)))))
    close(driver.compile_program(program)(inputs), wanted)


def test_golden_texts(golden):
    small = leptonc.make_graph(lambda x, w, b: (leptonc.nn.relu(x @ w + b) ** 2).sum())(
        np.zeros((4, 8), np.float32), np.zeros((8, 16), np.float32), np.zeros(16, np.float32))
    optimized = driver.optimize(small)
    golden("dense.traced", print_graph(small, locs=False))
    golden("dense.optimized", print_graph(optimized, locs=False))
    golden("dense.kernels", print_program(driver.lower(optimized), locs=False))


def test_golden_training_step(golden, graph):
    golden("step.traced", print_graph(graph, locs=False))
    optimized = driver.optimize(graph)
    golden("step.optimized", print_graph(optimized, locs=False))
    golden("step.kernels", print_program(driver.lower(optimized), locs=False))


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_target_compiles(graph, target):
    from leptonc.codegen.llvm.assemble import compile_object
    from leptonc.codegen.step.module import emit_program
    from leptonc.codegen.support.threads import support_module

    assert compile_object(emit_program(driver.lower(driver.optimize(graph)), target).text, target)[:4] == b"\x7fELF"
    assert compile_object(support_module(target), target)[:4] == b"\x7fELF"


def test_narrower_targets_give_the_same_results(graph, inputs, wanted):
    from leptonc.target import SSE, host_target

    program = driver.lower(driver.optimize(graph))
    runnable = list(TARGETS.values())[:list(TARGETS).index(host_target().name) + 1]
    assert SSE in runnable
    for target in runnable:
        close(driver.compile_program(program, target)(inputs), wanted)


def test_lines_of_the_user_are_on_every_node(graph):
    lines = {node.loc.file.rsplit("/", 1)[-1] for node in graph.nodes if node.loc}
    assert lines == {"models.py"}
    assert all(node.loc for node in graph.nodes if node.op != "constant")


def test_cost_and_memory_analysis():
    compiled = leptonc.jit(models.step, donate_argnums=(0, 1)).trace(*models.arguments()).lower().compile()
    cost = compiled.cost_analysis()
    x = models.batch()[0]
    first = 2 * x.shape[0] * 10 * 10 * 4 * 27
    assert cost["by_op"]["conv"] > first and cost["flops"] > cost["by_op"]["conv"]
    memory = compiled.memory_analysis()
    donated = sum(a.nbytes for a in tree.leaves(models.arguments()[:2]))
    assert memory.donated_bytes == donated
    assert memory.arena_bytes > 0 and memory.temporaries


def test_the_cost_of_a_loop_is_that_of_its_trips():
    """A recurrent network as a scan takes the operations of the same written out; its gradient too, but for the first trip."""
    def loss(w, x, unroll):
        def cell(h, x):
            h = lnp.tanh(x @ w["x"] + h @ w["h"])
            return lax.cond(h[0, 0] > 0, lambda: h * 2 + 1, lambda: h), None

        return lnp.sum(lax.scan(cell, lnp.zeros((8, 16), np.float32), x, unroll=unroll)[0])

    w, x = {"x": np.ones((4, 16), np.float32), "h": np.ones((16, 16), np.float32)}, np.ones((12, 8, 4), np.float32)
    costs = [[leptonc.jit(f, static_argnums=2).trace(w, x, unroll).lower().cost_analysis() for unroll in (1, True)]
             for f in (loss, leptonc.grad(loss))]
    assert costs[0][0]["flops"] == costs[0][1]["flops"] and costs[0][0]["by_op"] == costs[0][1]["by_op"]
    assert costs[0][0]["transcendentals"] == 12 * 8 * 16 and costs[0][0]["by_op"]["dot_general"] == 2 * 12 * 8 * 16 * (4 + 16)
    product = 2 * 8 * 16 * 16
    assert abs(costs[1][0]["by_op"]["dot_general"] - costs[1][1]["by_op"]["dot_general"]) <= 2 * product
    assert costs[1][0]["unknown_trips"] == 0


def test_the_cost_of_loops_of_unknown_length_is_that_of_a_trip():
    x = np.ones(100, np.float32)
    loop = lambda x: lax.while_loop(lambda c: c[0] < 3, lambda c: lnp.sin(c), x)  # noqa: E731
    cost = leptonc.jit(lambda x: lax.scan(lambda c, _: (loop(c), None), x, None, length=5)[0]).trace(x).lower().cost_analysis()
    assert cost["transcendentals"] == 500 and cost["unknown_trips"] == 1


def test_stages_have_text():
    compiled = leptonc.jit(models.loss).trace(models.init(), *models.batch()).lower().compile()
    for stage, word in (("traced", "graph @loss"), ("optimized", "graph @loss"), ("kernels", "program @loss"),
                        ("step", "step @loss"), ("llvm", "define void @step"), ("asm", "step:")):
        assert word in compiled.as_text(stage)
    with pytest.raises(LeptonError, match="stage="):
        compiled.as_text("nonsense")


def test_cache_sizes_of_a_machine_are_taken_within_bounds(monkeypatch):
    """Virtual machines report anything."""
    measured = targets._measured.__wrapped__
    for found, l1, l2 in (({}, None, None), ({1: 48 << 10, 2: 2 << 20}, 48 << 10, 2 << 20),
                          ({1: 1 << 10, 2: 1 << 30}, 16 << 10, 4 << 20)):
        monkeypatch.setattr(targets, "_cache_sizes", lambda found=found: found)
        got = measured()
        assert got.l1_bytes == (l1 or TARGETS[got.name].l1_bytes) and got.l2_bytes == (l2 or TARGETS[got.name].l2_bytes)
