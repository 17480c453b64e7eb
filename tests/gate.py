"""The mutation gate: ``python -m tests.gate`` plants each fault of ``tests/plants.py`` in a copy of the tree and runs the tests.

For each plant the tests that are most likely to see it run first, then the rest, until one fails: that is "caught"; a plant that
none sees "survived". ``python -m tests.gate NAME ...`` tries some; ``--first`` leaves the rest of the tests out, which tells in
minutes what otherwise takes hours; ``--from N --to M`` takes a part. The tests must pass without a plant.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.planted import BY_NAME, ROOT, edited
from tests.plants import PLANTS, Plant

COPIED = ("leptonc", "tests", "examples", "benchmarks", "docs", "pyproject.toml", "README.md")
SECONDS = 1800  # a run of tests that takes longer hangs, and a hang is seen
def _passes(*names: str) -> str:
    return " ".join(f"tests/passes/test_{name}.py" for name in names)


PROBABLE = {  # the longest folder that a file's name begins with counts
    "passes/graph": f"{_passes('canonicalize', 'rules', 'fold', 'route', 'pooling', 'autodiff')} tests/test_numpy.py",
    "passes/conv": _passes("zeros", "weightgrad", "winograd", "spread"),
    "passes/loops": f"{_passes('padded_reads', 'phases', 'split', 'fuse', 'window', 'rows', 'unpool')} tests/test_freeze.py "
                    "tests/ops/test_extremes.py",
    "passes/memory": f"{_passes('rows', 'order')} tests/test_jit.py tests/ir",
    "ops": "tests/test_derivatives.py tests/test_nn.py tests/test_numpy.py tests/ops",
    "codegen/routed": "tests/codegen/test_routed.py",
    "codegen/step": "tests/codegen/test_step.py tests/codegen/test_interleave.py",
    "codegen/contraction": "tests/codegen/test_contraction.py",
    "codegen": "tests/codegen/test_kernels.py tests/codegen/test_filling.py tests/test_vectormath.py tests/ops",
    "ir": f"tests/ir {_passes('padded_reads')}",
    "runtime": "tests/test_runtime.py tests/test_threads.py tests/test_scan.py",
    "driver": "tests/test_cache.py tests/test_jit.py",
}
FIRST = "tests/test_pipeline.py tests/fuzz"
UNMUTATED = ("tests/test_validation.py",)  # it has the plants' texts, and so would see all


def stages(plant: Plant, first_only: bool) -> Iterator[list[str]]:
    """Arguments for pytest, one run after the other."""
    folder = max((f for f in PROBABLE if plant.file.startswith(f)), key=len, default="ops")
    yield plant.tests.split() or PROBABLE[folder].split()
    yield FIRST.split()
    if not first_only:
        yield ["tests"]


def tree(folder: Path, plant: Plant) -> Path:
    """A copy of the project, with the fault in it."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, folder / name)
    path = folder / "leptonc" / plant.file
    path.write_text(edited(path.read_text(), plant))
    return folder


def fails(folder: Path, tests: Sequence[str]) -> str:
    """The first test that fails; "" if none does."""
    present = [t for t in tests if (folder / t.split("::")[0]).exists()]
    ignored = [f"--ignore={t}" for t in UNMUTATED]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *ignored, *present]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LEPTONC_CACHE_DIR": str(folder / "cache")}
    try:
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "hang"
    if not done.returncode:
        return ""
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return lines[0].split()[1] if lines else f"exit {done.returncode}"


def caught_by(plant: Plant, first_only: bool) -> str:
    """The test that fails on a plant; "" if it survives."""
    with tempfile.TemporaryDirectory() as planted:
        folder = tree(Path(planted), plant)
        return next(filter(None, (fails(folder, tests) for tests in stages(plant, first_only))), "")


def main(arguments: Sequence[str]) -> int:
    """0 if all were caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.gate", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--first", action="store_true")
    parser.add_argument("--from", dest="start", type=int, default=0)
    parser.add_argument("--to", dest="stop", type=int)
    options = parser.parse_args(arguments)
    plants = [BY_NAME[n] for n in options.names] or list(PLANTS)[options.start:options.stop]
    survivors = []
    for plant in plants:
        start = time.perf_counter()
        found = caught_by(plant, options.first)
        survivors += [] if found else [plant.name]
        how = "caught" if found else "SURVIVED"
        print(f"{plant.name:24} {how:9} {time.perf_counter() - start:6.0f} s  {found or plant.why}", flush=True)
    print(f"{len(plants) - len(survivors)} of {len(plants)} caught; survived: {', '.join(survivors) or 'none'}")
    return int(bool(survivors))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
