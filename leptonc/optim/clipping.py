"""Updates held within bounds, or set in relation to what they update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from leptonc import numpy as lnp
from leptonc import tree
from leptonc.arguments import scalar
from leptonc.errors import LeptonError
from leptonc.optim.base import EmptyState, GradientTransformation, transformation
from leptonc.optim.moments import euclidean, root_mean_square


def _stateless(name: str, change: Callable[[Any, Any], Any], needs_params: bool = False) -> GradientTransformation:
    """``change(updates, params)``, without anything to remember."""
    def update(grads: Any, state: EmptyState, params: Any = None) -> tuple[Any, EmptyState]:
        if needs_params and params is None:
            raise LeptonError(f"{name}: update needs the parameters; fix: update(grads, state, params)")
        return change(grads, params), state

    return transformation(name, lambda params: EmptyState(), update)


def _each(name: str, change: Callable[[Any], Any]) -> GradientTransformation:
    return _stateless(name, lambda grads, params: tree.map(change, grads))


def stateless(f: Callable[[Any, Any], Any]) -> GradientTransformation:
    """``f(updates, params)`` as a transformation."""
    return _stateless("stateless", f)


def set_to_zero() -> GradientTransformation:
    """No update at all."""
    return _each("set_to_zero", lnp.zeros_like)


def clip(max_delta: float) -> GradientTransformation:
    """Each element within [-max_delta, max_delta]."""
    scalar("clip", "max_delta", max_delta, least=0)
    return _each("clip", lambda g: lnp.clip(g, -max_delta, max_delta))


def clip_by_block_rms(threshold: float) -> GradientTransformation:
    """Each array scaled down where its root mean square exceeds ``threshold``."""
    scalar("clip_by_block_rms", "threshold", threshold)
    return _each("clip_by_block_rms", lambda g: g / lnp.maximum(g.dtype.type(1), root_mean_square(g) / threshold))


def adaptive_grad_clip(clipping: float, eps: float = 1e-3, axis: Any = None) -> GradientTransformation:
    """Each unit's gradient scaled down where its norm exceeds ``clipping`` times its weights' (Brock et al. 2021). Norms are over
    ``axis``, by default that of inputs."""
    scalar("adaptive_grad_clip", "clipping", clipping)
    scalar("adaptive_grad_clip", "eps", eps)

    def clipped(g: Any, p: Any) -> Any:
        norm, most = unit_norm(g, axis), clipping * lnp.maximum(unit_norm(p, axis), eps)
        return lnp.where(norm > most, g * (most / lnp.maximum(norm, 1e-6)), g)

    return _stateless("adaptive_grad_clip", lambda grads, params: tree.map(clipped, grads, params), needs_params=True)


def unit_norm(x: Any, axis: Any = None) -> Any:
    """Euclidean norms of units: of a vector or number itself; of a matrix's columns; of a kernel's output channels. Or over
    axes."""
    if axis is not None:
        return lnp.sqrt(lnp.sum(x * x, axis, keepdims=True))
    axes = {0: None, 1: None, 2: (0,), 3: (0,)}.get(len(x.shape), tuple(range(len(x.shape) - 1)))
    return lnp.sqrt(lnp.sum(x * x, axes, keepdims=axes is not None))


def centralize() -> GradientTransformation:
    """Each gradient of two or more axes less its mean over all but the first (Yong et al. 2020)."""
    return _each("centralize", lambda g: g if len(g.shape) < 2 else g - lnp.mean(g, tuple(range(1, len(g.shape))), keepdims=True))


def zero_nans() -> GradientTransformation:
    """0 for NaN."""
    return _each("zero_nans", lambda g: lnp.where(lnp.isnan(g), lnp.zeros_like(g), g))


def scale_by_sign() -> GradientTransformation:
    """The sign of each element."""
    return _each("scale_by_sign", lnp.sign)


def keep_params_nonnegative() -> GradientTransformation:
    """Updates such that no parameter becomes negative."""
    return _stateless("keep_params_nonnegative", lambda grads, params: tree.map(
        lambda u, p: lnp.where(p + u < 0, -p, u), grads, params), needs_params=True)


def scale_by_trust_ratio(min_norm: float = 0.0, trust_coefficient: float = 1.0, eps: float = 0.0) -> GradientTransformation:
    """Each array times the ratio of its parameter's norm to its own, where both are positive (You et al. 2017)."""
    for what, value in (("min_norm", min_norm), ("trust_coefficient", trust_coefficient), ("eps", eps)):
        scalar("scale_by_trust_ratio", what, value)

    def scaled(u: Any, p: Any) -> Any:
        of_p, of_u = (lnp.maximum(euclidean(x), min_norm) for x in (p, u))
        one = u.dtype.type(1)
        is_zero = lnp.logical_or(of_p == 0, of_u == 0)
        return u * lnp.where(is_zero, one, trust_coefficient * of_p / lnp.where(is_zero, one, of_u + eps))

    return _stateless("scale_by_trust_ratio", lambda grads, params: tree.map(scaled, grads, params), needs_params=True)


def scale_by_param_block_norm(min_scale: float = 1e-3) -> GradientTransformation:
    """Each array times its parameter's norm, or ``min_scale`` where that is less."""
    scalar("scale_by_param_block_norm", "min_scale", min_scale)
    return _stateless("scale_by_param_block_norm", lambda grads, params: tree.map(
        lambda u, p: u * lnp.maximum(euclidean(p), min_scale), grads, params), needs_params=True)


def scale_by_param_block_rms(min_scale: float = 1e-3) -> GradientTransformation:
    """Each array times its parameter's root mean square, or ``min_scale`` where that is less."""
    scalar("scale_by_param_block_rms", "min_scale", min_scale)
    return _stateless("scale_by_param_block_rms", lambda grads, params: tree.map(
        lambda u, p: u * lnp.maximum(root_mean_square(p), min_scale), grads, params), needs_params=True)


def normalize_by_update_norm(scale_factor: float = 1.0, eps: float = 1e-6) -> GradientTransformation:
    """All updates over their common norm."""
    scalar("normalize_by_update_norm", "scale_factor", scale_factor)
    scalar("normalize_by_update_norm", "eps", eps)

    def change(grads: Any, params: Any) -> Any:
        norm = global_norm(grads) + eps
        return tree.map(lambda g: scale_factor * g / lnp.asarray(norm, g.dtype), grads)

    return _stateless("normalize_by_update_norm", change)


def global_norm(grads: Any) -> Any:
    """The Euclidean norm of all leaves taken together."""
    total: Any = None
    for leaf in tree.leaves(grads):
        square = lnp.sum(lnp.multiply(leaf, leaf))
        total = square if total is None else total + square
    return lnp.sqrt(np.float32(0) if total is None else total)


def clip_by_global_norm(max_norm: float) -> GradientTransformation:
    """Updates scaled down where their global norm exceeds ``max_norm`` (Pascanu et al. 2013)."""
    scalar("clip_by_global_norm", "max_norm", max_norm, least=0)

    def change(grads: Any, params: Any) -> Any:
        factor = max_norm / lnp.maximum(global_norm(grads), max_norm)
        return tree.map(lambda g: g * lnp.asarray(factor, g.dtype), grads)

    return _stateless("clip_by_global_norm", change)
