"""Loops whose rows threads take through all trips, each its own, without a barrier."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import lax, nn
from leptonc import numpy as lnp
from leptonc.codegen.step.build import build_step
from leptonc.codegen.step.step import ControlUnit, Step, Unit
from leptonc.codegen.step.verify import verify_step
from leptonc.errors import IRError
from leptonc.ir.control import Loop
from leptonc.ir.interpret import run_program
from leptonc.target import TARGETS


def normal(*shape: int) -> np.ndarray:
    return (np.random.default_rng(len(shape)).standard_normal(shape) * 0.3).astype(np.float32)


def compiled(f: Any, *args: Any) -> Any:
    return leptonc.jit(f).trace(*args).lower().compile().executable


def loops(step: Step) -> list[Unit]:
    """The units of a step's loops, and of those in them."""
    found = [unit for unit in step.units if isinstance(unit.kernel, Loop)]
    return [*found, *(inner for unit in found for body in schedule(unit).bodies for inner in loops(body))]


def schedule(unit: Unit) -> ControlUnit:
    assert isinstance(unit.schedule, ControlUnit)
    return unit.schedule


def shared(f: Any, *args: Any, target: str = "avx512") -> list[bool]:
    """Of each loop whether its rows are shared; the step has no races."""
    step = build_step(compiled(f, *args).program, TARGETS[target])
    verify_step(step)
    return [schedule(unit).rows is not None for unit in loops(step)]


def network(kind: str, batch: int, hidden: int, **options: Any) -> tuple[Any, ...]:
    """A gradient through a recurrent layer, and its arguments."""
    gates = {"simple_rnn": 1, "lstm": 4, "gru": 3}[kind] * hidden

    def f(x, w, u, b):
        ys, _ = getattr(nn, kind)(x, w, u, b, **options)
        return lnp.sum(ys * ys)

    return leptonc.grad(f, argnums=(0, 1, 2, 3)), normal(batch, 3, 24), normal(24, gates), normal(hidden, gates), normal(gates)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind, batch, hidden", [("lstm", 32, 64), ("gru", 12, 80), ("simple_rnn", 40, 96), ("lstm", 17, 64)])
def test_recurrent_layers_share_rows(kind, batch, hidden, target):
    assert shared(*network(kind, batch, hidden), target=target) == [True, True]


@pytest.mark.parametrize("kind, batch, hidden, options", [
    ("lstm", 32, 64, {}), ("gru", 13, 80, {"reverse": True}), ("simple_rnn", 40, 97, {}),
    ("lstm", 24, 48, {"lengths": np.arange(24) % 4})])
def test_any_number_of_threads_gives_the_same_bits(kind, batch, hidden, options):
    f, *args = network(kind, batch, hidden, **options)
    code = compiled(f, *args)
    one = code.executable(args, nthreads=1)
    for threads in (2, 3, 4, 7):
        for a, b in zip(one, code.executable(args, nthreads=threads), strict=True):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(one, run_program(code.program, args), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def test_a_nested_loop_shares_rows():
    def f(h, xs, w):
        return lax.scan(lambda h, x: lax.scan(lambda h, _: (lnp.tanh(h @ w + x), None), h, None, 4), h, xs)[0]

    args = normal(32, 96), normal(3, 32, 96), normal(96, 96) * 0.2
    assert shared(f, *args) == [False, True]
    with leptonc.disable_jit():
        wanted = f(*args)
    np.testing.assert_allclose(leptonc.jit(f)(*args), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("step", [
    lambda h, w: lnp.tanh(w @ h),  # mixes rows
    lambda h, w: lnp.tanh(h @ w) - lnp.mean(h, 0),
    lambda h, w: lnp.flip(lnp.tanh(h @ w), 0),
    lambda h, w: lnp.tanh(h @ w).T,
    lambda h, w: lax.cond(h[0, 0] > 0, lambda h: lnp.tanh(h @ w), lambda h: h + 1, h),
])
def test_rows_that_depend_on_others_are_not_shared(step):
    args = normal(96, 96), normal(96, 96)
    assert shared(lambda h, w: lax.scan(lambda h, _: (step(h, w), None), h, None, 5)[0], *args) == [False]


def test_what_is_not_worth_it_is_not_shared():
    """A trip of little work; carries of which one has no rows; weights that no core's cache holds."""
    def f(h, w):
        return lax.scan(lambda h, _: (lnp.tanh(h @ w), None), h, None, 100)[0]

    assert shared(f, normal(4, 8), normal(8, 8)) == [False]
    assert shared(lambda h, w: lax.scan(lambda c, _: ((lnp.tanh(c[0] @ w), c[1] + 1), None), (h, 0), None, 9)[0], normal(32, 128),
                  normal(128, 128)) == [False]
    program = compiled(f, normal(64, 300), normal(300, 300)).program
    for size, found in ((1 << 20, True), (1 << 18, False)):
        step = build_step(program, replace(TARGETS["avx512"], l2_bytes=size))
        assert [schedule(unit).rows is not None for unit in loops(step)] == [found]


def test_a_trip_of_little_work_runs_on_one_thread():
    """Barriers of each trip would take longer than threads save."""
    def f(h, w):
        return lax.scan(lambda h, _: (h @ w * lnp.sum(h), None), h, None, 5)[0]

    def parallel(size: int) -> list[bool]:
        step = build_step(compiled(f, normal(1, size), normal(size, size)).program, TARGETS["avx512"])
        verify_step(step)
        return [schedule(unit).parallel for unit in loops(step)]

    assert (parallel(300), parallel(1000)) == ([False], [True])


def test_wrong_rows_are_found():
    step = build_step(compiled(*network("lstm", 32, 64)).program, TARGETS["avx512"])
    (n, unit), *_ = [(n, u) for n, u in enumerate(step.units) if isinstance(u.kernel, Loop)]
    rows = schedule(unit).rows
    assert rows is not None
    first = next(n for n, launch in enumerate(schedule(unit).bodies[0].launches) if len(launch.unit.digits) > 1)
    share = rows.shares[first]
    faults = (replace(share, each=share.each * 2), "are not the"), (replace(share, place=1 - share.place), "race|are not")
    for wrong, what in faults:
        shares = (*rows.shares[:first], wrong, *rows.shares[first + 1:])
        planted = replace(unit, schedule=replace(unit.schedule, rows=replace(rows, shares=shares)))
        with pytest.raises(IRError, match=what):
            verify_step(replace(step, units=(*step.units[:n], planted, *step.units[n + 1:])))
    with pytest.raises(IRError, match="something else"):
        planted = replace(unit, schedule=replace(unit.schedule, rows=replace(rows, shares=rows.shares[1:])))
        verify_step(replace(step, units=(*step.units[:n], planted, *step.units[n + 1:])))


@pytest.mark.parametrize("kind, gates", [("simple_rnn", 1), ("lstm", 4), ("gru", 3)])
def test_what_comes_in_lies_step_by_step(kind, gates):
    """A sequence is multiplied by its weights as it lies, into the order of the steps: no [n, t, gates * hidden] is turned."""
    program = compiled(*network(kind, 16, 48)).program
    shapes = {b.type.shape for b in program.buffers}
    assert (3, 16, gates * 48) in shapes
    assert (16, 3, gates * 48) not in shapes


def test_what_is_empty_stands_beside_rows():
    """A trip that makes an array without an element too, by loops and by a sort."""
    def f(h, e, w):
        return lax.scan(lambda c, _: ((lnp.tanh(c[0] @ w), c[1] + 1), (c[0][:, :0] * 2, lnp.sort(c[1], axis=1))), (h, e), None, 8)

    args = normal(64, 32), normal(64, 0), normal(32, 32)
    assert shared(f, *args) == [False]
    with leptonc.disable_jit():
        wanted = f(*args)
    for a, b in zip(leptonc.tree.leaves(leptonc.jit(f)(*args)), leptonc.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
