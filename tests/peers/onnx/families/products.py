"""Products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

import leptonc.numpy as lnp
from tests.peers.onnx.registry import Node, op, plain

plain({"MatMul": lnp.matmul, "Det": lnp.linalg.det})


@op("Gemm")
def gemm(node: Node, a: Any, b: Any, c: Any = None) -> Any:
    a, b = (lnp.transpose(x) if node.get(name, 0) else x for x, name in ((a, "transA"), (b, "transB")))
    y = node.get("alpha", 1.0) * (a @ b)
    return y if c is None else y + node.get("beta", 1.0) * c


@op("Einsum")
def einsum(node: Node, *xs: Any) -> Any:
    return lnp.einsum(node.get("equation"), *xs)


@op("MatMulInteger")
def matmul_integer(node: Node, a: Any, b: Any, a_zero: Any = None, b_zero: Any = None) -> Any:
    a, b = lnp.astype(a, np.int32), lnp.astype(b, np.int32)
    a = a if a_zero is None else a - _column(lnp.astype(a_zero, np.int32))
    b = b if b_zero is None else b - lnp.astype(b_zero, np.int32)
    return lnp.matmul(a, b)


def _column(zero: Any) -> Any:
    return zero[:, None] if len(zero.shape) == 1 else zero
