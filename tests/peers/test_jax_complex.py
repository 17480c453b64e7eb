"""Functions of complex numbers and their derivatives, in JAX's convention, against JAX, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

pytestmark = pytest.mark.usefixtures("double_precision")

HOLOMORPHIC = ("exp expm1 log log1p sqrt sin cos tan sinh cosh tanh arcsin arccos arctan arcsinh arccosh arctanh square "
               "reciprocal negative exp2").split()
REAL = "abs real imag angle".split()


def numbers(seed, *shape):
    rng = np.random.default_rng(seed)
    return rng.standard_normal(shape) + 1j * rng.standard_normal(shape)


def close(got, wanted):
    for a, b in zip(leptonc.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert np.asarray(a).dtype == np.asarray(b).dtype
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", HOLOMORPHIC)
def test_holomorphic_functions(name):
    x, t = numbers(1, 5), numbers(2, 5)
    if name == "arccosh":  # on the left of 0 JAX's derivative has the other sign: a root of a product, not a product of roots
        x = abs(x.real) + 1j * x.imag
    ours, theirs = getattr(lnp, name), getattr(jnp, name)
    close(leptonc.jit(ours)(x), theirs(x))
    weights = numbers(3, 5)
    close(leptonc.jit(leptonc.grad(lambda z: lnp.sum(ours(z) * weights), holomorphic=True))(x),
          jax.grad(lambda z: jnp.sum(theirs(z) * weights), holomorphic=True)(x))
    close(leptonc.jit(leptonc.grad(lambda z: lnp.sum((ours(z) * weights).real)))(x),
          jax.grad(lambda z: jnp.sum((theirs(z) * weights).real))(x))
    close(leptonc.jvp(ours, (x,), (t,)), jax.jvp(theirs, (x,), (t,)))
    close(leptonc.vjp(ours, x)[1](t), jax.vjp(theirs, x)[1](t))
    close(leptonc.jacfwd(ours, holomorphic=True)(x), jax.jacfwd(theirs, holomorphic=True)(x))
    close(leptonc.jacrev(ours, holomorphic=True)(x), jax.jacrev(theirs, holomorphic=True)(x))
    close(leptonc.hessian(lambda z: lnp.sum(ours(z)), holomorphic=True)(x), jax.hessian(lambda z: jnp.sum(theirs(z)),
                                                                                       holomorphic=True)(x))


@pytest.mark.parametrize("name", REAL)
def test_real_functions(name):
    x, t = numbers(1, 5), numbers(2, 5)
    ours, theirs = getattr(lnp, name), getattr(jnp, name)
    close(leptonc.jit(leptonc.grad(lambda z: lnp.sum(ours(z) ** 2)))(x), jax.grad(lambda z: jnp.sum(theirs(z) ** 2))(x))
    close(leptonc.jvp(ours, (x,), (t,)), jax.jvp(theirs, (x,), (t,)))
    close(leptonc.vjp(ours, x)[1](t.real), jax.vjp(theirs, x)[1](t.real))


LOSSES = {
    "product": lambda np_, lx, z, w: np_.sum(np_.abs(z @ w - 1j) ** 2),
    "quotient": lambda np_, lx, z, w: np_.sum((z / w).imag),
    "power": lambda np_, lx, z, w: np_.sum((z ** w).real),
    "whole power": lambda np_, lx, z, w: np_.sum((z ** 3 + w ** -2).real),
    "prod": lambda np_, lx, z, w: np_.abs(np_.prod(z, axis=0) - np_.prod(w)).sum(),
    "var": lambda np_, lx, z, w: np_.var(z) + np_.std(w),
    "conj": lambda np_, lx, z, w: np_.vdot(z, w).real,
    "select": lambda np_, lx, z, w: np_.sum(np_.abs(np_.where(z.real > 0, z, w * 2j))),
    "index": lambda np_, lx, z, w: np_.sum(np_.abs(z[::-1, np.array([0, 2, 0])] * w[:, :3])) + z.at[0].set(w[1]).imag.sum(),
    "cast": lambda np_, lx, z, w: np_.sum(np_.abs(z.real.astype(complex) * w)),
    "complex": lambda np_, lx, z, w: np_.abs(lx.complex(z.real, w.imag)).sum(),
    "cumsum": lambda np_, lx, z, w: np_.abs(np_.cumsum(z, 1)).sum() + np_.abs(np_.cumsum(w)).sum(),
    "scan": lambda np_, lx, z, w: np_.abs(lx.scan(lambda c, x: (c * x + 1, c.real), w[0], z)[0]).sum(),
    "cond": lambda np_, lx, z, w: np_.abs(lx.cond(np_.sum(z.real) > 0, lambda a: a * 2j, lambda a: a.conj(), w)).sum(),
    "einsum": lambda np_, lx, z, w: np_.einsum("ij,kj->ik", z, w.conj()).real.sum(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_of_losses(name):
    z, w = numbers(4, 4, 4), numbers(5, 4, 4)
    loss = LOSSES[name]

    def ours(a, b):
        return loss(lnp, lax, a, b)

    def theirs(a, b):
        return loss(jnp, jax.lax, jnp.asarray(a), jnp.asarray(b))

    wanted = jax.value_and_grad(theirs, (0, 1))(z, w)
    close(leptonc.jit(leptonc.value_and_grad(ours, (0, 1)))(z, w), wanted)
    with leptonc.disable_jit():
        close(leptonc.jit(leptonc.value_and_grad(ours, (0, 1)))(z, w), wanted)
    zs, ws = numbers(6, 3, 4, 4), numbers(7, 3, 4, 4)
    close(leptonc.jit(leptonc.vmap(leptonc.grad(ours, (0, 1))))(zs, ws), jax.vmap(jax.grad(theirs, (0, 1)))(zs, ws))


def test_gradient_at_zero():
    close(leptonc.grad(lambda z: abs(z))(0j), jax.grad(lambda z: jnp.abs(z))(0j))


def test_real_and_complex_arguments_together():
    def loss(np_, a, z):
        return np_.sum(np_.abs(a * z) ** 2)

    a, z = numbers(1, 3).real, numbers(2, 3)
    close(leptonc.grad(lambda p: loss(lnp, *p))((a, z)), jax.grad(lambda p: loss(jnp, *p))((a, z)))


def test_jacobians_of_real_arguments():
    a = numbers(1, 3).real

    def f(np_, x):
        return np_.exp(1j * x)

    close(leptonc.jacfwd(lambda x: f(lnp, x))(a), jax.jacfwd(lambda x: f(jnp, x))(a))


TRANSFORMS = {
    "fft": lambda f, z, x: f.fft(z), "ifft": lambda f, z, x: f.ifft(z, 7), "fft ortho": lambda f, z, x: f.fft(z, norm="ortho"),
    "rfft": lambda f, z, x: f.rfft(x), "rfft odd": lambda f, z, x: f.rfft(x, 5), "irfft": lambda f, z, x: f.irfft(z),
    "irfft odd": lambda f, z, x: f.irfft(z, 9), "fft2": lambda f, z, x: f.fft2(z), "rfftn": lambda f, z, x: f.rfftn(x),
    "irfft2": lambda f, z, x: f.irfft2(z), "hfft": lambda f, z, x: f.hfft(z), "ihfft": lambda f, z, x: f.ihfft(x),
    "fft 17": lambda f, z, x: f.fft(z, 17, 0), "ifftn": lambda f, z, x: f.ifftn(z, (4, 6), (0, 1)),
    "fftshift": lambda f, z, x: f.fftshift(z),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_gradients_of_transforms(name):
    f, z, x = TRANSFORMS[name], numbers(1, 4, 6), numbers(2, 4, 6).real

    def ours(a, b):
        return lnp.sum(lnp.abs(f(lnp.fft, a, b)) ** 3)

    def theirs(a, b):
        return jnp.sum(jnp.abs(f(jnp.fft, a, b)) ** 3)

    close(leptonc.jit(leptonc.value_and_grad(ours, (0, 1)))(z, x), jax.value_and_grad(theirs, (0, 1))(z, x))
    dz, dx = numbers(3, 4, 6), numbers(4, 4, 6).real
    close(leptonc.jvp(lambda *a: f(lnp.fft, *a), (z, x), (dz, dx)), jax.jvp(lambda *a: f(jnp.fft, *a), (z, x), (dz, dx)))


@pytest.mark.parametrize("kind, lengths", [("FFT", (4, 6)), ("IFFT", (6,)), ("RFFT", (4, 6)), ("IRFFT", (4, 10))])
def test_lax_fft(kind, lengths):
    x = numbers(1, 2, 4, 6)
    x = x.real if kind == "RFFT" else x
    close(leptonc.jit(lambda v: lax.fft(v, kind, lengths))(x), jax.lax.fft(x, kind, lengths))
