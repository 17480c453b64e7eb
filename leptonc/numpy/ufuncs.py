"""Universal functions of a user's function of numbers, and the order in which einsum would multiply."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.arguments import array, flag, function, integer
from leptonc.arguments import axis as axis_of
from leptonc.errors import ArgumentError, ShapeError, op_error
from leptonc.numpy.functions import vectorize
from leptonc.numpy.manipulation import concatenate, expand_dims, moveaxis, reshape
from leptonc.public import publish
from leptonc.scan import scan
from leptonc.trace import cast, promote
from leptonc.updates import IndexedUpdate


class ufunc:
    """A function of ``nin`` numbers, which gives ``nout``, as one of arrays that broadcast; one of two and one folds arrays too."""

    def __init__(self, func: Callable[..., Any], /, nin: int, nout: int, *, name: str | None = None, nargs: int | None = None,
                 identity: Any = None):
        self._call = vectorize(function("ufunc", "func", func))
        self.nin, self.nout = (integer("ufunc", what, n, least=1) for what, n in (("nin", nin), ("nout", nout)))
        self.nargs = self.nin + self.nout if nargs is None else nargs
        self.identity, self.name = identity, str(name or getattr(func, "__name__", "ufunc"))
        self.__name__ = self.name

    def __call__(self, *args: Any) -> Any:
        if len(args) != self.nin:
            raise op_error(self.name, f"takes {self.nin} arguments, got {len(args)}", {}, kind=ArgumentError)
        return self._call(*args)

    def _binary(self, method: str) -> None:
        if (self.nin, self.nout) != (2, 1):
            raise op_error(f"{self.name}.{method}", "is of functions of two numbers that give one", {}, kind=ArgumentError)

    def _front(self, method: str, a: Any, axis: Any) -> tuple[Any, int]:
        self._binary(method)
        x = array(f"{self.name}.{method}", "a", a)
        x, at = (reshape(x, (-1,)), 0) if axis is None else (x, axis_of(self.name, x, axis))
        return moveaxis(x, at, 0), at

    def reduce(self, a: Any, axis: int | None = 0, dtype: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
        """``a`` folded along an axis (None: all), in order, from ``initial`` or the identity on, if there is one."""
        rank = len(array(self.name, "a", a).shape)
        rows, at = self._front("reduce", a, axis)
        rows = rows if dtype is None else cast(rows, dtype)
        start = self.identity if initial is None else initial
        if start is None and not rows.shape[0]:
            raise op_error(f"{self.name}.reduce", "of nothing, without an identity", {"a": rows}, "pass initial", ShapeError)
        first, rest = (rows[0], rows[1:]) if start is None else (cast(start, rows.dtype) + rows[:0].sum(0), rows)
        found, _ = scan(lambda carry, x: (cast(self._call(carry, x), rows.dtype), None), first, rest)
        if not flag(f"{self.name}.reduce", "keepdims", keepdims):
            return found
        return expand_dims(found, at) if axis is not None else reshape(found, (1,) * rank)

    def accumulate(self, a: Any, axis: int = 0, dtype: Any = None) -> Any:
        """``a`` folded along an axis up to each place."""
        rows, at = self._front("accumulate", a, axis)
        rows = rows if dtype is None else cast(rows, dtype)
        if not rows.shape[0]:
            return moveaxis(rows, 0, at)

        def step(carry: Any, x: Any) -> tuple[Any, Any]:
            after = cast(self._call(carry, x), rows.dtype)
            return after, after

        _, found = scan(step, rows[0], rows[1:])
        return moveaxis(concatenate([rows[:1], found]), 0, at)

    def outer(self, a: Any, b: Any, /) -> Any:
        """The function of every element of a with every one of b: a's axes, then b's."""
        self._binary("outer")
        x, y = array(self.name, "a", a), array(self.name, "b", b)
        return self._call(reshape(x, (*x.shape, *(1,) * len(y.shape))), y)

    def at(self, a: Any, indices: Any, b: Any = None, /, *, inplace: bool = True) -> Any:
        """``a`` with the function of what stands at ``indices`` (and of b) in its place; none of them may be named twice.
        ``inplace`` must be False."""
        if flag(f"{self.name}.at", "inplace", inplace):
            raise op_error(f"{self.name}.at", "changes no array in place", {}, "pass inplace=False", ArgumentError)
        x = array(self.name, "a", a)
        old = x[indices]
        return IndexedUpdate(x)[indices].set(cast(self(old) if b is None else self(old, b), x.dtype))

    def reduceat(self, a: Any, indices: Any, axis: int = 0, dtype: Any = None) -> Any:
        """``a`` folded along an axis from each of known ``indices`` to the next, or that one alone if the next is not behind it."""
        rows, at = self._front("reduceat", a, axis)
        places = [integer(self.name, "indices", int(n), least=0, most=rows.shape[0] - 1) for n in np.asarray(indices).tolist()]
        ends = [*places[1:], rows.shape[0]]
        parts = [self.reduce(rows[i:max(j, i + 1)], 0, dtype) for i, j in zip(places, ends)]
        return moveaxis(concatenate([expand_dims(p, 0) for p in promote(*parts)]), 0, at)

    def __repr__(self) -> str:
        return f"<leptonc.numpy.ufunc {self.name}: {self.nin} -> {self.nout}>"


def frompyfunc(func: Callable[..., Any], /, nin: int, nout: int, *, identity: Any = None) -> ufunc:
    """A function of ``nin`` numbers as a ``ufunc``."""
    return ufunc(func, nin, nout, identity=identity)


def einsum_path(subscripts: Any, /, *operands: Any, optimize: Any = "auto") -> tuple[list[Any], Any]:
    """(pairs, text): in which order ``einsum`` of these operands would be cheap, as NumPy finds it."""
    given = [x if isinstance(x, list | tuple) and not hasattr(x, "shape") and all(isinstance(n, int) for n in x)
             else np.broadcast_to(0.0, array("einsum_path", "operand", x).shape) for x in operands]
    first = subscripts if isinstance(subscripts, str) else np.broadcast_to(0.0, array("einsum_path", "operand", subscripts).shape)
    if not isinstance(optimize, str | bool | list | tuple):
        raise op_error("einsum_path", f"optimize={optimize!r:.60} must be True, False, a word or a path", {}, kind=ArgumentError)
    how = "greedy" if optimize == "auto" else optimize
    try:
        found, text = np.einsum_path(first, *given, optimize=how)
    except (TypeError, ValueError, LookupError) as error:
        raise op_error("einsum_path", str(error), {}, kind=ArgumentError) from None
    return list(found[1:]), text


__all__ = ["einsum_path", "frompyfunc", "ufunc"]

publish(globals(), __all__)
