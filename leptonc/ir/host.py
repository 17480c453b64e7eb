"""Functions of Python that graphs call: a node has the number of one, for a function has no text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from leptonc.ir.types import TensorType

HostFunction = Callable[..., Sequence[np.ndarray]]


@dataclass(frozen=True)
class HostCall:
    """A function of arrays, what its results are, and what errors call it."""

    function: HostFunction
    types: tuple[TensorType, ...]
    name: str


CALLS: dict[int, HostCall] = {}  # by the number in a node's attributes: functions have no text
_NUMBERS = itertools.count()


def kept(call: HostCall) -> int:
    """The number by which a node names a call; it is kept as long as the process."""
    number = next(_NUMBERS)
    CALLS[number] = call
    return number


def called(number: int, arrays: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """The results of a call on arrays."""
    return tuple(CALLS[number].function(*arrays))


def name_of(number: int) -> str:
    return CALLS[number].name
