"""Loops and branches of a Program: the verifier names what is wrong with them, and they are their own text."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import leptonc
from leptonc import lax
from leptonc import numpy as lnp
from leptonc.errors import IRError
from leptonc.ir import parse
from leptonc.ir.control import Branch, Control, Loop
from leptonc.ir.kernel import Buffer
from leptonc.ir.types import TensorType, f32, u8
from leptonc.ir.verify import verify_program


def f(*shape):
    return np.ones(shape, np.float32)


def program():
    def run(c, x, w, n):
        def step(c, x):
            return lnp.tanh(c @ w + x) + lnp.sum(c @ w), lax.switch(n, [lambda: c @ w @ w, lambda: x, lambda: c * 2])

        return lax.scan(step, c, x), lax.while_loop(lambda s: s[1] < n, lambda s: (s[0] @ w, s[1] + 1), (c, n * 0))

    return leptonc.jit(run).trace(f(3), f(5, 3), f(3, 3), np.int32(2)).lower()


LOWERED = program()


def controls(found):
    for call in found.calls:
        if isinstance(call.kernel, Control):
            yield call.kernel
            for body in call.kernel.bodies:
                yield from controls(body)


def test_programs_and_graphs_are_their_own_text():
    for ir in (LOWERED.traced.graph, LOWERED.graph, LOWERED.program):
        assert parse(str(ir)) == ir and str(parse(str(ir))) == str(ir)
    kinds = [type(c) for c in controls(LOWERED.program)]
    assert kinds.count(Loop) == 2 and kinds.count(Branch) == 1


def with_control(wanted, change):
    """The program with its one outermost control of a sort changed."""
    calls = [replace(c, kernel=change(c.kernel)) if isinstance(c.kernel, Loop) and wanted(c.kernel) else c
             for c in LOWERED.program.calls]
    assert tuple(calls) != LOWERED.program.calls
    return replace(LOWERED.program, calls=tuple(calls))


def in_body(change):
    return lambda loop: replace(loop, body=change(loop.body))


def buffers(body, change):
    return replace(body, buffers=tuple(map(change, body.buffers)))


def first_output(body, **changes):
    at = body.outputs[0]
    return replace(body, buffers=tuple(replace(b, **changes) if n == at else b for n, b in enumerate(body.buffers)))


def in_branch(change):
    def changed(body):
        return replace(body, calls=tuple(replace(c, kernel=change(c.kernel)) if isinstance(c.kernel, Branch) else c
                                         for c in body.calls))

    return in_body(changed)


COUNTED, OPEN = (lambda loop: loop.trips is not None), (lambda loop: loop.trips is None)


@pytest.mark.parametrize("wanted, change, said", [
    (COUNTED, lambda k: replace(k, trips=6), "is a f32|for 6 of"),
    (COUNTED, lambda k: replace(k, trips=-1), "-1 trips|for -1 of"),
    (COUNTED, lambda k: replace(k, trips=None), "first carry that is one bool"),
    (OPEN, lambda k: replace(k, carries=k.carries - 1, consts=k.consts + 1), "carry|constants"),
    (COUNTED, lambda k: replace(k, consts=-1), "constants"),
    (COUNTED, lambda k: replace(k, carries=40), "40 carries"),
    (COUNTED, lambda k: replace(k, carries=0), "given in the memory"),
    (COUNTED, lambda k: replace(k, takes=k.takes[:-1]), "its body takes"),
    (COUNTED, lambda k: replace(k, gives=k.gives[::-1]), "is a|given"),
    (COUNTED, lambda k: replace(k, gives=(k.gives[0],) * len(k.gives)), "each result is given once"),
    (COUNTED, lambda k: replace(k, takes=("nowhere", *k.takes[1:])), "nowhere is no parameter"),
    (COUNTED, lambda k: replace(k, takes=(k.gives[0], *k.takes[1:])), "bodies take what is read"),
    (COUNTED, lambda k: replace(k, workspace=""), "is no parameter"),
    (COUNTED, lambda k: replace(k, workspace=k.gives[0]), "given once|workspace"),
    (COUNTED, lambda k: replace(k, params=tuple(replace(p, type=TensorType((1,), u8)) if p.name == k.workspace else p
                                               for p in k.params)), "workspace|is a"),
    (COUNTED, in_body(lambda b: replace(b, arena_bytes=1 << 20)), "a workspace of"),
    (COUNTED, in_body(lambda b: buffers(b, lambda x: replace(x, offset=None))), "not planned|offset|place"),
    (COUNTED, in_body(lambda b: first_output(b, donated=None)), "given in the memory"),
    (COUNTED, in_body(lambda b: first_output(b, type=TensorType((4,), f32))), "in its body"),
    (COUNTED, in_body(lambda b: replace(b, calls=b.calls[::-1])), "in its body"),
    (COUNTED, in_body(lambda b: replace(b, calls=b.calls[1:])), "in its body"),
    (COUNTED, in_body(lambda b: replace(b, outputs=b.outputs[:-1])), "in its body|gives"),
    (COUNTED, in_body(lambda b: replace(b, buffers=(*b.buffers, Buffer(TensorType((2,), f32), "input")),
                                        inputs=(*b.inputs, len(b.buffers)))), "its body takes"),
    (COUNTED, in_branch(lambda k: replace(k, choices=())), "no choices"),
    (COUNTED, in_branch(lambda k: replace(k, index="")), "one i32"),
    (COUNTED, in_branch(lambda k: replace(k, index=k.takes[-1])), "one i32"),
    (COUNTED, in_branch(lambda k: replace(k, choices=(*k.choices[:-1], replace(k.choices[-1], outputs=())))), "in its body|gives"),
    (COUNTED, in_branch(lambda k: replace(k, choices=(*k.choices[:-1], first_output(k.choices[-1], type=TensorType((1,), f32))))),
     "in its body|is a"),
])
def test_planted_faults_are_named(wanted, change, said):
    verify_program(LOWERED.program)
    with pytest.raises(IRError, match=said):
        verify_program(with_control(wanted, change))
