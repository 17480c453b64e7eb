"""Generated inputs: kinds, each of which shows faults that others hide."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from leptonc.ir.types import DType, TensorType, out_of_reals

Make = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
MakeIntegers = Callable[[np.random.Generator, tuple[int, ...], DType], np.ndarray]

SPECIAL = (np.nan, np.inf, -np.inf, -0.0, 0.0)
NEAR = 12  # indices and labels in range of most tables


@dataclass(frozen=True)
class Kind:
    """``floats`` and ``integers`` make the elements. ``ties``: rounding may decide between equals; ``special``: NaN, infinities
    and zeros of both signs; ``wide``: differs from other kinds in integers alone."""

    name: str
    floats: Make
    integers: MakeIntegers
    ties: bool = False
    special: bool = False
    wide: bool = False


def _normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape)


def _negative(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return -np.abs(rng.standard_normal(shape)) - 0.01


def _whole(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(-2, 3, shape).astype(np.float64)


def _special(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal numbers, a few of them replaced: were there many, all sums would be NaN."""
    array = rng.standard_normal(shape)
    if array.size:
        flat = array.reshape(-1)
        at = rng.integers(0, array.size, min(len(SPECIAL), 1 + array.size // 4))
        flat[at] = rng.permutation(SPECIAL)[:len(at)]
    return array


def _near(low: int, high: int) -> MakeIntegers:
    def make(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> np.ndarray:
        return rng.integers(low if dtype.kind == "i" else max(low, 0), high, shape)

    return make


def _everywhere(rng: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> np.ndarray:
    """Over the whole range of the type, at its ends, and on either side of the small numbers that are good indices."""
    info = np.iinfo(dtype.numpy)
    everywhere = rng.integers(info.min, info.max, shape, dtype.numpy, endpoint=True)
    near = rng.integers(max(-NEAR, info.min), 3 * NEAR, shape).astype(dtype.numpy)
    ends = rng.choice(np.array([info.min, info.max], dtype.numpy), shape)
    return np.asarray(np.choose(rng.integers(0, 6, shape), [everywhere, ends, near, near, near, near]))


KINDS = (
    Kind("normal", _normal, _near(0, NEAR)),
    Kind("whole", _whole, _near(0, 2), ties=True),
    Kind("negative", _negative, _near(-3, 4)),
    Kind("special", _special, _near(0, 3), special=True),
    Kind("integer", _normal, _everywhere, wide=True),
)


def generate(types: Sequence[TensorType], kind: Kind, seed: int) -> list[np.ndarray]:
    """An array for each type; the same for the same arguments."""
    return [_array(t, kind, np.random.default_rng([seed, n])) for n, t in enumerate(types)]


def _array(type: TensorType, kind: Kind, rng: np.random.Generator) -> np.ndarray:
    if type.dtype.is_bool:
        return np.asarray(rng.integers(0, 2, type.shape).astype(bool))
    if type.dtype.is_complex:
        return out_of_reals(np.stack([kind.floats(rng, type.shape) for _ in range(2)], -1).astype(type.dtype.real.numpy), type)
    made = kind.floats(rng, type.shape) if type.dtype.is_float else kind.integers(rng, type.shape, type.dtype)
    return np.asarray(made).astype(type.dtype.numpy)


def kinds_for(types: Sequence[TensorType]) -> list[Kind]:
    """The kinds that differ for inputs of these types."""
    return [k for k in KINDS if not k.wide or any(t.dtype.is_int for t in types)]
