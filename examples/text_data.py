"""English that ships with Python, as numbers: the help texts of its own documentation, and a model of three characters to beat."""

from __future__ import annotations

from pydoc_data import topics
from typing import NamedTuple

import numpy as np

OTHER = "\x00"  # stands for characters too seldom to learn


class Text(NamedTuple):
    """Characters as indices into ``symbols``: what is trained on, and the last part, which is not."""

    symbols: str
    training: np.ndarray
    validation: np.ndarray

    def decode(self, codes: np.ndarray) -> str:
        return "".join(self.symbols[n] for n in codes)

    def encode(self, characters: str) -> np.ndarray:
        return np.array([self.symbols.find(c) if c in self.symbols else 0 for c in characters], np.int32)


def load(most: int | None = None) -> Text:
    """The text, or its first ``most`` characters; a tenth is for validation."""
    whole = "\n".join(topics.topics[name] for name in sorted(topics.topics))[:most]
    found, counts = np.unique(list(whole), return_counts=True)
    symbols = OTHER + "".join(found[counts > len(whole) // 20_000])
    codes = Text(symbols, np.zeros(0), np.zeros(0)).encode(whole)
    cut = len(codes) * 9 // 10
    return Text(symbols, codes[:cut], codes[cut:])


def windows(codes: np.ndarray, rng: np.random.Generator, *shape: int) -> np.ndarray:
    """i32 of a shape: stretches of the text, as long as its last extent, from random places."""
    starts = rng.integers(0, len(codes) - shape[-1], shape[:-1])
    return codes[starts[..., None] + np.arange(shape[-1])]


def trigram_perplexity(text: Text) -> float:
    """e to the mean -log chance of a validation character after the two before it, as counted in training from 0.1 on."""
    size = len(text.symbols)
    counts = np.full((size, size, size), 0.1)
    np.add.at(counts, (text.training[:-2], text.training[1:-1], text.training[2:]), 1)
    chances = counts / counts.sum(-1, keepdims=True)
    return float(np.exp(-np.log(chances[text.validation[:-2], text.validation[1:-1], text.validation[2:]]).mean()))
