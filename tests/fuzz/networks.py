"""Structures of several steps that passes rewrite: blocks of networks, and small forms that lie just beside what a pass knows."""

from __future__ import annotations

from math import prod

from tests.fuzz.draw import Draw, Function, Index, Raw, Ref, Refused, Value, structure
from tests.fuzz.program import Step
from tests.fuzz.steps_indexing import indices
from tests.fuzz.steps_products import pads

LIMIT = 200_000
ACTIVATIONS = ("nn.relu({0})", "nn.relu({0})", "nn.relu({0})", "nn.gelu({0})", "lnp.tanh({0})", "nn.silu({0})",
               "nn.leaky_relu({0}, 0.1)",
               "nn.elu({0})", "lnp.maximum({0}, 0)", "{0}", "nn.softplus({0})")
POOLINGS = ("nn.max_pool({0}, 2)", "nn.max_pool({0}, 2)", "nn.max_pool({0}, 2)", "nn.max_pool({0}, 3, stride=2)",
            "nn.max_pool({0}, 3, stride=2, padding=1)", "nn.max_pool({0}, (2, 3))", "nn.max_pool({0}, 3, stride=1, padding='SAME')",
            "nn.max_pool({0}, (1, 2))", "nn.max_pool({0}, 2, padding=((1, 0), (0, 1)))", "nn.avg_pool({0}, 2)",
            "nn.avg_pool({0}, 3, stride=2, padding=1)", "nn.max_pool({0}, 3)", "nn.max_pool({0}, (2, 2), stride=(2, 3))",
            "nn.max_pool({0}, 2, padding=((2, 0), (2, 0)))[:, 1:]", "nn.max_pool({0}, 4, stride=2, padding=(2, 1))")


def conv_layer(g: Draw, x: Value) -> Value:
    """A convolution of some kind, with what may follow it."""
    c = x.shape[-1]
    out = g.choose(1, 3, 4, 8, 8, 9, 16, 16, 17, 24, 32, 32, 40)
    kernel, stride, dilation, groups = (3, 3), 1, 1, 1
    way = g.int(0, 11)
    if way == 0:
        kernel = g.choose((1, 1), (5, 5), (7, 7), (2, 2), (2, 3), (1, 4))
    elif way == 1:
        stride = g.choose(2, 2, 3, (1, 2))
    elif way == 2:
        groups, out = c, c * g.choose(1, 1, 2)
    elif way == 3 and c % 2 == 0:
        groups, out = 2, out + out % 2
    elif way == 4:
        dilation = 2
    elif way == 5:
        kernel, stride = g.choose((5, 5), (1, 1)), 2
    w = g.weight((*kernel, c // groups, out), 1.5 / (prod(kernel) * c // groups) ** 0.5)
    padding = g.choose("SAME", "SAME", "VALID", 1, 0, pads(g, 2, -1))
    y = g.step("nn.conv({0}, {1} * {6}, stride={2}, padding={3}, dilation={4}, groups={5})", x.ref, w.ref, stride, padding,
               dilation, groups,
               round(1.5 / (prod(kernel) * c // groups) ** 0.5, 4), limit=LIMIT)
    return g.step("{0} + {1}", y.ref, g.weight((y.shape[-1],), 1).ref, limit=LIMIT) if g.chance(0.7) else y


def batch_norm(g: Draw, x: Value) -> Value:
    """Written out, over images and positions."""
    scale, shift = g.weight((x.shape[-1],), 1), g.weight((x.shape[-1],), 1)
    axes = tuple(range(x.rank - 1))
    mean = g.step("lnp.mean({0}, {1})", x.ref, axes)
    off = g.step("{0} - {1}", x.ref, mean.ref, limit=LIMIT)
    form = g.choose("lnp.mean({0} * {0}, {1})", "lnp.mean(lnp.square({0}), {1})", "lnp.var({2}, {1})")
    variance = g.step(form, off.ref, axes, x.ref)
    inverse = g.step(g.choose("lax.rsqrt({0} + 1e-3)", "1 / lnp.sqrt({0} + 1e-3)"), variance.ref)
    return g.step("{0} * {1} * {2} + {3}", off.ref, inverse.ref, scale.ref, shift.ref, limit=LIMIT)


def block(g: Draw, x: Value) -> Value:
    """Convolution, normalisation, activation, pool: some of them; a residual around them, perhaps."""
    y = conv_layer(g, x)
    if g.chance(0.15):
        y = batch_norm(g, y)
    if g.chance(0.15):
        y = g.step(g.choose(*POOLINGS), y.ref, limit=LIMIT)
    y = g.step(g.choose(*ACTIVATIONS), y.ref, limit=LIMIT)
    if y.shape == x.shape and g.chance(0.5):
        y = g.step("{0} + {1}", y.ref, x.ref, limit=LIMIT)
    if g.chance(0.08):
        y = g.step("{0}[:, :{1}, :{2}]", y.ref, max(y.shape[1] - 1, 1), max(y.shape[2] - g.int(0, 2), 1), limit=LIMIT)
    if g.chance(0.5):
        y = g.step(g.choose(*POOLINGS), y.ref, limit=LIMIT)
    if g.chance(0.06):
        y = g.step("lnp.concatenate(({0}, {0} * 0.5), -1)", y.ref, limit=LIMIT)
    if g.chance(0.06):
        y = g.step(g.choose("lnp.pad({0}, ((0, 0), (1, 0), (0, 2), (0, 0)))", "lnp.flip({0}, 1)",
                            "lnp.transpose({0}, (0, 2, 1, 3))",
                            "{0}[:, ::2]", "lax.pad({0}, 0.0, ((0, 0, 0), (1, 1, 1), (0, 0, 1), (0, 0, 0)))"), y.ref, limit=LIMIT)
    if not y.size:
        raise Refused("empty")
    return y


def head(g: Draw, x: Value) -> Value:
    """From an image to a loss, or to scores."""
    if g.chance(0.25):
        x = g.step(g.choose("lnp.mean({0}, (1, 2))", "lnp.max({0}, (1, 2))"), x.ref)
    flat = g.step("{0}.reshape(({0}.shape[0], -1))", x.ref, limit=LIMIT)
    if g.chance(0.3):
        hidden = g.int(4, 40)
        flat = g.step("nn.relu({0} @ ({1} * {2}))", flat.ref, g.weight((flat.shape[-1], hidden), 1).ref,
                      round(flat.shape[-1] ** -0.5, 4))
    classes = g.int(2, 10)
    scores = g.step("{0} @ ({1} * {2})", flat.ref, g.weight((flat.shape[-1], classes), 1).ref, round(flat.shape[-1] ** -0.5, 4))
    labels = g.input((x.shape[0],), "i8", "small", 0, classes)
    return g.step(g.choose("nn.cross_entropy({0}, {1})", "nn.cross_entropy({0}, nn.one_hot({1}, {2}))",
                           "nn.mean_squared_error({0}, nn.one_hot({1}, {2}))",
                           "nn.cross_entropy({0}, {1})"), scores.ref, labels.ref, classes)


@structure(4)
def cnn(g: Draw) -> None:
    many = g.chance(0.15)  # enough images to go block by block through several kernels
    size = (g.choose(8, 16, 17), g.int(5, 9), g.int(5, 9)) if many else (g.choose(1, 1, 2, 3, 4), g.int(5, 20), g.int(5, 20))
    x = g.input((*size, g.choose(1, 3, 8, 16)))
    if g.chance(0.3):
        g.wrt.append(x.name)
    for _ in range(g.choose(1, 1, 2, 2, 3)):
        x = block(g, x)
    if g.chance(0.8):
        head(g, x)


@structure(2.5)
def squares(g: Draw) -> None:
    """3x3 convolutions with enough channels and positions for Winograd's algorithms, in tiles, staged, and for weights."""
    batch, size = g.choose((1, 16), (2, 14), (4, 8), (16, 7), (16, 7), (2, 16), (16, 4), (1, 28), (3, 12), (16, 8), (1, 33), (2,
                                                                                                                              10))
    many = size == 7  # small images with many channels: phase by phase for all images
    x = g.input((batch, size, size + (0 if many else g.choose(0, 0, 1, 3)), g.choose(32, 64) if many else g.choose(8, 16, 24, 32,
                                                                                                                   48)))
    g.wrt.append(x.name)
    for _ in range(g.choose(1, 1, 2)):
        w = g.weight((3, 3, x.shape[-1], g.choose(64, 64, 48) if many else g.choose(8, 16, 32, 33, 64)), 0.1)
        x = g.step("nn.conv({0}, {1}, padding={2})", x.ref, w.ref, g.choose("SAME", "SAME", "VALID", 1, ((1, 0), (0, 1)), 2),
                   limit=LIMIT)
        if g.chance(0.6):
            x = g.step("{0} + {1}", x.ref, g.weight((x.shape[-1],), 1).ref, limit=LIMIT)
        x = g.step(g.choose("nn.relu({0})", "nn.relu({0})", "lnp.tanh({0})", "{0}"), x.ref, limit=LIMIT)
        if g.chance(0.6):
            x = g.step(g.choose("nn.max_pool({0}, 2)", "nn.max_pool({0}, 2)", "nn.max_pool({0}, 3, stride=2)",
                                "nn.avg_pool({0}, 2)"), x.ref,
                       limit=LIMIT)


@structure(1.2)
def unpooled(g: Draw) -> None:
    """Behind a 2x2 pool, at least 1,024 positions and 32 channels: input gradients from an unpooled image in tiles."""
    g.prefer = g.choose("grad", "train")
    size = g.choose(32, 32, 36)
    x = g.input((1, size, size, 32))
    w = g.weight((3, 3, 32, 32), 0.1)
    if g.chance(0.5):
        x = g.step("nn.relu(nn.conv({0}, {1}, padding=1))", x.ref, g.weight((1, 1, 32, 32), 0.1).ref, limit=LIMIT)
    g.wrt.append(g.inputs[0].name)
    y = g.step("nn.relu(nn.conv({0}, {1}, padding={2}))", x.ref, w.ref, g.choose(1, "SAME"), limit=LIMIT)
    g.step("nn.max_pool({0}, 2)", y.ref, limit=LIMIT)


@structure(1.2)
def large_dense(g: Draw) -> None:
    """Few images, a large matrix: its rows are read once for the input's gradient and the update."""
    g.prefer = "train"
    batch, rows, cols = g.choose((1, 1024, 64), (2, 2048, 40), (4, 512, 128), (3, 784, 100), (8, 4096, 16), (2, 1600, 48))
    x = g.input((batch, rows))
    g.wrt.append(x.name)
    if g.chance(0.6):
        x = g.step("nn.relu({0})", x.ref)
    y = g.step("{0} @ {1}", x.ref, g.weight((rows, cols), rows ** -0.5).ref)
    y = g.step(g.choose("nn.relu({0} + {1})", "{0} + {1}", "lnp.tanh({0} * {1})"), y.ref, g.weight((cols,), 1).ref)
    g.step("{0} @ {1}", y.ref, g.weight((cols, g.int(1, 10)), cols ** -0.5).ref)


@structure(1)
def long_sum(g: Draw) -> None:
    """Reductions longer than are left whole."""
    way = g.int(0, 4)
    if way == 0:
        v = g.input(g.choose((5000,), (9001,), (3, 4100), (4100, 3), (2, 70, 80), (97, 101)))
        g.step(g.choose("lnp.sum({0})", "lnp.max({0})", "lnp.min({0}, 0)", "lnp.mean({0}, 0)", "lnp.sum({0} * {0})",
                        "lnp.any({0} > 3)",
                        "lnp.all({0} < 5, -1)", "lnp.prod(lnp.clip({0}, 0.9, 1.1))", "lnp.max(-lnp.abs({0}), -1)",
                        "lnp.argmax({0})"), v.ref)
    elif way == 1:
        n = g.choose(4097, 5000, 8192)
        a, b = g.input((g.int(1, 3), n)), g.input((n, g.int(1, 4)))
        g.step("{0} @ {1}", a.ref, b.ref)
    elif way == 2:
        a, b = g.input((1, g.choose(1024, 2000))), g.weight((g.choose(1024, 2000), g.int(3, 40)), 0.05)
        if a.shape[1] != b.shape[0]:
            raise Refused("shapes")
        g.step("{0} @ {1}", a.ref, b.ref)
    elif way == 3:  # of something padded, with a value that is no identity
        v = g.input((g.choose(64, 70), 70))
        p = g.step("lax.pad({0}, {1}, [(0, {2}, {3}), (0, 0, 0)])", v.ref, g.choose(1.0, 0.0, -1.0), g.int(0, 2), g.int(0, 2))
        g.step(g.choose("lnp.sum({0} * {1})", "lnp.max(-lnp.abs({0} * {1}))"), p.ref, g.input(p.shape).ref)
    else:
        v = g.input((g.choose(2100, 4200), g.int(1, 4)))
        g.step("lnp.sum({0}[::{1}] * {0}[::-{1}], 0)", v.ref, g.int(1, 2))


@structure(1.2)
def beside_product(g: Draw) -> None:
    """A product with something strided, padded or cut read beside it, forward or in the gradient."""
    n, k, m = g.int(3, 70), g.choose(3, 7, 16, 33), g.choose(4, 8, 17)
    x, w = g.input((n, k)), g.input((k, m))
    y = g.step("{0} @ {1}", x.ref, w.ref)
    way = g.int(0, 5)
    if way == 0:
        other = g.step("{0}[::{1}]", x.ref, g.choose(2, 3, -2, -1))
        g.step("lnp.sum({0}) + lnp.sum({1} ** 2)", y.ref, other.ref)
    elif way == 1:
        size, gap = g.choose((m // 2, 1), ((m + 2) // 3, 2))
        if size < 1:
            raise Refused("small")
        z = g.input((n, size))
        wide = (size - 1) * (gap + 1) + 1
        g.step("{0} + lax.pad({1}, {2}, [(0, 0, 0), (0, {3}, {4})])", y.ref, z.ref, g.choose(0.0, 1.0), m - wide, gap)
    elif way == 5:  # with gaps, and a value that is no zero, as a factor
        v = g.input((n, m))
        p = g.step("lax.pad({0}, {1}, [({2}, {3}, {4}), (0, 0, {5})])", v.ref, g.choose(1.0, 0.0, -2.0), g.int(0, 1), g.int(0, 2),
                   g.int(0, 2),
                   g.int(0, 1))
        factor = g.input(p.shape)
        g.step(g.choose("lnp.sum({0} * {1})", "lnp.sum({0} * {1}, 0)", "{0}.T @ {1}"), p.ref, factor.ref)
    elif way == 2:
        g.step("{0} * lnp.pad({1}, ((0, {2}), (0, 0)))", y.ref, g.input((max(n - 2, 1), m)).ref, n - max(n - 2, 1))
    elif way == 3:
        g.step("lnp.sum({0}[:, ::2] ** 2) + lnp.sum({0}[1:] * 3)", y.ref)
    else:
        g.step("lnp.flip({0}, 0) + {0}[:, ::-1]", y.ref)


SIZES = (1, 2, 3, 7, 13, 16, 17, 31, 32, 33, 48, 63, 64, 65, 97, 100, 130, 200)


@structure(1.5)
def matrix(g: Draw) -> None:
    """A product of many sizes, its operands as they are, transposed, strided or cut, with what may follow it."""
    n, k, m = (g.choose(*SIZES) for _ in range(3))
    left = {"{0}": (n, k), "{0}.T": (k, n), "{0}[:, ::2]": (n, 2 * k), "{0}[::-1]": (n, k), "{0}[1:]": (n + 1, k),
            "lnp.tanh({0})": (n, k),
            "lnp.flip({0}, 1)": (n, k)}
    right = {"{1}": (k, m), "{1}.T": (m, k), "{1}[:, 1:]": (k, m + 1), "{1}[::-1]": (k, m),
             "lnp.pad({1}, ((0, 1), (0, 0)))": (k - 1, m)}
    a, b = g.choose("{0}", "{0}", *left), g.choose("{1}", "{1}", *right)
    x = g.input(left[a], recipe=g.choose(g.recipe, "sparse") if g.recipe != "special" else None)
    y = g.step(f"{a} @ {b}", x.ref, g.weight(right[b], 1).ref, limit=LIMIT)
    g.wrt.append(x.name)
    for _ in range(g.int(0, 3)):
        form = g.choose("{0} + {1}", "{0} * {1}", "nn.relu({0} + {1})", "lnp.tanh({0}) * {1}", "lnp.maximum({0}, {1})")
        y = g.step(form, y.ref, g.input(g.choose((n, m), (m,), (n, 1), ())).ref, limit=LIMIT)
    g.step(g.choose("lnp.sum({0}, 0)", "lnp.sum({0}, 1)", "lnp.max({0}, 1)", "nn.softmax({0})", "{0}.T", "{0} * 2", "{0}[::2]"),
           y.ref, limit=LIMIT)


@structure(0.6)
def several_products(g: Draw) -> None:
    """Stacks of matrices, and more than one product of one operand."""
    b, n, k, m = g.choose(1, 2, 5, 16), g.choose(1, 4, 9, 32), g.choose(3, 8, 33), g.choose(2, 16, 40)
    x, y = g.input((b, n, k)), g.weight((b, k, m), 0.3)
    z = g.step(g.choose("{0} @ {1}", "lnp.einsum('bnk,bkm->bmn', {0}, {1})", "lnp.einsum('bnk,bkm->nm', {0}, {1})",
                        "lax.dot_general({0}, {1}, (((2,), (1,)), ((0,), (0,))))", "lnp.einsum('bnk,bkm->nbm', {0}, {1})"), x.ref,
                        y.ref)
    w = g.step("lnp.tensordot({0}, {1}, ((0, 2), (0, 1)))", x.ref, y.ref)
    g.step("lnp.sum({0} * 0.5) + {1}", z.ref, w.ref)


@structure(1.5)
def cut_image(g: Draw) -> None:
    """A cut of an image, often from 0 on, read by windows with padding."""
    x = g.input((g.int(1, 3), g.int(6, 11), g.int(6, 11), g.choose(1, 3, 4, 8)))
    low = g.choose(0, 0, 0, 1)
    c = g.step("{0}[{1}]", x.ref, Index((slice(None), slice(low, g.int(3, 9)), slice(low, g.int(3, 9)))))
    way = g.int(0, 3)
    if way == 0:
        g.step(g.choose("nn.max_pool({0}, 3, stride=1, padding=1)", "nn.avg_pool({0}, 3, stride=1, padding=1)",
                        "nn.max_pool({0}, 2, padding=1)"),
               c.ref)
    elif way == 1:
        w = g.weight((g.choose(2, 3), g.choose(2, 3), x.shape[-1], g.choose(3, 8)), 0.3)
        g.step("nn.conv({0}, {1}, padding={2})", c.ref, w.ref, g.choose(1, 2, "SAME", ((0, 2), (1, 0))))
    elif way == 2:
        w = g.weight((3, 3, x.shape[-1], 8), 0.3)
        y = g.step("nn.conv({0}, {1}, padding=1)", x.ref, w.ref)
        g.step("{0}[:, :{1}, :{2}]", y.ref, g.int(2, 6), g.int(2, 6))
    else:
        g.step("lnp.pad({0}, ((0, 0), (2, 1), (1, 2), (0, 0)))", c.ref)


@structure(0.8)
def table(g: Draw) -> None:
    """Rows of a padded, cut or flipped table, multiplied and summed."""
    n, c = g.int(4, 50), g.choose(3, 8, 16)
    e = g.input((n, c))
    way = g.int(0, 3)
    if way == 0:
        e = g.step("lnp.pad({0}, (({1}, {2}), (0, 0)))", e.ref, g.choose(0, 0, 2), g.int(1, 7))
    elif way == 1:
        e = g.step("{0}[::-1]", e.ref)
    elif way == 2:
        e = g.step("{0}[:{1}]", e.ref, g.int(1, n))
    rows = g.step("{0}[{1}]", e.ref, Index((indices(g, e.shape[0], (g.int(1, 6),)).ref,)))
    g.step(g.choose("lnp.sum({0} * {1})", "lnp.sum({0} * {1}, -1)", "{0} @ {1}.T"), rows.ref, g.input(rows.shape).ref)


@structure(0.8)
def grouped(g: Draw) -> None:
    """Grouped and depthwise convolutions with pools, and several readers of one padded image."""
    groups = g.choose(2, 2, 4)
    c = groups * g.choose(1, 2, 4, 8)
    x = g.input((g.int(1, 4), g.int(6, 14), g.int(6, 10), c), recipe=g.choose(g.recipe, g.recipe, "zeros"))
    w = g.weight((3, 3, c // groups, groups * g.choose(1, 3, 8, 24)), 0.2)
    y = g.step("nn.conv({0}, {1}, groups={2}, padding={3})", x.ref, w.ref, groups, pads(g, 2))
    y = g.step(g.choose("nn.avg_pool(nn.relu({0}), 2)", "nn.max_pool(nn.relu({0}), 2)", "nn.relu({0})", "{0}"), y.ref)
    if g.chance(0.4):
        source = g.step("lnp.zeros_like({0})", x.ref).ref if g.chance(0.3) else x.ref
        z = g.step("nn.conv({0}, {1}, padding={2}, groups={3})", source, g.weight((3, 3, c // groups, groups * 2), 0.2).ref,
                   g.choose(1, 2), groups)
        g.step("lnp.sum({0} ** 2) + lnp.sum({1})", z.ref, y.ref)


@structure(0.8)
def attention(g: Draw) -> None:
    batch, length, heads, width = g.int(1, 2), g.int(2, 9), g.choose(1, 2), g.choose(4, 8)
    x = g.input((batch, length, heads * width))
    shape = (batch, length, heads, width)
    q, k, v = (g.step("({0} @ ({1} * 0.3)).reshape({2})", x.ref, g.weight((heads * width, heads * width), 1).ref,
                      shape) for _ in range(3))
    scores = g.step("lnp.einsum('bqhd,bkhd->bhqk', {0}, {1}) * {2}", q.ref, k.ref, round(width ** -0.5, 4))
    if g.chance(0.4):
        scores = g.step("lnp.where(lnp.arange({1})[:, None] >= lnp.arange({1})[None, :], {0}, -1e9)", scores.ref, length)
    p = g.step("nn.softmax({0}, -1)", scores.ref)
    out = g.step("lnp.einsum('bhqk,bkhd->bqhd', {0}, {1}).reshape({2})", p.ref, v.ref, x.shape)
    layer_norm(g, g.step("{0} + {1}", out.ref, x.ref))


def layer_norm(g: Draw, x: Value) -> Value:
    off = g.step("{0} - lnp.mean({0}, -1, keepdims=True)", x.ref)
    variance = g.step("lnp.mean({0} * {0}, -1, keepdims=True)", off.ref)
    return g.step("{0} * lax.rsqrt({1} + 1e-5) * {2} + {3}", off.ref, variance.ref, g.weight((x.shape[-1],), 1).ref,
                  g.weight((x.shape[-1],), 1).ref)


CELLS = {
    "tanh": "lnp.tanh({x} @ {w} + {h} @ {u} + {b})",
    "gru": "nn.sigmoid({x} @ {w} + {b}) * {h} + (1 - nn.sigmoid({x} @ {w} + {b})) * lnp.tanh({h} @ {u})",
    "gated": "{h} * nn.sigmoid({b}) + nn.silu({x} @ {w})",
}


@structure(0.8)
def recurrent(g: Draw) -> None:
    """A cell over time, as a scan within the trace."""
    batch, steps, width, units = g.int(1, 3), g.int(1, 4), g.int(1, 6), g.choose(3, 8)
    xs, h = g.input((steps, batch, width)), g.input((batch, units))
    w, u, b = g.weight((width, units), 0.5), g.weight((units, units), 0.5), g.weight((units,), 0.5)
    cell = CELLS[g.choose(*CELLS)].format(x="x", h="h", w=w.name, u=u.name, b=b.name)
    step = Step(("y",), cell, ((w.ref, u.ref, b.ref),))  # the cell's text has their names
    body = Function(("h", "x"), (step,), (Ref("y"), Raw(g.choose("y", "h * 2", "lnp.sum(y)"))))
    reverse = g.choose("", ", reverse=True")
    g.step(f"lax.scan({{0}}, {{1}}, {{2}}{reverse})", body, h.ref, xs.ref, count=2)


@structure(0.5)
def embedding(g: Draw) -> None:
    words, width, classes = g.int(3, 20), g.choose(4, 8), g.int(2, 6)
    e, w = g.weight((words, width), 1), g.weight((width, classes), 0.5)
    rows = g.step("{0}[{1}]", e.ref, Index((g.input((g.int(1, 4), g.int(1, 5)), "i8", "small", 0, words).ref,)))
    scores = g.step("{0} @ {1}", rows.ref, w.ref)
    g.step("nn.cross_entropy({0}, {1})", scores.ref, g.input(scores.shape[:-1], "i8", "small", 0, classes).ref)


@structure(0.5)
def perceptron(g: Draw) -> None:
    x = g.input((g.int(1, 9), g.int(1, 20)))
    for _ in range(g.int(1, 3)):
        y = g.step("{0} @ ({1} * 0.4) + {2}", x.ref, g.weight((x.shape[-1], g.int(1, 24)), 1).ref, 0)
        y = g.step("{0} + {1}", y.ref, g.weight((y.shape[-1],), 1).ref)
        x = g.step(g.choose(*ACTIVATIONS), y.ref)
    if g.chance(0.5):
        layer_norm(g, x)
