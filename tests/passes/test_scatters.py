"""Scatter-adds of many updates in parts: the kernels, their results, bits for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver
from leptonc.ir import parse
from leptonc.ir.interpret import run_program
from leptonc.passes.loops.scatters import SplitScatters

PROGRAM = """program @p(b0, b1, b2) -> (b3) arena 0 {{
  b0: input f32[5,3]
  b1: input i64[48]
  b2: input f32[48,3]
  b3: output f32[5,3]
  call k0(b0, b1, b2, b3)
}}

k0 = kernel @scatter(in a0: f32[5,3], in a1: i64[48], in a2: f32[48,3], out r0: f32[5,3]) {{
  stage (i0: 5, i1: 3) {{
    %0 = load f32 a0[i0, i1]
    store r0[i0, i1] = %0
  }}
  stage (i2: 48, i3: 3) {{
    %0 = load i64 a1[i2]
    %1 = load f32 a2[i2, i3]
    store r0[{place}, i3] += %1{by} masked
  }}
}}
"""
EAGER = SplitScatters(updates=1, parts=(4,), repaid=1)


def test_parts_and_their_sum(rng):
    before = parse(PROGRAM.format(place="%0", by=""))
    after = EAGER(before)
    parts, joined = (call.kernel for call in after.calls)
    assert parts.stages[0].axes[0].extent == 4 and parts.outputs[0].init == 0
    assert [a.extent for a in joined.stages[0].reduce_axes] == [4]
    table, rows = (rng.integers(-9, 9, (n, 3)).astype(np.float32) for n in (5, 48))
    arrays = [table, rng.integers(-1, 7, 48), rows]
    np.testing.assert_array_equal(run_program(after, arrays)[0], run_program(before, arrays)[0])


@pytest.mark.parametrize("place, by", [("i2", ""), ("%0", " by max"), ("%0", " by set")], ids=["known", "max", "set"])
def test_other_scatters_stay_whole(place, by):
    before = parse(PROGRAM.format(place=place, by=by))
    assert EAGER(before) == before


def test_few_updates_stay_whole():
    before = parse(PROGRAM.format(place="%0", by=""))
    assert SplitScatters()(before) == before and SplitScatters(updates=1, parts=(8,), repaid=16)(before) == before


def test_many_rows_are_added_in_parts(rng):
    table, places = np.ones((60, 64), np.float32), rng.integers(-2, 70, 1 << 15)
    rows = rng.standard_normal((1 << 15, 64)).astype(np.float32)
    wanted = table.astype(np.float64)
    inside = (places >= -60) & (places < 60)
    np.add.at(wanted, places[inside], rows[inside])
    program = driver.lower(driver.optimize(leptonc.make_graph(lambda x, i, r: x.at[i].add(r))(table, places, rows)))
    assert any(call.kernel.name.endswith("_parts") for call in program.calls)
    run = driver.compile_program(program).executable
    one, *others = (run([table, places, rows], nthreads=n)[0] for n in (1, 2, 3))
    np.testing.assert_allclose(one, wanted, rtol=1e-4, atol=1e-3)
    for other in others:
        np.testing.assert_array_equal(one, other)
