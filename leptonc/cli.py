"""The command line: ``leptonc dump``, ``check``, ``profile``, ``bench``, ``data`` and ``info``."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import inspect
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import leptonc
from leptonc import config, driver
from leptonc.check import add_check
from leptonc.errors import LeptonError
from leptonc.ir.types import parse_type
from leptonc.jit import Jitted, jit
from leptonc.stages import Lowered, Traced
from leptonc.target import host_target
from leptonc.transforms import ShapeDtypeStruct

STAGES = ("traced", "optimized", "kernels", "step", "llvm", "asm")


class UsageError(Exception):
    """A command line that makes no sense: one line on stderr, exit code 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 0; 1 for a LeptonError of the program that was dumped; 2 for a wrong command line."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except UsageError as error:
        print(f"leptonc {options.command}: {error}", file=sys.stderr)
        return 2
    except LeptonError as error:
        print(f"leptonc {options.command}: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader (head, less) has seen enough
        sys.stderr.close()
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="leptonc", description=leptonc.__doc__)
    parser.add_argument("--version", action="version", version=f"leptonc {leptonc.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_dump(commands)
    add_check(commands, _trace)
    _add_profile(commands)
    _add_bench(commands)
    _add_data(commands)
    info = commands.add_parser("info", help="what this machine and installation look like to leptonc")
    info.set_defaults(run=_info)
    return parser


# dump


def _add_dump(commands: Any) -> None:
    dump = commands.add_parser("dump", help="print a function at a stage of its compilation")
    dump.add_argument("function", metavar="FILE.py:FUNCTION")
    dump.add_argument("--arg", action="append", default=[], metavar="TYPE",
                      help="type of an argument, such as 'f32[32,784]', in order; not needed if the function has example arguments")
    dump.add_argument("--stage", choices=STAGES, default="optimized", help="default: optimized")
    dump.add_argument("--after", metavar="PASS", help="print the IR as this pass leaves it, instead of a stage")
    dump.add_argument("--disable", action="append", default=[], metavar="PASS", help="leave a pass out; may be repeated")
    dump.add_argument("--bisect", type=int, metavar="N", help="run the first N passes only")
    dump.add_argument("--dot", action="store_true", help="the graph of stage traced or optimized as Graphviz text")
    dump.add_argument("--timings", action="store_true", help="time of each pass, on stderr")
    dump.add_argument("-o", "--output", type=Path, metavar="FILE", help="write there instead of to standard output")
    dump.set_defaults(run=_dump)


def _dump(options: argparse.Namespace) -> int:
    driver.check_names([options.after] if options.after else [], options.disable)
    if options.after in options.disable:
        raise UsageError(f"--after {options.after}: this pass is disabled")
    if options.bisect is not None and options.bisect < 0:
        raise UsageError(f"--bisect {options.bisect}: at least 0")
    text = _dump_text(_trace(options), options)
    _put(text, options.output)
    return 0


def _put(text: str, output: Path | None) -> None:
    if output is None:
        print(text)
    else:
        _write(output, text + "\n")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from None


def _trace(options: argparse.Namespace) -> Traced:
    jitted, arguments = _call(options)
    return jitted.trace(*arguments)


def _call(options: argparse.Namespace) -> tuple[Jitted, tuple[Any, ...]]:
    """The function of the command line and what it is called with: types of arguments, or its examples."""
    function = _load(options.function)
    jitted = function if isinstance(function, Jitted) else jit(function)
    arguments = tuple(_struct(text) for text in options.arg) if options.arg else jitted.examples()
    _check_count(jitted, options.function, arguments)
    return jitted, arguments


def _check_count(jitted: Jitted, name: str, arguments: tuple[Any, ...]) -> None:
    """Whether the function can be called with these. Raises UsageError."""
    try:
        signature = inspect.signature(jitted.function)
    except (TypeError, ValueError):  # some built-in functions tell nothing
        return
    try:
        signature.bind(*arguments)
    except TypeError as error:
        raise UsageError(f"{name} takes {signature}, and {len(arguments)} --arg were given: {error}") from None


def _struct(text: str) -> ShapeDtypeStruct:
    found = parse_type(text)
    return ShapeDtypeStruct(found.shape, found.dtype.numpy)


def _dump_text(traced: Traced, options: argparse.Namespace) -> str:
    if options.dot and (options.after or options.stage not in ("traced", "optimized")):
        raise UsageError("--dot draws the stages traced and optimized")
    if options.stage == "traced" and not options.after:
        return driver.draw(traced.graph) if options.dot else traced.as_text()
    passes = driver.Options(frozenset(options.disable), None, options.bisect, _report if options.timings else None)
    aliases = traced.interface.aliases(traced.graph)
    if options.after:
        return driver.dump_after(traced.graph, aliases, options.after, passes)
    graph = driver.optimize(traced.graph, passes)
    if options.stage == "optimized":
        return driver.draw(graph) if options.dot else str(graph)
    lowered = Lowered(traced, graph, driver.lower(graph, aliases, passes))
    return lowered.as_text() if options.stage == "kernels" else driver.emit(lowered.program, options.stage)


def _report(step: Any, before: Any, after: Any, seconds: float) -> None:
    size = len(after.nodes) if hasattr(after, "nodes") else len(after.calls)
    print(f"{step.name:18} {seconds * 1e3:8.2f} ms  {size} nodes", file=sys.stderr)


def _load(where: str) -> Any:
    """``FILE.py:NAME``; what the file imports is looked for in its own directory too, as Python would run it."""
    path_text, _, name = where.rpartition(":")
    path = Path(path_text)
    if not path_text or path.suffix != ".py" or not name:
        raise UsageError(f"{where!r}: expected FILE.py:FUNCTION")
    if not path.is_file():
        raise UsageError(f"there is no file {path}")
    module = _import(path.resolve())
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            names = ", ".join(n for n, v in vars(found).items() if callable(v) and getattr(v, "__module__", "") == module.__name__)
            raise UsageError(f"{path} has no {name!r}; it has {names}")
        found = getattr(found, part)
    if not callable(found):
        raise UsageError(f"{name} of {path} is a {type(found).__name__}, not a function")
    return found


PRIVATE = "__leptonc_dump__"  # in front of the names of loaded modules: a file may be called json.py


def _import(path: Path) -> ModuleType:
    """The file as a module of a private name, below its packages if it lies in some."""
    packages = _packages(path)
    folder = str((packages[0] if packages else path).parent)
    if folder not in sys.path:
        sys.path.append(folder)  # behind all others, so that no module of the library is replaced
    name = PRIVATE
    for package in packages:
        name = f"{name}{'.' if name != PRIVATE else ''}{package.name}"
        _execute(name, package / "__init__.py", [str(package)])
    return _execute(f"{name}{'.' if packages else ''}{path.stem}", path)


def _packages(path: Path) -> list[Path]:
    """The directories that are packages around a file, the outermost first."""
    found: list[Path] = []
    for folder in path.parents:
        if not (folder / "__init__.py").is_file():
            break
        found.insert(0, folder)
    return found


def _execute(name: str, path: Path, locations: list[str] | None = None) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=locations)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except ImportError as error:
        if "relative import" not in str(error):
            raise
        raise UsageError(f"{path} imports relatively ({error}); fix: an __init__.py beside it, or absolute imports") from None
    except OSError as error:
        if error.filename != str(path):
            raise
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    return module


# profile


def _add_profile(commands: Any) -> None:
    profile = commands.add_parser("profile", help="compile and run a function: its times, its memory, and those of its kernels")
    profile.add_argument("function", metavar="FILE.py:FUNCTION")
    profile.add_argument("--arg", action="append", default=[], metavar="TYPE",
                         help="type of an argument, such as 'f32[32,784]', in order; left out if it has example arguments")
    profile.add_argument("--json", action="store_true", help="all that is known as JSON, instead of tables")
    profile.add_argument("--schedule", action="store_true", help="how each kernel runs, as a last column")
    profile.add_argument("--trace", type=Path, metavar="FILE", help="write the kernels there as a Chrome trace")
    profile.add_argument("-o", "--output", type=Path, metavar="FILE", help="write there instead of to standard output")
    profile.set_defaults(run=_profile)


def _profile(options: argparse.Namespace) -> int:
    from leptonc.profile import function

    jitted, arguments = _call(options)
    found = function(jitted, *arguments)
    _put(json.dumps(found.as_dict(), indent=1) if options.json else found.text(options.schedule), options.output)
    if options.trace is not None:
        _write(options.trace, found.trace_text())
    return 0


# bench


def _add_bench(commands: Any) -> None:
    bench = commands.add_parser("bench", help="time compiled training steps against eager mode and installed peers")
    bench.add_argument("cases", nargs="*", metavar="CASE",
                       help="such as seed-224 or lenet-28-forward-b1; all of them if none is named")
    bench.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    bench.add_argument("--markdown", type=Path, metavar="FILE", help="write the printed table there too")
    bench.add_argument("--chart", type=Path, metavar="FILE", help="draw the results as a PNG (needs matplotlib)")
    bench.add_argument("--list", action="store_true", help="instead: the names of all cases")
    bench.add_argument("--rounds", type=int, default=5, help="interleaved rounds (default 5)")
    bench.add_argument("--no-eager", action="store_true", help="leave leptonc's slow eager mode out")
    bench.add_argument("--systems", type=_names, metavar="NAME,...",
                       help="limit the peers to these, such as torch,jax; all that are installed if left out")
    bench.add_argument("--profile", action="store_true", help="instead: the time of every kernel of the compiled step")
    bench.add_argument("--trace", type=Path, metavar="FILE", help="with --profile of one case: a Chrome trace")
    bench.set_defaults(run=_bench)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _bench(options: argparse.Namespace) -> int:
    from leptonc.bench.run import run_all
    from leptonc.bench.systems import ALL_CASES

    unknown = [name for name in options.cases if name not in ALL_CASES]
    if unknown:
        raise UsageError(f"unknown case {unknown[0]!r}; there are {', '.join(ALL_CASES)}")
    if options.list:
        print("\n".join(options.cases or ALL_CASES))
        return 0
    if options.rounds < 1:
        raise UsageError(f"--rounds {options.rounds}: at least 1")
    if options.trace is not None and (not options.profile or len(options.cases) != 1):
        raise UsageError("--trace goes with --profile and one case")
    if options.profile:
        return _profile_cases(options)
    run_all(options.cases or list(ALL_CASES), options.rounds, eager=not options.no_eager, systems=options.systems,
            json_file=options.json, markdown=options.markdown, chart=options.chart)
    return 0


def _profile_cases(options: argparse.Namespace) -> int:
    from leptonc.bench.profile import profile_case
    from leptonc.bench.systems import ALL_CASES

    for name in options.cases or list(ALL_CASES):
        found = profile_case(ALL_CASES[name])
        print(f"{name}\n{found.text(schedule=True)}\n")
        if options.trace is not None:
            _write(options.trace, found.trace_text())
    return 0


# data


def _add_data(commands: Any) -> None:
    data = commands.add_parser("data", help="look at data before training on it (needs leptonc[data])")
    tasks = data.add_subparsers(dest="task", required=True)
    report = tasks.add_parser("report", help="what is wrong with a folder of pictures, or with a table")
    report.add_argument("source", metavar="FOLDER", help="a folder of pictures, or a .csv or .parquet file")
    report.add_argument("--validation", metavar="FOLDER", help="the same of validation, of which nothing should be in FOLDER")
    report.add_argument("--label", metavar="COLUMN", help="of a table: the column of labels")
    report.add_argument("--html", type=Path, metavar="FILE", help="write a page with thumbnails there")
    report.add_argument("--json", type=Path, metavar="FILE", help="write all that was found there")
    report.add_argument("--seed", type=int, default=0, help="of the folds by which labels are checked (default 0)")
    report.set_defaults(run=_data)


def _data(options: argparse.Namespace) -> int:
    from leptonc.data.reporting import report

    try:
        found = report(options.source, validation=options.validation, label=options.label, seed=options.seed)
    except ImportError as error:
        raise UsageError(str(error)) from None
    print(found)
    for path, text in ((options.html, found.to_html), (options.json, found.to_json)):
        if path is not None:
            _write(path, text())
    return 0


# info


PACKAGES = ("numpy", "llvmlite", "networkx", "torch", "jax", "tensorflow", "onnxruntime")


def _info(options: argparse.Namespace) -> int:
    target = host_target()
    print(f"leptonc {leptonc.__version__}, Python {platform.python_version()}, {platform.platform()}")
    print(f"target {target.name}: {target.vector_bytes * 8}-bit vectors, register tile {target.rows} x {target.vectors} vectors")
    print(f"threads {config.num_threads()}")
    for name in PACKAGES:
        print(f"{name} {_version(name)}")
    return 0


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
