"""Steps: a model's train, test and predict functions as leptonc runs them, over variables that are written in place."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
from keras.src.backend.common.stateless_scope import StatelessScope

import leptonc
from leptonc import tree
from leptonc.eager import jit_disabled
from leptonc.errors import ArgumentError
from leptonc.jit import Jitted
from leptonc.keras.src.ops.tensors import SUPPORTED
from leptonc.keras.src.slots import columns, stacked
from leptonc.keras.src.variable import Variable
from leptonc.scan import repeat
from leptonc.stages import Compiled

Groups = Sequence[Sequence[Variable]]
Function = Callable[[Any, Any], tuple[Any, Any]]  # (state, data) -> (result, state)


class Step:
    """``function(state, data)``, which returns (result, state), over the variables it was bound to last.

    The state goes out first: results and arguments of one type are then matched in order, and each variable is written where it
    is. Groups that a step only reads are not given away, and come back unlooked at. A plain step's other variables are one more
    group, which grows while it is traced.
    """

    def __init__(self, function: Function, compiled: bool, reads_only: int = 0, others: list[Variable] | None = None):
        self._function, self._compiled, self._reads_only = function, compiled, reads_only
        self._others = others_of(function) if others is None else others
        self._expected: list[Any] = []
        self._layout: tuple[tuple[int, ...], ...] = ()
        self._run: Callable[..., Any] = self._fresh()
        self._read: list[Sequence[Variable]] = []
        self._written: list[Sequence[Variable]] = []
        self._seen: list[Any] = []

    def _fresh(self) -> Callable[..., Any]:
        """The function as it is run, traced for no arguments yet."""
        def step(read: Any, written: Any, data: Any) -> Any:
            if self._compiled:  # this is traced then, and run once for each shape of a batch
                self._seen.append(tree.map(lambda x: leptonc.ShapeDtypeStruct(x.shape, x.dtype), data))
            result, state = self._function((*read, *written), data)
            return tuple([*group] for group in state[len(read):]), result

        step.__name__ = getattr(self._function, "__name__", "step")
        return leptonc.jit(step, donate_argnums=1) if self._compiled else step

    def bind(self, groups: Groups) -> Step:
        """To these variables. What was traced stands for their order: it is traced again if they are others."""
        layout = tuple(tuple(id(v) for v in group) for group in groups)
        if layout != self._layout:
            self._layout, self._run = layout, self._fresh()
        self._read, self._written = [*groups[:self._reads_only]], [*groups[self._reads_only:]]
        if self._others is not None:
            self._written.append(self._others)
        return self

    @property
    def others(self) -> Sequence[Variable]:
        """The variables of a plain step that are not the model's, as far as it was traced."""
        return tuple(self._others or ())

    def expect(self, values: Sequence[Any]) -> None:
        """Values for the other variables, in order: they are given to those that are known, and to more when they are found."""
        for variable, value in zip(self.others, values):
            variable.assign(value)
        self._expected = [*values[len(self.others):]]

    def _complete(self, attempt: Callable[[], Any]) -> Any:
        """What ``attempt`` gives, which traces the function: again as long as there are more variables in it than it was given."""
        while True:
            try:
                return attempt()
            except MoreVariables as found:
                if self._others is None:
                    raise
                self._include(found.variables)

    def _include(self, variables: list[Variable]) -> None:
        """Trace anew, with these among the others."""
        assert self._others is not None
        self._others += variables
        for variable, value in zip(variables, self._expected):
            variable.assign(value)
        self._expected = self._expected[len(variables):]
        self._run = self._fresh()
        self._seen.clear()

    def __call__(self, data: Any) -> Any:
        """Run on one batch; the variables are what it made of them."""
        state, result = self._complete(lambda: self._run(*self._state(), data))
        self._keep(state)
        return result

    def repeat(self, batches: Sequence[Any]) -> Any:
        """Run on several batches of one shape, natively one after the other; returns their results, stacked.

        It is the program that runs on one batch. The variables are written in place.
        """
        if not isinstance(self._run, Jitted) or jit_disabled():
            return tree.map(lambda *parts: np.stack(parts), *[self(batch) for batch in batches])
        structure = tree.structure(batches[0])
        data = tree.unflatten(structure, [*map(stacked, columns(batches))])
        state, results = self._complete(lambda: repeat(cast(Jitted, self._run), *self._state(), data))
        self._keep(state)
        return results

    def call_on(self, data: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        """What is run on a batch, and its arguments."""
        if self._others is not None and self._compiled and not self._seen:
            self._complete(lambda: leptonc.eval_shape(self._run, *self._state(), data))
        return self._run, (*self._state(), data)

    def _state(self) -> tuple[Any, Any]:
        return (tuple([v.read() for v in group] for group in self._read),
                tuple([v.taken() for v in group] for group in self._written))

    def _shown(self) -> tuple[Any, Any]:
        """The state to look at, not to give away."""
        read, written = (tuple([v.read() for v in group] for group in groups) for groups in (self._read, self._written))
        return read, written

    def _keep(self, state: Any) -> None:
        for group, arrays in zip(self._written, state):
            for variable, array in zip(group, arrays):
                if array is not variable._value:
                    variable.put(array) if self._compiled else variable._direct_assign(array)

    @property
    def compiles(self) -> int:
        """How many programs were compiled for it."""
        return self._run.compiles if isinstance(self._run, Jitted) else 0

    def compiled_for(self, data: Any = None) -> Compiled:
        """The program that runs on such a batch, compiled if it is not there yet; it is not run.

        ``data``: a batch as the step takes it, ``(x, y)`` to train on and ``(x,)`` to predict, arrays or ShapeDtypeStructs; without
        it, the largest so far. Raises ArgumentError where there is no program.
        """
        if not isinstance(self._run, Jitted):
            raise ArgumentError("this step runs op by op, so there is no program; fix: compile(..., run_eagerly=False)")
        if data is None and not self._seen:
            raise ArgumentError("this step has seen no batch yet; fix: fit, evaluate or predict first")
        data = max(self._seen, key=_size) if data is None else data
        zeros = tree.map(lambda x: np.zeros(x.shape, x.dtype), data)
        return self._complete(lambda: cast(Jitted, self._run).compiled_for(*self._shown(), zeros))

    def as_text(self, stage: str = "optimized", data: Any = None) -> str:
        """The program's text at stage "traced", "optimized", "kernels", "step", "llvm" or "asm"."""
        return self.compiled_for(data).as_text(stage)

    def cost_analysis(self, data: Any = None) -> dict[str, Any]:
        """What a step costs, by count."""
        return self.compiled_for(data).cost_analysis()

    def memory_analysis(self, data: Any = None) -> Any:
        """How much memory a step uses."""
        return self.compiled_for(data).memory_analysis()


def _size(data: Any) -> int:
    return sum(math.prod(leaf.shape) for leaf in tree.leaves(data))


def is_plain(step: Callable[..., Any]) -> bool:
    """Whether a step takes ``data`` alone."""
    return len(inspect.signature(step).parameters) == 1


def plainly(groups: Groups, step: Function, data: Any) -> Any:
    """A stateless step on the variables themselves, as they are in the scope around; returns its result."""
    result, state = step(tuple([v.value for v in group] for group in groups), data)
    for group, values in zip(groups, state):
        for variable, value in zip(group, values):
            variable.assign(value)
    return result


class MoreVariables(Exception):
    """A step reads or assigns variables that it was not given."""

    def __init__(self, variables: list[Variable]):
        super().__init__(", ".join(v.path for v in variables))
        self.variables = variables


class _Noting(StatelessScope):
    """A scope that knows which variables without a value of its own were asked for or assigned."""

    def __init__(self, state_mapping: Any):
        super().__init__(state_mapping)
        self._given = frozenset(self.state_mapping)
        self.more: dict[int, Variable] = {}

    def get_current_value(self, variable: Any) -> Any:
        self._note(variable)
        return super().get_current_value(variable)

    def add_update(self, update: tuple[Any, Any]) -> None:
        self._note(update[0])
        super().add_update(update)

    def _note(self, variable: Any) -> None:
        if id(variable) not in self._given and isinstance(variable, Variable) and variable.dtype in SUPPORTED:
            self.more[id(variable)] = variable


class Plain:
    """A step of ``data`` alone as a function (state, data) -> (result, state): it reads and assigns variables as it likes, and what
    it leaves is the state.

    ``others``: variables beside the model's own, such as those of a second optimizer or of a network that it does not hold. They
    are the last group of the state. Raises MoreVariables while there are some that it was not given.
    """

    def __init__(self, step: Callable[..., Any], groups: Callable[[], Groups]):
        functools.update_wrapper(self, step)
        self._step, self._groups = step, groups
        self.others: list[Variable] = []

    def __call__(self, state: Any, data: Any) -> tuple[Any, Any]:
        variables = (*self._groups(), self.others)
        mapping = [pair for group, values in zip(variables, state, strict=True) for pair in zip(group, values, strict=True)]
        with _Noting(mapping) as scope:
            result = self._step(data)
        if scope.more:
            raise MoreVariables([*scope.more.values()])
        return result, tuple([scope.get_current_value(v) for v in group] for group in variables)


def others_of(function: Function) -> list[Variable] | None:
    """The list that a plain step's other variables are in; None of a step that has no such."""
    return function.others if isinstance(function, Plain) else None


def stateless(step: Callable[..., Any], groups: Callable[[], Groups]) -> Function:
    """A step function as (state, data) -> (result, state), from one of that form or a plain one of ``data`` alone."""
    return Plain(step, groups) if is_plain(step) else step
