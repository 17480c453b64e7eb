"""The report: findings that print, and are written as JSON and as a page."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leptonc.data.findings import Findings
from leptonc.data.page import page
from leptonc.data.text import text


@dataclass(frozen=True)
class Report(Findings):
    """What ``leptonc.data.report`` found. ``print(report)`` is a table of 80 columns.

    ``counts``: how many issues of each kind; ``of(kind)``: the issues of one, each with its ``item`` (a file, a row or a column)
    and ``why``; ``classes``: examples by part of the data ("train", "validation", ...) and class; ``notes``: what was not checked.
    """

    def __str__(self) -> str:
        return text(self)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """All that was found, as JSON; written to ``path`` too if there is one."""
        found = {"source": self.source, "what": self.what, "count": self.count, "classes": self.classes, "counts": self.counts,
                 "issues": [_without_empty(issue._asdict()) for issue in self.issues], "notes": [*self.notes]}
        return _written(json.dumps(found, indent=1), path)

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """One page that needs no other file, with thumbnails of the pictures; written to ``path`` too if there is one."""
        return _written(page(self), path)


def _without_empty(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in ((), None)}


def _written(content: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        Path(path).write_text(content, encoding="utf-8")
    return content
