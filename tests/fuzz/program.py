"""A program as a value: inputs, steps with literal arguments, outputs, and how it is called. It prints as a snippet to paste."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

NAMES = re.compile(r"\b(lnp|lax|nn|random|optim)\.([A-Za-z_]\w*)")

HEADER = """import numpy as np
import leptonc
from leptonc import lax, nn, optim, random
from leptonc import numpy as lnp
"""

SPECIAL = "[0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.5, -3.5, 1e30, 7.0, 0.5]"

# How an input's elements are made. "grid" holds multiples of 1/4, whose sums and products are exact: ties are ties.
RECIPES = {
    "normal": "np.random.default_rng({seed}).standard_normal({shape}).astype({dtype!r})",
    "grid": "(np.random.default_rng({seed}).integers(-8, 9, {shape}) / 4).astype({dtype!r})",
    "special": f"np.random.default_rng({{seed}}).choice(np.array({SPECIAL}), {{shape}}).astype({{dtype!r}})",
    "sparse": "np.maximum(np.random.default_rng({seed}).standard_normal({shape}) - 0.7, 0).astype({dtype!r})",
    "small": "np.random.default_rng({seed}).integers({low}, {high}, {shape}).astype({dtype!r})",
    "extreme": "np.random.default_rng({seed}).choice(np.array([np.iinfo({dtype!r}).min, -1 if {low} < 0 else 3, 0, 1, 2, "
               "np.iinfo({dtype!r}).max]), {shape}).astype({dtype!r})",
    "bits": "np.random.default_rng({seed}).random({shape}) < 0.5",
    "zeros": "np.zeros({shape}, {dtype!r})",
}


@dataclass(frozen=True)
class Ref:
    """A value by its name."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Raw:
    """Text that stands as it is: the name of a dtype, a function."""

    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Index:
    """What stands in brackets: slices, ints, None, ..., references, literal arrays."""

    items: tuple[Any, ...]


@dataclass(frozen=True)
class Literal:
    """A known array."""

    values: tuple[Any, ...]
    dtype: str


@dataclass(frozen=True)
class Function:
    """An inner function, the body of a scan say: it sees its parameters and what was made before it."""

    params: tuple[str, ...]
    steps: tuple[Step, ...]
    result: Any


@dataclass(frozen=True)
class Step:
    """``names = form.format(*args)``."""

    names: tuple[str, ...]
    form: str
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Input:
    """An array that is passed: ``recipe`` is one of RECIPES; ints lie in [low, high)."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    recipe: str
    seed: int
    low: int = 0
    high: int = 10

    @property
    def text(self) -> str:
        """Of a complex array two of reals, its parts side by side in memory."""
        if self.dtype[0] != "c":
            return self._reals(self.dtype, self.seed)
        real = f"f{int(self.dtype[1:]) // 2}"
        return f"np.stack([{self._reals(real, self.seed)}, {self._reals(real, self.seed + 1)}], -1).view({self.dtype!r})[..., 0]"

    def _reals(self, dtype: str, seed: int) -> str:
        return RECIPES[self.recipe].format(shape=self.shape, dtype=dtype, seed=seed, low=self.low, high=self.high)


@dataclass(frozen=True)
class Program:
    """``call`` is a text of MODES. ``wrt``: names of inputs to differentiate by, or the parameters that are trained.
    ``note``: the structures it was made of."""

    inputs: tuple[Input, ...]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]
    mode: str = "forward"
    wrt: tuple[str, ...] = ()
    donated: tuple[str, ...] = ()
    optimizer: str = "optim.sgd(0.1)"
    axes: tuple[tuple[str, int | None], ...] = ()  # under vmap: where an input's examples are stacked; None, or unnamed: shared
    around: str = "y"  # under vmap: what is made of each result y, with axis "i"
    note: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return source(self)


# Two examples of an input: itself, and its elements turned by one.
EXAMPLES = """def examples(a, axis):
    if axis is None:
        return a
    flat = lnp.ravel(a)
    return lnp.stack([a, lnp.reshape(lnp.concatenate([flat[1:], flat[:1]], 0), a.shape)], axis)


def call(*args):
    batch = [examples(a, axis) for a, axis in zip(args, {axes})]
    return leptonc.vmap(each, {axes}, axis_name="i")(*batch)


call = leptonc.jit(call)"""

MODES = {
    "forward": "call = leptonc.jit(f{donate})",
    "grad": "call = leptonc.jit(leptonc.value_and_grad(f, argnums={wrt}){donate})",
    "aux": "call = leptonc.jit(leptonc.value_and_grad(f, argnums={wrt}, has_aux=True){donate})",
    "second": "def loss(*args):\n    return sum(lnp.sum({square}) for d in leptonc.grad(f, argnums={wrt})(*args))\n\n\n"
              "call = leptonc.jit(leptonc.value_and_grad(loss, argnums={wrt}))",
    "vjp": "def both(*args):\n    out, pull = leptonc.vjp(f, *args)\n"
           "    return out, pull(leptonc.tree.map(lnp.ones_like, out))\n\n\ncall = leptonc.jit(both)",
    "nested": "inner = leptonc.jit(f)\ncall = leptonc.jit(lambda *args: inner(*args))",
    "train": "opt = {optimizer}\n\n\ndef step(params, state, *rest):\n"
             "    value, grads = leptonc.value_and_grad(lambda p: f(*p, *rest))(params)\n"
             "    updates, state = opt.update(grads, state, params)\n"
             "    return value, optim.apply_updates(params, updates), state\n\n\n"
             "call = leptonc.jit(step, donate_argnums=(0, 1))",
    "vmap": "def each(*args):\n    return leptonc.tree.map(lambda y: {around}, f(*args))\n\n\n" + EXAMPLES,
    "vmap_grad": "each = leptonc.value_and_grad(f, argnums={wrt})\n\n\n" + EXAMPLES,
    "scan": "call = leptonc.jit(lambda carry, xs: lax.scan(lambda c, x: f(c, x), carry, xs))",
}
SCALAR = frozenset({"grad", "second", "train", "aux", "vmap_grad"})  # f returns one number to differentiate


def literal_text(arg: Any) -> str:
    """An argument as Python."""
    match arg:
        case Ref() | Raw():
            return str(arg)
        case Index():
            return ", ".join(_item(i) for i in arg.items) if arg.items else "()"
        case Literal():
            return f"np.array({list(arg.values)!r}, {arg.dtype!r})"
        case tuple():
            return "(" + "".join(literal_text(a) + ", " for a in arg).rstrip(" " if len(arg) == 1 else ", ") + ")"
        case list():
            return "[" + ", ".join(map(literal_text, arg)) + "]"
        case float() if arg != arg or arg in (float("inf"), float("-inf")):
            return f"float({str(arg)!r})"
    return repr(arg)


def _item(item: Any) -> str:
    if item is Ellipsis:
        return "..."
    if not isinstance(item, slice):
        return literal_text(item)
    parts = ["" if p is None else literal_text(p) for p in (item.start, item.stop, item.step)]
    return ":".join(parts if parts[2] else parts[:2])


def lines(steps: tuple[Step, ...], indent: str = "    ") -> Iterator[str]:
    for step in steps:
        args = []
        for arg in step.args:
            if isinstance(arg, Function):
                inner = f"body_{step.names[0]}"
                yield f"{indent}def {inner}({', '.join(arg.params)}):"
                yield from lines(arg.steps, indent + "    ")
                yield f"{indent}    return {literal_text(arg.result)}"
                args.append(inner)
            else:
                args.append(literal_text(arg))
        yield f"{indent}{', '.join(step.names)} = {step.form.format(*args)}"


def definition(program: Program) -> str:
    """f."""
    result = program.outputs[0] if program.mode in SCALAR or len(program.outputs) == 1 else ", ".join(program.outputs)
    if program.mode == "aux":
        result = f"{program.outputs[0]}, ({''.join(o + ', ' for o in program.outputs[1:]) or program.outputs[0] + ', '})"
    if program.mode == "scan":
        result = f"{program.outputs[0]}, ({''.join(o + ', ' for o in program.outputs[1:]) or program.outputs[0] + ', '})"
    names = [i.name for i in program.inputs]
    return "\n".join([f"def f({', '.join(names)}):", *lines(program.steps), f"    return {result}"])


def caller(program: Program) -> str:
    """``call`` and the arguments."""
    names = [i.name for i in program.inputs]
    wrt = tuple(names.index(n) for n in program.wrt)
    donated = tuple(names.index(n) for n in program.donated)
    donate = f", donate_argnums={donated}" if donated else ""
    axes = tuple(dict(program.axes).get(name) for name in names)
    square = "d * d" if all(i.dtype[0] != "c" for i in program.inputs) else "lnp.real(d * lnp.conj(d))"
    text = MODES[program.mode].format(wrt=wrt, donate=donate, optimizer=program.optimizer, axes=axes, around=program.around,
                                      square=square)
    if program.mode != "train":
        return text + f"\nargs = ({''.join(n + ', ' for n in names)})"
    params, rest = names[:len(program.wrt)], names[len(program.wrt):]
    trained = f"({''.join(n + ', ' for n in params)})"
    return text + f"\nparams = {trained}\nargs = (params, opt.init(params), {''.join(n + ', ' for n in rest)})"


def source(program: Program) -> str:
    """The snippet without what prints."""
    inputs = "\n".join(f"{i.name} = {i.text}" for i in program.inputs)
    return f"{HEADER}\n{inputs}\n\n\n{definition(program)}\n\n\n{caller(program)}\n"


def snippet(program: Program) -> str:
    """A script that shows compiled beside eager results."""
    return (source(program) + "copy = leptonc.tree.map(np.array, args)\n"
            "with leptonc.disable_jit():\n    print('eager', call(*copy))\nprint('compiled', call(*args))\n")


@dataclass(frozen=True)
class Runnable:
    """A program as Python objects."""

    call: Any
    args: tuple[Any, ...]
    f: Callable[..., Any]


def build(program: Program, place: Callable[[np.ndarray], np.ndarray] = np.array) -> Runnable:
    """``place`` says where the arguments lie."""
    from leptonc import tree

    space: dict[str, Any] = {}
    with np.errstate(all="ignore"):
        exec(compile(source(program), "<program>", "exec"), space)
    return Runnable(space["call"], tree.map(lambda a: place(np.asarray(a)), space["args"]), space["f"])


def refs(arg: Any) -> Iterator[str]:
    """The names an argument mentions."""
    match arg:
        case Ref():
            yield arg.name
        case Function():
            inner = {n for s in arg.steps for n in s.names} | set(arg.params)
            for name in [n for s in arg.steps for a in s.args for n in refs(a)] + list(refs(arg.result)):
                if name not in inner:
                    yield name
        case Index():
            yield from (n for i in arg.items for n in refs(i))
        case slice():
            yield from (n for i in (arg.start, arg.stop, arg.step) for n in refs(i))
        case tuple() | list():
            yield from (n for a in arg for n in refs(a))


def renamed(arg: Any, names: dict[str, str]) -> Any:
    """An argument with other names in it."""
    match arg:
        case Ref():
            return Ref(names.get(arg.name, arg.name))
        case Function():
            return replace(arg, steps=tuple(replace(s, args=tuple(renamed(a, names) for a in s.args)) for s in arg.steps),
                           result=renamed(arg.result, names))
        case Index():
            return Index(tuple(renamed(i, names) for i in arg.items))
        case tuple():
            return tuple(renamed(a, names) for a in arg)
        case list():
            return [renamed(a, names) for a in arg]
    return arg


def pruned(program: Program) -> Program:
    """Without steps and inputs that nothing needs."""
    needed, kept = set(program.outputs), []
    for step in reversed(program.steps):
        if needed & set(step.names):
            kept.append(step)
            needed |= {n for a in step.args for n in refs(a)}
    kept_inputs = tuple(i for i in program.inputs if i.name in needed or i.name in program.wrt)
    names = {i.name for i in kept_inputs}
    return replace(program, steps=tuple(reversed(kept)), inputs=kept_inputs,
                   donated=tuple(n for n in program.donated if n in names))
