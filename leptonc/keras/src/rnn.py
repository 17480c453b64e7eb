"""Recurrent layers: the steps one behind the other, so the time to compile grows with their number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras.src import tree

from leptonc import numpy as lnp
from leptonc.keras.src.ops.tensors import convert_to_tensor


def rnn(step_function: Callable[..., Any], inputs: Any, initial_states: Any, go_backwards: bool = False, mask: Any = None,
        constants: Any = None, unroll: bool = False, input_length: Any = None, time_major: bool = False,
        zero_output_for_mask: bool = False, return_all_outputs: bool = True) -> tuple[Any, Any, Any]:
    """(last output, outputs [n, time or 1, ...], last states). ``go_backwards`` gives the outputs in the order they come about.

    Where ``mask`` does not hold the states stay, and the output is the one before (zeros at first), or always zeros.
    """
    inputs = tree.map_structure(convert_to_tensor, inputs) if time_major else tree.map_structure(_swapped, inputs)
    steps = tree.flatten(inputs)[0].shape[0]
    if not steps:
        raise ValueError("a recurrent layer wants at least one time step")
    masks = None if mask is None else _time_first(mask, time_major)
    states = tree.map_structure(convert_to_tensor, tuple(initial_states))
    outputs: list[Any] = []
    for n in range(steps - 1, -1, -1) if go_backwards else range(steps):
        output, new = step_function(tree.map_structure(lambda x, n=n: x[n], inputs), (*states, *(constants or ())))
        new = tree.pack_sequence_as(states, tree.flatten(new))
        if masks is not None:
            before = outputs[-1] if outputs and not zero_output_for_mask else tree.map_structure(lnp.zeros_like, output)
            output, new = _chosen(masks[n], output, before), _chosen(masks[n], new, states)
        states = new
        outputs = [*outputs, output] if return_all_outputs else [output]
    stacked = tree.map_structure(lambda *parts: lnp.stack(parts, 0 if time_major else 1), *outputs)
    return outputs[-1], stacked, states


def _swapped(x: Any) -> Any:
    return lnp.swapaxes(convert_to_tensor(x), 0, 1)


def _time_first(mask: Any, time_major: bool) -> Any:
    """Bools [time, n]."""
    mask = convert_to_tensor(mask, "bool")
    mask = lnp.any(mask, axis=-1) if len(mask.shape) == 3 else mask
    return mask if time_major else lnp.swapaxes(mask, 0, 1)


def _chosen(mask: Any, new: Any, old: Any) -> Any:
    """new where the mask [n] holds, else old; trees of tensors [n, ...]."""
    return tree.map_structure(lambda a, b: lnp.where(lnp.reshape(mask, (-1, *(1 for _ in a.shape[1:]))), a, b), new, old)


def _no_fused_layer(*args: Any, **kwargs: Any) -> Any:
    """Keras falls back to ``rnn``."""
    raise NotImplementedError


lstm = gru = bidirectional_lstm = bidirectional_gru = _no_fused_layer


def cudnn_ok(*args: Any, **kwargs: Any) -> bool:
    return False
