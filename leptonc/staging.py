"""``lax``'s functions about how a program is compiled rather than what it computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leptonc import tree
from leptonc.arguments import array, function, integer
from leptonc.errors import ArgumentError, op_error
from leptonc.public import publish
from leptonc.trace import Tracer, bind


def optimization_barrier(operand: Any) -> Any:
    """A tree of arrays as it is, of which nothing is used before all is there: common work behind it is not shared with work
    before it."""
    leaves, structure = tree.flatten(operand)
    arrays = [array("optimization_barrier", "operand", x) for x in leaves]
    tokens = [bind("barrier_token", x) for x in arrays if isinstance(x, Tracer)]
    if not tokens:
        return operand
    ready = tokens[0]
    for token in tokens[1:]:
        ready = bind("and", ready, token)
    return tree.unflatten(structure, [bind("barrier", x, ready) if isinstance(x, Tracer) else x for x in arrays])


def platform_dependent(*args: Any, default: Callable[..., Any] | None = None, **per_platform: Callable[..., Any]) -> Any:
    """``cpu(*args)`` of the functions that are given by names of platforms, else ``default(*args)``: there are CPUs alone."""
    chosen = per_platform.get("cpu", default)
    if chosen is None:
        raise op_error("platform_dependent", f"no function is for 'cpu', and there is no default; there are "
                       f"{list(per_platform)}", {}, kind=ArgumentError)
    return function("platform_dependent", "default", chosen)(*args)


def composite(decomposition: Callable[..., Any], name: str, version: int = 0) -> Callable[..., Any]:
    """``decomposition`` itself: no name stands for more than what it is made of."""
    if not isinstance(name, str):
        raise op_error("composite", f"name={name!r:.40} must be a text", {}, kind=ArgumentError)
    integer("composite", "version", version)
    return function("composite", "decomposition", decomposition)


def with_sharding_constraint(x: Any, shardings: Any) -> Any:
    """x: all of it lies in the memory of one machine, whatever ``shardings`` say."""
    return x


__all__ = ["composite", "optimization_barrier", "platform_dependent", "with_sharding_constraint"]

publish(globals(), __all__)
