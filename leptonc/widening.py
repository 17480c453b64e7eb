"""Where f64 enters a function of f32: a warning while it is traced.

Floats of NumPy's are f64 unless somebody says otherwise, ``np.sqrt(2)`` and ``np.array([0.5])`` alike, and NumPy's promotion
makes f64 of all that meets them: twice the memory, half the speed or less. Who passes f64 arguments means it, and who names the
dtype does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from leptonc.bfloat16 import kind_of
from leptonc.eager import EagerArray
from leptonc.errors import SHORT_DTYPES
from leptonc.notices import warn
from leptonc.promotion import is_weak
from leptonc.tracer import Tracer

WIDE = (np.dtype(np.float64), np.dtype(np.complex128))
CONSTANTS = {True: ("a number of NumPy's", "float(number), which takes the other's dtype"),
             False: ("an array", "array.astype(numpy.float32)")}
CREATED = ("an array created without a dtype", 'give it one, or leptonc.config.default_dtype = "float32"')


def check(name: str, dtype: np.dtype, args: Sequence[Any]) -> None:
    """Warn if ``args``, which are promoted to ``dtype``, f64 or c128, are narrower traced floats and a constant that happens to be
    wide."""
    narrow = [x for x in args if isinstance(x, Tracer) and not is_weak(x) and kind_of(x.dtype) in "fc"]
    if not narrow or any(x.dtype in WIDE for x in narrow):
        return
    wide = next((x for x in args if is_unchosen(x)), None)
    if wide is None:
        return
    what, fix = CREATED if isinstance(wide, EagerArray) and wide.unchosen == "created" else CONSTANTS[np.shape(wide) == ()]
    kept = wide.dtype if hasattr(wide, "dtype") else np.asarray(wide).dtype  # of a list or tuple
    made, own, other = (SHORT_DTYPES[str(kind)] for kind in (dtype, kept, narrow[0].dtype))
    warn(f"{own} enters {name}, whose inputs are narrower: {what} in {own} makes {made} of {other}; fix: {fix}")


def is_unchosen(x: Any) -> bool:
    """Whether x is known, and in f64 or c128 only because NumPy's numbers are."""
    if isinstance(x, Tracer) or is_weak(x) or getattr(x, "dtype", None) not in WIDE:
        return False
    return not isinstance(x, EagerArray) or bool(x.unchosen)
