"""Arrays as functions see them where nothing is traced, or where a value is known while tracing.

Under ``disable_jit``, and for known values inside a trace, leptonc's functions return EagerArrays: NumPy arrays whose operators and
methods mean what they mean on traced values (``.at``, no assignment, saturating casts, traced positions). Everywhere else
users get plain NumPy arrays.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from leptonc.errors import ArgumentError, LeptonError, describe, op_error
from leptonc.operators import OPERATOR_UFUNCS, ArrayMethods, installed, missing_method
from leptonc.public import public_methods

_local = threading.local()


def jit_disabled() -> bool:
    """Whether this thread is inside ``disable_jit``."""
    return getattr(_local, "disabled", False)


def set_jit_disabled(disabled: bool) -> None:
    """For this thread."""
    _local.disabled = disabled


@contextmanager
def eager_call() -> Iterator[bool]:
    """A jitted function that runs op by op; gives whether it is the outermost of them."""
    depth = getattr(_local, "depth", 0)
    _local.depth = depth + 1
    try:
        yield depth == 0
    finally:
        _local.depth = depth


@public_methods
class EagerArray(ArrayMethods, np.ndarray):  # type: ignore[misc, override]  # its methods take what traced values' take
    """A NumPy array that does what a traced value does, and has its elements. Made by leptonc only.

    ``weak`` says that it stands for a Python scalar, as on a traced value; ``given`` that it depends on arguments of the function
    that runs op by op, and so would be traced: as an index it is not checked, but means what it means there. ``unchosen`` says how
    its dtype came to be if nobody named it: "created" by leptonc, or "constant", which was NumPy's.
    """

    __slots__ = ("given", "unchosen", "weak")

    def __array_finalize__(self, obj: Any) -> None:
        self.weak = False
        self.unchosen = getattr(obj, "unchosen", "")
        self.given = getattr(obj, "given", False)

    def _error(self, what: str, why: str, fix: str | None) -> LeptonError:
        return op_error(what, why, {"x": self}, fix, ArgumentError)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # protocols that Python and NumPy look for
            raise AttributeError(name)
        raise missing_method(self, describe(self), name)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise self._error("x[i] = v", "values of a jitted function do not change, compiled or not", "x = x.at[i].set(v)")

    def __bool__(self) -> bool:
        if self.size != 1:
            raise self._error("bool()", f"of {self.size} elements is ambiguous", "use .any() or .all()")
        return bool(plain(self))

    def __float__(self) -> float:
        return float(self._element("float()"))

    def __complex__(self) -> complex:
        return complex(self._element("complex()"))

    def __int__(self) -> int:
        return int(self._element("int()"))

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.shape:
            raise self._error("an index or size", "must be one int", None)
        return int(plain(self))

    def _element(self, what: str) -> Any:
        if self.shape:
            raise self._error(what, "wants one element", "index it first")
        return plain(self)[()]

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Operators with an array on the left are leptonc's; NumPy's functions are NumPy's."""
        if method == "__call__" and not kwargs and ufunc.__name__ in OPERATOR_UFUNCS:
            return installed(ufunc.__name__)(*inputs)
        if any(isinstance(x, ArrayMethods) and not isinstance(x, EagerArray) for x in inputs):
            return NotImplemented  # a traced value beside it says what is wrong
        return as_eager(getattr(ufunc, method)(*plain(inputs), **plain(kwargs)))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(t, ArrayMethods) and not issubclass(t, EagerArray) for t in types):
            return NotImplemented
        return as_eager(func(*plain(args), **plain(kwargs)))

    def __repr__(self) -> str:
        return repr(plain(self))


for _name in "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split():
    # NumPy's would change the argument of the caller; Python takes x + y where there is no +=.
    setattr(EagerArray, f"__i{_name}__", getattr(EagerArray, f"__{_name}__"))


def plain(x: Any) -> Any:
    """EagerArrays in ``x``, a tuple, list or dict of them, as the NumPy arrays they are."""
    if isinstance(x, EagerArray):
        return x.view(np.ndarray)
    if type(x) in (tuple, list):
        return type(x)(plain(item) for item in x)
    return {key: plain(item) for key, item in x.items()} if type(x) is dict else x


def as_eager(x: Any) -> Any:
    """Arrays in ``x``, one or a tuple or list of them, as EagerArrays of supported dtypes."""
    if isinstance(x, np.ndarray):
        return x.view(EagerArray)
    return type(x)(as_eager(item) for item in x) if type(x) in (tuple, list) else x


def argument(x: np.ndarray, weak: bool = False) -> EagerArray:
    """The caller's array, or that of a Python scalar, as a function sees it that must not write to it."""
    view = x.view(EagerArray)
    view.flags.writeable = False
    view.weak, view.given = weak, True
    return view


def is_given(x: Any) -> bool:
    """Whether x depends on arguments of a function that runs op by op."""
    return isinstance(x, EagerArray) and x.given
