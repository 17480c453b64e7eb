"""Steps that multiply and sum: products, convolutions, pools."""

from __future__ import annotations

from typing import Any

from tests.fuzz.draw import Draw, Refused, Value, step

POOLS = ("nn.max_pool({0}, {1})", "nn.max_pool({0}, {1}, stride={2}, padding={3})", "nn.avg_pool({0}, {1})",
         "nn.avg_pool({0}, {1}, stride={2}, padding={3})", "nn.avg_pool({0}, {1}, stride={2}, padding={3}, count_include_pad=True)",
         "lax.reduce_window({0}, 'max', {1}, {2}, {3})", "lax.reduce_window({0}, 'sum', {1}, {2}, {3})",
         "lax.reduce_window({0}, 'mean', {1}, {2}, {3})")


def number(g: Draw, v: Value) -> str:
    return v.dtype.str[1:]


@step(3)
def product(g: Draw) -> None:
    a = g.pick(lambda v: v.rank >= 1 and v.size <= 4000 and v.dtype.kind in "iufc")
    k = a.shape[-1]
    fitting = [v for v in g.values if v.rank == 2 and v.shape[0] == k and v.dtype == a.dtype and v.name != a.name]
    b = g.choose(*fitting) if fitting and g.chance(0.6) else g.input((k, g.choose(1, 2, 5, 8, 17)), number(g, a))
    g.step(g.choose("{0} @ {1}", "{0} @ {1}", "lnp.matmul({0}, {1})", "lnp.dot({0}, {1})", "lnp.tensordot({0}, {1}, 1)"), a.ref,
           b.ref)


@step(1)
def other_product(g: Draw) -> None:
    a = g.pick(lambda v: v.rank >= 1 and v.size <= 400 and v.dtype.kind in "iufc")
    same = g.choose(*[v for v in g.values if v.shape == a.shape and v.dtype == a.dtype])
    forms: list[str] = ["lnp.vdot({0}, {1})", "lnp.outer({0}, {1})" if a.size <= 100 else "lnp.vdot({0}, {1})"]
    if a.rank == 2:
        forms += ["{0} @ {1}.T", "{0}.T @ {1}", "lnp.einsum('ij,ij->i', {0}, {1})", "lnp.einsum('ij,kj->ik', {0}, {1})",
                  "lnp.einsum('ij,ij->', {0}, {1})", "lax.dot_general({0}, {1}, (((0,), (0,)), ((), ())))",
                  "lax.dot_general({0}, {1}, (((1,), (1,)), ((0,), (0,))))", "lnp.einsum('ij->ji', {0})"]
    if a.rank == 3:
        forms += ["lnp.einsum('bij,bkj->bik', {0}, {1})", "{0} @ lnp.matrix_transpose({1})", "lnp.einsum('bij,bij->j', {0}, {1})",
                  "lnp.tensordot({0}, {1}, ((0, 2), (0, 2)))", "lax.dot_general({0}, {1}, (((1,), (1,)), ((0,), (0,))))"]
    g.step(g.choose(*forms), a.ref, same.ref)


@step(0.6)
def batched(g: Draw) -> None:
    a = g.pick(lambda v: v.rank >= 2 and v.size <= 2000 and v.is_float)
    b = g.input((*(n if g.chance(0.7) else 1 for n in a.shape[:-2]), a.shape[-1], g.int(1, 6)), number(g, a))
    g.step("lnp.matmul({0}, {1})", a.ref, b.ref)


@step(0.6)
def first_points(g: Draw) -> None:
    """A fold of the first points of an axis alone, up to a number that is an argument, or one for each row."""
    v = g.pick(lambda v: v.rank and v.size <= 4000 and v.dtype.kind in "iuf")
    axis = g.axis(v) % v.rank
    shape = tuple(n if d == axis else 1 for d, n in enumerate(v.shape))
    own = tuple(1 if d == axis else n for d, n in enumerate(v.shape)) if g.chance(0.4) else ()
    limit = g.input(own, g.choose("i4", "i4", "i8"), low=-2, high=2 * v.shape[axis] + 2)
    within = g.choose("lnp.arange({1}).reshape({2}) < {3}", "lnp.arange({1}).reshape({2}) <= {3}",
                      "{3} > lnp.arange({1}).reshape({2})", "{3} >= lnp.arange({1}, dtype=np.int32).reshape({2})")
    fold, other = g.choose(("sum", "0"), ("sum", "0"), ("prod", "1"), ("sum", "1"), ("max", "-lnp.inf"), ("min", "lnp.inf"))
    if not v.is_float and "inf" in other:
        fold, other = "sum", "0"
    each = g.choose("{0}", "{0}", "{0} * {0}", "lnp.abs({0})")
    g.step(f"lnp.{fold}(lnp.where({within}, {each}, {other}), {{4}})", v.ref, shape[axis], shape, limit.ref, axis)


@step(0.3)
def first_products(g: Draw) -> None:
    """A product of matrices over the first points alone."""
    a = g.pick(lambda v: v.rank == 2 and v.size <= 2000 and v.dtype.kind in "if")
    b = g.input((a.shape[1], g.choose(1, 5, 8, 17, 33)), number(g, a))
    limit = g.input((), "i4", low=-2, high=a.shape[1] + 3)
    each = "{0}[:, :, None] * {1}[None]"
    g.step(f"lnp.sum(lnp.where(lnp.arange({{2}})[None, :, None] < {{3}}, {each}, 0), 1)", a.ref, b.ref, a.shape[1], limit.ref,
           limit=200_000)


def pads(g: Draw, rank: int, least: int = 0) -> Any:
    """A padding in one of its spellings."""
    way = g.int(0, 5)
    if way < 2:
        return "SAME" if way else "VALID"
    if way == 2:
        return g.int(0, 2)
    return tuple((g.int(least, 2), g.int(least, 3)) for _ in range(rank))


def image(g: Draw, channels: Any = (1, 2, 3, 4, 5, 8)) -> Value:
    """An image [n, h, w, c], one that is there or a new one."""
    found = [v for v in g.values if v.rank == 4 and v.is_float and v.size <= 8000 and min(v.shape) > 0]
    if found and g.chance(0.7):
        return found[-1] if g.chance(0.6) else g.choose(*found)
    return g.input((g.int(1, 3), g.int(3, 11), g.int(3, 11), g.choose(*channels)))


@step(1)
def convolution(g: Draw) -> Value:
    x = image(g)
    c = x.shape[-1]
    groups = g.choose(*[d for d in (1, 1, 1, 1, 2, 3, 4, c) if c % d == 0])
    kernel = g.choose((3, 3), (3, 3), (1, 1), (5, 5), (2, 2), (2, 3), (1, 4), (3, 1))
    w = g.input((*kernel, c // groups, groups * g.choose(1, 2, 3, 4)), number(g, x))
    stride = g.choose(1, 1, 1, 2, (2, 1), (1, 3), 3)
    dilation = g.choose(1, 1, 1, 2, (1, 2))
    padding = pads(g, 2, -1 if g.chance(0.3) else 0)
    if g.chance(0.2):
        strides = stride if isinstance(stride, tuple) else (stride, stride)
        dilations = dilation if isinstance(dilation, tuple) else (dilation, dilation)
        return g.step("lax.conv_general_dilated({0}, {1}, {2}, {3}, rhs_dilation={4}, feature_group_count={5}, "
                      "dimension_numbers=('NHWC', 'HWIO', 'NHWC'))", x.ref, w.ref, strides,
                      padding if isinstance(padding, str | tuple) else ((padding, padding),) * 2, dilations, groups)
    return g.step("nn.conv({0}, {1}, stride={2}, padding={3}, dilation={4}, groups={5})", x.ref, w.ref, stride, padding, dilation,
                  groups)


@step(0.4)
def convolution_1d(g: Draw) -> None:
    found = [v for v in g.values if v.rank == 3 and v.is_float and 0 < v.size <= 2000]
    x = g.choose(*found) if found and g.chance(0.7) else g.input((g.int(1, 3), g.int(4, 20), g.int(1, 5)))
    w = g.input((g.int(1, 4), x.shape[-1], g.int(1, 5)), number(g, x))
    g.step("nn.conv({0}, {1}, stride={2}, padding={3}, dilation={4})", x.ref, w.ref, g.int(1, 3), pads(g, 1), g.int(1, 2))


@step(1)
def pool(g: Draw) -> None:
    x = image(g)
    window = g.choose(2, 2, 3, (2, 3), (3, 2), (1, 2))
    sizes = window if isinstance(window, tuple) else (window, window)
    padding = g.choose("SAME", "VALID", 0, tuple((g.int(0, max(n - 1, 0)), g.int(0, max(n - 1, 0))) for n in sizes))
    v = g.step(g.choose(*POOLS), x.ref, window, g.choose(1, 2, 2, 3, (1, 2), (2, 1)), padding)
    if not v.size:
        raise Refused("empty")
