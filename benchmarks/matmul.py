"""Matrix products in f32 against NumPy's BLAS, interleaved: ``python benchmarks/matmul.py [rounds]`` prints a Markdown table.

A figure is the median of a turn, and of the best round: in some turns the two threads of either system share a core.

Unset OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE first: they would slow NumPy down.
"""

from __future__ import annotations

import sys

import numpy as np
from turns import turn

import leptonc

SHAPES = ((256, 256, 256), (512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (32, 4096, 1024), (4096, 32, 1024),
          (64, 64, 8192), (128, 128, 4096))
SECONDS = 0.2  # of one turn


def measure(m: int, n: int, k: int, rounds: int) -> tuple[float, float]:
    """Seconds of [m, k] @ [k, n] in the best round: leptonc's and NumPy's."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    matmul = leptonc.jit(lambda a, b: a @ b)
    assert np.allclose(matmul(a, b), a @ b, atol=1e-5 * k)
    steps = max(3, int(SECONDS * 1e11 / (2 * m * n * k)))
    both = [(turn(lambda: matmul(a, b), steps), turn(lambda: a @ b, steps)) for _ in range(rounds)]
    return min(x for x, _ in both), min(y for _, y in both)


def main(rounds: int) -> None:
    print("| m x n x k | leptonc GFLOP/s | NumPy GFLOP/s | ratio |\n|---|---|---|---|")
    for m, n, k in SHAPES:
        ours, theirs = measure(m, n, k, rounds)
        rates = [2 * m * n * k / seconds / 1e9 for seconds in (ours, theirs)]
        print(f"| {m} x {n} x {k} | {rates[0]:.0f} | {rates[1]:.0f} | {theirs / ours:.2f} |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
