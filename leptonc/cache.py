"""Compiled code kept on disk between processes. A leaf module: it stores bytes under keys.

An entry is a file of the cache directory: a mark, the SHA-256 of what follows, and that. It is written under another name
and moved into place, so readers see all of it or nothing. The directory and its files must belong to this user and be
writable by nobody else: their contents are run. Whatever is wrong with an entry, or with the directory, it is a miss.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from leptonc import config

MARK = b"LEPTONC\x01"
SUFFIX = ".code"
MAX_BYTES = 512 * 1024 * 1024  # the oldest entries go when there are more
PACKAGE = Path(__file__).parent


def load(key: str) -> bytes | None:
    """What was stored under ``key``, or None."""
    directory = _directory(create=False)
    if directory is None:
        return None
    try:
        fd = os.open(directory / (key + SUFFIX), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not _is_private(os.fstat(fd)) or not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            data = file.read()
            os.utime(fd)  # the time of the last use decides what goes first
    except OSError:
        return None
    head = len(MARK) + 32
    if len(data) < head or not data.startswith(MARK) or hashlib.sha256(data[head:]).digest() != data[len(MARK):head]:
        return None
    return data[head:]


def store(key: str, data: bytes) -> None:
    """Keep ``data`` under ``key``; does nothing where that is not possible."""
    directory = _directory(create=True)
    if directory is None:
        return
    try:
        fd, name = tempfile.mkstemp(dir=directory, suffix=".part")
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(MARK + hashlib.sha256(data).digest() + data)
            os.replace(name, directory / (key + SUFFIX))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        _make_room(directory)
    except OSError as error:  # a full disk must not stop a training run
        _explain(f"{directory}: {error}")


def key_of(parts: Iterable[bytes]) -> str:
    """A key that depends on every part, and on the compiler itself."""
    hasher = hashlib.sha256(compiler_digest())
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little") + part)
    return hasher.hexdigest()


@functools.cache
def compiler_digest() -> bytes:
    """Of leptonc's own source and the version of llvmlite (which is not imported for it): a change of either is a miss."""
    hasher = hashlib.sha256(sys.version.encode())
    for path in sorted(PACKAGE.rglob("*.py")):
        hasher.update(str(path.relative_to(PACKAGE)).encode() + b"\0" + path.read_bytes())
    spec = importlib.util.find_spec("llvmlite")
    if spec is not None and spec.origin is not None:
        version = Path(spec.origin).with_name("_version.py")
        hasher.update(version.read_bytes() if version.exists() else Path(spec.origin).read_bytes())
    return hasher.digest()


def _directory(create: bool) -> Path | None:
    """The cache directory if it can be trusted."""
    if not config.cache_enabled():
        return None
    directory = config.cache_dir()
    try:
        if create:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = os.lstat(directory)
    except OSError as error:
        if create:
            _explain(f"{directory}: {error}")
        return None
    if not stat.S_ISDIR(status.st_mode) or not _is_private(status):
        _explain(f"{directory} is not a directory that this user alone can write to")
        return None
    return directory


def _is_private(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _make_room(directory: Path) -> None:
    entries = []
    for path in directory.iterdir():
        with contextlib.suppress(OSError):  # another process may have removed it
            status = path.stat()
            entries.append((status.st_mtime_ns, status.st_size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= MAX_BYTES:
            return
        with contextlib.suppress(OSError):
            path.unlink()
        total -= size


def _explain(why: str) -> None:
    if config.debug_level() >= 1:
        print(f"leptonc: nothing is cached: {why}", file=sys.stderr)
