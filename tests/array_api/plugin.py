"""A pytest plugin for the array API suite: where it takes the greatest complex dtype, of which leptonc has none, f64 stands in;
tests whose names match a line of ``skips.txt`` are skipped, for the reason above that line."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_max = builtins.max


def _or_nothing(*args: Any, **settings: Any) -> Any:
    if len(args) == 1 and args[0] == []:
        return np.float64, 64
    return _max(*args, **settings)


builtins.max = _or_nothing
try:
    import array_api_tests.dtype_helpers
finally:
    builtins.max = _max

__all__ = ["array_api_tests"]


def _skips() -> Iterator[tuple[str, str]]:
    """Patterns and reasons."""
    reason = ""
    for line in Path(__file__).with_name("skips.txt").read_text().splitlines():
        if line.startswith("#"):
            reason = line.removeprefix("#").strip()
        else:
            yield line, reason


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for pattern, reason in _skips():
        for item in items:
            if fnmatchcase(item.nodeid, pattern):
                item.add_marker(pytest.mark.skip(reason=reason))
