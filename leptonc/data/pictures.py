"""Reports on pictures: those of a folder, or of an array."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from leptonc import config
from leptonc.data import classes, images
from leptonc.data.copies import Examples, equal, similar
from leptonc.data.files import Entry, Tree
from leptonc.data.findings import Issue
from leptonc.data.looks import Look, judged, look
from leptonc.data.results import Report

MOST_NAMED = 3  # files in a note


class FolderContent(NamedTuple):
    """What ``clean`` takes from: the folder, or those of training and validation."""

    trees: Sequence[Tree]


class Picture(NamedTuple):
    """A picture that was read: its look, and a key that equal pictures share."""

    look: Look
    key: bytes
    peculiar: dict[str, str]


def folder_report(source: str, trees: Sequence[Tree], seed: int) -> Report:
    """``trees``: of one folder, or of training and validation, whose entries say so by their part."""
    entries = [entry for tree in trees for entry in tree.files]
    found = _in_threads(_picture, entries)
    broken = [Issue("unreadable", entry.name, why) for entry, why in zip(entries, found) if isinstance(why, str)]
    good = [(entry, picture) for entry, picture in zip(entries, found) if isinstance(picture, Picture)]
    examples = Examples([entry.name for entry, _ in good], [entry.part for entry, _ in good], [entry.label for entry, _ in good])
    issues, notes = picture_issues(examples, [picture for _, picture in good], "the same pixels", seed)
    counts = classes.counted(examples.parts, examples.labels)
    paths = {entry.name: entry for entry in entries}
    return Report(source, "pictures", len(entries), counts, (*broken, *issues, *classes.imbalances(counts)),
                  (*_file_notes(trees), *notes), FolderContent(trees), partial(_thumbnail, paths))


def _in_threads(f: Callable[[Any], Any], items: Any) -> list[Any]:
    """Pillow and NumPy let other threads run while they work."""
    with images.quietly(), ThreadPoolExecutor(max(1, config.num_threads())) as pool:
        return [*pool.map(f, items)]


def _picture(entry: Entry) -> Picture | str:
    """Or why it can't be read."""
    try:
        reading = images.read(entry.path, enough=256)
        return Picture(look(reading.image, reading.size), reading.pixels or reading.digest, reading.peculiar)
    except images.Unreadable as error:
        return str(error)


def array_pictures(x: np.ndarray) -> list[Picture]:
    """Of [n, height, width, 1, 3 or 4]; u8, floats in 0..1 or 0..255, or of any other range, which is stretched."""
    low, scale = _range(x)
    return _in_threads(partial(_array_picture, low=low, scale=scale), x)


def _array_picture(array: np.ndarray, low: float, scale: float) -> Picture:
    image = images.of_array(array, low, scale)
    return Picture(look(image, image.size), array.tobytes(), {})


def _range(x: np.ndarray) -> tuple[float, float]:
    """(what is black, how far white is from it)."""
    if x.dtype == np.uint8:
        return 0.0, 255.0
    low, high = _finite_range(x)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and 2 < high <= 255:
        return 0.0, 255.0
    return low, high - low or 1.0


def _finite_range(x: np.ndarray) -> tuple[float, float]:
    finite = x[np.isfinite(x)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def array_thumbnail(x: np.ndarray) -> Callable[[Any], bytes | None]:
    low, scale = _range(x)
    return lambda item: images.thumbnail(images.of_array(x[item], low, scale)) if item in range(len(x)) else None


def picture_issues(examples: Examples, pictures: Sequence[Picture], same: str, seed: int) -> tuple[list[Issue], list[str]]:
    """(issues, notes) of pictures that were read."""
    looks, keys = [picture.look for picture in pictures], [picture.key for picture in pictures]
    judgements = judged(looks)
    issues = [*examples.exact_issues(equal(keys), same)]
    if looks:
        usable = np.ones(len(looks), bool)
        usable[[n for n, _ in judgements.get("low_information", [])]] = False
        small = np.stack([found.small for found in looks])
        hashes = np.array([found.hash for found in looks], np.uint64)
        issues += examples.near_issues(similar(hashes, small, keys, usable), keys)
        doubted, notes = classes.doubts(examples.names, examples.labels, small, seed)
    else:
        doubted, notes = [], []
    measured = [Issue(kind, examples.names[n], why) for kind, found in judgements.items() for n, why in found]
    peculiar = [Issue(kind, name, why) for name, picture in zip(examples.names, pictures) for kind, why in picture.peculiar.items()]
    return [*issues, *doubted, *measured, *peculiar], notes


def _file_notes(trees: Sequence[Tree]) -> list[str]:
    others = [name for tree in trees for name in tree.others]
    skipped = [name for tree in trees for name in tree.skipped]
    empty = [str(tree.root) for tree in trees if not tree.files]
    return [*(f"there are no pictures in {root}" for root in empty),
            *([f"no pictures by their names, left alone: {_some(others)}"] if others else []),
            *([f"folders that were not entered: {_some(skipped)}"] if skipped else [])]


def _some(names: Iterable[str]) -> str:
    first, *more = [*names]
    shown = [first, *more][:MOST_NAMED]
    left = len(more) + 1 - len(shown)
    return ", ".join(shown) + (f" and {left} more" if left else "")


def _thumbnail(paths: dict[str, Entry], item: Any) -> bytes | None:
    if item not in paths:
        return None
    with images.quietly(), contextlib.suppress(images.Unreadable):
        return images.thumbnail(images.read(paths[item].path, images.THUMBNAIL).image)
    return None
