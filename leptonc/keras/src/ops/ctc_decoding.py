"""What a sequence of scores spells (Graves et al. 2006): the likeliest class of each step, or a search over prefixes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from leptonc import lax, nn
from leptonc import numpy as lnp
from leptonc.keras.src.ops.control import scan
from leptonc.keras.src.ops.tensors import convert_to_tensor, in_float32

__all__ = ["ctc_decode"]

NOTHING = -1  # in the place of a label, behind the last one


def ctc_decode(inputs: Any, sequence_lengths: Any, strategy: str = "greedy", beam_width: int = 100, top_paths: int = 1,
               merge_repeated: bool = True, mask_index: int | None = 0) -> tuple[Any, Any]:
    """(i32[paths, b, t] labels, -1 behind the last; scores [b, paths]) of logits [b, t, classes].

    "greedy" gives one path, and minus the sum of its logits; "beam_search" the ``top_paths`` likeliest of ``beam_width`` prefixes
    that are kept, and the logarithms of their chances. Raises ValueError for another strategy.
    """
    logits, lengths = in_float32(inputs), convert_to_tensor(sequence_lengths, "int32")
    blank = logits.shape[-1] - 1 if mask_index is None else mask_index
    if strategy == "greedy":
        return _greedy(logits, lengths, merge_repeated, blank)
    if strategy == "beam_search":
        return _beam_search(logits, lengths, beam_width, top_paths, blank)
    raise ValueError(f"Invalid strategy {strategy}. Supported values are 'greedy' and 'beam_search'.")


def _greedy(logits: Any, lengths: Any, merge_repeated: bool, blank: int) -> tuple[Any, Any]:
    steps = np.arange(logits.shape[1], dtype=np.int32)
    beyond = steps >= lnp.expand_dims(lengths, 1)
    labels = lnp.where(beyond, blank, lnp.astype(lnp.argmax(logits, -1), "int32"))
    silent = labels == blank
    if merge_repeated:
        silent = lnp.logical_or(silent, lnp.pad(labels[:, 1:] == labels[:, :-1], ((0, 0), (1, 0))))
    order = lnp.argsort(lnp.where(silent, logits.shape[1], steps), -1)
    spelt = lnp.take_along_axis(lnp.where(silent, NOTHING, labels), order, -1)
    return lnp.expand_dims(spelt, 0), -lnp.sum(lnp.where(beyond, 0.0, lnp.max(logits, -1)), 1, keepdims=True)


class _Beams(NamedTuple):
    """Prefixes, the likeliest first, with the logarithms of the chances that they end in a blank and in their last label.

    Some may have no chance at all: they fill a row of fewer prefixes than there is room for.
    """

    prefixes: Any  # i32[b, beams, t]
    counts: Any  # i32[b, beams]
    blank: Any  # [b, beams]
    label: Any  # [b, beams]

    @property
    def chances(self) -> Any:
        return lnp.logaddexp(self.blank, self.label)


def _beam_search(logits: Any, lengths: Any, width: int, paths: int, blank: int) -> tuple[Any, Any]:
    scores = nn.log_softmax(logits, -1)
    rows, steps, _ = scores.shape
    impossible = lnp.full((rows, width), -np.inf, scores.dtype)
    start = _Beams(lnp.full((rows, width, steps), NOTHING, "int32"), lnp.zeros((rows, width), "int32"),
                   lnp.where(np.arange(width) == 0, lnp.zeros_like(impossible), impossible), impossible)

    def step(beams: tuple[Any, ...], at: tuple[Any, Any]) -> tuple[tuple[Any, ...], tuple[()]]:
        score, t = at
        found = _extended(_Beams(*beams), score, blank)
        going = t < lengths
        return tuple(lnp.where(lnp.reshape(going, (-1, *(1 for _ in new.shape[1:]))), new, old)
                     for new, old in zip(found, beams)), ()

    end = _Beams(*scan(step, tuple(start), (lnp.swapaxes(scores, 0, 1), np.arange(steps, dtype=np.int32)))[0])
    return lnp.swapaxes(end.prefixes, 0, 1)[:paths], end.chances[:, :paths]


def _extended(beams: _Beams, score: Any, blank: int) -> _Beams:
    """The likeliest prefixes a step later: of those that stay, by a blank or their last label, and those one label longer."""
    rows, width = beams.counts.shape
    classes = score.shape[-1]
    last = lnp.squeeze(lnp.take_along_axis(beams.prefixes, lnp.maximum(lnp.expand_dims(beams.counts, -1) - 1, 0), -1), -1)
    at_last = lnp.take_along_axis(score, lnp.maximum(last, 0), -1)
    repeats = lnp.expand_dims(last, -1) == np.arange(classes)
    longer = lnp.where(repeats, lnp.expand_dims(beams.blank, -1), lnp.expand_dims(beams.chances, -1)) + lnp.expand_dims(score, 1)
    longer = lnp.where(np.arange(classes) == blank, -np.inf, longer)
    grown = _grown(beams)
    ends = lnp.broadcast_to(lnp.expand_dims(lnp.maximum(last, 0), 1), (rows, width, width))
    joined = nn.logsumexp(lnp.where(grown, lnp.take_along_axis(longer, ends, -1), -np.inf), 1)
    stay_blank = beams.chances + lnp.expand_dims(score[:, blank], -1)
    stay_label = lnp.logaddexp(lnp.where(beams.counts > 0, beams.label + at_last, -np.inf), joined)
    known = lnp.einsum("bij,bjc->bic", lnp.astype(grown, score.dtype), lnp.astype(repeats, score.dtype)) > 0
    longer = lnp.where(known, -np.inf, longer)
    _, chosen = lax.top_k(lnp.concatenate([lnp.logaddexp(stay_blank, stay_label), lnp.reshape(longer, (rows, -1))], 1), width)
    return _taken(beams, chosen, lnp.reshape(longer, (rows, -1)), stay_blank, stay_label, classes)


def _grown(beams: _Beams) -> Any:
    """bool[b, beams, beams]: whether a prefix with one more label is another one, which has a chance."""
    places = np.arange(beams.prefixes.shape[-1])
    shorter = lnp.where(places == lnp.expand_dims(beams.counts - 1, -1), NOTHING, beams.prefixes)
    alike = lnp.all(lnp.expand_dims(beams.prefixes, 2) == lnp.expand_dims(shorter, 1), -1)
    return lnp.logical_and(alike, lnp.expand_dims(lnp.logical_and(beams.counts > 0, beams.chances > -np.inf), 1))


def _taken(beams: _Beams, chosen: Any, longer: Any, stay_blank: Any, stay_label: Any, classes: int) -> _Beams:
    """The prefixes by their numbers: first those that stay, then those with each label more."""
    width = beams.counts.shape[1]
    stays = chosen < width
    beyond = lnp.maximum(chosen - width, 0)
    origin = lnp.where(stays, chosen, beyond // classes)
    label = lnp.astype(lnp.remainder(beyond, classes), "int32")
    counts = lnp.take_along_axis(beams.counts, origin, 1)
    prefixes = lnp.take_along_axis(beams.prefixes, lnp.expand_dims(origin, -1), 1)
    end = lnp.logical_and(lnp.expand_dims(lnp.logical_not(stays), -1),
                          np.arange(prefixes.shape[-1]) == lnp.expand_dims(counts, -1))
    return _Beams(
        lnp.where(end, lnp.expand_dims(label, -1), prefixes), counts + lnp.astype(lnp.logical_not(stays), "int32"),
        lnp.where(stays, lnp.take_along_axis(stay_blank, origin, 1), -np.inf),
        lnp.where(stays, lnp.take_along_axis(stay_label, origin, 1), lnp.take_along_axis(longer, beyond, 1)))
