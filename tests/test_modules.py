"""leptonc.nn.Module: trees, static values, parameters that are drawn, running statistics, files, and the ready-made modules."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import nn, optim, random, tree
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, LeptonError, MissingNameError, ShapeError, TreeError
from tests.compare import both

F = np.float32


class Affine(nn.Module):
    kernel: Any
    bias: Any = None
    activation: Callable = nn.relu
    times: int = 1
    scale: float = nn.static(default=1.0)

    def __call__(self, x):
        y = x @ self.kernel * self.scale
        return self.activation(y if self.bias is None else y + self.bias)


class Net(nn.Module):
    first: Affine
    rest: list
    named: dict

    def __init__(self, sizes):
        pairs = itertools.pairwise(sizes)
        parts = [Affine(nn.Parameter((a, b), nn.initializers.he_normal()), np.zeros(b, F)) for a, b in pairs]
        self.first, self.rest = parts[0], [*parts[1:], nn.relu, np.ones(2, F)]
        self.named = {"norm": nn.BatchNorm(sizes[-1]), "none": None}

    def __call__(self, x, state):
        for layer in (self.first, *self.rest[:-2]):
            x = layer(x)
        return self.named["norm"](x, state)


def net():
    return Net((3, 4, 2)).init(0)


def test_fields_are_children_or_static():
    leaves, structure = tree.flatten(net())
    assert [leaf.shape for leaf in leaves] == [(3, 4), (4,), (4, 2), (2,), (2,), (2,), (2,)]
    assert structure == tree.structure(net()) and hash(structure) == hash(tree.structure(net()))
    assert structure.paths("net")[:3] == ["net.first.kernel", "net.first.bias", "net.rest[0].kernel"]
    assert list(net().named_parameters()) == [
        "first.kernel",
        "first.bias",
        "rest.0.kernel",
        "rest.0.bias",
        "rest.2",
        "named.norm.scale",
        "named.norm.bias",
    ]
    assert repr(Affine(np.ones((2, 3), F))) == "Affine(kernel=f32[2,3], bias=None, activation=relu, times=1, scale=1.0)"


@pytest.mark.parametrize("other", [{"activation": nn.elu}, {"times": 2}, {"times": True}, {"scale": 2.0}])
def test_static_values_are_compiled_for(other):
    plain, changed = Affine(np.ones((2, 2), F)), Affine(np.ones((2, 2), F), **other)
    assert tree.structure(plain) != tree.structure(changed)
    f = leptonc.jit(lambda model, x: model(x))
    for model in (plain, changed, plain, changed):
        f(model, np.ones((1, 2), F))
    assert f.compiles == 2


def test_what_is_mapped_keeps_its_structure():
    """Also where arrays become ints, functions or None: what is static was decided when the module was made."""
    model = net()
    mask = tree.map(lambda x: x.ndim > 1, model)
    zeroed = tree.map(lambda x, keep: x * keep, model, mask)
    assert not zeroed.first.bias.any() and zeroed.first.kernel.any() and mask.first.kernel is True
    functions = tree.map(lambda x: abs, model)
    assert tree.structure(functions) == tree.structure(model) == tree.structure(mask)
    trained, rest = nn.partition(model, mask)
    assert trained.first.bias is None and rest.first.kernel is None
    for a, b in zip(tree.leaves(nn.combine(trained, rest)), tree.leaves(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_modules_are_immutable_and_copied():
    model = net()
    with pytest.raises(ArgumentError, match=r"fix: model = model.replace\(first=...\)"):
        model.first = None
    with pytest.raises(ArgumentError, match="immutable"):
        del model.first
    with pytest.raises(ArgumentError, match="did you mean first"):
        model.replace(frist=1)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), copy.copy(model), model.replace(first=model.first)):
        assert tree.structure(other) == tree.structure(model)
        np.testing.assert_array_equal(other.first.kernel, model.first.kernel)
    assert model.replace(first=model.first.replace(scale=3.0)).first.scale == 3.0


def test_constructors_that_are_wrong():
    class Half(nn.Module):
        a: Any
        b: Any

        def __init__(self):
            self.a = 1

    for call, words in (
        (Half, "__init__ did not set b"),
        (Affine, "missing a required argument"),
        (lambda: Affine(1, kernal=2), "did you mean kernel"),
        (lambda: Affine(np.ones(2), scale=np.ones(2)), "no hash"),
    ):
        with pytest.raises(LeptonError, match=words) as error:
            call()
        assert "test_modules.py" in str(error.value)


def test_a_subclass_adds_fields():
    class Scaled(Affine):
        gain: Any = 2.0

        def __call__(self, x):
            return super().__call__(x) * self.gain

    model = Scaled(np.eye(2, dtype=F), gain=np.float32(3))
    assert len(tree.leaves(model)) == 2
    np.testing.assert_array_equal(leptonc.jit(lambda m, x: m(x))(model, np.ones((1, 2), F)), [[3, 3]])


def test_parameters_are_drawn_by_init():
    spec = Net((3, 4, 2))
    with pytest.raises(LeptonError, match=r"has no value yet; fix: model = model.init\(leptonc.random.key\(0\)\)"):
        spec.first(np.ones((1, 3), F))
    one, same, other = spec.init(random.key(5)), spec.init(5), spec.init(6)
    np.testing.assert_array_equal(one.rest[0].kernel, same.rest[0].kernel)
    assert (one.rest[0].kernel != other.rest[0].kernel).all() and isinstance(spec.first.kernel, nn.Parameter)
    np.testing.assert_array_equal(one.init(6).first.kernel, one.first.kernel)  # what is drawn stays
    traced = leptonc.eval_shape(spec.init, random.key(5))
    assert tree.structure(traced) == tree.structure(one) and traced.first.kernel.shape == (3, 4)


def test_initializers_by_key():
    w = nn.initializers.he_normal()(random.key(0), (300, 400))
    assert w.dtype == F
    np.testing.assert_allclose(w.mean(), 0, atol=1e-3)  # four standard errors
    np.testing.assert_allclose(w.var(), 2 / 300, rtol=0.02)
    w = nn.initializers.between(1, 3)(random.key(1), (100, 100), "float64")
    assert w.dtype == np.float64 and 1 <= w.min() < 1.01 and 2.99 < w.max() < 3


def test_state_is_named_by_place(rng):
    model = net()
    state = model.state()
    assert list(state.named()) == ["named.norm.mean", "named.norm.var"] and model.is_stateful
    x = rng.standard_normal((50, 3)).astype(F)
    y, after = both(lambda m, s, x: m(x, s)[0], model, state, x)[0], leptonc.jit(lambda m, s, x: m(x, s)[1])(model, state, x)
    h = model.rest[0](model.first(x))
    np.testing.assert_allclose(y, (h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5), rtol=1e-4, atol=1e-5)
    assert state.get(model.named["norm"].mean).sum() == 0 and after.get(model.named["norm"].mean).any()
    inner = nn.Sequential([nn.Linear(3, 2), nn.BatchNorm(2)]).init(0)
    outer = nn.Sequential([inner, nn.relu])
    assert list(outer.state().named()) == ["layers.0.layers.1.mean", "layers.0.layers.1.var"]
    assert list(outer.replace(layers=outer.layers).state().named()) == list(outer.state().named())
    with pytest.raises(MissingNameError, match="of the module that is called"):
        inner(x, outer.state())
    with pytest.raises(ArgumentError, match="must be a State"):
        inner(x)


def test_a_network_is_trained(rng):
    """jit, value_and_grad with state, an optimizer, donation, dropout by key; then inference, frozen."""
    model = nn.Sequential(
        [
            nn.Conv(1, 4, 3, use_bias=False),
            nn.BatchNorm(4),
            nn.relu,
            nn.Dropout(0.1),
            nn.global_avg_pool,
            nn.MLP(4, [8], 2),
        ]
    ).init(random.key(0))
    optimizer = optim.adam(3e-2)

    @leptonc.jit(donate_argnums=(0, 1, 2))
    def step(model, opt, state, x, y, key):
        def loss(model):
            logits, after = model(x, state, key=key)
            return nn.cross_entropy(logits, y), after

        (value, after), grads = leptonc.value_and_grad(loss, has_aux=True)(model)
        updates, opt = optimizer.update(grads, opt, model)
        return optim.apply_updates(model, updates), opt, after, value

    y = rng.integers(0, 2, 32)
    x = (rng.random((32, 6, 6, 1)) + y[:, None, None, None]).astype(F)
    opt, state, values = optimizer.init(model), model.state(), []
    for n in range(30):
        model, opt, state, value = step(model, opt, state, x, y, random.key(n))
        values.append(value)
    assert values[-1] < values[0] / 2 and step.compiles == 1
    trained = nn.inference_mode(model)
    assert trained[1].inference and trained[3].inference and not model[1].inference
    logits, same = trained(x, state)
    assert same is state
    predict = leptonc.freeze(lambda model, state, x: model(x, state)[0], trained, state)
    np.testing.assert_allclose(predict(x), logits, rtol=1e-4, atol=1e-5)
    with pytest.raises(ArgumentError, match="wants a key in training"):
        model(x, state)


@pytest.mark.parametrize("suffix", ["npz", "safetensors"])
def test_files(tmp_path, suffix):
    model, path = net(), tmp_path / f"model.{suffix}"
    state = model.state().set(model.named["norm"].mean, np.full(2, 7, F))
    nn.save(path, model, state)
    loaded, after = nn.load(path, Net((3, 4, 2)), model.state())
    for a, b in zip(tree.leaves((loaded, after)), tree.leaves((model, state)), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(TreeError, match=r"nothing takes its named.norm.mean, named.norm.var"):
        nn.load(path, Net((3, 4, 2)))
    with pytest.raises(ShapeError, match=r"first.kernel is f32\[3,4\] in the file, f32\[3,5\] in the model"):
        nn.load(path, Net((3, 5, 2)), model.state())
    before = path.read_bytes()
    with pytest.raises(ArgumentError, match="two arrays are named"):
        nn.save(path, model, model)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]
    with pytest.raises(ArgumentError, match="must end with"):
        nn.save(tmp_path / "model.txt", model)


def test_the_safetensors_format(tmp_path):
    path = tmp_path / "a.safetensors"
    nn.save(path, {"w": np.arange(6, dtype=">f4").astype(F).reshape(2, 3), "n": np.arange(3, dtype=np.uint8)})
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    assert size % 8 == 0 and header["w"] == {"dtype": "F32", "shape": [2, 3], "data_offsets": [3, 27]}
    np.testing.assert_array_equal(np.frombuffer(data[8 + size + 3 :], "<f4"), np.arange(6))
    path.write_bytes(data[:20])
    with pytest.raises(ArgumentError, match="damaged"):
        nn.load(path, {"w": np.ones((2, 3), F), "n": np.ones(3, np.uint8)})


LAYERS = [
    (lambda: nn.Linear(3, 4, key=0), (2, 5, 3), (2, 5, 4)),
    (lambda: nn.Conv(2, 4, 3, stride=2, groups=2, key=0), (1, 6, 6, 2), (1, 3, 3, 4)),
    (lambda: nn.Conv(2, 4, (3,), padding="VALID", key=0), (1, 6, 2), (1, 4, 4)),
    (lambda: nn.Conv(1, 2, (2, 2, 2), padding=[(0, 1), (1, 0), (0, 0)], key=0), (1, 3, 3, 3, 1), (1, 3, 3, 2, 2)),
    (lambda: nn.ConvTranspose(2, 3, 3, stride=2, key=0), (1, 4, 4, 2), (1, 8, 8, 3)),
    (
        lambda: nn.ConvTranspose(2, 3, 3, stride=2, padding=1, output_padding=1, convention="pytorch", key=0),
        (1, 4, 4, 2),
        (1, 8, 8, 3),
    ),
    (lambda: nn.LayerNorm(3, key=0), (2, 3), (2, 3)),
    (lambda: nn.LayerNorm(3, use_bias=False, key=0), (2, 3), (2, 3)),
    (lambda: nn.RMSNorm(3, key=0), (2, 3), (2, 3)),
    (lambda: nn.GroupNorm(2, 4, key=0), (2, 3, 4), (2, 3, 4)),
    (lambda: nn.MLP(3, [5, 4], 2, key=0), (2, 3), (2, 2)),
    (lambda: nn.MultiHeadAttention(8, 4, num_kv_heads=2, rotary=True, key=0), (2, 3, 8), (2, 3, 8)),
]


@pytest.mark.parametrize("n", range(len(LAYERS)))
def test_layers_compiled_and_eager(rng, n):
    make, shape, wanted = LAYERS[n]
    layer = make()
    x = rng.standard_normal(shape).astype(F)

    def loss(layer, x):
        y = layer(x)
        return lnp.mean(y**2), y

    found = both(leptonc.value_and_grad(loss, has_aux=True), layer, x, atol=1e-5)
    assert found[1].shape == wanted and found[1].dtype == F
    with pytest.raises(LeptonError):
        layer(np.ones((*shape[:-1], shape[-1] + 1), F))


def test_embedding_rows_add_up(rng):
    layer = nn.Embedding(5, 3, key=0)
    index = np.array([[1, 1], [4, 1]])
    (y,) = both(lambda layer, n: layer(n), layer, index)
    np.testing.assert_array_equal(y, layer.table[index])
    (grad,) = both(leptonc.grad(lambda layer, n: layer(n).sum()), layer, index)
    np.testing.assert_array_equal(grad, np.outer([0, 3, 0, 0, 1], [1, 1, 1]))
    np.testing.assert_allclose(layer.attend(y), y @ layer.table.T, rtol=1e-5)


def test_sequential_gives_each_layer_its_key():
    model = nn.Sequential([nn.Dropout(0.5), lambda x: x, nn.Dropout(0.5)])
    y = model(np.ones((1000,), F), key=random.key(0))
    assert set(np.unique(y)) == {0, 4} and 180 < (y != 0).sum() < 320 and len(model) == 3
    with pytest.raises(ArgumentError, match=r"layers\[1\]"):
        nn.Sequential([nn.relu, 3])


def test_modules_are_loaded_when_they_are_asked_for():
    code = "import sys, leptonc; assert 'leptonc.nn.layers' not in sys.modules; assert leptonc.nn.Linear(1, 2)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
