"""Steps of single elements, of all dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.fuzz.draw import Draw, Raw, Refused, Value, step

DTYPES = ("f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")

# Mostly within the function's domain: NaN everywhere hides what is wrong
FLOAT_FORMS = tuple("""
lnp.exp(lnp.clip({0}, -4, 4))|lnp.exp({0})|lnp.expm1(lnp.minimum({0}, 3))|lnp.log(lnp.abs({0}) + 0.5)|lnp.log({0})
lnp.log1p(lnp.abs({0}))
lnp.log2(lnp.abs({0}) + 0.25)|lnp.log10(lnp.abs({0}) + 0.25)|lnp.sqrt(lnp.abs({0}))|lnp.sqrt({0})|lnp.tanh({0})
lnp.sinh(lnp.clip({0}, -3, 3))
lnp.cosh(lnp.clip({0}, -3, 3))|lnp.sin({0})|lnp.cos({0})|lnp.tan({0} * 0.25)|lnp.floor({0})|lnp.ceil({0})|lnp.trunc({0})
lnp.rint({0})
lnp.round({0})|lnp.round({0}, 1)|{0}.round()|lnp.reciprocal(lnp.abs({0}) + 1)|lnp.nan_to_num({0})|nn.relu({0})|nn.relu({0})
nn.leaky_relu({0})
nn.leaky_relu({0}, 0.2)|nn.elu({0})|nn.elu({0}, 0.7)|nn.gelu({0})|nn.gelu({0}, approximate=False)|nn.sigmoid({0})|nn.silu({0})
nn.swish({0})|nn.softplus({0})|nn.tanh({0})|lax.rsqrt(lnp.abs({0}) + 0.5)|lax.erf({0})|lax.erf_inv(0.9 * lnp.tanh({0}))
nn.celu({0})|nn.relu6({0})|nn.hard_sigmoid({0})|nn.hard_silu({0})|nn.hard_swish({0})|nn.hard_tanh({0})|nn.identity({0})
nn.log_sigmoid({0})|nn.mish({0})|nn.selu({0})|nn.soft_sign({0})|nn.sparse_plus({0})|nn.sparse_sigmoid({0})|nn.squareplus({0})
lax.fori_loop(0, 3, lambda i, v: v * 0.5 + i, {0})|lax.cond(lnp.all({0} == {0}), lambda v: v * v, lambda v: -v, {0})
lax.switch(1, [lambda v: v, lambda v: -v * v], {0})|leptonc.checkpoint(lambda v: lnp.tanh(v) * v)({0})
lax.map(lambda v: v * 2, lnp.reshape({0}, (-1,)))|lax.associative_scan(lnp.add, lnp.reshape({0}, (-1,)))
lax.stop_gradient({0})|{0} * {0}|{0} ** 2
{0} ** 3
1 / ({0} * {0} + 1)|lnp.maximum({0}, 0)|lnp.where({0} > 0, {0}, 0.5)|lnp.where({0} >= 0, {0}, 0)|{0} * 0.5|{0} + 1|1 - {0}
{0} / 3|-{0}
lnp.clip({0}, -1, 1)|lax.clamp(-0.5, {0}, 1.5)|{0} * 0|{0} + -0.0|lnp.sign({0}) * lnp.sqrt(lnp.abs({0}) + 1)
lnp.power(lnp.abs({0}) + 0.5, 1.5)
lnp.pow(lnp.abs({0}) + 0.5, -0.5)|{0} ** 0.5|lnp.mod({0}, 0.75)|{0} // 0.5|lnp.astype({0}, np.int32)|{0}.astype(np.int64)
""".replace("\n", "|").strip("|").split("|"))
NUMBER_FORMS = ("lnp.abs({0})", "lnp.absolute({0})", "lnp.negative({0})", "lnp.positive({0})", "lnp.square({0})", "lnp.sign({0})",
                "lnp.ones_like({0})", "lnp.zeros_like({0})", "lnp.full_like({0}, 3)", "lnp.isnan({0})", "lnp.isinf({0})",
                "lnp.isfinite({0})", "lnp.logical_not({0})", "lnp.asarray({0})", "lnp.array({0})", "lnp.clip({0}, 1, 4)", "{0} % 3",
                "lnp.remainder({0}, 3)")
INT_FORMS = ("lax.while_loop(lambda v: lnp.any(v > 3), lambda v: v // 2, {0})",
             "{0} // 3", "{0} % 5", "-7 // {0}", "{0} << 2", "{0} >> 1", "lnp.invert({0})", "~{0}", "lnp.bitwise_not({0})",
             "lnp.bitwise_invert({0})", "{0} & 6", "{0} | 1", "{0} ^ 5", "{0} * {0}", "{0} - 1", "{0} ** 2", "{0} / 2")
BOOL_FORMS = ("~{0}", "lnp.logical_not({0})", "lnp.bitwise_invert({0})", "{0} + 1", "{0} * 2.5", "lnp.where({0}, 1.0, -2.0)")

FLOAT_PAIRS = tuple("""
{0} + {1}|{0} + {1}|{0} - {1}|{0} * {1}|{0} * {1}|lnp.add({0}, {1})|lnp.subtract({0}, {1})|lnp.multiply({0}, {1})
lnp.maximum({0}, {1})
lnp.minimum({0}, {1})|{0} / (lnp.abs({1}) + 1)|lnp.divide({0}, {1})|lnp.true_divide({0}, {1})|lnp.arctan2({0}, {1})
lnp.logaddexp({0}, {1})
lnp.where({0} > {1}, {0}, {1})|lnp.where({0} < {1}, {0} * 2, {1})|lnp.mod({0}, lnp.abs({1}) + 0.5)
lnp.floor_divide({0}, lnp.abs({1}) + 0.5)
lnp.power(lnp.abs({0}) + 0.5, lnp.clip({1}, -2, 2))|nn.relu({0} - {1})|{0} * nn.sigmoid({1})|nn.mean_squared_error({0}, {1})
""".replace("\n", "|").strip("|").split("|"))
INT_PAIRS = ("{0} + {1}", "{0} - {1}", "{0} * {1}", "{0} // {1}", "{0} % {1}", "lnp.floor_divide({0}, {1})",
             "lnp.remainder({0}, {1})",
             "lnp.bitwise_and({0}, {1})", "lnp.bitwise_or({0}, {1})", "lnp.bitwise_xor({0}, {1})", "lnp.left_shift({0}, {1})",
             "lnp.right_shift({0}, {1})", "lnp.maximum({0}, {1})", "lnp.minimum({0}, {1})", "{0} ** lnp.abs({1} % 4)", "{0} / {1}")
COMPARISONS = ("{0} < {1}", "{0} <= {1}", "{0} > {1}", "{0} >= {1}", "{0} == {1}", "{0} != {1}", "lnp.equal({0}, {1})",
               "lnp.not_equal({0}, {1})", "lnp.less({0}, {1})", "lnp.less_equal({0}, {1})", "lnp.greater({0}, {1})",
               "lnp.greater_equal({0}, {1})", "lnp.logical_and({0}, {1})", "lnp.logical_or({0}, {1})", "lnp.logical_xor({0}, {1})")
BOOL_PAIRS = ("{0} & {1}", "{0} | {1}", "{0} ^ {1}", "lnp.maximum({0}, {1})", "{0} + {1}", "{0} * {1}", "{0} == {1}",
              "lnp.minimum({0}, {1})")
SELECTS = ("lnp.where({0}, {1}, {2})", "lnp.where({0}, {1}, 0)", "lnp.where({0}, -1.5, {2})", "lax.select({0}, {1}, {2})",
           "lnp.where({0} != 0, {1}, {2})", "lnp.clip({1}, lnp.minimum({2}, 0), 2)")


def partner(g: Draw, a: Value, fits: Any = lambda v: True) -> Value:
    """A value that broadcasts with ``a``, made where there is none."""
    def together(b: Value) -> bool:
        try:
            return bool(np.prod(np.broadcast_shapes(a.shape, b.shape)) <= 20_000 and fits(b))
        except ValueError:
            return False

    if g.chance(0.15):
        shape = tuple(n if g.chance(0.7) else 1 for n in a.shape)[g.int(0, a.rank) if g.chance(0.3) else 0:]
        return g.input(shape, a.dtype.str[1:] if a.dtype.kind != "b" else "?")
    return g.pick(together)


@step(5)
def unary(g: Draw) -> None:
    v = g.pick()
    forms = {"f": FLOAT_FORMS, "b": BOOL_FORMS}.get(v.dtype.kind, INT_FORMS)
    g.step(g.choose(*(NUMBER_FORMS if v.dtype.kind != "b" and g.chance(0.15) else forms)), v.ref)


@step(5)
def binary(g: Draw) -> None:
    a = g.floats()
    g.step(g.choose(*FLOAT_PAIRS), a.ref, partner(g, a, lambda v: v.is_float or g.chance(0.2)).ref)


@step(1)
def integers(g: Draw) -> None:
    a = g.pick(lambda v: v.dtype.kind in "iu")
    g.step(g.choose(*INT_PAIRS), a.ref, partner(g, a, lambda v: v.dtype.kind in "iu").ref)


@step(0.7)
def comparison(g: Draw) -> None:
    a = g.pick()
    g.step(g.choose(*COMPARISONS), a.ref, partner(g, a).ref)


@step(0.4)
def logic(g: Draw) -> None:
    a = g.pick(lambda v: v.dtype.kind == "b")
    g.step(g.choose(*BOOL_PAIRS), a.ref, partner(g, a, lambda v: v.dtype.kind == "b").ref)


@step(1)
def select(g: Draw) -> None:
    a = g.pick()
    c = partner(g, a, lambda v: v.dtype.kind == "b")
    g.step(g.choose(*SELECTS), c.ref, a.ref, partner(g, a).ref)


@step(0.6)
def conversion(g: Draw) -> None:
    v = g.pick()
    g.step(g.choose("lnp.astype({0}, {1})", "{0}.astype({1})", "lnp.asarray({0}, {1})"), v.ref,
           Raw(g.choose("np.float32", "lnp.float32", "np.float64", "lnp.float64", "lnp.int32", "lnp.int64", "lnp.uint8",
                        "lnp.uint32", "lnp.int8", "lnp.int16", "lnp.uint16", "lnp.uint64", "lnp.float16", "lnp.bool_")))


@step(0.2)
def two_results(g: Draw) -> None:
    a = g.pick(lambda v: v.dtype.kind in "if")
    b = partner(g, a, lambda v: v.dtype.kind in "if")
    form = g.choose("divmod({0}, {1})", "lnp.divmod({0}, {1})", "lnp.broadcast_arrays({0}, {1})")
    g.step(form, a.ref, b.ref, count=2)


@step(0.5)
def chain(g: Draw) -> None:
    """Several in a row, one used twice: what fusion lives on."""
    v = first = g.floats()
    for _ in range(g.int(2, 5)):
        v = g.step(g.choose(*FLOAT_FORMS), v.ref)
        if not v.is_float:
            raise Refused("no float")
    g.step("{0} + {1}", v.ref, first.ref)


@step(0.5)
def constants(g: Draw) -> None:
    """Made, not given."""
    v = g.pick(lambda v: v.rank)
    n = v.shape[-1]
    made = g.choose("lnp.arange({1})", "lnp.linspace(-1, 1, {1})", "lnp.ones({1})", "lnp.zeros({1}, np.float32)",
                    "lnp.full({1}, 2.5)",
                    "lnp.full({1}, lnp.e)", "lnp.empty({1}, lnp.int32)", "lnp.eye({1})[{2}]", "lax.iota(np.int32, {1})",
                    "lnp.eye({1}, k=1)[:, {2}]",
                    "lnp.arange(0, {1}, 1, np.float32)", "lax.broadcasted_iota(np.int64, (2, {1}), 1)[{2} % 2]",
                    "lnp.array([lnp.pi] * {1})")
    if not n:
        raise Refused("empty")
    g.step("{0} " + g.choose("+", "*", "-") + " " + made, v.ref, n, g.int(0, n - 1))


@step(0.3)
def labels(g: Draw) -> None:
    """Ints as classes."""
    v = g.pick(lambda v: v.dtype.kind in "iu" and v.rank <= 2)
    g.step("nn.one_hot({0}, {1})" if g.chance(0.6) else "nn.one_hot({0}, {1}, np.float64)", v.ref, g.int(1, 5))
