"""Assignments inside of a branch, a loop or a function that is recomputed: results of it like others.

Each of these is traced on its own, so what it assigns to a variable would stay behind in its trace. It runs in a scope instead that
notes which variables are assigned; their values go in as operands, come out as results, and are assigned behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from keras.src.backend.common.stateless_scope import StatelessScope, get_stateless_scope

Variables = Sequence[Any]
Attempt = Callable[[Variables, list[Any]], tuple[Any, Sequence[Any]]]


class _Assigns(Exception):
    """More variables are assigned than those whose values came in."""

    def __init__(self, variables: Variables):
        super().__init__(", ".join(v.path for v in variables))
        self.variables = variables


class _Scope(StatelessScope):
    """Inside the scope around, if there is one: variables have the values that they have there, or those given here."""

    def __init__(self, variables: Variables = (), values: Sequence[Any] = ()):
        outer = get_stateless_scope()
        super().__init__(collect_losses=outer is not None and outer.collect_losses, initialize_variables=False)
        if outer is not None:
            self.state_mapping = dict(outer.state_mapping)
            self.losses = outer.losses  # one of a tracer that does not belong there is an error, and not lost
        self.state_mapping.update((id(v), value) for v, value in zip(variables, values, strict=True))
        self.assigned: dict[int, Any] = {}

    def add_update(self, update: tuple[Any, Any]) -> None:
        self.assigned[id(update[0])] = update[0]
        super().add_update(update)


def without_effects(run: Callable[..., Any]) -> Callable[..., Any]:
    """``run`` for its result's types alone: what it assigns is forgotten."""

    def call(*args: Any) -> Any:
        with _Scope():
            return run(*args)

    return call


def with_effects(run: Callable[..., Any], variables: Variables) -> Callable[..., tuple[Any, list[Any]]]:
    """``run`` as a function of (values of ``variables``, its arguments), which gives (its result, their new values)."""

    def call(values: Sequence[Any], *args: Any) -> tuple[Any, list[Any]]:
        with _Scope(variables, values) as scope:
            result = run(*args)
        known = {id(v) for v in variables}
        more = [v for key, v in scope.assigned.items() if key not in known]
        if more:
            raise _Assigns(more)
        return result, [scope.get_current_value(v) for v in variables]

    return call


def performed(attempt: Attempt) -> Any:
    """The result of ``attempt(variables, their values)``, which gives (result, their new values): first with no variables, then
    with those that were found to be assigned."""
    variables: list[Any] = []
    while True:
        try:
            result, values = attempt(variables, [_current(v) for v in variables])
        except _Assigns as found:
            variables += found.variables
            continue
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return result


def _current(variable: Any) -> Any:
    """The value in the dtype of the variable."""
    scope = get_stateless_scope()
    value = None if scope is None else scope.get_current_value(variable)
    return variable.read() if value is None else value
