"""Nested containers of arrays: taken apart into leaves and put together again. A leaf module.

| container | children |
|---|---|
| dict | values in sorted key order |
| OrderedDict | values in the order of insertion, which is part of the structure |
| list, tuple, namedtuple | items |
| dataclass instance | fields; those with ``field(metadata={"static": True})`` belong to the structure instead |
| None | none |
| a class given to ``register`` | what its flatten function returns |

Everything else is a leaf.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

from leptonc.errors import TreeError

IsLeaf = Callable[[Any], bool] | None


class TreeDef:
    """The structure of a tree without its leaves: hashable, comparable, printable.

    ``kind`` is the container's class (the class ``object`` stands for a leaf), ``data`` what the class needs beside
    its children: dict keys, static fields, what a registered flatten returned.
    """

    __slots__ = ("_hash", "children", "data", "kind", "num_leaves")

    def __init__(self, kind: type, data: Hashable = None, children: tuple[TreeDef, ...] = ()):
        self.kind = kind
        self.data = data
        self.children = children
        self.num_leaves: int = 1 if kind is object else sum(child.num_leaves for child in children)
        self._hash: int | None = None

    @property
    def is_leaf(self) -> bool:
        return self.kind is object

    def paths(self, root: str = "") -> list[str]:
        """The name of every leaf: ``params['conv1']['kernel']`` for a root of ``params``."""
        if self.is_leaf:
            return [root]
        found: list[str] = []
        for name, child in zip(_child_names(self), self.children):
            found += child.paths(root + name)
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TreeDef):
            return NotImplemented
        if self is other:
            return True
        return self.kind is other.kind and self.data == other.data and self.children == other.children

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((self.kind, self.data, self.children))
        return self._hash

    def __repr__(self) -> str:
        return f"TreeDef({self})"

    def __str__(self) -> str:
        if self.is_leaf:
            return "*"
        parts = [str(child) for child in self.children]
        if self.kind is tuple:
            return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
        if self.kind is list:
            return f"[{', '.join(parts)}]"
        if self.kind is type(None):
            return "None"
        if self.kind is dict:
            return "{" + ", ".join(f"{key!r}: {part}" for key, part in zip(_keys(self), parts)) + "}"
        named = (f"{name.lstrip('.')}={part}" for name, part in zip(_child_names(self), parts))
        return f"{self.kind.__name__}({', '.join(named)})"


LEAF = TreeDef(object)

Flatten = Callable[[Any], tuple[Iterable[Any], Hashable]]
Unflatten = Callable[[Any, tuple[Any, ...]], Any]

_REGISTRY: dict[type, tuple[Flatten, Unflatten]] = {}
_leaf_types: set[type] = set()  # classes that were found to be no containers: most of what is flattened


def register(cls: type, flatten: Flatten, unflatten: Unflatten) -> None:
    """Make instances of exactly ``cls`` containers.

    ``flatten(instance)`` returns (children, data), ``data`` hashable; ``unflatten(data, children)`` the instance.
    Raises TreeError if ``cls`` is one already.
    """
    if cls in _REGISTRY:
        raise TreeError(f"tree.register: {cls.__name__} is a container already")
    _REGISTRY[cls] = (flatten, unflatten)
    _leaf_types.discard(cls)


def flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeDef]:
    """The leaves of ``tree`` from left to right, and its structure. ``is_leaf(x)`` stops at containers it accepts."""
    found: list[Any] = []
    return found, _flatten_into(tree, found, is_leaf)


def _flatten_into(tree: Any, found: list[Any], is_leaf: IsLeaf) -> TreeDef:
    parts = None if is_leaf is not None and is_leaf(tree) else _take_apart(tree)
    if parts is None:
        found.append(tree)
        return LEAF
    items, data = parts
    children = []
    for item in items:  # a loop: a comprehension would take a second Python frame per level
        children.append(_flatten_into(item, found, is_leaf))
    return TreeDef(type(tree), data, tuple(children))


def flatten_as(treedef: TreeDef, tree: Any) -> list[Any] | None:
    """The leaves of ``tree`` if ``treedef`` is its structure, else None: what ``flatten`` finds, with less work."""
    found: list[Any] = []
    return found if _flatten_as(treedef, tree, found) else None


def _flatten_as(treedef: TreeDef, tree: Any, found: list[Any]) -> bool:
    cls = type(tree)
    if cls in _leaf_types:
        found.append(tree)
        return treedef.kind is object
    if cls is not treedef.kind:
        return False
    if cls is dict and _as_sorted(treedef, tree, found):
        return True
    parts = _take_apart(tree)
    if parts is None or parts[1] != treedef.data:
        return False
    items = list(parts[0])
    return len(items) == len(treedef.children) and all(_flatten_as(c, x, found) for c, x in zip(treedef.children, items))


def _as_sorted(treedef: TreeDef, tree: dict[Any, Any], found: list[Any]) -> bool:
    """A dict with these keys, whatever their order: nothing to sort. Leaves ``found`` as it was if it is not one."""
    start, keys = len(found), _keys(treedef)
    if len(tree) == len(keys):
        for key, child in zip(keys, treedef.children):
            if key not in tree or not _flatten_as(child, tree[key], found):
                break
        else:
            return True
    del found[start:]
    return False


def unflatten(treedef: TreeDef, leaves: Iterable[Any]) -> Any:
    """The tree of structure ``treedef`` with these leaves. Raises TreeError if their number is not its own."""
    items = list(leaves)
    if len(items) != treedef.num_leaves:
        raise TreeError(f"tree.unflatten: {treedef} has {treedef.num_leaves} leaves, got {len(items)}")
    return _build(treedef, iter(items))


def _build(treedef: TreeDef, leaves: Any) -> Any:
    if treedef.is_leaf:
        return next(leaves)
    children = []
    for child in treedef.children:
        children.append(_build(child, leaves))
    return put_together(treedef, children)


def leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves of ``tree`` from left to right."""
    return flatten(tree, is_leaf)[0]


def structure(tree: Any, is_leaf: IsLeaf = None) -> TreeDef:
    """The structure of ``tree``."""
    return flatten(tree, is_leaf)[1]


def flatten_with_path(tree: Any, root: str = "", is_leaf: IsLeaf = None) -> tuple[list[tuple[str, Any]], TreeDef]:
    """As ``flatten``, each leaf with its name: ``(root['conv1'].kernel[0], leaf)``."""
    items, treedef = flatten(tree, is_leaf)
    return list(zip(treedef.paths(root), items)), treedef


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None) -> Any:
    """``f`` of each leaf of ``tree`` and what stands at its place in every tree of ``rest``, in ``tree``'s structure.

    A tree of ``rest`` may go deeper than ``tree``; ``f`` gets the subtree then. Raises TreeError naming the path where
    one differs.
    """
    items, treedef = flatten(tree, is_leaf)
    columns = [items] + [flatten_up_to(treedef, other) for other in rest]
    return unflatten(treedef, [f(*row) for row in zip(*columns)])


def flatten_up_to(treedef: TreeDef, tree: Any, root: str = "") -> list[Any]:
    """The subtrees of ``tree`` at the leaves of ``treedef``. Raises TreeError naming the path where they differ."""
    found: list[Any] = []
    _flatten_up_to(treedef, tree, root, found)
    return found


def _flatten_up_to(treedef: TreeDef, tree: Any, path: str, found: list[Any]) -> None:
    if treedef.is_leaf:
        found.append(tree)
        return
    where = f"trees differ at {path or 'the root'}"
    parts = _take_apart(tree)
    if parts is None:
        raise TreeError(f"{where}: expected {_kind_text(treedef)}, got a leaf {_short(tree)}")
    items = list(parts[0])
    # Children of the node itself are not compared here: the recursion does, with the longer path.
    got = TreeDef(type(tree), parts[1], (LEAF,) * len(items))
    reason = _node_difference(treedef, got)
    if reason:
        raise TreeError(f"{where}: {reason}")
    for name, child, item in zip(_child_names(treedef), treedef.children, items):
        _flatten_up_to(child, item, path + name, found)


def difference(expected: TreeDef, got: TreeDef, root: str = "") -> str | None:
    """``params['a']: expected a dict, got a list`` for the first place where two structures differ, or None."""
    reason = _node_difference(expected, got)
    if reason:
        return f"{root or 'the root'}: {reason}"
    for name, left, right in zip(_child_names(expected), expected.children, got.children):
        found = difference(left, right, root + name)
        if found:
            return found
    return None


def _node_difference(expected: TreeDef, got: TreeDef) -> str | None:
    """How two nodes differ, their children left aside."""
    if expected.kind is not got.kind:
        return f"expected {_kind_text(expected)}, got {_kind_text(got)}"
    if expected.kind in (dict, OrderedDict) and expected.data != got.data:
        return _keys_difference(_keys(expected), _keys(got))
    if len(expected.children) != len(got.children):
        return f"expected {len(expected.children)} items, got {len(got.children)}"
    if expected.data != got.data:
        return f"{expected.kind.__name__} expected with {expected.data!r}, got {got.data!r}"
    return None


def _keys_difference(expected: Sequence[Any], got: Sequence[Any]) -> str:
    missing = [key for key in expected if key not in got]
    extra = [key for key in got if key not in expected]
    if missing or extra:
        parts = [f"{what} {', '.join(repr(key) for key in keys)}" for what, keys in
                 (("missing", missing), ("unexpected", extra)) if keys]
        return f"keys differ: {'; '.join(parts)}"
    return f"keys in another order: expected {list(expected)!r}, got {list(got)!r}"


def _keys(treedef: TreeDef) -> tuple[Any, ...]:
    assert isinstance(treedef.data, tuple)
    return treedef.data


def _kind_text(treedef: TreeDef) -> str:
    if treedef.is_leaf:
        return "a leaf"
    return "None" if treedef.kind is type(None) else f"a {treedef.kind.__name__}"


def _short(tree: Any) -> str:
    text = repr(tree)
    return text if len(text) <= 40 else text[:37] + "..."


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


def _child_names(treedef: TreeDef) -> list[str]:
    kind = treedef.kind
    if kind in (dict, OrderedDict):
        return [f"[{key!r}]" for key in _keys(treedef)]
    if kind not in _REGISTRY and _is_namedtuple(kind):
        return [f".{name}" for name in _fields_of(kind)]
    if kind not in _REGISTRY and dataclasses.is_dataclass(kind):
        return [f".{name}" for name in _split_fields(kind)[0]]
    return [f"[{i}]" for i in range(len(treedef.children))]


def _sorted_keys(tree: dict[Any, Any]) -> tuple[Any, ...]:
    try:
        return tuple(sorted(tree))
    except TypeError:
        raise TreeError(f"a dict with keys {_short(list(tree))} cannot be flattened: the keys have no order; "
                        "fix: use keys of one type, or an OrderedDict") from None


def _take_apart(tree: Any) -> tuple[Iterable[Any], Hashable] | None:
    """(children, data) of a container, None for a leaf."""
    cls = type(tree)
    if cls in _leaf_types:
        return None
    if cls in _REGISTRY:
        return _REGISTRY[cls][0](tree)
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
    _leaf_types.add(cls)
    return None


def is_plain(treedef: TreeDef) -> bool:
    """Whether the node is a tuple, named or not, a list, a dict or None: its children can be had without its help."""
    kind = treedef.kind
    return kind not in _REGISTRY and (kind in (tuple, list, dict, type(None)) or _is_namedtuple(kind))


def put_together(treedef: TreeDef, children: list[Any]) -> Any:
    """The container at the root of ``treedef``, of these children."""
    kind = treedef.kind
    if kind in _REGISTRY:
        return _REGISTRY[kind][1](treedef.data, tuple(children))
    if kind is tuple or kind is list:
        return kind(children)
    if kind is dict or kind is OrderedDict:
        return kind(zip(_keys(treedef), children))
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
    for name, value in zip(static, _keys(treedef)):
        object.__setattr__(instance, name, value)
    return instance
