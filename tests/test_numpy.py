"""leptonc.numpy against NumPy: shapes, dtypes and values, compiled and eager."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
from leptonc.errors import DtypeError, LeptonError, ShapeError
from tests.compare import both, same

F = np.float32
UNARY = "abs exp expm1 tanh sin cos tan sinh cosh square sign floor ceil trunc rint isnan isinf isfinite logical_not".split()
POSITIVE = "log log1p log2 log10 sqrt reciprocal".split()
BINARY = ("add subtract multiply divide floor_divide remainder power maximum minimum arctan2 equal not_equal less less_equal "
          "greater greater_equal logical_and logical_or logical_xor logaddexp").split()


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", ["f4", "f8", "i4", "i8"])
def test_unary(rng, name, dtype):
    x = (rng.standard_normal((3, 5)) * 2).astype(dtype)
    if name in ("floor", "ceil", "trunc", "rint") and dtype[0] == "i":
        return same(lambda np_: lambda x: getattr(np_, name)(x.astype("f8")), x)
    return same(lambda np_: getattr(np_, name), x)


@pytest.mark.parametrize("name", POSITIVE)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_positive(rng, name, dtype):
    same(lambda np_: getattr(np_, name), (rng.random(9) + 0.1).astype(dtype))


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("dtypes", [("f4", "f4"), ("f4", "f8"), ("i4", "f4"), ("i8", "i4"), ("u1", "i4")])
def test_binary_promotes_and_broadcasts(rng, name, dtypes):
    a, b = ((rng.integers(1, 9, shape)).astype(d) for shape, d in zip(((3, 1), (4,)), dtypes))
    if name in ("arctan2", "logaddexp", "divide") and "f" not in "".join(dtypes):
        a, b = a.astype("f8"), b.astype("f8")
    same(lambda np_: getattr(np_, name), a, b)


@pytest.mark.parametrize("name", "sum prod max min mean var std any all argmax argmin".split())
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions(rng, name, axis, keepdims):
    same(lambda np_: lambda x: getattr(np_, name)(x, axis=axis, keepdims=keepdims), rng.standard_normal((4, 5)).astype(F))
    same(lambda np_: lambda x: getattr(np_, name)(x, axis=axis, keepdims=keepdims), rng.integers(0, 3, (4, 5)).astype("i4"))


def test_reductions_over_several_axes_and_bools(rng):
    x = rng.standard_normal((2, 3, 4))
    same(lambda np_: lambda x: (np_.sum(x, axis=(0, -1)), np_.max(x, axis=(1, 2)), np_.mean(x, axis=())), x)
    same(lambda np_: lambda x: (np_.sum(x > 0), np_.any(x > 0, axis=0), np_.cumsum(x, axis=1), np_.cumsum(x)), x)
    same(lambda np_: lambda x: (np_.sum(x, axis=0), np_.prod(x, axis=0), np_.mean(x, axis=1)), np.zeros((0, 3)))


def test_shapes_and_places(rng):
    x = rng.standard_normal((2, 3, 4)).astype(F)
    same(lambda np_: lambda x: (np_.reshape(x, (4, -1)), np_.transpose(x), np_.transpose(x, (1, 0, 2)), np_.swapaxes(x, 0, -1),
                                np_.moveaxis(x, 0, -1), np_.expand_dims(x, (0, -1)), np_.squeeze(x[:, :1]), np_.ravel(x)), x)
    same(lambda np_: lambda x: (np_.flip(x), np_.flip(x, 1), np_.repeat(x, 3, axis=1), np_.repeat(x, 2), np_.tile(x, (2, 1, 2)),
                                np_.broadcast_to(x[:, :1], (5, 2, 3, 4)), np_.stack([x, x + 1], axis=-1)), x)
    same(lambda np_: lambda x: (np_.concatenate([x, x * 2], axis=1), np_.concatenate([x, x], axis=None), np_.vstack([x, x]),
                                np_.hstack([x, x]), *np_.split(x, 2, axis=2), *np_.split(x, [1, 3], axis=-1)), x)
    same(lambda np_: lambda x: (np_.pad(x, 1), np_.pad(x, ((0, 0), (1, 2), (0, 3)), constant_values=7), np_.pad(x, (1, 2))), x)


def test_indexing(rng):
    x = rng.standard_normal((5, 6)).astype(F)
    rows = np.array([0, -1, 3, 3])
    same(lambda np_: lambda x: (x[1], x[-1, 2:5], x[::-2, ::3], x[..., None, 0], x[rows], x[:, rows], x[rows, rows],
                                x[rows[:, None], np.array([1, 2])], x[np.array([True, False, True, False, False])]), x)
    got = leptonc.jit(lambda x: (x.at[1].set(0), x.at[rows].add(1), x.at[1:3, ::2].set(9)))(x)
    first, second, third = x.copy(), x.copy(), x.copy()
    first[1] = 0
    np.add.at(second, rows, 1)
    third[1:3, ::2] = 9
    for a, b in zip(got, (first, second, third)):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    with leptonc.disable_jit():
        np.testing.assert_array_equal(leptonc.jit(lambda x: lnp.take(x, rows, axis=0))(x), x[rows])


def test_products(rng):
    a, b, c = (rng.standard_normal(s).astype(F) for s in ((3, 4), (4, 5), (2, 3, 4)))
    v = rng.standard_normal(4).astype(F)
    same(lambda np_: lambda a, b, c, v: (a @ b, a @ v, v @ b, v @ v, c @ b, np_.matmul(c, np_.stack([b, b])), np_.dot(a, b),
                                         np_.outer(v, v), np_.tensordot(c, b, 1), np_.vdot(v, v)), a, b, c, v)
    same(lambda np_: lambda a, b, c: (np_.einsum("ij,jk->ik", a, b), np_.einsum("nij,jk->nik", c, b), np_.einsum("ij->ji", a),
                                      np_.einsum("ij,ij->i", a, a), np_.einsum("nij->j", c), np_.einsum("i,j", a[0], a[1])),
         a, b, c)
    both(lambda a, b: a @ b, np.zeros((3, 0), F), np.zeros((0, 2), F))


def test_creation_and_where(rng):
    x = rng.standard_normal((3, 4)).astype(F)
    same(lambda np_: lambda x: (np_.where(x > 0, x, 0), np_.where(x > 0, 1.5, x), np_.clip(x, -0.5, None), np_.clip(x, -1, 1),
                                np_.zeros_like(x), np_.ones_like(x), np_.full_like(x, 3), np_.nan_to_num(x), np_.round(x, 2)), x)
    same(lambda np_: lambda: (np_.arange(5), np_.arange(2, 9, 3), np_.linspace(0, 1, 5), np_.eye(3), np_.zeros((2, 0)),
                              np_.ones(3), np_.full((2,), 7), np_.asarray([1, 2.5])))
    traced = leptonc.jit(lambda x: lnp.asarray([x[0], x[1] * 2, 3.0], F))(np.ones(2, F))
    np.testing.assert_array_equal(traced, [1, 2, 3])


def test_special_values():
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e-30, 88.0, -104.0], F)
    same(lambda np_: lambda x: (np_.exp(x), np_.log(x), np_.sqrt(x), np_.tanh(x), np_.maximum(x, 0), np_.sign(x), np_.floor(x),
                                np_.isnan(x), x / x, x * 0, x - x, x + 0, np_.max(x), np_.argmax(x), np_.sin(x), np_.cos(x)), x)


def test_integers_wrap_and_divide_as_numpy():
    a = np.array([2**31 - 1, -(2**31), 7, -7, 0, 5], np.int32)
    b = np.array([1, -1, 2, 2, 0, 0], np.int32)
    same(lambda np_: lambda a, b: (a + b, a * b, a - b, a // b, a % b, -a, abs(a), a << 3, a >> 40, a & b, a ^ b, ~a), a, b)


def test_errors():
    with pytest.raises(DtypeError, match="bools"):
        leptonc.jit(lambda x: x - x)(np.array([True]))
    with pytest.raises(ShapeError, match="one -1"):
        leptonc.jit(lambda x: x.reshape(-1, -1))(np.ones(4))
    with pytest.raises(ShapeError, match="pair"):
        leptonc.jit(lambda x: lnp.tensordot(x, x, ([0], [1])))(np.ones((2, 3)))
    with pytest.raises(ShapeError, match="einsum"):
        leptonc.jit(lambda x: lnp.einsum("ij,jk", x, x))(np.ones((2, 3)))
    with pytest.raises(LeptonError, match="mode"):
        lnp.pad(np.ones(3), 1, mode="reflected")
    with pytest.raises(LeptonError, match="divide"):
        lnp.split(np.ones(5), 2)


@pytest.mark.parametrize("k", [2**70, -(2**70), 2**63, -(2**63), 5, -5])
def test_diagonals_beyond_a_matrix(k):
    """However far: there is nothing, or all."""
    x = np.arange(12.0).reshape(3, 4)
    assert not lnp.eye(3, 4, k).any() and not lnp.eye(0, k=k).size
    np.testing.assert_array_equal(lnp.tri(3, 4, k), np.full((3, 4), float(k > 0)))
    np.testing.assert_array_equal(lnp.tril(x, k), x * (k > 0))
    np.testing.assert_array_equal(lnp.triu(x, k), x * (k < 0))
    assert lnp.diagonal(x, k).shape == (0,) and float(lnp.trace(x, k)) == 0
