"""Callbacks for Keras beyond its own: ``leptonc.callbacks``, loaded when first asked for. Importing this imports Keras."""

import leptonc.keras  # noqa: F401  # registers the backend before the modules below import Keras
from leptonc.callbacks.checkpoint import Checkpoint
from leptonc.callbacks.model_checkpoint import ModelCheckpoint
from leptonc.callbacks.nan import NamedNaN

__all__ = ["Checkpoint", "ModelCheckpoint", "NamedNaN"]
