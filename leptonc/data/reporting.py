"""``report``: looks at a folder of pictures, at arrays, or at a table."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from leptonc.data.files import Tree, tree
from leptonc.data.results import Report
from leptonc.errors import ArgumentError

OP = "data.report"


def report(data: Any, labels: Any = None, *, validation: Any = None, label: str | None = None, names: Sequence[str] | None = None,
           header: bool | None = None, seed: int = 0) -> Report:
    """Look at data before training on it: what can't be read, is there twice, is odd, missing, or labelled wrongly.

    ``data`` is one of

    * a folder of pictures, with a folder for each class, or ``train`` and ``validation`` with such folders;
    * an array [n, ...] of numbers, pictures if it is [n, height, width, 1, 3 or 4], with ``labels`` (class numbers, names or
      one-hot rows [n, classes]; floats that are no whole numbers are quantities) and ``names`` of the classes;
    * a table: a CSV or Parquet file, a polars DataFrame or a dict of columns; ``label`` names the column of labels, ``header`` says
      whether a CSV's first line names the columns (None looks).

    ``validation``: more of the same, of which nothing should be in ``data``: a folder, ``(x, y)``, or a table. Nothing is changed.
    ``seed`` draws the folds by which labels are checked. Returns a Report; raises ArgumentError for what is none of these, and
    ImportError without ``leptonc[data]``, ShapeError for labels or validation that do not fit.
    """
    if isinstance(data, str | os.PathLike) and not _is_file(data):
        return _folder(data, validation, seed)
    if isinstance(data, str | os.PathLike | Mapping) or _is_frame(data):
        return _table(data, validation, label, header, seed)
    arrays = importlib.import_module("leptonc.data.arrays")
    found: Report = arrays.array_report(OP, data, labels, validation, names, seed)
    return found


def _is_file(path: str | os.PathLike[str]) -> bool:
    return Path(path).is_file()


def _is_frame(data: Any) -> bool:
    return type(data).__module__.partition(".")[0] == "polars"


def _folder(data: Any, validation: Any, seed: int) -> Report:
    trees = [tree(OP, data)]
    if validation is not None:
        second = _as_part(tree(OP, validation), "validation", prefix=True)
        trees = [_as_part(trees[0], "train", prefix=False), second]
    pictures = importlib.import_module("leptonc.data.pictures")  # cleanvision takes a second to import
    found: Report = pictures.folder_report(os.fspath(data), trees, seed)
    return found


def _as_part(found: Tree, part: str, prefix: bool) -> Tree:
    """All entries of one part; those of validation are called so."""
    head = f"{part}/" if prefix else ""
    return replace(found, files=tuple(replace(entry, part=part, name=head + entry.name) for entry in found.files))


def _table(data: Any, validation: Any, label: str | None, header: bool | None, seed: int) -> Report:
    frames, tables = (importlib.import_module(f"leptonc.data.{name}") for name in ("frames", "tables"))
    if isinstance(data, str | os.PathLike) and Path(data).suffix.lower() not in frames.ENDINGS:
        raise ArgumentError(f"{OP}: {os.fspath(data)!r} is neither a folder of pictures nor a table ({', '.join(frames.ENDINGS)})")
    held = None if validation is None else frames.table(OP, validation, header)
    source = os.fspath(data) if isinstance(data, str | os.PathLike) else "a table"
    found: Report = tables.table_report(OP, source, frames.table(OP, data, header), held, label, seed)
    return found
