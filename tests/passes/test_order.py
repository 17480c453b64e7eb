"""The order of kernels: what depends on what stays after it, and intermediates go early."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import lax, nn, optim
from leptonc import numpy as lnp
from leptonc.driver import Options, lower, optimize
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Buffer, Call, Kernel, Program
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.types import TensorType, f32
from leptonc.passes.memory.order import OrderKernels

SMALL, LARGE = TensorType((4,), f32), TensorType((64,), f32)


def kernel(name: str, operands: list[TensorType], result: TensorType) -> Kernel:
    """First elements of the operands summed."""
    b = KernelBuilder(name)
    sources = [b.input(type_) for type_ in operands]
    out = b.output(result)
    (axis,) = b.axes(result.shape)
    s = b.stage([axis])
    total = s.const(1.0, f32)
    for source in sources:
        total = s.add(total, s.load(source, [0]))
    s.store(out, [axis], total)
    return b.build()


def program(buffers: dict[str, tuple[TensorType, str]], calls: list[tuple[str, list[str], str]],
            donated: dict[str, str] | None = None) -> Program:
    """``calls``: name, operands, result."""
    number = {name: n for n, name in enumerate(buffers)}
    made = tuple(Buffer(type_, kind, donated=number[donated[name]] if donated and name in donated else None)
                 for name, (type_, kind) in buffers.items())
    def call(name: str, operands: list[str], result: str) -> Call:
        types = [buffers[o][0] for o in operands]
        return Call(kernel(name, types, buffers[result][0]), (*(number[o] for o in operands), number[result]))

    kinds = [kind for _, kind in buffers.values()]
    return Program("p", made, tuple(call(*c) for c in calls), tuple(n for n, k in enumerate(kinds) if k == "input"),
                   tuple(n for n, k in enumerate(kinds) if k == "output"))


def names(program: Program) -> list[str]:
    return [call.kernel.name for call in program.calls]


def test_what_frees_moves_up():
    p = program({"x": (LARGE, "input"), "t": (LARGE, "temp"), "u": (LARGE, "temp"), "r": (SMALL, "output"), "s": (SMALL, "output")},
                [("make_t", ["x"], "t"), ("make_u", ["x"], "u"), ("end_u", ["u"], "s"), ("end_t", ["t"], "r")])
    assert names(OrderKernels()(p)) == ["make_t", "end_t", "make_u", "end_u"]


def test_what_takes_more_than_it_frees_stays():
    p = program({"x": (LARGE, "input"), "t": (SMALL, "temp"), "u": (LARGE, "temp"), "r": (SMALL, "output"), "s": (SMALL, "output")},
                [("make_t", ["x"], "t"), ("other", ["x"], "s"), ("make_u", ["t"], "u"), ("end_u", ["u"], "r")])
    assert names(OrderKernels()(p)) == ["make_t", "other", "make_u", "end_u"]


def test_the_last_of_two_readers_frees():
    p = program({"x": (LARGE, "input"), "t": (LARGE, "temp"), "u": (SMALL, "temp"), "r": (SMALL, "output"), "s": (SMALL, "output"),
                 "q": (SMALL, "output")},
                [("make_t", ["x"], "t"), ("read_t", ["t"], "u"), ("other", ["x"], "s"), ("end_u", ["u"], "q"),
                 ("end_t", ["t"], "r")])
    # end_t takes nothing, and lets read_t be the last to hold t
    assert names(OrderKernels()(p)) == ["make_t", "end_t", "read_t", "end_u", "other"]


def test_readers_of_what_is_overwritten_come_first():
    p = program({"w": (LARGE, "input"), "t": (LARGE, "temp"), "n": (LARGE, "output"), "r": (SMALL, "output")},
                [("make_t", ["w"], "t"), ("read_w", ["w"], "r"), ("update", ["t", "w"], "n")], donated={"n": "w"})
    assert names(OrderKernels()(p)) == ["make_t", "read_w", "update"]
    free = program({"w": (LARGE, "input"), "t": (LARGE, "temp"), "n": (LARGE, "output"), "r": (SMALL, "output")},
                   [("make_t", ["w"], "t"), ("read_w", ["w"], "r"), ("update", ["t", "w"], "n")])
    assert names(OrderKernels()(free)) == ["make_t", "update", "read_w"]


@pytest.mark.parametrize("donate", [False, True])
def test_a_training_step_holds_less_and_is_the_same(donate, rng):
    params = [(rng.standard_normal((3, 3, *c)) * 0.1).astype(np.float32) for c in ((8, 16), (16, 16), (16, 8))]
    x = rng.standard_normal((4, 12, 12, 8)).astype(np.float32)
    optimizer = optim.sgd(0.1, momentum=0.9)

    def step(params: Any, state: Any, x: Any) -> Any:
        def loss(params: Any) -> Any:
            y = x
            for w in params:
                y = nn.relu(nn.conv(y, w, padding="SAME"))
            return (y * y).mean()

        value, grads = leptonc.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return optim.apply_updates(params, updates), state, value

    args = params, optimizer.init(params), x
    graph = optimize(leptonc.jit(step).trace(*args).graph)
    donated = {n: n for n in range(3)} if donate else None
    plain = lower(graph, donated, Options(disable=frozenset({"order-kernels"})))
    ordered = lower(graph, donated)
    assert ordered.arena_bytes < plain.arena_bytes and len(ordered.calls) == len(plain.calls)
    flat = [np.asarray(a) for a in leptonc.tree.leaves(args)]
    for a, b in zip(run_program(plain, flat), run_program(ordered, flat), strict=True):
        np.testing.assert_array_equal(a, b)


def test_carries_that_are_kept_are_copied_before_they_are_overwritten():
    """... so that the next carry is written in its place, and not copied there."""
    f = leptonc.jit(lambda c, xs: lax.scan(lambda c, x: (lnp.tanh(c * x), c), c, xs))
    found = f.compiled_for(np.ones((8, 64), "f"), np.ones((5, 8, 64), "f"))
    loop = next(call.kernel for call in found.executable.program.calls if call.kernel.name == "scan")
    assert [call.kernel.name for call in loop.bodies[0].calls] == ["copy", "mul+tanh"]


def test_a_donated_cache_is_written_in_its_place():
    """An update is a copy and then a store elsewhere: the copy is of each element onto itself, and the rest comes later."""
    def step(cache, row, place):
        cache = lax.dynamic_update_slice(cache, row, (place, 0))
        return cache, lnp.sum(cache, 1)

    f = leptonc.jit(step, donate_argnums=0)
    cache, row = np.arange(24.0, dtype="f").reshape(8, 3), np.full((1, 3), -1.0, "f")
    program = f.compiled_for(cache, row, np.int32(5)).executable.program
    assert "copy" not in [call.kernel.name for call in program.calls]
    expected = cache.copy()
    expected[5] = -1
    got, sums = f(cache, row, np.int32(5))
    assert np.shares_memory(got, cache) and (got == expected).all() and (sums == expected.sum(1)).all()
