"""Policies of mixed precision, and what a network learns by them: what it learns in f32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import digits_data
import numpy as np
import pytest

import leptonc
from leptonc import nn, optim, random, tree
from leptonc import numpy as lnp
from leptonc.bfloat16 import bfloat16
from leptonc.errors import LeptonError

F, H = np.float32, np.float16


def test_a_policy_by_its_name():
    assert nn.Policy.of("mixed_bfloat16") == nn.Policy(F, "bfloat16", F) == nn.Policy.of("params=f32, compute=bf16")
    assert nn.Policy.of("float16") == nn.Policy(H, H, H)
    assert nn.Policy.of("compute=float16,output=float16") == nn.Policy(F, H, H)
    assert {nn.Policy(): 1}[nn.Policy("f32", F, "float32")] == 1
    for wrong in ("mixed_float8", "params=int32", "inputs=float32", None, np.float32(1)):
        with pytest.raises(LeptonError, match="Policy"):
            nn.Policy.of(wrong)


def test_floats_are_cast_and_nothing_else():
    state = nn.BatchNorm(3).state()
    whole = {"x": np.ones(2, F), "n": np.arange(3), "key": random.key(0), "rate": 0.5, "state": state,
             "c": np.ones(1, np.complex64)}
    found = nn.Policy.of("mixed_float16").cast_to_compute(whole)
    assert found["x"].dtype == H and found["rate"] == 0.5 and found["state"] is state
    assert all(found[name].dtype == whole[name].dtype for name in ("n", "key", "c"))


class Net(nn.Module):
    norm: nn.BatchNorm
    dense: nn.Linear
    seen: Callable

    def __call__(self, x, state):
        y, state = self.norm(x, state)
        y = self.dense(y)
        self.seen(x.dtype, y.dtype, self.dense.kernel.dtype)
        return y, state


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_module_computes_in_the_policys_dtypes(policy):
    dtypes: list[Any] = []
    model = nn.MixedPrecision(Net(nn.BatchNorm(3), nn.Linear(3, 2), lambda *found: dtypes.append(found)), policy).init(0)
    state, x = model.state(), np.arange(12, dtype=F).reshape(4, 3)
    narrow = nn.Policy.of(policy).compute_dtype

    def loss(model, state, x):
        y, state = model(x, state)
        return lnp.sum(y * y), (y, state)

    (_, (y, after)), grads = leptonc.jit(leptonc.value_and_grad(loss, has_aux=True))(model, state, x)
    assert dtypes[0] == (narrow,) * 3 and y.dtype == F
    assert {leaf.dtype for leaf in tree.leaves((model, grads, after))} == {np.dtype(F)}
    with leptonc.disable_jit():
        eager = leptonc.jit(leptonc.value_and_grad(loss, has_aux=True))(model, state, x)
    for one, other in zip(tree.leaves(eager[1]), tree.leaves(grads), strict=True):
        np.testing.assert_allclose(one, other, rtol=0.03, atol=0.1)
    np.testing.assert_allclose(after.named()["module.norm.mean"], 0.1 * x.mean(0), rtol=1e-2)


def test_parameters_that_are_drawn_are_in_the_policys_dtype():
    model = nn.MixedPrecision(nn.Linear(3, 2), "bfloat16").init(0)
    assert model.module.kernel.dtype == bfloat16() and model(np.ones((1, 3), F)).dtype == bfloat16()
    with pytest.raises(LeptonError, match=r"must be an nn\.Module"):
        nn.MixedPrecision(lambda x: x)


class LeNet(nn.Module):
    first: nn.Conv
    second: nn.Conv
    hidden: nn.Linear
    out: nn.Linear

    def __init__(self):
        self.first, self.second = nn.Conv(1, 8, 3), nn.Conv(8, 16, 3)
        self.hidden, self.out = nn.Linear(64, 48), nn.Linear(48, 10)

    def __call__(self, x):
        for layer in (self.first, self.second):
            x = nn.max_pool(nn.relu(layer(x)), 2)
        return self.out(nn.relu(self.hidden(lnp.reshape(x, (x.shape[0], -1)))))


def learned(policy: str, scale: Any, x: Any, y: Any, x_test: Any, y_test: Any) -> tuple[float, int, Any]:
    """(The accuracy after some epochs, steps that were skipped, the scale at the end)."""
    model, optimizer = nn.MixedPrecision(LeNet(), policy).init(1), optim.adam(optim.cosine_decay_schedule(5e-3, 24 * 22))

    def loss(model, x, y, scale):
        return scale.scale(lnp.mean(nn.cross_entropy(model(x), y)))

    @leptonc.jit(donate_argnums=(0, 1))
    def step(model, state, scale, x, y):
        grads = scale.unscale(leptonc.grad(loss)(model, x, y, scale))
        finite = optim.all_finite(grads)
        updates, after = optimizer.update(grads, state, model)
        updated = optim.apply_updates(model, updates)
        return *optim.select_tree(finite, (updated, after), (model, state)), scale.adjust(finite), finite

    state, skipped, rng = optimizer.init(model), 0, np.random.default_rng(0)
    for _ in range(24):
        order = rng.permutation(len(y)).reshape(-1, 64)
        for batch in order:
            model, state, scale, finite = step(model, state, scale, x[batch], y[batch])
            skipped += not finite
    assert step.compiles == 1 and {leaf.dtype for leaf in tree.leaves(model)} == {np.dtype(F)}
    accuracy = float(np.mean(np.argmax(leptonc.jit(lambda model, x: model(x))(model, x_test), -1) == y_test))
    return accuracy, skipped, scale


def test_a_network_learns_digits_in_16_bits_as_in_32():
    pytest.importorskip("sklearn")
    data = (*digits_data.load_data("train"), *digits_data.load_data("validation"))
    wide, skipped, _ = learned("float32", optim.StaticLossScale(1.0), *data)
    assert wide > 0.96 and not skipped
    brain, skipped, _ = learned("mixed_bfloat16", optim.StaticLossScale(1.0), *data)
    assert brain > wide - 0.02 and not skipped
    half, skipped, scale = learned("mixed_float16", optim.DynamicLossScale(2.0**24, period=40), *data)
    assert half > wide - 0.02 and 0 < skipped < 40  # the scale that it begins with is too large
    assert 1 < scale.loss_scale < 2.0**24
