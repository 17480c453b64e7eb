"""Differences, slopes and areas of samples, interpolation, convolution and polynomials."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.accumulation import checked_precision, preferring
from leptonc.arguments import array, choice, flag, integer, is_one, items, no_out, vector
from leptonc.arguments import axes as axes_of
from leptonc.arguments import axis as axis_of
from leptonc.arithmetic import add, divide, equal, less, less_equal, multiply, not_equal, subtract
from leptonc.bfloat16 import kind_of
from leptonc.errors import ArgumentError, op_error
from leptonc.numpy.arranging import pairs_along, trim_zeros
from leptonc.numpy.complexes import complex_, conj, imag, real
from leptonc.numpy.creation import asarray
from leptonc.numpy.elementwise import as_float, clip, logical_and, maximum, where
from leptonc.numpy.linear import dot
from leptonc.numpy.manipulation import broadcast_to, concatenate, flip, moveaxis, ravel, reshape, take
from leptonc.numpy.manipulation import pad as _pad
from leptonc.numpy.reductions import in_float_dtype, mean
from leptonc.numpy.reductions import max as _max
from leptonc.numpy.reductions import min as _min
from leptonc.numpy.reductions import sum as _sum
from leptonc.trace import cast, promote


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along an axis, ``n`` times over; of bools whether they differ."""
    operand = array("diff", "a", a)
    if not operand.shape:
        raise op_error("diff", "needs an axis", {"a": operand})
    at, times = axis_of("diff", operand, axis), integer("diff", "n", n, {"a": operand}, least=0)
    edge = tuple(1 if d == at else m for d, m in enumerate(operand.shape))
    given = (None if v is None else array("diff", "edge", v) for v in (prepend, append))
    ends = [v if v is None or v.shape else broadcast_to(v, edge) for v in given]
    parts = [p for p in (ends[0], operand, ends[1]) if p is not None]
    operand = concatenate(parts, at) if times and len(parts) > 1 else operand
    for _ in range(times):
        before, behind = pairs_along(operand, at)
        operand = not_equal(behind, before) if operand.dtype.kind == "b" else subtract(behind, before)
    return operand


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Any:
    """Differences of neighbours of the flattened array, between others."""
    steps = diff(ravel(ary))
    ends = [ravel(cast(asarray(v), steps.dtype)) for v in (to_begin, to_end) if v is not None]
    if not ends:
        return steps
    return concatenate(([ends[0]] if to_begin is not None else []) + [steps] + ([ends[-1]] if to_end is not None else []))


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int | None = None) -> Any:
    """Slopes by central differences inside, by ones of ``edge_order`` at the edges; ``varargs`` are steps or coordinates."""
    operand = as_float(array("gradient", "f", f))
    places = axes_of("gradient", operand, axis)
    order = integer("gradient", "edge_order", 1 if edge_order is None else edge_order, least=1, most=2)
    steps = list(varargs) * (len(places) if len(varargs) == 1 else 1) or [1.0] * len(places)
    if len(steps) != len(places):
        raise op_error("gradient", f"{len(varargs)} steps for {len(places)} axes", {"f": operand}, kind=ArgumentError)
    if any(operand.shape[at] < order + 1 for at in places):
        raise op_error("gradient", f"needs {order + 1} elements along each axis", {"f": operand})
    out = [_slopes(operand, at, step, order) for at, step in zip(places, steps)]
    return out[0] if len(out) == 1 else tuple(out)


def _slopes(f: Any, axis: int, step: Any, order: int) -> Any:
    """Along the last axis, moved there."""
    x = moveaxis(f, axis, -1)
    widths = asarray(step) if is_one(step) else array("gradient", "coordinates", step)
    widths = cast(widths, x.dtype) if is_one(step) else as_float(widths)  # differences of unsigned ones wrap
    slopes_of, h = (_uneven_slopes, diff(widths)) if widths.shape else (_even_slopes, widths)
    return moveaxis(concatenate(slopes_of(x, cast(h, x.dtype), order), -1), -1, axis)


def _even_slopes(x: Any, h: Any, order: int) -> list[Any]:
    """At the first element, inside and at the last one. An element's own value is no part of the slope there, finite or not."""
    inside = divide(subtract(x[..., 2:], x[..., :-2]), multiply(h, 2.0))
    if order == 1:
        return [divide(subtract(x[..., 1:2], x[..., :1]), h), inside, divide(subtract(x[..., -1:], x[..., -2:-1]), h)]
    return [_edge_slope([x[..., n:n + 1] for n in range(3)], h), inside,
            _edge_slope([x[..., x.shape[-1] - n:][..., :1] for n in (1, 2, 3)], multiply(h, -1.0))]


def _edge_slope(points: list[Any], h: Any) -> Any:
    """At the first of three points h apart, of the parabola through them."""
    first, second, third = points
    return divide(add(add(multiply(first, -1.5), multiply(second, 2.0)), multiply(third, -0.5)), h)


def _uneven_slopes(x: Any, h: Any, order: int) -> list[Any]:
    """Of the parabola through each three neighbours, h[n] apart."""
    rise = divide(subtract(x[..., 1:], x[..., :-1]), h)
    before, behind = h[:-1], h[1:]
    weighted = add(multiply(behind, rise[..., :-1]), multiply(before, rise[..., 1:]))
    inside = divide(weighted, add(before, behind))
    first, last = rise[..., :1], rise[..., -1:]
    if order == 2:
        bend = divide(subtract(rise[..., 1:], rise[..., :-1]), add(before, behind))
        first = subtract(first, multiply(bend[..., :1], h[:1]))
        last = add(last, multiply(bend[..., -1:], h[-1:]))
    return [first, inside, last]


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Any:
    """The area below samples at ``x``, or ``dx`` apart, joined by lines."""
    given = array("trapezoid", "y", y)
    if x is None:
        values, widths = as_float(given), dx
        at = axis_of("trapezoid", values, axis)
    else:
        values, places = (as_float(v) for v in promote(given, array("trapezoid", "x", x)))  # differences of unsigned ones wrap
        at = axis_of("trapezoid", values, axis)
        widths = diff(places, axis=at) if len(places.shape) > 1 else diff(places).reshape(
            [-1 if d == at else 1 for d in range(len(values.shape))])
    before, behind = pairs_along(values, at)
    return multiply(0.5, _sum(multiply(add(before, behind), widths), at))


def interp(x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None) -> Any:
    """Lines between the points (xp, fp), whose ``xp`` ascend; beyond them ``left`` and ``right``, or the ends' values."""
    at, places, values = (as_float(array("interp", what, v)) for what, v in (("x", x), ("xp", xp), ("fp", fp)))
    if len(places.shape) != 1 or places.shape != values.shape or not places.shape[0]:
        raise op_error("interp", "xp and fp must be vectors of one length, and not empty", {"xp": places, "fp": values})
    if period is not None:
        raise op_error("interp", "period is not supported", {"x": at}, "x % period", ArgumentError)
    at, places = promote(at, places)
    n = places.shape[0]
    before = _sum(less_equal(places, reshape(at, (*at.shape, 1))), -1)
    number = clip(subtract(before, 1), 0, max(n - 2, 0))
    x0, y0 = take(places, number), take(values, number)
    x1, y1 = (take(v, add(number, 1) if n > 1 else number) for v in (places, values))
    width = subtract(x1, x0)
    flat = less_equal(width, 0)
    slope = divide(subtract(y1, y0), where(flat, 1, width))
    found = add(y0, multiply(slope, subtract(at, x0)))
    lost = not_equal(found, found)  # by an infinite end: from the other one then, as NumPy has it
    back = add(y1, multiply(where(lost, slope, 0), subtract(at, where(lost, x1, 0))))
    back = where(logical_and(not_equal(back, back), equal(y0, y1)), y0, back)
    back = where(equal(at, x0), y0, where(equal(at, x1), y1, back))
    found = where(lost, back, found)
    found = where(flat, y1 if n > 1 else y0, found)
    found = where(less(at, places[0]), values[0] if left is None else left, found)
    return where(less_equal(at, places[-1]), found, where(not_equal(at, at), at, values[-1] if right is None else right))


def _lags(name: str, a: Any, v: Any, mode: str, turned: bool) -> Any:
    """Sums of products of a vector with the windows of the longer one."""
    x, w = promote(array(name, "a", a), array(name, "v", v))
    if len(x.shape) != 1 or len(w.shape) != 1 or not x.shape[0] or not w.shape[0]:
        raise op_error(name, "takes vectors that are not empty", {"a": x, "v": w})
    kind = choice(name, "mode", mode, ("full", "same", "valid"), {"a": x, "v": w})
    swapped = w.shape[0] > x.shape[0]
    x, w = (w, x) if swapped else (x, w)
    w = flip(w) if turned else w
    n, k = x.shape[0], w.shape[0]
    low = {"full": k - 1, "same": k // 2, "valid": 0}[kind]
    high = {"full": k - 1, "same": k - 1 - low, "valid": 0}[kind]
    padded = _pad(x, ((low, high),))
    rows = np.arange(n + low + high - k + 1)[:, None] + np.arange(k)
    out = _windows_times(take(padded, rows), w, (rows >= low) & (rows < low + n))
    return flip(out) if swapped and not turned else out


def _windows_times(windows: Any, w: Any, inside: np.ndarray) -> Any:
    """Sums of the products of the elements inside: of the padding 0 * inf, NaN, must stay out."""
    if inside.all() or windows.dtype.kind in "biu":
        return dot(windows, w)
    return _sum(where(inside, multiply(windows, w), 0), -1)


def convolve(a: Any, v: Any, mode: str = "full", *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """The convolution of two vectors: "full", as long as the longer one ("same"), or where they overlap wholly ("valid").
    ``precision`` and ``preferred_element_type`` as in ``matmul``."""
    checked_precision("convolve", precision)
    a, v = preferring("convolve", preferred_element_type, *promote(array("convolve", "a", a), array("convolve", "v", v)))
    return _lags("convolve", a, v, mode, turned=True)


def correlate(a: Any, v: Any, mode: str = "valid", *, precision: Any = None, preferred_element_type: Any = None) -> Any:
    """Sums of a[n + k] v[n], of v's conjugates, for every lag k, in the modes of ``convolve``, and with its options."""
    checked_precision("correlate", precision)
    a, v = preferring("correlate", preferred_element_type, *promote(array("correlate", "a", a), array("correlate", "v", v)))
    return _lags("correlate", a, conj(v), mode, turned=False)


def ptp(a: Any, axis: Any = None, out: None = None, keepdims: bool = False) -> Any:
    """The greatest element less the least."""
    no_out("ptp", out)
    return subtract(_max(a, axis, keepdims=keepdims), _min(a, axis, keepdims=keepdims))


def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, keepdims: bool = False) -> Any:
    """The mean, weighted; with ``returned`` also the sum of the weights."""
    operand = as_float(array("average", "a", a))
    if weights is None:
        found = mean(operand, axis, keepdims=keepdims)
        count = operand.size / max(found.size, 1)
        return (found, broadcast_to(asarray(count, found.dtype), found.shape)) if flag("average", "returned", returned) else found
    weight = array("average", "weights", weights)
    if weight.shape != operand.shape and is_one(axis) and axis is not None:
        weight = reshape(weight, tuple(-1 if d == axis_of("average", operand, axis) else 1 for d in range(len(operand.shape))))
    total = _sum(broadcast_to(weight, operand.shape), axis, keepdims=keepdims)
    found = divide(_sum(multiply(operand, weight), axis, keepdims=keepdims), total)
    return (found, cast(total, found.dtype)) if flag("average", "returned", returned) else found


def cov(m: Any, y: Any = None, rowvar: bool = True, bias: bool = False, ddof: int | None = None, fweights: Any = None,
        aweights: Any = None, dtype: Any = None) -> Any:
    """The covariances of the rows of m (and y), each a variable, its columns samples, in ``dtype``, a float.

    ``fweights``: how often each sample counts, an int; ``aweights``: how much it does.
    """
    flag("cov", "rowvar", rowvar)
    ddof = (0 if flag("cov", "bias", bias) else 1) if ddof is None else integer("cov", "ddof", ddof)
    rows = _variables("cov", m, rowvar)
    if y is not None:
        rows = concatenate([rows, _variables("cov", y, rowvar)], 0)
    rows = in_float_dtype("cov", rows, dtype)
    if fweights is None and aweights is None:
        off = subtract(rows, mean(rows, 1, keepdims=True))
        count: Any = float(max(rows.shape[1] - ddof, 0))  # too few samples: 0 / 0
        found = divide(dot(off, conj(off.T)), count)
    else:
        found = _weighted_cov(rows, _weights(rows, fweights, aweights), aweights, ddof)
    return found[0, 0] if found.shape == (1, 1) else found


def _weights(rows: Any, fweights: Any, aweights: Any) -> Any:
    """The weight of each sample."""
    weights: Any = None
    for what, kinds, given in (("fweights", "biu", fweights), ("aweights", "biuf", aweights)):
        if given is None:
            continue
        found = vector("cov", what, given)
        if found.shape[0] != rows.shape[1] or kind_of(found.dtype) not in kinds:
            raise op_error("cov", f"{what} must have one {'int' if what == 'fweights' else 'number'} for each of {rows.shape[1]} "
                           "samples", {"m": rows, what: found})
        weights = found if weights is None else multiply(weights, found)
    return weights


def _weighted_cov(rows: Any, weights: Any, aweights: Any, ddof: int) -> Any:
    total = _sum(weights)
    off = subtract(rows, divide(_sum(multiply(rows, weights), 1, keepdims=True), total))
    lost = ddof if aweights is None else multiply(ddof, divide(_sum(multiply(weights, asarray(aweights))), total))
    return divide(dot(multiply(off, weights), conj(off.T)), maximum(subtract(total, lost), 0))


def _variables(name: str, m: Any, rowvar: bool) -> Any:
    found = array(name, "m", m)
    if len(found.shape) > 2:
        raise op_error(name, "takes vectors and matrices", {"m": found})
    if len(found.shape) < 2:
        return reshape(found, (1, -1))
    return found if rowvar else found.T


def corrcoef(x: Any, y: Any = None, rowvar: bool = True, dtype: Any = None) -> Any:
    """The correlation coefficients of the rows of x (and y), within [-1, 1], in ``dtype``, a float."""
    found = cov(x, y, rowvar, dtype=dtype)
    if not found.shape:
        return divide(found, found)
    count = found.shape[0]
    spread = real(found).reshape((-1,))[:: count + 1] ** 0.5
    quotients = divide(divide(found, reshape(spread, (-1, 1))), spread)
    if quotients.dtype.kind == "c":
        return complex_(clip(real(quotients), -1.0, 1.0), clip(imag(quotients), -1.0, 1.0))
    return clip(quotients, -1.0, 1.0)


def polyval(p: Any, x: Any, *, unroll: int = 16) -> Any:
    """The polynomial with coefficients ``p``, the highest first, by Horner's rule."""
    terms, operand = vector("polyval", "p", p), array("polyval", "x", x)
    total = multiply(operand, 0)
    for n in range(terms.shape[0]):
        total = add(multiply(total, operand), terms[n])
    return total


def polyadd(a1: Any, a2: Any) -> Any:
    """The sum of two polynomials, coefficients highest first."""
    x, y = promote(vector("polyadd", "a1", a1), vector("polyadd", "a2", a2))
    count = max(x.shape[0], y.shape[0])
    x, y = (_pad(v, ((count - v.shape[0], 0),)) for v in (x, y))
    return add(x, y)


def polysub(a1: Any, a2: Any) -> Any:
    """The difference of two polynomials, coefficients highest first."""
    return polyadd(a1, multiply(vector("polysub", "a2", a2), -1))


def polymul(a1: Any, a2: Any, *, trim_leading_zeros: bool = False) -> Any:
    """The product of two polynomials, coefficients highest first; zeros in front of known ones may be trimmed."""
    if flag("polymul", "trim_leading_zeros", trim_leading_zeros):
        a1, a2 = (_without_zeros(vector("polymul", what, v)) for what, v in (("a1", a1), ("a2", a2)))
    return convolve(a1, a2)


def _without_zeros(p: Any) -> Any:
    """Without zeros in front, but for one coefficient."""
    found = trim_zeros(p, "f")
    return found if found.shape[0] else p[-1:]


def polyder(p: Any, m: int = 1) -> Any:
    """The ``m``-th derivative of a polynomial, coefficients highest first; in its dtype, if that is a float's."""
    found = vector("polyder", "p", p)
    for _ in range(integer("polyder", "m", m, least=0)):
        degree = max(found.shape[0] - 1, 0)
        powers = np.arange(degree, 0, -1)
        found = multiply(found[:degree], powers if kind_of(found.dtype) in "biu" else cast(powers, found.dtype))
    return found


def polyint(p: Any, m: int = 1, k: Any = None) -> Any:
    """The ``m``-th integral of a polynomial with constants ``k`` (0), coefficients highest first."""
    found = as_float(vector("polyint", "p", p))
    times = integer("polyint", "m", m, least=0)
    constants = items(0 if k is None else k)
    for n in range(times):
        count = found.shape[0]
        constant = reshape(cast(asarray(constants[n % len(constants)]), found.dtype), (1,))
        found = concatenate([divide(found, np.arange(count, 0, -1).astype(found.dtype)), constant])
    return found
