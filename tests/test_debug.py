"""Callbacks of traced code: order, values, transformations, loops and branches; calls at the border of a program."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import debug, lax
from leptonc import numpy as lnp

X = np.arange(3.0)


class Log(list):
    """What was called with, as Python values."""

    def __call__(self, *args, **kwargs):
        self.append(tuple(np.asarray(a).tolist() if isinstance(a, np.ndarray) else a for a in (*args, *kwargs.values())))


@pytest.fixture
def log():
    return Log()


def test_calls_stand_in_the_order_of_the_program(log):
    @leptonc.jit
    def f(x):
        debug.callback(log, "first", x)
        y = x * 2
        debug.callback(log, "second", y, total=y.sum())
        debug.callback(log, "third")
        return y

    for scale in (1, 10):
        np.testing.assert_array_equal(f(X * scale), X * 2 * scale)
    want = [("first", [0, 1, 2]), ("second", [0, 2, 4], 6), ("third",)]
    assert log == want + [(w, *([[v * 10 for v in x] if isinstance(x, list) else x * 10 for x in rest])) for w, *rest in want]
    with leptonc.disable_jit():
        f(X)
    assert log[6:] == want


def test_a_call_without_results_is_made(log):
    leptonc.jit(lambda x: debug.callback(log, x))(1.5)
    assert log == [(1.5,)]


def test_print_formats_values(capsys):
    leptonc.jit(lambda x: debug.print("x {0} of {name:.2f}, {0}", x, name=x.sum()))(X)
    debug.print("now {}", 3)
    assert capsys.readouterr().out == "x [0. 1. 2.] of 3.00, [0. 1. 2.]\nnow 3\n"


def test_log_is_a_logger(caplog):
    with caplog.at_level("INFO", "leptonc.debug"):
        leptonc.jit(lambda x: debug.log("x {}", x))(2.0)
    assert caplog.messages == ["x 2.0"]


def test_derivatives_see_values(log):
    def f(x):
        debug.callback(log, x)
        return (x * x * x).sum()

    np.testing.assert_allclose(leptonc.jit(leptonc.grad(f))(X), 3 * X**2)
    assert log == [([0, 1, 2],)]
    out, pull = leptonc.vjp(f, X)
    np.testing.assert_allclose(pull(1.0)[0], 3 * X**2)
    assert len(log) == 2 and out == 9
    assert leptonc.jvp(f, (X,), (np.ones(3),))[1] == 15
    np.testing.assert_allclose(leptonc.jit(leptonc.jacrev(f))(X), 3 * X**2)
    assert log == [([0, 1, 2],)] * 4
    np.testing.assert_allclose(leptonc.jit(leptonc.hessian(f))(X), np.diag(6 * X))
    assert len(log) == 5


def test_examples_of_vmap_one_by_one(log):
    def f(x, y):
        debug.callback(log, x, y)
        debug.callback(log, y)
        return x + y

    leptonc.jit(leptonc.vmap(f, (0, None)))(X[:2], 5.0)
    assert log == [(0, 5), (5,), (1, 5), (5,)]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("run", [lambda f: f, leptonc.jit], ids=["outside", "inside"])
def test_trips_of_loops(log, run, reverse):
    def step(c, x):
        debug.callback(log, "in", c, x)
        debug.callback(log, "out", c + x)
        return c + x, x

    total, ys = run(lambda x: lax.scan(step, np.float64(0), x, reverse=reverse))(X + 1)
    assert total == 6 and ys.tolist() == [1, 2, 3]
    want = [("in", 0, 1), ("out", 1), ("in", 1, 2), ("out", 3), ("in", 3, 3), ("out", 6)]
    assert log == (want if not reverse else [("in", 0, 3), ("out", 3), ("in", 3, 2), ("out", 5), ("in", 5, 1), ("out", 6)])


def test_loops_with_known_bounds_in_a_gradient(log):
    def loss(w):
        def trip(i, c):
            debug.callback(log, i, c)
            return c * w

        return lax.fori_loop(0, 3, trip, np.float64(1))

    np.testing.assert_allclose(leptonc.jit(leptonc.grad(loss))(2.0), 12)
    assert log == [(0, 1), (1, 2), (2, 4)]


def test_the_branch_that_is_taken(log):
    def big(x):
        debug.callback(log, "big", x)
        return x * 2

    def small(x):
        debug.callback(log, "small", x, x + 1)
        return x

    f = leptonc.jit(lambda x: lax.cond(x > 2, big, small, x))
    assert f(3.0) == 6 and f(1.0) == 1
    assert log == [("big", 3), ("small", 1, 2)]
    leptonc.jit(lambda x: lax.scan(lambda c, v: (lax.cond(v > 1, big, small, v), None), np.float64(0), x))(X)
    assert log[2:] == [("small", 0, 1), ("small", 1, 2), ("big", 2)]
    each = leptonc.jit(leptonc.vmap(lambda v: lax.switch(lnp.astype(v, int), [small, big], v)))
    assert each(X).tolist() == [0, 2, 4]
    assert log[5:] == [("small", 0, 1), ("big", 1), ("big", 2)]


def test_what_a_callback_raises_is_raised(log):
    def fail(x):
        raise ValueError(f"got {x}")

    f = leptonc.jit(lambda x: debug.callback(fail, x))
    for _ in range(2):
        with pytest.raises(ValueError, match=r"got 2\.0"):
            f(2.0)


def test_a_jitted_function_inside_another(log):
    inner = leptonc.jit(lambda x: debug.callback(log, x))
    leptonc.jit(lambda x: inner(x + 1))(1.0)
    compiled = inner.trace(1.0).compile()
    compiled(7.0)
    assert log == [(2,), (7,)] and leptonc.eval_shape(inner, 1.0) is None


@leptonc.custom_jvp
def _ruled(x):
    debug.print("{}", x)
    return x


_ruled.defjvp(lambda p, t: (p[0], t[0]))


@pytest.mark.parametrize("wrong", [
    lambda: lax.while_loop(lambda c: c < 3, lambda c: (debug.print("{}", c), c + 1)[1], 0.0), lambda: debug.print("{} {}", 1),
    lambda: leptonc.jit(leptonc.checkpoint(lambda x: debug.print("{}", x)))(1.0), lambda: debug.print("{a}", b=1),
    lambda: leptonc.jit(_ruled)(1.0), lambda: debug.callback(3), lambda: debug.print(3), lambda: debug.print("{", 1),
    lambda: leptonc.freeze(lambda w, x: debug.print("{}", x), 1.0)(2.0)])
def test_where_they_cannot_stand(wrong):
    with pytest.raises(leptonc.LeptonError):
        wrong()


def test_the_border_of_a_program():
    tree = {"a": X, "b": [1.0]}
    assert leptonc.block_until_ready(tree) is tree
    assert leptonc.device_put(tree)["b"][0].dtype == np.float64 and type(leptonc.device_get(tree)["a"]) is np.ndarray
    with pytest.raises(leptonc.TracerError):
        leptonc.jit(leptonc.device_get)(X)


STRUCT = leptonc.ShapeDtypeStruct((3,), "f8")
STRUCT_OF_ONE = leptonc.ShapeDtypeStruct((), "f4")


def squared(x, k=1.0):
    assert type(x) is np.ndarray
    return x * x * k


def by_host(x):
    return leptonc.pure_callback(squared, STRUCT, x, k=2.0)


@pytest.mark.parametrize("run", [lambda f: f, leptonc.jit], ids=["outside", "inside"])
def test_results_of_python(run):
    """Between pieces: what is made before a call and needed behind it is made once."""
    def f(x):
        y = lnp.sin(x)
        z = by_host(y) + y
        return by_host(z), z, x

    y = np.sin(X)
    z = 2 * y * y + y
    for _ in range(2):
        for got, want in zip(run(f)(X), (2 * z * z, z, X), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-14)


def test_results_of_python_for_each_example(log):
    def f(x):
        return leptonc.pure_callback(lambda v: (log(v), np.float32(v.sum()))[1], leptonc.ShapeDtypeStruct((), "f4"), x)

    got = leptonc.jit(leptonc.vmap(f))(np.stack([X, X + 1]))
    assert got.tolist() == [3, 6] and got.dtype == np.float32 and log == [([0, 1, 2],), ([1, 2, 3],)]


def test_results_of_python_with_a_derivative_by_rule():
    ruled = leptonc.custom_vjp(by_host)
    ruled.defvjp(lambda x: (by_host(x), x), lambda x, g: (4 * x * g,))
    np.testing.assert_allclose(leptonc.jit(ruled)(X), 2 * X * X)
    slope = leptonc.jit(leptonc.grad(lambda x: ruled(lnp.cos(x)).sum()))(X)
    np.testing.assert_allclose(slope, -4 * np.cos(X) * np.sin(X), atol=1e-15)


@pytest.mark.parametrize("wrong, words", [
    (lambda: leptonc.jit(leptonc.grad(lambda x: by_host(x).sum()))(X), "custom_vjp"),
    (lambda: leptonc.jit(lambda x: lax.scan(lambda c, v: (by_host(c), v), x, x))(X), "stands in a scan"),
    (lambda: leptonc.jit(lambda x: lax.cond(x[0] > 0, by_host, lambda v: v, x))(X), "stands in a switch"),
    (lambda: leptonc.pure_callback(lambda x: x[:2], STRUCT, X), "was promised"),
    (lambda: leptonc.jit(lambda x: leptonc.pure_callback(lambda x: x + 1j, STRUCT, x))(X), "was promised"),
    (lambda: leptonc.jit(by_host).trace(X).lower(), "pieces"), (lambda: leptonc.pure_callback(3, STRUCT, X), "a function"),
    (lambda: leptonc.jit(by_host).trace(X).compile().as_text("asm"), "pieces")])
def test_where_python_cannot_be_called(wrong, words):
    with pytest.raises(leptonc.LeptonError, match=words):
        wrong()


def test_io_callback_runs_once_each_in_order():
    seen: list[float] = []

    def draw() -> np.float32:
        seen.append(0.0)
        return np.float32(len(seen))

    @leptonc.jit
    def f(x):
        first = leptonc.io_callback(draw, STRUCT_OF_ONE)
        leptonc.io_callback(lambda v: seen.append(float(v)), None, x + first)
        leptonc.io_callback(draw, STRUCT_OF_ONE, ordered=True)  # nobody wants its result
        return x * leptonc.io_callback(draw, STRUCT_OF_ONE)

    one = np.float32(3)
    assert f(one) == 3 * 4 and seen == [0, 4, 0, 0]
    assert f(one) == 3 * 8 and seen == [0, 4, 0, 0, 0, 8, 0, 0]
    with leptonc.disable_jit():
        assert f(one) == 3 * 12
    got = leptonc.vmap(lambda x: leptonc.io_callback(lambda v: seen.append(float(v)) or v, STRUCT_OF_ONE, x))(X)
    np.testing.assert_array_equal(got, X)
    assert seen[-len(X):] == list(X)
    with pytest.raises(leptonc.errors.LeptonError, match="compiled loops and branches wait for no Python"):
        leptonc.jit(lambda x: leptonc.lax.fori_loop(0, 3, lambda _, v: leptonc.io_callback(lambda v: v, STRUCT_OF_ONE, v), x))(one)
