"""Small programs that reach the passes and the code that faults are planted in. Each gives a function and its arguments."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

import leptonc
from leptonc import driver, lax, nn, optim
from leptonc import numpy as lnp
from leptonc.passes.conv import staged_winograd
from leptonc.passes.loops.rows import JoinRows
from leptonc.trace import bind

Made = tuple[Any, tuple[Any, ...]]


def r(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def mlp() -> Made:
    optimizer = optim.adam(1e-2)

    def step(params: Any, state: Any, x: Any, y: Any) -> Any:
        def loss(params: Any) -> Any:
            (w, b), (last,) = params
            return nn.cross_entropy(nn.relu(x @ w + b) @ last, y)

        value, grads = leptonc.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return optim.apply_updates(params, updates), state, value

    params = ((r(13, 37), r(37)), (r(37, 5),))
    return leptonc.jit(step, donate_argnums=(0, 1)), (params, optimizer.init(params), r(9, 13), np.arange(9) % 5)


def cnn() -> Made:
    def loss(params: Any, x: Any, y: Any) -> Any:
        (w1, b1), (w2, b2), last = params
        x = nn.max_pool(nn.relu(nn.conv(x, w1, padding="SAME") + b1), 2)
        x = nn.max_pool(nn.relu(nn.conv(x, w2) + b2), 2)
        return nn.cross_entropy(x.reshape((x.shape[0], -1)) @ last, y)

    params = ((r(3, 3, 3, 16), r(16)), (r(3, 3, 16, 24), r(24)), r(384, 5))
    return leptonc.jit(leptonc.value_and_grad(loss, argnums=(0, 1))), (params, r(4, 20, 20, 3), np.arange(4))


def winograd() -> Made:
    return leptonc.jit(lambda x, w, b: nn.relu(nn.conv(x, w, padding="SAME") + b)), (r(8, 24, 24, 16), r(3, 3, 16, 16), r(16))


def winograd_grad() -> Made:
    def f(x: Any, w: Any, g: Any) -> Any:
        return leptonc.vjp(lambda x: nn.conv(nn.relu(x), w, padding="SAME"), x)[1](g)

    return leptonc.jit(f), (r(8, 24, 24, 16), r(3, 3, 16, 24), r(8, 24, 24, 24))


def spread() -> Made:
    staged_winograd.tiled_work = lambda found, weight: inf  # or tiles would be chosen at so small a size,
    staged_winograd.GAIN = 0  # or direct sums
    return leptonc.jit(lambda x, w: nn.relu(nn.conv(x, w, padding="SAME") * 2 + 1)), (r(3, 11, 10, 16), r(3, 3, 16, 24))


def weight_grad() -> Made:
    def f(x: Any, w: Any, g: Any) -> Any:
        return leptonc.vjp(lambda w: nn.conv(x, w, padding="SAME"), w)[1](g)

    return leptonc.jit(f), (r(6, 11, 18, 24), r(3, 3, 24, 40), r(6, 11, 18, 40))


def strided() -> Made:
    f = leptonc.grad(lambda x, w: lnp.sum(nn.conv(x, w, stride=2, padding=1) ** 2) + lnp.sum(x[1:, ::2]), argnums=(0, 1))
    return leptonc.jit(f), (r(2, 11, 12, 6), r(3, 3, 6, 8))


def strided3() -> Made:
    f = leptonc.grad(lambda x, w: lnp.sum(nn.conv(x, w, stride=3, padding=((2, 0), (1, 2)), dilation=(1, 2)) ** 2))
    return leptonc.jit(f), (r(2, 13, 14, 5), r(4, 3, 5, 7))


def grouped() -> Made:
    f = leptonc.value_and_grad(lambda x, w: lnp.sum(nn.conv(x, w, groups=2, padding=1) ** 2), argnums=(0, 1))
    return leptonc.jit(f), (r(2, 7, 8, 6), r(3, 3, 3, 10))


def halo() -> Made:
    def f(x: Any, v: Any, w: Any) -> Any:
        y = lnp.tanh(x)
        return nn.conv(y, v, padding=1), nn.conv(y, w, padding=((2, 1), (0, 3))), nn.conv(y, v, padding=((-1, 0), (0, 2)))

    return leptonc.jit(f), (r(2, 8, 9, 4), r(3, 3, 4, 8), r(5, 4, 4, 8))


def conv_pool() -> Made:
    return leptonc.jit(lambda x, w, b: nn.max_pool(nn.relu(nn.conv(x, w) + b), (2, 3), stride=(3, 3))), (
        r(3, 15, 20, 5), r(3, 3, 5, 64), r(64))


def unpool() -> Made:
    def f(g: Any, y: Any, w: Any) -> Any:
        (image,) = leptonc.vjp(lambda y: nn.max_pool(y, window=2), y)[1](g)
        return nn.relu(leptonc.vjp(lambda x: nn.conv(x, w, padding="SAME"), lnp.zeros((8, 12, 16, 32), "float32"))[1](image)[0])

    return leptonc.jit(f), (r(8, 6, 8, 40), r(8, 12, 16, 40), r(3, 3, 32, 40))


def pools() -> Made:
    def loss(x: Any) -> Any:
        a = nn.max_pool(x, 3, stride=2, padding=((1, 1), (0, 1)))
        b = nn.avg_pool(x, (2, 3), stride=(2, 3), padding=((0, 1), (1, 0)))
        c = nn.max_pool(x, 2, stride=3)
        return lnp.sum(a * a) + lnp.sum(b * b * b) + lnp.sum(lnp.sin(c)), (a, b, c)

    return leptonc.jit(leptonc.value_and_grad(loss, has_aux=True)), (r(2, 9, 10, 3),)


def rows() -> Made:
    small = JoinRows(least_bytes=0, tile_bytes=16 * 1024, least_blocks=2)
    driver.PROGRAM_PASSES = tuple(small if isinstance(p, JoinRows) else p for p in driver.PROGRAM_PASSES)

    def step(w: Any, m: Any, x: Any, last: Any) -> Any:
        value, (dw, dx) = leptonc.value_and_grad(lambda w, x: (nn.relu(x @ w) @ last).sum(), argnums=(0, 1))(w, lnp.tanh(x))
        m = 0.9 * m + dw * dw
        return w - 0.1 * dw / (lnp.sqrt(m) + 1e-3), m, dx, value

    return leptonc.jit(step, donate_argnums=(0, 1)), (r(96, 40), r(96, 40) ** 2, r(6, 96), r(40, 3))


def sums() -> Made:
    def f(x: Any, y: Any, z: Any) -> Any:
        logical = lnp.any(x > 3), lnp.all(x < 3)
        return lnp.sum(x), lnp.max(x), lnp.min(-y, 0), lnp.prod(y, 0), *logical, lnp.argmax(y, 0), z.T @ z

    return leptonc.jit(f), (r(10007), r(5003, 3), r(6000, 7))


def row_product() -> Made:
    return leptonc.jit(lambda x, w: (x @ w, lnp.sum(w * w, 0))), (r(1, 12288), r(12288, 9))


def chain() -> Made:
    def f(x: Any, y: Any, b: Any) -> Any:
        a = lnp.exp(-x) * y + b
        c = (a - lnp.mean(a, -1, keepdims=True)).reshape(-1).reshape(5, 14) * 1.0
        return nn.softmax(a), c.T + 0.0, a.reshape(14, 5), lnp.abs(a), lnp.negative(-a), a.astype("int32"), a[::-1, 1:6:2]

    return leptonc.jit(f), (r(10, 7), r(10, 7) + 1, r(7))


def pads() -> Made:
    def f(x: Any, y: Any) -> Any:
        a = lnp.pad(x[:9], ((3, 2), (0, 0)))
        b = lax.pad(lnp.tanh(x) * 2, 1.5, [(1, -2, 2), (0, 3, 1)])
        c = lnp.concatenate([x, y * 2, x[::-1, ::-1]], 0)
        return a * 2, b + 1, c, lnp.flip(c, 0)[2:-1:3] @ y[:5].T, lnp.pad(y[2:6, 1:], 2) - 1, lnp.transpose(c)[1:3], y.T.T + x[:9]

    return leptonc.jit(f), (r(13, 5), r(9, 5))


def lookups() -> Made:
    def f(table: Any, i: Any, x: Any, u: Any) -> Any:
        def loss(table: Any) -> Any:
            return lnp.sum(table[i] * x) + lnp.sum(lnp.pad(table, ((0, 6), (0, 0)))[i] ** 2)

        return leptonc.grad(loss)(table), x.at[i].add(u), lnp.take(table, i, axis=1), lax.dynamic_update_slice(
            table, u[:3, :2], (i[0], i[1]))

    return leptonc.jit(f), (r(11, 6), np.array([3, 10, 0, -1, 7]), r(5, 6), r(5, 6))


def scans() -> Made:
    return leptonc.jit(lambda x, k: (lnp.cumsum(x, 1), nn.log_softmax(x), lnp.argmax(x, 1),
                                     k // 3, k % 5, k << 2, k * 0 + k, lnp.minimum(k, 7) - 0)), (r(6, 17), np.arange(-20, 20))


def donated() -> Made:
    def f(a: Any, b: Any, c: Any, w: Any) -> Any:
        return a[::-1] + b, b * 2 + a, c @ w, lnp.tanh(c)

    return leptonc.jit(f, donate_argnums=(0, 1, 2)), (r(12, 8), r(12, 8) * 2, r(8, 8), r(8, 8))


def arena() -> Made:
    """Temporaries of several sizes, some of which live long."""
    def f(x: Any, a: Any, b: Any) -> Any:
        first = lnp.tanh(x @ a)
        y = first
        for n in range(7):
            y = (y @ b if n % 2 else y @ b.T)
            y = lnp.sum(y.reshape(6, -1, 8) ** 2, 1) @ a[:8] if n == 3 else y
        return y * lnp.sum(first), first @ b

    return leptonc.jit(f), (r(6, 24), r(24, 24), r(24, 24) * 0.3)


def order() -> Made:
    optimizer = optim.sgd(0.1, momentum=0.9)

    def step(params: Any, state: Any, x: Any) -> Any:
        def loss(params: Any) -> Any:
            y = x
            for w in params:
                y = nn.relu(nn.conv(y, w, padding="SAME"))
            return (y * y).mean()

        value, grads = leptonc.value_and_grad(loss)(params)
        updates, state = optimizer.update(grads, state, params)
        return optim.apply_updates(params, updates), state, value

    params = [r(3, 3, 8, 16) * 0.1, r(3, 3, 16, 16) * 0.1, r(3, 3, 16, 8) * 0.1]
    return leptonc.jit(step, donate_argnums=(0, 1)), (params, optimizer.init(params), r(4, 12, 12, 8))


def products() -> Made:
    """Products of odd sizes, batched and transposed, and sums along every axis: edges of tiles and vectors."""
    def f(a: Any, b: Any, c: Any, d: Any) -> Any:
        return nn.relu(a @ b), c @ d, lnp.sum(a, 0), lnp.sum(a, 1), b.T @ a.T, (a * 2 + 1)[:, 3:], lnp.max(c, 2)

    return leptonc.jit(f), (r(37, 71), r(71, 53), r(3, 17, 29), r(3, 29, 33))


def large_arena() -> Made:
    return leptonc.jit(lambda a, b, c: lnp.exp(a @ b) @ c), (r(150, 190), r(190, 170), r(170, 190))


def large() -> Made:
    return leptonc.jit(lambda a, b: nn.tanh(a @ b) + 1), (r(150, 190), r(190, 170))


def concatenations() -> Made:
    return leptonc.jit(lambda x, y: lnp.concatenate([x, y, x], 1) * 2), (r(4, 3), r(4, 5))


def row_ragged() -> Made:
    return leptonc.jit(lambda x, w: x @ w), (r(1, 4099), r(4099, 9))


def ragged_max() -> Made:
    return leptonc.jit(lambda x, y: (lnp.max(-lnp.exp(x)), lnp.max(y), lnp.prod(1 + y * 1e-3))), (r(10007), -r(10007) ** 2 - 1)


def gaps_of_one() -> Made:
    f = leptonc.jit(lambda v, w: lnp.sum(lax.pad(v, 1.0, [(0, 0, 2), (0, 0, 0)]) * w, 1))
    return f, (r(64, 70), r(190, 70))


def halo_made() -> Made:
    """A padded operand that another kernel makes."""
    f = leptonc.jit(lambda x, y, w: nn.conv(x * y + 1, w, padding=((1, 2), (2, 0))))
    return f, (r(2, 8, 9, 4), r(2, 8, 9, 4), r(3, 3, 4, 8))


def shared() -> Made:
    def f(x: Any, w: Any) -> Any:
        y = x @ w
        return nn.relu(y) * 2, y.T @ x, lnp.sum(y[::-1] * y, 0)

    return leptonc.jit(f), (r(9, 6), r(6, 5))


def shifted() -> Made:
    """Elementwise, but for one operand that is read a row further on."""
    def f(x: Any, w: Any) -> Any:
        y = x @ w
        return lnp.concatenate([y[1:], y[:1]]) + y, y * y[::-1]

    return leptonc.jit(f), (r(9, 6), r(6, 5))


def routed() -> Made:
    def loss(x: Any, w: Any) -> Any:
        return lnp.sum(nn.max_pool(nn.conv(x, w, padding=((1, 2), (2, 1))), (2, 3)) ** 2)

    return leptonc.jit(leptonc.grad(loss, argnums=(0, 1))), (r(2, 15, 15, 4), r(3, 3, 4, 16))


def routed_apart() -> Made:
    def loss(x: Any, w: Any) -> Any:
        return lnp.sum(nn.max_pool(nn.conv(x, w), (2, 2), stride=(3, 2)) ** 2)

    return leptonc.jit(leptonc.grad(loss, argnums=(0, 1))), (r(2, 16, 16, 4), r(3, 3, 4, 16))


def differences() -> Made:
    return leptonc.jit(lambda x, y: (x - y) * lnp.tanh(y - x)), (r(4, 3), r(4, 3) * 2)


def in_tiles() -> Made:
    """Kernels of tiles whose results could take their operands' memory."""
    def f(x: Any, w: Any, b: Any) -> Any:
        y = nn.relu(nn.conv(x, w, padding="SAME") + b)
        y = nn.relu(nn.conv(y, w, padding="SAME") + y)
        return nn.conv(y, w, padding="SAME") + x, lnp.sum(y)

    return leptonc.jit(f, donate_argnums=0), (r(8, 16, 16, 16), r(3, 3, 16, 16) * 0.1, r(16))


def transposes() -> Made:
    return leptonc.jit(lambda x: lnp.transpose(lnp.transpose(x, (1, 2, 0)), (0, 2, 1)) + 1), (r(4, 4, 4),)


def broadcasts() -> Made:
    return leptonc.jit(lambda x: lnp.broadcast_to(lnp.broadcast_to(x, (3, 3)), (2, 3, 3)) * r(2, 3, 3)), (r(3),)


def zero_added() -> Made:
    return leptonc.jit(lambda x: x + 0.0), (r(9, 5),)


def scattered() -> Made:
    return leptonc.jit(lambda x, i, u: bind("scatter_add", x, i, u, axis=0)), (r(11, 6), np.array([3, 10, 0, -1, 7]), r(5, 6))


def routed_padded() -> Made:
    def loss(x: Any, w: Any) -> Any:
        return lnp.sum(nn.max_pool(nn.conv(x, w), (2, 2), padding=((1, 0), (1, 0))) ** 2)

    return leptonc.jit(leptonc.grad(loss, argnums=(0, 1))), (r(2, 18, 18, 4), r(3, 3, 4, 16))


def pad_of_sum() -> Made:
    return leptonc.jit(lambda x: lnp.pad(x * 2 + 1, ((1, 2), (0, 3)))), (r(4, 3),)


def cut_of_pad() -> Made:
    return leptonc.jit(lambda x: lax.pad(x, 2.0, [(1, 1, 0), (0, 2, 0)])[::2, 1:] * 1.5), (r(4, 3),)


def rows_overwritten() -> Made:
    rows()  # with its tiles

    def f(w: Any, x: Any, g: Any) -> Any:
        return w - x.T @ g, w @ g.T

    return leptonc.jit(f, donate_argnums=0), (r(96, 40), r(6, 96), r(6, 40))


def donated_early() -> Made:
    return leptonc.jit(lambda a, w: (a * 2 + 1, w @ a), donate_argnums=0), (r(12, 8), r(5, 12))


def donated_way() -> Made:
    """An intermediate that is the donated array turned about, and then updated."""
    return leptonc.jit(lambda a, i: lnp.flip(a).at[i].set(7.0), donate_argnums=0), (r(40), np.int64(3))


def looked_up() -> Made:
    """The gradient of lookups in a loop, and updates under a condition."""
    def f(a: Any) -> Any:
        def trip(c: Any, i: Any) -> tuple[Any, None]:
            x, b = c
            return (x + a[i] * a[i + 1], lax.cond(x > 0, lambda b: b.at[i].set(x), lambda b: b, b)), None

        x, b = lax.scan(trip, (lnp.sum(a[:1]), a * 2), lnp.arange(6))[0]
        return x + lnp.sum(b)

    return leptonc.jit(leptonc.grad(f)), (r(20),)


def donated_large() -> Made:
    """Large enough for threads to share."""
    return leptonc.jit(lambda a, w: (lnp.tanh(a) + 1, w @ a), donate_argnums=0), (r(600, 400), r(50, 600))


def taken_over() -> Made:
    """A temporary in the place of another, and then one that wants a place."""
    def f(x: Any, a: Any, b: Any) -> Any:
        y = x @ a
        z = y - lnp.max(y, 1, keepdims=True)
        t = x @ b
        return z @ t.T @ (t - lnp.max(t, 1, keepdims=True)), lnp.sum(z @ t.T)

    return leptonc.jit(f), (r(24, 24), r(24, 24) * 2, r(24, 24) * 0.3)


def odd() -> Made:
    return leptonc.jit(lambda x, y: (lnp.sum(x, 0), y * 2 + 1, lnp.max(x, 0))), (r(5, 17), r(33))


def positions() -> Made:
    return leptonc.jit(lambda x: (lnp.argmax(x, 1), lnp.argmin(x, 0))), (r(23, 18),)


def packed() -> Made:
    return leptonc.jit(lambda a, b: a @ b), (r(400, 300), r(300, 500))


def two_pools() -> Made:
    def f(x: Any) -> Any:
        y = nn.relu(x)
        return nn.max_pool(y, 2, stride=1), nn.max_pool(y, 2, stride=2)

    return leptonc.jit(f), (r(2, 6, 6, 3),)


def winograd2() -> Made:
    return leptonc.jit(lambda x, w: nn.conv(x, w)), (r(8, 20, 16, 16), r(3, 3, 16, 16))


def winograd_both() -> Made:
    def f(x: Any, w: Any) -> Any:
        return leptonc.value_and_grad(lambda x: lnp.sum(nn.conv(x, w, padding="SAME") ** 2))(x)

    return leptonc.jit(f), (r(8, 24, 24, 16), r(3, 3, 16, 16))


def square_epilogue() -> Made:
    return leptonc.jit(lambda a, b, c: a @ b + c), (r(7, 5), r(5, 7), r(7, 7))


def pools_edge() -> Made:
    return leptonc.jit(lambda x: nn.max_pool(x, 3, stride=2, padding=((0, 1), (0, 1)))), (-r(2, 8, 8, 3) ** 2,)


def pad_of_pad() -> Made:
    return leptonc.jit(lambda x: lax.pad(lax.pad(x, 2.0, [(1, 1, 0), (0, 2, 0)]), 5.0, [(2, 0, 0), (1, 1, 0)]) * 1.5), (r(4, 3),)


def steps() -> Made:
    return leptonc.jit(lambda x: (lnp.exp(x)[::3])[::2] + x[:4]), (r(24),)


def long_fold() -> Made:
    return leptonc.jit(lambda x, g: x.T @ g), (r(4000, 130), r(4000, 140))


def conv_pool_parts() -> Made:
    return leptonc.jit(lambda x, w: nn.max_pool(nn.conv(x, w), 2)), (r(1, 10, 12, 5), r(3, 3, 5, 128))


PROGRAMS: dict[str, Callable[[], Made]] = {
    name: made for name, made in list(globals().items()) if getattr(made, "__annotations__", None) == {"return": "Made"}}
