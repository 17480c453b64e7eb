"""lax.conv_general_dilated: JAX's layouts, dilations, groups and paddings, against the definition written out in NumPy."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp


def dilated(x, gaps):
    """x [n, c, spatial...] with gaps between its elements."""
    shape = [(n - 1) * d + 1 if n else 0 for n, d in zip(x.shape[2:], gaps)]
    out = np.zeros((*x.shape[:2], *shape))
    out[(slice(None), slice(None), *(slice(None, None, d) for d in gaps))] = x
    return out


def padded(x, pads):
    for axis, (low, high) in enumerate(pads, 2):
        x = np.pad(x, [(max(low, 0), max(high, 0)) if d == axis else (0, 0) for d in range(x.ndim)])
        x = np.take(x, range(max(-low, 0), x.shape[axis] - max(-high, 0)), axis)
    return x


def definition(x, w, strides, pads, gaps, dilation, groups):
    """NCHW with OIHW, in f64."""
    x = padded(dilated(x.astype(np.float64), gaps), pads)
    kernel = w.shape[2:]
    out = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(x.shape[2:], kernel, strides, dilation)]
    y = np.zeros((x.shape[0], w.shape[0], *out))
    for at, tap in product(product(*map(range, out)), product(*map(range, kernel))):
        point = x[(slice(None), slice(None), *(p * s + t * d for p, s, t, d in zip(at, strides, tap, dilation)))]
        for g in range(groups):
            ins, outs = (slice(g * n // groups, (g + 1) * n // groups) for n in (x.shape[1], w.shape[0]))
            y[(slice(None), outs, *at)] += point[:, ins] @ w[(outs, slice(None), *tap)].T
    return y


def layout(spec, canonical):
    """The permutation from the canonical letters to those of ``spec``."""
    return [canonical.index(c) for c in spec]


CASES = {
    "default": ({}, 1),
    "strides": ({"window_strides": (2, 3)}, 1),
    "low and high": ({"padding": ((1, 2), (0, 3))}, 1),
    "negative padding": ({"padding": ((-1, 2), (0, -2))}, 1),
    "kernel dilation": ({"rhs_dilation": (2, 1), "padding": ((2, 2), (1, 1))}, 1),
    "transposed": ({"lhs_dilation": (2, 3), "padding": ((2, 1), (2, 2))}, 1),
    "transposed and strided": (
        {"lhs_dilation": (3, 2), "window_strides": (2, 1), "rhs_dilation": (1, 2), "padding": ((1, 1), (3, -1))},
        1,
    ),
    "groups": ({"feature_group_count": 2, "padding": ((1, 1), (1, 1))}, 2),
    "depthwise": ({"feature_group_count": 4, "lhs_dilation": (1, 2)}, 4),
}
LAYOUTS = {
    "none": (None, "NCHW", "OIHW", "NCHW"),
    "nchw": (("NCHW", "OIHW", "NCHW"), "NCHW", "OIHW", "NCHW"),
    "nhwc": (("NHWC", "HWIO", "NHWC"), "NHWC", "HWIO", "NHWC"),
    "mixed": (("NCHW", "HWIO", "NHWC"), "NCHW", "HWIO", "NHWC"),
    "odd": (("CWNH", "IHOW", "HNCW"), "CWNH", "IHOW", "HNCW"),
    "tuples": (((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2)), "NHWC", "HWIO", "NHWC"),
    "named": (lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 1, 2, 3)), "NHWC", "HWIO", "NCHW"),
}


def check(options, groups, numbers, lhs, rhs, out):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 4, 6, 5)), rng.standard_normal((8, 4 // groups, 3, 2))
    given = {"window_strides": (1, 1), "padding": ((0, 0), (0, 0)), **options}
    wanted = definition(
        x,
        w,
        given["window_strides"],
        given["padding"],
        given.get("lhs_dilation", (1, 1)),
        given.get("rhs_dilation", (1, 1)),
        groups,
    )
    x, w = np.transpose(x, layout(lhs, "NCHW")), np.transpose(w, layout(rhs, "OIHW"))

    def conv(x, w):
        return lax.conv_general_dilated(x, w, **given, dimension_numbers=numbers)

    def loss(x, w):
        return lnp.sum(conv(x, w) * weights)

    weights = rng.standard_normal(np.transpose(wanted, layout(out, "NCHW")).shape)
    for disabled in (False, True):
        with leptonc.disable_jit(disabled):
            np.testing.assert_allclose(leptonc.jit(conv)(x, w), np.transpose(wanted, layout(out, "NCHW")), rtol=1e-10, atol=1e-10)
    for n, gradient in enumerate(leptonc.jit(leptonc.grad(loss, argnums=(0, 1)))(x, w)):
        direction = rng.standard_normal(gradient.shape)
        moved = [(x + e * direction, w) if n == 0 else (x, w + e * direction) for e in (0.5, -0.5)]  # linear in each: exact
        np.testing.assert_allclose(np.sum(gradient * direction), np.sum((conv(*moved[0]) - conv(*moved[1])) * weights), rtol=1e-9)


@pytest.mark.parametrize("options, groups", CASES.values(), ids=CASES)
def test_is_its_definition(options, groups):
    check(options, groups, *LAYOUTS["none"])


@pytest.mark.parametrize("spec", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(spec):
    check(CASES["transposed and strided"][0], 1, *spec)


@pytest.mark.parametrize("shape, kernel", [((2, 3, 7), (4, 3, 3)), ((1, 2, 4, 5, 3), (3, 2, 2, 2, 2))])
def test_one_and_three_dimensions(shape, kernel):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(shape), rng.standard_normal(kernel)
    ones = (1,) * (len(shape) - 2)
    got = leptonc.jit(lambda x, w: lax.conv_general_dilated(x, w, ones, "VALID"))(x, w)
    np.testing.assert_allclose(got, definition(x, w, ones, [(0, 0)] * len(ones), ones, ones, 1), rtol=1e-10)


@pytest.mark.parametrize(
    "word, stride, pads",
    [
        ("SAME", 1, ((1, 1), (0, 1))),
        ("SAME_LOWER", 1, ((1, 1), (1, 0))),
        ("same", 2, ((0, 1), (0, 1))),
        ("VALID", 2, ((0, 0), (0, 0))),
    ],
)
def test_paddings_in_words(word, stride, pads):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 2, 6, 5)), rng.standard_normal((3, 2, 3, 2))
    got = lax.conv_general_dilated(x, w, (stride, stride), word)
    np.testing.assert_allclose(got, definition(x, w, (stride, stride), pads, (1, 1), (1, 1), 1), rtol=1e-10)


@pytest.mark.parametrize(("gaps", "pads", "dilation", "groups"), [
    ((2, 2), ((1, 2), (0, 3)), (1, 1), 1), ((3, 2), ((-1, 4), (2, -1)), (2, 1), 2), ((2, 1), ((5, 0), (1, 1)), (1, 2), 4),
])
def test_gaps_are_not_multiplied(gaps, pads, dilation, groups):
    """A transposed convolution is that of x with zeros in its gaps, value and gradients, and has no such x."""
    rng = np.random.default_rng([*gaps, groups])
    x, w = (rng.standard_normal(s).astype(np.float32) for s in ((2, 5, 6, 4), (3, 4, 4 // groups, 8)))
    spread = np.zeros((2, 4 * gaps[0] + 1, 5 * gaps[1] + 1, 4), np.float32)
    spread[:, ::gaps[0], ::gaps[1]] = x
    numbers = ("NHWC", "HWIO", "NHWC")

    def sparse(x, w):
        return lax.conv_general_dilated(x, w, (1, 1), pads, gaps, dilation, numbers, feature_group_count=groups)

    def dense(x, w):
        return lax.conv_general_dilated(x, w, (1, 1), pads, None, dilation, numbers, feature_group_count=groups)

    np.testing.assert_allclose(leptonc.jit(sparse)(x, w), dense(spread, w), rtol=1e-4, atol=1e-4)
    got = leptonc.jit(leptonc.grad(lambda x, w: lnp.sum(lnp.sin(sparse(x, w))), (0, 1)))(x, w)
    wanted = leptonc.jit(leptonc.grad(lambda x, w: lnp.sum(lnp.sin(dense(x, w))), (0, 1)))(spread, w)
    np.testing.assert_allclose(got[0], wanted[0][:, ::gaps[0], ::gaps[1]], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(got[1], wanted[1], rtol=1e-3, atol=1e-3)
    assert "pad" not in [node.op for node in leptonc.jit(sparse).trace(x, w).graph.nodes]
