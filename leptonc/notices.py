"""Warnings of what works, but hardly as meant: one line that names the user's and the fix. A leaf module."""

from __future__ import annotations

import warnings

from leptonc.frames import Loc, users_frame


class LeptonWarning(UserWarning):
    """A program that runs, and is probably not what was meant. Shown once for each line, as Python's own warnings are."""


def warn(message: str) -> None:
    """Show it with the user's line, unless nothing of the user's is running. What it says must not depend on how often it is said:
    Python tells by the text what it has shown."""
    frame = users_frame(programs=False)
    if frame is None:
        return
    place = Loc(frame.f_code.co_filename, frame.f_lineno)
    warnings.warn_explicit(f"{message} ({place})", LeptonWarning, place.file, place.line, str(frame.f_globals.get("__name__")),
                           frame.f_globals.setdefault("__warningregistry__", {}))
