"""Wrong calls of the whole public surface: each is a LeptonError that names the user's line, compiled and not.

A call is a function and its arguments. It runs as it is (NumPy arrays), under ``disable_jit`` and compiled; a call without
arguments gives arrays to none of these and runs once. What NumPy and JAX accept is not in these tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.ma
import pytest

import leptonc
from leptonc import lax, nn, optim, random, tree
from leptonc import numpy as lnp
from leptonc.errors import LeptonError
from tests.random_calls import campaign

pytestmark = pytest.mark.filterwarnings("ignore::leptonc.LeptonWarning")  # of what is slow; errors are asked for here

F = np.float32
X = np.arange(6, dtype=F).reshape(2, 3)
N = np.array([0, 1, 2])
IMAGE, KERNEL = np.ones((2, 6, 6, 4), F), np.ones((3, 3, 4, 8), F)
KEY = random.key(0)
HUGE = 2**70
MODES = ("plain", "eager", "compiled")
OWN = MODES[1:]  # of methods: plain NumPy arrays have NumPy's, and so its errors


@dataclass(frozen=True)
class Call:
    name: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()
    modes: tuple[str, ...] = MODES

    def run(self, mode: str) -> Any:
        if mode == "plain" or not self.arguments:
            return self.function(*self.arguments)
        with leptonc.disable_jit(mode == "eager"):
            return leptonc.jit(self.function)(*self.arguments)


def each(name: str, function: Callable[..., Any], values: Any, *arguments: Any, modes: tuple[str, ...] = MODES) -> Iterator[Call]:
    """``function(*arguments, value)`` for each wrong value, the arguments traced."""
    for value in values:
        yield Call(f"{name}({value!r:.40})", lambda *args, value=value: function(*args, value), arguments, modes)


def functions(module: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Callable[..., Any]]]:
    return ((name, getattr(module, name)) for name in names)


AXES = (5, -4, 1.5, "0", float("nan"), (0, 0), (0, 9), HUGE, [0, 1.5], np.array([0.5]), {}, 1j)
ONE_AXIS = (5, -4, 1.5, "0", float("nan"), (0, 1), HUGE, [0.5], {}, 1j)
SHAPES = (1.5, "3", None, (2, -2), (2, 1.5), float("nan"), HUGE, (2**40, 2**40), [[1], [2]], {"a": 1}, (2, None), True)
DTYPES = ("longdouble", "M8[s]", "text", object, 3.5, np.str_, "f99", [1])
NO_ARRAYS = (
    "text",
    None,
    object(),
    [1, [2, 3]],
    np.datetime64("2020"),
    np.array(["a"]),
    {1, 2},
    np.ma.array([1.0, 2.0], mask=[True, False]),
    np.array([1, None]),
    lambda x: x,
)
NO_INTS = (1.5, "2", None, float("nan"), (1, 2), True, 1j)
NO_NUMBERS = ("0.1", None, [0.1], {}, 1j, np.ones(2))


def axes() -> Iterator[Call]:
    for name, f in functions(lnp, ("sum", "prod", "max", "min", "any", "all", "mean", "var", "std", "squeeze", "flip")):
        yield from each(name, lambda x, a, f=f: f(x, axis=a), AXES, X)
    for name, f in functions(lnp, ("argmax", "argmin", "cumsum")):
        yield from each(name, lambda x, a, f=f: f(x, axis=a), ONE_AXIS, X)
    yield from each("logsumexp", lambda x, a: nn.logsumexp(x, axis=a), AXES, X)
    for name, f in functions(nn, ("softmax", "log_softmax")):
        yield from each(name, lambda x, a, f=f: f(x, axis=a), ONE_AXIS, X)
    yield from each("repeat", lambda x, a: lnp.repeat(x, 2, axis=a), ONE_AXIS, X)
    yield from each("take", lambda x, a: lnp.take(x, [0], axis=a), ONE_AXIS, X)
    yield from each("split", lambda x, a: lnp.split(x, 1, axis=a), ONE_AXIS, X)
    yield from each("stack", lambda x, a: lnp.stack([x, x], axis=a), ONE_AXIS, X)
    yield from each("concatenate", lambda x, a: lnp.concatenate([x, x], axis=a), ONE_AXIS, X)
    yield from each("expand_dims", lambda x, a: lnp.expand_dims(x, a), (*ONE_AXIS[:3], (0, 0), HUGE, None), X)
    yield from each("swapaxes", lambda x, a: lnp.swapaxes(x, 0, a), ONE_AXIS, X)
    yield from each("moveaxis", lambda x, a: lnp.moveaxis(x, 0, a), ONE_AXIS, X)
    yield from each("transpose", lambda x, a: lnp.transpose(x, a), (*AXES, (0,), (0, 1, 2)), X)
    yield from each(
        "tensordot", lambda x, a: lnp.tensordot(x, x, axes=a), (3, -1, 1.5, "1", ([0], [1]), ([0, 1], [0]), (1, 2, 3), ([0], 5)), X
    )


def shapes() -> Iterator[Call]:
    for name in ("zeros", "ones", "empty"):
        yield from each(name, getattr(lnp, name), (*SHAPES, -1))
    yield from each("full", lambda s: lnp.full(s, 1.0), (*SHAPES, -1))
    yield from each("reshape", lambda x, s: lnp.reshape(x, s), (*SHAPES, 7, (-1, -1), (4, -1), (2, 2)), X)
    yield from each("x.reshape", lambda x, s: x.reshape(s), (*SHAPES, 7, (-1, -1), (4, -1), (2, 2)), X, modes=OWN)
    yield from each("broadcast_to", lambda x, s: lnp.broadcast_to(x, s), (*SHAPES, -1, (3, 2), 3), X)
    yield from each("broadcasted_iota", lambda s: lax.broadcasted_iota("i32", s, 0), SHAPES)
    yield from each("broadcast_in_dim", lambda x, s: lax.broadcast_in_dim(x, s, (0, 1)), (*SHAPES, (3, 2), (2,)), X)
    for name, f in functions(random, ("normal", "uniform", "bits", "exponential")):
        yield from each(name, lambda k, s, f=f: f(k, s), [*SHAPES[:2], *SHAPES[3:], -1], KEY)
    yield from each("bernoulli", lambda k, s: random.bernoulli(k, 0.5, s), [*SHAPES[:2], *SHAPES[3:], -1], KEY)
    yield from each("randint", lambda k, s: random.randint(k, s, 0, 3), (*SHAPES, -1), KEY)
    yield from each("ShapeDtypeStruct", lambda s: leptonc.ShapeDtypeStruct(s, "f4"), (*SHAPES, -1))
    yield from each("he_normal", lambda s: nn.initializers.he_normal()(0, s), (*SHAPES, -1, (3,)))
    yield from each("tile", lambda x, s: lnp.tile(x, s), [*SHAPES[:2], (2, -2), (2, 1.5), None, HUGE, (2**40, 2**40)], X)
    yield from each("eye", lnp.eye, (*SHAPES, -1))
    for name, f in functions(lnp, ("nonzero", "argwhere", "flatnonzero", "unique", "unique_counts")):
        yield from each(name, lambda x, n, f=f: f(x, size=n), (1.5, "2", (1, 2), True, -1, HUGE), X)
    yield from each("bincount", lambda x, n: lnp.bincount(x, length=n), (1.5, "2", (1, 2), True, -1, HUGE), N)
    yield from each("linspace", lambda n: lnp.linspace(0, 1, n), (*NO_INTS, -1, HUGE))


def dtypes() -> Iterator[Call]:
    for name, f in functions(lnp, ("zeros", "ones", "empty", "eye")):
        yield from each(name, lambda d, f=f: f(3, dtype=d), DTYPES)
    yield from each("full", lambda d: lnp.full(3, 1, dtype=d), DTYPES)
    yield from each("asarray", lambda d: lnp.asarray([1, 2], dtype=d), DTYPES)
    yield from each("arange", lambda d: lnp.arange(3, dtype=d), DTYPES)
    yield from each("astype", lambda x, d: lnp.astype(x, d), (*DTYPES, None), X)
    yield from each("x.astype", lambda x, d: x.astype(d), (*DTYPES, None), X, modes=OWN)
    yield from each("zeros_like", lambda x, d: lnp.zeros_like(x, dtype=d), DTYPES, X)
    yield from each("sum", lambda x, d: lnp.sum(x, dtype=d), DTYPES, X)
    yield from each("normal", lambda k, d: random.normal(k, (3,), dtype=d), (*DTYPES, "i32", bool), KEY)
    yield from each("ShapeDtypeStruct", lambda d: leptonc.ShapeDtypeStruct((2,), d), DTYPES)
    yield from each("glorot_uniform", lambda d: nn.initializers.glorot_uniform()(0, (2, 3), d), (*DTYPES, "i32"))


UNARY = (
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "sqrt",
    "tanh",
    "sin",
    "cos",
    "tan",
    "square",
    "reciprocal",
    "sign",
    "floor",
    "ceil",
    "rint",
    "round",
    "isnan",
    "isinf",
    "isfinite",
    "logical_not",
    "nan_to_num",
    "negative",
    "absolute",
    "positive",
    "sum",
    "mean",
    "max",
    "argmax",
    "ravel",
    "flip",
    "squeeze",
    "asarray",
    "array",
    "zeros_like",
    "matrix_transpose",
    "cumsum",
)
NN_UNARY = ("relu", "leaky_relu", "elu", "gelu", "sigmoid", "silu", "softplus", "softmax", "log_softmax", "logsumexp")
BINARY = (
    "add",
    "subtract",
    "multiply",
    "divide",
    "floor_divide",
    "remainder",
    "power",
    "maximum",
    "minimum",
    "arctan2",
    "logaddexp",
    "logical_and",
    "logical_or",
    "equal",
    "less",
    "greater_equal",
    "matmul",
    "dot",
    "outer",
    "vdot",
    "tensordot",
)


def operands() -> Iterator[Call]:
    for n, name in enumerate(UNARY):
        yield from each(name, getattr(lnp, name), [NO_ARRAYS[(n + k) % len(NO_ARRAYS)] for k in range(3)])
    for n, name in enumerate(NN_UNARY):
        yield from each(name, getattr(nn, name), [NO_ARRAYS[(n + k) % len(NO_ARRAYS)] for k in range(3)])
    for n, name in enumerate(BINARY):
        bad = [NO_ARRAYS[(n + k) % len(NO_ARRAYS)] for k in range(3)]
        yield from each(name, getattr(lnp, name), bad, X)
        yield (
            Call(f"{name}: shapes", getattr(lnp, name), (X, np.ones((4, 5), F)))
            if name not in ("outer",)
            else Call(f"{name}: none", getattr(lnp, name))
        )
    for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift"):
        yield Call(f"{name}: floats", getattr(lnp, name), (X, X))
    yield Call("invert: floats", lnp.invert, (X,))
    yield Call("negative: bools", lnp.negative, (X > 1,))
    yield Call("subtract: bools", lnp.subtract, (X > 1, X > 1))
    yield Call("power: ints", lambda x: lnp.power(x, -1), (N,))
    yield from each("array", lnp.array, NO_ARRAYS)
    yield from each("where", lambda x, v: lnp.where(v, x, x), NO_ARRAYS, X)
    yield from each("where", lambda x, v: lnp.where(x > 0, x, v), (*NO_ARRAYS, np.ones(4)), X)
    yield from each("clip", lambda x, v: lnp.clip(x, v), ("a", 1j, {}, np.ones(4)), X)


def operators() -> Iterator[Call]:
    table = {
        "+": lambda x, v: x + v,
        "*": lambda x, v: x * v,
        "/": lambda x, v: x / v,
        "@": lambda x, v: x @ v,
        "<": lambda x, v: x < v,
        "r-": lambda x, v: v - x,
    }
    for name, operator in table.items():
        yield from each(name, operator, ("a", [1, 2, 3], None, {}, np.ones((4, 5), F), np.ones(3, "m8[s]")), X, modes=OWN)
    for name, use in {
        "bool": lambda x: bool(x > 0),
        "float": float,
        "int": int,
        "setitem": lambda x: x.__setitem__(0, 1),
        "index": lambda x: [1, 2][x],
        "iter": lambda x: list(x[0, 0]),
    }.items():
        yield Call(name, use, (X,), OWN)
    for name, use in {
        "at": lambda x: x.at.set(1),
        "at.mull": lambda x: x.at[0].mull(2),
        "at=": lambda x: x.at.__setitem__(0, 1),
    }.items():
        yield Call(name, use, (X,), OWN)


INDICES = (
    5,
    -4,
    1.5,
    "a",
    (0, 0, 0),
    (0, 3),
    [0, 5],
    [0.5],
    np.array([True, False, True]),
    np.ones((2, 2), bool),
    (..., ...),
    1j,
    {},
    HUGE,
    slice(None, None, 0),
    slice(1.5, 2),
    slice("a", "b"),
    np.ma.array([0, 1], mask=[True, False]),
    (0, np.ones(2, bool)),
    lambda: 0,
    (slice(None), 7),
    [[0, 1], [2]],
)


def indices() -> Iterator[Call]:
    for name, use in {"x[i]": lambda x, i: x[i], "set": lambda x, i: x.at[i].set(1), "add": lambda x, i: x.at[i].add(1)}.items():
        yield from each(name, use, INDICES, X, modes=OWN)
    values = ("a", None, [1, [2]], 1j, np.ones(4), np.ones((3, 3)))
    yield from each("values", lambda x, v: x.at[0].set(v), values, X, modes=OWN)
    yield from each("take", lambda x, i: lnp.take(x, i), (1.5, "a", None, [0.5], np.ones(2, bool), 1j, {}), X)


STRIDES = (0, -1, 1.5, "2", None, (1, 1, 1), (1, 1.5), (1, 0), float("nan"), True, [[1, 1]], {})
PADDINGS = (1.5, "NONE", None, (1, 2, 3), ((1, 2),), ((1, 2, 3), (1, 2, 3)), (1.5, 1), ((1, 1.5), (1, 1)), ("a", "b"), -4, {}, True)


def windows() -> Iterator[Call]:
    yield from each("conv stride", lambda x, w, v: nn.conv(x, w, stride=v), STRIDES, IMAGE, KERNEL)
    yield from each("conv dilation", lambda x, w, v: nn.conv(x, w, dilation=v), (*STRIDES, 9), IMAGE, KERNEL)
    yield from each("conv padding", lambda x, w, v: nn.conv(x, w, padding=v), PADDINGS, IMAGE, KERNEL)
    yield from each(
        "conv groups", lambda x, w, v: nn.conv(x, w, groups=v), (0, -1, 3, 1.5, "2", None, HUGE, 2, (1,)), IMAGE, KERNEL
    )
    yield from each(
        "conv w",
        lambda x, w: nn.conv(x, w),
        (KERNEL[0], KERNEL[:, :, :3], KERNEL[:0], np.ones((9, 9, 4, 8), F), 3, "w", None, KERNEL.astype("m8[s]")),
        IMAGE,
    )
    yield from each(
        "conv x", lambda w, x: nn.conv(x, w), (IMAGE[0], IMAGE[..., :3], 3, "x", None, [1, [2]], IMAGE.astype("m8[s]")), KERNEL
    )
    for name in ("max_pool", "avg_pool"):
        pool = getattr(nn, name)
        yield from each(name, lambda x, v, p=pool: p(x, v), (*STRIDES, 9, HUGE), IMAGE)
        yield from each(name, lambda x, v, p=pool: p(x, 2, stride=v), [s for s in STRIDES if s is not None], IMAGE)
        yield from each(name, lambda x, v, p=pool: p(x, 2, padding=v), PADDINGS, IMAGE)
        yield from each(name, lambda x, v, p=pool: p(x, 2, dilation=v), (*STRIDES, 9, HUGE), IMAGE)
        yield from each(name, lambda x, v, p=pool: p(x, 2, ceil_mode=v), ("no", None, 2, 1.5), IMAGE)
        yield from each(name, lambda v, p=pool: p(v, 2), (X, 3, "x", None, np.ones(2, "m8[s]"), [1, [2]]))
    yield from each("count_include_pad", lambda x, v: nn.avg_pool(x, 2, count_include_pad=v), ("no", None, 2, 1.5), IMAGE)
    yield from each("return_indices", lambda x, v: nn.max_pool(x, 2, return_indices=v), ("no", None, 2, 1.5), IMAGE)
    yield from each("divisor", lambda x, v: nn.avg_pool(x, 2, divisor_override=v), ("no", 0, -1, 1.5), IMAGE)
    yield from each("lp_pool", lambda x, v: nn.lp_pool(x, v, 2), ("a", None, [1, 2]), IMAGE)
    yield from each("reduce_window", lambda x, v: lax.reduce_window(x, v, 2), ("median", None, 3, "Max"), IMAGE)
    yield from each("reduce_window", lambda x, v: lax.reduce_window(x, "sum", v), STRIDES, IMAGE)


def convolutions() -> Iterator[Call]:
    def conv(x: Any, w: Any, **options: Any) -> Any:
        return lax.conv_general_dilated(x, w, **{"window_strides": (1, 1), "padding": "SAME", **options})

    image, kernel = np.ones((2, 4, 6, 6), F), np.ones((8, 4, 3, 3), F)
    numbers = (
        "NHWC",
        ("NHWC", "HWIO"),
        ("NHWC", "HWIO", "NHWD"),
        ("NHWW", "HWIO", "NHWC"),
        3,
        ("NCHW", "OIHW", 5),
        ((0, 1, 2, 3),) * 2,
        ((0, 1, 2, 2), (0, 1, 2, 3), (0, 1, 2, 3)),
        ((0, 1, 2), (0, 1, 2), (0, 1, 2)),
        ("NHC", "HIO", "NHC"),
        {},
        (None, None, None),
    )
    yield from each("dimension_numbers", lambda x, w, v: conv(x, w, dimension_numbers=v), numbers, image, kernel)
    for what in ("window_strides", "lhs_dilation", "rhs_dilation"):
        yield from each(what, lambda x, w, v, k=what: conv(x, w, **{k: v}), [s for s in STRIDES if s is not None], image, kernel)
    yield from each("padding", lambda x, w, v: conv(x, w, padding=v), [p for p in PADDINGS if p != -4], image, kernel)
    yield from each("groups", lambda x, w, v: conv(x, w, feature_group_count=v), (0, -1, 3, 1.5, "2", None), image, kernel)
    yield from each("batch groups", lambda x, w, v: conv(x, w, batch_group_count=v), (0, 7, 1.5, "1", None), image, kernel)
    yield Call("layout", lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME"), (IMAGE, KERNEL))


def lax_calls() -> Iterator[Call]:
    dims = (
        (((1,), (1,)), ((1,), (1,))),
        (((1,), (0,)), ((), ())),
        (((1, 1), (1, 1)), ((), ())),
        (((5,), (1,)), ((), ())),
        (((1,), ()), ((), ())),
        None,
        3,
        ((1,), (0,)),
        ((("a",), (1,)), ((), ())),
        (((1.0,), (1.0,)), ((), ())),
        (((-1,), (-1,)), ((), ())),
    )
    yield from each("dot_general", lambda x, v: lax.dot_general(x, x, v), dims, X)
    yield from each(
        "dynamic_slice", lambda x, v: lax.dynamic_slice(x, v, (1, 1)), ((0,), (0, 0, 0), (0.5, 0), ("a", 0), None, 3, (X, 0), {}), X
    )
    yield from each(
        "dynamic_slice", lambda x, v: lax.dynamic_slice(x, (0, 0), v), ((1,), (3, 1), (-1, 1), (1.5, 1), None, "ab", 1, {}), X
    )
    yield from each(
        "dynamic_update_slice",
        lambda x, v: lax.dynamic_update_slice(x, v, (0, 0)),
        (np.ones(2, F), np.ones((3, 3), F), "a", None, 1j, np.ones((1, 1, 1))),
        X,
    )
    yield from each("dynamic_update_slice", lambda x, v: lax.dynamic_update_slice(x, v, (0,)), (np.ones(1), 1.5), N)
    yield from each("slice", lambda x, v: lax.slice(x, v, (2, 3)), ((0,), (-1, 0), (3, 0), (0.5, 0), None, "ab", {}), X)
    yield from each("slice", lambda x, v: lax.slice(x, (0, 0), v), ((2,), (3, 3), (2, 4), (1.5, 1), None, "ab", (-1, 2)), X)
    yield from each("slice", lambda x, v: lax.slice(x, (0, 0), (2, 3), v), (0, (1, 0), (1, -1), (1,), 1.5, "a", (1, 1.5)), X)
    yield from each(
        "pad",
        lambda x, v: lax.pad(x, 0.0, v),
        (
            1,
            ((0, 0),),
            ((0, 0, 0),),
            ((0, 0, -1), (0, 0, 0)),
            ((1.5, 0, 0), (0, 0, 0)),
            None,
            "a",
            ((-5, 0, 0), (0, 0, 0)),
            ((HUGE, 0, 0), (0, 0, 0)),
            ((0, 0), (0, 0)),
        ),
        X,
    )
    yield from each("pad", lambda x, v: lax.pad(x, v, ((0, 0, 0), (0, 0, 0))), (*NO_NUMBERS,), X)
    yield from each(
        "lnp.pad",
        lambda x, v: lnp.pad(x, v),
        (-1, 1.5, "a", None, (1, 2, 3), ((1, 2, 3), (1, 2, 3)), ((1, 1),) * 3, (1.5, 1), {}, HUGE),
        X,
    )
    yield from each("lnp.pad mode", lambda x, v: lnp.pad(x, 1, mode=v), ("reflected", "Constant", None, 3), X)
    no_values = tuple(v for v in NO_NUMBERS if not isinstance(v, list | np.ndarray))
    yield from each("lnp.pad value", lambda x, v: lnp.pad(x, 1, constant_values=v), no_values, X)
    yield from each(
        "broadcast_in_dim",
        lambda x, v: lax.broadcast_in_dim(x, (2, 3), v),
        ((0,), (1, 0), (0, 0), (0, 5), 1, None, "ab", (0, 1.5)),
        X,
    )
    yield from each("select", lambda x, v: lax.select(v, x, x), (X, "a", None, np.ones(4, bool), 1.5), X)
    yield from each("iota", lambda v: lax.iota("i32", v), (*NO_INTS, -1, HUGE))
    yield from each("iota", lambda v: lax.iota(v, 3), (*DTYPES, bool))
    yield from each("broadcasted_iota", lambda v: lax.broadcasted_iota("i32", (2, 3), v), (*NO_INTS, 2, -1))
    yield from each("scatter_add", lambda x, v: lax.scatter_add(x, v, x), (X, "a", None, [0.5], np.ones(3, int), 1j), X)
    yield from each("scatter_add", lambda x, v: lax.scatter_add(x, [0, 1], v), ("a", None, np.ones((2, 2)), np.ones(3)), X)
    yield from each("scatter_add", lambda x, v: lax.scatter_add(x, [0, 1], x, axis=v), ONE_AXIS, X)
    for name in ("rsqrt", "erf"):
        yield from each(name, getattr(lax, name), NO_ARRAYS[:5])
    yield from each("stop_gradient", lax.stop_gradient, ("text", object(), [1, "a"], {"a": np.datetime64("2020")}))
    yield from each("clamp", lambda x, v: lax.clamp(v, x, 1), ("a", 1j, {}, np.ones(4)), X)


def numpy_calls() -> Iterator[Call]:
    yield from each("repeat", lambda x, v: lnp.repeat(x, v), (*NO_INTS, -1, HUGE), X)
    yield from each("split", lambda x, v: lnp.split(x, v), (0, -1, 3, 1.5, "2", None, [0.5], {}), X)
    for name in ("concatenate", "stack", "vstack", "hstack"):
        yield from each(name, getattr(lnp, name), ([], 3, None, "ab", [X, "a"], [X, np.ones((4, 5))], [X, None], {}, 1.5))
    yield from each(
        "einsum",
        lambda x, v: lnp.einsum(v, x, x),
        ("ij", "ij,jk", "ij,ij->k", "ij,ij->ii", "i,j", "ijk...,ij", "1j,1j", 3, None, "ii,jj", "ij,ij,ij", "ij->ij", ""),
        X,
    )
    yield from each("einsum", lambda x, v: lnp.einsum("ij,jk", x, v), ("a", None, np.ones(3), 1j, {}), X)
    yield Call("einsum: no operands", lambda: lnp.einsum("ij"))
    for what, call in {
        "start": lambda v: lnp.arange(v),
        "stop": lambda v: lnp.arange(0, v),
        "step": lambda v: lnp.arange(0, 3, v),
    }.items():
        yield from each(f"arange {what}", call, ("a", 1j, [1], {}, float("nan"), float("inf")))
    yield from each("arange", lambda v: lnp.arange(0, 3, v), (0, 0.0, 1e-30))
    yield from each("arange", lnp.arange, (None, HUGE, 1e300))
    yield from each("linspace", lambda v: lnp.linspace(v, 1), ("0.1", None, ["a"], {}, 1j))
    yield from each("linspace", lambda v: lnp.linspace(0, 1, 5, v), ("no", None, 2, 1.5))
    yield from each("eye", lambda v: lnp.eye(3, v), (1.5, "2", -1, (1,), HUGE))
    yield from each("eye", lambda v: lnp.eye(3, 3, v), NO_INTS)
    yield from each("full", lambda v: lnp.full((2, 3), v), (*NO_ARRAYS, np.ones(4)))
    yield from each("full_like", lambda x, v: lnp.full_like(x, v), (*NO_ARRAYS, np.ones(4)), X)
    yield from each("round", lambda x, v: lnp.round(x, v), (1.5, "2", None, HUGE, (1,)), X)
    yield from each("var", lambda x, v: lnp.var(x, ddof=v), NO_NUMBERS, X)
    yield from each("std", lambda x, v: lnp.std(x, ddof=v), NO_NUMBERS, X)
    yield from each("nan_to_num", lambda x, v: lnp.nan_to_num(x, nan=v), NO_NUMBERS, X)
    for name, f in functions(lnp, ("sum", "mean", "max", "any", "var")):
        yield from each(f"{name} keepdims", lambda x, v, f=f: f(x, keepdims=v), ("no", None, 2, 1.5, [True]), X)
    for name in ("max", "min", "argmax", "argmin"):
        yield Call(f"{name} of nothing", getattr(lnp, name), (np.ones(0, F),))
    yield Call("squeeze", lambda x: lnp.squeeze(x, 0), (X,))
    yield Call("matmul: scalars", lnp.matmul, (X, F(1)))
    yield Call("matmul: bools", lnp.matmul, (X.T > 1, X > 1))
    yield Call("broadcast_arrays", lnp.broadcast_arrays, (X, np.ones(4, F)))
    yield Call("masked arrays", lambda: lnp.sum(np.ma.array([1.0, 2.0], mask=[True, False])))
    yield from each("jit of", leptonc.jit(lambda x: x), NO_ARRAYS[:1] + NO_ARRAYS[2:3] + NO_ARRAYS[4:])


def nn_calls() -> Iterator[Call]:
    labels = np.array([0, 2])
    yield from each("one_hot", lambda i, v: nn.one_hot(i, v), (*NO_INTS, -3, HUGE), labels)
    yield from each("one_hot", lambda v: nn.one_hot(v, 3), (X, "a", None, [0.5], np.ones(2, bool), 1j))
    yield from each("one_hot dtype", lambda i, v: nn.one_hot(i, 3, v), DTYPES, labels)
    yield from each(
        "cross_entropy",
        lambda x, v: nn.cross_entropy(x, v),
        (
            np.ones((2, 4)),
            np.array([0, 3]),
            np.array([-1, 0]),
            np.array([1, 2, 0]),
            np.array([0.0, 1.0]),
            "ab",
            None,
            np.datetime64("2020"),
            np.array([1, 300], np.uint32),
        ),
        X,
    )
    yield from each("cross_entropy axis", lambda x, v: nn.cross_entropy(x, labels, axis=v), ONE_AXIS, X)
    yield from each(
        "cross_entropy logits", lambda v: nn.cross_entropy(v, labels), ("a", None, 1.5, np.ones(2, "m8[s]"), [[1], [2, 3]])
    )
    yield from each("mean_squared_error", lambda x, v: nn.mean_squared_error(x, v), (*NO_ARRAYS[:6], np.ones(4)), X)
    yield from each("leaky_relu", lambda x, v: nn.leaky_relu(x, v), NO_NUMBERS, X)
    yield from each("elu", lambda x, v: nn.elu(x, v), NO_NUMBERS, X)
    yield from each("gelu", lambda x, v: nn.gelu(x, v), ("tanh", None, 2, 1.5), X)
    yield from each("softmax of a number", lambda v: nn.softmax(v), (np.float32(1),))
    yield from each("initializer rng", lambda v: nn.initializers.he_normal()(v, (2, 3)), (1.5, "a", -1, X, {}))
    yield from each("constant", nn.initializers.constant, NO_NUMBERS)
    yield from each("uniform", lambda v: nn.initializers.uniform(v), NO_NUMBERS)
    yield from each("normal", lambda v: nn.initializers.normal(v), (*NO_NUMBERS, -1.0))


def random_calls() -> Iterator[Call]:
    yield from each("key", random.key, (1.5, "a", None, X, (1, 2), 1j, True))
    for name, use in {
        "split": random.split,
        "bits": random.bits,
        "normal": random.normal,
        "uniform": random.uniform,
        "bernoulli": random.bernoulli,
        "exponential": random.exponential,
        "fold_in": lambda k: random.fold_in(k, 1),
        "randint": lambda k: random.randint(k, (2,), 0, 3),
    }.items():
        yield from each(f"{name} key", use, (5, "a", None, np.ones(2), np.ones(3, np.uint32), [0, 1]))
    yield from each("split", lambda k, v: random.split(k, v), (1.5, "2", None, (1, -2), (1.5,), True, 1j, -1, HUGE), KEY)
    yield from each("fold_in", lambda k, v: random.fold_in(k, v), (1.5, "a", None, X, 1j, HUGE), KEY)
    yield from each(
        "bernoulli", lambda k, v: random.bernoulli(k, v), ("a", None, 1j, -0.1, 1.5, float("nan"), np.array([0.5, 2.0])), KEY
    )
    yield from each("randint", lambda k, v: random.randint(k, (2,), v, 3), (*NO_INTS, 3, 4, HUGE), KEY)
    yield from each("randint", lambda k, v: random.randint(k, (2,), 0, v), (*NO_INTS, 0, -1, 2**40), KEY)
    no_bounds = ("0.1", None, {}, 1j, np.ones(3), [True])
    yield from each("uniform minval", lambda k, v: random.uniform(k, (2,), minval=v), no_bounds, KEY)
    yield from each("uniform maxval", lambda k, v: random.uniform(k, (2,), maxval=v), no_bounds, KEY)


def optim_calls() -> Iterator[Call]:
    params = {"w": np.ones(3, F)}
    for name in (
        "sgd",
        "adam",
        "adamw",
        "scale",
        "trace",
        "clip_by_global_norm",
        "add_decayed_weights",
        "constant_schedule",
    ):
        yield from each(name, getattr(optim, name), NO_NUMBERS)
    yield from each("scale_by_learning_rate", optim.scale_by_learning_rate, [v for v in NO_NUMBERS if v is not None])
    for what in ("b1", "b2"):
        yield from each(what, lambda v, k=what: optim.adam(0.1, **{k: v}), (*NO_NUMBERS, 1.0, -0.1, float("nan")))
    yield from each("eps", lambda v: optim.adam(0.1, eps=v), (*NO_NUMBERS, -1.0))
    yield from each("nesterov", lambda v: optim.sgd(0.1, 0.9, v), ("no", None, 2))
    yield from each("chain", optim.chain, (optim.sgd, 0.1, None, "sgd", (1, 2)))
    for name, transformation in {
        "adam": optim.adam(0.1),
        "trace": optim.trace(0.9),
        "scheduled": optim.scale_by_learning_rate(lambda n: 0.1),
        "chain": optim.chain(optim.identity()),
    }.items():
        yield from each(
            f"{name} state", lambda v, t=transformation: t.update(params, v, params), (None, 3, "a", params, (1, 2, 3, 4, 5))
        )
    yield Call("adam: other trees", lambda: optim.adam(0.1).update({"v": params["w"]}, optim.adam(0.1).init(params), params))
    yield Call("decay: no parameters", lambda: optim.adamw(0.1).update(params, optim.adamw(0.1).init(params)))
    yield from each("init", optim.adam(0.1).init, ("a", {"w": "a"}, [object()], {1: 1, "a": 2}))
    yield from each(
        "apply_updates", lambda v: optim.apply_updates(params, v), (None, {"v": params["w"]}, {"w": "a"}, {"w": np.ones(4, F)}, 3)
    )
    yield from each("global_norm", optim.global_norm, ("a", [object()], {"w": "a"}))
    for name in ("linear_schedule", "exponential_decay"):
        args = {
            "linear_schedule": lambda v: optim.linear_schedule(0.1, 0.2, v),
            "exponential_decay": lambda v: optim.exponential_decay(0.1, v, 0.5),
        }
        yield from each(name, args[name], (*NO_INTS, 0, -1))
    yield from each("linear_schedule", lambda v: optim.linear_schedule(v, 0.1, 3), NO_NUMBERS)
    yield from each("cosine_decay_schedule", lambda v: optim.cosine_decay_schedule(0.1, v), (*NO_INTS, 0, -1))
    yield from each("warmup", lambda v: optim.warmup_cosine_decay_schedule(0.0, 0.1, v, 5), (*NO_INTS, -1, 5, 9))
    yield from each(
        "piecewise", lambda v: optim.piecewise_constant_schedule(0.1, v), (3, [1, 2], {"a": 1}, {1.5: 1}, {1: "a"})
    )


def tree_calls() -> Iterator[Call]:
    cyclic: list[Any] = [1]
    cyclic.append(cyclic)
    for name, f in functions(tree, ("flatten", "leaves", "structure", "flatten_with_names", "flatten_with_path")):
        yield from each(name, getattr(tree, name), (cyclic, {1: 1, "a": 2}))
        yield from each(f"{name} is_leaf", lambda v, f=f: f([1], is_leaf=v), (3, "a", True))
    yield from each("map", lambda v: tree.map(v, [1]), (None, 3, [1]))
    yield from each(
        "map", lambda v: tree.map(lambda a, b: a, [1, {"a": 2}], v), (None, [1], [1, 2], [1, {"b": 2}], (1, {"a": 2}), {})
    )
    yield from each("unflatten", lambda v: tree.unflatten(v, [1]), (None, [1], "a"))
    yield from each("unflatten", lambda v: tree.unflatten(tree.structure([1, 2]), v), ([1], [1, 2, 3], 5, None))
    yield from each("register", lambda v: tree.register(v, lambda x: ((), None), lambda d, c: None), (3, dict, list, "a"))
    yield from each("register", lambda v: tree.register(type("A", (), {}), v, v), (None, 3))


def transform_calls() -> Iterator[Call]:
    def loss(x: Any, y: Any = 1.0) -> Any:
        return lnp.sum(x * y)

    for name in ("grad", "value_and_grad", "jit", "make_graph", "vjp", "eval_shape", "freeze"):
        yield from each(name, getattr(leptonc, name), (3, "f", [loss], X))
    yield from each("freeze", leptonc.freeze, (None,))
    for name in ("grad", "value_and_grad"):
        transform = getattr(leptonc, name)
        yield from each(
            f"{name} argnums", lambda v, t=transform: t(loss, argnums=v)(X), (1, -2, 1.5, "0", None, (0, 5), [0.5], {}, True, HUGE)
        )
        yield from each(f"{name} has_aux", lambda v, t=transform: t(loss, has_aux=v)(X), ("no", None, 2))
        yield from each(f"{name} of", lambda v, t=transform: t(loss)(v), (N, "a", X > 1, [1, "a"], np.ones(2, "m8[s]")))
    for what, f in {
        "vector": lambda x: x,
        "none": lambda x: None,
        "tuple": lambda x: (x.sum(), 1),
        "text": lambda x: "a",
        "int": lambda x: 1,
    }.items():
        yield Call(f"grad of a {what}", lambda f=f: leptonc.grad(f)(X))
    yield Call("grad: aux", lambda: leptonc.grad(lambda x: x.sum(), has_aux=True)(X))
    _, pull = leptonc.vjp(lambda x: (x * 2, x[0]), X)
    yield from each("pull", pull, (None, 3, X, (X,), (X, X), (X, "a"), (X, X[0].astype("f8")), (X[:1], X[0])))
    for what in ("static_argnums", "donate_argnums"):
        yield from each(what, lambda v, k=what: leptonc.jit(loss, **{k: v}), (5, -3, 1.5, "0", (0, 7), [0.5], {1.5: 1}, True))
    for what in ("static_argnames", "donate_argnames"):
        yield from each(what, lambda v, k=what: leptonc.jit(loss, **{k: v}), ("z", 3, ("x", "q"), [1], (None,)))
    yield Call("static and donated", lambda: leptonc.jit(loss, static_argnames="x", donate_argnames="x"))
    yield Call("static and donated", lambda: leptonc.jit(loss, static_argnums=0, donate_argnames=("x", "y")))
    yield Call("unhashable static", lambda: leptonc.jit(loss, static_argnums=1)(X, [1]))
    yield Call("no examples", lambda: leptonc.jit(loss).examples())
    yield from each("result", lambda v: leptonc.jit(lambda x: v)(X), ("a", object(), {1, 2}, [1, "a"]))
    yield from each(
        "argument",
        lambda v: leptonc.jit(loss)(v),
        ("a", object(), {1, 2}, np.array(["a"]), np.ma.array([1.0], mask=[True]), {1: 1, "a": 2}),
    )
    compiled = leptonc.jit(lambda p: p["a"] + 1).trace({"a": np.ones(2)}).lower().compile()
    yield from each(
        "compiled",
        compiled,
        ({"b": np.ones(2)}, {"a": np.ones(3)}, {"a": np.ones(2, int)}, {"a": "a"}, None, 3, {"a": [np.ones(2)]}),
    )
    yield from each("as_text", lambda v: compiled.as_text(v), ("nonsense", None, 3))
    yield from each("set_num_threads", leptonc.set_num_threads, (0, -1, 1.5, "2", True, HUGE))
    yield from each("disable_jit", lambda v: leptonc.disable_jit(v).__enter__(), ("no", None, 2))
    yield from each("explain_recompiles", leptonc.explain_recompiles, (loss, 3, "f"))
    frozen = leptonc.freeze(lambda w, x: x @ w, np.ones((3, 2)))
    yield from each("frozen", frozen, (np.ones((2, 2)), "a", None, object(), np.ones((2, 3), "m8[s]")))
    yield Call("freeze: static", lambda: leptonc.freeze(leptonc.jit(loss, static_argnums=0), X))
    yield Call("freeze: no array", lambda: leptonc.freeze(loss, "a"))


def scan_calls() -> Iterator[Call]:
    def step(c: Any, x: Any) -> Any:
        return c + lnp.sum(x), x

    xs = np.ones((4, 2), F)
    yield from each(
        "scan f",
        lambda v: lax.scan(v, F(0), xs),
        (
            None,
            3,
            "f",
            lambda c, x: c,
            lambda c, x: (c,),
            lambda c, x: (c, "a"),
            lambda c, x: (x, c),
            lambda c, x: ((c, c), x),
            lambda c, x: (c + 1j, x),
        ),
    )
    yield from each("scan length", lambda v: lax.scan(step, F(0), xs, length=v), (*NO_INTS[:2], -1, 3, 5, HUGE))
    yield from each("scan length", lambda v: lax.scan(step, F(0), None, length=v), (1.5, "3", None, -1))
    yield from each(
        "scan xs",
        lambda v: lax.scan(step, F(0), v),
        (3.0, "a", None, {"a": np.ones(3), "b": np.ones(4)}, np.ones((0, 2)), F(1), 1j),
    )
    yield from each("scan init", lambda v: lax.scan(step, v, xs), ("a", None, object(), {1: 1, "a": 2}))
    yield from each("scan reverse", lambda v: lax.scan(step, F(0), xs, reverse=v), ("no", None, 2))


def traced_settings() -> Iterator[Call]:
    """What must be known while tracing, traced."""
    uses = {
        "axis": lambda x, n: lnp.sum(x, axis=n),
        "shape": lambda x, n: lnp.zeros(n),
        "shapes": lambda x, n: lnp.ones((2, n)),
        "reshape": lambda x, n: x.reshape(n, -1),
        "arange": lambda x, n: lnp.arange(n),
        "one_hot": lambda x, n: nn.one_hot(n, n),
        "repeat": lambda x, n: lnp.repeat(x, n),
        "split": lambda x, n: lnp.split(x, n),
        "pad": lambda x, n: lnp.pad(x, n),
        "range": lambda x, n: range(n),
        "slice": lambda x, n: x[:n],
        "keepdims": lambda x, n: lnp.sum(x, keepdims=n > 0),
        "if": lambda x, n: x if n > 0 else -x,
        "mask": lambda x, n: x[x > 0],
        "stride": lambda x, n: nn.conv(IMAGE, KERNEL, stride=n),
        "groups": lambda x, n: nn.conv(IMAGE, KERNEL, groups=n),
        "key": lambda x, n: random.key(lnp.sum(x)),
        "normal": lambda x, n: random.normal(KEY, (n,)),
        "randint": lambda x, n: random.randint(KEY, (2,), 0, lnp.sum(x)),
        "length": lambda x, n: lax.scan(lambda c, y: (c, y), x, None, length=n),
        "round": lambda x, n: lnp.round(x, n),
        "argnums": lambda x, n: leptonc.grad(lnp.sum, argnums=n)(x),
        "NumPy": lambda x, n: np.exp(x),
        "NumPy's sum": lambda x, n: np.linalg.norm(x),
        "table": lambda x, n: np.ones(3)[n],
        "missing": lambda x, n: x.argsort(),
        "text": lambda x, n: f"{x:.3f}",
        "list": lambda x, n: x.tolist(),
        "hash": lambda x, n: {n: 1},
        "b1": lambda x, n: optim.adam(0.1, b1=n),
        "static": lambda x, n: leptonc.jit(lnp.sum, static_argnums=1)(x, n),
        "freeze": lambda x, n: leptonc.freeze(lambda a, b: a + b, x)(n),
        "assert": lambda x, n: x.item(),
    }
    for name, use in uses.items():
        yield Call(name, use, (X, np.array(2)), ("compiled",))


def uneven_lists_and_huge_extents() -> Iterator[Call]:
    for name in ("linspace", "logspace", "geomspace"):
        function = getattr(lnp, name)
        yield Call(f"{name} from a list of lists", lambda f=function: f([1, [2]], 3))
        yield Call(f"{name} to a list of lists", lambda f=function: f(1, [1, [2]]))
    yield Call("jit with shardings", lambda: leptonc.jit(lnp.sin, out_shardings=X))
    yield Call("index_take of one number", lambda x: lax.index_take(x, 1j, (0,)), (X,))
    yield Call("split into one huge part", lambda x: lax.split(x, HUGE), (X,))
    yield Call("split into huge parts", lambda x: lax.split(x, [HUGE, 1]), (X,))
    for name in ("fft", "ifft", "rfft"):
        transform = getattr(lnp.fft, name)
        yield Call(f"{name} of huge n", lambda x, f=transform: f(x, n=HUGE), (X,))
        yield Call(f"{name} of n beyond an address space", lambda x, f=transform: f(x, n=1 << 46), (X,))


def signatures() -> Iterator[Call]:
    for module in (lnp, lax, nn, random, optim):
        for name in module.__all__:
            function = getattr(module, name)
            if type(function) is type(signatures):
                yield Call(f"{module.__name__}.{name}(nonsense=)", lambda f=function: f(nonsense=1))
    for f in (
        leptonc.jit,
        leptonc.grad,
        leptonc.vjp,
        leptonc.freeze,
        lax.scan,
        tree.map,
        optim.adam(0.1).init,
        optim.adam(0.1).update,
    ):
        yield Call(f"{f.__name__}()", lambda f=f: f(nonsense=1))


FAMILIES = (
    axes,
    shapes,
    dtypes,
    operands,
    operators,
    indices,
    windows,
    convolutions,
    lax_calls,
    numpy_calls,
    nn_calls,
    random_calls,
    uneven_lists_and_huge_extents,
    optim_calls,
    tree_calls,
    transform_calls,
    scan_calls,
    traced_settings,
    signatures,
)


def fault(call: Call, mode: str) -> str:
    """What is wrong with the outcome of a wrong call, or nothing."""
    try:
        out = call.run(mode)
    except LeptonError as error:
        named = error.line is not None and error.line.file == __file__ and str(error.line) in str(error)
        return "" if named else f"no line of the user: {error!r} {error.line}"
    except MemoryError:
        return ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return f"accepted: {out!r:.80}"


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: f.__name__)
def test_wrong_calls_are_errors_that_name_the_users_line(family):
    faults = [
        f"{call.name} [{mode}] {found}"
        for call in family()
        for mode in (call.modes if call.arguments else MODES[:1])
        if (found := fault(call, mode))
    ]
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults)


def test_there_are_enough_of_them():
    assert sum(1 for family in FAMILIES for _ in family()) >= 1000


def test_random_calls_end_well():
    """A share of ``python -m tests.random_calls``: right and wrong arguments, traced, op by op and as they are."""
    faults, results = campaign(1500, 0)
    assert not faults and results["accepted"] > 300
