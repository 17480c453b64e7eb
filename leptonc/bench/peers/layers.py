"""What a peer brings along for programs: the layers that networks are made of, each by its own fastest kernel.

A layer takes its weights by the name that its module has in leptonc's model. Images are in the peer's own layout.
"""

from __future__ import annotations

from typing import Any

EPSILON, MOMENTUM = 1e-5, 0.9  # of normalization, leptonc's by default
SLOPE = 0.2  # of leaky ReLUs, DCGAN's


class Layers:
    """Functions of the peer's arrays. Running statistics, where a network has some, are in here too."""

    def relu(self, x: Any) -> Any:
        raise NotImplementedError

    def leaky_relu(self, x: Any) -> Any:
        raise NotImplementedError

    def tanh(self, x: Any) -> Any:
        raise NotImplementedError

    def gelu(self, x: Any) -> Any:
        """By tanh, as leptonc and JAX have it by default."""
        raise NotImplementedError

    def dense(self, name: str, x: Any) -> Any:
        raise NotImplementedError

    def conv(self, name: str, x: Any, stride: int = 1, padding: int = 0, groups: int = 1) -> Any:
        """``groups``: 1, or a channel each."""
        raise NotImplementedError

    def conv_transpose(self, name: str, x: Any, stride: int, padding: str) -> Any:
        """``padding``: "SAME" or "VALID"."""
        raise NotImplementedError

    def max_pool(self, x: Any) -> Any:
        """Of 2x2."""
        raise NotImplementedError

    def mean(self, x: Any) -> Any:
        """[n, c], over all positions of images."""
        raise NotImplementedError

    def beside(self, a: Any, b: Any) -> Any:
        """The channels of both."""
        raise NotImplementedError

    def batch_norm(self, name: str, x: Any) -> Any:
        """By the batch; running statistics move."""
        raise NotImplementedError

    def layer_norm(self, name: str, x: Any) -> Any:
        raise NotImplementedError

    def places(self, count: int) -> Any:
        """0, 1 ..."""
        raise NotImplementedError

    def embedding(self, table: str, codes: Any) -> Any:
        raise NotImplementedError

    def logits(self, table: str, x: Any) -> Any:
        """Over an embedding's rows."""
        raise NotImplementedError

    def attention(self, name: str, x: Any, heads: int) -> Any:
        """Causal, of x [n, t, features]."""
        q, k, v = (self.heads(self.dense(f"{name}.{part}", x), heads) for part in ("query", "key", "value"))
        return self.dense(f"{name}.out", self.merged(self.attend(q, k, v)))

    def cached_attention(self, name: str, x: Any, heads: int, position: Any, cache: Any) -> tuple[Any, Any]:
        """Of x [n, 1, features] at a position, to what is in the cache up to it; and the cache with x's keys and values."""
        q, k, v = (self.heads(self.dense(f"{name}.{part}", x), heads) for part in ("query", "key", "value"))
        y, cache = self.attend_to_cache(q, k, v, position, cache)
        return self.dense(f"{name}.out", self.merged(y)), cache

    def heads(self, x: Any, count: int) -> Any:
        """[n, t, features] by heads, in the peer's layout."""
        raise NotImplementedError

    def merged(self, x: Any) -> Any:
        raise NotImplementedError

    def attend(self, q: Any, k: Any, v: Any) -> Any:
        raise NotImplementedError

    def attend_to_cache(self, q: Any, k: Any, v: Any, position: Any, cache: Any) -> tuple[Any, Any]:
        raise NotImplementedError

    def lstm(self, name: str, x: Any) -> Any:
        """Outputs [n, t, hidden]."""
        raise NotImplementedError

    def gru(self, name: str, x: Any) -> Any:
        raise NotImplementedError

    def cross_entropy(self, logits: Any, classes: Any) -> Any:
        """The mean; logits' channels, or last axis, are the classes."""
        raise NotImplementedError

    def binary_cross_entropy(self, logits: Any, target: float) -> Any:
        """The mean of logits against one target."""
        raise NotImplementedError
