"""LSTM and GRU layers over a sequence, whose last output is classified."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from leptonc import nn
from leptonc.bench.networks.program import Training, images, labels
from leptonc.bench.peers.layers import Layers


class Classifier(nn.Module):
    layer: nn.LSTM | nn.GRU
    out: nn.Linear

    def __call__(self, x: Any) -> Any:
        outputs, _ = self.layer(x)
        return self.out(outputs[:, -1])


@dataclass(frozen=True)
class Recurrent(Training):
    """``kind``: "lstm" or "gru". As many features come in as are hidden."""

    kind: str = "lstm"
    hidden: int = 256
    steps: int = 64
    classes: int = 10

    def sizes(self) -> dict[str, Any]:
        return {"batch": min(self.batch, 3), "hidden": 8, "steps": 4, "classes": 3}

    def model(self) -> Classifier:
        layer = {"lstm": nn.LSTM, "gru": nn.GRU}[self.kind](self.hidden, self.hidden)
        return Classifier(layer, nn.Linear(self.hidden, self.classes))

    def data(self) -> tuple[np.ndarray, ...]:
        return images((self.batch, self.steps, self.hidden)), labels(self.classes, self.batch)

    def loss(self, model: Any, state: nn.State, *batch: Any) -> tuple[Any, nn.State]:
        return nn.cross_entropy(model(batch[0]), batch[1]), state

    def peer_loss(self, layers: Layers, *batch: Any) -> Any:
        outputs = (layers.lstm if self.kind == "lstm" else layers.gru)("layer.layers.0", batch[0])
        return layers.cross_entropy(layers.dense("out", outputs[:, -1]), batch[1])
