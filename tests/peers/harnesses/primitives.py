"""JAX's primitives as calls of leptonc's public functions of the same name, and a jaxpr as a Python function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

import leptonc
import leptonc.numpy as lnp
from leptonc import lax, random, tree

HELD = {np.dtype(t) for t in ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16",
                                ml_dtypes.bfloat16)}


class NotThereError(Exception):
    """A primitive or an option that leptonc has not."""


SAME = """abs acos acosh add asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil cos cosh digamma div eq erf erf_inv erfc
exp exp2 expm1 floor ge gt is_finite le lgamma log log1p logistic lt max min mul ne neg nextafter population_count clz pow rem
rsqrt shift_left shift_right_arithmetic shift_right_logical sign sin sinh sqrt square sub tan tanh
stop_gradient igamma igammac""".split()
RULES: dict[str, Callable[..., Any]] = {}


def rule(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def enter(f: Callable[..., Any]) -> Callable[..., Any]:
        RULES.update(dict.fromkeys(names, f))
        return f

    return enter


def _lax(name: str) -> Callable[..., Any]:
    found = getattr(lax, name, None)
    if found is None:
        raise NotThereError(f"lax.{name}")
    return found  # type: ignore[no-any-return]


def call(jaxpr: Any, *args: Any) -> list[Any]:
    """A closed jaxpr's results."""
    return _run(jaxpr.jaxpr, jaxpr.consts, args)


def _run(jaxpr: Any, consts: Sequence[Any], args: Sequence[Any]) -> list[Any]:
    values: dict[Any, Any] = {}

    def read(atom: Any) -> Any:
        return np.asarray(atom.val, atom.aval.dtype) if hasattr(atom, "val") else values[atom]

    values.update(zip(jaxpr.constvars, map(np.asarray, consts), strict=True))
    values.update(zip(jaxpr.invars, args, strict=True))
    for equation in jaxpr.eqns:
        out = _apply(equation, [read(a) for a in equation.invars])
        values.update(zip(equation.outvars, out if isinstance(out, list | tuple) else [out], strict=True))
    return [read(a) for a in jaxpr.outvars]


def _apply(equation: Any, args: list[Any]) -> Any:
    name, params = equation.primitive.name, dict(equation.params)
    if name == "dot_general" and params["preferred_element_type"] is None:  # leptonc's own is NumPy's promotion
        params["preferred_element_type"] = equation.outvars[0].aval.dtype
    if name == "dot_general" and args[0].dtype != args[1].dtype:
        args = [lax.convert_element_type(x, params["preferred_element_type"]) for x in args]
    if name in RULES:
        return RULES[name](*args, **params)
    if name in SAME:
        return _lax(name)(*args)
    raise NotThereError(name)


RULES.update({
    "and": lambda x, y: lax.bitwise_and(x, y), "or": lambda x, y: lax.bitwise_or(x, y), "xor": lambda x, y: lax.bitwise_xor(x, y),
    "not": lambda x: lax.bitwise_not(x), "add_any": lambda x, y: lax.add(x, y), "copy": lambda x: x, "copy_p": lambda x: x,
    "device_put": lambda *xs, **_: list(xs), "real": lambda x: _lax("real")(x), "imag": lambda x: _lax("imag")(x),
    "conj": lambda x, **_: _lax("conj")(x), "complex": lambda x, y: _lax("complex")(x, y),
    "integer_pow": lambda x, y: lax.integer_pow(x, y), "select_n": lambda which, *cases: lax.select_n(which, *cases),
    "clamp": lambda low, x, high: lax.clamp(low, x, high),
    "bitcast_convert_type": lambda x, new_dtype: lax.bitcast_convert_type(x, new_dtype),
    "squeeze": lambda x, dimensions: lax.squeeze(x, dimensions), "transpose": lambda x, permutation: lax.transpose(x, permutation),
    "rev": lambda x, dimensions: lax.rev(x, dimensions), "concatenate": lambda *xs, dimension: lax.concatenate(xs, dimension),
    "pad": lambda x, value, padding_config: lax.pad(x, value, padding_config),
    "slice": lambda x, start_indices, limit_indices, strides: _sliced(x, start_indices, limit_indices, strides),
    "dynamic_slice": lambda x, *starts, slice_sizes: lax.dynamic_slice(x, starts, slice_sizes, allow_negative_indices=False),
    "dynamic_update_slice": lambda x, update, *starts: lax.dynamic_update_slice(x, update, starts, allow_negative_indices=False),
    "split": lambda x, sizes, axis: lax.split(x, sizes, axis),
    "top_k": lambda x, k, **options: list(lax.top_k(x, k, axis=options.get("axis", -1))),
    "regularized_incomplete_beta": lambda a, b, x: _lax("betainc")(a, b, x),
    "tridiagonal_solve": lambda *xs, **options: lax.linalg.tridiagonal_solve(*xs, **options),
    "eig": lambda x, **options: lax.linalg.eig(x, **options),
    "fft": lambda x, fft_type, fft_lengths: _lax("fft")(x, fft_type, fft_lengths),
})


def _sliced(x: Any, start: Sequence[int], limit: Sequence[int], strides: Sequence[int] | None) -> Any:
    """Of an array of keys, which has an axis more here, whole keys."""
    keys = len(x.shape) - len(start)
    return lax.slice(x, (*start, *(0,) * keys), (*limit, *x.shape[len(start):]), strides and (*strides, *(1,) * keys))


@rule("convert_element_type")
def convert(x: Any, *, new_dtype: Any, weak_type: bool, sharding: Any) -> Any:
    return lax.convert_element_type(x, new_dtype)


@rule("round")
def rounded(x: Any, *, rounding_method: Any) -> Any:
    return lax.round(x, lax.RoundingMethod[rounding_method.name])


@rule("broadcast_in_dim")
def broadcast_in_dim(x: Any, *, shape: Any, broadcast_dimensions: Any, sharding: Any) -> Any:
    return lax.broadcast_in_dim(x, shape, broadcast_dimensions)


@rule("reshape")
def reshape(x: Any, *, new_sizes: Any, dimensions: Any, sharding: Any) -> Any:
    return lax.reshape(x if dimensions is None else lax.transpose(x, dimensions), new_sizes)


@rule("iota")
def iota(*, dtype: Any, shape: Any, dimension: int, sharding: Any) -> Any:
    return lax.broadcasted_iota(dtype, shape, dimension)


@rule("iota_2x32_shape")
def iota_2x32_shape(*, shape: Any) -> Any:
    numbers = lnp.reshape(lnp.arange(int(np.prod(shape)), dtype=np.uint64), shape)
    return [lax.convert_element_type(lax.shift_right_logical(numbers, np.uint64(32)), np.uint32),
            lax.convert_element_type(numbers & np.uint64(2**32 - 1), np.uint32)]


@rule("reduce_precision")
def reduce_precision(x: Any, *, exponent_bits: int, mantissa_bits: int) -> Any:
    return _lax("reduce_precision")(x, exponent_bits, mantissa_bits)


@rule("gather")
def gather(x: Any, indices: Any, *, dimension_numbers: Any, slice_sizes: Any, indices_are_sorted: bool, unique_indices: bool,
           mode: Any, fill_value: Any) -> Any:
    return lax.gather(x, indices, dimension_numbers, slice_sizes, indices_are_sorted=indices_are_sorted,
                      unique_indices=unique_indices, mode=mode, fill_value=fill_value)


def _scatter(name: str) -> Callable[..., Any]:
    def run(x: Any, indices: Any, updates: Any, *, dimension_numbers: Any, indices_are_sorted: bool, unique_indices: bool,
            mode: Any, update_jaxpr: Any, update_consts: Any) -> Any:
        return getattr(lax, name)(x, indices, updates, dimension_numbers, indices_are_sorted=indices_are_sorted,
                                  unique_indices=unique_indices, mode=mode)

    return run


RULES.update({name.replace("_", "-"): _scatter(name)
              for name in ("scatter", "scatter_add", "scatter_sub", "scatter_mul", "scatter_min", "scatter_max")})


def _place(name: str) -> Callable[..., Any]:
    def run(x: Any, *, axes: Any, index_dtype: Any) -> Any:
        return lax.convert_element_type(getattr(lax, name)(x, axes[0]), index_dtype)

    return run


RULES.update({name: _place(name) for name in ("argmax", "argmin")})


def _reduction(name: str) -> Callable[..., Any]:
    def run(x: Any, *, axes: Any, **_: Any) -> Any:
        return lax.convert_element_type(getattr(lax, name)(x, axes), x.dtype)

    return run


RULES.update({name: _reduction(name) for name in ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min", "reduce_and",
                                                  "reduce_or",
                                                  "reduce_xor") if hasattr(lax, name)})


@rule("reduce")
def reduce(*xs: Any, computation: Any = None, jaxpr: Any = None, consts: Any = (), dimensions: Any = (), **_: Any) -> Any:
    body, count = jaxpr or computation, len(xs) // 2

    def join(a: Any, b: Any) -> Any:
        out = call(body, *tree.leaves(a), *tree.leaves(b))
        return out[0] if count == 1 else tuple(out)

    many = lax.reduce(xs[0] if count == 1 else tuple(xs[:count]), xs[1] if count == 1 else tuple(xs[count:]), join, dimensions)
    return many if count == 1 else list(many)


def _cumulative(name: str) -> Callable[..., Any]:
    return lambda x, axis, reverse: getattr(lax, name)(x, axis, reverse)


RULES.update({name: _cumulative(name) for name in ("cumsum", "cumprod", "cummax", "cummin", "cumlogsumexp")})


@rule("sort")
def sort(*xs: Any, dimension: int, is_stable: bool, num_keys: int) -> Any:
    return list(lax.sort(tuple(xs), dimension, is_stable, num_keys))


@rule("approx_top_k")
def approx_top_k(x: Any, *, k: int, reduction_dimension: int, recall_target: float, is_max_k: bool,
                 reduction_input_size_override: int, aggregate_to_topk: bool) -> Any:
    find = lax.approx_max_k if is_max_k else lax.approx_min_k
    return list(find(x, k, reduction_dimension, recall_target, reduction_input_size_override, aggregate_to_topk))


def _window(join: Callable[[Any, Any], Any], start: Callable[[np.dtype], Any]) -> Callable[..., Any]:
    def run(x: Any, **window: Any) -> Any:
        return lax.reduce_window(x, start(x.dtype), join, **window)

    return run


def _extreme(dtype: np.dtype, sign: int) -> Any:
    if dtype.kind == "b":
        return np.asarray(sign > 0)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return np.asarray(info.max if sign > 0 else info.min, dtype)
    return np.asarray(sign * np.inf, dtype)


RULES["reduce_window_max"] = _window(lambda a, b: lax.max(a, b), lambda d: _extreme(d, -1))
RULES["reduce_window_min"] = _window(lambda a, b: lax.min(a, b), lambda d: _extreme(d, 1))
RULES["reduce_window_sum"] = _window(lambda a, b: lax.add(a, b), lambda d: np.zeros((), d))


@rule("reduce_window")
def reduce_window(x: Any, start: Any, *, jaxpr: Any, consts: Any, window_dimensions: Any, window_strides: Any, padding: Any,
                  base_dilation: Any, window_dilation: Any) -> Any:
    return lax.reduce_window(x, start, lambda a, b: _run(jaxpr, consts, (a, b))[0], window_dimensions, window_strides, padding,
                             base_dilation, window_dilation)


@rule("dot_general")
def dot_general(x: Any, y: Any, *, dimension_numbers: Any, precision: Any, preferred_element_type: Any, out_sharding: Any) -> Any:
    return lax.dot_general(x, y, dimension_numbers, preferred_element_type=preferred_element_type)


@rule("conv_general_dilated")
def conv(x: Any, w: Any, *, window_strides: Any, padding: Any, lhs_dilation: Any, rhs_dilation: Any, dimension_numbers: Any,
         feature_group_count: int, batch_group_count: int, preferred_element_type: Any, precision: Any, **_: Any) -> Any:
    return lax.conv_general_dilated(x, w, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers,
                                    feature_group_count, batch_group_count, preferred_element_type=preferred_element_type)


@rule("cholesky")
def cholesky(x: Any, **_: Any) -> Any:
    return lax.linalg.cholesky(x, symmetrize_input=False)


@rule("lu")
def lu(x: Any, **_: Any) -> Any:
    return list(lax.linalg.lu(x))


@rule("qr")
def qr(x: Any, *, pivoting: bool, full_matrices: bool, **_: Any) -> Any:
    if pivoting:
        raise NotThereError("qr with pivoting")
    return list(lax.linalg.qr(x, full_matrices=full_matrices))


@rule("eigh")
def eigh(x: Any, *, lower: bool, sort_eigenvalues: bool, subset_by_index: Any, **_: Any) -> Any:
    return list(lax.linalg.eigh(x, lower=lower, symmetrize_input=False))


@rule("svd")
def svd(x: Any, *, full_matrices: bool, compute_uv: bool, subset_by_index: Any, **_: Any) -> Any:
    out = lax.linalg.svd(x, full_matrices=full_matrices, compute_uv=compute_uv)
    if not compute_uv:
        return [out]
    u, s, v = out
    return [s, u, v]


@rule("triangular_solve")
def triangular_solve(a: Any, b: Any, *, left_side: bool, lower: bool, transpose_a: bool, conjugate_a: bool,
                     unit_diagonal: bool) -> Any:
    return lax.linalg.triangular_solve(a, b, left_side=left_side, lower=lower, transpose_a=transpose_a, conjugate_a=conjugate_a,
                                       unit_diagonal=unit_diagonal)


@rule("custom_linear_solve")
def custom_linear_solve(*xs: Any, const_lengths: Any, jaxprs: Any) -> Any:
    """The solver that the program gives, called."""
    counts = [*const_lengths]
    first = counts[0] + counts[1]
    consts, rest = xs[first:first + counts[2]], xs[sum(counts):]
    return call(jaxprs.solve, *consts, *rest)


@rule("jit", "pjit", "closed_call", "custom_jvp_call", "custom_vjp_call")
def inner(*xs: Any, **params: Any) -> Any:
    return call(params.get("jaxpr") or params.get("call_jaxpr"), *xs)


@rule("random_seed")
def random_seed(seed: Any, **_: Any) -> Any:
    return random.key(seed)


@rule("random_wrap", "random_unwrap")
def random_wrap(key: Any, **_: Any) -> Any:
    return key


@rule("random_bits")
def random_bits(key: Any, *, bit_width: int, shape: Any) -> Any:
    return random.bits(key, shape, f"uint{bit_width}")


@rule("random_split")
def random_split(key: Any, *, shape: Any) -> Any:
    return random.split(key, shape)


@rule("random_gamma")
def random_gamma(key: Any, a: Any, **_: Any) -> Any:
    raise NotThereError("the bits of random.gamma, which are others")


@rule("rng_bit_generator")
def rng_bit_generator(key: Any, *, shape: Any, dtype: Any, algorithm: Any, **_: Any) -> Any:
    return list(lax.rng_bit_generator(key, shape, dtype, lax.RandomAlgorithm(int(algorithm))))


def _best(operand: Any, select_prim: Any, window: dict[str, Any]) -> Callable[[Any], Any]:
    join, start = (lax.max, -1) if select_prim.name in ("ge", "gt") else (lax.min, 1)
    return lambda x: lax.reduce_window(x, _extreme(operand.dtype, start), join, **window)


@rule("select_and_scatter_add")
def select_and_scatter_add(source: Any, operand: Any, *, select_prim: Any, window_dimensions: Any, window_strides: Any,
                           padding: Any) -> Any:
    """The gradient of the greatest, or least, of each window."""
    if operand.dtype.kind not in "fV":
        raise NotThereError("select_and_scatter_add of ints")
    window = {"window_dimensions": window_dimensions, "window_strides": window_strides, "padding": padding}
    return leptonc.vjp(_best(operand, select_prim, window), operand)[1](source)[0]


@rule("select_and_gather_add")
def select_and_gather_add(tangents: Any, operand: Any, *, select_prim: Any, **window: Any) -> Any:
    """The tangents of the greatest, or least, of each window."""
    return leptonc.jvp(_best(operand, select_prim, window), (operand,), (tangents,))[1]
