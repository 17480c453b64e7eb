"""Mixed precision: parameters in one dtype, arithmetic in another, results in a third."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import choice
from leptonc.bfloat16 import kind_of
from leptonc.errors import ArgumentError, DtypeError, describe, op_error
from leptonc.nn.module import Module, Parameter, State, static
from leptonc.promotion import numpy_dtype
from leptonc.public import public_methods
from leptonc.trace import Tracer, cast

MIXED = {"mixed_bfloat16": "bfloat16", "mixed_float16": "float16"}
PARTS = {"params": "param_dtype", "compute": "compute_dtype", "output": "output_dtype"}


@public_methods
@dataclass(frozen=True)
class Policy:
    """The float dtypes of parameters, of arithmetic, and of results. As in jmp.

    ``Policy.of`` makes one of a name of Keras's, "mixed_bfloat16", "mixed_float16" or a dtype's for all three, or of a text of
    jmp's, "params=float32,compute=bfloat16,output=float32".
    """

    param_dtype: Any = np.float32
    compute_dtype: Any = np.float32
    output_dtype: Any = np.float32

    def __post_init__(self) -> None:
        for name in PARTS.values():
            found = numpy_dtype(getattr(self, name), f"Policy: {name}")
            if kind_of(found) != "f":
                raise op_error("Policy", f"{name} must be a float dtype, got {found}", {}, kind=DtypeError)
            object.__setattr__(self, name, found)

    @staticmethod
    def of(text: Any) -> Policy:
        """A policy by its name. Raises ArgumentError for a name that is none."""
        if isinstance(text, Policy):
            return text
        if not isinstance(text, str):
            raise ArgumentError(f"Policy: {describe(text)} is no policy; fix: Policy(...), or a name such as 'mixed_bfloat16'")
        if text in MIXED:
            return Policy(np.float32, MIXED[text], np.float32)
        if "=" not in text:
            return Policy(text, text, text)
        parts = dict(part.strip().split("=", 1) for part in text.split(",") if "=" in part)
        for part in parts:
            choice("Policy", "a part", part, tuple(PARTS))
        return Policy(**{PARTS[part]: dtype for part, dtype in parts.items()})

    def cast_to_param(self, whole: Any) -> Any:
        """A tree whose floats are in ``param_dtype``; ints, keys, Python's numbers and a ``State`` stay as they are."""
        return _floats_in(whole, self.param_dtype)

    def cast_to_compute(self, whole: Any) -> Any:
        """A tree whose floats are in ``compute_dtype``."""
        return _floats_in(whole, self.compute_dtype)

    def cast_to_output(self, whole: Any) -> Any:
        """A tree whose floats are in ``output_dtype``."""
        return _floats_in(whole, self.output_dtype)


def _floats_in(whole: Any, dtype: Any) -> Any:
    return tree.map(lambda x: _float_in(x, dtype), whole, is_leaf=lambda x: isinstance(x, State))


def _float_in(x: Any, dtype: Any) -> Any:
    if isinstance(x, Parameter) and kind_of(x.dtype) == "f":
        return Parameter(x.shape, x.initializer, dtype)
    is_float = isinstance(x, np.ndarray | np.generic | Tracer) and kind_of(x.dtype) == "f"
    return cast(x, dtype) if is_float else x


class MixedPrecision(Module):
    """``module``, called by a policy: its parameters are kept in ``param_dtype``, cast with the floats among the arguments to
    ``compute_dtype`` for each call, and the result is cast to ``output_dtype``. Gradients are in ``param_dtype``, as they are.

    Running statistics keep their dtype, and what layers normalize is computed in f32. In f16 gradients need a scaled loss
    (``optim.DynamicLossScale``); in bf16 they do not.
    """

    module: Any
    policy: Policy = static()

    def __init__(self, module: Any, policy: Policy | str = "mixed_bfloat16"):
        if not isinstance(module, Module):
            raise ArgumentError(f"MixedPrecision: module={describe(module)} must be an nn.Module")
        self.policy = Policy.of(policy)
        self.module = self.policy.cast_to_param(module)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = self.policy.cast_to_compute((args, kwargs))
        return self.policy.cast_to_output(self.policy.cast_to_compute(self.module)(*args, **kwargs))
