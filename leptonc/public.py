"""The border between a user's code and leptonc: what users call is wrapped here, and only here.

A call that does not fit the function's signature becomes an ArgumentError with near names, and tracebacks leave leptonc's own
frames out, as JAX's do (LEPTONC_TRACEBACK=full shows them). Errors that may be faults of leptonc keep
them.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType, MappingProxyType, TracebackType
from typing import Any, TypeVar

from leptonc import config
from leptonc.errors import ArgumentError, CompileError, IRError, LeptonError, MissingNameError, near_names
from leptonc.frames import is_own, is_users
from leptonc.substitutes import SUBSTITUTES

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)


def public(function: F, name: str = "") -> F:
    """``function`` as users get it; ``name`` is what errors call it."""
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            reason = "" if isinstance(error, LeptonError) else _mismatch(function, args, kwargs)
            if not reason:
                hide_own_frames(error)
                raise
            try:
                raise ArgumentError(f"{name or function.__name__}: {reason}") from None
            except ArgumentError as mismatch:
                hide_own_frames(mismatch)
                raise
        except Exception as error:
            hide_own_frames(error)
            raise

    return call  # type: ignore[return-value]


def hide_own_frames(error: Exception) -> None:
    """Take leptonc's frames out of a traceback where they are of no interest. A bare ``raise`` behind it adds none."""
    if not config.full_traceback() and _is_users_fault(error):
        error.__traceback__ = _without_own(error.__traceback__)


def _is_users_fault(error: Exception) -> bool:
    """Whether what failed is the user's call, or the user's own code."""
    if isinstance(error, LeptonError):
        return not isinstance(error, IRError | CompileError)
    entry, users = error.__traceback__, False
    while entry is not None:  # the innermost of both decides; NumPy's and the library's frames are between
        users = is_users(entry.tb_frame) or (users and not is_own(entry.tb_frame))
        entry = entry.tb_next
    return users


def _without_own(entry: TracebackType | None) -> TracebackType | None:
    """The entries of a traceback that are not leptonc's."""
    kept = []
    while entry is not None:
        if not is_own(entry.tb_frame):
            kept.append(entry)
        entry = entry.tb_next
    chain: TracebackType | None = None
    for item in reversed(kept):
        chain = TracebackType(chain, item.tb_frame, item.tb_lasti, item.tb_lineno)
    return chain


def _mismatch(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Why a call does not fit the signature; empty if it does."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a built-in function
        return ""
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        unknown = [key for key in kwargs if key not in signature.parameters]
        hint = near_names(unknown[0], signature.parameters) if unknown else ""
        return f"{error}; " + (hint or f"it takes ({', '.join(_parameters(signature))})")
    return ""


def _parameters(signature: inspect.Signature) -> list[str]:
    """Their names, with stars as in a definition: what stands behind one is given by name."""
    given = signature.parameters
    stars: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    shown = {name: stars.get(p.kind, "") + name for name, p in given.items()}
    named = [name for name, p in given.items() if p.kind is p.KEYWORD_ONLY]
    if named and not any(p.kind is p.VAR_POSITIONAL for p in given.values()):
        shown[named[0]] = f"*, {named[0]}"
    return list(shown.values())


def public_methods(cls: C) -> C:
    """Class decorator: the methods and operators of ``cls`` as users get them."""
    for name, value in list(vars(cls).items()):
        if isinstance(value, FunctionType) and (name.endswith("__") or not name.startswith("_")) and name not in _UNWRAPPED:
            setattr(cls, name, public(value, name))
        elif isinstance(value, property) and value.fget is not None and not name.startswith("_"):
            setattr(cls, name, property(public(value.fget, name), value.fset, doc=value.__doc__))
    return cls


_UNWRAPPED = frozenset({"__init__", "__new__", "__repr__", "__copy__", "__deepcopy__", "__array_finalize__", "__getattr__",
                        "__setattr__", "__delattr__"})


_PUBLISHED: dict[str, dict[str, Any]] = {}


def publish(namespace: dict[str, Any], names: Iterable[str], later: Mapping[str, Callable[[], Any]] = MappingProxyType({})) -> None:
    """Wrap the functions ``names`` of a module, given as its globals, and say for what it lacks what there is instead. ``later``:
    what is made when it is first asked for."""
    module = namespace["__name__"]
    _PUBLISHED[module] = namespace
    for name in names:
        value = namespace[name]
        if isinstance(value, FunctionType):
            namespace[name] = public(value)
            namespace[name].__module__ = module  # where it can be found, for pickling
    namespace["__getattr__"] = functools.partial(public(_missing), module, later)
    namespace["__dir__"] = functools.partial(_listed, namespace, later)


def _listed(namespace: Mapping[str, Any], later: Mapping[str, Callable[[], Any]]) -> list[str]:
    """What ``dir`` of a module gives: its public names, made already or not, and its version; nothing it imports for itself."""
    return sorted({*namespace["__all__"], *later, *(name for name in _VERSIONS if name in namespace)})


_VERSIONS = ("__version__", "__array_api_version__", "__array_namespace_info__")


def submodules(package: str, *names: str) -> dict[str, Callable[[], Any]]:
    """For ``later``: modules that are imported when they are first asked for, because what they need is seldom there or slow."""
    return {name: functools.partial(importlib.import_module, f"{package}.{name}") for name in names}


def members(module: str, *names: str) -> dict[str, Callable[[], Any]]:
    """For ``later``: members of a module that is imported when one of them is first asked for."""
    return {name: functools.partial(_member, module, name) for name in names}


def _member(module: str, name: str) -> Any:
    return getattr(importlib.import_module(module), name)


def _missing(module: str, later: Mapping[str, Callable[[], Any]], name: str) -> Any:
    if name in later:
        try:
            return later[name]()
        except LeptonError as error:  # hasattr asks too
            raise MissingNameError(error.message) from None
        except ImportError as error:  # of an extra that is not installed; so do help and inspect, of all that dir lists
            raise MissingNameError(str(error)) from error
    if name.startswith("__"):  # Python asks modules for those
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    raise MissingNameError(f"{module} has no {name}" + f"; {advice(module, name)}".removesuffix("; "))


def advice(module: str, name: str) -> str:
    """What to use for ``name`` of a module, which may lack it; empty if there is nothing."""
    if module in _PUBLISHED and name in _PUBLISHED[module]["__all__"]:
        return f"use {module}.{name}"
    if name in SUBSTITUTES.get(module, {}):
        return f"use {SUBSTITUTES[module][name]}"
    elsewhere = [f"{other}.{name}" for other, namespace in _PUBLISHED.items() if name in namespace["__all__"]]
    return f"use {' or '.join(elsewhere)}" if elsewhere else near_names(name, _PUBLISHED[module]["__all__"])
