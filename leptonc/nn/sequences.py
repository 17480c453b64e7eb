"""Ready-made modules for sequences [n, t, features]: recurrent layers and attention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from leptonc import numpy as lnp
from leptonc import random
from leptonc.arguments import array, flag, function, integer
from leptonc.errors import ArgumentError, describe, op_error
from leptonc.nn import initializers
from leptonc.nn.attention import dot_product_attention, rotary_embedding
from leptonc.nn.layers import Linear, drawn
from leptonc.nn.module import Module, Parameter, as_key
from leptonc.nn.recurrent import gru, lstm, simple_rnn
from leptonc.trace import bind, cast

_ZEROS = initializers.zeros()


class RecurrentWeights(Module):
    """The weights of one layer in one direction."""

    kernel: Any
    recurrent_kernel: Any
    bias: Any
    recurrent_bias: Any

    def __init__(self, inputs: int, hidden: int, gates: int, biases: int, dtype: Any, key: Any):
        limit = initializers.between(-(hidden**-0.5), hidden**-0.5)  # PyTorch's
        self.kernel = Parameter((inputs, gates * hidden), limit, dtype)
        self.recurrent_kernel = Parameter((hidden, gates * hidden), limit, dtype)
        self.bias = Parameter((gates * hidden,), _ZEROS, dtype) if biases else None
        self.recurrent_bias = Parameter((gates * hidden,), _ZEROS, dtype) if biases > 1 else None
        drawn(self, key)


def _check_features(name: str, x: Any, features: int) -> Any:
    operand = array(name, "x", x)
    if len(operand.shape) != 3 or operand.shape[2] != features:
        raise op_error(name, f"x must be [n, t, {features}]", {"x": operand})
    return operand


class _Recurrent(Module):
    """Layers of one direction or two, each over the outputs of the one before: ``ys, state = layer(x, state)``."""

    layers: list[RecurrentWeights]
    in_features: int
    hidden_features: int
    num_layers: int
    bidirectional: bool

    def _build(
        self,
        in_features: Any,
        hidden_features: Any,
        num_layers: Any,
        bidirectional: Any,
        gates: int,
        biases: int,
        dtype: Any,
        key: Any,
    ) -> None:
        name = type(self).__name__
        self.in_features = integer(name, "in_features", in_features, least=1)
        self.hidden_features = integer(name, "hidden_features", hidden_features, least=1)
        self.num_layers = integer(name, "num_layers", num_layers, least=1)
        self.bidirectional = flag(name, "bidirectional", bidirectional)
        ways = 1 + self.bidirectional
        keys = [None] * (self.num_layers * ways) if key is None else random.split(as_key(name, key), self.num_layers * ways)
        inputs = [self.in_features] + [ways * self.hidden_features] * (self.num_layers - 1)
        self.layers = [
            RecurrentWeights(inputs[n // ways], self.hidden_features, gates, biases, dtype, k) for n, k in enumerate(keys)
        ]

    def _one(self, x: Any, weights: RecurrentWeights, state: Any, options: dict[str, Any]) -> tuple[Any, Any]:
        raise NotImplementedError

    def __call__(self, x: Any, state: Any = None, *, lengths: Any = None, mask: Any = None) -> tuple[Any, Any]:
        """(ys [n, t, hidden], or [n, t, 2 * hidden] of both directions; the last state of each layer and direction, forward first).

        ``state``, such a list, is where it starts: zeros if left out. ``lengths``, ints [n], or ``mask``, bools [n, t], say which
        steps count.
        """
        y = _check_features(type(self).__name__, x, self.in_features)
        ways = 1 + self.bidirectional
        starts = _starts(type(self).__name__, state, len(self.layers))
        last: list[Any] = []
        for n in range(self.num_layers):
            outs = []
            for way in range(ways):
                place = n * ways + way
                options = {"lengths": lengths, "mask": mask, "reverse": bool(way)}
                out, end = self._one(y, self.layers[place], starts[place], options)
                outs.append(out)
                last.append(end)
            y = outs[0] if ways == 1 else lnp.concatenate(outs, 2)
        return y, last


def _starts(name: str, state: Any, count: int) -> list[Any]:
    if state is None:
        return [None] * count
    if not isinstance(state, list) or len(state) != count:
        raise ArgumentError(
            f"{name}: state={describe(state)} must be a list of {count}, one for each layer and direction, as a call returns it"
        )
    return state


class SimpleRNN(_Recurrent):
    """Elman's recurrent layers; a layer's state is its last output h [n, hidden]."""

    activation: Callable[[Any], Any]

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        use_bias: bool = True,
        activation: Callable[[Any], Any] = lnp.tanh,
        dtype: Any = np.float32,
        key: Any = None,
    ):
        self.activation = function("SimpleRNN", "activation", activation)
        self._build(
            in_features, hidden_features, num_layers, bidirectional, 1, int(flag("SimpleRNN", "use_bias", use_bias)), dtype, key
        )

    def _one(self, x: Any, weights: RecurrentWeights, state: Any, options: dict[str, Any]) -> tuple[Any, Any]:
        return simple_rnn(x, weights.kernel, weights.recurrent_kernel, weights.bias, state, activation=self.activation, **options)


class LSTM(_Recurrent):
    """Long short-term memory, gates in the order input, forget, cell, output; a layer's state is (h, c), each [n, hidden]."""

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        use_bias: bool = True,
        dtype: Any = np.float32,
        key: Any = None,
    ):
        self._build(
            in_features, hidden_features, num_layers, bidirectional, 4, int(flag("LSTM", "use_bias", use_bias)), dtype, key
        )

    def _one(self, x: Any, weights: RecurrentWeights, state: Any, options: dict[str, Any]) -> tuple[Any, Any]:
        return lstm(x, weights.kernel, weights.recurrent_kernel, weights.bias, state, **options)


class GRU(_Recurrent):
    """Gated recurrent units, in PyTorch's order of ``gates`` or Keras's (see ``gru_cell``); a layer's state is h [n, hidden]."""

    gates: str
    reset_after: bool

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        num_layers: int = 1,
        bidirectional: bool = False,
        use_bias: bool = True,
        gates: str = "pytorch",
        reset_after: bool = True,
        dtype: Any = np.float32,
        key: Any = None,
    ):
        self.gates, self.reset_after = gates, flag("GRU", "reset_after", reset_after)
        self._build(in_features, hidden_features, num_layers, bidirectional, 3, 2 * flag("GRU", "use_bias", use_bias), dtype, key)

    def _one(self, x: Any, weights: RecurrentWeights, state: Any, options: dict[str, Any]) -> tuple[Any, Any]:
        return gru(
            x,
            weights.kernel,
            weights.recurrent_kernel,
            weights.bias,
            weights.recurrent_bias,
            state,
            gates=self.gates,
            reset_after=self.reset_after,
            **options,
        )


class KVCache(NamedTuple):
    """Keys and values [n, room, heads, d] of the tokens so far, and how many there are: a tree, for carries and donation."""

    keys: Any
    values: Any
    length: Any


class MultiHeadAttention(Module):
    """Attention with projections: y = attention(x), attention(x, memory), or y, cache = attention(x, cache=cache).

    ``num_kv_heads`` fewer heads of keys and values share the queries' (Ainslie et al. 2023); ``rotary`` turns queries and keys by
    their positions. Raises ShapeError or ArgumentError for what does not fit.
    """

    query: Linear
    key: Linear
    value: Linear
    out: Linear
    num_heads: int
    num_kv_heads: int
    head_features: int
    rotary: bool
    is_causal: bool

    def __init__(
        self,
        features: int,
        num_heads: int,
        *,
        num_kv_heads: int | None = None,
        is_causal: bool = False,
        rotary: bool = False,
        use_bias: bool = True,
        memory_features: int | None = None,
        dtype: Any = np.float32,
        key: Any = None,
    ):
        name = "MultiHeadAttention"
        width, self.num_heads = integer(name, "features", features, least=1), integer(name, "num_heads", num_heads, least=1)
        self.num_kv_heads = self.num_heads if num_kv_heads is None else integer(name, "num_kv_heads", num_kv_heads, least=1)
        if width % self.num_heads or self.num_heads % self.num_kv_heads:
            raise ArgumentError(
                f"{name}: {width} features go into {self.num_heads} heads, and those into {self.num_kv_heads} of keys, "
                "only with a remainder"
            )
        self.head_features = width // self.num_heads
        self.rotary, self.is_causal = flag(name, "rotary", rotary), flag(name, "is_causal", is_causal)
        shared = self.num_kv_heads * self.head_features
        source = width if memory_features is None else memory_features
        sizes = {"query": (width, width), "key": (source, shared), "value": (source, shared), "out": (width, width)}
        keys = [None] * 4 if key is None else random.split(as_key(name, key), 4)
        for (part, (inputs, outputs)), k in zip(sizes.items(), keys):
            setattr(
                self,
                part,
                Linear(inputs, outputs, use_bias=use_bias, kernel_init=initializers.glorot_uniform(), dtype=dtype, key=k),
            )

    def empty_cache(self, batch: int, room: int, dtype: Any = np.float32) -> KVCache:
        """A cache for ``room`` tokens of each of ``batch`` sequences."""
        sizes = [integer("MultiHeadAttention", what, n, least=1) for what, n in (("batch", batch), ("room", room))]
        shape = (*sizes, self.num_kv_heads, self.head_features)
        return KVCache(lnp.zeros(shape, dtype), lnp.zeros(shape, dtype), lnp.zeros((), np.int32))

    def __call__(self, x: Any, memory: Any = None, *, mask: Any = None, lengths: Any = None, cache: KVCache | None = None) -> Any:
        """[n, t, features] of x [n, t, features]; keys and values are those of ``memory`` [n, s, memory features] if it is given.

        ``mask``, bools that stretch to [n, heads, t, s], is True where attention is paid; ``lengths``, ints [n], are how many keys
        count. With a ``cache`` x is what comes behind its tokens, and the result (y, the cache with x's). A cache that has no room
        for x is not noticed in compiled code: the last tokens are overwritten.
        """
        operand = _check_features("MultiHeadAttention", x, self.query.in_features)
        source = operand if memory is None else _check_features("MultiHeadAttention", memory, self.key.in_features)
        q, k, v = self._heads(self.query(operand)), self._heads(self.key(source)), self._heads(self.value(source))
        if cache is None:
            if self.rotary:
                q, k = rotary_embedding(q), rotary_embedding(k)
            return self._merged(
                dot_product_attention(q, k, v, mask=mask, is_causal=self.is_causal, key_value_seq_lengths=lengths)
            )
        if memory is not None or mask is not None or lengths is not None or not self.is_causal:
            raise ArgumentError("MultiHeadAttention: a cache goes with is_causal=True, and without memory, mask and lengths")
        return self._cached(q, k, v, cache)

    def _heads(self, x: Any) -> Any:
        return lnp.reshape(x, (*x.shape[:2], x.shape[2] // self.head_features, self.head_features))

    def _merged(self, x: Any) -> Any:
        return self.out(lnp.reshape(x, (*x.shape[:2], self.num_heads * self.head_features)))

    def _cached(self, q: Any, k: Any, v: Any, cache: KVCache) -> tuple[Any, KVCache]:
        old_keys, old_values, length = _parts(cache, k)
        steps = np.arange(q.shape[1])
        if self.rotary:
            q, k = (rotary_embedding(part, lnp.add(length, steps)) for part in (q, k))
        zero = np.zeros((), np.int64)
        keys, values = (
            bind("dynamic_update_slice", old, cast(new, old.dtype), zero, cast(length, np.int64), zero, zero)
            for old, new in ((old_keys, k), (old_values, v))
        )
        seen = lnp.less_equal(np.arange(keys.shape[1]), lnp.expand_dims(lnp.add(length, steps), 1))
        y = dot_product_attention(q, keys, values, mask=seen[None, None])
        return self._merged(y), KVCache(keys, values, lnp.add(length, np.int32(q.shape[1])))


def _parts(cache: Any, k: Any) -> tuple[Any, Any, Any]:
    if not isinstance(cache, KVCache):
        raise ArgumentError(
            f"MultiHeadAttention: cache={describe(cache)} must be a KVCache; fix: attention.empty_cache(batch, room)"
        )
    keys, values, length = (array("MultiHeadAttention", what, x) for what, x in cache._asdict().items())
    fits = len(keys.shape) == 4 and (keys.shape[0], *keys.shape[2:]) == (k.shape[0], *k.shape[2:]) and keys.shape[1] >= k.shape[1]
    if not fits or values.shape != keys.shape or length.shape or length.dtype != np.int32:
        raise op_error(
            "MultiHeadAttention",
            f"the cache must be of [{k.shape[0]}, room, {k.shape[2]}, {k.shape[3]}], with room for x",
            {"keys": keys, "values": values, "length": length, "x": k},
        )
    return keys, values, length
