"""Transformations around others, hyperparameters in the state, and training in 16 bits; the formulas beside optax's are in
tests/peers/test_optax.py."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
from leptonc import optim, random, tree
from leptonc.bfloat16 import bfloat16
from leptonc.errors import ArgumentError, DtypeError, LeptonError

F = np.float32
PARAMS = {"a": np.array([1.0, -2.0, 3.0], F), "b": np.ones((2, 3), F)}
GRADS = {"a": np.array([0.5, 1.0, -1.0], F), "b": np.full((2, 3), 2.0, F)}


def after(opt, steps, params=PARAMS, **more):
    """Parameters and state after some steps, compiled; op by op they are the same."""
    def step(params, state):
        updates, state = opt.update(GRADS, state, params, **more)
        return optim.apply_updates(params, updates), state

    results = []
    for disabled in (False, True):
        found, state = params, opt.init(params)
        with leptonc.disable_jit(disabled):
            jitted = leptonc.jit(step)
            for _ in range(steps):
                found, state = jitted(found, state)
            results.append((found, state))
        assert disabled or jitted.compiles == 1  # what comes out goes in again
    for one, other in zip(tree.leaves(results[0]), tree.leaves(results[1]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    return results[0]


def test_lookahead_goes_half_the_way_to_the_fast_parameters():
    opt = optim.lookahead(optim.sgd(1.0), 2, 0.5)
    params, state = after(opt, 2, optim.LookaheadParams.init_synced(PARAMS))
    for name, x in PARAMS.items():
        np.testing.assert_allclose(params.slow[name], x - 0.5 * 2 * GRADS[name])
        np.testing.assert_allclose(params.fast[name], params.slow[name])
    params, _ = after(opt, 3, optim.LookaheadParams.init_synced(PARAMS))
    np.testing.assert_allclose(params.fast["a"], params.slow["a"] - GRADS["a"])
    assert state.steps_since_sync == 0
    with pytest.raises(ArgumentError, match=r"wants LookaheadParams; fix: LookaheadParams\.init_synced"):
        opt.update(GRADS, opt.init(PARAMS), PARAMS)


def test_sam_steps_by_the_gradient_uphill():
    def grad(params, n=0):
        return {"x": params["x"] ** 2}

    params = {"x": np.array([1.0, 2.0], F)}
    opaque = optim.sam(optim.sgd(0.1), optim.sgd(0.5), opaque_mode=True)
    updates, _ = opaque.update(grad(params), opaque.init(params), params, grad_fn=grad)
    wanted = -0.1 * (params["x"] + 0.5 * params["x"] ** 2) ** 2
    np.testing.assert_allclose(updates["x"], wanted, rtol=1e-6)
    clear, place = optim.sam(optim.sgd(0.1), optim.sgd(0.5)), params
    state = clear.init(params)
    for _ in range(2):
        updates, state = clear.update(grad(place), state, place)
        place = optim.apply_updates(place, updates)
    np.testing.assert_allclose(place["x"], params["x"] + wanted, rtol=1e-6)
    with pytest.raises(ArgumentError, match="update needs the gradient's function"):
        opaque.update(grad(params), opaque.init(params), params)


def test_injected_hyperparameters_are_changed_without_compiling_again():
    opt = optim.inject_hyperparams(optim.sgd)(learning_rate=0.1)
    state = opt.init(PARAMS)
    assert set(state.hyperparams) == {"learning_rate"} and state.hyperparams["learning_rate"].dtype == F
    step = leptonc.jit(opt.update)
    updates, state = step(GRADS, state, PARAMS)
    np.testing.assert_allclose(updates["a"], F(-0.1) * GRADS["a"])
    state.hyperparams["learning_rate"] = np.asarray(0.5, F)
    updates, state = step(GRADS, state, PARAMS)
    np.testing.assert_allclose(updates["a"], F(-0.5) * GRADS["a"])
    assert step.compiles == 1


def test_injected_schedules_and_all_of_adams_numbers():
    rate = optim.linear_schedule(0.4, 0.2, 2)
    found, state = after(optim.inject_hyperparams(optim.adam)(rate), 3)
    wanted, _ = after(optim.adam(rate), 3)
    for name in PARAMS:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-4)
    np.testing.assert_allclose(state.hyperparams["learning_rate"], 0.2, rtol=1e-6)
    assert state.count == 3
    with pytest.raises(ArgumentError, match=r"static_args=\['rate'\], but there are"):
        optim.inject_hyperparams(optim.adam, static_args="rate")


def test_hyperparameters_have_the_dtype_that_is_asked_for():
    half = tree.map(lambda x: x.astype(np.float16), PARAMS)
    for dtype, wanted in ((None, np.float16), (np.float32, F)):
        opt = optim.inject_hyperparams(optim.sgd, hyperparam_dtype=dtype)(0.1)
        assert opt.init(half).hyperparams["learning_rate"].dtype == wanted


def test_steps_on_a_condition():
    odd = lambda step: step % 2 == 1  # noqa: E731
    found, state = after(optim.conditionally_mask(optim.sgd(1.0), odd), 3)
    np.testing.assert_allclose(found["a"], PARAMS["a"] - GRADS["a"])
    found, _ = after(optim.conditionally_transform(optim.sgd(1.0), odd), 3)
    np.testing.assert_allclose(found["a"], PARAMS["a"] + GRADS["a"])
    late = optim.conditionally_mask(optim.sgd(1.0), lambda step, value: value > 1, forward_extra_args=True)
    np.testing.assert_allclose(after(late, 2, value=F(2))[0]["a"], PARAMS["a"] - 2 * GRADS["a"])
    np.testing.assert_allclose(after(late, 2, value=F(1))[0]["a"], PARAMS["a"])
    assert state.step == 3


def test_named_chains_and_what_goes_to_those_that_take_it():
    opt = optim.named_chain(("clip", optim.clip(1.0)), ("polyak", optim.scale_by_polyak()), ("down", optim.scale(-1.0)))
    found, state = after(opt, 1, value=F(0.5))
    clipped = {name: np.clip(g, -1, 1) for name, g in GRADS.items()}
    step = 0.5 / sum((g * g).sum() for g in clipped.values())
    np.testing.assert_allclose(found["b"], PARAMS["b"] - step * clipped["b"], rtol=1e-6)
    assert set(state) == {"clip", "polyak", "down"}
    with pytest.raises(ArgumentError, match="names must differ"):
        optim.named_chain(("a", optim.clip(1.0)), ("a", optim.clip(1.0)))


def test_frozen_parameters_and_flat_ones():
    found, _ = after(optim.chain(optim.sgd(1.0), optim.freeze({"a": True, "b": False})), 1)
    np.testing.assert_array_equal(found["a"], PARAMS["a"])
    np.testing.assert_allclose(found["b"], PARAMS["b"] - GRADS["b"])
    same, _ = after(optim.selective_transform(optim.sgd(1.0), freeze_mask={"a": True, "b": False}), 1)
    np.testing.assert_array_equal(same["b"], found["b"])
    flat, _ = after(optim.chain(optim.flatten(optim.normalize()), optim.scale(-1.0)), 1)
    norm = np.sqrt(sum((g * g).sum() for g in GRADS.values()))
    np.testing.assert_allclose(flat["b"], PARAMS["b"] - GRADS["b"] / norm, rtol=1e-6)


def test_large_updates_are_skipped():
    skips = functools.partial(optim.skip_large_updates, max_squared_norm=27.0)
    total = sum(float((g * g).sum()) for g in GRADS.values())
    assert not skips(GRADS, 0, None)[0] and total < 27 and optim.skip_large_updates(GRADS, 0, None, total)[0]
    found, _ = after(optim.MultiSteps(optim.sgd(1.0), 1, should_skip_update_fn=skips), 2)
    np.testing.assert_allclose(found["a"], PARAMS["a"] - 2 * GRADS["a"])


def test_a_loss_scale_grows_and_shrinks():
    scale = optim.DynamicLossScale(8.0, period=2, min_loss_scale=4.0)
    adjust = leptonc.jit(lambda scale, finite: scale.adjust(finite))
    seen = []
    for finite in (True, True, True, False, False, False, True, True):
        with leptonc.disable_jit():
            eager = adjust(scale, np.bool_(finite))
        scale = adjust(scale, np.bool_(finite))
        assert tree.leaves(eager) == tree.leaves(scale)
        seen.append((float(scale.loss_scale), int(scale.counter)))
    assert seen == [(8, 1), (16, 0), (16, 1), (8, 0), (4, 0), (4, 0), (4, 1), (8, 0)]
    assert adjust.compiles == 1
    half = np.float16(3)
    assert scale.scale(half).dtype == np.float16 and scale.unscale(scale.scale(half)) == half
    fixed = optim.StaticLossScale(16.0)
    assert fixed.adjust(False) is fixed and fixed.scale(F(2)) == 32


def test_a_scale_that_has_no_room_stays():
    most = optim.DynamicLossScale(F(2.0**127), period=1)
    assert most.adjust(True).loss_scale == F(2.0**127)
    assert not optim.all_finite({"x": F(1), "y": np.array([np.inf], F)}) and optim.all_finite([F(1)])
    np.testing.assert_array_equal(optim.select_tree(np.bool_(True), {"x": F(1)}, {"x": F(2)})["x"], 1)
    for wrong in ({"period": 0}, {"factor": 0.5}, {"loss_scale": np.ones(2, F)}):
        with pytest.raises(LeptonError, match="DynamicLossScale: "):
            optim.DynamicLossScale(**wrong)


@pytest.mark.parametrize("kind", ["float16", "bfloat16"])
def test_numbers_are_rounded_to_a_neighbour_by_chance(kind):
    dtype = np.dtype(np.float16) if kind == "float16" else bfloat16()
    rng = np.random.default_rng(5)
    numbers = np.concatenate([rng.normal(size=60) * 10.0 ** rng.integers(-3, 4, 60), [1.0, -0.0, 0.1, 2.0**-20, 1.5 * 2.0**-24]])
    x = np.repeat(numbers.astype(F)[:, None], 2000, 1)
    rounded = leptonc.jit(lambda key: optim.stochastic_round(key, x, dtype))
    found = rounded(random.key(7))
    eager = np.asarray(optim.stochastic_round(random.key(7), x, dtype))
    np.testing.assert_array_equal(found.view(np.uint16), eager.view(np.uint16))
    wide, near = found.astype(np.float64), x.astype(dtype).astype(np.float64)
    low, high = wide.min(1), wide.max(1)
    assert ((wide == low[:, None]) | (wide == high[:, None])).all()  # two neighbours, one of which is the nearest
    assert ((near[:, 0] == low) | (near[:, 0] == high)).all() and (low <= x[:, 0]).all() and (high >= x[:, 0]).all()
    np.testing.assert_array_less(np.abs(wide.mean(1) - x[:, 0]), 0.06 * (high - low) + 1e-30)
    exact = near[:, 0] == x[:, 0]
    assert (low == high)[exact].all() and exact.sum() >= 2
    ends = np.array([np.inf, -np.inf, np.nan, 3.4e38, -3.4e38, -0.0], F)
    kept = leptonc.jit(lambda key: optim.stochastic_round(key, ends, dtype))(random.key(1)).astype(F)
    assert np.isposinf(kept[0]) and np.isneginf(kept[1]) and np.isnan(kept[2]) and np.isfinite(kept[3:]).all()
    assert np.signbit(kept).tolist()[3:] == [False, True, True]


def test_small_steps_are_not_lost_where_they_are_rounded_by_chance():
    dtype = bfloat16()

    @leptonc.jit
    def walk(key):
        def step(p, k):
            total = lnp.astype(p, F) + F(0.001)
            return optim.stochastic_round(k, total, dtype), None

        return leptonc.lax.scan(step, lnp.ones(2000, dtype), random.split(key, 100))[0]

    assert (np.ones(1, dtype) + np.asarray(0.001, dtype))[0] == 1  # nearest: nothing moves
    np.testing.assert_allclose(walk(random.key(3)).astype(F).mean(), 1.1, atol=2e-3)
    with pytest.raises(DtypeError, match="rounds f32 to bf16 or f16, not to f32"):
        optim.stochastic_round(random.key(0), np.ones(2, F), F)


def test_losses_are_one_number_for_each_element_or_example():
    x, y = np.array([[2.0, -0.5, 0.0]], F), np.array([[0.0, 0.0, 0.0]], F)
    np.testing.assert_allclose(optim.l2_loss(x, y), 0.5 * x * x)
    np.testing.assert_allclose(optim.huber_loss(x, y), [[1.5, 0.125, 0]])
    np.testing.assert_allclose(optim.log_cosh(x, y), np.log(np.cosh(x)), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(optim.hinge_loss(x, np.sign(x)), [[0, 0.5, 1]])
    np.testing.assert_allclose(optim.cosine_distance(x, -x), [2.0], rtol=1e-6)
    np.testing.assert_allclose(optim.sigmoid_binary_cross_entropy(y, y), np.full((1, 3), np.log(2)), rtol=1e-6)
    np.testing.assert_allclose(optim.smooth_labels(np.array([[0, 1.0, 0]], F), 0.3), [[0.1, 0.8, 0.1]], rtol=1e-6)
    np.testing.assert_allclose(optim.kl_divergence(np.log(np.full((1, 2), 0.5, F)), np.array([[1, 0]], F)), [np.log(2)], rtol=1e-6)
    found = optim.softmax_cross_entropy_with_integer_labels(y, np.array([1]))
    np.testing.assert_allclose(found, optim.softmax_cross_entropy(y, np.array([[0, 1, 0]], F)))
    np.testing.assert_allclose(found, [np.log(3)], rtol=1e-6)


NARROW = {  # (f(m, g): what is kept of it, in float32)
    "adam": (lambda dtype: optim.scale_by_adam(mu_dtype=dtype), lambda m, g: 0.9 * m + 0.1 * g, lambda s: s.mu),
    "trace": (lambda dtype: optim.trace(0.9, accumulator_dtype=dtype), lambda m, g: g + 0.9 * m, lambda s: s.trace),
    "ema": (lambda dtype: optim.ema(0.9, accumulator_dtype=dtype), lambda m, g: 0.9 * m + 0.1 * g, lambda s: s.ema),
    "lion": (lambda dtype: optim.scale_by_lion(0.9, 0.8, dtype), lambda m, g: 0.8 * m + 0.2 * g, lambda s: s.value),
    "amsgrad": (lambda dtype: optim.scale_by_amsgrad(mu_dtype=dtype), lambda m, g: 0.9 * m + 0.1 * g, lambda s: s.mu),
}


@pytest.mark.parametrize("name", NARROW)
def test_what_is_kept_in_16_bits_is_rounded_once_a_step(name):
    make, kept, of = NARROW[name]
    opt = make(lnp.bfloat16)
    state, m = opt.init(PARAMS), np.zeros_like(PARAMS["a"])
    step = leptonc.jit(opt.update)
    for _ in range(3):
        updates, state = step(GRADS, state, PARAMS)
        m = kept(m, GRADS["a"]).astype(of(state)["a"].dtype).astype(np.float32)
        np.testing.assert_allclose(of(state)["a"].astype(np.float32), m, rtol=2**-7)
        assert updates["a"].dtype == np.float32 and of(state)["a"].dtype.name == "bfloat16"


def test_masks_hand_on_what_update_is_given_by_name():
    def by_scale(grads, state, params=None, *, scale):
        return tree.map(lambda g, s: g * s, grads, scale), state

    inner = optim.GradientTransformationExtraArgs(lambda params: optim.EmptyState(), by_scale)
    scales = {"a": np.float32(2), "b": np.float32(3)}
    opt = optim.masked(inner, {"a": True, "b": False}, mask_compatible_extra_args=True)
    updates, _ = leptonc.jit(lambda g, s: opt.update(g, opt.init(PARAMS), PARAMS, scale=s))(GRADS, scales)
    np.testing.assert_array_equal(updates["a"], 2 * GRADS["a"])
    np.testing.assert_array_equal(updates["b"], GRADS["b"])
    parted = optim.chain(optim.partition({"x": optim.scale_by_polyak(), "y": optim.set_to_zero()}, {"a": "x", "b": "y"}))
    updates, _ = parted.update(GRADS, parted.init(PARAMS), PARAMS, value=np.float32(0.9))
    np.testing.assert_allclose(updates["a"], GRADS["a"] * F(0.9 / (GRADS["a"] ** 2).sum()), rtol=1e-6)
    assert not updates["b"].any()
    several = optim.MultiSteps(optim.scale_by_polyak(), 1)
    updates, _ = several.update(GRADS, several.init(PARAMS), PARAMS, value=np.float32(0.9))
    assert updates["a"].shape == (3,)
