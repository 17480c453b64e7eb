"""Recurrent layers step by step, against a loop over single sequences in NumPy."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

if find_spec("keras") is None:
    pytest.skip("Keras is not installed", allow_module_level=True)

import leptonc
from leptonc import numpy as lnp
from leptonc.keras.src.rnn import lstm, rnn

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 5, 2)).astype("float32")
START = RNG.normal(size=(3, 2)).astype("float32")
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 1, 0, 1], [0, 0, 0, 0, 0]], bool)


def step(x, states):
    state, scale = states
    new = lnp.tanh(x * scale + state * 0.5)
    return new * 2, [new]


def expected(x, state, mask, backwards, zeros):
    """(outputs, last state) of one sequence."""
    outputs = []
    for n in reversed(range(len(x))) if backwards else range(len(x)):
        before = outputs[-1] if outputs and not zeros else np.zeros(2, "float32")
        if mask[n]:
            state = np.tanh(x[n] * 3 + state * 0.5)
        outputs.append(state * 2 if mask[n] else before)
    return np.stack(outputs), state


@pytest.mark.parametrize("masked, backwards, zeros, time_major, all_outputs", [
    (None, False, False, False, True), (None, True, False, True, False), (None, True, True, False, True),
    (MASK, False, False, False, True), (MASK, True, False, False, True), (MASK, False, True, False, True),
    (MASK, False, False, False, False), (MASK, True, True, True, False), (MASK, True, False, True, True),
    (MASK[..., None], False, False, True, True), (MASK[..., None], True, True, False, False),
    (MASK.astype("int32"), False, True, False, False),
])
def test_rnn(masked, backwards, zeros, time_major, all_outputs):
    def run(x, start):
        mask = masked.swapaxes(0, 1) if masked is not None and time_major else masked
        return rnn(step, lnp.swapaxes(x, 0, 1) if time_major else x, [start], mask=mask, go_backwards=backwards,
                   zero_output_for_mask=zeros, time_major=time_major, return_all_outputs=all_outputs, constants=[3.0])

    rows = [expected(X[n], START[n], MASK[n] if masked is not None else [True] * 5, backwards, zeros) for n in range(3)]
    outputs, states = np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows])
    for last, found, (state,) in (run(X, START), leptonc.jit(run)(X, START)):
        found = np.swapaxes(found, 0, 1) if time_major else found
        np.testing.assert_allclose(found, outputs if all_outputs else outputs[:, -1:], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(last, outputs[:, -1], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(state, states, rtol=1e-5, atol=1e-6)


def test_trees_of_inputs_outputs_and_states():
    def nested(x, states):
        (a, (b,)) = states
        return {"sum": x["u"] + a, "b": b}, [a + x["v"], (b * x["u"],)]

    inputs = {"u": X, "v": X + 1}
    last, outputs, states = rnn(nested, inputs, [START, (START,)], mask=MASK)
    assert outputs["sum"].shape == outputs["b"].shape == (3, 5, 2)
    np.testing.assert_allclose(states[0][0], START[0] + (X[0] + 1).sum(0), rtol=1e-5)
    np.testing.assert_allclose(states[1][0][2], START[2])
    np.testing.assert_allclose(last["b"], outputs["b"][:, -1])


def test_masked_steps_have_no_gradient():
    gradient = leptonc.grad(lambda x: rnn(step, x, [START], mask=MASK, constants=[3.0])[0].sum())(X)
    assert (np.any(gradient != 0, axis=-1) == MASK).all()


def test_fused_layers_are_left_to_keras():
    with pytest.raises(NotImplementedError):
        lstm(X)


@pytest.mark.parametrize("layer", ["SimpleRNN", "GRU", "LSTM"])
def test_keras_layers_compiled_as_eager(layer):
    from leptonc.keras import layers

    made = layers.Bidirectional(getattr(layers, layer)(4, return_sequences=True))
    eager = made(X, mask=MASK)
    np.testing.assert_allclose(leptonc.jit(lambda x: made(x, mask=MASK))(X), eager, rtol=1e-5, atol=1e-6)
    assert eager.shape == (3, 5, 8)


@pytest.mark.parametrize("layer, carries", [("SimpleRNN", 1), ("GRU", 1), ("LSTM", 2)])
def test_an_output_that_is_a_state_is_carried_once(layer, carries):
    from leptonc.keras import layers

    made = getattr(layers, layer)(4)
    made.build(X.shape)
    loop = next(n for n in leptonc.jit(made).trace(X).graph.nodes if n.op == "scan")
    assert loop.attributes["carries"] == carries
