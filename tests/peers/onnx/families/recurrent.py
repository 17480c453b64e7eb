"""Recurrent networks: one scan for each direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import leptonc.numpy as lnp
from leptonc import lax, nn
from tests.peers.onnx.registry import Node, op

ACTIVATIONS: dict[str, Callable[..., Any]] = {
    "Relu": lambda x, a, b: nn.relu(x), "Tanh": lambda x, a, b: lnp.tanh(x), "Sigmoid": lambda x, a, b: nn.sigmoid(x),
    "Affine": lambda x, a, b: (1.0 if a is None else a) * x + (0.0 if b is None else b),
    "LeakyRelu": lambda x, a, b: nn.leaky_relu(x, 0.01 if a is None else a),
    "ThresholdedRelu": lambda x, a, b: lnp.where(x >= (1.0 if a is None else a), x, 0),
    "ScaledTanh": lambda x, a, b: a * lnp.tanh(b * x),
    "HardSigmoid": lambda x, a, b: lnp.clip((0.2 if a is None else a) * x + (0.5 if b is None else b), 0, 1),
    "Elu": lambda x, a, b: nn.elu(x, 1.0 if a is None else a), "Softsign": lambda x, a, b: nn.soft_sign(x),
    "Softplus": lambda x, a, b: nn.softplus(x),
}
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
DEFAULTS = {"RNN": ["Tanh"], "GRU": ["Sigmoid", "Tanh"], "LSTM": ["Sigmoid", "Tanh", "Tanh"]}


def _activations(node: Node, directions: int) -> list[list[Callable[[Any], Any]]]:
    names = node.get("activations") or DEFAULTS[node.op_type] * directions
    alphas, betas, bound = list(node.get("activation_alpha", [])), list(node.get("activation_beta", [])), node.get("clip")
    found = []
    for name in names:
        a = alphas.pop(0) if alphas and name not in ("Relu", "Tanh", "Sigmoid", "Softsign", "Softplus") else None
        b = betas.pop(0) if betas and name in ("Affine", "ScaledTanh", "HardSigmoid") else None
        found.append(lambda x, f=ACTIVATIONS[name], a=a, b=b: f(x if bound is None else lnp.clip(x, -bound, bound), a, b))
    each = len(found) // directions
    return [found[d * each:(d + 1) * each] for d in range(directions)]


@op("RNN", "GRU", "LSTM")
def recurrent(node: Node, x: Any, w: Any, r: Any, bias: Any = None, lengths: Any = None, h: Any = None, c: Any = None,
              peephole: Any = None) -> Any:
    if node.get("layout", 0):
        x, h, c = lnp.swapaxes(x, 0, 1), *(None if v is None else lnp.swapaxes(v, 0, 1) for v in (h, c))
    directions, hidden = w.shape[0], r.shape[-1]
    zeros = lnp.zeros((directions, x.shape[1], hidden), x.dtype)
    h, c = zeros if h is None else h, zeros if c is None else c
    bias = lnp.zeros((directions, 2 * GATES[node.op_type] * hidden), x.dtype) if bias is None else bias
    peephole = lnp.zeros((directions, 3 * hidden), x.dtype) if peephole is None else peephole
    ys, ends = [], []
    for d, functions in enumerate(_activations(node, directions)):
        back = node.get("direction", "forward") == "reverse" or d == 1
        step = _STEPS[node.op_type](node, w[d], r[d], bias[d], peephole[d], functions, hidden)
        end, y = _run(step, x, (h[d], c[d]), lengths, back)
        ys.append(y)
        ends.append(end)
    out = [lnp.stack(ys, 1), *(lnp.stack(part, 0) for part in zip(*ends))]
    if node.get("layout", 0):
        out = [lnp.transpose(out[0], (2, 0, 1, 3)), *(lnp.swapaxes(v, 0, 1) for v in out[1:])]
    return tuple(out[:node.outputs])


def _run(step: Any, x: Any, start: Any, lengths: Any, back: bool) -> Any:
    def trip(state: Any, given: Any) -> Any:
        x, t = given
        new = step(x, *state)
        if lengths is not None:
            within = (t < lengths)[:, None]
            kept = tuple(lnp.where(within, a, b) for a, b in zip(new, state))
            return kept, lnp.where(within, new[0], 0)
        return new, new[0]

    return lax.scan(trip, start, (x, np.arange(x.shape[0], dtype=np.int32)), reverse=back)


def _parts(v: Any, count: int) -> list[Any]:
    return lnp.split(v, count, -1)


def _rnn(node: Node, w: Any, r: Any, bias: Any, peephole: Any, functions: Any, hidden: int) -> Any:
    total = sum(_parts(bias, 2))

    def step(x: Any, h: Any, c: Any) -> Any:
        return functions[0](x @ w.T + h @ r.T + total), c

    return step


def _gru(node: Node, w: Any, r: Any, bias: Any, peephole: Any, functions: Any, hidden: int) -> Any:
    f, g = functions
    of_x, of_h = _parts(bias, 2)

    def step(x: Any, h: Any, c: Any) -> Any:
        z_x, r_x, h_x = _parts(x @ w.T + of_x, 3)
        if node.get("linear_before_reset", 0):
            z_h, r_h, h_h = _parts(h @ r.T + of_h, 3)
            z, reset = f(z_x + z_h), f(r_x + r_h)
            new = g(h_x + reset * h_h)
        else:
            z_h, r_h = _parts(h @ r[:2 * hidden].T + of_h[:2 * hidden], 2)
            z, reset = f(z_x + z_h), f(r_x + r_h)
            new = g(h_x + (reset * h) @ r[2 * hidden:].T + of_h[2 * hidden:])
        return (1 - z) * new + z * h, c

    return step


def _lstm(node: Node, w: Any, r: Any, bias: Any, peephole: Any, functions: Any, hidden: int) -> Any:
    f, g, last = functions
    total, (p_i, p_o, p_f) = sum(_parts(bias, 2)), _parts(peephole, 3)

    def step(x: Any, h: Any, c: Any) -> Any:
        i, o, forget, new = _parts(x @ w.T + h @ r.T + total, 4)
        i = f(i + p_i * c)
        forget = 1 - i if node.get("input_forget", 0) else f(forget + p_f * c)
        c = forget * c + i * g(new)
        return f(o + p_o * c) * last(c), c

    return step


_STEPS = {"RNN": _rnn, "GRU": _gru, "LSTM": _lstm}
