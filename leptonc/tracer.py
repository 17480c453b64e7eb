"""The abstract value a traced function computes with: shape and dtype are known, elements are not.

Its operators and methods are those of ``ArrayMethods``; what needs elements is an error here, which says what to do instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from leptonc.errors import TracerError, describe
from leptonc.frames import Loc
from leptonc.ir.types import TensorType
from leptonc.operators import OPERATOR_UFUNCS, ArrayMethods, installed, missing_method
from leptonc.public import advice, public_methods

if TYPE_CHECKING:
    from leptonc.ir.value import Value


class Tracing(Protocol):
    """The trace that a value belongs to, as far as the value needs to know it."""

    @property
    def name(self) -> str: ...


WHERE_FIX = "use leptonc.lax.cond, while_loop or leptonc.numpy.where, or make the argument static (static_argnums)"
STATIC_FIX = "make the argument static (static_argnums), or take it from .shape, which is known"


@public_methods
class Tracer(ArrayMethods):
    """A value of the graph that ``trace`` is building. Made by leptonc only.

    ``loc`` is the line where it was made; ``label`` names it if it is an input; ``weak`` says that it stands for a
    Python scalar and so does not widen what it is combined with.
    """

    __slots__ = ("__weakref__", "label", "loc", "trace", "value", "weak")

    def __init__(self, trace: Tracing, value: Value, loc: Loc | None, weak: bool = False, label: str = ""):
        self.trace = trace
        self.value = value
        self.loc = loc
        self.weak = weak
        self.label = label

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

    def copy(self) -> Tracer:
        """Itself: traced values do not change."""
        return self

    def __copy__(self) -> Tracer:
        return self

    def __deepcopy__(self, memo: object) -> Tracer:
        return self

    def __setitem__(self, index: Any, value: Any) -> None:
        raise self._error("x[i] = v", "traced values do not change", "x = x.at[i].set(v)")

    def __len__(self) -> int:
        if not self.shape:
            raise self._error("len()", "it has no axis", None)
        return self.shape[0]

    def _error(self, what: str, why: str, fix: str | None) -> TracerError:
        return TracerError(f"{what} of {self.origin} while tracing {self.trace.name}: {why}" + (f"; fix: {fix}" if fix else ""))

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
        raise self._unknown("an index or size", STATIC_FIX + "; leptonc.numpy.asarray(table)[i] and "
                            "leptonc.lax.dynamic_slice take traced positions")

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise self._unknown("conversion to a NumPy array", "use leptonc.numpy in place of numpy, leptonc.numpy.asarray(table)[i] "
                            "in place of table[i], or return the value")

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
        if plain and ufunc.__name__ in OPERATOR_UFUNCS:
            return installed(ufunc.__name__)(*inputs)
        raise self._unknown(f"numpy.{ufunc.__name__}", _numpy_fix(ufunc.__name__))

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise self._unknown(f"numpy.{func.__name__}", _numpy_fix(func.__name__))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # protocols that Python and NumPy look for
            raise AttributeError(name)
        raise missing_method(self, self.origin, name)

    def __repr__(self) -> str:
        return f"Tracer<{self.origin}>"


def _numpy_fix(name: str) -> str:
    """What to use for a function of NumPy's."""
    found = advice("leptonc.numpy", name)
    return found if found.startswith("use ") else f"leptonc.numpy has no {name}; compute it outside, or from what there is"

