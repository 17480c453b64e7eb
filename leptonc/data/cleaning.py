"""``clean``: the data of a report without what its reader agreed to lose, and with what was agreed to be repaired."""

from __future__ import annotations

import importlib
import os

from leptonc.data.agreement import OP, Choice, Cleaned
from leptonc.data.results import Report
from leptonc.errors import ArgumentError

# By a report's content.
CLEANERS = {"FolderContent": "clean_folders", "ArrayContent": "clean_arrays", "TableContent": "clean_tables"}


def clean(report: Report, *, drop: Choice = (), repair: Choice = (), to: str | os.PathLike[str] | None = None,
          log: str | os.PathLike[str] | None = None) -> Cleaned:
    """The data of ``report`` without the items whose issues are to be ``drop``ped, and with the others ``repair``ed.

    ``drop`` and ``repair``: kinds of issues, ``["unreadable", "duplicate"]``, or kinds and items, ``{"label": ["cat/7.png"]}``.
    Nothing else is lost, and nothing on disk is changed: ``to`` is a new folder, into which all files but the dropped ones are
    copied, or the new file of a table (.csv or .parquet); without it, the names of the files that stay are returned. ``log``: a
    JSON file that says what was done. A report that had ``validation`` cleans the training data.

    Returns Cleaned, with ``data`` and ``log``. Raises ArgumentError for kinds that can't be dropped or repaired, for items without
    such an issue, and for a ``to`` that is there already.
    """
    if not isinstance(report, Report):
        raise ArgumentError(f"{OP}: the first argument is what data.report returns, not a {type(report).__name__}")
    cleaner = importlib.import_module(f"leptonc.data.{CLEANERS[type(report.content).__name__]}")
    cleaned: Cleaned = cleaner.cleaned(report, drop, repair, None if to is None else os.fspath(to))
    if log is not None:
        cleaned.to_json(log)
    return cleaned
