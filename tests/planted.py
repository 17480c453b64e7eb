"""Planted faults and translation validation: ``python -m tests.planted`` prints for each what it names, ``... NAME`` looks at some.

Each fault is compiled into a process of its own as the module is imported; no file is changed.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from types import CodeType, ModuleType

from tests.plants import PLANTS, Plant

ROOT = Path(__file__).parents[1]
BY_NAME = {plant.name: plant for plant in PLANTS}
NAMED = re.compile(r"^(?:after ')?((?<=after ')[a-z -]+(?=')|race(?=:)|one block of memory)")
RACE = ["race", "one block of memory"]  # what the step's verifier says, after all passes


def edited(source: str, plant: Plant) -> str:
    """The module's text with the fault in it. Raises ValueError if its place is not there: the plant is out of date."""
    if source.count(plant.old) != 1:
        raise ValueError(f"plant {plant.name}: its text stands {source.count(plant.old)} times in {plant.file}")
    return source.replace(plant.old, plant.new)


class _Loader(importlib.machinery.SourceFileLoader):
    plant: Plant

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return compile(edited(Path(path).read_text(), self.plant), path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    """Gives one module of leptonc with a fault."""

    def __init__(self, plant: Plant):
        self.plant = plant
        self.module = ".".join(["leptonc", *Path(plant.file).with_suffix("").parts])

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None,
                  ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.module:
            return None
        spec = PathFinder.find_spec(fullname, path)
        assert spec is not None and spec.origin is not None
        loader = _Loader(fullname, spec.origin)
        loader.plant = self.plant
        spec.loader = loader
        return spec


def look(name: str) -> None:
    """In a process of its own: prints what validation says of a planted program."""
    print(_said(name))


def look_at(names: Sequence[str]) -> None:
    """The same for several, each in a fork; what all need is imported before."""
    import llvmlite.binding
    import networkx
    import numpy

    assert llvmlite and networkx and numpy
    for name in names:
        sys.stdout.flush()
        child = os.fork()
        if not child:
            print(f"{name}: {_said(name).splitlines()[0]}", flush=True)
            os._exit(0)
        os.waitpid(child, 0)


def _said(name: str) -> str:
    plant = BY_NAME[name]
    sys.meta_path.insert(0, _Finder(plant))
    from leptonc import driver
    from leptonc.errors import LeptonError
    from leptonc.validation.validator import Validator
    from tests.plant_programs import PROGRAMS

    function, args = PROGRAMS[plant.program]()
    try:
        traced = function.trace(*args)
        driver.check(traced.graph, traced.interface.aliases(traced.graph), Validator())
    except LeptonError as error:
        return str(error)
    return "nothing was found"


def named(name: str) -> tuple[str, str]:
    """The step that validation names for a plant ("" if none), and all it says."""
    done = subprocess.run([sys.executable, "-m", "tests.planted", "--one", name], cwd=ROOT, capture_output=True, text=True)
    match = NAMED.search(done.stdout)
    return (match[1] if match else ""), done.stdout + done.stderr[-2000:]


def is_named(plant: Plant) -> bool:
    """Whether validation names the plant's step."""
    found = named(plant.name)[0]
    return found != "" and found in steps_of(plant)


def steps_of(plant: Plant) -> list[str]:
    if plant.step == "race":
        return RACE
    return [plant.step] if plant.step == "machine code" else plant.step.split()


def main(names: Sequence[str]) -> int:
    chosen = [BY_NAME[name] for name in names] or [plant for plant in PLANTS if plant.step]
    right = 0
    for plant in chosen:
        found, text = named(plant.name)
        right += found in steps_of(plant)
        print(f"{plant.name:24} {plant.step:32} {found or 'not found':20} {plant.why}", flush=True)
        if names:
            print(text)
    print(f"{right} of {len(chosen)} planted faults named by their step")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        look(sys.argv[2])
    elif sys.argv[1:2] == ["--many"]:
        look_at(sys.argv[2:])
    else:
        sys.exit(main(sys.argv[1:]))
