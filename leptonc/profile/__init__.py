"""Where the time and the memory of compiled steps go: ``leptonc.profile``, loaded when first asked for.

    function    of any function; ``leptonc profile FILE.py:FUNCTION`` prints it
    model       of a Keras model's training or prediction

Both return a Profile, which prints as tables: compile time, step time, memory, then each layer and each kernel with its share of
the time and of what the machine could do (measured once, which takes a second or two and half a GB), and the user's line it came
from. What is passed, and what the model has, stays as it is.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from leptonc import config, tree
from leptonc.errors import ArgumentError, op_error
from leptonc.frames import Loc, users_line
from leptonc.jit import Jitted, jit
from leptonc.memory import copied
from leptonc.profile.kernels import GRADIENT, KernelTime, kernel_times, step_seconds
from leptonc.profile.machine import describe_machine
from leptonc.profile.report import LayerTime, Profile
from leptonc.public import publish as _publish
from leptonc.signature import as_leaf
from leptonc.stages import Interface
from leptonc.transforms import ShapeDtypeStruct


def function(f: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Profile:
    """The profile of a function, jitted or not, on these arguments; static ones are given as usual.

    A ShapeDtypeStruct stands for an array: floats of it are random in 0..1, integers 0 or 1. Raises the errors of tracing.
    """
    jitted = f if isinstance(f, Jitted) else jit(f)
    seconds, traced = _timed(lambda: jitted.trace(*args, **kwargs))
    machine = _machine(config.num_threads())  # before code is made: what loading LLVM takes is no compile time
    stages = {"trace": seconds}
    stages["passes"], lowered = _timed(traced.lower)
    stages["code"], compiled = _timed(lowered.compile)
    arrays = _arrays(traced.interface, jitted.options.split(args, kwargs, traced.interface.name)[0])
    code = compiled.executable
    step = step_seconds(code, arrays)
    threads = code.executable.threads  # one where others keep the cores busy
    return Profile(traced.interface.name, machine, stages, step, threads, code.memory_analysis(),
                   tuple(kernel_times(code, arrays, threads)))


def _timed(stage: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = stage()
    return time.perf_counter() - start, result


@functools.lru_cache(4)
def _machine(threads: int) -> dict[str, Any]:
    return describe_machine()


def _arrays(interface: Interface, arguments: Any) -> list[np.ndarray]:
    """The leaves of the arguments as arrays, those to give away as copies."""
    rng = np.random.default_rng(0)
    leaves = [_random(rng, leaf) if isinstance(leaf, ShapeDtypeStruct) else as_leaf(leaf, path, interface.name)
              for leaf, path in zip(tree.leaves(arguments), interface.signature.names)]
    return [copied(leaf) if n in interface.donated else leaf for n, leaf in enumerate(leaves)]


def _random(rng: np.random.Generator, struct: ShapeDtypeStruct) -> np.ndarray:
    values = rng.integers(0, 2, struct.shape) if struct.dtype.kind in "iub" else rng.random(struct.shape)
    return np.asarray(values).astype(struct.dtype)


def model(model: Any, x: Any, y: Any = None, sample_weight: Any = None) -> Profile:
    """The profile of a compiled Keras model's training step on one batch, or of its prediction without ``y``.

    Kernels are told apart as forward, backward and update (an update that is fused behind a weight gradient is part of backward);
    their lines are those that made the layer, or lines of the user's own layers and losses. Raises ArgumentError for what is no
    Keras model on leptonc or runs eagerly, ValueError for training that was not compiled.
    """
    step_on = getattr(model, "_step_on", None)
    if step_on is None:
        raise op_error("profile.model", "model must be a Keras model on leptonc", {"model": model}, kind=ArgumentError)
    here = users_line()
    step, arguments = step_on(x, y, sample_weight)
    if not isinstance(step, Jitted):
        raise ArgumentError("profile.model: the model runs eagerly; fix: compile it with run_eagerly=False and jit_compile=True")
    found = function(step, *arguments)
    named = tuple(_named(kernel, model, here, y is not None) for kernel in found.kernels)
    return replace(found, name=f"{model.name}, {'training' if y is not None else 'prediction'}", kernels=named)


def _named(kernel: KernelTime, model: Any, here: Loc | None, training: bool) -> KernelTime:
    """The kernel by the names that the model's layers have, each within the model."""
    loc = kernel.loc
    scope = loc.scope if loc else ""
    if loc == here:
        loc = _made_at(model, scope)
    layers = tuple(dict.fromkeys(_layer(name, model.name) for name in kernel.layers))
    return replace(kernel, layers=layers, part=_part(kernel, model, scope) if training else "", loc=loc)


def _layer(scope: str, model: str) -> str:
    return scope.removeprefix(f"{model}/").replace("compile_loss/", "loss/", 1)


def _part(kernel: KernelTime, model: Any, scope: str) -> str:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is not None and optimizer.name in scope.split("/"):
        return "update"
    return "backward" if kernel.part == GRADIENT else "forward"


def _made_at(model: Any, scope: str) -> Loc | None:
    """Where the innermost layer of a scope was made."""
    layers = {layer.name: layer for layer in model._flatten_layers(include_self=False)}
    return next((getattr(layers[name], "made_at", None) for name in reversed(scope.split("/")) if name in layers), None)


__all__ = ["function", "model", "Profile", "KernelTime", "LayerTime"]

_publish(globals(), __all__)
