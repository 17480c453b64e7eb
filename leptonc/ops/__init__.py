"""All ops. Importing this package registers them."""

from leptonc.ir.op import seal
from leptonc.ops import (
    binary,
    contraction,
    conv,
    elementwise,
    indexing,
    pool,
    reduce,
    routed,
    softmax,
    structural,
    threefry,
)

__all__ = [
    "binary", "contraction", "conv", "elementwise", "indexing", "pool", "reduce", "routed", "softmax", "structural", "threefry",
]

seal()
