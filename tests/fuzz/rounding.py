"""What a graph's results are, and how far rounding may take them: the graph in f64, once as it is and some times disturbed.

Stochastic arithmetic (Parker 1997; Vignes 1993): a disturbed run adds to each float that an op makes a random error of up to
``GRACE`` units of its own dtype's roundoff, scaled by what that op sums up (for a product of matrices, the product of the absolute
values), and takes the nearest number of the dtype. How far the disturbed runs come apart is what the program makes of rounding
errors, element by element; a result that differs from the undisturbed one by several times as much is wrong. Where rounding decides
(a maximum of two nearly equal numbers, a floor) the runs differ by the whole jump, or in kind, and nothing is claimed.

Real errors are not independent: tanh of all large arguments is 1, and 1 - tanh(x)^2 is 0 for all of them; and equal rows have
equal errors, which add up where independent ones do not. So where a result seems wrong, and further runs are made, every second one
has errors of one unit, half of one, or none but rounding, and every third one the same errors along some axes.

What must be exact is not disturbed: moves, choices, comparisons, zeros, sums over nothing but zeros, and sums and products of
numbers of so few digits that they are exact. So ties between them stay ties, and what follows is compared to the bit. The least
numbers of f16 are as exact as arithmetic on them is; those of f32 and f64 are 0 in half of the runs, as in compiled code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from leptonc.ir.builder import Builder, rebuild
from leptonc.ir.graph import Graph, Node
from leptonc.ir.op import get_op
from leptonc.ir.types import DType, TensorType, c128, f16, f64
from leptonc.ir.value import Value
from leptonc.passes.graph.inline import InlineCalls
from tests.fuzz.rounding_complex import (
    TRANSFORMS,
    complexes,
    function_scale,
    product_scale,
    quotient_scale,
    reals,
    sum_scale,
    transform_scale,
    uncertain,
)

GRACE = 8  # units of roundoff of one op
SQUARES = 48  # of a convolution that Winograd's algorithms may compute
RATIO = 8  # how many times the spread of the runs a result may be off
WHOLE = 4096  # terms of a sum that is not split
RUNS, MORE_RUNS, MOST_RUNS = 4, 24, 192
SMALL = (0.0, 0.5, 1.0)  # units of every second one of the further runs

DIRECT = frozenset({"add", "sub", "mul", "div", "sqrt", "cast", "pow", "log2", "log10", "psum",
                    "psum_scatter", "fma"})  # exact where the result has few digits
SUMS = frozenset({"sum", "cumsum", "window_sum", "window_sum_grad", "scatter_add", "scatter_sum", "dot_general", "unpool"})
CONVOLUTIONS = frozenset({"conv", "conv_input_grad", "conv_weight_grad"})
INEXACT = frozenset({"exp", "expm1", "log", "log1p", "rsqrt", "tanh", "sinh", "cosh", "sigmoid", "erf", "erf_inv", "sin", "cos",
                     "tan", "atan2", "acos", "acosh", "asin", "asinh", "atan", "atanh", "cbrt", "erfc", "exp2", "hurwitz", "hypot",
                     "i0e", "i1e", "lgamma", "log_ndtr", "complex_abs",
                     "prod", "cumprod", "scatter_prod", "softplus"})
ALONG = frozenset({"softmax", "log_softmax", "logsumexp", "logaddexp", "cumlogsumexp", "digamma"})  # errors of their operands' size
BACKWARD = frozenset({"cholesky", "eigh", "eigh_tridiagonal", "hessenberg", "householder_product", "lu", "lu_adjugate", "lu_det",
                      "lu_slogdet", "lu_solve", "pinv_of", "qr", "schur", "svd", "triangular_solve"})
"""What they give is right for operands that are off by roundoff of their norm (Wilkinson 1963): so these are what is disturbed."""
SPECTRAL = frozenset({"eigh", "svd"})
BITS = frozenset({"from_bits", "to_bits"})  # of numbers in their own dtype
EXTREMES = {"reduce_max": 1, "reduce_min": -1, "cummax": 1, "cummin": -1}
MOVES = frozenset({"all_gather", "pmax", "pmin",
                   "reshape", "broadcast", "transpose", "slice", "pad", "neg", "concatenate", "take", "select", "gather", "scatter",
                   "scatter_max", "scatter_min", "real", "imag", "complex", "conj"})
EXACT = frozenset({"abs", "all", "and", "any", "argmax", "argmin", "ceil", "checkpoint_name", "constant", "cummax", "cummin",
                   "dynamic_slice",
                   "dynamic_update_slice", "eq",
                   "floor", "gcd", "ge", "gt", "iota", "isnan", "le", "lt", "max", "max_pool", "max_pool_index", "min", "ne",
                   "not", "or", "pool_take", "reduce_max", "reduce_min", "relu", "round", "sampling_parameter", "shl", "shr",
                   "sign", "sort", "stop_gradient", "threefry2x32", "trunc", "xor"}) | MOVES


WRITTEN_OUT = frozenset({"scan", "while_loop", "switch", "checkpoint_call", "custom_vjp_call", "custom_jvp_call", "linear_call"})
OF_PASSES = frozenset({"do_while", "barrier", "barrier_token", "dft", "pass_roots", "line_roots", "grid_roots", "chirp",
                       "chirp_spectrum", "as_reals", "from_reals", "part", "joined",
                       "custom_vjp_tangents", "host_call",
                       "substitution", "elimination"})  # made behind traces, transposed away in them, or Python's


def written_out(graph: Graph, arrays: Sequence[np.ndarray]) -> Graph:
    """The graph as it runs on these arrays: calls inlined, loops step by step, of branches the one that is taken."""
    graph = InlineCalls()(graph)
    if not any(node.regions for node in graph.nodes):
        return graph
    builder, env = rebuild(graph)
    with np.errstate(all="ignore"):
        out = _Writing(builder).inline(graph, [(env[i], np.asarray(a).astype(t.dtype.numpy))
                                              for i, t, a in zip(graph.inputs, graph.input_types, arrays)])
    return builder.finish([value for value, _ in out])


Known = tuple[Value, np.ndarray]


@dataclass
class _Writing:
    """Values under construction, each with what it is on the arrays given."""

    builder: Builder

    def inline(self, graph: Graph, given: Sequence[Known]) -> list[Known]:
        env = dict(zip(graph.inputs, given, strict=True))
        for node in graph.nodes:
            env.update(zip(node.results, self.node(node, [env[i] for i in node.operands]), strict=True))
        return [env[i] for i in graph.outputs]

    def node(self, node: Node, operands: list[Known]) -> list[Known]:
        rules = {"scan": self.scan, "while_loop": self.while_loop, "switch": self.switch}
        if node.op in rules:
            return rules[node.op](node, operands)
        values = self.builder.copy_node(node, [value for value, _ in operands])
        out = get_op(node.op).run(*(array for _, array in operands), **node.attributes)
        return list(zip(values, out if isinstance(out, tuple) else (out,), strict=True))

    def emit(self, op: str, *operands: Known, **attrs: Any) -> Known:
        return self.builder.emit(op, [value for value, _ in operands], attrs), get_op(op).run(*(a for _, a in operands), **attrs)

    def scan(self, node: Node, operands: list[Known]) -> list[Known]:
        attrs, body = node.attributes, node.regions[0]
        first, carries = attrs["consts"], attrs["carries"]
        consts, carry, xs = operands[:first], operands[first:first + carries], operands[first + carries:]
        made: dict[int, list[Known]] = {}
        for i in range(attrs["length"] - 1, -1, -1) if attrs["reverse"] else range(attrs["length"]):
            out = self.inline(body, [*consts, *carry, *(self.slice(x, i) for x in xs)])
            carry, made[i] = out[:carries], out[carries:]
        return [*carry, *(self.stacked(t, [made[i][n] for i in sorted(made)]) for n, t in enumerate(node.types[carries:]))]

    def while_loop(self, node: Node, operands: list[Known]) -> list[Known]:
        (condition, body), first = node.regions, node.attributes["consts"]
        consts, carry = operands[:first], operands[first:]
        while self.inline(condition, [*consts, *carry])[0][1]:
            carry = self.inline(body, [*consts, *carry])
        return carry

    def switch(self, node: Node, operands: list[Known]) -> list[Known]:
        number = min(max(int(operands[0][1]), 0), len(node.regions) - 1)
        return self.inline(node.regions[number], operands[1:])

    def slice(self, x: Known, i: int) -> Known:
        shape = x[0].shape
        row = self.emit("slice", x, start=(i,) + (0,) * (len(shape) - 1), size=(1, *shape[1:]), step=(1,) * len(shape))
        return self.emit("reshape", row, shape=shape[1:])

    def stacked(self, type: TensorType, items: list[Known]) -> Known:
        if not items:
            return self.builder.full(type, 0), np.zeros(type.shape, type.dtype.numpy)
        rows = [self.emit("reshape", x, shape=(1, *x[0].shape)) for x in items]
        return self.emit("concatenate", *rows, axis=0) if len(rows) > 1 else rows[0]


@dataclass
class Run:
    """One evaluation. ``rng`` None: undisturbed. ``lost`` are values of which nothing can be said.

    ``own``: errors are scaled by what this run sums up, too: where that is but noise, f64 has less of it. ``units``: errors
    of so many units of roundoff in the place of ``GRACE``. ``flushes``: as compiled code. ``overflows``: sums that may overflow are
    anything; if they were so in all runs, NaN that follows would pass for certain. ``together``: an op's errors are the same along
    some of its axes."""

    graph: Graph
    rng: np.random.Generator | None
    scales: dict[int, np.ndarray | None] = field(default_factory=dict)  # by value, as the undisturbed run finds them
    own: bool = False
    units: float | None = None
    flushes: bool = False
    overflows: bool = True
    together: bool = False

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        env = dict(zip(self.graph.inputs, map(_wide, arrays), strict=True))
        self.products: set[int] = set()
        self.vanished: set[int] = set()  # what is made of products some of which were flushed
        self.lost: set[int] = set()
        self.by_zero = False  # whether an int is divided by 0: 0 here, -1 or -2 in JAX
        self.subnormal = False  # whether some number of it is one of the few below the normal ones
        left = dict(self.graph.use_counts)
        with np.errstate(all="ignore"):
            for node in self.graph.nodes:
                self._node(node, env)
                for value in node.operands:
                    left[value] -= 1
                    if not left[value]:
                        env.pop(value, None)
        return [env[i] for i in self.graph.outputs]

    def _node(self, node: Node, env: dict[int, np.ndarray]) -> None:
        operands = [env[i] for i in node.operands]
        self.by_zero |= node.op in ("floordiv", "mod") and node.types[0].dtype.is_int and not np.all(operands[1])
        out = self._meaning(node, operands)
        results = out if isinstance(out, tuple) else (out,)
        for value, array, kind in zip(node.results, results, node.types, strict=True):
            array = _wide(np.asarray(array))
            env[value] = self._rounded(node, operands, array, kind) if kind.dtype.is_inexact else array
        if self.lost.intersection(node.operands) or _loses(node, operands):
            self.lost.update(node.results)
        if node.op == "mul" or (node.op in MOVES and self.products.intersection(node.operands)):
            self.products.update(node.results)
        if node.op in MOVES | {"mul", "add", "sub"} and self.vanished.intersection(node.operands):
            self.vanished.update(node.results)

    def _meaning(self, node: Node, operands: list[np.ndarray]) -> Any:
        """What the op makes of its operands; of some in their own dtype, or of operands a little off."""
        if node.op in BITS:
            return self._bits(node, operands[0])
        if node.op in BACKWARD and self.rng is not None:
            units = GRACE if self.units is None else self.units
            operands = [_off(x, units * self._roundoff(node), self.rng) for x in operands]
        found = get_op(node.op).eager(*operands, **{k: _widened(v) for k, v in node.attrs})
        if node.op in SPECTRAL and self.rng is not None and self.rng.random() < 0.5:
            return tuple(_coinciding(x, GRACE * self._roundoff(node)) if x.ndim < operands[0].ndim else x for x in found)
        return found

    def _roundoff(self, node: Node) -> float:
        """Of the narrowest float among operands and results."""
        kinds = [self.graph.types[i].dtype.real for i in (*node.operands, *node.results)]
        return max(float(np.finfo(k.numpy).eps) / 2 for k in kinds if k.is_float)

    def _bits(self, node: Node, x: np.ndarray) -> np.ndarray:
        """Which of NaN's bits there are is not said."""
        own = x.astype(self.graph.types[node.operands[0]].dtype.numpy)
        out = np.asarray(get_op(node.op).eager(own, **node.attributes))
        if self.rng is None:
            return out
        if node.op != "to_bits":
            return self._flushed(out, node.types[0].dtype)
        ones = np.array(-1).astype(out.dtype)  # a NaN still, if some of its bits are taken
        drawn = np.where(self.rng.random(out.shape) < 0.5, ones, self.rng.integers(0, 100, out.shape).astype(out.dtype))
        return np.where(np.isnan(own), drawn, out)

    def _flushed(self, out: np.ndarray, dtype: DType) -> np.ndarray:
        """As compiled code has it, in every second run."""
        if not self.flushes or dtype.is_narrow or not dtype.is_float:
            return out
        return np.where(np.abs(out) < _least(dtype), np.copysign(np.zeros((), out.dtype), out), out)

    def _rounded(self, node: Node, operands: list[np.ndarray], out: np.ndarray, kind: TensorType) -> np.ndarray:
        """Of complex numbers both parts are."""
        out = self._numbers(node, operands, reals(out), kind.dtype.real)
        return complexes(out) if kind.dtype.is_complex else out

    def _numbers(self, node: Node, operands: list[np.ndarray], out: np.ndarray, dtype: DType) -> np.ndarray:
        if self.rng is None:
            self.scales[node.results[0]] = self._scale(node, operands, out)
            self.subnormal |= bool(((out != 0) & (np.abs(out) < np.finfo(dtype.numpy).tiny)).any())
            return _in_range(out, dtype)
        scale = self.scales[node.results[0]]
        if scale is not None:
            out = self._disturbed(node, operands, out, scale, dtype, self.rng)
        return _number(_either_zero(node, operands, out, self.rng), dtype)

    def _disturbed(self, node: Node, operands: list[np.ndarray], out: np.ndarray, scale: np.ndarray, dtype: DType,
                   rng: np.random.Generator) -> np.ndarray:
        """The result with a random error of its scale; of sums near the ends of the range anything."""
        info = np.finfo(dtype.numpy)
        if self.own:
            scale = np.fmax(scale, self._scale(node, operands, out))
        magnitude = scale / _grace(node, operands, out)
        bound = (scale if self.units is None else self.units * magnitude) * float(info.eps) / 2
        error = self._draw(out.shape, rng) * bound
        cancelled = (np.abs(out) <= bound) & (out != 0) & (rng.random(out.shape) < 0.5)  # perhaps to nothing at all
        error = np.where(cancelled, -out, error)
        out = np.where(np.isfinite(out) & np.isfinite(error) & (error != 0), out + error, out)  # -0.0 + 0.0 would be 0.0
        if self.overflows and self._has_complex(node):
            paired = node.types[0].dtype.is_complex
            out = _anything(out, uncertain(operands, out, scale, float(info.max), paired), rng)
            out = _anything(out, _products_far_on_the_way(node, reals(operands[0]), out, float(info.max), paired), rng)
        elif self.overflows:
            if node.op in SUMS and not all(np.isfinite(x).all() for x in operands if x.dtype.kind == "f"):
                finite = [_finite(x) for x in operands]  # a product may overflow beside an infinity
                magnitude = self._scale(node, finite, out) / _grace(node, finite, out)
            out = _overflowing(node, operands[0], out, magnitude, float(info.max), rng)
        if self.flushes and node.op in ("add", "sub") and self.vanished.intersection(node.operands):
            out = np.where(out == 0, rng.choice([0.0, -0.0], out.shape), out)  # a fused multiply-add of less than the least float
        out, before = self._flushed(out, dtype), out
        if node.op == "mul" and (before[out == 0] != 0).any():
            self.vanished.update(node.results)
            if self._has_complex(node):  # of which each part is such a sum
                out = np.where((out == 0) & (before != 0), rng.choice([0.0, -0.0], out.shape), out)
        return np.where(_behind_zeros(node, out), np.copysign(0.0, out), out) if node.op == "cumprod" and self.flushes else out

    def _draw(self, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        """Errors of one unit at most."""
        drawn = shape if not self.together else tuple(n if rng.random() < 0.5 else min(n, 1) for n in shape)
        return np.broadcast_to(rng.uniform(-1, 1, drawn), shape)

    def _scale(self, node: Node, operands: list[np.ndarray], out: np.ndarray) -> np.ndarray | None:
        """How large an error of one unit of roundoff may be, for each element; None where the op is exact. Sums of f16 are added up
        in f32 and rounded once."""
        scale = self._summed(node, operands, out)
        if scale is not None and node.op in SUMS | CONVOLUTIONS and node.types[0].dtype.is_narrow:
            finer = float(np.finfo(np.float32).eps / np.finfo(node.types[0].dtype.numpy).eps)
            scale = scale * finer + np.where(scale > 0, GRACE * np.abs(out), 0)
        return scale

    def _summed(self, node: Node, operands: list[np.ndarray], out: np.ndarray) -> np.ndarray | None:
        """The same for sums in their own dtype."""
        op = node.op
        if self._has_complex(node):
            return self._of_parts(node, operands, out)
        if op in CONVOLUTIONS:
            return _convolved(node, operands, out)
        if op in SUMS:
            total = np.abs(get_op(op).eager(*map(_magnitude, operands), **{k: _widened(v) for k, v in node.attrs}))
            return np.where(_exact(node, out, total, operands), 0, _grace(node, operands, out) * total)
        if op in ("add", "sub") and self.products.intersection(node.operands):  # perhaps one fused multiply-add
            return np.where(_all_few(node, out, *operands), 0, GRACE * (np.abs(operands[0]) + np.abs(operands[1])))
        if op in DIRECT:
            return np.where(_all_few(node, out, *operands), 0, GRACE * np.abs(out))
        if op == "floordiv":  # a whole number, which has more digits than the dtype where it is great
            return np.where(np.abs(out) * float(np.finfo(node.types[0].dtype.numpy).eps) < 1, 0, GRACE * np.abs(out))
        if op == "mod":
            return np.where(_all_few(node, out, *operands), 0, GRACE * (np.abs(out) + np.abs(operands[1])))
        if op == "lgamma":  # of negative numbers a difference, by reflection, whose roots are not the arguments' roundoff away
            return GRACE * (np.abs(out) + (operands[0] < 0))
        if op in INEXACT:
            return GRACE * np.abs(out)
        if op in ALONG:
            top = max(float(np.max(np.abs(_finite(x)), initial=0)) for x in operands)
            return GRACE * (np.abs(out) + 1 + top) * (np.abs(out) if op == "softmax" else 1)
        return None

    def _has_complex(self, node: Node) -> bool:
        return any(self.graph.types[i].dtype.is_complex for i in (*node.operands, *node.results))

    def _of_parts(self, node: Node, operands: list[np.ndarray], out: np.ndarray) -> np.ndarray | None:
        """The same where there are complex numbers, of which ``out`` and what is returned have the parts."""
        op, paired, parts = node.op, node.types[0].dtype.is_complex, list(map(reals, operands))
        attrs = {k: _widened(v) for k, v in node.attrs}
        if op in SUMS | CONVOLUTIONS:
            total = sum_scale(op, operands, attrs)
            return np.where(_exact(node, out, total, parts), 0, _grace(node, operands, out) * total)
        if op == "mul":
            total = product_scale(*operands)
            return np.where(_all_few(node, out, total, *parts), 0, GRACE * total)
        if op == "div":
            return GRACE * quotient_scale(*operands)
        if op in ("add", "sub") and self.products.intersection(node.operands):
            return np.where(_all_few(node, out, *parts), 0, GRACE * (np.abs(parts[0]) + np.abs(parts[1])))
        if op in ("add", "sub", "cast"):
            return np.where(_all_few(node, out), 0, GRACE * np.abs(out))
        if op in TRANSFORMS:
            return GRACE * transform_scale(operands[0], out, attrs["axis"], paired)
        return GRACE * function_scale(op, operands, out, paired) if op in DIRECT | INEXACT | {"sign"} else None


def _off(x: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
    """A matrix off by ``size`` of its norm; where it is 0 throughout it stays so."""
    if x.dtype.kind not in "fc" or not x.size:
        return x
    norm = np.sqrt(np.sum(np.abs(_finite(x)) ** 2, (-2, -1), keepdims=True)) if x.ndim > 1 else np.abs(x)
    error = rng.uniform(-1, 1, x.shape) + (1j * rng.uniform(-1, 1, x.shape) if x.dtype.kind == "c" else 0)
    return np.where(np.isfinite(x), x + error * size * norm, x)


def _coinciding(values: np.ndarray, size: float) -> np.ndarray:
    """Eigenvalues or singular values, in order, of which those apart by less than ``size`` of the greatest are equal, as they may
    be where they are computed in fewer digits."""
    found = values.copy()
    reach = size * np.max(np.abs(_finite(values)), -1, initial=0)
    for k in range(1, values.shape[-1]):
        found[..., k] = np.where(np.abs(values[..., k] - found[..., k - 1]) <= reach, found[..., k - 1], values[..., k])
    return found


def _in_range(out: np.ndarray, dtype: DType) -> np.ndarray:
    """Infinite beyond the greatest number of the dtype; one of its numbers below the normal ones, where they are few."""
    info = np.finfo(dtype.numpy)
    out = np.where(np.abs(out) < info.tiny, _number(out, dtype), out)
    return np.where(np.abs(out) > info.max, np.copysign(np.inf, out), out)


def _number(out: np.ndarray, dtype: DType) -> np.ndarray:
    """The nearest numbers of the dtype."""
    return out.astype(dtype.numpy).astype(np.float64)


def _least(dtype: DType) -> float:
    """The least number that compiled code makes: f16 is computed in f32, and numbers below the normal ones are flushed there; those
    of bf16 are f32's."""
    info = np.finfo(dtype.numpy)
    return float(info.smallest_subnormal if dtype == f16 else info.tiny)


def _behind_zeros(node: Node, products: np.ndarray) -> np.ndarray:
    """Where a running product follows one that is zero, as one that was flushed is."""
    return _since(products == 0, node)


def _since(begun: np.ndarray, node: Node) -> np.ndarray:
    """From where something holds on, as far as a running op goes along its axis."""
    axis, reverse = node.attributes["axis"], node.attributes["reverse"]
    found = np.logical_or.accumulate(np.flip(begun, axis) if reverse else begun, axis)
    return np.flip(found, axis) if reverse else found


def _loses(node: Node, operands: list[np.ndarray]) -> bool:
    """Whether nothing can be said. Convolutions of NaN and infinities: squares spread them, routed sums leave some out, as
    docs/architecture.md says. Factors of such matrices: LAPACK goes on where leptonc's are NaN throughout."""
    return node.op in CONVOLUTIONS | BACKWARD and not all(np.isfinite(x).all() for x in operands)


def _wide(array: np.ndarray) -> np.ndarray:
    return array.astype({"f": np.float64, "c": np.complex128}.get(array.dtype.kind, array.dtype))


def _widened(attr: Any) -> Any:
    return {"f": f64, "c": c128}.get(attr.kind, attr) if isinstance(attr, DType) else attr


def _magnitude(x: np.ndarray) -> np.ndarray:
    return np.abs(x) if x.dtype.kind == "f" else x


def _all_few(node: Node, *arrays: np.ndarray) -> np.ndarray:
    """Whether an element is of few digits in all arrays: a result alone may be so by chance, as 10 * 0.1 is."""
    return np.logical_and.reduce([_few_digits(x, node.types[0].dtype) for x in arrays if x.dtype.kind == "f"])


def _exact(node: Node, out: np.ndarray, total: np.ndarray, operands: list[np.ndarray]) -> np.ndarray:
    """Whether a sum is exact in any order: all terms are of few digits, and all sums, which are multiples of the terms' grain: that
    a sum is of few digits says nothing of those on the way to it."""
    terms, dtype = [x for x in operands if x.dtype.kind == "f"], node.types[0].dtype
    if not all(_few_digits(x, dtype).all() for x in terms):
        return np.zeros(out.shape, bool)
    grains = [_grain(x) for x in terms]
    grain = prod(grains) if node.op in CONVOLUTIONS | {"dot_general"} else min(grains, default=1.0)
    return _all_few(node, out, total) & (total <= grain * 2.0**_digits(dtype))


def _grain(x: np.ndarray) -> float:
    """The greatest power of two that all elements, of at most 20 digits, are multiples of."""
    fraction, exponent = np.frexp(x[x != 0])
    whole = (fraction * 2.0**20).astype(np.int64)
    return float(np.min(np.ldexp((whole & -whole).astype(np.float64), exponent - 20), initial=np.inf))


def _finite(x: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(x), x, 0) if x.dtype.kind in "fc" else x


def _digits(dtype: DType) -> int:
    """So many binary digits are few."""
    return 7 if dtype.is_narrow else 20


def _few_digits(x: np.ndarray, dtype: DType) -> np.ndarray:
    """Whether an element is a number of few binary digits, and far from the ends of the range."""
    digits, reach = _digits(dtype), 10 if dtype.is_narrow else 40
    fraction = np.frexp(np.where(np.isfinite(x), x, 0.0))[0] * 2.0**digits
    return (fraction == np.floor(fraction)) & (np.abs(x) < 2.0**reach) & ((np.abs(x) > 2.0**-reach) | (x == 0))


def _grace(node: Node, operands: list[np.ndarray], out: np.ndarray) -> float:
    """Units of roundoff. For sums of n terms one after the other errors may all be of one sign, where the terms are equal: n / 2
    roundoffs. Longer sums than ``WHOLE`` are done in parts."""
    if node.op not in SUMS | CONVOLUTIONS:
        return GRACE
    attrs = node.attributes
    window = prod(attrs.get("window", (1,)))
    terms = {"dot_general": lambda: prod(operands[0].shape[d] for d in attrs["contract"][0]),
             "sum": lambda: operands[0].size // max(out.size, 1),
             "cumsum": lambda: out.shape[attrs["axis"]], "scatter_add": lambda: operands[1].size,
             "scatter_sum": lambda: prod(operands[1].shape[:-1]),
             "conv": lambda: prod(operands[1].shape[:-1]),
             "conv_input_grad": lambda: prod(operands[1].shape) // operands[1].shape[-2],
             "conv_weight_grad": lambda: prod(operands[1].shape[:-1])}.get(node.op, lambda: window)()
    return GRACE + min(terms, WHOLE) / 8 + (SQUARES if _by_squares(node, operands) else 0)


def _convolved(node: Node, operands: list[np.ndarray], out: np.ndarray) -> np.ndarray:
    """The sum of the products' absolute values; where squares may compute it, the greatest of those near, but 0 where it is 0."""
    attrs = {k: _widened(v) for k, v in node.attrs}
    total = np.abs(get_op(node.op).eager(*map(_magnitude, operands), **attrs))
    if not _by_squares(node, operands):
        return np.where(_exact(node, out, total, operands), 0, _grace(node, operands, out) * total)
    near = _spread(total, (0, 1), 2) if node.op == "conv_weight_grad" else _spread(total, (1, 2), 3)
    return np.where(total == 0, 0, _grace(node, operands, out) * near)


def _by_squares(node: Node, operands: list[np.ndarray]) -> bool:
    """Whether Winograd's algorithms may compute it."""
    if node.op not in CONVOLUTIONS:
        return False
    attrs = node.attributes
    kernel = attrs["shape"] if node.op == "conv_weight_grad" else operands[1].shape[:-2]
    return tuple(kernel) == (3, 3) and {*attrs["stride"], *attrs["dilation"]} == {1} and attrs["groups"] == 1


def _spread(x: np.ndarray, axes: Sequence[int], reach: int) -> np.ndarray:
    """The greatest element within ``reach`` along axes."""
    for axis in axes:
        n = x.shape[axis]
        whole = np.pad(x, [(reach, reach) if d == axis else (0, 0) for d in range(x.ndim)])
        x = np.max([np.take(whole, range(k, k + n), axis) for k in range(2 * reach + 1)], 0)
    return x


def _either_zero(node: Node, operands: list[np.ndarray], out: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which of 0.0 and -0.0 is the greatest of many depends on the order that they are looked at in. NumPy's is another in f32
    than in f64."""
    if node.op in TRANSFORMS:  # sums of zeros, of the same signs throughout
        return np.where(out == 0, rng.choice([0.0, -0.0]), out)
    if node.op in ("prod", "cumprod", "scatter_prod") and node.types[0].dtype.is_complex:  # differences of products with zeros
        return np.where(out == 0, rng.choice([0.0, -0.0], out.shape), out)
    if node.op not in EXTREMES:
        return out
    extreme, (x,) = get_op(node.op).eager, operands
    if x.dtype.kind == "c":  # numbers that are equal may differ in the signs of both parts' zeros
        return np.where(out == 0, rng.choice([0.0, -0.0], out.shape), out)
    negative, positive = (extreme(np.where((x == 0) & (np.signbit(x) == sign), EXTREMES[node.op], 0), **node.attributes) != 0
                          for sign in (True, False))
    return np.where((out == 0) & negative & positive, rng.choice([0.0, -0.0], out.shape), out)


def _overflowing(node: Node, x: np.ndarray, out: np.ndarray, scale: np.ndarray, largest: float,
                 rng: np.random.Generator) -> np.ndarray:
    """Sums whose parts come near the largest float may overflow in one order of adding and not in another."""
    out = _anything(out, _products_far_on_the_way(node, x, out, largest, False), rng)
    if node.op == "prod":
        return out
    if node.op == "sum":  # a factor that is infinite may leave it, and what it was multiplied by be 0 by rounding, or not
        out = _anything(out, np.isnan(out) & np.isinf(x).any(axis=node.attributes["axes"]), rng)
    if node.op not in SUMS | CONVOLUTIONS | ALONG | {"mul", "add", "sub"}:
        return out
    return _anything(out, (scale > largest / 16) & np.isfinite(scale) | np.isinf(scale) & np.isfinite(out), rng)


def _products_far_on_the_way(node: Node, x: np.ndarray, out: np.ndarray, largest: float, paired: bool) -> np.ndarray:
    """Where products of many, ``x`` and ``out`` in reals, may pass the largest float on their way, and make NaN with a 0, or fall
    below the least."""
    if node.op == "cumprod":  # of reals: that of complex numbers is written out
        return _since(np.abs(out) > largest, node)
    if node.op != "prod":
        return np.zeros(out.shape, bool)
    size = np.abs(_finite(x)) if not paired else np.hypot(_finite(x)[..., 0], _finite(x)[..., 1])
    ends = [np.prod(end(np.where(size == 0, 1, size), 1), node.attributes["axes"]) for end in (np.maximum, np.minimum)]
    far: np.ndarray = (ends[0] > largest / 16) | (ends[1] < 16 / largest)
    return np.broadcast_to(far[..., None], out.shape) if paired else far


def _anything(out: np.ndarray, where: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if not where.any():
        return out
    return np.where(where, rng.choice([np.nan, np.inf, -np.inf, 0.0], out.shape), out)


@dataclass
class Expected:
    """What a graph gives on some arrays: a base run and disturbed ones."""

    graph: Graph
    arrays: list[np.ndarray]
    seed: int = 0

    def __post_init__(self) -> None:
        self.graph = written_out(self.graph, self.arrays)
        run = Run(self.graph, None)
        self.base, self.scales, self.by_zero = run(self.arrays), run.scales, run.by_zero
        self.lost = [value in run.lost for value in self.graph.outputs]
        self.runs: list[list[np.ndarray]] = []
        self.more(RUNS)

    def more(self, count: int) -> None:
        """Up to ``count`` disturbed runs."""
        while len(self.runs) < count:
            n = len(self.runs)
            self.runs.append(Run(self.graph, np.random.default_rng((self.seed, n)), self.scales, own=n >= RUNS,
                                 together=n >= RUNS and n % 3 == 0,
                                 units=SMALL[n // 2 % len(SMALL)] if n >= RUNS and n % 2 else None,
                                 flushes=n // 2 % 2 == 1, overflows=n // 2 % 2 == 0)(self.arrays))

    def check(self, results: Sequence[np.ndarray], slack: float = 1) -> str | None:
        """What is wrong with results, if anything; where something seems to be, it is looked at again with more runs. They may be
        ``slack`` times as far off as leptonc's own."""
        fault = self._fault(results, slack)
        while fault is not None and len(self.runs) < self._most_runs:
            self.more(min(2 * len(self.runs), self._most_runs))
            fault = self._fault(results, slack)
        return fault

    @property
    def _most_runs(self) -> int:
        """Where many elements are uncertain, as the steps of an optimizer are whose gradients are rounding errors, some come out
        another way too seldom for a few runs to meet it."""
        many = any(int(self._unknown(n).sum()) >= MORE_RUNS for n in range(len(self.base)))
        return MOST_RUNS if many else MORE_RUNS

    def _fault(self, results: Sequence[np.ndarray], slack: float) -> str | None:
        if len(results) != len(self.base):
            return f"{len(results)} results, expected {len(self.base)}"
        for n, (got, kind) in enumerate(zip(results, self.graph.output_types)):
            if (got.shape, got.dtype) != (kind.shape, kind.dtype.numpy):
                return f"result {n} is {got.dtype}{got.shape}, expected {kind}"
            wrong = self.wrong(n, got, slack)
            if wrong.any():
                first = tuple(int(i) for i in np.argwhere(wrong)[0])
                count = f"{int(wrong.sum())} of {wrong.size} elements wrong"
                return f"result {n}: {count}; {first} is {reals(got)[first]!r}, expected {reals(self.base[n])[first]!r}"
        return None

    def _unknown(self, n: int) -> np.ndarray:
        """The elements of a result of which nothing is claimed."""
        base, runs = self._reals(n)
        if self.lost[n]:
            return np.ones(base.shape, bool)
        if base.dtype.kind != "f":
            unknown: np.ndarray = ~(runs == base).all(0)
            return unknown
        same = np.isfinite(base) & np.isfinite(runs).all(0) | np.isnan(base) & np.isnan(runs).all(0) | (runs == base).all(0)
        with np.errstate(all="ignore"):
            wide = np.abs(runs - base).max(0) > 0.1 * np.abs(base) + 1e-30
        return ~same | np.isfinite(base) & wide

    def _reals(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        """What is expected of a result, and what it is in each run, complex numbers by parts."""
        return reals(self.base[n]), reals(np.stack([run[n] for run in self.runs]))

    def wrong(self, n: int, got: np.ndarray, slack: float = 1) -> np.ndarray:
        """Which elements of a result are, or parts of elements."""
        base, runs = self._reals(n)
        got = reals(got)
        if self.lost[n]:
            return np.zeros(base.shape, bool)
        if base.dtype.kind != "f":
            return (got != base) & (runs == base).all(0)
        wide = got.astype(np.float64)
        with np.errstate(all="ignore"):
            finite = np.isfinite(base)
            certain = np.where(finite, np.isfinite(runs).all(0), np.isnan(base) & np.isnan(runs).all(0) | (runs == base).all(0))
            spread = np.abs(runs - base).max(0)
            allowed = np.where(np.isfinite(spread), slack * RATIO * spread, np.inf) + _least(self.graph.output_types[n].dtype.real)
            off = np.where(finite, ~(np.abs(wide - base) <= allowed), ~((wide == base) | np.isnan(base) & np.isnan(wide)))
            zero = (base == 0) & (runs == 0).all(0) & (np.signbit(runs) == np.signbit(base)).all(0)
            off |= zero & (np.signbit(got) != np.signbit(base))
        return off & certain

    @property
    def unclaimed(self) -> float:
        """The share of elements of which nothing is claimed."""
        unknown = [self._unknown(n) for n in range(len(self.base))]
        return sum(int(u.sum()) for u in unknown) / max(sum(u.size for u in unknown), 1)
