"""Ops on floats of 16 bits become ops on f32 between casts; what needs no rounding is not cast back and forth."""

from __future__ import annotations

from leptonc.ir.op import get_op
from leptonc.passes.graph.dce import Dce
from leptonc.passes.graph.widen import Widen
from tests.passes.check import assert_equal_bits, graph_of, ops


def widened(f, *types):
    before = graph_of(f, *types)
    after = Dce()(Widen()(before))
    assert_equal_bits(before, after)
    return after


def test_an_op_is_one_on_f32_between_casts():
    after = widened(lambda x, y: x * y, "f16[12]", "f16[12]")
    assert ops(after) == ["cast", "cast", "mul", "cast"]
    assert [str(n.types[0]) for n in after.nodes] == ["f32[12]", "f32[12]", "f32[12]", "f16[12]"]


def test_each_op_is_rounded():
    assert ops(widened(lambda x, y: x * y + x, "f16[12]", "f16[12]")) == ["cast", "cast", "mul", "cast", "cast", "add", "cast"]


def test_what_is_exact_is_not_rounded():
    after = widened(lambda x: get_op("exp")(-get_op("relu")(x)), "f16[12]")
    assert ops(after) == ["cast", "relu", "neg", "exp", "cast"]


def test_moves_and_casts_stay_as_they_are():
    after = widened(lambda x: get_op("cast")(get_op("transpose")(x, perm=(1, 0)), dtype=x.dtype), "f16[3,4]")
    assert ops(after) == ["transpose", "cast"]


def test_a_graph_without_them_is_left_alone():
    graph = graph_of(lambda x: x * x, "f32[3]")
    assert Widen()(graph) is graph
