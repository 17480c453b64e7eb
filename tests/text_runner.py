"""Programs and graphs as machine code in a process of their own, between guard pages, compared with the interpreter.

Every array, the arena and the threads' scratch end at a page that nobody may touch. That a process dies is a verdict too.
"""

from __future__ import annotations

import ctypes
import mmap
import subprocess
import sys
from collections.abc import Sequence
from math import prod
from pathlib import Path
from types import TracebackType
from typing import ClassVar

import numpy as np

from leptonc import ir
from leptonc.errors import IRError, LeptonError
from leptonc.ir.control import Control, Loop
from leptonc.ir.evaluate import evaluate
from leptonc.ir.graph import Graph
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Buffer, Call, Kernel, Program
from leptonc.ir.types import TensorType
from leptonc.ir.verify import verify_memory, verify_program

MOST_POINTS = 200_000
MOST_ELEMENTS = 200_000
MOST_TRIPS = 100
END = "\x1e"  # after each program, on its way to the process


def as_program(found: Kernel | Program) -> Program | None:
    """A program with its memory planned; a kernel alone becomes one. None if that is none: what the kernel writes may be a part."""
    from leptonc.passes.memory.donate import Donate
    from leptonc.passes.memory.plan import PlanMemory

    program = _around(found) if isinstance(found, Kernel) else found
    try:
        verify_program(program)
    except IRError:
        return None
    try:
        verify_memory(program)
    except IRError:
        program = PlanMemory()(Donate()(program))
        verify_program(program, "plan-memory")
        verify_memory(program, "plan-memory")
    return program


def _around(kernel: Kernel) -> Program:
    buffers = tuple(Buffer(p.type, "input" if p.role == "in" else "output") for p in kernel.params)
    numbers = {kind: tuple(n for n, b in enumerate(buffers) if b.kind == kind) for kind in ("input", "output")}
    return Program("alone", buffers, (Call(kernel, tuple(range(len(buffers)))),), numbers["input"], numbers["output"])


def is_small(program: Program | Graph) -> bool:
    """Whether it is run in no time, by the interpreter too: loops that a condition ends may never."""
    if isinstance(program, Graph):
        regions = [region for node in program.nodes for region in node.regions]
        trips = [node.attributes.get("length", 0) for node in program.nodes if node.regions]
        if any(node.op.endswith("while") or node.op == "while_loop" for node in program.nodes) or not all(map(is_small, regions)):
            return False
        return max(trips, default=0) <= MOST_TRIPS and sum(t.size for t in program.types.values()) <= MOST_ELEMENTS // 10
    controls = [c.kernel for c in program.calls if isinstance(c.kernel, Control)]
    trips = [MOST_TRIPS + 1 if c.trips is None else c.trips for c in controls if isinstance(c, Loop)]
    if max(trips, default=0) > MOST_TRIPS or not all(is_small(body) for c in controls for body in c.bodies):
        return False
    sizes = [p.type.size for c in program.calls for p in (*c.kernel.params, *c.kernel.locals)]
    points = [prod(a.extent for a in (*c.kernel.outer, *s.axes)) for c in program.calls for s in c.kernel.stages]
    outer = [prod(a.extent for a in c.kernel.outer) for c in program.calls]
    return (sum(points) <= MOST_POINTS and sum(sizes) <= MOST_ELEMENTS and sum(outer) <= 2_000
            and program.arena_bytes <= 1 << 24)


class Runner:
    """The process; a new one whenever it dies."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def _stop(self) -> int:
        if self.process is None:
            return 0
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it has died with a program unread
        self.process.stdout.close()
        code, self.process = self.process.wait(), None
        return code

    def run(self, text: str) -> str:
        """"same"; "refused: why"; "differs: ..."; "died: code"."""
        if self.process is None:
            self.process = subprocess.Popen([sys.executable, "-m", "tests.text_runner"], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(text + END + "\n")
            self.process.stdin.flush()
            verdict = self.process.stdout.readline().strip()
        except BrokenPipeError:
            verdict = ""
        return verdict or f"died: {self._stop()}"


# In the process


class Guarded:
    """Bytes that end at a page which nobody may touch. They are kept for good: there are few of them."""

    kept: ClassVar[list[mmap.mmap]] = []

    @classmethod
    def bytes(cls, nbytes: int, align: int = 64) -> np.ndarray:
        page = mmap.PAGESIZE
        inside = -(-max(nbytes, 1) // page) * page
        region = mmap.mmap(-1, inside + 2 * page)
        start = np.frombuffer(region, np.uint8).__array_interface__["data"][0]
        for guard in (start, start + inside + page):
            assert ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(guard), page, 0) == 0
        cls.kept.append(region)
        at = page + inside - -(-nbytes // align) * align
        return np.frombuffer(region, np.uint8)[at:at + nbytes]

    @classmethod
    def array(cls, values: np.ndarray) -> np.ndarray:
        out = cls.bytes(values.nbytes, values.dtype.itemsize).view(values.dtype).reshape(values.shape)
        out[...] = values
        return out


def guard_everything() -> None:
    """What the runtime allocates ends at a guard page as well. Before the runtime is imported."""
    import leptonc.memory
    import leptonc.runtime.system

    leptonc.memory.uninitialized_bytes = Guarded.bytes
    leptonc.runtime.system.aligned_bytes = lambda nbytes: Guarded.bytes(nbytes)  # type: ignore[assignment]


def inputs(types: Sequence[TensorType], rng: np.random.Generator) -> list[np.ndarray]:
    """Small whole numbers, some of them out of range of everything, so that sums are exact in any order."""
    out = []
    for type_ in types:
        values = rng.integers(0 if type_.dtype.kind in "ub" else -4, 2 if type_.dtype.is_bool else 8, type_.shape)
        if type_.dtype.name in ("i32", "i64"):
            strange = rng.choice(np.array([-(1 << 31), (1 << 31) - 1, 1000, -1000]), type_.shape)
            values = np.where(rng.random(type_.shape) < 0.2, strange, values)
        out.append(values.astype(type_.dtype.numpy))
    return out


def verdict_of(text: str) -> str:
    from leptonc.driver import compile_program, lower, optimize

    found = ir.parse(text)
    assert isinstance(found, Program | Graph)
    try:
        compiled = compile_program(lower(optimize(found)) if isinstance(found, Graph) else found)
    except LeptonError as error:
        return f"refused: {error}".splitlines()[0]
    types = found.input_types if isinstance(found, Graph) else [found.buffers[n].type for n in found.inputs]
    arrays = inputs(types, np.random.default_rng(len(text)))
    run = evaluate if isinstance(found, Graph) else run_program
    try:
        with np.errstate(all="ignore"):
            wanted = run(found, [a.copy() for a in arrays])  # type: ignore[arg-type]
    except ValueError as error:
        return f"refused: NumPy has no value for these inputs: {error}"
    got = compiled([Guarded.array(a) for a in arrays])
    for n, (a, b) in enumerate(zip(got, wanted)):
        close = np.allclose(a, b, rtol=1e-3, atol=1e-3, equal_nan=True) if a.dtype.kind == "f" else np.array_equal(a, b)
        if not close:
            return f"differs: output {n}: {a.ravel()[:6]} instead of {b.ravel()[:6]}".replace("\n", " ")
    Guarded.kept.clear()
    return "same"


def serve() -> None:
    """A verdict, in a line, for every program."""
    guard_everything()
    text = ""
    for line in sys.stdin:
        text += line
        if END in line:
            try:
                verdict = verdict_of(text.split(END)[0])
            except Exception as error:
                verdict = f"raised: {type(error).__name__} {error}".replace("\n", " ")
            print(verdict, flush=True)
            text = ""


if __name__ == "__main__":
    serve()
