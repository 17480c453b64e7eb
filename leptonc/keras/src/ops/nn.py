"""Ops of neural networks, joined from files of one idea each."""

from leptonc.keras.src.ops import (
    activations,
    attention,
    classes,
    convolution,
    ctc,
    ctc_decoding,
    losses,
    normalization,
    patches,
    pooling,
)

PARTS = (activations, attention, classes, convolution, ctc, ctc_decoding, losses, normalization, patches, pooling)

__all__ = [name for part in PARTS for name in part.__all__]

globals().update({name: getattr(part, name) for part in PARTS for name in part.__all__})
