"""JAX's ``flatten_util``: a tree of arrays as one vector, for solvers and statistics that want one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc import tree as _tree
from leptonc.arguments import array
from leptonc.errors import DtypeError, ShapeError, op_error
from leptonc.public import publish


def ravel_pytree(pytree: Any) -> tuple[Any, Callable[[Any], Any]]:
    """(vector, unravel): the leaves' elements [n] in one dtype, and the function from such a vector to a tree like ``pytree``.

    Leaves of several dtypes are promoted, and unravelled to their own. A tree without leaves is an empty vector of f32.
    """
    leaves, treedef = _tree.flatten(pytree)
    arrays = [array("ravel_pytree", f"leaf {n}", x) for n, x in enumerate(leaves)]
    shapes, dtypes = tuple(tuple(x.shape) for x in arrays), tuple(x.dtype for x in arrays)
    kind = lnp.result_type(*arrays) if arrays else np.dtype(np.float32)
    flat = lnp.concatenate([lnp.astype(lnp.ravel(x), kind) for x in arrays]) if arrays else lnp.zeros(0, kind)
    return flat, _Unravel(treedef, shapes, None if len(set(dtypes)) < 2 else dtypes, kind)


@dataclass(frozen=True)
class _Unravel:
    """From a vector to a tree. ``dtypes`` are the leaves', where they are not all ``kind``: else a vector of any dtype is taken."""

    treedef: Any
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...] | None
    kind: Any

    def __call__(self, vector: Any) -> Any:
        flat = array("unravel", "vector", vector)
        sizes = [prod(shape) for shape in self.shapes]
        if tuple(flat.shape) != (sum(sizes),):
            raise op_error("unravel", f"the vector must have {sum(sizes)} elements, as the tree has", {"vector": flat},
                           kind=ShapeError)
        if self.dtypes is not None and flat.dtype != self.kind:
            raise op_error("unravel", f"the vector must be of {self.kind}, which the leaves were promoted to", {"vector": flat},
                           "vector.astype(...)", DtypeError)
        ends = np.cumsum(sizes)
        leaves = [lnp.reshape(flat[end - size:end], shape) for end, size, shape in zip(ends, sizes, self.shapes)]
        kinds = self.dtypes or [flat.dtype] * len(leaves)
        return _tree.unflatten(self.treedef, [lnp.astype(x, dtype) for x, dtype in zip(leaves, kinds)])


__all__ = ["ravel_pytree"]

publish(globals(), __all__)
