"""Arrays from and to files, buffers and texts: NumPy's functions, of values that are known."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc.arguments import known_array
from leptonc.errors import ArgumentError, LeptonError, op_error
from leptonc.promotion import asarray, numpy_dtype
from leptonc.public import publish
from leptonc.trace import Tracer, known

_ANY = "biufcV"  # bfloat16 is of kind V
get_printoptions = np.get_printoptions


def _numpys(name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """A call of NumPy's, whose refusals are errors of leptonc that name the function; those of files stay."""
    try:
        return function(*args, **kwargs)
    except (OSError, LeptonError):
        raise
    except Exception as error:
        raise op_error(name, str(error) or type(error).__name__, {}, kind=ArgumentError) from None


def set_printoptions(**kwargs: Any) -> None:
    """How arrays are printed from now on, as NumPy's."""
    _numpys("set_printoptions", np.set_printoptions, **kwargs)


def printoptions(**kwargs: Any) -> Any:
    """A context in which arrays are printed so, as NumPy's."""
    _numpys("printoptions", inspect.signature(np.set_printoptions).bind, **kwargs)
    return np.printoptions(**kwargs)


def load(file: Any, *args: Any, **kwargs: Any) -> Any:
    """An array from a file that ``save`` wrote, or the arrays of one of ``savez``, by name. Of pickled objects none is loaded."""
    found = _numpys("load", np.load, file, *args, **kwargs)
    return known(asarray(found, "load")) if isinstance(found, np.ndarray) else found


def save(file: Any, arr: Any, allow_pickle: bool = True) -> None:
    """Write an array to a file, in NumPy's format."""
    _numpys("save", np.save, file, known_array("save", "arr", arr, _ANY), allow_pickle=allow_pickle)


def savez(file: Any, *args: Any, allow_pickle: bool = True, **kwds: Any) -> None:
    """Write several arrays to one file, named by keywords, or ``arr_0``, ``arr_1`` ..."""
    arrays = [known_array("savez", f"arr_{n}", a, _ANY) for n, a in enumerate(args)]
    named = {name: known_array("savez", name, a, _ANY) for name, a in kwds.items()}
    _numpys("savez", np.savez, file, *arrays, **named)


def frombuffer(buffer: Any, dtype: Any = float, count: int = -1, offset: int = 0) -> Any:
    """The numbers in a buffer of bytes. Raises TracerError for a traced value, which has none yet."""
    if isinstance(buffer, Tracer):
        buffer.__array__()  # raises
    return _array("frombuffer", np.frombuffer, buffer, dtype, count, offset)


def fromfile(file: Any, dtype: Any = float, count: int = -1, sep: str = "", offset: int = 0) -> Any:
    """The numbers in a file: its bytes, or as text between ``sep``."""
    return _array("fromfile", np.fromfile, file, dtype, count, sep, offset)


def fromiter(iter: Any, dtype: Any, count: int = -1) -> Any:
    """The numbers that an iterator gives."""
    return _array("fromiter", np.fromiter, iter, numpy_dtype(dtype, "fromiter"), count)


def fromstring(string: str, dtype: Any = float, count: int = -1, *, sep: str) -> Any:
    """The numbers in a text, between ``sep``."""
    return _array("fromstring", np.fromstring, string, dtype, count, sep=sep)


def _array(name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return known(asarray(_numpys(name, function, *args, **kwargs), name))


def array_repr(arr: Any, max_line_width: int | None = None, precision: int | None = None,
               suppress_small: bool | None = None) -> str:
    """The text of a known array, as NumPy's: ``array([1., 2.])``."""
    return str(_numpys("array_repr", np.array_repr, known_array("array_repr", "arr", arr, _ANY), max_line_width, precision,
                       suppress_small))


def array_str(a: Any, max_line_width: int | None = None, precision: int | None = None, suppress_small: bool | None = None) -> str:
    """The text of a known array's elements: ``[1. 2.]``."""
    found = known_array("array_str", "a", a, _ANY)
    return str(_numpys("array_str", np.array_str, found, max_line_width, precision, suppress_small))


__all__ = [
    "array_repr", "array_str", "frombuffer", "fromfile", "fromiter", "fromstring", "get_printoptions", "load", "printoptions",
    "save", "savez", "set_printoptions",
]

publish(globals(), __all__)
