"""Every elementwise function over special values of every dtype: compiled and eager against NumPy.

    python -m tests.ops.special              # all functions, all dtypes, each pair of values
    python -m tests.ops.special maximum      # one

Floats must be NumPy's within the units of the last place that ``LIMITS`` allows, zeros with NumPy's sign, NaN where NumPy has
NaN; integers and bools must be equal. Subnormals are left out: compiled code flushes them to zero.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import leptonc
from leptonc import numpy as lnp

UNARY = """absolute ceil cos cosh exp expm1 floor invert isfinite isinf isnan log log10 log1p log2 logical_not negative positive
reciprocal rint sign sin sinh sqrt square tan tanh trunc""".split()
BINARY = """add arctan2 bitwise_and bitwise_or bitwise_xor divide equal floor_divide greater greater_equal left_shift less
less_equal logaddexp logical_and logical_or logical_xor maximum minimum multiply not_equal power remainder right_shift
subtract""".split()
DTYPES = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
# Units of the last place; logaddexp may cancel
LIMITS = {"expm1": 2.5, "log1p": 2, "tanh": 2.5, "logaddexp": 20, "arctan2": 2.5}
ULPS = 1.1
# NumPy takes the first of two equal zeros here, elsewhere the second
OTHER_ZEROS = {("maximum", "float16"), ("minimum", "float16")}
FLOATS_ONLY = {"reciprocal"}  # NumPy's reciprocal of ints is an int, which is 0 for all but 1 and -1


def values(dtype: str) -> np.ndarray:
    """Zeros, infinities, NaN, numbers around 1, whole numbers, huge and tiny ones; an integer type's ends."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return np.array([False, True])
    if kind in "iu":
        info = np.iinfo(dtype)
        near = [n for n in (-3, -2, -1, 0, 1, 2, 3, 5, 7, 8, 31, 32, 33, 63, 64, 100) if n >= info.min]
        return np.array([info.min, info.min + 1, *near, info.max - 1, info.max], dtype)
    info = np.finfo(dtype)
    sizes = [0.0, 1.0, 2.0, 3.0, 0.5, 1.5, 2.5, 0.1, 7.0, 88.0, 1000.0, 2.0**24 + 1, 2.0**53 + 1, 1e10, float(info.max),
             float(info.tiny), float(info.tiny) * 3, float(info.eps), 1 + float(info.eps), np.inf, np.pi / 2]
    with np.errstate(over="ignore"):
        return np.array([*sizes, *(-s for s in sizes), np.nan]).astype(dtype)


def operands(name: str, dtype: str) -> list[np.ndarray]:
    x = values(dtype)
    if name in UNARY:
        return [x]
    a, b = (g.ravel() for g in np.meshgrid(x, x))
    if name == "power" and a.dtype.kind == "i":
        a, b = a[b >= 0], b[b >= 0]  # NumPy raises for the others
    return [a, b]


def functions() -> Iterator[tuple[str, str]]:
    """(name, dtype) of what NumPy and leptonc both take."""
    for name in (*UNARY, *BINARY):
        for dtype in DTYPES:
            try:
                with np.errstate(all="ignore"):
                    wanted = getattr(np, name)(*operands(name, dtype))
            except TypeError:
                continue
            if (name, dtype) in OTHER_ZEROS:
                continue
            if dtype[0] != "f" and str(wanted.dtype) in ("float16", "float32"):
                continue  # NumPy's functions of short ints give short floats; leptonc's f64, as of others
            if str(wanted.dtype) in DTYPES and not (name in FLOATS_ONLY and dtype[0] != "f"):
                yield name, dtype


def mismatches(name: str, dtype: str, run: Callable[..., Any], limit: float) -> list[str]:
    """What ``run`` gives otherwise than NumPy, one line each."""
    given = operands(name, dtype)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got, wanted = np.asarray(run(*given)), getattr(np, name)(*given)
        if got.dtype != wanted.dtype:
            return [f"{name} {dtype}: {got.dtype}, NumPy's is {wanted.dtype}"]
        bad = got != wanted
        if wanted.dtype.kind == "f":
            tiny = np.finfo(wanted.dtype).tiny
            off = np.abs(got.astype(np.longdouble) - wanted) / np.spacing(np.abs(wanted))
            zeros = (got == 0) & (wanted == 0) & (np.signbit(got) != np.signbit(wanted))
            flushed = (wanted != 0) & (np.abs(got - wanted) <= tiny)
            bad = (bad & ~(off <= limit) & ~(np.isnan(got) & np.isnan(wanted)) & ~flushed) | zeros
    return [f"{name} {dtype} of {', '.join(repr(x[i].item()) for x in given)}: {got[i]!r}, NumPy's is {wanted[i]!r}"
            for i in np.flatnonzero(bad)]


def both_modes(name: str, dtype: str) -> list[str]:
    function = getattr(lnp, name)
    runs = {"compiled": leptonc.jit(function), "eager": function}
    return [f"{mode}: {m}" for mode, run in runs.items() for m in mismatches(name, dtype, run, LIMITS.get(name, ULPS))]


def main() -> None:
    count, found = 0, []
    for name, dtype in functions():
        if name in (sys.argv[1:] or (*UNARY, *BINARY)):
            count += operands(name, dtype)[0].size
            lines = both_modes(name, dtype)
            found += lines
            for line in lines[:12]:
                print(line)
    print(f"{count} values, {len(found)} mismatches")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
