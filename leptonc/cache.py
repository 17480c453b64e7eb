"""Compiled code kept on disk between processes. A leaf module: it stores bytes under keys.

An entry is a file of the cache directory: a mark, the SHA-256 of its key and of what follows, and that. It is written under
another name and moved into place, so readers see all of it or nothing. The directory and its files must belong to this user and
be writable by nobody else: their contents are run. Whatever is wrong with an entry, or with the directory, it is a miss. Nothing
is ever deleted but what is named as an entry and begins as one.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import re
import secrets
import stat
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from leptonc import config

MARK = b"LEPTONC\x02"
OWNER = MARK[:-1]  # what the entries of every version begin with
SUFFIX = ".code"
ENTRY = re.compile(r"[0-9a-f]{64}\.code")
PART = re.compile(r"[0-9a-f]{64}\.(\d{1,10})\.[0-9a-f]{16}\.part")  # of a writer: its process, and a random number
PART_SECONDS = 3600.0  # a part as old as this, of a process that is not there, will not be finished
MAX_BYTES = 512 * 1024 * 1024  # the oldest entries go when there are more
PACKAGE = Path(__file__).parent
HEAD = len(MARK) + 32


def load(key: str) -> bytes | None:
    """What was stored under ``key``, or None."""
    directory = _directory(create=False)
    if directory is None:
        return None
    try:
        with _opened(directory / (key + SUFFIX)) as fd:
            status = os.fstat(fd)
            # a sparse file of any length costs nothing to whoever left it there
            if not _is_private(status) or status.st_size > MAX_BYTES or os.read(fd, len(MARK)) != MARK:
                return None
            os.lseek(fd, 0, os.SEEK_SET)
            with open(fd, "rb", closefd=False) as file:
                data = file.read(status.st_size)
            with contextlib.suppress(OSError):
                os.utime(fd)  # the time of the last use decides what goes first
    except (OSError, MemoryError):
        return None
    return data[HEAD:] if data[len(MARK):HEAD] == _digest(key, data[HEAD:]) else None


def store(key: str, data: bytes) -> None:
    """Keep ``data`` under ``key``; does nothing where that is not possible."""
    if len(data) + HEAD > MAX_BYTES:
        return
    directory = _directory(create=True)
    if directory is None:
        return
    try:
        _write(directory, key, data)
        _make_room(directory)
    except (OSError, MemoryError) as error:  # a full disk must not stop a training run
        _explain(f"{directory}: {error}")


def _write(directory: Path, key: str, data: bytes) -> None:
    part = directory / f"{key}.{os.getpid()}.{secrets.token_hex(8)}.part"
    try:
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(MARK + _digest(key, data) + data)
        os.replace(part, directory / (key + SUFFIX))
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise


def _digest(key: str, data: bytes) -> bytes:
    """Of an entry: one that was copied to another name is none."""
    hasher = hashlib.sha256(key.encode() + b"\0")
    hasher.update(data)
    return hasher.digest()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """A regular file, open for reading; OSError if it is a link, a FIFO (whose open would wait for a writer), a directory."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(f"{path} is no regular file")
        yield fd
    finally:
        os.close(fd)


def key_of(parts: Iterable[bytes]) -> str | None:
    """A key that depends on every part, and on the compiler itself; None if the compiler's source cannot be read now."""
    try:
        hasher = hashlib.sha256(compiler_digest())
    except OSError as error:  # no free file descriptor
        _explain(str(error))
        return None
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
    """Delete the oldest entries beyond ``MAX_BYTES``, and what writers that died have left."""
    entries, total = [], 0
    for name, status in _files(directory):
        if ENTRY.fullmatch(name):
            entries.append((status.st_mtime_ns, status.st_size, name))
            total += status.st_size
        elif _is_left(name, status):
            _delete(directory / name)
    for _, size, name in sorted(entries):
        if total <= MAX_BYTES:
            return
        total -= size if _delete(directory / name) else 0


def _files(directory: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The regular files of this user."""
    with os.scandir(directory) as found:
        for item in found:
            with contextlib.suppress(OSError):  # another process may have removed it
                status = item.stat(follow_symlinks=False)
                if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid():
                    yield item.name, status


def _is_left(name: str, status: os.stat_result) -> bool:
    """Whether a file is the unfinished entry of a process that is not there any more, nor was for a while: where processes of
    several machines share a directory, one says nothing of the others'."""
    found = PART.fullmatch(name)
    if found is None or time.time() - status.st_mtime < PART_SECONDS:
        return False
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _delete(path: Path) -> bool:
    """Delete a file that begins as an entry, or is the beginning of one; returns whether it did."""
    try:
        with _opened(path) as fd:
            begin = os.read(fd, len(OWNER))
            if begin != OWNER and not (path.suffix == ".part" and OWNER.startswith(begin)):
                return False
        path.unlink()
    except OSError:
        return False
    return True


def _explain(why: str) -> None:
    if config.debug_level() >= 1:
        print(f"leptonc: nothing is cached: {why}", file=sys.stderr)
