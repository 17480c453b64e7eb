"""Loops and branches as practitioners write them, with what is odd about them: empty carries, buffers, keys, lengths."""

from __future__ import annotations

import collections

import numpy as np

from tests.peers.odd import A, F, V, W, X, program


@program
def none_carry_grad(m):
    return m.grad(lambda x: m.numpy.sum(m.numpy.sin(m.lax.scan(lambda c, x: (None, x * x), None, x)[1])))(X)


@program
def none_inside_carry(m):
    return m.lax.scan(lambda c, x: ((c[0] + x, None, {"a": c[2]["a"] * 0.5}), (x, None)), (V, None, {"a": V}), X)


@program
def zero_length_grad(m):
    return m.grad(lambda v, x: m.numpy.sum(m.numpy.sin(m.lax.scan(lambda c, x: (c * x, c * x), v, x)[0])), (0, 1))(V, X[:0])


@program
def zero_length_vmap_grad(m):

    def f(v, x):
        return m.numpy.sum(m.lax.scan(lambda c, x: (m.numpy.sin(c * x), c), v, x)[0])

    return m.vmap(m.grad(f, (0, 1)), (0, None))(X, X[:0])


@program
def unroll3of7(m):
    xs = np.concatenate([X, X[:1]])
    return [m.lax.scan(lambda c, x: (m.numpy.tanh(c + x), c * x), V, xs, unroll=u) for u in (1, 2, 3, 5, 7, 8, True)]


@program
def unroll_reverse_grad(m):
    xs = np.concatenate([X, X[:1]])

    def f(v, xs):
        return m.numpy.sum(m.lax.scan(lambda c, x: (m.numpy.tanh(c + x), c * x), v, xs, reverse=True, unroll=3)[0])

    return m.grad(f, (0, 1))(V, xs)


@program
def int_bool_carry_grad(m):

    def f(v):

        def body(c, x):
            h, n, flag, mx = c
            h = m.numpy.where(flag, h * x, h + x)
            return ((h, n + 1, ~flag, m.numpy.maximum(mx, n * 3)), h * n)

        (h, n, flag, mx), ys = m.lax.scan(body, (v, 0, True, np.int32(0)), X)
        return (m.numpy.sum(h) * n + m.numpy.sum(ys), (n, flag, mx))

    return m.value_and_grad(f, has_aux=True)(V)


@program
def key_carry(m):

    def body(c, x):
        k, h = c
        k, s = m.random.split(k)
        return ((k, h + m.random.normal(s, (4,), F)), m.random.uniform(s, (), F))

    (_, h), u = m.lax.scan(body, (m.random.PRNGKey(3), V), None, length=5)
    return (h, u)


@program
def grad_key_carry(m):

    def f(v):

        def body(c, _):
            k, h = c
            k, s = m.random.split(k)
            return ((k, m.numpy.tanh(h * m.random.normal(s, (4,), F))), None)

        return m.numpy.sum(m.lax.scan(body, (m.random.key(0), v), None, length=4)[0][1])

    return m.value_and_grad(f)(V)


@program
def at_updates_grad(m):

    def f(x, v):

        def body(buf, ix):
            i, x = ix
            buf = buf.at[i].set(x * v).at[(i + 1) % 6].multiply(0.5)
            return (buf, m.numpy.sum(buf))

        b, ys = m.lax.scan(body, m.numpy.zeros((6, 4), F) + v, (m.numpy.arange(6), x))
        return m.numpy.sum(m.numpy.sin(b)) + m.numpy.sum(ys**2)

    return m.grad(f, (0, 1))(X, V)


@program
def dus_cache(m):

    def f(x):

        def body(c, i):
            cache, h = c
            cache = m.lax.dynamic_update_slice(cache, (h @ W)[None], (i, 0))
            s = cache @ h
            p = m.numpy.exp(s) * (m.numpy.arange(6) <= i)
            return ((cache, p / m.numpy.sum(p) @ cache + x[i]), m.numpy.sum(p))

        (cache, h), ys = m.lax.scan(body, (m.numpy.zeros((6, 4), F), V), m.numpy.arange(6))
        return (m.numpy.sum(h * h) + m.numpy.sum(ys) * 0.1, cache)

    return m.value_and_grad(f, has_aux=True)(X)


@program
def dus_fori_vmap(m):

    def f(x, n):
        return m.lax.fori_loop(
            0, n, lambda i, c: m.lax.dynamic_update_slice(c, m.lax.dynamic_slice(c, (i, 0), (1, 4)) * 2 + x, (i + 1, 0)), X
        )

    return m.vmap(f)(X, np.array([0, 1, 2, 3, 4, 5]))


@program
def big_tree_grad(m):
    c = {f"k{i}": (V * i, [V[i % 4], {"z": X[i % 6]}]) for i in range(12)}

    def f(c):
        c, ys = m.lax.scan(lambda c, x: (m.tree.map(lambda a: m.numpy.sin(a) + x[0], c), c["k3"][1][1]["z"]), c, X)
        return sum(m.numpy.sum(a) for a in m.tree.leaves(c)) + m.numpy.sum(ys)

    return m.grad(f)(c)


@program
def while_in_scan_in_vmap(m):

    def f(v, n):

        def body(c, x):
            i, c = m.lax.while_loop(lambda s: s[0] < n, lambda s: (s[0] + 1, m.numpy.sin(s[1]) + x), (0, c))
            return (c, (i, m.numpy.sum(c)))

        return m.lax.scan(body, v, X)

    return m.vmap(f)(X, np.arange(6))


@program
def while_vmap_cond_value(m):

    def f(v):
        return m.lax.while_loop(lambda s: m.numpy.sum(s[1]) < 10, lambda s: (s[0] + 1, s[1] * 1.3 + 0.1), (0, v))

    return m.vmap(f)(np.abs(X) + F(0.1))


@program
def grad_of_stopped_while(m):

    def f(v):
        n = m.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * 1.1), (0, m.lax.stop_gradient(v)))[1]
        return m.numpy.sum(n * v)

    return m.grad(f)(V)


@program
def fori_negative(m):
    return (m.lax.fori_loop(5, 2, lambda i, c: c * 2, V), m.lax.fori_loop(-3, 2, lambda i, c: c + i, V))


@program
def newton_implicit(m):

    def root(a):

        def step(s):
            x, _, i = s
            nx = x - (x**3 - a) / (3 * x * x)
            return (nx, m.numpy.abs(nx - x), i + 1)

        return m.lax.while_loop(lambda s: (s[1] > 1e-06) & (s[2] < 50), step, (a * 0 + 1.0, a * 0 + 1.0, 0))

    return (m.vmap(root)(np.abs(V) + F(1)), m.vmap(lambda a: m.jvp(lambda b: root(b)[0], (a,), (a * 0 + 1,)))(np.abs(V) + F(1)))


@program
def cond_vmap_grad(m):

    def f(v):
        return m.numpy.sum(m.lax.cond(v[0] > 0, lambda v: m.numpy.sqrt(m.numpy.abs(v)) * v, lambda v: m.numpy.sin(v), v))

    return m.vmap(m.grad(f))(X)


@program
def cond_in_scan_saved(m):

    def f(v):

        def body(c, x):
            return (m.lax.cond(x[0] > 0, lambda c: m.numpy.tanh(A @ c) * x, lambda c: c * c, c), None)

        return m.numpy.sum(m.lax.scan(body, v, X)[0])

    return (m.grad(f)(V), m.hessian(f)(V))


@program
def switch_vmap_grad(m):
    fs = [lambda x: m.numpy.sum(x), lambda x: m.numpy.sum(x * x * 2), lambda x: m.numpy.sum(m.numpy.exp(-x))]
    return m.vmap(m.grad(lambda x, i: m.lax.switch(i, fs, x)), (0, 0))(X, np.array([0, 1, 2, 2, 1, -4]))


@program
def assoc_reverse_grad(m):

    def f(a, b):
        h = m.lax.associative_scan(lambda p, q: (p[0] * q[0], q[0] * p[1] + q[1]), (a, b), reverse=True)[1]
        return m.numpy.sum(m.numpy.sin(h))

    return (m.grad(f, (0, 1))(X, X[::-1]), m.hessian(lambda a: f(a, X[:3]))(X[:3]))


@program
def assoc_matmul(m):
    M = np.stack([A, W, A @ W, A.T, W.T])

    def f(M):
        return m.lax.associative_scan(m.numpy.matmul, M)

    return (f(M), m.grad(lambda M: m.numpy.sum(m.numpy.sin(f(M))))(M), m.vmap(f)(np.stack([M, M * 2])))


@program
def map_batch_size_tree_grad(m):

    def f(x, w):
        return m.numpy.sum(m.lax.map(lambda t: m.numpy.tanh(w @ t["a"]) * t["b"], {"a": x, "b": x[:, 0]}, batch_size=4))

    return m.grad(f, (0, 1))(X, W)


@program
def donated_carry(m):
    f = m.jit(lambda c, x: m.lax.scan(lambda c, x: (c * 0.5 + x, m.numpy.sum(c)), c, x), donate_argnums=0)
    c = m.numpy.array(V)
    for _ in range(3):
        c, y = f(c, X)
    return (c, y)


@program
def swap_carry(m):
    return m.jit(lambda a, b: m.lax.fori_loop(0, 5, lambda i, c: (c[1], c[0] + i), (a, b)), donate_argnums=(0, 1))(
        m.numpy.array(V), m.numpy.array(V * 2)
    )


@program
def training_loop_in_scan(m):

    def loss(p, x):
        return m.numpy.mean((m.numpy.tanh(x @ p["w"]) - x[::-1]) ** 2)

    def body(p, x):
        l, g = m.value_and_grad(loss)(p, x)
        return (m.tree.map(lambda a, b: a - 0.1 * b, p, g), l)

    return m.jit(lambda p: m.lax.scan(body, p, np.stack([X, X * 0.5, X * 0.2])))({"w": W})


@program
def complex_grad_scan(m):
    return m.grad(lambda v: m.numpy.sum(m.numpy.abs(m.lax.scan(lambda c, x: (c * (1 + 0.1j) + x, None), v + 0j, X)[0]) ** 2))(V)


@program
def sort_in_loop(m):
    return (
        m.lax.scan(lambda c, x: (m.numpy.sort(c + x), m.numpy.argsort(c)), V, X),
        m.grad(lambda v: m.numpy.sum(m.lax.scan(lambda c, x: (m.numpy.sort(c + x) * x, None), v, X)[0]))(V),
    )


@program
def topk_beam(m):

    def body(c, x):
        s, t = c
        v, i = m.lax.top_k((s[:, None] + x[None]).reshape(-1), 3)
        return ((v, t[i // 4]), i)

    return m.lax.scan(body, (V[:3], np.arange(3)), X)


@program
def viterbi(m):

    def f(x):

        def fw(s, x):
            m_ = s[:, None] + A
            return (m.numpy.max(m_, 0) + x, m.numpy.argmax(m_, 0))

        s, bp = m.lax.scan(fw, V, x)
        last = m.numpy.argmax(s)

        def bw(st, b):
            return (b[st], st)

        first, path = m.lax.scan(bw, last, bp, reverse=True)
        return (m.numpy.max(s), first, path)

    return (m.jit(f)(X), m.vmap(f)(np.stack([X, -X])), m.grad(lambda x: f(x)[0])(X))


@program
def ode_rk4(m):

    def rk(y, t):

        def g(y, t):
            return A @ y * m.numpy.sin(t)

        k1 = g(y, t)
        k2 = g(y + 0.05 * k1, t + 0.05)
        k3 = g(y + 0.05 * k2, t + 0.05)
        k4 = g(y + 0.1 * k3, t + 0.1)
        y = y + 0.1 / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return (y, y)

    def f(y):
        return m.lax.scan(rk, y, m.numpy.arange(10) * 0.1)[1]

    return (f(V), m.jacrev(lambda y: f(y)[-1])(V), m.jacfwd(lambda y: f(y)[-1])(V))


@program
def mcmc(m):

    def step(c, k):
        x, lp, n = c
        k1, k2 = m.random.split(k)
        y = x + m.random.normal(k1, (4,), F)
        lpy = -m.numpy.sum(y * y) / 2
        ok = m.numpy.log(m.random.uniform(k2, (), F)) < lpy - lp
        x = m.numpy.where(ok, y, x)
        return ((x, m.numpy.where(ok, lpy, lp), n + ok), x)

    return m.vmap(lambda k: m.lax.scan(step, (V, -m.numpy.sum(V * V) / 2, 0), m.random.split(k, 10)))(
        m.random.split(m.random.key(9), 3)
    )


@program
def cg_solve(m):
    S = A @ A.T + np.eye(4, dtype=F)

    def cg(b):

        def body(i, s):
            x, r, p = s
            Ap = S @ p
            al = r @ r / (p @ Ap + 1e-30)
            x = x + al * p
            rn = r - al * Ap
            return (x, rn, rn + rn @ rn / (r @ r + 1e-30) * p)

        return m.lax.fori_loop(0, 4, body, (b * 0, b, b))[0]

    return (cg(V), m.vmap(cg)(X), m.jacrev(cg)(V))


@program
def lstm_scan_grad(m):
    Wx, Wh = (
        np.random.default_rng(1).standard_normal((4, 16)).astype(F),
        np.random.default_rng(2).standard_normal((4, 16)).astype(F),
    )

    def sig(x):
        return 1 / (1 + m.numpy.exp(-x))

    def cell(c, x):
        h, s = c
        i, f, g, o = m.numpy.split(x @ Wx + h @ Wh, 4, -1)
        s = sig(f) * s + sig(i) * m.numpy.tanh(g)
        h = sig(o) * m.numpy.tanh(s)
        return ((h, s), h)

    def loss(x, h):
        (h, s), hs = m.lax.scan(cell, (h, h), x)
        return m.numpy.mean(hs**2) + m.numpy.sum(s)

    xs = np.stack([X, X * 0.5, X * 0.1])
    return m.value_and_grad(loss, (0, 1))(xs, X)


@program
def masked_rnn_lengths(m):

    def f(x, n):

        def body(c, tx):
            t, x = tx
            nc = m.numpy.tanh(A @ c + x)
            return (m.numpy.where(t < n, nc, c), nc)

        return m.lax.scan(body, V, (m.numpy.arange(6), x))[0]

    return m.vmap(m.grad(lambda x, n: m.numpy.sum(f(x, n))))(np.stack([X, X, X]), np.array([1, 3, 6]))


@program
def nested_scan_grad_hess(m):

    def f(v):

        def outer(c, x):
            c2, ys = m.lax.scan(lambda c, y: (m.numpy.sin(c) * y + m.numpy.sum(x), c * y), c, x * v)
            return (c2, m.numpy.sum(ys))

        return m.numpy.sum(m.lax.scan(outer, v[0], X)[1])

    return (m.grad(f)(V), m.hessian(f)(V))


@program
def per_example_norms(m):

    def loss(w, x):
        return m.numpy.sum(m.lax.scan(lambda c, t: (m.numpy.tanh(w @ c * t), None), x, V)[0])

    g = m.vmap(m.grad(loss), (None, 0))(W, X)
    return m.numpy.sqrt(m.numpy.sum(g * g, (1, 2)))


@program
def cond_in_while_in_cond(m):

    def f(v, n):
        return m.lax.cond(
            n > 0,
            lambda: m.lax.while_loop(
                lambda s: s[0] < n, lambda s: (s[0] + 1, m.lax.cond(s[0] % 2 == 0, m.numpy.sin, m.numpy.cos, s[1])), (0, v)
            )[1],
            lambda: v,
        )

    return (m.vmap(f)(X, np.arange(6) - 1), m.vmap(lambda v, n: m.jvp(lambda v: f(v, n), (v,), (v,)))(X, np.arange(6) - 1))


@program
def bool_xs(m):
    d = np.array([0, 1, 0, 0, 1, 0], bool)
    return (
        m.lax.scan(lambda c, t: (m.numpy.where(t[1], 0.0, c) + t[0], c), V, (X, d)),
        m.grad(lambda x: m.numpy.sum(m.lax.scan(lambda c, t: (m.numpy.where(t[1], 0.0, c) * 0.9 + t[0], c), V, (x, d))[1] ** 2))(X),
    )


@program
def conv_in_scan(m):
    k = np.random.default_rng(3).standard_normal((3, 3, 2, 2)).astype(F) * F(0.3)
    im = np.random.default_rng(4).standard_normal((1, 5, 5, 2)).astype(F)

    def f(k, im):

        def c(h):
            return m.lax.conv_general_dilated(h, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

        return m.lax.scan(lambda h, _: (m.numpy.tanh(c(h)), m.numpy.sum(h)), im, None, length=4)

    return (f(k, im), m.grad(lambda k: m.numpy.sum(f(k, im)[0] ** 2))(k), m.vmap(lambda k: f(k, im)[0])(np.stack([k, k * 2])))


@program
def namedtuple_carry(m):

    T = collections.namedtuple("T", "a b")
    return m.lax.scan(lambda t, x: (T(t.b, t.a + x), t), T(V, V * 2), X)


@program
def switch_in_scan_static_list(m):
    fs = [lambda c, k=k: m.numpy.sin(c) * (k + 1) for k in range(5)]
    ix = np.array([4, 0, 2, 2, 1, 3])

    def f(v):
        return m.lax.scan(lambda c, t: (m.lax.switch(t[0], fs, c) + t[1], None), v, (ix, X))[0]

    return (f(V), m.jacrev(f)(V), m.vmap(f)(X))


@program
def fft_in_scan(m):
    return (
        m.lax.scan(lambda c, x: (m.numpy.fft.irfft(m.numpy.fft.rfft(c) * m.numpy.fft.rfft(x), 4), None), V, X)[0],
        m.grad(
            lambda v: m.numpy.sum(
                m.lax.scan(lambda c, x: (m.numpy.fft.irfft(m.numpy.fft.rfft(c) * m.numpy.fft.rfft(x), 4), None), v, X)[0]
            )
        )(V),
    )


@program
def linalg_in_scan(m):
    S = A @ A.T + np.eye(4, dtype=F)

    def f(S):
        return m.lax.scan(
            lambda c, x: (m.numpy.linalg.solve(S, c) + x, m.numpy.sum(m.numpy.linalg.cholesky(S + m.numpy.outer(x, x)))), V, X
        )

    return (f(S), m.grad(lambda S: m.numpy.sum(f(S)[0]) + m.numpy.sum(f(S)[1]))(S), m.vmap(f)(np.stack([S, 2 * S])))


@program
def gumbel_straight_through(m):

    def f(v):

        def body(c, k):
            y = m.nn.softmax(c + m.random.gumbel(k, (4,), F))
            hard = m.nn.one_hot(m.numpy.argmax(y), 4, dtype=F)
            return (c + hard + y - m.lax.stop_gradient(y), m.numpy.argmax(y))

        c, a = m.lax.scan(body, v, m.random.split(m.random.key(2), 5))
        return (m.numpy.sum(c * V), a)

    return m.value_and_grad(f, has_aux=True)(V)


@program
def scatter_add_in_scan_duplicates(m):

    def f(v):
        return m.lax.scan(
            lambda b, t: (b.at[t[0]].add(t[1]), None), v, (np.array([[0, 0], [1, 1], [2, 3], [0, 3], [2, 2], [1, 0]]), X[:, :2])
        )[0]

    return (f(V), m.jacrev(f)(V), m.vmap(f)(X))
