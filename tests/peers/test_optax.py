"""Optimizers and schedules beside optax's: the same parameters after eight steps, the same rates."""

from __future__ import annotations

import functools

import numpy as np
import pytest

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

import leptonc  # noqa: E402
from leptonc import optim  # noqa: E402

F = np.float32
OPTIMIZERS = {
    "sgd": (0.1,), "adam": (0.1,), "adamw": (0.1,), "nadam": (0.1,), "nadamw": (0.1,), "adamax": (0.1,), "adamaxw": (0.1,),
    "amsgrad": (0.1,), "adabelief": (0.1,), "yogi": (0.1,), "lion": (0.1,), "rmsprop": (0.1,), "adagrad": (0.1,),
    "adadelta": (1.0,), "lamb": (0.1,), "lars": (0.1,), "adafactor": (0.1,), "sign_sgd": (0.1,),
    "centralize": (), "zero_nans": (), "clip": (0.3,), "clip_by_block_rms": (0.5,), "adaptive_grad_clip": (0.1,),
    "scale_by_sign": (), "set_to_zero": (), "keep_params_nonnegative": (), "scale_by_trust_ratio": (),
    "scale_by_param_block_rms": (),
    "scale_by_param_block_norm": (), "normalize_by_update_norm": (), "ema": (0.9,), "apply_every": (3,),
    "scale_by_factored_rms": (),
}
OPTIONS = [
    ("rmsprop", (0.1,), {"centered": True, "momentum": 0.9}), ("rmsprop", (0.1,), {"eps_in_sqrt": False, "initial_scale": 1.0}),
    ("adafactor", (0.1,), {"min_dim_size_to_factor": 3, "momentum": 0.9, "weight_decay_rate": 0.01}),
    ("lars", (0.1,), {"weight_decay": 0.01}), ("lamb", (0.1,), {"weight_decay": 0.01}),
    ("radam", (0.1,), {"threshold": 4.0, "b2": 0.9}),
    ("adamw", (0.1,), {"mask": {"w": True, "b": False, "k": True}}),
    ("adam", (0.1,), {"eps_root": 1e-3}), ("ema", (0.9,), {"debias": False}),
    ("adadelta", (1.0,), {"weight_decay": 0.1}), ("sgd", (0.1,), {"momentum": 0.9, "nesterov": True}),
]
BF = jax.numpy.bfloat16
POSITIONAL = [  # what stands where in optax
    ("adam", (0.1, 0.8, 0.99, 1e-6, 1e-3, None), {"nesterov": True}), ("adamw", (0.1, 0.9, 0.99, 1e-8, 0.0, F, 0.1), {}),
    ("adamw", (0.1, 0.9, 0.99, 1e-8, 0.0, None, 0.1, {"w": True, "b": False, "k": True}), {}),
    ("nadamw", (0.1, 0.9, 0.99, 1e-8, 0.0, None, 0.1, {"w": True, "b": False, "k": True}), {}),
    ("nadam", (0.1, 0.9, 0.99, 1e-8, 0.0, None), {}), ("lion", (0.1, 0.9, 0.95, None, 0.1), {}),
    ("adafactor", (0.1, 3, 0.8, 0, True, 1.0, 0.9, F, 0.01, 1e-30, True, None), {}),
    ("amsgrad", (0.1, 0.9, 0.99, 1e-8, 0.0, None, False, False), {}), ("adabelief", (0.1,), {"nesterov": True}),
    ("radam", (0.1,), {"threshold": 4.0, "b2": 0.9, "nesterov": True}),
    ("rmsprop", (0.1, 0.9, 1e-8, 0.0, True, False, None, False, True), {}),
    ("rmsprop", (0.1,), {"centered": True, "bias_correction": True, "eps": 0.1}),
    ("scale_by_rms", (0.9, 1e-8, 1.0, False, True), {}), ("scale_by_stddev", (0.9, 1e-3, 1.0, False, True), {}),
    ("scale_by_lion", (0.9, 0.99, None), {"mode": "smooth", "smooth_beta": 2.0}), ("scale_by_lion", (), {"mode": "refined"}),
    ("adaptive_grad_clip", (0.1, 1e-3, -1), {}), ("scale_by_learning_rate", (0.1,), {"flip_sign": False}),
    ("scale_by_factored_rms", (True, 0.8, 0, 3), {"decay_rate_fn": lambda step, rate: 0.5 + 0 * step}), ("adadelta", (None,), {}),
]


def steps(optimizer, apply, params, grads, compiled):
    state = optimizer.init(params)

    def step(params, state, g):
        updates, state = optimizer.update(g, state, params)
        return apply(params, updates), state

    step = compiled(step)
    out = []
    for g in grads:
        params, state = step(params, state, g)
        out.append(params)
    return out


def compared(ours, theirs, seed=0, rtol=2e-5, dtype=F):
    rng = np.random.default_rng(seed)
    params = {"w": rng.normal(size=(4, 3)).astype(F), "b": rng.normal(size=3).astype(F),
              "k": rng.normal(size=(2, 2, 3, 4)).astype(F)}
    grads = [{name: rng.normal(size=p.shape).astype(F) for name, p in params.items()} for _ in range(8)]
    found = steps(ours, optim.apply_updates, params, grads, leptonc.jit)
    wanted = steps(theirs, optax.apply_updates, params, grads, jax.jit)
    for n, (a, b) in enumerate(zip(found, wanted)):
        for name in params:
            np.testing.assert_allclose(a[name], np.asarray(b[name]), rtol=rtol, atol=rtol, err_msg=f"{name} after step {n}")
            assert a[name].dtype == (dtype or b[name].dtype)


@pytest.mark.parametrize("name, args, kwargs", [(name, args, {}) for name, args in OPTIMIZERS.items()] + OPTIONS,
                         ids=lambda x: x if isinstance(x, str) else "")
def test_optimizer(name, args, kwargs):
    theirs = getattr(optax, name, None) or getattr(optax.contrib, name, None)
    if theirs is None:
        pytest.skip(f"optax has no {name}")
    compared(getattr(optim, name)(*args, **kwargs), theirs(*args, **kwargs))


@pytest.mark.parametrize("name, args, kwargs", POSITIONAL, ids=lambda x: x if isinstance(x, str) else "")
def test_parameters(name, args, kwargs):
    compared(getattr(optim, name)(*args, **kwargs), getattr(optax, name)(*args, **kwargs), rtol=2e-5, dtype=None)


LABELS = {"w": "fast", "b": "none", "k": "slow"}
COMPOUND = {
    "masked": lambda o: o.masked(o.adam(0.1), {"w": True, "b": False, "k": True}),
    "masked by a function": lambda o: o.masked(o.sgd(0.1), lambda p: {name: x.ndim > 1 for name, x in p.items()}),
    "multi_transform": lambda o: o.multi_transform({"fast": o.adam(0.1), "slow": o.sgd(0.01), "none": o.set_to_zero()}, LABELS),
    "MultiSteps": lambda o: o.MultiSteps(o.adam(0.1), 3),
    "MultiSteps in bfloat16": lambda o: o.MultiSteps(o.adam(0.1), 3, accumulator_dtype=BF),
    "MultiSteps that skip": lambda o: o.MultiSteps(o.sgd(0.1), 2, should_skip_update_fn=functools.partial(
        o.skip_large_updates, max_squared_norm=70.0)),
    "MultiSteps by a schedule": lambda o: o.MultiSteps(o.sgd(0.1), lambda n: n + 1),
    "apply_if_finite": lambda o: o.apply_if_finite(o.adam(0.1), 2),
    "chain": lambda o: o.chain(o.clip(0.5), o.centralize(), o.scale_by_adam(),
                               o.scale_by_learning_rate(o.linear_schedule(1.0, 0.1, 5))),
}


@pytest.mark.parametrize("name", COMPOUND)
def test_compound(name):
    compared(COMPOUND[name](optim), COMPOUND[name](optax))


SCHEDULES = {
    "polynomial_schedule": (1.0, 0.1, 2.0, 10), "warmup_constant_schedule": (0.0, 1.0, 4),
    "warmup_exponential_decay_schedule": (0.0, 1.0, 4, 5, 0.5, 2, False, 0.3), "cosine_onecycle_schedule": (20, 1.0),
    "linear_onecycle_schedule": (20, 1.0), "exponential_decay": (1.0, 5, 0.5, 4, True, 0.2),
    "cosine_decay_schedule": (1.0, 12, 0.1, 2.0), "warmup_cosine_decay_schedule": (0.0, 1.0, 4, 16, 0.1, 0.5),
    "piecewise_interpolate_schedule": ("linear", 1.0, {4: 0.5, 9: 2.0}), "linear_schedule": (1.0, 0.0, 7, 3),
    "sgdr_schedule": ([{"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 2, "decay_steps": 8},
                       {"init_value": 0.1, "peak_value": 0.5, "warmup_steps": 1, "decay_steps": 8}],),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name):
    ours, theirs = getattr(optim, name)(*SCHEDULES[name]), getattr(optax, name)(*SCHEDULES[name])
    jitted = leptonc.jit(ours)
    for count in range(25):
        np.testing.assert_allclose(jitted(np.int32(count)), theirs(count), rtol=2e-5, atol=1e-6, err_msg=str(count))


MORE = [
    ("adan", (0.1,), {}), ("novograd", (0.1,), {"weight_decay": 0.01}), ("rprop", (0.01,), {}), ("sm3", (0.1,), {}),
    ("fromage", (0.1,), {}), ("signum", (0.1,), {}), ("optimistic_gradient_descent", (0.1,), {"beta": 0.5}),
    ("optimistic_adam_v2", (0.1,), {}), ("scale_by_adan", (), {"b2": 0.9}), ("scale_by_novograd", (), {}),
    ("scale_by_rprop", (0.1,), {}), ("scale_by_sm3", (), {}), ("scale_by_optimistic_gradient", (0.7, 0.3), {}),
]


@pytest.mark.parametrize("name, args, kwargs", MORE, ids=lambda x: x if isinstance(x, str) else "")
def test_more_optimizers(name, args, kwargs):
    compared(getattr(optim, name)(*args, **kwargs), getattr(optax, name)(*args, **kwargs))


SCHEDULED = {
    "fromage": lambda o: o.fromage(o.linear_schedule(0.5, 0.1, 5)),
    "scale_by_schedule": lambda o: o.chain(o.scale_by_schedule(o.linear_schedule(1.0, 0.1, 5)), o.scale(-0.1)),
    "decay by a schedule": lambda o: o.adamw(0.1, weight_decay=o.linear_schedule(0.1, 0.0, 5)),
    "named_chain": lambda o: o.named_chain(("clip", o.clip(0.5)), ("adam", o.adam(0.1))),
    "conditionally_transform": lambda o: o.conditionally_transform(o.adam(0.1), lambda step: step % 3 == 1),
    "conditionally_mask": lambda o: o.conditionally_mask(o.adam(0.1), lambda step: step % 3 == 1),
    "flatten": lambda o: o.flatten(o.chain(o.clip_by_block_rms(0.5), o.adam(0.1))),
    "freeze": lambda o: o.chain(o.sgd(0.1), o.freeze({"w": True, "b": False, "k": False})),
    "selective_transform": lambda o: o.selective_transform(o.adam(0.1), freeze_mask={"w": True, "b": False, "k": False}),
    "injected adam": lambda o: o.inject_hyperparams(o.adam)(0.1, b2=0.99),
    "injected schedule": lambda o: o.inject_hyperparams(o.sgd)(o.linear_schedule(0.1, 0.01, 5), momentum=0.9),
    "injected with static": lambda o: o.inject_hyperparams(o.adamw, static_args=("b1", "mask"))(0.1, weight_decay=0.01),
}


@pytest.mark.parametrize("name", SCHEDULED)
def test_more_compounds(name):
    compared(SCHEDULED[name](optim), SCHEDULED[name](optax), rtol=5e-5 if "injected" in name else 2e-5)


def test_noise_is_of_optaxs_variance():
    ours, theirs = optim.add_noise(0.3, 0.55, 3), optax.add_noise(0.3, 0.55, 3)
    zeros = {"a": np.zeros((40, 50), F), "b": np.zeros(1000, F)}
    states = ours.init(zeros), theirs.init(zeros)
    for _ in range(3):
        found, wanted = ours.update(zeros, states[0]), theirs.update(zeros, states[1])
        states = found[1], wanted[1]
        np.testing.assert_array_equal(states[0].rng_key, jax.random.key_data(states[1].rng_key))
        for name in zeros:
            np.testing.assert_allclose(found[0][name], wanted[0][name], rtol=1e-3, atol=1e-4)


def quadratic(params, k=0):
    return sum(((n + 1) * (x - k) ** 2).sum() for n, x in enumerate(params.values()))


def start():
    rng = np.random.default_rng(3)
    return {"a": rng.normal(size=(3, 2)).astype(F), "b": rng.normal(size=4).astype(F)}


@pytest.mark.parametrize("reset", [False, True])
def test_lookahead(reset):
    def last(o, grad, compiled):
        opt = o.lookahead(o.adam(0.1), 3, 0.5, reset_state=reset)
        params = o.LookaheadParams.init_synced(start())
        state = opt.init(params)

        def step(params, state):
            updates, state = opt.update(grad(params.fast), state, params)
            return o.apply_updates(params, updates), state

        step, seen = compiled(step), []
        for _ in range(8):
            params, state = step(params, state)
            seen.append(params)
        return seen

    for got, wanted in zip(last(optim, leptonc.grad(quadratic), leptonc.jit), last(optax, jax.grad(quadratic), jax.jit)):
        for a, b in ((got.fast, wanted.fast), (got.slow, wanted.slow)):
            for name in a:
                np.testing.assert_allclose(a[name], b[name], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("reset", [False, True])
def test_sam(opaque, reset):
    def last(o, sharp, grad, compiled):
        uphill = o.chain(sharp.normalize(), o.sgd(0.1))
        opt = sharp.sam(o.sgd(0.05, 0.9), uphill, sync_period=3, reset_state=reset, opaque_mode=opaque)
        params = start()
        state = opt.init(params)

        def step(params, state):
            more = {"grad_fn": lambda p, n: grad(p)} if opaque else {}
            updates, state = opt.update(grad(params), state, params, **more)
            return o.apply_updates(params, updates), state

        step, seen = compiled(step), []
        for _ in range(7):
            params, state = step(params, state)
            seen.append(params)
        return seen

    found = last(optim, optim, leptonc.grad(quadratic), leptonc.jit)
    for got, wanted in zip(found, last(optax, optax.contrib, jax.grad(quadratic), jax.jit)):
        for name in got:
            np.testing.assert_allclose(got[name], wanted[name], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("variant", ["sps", "sps+"])
def test_polyak_sgd(variant):
    def last(o, grad, compiled):
        opt = o.polyak_sgd(0.5, f_min=0.1, variant=variant)
        params = start()
        state = opt.init(params)

        def step(params, state):
            updates, state = opt.update(grad(params), state, params, value=quadratic(params))
            return o.apply_updates(params, updates), state

        step = compiled(step)
        for _ in range(5):
            params, state = step(params, state)
        return params

    got, wanted = last(optim, leptonc.grad(quadratic), leptonc.jit), last(optax, jax.grad(quadratic), jax.jit)
    for name in got:
        np.testing.assert_allclose(got[name], wanted[name], rtol=2e-5, atol=2e-5)


def test_averages_and_counts():
    new, old = start(), {name: x + 1 for name, x in start().items()}
    for n in (0, 1, 2, 6):
        for a, b in zip(optim.periodic_update(new, old, np.int32(n), 3).values(), optax.periodic_update(new, old, n, 3).values()):
            np.testing.assert_array_equal(a, b)
    for a, b in zip(optim.incremental_update(new, old, 0.2).values(), optax.incremental_update(new, old, 0.2).values()):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    for count in (np.int32(3), np.int32(2**31 - 1), np.uint8(255)):
        np.testing.assert_array_equal(optim.safe_increment(count), optax.safe_increment(count))


P, T = np.random.default_rng(6).normal(size=(2, 5, 4)).astype(F)
SHARES = np.abs(T) / np.abs(T).sum(-1, keepdims=True)
LOSSES = {
    "squared_error": (P, T), "l2_loss": (P,), "huber_loss": (P, T), "log_cosh": (P, T), "softmax_cross_entropy": (P, SHARES),
    "softmax_cross_entropy_with_integer_labels": (P, np.arange(5) % 4), "sigmoid_binary_cross_entropy": (P, SHARES),
    "sigmoid_focal_loss": (P, SHARES),
    "hinge_loss": (P, np.sign(T)), "kl_divergence": (P, np.where(SHARES < 0.1, 0, SHARES)), "cosine_similarity": (P, T),
    "cosine_distance": (P, T), "smooth_labels": (SHARES, 0.1),
}


@pytest.mark.parametrize("name", LOSSES)
def test_loss(name):
    ours, theirs, (first, *rest) = getattr(optim, name), getattr(optax, name), LOSSES[name]
    wanted = np.asarray(theirs(first, *rest))
    for found in (leptonc.jit(lambda x: ours(x, *rest))(first), ours(first, *rest)):
        assert found.dtype == F
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-6)
    gradient = leptonc.jit(leptonc.grad(lambda x: ours(x, *rest).sum()))(first)
    np.testing.assert_allclose(gradient, jax.grad(lambda x: theirs(x, *rest).sum())(first), rtol=1e-4, atol=1e-6)


WHERE = np.random.default_rng(2).random((3, 4, 5)) > 0.3
LOSSES_ALONG = {
    "softmax axes": lambda o, x, y: o.softmax_cross_entropy(x, y, (0, 2)), "softmax all": lambda o, x, y: o.softmax_cross_entropy(
        x, y, None), "softmax where": lambda o, x, y: o.softmax_cross_entropy(x, y, -1, WHERE),
    "softmax where less": lambda o, x, y: o.softmax_cross_entropy(x, y, 1, WHERE[:, 0]),
    "labels axes": lambda o, x, y: o.softmax_cross_entropy_with_integer_labels(x, np.array([3, 0, 19]), (1, 2)),
    "labels where": lambda o, x, y: o.softmax_cross_entropy_with_integer_labels(x, np.ones((3, 5), int), 1, WHERE),
    "labels axes where": lambda o, x, y: o.softmax_cross_entropy_with_integer_labels(x, np.ones(4, int), (2, 0), WHERE),
    "kl": lambda o, x, y: o.kl_divergence(x, y, (0, 1), WHERE), "cosine": lambda o, x, y: o.cosine_similarity(
        x, y, axis=(0, 2), where=WHERE), "distance": lambda o, x, y: o.cosine_distance(x, y, epsilon=1e-3, where=WHERE),
    "focal": lambda o, x, y: o.sigmoid_focal_loss(30 * x, (y > 0.5).astype(F), alpha=0.25, gamma=1.5),
    "smooth": lambda o, x, y: o.smooth_labels(y, 0.1, axis=(1, 2)), "smooth where": lambda o, x, y: o.smooth_labels(
        y, 0.1, axis=1, where=WHERE),
}


def test_losses_take_axes_and_masks():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((3, 4, 5)).astype(F), rng.random((3, 4, 5)).astype(F)
    found = leptonc.jit(lambda x, y: {name: loss(optim, x, y) for name, loss in LOSSES_ALONG.items()})(x, y)
    wanted = jax.jit(lambda x, y: {name: loss(optax, x, y) for name, loss in LOSSES_ALONG.items()})(x, y)
    for name in LOSSES_ALONG:
        np.testing.assert_allclose(found[name], wanted[name], rtol=2e-5, atol=2e-5, err_msg=name)
    for a, b in zip(leptonc.grad(functools.partial(_total, optim), (0, 1))(x, y),
                    jax.grad(functools.partial(_total, optax), (0, 1))(x, y)):
        there = np.isfinite(b)  # of masked elements optax has NaN
        assert there.sum() > 30
        np.testing.assert_allclose(a[there], b[there], rtol=1e-4, atol=1e-4)


def _total(o, x, y):
    return sum(loss(o, x, y).sum() for loss in LOSSES_ALONG.values())
