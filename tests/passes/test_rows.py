"""Two contractions over the rows of one buffer, in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc import numpy as lnp
from leptonc.driver import Options, compile_program, lower, optimize
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Index, Kernel, Program
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.types import TensorType, f32
from leptonc.passes.loops.coarsen import coarsened, lifted
from leptonc.passes.loops.rows import JoinRows
from leptonc.passes.memory.in_place import in_place

SMALL = JoinRows(least_bytes=0, tile_bytes=16 * 1024, least_blocks=2)


def step(w: Any, m: Any, x: Any, last: Any) -> Any:
    """A dense layer behind another: its weights are read for the input's gradient and updated from their own."""
    def loss(w: Any, x: Any) -> Any:
        return (nn.relu(x @ w) @ last).sum()

    value, (dw, dx) = leptonc.value_and_grad(loss, argnums=(0, 1))(w, lnp.tanh(x))
    m = 0.9 * m + dw * dw
    return w - 0.1 * dw / (lnp.sqrt(m) + 1e-3), m, dx, value


def operands(rng: np.random.Generator, batch: int = 6, rows: int = 96, units: int = 40) -> list[np.ndarray]:
    shapes = (rows, units), (rows, units), (batch, rows), (units, 3)
    w, m, x, last = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    return [w, m * m, x, last]


def before_and_after(monkeypatch: pytest.MonkeyPatch, f: Any, args: Any, pass_: JoinRows = SMALL,
                     donated: dict[int, int] | None = None) -> tuple[Program, Program]:
    """The kernels of ``f`` without the pass and with it."""
    graph = optimize(leptonc.jit(f).trace(*args).graph)
    plain = lower(graph, donated, Options(disable=frozenset({"join-rows"})))
    passes = tuple(pass_ if isinstance(p, JoinRows) else p for p in driver.PROGRAM_PASSES)
    monkeypatch.setattr(driver, "PROGRAM_PASSES", passes)
    return plain, lower(graph, donated)


def joined(program: Program) -> list[Kernel]:
    return [c.kernel for c in program.calls if c.kernel.outer and len(c.kernel.stages) == 2]


@pytest.mark.parametrize("donated", [None, {0: 0, 1: 1}])
@pytest.mark.parametrize("batch", [1, 6, 17])
def test_joined_and_equal(monkeypatch, rng, batch, donated):
    args = operands(rng, batch)
    plain, program = before_and_after(monkeypatch, step, args, donated=donated)
    (kernel,) = joined(program)
    assert len(program.calls) == len(plain.calls) - 1, "no copies, the one kernel instead of two"
    assert kernel.outer[0].extent == 96 // kernel.stages[0].axes[0].extent > 1
    for wanted, got in zip(run_program(plain, args), run_program(program, args)):
        np.testing.assert_array_equal(wanted, got)
    compiled = compile_program(program)
    for wanted, got in zip(step(*args), compiled([a.copy() for a in args])):
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=1e-5)


@pytest.mark.parametrize("change", ["rows without a divisor", "many uses", "too wide", "few blocks", "small"])
def test_not_where_it_does_not_pay(monkeypatch, rng, change):
    args = operands(rng, 6 if change != "many uses" else 80, 97 if change == "rows without a divisor" else 96)
    pass_ = {"too wide": JoinRows(least_bytes=0, tile_bytes=100, most_bytes=200, least_blocks=2),
             "few blocks": JoinRows(least_bytes=0, least_blocks=7), "small": JoinRows()}.get(change, SMALL)
    _, program = before_and_after(monkeypatch, step, args, pass_)
    assert not joined(program)


def test_nothing_is_joined_over_no_elements(monkeypatch, rng):
    def f(w, x, y):
        return w @ x, w @ y

    args = [np.zeros(shape, np.float32) for shape in ((96, 0), (0, 5), (0, 3))]
    _, program = before_and_after(monkeypatch, f, args)
    assert not joined(program)


def test_not_where_one_needs_the_other(monkeypatch, rng):
    def f(w, x):
        y = x @ w  # [5, 40]
        return y, w @ y.T  # over the rows of w, but of what all rows gave

    _, program = before_and_after(monkeypatch, f, operands(rng, 5)[::2])
    assert not joined(program)


def test_what_is_overwritten_is_read_before(monkeypatch, rng):
    def f(w, x, g):
        new = w - x.T @ g
        return new, w @ g.T

    w, _, x, _ = operands(rng)
    args = [w, x, rng.standard_normal((6, 40)).astype(np.float32)]
    plain, program = before_and_after(monkeypatch, f, args, donated={0: 0})
    (kernel,) = joined(program)
    assert len(program.calls) == 1
    (call,) = program.calls
    (last,) = {s.buffer for s in kernel.stages[1].stores}
    names = {number: p.name for p, number in zip(kernel.params, call.args)}
    assert names[program.outputs[0]] == last and in_place(kernel, names[program.inputs[0]], last)
    for wanted, got in zip(run_program(plain, args), run_program(program, args)):
        np.testing.assert_array_equal(wanted, got)


def rows_kernel(reads: Any) -> Kernel:
    """r[i, j] = a[i, j] + a at what ``reads`` gives for (i, j), over blocks of four rows."""
    kb = KernelBuilder("k")
    a, r = kb.input(TensorType((8, 6), f32)), kb.output(TensorType((8, 6), f32))
    i, j = kb.axes((8, 6))
    s = kb.stage([i, j])
    s.store(r, [i, j], s.add(s.load(a, [i, j]), s.load(a, reads(i, j))))
    kernel = lifted(kb.build(), [i])
    return coarsened(kernel, i, 4)[0]


@pytest.mark.parametrize(("reads", "safe"), [
    (lambda i, j: [i, j], True),
    (lambda i, j: [i, Index.of(0)], False),  # a place that another point of the tile overwrites
    (lambda i, j: [Index.of(0), j], False),  # the rows of another tile
])
def test_tiles_in_place(reads, safe):
    assert in_place(rows_kernel(reads), "a0", "r0") is safe


def test_tiles_in_place_only_in_the_last_stage_that_reads():
    kb = KernelBuilder("k")
    a, r, q = kb.input(TensorType((8, 6), f32)), kb.output(TensorType((8, 6), f32)), kb.output(TensorType((8, 6), f32))
    i, j = kb.axes((8, 6))
    for result in (r, q):
        s = kb.stage([i, j])
        s.store(result, [i, j], s.load(a, [i, j]))
    kernel = coarsened(lifted(kb.build(), [i]), i, 4)[0]
    assert not in_place(kernel, "a0", "r0")
    assert in_place(kernel, "a0", "r1")


@pytest.mark.parametrize(("places", "safe"), [
    ([(0, "i"), (1, "i")], True),
    ([(0, "i"), (1, 2)], False),  # a place that every point writes
    ([("i", "i"), (1, "i")], False),  # may be the same
])
def test_several_places_at_once(places, safe):
    """Each point of i exchanges what lies at two places."""
    kb = KernelBuilder("k")
    a, r = kb.input(TensorType((6, 6), f32)), kb.output(TensorType((6, 6), f32))
    (i,) = kb.axes((6,))
    s = kb.stage([i])
    at = [[i if k == "i" else Index.of(k) for k in place] for place in places]
    loads = [s.load(a, index) for index in at]
    for index, value in zip(at, reversed(loads)):
        s.store(r, index, value)
    assert in_place(kb.build(), "a0", "r0") is safe
