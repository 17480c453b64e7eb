"""Optimizers: Keras's, with their conditions on the step count as choices between values, which a compiled step can make."""

from __future__ import annotations

from typing import Any

from keras.src.optimizers import base_optimizer

from leptonc import numpy as lnp
from leptonc.keras.src.ops.tensors import convert_to_tensor


class LeptoncOptimizer(base_optimizer.BaseOptimizer):
    """Updates that happen at some steps only are computed at every step, and chosen element by element."""

    def _backend_apply_gradients(self, grads: Any, trainable_variables: Any) -> None:
        if self.gradient_accumulation_steps:
            self._accumulate(grads, trainable_variables)
        else:
            self._update(grads, trainable_variables)
        if self.use_ema:
            self._update_model_variables_moving_average(self._trainable_variables)
            if self.ema_overwrite_frequency:
                self._overwrite_at(_is_due(self.iterations, self.ema_overwrite_frequency))

    def _update(self, grads: Any, variables: Any) -> None:
        grads = self._clip_gradients(grads)
        self._apply_weight_decay(variables)
        self._backend_update_step(grads, variables, self.learning_rate)

    def _accumulate(self, grads: Any, variables: Any) -> None:
        """An update by the mean gradient of the last steps if it is due, else one more gradient in the sums."""
        due = _is_due(self._iterations, self.gradient_accumulation_steps)
        sums = [self._accumulated_gradients[self._get_variable_index(v)] for v in variables]
        for total, grad in zip(sums, grads):
            total.assign_add(grad)
        before = [(v, v.value) for v in [*variables, *self.variables]]
        self._update([total.value / self.gradient_accumulation_steps for total in sums], variables)
        self._backend_reset_gradient_accumulators()
        for variable, value in before:
            if variable.value is not value:
                variable.assign(lnp.where(due, variable.value, value))

    def _overwrite_at(self, due: Any) -> None:
        """The averages become the variables' values if it is due."""
        for variable, average in zip(self._trainable_variables, self._model_variables_moving_average):
            if average is not None:
                variable.assign(lnp.where(due, average.value, variable.value))


def _is_due(done: Any, every: int) -> Any:
    """Whether the step behind ``done`` ones is one of ``every`` so many."""
    return lnp.equal(lnp.remainder(convert_to_tensor(done) + 1, every), 0)
