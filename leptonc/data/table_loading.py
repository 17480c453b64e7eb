"""``table_dataset``: batches of rows from CSV, Parquet, polars or columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from leptonc.data.frames import Column, polars, table
from leptonc.data.loading import Order, chosen, in_memory
from leptonc.data.tables import MOST_WORDS, is_classes
from leptonc.errors import ArgumentError, near_names

OP = "data.table_dataset"
EACH: list[Any] = [None]  # a column of numbers is one feature
FIX = "fix: data.clean(data.report(...), repair=[{kind!r}])"


class Encoding(NamedTuple):
    """How columns become numbers: ``words`` of each column of text, None of numbers; ``classes``: of the label, None if it is a
    quantity."""

    words: dict[str, list[str] | None]
    classes: list[str] | None

    @property
    def feature_names(self) -> list[str]:
        return [name if word is None else f"{name}={word}" for name, words in self.words.items() for word in words or EACH]

    def encode(self, source: Any, header: bool | None = None) -> np.ndarray:
        """The features f32[rows, features] of another table. Raises ArgumentError for a column that is not there, for gaps, and for
        words that were not there before."""
        return encoded(table(OP, source, header).columns, self.words)


def table_dataset(source: Any, label: str | None = None, *, features: Sequence[str] | None = None, like: Any = None,
                  header: bool | None = None, label_mode: str | None = None, batch_size: int | None = 32, shuffle: bool = True,
                  seed: int = 0, validation_split: float | None = None, subset: str | None = None, shard: tuple[int, int] = (0, 1),
                  drop_remainder: bool = False) -> Any:
    """A grain dataset of (f32[batch, features], labels) from a table, which Keras's ``fit`` takes.

    ``source``: a CSV or Parquet file, a polars DataFrame, or a dict of columns. ``features``: its columns that are used, in this
    order, all but the label by default. A column of up to twenty different texts becomes as many columns of 0 and 1. ``label``: a
    column of classes (text, or whole numbers with few values), which becomes class numbers i32[batch], or of quantities,
    f32[batch, 1]; ``label_mode`` "int" or "float" decides. ``like``: another such dataset, whose columns, texts and classes are
    taken, for validation. The others are those of ``image_dataset``.

    The dataset has ``feature_names``, ``class_names`` (None for quantities), ``encoding``, and ``encode``: a function of another
    table, with or without the label, that gives its features f32[rows, features] in the order of its rows, for ``predict``. Raises
    ArgumentError for columns with gaps, text among numbers or too many texts.
    """
    found = table(OP, source, header)
    encoding = _encoding(found.columns, label, features, label_mode) if like is None else like.encoding
    label = like.label if like is not None else label
    x = encoded(found.columns, encoding.words)
    y = None if label is None else _labels(label, _column(found.columns, label), encoding.classes)
    order = Order(batch_size, shuffle, seed, shard, validation_split, subset, drop_remainder)
    made = in_memory(chosen(OP, len(x), order), order, Rows(x, y))
    made.feature_names, made.class_names, made.encoding, made.label = encoding.feature_names, encoding.classes, encoding, label
    made.encode = encoding.encode
    return made


class Rows(NamedTuple):
    """Gives examples by their numbers."""

    x: np.ndarray
    y: np.ndarray | None

    def __call__(self, numbers: Any) -> Any:
        return self.x[numbers] if self.y is None else (self.x[numbers], self.y[numbers])


def _column(columns: dict[str, Column], name: str) -> Column:
    if name not in columns:
        raise ArgumentError(f"{OP}: there is no column {name!r}; {near_names(name, columns) or 'columns: ' + ', '.join(columns)}")
    return columns[name]


def _encoding(columns: dict[str, Column], label: str | None, features: Sequence[str] | None, label_mode: str | None) -> Encoding:
    names = [name for name in columns if name != label] if features is None else [*features]
    words = {name: _words(name, _column(columns, name)) for name in names}
    if not words:
        raise ArgumentError(f"{OP}: there are no columns but the label")
    return Encoding(words, None if label is None else _classes(_column(columns, label), label, label_mode))


def _words(name: str, column: Column) -> list[str] | None:
    if column.numbers is not None:
        return None
    words = sorted(str(word) for word in column.text.drop_nulls().unique())
    if len(words) > MOST_WORDS:
        raise ArgumentError(f"{OP}: column {name!r} has {len(words)} different texts, more than {MOST_WORDS}; fix: features= "
                            "without it, or data.text_dataset")
    return words


def _classes(column: Column, label: str, label_mode: str | None) -> list[str] | None:
    if label_mode not in (None, "int", "float"):
        raise ArgumentError(f"{OP}: label_mode={label_mode!r} is none of 'int', 'float', None")
    if label_mode == "float" and column.numbers is None:
        raise ArgumentError(f"{OP}: label_mode='float', and column {label!r} has text")
    if label_mode == "float" or (label_mode is None and not is_classes(column)):
        return None
    values = column.text if column.numbers is None else column.numbers
    return [str(value) for value in values.drop_nulls().unique().sort()]


def encoded(columns: dict[str, Column], words: dict[str, list[str] | None]) -> np.ndarray:
    """f32[n, features]. Raises ArgumentError for gaps and for words that were not there before."""
    return np.concatenate([_numbers(name, _column(columns, name)) if known is None else _ones(name, _column(columns, name), known)
                           for name, known in words.items()], axis=1)


def _numbers(name: str, column: Column) -> np.ndarray:
    if column.numbers is None:
        raise ArgumentError(f"{OP}: column {name!r} was numbers, and is text here")
    _check(name, column)
    return column.numbers.cast(polars.Float32).to_numpy()[:, None]


def _check(name: str, column: Column) -> None:
    for kind, where in (("missing", column.missing), ("wrong_type", column.wrong), ("non_finite", column.non_finite)):
        if where.any():
            raise ArgumentError(f"{OP}: column {name!r} has {int(where.sum())} cells that are no numbers, the first in row "
                                f"{int(where.argmax())}; {FIX.format(kind=kind)}")


def _ones(name: str, column: Column, known: list[str]) -> np.ndarray:
    """A column of 0 and 1 for each known word; a missing cell has no 1."""
    text = column.text.cast(polars.String)
    strange = {*text.drop_nulls()} - {*known}
    if strange:
        raise ArgumentError(f"{OP}: column {name!r} has {min(strange)!r}, which was not there before; known: {', '.join(known)}")
    return np.stack([(text == word).fill_null(False).to_numpy() for word in known], axis=1).astype(np.float32)


def _labels(label: str, column: Column, classes: list[str] | None) -> np.ndarray:
    _check(label, column)
    if classes is None:
        return _numbers(label, column)
    values = [str(value) for value in (column.text if column.numbers is None else column.numbers)]
    strange = {*values} - {*classes}
    if strange:
        raise ArgumentError(f"{OP}: column {label!r} has the class {min(strange)!r}, which was not there before")
    return np.array([classes.index(value) for value in values], np.int32)
