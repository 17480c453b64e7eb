"""A program's f under JAX, where it is installed: another reading of the same names, with gradients of its own."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.fuzz.program import NAMES, Program, definition

# What JAX has not, or reads otherwise: positions out of range, and where integers lead to (f32 with i64 is f32)
APART = re.compile(r"random\.|optim\.|scatter_add|dynamic_|take(_along_axis)?\(|astype|asarray\(|lax\.slice|\.argm|"
                   r"array\(\[.*'\?'\)|nan_to_num|iota|arange|lax\.scan|lax\.clamp|lnp\.round|ldexp|partition|vander|gradient|pend=\d|"
                   # vectors have signs of their own; steps that do not meet at 0, also as the edges of so many bins
                   r"linalg\.(eigh|svd)\(|linspace|histogram(_bin_edges)?\([^,]*, \d|"
                   r"approx_m|lgamma")  # the places of equal elements; 5e-7 where it is 0
BY_INDEX = re.compile(r"(?<!\.at)\[[^\]]*\b[xv]\d")  # traced places, which may be out of range
# Of complex numbers: the derivative of 0 to the power 0, which is 0 as that of reals is, is NaN there; that of z / |z| is 0 there;
# left of 0 that of acosh has the other sign there (finite differences have the one here)
OTHER_SLOPES = re.compile(r"pow|sign\(|a(rc)?cosh")
EXTREMES = re.compile(r"scatter_m(in|ax)\(|\.m(in|ax)\(|mod\(|remainder\(| % |lax\.reduce\(|max_pool")
ORDERS = re.compile(r"m(in|ax)\w*\(|sort|median|ptp|quantile|percentile")  # of NaN in a part of a complex number
MEANS = re.compile(r"(mean|average)\(")  # a product with a reciprocal that is rounded
VARIANCES = re.compile(r"\b(nan)?(var|std|mean|average)\(|cov\(.*ddof")  # of bools and ints in f32 there; of too few negative
NO_SLOPES = re.compile(r"scatter_m(in|ax)\(|\]\.m(in|ax)\(|sinc\(")  # infinities, of places that are clipped; coarse differences
OF_INTS = re.compile(r"linear_ramp|mode='mean'")  # ramps and means are rounded another way
OF_NARROW = re.compile(r"histogram|spacing")  # edges in steps that f16 rounds; below zero half of it
# Padded with zeros there, or by sums of masks; a ramp of one step begins with what it ends with, a reflection takes it from itself
OF_INFINITE = re.compile(r"convolve|correlate|polymul|mode='(maximum|minimum|mean|linear_ramp)'|"
                         r"reflect_type='odd'")
POOLS, QUOTIENTS = re.compile(r"max_pool"), re.compile(r"divide|div\(| / |soft_sign|a(rc)?(cos|sin|tan)h")
MODES = ("forward", "grad", "second")
PARTS = re.compile(r"lnp\.(linalg|fft)\.(\w+)")
SLACK = 4  # its tanh of f64 is 6 units in the last place off for all large arguments, of which 1 - tanh(x)^2 makes much


def available() -> bool:
    try:
        import jax
    except ImportError:
        return False
    jax.config.update("jax_enable_x64", True)
    return True


def mixed(program: Program) -> bool:
    """Whether there are integers among the arguments: of what they give with floats JAX has another idea."""
    return any(i.dtype[0] not in "fc" for i in program.inputs)


def _pointing_nowhere(program: Program, text: str) -> bool:
    """Whether a gather or scatter has index vectors of no numbers: JAX's derivative leaves out all windows but one, and a scatter
    may write none."""
    moved = "lax.scatter" in text or ("lax.gather" in text and program.mode != "forward")
    return moved and any(i.shape[-1:] == (0,) for i in program.inputs)


def _reads_otherwise(program: Program, text: str, arrays: list[np.ndarray]) -> bool:
    """Whether JAX means something else by the program, on these arrays: a window's NaN has no slope there, quotients' slopes divide
    by squares, which overflow, products with padding make NaN of infinities, and so do complex powers of 0."""
    kinds = {i.dtype[0] for i in program.inputs}
    if (kinds & set("iu?") and OF_INTS.search(text)) or ("f2" in {i.dtype for i in program.inputs} and OF_NARROW.search(text)):
        return True
    if re.search(r"gcd|lcm", text) and any((a == np.iinfo(a.dtype).min).any() for a in arrays if a.dtype.kind == "i"):
        return True  # its loop does not end
    floats = [a for a in arrays if a.dtype.kind in "fc"]
    strange = any((~np.isfinite(a) | (np.abs(a) > 1e15)).any() for a in floats)
    if any(np.isnan(a).any() for a in floats if a.dtype.kind == "c") and ORDERS.search(text):
        return True
    if "sqrt(" in text and any(a.dtype.kind == "c" for a in arrays):  # of a square: the signs of its zeros choose the root
        return True
    zero_to_complex = any((a == 0).any() for a in arrays if a.dtype.kind == "c") and "pow" in text
    if "intersect1d" in text and any(a.size == 0 for a in arrays):  # its places of nothing are fewer there than asked for
        return True
    ordered = re.search(r"top_k|approx_m(in|ax)_k", text) is not None
    negative_zeros = ordered and any(((a == 0) & np.signbit(a)).any() for a in floats if a.dtype.kind == "f")  # less there
    if (strange and OF_INFINITE.search(text)) or zero_to_complex or negative_zeros:
        return True
    return program.mode != "forward" and strange and bool(POOLS.search(text) or QUOTIENTS.search(text))


def run(program: Program, arrays: list[np.ndarray]) -> list[np.ndarray] | None:
    """The results in order; None if the program is not for JAX."""
    import jax

    jax.config.update("jax_enable_x64", True)  # in each process of its own as well
    text = definition(program)
    if _reads_otherwise(program, text, arrays):
        return None
    if program.mode != "forward" and OTHER_SLOPES.search(text) and any(i.dtype[0] == "c" for i in program.inputs):
        return None
    if (program.mode != "forward" and NO_SLOPES.search(text)) or _pointing_nowhere(program, text):
        return None
    if program.mode not in MODES or APART.search(text) or (mixed(program) and (BY_INDEX.search(text) or VARIANCES.search(text))):
        return None
    space: dict[str, Any] = {"np": np, "lnp": jax.numpy, "lax": _lax(jax), "nn": _nn(jax), "leptonc": _top(jax)}
    if not all(hasattr(space.get(module), name) for module, name in NAMES.findall(text)):
        return None
    if not all(hasattr(getattr(jax.numpy, part), name) for part, name in PARTS.findall(text)):
        return None
    exec(compile(text, "<program>", "exec"), space)
    f, names = space["f"], [i.name for i in program.inputs]
    wrt = tuple(names.index(n) for n in program.wrt)
    if program.mode == "second":
        first = jax.grad(f, wrt)
        f = lambda *args, g=first: sum((d * d.conj()).real.sum() for d in g(*args))  # noqa: E731
    call = f if program.mode == "forward" else jax.value_and_grad(f, wrt)
    try:
        out = call(*(jax.numpy.asarray(a) for a in arrays))
    except (TypeError, ValueError, IndexError, NotImplementedError, OverflowError):  # stricter about dtypes, or about what it takes
        return None
    return [np.asarray(leaf) for leaf in jax.tree.leaves(out)]


def _pairs(padding: Any, spatial: Any, window: Any, stride: Any) -> Any:
    if isinstance(padding, str):
        if padding == "VALID":
            return [(0, 0)] * len(spatial)
        totals = [max((-(-n // s) - 1) * s + w - n, 0) for n, w, s in zip(spatial, window, stride)]
        return [(t // 2, t - t // 2) for t in totals]
    if isinstance(padding, int):
        return [(padding, padding)] * len(spatial)
    return [(p, p) if isinstance(p, int) else tuple(p) for p in padding]


def _each(value: Any, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def _conv(jax: Any) -> Any:
    def conv(x: Any, w: Any, *, stride: Any = 1, padding: Any = "VALID", dilation: Any = 1, groups: int = 1) -> Any:
        rank = x.ndim - 2
        window = [(k - 1) * d + 1 for k, d in zip(w.shape[:-2], _each(dilation, rank))]
        layout = ("NHWC", "HWIO", "NHWC") if rank == 2 else ("NWC", "WIO", "NWC")
        pads = _pairs(padding, x.shape[1:-1], window, _each(stride, rank))
        return jax.lax.conv_general_dilated(x, w, _each(stride, rank), pads, rhs_dilation=_each(dilation, rank),
                                            dimension_numbers=layout, feature_group_count=groups)

    return conv


def _pools(jax: Any) -> Any:
    def windows(x: Any, initial: float, fold: Any, window: Any, stride: Any, padding: Any) -> Any:
        rank = x.ndim - 2
        sizes = _each(window, rank)
        strides = sizes if stride is None else _each(stride, rank)
        pads = [(0, 0), *_pairs(padding, x.shape[1:-1], sizes, strides), (0, 0)]
        return jax.lax.reduce_window(x, np.asarray(initial, x.dtype), fold, (1, *sizes, 1), (1, *strides, 1), pads)

    def max_pool(x: Any, window: Any, *, stride: Any = None, padding: Any = "VALID") -> Any:
        return windows(x, -np.inf, jax.lax.max, window, stride, padding)

    def avg_pool(x: Any, window: Any, *, stride: Any = None, padding: Any = "VALID", count_include_pad: bool = False) -> Any:
        total = windows(x, 0, jax.lax.add, window, stride, padding)
        if count_include_pad:
            return total / float(np.prod(_each(window, x.ndim - 2)))
        return total / windows(jax.numpy.ones((1, *x.shape[1:-1], 1), x.dtype), 0, jax.lax.add, window, stride, padding)

    def reduce_window(x: Any, kind: str, window: Any, strides: Any = None, padding: Any = "VALID") -> Any:
        if kind == "max":
            return max_pool(x, window, stride=strides, padding=padding)
        mean = avg_pool(x, window, stride=strides, padding=padding, count_include_pad=True)
        return mean if kind == "mean" else mean * float(np.prod(_each(window, x.ndim - 2)))

    return max_pool, avg_pool, reduce_window


def _lax(jax: Any) -> Any:
    def pad(x: Any, value: Any, config: Any) -> Any:
        return jax.lax.pad(x, np.asarray(value, x.dtype), config)

    names = {name: getattr(jax.lax, name) for name in dir(jax.lax) if not name.startswith("_")}
    return SimpleNamespace(**{**names, "reduce_window": _pools(jax)[2], "pad": pad})


def _top(jax: Any) -> Any:
    return SimpleNamespace(jit=jax.jit, vmap=jax.vmap, checkpoint=jax.checkpoint, tree=jax.tree,
                           segments=SimpleNamespace(**{f"segment_{kind}": getattr(jax.ops, f"segment_{kind}")
                                                       for kind in ("sum", "prod", "max", "min")}))


def _nn(jax: Any) -> Any:
    nn = jax.nn

    def cross_entropy(scores: Any, goals: Any) -> Any:
        goals = nn.one_hot(goals, scores.shape[-1], dtype=scores.dtype) if goals.ndim < scores.ndim else goals
        return -(goals * nn.log_softmax(scores)).sum(-1).mean()

    activations = {name: getattr(nn, name) for name in dir(nn) if not name.startswith("_")}
    return SimpleNamespace(**{
        **activations, "conv": _conv(jax), "max_pool": _pools(jax)[0], "avg_pool": _pools(jax)[1], "cross_entropy": cross_entropy,
        "mean_squared_error": lambda x, y: ((x - y) ** 2).mean()})
