"""The abstract value a traced function computes with: shape and dtype are known, elements are not.

The class only dispatches. What its operators and methods do is installed by the modules above: ``arithmetic``
(operators), ``indexing`` (``x[i]``, ``x.at[i]``) and ``leptonc.numpy`` (the rest).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from leptonc.errors import TracerError, describe
from leptonc.ir.graph import Loc
from leptonc.ir.types import TensorType

if TYPE_CHECKING:
    from leptonc.ir.value import Value
    from leptonc.trace import Trace

PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
PROGRAMS = PACKAGE + "bench" + os.sep  # uses the package as users do

_functions: dict[str, Callable[..., Any]] = {}

_SCALARS = (bool, int, float, complex, np.generic, np.ndarray)

WHERE_FIX = "use leptonc.numpy.where or leptonc.lax.cond, or make the argument static (static_argnums)"
STATIC_FIX = "make the argument static (static_argnums), or take it from .shape, which is known"


def locate() -> Loc | None:
    """The line of the innermost frame outside of this package, which is the user's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith((PACKAGE, "<frozen")) or file.startswith(PROGRAMS):
            return Loc(file, frame.f_lineno)
        frame = frame.f_back
    return None


def _function(name: str) -> Callable[..., Any]:
    found = _functions.get(name)
    if found is None:
        raise TracerError(f"no module has installed {name!r} for traced values; fix: import leptonc.numpy")
    return found


def _unary(name: str) -> Any:
    def method(self: Tracer) -> Any:
        return _function(name)(self)

    return method


def _binary(name: str) -> Any:
    def method(self: Tracer, other: Any) -> Any:
        return _function(name)(self, other) if isinstance(other, (Tracer, *_SCALARS)) else NotImplemented

    return method


def _reflected(name: str) -> Any:
    def method(self: Tracer, other: Any) -> Any:
        return _function(name)(other, self) if isinstance(other, _SCALARS) else NotImplemented

    return method


def _method(name: str) -> Any:
    def method(self: Tracer, *args: Any, **kwargs: Any) -> Any:
        return _function(name)(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"As leptonc.numpy.{name}."
    return method


class Tracer:
    """A value of the graph that ``trace`` is building. Made by leptonc only.

    ``loc`` is the line where it was made; ``label`` names it if it is an input; ``weak`` says that it stands for a
    Python scalar and so does not widen what it is combined with.
    """

    __slots__ = ("__weakref__", "label", "loc", "trace", "value", "weak")

    def __init__(self, trace: Trace, value: Value, loc: Loc | None, weak: bool = False, label: str = ""):
        self.trace = trace
        self.value = value
        self.loc = loc
        self.weak = weak
        self.label = label

    @staticmethod
    def install(namespace: Mapping[str, Callable[..., Any]]) -> None:
        """Let operators and methods call these functions, by NumPy's names; other names are never asked for.

        The first to install a name keeps it: a whole namespace may be given, its ``add`` does not replace the operator.
        """
        for name, function in namespace.items():
            _functions.setdefault(name, function)

    @property
    def type(self) -> TensorType:
        return self.value.type

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.type.shape

    @property
    def dtype(self) -> np.dtype:
        """The NumPy dtype."""
        return self.value.type.dtype.numpy

    @property
    def ndim(self) -> int:
        return self.value.type.rank

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.value.type.size

    @property
    def nbytes(self) -> int:
        return self.value.type.nbytes

    @property
    def itemsize(self) -> int:
        return self.value.type.dtype.itemsize

    @property
    def origin(self) -> str:
        """``f32[4] made at model.py:12``, or ``f32[4] (x of step, model.py:10)`` for an input."""
        if self.label:
            return f"{describe(self)} ({self.label} of {self.trace.name}{f', {self.loc}' if self.loc else ''})"
        return describe(self) + (f" made at {self.loc}" if self.loc else "")

    @property
    def T(self) -> Any:
        """The axes reversed."""
        return _function("transpose")(self)

    @property
    def mT(self) -> Any:
        """The last two axes swapped."""
        return _function("matrix_transpose")(self)

    @property
    def at(self) -> Any:
        """``x.at[index].set(values)`` and ``.add(values)``: a new array with the indexed part changed."""
        return _function("at")(self)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """The elements in another dtype; ``copy`` is there for NumPy's sake."""
        return _function("cast")(self, dtype)

    def reshape(self, *shape: Any) -> Any:
        """``x.reshape(2, -1)`` or ``x.reshape((2, -1))``."""
        return _function("reshape")(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        """``x.transpose(1, 0)``, ``x.transpose((1, 0))`` or, all axes reversed, ``x.transpose()``."""
        return _function("transpose")(self, *((axes,) if len(axes) > 1 else axes))

    def flatten(self) -> Any:
        """All elements in one axis."""
        return _function("reshape")(self, (-1,))

    ravel = flatten

    def copy(self) -> Tracer:
        """Itself: traced values do not change."""
        return self

    def __copy__(self) -> Tracer:
        return self

    def __deepcopy__(self, memo: object) -> Tracer:
        return self

    sum = _method("sum")
    prod = _method("prod")
    mean = _method("mean")
    var = _method("var")
    std = _method("std")
    max = _method("max")
    min = _method("min")
    argmax = _method("argmax")
    argmin = _method("argmin")
    all = _method("all")
    any = _method("any")
    cumsum = _method("cumsum")
    squeeze = _method("squeeze")
    swapaxes = _method("swapaxes")
    repeat = _method("repeat")
    take = _method("take")
    clip = _method("clip")
    round = _method("round")
    dot = _method("dot")

    __add__, __radd__ = _binary("add"), _reflected("add")
    __sub__, __rsub__ = _binary("subtract"), _reflected("subtract")
    __mul__, __rmul__ = _binary("multiply"), _reflected("multiply")
    __truediv__, __rtruediv__ = _binary("divide"), _reflected("divide")
    __floordiv__, __rfloordiv__ = _binary("floor_divide"), _reflected("floor_divide")
    __mod__, __rmod__ = _binary("remainder"), _reflected("remainder")
    __divmod__, __rdivmod__ = _binary("divmod"), _reflected("divmod")
    __pow__, __rpow__ = _binary("power"), _reflected("power")
    __matmul__, __rmatmul__ = _binary("matmul"), _reflected("matmul")
    __and__, __rand__ = _binary("bitwise_and"), _reflected("bitwise_and")
    __or__, __ror__ = _binary("bitwise_or"), _reflected("bitwise_or")
    __xor__, __rxor__ = _binary("bitwise_xor"), _reflected("bitwise_xor")
    __lshift__, __rlshift__ = _binary("left_shift"), _reflected("left_shift")
    __rshift__, __rrshift__ = _binary("right_shift"), _reflected("right_shift")
    __eq__, __ne__ = _binary("equal"), _binary("not_equal")
    __lt__, __le__ = _binary("less"), _binary("less_equal")
    __gt__, __ge__ = _binary("greater"), _binary("greater_equal")
    __neg__, __pos__ = _unary("negative"), _unary("positive")
    __abs__, __invert__ = _unary("absolute"), _unary("invert")

    def __getitem__(self, index: Any) -> Any:
        return _function("getitem")(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise self._error("x[i] = v", "traced values do not change", "x = x.at[i].set(v)")

    def __len__(self) -> int:
        if not self.shape:
            raise self._error("len()", "it has no axis", None)
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        """The rows along the first axis."""
        if not self.shape:
            raise self._error("iteration", "it has no axis", None)
        return (self[i] for i in range(self.shape[0]))

    def _error(self, what: str, why: str, fix: str | None) -> TracerError:
        line = locate()
        return TracerError(f"{what} of {self.origin} while tracing {self.trace.name}: {why}"
                           + (f"; fix: {fix}" if fix else "") + (f" ({line})" if line else ""))

    def _unknown(self, what: str, fix: str) -> TracerError:
        return self._error(what, "its elements are not known before the compiled function runs", fix)

    def __bool__(self) -> bool:
        raise self._unknown("bool()", WHERE_FIX)

    def __int__(self) -> int:
        raise self._unknown("int()", STATIC_FIX + "; x.astype(int) converts inside the function")

    def __float__(self) -> float:
        raise self._unknown("float()", "x.astype(float) converts inside the function; return it to read it")

    def __complex__(self) -> complex:
        raise self._unknown("complex()", "return it to read it")

    def __index__(self) -> int:
        raise self._unknown("an index or size", STATIC_FIX + "; leptonc.lax.dynamic_slice takes traced starts")

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise self._unknown("conversion to a NumPy array", "use leptonc.numpy in place of numpy, or return the value")

    def item(self, *args: Any) -> Any:
        """Raises TracerError: a traced value has no element to give."""
        raise self._unknown(".item()", "return it to read it")

    def tolist(self) -> Any:
        """Raises TracerError: a traced value has no elements to give."""
        raise self._unknown(".tolist()", "return it to read it")

    def __format__(self, spec: str) -> str:
        if spec:
            raise self._unknown(f"format {spec!r}", "return it to print it")
        return repr(self)

    def __hash__(self) -> int:
        raise self._unknown("hash()", "traced values cannot be keys or cached on")

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy calls this for ``ndarray + tracer``, and for ``np.exp(tracer)``, which is an error."""
        plain = method == "__call__" and not kwargs
        if plain and ufunc.__name__ in _OPERATOR_UFUNCS:
            return _function(ufunc.__name__)(*inputs)
        raise self._unknown(f"numpy.{ufunc.__name__}", f"use leptonc.numpy.{ufunc.__name__}")

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise self._unknown(f"numpy.{func.__name__}", f"use leptonc.numpy.{func.__name__}")

    def __repr__(self) -> str:
        return f"Tracer<{self.origin}>"


_OPERATOR_UFUNCS = frozenset(
    "add subtract multiply divide floor_divide remainder divmod power matmul bitwise_and bitwise_or bitwise_xor invert "
    "left_shift right_shift equal not_equal less less_equal greater greater_equal negative positive absolute".split()
)
