"""Connectionist temporal classification (Graves et al. 2006): the forward recursion over blank, label, blank ... blank."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, choice, integer
from leptonc.errors import DtypeError, op_error
from leptonc.nn.activations import log_softmax, logsumexp, one_hot
from leptonc.nn.losses import REDUCTIONS
from leptonc.numpy.elementwise import as_float
from leptonc.scan import scan

NEVER = -1e30  # the logarithm of no chance; finite, for the gradient's sake
IMPOSSIBLE = 1e29  # a loss from which no alignment spells the labels


def ctc_loss(
    logits: Any, labels: Any, logit_lengths: Any = None, label_lengths: Any = None, *, blank: int = 0, reduction: str = "mean"
) -> Any:
    """-log of the chance that logits [n, t, classes] spell labels [n, s]: summed over all alignments, in log space.

    ``logit_lengths`` and ``label_lengths``, ints [n], are how many of t and s count: all, if left out. Labels that need more steps
    than there are have an infinite loss, and gradients of 0 (PyTorch's loss, which it gives NaN gradients). The mean is over the
    batch of losses as they are; PyTorch's "mean" divides each by its labels first.
    """
    scores = as_float(array("ctc_loss", "logits", logits))
    if scores.dtype.itemsize < 4:  # which cannot hold NEVER
        scores = lnp.astype(scores, np.float32)
    spelt = array("ctc_loss", "labels", labels)
    choice("ctc_loss", "reduction", reduction, REDUCTIONS)
    _check(scores, spelt)
    batch, steps, classes = scores.shape
    number = integer("ctc_loss", "blank", blank, {"logits": scores}, least=0, most=classes - 1)
    longest = spelt.shape[1]
    counts, ends = (
        _lengths(what, given, batch, full)
        for what, given, full in (("label_lengths", label_lengths, longest), ("logit_lengths", logit_lengths, steps))
    )
    states = _states(lnp.astype(spelt, np.int64), number)
    emitted = lnp.einsum("btc,bsc->tbs", log_softmax(scores, -1), one_hot(states, classes, scores.dtype))
    alpha = _forward(emitted, _skips(states, number), ends)
    loss = _ended(alpha, counts)
    loss = lnp.where(loss < IMPOSSIBLE, loss, lnp.full((), np.inf, loss.dtype))
    return loss if reduction == "none" else lnp.sum(loss) if reduction == "sum" else lnp.mean(loss)


def _check(scores: Any, labels: Any) -> None:
    operands = {"logits": scores, "labels": labels}
    if len(scores.shape) != 3 or len(labels.shape) != 2 or scores.shape[0] != labels.shape[0] or 0 in scores.shape:
        raise op_error("ctc_loss", "logits must be [n, t, classes] and labels [n, s]", operands)
    if labels.dtype.kind not in "iu":
        raise op_error("ctc_loss", "labels must be ints", operands, kind=DtypeError)


def _lengths(what: str, given: Any, batch: int, full: int) -> Any:
    if given is None:
        return np.full(batch, full, np.int64)
    counts = array("ctc_loss", what, given)
    if counts.shape != (batch,) or counts.dtype.kind not in "iu":
        raise op_error("ctc_loss", f"{what} must be {batch} ints", {what: counts})
    return lnp.astype(counts, np.int64)


def _states(labels: Any, blank: int) -> Any:
    """i64[n, 2 s + 1]: blank, label, blank ... blank."""
    batch, longest = labels.shape
    blanks = np.full((batch, longest), blank, np.int64)
    between = lnp.reshape(lnp.stack([labels, blanks], 2), (batch, 2 * longest))
    return lnp.concatenate([np.full((batch, 1), blank, np.int64), between], 1)


def _skips(states: Any, blank: int) -> Any:
    """Where the blank before may be left out: at labels that differ from the one before."""
    if states.shape[1] < 3:
        return np.zeros(states.shape, np.bool_)
    free = lnp.logical_and(states[:, 2:] != blank, states[:, 2:] != states[:, :-2])
    return lnp.concatenate([np.zeros((states.shape[0], 2), np.bool_), free], 1)


def _forward(emitted: Any, skips: Any, ends: Any) -> Any:
    """log of the chance to be in each state when its logits end."""
    steps, batch, count = emitted.shape
    never = np.full((batch, 2), NEVER, emitted.dtype)

    def step(alpha: Any, at: tuple[Any, Any]) -> tuple[Any, tuple[()]]:
        emission, t = at
        wide = lnp.concatenate([never, alpha], 1)
        ways = lnp.stack([alpha, wide[:, 1:-1], lnp.where(skips, wide[:, :-2], NEVER)], 2)
        reached = lnp.maximum(logsumexp(ways, 2) + emission, NEVER)  # so that it stays finite step by step
        return lnp.where(lnp.expand_dims(t < ends, 1), reached, alpha), ()

    start = np.where(np.arange(count) < 1, 0, NEVER).astype(emitted.dtype) + np.zeros((batch, 1), emitted.dtype)
    return scan(step, start, (emitted, np.arange(steps)))[0]


def _ended(alpha: Any, counts: Any) -> Any:
    """-log of the chance to be at the last label or the blank behind it."""
    place, last = np.arange(alpha.shape[1]), lnp.expand_dims(2 * counts, 1)
    return -logsumexp(lnp.where(lnp.logical_and(place <= last, place >= last - 1), alpha, NEVER), 1)
