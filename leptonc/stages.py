"""A jitted function on its way to code: Traced -> Lowered -> Compiled, each of which prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from leptonc import driver, tree
from leptonc.effects import Effect, perform
from leptonc.errors import DonationError, DtypeError, LeptonError, ShapeError, TreeError
from leptonc.ir.graph import Graph
from leptonc.ir.kernel import Program
from leptonc.lazy import cached_property
from leptonc.notices import warn
from leptonc.pieces import Pieces, with_calls
from leptonc.public import public_methods
from leptonc.signature import LeafKey, Signature, as_leaf, key_text, leaf_key
from leptonc.treecode import Builder, Flattener, builder, flattener


@dataclass(frozen=True)
class Interface:
    """How a compiled function is called: its arguments, those donated, those static, the structure it returns."""

    name: str
    signature: Signature
    donated: tuple[int, ...]
    static_argnums: frozenset[int]
    out_tree: tree.TreeDef
    effects: tuple[Effect, ...] = ()  # what is called behind each run, with the results behind those of out_tree

    def aliases(self, graph: Graph) -> dict[int, int]:
        """Output -> donated input that it is written into: itself if it is one, else the next of equal type."""
        free = list(self.donated)
        found = {}
        for out, value in enumerate(graph.outputs):
            own = graph.inputs.index(value) if value in graph.inputs else None
            if own in free:
                found[out] = own
                free.remove(own)
        for out, kind in enumerate(graph.output_types):
            match = next((i for i in free if graph.input_types[i] == kind), None)
            if out not in found and match is not None:
                found[out] = match
                free.remove(match)
        return found

    def unused(self, aliases: dict[int, int]) -> list[str]:
        """The donated arguments that no result is written into, with their types."""
        left = sorted({*self.donated} - {*aliases.values()})
        keys = self.signature.leaves
        return [f"{self.signature.names[i]}={key_text(keys[i])}" for i in left if not keys[i][2] and 0 not in keys[i][0]]

    def leaves(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[np.ndarray]:
        """The arrays of a call without its static arguments. Raises if they are not what was compiled for."""
        whole = list(args)
        for n in sorted(self.static_argnums):
            if n < len(self.signature.treedef.children[0].children):  # else it was given by name, or left out
                whole.insert(n, None)
        leaves, treedef = tree.flatten((tuple(whole), kwargs))
        names = self.signature.names
        if treedef != self.signature.treedef:
            raise TreeError(f"{self.name} was compiled for arguments of another structure: "
                            f"{tree.difference(self.signature.treedef, treedef, 'arguments')}")
        for leaf, expected, path in zip(leaves, self.signature.leaves, names):
            got = leaf_key(leaf, path, self.name)
            if got != expected:
                kind: type[LeptonError] = ShapeError if got[0] != expected[0] else DtypeError
                raise kind(f"{self.name} was compiled for {path}={key_text(expected)}, got {key_text(got)}; fix: call "
                           "the jitted function, which compiles again")
        return [as_leaf(leaf, path, self.name) for leaf, path in zip(leaves, names)]

    def check_donation(self, leaves: Sequence[np.ndarray]) -> None:
        """Raises DonationError if a donated buffer is passed more than once."""
        owner: dict[int, int] = {}
        for i, leaf in enumerate(leaves):
            if not leaf.size:
                continue
            address = leaf.__array_interface__["data"][0]
            first = owner.setdefault(address, i)
            if first != i and (first in self.donated or i in self.donated):
                one, other = self.signature.names[first], self.signature.names[i]
                raise DonationError(f"{self.name}: {one} and {other} share one buffer, and it is donated; fix: pass a "
                                    "copy of one")


@public_methods
@dataclass(frozen=True)
class Traced:
    """The graph of a jitted function as it was traced."""

    graph: Graph
    interface: Interface

    def as_text(self, stage: str = "traced") -> str:
        """The graph's text."""
        return _text({"traced": lambda: str(self.graph)}, stage)

    def lower(self) -> Lowered:
        """Optimize the graph and turn it into kernels. Raises LeptonError if it calls Python, and is no one program."""
        if with_calls(self.graph) is not None:
            raise LeptonError(f"{self.interface.name} calls Python between its pieces, which are no one program; fix: compile it")
        optimized = driver.optimize(self.graph)
        program = driver.lower(optimized, self.interface.aliases(self.graph))
        return Lowered(self, optimized, program)

    def compile(self) -> Compiled:
        """Machine code, from the cache if it is there. Warns of donated arguments that no result is written into."""
        plain = with_calls(self.graph)
        if plain is not None:
            return Compiled(self, Pieces(plain))
        aliases = self.interface.aliases(self.graph)
        unused = self.interface.unused(aliases)
        if unused:
            warn(f"{self.interface.name} cannot use what is donated to it: {_some(unused)}; no result of that type is left to be "
                 "written there; fix: donate what has a result of its shape and dtype")
        return Compiled(self, driver.compile_graph(self.graph, aliases))


@public_methods
@dataclass(frozen=True)
class Lowered:
    """The optimized graph and the kernels it became."""

    traced: Traced
    graph: Graph
    program: Program

    def as_text(self, stage: str = "kernels") -> str:
        """The text of stage "traced", "optimized" or "kernels"."""
        return _text({"traced": self.traced.as_text, "optimized": lambda: str(self.graph),
                      "kernels": lambda: str(self.program)}, stage)

    def cost_analysis(self) -> dict[str, Any]:
        """What a call costs, by count."""
        return driver.cost_analysis(self.graph)

    def compile(self) -> Compiled:
        """Generate code of these very kernels, whatever the cache has."""
        return Compiled(self.traced, driver.compile_program(self.program))


@dataclass(frozen=True)
class Shortcut:
    """A call in three steps: arguments apart, ``run`` on exactly the arrays that were compiled for, results together."""

    flatten: Flattener
    run: Callable[[Sequence[Any]], list[np.ndarray] | None]
    build: Builder
    numbers: tuple[Number, ...] = ()
    donated: frozenset[int] = frozenset()  # places of arrays that no copy can stand for
    fixed: tuple[int, tuple[Any, ...]] = (hash(()), ())  # the static values that were compiled for, behind their hash

    def __call__(self, arguments: Any) -> tuple[bool, Any]:
        """(True, the result), or (False, None), and nothing was done, if (args, kwargs) but for static ones are not what was
        compiled for."""
        leaves = self.flatten(arguments)
        if leaves is None or not _with_numbers(leaves, self.numbers):
            return False, None
        results = self.run(leaves)
        if results is None and _made_plain(leaves, self.donated):
            results = self.run(leaves)
        return (False, None) if results is None else (True, self.build(results))


class Number(NamedTuple):
    """Where a number of Python's stands among the leaves, its type, and as what it is passed on."""

    place: int
    kind: type
    dtype: np.dtype


def numbers(keys: Sequence[LeafKey]) -> tuple[Number, ...]:
    """The numbers of Python's among the leaves that a program was compiled for."""
    kinds = {"b": bool, "i": int, "u": int, "f": float, "c": complex}
    return tuple(Number(place, kinds[dtype.kind], dtype) for place, (_, dtype, weak) in enumerate(keys) if weak)


def _with_numbers(leaves: list[Any], wanted: tuple[Number, ...]) -> bool:
    """Whether Python's numbers stand where they did, and only there; now as arrays."""
    for place, kind, dtype in wanted:
        if type(leaves[place]) is not kind:
            return False
        try:
            leaves[place] = np.array(leaves[place], dtype)
        except OverflowError:
            return False
    return True


def _made_plain(leaves: list[Any], donated: frozenset[int]) -> bool:
    """Whether any leaf was a scalar of NumPy's, or an array of other strides or a crooked address; now they are arrays that lie in
    order."""
    some = False
    for place, leaf in enumerate(leaves):
        strided = type(leaf) is np.ndarray and not (leaf.flags.c_contiguous and leaf.flags.aligned)
        if isinstance(leaf, np.generic) or (strided and place not in donated):
            leaves[place], some = np.array(leaf, order="C"), True
    return some


@public_methods
@dataclass(frozen=True)
class Compiled:
    """Machine code for one signature. Call it with what was traced for, static arguments left out."""

    traced: Traced
    executable: driver.Compiled | Pieces

    @cached_property
    def derived(self) -> dict[str, Any]:
        """What others have reckoned from it, by their names for it; it lives as long."""
        return {}

    @cached_property
    def lowered(self) -> Lowered:
        """Made when asked for: code from the cache came without."""
        return self.traced.lower()

    @property
    def interface(self) -> Interface:
        return self.traced.interface

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Raises TreeError, ShapeError or DtypeError for arguments that were not compiled for."""
        return self.run(self.interface.leaves(args, kwargs))

    def run(self, leaves: Sequence[np.ndarray]) -> Any:
        """The result for the arrays of a call, whose types have been checked."""
        interface = self.traced.interface
        try:
            results = self.executable(leaves)
        except DonationError:
            interface.check_donation(leaves)  # names the arguments by what the user calls them
            raise
        if not interface.effects:
            return tree.unflatten(interface.out_tree, results)
        count = interface.out_tree.num_leaves
        perform(interface.effects, results[count:])
        return tree.unflatten(interface.out_tree, results[:count])

    @cached_property
    def shortcut(self) -> Shortcut | None:
        """The short way for calls; None if there are effects."""
        if isinstance(self.executable, Pieces) or self.interface.effects:
            return None
        signature = self.interface.signature
        return Shortcut(flattener(signature.treedef), self.executable.executable.call_exact, builder(self.interface.out_tree),
                        numbers(signature.leaves), frozenset(self.interface.donated), (hash(signature.static), signature.static))

    def rest(self) -> None:
        """Give back the memory of intermediates; the next call takes it anew."""
        self.executable.executable.rest()

    def as_text(self, stage: str = "llvm") -> str:
        """The text of stage "traced", "optimized", "kernels", "step", "llvm" or "asm"."""
        return _text({"traced": self.traced.as_text, "optimized": lambda: self.lowered.as_text("optimized"),
                      "kernels": lambda: self.lowered.as_text("kernels"), "step": self.executable.step_text,
                      "llvm": self.executable.llvm_text, "asm": self.executable.asm_text}, stage)

    def cost_analysis(self) -> dict[str, Any]:
        """What a call costs, by count."""
        return self.lowered.cost_analysis()

    def memory_analysis(self) -> Any:
        """How much memory a call uses."""
        return self.executable.memory_analysis()


def _some(texts: list[str], most: int = 3) -> str:
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def _text(stages: dict[str, Callable[[], str]], stage: str) -> str:
    if stage not in stages:
        raise LeptonError(f"as_text: stage={stage!r}, expected one of {', '.join(stages)}")
    return stages[stage]()
