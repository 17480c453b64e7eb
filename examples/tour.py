"""A small function at every stage of the compiler: one dense layer, summed, and its gradient.

    python examples/tour.py
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import leptonc
from leptonc import ShapeDtypeStruct, nn

MAX_LINES = 40  # of each text: LLVM and assembly are long


def _example_args() -> tuple[Any, ...]:
    return tuple(ShapeDtypeStruct(shape, np.float32) for shape in ((8, 16), (16, 24), (24,)))


@leptonc.jit(example_args=_example_args)
def layer(x: Any, w: Any, b: Any) -> Any:
    """The sum over relu(x @ w + b)."""
    return leptonc.numpy.sum(nn.relu(x @ w + b))


layer_gradient = leptonc.jit(leptonc.grad(layer, argnums=(1, 2)), example_args=_example_args)


def show(title: str, text: str, write: Callable[[str], object], max_lines: int | None) -> None:
    """Write ``text`` under a title, its end left out if it is long."""
    lines = text.splitlines()
    kept = lines if max_lines is None else lines[:max_lines]
    write(f"\n== {title} ==\n")
    for line in kept:
        write(line)
    if len(kept) < len(lines):
        write(f"... {len(lines) - len(kept)} lines more")


def main(write: Callable[[str], object] = print, max_lines: int | None = MAX_LINES) -> None:
    """Print the tour through ``write``, one line a call; ``max_lines=None`` leaves nothing out."""
    write("A Python function becomes a graph, a better graph, kernels, LLVM IR and machine code.")
    traced = layer.trace(*layer.examples())
    lowered = traced.lower()
    compiled = lowered.compile()
    show("traced: what the function did, on shapes alone", traced.as_text(), write, max_lines)
    if leptonc.ir.parse(traced.as_text()) == traced.graph:
        write("(this text parses back to the same graph)")
    show("optimized: after the passes on graphs", lowered.as_text("optimized"), write, max_lines)
    show("kernels: loop nests over buffers, fused, memory planned", lowered.as_text("kernels"), write, max_lines)
    show("llvm: what the kernels became", compiled.as_text("llvm"), write, max_lines)
    show("asm: what the machine runs", compiled.as_text("asm"), write, max_lines)

    gradient = layer_gradient.trace(*layer_gradient.examples())
    show("the gradient by w and b is a graph like any other, traced", gradient.as_text(), write, max_lines)
    show("the gradient, optimized", gradient.lower().as_text("optimized"), write, max_lines)

    rng = np.random.default_rng(0)
    x, w, b = (rng.standard_normal(s.shape, np.float32) for s in layer.examples())
    write(f"\ncompiled {float(layer(x, w, b)):.4f}, NumPy {float(np.maximum(x @ w + b, 0).sum()):.4f}")


if __name__ == "__main__":
    main()
