"""The step as data: no races in what the builder makes, planted ones found, and its interpreter agrees with the program's."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest

import leptonc
from leptonc import lax, nn, optim
from leptonc import numpy as lnp
from leptonc.bench import systems
from leptonc.bench.cases import CASES
from leptonc.codegen.step import build, interleave, units
from leptonc.codegen.step.build import build_step
from leptonc.codegen.step.disjoint import Span, all_disjoint, disjoint
from leptonc.codegen.step.interpret import ORDERS, run_step
from leptonc.codegen.step.step import FILES, Barrier, Blocks, Launch, Parallel, Region, Serial, Statement, Step, Term
from leptonc.codegen.step.verify import linears, race_check, verify_step
from leptonc.errors import IRError, LeptonError
from leptonc.ir.interpret import run_program
from leptonc.ir.kernel import Program
from leptonc.target import AVX512, SSE, TARGETS
from tests import models
from tests.codegen.test_interleave import network
from tests.fuzz import generate
from tests.fuzz.program import build as built
from tests.fuzz.worker import has_no_derivative

GENERATED = 40
INTERPRETED, MOST_WORK = 25, 3000


@functools.cache
def case(name: str) -> Program:
    """The kernels of a benchmark's step."""
    jitted, args = (systems.training_step if CASES[name].training else systems.forward)(CASES[name])
    return lowered(jitted, *args)


def lowered(f: Any, *args: Any, **options: Any) -> Program:
    jitted = f if hasattr(f, "trace") else leptonc.jit(f, **options)
    program: Program = jitted.trace(*args).lower().program
    return program


def loop(name: str, normal: Any) -> Program:
    """One whose body is for one thread, with a branch in it, and one that all threads share."""
    if name == "loop":
        return lowered(leptonc.grad(looped), normal(5, 7), normal(6, 4, 5), normal(4, 7))
    return lowered(lambda w, h, xs: lax.scan(lambda h, x: (nn.tanh(h @ w + x), lnp.sum(h, 1)), h, xs), normal(160, 160),
                   normal(96, 160), normal(2, 96, 160))


def batches(name: str, normal: Any) -> Program:
    """Items of both units begin with an axis, but each row of the second reads all of the first; both read the same rows of an
    operand, but the second another one of the first's."""
    if name == "transposed batches":
        return lowered(lambda a, b, c: (a @ b).transpose(1, 0, 2) @ c, normal(16, 64, 48), normal(16, 48, 64), normal(64, 64, 32))
    return lowered(lambda a, b: lnp.flip(a @ b, 0) * a, normal(16, 64, 64), normal(16, 64, 64))


@functools.cache
def small(name: str) -> Program:
    """Programs small enough to interpret, that have packed operands, panels, tiles, blocks, routed sums, donations in place."""
    rng = np.random.default_rng(3)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    if name == "network":
        step, args = network(rng, 16)
        return lowered(step, *args, donate_argnums=(0, 1))
    if name == "blocks":
        return lowered(convolutions, normal(16, 16, 16, 8), normal(3, 3, 8, 4), normal(3, 3, 4, 8))
    if name == "donated":
        return lowered(lambda p, g: (p - 0.1 * g, (p * g).sum()), normal(64, 600), normal(64, 600), donate_argnums=0)
    if name == "products":
        return lowered(lambda x, w, v: nn.relu(x @ w) @ v.T, normal(96, 200), normal(200, 130), normal(170, 130))
    if name == "packed":
        return lowered(lambda x, w: x @ w.T, normal(64, 512), normal(256, 512))
    if "batches" in name:
        return batches(name, normal)
    if name == "routed":
        return lowered(leptonc.grad(routed, argnums=(0, 1)), normal(4, 14, 14, 16), normal(3, 3, 16, 16))
    if name == "looked up":
        return lowered(leptonc.grad(routed, argnums=1), normal(4, 16, 16, 1), normal(3, 3, 1, 32))
    if "loop" in name:
        return loop(name, normal)
    if name == "scattered":
        return lowered(lambda x, i, v: x.at[i].add(v) * 2, normal(300, 200), rng.integers(0, 300, 90), normal(90, 200))
    return model() if name == "model" else whole_rows(name, normal)


def whole_rows(name: str, normal: Any) -> Program:
    """Kernels without stages."""
    if name == "prefixes":
        return lowered(lambda x: lnp.cumsum(lax.cummax(x, 1), 0), normal(9000, 5))
    return lowered(lambda x: (lnp.sort(x, 0), lax.top_k(x.T * 2, 5)), normal(300, 18))


def model() -> Program:
    return lowered(models.step, *models.arguments(), donate_argnums=(0, 1))


def convolutions(x: Any, w: Any, v: Any) -> Any:
    return nn.relu(nn.conv(nn.relu(nn.conv(x, w, padding=1)), v, padding=1))


def routed(x: Any, w: Any) -> Any:
    return lnp.sum(nn.max_pool(nn.relu(nn.conv(x, w, padding=1)), 2) ** 2)


def looped(w: Any, xs: Any, h: Any) -> Any:
    def trip(h: Any, x: Any) -> Any:
        h = lax.cond(lnp.sum(x) > 0, lambda h: nn.tanh(h + x @ w), lambda h: h * 0.5, h)
        return h, h * h

    h, ys = lax.scan(trip, h, xs)
    return lnp.sum(h) + lnp.sum(ys)


SMALL = ("loop", "shared loop", "network", "blocks", "donated", "products", "transposed batches", "packed", "routed", "looked up",
         "scattered", "sorted", "prefixes", "model", "reversed batches")


def generated(seed: int) -> tuple[Program, list[np.ndarray]]:
    """A program of the fuzzer, and its arguments; another one if it asks for a gradient that there is none of."""
    made = built(generate.program(seed))
    try:
        return lowered(made.call, *made.args), [np.array(leaf) for leaf in leptonc.tree.leaves(made.args)]
    except LeptonError as error:
        assert has_no_derivative(error), error
        return generated(seed + GENERATED)


def inputs(program: Program, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)

    def array(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        return rng.standard_normal(shape).astype(dtype) if dtype.kind == "f" else rng.integers(0, 2, shape).astype(dtype)

    return [array(program.buffers[n].type.shape, np.dtype(program.buffers[n].type.dtype.numpy)) for n in program.inputs]


def test_small_programs_have_all_kinds_of_units():
    found = {type(unit.schedule) for name in SMALL for unit in build_step(small(name), AVX512).units}
    assert found == set(FILES)


# No races


@pytest.mark.parametrize("name", CASES)
def test_benchmarks_have_no_races(name):
    for target in (AVX512, SSE):
        verify_step(build_step(case(name), target))


@pytest.mark.parametrize("name", SMALL)
def test_small_programs_have_no_races(name):
    for target in TARGETS.values():
        verify_step(build_step(small(name), target))


@pytest.mark.filterwarnings("ignore::leptonc.notices.LeptonWarning")  # programs mix dtypes
def test_generated_programs_have_no_races():
    for seed in range(GENERATED):
        verify_step(build_step(generated(seed)[0], AVX512))


# Barriers


def without_a_barrier(body: tuple[Statement, ...]) -> Iterator[tuple[tuple[Statement, ...], Barrier]]:
    """Bodies that lack one barrier each."""
    for n, statement in enumerate(body):
        if isinstance(statement, Barrier):
            yield (*body[:n], *body[n + 1:]), statement
        if isinstance(statement, Blocks):
            for otherwise, barrier in without_a_barrier(statement.otherwise):
                yield (*body[:n], replace(statement, otherwise=otherwise), *body[n + 1:]), barrier


@pytest.mark.parametrize("name", [*SMALL, *CASES])
def test_every_barrier_is_needed(name):
    step = build_step(small(name) if name in SMALL else case(name), AVX512)
    check = race_check(step)
    check(step.body)
    for body, barrier in without_a_barrier(step.body):
        with pytest.raises(IRError, match="race: no barrier between"):
            check(body), barrier


def test_barriers_are_found_necessary_by_running(rng):
    """Without one, some order of two threads changes what a step computes."""
    step = build_step(small("products"), AVX512)
    arrays = inputs(step.program)
    right = run_step(step, arrays)
    bodies = [body for body, _ in without_a_barrier(step.body)]
    assert bodies
    for body in bodies:
        runs = [run_step(replace(step, body=body), arrays, 2, order) for order in ORDERS]
        assert any(not np.array_equal(a, b) for run in runs for a, b in zip(run, right)), body


def test_a_filled_border_needs_no_barrier_before_what_it_surrounds():
    step = build_step(case("vgg-small"), AVX512)
    bodies = [step.body, *(s.otherwise for s in step.body if isinstance(s, Blocks))]
    pairs = [(one.launch, other.launch) for body in bodies for one, other in pairwise(body)
             if isinstance(one, Parallel) and isinstance(other, Parallel)]
    assert [pair for pair in pairs if step.launches[pair[0]].unit.border and
            step.launches[pair[0]].call == step.launches[pair[1]].call]


# Planted faults in a step


def some(step: Step, kind: type) -> Any:
    return next(s for s in step.body if isinstance(s, kind))


def with_unit(step: Step, number: int, **changes: Any) -> Step:
    """A launch's unit changed, wherever it stands."""
    old = step.launches[number].unit
    new = replace(old, **changes)
    launches = tuple(replace(launch, unit=new) if launch.unit == old else launch for launch in step.launches)
    return replace(step, units=tuple(new if u == old else u for u in step.units), launches=launches)


def parallel_writes(step: Step) -> Iterator[tuple[int, Region]]:
    for number, launch in enumerate(step.launches):
        for region in launch.unit.regions:
            if region.write and not launch.serial and any(d.count > 1 for d in launch.unit.digits):
                yield number, region


@pytest.mark.parametrize("name", ["products", "routed", "blocks"])
def test_a_wider_region_of_writes_is_found(name):
    """By one element, in each direction that an item has neighbours in."""
    step = build_step(small(name), SSE)
    writes = list(parallel_writes(step))
    assert writes
    for number, region in writes:
        unit = step.launches[number].unit
        split = {d.axis for d in unit.digits if d.count > 1}
        for term in (t for t in region.terms if t.axis in split):
            wide = replace(region, terms=(*region.terms, Term("", term.stride, 2)))
            regions = tuple(wide if r == region else r for r in unit.regions)
            with pytest.raises(IRError):
                verify_step(with_unit(step, number, regions=regions))


def test_wider_blocks_are_found():
    """More launches in a group, fewer of them, other numbers of blocks, a read that reaches into the next block."""
    step = build_step(small("blocks"), AVX512)
    groups = [n for n, s in enumerate(step.body) if isinstance(s, Blocks)]
    assert groups
    for n in groups:
        group = step.body[n]
        assert isinstance(group, Blocks)
        verify_step(step)
        outside = next(k for k, launch in enumerate(step.launches) if k not in group.launches and launch.unit.digits)
        for changed in (replace(group, launches=(*group.launches, outside)), replace(group, launches=group.launches[:-1]),
                        replace(group, count=group.count * 5), replace(group, launches=group.launches[::-1])):
            with pytest.raises(IRError):
                verify_step(replace(step, body=(*step.body[:n], changed, *step.body[n + 1:])))
        for number in group.launches:
            unit = step.launches[number].unit
            shared = {p.name for k in group.launches for p, b in zip(unit.kernel.params, step.launches[number].args)
                      if k != number and b in written(step.launches[k])}
            for region in (r for r in unit.regions if not r.write and r.buffer in shared):
                far = replace(region, terms=tuple(replace(t, axis="") for t in region.terms))
                with pytest.raises(IRError, match="race"):
                    verify_step(with_unit(step, number, regions=tuple(far if r == region else r for r in unit.regions)))


def written(launch: Launch) -> set[int]:
    return {n for p, n in zip(launch.unit.kernel.params, launch.args) if p.name in launch.unit.writes}


@pytest.mark.parametrize("name", ["blocks", "routed"])
def test_a_temporary_moved_onto_a_live_one_is_found(name):
    """The builder puts barriers between them; what is read is wrong all the same."""
    program = small(name)
    temps = [n for n, b in enumerate(program.buffers) if b.kind == "temp"]
    found = 0
    for one in temps:
        for other in temps:
            if one != other and alive_together(program, one, other):
                offset = program.buffers[other].offset
                buffers = tuple(replace(b, offset=offset) if n == one else b for n, b in enumerate(program.buffers))
                moved = replace(program, buffers=buffers, arena_bytes=2 * program.arena_bytes)
                with pytest.raises(IRError, match=r"reads|overwrites|overwritten|race"):
                    verify_step(build_step(moved, AVX512))
                found += 1
    assert found


def alive_together(program: Program, one: int, other: int) -> bool:
    """Whether a call writes the one while the other is needed; no kernel here can do so in place."""
    def life(number: int) -> tuple[int, int]:
        calls = [n for n, call in enumerate(program.calls) if number in call.args]
        return min(calls), max(calls)

    (a, b), (c, d) = life(one), life(other)
    return max(a, c) <= min(b, d)


def test_a_donated_output_written_early_is_found():
    """Its input is read later."""
    ones = np.ones((96, 96), np.float32)
    program = lowered(lambda p, g: (p - 0.1 * g, p @ g), ones, ones)
    updated = program.outputs[0]
    buffers = tuple(replace(b, donated=program.inputs[0]) if n == updated else b for n, b in enumerate(program.buffers))
    for calls in (program.calls, program.calls[::-1]):
        donating = replace(program, buffers=buffers, calls=calls)
        if updated in calls[-1].args:
            verify_step(build_step(donating, AVX512))
            continue
        with pytest.raises(IRError, match=r"reads b\d+ after"):
            verify_step(build_step(donating, AVX512))


def test_a_result_in_place_of_what_other_points_read_is_found():
    """Rows are turned round: each point overwrites what another one reads."""
    program = lowered(lambda x: lnp.flip(x, 1) * 2, np.ones((64, 600), np.float32))
    buffers = tuple(replace(b, donated=program.inputs[0]) if n == program.outputs[0] else b for n, b in enumerate(program.buffers))
    with pytest.raises(IRError, match=r"overwrites|race"):
        verify_step(build_step(replace(program, buffers=buffers), AVX512))


def test_other_faults_are_found():
    step = build_step(small("blocks"), AVX512)
    group = some(step, Blocks)
    verify_step(step)
    alone = build_step(small("products"), AVX512)
    parallel = next(n for n, s in enumerate(alone.body) if isinstance(s, Parallel))
    wrong = [
        replace(alone, body=tuple(s for n, s in enumerate(alone.body) if n != parallel)),  # a launch is missing
        replace(alone, body=(*alone.body, alone.body[parallel])),  # or stands twice
        replace(alone, body=alone.body[::-1]),
        replace(alone, body=tuple(Serial((s.launch,)) if isinstance(s, Parallel) else s for s in alone.body)),
        replace(alone, panels_at=alone.arena_bytes),
        replace(alone, memory=(*alone.memory[1:], alone.memory[0])),
        replace(step, local_bytes=-1),
        replace(step, body=tuple(replace(s, otherwise=s.otherwise[:1]) if s is group else s for s in step.body)),
    ]
    for planted in wrong:
        with pytest.raises(IRError):
            verify_step(planted)


# Planted faults in the builder


def other_memory(program: Program, number: int) -> Any:
    """A donated input and its output seen as different memory."""
    memory = original["_memory"](program, number)
    return replace(memory, block=f"b{number}") if memory.block != "arena" else memory


original = {name: getattr(build, name) for name in ("_memory", "_touches")}

PLANTED: dict[str, tuple[Any, str, Any]] = {
    "donated input and output seen as different memory": (build, "_memory", other_memory),
    "writes alone count": (build, "_touches", lambda *a: tuple(t for t in original["_touches"](*a) if t.write)),
    "panels do not count": (build, "_touches", lambda launch, memory, at: original["_touches"](
        replace(launch, unit=replace(launch.unit, regions=tuple(r for r in launch.unit.regions if r.buffer))), memory, at)),
    "the arena does not count": (interleave.Touch, "conflicts", lambda a, b: (a.write or b.write) and a.memory.block != "arena"
                                 and a.memory.meets(b.memory)),
    "reads behind writes do not count": (interleave.Touch, "conflicts", lambda a, b: b.write and a.memory.meets(b.memory)),
    "two writes do not conflict": (interleave.Touch, "conflicts", lambda a, b: a.write != b.write and a.memory.meets(b.memory)),
    "all is rows": (interleave, "in_rows", lambda region, digit, unit: True),
    "nothing crosses": (interleave.Touch, "crosses", lambda a, b: False),
    "borders everywhere": (interleave.Touch, "_beside", lambda a, b: a.memory == b.memory),
    "nothing depends": (interleave.Group, "depends", lambda group, run: False),
    "serial ones never wait": (build._Body, "_barrier", lambda body, numbers, pending, serial: None if serial else
                               BARRIER(body, numbers, pending, serial)),
    "parallel ones do not wait for serial ones": (build._Body, "_barrier", lambda body, numbers, pending, serial:
                                                  BARRIER(body, numbers, pending, True)),
    "every unit is parallel": (build, "SERIAL_COST", 0),
    "contractions touch one row": (units, "contraction_regions", lambda *a: [
        replace(r, terms=r.terms[:1]) for r in CONTRACTION(*a) if r.write]),
}
BARRIER, CONTRACTION = build._Body._barrier, units.contraction_regions
# Slower, not wrong: the verifier does not ask the builder. And between two writes of the same bytes something reads the first ones.
HARMLESS = {"every unit is parallel", "two writes do not conflict"}


@pytest.mark.parametrize("fault", PLANTED)
def test_a_fault_of_the_builder_is_found(fault, monkeypatch):
    place, name, planted = PLANTED[fault]
    monkeypatch.setattr(place, name, planted)
    programs = chain(map(small, SMALL), map(case, ("lenet-28", "vgg-small")))
    assert any(map(is_refused, programs)) != (fault in HARMLESS)


def is_refused(program: Program) -> bool:
    try:
        verify_step(build_step(program, AVX512))
    except IRError:
        return True
    return False


# The interpreter


@pytest.mark.parametrize("target", [AVX512, SSE], ids=["avx512", "sse"])
@pytest.mark.parametrize("name", [n for n in SMALL if n != "network"])
def test_the_step_computes_what_the_program_says(name, target):
    program = small(name)
    arrays = inputs(program)
    given = [array.copy() for array in arrays]
    wanted = run_program(program, arrays)
    step = build_step(program, target)
    for threads, order in ((1, "forward"), (2, "backward"), (3, "interleaved")):
        for got, want in zip(run_step(step, arrays, threads, order), wanted, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)
    for before, after in zip(given, arrays):
        np.testing.assert_array_equal(before, after)


@pytest.mark.filterwarnings("ignore::leptonc.notices.LeptonWarning")  # programs mix dtypes
@pytest.mark.parametrize("seed", range(INTERPRETED))
def test_generated_steps_compute_what_their_programs_say(seed):
    program, arrays = generated(seed)
    step = build_step(program, AVX512)
    if work(step) > MOST_WORK:
        return
    with np.errstate(all="ignore"):
        wanted = run_program(program, arrays)
    for threads, order in ((1, "forward"), (2, "backward")):
        for got, want in zip(run_step(step, arrays, threads, order), wanted, strict=True):
            scale = np.abs(want[np.isfinite(want)]).max(initial=1) if want.dtype.kind == "f" else 0
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5 * scale)


def work(step: Step) -> int:
    """Items times instructions, about what interpreting takes."""
    return sum(launch.unit.items * sum(len(linear.insts) for linear in linears(launch.unit)) for launch in step.launches)


def test_accesses_outside_of_a_region_are_found():
    """What regions say is what is touched."""
    step = build_step(small("products"), AVX512)
    arrays = inputs(step.program)
    for number, launch in enumerate(step.launches):
        for region in launch.unit.regions:
            less = [replace(region, terms=tuple(replace(t, extent=t.extent - 1) if t is term else t for t in region.terms))
                    for term in region.terms]
            for narrow in less or [replace(region, run=region.run // 2)]:
                regions = tuple(narrow if r == region else r for r in launch.unit.regions)
                with pytest.raises(IRError, match="outside of its regions"):
                    run_step(with_unit(step, number, regions=regions), arrays)


def test_threads_that_do_not_meet_are_found():
    step = build_step(small("products"), AVX512)
    uneven = Blocks(3, (), (Barrier(0, 1, step.memory[0]),), 10 ** 9)
    with pytest.raises(IRError):
        verify_step(replace(step, body=(uneven,)))


# Whether bytes meet


def places(span: Span, digits: tuple[int, ...]) -> set[int]:
    found = {span.start + sum(s * d for s, d in zip(span.digits, digits))}
    for stride, extent in span.terms:
        found = {place + stride * k for place in found for k in range(extent)}
    return {place + k for place in found for k in range(span.run)}


def test_spans_that_are_called_disjoint_are(rng):
    """Random ones, by enumeration; a share of what is disjoint is recognised."""
    disjoint_ones = told = 0
    for _ in range(1500):
        extents = tuple(int(n) for n in rng.integers(1, 4, rng.integers(0, 3)))
        radix = [1, *np.cumprod(rng.integers(1, 5, 4)).tolist()]

        def span(extents=extents, radix=radix) -> Span:
            terms = tuple((int(rng.choice(radix)) * int(rng.choice([1, 1, 1, -1, 2])), int(rng.integers(0, 4))) for _ in range(2))
            return Span(int(rng.integers(0, 40)), terms, int(rng.integers(1, 4)), tuple(int(rng.choice(radix)) for _ in extents))

        one, other = span(), span()
        if rng.integers(2):
            other = replace(other, digits=one.digits)
        points = list(np.ndindex(*extents))
        apart = all(not places(one, p) & places(other, q) for p in points for q in points if p != q or not extents)
        alone = all(not places(s, p) & places(s, q) for s in (one, other) for p in points for q in points if p != q)
        assert not disjoint(one, other, extents) or apart, (one, other, extents)
        assert not extents or not all_disjoint([one, other], extents) or (apart and alone), (one, other, extents)
        disjoint_ones += apart
        told += apart and disjoint(one, other, extents)
    assert told > disjoint_ones / 3, (told, disjoint_ones)


# Text


def test_the_text_names_the_file_of_each_decision(golden):
    p, x, y = (np.ones(shape, np.float32) for shape in ((96, 130), (128, 96), (128, 130)))
    program = lowered(lambda p, x, y: (p - 0.1 * (x.T @ nn.relu(x @ p - y)), (p ** 2).sum()), p, x, y, donate_argnums=0)
    golden("product.step", re.sub(r" +test_step\.py:\d+", "", str(build_step(program, AVX512))))


def test_the_text_shows_blocks_and_barriers():
    text = str(build_step(small("blocks"), AVX512))
    for part in ("in 16 blocks", "step/interleave.py", "memory/plan.py", "loops/filling.py", "barrier", "serial", "parallel"):
        assert part in text


def test_empty_buffers_share_nothing():
    """Temporaries without elements may have one place: a loop's result and what is made of it beside another."""
    def loss(x: Any) -> Any:
        v = lax.fori_loop(0, 3, lambda i, v: v * 0.5 + i, x)
        return lnp.sum(lnp.mod(nn.leaky_relu(v, 0.2), lnp.abs(v) + 0.5))

    opt = optim.adam(1e-2)

    def step(p: Any, state: Any) -> Any:
        updates, state = opt.update(leptonc.grad(loss)(p), state, p)
        return optim.apply_updates(p, updates), state

    x = np.zeros((14, 0), np.float32)
    verify_step(build_step(lowered(step, x, opt.init(x), donate_argnums=(0, 1)), AVX512))


@pytest.mark.parametrize("rows, above", [(13, 1), (14, 1), (13, 0)])
def test_images_whose_first_rows_are_left_out_are_told_apart(rows, above):
    """Bytes of a masked row before an image are those of the last row of the image before."""
    x = np.zeros((4, rows, 16, 40))
    program = lowered(leptonc.grad(lambda x: lnp.sum(nn.max_pool(x, 2, padding=((above, 0), (0, 1))) ** 2)), x)
    step = build_step(program, AVX512)
    verify_step(step)
    assert any(isinstance(s, Parallel) and step.launches[s.launch].unit.kernel.name == "unpool" for s in step.body)


@pytest.mark.parametrize("size", [4, 8])
@pytest.mark.parametrize("tile, tiles, low, width", [(4, 2, 2, 11), (4, 3, 1, 10), (2, 5, 1, 12), (3, 3, 4, 17), (5, 2, 2, 9)])
def test_a_border_is_told_from_the_tiles_within(size, tile, tiles, low, width):
    """Rows beside tiles of several rows: strides that divide, and a row that goes on beyond a tile."""
    channels, rows = 32, tile * tiles
    point, row = channels * size, width * channels * size
    image = (rows + 2 * low) * row
    beside = [Span(low * row, ((image, 300), (row, rows), (size, low * channels)), size),
              Span((low + 1) * row - low * point, ((image, 300), (row, rows), (size, low * channels)), size),
              Span(0, ((image, 300), (size, low * width * channels)), size),
              Span((low + rows) * row, ((image, 300), (size, low * width * channels)), size)]
    for y in range(tile):
        for x in range(low, width - low):
            within = Span((low + y) * row + x * point, ((image, 300), (tile * row, tiles), (size, channels)), size)
            assert all(disjoint(within, border) for border in beside)
            assert not disjoint(within, Span((low + y) * row, ((image, 300), (size, width * channels)), size))


def row_set(x: Any, row: Any, at: Any) -> Any:
    return lax.dynamic_update_slice(x, row, (at, 0))


def test_an_update_in_place_moves_what_is_new_alone(rng):
    """What it leaves as it is was copied onto itself: a cache of 64 KB for each row that comes to it."""
    x, row = rng.random((128, 128), np.float32), rng.random((1, 128), np.float32)
    kept, given = (lowered(row_set, x, row, 5, donate_argnums=donated) for donated in ((), (0,)))
    steps = [build_step(program, AVX512) for program in (kept, given)]
    assert [sum("dynamic_update_slice" in launch.unit.function for launch in step.launches) for step in steps] == [2, 1]
    step = steps[1]
    verify_step(step)
    wanted = run_program(given, [x, row, np.int64(5)])[0]
    assert np.array_equal(run_step(step, [x.copy(), row, np.int64(5)], 2)[0], wanted)
    donated = leptonc.numpy.array(x)
    assert np.array_equal(leptonc.jit(row_set, donate_argnums=0)(donated, row, 5), wanted) and wanted[5, 7] == row[0, 7]


def test_a_unit_that_is_not_launched_is_found(rng):
    step = build_step(lowered(row_set, rng.random((128, 128), np.float32), rng.random((1, 128), np.float32), 5), AVX512)
    copy = next(n for n, launch in enumerate(step.launches) if "dynamic_update_slice" in launch.unit.function)
    others = (*step.launches[:copy], *step.launches[copy + 1:])
    with pytest.raises(IRError, match="is not launched for call"):
        verify_step(replace(step, launches=others, body=(Serial(tuple(range(len(others)))),)))
