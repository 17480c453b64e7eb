"""What one node of a tree is: its kind, what it holds beside its children, and how containers are taken apart and put together.
``tree`` has the kinds, and walks. A leaf module.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from leptonc.errors import ArgumentError, TreeError, describe


class TreeDef:
    """The structure of a tree without its leaves: hashable, comparable, printable.

    ``kind`` is the container's class (the class ``object`` stands for a leaf), ``data`` what the class needs beside
    its children: dict keys, static fields, what a registered flatten returned.
    """

    __slots__ = ("_hash", "children", "data", "depth", "kind", "num_leaves")

    def __init__(self, kind: type, data: Hashable = None, children: tuple[TreeDef, ...] = ()):
        self.kind = kind
        self.data = data
        self.children = children
        self.num_leaves: int = 1 if kind is object else sum(child.num_leaves for child in children)
        self.depth: int = 1 + max((child.depth for child in children), default=0)
        self._hash: int | None = None

    @property
    def is_leaf(self) -> bool:
        return self.kind is object

    def paths(self, root: str = "") -> list[str]:
        """The name of every leaf: ``params['conv1']['kernel']`` for a root of ``params``."""
        found: list[str] = []
        open_: list[tuple[TreeDef, Place]] = [(self, (None, root))]
        while open_:
            node, place = open_.pop()
            if node.is_leaf:
                found.append(path_of(place))
            open_ += [(child, (place, name)) for name, child in zip(child_names(node), node.children)][::-1]
        return found

    def children_first(self) -> list[TreeDef]:
        """Every node behind its children, from left to right."""
        order, open_ = [], [self]
        while open_:  # parents first, from right to left
            node = open_.pop()
            order.append(node)
            open_ += node.children
        return order[::-1]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeDef):
            return NotImplemented
        open_ = [(self, other)]
        while open_:
            a, b = open_.pop()
            if a is b:
                continue
            if a.kind is not b.kind or a.data != b.data or len(a.children) != len(b.children):
                return False
            open_ += zip(a.children, b.children)
        return True

    def __hash__(self) -> int:
        if self._hash is None:
            for node in self.children_first():
                if node._hash is None:
                    node._hash = hash((node.kind, node.data, tuple(child._hash for child in node.children)))
        assert self._hash is not None
        return self._hash

    def __repr__(self) -> str:
        return f"TreeDef({self})"

    def __str__(self) -> str:
        made: list[str] = []
        for node in self.children_first():
            first = len(made) - len(node.children)
            parts, made = made[first:], made[:first]
            made.append(_node_text(node, parts))
        return made[0]


Place = tuple[Any, str]  # where a node stands: its parent's place (None above the root), and its own name there


def path_of(place: Any) -> str:
    """A place in words, from the root on."""
    names = []
    while place is not None:
        place, name = place
        names.append(name)
    return "".join(reversed(names))


def _node_text(node: TreeDef, parts: list[str]) -> str:
    if node.is_leaf:
        return "*"
    if node.kind is tuple:
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    if node.kind is list:
        return f"[{', '.join(parts)}]"
    if node.kind is type(None):
        return "None"
    if node.kind is dict:
        return "{" + ", ".join(f"{key!r}: {part}" for key, part in zip(keys_of(node), parts)) + "}"
    named = (f"{name.lstrip('.')}={part}" for name, part in zip(child_names(node), parts))
    return f"{node.kind.__name__}({', '.join(named)})"


LEAF = TreeDef(object)
DEEP = 100  # levels from which recursion, which is faster, might reach Python's limit

Flatten = Callable[[Any], tuple[Iterable[Any], Hashable]]
Unflatten = Callable[[Any, tuple[Any, ...]], Any]


class Field(NamedTuple):
    """An attribute of a container: its structure down to the container's children, and what its leaves are: None for a child, else
    what is static, with its type: 1 is not True."""

    name: str
    structure: TreeDef
    leaves: tuple[tuple[type, Hashable] | None, ...]


class Attributes(NamedTuple):
    """How instances of a class hold what flatten gives and unflatten sets: the attribute that is the data, and of such data the
    fields, whose children in order are the container's."""

    data: str
    fields: Callable[[Any], Sequence[Field]]


_REGISTRY: dict[type, tuple[Flatten, Unflatten]] = {}
_ATTRIBUTES: dict[type, Attributes] = {}  # of registered classes that say so
_CHILD_NAMES: dict[type, Callable[[Any], Sequence[str]]] = {}  # of registered classes whose children have names
leaf_types: set[type] = set()  # classes that were found to be no containers: most of what is flattened


def register_with_attributes(cls: type, flatten: Flatten, unflatten: Unflatten, names: Callable[[Any], Sequence[str]],
                             attributes: Attributes) -> None:
    """As ``register``, for a class of which code for one structure may do without its functions."""
    register(cls, flatten, unflatten, names)
    _ATTRIBUTES[cls] = attributes


def register(cls: type, flatten: Flatten, unflatten: Unflatten, names: Callable[[Any], Sequence[str]] | None = None) -> None:
    """Make instances of exactly ``cls`` containers.

    ``flatten(instance)`` returns (children, data), ``data`` hashable; ``unflatten(data, children)`` the instance.
    ``names(data)`` are the children's in paths, such as ``.kernel``; ``[0]``, ``[1]`` ... if left out.
    Raises TreeError if ``cls`` is one already.
    """
    if not isinstance(cls, type) or not callable(flatten) or not callable(unflatten) or not (names is None or callable(names)):
        raise ArgumentError("tree.register: wants a class and two functions, flatten and unflatten")
    if cls in _REGISTRY or cls in (dict, OrderedDict, list, tuple, type(None)):
        raise TreeError(f"tree.register: {cls.__name__} is a container already")
    _REGISTRY[cls] = (flatten, unflatten)
    if names is not None:
        _CHILD_NAMES[cls] = names
    leaf_types.discard(cls)


def keys_of(treedef: TreeDef) -> tuple[Any, ...]:
    assert isinstance(treedef.data, tuple)
    return treedef.data


def _is_namedtuple(cls: type) -> bool:
    return issubclass(cls, tuple) and hasattr(cls, "_fields")


def _fields_of(cls: Any) -> tuple[str, ...]:
    return cls._fields


def _split_fields(cls: type) -> tuple[list[str], list[str]]:
    """Names of the fields of a dataclass that are children, and of those that are static."""
    children: list[str] = []
    static: list[str] = []
    for field in dataclasses.fields(cls):
        (static if field.metadata.get("static") else children).append(field.name)
    return children, static


def child_names(treedef: TreeDef) -> list[str]:
    """What the children of a node are called in paths."""
    kind = treedef.kind
    if kind in _CHILD_NAMES:
        return list(_CHILD_NAMES[kind](treedef.data))
    if kind in (dict, OrderedDict):
        return [f"[{key!r}]" for key in keys_of(treedef)]
    if kind not in _REGISTRY and _is_namedtuple(kind):
        return [f".{name}" for name in _fields_of(kind)]
    if kind not in _REGISTRY and dataclasses.is_dataclass(kind):
        return [f".{name}" for name in _split_fields(kind)[0]]
    return [f"[{i}]" for i in range(len(treedef.children))]


def _sorted_keys(tree: dict[Any, Any]) -> tuple[Any, ...]:
    try:
        return tuple(sorted(tree))
    except TypeError:
        raise TreeError(f"a dict with keys {describe(list(tree), 40)} cannot be flattened: the keys have no order; "
                        "fix: use keys of one type, or an OrderedDict") from None


def take_apart(tree: Any) -> tuple[Iterable[Any], Hashable] | None:
    """(children, data) of a container, None for a leaf."""
    cls = type(tree)
    if cls in leaf_types:
        return None
    if cls in _REGISTRY:
        return _registered_parts(cls, tree)
    if cls is tuple or cls is list:
        return tree, None
    if cls is dict:
        keys = _sorted_keys(tree)
        return [tree[key] for key in keys], keys
    if tree is None:
        return (), None
    if cls is OrderedDict:
        return tree.values(), tuple(tree)
    if _is_namedtuple(cls):
        return tree, None
    if dataclasses.is_dataclass(cls):
        children, static = _split_fields(cls)
        return [getattr(tree, name) for name in children], tuple(getattr(tree, name) for name in static)
    leaf_types.add(cls)
    return None


def is_container(cls: type) -> bool:
    """Whether instances of a class are taken apart."""
    return (cls in _REGISTRY or cls in (dict, OrderedDict, list, tuple, type(None)) or _is_namedtuple(cls)
            or dataclasses.is_dataclass(cls))


def _registered_parts(cls: type, tree: Any) -> tuple[Iterable[Any], Hashable]:
    parts = _REGISTRY[cls][0](tree)
    if not isinstance(parts, tuple) or len(parts) != 2 or not isinstance(parts[0], Iterable) or not isinstance(parts[1], Hashable):
        raise TreeError(f"tree.register: flatten of {cls.__name__} must return (children, data), data hashable; "
                        f"got {describe(parts, 40)}")
    return parts


def is_plain(treedef: TreeDef) -> bool:
    """Whether the node is a tuple, named or not, a list, a dict or None: its children can be had without its help."""
    kind = treedef.kind
    return kind not in _REGISTRY and (kind in (tuple, list, dict, type(None)) or _is_namedtuple(kind))


def attributes_of(kind: type) -> Attributes | None:
    """How instances of a class hold their children, if it has said so."""
    return _ATTRIBUTES.get(kind)


def put_together(treedef: TreeDef, children: list[Any]) -> Any:
    """The container at the root of ``treedef``, of these children."""
    kind = treedef.kind
    if kind in _REGISTRY:
        return _REGISTRY[kind][1](treedef.data, tuple(children))
    if kind is tuple or kind is list:
        return kind(children)
    if kind is dict or kind is OrderedDict:
        return kind(zip(keys_of(treedef), children))
    if kind is type(None):
        return None
    if _is_namedtuple(kind):
        return kind(*children)
    return _new_dataclass(treedef, children)


def _new_dataclass(treedef: TreeDef, children: list[Any]) -> Any:
    """An instance made without ``__init__``: leaves may be anything, which its checks could refuse; and frozen."""
    instance: Any = object.__new__(treedef.kind)
    names, static = _split_fields(treedef.kind)
    for name, child in zip(names, children):
        object.__setattr__(instance, name, child)
    for name, value in zip(static, keys_of(treedef)):
        object.__setattr__(instance, name, value)
    return instance
