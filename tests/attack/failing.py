"""Attempts that fail, to see that it is noticed."""

from __future__ import annotations

import ctypes
import os
import time

from tests.attack.pages import ends, guarded
from tests.attack.process import Attempt


def _third(fail: Attempt) -> Attempt:
    return lambda number: fail(number) if number == 2 else "right"


def crash() -> Attempt:
    def fail(number: int) -> str:
        os.abort()

    return _third(fail)


def hang() -> Attempt:
    def fail(number: int) -> str:
        time.sleep(1000)
        return "right"

    return _third(fail)


def wrong() -> Attempt:
    def fail(number: int) -> str:
        raise AssertionError("a wrong number")

    return _third(fail)


def behind_an_array() -> Attempt:
    """One byte behind it, or before it."""
    def attempt(number: int) -> str:
        ends[0] = number == 0
        array = guarded(100)
        return str(ctypes.c_char.from_address(array.ctypes.data + (100 if number == 0 else -1)).value)

    return attempt
