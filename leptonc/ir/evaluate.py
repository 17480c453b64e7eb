"""Running a graph op by op in NumPy: the meaning that everything compiled is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from leptonc.ir.graph import Graph
from leptonc.ir.op import get_op


def evaluate(graph: Graph, arrays: Sequence[np.ndarray], perturb: Callable[[np.ndarray], np.ndarray] = np.asarray,
             ) -> list[np.ndarray]:
    """The outputs for one array per input, of its shape and dtype. A value is dropped after its last use. ``perturb``: what is done
    to each value that an op gives, in regions too."""
    env = dict(zip(graph.inputs, arrays, strict=True))
    left = dict(graph.use_counts)
    for node in graph.nodes:
        extra = {"regions": node.regions, "perturb": perturb} if node.regions else {}
        out = get_op(node.op).run(*(env[i] for i in node.operands), **node.attributes, **extra)
        for value, array in zip(node.results, out if isinstance(out, tuple) else (out,), strict=True):
            env[value] = perturb(np.asarray(array))
        for value in node.operands:
            left[value] -= 1
            if not left[value]:
                env.pop(value, None)
    return [env[i] for i in graph.outputs]
