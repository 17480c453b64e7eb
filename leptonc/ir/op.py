"""What an op is, and the registry of all of them.

An op is one block of one file in ``leptonc/ops``: a subclass of Op with the decorator ``@register``. Calling the
registered instance with graph Values emits a node; calling it with arrays runs its ``eager`` rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from leptonc.bfloat16 import is_narrow
from leptonc.errors import IRError, LeptonError, near_names, op_error
from leptonc.ir.batching import BatchAxis
from leptonc.ir.differentiation import Differentiation
from leptonc.ir.kernel import Kernel
from leptonc.ir.pair import Pair
from leptonc.ir.types import TensorType, type_of_array
from leptonc.ir.value import Value


@dataclass(frozen=True)
class Sample:
    """Example operands of an op, for the registry-wide sweep: ``arrays()`` makes them, float ones in f32 and f64."""

    make: Callable[[np.random.Generator], Sequence[np.ndarray]]
    attrs: dict[str, Any] = field(default_factory=dict)
    differentiable: bool = True
    name: str = ""


class Op:
    """Base of every op. Exactly one of ``lower`` and ``expand`` is overridden (ops with regions: neither)."""

    name: str = ""
    results: int = 1  # 0: as many as ``infer`` says
    regional: bool = False  # its meaning is in its regions, which every rule gets as ``regions``
    stores: bool = False  # it makes, moves or converts elements: floats of 16 bits are as good as any
    componentwise: bool = False  # it does to complex numbers what it does to their parts; so does what ``stores``
    views: bool = False  # its result is its operand's memory under another type: it needs no kernel
    updates: bool = False  # its result is its first operand with some elements replaced
    tabulated: bool = False  # it has no operands, and what its eager rule gives becomes a constant of the Program
    rounds: bool = False  # its kernel has constants that are rounded to its type
    operand_names: tuple[str, ...] = ("x", "y", "z")

    def infer(self, *types: TensorType, **attrs: Any) -> TensorType | tuple[TensorType, ...]:
        """Result type(s) from operand types; raises the user-facing ShapeError / DtypeError."""
        raise IRError(f"op {self.name} has no infer rule")

    def eager(self, *arrays: np.ndarray, **attrs: Any) -> Any:
        """The meaning of the op, in NumPy: an ndarray, or a tuple of them for several results."""
        raise IRError(f"op {self.name} has no eager rule")

    def run(self, *arrays: Any, **attrs: Any) -> Any:
        """``eager`` on arrays of any dtype: an op on floats of 16 bits is that on f32, its results rounded."""
        if self.stores or not any(is_narrow(np.asarray(a).dtype) for a in arrays):
            return self.eager(*arrays, **attrs)
        given = [np.asarray(a) for a in arrays]
        inferred = self.infer(*map(type_of_array, given), **attrs)
        out = self.eager(*(a.astype(np.float32) if is_narrow(a.dtype) else a for a in given), **attrs)
        with np.errstate(over="ignore"):
            if not isinstance(inferred, tuple):
                return np.asarray(out).astype(inferred.dtype.numpy)
            return tuple(np.asarray(a).astype(t.dtype.numpy) for a, t in zip(out, inferred, strict=True))

    def vjp(self, g: Any, y: Any, *operands: Value, **attrs: Any) -> tuple[Value | None, ...]:
        """Cotangents of the operands from that of the result. ``g`` and ``y`` are tuples for several results
        (an entry of ``g`` may then be None: zero). None stands for a zero or a non-differentiable operand."""
        raise IRError(f"op {self.name} is not differentiable")

    def jvp(self, autodiff: Differentiation, tangents: tuple[Value | None, ...], /, *operands: Value,
            **attrs: Any) -> tuple[Sequence[Value], Sequence[Value | None]]:
        """(results, their tangents) from those of the operands; None is a zero, or that of an integer. Only for ops with regions:
        of others forward mode transposes the ``vjp``."""
        raise IRError(f"op {self.name} has no jvp rule")

    def forward_pass(self, autodiff: Differentiation, varied: tuple[bool, ...], /, *operands: Value,
                     **attrs: Any) -> tuple[Sequence[Value], Any]:
        """(results, whatever ``backward_pass`` is to get as ``saved``) in a graph differentiated in reverse by the operands
        ``varied``. Only for ops with regions, in place of ``vjp``."""
        raise IRError(f"op {self.name} has no forward pass")

    def backward_pass(self, autodiff: Differentiation, saved: Any, g: tuple[Value | None, ...], /, *operands: Value,
                      **attrs: Any) -> Sequence[Value | None]:
        """Cotangents of the operands from those of the results; None is a zero."""
        raise IRError(f"op {self.name} has no backward pass")

    def lower(self, *types: TensorType, **attrs: Any) -> Kernel:
        """The op as a Kernel: parameters are the operands in order, then the results in order."""
        raise IRError(f"op {self.name} has no lowering")

    def expand(self, *operands: Value, **attrs: Any) -> Any:
        """The op in other ops: a Value, or a tuple of them."""
        raise IRError(f"op {self.name} has no expansion")

    def in_parts(self, *operands: Any, **attrs: Any) -> Any:
        """The op on complex numbers, in ops on reals: complex operands are Pairs of their parts, and so are complex results.

        Not asked for where no operand and no result is complex. Without a rule, an op that expands is taken as its expansion.
        """
        if not self.has_parts:
            raise op_error(self.name, "does not take complex numbers", {}, "take their parts: .real, .imag", LeptonError)
        return Pair(*(self(*(x[n] if isinstance(x, Pair) else x for x in operands), **self.part_attrs(n, attrs)) for n in range(2)))

    def part_attrs(self, number: int, attrs: dict[str, Any]) -> dict[str, Any]:
        """The attributes of a componentwise op for the real (0) or the imaginary (1) part."""
        return attrs

    def batch(self, axis: BatchAxis, batched: tuple[bool, ...], /, *operands: Value, **attrs: Any) -> Any:
        """The op for many examples at once: a Value, or a tuple of them, with the batch axis in front of each.

        Operands that are ``batched`` have the axis, of ``axis.size`` examples, in front; at least one is (or the op has an
        attribute ``axis_name`` that names the axis, or a region with such an op). A result that is the same for all examples
        is returned as ``Unbatched(value)``. An op with regions gets them as ``regions`` and batches them by ``axis.region``.
        Without a rule, an op that expands is batched as its expansion.
        """
        if not self.expands:
            named = {name: str(v.type) for name, v in zip(self.operand_names, operands)}
            raise op_error(self.name, "has no batch rule", named, "give its class a method batch", LeptonError)
        return axis.by_definition(lambda *values: self.expand(*values, **attrs), batched, operands)

    def title(self, attrs: dict[str, Any]) -> str:
        """What errors call a node of this op with attributes and ``regions``."""
        return self.name

    def samples(self) -> Sequence[Sample]:
        """Example inputs, edge cases included."""
        return ()

    @property
    def expands(self) -> bool:
        return type(self).expand is not Op.expand

    @property
    def lowers(self) -> bool:
        return type(self).lower is not Op.lower

    @property
    def has_parts(self) -> bool:
        """Whether it says what it does to complex numbers' parts."""
        return self.stores or self.componentwise or type(self).in_parts is not Op.in_parts

    @property
    def differentiable(self) -> bool:
        return type(self).vjp is not Op.vjp or self.has_passes

    @property
    def has_passes(self) -> bool:
        """Whether reverse mode asks it for a forward and a backward pass, not for a vjp."""
        return type(self).backward_pass is not Op.backward_pass

    @property
    def has_jvp(self) -> bool:
        return type(self).jvp is not Op.jvp

    @property
    def batches(self) -> bool:
        """Whether ``vmap`` takes it."""
        return type(self).batch is not Op.batch or self.expands

    def __call__(self, *operands: Any, **attrs: Any) -> Any:
        """Emit a node when any operand is a graph Value (arrays beside it become constants), else run eagerly."""
        builder = next((b for b in (getattr(x, "builder", None) for x in operands) if b is not None), None)
        if builder is None:
            return self.run(*operands, **attrs)
        return builder.emit(self, operands, attrs)


_REGISTRY: dict[str, Op] = {}


def register(cls: type[Op]) -> Op:
    """Class decorator: the name in the module becomes the op's only instance."""
    return register_op(cls())


def register_op(op: Op) -> Op:
    if op.name in _REGISTRY:
        raise IRError(f"op {op.name!r} is registered twice")
    _REGISTRY[op.name] = op
    return op


_BUILT_IN: dict[str, Op] = {}


def seal() -> None:
    """Say that all ops registered so far are the package's own: its source is what they do."""
    _BUILT_IN.update(_REGISTRY)


def is_built_in(op: Op) -> bool:
    return _BUILT_IN.get(op.name) is op


def get_op(name: str) -> Op:
    """The op of that name; IRError with near names if there is none."""
    op = _REGISTRY.get(name)
    if op is None:
        raise IRError("; ".join(filter(None, (f"unknown op {name!r}", near_names(name, _REGISTRY)))))
    return op


def all_ops() -> dict[str, Op]:
    return dict(_REGISTRY)
