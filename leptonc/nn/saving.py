"""Arrays of trees in files, by flat names: NumPy's .npz, and .safetensors (which PyTorch, JAX and Keras read as well)."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.errors import ArgumentError, ShapeError, TreeError, describe
from leptonc.memory import placed
from leptonc.nn.module import dotted
from leptonc.promotion import numpy_dtype
from leptonc.public import public

# https://github.com/huggingface/safetensors: a u64, so many bytes of JSON, the arrays; little-endian, row by row
SAFETENSORS = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float32": "F32",
    "float64": "F64",
}
ALIGNMENT = 8  # bytes of the header, as the format's own writer pads it


@public
def save(path: str | os.PathLike[str], *trees: Any) -> None:
    """Write the arrays of trees (a model, its state ...) to a file .npz or .safetensors, under names like ``encoder.0.kernel``.

    The file is replaced as a whole, or stays as it was. Raises ArgumentError for another suffix or two arrays of one name.
    """
    place = _place("save", path)
    arrays: dict[str, np.ndarray] = {}
    for whole in trees:
        for name, leaf in _named(whole):
            if name in arrays:
                raise ArgumentError(f"save: two arrays are named {name!r}; fix: save({{'model': a, 'other': b}})")
            arrays[name] = np.asarray(leaf)
    beside = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        with open(beside, "wb") as file:
            WRITERS[place.suffix](file, arrays)
        os.replace(beside, place)
    finally:
        beside.unlink(missing_ok=True)


@public
def load(path: str | os.PathLike[str], *trees: Any) -> Any:
    """Trees like these (a model, whose parameters need not be drawn; a state) with the arrays of a file that ``save`` wrote.

    One tree for one, a tuple for several. Raises TreeError for names that are missing or left over, ShapeError for an array of
    another shape or dtype, OSError for a file that cannot be read.
    """
    place = _place("load", path)
    arrays = READERS[place.suffix](place)
    wanted = [name for whole in trees for name, _ in _named(whole)]
    missing, unknown = [n for n in wanted if n not in arrays], [n for n in arrays if n not in wanted]
    if missing or unknown:
        parts = [
            f"{what} {', '.join(names[:5])}{' ...' * (len(names) > 5)}"
            for what, names in (("it lacks", missing), ("nothing takes its", unknown))
            if names
        ]
        raise TreeError(f"load: {place.name} is of another model: {'; '.join(parts)}")
    loaded = [
        tree.unflatten(tree.structure(whole), [_like(name, leaf, arrays[name]) for name, leaf in _named(whole)])
        for whole in trees
    ]
    return loaded[0] if len(loaded) == 1 else tuple(loaded)


def _place(name: str, path: Any) -> Path:
    if not isinstance(path, str | os.PathLike) or Path(path).suffix not in WRITERS:
        raise ArgumentError(f"{name}: path={describe(path)} must end with .npz or .safetensors")
    return Path(path)


def _named(whole: Any) -> list[tuple[str, Any]]:
    return [(dotted(path) or "value", leaf) for path, leaf in tree.flatten_with_names(whole)[0]]


def _like(name: str, leaf: Any, found: np.ndarray) -> np.ndarray:
    kind = numpy_dtype(leaf.dtype if hasattr(leaf, "dtype") else np.asarray(leaf).dtype)
    if found.dtype.kind == "V" and found.dtype.itemsize == kind.itemsize:  # NumPy's own files know none of ml_dtypes
        found = found.view(kind)
    if found.shape != np.shape(leaf) or found.dtype != kind:
        raise ShapeError(f"load: {name} is {describe(found)} in the file, {describe(leaf)} in the model")
    return placed(found)


def _write_npz(file: Any, arrays: dict[str, np.ndarray]) -> None:
    np.savez(file, **arrays)  # type: ignore[arg-type]


def _read_npz(place: Path) -> dict[str, np.ndarray]:
    with np.load(place, allow_pickle=False) as found:
        return dict(found)


def _write_safetensors(file: Any, arrays: dict[str, np.ndarray]) -> None:
    header: dict[str, Any] = {}
    end = 0
    for name, x in arrays.items():
        header[name] = {"dtype": SAFETENSORS[str(x.dtype)], "shape": list(x.shape), "data_offsets": [end, end + x.nbytes]}
        end += x.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    file.write(len(text).to_bytes(8, "little") + text)
    for x in arrays.values():
        file.write(x.tobytes())


def _read_safetensors(place: Path) -> dict[str, np.ndarray]:
    data = place.read_bytes()
    size = int.from_bytes(data[:8], "little")
    names = {short: name for name, short in SAFETENSORS.items()}
    try:
        header = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        return {
            name: np.frombuffer(data[8 + size :][slice(*entry["data_offsets"])], numpy_dtype(names[entry["dtype"]])).reshape(
                entry["shape"]
            )
            for name, entry in header.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(f"load: {place.name} is no safetensors file, or a damaged one: {error}") from None


WRITERS: dict[str, Callable[..., None]] = {".npz": _write_npz, ".safetensors": _write_safetensors}
READERS: dict[str, Callable[[Path], dict[str, np.ndarray]]] = {".npz": _read_npz, ".safetensors": _read_safetensors}
