"""Recurrent layers: in a trace one loop, whatever the number of steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras.src import tree

import leptonc
from leptonc import numpy as lnp
from leptonc.keras.src.ops.control import scan
from leptonc.keras.src.ops.effects import without_effects
from leptonc.keras.src.ops.tensors import convert_to_tensor
from leptonc.trace import tracing

Step = Callable[[Any, Any], tuple[Any, Any]]  # (input, states) -> (output, states)


def rnn(step_function: Callable[..., Any], inputs: Any, initial_states: Any, go_backwards: bool = False, mask: Any = None,
        constants: Any = None, unroll: bool = False, input_length: Any = None, time_major: bool = False,
        zero_output_for_mask: bool = False, return_all_outputs: bool = True) -> tuple[Any, Any, Any]:
    """(last output, outputs [n, time or 1, ...], last states). ``go_backwards`` gives the outputs in the order they come about.

    Where ``mask`` does not hold the states stay, and the output is the one before (zeros at first), or always zeros. Steps are
    written out one behind the other if ``unroll``, and where nothing is traced.
    """
    inputs = tree.map_structure(convert_to_tensor, inputs) if time_major else tree.map_structure(_swapped, inputs)
    if not tree.flatten(inputs)[0].shape[0]:
        raise ValueError("a recurrent layer wants at least one time step")
    masks = None if mask is None else _time_first(mask, time_major)
    states = tree.map_structure(convert_to_tensor, tuple(initial_states))

    def step(x: Any, states: Any) -> tuple[Any, Any]:
        output, new = step_function(x, (*states, *(constants or ())))
        return output, tree.pack_sequence_as(states, tree.flatten(new))

    run = _looped if tracing() and not unroll else _written_out
    last, outputs, states = run(step, inputs, masks, states, go_backwards, zero_output_for_mask, return_all_outputs)
    return last, outputs if time_major else tree.map_structure(_swapped, outputs), states


def _looped(step: Step, inputs: Any, masks: Any, states: Any, backwards: bool, zeros: bool, everything: bool,
            ) -> tuple[Any, Any, Any]:
    """By ``scan``, which carries the last output where it is wanted and is no state."""
    before, place = None, None
    if not everything or (masks is not None and not zeros):
        before, place = _first_output(step, inputs, states)
        before = before if place is None or masks is not None else None

    def trip(carry: Any, at: Any) -> tuple[Any, Any]:
        (states, before), (x, mask) = carry, at
        output, new = step(x, states)
        if mask is not None:
            old = tree.map_structure(lnp.zeros_like, output) if zeros else before
            output, new = _chosen(mask, output, old), _chosen(mask, new, states)
        return (new, None if before is None else output), output if everything else None

    (states, last), outputs = scan(trip, (states, before), (inputs, masks), reverse=backwards)
    if not everything:
        last = tree.flatten(states)[place] if last is None else last
        return last, tree.map_structure(lambda x: lnp.expand_dims(x, 0), last), states
    if backwards:
        outputs = tree.map_structure(lambda x: lnp.flip(x, 0), outputs)
    return tree.map_structure(lambda x: x[-1], outputs), outputs, states


def _first_output(step: Step, inputs: Any, states: Any) -> tuple[Any, int | None]:
    """Zeros like an output, and which of the states it is, if it is one."""
    places: list[int | None] = []

    def outputs(inputs: Any, states: Any) -> Any:
        output, new = step(tree.map_structure(lambda x: x[0], inputs), states)
        places.append(next((n for n, x in enumerate(tree.flatten(new)) if x is output), None))
        return output

    found = leptonc.eval_shape(without_effects(outputs), inputs, states)
    return tree.map_structure(lambda x: lnp.zeros(x.shape, x.dtype), found), places[-1]


def _written_out(step: Step, inputs: Any, masks: Any, states: Any, backwards: bool, zeros: bool, everything: bool,
                 ) -> tuple[Any, Any, Any]:
    count = tree.flatten(inputs)[0].shape[0]
    outputs: list[Any] = []
    for n in range(count - 1, -1, -1) if backwards else range(count):
        output, new = step(tree.map_structure(lambda x, n=n: x[n], inputs), states)
        if masks is not None:
            before = outputs[-1] if outputs and not zeros else tree.map_structure(lnp.zeros_like, output)
            output, new = _chosen(masks[n], output, before), _chosen(masks[n], new, states)
        states = new
        outputs = [*outputs, output] if everything else [output]
    return outputs[-1], tree.map_structure(lambda *parts: lnp.stack(parts), *outputs), states


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
