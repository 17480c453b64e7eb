"""Folders of files: which there are, and what their folders say of part and class."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from leptonc.errors import ArgumentError

ENDINGS = frozenset(".bmp .gif .jfif .jpe .jpeg .jpg .jp2 .pbm .pgm .png .pnm .ppm .tga .tif .tiff .webp".split())
PARTS = {"train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
         "dev": "validation", "test": "test", "testing": "test"}
WHOLE = "all"  # the part of data that has no parts


@dataclass(frozen=True)
class Entry:
    """A file. ``name``: below the folder, with slashes; ``label``: its class, None without one."""

    name: str
    path: Path
    part: str
    label: str | None


@dataclass(frozen=True)
class Tree:
    """The files of a folder and of all folders below it, in the order of their names.

    ``files``: those with one of the wanted endings; ``others``: names of the rest, hidden files too; ``skipped``: folders that
    were not entered, and why: links to a folder that they are in, and what may not be read.
    """

    root: Path
    files: tuple[Entry, ...]
    others: tuple[str, ...]
    skipped: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        return sorted({entry.label for entry in self.files if entry.label is not None})


def tree(op: str, folder: str | os.PathLike[str], endings: frozenset[str] = ENDINGS) -> Tree:
    """Raises ArgumentError for what is no folder."""
    root = Path(folder)
    if not root.is_dir():
        raise ArgumentError(f"{op}: {str(root)!r} is {'a file' if root.exists() else 'not there'}; a folder was wanted")
    skipped: list[str] = []
    names = sorted(_names(root, "", (os.path.realpath(root),), skipped))
    wanted = [name for name in names if os.path.splitext(name)[1].lower() in endings and not _is_hidden(name)]
    in_parts = _are_parts(wanted)
    entries = tuple(_entry(root, name, in_parts) for name in wanted)
    return Tree(root, entries, tuple(sorted({*names} - {*wanted})), tuple(sorted(skipped)))


def _names(root: Path, below: str, above: tuple[str, ...], skipped: list[str]) -> Iterator[str]:
    """Names of files; ``above``: the real places of the folders on the way."""
    try:
        found = [*os.scandir(root / below)]
    except OSError as error:
        skipped.append(f"{below} ({error.strerror})")
        return
    for item in found:
        name = f"{below}{item.name}"
        if not _is_folder(item):
            yield name
        elif (real := os.path.realpath(item.path)) in above:
            skipped.append(f"{name} (a link to a folder around it)")
        else:
            yield from _names(root, f"{name}/", (*above, real), skipped)


def _is_folder(item: os.DirEntry[str]) -> bool:
    try:
        return item.is_dir()
    except OSError:  # a link to itself
        return False


def _is_hidden(name: str) -> bool:
    return any(piece.startswith(".") for piece in name.split("/"))


def _are_parts(names: list[str]) -> bool:
    """Whether the folders at the top are parts of the data, as "train" and "validation", not classes."""
    tops = {name.split("/")[0] if "/" in name else "" for name in names}
    return bool(tops) and all(top.lower() in PARTS for top in tops)


def _entry(root: Path, name: str, in_parts: bool) -> Entry:
    *folders, _ = name.split("/")
    part = PARTS[folders.pop(0).lower()] if in_parts else WHOLE
    return Entry(name, root / name, part, "/".join(folders) or None)
