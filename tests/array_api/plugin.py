"""A pytest plugin for the array API suite: tests whose names match a line of ``skips.txt`` are skipped, for the reason above it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import pytest


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
