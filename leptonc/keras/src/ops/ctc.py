"""Connectionist temporal classification (Graves et al. 2006)."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc import nn
from leptonc import numpy as lnp
from leptonc.keras.src.ops.classes import one_hot
from leptonc.keras.src.ops.control import scan
from leptonc.keras.src.ops.tensors import convert_to_tensor, in_float32

__all__ = ["ctc_loss"]

NEVER = -1e5  # the logarithm of no chance at all; finite, for the gradient's sake


def ctc_loss(target: Any, output: Any, target_length: Any, output_length: Any, mask_index: int = 0) -> Any:
    """-log of the chance that output [b, t, classes] of logits spells target [b, n], by the forward recursion over the states
    blank, label, blank ... blank."""
    labels, scores = convert_to_tensor(target, "int32"), nn.log_softmax(in_float32(output), -1)
    label_counts, steps = convert_to_tensor(target_length, "int32"), convert_to_tensor(output_length, "int32")
    batch, longest = labels.shape
    blanks = lnp.full((batch, longest), mask_index, "int32")
    states = lnp.concatenate([lnp.full((batch, 1), mask_index, "int32"),
                              lnp.reshape(lnp.stack([labels, blanks], 2), (batch, 2 * longest))], 1)
    emitted = lnp.einsum("btc,bsc->tbs", scores, one_hot(states, scores.shape[-1], dtype=scores.dtype))
    is_label = np.arange(2, 2 * longest + 1) % 2 == 1  # by place: a label may be the blank's number, as for Keras's other backends
    skips = lnp.pad(lnp.logical_and(is_label, states[:, 2:] != states[:, :-2]), ((0, 0), (2, 0)))

    def step(alpha: Any, at: tuple[Any, Any]) -> tuple[Any, tuple[()]]:
        emission, t = at
        one, two = (lnp.pad(alpha[:, :-n], ((0, 0), (n, 0)), constant_values=NEVER) for n in (1, 2))
        reached = lnp.logaddexp(lnp.logaddexp(alpha, one), lnp.where(skips, two, NEVER)) + emission
        return lnp.where(lnp.expand_dims(t < steps, 1), reached, alpha), ()

    start = lnp.where(lnp.arange(2 * longest + 1) < 1, lnp.zeros((batch, 1), scores.dtype), NEVER)
    return _ended(scan(step, start, (emitted, lnp.arange(emitted.shape[0], dtype="int32")))[0], label_counts)


def _ended(alpha: Any, label_counts: Any) -> Any:
    """-log of the chance to be at the last label or the blank behind it."""
    place = lnp.arange(alpha.shape[1], dtype="int32")
    last = lnp.expand_dims(2 * label_counts, 1)
    at_end = lnp.logical_and(place <= last, place >= last - 1)
    return -nn.logsumexp(lnp.where(at_end, alpha, 2 * NEVER), 1)
