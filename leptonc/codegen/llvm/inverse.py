"""The inverse error function, operation for operation as ``leptonc.ir.erfinv`` has it."""

from __future__ import annotations

from leptonc.codegen.llvm.lanes import Lanes
from leptonc.codegen.llvm.vectormath import log, split_log
from leptonc.ir.erfinv import DOUBLE, LN2_HIGH, LN2_LOW, LOG, SINGLE, SMALL, Tables, zip_terms
from leptonc.ir.types import f32


def erf_inv(v: Lanes, x: str) -> str:
    """The y of which x is the error function; inf at 1, NaN beyond."""
    tables = SINGLE if v.dtype == f32 else DOUBLE
    w = v.neg(_log1p(v, v.mul(x, v.neg(x)), tables))
    size, one = v.abs(x), v.const(1)
    p = v.select(v.compare("oeq", size, one), v.const(float("inf")), _polynomial(v, w, tables))
    return v.select(v.compare("ogt", size, one), v.const(float("nan")), v.mul(p, x))


def _polynomial(v: Lanes, w: str, tables: Tables) -> str:
    below = [v.compare("olt", w, v.const(limit)) for limit in tables.limits]

    def chosen(values: list[str]) -> str:
        out = values[-1]
        for condition, value in zip(reversed(below), reversed(values[:-1])):
            out = value if value == out else v.select(condition, value, out)
        return out

    root = v.sqrt(w)
    t = chosen([v.sub(w, v.const(tables.shift)), *(v.sub(root, v.const(r)) for r in tables.roots)])
    p = ""
    for number, terms in enumerate(zip_terms(tables)):
        there = [c for _, c in terms if c is not None]
        coefficient = chosen([v.const(there[-1] if c is None else c) for _, c in terms])
        following = v.fma(p, t, coefficient) if number else coefficient
        p = chosen([p if c is None else following for _, c in terms])
    return p


def _log1p(v: Lanes, y: str, tables: Tables) -> str:
    square = v.mul(y, y)
    quotient = v.div(v.horner(y, list(tables.numerator)), v.horner(y, list(tables.denominator)))
    near = v.add(y, v.fma(square, v.const(-0.5), v.mul(v.mul(y, square), quotient)))
    sum_ = v.add(v.const(1), y)
    far = _log(v, sum_) if v.dtype == f32 else log(v, sum_)
    return v.select(v.compare("olt", v.abs(y), v.const(SMALL)), near, far)


def _log(v: Lanes, x: str) -> str:
    """The logarithm of positive f32."""
    k, m = split_log(v, x)
    f = v.sub(m, v.const(1))
    square = v.mul(f, f)
    cube = v.mul(square, f)
    total = ""
    for a, b, c in LOG:
        part = v.fma(v.fma(v.const(a), f, v.const(b)), f, v.const(c))
        total = v.fma(total, cube, part) if total else part
    rest = v.fma(total, cube, v.mul(k, v.const(LN2_LOW)))
    return v.fma(k, v.const(LN2_HIGH), v.add(v.sub(f, v.mul(square, v.const(0.5))), rest))
