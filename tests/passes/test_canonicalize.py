"""The sweep over a graph; and what each rule leaves alone (where they apply is in test_rules.py)."""

from __future__ import annotations

import numpy as np
import pytest

from leptonc.ir import op as registry
from leptonc.ir.builder import Builder
from leptonc.ir.graph import Loc
from leptonc.ir.op import Op
from leptonc.ir.types import TensorType, bool_, f32, f64, i32, parse_type
from leptonc.passes.graph.canonicalize import Canonicalize
from leptonc.passes.graph.dce import Dce
from leptonc.passes.graph.rules import RULES
from tests.passes.check import assert_equal_bits, emit, graph_of, ops
from tests.work import assert_near_linear


def full(x, number, dtype=None):
    return x.builder.full(x.type if dtype is None else x.type.with_dtype(dtype), number)


def half_ones(x):
    """A constant that is not one number throughout."""
    return x.builder.constant(np.where(np.arange(x.type.size) % 2, 0, 1).astype(x.dtype.numpy))


ADD, MULTIPLY = "x + 0 => x (integers); x + -0.0 => x", "x * 1 => x"
SELECT = "select(c, x, x) => x; select(true, x, y) => x; select(false, x, y) => y"
REDUCE = "reduce(x) over axes of extent 1 => reshape(x)"
BROADCAST_UNITS = "broadcast(x) that adds axes of extent 1 alone => reshape(x)"
TRANSPOSE_UNITS = "transpose(x) that moves axes of extent 1 alone => reshape(x)"

STAYS = [
    (ADD, lambda x: x + 0.0, ["f64[12]"]),  # -0.0 + 0.0 is 0.0
    (ADD, lambda x: 0.0 + x, ["f32[12]"]),
    (ADD, lambda x: x + 1, ["i32[4]"]),
    (ADD, lambda x: x + half_ones(x), ["i32[4]"]),
    (ADD, lambda x: x + np.nan, ["f64[12]"]),
    ("x - 0 => x", lambda x: x - -0.0, ["f64[12]"]),  # -0.0 - -0.0 is 0.0
    ("x - 0 => x", lambda x: 0.0 - x, ["f64[12]"]),
    ("x - 0 => x", lambda x: 0 - x, ["i64[4]"]),
    (MULTIPLY, lambda x: x * -1.0, ["f64[12]"]),
    (MULTIPLY, lambda x: x * half_ones(x), ["f64[12]"]),
    (MULTIPLY, lambda x: x * np.nextafter(1.0, 2.0), ["f64[12]"]),
    ("x * 0 => 0 (integers)", lambda x: x * 0.0, ["f64[12]"]),  # 0 * inf is NaN
    ("x * 0 => 0 (integers)", lambda x: x * -0.0, ["f32[12]"]),
    ("x / 1 => x", lambda x: 1.0 / x, ["f64[12]"]),
    ("x / 1 => x", lambda x: x / -1.0, ["f64[12]"]),
    ("-(-x) => x", lambda x: -emit(-x, "abs"), ["f64[12]"]),
    ("not(not(x)) => x", lambda x: emit(-emit(x, "not"), "not"), ["i32[4]"]),
    (SELECT, lambda c, x: emit(c, "select", x, -x), ["bool[12]", "f64[12]"]),
    (SELECT, lambda x: emit(emit(half_ones(x), "cast", dtype=bool_), "select", x, -x), ["f64[12]"]),
    ("cast(x) to its own dtype => x", lambda x: emit(emit(x, "cast", dtype=f32), "cast", dtype=f64), ["f64[12]"]),
    ("cast(x) to its own dtype => x", lambda x: emit(emit(x, "cast", dtype=bool_), "cast", dtype=i32), ["i32[4]"]),
    ("reshape(x) to its own shape => x", lambda x: emit(x, "reshape", shape=(4, 3)), ["f64[3,4]"]),
    ("reshape(reshape(x)) => reshape(x)",
     lambda x: emit(-emit(x, "reshape", shape=(4, 3)), "reshape", shape=(2, 6)), ["f64[3,4]"]),
    ("transpose(x) that moves no axis => x", lambda x: emit(x, "transpose", perm=(1, 0)), ["f64[3,3]"]),
    ("transpose(transpose(x)) => transpose(x)",
     lambda x: emit(-emit(x, "transpose", perm=(1, 0)), "transpose", perm=(1, 0)), ["f64[3,4]"]),
    (TRANSPOSE_UNITS, lambda x: emit(x, "transpose", perm=(2, 1, 0)), ["f64[3,1,4]"]),
    ("broadcast(x) to its own shape => x", lambda x: emit(x, "broadcast", shape=(3, 4), dims=(0, 1)), ["f64[3,1]"]),
    (BROADCAST_UNITS, lambda x: emit(x, "broadcast", shape=(1, 3, 2), dims=(1,)), ["f64[3]"]),
    ("broadcast(broadcast(x)) => broadcast(x)",
     lambda x: emit(-emit(x, "broadcast", shape=(2, 3), dims=(1,)), "broadcast", shape=(4, 2, 3), dims=(1, 2)), ["f64[3]"]),
    ("slice(x) of all of x => x", lambda x: emit(x, "slice", start=(11,), size=(12,), step=(-1,)), ["f64[12]"]),
    ("slice(x) of all of x => x", lambda x: emit(x, "slice", start=(1,), size=(11,), step=(1,)), ["f64[12]"]),
    ("slice(x) of all of x => x", lambda x: emit(x, "slice", start=(0, 1), size=(2, 1), step=(1, 1)), ["f64[2,2]"]),
    ("pad(x) by nothing => x", lambda x: emit(x, "pad", low=(-1,), high=(1,), interior=(0,), value=0), ["f64[12]"]),
    ("pad(x) by nothing => x", lambda x: emit(x, "pad", low=(0,), high=(0,), interior=(1,), value=0), ["f64[12]"]),
    ("concatenate(x) => x", lambda x, y: x.builder.emit("concatenate", (x, y), {"axis": 0}), ["f64[12]", "f64[0]"]),
    ("dynamic_update_slice(dynamic_update_slice(x, u, i), v, i) => dynamic_update_slice(x, v, i)",
     lambda x, u, i, j: emit(emit(x, "dynamic_update_slice", u, i), "dynamic_update_slice", -u, j),
     ["f64[12]", "f64[3]", "i64[]", "i64[]"]),
    ("dynamic_slice(dynamic_update_slice(x, u, i), i) => u",
     lambda x, u, i: emit(emit(x, "dynamic_update_slice", u, i), "dynamic_slice", i, size=(2,)), ["f64[12]", "f64[3]", "i64[]"]),
    ("part(joined(x, y)) => x or y", lambda x: emit(x, "part", number=1), ["f64[12,2]"]),
    ("joined(part(x) 0, part(x) 1) => x",
     lambda x: emit(emit(x, "part", number=1), "joined", emit(x, "part", number=0)), ["f64[12,2]"]),
    (REDUCE, lambda x: emit(x, "sum", axes=(1,)), ["f64[12,1]"]),  # 0 + -0.0 is 0.0
    (REDUCE, lambda x: emit(x, "sum", axes=()), ["f32[12]"]),
    (REDUCE, lambda x: emit(x, "reduce_max", axes=(0, 1)), ["f64[1,12]"]),
    (REDUCE, lambda x: emit(x, "prod", axes=(1,)), ["f64[3,0]"]),
]


@pytest.mark.parametrize("equation, f, types", STAYS, ids=[s[0] for s in STAYS])
def test_near_misses_stay(equation, f, types):
    before = graph_of(f, *types)
    after = Canonicalize()(before)
    assert ops(after) == ops(before)
    assert_equal_bits(before, after)


def test_every_rule_has_a_near_miss():
    assert {rule.equation for rules in RULES.values() for rule in rules} == {s[0] for s in STAYS}


@pytest.mark.parametrize("f, types, wanted", [
    (lambda x: emit(x, "sum", axes=(1,)), ["i32[4,1]"], ["reshape"]),
    (lambda x: emit(x, "sum", axes=()), ["i64[4]"], []),
    (lambda x: emit(x, "any", axes=(0, 2)), ["bool[1,4,1]"], ["reshape"]),
    (lambda x: emit(x, "reduce_min", axes=()), ["f32[12]"], []),
    (lambda x: emit(full(x, True, bool_), "select", x, -x), ["f64[12]"], []),
    (lambda x: emit(full(x, False, bool_), "select", x, -x), ["f64[12]"], ["neg"]),
    (lambda x: 0 * x, ["i32[4]"], ["constant", "broadcast"]),
    (lambda x: emit(x, "transpose", perm=(2, 0, 1)), ["f64[3,4,1]"], ["reshape"]),
    (lambda x: emit(x, "transpose", perm=(1, 0)), ["f64[0,5]"], ["transpose"]),
    (lambda x: emit(x, "slice", start=(0, 1), size=(1, 0), step=(-1, 3)), ["f64[1,0]"], []),
    (lambda x: emit(x, "broadcast", shape=(), dims=()), ["f64[]"], []),
    (lambda x: x + -0.0 - 0.0, ["f64[]"], []),
    (lambda x: x * 1, ["f64[0,3]"], []),
], ids=lambda value: getattr(value, "__name__", str(value)))
def test_what_rules_make(f, types, wanted):
    """Of integers, size-1 axes, rank 0 and empty shapes."""
    before = graph_of(f, *types)
    after = Dce()(Canonicalize()(before))
    assert ops(after) == wanted
    assert_equal_bits(before, after)


def test_rules_meet():
    """Each makes the operand that the next one wants, and all go in one sweep."""
    def f(x):
        y = emit(emit(x, "transpose", perm=(1, 0)) * 1.0, "transpose", perm=(1, 0))
        y = emit(emit(emit(emit(y, "neg"), "neg"), "reshape", shape=(12,)) - 0.0, "reshape", shape=(3, 4))
        return emit(emit(y, "pad", low=(0, 0), high=(0, 0), interior=(0, 0), value=0), "cast", dtype=f64) / 1.0

    before = graph_of(f, "f64[3,4]")
    after = Dce()(Canonicalize()(before))
    assert ops(after) == [] and after.outputs == after.inputs
    assert_equal_bits(before, after)


@pytest.mark.parametrize("seed", range(20))
def test_one_sweep_reaches_the_fixed_point(seed):
    rng = np.random.default_rng(seed)
    steps = [
        lambda x: -x, lambda x: x * 1.0, lambda x: x + 0.0, lambda x: x - 0.0, lambda x: x + full(x, 2.0),
        lambda x: emit(x, "transpose", perm=tuple(int(p) for p in rng.permutation(x.type.rank))),
        lambda x: emit(x, "reshape", shape=[(2, 3, 1), (6,), (1, 6), (3, 2)][rng.integers(4)]),
        lambda x: emit(x, "broadcast", shape=(1, *x.shape), dims=tuple(range(1, x.type.rank + 1))),
        lambda x: emit(x, "stop_gradient"), lambda x: emit(full(x, True, bool_), "select", x, x * 0.0),
    ]

    def f(x):
        for _ in range(40):
            x = steps[rng.integers(len(steps))](x)
        return x

    before = graph_of(f, "f64[6]")
    once = Dce()(Canonicalize()(before))
    assert ops(Dce()(Canonicalize()(once))) == ops(once)
    assert_equal_bits(before, once)


def test_interface_is_kept():
    """Inputs, their names, unused ones; an output that is an input or there twice."""
    builder = Builder("f")
    x, y = builder.input(parse_type("f64[3]"), "x"), builder.input(parse_type("i32[]"), "unused")
    before = builder.finish([x * 1.0, x, x * 1.0, y])
    after = Canonicalize()(before)
    assert (after.name, after.input_names, after.input_types) == ("f", ("x", "unused"), before.input_types)
    assert after.output_types == before.output_types and len(set(after.outputs)) == 2
    assert_equal_bits(before, after)


def test_a_new_node_has_the_line_of_the_one_it_replaces():
    lines = iter(range(1, 100))
    builder = Builder("f", lambda: Loc("model.py", next(lines)))
    x = builder.input(parse_type("f64[3,4]"))
    turned = emit(x, "transpose", perm=(1, 0))
    graph = builder.finish([emit(emit(turned, "neg"), "reshape", shape=(12,)), emit(turned, "transpose", perm=(1, 0))])
    lines_of = {node.op: str(node.loc) for node in Dce()(Canonicalize()(graph)).nodes}
    assert lines_of == {"transpose": "model.py:1", "neg": "model.py:2", "reshape": "model.py:3"}


class Twice(Op):
    """An op with a region and two results: the region's, then the same again."""

    name, results = "twice", 2

    def infer(self, *types, regions):
        return regions[0].output_types * 2


@pytest.mark.parametrize("drop", [False, True])
def test_regions_too(monkeypatch, drop):
    monkeypatch.setitem(registry._REGISTRY, "twice", Twice())
    region = graph_of(lambda x: emit(emit(emit(x * 1.0, "neg"), "neg"), "stop_gradient"), "f64[3]")
    builder = Builder("f")
    x = builder.input(TensorType((3,), f64))
    first, _ = builder.emit("twice", (x / 1.0,), regions=(region,))
    after = Dce()(Canonicalize(drop_stop_gradient=drop)(builder.finish([first * 1.0])))
    assert ops(after) == ["twice"] and after.nodes[0].operands == after.inputs
    assert ops(after.nodes[0].regions[0]) == ([] if drop else ["stop_gradient"])


@pytest.mark.parametrize("step", [
    lambda x: x * 1.0 - 0.0, lambda x: -x, lambda x: emit(x, "transpose", perm=(1, 0)),
    lambda x: emit(x, "reshape", shape=x.shape[::-1]), lambda x: emit(x, "exp") + -0.0,
    lambda x: emit(x, "broadcast", shape=x.shape, dims=(0, 1)),
], ids=["identities", "negations", "transposes", "reshapes", "mixed", "broadcasts"])
def test_time_is_near_linear(step):
    """The longer chain is longer than Python's recursion limit."""
    def chain(length):
        def f(x):
            for _ in range(length):
                x = step(x)
            return x

        graph = graph_of(f, "f32[2,3]")
        return lambda: Canonicalize()(graph)

    assert_near_linear(chain, 300, 2_000)
