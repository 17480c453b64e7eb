"""A kernel that copies a buffer."""

from __future__ import annotations

from leptonc.ir.kernel import Kernel
from leptonc.ir.kernelbuilder import KernelBuilder
from leptonc.ir.types import TensorType


def copy_kernel(type: TensorType) -> Kernel:
    """Element by element, flat; of complex numbers part by part."""
    k = KernelBuilder("copy")
    flat = type.in_reals.with_shape((type.in_reals.size,))
    source, target = k.input(flat), k.output(flat)
    axes = k.axes(flat.shape)
    stage = k.stage(axes)
    stage.store(target, axes, stage.load(source, axes))
    return k.build()
