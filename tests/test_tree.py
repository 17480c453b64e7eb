"""leptonc.tree: containers, paths, structures, mismatches."""

import dataclasses
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import leptonc
from leptonc import tree
from leptonc.errors import TreeError

Point = namedtuple("Point", ["x", "y"])


@dataclasses.dataclass
class Layer:
    kernel: object
    bias: object
    units: int = dataclasses.field(default=3, metadata={"static": True})


@dataclasses.dataclass(frozen=True)
class Frozen:
    a: object

    def __post_init__(self):
        if not isinstance(self.a, int):
            raise TypeError("a must be an int")


class Pair:
    def __init__(self, left, right):
        self.left, self.right = left, right


tree.register(Pair, lambda p: ((p.left, p.right), "pair"), lambda data, children: Pair(*children))

TREES = [
    1,
    None,
    [],
    (),
    {},
    [1, (2, 3), {"b": 4, "a": None}],
    (1,),
    OrderedDict([("z", 1), ("a", 2)]),
    Point(1, [2, Point(3, None)]),
    {"x": Layer(1, {"w": 2}), "y": Frozen(3)},
]


@pytest.mark.parametrize("value", TREES, ids=str)
def test_unflatten_inverts_flatten(value):
    leaves, treedef = tree.flatten(value)
    again = tree.unflatten(treedef, leaves)
    assert again == value
    assert type(again) is type(value)
    assert tree.structure(again) == treedef
    assert hash(tree.structure(again)) == hash(treedef)
    assert treedef.num_leaves == len(leaves) == len(treedef.paths())


def test_structures_of_different_trees_differ():
    structures = [tree.structure(value) for value in TREES]
    assert len(set(structures)) == len(TREES)
    assert tree.structure(Layer(1, 2, 3)) != tree.structure(Layer(1, 2, 4))
    assert tree.structure(1) != 1


def test_dict_leaves_come_in_key_order():
    assert tree.leaves({"b": 1, "a": 2, "c": [3]}) == [2, 1, 3]
    assert list(tree.map(str, {"b": 1, "a": 2})) == ["a", "b"]
    assert tree.structure({"b": 1, "a": 2}) == tree.structure({"a": 1, "b": 2})


def test_ordered_dict_keeps_its_order():
    value = OrderedDict([("z", 1), ("a", 2)])
    assert tree.leaves(value) == [1, 2]
    with pytest.raises(TreeError, match=r"the root: keys in another order: expected \['z', 'a'\]"):
        tree.map(lambda a, b: a, value, OrderedDict([("a", 1), ("z", 2)]))


def test_keys_without_an_order():
    with pytest.raises(TreeError, match=r"keys \[1, 'a'\] cannot be flattened: the keys have no order; fix"):
        tree.flatten({1: 2, "a": 3})


def test_paths():
    value = {"conv1": {"kernel": 1, "bias": [2, 3]}, "p": Point(4, Layer(5, 6)), "q": Pair(7, None)}
    value["o"] = OrderedDict(k=8)
    names = [name for name, _ in tree.flatten_with_names(value, "params")[0]]
    assert names == [
        "params['conv1']['bias'][0]",
        "params['conv1']['bias'][1]",
        "params['conv1']['kernel']",
        "params['o']['k']",
        "params['p'].x",
        "params['p'].y.kernel",
        "params['p'].y.bias",
        "params['q'][0]",
    ]
    assert tree.flatten_with_names(3) == ([("", 3)], tree.LEAF)


def test_map_over_several_trees():
    assert tree.map(lambda a, b: a + b, {"x": [1, 2]}, {"x": [10, 20]}) == {"x": [11, 22]}
    assert tree.map(lambda a, b: (a, b), [1, 2], [(3, 4), {"k": 5}]) == [(1, (3, 4)), (2, {"k": 5})]
    assert tree.map(len, [(1, 2), (3,)], is_leaf=lambda x: isinstance(x, tuple)) == [2, 1]


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"x": [1, {"k": 2}]}, r"trees differ at \['x'\]\[1\]: expected a tuple, got a dict"),
        ({"x": [1, 2]}, r"trees differ at \['x'\]\[1\]: expected a tuple, got a leaf 2"),
        ({"x": [1]}, r"trees differ at \['x'\]: expected 2 items, got 1"),
        ({"y": [1, (2,)]}, r"trees differ at the root: keys differ: missing 'x'; unexpected 'y'"),
        ({"x": [1, None]}, r"trees differ at \['x'\]\[1\]: expected a tuple, got None"),
    ],
)
def test_mismatch_names_the_path(other, message):
    with pytest.raises(TreeError, match=message):
        tree.map(lambda a, b: a, {"x": [1, (2,)]}, other)


def test_difference_of_structures():
    first = tree.structure({"a": [1, 2]})
    assert tree.difference(first, tree.structure({"a": [3, 4]})) is None
    assert tree.difference(first, tree.structure({"a": [1, (2,)]}), "p") == "p['a'][1]: expected a leaf, got a tuple"
    static = tree.difference(tree.structure(Layer(1, 2, 3)), tree.structure(Layer(1, 2, 4)))
    assert static == "the root: Layer expected with (3,), got (4,)"


def test_wrong_number_of_leaves():
    with pytest.raises(TreeError, match=r"\(\*, \*\) has 2 leaves, got 3"):
        tree.unflatten(tree.structure((1, 2)), [1, 2, 3])


def test_text_of_structures():
    assert str(tree.structure({"a": [1, (2,)], "b": None})) == "{'a': [*, (*,)], 'b': None}"
    assert repr(tree.structure(Point(1, 2))) == "TreeDef(Point(x=*, y=*))"
    assert str(tree.structure(Layer(1, 2))) == "Layer(kernel=*, bias=*)"


def test_dataclass_is_rebuilt_without_its_init():
    doubled = tree.map(lambda x: x + 0.5, Frozen(1))
    assert doubled.a == 1.5
    layer = tree.map(str, Layer(1, 2, units=7))
    assert (layer.kernel, layer.bias, layer.units) == ("1", "2", 7)


def test_register_twice():
    with pytest.raises(TreeError, match="Pair is a container already"):
        tree.register(Pair, lambda p: ((), None), lambda data, children: None)
    again = tree.map(lambda x: x * 2, Pair(1, [2]))
    assert isinstance(again, Pair)
    assert (again.left, again.right) == (2, [4])


def test_deep_trees():
    value = 0
    for _ in range(400):
        value = [value]
    leaves, treedef = tree.flatten(value)
    assert tree.unflatten(treedef, leaves) == value
    assert treedef.paths() == ["[0]" * 400]
    assert hash(treedef) == hash(tree.structure(value))


def nested(depth, leaf):
    for level in range(depth):
        leaf = ([leaf], {"a": leaf}, (None, leaf))[level % 3]
    return leaf


@pytest.mark.parametrize("depth", [90, 101, 900, 5_000])
def test_trees_of_any_depth(depth):
    leaves, structure = tree.flatten(nested(depth, 7))
    assert leaves == [7] and structure.num_leaves == 1 and structure.depth == depth + 1
    again = tree.structure(nested(depth, 8))
    assert structure == again and hash(structure) == hash(again)
    assert structure != tree.structure(nested(depth, [8])) and structure != tree.structure(nested(depth - 1, 8))
    assert tree.leaves(tree.unflatten(structure, [9])) == [9]
    assert str(structure).count("*") == 1 and tree.flatten_as(structure, nested(depth, 3)) == [3]
    assert tree.leaves(tree.map(lambda a, b: a + b, nested(depth, 1), nested(depth, 2))) == [3]
    with pytest.raises(TreeError, match="expected"):
        tree.map(lambda a, b: a, nested(depth, 1), nested(depth - 1, 2))


@pytest.mark.parametrize("depth", [90, 900])
def test_deep_trees_are_compiled_and_differentiated(depth):
    x = np.arange(3.0)
    f = leptonc.jit(lambda t: tree.map(lambda v: v * v, t))
    for _ in range(3):  # compiled, then by its shortcut
        np.testing.assert_array_equal(tree.leaves(f(nested(depth, x)))[0], x * x)
    gradient = leptonc.grad(lambda t: leptonc.numpy.sum(tree.leaves(t)[0] ** 2))(nested(depth, x))
    np.testing.assert_array_equal(tree.leaves(gradient)[0], 2 * x)


def test_trees_that_hold_themselves():
    items, mapping = [1], {"a": 1}
    items.append({"b": items})
    mapping["c"] = (mapping,)
    for cyclic in (items, mapping):
        for use in (tree.flatten, tree.leaves, leptonc.jit(lambda t: 1.0), leptonc.grad(lambda t: 1.0),
                    lambda t: leptonc.jit(lambda x: t)(1.0), lambda t: tree.map(lambda x: x, t),
                    lambda t: leptonc.eval_shape(lambda t: 1.0, t)):
            with pytest.raises(TreeError, match="contains itself"):
                use(cyclic)
    shared = [1]
    assert tree.leaves([shared, shared, {"a": shared}]) == [1, 1, 1]  # twice is not within itself
