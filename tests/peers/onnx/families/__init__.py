"""The ops by subject. Importing this fills the table."""

from tests.peers.onnx.families import (  # noqa: F401
    activations,
    arranging,
    control,
    convolutions,
    elementwise,
    indexing,
    normalization,
    pooling,
    products,
    quantization,
    recurrent,
    reductions,
    resizing,
    sequences,
    training,
    trees,
    windows,
)
