"""What an op from outside the package does, as bytes: equal for equal ops, different when anything that decides it differs."""

from __future__ import annotations

import math
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc.ir import op
from leptonc.ir.fingerprint import fingerprint

SOURCE = """
import functools, math
import numpy as np
from leptonc.ir.op import Op
from leptonc.ops.elementwise import Smooth

FACTOR = 2
TABLE = {"a": np.arange(3.0), "b": [1, (2, 3)]}

def helper(x, by=2):
    return inner(x) * by

def inner(x):
    return x + 1

def closing(value):
    def body(x):
        return x * value
    return body

class Base(Smooth):
    def scale(self, x):
        return x * 2

class scaled(Base):
    name = "scaled"
    closed = staticmethod(closing(5))
    power = functools.partial(math.pow, 2)

    def __init__(self):
        self.parts = frozenset({"one", "two"})

    def body(self, s, x):
        return s.mul(x, self.scale(helper(FACTOR)) + self.closed(1) + TABLE["a"][0])

    def slope(self, x, y):
        return [k for k in range(7)][2]
"""


def made(source: str) -> bytes | None:
    """The fingerprint of a graph that uses the op of such a source."""
    module = types.ModuleType("users_own")
    sys.modules["users_own"] = module
    exec(compile(source, "users_own.py", "exec"), module.__dict__)
    op._REGISTRY.pop("scaled", None)
    op.register_op(module.__dict__["scaled"]())
    graph = leptonc.make_graph(lambda x: leptonc.trace.bind("scaled", x))(np.ones(3))
    return fingerprint(graph)


@pytest.fixture(autouse=True)
def restore() -> Iterator[None]:
    before = op.all_ops()
    yield
    op._REGISTRY.clear()
    op._REGISTRY.update(before)
    sys.modules.pop("users_own", None)


def test_equal_ops_have_equal_bytes():
    assert made(SOURCE) == made(SOURCE) == made("# a comment\n\n" + SOURCE)
    assert made(SOURCE)


@pytest.mark.parametrize("old, new", [
    ("FACTOR = 2", "FACTOR = 3"),
    ("FACTOR = 2", "FACTOR = 2.0"),
    ("s.mul", "s.add"),
    ("return x + 1", "return x - 1"),
    ("by=2", "by=3"),
    ("closing(5)", "closing(6)"),
    ("return x * 2", "return x * 3"),
    ("math.pow, 2", "math.pow, 3"),
    ("math.pow", "math.fmod"),
    ('"two"', '"three"'),
    ("(2, 3)", "(2, 4)"),
    ("np.arange(3.0)", "np.arange(4.0)"),
    ("np.arange(3.0)", "np.arange(3)"),
    ("range(7)", "range(8)"),
])
def test_whatever_decides_makes_a_difference(old, new):
    assert old in SOURCE
    first, second = made(SOURCE), made(SOURCE.replace(old, new))
    assert first and second and first != second


@pytest.mark.parametrize("line", [
    "open", "eval('2')", "globals()['FACTOR']", "__import__('math')", "users_own.FACTOR", "THING.value", "OBJECTS[0]", "NUMBER + 0",
])
def test_what_cannot_be_known_has_no_bytes(line):
    extra = """
import sys
users_own = sys.modules["users_own"]

class Slotted:
    __slots__ = ("value",)

class Number(int):
    pass

THING = Slotted()
NUMBER = Number(3)
OBJECTS = np.array([object()])
"""
    source = SOURCE.replace("FACTOR = 2\n", f"FACTOR = 2\n{extra}")
    assert made(source)
    assert made(source.replace("s.mul(x, ", f"s.mul({line}, ")) is None


def test_the_packages_own_ops_take_no_part():
    graph = leptonc.make_graph(lambda x: leptonc.numpy.tanh(x) @ x)(np.ones((3, 3)))
    assert fingerprint(graph) == b""
    made(SOURCE)  # registered, and not used
    assert fingerprint(graph) == b""


def test_a_method_that_was_replaced_does(monkeypatch):
    graph = leptonc.make_graph(lambda x: leptonc.numpy.tanh(x))(np.ones(3))

    def body(self: Any, s: Any, x: Any) -> Any:
        return s.mul(x, math.pi)

    monkeypatch.setattr(type(op.get_op("tanh")), "body", body)
    assert fingerprint(graph)
