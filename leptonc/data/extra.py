"""The packages that ``leptonc.data`` stands on, and what is said where one is missing."""

from __future__ import annotations

PACKAGES = ("cleanvision", "cleanlab", "PIL", "polars", "grain")


def missing(error: ModuleNotFoundError, what: str) -> ImportError:
    """What to raise for an import that failed; ``error`` itself if it is not the extra that is missing."""
    package = (error.name or "").partition(".")[0]
    if package not in (*PACKAGES, "imagehash", "pandas"):
        return error
    return ImportError(f"leptonc.data {what} with {package}, which is not installed; fix: pip install 'leptonc[data]'")
