"""Derivatives of loops, rules of one's own in them, checkpoints, named axes."""

from __future__ import annotations

import functools

import numpy as np
from jax.ad_checkpoint import checkpoint_name

import leptonc
from tests.peers.odd import A, F, V, W, X, program


@program
def jvp_jvp_while(m):

    def f(v):
        return m.lax.while_loop(
            lambda s: (s[0] < 5) & (m.numpy.sum(s[1]) < 100), lambda s: (s[0] + 1, m.numpy.sin(s[1]) * v), (0, v)
        )[1]

    def g(v):
        return m.jvp(f, (v,), (v * 2,))[1]

    return m.jvp(g, (V,), (V,))


@program
def jacfwd_fori_traced(m):

    def f(v, n):
        return m.lax.fori_loop(0, n, lambda i, c: m.numpy.sin(A @ c) + i * v, v)

    return m.jit(m.jacfwd(f))(V, 3)


@program
def custom_root(m):

    @m.custom_jvp
    def root(a):
        return m.lax.while_loop(lambda x: m.numpy.abs(x * x - a) > 1e-05, lambda x: 0.5 * (x + a / x), a)

    @root.defjvp
    def _(p, t):
        r = root(*p)
        return (r, t[0] / (2 * r))

    return (
        m.grad(root)(F(5)),
        m.vmap(m.grad(m.grad(root)))(np.abs(V) + F(1)),
        m.hessian(lambda v: m.numpy.sum(m.vmap(root)(v)) ** 2)(np.abs(V) + F(1)),
    )


@program
def custom_vjp_in_scan_in_vmap(m):

    @functools.partial(m.custom_vjp, nondiff_argnums=(0, 2))
    def f(g, x, k):
        return g(x) * k

    def fwd(g, x, k):
        return (g(x) * k, x)

    def bwd(g, k, x, ct):
        return (ct * k * 2.0 * m.numpy.cos(x),)

    f.defvjp(fwd, bwd)

    def loss(v):
        return m.numpy.sum(m.lax.scan(lambda c, x: (f(m.numpy.sin, c, 3) + x, None), v, X)[0])

    return m.vmap(m.value_and_grad(loss))(X)


@program
def custom_vjp_int_arg(m):

    @m.custom_vjp
    def take(x, i):
        return x[i]

    take.defvjp(lambda x, i: (x[i], (i, x.shape)), lambda r, ct: (m.numpy.zeros(4, F).at[r[0]].add(ct * 10), None))

    def loss(v):
        return m.numpy.sum(m.lax.scan(lambda c, i: (c + take(v, i) ** 2, None), F(0), m.numpy.arange(3))[0])

    return m.grad(loss)(V)


@program
def custom_jvp_in_while_vmap(m):

    @m.custom_jvp
    def f(x, y):
        return x * y

    f.defjvps(lambda t, ans, x, y: t * y * 3, lambda t, ans, x, y: t * x)

    def g(v):
        return m.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, f(s[1], v)), (0, v))[1]

    return m.vmap(lambda v: m.jvp(g, (v,), (v,)))(X)


@program
def custom_vjp_tree(m):

    @m.custom_vjp
    def f(p, x):
        return {"y": p["w"] @ x + p["b"], "n": x.shape[0]}["y"]

    f.defvjp(lambda p, x: (f(p, x), (p, x)), lambda r, ct: ({"w": m.numpy.outer(ct, r[1]), "b": ct * 7}, r[0]["w"].T @ ct))

    def loss(p, v):
        return m.numpy.sum(m.lax.scan(lambda c, x: (m.numpy.tanh(f(p, c)) + x, c), v, X)[1] ** 2)

    return m.grad(loss, (0, 1))({"w": W, "b": V}, V)


@program
def gradient_clip_in_scan(m):

    @m.custom_vjp
    def clip(x):
        return x

    clip.defvjp(lambda x: (x, None), lambda _, g: (m.numpy.clip(g, -0.1, 0.1),))
    return m.grad(lambda v: m.numpy.sum(m.lax.scan(lambda c, x: (m.numpy.tanh(clip(c) * 2 + x), None), v, X)[0] * 100))(V)


@program
def hessian_scan(m):

    def f(v):
        return m.numpy.sum(m.lax.scan(lambda c, x: (m.numpy.tanh(A @ c + x), m.numpy.sum(c * c)), v, X)[1])

    return (m.hessian(f)(V), m.jacrev(m.jacrev(f))(V), m.jacfwd(m.jacfwd(f))(V), m.jacrev(m.jacfwd(f))(V))


@program
def third_derivative_scan(m):

    def f(s):
        return m.lax.scan(lambda c, x: (m.numpy.sin(c * x) + c, None), s, V)[0]

    return m.grad(m.grad(m.grad(f)))(F(0.3))


@program
def linearize_scan(m):

    def f(v, w):
        return m.lax.scan(lambda c, x: (m.numpy.tanh(w @ c + x), m.numpy.sum(c * c)), v, X)

    y, lin = m.linearize(f, V, W)
    return (y, lin(V, W), lin(V * 2, W * 0))


@program
def linear_transpose_scan(m):

    def f(v):
        return m.lax.scan(lambda c, x: (A @ c + x[0] * v, c * x), v, X)

    t = m.linear_transpose(f, V)
    return t((V, X))


@program
def linear_transpose_cond(m):

    def f(v):
        return m.lax.cond(A[0, 0] > 0, lambda v: A @ v, lambda v: v * 3, v)

    return m.linear_transpose(f, V)(V)


@program
def vjp_scan_tree(m):
    y, pull = m.vjp(
        lambda p: m.lax.scan(lambda c, x: (m.numpy.tanh(p["w"] @ c) * x + p["b"], c), p["h"], X), {"w": W, "b": V, "h": V}
    )
    return (y, pull((V, X)))


@program
def jvp_of_vmap_of_scan_of_cond(m):

    def f(v):
        return m.lax.scan(lambda c, x: (m.lax.cond(c[0] > 0, m.numpy.sin, m.numpy.cos, c) * x, None), v, X)[0]

    return (m.jvp(m.vmap(f), (X,), (X,)), m.vmap(m.jacfwd(f))(X), m.vmap(m.jacrev(f))(X))


@program
def hvp_scan(m):

    def f(v):
        return m.numpy.sum(m.lax.scan(lambda c, x: (m.numpy.tanh(A @ c + x), None), v, X)[0] ** 2)

    return (m.jvp(m.grad(f), (V,), (V,))[1], m.grad(lambda v: m.numpy.vdot(m.grad(f)(v), V))(V))


@program
def checkpoint_of_checkpoint(m):
    inner = m.checkpoint(lambda c, x: m.numpy.tanh(A @ m.numpy.sin(c) + x))
    outer = m.checkpoint(lambda c, x: inner(inner(c, x), x * 2))

    def f(v):
        return m.numpy.sum(m.lax.scan(lambda c, x: (outer(c, x), None), v, X)[0])

    return (m.grad(f)(V), m.hessian(f)(V))


@program
def checkpoint_scan_of_scan(m):

    @m.checkpoint
    def chunk(c, xs):
        return m.lax.scan(lambda c, x: (m.numpy.tanh(A @ c + x), c), c, xs)

    def f(v):
        return m.numpy.sum(m.lax.scan(chunk, v, X.reshape(3, 2, 4))[1] ** 2)

    return m.value_and_grad(f)(V)


@program
def checkpoint_policies(m):
    out = []
    for p in ("everything_saveable", "nothing_saveable", "dots_saveable", "dots_with_no_batch_dims_saveable"):
        c = m.checkpoint(lambda c, x: m.numpy.tanh(A @ m.numpy.sin(c) + x), policy=getattr(m.checkpoint_policies, p))
        out.append(m.grad(lambda v, c=c: m.numpy.sum(m.lax.scan(lambda s, x: (c(s, x), None), v, X)[0]))(V))
    return out


@program
def checkpoint_while_inside(m):
    c = m.checkpoint(lambda v: m.lax.fori_loop(0, 3, lambda i, s: m.numpy.sin(s) * v, v))
    return m.grad(lambda v: m.numpy.sum(c(v)))(V)


@program
def psum_in_scan_grad(m):

    def f(v):
        return m.numpy.sum(
            m.lax.scan(lambda c, x: (m.numpy.sin(c) * 0.5 + m.lax.pmean(c, "i") * x, m.lax.psum(m.numpy.sum(c), "i")), v, X)[1]
        )

    return (m.vmap(m.grad(f), axis_name="i")(X), m.grad(lambda x: m.numpy.sum(m.vmap(f, axis_name="i")(x)))(X))


@program
def axis_index_scan_cond(m):

    def f(v):
        i = m.lax.axis_index("i")
        return m.lax.scan(lambda c, x: (m.lax.cond(i > 2, lambda: c + x, lambda: c * i), m.lax.all_gather(c[0], "i")), v, X)

    return m.vmap(f, axis_name="i")(X)


@program
def pmax_in_while(m):

    def f(v):
        return m.lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] + 0.1 * m.lax.pmax(s[1], "i")), (0, v))[1]

    return m.vmap(f, axis_name="i")(X)


@program
def batchnorm_vmap(m):

    def f(v):
        mu = m.lax.pmean(v, "b")
        var = m.lax.pmean((v - mu) ** 2, "b")
        return (v - mu) / m.numpy.sqrt(var + 1e-05)

    return m.grad(lambda x: m.numpy.sum(m.numpy.sin(m.vmap(f, axis_name="b")(x))))(X)


@program
def all_gather_opts(m):

    def f(v):
        return (
            m.lax.all_gather(v, "i", axis=1),
            m.lax.all_gather(v, "i", tiled=True),
            m.lax.all_gather(v, "i", axis=0, tiled=True),
        )

    return m.vmap(f, axis_name="i")(X)


@program
def maml(m):

    def loss(p, x):
        return m.numpy.mean((m.numpy.tanh(x @ p) - x[::-1]) ** 2)

    def adapt(p, x):
        return m.lax.fori_loop(0, 3, lambda i, p: p - 0.1 * m.grad(loss)(p, x), p)

    return m.grad(lambda p: m.numpy.mean(m.vmap(lambda x: loss(adapt(p, x), x))(np.stack([X, X * 0.5]))))(W)


@program
def vmap_out_axes(m):

    def f(v):
        return m.lax.scan(lambda c, x: (c + x, m.numpy.outer(c, x)), v, X)

    return (m.vmap(f, in_axes=1, out_axes=(1, 2))(X.T), m.vmap(f, out_axes=(-1, -1))(X))


@program
def closed_over_scan_grad_tracers(m):

    def f(w):

        def g(v):
            return m.numpy.sum(m.lax.scan(lambda c, x: (m.numpy.sin(w * c) + x, None), v, X)[0])

        return m.numpy.sum(m.grad(g)(w * 2) ** 2)

    return (m.grad(f)(V), m.vmap(m.grad(f))(X))


@program
def custom_vjp_of_scan_whole(m):

    @m.custom_vjp
    def rnn(v, x):
        return m.lax.scan(lambda c, t: (m.numpy.sin(c) + t, c), v, x)

    rnn.defvjp(lambda v, x: (rnn(v, x), (v, x)), lambda r, ct: (ct[0] * 5 + r[0], ct[1] * 2))
    return m.vmap(m.grad(lambda v, x: m.numpy.sum(rnn(v, x)[0]) + m.numpy.sum(rnn(v, x)[1]), (0, 1)), (0, None))(X, X)


@program
def deq_fixed_point(m):

    @functools.partial(m.custom_vjp, nondiff_argnums=(0,))
    def fix(f, w, x):
        return m.lax.while_loop(
            lambda s: m.numpy.max(m.numpy.abs(s[0] - s[1])) > 1e-05, lambda s: (s[1], f(w, s[1], x)), (x * 0 + 1, x * 0)
        )[1]

    def fwd(f, w, x):
        z = fix(f, w, x)
        return (z, (w, x, z))

    def bwd(f, r, ct):
        w, x, z = r
        _, pz = m.vjp(lambda z: f(w, z, x), z)
        u = m.lax.while_loop(
            lambda s: m.numpy.max(m.numpy.abs(s[0] - s[1])) > 1e-05, lambda s: (s[1], ct + pz(s[1])[0]), (ct * 0 + 1, ct)
        )[1]
        _, pw = m.vjp(lambda w, x: f(w, z, x), w, x)
        return pw(u)

    fix.defvjp(fwd, bwd)

    def f(w, z, x):
        return m.numpy.tanh(w @ z * 0.3 + x)

    return (m.grad(lambda w, x: m.numpy.sum(fix(f, w, x)), (0, 1))(W, V), m.vmap(m.grad(lambda x: m.numpy.sum(fix(f, W, x))))(X))


@program
def residual_ints(m):

    @m.custom_vjp
    def f(x, k):
        return x[k] * 2

    f.defvjp(lambda x, k: (f(x, k), (k, x > 0, {"n": k + 1})), lambda r, g: (m.numpy.where(r[1], g * r[2]["n"], -g), None))
    return m.grad(lambda v: m.numpy.sum(m.lax.scan(lambda c, k: (c + f(c, k), None), v, m.numpy.arange(3))[0]))(V)


@program
def nondiff_fn_in_scan(m):

    @functools.partial(m.custom_jvp, nondiff_argnums=(0,))
    def ap(g, x):
        return g(x)

    @ap.defjvp
    def _(g, p, t):
        return (ap(g, *p), 2 * m.jvp(g, p, t)[1])

    return m.grad(lambda v: m.numpy.sum(m.lax.scan(lambda c, x: (ap(m.numpy.sin, c) + ap(lambda a: a * a, x), None), v, X)[0]))(V)


@program
def ste_round_vmap_scan(m):

    @m.custom_vjp
    def rnd(x):
        return m.numpy.round(x)

    rnd.defvjp(lambda x: (m.numpy.round(x), None), lambda _, g: (g,))
    return m.vmap(
        m.grad(lambda w, x: m.numpy.sum(m.lax.scan(lambda c, t: (m.numpy.tanh(rnd(W * w) @ c + t), None), x, X)[0])), (None, 0)
    )(F(3), X)


@program
def linearize_ckpt_scan(m):
    c = m.checkpoint(lambda c, x: m.numpy.tanh(A @ m.numpy.sin(c) + x), policy=m.checkpoint_policies.dots_saveable)
    y, lin = m.linearize(lambda v: m.lax.scan(lambda s, x: (c(s, x), None), v, X)[0], V)
    return (y, lin(V), m.vmap(lin)(np.eye(4, dtype=F)))


@program
def ckpt_dots_nested_scan_vmap(m):
    c = m.checkpoint(lambda c, x: m.numpy.tanh(A @ m.numpy.sin(c) + x), policy=m.checkpoint_policies.dots_saveable)

    def f(v):
        return m.numpy.sum(m.lax.scan(lambda s, x: (m.lax.scan(lambda t, y: (c(t, y), None), s, X[:3])[0] * x, None), v, X)[0])

    return (m.vmap(m.grad(f))(X), m.grad(lambda x: m.numpy.sum(m.vmap(f)(x)))(X), m.hessian(f)(V), m.jacrev(m.grad(f))(V))


@program
def ckpt_dots_cond_scan(m):
    c = m.checkpoint(
        lambda c, x: m.lax.cond(x[0] > 0, lambda: m.numpy.tanh(A @ m.numpy.sin(c) + x), lambda: A @ c),
        policy=m.checkpoint_policies.dots_saveable,
    )
    return m.grad(lambda v: m.numpy.sum(m.lax.scan(lambda s, x: (c(s, x), None), v, X)[0]))(V)


@program
def ckpt_of_scan_of_ckpt_dots(m):
    c = m.checkpoint(lambda c, x: m.numpy.tanh(A @ m.numpy.sin(A @ c) + x), policy=m.checkpoint_policies.dots_saveable)
    g = m.checkpoint(lambda v: m.lax.scan(lambda s, x: (c(s, x), None), v, X)[0], policy=m.checkpoint_policies.dots_saveable)
    return (m.grad(lambda v: m.numpy.sum(g(g(v))))(V), m.hessian(lambda v: m.numpy.sum(g(v)))(V))


@program
def ckpt_int_dots(m):
    M = np.arange(16).reshape(4, 4)
    c = m.checkpoint(lambda c, k: (c * (M @ k), M @ k), policy=m.checkpoint_policies.dots_saveable)

    def f(v):

        def body(s, x):
            h, k = c(s[0], s[1])
            return ((m.numpy.sin(h) * x, k % 3), None)

        return m.numpy.sum(m.lax.scan(body, (v, m.numpy.arange(4)), X)[0][0])

    return m.grad(f)(V)


@program
def ckpt_bool_aux(m):
    c = m.checkpoint(lambda c: (m.numpy.sin(c), c > 0, m.numpy.argmax(c)))

    def f(v):

        def body(s, x):
            a, b, k = c(s)
            return (m.numpy.where(b, a, x) * (k + 1), k)

        s, ks = m.lax.scan(body, v, X)
        return (m.numpy.sum(s), ks)

    return m.grad(f, has_aux=True)(V)


@program
def custom_gradient(m):

    @m.custom_gradient
    def f(v, w):
        y = m.numpy.exp(v) * w
        return {"y": y, "n": m.numpy.sum(w)}, lambda g: (g["y"] * y + g["n"], 3 * g["y"] * v)

    def loss(v):
        out = f(v, m.numpy.sin(v))
        return m.numpy.sum(out["y"] ** 2) + out["n"]

    looped = m.grad(lambda v: m.numpy.sum(m.lax.scan(lambda c, x: (f(c, x)["y"] * 0.1, None), v, X)[0]))
    return m.value_and_grad(loss)(V), m.vmap(m.grad(lambda a: f(a, a)["n"]))(V), looped(V)


@program
def custom_gradient_twice(m):

    @m.custom_gradient
    def f(v):
        y = m.numpy.sin(v)
        return y, lambda g: (g * 2 * y * v,)

    return m.grad(m.grad(lambda a: f(a * a)))(F(0.7)), m.jacrev(m.jacrev(lambda v: f(v) * v))(V)


@program
def closure_convert(m):

    def solve(f, start):
        converted, closed = m.closure_convert(f, start)

        @m.custom_vjp
        def run(start, *closed):
            return m.lax.fori_loop(0, 40, lambda i, x: converted(x, *closed), start)

        def back(kept, g):
            x, closed = kept
            slope = m.vjp(lambda x: converted(x, *closed), x)[1](m.numpy.ones_like(x))[0]
            return (g * 0, *m.vjp(lambda *c: converted(x, *c), *closed)[1](g / (1 - slope)))

        run.defvjp(lambda start, *closed: (run(start, *closed), (run(start, *closed), closed)), back)
        return run(start, *closed)

    def answer(v, n):
        return m.numpy.sum(solve(lambda x: 0.5 * v * m.numpy.cos(x) / n, m.numpy.ones_like(v)))

    return m.grad(answer)(V, 2), m.vmap(m.grad(answer), (0, None))(W, 1)


@program
def checkpoint_by_names(m):
    name = m.checkpoint_name if m is leptonc else checkpoint_name
    p, out = m.checkpoint_policies, []
    for policy in (p.save_only_these_names("a"), p.save_any_names_but_these("a"), p.save_anything_except_these_names("b"),
                   p.save_from_both_policies(p.dots_saveable, p.save_only_these_names("b"))):
        c = m.checkpoint(lambda c, x: name(m.numpy.tanh(A @ name(m.numpy.sin(c), "b") + x), "a"), policy=policy)
        loss = lambda v, c=c: m.numpy.sum(m.lax.scan(lambda s, x: (c(s, x), None), v, X)[0])  # noqa: E731
        out.append((m.grad(loss)(V), m.hessian(loss)(V), m.grad(lambda v, c=c: m.numpy.sum(c(v, v)))(V)))
    return out
