"""Functions and models as ONNX files, which other programs run: ``leptonc.onnx``, loaded when first asked for.

Wants the extra: ``pip install leptonc[onnx]``; raises ImportError without it.
"""

import importlib.util as _util

if _util.find_spec("onnx") is None:
    raise ImportError("leptonc.onnx writes ONNX files, and the package onnx is not installed; fix: pip install leptonc[onnx]")

from leptonc.onnx.exporting import export
from leptonc.public import publish as _publish

__all__ = ["export"]

_publish(globals(), __all__)
