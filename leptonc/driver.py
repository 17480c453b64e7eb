"""The way from a traced graph to machine code, as lists that read as a table of contents.

The only module that sees passes, code generation and the runtime.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from leptonc import cache, config
from leptonc.collecting import seldom_collected
from leptonc.errors import CompileError, LoadingError
from leptonc.exclusive import compiling
from leptonc.ir.digest import digest
from leptonc.ir.fingerprint import fingerprint
from leptonc.ir.graph import Graph, with_regions
from leptonc.ir.kernel import Program
from leptonc.ir.verify import verify_memory, verify_program
from leptonc.lazy import cached_property
from leptonc.passes.conv.staged_winograd import SpreadWinograd
from leptonc.passes.conv.weightgrad import WinogradWeightGrad
from leptonc.passes.conv.winograd import Winograd
from leptonc.passes.graph.autodiff import differentiate, forward, linear_forward, linear_reverse, transposed
from leptonc.passes.graph.batch import batch
from leptonc.passes.graph.canonicalize import Canonicalize
from leptonc.passes.graph.cost import cost_analysis
from leptonc.passes.graph.cse import Cse
from leptonc.passes.graph.dce import Dce
from leptonc.passes.graph.expand import Expand
from leptonc.passes.graph.fold import Fold
from leptonc.passes.graph.frozen import split_graph
from leptonc.passes.graph.inline import InlineCalls
from leptonc.passes.graph.loops import HoistFromLoops
from leptonc.passes.graph.parts import SplitComplex
from leptonc.passes.graph.route import RouteGradients
from leptonc.passes.graph.sink_relu import SinkRelu
from leptonc.passes.graph.sums import FactorSums
from leptonc.passes.graph.widen import Widen
from leptonc.passes.loops.casts import TakeCasts
from leptonc.passes.loops.derived import DropDerived
from leptonc.passes.loops.frozen import split_frozen
from leptonc.passes.loops.fuse import Fuse
from leptonc.passes.loops.halo import Halo
from leptonc.passes.loops.lower import lower_graph
from leptonc.passes.loops.moments import JoinMoments
from leptonc.passes.loops.phases import SplitPhases
from leptonc.passes.loops.rows import JoinRows
from leptonc.passes.loops.scatters import SplitScatters
from leptonc.passes.loops.single import SinglePositions
from leptonc.passes.loops.split import SplitReductions
from leptonc.passes.loops.taps import WriteOutTaps
from leptonc.passes.loops.unpool import UnpoolInTiles
from leptonc.passes.loops.window import TileWindows
from leptonc.passes.manager import Pass, PassManager, verify_stage
from leptonc.passes.memory.donate import Donate
from leptonc.passes.memory.order import OrderKernels
from leptonc.passes.memory.plan import PlanMemory, memory_report
from leptonc.runtime.code import Code, Slot, from_bytes, to_bytes
from leptonc.runtime.elf import LoadedObject
from leptonc.runtime.executable import Executable
from leptonc.runtime.pool import SUPPORT_FUNCTIONS, install
from leptonc.target import Target, host_target

if TYPE_CHECKING:
    from leptonc.codegen.step.module import Module
    from leptonc.validation.validator import Validator

GRAPH_PASSES: tuple[Pass, ...] = (
    InlineCalls(),
    SplitComplex(),
    Canonicalize(drop_stop_gradient=True),
    Cse(),
    Dce(),
    HoistFromLoops(),
    SinkRelu(),
    RouteGradients(),
    Widen(),
    Expand(),
    Canonicalize(drop_stop_gradient=True),
    Fold(),
    Cse(),
    FactorSums(),
    Cse(),
    Dce(),
)
PLACING: tuple[Pass, ...] = (Donate(), PlanMemory())
PROGRAM_PASSES: tuple[Pass, ...] = (
    TakeCasts(),
    SinglePositions(),
    SplitReductions(),
    SplitScatters(),
    Halo(gaps=False),
    Fuse(),
    DropDerived(),
    SplitPhases(),
    Halo(),
    TileWindows(),
    SpreadWinograd(),
    Winograd(),
    UnpoolInTiles(),
    JoinRows(),
    JoinMoments(),
    OrderKernels(),
    WinogradWeightGrad(),
    WriteOutTaps(),
    *PLACING,
)

verify_stage.register(Program)(lambda ir, after="", before=None: verify_program(ir, after))


@dataclass(frozen=True)
class Options:
    """What to leave out and what to watch; the fields are those of the pass manager. ``validator``: checks every step."""

    disable: frozenset[str] = frozenset()
    stop_after: str | None = None
    bisect_limit: int | None = None
    observe: Callable[[Any, Any, Any, float], object] | None = None
    validator: Validator | None = None


def _validator(options: Options = Options()) -> Validator | None:
    """The one asked for, else one if the environment asks for it."""
    if options.validator is None and config.validating():
        from leptonc.validation.validator import Validator

        return Validator()
    return options.validator


def _observer(options: Options) -> Callable[[Any, Any, Any, float], object] | None:
    watchers = [w for w in (options.observe, getattr(_validator(options), "after_pass", None)) if w is not None]

    def observe(step: Any, before: Any, after: Any, seconds: float) -> None:
        for watch in watchers:
            watch(step, before, after, seconds)

    return observe if len(watchers) > 1 else next(iter(watchers), None)


def pipeline_names() -> list[str]:
    """The names of all passes in the order they run; a name may stand more than once."""
    return [p.name for p in (*GRAPH_PASSES, *PROGRAM_PASSES)]


def _manager(passes: Sequence[Any], options: Options, skipped: int = 0) -> PassManager:
    """``disable`` and ``stop_after`` as far as they name some of ``passes``; ``skipped`` ran before them."""
    names = {p.name for p in passes}
    limit = None if options.bisect_limit is None else max(options.bisect_limit - skipped, 0)
    stop = options.stop_after if options.stop_after in names else None
    return PassManager(tuple(passes), disable=options.disable & names, stop_after=stop, bisect_limit=limit,
                       observe=_observer(options))


def check_names(names: Sequence[str], disabled: Sequence[str] = ()) -> None:
    """Raises LeptonError if one of them is no pass, or if one of those disabled always runs."""
    passes = (*GRAPH_PASSES, *PROGRAM_PASSES)
    PassManager(passes, disable=frozenset(disabled))
    for name in names:
        PassManager(passes, stop_after=name)


@seldom_collected
def optimize(graph: Graph, options: Options = Options()) -> Graph:
    """The graph simplified, in ops that lower; so are its regions, then."""
    optimized: Graph = _manager(GRAPH_PASSES, options)(graph)
    return with_regions(optimized, lambda region: optimize(region, options))


def inlined(graph: Graph) -> Graph:
    """The graph with what it calls in the place of calls of checkpoints and of functions with derivatives of their own."""
    return InlineCalls()(graph)


@seldom_collected
def portable(graph: Graph, keep: frozenset[str]) -> Graph:
    """The graph simplified for inference by others, in ops on reals that are defined by no other ops, but for those in ``keep``."""
    passes = (InlineCalls(), SplitComplex(), Canonicalize(drop_stop_gradient=True), Cse(), Dce(), HoistFromLoops(), Widen(),
              Expand(keep), Canonicalize(drop_stop_gradient=True), Fold(), Cse(), Dce())
    simplified: Graph = _manager(passes, Options())(graph)
    return with_regions(simplified, lambda region: portable(region, keep))


@seldom_collected
def lower(graph: Graph, donated: dict[int, int] | None = None, options: Options = Options()) -> Program:
    """The kernels of an optimized graph, fused and with their memory planned.

    ``donated`` maps an output's position to that of the input whose memory it takes.
    """
    # A pass that was switched off may have left calls, complex numbers, ops that are defined by others, or on floats of 16 bits.
    program = _lowered(Expand()(Widen()(SplitComplex()(InlineCalls()(graph)))), donated or {}, options=options)
    skipped = len(_manager(GRAPH_PASSES, options).selected)
    done: Program = _manager(PROGRAM_PASSES, options, skipped)(program)
    return done


def _lowered(graph: Graph, donated: dict[int, int], frozen: int = 0, options: Options = Options()) -> Program:
    """A kernel for each op, verified."""
    program = lower_graph(graph, donated, frozen, lambda region, carried: lower(region, carried, options))
    verify_program(program, "lower-graph")
    validator = _validator(options)
    if validator is not None:
        validator.after_lowering(lambda part: lower_graph(part, {}), graph, program)
    return program


@seldom_collected
def lower_frozen(graph: Graph, frozen: int) -> tuple[Program, Program]:
    """The kernels of an optimized graph whose first inputs are the same at every call: those to run once, and those to run at every
    call; see ``passes/loops/frozen.py``."""
    whole = _manager(PROGRAM_PASSES[:-len(PLACING)], Options())(_lowered(graph, {}, frozen))
    prepare, step = (_manager(PLACING, Options())(part) for part in split_frozen(whole))
    return prepare, step


def dump_after(graph: Graph, donated: dict[int, int], pass_name: str, options: Options = Options()) -> str:
    """The IR's text as pass ``pass_name`` leaves it, the last time it runs. Raises LeptonError for an unknown pass."""
    check_names([pass_name])
    stopping = Options(options.disable, pass_name, options.bisect_limit, options.observe)
    optimized = optimize(graph, stopping)
    if pass_name in {p.name for p in GRAPH_PASSES}:
        return str(optimized)
    return str(lower(optimized, donated, stopping))


@dataclass(frozen=True)
class MemoryAnalysis:
    """Bytes of a call. ``temporaries`` are (name, type, first kernel, last kernel), the largest first."""

    argument_bytes: int
    output_bytes: int
    donated_bytes: int
    constant_bytes: int
    arena_bytes: int
    temporaries: tuple[tuple[str, str, int, int], ...] = field(repr=False)

    @property
    def total_bytes(self) -> int:
        """Everything that is in memory during a call; what is donated counts once."""
        return self.argument_bytes + self.output_bytes - self.donated_bytes + self.constant_bytes + self.arena_bytes


class Compiled:
    """Machine code of a Program, callable on a list of arrays.

    ``program`` may be a function that makes it: code from the cache needs none unless someone asks for the text.
    """

    def __init__(self, program: Program | Callable[[], Program], target: Target, code: Code | None = None):
        self.target = target
        self._program = program
        self._code = code

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        return self.executable(arrays)

    @cached_property
    def program(self) -> Program:
        return self._program if isinstance(self._program, Program) else self._program()

    @cached_property
    def module(self) -> Module:
        verify_memory(self.program)  # a program may come from its text, or from fewer passes than all
        return _codegen().emit_program(self.program, self.target)

    @cached_property
    def code(self) -> Code:
        """The object with its interface; compiled now if it did not come from the cache."""
        if self._code is not None:
            return self._code
        return self._code_of(self.module, _codegen().compile_object(self.module.text, self.target))

    def _code_of(self, module: Module, data: bytes) -> Code:
        program = self.program
        donated = {program.buffers[n].donated for n in program.outputs}
        place = {number: n for n, number in enumerate(program.inputs)}
        inputs = tuple(Slot(b.type.shape, b.type.dtype.numpy, b.name, n in donated)
                       for n, b in ((n, program.buffers[n]) for n in program.inputs))
        outputs = tuple(Slot(b.type.shape, b.type.dtype.numpy, b.name, None if b.donated is None else place[b.donated])
                        for b in (program.buffers[n] for n in program.outputs))
        constants = tuple(b.literal.array for b in program.buffers if b.literal is not None)
        return Code(data, module.entry, inputs, outputs, constants, module.arena_bytes, module.local_bytes, module.parallel,
                    module.lasts)

    def in_parts(self) -> tuple[Executable, Module]:
        """The program once more, each kernel callable on its own (``module.parts``): to measure them."""
        module = _codegen().emit_program(self.program, self.target, parts=True)
        return Executable(self._code_of(module, _codegen().compile_object(module.text, self.target))), module

    @cached_property
    def executable(self) -> Executable:
        """The loaded object."""
        return Executable(self.code)

    def step_text(self) -> str:
        """Units, barriers and memory of the step, each with the file that decided it."""
        return str(_codegen().verified_step(self.program, self.target))

    def soil(self, byte: int) -> None:
        """Fills the memory that calls share with a byte: what is read before it is written then shows. After the first call."""
        self.executable.soil(byte)

    def llvm_text(self) -> str:
        """The schedule in words, then the LLVM IR."""
        schedule = "".join(f"; {line}\n" for line in self.module.schedule.splitlines())
        return schedule + self.module.text

    def asm_text(self) -> str:
        return str(_codegen().compile_asm(self.module.text, self.target))

    def memory_analysis(self) -> MemoryAnalysis:
        """What a call keeps in memory."""
        program = self.program

        def total(kind: str) -> int:
            return sum(b.type.nbytes for b in program.buffers if b.kind == kind)

        donated = sum(b.type.nbytes for b in program.buffers if b.kind == "output" and b.donated is not None)
        rows = tuple((name, str(b.type), first, last) for name, b, first, last in memory_report(program))
        return MemoryAnalysis(total("input"), total("output"), donated, total("constant"), self.code.arena_bytes, rows)


@functools.cache
def _codegen() -> Any:
    """Code generation, which is imported when there is something to generate: a program from the cache needs none of it.

    Raises CompileError if its files cannot be read now, LoadingError within their import."""
    try:
        with compiling():
            from leptonc.codegen import entry
    except OSError as error:
        raise CompileError(f"code generation could not be loaded: {error}") from None
    if not hasattr(entry, "__all__"):  # its last line: this thread is in the midst of it, and a handler came here
        raise LoadingError("code generation is being loaded by the call that this one interrupts")
    return entry


@seldom_collected
def compile_program(program: Program, target: Target | None = None, options: Options = Options()) -> Compiled:
    """Native code for ``target``, by default this machine."""
    compiled = _compile(program, target or host_target())
    validator = _validator(options)
    if validator is not None:
        validator.after_code(lambda part: _compile(part, compiled.target), program, compiled)
    return compiled


def _compile(program: Program, target: Target) -> Compiled:
    compiled = Compiled(program, target)
    _ = compiled.executable  # compile now, not at the first call
    return compiled


def check(graph: Graph, donated: dict[int, int], validator: Validator) -> None:
    """Compiles a traced graph, every step checked. Raises ValidationError at the first that changes a result."""
    options = Options(validator=validator)
    compile_program(lower(optimize(graph, options), donated, options), options=options)


@seldom_collected
def compile_graph(graph: Graph, donated: dict[int, int]) -> Compiled:
    """Native code of a traced graph for this machine, from the cache if it is there; see ``lower`` for ``donated``."""
    target = host_target()
    key = _key(graph, target, repr(sorted(donated.items())))
    return _kept(key, lambda: lower(optimize(graph), donated), target, lambda code: _serves(code, graph, donated))


def _key(graph: Graph, target: Target, *texts: str) -> str | None:
    """The cache's key of a graph's code; None if what some op of it does cannot be told in bytes."""
    meaning = fingerprint(graph)
    if meaning is None:
        return None
    return cache.key_of([digest(graph), meaning, *(text.encode() for text in (repr(target), np.__version__, *texts))])


def _serves(code: Code, graph: Graph, donated: dict[int, int]) -> bool:
    """Whether code takes and gives what the graph does."""
    def types(slots: Sequence[Slot]) -> list[tuple[Any, Any]]:
        return [(slot.shape, slot.dtype) for slot in slots]

    return (types(code.inputs) == [(t.shape, t.dtype.numpy) for t in graph.input_types]
            and types(code.outputs) == [(t.shape, t.dtype.numpy) for t in graph.output_types]
            and {n: slot.donated for n, slot in enumerate(code.outputs) if slot.donated is not None} == donated
            and {n for n, slot in enumerate(code.inputs) if slot.donated} == set(donated.values()))


@dataclass(frozen=True)
class FrozenCode:
    """A graph whose first inputs are the same at every call: ``compute`` and ``prepare`` are to run once, ``step`` at every call.

    Their inputs are known by name: those of the graph, ``computed n`` and ``prepared n``, which the first two give."""

    compute: Compiled
    prepare: Compiled
    step: Compiled


@seldom_collected
def compile_frozen(graph: Graph, frozen: int) -> FrozenCode:
    """As ``compile_graph``, in parts, if the first ``frozen`` inputs are the same at every call."""
    target = host_target()
    compute, behind = split_graph(graph, frozen)
    known = frozen + len(compute.outputs)

    @functools.cache
    def programs() -> tuple[Program, Program]:
        return lower_frozen(optimize(behind), known)

    def part(name: str, program: Callable[[], Program]) -> Compiled:
        return _kept(_key(behind, target, f"{name} {known}"), program, target)

    return FrozenCode(compile_graph(compute, {}), part("prepare", lambda: programs()[0]), part("step", lambda: programs()[1]))


def _kept(key: str | None, program: Callable[[], Program], target: Target,
          serves: Callable[[Code], bool] = lambda code: True) -> Compiled:
    """A program's code from the cache, or compiled and put there; without a key, compiled."""
    found = None if key is None or config.validating() else _from_cache(key, program, target, serves)
    if found is None:
        found = compile_program(program(), target)
        if key is not None:
            with contextlib.suppress(MemoryError):  # to keep it is a favour
                cache.store(key, to_bytes(found.code))
    return found


def _from_cache(key: str, program: Callable[[], Program], target: Target, serves: Callable[[Code], bool]) -> Compiled | None:
    """What the cache has, loaded; None if it has nothing, or nothing that can be read and serves."""
    data = cache.load(key)
    if data is None:
        return None
    try:
        compiled = Compiled(program, target, from_bytes(data))
        if not serves(compiled.code):
            return None
        _ = compiled.executable
    except (ValueError, CompileError):
        return None
    return compiled


def draw(graph: Graph) -> str:
    """The graph as Graphviz text."""
    from leptonc.passes.graph.network import to_dot

    return to_dot(graph)


def emit(program: Program, stage: str) -> str:
    """The text of stage "step", "llvm" or "asm" of a Program, for this machine; nothing is loaded."""
    compiled = Compiled(program, host_target())
    return {"step": compiled.step_text, "llvm": compiled.llvm_text, "asm": compiled.asm_text}[stage]()


def _pool_object() -> LoadedObject:
    """The thread pool's code, from the cache if what is there can be loaded."""
    target = host_target()
    key = cache.key_of([b"pool", repr(target).encode()])
    try:
        return _loaded_support((key and cache.load(key)) or b"")
    except (ValueError, CompileError):
        code = _codegen().compile_object(_codegen().support_module(target), target)
        data = to_bytes(Code(code, SUPPORT_FUNCTIONS[0], (), ()))
        if key is not None:
            cache.store(key, data)
        return _loaded_support(data)


def _loaded_support(data: bytes) -> LoadedObject:
    """Raises ValueError or CompileError unless all that is asked of it later is there."""
    loaded = LoadedObject(from_bytes(data).data)
    for name in SUPPORT_FUNCTIONS:
        loaded.address(name)
    return loaded


install(_pool_object)

__all__ = [
    "GRAPH_PASSES", "PROGRAM_PASSES", "Compiled", "MemoryAnalysis", "Options",
    "batch", "check_names", "compile_program", "cost_analysis", "differentiate", "draw", "dump_after", "emit", "forward",
    "linear_forward", "linear_reverse", "lower", "optimize", "pipeline_names", "transposed",
]
