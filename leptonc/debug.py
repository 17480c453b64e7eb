"""JAX's ``debug``: functions called with values of traced code.

In compiled code they are called when the step has run and its threads are at rest, in the order of the program, once for each trip
of a loop and each example of ``vmap``, and in a branch only if it was taken. They stand in functions of ``jit``, ``grad``, ``vjp``,
``jvp``, ``linearize``, ``vmap`` and the Jacobians, in ``scan``, ``map``, ``fori_loop`` with known bounds, ``cond`` and ``switch``;
elsewhere (``while_loop``, ``checkpoint``, functions with derivatives of their own) tracing raises LeptonError. Of what is
differentiated they see the values alone. Outside of a trace they are called at once. What they raise is raised by the call of the
jitted function.
"""

from __future__ import annotations

import builtins
import logging
import string
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import array, flag, function
from leptonc.eager import plain
from leptonc.effects import Effect
from leptonc.errors import ArgumentError, op_error
from leptonc.promotion import is_weak
from leptonc.public import publish
from leptonc.trace import Tracer, note


def callback(callback: Callable[..., None], *args: Any, ordered: bool = False, partitioned: bool = False, **kwargs: Any) -> None:
    """Call ``callback(*args, **kwargs)`` with the values of traced ones as NumPy arrays; what it returns is forgotten.

    ``args`` are trees of arrays and numbers; other leaves (texts, functions) are passed as they are. It is always ``ordered``.
    """
    call = function("debug.callback", "callback", callback)
    flag("debug.callback", "ordered", ordered), flag("debug.callback", "partitioned", partitioned)
    leaves, structure = tree.flatten((args, kwargs))
    places = [n for n, leaf in enumerate(leaves) if isinstance(leaf, Tracer | np.ndarray | np.generic) or is_weak(leaf)]
    values = [array("debug.callback", f"leaf {n}", leaves[n]) for n in places]

    def perform(found: Sequence[Any]) -> None:
        whole = list(leaves)
        for n, value in zip(places, found, strict=True):
            whole[n] = plain(value)
        given, named = tree.unflatten(structure, whole)
        call(*given, **named)

    note([Effect(perform, len(values))], values)


def print(fmt: str, *args: Any, ordered: bool = False, partitioned: bool = False, skip_format_check: bool = False,
          **kwargs: Any) -> None:
    """Print ``fmt.format(*args, **kwargs)`` of the values of traced ones: ``debug.print("loss {:.3f}", loss)``.

    Raises ArgumentError for a format that does not fit the arguments.
    """
    _checked("debug.print", fmt, args, kwargs, skip_format_check)
    callback(lambda *found, **named: builtins.print(fmt.format(*found, **named)), *args, ordered=ordered, partitioned=partitioned,
             **kwargs)


def log(fmt: str, *args: Any, ordered: bool = False, partitioned: bool = False, skip_format_check: bool = False,
        **kwargs: Any) -> None:
    """As ``print``, to the logger ``leptonc.debug``, as information."""
    _checked("debug.log", fmt, args, kwargs, skip_format_check)
    callback(lambda *found, **named: logging.getLogger(__name__).info(fmt.format(*found, **named)), *args, ordered=ordered,
             partitioned=partitioned, **kwargs)


def _checked(name: str, fmt: Any, args: tuple[Any, ...], kwargs: dict[str, Any], skipped: Any) -> None:
    if not isinstance(fmt, str):
        raise op_error(name, f"fmt={fmt!r:.40} must be a text with a place for each value, such as 'loss {{}}'", {},
                       kind=ArgumentError)
    if not flag(name, "skip_format_check", skipped):
        _check_format(name, fmt, args, kwargs)


def _check_format(name: str, fmt: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    try:
        fields = [field for _, field, _, _ in string.Formatter().parse(fmt) if field is not None]
    except ValueError as error:
        raise op_error(name, f"fmt={fmt!r:.60}: {error}", {}, kind=ArgumentError) from None
    roots = [field.split(".")[0].split("[")[0] for field in fields]
    numbers = {n for n, root in enumerate(r for r in roots if not r)} | {int(root) for root in roots if root.isdigit()}
    names = {root for root in roots if root and not root.isdigit()}
    if numbers != set(range(len(args))) or names != set(kwargs):
        raise op_error(name, f"fmt={fmt!r:.60} has places for {len(numbers)} values and the names {sorted(names)}; there are "
                       f"{len(args)} values and the names {sorted(kwargs)}", {}, kind=ArgumentError)


__all__ = ["callback", "log", "print"]

publish(globals(), __all__)
