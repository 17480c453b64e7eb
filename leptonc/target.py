"""What the compiler knows of a machine, as data. A leaf module."""

from __future__ import annotations

import os
from dataclasses import dataclass

from leptonc.errors import LeptonError


@dataclass(frozen=True)
class Target:
    """A machine to compile for.

    ``vector_bytes`` is the width of a vector register; ``rows`` x ``vectors`` the register tile of a contraction
    (accumulators), chosen so that accumulators, the vectors of B and a broadcast fit the register file.
    Cache sizes are bytes per core. ``compress``: there is an instruction that moves the chosen lanes of a register together.
    """

    name: str
    cpu: str
    features: str
    triple: str
    vector_bytes: int
    rows: int
    vectors: int
    l1_bytes: int = 32 * 1024
    l2_bytes: int = 512 * 1024
    fma: bool = True
    compress: bool = False
    registers: int = 16

    def lanes(self, itemsize: int) -> int:
        """Elements of ``itemsize`` bytes in one vector register."""
        return max(1, self.vector_bytes // itemsize)


_ELF_X86 = "x86_64-unknown-linux-gnu"

SSE = Target("sse", "x86-64", "+sse4.2", _ELF_X86, 16, 4, 2, fma=False)
AVX2 = Target("avx2", "haswell", "+avx2,+fma", _ELF_X86, 32, 6, 2)
AVX512 = Target("avx512", "skylake-avx512", "+avx512f,+avx512bw,+avx512dq,+avx512vl,+fma,-prefer-256-bit", _ELF_X86,
                64, 14, 2, l2_bytes=1024 * 1024, compress=True, registers=32)

TARGETS = {t.name: t for t in (SSE, AVX2, AVX512)}


def host_target() -> Target:
    """The widest target this machine runs; LEPTONC_TARGET names another one, narrower, for a comparison.

    Raises LeptonError if it names none.
    """
    chosen = os.environ.get("LEPTONC_TARGET")
    if chosen is not None:
        if chosen not in TARGETS:
            raise LeptonError(f"LEPTONC_TARGET={chosen!r}, expected one of {', '.join(TARGETS)}")
        return TARGETS[chosen]
    flags = _cpu_flags()
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
        return AVX512
    return AVX2 if {"avx2", "fma"} <= flags else SSE


def _cpu_flags() -> frozenset[str]:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("flags"):
                    return frozenset(line.split(":", 1)[1].split())
    except OSError:  # not Linux: the baseline of x86-64-v3 machines is assumed by whoever asks for it
        pass
    return frozenset()
