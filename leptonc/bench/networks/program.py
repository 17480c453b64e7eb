"""The second form of a case: a network with branches, loops or states, which a list of layers cannot say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np

import leptonc
from leptonc import nn, optim
from leptonc import numpy as lnp
from leptonc.bench.cases import EPSILON, LEARNING_RATE, SEED
from leptonc.bench.peers.common import Step
from leptonc.bench.peers.layers import Layers

P = TypeVar("P", bound="Program")


class Weight(NamedTuple):
    """``kind``: the class of the module it belongs to and its field there, such as "Conv.kernel": its place in other systems'
    layouts. A convolution with groups is a "DepthwiseConv"."""

    kind: str
    value: np.ndarray


@dataclass(frozen=True)
class Program:
    """One step is a function of leptonc, ``step(carry, *inputs) -> (carry, value)``: the carry, which is donated, has what it
    changes. Of other systems ``peer_step`` gives one. Sizes are fields: ``tiny()`` is the same program for tests and interpreters.
    """

    name: str
    batch: int

    training = True
    images = False  # whether systems have a choice of layouts

    @property
    def lasts(self) -> int | None:
        """So many steps go from one start; None if any number does."""
        return None

    def start(self) -> Any:
        """The first carry."""
        raise NotImplementedError

    def data(self) -> tuple[np.ndarray, ...]:
        """One batch, used at every step; images are NHWC."""
        raise NotImplementedError

    def fixed(self) -> tuple[Any, ...]:
        """Inputs in front of the batch that are no data: weights that are not trained."""
        return ()

    def step(self, carry: Any, *inputs: Any) -> tuple[Any, Any]:
        raise NotImplementedError

    def peer_step(self, system: Any) -> Step:
        """Of a system as a file of ``bench.peers`` describes it."""
        raise NotImplementedError

    def sizes(self) -> dict[str, Any]:
        """Fields of the tiny program."""
        raise NotImplementedError

    def tiny(self: P) -> P:
        return replace(self, name=f"{self.name}-tiny", **self.sizes())

    @property
    def batch_bytes(self) -> int:
        return sum(x.nbytes for x in self.data())


@dataclass(frozen=True)
class Training(Program):
    """Forward, backward and Adam, of one model and one loss."""

    def model(self) -> nn.Module:
        """Without values."""
        raise NotImplementedError

    def loss(self, model: Any, state: nn.State, *batch: Any) -> tuple[Any, nn.State]:
        raise NotImplementedError

    def peer_loss(self, layers: Layers, *batch: Any) -> Any:
        raise NotImplementedError

    def start(self) -> Any:
        model = drawn(self.model())
        return model, model.state(), optimizer().init(model)

    def step(self, carry: Any, *inputs: Any) -> tuple[Any, Any]:
        model, state, moments = carry
        (value, state), grads = leptonc.value_and_grad(self.loss, has_aux=True)(model, state, *inputs)
        updates, moments = optimizer().update(grads, moments, model)
        return (optim.apply_updates(model, updates), state, moments), value

    def peer_step(self, system: Any) -> Step:
        step: Step = system.training(self.peer_loss, weights(self.model()), self.data())
        return step


def optimizer() -> optim.GradientTransformation:
    return optim.adam(LEARNING_RATE, eps=EPSILON)


def drawn(model: Any, seed: int = SEED) -> Any:
    """A model with values, in arrays of leptonc's own: the same in every process, one without LLVM too."""
    with leptonc.disable_jit():
        made = model.init(seed)
    return leptonc.tree.map(lambda x: lnp.array(np.asarray(x)), made)


def weights(model: Any, seed: int = SEED) -> dict[str, Weight]:
    """The values of ``drawn(model)`` by flat names."""
    kinds = dict(_kinds(model, ""))
    return {name: Weight(kinds[name], np.asarray(value)) for name, value in drawn(model, seed).named_parameters().items()}


def _kinds(part: Any, place: str) -> Iterator[tuple[str, str]]:
    """(flat name, kind) of each weight."""
    if isinstance(part, list):
        for n, item in enumerate(part):
            yield from _kinds(item, f"{place}{n}.")
    elif isinstance(part, nn.Module):
        owner = "DepthwiseConv" if getattr(part, "groups", 1) > 1 else type(part).__name__
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if isinstance(value, nn.Parameter):
                yield f"{place}{field.name}", f"{owner}.{field.name}"
            else:
                yield from _kinds(value, f"{place}{field.name}.")


def images(shape: tuple[int, ...]) -> np.ndarray:
    """f32 in [0, 1)."""
    return np.random.default_rng(SEED + 1).random(shape, np.float32)


def labels(below: int, shape: int | tuple[int, ...]) -> np.ndarray:
    """i32."""
    return np.random.default_rng(SEED + 2).integers(0, below, shape, np.int32)
