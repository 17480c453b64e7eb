"""Profiles of functions, and the layers and parts of a step that kernels know. Times are looked at for being there, no more."""

from __future__ import annotations

import json

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn, profile
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, ShapeError
from leptonc.frames import Loc, gradient_of, joined, named_scope
from leptonc.ir.digest import digest
from leptonc.profile.kernels import GRADIENT, KernelTime, kernel_flops
from leptonc.profile.report import Profile

MACHINE = {"cpu": "test", "threads": 2, "fma_gflops": 100.0, "copy_gbs": 10.0}
X, W = leptonc.ShapeDtypeStruct((8, 6), "float32"), leptonc.ShapeDtypeStruct((6, 4), "float32")


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(profile, "_machine", lambda threads: MACHINE)


def network(w, x):
    with named_scope("net/dense"):
        y = x @ w
    with named_scope("net/gate"):
        y = nn.sigmoid(y)
    with named_scope("loss"):
        return lnp.sum(y * y)


def step(w, x):
    gradient = leptonc.grad(network)(w, x)
    with named_scope("update"):
        return w - 0.1 * gradient


# Layers


def test_lines_are_joined():
    a, b, c = Loc("f.py", 1, "a"), Loc("f.py", 2, "b"), Loc("f.py", 3)
    assert joined(a, b).scopes == ("a", "b") and joined(joined(a, b), a, b, c) == a and joined(a, b).line == 1
    assert joined(a, a) is a and joined(a, None, c) is a and joined(None, a) is a and joined(None) is None
    assert joined(c, b, a).scopes == ("b", "a") and joined(joined(c, b), joined(a, b)).scopes == ("b", "a")
    assert gradient_of(a).gradient and gradient_of(a).scope == "a" and gradient_of(None) is None
    assert hash(gradient_of(joined(a, b))) == hash(a)


def calls(f, *args):
    return {call.kernel.name: call.loc for call in leptonc.jit(f).trace(*args).lower().program.calls}


def test_a_fused_kernel_names_all_layers_the_main_one_first():
    """The product is the main one, whatever is done to its operands and its result."""
    kernels = calls(lambda w, x: network(w, lnp.exp(x)), W, X)
    product = next(loc for name, loc in kernels.items() if "dot_general" in name)
    assert product.scopes == ("net/dense", "net/gate", "loss") and not product.gradient
    assert kernels["sum"].scopes == ("loss",) and kernels["exp"].scopes == ()


def test_gradients_are_told_apart():
    kernels = calls(step, W, X)
    gradient = next(loc for name, loc in kernels.items() if "dot_general" in name and loc.scopes[-1] == "update")
    assert gradient.gradient and gradient.scopes == ("net/dense", "update")
    assert any(loc.scopes == ("net/dense", "net/gate", "loss") and not loc.gradient for loc in kernels.values())
    graph = leptonc.make_graph(leptonc.grad(network))(np.ones((6, 4)), np.ones((8, 6)))
    assert {node.loc.gradient for node in graph.nodes if node.loc} == {True, False}
    assert not any(node.loc.gradient for node in leptonc.make_graph(network)(np.ones((6, 4)), np.ones((8, 6))).nodes)


def test_constants_bring_no_layer():
    """One that other layers share lies in the graph once, in the first of them."""
    def f(x):
        with named_scope("first"):
            y = lnp.sum(x * 2)
        with named_scope("second"):
            return y, lnp.exp(lnp.sum(x, axis=0) * 2)

    assert calls(f, X)["sum+mul+exp"].scopes == ("second",)


def test_pools_stay_named_where_their_gradient_is_routed():
    def f(w, x):
        with named_scope("conv"):
            y = nn.relu(nn.conv(x, w))
        with named_scope("pool"):
            return lnp.sum(nn.max_pool(y, 2))

    kernels = calls(leptonc.value_and_grad(f), np.ones((3, 3, 1, 8), np.float32), np.ones((4, 18, 18, 1), np.float32))
    assert all(loc.scopes == ("conv", "pool") for name, loc in kernels.items() if name.startswith("conv"))
    assert any("routed" in name for name in kernels)


def test_layers_take_no_part_in_keys():
    def layer(name):
        def f(x):
            with named_scope(name):
                return lnp.exp(x) * 2
        return leptonc.jit(f).trace(X)

    one, other = layer("one").graph, layer("other").graph
    assert one == other and digest(one) == digest(other)
    assert driver.emit(layer("one").lower().program, "llvm") == driver.emit(layer("other").lower().program, "llvm")


# Profiles


def test_a_function_is_profiled():
    found = profile.function(step, W, X)
    assert found.name == "step" and set(found.compile_seconds) == {"trace", "passes", "code"} and found.step_seconds > 0
    assert found.memory.argument_bytes == 4 * (48 + 24)
    assert len(found.kernels) >= 2 and all(kernel.seconds > 0 and kernel.bytes for kernel in found.kernels)
    assert all(kernel.line.startswith("test_profile.py:") for kernel in found.kernels if kernel.flops)
    assert {kernel.part for kernel in found.kernels} == {"", GRADIENT}
    assert [layer.layer for layer in found.layers()].count("net/dense") == 1
    assert sum(layer.kernels for layer in found.layers()) == len(found.kernels)
    told = json.loads(json.dumps(found.as_dict()))
    assert told["kernels"][0]["file"] == __file__ and sum(kernel["share"] for kernel in told["kernels"]) == pytest.approx(1)
    assert told["memory_bytes"]["argument"] == 4 * (48 + 24)


def test_arrays_stay_as_they_are(rng):
    @leptonc.jit(donate_argnums=0, static_argnums=2)
    def scaled(state, x, factor):
        return {"w": state["w"] * factor + x}

    w, x = rng.random((3, 3)), rng.random(3)
    before = w.copy()
    found = profile.function(scaled, {"w": w}, x, 2)
    assert (w == before).all() and found.memory.donated_bytes == 72 and scaled.compiles == 0
    profile.function(lambda a, b: a * b, 2.0, b=leptonc.ShapeDtypeStruct((3,), "int32"))  # a Python number, one by name


def test_mistakes_are_told():
    with pytest.raises(ShapeError, match="matmul"):
        profile.function(lambda w, x: w @ x, W, X)
    with pytest.raises(ArgumentError, match="must be a Keras model"):
        profile.model(network, np.ones(3))


def test_operations_of_a_kernel_are_counted():
    """A product of 30 x 20 by 20 x 50, with two operations per result behind it."""
    a, b = np.ones((30, 20), np.float32), np.ones((20, 50), np.float32)
    graph = leptonc.make_graph(lambda a, b: np.float32(2) * (a @ b) + 1)(a, b)
    program = driver.lower(driver.optimize(graph))
    assert sum(kernel_flops(call.kernel) for call in program.calls) == 2 * 30 * 20 * 50 + 2 * 30 * 50


TEXT = """\
train: 1 of 2 threads, test; limits of this run: 100.0 GFLOP/s, 10.0 GB/s
compile  60 ms (trace 10, passes 20, code 30)
step     2.000 ms (3 kernels; one by one 2.500 ms)
memory   3.0 kB (arena 1.0 kB, arguments 2.0 kB, constants 0 B, results 4 B)

   ms     %  of limit  forward  backward  kernels  layer  line
2.000  80.0      0.50    0.500     1.500        2  conv   a.py:3
0.500  20.0                                     1  -

   ms     %  of limit  GFLOP/s  GB/s  layers      part      line    kernel
1.500  60.0      0.33     33.3   0.0  conv, pool  backward  a.py:3  k1.grad
0.500  20.0      1.00    100.0   0.1  conv        forward   a.py:3  k0.conv
0.500  20.0                           -                             k2.copy"""


def test_text():
    line = Loc("/home/a.py", 3)
    kernels = (KernelTime("k0.conv", ("conv",), "forward", line, "tiles", 5e-4, 50_000_000, 40_000),
               KernelTime("k1.grad", ("conv", "pool"), "backward", line, "tiles", 1.5e-3, 50_000_000, 40_000),
               KernelTime("k2.copy", (), "", None, "rows", 5e-4, 0, 0))
    memory = driver.MemoryAnalysis(2048, 104, 100, 0, 1024, ())
    found = Profile("train", MACHINE, {"trace": 0.01, "passes": 0.02, "code": 0.03}, 2e-3, 1, memory, kernels)
    assert found.text() == TEXT == repr(found)
    assert found.text(schedule=True).splitlines()[-1].endswith("k2.copy  rows")
    trace = json.loads(found.trace_text())["traceEvents"]
    assert [(event["name"], event["ts"], event["dur"]) for event in trace] == [
        ("k0.conv", 0, 500), ("k1.grad", 500, 1500), ("k2.copy", 2000, 500)]
