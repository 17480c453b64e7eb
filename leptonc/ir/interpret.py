"""The reference interpreter of Kernels: plain NumPy, the oracle of code generation.

A stage is evaluated for all its points at once, those of the kernel's outer axes included as far as memory allows: every value is
an array that broadcasts against outer axes, then the stage's. Affine accesses are views; long sums of products are products of
matrices, in f64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from leptonc.errors import IRError
from leptonc.ir.control import Control
from leptonc.ir.kernel import (
    Apply,
    Axis,
    AxisIndex,
    Const,
    Index,
    Inst,
    Kernel,
    Load,
    Param,
    Program,
    Reduce,
    RowKernel,
    Stage,
    Store,
    operands,
    points,
    reduction_identity,
)
from leptonc.ir.prefix import Prefix, accumulated
from leptonc.ir.scalar import NUMPY
from leptonc.ir.types import DType, dtype_of, in_reals, out_of_reals

AT_ONCE = 1 << 21  # points of a stage that are held in memory at once, where outer axes let us choose
IN_CACHE = 1 << 16  # points whose numbers fit a cache
FOLDED_FEW = 16  # points of the reduce axes: below, a stage is taken for one that has no matrices to multiply
MATRICES_FROM = 1 << 16  # points from which on a sum of products is taken as a product of matrices
SPREAD = 4  # times as many elements as are read, at most, may a buffer have with its padding; else elements are looked up

COMBINE = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}  # an accumulating store's element and value

ALIKE = 128  # terms of a sum from which on it matters that they may all round to one side

Perturb = Callable[[Inst, np.ndarray, np.ndarray | None], np.ndarray]
"""Called for every float result: instruction, value, and of a sum the sum of magnitudes, as much larger as it has more than
``ALIKE`` terms. It gives the value to go on with."""

Box = Mapping[str, range]


def run_kernel(kernel: Kernel, arrays: Sequence[np.ndarray], perturb: Perturb | None = None) -> list[np.ndarray]:
    """Outputs (parameters that are not "in", in order) for one array per input parameter, reshaped as it says.

    An "inout" parameter takes an array as well, and is returned changed. What no store covers stays garbage.
    """
    given = iter(arrays)
    env = {}
    for param in kernel.params:
        if param.role == "out":
            env[param.name] = fresh(param)
        else:
            array = np.asarray(next(given), param.type.dtype.numpy).reshape(param.type.shape)
            env[param.name] = array.copy() if param.role == "inout" else array
    execute(kernel, env, perturb)
    return [env[p.name] for p in kernel.params if p.role != "in"]


def fresh(param: Param) -> np.ndarray:
    """The initial value, or bytes that no test takes for a result."""
    return _fresh(param, param.type.shape)


def _fresh(param: Param, shape: tuple[int, ...]) -> np.ndarray:
    dtype = param.type.dtype.numpy
    if param.init is not None:
        return np.full(shape, param.init, dtype)
    return np.full(prod(shape) * dtype.itemsize, 0xCC, np.uint8).view(dtype).reshape(shape)


def run_program(program: Program, arrays: Sequence[np.ndarray], perturb: Perturb | None = None) -> list[np.ndarray]:
    """The outputs of a Program. Donation and arena offsets are ignored: every buffer has memory of its own."""
    env: dict[int, np.ndarray] = dict(zip(program.inputs, map(in_reals, arrays), strict=True))
    for number, buffer in enumerate(program.buffers):
        if buffer.literal is not None:
            env[number] = buffer.literal.array
    for call in program.calls:
        params = call.kernel.params
        results = run_kernel(call.kernel, [env[n] for p, n in zip(params, call.args) if p.role != "out"], perturb)
        written = [n for p, n in zip(params, call.args) if p.role != "in"]
        env.update(zip(written, results, strict=True))
    return [out_of_reals(env[n], program.buffers[n].type) for n in program.outputs]


def execute(kernel: Kernel, env: dict[str, np.ndarray], perturb: Perturb | None = None, pieces: int = 1,
            backwards: bool = False) -> None:
    """Runs a kernel on arrays by parameter name, which it changes; arrays may share memory.

    ``pieces``: map axes, outer ones too, are cut into so many pieces that run one after the other. The order of points is free
    (but where stores set elements one after the other), so results are the same, also ``backwards``, unless a point overwrites what
    another reads.
    """
    if isinstance(kernel, Control):
        return kernel.run(env, partial(run_program, perturb=perturb))
    if isinstance(kernel, RowKernel):
        kernel.run(env)
        return _perturb_prefixes(kernel, env, perturb) if isinstance(kernel, Prefix) and perturb is not None else None
    arrays = dict(env)
    room = AT_ONCE // max((points(s.axes) or 1 for s in kernel.stages), default=1)
    local = frozenset(p.name for p in kernel.locals)
    for box in _boxes(kernel.outer, room, pieces, backwards):
        counts = tuple(len(box[a.name]) for a in kernel.outer)
        arrays.update({p.name: _fresh(p, (*counts, *p.type.shape)) for p in kernel.locals})
        for stage in kernel.stages:
            free = not any(s.ordered for s in stage.stores)
            for part in _boxes(stage.map_axes, _room(stage), pieces if free else 1, backwards and free):
                _Stage(stage, arrays, kernel.outer, local, {**box, **part}, perturb).run()


def _room(stage: Stage) -> int:
    """How many of a stage's map points to take at once: temporaries in a cache are faster, but products of matrices want all."""
    folded = points(stage.reduce_axes) or 1
    return IN_CACHE // folded if folded < FOLDED_FEW else points(stage.map_axes)


def _boxes(axes: Sequence[Axis], room: int, pieces: int, backwards: bool) -> Iterator[dict[str, range]]:
    """Boxes of up to ``room`` points, the last axes in them whole if may be."""
    sizes = []
    for axis in reversed(axes):
        sizes.append(max(1, min(room, -(-axis.extent // pieces))))
        room //= max(axis.extent, 1)
    choices = [_ranges(a.extent, size)[::-1 if backwards else 1] for a, size in zip(axes, reversed(sizes))]
    for ranges in product(*choices):
        yield {a.name: r for a, r in zip(axes, ranges)}


def _ranges(extent: int, size: int) -> list[range]:
    return [range(at, min(at + size, extent)) for at in range(0, extent, size)]


def _perturb_prefixes(kernel: Prefix, env: dict[str, np.ndarray], perturb: Perturb) -> None:
    """Extremes are exact. Of sums an error has the size of what is added up, of products that of the result."""
    source, target = (env[p.name] for p in kernel.params)
    if not kernel.dtype.is_float or kernel.join in ("max", "min"):
        return
    sums = kernel.join == "add"
    size = accumulated("add", np.abs(source), 1, kernel.reverse) if sums else np.abs(target) + (kernel.join == "logaddexp")
    target[...] = perturb(Reduce("sum", 0, kernel.dtype), target, size * max(1.0, kernel.shape[1] / ALIKE))


class _Stage:
    """One stage at a box of points: ranges of outer axes and of some of its own, whole others."""

    def __init__(self, stage: Stage, env: dict[str, np.ndarray], outer: tuple[Axis, ...], local: frozenset[str], box: Box,
                 perturb: Perturb | None):
        self.stage, self.env, self.local, self.perturb = stage, env, local, perturb
        self.outer = tuple(Index(((a.name, 1),), -box[a.name].start) for a in outer)  # the first dimensions of locals
        axes = (*outer, *stage.axes)
        self.place = {a.name: n for n, a in enumerate(axes)}
        self.ranges = [box.get(a.name, range(a.extent)) for a in axes]
        self.shape = tuple(map(len, self.ranges))
        self.folded = tuple(n for n, a in enumerate(axes) if a.reduce)
        self.values: list[np.ndarray] = []
        self.deferred = self._products()

    def run(self) -> None:
        for n, inst in enumerate(self.stage.insts):
            self.values.append(np.zeros(()) if n in self.deferred else self._inst(inst))
        for store in self.stage.stores:
            self._store(store)

    def _products(self) -> set[int]:
        """Products that nothing but a long sum reads: they are summed as products of matrices."""
        insts = self.stage.insts
        if prod(self.shape) < MATRICES_FROM:
            return set()
        found = {i.arg for i in insts if isinstance(i, Reduce) and i.kind == "sum" and i.dtype.is_float}
        read = [n for i in insts for n in operands(i)] + [s.value for s in self.stage.stores]
        return {n for n in found if isinstance(insts[n], Apply) and getattr(insts[n], "op", "") == "mul" and read.count(n) == 1}

    def _inst(self, inst: Inst) -> np.ndarray:
        match inst:
            case Const():
                return np.asarray(inst.value, inst.dtype.numpy)
            case AxisIndex():
                return (self._number(inst.index) // inst.index.div).astype(inst.dtype.numpy)
            case Load():
                return self._load(inst)
            case Apply():
                value = NUMPY.apply(inst.op, (self.values[n] for n in inst.args), inst.dtype)
                return value if self.perturb is None or not inst.dtype.is_float else self.perturb(inst, value, None)
            case Reduce():
                return self._reduce(inst)

    def _grid(self, axis: str) -> np.ndarray:
        n = self.place[axis]
        return np.arange(self.ranges[n].start, self.ranges[n].stop).reshape([-1 if d == n else 1 for d in range(len(self.shape))])

    def _number(self, index: Index) -> np.ndarray:
        total = np.asarray(index.offset)
        for axis, coeff in index.axes:
            total = total + self._grid(axis) * coeff
        for value, coeff in index.values:
            total = total + self.values[value].astype(np.int64) * coeff
        return total

    def _index(self, access: Load | Store) -> tuple[Index, ...]:
        return (*self.outer, *access.index) if access.buffer in self.local else access.index

    def _places(self, index: tuple[Index, ...], shape: tuple[int, ...]) -> tuple[list[np.ndarray], np.ndarray]:
        """Indices (0 where out of range), and whether each point is in range."""
        places, inside = [], np.asarray(True)
        for at, extent in zip(index, shape):
            number = self._number(at)
            place = number // at.div
            ok = (number % at.div == 0) & (place >= 0) & (place < extent)
            places.append(np.where(ok, place, 0))
            inside = inside & ok
        return places, inside

    def _span(self, index: Index) -> tuple[int, int]:
        """The least and the greatest value of an affine index."""
        ends = [(c * self.ranges[self.place[a]].start, c * (self.ranges[self.place[a]].stop - 1)) for a, c in index.axes]
        return index.offset + sum(map(min, ends)), index.offset + sum(map(max, ends))

    def _view(self, buffer: np.ndarray, index: tuple[Index, ...], shift: Sequence[int]) -> np.ndarray:
        """The elements at an affine index, ``shift`` further on; axes that it does not use have one point."""
        strides = [0] * len(self.shape)
        start = []
        for at, stride, more in zip(index, buffer.strides, shift):
            start.append(at.offset + more + sum(c * self.ranges[self.place[a]].start for a, c in at.axes))
            for axis, coeff in at.axes:
                strides[self.place[axis]] += coeff * stride
        shape = [len(r) if stride else 1 for r, stride in zip(self.ranges, strides)]
        begin: tuple[Any, ...] = (*(slice(s, None) for s in start), ...)
        return as_strided(buffer[begin], shape, strides)

    def _affine(self, index: tuple[Index, ...]) -> bool:
        return 0 not in self.shape and not any(i.values or i.div != 1 for i in index)

    def _load(self, load: Load) -> np.ndarray:
        buffer, index = self.env[load.buffer], self._index(load)
        found = self._load_view(load, buffer, index) if self._affine(index) and buffer.size else None
        if found is None:
            return self._look_up(load, buffer, index)
        written = any(np.may_share_memory(found, self.env[s.buffer]) for s in self.stage.stores)
        return found.copy() if written else found

    def _load_view(self, load: Load, buffer: np.ndarray, index: tuple[Index, ...]) -> np.ndarray | None:
        """None where padding would take too much memory."""
        spans = [self._span(i) for i in index]
        margins = [(max(0, -low), max(0, high + 1 - extent)) for (low, high), extent in zip(spans, buffer.shape)]
        if not any(map(any, margins)):
            return self._view(buffer, index, [0] * len(index))
        if load.pad is None:
            raise IRError(f"load from {load.buffer} out of range")
        if prod(n + sum(margin) for n, margin in zip(buffer.shape, margins)) > SPREAD * (buffer.size + prod(self.shape)):
            return None
        padded = np.pad(buffer, margins, constant_values=np.asarray(load.pad).astype(buffer.dtype))
        return self._view(padded, index, [low for low, _ in margins])

    def _look_up(self, load: Load, buffer: np.ndarray, index: tuple[Index, ...]) -> np.ndarray:
        places, inside = self._places(index, buffer.shape)
        if load.pad is None and not inside.all():
            raise IRError(f"load from {load.buffer} out of range")
        if not buffer.size:
            shape = np.broadcast_shapes(inside.shape, *(p.shape for p in places))
            return np.full(shape, 0 if load.pad is None else load.pad, buffer.dtype)
        found = buffer[tuple(places)] if places else buffer.copy()
        return np.asarray(found) if load.pad is None else np.where(inside, found, np.asarray(load.pad).astype(buffer.dtype))

    def _reduce(self, reduce: Reduce) -> np.ndarray:
        sums = reduce.kind == "sum" and reduce.dtype.is_float
        if reduce.arg in self.deferred:
            product = self.stage.insts[reduce.arg]
            assert isinstance(product, Apply)
            first, second = (np.asarray(self.values[n]) for n in product.args)
            value = self._contract(first, second).astype(reduce.dtype.numpy)
            size = None if self.perturb is None else self._contract(np.abs(first), np.abs(second))
        else:
            value = self._fold(reduce, self.values[reduce.arg])
            size = self._fold(reduce, np.abs(self.values[reduce.arg])) if self.perturb is not None and sums else None
        if self.perturb is None or not reduce.dtype.is_float:
            return value
        # Each addition is off by up to a roundoff of the partial sum. Of n terms of one sign these sums grow to that of all
        # magnitudes evenly, and together the roundoffs are n / 2 of it.
        terms = prod(a.extent for a in self.stage.reduce_axes)
        return self.perturb(reduce, value, None if size is None else size * max(1.0, terms / ALIKE))

    def _fold(self, reduce: Reduce, x: np.ndarray) -> np.ndarray:
        full = np.broadcast_to(x, self.shape)
        kept = tuple(1 if n in self.folded else extent for n, extent in enumerate(self.shape))
        moved = np.moveaxis(full, self.folded, range(len(self.shape) - len(self.folded), len(self.shape)))
        flat = moved.reshape((*(e for n, e in enumerate(self.shape) if n not in self.folded),
                              prod(self.shape[n] for n in self.folded)))
        return fold(reduce.kind, flat, reduce.dtype).reshape(kept)

    def _contract(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """The sum over the folded axes of the product, as a product of matrices in f64."""
        rank = len(self.shape)
        first, second = (np.asarray(x, np.float64).reshape((1,) * (rank - x.ndim) + x.shape) for x in (first, second))
        times = prod(self.shape[d] for d in self.folded if first.shape[d] == second.shape[d] == 1)
        with np.errstate(all="ignore"):
            first = first.sum(tuple(d for d in self.folded if second.shape[d] == 1), keepdims=True)
            second = second.sum(tuple(d for d in self.folded if first.shape[d] == 1), keepdims=True)
            both = [d for d in range(rank) if d not in self.folded and first.shape[d] == second.shape[d]]
            rows = [d for d in range(rank) if d not in self.folded and second.shape[d] == 1 and d not in both]
            columns = [d for d in range(rank) if d not in self.folded and first.shape[d] == 1 and d not in both]
            sizes = [prod(max(first.shape[d], second.shape[d]) for d in dims) for dims in (both, rows, self.folded, columns)]
            a = first.transpose([*both, *rows, *self.folded, *columns]).reshape(sizes[0], sizes[1], sizes[2])
            b = second.transpose([*both, *rows, *self.folded, *columns]).reshape(sizes[0], sizes[2], sizes[3])
            out = np.matmul(a, b) * times
        order = [*both, *rows, *columns]
        shape = [max(first.shape[d], second.shape[d]) for d in order] + [1] * len(self.folded)
        return out.reshape(shape).transpose(np.argsort([*order, *self.folded]))

    def _store(self, store: Store) -> None:
        target, index = self.env[store.buffer], self._index(store)
        shape = tuple(1 if n in self.folded and self.stage.has_reduce else e for n, e in enumerate(self.shape))
        value = self.values[store.value]
        if self._affine(index) and self._apart(index, shape) and self._within(index, target.shape):
            view = self._view(target, index, [0] * len(index))
            view[...] = self._joined(store, view, value)
        else:
            self._scatter(store, target, index, np.broadcast_to(value, shape).reshape(-1), shape)

    def _joined(self, store: Store, before: np.ndarray, value: np.ndarray) -> np.ndarray:
        """What a store leaves where each point has a place of its own."""
        if not store.accumulate or store.by == "set":
            return value
        if store.by != "add":
            with np.errstate(all="ignore"):
                return self._combined(store, before, np.asarray(COMBINE[store.by](before, value)))
        return self._added(before, before + value, np.abs(value))

    def _added(self, before: np.ndarray, total: np.ndarray, size: np.ndarray) -> np.ndarray:
        """What an accumulating store leaves; ``size``: the magnitudes of what was added."""
        if self.perturb is None or before.dtype.kind != "f":
            return total
        return self.perturb(Reduce("sum", 0, dtype_of(before.dtype)), total, np.where(size > 0, np.abs(before) + size, 0))

    def _combined(self, store: Store, before: np.ndarray, total: np.ndarray) -> np.ndarray:
        """What a store by anything but addition leaves: products are rounded."""
        if self.perturb is None or before.dtype.kind != "f" or store.by != "mul":
            return total
        return np.where(total == before, total, self.perturb(Reduce("prod", 0, dtype_of(before.dtype)), total, None))

    def _within(self, index: tuple[Index, ...], shape: tuple[int, ...]) -> bool:
        return all(0 <= low and high < extent for (low, high), extent in zip(map(self._span, index), shape))

    def _apart(self, index: tuple[Index, ...], shape: tuple[int, ...]) -> bool:
        """Whether all points store to places of their own, as digits of a number do."""
        used = [a for i in index for a, _ in i.axes]
        if len(set(used)) != len(used) or any(n > 1 and d not in {self.place[a] for a in used} for d, n in enumerate(shape)):
            return False
        for at in index:
            reach = 0
            for coeff, extent in sorted((abs(c), shape[self.place[a]]) for a, c in at.axes):
                if coeff <= reach:
                    return False
                reach += coeff * (extent - 1)
        return True

    def _scatter(self, store: Store, target: np.ndarray, index: tuple[Index, ...], value: np.ndarray,
                 shape: tuple[int, ...]) -> None:
        places, inside = self._places(index, target.shape)
        if not store.masked and not inside.all() and 0 not in shape:
            raise IRError(f"store into {store.buffer} out of range")
        keep = np.broadcast_to(inside, shape).reshape(-1)
        where = tuple(np.broadcast_to(p, shape).reshape(-1)[keep] for p in places)
        if not where:
            target[...] = self._joined(store, target, value[-1])
        elif store.accumulate and store.by in ("mul", "max", "min"):
            total = target.copy()
            with np.errstate(all="ignore"):
                COMBINE[store.by].at(total, where, value[keep])
            target[...] = self._combined(store, target, total)
        elif store.accumulate and store.by == "add":
            total, size = target.copy(), np.zeros_like(target)
            with np.errstate(all="ignore"):
                np.add.at(total, where, value[keep])
                np.add.at(size, where, np.abs(value[keep]))
            target[...] = self._added(target, total, size)
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
