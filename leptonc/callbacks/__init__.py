"""Callbacks for Keras on leptonc that survive a kill at any moment. Importing this imports Keras."""

import leptonc.keras  # noqa: F401  # registers the backend before the modules below import Keras
from leptonc.callbacks.checkpoint import Checkpoint
from leptonc.callbacks.model_checkpoint import ModelCheckpoint

__all__ = ["Checkpoint", "ModelCheckpoint"]
