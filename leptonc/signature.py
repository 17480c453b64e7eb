"""Arguments as the compiler sees them: which are static, and name, type and identity of the leaves of the rest."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from leptonc import tree
from leptonc.arguments import integers
from leptonc.config import DtypeSettings, dtype_settings
from leptonc.eager import EagerArray
from leptonc.errors import ArgumentError, DtypeError, LeptonError, TracerError, describe, near_names, op_error
from leptonc.frames import Loc
from leptonc.ir.types import TensorType, dtype_of
from leptonc.promotion import SUPPORTED, asarray, is_weak, numpy_dtype
from leptonc.trace import Tracer, function_name, leaked, tracing


def parameter_names(f: Callable[..., Any]) -> list[str]:
    """The names of the positional parameters of ``f``, without ``*args``; empty if it has no signature."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):  # some built-in functions tell nothing
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def position_names(f: Callable[..., Any], count: int) -> list[str]:
    """What to call the first ``count`` positional arguments of ``f``."""
    known = parameter_names(f)[:count]
    return known + [f"args[{i}]" for i in range(len(known), count)]


def argument_names(f: Callable[..., Any], treedef: tree.TreeDef) -> list[str]:
    """The name of every leaf of a flattened ``(args, kwargs)``: ``params['conv1']['kernel']``."""
    args, kwargs = treedef.children
    names: list[str] = []
    for root, child in zip(position_names(f, len(args.children)), args.children):
        names += child.paths(root)
    keys = kwargs.data if isinstance(kwargs.data, tuple) else ()
    for key, child in zip(keys, kwargs.children):
        names += child.paths(str(key))
    return names


def leaf_type(leaf: Any, name: str, function: str) -> TensorType:
    """The type of an argument's leaf: array, tracer, Python scalar, or anything with a shape and a dtype.

    Raises DtypeError naming the argument for anything else.
    """
    if isinstance(leaf, Tracer):
        return leaf.type
    dtype, shape = getattr(leaf, "dtype", None), getattr(leaf, "shape", None)
    if dtype is None or shape is None or (not isinstance(leaf, np.ndarray | np.generic) and is_array_like(leaf)):
        array = as_leaf(leaf, name, function)
        dtype, shape = array.dtype, array.shape
    return TensorType(tuple(shape), dtype_of(numpy_dtype(dtype, f"{function}: {name}")))


def as_leaf(leaf: Any, name: str, function: str) -> np.ndarray:
    """An argument's leaf as an array. Raises DtypeError naming the argument if it is none."""
    if type(leaf) in (np.ndarray, EagerArray) and leaf.dtype in SUPPORTED:  # the latter knows what it depends on
        return leaf
    if isinstance(leaf, Tracer):
        raise leaked(leaf)
    # np.asarray would make an array of anything, lists of its items included; only scalars and arrays are meant.
    if isinstance(leaf, np.ndarray | np.generic | bool | int | float | complex):
        return asarray(leaf, f"{function}: {name}", None if tracing() else NUMBERS.get(type(leaf)))
    if is_array_like(leaf):
        return asarray(_converted(leaf, name, function), f"{function}: {name}")
    reason = f"{name} is {leaf!r:.60} of type {type(leaf).__name__}, not an array"
    raise op_error(function, reason, {}, "make the argument static (static_argnames)", DtypeError)


# Python's numbers that come from outside keep all their digits until they meet something, whatever the default dtype. While tracing
# they are operands of nodes, and so of the default dtype.
NUMBERS = {float: np.float64, complex: np.complex128}
ARRAY_PROTOCOLS = ("__array__", "__array_interface__", "__array_struct__", "__dlpack__")


def is_array_like(leaf: Any) -> bool:
    """Whether another library's object says that it is an array: a tensor of PyTorch, an array of JAX. A class only describes."""
    return not isinstance(leaf, type) and any(hasattr(leaf, name) for name in ARRAY_PROTOCOLS)


def _converted(leaf: Any, name: str, function: str) -> np.ndarray:
    """Another library's array as NumPy's, sharing memory where it can. Raises DtypeError with the reason if it refuses."""
    try:
        return np.asarray(leaf) if any(hasattr(leaf, n) for n in ARRAY_PROTOCOLS[:3]) else np.from_dlpack(leaf)
    except Exception as error:  # whatever that library raises: it wants a gradient, lies on another device, is a bfloat16
        reason = f"{name} is a {type(leaf).__module__}.{type(leaf).__name__} that does not convert to a NumPy array: {error}"
        raise op_error(function, reason, {}, kind=DtypeError) from error


LeafKey = tuple[tuple[int, ...], np.dtype, bool]


def leaf_key(leaf: Any, name: str, function: str) -> LeafKey:
    """(shape, dtype, weak): what a compiled program depends on."""
    found = leaf_type(leaf, name, function)
    return found.shape, found.dtype.numpy, is_weak(leaf)


def tensor_type(key: LeafKey) -> TensorType:
    return TensorType(key[0], dtype_of(key[1]))


@dataclass(frozen=True)
class Options:
    """The arguments ``jit`` treats apart, by position and by name."""

    static_argnums: frozenset[int]
    static_argnames: frozenset[str]
    donate_argnums: frozenset[int]
    donate_argnames: frozenset[str]

    @staticmethod
    def of(f: Callable[..., Any], static_argnums: Any, static_argnames: Any, donate_argnums: Any,
           donate_argnames: Any = None) -> Options:
        """Each position also as a name and the other way round. Raises LeptonError for what ``f`` does not have."""
        names = parameter_names(f)
        static = _numbers(f, "static_argnums", static_argnums, names)
        donate = _numbers(f, "donate_argnums", donate_argnums, names)
        static, by_name = _both_ways(static, _names(f, "static_argnames", static_argnames), names)
        donate, donated = _both_ways(donate, _names(f, "donate_argnames", donate_argnames), names)
        both = sorted({str(n) for n in static & donate} - set(names)) or sorted(by_name & donated)
        if static & donate or by_name & donated:
            raise ArgumentError(f"jit of {function_name(f)}: argument {', '.join(both)} is both static and donated")
        return Options(frozenset(static), frozenset(by_name), frozenset(donate), frozenset(donated))

    def split(self, args: Sequence[Any], kwargs: dict[str, Any], function: str) -> tuple[Any, tuple[Any, ...]]:
        """(the tree of traced arguments, the static ones as a key); None, which has no leaves, where one was static."""
        if not self.static_argnames and not self.static_argnums:
            return (tuple(args), kwargs), ()
        traced = tuple(None if i in self.static_argnums else x for i, x in enumerate(args))
        rest = {name: x for name, x in kwargs.items() if name not in self.static_argnames}
        static: list[tuple[Any, Any]] = [(i, x) for i, x in enumerate(args) if i in self.static_argnums]
        static += sorted((name, x) for name, x in kwargs.items() if name in self.static_argnames)
        return (traced, rest), tuple((where, Static.of(x, where, function)) for where, x in static)

    def donated(self, treedef: tree.TreeDef) -> tuple[int, ...]:
        """Positions of the donated ones among the leaves of a flattened ``(args, kwargs)``."""
        args, kwargs = treedef.children
        keys = kwargs.data if isinstance(kwargs.data, tuple) else ()
        flags = [i in self.donate_argnums for i, child in enumerate(args.children) for _ in range(child.num_leaves)]
        flags += [key in self.donate_argnames for key, child in zip(keys, kwargs.children)
                  for _ in range(child.num_leaves)]
        return tuple(i for i, flag in enumerate(flags) if flag)


def _both_ways(numbers: set[int], given: set[str], names: list[str]) -> tuple[set[int], set[str]]:
    """Positions and names, each with those that the other ones mean."""
    return (numbers | {names.index(name) for name in given if name in names},
            given | {names[n] for n in numbers if n < len(names)})


def _numbers(f: Callable[..., Any], option: str, given: Any, names: list[str]) -> set[int]:
    numbers = () if given is None else integers(f"jit of {function_name(f)}", option, _listed(given))
    for n in numbers:
        if n < -len(names) or (n >= len(names) and names and not _is_variadic(f)):
            raise ArgumentError(f"jit of {function_name(f)}: {option}={given!r}, but it has parameters {names}")
    return {n % len(names) if n < 0 else n for n in numbers}


def _names(f: Callable[..., Any], option: str, given: Any) -> set[str]:
    items = () if given is None else (given,) if isinstance(given, str) else _listed(given)
    if not isinstance(items, tuple) or not all(isinstance(name, str) for name in items):
        raise ArgumentError(f"jit of {function_name(f)}: {option}={describe(given)} must be a name, or some of them")
    names = set(items)
    try:
        parameters = inspect.signature(f).parameters
    except (TypeError, ValueError):
        return names
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return names
    for name in names:
        if name not in parameters:
            raise ArgumentError(f"jit of {function_name(f)}: {option}={given!r}, but it has parameters {list(parameters)}"
                                + f"; {near_names(name, parameters)}".removesuffix("; "))
    return names


def _listed(given: Any) -> Any:
    """A set, a dict's keys and the like as a tuple; anything else as it is."""
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str | np.ndarray) else given


def _is_variadic(f: Callable[..., Any]) -> bool:
    return any(p.kind is p.VAR_POSITIONAL for p in inspect.signature(f).parameters.values())


@dataclass(frozen=True)
class Static:
    """A static value with the types in it, since 1 == 1.0 == True and yet a function may tell them apart."""

    value: Any
    types: Any

    @staticmethod
    def of(value: Any, where: int | str, function: str) -> Static:
        """Raises LeptonError if it is not hashable, TracerError if it is traced."""
        if isinstance(value, Tracer):
            raise TracerError(f"{function}: static argument {where} is {value.origin}, a traced value")
        try:
            hash(value)
        except TypeError:
            raise LeptonError(f"{function}: static argument {where} is {describe(value)} ({type(value).__name__}), "
                              "which is not hashable; fix: pass a tuple or a frozen dataclass, or do not make it static"
                              ) from None
        return Static(value, _types_in(value))

    def __repr__(self) -> str:
        return repr(self.value)


def _types_in(value: Any) -> Any:
    if isinstance(value, tuple):
        return type(value), tuple(_types_in(item) for item in value)
    # The text of a float tells -0.0 from 0.0.
    return (float, repr(value)) if type(value) is float else type(value)


@dataclass(frozen=True)
class Signature:
    """What one compiled program was made for, and the line that called for it.

    ``names`` are those of the leaves, ``roots`` those of the positional arguments.
    """

    treedef: tree.TreeDef
    leaves: tuple[LeafKey, ...]
    static: tuple[Any, ...]
    names: tuple[str, ...]
    roots: tuple[str, ...]
    line: Loc | None = None
    settings: DtypeSettings = field(default_factory=dtype_settings)

    def differences(self, other: Signature) -> list[str]:
        """``x: f32[8,4] -> f32[16,4]`` for everything that changed from this one to ``other``."""
        found = _static_differences(dict(self.static), dict(other.static))
        if self.settings != other.settings:
            found.append(f"{self.settings} -> {other.settings}")
        if self.treedef != other.treedef:
            return found + [_structure_difference(self, other)]
        return found + [f"{name}: {key_text(a)} -> {key_text(b)}"
                        for name, a, b in zip(self.names, self.leaves, other.leaves) if a != b]


def key_text(key: LeafKey) -> str:
    """``f32[2,3]``, or ``f64[] (Python scalar)``."""
    return f"{tensor_type(key)}{' (Python scalar)' if key[2] else ''}"


def _static_differences(old: dict[Any, Any], new: dict[Any, Any]) -> list[str]:
    return [f"static argument {where}: {old.get(where, 'not given')} -> {new.get(where, 'not given')}"
            for where in dict.fromkeys([*old, *new]) if old.get(where) != new.get(where)]


def _structure_difference(old: Signature, new: Signature) -> str:
    (args, kwargs), (new_args, new_kwargs) = old.treedef.children, new.treedef.children
    if len(args.children) != len(new_args.children):
        return f"{len(args.children)} -> {len(new_args.children)} positional arguments"
    for name, a, b in zip(new.roots, args.children, new_args.children):
        found = tree.difference(a, b, name)
        if found:
            return f"structure of {found}"
    return f"structure of keyword arguments: {tree.difference(kwargs, new_kwargs)}"


def explain(name: str, compiles: Sequence[tuple[int, Signature]], last: int | None = None) -> str:
    """A line for each compile but the first that is known, or for the ``last`` ones: what differs from the nearest earlier one.

    ``compiles`` are (number, signature), in order; number 0 is the first compile there was."""
    lines = [f"{name}: compiled {compiles[-1][0] + 1 if compiles else 0} times"]
    for place in range(1 if last is None else max(len(compiles) - last, 1), len(compiles)):
        number, new = compiles[place]
        changes = [old.differences(new) for _, old in compiles[:place]]
        nearest = min(range(place), key=lambda i: _distance(compiles[i][1], new, changes[i]))
        where = f" ({new.line})" if new.line else ""
        lines.append(f"  #{number + 1}{where}, nearest #{compiles[nearest][0] + 1}: {'; '.join(changes[nearest])}")
    return "\n".join(lines)


def _distance(old: Signature, new: Signature, changes: list[str]) -> tuple[bool, int]:
    return old.treedef != new.treedef, len(changes)
