"""What arrays can do, traced or not: operators, indexing and methods by NumPy's names, which other modules install.

``Tracer`` and ``EagerArray`` share this class, so that a program means the same on both. The class only dispatches:
``arithmetic`` installs the operators, ``indexing`` ``x[i]`` and ``x.at[i]``, ``leptonc.numpy`` the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from leptonc.errors import DtypeError, MissingNameError, TracerError, near_names, op_error
from leptonc.public import advice, public_methods

_functions: dict[str, Callable[..., Any]] = {}

_SCALARS = (bool, int, float, complex, np.generic, np.ndarray)
_NO_OPERANDS = (str, bytes, list, tuple, dict, set, type(None))  # a class of the user's may know what to do; these do not


def install(namespace: Mapping[str, Callable[..., Any]]) -> None:
    """Let operators and methods call these functions, by NumPy's names; other names are never asked for.

    The first to install a name keeps it: a whole namespace may be given, its ``add`` does not replace the operator.
    """
    for name, function in namespace.items():
        _functions.setdefault(name, function)


def installed(name: str) -> Callable[..., Any]:
    """The function that ``name`` calls. Raises TracerError if no module has installed it."""
    found = _functions.get(name)
    if found is None:
        raise TracerError(f"no module has installed {name!r} for traced values; fix: import leptonc.numpy")
    return found


def missing_method(x: object, described: str, name: str) -> MissingNameError:
    """The error of an array that lacks ``name``: NumPy's and JAX's have more methods."""
    found = advice("leptonc.numpy", name) or near_names(name, [n for n in dir(type(x)) if not n.startswith("_")])
    return MissingNameError(f"{described} has no {name}" + f"; {found}".removesuffix("; "))


def _unary(name: str) -> Any:
    def method(self: Any) -> Any:
        return installed(name)(self)

    return method


def _is_operand(name: str, x: Any, other: Any) -> bool:
    """Whether ``other`` can stand beside x. Raises DtypeError for built-in values that cannot."""
    if isinstance(other, (ArrayMethods, *_SCALARS)):
        return True
    if isinstance(other, _NO_OPERANDS) and not (other is None and name in ("equal", "not_equal")):
        fix = f"leptonc.numpy.asarray makes an array of a {type(other).__name__}" if isinstance(other, list | tuple) else None
        raise op_error(name, f"takes arrays and numbers, got a {type(other).__name__}", {"x": x, "y": repr(other)[:40]}, fix,
                       DtypeError)
    return False


def _binary(name: str) -> Any:
    def method(self: Any, other: Any) -> Any:
        return installed(name)(self, other) if _is_operand(name, self, other) else NotImplemented

    return method


def _reflected(name: str) -> Any:
    def method(self: Any, other: Any) -> Any:
        return installed(name)(other, self) if _is_operand(name, self, other) else NotImplemented

    return method


def _method(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return installed(name)(self, *args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"As leptonc.numpy.{name}."
    return method


@public_methods
class ArrayMethods:
    """Operators and methods of arrays; the elements are never looked at."""

    __slots__ = ()

    @property
    def T(self) -> Any:
        """The axes reversed."""
        return installed("transpose")(self)

    @property
    def mT(self) -> Any:
        """The last two axes swapped."""
        return installed("matrix_transpose")(self)

    @property
    def real(self) -> Any:
        """The real parts; of reals itself."""
        return installed("real")(self)

    @property
    def imag(self) -> Any:
        """The imaginary parts; of reals zeros."""
        return installed("imag")(self)

    def conj(self) -> Any:
        """The conjugates; of reals itself."""
        return installed("conj")(self)

    conjugate = conj

    @property
    def device(self) -> str:
        """"cpu", the only one."""
        return "cpu"

    def to_device(self, device: str, /, *, stream: Any = None) -> Any:
        """Itself. Raises ArgumentError for a device other than "cpu"."""
        return installed("asarray")(self, device=device)

    def __array_namespace__(self, /, *, api_version: str | None = None) -> Any:
        """``leptonc.numpy``. Raises ArgumentError for a version of the array API that it does not know."""
        return installed("namespace")(api_version)

    @property
    def at(self) -> Any:
        """``x.at[index].set(values)`` and ``.add(values)``: a new array with the indexed part changed."""
        return installed("at")(self)

    def astype(self, dtype: Any, copy: bool = True) -> Any:
        """The elements in another dtype; ``copy`` is there for NumPy's sake."""
        return installed("cast")(self, dtype)

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        """``x.reshape(2, -1)`` or ``x.reshape((2, -1))``; for ``order`` "F" in column-major order."""
        return installed("reshape")(self, shape[0] if len(shape) == 1 else shape, order)

    def transpose(self, *axes: Any) -> Any:
        """``x.transpose(1, 0)``, ``x.transpose((1, 0))`` or, all axes reversed, ``x.transpose()``."""
        return installed("transpose")(self, *((axes,) if len(axes) > 1 else axes))

    def flatten(self, order: str = "C") -> Any:
        """All elements in one axis, for ``order`` "F" in column-major order."""
        return installed("reshape")(self, (-1,), order)

    ravel = flatten

    def __getitem__(self, index: Any) -> Any:
        return installed("getitem")(self, index)

    def __iter__(self: Any) -> Iterator[Any]:
        """The rows along the first axis."""
        if not self.shape:
            raise self._error("iteration", "it has no axis", None)
        return (self[i] for i in range(self.shape[0]))

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


OPERATOR_UFUNCS = frozenset(
    "add subtract multiply divide floor_divide remainder divmod power matmul bitwise_and bitwise_or bitwise_xor invert "
    "left_shift right_shift equal not_equal less less_equal greater greater_equal negative positive absolute".split()
)
