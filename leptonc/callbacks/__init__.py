"""Callbacks for Keras beyond its own: ``leptonc.callbacks``, loaded when first asked for. Wants the extra ``keras``."""

from leptonc.callbacks.nan import NamedNaN

__all__ = ["NamedNaN"]
