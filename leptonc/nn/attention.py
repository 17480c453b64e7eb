"""Attention of [n, t, heads, d], JAX's layout and options; over long sequences block by block, never the whole matrix of scores."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc.arguments import array, choice, flag, integers, number, shape
from leptonc.checkpoint import checkpoint
from leptonc.errors import DtypeError, op_error
from leptonc.nn.activations import softmax
from leptonc.numpy.elementwise import as_float
from leptonc.scan import scan
from leptonc.trace import cast

BLOCK = 128  # keys at once where attention goes block by block: their scores for 128 queries fit L1
QUERIES = 256  # so many of them at once, if there are more
LONG = 1024  # keys from which on it does


def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    query_seq_lengths: Any = None,
    key_value_seq_lengths: Any = None,
    local_window_size: int | tuple[int, int] | None = None,
    implementation: str | None = None,
) -> Any:
    """softmax(query key^T * scale + bias) value, [n, t, heads, d], of query [n, t, heads, d], key and value [n, s, kv heads, d].

    Several heads of query share one of key and value if there are fewer of those. ``bias`` and ``mask`` (bools, True where
    attention is paid) stretch to [n, heads, t, s]; ``is_causal`` hides keys behind a query's own place, ``local_window_size``
    those further away on the left or right, the lengths, ints [n], the keys from there on, and give 0 for queries from there
    on. A query that sees nothing pays attention to all keys alike. ``scale`` is 1 / sqrt(d) by default. As
    ``jax.nn.dot_product_attention``.

    ``implementation`` "blockwise" takes 128 keys at a time with a running softmax (Milakov and Gimelshein 2018, Rabe and Staats
    2021), for 256 queries at a time, whose scores the backward pass computes again: memory grows with t + s. "plain" has all
    scores at once; None takes blocks from 1,024 keys on.
    """
    q, k, v = (
        as_float(array("dot_product_attention", what, x)) for what, x in (("query", query), ("key", key), ("value", value))
    )
    _check(q, k, v)
    dtype, wide = q.dtype, np.float64 if q.dtype == np.float64 else np.float32
    factor = 1 / sqrt(q.shape[-1]) if scale is None else float(number("dot_product_attention", "scale", scale, {"query": q}))
    hidden = _hidden_by(
        q, k, mask, flag("dot_product_attention", "is_causal", is_causal), local_window_size, key_value_seq_lengths
    )
    kind = choice(
        "dot_product_attention",
        "implementation",
        ("blockwise" if k.shape[1] >= LONG else "plain") if implementation is None else implementation,
        ("plain", "blockwise"),
    )
    added = None if bias is None else _stretched("bias", as_float(array("dot_product_attention", "bias", bias)), q, k)
    attend = _blockwise if kind == "blockwise" else _plain
    grouped = lnp.reshape(lnp.multiply(cast(q, wide), factor), (*q.shape[:2], k.shape[2], q.shape[2] // k.shape[2], q.shape[3]))
    out = cast(lnp.reshape(attend(grouped, cast(k, wide), cast(v, wide), added, hidden), (*q.shape[:3], v.shape[3])), dtype)
    if query_seq_lengths is None:
        return out
    counts = _lengths("query_seq_lengths", query_seq_lengths, q)
    return lnp.where(lnp.less(np.arange(q.shape[1])[:, None, None], counts[:, None, None, None]), out, 0.0)


Hidden = list[Callable[[Any, Any], Any]]
"""Each gives bools that stretch to [n, heads, rows, keys] for queries and keys at given places; True is seen."""


def _check(q: Any, k: Any, v: Any) -> None:
    operands = {"query": q, "key": k, "value": v}
    if (
        any(len(x.shape) != 4 for x in (q, k, v))
        or k.shape[:3] != v.shape[:3]
        or q.shape[0] != k.shape[0]
        or q.shape[3] != k.shape[3]
    ):
        raise op_error("dot_product_attention", "query must be [n, t, heads, d], key and value [n, s, kv heads, d]", operands)
    if 0 in (*q.shape[2:], *k.shape[1:], v.shape[3]) or q.shape[2] % k.shape[2]:
        raise op_error("dot_product_attention", "query's heads must be a multiple of key's, and only n and t may be 0", operands)


def _stretched(what: str, x: Any, q: Any, k: Any) -> Any:
    """[n or 1, heads or 1, t or 1, s], a bias or a mask. Raises ShapeError if it does not stretch."""
    wanted = (q.shape[0], q.shape[2], q.shape[1], k.shape[1])
    if len(x.shape) != 4 or any(a not in (1, b) for a, b in zip(x.shape, wanted)):
        raise op_error(
            "dot_product_attention", f"{what} must stretch to [n, heads, t, s] = {wanted}", {"query": q, "key": k, what: x}
        )
    return x if x.shape[3] == wanted[3] else lnp.broadcast_to(x, (*x.shape[:3], wanted[3]))


def _lengths(what: str, value: Any, q: Any) -> Any:
    counts = array("dot_product_attention", what, value)
    if counts.shape != (q.shape[0],) or counts.dtype.kind not in "iu":
        raise op_error("dot_product_attention", f"{what} must be {q.shape[0]} ints", {what: counts})
    return lnp.astype(counts, np.int64)


def _hidden_by(q: Any, k: Any, mask: Any, causal: bool, window: Any, lengths: Any) -> Hidden:
    seen: Hidden = []
    if causal:
        seen.append(lambda rows, places: lnp.less_equal(places, rows[:, None]))
    if window is not None:
        left, right = integers("dot_product_attention", "local_window_size", window, {"query": q}, count=2, repeat=True, least=0)
        seen.append(lambda rows, places: lnp.logical_and(
            lnp.greater_equal(places, rows[:, None] - left), lnp.less_equal(places, rows[:, None] + right)))
    if lengths is not None:
        counts = _lengths("key_value_seq_lengths", lengths, q)[:, None, None, None]
        seen.append(lambda rows, places: lnp.less(places, counts))
    if mask is not None:
        found = array("dot_product_attention", "mask", mask)
        if found.dtype.kind != "b":
            raise op_error(
                "dot_product_attention", "mask must be bools, True where attention is paid", {"mask": found}, kind=DtypeError
            )
        whole = _stretched("mask", found, q, k)
        seen.append(lambda rows, places: _at(whole, rows, places))
    return seen


def _at(x: Any, rows: Any, places: Any) -> Any:
    """A mask or bias [n or 1, heads or 1, t or 1, s] for some queries and keys."""
    if x.shape[2] not in (1, rows.shape[0]):
        x = lnp.take(x, rows, axis=2)
    return x if x.shape[3] == places.shape[0] else lnp.take(x, places, axis=3)


def _masked(scores: Any, bias: Any, hidden: Hidden, rows: Any, places: Any) -> Any:
    """Scores [n, kv heads, group, rows, keys] with the bias, and a large negative number where nothing is seen."""
    n, heads, group, t, keys = scores.shape
    flat = lnp.reshape(scores, (n, heads * group, t, keys))
    if bias is not None:
        flat = lnp.add(flat, cast(_at(bias, rows, places), scores.dtype))
    for sees in hidden:
        flat = lnp.where(sees(rows, places), flat, _nothing(scores.dtype))
    return lnp.reshape(flat, scores.shape)


def _nothing(dtype: np.dtype) -> np.ndarray:
    """What JAX takes for a score that does not count: finite, so that a query that sees nothing makes no NaN."""
    return np.asarray(-0.7 * np.finfo(dtype).max, dtype)


def _plain(q: Any, k: Any, v: Any, bias: Any, hidden: Hidden) -> Any:
    scores = lnp.einsum("btkgd,bskd->bkgts", q, k)
    seen = _masked(scores, bias, hidden, np.arange(q.shape[1]), np.arange(k.shape[1]))
    return lnp.einsum("bkgts,bskd->btkgd", softmax(seen, -1), v)


def _blockwise(q: Any, k: Any, v: Any, bias: Any, hidden: Hidden) -> Any:
    """The same, some queries after the other; the backward pass computes those of a block again, and keeps nothing else of it."""
    n, t, heads, group, d = q.shape
    if t <= QUERIES:
        return _over_keys(q, k, v, bias, hidden, np.arange(t))
    blocks = -(-t // QUERIES)
    rows = np.minimum(np.arange(blocks * QUERIES), t - 1).reshape(blocks, QUERIES)
    padded = lnp.pad(q, ((0, 0), (0, blocks * QUERIES - t), (0, 0), (0, 0), (0, 0)))
    parts = lnp.moveaxis(lnp.reshape(padded, (n, blocks, QUERIES, heads, group, d)), 1, 0)
    some = checkpoint(lambda at, k, v: _over_keys(at[1], k, v, bias, hidden, at[0]))
    out = scan(lambda carry, at: ((), some(at, k, v)), (), (rows, parts))[1]
    return lnp.reshape(lnp.moveaxis(out, 0, 1), (n, blocks * QUERIES, heads, group, v.shape[3]))[:, :t]


def _over_keys(q: Any, k: Any, v: Any, bias: Any, hidden: Hidden, rows: Any) -> Any:
    """By a scan over blocks of keys, which carries the greatest score so far, the sum of exponentials and the result."""
    n, t, heads, group, _ = q.shape
    keys = k.shape[1]
    blocks = -(-keys // BLOCK)
    beyond = blocks * BLOCK - keys
    places = np.arange(blocks * BLOCK).reshape(blocks, BLOCK)
    parts = [
        lnp.moveaxis(lnp.reshape(lnp.pad(x, ((0, 0), (0, beyond), (0, 0), (0, 0))), (n, blocks, BLOCK, *x.shape[2:])), 1, 0)
        for x in (k, v)
    ]

    def step(carry: tuple[Any, ...], at: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[()]]:
        most, total, out = carry
        place, key, value = at
        scores = lnp.einsum("btkgd,bskd->bkgts", q, key)
        here = lnp.minimum(place, keys - 1)
        scores = _masked(scores, bias, hidden, rows, here)
        if beyond:
            scores = lnp.where(lnp.less(place, keys), scores, -np.inf)
        greatest = lnp.maximum(most, lnp.max(scores, -1))
        weights, shrunk = lnp.exp(lnp.subtract(scores, greatest[..., None])), lnp.exp(lnp.subtract(most, greatest))
        return (
            greatest,
            lnp.add(lnp.multiply(total, shrunk), lnp.sum(weights, -1)),
            lnp.add(lnp.multiply(out, shrunk[..., None]), lnp.einsum("bkgts,bskd->bkgtd", weights, value)),
        ), ()

    start = (
        lnp.full((n, heads, group, t), _nothing(q.dtype)),
        lnp.zeros((n, heads, group, t), q.dtype),
        lnp.zeros((n, heads, group, t, v.shape[3]), q.dtype),
    )
    _, total, out = scan(checkpoint(step), start, (places, *parts))[0]
    return lnp.moveaxis(lnp.divide(out, total[..., None]), 3, 1)


def sinusoidal_positions(length: int, features: int, dtype: Any = np.float32, base: float = 10000.0) -> Any:
    """[length, features]: sines in the first half, cosines in the second, of position / base^(2 i / features) (Vaswani et al. 2017,
    who interleave them). Raises ShapeError for an odd number of features."""
    count, width = shape("sinusoidal_positions", (length, features), what="(length, features)")
    if width % 2:
        raise op_error("sinusoidal_positions", f"features={width} must be even", {})
    angles = np.arange(count)[:, None] * _frequencies("sinusoidal_positions", width, base)
    return lnp.asarray(np.concatenate([np.sin(angles), np.cos(angles)], 1), dtype)


def _frequencies(name: str, features: int, base: Any) -> np.ndarray:
    return float(number(name, "base", base, least=1)) ** (-np.arange(0, features, 2) / max(features, 1))


def rotary_embedding(x: Any, positions: Any = None, *, base: float = 10000.0, interleaved: bool = False) -> Any:
    """x [n, t, heads, d] with pairs of features turned by angles that grow with ``positions``, ints [t] or [n, t] (Su et al. 2021).

    Pairs are features i and i + d / 2, as in GPT-NeoX and LLaMA; ``interleaved`` 2 i and 2 i + 1, as published.
    """
    operand = as_float(array("rotary_embedding", "x", x))
    if len(operand.shape) != 4 or operand.shape[3] % 2:
        raise op_error("rotary_embedding", "x must be [n, t, heads, d], d even", {"x": operand})
    n, t, _, d = operand.shape
    place = array("rotary_embedding", "positions", np.arange(t) if positions is None else positions)
    if place.shape not in ((t,), (n, t)):
        raise op_error("rotary_embedding", f"positions must be [{t}] or [{n}, {t}]", {"x": operand, "positions": place})
    frequencies = _frequencies("rotary_embedding", d, base).astype(operand.dtype)
    angles = lnp.multiply(lnp.astype(place, operand.dtype)[..., None, None], frequencies)
    sin, cos = lnp.sin(angles), lnp.cos(angles)
    if flag("rotary_embedding", "interleaved", interleaved):
        a, b = operand[..., 0::2], operand[..., 1::2]
        return lnp.reshape(lnp.stack(_turned(a, b, sin, cos), 4), operand.shape)
    return lnp.concatenate(_turned(operand[..., : d // 2], operand[..., d // 2 :], sin, cos), 3)


def _turned(a: Any, b: Any, sin: Any, cos: Any) -> list[Any]:
    return [lnp.subtract(lnp.multiply(a, cos), lnp.multiply(b, sin)), lnp.add(lnp.multiply(b, cos), lnp.multiply(a, sin))]
