"""Fourier transforms: NumPy is the oracle, op by op and compiled, of lengths of all kinds."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, lax
from leptonc import numpy as lnp
from leptonc.errors import ArgumentError, DtypeError, LeptonError, RangeError, ShapeError
from leptonc.ops.fourier.butterflies import radices_of
from leptonc.ops.fourier.tables import roots
from tests.ops.sweep import assert_close

EPS = {"complex64": 2.0**-23, "complex128": 2.0**-52}


def numbers(seed, *shape, dtype="complex64"):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(dtype)


def near(got, wanted, n, dtype, what=""):
    """A few roundings for each doubling, of the root of the mean square: ``wanted`` is exact."""
    size = np.sqrt(np.mean(np.abs(wanted) ** 2))
    error = float(np.max(np.abs(got - wanted), initial=0.0)) / max(size, 1e-30)
    limit = 4 * EPS[dtype] * (1 + np.log2(max(n, 2)))
    assert error <= limit, f"{what}: {error:.2e} of {limit:.2e}"


LENGTHS = (1, 2, 3, 4, 5, 7, 9, 12, 13, 16, 30, 49, 64, 121, 128, 1000, 17, 34, 101)


def test_lengths():
    """Compiled in one program: all radices, two powers of one in a row, primes beyond them."""
    arrays = [numbers(n, 2, n) for n in LENGTHS]
    found = leptonc.jit(lambda xs: [(lnp.fft.ifft if n % 2 else lnp.fft.fft)(x) for n, x in enumerate(xs)])(arrays)
    for number, (n, x, got) in enumerate(zip(LENGTHS, arrays, found)):
        exact = (np.fft.ifft if number % 2 else np.fft.fft)(x.astype(complex))
        near(got, exact, n, "complex64", f"{n} points")


@pytest.mark.parametrize("n", [8192, 5400, 6561, 5003, 1 << 15])
def test_long_rows(n):
    """Above one kernel's length: columns, roots, rows; or a chirp of such a length."""
    x = numbers(n, 2, n)
    there, back = leptonc.jit(lambda v: (lnp.fft.fft(v), lnp.fft.ifft(v)))(x)
    near(there, np.fft.fft(x.astype(complex)), n, "complex64")
    near(back, np.fft.ifft(x.astype(complex)), n, "complex64")


def test_doubles():
    arrays = [numbers(n, 3, n, dtype="complex128") for n in (8, 37, 1000, 6000)]
    found = leptonc.jit(lambda xs: [lnp.fft.fft(x) for x in xs])(arrays)
    for x, got in zip(arrays, found):
        near(got, np.fft.fft(x), x.shape[1], "complex128")


FUNCTIONS = {
    "fft": lambda f, z, r: f.fft(z, axis=0), "fft n": lambda f, z, r: f.fft(z, 7),
    "ifft": lambda f, z, r: f.ifft(z, 3, 0, "ortho"),
    "fft of reals": lambda f, z, r: f.fft(r, norm="forward"),
    "rfft": lambda f, z, r: f.rfft(r), "rfft odd": lambda f, z, r: f.rfft(r, 5, norm="ortho"),
    "rfft 0": lambda f, z, r: f.rfft(r, axis=0),
    "rfft 1": lambda f, z, r: f.rfft(r, 1), "rfft 2": lambda f, z, r: f.rfft(r, 2), "rfft long": lambda f, z, r: f.rfft(r, 10),
    "irfft": lambda f, z, r: f.irfft(z), "irfft odd": lambda f, z, r: f.irfft(z, 7), "irfft 0": lambda f, z, r: f.irfft(z, 12, 0),
    "irfft 1": lambda f, z, r: f.irfft(z, 1), "irfft 2": lambda f, z, r: f.irfft(z, 2, norm="forward"),
    "hfft": lambda f, z, r: f.hfft(z), "hfft n": lambda f, z, r: f.hfft(z, 5, 0, "ortho"),
    "ihfft": lambda f, z, r: f.ihfft(r, norm="forward"),
    "fft2": lambda f, z, r: f.fft2(z), "ifft2": lambda f, z, r: f.ifft2(z, (3, 4)), "rfft2": lambda f, z, r: f.rfft2(r),
    "irfft2": lambda f, z, r: f.irfft2(z), "fftn": lambda f, z, r: f.fftn(z[None], axes=(0, 2)),
    "ifftn": lambda f, z, r: f.ifftn(z),
    "rfftn": lambda f, z, r: f.rfftn(r, (4, 8), (1, 0), "ortho"), "irfftn": lambda f, z, r: f.irfftn(z, (4, 9), axes=(0, 1)),
    "fftshift": lambda f, z, r: f.fftshift(z), "ifftshift": lambda f, z, r: f.ifftshift(z, 1),
    "one axis": lambda f, z, r: f.fftshift(r, axes=(0,)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions(dtype):
    kind = np.result_type(dtype, np.complex64)
    z, r = numbers(1, 4, 6, dtype=kind), numbers(2, 4, 6).real.astype(dtype)
    compiled = leptonc.jit(lambda z, r: {name: f(lnp.fft, z, r) for name, f in FUNCTIONS.items()})(z, r)
    with leptonc.disable_jit():
        eager = leptonc.jit(lambda z, r: {name: f(lnp.fft, z, r) for name, f in FUNCTIONS.items()})(z, r)
    for name, f in FUNCTIONS.items():
        wanted = np.asarray(f(np.fft, z, r))
        wanted = wanted.astype(kind if wanted.dtype.kind == "c" else dtype)
        assert_close(eager[name], wanted, f"{name}, op by op")
        assert_close(compiled[name], wanted, f"{name}, compiled")


def test_other_dtypes():
    x = np.arange(6)
    for given, wanted in ((x, np.complex128), (x > 2, np.complex128), (x.astype(np.float16), np.complex64)):
        assert_close(leptonc.jit(lnp.fft.fft)(given), np.fft.fft(given.astype(float)).astype(wanted))
        assert_close(leptonc.jit(lnp.fft.rfft)(given), np.fft.rfft(given.astype(float)).astype(wanted))


def test_frequencies():
    for n in (1, 4, 5):
        np.testing.assert_array_equal(lnp.fft.fftfreq(n, 0.5), np.fft.fftfreq(n, 0.5))
        np.testing.assert_array_equal(lnp.fft.rfftfreq(n), np.fft.rfftfreq(n))
    assert lnp.fft.fftfreq(4, dtype=np.float32).dtype == np.float32


def test_shapes_and_layouts():
    z = numbers(1, 6, 8)[::2].T
    assert_close(leptonc.jit(lambda v: lnp.fft.fft(v, axis=0))(z), np.fft.fft(z, axis=0).astype(np.complex64))
    assert leptonc.jit(lambda v: lnp.fft.fft(v))(np.zeros((0, 5), np.complex64)).shape == (0, 5)
    nan = np.array([1, np.nan, 2, 3], np.complex64)
    assert np.isnan(leptonc.jit(lnp.fft.fft)(nan)).all()


def test_mapped_and_in_loops():
    x = numbers(3, 5, 4, 12)
    assert_close(leptonc.jit(leptonc.vmap(lnp.fft.fft))(x), np.fft.fft(x).astype(np.complex64))
    assert_close(leptonc.jit(leptonc.vmap(lambda v: lnp.fft.fft(v, axis=0), in_axes=2))(x),
                 np.fft.fft(np.moveaxis(x, 2, 0), axis=1).astype(np.complex64))

    def step(c, row):
        return lnp.fft.fft(c * row) / 2, lnp.fft.irfft(row)

    with leptonc.disable_jit():
        wanted = leptonc.jit(lambda v: lax.scan(step, v[0], v))(x[0])
    for got, want in zip(leptonc.jit(lambda v: lax.scan(step, v[0], v))(x[0]), wanted):
        assert_close(got, want)


@pytest.mark.parametrize("f", [
    lambda z, r: lnp.fft.fft(z, 11), lambda z, r: lnp.fft.ifft(z), lambda z, r: lnp.fft.rfft(r), lambda z, r: lnp.fft.rfft(r, 7),
    lambda z, r: lnp.fft.irfft(z), lambda z, r: lnp.fft.irfft(z, 7), lambda z, r: lnp.fft.hfft(z), lambda z, r: lnp.fft.fft(z, 17)])
def test_derivatives(f):
    """Transposed, a linear function has the same pairing with cotangents as tangents have with it."""
    z, r = numbers(1, 8, dtype="complex128"), numbers(2, 8).real.astype(float)
    dz, dr = numbers(3, 8, dtype="complex128"), numbers(4, 8).real.astype(float)
    value, tangent = leptonc.jvp(f, (z, r), (dz, dr))
    assert_close(tangent, leptonc.jit(f)(dz, dr))
    g = numbers(5, *value.shape, dtype="complex128")
    g = g if value.dtype.kind == "c" else g.real
    found = leptonc.jit(lambda z, r, g: leptonc.vjp(f, z, r)[1](g))(z, r, g)
    left = float(np.sum((g * tangent).real))
    right = float(np.sum((found[0] * dz).real) + np.sum(found[1] * dr))
    np.testing.assert_allclose(left, right, rtol=1e-10)


def test_lax():
    z, r = numbers(1, 4, 6), numbers(2, 4, 6).real
    for kind, given, lengths, wanted in (("FFT", z, (4, 6), np.fft.fft2(z)), (lax.FftType.IFFT, z, 6, np.fft.ifft(z)),
                                         ("RFFT", r, (6,), np.fft.rfft(r)), ("IRFFT", z, (4, 10), np.fft.irfft2(z))):
        got = leptonc.jit(lambda v, kind=kind, lengths=lengths: lax.fft(v, kind, lengths))(given)
        assert_close(got, wanted.astype(got.dtype))


def test_kernels():
    """A transform of complex numbers is one kernel, from their memory to their memory; a long one two. Roots are no text of the
    graph."""
    def program(n):
        return leptonc.jit(lnp.fft.fft).trace(numbers(1, 4, n)).lower().program

    assert len(program(1000).calls) == 1
    assert len(program(1 << 15).calls) == 2
    assert len(leptonc.jit(lnp.fft.fft).trace(numbers(1, 1 << 15)).lower().as_text("optimized")) < 3000


def test_same_bits_for_any_number_of_threads():
    x = numbers(1, 1 << 14)
    f = leptonc.jit(lnp.fft.fft)
    f(x)
    executable = f.compiled_for(x).executable.executable
    one, two = (executable([x], nthreads=n)[0] for n in (1, 2))
    assert one.tobytes() == two.tobytes()


def test_roots_are_exact():
    n = 360
    angle = np.longdouble("-6.28318530717958647692528676655900577") * np.arange(n) / n
    found = roots(np.arange(n), n)
    assert max(np.abs(found.real - np.cos(angle)).max(), np.abs(found.imag - np.sin(angle)).max()) < 2.0**-53
    assert set(roots(np.arange(8) * 45, n)[::2]) == {1, -1j, -1, 1j}


def test_radices():
    for n in range(1, 3000):
        found = radices_of(n)
        assert found is None or (np.prod(found, dtype=int) == n and max(found, default=1) <= 16)
    assert radices_of(17) is None and radices_of(1) == ()


@pytest.mark.parametrize("call, kind, words", [
    (lambda f, z: f.fft(z, 0), ShapeError, "no transform"),
    (lambda f, z: f.fft(z, axis=2), RangeError, "out of bounds"),
    (lambda f, z: f.fft(z, 1.5), ArgumentError, "an int"),
    (lambda f, z: f.fft(z, norm="both"), ArgumentError, "norm"),
    (lambda f, z: f.rfft(z), DtypeError, "use fft"),
    (lambda f, z: f.fft2(z[0]), LeptonError, "out of bounds"),
    (lambda f, z: f.fftn(z, (2,), (0, 1)), LeptonError, "2 ints"),
    (lambda f, z: f.fftfreq(0), LeptonError, "at least 1"),
    (lambda f, z: f.irfft(z[:, :1]), ShapeError, "no transform"),
    (lambda f, z: lax.fft(z, "DCT", 6), ArgumentError, "FFT, IFFT"),
    (lambda f, z: lax.fft(z, "FFT", 5), LeptonError, "do not fit"),
])
def test_wrong_calls(call, kind, words):
    with pytest.raises(kind, match=words):
        leptonc.jit(lambda z: call(lnp.fft, z))(numbers(1, 4, 6))


def test_graph_text_is_read_again():
    from leptonc.ir import parse

    graph = driver.optimize(leptonc.make_graph(lambda z: lnp.fft.fft(z))(numbers(1, 300)))
    assert str(parse(str(graph))) == str(graph)
    program = driver.lower(graph)
    assert str(parse(str(program))) == str(program)


def test_the_step_on_its_own_memory():
    """The step's reference interpreter, with threads in any order, and the verifier of races see tiles, tables and pairs."""
    from leptonc.codegen import entry
    from leptonc.codegen.step.interpret import run_step
    from leptonc.target import host_target

    x = numbers(1, 3, 60)
    program = leptonc.jit(lambda v: lnp.fft.fft(v) * 2j).trace(x).lower().program
    step = entry.verified_step(program, host_target())
    for threads, order in ((1, "forward"), (3, "backward")):
        assert_close(run_step(step, [x], threads, order)[0], (np.fft.fft(x) * 2j).astype(np.complex64))
