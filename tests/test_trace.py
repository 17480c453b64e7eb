"""Tracers: operators as NumPy has them, indexing, promotion, leaks, closures, source lines, error messages."""

import inspect
import operator
import threading

import numpy as np
import pytest

import leptonc
from leptonc import numpy as lnp
from leptonc.errors import DtypeError, ShapeError, TracerError
from leptonc.frames import named_scope
from leptonc.ir.evaluate import evaluate
from leptonc.ir.types import TensorType, f32, f64, i32
from leptonc.trace import Tracer, bind, call_graph, cast, promote, trace_to_graph

DTYPES = ["bool", "u1", "u4", "i4", "i8", "f4", "f8"]


def traced(f, *args):
    """f through its graph: traced, then evaluated op by op."""
    graph = leptonc.make_graph(f)(*args)
    outputs = evaluate(graph, [np.asarray(x) for x in args])
    assert len(outputs) == 1
    return np.asarray(outputs[0])


def assert_same(f, *args):
    """f gives the same dtype, shape and values traced as in NumPy."""
    expected, got = np.asarray(f(*args)), traced(f, *args)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


def here():
    return inspect.currentframe().f_back.f_lineno


def pair(dtype):
    a = np.array([[1, 0, 7], [3, 2, 1]]).astype(dtype)
    return a, np.array([2, 1, 1]).astype(dtype)


ARITHMETIC = [operator.add, operator.mul, operator.truediv]
COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("right", DTYPES)
@pytest.mark.parametrize("left", DTYPES)
def test_operators_promote_as_numpy(left, right):
    a, b = pair(left)[0], pair(right)[1]
    for op in ARITHMETIC + COMPARISONS:
        assert_same(op, a, b)
    if {left, right} != {"bool"}:
        assert_same(operator.sub, a, b)
        assert_same(operator.floordiv, a, b)
        assert_same(operator.mod, a, b)


@pytest.mark.parametrize("scalar", [True, 2, 2.5])
@pytest.mark.parametrize("dtype", DTYPES)
def test_python_scalars_are_weak(dtype, scalar):
    a = pair(dtype)[0]
    for op in ARITHMETIC + COMPARISONS:
        assert_same(lambda x, op=op: op(x, scalar), a)
        assert_same(lambda x, op=op: op(scalar, x + 1), a)


@pytest.mark.parametrize("dtype", ["bool", "u1", "u4", "i4", "i8"])
def test_bit_operators(dtype):
    a, b = pair(dtype)
    for op in (operator.and_, operator.or_, operator.xor):
        assert_same(op, a, b)
    assert_same(operator.invert, a)
    if dtype != "bool":
        assert_same(operator.lshift, a, b)
        assert_same(operator.rshift, a, b)
        assert_same(lambda x: x << 1, a)
        assert_same(lambda x: 1 << x, a)


def test_unary_and_reflected():
    a = np.array([-1.5, 0.0, 2.0], np.float32)
    for f in (operator.neg, operator.pos, abs, lambda x: 1 - x, lambda x: 3 // (x + 5), lambda x: 7 % (x + 5),
              lambda x: x ** 2, lambda x: (x + 5) ** 3.5, lambda x: 2.0 ** x, lambda x: divmod(x, 2)[1]):
        assert_same(f, a)


def test_numpy_arrays_on_the_left():
    a = np.arange(6, dtype=np.float32).reshape(2, 3)
    left = np.array([[2], [3]], np.float32)
    assert_same(lambda x: left - x, a)
    assert_same(lambda x: np.float32(2) * x, a)
    assert_same(lambda x: np.float64(2) * x, a.astype(np.float64))
    assert_same(lambda x: left < x, a)


def test_traced_python_scalars_stay_weak():
    a = np.ones(3, np.float32)

    def f(x, s):
        return (s * 2 + 1) * x

    graph = leptonc.make_graph(f)(a, 2.5)
    assert [str(t) for t in graph.input_types] == ["f32[3]", "f64[]"]
    assert graph.output_types[0].dtype == f32
    assert f(a, 2.5).dtype == np.float32
    assert leptonc.make_graph(lambda x, s: x * s)(np.ones(3, np.int32), 2).output_types[0].dtype == i32
    assert leptonc.make_graph(lambda x, s: x * s)(a, np.float64(2)).output_types[0].dtype == f64
    assert leptonc.make_graph(lambda x, s: x * cast(s, np.float64))(a, 2.0).output_types[0].dtype == f64


def test_promote_concrete():
    x, y = promote(np.ones(2, np.float32), 3)
    assert (x.dtype, y.dtype, y.shape) == (np.float32, np.float32, ())
    assert promote(1, 2.0)[0].dtype == np.float64
    assert promote(np.uint32(1), np.int32(1))[0].dtype == np.int64


def test_comparison_with_an_int_out_of_range():
    assert_same(lambda x: x < 300, np.array([1, 255], np.uint8))
    assert_same(lambda x: x == -1, np.array([1, 255], np.uint8))


@pytest.mark.parametrize(
    ("f", "args", "message"),
    [
        (lambda x: x + 300, (np.zeros(2, np.uint8),), "operand 300 .*out of bounds for uint8"),
        (lambda x: x + np.zeros(2, "M8[s]"), (np.zeros(2),), r"datetime64.*: dtype datetime64.* is not supported; fix"),
        (lambda x: x.astype("S3"), (np.zeros(2),), r"dtype \|S3 is not supported"),
        (lambda x: x, (np.zeros(2, np.longdouble),), "x: dtype .* is not supported"),
        (lambda x: x, ("text",), r"x is 'text' of type str, not an array; fix: make the argument static"),
        (lambda x: -x, (np.zeros(2, bool),), r"negative: bools have no negative; x=bool\[2\]; fix: use ~ \(test_trace"),
        (lambda x: x - x, (np.zeros(2, bool),), "bools do not subtract"),
        (lambda x: x & 1.0, (np.zeros(2),), "bitwise_and: takes ints and bools only"),
        (lambda x: ~x, (np.zeros(2),), "invert: takes ints and bools only"),
        (lambda x: x << x, (np.zeros(2),), "left_shift: takes ints and bools only"),
        (lambda x: x ** -1, (np.zeros(2, np.int32),), "an int to a negative power is no int"),
        (lambda x: "no array", (np.zeros(2),), r"returned no array \(str\), which is no array"),
        (lambda x: {"a": [x, "b"]}, (np.zeros(2),), r"returned b \(str\) at \['a'\]\[1\]"),
    ],
)
def test_dtype_errors(f, args, message):
    with pytest.raises(DtypeError, match=message):
        leptonc.make_graph(f)(*args)


def test_shape_error_names_operands_and_line():
    def f(x, y):
        return x + y

    line = f.__code__.co_firstlineno + 1
    message = rf"add: operands do not .*; x=f32\[2,3\], y=f64\[4\] \(test_trace.py:{line}\)"
    with pytest.raises(ShapeError, match=message):
        leptonc.make_graph(f)(np.ones((2, 3), np.float32), np.ones(4))


X = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
INDICES = {
    "int": 1,
    "negative": -1,
    "ints": (0, -2, 3),
    "slice": slice(1, 3),
    "steps": (slice(None, None, 2), slice(3, 0, -2)),
    "reverse": (Ellipsis, slice(None, None, -1)),
    "empty slice": slice(2, 1),
    "none": (None, slice(None), None, 2),
    "dots": (Ellipsis, None, 0),
    "all": (),
    "array": np.array([2, 0, -1]),
    "list": [0, 2],
    "array 2-d": (slice(None), np.array([[0, 1], [3, -4]])),
    "array after slice": (slice(0, 2), np.array([1, 3]), slice(None, None, 2)),
    "two arrays": (np.array([0, 2]), np.array([1, -1])),
    "broadcast arrays": (slice(None), np.array([[0], [1]]), np.array([2, 3, 4])),
    "arrays apart": (np.array([0, 2]), slice(1, 3), np.array([4, 0])),
    "int and array apart": (0, slice(None), np.array([4, 0])),
    "array and none": (None, np.array([0, 2]), None, np.array([0, 1])),
    "array last": (Ellipsis, np.array([0, 1])),
    "empty list": ([],),
    "mask": np.array([True, False, True]),
    "mask 2-d": (np.arange(12).reshape(3, 4) % 5 == 0, slice(None), None),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_getitem(index):
    assert_same(lambda x: x[index], X)


def test_getitem_with_traced_positions():
    i = np.array(2)
    rows = np.array([2, 0, -1])
    for f in (lambda x, i: x[i], lambda x, i: x[:, i], lambda x, i: x[..., i - 1], lambda x, i: x[1, i, None]):
        assert_same(f, X, i)
    for f in (lambda x, r: x[r], lambda x, r: x[:, r, 1:3], lambda x, r: x[r, r], lambda x, r: x[r, :, r],
              lambda x, r: x[0, r], lambda x, r: x[0, :, r], lambda x, r: x[r[:, None], [0, 1]]):
        assert_same(f, X, rows)
    np.testing.assert_array_equal(traced(lambda x, i: x[i], X, np.array(7)), X[2])
    np.testing.assert_array_equal(traced(lambda x, i: x[i, i], X, np.array([-9, 9])), X[[0, 2], [0, 3]])


@pytest.mark.parametrize(
    ("f", "kind", "message"),
    [
        (lambda x: x[3], ShapeError, "index 3 is out of range for axis 0 of 3 elements"),
        (lambda x: x[:, [0, 4]], ShapeError, r"index \[0 4\] is out of range for axis 1"),
        (lambda x: x[0, 0, 0, 0], ShapeError, "4 indices for 3 axes"),
        (lambda x: x[..., ...], ShapeError, "more than one ellipsis"),
        (lambda x: x[1.5], DtypeError, "an index must be ints or bools"),
        (lambda x: x[x], DtypeError, "an index must be ints"),
        (lambda x: x[x > 0], TracerError, r"a traced bool mask .* on data; x=f32\[3,4,5\]; fix: use leptonc"),
        (lambda x: x[: x.astype("i64")[0, 0, 0]], TracerError, "traced bounds.*dynamic_slice"),
        (lambda x: x[::0], DtypeError, "slice step cannot be zero"),
        (lambda x: x.at[5].set(0), ShapeError, "index 5 is out of range"),
        (lambda x: x.at[0].set(np.ones((2, 2), np.float32)), ShapeError, "broadcast|stretch"),
    ],
)
def test_index_errors(f, kind, message):
    with pytest.raises(kind, match=message):
        leptonc.make_graph(f)(X)


def reference_update(x, index, values, accumulate):
    x = x.copy()
    if accumulate:
        np.add.at(x, index, values)
    else:
        x[index] = values
    return x


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_at_set_and_add(index):
    values = -np.arange(X[index].size, dtype=np.float32).reshape(X[index].shape) - 1
    np.testing.assert_array_equal(traced(lambda x, v: x.at[index].set(v), X, values),
                                  reference_update(X, index, values, False))
    np.testing.assert_array_equal(traced(lambda x, v: x.at[index].add(v), X, values),
                                  reference_update(X, index, values, True))
    np.testing.assert_array_equal(traced(lambda x: x.at[index].set(7), X), reference_update(X, index, 7, False))


TRACED_INDICES = {
    "row": lambda i, r: (i,),
    "scalar and slice": lambda i, r: (slice(1, 3), i),
    "all scalars": lambda i, r: (i, i, 1),
    "rows": lambda i, r: (r,),
    "middle": lambda i, r: (slice(None), r),
    "last": lambda i, r: (Ellipsis, r),
    "pairs": lambda i, r: (r, r),
    "apart": lambda i, r: (r, slice(None), r),
    "2-d": lambda i, r: (r[:, None], r),
}


@pytest.mark.parametrize("make", TRACED_INDICES.values(), ids=TRACED_INDICES)
@pytest.mark.parametrize("rows", [np.array([2, 0, -2]), np.array([1, 1, 1])], ids=["unique", "repeated"])
def test_at_with_traced_positions(make, rows):
    i = np.array(-2)
    known = make(i, rows)
    values = -np.arange(X[known].size, dtype=np.float32).reshape(X[known].shape) - 1
    added = traced(lambda x, v, i, r: x.at[make(i, r)].add(v), X, values, i, rows)
    np.testing.assert_array_equal(added, reference_update(X, known, values, True))
    put = traced(lambda x, v, i, r: x.at[make(i, r)].set(v), X, values, i, rows)
    np.testing.assert_array_equal(put, reference_update(X, known, values, False))


def test_at_out_of_range_writes_nothing():
    for position in (np.array(3), np.array(-4), np.array([3, 9]), np.array([-4, 5])):
        np.testing.assert_array_equal(traced(lambda x, i: x.at[i].set(7), X, position), X)
        np.testing.assert_array_equal(traced(lambda x, i: x.at[i, i].add(7), X, position), X)


def test_attributes():
    def f(x):
        assert isinstance(x, Tracer)
        assert (x.shape, x.ndim, x.size, x.nbytes, len(x)) == ((3, 4, 5), 3, 60, 240, 3)
        assert x.dtype == np.dtype("float32")
        assert isinstance(x.dtype, np.dtype)
        first, *rest = x
        assert len(rest) == 2
        return first

    np.testing.assert_array_equal(traced(f, X), X[0])


CONCRETE_USES = {
    "bool()": lambda x: bool(x),
    "if": lambda x: 1 if x > 0 else 2,
    "int()": lambda x: int(x),
    "float()": lambda x: float(x),
    "range": lambda x: range(x),
    "list index": lambda x: [1, 2, 3][x],
    "numpy array": lambda x: np.asarray(x),
    "numpy function": lambda x: np.sum(x),
    "numpy ufunc": lambda x: np.exp(x),
    "item": lambda x: x.item(),
    "tolist": lambda x: x.tolist(),
    "hash": lambda x: {x: 1},
    "format": lambda x: f"{x:.3f}",
}


@pytest.mark.parametrize("use", CONCRETE_USES.values(), ids=CONCRETE_USES)
def test_concrete_use_of_a_traced_value(use):
    def step(x):
        y = x.astype("i32")
        return use(y)

    line = step.__code__.co_firstlineno + 1
    message = rf" of i32\[\] made at test_trace.py:{line} while tracing step: its .* fix: .*\(test_trace.py:\d+\)"
    if use is CONCRETE_USES["if"]:
        message = r"bool\(\) of bool\[\] made at test_trace.py:\d+ while tracing step.*leptonc.lax.cond"
    with pytest.raises(TracerError, match=message):
        leptonc.make_graph(step)(1.0)


def test_arguments_are_named_in_errors():
    def step(params):
        return float(params["w"][0])

    line = step.__code__.co_firstlineno
    message = rf"float\(\) of f64\[\] \(params\['w'\]\[0\] of step, test_trace.py:{line}\) while tracing step"
    with pytest.raises(TracerError, match=message):
        leptonc.make_graph(step)({"w": [1.0]})


def test_no_axis():
    for use in (len, list):
        with pytest.raises(TracerError, match="it has no axis"):
            leptonc.make_graph(lambda x, use=use: use(x))(1.0)
    with pytest.raises(TracerError, match=r"traced values do not change; fix: x = x.at\[i\].set\(v\)"):
        leptonc.make_graph(lambda x: x.__setitem__(0, 1))(X)


def test_leak_after_the_trace():
    kept = []

    def step(x):
        kept.append(x * 2)
        return x

    line = step.__code__.co_firstlineno + 1
    leptonc.make_graph(step)(np.ones(4, np.float32))
    message = rf"f32\[4\] made at test_trace.py:{line} leaked while tracing step: .*\(test_trace.py:{here() + 2}\)"
    with pytest.raises(TracerError, match=message):
        kept[0] + 1
    with pytest.raises(TracerError, match="leaked while tracing step"):
        leptonc.make_graph(lambda y: y + kept[0])(1.0)
    with pytest.raises(TracerError, match="leaked while tracing step"):
        leptonc.make_graph(lambda y: kept[0])(1.0)


def test_leak_into_another_thread():
    caught = []

    def other(x):
        try:
            x + 1
        except TracerError as error:
            caught.append(str(error))

    def step(x):
        thread = threading.Thread(target=other, args=(x,))
        thread.start()
        thread.join()
        return x

    leptonc.make_graph(step)(1.0)
    assert "leaked while tracing step" in caught[0]


def test_traces_end_when_the_function_raises():
    def broken(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        leptonc.make_graph(broken)(1.0)
    assert isinstance(bind("add", np.ones(2), np.ones(2)), np.ndarray)


def test_closure_conversion():
    captured = []

    def outer(x, y):
        closed = trace_to_graph(lambda a: a * x + x + 3.0, [TensorType((2,), f64)], "inner", ["a"])
        captured.append(closed)
        assert closed.captured == (x,) or closed.captured[0] is x
        return call_graph(closed.graph, (y, *closed.captured))[0]

    x, y = np.array([2.0, 3.0]), np.array([5.0, 7.0])
    np.testing.assert_array_equal(traced(outer, x, y), y * x + x + 3)
    graph = captured[0].graph
    assert graph.input_names == ("a", "x")
    np.testing.assert_array_equal(evaluate(graph, [y, x])[0], y * x + x + 3)


def test_closure_over_two_levels():
    def outer(x):
        def middle(y):
            inner = trace_to_graph(lambda z: z * x + y, [TensorType((), f64)], "inner")
            return call_graph(inner.graph, (y, *inner.captured))[0]

        closed = trace_to_graph(middle, [TensorType((), f64)], "middle")
        assert [c is x for c in closed.captured] == [True]
        return call_graph(closed.graph, (x + 1, *closed.captured))[0]

    assert traced(outer, np.array(3.0)) == 4 * 3 + 4


def test_returned_outer_tracer_and_constants():
    def outer(x):
        closed = trace_to_graph(lambda y: (x, 2, None, [y]), [TensorType((), f64)])
        out = call_graph(closed.graph, (x, *closed.captured))
        assert closed.out_weak == (False, True, False)
        assert str(closed.out_tree) == "(*, *, None, [*])"
        return out[0] + out[1] + out[2]

    assert traced(outer, np.array(3.0)) == 8.0


def test_nodes_carry_the_users_line():
    def f(x):
        y = x * 2.0
        return (y +
                x[0])

    start = f.__code__.co_firstlineno
    graph = leptonc.make_graph(f)(X)
    lines = {node.op: node.loc for node in graph.nodes}
    assert lines["mul"].file == __file__
    assert lines["mul"].line == start + 1
    assert lines["add"].line in (start + 2, start + 3)
    assert lines["slice"].line == start + 3


def test_large_constants_become_formulas():
    zeros, count = np.zeros((64, 64), np.float32), np.arange(1000)
    graph = leptonc.make_graph(lambda x: (zeros + x, count + x))(np.array(1))
    sizes = [node.types[0].size for node in graph.nodes if node.op == "constant"]
    assert sizes and max(sizes) == 1
    assert any(node.op == "iota" for node in graph.nodes)
    minus = np.full(20, -0.0)
    minus[3] = 0.0
    np.testing.assert_array_equal(np.signbit(traced(lambda x: (minus, x)[0], np.array(1))), np.signbit(minus))


def test_bind_eager():
    out = bind("sum", np.ones((2, 3), np.float32), axes=(0, 1))
    assert isinstance(out, np.ndarray)
    assert out.shape == ()
    assert bind("mul", [1, 2], np.array([3, 4])).tolist() == [3, 8]


def test_methods_delegate_to_leptonc_numpy():
    for f in (lambda x: x.sum(), lambda x: x.sum(axis=1), lambda x: x.mean(axis=(0, 2)), lambda x: x.max(axis=0),
              lambda x: x.min(), lambda x: x.reshape(5, -1), lambda x: x.reshape((12, 5)), lambda x: x.T,
              lambda x: x.transpose(1, 0, 2), lambda x: x.transpose((2, 0, 1)), lambda x: x.transpose(),
              lambda x: x.ravel(), lambda x: x.flatten(), lambda x: x.astype(np.int32), lambda x: x[0] @ x[1].T,
              lambda x: X[0] @ x[1].T):
        assert_same(f, X)


def test_nodes_know_the_scope_they_were_made_in():
    """Through a gradient as well; a scope takes the place of the one around it, and ends with its block however that ends."""
    def loss(x):
        with named_scope("model/first"):
            y = lnp.sin(x)
            with pytest.raises(ZeroDivisionError), named_scope("model/second"):
                y = lnp.exp(y) * (1 // 0)
            y = lnp.exp(y)
        return lnp.sum(y)

    graph = leptonc.make_graph(leptonc.grad(loss))(np.ones(3))
    scopes = {node.op: node.loc.scope for node in graph.nodes}
    assert scopes["sin"] == scopes["cos"] == scopes["exp"] == "model/first"
    assert leptonc.make_graph(lambda x: lnp.sum(x))(np.ones(3)).nodes[0].loc.scope == ""
    assert str(graph) == str(leptonc.ir.parse(str(graph)))
