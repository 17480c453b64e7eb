"""Operands rounded to blocks of 4 and 8 bits as JAX rounds them; its product of them is not for CPUs."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import nn

jax = pytest.importorskip("jax")
stablehlo = pytest.importorskip("jax._src.cudnn.scaled_matmul_stablehlo")

RNG = np.random.default_rng(6)


@pytest.mark.parametrize("mode, scale", [("mxfp8", None), ("nvfp4", 1.0), ("nvfp4", 0.25)])
def test_products_of_rounded_operands(mode, scale):
    a, b = ((RNG.standard_normal(s) * np.exp(3 * RNG.standard_normal(s))).astype("f4") for s in ((2, 8, 96), (2, 5, 96)))
    given = () if scale is None else (np.float32(scale),)
    config = jax.nn.get_scaled_dot_general_config(mode, *map(jax.numpy.asarray, given))

    def values(x):
        found, scales = (np.asarray(v).astype("f4") for v in stablehlo.quantize(jax.numpy.asarray(x), config))
        return found * np.repeat(scales, config.block_size, -1) * (1 if scale is None else scale)

    want = np.einsum("bmk,bnk->bmn", values(a), values(b))
    configs = [nn.get_scaled_dot_general_config(mode, *given)] * 3
    for run in (lambda f: f, leptonc.jit):
        got = run(lambda a, b: nn.scaled_dot_general(a, b, (((2,), (2,)), ((0,), (0,))), configs=configs))(a, b)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5 * np.abs(want).max())
