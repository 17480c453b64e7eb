"""What a look at data found: kinds of issues, issues, and all of them together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from leptonc.errors import ArgumentError, near_names


class Kind(NamedTuple):
    """A kind of issue: what it is called in a table, and what ``clean(repair=...)`` does about it, if anything."""

    title: str
    repair: str = ""


KINDS = {
    "unreadable": Kind("can't be read"),
    "duplicate": Kind("duplicates"),
    "near_duplicate": Kind("near duplicates"),
    "leakage": Kind("in another part too"),
    "near_leakage": Kind("nearly in another part"),
    "label": Kind("label is likely wrong", "given the label that the model suggests"),
    "imbalance": Kind("small class"),
    "dark": Kind("dark"),
    "light": Kind("washed out"),
    "blurry": Kind("blurry"),
    "low_information": Kind("hardly anything on it"),
    "odd_size": Kind("odd size"),
    "odd_aspect_ratio": Kind("odd aspect ratio"),
    "rotated": Kind("rotated by its EXIF", "turned upright"),
    "animated": Kind("several frames", "the first frame kept"),
    "mode": Kind("not 8-bit grey or RGB", "made 8-bit RGB"),
    "missing": Kind("missing values", "filled with the median, or the most frequent text"),
    "non_finite": Kind("NaN or infinite", "filled with the median of the finite ones"),
    "wrong_type": Kind("text among numbers", "filled with the median"),
    "constant": Kind("one value only"),
    "no_header": Kind("no header"),
}


class Issue(NamedTuple):
    """One thing found. ``item``: the file (below the folder), the row of an array or a table, or the name of a column or class;
    ``related``: what it was compared with; ``rows``: of a column, where; ``suggestion``: the label it may have instead."""

    kind: str
    item: str | int
    why: str
    related: tuple[str | int, ...] = ()
    rows: tuple[int, ...] = ()
    suggestion: str | None = None


@dataclass(frozen=True)
class Findings:
    """``counts``: how many issues of each kind there are, in the order of ``KINDS``; ``of(kind)``: the issues of one; ``classes``:
    examples by part of the data ("train", "validation", ...) and class; ``notes``: what was not checked, and why."""

    source: str
    what: str  # pictures, rows
    count: int
    classes: dict[str, dict[str, int]]
    issues: tuple[Issue, ...]
    notes: tuple[str, ...] = ()
    content: Any = field(default=None, repr=False, compare=False)  # what ``clean`` takes from
    thumbnail: Callable[[Any], bytes | None] | None = field(default=None, repr=False, compare=False)  # a JPEG of an item

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(issue.kind for issue in self.issues)
        return {kind: found[kind] for kind in KINDS if kind in found}

    def of(self, kind: str) -> list[Issue]:
        """The issues of a kind. Raises ArgumentError for one that there is not."""
        known_kind("data.Report.of", kind)
        return [issue for issue in self.issues if issue.kind == kind]


def known_kind(op: str, kind: str) -> str:
    """``kind``. Raises ArgumentError for one that there is not."""
    if kind not in KINDS:
        raise ArgumentError(f"{op}: there is no kind of issue {kind!r}; {near_names(kind, KINDS) or 'kinds: ' + ', '.join(KINDS)}")
    return kind
