"""Steps that move elements: shapes, slices, padding, joining, and sums along axes."""

from __future__ import annotations

from typing import Any

from tests.fuzz.draw import Draw, Raw, Refused, Value, step

REDUCTIONS = ("lnp.sum", "lnp.sum", "lnp.sum", "lnp.mean", "lnp.max", "lnp.min", "lnp.prod", "lnp.std", "lnp.var", "lnp.any",
              "lnp.all")


@step(3)
def reduction(g: Draw) -> None:
    v = g.pick()
    keep = g.choose("", "", ", keepdims=True")
    if g.chance(0.15):
        g.step(f"{{0}}.{g.choose('sum', 'max', 'mean', 'min', 'prod', 'var', 'std', 'any', 'all')}({{1}}{keep})", v.ref, g.axes(v))
    else:
        g.step(f"{g.choose(*REDUCTIONS)}({{0}}, {{1}}{keep})", v.ref, g.axes(v))


@step(0.7)
def position(g: Draw) -> None:
    v = g.pick(lambda v: v.size)
    axis = g.axis(v) if v.rank and g.chance(0.7) else None
    form = g.choose("lnp.argmax({0}, {1})", "lnp.argmin({0}, {1})", "{0}.argmax({1})", "{0}.argmin({1})",
                    "lnp.argmax({0}, {1}, keepdims=True)")
    g.step(form, v.ref, axis)


@step(1)
def along(g: Draw) -> None:
    v = g.floats(1)
    g.step(g.choose("lnp.cumsum({0}, {1})", "{0}.cumsum({1})", "nn.softmax({0}, {1})", "nn.log_softmax({0}, {1})",
                    "nn.logsumexp({0}, {1})",
                    "nn.softmax({0}, axis={1})", "{0} - lnp.mean({0}, {1}, keepdims=True)",
                    "{0} / (lnp.std({0}, {1}, keepdims=True) + 1)",
                    "{0} == lnp.max({0}, {1}, keepdims=True)"), v.ref, g.axis(v))


def shape_of(g: Draw, size: int) -> tuple[int, ...]:
    """Extents that give ``size``."""
    out: list[int] = []
    for _ in range(g.int(0, 2)):
        d = g.choose(*[d for d in range(1, min(size, 12) + 1) if size % d == 0] or [1])
        out.append(d)
        size //= max(d, 1)
    out.append(size)
    g.rng.shuffle(out)
    return tuple(out)


@step(2.5)
def arrangement(g: Draw) -> None:
    v = g.pick()
    perm = tuple(g.rng.sample(range(v.rank), v.rank))
    forms: list[tuple[Any, ...]] = [
        ("lnp.reshape({0}, {1})", shape_of(g, v.size)), ("{0}.reshape({1})", shape_of(g, v.size)), ("lnp.ravel({0})",),
        ("lnp.transpose({0}, {1})", perm), ("lnp.transpose({0})",), ("lnp.permute_dims({0}, {1})", perm), ("{0}.T",),
        ("{0}.transpose({1})", perm), ("{0}.reshape(-1)",) if v.size else ("lnp.ravel({0})",), ("lnp.expand_dims({0}, {1})",
                                                                                                g.int(0, v.rank)),
        ("lnp.flip({0})",), ("lnp.squeeze({0})",), ("{0}[None]",), ("{0}[..., None]",)]
    if v.rank:
        forms += [("lnp.flip({0}, {1})", g.axis(v)), ("lnp.swapaxes({0}, {1}, {2})", g.axis(v), g.axis(v)),
                  ("lnp.moveaxis({0}, {1}, {2})", g.axis(v), g.axis(v)), ("{0}.swapaxes({1}, {2})", g.axis(v), g.axis(v)),
                  ("lnp.broadcast_to({0}, {1})", (g.int(1, 4), *v.shape)), ("lnp.tile({0}, {1})", (g.int(1, 3),) * g.int(1,
                                                                                                                         v.rank)),
                  ("lnp.repeat({0}, {1}, {2})", g.int(0, 3), g.axis(v)), ("lnp.repeat({0}, {1})", g.int(1, 2)),
                  ("{0}.repeat(2, 0)",)]
    if v.rank >= 2:
        forms += [("lnp.matrix_transpose({0})",), ("{0}.mT",), ("lnp.flip({0}, (0, -1))",)]
    form, *args = g.choose(*forms)
    g.step(form, v.ref, *args)


@step(0.3)
def placing(g: Draw) -> None:
    """XLA's broadcast: axis i becomes axis dims[i]."""
    v = g.pick(lambda v: v.rank <= 3)
    rank = v.rank + g.int(0, 2)
    dims = tuple(sorted(g.rng.sample(range(rank), v.rank)))
    shape = [g.int(1, 4) for _ in range(rank)]
    for d, n in zip(dims, v.shape):
        shape[d] = n
    g.step("lax.broadcast_in_dim({0}, {1}, {2})", v.ref, tuple(shape), dims)


def cut(g: Draw, n: int) -> slice:
    """A slice of an axis, of any step."""
    def bound() -> Any:
        return None if g.chance(0.3) else g.int(-n - 1, n + 1)

    stride = g.choose(None, None, 1, 2, 3, -1, -2)
    start, stop = bound(), bound()
    if g.chance(0.4):  # a cut that begins at 0
        start, stop, stride = g.choose(None, 0), g.int(1, max(n, 1)), g.choose(None, None, 2)
    return slice(start, stop, stride)


@step(3)
def slicing(g: Draw) -> Value:
    from tests.fuzz.draw import Index

    v = g.pick(lambda v: v.rank)
    items: list[Any] = [cut(g, n) if g.chance(0.6) else slice(None) for n in v.shape]
    if g.chance(0.2):
        d = g.rng.randrange(v.rank)
        if v.shape[d]:
            items[d] = g.int(-v.shape[d], v.shape[d] - 1)
    if g.chance(0.1):
        items.insert(g.int(0, len(items)), None)
    out = g.step("{0}[{1}]", v.ref, Index(tuple(items)))
    if not out.size and g.chance(0.9):
        raise Refused("empty")
    return out


@step(0.5)
def lax_slice(g: Draw) -> None:
    v = g.pick(lambda v: v.rank and v.size)
    starts = tuple(g.int(0, n - 1) for n in v.shape)
    limits = tuple(g.int(s + 1, n) for s, n in zip(starts, v.shape))
    strides = tuple(g.int(1, 3) for _ in v.shape) if g.chance(0.5) else None
    g.step("lax.slice({0}, {1}, {2}, {3})", v.ref, starts, limits, strides)


@step(1.5)
def padding(g: Draw) -> Value:
    v = g.pick(lambda v: v.rank and v.size <= 3000)
    widths = tuple((g.choose(0, 0, 1, 2, 5), g.choose(0, 0, 1, 3, 6)) for _ in v.shape)
    if g.chance(0.5):
        return g.step("lnp.pad({0}, {1})", v.ref, widths)
    if g.chance(0.3):
        return g.step("lnp.pad({0}, {1}, constant_values={2})", v.ref, widths, g.choose(1, -2, 7))
    config = tuple((g.choose(0, 0, 1, 3, -1, -2), g.choose(0, 0, 1, 2, -1), g.choose(0, 0, 0, 1, 2)) for _ in v.shape)
    value = 1 if v.dtype.kind == "b" else g.choose(0, 0, 1, 2) if v.dtype.kind != "f" else g.choose(0.0, 0.0, 1.0, -2.5)
    return g.step("lax.pad({0}, {1}, {2})", v.ref, value, config)


@step(1)
def joining(g: Draw) -> None:
    a = g.pick(lambda v: v.rank)
    same = [v for v in g.values if v.shape == a.shape]
    b, c = g.choose(*same), g.choose(*same)
    form = g.choose("lnp.concatenate(({0}, {1}), {2})", "lnp.concat(({0}, {1}, {3}), {2})", "lnp.stack(({0}, {1}), {2})",
                    "lnp.vstack(({0}, {1}))",
                    "lnp.hstack(({0}, {1}))", "lnp.concatenate(({0}, {1} * 2), axis=None)", "lnp.asarray([{0}, {1}])")
    g.step(form, a.ref, b.ref, g.axis(a), c.ref)


@step(0.5)
def splitting(g: Draw) -> None:
    v = g.pick(lambda v: v.rank)
    axis = g.axis(v)
    n = v.shape[axis]
    if n % 2 == 0 and g.chance(0.5):
        g.step("lnp.split({0}, 2, {1})", v.ref, axis, count=2)
    else:
        at = tuple(sorted((g.int(0, n), g.int(0, n))))
        g.step("lnp.split({0}, {2}, {1})", v.ref, axis, at, count=3)


@step(0.15)
def keys(g: Draw) -> None:
    """Random numbers from a key that is given, or known."""
    key = g.input((2,), "u4", "small", 0, 1000).ref if g.chance(0.7) else Raw("random.key(7)")
    shape = (g.int(1, 5), g.int(1, 5))
    form = g.choose("random.uniform({0}, {1})", "random.normal({0}, {1})", "random.bernoulli({0}, 0.3, {1})",
                    "random.randint({0}, {1}, -3, 9)",
                    "random.bits({0}, {1})", "random.exponential({0}, {1})", "random.normal({0}, {1}, np.float64)",
                    "random.split({0}, 3)",
                    "random.uniform({0}, {1}, np.float64, -1.0, 2.0)", "random.fold_in({0}, 5)",
                    "random.uniform(random.split({0})[1], {1})",
                    "random.threefry({0}, np.arange(4, dtype=np.uint32), np.arange(4, dtype=np.uint32))[1]")
    g.step(form, key, shape)
