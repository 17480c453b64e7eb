"""A ReLU behind its pool: fewer elements, the same values and gradients."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc.ir.evaluate import evaluate
from leptonc.passes.graph.autodiff import differentiate
from leptonc.passes.graph.canonicalize import Canonicalize
from leptonc.passes.graph.cse import Cse
from leptonc.passes.graph.dce import Dce
from leptonc.passes.graph.sink_relu import SinkRelu
from tests.passes.check import assert_equal_bits, emit, graph_of, ops
from tests.work import assert_near_linear

SPECIAL = (-np.inf, -2.0, -1.0, -0.0, 0.0, 0.5, 0.5, 2.0, np.inf, np.nan)
ATTRS = {"window": (2,), "stride": (2,), "padding": ((0, 0),)}


def graphs(f, x):
    before = Dce()(Cse()(Canonicalize()(leptonc.make_graph(f)(x))))
    return before, SinkRelu()(before)


def model(**pool):
    def f(x, w):
        y = nn.max_pool(nn.relu(x), **pool)
        return (y * w[:y.shape[1], :y.shape[2]]).sum()

    return f


@pytest.mark.parametrize("pool", [
    {"window": 2}, {"window": 3, "stride": 2}, {"window": 3, "stride": 1, "padding": 1},
    {"window": (2, 3), "stride": (1, 2), "padding": "SAME"},
])
def test_values_and_gradients_are_the_same(rng, pool):
    # few distinct numbers: ties in most windows, zeros of both signs, NaN
    x = rng.choice([-1.0, -0.5, -0.0, 0.0, 0.5, 0.5, 2.0, np.nan], (2, 9, 8, 3), p=[0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.08, 0.02])
    w = rng.standard_normal((9, 8, 3))
    graph = leptonc.make_graph(leptonc.value_and_grad(model(**pool)))(x, w)
    before = Dce()(Cse()(Canonicalize()(graph)))
    after = SinkRelu()(before)
    relu = next(node for node in after.nodes if node.op == "relu")
    assert after.producer[relu.operands[0]].op == "max_pool"
    for a, b in zip(evaluate(before, [x, w]), evaluate(after, [x, w]), strict=True):
        np.testing.assert_array_equal(a, b)
    compiled = driver.compile_program(driver.lower(driver.optimize(graph)))
    for a, b in zip(compiled([x, w]), evaluate(before, [x, w]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("f", [
    lambda x: nn.max_pool(nn.relu(x), 2).sum() + nn.relu(x).sum(),  # the image of the relu is needed itself
    lambda x: nn.max_pool(nn.relu(x), 2).sum() + nn.max_pool(nn.relu(x), 4).sum(),  # two pools
    lambda x: nn.relu(nn.max_pool(x, 2)).sum(),
    lambda x: nn.max_pool(nn.relu(x.astype("i32")), 2).sum(),
])
def test_other_graphs_stay(f):
    before, after = graphs(f, np.ones((1, 8, 8, 2)))
    assert ops(before) == ops(after)


def attributes(window, stride, padding):
    return {"window": window, "stride": stride, "padding": padding}


@pytest.mark.parametrize("attrs", [
    attributes((2, 2), (2, 2), ((0, 0), (0, 0))),
    attributes((3, 3), (1, 1), ((1, 1), (1, 1))),
    attributes((3, 2), (2, 1), ((2, 0), (0, 1))),
    attributes((2, 3), (3, 4), ((1, 0), (0, 2))),  # cells between windows
], ids=lambda a: f"{a['window']}{a['stride']}{a['padding']}")
def test_the_same_bits_for_every_special_value(rng, attrs):
    """Any cotangent, infinite and NaN ones too: only where the mask lets it through may it be seen."""
    shape = (3, 7, 8, 2)
    graph = graph_of(lambda x: emit(emit(x, "relu"), "max_pool", **attrs), f"f32[{','.join(map(str, shape))}]")
    before = Dce()(Cse()(Canonicalize()(differentiate(graph, (0,)))))
    after = SinkRelu()(before)
    assert sinks(after) and not sinks(before)
    for share in (0.02, 0.1, 0.5):  # of NaN, infinities and large numbers; the rest is at most 0
        often = rng.random(shape) < share
        x = np.where(often, rng.choice(SPECIAL, shape), rng.choice(SPECIAL[:5], shape)).astype(np.float32)
        g = rng.choice([*SPECIAL, 1.5, -7.0], before.input_types[1].shape).astype(np.float32)
        with np.errstate(invalid="ignore"):  # inf - inf where windows overlap
            assert_equal_bits(before, after, [x, g])


def sinks(graph):
    """Whether a relu reads a max_pool."""
    pooled = {node.results for node in graph.nodes if node.op == "max_pool"}
    return any(node.op == "relu" and node.operands in pooled for node in graph.nodes)


def test_forward_alone():
    before = graph_of(lambda x: emit(emit(x, "relu"), "max_pool", **ATTRS), "f64[1,12,1]")
    after = SinkRelu()(before)
    assert ops(after) == ["max_pool", "relu"]
    assert_equal_bits(before, after)


def gradient(x, g, mask=("gt", 0.0), other=0.0, attrs=ATTRS):
    """A pool of relu(x) and its gradient, written out."""
    r = emit(x, "relu")
    index = emit(r, "max_pool_index", **ATTRS)
    image = emit(g, "unpool", index, shape=(12,), **attrs)
    compare = emit(r, mask[0], r.builder.full(r.type, mask[1]))
    return r, index, image, emit(compare, "select", image, image.builder.full(image.type, other)), compare


@pytest.mark.parametrize("name, f", [
    ("the index is an output", lambda x, g: (gradient(x, g)[3], gradient(x, g)[1])),
    ("the index is read by something else", lambda x, g: (gradient(x, g)[3], emit(x, "pool_take", gradient(x, g)[1], **ATTRS))),
    ("the image is an output", lambda x, g: (gradient(x, g)[3], gradient(x, g)[2])),
    ("the image is read without the mask", lambda x, g: (gradient(x, g)[3], -gradient(x, g)[2])),
    ("the image is not masked", lambda x, g: gradient(x, g)[2]),
    ("the mask is an output", lambda x, g: (gradient(x, g)[3], gradient(x, g)[4])),
    ("the mask is another comparison", lambda x, g: gradient(x, g, mask=("ge", 0.0))[3]),
    ("the mask compares with another number", lambda x, g: gradient(x, g, mask=("gt", 0.5))[3]),
    ("the rest is not 0", lambda x, g: gradient(x, g, other=1.0)[3]),
    ("the rest is -0.0", lambda x, g: gradient(x, g, other=-0.0)[3]),
    ("the relu is an output", lambda x, g: (gradient(x, g)[3], gradient(x, g)[0])),
    ("the image is of another pool", lambda x, g: gradient(x, g, attrs=attributes((2,), (2,), ((1, 0),)))[3]),
])
def test_near_misses_stay(name, f):
    def both(x, g):
        out = f(x, g)
        return emit(emit(x, "relu"), "max_pool", **ATTRS), *(out if isinstance(out, tuple) else (out,))

    before = Dce()(Cse()(graph_of(both, "f64[1,12,1]", "f64[1,6,1]")))
    after = SinkRelu()(before)
    assert ops(after) == ops(before)
    assert_equal_bits(before, after)


def test_the_gradient_written_out_is_found():
    """What the near misses miss."""
    def both(x, g):
        return emit(emit(x, "relu"), "max_pool", **ATTRS), gradient(x, g)[3]

    before = Dce()(Cse()(graph_of(both, "f64[1,12,1]", "f64[1,6,1]")))
    after = SinkRelu()(before)
    assert sinks(after)
    assert_equal_bits(before, after)


def test_several_relus_in_one_graph():
    """Each is judged on its own: the second pool's relu is an output too."""
    def f(x):
        first = emit(emit(x, "relu"), "max_pool", **ATTRS)
        second = emit(first - 1.0, "relu")
        return emit(second, "max_pool", **ATTRS), second

    before = graph_of(f, "f64[1,12,1]")
    after = SinkRelu()(before)
    assert [o for o in ops(after) if o in ("relu", "max_pool")] == ["max_pool", "relu", "relu", "max_pool"]
    assert_equal_bits(before, after)


def test_second_derivatives_are_the_same(rng):
    def f(x):
        y = emit(emit(x, "relu"), "max_pool", **ATTRS)
        return y * y * y

    once = differentiate(graph_of(f, "f64[1,12,1]"), (0,))
    before = Dce()(Cse()(Canonicalize()(differentiate(once, (0, 1)))))
    arrays = [rng.choice([-1.0, 0.0, 0.5, 2.0], t.shape) for t in before.input_types]
    assert_equal_bits(before, SinkRelu()(before), arrays)


def test_many_pools_in_near_linear_time():
    def pools(length):
        def f(x):
            for _ in range(length):
                x = emit(emit(emit(x, "relu"), "max_pool", **attributes((1,), (1,), ((0, 0),))), "neg")
            return x

        return graph_of(f, "f64[1,4,1]")

    assert ops(SinkRelu()(pools(2_000)))[:2] == ["max_pool", "relu"]
    assert_near_linear(lambda n: partial(SinkRelu(), pools(n)), 500, 2_000)
