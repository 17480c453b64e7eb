"""Training, evaluation and prediction: Keras's loops around leptonc's compiled steps."""

from __future__ import annotations

import functools
import importlib
import itertools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from keras.src import backend, tree
from keras.src import callbacks as callbacks_module
from keras.src import optimizers as optimizers_module
from keras.src.backend import config
from keras.src.trainers import trainer as base_trainer
from keras.src.trainers.data_adapters import array_slicing, data_adapter_utils
from keras.src.utils import traceback_utils
from keras.src.utils.python_utils import pythonify_logs

import leptonc
from leptonc.frames import named_scope
from leptonc.keras.src.arrays import as_batch
from leptonc.keras.src.batches import Batches
from leptonc.keras.src.ops.core import convert_to_numpy
from leptonc.keras.src.progress import Progress, is_watched
from leptonc.keras.src.slots import Lender, is_flat
from leptonc.keras.src.steps import Function, Groups, Step, is_plain, plainly, stateless
from leptonc.keras.src.variable import Variable

Logs = dict[str, Any]
unpack = data_adapter_utils.unpack_x_y_sample_weight
GIVEN_ALONE = object()  # in the place of data: the step was called with data alone


class LeptoncTrainer(base_trainer.Trainer):
    """One compiled step holds forward pass, loss, metrics, gradient, clipping and update.

    ``train_step(state, data)`` and ``test_step(state, data)`` are stateless as those of Keras on JAX, and return (logs, state); one
    that takes ``data`` alone and assigns variables is taken as well.
    """

    train_function: Step | None
    test_function: Step | None
    predict_function: Step | None

    def __init__(self) -> None:
        super().__init__()
        self.train_function = self.test_function = self.predict_function = None
        self._eval_epoch_iterator: Batches | None = None
        self._lender = Lender()

    # What a step computes.

    def compute_loss_and_updates(self, trainable_variables: Any, non_trainable_variables: Any, metrics_variables: Any,
                                 x: Any, y: Any, sample_weight: Any, training: bool = False,
                                 optimizer_variables: Any = None) -> tuple[Any, Any]:
        """(loss, (loss before scaling, predictions, non-trainable variables, metrics' variables)), for ``value_and_grad``."""
        y_pred, non_trainable_variables, losses = self.stateless_call(
            trainable_variables, non_trainable_variables, x, return_losses=True, **self._training(training))
        self._losses_override = [*losses]
        loss, (_, non_trainable_variables, metrics_variables) = self.stateless_compute_loss(
            trainable_variables, non_trainable_variables, metrics_variables, x=x, y=y, y_pred=y_pred, sample_weight=sample_weight,
            training=training)
        self._losses_override = []
        scaled = loss
        if training and self.optimizer is not None:
            with backend.StatelessScope(state_mapping=[*zip(self.optimizer.variables, optimizer_variables)]):
                scaled = self.optimizer.scale_loss(loss)
        return scaled, (loss, y_pred, non_trainable_variables, metrics_variables)

    def _training(self, training: bool) -> dict[str, bool]:
        return {"training": training} if self._call_has_training_arg else {}

    def train_step(self, state: Any, data: Any = GIVEN_ALONE) -> Any:
        """One step of the optimizer. ``state``: trainable, non-trainable, optimizer's and metrics' variables.

        With ``data`` alone, from a plain ``train_step``: reads and assigns the variables, and returns the logs.
        """
        if data is GIVEN_ALONE:
            return plainly(self._train_groups(), functools.partial(LeptoncTrainer.train_step, self), state)
        trainable, non_trainable, optimizer_variables, metrics = state
        x, y, sample_weight = unpack(data)
        differentiated = leptonc.value_and_grad(self.compute_loss_and_updates, has_aux=True)
        (_, (loss, y_pred, non_trainable, metrics)), gradients = differentiated(
            trainable, non_trainable, metrics, x, y, sample_weight, training=True, optimizer_variables=optimizer_variables)
        trainable, optimizer_variables = self.optimizer.stateless_apply(optimizer_variables, gradients, trainable)
        logs, metrics = self._with_metrics(metrics, loss, x, y, y_pred, sample_weight)
        return logs, (trainable, non_trainable, optimizer_variables, metrics)

    def test_step(self, state: Any, data: Any = GIVEN_ALONE) -> Any:
        """Loss and metrics of a batch. ``state``: trainable, non-trainable and metrics' variables; ``data`` alone as above."""
        if data is GIVEN_ALONE:
            return plainly(self._test_groups(), functools.partial(LeptoncTrainer.test_step, self), state)
        trainable, non_trainable, metrics = state
        x, y, sample_weight = unpack(data)
        _, (loss, y_pred, non_trainable, metrics) = self.compute_loss_and_updates(
            trainable, non_trainable, metrics, x, y, sample_weight, training=False)
        logs, metrics = self._with_metrics(metrics, loss, x, y, y_pred, sample_weight)
        return logs, (trainable, non_trainable, metrics)

    def predict_step(self, state: Any, data: Any = GIVEN_ALONE) -> Any:
        """The predictions of a batch. ``state``: trainable and non-trainable variables; returns (predictions, the latter)."""
        if data is GIVEN_ALONE:
            return self(unpack(state)[0], **self._training(False))
        trainable, non_trainable = state
        return self.stateless_call(trainable, non_trainable, unpack(data)[0], **self._training(False))

    def _with_metrics(self, variables: Any, loss: Any, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> tuple[Logs, list[Any]]:
        """Logs, and the metrics' variables, after this batch."""
        batch = next(leaf for leaf in tree.flatten(x) if leaf is not None).shape[0]
        with named_scope("metrics"), backend.StatelessScope(state_mapping=[*zip(self.metrics_variables, variables)]) as scope:
            self._loss_tracker.update_state(loss, sample_weight=batch)
            logs = self.compute_metrics(x, y, y_pred, sample_weight)
        return logs, [scope.get_current_value(v) for v in self.metrics_variables]

    # The steps as they run.

    def _train_groups(self) -> Groups:
        return (self.trainable_variables, self.non_trainable_variables, self.optimizer.variables if self.optimizer else [],
                self.metrics_variables)

    def _test_groups(self) -> Groups:
        return self.trainable_variables, self.non_trainable_variables, self.metrics_variables

    def _predict_groups(self) -> Groups:
        return self.trainable_variables, self.non_trainable_variables

    @property
    def _compiled(self) -> bool:
        return not self.run_eagerly and bool(self.jit_compile)

    def make_train_function(self, force: bool = False) -> Step:
        if self.train_function is None or force:
            self.train_function = Step(stateless(self.train_step, self._train_groups), self._compiled)
        return self.train_function

    def make_test_function(self, force: bool = False) -> Step:
        if self.test_function is None or force:
            self.test_function = Step(stateless(self.test_step, self._test_groups), self._compiled, reads_only=1)
        return self.test_function

    def make_predict_function(self, force: bool = False) -> Step:
        if self.predict_function is None or force:
            self.predict_function = Step(self._predicting(), self._compiled, reads_only=1)
        return self.predict_function

    def _predicting(self) -> Function:
        step = self.predict_step
        if is_plain(step):
            return stateless(step, self._predict_groups)

        def predict(state: Any, data: Any) -> tuple[Any, Any]:
            outputs, non_trainable = step(state, data)
            return outputs, (state[0], non_trainable)

        return predict

    def _bound_train_step(self) -> Step:
        return self.make_train_function().bind(self._train_groups())

    def _bound_test_step(self) -> Step:
        return self.make_test_function().bind(self._test_groups())

    def _bound_predict_step(self) -> Step:
        return self.make_predict_function().bind(self._predict_groups())

    def _symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing is built of a model without a ``call``, which only steps of its own train."""
        model = importlib.import_module("keras.src.models.model").Model  # whose base class this is
        if getattr(self.call, "__func__", self.call) is not model.call:
            super()._symbolic_build(iterator, data_batch)

    def _step_on(self, x: Any, y: Any = None, sample_weight: Any = None) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """The function that a batch is trained on by, or without ``y`` predicted, and what it is called with: to look at."""
        if y is None:
            self._built_for(x)
            return self._bound_predict_step().call_on((as_batch(x),))
        self._assert_compile_called("profile")
        data = as_batch((x, y, sample_weight))
        self._symbolic_build(data_batch=data)
        return self._bound_train_step().call_on(data)

    def _batches(self, **kwargs: Any) -> Batches:
        return Batches(**kwargs, steps_per_execution=self.steps_per_execution, reuse=self._compiled, lender=self._lender)

    def _callbacks(self, callbacks: Any, verbose: Any, epochs: int, batches: Batches, history: bool = False) -> Any:
        if isinstance(callbacks, callbacks_module.CallbackList):
            return callbacks
        if verbose == "auto":
            verbose = 1 if is_watched() else 2
        callbacks = tree.flatten(callbacks) if callbacks else []
        if history and any(type(callback) is callbacks_module.TerminateOnNaN for callback in callbacks):
            callbacks.insert(0, importlib.import_module("leptonc.callbacks.nan").Finder())  # imports this module
        if verbose and not any(isinstance(callback, callbacks_module.ProgbarLogger) for callback in callbacks):
            callbacks.append(Progress(batches))
        return callbacks_module.CallbackList(callbacks, add_history=history, add_progbar=verbose != 0, verbose=verbose,
                                             epochs=epochs, steps=batches.num_batches, model=self)

    # Keras's methods.

    @traceback_utils.filter_traceback
    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1, verbose: Any = "auto",
            callbacks: Any = None, validation_split: float = 0.0, validation_data: Any = None, shuffle: Any = True,
            class_weight: Any = None, sample_weight: Any = None, initial_epoch: int = 0, steps_per_epoch: int | None = None,
            validation_steps: int | None = None, validation_batch_size: int | None = None, validation_freq: Any = 1) -> Any:
        self._assert_compile_called("fit")
        epochs = _capped(epochs)
        _given(x, "fit")
        self._eval_epoch_iterator = None
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = array_slicing.train_validation_split(
                (x, y, sample_weight), validation_split=validation_split)
        batches = self._batches(x=x, y=y, sample_weight=sample_weight, batch_size=batch_size, steps_per_epoch=steps_per_epoch,
                                shuffle=shuffle, class_weight=class_weight)
        self._symbolic_build(iterator=batches)
        batches.reset()
        callbacks = self._callbacks(callbacks, verbose, epochs, batches, history=True)
        validation = None if validation_data is None else {
            "data": validation_data, "batch_size": validation_batch_size or batch_size, "steps": validation_steps,
            "freq": validation_freq}
        if validation is not None:
            self._eval_epoch_iterator = self._validation_batches(validation)
        self.make_train_function()
        self.stop_training = False
        for callback in [*callbacks.callbacks]:
            if hasattr(callback, "join"):  # leptonc.callbacks.Checkpoint
                callback.join(callbacks, batches)
        callbacks.on_train_begin()
        finished = False
        logs: Logs = {}
        try:
            for epoch in range(self._initial_epoch or initial_epoch, epochs):
                logs = self._train_epoch(epoch, batches, callbacks, validation)
                if self.stop_training:
                    break
            finished = True
        finally:
            if isinstance(self.optimizer, optimizers_module.Optimizer) and epochs > 0:
                self.optimizer.finalize_variable_values(self.trainable_weights)
            self._eval_epoch_iterator = None
            batches.end()
            if finished:
                callbacks.on_train_end(logs=logs)
        return self.history

    def _train_epoch(self, epoch: int, batches: Batches, callbacks: Any, validation: dict[str, Any] | None) -> Logs:
        self.reset_metrics()
        batches.begin_epoch(epoch)
        callbacks.on_epoch_begin(epoch)
        logs = self._walk(batches, self._bound_train_step(), callbacks.on_train_batch_begin, callbacks.on_train_batch_end,
                          lambda: self.stop_training)
        logs = dict(self._get_metrics_result_or_logs(logs))
        if validation is not None and self._should_eval(epoch, validation["freq"]):
            logs.update(self._validated(validation, callbacks))
        callbacks.on_epoch_end(epoch, logs)
        return logs

    def _validation_batches(self, validation: dict[str, Any]) -> Batches:
        x, y, sample_weight = unpack(validation["data"])
        return self._batches(x=x, y=y, sample_weight=sample_weight, batch_size=validation["batch_size"],
                             steps_per_epoch=validation["steps"], shuffle=False)

    def _validated(self, validation: dict[str, Any], callbacks: Any) -> Logs:
        x, y, sample_weight = unpack(validation["data"])
        found = self.evaluate(x=x, y=y, sample_weight=sample_weight, batch_size=validation["batch_size"], steps=validation["steps"],
                              callbacks=callbacks, return_dict=True, _use_cached_eval_dataset=True)
        return {f"val_{name}": value for name, value in found.items()}

    def _walk(self, batches: Batches, step: Step, begin: Callable[[int], None], end: Callable[[int, Any], None],
              stopped: Callable[[], bool], collect: Callable[[Any], None] | None = None) -> Any:
        """An epoch: one call of ``step`` for each batch, the callbacks around it; returns the last one's result."""
        result: Any = batches.logs
        with batches.catch_stop_iteration():
            for first, last, iterator in batches:
                data = self._taken(iterator)  # before the callbacks: there may be no more
                begin(first)
                result = self._executed(step, data, collect is not None)
                if collect is not None:
                    collect(result)
                end(last, result)
                if stopped():
                    break
        return result

    def _taken(self, iterator: Any) -> list[Any]:
        """The batches of an execution, fewer at the end. Raises StopIteration if there are none."""
        data = [as_batch(next(iterator))]
        data += map(as_batch, itertools.islice(iterator, self.steps_per_execution - 1))
        return data

    def _executed(self, step: Step, data: list[Any], whole: bool) -> Any:
        """``steps_per_execution`` steps, as many of them in one native run as have batches of one shape.

        Returns the last one's result, or all joined if the ``whole`` is wanted.
        """
        results = []
        for run in ([*run] for _, run in itertools.groupby(data, _type)):  # an epoch's last batch may be smaller
            results.append(step(run[0]) if len(run) == 1 else _joined(step.repeat(run), whole))
        return results[-1] if not whole or len(results) == 1 else tree.map_structure(lambda *parts: np.concatenate(parts), *results)

    @traceback_utils.filter_traceback
    def evaluate(self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: Any = "auto",
                 sample_weight: Any = None, steps: int | None = None, callbacks: Any = None, return_dict: bool = False,
                 **kwargs: Any) -> Any:
        self._assert_compile_called("evaluate")
        cached = kwargs.pop("_use_cached_eval_dataset", False)
        if kwargs:
            raise ValueError(f"Arguments not recognized: {kwargs}")
        if not cached:
            _given(x, "evaluate")
        batches: Any = self._eval_epoch_iterator if cached else self._batches(
            x=x, y=y, sample_weight=sample_weight, batch_size=batch_size, steps_per_epoch=steps, shuffle=False)
        self._symbolic_build(iterator=batches)
        batches.reset()
        callbacks = self._callbacks(callbacks, verbose, 1, batches)
        self.make_test_function()
        self.stop_evaluating = False
        callbacks.on_test_begin()
        self.reset_metrics()
        logs = self._walk(batches, self._bound_test_step(), callbacks.on_test_batch_begin, callbacks.on_test_batch_end,
                          lambda: self.stop_evaluating)
        logs = pythonify_logs(self._get_metrics_result_or_logs(logs))
        callbacks.on_test_end(logs)
        return logs if return_dict else self._flatten_metrics_in_order(logs)

    @traceback_utils.filter_traceback
    def predict(self, x: Any, batch_size: int | None = None, verbose: Any = "auto", steps: int | None = None,
                callbacks: Any = None) -> Any:
        batches = self._batches(x=x, batch_size=batch_size, steps_per_epoch=steps, shuffle=False)
        self._built_on(batches)
        callbacks = self._callbacks(callbacks, verbose, 1, batches)
        step = self._bound_predict_step()
        self.stop_predicting = False
        callbacks.on_predict_begin()
        found: list[Any] = []
        self._walk(batches, step, callbacks.on_predict_batch_begin,
                   lambda last, outputs: callbacks.on_predict_batch_end(last, {"outputs": outputs}),
                   lambda: self.stop_predicting, found.append)
        callbacks.on_predict_end()
        return tree.map_structure(lambda *parts: np.concatenate(parts), *found)

    def _built_on(self, batches: Batches) -> None:
        """The model's variables made, by the shapes of the first batch if there are none yet.

        Without need the data is not told that an epoch ends: it may shuffle itself, and predictions belong to the rows that it has.
        """
        if all(layer.built for layer in self._flatten_layers()):
            batches.read_ahead()
            return
        for _, _, iterator in batches:
            self._built_for(unpack(as_batch(next(iterator)))[0])
            break
        batches.reset()

    def _built_for(self, x: Any) -> None:
        if not all(layer.built for layer in self._flatten_layers()):
            with backend.StatelessScope():
                self(x)

    def train_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: Any = None,
                       return_dict: bool = False) -> Any:
        self._assert_compile_called("train_on_batch")
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError("Arguments `sample_weight` and `class_weight` cannot be specified at the same time. "
                                 f"Received: sample_weight={sample_weight}, class_weight={class_weight}")
            sample_weight = data_adapter_utils.class_weight_to_sample_weights(y, class_weight)
        data = as_batch((x, y, sample_weight))
        self._symbolic_build(data_batch=data)
        self.reset_metrics()
        return self._result_of(self._bound_train_step()(data), return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        self._assert_compile_called("test_on_batch")
        data = as_batch((x, y, sample_weight))
        self._symbolic_build(data_batch=data)
        self.reset_metrics()
        return self._result_of(self._bound_test_step()(data), return_dict)

    def _result_of(self, logs: Any, return_dict: bool) -> Any:
        logs = pythonify_logs(logs)
        return logs if return_dict else self._flatten_metrics_in_order(logs)

    def predict_on_batch(self, x: Any) -> Any:
        x = as_batch(x)
        self._built_for(x)
        return tree.map_structure(convert_to_numpy, self._bound_predict_step()((x,)))


def _capped(epochs: int) -> int:
    most = config.max_epochs()
    if most and most < epochs:
        warnings.warn(f"Limiting epochs to {most}", stacklevel=3)
        return most
    return epochs


def _given(x: Any, method: str) -> None:
    if x is None:
        raise ValueError(f"{method} has no data: x is None; fix: arrays, or what gives batches")


def _type(batch: Any) -> Any:
    """Structure, shapes and dtypes."""
    if is_flat(batch):
        return [(leaf.shape, leaf.dtype) for leaf in batch]
    leaves, structure = leptonc.tree.flatten(batch)
    return structure, [(leaf.shape, leaf.dtype) for leaf in leaves]


def _joined(stacked: Any, whole: bool) -> Any:
    """Of results stacked over steps: the last, or those of all steps behind each other."""
    if whole:
        return tree.map_structure(lambda x: x.reshape((-1, *x.shape[2:])), stacked)
    return tree.map_structure(lambda x: x[-1], stacked)


__all__ = ["LeptoncTrainer", "Variable"]
