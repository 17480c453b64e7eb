"""What layers of this backend have beside Keras's own: the user's line that made them."""

from __future__ import annotations

from typing import Any

from leptonc.frames import Loc, users_line


class LeptoncLayer:
    """Mixin of every layer. ``made_at``: the user's line that made it, for messages; None where there was none."""

    made_at: Loc | None

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        layer = super().__new__(cls, *args, **kwargs)
        layer.__dict__["made_at"] = users_line()  # past Keras's __setattr__, which tracks what a layer holds
        return layer
