"""Elementwise ops. Each is a scalar function over a handler ``s``; its eager meaning, its type rule and its Kernel all
follow from that one body."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Callable, Sequence
from math import log as log_of
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, LeptonError, ShapeError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.op import Op, Sample, get_op, register, register_op
from leptonc.ir.pair import Pair, parts_of
from leptonc.ir.scalar import NUMPY
from leptonc.ir.types import DTYPES, LOW, REALS, DType, TensorType, bool_, dtype_of
from leptonc.ir.value import Value
from leptonc.ops import pairs

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
    out: Value = get_op("select")(condition, a, b)
    return out


def compare(op: str, x: Value, y: Value | float) -> Value:
    out: Value = get_op(op)(x, y if isinstance(y, Value) else x.builder.full(x.type, y))
    return out


def zeros(x: Value) -> Value:
    return x.builder.full(x.type, 0)


# Unary


@register
class neg(Elementwise):
    name, kinds, of_pairs = "neg", FIELD, staticmethod(pairs.negative)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (-g,)


@register
class abs_(Elementwise):
    """abs'(0) = 1, as JAX."""

    name, kinds = "abs", NUMBERS

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (select(compare("ge", operands[0], 0), g, -g),)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return away_from_zero(x)


def away_from_zero(x: np.ndarray) -> np.ndarray:
    return np.asarray(x + np.copysign(0.2, x))


class Stepwise(Elementwise):
    """Piecewise constant: the gradient is zero."""

    kinds = NUMBERS

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (None,)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.floor(x) + 0.3)


def _stepwise(op: str) -> Op:
    return register_op(type(op, (Stepwise,), {"name": op})())


floor, ceil, round_, trunc = (_stepwise(op) for op in ("floor", "ceil", "round", "trunc"))


@register
class sign(Stepwise):
    """-1, 0 or 1; of complex numbers z / |z|, which has a derivative."""

    name, kinds, of_pairs = "sign", FIELD, staticmethod(pairs.sign)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Of the part of a change that turns z: (g - y Re(g y)) / |z| with y's conjugate where g's direction asks for it."""
        if not y.dtype.is_complex:
            return (None,)
        size, conj, like = get_op("complex_abs")(operands[0]), get_op("conj"), get_op("cast")
        along = get_op("real")(g * y)
        none = compare("eq", size, 0)
        scale = select(none, zeros(size), 1 / select(none, size.builder.full(size.type, 1), size))
        across = g - conj(y) * like(along, dtype=y.dtype)
        return (across * like(scale, dtype=y.dtype),)


class Smooth(Elementwise):
    """A float function with derivative ``slope(x, y)``, built of Values."""

    kinds = FLOATS

    @abstractmethod
    def slope(self, x: Value, y: Value) -> Value:
        """dy/dx."""

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (g * self.slope(operands[0], y),)


@register
class exp(Smooth):
    name, kinds, of_pairs = "exp", INEXACT, staticmethod(pairs.exp)

    def slope(self, x: Value, y: Value) -> Value:
        return y


@register
class expm1(Smooth):
    name, kinds, of_pairs = "expm1", INEXACT, staticmethod(pairs.expm1)

    def slope(self, x: Value, y: Value) -> Value:
        return y + 1


@register
class log(Smooth):
    name, kinds, of_pairs = "log", INEXACT, staticmethod(pairs.log)

    def slope(self, x: Value, y: Value) -> Value:
        return 1 / x

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(x) + 0.2)


class LogTo(Smooth):
    """Logarithm to ``base``: whole for its whole powers."""

    base = 2

    def slope(self, x: Value, y: Value) -> Value:
        return (1 / log_of(self.base)) / x

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(x) + 0.2)


@register
class log2(LogTo):
    name, kinds, of_complex = "log2", INEXACT, np.log2
    of_pairs = staticmethod(functools.partial(pairs.log_to, 2))


@register
class log10(LogTo):
    name, base, kinds, of_complex = "log10", 10, INEXACT, np.log10
    of_pairs = staticmethod(functools.partial(pairs.log_to, 10))


def _log1p_of_complex(z: np.ndarray) -> np.ndarray:
    """NumPy's loses the real part of small numbers, whose square it does not take apart."""
    found = np.log1p(z)
    near = 0.5 * np.log1p(z.real * (2 + z.real) + z.imag * z.imag)
    found.real[...] = np.where(np.maximum(np.abs(z.real), np.abs(z.imag)) < 0.5, near, found.real)
    return found


@register
class log1p(Smooth):
    name, kinds, of_pairs = "log1p", INEXACT, staticmethod(pairs.log1p)
    of_complex = staticmethod(_log1p_of_complex)

    def slope(self, x: Value, y: Value) -> Value:
        return 1 / (x + 1)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(x) - 0.5)


@register
class sqrt(Smooth):
    """sqrt'(0) = inf."""

    name, kinds, of_pairs = "sqrt", INEXACT, staticmethod(pairs.sqrt)

    def slope(self, x: Value, y: Value) -> Value:
        return 0.5 / y

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(x) + 0.2)


@register
class rsqrt(Smooth):
    name, kinds, of_pairs = "rsqrt", INEXACT, staticmethod(pairs.rsqrt)

    def slope(self, x: Value, y: Value) -> Value:
        return -0.5 * y / x

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(np.abs(x) + 0.2)


@register
class tanh(Smooth):
    name, kinds, of_pairs = "tanh", INEXACT, staticmethod(pairs.tanh)

    def slope(self, x: Value, y: Value) -> Value:
        return 1 - y * y


@register
class sinh(Smooth):
    name, kinds, of_pairs = "sinh", INEXACT, staticmethod(pairs.sinh)

    def slope(self, x: Value, y: Value) -> Value:
        out: Value = get_op("cosh")(x)
        return out


@register
class cosh(Smooth):
    name, kinds, of_pairs = "cosh", INEXACT, staticmethod(pairs.cosh)

    def slope(self, x: Value, y: Value) -> Value:
        out: Value = get_op("sinh")(x)
        return out


@register
class sigmoid(Smooth):
    """1 / (1 + exp(-x)): no overflow that matters at either end."""

    name, kinds, of_pairs = "sigmoid", INEXACT, staticmethod(pairs.sigmoid)

    def body(self, s: Any, x: Any) -> Any:
        return s.div(1, s.add(1, s.exp(s.neg(x))))

    def slope(self, x: Value, y: Value) -> Value:
        return y * (1 - y)


@register
class softplus(Smooth):
    """log(1 + e^x), without overflow. An op of its own, for its parts have kinks at 0 that it has not."""

    name = "softplus"

    def body(self, s: Any, x: Any) -> Any:
        return s.add(s.max(x, 0), s.log1p(s.exp(s.neg(s.abs(x)))))

    def slope(self, x: Value, y: Value) -> Value:
        out: Value = get_op("sigmoid")(x)
        return out


@register
class erf(Smooth):
    """Error function; its derivative is 2 / sqrt(pi) exp(-x^2)."""

    name = "erf"

    def slope(self, x: Value, y: Value) -> Value:
        out: Value = get_op("exp")(-(x * x)) * (2 / np.pi**0.5)
        return out


@register
class erf_inv(Smooth):
    """Inverse error function on (-1, 1); its derivative is sqrt(pi) / 2 exp(y^2)."""

    name = "erf_inv"

    def slope(self, x: Value, y: Value) -> Value:
        out: Value = get_op("exp")(y * y) * (np.pi**0.5 / 2)
        return out

    def domain(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(0.9 * np.tanh(x))


@register
class sin(Smooth):
    name, kinds, of_pairs = "sin", INEXACT, staticmethod(pairs.sin)

    def slope(self, x: Value, y: Value) -> Value:
        out: Value = get_op("cos")(x)
        return out


@register
class cos(Smooth):
    name, kinds, of_pairs = "cos", INEXACT, staticmethod(pairs.cos)

    def slope(self, x: Value, y: Value) -> Value:
        out: Value = -get_op("sin")(x)
        return out


@register
class tan(Smooth):
    name, kinds, of_pairs = "tan", INEXACT, staticmethod(pairs.tan)

    def slope(self, x: Value, y: Value) -> Value:
        return 1 + y * y


@register
class relu(Elementwise):
    """max(x, 0); relu'(0) = 0, NaN stays NaN."""

    name, kinds = "relu", NUMBERS

    def body(self, s: Any, x: Any) -> Any:
        return s.max(x, 0)

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (select(compare("gt", y, 0), g, zeros(g)),)

    def domain(self, x: np.ndarray) -> np.ndarray:
        return away_from_zero(x)


@register
class not_(Elementwise):
    """Logical on bools, bitwise on integers."""

    name, kinds = "not", BITS


@register
class isnan(Elementwise):
    name, kinds, boolean, of_pairs = "isnan", INEXACT, True, staticmethod(pairs.isnan)


@register
class cast(Elementwise):
    """Another element type. Floats out of an integer type's range saturate, NaN becomes 0; of a complex number its real part."""

    name, stores, kinds = "cast", True, ANY + "c"

    def body(self, s: Any, x: Any, dtype: DType) -> Any:
        return s.cast(x, dtype)

    def result_dtype(self, source: DType, **attrs: Any) -> DType:
        target: DType = attrs["dtype"]
        return target

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        source = operands[0].dtype
        return (self(g, dtype=source) if source.is_inexact and g.dtype.is_inexact else None,)

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        x, dtype = operands[0], attrs["dtype"]
        if dtype.is_bool:
            return pairs.not_equal(x, Pair(zeros(x.re), zeros(x.im)))
        if not dtype.is_complex:
            return self(x.re, dtype=dtype)
        if not isinstance(x, Pair):
            return parts_of(self(x, dtype=dtype.real))
        return Pair(*(self(part, dtype=dtype.real) for part in x))

    def samples(self) -> Sequence[Sample]:
        def numbers(rng: np.random.Generator) -> list[np.ndarray]:
            return [np.concatenate([SPECIAL, rng.standard_normal(20) * 300])]

        def ints(rng: np.random.Generator) -> list[np.ndarray]:
            return [rng.integers(-300, 300, (4, 9))]

        targets = [t for t in REALS.values() if t.name not in LOW]  # whose NumPy dtypes may not be installed
        out = [Sample(numbers, {"dtype": t}, False, f"float to {t}") for t in targets]
        out += [Sample(ints, {"dtype": t}, False, f"i64 to {t}") for t in targets]
        out += [Sample(lambda rng: [rng.random(9) < 0.5], {"dtype": t}, False, f"bool to {t}") for t in targets]
        smooth = Sample(lambda rng: [rng.standard_normal((2, 3))], {"dtype": dtype_of("f64")}, True, "to f64")
        return [*out, smooth]


@register
class stop_gradient(Elementwise):
    """The identity, with no gradient."""

    name, stores, kinds = "stop_gradient", True, ANY + "c"

    def body(self, s: Any, x: Any) -> Any:
        return x

    def vjp(self, g: Value, y: Value, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        return (None,)

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng: [rng.standard_normal((2, 3))], differentiable=False)]


@register
class sampling_parameter(Elementwise):
    """The identity, for the parameter ``what`` of a distribution ``of`` whose draws have no derivative by it.

    Which candidate a draw by rejection accepts depends on it, so the derivative of that candidate is not the draw's.
    """

    name, stores = "sampling_parameter", True

    def title(self, attrs: dict[str, Any]) -> str:
        return f"parameter {attrs['what']} of {attrs['of']}"

    def body(self, s: Any, *xs: Any, **attrs: Any) -> Any:
        return xs[0]

    def samples(self) -> Sequence[Sample]:
        return [Sample(lambda rng: [rng.standard_normal((2, 3))], {"of": "gamma", "what": "a"}, False)]

