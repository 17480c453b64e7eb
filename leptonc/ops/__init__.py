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
    scan,
    scatter,
    softmax,
    sorting,
    structural,
    switch,
    threefry,
    whiles,
)

__all__ = ["barrier", "binary", "calls", "collective", "contraction", "conv", "elementwise", "indexing", "pool", "reduce", "routed",
           "scan", "scatter", "softmax", "sorting", "structural", "switch", "threefry", "whiles"]

seal()
