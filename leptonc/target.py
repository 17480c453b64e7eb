"""What the compiler knows of a machine, as data. A leaf module."""

from __future__ import annotations

import errno
import functools
import os
from dataclasses import dataclass, replace
from pathlib import Path

from leptonc.errors import CompileError, LeptonError


@dataclass(frozen=True)
class Packing:
    """How many register tiles must read a panel before it pays to copy an operand of a contraction into it. Measured: a line of a
    cache is one register of AVX-512, and two of AVX2, which takes twice as long to multiply as much.

    ``near``: columns of B that stay in L2 as they are; ``colliding``: columns that would, but for falling into few of its sets;
    ``parts``: rows of A of whose lines a tile takes at most half.
    """

    near: int = 20
    colliding: int = 8
    parts: int = 8


@dataclass(frozen=True)
class Target:
    """A machine to compile for.

    ``vector_bytes`` is the width of a vector register; ``rows`` x ``vectors`` the register tile of a contraction
    (accumulators), chosen so that accumulators, the vectors of B and a broadcast fit the register file.
    Cache sizes are bytes per core. ``compress``: there is an instruction that moves the chosen lanes of a register together.
    ``halves``: instructions convert f16; ``bf16``: they convert to bf16, and add up products of pairs of them; ``vnni``: of pairs
    of i16, in i32.
    ``permute``: one that picks, for each of 16 lanes of 32 bits, any lane of two registers.
    ``registers``: of vectors, of which ``wide_accumulators`` at most hold sums in a tile wider than ``vectors``. ``load_cost``: of
    a load, in multiply-adds, as register tiles are compared; measured.
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
    halves: bool = True
    bf16: bool = False
    vnni: bool = False
    compress: bool = False
    permute: bool = False
    registers: int = 16
    wide_accumulators: int = 12
    load_cost: float = 0.25
    packing: Packing = Packing()

    def lanes(self, itemsize: int) -> int:
        """Elements of ``itemsize`` bytes in one vector register."""
        return max(1, self.vector_bytes // itemsize)


_ELF_X86 = "x86_64-unknown-linux-gnu"

SSE = Target("sse", "x86-64", "+sse4.2", _ELF_X86, 16, 4, 2, fma=False, halves=False, wide_accumulators=6)
AVX2 = Target("avx2", "haswell", "+avx2,+fma", _ELF_X86, 32, 6, 2)
AVX512 = Target("avx512", "skylake-avx512", "+avx512f,+avx512bw,+avx512dq,+avx512vl,+fma,-prefer-256-bit", _ELF_X86,
                64, 14, 2, l2_bytes=1024 * 1024, compress=True, permute=True, registers=32,
                wide_accumulators=26, load_cost=0.001, packing=Packing(48, 48, 48))
AVX512_BF16 = replace(AVX512, name="avx512_bf16", features=AVX512.features + ",+avx512bf16,+avx512vnni", bf16=True, vnni=True)

PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR)  # a file may be opened again when there is room

# Virtual machines report anything; and a larger cache than these is shared with someone
L1_RANGE, L2_RANGE = (16 << 10, 128 << 10), (256 << 10, 4 << 20)

TARGETS = {t.name: t for t in (SSE, AVX2, AVX512, AVX512_BF16)}


def host_target() -> Target:
    """The widest target this machine runs, with its caches' sizes; LEPTONC_TARGET names another one, narrower, for a
    comparison, whose caches are as the table has them.

    Raises LeptonError if it names none.
    """
    chosen = os.environ.get("LEPTONC_TARGET")
    if chosen is not None:
        if chosen not in TARGETS:
            raise LeptonError(f"LEPTONC_TARGET={chosen!r}, expected one of {', '.join(TARGETS)}")
        return TARGETS[chosen]
    return _measured()


@functools.cache
def _measured() -> Target:
    """What the operating system says of this machine. Raises CompileError if it says nothing now and may later: what is found once
    holds for the whole process."""
    try:
        flags, sizes = _cpu_flags(), _cache_sizes()
    except OSError as error:
        raise CompileError(f"nothing is known of this machine's CPU: {error}") from None
    wide = {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags
    pairs = wide and {"avx512_bf16", "avx512_vnni"} <= flags
    target = AVX512_BF16 if pairs else AVX512 if wide else AVX2 if {"avx2", "fma"} <= flags else SSE
    l1, l2 = sizes.get(1, target.l1_bytes), sizes.get(2, target.l2_bytes)
    return replace(target, l1_bytes=min(max(l1, L1_RANGE[0]), L1_RANGE[1]), l2_bytes=min(max(l2, L2_RANGE[0]), L2_RANGE[1]))


def _cache_sizes() -> dict[int, int]:
    """Bytes of the data caches that a core has for itself, by level; empty where Linux does not tell."""
    found = {}
    for directory in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level, kind, size = ((directory / name).read_text().strip() for name in ("level", "type", "size"))
        except OSError as error:
            if error.errno in PASSING:
                raise
            continue
        if kind in ("Data", "Unified") and size.endswith("K") and size[:-1].isdigit():
            found[int(level)] = int(size[:-1]) << 10
    return found


def _cpu_flags() -> frozenset[str]:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("flags"):
                    return frozenset(line.split(":", 1)[1].split())
    except OSError as error:  # not Linux: the baseline of x86-64-v3 machines is assumed by whoever asks for it
        if error.errno in PASSING:
            raise
    return frozenset()
