"""Variables: values that layers own, in memory of their own that a compiled step writes in place."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from keras.src.backend.common import KerasVariable
from keras.src.backend.common.stateless_scope import in_stateless_scope

from leptonc.eager import plain
from leptonc.keras.src.ops.tensors import convert_to_tensor
from leptonc.memory import ALIGN, copied

ONE = 2  # references to an array that only one name and the call that counts them know


def _is_nobody_elses(value: Any, references: int) -> bool:
    """Whether an array was made just now and lies well, so that it need not be copied."""
    base = getattr(value, "base", None)
    return (type(value) is np.ndarray and references == ONE and value.flags.c_contiguous and value.flags.writeable
            and value.__array_interface__["data"][0] % ALIGN == 0
            and (base is None or (type(base) is np.ndarray and base.base is None and sys.getrefcount(base) <= ONE + 1)))


class Variable(KerasVariable):
    """A variable of Keras whose array is its own: nobody else's becomes it, and it is nobody else's while a step may write it.

    Reading ``value`` lends the array, read-only, to whoever asks; ``taken`` gives it to a step, and puts a copy in its place first
    if it is lent. So what a user holds stays what it was, and nothing is copied where nobody looks.
    """

    _value: Any
    _lent = False

    def _initialize(self, value: Any) -> None:
        self._direct_assign(value)

    def _initialize_with_initializer(self, initializer: Any) -> None:
        value = self._convert_to_tensor(initializer(self._shape, dtype=self._dtype))
        if _is_nobody_elses(value, sys.getrefcount(value)):
            self.put(value)
        else:
            self._initialize(value)

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
            return self._readable(super().value)
        return self._maybe_autocast(self._readable(self._value))

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
