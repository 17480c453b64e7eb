"""Calls of Python between the pieces of a program. ``leptonc/pieces.py`` runs a graph with such calls; no code is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.errors import LeptonError, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.host import CALLS, HostCall, called, kept, name_of
from leptonc.ir.op import Op, register
from leptonc.ir.types import TensorType
from leptonc.ir.value import Value


@register
class host_call(Op):
    """Results of a Python function of the operands, which has no effects: it may be called never, or more than once."""

    name, results, regional, stores = "host_call", 0, True, True

    def infer(self, *types: TensorType, **attrs: Any) -> tuple[TensorType, ...]:
        if attrs["call"] not in CALLS:
            raise op_error(self.name, f"no call of this process has number {attrs['call']}", {}, kind=LeptonError)
        return CALLS[attrs["call"]].types

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> tuple[np.ndarray, ...]:
        return called(attrs["call"], arrays)

    def title(self, attrs: dict[str, Any]) -> str:
        return f"pure_callback of {name_of(attrs['call'])}"

    def jvp(self, autodiff: Any, tangents: tuple[Value | None, ...], /, *operands: Value, **attrs: Any) -> Any:
        raise self._not_differentiable(attrs)

    def forward_pass(self, autodiff: Any, varied: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        raise self._not_differentiable(attrs)

    def backward_pass(self, autodiff: Any, saved: Any, g: Any, /, *operands: Value, **attrs: Any) -> Any:
        raise self._not_differentiable(attrs)

    def _not_differentiable(self, attrs: dict[str, Any]) -> LeptonError:
        return op_error(self.title(attrs), "has no derivative", {}, "give it one by leptonc.custom_vjp", LeptonError)

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Sequence[Value]:
        """One example after the other, in one call."""
        one = CALLS[attrs["call"]]

        def function(*arrays: np.ndarray) -> list[np.ndarray]:
            rows = [one.function(*(a[n] for a in arrays)) for n in range(axis.size)]
            return [np.stack([row[k] for row in rows]) if rows else np.zeros(t.shape, t.dtype.numpy) for k, t in enumerate(types)]

        types = tuple(t.with_shape((axis.size, *t.shape)) for t in one.types)
        number = kept(HostCall(function, types, one.name))
        given = axis.front(batched, operands)
        out: tuple[Value, ...] = given[0].builder.emit(self, given, {"call": number})
        return out
