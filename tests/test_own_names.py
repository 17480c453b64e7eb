"""What tests, benchmarks and examples ask of the project's modules is there.

Comparisons with a peer are not run where it is not installed, so that a name they need can go without a test that fails.
"""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
OWN = ("leptonc", "tests", "benchmarks", "keras_leptonc")
FILES = [path for folder in ("tests", "benchmarks", "examples") for path in sorted((ROOT / folder).rglob("*.py"))]


def own_module(name: str) -> ModuleType | None:
    """The module, or None if there is none or if it needs what is not installed."""
    try:
        return importlib.import_module(name)
    except (ImportError, pytest.skip.Exception):  # the latter by importorskip
        return None


def nodes(text: str) -> list[ast.AST]:
    """All of a program, but what is to fail."""
    out, open_ = list[ast.AST](), list[ast.AST]([ast.parse(text)])
    while open_:
        node = open_.pop()
        out.append(node)
        thunk = isinstance(node, ast.Lambda) and not node.args.args  # of a table of what fails, mostly
        if not (thunk or (isinstance(node, ast.With) and "raises(" in ast.unparse(node.items[0]))):
            open_ += ast.iter_child_nodes(node)
    return out


def asked(parsed: list[ast.AST]) -> list[tuple[str, str]]:
    """(module, name) for each name that is imported from one of ours, or is an attribute of one that is imported whole."""
    found, modules = list[tuple[str, str]](), dict[str, str]()
    for node in parsed:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in OWN:
            found += [(node.module, alias.name) for alias in node.names if alias.name != "*"]
            modules.update((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)
    bound = {node.id for node in parsed if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in parsed if isinstance(node, ast.arg)}
    return found + [(modules[node.value.id], node.attr) for node in parsed if isinstance(node, ast.Attribute)
                    and isinstance(node.value, ast.Name) and node.value.id in modules.keys() - bound]


def missing(parsed: list[ast.AST]) -> list[str]:
    """Of what is asked, what is not there; of a module that cannot be imported here nothing is known."""
    return [f"{name}.{attribute}" for name, attribute in dict.fromkeys(asked(parsed)) if not is_there(name, attribute)]


def is_there(name: str, attribute: str) -> bool:
    module, place = own_module(name), ROOT / name.replace(".", "/") / attribute
    return (module is None or attribute in dir(module) or hasattr(module, attribute) or place.is_dir()
            or place.with_suffix(".py").exists())


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_names_are_there(file):
    assert missing(nodes(file.read_text())) == []


def test_a_missing_name_is_found():
    text = ("from tests.fuzz import jaxpeer\nfrom leptonc import lax, nn\nfrom leptonc.tree import maps\n"
            "jaxpeer.EXTREME.search(lax.scan, nn.rellu)\nwith pytest.raises(AttributeError):\n    nn.tanhh")
    assert sorted(missing(nodes(text))) == ["leptonc.nn.rellu", "leptonc.tree.maps", "tests.fuzz.jaxpeer.EXTREME"]
