"""How much a function does, counted: what a clock would say, without what else the machine is doing. And work that is not done
twice."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from cProfile import Profile
from hashlib import sha256
from typing import Any


def once_of_each(f: Callable[[str, Any], bytes]) -> Callable[[str, Any], bytes]:
    """``f(text, target)``, called once for each text and target. Texts are long, so they are known by their digests."""
    made: dict[tuple[bytes, Any], bytes] = {}

    @functools.wraps(f)
    def run(text: str, target: Any) -> bytes:
        key = sha256(text.encode()).digest(), target
        if key not in made:
            made[key] = f(text, target)
        return made[key]

    return run


def calls(f: Callable[[], Any]) -> int:
    """Calls of Python and C functions while ``f`` runs. The profiler counts them in C."""
    before, profile = sys.getprofile(), Profile()
    try:
        profile.runcall(f)
    finally:
        sys.setprofile(before)
    return sum(entry.callcount for entry in profile.getstats())


def assert_near_linear(work: Callable[[int], Callable[[], Any]], small: int, large: int, slack: float = 1.3) -> None:
    """``work(n)`` gives what is counted for size ``n``: the larger costs no more than ``slack`` times its share."""
    few, many = calls(work(small)), calls(work(large))
    assert many <= slack * few * large / small, f"{small}: {few} calls, {large}: {many} calls"
