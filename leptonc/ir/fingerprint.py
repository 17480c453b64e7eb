"""What ops from outside the package do, as bytes: their classes' bytecode, and all that it refers to. Part of the cache's key.

The package's own ops are in the key as its source. An op that a user registers has a body that changes from one process to the
next; so whatever decides what it does is looked at, and where that cannot be told (a module of the user's as a whole, ``eval``, an
open file), there is no key, and nothing is cached.
"""

from __future__ import annotations

import abc
import dis
import functools
import hashlib
import os
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Generic

import numpy as np

from leptonc.ir.graph import Graph
from leptonc.ir.op import Op, all_ops, is_built_in
from leptonc.lazy import cached_property

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
KNOWN = (PACKAGE, os.path.dirname(os.path.abspath(np.__file__)) + os.sep)  # their source, or version, is in the key
STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep  # Python's version is in the key
INSTALLED = ("site-packages", "dist-packages")  # may lie inside of that
UNKNOWABLE = frozenset({"eval", "exec", "compile", "open", "input", "globals", "locals", "vars", "__import__"})
BOOKKEEPING = frozenset({"__module__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__abstractmethods__", "_abc_impl",
                         "__firstlineno__", "__static_attributes__", "__orig_bases__", "__parameters__"})
PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...))


class _Unknown(Exception):
    """Something whose effect cannot be told in bytes."""


def fingerprint(graph: Graph) -> bytes | None:
    """Empty if every op of the graph is the package's own; else a digest of all ops that are not, since one may expand into
    another. None if that cannot be known."""
    ops = all_ops()
    if all(_is_own(ops[name]) for name in _names(graph)):
        return b""
    seen = _Meaning()
    try:
        for name in sorted(ops):
            if not _is_own(ops[name]):
                seen.add(name)
                seen.add(ops[name])
    except (_Unknown, RecursionError):
        return None
    return seen.digest()


def _names(graph: Graph) -> set[str]:
    return {node.op for node in graph.nodes}.union(*(_names(region) for node in graph.nodes for region in node.regions))


def _is_own(op: Op) -> bool:
    """Whether an op is as the package defines it; one whose methods were replaced is not."""
    return is_built_in(op) and all(
        value.__code__.co_filename.startswith(PACKAGE) or (name.startswith("__") and value.__code__.co_filename == "<string>")
        for cls in type(op).__mro__ if _is_known(cls.__module__) and cls.__module__.startswith("leptonc.")
        for name, value in vars(cls).items() if isinstance(value, types.FunctionType))  # <string>: a dataclass's


def _is_known(module: str) -> bool:
    """Whether a module is of leptonc, NumPy or the standard library; a user's may have the name of one of those."""
    found = sys.modules.get(module)
    if found is None:
        return False
    file = getattr(found, "__file__", None)
    return module in sys.builtin_module_names if file is None else _is_known_file(file)


def _is_known_file(path: str) -> bool:
    if path.startswith("<frozen"):
        return True
    return path.startswith(KNOWN) or (path.startswith(STANDARD) and not any(name in path.split(os.sep) for name in INSTALLED))


class _Meaning:
    """A digest of objects, each of which is looked at once."""

    def __init__(self) -> None:
        self._hasher = hashlib.sha256()
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # ids are good as long as their objects live

    def digest(self) -> bytes:
        return self._hasher.digest()

    def add(self, value: Any) -> None:
        """Raises _Unknown."""
        if type(value) in PLAIN:
            self._write(type(value).__name__, repr(value))
        elif id(value) in self._seen:
            self._write("again", str(self._seen[id(value)]))
        else:
            self._seen[id(value)] = len(self._seen)
            self._kept.append(value)
            self._write(type(value).__name__)
            rule = next((rule for kinds, rule in RULES if isinstance(value, kinds)), _instance)
            self.all(rule(value))

    def all(self, values: Iterable[Any]) -> None:
        for value in values:
            self.add(value)
        self._write("end")

    def _write(self, *texts: str) -> None:
        for text in texts:
            data = text.encode("utf-8", "surrogatepass")
            self._hasher.update(len(data).to_bytes(8, "little") + data)


def _function(f: types.FunctionType) -> Iterator[Any]:
    """A known function by its name; what it closes over may yet come from anywhere."""
    yield f.__qualname__
    yield from (_contents(cell) for cell in f.__closure__ or ())
    if _is_known_file(f.__code__.co_filename):
        yield from (f.__code__.co_filename, f.__code__.co_firstlineno)
    else:
        yield from (f.__code__, f.__defaults__, f.__kwdefaults__, vars(f))
        yield from _globals(f.__code__, f.__globals__)


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _globals(code: types.CodeType, names: dict[str, Any]) -> Iterator[Any]:
    """What a function's code, with the code in it, finds under global names; names of attributes that are such names too."""
    for name in code.co_names:
        if name in names:
            yield from (name, names[name])
        elif name in UNKNOWABLE:
            raise _Unknown(name)
    for instruction in dis.get_instructions(code):
        if instruction.opname == "IMPORT_NAME" and not _is_known(instruction.argval):
            raise _Unknown(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals(constant, names)


def _code(code: types.CodeType) -> Iterator[Any]:
    """Line numbers and file names take no part."""
    yield from (code.co_code, code.co_consts, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars, code.co_flags,
                code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, getattr(code, "co_exceptiontable", b""))


def _class(cls: type) -> Iterator[Any]:
    yield from (cls.__module__, cls.__qualname__)
    if not _is_known(cls.__module__):
        yield cls.__bases__
        for name, value in sorted(vars(cls).items()):
            if name not in BOOKKEEPING:
                yield from (name, value)


def _module(module: types.ModuleType) -> Iterator[Any]:
    if not _is_known(module.__name__):
        raise _Unknown(module.__name__)
    yield module.__name__


def _builtin(f: Any) -> Iterator[Any]:
    yield from (f.__qualname__, getattr(f, "__self__", None), getattr(f, "__objclass__", None))


def _array(array: np.ndarray | np.generic) -> Iterator[Any]:
    if array.dtype.hasobject:
        raise _Unknown("an array of objects")
    yield from (array.dtype.str, array.shape, array.tobytes())


def _unordered(items: Any) -> Iterator[Any]:
    digests = []
    for item in items:
        one = _Meaning()
        one.add(item)
        digests.append(one.digest())
    yield from sorted(digests)


def _mapping(mapping: Mapping[Any, Any]) -> Iterator[Any]:
    for key, value in mapping.items():
        yield from (key, value)


def _instance(value: Any) -> Iterator[Any]:
    """An object of leptonc's or the user's by its class and attributes; one that keeps something elsewhere is not known."""
    for base in type(value).__mro__[:-1]:
        if "__slots__" in vars(base) or not _may_hold(base):
            raise _Unknown(repr(base))
    if not hasattr(value, "__dict__"):
        raise _Unknown(repr(type(value)))
    yield from (type(value), dict(sorted(vars(value).items())))


def _may_hold(base: type) -> bool:
    return base in (abc.ABC, Generic) or base.__module__.startswith("leptonc.") or not _is_known(base.__module__)


def _exactly(*kinds: type) -> Callable[[Any], Iterable[Any]]:
    """The items of a container, not of a class derived from one."""
    def items(value: Any) -> Iterable[Any]:
        if type(value) not in kinds:
            raise _Unknown(repr(type(value)))
        return _mapping(value) if isinstance(value, dict | types.MappingProxyType) else value

    return items


RULES: tuple[tuple[Any, Callable[[Any], Iterable[Any]]], ...] = (
    (types.FunctionType, _function),
    (types.CodeType, _code),
    (types.MethodType, lambda m: (m.__func__, m.__self__)),
    (type, _class),
    (types.ModuleType, _module),
    (np.ufunc, lambda f: (f.__name__,)),
    (np.dtype, lambda dtype: (dtype.str,)),
    ((np.ndarray, np.generic), _array),
    ((types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType), _builtin),
    (PLAIN, _exactly()),
    ((tuple, list), _exactly(tuple, list)),
    ((set, frozenset), _unordered),
    ((dict, types.MappingProxyType), _exactly(dict, types.MappingProxyType)),
    ((staticmethod, classmethod), lambda method: (method.__func__,)),
    (property, lambda p: (p.fget, p.fset, p.fdel)),
    (type(functools.lru_cache(len)), lambda f: (f.__wrapped__,)),
    (functools.partial, lambda p: (p.func, p.args, p.keywords)),
    (cached_property, lambda p: (p.function,)),
)
