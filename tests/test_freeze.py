"""``freeze``: the first arguments given once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc import numpy as lnp
from leptonc.errors import LeptonError, ShapeError
from leptonc.freeze import Frozen
from leptonc.ir.interpret import run_program
from leptonc.ir.reader import parse
from leptonc.passes.graph.frozen import split_graph
from tests.compare import exact


def model(params: Any, x: Any) -> Any:
    """A convolution, batch normalisation as at inference, a dense layer."""
    x = nn.relu(nn.conv(x, params["conv"], padding="SAME"))
    x = (x - params["mean"]) / lnp.sqrt(params["variance"] + 1e-5) * params["scale"]
    return x.reshape((x.shape[0], -1)) @ params["dense"]


def network(rng: np.random.Generator, size: int = 8) -> Any:
    shapes = {"conv": (3, 3, 16, 24), "mean": (24,), "variance": (24,), "scale": (24,), "dense": (size * size * 24, 10)}
    params = {name: (rng.standard_normal(shape) * 0.1).astype(np.float32) for name, shape in shapes.items()}
    return {**params, "variance": params["variance"] ** 2 + 1}


def images(rng: np.random.Generator, batch: int = 4, size: int = 8) -> np.ndarray:
    return rng.standard_normal((batch, size, size, 16)).astype(np.float32)


def steps(frozen: Frozen) -> list[driver.Executable]:
    return [program.executable for program in frozen._programs.values()]


def test_the_same_results(rng):
    params, x = network(rng), images(rng)
    predict = leptonc.freeze(model, params)
    wanted = exact(model, params, x)
    for _ in range(3):
        np.testing.assert_allclose(predict(x), wanted, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(leptonc.jit(model)(params, x), predict(x), rtol=1e-5, atol=1e-5)
    (step,) = steps(predict)
    names = [slot.name for slot in step.inputs]
    # the convolution's weights are looked at where one of them is 0
    assert "params['variance']" not in names, names
    assert any(name.startswith("prepared") for name in names) and any(name.startswith("computed") for name in names)


def test_compiles_for_each_signature_and_takes_it_again(rng):
    params = network(rng)
    predict = leptonc.freeze(model, params)
    for batch in (1, 4, 1, 4, 3, 1):
        x = images(rng, batch)
        np.testing.assert_allclose(predict(x), leptonc.jit(model)(params, x), rtol=1e-5, atol=1e-5)
    assert len(steps(predict)) == 3


def test_arguments_are_copied(rng):
    params, x = network(rng), images(rng)
    predict = leptonc.freeze(model, params)
    before = predict(x)
    for leaf in params.values():
        leaf[...] = 0
    np.testing.assert_array_equal(predict(x), before)
    np.testing.assert_array_equal(leptonc.freeze(model, params)(x), np.zeros_like(before))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_any_number_of_arguments(count, rng):
    args = [rng.standard_normal(5).astype(np.float32) for _ in range(2)]

    def f(a: Any, b: Any) -> Any:
        return {"sum": a + b, "of a": lnp.exp(a) * 2.0, "a": a}

    got, wanted = leptonc.freeze(f, *args[:count])(*args[count:]), leptonc.jit(f)(*args)
    assert got.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_array_equal(got[name], wanted[name])
    got["a"][:] = 7  # results are the caller's
    np.testing.assert_array_equal(leptonc.freeze(f, *args[:count])(*args[count:])["a"], args[0])


def test_scalars_and_trees(rng):
    x = rng.standard_normal((2, 3)).astype(np.float32)

    def f(a: Any, b: Any) -> Any:
        return a["k"] * b[0] + b[1] * a["n"]

    predict = leptonc.freeze(f, {"k": 2.0, "n": np.float32(3)})
    for args in ([x, 1.5], [x, x], [x, 2.5]):
        np.testing.assert_allclose(predict(args), leptonc.jit(f)({"k": 2.0, "n": np.float32(3)}, args), rtol=1e-6)


def test_arrays_that_cannot_be_used_as_they_are(rng):
    params, x = network(rng), images(rng)
    predict = leptonc.freeze(model, params)
    wanted = predict(x)
    np.testing.assert_array_equal(predict(np.asfortranarray(x)), wanted)
    np.testing.assert_array_equal(predict(x.astype(">f4")), wanted)
    np.testing.assert_array_equal(predict(np.repeat(x, 2, 0)[::2]), wanted)


def test_in_a_trace_and_without_jit(rng):
    params, x = network(rng), images(rng)
    predict = leptonc.freeze(model, params)
    wanted = predict(x)
    np.testing.assert_allclose(leptonc.jit(lambda x: predict(x) * 2.0)(x), wanted * 2, rtol=1e-5, atol=1e-5)
    gradient = leptonc.jit(leptonc.grad(lambda x: predict(x).sum()))(x)
    np.testing.assert_allclose(gradient, leptonc.grad(lambda x: model(params, x).sum())(x), rtol=1e-4, atol=1e-5)
    with leptonc.disable_jit():
        np.testing.assert_allclose(predict(x), wanted, rtol=1e-5, atol=1e-5)


def test_bad_input(rng):
    params, x = network(rng), images(rng)
    predict = leptonc.freeze(model, params)
    with pytest.raises(ShapeError, match="matmul"):
        predict(images(rng, size=6))
    with pytest.raises(LeptonError, match=r"x"):
        predict("a picture")
    with pytest.raises(TypeError):
        predict()
    with pytest.raises(LeptonError, match="static or donated"):
        leptonc.freeze(leptonc.jit(model, donate_argnums=0), params)
    with pytest.raises(LeptonError, match="outside of the function being traced"):
        leptonc.jit(lambda p, x: leptonc.freeze(model, p)(x))(params, x)


def test_parts_from_the_cache(rng, tmp_path, monkeypatch):
    """Other weights of the same shapes are the same code."""
    monkeypatch.setenv("LEPTONC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("LEPTONC_CACHE", "1")
    x = images(rng)
    leptonc.freeze(model, network(rng))(x)
    files = sorted(tmp_path.rglob("*"))
    assert sum(file.is_file() for file in files) >= 3, "code of three parts"
    params = network(rng)
    got = leptonc.freeze(model, params)(x)
    assert sorted(tmp_path.rglob("*")) == files
    monkeypatch.setenv("LEPTONC_CACHE", "0")
    np.testing.assert_array_equal(leptonc.freeze(model, params)(x), got)


def test_the_parts_make_the_whole(rng):
    """Graphs and programs, interpreted."""
    params, x = network(rng), images(rng)
    graph = leptonc.jit(model).trace(params, x).graph
    leaves = [np.asarray(leaf) for leaf in leptonc.tree.leaves((params, x))]
    compute, behind = split_graph(graph, 5)
    made = run_program(driver.lower(driver.optimize(compute)), leaves[:5])
    known = 5 + len(made)
    program = driver.lower_graph(driver.Expand()(driver.optimize(behind)), {}, known)
    assert [b.frozen for b in program.buffers if b.kind == "input"] == [True] * known + [False]
    assert parse(str(program)) == program
    prepare, step = driver.lower_frozen(driver.optimize(behind), known)
    prepared = run_program(prepare, [*leaves[:5], *made])
    held = dict(zip([prepare.buffers[n].name for n in prepare.inputs], [*leaves[:5], *made]))
    held |= {f"prepared {n}": array for n, array in enumerate(prepared)}
    result = run_program(step, [x, *(held[step.buffers[n].name] for n in step.inputs[1:])])[0]
    np.testing.assert_allclose(result, leptonc.jit(model)(params, x), rtol=1e-5, atol=1e-5)


def test_nothing_frozen_is_nothing_to_prepare(rng):
    params, x = network(rng), images(rng)
    graph = driver.optimize(leptonc.jit(model).trace(params, x).graph)
    prepare, step = driver.lower_frozen(graph, 0)
    assert not prepare.calls and not prepare.outputs and step == driver.lower(graph)
