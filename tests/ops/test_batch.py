"""Every op's batch rule with every sample and subset of batched operands, against a loop over the examples."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

from leptonc import driver
from leptonc.errors import LeptonError
from leptonc.ir.batching import BatchAxis, Unbatched
from leptonc.ir.builder import Builder
from leptonc.ir.evaluate import evaluate
from leptonc.ir.graph import Graph
from leptonc.ir.op import _REGISTRY, Op, all_ops
from leptonc.ir.types import TensorType, parse_type
from leptonc.ir.verify import verify
from leptonc.ops.elementwise import Elementwise
from leptonc.passes.graph.batch import batch
from tests.ops.sweep import Case, assert_close, cases

EXAMPLES = 3
OPERANDS = 4  # of more operands, subsets of the first ones
COMPILED = 3  # samples of an op that are compiled, those of the highest rank
Flags = tuple[bool, ...]

CASES = [case for case in cases() if case.dtype == "float64" and case.arrays(np.random.default_rng(0))]


def subsets(case: Case) -> list[Flags]:
    """Which operands are batched: every choice but none at all."""
    count = len(case.arrays(np.random.default_rng(0)))
    free = min(count, OPERANDS)
    return [(*flags, *(False,) * (count - free)) for flags in product((True, False), repeat=free) if any(flags)]


def examples(case: Case) -> list[list[np.ndarray]]:
    """Operands that differ from example to example; places that the samples fix are moved on."""
    found = [case.arrays(np.random.default_rng(case.seed + n)) for n in range(EXAMPLES)]
    for n, arrays in enumerate(found[1:], 1):
        for k, (first, array) in enumerate(zip(found[0], arrays)):
            if array.dtype.kind == "i" and np.array_equal(first, array):
                arrays[k] = np.asarray(array + array.dtype.type(n))
    return found


def given(rows: Sequence[Sequence[np.ndarray]], flags: Flags) -> list[np.ndarray]:
    """The operands of the batched graph: those of all examples in front of each other, or the first example's."""
    return [np.stack(column) if flag else column[0] for column, flag in zip(zip(*rows), flags)]


def looped(graph: Graph, rows: Sequence[Sequence[np.ndarray]], flags: Flags) -> list[np.ndarray]:
    """One example after the other, op by op."""
    single = [[row[k] if flag else rows[0][k] for k, flag in enumerate(flags)] for row in rows]
    return [np.stack(column) for column in zip(*(evaluate(graph, arrays) for arrays in single))]


def batched(graph: Graph, flags: Flags) -> Graph:
    """With the batch axis in front of every output."""
    whole, _ = batch(graph, [0 if flag else None for flag in flags], EXAMPLES, outputs=[True] * len(graph.outputs))
    verify(whole)
    return whole


def test_every_op_has_a_rule():
    assert not [op.name for op in all_ops().values() if not op.batches]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_batched_is_looped(case: Case):
    rows = examples(case)
    graph = case.graph(rows[0])
    for flags in subsets(case):
        for got, wanted in zip(evaluate(batched(graph, flags), given(rows, flags)), looped(graph, rows, flags), strict=True):
            assert_close(got, wanted, f"{case} {flags} seed {case.seed}")


def compiled_cases(op: Op) -> list[Case]:
    """Of the elementwise ops, whose rule is one, one sample; else those of the highest rank."""
    own = [case for case in CASES if case.op is op and not any(0 in a.shape for a in case.arrays(np.random.default_rng(0)))]
    own.sort(key=lambda case: -max(a.ndim for a in case.arrays(np.random.default_rng(0))))
    return own[:1 if isinstance(op, Elementwise) else COMPILED]


@pytest.mark.parametrize("name", [name for name, op in all_ops().items() if compiled_cases(op)])
def test_compiled_batched_is_looped(name: str):
    """All subsets of some samples in one program."""
    whole, arrays, wanted, labels = Builder(name), [], [], []
    parts = []
    for case in compiled_cases(all_ops()[name]):
        rows = examples(case)
        graph = case.graph(rows[0])
        for flags in subsets(case):
            part = batched(graph, flags)
            parts.append((part, [whole.input(t) for t in part.input_types]))
            arrays += given(rows, flags)
            found = looped(graph, rows, flags)
            wanted += found
            labels += [f"{case} {flags} seed {case.seed}"] * len(found)
    program = whole.finish([value for part, inputs in parts for value in whole.inline(part, inputs)])
    compiled = driver.compile_program(driver.lower(driver.optimize(program)))
    for got, expected, label in zip(compiled(arrays), wanted, labels, strict=True):
        assert_close(got, expected, label)


@pytest.mark.parametrize("case", [c for c in CASES if not isinstance(c.op, Elementwise)], ids=str)
def test_no_examples_and_two_axes(case: Case):
    """A batch of none, and a batch of batches."""
    rows = examples(case)
    graph = case.graph(rows[0])
    flags = (True,) * len(rows[0])
    none, _ = batch(graph, [0] * len(flags), 0)
    verify(none)
    for got, one in zip(evaluate(none, [np.empty((0, *a.shape), a.dtype) for a in rows[0]]), evaluate(graph, rows[0])):
        assert (got.shape, got.dtype) == ((0, *one.shape), one.dtype)
    inner = batched(graph, flags)
    last = [a.ndim for a in given(rows, flags)]  # the outer axis, behind all others
    outer, axes = batch(inner, last, 2)
    verify(outer)
    assert axes == (0,) * len(graph.outputs)
    turned = [given(rows[k:] + rows[:k], flags) for k in range(2)]
    found = evaluate(outer, [np.stack(column, -1) for column in zip(*turned)])
    for k, arrays in enumerate(turned):
        for got, wanted in zip(found, evaluate(inner, arrays)):
            assert_close(got[k], wanted, f"{case} seed {case.seed}")


def test_an_op_without_a_rule_says_so():
    class ruleless(Op):
        name = "ruleless"

    with pytest.raises(LeptonError, match=r"ruleless: has no batch rule.*fix: give its class a method batch"):
        ruleless().batch(None, (True,))  # type: ignore[arg-type]


class thrice(Op):
    """Three times a region of a constant and a carry, which gives the carry: what a loop asks of a batch rule."""

    name = "thrice"

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        return types[1]

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        constant, carry = arrays
        for _ in range(3):
            (carry,) = evaluate(attrs["regions"][0], [constant, carry])
        return carry

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Any, **attrs: Any) -> Any:
        (region,), carried = attrs["regions"], batched[1]
        body, gives = axis.region(region, batched)
        if gives[0] and not carried:  # what the body gives is what it takes next
            carried = True
        body, gives = axis.region(region, (batched[0], carried), outputs=(carried,))
        assert gives == (carried,)
        start = axis.broadcast(operands[1]) if carried and not batched[1] else operands[1]
        out = start.builder.emit(self, (operands[0], start), {}, regions=(body,))
        return out if carried else Unbatched(out)


@pytest.fixture
def region(monkeypatch: pytest.MonkeyPatch) -> Graph:
    """carry * 2 + constant + psum(carry)"""
    monkeypatch.setitem(_REGISTRY, "thrice", thrice())
    body = Builder("body")
    constant, carry = body.input(parse_type("f64[2]")), body.input(parse_type("f64[2]"))
    total = body.emit("psum", (carry,), {"axis_name": "i", "axis_size": EXAMPLES})
    return body.finish([carry * 2 + constant + total])


@pytest.mark.parametrize("flags", [(True, False), (False, True), (True, True)])
def test_regions_are_batched(region: Graph, flags: Flags):
    """A carry that is not batched at first becomes so; a collective is one over all examples."""
    builder = Builder("loop")
    operands = [builder.input(parse_type("f64[2]")) for _ in range(2)]
    graph = builder.finish([builder.emit("thrice", operands, {}, regions=(region,))])
    rng = np.random.default_rng(5)
    rows = [[rng.standard_normal(2) for _ in range(2)] for _ in range(EXAMPLES)]
    whole, axes = batch(graph, [0 if flag else None for flag in flags], EXAMPLES, "i")
    verify(whole)
    assert axes == (0,)
    constant, carry = (np.stack([row[k] if flag else rows[0][k] for row in rows]) for k, flag in enumerate(flags))
    for _ in range(3):
        carry = carry * 2 + constant + carry.sum(0)
    assert_close(evaluate(whole, given(rows, flags))[0], carry)


def test_a_region_that_names_the_axis_is_batched_without_batched_operands(region: Graph):
    builder = Builder("loop")
    operands = [builder.input(parse_type("f64[2]")) for _ in range(2)]
    graph = builder.finish([builder.emit("thrice", operands, {}, regions=(region,))])
    whole, axes = batch(graph, [None, None], EXAMPLES, "i")
    assert axes == (None,) and "psum" not in str(whole)
    (out,) = evaluate(whole, [np.array([1.0, 2.0]), np.array([0.0, 1.0])])
    carry = np.array([0.0, 1.0])
    for _ in range(3):
        carry = carry * 5 + [1.0, 2.0]
    assert_close(out, carry)
