"""Transformations for a part of the parameters: masks, and labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from leptonc import tree
from leptonc.arguments import flag
from leptonc.errors import ArgumentError, describe
from leptonc.optim.base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    extended,
    transformation,
    transformation_argument,
)


class MaskedState(NamedTuple):
    """Of the transformation that is masked."""

    inner_state: Any


class PartitionState(NamedTuple):
    """Of the transformations, by their labels."""

    inner_states: Any


def masked(inner: GradientTransformation, mask: Any, *, mask_compatible_extra_args: bool = False) -> GradientTransformation:
    """``inner`` where ``mask`` is True, updates as they come elsewhere.

    ``mask``: a tree of bools like the parameters', or one that ends earlier, or a function of the parameters that gives one. What
    update is given by name goes to ``inner``, with ``mask_compatible_extra_args`` the trees among it that are like the updates
    masked as these.
    """
    part_of = extended("masked", "inner", inner)
    masks_more = flag("masked", "mask_compatible_extra_args", mask_compatible_extra_args)

    def held(values: Any, tested: Any) -> tuple[Any, Any]:
        wanted = mask(values) if callable(mask) else mask
        return wanted, None if tested is None else _kept(wanted, tested)

    def init(params: Any) -> MaskedState:
        return MaskedState(part_of.init(held(params, params)[1]))

    def update(grads: Any, state: MaskedState, params: Any = None, **more: Any) -> tuple[Any, MaskedState]:
        wanted, part = held(grads, grads)
        if masks_more and more:
            like = tree.structure(grads)
            more = {name: _kept(wanted, x) if tree.structure(x) == like else x for name, x in more.items()}
        found, own = part_of.update(part, state.inner_state, None if params is None else _kept(wanted, params), **more)
        return tree.map(lambda keep, new, old: new if keep else old, wanted, found, grads), MaskedState(own)

    return transformation("masked", init, update, MaskedState, extra=isinstance(inner, GradientTransformationExtraArgs))


def _kept(wanted: Any, values: Any) -> Any:
    """The tree with None, which has no leaves, where the mask is False."""
    for leaf in tree.leaves(wanted):
        if type(leaf) is not bool and not (hasattr(leaf, "dtype") and leaf.dtype == bool and not leaf.shape):
            raise ArgumentError(f"masked: mask has {describe(leaf)}, wants True or False")
    return tree.map(lambda keep, value: value if keep else None, wanted, values)


def partition(transforms: Mapping[Any, GradientTransformation], param_labels: Any, *,
              mask_compatible_extra_args: bool = False) -> GradientTransformation:
    """Each parameter by the transformation of its label.

    ``param_labels``: a tree of labels like the parameters', or one that ends earlier, or a function of the parameters that
    gives one. Raises ArgumentError for a label without a transformation. Also called ``multi_transform``.
    """
    if not isinstance(transforms, Mapping):
        raise ArgumentError(f"partition: transforms is {describe(transforms)}, wants a dict of transformations by labels")
    for name, inner in transforms.items():
        transformation_argument("partition", f"transforms[{name!r:.60}]", inner)

    def labels_of(params: Any) -> Any:
        labels = param_labels(params) if callable(param_labels) else param_labels
        for label in tree.leaves(labels):
            if label not in transforms:
                raise ArgumentError(f"partition: the label {label!r:.60} has none of {sorted(map(str, transforms))}")
        return labels

    def parts(params: Any) -> dict[Any, GradientTransformation]:
        labels = labels_of(params)
        return {name: masked(inner, tree.map(lambda label, name=name: label == name, labels),
                             mask_compatible_extra_args=mask_compatible_extra_args) for name, inner in transforms.items()}

    def init(params: Any) -> PartitionState:
        return PartitionState({name: part.init(params) for name, part in parts(params).items()})

    def update(grads: Any, state: PartitionState, params: Any = None, **more: Any) -> tuple[Any, PartitionState]:
        states = {}
        for name, part in parts(grads).items():
            grads, states[name] = extended("partition", "a transformation", part).update(
                grads, state.inner_states[name], params, **more)
        return grads, PartitionState(states)

    return transformation("partition", init, update, PartitionState,
                          extra=any(isinstance(inner, GradientTransformationExtraArgs) for inner in transforms.values()))


multi_transform: Callable[..., GradientTransformation] = partition
