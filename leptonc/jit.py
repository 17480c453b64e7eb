"""``jit``: one compiled program per signature of the arguments, cached."""

from __future__ import annotations

import functools
import itertools
import sys
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any

import numpy as np

from leptonc import config, tree
from leptonc.arguments import flag, on_cpu
from leptonc.eager import argument, eager_call, jit_disabled
from leptonc.errors import ArgumentError, LeptonError, LoadingError, TracerError, describe
from leptonc.frames import users_line
from leptonc.pieces import with_calls
from leptonc.programs import PROGRAMS_KEPT, Programs
from leptonc.promotion import PYTHON_SCALARS, SUPPORTED, is_weak
from leptonc.public import hide_own_frames, public
from leptonc.signature import (
    Options,
    Signature,
    argument_names,
    as_leaf,
    explain,
    leaf_key,
    position_names,
    tensor_type,
)
from leptonc.stages import Compiled, Interface, Shortcut, Traced
from leptonc.trace import Tracer, as_default, function_name, known, trace_to_graph, tracing, weakened

_jitted: dict[int, weakref.ref[Jitted]] = {}  # by id; no set, whose own callbacks would lose a Ctrl-C


class Jitted:
    """A function that compiles for each new signature it is called with: structure, shapes, dtypes, static values.

    It keeps the ``PROGRAMS_KEPT`` programs that were called last, and the memory of their intermediates for fewer. Calls from
    several threads run side by side; who gives one array away in two of them at once must see to it that they take turns.
    ``example_args`` is what it can be traced with for inspection, if anything was given.
    """

    def __init__(self, f: Callable[..., Any], options: Options, example_args: Any = None):
        functools.update_wrapper(self, f)
        self.function = f
        self.options = options
        self.example_args = example_args
        self._name = function_name(f)
        self._programs: Programs[Compiled] = Programs()
        self._compiles: deque[tuple[int, Signature]] = deque(maxlen=PROGRAMS_KEPT)
        self._numbers = itertools.count()
        self._last_treedef: tree.TreeDef | None = None
        self._last_names: tuple[tree.TreeDef | None, list[str]] = (None, [])
        self._shortcut: Shortcut | None = None  # of the program that ran last
        self._settings: config.DtypeSettings | None = None  # those it was compiled for
        _jitted[id(self)] = weakref.ref(self, functools.partial(_jitted.pop, id(self)))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run compiled code for these arguments, compiling it first if they are of a new signature.

        Inside a trace the function is traced as part of it; under ``disable_jit`` it runs op by op. Results are new
        arrays, except that those written into donated arguments share their memory.
        """
        try:  # as ``public`` does, which would cost each call some hundred nanoseconds
            plainly = tracing() or jit_disabled()
            dynamic, static = self.options.split(args, kwargs, self._name)
            shortcut = self._shortcut  # another thread may put its own there
            if (shortcut is not None and not plainly and self._settings is config.dtype_settings()
                    and shortcut.fixed == (hash(static), static)):
                done, result = shortcut(dynamic)
                if done:
                    return result
            if plainly:
                return self._call_plainly(args, kwargs, dynamic)
            try:
                compiled, leaves = self._find(args, kwargs, dynamic, static)
            except LoadingError:  # a signal handler has interrupted the import of code generation
                return self._call_plainly(args, kwargs, dynamic)
            result = compiled.run([np.asarray(leaf) for leaf in leaves])
            self._shortcut, self._settings = compiled.shortcut, compiled.interface.signature.settings
            return result
        except Exception as error:
            hide_own_frames(error)
            raise

    @public
    def compiled_for(self, *args: Any, **kwargs: Any) -> Compiled:
        """The program that a call with these arguments would run, compiled if it is not there yet."""
        return self._find(args, kwargs, *self.options.split(args, kwargs, self._name))[0]

    def _find(self, args: Sequence[Any], kwargs: dict[str, Any], dynamic: Any, static: Any) -> tuple[Compiled, list[Any]]:
        leaves, treedef = self._flattened(dynamic)
        leaves = self._concrete(leaves, treedef)
        key = (treedef, tuple([_key(leaf) for leaf in leaves]), static, config.dtype_settings())
        compiled = self._programs.find(key, lambda: self._compile(leaves, treedef, static, args, kwargs))
        self._last_treedef = treedef
        return compiled, leaves

    def _flattened(self, dynamic: Any) -> tuple[list[Any], tree.TreeDef]:
        """Leaves and structure; the structure of the last call is tried first."""
        last = self._last_treedef
        leaves = None if last is None else tree.flatten_as(last, dynamic)
        return tree.flatten(dynamic) if last is None or leaves is None else (leaves, last)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    @public
    def trace(self, *args: Any, **kwargs: Any) -> Traced:
        """The function traced for these arguments, which may be ShapeDtypeStructs; static ones are given as usual."""
        dynamic, static = self.options.split(args, kwargs, self._name)
        return self._traced(*tree.flatten(dynamic), static, args, kwargs)

    def _traced(self, leaves: list[Any], treedef: tree.TreeDef, static: tuple[Any, ...], args: Sequence[Any],
                kwargs: dict[str, Any]) -> Traced:
        names = argument_names(self.function, treedef)
        keys = tuple(leaf_key(leaf, path, self._name) for leaf, path in zip(leaves, names))
        roots = tuple(position_names(self.function, len(args)))
        signature = Signature(treedef, keys, static, tuple(names), roots, users_line())
        closed = trace_to_graph(self._on_leaves(treedef, args, kwargs), [tensor_type(key) for key in keys],
                                self._name, names, [key[2] for key in keys], effects=True)
        if closed.captured:
            raise TracerError(f"{self._name} uses {closed.captured[0].origin} of the function traced around it, and so "
                              "has no graph of its own; fix: pass it as an argument")
        with_calls(closed.graph)  # raises where Python is called and cannot be
        interface = Interface(self._name, signature, self.options.donated(treedef), self.options.static_argnums,
                              closed.out_tree, closed.effects)
        return Traced(closed.graph, interface)

    @public
    def examples(self) -> tuple[Any, ...]:
        """The example arguments as a tuple. Raises LeptonError if there are none."""
        found = self.example_args() if callable(self.example_args) else self.example_args
        if not isinstance(found, tuple):
            raise LeptonError(f"{self._name} has no example arguments; fix: jit(f, example_args=(array or "
                              "ShapeDtypeStruct, ...)), or a function returning such a tuple")
        return found

    @public
    def explain(self) -> str:
        """What differed at each compile after the first."""
        return explain(self._name, list(self._compiles))

    @property
    def compiles(self) -> int:
        """How many programs were compiled so far."""
        return self._compiles[-1][0] + 1 if self._compiles else 0

    def __repr__(self) -> str:
        return f"<jitted {self._name}>"

    def _concrete(self, leaves: list[Any], treedef: tree.TreeDef) -> list[Any]:
        """The leaves as arrays of supported dtypes, Python scalars (in range) and tracers left as they are."""
        if all(type(leaf) is np.ndarray and leaf.dtype in SUPPORTED for leaf in leaves):
            return leaves
        known, names = self._last_names
        if known != treedef:
            names = argument_names(self.function, treedef)
            self._last_names = treedef, names
        return [leaf if self._is_ready(leaf, path) else as_leaf(leaf, path, self._name)
                for leaf, path in zip(leaves, names)]

    def _is_ready(self, leaf: Any, path: str) -> bool:
        if type(leaf) in PYTHON_SCALARS:
            as_leaf(leaf, path, self._name)
            return True
        return isinstance(leaf, Tracer) and tracing()

    def _on_leaves(self, treedef: tree.TreeDef, args: Sequence[Any], kwargs: dict[str, Any]) -> Callable[..., Any]:
        @functools.wraps(self.function)
        def on_leaves(*leaves: Any) -> Any:
            traced, named = tree.unflatten(treedef, leaves)
            whole = [x if i in self.options.static_argnums else traced[i] for i, x in enumerate(args)]
            return self.function(*whole, **{**kwargs, **named})

        return on_leaves

    def _compile(self, leaves: list[Any], treedef: tree.TreeDef, static: tuple[Any, ...], args: Sequence[Any],
                 kwargs: dict[str, Any]) -> Compiled:
        start = time.perf_counter()
        compiled = self._traced(leaves, treedef, static, args, kwargs).compile()
        _print_stages(self._name, compiled, time.perf_counter() - start)
        self._compiles.append((next(self._numbers), compiled.interface.signature))
        if config.debug_level() >= 1 and len(self._compiles) > 1:
            print(explain(self._name, list(self._compiles), 1), file=sys.stderr)
        return compiled

    def _call_plainly(self, args: Sequence[Any], kwargs: dict[str, Any], dynamic: Any) -> Any:
        """Call the function itself; concrete results become arrays of their own, as compiled code returns them."""
        leaves, treedef = tree.flatten(dynamic)
        leaves = self._concrete(leaves, treedef)
        with eager_call() as outermost:
            top = outermost and not tracing()
            seen = [leaf if isinstance(leaf, Tracer) else _seen(leaf, top) for leaf in leaves]
            out, out_tree = tree.flatten_with_names(self._on_leaves(treedef, args, kwargs)(*seen), "its result")
        return tree.unflatten(out_tree, [leaf if isinstance(leaf, Tracer) else self._own(leaf, path, top) for path, leaf in out])

    def _own(self, leaf: Any, path: str, top: bool) -> np.ndarray:
        """A result as an array of its own: for the user a plain one, of a Python number in the default dtype."""
        array = as_leaf(leaf, path, self._name)
        if top:
            return np.array(as_default(array) if is_weak(leaf) else array)
        found = known(np.array(array), (leaf,))
        return weakened(found) if is_weak(leaf) else found


def _seen(leaf: Any, top: bool) -> Any:
    """A concrete argument as the function sees it that runs op by op, or as part of a trace."""
    if type(leaf) in PYTHON_SCALARS:
        return argument(np.asarray(leaf), weak=True) if top else leaf
    return argument(leaf)


DEBUG_STAGES = ((2, "optimized"), (3, "kernels"), (4, "llvm"), (5, "asm"))


def _print_stages(name: str, compiled: Compiled, seconds: float) -> None:
    """What LEPTONC_DEBUG asks for, on stderr."""
    level = config.debug_level()
    if level >= 1:
        print(f"{name}: compiled in {seconds * 1e3:.0f} ms", file=sys.stderr)
    for at_least, stage in DEBUG_STAGES:
        if level >= at_least:
            print(compiled.as_text(stage), file=sys.stderr)


def _key(leaf: Any) -> Any:
    return type(leaf) if type(leaf) in PYTHON_SCALARS else (leaf.shape, leaf.dtype)


def jit(f: Callable[..., Any] | None = None, *, in_shardings: None = None, out_shardings: None = None,
        static_argnums: int | Sequence[int] | None = None, static_argnames: str | Sequence[str] | None = None,
        donate_argnums: int | Sequence[int] | None = None, donate_argnames: str | Sequence[str] | None = None,
        keep_unused: bool = False, device: str | None = None, backend: str | None = None, inline: bool = False,
        compiler_options: Any = None, example_args: Any = None) -> Any:
    """Compile ``f`` for each signature it is called with; ``@jit`` and ``@jit(static_argnums=1)`` both decorate.

    Arguments are trees of arrays and Python scalars, except those of ``static_argnums`` / ``static_argnames``, which
    are hashable and compiled for by value. Arrays of ``donate_argnums`` / ``donate_argnames`` are given away: results of equal
    type are written into them. ``example_args`` is a tuple of arrays or ShapeDtypeStructs, or a function returning it, that
    ``leptonc dump`` traces with. The 256 programs that were called last are kept, and of 16 of them the memory of intermediates;
    one that is needed again is compiled, or found on disk, anew. Raises LeptonError for positions or names that ``f`` does not
    have.

    JAX's ``keep_unused`` and ``inline`` change nothing; there is one device, "cpu", no sharding, and no option of the compiler.
    """
    _check_hints(keep_unused=keep_unused, inline=inline)
    on_cpu("jit", device)
    on_cpu("jit", backend)
    for what, value in (("in_shardings", in_shardings), ("out_shardings", out_shardings), ("compiler_options", compiler_options)):
        if value is not None and not (isinstance(value, dict) and not value):
            raise ArgumentError(f"jit: {what}={value!r:.60} is not supported; fix: leave it out")
    if f is None:
        return functools.partial(jit, static_argnums=static_argnums, static_argnames=static_argnames,
                                 donate_argnums=donate_argnums, donate_argnames=donate_argnames, example_args=example_args)
    if not callable(f):
        raise ArgumentError(f"jit wants a function, got {f!r:.60}; options are given by name")
    return Jitted(f, Options.of(f, static_argnums, static_argnames, donate_argnums, donate_argnames), example_args)


def _check_hints(**hints: Any) -> None:
    for what, value in hints.items():
        flag("jit", what, value)


def explain_recompiles(jitted: Jitted | None = None) -> str:
    """What differed at each compile after the first of a jitted function, or of every one that compiled twice."""
    if jitted is not None and not isinstance(jitted, Jitted):
        raise ArgumentError(f"explain_recompiles: jitted={describe(jitted)} must be a jitted function; fix: leave it out for all")
    if jitted is not None:
        return jitted.explain()
    alive = [found for reference in list(_jitted.values()) if (found := reference()) is not None]
    several = sorted((j for j in alive if j.compiles > 1), key=lambda j: j._name)
    return "\n".join(j.explain() for j in several) or "nothing was compiled twice"
