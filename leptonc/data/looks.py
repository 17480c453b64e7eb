"""What a picture looks like: cleanvision's measures and thresholds, a perceptual hash, and the picture itself at 32 x 32."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from leptonc.data.extra import missing
from leptonc.data.images import Image

try:
    import imagehash
    import pandas
    from cleanvision.issue_managers.image_property_issue_manager import ImagePropertyIssueManager
except ModuleNotFoundError as error:
    raise missing(error, "judges pictures") from None

REDUCED = 160  # pixels of the longer side, on which brightness and the like are measured
SMALL = 32
MEASURES = {"dark": "too dark", "light": "too light", "blurry": "not sharp", "low_information": "hardly anything on it",
            "odd_size": "{width} x {height} pixels", "odd_aspect_ratio": "{width} x {height} pixels"}
# The deviation of the Laplacian at REDUCED pixels by that of grey, at least: photographs have 0.2 to 1, and 0.03 to 0.09 behind a
# Gaussian blur of 1/50 of their width, which cleanvision's own measure of edges does not tell apart.
SHARP = 0.09
ODD = 1.5  # times as large as the median, or as small, along a side: where most are of one size, cleanvision calls all others odd
ROUNDING = 20 / 12  # the variance of the Laplacian of noise of 1/12, which levels from 0 to 255 have by being whole
ON_PIXELS = ("dark", "blurry", "low_information")  # the measure of dark is that of light too


class Look(NamedTuple):
    """``scores``: cleanvision's raw measures; ``hash``: 64 bits that similar pictures share most of; ``small``: u8[32, 32, 3]."""

    size: tuple[int, int]
    scores: dict[str, Any]
    hash: int
    small: np.ndarray


def look(image: Any, size: tuple[int, int]) -> Look:
    """Of an upright picture, mode L or RGB; ``size``: (width, height) of the whole, of which ``image`` may be a fraction."""
    reduced = image.copy()
    reduced.thumbnail((REDUCED, REDUCED), Image.Resampling.BILINEAR, reducing_gap=2.0)
    scores: dict[str, Any] = {"size": math.sqrt(size[0]) * math.sqrt(size[1]), "aspect_ratio": min(size) / max(size)}
    for kind in ON_PIXELS:
        scores |= MANAGER.image_properties[kind].calculate(reduced)
    scores["sharpness"] = _sharpness(np.asarray(reduced.convert("L"), np.float64))
    bits = np.packbits(imagehash.phash(reduced).hash.reshape(-1))
    small = reduced.convert("RGB").resize((SMALL, SMALL), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return Look(size, scores, int.from_bytes(bits.tobytes(), "big"), np.asarray(small))


def _sharpness(grey: np.ndarray) -> float:
    if min(grey.shape) < 3:
        return 1.0
    laplacian = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    return math.sqrt(max(0.0, float(laplacian.var()) - ROUNDING)) / max(float(grey.std()), 1.0)


MANAGER = ImagePropertyIssueManager()


def judged(looks: Sequence[Look]) -> dict[str, list[tuple[int, str]]]:
    """By kind of issue, (which picture, why), as cleanvision's default thresholds have it, and the two of this file."""
    if not looks:
        return {}
    raw = pandas.DataFrame([found.scores for found in looks])
    marked = {kind: _marked(kind, raw) for kind in MEASURES}
    marked["odd_size"] &= np.abs(np.log(raw["size"] / raw["size"].median())).to_numpy() > math.log(ODD)
    blurry = marked["blurry"] | (raw["sharpness"].to_numpy() < SHARP)
    marked["blurry"] = blurry & ~(marked["dark"] | marked["low_information"])  # where there is nothing to be sharp
    return {kind: [(n, _why(kind, looks[n])) for n in map(int, np.flatnonzero(where))]
            for kind, where in marked.items() if where.any()}


def _marked(kind: str, raw: Any) -> np.ndarray:
    measure, options = MANAGER.image_properties[kind], MANAGER.params[kind]
    scores = measure.get_scores(raw_scores=raw[measure.score_columns].copy(), issue_type=kind, **options)
    return measure.mark_issue(scores=scores, issue_type=kind, threshold=options.get("threshold")).to_numpy().reshape(-1).copy()


def _why(kind: str, found: Look) -> str:
    return MEASURES[kind].format(width=found.size[0], height=found.size[1])
