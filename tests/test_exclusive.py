"""Claims: held by one call, gone with it, whichever way it ends; lazy attributes; programs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from leptonc import exclusive
from leptonc.exclusive import Claims, compiling
from leptonc.lazy import cached_property
from leptonc.programs import Programs
from tests.setting import ROOT


def in_thread(work):
    """What ``work()`` gives in another thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(30)
    assert found, "it waits for ever"
    return found[0]


def test_one_call_has_a_claim_of_a_key():
    claims = Claims()
    mine = claims.take("a")
    assert mine is not None and claims.take("a") is None and claims.take("b") is not None
    assert claims.holder("a") == threading.get_ident()
    claims.end("a", mine)
    assert claims.holder("a") is None and claims.take("a") is not None


def test_a_claim_ends_with_its_call_whatever_was_forgotten():
    claims = Claims()

    def cut_short():
        claim = claims.wait()
        assert claim is not None and claims.take() is None
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_short()
    assert in_thread(claims.wait) is not None


def test_a_call_within_the_call_does_not_wait_and_another_thread_does():
    claims = Claims()
    mine = claims.wait()
    assert claims.wait() is None
    order = []

    def other():
        order.append("asks")
        claims.wait()
        order.append("has it")

    thread = threading.Thread(target=other)
    thread.start()
    while not order:
        pass
    order.append("released")
    claims.end(None, mine)
    thread.join(30)
    assert order == ["asks", "released", "has it"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # that threads are not forked
def test_a_child_has_no_claims_of_threads_it_has_not():
    claims = Claims()
    ready, done = threading.Event(), threading.Event()

    def other():
        claim = claims.wait()
        ready.set()
        done.wait(30)
        return claim

    thread = threading.Thread(target=other)
    thread.start()
    ready.wait(30)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if claims.take() is not None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert claims.take() is None
    done.set()
    thread.join(30)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_waits_for_llvm():
    inside, order = threading.Event(), []

    def compile_for_a_while():
        with compiling():
            inside.set()
            threading.Event().wait(0.2)
            order.append("compiled")

    thread = threading.Thread(target=compile_for_a_while)
    thread.start()
    inside.wait(30)
    pid = os.fork()
    if pid == 0:
        os._exit(0 if exclusive._compiler.holder() is None and order else 1)
    order.append("forked")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    thread.join(30)
    assert order == ["compiled", "forked"]
    assert exclusive._compiler.holder() is None


def test_a_lazy_attribute_is_computed_once_and_by_threads_at_once():
    both = threading.Barrier(2)

    class Holder:
        asked = 0

        @cached_property
        def slow(self):
            """Two threads meet here, or none comes through."""
            self.asked += 1
            if self.asked <= 2:
                both.wait(30)
            return self.asked

    holder, other = Holder(), Holder()
    thread = threading.Thread(target=lambda: holder.slow)
    thread.start()
    first = holder.slow
    thread.join(30)
    assert holder.slow == first and Holder.slow.__doc__.startswith("Two threads")
    other.__dict__["slow"] = 7
    assert other.slow == 7


class Program:
    def __init__(self, name):
        self.name = name

    def rest(self):
        pass


def test_a_program_wanted_while_it_is_made_by_the_same_thread():
    """A signal handler calls what is being compiled."""
    programs = Programs()
    inner = programs.find("key", lambda: Program("outer" if programs.find("key", lambda: Program("inner")) else ""))
    assert inner.name == "outer" and [p.name for p in programs.values()] == ["outer"]


WITHIN_AN_IMPORT = """
import builtins, sys
import numpy as np
import leptonc

f = leptonc.jit(lambda x: (x @ x).sum(0))
x = np.ones((3, 3), np.float32)
found, real = [], builtins.__import__

def importing(name, *rest):  # as a signal handler would, when code generation is half imported
    if "leptonc.codegen.entry" in sys.modules and not found:
        found.append(None)
        found[0] = f(x)
    return real(name, *rest)

builtins.__import__ = importing
assert (f(x) == 9).all()
assert (found[0] == 9).all() and type(found[0]) is np.ndarray
"""


def test_a_call_in_a_handler_while_code_generation_is_imported(tmp_path):
    done = subprocess.run([sys.executable, "-c", WITHIN_AN_IMPORT], capture_output=True, text=True, cwd=ROOT,
                          env={**os.environ, "LEPTONC_CACHE_DIR": str(tmp_path)})
    assert done.returncode == 0, done.stderr
