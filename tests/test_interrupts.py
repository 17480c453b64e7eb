"""Signals in the midst of a step: answered within it, whatever it is made of, and what follows is as if nothing had been."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import leptonc
from leptonc import lax

PRELUDE = """
import os, signal, threading
import numpy as np
import leptonc
from leptonc import abi, lax
from leptonc import numpy as lnp
abi.SPINS_ALONE = abi.SPINS_SHARING  # other tests have a use for the core on which a thread would wait
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
leptonc.set_num_threads(2)
small, square = np.eye(8, dtype="f"), np.eye(160, dtype="f")

def interrupt(after):
    threading.Timer(after, os.kill, (os.getpid(), signal.SIGINT)).start()

def interrupted(f, *args):
    f.compiled_for(*args)
    interrupt(0.2)
    try:
        f(*args)
    except KeyboardInterrupt:
        return True
    return False
"""


def _run(body: str) -> str:
    done = subprocess.run([sys.executable, "-c", PRELUDE + textwrap.dedent(body)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("endless", [
    "lax.while_loop(lambda c: c[0, 0] >= 0, lambda c: c @ small, x)",
    "lax.while_loop(lambda c: c[0, 0] >= 0, lambda c: lnp.tanh(c) @ square, lnp.tile(x, (20, 20)))",
    "lax.fori_loop(0, 1 << 40, lambda i, c: c @ small, x)",
    "lax.fori_loop(0, 1 << 20, lambda i, c: lax.fori_loop(0, 1 << 20, lambda j, d: d @ small, c), x)",
    "lax.cond(x[0, 0] > 0, lambda y: lax.while_loop(lambda c: c[0, 0] >= 0, lambda c: c @ small, y), lambda y: y, x)",
], ids=["serial", "parallel", "counted", "nested", "branch"])
def test_an_endless_loop_is_interrupted(endless):
    """... and the process goes on: the same compiled function again, and another one on all threads."""
    assert _run(f"""
    f = leptonc.jit(lambda x: {endless})
    print(interrupted(f, small), interrupted(f, small))
    print(leptonc.jit(lambda x: lnp.tanh(x @ x))(np.zeros((300, 300), "f")).sum())
    """) == "True True\n0.0\n"


def test_a_long_step_without_loops_is_interrupted():
    """Within one kernel, and a compiled call later gives the right numbers."""
    assert _run("""
    f = leptonc.jit(lambda x: ((((x @ x) @ x) @ x) @ x) @ x)
    x = np.ones((4096, 4096), "f")
    print(interrupted(f, x), (leptonc.jit(lambda x: x @ x)(np.ones((600, 600), "f")) == 600).all())
    """) == "True True\n"


def test_a_donating_step_comes_to_its_end_and_a_second_interrupt_ends_it():
    assert _run("""
    f = leptonc.jit(lambda x, n: lax.fori_loop(0, n, lambda i, c: lnp.tanh(c @ square), x), donate_argnums=0)
    x, expected = np.ones((160, 160), "f"), np.ones((160, 160), "f")
    f.compiled_for(x, 1000)
    expected = f(expected, 1000)
    interrupt(0.1)
    try:
        f(x, 1000)
    except KeyboardInterrupt:
        print("raised", (x == expected).all())
    f.compiled_for(x, 1 << 30)
    interrupt(0.1), interrupt(0.5)
    try:
        f(x, 1 << 30)
    except KeyboardInterrupt:
        print("ended")
    """) == "raised True\nended\n"


def test_handlers_that_return_change_nothing_and_may_call_compiled_functions():
    """Parallel ones as well, in the midst of a parallel step; they find denormals as outside of one."""
    out = _run("""
    inner = leptonc.jit(lambda x: lnp.tanh(x @ x))
    y = np.full((300, 300), 0.01, "f")
    before, seen = inner(y), []

    def handler(*_):
        seen.append((inner(y) == before).all() and np.float32(1e-40) * np.float32(1) > 0)

    f = leptonc.jit(lambda x: lax.fori_loop(0, 1000, lambda i, c: lnp.tanh(c @ square) + x, x))
    x = np.full((160, 160), 0.01, "f")
    expected = f(x)
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    right = []
    while len(seen) < 2:
        right.append((f(x) == expected).all())
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(all(right), all(seen))
    """)
    assert out == "True True\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("donated", [False, True])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_handler_may_fork(donated):
    """The child has lost the step's other threads: it begins anew, alone; or says that its donated arguments are lost."""
    out = _run(f"""
    import warnings
    warnings.simplefilter("ignore")
    f = leptonc.jit(lambda x: lax.fori_loop(0, 1000, lambda i, c: lnp.tanh(c @ square) + 0.01, x),
                    donate_argnums={(0,) if donated else ()})
    x = np.full((160, 160), 0.01, "f")
    expected = f(x.copy())
    pids = []
    signal.signal(signal.SIGALRM, lambda *_: pids.append(os.fork()))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        while not pids:
            right = (f(x.copy()) == expected).all()
    except leptonc.LeptonError as error:
        right = {donated} and "forked" in str(error)
    right = right and (f(np.full((160, 160), 0.01, "f")) == expected).all()
    if pids[0] == 0:
        os._exit(7 if right else 1)
    print(right, os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]))
    """)
    assert out == "True 7\n"


def test_short_steps_do_not_look():
    """A step of little work has no trace of it in its code."""
    def text(trips: int) -> str:
        f = leptonc.jit(lambda x: lax.fori_loop(0, trips, lambda i, c: c @ x, x))
        return f.compiled_for(np.ones((8, 8), "f")).as_text("llvm")

    assert "@stopped" not in text(100) and "@stopped" in text(1 << 30)


