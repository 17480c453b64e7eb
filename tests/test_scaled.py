"""Products of numbers in blocks that share a scale."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import nn
from leptonc.nn.scaled import E2M1, E4M3

RNG = np.random.default_rng(7)
A, B = RNG.standard_normal((3, 4, 32)).astype("f4"), RNG.standard_normal((3, 32, 64)).astype("f4")
NUMBERS = (((2,), (1,)), ((0,), (0,)))


def test_formats_of_few_bits():
    fours = np.array([0, 0.2, 0.25, 0.3, 0.75, 1.25, 2.5, 3.4, 5, 6, -5], "f4")
    np.testing.assert_array_equal(E2M1.rounded(fours), [0, 0, 0, 0.5, 1, 1, 2, 3, 4, 6, -4])
    eights = np.array([448, 17, 19, 1.0625, 1.1875, 2**-9, 1.4 * 2**-10, 2**-10, -240.1], "f4")
    np.testing.assert_array_equal(E4M3.rounded(eights), [448, 16, 20, 1, 1.25, 2**-9, 2**-9, 0, -240])


def test_products_of_blocks_that_share_a_scale():
    s, t = RNG.uniform(0.5, 2, (3, 4, 2)).astype("f4"), RNG.uniform(0.5, 2, (3, 64, 2)).astype("f4")
    b = B.transpose(0, 2, 1)
    want = np.einsum("bmk,bnk->bmn", A * np.repeat(s, 16, -1), b * np.repeat(t, 16, -1))
    np.testing.assert_allclose(leptonc.jit(nn.scaled_matmul)(A, b, s, t), want, rtol=1e-5, atol=1e-5)


RELATIVE = 2**-4  # at most, of a number of three bits of mantissa
EACH = 2 * RELATIVE + RELATIVE**2  # of a product of two of them


@pytest.mark.parametrize("mode", ["mxfp8", "nvfp4"])
def test_products_of_rounded_operands(mode):
    """As near as the format's numbers lie; exact where operands are some of them."""
    configs = [nn.get_scaled_dot_general_config(mode)] * 3
    run = leptonc.jit(lambda a, b: nn.scaled_dot_general(a, b, NUMBERS, configs=configs))
    want = A @ B
    off = np.abs(run(A, B) - want)
    if mode == "mxfp8":  # whose scales are powers of two
        assert off.any() and (off <= 1.01 * EACH * (np.abs(A) @ np.abs(B))).all()
        whole = np.rint(A), np.rint(B)
        np.testing.assert_array_equal(run(*whole), whole[0] @ whole[1])
    else:
        assert 0 < off.std() < 0.2 * want.std()
    kept = nn.scaled_dot_general(A, B, NUMBERS)
    np.testing.assert_allclose(kept, want, rtol=1e-5, atol=1e-5)


def test_gradients_go_straight_through():
    a = RNG.standard_normal((1, 32, 32)).astype("f4")
    b, g = (RNG.standard_normal((1, 32, 32)).astype("f4") for _ in range(2))
    for mode, error in (("mxfp8", 1.01 * EACH), ("nvfp4", 1e-6)):
        configs = [nn.get_scaled_dot_general_config(mode)] * 3
        slopes = leptonc.grad(lambda a, b: (nn.scaled_dot_general(a, b, NUMBERS, configs=configs) * g).sum(), (0, 1))(a, b)  # noqa: B023
        for got, x, y in zip(slopes, (g, a.transpose(0, 2, 1)), (b.transpose(0, 2, 1), g)):
            assert (np.abs(got - x @ y) <= error * (np.abs(x) @ np.abs(y))).all()


@pytest.mark.parametrize("wrong", [
    lambda: nn.scaled_matmul(A, A, A[:, :, :2], A[:, :, :5]), lambda: nn.get_scaled_dot_general_config("fp8"),
    lambda: nn.get_scaled_dot_general_config("mxfp8", 2.0), lambda: nn.scaled_dot_general(A, B, NUMBERS, configs=[1, 2, 3]),
    lambda: nn.scaled_dot_general(A[:, :, :8], B[:, :8], NUMBERS, configs=[nn.get_scaled_dot_general_config("nvfp4")] * 3)])
def test_wrong_calls(wrong):
    with pytest.raises(leptonc.LeptonError):
        wrong()
