"""What layers of this backend have beside Keras's own: the user's line that made them, and that they compile."""

from __future__ import annotations

from typing import Any

from leptonc.frames import Loc, users_line

# A model with one of these would run op by op, for Keras says that they can't be compiled: XLA on TensorFlow can't.
COMPILED = {"RandomTranslation", "RandomRotation", "RandomZoom", "RandomShear", "RandomPerspective"}


class LeptoncLayer:
    """Mixin of every layer. ``made_at``: the user's line that made it, for messages; None where there was none."""

    made_at: Loc | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = super().__new__(cls, *args, **kwargs)
        layer.__dict__["made_at"] = users_line()  # past Keras's __setattr__, which tracks what a layer holds
        return layer

    @property
    def supports_jit(self) -> bool:
        return self.__dict__.get("_supports_jit", True) or any(kind.__name__ in COMPILED for kind in type(self).__mro__)

    @supports_jit.setter
    def supports_jit(self, value: bool) -> None:
        self.__dict__["_supports_jit"] = value
