"""``map`` and ``associative_scan``: a function of each slice, and of pairs of neighbours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leptonc import numpy as lnp
from leptonc import tree
from leptonc.arguments import array, flag, function, integer
from leptonc.arguments import axis as axis_of
from leptonc.errors import LeptonError, ShapeError, TreeError, op_error
from leptonc.ir.types import TensorType, dtype_of
from leptonc.public import public
from leptonc.scan import scan
from leptonc.signature import as_leaf
from leptonc.trace import Tracer, bind, function_name, known, trace_to_graph
from leptonc.vmap import vmap

CUMULATIVE = {"add": "cumsum", "mul": "cumprod", "max": "cummax", "min": "cummin", "logaddexp": "cumlogsumexp"}


@public
def map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    """``f`` of each slice of ``xs`` along the first axis, one after the other; results stacked. ``batch_size``: so many slices at
    once, by ``vmap``. Raises ShapeError or TreeError as ``scan`` does."""
    function("map", "f", f, 1)
    if batch_size is None:
        return scan(_Each(f), (), xs)[1]
    size = integer("map", "batch_size", batch_size, least=1)
    leaves = tree.leaves(xs)
    count = _length("map", leaves, 0)
    whole = count - count % size
    parts = []
    if whole:
        blocks = tree.map(lambda x: lnp.reshape(x[:whole], (whole // size, size, *x.shape[1:])), xs)
        out = scan(_Each(vmap(f)), (), blocks)[1]
        parts.append(tree.map(lambda y: lnp.reshape(y, (whole, *y.shape[2:])), out))
    if whole < count:
        parts.append(vmap(f)(tree.map(lambda x: x[whole:], xs)))
    return parts[0] if len(parts) == 1 else tree.map(lambda *ys: lnp.concatenate(ys, 0), *parts)


class _Each:
    """f as ``scan`` takes it."""

    def __init__(self, f: Callable[[Any], Any]):
        self.f = f
        self.__name__ = function_name(f)

    def __call__(self, carry: Any, x: Any) -> tuple[Any, Any]:
        return (), self.f(x)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Each) and self.f == other.f

    def __hash__(self) -> int:
        return hash(self.f)


def _length(name: str, leaves: list[Any], axis: int) -> int:
    extents = {x.shape[axis] for x in leaves}
    if len(extents) != 1:
        raise ShapeError(f"{name}: leaves of one extent along axis {axis} are wanted, got {sorted(extents) or 'none'}")
    return int(extents.pop())


@public
def associative_scan(fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All prefixes of ``elems`` along an axis, joined by ``fn(a, b)``, which must be associative and takes many pairs at once.

    ``elems`` is a tree whose leaves have equal extents along ``axis``. ``fn`` is called a logarithmic number of times (Ladner and
    Fischer 1980), unless its trace is one sum, product, extreme or logaddexp of two arrays: that is ``lax.cumsum`` and its like.
    Raises TreeError or ShapeError for what does not fit.
    """
    name = f"associative_scan of {function_name(function('associative_scan', 'fn', fn, 2))}"
    flag("associative_scan", "reverse", reverse)
    leaves, structure = tree.flatten(elems)
    paths = structure.paths("elems")
    values = [x if isinstance(x, Tracer) else known(as_leaf(x, path, name), (x,)) for x, path in zip(leaves, paths)]
    if not values:
        raise LeptonError(f"{name}: elems has no arrays")
    place = axis_of("associative_scan", values[0], axis)
    _length(name, values, place)
    op = _cumulative(lambda a, b: _joined(fn, structure, [a], [b], name), values[0]) if len(values) == 1 else None
    if op is not None:
        return tree.unflatten(structure, [bind(op, values[0], axis=place, reverse=reverse)])
    front = [_turned(lnp.moveaxis(x, place, 0), reverse) for x in values]
    out = _prefixes(lambda a, b: _joined(fn, structure, a, b, name), front)
    return tree.unflatten(structure, [lnp.moveaxis(_turned(x, reverse), 0, place) for x in out])


def _cumulative(join: Callable[[Any, Any], Any], x: Any) -> str | None:
    """The op of all prefixes by a function that is one op of its two operands, or none."""
    if x.dtype.kind not in "iuf":
        return None
    try:
        graph = trace_to_graph(lambda a, b: join(a, b)[0], [TensorType(x.shape, dtype_of(x.dtype))] * 2).graph
    except (LeptonError, TypeError, ValueError, AttributeError, IndexError):
        return None  # it is called again, and raises it then
    if len(graph.nodes) != 1 or graph.outputs != graph.nodes[0].results:
        return None
    return CUMULATIVE.get(graph.nodes[0].op) if sorted(graph.nodes[0].operands) == sorted(graph.inputs) else None


def _turned(x: Any, reverse: bool) -> Any:
    return lnp.flip(x, 0) if reverse else x


def _joined(fn: Callable[[Any, Any], Any], structure: tree.TreeDef, a: list[Any], b: list[Any], name: str) -> list[Any]:
    out, found = tree.flatten(fn(tree.unflatten(structure, a), tree.unflatten(structure, b)))
    if found != structure:
        raise TreeError(f"{name}: it gives {found} of {structure}")
    return [_alike(array(name, "a result", y), x, name) for y, x in zip(out, a)]


def _alike(y: Any, x: Any, name: str) -> Any:
    if (y.shape, y.dtype) != (x.shape, x.dtype):
        raise op_error(name, "it must give what it takes", {"takes": x, "gives": y})
    return y


def _prefixes(join: Callable[[list[Any], list[Any]], list[Any]], xs: list[Any]) -> list[Any]:
    """Of pairs of neighbours the prefixes; those in between with one join more."""
    count = xs[0].shape[0]
    if count < 2:
        return xs
    odd = _prefixes(join, join([x[0:count - 1:2] for x in xs], [x[1::2] for x in xs]))
    rest = [x[2::2] for x in xs]
    even = join([x[:rest[0].shape[0]] for x in odd], rest) if rest[0].shape[0] else rest
    first = [lnp.concatenate([x[:1], e], 0) for x, e in zip(xs, even)]
    return [_interleaved(a, b) for a, b in zip(first, odd)]


def _interleaved(even: Any, odd: Any) -> Any:
    """even[0], odd[0], even[1] ..."""
    pairs = odd.shape[0]
    both = lnp.reshape(lnp.stack([even[:pairs], odd], 1), (2 * pairs, *odd.shape[1:]))
    return both if even.shape[0] == pairs else lnp.concatenate([both, even[pairs:]], 0)


__all__ = ["associative_scan", "map"]
