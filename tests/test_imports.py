"""Imports run one way, function-level ones included."""

from __future__ import annotations

import ast
import functools
import sys
from dataclasses import dataclass
from pathlib import Path

import leptonc

ROOT = Path(leptonc.__file__).parent.parent
PACKAGES = ("leptonc", "keras_leptonc")

# What a part may import of the others. The rest of the package (trace, jit, numpy, nn ...) is "api".
ALLOWED = {
    "leaf": set[str](),  # those of LEAVES
    "tree": {"leaf"},
    "ir": {"leaf"},
    "validation": {"leaf", "ir"},
    "ops": {"leaf", "ir"},
    "passes": {"leaf", "ir", "ops"},
    "codegen": {"leaf", "ir"},
    "runtime": {"leaf"},
    "driver": {"leaf", "ir", "validation", "passes", "codegen", "runtime"},
    "api": {"leaf", "tree", "ir", "driver"},
    "front": {"leaf", "tree", "ir", "api"},  # numpy, lax, nn, optim, random
    "top": {"leaf", "tree", "ir", "ops", "driver", "api", "front"},  # leptonc/__init__
    "cli": {"leaf", "tree", "ir", "validation", "driver", "api", "front", "top", "profile", "bench", "data"},
    "profile": {"leaf", "tree", "ir", "codegen", "runtime", "driver", "api", "front", "top"},
    "bench": {"leaf", "tree", "ir", "codegen", "runtime", "driver", "api", "front", "top", "profile"},
    "keras": {"leaf", "tree", "ir", "api", "front", "top", "registration"},  # the backend and callbacks; nothing imports them
    "plot": {"leaf", "tree", "api", "front", "top"},  # knows models by what they can do, and imports no Keras
    "onnx": {"leaf", "tree", "ir", "ops", "driver", "api", "front"},  # graphs as files of another format
    "data": {"leaf", "tree", "api", "front", "top"},  # reports, cleaning and loaders; its labels are checked by a model of nn
    "registration": set(),  # keras_leptonc, which must cost nothing before Keras is imported
}
LEAVES = {"bfloat16", "lattice", "notices", "errors", "frames", "public", "substitutes", "config", "cpus", "target", "abi", "cache",
          "memory", "lazy", "collecting", "exclusive", "programs"}
PARTS = {"ir", "validation", "ops", "passes", "codegen", "runtime", "driver", "tree", "cli", "profile", "bench", "keras", "plot",
         "data", "onnx"}
PEERS = {"torch", "onnx", "onnxruntime", "jax", "tensorflow", "matplotlib"}
FRONT = {"numpy", "lax", "bitgenerators", "elementary", "folding", "fourier", "gathering", "precision", "segments", "updates",
         "scan", "whiles", "branches", "mapping", "nn", "optim", "random", "convolving", "exchanges", "products", "slicing",
         "staging", "scipy", "flatten_util"}


def part_of(module: str) -> str:
    names = module.split(".")
    if names[0] == "keras_leptonc":
        return "registration"
    if len(names) == 1:
        return "top"
    if names[1] in LEAVES:
        return "leaf"
    if names[1] == "containers":
        return "tree"
    if names[1] in FRONT:
        return "front"
    if names[1] == "callbacks":
        return "keras"
    return "cli" if names[1] in ("__main__", "check") else names[1] if names[1] in PARTS else "api"


@dataclass(frozen=True)
class Import:
    """A module or a member of one that a statement imports; where it stands."""

    name: str
    typing_only: bool
    in_function: bool

    @property
    def package(self) -> str:
        return self.name.split(".")[0]


@dataclass(frozen=True)
class Source:
    """What the tests ask of a module's text."""

    imports: tuple[Import, ...]
    attributes: frozenset[tuple[str, str]]  # (name, attribute) of ``name.attribute``; "" for the name of what is none


@functools.cache
def modules() -> dict[str, Source]:
    """Parsed once for all tests."""
    found = {}
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        names = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(n for n in names if n != "__init__")] = source_of(ast.parse(path.read_text()))
    return found


def source_of(tree: ast.Module) -> Source:
    skipped, within = typing_only(tree), in_functions(tree)
    nodes = list(ast.walk(tree))
    imports = (Import(name, node in skipped, node in within) for node in nodes for name in imported(node))
    attributes = ((n.value.id if isinstance(n.value, ast.Name) else "", n.attr) for n in nodes if isinstance(n, ast.Attribute))
    return Source(tuple(imports), frozenset(attributes))


def imported(node: ast.AST) -> list[str]:
    """Names of the modules (or members of modules) that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative import"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def typing_only(tree: ast.Module) -> set[ast.AST]:
    """Statements under ``if TYPE_CHECKING``."""
    guarded = [n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    return {inner for n in guarded for inner in ast.walk(n)}


def in_functions(tree: ast.Module) -> set[ast.AST]:
    """Imports in functions, methods among them."""
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    return {inner for n in functions for inner in ast.walk(n) if isinstance(inner, ast.Import | ast.ImportFrom)}


def users_of(package: str) -> set[str]:
    return {m for m, source in modules().items() for found in source.imports if found.package == package}


def test_imports_run_one_way():
    wrong = []
    for module, source in modules().items():
        for found in source.imports:
            if found.typing_only or found.package not in PACKAGES:
                continue
            own, target = part_of(module), part_of(found.name)
            if own != target and target not in ALLOWED[own]:
                wrong.append(f"{module} ({own}) imports {found.name} ({target})")
    assert not wrong, "\n".join(wrong)


def test_llvmlite_is_imported_by_codegen_alone():
    users = users_of("llvmlite")
    assert users and all(part_of(m) == "codegen" for m in users), users


def test_networkx_is_imported_by_passes_alone():
    users = users_of("networkx")
    assert users and all(part_of(m) == "passes" for m in users), users


def test_keras_is_imported_by_the_backend_alone():
    users = users_of("keras")
    assert users and all(part_of(m) == "keras" for m in users), users


def test_matplotlib_is_imported_by_plot_alone():
    users = users_of("matplotlib")
    assert users and all(part_of(m) in ("plot", "bench") for m in users), users


def test_onnx_is_imported_by_onnx_alone():
    users = users_of("onnx")
    assert users and all(part_of(m) in ("onnx", "bench") for m in users), users


def test_no_circles_of_imports():
    """Function-level imports and those for types alone included."""
    names = set(modules())
    graph = {module: {_module(found.name, names) for found in source.imports} - {module, ""}
             for module, source in modules().items()}
    circles = sorted(sorted(circle) for circle in _circles(graph))
    assert not circles


def _module(name: str, names: set[str]) -> str:
    """The module of an imported name, which may be a member of one; "" if it is none of the package."""
    while name and name not in names:
        name = name.rpartition(".")[0]
    return name


def _circles(graph: dict[str, set[str]]) -> set[frozenset[str]]:
    """Modules that reach each other."""
    reached = {module: _reached(graph, module) for module in graph}
    return {frozenset(other for other in reached[module] if module in reached[other]) for module in graph
            if module in reached[module]}


def _reached(graph: dict[str, set[str]], start: str) -> set[str]:
    found, work = set[str](), [start]
    while work:
        fresh = graph[work.pop()] - found
        found |= fresh
        work += fresh
    return found


SELDOM = ("leptonc.codegen.", "leptonc.passes.graph.network.", "leptonc.validation.")


def test_function_level_imports_are_the_ones_allowed():
    """By the driver: codegen (a cached program starts without LLVM) and networkx, which both take long to import. And
    benchmarks and profiles, which have code of their own compiled, by the command line, peers by the benchmarks, ml_dtypes where
    bfloat16 is used."""
    found = {(module, found.name) for module, source in modules().items() for found in source.imports
             if found.in_function and found.package not in sys.stdlib_module_names}
    assert found
    for module, name in found:
        allowed = (
            (module == "leptonc.driver" and name.startswith(SELDOM))
            or (module == "leptonc.cli" and name.startswith(("leptonc.bench.", "leptonc.profile.", "leptonc.data.")))
            or (part_of(module) == "bench" and name.split(".")[0] in PEERS)
            or (module, name) == ("leptonc.bfloat16", "ml_dtypes.bfloat16")
        )
        assert allowed, f"{module} imports {name} in a function"


def test_lazy_attributes_have_no_lock():
    """``functools.cached_property`` of Python 3.11 locks all instances of a class, across a fork as well."""
    users = {m for m, source in modules().items() if any(found.name == "functools.cached_property" for found in source.imports)}
    attributes = {m for m, source in modules().items() if any(name == "cached_property" for _, name in source.attributes)}
    assert users and users | attributes <= {"leptonc.lazy"}


def test_no_lock_is_held_in_python():
    """A lock that an exception, a signal handler or a fork leaves locked hangs a process: see ``leptonc.exclusive``."""
    locks = {"Lock", "RLock", "Condition", "Semaphore", "Event", "allocate_lock"}
    held = {(owner, lock) for owner in ("threading", "_thread", "multiprocessing") for lock in locks}
    assert not {m for m, source in modules().items() if source.attributes & held}
