"""grad, value_and_grad, vjp, make_graph, eval_shape, and how they nest."""

import inspect

import numpy as np
import pytest

import leptonc
from leptonc.errors import DtypeError, LeptonError, ShapeError, TracerError, TreeError
from leptonc.trace import Tracer, bind


def total(x):
    return bind("sum", x, axes=tuple(range(x.ndim)))


X = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.0]])


def assert_close(got, expected):
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_grad_of_a_sum_of_squares():
    got = leptonc.grad(lambda x: total(x * x))(X)
    assert isinstance(got, np.ndarray)
    assert_close(got, 2 * X)
    single = leptonc.grad(lambda x: total(x * x))(X.astype(np.float32))
    assert single.dtype == np.float32


def test_value_and_grad_of_a_tree():
    def loss(params, x):
        return total((x * params["w"] + params["b"][0]) * 2.0)

    params = {"w": X + 1, "b": (np.array(2.0),)}
    value, gradient = leptonc.value_and_grad(loss)(params, X)
    assert_close(value, 2 * (X * params["w"] + 2).sum())
    assert value.shape == ()
    assert_close(gradient["w"], 2 * X)
    assert_close(gradient["b"][0], 2.0 * X.size)


def test_argnums():
    def f(x, y, *, scale):
        return total(x * y) * scale

    assert_close(leptonc.grad(f, argnums=1)(X, X + 1, scale=3.0), 3 * X)
    assert_close(leptonc.grad(f, argnums=-1)(X, X + 1, scale=3.0), 3 * X)
    both = leptonc.grad(f, argnums=(1, 0))(X, X + 1, scale=np.array(3.0))
    assert isinstance(both, tuple)
    assert_close(both[0], 3 * X)
    assert_close(both[1], 3 * (X + 1))
    (one,) = leptonc.grad(f, argnums=(0,))(X, X, scale=1)
    assert_close(one, X)
    with pytest.raises(LeptonError, match="argnums=2, but it is called with 2 positional arguments"):
        leptonc.grad(f, argnums=2)(X, X, scale=1)


def test_arguments_not_differentiated_stay_concrete():
    def f(x, n, name):
        assert name == "square"
        return total(x * x) if n > 1 else total(x)

    assert_close(leptonc.grad(f)(X, 2, "square"), 2 * X)
    assert_close(leptonc.grad(f)(X, np.array(1), "square"), np.ones_like(X))


def test_aux():
    def f(x):
        # The derivative of the log is infinite at 0: a cotangent of zero must not reach it.
        return total(x * x), {"log": bind("log", x * 0.0), "n": 3, "rows": np.arange(2), "x": x}

    gradient, aux = leptonc.grad(f, has_aux=True)(X)
    assert_close(gradient, 2 * X)
    assert np.isneginf(aux["log"]).all()
    assert (int(aux["n"]), aux["rows"].tolist()) == (3, [0, 1])
    (value, aux), gradient = leptonc.value_and_grad(f, has_aux=True)(X)
    assert_close(value, (X * X).sum())
    assert_close(aux["x"], X)
    with pytest.raises(TreeError, match=r"has_aux=True wants \(value, aux\)"):
        leptonc.grad(total, has_aux=True)(X)


def test_python_scalars():
    assert leptonc.grad(lambda x: x * x * 3)(2.0) == 12.0
    x = X.astype(np.float32)
    gradient = leptonc.grad(lambda s: total(x * s))(2.0)
    assert gradient.dtype == np.float64
    assert_close(gradient, X.sum())
    assert leptonc.make_graph(leptonc.grad(lambda x, s: total(x * s)))(x, 2.0).output_types[0].dtype.name == "f32"


def test_grad_of_a_constant():
    assert_close(leptonc.grad(lambda x: 3.0)(X), np.zeros_like(X))
    assert_close(leptonc.grad(lambda x: total(x * 0.0 + X))(X), np.zeros_like(X))


def test_gradients_nest():
    def cube(x):
        return x * x * x

    assert leptonc.grad(leptonc.grad(cube))(2.0) == 12.0
    assert leptonc.grad(leptonc.grad(leptonc.grad(cube)))(2.0) == 6.0


def test_gradient_with_a_closed_over_tracer():
    # d/dx (x * d/dy (x * y)) = 2x
    f = leptonc.grad(lambda x: x * leptonc.grad(lambda y: x * y)(2.0))
    assert f(5.0) == 10.0
    graph = leptonc.make_graph(f)(5.0)
    assert len(graph.inputs) == 1


def test_grad_inside_a_trace_is_inlined():
    def step(w, x):
        return w - 0.5 * leptonc.grad(lambda w: total(w * w * x))(w)

    graph = leptonc.make_graph(step)(X, X)
    assert len(graph.inputs) == 2
    files = {node.loc.file for node in graph.nodes if node.loc and node.op == "mul"}
    assert files == {__file__}
    from leptonc.ir.evaluate import evaluate

    assert_close(evaluate(graph, [X, X])[0], X - X * X)


@pytest.mark.parametrize(
    ("f", "arg", "kind", "message"),
    [
        (lambda x: x * 2, X, ShapeError, r"grad: lambda must return a scalar, returned f64\[2,3\]; fix: reduce it"),
        (lambda x: total(x.astype("i32")), X, DtypeError, r"lambda must return a float, returned i32\[\]"),
        (lambda x: (total(x), x), X, ShapeError, "lambda returned a tuple, not one scalar.*has_aux=True"),
        (lambda x: None, X, ShapeError, "lambda returned a NoneType"),
        (lambda n: n, 3, DtypeError, r"lambda is differentiated by n, which is not float; n=i64\[\]; fix: cast it"),
        (lambda p: p, {"a": np.arange(2)}, DtypeError, r"differentiated by p\['a'\]"),
        (lambda p: p, {"a": "text"}, DtypeError, r"p\['a'\] is 'text' of type str, not an array"),
    ],
)
def test_grad_errors(f, arg, kind, message):
    with pytest.raises(kind, match=message):
        leptonc.grad(f)(arg)


def test_grad_error_names_the_line():
    line = inspect.currentframe().f_lineno + 2
    with pytest.raises(ShapeError, match=rf"\(test_transforms.py:{line}\)"):
        leptonc.grad(lambda x: x)(X)


def test_branching_on_a_differentiated_value():
    with pytest.raises(TracerError, match=r"bool\(\) of bool\[\] made at .*leptonc.lax.cond"):
        leptonc.grad(lambda x: x if x > 0 else -x)(2.0)


def test_vjp():
    def f(x, y):
        return {"product": x * y, "sum": [x + y]}

    out, pull = leptonc.vjp(f, X, X + 1)
    assert_close(out["product"], X * (X + 1))
    g = {"product": X - 1, "sum": [X * 3]}
    dx, dy = pull(g)
    assert_close(dx, (X - 1) * (X + 1) + X * 3)
    assert_close(dy, (X - 1) * X + X * 3)
    assert_close(pull({"product": np.zeros_like(X), "sum": [X]})[0], X)


def test_vjp_of_integers():
    out, pull = leptonc.vjp(lambda x, n: (x * 2.0, n + 1), X, np.arange(3))
    assert out[1].tolist() == [1, 2, 3]
    dx, dn = pull((X, None))
    assert_close(dx, 2 * X)
    assert dn.tolist() == [0, 0, 0]
    assert dn.dtype == np.int64


def test_vjp_takes_weak_cotangents():
    _, pull = leptonc.vjp(lambda x: total(x * x), X.astype(np.float32))
    (dx,) = pull(1.0)
    assert dx.dtype == np.float32
    assert_close(dx, 2 * X)


@pytest.mark.parametrize(
    ("cotangent", "kind", "message"),
    [
        ({"b": X}, TreeError, "trees differ at cotangent: keys differ: missing 'a'; unexpected 'b'"),
        ({"a": X[0]}, ShapeError, r"vjp: cotangent\['a'\] of lambda must be f64\[2,3\]; cotangent\['a'\]=f64\[3\]"),
        ({"a": X.astype(np.float32)}, DtypeError, r"must be f64\[2,3\]; .*=f32\[2,3\]; fix: cast it to f64"),
    ],
)
def test_vjp_errors(cotangent, kind, message):
    _, pull = leptonc.vjp(lambda x: {"a": x * 2.0}, X)
    with pytest.raises(kind, match=message):
        pull(cotangent)


def test_vjp_inside_a_trace():
    def f(x):
        out, pull = leptonc.vjp(lambda y: y * y, x)
        assert isinstance(out, Tracer)
        return pull(out)[0]

    assert leptonc.grad(lambda x: f(x))(3.0) == 54.0  # 2x * x^2


def test_make_graph_names_inputs():
    def f(params, x, *rest, flag):
        return x

    graph = leptonc.make_graph(f)({"w": X, "b": [1.0]}, X, 2, flag=True)
    assert graph.input_names == ("params['b'][0]", "params['w']", "x", "args[2]", "flag")
    assert graph.name == "f"
    assert [str(t) for t in graph.input_types] == ["f64[]", "f64[2,3]", "f64[2,3]", "i64[]", "bool[]"]
    struct = leptonc.ShapeDtypeStruct((2, 3), "f64")
    assert leptonc.make_graph(f)({"w": struct, "b": [1.0]}, struct, 2, flag=True) == graph


def test_eval_shape():
    out = leptonc.eval_shape(lambda x, n: {"y": x[:, None] * n, "z": None, "k": 3}, X.astype(np.float32), 2)
    assert out == {"y": leptonc.ShapeDtypeStruct((2, 1, 3), np.float32), "z": None,
                   "k": leptonc.ShapeDtypeStruct((), np.int64)}


def test_shape_dtype_struct():
    struct = leptonc.ShapeDtypeStruct([np.int64(2), 3], "float32")
    assert (struct.shape, struct.dtype, struct.ndim, struct.size) == ((2, 3), np.dtype("float32"), 2, 6)
    assert hash(struct) == hash(leptonc.ShapeDtypeStruct((2, 3), np.float32))
    assert struct != leptonc.ShapeDtypeStruct((2, 3), np.float64)
    assert leptonc.tree.leaves([struct]) == [struct]
    assert repr(struct) == "ShapeDtypeStruct(shape=(2, 3), dtype=float32)"
    with pytest.raises(DtypeError, match=r"ShapeDtypeStruct: dtype datetime64.* is not supported"):
        leptonc.ShapeDtypeStruct((2,), "M8[s]")
    with pytest.raises(ShapeError, match="at least 0"):
        leptonc.ShapeDtypeStruct((-1,), np.float32)


def test_array_covers_arrays_and_tracers():
    seen = []
    leptonc.make_graph(lambda x: seen.append(isinstance(x, leptonc.Array)))(X)
    assert seen == [True]
    assert isinstance(X, leptonc.Array)
    assert not isinstance([1.0], leptonc.Array)


@pytest.mark.parametrize("argnums", [(0, 0), (0, -2), (1, 0, 1), (-1, 1, 0, 0), (0,), [1, 1], np.array([0, 0])])
@pytest.mark.parametrize("jitted", [True, False])
def test_an_argument_named_twice_has_its_gradient_twice(argnums, jitted):
    def f(x, y):
        return leptonc.numpy.sum(x["a"] ** 2 * y) + leptonc.numpy.sum(y ** 3)

    x, y = {"a": np.array([2.0, 3.0])}, np.array([5.0, 7.0])
    wanted = [{"a": 2 * x["a"] * y}, x["a"] ** 2 + 3 * y ** 2]
    transform = leptonc.grad(f, argnums=argnums)
    found = (leptonc.jit(transform) if jitted else transform)(x, y)
    assert isinstance(found, tuple) and len(found) == len(argnums)
    for n, gradient in zip(argnums, found):
        for a, b in zip(leptonc.tree.leaves(gradient), leptonc.tree.leaves(wanted[n])):
            np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_same_argument_in_value_and_grad():
    (value, aux), found = leptonc.value_and_grad(lambda x: (x * x, x + 1), (0, -1), has_aux=True)(3.0)
    assert (float(value), float(aux)) == (9, 4) and [float(g) for g in found] == [6, 6]
