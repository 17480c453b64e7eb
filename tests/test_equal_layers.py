"""What compiling asks of equal layers it asks once: counted, not timed."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import nn
from leptonc import numpy as lnp
from leptonc.codegen.step import verify
from leptonc.codegen.step.build import build_step
from leptonc.errors import IRError
from leptonc.ir.kernel import Program
from leptonc.lazy import remembered
from leptonc.passes.loops.merge import with_prefix
from leptonc.passes.loops.ranks import Ranks
from leptonc.target import AVX2


def training_step(depth: int) -> Program:
    """Of a network of equal layers."""
    params = [(np.ones((16, 16), np.float32), np.ones(16, np.float32)) for _ in range(depth)]

    def loss(params: Any, x: Any) -> Any:
        for w, b in params:
            x = nn.relu(x @ w + b)
        return x.sum()

    def step(params: Any, x: Any) -> Any:
        return leptonc.tree.map(lambda p, g: p - 0.1 * g, params, leptonc.grad(loss)(params, x))

    program: Program = leptonc.jit(step, donate_argnums=0).trace(params, np.ones((8, 16), np.float32)).lower().program
    return program


def test_items_of_equal_launches_are_verified_once(monkeypatch):
    seen = list[int]()
    monkeypatch.setattr(verify, "_verify_items", lambda access, number: seen.append(number))

    def looks(depth: int) -> tuple[int, int]:
        seen.clear()
        step = build_step(training_step(depth), AVX2)
        verify.verify_step(step)
        return len(seen), len(step.launches)

    (few, launches), (many, more) = looks(6), looks(18)
    assert more >= launches + 12 and many == few <= launches


def test_a_launch_of_a_unit_that_was_verified_on_other_memory_is_verified():
    """Rows are turned round twice, the second time in place: each point overwrites what another one reads."""
    ones = np.ones((64, 600), np.float32)
    program: Program = leptonc.jit(lambda x, y: (lnp.flip(x, 1), lnp.flip(y, 1))).trace(ones, ones).lower().program
    assert len({call.kernel for call in program.calls}) == 1 < len(program.calls)
    verify.verify_step(build_step(program, AVX2))
    last = program.calls[-1].args
    buffers = tuple(replace(b, donated=last[0]) if n == last[-1] else b for n, b in enumerate(program.buffers))
    with pytest.raises(IRError, match=r"overwrites|race"):
        verify.verify_step(build_step(replace(program, buffers=buffers), AVX2))


def test_a_remembered_function_is_asked_once_of_each_value():
    class Value:
        pass

    asked = list[Value]()

    @remembered
    def number(value: Value) -> int:
        asked.append(value)
        return len(asked)

    one, other = Value(), Value()
    assert [number(one), number(other), number(one), number(other)] == [1, 2, 1, 2] and asked == [one, other]


def test_ranges_that_overlap_are_followed_to_their_end(rng):
    """The bound is that of a search through all ranges."""
    for _ in range(20):
        ranks, ranges = Ranks(list(range(40))), {n: (n, n) for n in range(40)}
        for part, n in rng.permutation(list(combinations(range(40), 2)))[:30]:
            if part not in ranges or n not in ranges:
                continue
            ranks.join(int(part), int(n))
            low, high = zip(ranges.pop(part), ranges[n])
            ranges[n] = min(low), max(high)
            for goal in ranges:
                bound, before = ranges[goal][1], None
                while bound != before:
                    before, bound = bound, max([bound, *(high for low, high in ranges.values() if low < bound)])
                assert ranks.bound(int(goal)) == bound


def test_renamed_accesses_share_their_indices():
    """Loads at the axes share them as they came: a body that is renamed again and again does not grow."""
    program = training_step(2)
    stages = [stage for call in program.calls for stage in call.kernel.stages]
    for stage in stages:
        before = {id(i.index) for i in stage.insts if hasattr(i, "buffer")}
        renamed = with_prefix(stage, "p")
        assert len({id(i.index) for i in renamed.insts if hasattr(i, "buffer")}) <= len(before)
        assert with_prefix(with_prefix(stage, "p"), "p") == with_prefix(renamed, "p") != stage
    assert stages
