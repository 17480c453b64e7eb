"""Loops and branches mean what Python's do: outside of jit, inside, and step by step without it."""

from __future__ import annotations

import itertools
import zlib

import numpy as np
import pytest

import leptonc
from leptonc import lax, tree
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, DtypeError, LeptonError, ShapeError, TreeError
from leptonc.ir import parse


def f32(*shape, seed=0):
    return np.random.default_rng([seed, zlib.crc32(str(shape).encode())]).standard_normal(shape).astype(np.float32)


def close(got, wanted, tolerance=1e-5, what=""):
    assert tree.structure(got) == tree.structure(wanted), what
    for a, b in zip(tree.leaves(got), tree.leaves(wanted)):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape), what
        np.testing.assert_allclose(a.astype(np.float64), b.astype(np.float64), rtol=tolerance, atol=tolerance, err_msg=what)


def agree(f, *args, tolerance=1e-5):
    """Without jit, outside of a trace, and inside of one."""
    with leptonc.disable_jit():
        wanted = f(*args)
    close(f(*args), wanted, tolerance, "outside of a trace")
    close(leptonc.jit(f)(*args), wanted, tolerance, "in a trace")
    return wanted


C, X, W = f32(3), f32(5, 3), f32(3, 3)

SCANS = {
    "no y": lambda: lax.scan(lambda c, x: (c + x, None), C, X),
    "a carry of None": lambda: lax.scan(lambda c, x: (None, x * 2), None, X),
    "an empty carry": lambda: lax.scan(lambda c, x: ((), {"a": x * 2, "b": (x, None)}), (), X),
    "no xs": lambda: lax.scan(lambda c, _: (c * 2, c[0]), C, None, length=4),
    "no trips": lambda: lax.scan(lambda c, x: (c * 2 + x, (c, x)), C, X[:0]),
    "the carry as y": lambda: lax.scan(lambda c, x: (c + x, c), C, X),
    "the new carry as y": lambda: lax.scan(lambda c, x: (c + x, c + x), C, X),
    "the slice as carry": lambda: lax.scan(lambda c, x: (x, c), C, X),
    "exchange": lambda: lax.scan(lambda c, x: ((c[1], c[0]), c[0] + x), (C, X[0]), X),
    "one array as two carries": lambda: lax.scan(lambda c, x: ((c[0] + x, c[1] * x), None), (C, C), X),
    "one array as two xs": lambda: lax.scan(lambda c, x: (c + x[0], x[1] * c), C, (X, X)),
    "a constant as y": lambda: lax.scan(lambda c, x: (c, np.ones(3, np.float32)), C, X),
    "a constant as carry": lambda: lax.scan(lambda c, x: (np.ones(3, np.float32), c), C, X),
    "closed over an array": lambda: lax.scan(lambda c, x: (c + x @ W, c), C, X, reverse=True),
    "carries of no elements": lambda: lax.scan(lambda c, x: ((c[0] * 2, c[1] + x), c[0]), (f32(0, 3), C), X),
    "unroll by 2": lambda: lax.scan(lambda c, x: (c + x, c), C, X, unroll=2),
    "written out": lambda: lax.scan(lambda c, x: (c + x, c), C, X, unroll=True),
    "a Python int": lambda: lax.scan(lambda c, x: (c + 1, c), 0, X),
    "a Python int beside floats": lambda: lax.scan(lambda c, x: (c + x[0], c), 0, X),
    "a Python float": lambda: lax.scan(lambda c, x: (c * 2.5, c * x), 1.0, X),
    "a product of all slices": lambda: lax.scan(lambda c, x: (lnp.tanh(x @ W + c @ W), x @ W), C, X),
}
LOOPS = {
    "fori": lambda: lax.fori_loop(0, 5, lambda i, c: c * i + X[0], C),
    "fori of no trips": lambda: lax.fori_loop(3, 1, lambda i, c: c * 2, C),
    "fori written out": lambda: lax.fori_loop(0, 4, lambda i, c: c * i + c, C, unroll=True),
    "fori of a Python number": lambda: lax.fori_loop(0, 5, lambda i, c: c + i * C[0], 0),
    "rotation": lambda: lax.while_loop(lambda s: s[3] < 5, lambda s: (s[1], s[2], s[0], s[3] + 1), (C, X[0], X[1], 0)),
    "no trips": lambda: lax.while_loop(lambda s: s[0] > 1e9, lambda s: s * 2, C),
    "a Python number": lambda: lax.while_loop(lambda c: c < 10, lambda c: c + C[0] * C[0], 0),
}
def doublings(x):
    return lax.while_loop(lambda s: s[1] < 4, lambda s: (s[0] + 1, s[1] * 2), (np.float64(0), x))[0]


NESTED = {
    "scan in scan": lambda: lax.scan(lambda c, r: lax.scan(lambda c, e: (c * 0.9 + e * X[0, 0], c), c, r), np.float32(1), X),
    "cond in scan": lambda: lax.scan(lambda c, r: (lax.cond(r[0] > 0, lambda c: c + r, lambda c: c - r @ W, c), c), C, X),
    "while in scan": lambda: lax.scan(lambda c, r: (
        lax.while_loop(lambda s: lnp.sum(s * s) < 30, lambda s: s * 2 + r * r + 1, c) * 0.1, c), C, X),
    "scan in cond": lambda: [lax.cond(C[0] * sign > 0, lambda c: lax.scan(lambda c, r: (c + r, c * r), c, X), lambda c: (c, X), C)
                             for sign in (1, -1)],
    "scan in while": lambda: lax.while_loop(lambda s: s[1] < 3, lambda s: (lax.scan(lambda c, r: (c * 0.5 + r, None), s[0], X)[0],
                                                                           s[1] + 1), (C, 0)),
    "scan of what a scan gives": lambda: lax.scan(lambda c, r: (c * r, c), *lax.scan(lambda c, r: (c + r, c), C, X)),
}
BRANCHES = {
    "trees": lambda: lax.cond(C[0] > 0, lambda a, b: {"x": a, "y": (b, None)}, lambda a, b: {"x": b, "y": (a, None)}, C, C * 2),
    "no operands": lambda: lax.cond(C[0] > 0, lambda: C * 2, lambda: C),
    "a number for a pred": lambda: lax.cond(C[0], lambda a: a, lambda a: -a, C),
    "nan": lambda: lax.cond(np.float32("nan"), lambda a: a, lambda a: -a, C),
    "no results": lambda: lax.cond(True, lambda a: None, lambda a: None, C),
    "constants": lambda: lax.cond(C[0] > 0, lambda a: np.ones(3, np.float32), lambda a: np.zeros(3, np.float32), C),
    "one result twice": lambda: lax.cond(C[0] > 0, lambda a: (a, a), lambda a: (a * 2, a), C),
    "both the same": lambda: lax.cond(C[0] > 0, lambda a: a, lambda a: a, C),
}
MAPS = {
    "map": lambda: lax.map(lambda r: (r * 2, lnp.sum(r)), X),
    "map in batches": lambda: lax.map(lambda r: (r * 2, lnp.sum(r)), X, batch_size=2),
    "map of none": lambda: lax.map(lambda r: (r * 2, lnp.sum(r)), X[:0]),
    "associative_scan": lambda: lax.associative_scan(lambda a, b: a * b, f32(3, 7), reverse=True, axis=1),
    "associative_scan of matrices": lambda: lax.associative_scan(lambda a, b: a @ b, f32(6, 2, 2)),
    "associative_scans of few": lambda: [lax.associative_scan(lambda a, b: a + b, f32(n, 2)) for n in range(4)],
}
TABLES = {"scan": SCANS, "loop": LOOPS, "nested": NESTED, "branch": BRANCHES, "map": MAPS}
ALL = {f"{kind}, {name}": f for kind, table in TABLES.items() for name, f in table.items()}


def of_globals(f):
    """f with the arrays it reads as arguments: traced in jit."""
    def run(c, x, w):
        before = globals()["C"], globals()["X"], globals()["W"]
        globals().update(C=c, X=x, W=w)
        try:
            return f()
        finally:
            globals().update(zip("CXW", before))

    return run


@pytest.mark.parametrize("name", ALL)
def test_agrees(name):
    """What is closed over is an outer tracer inside of jit."""
    agree(of_globals(ALL[name]), C, X, W)


@pytest.mark.parametrize("dtype", ["int8", "uint32", "int64", "float16", "float64"])
def test_dtypes_of_carries(dtype):
    a = (f32(4, 5) * 3).astype(dtype)
    agree(lambda c, x: (lax.scan(lambda c, x: (c * x + c, c), c, x),
                        lax.while_loop(lambda s: s[1] < 3, lambda s: (s[0] * x[0] + s[0], s[1] + 1), (c, 0)),
                        lax.cond(c[0] > 0, lambda a: a * 2, lambda a: a + a * a, c)),
          a[0], a, tolerance=1e-2 if dtype == "float16" else 1e-9)


def test_an_operand_by_name():
    for run in (lambda f: f, leptonc.jit):
        assert run(lambda: lax.cond(True, lambda x: x + 1, lambda x: x, operand=2))() == 3
        assert run(lambda: lax.cond(False, lambda _: 1, lambda _: 4, operand=None))() == 4
    with pytest.raises(ArgumentError, match="leave operand out"):
        lax.cond(True, lambda x: x, lambda x: x, 1, operand=2)


def test_bools_as_carry():
    flags = f32(4, 5) > 0
    agree(lambda c, x: lax.scan(lambda c, x: (lnp.logical_xor(c, x), c), c, x), flags[0], flags)


@pytest.mark.parametrize("index", [np.int32(-5), np.int32(1), np.int32(7), np.uint32(2**32 - 1), np.int64(2**40), np.int64(-2**40),
                                   2])
def test_indices_out_of_range_are_clamped(index):
    found = agree(lambda i, a: lax.switch(i, [lambda a: a, lambda a: -a, lambda a: a * a], a), index, C)
    close(found, [C, -C, C * C][int(np.clip(int(index), 0, 2))])


@pytest.mark.parametrize("bound", [np.int8(100), np.int64(3), 4])
def test_traced_bounds(bound):
    found = agree(lambda n, x: lax.fori_loop(0, n, lambda i, c: c + i * x, x), bound, C)
    close(found, C + np.float32(sum(range(int(bound)))) * C, 1e-4)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_large_bodies_run_on_all_threads(threads):
    a, b = f32(300, 300) * 0.05, f32(4, 300, 300) * 0.05

    def f(c, x):
        scanned = lax.scan(lambda c, x: ((lnp.tanh(c[1] @ x), c[0] * 2), lnp.sum(c[0], 0)), (c, x[0]), x)
        looped = lax.while_loop(lambda s: s[1] < 3, lambda s: (lnp.tanh(s[0] @ x[0]) + s[0], s[1] + 1), (c, 0))
        chosen = lax.scan(lambda c, x: (lax.cond(x[0, 0] > 0, lambda c: lnp.tanh(c @ x) + c, lambda c: c + x, c), c[0]), c, x)
        return scanned, looped, chosen

    with leptonc.disable_jit():
        wanted = f(a, b)
    leptonc.set_num_threads(threads)
    try:
        close(leptonc.jit(f)(a, b), wanted, 1e-4)
    finally:
        leptonc.set_num_threads(None)


def test_a_carry_that_is_given_away():
    """init is overwritten, and the result is where it lay."""
    step = leptonc.jit(lambda c, x: lax.scan(lambda c, x: (c * 0.5 + x, None), c, x)[0], donate_argnums=0)
    c, x = f32(1000), f32(6, 1000)
    wanted, where = step(c.copy(), x), c.ctypes.data
    found = step(c, x)
    assert found.ctypes.data == where
    close(found, wanted)


def test_kernels_and_their_text_are_the_same_for_any_number_of_trips():
    def texts(length):
        def loss(w, xs):
            return lnp.sum(lax.scan(lambda h, x: (lnp.tanh(h @ w + x), None), f32(4, 8), xs)[0])

        lowered = leptonc.jit(leptonc.grad(loss)).trace(f32(8, 8), f32(length, 4, 8)).lower()
        return [text.count("\n") for text in (lowered.as_text(), lowered.compile().as_text())]

    assert texts(128) == texts(1024)  # of fewer, the sum behind the loop is in one part; of more, it is split over threads


# Derivatives


def lstm_like(h, x, w):
    return lnp.tanh(h @ w + x) * 0.5 + h


def written_out(w, h, xs):
    ys = []
    for x in xs:
        h = lstm_like(h, x, w)
        ys.append(h * x)
    return h, lnp.stack(ys)


def scanned(w, h, xs):
    def step(h, x):
        h = lstm_like(h, x, w)
        return h, h * x

    return lax.scan(step, h, xs)


def loss_of(f, which):
    def loss(w, h, xs):
        last, ys = f(w, h, xs)
        return {"last": lnp.sum(last * last), "ys": lnp.sum(ys ** 2), "both": lnp.sum(last) * lnp.sum(ys)}[which]

    return loss


@pytest.mark.parametrize("which", ["last", "ys", "both"])
def test_gradients_by_everything(which):
    args = [a.astype(np.float64) for a in (W, C, X)]
    for transformed in (lambda f: leptonc.grad(f, (0, 1, 2)),
                        lambda f: leptonc.grad(lambda *a: sum(lnp.sum(g * g) for g in leptonc.grad(f, (0, 1, 2))(*a)), (0, 1, 2))):
        wanted = transformed(loss_of(written_out, which))(*args)
        close(leptonc.jit(transformed(loss_of(scanned, which)))(*args), wanted, 1e-9)


def test_gradients_through_branches():
    def f(a, b, sign):
        return lnp.sum(lax.switch(sign, [lambda a, b: a * b, lambda a, b: lnp.sin(a), lambda a, b: lax.cond(
            a[0] > 0, lambda: a * a * b, lambda: b * b)], a, b))

    for sign, wanted in enumerate([(X[0], C), (np.cos(C), C * 0), (2 * C * X[0], C * C) if C[0] > 0 else (C * 0, 2 * X[0])]):
        close(leptonc.jit(leptonc.grad(f, (0, 1)))(C, X[0], np.int32(sign)), wanted)


def test_slices_of_ints_have_no_gradient():
    def f(c, x, n):
        return lnp.sum(lax.scan(lambda c, s: (c * s[0] + s[1], s[1] * 2), c, (x, n))[0])

    n, c = np.arange(15).reshape(5, 3).astype(np.int32), C.astype(np.float64)
    wanted = leptonc.grad(lambda c: f(c, X, n.astype(np.float64)))(c)
    close(leptonc.grad(f)(c, X, n), wanted)


@pytest.mark.parametrize("inner", ["scan", "cond", "switch in scan"])
def test_gradients_of_nested_loops(inner):
    """The derivative of the inner one is a part of the outer body that has to be linear by itself."""
    def inner_of(h, x, w):
        if inner == "scan":
            return lax.scan(lambda h, r: (lnp.tanh(h * r + x), None), h, w)[0]
        if inner == "cond":
            return lax.cond(x[0] > 0, lambda h: lnp.sin(h) * x, lambda h: h @ w, h)
        return lax.scan(lambda h, r: (lax.switch(lnp.asarray(1), [lambda h: h, lambda h: lnp.sin(h) * r], h), None), h, w)[0]

    def loss(w, h, xs):
        return lnp.sum(lax.scan(lambda h, x: (inner_of(h, x, w), None), h, xs)[0] ** 2)

    def plain(w, h, xs):
        for x in xs:
            if inner == "cond":
                h = lnp.where(x[0] > 0, lnp.sin(h) * x, h @ w)
                continue
            for r in w:
                h = lnp.tanh(h * r + x) if inner == "scan" else lnp.sin(h) * r
        return lnp.sum(h ** 2)

    args = [a.astype(np.float64) for a in (W, C, X)]
    wanted = leptonc.grad(plain, (0, 1, 2))(*args)
    close(leptonc.jit(leptonc.grad(loss, (0, 1, 2)))(*args), wanted, 1e-9)
    def gradient_of_gradient(f):
        return leptonc.grad(lambda *a: sum(lnp.sum(g ** 2) for g in leptonc.grad(f, (0, 1, 2))(*a)))(*args)

    close(gradient_of_gradient(loss), gradient_of_gradient(plain), 1e-8)


def test_reverse_mode_through_while_says_what_to_use():
    with pytest.raises(LeptonError, match=r"no derivative in reverse mode.*fix: lax.scan.*jvp"):
        leptonc.grad(lambda x: lax.while_loop(lambda x: x < 9, lambda x: x * x, x))(np.float32(2))
    found = leptonc.jvp(lambda x: lax.while_loop(lambda x: x < 9, lambda x: x * x, x), (np.float32(2),), (np.float32(1),))
    close(found, (np.float32(16), np.float32(32)))


def test_what_linearize_keeps_of_a_loop_is_not_made_again():
    _, push = leptonc.linearize(lambda h: scanned(W, h, X), C)
    for seed in range(2):
        tangent = f32(3, seed=seed)
        close(push(tangent), leptonc.jvp(lambda h: scanned(W, h, X), (C,), (tangent,))[1], 1e-4)


# Batches


def program_of(kind):
    return {
        "scan": lambda c, x, w: lax.scan(lambda c, x: (lnp.tanh(c @ w + x), c * x), c, x),
        "while": lambda c, x, w: lax.while_loop(lambda s: (lnp.sum(s[0] ** 2) < 40) & (s[1] < 9),
                                                lambda s: (s[0] * 1.5 + x[0] @ w, s[1] + 1), (c, 0)),
        "fori": lambda c, x, w: lax.fori_loop(0, 3, lambda i, c: c * i + x[0] @ w, c),
        "cond": lambda c, x, w: lax.cond(c[0] + x[0, 0] > 0, lambda c: (c @ w, c), lambda c: (x[0], c * 2), c),
        "switch": lambda c, x, w: lax.switch(lnp.floor(c[0] * 2).astype(np.int32),
                                             [lambda c: c @ w, lambda c: c, lambda c: x[0]], c),
    }[kind]


@pytest.mark.parametrize("kind", ["scan", "while", "fori", "cond", "switch"])
def test_every_subset_of_batched_operands(kind):
    f, args = program_of(kind), (f32(4, 3, seed=1), f32(4, 5, 3, seed=2), f32(4, 3, 3, seed=3))
    for subset in range(1, 8):
        axes = tuple(0 if subset >> n & 1 else None for n in range(3))
        given = [a if axis == 0 else a[0] for a, axis in zip(args, axes)]
        each = [f(*(a[n] if axis == 0 else a for a, axis in zip(given, axes))) for n in range(4)]
        close(leptonc.jit(leptonc.vmap(f, axes))(*given), tree.map(lambda *ys: np.stack([np.asarray(y) for y in ys]), *each), 1e-4)


# Wrong calls


@pytest.mark.parametrize("call, error, said", [
    (lambda: lax.scan(lambda c, x: (c, x), C, (X, X[:3])), ShapeError, "first extent of 5"),
    (lambda: lax.scan(lambda c, x: c, C, X), TreeError, r"expected a tuple \(carry, y\)"),
    (lambda: lax.scan(lambda c, x: (c[:2], x), C, X), ShapeError, "carry went in as f32.3. and came out as f32.2."),
    (lambda: lax.scan(lambda c, x: ((c, c), x), C, X), TreeError, "the carry went in as .*carry: expected a leaf, got a tuple"),
    (lambda: lax.scan(lambda c, x: ({"b": c["a"]}, x), {"a": C}, X), TreeError, "carry: .*'b'"),
    (lambda: lax.scan(lambda c, x: (c, x), C), LeptonError, "number of steps is unknown"),
    (lambda: lax.scan(lambda c, x: (c, x), C, X, length=4), ShapeError, "first extent of 4"),
    (lambda: lax.while_loop(lambda c: c > 0, lambda c: c, C), DtypeError, "cond_fun must give one bool"),
    (lambda: lax.while_loop(lambda c: 1.0, lambda c: c, C), DtypeError, "cond_fun must give one bool"),
    (lambda: lax.while_loop(lambda c: c[0] > 0, lambda c: c[:2], C), ShapeError, "came out as"),
    (lambda: lax.fori_loop(0.5, 3, lambda i, c: c, C), DtypeError, "lower must be one integer"),
    (lambda: lax.cond(X, lambda: C, lambda: C), LeptonError, "pred must be one bool"),
    (lambda: lax.cond(True, lambda: C, lambda: X), ShapeError, r"false_fun \(lambda\) is .*true_fun .*give the same shapes"),
    (lambda: lax.cond(True, lambda: C, lambda: (C,)), TreeError, r"true_fun .*false_fun .*the result: expected a tuple"),
    (lambda: lax.switch(0, [lambda: C, lambda: 1, lambda: X]), ShapeError, r"the result of branches\[0\] \(lambda\) is"),
    (lambda: lax.switch(1.5, [lambda: C]), DtypeError, "index must be one integer"),
    (lambda: lax.switch(0, []), LeptonError, "no branches"),
    (lambda: lax.map(lambda x: x, X, batch_size=0), LeptonError, "batch_size"),
    (lambda: lax.associative_scan(lambda a, b: (a, b), X), TreeError, "associative_scan"),
    (lambda: lax.associative_scan(lambda a, b: a[0], X), LeptonError, "it must give what it takes"),
    (lambda: lax.associative_scan(np.float32, X), ArgumentError, "must be a function of 2 arguments"),
    (lambda: lax.scan(lambda c: c, C, X), ArgumentError, "f=.* must be a function of 2 arguments"),
    (lambda: lax.map(lambda a, b: a, X), ArgumentError, "must be a function of 1 argument"),
    (lambda: lax.fori_loop(0, 2, np.float32, C), ArgumentError, "must be a function of 2 arguments"),
    (lambda: lax.while_loop(lambda: True, lambda c: c, C), ArgumentError, "cond_fun=.* must be a function of 1 argument"),
    (lambda: lax.cond(True, lambda: C, lambda x: C), ArgumentError, "false_fun=.* must be a function of 0 arguments"),
    (lambda: lax.reduce(X, np.float32(0), np.float32, (0,)), ArgumentError, "must be a function of 2 arguments"),
])
@pytest.mark.parametrize("traced", [False, True])
def test_wrong_calls(call, error, said, traced):
    with pytest.raises(error, match=said):
        leptonc.jit(lambda _: call())(0) if traced else call()


@pytest.mark.parametrize("call, error, said", [
    (lambda: lax.while_loop(lambda c: c[0] < 3, lambda c: c * 1.5, np.zeros(2, np.int32)), ShapeError, "as i32.2. and came"),
    (lambda: lax.while_loop(lambda c: c[0] < 3, lambda c: (c, c), np.zeros(2)), TreeError, "expected a leaf, got a tuple"),
    (lambda: lax.while_loop(lambda c: c < 3, lambda c: c, np.zeros(2)), DtypeError, "must give one bool, it gives bool.2."),
    (lambda: lax.while_loop(lambda c: (True, c), lambda c: c, np.zeros(2)), DtypeError, "must give one bool"),
])
def test_loops_that_go_step_by_step_ask_for_the_same(call, error, said):
    with pytest.raises(error, match=said):
        call()
    with leptonc.disable_jit(), pytest.raises(error, match=said):
        call()


class Twice:
    """A function object that has no hash."""

    __hash__ = None

    def __eq__(self, other):
        return self is other

    def __call__(self, *args):
        return args[-1] * 2


def test_functions_without_a_hash():
    x = np.arange(3, dtype=np.float32)
    np.testing.assert_array_equal(lax.map(Twice(), x), 2 * x)
    np.testing.assert_array_equal(lax.fori_loop(0, 3, Twice(), x), 8 * x)
    np.testing.assert_array_equal(lax.while_loop(lambda v: lnp.sum(v) < 20, Twice(), x), 8 * x)
    np.testing.assert_array_equal(lax.cond(True, Twice(), Twice(), x), 2 * x)
    np.testing.assert_array_equal(lax.scan(lambda c, x: (Twice()(c), x), np.float32(1), x)[0], 8)


def test_what_stands_behind_stop_gradient_does_not_move():
    """A carry that depends on what is differentiated through stop_gradient alone has no cotangent, and no tangent's carry."""
    def loss(w, xs):
        def trip(c, x):
            a, b = c
            return (a * w + x, b + lax.stop_gradient(a)), None
        a, b = lax.scan(trip, (np.float32(1), np.float32(0)), xs)[0]
        return a + b

    xs = np.array([0.5, -0.25, 2], np.float32)
    gradient = leptonc.grad(loss)(np.float32(0.75), xs)
    assert np.isclose(gradient, leptonc.grad(lambda w: ((w + xs[0]) * w + xs[1]) * w + xs[2])(np.float32(0.75)))
    assert np.isclose(leptonc.jit(leptonc.grad(loss))(np.float32(0.75), xs), gradient)
    backward = [n for n in leptonc.make_graph(leptonc.grad(loss))(np.float32(0.75), xs).nodes if n.op == "scan"][-1]
    assert backward.attributes["carries"] == 2  # the cotangent of a, and the sum for w


def test_the_text_of_a_gradient_through_loops_parses_back():
    def loss(w, xs):
        def trip(h, x):
            h = lax.cond(lnp.sum(x) > 0, lambda h: lnp.tanh(h * w + x), lambda h: lnp.sin(h), h)
            return h, lax.scan(lambda c, r: (c + r * w, c), lnp.sum(h), x)[1]
        h, ys = lax.scan(trip, xs[0], xs)
        return lnp.sum(h) + lnp.sum(ys)

    graph = leptonc.make_graph(leptonc.grad(loss))(np.float32(0.5), np.ones((3, 4), np.float32))
    assert parse(str(graph)) == graph and str(parse(str(graph))) == str(graph)


NESTED = {
    "scan": lambda f: lambda w, x: lax.scan(lambda c, r: (f(c * w, r), None), lnp.sum(x), lnp.stack([x, x * 0.5]))[0],
    "cond": lambda f: lambda w, x: lax.cond(lnp.sum(x) > 0, lambda w: f(w, x), lambda w: w * w * 0.5, w),
    "checkpoint": leptonc.checkpoint,
    "while": lambda f: lambda w, x: f(w, x) * lax.stop_gradient(doublings(lnp.abs(w) + 1)),  # needs no derivative
}


@pytest.mark.parametrize("names", list(itertools.product(NESTED, repeat=3)), ids=" ".join)
def test_derivatives_of_what_is_nested_three_deep(names):
    """Reverse, forward, and reverse of reverse, against differences; in f64."""
    f = lambda w, x: lnp.sin(w * lnp.sum(x)) + w  # noqa: E731
    for name in names:
        f = NESTED[name](f)
    x, w, h = np.array([0.3, -0.1, 0.4]), np.float64(0.7), 1e-6
    first = leptonc.grad(f)
    assert np.isclose(first(w, x), (f(w + h, x) - f(w - h, x)) / (2 * h), rtol=1e-6)
    assert np.isclose(leptonc.jvp(lambda w: f(w, x), (w,), (np.float64(1),))[1], first(w, x), rtol=1e-10)
    assert np.isclose(leptonc.grad(first)(w, x), (first(w + h, x) - first(w - h, x)) / (2 * h), rtol=1e-5)
