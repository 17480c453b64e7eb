"""A hook of mkdocs: one page for each public module, with every public name's signature and docstring, made from leptonc itself."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

MODULES = {
    "leptonc": "compiling, differentiating, vectorizing",
    "leptonc.numpy": "NumPy's names, compiled and differentiable",
    "leptonc.numpy.linalg": "linear algebra",
    "leptonc.numpy.fft": "Fourier transforms",
    "leptonc.lax": "what lies below: loops, branches, convolutions, gathers, reductions",
    "leptonc.nn": "layers, activations, losses, modules",
    "leptonc.nn.initializers": "how weights begin",
    "leptonc.optim": "optimizers and schedules, in optax's shape",
    "leptonc.random": "random numbers, the same bits as JAX's",
    "leptonc.scipy.ndimage": "arrays read between their elements",
    "leptonc.scipy.special": "special functions",
    "leptonc.scipy.stats": "distributions",
    "leptonc.tree": "nested dicts, lists, tuples and modules",
    "leptonc.tree_util": "the same, by JAX's names",
    "leptonc.debug": "looking into a compiled program as it runs",
    "leptonc.segments": "sums over segments",
    "leptonc.data": "data before training: reports, cleaning, loaders",
    "leptonc.profile": "where the time goes",
    "leptonc.plot": "pictures of training",
    "leptonc.callbacks": "callbacks for Keras's fit",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    found = [(name, about, module) for name, about in MODULES.items() if (module := _imported(name)) is not None]
    rows = [f"| [`{name}`]({name}.md) | {about} | {len(public_names(module))} |" for name, about, module in found]
    head = ["# Reference", "", "Made from the code: every public name.", "", "| module | what | names |", "|---|---|---|"]
    index = "\n".join([*head, *rows, ""])
    files.append(File.generated(config, "reference/index.md", content=index))
    for name, about, module in found:
        files.append(File.generated(config, f"reference/{name}.md", content=page(name, about, module)))
    config.nav = [_with_pages(entry, [name for name, _, _ in found]) for entry in config.nav or []]
    return files


def _with_pages(entry: Any, names: list[str]) -> Any:
    """The navigation's entry, the reference's with its pages."""
    if entry != {"Reference": "reference/"}:
        return entry
    return {"Reference": ["reference/index.md", *({name: f"reference/{name}.md"} for name in names)]}


def _imported(name: str) -> ModuleType | None:
    """None for a module whose extra is not installed, or that is not there."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def public_names(module: ModuleType) -> list[str]:
    names = getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")]
    return sorted(names, key=lambda name: (name.lower(), name))


def page(name: str, about: str, module: ModuleType) -> str:
    lines = [f"# {name}", "", f"{about[0].upper()}{about[1:]}.", "", _quoted(inspect.getdoc(module) or ""), ""]
    for member in public_names(module):
        lines += entry(f"{name}.{member}", getattr(module, member))
    return "\n".join(lines) + "\n"


def entry(path: str, value: Any) -> Iterator[str]:
    """A heading for a name, and what it says of itself."""
    name = path.rsplit(".", 1)[1]
    yield f"## {name.replace('_', chr(92) + '_')} {{ #{anchor(name)} }}"
    yield ""
    if isinstance(value, ModuleType):
        yield f"The module `{value.__name__}`." + (f" See [its page]({value.__name__}.md)." if value.__name__ in MODULES else "")
        yield ""
        return
    yield f"```python\n{path}{signature(value)}\n```"
    yield ""
    if inspect.isclass(value) or callable(value):
        yield _quoted(inspect.getdoc(value) or "")
    else:
        yield f"`{value!r}`" if len(repr(value)) < 80 else f"A `{type(value).__name__}`."
    yield ""


def anchor(name: str) -> str:
    """Of a name; capitals are told from small letters."""
    return re.sub(r"[A-Z]", lambda letter: "-" + letter[0].lower(), name)


def signature(value: Any) -> str:
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return ""
    return re.sub(r" at 0x[0-9a-f]+", "", text.replace("'", ""))


def _quoted(text: str) -> str:
    """A docstring as Markdown: what Markdown would take for markup stands for itself."""
    text = text.replace("``", "`")
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if n % 2 else re.sub(r"([*_<>\[\]|])", r"\\\1", part) for n, part in enumerate(parts))
