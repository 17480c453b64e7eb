"""Every rule applies where its equation holds, leaves its near misses alone, and never changes a bit."""

from __future__ import annotations

import numpy as np
import pytest

from leptonc.ir.builder import Builder
from leptonc.ir.types import bool_, f32, f64, parse_type
from leptonc.passes.graph.canonicalize import Canonicalize
from leptonc.passes.graph.cse import Cse
from leptonc.passes.graph.dce import Dce
from leptonc.passes.graph.fold import Fold
from leptonc.passes.graph.rules import RULES
from tests.passes.check import assert_equal_bits, emit, graph_of, ops
from tests.work import assert_near_linear

APPLIES = [
    ("x + 0 => x (integers); x + -0.0 => x", lambda x: x + -0.0, ["f64[12]"]),
    ("x + 0 => x (integers); x + -0.0 => x", lambda x: 0 + x, ["i32[4]"]),
    ("x - 0 => x", lambda x: x - 0.0, ["f64[12]"]),
    ("x * 1 => x", lambda x: 1.0 * x, ["f64[12]"]),
    ("x * 0 => 0 (integers)", lambda x: x * 0, ["i64[4]"]),
    ("x / 1 => x", lambda x: x / 1.0, ["f64[12]"]),
    ("-(-x) => x", lambda x: emit(-x, "neg"), ["f64[12]"]),
    ("not(not(x)) => x", lambda x: emit(emit(x, "not"), "not"), ["bool[4]"]),
    ("select(c, x, x) => x; select(true, x, y) => x; select(false, x, y) => y",
     lambda c, x: emit(c, "select", x, x), ["bool[12]", "f64[12]"]),
    ("select(c, x, x) => x; select(true, x, y) => x; select(false, x, y) => y",
     lambda x: emit(x.builder.full(x.type.with_dtype(bool_), False), "select", x, x * 2), ["f64[12]"]),
    ("cast(x) to its own dtype => x", lambda x: emit(x, "cast", dtype=f64), ["f64[12]"]),
    ("reshape(x) to its own shape => x", lambda x: emit(x, "reshape", shape=(12,)), ["f64[12]"]),
    ("reshape(reshape(x)) => reshape(x)", lambda x: emit(emit(x, "reshape", shape=(3, 4)), "reshape", shape=(12,)), ["f64[12]"]),
    ("transpose(x) that moves no axis => x", lambda x: emit(x, "transpose", perm=(0, 1)), ["f64[3,4]"]),
    ("transpose(transpose(x)) => transpose(x)",
     lambda x: emit(emit(x, "transpose", perm=(1, 0)), "transpose", perm=(1, 0)), ["f64[3,4]"]),
    ("transpose(x) that moves axes of extent 1 alone => reshape(x)", lambda x: emit(x, "transpose", perm=(1, 0)), ["f64[1,12]"]),
    ("broadcast(x) to its own shape => x", lambda x: emit(x, "broadcast", shape=(12,), dims=(0,)), ["f64[12]"]),
    ("broadcast(x) that adds axes of extent 1 alone => reshape(x)",
     lambda x: emit(x, "broadcast", shape=(1, 12), dims=(1,)), ["f64[12]"]),
    ("broadcast(broadcast(x)) => broadcast(x)",
     lambda x: emit(emit(x, "broadcast", shape=(2, 12), dims=(1,)), "broadcast", shape=(2, 12, 3), dims=(0, 1)), ["f64[12]"]),
    ("slice(x) of all of x => x", lambda x: emit(x, "slice", start=(0,), size=(12,), step=(1,)), ["f64[12]"]),
    ("pad(x) by nothing => x", lambda x: emit(x, "pad", low=(0,), high=(0,), interior=(0,), value=0), ["f64[12]"]),
    ("concatenate(x) => x", lambda x: emit(x, "concatenate", axis=0), ["f64[12]"]),
    ("dynamic_update_slice(dynamic_update_slice(x, u, i), v, i) => dynamic_update_slice(x, v, i)",
     lambda x, u, i: emit(emit(x, "dynamic_update_slice", u, i), "dynamic_update_slice", -u, i), ["f64[12]", "f64[3]", "i64[]"]),
    ("dynamic_slice(dynamic_update_slice(x, u, i), i) => u",
     lambda x, u, i: emit(emit(x, "dynamic_update_slice", u, i), "dynamic_slice", i, size=(3,)), ["f64[12]", "f64[3]", "i64[]"]),
    ("part(joined(x, y)) => x or y", lambda x, y: emit(emit(x, "joined", y), "part", number=1), ["f64[12]", "f64[12]"]),
    ("joined(part(x) 0, part(x) 1) => x",
     lambda x: emit(emit(x, "part", number=0), "joined", emit(x, "part", number=1)), ["f64[12,2]"]),
    ("reduce(x) over axes of extent 1 => reshape(x)", lambda x: emit(x, "reduce_max", axes=(1,)), ["f64[12,1]"]),
    ("reduce(x) over axes of extent 1 => reshape(x)", lambda x: emit(x, "prod", axes=()), ["f64[12]"]),
]


@pytest.mark.parametrize("equation, f, types", APPLIES, ids=[a[0] for a in APPLIES])
def test_applies(equation, f, types):
    assert equation in {rule.equation for rules in RULES.values() for rule in rules}
    before = graph_of(f, *types)
    after = Dce()(Canonicalize()(before))
    assert len(after.nodes) < len(Dce()(before).nodes) or ops(after) == ["reshape"]
    assert_equal_bits(before, after)


def test_every_rule_is_tested():
    assert {rule.equation for rules in RULES.values() for rule in rules} == {a[0] for a in APPLIES}


@pytest.mark.parametrize("f", [
    lambda x: x + 0.0, lambda x: x * 0.0, lambda x: x - x, lambda x: x / x, lambda x: 0.0 - x, lambda x: x - -0.0,
    lambda x: x * -1.0, lambda x: emit(x, "sum", axes=()),
    lambda x: 1.0 / x, lambda x: emit(x, "cast", dtype=f32), lambda x: emit(x, "slice", start=(11,), size=(12,), step=(-1,)),
    lambda x: emit(x, "stop_gradient"),
])
def test_near_misses_stay(f):
    before = graph_of(f, "f64[12]")
    after = Canonicalize()(before)
    assert ops(Dce()(after)) == ops(Dce()(before))
    assert_equal_bits(before, after)


def test_stop_gradient_is_dropped_on_request():
    before = graph_of(lambda x: emit(x, "stop_gradient") * 2, "f64[12]")
    assert "stop_gradient" not in ops(Canonicalize(drop_stop_gradient=True)(before))


def test_scalars_are_computed_before_they_are_broadcast():
    def f(x, y):
        a, b = (emit(v, "broadcast", shape=(100, 100), dims=()) for v in (x, y))
        return a * b + a

    after = Dce()(Canonicalize()(graph_of(f, "f64[]", "f64[]")))
    assert ops(after) == ["mul", "add", "broadcast"]


def test_lines_are_kept():
    from leptonc.ir.graph import Loc

    builder = Builder("f", lambda: Loc("model.py", 7))
    x = builder.input(parse_type("f64[3]"))
    graph = builder.finish([emit(emit(x, "reshape", shape=(3, 1)), "reshape", shape=(1, 3))])
    assert [str(node.loc) for node in Canonicalize()(graph).nodes] == ["model.py:7"] * 2


def test_fold_computes_constants_but_not_large_ones():
    def f(x):
        numbers = x.builder.constant(np.arange(12.0))
        large = x.builder.full(parse_type("f64[4096]"), 2.0)
        return x + emit(numbers * numbers, "exp") * 0.5, large + large

    before = graph_of(f, "f64[12]")
    after = Dce()(Fold()(before))
    assert "exp" not in ops(after) and ops(after).count("broadcast") == 1
    assert max(len(n.attributes["value"].data) for n in after.nodes if n.op == "constant") <= 12 * 8
    assert_equal_bits(before, after)


def test_cse_merges_equal_nodes_but_not_signed_zeros():
    def f(x):
        return x * 2 + x * 2, emit(x, "max", x.builder.full(x.type, 0.0)), emit(x, "max", x.builder.full(x.type, -0.0)), 2 * x

    before = graph_of(f, "f64[12]")
    after = Cse()(before)
    assert ops(after).count("mul") == 1 and ops(after).count("max") == 2
    assert_equal_bits(before, after)


def test_dce_drops_what_nothing_needs():
    def f(x):
        emit(x, "exp")
        return x + 1

    assert ops(Dce()(graph_of(f, "f64[12]"))) == ["constant", "broadcast", "add"]


def test_passes_are_near_linear():
    def simplified(length):
        def f(x):
            for n in range(length):
                x = emit(-(x * 1.0 + float(n % 5)), "neg")
            return x

        graph = graph_of(f, "f64[3]")
        return lambda: Dce()(Cse()(Fold()(Canonicalize()(graph))))

    assert_near_linear(simplified, 300, 1_500)


def test_what_stands_twice_is_composed_in_order():
    """With permutations and dimensions that are not their own inverses."""
    def transposes(x):
        return emit(emit(x, "transpose", perm=(1, 2, 0)), "transpose", perm=(0, 2, 1))

    def broadcasts(x):
        return emit(emit(x, "broadcast", shape=(2, 3, 5), dims=(1,)), "broadcast", shape=(5, 2, 4, 3, 5), dims=(1, 3, 4))

    for f, type_, name in ((transposes, "f64[2,3,4]", "transpose"), (broadcasts, "f64[3]", "broadcast")):
        before = graph_of(f, type_)
        after = Dce()(Canonicalize()(before))
        assert ops(after) == [name]
        assert_equal_bits(before, after)


def test_cse_keeps_the_order_of_operands():
    graph = graph_of(lambda x, y: (x - y, y - x, emit(x, "pow", y), emit(y, "pow", x)), "f64[3]", "f64[3]")
    after = Cse()(graph)
    assert ops(after) == ops(graph) and len(set(after.outputs)) == 4
    assert_equal_bits(graph, after)
