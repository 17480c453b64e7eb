"""What is known of a compiled step: its times, its memory, its kernels and the layers they came from, as text, dict or trace."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from leptonc.driver import MemoryAnalysis
from leptonc.frames import Loc
from leptonc.profile.kernels import KernelTime

WIDEST = 36  # characters of a column of names
UNITS = ((1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "kB"))


@dataclass(frozen=True)
class LayerTime:
    """The kernels whose main part is one layer. ``limit_seconds``: what the machine would need for them; ``parts``: seconds of each
    part of a step; ``line``: where the user made it."""

    layer: str
    line: str
    kernels: int
    seconds: float
    limit_seconds: float
    parts: dict[str, float]


@dataclass(frozen=True, repr=False)
class Profile:
    """Where the time of a compiled step goes. Prints as tables.

    ``compile_seconds``: of tracing, the passes, and machine code, the cache left out. ``step_seconds``: the median of calls.
    ``kernels`` are timed each on its own, on as many ``threads`` as the last call had; their sum may be more. ``machine``: what
    it is, with ``fma_gflops`` and ``copy_gbs``, the f32 operations (a multiply-add is two) and the bytes of all threads together.
    """

    name: str
    machine: dict[str, Any]
    compile_seconds: dict[str, float]
    step_seconds: float
    threads: int
    memory: MemoryAnalysis
    kernels: tuple[KernelTime, ...]

    @property
    def kernel_seconds(self) -> float:
        return sum(kernel.seconds for kernel in self.kernels)

    def limit_seconds(self, kernel: KernelTime) -> float:
        """What the machine's limits allow: multiply-adds or memory traffic, whichever takes longer.

        Data that lies in a cache is moved faster than that, and a routed sum counts the products of the dense one: a kernel may
        take less.
        """
        return max(kernel.flops / self.machine["fma_gflops"], kernel.bytes / self.machine["copy_gbs"]) / 1e9

    def layers(self) -> list[LayerTime]:
        """The slowest first; "" is what belongs to none. A kernel of several counts for its main one."""
        groups: dict[str, list[KernelTime]] = {}
        for kernel in self.kernels:
            groups.setdefault(kernel.layer, []).append(kernel)
        return sorted((self._layer(name, kernels) for name, kernels in groups.items()), key=lambda layer: -layer.seconds)

    def _layer(self, name: str, kernels: Sequence[KernelTime]) -> LayerTime:
        parts: dict[str, float] = {}
        for kernel in kernels:
            parts[kernel.part] = parts.get(kernel.part, 0.0) + kernel.seconds
        lines = {kernel.line for kernel in kernels if kernel.line} if name else set()
        return LayerTime(name, lines.pop() if len(lines) == 1 else "", len(kernels), sum(kernel.seconds for kernel in kernels),
                         sum(self.limit_seconds(kernel) for kernel in kernels), parts)

    def as_dict(self) -> dict[str, Any]:
        """Numbers, texts, lists and dicts, as JSON has them; times in seconds."""
        memory = {name: getattr(self.memory, f"{name}_bytes")
                  for name in ("argument", "output", "donated", "constant", "arena", "total")}
        return {
            "name": self.name, "machine": self.machine, "compile_seconds": self.compile_seconds, "step_seconds": self.step_seconds,
            "threads": self.threads,
            "memory_bytes": memory,
            "layers": [{"layer": layer.layer, "line": layer.line, "kernels": layer.kernels, "seconds": layer.seconds,
                        "share": _ratio(layer.seconds, self.kernel_seconds),
                        "share_of_limit": _ratio(layer.limit_seconds, layer.seconds),
                        "parts": layer.parts} for layer in self.layers()],
            "kernels": [{"kernel": kernel.function, "layers": list(kernel.layers), "part": kernel.part, **_place(kernel.loc),
                         "seconds": kernel.seconds, "share": _ratio(kernel.seconds, self.kernel_seconds), "flops": kernel.flops,
                         "bytes": kernel.bytes, "share_of_limit": _ratio(self.limit_seconds(kernel), kernel.seconds),
                         "schedule": kernel.schedule} for kernel in self.kernels],
        }

    def text(self, schedule: bool = False) -> str:
        """Totals, then layers if any are known, then kernels, the slowest first; ``schedule``: with how each runs."""
        named = any(kernel.layers for kernel in self.kernels)
        tables = [self._head(), *([self._layer_table()] if named else []), self._kernel_table(named, schedule)]
        return "\n\n".join(tables)

    def __repr__(self) -> str:
        return self.text()

    def _head(self) -> str:
        machine, memory, compiling = self.machine, self.memory, self.compile_seconds
        stages = ", ".join(f"{name} {seconds * 1e3:.0f}" for name, seconds in compiling.items())
        kept = {"arena": memory.arena_bytes, "arguments": memory.argument_bytes, "constants": memory.constant_bytes,
                "results": memory.output_bytes - memory.donated_bytes}
        each = f"{self.kernel_seconds * 1e3:.3f} ms"
        return "\n".join([
            f"{self.name}: {self.threads} of {machine['threads']} threads, {machine['cpu']}; "
            f"limits of this run: {machine['fma_gflops']} GFLOP/s, {machine['copy_gbs']} GB/s",
            f"compile  {sum(compiling.values()) * 1e3:.0f} ms ({stages})",
            f"step     {self.step_seconds * 1e3:.3f} ms ({len(self.kernels)} kernels; one by one {each})",
            f"memory   {_size(memory.total_bytes)} ({', '.join(f'{name} {_size(count)}' for name, count in kept.items())})"])

    def _layer_table(self) -> str:
        layers = self.layers()
        parts = sorted({part for layer in layers for part in layer.parts if part}, key=_order)
        head = ["ms", "%", "of limit", *parts, "kernels", "<layer", "<line"]
        rows = [[_ms(layer.seconds), _percent(layer.seconds, self.kernel_seconds), _share(layer.limit_seconds, layer.seconds),
                 *(_ms(layer.parts.get(part, 0.0)) for part in parts), str(layer.kernels), layer.layer or "-", layer.line]
                for layer in layers]
        return _aligned(head, rows)

    def _kernel_table(self, named: bool, schedule: bool) -> str:
        parts = any(kernel.part for kernel in self.kernels)
        head = ["ms", "%", "of limit", "GFLOP/s", "GB/s", *(["<layers"] if named else []), *(["<part"] if parts else []), "<line",
                "<kernel", *(["<schedule"] if schedule else [])]
        rows = []
        for kernel in sorted(self.kernels, key=lambda kernel: -kernel.seconds):
            rates = [f"{count / kernel.seconds / 1e9:.1f}" if count else "" for count in (kernel.flops, kernel.bytes)]
            rows.append([_ms(kernel.seconds), _percent(kernel.seconds, self.kernel_seconds),
                         _share(self.limit_seconds(kernel), kernel.seconds), *rates,
                         *([", ".join(kernel.layers) or "-"] if named else []), *([kernel.part] if parts else []), kernel.line,
                         kernel.function, *([kernel.schedule] if schedule else [])])
        return _aligned(head, rows)

    def trace_text(self) -> str:
        """The kernels one after the other as a Chrome trace: open it with chrome://tracing or Perfetto."""
        events, now = [], 0.0
        for kernel in self.kernels:
            events.append({"name": kernel.function, "ph": "X", "pid": 0, "tid": 0, "ts": now * 1e6, "dur": kernel.seconds * 1e6,
                           "args": {"line": kernel.line, "layers": ", ".join(kernel.layers), "schedule": kernel.schedule,
                                    "flops": kernel.flops, "bytes": kernel.bytes}})
            now += kernel.seconds
        return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"})


def _order(part: str) -> int:
    """The parts of a step in the order they run."""
    known = ("forward", "backward", "update")
    return known.index(part) if part in known else len(known)


def _place(loc: Loc | None) -> dict[str, Any]:
    return {"file": loc.file if loc else None, "line": loc.line if loc else None}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:.3f}" if seconds else ""


def _percent(part: float, whole: float) -> str:
    return f"{100 * _ratio(part, whole):.1f}"


def _share(limit: float, seconds: float) -> str:
    return f"{_ratio(limit, seconds):.2f}" if limit else ""


def _size(count: int) -> str:
    return next((f"{count / unit:.1f} {name}" for unit, name in UNITS if count >= unit), f"{count} B")


def _aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table: columns to the right, and those whose head begins with "<" to the left and cut."""
    left = [name.startswith("<") for name in head]
    cells = [[name.lstrip("<") for name in head], *([cell if name == "<schedule" else _cut(cell) for name, cell in zip(head, row)]
                                                    for row in rows)]
    widths = [max(len(row[n]) for row in cells) for n in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) if to_left else cell.rjust(width)
                               for cell, width, to_left in zip(row, widths, left)).rstrip() for row in cells)


def _cut(name: str) -> str:
    return name if len(name) <= WIDEST else f"{name[:WIDEST - 1]}…"
