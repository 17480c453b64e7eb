"""What a user agrees to: which issues are dropped, which repaired, which left; and the log of what was done about them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leptonc.data.findings import KINDS, Findings, Issue, known_kind
from leptonc.errors import ArgumentError

OP = "data.clean"
Choice = Iterable[str] | Mapping[str, Iterable[str | int]]  # kinds, or kinds with the items that are meant


@dataclass(frozen=True)
class Agreement:
    """Issues by what is to be done. What is dropped is not repaired first."""

    drop: list[Issue]
    repair: list[Issue]

    @property
    def dropped(self) -> dict[str | int, list[Issue]]:
        """By item."""
        return _by_item(self.drop)

    @property
    def repaired(self) -> dict[str | int, list[Issue]]:
        """By item, without those that are dropped."""
        return {item: issues for item, issues in _by_item(self.repair).items() if item not in self.dropped}


def agreement(found: Findings, drop: Choice, repair: Choice, droppable: frozenset[str], repairable: frozenset[str]) -> Agreement:
    """Raises ArgumentError for a kind that can't be dropped or repaired here, and for an item that has no such issue."""
    return Agreement(_chosen(found, "drop", drop, droppable), _chosen(found, "repair", repair, repairable))


def _chosen(found: Findings, what: str, choice: Choice, possible: frozenset[str]) -> list[Issue]:
    if isinstance(choice, str):
        choice = [choice]
    chosen: list[Issue] = []
    for kind in choice:
        if known_kind(OP, kind) not in possible:
            raise ArgumentError(f"{OP}: {what}={kind!r} is nothing that can be done to {found.what} of {found.source}; possible: "
                                f"{', '.join(kind for kind in KINDS if kind in possible)}")
        issues = found.of(kind)
        chosen += _of_items(what, kind, issues, choice[kind]) if isinstance(choice, Mapping) else issues
    return chosen


def _of_items(what: str, kind: str, issues: list[Issue], items: Iterable[str | int]) -> list[Issue]:
    wanted = [items] if isinstance(items, str | int) else [*items]
    unknown = [item for item in wanted if item not in {issue.item for issue in issues}]
    if unknown:
        raise ArgumentError(f"{OP}: {what}={{{kind!r}: ...}} names {unknown[0]!r}, which has no such issue")
    return [issue for issue in issues if issue.item in wanted]


def _by_item(issues: list[Issue]) -> dict[str | int, list[Issue]]:
    found: dict[str | int, list[Issue]] = {}
    for issue in issues:
        found.setdefault(issue.item, []).append(issue)
    return found


@dataclass(frozen=True)
class Cleaned:
    """What ``leptonc.data.clean`` returns. ``data``: names of the files that were kept (of a folder), ``(x, y)`` (of arrays), or a
    polars DataFrame (of a table); ``log``: what was dropped, repaired and left as it was, which ``to_json`` writes."""

    data: Any = field(repr=False)
    log: dict[str, Any]

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        text = json.dumps(self.log, indent=1)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def __str__(self) -> str:
        dropped, repaired, left = (len(self.log[key]) for key in ("dropped", "repaired", "left"))
        rest = f"; {left} kinds of issues were left as they are" if left else ""
        kept = f"kept {self.log['kept']:,} of {self.log['count']:,} {self.log['what']}"
        return f"{kept}: {dropped} dropped, {repaired} repaired{rest}"


def log(found: Findings, agreed: Agreement, count: int, kept: int, to: str | None, repairs: list[dict[str, Any]]) -> dict[str, Any]:
    """``count``: how many there were; ``repairs``: what was done, item by item."""
    done = {id(issue) for issue in (*agreed.drop, *agreed.repair)}
    left = [issue.kind for issue in found.issues if id(issue) not in done]
    return {"source": found.source, "what": found.what, "to": to, "count": count, "kept": kept,
            "dropped": [{"item": item, "kinds": [issue.kind for issue in issues], "why": [issue.why for issue in issues]}
                        for item, issues in agreed.dropped.items()],
            "repaired": repairs, "left": {kind: left.count(kind) for kind in KINDS if kind in left}}
