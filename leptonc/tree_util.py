"""JAX's ``tree_util``: ``leptonc.tree`` under JAX's names, paths as tuples of keys, and classes made containers.

A path has a key for each container on the way: ``DictKey``, ``SequenceKey`` (of lists and tuples), ``GetAttrKey`` (fields of
named tuples, dataclasses and modules), ``FlattenedIndexKey`` (of other registered classes).
"""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from leptonc import tree as _tree
from leptonc.arguments import flag, function
from leptonc.containers import LEAF, TreeDef, child_names, is_container, take_apart
from leptonc.errors import ArgumentError, ShapeError, TreeError, describe, op_error
from leptonc.public import publish
from leptonc.tree import IsLeaf

Cls = TypeVar("Cls", bound=type)
PyTreeDef = TreeDef
_UNSPECIFIED = object()


@dataclass(frozen=True)
class DictKey:
    """The key of a dict."""

    key: Hashable

    def __str__(self) -> str:
        return f"[{self.key!r}]"


@dataclass(frozen=True)
class SequenceKey:
    """A place in a list or tuple."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx!r}]"


@dataclass(frozen=True)
class GetAttrKey:
    """The name of a field."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True)
class FlattenedIndexKey:
    """A place among the children of a registered class."""

    key: int

    def __str__(self) -> str:
        return f"[<flat index {self.key}>]"


KeyEntry = Any
KeyPath = tuple[Any, ...]


def keystr(keys: KeyPath, *, simple: bool = False, separator: str = "") -> str:
    """A path in words: ``['conv'].kernel[0]``; with ``simple`` and a separator ``conv/kernel/0``."""
    if not isinstance(separator, str):
        raise ArgumentError(f"keystr: separator={describe(separator)} must be text")
    short = flag("keystr", "simple", simple)
    return separator.join(_simple(key) if short else str(key) for key in _iterable("keystr", "keys", keys))


def _simple(key: Any) -> str:
    for name in ("key", "idx", "name"):
        if hasattr(key, name):
            return str(getattr(key, name))
    return str(key)


def _keys(node: TreeDef) -> list[Any]:
    """The keys of a node's children."""
    if isinstance(node.data, _Keyed):
        return list(node.data.keys)
    if node.kind in (dict, OrderedDict):
        assert isinstance(node.data, tuple)
        return [DictKey(key) for key in node.data]
    if node.kind in (list, tuple):
        return [SequenceKey(n) for n in range(len(node.children))]
    names = enumerate(child_names(node))
    return [GetAttrKey(name[1:]) if name.startswith(".") else FlattenedIndexKey(n) for n, name in names]


def _paths(treedef: TreeDef) -> list[KeyPath]:
    """The path of every leaf."""
    found: list[KeyPath] = []
    open_: list[tuple[TreeDef, KeyPath]] = [(treedef, ())]
    while open_:
        node, path = open_.pop()
        if node.is_leaf:
            found.append(path)
        open_ += [(child, (*path, key)) for key, child in zip(_keys(node), node.children)][::-1] if node.children else []
    return found


def _callable(name: str, what: str, value: Any) -> None:
    if not callable(value):
        raise ArgumentError(f"tree.{name}: {what}={describe(value, 40)} must be a function")


def _structure(name: str, what: str, value: Any) -> TreeDef:
    if not isinstance(value, TreeDef):
        raise ArgumentError(f"tree.{name}: {what}={describe(value, 40)} must be what tree.structure gives")
    return value


# Leaves, with and without their paths


def tree_flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeDef]:
    """The leaves from left to right, and the structure. ``is_leaf(x)`` stops at containers it accepts."""
    return _tree.flatten(tree, is_leaf)


def tree_unflatten(treedef: TreeDef, leaves: Iterable[Any]) -> Any:
    """The tree of a structure with these leaves. Raises TreeError if their number is not its own."""
    return _tree.unflatten(treedef, leaves)


def tree_leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves from left to right."""
    return _tree.leaves(tree, is_leaf)


def tree_structure(tree: Any, is_leaf: IsLeaf = None) -> TreeDef:
    """The structure without the leaves."""
    return _tree.structure(tree, is_leaf)


def tree_map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None) -> Any:
    """``f`` of each leaf, and of what stands at its place in the trees of ``rest``."""
    return _tree.map(f, tree, *rest, is_leaf=is_leaf)


def tree_flatten_with_path(tree: Any, is_leaf: Callable[..., bool] | None = None,
                           is_leaf_takes_path: bool = False) -> tuple[list[tuple[KeyPath, Any]], TreeDef]:
    """(path, leaf) for each leaf, and the structure. With ``is_leaf_takes_path`` ``is_leaf`` gets the path, then what is there."""
    if is_leaf is not None:
        _callable("flatten_with_path", "is_leaf", is_leaf)
    if is_leaf is None or not is_leaf_takes_path:
        leaves, treedef = _tree.flatten(tree, is_leaf)
        return list(zip(_paths(treedef), leaves)), treedef
    found: list[tuple[KeyPath, Any]] = []
    return found, _walk(tree, (), is_leaf, found)


def _walk(item: Any, path: KeyPath, is_leaf: Callable[..., bool], found: list[tuple[KeyPath, Any]]) -> TreeDef:
    parts = None if is_leaf(path, item) else take_apart(item)
    if parts is None:
        found.append((path, item))
        return LEAF
    children = list(parts[0])
    node = TreeDef(type(item), parts[1], (LEAF,) * len(children))
    inner = tuple(_walk(child, (*path, key), is_leaf, found) for key, child in zip(_keys(node), children))
    return TreeDef(type(item), parts[1], inner)


def tree_leaves_with_path(tree: Any, is_leaf: Callable[..., bool] | None = None,
                          is_leaf_takes_path: bool = False) -> list[tuple[KeyPath, Any]]:
    """(path, leaf) for each leaf."""
    return tree_flatten_with_path(tree, is_leaf, is_leaf_takes_path)[0]


def tree_map_with_path(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: Callable[..., bool] | None = None,
                       is_leaf_takes_path: bool = False) -> Any:
    """``f(path, leaf, ...)`` of each leaf, and of what stands at its place in the trees of ``rest``."""
    _callable("map_with_path", "f", f)
    found, treedef = tree_flatten_with_path(tree, is_leaf, is_leaf_takes_path)
    columns = [_tree.flatten_up_to(treedef, other) for other in rest]
    return _tree.unflatten(treedef, [f(path, leaf, *(c[n] for c in columns)) for n, (path, leaf) in enumerate(found)])


def tree_reduce(function: Callable[[Any, Any], Any], tree: Any, initializer: Any = _UNSPECIFIED, is_leaf: IsLeaf = None) -> Any:
    """``function(function(initializer, first leaf), second leaf) ...``. Raises TreeError for no leaves and no initializer."""
    _callable("reduce", "function", function)
    leaves = _tree.leaves(tree, is_leaf)
    if initializer is not _UNSPECIFIED:
        return functools.reduce(function, leaves, initializer)
    if not leaves:
        raise TreeError("tree_reduce: a tree without leaves needs an initializer")
    return functools.reduce(function, leaves)


def tree_reduce_associative(operation: Callable[[Any, Any], Any], tree: Any, *, identity: Any = _UNSPECIFIED,
                            is_leaf: IsLeaf = None) -> Any:
    """The leaves joined in pairs, those again, and so on: log2 of their number deep. ``identity`` is of a tree without leaves."""
    _callable("reduce_associative", "operation", operation)
    leaves = _tree.leaves(tree, is_leaf)
    if not leaves:
        if identity is _UNSPECIFIED:
            raise TreeError("tree_reduce_associative: a tree without leaves needs an identity")
        return identity
    while len(leaves) > 1:
        rest = leaves[len(leaves) // 2 * 2:]
        leaves = [operation(a, b) for a, b in zip(leaves[::2], leaves[1::2])] + rest
    return leaves[0]


def tree_all(tree: Any, *, is_leaf: IsLeaf = None) -> bool:
    """Whether all leaves are true."""
    leaves = _tree.leaves(tree, is_leaf)
    for leaf in leaves:
        if isinstance(leaf, np.ndarray) and leaf.size != 1:
            raise op_error("tree.all", f"a leaf of shape {leaf.shape} is neither true nor false", {"leaf": leaf},
                           "leptonc.numpy.all of each leaf first", ShapeError)
    return all(leaves)


def all_leaves(iterable: Iterable[Any], is_leaf: IsLeaf = None) -> bool:
    """Whether none of some values is a container."""
    given = _iterable("all_leaves", "iterable", iterable)
    if is_leaf is not None:
        function("all_leaves", "is_leaf", is_leaf)
    return all((is_leaf is not None and is_leaf(x)) or take_apart(x) is None for x in given)


def _iterable(name: str, what: str, value: Any) -> Iterable[Any]:
    """Raises ArgumentError for what has no items."""
    try:
        return iter(value)
    except TypeError:
        raise ArgumentError(f"{name}: {what}={describe(value)} has no items; fix: a list or a tuple") from None


def tree_transpose(outer_treedef: TreeDef, inner_treedef: TreeDef | None, pytree_to_transpose: Any) -> Any:
    """A tree of structure ``outer`` whose leaves are trees of ``inner`` turned inside out. Without ``inner`` it is that of the
    first of them. Raises TreeError if the tree is not so."""
    outer = _structure("transpose", "outer_treedef", outer_treedef)
    if inner_treedef is not None:
        _structure("transpose", "inner_treedef", inner_treedef)
    parts = _tree.flatten_up_to(outer, pytree_to_transpose)
    inner = _tree.structure(parts[0]) if inner_treedef is None and parts else inner_treedef or LEAF
    rows = [_tree.flatten_up_to(inner, part) for part in parts]
    if not all(all_leaves(row) for row in rows):
        raise TreeError(f"tree_transpose: the tree goes deeper than {inner}")
    return _tree.unflatten(inner, [_tree.unflatten(outer, column) for column in zip(*rows)])


def tree_broadcast(prefix_tree: Any, full_tree: Any, is_leaf: IsLeaf = None) -> Any:
    """``full_tree`` with each leaf of ``prefix_tree`` in the place of all leaves that stand below it."""
    leaves, treedef = _tree.flatten(prefix_tree, is_leaf)
    parts = _tree.flatten_up_to(treedef, full_tree)
    found = [_tree.map(lambda _, leaf=leaf: leaf, part, is_leaf=is_leaf) for leaf, part in zip(leaves, parts)]
    return _tree.unflatten(treedef, found)


# Structures


def treedef_children(treedef: TreeDef) -> list[TreeDef]:
    """The structures of a container's children."""
    return list(_structure("treedef_children", "treedef", treedef).children)


def treedef_is_leaf(treedef: TreeDef) -> bool:
    """Whether it is a leaf, and no container."""
    return _structure("treedef_is_leaf", "treedef", treedef).is_leaf


def treedef_tuple(treedefs: Iterable[TreeDef]) -> TreeDef:
    """The structure of a tuple of trees."""
    given = _iterable("treedef_tuple", "treedefs", treedefs)
    return TreeDef(tuple, None, tuple(_structure("treedef_tuple", "treedefs", t) for t in given))


def flatten_one_level(tree: Any) -> tuple[Iterable[Any], Hashable]:
    """A container's children, and what its class needs beside them. Raises TreeError for a leaf."""
    parts = take_apart(tree)
    if parts is None:
        raise TreeError(f"flatten_one_level: a {type(tree).__name__} is no container")
    children, data = list(parts[0]), parts[1]
    return children, data.aux if isinstance(data, _Keyed) else data


def flatten_one_level_with_keys(tree: Any) -> tuple[Iterable[tuple[Any, Any]], Hashable]:
    """(key, child) for each of a container's children, and what its class needs beside them. Raises TreeError for a leaf."""
    children, data = flatten_one_level(tree)
    parts = take_apart(tree)
    assert parts is not None
    items = list(children)
    return list(zip(_keys(TreeDef(type(tree), parts[1], (LEAF,) * len(items))), items)), data


def is_tree_node(typ: type) -> bool:
    """Whether instances of a class are containers."""
    if not isinstance(typ, type):
        raise ArgumentError(f"is_tree_node: typ={describe(typ)} must be a class")
    return is_container(typ)


# Classes


class _Keyed:
    """What a class needs beside its children, and their keys, which are none of the structure."""

    def __init__(self, aux: Hashable, keys: Sequence[Any]):
        self.aux, self.keys = aux, keys

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and bool(self.aux == other.aux)

    def __hash__(self) -> int:
        return hash(self.aux)

    def __repr__(self) -> str:
        return repr(self.aux)


def register_pytree_node(nodetype: type, flatten_func: Callable[[Any], tuple[Iterable[Any], Hashable]],
                         unflatten_func: Callable[[Any, Any], Any], flatten_with_keys_func: Any = None) -> None:
    """Make instances of a class containers: ``flatten_func(x)`` gives (children, data), ``unflatten_func(data, children)`` x.
    ``flatten_with_keys_func`` gives ((key, child) ..., data). Raises TreeError for what is a container already."""
    if flatten_with_keys_func is None:
        _tree.register(nodetype, flatten_func, unflatten_func)
    else:
        register_pytree_with_keys(nodetype, flatten_with_keys_func, unflatten_func)


def register_pytree_with_keys(nodetype: type, flatten_with_keys: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Hashable]],
                              unflatten_func: Callable[[Any, Any], Any], flatten_func: Any = None) -> None:
    """Make instances of a class containers whose children have keys: ``flatten_with_keys(x)`` gives ((key, child) ..., data)."""
    def flatten(x: Any) -> tuple[Iterable[Any], Hashable]:
        pairs, data = flatten_with_keys(x)
        items = list(pairs)
        return [child for _, child in items], _Keyed(data, [key for key, _ in items])

    _tree.register(nodetype, flatten, lambda data, children: unflatten_func(data.aux, children),
                   lambda data: [str(key) for key in data.keys])


def register_pytree_node_class(cls: Cls) -> Cls:
    """Class decorator: ``tree_flatten(self)`` gives (children, data), the class method ``tree_unflatten(data, children)`` it."""
    register_pytree_node(cls, _method(cls, "tree_flatten"), _method(cls, "tree_unflatten"))
    return cls


def register_pytree_with_keys_class(cls: Cls) -> Cls:
    """Class decorator: as ``register_pytree_node_class``, with ``tree_flatten_with_keys``."""
    register_pytree_with_keys(cls, _method(cls, "tree_flatten_with_keys"), _method(cls, "tree_unflatten"))
    return cls


def _method(cls: type, name: str) -> Callable[..., Any]:
    if not hasattr(cls, name):
        raise ArgumentError(f"{getattr(cls, '__name__', cls)} has no {name}, which its registration needs")
    found: Callable[..., Any] = getattr(cls, name)
    return found


def register_static(cls: Cls) -> Cls:
    """Class decorator: instances belong to the structure, and hold no leaves. They must be hashable."""
    _tree.register(cls, lambda x: ((), x), lambda x, children: x)
    return cls


def register_dataclass(nodetype: Cls, data_fields: Sequence[str] | None = None, meta_fields: Sequence[str] | None = None,
                       drop_fields: Sequence[str] = ()) -> Cls:
    """Class decorator: a dataclass whose ``data_fields`` are children, and ``meta_fields`` part of the structure.

    Without these, fields that are ``static`` belong to the structure. ``drop_fields`` are lost. Raises ArgumentError if a field is
    in none of them or in two.
    """
    if not dataclasses.is_dataclass(nodetype):
        raise ArgumentError(f"register_dataclass: {getattr(nodetype, '__name__', nodetype)} is no dataclass")
    fields = [f.name for f in dataclasses.fields(nodetype) if f.init and f.name not in drop_fields]
    static = [f.name for f in dataclasses.fields(nodetype) if f.init and f.metadata.get("static")]
    if (data_fields is None) != (meta_fields is None):
        raise ArgumentError("register_dataclass: wants both data_fields and meta_fields, or none of them")
    meta = list(static if meta_fields is None else meta_fields)
    data = [name for name in fields if name not in meta] if data_fields is None else list(data_fields)
    if sorted([*data, *meta]) != sorted(fields):
        raise ArgumentError(f"register_dataclass: data_fields={data} and meta_fields={meta} must be {fields}, each once")
    make = functools.partial(_instance, nodetype, data, meta)
    register_pytree_with_keys(nodetype, functools.partial(_fields_of, data, meta), make)
    return nodetype


def _fields_of(data: list[str], meta: list[str], x: Any) -> tuple[Iterable[tuple[Any, Any]], Hashable]:
    return [(GetAttrKey(name), getattr(x, name)) for name in data], tuple(getattr(x, name) for name in meta)


def _instance(cls: type, data: list[str], meta: list[str], aux: Any, children: Iterable[Any]) -> Any:
    """Made without ``__init__``: leaves may be anything, which its checks could refuse."""
    instance: Any = object.__new__(cls)
    for name, value in (*zip(data, children), *zip(meta, aux)):
        object.__setattr__(instance, name, value)
    return instance


def static(**kwargs: Any) -> Any:
    """``dataclasses.field`` of one that belongs to the structure."""
    return dataclasses.field(metadata={**kwargs.pop("metadata", {}), "static": True}, **kwargs)


class Partial(functools.partial):
    """A ``functools.partial`` that is a container: the arguments it holds are leaves, the function belongs to the structure."""


_tree.register(Partial, lambda x: ((x.args, x.keywords), x.func), lambda f, held: Partial(f, *held[0], **held[1]))

__all__ = [
    "DictKey", "FlattenedIndexKey", "GetAttrKey", "KeyEntry", "KeyPath", "Partial", "PyTreeDef", "SequenceKey", "all_leaves",
    "flatten_one_level", "flatten_one_level_with_keys", "is_tree_node", "keystr", "register_dataclass", "register_pytree_node",
    "register_pytree_node_class", "register_pytree_with_keys", "register_pytree_with_keys_class", "register_static", "tree_all",
    "tree_broadcast", "tree_flatten", "tree_flatten_with_path", "tree_leaves", "tree_leaves_with_path", "tree_map",
    "tree_map_with_path", "tree_reduce", "tree_reduce_associative", "tree_structure", "tree_transpose", "tree_unflatten",
    "treedef_children", "treedef_is_leaf", "treedef_tuple",
]

publish(globals(), __all__)
