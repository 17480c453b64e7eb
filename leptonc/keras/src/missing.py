"""What Keras asks of a backend and leptonc does not have yet."""

from __future__ import annotations

from leptonc.errors import LeptonError


class MissingOpError(LeptonError, NotImplementedError):
    """An op, dtype or transformation that leptonc lacks."""
