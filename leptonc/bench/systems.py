"""One step in each system: ``make(system, mode, case)`` gives a function that runs it and returns what it gives, the loss of a
training step or the array of a forward pass."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

import leptonc
from leptonc import nn, optim
from leptonc import numpy as lnp
from leptonc.bench.cases import CASES, EPSILON, LEARNING_RATE, TINY, TINY_FORWARD, Case
from leptonc.bench.networks.program import Program
from leptonc.bench.peers.common import Step
from leptonc.bench.peers.with_jax import jax_step
from leptonc.bench.peers.with_onnxruntime import onnxruntime_step
from leptonc.bench.peers.with_tensorflow import tensorflow_step
from leptonc.bench.peers.with_torch import torch_step
from leptonc.bench.program_steps import program_step
from leptonc.bench.programs import PROGRAMS, TINY_PROGRAMS
from leptonc.errors import LeptonError

ALL_CASES: dict[str, Case | Program] = {**CASES, **PROGRAMS}
TESTED: dict[str, Case | Program] = {TINY.name: TINY, TINY_FORWARD.name: TINY_FORWARD, **TINY_PROGRAMS}

# What each peer needs installed.
PEERS = {"torch": ("torch",), "onnxruntime": ("onnx", "onnxruntime"), "jax": ("jax",), "tensorflow": ("tensorflow",)}
# Names the Python of an environment that has tensorflow, which does not always fit into one with the others.
TENSORFLOW = "LEPTONC_BENCH_TENSORFLOW"

# Set for every process. compile_s is of a cold start, so no cache on disk may help; Keras could be set to another backend.
SETTINGS = {"LEPTONC_CACHE": "0", "JAX_ENABLE_COMPILATION_CACHE": "false", "KERAS_BACKEND": "tensorflow",
            "TF_CPP_MIN_LOG_LEVEL": "2"}
# Set for PyTorch's "tuned" modes: without them every step maps and faults its large tensors in anew.
KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "8589934592"}

# Batches in memory that one call trains on: as many as a small data set has, fewer of large ones
STEPS_IN_SCAN, LARGE_STEPS_IN_SCAN, LARGE_BATCH = 100, 10, 1 << 20  # bytes

# For an interpreter without leptonc. Its own packages come before what lies beside leptonc, which may be of another Python.
BORROW_LEPTONC = "import sys; sys.path.append(sys.argv.pop(1)); from leptonc.bench.worker import main; sys.exit(main(sys.argv[1:]))"


def modes(case: Case | Program, eager: bool = True, systems: Collection[str] | None = None) -> list[tuple[str, str]]:
    """(system, mode) of all that can run here: leptonc, and of its peers those in ``systems`` if that is given."""
    found = [("leptonc", "compiled"), ("leptonc", "scan" if case.training or isinstance(case, Program) else "frozen")]
    found += [("leptonc", "eager")] if eager else []
    peers = [peer for peer in PEERS if _available(peer) and (systems is None or peer in systems)]
    return found + [(peer, mode) for peer in peers for mode in _peer_modes(peer, case)]


def check_systems(systems: Collection[str]) -> None:
    """Raises LeptonError for a system that is unknown or not installed."""
    for name in systems:
        if name not in ("leptonc", *PEERS):
            raise LeptonError(f"bench: there is no system {name!r}; there are leptonc, {', '.join(PEERS)}")
        if name in PEERS and not _available(name):
            other = f", or set {TENSORFLOW} to the Python of an environment that has it" if name == "tensorflow" else ""
            raise LeptonError(f"bench: {name} is not installed; fix: pip install {' '.join(PEERS[name])}{other}")


def _available(peer: str) -> bool:
    if peer == "tensorflow" and os.environ.get(TENSORFLOW):
        return True
    return all(importlib.util.find_spec(package) is not None for package in PEERS[peer])


def _peer_modes(peer: str, case: Case | Program) -> list[str]:
    if peer == "torch":
        layouts = ["nchw", "channels_last"] if case.images else ["plain"]
        eager = [layout + tuned for layout in layouts for tuned in ("", "+memory kept")]
        return eager + ([f"compiled {layouts[-1]}"] if _builds_extensions() else [])
    if peer == "onnxruntime":
        return [] if case.training or isinstance(case, Program) else ["default"]
    return {"jax": ["jit"], "tensorflow": ["keras function", "xla"]}[peer]


def _builds_extensions() -> bool:
    """torch.compile writes extensions in C++: it needs a compiler and Python's headers."""
    compiler = shutil.which("g++") or shutil.which("clang++")
    return compiler is not None and Path(sysconfig.get_path("include"), "Python.h").exists()


def worker_command(system: str) -> list[str]:
    """What starts a system's worker, before its arguments."""
    borrowed = os.environ.get(TENSORFLOW) if system == "tensorflow" else None
    if borrowed:
        return [borrowed, "-c", BORROW_LEPTONC, str(Path(leptonc.__file__).parents[1])]
    return [sys.executable, "-m", "leptonc.bench.worker"]


def environment(mode: str, scratch: str) -> dict[str, str]:
    """What a mode sets in the environment of its process; ``scratch``: an empty directory."""
    return {**SETTINGS, "TORCHINDUCTOR_CACHE_DIR": scratch, **(KEEP_MEMORY if mode.endswith("+memory kept") else {})}


def steps_in_call(mode: str, case: Case | Program) -> int:
    """Training steps that one call of a mode's function runs."""
    if mode != "scan":
        return 1
    return STEPS_IN_SCAN if case.batch_bytes < LARGE_BATCH else LARGE_STEPS_IN_SCAN


def make(system: str, mode: str, case: Case | Program) -> Step:
    """Raises LeptonError for an unknown system."""
    if isinstance(case, Program):
        return program_step(system, mode, case, steps_in_call(mode, case))
    if (system, mode) == ("leptonc", "scan"):
        return _leptonc_scan(case)
    if (system, mode) == ("leptonc", "frozen"):
        return _leptonc_frozen(case)
    if system == "leptonc":
        return _leptonc(case, eager=mode == "eager")
    if system == "torch":
        return torch_step(case, mode.removeprefix("compiled ").removesuffix("+memory kept"), mode.startswith("compiled "))
    if system == "onnxruntime":
        return onnxruntime_step(case)
    if system == "jax":
        return jax_step(case)
    if system == "tensorflow":
        return tensorflow_step(case, xla=mode == "xla")
    raise LeptonError(f"bench: there is no system {system!r}")


def find_case(name: str) -> Case | Program:
    return ALL_CASES.get(name) or TESTED[name]


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
    return leptonc.jit(lambda params, x: logits(case, params, x)), _placed(case)[:2]


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

    params, x, labels = _placed(case)
    return train, (params, optimizer.init(params), x, np.eye(case.classes, dtype=np.float32)[labels])


def _placed(case: Case) -> tuple[Any, Any, Any]:
    """Weights, images and labels in arrays of leptonc's own, as every peer has them in its own."""
    x, labels = case.data()
    return leptonc.tree.map(lnp.array, case.weights()), lnp.array(x), labels


def _leptonc(case: Case, eager: bool) -> Step:
    if not case.training:
        return _leptonc_forward(case, eager)
    train, (params, state, x, y) = training_step(case)

    def step() -> float:
        nonlocal params, state
        params, state, value = train(params, state, x, y)
        return float(value)

    return _eagerly(step) if eager else step


def _eagerly(step: Step) -> Step:
    def eager_step() -> Any:
        with leptonc.disable_jit():
            return step()

    return eager_step


def _leptonc_scan(case: Case) -> Step:
    """One call of ``lax.scan`` over batches in memory: the same one each time, as in the other modes."""
    train, (params, state, x, y) = training_step(case)
    batches = tuple(np.repeat(array[None], steps_in_call("scan", case), 0) for array in (x, y))
    carry = (params, state)

    def one(carry: Any, batch: Any) -> Any:
        params, state, value = train(*carry, *batch)
        return (params, state), value

    def step() -> float:
        nonlocal carry
        carry, values = leptonc.lax.scan(one, carry, batches)
        return float(values[LARGE_STEPS_IN_SCAN - 1])  # of the first call, what other modes have after ten

    return step


def _leptonc_forward(case: Case, eager: bool) -> Step:
    run, args = forward(case)

    def step() -> Any:
        return run(*args)

    return _eagerly(step) if eager else step


def _leptonc_frozen(case: Case) -> Step:
    """The forward pass with weights given once, as ONNX Runtime has them."""
    run, (params, x) = forward(case)
    predict = leptonc.freeze(run, params)
    return lambda: predict(x)
