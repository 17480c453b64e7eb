"""Findings as lines of a terminal, 80 columns wide."""

from __future__ import annotations

import unicodedata

from leptonc.data.findings import KINDS, Findings, Issue

COLUMNS = 80
MOST_CLASSES = 40


def text(found: Findings) -> str:
    head = shortened(f"{found.count:,} {found.what} of {visible(found.source)}", COLUMNS)
    return "\n".join([head, *_class_lines(found), *_issue_lines(found), *_note_lines(found)])


def _class_lines(found: Findings) -> list[str]:
    rows = [(part, name, count) for part, names in found.classes.items() for name, count in names.items()]
    if not rows:
        return []
    most = max(count for *_, count in rows)
    shown = [f"  {padded(part, 12)} {padded(name, 26)} {count:>9,}  {'█' * -(-24 * count // most)}"
             for part, name, count in rows[:MOST_CLASSES]]
    more = [f"  and {len(rows) - MOST_CLASSES} classes more"] if len(rows) > MOST_CLASSES else []
    return ["", *shown, *more]


def _issue_lines(found: Findings) -> list[str]:
    if not found.issues:
        return ["", "Nothing was found."]
    return ["", f"  {'found':24} {'':>6}  for example", *(_issue_line(kind, count, found.of(kind)[0])
                                                          for kind, count in found.counts.items())]


def _issue_line(kind: str, count: int, example: Issue) -> str:
    return shortened(f"  {padded(KINDS[kind].title, 24)} {count:>6,}  {visible(example.item)}: {visible(example.why)}", COLUMNS)


def _note_lines(found: Findings) -> list[str]:
    return ["", *(line for note in found.notes for line in _wrapped(visible(note)))] if found.notes else []


def _wrapped(note: str) -> list[str]:
    lines, line = [], "  note:"
    for word in note.split(" "):
        if width(line) + 1 + width(word) > COLUMNS:
            lines.append(line)
            line = "       "
        line += " " + shortened(word, COLUMNS - 8)
    return [*lines, line]


# Names of files may hold anything: what a terminal would take for a command, bytes that are no text, letters two columns wide.


def visible(text: object) -> str:
    """Text without control characters and without bytes that could not be decoded, which are written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))


def width(text: str) -> int:
    """Columns of a terminal."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def shortened(text: str, columns: int) -> str:
    if width(text) <= columns:
        return text
    while width(text) > columns - 1:
        text = text[:-1]
    return text + "…"


def padded(text: object, columns: int) -> str:
    short = shortened(visible(text), columns)
    return short + " " * (columns - width(short))
