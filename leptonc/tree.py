"""Nested containers of arrays: taken apart into leaves and put together again. A leaf module.

| container | children |
|---|---|
| dict | values in sorted key order |
| OrderedDict | values in the order of insertion, which is part of the structure |
| list, tuple, namedtuple | items |
| dataclass instance | fields; those with ``field(metadata={"static": True})`` belong to the structure instead |
| None | none |
| a class given to ``register`` | what its flatten function returns |
| ``leptonc.nn.Module`` | fields that hold arrays or containers of them; others belong to the structure |

Everything else is a leaf.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from leptonc.errors import ArgumentError, TreeError, describe
from leptonc.public import publish

IsLeaf = Callable[[Any], bool] | None


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
        open_: list[tuple[TreeDef, _Place]] = [(self, (None, root))]
        while open_:
            node, place = open_.pop()
            if node.is_leaf:
                found.append(_path(place))
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


_Place = tuple[Any, str]  # where a node stands: its parent's place (None above the root), and its own name there


def _path(place: Any) -> str:
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
        return "{" + ", ".join(f"{key!r}: {part}" for key, part in zip(_keys(node), parts)) + "}"
    named = (f"{name.lstrip('.')}={part}" for name, part in zip(child_names(node), parts))
    return f"{node.kind.__name__}({', '.join(named)})"


def _of_tree_util(name: str) -> Any:
    return getattr(importlib.import_module("leptonc.tree_util"), name)


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
_leaf_types: set[type] = set()  # classes that were found to be no containers: most of what is flattened


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
    _leaf_types.discard(cls)


def flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeDef]:
    """The leaves of ``tree`` from left to right, and its structure. ``is_leaf(x)`` stops at containers it accepts.

    Raises TreeError for a container that holds itself.
    """
    if is_leaf is not None and not callable(is_leaf):
        raise ArgumentError(f"tree: is_leaf={_short(is_leaf)} must be a function")
    found: list[Any] = []
    top = _Open(None, object, None, iter((tree,)))
    stack, around = [top], set[int]()
    while stack:
        here = stack[-1]
        for item in here.items:
            parts = None if is_leaf is not None and is_leaf(item) else take_apart(item)
            if parts is None:
                found.append(item)
                here.children.append(LEAF)
                continue
            if id(item) in around:
                raise TreeError(f"tree: a {type(item).__name__} contains itself, so it has no end")
            stack.append(_Open(item, type(item), parts[1], iter(parts[0])))
            if item is not None:  # of which there is only one
                around.add(id(item))
            break
        else:
            stack.pop()
            around.discard(id(here.container))
            if stack:
                stack[-1].children.append(TreeDef(here.kind, here.data, tuple(here.children)))
    return found, top.children[0]


class _Open:
    """A container whose children are being flattened, which keeps it alive; ``items`` are those to come."""

    __slots__ = ("children", "container", "data", "items", "kind")

    def __init__(self, container: Any, kind: type, data: Hashable, items: Iterator[Any]):
        self.container, self.kind, self.data, self.items = container, kind, data, items
        self.children: list[TreeDef] = []


def flatten_as(treedef: TreeDef, tree: Any) -> list[Any] | None:
    """The leaves of ``tree`` if ``treedef`` is its structure, else None: what ``flatten`` finds, with less work."""
    if treedef.depth > DEEP:
        found, structure = flatten(tree)
        return found if structure == treedef else None
    found = []
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
    parts = take_apart(tree)
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
    if not isinstance(treedef, TreeDef):
        raise ArgumentError(f"tree.unflatten: treedef={_short(treedef)} must be what tree.structure gives")
    if not isinstance(leaves, Iterable):
        raise ArgumentError(f"tree.unflatten: leaves={_short(leaves)} must be a list of them")
    items = list(leaves)
    if len(items) != treedef.num_leaves:
        raise TreeError(f"tree.unflatten: {treedef} has {treedef.num_leaves} leaves, got {len(items)}")
    rest = iter(items)
    made: list[Any] = []
    for node in treedef.children_first():
        if node.is_leaf:
            made.append(next(rest))
            continue
        first = len(made) - len(node.children)
        children = made[first:]
        del made[first:]
        made.append(put_together(node, children))
    return made[0]


def leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves of ``tree`` from left to right."""
    return flatten(tree, is_leaf)[0]


def structure(tree: Any, is_leaf: IsLeaf = None) -> TreeDef:
    """The structure of ``tree``."""
    return flatten(tree, is_leaf)[1]


def flatten_with_names(tree: Any, root: str = "", is_leaf: IsLeaf = None) -> tuple[list[tuple[str, Any]], TreeDef]:
    """As ``flatten``, each leaf with its name: ``(root['conv1'].kernel[0], leaf)``."""
    _check_structures("flatten_with_names", root)
    items, treedef = flatten(tree, is_leaf)
    return list(zip(treedef.paths(root), items)), treedef


def _check_structures(name: str, root: Any, *treedefs: Any) -> None:
    if not isinstance(root, str):
        raise ArgumentError(f"tree.{name}: root={_short(root)} must be a string")
    for treedef in treedefs:
        if not isinstance(treedef, TreeDef):
            raise ArgumentError(f"tree.{name}: {_short(treedef)} must be what tree.structure gives")


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None) -> Any:
    """``f`` of each leaf of ``tree`` and what stands at its place in every tree of ``rest``, in ``tree``'s structure.

    A tree of ``rest`` may go deeper than ``tree``; ``f`` gets the subtree then. Raises TreeError naming the path where
    one differs.
    """
    if not callable(f):
        raise ArgumentError(f"tree.map: f={_short(f)} must be a function; fix: tree.map(f, tree)")
    items, treedef = flatten(tree, is_leaf)
    columns = [items] + [flatten_up_to(treedef, other) for other in rest]
    return unflatten(treedef, [f(*row) for row in zip(*columns)])


def flatten_up_to(treedef: TreeDef, tree: Any, root: str = "") -> list[Any]:
    """The subtrees of ``tree`` at the leaves of ``treedef``. Raises TreeError naming the path where they differ."""
    _check_structures("flatten_up_to", root, treedef)
    found: list[Any] = []
    open_: list[tuple[TreeDef, Any, _Place]] = [(treedef, tree, (None, root))]
    while open_:
        node, item, place = open_.pop()
        if node.is_leaf:
            found.append(item)
            continue
        items = _matching(node, item, place)
        open_ += [(child, x, (place, name)) for name, child, x in zip(child_names(node), node.children, items)][::-1]
    return found


def _matching(node: TreeDef, tree: Any, place: _Place) -> list[Any]:
    """The children of ``tree``, a container like ``node``. Raises TreeError if it is not."""
    parts = take_apart(tree)
    if parts is None:
        raise TreeError(f"trees differ at {_path(place) or 'the root'}: expected {_kind_text(node)}, got a leaf {_short(tree)}")
    items = list(parts[0])
    # Children are not compared here, but where their own turn comes, with the longer path.
    reason = _node_difference(node, TreeDef(type(tree), parts[1], (LEAF,) * len(items)))
    if reason:
        raise TreeError(f"trees differ at {_path(place) or 'the root'}: {reason}")
    return items


def difference(expected: TreeDef, got: TreeDef, root: str = "") -> str | None:
    """``params['a']: expected a dict, got a list`` for the first place where two structures differ, or None."""
    _check_structures("difference", root, expected, got)
    open_: list[tuple[TreeDef, TreeDef, _Place]] = [(expected, got, (None, root))]
    while open_:
        left, right, place = open_.pop()
        reason = _node_difference(left, right)
        if reason:
            return f"{_path(place) or 'the root'}: {reason}"
        open_ += [(a, b, (place, name)) for name, a, b in zip(child_names(left), left.children, right.children)][::-1]
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
    return describe(tree, 40)


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


def take_apart(tree: Any) -> tuple[Iterable[Any], Hashable] | None:
    """(children, data) of a container, None for a leaf."""
    cls = type(tree)
    if cls in _leaf_types:
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
    _leaf_types.add(cls)
    return None


def is_container(cls: type) -> bool:
    """Whether instances of a class are taken apart."""
    return (cls in _REGISTRY or cls in (dict, OrderedDict, list, tuple, type(None)) or _is_namedtuple(cls)
            or dataclasses.is_dataclass(cls))


def _registered_parts(cls: type, tree: Any) -> tuple[Iterable[Any], Hashable]:
    parts = _REGISTRY[cls][0](tree)
    if not isinstance(parts, tuple) or len(parts) != 2 or not isinstance(parts[0], Iterable) or not isinstance(parts[1], Hashable):
        raise TreeError(f"tree.register: flatten of {cls.__name__} must return (children, data), data hashable; "
                        f"got {_short(parts)}")
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


_LATER = ("all", "broadcast", "flatten_with_path", "leaves_with_path", "map_with_path", "reduce", "reduce_associative", "static",
          "transpose")  # made of these
__all__ = [
    *_LATER, "TreeDef", "difference", "flatten", "flatten_up_to", "flatten_with_names", "leaves", "map", "register", "structure",
    "unflatten",
]

publish(globals(), [name for name in __all__ if name not in _LATER], later={
    name: partial(_of_tree_util, name if name == "static" else f"tree_{name}") for name in _LATER})
