"""A small layer at every stage of its compilation: what leptonc does, printed.

    python examples/tour.py
"""

from __future__ import annotations

from typing import Any

import numpy as np

import leptonc
from leptonc import nn
from leptonc.ir import parse

BATCH, INPUTS, UNITS = 8, 12, 16


def layer(params: Any, x: Any) -> Any:
    """The squared activations of a dense layer, summed."""
    return (nn.relu(x @ params["kernel"] + params["bias"]) ** 2).sum()


def arguments() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    params = {"kernel": nn.initializers.glorot_uniform()(rng, (INPUTS, UNITS)), "bias": np.zeros(UNITS, np.float32)}
    return params, rng.random((BATCH, INPUTS), np.float32)


def show(title: str, text: str, lines: int = 0) -> None:
    """Print a text under a title, cut to ``lines`` if given."""
    rows = text.splitlines()
    print(f"\n== {title} ({len(rows)} lines)\n")
    print("\n".join(rows[:lines or None]) + (f"\n... {len(rows) - lines} more" if lines and len(rows) > lines else ""))


def main() -> None:
    params, x = arguments()

    # Traced: what the Python function does, as a typed graph; every node has its line.
    traced = leptonc.jit(layer).trace(params, x)
    show("traced", traced.as_text())
    assert parse(traced.as_text()) == traced.graph  # the text is the graph

    # The gradient is a graph as well, of the same ops; so is the gradient of the gradient.
    gradient = leptonc.jit(leptonc.value_and_grad(layer)).trace(params, x)
    show("value and gradient, traced", gradient.as_text())

    # Optimized: simplified, and in ops that become loops.
    lowered = gradient.lower()
    show("optimized", lowered.as_text("optimized"))

    # Kernels: loop nests over buffers, fused, with their memory planned. What is computed, not yet how.
    show("kernels", lowered.as_text("kernels"), 60)

    # How: the schedule of each kernel stands at the head of the LLVM text; then vector code, then instructions.
    compiled = lowered.compile()
    show("llvm", compiled.as_text("llvm"), 24)
    show("asm", compiled.as_text("asm"), 12)

    value, grads = compiled(params, x)
    with leptonc.disable_jit():  # the same, op by op in NumPy
        eager_value, eager_grads = leptonc.value_and_grad(layer)(params, x)
    print(f"\ncompiled {value:.6f}, eager {eager_value:.6f}")
    np.testing.assert_allclose(value, eager_value, rtol=1e-5)
    np.testing.assert_allclose(grads["kernel"], eager_grads["kernel"], rtol=1e-4, atol=1e-5)
    print("cost:", compiled.cost_analysis())
    print("memory:", compiled.memory_analysis())


if __name__ == "__main__":
    main()
