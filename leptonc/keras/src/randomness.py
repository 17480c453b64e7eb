"""The states of the global random generators that shuffle data: NumPy's, Python's, and torch's where it is in use."""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np


def states() -> dict[str, Any]:
    """What they are now, as arrays and numbers."""
    version, words, gauss = random.getstate()
    found = {"python": [version, np.array(words, np.uint32), gauss], "numpy": np.random.get_state(legacy=False)}
    torch = sys.modules.get("torch")
    if torch is not None:
        found["torch"] = torch.get_rng_state().numpy().copy()
    return found


def put(found: dict[str, Any]) -> None:
    """Make them what they were."""
    version, words, gauss = found["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    np.random.set_state(found["numpy"])
    torch = sys.modules.get("torch")
    if torch is not None and "torch" in found:
        torch.set_rng_state(torch.from_numpy(found["torch"].copy()))
