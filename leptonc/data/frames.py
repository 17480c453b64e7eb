"""Tables in polars: read from CSV and Parquet as they are, and what type each column seems to have."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from leptonc.data.extra import missing
from leptonc.errors import ArgumentError

try:
    import polars
except ModuleNotFoundError as error:
    raise missing(error, "reads tables") from None

SEPARATORS = ",;\t|"
ENDINGS = (".csv", ".tsv", ".txt", ".parquet", ".pq")
BLANK = ("", "NA", "N/A", "n/a", "null", "NULL", "None", "?")  # what stands for a missing cell in text
NUMERIC = 0.8  # of a column's cells, from which on the others are mistakes


@dataclass(frozen=True)
class Column:
    """``text``: the cells as they are, blank ones null; ``numbers``: as numbers, null where they are none; ``wrong``: where there
    is text among numbers. A column of text has no numbers."""

    text: Any
    numbers: Any | None
    wrong: np.ndarray

    @property
    def missing(self) -> np.ndarray:
        return self.text.is_null().to_numpy()

    @property
    def non_finite(self) -> np.ndarray:
        if self.numbers is None or not self.numbers.dtype.is_float():
            return np.zeros(len(self.text), bool)
        return (~self.numbers.is_finite()).fill_null(False).to_numpy()


@dataclass(frozen=True)
class Table:
    """``frame``: the cells as they were read; ``headed``: whether the first line named the columns; ``blank``: lines left out."""

    frame: Any
    headed: bool = True
    blank: int = 0

    @property
    def columns(self) -> dict[str, Column]:
        return {name: _column(self.frame.get_column(name)) for name in self.frame.columns}


def table(op: str, source: Any, header: bool | None = None) -> Table:
    """Of a CSV or Parquet file, a polars DataFrame, or a dict of columns. ``header``: whether the first line of a CSV names the
    columns; None looks. Raises ArgumentError for what can't be read."""
    if isinstance(source, polars.DataFrame):
        return Table(source)
    try:
        if isinstance(source, Mapping):
            return Table(polars.DataFrame(dict(source), strict=False))
        path = Path(source)
        if path.suffix.lower() in (".parquet", ".pq"):
            return Table(polars.read_parquet(path))
        return _csv(op, path, header)
    except (polars.exceptions.PolarsError, OSError, TypeError, ValueError) as error:
        if isinstance(error, ArgumentError):
            raise
        reason = str(error).strip().partition("\n")[0]
        raise ArgumentError(f"{op}: {_described(source)} is no table that can be read: {reason}") from None


def _described(source: Any) -> str:
    return repr(str(source)) if isinstance(source, str | os.PathLike) else type(source).__name__


def _csv(op: str, path: Path, header: bool | None) -> Table:
    with open(path, "rb") as file:
        first = file.readline(1 << 20).decode("utf-8-sig", "replace")
    if not first.strip():
        raise ArgumentError(f"{op}: {str(path)!r} is empty")
    separator = max(SEPARATORS, key=first.count)
    cells = polars.read_csv(path, has_header=False, infer_schema=False, separator=separator, encoding="utf8-lossy")
    blank = polars.all_horizontal(polars.all().is_null())
    kept = cells.filter(~blank)
    headed = _is_header(kept) if header is None else header
    names = _names([*kept.row(0)]) if headed else [f"column_{n}" for n in range(kept.width)]
    kept.columns = names
    return Table(kept.slice(1) if headed else kept, headed, len(cells) - len(kept))


def _is_header(cells: Any) -> bool:
    """Whether the first line has no numbers, or none above numbers."""
    first = polars.Series([*cells.row(0)], dtype=polars.String)
    numbers = first.cast(polars.Float64, strict=False).is_not_null()
    if not numbers.any() or len(cells) < 2:
        return True
    below = [_column(cells.to_series(n).slice(1)).numbers is not None for n in range(cells.width)]
    return not any(number and column for number, column in zip(numbers, below))


def _names(cells: Sequence[str | None]) -> list[str]:
    """Each a name of its own, and none empty."""
    found: list[str] = []
    for n, cell in enumerate(cells):
        name = (cell or "").strip().lstrip("\ufeff") or f"column_{n}"
        while name in found:
            name += "_"
        found.append(name)
    return found


def _column(cells: Any) -> Column:
    if cells.dtype != polars.String:
        number = cells.dtype.is_numeric() or cells.dtype == polars.Boolean
        return Column(cells, cells if number else None, np.zeros(len(cells), bool))
    stripped = cells.str.strip_chars()
    text = stripped.set(stripped.is_in(BLANK), None)
    numbers = _numbers(text)
    wrong = (text.is_not_null() & numbers.is_null()).to_numpy()
    present = len(text) - text.null_count()
    if not present or wrong.sum() > (1 - NUMERIC) * present:
        return Column(text, None, np.zeros(len(text), bool))
    return Column(text, numbers, wrong)


def _numbers(text: Any) -> Any:
    """Whole ones as they are, others as floats."""
    floats, integers = text.cast(polars.Float64, strict=False), text.cast(polars.Int64, strict=False)
    return integers if integers.null_count() == floats.null_count() else floats


def filled(column: Column) -> Any:
    """Without gaps: the median of the finite numbers, rounded for whole ones, or the most frequent text."""
    if column.numbers is None:
        common = column.text.drop_nulls().mode().sort()
        return column.text.fill_null(common[0] if len(common) else "")
    if column.numbers.dtype == polars.Boolean:
        return column.numbers.fill_null(bool((column.numbers.mean() or 0) >= 0.5))
    finite = column.numbers.filter(~polars.Series(column.non_finite)).drop_nulls()
    median: Any = finite.median() if len(finite) else 0
    value = round(median) if column.numbers.dtype.is_integer() else median
    return column.numbers.set(polars.Series(column.non_finite), None).fill_null(value) if column.non_finite.any() else (
        column.numbers.fill_null(value))
