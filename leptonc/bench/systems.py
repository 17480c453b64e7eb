"""One training step in each system. ``make(system, mode, case)`` gives a function that runs a step and returns the loss."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from typing import Any

import numpy as np

import leptonc
from leptonc import nn, optim
from leptonc.bench.cases import CASES, EPSILON, LEARNING_RATE, TINY, Case
from leptonc.errors import LeptonError

Step = Callable[[], float]

# Set for PyTorch's "tuned" modes: without them every step maps and faults its large tensors in anew.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "8589934592"}


def modes(case: Case, eager: bool = True) -> list[tuple[str, str]]:
    """(system, mode) of all that can run here."""
    found = [("leptonc", "compiled")] + ([("leptonc", "eager")] if eager else [])
    if importlib.util.find_spec("torch") is not None:
        layouts = ["nchw", "channels_last"] if len(case.input) == 3 else ["plain"]
        found += [("torch", layout + tuned) for layout in layouts for tuned in ("", "+memory kept")]
    return found


def environment(mode: str) -> dict[str, str]:
    """What a mode sets in the environment of its process."""
    return KEEP_MEMORY if mode.endswith("+memory kept") else {"LEPTONC_CACHE": "0"}  # compile_s is of a cold start


def make(system: str, mode: str, case: Case) -> Step:
    """Raises LeptonError for an unknown system."""
    if system == "leptonc":
        return _leptonc(case, eager=mode == "eager")
    if system == "torch":
        return _torch(case, mode.split("+")[0])
    raise LeptonError(f"bench: there is no system {system!r}")


def find_case(name: str) -> Case:
    return TINY if name == TINY.name else CASES[name]


def training_step(case: Case) -> tuple[Any, tuple[Any, ...]]:
    """The jitted step of a case, and its first arguments: parameters, optimizer state, x, y."""
    optimizer = optim.adam(LEARNING_RATE, eps=EPSILON)

    def loss(params: Any, x: Any, y: Any) -> Any:
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
        return nn.cross_entropy(x, y)

    @leptonc.jit(donate_argnums=(0, 1))
    def train(params: Any, state: Any, x: Any, y: Any) -> Any:
        value, grads = leptonc.value_and_grad(loss)(params, x, y)
        updates, state = optimizer.update(grads, state, params)
        return optim.apply_updates(params, updates), state, value

    params: Any = case.weights()
    x, labels = case.data()
    return train, (params, optimizer.init(params), x, np.eye(case.classes, dtype=np.float32)[labels])


def _leptonc(case: Case, eager: bool) -> Step:
    train, (params, state, x, y) = training_step(case)

    def step() -> float:
        nonlocal params, state
        with leptonc.disable_jit(eager):
            params, state, value = train(params, state, x, y)
        return float(value)

    return step


def _torch(case: Case, layout: str) -> Step:
    import torch

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = _torch_model(case)
    x_array, labels = case.data()
    images = len(case.input) == 3
    x = torch.from_numpy(np.moveaxis(x_array, -1, 1).copy() if images else x_array)
    y = torch.from_numpy(labels)
    if layout == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), LEARNING_RATE, eps=EPSILON, fused=True)
    criterion = torch.nn.CrossEntropyLoss()

    def step() -> float:
        optimizer.zero_grad()
        value = criterion(model(x), y)
        value.backward()
        optimizer.step()
        return float(value.item())

    return step


def _torch_model(case: Case) -> Any:
    import torch

    modules: list[Any] = []
    weights = iter(case.weights())
    for number, (layer, shape) in enumerate(zip(case.layers, case.shapes())):
        if layer.kind == "pool":
            modules.append(torch.nn.MaxPool2d(2))
            continue
        kernel, bias = next(weights)
        if layer.kind == "conv":
            made: Any = torch.nn.Conv2d(shape[-1], layer.units, 3, padding=layer.padding)
            kernel = kernel.transpose(3, 2, 0, 1)
        else:
            if len(shape) == 3:  # flattened NCHW here, NHWC in the kernel
                modules.append(torch.nn.Flatten())
                kernel = kernel.reshape(*shape, -1).transpose(2, 0, 1, 3).reshape(kernel.shape)
            made = torch.nn.Linear(*kernel.shape)
            kernel = kernel.T
        with torch.no_grad():
            made.weight.copy_(torch.from_numpy(np.ascontiguousarray(kernel)))
            made.bias.copy_(torch.from_numpy(bias))
        modules.append(made)
        if number + 1 < len(case.layers):
            modules.append(torch.nn.ReLU())
    return torch.nn.Sequential(*modules)
