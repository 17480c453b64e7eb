"""Faults that are known and not mended yet, so that a campaign goes on to others. Empty is how it should be."""

from __future__ import annotations

import re

KNOWN: dict[str, str] = {
    # reason: a pattern of "way: text"
    "eager arrays have no .at": r"^eager: AttributeError.*no attribute 'at'",
    "a known index out of range in eager mode": r"^eager: (IndexError|ShapeError).*(out of bounds|out of range)",
    "split of an empty axis": r"^drawing: ValueError: range\(\) arg 3",
    "casts in eager mode": r"^eager: result.*(expected np.(uint|int)|is np.float64.42949)",
}


def known(way: str, text: str) -> str | None:
    """Why a fault is known, or None."""
    whole = f"{way}: {text}"
    return next((reason for reason, pattern in KNOWN.items() if re.search(pattern, whole, re.DOTALL)), None)
