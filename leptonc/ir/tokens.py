"""Tokens of the text form, and what a few of them say, whatever they stand in."""

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
from leptonc.ir.graph import Literal, Loc
from leptonc.ir.types import DTYPES, DType, TensorType, is_addressable, is_element

NESTING = 32  # regions and tuples inside each other
DIGITS = 20

_TOKEN = re.compile(r"""(?P<space>[ \t\r]+)|(?P<newline>\n)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<symbol>@(?:[A-Za-z_][A-Za-z0-9_.+]*|"(?:[^"\\\n]|\\.)*"))
    |(?P<value>%\d+)
    |(?P<number>-?(?:\d+\.\d*(?:e[+-]?\d+)?|\d+(?:e[+-]?\d+)?|inf\b|nan\b))
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<mark>->|\+=|[-+*/=(){}\[\]<>,:])""", re.VERBOSE | re.ASCII)


class Tokens:
    """One token of lookahead, and what takes a few of them to say: names, lists, types, attributes, literals, lines of users."""

    def __init__(self, text: str):
        if not isinstance(text, str):
            raise IRError(f"parse wants text, got {type(text).__name__}")
        self.text = text
        self.position = 0
        self.line = 1
        self.depth = 0
        self.kind = self.token = ""
        self.advance()

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

    def after(self, word: str, item: Callable[[], Any]) -> Any:
        self.expect(word)
        return item()

    def words(self) -> tuple[str, ...]:
        """Some in parentheses."""
        self.expect("(")
        return tuple(self.many(lambda: self.take("word"), ")"))

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
