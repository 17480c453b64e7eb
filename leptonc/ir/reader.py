"""Parsing the text form. Anything that is not exactly the text of an IR raises IRError with the line number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from leptonc.errors import IRError
from leptonc.ir.control import Branch, Control, Loop
from leptonc.ir.graph import Graph, Loc, Node
from leptonc.ir.kernel import Buffer, Call, Kernel, Program
from leptonc.ir.kernelreader import KernelReader
from leptonc.ir.op import get_op
from leptonc.ir.tokens import DIGITS
from leptonc.ir.types import TensorType
from leptonc.ir.verify.faults import Fault, excerpt
from leptonc.ir.verify.graph import graph_fault
from leptonc.ir.verify.kernel import kernel_fault
from leptonc.ir.verify.program import program_fault
from leptonc.ir.verify.signature import signature_fault


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


class _Reader(KernelReader):
    """A recursive-descent parser with one token of lookahead."""

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
            found.append(self.nested(self.control) if self.token in ("loop", "branch") else self.leaf_kernel())
        return found

    # Loops and branches

    def control(self) -> Control:
        line, word = self.line, self.take("word")
        name = self.symbol()
        self.expect("(")
        params = tuple(self.many(self.param, ")"))
        index = self.after("index", lambda: self.take("word")) if word == "branch" else ""
        consts, carries = (self.after("consts", self.integer), self.after("carries", self.integer)) if word == "loop" else (0, 0)
        updates = []
        while self.accept("updates"):
            updates.append((self.integer(), self.integer()))
        trips = self.integer() if self.accept("trips") else None
        reverse = self.accept("reverse")
        takes, gives = self.after("takes", self.words), self.after("gives", self.words)
        workspace = self.after("workspace", lambda: self.take("word"))
        self.expect("{")
        bodies = []
        while not self.accept("}"):
            bodies.append(self.program())
        found: Control
        if word == "branch":
            found = Branch(name, params, (), (), (), takes, gives, workspace, tuple(bodies), index, tuple(updates))
        elif len(bodies) != 1:
            self.fail("a loop has one body")
        else:
            found = Loop(name, params, (), (), (), takes, gives, workspace, bodies[0], consts, carries, trips, reverse)
        self.rows[id(found)] = [line]
        return found
