"""Convolutions of images of one row or column as products of matrices, and where padding does not leave a single position."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import nn
from tests.compare import both, lowered


def folds(f, *args) -> list[int]:
    """How many reduce axes each convolution's kernel has left."""
    return [len(call.kernel.stages[0].reduce_axes) for call in lowered(f, *args).program.calls if "conv" in call.kernel.name]


def conv(padding):
    return lambda x, w: nn.conv(x, w, padding=padding)


def weight_gradient(padding):
    def back(x, w):
        return leptonc.grad(lambda w: (nn.conv(x, w, padding=padding) ** 2).sum())(w)

    return back


CASES = [  # image, kernel, padding, reduce axes left
    ((1, 1), (4, 4), ((3, 3), (3, 3)), 1),  # all of the kernel, position by position
    ((1, 1), (3, 3), "SAME", 1),
    ((1, 6), (3, 3), "SAME", 2),
    ((1, 1), (4, 3), ((3, 2), (1, 2)), 1),
    ((1, 1), (2, 2), ((2, 1), (1, 1)), 2),  # the first row of results reads padding alone
    ((2, 2), (4, 4), ((3, 3), (3, 3)), 3),
]


@pytest.mark.parametrize("image, kernel, padding, left", CASES)
def test_positions(image, kernel, padding, left, rng):
    x = rng.standard_normal((3, *image, 5)).astype(np.float32)
    w = rng.standard_normal((*kernel, 5, 8)).astype(np.float32)
    assert folds(conv(padding), x, w) == [left]
    for f in (conv(padding), weight_gradient(padding)):
        both(f, x, w, rtol=1e-4, atol=1e-4)


def test_transposed_convolutions_of_vectors(rng):
    """Forward and the weights' gradient are products; images are no larger than what is read."""
    z, w = rng.standard_normal((6, 1, 1, 10)).astype(np.float32), rng.standard_normal((4, 4, 10, 12)).astype(np.float32)

    def loss(w):
        return (nn.conv_transpose(z, w, padding="VALID") ** 2).sum()

    program = lowered(leptonc.grad(loss), w).program
    assert not any(call.kernel.name == "halo" for call in program.calls)
    both(leptonc.grad(loss), w, rtol=1e-4, atol=1e-4)
