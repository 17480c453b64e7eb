"""Signals: windows and the mel scale, all known while tracing. Fourier transforms wait for complex numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

import leptonc.numpy as lnp
from tests.peers.onnx import types
from tests.peers.onnx.registry import Node, NotImportedError, op
from tests.peers.onnx.values import known, one


@op("DFT", "STFT")
def fourier(node: Node, *inputs: Any) -> Any:
    raise NotImportedError("Fourier transforms")


@op("MelWeightMatrix", known=(0, 1, 2, 3, 4))
def mel_weights(node: Node, bins: Any, length: Any, rate: Any, low: Any, high: Any) -> Any:
    count, n = one(bins), one(length)
    ends = [2595 * np.log10(1 + known(f).item() / 700) for f in (low, high)]
    edges = 700 * (10 ** ((ends[0] + np.arange(count + 2) * (ends[1] - ends[0]) / (count + 2)) / 2595) - 1)
    places = ((n + 1) * edges // known(rate).item()).astype(np.int64)
    out, j = np.zeros((n // 2 + 1, count)), np.arange(n // 2 + 1)
    for i, (first, middle, last) in enumerate(zip(places, places[1:], places[2:])):
        up = (j - first) / (middle - first) if middle > first else np.ones(len(j))
        down = (last - j) / max(last - middle, 1)
        out[:, i] = np.where((j >= first) & (j <= middle), up, 0) if middle > first else j == middle
        out[:, i] = np.where((j >= middle) & (j < last), down, out[:, i])
    return lnp.asarray(out.astype(types.dtype(node.get("output_datatype", 1))))
