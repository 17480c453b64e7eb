"""Optimizers against their formulas, schedules against theirs, clipping."""

from __future__ import annotations

import math

import numpy as np
import pytest

import leptonc
from leptonc import optim
from leptonc.errors import LeptonError
from leptonc.optim.transforms import ScaleByAdamState
from tests.compare import both

F = np.float32


def run(optimizer, params, grads_of, steps, compiled=True):
    """Parameters after each step."""
    def step(params, state, grads):
        updates, state = optimizer.update(grads, state, params)
        return optim.apply_updates(params, updates), state

    state, out = optimizer.init(params), []
    jitted = leptonc.jit(step)
    with leptonc.disable_jit(not compiled):
        for n in range(steps):
            params, state = jitted(params, state, grads_of(n))
            out.append(params["w"])
    return out


def case(rng):
    grads = rng.standard_normal((6, 5)).astype(F)
    return {"w": rng.standard_normal(5).astype(F)}, lambda n: {"w": grads[n]}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("momentum, nesterov", [(0.0, False), (0.9, False), (0.9, True)])
def test_sgd(rng, compiled, momentum, nesterov):
    params, grads = case(rng)
    w, velocity = params["w"].astype(float), np.zeros(5)
    for n, got in enumerate(run(optim.sgd(0.1, momentum, nesterov), params, grads, 6, compiled)):
        g = grads(n)["w"]
        velocity = g + momentum * velocity
        w = w - 0.1 * (g + momentum * velocity if nesterov else velocity)
        np.testing.assert_allclose(got, w, rtol=1e-5, atol=1e-6)
        assert got.dtype == F


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_and_adamw(rng, compiled, decay):
    params, grads = case(rng)
    w, m, v = params["w"].astype(float), np.zeros(5), np.zeros(5)
    optimizer = optim.adamw(0.01, weight_decay=decay) if decay else optim.adam(0.01)
    for n, got in enumerate(run(optimizer, params, grads, 6, compiled)):
        g = grads(n)["w"].astype(float)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        direction = m / (1 - 0.9 ** (n + 1)) / (np.sqrt(v / (1 - 0.999 ** (n + 1))) + 1e-8)
        w = w - 0.01 * (direction + decay * w)
        np.testing.assert_allclose(got, w, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("steps", [1, 2, 9, 1000])
def test_bias_correction_keeps_its_digits(compiled, steps):
    """1 - 0.999 has half the digits of f32 if 0.999 has them all: a first step would be 6e-6 too short."""
    def direction(count):
        grads, zero = {"w": np.ones(1, F)}, {"w": np.zeros(1, F)}
        state = ScaleByAdamState(count, {"w": np.full(1, 0.25, F)}, {"w": np.full(1, 0.5, F)})
        return optim.scale_by_adam(eps=0.0).update(grads, state, zero)[0]["w"]

    with leptonc.disable_jit(not compiled):
        got = leptonc.jit(direction)(np.int32(steps - 1))
    m, v = 0.9 * 0.25 + 0.1, 0.999 * 0.5 + 0.001
    np.testing.assert_allclose(got, m / (1 - 0.9 ** steps) / np.sqrt(v / (1 - 0.999 ** steps)), rtol=5e-7)


def test_learning_rate_schedule_is_traced(rng):
    params, grads = case(rng)
    schedule = optim.piecewise_constant_schedule(0.1, {2: 0.5, 4: 0.1})
    w = params["w"].astype(float)
    for n, got in enumerate(run(optim.sgd(schedule), params, grads, 6)):
        w = w - 0.1 * (1, 1, 0.5, 0.5, 0.05, 0.05)[n] * grads(n)["w"]
        np.testing.assert_allclose(got, w, rtol=1e-5, atol=1e-6)


def test_schedules():
    cosine = optim.cosine_decay_schedule(2.0, 10, 0.1)
    warm = optim.warmup_cosine_decay_schedule(0.0, 1.0, 4, 10)
    decay = optim.exponential_decay(1.0, 5, 0.5, staircase=True)
    for count, values in ((0, (2.0, 0.0, 1.0)), (4, (None, 1.0, 1.0)), (5, (1.1, None, 0.5)), (10, (0.2, 0.0, 0.25)),
                          (99, (0.2, 0.0, None))):
        for schedule, wanted in zip((cosine, warm, decay), values):
            if wanted is not None:
                np.testing.assert_allclose(both(schedule, np.int32(count))[0], wanted, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(optim.linear_schedule(1.0, 0.0, 4)(np.int32(1)), 0.75)
    assert optim.constant_schedule(0.3)(7) == 0.3


def test_clip_by_global_norm(rng):
    grads = {"a": rng.standard_normal(3).astype(F), "b": rng.standard_normal((2, 2)).astype(F)}
    norm = np.sqrt(sum((g.astype(float) ** 2).sum() for g in grads.values()))
    for limit in (0.5, 100.0):
        clip = optim.clip_by_global_norm(limit)
        got, _ = leptonc.jit(clip.update)(grads, clip.init(grads))
        for name in grads:
            np.testing.assert_allclose(got[name], grads[name] * min(1, limit / norm), rtol=1e-5)
    np.testing.assert_allclose(both(optim.global_norm, grads)[0], norm, rtol=1e-6)


def test_chains_and_errors():
    chain = optim.chain(optim.clip_by_global_norm(1.0), optim.add_decayed_weights(0.1), optim.scale(-0.1))
    params = {"w": np.ones(4, F)}
    updates, _ = chain.update({"w": np.zeros(4, F)}, chain.init(params), params)
    np.testing.assert_allclose(updates["w"], -0.01, rtol=1e-6)
    with pytest.raises(LeptonError, match="parameters"):
        chain.update({"w": np.zeros(4, F)}, chain.init(params))
    with pytest.raises(LeptonError, match="state of 1"):
        chain.update(params, optim.sgd(0.1).init(params))


SCHEDULES = {
    "linear": (optim.linear_schedule(0.1, 0.01, 7), lambda n: 0.1 + (0.01 - 0.1) * min(n / 7, 1)),
    "exponential": (optim.exponential_decay(0.1, 3, 0.7), lambda n: 0.1 * 0.7 ** (n / 3)),
    "cosine": (optim.cosine_decay_schedule(0.1, 7, 0.3),
               lambda n: 0.1 * (0.7 * 0.5 * (1 + math.cos(math.pi * min(n / 7, 1))) + 0.3)),
    "piecewise": (optim.piecewise_constant_schedule(0.1, {2: 0.3, 4: 0.7}),
                  lambda n: 0.1 * (0.3 if n >= 2 else 1) * (0.7 if n >= 4 else 1)),
    "warmup": (optim.warmup_cosine_decay_schedule(0.01, 0.1, 3, 10),
               lambda n: 0.01 + 0.09 * n / 3 if n < 3 else 0.05 * (1 + math.cos(math.pi * min((n - 3) / 7, 1)))),
    "of the user": (lambda n: 0.1 / (n + 1), lambda n: 0.1 / (n + 1)),
}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", SCHEDULES)
def test_double_precision_parameters_are_updated_in_double_precision(rng, compiled, name):
    """Bias correction, rates and decay: against the formulas in f64, beside an f32 parameter that stays f32."""
    schedule, rate = SCHEDULES[name]
    grads = rng.standard_normal((6, 5))
    w, m, v = rng.standard_normal(5), np.zeros(5), np.zeros(5)
    optimizer = optim.chain(optim.clip_by_global_norm(1e6), optim.adamw(schedule, weight_decay=0.1))
    params = {"w": w.copy(), "b": np.ones(2, F)}
    found = run(optimizer, params, lambda n: {"w": grads[n], "b": np.ones(2, F)}, 6, compiled)
    for n, got in enumerate(found):
        m, v = 0.9 * m + (1 - 0.9) * grads[n], 0.999 * v + (1 - 0.999) * grads[n] ** 2
        w = w - rate(n) * (m / (1 - 0.9 ** (n + 1)) / (np.sqrt(v / (1 - 0.999 ** (n + 1))) + 1e-8) + 0.1 * w)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, w, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_called_with_a_count_are_in_single_precision(name):
    schedule, rate = SCHEDULES[name]
    compiled = leptonc.jit(schedule)
    for n in range(12):
        got = compiled(np.int32(n))
        np.testing.assert_allclose(got, rate(n), rtol=1e-6)
        assert got.dtype == F or name == "of the user"


MORE = {"nadam": 0.1, "nadamw": 0.1, "adamax": 0.1, "adamaxw": 0.1, "amsgrad": 0.1, "adabelief": 0.1, "yogi": 0.1, "radam": 0.1,
        "lion": 0.05, "rmsprop": 0.1, "adagrad": 0.5, "adadelta": 30.0, "lamb": 0.1, "lars": 50.0,
        "adafactor": 0.1, "sign_sgd": 0.05}


@pytest.mark.parametrize("name", MORE)
def test_every_optimizer_goes_down_compiled_as_op_by_op(name, rng):
    """Against optax's they are in tests/peers."""
    target = rng.standard_normal((3, 4)).astype(F)
    start = {"w": target + F(1)}
    optimizer = getattr(optim, name)(MORE[name])

    def step(params, state):
        grads = {"w": 2 * (params["w"] - target)}
        updates, state = optimizer.update(grads, state, params)
        return optim.apply_updates(params, updates), state

    ends, jitted = [], leptonc.jit(step)
    for compiled in (True, False):
        params, state = start, optimizer.init(start)
        with leptonc.disable_jit(not compiled):
            for _ in range(30):
                params, state = jitted(params, state)
        ends.append(params["w"])
    np.testing.assert_allclose(*ends, rtol=1e-3, atol=1e-3)
    assert np.abs(ends[0] - target).mean() < 0.7


def test_radam_is_its_formula(rng):
    params, grads = case(rng)
    w, m, v, b2 = params["w"].astype(float), np.zeros(5), np.zeros(5), 0.999
    most = 2 / (1 - b2) - 1
    for n, got in enumerate(run(optim.radam(0.1), params, grads, 6)):
        g, t = grads(n)["w"].astype(float), n + 1
        m, v = 0.9 * m + 0.1 * g, b2 * v + (1 - b2) * g * g
        length = most - 2 * t * b2**t / (1 - b2**t)
        direction = m / (1 - 0.9**t)
        if length >= 5:
            factor = np.sqrt((length - 4) * (length - 2) * most / ((most - 4) * (most - 2) * length))
            direction = factor * direction / (np.sqrt(v / (1 - b2**t)) + 1e-8)
        w = w - 0.1 * direction
        np.testing.assert_allclose(got, w, rtol=2e-5, atol=1e-5)


def test_parts_of_the_parameters(rng):
    params = {"w": np.ones(3, F), "b": np.ones(2, F)}
    grads = {"w": np.full(3, 2, F), "b": np.full(2, 5, F)}
    only = optim.masked(optim.scale(-0.5), {"w": True, "b": False})
    updates, _ = leptonc.jit(only.update)(grads, only.init(params), params)
    assert (updates["w"] == -1).all() and (updates["b"] == 5).all()
    both_of = optim.multi_transform({1: optim.scale(2.0), 2: optim.set_to_zero()}, {"w": 1, "b": 2})
    updates, _ = both_of.update(grads, both_of.init(params), params)
    assert (updates["w"] == 4).all() and (updates["b"] == 0).all()
    with pytest.raises(LeptonError, match="label 3"):
        optim.multi_transform({1: optim.identity()}, {"w": 1, "b": 3}).init(params)
    with pytest.raises(LeptonError, match="True or False"):
        optim.masked(optim.identity(), {"w": 0.5, "b": True}).init(params)


def test_several_steps_as_one_and_what_is_not_finite(rng):
    params = {"w": np.zeros(2, F)}
    steps = optim.MultiSteps(optim.sgd(1.0), 2, should_skip_update_fn=optim.skip_not_finite)
    state, seen = steps.init(params), []
    for g in (1.0, np.nan, 3.0, 5.0):
        updates, state = leptonc.jit(steps.update)({"w": np.full(2, g, F)}, state, params)
        seen.append((float(updates["w"][0]), bool(steps.has_updated(state))))
    assert seen == [(0.0, False), (0.0, False), (-2.0, True), (0.0, False)]
    guarded = optim.apply_if_finite(optim.sgd(1.0), 1)
    state, seen = guarded.init(params), []
    for g in (1.0, np.inf, np.inf, 2.0):
        updates, state = leptonc.jit(guarded.update)({"w": np.full(2, g, F)}, state, params)
        seen.append(float(updates["w"][0]))
    assert seen == [-1.0, 0.0, -np.inf, -2.0] and int(state.total_notfinite) == 2


def test_schedules_one_after_the_other():
    joined = optim.join_schedules([optim.constant_schedule(1.0), optim.linear_schedule(0.5, 0.0, 5)], [3])
    assert [float(joined(np.int32(n))) for n in (0, 2, 3, 8, 20)] == [1.0, 1.0, 0.5, 0.0, 0.0]
    onecycle = optim.cosine_onecycle_schedule(20, 1.0)
    np.testing.assert_allclose([onecycle(np.int32(n)) for n in (0, 6, 20)], [0.04, 1.0, 4e-6], rtol=1e-5)
    with pytest.raises(LeptonError, match="boundary"):
        optim.join_schedules([optim.constant_schedule(1.0)], [3])
