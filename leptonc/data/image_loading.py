"""``image_dataset``: batches of pictures from a folder with a folder for each class."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from leptonc.data import images
from leptonc.data.files import PARTS, Entry, tree
from leptonc.data.loading import Augmentation, Order, chosen, dataset
from leptonc.errors import ArgumentError

OP = "data.image_dataset"
CHANNELS = {"rgb": 3, "grayscale": 1}
INTERPOLATIONS = {"nearest": images.Image.Resampling.NEAREST, "bilinear": images.Image.Resampling.BILINEAR,
                  "bicubic": images.Image.Resampling.BICUBIC, "area": images.Image.Resampling.BOX}
LABEL_MODES = ("int", "categorical", None)


def image_dataset(folder: str | os.PathLike[str], *, image_size: tuple[int, int] = (256, 256), batch_size: int | None = 32,
                  color_mode: str = "rgb", label_mode: str | None = "int", class_names: Sequence[str] | None = None,
                  part: str | None = None, only: Iterable[str] | None = None, shuffle: bool = True, seed: int = 0,
                  augment: Augmentation | Sequence[Augmentation] = (), validation_split: float | None = None,
                  subset: str | None = None, shard: tuple[int, int] = (0, 1), drop_remainder: bool = False,
                  interpolation: str = "bilinear") -> Any:
    """A grain dataset of (pictures f32[batch, height, width, channels] in 0..255, labels), which Keras's ``fit`` takes.

    The options are those of ``keras.utils.image_dataset_from_directory``. Labels are class numbers i32[batch] in the order of
    ``class_names`` (the names of the folders, sorted), rows f32[batch, classes] for ``label_mode="categorical"``, absent for None.
    ``part``: of a folder with ``train`` and ``validation`` in it, which. ``only``: names of the files to take, as ``clean`` gives
    them. ``augment``: functions of (picture, ``numpy.random.Generator``), such as ``leptonc.data.random_flip``. ``shard``: (index,
    count), examples that no other shard has. ``batch_size=None`` gives single examples.

    Files are read upright, whatever their mode, when they are wanted, by grain's threads. Everything drawn is drawn from ``seed``.
    The dataset has ``class_names``, and ``file_names`` of its pictures, in the order in which they come without ``shuffle``. Raises
    ArgumentError for wrong options, and for a folder without pictures; a picture that can't be read is an ArgumentError when its
    batch is.
    """
    _check(color_mode, label_mode, interpolation)
    entries = _entries(folder, part, None if only is None else {*only})
    names = _class_names(entries, class_names) if label_mode else []
    order = Order(batch_size, shuffle, seed, shard, validation_split, subset, drop_remainder)
    paths = [os.fspath(entry.path) for entry in entries]
    labels = [names.index(str(entry.label)) for entry in entries] if label_mode else None
    rows = len(names) if label_mode == "categorical" else None
    read = Reader(paths, labels, rows, image_size, CHANNELS[color_mode], interpolation)
    varied: Sequence[Any] = [augment] if callable(augment) else augment
    numbers = chosen(OP, len(entries), order)
    made = dataset(numbers, order, read, varied)
    made.class_names, made.file_names = names, [entries[n].name for n in numbers]
    return made


def _check(color_mode: str, label_mode: str | None, interpolation: str) -> None:
    for name, value, possible in (("color_mode", color_mode, CHANNELS), ("label_mode", label_mode, LABEL_MODES),
                                  ("interpolation", interpolation, INTERPOLATIONS)):
        if value not in possible:
            raise ArgumentError(f"{OP}: {name}={value!r} is none of {', '.join(map(repr, possible))}")


def _entries(folder: str | os.PathLike[str], part: str | None, only: set[str] | None) -> list[Entry]:
    found = tree(OP, folder).files
    if only is not None:
        unknown = only - {entry.name for entry in found}
        if unknown:
            raise ArgumentError(f"{OP}: only= names {min(unknown)!r}, which is no picture of {os.fspath(folder)!r}")
    entries = [entry for entry in found if only is None or entry.name in only]
    if part is not None:
        entries = [entry for entry in entries if entry.part == PARTS.get(part, part)]
    if not entries:
        raise ArgumentError(f"{OP}: there are no pictures in {os.fspath(folder)!r}" + (f" of part {part!r}" if part else ""))
    return entries


def _class_names(entries: Sequence[Entry], given: Sequence[str] | None) -> list[str]:
    found = {entry.label for entry in entries}
    if None in found:
        raise ArgumentError(f"{OP}: {next(entry.name for entry in entries if entry.label is None)!r} is in no class's folder; "
                            "fix: label_mode=None, or a folder for each class")
    if given is not None and not found <= {*given}:
        raise ArgumentError(f"{OP}: class_names lacks {min(str(name) for name in found - {*given})!r}")
    return [*given] if given is not None else sorted(str(name) for name in found)


class Reader(NamedTuple):
    """Reads a picture and its label by number."""

    paths: list[str]
    labels: list[int] | None
    classes: int | None  # for rows of 0 and 1
    size: tuple[int, int]
    channels: int
    interpolation: str

    def __call__(self, number: int) -> Any:
        x = self._picture(self.paths[number])
        if self.labels is None:
            return x
        label = self.labels[number]
        return x, np.int32(label) if self.classes is None else np.eye(self.classes, dtype=np.float32)[label]

    def _picture(self, path: str) -> np.ndarray:
        try:
            reading = images.read(images.Path(path), enough=2 * max(self.size))
        except images.Unreadable as error:
            raise ArgumentError(f"{OP}: {path!r} can't be read: {error}; fix: data.clean(data.report(...), "
                                "drop=['unreadable'])") from None
        return images.values(reading.image, self.size, self.channels, INTERPOLATIONS[self.interpolation])


