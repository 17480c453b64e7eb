"""What each op becomes in ONNX, by kind of op; importing it fills the table."""

from leptonc.onnx.emitters import (  # noqa: F401
    arranging,
    control,
    elementwise,
    places,
    products,
    reductions,
    sequences,
    sorting,
    windows,
)
