"""``text_dataset``: batches of token numbers from folders of texts, a column of a table, or one long text."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from leptonc.data.files import PARTS, tree
from leptonc.data.frames import table
from leptonc.data.loading import Order, chosen, in_memory
from leptonc.errors import ArgumentError

OP = "data.text_dataset"
ENDINGS = frozenset({".txt"})
PADDING, UNKNOWN = "", "[UNK]"  # tokens 0 and 1, as Keras has them
WORD = re.compile(r"\w+(?:'\w+)?")
SPLITS = ("word", "character")


def text_dataset(source: str | os.PathLike[str], *, length: int, split: str = "word", max_tokens: int | None = 20_000,
                 vocabulary: Sequence[str] | None = None, text: str | None = None, label: str | None = None,
                 part: str | None = None, batch_size: int | None = 32, shuffle: bool = True, seed: int = 0,
                 validation_split: float | None = None, subset: str | None = None, shard: tuple[int, int] = (0, 1),
                 drop_remainder: bool = False) -> Any:
    """A grain dataset of token numbers i32[batch, length] and labels, which Keras's ``fit`` takes.

    ``source`` is one of

    * a folder with a folder of .txt files for each class: labels are class numbers i32[batch];
    * a CSV or Parquet file, whose column ``text`` has the texts and ``label`` the classes;
    * a .txt file, of which each example is ``length`` tokens in a row, and its label the same a token later, i32[batch, length].

    ``split``: "word" (lower case, without punctuation) or "character". Longer texts are cut, shorter ones padded with 0; 1 stands
    for tokens that the vocabulary lacks. ``vocabulary``: of another such dataset; without one, the ``max_tokens`` - 2 most frequent
    tokens of the examples chosen. The others are those of ``image_dataset``. The dataset has ``vocabulary`` and ``class_names``.
    Raises ArgumentError for wrong options and sources without texts.
    """
    _check(length, split, max_tokens)
    order = Order(batch_size, shuffle, seed, shard, validation_split, subset, drop_remainder)
    path = Path(source)
    if path.is_file() and path.suffix.lower() in ENDINGS:
        return _windows(path, length, split, max_tokens, vocabulary, order)
    texts, labels = _from_table(source, text, label) if path.is_file() else _from_folder(source, part)
    numbers = chosen(OP, len(texts), order)
    tokens = [tokenized(one, split) for one in texts]
    known = [*vocabulary] if vocabulary is not None else frequent((tokens[n] for n in numbers), max_tokens)
    names = sorted({label for label in labels if label is not None})
    y = np.array([names.index(str(label)) for label in labels], np.int32) if names else None
    return _named(in_memory(numbers, order, Texts(_numbered(tokens, known, length), y)), known, names)


def _check(length: int, split: str, max_tokens: int | None) -> None:
    if length < 1 or (max_tokens is not None and max_tokens < 3):
        raise ArgumentError(f"{OP}: length={length} must be at least 1, max_tokens={max_tokens} at least 3")
    if split not in SPLITS:
        raise ArgumentError(f"{OP}: split={split!r} is none of {', '.join(map(repr, SPLITS))}")


def _named(made: Any, vocabulary: list[str], names: list[str]) -> Any:
    made.vocabulary, made.class_names = vocabulary, names
    return made


def tokenized(text: str, split: str) -> list[str]:
    return [*text] if split == "character" else WORD.findall(text.lower())


def frequent(texts: Iterable[Sequence[str]], max_tokens: int | None) -> list[str]:
    """The vocabulary: padding, the unknown, then tokens by how often they are there, the same often in their own order."""
    counts = Counter(token for tokens in texts for token in tokens)
    ranked = sorted(counts, key=lambda token: (-counts[token], token))
    return [PADDING, UNKNOWN, *(ranked if max_tokens is None else ranked[:max_tokens - 2])]


def _numbered(texts: list[list[str]], vocabulary: list[str], length: int) -> np.ndarray:
    number = {token: n for n, token in enumerate(vocabulary)}
    found = np.zeros((len(texts), length), np.int32)
    for row, tokens in zip(found, texts):
        kept = tokens[:length]
        row[:len(kept)] = [number.get(token, 1) for token in kept]
    return found


class Texts(NamedTuple):
    """Gives examples by their numbers."""

    x: np.ndarray
    y: np.ndarray | None

    def __call__(self, numbers: Any) -> Any:
        return self.x[numbers] if self.y is None else (self.x[numbers], self.y[numbers])


class Windows(NamedTuple):
    """Gives ``length`` tokens of a long text by the number of the window, and those one later."""

    tokens: np.ndarray
    length: int

    def __call__(self, numbers: Any) -> Any:
        places = np.asarray(numbers)[..., None] * self.length + np.arange(self.length)
        return self.tokens[places], self.tokens[places + 1]


def _windows(path: Path, length: int, split: str, max_tokens: int | None, vocabulary: Sequence[str] | None, order: Order) -> Any:
    tokens = tokenized(_read(path), split)
    known = [*vocabulary] if vocabulary is not None else frequent([tokens], max_tokens)
    numbers = _numbered([tokens], known, len(tokens))[0]
    picked = chosen(OP, max(0, (len(tokens) - 1) // length), order)
    return _named(in_memory(picked, order, Windows(numbers, length)), known, [])


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise ArgumentError(f"{OP}: {str(path)!r} can't be read: {error.strerror}") from None


def _from_folder(source: str | os.PathLike[str], part: str | None) -> tuple[list[str], list[str | None]]:
    entries = [entry for entry in tree(OP, source, ENDINGS).files if part is None or entry.part == PARTS.get(part, part)]
    labels = [entry.label for entry in entries]
    if None in labels and any(label is not None for label in labels):
        raise ArgumentError(f"{OP}: {entries[labels.index(None)].name!r} is in no class's folder, as others are")
    return [_read(entry.path) for entry in entries], labels


def _from_table(source: Any, text: str | None, label: str | None) -> tuple[list[str], list[str | None]]:
    columns = table(OP, source).columns
    for option, name in (("text", text), ("label", label)):
        if name not in columns and (option == "text" or name is not None):
            raise ArgumentError(f"{OP}: {option}={name!r} must name a column of {os.fspath(source)!r}: {', '.join(columns)}")
    found = columns[str(text)].text
    if found.null_count():
        raise ArgumentError(f"{OP}: column {text!r} has {found.null_count()} missing texts; fix: data.clean(data.report(...), "
                            "drop=['missing'])")
    labels: list[str | None] = [None] * len(found)
    if label is not None:
        labels = [None if value is None else str(value) for value in columns[label].text]
    if label is not None and None in labels:
        raise ArgumentError(f"{OP}: column {label!r} has missing labels, the first in row {labels.index(None)}")
    return [str(value) for value in found], labels
