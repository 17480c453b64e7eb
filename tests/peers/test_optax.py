"""Optimizers and schedules beside optax's: the same parameters after eight steps, the same rates."""

from __future__ import annotations

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


def compared(ours, theirs, seed=0, rtol=2e-5):
    rng = np.random.default_rng(seed)
    params = {"w": rng.normal(size=(4, 3)).astype(F), "b": rng.normal(size=3).astype(F),
              "k": rng.normal(size=(2, 2, 3, 4)).astype(F)}
    grads = [{name: rng.normal(size=p.shape).astype(F) for name, p in params.items()} for _ in range(8)]
    found = steps(ours, optim.apply_updates, params, grads, leptonc.jit)
    wanted = steps(theirs, optax.apply_updates, params, grads, jax.jit)
    for n, (a, b) in enumerate(zip(found, wanted)):
        for name in params:
            np.testing.assert_allclose(a[name], np.asarray(b[name]), rtol=rtol, atol=rtol, err_msg=f"{name} after step {n}")
            assert a[name].dtype == F


@pytest.mark.parametrize("name, args, kwargs", [(name, args, {}) for name, args in OPTIMIZERS.items()] + OPTIONS,
                         ids=lambda x: x if isinstance(x, str) else "")
def test_optimizer(name, args, kwargs):
    theirs = getattr(optax, name, None) or getattr(optax.contrib, name, None)
    if theirs is None:
        pytest.skip(f"optax has no {name}")
    compared(getattr(optim, name)(*args, **kwargs), theirs(*args, **kwargs))


LABELS = {"w": "fast", "b": "none", "k": "slow"}
COMPOUND = {
    "masked": lambda o: o.masked(o.adam(0.1), {"w": True, "b": False, "k": True}),
    "masked by a function": lambda o: o.masked(o.sgd(0.1), lambda p: {name: x.ndim > 1 for name, x in p.items()}),
    "multi_transform": lambda o: o.multi_transform({"fast": o.adam(0.1), "slow": o.sgd(0.01), "none": o.set_to_zero()}, LABELS),
    "MultiSteps": lambda o: o.MultiSteps(o.adam(0.1), 3),
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
    "warmup_exponential_decay_schedule": (0.0, 1.0, 4, 5, 0.5), "cosine_onecycle_schedule": (20, 1.0),
    "linear_onecycle_schedule": (20, 1.0),
    "piecewise_interpolate_schedule": ("linear", 1.0, {4: 0.5, 9: 2.0}), "linear_schedule": (1.0, 0.0, 7),
    "sgdr_schedule": ([{"init_value": 0.0, "peak_value": 1.0, "warmup_steps": 2, "decay_steps": 8},
                       {"init_value": 0.1, "peak_value": 0.5, "warmup_steps": 1, "decay_steps": 8}],),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule(name):
    ours, theirs = getattr(optim, name)(*SCHEDULES[name]), getattr(optax, name)(*SCHEDULES[name])
    for count in range(25):
        np.testing.assert_allclose(leptonc.jit(ours)(np.int32(count)), theirs(count), rtol=2e-5, atol=1e-6, err_msg=str(count))
