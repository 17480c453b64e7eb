"""Computing what is known at compile time: the right bits, and never much data."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from leptonc.ir import op as registry
from leptonc.ir.builder import Builder
from leptonc.ir.graph import Loc
from leptonc.ir.op import Op
from leptonc.ir.types import TensorType, bool_, f32, f64, i32, parse_type
from leptonc.passes.graph.dce import Dce
from leptonc.passes.graph.fold import Fold
from tests.passes.check import SPECIAL, assert_equal_bits, emit, graph_of, ops
from tests.work import assert_near_linear


def folded(f, *types, **options):
    before = graph_of(f, *types)
    after = Dce()(Fold(**options)(before))
    assert_equal_bits(before, after)
    return after


def constant(x, array):
    return x.builder.constant(np.asarray(array))


def iota(x, *shape):
    return x.builder.emit("iota", (), {"shape": shape, "axis": 0, "dtype": f64})


@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "max", "min", "eq", "lt", "mod", "pow"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_special_values_keep_their_bits(op, dtype):
    a, b = (m.ravel().astype(dtype) for m in np.meshgrid(SPECIAL, SPECIAL))
    after = folded(lambda x: (x, emit(constant(x, a), op, constant(x, b))), "f64[]")
    assert ops(after) == ["constant"]


@pytest.mark.parametrize("f, wanted", [
    (lambda x: emit(constant(x, SPECIAL), "cast", dtype=i32), "i32[12]"),
    (lambda x: emit(constant(x, SPECIAL), "isnan"), "bool[12]"),
    (lambda x: emit(constant(x, SPECIAL), "reduce_max", axes=(0,)), "f64[]"),
    (lambda x: emit(constant(x, np.zeros((0, 3), np.float32)), "sum", axes=(0,)), "f32[3]"),
    (lambda x: emit(constant(x, np.zeros((0, 3))), "neg"), "f64[0,3]"),
    (lambda x: emit(constant(x, np.arange(6)), "floordiv", constant(x, [0, 1, -1, 2, 0, -3])), "i64[6]"),
    (lambda x: emit(constant(x, np.uint8([250, 3])), "add", constant(x, np.uint8([10, 1]))), "u8[2]"),
    (lambda x: emit(constant(x, [True, False]), "select", constant(x, [-0.0, 1.0]), constant(x, [2.0, np.nan])), "f64[2]"),
    (lambda x: emit(emit(constant(x, np.arange(6.0)), "reshape", shape=(2, 3)), "transpose", perm=(1, 0)), "f64[3,2]"),
    (lambda x: constant(x, np.float32(1)) + constant(x, np.float32(2)), "f32[]"),
    (lambda x: iota(x, 16), "f64[16]"),
    (lambda x: emit(constant(x, np.float64(3)), "broadcast", shape=(4, 4), dims=()), "f64[4,4]"),
])
def test_becomes_one_constant(f, wanted):
    after = folded(lambda x: (x, f(x)), "f64[]")
    assert ops(after) == ["constant"]
    assert after.output_types[1] == parse_type(wanted)


@pytest.mark.parametrize("f, wanted", [
    (lambda x: emit(constant(x, 3.0), "broadcast", shape=(17,), dims=()), ["constant", "broadcast"]),
    (lambda x: iota(x, 17), ["iota"]),
    (lambda x: iota(x, 1025), ["iota"]),
    (lambda x: emit(constant(x, np.arange(1025.0)), "neg"), ["constant", "neg"]),
    (lambda x: x + constant(x, 1.0), ["constant", "add"]),
    (lambda x: emit(x.builder.full(TensorType((17,), f64), 2.0), "exp"), ["constant", "broadcast", "exp"]),
], ids=lambda value: getattr(value, "__name__", str(value)))
def test_stays(f, wanted):
    assert ops(folded(lambda x: (x, f(x)), "f64[]")) == wanted


def test_a_large_constant_may_make_a_small_one():
    after = folded(lambda x: (x, emit(constant(x, np.arange(5_000.0)), "sum", axes=(0,))), "f64[]")
    assert ops(after) == ["constant"] and after.nodes[0].types[0].shape == ()


@pytest.mark.parametrize("size", [3, 4, 5])
def test_limits_are_options(size):
    after = folded(lambda x: (x, -constant(x, np.arange(float(size)))), "f64[]", max_elements=4)
    assert ops(after) == (["constant"] if size <= 4 else ["constant", "neg"])
    after = folded(lambda x: (x, x.builder.full(TensorType((size,), f64), 1.0)), "f64[]", max_broadcast=4)
    assert ops(after) == (["constant"] if size <= 4 else ["constant", "broadcast"])


def test_chains_fold_through_and_stop_at_inputs():
    def f(x):
        c = constant(x, np.arange(12.0))
        for _ in range(5):
            c = emit(c * c, "tanh")
        return emit(x, "exp") + c

    assert sorted(ops(folded(f, "f64[12]"))) == ["add", "constant", "exp"]


def test_equal_constants_are_one():
    after = folded(lambda x: (x, constant(x, 1.0) + constant(x, 2.0), constant(x, 5.0) - constant(x, 2.0)), "f64[]")
    assert ops(after) == ["constant"]
    after = folded(lambda x: (x, -constant(x, 0.0), constant(x, 0.0) * constant(x, 1.0)), "f64[]")
    assert ops(after) == ["constant", "constant"]  # -0.0 is not 0.0


def test_multiple_uses_and_outputs_keep_their_meaning():
    def f(x):
        c = -constant(x, np.array([1.0, 2.0]))
        return c, c + x, c, emit(c, "cast", dtype=f32), emit(c, "cast", dtype=bool_)

    after = folded(f, "f64[2]")
    assert after.outputs[0] == after.outputs[2]
    assert [str(t) for t in after.output_types] == ["f64[2]", "f64[2]", "f64[2]", "f32[2]", "bool[2]"]


def test_lines_are_kept():
    builder = Builder("f", lambda: Loc("model.py", 7))
    x = builder.input(TensorType((), f64))
    after = Fold()(builder.finish([x + -builder.constant(np.float64(3))]))
    assert {str(node.loc) for node in after.nodes} == {"model.py:7"}


def test_ops_with_regions_are_left_alone(monkeypatch):
    class Call(Op):
        name = "call"

        def infer(self, *types, regions):
            return regions[0].output_types

    monkeypatch.setitem(registry._REGISTRY, "call", Call())
    region = graph_of(lambda x: x + (constant(x, 1.0) + constant(x, 2.0)), "f64[]")
    builder = Builder("f")
    after = Fold()(builder.finish([builder.emit("call", (builder.constant(np.float64(3)),), regions=(region,))]))
    assert ops(after) == ["constant", "call"] and after.nodes[1].regions == (region,)


def long_graph(length):
    def f(x):
        c = constant(x, np.arange(4.0))
        for n in range(length):
            c = emit(c, "sin")
            x = x + float(n)
        return x + c

    return graph_of(f, "f64[4]")


def test_time_is_near_linear():
    """The longer chain is longer than Python's recursion limit."""
    graph = long_graph(2_000)
    assert_near_linear(lambda n: partial(lambda graph: Dce()(Fold()(graph)), long_graph(n)), 300, 2_000)
    after = Dce()(Fold()(graph))
    assert set(ops(after)) == {"constant", "add"}
