"""ONNX's own node tests, compiled: no wrong value, and what is not imported is so for a reason that is named here."""

from __future__ import annotations

import functools

import pytest

pytest.importorskip("onnx", minversion="1.19")

from tests.peers.onnx.cases import Outcome, is_expanded, node_cases, outcome

NOT_IMPORTED = {"strings", "op ImageDecoder", "random numbers of another generator"}
CASES = [case for case in node_cases() if not is_expanded(case)]
OPS = sorted({case.model.graph.node[0].op_type for case in CASES})


@functools.cache
def judged(op: str) -> tuple[Outcome, ...]:
    return tuple(outcome(case) for case in CASES if case.model.graph.node[0].op_type == op)


@pytest.mark.parametrize("op", OPS)
def test_nodes(op):
    assert not [o for o in judged(op) if o.kind in ("wrong", "missing")]
    assert not [o for o in judged(op) if o.kind == "not imported" and o.reason not in NOT_IMPORTED]


def test_nine_of_ten_are_right():
    found = [o for op in OPS for o in judged(op)]
    assert sum(o.kind == "right" for o in found) >= 0.9 * len(found)
    assert {o.name for o in found if o.kind == "rounded"} <= {c.name for c in CASES if "attention" in c.name or "dft" in c.name}
