"""Cleaning a table: a new one, without rows or columns, or with cells filled in."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from leptonc.data.agreement import OP, Agreement, Choice, Cleaned, agreement, log
from leptonc.data.findings import Issue
from leptonc.data.frames import Table, filled, polars
from leptonc.data.results import Report
from leptonc.data.tables import TableContent
from leptonc.errors import ArgumentError

DROPPABLE = frozenset({"missing", "non_finite", "wrong_type", "duplicate", "leakage", "label", "constant"})
REPAIRABLE = frozenset({"missing", "non_finite", "wrong_type", "label"})
CELLS = ("missing", "non_finite", "wrong_type")


def cleaned(report: Report, drop: Choice, repair: Choice, to: str | None) -> Cleaned:
    content: TableContent = report.content
    found = agreement(report, drop, repair, DROPPABLE, REPAIRABLE)
    agreed = Agreement(_own(found.drop), _own(found.repair))
    rows = {row for issue in agreed.drop for row in _rows(issue)}
    columns = [issue.item for issue in agreed.drop if issue.kind == "constant"]
    frame, repairs = _repaired(content, agreed.repair, rows)
    keep = np.array([n not in rows for n in range(len(frame))], bool)
    frame = _typed(frame.filter(polars.Series(keep)).drop(columns))
    if to is not None:
        _write(frame, to)
    return Cleaned(frame, log(report, agreed, len(content.table.frame), len(frame), to, repairs)
                   | {"rows": sorted(rows), "columns": columns})


def _own(issues: list[Issue]) -> list[Issue]:
    return [issue for issue in issues if not str(issue.item).startswith("validation/")]


def _rows(issue: Issue) -> tuple[int, ...]:
    if issue.kind in CELLS:
        return issue.rows
    return (issue.item,) if isinstance(issue.item, int) else ()


def _repaired(content: TableContent, repair: list[Issue], dropped: set[int]) -> tuple[Any, list[dict[str, Any]]]:
    """Cells of the kinds that were agreed to filled; those of other kinds, and of rows that go, stay as they are."""
    frame, repairs = content.table.frame, list[dict[str, Any]]()
    columns = content.table.columns
    for name in dict.fromkeys(str(issue.item) for issue in repair if issue.kind in CELLS):
        issues = [issue for issue in repair if issue.item == name]
        where = np.zeros(len(frame), bool)
        where[[row for issue in issues for row in issue.rows if row not in dropped]] = True
        fill = filled(columns[name])
        cells = frame.get_column(name)
        frame = frame.with_columns(cells.zip_with(~polars.Series(where), fill.cast(cells.dtype)))
        repairs.append({"item": name, "kinds": [issue.kind for issue in issues], "rows": [*map(int, np.flatnonzero(where))],
                        "now": str(fill[int(np.flatnonzero(where)[0])]) if where.any() else None})
    for issue in repair:
        if issue.kind == "label" and issue.item not in dropped:
            frame = _relabelled(frame, content.label, issue)
            repairs.append({"item": issue.item, "kinds": ["label"], "why": [issue.why], "now": issue.suggestion})
    return frame, repairs


def _relabelled(frame: Any, label: str | None, issue: Issue) -> Any:
    column = frame.get_column(label)
    new = polars.Series([issue.suggestion], dtype=polars.String).cast(column.dtype)
    return frame.with_columns(column.scatter(issue.item, new))


def _typed(frame: Any) -> Any:
    """Columns of text that are numbers throughout become numbers."""
    columns = Table(frame).columns
    return frame.with_columns([column.numbers.alias(name) for name, column in columns.items()
                               if column.numbers is not None and not column.wrong.any()])


def _write(frame: Any, to: str) -> None:
    place = Path(to)
    if os.path.lexists(place):
        raise ArgumentError(f"{OP}: {to!r} is there already; to= must name a new file")
    if place.suffix.lower() not in (".csv", ".parquet"):
        raise ArgumentError(f"{OP}: to={to!r} must end in .csv or .parquet")
    partial = place.with_name(place.name + ".partial")
    frame.write_csv(partial) if place.suffix.lower() == ".csv" else frame.write_parquet(partial)
    partial.rename(place)
