"""Segmentation: a U-Net (Ronneberger et al. 2015) in Keras finds discs, squares and triangles, pixel by pixel.

    python examples/keras_segmentation.py [--epochs 6]

The pictures are those of ``unet_shapes.py``, drawn anew for each epoch by a ``PyDataset``, on a thread beside the training.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from unet_shapes import BATCH, CLASSES, SIDE, pictures

from leptonc import keras
from leptonc.keras import layers


class Drawn(keras.utils.PyDataset):
    """Pictures and the classes of their pixels; other ones in each epoch, the same in each run."""

    def __init__(self, batches: int, **kwargs: Any):
        super().__init__(**kwargs)
        self.batches, self.epoch = batches, 0

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        return pictures(np.random.default_rng([self.epoch, n]), BATCH)

    def on_epoch_end(self) -> None:
        self.epoch += 1


def pair(x: Any, width: int) -> Any:
    for _ in range(2):
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
    return x


def build(levels: int) -> keras.Model:
    """Logits of each pixel. Down by pools, up by transposed convolutions, and each level's features go across."""
    widths = [16 << level for level in range(levels)]
    inputs = layers.Input((SIDE, SIDE, 1))
    x, across = inputs, []
    for width in widths[:-1]:
        across.append(pair(x, width))
        x = layers.MaxPooling2D(2)(across[-1])
    x = pair(x, widths[-1])
    for width in widths[-2::-1]:
        x = layers.Conv2DTranspose(width, 2, 2)(x)
        x = pair(layers.Concatenate()([across.pop(), x]), width)
    model = keras.Model(inputs, layers.Conv2D(len(CLASSES), 1)(x))
    overlap = keras.metrics.MeanIoU(len(CLASSES), sparse_y_pred=False, name="overlap")
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=[overlap])
    return model


def main(arguments: list[str] | None = None) -> float:
    """Returns the mean overlap, intersection over union, of what is found and what is there in new pictures."""
    parser = argparse.ArgumentParser(description="Find shapes in noisy pictures.")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batches", type=int, default=100, help="of an epoch (default 100)")
    parser.add_argument("--levels", type=int, default=3, help="pools and one (default 3)")
    options = parser.parse_args(arguments)
    keras.utils.set_random_seed(0)
    model = build(options.levels)
    model.fit(Drawn(options.batches), epochs=options.epochs, verbose=2)
    overlap = float(model.evaluate(*pictures(np.random.default_rng(123), 12 * BATCH), batch_size=BATCH, verbose=0)[1])
    print(f"mean overlap in new pictures {overlap:.3f}")
    return overlap


if __name__ == "__main__":
    main()
