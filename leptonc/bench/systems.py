"""One step in each system: ``make(system, mode, case)`` gives a function that runs it and returns a number to compare, the
loss of a training step or the mean magnitude of what a forward pass gives."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np

import leptonc
from leptonc import nn, optim
from leptonc.bench.cases import CASES, EPSILON, LEARNING_RATE, TINY, TINY_FORWARD, Case
from leptonc.bench.peers import Step, magnitude, onnxruntime_step, torch_step
from leptonc.errors import LeptonError

# Set for PyTorch's "tuned" modes: without them every step maps and faults its large tensors in anew.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "8589934592"}


STEPS_IN_SCAN = 10  # batches in memory that one call trains on


def modes(case: Case, eager: bool = True) -> list[tuple[str, str]]:
    """(system, mode) of all that can run here."""
    found = [("leptonc", "compiled")] + ([("leptonc", "scan")] if case.training else [])
    found += [("leptonc", "eager")] if eager else []
    if importlib.util.find_spec("torch") is not None:
        layouts = ["nchw", "channels_last"] if len(case.input) == 3 else ["plain"]
        found += [("torch", layout + tuned) for layout in layouts for tuned in ("", "+memory kept")]
    if not case.training and all(importlib.util.find_spec(name) is not None for name in ("onnx", "onnxruntime")):
        found.append(("onnxruntime", "default"))
    return found


def environment(mode: str) -> dict[str, str]:
    """What a mode sets in the environment of its process."""
    return KEEP_MEMORY if mode.endswith("+memory kept") else {"LEPTONC_CACHE": "0"}  # compile_s is of a cold start


def steps_in_call(mode: str) -> int:
    """Training steps that one call of a mode's function runs."""
    return STEPS_IN_SCAN if mode == "scan" else 1


def make(system: str, mode: str, case: Case) -> Step:
    """Raises LeptonError for an unknown system."""
    if (system, mode) == ("leptonc", "scan"):
        return _leptonc_scan(case)
    if system == "leptonc":
        return _leptonc(case, eager=mode == "eager")
    if system == "torch":
        return torch_step(case, mode.split("+")[0])
    if system == "onnxruntime":
        return onnxruntime_step(case)
    raise LeptonError(f"bench: there is no system {system!r}")


def find_case(name: str) -> Case:
    return {TINY.name: TINY, TINY_FORWARD.name: TINY_FORWARD}.get(name) or CASES[name]


def logits(case: Case, params: Any, x: Any) -> Any:
    """The network."""
    kernels = iter(params)
    for number, layer in enumerate(case.layers):
        if layer.kind == "pool":
            x = nn.max_pool(x, 2)
            continue
        kernel, bias = next(kernels)
        if layer.kind == "conv":
            x = nn.relu(nn.conv(x, kernel, padding=layer.padding) + bias)
            continue
        x = x.reshape((x.shape[0], -1)) @ kernel + bias
        x = nn.relu(x) if number + 1 < len(case.layers) else x
    return x


def forward(case: Case) -> tuple[Any, tuple[Any, ...]]:
    """The jitted forward pass of a case, and its arguments: parameters and x."""
    return leptonc.jit(lambda params, x: logits(case, params, x)), (case.weights(), case.data()[0])


def training_step(case: Case) -> tuple[Any, tuple[Any, ...]]:
    """The jitted step of a case, and its first arguments: parameters, optimizer state, x, y."""
    optimizer = optim.adam(LEARNING_RATE, eps=EPSILON)

    def loss(params: Any, x: Any, y: Any) -> Any:
        return nn.cross_entropy(logits(case, params, x), y)

    @leptonc.jit(donate_argnums=(0, 1))
    def train(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, grads = leptonc.value_and_grad(loss)(params, x, y)
        updates, state = optimizer.update(grads, state, params)
        return optim.apply_updates(params, updates), state, value

    params: Any = case.weights()
    x, labels = case.data()
    return train, (params, optimizer.init(params), x, np.eye(case.classes, dtype=np.float32)[labels])


def _leptonc(case: Case, eager: bool) -> Step:
    if not case.training:
        return _leptonc_forward(case, eager)
    train, (params, state, x, y) = training_step(case)

    def step() -> float:
        nonlocal params, state
        with leptonc.disable_jit(eager):
            params, state, value = train(params, state, x, y)
        return float(value)

    return step


def _leptonc_scan(case: Case) -> Step:
    """One call of ``lax.scan`` over batches in memory: the same one each time, as in the other modes."""
    train, (params, state, x, y) = training_step(case)
    batches = tuple(np.repeat(array[None], STEPS_IN_SCAN, 0) for array in (x, y))
    carry = (params, state)

    def one(carry: Any, batch: Any) -> Any:
        params, state, value = train(*carry, *batch)
        return (params, state), value

    def step() -> float:
        nonlocal carry
        carry, values = leptonc.lax.scan(one, carry, batches)
        return float(values[-1])

    return step


def _leptonc_forward(case: Case, eager: bool) -> Step:
    run, args = forward(case)

    def step() -> float:
        with leptonc.disable_jit(eager):
            return magnitude(run(*args))

    return step
