"""Reports on tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from leptonc.data import classes
from leptonc.data.copies import Examples
from leptonc.data.findings import Issue
from leptonc.data.frames import Column, Table, filled, polars
from leptonc.data.results import Report
from leptonc.errors import ArgumentError, near_names

MOST_CLASSES = 50  # values of a column of labels that are whole numbers; with more it is a quantity
MOST_WORDS = 20  # values of a column of text that the model looks at


class TableContent(NamedTuple):
    """What ``clean`` takes from. ``label``: the column of labels, if there is one."""

    table: Table
    label: str | None


def table_report(op: str, source: str, table: Table, validation: Table | None, label: str | None, seed: int) -> Report:
    _check(op, table, validation, label)
    parts = {"all": table} if validation is None else {"train": table, "validation": validation}
    issues: list[Issue] = []
    for part, one in parts.items():
        issues += _column_issues(one, "" if part in ("all", "train") else f"{part}/")
    columns = table.columns
    labels = [found for one in parts.values() for found in _labels(one, label)]
    names = [_row_name(part, n) for part, one in parts.items() for n in range(len(one.frame))]
    examples = Examples(names, [part for part, one in parts.items() for _ in range(len(one.frame))], labels)
    copies = examples.exact_issues(_equal_rows([one.frame for one in parts.values()]), "the same cells")
    counts = classes.counted(examples.parts, examples.labels)
    doubted, notes = _doubts(table, columns, label, seed)
    if table.blank:
        notes.append(f"blank lines left out: {table.blank}")
    count = len(table.frame) + (0 if validation is None else len(validation.frame))
    return Report(source, "rows", count, counts, (*issues, *copies, *doubted, *classes.imbalances(counts)), tuple(notes),
                  TableContent(table, label))


def _check(op: str, table: Table, validation: Table | None, label: str | None) -> None:
    if label is not None and label not in table.frame.columns:
        raise ArgumentError(f"{op}: there is no column {label!r}; "
                            f"{near_names(label, table.frame.columns) or 'columns: ' + ', '.join(table.frame.columns)}")
    if validation is not None and validation.frame.columns != table.frame.columns:
        raise ArgumentError(f"{op}: the columns of validation are {', '.join(validation.frame.columns)}, those of training "
                            f"{', '.join(table.frame.columns)}")


def _row_name(part: str, n: int) -> str | int:
    return n if part in ("all", "train") else f"{part}/{n}"


def _column_issues(table: Table, prefix: str) -> Iterator[Issue]:
    """Of each column, and of the lack of a header."""
    count = len(table.frame)
    if not table.headed:
        names = ", ".join(table.frame.columns[:3])
        yield Issue("no_header", f"{prefix}columns", f"named {names}, ... : the first line has numbers")
    for name, column in table.columns.items():
        for kind, where in (("missing", column.missing), ("non_finite", column.non_finite), ("wrong_type", column.wrong)):
            rows = tuple(map(int, np.flatnonzero(where)))
            if rows:
                example = f"such as {column.text[rows[0]]!r} in" if kind == "wrong_type" else "first"
                yield Issue(kind, f"{prefix}{name}", f"{len(rows):,} of {count:,}, {example} row {rows[0]}", rows=rows)
        if count > 1 and not column.missing.all() and column.text.n_unique() == 1:
            yield Issue("constant", f"{prefix}{name}", f"always {column.text[0]!r}")


def _equal_rows(frames: list[Any]) -> list[list[int]]:
    """Groups of rows of all frames behind each other."""
    columns = frames[0].columns
    if not columns:
        return []
    joined = polars.concat([frame.cast(polars.String) if len(frames) > 1 else frame for frame in frames])
    numbered = joined.with_columns(polars.Series(NUMBER, np.arange(len(joined))))
    groups = numbered.group_by(columns, maintain_order=True).agg(polars.col(NUMBER))
    return [group.to_list() for group in groups.get_column(NUMBER) if len(group) > 1]


NUMBER = "\0row"  # no column of a file is called so


def is_classes(column: Column) -> bool:
    """Whether a column of labels names classes, or is a quantity."""
    if column.numbers is None:
        return True
    return not column.numbers.dtype.is_float() and column.numbers.n_unique() <= min(MOST_CLASSES, max(2, len(column.text) // 2))


def _labels(table: Table, label: str | None) -> list[str | None]:
    if label is None:
        return [None] * len(table.frame)
    column = table.columns[label]
    if not is_classes(column):
        return [None] * len(table.frame)
    values = column.text if column.numbers is None else column.numbers
    return [None if value is None else str(value) for value in values]


def _doubts(table: Table, columns: dict[str, Column], label: str | None, seed: int) -> tuple[list[Issue], list[str]]:
    if label is None:
        return [], ["labels: not checked, for label= names no column"]
    if not is_classes(columns[label]):
        return [], [f"labels: not checked, {label} is a quantity"]
    features = matrix({name: column for name, column in columns.items() if name != label})
    if not features.shape[1]:
        return [], ["labels: not checked, there are no other columns of numbers or few words"]
    return classes.doubts(range(len(table.frame)), _labels(table, label), features, seed)


def matrix(columns: dict[str, Column]) -> np.ndarray:
    """f64[n, features]: numbers with gaps filled, and a column of 0 and 1 for each of a few words; other text is left out."""
    parts: list[np.ndarray] = [np.zeros((len(column.text), 0)) for column in [*columns.values()][:1]]
    for column in columns.values():
        values = filled(column)
        if column.numbers is not None:
            parts.append(values.cast(polars.Float64).to_numpy()[:, None])
        elif values.dtype == polars.String and values.n_unique() <= MOST_WORDS:
            parts.append(np.stack([(values == word).to_numpy() for word in values.unique().sort()], 1).astype(np.float64))
    return np.concatenate(parts, 1) if parts else np.zeros((0, 0))
