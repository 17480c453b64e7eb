"""JAX's names of trees: paths of keys, classes made containers, trees turned inside out."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest

import leptonc
from leptonc import tree, tree_util
from leptonc.errors import DtypeError, ShapeError
from leptonc.flatten_util import ravel_pytree
from leptonc.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey


class Point(NamedTuple):
    x: object
    y: object


@tree_util.register_pytree_node_class
class Pair:
    def __init__(self, a, b, name):
        self.a, self.b, self.name = a, b, name

    def tree_flatten(self):
        return (self.a, self.b), self.name

    @classmethod
    def tree_unflatten(cls, name, children):
        return cls(*children, name)


@tree_util.register_pytree_with_keys_class
class Keyed(Pair):
    def tree_flatten_with_keys(self):
        return ((GetAttrKey("a"), self.a), (DictKey("b"), self.b)), self.name


@tree_util.register_dataclass
@dataclasses.dataclass
class Data:
    a: object
    b: object
    name: str = tree.static(default="n")


@tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Setting:
    n: int


TREE = {"p": Point(1, [2, 3]), "q": (Pair(4, 5, "n"), Keyed(6, 7, "k")), "d": Data(8, None), "s": Setting(3)}
PATHS = ["['d'].a", "['p'].x", "['p'].y[0]", "['p'].y[1]", "['q'][0][<flat index 0>]", "['q'][0][<flat index 1>]", "['q'][1].a",
         "['q'][1]['b']"]


def test_paths():
    found, treedef = tree_util.tree_flatten_with_path(TREE)
    assert [tree_util.keystr(path) for path, _ in found] == PATHS
    assert [leaf for _, leaf in found] == [8, 1, 2, 3, 4, 5, 6, 7] and treedef == tree.structure(TREE)
    assert found[-1][0] == (DictKey("q"), SequenceKey(1), DictKey("b"))
    assert found[4][0][-1] == FlattenedIndexKey(0)
    assert tree_util.keystr(found[3][0], simple=True, separator="/") == "p/y/1"
    assert tree.flatten_with_path(TREE) == (found, treedef) and tree.leaves_with_path(TREE) == found


def test_leaves_that_are_chosen_by_path():
    found, treedef = tree_util.tree_flatten_with_path(TREE, lambda path, x: path[-1:] == (GetAttrKey("y"),), True)
    assert [2, 3] in [leaf for _, leaf in found]
    assert tree.structure(tree.unflatten(treedef, [leaf for _, leaf in found])) == tree.structure(TREE)


def test_maps_with_paths():
    names = tree.map_with_path(lambda path, x, y: (tree_util.keystr(path), x + y), TREE, TREE)
    assert names["q"][1].b == ("['q'][1]['b']", 14) and names["q"][1].name == "k" and names["s"] == Setting(3)
    assert isinstance(names["d"], Data) and names["d"].name == "n"


def test_folds():
    assert tree.reduce(lambda a, b: a + b, TREE) == 36 and tree.reduce(lambda a, b: a + b, TREE, 100) == 136
    assert tree_util.tree_reduce_associative(lambda a, b: f"({a}{b})", list("abcde")) == "(((ab)(cd))e)"
    assert tree.all(TREE) and not tree.all([1, 0]) and tree_util.tree_reduce_associative(max, [], identity=0) == 0
    assert tree_util.all_leaves([1, "a"]) and not tree_util.all_leaves([1, []])
    for wrong in (lambda: tree.reduce(max, []), lambda: tree.reduce_associative(max, [])):
        with pytest.raises(leptonc.TreeError):
            wrong()


def test_trees_turned_inside_out():
    rows = [{"a": 1, "b": (2, 3)}, {"a": 4, "b": (5, 6)}]
    want = {"a": [1, 4], "b": ([2, 5], [3, 6])}
    assert tree.transpose(tree.structure([0, 0]), tree.structure(rows[0]), rows) == want
    assert tree.transpose(tree.structure([0, 0]), None, rows) == want
    assert tree.broadcast({"a": 1, "b": 2}, {"a": [0, 0], "b": {"c": 0}}) == {"a": [1, 1], "b": {"c": 2}}
    with pytest.raises(leptonc.TreeError):
        tree.transpose(tree.structure([0, 0]), tree.structure({"a": 1}), rows)


def test_structures():
    treedef = tree.structure((1, [2]))
    assert tree_util.treedef_children(treedef) == [tree.structure(1), tree.structure([2])]
    assert tree_util.treedef_tuple(tree_util.treedef_children(treedef)) == treedef
    assert tree_util.treedef_is_leaf(tree.structure(1)) and not tree_util.treedef_is_leaf(treedef)
    assert tree_util.flatten_one_level(Keyed(1, [2], "k")) == ([1, [2]], "k")
    assert tree_util.flatten_one_level_with_keys({"a": 1}) == ([(DictKey("a"), 1)], ("a",))
    assert tree_util.is_tree_node(Pair) and tree_util.is_tree_node(dict) and not tree_util.is_tree_node(int)
    with pytest.raises(leptonc.TreeError):
        tree_util.flatten_one_level(3)


def test_classes_pass_through_jit():
    """What belongs to the structure is known there; keys are no part of it."""
    moved = leptonc.jit(lambda d: tree.map(lambda x: x * 2, d))(Data(np.arange(3.0), Keyed(np.ones(2), np.zeros(1), "k")))
    np.testing.assert_array_equal(moved.a, [0, 2, 4])
    assert moved.b.name == "k" and moved.name == "n"
    assert tree.structure(Keyed(1, 2, "k")) == tree.structure(Keyed(3, 4, "k")) != tree.structure(Keyed(3, 4, "l"))


def test_partial_functions_hold_leaves():
    f = tree_util.Partial(lambda a, x, b: a * x + b, np.array(2.0), b=np.array(1.0))
    assert len(tree.leaves(f)) == 2 and f(3.0) == 7
    assert leptonc.jit(lambda g, x: g(x))(f, 3.0) == 7
    assert leptonc.grad(lambda g: g(3.0))(f).args[0] == 3


@pytest.mark.parametrize("wrong", [
    lambda: tree_util.register_dataclass(int), lambda: tree_util.register_pytree_node_class(int),
    lambda: tree_util.register_dataclass(dataclasses.make_dataclass("D", ["a", "b"]), ["a"], []),
    lambda: tree_util.register_dataclass(dataclasses.make_dataclass("D", ["a"]), ["a"]), lambda: tree_util.register_static(Setting),
    lambda: tree_util.tree_map(3, [1]), lambda: tree_util.tree_unflatten(3, [])])
def test_wrong_calls(wrong):
    with pytest.raises(leptonc.LeptonError):
        wrong()


def test_trees_as_vectors():
    given = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": [np.float32(7), np.zeros((0, 2), np.float32)]}
    vector, unravel = ravel_pytree(given)
    assert vector.tolist() == [*range(6), 7] and vector.dtype == np.float32
    back = unravel(vector.astype(np.float64) * 2)  # leaves of one dtype take any
    assert back["a"].tolist() == [[0, 2, 4], [6, 8, 10]] and back["b"][0] == 14 and back["b"][1].shape == (0, 2)
    cubes = leptonc.jit(leptonc.grad(lambda v: (unravel(v)["a"] ** 3).sum()))(vector)
    assert cubes.tolist() == [0, 3, 12, 27, 48, 75, 0]
    assert ravel_pytree({})[0].dtype == np.float32 and ravel_pytree({})[1](np.zeros(0)) == {}


def test_trees_of_several_dtypes_as_vectors():
    vector, unravel = ravel_pytree([np.arange(2, dtype=np.int8), np.ones(1, np.float32)])
    assert vector.dtype == np.float32 and [x.dtype for x in unravel(vector)] == [np.int8, np.float32]
    with pytest.raises(DtypeError, match="the vector must be of float32, which the leaves were promoted to"):
        unravel(vector.astype(np.float64))
    with pytest.raises(ShapeError, match="the vector must have 3 elements"):
        unravel(vector[:2])
