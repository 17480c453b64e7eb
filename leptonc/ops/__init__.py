"""All ops. Importing this package registers them."""

from leptonc.ir.op import seal
from leptonc.ops import (
    binary,
    collective,
    contraction,
    control,
    conv,
    elementwise,
    indexing,
    pool,
    reduce,
    routed,
    softmax,
    structural,
)

__all__ = ["binary", "collective", "contraction", "control", "conv", "elementwise", "indexing", "pool", "reduce", "routed",
           "softmax", "structural"]

seal()
