"""Branches and loops of ``keras.ops``: compiled as eager, with what they assign; gradients that are given or recomputed."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("leptonc.keras", reason="Keras is not installed", exc_type=ImportError)

import leptonc
from leptonc import keras
from leptonc.errors import LeptonError
from leptonc.keras import layers, ops

X = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


def branches(x):
    return ops.cond(ops.sum(x) > 0, lambda: (x * 2, 1.0), lambda: (x - 1, ops.mean(x)))


def chosen(x):
    return [ops.switch(n, [lambda a: a, lambda a: -a, lambda a: a * a], x)
            for n in (-3, ops.cast(ops.sum(x) * 0 + 1, "int32"), ops.cast(x[0, 0] * 0 + 7, "int32"))]


def doubled(x):
    below = ops.while_loop(lambda a, n: ops.max(a) < 100, lambda a, n: [a * 2, n + 1], [ops.abs(x), 0])
    few = ops.while_loop(lambda a: ops.max(a) < 100, lambda a: a * 2, ops.abs(x), maximum_iterations=2)
    return *below, few


def counted(x):
    known = ops.fori_loop(0, 4, lambda i, a: a * ops.cast(i, "float32") + 1, x)
    return known, ops.fori_loop(0, ops.cast(ops.sum(x) * 0 + 3, "int32"), lambda i, a: a + ops.cast(i, "float32"), x)


def scanned(x):
    def step(carry, at):
        (total, none), (row, missing) = carry, at
        assert none is None and missing is None
        return (total + row, None), {"sum": total, "none": None}

    ends = [ops.scan(step, (ops.zeros(3), None), (x, None), reverse=reverse, unroll=unroll)
            for reverse, unroll in ((False, 1), (True, 1), (False, True))]
    return ends, ops.map(lambda row: (row.sum(), row), x), ops.associative_scan(ops.add, x, reverse=True, axis=1), ops.scan(
        lambda carry, _: (carry * 2, None), 1.0, length=3)[0]


@pytest.mark.parametrize("f", [branches, chosen, doubled, counted, scanned], ids=lambda f: f.__name__)
@pytest.mark.parametrize("x", [X, np.abs(X), -np.abs(X)], ids=["mixed", "positive", "negative"])
def test_compiled_as_eager(f, x):
    eager, compiled = leptonc.tree.leaves(f(x)), leptonc.tree.leaves(leptonc.jit(f)(x))
    assert len(eager) == len(compiled)
    for a, b in zip(eager, compiled):
        assert np.shape(a) == b.shape
        np.testing.assert_allclose(b, a, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", ["int32", "int8", "uint32"])
def test_divisors_and_multiples(dtype):
    a, b = np.meshgrid(*[np.arange(0 if dtype == "uint32" else -11, 12).astype(dtype)] * 2, sparse=True)
    for mine, theirs in ((ops.gcd, np.gcd), (ops.lcm, np.lcm)):
        for found in (mine(a, b), leptonc.jit(mine)(a, b)):
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, theirs(a, b))


class Counting(layers.Layer):
    """Assigns where it branches and loops: in a branch within a loop's step, and in a loop's body."""

    def build(self, shape):
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False)
        self.loops = self.add_weight(shape=(), dtype="int32", initializer="zeros", trainable=False)

    def call(self, x):
        def step(total, row):
            ops.cond(ops.sum(row) > 0, lambda: self.seen.assign_add(1.0), lambda: self.seen.assign(self.seen * 0.5))
            return total + row * self.seen, self.seen + 0.0

        total, seen = ops.scan(step, ops.zeros_like(x[0]), x)

        def body(n):
            self.loops.assign_add(1)
            return n + 1

        ops.while_loop(lambda n: (n < 3) & (self.loops < 5), body, 0)
        ops.fori_loop(0, 2, lambda i, n: (self.loops.assign(self.loops * 2), n)[1], 0)
        return total + ops.sum(seen)


def test_what_branches_and_loops_assign_is_assigned():
    found = []
    for eagerly in (False, True):
        model = keras.Sequential([layers.Input((3,)), Counting()])
        model.compile(loss="mse", optimizer="sgd", run_eagerly=eagerly)
        found.append([model.evaluate(X[n:], X[n:], batch_size=4, verbose=0) for n in (0, 1)] + [v.numpy() for v in model.weights])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    assert found[0][3] == 48  # 3 loops, doubled twice; then none, for there are more than 5, doubled twice


def test_a_condition_that_assigns_is_an_error():
    layer = Counting()
    layer.build((4, 3))

    def below(x):
        layer.seen.assign_add(1.0)
        return ops.sum(x) < 3

    def run(x):
        with keras.StatelessScope():
            return ops.while_loop(below, lambda x: x + 1, x)

    with pytest.raises(LeptonError, match="the condition assigns a variable"):
        leptonc.jit(run)(X)


def test_loops_have_gradients():
    def by_scan(x):
        return ops.sum(ops.scan(lambda c, row: (ops.tanh(c + row), c * row), ops.zeros(3), x)[1])

    def by_hand(x):
        c, total = ops.zeros(3), 0
        for n in range(4):
            c, total = ops.tanh(c + x[n]), total + ops.sum(c * x[n])
        return total

    np.testing.assert_allclose(leptonc.jit(leptonc.grad(by_scan))(X), leptonc.grad(by_hand)(X), rtol=1e-5)
    chosen = leptonc.grad(lambda x: ops.sum(ops.cond(ops.sum(x) > 0, lambda: x * x, lambda: x * 3)))
    for x in (np.abs(X), -np.abs(X)):
        np.testing.assert_allclose(leptonc.jit(chosen)(x), 2 * x if x.sum() > 0 else 3 + 0 * x)


@ops.custom_gradient
def scaled(x, number, factor):
    """x * number, with ``factor`` times its gradient in x, and none in the others."""
    total = x * ops.cast(number, x.dtype)

    def gradient(*args, upstream=None):
        upstream = upstream if upstream is not None else args[0]
        return upstream * total * factor, None, None

    return total, gradient


@pytest.mark.parametrize("transform", [lambda f: f, leptonc.jit], ids=["eager", "compiled"])
def test_given_gradients(transform):
    value = transform(lambda x: scaled(x, np.int32(3), keras.Variable(0.5)))(X)
    np.testing.assert_allclose(value, X * 3, rtol=1e-6)
    gradient = transform(leptonc.grad(lambda x: ops.sum(ops.sin(scaled(x, np.int32(3), 0.5)))))(X)
    np.testing.assert_allclose(gradient, np.cos(X * 3) * X * 3 * 0.5, rtol=1e-5)


def test_given_gradients_of_trees():
    @ops.custom_gradient
    def swapped(a, b):
        return {"a": a * 2, "b": b * 3}, lambda up: (up["b"] * 10, up["a"] * 100)

    a, b = leptonc.grad(lambda p: ops.sum(swapped(*p)["a"]) + 5 * ops.sum(swapped(*p)["b"]))((X, X))
    np.testing.assert_allclose(a, np.full_like(X, 50))
    np.testing.assert_allclose(b, np.full_like(X, 100))


@pytest.mark.parametrize("eagerly", [False, True])
def test_recomputed_layers_train_as_others_do(eagerly):
    """Dropout draws its numbers inside, and its seed goes on."""
    def losses(mode):
        keras.utils.set_random_seed(1)
        with keras.RematScope(mode=mode):
            model = keras.Sequential([layers.Input((3,)), layers.Dense(8, activation="tanh"), layers.Dropout(0.5), layers.Dense(1)])
        model.compile("sgd", "mse", run_eagerly=eagerly)
        history = model.fit(X, X[:, :1], epochs=4, batch_size=2, shuffle=False, verbose=0).history["loss"]
        return history, "checkpoint" in model.train_function.as_text("traced") if not eagerly else mode == "full"

    (plain, is_not), (recomputed, is_so) = losses(None), losses("full")
    assert is_so and not is_not
    np.testing.assert_allclose(recomputed, plain, rtol=1e-5)


def test_half_precision_scales_its_loss():
    """The scale is halved by a batch whose gradients are not finite, which changes no weight, and doubled after so many others."""
    keras.utils.set_random_seed(2)
    model = keras.Sequential([layers.Input((3,), dtype="float32"), layers.Dense(4, activation="tanh", dtype="mixed_float16"),
                              layers.Dense(1, dtype="mixed_float16")])
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=1024.0, dynamic_growth_steps=3)
    model.compile(optimizer, "mse")
    same = keras.models.clone_model(model)
    same.set_weights(model.get_weights())
    same.compile(keras.optimizers.SGD(0.1), "mse", auto_scale_loss=False)
    losses, expected = (m.fit(X, X[:, :1], epochs=4, batch_size=4, verbose=0, shuffle=False).history["loss"] for m in (model, same))
    np.testing.assert_allclose(losses, expected, rtol=2e-3)
    assert float(optimizer.dynamic_scale.value) == 2048 and int(optimizer.step_counter.value) == 1
    before = model.get_weights()
    model.train_on_batch(np.full_like(X, np.inf), X[:, :1])
    assert all((a == b).all() for a, b in zip(before, model.get_weights()))
    assert float(optimizer.dynamic_scale.value) == 1024 and int(optimizer.step_counter.value) == 0
