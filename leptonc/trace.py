"""Tracing: Python functions run on abstract values, and what they do is recorded as a Graph.

Each thread has a stack of traces. ``bind`` emits into the innermost one; a tracer of an enclosing trace that is used
there becomes an extra input (closure conversion), to be passed again where the inner graph is used.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from leptonc import tree, widening
from leptonc.bfloat16 import kind_of
from leptonc.collecting import seldom_collected
from leptonc.config import dtype_settings
from leptonc.eager import EagerArray, as_eager, is_given, jit_disabled
from leptonc.effects import Effect, perform
from leptonc.errors import DtypeError, LeptonError, TracerError, describe, op_error
from leptonc.frames import Loc, is_own_code, users_line
from leptonc.ir.builder import Builder
from leptonc.ir.evaluate import evaluate
from leptonc.ir.graph import Graph
from leptonc.ir.op import get_op
from leptonc.ir.types import DType, TensorType, dtype_of, type_of_array
from leptonc.ir.value import Value
from leptonc.promotion import asarray, default_of_kind, is_weak, numpy_dtype, promoted, result_dtype
from leptonc.tracer import Tracer

Result = TypeVar("Result")

_CHOOSING = {"cast", "sum", "prod", "reduce_max", "reduce_min", "cumsum"}  # ops whose results JAX's promotion never has weak
_FORMULA_SIZE = 16  # smaller constants are cheaper as data than as a node

# The traces of this thread, the innermost last. Each runs in a context of its own, which ends with it however it ends: a list would
# keep a trace whose last line was interrupted, and the thread would trace for ever.
_stack: contextvars.ContextVar[tuple[Trace, ...]] = contextvars.ContextVar("traces", default=())


def tracing() -> bool:
    """Whether this thread is inside a trace."""
    return bool(_stack.get())


class Trace:
    """One function being traced: a graph under construction, on its thread's stack while ``run`` runs."""

    def __init__(self, name: str, wide: bool = False):
        self.name = name
        self.wide = wide  # whether f64 is meant, for there is some among the inputs
        self.builder = Builder(name, users_line)
        self.captured: dict[int, tuple[Tracer, Value]] = {}  # by id of the outer tracer, which the entry keeps alive
        self.effects: list[tuple[Effect, list[Value]]] = []  # in the order of the program, with the values they want

    def run(self, function: Callable[[], Result]) -> Result:
        """The result of ``function``, called inside this trace."""
        context = contextvars.copy_context()
        context.run(_stack.set, (*_stack.get(), self))
        return context.run(function)

    def tracer(self, value: Value, loc: Loc | None, weak: bool = False, label: str = "") -> Tracer:
        return Tracer(self, value, loc, weak, label)

    def operand(self, x: Any) -> Value:
        """The Value of a tracer or a concrete array in this trace."""
        if not isinstance(x, Tracer):
            return self.constant(asarray(x, "operand"))
        if x.trace is self:
            return x.value
        if x.trace not in _stack.get():
            raise leaked(x)
        return self._capture(x)

    def _capture(self, outer: Tracer) -> Value:
        found = self.captured.get(id(outer))
        if found is None:
            found = self.captured[id(outer)] = (outer, self.builder.capture(outer.type, outer.label))
        return found[1]

    def constant(self, array: np.ndarray) -> Value:
        """``array`` as nodes: by formula where one number or an arange says it all, for literals are text and code."""
        if array.size >= _FORMULA_SIZE:
            if _is_uniform(array):
                return self.builder.full(TensorType(array.shape, dtype_of(array.dtype)), array.flat[0])
            if array.ndim == 1 and array.dtype.kind in "iu" and np.array_equal(array, np.arange(array.size)):
                attrs = {"shape": array.shape, "axis": 0, "dtype": dtype_of(array.dtype)}
                return self.builder.emit("iota", (), attrs)
        return self.builder.constant(array)

    def lift(self, x: Any) -> Tracer:
        """``x`` as a tracer of this trace."""
        if isinstance(x, Tracer) and x.trace is self:
            return x
        return self.tracer(self.operand(x), (x.loc if isinstance(x, Tracer) else None) or users_line(), is_weak(x))

    def emit(self, op_name: str, args: Sequence[Any], attrs: dict[str, Any], regions: tuple[Graph, ...]) -> Any:
        out = self.builder.emit(op_name, [self.operand(x) for x in args], attrs, regions)
        loc = self.builder.nodes[-1].loc
        if isinstance(out, tuple):
            return tuple(self.tracer(value, loc, _stays_weak(op_name, value.type, args)) for value in out)
        return self.tracer(out, loc, _stays_weak(op_name, out.type, args))

    def inline(self, graph: Graph, args: Sequence[Any]) -> tuple[Tracer, ...]:
        first = len(self.builder.nodes)
        values = self.builder.inline(graph, [self.operand(x) for x in args])
        lines = {result: node.loc for node in self.builder.nodes[first:] for result in node.results}
        return tuple(self.tracer(value, lines.get(value.id)) for value in values)


def _is_uniform(array: np.ndarray) -> bool:
    """Whether all elements have the bits of the first (so that NaN counts, and -0.0 is not 0.0)."""
    bits = np.ascontiguousarray(array).reshape(-1).view(f"u{min(array.dtype.itemsize, 8)}").reshape(array.size, -1)
    return bool((bits[:_FORMULA_SIZE] == bits[0]).all() and (bits == bits[0]).all())


def leaked(x: Tracer) -> TracerError:
    return TracerError(f"{x.origin} leaked while tracing {x.trace.name}: it is used after that trace ended, or in "
                       f"another thread; fix: return it from {x.trace.name}")


def current_trace(*args: Any) -> Trace | None:
    """The innermost trace if any of ``args`` is a tracer, else None. Raises TracerError for a leaked one."""
    tracers = [x for x in args if isinstance(x, Tracer)]
    if not tracers:
        return None
    stack = _stack.get()
    for x in tracers:
        if x.trace not in stack:
            raise leaked(x)
    return stack[-1]


def bind(op_name: str, *args: Any, regions: tuple[Graph, ...] = (), **attrs: Any) -> Any:
    """Apply an op: emit a node if any of ``args`` is a Tracer, else run its eager rule on them as arrays.

    Returns a Tracer or an ndarray, a tuple of them for an op of several results. Operands must have the dtypes and
    shapes the op wants; see ``promote`` and ``broadcast``.
    """
    trace = current_trace(*args)
    if trace is not None:
        return trace.emit(op_name, args, attrs, regions)
    if regions:
        attrs["regions"] = regions
    op, arrays = get_op(op_name), [asarray(x, "operand") for x in args]
    op.infer(*map(type_of_array, arrays), **attrs)  # eager mode gives the errors that tracing gives
    out = op.run(*arrays, **attrs)
    return tuple(_result(op_name, x, args) for x in out) if isinstance(out, tuple) else _result(op_name, out, args)


def _result(op_name: str, out: Any, args: Sequence[Any]) -> np.ndarray:
    found = known(np.asarray(out), args)
    return weakened(found) if _stays_weak(op_name, found, args) else found


def known(array: np.ndarray, made_of: Sequence[Any] = ()) -> np.ndarray:
    """An array that leptonc made, as the code that asked for it should see it: an EagerArray where it may meet traced values, or
    stands for one, which depends on arguments if what it is made of does."""
    if not (tracing() or jit_disabled()):
        return array
    out = as_eager(array)
    out.given = any(is_given(x) for x in made_of)
    out.unchosen = "constant" if out.dtype in widening.WIDE and any(map(widening.is_unchosen, made_of)) else ""
    return out


def as_seen(x: Any) -> Any:
    """An argument that is a result as it is, as the code that gave it should see that."""
    return known(x, (x,)) if type(x) is np.ndarray else x


def call_graph(graph: Graph, args: Sequence[Any]) -> tuple[Any, ...]:
    """The outputs of ``graph`` on ``args``: inlined if any of them is a Tracer, else evaluated."""
    trace = current_trace(*args)
    if trace is not None:
        return trace.inline(graph, args)
    return tuple(known(x, args) for x in evaluate(graph, [asarray(x, "operand") for x in args]))


def cast(x: Any, dtype: Any) -> Any:
    """``x`` in ``dtype`` (and no longer weak); floats that an integer type cannot hold saturate. Raises DtypeError if it is a
    Python int out of ``dtype``'s range."""
    target = dtype_of(numpy_dtype(dtype))
    if not isinstance(x, Tracer):
        kind = kind_of(getattr(x, "dtype", np.dtype(type(x) if is_weak(x) else int)))
        rounds = (target.is_int and kind == "f") or (kind == "c" and not target.is_complex)
        return known(get_op("cast").eager(asarray(x, "operand"), dtype=target) if rounds else asarray(x, "operand", dtype), (x,))
    if x.type.dtype == target:
        return Tracer(x.trace, x.value, x.loc, False, x.label) if x.weak else x
    return bind("cast", x, dtype=target)


def promote(*args: Any) -> tuple[Any, ...]:
    """``args`` as arrays or tracers of their common dtype; shapes stay. Raises DtypeError if unsupported."""
    dtype, weak = promoted(args)
    if dtype in widening.WIDE:
        _check_width(dtype, args)
    found = tuple(cast(x, dtype) for x in args)
    return tuple(map(weakened, found)) if weak else found


def _check_width(dtype: np.dtype, args: Sequence[Any]) -> None:
    traces = _stack.get()
    if traces and not any(trace.wide for trace in traces):
        widening.check(traces[0].name, dtype, args)


def weakened(x: Any) -> Any:
    """A traced value, or one known while tracing, as weak as a Python scalar."""
    if isinstance(x, EagerArray):
        x.weak = True
    return Tracer(x.trace, x.value, x.loc, True) if isinstance(x, Tracer) else x


def as_default(x: Any) -> Any:
    """A number as weak as Python's that has met no array in the default dtype of its kind."""
    return cast(x, default_of_kind(x.dtype)) if kind_of(x.dtype) in "fc" else x


def weakened_as(found: Sequence[Any], weak: Sequence[bool]) -> list[Any]:
    """Results of a node with regions, as weak as the regions' outputs are where JAX's promotion has them so."""
    return [weakened(x) if w and dtype_settings().is_jax else x for x, w in zip(found, weak)]


def _stays_weak(op_name: str, result: Any, args: Sequence[Any]) -> bool:
    """Whether JAX's promotion has a result as weak as the operands of its dtype: conditions and places do not count, and what
    chooses a dtype, as reductions do, has chosen."""
    if not dtype_settings().is_jax or op_name in _CHOOSING:
        return False
    flags = [is_weak(x) for x in args if is_weak(x) or getattr(x, "dtype", None) == _numpys(result.dtype)]
    return bool(flags) and all(flags)


def _numpys(dtype: Any) -> np.dtype:
    return dtype.numpy if isinstance(dtype, DType) else dtype


def broadcast_shapes(op_name: str, *args: Any) -> tuple[int, ...]:
    """The common shape, NumPy's rules. Raises ShapeError naming ``op_name`` and the operands."""
    shapes = [x.shape if isinstance(x, Tracer | np.ndarray) else asarray(x, f"{op_name}: operand").shape for x in args]
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        operands = dict(zip("xyzw", args))
        raise op_error(op_name, "operands do not broadcast together", operands) from None


def broadcast(x: Any, shape: tuple[int, ...]) -> Any:
    """``x`` stretched to ``shape`` by NumPy's rules. Raises ShapeError if it cannot be."""
    if x.shape == shape:
        return x
    dims = tuple(range(len(shape) - len(x.shape), len(shape)))
    if len(x.shape) > len(shape) or any(n not in (1, shape[d]) for n, d in zip(x.shape, dims)):
        raise op_error("broadcast", f"x does not stretch to {shape}", {"x": x})
    return bind("broadcast", x, shape=shape, dims=dims)


def align(op_name: str, *args: Any) -> tuple[Any, ...]:
    """``args`` in one dtype and one shape, as elementwise ops want them.

    Concrete ones beside a tracer are put into the graph before they are stretched, so that constants stay small.
    """
    shape = broadcast_shapes(op_name, *args)
    operands = promote(*args)
    trace = current_trace(*operands)
    if trace is not None:
        operands = tuple(trace.lift(x) for x in operands)
    return tuple(broadcast(x, shape) for x in operands)


@dataclass(frozen=True)
class ClosedGraph:
    """A traced function. ``graph`` takes the declared inputs, then one for each of ``captured``.

    ``captured`` are tracers of enclosing traces; ``out_tree`` is the structure of what the function returned,
    ``out_weak`` says which leaves are as weak as Python scalars. The graph's outputs are these leaves, then what the ``effects``
    want.
    """

    graph: Graph
    captured: tuple[Tracer, ...]
    out_tree: tree.TreeDef
    out_weak: tuple[bool, ...]
    effects: tuple[Effect, ...] = ()

    def finished(self, results: Sequence[Any]) -> Any:
        """What the function returns, of all the graph's results; its effects are noted, or done."""
        count = self.out_tree.num_leaves
        note(self.effects, results[count:])
        return tree.unflatten(self.out_tree, results[:count])


def lifted(x: Any) -> Tracer:
    """A known value as one of the innermost trace, of which there must be one."""
    return _stack.get()[-1].lift(x)


def note(effects: Sequence[Effect], values: Sequence[Any]) -> None:
    """Have effects done with these values: when what is being traced has run, or else at once."""
    if not tracing():
        perform(effects, [np.asarray(x) for x in values])
        return
    trace, rest = _stack.get()[-1], list(values)
    for effect in effects:
        mine, rest = rest[:effect.count], rest[effect.count:]
        trace.effects.append((effect, [trace.operand(_constant_to_derivatives(x)) for x in mine]))


def _constant_to_derivatives(x: Any) -> Any:
    return bind("stop_gradient", x) if isinstance(x, Tracer) and kind_of(x.dtype) in "fc" else x


@seldom_collected
def trace_to_graph(fn: Callable[..., Any], types: Sequence[TensorType], name: str = "",
                   input_names: Sequence[str] = (), weak: Sequence[bool] = (), effects: bool = False) -> ClosedGraph:
    """Run ``fn`` on one tracer per type; it returns a tree of tracers, arrays and Python scalars. ``effects``: it may have some.

    Raises TracerError for a tracer of an ended trace, DtypeError for a returned leaf that is no array.
    """
    name = name or function_name(fn)
    names = list(input_names) or [""] * len(types)
    flags = list(weak) or [False] * len(types)
    trace = Trace(name, any(t.dtype.numpy in widening.WIDE and not w for t, w in zip(types, flags)))

    def record() -> tuple[list[tuple[str, Any]], tree.TreeDef, list[Value]]:
        line = definition_line(fn)
        inputs = [trace.tracer(trace.builder.input(t, n), line, w, n or "argument")
                  for t, n, w in zip(types, names, flags, strict=True)]
        leaves, out_tree = tree.flatten_with_names(fn(*inputs))
        return leaves, out_tree, [_output(trace, path, leaf) for path, leaf in leaves]

    leaves, out_tree, outputs = trace.run(record)
    if trace.effects and not effects:
        raise LeptonError(f"{name}: a debug callback cannot stand here; it can in functions of jit, vmap and derivatives, in scan, "
                          "map, fori_loop with known bounds, cond and switch; fix: return the value, and print it there")
    noted = [value for _, values in trace.effects for value in values]
    captured = tuple(outer for outer, _ in trace.captured.values())
    out_weak = (*(is_weak(x) for _, x in leaves), *(False for _ in noted))
    return ClosedGraph(trace.builder.finish([*outputs, *noted]), captured, out_tree, out_weak, tuple(e for e, _ in trace.effects))


def _output(trace: Trace, path: str, leaf: Any) -> Value:
    if isinstance(leaf, Tracer):
        return trace.operand(as_default(leaf) if leaf.weak and _stack.get() == (trace,) else leaf)
    try:
        return trace.constant(asarray(leaf))
    except DtypeError:
        where = f" at {path}" if path else ""
        reason = f"returned {describe(leaf)} ({type(leaf).__name__}){where}, which is no array"
        raise op_error(trace.name, reason, {}, kind=DtypeError) from None


def function_name(fn: Any) -> str:
    """The name to show for a callable."""
    while isinstance(fn, functools.partial):
        fn = fn.func
    return getattr(fn, "__name__", type(fn).__name__).strip("<>")  # <lambda> would not parse in a graph's text


def definition_line(fn: Any) -> Loc | None:
    """Where a Python function begins."""
    code = getattr(inspect.unwrap(fn), "__code__", None)
    if code is None or is_own_code(inspect.unwrap(fn)):
        return None
    return Loc(code.co_filename, code.co_firstlineno)


__all__ = [
    "ClosedGraph", "Trace", "Tracer",
    "align", "asarray", "bind", "broadcast", "broadcast_shapes", "call_graph", "cast", "current_trace",
    "definition_line", "function_name", "is_weak", "known", "leaked", "note", "promote", "result_dtype",
    "as_default", "weakened_as", "trace_to_graph", "tracing", "weakened",
]
