"""Complex numbers: NumPy is the oracle, op by op and compiled; derivatives are compared with JAX in tests/peers."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import leptonc
from leptonc import driver, lax, segments
from leptonc import numpy as lnp
from leptonc.errors import DtypeError, ValidationError
from leptonc.ir import parse
from leptonc.ir.op import all_ops, get_op
from leptonc.ir.pair import Pair
from leptonc.ops.elementwise import Elementwise
from leptonc.validation.validator import Validator
from tests.ops.sweep import assert_close


def numbers(seed, *shape, dtype="complex64"):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


def check(functions, *arguments, numpy=np):
    """Each function of a namespace, op by op and compiled in one, gives what it gives of NumPy."""
    with np.errstate(all="ignore"):
        wanted = {name: np.asarray(f(numpy, *arguments)) for name, f in functions.items()}

    def all_of_them(*args):
        return {name: f(lnp, *args) for name, f in functions.items()}

    compiled = leptonc.jit(all_of_them)(*arguments)
    with leptonc.disable_jit():
        eager = leptonc.jit(all_of_them)(*arguments)
    for name, want in wanted.items():
        assert_close(eager[name], want, f"{name}, op by op")
        assert_close(compiled[name], want, f"{name}, compiled")


def named(names):
    return {name: (lambda np_, *args, name=name: getattr(np_, name)(*args)) for name in names.split()}


ELEMENTARY = ("exp expm1 log log1p log2 log10 sqrt sin cos tan sinh cosh tanh arcsin arccos arctan arcsinh arccosh arctanh exp2 "
              "negative absolute sign square reciprocal real imag conj angle isnan isinf isfinite isreal iscomplex rint "
              "nan_to_num sum prod mean var std cumsum cumprod any all trace tril transpose")


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_functions_of_one_array(dtype):
    check(named(ELEMENTARY), numbers(1, 4, 5, dtype=dtype))


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_functions_of_two_arrays(dtype):
    x, y = numbers(1, 4, 5, dtype=dtype), numbers(2, 4, 5, dtype=dtype)
    check({
        **named("add subtract multiply divide power equal not_equal vdot kron isclose array_equal"),
        "matmul": lambda np_, a, b: a @ b.T,
        "einsum": lambda np_, a, b: np_.einsum("ij,kj->ik", a, b),
        "outer": lambda np_, a, b: np_.outer(a[0], b[0]),
        "vecdot": lambda np_, a, b: np_.vecdot(a, b),
        "where": lambda np_, a, b: np_.where(a.real > 0, a, b),
        "concatenate": lambda np_, a, b: np_.concatenate([a, b]),
        "convolve": lambda np_, a, b: np_.convolve(a[0], b[0]),
        "correlate": lambda np_, a, b: np_.correlate(a[0], b[0]),
        "slice": lambda np_, a, b: a[1:, ::-2] * b[np.array([2, 0, 1])][:, :3],
        "take": lambda np_, a, b: np_.take(a, np.array([1, 1, 0]), axis=1),
        "pad": lambda np_, a, b: np_.pad(a, 1, constant_values=2 + 1j),
        "power 3": lambda np_, a, b: a**3,
        "power -2": lambda np_, a, b: a**-2,
        "power 0": lambda np_, a, b: a**0,
        "power 0.5": lambda np_, a, b: a**0.5,
        "python": lambda np_, a, b: 2j * a + (1 - 1j) / b,
        "methods": lambda np_, a, b: a.conj() * b.real + b.imag + a.T.reshape(4, 5),
        "roll": lambda np_, a, b: np_.roll(a, 1),
        "to real": lambda np_, a, b: b.real.astype(a.dtype) * a,
    }, x, y)


@pytest.mark.filterwarnings("ignore:.* enters")
@pytest.mark.parametrize("left, right", [
    (np.float32, 1j), (np.int32, 1j), (np.float16, 1j), (np.float32, np.complex128(1j)), (np.int64, np.complex64(1)),
    (np.float64, np.complex64(2j)), (bool, np.complex64(1j)), (np.complex64, 2.5), (np.complex64, np.float64(2.5))])
def test_promotion(left, right):
    x = np.ones(3, left)
    check({"product": lambda np_, a: a * right, "sum": lambda np_, a: np_.add(right, a)}, x)
    assert leptonc.jit(lambda a, b: a * b)(x, right).dtype == (x * right).dtype


SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e15, -1e-15]
ENDLESS = [0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan]


def _same(got, wanted, what):
    for part in ("real", "imag"):
        a, b = getattr(got, part), getattr(wanted, part)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-30, err_msg=what)
        number = ~np.isnan(b)
        np.testing.assert_array_equal(np.signbit(a)[number], np.signbit(b)[number], err_msg=f"signs of {what}")


def test_conjugates_of_reals():
    """Reals in numpy, complex in lax, as JAX has them."""
    x = np.array([1.5, -0.0], np.float32)
    for run in (leptonc.jit(lax.conj), lax.conj):
        assert run(x).dtype == np.complex64
        np.testing.assert_array_equal(run(x), x)
    assert leptonc.jit(lnp.conj)(x).dtype == np.float32


def test_signed_zeros_and_branch_cuts():
    """Compiled, on either side of every cut: parts of any size, zeros of either sign."""
    z = np.array([complex(a, b) for a in SPECIAL for b in SPECIAL], np.complex64)
    names = "sqrt log log10 angle arcsin arccos arcsinh arccosh arctan square absolute conj negative".split()
    found = leptonc.jit(lambda v: {name: getattr(lnp, name)(v) for name in names})(z)
    for name in names:
        with np.errstate(all="ignore"):
            wanted = getattr(np, name)(z)
        _same(found[name], wanted, name)


def test_zeros_of_quotients_and_signs():
    """Parts that are 0 are of NumPy's sign, on either side of Smith's comparison; the sign of a zero is 0."""
    parts = [0.0, -0.0, 1.5, -1.5, 3.0]
    a, b = (np.array([complex(x, y) for x in parts for y in parts], np.complex64) for _ in range(2))
    a, b = np.repeat(a, b.size), np.tile(b, a.size)
    a, b = a[b != 0], b[b != 0]
    _same(leptonc.jit(lnp.divide)(a, b), a / b, "divide")
    _same(leptonc.jit(lnp.sign)(a), np.sign(a), "sign")


def test_infinities_and_nan():
    """These are C's everywhere; of others, some pairs of parts that are infinite or NaN make more of NaN."""
    z = np.array([complex(a, b) for a in ENDLESS for b in ENDLESS], np.complex64)
    names = "sqrt log log10 angle square absolute conj arccos arccosh arcsin arcsinh isnan isinf isfinite".split()
    found = leptonc.jit(lambda v: {name: getattr(lnp, name)(v) for name in names})(z)
    for name in names:
        with np.errstate(all="ignore"):
            _same(found[name], getattr(np, name)(z), name)
    some = np.array([complex(-np.inf, 2), complex(np.inf, 0.0), complex(np.inf, -0.0), complex(np.nan, 0), complex(88.9, 1.57)],
                    np.complex64)
    check(named("exp"), some)


def test_matrices():
    a, b = numbers(3, 2, 4, 4), numbers(4, 2, 4, 3)
    check({
        "solve": lambda np_, a, b: np_.linalg.solve(a, b), "inv": lambda np_, a, b: np_.linalg.inv(a),
        "pinv": lambda np_, a, b: np_.linalg.pinv(b), "svdvals": lambda np_, a, b: np_.linalg.svdvals(b),
        "norm": lambda np_, a, b: np_.linalg.norm(a, axis=(1, 2)), "2": lambda np_, a, b: np_.linalg.norm(b, 2, axis=(1, 2)),
        "1": lambda np_, a, b: np_.linalg.vector_norm(a, ord=1, axis=2), "0": lambda np_, a, b: np_.linalg.vector_norm(a, ord=0),
        "rank": lambda np_, a, b: np_.linalg.matrix_rank(b), "cond": lambda np_, a, b: np_.linalg.cond(a),
        "power": lambda np_, a, b: np_.linalg.matrix_power(a, -2),
    }, a, b)


def test_quotients_neither_overflow_nor_vanish():
    x = np.array([1e30 + 1e30j, 1e-30 - 1e-30j, 1 + 1j, 0j, 1 - 1j], np.complex64)
    y = np.array([1e30 - 1e30j, 1e-30 + 2e-30j, 1e25j, 1j, 0j], np.complex64)
    check(named("divide"), x, y)


@pytest.mark.parametrize("z", [numbers(1, 0, 3), numbers(1), numbers(1, 1), numbers(1, 6, 4)[::2].T, numbers(1, 3).astype(">c8")],
                         ids=["empty", "0-d", "one", "strided", "swapped"])
def test_shapes_and_layouts(z):
    native = z.astype(z.dtype.newbyteorder("="))
    got = leptonc.jit(lambda v: (v * 2j, lnp.sum(v), v))(z)
    for found, wanted in zip(got, (native * np.complex64(2j), native.sum(), native)):
        assert_close(found, wanted)


def test_python_numbers_are_arguments():
    f = leptonc.jit(lambda z, x: z * x)
    assert_close(f(1 + 2j, np.ones(3, np.float32)), np.full(3, 1 + 2j, np.complex64))
    assert complex(f(1 + 2j, 3.0)) == 3 + 6j


def test_loops_and_branches():
    z = numbers(3, 4, 5)

    def f(v):
        last, reals = lax.scan(lambda c, x: (c * x + 1, c.real), lnp.ones(5, v.dtype), v)
        grown = lax.while_loop(lambda s: lnp.sum(lnp.abs(s)) < 50, lambda s: s * (1.1 + 0.2j), v)
        chosen = lax.cond(v[0, 0].real > 0, lambda x: x * 2j, lambda x: x.conj(), v)
        mapped = leptonc.vmap(lambda a, b: lnp.vdot(a, b))(v, grown)
        return last, reals, grown, chosen, mapped, lax.fori_loop(0, 3, lambda i, s: s * v[0] + i, v[1])

    with leptonc.disable_jit():
        wanted = leptonc.jit(f)(z)
    for got, want in zip(leptonc.jit(f)(z), wanted):
        assert_close(got, want)


def test_updates():
    z = numbers(4, 4, 5)

    def f(v):
        return (v.at[1].set(2j).at[0].add(v[1]).at[np.array([2, 2])].add(1j), v.at[9:].get(mode="fill"), lnp.diag(v[0]),
                v.at[np.array([3, 1, 0])].mul(v[:3], unique_indices=True))

    with leptonc.disable_jit():
        wanted = leptonc.jit(f)(z)
    for got, want in zip(leptonc.jit(f)(z), wanted):
        assert_close(got, want)


def test_donated_arrays_are_overwritten():
    z = numbers(5, 300)
    before = z.copy()
    out = leptonc.jit(lambda v: v * 2j, donate_argnums=0)(z)
    assert np.shares_memory(out, z)
    assert_close(out, before * np.complex64(2j))


def test_donated_arrays_that_are_read_later_are_overwritten_at_the_end():
    z = numbers(5, 9)
    before = z.copy()
    first, second = leptonc.jit(lambda v: (v[::-1] * 2j, lnp.sum(v) + v), donate_argnums=0)(z)
    assert np.shares_memory(first, z) != np.shares_memory(second, z)
    assert_close(first, before[::-1] * np.complex64(2j))
    assert_close(second, before.sum() + before)


def test_frozen_arguments():
    z, w = numbers(6, 8, 8), numbers(7, 8)
    f = leptonc.freeze(lambda m, v: lnp.exp(m) @ v, z)
    assert_close(f(w), np.exp(z) @ w)


def test_checkpoint_and_custom_rules():
    z = numbers(8, 4, dtype="complex128")

    @leptonc.custom_vjp
    def f(v):
        return v * v

    f.defvjp(lambda v: (v * v, v), lambda v, g: (g * 2 * v,))
    assert_close(leptonc.jit(leptonc.grad(lambda v: lnp.sum(f(v)), holomorphic=True))(z), 2 * z)
    again = leptonc.checkpoint(lambda v: v * v)
    assert_close(leptonc.jit(leptonc.grad(lambda v: lnp.sum(again(v)), holomorphic=True))(z), 2 * z)


def test_gradients_are_those_of_jax():
    """df/dx - i df/dy of a real f; the complex derivative of a holomorphic one."""
    z = numbers(9, 3, dtype="complex128")
    assert_close(leptonc.grad(lambda v: lnp.sum(lnp.abs(v) ** 2))(z), 2 * z.conj())
    assert_close(leptonc.grad(lambda v: lnp.sum(lnp.exp(v)), holomorphic=True)(z), np.exp(z))
    assert_close(leptonc.grad(lambda v: lnp.sum(v.imag))(z), np.full(3, -1j))
    _, tangent = leptonc.jvp(lambda v: lnp.sin(v), (z,), (1j * z,))
    assert_close(tangent, np.cos(z) * 1j * z)
    assert_close(leptonc.jacrev(lambda v: v**3, holomorphic=True)(z), np.diag(3 * z**2))
    turned = leptonc.grad(lambda v: lnp.sum(lnp.sign(v).real))(z)
    step = 1e-6
    along = [(np.sign(z + d * step) - np.sign(z - d * step)).real / (2 * step) for d in (1, 1j)]
    np.testing.assert_allclose(turned, along[0] - 1j * along[1], atol=1e-8)


def test_text_of_graphs_and_programs():
    z = numbers(10, 3)
    traced = leptonc.jit(lambda v: v * z + np.complex64(-0.0)).trace(z)
    for text in (traced.as_text(), traced.lower().as_text("optimized"), traced.lower().as_text("kernels")):
        assert str(parse(text)) == text
    assert "c64[3]<" in traced.as_text()
    kernels = traced.lower().as_text("kernels")
    assert "input c64[3]" in kernels and "in a0: f32[3,2]" in kernels


def test_one_kernel():
    """Arithmetic of complex arguments is one loop, from and to their own memory."""
    z = numbers(11, 100)
    lowered = leptonc.jit(lambda a, b: lnp.exp(a * b + a) / b[::-1]).trace(z, z).lower()
    assert len(lowered.program.calls) == 1
    text = lowered.compile().as_text()
    assert_close(lowered.compile()(z, z), np.exp(z * z + z) / z[::-1])
    assert "gather" not in text and "pairs" in text and "mixed" in text  # vectors of pairs, taken apart and put together


def test_validation_knows_them(monkeypatch, capsys):
    """Transforms, whose tables are rounded, and functions that look at the bits of a part."""
    monkeypatch.setenv("LEPTONC_VALIDATE", "1")
    x, z = np.arange(8.0), numbers(12, 5)
    assert_close(leptonc.jit(lambda v: lnp.abs(lnp.fft.rfft(v)) + lnp.sum(v))(x), np.abs(np.fft.rfft(x)) + 28)
    assert_close(leptonc.jit(lambda v: lnp.sqrt(v) * v[::-1])(z), np.sqrt(z) * z[::-1])
    assert capsys.readouterr().err == ""


def test_validation_finds_what_is_wrong(monkeypatch):
    """A product without its cross terms: the pass that makes parts is named."""
    monkeypatch.setattr(type(get_op("mul")), "of_pairs", staticmethod(lambda a, b: Pair(a.re * b.re, a.im * b.im)))
    traced = leptonc.jit(lambda v: v * v).trace(numbers(13, 4))
    with pytest.raises(ValidationError, match="split-complex"):
        driver.check(traced.graph, {}, Validator())


def test_real_programs_are_as_they_were():
    graph = leptonc.make_graph(lambda x: lnp.sum(x * x))(np.ones(3, np.float32))
    from leptonc.passes.graph.parts import SplitComplex

    assert SplitComplex()(graph) is graph


def test_parts_stored_side_by_side_are_told_apart():
    """``joined`` stores two results in one buffer: what reads one of them must not take the other."""
    def f(x, y):
        both = lax.complex(x, y)
        return lnp.stack([both.real, both.imag], -1)[::-1] + lnp.sum(both.real)

    x, y = (np.random.default_rng(s).standard_normal(6) for s in (1, 2))
    graph = parse("""graph @g(%0: f64[6], %1: f64[6]) {
  %2: f64[6,2] = joined(%0, %1)
  %3: f64[6] = part(%2) {number = 0}
  %4: f64[6] = part(%2) {number = 1}
  return %3, %4
}""")
    from leptonc import driver

    first, second = driver.compile_program(driver.lower(driver.optimize(graph)))([x, y])
    assert_close(first, x)
    assert_close(second, y)
    assert_close(leptonc.jit(f)(x, y), np.stack([x, y], -1)[::-1] + x.sum())


@pytest.mark.parametrize("call, words", [
    (lambda z: z // 2, "floordiv: takes"),
    (lambda z: lnp.floor(z), "floor: takes"),
    (lambda z: lnp.arctan2(z, z), "atan2: takes"),
    (lambda z: z & 1, "takes ints and bools only"),
    (lambda z: lax.complex(z, z), "takes f32 or f64"),
    (lambda z: z.at[np.array([0, 0])].mul(z[:2]), "unique_indices=True"),
    (lambda z: z.at[np.array([0, 0])].max(z[:2]), "no order"),
    (lambda z: segments.segment_max(z, np.array([0, 0, 1]), 2), "no order"),
])
def test_what_complex_numbers_do_not_do(call, words):
    for run in (leptonc.jit(call), call):
        with leptonc.disable_jit(run is call), pytest.raises(DtypeError, match=words):
            (leptonc.jit(run) if run is call else run)(numbers(1, 3))


def test_gradients_say_what_they_need():
    z = numbers(1, 3)
    with pytest.raises(DtypeError, match="holomorphic=True"):
        leptonc.grad(lambda v: lnp.sum(v))(z)
    with pytest.raises(DtypeError, match="must return a complex"):
        leptonc.grad(lambda v: lnp.sum(v.real), holomorphic=True)(z)
    with pytest.raises(DtypeError, match="not complex"):
        leptonc.grad(lambda v: lnp.sum(v * 1j), holomorphic=True)(z.real)
    with pytest.raises(DtypeError, match="not real"):
        leptonc.jacfwd(lambda v: v * v)(z)


def test_a_donated_complex_array_that_is_read_once_more_is_written_at_the_end():
    """x x is written where x is, but not before all of it is known."""
    x = np.array([[1, 2j], [3j, 1 + 1j]])
    given, wanted = x.copy(), x @ x
    np.testing.assert_allclose(leptonc.jit(lambda a: a @ a, donate_argnums=0)(given), wanted)


@pytest.mark.parametrize("name", [name for name in sorted(all_ops()) if getattr(get_op(name), "of_pairs", None) is not None])
def test_small_complex_numbers_are_right_op_by_op(name):
    """In c64 as in c128, whose roundoff beside small numbers is below that of c64."""
    op = get_op(name)
    angles = np.exp(1j * np.linspace(0.1, 6.1, 13))
    z = np.concatenate([angles * size for size in (1e-6, 3e-3, 0.2)]).astype(np.complex64)
    operands = (z, z[::-1])[:len(inspect.signature(op.of_pairs).parameters)]
    with np.errstate(all="ignore"):
        found, wanted = (np.asarray(op.eager(*(x.astype(kind) for x in operands))) for kind in (np.complex64, np.complex128))
    if wanted.dtype.kind == "b":
        np.testing.assert_array_equal(found, wanted)
    else:
        assert (np.abs(found - wanted) <= 1e-6 * np.abs(wanted)).all()


@pytest.mark.parametrize("name", sorted(name for name, op in all_ops().items() if isinstance(op, Elementwise) and "c" in op.kinds))
def test_a_number_is_as_an_array_of_one(name):
    """Op by op, without an axis: NumPy's functions give numbers there, which nothing can be written into."""
    op = get_op(name)
    sample = next(s for s in op.samples() if s.name != "special")
    arity = len(sample.make(np.random.default_rng(0)))
    for dtype in ("complex64", "complex128"):
        for seed in range(4):
            whole = [numbers(seed + 10 * n, 1, dtype=dtype) * 10.0 ** (seed - 2) for n in range(arity)]
            wanted = op.eager(*whole, **sample.attrs)[0]
            assert_close(op.eager(*(x[0] for x in whole), **sample.attrs), wanted, f"numbers of {dtype}")
            assert_close(op.eager(*(x.reshape(()) for x in whole), **sample.attrs), wanted, f"arrays of {dtype}")
