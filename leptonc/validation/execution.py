"""Running graphs and programs in f64. What did not change between two programs runs once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from leptonc.ir.control import Control, Loop
from leptonc.ir.evaluate import evaluate
from leptonc.ir.graph import Graph
from leptonc.ir.interpret import Perturb, run_kernel
from leptonc.ir.kernel import Kernel, Program, Stage, points
from leptonc.ir.prefix import Prefix
from leptonc.ir.sorting import Sort
from leptonc.ir.structure import is_contraction
from leptonc.ir.types import in_reals, out_of_reals
from leptonc.validation.placed import run_placed
from leptonc.validation.widen import wide_array, widen_graph, widen_program

TRIPS = 16  # taken for the number of a loop's that is not known
KEPT_BYTES = 1 << 28  # of results of kernels, for the next program
PRODUCTS_AT_ONCE = 32  # products in a sum that take as long as one instruction elsewhere: NumPy's matmul is fast


def cost(program: Program) -> int:
    """Instructions over all points that running a program takes; sums of products count less."""
    return sum(map(_kernel_cost, (call.kernel for call in program.calls)))


def _kernel_cost(kernel: Kernel) -> int:
    """Of a loop that of all its trips, of a branch that of the one that takes the most."""
    if isinstance(kernel, Control):
        trips = 1 if not isinstance(kernel, Loop) else TRIPS if kernel.trips is None else kernel.trips
        return trips * max(map(cost, kernel.bodies), default=0)
    if isinstance(kernel, Sort):
        outer, n, inner = kernel.shape
        return outer * inner * n * max(n, 2).bit_length()
    if isinstance(kernel, Prefix):
        return kernel.params[0].type.size
    return points(kernel.outer) * sum(map(_stage_cost, kernel.stages))


def _stage_cost(stage: Stage) -> int:
    if stage.has_reduce and is_contraction(stage):
        return points(stage.axes) // PRODUCTS_AT_ONCE + points(stage.map_axes) * len(stage.insts)
    return points(stage.axes) * len(stage.insts)


class Runner:
    """Runs graphs and programs in f64 on arrays of their own types, and keeps results that may be wanted again."""

    def __init__(self) -> None:
        self.wide: dict[int, tuple[Any, Any]] = {}  # by identity: graph or program, and the same in f64
        self.kernels: dict[int, tuple[Kernel, Kernel]] = {}
        self.results: dict[tuple[int, ...], tuple[Any, list[np.ndarray]]] = {}  # of kernels: by the identity of kernel and operands
        self.size = 0
        self.memo: dict[tuple[int, ...], tuple[Any, Any, list[np.ndarray]]] = {}  # outputs: by the identity of IR and arrays

    def widened(self, ir: Any) -> Any:
        known = self.wide.get(id(ir))
        if known is None:
            made = widen_graph(ir) if isinstance(ir, Graph) else widen_program(ir, self.kernels)
            known = self.wide[id(ir)] = ir, made
        return known[1]

    def outputs(self, ir: Any, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs of a graph or a program."""
        key = (id(ir), *map(id, arrays))
        if key not in self.memo:
            self.memo[key] = ir, arrays, self._outputs(self.widened(ir), arrays)
        return self.memo[key][2]

    def _outputs(self, wide: Any, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        with np.errstate(all="ignore"):
            if isinstance(wide, Graph):
                return evaluate(wide, arrays)
            env = self.buffers(wide, arrays)
        return [out_of_reals(env[n], wide.buffers[n].type) for n in wide.outputs]

    def forget(self, but: Any) -> None:
        """Everything kept of graphs and programs, those of one excepted."""
        self.memo = {key: value for key, value in self.memo.items() if value[0] is but}
        self.wide = {key: value for key, value in self.wide.items() if value[0] is but}

    def values(self, ir: Any, arrays: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
        """Every value of a graph, every buffer of a program."""
        wide = self.widened(ir)
        with np.errstate(all="ignore"):
            return _values(wide, arrays) if isinstance(wide, Graph) else self.buffers(wide, arrays)

    def in_place(self, program: Program, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The outputs of a program in the memory it was given."""
        with np.errstate(all="ignore"):
            return run_placed(self.widened(program), arrays)

    def buffers(self, wide: Program, arrays: Sequence[np.ndarray], perturb: Perturb | None = None) -> dict[int, np.ndarray]:
        """Every buffer of a program in f64, each with memory of its own, complex numbers as reals."""
        env = dict(zip(wide.inputs, map(in_reals, arrays), strict=True))
        env.update({n: b.literal.array for n, b in enumerate(wide.buffers) if b.literal is not None})
        for call in wide.calls:
            params = call.kernel.params
            operands = [env[n] for p, n in zip(params, call.args) if p.role != "out"]
            results = self._kernel(call.kernel, operands) if perturb is None else run_kernel(call.kernel, operands, perturb)
            env.update(zip([n for p, n in zip(params, call.args) if p.role != "in"], results, strict=True))
        return env

    def _kernel(self, kernel: Kernel, operands: list[np.ndarray]) -> list[np.ndarray]:
        key = (id(kernel), *map(id, operands))
        known = self.results.get(key)
        if known is not None:
            return known[1]
        results = run_kernel(kernel, operands)
        self._keep(key, kernel, operands, results)
        return results

    def _keep(self, key: tuple[int, ...], kernel: Kernel, operands: list[np.ndarray], results: list[np.ndarray]) -> None:
        self.size += sum(r.nbytes for r in results)
        if self.size > KEPT_BYTES:
            self.results.clear()
            self.size = sum(r.nbytes for r in results)
        self.results[key] = (kernel, operands), results  # both stay alive, or another could take an identity


def wide_arrays(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [wide_array(a) for a in arrays]


def _values(graph: Graph, arrays: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    everything = tuple(graph.types)
    return dict(zip(everything, evaluate(replace(graph, outputs=everything), arrays), strict=True))
