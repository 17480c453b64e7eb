"""The text form: what every stage prints, and ``leptonc.ir.reader`` parses back.

A graph:   ``%2: f32[2,3] = sum(%0) {axes = (0,)} loc("model.py":12)``
A kernel:  ``%1 = mul f32 %0, %0`` inside ``stage (i0: 4, k1: 3 reduce) {...}``
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from leptonc.bfloat16 import is_low
from leptonc.errors import IRError
from leptonc.ir.control import Branch, Control, Loop
from leptonc.ir.graph import Graph, Literal, Loc, Node
from leptonc.ir.kernel import (
    Apply,
    Axis,
    AxisIndex,
    Buffer,
    Call,
    Const,
    Index,
    Inst,
    Kernel,
    Load,
    Param,
    Program,
    Reduce,
    Stage,
    Store,
)
from leptonc.ir.prefix import Prefix
from leptonc.ir.printing import text_of
from leptonc.ir.sorting import Sort
from leptonc.ir.types import DType, in_reals

WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.+]*\Z")
ONE_LINE = 4  # inputs on the graph's first line; more of them get a line each
LISTED = 16  # elements of a literal that are written as numbers; longer ones are base64 of their bytes


def symbol(name: str) -> str:
    """``@name``, quoted where the name is no word."""
    return "@" + (name if WORD.match(name) else json.dumps(name))


def number_text(x: Any) -> str:
    """A Python number so that it reads back to the same one."""
    if isinstance(x, bool):
        return "true" if x else "false"
    if isinstance(x, float):
        return repr(float(x))
    return str(int(x))


def attr_text(value: Any) -> str:
    """An attribute's value. Raises IRError for one that is no Attr."""
    match value:
        case None:
            return "none"
        case bool() | int() | float():
            return number_text(value)
        case str():
            return json.dumps(value)
        case DType():
            return value.name
        case Literal():
            return literal_text(value)
        case tuple():
            return "(" + ", ".join(map(attr_text, value)) + ("," if len(value) == 1 else "") + ")"
    raise IRError(f"{value!r} of type {type(value).__name__} is no attribute")


def literal_text(literal: Literal) -> str:
    """``f32[2]<1.0, 2.0>``, or ``f32[999]<"base64 of the bytes">``; exact to the bit."""
    listed = _listed(literal) if literal.type.size <= LISTED else None
    return f"{literal.type}<{listed if listed is not None else json.dumps(base64.b64encode(literal.data).decode())}>"


def _listed(literal: Literal) -> str | None:
    """The elements as numbers, of complex ones both parts; None for a NaN with other bits than the usual one."""
    numbers, dtype = in_reals(literal.array).ravel(), literal.type.dtype.real
    texts = [_element_text(x) for x in numbers]
    with np.errstate(over="ignore"):
        back = np.array([_element(text, dtype) for text in texts], dtype.numpy)
    return ", ".join(texts) if back.tobytes() == literal.data else None


def _element_text(x: Any) -> str:
    if is_low(x.dtype):
        x = np.float32(x)
    if x.dtype.kind == "f":
        return str(float(x)) if not math.isfinite(x) else np.format_float_scientific(x, unique=True, trim="0", exp_digits=1) \
            if x and not 1e-4 <= abs(float(x)) < 1e7 else np.format_float_positional(x, unique=True, trim="0")
    return number_text(x.item())


def _element(text: str, dtype: DType) -> Any:
    if dtype.is_bool:
        return text == "true"
    return dtype.numpy.type(float(text)) if dtype.is_float else int(text)


def loc_text(loc: Loc | None) -> str:
    """The user's line, and the scope it was traced in if it has a name."""
    if loc is None:
        return ""
    return f" loc({json.dumps(loc.file.rsplit('/', 1)[-1])}:{loc.line}{' ' + json.dumps(loc.scope) if loc.scope else ''})"


def print_graph(graph: Graph, locs: bool = True, indent: str = "") -> str:
    """The graph's text; without ``locs`` it does not change when the user's file does."""
    names = graph.input_names or ("",) * len(graph.inputs)
    inputs = [f"%{i}{' ' + json.dumps(n) if n else ''}: {t}"
              for i, t, n in zip(graph.inputs, graph.input_types, names, strict=True)]
    joined = ", ".join(inputs) if len(inputs) <= ONE_LINE else f",\n{indent}    ".join(inputs)
    lines = [f"{indent}graph {symbol(graph.name)}({joined}) {{"]
    for node in graph.nodes:
        lines += _node_lines(node, locs, indent + "  ")
    returned = " " + ", ".join(f"%{i}" for i in graph.outputs) if graph.outputs else ""
    lines += [f"{indent}  return{returned}", f"{indent}}}"]
    return "\n".join(lines)


def _node_lines(node: Node, locs: bool, indent: str) -> list[str]:
    results = ", ".join(f"%{i}: {t}" for i, t in zip(node.results, node.types, strict=True))
    attrs = ", ".join(f"{name} = {attr_text(value)}" for name, value in node.attrs)
    head = f"{indent}{results} = {node.op}({', '.join(f'%{i}' for i in node.operands)})"
    head += f" {{{attrs}}}" if attrs else ""
    tail = loc_text(node.loc) if locs else ""
    if not node.regions:
        return [head + tail]
    regions = [print_graph(region, locs, indent + "  ") for region in node.regions]
    return [head + " regions [", *regions, f"{indent}]{tail}"]


# Kernels


def index_text(index: Index) -> str:
    """``i0*2 + k1 - 1``; with a divisor ``(i0 + 1)/2``."""
    terms = [(f"%{v}", c) for v, c in index.values] + list(index.axes)
    text = ""
    for name, coeff in terms:
        size = name if abs(coeff) == 1 else f"{name}*{abs(coeff)}"
        text += (" - " if coeff < 0 else " + ") + size if text else ("-" if coeff < 0 else "") + size
    if index.offset or not terms:
        text += (" - " if index.offset < 0 else " + ") + str(abs(index.offset)) if text else str(index.offset)
    return text if index.div == 1 else f"({text})/{index.div}"


def _access(buffer: str, index: Iterable[Index]) -> str:
    return f"{buffer}[{', '.join(map(index_text, index))}]"


def inst_text(inst: Inst) -> str:
    match inst:
        case Load():
            pad = "" if inst.pad is None else f" pad {number_text(inst.pad)}"
            return f"load {inst.dtype} {_access(inst.buffer, inst.index)}{pad}"
        case Const():
            return f"const {inst.dtype} {number_text(inst.value)}"
        case AxisIndex():
            return f"index {inst.dtype} {index_text(inst.index)}"
        case Apply():
            return f"{inst.op} {inst.dtype} {', '.join(f'%{n}' for n in inst.args)}"
        case Reduce():
            return f"reduce {inst.kind} {inst.dtype} %{inst.arg}"


def _store_text(store: Store) -> str:
    flags = (" masked" if store.masked else "")
    by = "" if store.by == "add" else f" by {store.by}"
    return f"store {_access(store.buffer, store.index)} {'+=' if store.accumulate else '='} %{store.value}{by}{flags}"


def _axes_text(axes: Iterable[Axis]) -> str:
    return ", ".join(f"{a.name}: {a.extent}{' reduce' if a.reduce else ''}" for a in axes)


def _param_text(param: Param) -> str:
    return f"{param.role} {param.name}: {param.type}" + ("" if param.init is None else f" init {number_text(param.init)}")


def _stage_lines(stage: Stage) -> list[str]:
    body = [f"    %{n} = {inst_text(inst)}" for n, inst in enumerate(stage.insts)]
    body += [f"    {_store_text(store)}" for store in stage.stores]
    return [f"  stage ({_axes_text(stage.axes)}) {{", *body, "  }"]


def print_kernel(kernel: Kernel) -> str:
    """The kernel's text."""
    if isinstance(kernel, Control):
        return _control_text(kernel)
    if isinstance(kernel, Sort):
        return _sort_text(kernel)
    if isinstance(kernel, Prefix):
        return _prefix_text(kernel)
    head = f"kernel {symbol(kernel.name)}({', '.join(map(_param_text, kernel.params))})"
    head += f" outer ({_axes_text(kernel.outer)})" if kernel.outer else ""
    head += f" locals ({', '.join(map(_param_text, kernel.locals))})" if kernel.locals else ""
    return "\n".join([head + " {", *(line for stage in kernel.stages for line in _stage_lines(stage)), "}"])


def _control_text(control: Control) -> str:
    """``loop``, ``while`` or ``branch``: its parameters, what its bodies take and give, and those as programs."""
    word = "branch" if isinstance(control, Branch) else "loop"
    head = f"{word} {symbol(control.name)}({', '.join(map(_param_text, control.params))})"
    if isinstance(control, Branch):
        head += f" index {control.index}"
        head += "".join(f" updates {source} {result}" for source, result in control.updates)
    if isinstance(control, Loop):
        head += f" consts {control.consts} carries {control.carries}"
        head += "" if control.trips is None else f" trips {control.trips}"
        head += " reverse" if control.reverse else ""
    head += f" takes ({', '.join(control.takes)}) gives ({', '.join(control.gives)}) workspace {control.workspace} {{"
    return "\n".join([head, *map(print_program, control.bodies), "}"])


def _sort_text(sort: Sort) -> str:
    head = f"sort {symbol(sort.name)}({', '.join(map(_param_text, sort.params))}) keys {sort.keys}"
    return head + "".join(f" {word}" for word in ("descending", "values", "order") if getattr(sort, word))


def _prefix_text(scan: Prefix) -> str:
    head = f"prefix {symbol(scan.name)}({', '.join(map(_param_text, scan.params))}) by {scan.join}"
    return head + " reverse" * scan.reverse


def _buffer_text(number: int, buffer: Buffer) -> str:
    text = f"  b{number}: {buffer.kind} {buffer.type}"
    text += f" {json.dumps(buffer.name)}" if buffer.name else ""
    text += f" = {literal_text(buffer.literal)}" if buffer.literal is not None else ""
    text += f" donated b{buffer.donated}" if buffer.donated is not None else ""
    text += f" at {buffer.offset}" if buffer.offset is not None else ""
    return text + (" frozen" if buffer.frozen else "")


def _call_text(call: Call, number: int, locs: bool) -> str:
    return f"  call k{number}({', '.join(f'b{a}' for a in call.args)}){loc_text(call.loc) if locs else ''}"


def print_program(program: Program, locs: bool = True) -> str:
    """Buffers, calls in order, then each different kernel once."""
    kernels: dict[Kernel, int] = {}
    calls = [_call_text(call, kernels.setdefault(call.kernel, len(kernels)), locs) for call in program.calls]
    inputs, outputs = (", ".join(f"b{n}" for n in numbers) for numbers in (program.inputs, program.outputs))
    lines = [f"program {symbol(program.name)}({inputs}) -> ({outputs}) arena {program.arena_bytes} {{"]
    lines += [_buffer_text(n, b) for n, b in enumerate(program.buffers)]
    lines += [*calls, "}"]
    lines += [f"\nk{number} = {print_kernel(kernel)}" for kernel, number in kernels.items()]
    return "\n".join(lines)


text_of.register(Graph)(print_graph)
text_of.register(Kernel)(print_kernel)
text_of.register(Program)(print_program)
