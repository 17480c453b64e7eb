"""``freeze``: a function with its first arguments given once and for all, as a trained model's weights are for inference.

What depends on those arguments alone is computed when they are given: transformed weights of convolutions, to begin with, which
a jitted function makes anew at every call.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from leptonc import driver, tree
from leptonc.eager import jit_disabled
from leptonc.errors import ArgumentError, LeptonError, TracerError, describe
from leptonc.jit import Jitted, jit
from leptonc.lazy import cached_property
from leptonc.memory import copied
from leptonc.pieces import with_calls
from leptonc.programs import Programs
from leptonc.promotion import PYTHON_SCALARS
from leptonc.public import hide_own_frames
from leptonc.signature import argument_names, as_leaf, leaf_key
from leptonc.stages import Number, Shortcut, Traced, numbers
from leptonc.trace import Tracer, function_name, tracing
from leptonc.treecode import Flattener, builder, flattener


@dataclass(frozen=True)
class _Program:
    """Code for one signature of the other arguments, and the arrays it takes after theirs."""

    executable: driver.Executable
    held: list[np.ndarray]
    build: Callable[[Sequence[Any]], Any]
    flatten: Flattener
    numbers: tuple[Number, ...]

    @cached_property
    def shortcut(self) -> Shortcut:
        """The short way for calls with arrays and numbers."""
        return Shortcut(self.flatten, self.exact, self.build, self.numbers)

    def rest(self) -> None:
        """Give back the memory of intermediates; the next call takes it anew."""
        self.executable.rest()

    def exact(self, leaves: Sequence[Any]) -> list[np.ndarray] | None:
        return self.executable.call_exact([*leaves, *self.held])

    def __call__(self, leaves: Sequence[Any]) -> Any:
        return self.build(self.executable([*map(np.asarray, leaves), *self.held]))


class Frozen:
    """What ``freeze`` returns. Call it with the arguments that were not given, by position; it compiles for each new signature."""

    def __init__(self, jitted: Jitted, args: tuple[Any, ...]):
        functools.update_wrapper(self, jitted)
        self._jitted, self._name = jitted, function_name(jitted.function)
        leaves, treedef = tree.flatten((args, {}))
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            raise TracerError(f"freeze of {self._name}: an argument is traced; fix: freeze outside of the function being traced")
        names = argument_names(jitted.function, treedef)
        self._leaves = [_own(leaf, path, self._name) for leaf, path in zip(leaves, names, strict=True)]
        self._args: tuple[Any, ...] = tree.unflatten(treedef, self._leaves)[0]
        self._programs: Programs[_Program] = Programs()
        self._shortcut: Shortcut | None = None  # of the program that ran last

    def __call__(self, *args: Any) -> Any:
        """The function of the frozen arguments and these. Raises what the jitted function raises."""
        try:  # as in ``Jitted``
            if tracing() or jit_disabled():
                return self._jitted(*self._args, *args)
            if self._shortcut is not None:
                done, result = self._shortcut(args)
                if done:
                    return result
            leaves, treedef = tree.flatten(args)
            whole = argument_names(self._jitted.function, tree.flatten(((*self._args, *args), {}))[1])
            names = whole[len(self._leaves):]
            leaves = [leaf if type(leaf) in PYTHON_SCALARS else as_leaf(leaf, path, self._name)
                      for leaf, path in zip(leaves, names)]
            key = treedef, tuple(leaf_key(leaf, path, self._name) for leaf, path in zip(leaves, names))
            program = self._programs.find(key, lambda: self._compiled(key, leaves))
            result = program(leaves)
            self._shortcut = program.shortcut
            return result
        except Exception as error:
            hide_own_frames(error)
            raise

    @property
    def leaves(self) -> list[Any]:
        """The arrays and Python numbers of the frozen arguments: they are the first inputs of what is traced."""
        return list(self._leaves)

    def trace(self, *args: Any) -> Traced:
        """The whole function traced for these arguments, which may be ShapeDtypeStructs."""
        return self._jitted.trace(*self._args, *args)

    def _compiled(self, key: Any, leaves: list[Any]) -> _Program:
        args = tree.unflatten(key[0], leaves)
        traced = self.trace(*args)
        if traced.interface.effects or with_calls(traced.graph) is not None:
            raise LeptonError(f"{self._name}: no callback can stand in what is frozen; fix: leave it out, or use jit")
        code = driver.compile_frozen(traced.graph, len(self._leaves))
        held = dict(zip(traced.interface.signature.names, map(np.asarray, self._leaves)))
        for name, part in (("computed", code.compute), ("prepared", code.prepare)):
            results = part([held[slot.name] for slot in part.executable.inputs])
            held |= {f"{name} {n}": array for n, array in enumerate(results)}
        executable, count = code.step.executable, len(key[1])
        taken = [held[slot.name] for slot in executable.inputs[count:]]
        return _Program(executable, taken, builder(traced.interface.out_tree), flattener(key[0]), numbers(key[1]))

    def __repr__(self) -> str:
        return f"<frozen {self._name}>"


def _own(leaf: Any, path: str, function: str) -> Any:
    """A leaf that nobody else can change."""
    return leaf if type(leaf) in PYTHON_SCALARS else copied(as_leaf(leaf, path, function))


def freeze(f: Callable[..., Any], *args: Any) -> Frozen:
    """``f`` with its first arguments fixed to ``args``, compiled for inference: ``predict = freeze(model, params); predict(x)``.

    ``f`` is a function, jitted or not; ``args`` are trees of arrays and Python scalars, which are copied. What depends on them
    alone is computed once for each signature of the other arguments. Results are those of ``jit(f)`` up to rounding:
    convolutions whose weights need not be transformed at every call may be made by other algorithms.

    Raises LeptonError if ``f`` has static or donated arguments.
    """
    if not callable(f):
        raise ArgumentError(f"freeze: f={describe(f)} must be a function; fix: freeze(model, params), then call that with the rest")
    jitted = f if isinstance(f, Jitted) else jit(f)
    options = jitted.options
    if options.static_argnums or options.static_argnames or options.donate_argnums:
        raise LeptonError(f"freeze of {function_name(jitted.function)}: it has static or donated arguments; fix: freeze a function "
                          "without (functools.partial binds static ones)")
    return Frozen(jitted, args)
