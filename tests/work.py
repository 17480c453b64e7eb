"""How much a function does, counted: what a clock would say, without what else the machine is doing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def calls(f: Callable[[], Any]) -> int:
    """Calls of Python and C functions while ``f`` runs."""
    count = 0

    def counted(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        f()
    finally:
        sys.setprofile(before)
    return count


def assert_near_linear(work: Callable[[int], Callable[[], Any]], small: int, large: int, slack: float = 1.3) -> None:
    """``work(n)`` gives what is counted for size ``n``: the larger costs no more than ``slack`` times its share."""
    few, many = calls(work(small)), calls(work(large))
    assert many <= slack * few * large / small, f"{small}: {few} calls, {large}: {many} calls"
