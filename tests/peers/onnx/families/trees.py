"""ai.onnx.ml: trees, tables, bags of words."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

import leptonc.numpy as lnp
from tests.peers.onnx.registry import Node, NotImportedError, op

DOMAIN = "ai.onnx.ml"


@op("ArrayFeatureExtractor", domain=DOMAIN)
def features(node: Node, x: Any, places: Any) -> Any:
    return lnp.take(x, lnp.reshape(places, (-1,)), -1)


@op("Binarizer", domain=DOMAIN)
def binarize(node: Node, x: Any) -> Any:
    return lnp.astype(x > node.get("threshold", 0.0), x.dtype)


@op("LabelEncoder", domain=DOMAIN)
def encode(node: Node, x: Any) -> Any:
    raise NotImportedError("strings")


@op("TreeEnsemble", domain=DOMAIN)
def tree_ensemble(node: Node, x: Any) -> Any:
    """All rows go down all trees together; the sums of the leaves they come to."""
    table = _Table(node)
    at = lnp.broadcast_to(table.roots, (x.shape[0], len(table.roots)))
    for _ in range(table.depth):
        value = lnp.take_along_axis(x, table.feature[at], -1)
        true = table.holds(at, value)
        at = lnp.where(table.is_leaf[at], at, lnp.where(true, table.yes[at], table.no[at]))
    out = lnp.zeros((x.shape[0], node.get("n_targets", 1)), x.dtype)
    rows = np.arange(x.shape[0])[:, None]
    return out.at[rows, table.target[at]].add(lnp.astype(table.weight[at], x.dtype))


class _Table:
    """Inner nodes first, leaves behind them."""

    def __init__(self, node: Node):
        count, leaves = len(node.get("nodes_featureids")), len(node.get("leaf_weights"))
        yes, no = (self._children(node, side, count) for side in ("true", "false"))
        self.yes, self.no = (lnp.asarray(np.concatenate([c, np.zeros(leaves, np.int64)])) for c in (yes, no))
        self.is_leaf = lnp.asarray(np.arange(count + leaves) >= count)
        self.feature = lnp.asarray(np.concatenate([node.get("nodes_featureids"), np.zeros(leaves)]).astype(np.int64))
        self.split = np.concatenate([np.asarray(node.get("nodes_splits")), np.zeros(leaves)])
        self.mode = np.concatenate([np.asarray(node.get("nodes_modes")), np.zeros(leaves)]).astype(np.int64)
        self.target = lnp.asarray(np.concatenate([np.zeros(count), node.get("leaf_targetids")]).astype(np.int64))
        self.weight = lnp.asarray(np.concatenate([np.zeros(count), np.asarray(node.get("leaf_weights"))]))
        self.roots = np.asarray(node.get("tree_roots"), np.int64)
        self.depth = count + 1
        self.members = self._members(node)

    @staticmethod
    def _children(node: Node, side: str, count: int) -> np.ndarray:
        ids, leaf = (np.asarray(node.get(f"nodes_{side}{what}"), np.int64) for what in ("nodeids", "leafs"))
        return np.where(leaf != 0, ids + count, ids)

    def _members(self, node: Node) -> list[np.ndarray]:
        values = np.asarray(node.get("membership_values", np.zeros(0)))
        ends = np.flatnonzero(np.isnan(values)) if values.size else []
        return list(np.split(values, ends)) if values.size else []

    def holds(self, at: Any, value: Any) -> Any:
        split, mode = lnp.asarray(self.split.astype(value.dtype))[at], lnp.asarray(self.mode)[at]
        tests = [value <= split, value < split, value >= split, value > split, value == split, value != split]
        out = self._is_member(at, value)
        for number, test in enumerate(tests):
            out = lnp.where(mode == number, test, out)
        return out

    def _is_member(self, at: Any, value: Any) -> Any:
        wide = np.zeros((len(self.mode), max([m.size for m in self.members], default=1)))
        wide[:] = np.nan
        for place, m in zip(np.flatnonzero(self.mode == 6), self.members):
            wide[place, :m.size] = m
        return lnp.any(lnp.asarray(wide.astype(value.dtype))[at] == value[..., None], -1)


@op("TfIdfVectorizer")
def count_grams(node: Node, x: Any) -> Any:
    """How often each n-gram stands in a row, skips of its items allowed."""
    if "pool_strings" in node.attributes:
        raise NotImportedError("strings")
    rows = x if len(x.shape) == 2 else x[None]
    out = lnp.zeros((rows.shape[0], max(node.get("ngram_indexes")) + 1), np.float32)
    for gram, column in zip(_grams(node), node.get("ngram_indexes")):
        if node.get("min_gram_length") <= len(gram) <= node.get("max_gram_length"):
            out = out.at[:, column].add(_found(rows, gram, node.get("max_skip_count")))
    weights = np.asarray(node.get("weights", np.ones(out.shape[1])), np.float32)
    if node.get("mode") == "IDF":
        out = lnp.where(out > 0, np.float32(1), 0)
    out = out if node.get("mode") == "TF" else out * weights
    return out if len(x.shape) == 2 else out[0]


def _grams(node: Node) -> list[list[int]]:
    pool, starts = node.get("pool_int64s"), [*node.get("ngram_counts"), len(node.get("pool_int64s"))]
    return [list(pool[i:i + n]) for n, (a, b) in enumerate(pairwise(starts), 1) for i in range(a, b, n)]


def _found(rows: Any, gram: list[int], most: int) -> Any:
    total = lnp.zeros((rows.shape[0],), np.float32)
    for step in range(1, 2 if len(gram) == 1 else most + 2):
        count = rows.shape[1] - step * (len(gram) - 1)
        if count > 0:
            hits = lnp.ones((rows.shape[0], count), bool)
            for k, item in enumerate(gram):
                hits = hits & (rows[:, k * step:k * step + count] == item)
            total = total + lnp.sum(hits, 1)
    return lnp.astype(total, np.float32)
