"""Cleaning a folder of pictures: a new folder beside it, or the names that stay."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

from leptonc.data import images
from leptonc.data.agreement import OP, Agreement, Choice, Cleaned, agreement, log
from leptonc.data.files import Tree
from leptonc.data.findings import KINDS, Issue
from leptonc.data.results import Report
from leptonc.errors import ArgumentError

DROPPABLE = frozenset(KINDS) - {"imbalance", "missing", "non_finite", "wrong_type", "constant", "no_header"}
REPAIRABLE = frozenset({"label", "rotated", "animated", "mode"})
REDRAWN = frozenset({"rotated", "animated", "mode"})  # repaired by writing the picture anew
PARTIAL = ".partial"  # of the folder until it is whole


def cleaned(report: Report, drop: Choice, repair: Choice, to: str | None) -> Cleaned:
    tree: Tree = report.content.trees[0]
    own = {entry.name for entry in tree.files}
    found = agreement(report, drop, repair, DROPPABLE, REPAIRABLE)
    agreed = Agreement([issue for issue in found.drop if issue.item in own], [issue for issue in found.repair if issue.item in own])
    if to is None and agreed.repair:
        raise ArgumentError(f"{OP}: repair= writes pictures, for which to= must name a new folder")
    kept = [entry.name for entry in tree.files if entry.name not in agreed.dropped]
    repairs = [] if to is None else _copied(tree, agreed, kept, _new_place(tree, to))
    return Cleaned(kept, log(report, agreed, len(tree.files), len(kept), to, repairs))


def _new_place(tree: Tree, to: str) -> Path:
    place = Path(to)
    if os.path.lexists(place):
        raise ArgumentError(f"{OP}: {to!r} is there already; to= must name a new folder")
    if Path(os.path.realpath(place)).is_relative_to(os.path.realpath(tree.root)):
        raise ArgumentError(f"{OP}: {to!r} lies in the folder that is cleaned")
    return place


def _copied(tree: Tree, agreed: Agreement, kept: list[str], place: Path) -> list[dict[str, Any]]:
    """All files but those dropped, in a folder that appears when it is whole. Returns what was repaired."""
    partial = place.with_name(place.name + PARTIAL)
    partial.mkdir(parents=True)
    try:
        taken = {*kept, *tree.others}
        repairs = [_repaired(tree, partial, name, issues, taken) for name, issues in agreed.repaired.items()]
        for name in (*kept, *tree.others):
            if name not in agreed.repaired:
                _copy(tree.root / name, partial / name)
        partial.rename(place)
    except BaseException:
        shutil.rmtree(partial)
        raise
    return repairs


def _copy(source: Path, target: Path) -> None:
    """A file as it is, or what a link leads to; a link that leads nowhere stays one, and a pipe or a device is not data."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not source.exists():
        target.symlink_to(os.readlink(source))
    elif stat.S_ISREG(source.stat().st_mode):
        shutil.copy2(source, target)


def _repaired(tree: Tree, partial: Path, name: Any, issues: list[Issue], taken: set[str]) -> dict[str, Any]:
    """A file moved to the class that is suggested, and written anew where it must be, as PNG: no pixel changes by that."""
    suggested = next((issue.suggestion for issue in issues if issue.suggestion is not None), None)
    redrawn = any(issue.kind in REDRAWN for issue in issues)
    new = _free(_renamed(tree, name, suggested, ".png" if redrawn else Path(name).suffix), taken, name)
    target = partial / new
    if redrawn:
        target.parent.mkdir(parents=True, exist_ok=True)
        with images.quietly():
            images.read(tree.root / name).image.save(target, "PNG")
    else:
        _copy(tree.root / name, target)
    return {"item": name, "kinds": [issue.kind for issue in issues], "why": [issue.why for issue in issues], "now": new}


def _renamed(tree: Tree, name: str, label: str | None, ending: str) -> str:
    old = next(entry.label for entry in tree.files if entry.name == name)
    folders, _, file = name.rpartition("/")
    if label is not None and old is not None:
        folders = f"{folders.removesuffix(old)}{label}"
    stem = file.removesuffix(Path(file).suffix)
    return f"{folders}/{stem}{ending}" if folders else f"{stem}{ending}"


def _free(name: str, taken: set[str], own: str) -> str:
    """``name``, with a number behind it if another file has it; it is taken then."""
    stem, ending = os.path.splitext(name)
    number, found = 1, name
    while found in taken and found != own:
        number += 1
        found = f"{stem}-{number}{ending}"
    taken.add(found)
    return found
