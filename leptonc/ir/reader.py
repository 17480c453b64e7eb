"""Parsing the text form. Anything that is not exactly the text of an IR raises IRError with the line number."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

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
from leptonc.ir.op import get_op
from leptonc.ir.prefix import Prefix
from leptonc.ir.sorting import Sort
from leptonc.ir.types import DTYPES, DType, TensorType, is_addressable, is_element
from leptonc.ir.verify.faults import Fault, excerpt
from leptonc.ir.verify.graph import graph_fault
from leptonc.ir.verify.kernel import kernel_fault
from leptonc.ir.verify.program import program_fault
from leptonc.ir.verify.signature import signature_fault

NESTING = 32  # regions and tuples inside each other
DIGITS = 20

_TOKEN = re.compile(r"""(?P<space>[ \t\r]+)|(?P<newline>\n)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<symbol>@(?:[A-Za-z_][A-Za-z0-9_.+]*|"(?:[^"\\\n]|\\.)*"))
    |(?P<value>%\d+)
    |(?P<number>-?(?:\d+\.\d*(?:e[+-]?\d+)?|\d+(?:e[+-]?\d+)?|inf\b|nan\b))
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<mark>->|\+=|[-+*/=(){}\[\]<>,:])""", re.VERBOSE | re.ASCII)


def parse(text: str) -> Any:
    """The Graph, Kernel or Program whose text this is, verified. Raises IRError."""
    reader = _Reader(text)
    readers: dict[str, Callable[[], Any]] = {"graph": reader.graph, "kernel": reader.kernel, "sort": reader.sort,
                                               "prefix": reader.prefix, "program": reader.program}
    if reader.kind != "word" or reader.token not in readers:
        reader.fail("expected graph, kernel or program")
    found = readers[reader.token]()
    if reader.kind != "end":
        reader.fail(f"expected the end, found {reader.token!r}")
    reader.verify(found)
    return found


class _Reader:
    """A recursive-descent parser with one token of lookahead."""

    def __init__(self, text: str):
        if not isinstance(text, str):
            raise IRError(f"parse wants text, got {type(text).__name__}")
        self.text = text
        self.position = 0
        self.line = 1
        self.depth = 0
        self.kind = self.token = ""
        self.rows: dict[int, list[int]] = {}  # by id of what was read: the line of each line of its text, or of each node
        self.advance()

    def verify(self, found: Graph | Kernel | Program) -> None:
        """Raises IRError with the line at fault."""
        if isinstance(found, Graph):
            wrong = graph_fault(found) or signature_fault(found)
            fault = wrong and Fault(wrong[1], wrong[0])
        else:
            fault = kernel_fault(found) if isinstance(found, Kernel) else program_fault(found)
        if fault is not None:
            rows = self.rows[id(fault.kernel or found)]
            line = rows[min(fault.line or 0, len(rows) - 1)] if rows else 1
            raise IRError(f"line {line}: {fault.reason}\n{excerpt(self.text, line - 1)}")

    # Tokens

    def advance(self) -> str:
        """Move on; returns the token that was passed."""
        passed = self.token
        while True:
            if self.position >= len(self.text):
                self.kind, self.token = "end", ""
                return passed
            match = _TOKEN.match(self.text, self.position)
            if match is None:
                self.fail(f"cannot read {self.text[self.position:self.position + 20]!r}")
            self.position = match.end()
            self.kind, self.token = match.lastgroup or "", match.group()
            if self.kind == "newline":
                self.line += 1
            elif self.kind != "space":
                return passed

    def fail(self, reason: str) -> NoReturn:
        raise IRError(f"line {self.line}: {'the text ends too early: ' if self.kind == 'end' else ''}{reason}")

    def expect(self, token: str) -> None:
        if not self.accept(token):
            self.fail(f"expected {token!r}, found {self.token!r}")

    def accept(self, token: str) -> bool:
        if self.token == token and self.kind in ("mark", "word"):
            self.advance()
            return True
        return False

    def take(self, kind: str) -> str:
        if self.kind != kind:
            self.fail(f"expected a {kind}, found {self.token!r}")
        return self.advance()

    def integer(self) -> int:
        text = self.take("number")
        if not text.lstrip("-").isdigit() or len(text) > DIGITS:
            self.fail(f"{text[:DIGITS]} is no integer of at most {DIGITS - 1} digits")
        return int(text)

    def value(self) -> int:
        text = self.take("value")
        if len(text) > DIGITS:
            self.fail("a value's number is too long")
        return int(text[1:])

    def string(self) -> str:
        text = self.take("string")
        try:
            return str(json.loads(text))
        except json.JSONDecodeError:
            self.fail(f"{text} is no string")

    def symbol(self) -> str:
        text = self.take("symbol")[1:]
        if not text.startswith('"'):
            return text
        try:
            return str(json.loads(text))
        except json.JSONDecodeError:
            self.fail(f"{text} is no name")

    def many(self, item: Callable[[], Any], close: str) -> list[Any]:
        """Items with commas between them (one may follow the last), up to ``close``, which is passed."""
        found: list[Any] = []
        while not self.accept(close):
            found.append(item())
            if not self.accept(","):
                self.expect(close)
                break
        return found

    def nested(self, item: Callable[[], Any]) -> Any:
        self.depth += 1
        if self.depth > NESTING:
            self.fail(f"nested more than {NESTING} deep")
        found = item()
        self.depth -= 1
        return found

    # Types and attributes

    def dtype(self) -> DType:
        name = self.take("word")
        if name not in DTYPES:
            self.fail(f"{name!r} is no dtype; there are {', '.join(DTYPES)}")
        return DTYPES[name]

    def type(self) -> TensorType:
        return self.shape_of(self.dtype())

    def shape_of(self, dtype: DType) -> TensorType:
        self.expect("[")
        shape = tuple(self.many(self.integer, "]"))
        if not is_addressable(shape, dtype):
            self.fail(f"no array has the shape {shape!s:.80}")
        return TensorType(shape, dtype)

    def number(self) -> int | float | bool:
        if self.token in ("true", "false"):
            return self.advance() == "true"
        text = self.take("number")
        if text.lstrip("-").isdigit():
            if len(text) > DIGITS:
                self.fail("a number has too many digits")
            return int(text)
        return math.nan if text.endswith("nan") else float(text)

    def attr(self) -> Any:
        if self.kind == "string":
            return self.string()
        if self.accept("("):
            return tuple(self.nested(lambda: self.many(self.attr, ")")))
        if self.accept("none"):
            return None
        if self.kind == "word" and self.token not in ("true", "false"):
            dtype = self.dtype()
            return self.literal(self.shape_of(dtype)) if self.token == "[" else dtype
        return self.number()

    def literal(self, type_: TensorType) -> Literal:
        self.expect("<")
        if self.kind == "string":
            return self._packed(type_)
        numbers = self.many(self.number, ">")
        reals = type_.in_reals  # complex numbers are written as both parts
        if len(numbers) != reals.size:
            self.fail(f"{len(numbers)} elements for {type_}")
        strange = [number for number in numbers if not is_element(number, reals.dtype)]
        if strange:
            self.fail(f"{strange[0]!r} is no element of {type_}")
        return Literal(type_, np.array(numbers, reals.dtype.numpy).tobytes())

    def _packed(self, type_: TensorType) -> Literal:
        try:
            data = base64.b64decode(self.string(), validate=True)
        except (binascii.Error, ValueError):
            self.fail("a literal is no base64")
        if len(data) != type_.nbytes:
            self.fail(f"{len(data)} bytes for {type_}, which has {type_.nbytes}")
        self.expect(">")
        return Literal(type_, data)

    def loc(self) -> Loc | None:
        if not self.accept("loc"):
            return None
        self.expect("(")
        file = self.string()
        self.expect(":")
        line = self.integer()
        scope = self.string() if self.kind == "string" else ""
        self.expect(")")
        return Loc(file, line, scope)

    # Graphs

    def graph(self) -> Graph:
        self.expect("graph")
        name = self.symbol()
        self.expect("(")
        inputs = self.many(self._input, ")")
        self.expect("{")
        nodes, lines = [], []
        while not self.accept("return"):
            lines.append(self.line)
            nodes.append(self._node())
        lines.append(self.line)
        outputs = []
        if not self.accept("}"):
            outputs = self.many(self.value, "}")
        names = tuple(n for _, n, _ in inputs)
        graph = Graph(name, tuple(i for i, _, _ in inputs), tuple(t for _, _, t in inputs), tuple(nodes), tuple(outputs), names)
        self.rows[id(graph)] = lines
        return graph

    def _input(self) -> tuple[int, str, TensorType]:
        value = self.value()
        name = self.string() if self.kind == "string" else ""
        self.expect(":")
        return value, name, self.type()

    def _node(self) -> Node:
        results = [self._result()]
        while self.accept(","):
            results.append(self._result())
        self.expect("=")
        line = self.line
        op = self.take("word")
        try:
            get_op(op)
        except IRError as error:
            raise IRError(f"line {line}: {error.message}") from None
        self.expect("(")
        operands = self.many(self.value, ")")
        attrs = self.many(self._attribute, "}") if self.accept("{") else []
        regions: list[Graph] = []
        if self.accept("regions"):
            self.expect("[")
            while not self.accept("]"):
                regions.append(self.nested(self.graph))
        return Node(op, tuple(operands), tuple(i for i, _ in results), tuple(t for _, t in results), tuple(attrs),
                    tuple(regions), self.loc())

    def _result(self) -> tuple[int, TensorType]:
        value = self.value()
        self.expect(":")
        return value, self.type()

    def _attribute(self) -> tuple[str, Any]:
        name = self.take("word")
        self.expect("=")
        return name, self.attr()

    # Kernels

    def kernel(self) -> Kernel:
        rows = [self.line]
        self.expect("kernel")
        name = self.symbol()
        self.expect("(")
        params = self.many(self._param, ")")
        outer: list[Axis] = []
        local: list[Param] = []
        if self.accept("outer"):
            self.expect("(")
            outer = self.many(self._axis, ")")
        if self.accept("locals"):
            self.expect("(")
            local = self.many(self._param, ")")
        self.expect("{")
        stages = []
        while not self.accept("}"):
            stages.append(self._stage(rows))
        found = Kernel(name, tuple(params), tuple(stages), tuple(outer), tuple(local))
        self.rows[id(found)] = rows
        return found

    def _param(self) -> Param:
        role = self.take("word")
        if role not in ("in", "out", "inout", "local"):
            self.fail(f"{role!r} is no role of a parameter")
        name = self.take("word")
        self.expect(":")
        type_ = self.type()
        return Param(name, type_, role, self.number() if self.accept("init") else None)

    def _axis(self) -> Axis:
        name = self.take("word")
        self.expect(":")
        extent = self.integer()
        return Axis(name, extent, self.accept("reduce"))

    def _stage(self, rows: list[int]) -> Stage:
        """``rows`` gets the lines of the stage's head, its instructions, its stores and its end."""
        rows.append(self.line)
        lines: tuple[list[int], list[int]] = [], []
        self.expect("stage")
        self.expect("(")
        axes = self.many(self._axis, ")")
        self.expect("{")
        insts: list[Inst] = []
        stores: list[Store] = []
        while not self.accept("}"):
            line = self.line
            if self.accept("store"):
                lines[1].append(line)
                stores.append(self._store())
                continue
            lines[0].append(line)
            number = self.value()
            if number != len(insts):
                self.fail(f"expected %{len(insts)}, found %{number}")
            self.expect("=")
            insts.append(self._inst())
        rows += [*lines[0], *lines[1], self.line]
        return Stage(tuple(axes), tuple(insts), tuple(stores))

    def _inst(self) -> Inst:
        op = self.take("word")
        if op == "reduce":
            kind = self.take("word")
            dtype = self.dtype()
            return Reduce(kind, self.value(), dtype)
        dtype = self.dtype()
        if op == "load":
            buffer, index = self._access()
            return Load(buffer, index, dtype, self.number() if self.accept("pad") else None)
        if op == "const":
            return Const(self.number(), dtype)
        if op == "index":
            return AxisIndex(self._index(), dtype)
        args = [self.value()]
        while self.accept(","):
            args.append(self.value())
        return Apply(op, tuple(args), dtype)

    def _access(self) -> tuple[str, tuple[Index, ...]]:
        buffer = self.take("word")
        self.expect("[")
        return buffer, tuple(self.many(self._index, "]"))

    def _store(self) -> Store:
        buffer, index = self._access()
        accumulate = self.accept("+=")
        if not accumulate:
            self.expect("=")
        value = self.value()
        by = self.take("word") if self.accept("by") else "add"
        return Store(buffer, index, value, accumulate, self.accept("masked"), by)

    def _index(self) -> Index:
        if not self.accept("("):
            return self._terms()
        found = self._terms()
        self.expect(")")
        self.expect("/")
        return found.exact_div(self.integer())

    def _terms(self) -> Index:
        total, sign = Index() + self._term(-1 if self.accept("-") else 1), 1
        while self.token in ("+", "-"):
            sign = 1 if self.advance() == "+" else -1
            total = total + self._term(sign)
        return total

    def _term(self, sign: int) -> Index:
        if self.kind == "number":
            return Index(offset=sign * self.integer())
        if self.kind == "value":
            value = self.value()
            return Index(values=((value, sign * (self.integer() if self.accept("*") else 1)),))
        axis = self.take("word")
        return Index(((axis, sign * (self.integer() if self.accept("*") else 1)),))

    # Programs

    def program(self) -> Program:
        rows = [self.line]
        self.expect("program")
        name = self.symbol()
        self.expect("(")
        inputs = self.many(self._buffer_number, ")")
        self.expect("->")
        self.expect("(")
        outputs = self.many(self._buffer_number, ")")
        self.expect("arena")
        arena = self.integer()
        self.expect("{")
        buffers: list[Buffer] = []
        while self.kind == "word" and self.token != "call":
            rows.append(self.line)
            if self._buffer_number() != len(buffers):
                self.fail("buffers are numbered in order")
            self.expect(":")
            buffers.append(self._buffer())
        calls = []
        while not self.accept("}"):
            rows.append(self.line)
            calls.append(self._call())
        kernels = self._kernels()
        if any(k >= len(kernels) for k, _, _ in calls) or any(n >= len(buffers) for _, args, _ in calls for n in args):
            self.fail("a call names a kernel or a buffer that is not there")
        if any(n >= len(buffers) for n in (*inputs, *outputs)):
            self.fail("an input or output names a buffer that is not there")
        found = Program(name, tuple(buffers), tuple(Call(kernels[k], args, loc) for k, args, loc in calls), tuple(inputs),
                        tuple(outputs), arena)
        self.rows[id(found)] = rows
        return found

    def _buffer_number(self) -> int:
        return self._numbered("b")

    def _numbered(self, letter: str) -> int:
        word = self.take("word")
        if word[0] != letter or not word[1:].isdigit() or len(word) > DIGITS:
            self.fail(f"expected {letter}0, {letter}1 ..., found {word!r}")
        return int(word[1:])

    def _buffer(self) -> Buffer:
        kind = self.take("word")
        if kind not in ("input", "output", "temp", "constant"):
            self.fail(f"{kind!r} is no kind of buffer")
        type_ = self.type()
        name = self.string() if self.kind == "string" else ""
        literal = self.literal(self.type()) if self.accept("=") else None
        donated = self._buffer_number() if self.accept("donated") else None
        offset = self.integer() if self.accept("at") else None
        return Buffer(type_, kind, name, literal, donated, offset, self.accept("frozen"))

    def _call(self) -> tuple[int, tuple[int, ...], Loc | None]:
        self.expect("call")
        kernel = self._numbered("k")
        self.expect("(")
        args = tuple(self.many(self._buffer_number, ")"))
        return kernel, args, self.loc()

    def _kernels(self) -> list[Kernel]:
        found: list[Kernel] = []
        while self.kind == "word" and self.token != "program":
            if self._numbered("k") != len(found):
                self.fail("kernels are numbered in order")
            self.expect("=")
            found.append(self.nested(self.control) if self.token in ("loop", "branch") else self._leaf_kernel())
        return found

    def _leaf_kernel(self) -> Kernel:
        special: dict[str, Callable[[], Kernel]] = {"sort": self.sort, "prefix": self.prefix}
        return special.get(self.token, self.kernel)()

    def _whole_rows(self, word: str) -> tuple[int, str, tuple[Param, ...]]:
        """Line, name and parameters of a kernel without stages."""
        line = self.line
        self.expect(word)
        name = self.symbol()
        self.expect("(")
        return line, name, tuple(self.many(self._param, ")"))

    def sort(self) -> Sort:
        line, name, params = self._whole_rows("sort")
        keys = self._after("keys", self.integer)
        found = Sort(name, params, (), (), (), keys, self.accept("descending"), self.accept("values"), self.accept("order"))
        self.rows[id(found)] = [line]
        return found

    def prefix(self) -> Prefix:
        line, name, params = self._whole_rows("prefix")
        join = self._after("by", lambda: self.take("word"))
        found = Prefix(name, params, (), (), (), join, self.accept("reverse"))
        self.rows[id(found)] = [line]
        return found

    # Loops and branches

    def control(self) -> Control:
        line, word = self.line, self.take("word")
        name = self.symbol()
        self.expect("(")
        params = tuple(self.many(self._param, ")"))
        index = self._after("index", lambda: self.take("word")) if word == "branch" else ""
        consts, carries = (self._after("consts", self.integer), self._after("carries", self.integer)) if word == "loop" else (0, 0)
        trips = self.integer() if self.accept("trips") else None
        reverse = self.accept("reverse")
        takes, gives = self._after("takes", self._words), self._after("gives", self._words)
        workspace = self._after("workspace", lambda: self.take("word"))
        self.expect("{")
        bodies = []
        while not self.accept("}"):
            bodies.append(self.program())
        found: Control
        if word == "branch":
            found = Branch(name, params, (), (), (), takes, gives, workspace, tuple(bodies), index)
        elif len(bodies) != 1:
            self.fail("a loop has one body")
        else:
            found = Loop(name, params, (), (), (), takes, gives, workspace, bodies[0], consts, carries, trips, reverse)
        self.rows[id(found)] = [line]
        return found

    def _after(self, word: str, item: Callable[[], Any]) -> Any:
        self.expect(word)
        return item()

    def _words(self) -> tuple[str, ...]:
        self.expect("(")
        return tuple(self.many(lambda: self.take("word"), ")"))
