"""Compiled code as data: the object, how it is called and what it needs. Bytes and back, for the cache."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from leptonc.lazy import cached_property


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
    """An ELF object whose ``entry`` runs a program. ``parallel``: whether more than one thread has work."""

    data: bytes
    entry: str
    inputs: tuple[Slot, ...]
    outputs: tuple[Slot, ...]
    constants: tuple[np.ndarray, ...] = ()
    arena_bytes: int = 0
    local_bytes: int = 0
    parallel: bool = True


def to_bytes(code: Code) -> bytes:
    """A header in JSON with the sizes of the blocks that follow: the object, then the constants."""
    head = {
        "entry": code.entry,
        "inputs": [_slot(s) for s in code.inputs],
        "outputs": [_slot(s) for s in code.outputs],
        "constants": [{"shape": c.shape, "dtype": c.dtype.str} for c in code.constants],
        "object": len(code.data),
        **{key: getattr(code, key) for key in ("arena_bytes", "local_bytes", "parallel")},
    }
    text = json.dumps(head).encode()
    return b"".join([len(text).to_bytes(8, "little"), text, code.data, *(c.tobytes() for c in code.constants)])


def _slot(slot: Slot) -> dict[str, Any]:
    return {**asdict(slot), "dtype": slot.dtype.str}


def from_bytes(data: bytes) -> Code:
    """What ``to_bytes`` was given. Raises ValueError, KeyError or TypeError for anything else."""
    start = 8 + int.from_bytes(data[:8], "little")
    head = json.loads(data[8:start])
    sizes = [head["object"]]
    shapes = [(tuple(c["shape"]), np.dtype(c["dtype"])) for c in head["constants"]]
    sizes += [int(np.prod(shape, dtype=np.int64)) * dtype.itemsize for shape, dtype in shapes]
    if len(data) != start + sum(sizes):
        raise ValueError(f"{len(data)} bytes, expected {start + sum(sizes)}")
    blocks = []
    for size in sizes:
        blocks.append(data[start:start + size])
        start += size
    constants = tuple(np.frombuffer(block, dtype).reshape(shape) for block, (shape, dtype) in zip(blocks[1:], shapes))
    return Code(blocks[0], head["entry"], _slots(head["inputs"]), _slots(head["outputs"]), constants, head["arena_bytes"],
                head["local_bytes"], head["parallel"])


def _slots(found: list[dict[str, Any]]) -> tuple[Slot, ...]:
    return tuple(Slot(tuple(s["shape"]), np.dtype(s["dtype"]), s["name"], s["donated"]) for s in found)
