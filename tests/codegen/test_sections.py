"""Long steps are cut in sections: the same results, on any number of threads, with and without looks, as one function gives."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver
from leptonc import numpy as lnp
from leptonc.codegen.step import emit
from leptonc.codegen.step import step as steps


def chain(x, w):
    """Products that cannot be fused, of two shapes, and small serial sums between."""
    sums = []
    for n in range(12):
        x = lnp.tanh(x @ w[n])
        sums.append(lnp.sum(x * n))
    return x, lnp.stack(sums)


@pytest.mark.parametrize("lasting", [False, True])
def test_sections_give_what_one_function_does(monkeypatch, rng, lasting):
    x, w = rng.standard_normal((48, 64)).astype(np.float32), rng.standard_normal((12, 64, 64)).astype(np.float32)
    if lasting:
        monkeypatch.setattr(steps, "LONG_COST", 1)
        monkeypatch.setattr(steps, "LOOK_COST", 40_000)
    program = driver.lower(driver.optimize(leptonc.make_graph(chain)(x, w)))
    whole = driver.compile_program(program)
    monkeypatch.setattr(emit, "SECTION_LAUNCHES", 3)
    monkeypatch.setattr(emit, "WHOLE_LAUNCHES", 3)
    cut = driver.compile_program(program)
    text = cut.llvm_text()
    assert "call void @step.1(ptr %ctx)" in text and "call void @step.1(ptr %ctx)" not in whole.llvm_text()
    assert ".part(" in text
    for threads in (1, 2, 3):
        for one, other in zip(whole.executable([x, w], nthreads=threads), cut.executable([x, w], nthreads=threads)):
            np.testing.assert_array_equal(one, other)
