"""Files that are there whole or not at all.

A file is written under another name in the same folder, brought to the disk, and moved into place; then the folder is brought to
the disk. Whoever opens the path finds the old file or the new one, whenever the process is killed or the machine loses power.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def replaced(path: str) -> Iterator[str]:
    """The name to write under; what lies there becomes ``path`` when the block ends, and nothing changes if it raises.

    The name is always the same, so that what a killed writer left is written over. It ends as ``path`` does.
    """
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path} is a directory; fix: the name of a file")
    stem, suffix = (name[:-len(end)], end) if (end := _suffix(name)) else (name, "")
    part = os.path.join(folder, f".{stem}.part{suffix}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(part)  # of a killed writer, or a link that leads elsewhere
    try:
        yield part
        _synchronized(part)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    _synchronized(folder)


def _suffix(name: str) -> str:
    return next((end for end in (".weights.h5", ".keras", ".h5") if name.endswith(end)), "")


def write(path: str, chunks: Iterable[bytes | memoryview]) -> None:
    """``chunks``, behind each other, become the file ``path``."""
    with replaced(path) as part:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), 0o666)
        with os.fdopen(fd, "wb", buffering=0) as file:
            for chunk in chunks:
                _write_all(file.fileno(), memoryview(chunk).cast("B"))


def _write_all(fd: int, rest: memoryview) -> None:
    while rest:
        rest = rest[os.write(fd, rest):]


def _synchronized(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
