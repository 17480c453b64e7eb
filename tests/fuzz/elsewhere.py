"""Names that the fuzzer does not draw: they say what the namespace is, or take another library's arrays, and compute nothing."""

from __future__ import annotations

NOT_DRAWN = {
    "lnp": "__array_api_version__ __array_namespace_info__ from_dlpack",
    "lax": "GatherScatterMode",  # its modes are drawn by their names
}
