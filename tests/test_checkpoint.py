"""checkpoint: the same numbers, less memory, the work done twice and no more; named_scope."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import (
    checkpoint,
    checkpoint_name,
    checkpoint_policies,
    disable_jit,
    grad,
    hessian,
    jit,
    jvp,
    lax,
    named_call,
    named_scope,
    nn,
    remat,
    value_and_grad,
)
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError
from leptonc.ir import parse

POLICIES = [None, checkpoint_policies.nothing_saveable, checkpoint_policies.dots_saveable, checkpoint_policies.everything_saveable]


def layer(w, x):
    return lnp.tanh(lnp.sin(x @ w) * 2 + 1)


def loss(apply, ws, x):
    for w in ws:
        x = apply(w, x)
    return lnp.sum(x * x)


def deep(rng, width=16, rows=512, dtype="f4", layers=6):
    ws = [(rng.standard_normal((width, width)) * 0.2).astype(dtype) for _ in range(layers)]
    return ws, rng.standard_normal((rows, width)).astype(dtype)


def step(apply):
    return jit(lambda ws, x: value_and_grad(lambda ws: loss(apply, ws, x))(ws))


def program(apply, ws, x):
    """The step's kernels with their memory."""
    return step(apply).trace(ws, x).lower().program


@pytest.mark.parametrize("policy", POLICIES)
def test_values_and_gradients_are_those_without(rng, policy):
    ws, x = deep(rng, rows=9, dtype="f8", layers=3)
    plain, kept = step(layer), step(checkpoint(layer, policy=policy))
    with disable_jit():
        eager = kept(ws, x)
    for found in (kept(ws, x), eager):
        for got, wanted in zip([found[0], *found[1]], [plain(ws, x)[0], *plain(ws, x)[1]]):
            np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-13)


def test_activations_are_not_kept(rng):
    """Plain: two intermediates of each layer. Nothing saved: its input; dots: its product as well, and a layer's rest at a time."""
    ws, x = deep(rng)
    arena = {p: program(checkpoint(layer, policy=p), ws, x).arena_bytes for p in POLICIES}
    merged, plain = (program(apply, ws, x).arena_bytes for apply in (checkpoint(layer, prevent_cse=False), layer))
    activation = x.nbytes
    assert arena[None] == arena["nothing"] <= 10 * activation < plain
    assert arena[None] < arena["dots"] <= plain + 1.01 * activation and arena["everything"] == plain
    assert plain * 0.9 < merged
    compiled = step(checkpoint(layer)).compiled_for(ws, x)
    assert compiled.memory_analysis().arena_bytes <= arena[None] + 4096


def products(apply, ws, x):
    """How many products of matrices a step does, and how many sines."""
    graph = step(apply).trace(ws, x).lower().graph
    return [sum(n.op == op for n in graph.nodes) for op in ("dot_general", "sin")]


def test_what_is_computed_again(rng):
    """Forward 6 products, backward 6 + 5 (the first input needs no gradient); recomputed 6 where they are not saved."""
    ws, x = deep(rng)
    assert products(layer, ws, x) == [17, 6]
    assert products(checkpoint(layer), ws, x) == [23, 12]
    assert products(checkpoint(layer, policy="dots"), ws, x) == [17, 12]
    assert products(checkpoint(layer, prevent_cse=False), ws, x) == [17, 6]


def test_recomputation_survives_to_the_kernels(rng):
    """No pass behind the graph's joins it with the first: each sine stands in two kernels."""
    ws, x = deep(rng)
    for apply, count in ((layer, 6), (checkpoint(layer), 12)):
        sines = [c for c in program(apply, ws, x).calls for s in c.kernel.stages for i in s.insts if getattr(i, "op", "") == "sin"]
        assert len(sines) == count


def test_a_gradient_alone_computes_once():
    """Nothing is done in a forward pass that nobody reads."""
    graph = jit(grad(checkpoint(lambda x: lnp.sum(lnp.sin(lnp.exp(x)))))).trace(np.ones(40)).lower().graph
    assert [n.op for n in graph.nodes].count("exp") == 1


def test_networks_with_convolutions(rng):
    def block(w, x):
        return nn.relu(nn.conv(x, w, padding="SAME"))

    ws = [rng.standard_normal((3, 3, 4, 4)) * 0.2 for _ in range(3)]
    x = rng.standard_normal((2, 8, 8, 4))
    wanted = step(block)(ws, x)
    for policy in POLICIES[1:3]:
        got = step(checkpoint(block, policy=policy))(ws, x)
        for a, b in zip([got[0], *got[1]], [wanted[0], *wanted[1]]):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


def test_inside_and_around_other_transformations(rng):
    x, t = rng.standard_normal(4), rng.standard_normal(4)
    f = lambda x: lnp.sum(lnp.tanh(lnp.sin(x) * x) ** 2)  # noqa: E731
    for policy in POLICIES[1:3]:
        g = checkpoint(f, policy=policy)
        inner = lambda x, p=policy: lnp.sum(checkpoint(lambda x: checkpoint(lnp.sin)(x) * x, policy=p)(x) ** 2)  # noqa: E731
        for run in (lambda h: h, jit):
            np.testing.assert_allclose(run(hessian(g))(x), hessian(f)(x), rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(run(lambda x, t, g=g: jvp(g, (x,), (t,)))(x, t), jvp(f, (x,), (t,)), rtol=1e-12)
            np.testing.assert_allclose(run(grad(lambda x, g=g: grad(g)(x)[0]))(x), hessian(f)(x)[0], rtol=1e-10, atol=1e-12)
            np.testing.assert_allclose(run(checkpoint(grad(f), policy=policy))(x), grad(f)(x), rtol=1e-12)
            np.testing.assert_allclose(run(grad(inner))(x), grad(lambda x: lnp.sum((lnp.sin(x) * x) ** 2))(x), rtol=1e-12)
            np.testing.assert_allclose(run(leptonc.vmap(grad(g)))(np.stack([x, t]))[1], grad(f)(t), rtol=1e-12)


@pytest.mark.parametrize("policy, saved", [(None, 1), ("dots", 2), ("dots_with_no_batch_dims", 2), ("everything", 3)])
def test_what_a_loop_saves_of_a_checkpoint(rng, policy, saved):
    """Of each trip its carry, and what the policy says; its gradient is that of the trips written out."""
    w, xs, h = rng.standard_normal((8, 8)), rng.standard_normal((5, 8)), rng.standard_normal(8)
    cell = checkpoint(lambda h, x: lnp.tanh(lnp.sin(w @ lnp.sin(h) + x)), policy=policy)

    def run(h, unroll=1):
        return lnp.sum(lax.scan(lambda h, x: (cell(h, x), None), h, xs, unroll=unroll)[0])

    forward = next(n for n in jit(grad(run)).trace(h).lower().graph.nodes if n.op == "scan")
    assert sum(t.shape == (5, 8) for t in forward.types) == saved
    np.testing.assert_allclose(grad(run)(h), grad(lambda h: run(h, True))(h), rtol=1e-12)
    np.testing.assert_allclose(jit(hessian(run))(h), hessian(lambda h: run(h, True))(h), rtol=1e-10)
    push = leptonc.linear_transpose(lambda t: checkpoint(lambda t: w @ w @ t, policy=policy)(t), h)
    np.testing.assert_allclose(push(h)[0], w.T @ w.T @ h, rtol=1e-12)


def test_products_with_batch_axes_are_no_products_with_weights(rng):
    ws, x = rng.standard_normal((3, 4, 4)), rng.standard_normal((3, 4, 4))
    for given, by, counts in ((ws, x, [2, 3]), (ws[0], x[0], [2, 2])):
        for policy, count in zip(("dots", "dots_with_no_batch_dims"), counts):
            f = checkpoint(lambda x, given=given: lnp.sin(given @ x), policy=policy)
            text = jit(value_and_grad(lambda x, f=f: lnp.sum(f(x)))).trace(by).lower().as_text("optimized")
            assert text.count("= dot_general") == count


def test_closures_static_arguments_and_trees(rng):
    x = rng.standard_normal(3)

    with pytest.raises(ArgumentError, match="static_argnums"):
        jit(checkpoint(lnp.sin, static_argnums=3))(x)

    g = remat(lambda d, power, scale: d["x"] ** power * scale * w[0], static_argnums=1)
    w = (2.0,)

    def outer(w, x):
        inner = remat(lambda d, power: {"out": d["x"] ** power * w}, static_argnums=1)
        return lnp.sum(inner({"x": x}, 3)["out"])

    np.testing.assert_allclose(jit(grad(outer))(2.0, x), np.sum(x**3))
    np.testing.assert_allclose(jit(grad(outer, 1))(2.0, x), 6 * x**2)
    np.testing.assert_allclose(grad(lambda x: lnp.sum(g({"x": x}, 2, scale=x)))(x), 6 * x**2)
    np.testing.assert_array_equal(g({"x": x}, 2, 1), 2 * x**2)


def test_integers_pass_by():
    f = checkpoint(lambda x, n: (x * n, n + 1))
    value, gradient = jit(lambda x, n: value_and_grad(lambda x: f(x, n)[0] * f(x, n)[1])(x))(2.0, 3)
    assert value == 24 and gradient == 12


def test_text_of_a_checkpoint_parses_back(rng):
    graph = leptonc.make_graph(grad(lambda x: lnp.sum(checkpoint(lnp.sin)(lnp.cos(x)))))(np.ones(3))
    assert parse(str(graph)) == graph and str(parse(str(graph))) == str(graph)
    assert "checkpoint_call" in str(graph)


def test_a_policy_must_be_known():
    with pytest.raises(ArgumentError, match="dots_saveable"):
        checkpoint(lnp.sin, policy="most")
    with pytest.raises(ArgumentError, match="must be a function"):
        checkpoint(3)


def test_scopes_show_in_texts_and_change_no_code():
    def model(x):
        with named_scope("block"):
            y = dense(x)
        return y * 2

    @named_scope("dense")
    def dense(x):
        return lnp.sin(x)

    x = np.ones(8)
    text = jit(model).trace(x).as_text()
    graph = parse(text)
    assert '"block/dense")' in text and str(graph) == text
    assert [n.loc.scope for n in graph.nodes if n.op == "sin"] == ["block/dense"]
    bare = jit(lambda x: lnp.sin(x) * 2).trace(x).graph
    assert bare.nodes == graph.nodes
    gradient = jit(grad(lambda x: lnp.sum(model(x)))).trace(x).graph
    assert {n.loc.scope for n in gradient.nodes if n.op == "cos"} == {"block/dense"}
    assert "[block/dense]" in jit(model).compiled_for(x).as_text("step")
    with pytest.raises(ArgumentError, match="must be a string"), named_scope(3):
        pass



def test_named_calls():
    """A function in a scope of its own name, or of another."""
    def dense(x, *, scale=1.0):
        return lnp.sin(x) * scale

    for named, scope in ((named_call(dense), "dense"), (named_call(dense, name="head"), "head")):
        graph = jit(lambda x, named=named: named(x, scale=2.0)).trace(np.ones(8)).graph
        assert [n.loc.scope for n in graph.nodes if n.op == "sin"] == [scope] and named.__name__ == "dense"
    for bad in (lambda: named_call(dense, name=3), lambda: named_call(dense, name=""), lambda: named_call(3)):
        with pytest.raises(ArgumentError, match="named_call: name"):
            bad()


def named(w, x):
    h = checkpoint_name(lnp.tanh(x @ w), "h")
    g = checkpoint_name(lnp.sin(h), "g")
    return lnp.sum(lnp.exp(g) @ w)


BY_NAMES = {
    "only h": (checkpoint_policies.save_only_these_names("h"), [1, 2, 2, 6]),
    "only g": (checkpoint_policies.save_only_these_names("g"), [1, 1, 2, 6]),  # the sine's slope wants what made it
    "all but g, of names": (checkpoint_policies.save_any_names_but_these("g"), [1, 2, 2, 6]),
    "all but g": (checkpoint_policies.save_anything_except_these_names("g"), [1, 1, 1, 6]),
    "dots or g": (checkpoint_policies.save_from_both_policies("dots", checkpoint_policies.save_only_these_names("g")),
                  [2, 1, 2, 6]),
    "moved": (checkpoint_policies.save_and_offload_only_these_names(
        names_which_can_be_saved=["h"], names_which_can_be_offloaded=["g"], offload_src="device", offload_dst="pinned_host"),
              [1, 1, 2, 6]),
    "all": (checkpoint_policies.save_from_both_policies("everything", ("only", "h")), [1, 1, 1, 6]),
    "none": (None, [2, 2, 2, 7]),
}


@pytest.mark.parametrize("which", BY_NAMES)
def test_policies_of_names(rng, which):
    """How many tanh, sin, exp and products a step has: what is not saved is computed twice."""
    policy, counts = BY_NAMES[which]
    w, x = rng.standard_normal((4, 4)), rng.standard_normal((5, 4))
    run = jit(value_and_grad(checkpoint(named, policy=policy), (0, 1)))
    graph = run.trace(w, x).lower().graph
    assert [sum(n.op == op for n in graph.nodes) for op in ("tanh", "sin", "exp", "dot_general")] == counts
    assert not any(n.op == "checkpoint_name" for n in graph.nodes)
    wanted = value_and_grad(named, (0, 1))(w, x)
    for got, value in zip([run(w, x)[0], *run(w, x)[1]], [wanted[0], *wanted[1]]):
        np.testing.assert_allclose(got, value, rtol=1e-12)


def test_a_policy_of_names_is_part_of_the_text(rng):
    w, x = rng.standard_normal((4, 4)), rng.standard_normal((5, 4))
    graph = leptonc.make_graph(checkpoint(named, policy=BY_NAMES["dots or g"][0]))(w, x)
    assert 'policy = ("either", "dots", ("only", "g"))' in str(graph)
    assert str(parse(str(graph))) == str(graph)


@pytest.mark.parametrize("by_rule", [False, True])
def test_names_in_loops_and_rules(rng, by_rule):
    """Layers in a scan, of which attention has a rule of its own that names what it keeps: that is stacked, and nothing else is."""
    def attention(x):
        scores = lnp.exp(x * 0.1)
        return checkpoint_name(scores, "scores") * x

    ruled = leptonc.custom_vjp(attention)

    def fwd(x):
        scores = checkpoint_name(lnp.exp(x * 0.1), "scores")
        return scores * x, (scores, x)

    ruled.defvjp(fwd, lambda kept, g: (g * kept[0] * (1 + 0.1 * kept[1]),))
    apply = ruled if by_rule else attention
    ws, x = rng.standard_normal((5, 8, 8)) * 0.3, rng.standard_normal((16, 8))

    def run(ws, policy):
        layer = checkpoint(lambda x, w: (apply(lnp.tanh(x @ w)), None), policy=policy)
        return lnp.sum(lax.scan(layer, x, ws)[0] ** 2)

    def stacked(policy):
        graph = jit(grad(lambda ws: run(ws, policy))).trace(ws).lower().graph
        forward = next(n for n in graph.nodes if n.op == "scan")
        return sum(t.shape == (5, 16, 8) for t in forward.types), sum(n.op == "exp" for n in _all_nodes(graph))

    assert stacked(None) == (1, 2)
    assert stacked(checkpoint_policies.save_only_these_names("scores")) == (2, 1)
    assert stacked(checkpoint_policies.save_only_these_names("another")) == (1, 2)
    wanted = grad(lambda ws: run(ws, "everything"))(ws)
    for policy in (None, checkpoint_policies.save_only_these_names("scores")):
        np.testing.assert_allclose(jit(grad(lambda ws, p=policy: run(ws, p)))(ws), wanted, rtol=1e-10, atol=1e-12)


def _all_nodes(graph):
    for node in graph.nodes:
        yield node
        for region in node.regions:
            yield from _all_nodes(region)


def test_names_go_through_transformations(rng):
    x, t = rng.standard_normal(4), rng.standard_normal(4)
    f = lambda x: checkpoint_name({"a": lnp.sin(x), "n": 3}, "s")["a"] ** 2  # noqa: E731
    np.testing.assert_allclose(f(x), np.sin(x) ** 2)
    np.testing.assert_allclose(jit(lambda x, t: jvp(f, (x,), (t,)))(x, t)[1], np.sin(2 * x) * t)
    np.testing.assert_allclose(jit(leptonc.vmap(grad(f)))(x), np.sin(2 * x))
    np.testing.assert_allclose(hessian(lambda x: f(x).sum())(x), np.diag(2 * np.cos(2 * x)), atol=1e-12)


def test_what_is_no_name_or_policy():
    with pytest.raises(ArgumentError, match="checkpoint_name: the name 3 must be a string"):
        checkpoint_name(1.0, 3)
    with pytest.raises(ArgumentError, match=r"save_only_these_names: the name .* must be a string"):
        checkpoint_policies.save_only_these_names(["a", "b"])
    for wrong in ("dot", ("some", "a"), lambda *_: True):
        with pytest.raises(ArgumentError, match=r"checkpoint: policy=.* must be one of leptonc.checkpoint_policies"):
            checkpoint(named, policy=wrong)
    with pytest.raises(ArgumentError, match="save_from_both_policies: policy_2=3"):
        checkpoint_policies.save_from_both_policies("dots", 3)
