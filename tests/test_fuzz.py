"""Random programs: compiled equals eager, values and gradients.

The programs are the same in every run: in one of a hundred thousand two values tie but for rounding, and a gradient goes
elsewhere. ``python tests/test_fuzz.py 5000`` tries others, from number 5000 on, until it is stopped.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest

import leptonc
from leptonc import nn
from leptonc import numpy as lnp

PROGRAMS = 120


class Program:
    """A random program over a few arrays, written down as it is first run and then replayed."""

    def __init__(self, rng):
        self.rng = rng
        self.shapes = [tuple(int(n) for n in rng.integers(1, 7, rng.integers(1, 4))) for _ in range(3)]
        self.arrays = [rng.standard_normal(s) for s in self.shapes]
        self.seed = int(rng.integers(1 << 31))
        self.length = int(rng.integers(3, 14))

    def __call__(self, *arrays):
        rng = np.random.default_rng(self.seed)
        values = list(arrays)
        for _ in range(self.length):
            values.append(STEPS[rng.integers(len(STEPS))](rng, values))
        return values[-1], values[-2], sum((v.sum() for v in values[-3:]), start=0.0)


def pick(rng, values):
    return values[rng.integers(len(values))]


def unary(rng, values):
    functions = (lnp.tanh, lnp.exp, lnp.abs, nn.relu, nn.sigmoid, lambda x: x * x, lambda x: -x, lambda x: lnp.sqrt(lnp.abs(x) + 1),
                 lambda x: lnp.where(x > 0, x, 0.5), lambda x: x / (lnp.abs(x) + 2), lambda x: lnp.clip(x, -1, 1), lnp.sin)
    return lnp.clip(functions[rng.integers(len(functions))](pick(rng, values)), -50, 50)


def binary(rng, values):
    a = pick(rng, values)
    partners = [b for b in values if fits(a.shape, b.shape)]
    functions = (lambda a, b: a + b, lambda a, b: a - b, lambda a, b: a * b, lnp.maximum, lambda a, b: lnp.where(a > b, a, b))
    return lnp.clip(functions[rng.integers(len(functions))](a, pick(rng, partners)), -50, 50)


def fits(a, b):
    return all(m == n or 1 in (m, n) for m, n in zip(a[::-1], b[::-1])) and np.prod(np.broadcast_shapes(a, b)) < 3000


def reduce(rng, values):
    x = pick(rng, values)
    if not x.ndim:
        return x * 2
    axis = int(rng.integers(x.ndim))
    return (lnp.sum, lnp.max, lnp.mean, lnp.min)[rng.integers(4)](x, axis=axis, keepdims=bool(rng.integers(2)))


def move(rng, values):
    x = pick(rng, values)
    perm = tuple(int(p) for p in rng.permutation(x.ndim))
    functions = (lambda: x.transpose(perm), lambda: lnp.flip(x), lambda: x.reshape(-1),
                 lambda: lnp.expand_dims(x, int(rng.integers(x.ndim + 1))),
                 lambda: x[tuple(slice(int(rng.integers(n)), None, int(rng.integers(1, 3))) for n in x.shape)],
                 lambda: lnp.pad(x, rng.integers(0, 3, (x.ndim, 2))) if x.ndim and x.size < 500 else x,
                 lambda: lnp.concatenate([x, x * 2], axis=0) if x.ndim and x.size < 500 else x,
                 lambda: lnp.take(x, np.array([0, -1, 0]), axis=0) if x.ndim else x)
    return functions[rng.integers(len(functions))]()


def product(rng, values):
    a, b = pick(rng, values), pick(rng, values)
    if a.ndim and b.ndim and a.shape[-1] == b.shape[0] and a.size * b.size < 20_000:
        return lnp.clip(lnp.tensordot(a, b, 1), -50, 50)
    if a.ndim == 2:
        return lnp.clip(a @ a.T, -50, 50)
    return a


def window(rng, values):
    x = pick(rng, values)
    if x.ndim != 3 or x.size > 500:
        return nn.softmax(x) if x.ndim else x
    image = lnp.expand_dims(x, 0)
    w = np.random.default_rng(1).standard_normal((2, 2, x.shape[-1], 3))
    if rng.integers(2):
        out = nn.conv(image, w, padding="SAME", stride=int(rng.integers(1, 3)))
    else:
        out = nn.max_pool(image, 2, padding="SAME")
    return lnp.clip(out[0], -50, 50)


STEPS = (unary, unary, binary, binary, binary, reduce, move, move, product, window)


@pytest.mark.parametrize("number", range(PROGRAMS))
def test_compiled_is_eager(number):
    program = Program(np.random.default_rng([number, 0]))
    compiled = leptonc.jit(program.__call__)(*program.arrays)
    with leptonc.disable_jit():
        eager = leptonc.jit(program.__call__)(*program.arrays)
    for a, b in zip(compiled, eager, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("number", range(PROGRAMS // 2))
def test_compiled_gradient_is_eager(number):
    program = Program(np.random.default_rng([number, 1]))
    gradient = leptonc.grad(lambda *arrays: program(*arrays)[2], argnums=(0, 1, 2))
    compiled = leptonc.jit(gradient)(*program.arrays)
    with leptonc.disable_jit():
        eager = leptonc.jit(gradient)(*program.arrays)
    for a, b in zip(compiled, eager, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-7)


def main(number: int) -> None:
    while True:
        try:
            test_compiled_is_eager(number)
            test_compiled_gradient_is_eager(number)
        except (AssertionError, leptonc.LeptonError) as error:
            print(f"program {number}: {str(error)[:500]}", flush=True)
        number += 1


if __name__ == "__main__":
    main(int(sys.argv[1]))
