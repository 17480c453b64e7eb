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


class Mixed(nn.Module):
    """Whatever a field may hold."""

    weights: dict
    layers: list
    pair: Point
    bias: object
    name: str
    sizes: tuple
    note: object = nn.static(default=None)


def _mixed(**fields):
    given = {"weights": {"b": 2.0, "a": (1.0, 7)}, "layers": [nn.Linear(2, 3), "relu", nn.Linear(3, 1)], "pair": Point(1.5, None),
             "bias": None, "name": "m", "sizes": (1, 2), "note": ("x",)}
    return Mixed(**{**given, **fields}).init(0)


def test_modules_of_all_sorts():
    """The leaves that flatten gives, in its order; what is built is what unflatten builds, with lists of its own."""
    one = _mixed()
    leaves, structure = tree.flatten(one)
    found = flattener(structure)(one)
    assert len(found) == len(leaves) and all(a is b for a, b in zip(found, leaves))
    numbers = [float(n) for n in range(len(leaves))]
    built, expected = builder(structure)(numbers), tree.unflatten(structure, numbers)
    assert repr(built) == repr(expected) and tree.structure(built) == structure and tree.leaves(built) == numbers
    assert vars(built).keys() == vars(expected).keys() and built.layers is not one.layers
    assert builder(structure)(numbers).layers is not built.layers


@pytest.mark.parametrize("fields", [
    {"weights": {"b": 2.0, "c": (1.0, 7)}}, {"weights": {"b": 2.0, "a": (1.0, 8)}}, {"weights": {"b": 2.0, "a": [1.0, 7]}},
    {"layers": [nn.Linear(2, 3), "relu"]}, {"layers": [nn.Linear(2, 3), "tanh", nn.Linear(3, 1)]}, {"pair": Point(1.5, 2.0)},
    {"pair": (1.5, None)}, {"bias": 0.5}, {"name": "n"}, {"sizes": (True, 2)}, {"sizes": (1.0, 2)}, {"note": ("y",)},
], ids=str)
def test_modules_that_differ_in_one_field(fields):
    flatten = flattener(tree.structure(_mixed()))
    assert flatten(_mixed()) is not None
    assert flatten(_mixed(**fields)) is None


def test_a_list_that_has_grown_is_no_longer_the_modules():
    one = _mixed()
    flatten = flattener(tree.structure(one))
    one.layers.append(nn.Linear(1, 1).init(0))
    assert flatten(one) is None


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
