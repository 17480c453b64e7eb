"""Callbacks of traced code: what is to be called with values of a program, when it has run.

A trace notes them with the values they want, which become further results of its graph. Whoever runs the graph calls them, in the
order of the program: a transformation notes them anew around it, of its own values (all examples of a ``vmap``, all trips of a
loop), and ``jit`` calls them behind the step, when its threads are at rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Effect:
    """``call(values)``, of so many arrays."""

    call: Callable[[Sequence[Any]], None]
    count: int


def perform(effects: Iterable[Effect], values: Sequence[Any]) -> None:
    """Call them in order, each with its part of the values."""
    rest = list(values)
    for effect in effects:
        mine, rest = rest[:effect.count], rest[effect.count:]
        effect.call(mine)


def total(effects: Iterable[Effect]) -> int:
    """How many values they take."""
    return sum(effect.count for effect in effects)


def of_each(effects: Sequence[Effect], order: Iterable[int]) -> Effect:
    """Them all, for one place along the first axis of their values after the other."""
    places = list(order)

    def call(values: Sequence[Any]) -> None:
        for n in places:
            perform(effects, [v[n] for v in values])

    return Effect(call, total(effects))


def of_one(branches: Sequence[Sequence[Effect]]) -> Effect:
    """Those of one branch; the values are its number, then those of all branches."""
    counts = [total(branch) for branch in branches]

    def call(values: Sequence[Any]) -> None:
        chosen = int(values[0])
        first = 1 + sum(counts[:chosen])
        perform(branches[chosen], values[first:first + counts[chosen]])

    return Effect(call, 1 + sum(counts))
