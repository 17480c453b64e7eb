"""Recurrent layers: cells as functions of one step, and sequences of them over ``leptonc.lax.scan``.

Weights are ``kernel`` [in, gates * hidden] for what comes in, ``recurrent_kernel`` [hidden, gates * hidden], and biases [gates
* hidden]. An LSTM's gates lie in the order input, forget, cell, output: PyTorch's and Keras's. A GRU's are "pytorch" (reset,
update, new: Flax's too) or "keras" (update, reset, new). PyTorch's matrices are these, transposed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, choice, flag, function
from leptonc.errors import DtypeError, op_error
from leptonc.nn.activations import sigmoid
from leptonc.numpy.elementwise import as_float
from leptonc.scan import scan

GATE_ORDERS = {"pytorch": (0, 1), "keras": (1, 0)}  # where reset and update are


def _weights(name: str, kernel: Any, recurrent_kernel: Any, gates: int) -> tuple[Any, Any]:
    w, u = as_float(array(name, "kernel", kernel)), as_float(array(name, "recurrent_kernel", recurrent_kernel))
    if len(w.shape) != 2 or len(u.shape) != 2 or u.shape[1] != gates * u.shape[0] or w.shape[1] != u.shape[1]:
        raise op_error(
            name,
            f"kernel must be [in, {gates} * hidden] and recurrent_kernel [hidden, {gates} * hidden]",
            {"kernel": w, "recurrent_kernel": u},
        )
    return w, u


def _hidden(name: str, what: str, value: Any, like: Any, hidden: int) -> Any:
    state = as_float(array(name, what, value))
    if state.shape != (*like.shape[:-1], hidden):
        raise op_error(name, f"{what} must be of shape {(*like.shape[:-1], hidden)}", {"x": like, what: state})
    return state


def _projected(name: str, x: Any, w: Any, bias: Any) -> Any:
    """What comes in through its weights: of a sequence one product over all steps, for it does not depend on the state."""
    operand = as_float(array(name, "x", x))
    if not operand.shape or operand.shape[-1] != w.shape[0]:
        raise op_error(name, f"x must have {w.shape[0]} features, its last axis", {"x": operand, "kernel": w})
    return _biased(name, lnp.matmul(operand, w), "bias", bias)


def _steps(name: str, x: Any, w: Any, bias: Any) -> Any:
    """What comes in at each step, [t, n, gates * hidden], of x [n, t, in]."""
    if x.shape[-1] != w.shape[0]:
        return _projected(name, x, w, bias)  # an error
    return _projected(name, lnp.moveaxis(x, 1, 0), w, bias)


def _biased(name: str, y: Any, what: str, bias: Any) -> Any:
    if bias is None:
        return y
    b = as_float(array(name, what, bias))
    if b.shape != y.shape[-1:]:
        raise op_error(name, f"{what} must be [{y.shape[-1]}]", {what: b})
    return lnp.add(y, b)


def simple_rnn_cell(
    x: Any, h: Any, kernel: Any, recurrent_kernel: Any, bias: Any = None, *, activation: Callable[[Any], Any] = lnp.tanh
) -> Any:
    """The next h [..., hidden]: activation(x W + h U + b), of x [..., in]. (Elman 1990)"""
    w, u = _weights("simple_rnn_cell", kernel, recurrent_kernel, 1)
    into = _projected("simple_rnn_cell", x, w, bias)
    return _rnn_step(
        into, _hidden("simple_rnn_cell", "h", h, into, u.shape[0]), u, function("simple_rnn_cell", "activation", activation)
    )


def _rnn_step(into: Any, h: Any, u: Any, activation: Callable[[Any], Any]) -> Any:
    return activation(lnp.add(into, lnp.matmul(h, u)))


def lstm_cell(x: Any, state: tuple[Any, Any], kernel: Any, recurrent_kernel: Any, bias: Any = None) -> tuple[Any, Any]:
    """The next (h, c), each [..., hidden], of x [..., in] (Hochreiter and Schmidhuber 1997)."""
    w, u = _weights("lstm_cell", kernel, recurrent_kernel, 4)
    into = _projected("lstm_cell", x, w, bias)
    h, c = _pair("lstm_cell", state, into, u.shape[0])
    return _lstm_step(into, h, c, u)


def _pair(name: str, state: Any, like: Any, hidden: int) -> tuple[Any, Any]:
    if not isinstance(state, tuple | list) or len(state) != 2:
        raise op_error(name, "the state must be (h, c)", {"state": state}, kind=DtypeError)
    return _hidden(name, "h", state[0], like, hidden), _hidden(name, "c", state[1], like, hidden)


def _lstm_step(into: Any, h: Any, c: Any, u: Any) -> tuple[Any, Any]:
    i, f, g, o = _parts(lnp.add(into, lnp.matmul(h, u)), 4)
    new = lnp.add(lnp.multiply(sigmoid(f), c), lnp.multiply(sigmoid(i), lnp.tanh(g)))
    return lnp.multiply(sigmoid(o), lnp.tanh(new)), new


def _parts(gates: Any, count: int) -> list[Any]:
    return lnp.split(gates, count, -1)


def gru_cell(
    x: Any,
    h: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    recurrent_bias: Any = None,
    *,
    gates: str = "pytorch",
    reset_after: bool = True,
) -> Any:
    """The next h [..., hidden] of x [..., in]: (1 - z) n + z h (Cho et al. 2014).

    n is tanh(x W + b + r (h U + c)), c the ``recurrent_bias``, in PyTorch, and in Keras by default; without ``reset_after``
    tanh(x W + b + (r h) U + c), as published.
    """
    w, u = _weights("gru_cell", kernel, recurrent_kernel, 3)
    into = _projected("gru_cell", x, w, bias)
    state = _hidden("gru_cell", "h", h, into, u.shape[0])
    order = GATE_ORDERS[choice("gru_cell", "gates", gates, GATE_ORDERS)]
    return _gru_step(
        into, state, u, _recurrent_bias("gru_cell", recurrent_bias, u), order, flag("gru_cell", "reset_after", reset_after)
    )


def _recurrent_bias(name: str, bias: Any, u: Any) -> Any:
    if bias is None:
        return None
    b = as_float(array(name, "recurrent_bias", bias))
    if b.shape != u.shape[1:]:
        raise op_error(name, f"recurrent_bias must be [{u.shape[1]}]", {"recurrent_bias": b})
    return b


def _gru_step(into: Any, h: Any, u: Any, bias: Any, order: tuple[int, int], reset_after: bool) -> Any:
    hidden = u.shape[0]
    if reset_after:
        own = lnp.matmul(h, u) if bias is None else lnp.add(lnp.matmul(h, u), bias)
        theirs, ours = _parts(into, 3), _parts(own, 3)
        r, z = (sigmoid(lnp.add(theirs[n], ours[n])) for n in order)
        new = lnp.tanh(lnp.add(theirs[2], lnp.multiply(r, ours[2])))
    else:
        both = into if bias is None else lnp.add(into, bias)
        pre = lnp.add(both[..., : 2 * hidden], lnp.matmul(h, u[:, : 2 * hidden]))
        parts = _parts(pre, 2)
        r, z = (sigmoid(parts[n]) for n in order)
        new = lnp.tanh(lnp.add(both[..., 2 * hidden :], lnp.matmul(lnp.multiply(r, h), u[:, 2 * hidden :])))
    return lnp.add(new, lnp.multiply(z, lnp.subtract(h, new)))


def _sequence(name: str, x: Any) -> Any:
    operand = as_float(array(name, "x", x))
    if len(operand.shape) != 3 or not operand.shape[1]:
        raise op_error(name, "x must be [n, t, in] of at least one step", {"x": operand})
    return operand


def _counts(name: str, x: Any, lengths: Any, mask: Any) -> Any:
    """bool[n, t] of the steps that count, or None if all do."""
    batch, steps = x.shape[:2]
    if lengths is None and mask is None:
        return None
    if lengths is not None and mask is not None:
        raise op_error(name, "takes lengths or a mask, not both", {"x": x})
    if mask is None:
        count = array(name, "lengths", lengths)
        if count.shape != (batch,) or count.dtype.kind not in "iu":
            raise op_error(name, f"lengths must be {batch} ints", {"lengths": count})
        return lnp.less(np.arange(steps), lnp.expand_dims(count, 1))
    found = array(name, "mask", mask)
    if found.shape != (batch, steps) or found.dtype.kind != "b":
        raise op_error(name, f"mask must be bools of shape {(batch, steps)}", {"mask": found})
    return found


def _run(
    step: Callable[[Any, tuple[Any, ...]], tuple[Any, ...]], into: Any, state: tuple[Any, ...], counts: Any, reverse: bool
) -> tuple[Any, tuple[Any, ...]]:
    """The first part of the state at each step, [n, t, hidden], and the last state. Steps that do not count leave the state as it
    is, and give 0, as PyTorch's packed sequences do."""

    def one(carry: tuple[Any, ...], at: Any) -> tuple[tuple[Any, ...], Any]:
        if counts is None:
            new = step(at, carry)
            return new, new[0]
        now, counted = at
        here = lnp.expand_dims(counted, 1)
        new = tuple(lnp.where(here, a, b) for a, b in zip(step(now, carry), carry))
        return new, lnp.where(here, new[0], 0.0)

    last, ys = scan(one, state, into if counts is None else (into, lnp.swapaxes(counts, 0, 1)), reverse=reverse)
    return lnp.moveaxis(ys, 0, 1), last


def _start(name: str, what: str, value: Any, into: Any, hidden: int) -> Any:
    """The given initial state [n, hidden], or zeros."""
    if value is None:
        return np.zeros((into.shape[1], hidden), into.dtype)
    state = as_float(array(name, what, value))
    if state.shape != (into.shape[1], hidden):
        raise op_error(name, f"{what} must be of shape {(into.shape[1], hidden)}", {what: state})
    return lnp.astype(state, into.dtype)


def simple_rnn(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    h: Any = None,
    *,
    activation: Callable[[Any], Any] = lnp.tanh,
    lengths: Any = None,
    mask: Any = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """(ys [n, t, hidden], the last h) of x [n, t, in]. ``lengths``, ints [n], or ``mask``, bools [n, t], say which steps count;
    the others leave h as it is, and their y is 0. ``reverse`` goes from the last step to the first."""
    w, u = _weights("simple_rnn", kernel, recurrent_kernel, 1)
    operand = _sequence("simple_rnn", x)
    into = _steps("simple_rnn", operand, w, bias)
    f = function("simple_rnn", "activation", activation)
    start = _start("simple_rnn", "h", h, into, u.shape[0])
    ys, last = _run(
        lambda now, carry: (_rnn_step(now, carry[0], u, f),),
        into,
        (start,),
        _counts("simple_rnn", operand, lengths, mask),
        flag("simple_rnn", "reverse", reverse),
    )
    return ys, last[0]


def lstm(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    state: tuple[Any, Any] | None = None,
    *,
    lengths: Any = None,
    mask: Any = None,
    reverse: bool = False,
) -> tuple[Any, tuple[Any, Any]]:
    """(ys [n, t, hidden], the last (h, c)) of x [n, t, in]. Options are those of ``simple_rnn``."""
    w, u = _weights("lstm", kernel, recurrent_kernel, 4)
    operand = _sequence("lstm", x)
    into = _steps("lstm", operand, w, bias)
    if state is not None and (not isinstance(state, tuple | list) or len(state) != 2):
        raise op_error("lstm", "the state must be (h, c)", {"state": state}, kind=DtypeError)
    h, c = (_start("lstm", what, None if state is None else state[n], into, u.shape[0]) for n, what in enumerate("hc"))
    ys, last = _run(
        lambda now, carry: _lstm_step(now, carry[0], carry[1], u),
        into,
        (h, c),
        _counts("lstm", operand, lengths, mask),
        flag("lstm", "reverse", reverse),
    )
    return ys, (last[0], last[1])


def gru(
    x: Any,
    kernel: Any,
    recurrent_kernel: Any,
    bias: Any = None,
    recurrent_bias: Any = None,
    h: Any = None,
    *,
    gates: str = "pytorch",
    reset_after: bool = True,
    lengths: Any = None,
    mask: Any = None,
    reverse: bool = False,
) -> tuple[Any, Any]:
    """(ys [n, t, hidden], the last h) of x [n, t, in]. Options are those of ``gru_cell`` and ``simple_rnn``."""
    w, u = _weights("gru", kernel, recurrent_kernel, 3)
    operand = _sequence("gru", x)
    into = _steps("gru", operand, w, bias)
    order = GATE_ORDERS[choice("gru", "gates", gates, GATE_ORDERS)]
    own, after = _recurrent_bias("gru", recurrent_bias, u), flag("gru", "reset_after", reset_after)
    start = _start("gru", "h", h, into, u.shape[0])
    ys, last = _run(
        lambda now, carry: (_gru_step(now, carry[0], u, own, order, after),),
        into,
        (start,),
        _counts("gru", operand, lengths, mask),
        flag("gru", "reverse", reverse),
    )
    return ys, last[0]
