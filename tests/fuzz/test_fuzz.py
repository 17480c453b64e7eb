"""A fixed share of the fuzzer's programs, and whether the fuzzer itself would notice."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from leptonc import driver
from leptonc import numpy as lnp
from leptonc.ir.op import get_op
from tests.fuzz.campaign import results
from tests.fuzz.check import Checker, fault_of
from tests.fuzz.families import FAMILIES
from tests.fuzz.families_complex import COMPLEX_FAMILIES
from tests.fuzz.forms import every
from tests.fuzz.generate import program
from tests.fuzz.isolated import fails_like
from tests.fuzz.known import known
from tests.fuzz.program import NAMES, Index, Input, Program, Ref, Step, snippet, source
from tests.fuzz.reach import FINDER, Reach, passes, public_names
from tests.fuzz.reach import SHARE as SHARE_OF_NAMES
from tests.fuzz.reduce import reduced, size

pytestmark = pytest.mark.filterwarnings("ignore::leptonc.notices.LeptonWarning")  # programs mix dtypes, and donate anything
SHARE, CHUNK = 80, 40


@pytest.mark.parametrize("first", range(0, SHARE, CHUNK))
def test_programs_are_right(first):
    """In a process of their own, so that a crash is a failure with a number."""
    seen = []
    for message in results(first, first + CHUNK, seconds=600, jobs=1, thorough=False):
        seen.append(message["done"])
        for way, text in message["faults"]:
            if known(way, text) is None:
                pytest.fail(_described(message["done"], way, text))
    assert seen == list(range(first, first + CHUNK))


def _described(seed: int, way: str, text: str) -> str:
    if way == "drawing":
        return f"program {seed}: {text}"
    found = reduced(program(seed), fails_like(program(seed), way, seed), 60)
    return f"python -m tests.fuzz --replay {seed}\n{way}: {text}\n\n{snippet(found)}"


def test_every_pass_and_the_public_surface_are_reached():
    """By programs as they are drawn: each pass changes one; every name stands in some form, and these alone meet most of them."""
    changed, names = Reach.listed().found()
    assert passes() - changed == set(), FINDER
    forms = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    forms += "\n".join(text for family in (*FAMILIES, *COMPLEX_FAMILIES) for line in family.lines for text in every(line))
    whole = public_names()
    assert whole - {f"{module}.{name}" for module, name in NAMES.findall(forms)} == set()
    assert len(whole - names) <= (1 - SHARE_OF_NAMES) * len(whole), (FINDER, sorted(whole - names))


def test_a_program_is_the_same_each_time():
    """In this process, which has imported the fuzzer's modules in another order, and in one that draws alone."""
    text = "from tests.fuzz import generate, program; print([program.source(generate.program(seed)) for seed in range(9)])"
    alone = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert [source(program(seed)) for seed in range(9)] == ast.literal_eval(alone.stdout)
    assert [source(program(seed)) for seed in range(20)] == [source(program(seed)) for seed in range(20)]


def test_reduction_keeps_what_fails():
    """From a program of several steps to the one that is looked for."""
    steps = (Step(("v0",), "lnp.tanh({0})", (Ref("x0"),)), Step(("v1",), "{0}[{1}]", (Ref("v0"), Index((slice(None, None, 2),)))),
             Step(("v2",), "lnp.flip({0})", (Ref("v1"),)), Step(("v3",), "{0} + 1", (Ref("v2"),)))
    whole = Program((Input("x0", (8, 3), "f4", "normal", 0),), steps, ("v3",))

    def fails(candidate: Program) -> bool:
        try:
            Checker(candidate)
        except Exception:
            return False
        return any("flip" in s.form for s in candidate.steps)

    small = reduced(whole, fails, 30)
    assert [s.form for s in small.steps] == ["lnp.flip({0})"]
    assert size(small) < size(whole)


def test_a_planted_fault_is_found(monkeypatch):
    """A flip that forgets to turn: the checker sees it, compiled and not in the oracle."""
    steps = (Step(("v0",), "lnp.flip({0}, 0) * 2", (Ref("x0"),)),)
    made = Program((Input("x0", (4, 3), "f4", "normal", 0),), steps, ("v0",))
    assert fault_of(made, "compiled") is None
    checker = Checker(made)
    plain = driver.lower
    monkeypatch.setattr(driver, "lower", lambda graph, *rest: plain(_unflipped(graph), *rest))
    assert checker.run("compiled") is not None


def test_a_wrong_gradient_is_found(monkeypatch):
    """Op by op it is as wrong as compiled: differences tell."""
    steps = (Step(("v0",), "lnp.sum(lnp.tanh({0}) * {0})", (Ref("x0"),)),)
    made = Program((Input("x0", (4, 3), "f4", "normal", 0),), steps, ("v0",), mode="grad", wrt=("x0",))
    assert Checker(made).run("differences") is None
    monkeypatch.setattr(type(get_op("tanh")), "vjp", lambda self, g, y, *operands, **attrs: (g * y,))
    assert "by differences" in Checker(made).run("differences").text


def test_a_wrong_meaning_is_found(monkeypatch):
    """A flip of the wrong axis, traced and op by op: NumPy tells."""
    steps = (Step(("v0",), "lnp.flip({0}, 0)", (Ref("x0"),)),)
    made = Program((Input("x0", (4, 3), "f4", "normal", 0),), steps, ("v0",))
    assert Checker(made).run("numpy") is None
    plain = lnp.flip
    monkeypatch.setattr(lnp, "flip", lambda x, axis: plain(x, 1))
    assert Checker(made).run("numpy") is not None


def _unflipped(graph):
    def straight(node):
        attrs = dict(node.attrs)
        if node.op != "slice":
            return node
        return replace(node, attrs=tuple({**attrs, "start": (0, 0), "step": (1, 1)}.items()))

    return replace(graph, nodes=tuple(map(straight, graph.nodes)))
