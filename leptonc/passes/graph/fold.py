"""Constant folding: nodes whose operands are all known are computed now, by the op's eager rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from leptonc.ir.graph import Graph
from leptonc.ir.op import get_op
from leptonc.passes.graph.rewriter import Rewriter


@dataclass(frozen=True)
class Fold:
    """``max_elements``: larger results stay computed at run time: data costs memory and compile time.

    A broadcast stays what it is unless its result is tiny: it costs nothing where it is used. So does a view of complex numbers:
    what is inside of the program knows reals alone. Tables become constants when kernels are made.
    """

    max_elements: int = 1024
    max_broadcast: int = 16
    name: str = "fold"
    changes: ClassVar[tuple[str, ...]] = ("rounding",)  # constants are in their own type

    def __call__(self, graph: Graph) -> Graph:
        r = Rewriter(graph)
        for node in graph.nodes:
            operands = [r.env[i] for i in node.operands]
            arrays = [r.array(x) for x in operands]
            known = [a for a in arrays if a is not None]
            limit = self.max_broadcast if node.op in ("broadcast", "iota") else self.max_elements
            small = all(t.size <= limit for t in node.types)
            op = get_op(node.op)
            kept = node.op == "constant" or op.views or op.tabulated or node.regions
            if kept or len(known) != len(arrays) or not small:
                r.env.update(zip(node.results, r.builder.copy_node(node, operands), strict=True))
                continue
            out = get_op(node.op).run(*known, **node.attributes)
            with r.builder.at(node.loc):
                for value, result in zip(node.results, out if isinstance(out, tuple) else (out,), strict=True):
                    r.env[value] = r.builder.constant(np.asarray(result))
        return r.finish(graph.outputs)
