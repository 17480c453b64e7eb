"""Training that stops at the first value that is not finite, and says where it came up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from keras.src.utils import io_utils

import leptonc
from leptonc import numpy as lnp
from leptonc import tree
from leptonc.ir.evaluate import evaluate
from leptonc.ir.graph import Graph
from leptonc.keras import callbacks
from leptonc.keras.src.steps import Groups, Step, others_of, stateless

METRICS = 3  # which of the groups of a train step's state
NONE_FOUND = ("op by op in NumPy the step is finite: compiled code rounds otherwise, and something in it is at the edge of what "
              "float32 holds")


class NamedNaN(callbacks.TerminateOnNaN):
    """Stops training at a batch whose loss, or whose new weights, are not finite, and names where that came up first: the layer and
    the line that made it, the op, and the user's line.

    Weights and optimizer stay what they were before that batch: the step chooses between old and new state. On that very state and
    batch it then runs once more, op by op in NumPy, and the way back from the loss (or the weights, if the loss is finite) leads to
    the op whose operands were finite still. That takes many times as long as the step, once. What it found is printed, and is
    ``report``.

    ``raise_error``: raise RuntimeError rather than stop training, as Keras's own callback has it; ``weights``: look at weights
    too, which costs a pass over them at each step, else a gradient that is not finite is seen a batch later, by the loss, when the
    weights are lost. With ``steps_per_execution`` the steps run one by one. What a model hides from its logs and weights (NaN in
    a metric alone) is not looked for.
    """

    def __init__(self, raise_error: bool = False, weights: bool = True):
        super().__init__(raise_error=raise_error)
        self.weights = weights
        self.report = ""
        self._epoch = 0
        self._step: GuardedStep | None = None
        self._before: Any = None

    def on_train_begin(self, logs: Any = None) -> None:
        self.report = ""
        if not isinstance(self.model.train_function, GuardedStep):  # left by a fit that was interrupted
            self._before = self.model.train_function
        self._step = self.model.train_function = GuardedStep(self.model, self.weights)

    def on_train_end(self, logs: Any = None) -> None:
        self.model.train_function, self._step = self._before, None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch
        if self._step is not None:
            self._step.batch = -1

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        if self._step is None or not self._step.report:
            return
        self.report = f"epoch {self._epoch + 1}, {self._step.report}"
        if self.raise_error:
            self.model.train_function = self._before
            raise RuntimeError(self.report)
        io_utils.print_msg(f"\n{self.report}")
        self.model.stop_training = True


class Finder(NamedNaN):
    """What ``fit`` puts before a ``TerminateOnNaN`` of Keras, which stops the training or raises itself: it says where."""

    def __init__(self) -> None:
        super().__init__(weights=False)

    def on_train_begin(self, logs: Any = None) -> None:
        if isinstance(self.model.train_function, Step):  # else the user has made another
            super().on_train_begin(logs)

    def on_train_end(self, logs: Any = None) -> None:
        if self._step is not None:
            super().on_train_end(logs)

    def on_batch_end(self, batch: int, logs: Any = None) -> None:
        super().on_batch_end(batch, logs)
        if self.report:
            self.model.train_function = self._before  # what is raised now ends training without a further call


class GuardedStep(Step):
    """A model's train step that changes neither weights nor optimizer where its result is not finite; ``report`` then says why."""

    def __init__(self, model: Any, weights: bool):
        self._model, self._weights = model, weights
        self._plain = stateless(model.train_step, model._train_groups)
        self._watched: list[tuple[int, int]] = []
        self.report = ""
        self.batch = -1  # in the epoch, as callbacks count them
        super().__init__(self._guarded, model._compiled, others=others_of(self._plain))

    def bind(self, groups: Groups) -> Step:
        """Weights that are not finite to begin with, such as a mask of -inf, are not looked at."""
        if self._weights and not self._watched:
            self._watched = [(g, n) for g, group in enumerate(groups[:2]) for n, v in enumerate(group) if _is_finite(v.read())]
        return super().bind(groups)

    def _guarded(self, state: Any, data: Any) -> tuple[Any, Any]:
        logs, new = self._plain(state, data)
        looked_at = [*_losses(logs), *(new[g][n] for g, n in self._watched)]
        finite = _all(lnp.all(lnp.isfinite(x)) for x in looked_at if x.dtype.kind == "f")
        kept = [group if n == METRICS else [lnp.where(finite, x, old) for x, old in zip(group, before)]
                for n, (group, before) in enumerate(zip(new, state))]
        return (logs, finite), tuple(kept)

    def __call__(self, data: Any) -> Any:
        logs, finite = super().__call__(data)
        self.batch += 1
        if not bool(np.asarray(finite)) and not self.report:
            io_utils.print_msg(f"\nbatch {self.batch}: not finite; looking for where it came up, op by op ...")
            self.report = self._named(data, all(np.isfinite(np.asarray(x)).all() for x in _losses(logs)))
        return logs

    def repeat(self, batches: Any) -> Any:
        """One by one: the first that fails is to be found with the state before it."""
        return tree.map(lambda *parts: np.stack(parts), *[self(batch) for batch in batches])

    def _named(self, data: Any, loss_is_finite: bool) -> str:
        groups = [*self._read, *self._written]
        state = [[v.read() for v in group] for group in groups]
        state[METRICS] = [v if np.isfinite(v).all() else np.zeros_like(v) for v in state[METRICS]]  # the batch has been counted

        def step(state: Any, data: Any) -> Any:
            logs, new = self._plain(state, data)
            return _losses(logs), new

        graph = leptonc.make_graph(step)(state, data)
        names = [f"weight {v.path}" for group in groups for v in group]
        names += [f"the batch, {name.replace('data[0]', 'x').replace('data[1]', 'y')}" for name in graph.input_names[len(names):]]
        if not loss_is_finite:
            graph = up_to(graph, graph.outputs[0])
        found = Search(graph, tree.leaves((state, data)), names, self._model)
        return f"batch {self.batch}: {found.text()}{self._outlook()}"

    def _outlook(self) -> str:
        if all(_is_finite(v.read()) or v.dtype[:5] != "float" for group in self._read + self._written[:2] for v in group):
            return "\n  The weights are those before this batch."
        return "" if self._weights else "\n  An earlier batch did that to the weights; fix: NamedNaN(weights=True) finds it"


def _losses(logs: Any) -> list[Any]:
    """The loss, which is the mean over the epoch so far and so is finite until now; or all that the step returns."""
    return [logs["loss"]] if isinstance(logs, dict) and "loss" in logs else tree.leaves(logs)


def _is_finite(array: np.ndarray) -> bool:
    return array.dtype.kind == "f" and bool(np.isfinite(array).all())


def _all(flags: Iterable[Any]) -> Any:
    result: Any = np.bool_(True)
    for flag in flags:
        result = lnp.logical_and(result, flag)
    return result


def up_to(graph: Graph, output: int) -> Graph:
    """What one output takes."""
    found, work = set[int](), [output]
    while work:
        value = work.pop()
        if value not in found:
            found.add(value)
            work += graph.producer[value].operands if value in graph.producer else ()
    return replace(graph, nodes=tuple(node for node in graph.nodes if not found.isdisjoint(node.results)), outputs=(output,))


@dataclass(frozen=True)
class Seen:
    """What a value holds: how many elements of it are NaN and infinite, and the range of the others."""

    type: str
    size: int
    nan: int
    infinite: int
    low: float
    high: float

    @classmethod
    def of(cls, array: np.ndarray, type_: str) -> Seen:
        if array.dtype.kind != "f" or not array.size:
            return cls(type_, array.size, 0, 0, 0.0, 0.0)
        nan, finite = int(np.isnan(array).sum()), np.isfinite(array)
        low, high = float(array.min(where=finite, initial=np.inf)), float(array.max(where=finite, initial=-np.inf))
        return cls(type_, array.size, nan, array.size - nan - int(finite.sum()), low, high)

    @property
    def finite(self) -> bool:
        return not self.nan and not self.infinite

    def __str__(self) -> str:
        parts = [f"{count} {what}" for count, what in ((self.nan, "NaN"), (self.infinite, "infinite")) if count]
        if self.low <= self.high and (self.low or self.high):
            parts.append(f"{self.low:.4g} to {self.high:.4g}" if self.low < self.high else f"{self.low:.4g}")
        return f"{self.type} ({', '.join(parts)})" if parts else self.type


def _rows(array: np.ndarray) -> str:
    """Which rows of an array are not finite, if they are few."""
    bad = np.unique(np.nonzero(~np.isfinite(array))[0]) if array.ndim else ()
    return f", in row {', '.join(map(str, bad))}" if 0 < len(bad) <= 5 else ""


class Search:
    """A step run op by op, every value looked at; the ``names`` are those of its inputs. The losses are its first outputs."""

    def __init__(self, graph: Graph, arrays: list[Any], names: list[str], model: Any):
        self.graph, self.names, self.model = graph, dict(zip(graph.inputs, names)), model
        self.arrays = dict(zip(graph.inputs, map(np.asarray, arrays)))
        self.order = {value: n for n, node in enumerate(graph.nodes) for value in node.results}
        self.seen = {value: Seen.of(np.asarray(array), str(graph.types[value])) for value, array in self.arrays.items()}
        values = (value for node in graph.nodes for value in node.results)

        def look(array: np.ndarray) -> np.ndarray:
            value = next(values)
            self.seen[value] = Seen.of(array, str(graph.types[value]))
            return array

        with np.errstate(all="ignore"):
            evaluate(graph, list(self.arrays.values()), look)

    def text(self) -> str:
        """One line on where it came up, and on where the infinity came from that made it NaN."""
        start = next((value for value in self.graph.outputs if not self.seen[value].finite), None)
        if start is None:
            return NONE_FOUND
        loss = self.graph.outputs[0]
        kind = "NaN" if self.seen[start].nan else "an infinite value"
        origin = self._origin(start, nan=self.seen[start].nan > 0)
        what = f"the loss is {'NaN' if self.seen[loss].nan else 'infinite'}" if start == loss else "the new weights are not finite"
        lines = [f"{what}; {kind} came up first {self._place(origin)}"]
        source = self._infinite_source(origin) if kind == "NaN" else None
        if source is not None:
            lines.append(f"  by an infinite value that came up {self._place(source)}")
        return "\n".join(lines)

    def _origin(self, start: int, nan: bool) -> int:
        """The earliest value on the way to ``start`` that is NaN (or infinite) of operands that are not."""
        def bad(value: int) -> bool:
            return self.seen[value].nan > 0 if nan else not self.seen[value].finite

        return min((value for value in self._ancestors(start, bad) if not any(map(bad, self._operands(value)))),
                   key=lambda value: self.order.get(value, -1))

    def _infinite_source(self, origin: int) -> int | None:
        """Where the infinity came up that made ``origin`` NaN; None if there is none, or it is a constant, as that of a mask."""
        infinite = next((value for value in self._operands(origin) if self.seen[value].infinite), None)
        source = None if infinite is None else self._origin(infinite, nan=False)
        node = None if source is None else self.graph.producer.get(source)
        return None if node is not None and not node.operands else source

    def _operands(self, value: int) -> tuple[int, ...]:
        node = self.graph.producer.get(value)
        return node.operands if node is not None else ()

    def _ancestors(self, start: int, wanted: Any) -> set[int]:
        found, work = set[int](), [start]
        while work:
            value = work.pop()
            if value not in found:
                found.add(value)
                work += filter(wanted, self._operands(value))
        return found

    def _place(self, value: int) -> str:
        """``in op log of layer 'a' (Dense, made at train.py:12), at train.py:30: f32[8] (3 NaN), of ...``."""
        node = self.graph.producer.get(value)
        if node is None:
            return f"in {self.names[value]}: {self.seen[value]}{_rows(self.arrays[value])}"
        inside = value in self._ancestors(self.graph.outputs[0], lambda _: True)
        scope = node.loc.scope if node.loc else ""
        if not inside and not self._is_optimizers(scope):
            where = f"in the gradient of {self._layer(scope)}, op {node.op}"
        else:
            where = f"in op {node.op} of {self._layer(scope)}"
        operands = ", ".join(str(self.seen[operand]) for operand in dict.fromkeys(node.operands))
        return f"{where}{f', at {node.loc}' if node.loc else ''}: {self.seen[value]}" + (f", of {operands}" if operands else "")

    def _is_optimizers(self, scope: str) -> bool:
        return self.model.optimizer is not None and self.model.optimizer.name in scope.split("/")

    def _layer(self, scope: str) -> str:
        """The innermost layer that a scope is of, or the scope itself: a loss, an optimizer."""
        layers = {layer.name: layer for layer in self.model._flatten_layers()}
        for name in reversed(scope.split("/")):
            if name in layers:
                layer = layers[name]
                made = getattr(layer, "made_at", None)
                return f"layer {name!r} ({type(layer).__name__}{f', made at {made}' if made else ''})"
        return scope or "the step, in no layer"
