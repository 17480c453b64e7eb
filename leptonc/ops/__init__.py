"""All ops. Importing this package registers them."""

from leptonc.ir.op import seal
from leptonc.ops import (
    barrier,
    binary,
    calls,
    collective,
    contraction,
    conv,
    elementwise,
    indexing,
    pool,
    reduce,
    routed,
    softmax,
    structural,
)

__all__ = ["barrier", "binary", "calls", "collective", "contraction", "conv", "elementwise", "indexing", "pool", "reduce", "routed",
           "softmax", "structural"]

seal()
