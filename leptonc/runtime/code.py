"""Compiled code as data: the object, how it is called and what it needs. Bytes and back, for the cache."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from leptonc.bfloat16 import FORMATS, is_low, low_float
from leptonc.lazy import cached_property

DIGEST_BYTES = 32
MAX_BYTES = 1 << 47  # of an address space
DTYPES = frozenset((*FORMATS, *(np.dtype(name).str for name in (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64", "complex64",
    "complex128"))))


@dataclass(frozen=True)
class Slot:
    """An input or output: ``donated`` is True for an input whose memory is taken, for an output the number of the input
    whose memory it takes (or None)."""

    shape: tuple[int, ...]
    dtype: np.dtype
    name: str = ""
    donated: bool | int | None = None

    @cached_property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


@dataclass(frozen=True)
class Code:
    """An ELF object whose ``entry`` runs a program. ``parallel``: whether more than one thread has work; ``lasts``: whether signals
    may be handled in the midst of it."""

    data: bytes
    entry: str
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    constants: tuple[np.ndarray, ...] = ()
    arena_bytes: int = 0
    local_bytes: int = 0
    parallel: bool = True
    lasts: bool = False


def to_bytes(code: Code) -> bytes:
    """A digest, a header in JSON with the sizes of the blocks that follow, those: the object, then the constants.

    The digest says that all of it is of one piece. An object that runs with another's header (a smaller arena) writes where it
    should not, and nothing about the object would show it.
    """
    head = {
        "entry": code.entry,
        "inputs": [_slot(s) for s in code.inputs],
        "outputs": [_slot(s) for s in code.outputs],
        "constants": [{"shape": c.shape, "dtype": _dtype_text(c.dtype)} for c in code.constants],
        "object": len(code.data),
        **{key: getattr(code, key) for key in ("arena_bytes", "local_bytes", "parallel", "lasts")},
    }
    text = json.dumps(head).encode()
    whole = b"".join([len(text).to_bytes(8, "little"), text, code.data, *(c.tobytes() for c in code.constants)])
    return hashlib.sha256(whole).digest() + whole


def _slot(slot: Slot) -> dict[str, Any]:
    return {**asdict(slot), "dtype": _dtype_text(slot.dtype)}


def _dtype_text(dtype: np.dtype) -> str:
    return dtype.name if is_low(dtype) else dtype.str


def from_bytes(data: bytes) -> Code:
    """What ``to_bytes`` was given. Raises ValueError for anything else; the machine code itself is not looked at."""
    if hashlib.sha256(data[DIGEST_BYTES:]).digest() != data[:DIGEST_BYTES]:
        raise ValueError("it is not of one piece")
    try:
        head, blocks = _taken_apart(data[DIGEST_BYTES:])
        sizes = [head[key] for key in ("arena_bytes", "local_bytes")]
        flags = [head[key] for key in ("parallel", "lasts")]
        if not all(_is_count(n) for n in sizes) or {type(flag) for flag in flags} != {bool} or type(head["entry"]) is not str:
            raise ValueError("numbers of other kinds")
        inputs, outputs = _slots(head["inputs"], bool), _slots(head["outputs"], int)
        if not all(s.donated is None or _takes(s, inputs) for s in outputs):
            raise ValueError("an output takes the memory of no donated input like it")
        constants = tuple(_array(c, block) for c, block in zip(head["constants"], blocks[1:], strict=True))
        return Code(blocks[0], head["entry"], inputs, outputs, constants, *sizes, *flags)
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError, Warning) as error:
        raise ValueError(f"no compiled code: {error!r}") from None


def _taken_apart(data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The header, and the blocks behind it, which take all of the rest."""
    start = 8 + int.from_bytes(data[:8], "little")
    head = json.loads(data[8:start])
    sizes = [head["object"], *(_nbytes(c) for c in head["constants"])]
    if not all(_is_count(size) for size in sizes) or len(data) != start + sum(sizes):
        raise ValueError(f"{len(data)} bytes, expected {start} and {sizes}")
    ends = list(itertools.accumulate(sizes, initial=start))
    return head, [data[begin:end] for begin, end in itertools.pairwise(ends)]


def _is_count(x: object) -> bool:
    """Whether ``x`` may be a number of bytes, or an extent."""
    return type(x) is int and 0 <= x < MAX_BYTES


def _shape(found: dict[str, Any]) -> tuple[int, ...]:
    shape = found["shape"]
    if type(shape) is not list or not all(_is_count(n) for n in shape):
        raise ValueError(f"shape {shape!r}")
    return tuple(shape)


def _dtype(found: dict[str, Any]) -> np.dtype:
    if found["dtype"] not in DTYPES:
        raise ValueError(f"dtype {found['dtype']!r}")
    return low_float(found["dtype"]) if found["dtype"] in FORMATS else np.dtype(found["dtype"])


def _nbytes(found: dict[str, Any]) -> int:
    return math.prod(_shape(found)) * _dtype(found).itemsize


def _array(found: dict[str, Any], block: bytes) -> np.ndarray:
    return np.frombuffer(block, _dtype(found)).reshape(_shape(found))


def _slots(found: list[dict[str, Any]], mark: type) -> tuple[Slot, ...]:
    """``mark``: what ``donated`` is where it is not None, or for inputs False."""
    slots = tuple(Slot(_shape(s), _dtype(s), s["name"], s["donated"]) for s in found)
    if any(type(s.name) is not str or type(s.donated) not in (mark, type(None)) for s in slots):
        raise ValueError("slots of another kind")
    return slots


def _takes(output: Slot, inputs: tuple[Slot, ...]) -> bool:
    """Whether an output with ``donated`` set can lie in that input's memory."""
    number = output.donated or 0
    if not 0 <= number < len(inputs):
        return False
    given = inputs[number]
    return bool(given.donated) and (given.shape, given.dtype) == (output.shape, output.dtype)
