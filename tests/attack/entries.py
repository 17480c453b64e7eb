"""Cache entries that were changed and whose checksum is right again, and files that are no entries: all of them misses."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import leptonc
from leptonc import cache, driver
from leptonc.runtime.code import DIGEST_BYTES, from_bytes
from tests.attack.paths import W, X, layers, same
from tests.attack.process import Attempt, Count, run

TABLE = np.arange(96, dtype=np.float32)
VALUES: tuple[Any, ...] = (None, True, -1, 0, 1, 2**31, 2**63, 2**70, 1.5, float("nan"), "", "x" * 1000, [], {}, [[]], [0, -1],
                           [2**40] * 3, "<f8", "O", "V8", "step", "\x00")


def _fresh_directory() -> Path:
    os.environ["LEPTONC_CACHE"] = "1"
    os.environ["LEPTONC_CACHE_DIR"] = found = tempfile.mkdtemp()
    return Path(found)


def _program() -> Any:
    return leptonc.jit(lambda x, w: layers(x + TABLE, w), donate_argnums=0)


def _entry(directory: Path) -> tuple[str, bytes]:
    """(key, contents) of the program's entry."""
    for path in directory.glob("*.code"):
        data = cache.load(path.stem)
        if data is not None and from_bytes(data).inputs:
            return path.stem, data
    raise AssertionError("nothing was kept")


def changed_bytes(rng: np.random.Generator, data: bytes) -> bytes:
    """Bits turned over, a piece left out, doubled, moved, zeroed, or the end cut off."""
    kind, at = int(rng.integers(6)), int(rng.integers(len(data)))
    size = int(rng.integers(1, 64))
    if kind == 0:
        return data[:at] + bytes([data[at] ^ (1 << int(rng.integers(8)))]) + data[at + 1:]
    if kind == 1:
        return data[:at] + data[at + size:]
    if kind == 2:
        return data[:at + size] + data[at:]
    if kind == 3:
        return data[:at] + bytes(size) + data[at + size:]
    if kind == 4:
        return data[:at] + rng.bytes(size) + data[at + size:]
    return data[:at]


def changed_header(rng: np.random.Generator, data: bytes) -> bytes:
    """One value of the header another, the digest of the whole right again. What only says how much room the code needs is left
    as it is: who can write that, and a digest, can as well write code."""
    inner = data[DIGEST_BYTES:]
    size = int.from_bytes(inner[:8], "little")
    head = json.loads(inner[8:8 + size])
    spots: list[tuple[Any, Any]] = []

    def collect(value: Any) -> None:
        for key in list(value.keys() if isinstance(value, dict) else range(len(value))):
            if key not in ("arena_bytes", "local_bytes", "parallel", "name"):
                spots.append((value, key))
            if isinstance(value[key], dict | list):
                collect(value[key])

    collect(head)
    owner, key = spots[int(rng.integers(len(spots)))]
    owner[key] = VALUES[int(rng.integers(len(VALUES)))]
    text = json.dumps(head).encode()
    whole = len(text).to_bytes(8, "little") + text + inner[8 + size:]
    return hashlib.sha256(whole).digest() + whole


CHANGES = {f.__name__: f for f in (changed_bytes, changed_header)}


def mutated(kinds: str) -> Attempt:
    """``kinds``: a name of CHANGES, or several with a + between, in turns."""
    changes = [CHANGES[kind] for kind in kinds.split("+")]
    directory = _fresh_directory()
    wanted = _program()(X.copy(), W)
    key, whole = _entry(directory)

    def attempt(seed: int) -> str:
        data = changes[seed % len(changes)](np.random.default_rng(seed), whole)
        cache.store(key, data)
        same(_program()(X.copy(), W), wanted)
        mended = cache.load(key)
        assert mended == whole or mended == data
        return "a miss" if mended != data else "no change" if data == whole else "right all the same"

    return attempt


def mutated_pool() -> Attempt:
    """The thread pool's entry."""
    directory = _fresh_directory()
    driver._pool_object()
    (path,) = directory.glob("*.code")
    whole = cache.load(path.stem)
    assert whole is not None

    def attempt(seed: int) -> str:
        data = changed_bytes(np.random.default_rng(seed), whole)
        cache.store(path.stem, data)
        driver._pool_object()
        assert cache.load(path.stem) == whole or data == whole
        return "a miss" if data != whole else "no change"

    return attempt


def objects() -> Attempt:
    """Objects of any bytes, given to the loader alone: loaded or refused, and nothing is run."""
    directory = _fresh_directory()
    _program()(X.copy(), W)
    code = from_bytes(_entry(directory)[1]).data

    def attempt(seed: int) -> str:
        rng = np.random.default_rng(seed)
        data = bytearray(changed_bytes(rng, code))
        for _ in range(int(rng.integers(4))):  # the header and the tables of sections and symbols are a small part of all
            at = int(rng.integers(64)) if rng.random() < 0.3 else max(len(data) - int(rng.integers(1, 1500)), 0)
            if at < len(data):
                data[at] = int(rng.choice([0, 1, 127, 128, 255]))
        try:
            driver.LoadedObject(bytes(data))
        except leptonc.errors.CompileError:
            return "refused"
        return "loaded"

    return attempt


def attacks(count: int = 1000) -> Iterator[tuple[str, Count]]:
    for kind in CHANGES:
        yield f"cache entries, {kind}", run("entries", "mutated", range(count), kind)
    yield "the pool's entry", run("entries", "mutated_pool", range(count // 2))
    yield "damaged objects", run("entries", "objects", range(10 * count))
