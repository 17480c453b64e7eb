"""Writing LLVM text: fresh names, typed instructions, and structured loops as context managers.

Text, not llvmlite.ir objects: writing and parsing a kernel costs a fraction of building it object by object.
Values are their LLVM names as strings; types are strings such as ``<8 x float>``.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from leptonc.ir.types import DTYPES, LOW, DType

SCALAR_TYPES = {"bool": "i1", **{f"{kind}{bits}": f"i{bits}" for kind in "ui" for bits in (8, 16, 32, 64)},
                **{name: f"i{DTYPES[name].bits}" for name in ("f16", *LOW)}, "f32": "float", "f64": "double"}


def llvm_type(dtype: DType, lanes: int = 1) -> str:
    """The register type of ``lanes`` elements; a bool is one bit in a register and one byte in memory."""
    scalar = SCALAR_TYPES[dtype.name]
    return scalar if lanes == 1 else f"<{lanes} x {scalar}>"


def memory_type(dtype: DType, lanes: int = 1) -> str:
    """The type of ``lanes`` elements in memory."""
    return ("i8" if lanes == 1 else f"<{lanes} x i8>") if dtype.is_bool else llvm_type(dtype, lanes)


def emit_const(number: float | int | bool, dtype: DType, lanes: int) -> str:
    """An LLVM literal, exact to the bit; a vector literal for several lanes."""
    if dtype.is_narrow:
        text = str(int(np.asarray(number, dtype.numpy).view(f"u{dtype.itemsize}")))
    elif dtype.is_float:
        # LLVM writes floats as the hexadecimal bits of the double of equal value
        text = f"0x{struct.unpack('<Q', struct.pack('<d', float(dtype.numpy.type(number))))[0]:016X}"
    elif dtype.is_bool:
        text = "true" if number else "false"
    else:
        text = str(int(number))
    if lanes == 1:
        return text
    return "<" + ", ".join([f"{llvm_type(dtype)} {text}"] * lanes) + ">"


class Emitter:
    """One LLVM function body under construction."""

    def __init__(self, fma: bool = True, halves: bool = False, bf16: bool = False) -> None:
        self.fma = fma
        self.halves = halves
        self.bf16 = bf16
        self.lines: list[str] = []
        self.declarations: set[str] = set()
        self.globals: dict[str, str] = {}
        self.functions: dict[str, str] = {}  # whole definitions that bodies call
        self.current = "entry"
        self.open = [""]  # the heads of the loops that are, the innermost last
        self._names: dict[str, int] = {}
        self._sums: dict[str, tuple[str, int]] = {}  # of a register and a number, by their names
        self._known: dict[str, str] = {}  # the sums and products of the block at hand

    def beside(self) -> Emitter:
        """For another function of the same module."""
        own = Emitter(self.fma, self.halves, self.bf16)
        own.declarations, own.globals, own.functions = self.declarations, self.globals, self.functions
        return own

    def define(self, kind: str, parameters: str, own: Emitter) -> str:
        """The name of a function of the module, made of the lines of ``own``: one for all that are equal, and never inlined."""
        body = "\n".join(own.lines)
        name = f"@{kind}.{hashlib.sha1((parameters + body).encode(), usedforsecurity=False).hexdigest()[:12]}"
        self.functions[name] = f"define internal void {name}({parameters}) noinline {{\nentry:\n{body}\n  ret void\n}}\n"
        return name

    def reserve(self, *names: str) -> None:
        """Names that are taken: the function's parameters."""
        self._names.update(dict.fromkeys(names, 1))

    def fresh(self, hint: str) -> str:
        """A new local name, ``%hint`` or ``%hint.3``."""
        count = self._names.get(hint, 0)
        self._names[hint] = count + 1
        return f"%{hint}" if count == 0 else f"%{hint}.{count}"

    def label(self, hint: str) -> str:
        return self.fresh(hint)[1:]

    def line(self, text: str) -> None:
        self.lines.append(f"  {text}")

    def let(self, text: str, hint: str = "t") -> str:
        """``%hint = text``; returns the name."""
        name = self.fresh(hint)
        self.lines.append(f"  {name} = {text}")
        return name

    def later(self) -> int:
        """The number of a line that is empty, for ``write``, until the loop around it has come to its end."""
        self.lines.append("")
        return len(self.lines) - 1

    def write(self, line: int, text: str, hint: str = "t") -> str:
        """As ``let``, in a line that was left empty."""
        name = self.fresh(hint)
        self.lines[line] = f"  {name} = {text}"
        return name

    def block(self, label: str) -> None:
        """Start a block; the one before it must have ended in a branch."""
        self.lines.append(f"{label}:")
        self.current = label
        self._known = {}

    def jump(self, label: str) -> None:
        self.line(f"br label %{label}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        self.line(f"br i1 {condition}, label %{yes}, label %{no}")

    def call(self, signature: str, arguments: str, hint: str = "t") -> str:
        """Call an intrinsic: ``signature`` is ``<8 x float> @llvm.fma.v8f32(<8 x float>, ...)``, declared once."""
        self.declarations.add(f"declare {signature}")
        result, name = signature.split("(", 1)[0].rsplit(" ", 1)
        text = f"call {result} {name}({arguments})"
        if result == "void":
            self.line(text)
            return ""
        return self.let(text, hint)

    def prefetch(self, address: str, write: bool = False, near: bool = False) -> None:
        """Into L2: it is wanted, perhaps to be written, when what L1 holds now is done with. ``near``: into L1."""
        level = 3 if near else 2
        self.call("void @llvm.prefetch.p0(ptr, i32, i32, i32)", f"ptr {address}, i32 {int(write)}, i32 {level}, i32 1")

    @contextmanager
    def loop(self, hint: str, start: str, stop: str, step: int = 1) -> Iterator[str]:
        """``for (i64 iv = start; iv < stop; iv += step)``; the body may open blocks. Yields the name of iv."""
        with self.reduce_loop(hint, start, stop, step, []) as (iv, _, _):
            yield iv

    @contextmanager
    def reduce_loop(
        self, hint: str, start: str, stop: str, step: int, carried: list[tuple[str, str]],
        done: Callable[[list[str]], str] | None = None,
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        """A loop that carries values as phis. ``carried``: (type, initial value) each; ``done``: says of them (i1) that no further
        run can change them, and ends the loop.

        Yields (iv, phis, next): the body fills ``next`` with the new values. After the block, ``phis`` hold the
        final values (the loop tests at its head, so it may run no times). What runs once for certain is no loop.
        """
        if is_number(start) and is_number(stop) and 0 < int(stop) - int(start) <= step:
            state, once = [initial for _, initial in carried], list[str]()
            yield start, state, once
            state[:] = once
            return
        header, body, latch, exit_ = (self.label(f"{hint}.{part}") for part in ("head", "body", "latch", "exit"))
        iv, step_name = self.fresh(hint), self.fresh(f"{hint}.next")
        entry = self.current
        self.jump(header)
        self.block(header)
        phis = [self.fresh(f"{hint}.acc") for _ in carried]
        patch = len(self.lines)  # the phis are written when the loop closes: they name the last block and values
        compare = self.fresh(f"{hint}.more")
        self.line(f"{compare} = icmp slt i64 {iv}, {stop}")
        if done is not None:
            open_ = self.label(f"{hint}.open")
            self.branch(compare, open_, exit_)
            self.block(open_)
            self.branch(done(phis), exit_, body)
        else:
            self.branch(compare, body, exit_)
        self.block(body)
        following: list[str] = []
        self.open.append(header)
        yield iv, phis, following
        self.open.pop()
        self.jump(latch)
        self.block(latch)
        self.line(f"{step_name} = add nsw i64 {iv}, {step}")
        self.jump(header)
        lines = [f"  {iv} = phi i64 [ {start}, %{entry} ], [ {step_name}, %{latch} ]"]
        for (type_, initial), phi, next_ in zip(carried, phis, following, strict=True):
            lines.append(f"  {phi} = phi {type_} [ {initial}, %{entry} ], [ {next_}, %{latch} ]")
        self.lines[patch:patch] = lines
        self.block(exit_)

    @contextmanager
    def when(self, condition: str, hint: str = "if") -> Iterator[None]:
        """Run the body only if ``condition`` (i1); no values come out of it."""
        yes, done = self.label(f"{hint}.then"), self.label(f"{hint}.done")
        self.branch(condition, yes, done)
        self.block(yes)
        yield
        self.jump(done)
        self.block(done)

    # Integer arithmetic of addresses: numbers are folded, and stand last, where ``parts`` finds them and ``at`` puts them into the
    # address. So what differs by numbers alone has its registers in common.

    def add(self, x: str, y: str) -> str:
        (a, m), (b, n) = self.parts(x), self.parts(y)
        if "0" in (a, b):
            return self._plus(b if a == "0" else a, m + n)
        return self._plus(self._once(f"add nsw i64 {a}, {b}"), m + n)

    def mul(self, x: str, y: str) -> str:
        if is_number(x) and is_number(y):
            return str(int(x) * int(y))
        if "0" in (x, y):
            return "0"
        if "1" in (x, y):
            return y if x == "1" else x
        register, number = self.parts(x) if is_number(y) else (x, 0)
        return self._plus(self._once(f"mul nsw i64 {register}, {y}"), number * int(y) if number else 0)

    def _plus(self, register: str, number: int) -> str:
        if register == "0" or not number:
            return register if register != "0" else str(number)
        total = self._once(f"add nsw i64 {register}, {number}")
        self._sums[total] = register, number
        return total

    def _once(self, text: str) -> str:
        """As ``let``, once in a block."""
        if text not in self._known:
            self._known[text] = self.let(text, "i")
        return self._known[text]

    def parts(self, x: str) -> tuple[str, int]:
        """A register ("0" if there is none) and a number whose sum ``x`` is."""
        return ("0", int(x)) if is_number(x) else self._sums.get(x, (x, 0))

    def held(self, x: str, type_: str = "i64") -> str:
        """The same, without its history: no instruction, but strength reduction of a loop inside looks no further."""
        return x if is_number(x) else self.let(f"freeze {type_} {x}", "held")

    def at(self, type_: str, pointer: str, offset: str | int, hint: str = "at") -> str:
        """The address so many elements on."""
        register, number = self.parts(str(offset))
        for step in (register, str(number)):
            pointer = pointer if step == "0" else self.let(f"getelementptr {type_}, ptr {pointer}, i64 {step}", hint)
        return pointer

    def digit(self, number: str, base: int) -> tuple[str, str]:
        """The last digit of a mixed-radix number, and the rest."""
        if base == 1:
            return "0", number
        return self.let(f"urem i64 {number}, {base}", "digit"), self.let(f"udiv i64 {number}, {base}", "rest")


def is_number(text: str) -> bool:
    return text.lstrip("-").isdigit()
