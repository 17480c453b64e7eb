"""Elementwise ops. Each is a scalar function over a handler ``s``; its eager meaning, its type rule and its Kernel all
follow from that one body."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, LeptonError, ShapeError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.op import Op, Sample, get_op
from leptonc.ir.pair import parts_of
from leptonc.ir.scalar import NUMPY
from leptonc.ir.types import DTYPES, DType, TensorType, bool_, dtype_of
from leptonc.ir.value import Value

FLOATS, NUMBERS, BITS, ANY = "f", "uif", "bui", "buif"
INEXACT, FIELD = "fc", "uifc"  # those with complex numbers


class Elementwise(Op):
    """Operands of one shape and dtype; ``kinds`` are the dtype kinds taken, ``boolean`` makes the result bool.

    ``of_pairs``: of complex numbers, in ops on their parts; ``of_complex``: NumPy's function of them, where the body is for reals.
    """

    kinds = ANY
    boolean = False
    of_pairs: Callable[..., Any] | None = None
    of_complex: Callable[..., Any] | None = None

    def body(self, s: Any, *xs: Any) -> Any:
        """One element of the result, from one element of each operand."""
        return getattr(s, self.name + "_" if self.name in ("and", "or", "not") else self.name)(*xs)

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType:
        check_same(self.name, self.operand_names, types)
        if types[0].dtype.kind not in self.kinds:
            raise self.fault("takes " + _kind_names(self.kinds), types, DtypeError)
        return types[0].with_dtype(self.result_dtype(types[0].dtype, **attrs))

    def result_dtype(self, source: DType, **attrs: Any) -> DType:
        return bool_ if self.boolean else source

    def fault(self, reason: str, types: Sequence[TensorType], kind: type[LeptonError] = ShapeError) -> LeptonError:
        return op_error(self.name, reason, dict(zip(self.operand_names, types)), kind=kind)

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> np.ndarray:
        types = [TensorType(a.shape, dtype_of(a.dtype)) for a in map(np.asarray, arrays)]
        self.infer(*types, **attrs)
        if self.of_complex is not None and types[0].dtype.is_complex:
            with np.errstate(all="ignore"):
                return np.asarray(self.of_complex(*map(np.asarray, arrays)))
        return np.asarray(self.body(NUMPY, *map(np.asarray, arrays), **attrs))

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        k = KernelBuilder(self.name)
        params = [k.input(t) for t in types]
        out = k.output(self.infer(*types, **attrs))
        axes = k.axes(out.type.shape)
        stage = k.stage(axes)
        stage.store(out, axes, self.body(stage, *(stage.load(p, axes) for p in params), **attrs))
        return k.build()

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        return super().in_parts(*operands, **attrs) if self.of_pairs is None else self.of_pairs(*map(parts_of, operands))

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        images = axis.as_images(batched, operands)
        if images is not None:
            return axis.examples(self(*images, **attrs), operands[batched.index(True)].shape[1])
        return self(*axis.front(batched, operands), **attrs)

    def samples(self) -> Sequence[Sample]:
        arity = self.body.__code__.co_argcount - 2 if "body" in type(self).__dict__ else 1
        return numeric_samples(arity, self.kinds, self.domain)

    def domain(self, x: np.ndarray) -> np.ndarray:
        """Map standard normal numbers to where the op is smooth."""
        return x


def check_same(name: str, names: Sequence[str], types: Sequence[TensorType]) -> None:
    """All operands must have one shape and one dtype."""
    operands = dict(zip(names, types))
    if any(t.shape != types[0].shape for t in types):
        raise op_error(name, "shapes differ", operands, fix="broadcast them first")
    if any(t.dtype != types[0].dtype for t in types):
        raise op_error(name, "dtypes differ", operands, fix="cast them first", kind=DtypeError)


def _kind_names(kinds: str) -> str:
    names = {"f": "floats", "i": "integers", "u": "unsigned integers", "b": "bools", "c": "complex numbers"}
    return ", ".join(names[k] for k in kinds)


INT_NAMES = tuple(str(t.numpy) for t in DTYPES.values() if t.is_int)
SHAPES = ((), (3,), (67,), (2, 1, 5), (0, 4))
SPECIAL = np.array([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 0.5, -2.5, 3.5, 1e30, -1e-30])


def numeric_samples(arity: int, kinds: str, domain: Callable[[np.ndarray], np.ndarray]) -> list[Sample]:
    """Floats of several shapes, special values, and integers or bools where the op takes them."""
    def floats(shape: tuple[int, ...]) -> Callable[[np.random.Generator], list[np.ndarray]]:
        return lambda rng: [np.asarray(domain(rng.standard_normal(shape))) for _ in range(arity)]

    def specials(rng: np.random.Generator) -> list[np.ndarray]:
        grid = np.meshgrid(*[SPECIAL] * arity)
        return [g.ravel() for g in grid]

    def ints(dtype: str) -> Callable[[np.random.Generator], list[np.ndarray]]:
        low = 0 if dtype[0] == "u" else -7
        return lambda rng: [rng.integers(low, 9, (5, 7)).astype(dtype) for _ in range(arity)]

    def bools(rng: np.random.Generator) -> list[np.ndarray]:
        return [rng.random((3, 5)) < 0.5 for _ in range(arity)]

    out = []
    if "f" in kinds:
        out += [Sample(floats(shape), name=f"shape{shape}") for shape in SHAPES]
        out.append(Sample(specials, differentiable=False, name="special"))
    if "i" in kinds:
        out += [Sample(ints(d), differentiable=False, name=d) for d in INT_NAMES]
    if "b" in kinds:
        out.append(Sample(bools, differentiable=False, name="bool"))
    return out


def select(condition: Value, a: Value, b: Value) -> Value:
    return get_op("select")(condition, a, b)


def compare(op: str, x: Value, y: Value | float) -> Value:
    return get_op(op)(x, y if isinstance(y, Value) else x.builder.full(x.type, y))


def zeros(x: Value) -> Value:
    return x.builder.full(x.type, 0)


def away_from_zero(x: np.ndarray) -> np.ndarray:
    return np.asarray(x + np.copysign(0.2, x))


class Smooth(Elementwise):
    """A float function with derivative ``slope(x, y)``, built of Values."""

    kinds = FLOATS

    @abstractmethod
    def slope(self, x: Value, y: Value) -> Value:
        """dy/dx."""

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (g * self.slope(operands[0], y),)
