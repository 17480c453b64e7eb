"""Nested containers of arrays: taken apart into leaves and put together again: walks over them.

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

import importlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from leptonc.containers import (
    DEEP,
    LEAF,
    Place,
    TreeDef,
    child_names,
    keys_of,
    leaf_types,
    path_of,
    put_together,
    register,
    take_apart,
)
from leptonc.errors import ArgumentError, TreeError, describe
from leptonc.public import publish

IsLeaf = Callable[[Any], bool] | None


def _of_tree_util(name: str) -> Any:
    return getattr(importlib.import_module("leptonc.tree_util"), name)


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
    if cls in leaf_types:
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
    start, keys = len(found), keys_of(treedef)
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
    open_: list[tuple[TreeDef, Any, Place]] = [(treedef, tree, (None, root))]
    while open_:
        node, item, place = open_.pop()
        if node.is_leaf:
            found.append(item)
            continue
        items = _matching(node, item, place)
        open_ += [(child, x, (place, name)) for name, child, x in zip(child_names(node), node.children, items)][::-1]
    return found


def _matching(node: TreeDef, tree: Any, place: Place) -> list[Any]:
    """The children of ``tree``, a container like ``node``. Raises TreeError if it is not."""
    parts = take_apart(tree)
    if parts is None:
        raise TreeError(f"trees differ at {path_of(place) or 'the root'}: expected {_kind_text(node)}, got a leaf {_short(tree)}")
    items = list(parts[0])
    # Children are not compared here, but where their own turn comes, with the longer path.
    reason = _node_difference(node, TreeDef(type(tree), parts[1], (LEAF,) * len(items)))
    if reason:
        raise TreeError(f"trees differ at {path_of(place) or 'the root'}: {reason}")
    return items


def difference(expected: TreeDef, got: TreeDef, root: str = "") -> str | None:
    """``params['a']: expected a dict, got a list`` for the first place where two structures differ, or None."""
    _check_structures("difference", root, expected, got)
    open_: list[tuple[TreeDef, TreeDef, Place]] = [(expected, got, (None, root))]
    while open_:
        left, right, place = open_.pop()
        reason = _node_difference(left, right)
        if reason:
            return f"{path_of(place) or 'the root'}: {reason}"
        open_ += [(a, b, (place, name)) for name, a, b in zip(child_names(left), left.children, right.children)][::-1]
    return None


def _node_difference(expected: TreeDef, got: TreeDef) -> str | None:
    """How two nodes differ, their children left aside."""
    if expected.kind is not got.kind:
        return f"expected {_kind_text(expected)}, got {_kind_text(got)}"
    if expected.kind in (dict, OrderedDict) and expected.data != got.data:
        return _keys_difference(keys_of(expected), keys_of(got))
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


def _kind_text(treedef: TreeDef) -> str:
    if treedef.is_leaf:
        return "a leaf"
    return "None" if treedef.kind is type(None) else f"a {treedef.kind.__name__}"


def _short(tree: Any) -> str:
    return describe(tree, 40)


_LATER = ("all", "broadcast", "flatten_with_path", "leaves_with_path", "map_with_path", "reduce", "reduce_associative", "static",
          "transpose")  # made of these
__all__ = [
    *_LATER, "TreeDef", "difference", "flatten", "flatten_up_to", "flatten_with_names", "leaves", "map", "register", "structure",
    "unflatten",
]

publish(globals(), [name for name in __all__ if name not in _LATER], later={
    name: partial(_of_tree_util, name if name == "static" else f"tree_{name}") for name in _LATER})
