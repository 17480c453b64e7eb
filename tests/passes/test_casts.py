"""Casts that become part of the products that need them: what is taken, what is not, and the numbers."""

from __future__ import annotations

import numpy as np
import pytest

import leptonc
from leptonc import driver, nn
from leptonc import numpy as lnp
from leptonc.ir.evaluate import evaluate
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Apply, Load
from leptonc.passes.loops.casts import TakeCasts
from leptonc.passes.loops.lower import lower_graph
from tests import models

F, H = np.float32, np.float16


def lowered(f, args):
    graph = leptonc.make_graph(f)(*args)
    return graph, driver.lower(driver.optimize(graph))


def only_casts(program, least=1):
    """The kernels that cast what they load, and do nothing else, of so many elements."""
    stages = [(c.kernel, s) for c in program.calls for s in c.kernel.stages]
    return [kernel for kernel, s in stages if len(s.insts) > 1 and all(
        isinstance(i, Load) or (isinstance(i, Apply) and i.op == "cast") for i in s.insts)
        and kernel.outputs[0].type.size >= least]


def agrees(f, args, rtol=2e-3):
    graph, program = lowered(f, args)
    for got, interpreted, wanted in zip(driver.compile_program(program)(args), run_program(program, args), evaluate(graph, args)):
        for found in (got, interpreted.reshape(wanted.shape)):
            np.testing.assert_allclose(found.astype(F), wanted.astype(F), rtol=rtol, atol=rtol)
    return program


def test_a_product_reads_what_a_cast_reads(rng):
    x, w = rng.standard_normal((32, 24)).astype(H), rng.standard_normal((24, 40)).astype(H)
    program = agrees(lambda x, w: lnp.matmul(x.astype(F), w.astype(F)), [x, w])
    (call,) = program.calls
    assert [p.type.dtype.name for p in call.kernel.inputs] == ["f16", "f16"]


def test_a_wide_operand_stays_as_it_is(rng):
    x, w = rng.standard_normal((32, 24)).astype(H), rng.standard_normal((24, 40)).astype(F)
    program = agrees(lambda x, w: lnp.matmul(x.astype(F), w), [x, w])
    (call,) = program.calls
    assert [p.type.dtype.name for p in call.kernel.inputs] == ["f16", "f32"]


def test_what_others_read_as_well_stays(rng):
    x, w = rng.standard_normal((32, 24)).astype(H), rng.standard_normal((24, 40)).astype(F)

    def f(x, w):
        wide = x.astype(F)
        return lnp.matmul(wide, w), wide

    program = agrees(f, [x, w])
    assert len(only_casts(program)) == 1
    product = next(c.kernel for c in program.calls if len(c.kernel.stages[0].reduce_axes) == 1)
    assert [p.type.dtype.name for p in product.inputs] == ["f16", "f32"]


def test_a_square_of_one_operand(rng):
    x = rng.standard_normal((24, 24)).astype(H)
    program = agrees(lambda x: lnp.matmul(x, x), [x])
    assert not only_casts(program) and len(program.calls) == 1


@pytest.mark.parametrize("padding", [0, 1])
def test_a_halo_is_of_the_narrow_numbers(padding, rng):
    x, w = rng.standard_normal((2, 9, 9, 16)).astype(H), rng.standard_normal((5, 5, 16, 16)).astype(H)
    program = agrees(lambda x, w: nn.conv(x, w, padding=padding), [x, w], rtol=1e-2)
    assert not only_casts(program)
    conv = next(c.kernel for c in program.calls if len(c.kernel.stages[0].reduce_axes) == 3)
    assert {p.type.dtype.name for p in conv.params} == {"f16"}


@pytest.mark.parametrize("shape", [(2, 12, 12, 16), (40, 8, 8, 16)])
def test_squares_transform_what_they_convert(shape, rng):
    """Winograd's tiles, and stages, and those of the weight gradient."""
    x, w = rng.standard_normal(shape).astype(H), (rng.standard_normal((3, 3, 16, 16)) / 12).astype(H)

    def f(x, w):
        return leptonc.grad(lambda x, w: lnp.sum(nn.conv(x, w, padding=1).astype(F) ** 2) / 8, (0, 1))(x, w)

    program = agrees(f, [x, w], rtol=2e-2)
    names = " ".join(c.kernel.name for c in program.calls)
    assert "winograd" in names
    assert not only_casts(program)


def test_narrow_sums_of_a_step_have_no_casts_of_their_own(rng):
    """f32 weights, cast to 16 bits in the step: activations and what the products read are as narrow in memory."""
    params = [(rng.standard_normal(s) / 8).astype(F) for s in ((784, 64), (64, 48))]
    x = rng.standard_normal((32, 784)).astype(H)

    def loss(a, b, x):
        y = nn.relu(lnp.matmul(x, a.astype(H)))
        return lnp.sum(lnp.matmul(y, b.astype(H)).astype(F) ** 2) / 1024

    def f(a, b, x):
        ga, gb = leptonc.grad(loss, (0, 1))(a, b, x)
        return a - ga, b - gb

    program = agrees(f, [*params, x], rtol=1e-2)
    assert not only_casts(program)
    products = [c for c in program.calls if any(len(s.reduce_axes) == 1 for s in c.kernel.stages)]
    read = [p.type for c in products for p in c.kernel.inputs]
    wide = [t for t in read if t.dtype.name == "f32" and t.shape not in ((784, 64), (64, 48))]
    assert len(products) == 5 and not wide


def test_programs_without_casts_are_the_same_object():
    graph = driver.optimize(leptonc.make_graph(models.loss)(models.init(), *models.batch()))
    program = lower_graph(graph, {})
    assert TakeCasts()(program) is program


def test_an_operand_that_is_read_in_two_shapes_keeps_them():
    """v [1, n] and its transpose are one buffer, seen in two shapes (found by the fuzzer)."""
    v = np.random.default_rng(1).standard_normal((1, 4)).astype(np.float16)
    for f in (lambda v: v @ lnp.matrix_transpose(v) + lnp.eye(1, dtype=v.dtype), lambda v: lnp.matrix_transpose(v) @ v):
        np.testing.assert_allclose(leptonc.jit(f)(v), np.asarray(f(v)), rtol=2e-3)
    g = leptonc.jit(lambda v: lnp.linalg.cholesky(v @ lnp.matrix_transpose(v) + lnp.eye(1, dtype=v.dtype)))
    np.testing.assert_allclose(g(v), np.sqrt(v.astype("f4") @ v.T.astype("f4") + 1), rtol=2e-3)
