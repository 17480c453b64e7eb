"""The cases of the registry-wide sweep, and how near two results must be."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import leptonc.ops
from leptonc.bfloat16 import is_bfloat16
from leptonc.ir.builder import Builder
from leptonc.ir.graph import Graph
from leptonc.ir.op import Op, Sample, all_ops
from leptonc.ir.types import type_of_array

assert leptonc.ops  # importing it registers the ops


@dataclass(frozen=True)
class Case:
    op: Op
    sample: Sample
    dtype: str  # of float operands

    def arrays(self, rng: np.random.Generator) -> list[np.ndarray]:
        return [_as(self.dtype, np.asarray(a)) for a in self.sample.make(rng)]

    def types(self, arrays: Sequence[np.ndarray]) -> list[Any]:
        return [type_of_array(a) for a in arrays]

    def graph(self, arrays: Sequence[np.ndarray]) -> Graph:
        builder = Builder(self.op.name)
        values = [builder.input(t) for t in self.types(arrays)]
        if not values:
            return builder.finish([builder.emit(self.op, (), self.sample.attrs)])
        out = self.op(*values, **self.sample.attrs)
        return builder.finish(out if isinstance(out, tuple) else (out,))

    def __str__(self) -> str:
        return f"{self.op.name}-{self.sample.name}-{self.dtype}"

    @property
    def seed(self) -> int:
        """One per case, and the same in every run: a sweep of thousands must not fail once a week."""
        return zlib.crc32(str(self).encode())


def joined(graphs: Sequence[Graph]) -> Graph:
    """Graphs side by side in one, which takes the inputs of all of them and gives all their outputs."""
    builder = Builder("joined")
    own = [[builder.input(t) for t in graph.input_types] for graph in graphs]
    return builder.finish([value for graph, values in zip(graphs, own) for value in builder.inline(graph, values)])


def _as(dtype: str, array: np.ndarray) -> np.ndarray:
    """Floats in a dtype, complex numbers in that of which it is a part."""
    return array.astype({"f": np.dtype(dtype), "c": np.result_type(dtype, np.complex64)}.get(array.dtype.kind, array.dtype))


def cases(differentiable: bool = False) -> list[Case]:
    found = []
    for op in all_ops().values():
        for sample in op.samples():
            if differentiable and sample.differentiable:
                found.append(Case(op, sample, "float64"))
            elif not differentiable:
                floats = any(np.asarray(a).dtype.kind in "fc" for a in sample.make(np.random.default_rng(0)))
                found += [Case(op, sample, d) for d in (("float32", "float64") if floats else ("float64",))]
    return found


def tolerance(x: np.ndarray) -> float:
    return 2e-5 if x.dtype in (np.float32, np.complex64) else 1e-11


# Which of 0.0 and -0.0 is the greatest depends on the order of a reduction, in NumPy too, where it is the machine's vectors'
EITHER_ZERO = frozenset({"reduce_max", "reduce_min", "max_pool"})

# Sums in an order of their own, some of products with 0 or -1
FREE_SIGNS = frozenset({"dft", "rfft"})

# A matrix of zeros and ones is often singular, or has an eigenvalue twice, and then its factors are not the only ones
NOT_UNIQUE = frozenset({"qr", "eigh", "svd", "hessenberg", "schur", "eigh_tridiagonal"})


def signed_zeros(shape: tuple[int, ...], rng: np.random.Generator, both: bool) -> np.ndarray:
    """-0.0, or zeros of both signs beside some numbers."""
    if not both:
        return np.full(shape, -0.0)
    return rng.choice(np.array([0.0, -0.0, -0.0, 1.0, -1.0]), shape)


def assert_close(got: Any, wanted: Any, what: str = "", signs: bool = False) -> None:
    """Equal shapes, dtypes, integers, NaNs and infinities; floats within some rounding errors of the largest; with ``signs``,
    zeros of the same sign where both are zeros."""
    got, wanted = np.asarray(got), np.asarray(wanted)
    assert got.shape == wanted.shape, (what, got.shape, wanted.shape)
    assert got.dtype == wanted.dtype, (what, got.dtype, wanted.dtype)
    if is_bfloat16(wanted.dtype):  # of which NumPy does not see that NaN and NaN are equal here
        got, wanted = got.astype(np.float32), wanted.astype(np.float32)
        np.testing.assert_array_equal(got, wanted, err_msg=what)
        return
    if wanted.dtype.kind == "c":
        for part in ("real", "imag"):
            assert_close(getattr(got, part), getattr(wanted, part), f"{part} {what}", signs)
        return
    if wanted.dtype.kind != "f":
        np.testing.assert_array_equal(got, wanted, err_msg=what)
        return
    finite = wanted[np.isfinite(wanted)]
    floor = tolerance(wanted) * (min(np.abs(finite).max(), 1e3) if finite.size else 1)
    np.testing.assert_allclose(got, wanted, rtol=tolerance(wanted), atol=floor, err_msg=what)
    if signs:
        zeros = (got == 0) & (wanted == 0)
        np.testing.assert_array_equal(np.signbit(got[zeros]), np.signbit(wanted[zeros]), err_msg=f"signs of zeros {what}")
