"""Weight gradients of depthwise convolutions with a sum for each tap: what is written out, what is not, and the numbers."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc import numpy as lnp
from leptonc.ir.evaluate import evaluate
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Reduce
from leptonc.passes.loops.taps import WriteOutTaps
from leptonc.target import TARGETS

F = np.float32


def lowered(f, args, **options):
    graph = leptonc.make_graph(f)(*args)
    return graph, driver.lower(driver.optimize(graph), {}, driver.Options(**options))


def sums(program):
    """Of every stage, how many there are."""
    return [sum(isinstance(i, Reduce) for i in s.insts) for c in program.calls for s in c.kernel.stages]


def depthwise(stride, groups):
    def f(w, x):
        return lnp.sum(nn.conv(x, w, stride=stride, padding=1, groups=groups) ** 2)

    return leptonc.grad(f)


@pytest.mark.parametrize("shape", [(2, 13, 13, 16), (3, 12, 14, 24), (8, 32, 32, 8)], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
def test_taps_are_summed_side_by_side(rng, shape, stride):
    args = [rng.standard_normal(s).astype(F) for s in ((3, 3, 1, shape[-1]), shape)]
    graph, program = lowered(depthwise(stride, shape[-1]), args)
    assert max(sums(program)) == 9
    wanted = evaluate(graph, args)
    np.testing.assert_allclose(run_program(program, args)[0], wanted[0], rtol=2e-4, atol=1e-3)
    np.testing.assert_allclose(driver.compile_program(program)(args)[0], wanted[0], rtol=2e-4, atol=1e-3)


def test_code_for_every_target_is_made(rng):
    args = [rng.standard_normal(s).astype(F) for s in ((3, 3, 1, 20), (2, 9, 9, 20))]
    _, program = lowered(depthwise(1, 20), args)
    for target in TARGETS.values():
        assert driver.Compiled(program, target).llvm_text()


def test_an_update_behind_the_gradient_is_written_out_with_it(rng):
    args = [rng.standard_normal(s).astype(F) for s in ((3, 3, 1, 16), (2, 9, 9, 16))]
    graph, program = lowered(lambda w, x: w - 0.1 * depthwise(1, 16)(w, x), args)
    assert max(sums(program)) == 9
    np.testing.assert_allclose(driver.compile_program(program)(args)[0], evaluate(graph, args)[0], rtol=2e-4, atol=1e-3)


@pytest.mark.parametrize("w, x, groups", [
    ((3, 3, 8, 16), (2, 9, 9, 8), 1),  # a product of matrices
    ((3, 3, 2, 16), (2, 9, 9, 16), 8),  # one for each group
    ((5, 5, 1, 16), (2, 9, 9, 16), 16),  # more taps than there are registers
    ((3, 3, 1, 4), (2, 9, 9, 4), 4),  # no channels to fill a vector with
], ids=str)
def test_others_are_left_alone(rng, w, x, groups):
    args = [rng.standard_normal(s).astype(F) for s in (w, x)]

    def f(w, x):
        return leptonc.grad(lambda w: lnp.sum(nn.conv(x, w, padding=1, groups=groups) ** 2))(w)

    _, program = lowered(f, args, disable=frozenset({"write-out-taps"}))
    assert WriteOutTaps()(program) == program


def test_a_number_is_no_image(rng):
    """A product of one number with an image is summed over other axes than it has: there are none."""
    c, x = F(1.5), rng.standard_normal((2, 9, 11, 5)).astype(F)

    def f(c, x):
        return lnp.tensordot(lnp.broadcast_to(c, (3, 2, 9, 11)), x, 3)

    graph, program = lowered(f, (c, x))
    for got, wanted in zip(run_program(program, [c, x]), evaluate(graph, [np.asarray(c), x]), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
