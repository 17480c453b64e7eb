"""Variables: values that layers own, in memory of their own that a compiled step writes in place."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from keras.src.backend.common import KerasVariable
from keras.src.backend.common.stateless_scope import get_stateless_scope, in_stateless_scope

from leptonc.eager import plain
from leptonc.keras.src.ops.tensors import convert_to_tensor
from leptonc.keras.src.standin import standin
from leptonc.memory import ALIGN, copied, empty


class _Holder:
    def __init__(self, value: np.ndarray):
        self._value = value


def _references(holder: Any) -> tuple[int, int]:
    """How many there are to its array, and to the memory of it, to which views of views refer; -1 if that is not NumPy's own."""
    array = holder._value
    base = array.base
    if base is None:
        return sys.getrefcount(array), 0
    return sys.getrefcount(array), sys.getrefcount(base) if type(base) is np.ndarray and base.base is None else -1


# Counted by the very code that counts later, for interpreters count differently.
ALONE = _references(_Holder(np.zeros(1))), _references(_Holder(empty((1,), np.dtype(np.float32))))


def _is_nobody_elses(holder: Any) -> bool:
    """Whether nobody but the holder knows its array, or a view of it."""
    return _references(holder) in ALONE


def _lies_well(array: Any) -> bool:
    """Whether a step can write it as it is."""
    return (type(array) is np.ndarray and array.flags.c_contiguous and array.flags.writeable
            and array.__array_interface__["data"][0] % ALIGN == 0)


class Variable(KerasVariable):
    """A variable of Keras whose array is its own: nobody else's becomes it, and it is nobody else's while a step may write it.

    Reading ``value`` lends the array, read-only, to whoever asks; ``taken`` gives it to a step, and puts a copy in its place first
    if the view, or one of it, is still there. So what a user holds stays what it was, and nothing is copied where nobody looks.
    """

    _value: Any
    _lent = False

    def _initialize(self, value: Any) -> None:
        self._direct_assign(value)

    def _initialize_with_initializer(self, initializer: Any) -> None:
        self.put(self._convert_to_tensor(initializer(self._shape, dtype=self._dtype), self._dtype))
        if not (_lies_well(self._value) and _is_nobody_elses(self)):
            self._initialize(self._value)

    def _direct_assign(self, value: Any) -> None:
        if not isinstance(value, np.ndarray):
            raise ValueError(f"{self.path}: a traced value can't be kept; fix: return it from the function that is compiled")
        self._value = copied(np.asarray(plain(value)))
        self._lent = False

    def _convert_to_tensor(self, value: Any, dtype: Any = None) -> Any:
        return convert_to_tensor(value, dtype=dtype)

    @property
    def value(self) -> Any:
        """The value: traced inside a stateless scope that has one, else a read-only view of the array."""
        if in_stateless_scope() or self._value is None:
            other = standin(self._value) if self._is_unmapped() else None
            return self._readable(super().value) if other is None else self._maybe_autocast(other)
        return self._maybe_autocast(self._readable(self._value))

    def _is_unmapped(self) -> bool:
        scope = get_stateless_scope()
        return scope is not None and scope.get_current_value(self) is None

    def _readable(self, value: Any) -> Any:
        if value is not self._value or value is None:
            return value
        self._lent = True
        view = self._value.view()
        view.flags.writeable = False
        return view

    def taken(self) -> np.ndarray:
        """The array itself, for a step to write into; whoever was lent it keeps what it was."""
        if self._lent:
            if not _is_nobody_elses(self):
                self._value = copied(self._value)
            self._lent = False
        return self._value

    def read(self) -> np.ndarray:
        """The array itself, for a step that only reads it."""
        return self._value

    def put(self, array: np.ndarray) -> None:
        """``array``, which is nobody else's, becomes the variable's."""
        self._value = array
        self._lent = False

    def numpy(self) -> np.ndarray:
        return np.array(self.value)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.value, dtype)
