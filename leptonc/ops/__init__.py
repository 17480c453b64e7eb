"""All ops. Importing this package registers them."""

from leptonc.ir.op import seal
from leptonc.ops import (
    arcs,
    barrier,
    binary,
    bits,
    calls,
    collective,
    complexes,
    contraction,
    conv,
    cumulative,
    elementwise,
    fourier,
    host,
    indexing,
    linalg,
    pool,
    reduce,
    routed,
    scan,
    scatter,
    softmax,
    sorting,
    special,
    structural,
    switch,
    threefry,
    unary,
    whiles,
)

__all__ = [
    "arcs", "barrier", "binary", "bits", "calls", "collective", "complexes", "contraction", "conv", "cumulative",
    "elementwise", "fourier", "host", "indexing", "linalg", "pool", "reduce", "routed", "scan", "scatter", "softmax",
    "sorting", "special", "structural", "switch", "threefry", "unary", "whiles",
]

seal()
