"""Code written for one structure against the general functions."""

from __future__ import annotations

import collections
import dataclasses

import pytest

from leptonc import nn, tree
from leptonc.treecode import builder, flattener

Point = collections.namedtuple("Point", "x y")


@dataclasses.dataclass
class Layer:
    kernel: object
    bias: object
    units: int = dataclasses.field(default=3, metadata={"static": True})


TREES = [
    1, None, (), [], {}, (1,), [2, (3, [4])], {"b": 1, "a": {"c": [2, None]}}, Point(1, (2, 3)),
    Layer(1, [2, 3]), collections.OrderedDict(z=1, a=(2,)), {1: "one", 0: ("zero", Layer(5, Point(6, None)))},
]


@pytest.mark.parametrize("value", TREES, ids=repr)
def test_it_does_what_the_general_functions_do(value):
    leaves, structure = tree.flatten(value)
    assert flattener(structure)(value) == leaves
    assert builder(structure)(leaves) == value


@pytest.mark.parametrize("value", TREES, ids=repr)
def test_other_structures_are_told_apart(value):
    structure = tree.structure(value)
    if structure.is_leaf:
        return  # whatever stands there counts as the leaf
    flatten = flattener(structure)
    for other in (*TREES, [2, (3, 4, 5)], {"b": 1, "c": {"c": [2, None]}}, Layer(1, [2, 3], 4), Point(1, [2, 3])):
        if tree.structure(other) != structure and not _is_leaf_where_container(structure, other):
            assert flatten(other) is None, other


def _is_leaf_where_container(structure, other):
    """A container that stands where a leaf is expected is not looked at."""
    try:
        tree.flatten_up_to(structure, other)
    except tree.TreeError:
        return False
    return True


def test_a_dict_in_another_order_is_the_same_structure():
    structure = tree.structure({"a": 1, "b": 2})
    assert flattener(structure)({"b": 20, "a": 10}) == [10, 20]
    assert flattener(structure)({"b": 20, "c": 10}) is None
    assert list(builder(structure)([1, 2])) == ["a", "b"]


def test_deep_and_wide_trees():
    deep = 1
    for _ in range(300):
        deep = [deep]
    wide = {f"k{n}": (n, [n]) for n in range(2000)}
    for value in (deep, wide):
        leaves, structure = tree.flatten(value)
        assert flattener(structure)(value) == leaves
        assert builder(structure)(leaves) == value


def test_modules_are_taken_apart_level_by_level():
    """What a module decides about its own structure is asked of it: static fields, lists of modules, modules in them."""
    def model(bias: bool, epsilon: float) -> nn.Sequential:
        inner = nn.Sequential([nn.LayerNorm(3, epsilon=epsilon), nn.Linear(3, 2)])
        return nn.Sequential([nn.Linear(2, 3, use_bias=bias), inner]).init(0)

    one = model(False, 1e-5)
    leaves, structure = tree.flatten((one, [one]))
    flatten = flattener(structure)
    found = flatten((one, [one]))
    assert found is not None and len(found) == len(leaves) and all(a is b for a, b in zip(found, leaves))
    assert flatten((model(False, 1e-5), [one])) is not None
    for other in (model(True, 1e-5), model(False, 1e-3)):
        assert flatten((one, [other])) is None and flatten((other, [one])) is None
    assert flatten((one, one)) is None
