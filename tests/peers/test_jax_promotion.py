"""Promotion beside JAX's: all pairs of dtypes, and dtypes beside Python's numbers, with their weakness."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

import leptonc  # noqa: E402
from leptonc import config  # noqa: E402
from leptonc import numpy as lnp  # noqa: E402
from leptonc.ir.types import DTYPES  # noqa: E402
from leptonc.promotion import promoted  # noqa: E402

ARRAYS = {name: np.ones(2, kind.numpy) for name, kind in DTYPES.items() if not name.startswith("f8")}
NUMBERS = {"True": True, "2": 2, "2.0": 2.0, "2j": 2j}
PAIRS = [*itertools.product(ARRAYS, [*ARRAYS, *NUMBERS])]


@pytest.fixture(autouse=True)
def wide():
    """JAX with 64 bits, whose numbers without a dtype are wide."""
    with jax.enable_x64(True), config.override(promotion="jax", default_dtype="f64"):
        yield


def test_all_pairs():
    operands = ARRAYS | NUMBERS
    made = jax.eval_shape(lambda arrays: [arrays[m] * (arrays | NUMBERS)[n] for m, n in PAIRS], ARRAYS)
    for (first, second), wanted in zip(PAIRS, made, strict=True):
        x, y = ARRAYS[first], operands[second]
        assert promoted([x, y]) == (wanted.dtype, wanted.weak_type), (first, second)
        assert lnp.result_type(x, y) == jnp.result_type(x, y), (first, second)
        with config.override(default_dtype="f32"):  # nothing changes but what is weak
            dtype, weak = promoted([x, y])
            assert weak or dtype == wanted.dtype, (first, second)


CHAINS = {
    "weak beside f16": lambda m, n, h, x: [n * 2.0 * h, m.where(n > 1, 1.0, n) * h, m.sum(n * 2.0) * h, (n * 2.0)[0] * h],
    "weak beside f32": lambda m, n, h, x: [(n + 0.5) * x, (n * 1j) * x, m.maximum(n, 0.5) * x, -(n * 2.0) * x],
    "strong": lambda m, n, h, x: [m.asarray(n * 2.0, m.float32) * h, (n * 2.0).astype(m.float32) * h, n * h * x],
    "three kinds": lambda m, n, h, x: [n + h + 1j, (n + h) * 2.0, x * n * 2, m.stack([n * 1.0, h])],
    "shapes": lambda m, n, h, x: [m.reshape(n * 2.0, (2, 1)) * h, m.concatenate([n * 2.0, h]), m.exp(n * 2.0) * h],
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("ints", ["i8", "u64"])
def test_chains(name, ints):
    f, args = CHAINS[name], (ARRAYS[ints], ARRAYS["f16"], ARRAYS["f32"])
    wanted = f(jnp, *map(jnp.asarray, args))
    found = leptonc.jit(lambda *args: f(lnp, *args))(*args)
    with leptonc.disable_jit():
        eager = leptonc.jit(lambda *args: f(lnp, *args))(*args)
    for got, again, want in zip(found, eager, wanted, strict=True):
        assert got.dtype == again.dtype == want.dtype
        np.testing.assert_allclose(got.astype(complex), np.asarray(want).astype(complex), rtol=2e-3)
