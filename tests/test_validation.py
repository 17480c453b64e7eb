"""Translation validation: planted faults are named by their step, and what is right passes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import leptonc
from leptonc import cli, driver, lax, nn
from leptonc import numpy as lnp
from leptonc.errors import IRError, ValidationError
from leptonc.ir import interpret, parse
from leptonc.ir.kernel import Program
from leptonc.validation.claim import Claim, check
from leptonc.validation.compare import difference
from leptonc.validation.execution import Runner, wide_arrays
from leptonc.validation.inputs import KINDS, generate
from leptonc.validation.placed import run_placed
from leptonc.validation.rounding import F32, tolerance
from leptonc.validation.validator import Result, Validator
from leptonc.validation.widen import widen_kernel
from tests.plant_programs import PROGRAMS
from tests.planted import BY_NAME, NAMED, ROOT, edited, steps_of
from tests.plants import PLANTS

SHARE = ("rule-sub", "cse-order", "sink-attrs", "conv-low", "split-combine", "halo-low", "fuse-cut", "phases-sign", "window-part",
         "donate-early", "plan-last", "nest-tail")


def test_planted_faults_are_named_by_their_step():
    done = subprocess.run([sys.executable, "-m", "tests.planted", "--many", *SHARE], cwd=ROOT, capture_output=True, text=True)
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert set(lines) == set(SHARE), done.stderr
    for name, said in lines.items():
        match = NAMED.search(said)
        assert match and match[1] in steps_of(BY_NAME[name]), f"{name}: {said}"


def test_plants_are_up_to_date():
    """Each fault's place is in the source, once, and its edit is another text that still compiles."""
    for plant in PLANTS:
        source = (ROOT / "leptonc" / plant.file).read_text()
        compile(edited(source, plant), plant.file, "exec")
        assert plant.old != plant.new and (not plant.step or plant.program in PROGRAMS), plant.name
    assert len({p.name for p in PLANTS}) == len(PLANTS) >= 60


def looping(c, x, w):
    def step(c, x):
        return lax.cond(x[0] > 0, lambda c: lnp.tanh(c @ w + x), lambda c: lnp.sin(c) * x, c), c * x

    return lnp.sum(lax.scan(step, c, x)[1] ** 2)


@pytest.mark.parametrize("function", [looping, leptonc.grad(looping, (0, 1, 2)), lambda c, x, w: lax.while_loop(
    lambda s: s[1] < 4, lambda s: (lnp.tanh(s[0] @ w) + x[0], s[1] + 1), (c, 0))], ids=["scan", "gradient", "while"])
def test_loops_and_branches_pass(function):
    """They are run in f64 and with roundings off, as what is around them is: their bodies too."""
    rng = np.random.default_rng(5)
    traced = leptonc.jit(function).trace(*(rng.standard_normal(s).astype(np.float32) for s in ((3,), (5, 3), (3, 3))))
    results: list[Result] = []
    driver.check(traced.graph, traced.interface.aliases(traced.graph), Validator(tell=results.append))
    assert {"lower-graph", "plan-memory", "machine code"} <= {r.step for r in results} and not any(r.note for r in results)


@pytest.mark.parametrize("name", ["mlp", "halo", "pools", "strided3", "sums", "chain", "pads", "lookups", "donated", "taken_over",
                                  "donated_way", "looked_up"])
def test_what_is_right_passes(name):
    function, args = PROGRAMS[name]()
    traced = function.trace(*args)
    results: list[Result] = []
    driver.check(traced.graph, traced.interface.aliases(traced.graph), Validator(tell=results.append))
    assert {"lower-graph", "plan-memory", "machine code"} <= {r.step for r in results} and not any(r.note for r in results)


def test_off_it_is_not_even_imported():
    text = ("import sys, numpy as np, leptonc; leptonc.jit(lambda x: x + 1)(np.ones(3, 'f')); "
            "assert not any(m.startswith('leptonc.validation') for m in sys.modules)")
    subprocess.run([sys.executable, "-c", text], cwd=ROOT, check=True, env={"LEPTONC_CACHE": "0", "PATH": ""})


def test_the_environment_turns_it_on(monkeypatch):
    monkeypatch.setenv("LEPTONC_VALIDATE", "1")
    seen: list[object] = []
    monkeypatch.setattr(Validator, "after_code", lambda *args: seen.append(args))
    monkeypatch.setattr(Validator, "after_pass", lambda *args: seen.append(args))
    leptonc.jit(lambda x: lnp.sum(x * 2))(np.ones(3, "f"))
    assert len(seen) > 10


@pytest.mark.parametrize("budget, code, shown", [("2000", 0, "normal, whole"), ("0", 1, "too large")])
def test_the_command(budget, code, shown, tmp_path, capsys):
    (tmp_path / "model.py").write_text("def f(x):\n    return (x @ x).sum()\n")
    assert cli.main(["check", f"{tmp_path}/model.py:f", "--arg", "f32[5,5]", "--budget", budget]) == code
    assert shown in capsys.readouterr().out


OVERLAP = """
program @f(b0) -> (b3) arena 192 {
  b0: input f32[16]
  b1: temp f32[16] at 0
  b2: temp f32[16] at OFFSET
  b3: output f32[16]
  call k0(b0, b1)
  call k0(b0, b2)
  call k1(b1, b2, b3)
}

k0 = kernel @copy(in a0: f32[16], out r0: f32[16]) {
  stage (i0: 16) {
    %0 = load f32 a0[i0]
    %1 = mul f32 %0, %0
    store r0[i0] = %1
  }
}

k1 = kernel @add(in a0: f32[16], in a1: f32[16], out r0: f32[16]) {
  stage (i0: 16) {
    %0 = load f32 a0[i0]
    %1 = load f32 a1[i0]
    %2 = sub f32 %0, %1
    store r0[i0] = %2
  }
}
"""


@pytest.mark.parametrize("offset, same", [(64, True), (128, True), (32, False)])
def test_temporaries_that_overlap_show(offset, same):
    program = parse(OVERLAP.replace("OFFSET", "128"))  # the reader takes no overlap
    program = replace(program, buffers=tuple(replace(b, offset=offset) if b.offset else b for b in program.buffers))
    x = np.arange(16, dtype="f")
    assert np.array_equal(run_placed(program, [x])[0], interpret.run_program(program, [x])[0]) == same


def test_a_place_outside_of_the_arena_is_an_error():
    program = parse(OVERLAP.replace("OFFSET", "128"))
    with pytest.raises(IRError, match="arena"):
        run_placed(replace(program, arena_bytes=160), [np.zeros(16, "f")])


SHIFT = """
program @f(b0) -> (b1) arena 0 {
  b0: input f32[16]
  b1: output f32[16]
  call k0(b0, b1)
}

k0 = kernel @shift(in a0: f32[16], out r0: f32[16]) {
  stage (i0: 16) {
    %0 = load f32 a0[i0 SIGN 1] pad 0.0
    store r0[i0] = %0
  }
}
"""


@pytest.mark.parametrize("sign", ["+", "-"])
def test_a_neighbour_that_was_overwritten_shows(sign):
    program = parse(SHIFT.replace("SIGN", sign))
    donated = replace(program, buffers=(program.buffers[0], replace(program.buffers[1], donated=0)))
    with pytest.raises(IRError, match="order"):
        run_placed(donated, [np.arange(16, dtype="f")])


def lowered(function, *args) -> Program:
    return leptonc.jit(function).trace(*args).lower().program


def test_pieces_and_matrices_change_nothing(monkeypatch, rng):
    """The interpreter's ways to run a stage agree: whole or in pieces, sums folded or as products of matrices."""
    x, w = rng.standard_normal((2, 9, 10, 3)), rng.standard_normal((3, 3, 3, 8))
    loss = leptonc.grad(lambda x, w: lnp.sum(nn.max_pool(nn.conv(x, w, padding=1), 2) ** 2), argnums=(0, 1))
    program = lowered(loss, x, w)
    results = [interpret.run_program(program, [x, w])]
    for name, value in (("MATRICES_FROM", 0), ("MATRICES_FROM", 1 << 60), ("AT_ONCE", 50), ("IN_CACHE", 7)):
        monkeypatch.setattr(interpret, name, value)
        results.append(interpret.run_program(program, [x, w]))
    execute = interpret.execute
    monkeypatch.setattr(interpret, "execute", lambda kernel, env, perturb=None: execute(kernel, env, perturb, pieces=3))
    results.append(interpret.run_program(program, [x, w]))
    for one, other in pairwise(results):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_differences():
    want = [np.array([1.0, np.nan, np.inf, 0.0]), np.array([3, 4])]
    assert difference(want, [a.copy() for a in want]) is None
    for output, at, value in ((0, 0, 1.001), (0, 1, 0.0), (0, 2, -np.inf), (0, 2, 1e300), (1, 1, 5)):
        got = [a.copy() for a in want]
        got[output][at] = value
        found = difference(want, got)
        assert found is not None and (found.output, found.index) == (output, (at,))
    assert difference([np.zeros(1)], [-np.zeros(1)]) is None
    assert difference([np.zeros(1)], [-np.zeros(1)], signs=True) is not None


def test_the_least_part_is_shown():
    """Of a program of several kernels the one that is wrong, on inputs of few elements."""
    program = lowered(lambda x, w: lnp.exp(x @ w) @ w.T, np.ones((4, 6), "f"), np.ones((6, 5), "f"))

    @replace_passes
    def wrong(program: Program) -> Program:
        call = next(c for c in program.calls if "exp" in c.kernel.name)
        (stage,) = call.kernel.stages
        insts = tuple(replace(i, op="sin") if getattr(i, "op", "") == "exp" else i for i in stage.insts)
        bad = replace(call, kernel=replace(call.kernel, stages=(replace(stage, insts=insts),)))
        return replace(program, calls=tuple(bad if c is call else c for c in program.calls))

    assert len(program.calls) > 1
    with pytest.raises(ValidationError, match=r"(?s)after 'wrong'.*exp.*became.*sin") as raised:
        Validator().after_pass(wrong, program, wrong(program))
    assert str(raised.value).count("  call ") == 2


def replace_passes(function):
    function.name = "wrong"
    return function


def test_rounding_is_told_from_faults():
    """A step that rounds otherwise passes; the same step off by a thousandth of a percent does not."""
    program = lowered(lambda x, w: lnp.tanh(x @ w), np.ones((4, 6), "f"), np.ones((6, 5), "f"))
    runner, kind = Runner(), KINDS[0]
    arrays = wide_arrays(generate([program.buffers[n].type for n in program.inputs], kind, 0))
    want = runner.outputs(program, arrays)
    claim = Claim("rounds", lambda p: p, lambda p, a: [x * (1 + p) for x in want], frozenset({"rounding"}))
    assert check(runner, claim, program, 1e-7, kind, arrays, want) is None
    assert check(runner, claim, program, 1e-4, kind, arrays, want) is not None
    exact = replace(claim, changes=frozenset())
    assert check(runner, exact, program, 1e-7, kind, arrays, want) is not None


@pytest.mark.parametrize("terms", [3, 100, 1000, 4000])
def test_a_sum_of_squares_may_lose_what_its_additions_do(terms):
    """n / 2 roundoffs of the sum of magnitudes, as many as one after the other loses in f32; not a hundred times as much."""
    program = lowered(lambda x: lnp.sum(x * x), np.ones(terms, "f"))
    for value in (0.1, 1 / 3, 0.7):
        arrays = [np.full(terms, np.float64(np.float32(value)))]
        runner = Runner()
        want = runner.outputs(program, arrays)
        (limit,) = tolerance(runner, program, arrays, want, F32)
        squares = arrays[0].astype(np.float32) ** 2
        lost = abs(float(np.cumsum(squares, dtype=np.float32)[-1]) - float(want[0]))
        assert lost <= limit and terms / 2 * F32.unit * want[0] <= limit <= max(terms, 128) * 4 * F32.unit * want[0]


def test_inputs_are_the_same_for_a_seed():
    program = lowered(lambda x, i: x[i], np.ones((4, 6), "f"), np.array([1, 2]))
    types = [program.buffers[n].type for n in program.inputs]
    for kind in KINDS:
        one, other, third = (generate(types, kind, seed) for seed in (3, 3, 4))
        assert all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(one, other, strict=True))
        assert any(not np.array_equal(a, b) for a, b in zip(one, third, strict=True))


def test_f32_is_widened_throughout():
    program = lowered(lambda x: nn.softmax(x * 2.5), np.ones((4, 6), "f"))
    for call in program.calls:
        wide = str(widen_kernel(call.kernel))
        assert "f64" in wide and "f32" not in wide
