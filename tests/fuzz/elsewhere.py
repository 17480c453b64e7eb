"""Names that the fuzzer does not draw: they say what the namespace is, or take another library's arrays, and compute nothing."""

from __future__ import annotations

NOT_DRAWN = {
    "lnp": """__array_api_version__ __array_namespace_info__ angle cdouble complex128 complex64 complex_ complexfloating csingle
from_dlpack real_if_close""",
    "lax": "FftType GatherScatterMode complex conj fft imag real",  # its modes are drawn by their names
}
