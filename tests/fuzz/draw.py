"""Drawing a program step by step: values with their types, and choices among them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

import leptonc
from leptonc import lax, nn, optim
from leptonc import numpy as lnp
from leptonc.errors import LeptonError
from tests.fuzz.program import Function, Index, Input, Literal, Raw, Ref, Step, lines, refs

SPACE = {"np": np, "leptonc": leptonc, "lax": lax, "nn": nn, "optim": optim, "random": leptonc.random, "lnp": lnp}
LARGEST = 20_000  # elements of a value, but for those that need it


class Refused(Exception):
    """The step is not valid, or not here."""


class Untidy(Exception):
    """A step that ended in an exception that is none of leptonc's: a fault."""


@dataclass(frozen=True)
class Value:
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def ref(self) -> Ref:
        return Ref(self.name)

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype.kind == "f"

    @property
    def is_inexact(self) -> bool:
        return self.dtype.kind in "fc"


@dataclass
class Draw:
    """A program being drawn. ``float`` is the dtype its floats mostly have; ``recipe`` how float inputs are made."""

    rng: random.Random
    float: str = "f4"
    recipe: str = "normal"
    inputs: list[Input] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    note: list[str] = field(default_factory=list)
    wrt: list[str] = field(default_factory=list)
    prefer: str | None = None  # a mode

    @property
    def is_complex(self) -> bool:
        """Whether the program is about complex numbers."""
        return self.float[0] == "c"

    # Choices

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def int(self, low: int, high: int) -> int:
        """In [low, high], both included."""
        return self.rng.randint(low, high)

    def choose(self, *items: Any) -> Any:
        return self.rng.choice(items)

    def pick(self, fits: Callable[[Value], object] = lambda v: True) -> Value:
        """A value, later ones more often. Raises Refused if none fits."""
        found = [v for v in self.values if fits(v)]
        if not found:
            raise Refused("no such value")
        return found[max(self.rng.randrange(len(found)), self.rng.randrange(len(found)))]

    def floats(self, least_rank: int = 0) -> Value:
        return self.pick(lambda v: v.is_float and v.rank >= least_rank)

    def axis(self, v: Value) -> int:
        """An axis, counted from either end."""
        if not v.rank:
            raise Refused("no axis")
        return self.rng.randrange(-v.rank, v.rank)

    def axes(self, v: Value) -> Any:
        """None, an axis or several."""
        if not v.rank or self.chance(0.2):
            return None
        if self.chance(0.6):
            return self.axis(v)
        return tuple(sorted(self.rng.sample(range(v.rank), self.int(1, v.rank))))

    def seed(self) -> int:
        return self.rng.randrange(1000)

    # Making things

    def input(self, shape: Sequence[int], dtype: str | None = None, recipe: str | None = None, low: int = -5,
              high: int = 6) -> Value:
        """A new argument."""
        dtype = dtype or self.float
        kind = np.dtype(dtype).kind
        if recipe is None:
            recipe = self.recipe if kind in "fc" else "bits" if kind == "b" else "extreme" if self.chance(0.1) else "small"
        low = max(low, 0) if kind == "u" else low
        name = f"x{len(self.inputs)}"
        self.inputs.append(Input(name, tuple(shape), dtype, recipe, self.seed(), low, high))
        self.values.append(Value(name, tuple(shape), np.dtype(dtype)))
        return self.values[-1]

    def weight(self, shape: Sequence[int], scale: float) -> Value:
        """A parameter to train, of about ``scale``."""
        w = self.input(shape)
        self.wrt.append(w.name)
        return self.step("{0} * {1}", w.ref, scale) if self.chance(0.3) and self.recipe != "special" else w

    def step(self, form: str, *args: Any, count: int = 1, limit: int = LARGEST) -> Any:
        """A new value, or a tuple of ``count``. Raises Refused if it is not valid, or too large."""
        first = len(self.steps)
        names = tuple(f"v{first}_{n}" for n in range(count)) if count > 1 else (f"v{first}",)
        step = Step(names, form, args)
        types = self._infer(step)
        made = tuple(Value(n, tuple(t.shape), np.dtype(t.dtype)) for n, t in zip(names, types, strict=True))
        if any(v.size > limit for v in made):
            raise Refused("too large")
        self.steps.append(step)
        self.values += made
        return made if count > 1 else made[0]

    def several(self, form: str, *args: Any, limit: int = LARGEST) -> None:
        """As ``step``, of a form that gives an array or as many as it likes."""
        (found,) = self._infer(Step(("v",), form, args))
        if not isinstance(found, tuple | list):
            self.step(form, *args, limit=limit)
        elif len(leaves := leptonc.tree.leaves(found)) == 1:
            self.step(f"leptonc.tree.leaves({form})[0]", *args, limit=limit)
        elif leaves:
            self.step(form if len(leaves) == len(found) else f"leptonc.tree.leaves({form})", *args, count=len(leaves), limit=limit)
        else:
            raise Refused("no result")

    def _infer(self, step: Step) -> list[Any]:
        used = sorted({n for a in step.args for n in refs(a)})
        known = {v.name: v for v in self.values}
        structs = [leptonc.ShapeDtypeStruct(known[n].shape, known[n].dtype) for n in used]
        text = "\n".join([f"def f({', '.join(used)}):", *lines((step,)), f"    return ({''.join(n + ', ' for n in step.names)})"])
        space = dict(SPACE)
        try:
            with np.errstate(all="ignore"):
                exec(compile(text, "<step>", "exec"), space)
                return list(leptonc.eval_shape(space["f"], *structs))
        except LeptonError as error:
            self.refused.append(f"{step.form}: {error}")
            raise Refused(str(error)) from None
        except Exception as error:
            raise Untidy(f"{type(error).__name__}: {error}; {lines_of(step)} of {structs}") from error

    def mark(self) -> tuple[int, ...]:
        return len(self.inputs), len(self.steps), len(self.values), len(self.wrt), len(self.note)

    def back(self, mark: tuple[int, ...]) -> None:
        """Undo what was made since ``mark``."""
        for whole, length in zip((self.inputs, self.steps, self.values, self.wrt, self.note), mark):
            del whole[length:]  # type: ignore[attr-defined]


def lines_of(step: Step) -> str:
    return "; ".join(line.strip() for line in lines((step,)))


Maker = Callable[[Draw], Any]
STEPS: list[tuple[float, Maker]] = []
STRUCTURES: list[tuple[float, Maker]] = []


def step(weight: float = 1.0) -> Callable[[Maker], Maker]:
    """Register a function that adds a step or a few; the greater the weight, the more often."""
    def register(maker: Maker) -> Maker:
        STEPS.append((weight, maker))
        return maker

    return register


def structure(weight: float = 1.0) -> Callable[[Maker], Maker]:
    """Register a function that adds what passes rewrite."""
    def register(maker: Maker) -> Maker:
        STRUCTURES.append((weight, maker))
        return maker

    return register


def attempt(g: Draw, maker: Maker) -> bool:
    """Whether the maker found what it needs; if not, nothing has changed."""
    mark = g.mark()
    try:
        maker(g)
    except Refused:
        g.back(mark)
        return False
    if maker in [m for _, m in STRUCTURES]:
        g.note.append(maker.__name__)
    return True


__all__ = ["Draw", "Function", "Index", "Literal", "Raw", "Ref", "Refused", "STEPS", "STRUCTURES", "Value", "Untidy", "attempt",
           "step",
           "structure"]
