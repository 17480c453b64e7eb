"""jit: signatures and the cache, static and donated arguments, stages, nesting, explain_recompiles."""

import gc
import threading
import weakref
from collections import deque, namedtuple

import numpy as np
import pytest

import leptonc
from leptonc import programs
from leptonc.errors import DonationError, DtypeError, LeptonError, ShapeError, TracerError, TreeError
from leptonc.jit import Jitted
from leptonc.trace import bind

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def total(x):
    return bind("sum", x, axes=tuple(range(x.ndim)))


def counted(f, **options):
    """(f jitted, the list of calls that traced it)."""
    traces = []

    def wrapper(*args, **kwargs):
        traces.append(args)
        return f(*args, **kwargs)

    return leptonc.jit(wrapper, **options), traces


def test_result_equals_eager():
    def f(x, y):
        return {"a": x * 2 + y, "b": (total(x), -y)}

    got = leptonc.jit(f)(X, X[0])
    with leptonc.disable_jit():
        expected = leptonc.jit(f)(X, X[0])
    assert leptonc.tree.structure(got) == leptonc.tree.structure(expected)
    for a, b in zip(leptonc.tree.leaves(got), leptonc.tree.leaves(expected), strict=True):
        assert isinstance(a, np.ndarray)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)


def test_decorator_with_and_without_options():
    @leptonc.jit
    def plain(x):
        """Doc."""
        return x + 1

    @leptonc.jit(static_argnames="n")
    def power(x, n):
        return x * 1.0 if n == 1 else x * x

    assert plain.__name__ == "plain"
    assert plain.__doc__ == "Doc."
    assert repr(plain) == "<jitted plain>"
    np.testing.assert_array_equal(plain(X), X + 1)
    np.testing.assert_array_equal(power(X, n=2), X * X)
    np.testing.assert_array_equal(power(X, 1), X)
    with pytest.raises(LeptonError, match="jit wants a function, got 3"):
        leptonc.jit(3)


def test_one_compile_per_signature():
    f, traces = counted(lambda x: x["a"] * 2)
    for array in (X, X + 1, X[::-1], np.asfortranarray(X)):
        np.testing.assert_array_equal(f({"a": array}), array * 2)
    assert len(traces) == 1
    f({"a": X[:1]})
    f({"a": X.astype(np.float64)})
    f({"a": X, "b": None})
    assert len(traces) == 4
    f({"a": X})
    assert len(traces) == f.compiles == 4


def test_byte_swapped_arrays_share_the_signature():
    f, traces = counted(lambda x: x * 2)
    np.testing.assert_array_equal(f(X.astype(">f4")), X * 2)
    np.testing.assert_array_equal(f(X), X * 2)
    assert len(traces) == 1


def test_python_scalars_are_weak():
    f, traces = counted(lambda x, s: x * s)
    assert f(X, 2.0).dtype == np.float32
    assert f(X, 3.0).dtype == np.float32
    assert len(traces) == 1
    assert f(X, 3).dtype == np.float32
    assert f(X, np.float64(3)).dtype == np.float64
    assert f(X, np.array(3.0)).dtype == np.float64
    assert len(traces) == 3
    np.testing.assert_array_equal(f(X, 2.0), X * np.float32(2))


def test_outputs_are_fresh():
    constant = np.arange(3.0)
    x = X.copy()
    a, b, c, d, e = leptonc.jit(lambda x: (x, x, x * 1.5, constant, 7))(x)
    f = leptonc.jit(lambda x: (x * 1.5,) * 2)(x)
    for array in (a, b, d):
        assert not np.shares_memory(array, x)
        assert not np.shares_memory(array, constant)
    assert not np.shares_memory(a, b)
    assert not np.shares_memory(f[0], f[1])
    a += 1
    np.testing.assert_array_equal(b, X)
    np.testing.assert_array_equal(c, X * 1.5)
    np.testing.assert_array_equal(d, constant)
    assert (e.shape, e.dtype, int(e)) == ((), np.int64, 7)


def test_same_array_twice_and_unused_inputs():
    np.testing.assert_array_equal(leptonc.jit(lambda x, y, z: x + y)(X, X, X[0]), X * 2)
    assert leptonc.jit(lambda x: None)(X) is None
    assert leptonc.jit(lambda: 3.5)() == 3.5


def test_static_arguments():
    def f(x, n, *, mode="add"):
        assert isinstance(n, int | float)
        return x + n if mode == "add" else x * n

    for options in ({"static_argnums": 1, "static_argnames": "mode"}, {"static_argnames": ("n", "mode")},
                    {"static_argnums": (-1,), "static_argnames": ["mode"]}):
        g = leptonc.jit(f, **options)
        np.testing.assert_array_equal(g(X, 2), X + 2)
        np.testing.assert_array_equal(g(X, n=3, mode="mul"), X * 3)
        np.testing.assert_array_equal(g(X, 3, mode="mul"), X * 3)


def test_equal_static_values_of_other_types_differ():
    f, traces = counted(lambda x, n: x * (0.5 if isinstance(n, float) else 1.0), static_argnums=1)
    assert f(X, 1).tolist() != f(X, 1.0).tolist()
    f(X, True)
    f(X, 0.0)
    f(X, -0.0)
    f(X, (1,))
    f(X, (1.0,))
    f(X, 1)
    assert len(traces) == 7


def test_static_errors():
    f = leptonc.jit(lambda x, n: x, static_argnums=1)
    with pytest.raises(LeptonError, match=r"lambda: static argument 1 is \[1\] \(list\), which is not hashable; fix"):
        f(X, [1])
    with pytest.raises(TracerError, match=r"static argument 1 is .*, a traced value"):
        leptonc.make_graph(lambda n: f(X, n))(2)
    with pytest.raises(LeptonError, match=r"static_argnums=5, but it has parameters \['x'\]"):
        leptonc.jit(lambda x: x, static_argnums=5)
    with pytest.raises(LeptonError, match=r"donate_argnums=1, but it has parameters \['x'\]"):
        leptonc.jit(lambda x, *, state: state, donate_argnums=1)
    with pytest.raises(LeptonError, match=r"static_argnames='n', but it has parameters \['x'\]"):
        leptonc.jit(lambda x: x, static_argnames="n")
    with pytest.raises(LeptonError, match="argument 0 is both static and donated"):
        leptonc.jit(lambda x: x, static_argnums=0, donate_argnums=0)


def test_argument_errors_name_the_argument():
    def step(params, x):
        return x

    with pytest.raises(DtypeError, match=r"step: params\['act'\] is 'relu' of type str, not an array; fix: make the"):
        leptonc.jit(step)({"act": "relu"}, X)
    with pytest.raises(DtypeError, match=r"step: x: dtype datetime64.* is not supported"):
        leptonc.jit(step)({}, np.zeros(2, "M8[s]"))
    assert leptonc.jit(step)({}, 2j) == 2j
    with leptonc.disable_jit(), pytest.raises(DtypeError, match=r"step: params\['act'\] is 'relu'"):
        leptonc.jit(step)({"act": "relu"}, X)
    with pytest.raises(DtypeError, match="x 1180591620717411303424"):
        leptonc.jit(step)({}, 2**70)


def test_donated_arguments_are_written_in_place():
    State = namedtuple("State", ["w", "m"])

    def step(state, x, lr):
        m = state.m * 0.5 + x
        return State(state.w - lr * m, m), total(m)

    w, m, x = X + 1, X + 2, X + 3
    expected = step(State(w.copy(), m.copy()), x, np.float32(0.5))
    views = w[0], m[:, 1]
    new, value = leptonc.jit(step, donate_argnums=0)(State(w, m), x, np.float32(0.5))
    assert np.shares_memory(new.w, w)
    assert np.shares_memory(new.m, m)
    np.testing.assert_array_equal(new.w, expected[0].w)
    np.testing.assert_array_equal(new.m, expected[0].m)
    np.testing.assert_array_equal(views[0], expected[0].w[0])
    np.testing.assert_array_equal(views[1], expected[0].m[:, 1])
    np.testing.assert_allclose(value, expected[1])


def test_donated_and_returned_in_another_order():
    a, b = X + 1, X + 2
    first, second = leptonc.jit(lambda a, b: (b, a), donate_argnums=(0, 1))(a, b)
    np.testing.assert_array_equal(first, X + 2)
    np.testing.assert_array_equal(second, X + 1)


def test_donating_one_buffer_twice():
    f = leptonc.jit(lambda a, b, c: (a + c, b + c), donate_argnums=(0, 1))
    x = X.copy()
    with pytest.raises(DonationError, match="lambda: a and b share one buffer, and it is donated"):
        f(x, x[:], X)
    with pytest.raises(DonationError, match="b and c share one buffer"):
        f(X.copy(), x, x)
    np.testing.assert_array_equal(x, X)


def test_aliases_prefer_the_value_itself_then_equal_types_in_order():
    traced = leptonc.jit(lambda a, b, n: (b, a * 2, n, a), donate_argnums=(0, 1, 2)).trace(X, X, np.arange(3))
    assert traced.interface.donated == (0, 1, 2)
    assert traced.interface.aliases(traced.graph) == {0: 1, 2: 2, 3: 0}
    traced = leptonc.jit(lambda a, b: (a * 2, b * 2, b * 3), donate_argnums=(0, 1)).trace(X, X)
    assert traced.interface.aliases(traced.graph) == {0: 0, 1: 1}
    traced = leptonc.jit(lambda x, state: state * 2, donate_argnums=1).trace(X, state=X)
    assert traced.interface.donated == (1,)


def test_stages():
    @leptonc.jit(static_argnums=1)
    def f(x, n, y):
        return {"out": x * n + y}

    struct = leptonc.ShapeDtypeStruct(X.shape, X.dtype)
    traced = f.trace(struct, 3, struct)
    assert traced.graph.input_names == ("x", "y")
    assert "mul" in traced.as_text("traced")
    assert traced.as_text() == str(traced.graph)
    lowered = traced.lower()
    for stage in ("traced", "optimized", "kernels"):
        assert lowered.as_text(stage)
    compiled = lowered.compile()
    for stage in ("traced", "optimized", "kernels", "llvm", "asm"):
        assert compiled.as_text(stage)
    np.testing.assert_array_equal(compiled(X, X)["out"], X * 3 + X)
    assert isinstance(compiled.cost_analysis(), dict)
    assert compiled.memory_analysis() is not None
    with pytest.raises(LeptonError, match="stage='llvm', expected one of traced, optimized, kernels"):
        lowered.as_text("llvm")


def test_compiled_checks_its_arguments():
    compiled = leptonc.jit(lambda p, x: x * p["w"]).trace({"w": 2.0}, X).lower().compile()
    np.testing.assert_array_equal(compiled({"w": 3.0}, X), X * 3)
    with pytest.raises(ShapeError, match=r"lambda was compiled for x=f32\[2,3\], got f32\[1,3\]; fix: call the jitted"):
        compiled({"w": 2.0}, X[:1])
    with pytest.raises(DtypeError, match=r"compiled for p\['w'\]=f64\[\] \(Python scalar\), got f64\[\];"):
        compiled({"w": np.array(2.0)}, X)
    with pytest.raises(TreeError, match=r"another structure: arguments\[0\]\[0\]: keys differ: missing 'w'"):
        compiled({}, X)


def test_jit_inside_jit_and_grad():
    inner = leptonc.jit(lambda x, y: {"out": x * y})
    outer = leptonc.jit(lambda x: inner(x, x + 1)["out"] * inner(x, 2.0)["out"])
    np.testing.assert_allclose(outer(X), X * (X + 1) * X * 2)
    assert inner.compiles == 0
    gradient = leptonc.grad(leptonc.jit(lambda x: total(x * x)))
    np.testing.assert_array_equal(gradient(X), 2 * X)
    np.testing.assert_array_equal(leptonc.jit(gradient)(X), 2 * X)


def test_jit_closes_over_the_values_around_it():
    def outer(x):
        return leptonc.jit(lambda y: x * y)(3.0)

    np.testing.assert_array_equal(leptonc.jit(outer)(X), X * 3)

    def traced_inside(x):
        return leptonc.jit(lambda y: x * y).trace(3.0)

    with pytest.raises(TracerError, match=r"lambda uses f32\[2,3\] \(x of traced_inside.* fix: pass it as an argument"):
        leptonc.make_graph(traced_inside)(X)


def test_inner_scalars_become_arrays():
    seen = []

    def outer(x):
        seen.append(leptonc.jit(lambda y: (y, 2))(x))
        return x

    leptonc.make_graph(outer)(X)
    assert isinstance(seen[0][1], np.ndarray)
    assert seen[0][1].shape == ()


def test_leaked_tracer_as_an_argument():
    kept = []
    leptonc.make_graph(lambda x: kept.append(x))(X)
    with pytest.raises(TracerError, match="leaked while tracing"):
        leptonc.jit(lambda x: x)(kept[0])


def test_disable_jit():
    seen = []

    @leptonc.jit
    def f(x):
        seen.append(x)
        return x if x[0, 0] > 0 else -x

    x = X + 1
    with leptonc.disable_jit():
        out = f(x)
        with leptonc.disable_jit(False), pytest.raises(TracerError, match="bool"):
            f(x)
        f(x)
    assert isinstance(seen[0], np.ndarray)
    assert f.compiles == 0
    assert not np.shares_memory(out, x)
    np.testing.assert_array_equal(out, x)
    with pytest.raises(TracerError, match="bool"):
        f(x)


def test_disable_jit_is_for_one_thread():
    found = []
    f, traces = counted(lambda x: x * 2)
    with leptonc.disable_jit():
        thread = threading.Thread(target=lambda: found.append(f(X)))
        thread.start()
        thread.join()
    assert f.compiles == len(traces) == 1
    np.testing.assert_array_equal(found[0], X * 2)


def test_threads_compile_once():
    f, traces = counted(lambda x: total(x * x))
    barrier = threading.Barrier(4)
    found = []

    def call():
        barrier.wait()
        found.append(float(f(X)))

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [55.0] * 4
    assert len(traces) == f.compiles == 1


def test_methods():
    Base = namedtuple("Base", ["w"])

    class Model(Base):
        __slots__ = ()

        @leptonc.jit
        def __call__(self, x):
            return self.w * x

    np.testing.assert_array_equal(Model(X)(X), X * X)
    np.testing.assert_array_equal(Model(X + 1)(X), (X + 1) * X)
    assert Model.__call__.compiles == 1


def test_failed_trace_leaves_nothing():
    f = leptonc.jit(lambda x: x + np.ones(7, np.float32))
    for _ in range(2):
        with pytest.raises(ShapeError, match="add: operands do not broadcast"):
            f(X)
    assert f.compiles == 0
    assert f(np.float32(1)).shape == (7,)


def test_explain_recompiles(capsys, monkeypatch):
    @leptonc.jit(static_argnames="n")
    def step(params, x, n=1):
        return x * params["w"] + n

    assert leptonc.explain_recompiles(step) == "step: compiled 0 times"
    monkeypatch.setenv("LEPTONC_DEBUG", "0")
    step({"w": X}, X)
    step({"w": X}, X[:1])
    step({"w": X}, X, n=2)
    step({"w": X}, X[:1], n=2)
    step({"w": 2.0}, X)
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("LEPTONC_DEBUG", "1")
    step({"w": X, "b": X}, X)
    printed = capsys.readouterr().err
    text = leptonc.explain_recompiles(step)
    lines = text.splitlines()
    assert lines[0] == "step: compiled 6 times"
    assert lines[1].endswith("nearest #1: x: f32[2,3] -> f32[1,3]")
    assert lines[1].startswith("  #2 (test_jit.py:")
    assert lines[2].endswith("nearest #1: static argument n: not given -> 2")
    assert lines[3].endswith("nearest #2: static argument n: not given -> 2")
    assert lines[4].endswith("nearest #1: params['w']: f32[2,3] -> f64[] (Python scalar)")
    assert "structure of params: keys differ: unexpected 'b'" in lines[5]
    assert lines[5] in printed
    assert lines[4] not in printed
    assert text in leptonc.explain_recompiles()


def test_examples():
    given = (leptonc.ShapeDtypeStruct((2,), "f32"), 3)
    assert leptonc.jit(lambda x, n: x, example_args=given).examples() == given
    assert leptonc.jit(lambda x, n: x, example_args=lambda: given).examples() == given
    with pytest.raises(LeptonError, match="lambda has no example arguments; fix"):
        leptonc.jit(lambda x: x).examples()


class Foreign:
    """Another library's array, which has one of the protocols."""

    def __init__(self, array, protocol, dtype="their.float32"):
        self._array = array
        self.shape, self.dtype = array.shape, dtype  # as PyTorch's: no dtype of NumPy's
        if protocol == "__array_interface__":
            self.__array_interface__ = array.__array_interface__
        elif protocol == "__array_struct__":
            self.__array_struct__ = array.__array_struct__


class WithArray(Foreign):
    def __array__(self, dtype=None, copy=None):
        return self._array if dtype is None else self._array.astype(dtype)


class WithDlpack(Foreign):
    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


FOREIGN = [lambda a: WithArray(a, ""), lambda a: WithDlpack(a, ""), lambda a: Foreign(a, "__array_interface__"),
           lambda a: Foreign(a, "__array_struct__")]


@pytest.mark.parametrize("foreign", FOREIGN, ids=["__array__", "__dlpack__", "__array_interface__", "__array_struct__"])
def test_other_libraries_arrays_are_taken_whatever_came_first(foreign):
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    f = leptonc.jit(lambda tree, n: tree["x"] * n)
    for _ in range(2):
        np.testing.assert_array_equal(f({"x": foreign(x)}, 2.0), x * 2)
    np.testing.assert_array_equal(f({"x": x}, 2.0), x * 2)
    assert f.compiles == 1 and f({"x": foreign(x)}, 2.0).dtype == np.float32
    np.testing.assert_array_equal(leptonc.jit(leptonc.grad(lambda x: (x * x).sum()))(foreign(x)), 2 * x)
    np.testing.assert_array_equal(leptonc.freeze(lambda w, x: w * x, foreign(x))(foreign(x)), x * x)
    step = leptonc.jit(lambda p: p + 1, donate_argnums=0)
    given = x.copy()
    assert np.shares_memory(step(foreign(given)), given)


def test_an_array_that_does_not_convert_says_why():
    class Gradient(Foreign):
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("call detach() first")

    with pytest.raises(DtypeError, match=r"x is a .*Gradient that does not convert .*detach"):
        leptonc.jit(lambda x: x + 1)(Gradient(np.ones(3), ""))


def test_a_function_keeps_so_many_programs(monkeypatch):
    monkeypatch.setattr(programs, "PROGRAMS_KEPT", 4)
    monkeypatch.setattr(programs, "ARENAS_KEPT", 2)
    f = leptonc.jit(lambda x: (x @ x.T).sum())
    executables = weakref.WeakSet()
    for n in (1, 2, 3, 1, 4, 5, 6):
        assert f(np.ones((n, 2))) == 2 * n * n
        executables.add(f.compiled_for(np.ones((n, 2))).executable.executable)
    shapes = [compiled.interface.signature.leaves[0][0][0] for compiled in f._programs.values()]
    assert shapes == [1, 4, 5, 6], "those called last, where 1 was called again"
    assert f.compiles == 6
    gc.collect()
    assert len(executables) == 4, "what was forgotten is freed"
    assert [len(c.executable.executable._frames.spare) for c in f._programs.values()] == [0, 0, 1, 1]
    assert f(np.ones((2, 2))) == 8 and f.compiles == 7
    assert f(np.ones((4, 2))) == 32 and f.compiles == 7


def test_explaining_goes_as_far_back_as_what_is_kept(monkeypatch):
    f = leptonc.jit(lambda x: x + 1)
    f._compiles = deque(maxlen=3)
    for n in range(1, 6):
        f(np.ones(n))
    text = leptonc.explain_recompiles(f)
    assert "compiled 5 times" in text and "#5" in text and "nearest #3" in text and "#2 " not in text


def test_threads_that_want_one_program_make_one(monkeypatch):
    """And those that want another do not wait for it."""
    made, started, go = [], threading.Barrier(5), threading.Event()
    original = Jitted._compile

    def slow(self, leaves, *rest):
        made.append(leaves[0].shape)
        if leaves[0].shape == (3,):
            go.wait(30)
        return original(self, leaves, *rest)

    monkeypatch.setattr(Jitted, "_compile", slow)
    f = leptonc.jit(lambda x: x * 2)
    results = []

    def work():
        started.wait(30)
        results.append(f(np.ones(3)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait(30)
    np.testing.assert_array_equal(f(np.ones(5)), 2)
    assert not results
    go.set()
    for thread in threads:
        thread.join(30)
    assert len(results) == 4 and sorted(made) == [(3,), (5,)]


def test_a_compile_that_fails_is_tried_by_the_next():
    fail = [True]

    def f(x):
        if fail[0]:
            raise ValueError("not yet")
        return x + 1

    jitted = leptonc.jit(f)
    with pytest.raises(ValueError, match="not yet") as caught:
        jitted(np.ones(2))
    fail[0] = False
    assert caught.value is not None  # and with it the frames of the call that failed
    np.testing.assert_array_equal(jitted(np.ones(2)), 2)


@pytest.mark.parametrize("call", [lambda f, a, b: f(a, b), lambda f, a, b: f(a, b=b), lambda f, a, b: f(a=a, b=b)])
def test_arguments_donated_by_name(call):
    def step(a, b):
        return a + 1, b * 2

    for options in ({"donate_argnames": "b"}, {"donate_argnames": ("b",)}, {"donate_argnums": 1},
                    {"donate_argnums": (0,), "donate_argnames": ["b"]}):
        a, b = np.zeros(16), np.ones(16)
        first, second = call(leptonc.jit(step, **options), a, b)
        assert any(np.shares_memory(out, b) for out in (first, second))
        assert any(np.shares_memory(out, a) for out in (first, second)) == (options.get("donate_argnums") == (0,))
        assert (first == 1).all() and (second == 2).all()


def test_keyword_only_arguments_are_donated():
    made = leptonc.jit(lambda *, x: x + 1, donate_argnames="x")
    x = np.zeros(16)
    assert np.shares_memory(made(x=x), x)
