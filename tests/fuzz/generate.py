"""A program from a seed: inputs, some structures and steps, outputs, and a way to call it."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from tests.fuzz import (
    networks,
    steps_elementwise,
    steps_families,
    steps_indexing,
    steps_numbers,
    steps_products,
    steps_shapes,
)
from tests.fuzz.draw import STEPS as UNORDERED
from tests.fuzz.draw import STRUCTURES, Draw, Refused, Value, attempt
from tests.fuzz.program import Program, pruned

REGISTERED = (networks, steps_shapes, steps_indexing, steps_products, steps_elementwise, steps_families, steps_numbers)
# In an order that does not depend on which module was imported first: a seed is the same program in a test, a worker and a replay.
STEPS = sorted(UNORDERED, key=lambda step: [module.__name__ for module in REGISTERED].index(step[1].__module__))

NAMED = 0.35  # the share of programs about names of the families
NAMED_STEPS = [(w, m) for w, m in STEPS if m.__module__ in (steps_families.__name__, steps_numbers.__name__)]
NAMES = [m for _, m in NAMED_STEPS]
OF_COMPLEX = [*steps_families.COMPLEX_STEPS, *((0.4 * w, m) for w, m in STEPS if m.__name__ in steps_families.SHARED)]
COMPLEX = 0.1  # the share of programs of complex numbers
FLOATS = {"f4": 6, "f8": 3, "f2": 1}
COMPLEXES = {"c8": 2, "c16": 1}
RECIPES = {"normal": 6, "grid": 3, "special": 1.5, "sparse": 1}
SCHEDULES = ("0.1", "optim.constant_schedule(0.1)", "optim.linear_schedule(0.1, 0.0, 10)", "optim.exponential_decay(0.1, 5, 0.9)",
             "optim.cosine_decay_schedule(0.1, 20)", "optim.piecewise_constant_schedule(0.1, {1: 0.5})",
             "optim.warmup_cosine_decay_schedule(0.0, 0.1, 3, 10)")
OPTIMIZERS = ("optim.sgd({rate})", "optim.sgd({rate}, momentum=0.9)", "optim.sgd({rate}, momentum=0.9, nesterov=True)",
              "optim.adam({rate})",
              "optim.adam({rate})", "optim.adamw({rate})", "optim.chain(optim.clip_by_global_norm(1.0), optim.adam({rate}))",
              "optim.chain(optim.trace(0.9), optim.scale(-0.1))",
              "optim.chain(optim.scale_by_adam(), optim.scale_by_learning_rate({rate}))",
              "optim.chain(optim.add_decayed_weights(0.01), optim.identity(), optim.sgd({rate}))",
              "optim.GradientTransformation(*optim.sgd({rate}))")


def weighted(g: Draw, table: dict[Any, float]) -> Any:
    return g.rng.choices(list(table), list(table.values()))[0]


def program(seed: int) -> Program:
    """The program of a seed, always the same."""
    draw = _complex if random.Random(f"{seed} complex").random() < COMPLEX else _drawn
    for turn in range(50):
        g = Draw(random.Random(f"{seed}.{turn}"))
        try:
            return draw(g)
        except Refused:
            continue
    raise AssertionError(f"seed {seed}: no program in 50 turns")


def _drawn(g: Draw) -> Program:
    g.float, g.recipe = weighted(g, FLOATS), weighted(g, RECIPES)
    if g.chance(NAMED):
        return _named(g)
    networked = g.chance(0.55) and not (g.recipe == "special" and g.chance(0.8))
    if not networked or g.chance(0.15):
        _few_inputs(g)
    if networked:
        makers = g.rng.choices([m for _, m in STRUCTURES], [w for w, _ in STRUCTURES], k=g.choose(1, 1, 1, 2))
        if not any([attempt(g, maker) for maker in makers]):
            raise Refused("no structure")
    for _ in range(g.choose(0, 0, 1, 2, 4) if networked else g.int(2, 13)):
        attempt(g, g.rng.choices([m for _, m in STEPS], [w for w, _ in STEPS])[0])
    if not g.steps:
        raise Refused("nothing")
    return _finished(g)


def _named(g: Draw) -> Program:
    """A line or a few of the families, with little beside them: what a longer program would hide."""
    g.prefer = g.choose("forward", "forward", "grad", "vjp", None)
    for _ in range(g.choose(1, 1, 2, 3)):
        attempt(g, g.rng.choices(NAMES, [w for w, _ in NAMED_STEPS])[0])
    if not g.steps:
        raise Refused("nothing")
    if g.chance(0.3):
        attempt(g, g.rng.choices([m for _, m in STEPS], [w for w, _ in STEPS])[0])
    return _finished(g)


def _complex(g: Draw) -> Program:
    """A line or some of the families of complex numbers, on one or two arrays that are given."""
    g.float, g.recipe = weighted(g, COMPLEXES), weighted(g, RECIPES)
    for _ in range(g.int(1, 2)):
        g.input(_shape(g))
    for _ in range(g.choose(1, 1, 2, 3, 5)):
        attempt(g, g.rng.choices([m for _, m in OF_COMPLEX], [w for w, _ in OF_COMPLEX])[0])
    if not g.steps:
        raise Refused("nothing")
    g.note.append("complex")
    return _finished(g)


def _shape(g: Draw) -> tuple[int, ...]:
    rank = g.choose(0, 1, 1, 2, 2, 3)
    extents = [g.choose(1, 1, 2, 3, 4, 5, 6, 7, 9, 17) if g.chance(0.9) else g.int(8, 66) for _ in range(rank)]
    return tuple(0 if g.chance(0.03) else n for n in extents)


def _few_inputs(g: Draw) -> None:
    for _ in range(g.int(1, 3)):
        if g.values and g.chance(0.4):
            shape = g.values[-1].shape
        else:
            shape = tuple(g.choose(0, 1, 1, 2, 3, 4, 5, 6, 7, 9, 17) if g.chance(0.9) else g.int(8, 66) for _ in range(g.choose(0,
                                                                                                                                1,
                                                                                                                                1,
                                                                                                                                2,
                                                                                                                                2,
                                                                                                                                3,
                                                                                                                                4)))
            shape = tuple(n or (0 if g.chance(0.15) else 2) for n in shape)
        if g.chance(0.75):
            g.input(shape)
        else:
            g.input(shape, g.choose("i4", "i8", "i1", "i2", "u1", "u2", "u4", "u8", "?", "f8", "f4", "f2"))


MODES = {"forward": 5.0, "grad": 5.0, "aux": 0.7, "second": 1.0, "vjp": 1.5, "nested": 0.3, "train": 2.0, "scan": 0.8,
         "vmap": 1.2, "vmap_grad": 1.2}
COLLECTIVES = ("lax.psum(y, 'i')", "lax.pmean(y, 'i') - y", "lax.all_gather(y, 'i')", "y * lax.axis_index('i')",
               "lax.pmax(y + 0, 'i') - lax.pmin(y + 0, 'i')", "y + lax.axis_size('i')")


def _finished(g: Draw) -> Program:
    mode = g.prefer if g.prefer and g.chance(0.7) else weighted(g, MODES)
    if g.recipe == "special" and mode == "second":
        mode = "grad"
    if g.is_complex and mode == "train":  # optimizers of complex numbers: test_complex.py
        mode = "grad"
    inputs = [v for v in g.values if v.name.startswith("x")]
    floats = [v.name for v in inputs if v.is_inexact]
    chosen = [n for n in dict.fromkeys(g.wrt)] or floats[:g.int(1, max(len(floats), 1))]
    if mode in ("grad", "aux", "second", "train", "vmap_grad"):
        if not chosen:
            raise Refused("nothing to differentiate by")
        return _differentiated(g, mode, tuple(chosen))
    outputs = _outputs(g)
    if mode == "scan":
        return _scanned(g, outputs)
    if mode == "vmap":
        around = g.choose(*COLLECTIVES) if g.chance(0.4) else "y"
        around = "y" if g.is_complex and "max" in around else around
        return _mapped(g, _program(g, outputs, mode=mode, around=around))
    donated: tuple[str, ...] = ()
    if mode == "forward" and g.chance(0.25):
        donated = tuple(g.rng.sample([v.name for v in inputs], g.int(1, len(inputs))))
    if mode == "vjp" and not floats:
        mode = "forward"
    return _program(g, outputs, mode=mode, donated=donated)


def _outputs(g: Draw) -> tuple[str, ...]:
    """The last value, others, sometimes an input or one twice."""
    made = [v for v in g.values if not v.name.startswith("x")]
    names = [made[-1].name]
    for _ in range(g.choose(0, 0, 1, 2)):
        names.append(g.choose(*(made if g.chance(0.85) else g.values)).name)
    return tuple(names)


def _program(g: Draw, outputs: tuple[str, ...], **options: Any) -> Program:
    made = Program(tuple(g.inputs), tuple(g.steps), outputs, note=tuple(g.note), **options)
    return pruned(made)


LOSSES = ("lnp.sum({0} * {0})", "lnp.sum({0})", "lnp.mean({0})", "lnp.sum({0} ** 2)", "lnp.sum(lnp.tanh({0}))",
          "lnp.mean({0} * {0})")
COMPLEX_LOSSES = ("lnp.sum(lnp.abs({0}))", "lnp.sum(lnp.abs({0}) ** 2)", "lnp.real(lnp.sum({0} * {0}))", "lnp.imag(lnp.sum({0}))",
                  "lnp.sum(lnp.real({0}) * lnp.imag({0}))", "lnp.mean(lnp.real({0} * lnp.conj({0})))",
                  "lnp.real(lnp.vdot({0}, {0}))")


def _differentiated(g: Draw, mode: str, wrt: tuple[str, ...]) -> Program:
    ends = [v for v in g.values[-6:] if v.is_inexact and not v.name.startswith("x")]
    if not ends:
        raise Refused("no float")
    terms: list[Value] = []
    for v in [ends[-1], *g.rng.sample(ends[:-1], min(len(ends) - 1, g.choose(0, 0, 1)))]:
        losses = LOSSES if v.is_float else COMPLEX_LOSSES
        terms.append(v if v.is_float and not v.shape and g.chance(0.7) else g.step(g.choose(*losses), v.ref))
    loss = terms[0]
    for other in terms[1:]:
        loss = g.step("{0} + {1}", loss.ref, other.ref)
    if not loss.is_float or loss.shape:
        raise Refused("no scalar")
    outputs = (loss.name,)
    if mode == "aux":
        outputs += _outputs(g)[1:] or (g.choose(*g.values).name,)
    used = pruned(Program(tuple(g.inputs), tuple(g.steps), outputs))
    wrt = tuple(n for n in wrt if n in {i.name for i in used.inputs}) or wrt[:1]
    donated: tuple[str, ...] = ()
    if mode in ("grad", "aux") and g.chance(0.15):
        donated = tuple(g.rng.sample(wrt, g.int(1, len(wrt))))
    rate = g.choose(*SCHEDULES)
    optimizer = g.choose(*OPTIMIZERS).format(rate=rate)
    if mode == "train":
        first = sorted(g.inputs, key=lambda i: (i.name not in wrt, wrt.index(i.name) if i.name in wrt else 0))
        g.inputs[:] = first
    made = _program(g, outputs, mode=mode, wrt=wrt, donated=donated, optimizer=optimizer)
    return _mapped(g, made) if mode == "vmap_grad" else made


def _mapped(g: Draw, made: Program) -> Program:
    """Some of the inputs, one at least, have examples, stacked along any axis."""
    if not made.inputs:
        raise Refused("nothing to map")
    chosen = {i.name for i in made.inputs if g.chance(0.6)} or {g.choose(*made.inputs).name}
    axes = tuple((i.name, g.int(0, len(i.shape)) if i.name in chosen else None) for i in made.inputs)
    return replace(made, axes=axes)


def _scanned(g: Draw, outputs: tuple[str, ...]) -> Program:
    """f(carry, x) with two inputs of its own: what is carried comes out as it went in."""
    made = pruned(Program(tuple(g.inputs), tuple(g.steps), outputs))
    if len(made.inputs) != 2 or len(made.steps) > 6:
        raise Refused("no step of a scan")
    known = {v.name: v for v in g.values}
    carry = known[made.inputs[0].name]
    end = known[outputs[0]]
    if not carry.is_inexact or end.dtype.kind != carry.dtype.kind:
        raise Refused("no carry")
    new = g.step("({0} * 0.5 + lnp.tanh(lnp.mean({1}))).astype({0}.dtype)", carry.ref, end.ref)
    made = pruned(Program(tuple(g.inputs), tuple(g.steps), (new.name, *outputs), mode="scan", note=tuple(g.note)))
    steps = g.int(1, 4)
    return replace(made, inputs=(made.inputs[0], replace(made.inputs[1], shape=(steps, *made.inputs[1].shape))))
