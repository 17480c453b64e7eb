"""lax's slices, convolutions, products, exchanges and shapes against JAX's, eager and compiled."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.usefixtures("double_precision")

RNG = np.random.default_rng(18)
X, W = RNG.standard_normal((2, 3, 7, 6)), RNG.standard_normal((4, 3, 3, 2))
IMAGE, KERNEL = RNG.standard_normal((2, 6, 5, 3)), RNG.standard_normal((3, 2, 3, 4))
ROWS, STACK = RNG.standard_normal((7, 3)), RNG.standard_normal((4, 3, 5))
INTS = RNG.integers(-2**62, 2**62, 50)
HALVES = np.array([-2.5, -1.5, -0.5, -0.0, 0.0, 0.5, 1.5, 2.5, 0.49999999999999994, 2.0**52 + 1, np.inf, -np.inf, np.nan])
EACH = RNG.standard_normal((4, 4, 8))
OURS = SimpleNamespace(np=lnp, lax=lax, vmap=leptonc.vmap, grad=leptonc.grad)
THEIRS = SimpleNamespace(np=jax.numpy, lax=jax.lax, vmap=jax.vmap, grad=jax.grad)

PROGRAMS = {
    "slice_in_dim": lambda m: m.lax.slice_in_dim(X, -5, -1, 2, axis=-2),
    "slice_in_dim none": lambda m: m.lax.slice_in_dim(X, None, None, axis=1),
    "index_in_dim": lambda m: (m.lax.index_in_dim(X, -1, 2), m.lax.index_in_dim(X, 1, 1, False)),
    "index_take": lambda m: m.lax.index_take(X, [np.array([1, -1, 5]), np.array([0, 2, -7])], (1, 2)),
    "conv": lambda m: m.lax.conv(X, W, (2, 1), "SAME"),
    "conv_with_general_padding": lambda m: m.lax.conv_with_general_padding(X, W, (1, 1), ((1, 2), (0, -1)), (2, 1), (1, 2)),
    "patches": lambda m: m.lax.conv_general_dilated_patches(X, (3, 2), (2, 1), "SAME"),
    "patches NHWC": lambda m: m.lax.conv_general_dilated_patches(IMAGE, (3, 2), (1, 2), "VALID",
                                                                 dimension_numbers=("NHWC", "WHIO", "HNCW")),
    "local": lambda m: m.lax.conv_general_dilated_local(
        IMAGE, np.arange(4 * 4 * 18 * 2).reshape(4, 4, 18, 2) / 100, (1, 1), "VALID", (3, 2),
        dimension_numbers=("NHWC", "HWIO", "NHWC")),
    "batch_matmul": lambda m: m.lax.batch_matmul(STACK, STACK.transpose(0, 2, 1), precision=m.lax.Precision.HIGHEST),
    "dot": lambda m: (m.lax.dot(ROWS, STACK[0]), m.lax.dot(ROWS[0], STACK[0]), m.lax.dot(ROWS[0], ROWS[1])),
    "ragged_dot": lambda m: m.lax.ragged_dot(ROWS, STACK, np.array([2, 0, 3, 1])),
    "ragged_dot grad": lambda m: m.grad(
        lambda a, b: m.np.sum(m.np.sin(m.lax.ragged_dot(a, b, np.array([2, 0, 3, 1])))), (0, 1))(ROWS, STACK),
    "round": lambda m: (m.lax.round(HALVES), m.lax.round(HALVES, m.lax.RoundingMethod.TO_NEAREST_EVEN)),
    "mulhi": lambda m: [m.lax.mulhi(v, v[::-1].copy()) for v in (
        INTS, INTS.view("u8"), (INTS >> 32).astype("i4"), INTS.astype("u4"), INTS.astype("i2"), INTS.astype("u1"))],
    "reduce_xor": lambda m: (m.lax.reduce_xor(INTS.reshape(5, 10), (1,)), m.lax.reduce_xor(INTS > 0, (0,))),
    "collapse": lambda m: (m.lax.collapse(X, 1, 3), m.lax.collapse(X, 2), m.lax.collapse(X, -3, -1)),
    "broadcast_to_rank": lambda m: m.lax.broadcast_to_rank(ROWS, 4),
    "barrier": lambda m: m.grad(lambda v: m.lax.optimization_barrier((m.np.sin(v), v))[0].sum())(ROWS),
    "platform_dependent": lambda m: m.lax.platform_dependent(ROWS, cpu=m.np.sin, tpu=m.np.cos, default=m.np.tan),
    "ppermute": lambda m: m.vmap(lambda v: m.lax.ppermute(v, "n", [(0, 2), (3, 0), (1, 1), (2, 3)]), axis_name="n")(EACH),
    "pshuffle": lambda m: m.vmap(lambda v: m.lax.pshuffle(v, "n", [2, 0, 3, 1]), axis_name="n")(EACH),
    "pswapaxes": lambda m: m.vmap(lambda v: m.lax.pswapaxes(v, "n", 0), axis_name="n")(EACH),
    "psum_scatter": lambda m: m.vmap(lambda v: m.lax.psum_scatter(v, "n"), axis_name="n")(EACH),
    "psum_scatter tiled": lambda m: m.vmap(
        lambda v: m.lax.psum_scatter(v, "n", scatter_dimension=1, tiled=True), axis_name="n")(EACH),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name):
    same(lambda m: PROGRAMS[name](m))


def same(program):
    wanted = jax.tree_util.tree_leaves(program(THEIRS))
    for mode in (lambda f: f, leptonc.jit):
        found = leptonc.tree.leaves(mode(lambda: program(OURS))())
        assert len(found) == len(wanted)
        for got, leaf in zip(found, wanted):
            assert got.shape == leaf.shape and got.dtype == leaf.dtype
            np.testing.assert_allclose(got, leaf, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((1, 2), (0, 1))])
@pytest.mark.parametrize("options", [{}, {"transpose_kernel": True}, {"rhs_dilation": (2, 1)}, {"use_consistent_padding": True}])
def test_transposed_convolutions(padding, options):
    kernel = KERNEL.swapaxes(2, 3) if options.get("transpose_kernel") else KERNEL
    same(lambda m: m.lax.conv_transpose(IMAGE, kernel, (2, 3), padding, **options))


@pytest.mark.parametrize("split", [0, 1])
@pytest.mark.parametrize("concat", [0, 1, 2])
def test_all_to_all(split, concat):
    x = np.arange(4 * 4 * 4 * 3.0).reshape(4, 4, 4, 3)
    same(lambda m: m.vmap(lambda v: m.lax.all_to_all(v, "n", split, concat), axis_name="n")(x))
    same(lambda m: m.vmap(lambda v: m.lax.all_to_all(v, "n", split, concat, tiled=True), axis_name="n")(x))


@pytest.mark.parametrize("start", [-9, -2, 0, 3, 6])
@pytest.mark.parametrize("negative", [True, False])
def test_dynamic_slices(start, negative):
    """At starts that are known, or traced."""
    options = {"allow_negative_indices": negative}
    flags = {"allow_negative_indices": (True, True, negative, True)}
    for at in (np.int64(start), np.uint8(abs(start))):
        for program in (
            lambda m, s: m.lax.dynamic_slice_in_dim(X, s, 3, 2, **options),
            lambda m, s: m.lax.dynamic_index_in_dim(X, s, 2, False, **options),
            lambda m, s: m.lax.dynamic_update_slice_in_dim(X, np.ones((2, 3, 2, 6)), s, 2, **options),
            lambda m, s: m.lax.dynamic_update_index_in_dim(X, np.ones((2, 3, 6)), s, 2, **options),
            lambda m, s: m.lax.dynamic_slice(X, (s, s, s, s), (1, 2, 3, 4), **flags),
        ):
            wanted = jax.jit(lambda s: program(THEIRS, s))(at)  # noqa: B023 (called at once)
            np.testing.assert_array_equal(program(OURS, at), wanted)
            np.testing.assert_array_equal(leptonc.jit(lambda s: program(OURS, s))(at), wanted)  # noqa: B023 (called at once)


def test_shapes():
    for m in (OURS, THEIRS):
        m.found = (
            tuple(m.lax.conv_dimension_numbers((1, 2, 3, 4), (1, 2, 3, 4), ("NHWC", "HWIO", "CHWN"))),
            tuple(m.lax.conv_dimension_numbers((1, 2, 3), (1, 2, 3), None)),
            tuple(map(tuple, m.lax.conv_general_permutations(("NHWC", "WHIO", "NHWC")))),
            m.lax.conv_shape_tuple((2, 3, 9, 8), (4, 3, 3, 2), (2, 1), ((1, 0), (0, 2))),
            m.lax.conv_general_shape_tuple((2, 9, 8, 3), (3, 2, 3, 4), (2, 1), "SAME", ("NHWC", "HWIO", "NHWC")),
            m.lax.conv_transpose_shape_tuple((2, 9, 8, 3), (3, 2, 3, 4), (2, 1), "VALID", ("NHWC", "HWIO", "NHWC")),
            m.lax.reduce_window_shape_tuple((7, 8), (2, 3), (2, 1), ((0, 1), (1, 1)), (2, 1), (1, 2)),
            [tuple(map(int, p)) for p in m.lax.padtype_to_pads((7, 8), (3, 3), (2, 1), "SAME")],
        )
    assert OURS.found == THEIRS.found
