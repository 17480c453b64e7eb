"""Unpooled images in the tiles of the convolutions that read them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import nn
from leptonc.driver import Options, compile_program, lower, optimize
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Kernel, Program
from tests.compare import exact
from tests.passes.check import ops


def back(g: Any, y: Any, w: Any) -> Any:
    """The gradient of the input of a convolution, behind a pool of given results ``y``."""
    _, unpool = leptonc.vjp(lambda y: nn.max_pool(y, window=2), y)
    (image,) = unpool(g)
    x = np.zeros((*y.shape[:3], w.shape[2]), y.dtype)
    _, pull = leptonc.vjp(lambda x: nn.conv(x, w, padding="SAME"), x.astype(g.dtype))
    return nn.relu(pull(image)[0])


def operands(rng: np.random.Generator, shape: tuple[int, ...] = (8, 12, 16, 40), c: int = 32, dtype: Any = np.float32,
             ) -> list[np.ndarray]:
    """Cotangents, some of them 0; the pool's operand, with several winners in many windows; weights."""
    g = rng.standard_normal((shape[0], shape[1] // 2, shape[2] // 2, shape[3]))
    g[0, 1:, 2:5] = 0
    y, w = rng.integers(-4, 5, shape) / 4, rng.standard_normal((3, 3, c, shape[3])) * 0.1
    return [a.astype(dtype) for a in (g, y, w)]


def program(f: Any, *args: Any, disable: frozenset[str] = frozenset()) -> Program:
    return lower(optimize(leptonc.jit(f).trace(*args).graph), options=Options(disable=disable))


def in_tiles(program: Program) -> list[Kernel]:
    return [c.kernel for c in program.calls if c.kernel.name.startswith("unpool+conv_winograd")]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape, c", [
    ((8, 12, 16, 40), 32),  # squares of 4
    ((6, 14, 16, 40), 32),  # of 2 by 4
    ((1, 32, 40, 32), 70),  # one image
    ((1, 8, 256, 32), 32),  # parts of rows
])
def test_the_same_as_a_stored_image(shape, c, dtype, rng):
    args = operands(rng, shape, c, dtype=dtype)
    joined, stored = program(back, *args), program(back, *args, disable=frozenset({"unpool-in-tiles"}))
    (kernel,) = in_tiles(joined)
    assert len(joined.calls) == len(stored.calls) - 1 and not in_tiles(stored)
    assert {p.type.shape for p in kernel.inputs} >= {args[0].shape}, "reads the pool's cotangents"
    np.testing.assert_array_equal(run_program(joined, args)[0], run_program(stored, args)[0])
    wanted = exact(back, *args)
    assert np.abs(leptonc.jit(back)(*args) - wanted).max() <= 40 * np.finfo(dtype).eps * np.abs(wanted).max()


def test_same_bits_for_any_number_of_threads(rng):
    args = operands(rng)
    compiled = compile_program(program(back, *args))
    assert len({compiled.executable(args, nthreads=n)[0].tobytes() for n in (1, 2, 3, 8)}) == 1


def loss(params: Any, x: Any, y: Any) -> Any:
    """Three convolutions, each of the last two behind the other's pool."""
    for w, b in params:
        x = nn.max_pool(nn.relu(nn.conv(x, w, padding="SAME") + b), window=2)
    return ((x - y) ** 2).mean()


def network(rng: np.random.Generator) -> tuple[Any, np.ndarray, np.ndarray]:
    channels = (3, 32, 32, 40)
    params = [((rng.standard_normal((3, 3, a, b)) * 0.1).astype(np.float32), np.zeros(b, np.float32))
              for a, b in pairwise(channels)]
    return params, *(rng.standard_normal(s).astype(np.float32) for s in ((4, 48, 32, 3), (4, 6, 4, 40)))


def test_a_network(rng):
    """Weight gradients of the same layers are routed; the bias gradients are sums of pooled cotangents."""
    args = network(rng)
    step = leptonc.value_and_grad(loss)
    graph = optimize(leptonc.jit(step).trace(*args).graph)
    assert ops(graph).count("conv_weight_grad_routed") == 3 and ops(graph).count("conv_input_grad") == 1
    assert ops(graph).count("conv_input_grad_routed") == 1, "the last layer's image is too small"
    assert len(in_tiles(program(step, *args))) == 1
    # Against the same kernels with the image stored: the pools choose the same cells then. (Against f64 a near tie may not.)
    stored = program(step, *args, disable=frozenset({"unpool-in-tiles"}))
    assert not in_tiles(stored)
    both = (compile_program(p).executable(leptonc.tree.leaves(args)) for p in (program(step, *args), stored))
    for got, wanted in zip(*both, strict=True):
        assert np.abs(got - wanted).max() <= 1e-5 * np.abs(wanted).max()


def test_an_image_with_another_reader_is_stored(rng):
    args = operands(rng)

    def both(g: Any, y: Any, w: Any) -> Any:
        _, unpool = leptonc.vjp(lambda y: nn.max_pool(y, window=2), y)
        return back(g, y, w), unpool(g)[0]

    assert not in_tiles(program(both, *args))
    wanted = exact(both, *args)
    for got, direct in zip(leptonc.jit(both)(*args), wanted, strict=True):
        assert np.abs(got - direct).max() <= 1e-5 * np.abs(direct).max()
