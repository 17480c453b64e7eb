"""Nested dicts and lists of arrays, numbers and strings as a file: what a checkpoint is made of.

    mark, 8 bytes; length of the whole file, u64; length of the header, u64; header, JSON; arrays, each at a multiple of 64;
    SHA-256 of all that is before it

An array stands in the header as its dtype, shape and offset. Reading checks the length and the sum before anything else,
takes memory for no more than the file holds, and runs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from leptonc.bfloat16 import FORMATS, is_low, low_float
from leptonc.callbacks import atomic
from leptonc.errors import LeptonError

MARK = b"LEPTCKP\x01"
HEAD = len(MARK) + 16
SUM = 32
ALIGNED = 64
ARRAY = "array:"  # the key of an array's entry
DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "float16", "float32", "float64", "complex64", "complex128", *FORMATS)


class CheckpointError(LeptonError, ValueError):
    """A checkpoint that can't be read, or is one of something else."""


def save(path: str, tree: Any) -> None:
    """Write ``tree`` to ``path``, whole or not at all."""
    arrays: list[np.ndarray] = []
    offsets = [0]
    header = json.dumps(_packed(tree, arrays, offsets)).encode()
    header += b" " * (-(HEAD + len(header)) % ALIGNED)
    atomic.write(path, _summed(header, arrays, HEAD + len(header) + offsets[0] + SUM))


def _packed(value: Any, arrays: list[np.ndarray], end: list[int]) -> Any:
    """``value`` for JSON; its arrays go to ``arrays``, where ``end`` is the offset of the next."""
    if isinstance(value, dict):
        return {str(key): _packed(item, arrays, end) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_packed(item, arrays, end) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value, order="C")
        if array.dtype.name not in DTYPES:
            raise CheckpointError(f"an array of dtype {array.dtype} can't be kept in a checkpoint")
        entry = {ARRAY: array.dtype.name, "shape": array.shape, "offset": end[0]}
        arrays.append(array)
        end[0] += array.nbytes + -array.nbytes % ALIGNED
        return entry
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise CheckpointError(f"a value of type {type(value).__name__} can't be kept in a checkpoint; fix: arrays, numbers, strings, "
                          "or dicts and lists of them")


def _summed(header: bytes, arrays: list[np.ndarray], size: int) -> Iterator[bytes | memoryview]:
    """The pieces of the file, the last of which is the sum."""
    hasher = hashlib.sha256()
    start = MARK + size.to_bytes(8, "little") + len(header).to_bytes(8, "little") + header
    for array in (np.frombuffer(start, np.uint8), *arrays):
        flat = _little(array).reshape(-1).view(np.uint8)
        for piece in (flat.data, bytes(-flat.size % ALIGNED)):
            hasher.update(piece)
            yield piece
    yield hasher.digest()


def _little(array: np.ndarray) -> np.ndarray:
    bits = array.view(f"u{array.itemsize}") if is_low(array.dtype) else array
    return bits.astype(bits.dtype.newbyteorder("<"), copy=False)


def load(path: str) -> Any:
    """What ``save`` wrote. Raises CheckpointError, which says what is wrong with the file, and leaves the file as it is."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
        if head[:len(MARK)] != MARK:
            other = ", or of another version" if head[:7] == MARK[:7] else ""
            raise CheckpointError(f"{path} is no checkpoint of leptonc{other}")
        size = int.from_bytes(head[len(MARK):len(MARK) + 8], "little")
        found = os.fstat(file.fileno()).st_size
        if found != size or len(head) < HEAD:
            what = "is cut off" if found < size else "is longer than it was"
            raise CheckpointError(f"{path} {what}: it has {found} bytes of {size}; fix: another copy, or remove it to start anew")
        data = head + file.read(size - HEAD)
    if len(data) != size or hashlib.sha256(memoryview(data)[:-SUM]).digest() != data[-SUM:]:
        raise CheckpointError(f"{path} is damaged: its checksum does not fit; fix: another copy, or remove it to start anew")
    return _unpacked_file(path, data)


def _unpacked_file(path: str, data: bytes) -> Any:
    start = HEAD + int.from_bytes(data[HEAD - 8:HEAD], "little")
    try:
        header = json.loads(data[HEAD:start])
        return _unpacked(header, memoryview(data)[start:len(data) - SUM])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise CheckpointError(f"{path} is no checkpoint of leptonc: {error}") from error


def _unpacked(value: Any, arrays: memoryview) -> Any:
    if isinstance(value, list):
        return [_unpacked(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if ARRAY not in value:
        return {key: _unpacked(item, arrays) for key, item in value.items()}
    if value[ARRAY] not in DTYPES:
        raise ValueError(f"dtype {value[ARRAY]!r:.30}")
    low = low_float(value[ARRAY]) if value[ARRAY] in FORMATS else None
    dtype = np.dtype(value[ARRAY] if low is None else f"u{low.itemsize}").newbyteorder("<")
    shape = tuple(value["shape"])
    count = int(np.prod(shape, dtype=object))  # an empty product is 1
    found = np.frombuffer(arrays, dtype, count, value["offset"]) if count else np.empty(0, dtype)
    return (found if low is None else found.view(low)).reshape(shape)
