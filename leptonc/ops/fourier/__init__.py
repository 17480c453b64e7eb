"""Discrete Fourier transforms: what users' transforms expand to, and the passes that kernels are made of."""

from leptonc.ops.fourier import butterflies, dft, tables, transforms

__all__ = ["butterflies", "dft", "tables", "transforms"]
