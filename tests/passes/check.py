"""Comparing a rewritten graph with the original, bit for bit, on values that rewrites get wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import leptonc.ops
from leptonc.ir.builder import Builder
from leptonc.ir.evaluate import evaluate
from leptonc.ir.graph import Graph
from leptonc.ir.types import parse_type
from leptonc.ir.value import Value
from leptonc.ir.verify import verify

assert leptonc.ops  # importing it registers the ops

SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.5, -3.5, 1e30, 7.0, -7.0])


def graph_of(f: Callable[..., Any], *types: str) -> Graph:
    builder = Builder("f")
    out = f(*(builder.input(parse_type(t)) for t in types))
    return builder.finish(out if isinstance(out, tuple) else (out,))


def arrays_for(graph: Graph) -> list[np.ndarray]:
    """Special values for floats, small numbers of both signs for the rest."""
    with np.errstate(over="ignore"):
        return [np.resize(SPECIAL if t.dtype.is_float else np.array([3, 0, -2, 1]) % (2 if t.dtype.is_bool else 1000), t.shape)
                .astype(t.dtype.numpy) for t in graph.input_types]


def assert_equal_bits(before: Graph, after: Graph, arrays: Sequence[np.ndarray] | None = None) -> None:
    verify(after)
    arrays = arrays_for(before) if arrays is None else arrays
    for a, b in zip(evaluate(before, arrays), evaluate(after, arrays), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        # NaNs may differ in sign and payload, nothing else may
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(np.signbit(a[a == a]), np.signbit(b[b == b]))


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def emit(x: Value, op: str, *others: Any, **attrs: Any) -> Any:
    return x.builder.emit(op, (x, *others), attrs)
