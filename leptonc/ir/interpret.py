"""The reference interpreter of Kernels: slow, plain NumPy, the oracle of code generation.

A stage is evaluated for all its points at once: every value is an array that broadcasts against the stage's axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import numpy as np

from leptonc.errors import IRError
from leptonc.ir.kernel import (
    Apply,
    AxisIndex,
    Const,
    Index,
    Inst,
    Kernel,
    Load,
    Param,
    Program,
    Reduce,
    Stage,
    Store,
    reduction_identity,
)
from leptonc.ir.scalar import NUMPY
from leptonc.ir.types import DType


def run_kernel(kernel: Kernel, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Outputs (parameters that are not "in", in order) for one array per input parameter, reshaped as it says.

    An "inout" parameter takes an array as well, and is returned changed. What no store covers stays garbage.
    """
    given = iter(arrays)
    env = {}
    for param in kernel.params:
        if param.role == "out":
            env[param.name] = _fresh(param)
        else:
            array = np.asarray(next(given), param.type.dtype.numpy).reshape(param.type.shape)
            env[param.name] = array.copy() if param.role == "inout" else array
    for point in product(*(range(a.extent) for a in kernel.outer)):
        env.update({p.name: _fresh(p) for p in kernel.locals})
        fixed = {a.name: np.asarray(at) for a, at in zip(kernel.outer, point)}
        for stage in kernel.stages:
            _Stage(stage, env, fixed).run()
    return [env[p.name] for p in kernel.params if p.role != "in"]


def _fresh(param: Param) -> np.ndarray:
    """The initial value, or bytes that no test takes for a result."""
    if param.init is not None:
        return np.full(param.type.shape, param.init, param.type.dtype.numpy)
    garbage = np.full(max(param.type.nbytes, 1), 0xCC, np.uint8)[:param.type.nbytes]
    return garbage.view(param.type.dtype.numpy).reshape(param.type.shape).copy()


def run_program(program: Program, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The outputs of a Program. Donation and arena offsets are ignored: every buffer has memory of its own."""
    env: dict[int, np.ndarray] = dict(zip(program.inputs, arrays, strict=True))
    for number, buffer in enumerate(program.buffers):
        if buffer.literal is not None:
            env[number] = buffer.literal.array
    for call in program.calls:
        params = call.kernel.params
        results = run_kernel(call.kernel, [env[n] for p, n in zip(params, call.args) if p.role != "out"])
        written = [n for p, n in zip(params, call.args) if p.role != "in"]
        env.update(zip(written, results, strict=True))
    return [env[n].reshape(program.buffers[n].type.shape) for n in program.outputs]


class _Stage:
    """One stage at one point of the kernel's outer axes."""

    def __init__(self, stage: Stage, env: dict[str, np.ndarray], fixed: dict[str, np.ndarray]):
        self.stage = stage
        self.env = env
        rank = len(stage.axes)
        self.shape = tuple(a.extent for a in stage.axes)
        self.grid = dict(fixed)
        for n, axis in enumerate(stage.axes):
            self.grid[axis.name] = np.arange(axis.extent).reshape([-1 if d == n else 1 for d in range(rank)])
        self.folded = tuple(n for n, a in enumerate(stage.axes) if a.reduce)
        self.values: list[np.ndarray] = []

    def run(self) -> None:
        for inst in self.stage.insts:
            self.values.append(self._inst(inst))
        for store in self.stage.stores:
            self._store(store)

    def _inst(self, inst: Inst) -> np.ndarray:
        match inst:
            case Const():
                return np.asarray(inst.value, inst.dtype.numpy)
            case AxisIndex():
                return (self._number(inst.index) // inst.index.div).astype(inst.dtype.numpy)
            case Load():
                return self._load(inst)
            case Apply() if inst.op == "cast":
                return NUMPY.cast(self.values[inst.args[0]], inst.dtype)
            case Apply():
                return np.asarray(getattr(NUMPY, inst.op)(*(self.values[n] for n in inst.args)))
            case Reduce():
                return self._reduce(inst)

    def _number(self, index: Index) -> np.ndarray:
        total = np.asarray(index.offset)
        for axis, coeff in index.axes:
            total = total + self.grid[axis] * coeff
        for value, coeff in index.values:
            total = total + self.values[value].astype(np.int64) * coeff
        return total

    def _place(self, access: Load | Store, shape: tuple[int, ...]) -> tuple[list[np.ndarray], np.ndarray]:
        """Indices (0 where out of range), and whether each point is in range."""
        places, inside = [], np.asarray(True)
        for index, extent in zip(access.index, shape):
            number = self._number(index)
            place = number // index.div
            ok = (number % index.div == 0) & (place >= 0) & (place < extent)
            places.append(np.where(ok, place, 0))
            inside = inside & ok
        return places, inside

    def _load(self, load: Load) -> np.ndarray:
        buffer = self.env[load.buffer]
        places, inside = self._place(load, buffer.shape)
        if load.pad is None and not inside.all():
            raise IRError(f"load from {load.buffer} out of range")
        if not buffer.size:
            shape = np.broadcast_shapes(inside.shape, *(p.shape for p in places))
            return np.full(shape, 0 if load.pad is None else load.pad, buffer.dtype)
        found = buffer[tuple(places)] if places else buffer
        return np.asarray(found) if load.pad is None else np.where(inside, found, np.asarray(load.pad).astype(buffer.dtype))

    def _reduce(self, reduce: Reduce) -> np.ndarray:
        full = np.broadcast_to(self.values[reduce.arg], self.shape)
        kept = tuple(1 if n in self.folded else extent for n, extent in enumerate(self.shape))
        moved = np.moveaxis(full, self.folded, range(len(self.shape) - len(self.folded), len(self.shape)))
        flat = moved.reshape((*(e for n, e in enumerate(self.shape) if n not in self.folded),
                              prod(self.shape[n] for n in self.folded)))
        return fold(reduce.kind, flat, reduce.dtype).reshape(kept)

    def _store(self, store: Store) -> None:
        target = self.env[store.buffer]
        places, inside = self._place(store, target.shape)
        points = tuple(1 if n in self.folded and self.stage.has_reduce else e for n, e in enumerate(self.shape))
        if not store.masked and not inside.all() and 0 not in points:
            raise IRError(f"store into {store.buffer} out of range")
        value = np.broadcast_to(self.values[store.value], points).reshape(-1)
        keep = np.broadcast_to(inside, points).reshape(-1)
        where = tuple(np.broadcast_to(p, points).reshape(-1)[keep] for p in places)
        if not where:
            target[...] = target + value[0] if store.accumulate else value[0]
        elif store.accumulate:
            np.add.at(target, where, value[keep])
        else:
            target[where] = value[keep]


def fold(kind: str, x: np.ndarray, dtype: DType) -> np.ndarray:
    """Over the last axis; float sums in f64, so that the oracle is the more exact one."""
    with np.errstate(all="ignore"):
        if kind in ("sum", "prod"):
            wide = np.float64 if dtype.is_float else dtype.numpy
            return np.asarray(getattr(np, kind)(x, -1, dtype=wide)).astype(dtype.numpy)
        if kind in ("argmax", "argmin"):
            return np.asarray(getattr(np, kind)(x, -1)).astype(np.int64)
        if kind in ("any", "all"):
            return np.asarray(getattr(np, kind)(x, -1))
        if kind == "or":
            return np.asarray(np.bitwise_or.reduce(x, -1))
        if x.shape[-1] == 0:
            return np.full(x.shape[:-1], reduction_identity(kind, dtype), dtype.numpy)
        return np.asarray(getattr(np, kind)(x, -1))
