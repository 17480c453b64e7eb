"""Every op with every sample: type, Kernel, expansion, gradients, machine code against the eager meaning."""

from __future__ import annotations

import numpy as np
import pytest

from leptonc import driver
from leptonc.ir.builder import Builder
from leptonc.ir.evaluate import evaluate
from leptonc.ir.graph import Graph
from leptonc.ir.interpret import run_kernel
from leptonc.ir.op import all_ops
from leptonc.ir.reader import parse
from leptonc.ir.types import f64
from leptonc.ir.verify import verify, verify_kernel
from leptonc.passes.graph.expand import Expand
from tests.ops.sweep import EITHER_ZERO, FREE_SIGNS, NOT_UNIQUE, Case, assert_close, cases, joined, signed_zeros

TOGETHER = 8  # samples in one program, at most
CASES, SMOOTH = cases(), cases(differentiable=True)


def test_every_op_has_samples_and_one_way_down():
    for op in all_ops().values():
        if op.regional:  # it has samples where its regions are made: test_control.py, test_custom_rules.py ...
            assert not op.lowers, op.name
            continue
        if op.views or op.tabulated:  # the same memory under another type; numbers known when a program is compiled
            assert op.samples() and not op.lowers and not op.expands, op.name
            continue
        assert op.samples(), op.name
        assert op.lowers != op.expands, op.name


def _zero_cases() -> set[str]:
    """Up to three samples of each op that takes floats."""
    found: dict[str, list[str]] = {}
    for case in CASES:
        floats = any(np.asarray(a).dtype.kind == "f" and np.size(a) for a in case.arrays(np.random.default_rng(0)))
        if floats and case.op.name not in NOT_UNIQUE | FREE_SIGNS and case.dtype == "float32" and \
                case.sample.name not in ("special", "nan"):
            found.setdefault(case.op.name, []).append(str(case))
    return {case for own in found.values() for case in own[-3:]}


ZEROS = _zero_cases()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_type_text_and_kernel_are_those_of_the_eager_meaning(case: Case):
    """The inferred type, the graph's text, the kernel or the expansion: one test, for there are thousands of samples."""
    arrays = case.arrays(np.random.default_rng(case.seed))
    graph = case.graph(arrays)
    _inferred_type_is_the_eager_one(case, arrays)
    _graph_prints_and_parses_back(graph)
    if case.op.lowers:
        _interpreted_kernel_is_the_eager_meaning(case, arrays)
    if case.op.expands:
        _expansion_is_the_eager_meaning(graph, arrays)


def _inferred_type_is_the_eager_one(case: Case, arrays: list[np.ndarray]) -> None:
    out = case.op.eager(*arrays, **case.sample.attrs)
    inferred = case.op.infer(*case.types(arrays), **case.sample.attrs)
    for result, type_ in zip(out if isinstance(out, tuple) else (out,),
                             inferred if isinstance(inferred, tuple) else (inferred,)):
        assert (result.shape, result.dtype) == (type_.shape, type_.dtype.numpy)


def _graph_prints_and_parses_back(graph: Graph) -> None:
    verify(graph)
    assert str(parse(str(graph))) == str(graph)


def _interpreted_kernel_is_the_eager_meaning(case: Case, arrays: list[np.ndarray]) -> None:
    kernel = case.op.lower(*case.types(arrays), **case.sample.attrs)
    verify_kernel(kernel)
    assert str(parse(str(kernel))) == str(kernel)
    wanted = case.op.eager(*arrays, **case.sample.attrs)
    for got, expected in zip(run_kernel(kernel, arrays), wanted if isinstance(wanted, tuple) else (wanted,)):
        assert_close(got.reshape(expected.shape), expected, signs=case.op.name not in EITHER_ZERO)


def _expansion_is_the_eager_meaning(graph: Graph, arrays: list[np.ndarray]) -> None:
    expanded = Expand()(graph)
    verify(expanded)
    for got, wanted in zip(evaluate(expanded, arrays), evaluate(graph, arrays)):
        assert_close(got, wanted, signs=True)


def _of_one_program() -> dict[str, list[Case]]:
    """Samples of one op in one dtype, some of them to a program: most of what a small one takes to compile is not its kernels'."""
    own: dict[str, list[Case]] = {}
    for case in CASES:
        own.setdefault(f"{case.op.name}-{case.dtype}", []).append(case)
    return {f"{name}-{n}": cases[n:n + TOGETHER] for name, cases in own.items() for n in range(0, len(cases), TOGETHER)}


@pytest.mark.parametrize("cases", [pytest.param(cases, id=name) for name, cases in _of_one_program().items()])
def test_compiled_is_the_eager_meaning(cases: list[Case]):
    """Each sample's own inputs and outputs; then those of floats again with zeros alone."""
    rngs = [np.random.default_rng(case.seed) for case in cases]
    arrays = [case.arrays(rng) for case, rng in zip(cases, rngs)]
    graphs = [case.graph(given) for case, given in zip(cases, arrays)]
    compiled = driver.compile_program(driver.lower(driver.optimize(joined(graphs))))
    _assert_all_are_eager(compiled, cases, graphs, arrays)
    for both in (False, True):
        zeros = [_with_zeros(given, rng, both) if str(case) in ZEROS else given for case, rng, given in zip(cases, rngs, arrays)]
        if any(str(case) in ZEROS for case in cases):
            _assert_all_are_eager(compiled, cases, graphs, zeros, negative=not both)
            _assert_uncompiled_are_eager(cases, graphs, zeros, negative=not both)


def _assert_all_are_eager(compiled: driver.Compiled, cases: list[Case], graphs: list[Graph], arrays: list[list[np.ndarray]],
                          negative: bool = False) -> None:
    got = iter(compiled([a for given in arrays for a in given]))
    for case, graph, given in zip(cases, graphs, arrays):
        for wanted in evaluate(graph, given):
            assert_close(next(got), wanted, str(case), signs=_signs_are_told(case, negative))
    assert not [*got]


def _assert_uncompiled_are_eager(cases: list[Case], graphs: list[Graph], arrays: list[list[np.ndarray]],
                                 negative: bool) -> None:
    """Kernels or expansions of zeros."""
    for case, graph, given in zip(cases, graphs, arrays):
        if str(case) not in ZEROS:
            continue
        if case.op.lowers:
            found = run_kernel(case.op.lower(*case.types(given), **case.sample.attrs), given)
        else:
            found = evaluate(Expand()(graph), given)
        for got, wanted in zip(found, evaluate(graph, given)):
            assert_close(got.reshape(wanted.shape), wanted, str(case), signs=_signs_are_told(case, negative))


def _with_zeros(arrays: list[np.ndarray], rng: np.random.Generator, both: bool) -> list[np.ndarray]:
    """-0.0 alone, or zeros of both signs, in the place of floats."""
    return [signed_zeros(a.shape, rng, both).astype(a.dtype) if a.dtype.kind == "f" else a for a in arrays]


def _signs_are_told(case: Case, negative: bool) -> bool:
    """``negative``: zeros are all -0.0, where the case has zeros."""
    return case.op.name not in EITHER_ZERO or (negative and str(case) in ZEROS)


def _scalar_graph(graph: Graph, rng: np.random.Generator) -> Graph:
    """The sum of all float outputs, each weighted at random, of a graph."""
    builder = Builder(graph.name)
    values = [builder.input(t) for t in graph.input_types]
    total = builder.constant(np.float64(0))
    for out in builder.inline(graph, values):
        if out.dtype == f64:
            weighted = out * builder.constant(rng.standard_normal(out.shape))
            total = total + builder.emit("sum", (weighted,), {"axes": tuple(range(out.type.rank))})
    return builder.finish([total])


def _gradient(graph: Graph) -> Graph:
    """Gradients of a one-output graph for all its inputs."""
    differentiated = driver.differentiate(graph, tuple(range(len(graph.inputs))))
    builder = Builder("gradient")
    values = [builder.input(t) for t in graph.input_types]
    return builder.finish(builder.inline(differentiated, [*values, builder.constant(np.float64(1))])[1:])


def _check_gradient(graph: Graph, arrays: list[np.ndarray], rng: np.random.Generator, limit: float) -> Graph:
    """Directional derivatives against central differences."""
    gradient = _gradient(graph)
    verify(gradient)
    floats = [n for n, t in enumerate(graph.input_types) if t.dtype == f64]
    directions = {n: rng.standard_normal(arrays[n].shape) for n in floats}
    step = 1e-6
    ends = []
    for sign in (1, -1):
        moved = [a + sign * step * directions[n] if n in directions else a for n, a in enumerate(arrays)]
        ends.append(float(evaluate(graph, moved)[0]))
    wanted = (ends[0] - ends[1]) / (2 * step)
    found = evaluate(gradient, arrays)
    got = sum(float(np.sum(found[n] * directions[n])) for n in floats)
    scale = max(1.0, abs(wanted), sum(float(np.sum(np.abs(found[n] * directions[n]))) for n in floats))
    assert abs(got - wanted) <= limit * scale, (got, wanted)
    return gradient


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_gradient_is_that_of_finite_differences_twice(case: Case):
    rng = np.random.default_rng(case.seed)
    arrays = case.arrays(rng)
    graph = _scalar_graph(case.graph(arrays), rng)
    gradient = _check_gradient(graph, arrays, rng, 1e-7)
    floats = any(t.dtype == f64 for t in gradient.output_types)
    if floats and arrays:
        _check_gradient(_scalar_graph(gradient, rng), arrays, rng, 1e-6)


def _directions(graph: Graph, arrays: list[np.ndarray], rng: np.random.Generator) -> dict[int, np.ndarray]:
    """A random tangent for each float input."""
    return {n: rng.standard_normal(arrays[n].shape) for n, t in enumerate(graph.input_types) if t.dtype == f64}


def _moved(graph: Graph, arrays: list[np.ndarray], directions: dict[int, np.ndarray], step: float) -> list[np.ndarray]:
    """The float outputs with the inputs moved along ``directions``."""
    found = evaluate(graph, [a + step * directions[n] if n in directions else a for n, a in enumerate(arrays)])
    return [x for x, t in zip(found, graph.output_types) if t.dtype == f64]


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_tangents_are_those_of_finite_differences_and_adjoint_to_cotangents(case: Case):
    """jvp against central differences; <c, J t> == <J' c, t>."""
    rng = np.random.default_rng(case.seed)
    arrays = case.arrays(rng)
    graph = case.graph(arrays)
    directions = _directions(graph, arrays, rng)
    pushed = driver.forward(graph, tuple(directions))
    verify(pushed)
    tangents = evaluate(pushed, [*arrays, *directions.values()])[len(graph.outputs):]
    step = 1e-6
    for got, high, low in zip(tangents, *(_moved(graph, arrays, directions, s * step) for s in (1, -1)), strict=True):
        wanted = (high - low) / (2 * step)
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(wanted).max(initial=0)))
    cotangents = [rng.standard_normal(t.shape) for t in tangents]
    pulled = evaluate(driver.differentiate(graph, tuple(directions)), [*arrays, *cotangents])[len(graph.outputs):]
    there = sum(float(np.sum(a * b)) for a, b in zip(cotangents, tangents))
    back = sum(float(np.sum(a * b)) for a, b in zip(pulled, directions.values()))
    scale = sum(float(np.sum(np.abs(a * b))) for a, b in zip(cotangents, tangents))
    assert abs(there - back) <= 1e-12 * max(1.0, scale), (there, back)


@pytest.mark.parametrize("case", [c for c in SMOOTH if c.sample is c.op.samples()[1 % len(c.op.samples())]
                                  or c.sample.name == "shape(3,)"], ids=str)
def test_second_derivatives_of_both_modes_agree(case: Case):
    """Forward over reverse, reverse over forward, and forward over forward, in one direction for each."""
    rng = np.random.default_rng(case.seed)
    arrays = case.arrays(rng)
    graph = _scalar_graph(case.graph(arrays), rng)
    directions = _directions(graph, arrays, rng)
    wrt, given = tuple(directions), list(directions.values())
    one = np.ones(())

    def along(gradients: list[np.ndarray]) -> float:
        return sum(float(np.sum(g * d)) for g, d in zip(gradients, given))

    pushed = driver.forward(graph, wrt)
    twice = evaluate(driver.forward(pushed, wrt), [*arrays, *given, *given])[3]
    reverse = driver.forward(driver.differentiate(graph, wrt), wrt)
    forward_over_reverse = along(evaluate(reverse, [*arrays, one, *given])[-len(wrt):])
    behind = driver.differentiate(pushed, wrt)
    reverse_over_forward = along(evaluate(behind, [*arrays, *given, np.zeros(()), one])[2:])
    scale = max(1.0, abs(float(twice)))
    assert abs(twice - forward_over_reverse) <= 1e-8 * scale and abs(twice - reverse_over_forward) <= 1e-8 * scale
