"""Largest error of the compiled vector maths, in units of the last place.

    python benchmarks/ulp.py                  # a million random bit patterns per function, f32 and f64
    python benchmarks/ulp.py --exhaustive     # all 2^32 f32 patterns (minutes per function)

f32 results are compared with NumPy's in f64, f64 results with NumPy's in extended precision (80 bits). Subnormal results are
left out: the step flushes them to zero.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import leptonc
from leptonc import lax, nn
from leptonc import numpy as lnp

FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "exp": (lnp.exp, np.exp), "expm1": (lnp.expm1, np.expm1), "log": (lnp.log, np.log), "log1p": (lnp.log1p, np.log1p),
    "log2": (lnp.log2, np.log2), "log10": (lnp.log10, np.log10), "power": (lnp.power, np.power),
    "tanh": (lnp.tanh, np.tanh), "sinh": (lnp.sinh, np.sinh), "cosh": (lnp.cosh, np.cosh),
    "sigmoid": (nn.sigmoid, lambda x: 1 / (1 + np.exp(-x))), "sin": (lnp.sin, np.sin), "cos": (lnp.cos, np.cos),
    "tan": (lnp.tan, np.tan), "sqrt": (lnp.sqrt, np.sqrt), "rsqrt": (lax.rsqrt, lambda x: 1 / np.sqrt(x)),
}
CHUNK = 1 << 22


def errors(name: str, *operands: np.ndarray) -> np.ndarray:
    """ULPs by which each compiled result is off; 0 where both are the same infinity or NaN, inf where one is not."""
    compiled, exact = FUNCTIONS[name]
    got = leptonc.jit(compiled)(*operands)
    with np.errstate(all="ignore"):
        wanted = exact(*(x.astype(np.float64 if x.dtype == np.float32 else np.longdouble) for x in operands))
        rounded = wanted.astype(got.dtype)
        off = np.abs(got.astype(wanted.dtype) - wanted) / np.spacing(np.abs(rounded)).astype(wanted.dtype)
    same = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
    tiny = np.abs(rounded) < np.finfo(got.dtype).tiny
    found = np.where(same | tiny, np.where(same, off, 0), off).astype(np.float64)
    return np.where(np.isfinite(rounded) & np.isfinite(got), found, np.where(same, 0.0, np.inf))


def patterns(dtype: Any, count: int, seed: int = 0) -> np.ndarray:
    """Random bit patterns of normal numbers (and zeros, infinities, NaN), and as many numbers of everyday size."""
    rng = np.random.default_rng(seed)
    size = np.dtype(dtype).itemsize
    wild = rng.integers(0, 256, count // 2 * size, dtype=np.uint8).view(dtype)
    usual = (rng.standard_normal(count // 2) * 10.0 ** rng.integers(-4, 3, count // 2)).astype(dtype)
    x = np.concatenate([wild, usual])
    return x[~(np.abs(x) < np.finfo(dtype).tiny) | (x == 0)]


def operands(name: str, dtype: Any, count: int, seed: int = 0) -> list[np.ndarray]:
    """Operands for a function of FUNCTIONS: patterns; for powers bases of all sizes and exponents up to where they overflow."""
    if name != "power":
        return [patterns(dtype, count, seed)]
    rng, limit = np.random.default_rng(seed), np.log(float(np.finfo(dtype).max))
    x = np.abs(patterns(dtype, count, seed))
    with np.errstate(all="ignore"):
        farthest = limit / np.maximum(np.abs(np.log(x.astype(np.float64))), 1e-2)
    y = np.where(rng.random(x.size) < 0.2, rng.integers(-9, 10, x.size) / 2, rng.uniform(-1, 1, x.size) * farthest)
    return [x, y.astype(dtype)]


def every_pattern() -> Iterator[np.ndarray]:
    """All f32 numbers, in chunks."""
    for start in range(0, 1 << 32, CHUNK):
        x = np.arange(start, start + CHUNK, dtype=np.uint64).astype(np.uint32).view(np.float32)
        yield x[~(np.abs(x) < np.finfo(np.float32).tiny) | (x == 0)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("functions", nargs="*", default=list(FUNCTIONS), help="of " + ", ".join(FUNCTIONS))
    parser.add_argument("--exhaustive", action="store_true")
    options = parser.parse_args()
    print(f"{'function':10} {'dtype':6} {'max ULP':>9}  at")
    for name in options.functions:
        for dtype in ("f4",) if options.exhaustive else ("f4", "f8"):
            worst, place = -1.0, ""
            one = options.exhaustive and name != "power"
            for given in ([x] for x in every_pattern()) if one else [operands(name, dtype, 1_000_000)]:
                off = errors(name, *given)
                if off.size and off.max() > worst:
                    worst, place = float(off.max()), ", ".join(repr(x[off.argmax()].item()) for x in given)
            print(f"{name:10} {dtype:6} {worst:9.3f}  {place}", flush=True)


if __name__ == "__main__":
    main()
