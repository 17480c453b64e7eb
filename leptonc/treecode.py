"""A structure's own code: Python functions written for one TreeDef, which take a tree apart and put it together without a
step of recursion for each node.

A call of compiled code does both each time; for a small model that would take longer than the step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from leptonc.containers import DEEP, Attributes, TreeDef, attributes_of, is_plain, put_together, take_apart
from leptonc.tree import flatten_as, unflatten

Flattener = Callable[[Any], list[Any] | None]
Builder = Callable[[Sequence[Any]], Any]


class _Writer:
    """Lines of one function, and the constants they name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.constants: dict[str, Any] = {}
        self.count = 0

    def name(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def constant(self, value: Any) -> str:
        name = f"K{len(self.constants)}"
        self.constants[name] = value
        return name

    def function(self, head: str, name: str) -> Any:
        names: dict[str, Any] = {**self.constants, "__name__": __name__}  # whose code it is
        exec(compile("\n".join([head, *(f"    {line}" for line in self.lines)]), "<tree>", "exec"), names)
        return names[name]


def flattener(treedef: TreeDef) -> Flattener:
    """A function that gives the leaves of a tree if ``treedef`` is its structure, else None.

    What stands where a leaf is expected is not looked at: it may be a container.
    """
    if treedef.depth > DEEP:
        return functools.partial(flatten_as, treedef)
    w = _Writer()
    w.lines.append("try:")
    inner = _Writer()
    inner.constants = w.constants
    leaves = _take(inner, treedef, "tree")
    w.lines += [f"    {line}" for line in inner.lines]
    w.lines += [f"    return [{', '.join(leaves)}]", "except KeyError:", "    return None"]
    function: Flattener = w.function("def flatten(tree):", "flatten")
    return function


def _take(w: _Writer, treedef: TreeDef, source: str) -> list[str]:
    """Lines that check ``source`` and name its children; returns the leaves as items of a list display."""
    if treedef.is_leaf:
        return [source]
    kind, count = treedef.kind, len(treedef.children)
    if not is_plain(treedef):
        attributes = attributes_of(kind)
        return _take_by_its_own(w, treedef, source) if attributes is None else _take_attributes(w, treedef, source, attributes)
    if kind is type(None):
        w.lines.append(f"if {source} is not None: return None")
        return []
    w.lines.append(f"if type({source}) is not {w.constant(kind)} or len({source}) != {count}: return None")
    names = [w.name() for _ in treedef.children]
    if kind is dict:
        assert isinstance(treedef.data, tuple)
        w.lines += [f"{name} = {source}[{w.constant(key)}]" for name, key in zip(names, treedef.data)]
    elif names:
        w.lines.append(f"{', '.join(names)}, = {source}")
    return [leaf for child, name in zip(treedef.children, names) for leaf in _take(w, child, name)]


def _take_attributes(w: _Writer, treedef: TreeDef, source: str, attributes: Attributes) -> list[str]:
    """A container whose children are attributes, or stand in such, a module: lines that name them."""
    data, known = w.name(), w.constant(treedef.data)
    w.lines += [f"if type({source}) is not {w.constant(treedef.kind)}: return None",
                f"{data} = {source}.{attributes.data}",
                f"if {data} is not {known} and {data} != {known}: return None"]
    names: list[str] = []
    for field in attributes.fields(treedef.data):
        if None in field.leaves:
            value = w.name()
            w.lines.append(f"{value} = {source}.{field.name}")
            names += [name for name, leaf in zip(_take(w, field.structure, value), field.leaves) if leaf is None]
    return [leaf for child, name in zip(treedef.children, names) for leaf in _take(w, child, name)]


def _take_by_its_own(w: _Writer, treedef: TreeDef, source: str) -> list[str]:
    """A container that is asked for its children, a module or another class that was registered: level by level."""
    found, data, known, names = w.name(), w.name(), w.constant(treedef.data), [w.name() for _ in treedef.children]
    w.lines += [f"if type({source}) is not {w.constant(treedef.kind)}: return None",
                f"{found}, {data} = {w.constant(take_apart)}({source})",
                f"if {data} is not {known} and {data} != {known}: return None",
                f"{found} = [*{found}]",
                f"if len({found}) != {len(names)}: return None"]
    if names:
        w.lines.append(f"{', '.join(names)}, = {found}")
    return [leaf for child, name in zip(treedef.children, names) for leaf in _take(w, child, name)]


def builder(treedef: TreeDef) -> Builder:
    """A function that makes the tree of a sequence of as many leaves as the structure has."""
    if treedef.depth > DEEP:
        return functools.partial(unflatten, treedef)
    w = _Writer()
    leaves = [w.name() for _ in range(treedef.num_leaves)]
    if leaves:
        w.lines.append(f"{', '.join(leaves)}, = leaves")
    w.lines.append(f"return {_put(w, treedef, iter(leaves))}")
    function: Builder = w.function("def build(leaves):", "build")
    return function


def _put(w: _Writer, treedef: TreeDef, leaves: Any) -> str:
    """Lines that make the children, one after the other (expressions would nest); returns the name of the whole."""
    if treedef.is_leaf:
        return str(next(leaves))
    parts = [_put(w, child, leaves) for child in treedef.children]
    attributes = attributes_of(treedef.kind)
    if attributes is not None:
        return _put_attributes(w, treedef, parts, attributes)
    made, kind = w.name(), treedef.kind
    listed = ", ".join(parts)
    if kind is tuple:
        text = f"({listed},)" if parts else "()"
    elif kind is list:
        text = f"[{listed}]"
    elif kind is dict:
        assert isinstance(treedef.data, tuple)
        text = "{" + ", ".join(f"{w.constant(key)}: {part}" for key, part in zip(treedef.data, parts)) + "}"
    elif kind is type(None):
        text = "None"
    elif is_plain(treedef):  # a named tuple
        text = f"{w.constant(kind)}({listed})"
    else:
        text = f"{w.constant(put_together)}({w.constant(treedef)}, [{listed}])"
    w.lines.append(f"{made} = {text}")
    return made


def _put_attributes(w: _Writer, treedef: TreeDef, parts: list[str], attributes: Attributes) -> str:
    """Lines that make an instance without its constructor and set what it holds, also where it is frozen."""
    made, rest, put = w.name(), iter(parts), w.constant(object.__setattr__)
    w.lines.append(f"{made} = {w.constant(object.__new__)}({w.constant(treedef.kind)})")
    for field in attributes.fields(treedef.data):
        whole = [next(rest) if leaf is None else w.constant(leaf[1]) for leaf in field.leaves]
        w.lines.append(f"{put}({made}, {field.name!r}, {_put(w, field.structure, iter(whole))})")
    w.lines.append(f"{put}({made}, {attributes.data!r}, {w.constant(treedef.data)})")
    return made
