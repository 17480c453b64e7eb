"""A program means the same compiled and under ``disable_jit``; values known while tracing meet traced ones as those do."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import leptonc
from leptonc import lax, nn, random, tree
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, LeptonError, RangeError, TracerError

F = np.float32
X = np.arange(12, dtype=F).reshape(3, 4)
TABLE = np.arange(20, dtype=F).reshape(5, 4) * 1.5
I, ROWS, Y = np.array(2), np.array([2, 0, 2]), np.array([1, 3, 0])


def scanned(x, i):
    return lax.scan(lambda c, row: (c.at[i].add(row.sum()), lnp.eye(3)[i]), lnp.zeros(3, F), x)


PROGRAMS = {
    "set": (lambda x, i: x.at[i].set(7), X, I),
    "set rows": (lambda x, r: x.at[r].set(-1.0), X, ROWS),
    "add rows": (lambda x, r: x.at[r].add(x), X, ROWS),
    "known set": (lambda x: x.at[1:, 0].set(5), X),
    "chain": (lambda x, i: x.at[i].set(7).at[0].add(x[1]).T.at[i].set(0), X, I),
    "zeros set": (lambda i: lnp.zeros(3).at[i].set(1), I),
    "zeros set traced value": (lambda i, v: lnp.zeros(3, F).at[0].set(v) + i, I, F(3)),
    "ones add": (lambda r: lnp.ones((3, 2)).at[r].add(2), ROWS),
    "full": (lambda i: lnp.full((4, 2), 3.0)[i], I),
    "eye": (lambda y: lnp.eye(4)[y], Y),
    "eye f32": (lambda y: lnp.eye(4, dtype=F)[y] * 2, Y),
    "table": (lambda y: lnp.asarray(TABLE)[y], Y),
    "table array": (lambda y: lnp.array(TABLE)[:, y], Y),
    "table list": (lambda i: lnp.asarray([10, 20, 30])[i], I),
    "arange": (lambda i: lnp.arange(5)[i], I),
    "arange pairs": (lambda x, y: x[lnp.arange(3), y], X, Y),
    "linspace": (lambda i: lnp.linspace(0, 1, 5)[i], I),
    "zeros_like": (lambda x, i: lnp.zeros_like(x).at[i].set(x[i]), X, I),
    "zeros_like known": (lambda i: lnp.zeros_like(TABLE).at[i].set(1), I),
    "iota": (lambda i: lax.iota("i32", 5)[i], I),
    "broadcasted_iota": (lambda i: lax.broadcasted_iota("f32", (3, 4), 1)[i], I),
    "stack": (lambda i: lnp.stack([TABLE[0], TABLE[1]])[i - 1], I),
    "concatenate": (lambda i: lnp.concatenate([TABLE, TABLE])[i], I),
    "reshape": (lambda i: lnp.reshape(TABLE, (10, 2))[i], I),
    "exp": (lambda i: lnp.exp(TABLE / 100)[i], I),
    "where": (lambda i: lnp.where(TABLE > 2, TABLE, 0)[i], I),
    "sum": (lambda i: lnp.sum(TABLE, axis=1)[i], I),
    "one_hot": (lambda i: nn.one_hot([0, 2, 1], 3)[i], I),
    "split": (lambda i: lnp.split(TABLE, 5)[3][0][i], I),
    "key": (lambda i: random.split(random.key(3), 4)[i], I),
    "normal": (lambda i: random.normal(random.key(3), (4,))[i], I),
    "operators": (lambda i: (lnp.arange(5) * 2 + 1 - np.ones(5))[i], I),
    "negative index": (lambda i: lnp.arange(5)[-i], I),
    "in place": (lambda x: tree.map(lambda v: inplace(v), x), X),
    "cast": (lambda x: x.astype("i32"), np.array([3e9, -3e9, np.nan, 1.9])),
    "known cast": (lambda i: lnp.asarray([3e9, np.nan, -1.5]).astype("i32")[i], I),
    "asarray cast": (lambda i: lnp.asarray([3e9, np.nan, -1.5], "i32")[i], I),
    "integer division": (lambda x, y: (x // y, x % y), np.array([7, -7, 5], np.int32), np.array([2, 0, -3], np.int32)),
    "scalars": (lambda s, x: (s * 2 + 1) * x, 2.5, X),
    "scalar methods": (lambda s: (s.astype("f4"), s.sum(), s[None], s.shape), 2.5),
    "rows": (lambda x: [row * 2 for row in x], X),
    "gradient": (leptonc.grad(lambda x, i: lnp.sum(x.at[i].set(0) ** 2)), X, I),
    "gradient of a table": (leptonc.grad(lambda x, i: lnp.sum(lnp.asarray(TABLE)[i] * x[i])), X, I),
    "scan": (scanned, X, I),
    "inner jit": (leptonc.jit(lambda x, i: leptonc.jit(lambda t, j: t.at[j].set(1))(TABLE, i) + x[i]), X, I),
    "vjp": (lambda x, i: leptonc.vjp(lambda v: v.at[i].add(v[0]), x)[1](x)[0], X, I),
    "known products": (lambda x: x @ lnp.ones((4, 2), F), X),
}


def inplace(v):
    v += 1
    return v


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_compiled_and_eager_agree(program):
    f, *args = program
    before = [np.array(a) for a in args]
    compiled = leptonc.jit(f)(*args)
    with leptonc.disable_jit():
        plainly = leptonc.jit(f)(*args)
    assert tree.structure(compiled) == tree.structure(plainly)
    for a, b in zip(tree.leaves(compiled), tree.leaves(plainly)):
        assert type(b) is np.ndarray and a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=1e-6)
    for a, b in zip(args, before):
        np.testing.assert_array_equal(a, b)  # the caller's arrays are left alone


def test_values_of_known_programs():
    np.testing.assert_array_equal(leptonc.jit(lambda i: lnp.zeros(3).at[i].set(1))(I), [0, 0, 1])
    np.testing.assert_array_equal(leptonc.jit(lambda y: lnp.eye(4)[y])(Y), np.eye(4)[Y])
    np.testing.assert_array_equal(leptonc.jit(lambda y: lnp.asarray(TABLE)[y])(Y), TABLE[Y])
    np.testing.assert_array_equal(leptonc.jit(lambda i: lnp.arange(5)[i])(I), 2)


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x[5],
        lambda x: x[0, -5],
        lambda x: x.at[3].set(0),
        lambda x: x[[0, 3]],
        lambda x: lnp.arange(3)[7],
        lambda x: x[np.array([True, False])],
        lambda x: x[:, np.ones(3, bool)],
        lambda x: x[np.ones((3, 3), bool)],
        lambda x: x.at[np.ones(2, bool)].set(0),
    ],
)
@pytest.mark.parametrize("disabled", [False, True])
def test_known_indices_out_of_range(use, disabled):
    with leptonc.disable_jit(disabled), pytest.raises(RangeError, match=r"test_eager.py") as error:
        leptonc.jit(use)(X)
    assert isinstance(error.value, IndexError)


def test_masks_that_fit():
    for mask in (X[:, 0] > 2, X > 3, np.zeros((3, 4), bool)):
        np.testing.assert_array_equal(leptonc.jit(lambda x, m=mask: x[m])(X), X[mask])
        np.testing.assert_array_equal(
            leptonc.jit(lambda x, m=mask: x.at[m].set(0))(X), np.where(mask if mask.ndim == 2 else mask[:, None], 0, X)
        )
    np.testing.assert_array_equal(leptonc.jit(lambda x: x[..., X[0] > 1])(X), X[..., X[0] > 1])


@pytest.mark.parametrize(
    "use, kind",
    [
        (lambda x: x.__setitem__(0, 1), (ArgumentError, TracerError)),
        (lambda x: bool(x > 0), (ArgumentError, TracerError)),
        (lambda x: x + "a", LeptonError),
        (lambda x: x.fill(0), (ValueError, LeptonError)),
    ],
)
@pytest.mark.parametrize("disabled", [False, True])
def test_what_traced_values_cannot_do(use, kind, disabled):
    x = X.copy()
    with leptonc.disable_jit(disabled), pytest.raises(kind):
        leptonc.jit(lambda x: use(x) or x)(x)
    np.testing.assert_array_equal(x, X)


def test_users_get_plain_arrays():
    for made in (
        lnp.zeros(3),
        lnp.exp(X),
        random.normal(random.key(0), (3,)),
        leptonc.jit(lambda x: x + 1)(X),
        lnp.asarray(X),
        leptonc.grad(lambda x: lnp.sum(x * x))(X),
        lax.scan(lambda c, x: (c, x), F(0), X)[1],
    ):
        assert type(made) is np.ndarray
    with leptonc.disable_jit():
        assert type(leptonc.jit(lambda x: lnp.zeros(3) + x)(1.0)) is np.ndarray


def test_numpy_on_eager_arrays():
    """Functions of NumPy work where there is something to compute with, and give arrays of the same kind."""

    def f(x):
        return np.exp(x).at[0].set(0) + np.sum(x) + np.concatenate([x, x])[:3] + np.float64(2) * x + np.ones(4, F) * x

    with leptonc.disable_jit():
        got = leptonc.jit(f)(X)
    wanted = np.exp(X)
    wanted[0] = 0
    np.testing.assert_allclose(got, wanted + X.sum() + X + np.float64(2) * X + X)


def test_eager_arrays_are_arrays():
    with leptonc.disable_jit():
        x = lnp.arange(3.0)
        assert isinstance(x, np.ndarray) and isinstance(x, leptonc.Array) and repr(x) == "array([0., 1., 2.])"
        assert float(x[1]) == 1 and int(x[2]) == 2 and [7, 8, 9][lnp.asarray(1)] == 8 and f"{x[1]:.2f}" == "1.00" and len(x) == 3
        assert pickle.loads(pickle.dumps(x)).tolist() == x.tolist()
    assert leptonc.jit(lambda v: v + 1)(x).tolist() == [1, 2, 3]  # kept beyond, it is an argument as any other


def test_masked_arrays_are_errors():
    import numpy.ma

    masked = numpy.ma.array([1.0, 2.0], mask=[True, False])
    for use in (lnp.sum, leptonc.jit(lambda x: x + 1), lambda m: lnp.asarray(m), lambda m: leptonc.grad(lambda x: lnp.sum(x))(m)):
        with pytest.raises(LeptonError, match="masked array"):
            use(masked)
    assert lnp.sum(masked.filled(0)) == 2


OUT_OF_RANGE = {
    "scalar": (lambda x, i: x[i], X, np.array(7)),
    "negative": (lambda x, i: x[i], X, np.array(-9)),
    "rows": (lambda x, r: x[r], X, np.array([0, 5, -7])),
    "pairs": (lambda x, r: x[r, r], X, np.array([0, 5, -7])),
    "computed": (lambda x, r: x[r * 2 + 1], X, ROWS),
    "cast": (lambda x, r: x[r.astype("i32")], X, np.array([0.0, 9.0])),
    "set": (lambda x, i: x.at[i].set(-1), X, np.array(3)),
    "set rows": (lambda x, r: x.at[r].set(-1), X, np.array([1, 9])),
    "add rows": (lambda x, r: x.at[:, r].add(x[:, r]), X, np.array([1, 9, -4, -5])),
    "table": (lambda r: lnp.asarray(TABLE)[r], np.array([2, 99])),
}


@pytest.mark.parametrize("program", OUT_OF_RANGE.values(), ids=OUT_OF_RANGE)
def test_indices_that_are_arguments_mean_the_same(program):
    """They are known op by op, and still read the nearest element and write nothing, as they do compiled."""
    test_compiled_and_eager_agree(program)


NOTHING_TO_DO = [  # calls that may give back what they got
    lambda x: lnp.asarray(x), lambda x: lnp.array(x), lambda x: lnp.astype(x, x.dtype), lambda x: lnp.broadcast_to(x, x.shape),
    lambda x: lnp.broadcast_arrays(x, x)[1], lambda x: lnp.concatenate([x]), lambda x: lnp.stack([x])[0], lambda x: lnp.ravel(x[0]),
    lambda x: lnp.reshape(x, x.shape), lambda x: lnp.transpose(x, (0, 1)), lambda x: lnp.permute_dims(x, (0, 1)),
    lambda x: lnp.moveaxis(x, 0, 0), lambda x: lnp.swapaxes(x, 1, 1), lambda x: lnp.squeeze(x, ()),
    lambda x: lnp.expand_dims(x, ()),
    lambda x: lnp.flip(x, ()), lambda x: lnp.pad(x, 0), lambda x: lnp.repeat(x, 1, axis=0), lambda x: lnp.tile(x, 1),
    lambda x: lnp.split(x, 1)[0], lambda x: lnp.sum(x, axis=()), lambda x: lnp.max(x, axis=()), lambda x: lnp.positive(x),
    lambda x: lnp.where(True, x, x), lambda x: lnp.clip(x, None, None), lambda x: lnp.round(x),
    lambda x: lax.pad(x, 0, [(0, 0, 0)] * 2),
    lambda x: lax.slice(x, (0, 0), x.shape), lambda x: lax.stop_gradient(x), lambda x: lax.dynamic_slice(x, (0, 0), x.shape),
    lambda x: x.reshape(x.shape), lambda x: x.T.T, lambda x: x[:], lambda x: +x,
]


@pytest.mark.parametrize("call", NOTHING_TO_DO)
def test_what_is_given_back_as_it_came_still_depends_on_arguments(call):
    """Else an index would be checked op by op, and clamped when compiled."""
    x, i = np.arange(6).reshape(2, 3), np.array([5])

    def f(x, i):
        table = call(x)
        return table[i], lnp.arange(6)[call(x)]

    compiled = leptonc.jit(f)(x, i)
    with leptonc.disable_jit():
        eager = leptonc.jit(f)(x, i)
    for a, b in zip(compiled, eager):
        np.testing.assert_array_equal(a, b)


KEPT = {
    "asarray": lambda i: lnp.asarray(i),
    "asarray of a list": lambda i: lnp.asarray([i[0], i[1]]),
    "asarray with a dtype": lambda i: lnp.asarray(i, np.int64),
    "array": lambda i: lnp.array(i),
    "full": lambda i: lnp.full((2,), i[1]),
    "stack": lambda i: lnp.stack([i[1], i[0]]),
    "another jitted function": lambda i: leptonc.jit(lambda i: i)(i),
    "scan's carry": lambda i: lax.scan(lambda c, x: (c, x), i, i)[0],
    "scan's slices": lambda i: lax.scan(lambda c, x: (c, x), i, i)[1],
    "map": lambda i: lax.map(lambda x: x, i),
    "fori_loop": lambda i: lax.fori_loop(0, 2, lambda n, v: v, i),
    "while_loop": lambda i: lax.while_loop(lambda v: v[0] > 100, lambda v: v, i),
    "cond": lambda i: lax.cond(i[0] > 100, lambda i: i, lambda i: i, i),
    "associative_scan": lambda i: lax.associative_scan(lnp.maximum, i),
    "vmap": lambda i: leptonc.vmap(lambda i: i)(i),
    "checkpoint": lambda i: leptonc.checkpoint(lambda i: i)(i),
    "stop_gradient": lambda i: lax.stop_gradient(i),
    "vjp": lambda i: leptonc.vjp(lambda i: i, i)[0],
    "drawn": lambda i: random.randint(random.fold_in(random.key(0), i[0]), (2,), 50, 90),
    "drawn permutation": lambda i: random.permutation(random.fold_in(random.key(0), i[0]), 40)[:2] + 50,
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_made_of_arguments_is_not_known(name):
    """An index out of range that depends on an argument is clamped in both modes, whatever it went through."""
    f = leptonc.jit(lambda x, i: x[KEPT[name](i)])
    x, i = np.arange(4.0), np.array([7, 9])
    with leptonc.disable_jit():
        np.testing.assert_array_equal(f(x, i), [3, 3])
    np.testing.assert_array_equal(f(x, i), [3, 3])
