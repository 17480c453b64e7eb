"""Products of numbers in blocks that share a scale."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.arguments import array
from leptonc.errors import ShapeError, op_error
from leptonc.numpy.manipulation import repeat
from leptonc.products import dot_general
from leptonc.promotion import numpy_dtype
from leptonc.public import public
from leptonc.trace import cast


@public
def scaled_matmul(lhs: Any, rhs: Any, lhs_scales: Any, rhs_scales: Any, preferred_element_type: Any = np.float32) -> Any:
    """[b, m, n]: lhs [b, m, k] times rhs [b, n, k], of both of which blocks along k are multiplied by lhs_scales [b, m, blocks] and
    rhs_scales [b, n, blocks]. In f32, rounded to ``preferred_element_type``. Raises ShapeError."""
    name = "scaled_matmul"
    named = {"lhs": lhs, "rhs": rhs, "lhs_scales": lhs_scales, "rhs_scales": rhs_scales}
    a, b, first, second = (array(name, what, v) for what, v in named.items())
    if any(len(x.shape) != 3 for x in (a, b, first, second)):
        raise op_error(name, "takes arrays of three axes", named, kind=ShapeError)
    fits = a.shape[::2] == b.shape[::2] and first.shape[:2] == a.shape[:2] and second.shape[:2] == b.shape[:2]
    if not fits or first.shape[2] != second.shape[2] or not first.shape[2] or a.shape[2] % first.shape[2]:
        raise op_error(name, "wants lhs [b, m, k], rhs [b, n, k], lhs_scales [b, m, blocks] and rhs_scales [b, n, blocks], k a "
                       "multiple of blocks", named, kind=ShapeError)
    block = a.shape[2] // first.shape[2]
    x, y = (cast(v, np.float32) * repeat(cast(s, np.float32), block, -1) for v, s in ((a, first), (b, second)))
    return cast(dot_general(x, y, (((2,), (2,)), ((0,), (0,)))), numpy_dtype(preferred_element_type, name))


__all__ = ["scaled_matmul"]
