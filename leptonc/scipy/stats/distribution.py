"""A distribution: functions under SciPy's names, of which those that are not given are made of others."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from leptonc import numpy as lnp
from leptonc.errors import MissingNameError, near_names
from leptonc.public import public
from leptonc.scipy.operands import real_function, wide_function

_DERIVED: dict[str, tuple[str, Callable[[Any], Any], str]] = {  # of which function, by what, and what it is
    "pdf": ("logpdf", lnp.exp, "The density."),
    "pmf": ("logpmf", lnp.exp, "The probability of a count."),
    "logcdf": ("cdf", lnp.log, "The logarithm of the distribution function."),
    "sf": ("cdf", lambda p: lnp.subtract(1, p), "1 - cdf."),
    "logsf": ("sf", lnp.log, "The logarithm of 1 - cdf."),
    "isf": ("ppf", lambda x: x, "The inverse of 1 - cdf."),
}


class Distribution:
    """Functions of a distribution: ``logpdf``, ``pdf``, ``cdf``, ``ppf`` ... as far as SciPy's have them and JAX's too."""

    def __init__(self, name: str, doc: str, functions: Mapping[str, Callable[..., Any]], derived: str = "", wide: str = "",
                 plain: str = ""):
        """``functions``: formulas of real numbers; in f64 those whose names are in ``wide``; those in ``plain`` take operands as
        they come. ``derived``: names of functions that are made of these."""
        self.__name__, self.__doc__ = name, doc
        self._functions: dict[str, Callable[..., Any]] = {}
        for key, function in functions.items():
            wrap = wide_function if key in wide.split() else real_function
            self._add(key, function if key in plain.split() else wrap(function))
        for key in derived.split():
            self._add(key, _derived(key, self._functions))

    def _add(self, key: str, function: Callable[..., Any]) -> None:
        self._functions[key] = public(function, f"{self.__name__}.{key}")

    def __getattr__(self, key: str) -> Callable[..., Any]:
        if key.startswith("__") or key == "_functions":
            raise AttributeError(key)
        if key not in self._functions:
            raise MissingNameError(f"leptonc.scipy.stats.{self.__name__} has no {key}; "
                                   + (near_names(key, self._functions) or f"it has {', '.join(self._functions)}"))
        return self._functions[key]

    def __dir__(self) -> list[str]:
        return sorted(self._functions)

    def __repr__(self) -> str:
        return f"<leptonc.scipy.stats.{self.__name__}: {', '.join(self._functions)}>"


def _derived(key: str, functions: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    source, change, doc = _DERIVED[key]
    given = functions[source]

    @functools.wraps(given)
    def function(*args: Any, **kwargs: Any) -> Any:
        if key == "isf":
            bound = inspect.signature(given).bind(*args, **kwargs)
            first, *rest = bound.arguments.values()
            return given(lnp.subtract(1, first), *rest)
        return change(given(*args, **kwargs))

    function.__name__, function.__doc__ = key, doc
    return function
