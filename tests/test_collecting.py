"""The collector runs seldom while something compiles, and as the user set it before and after."""

from __future__ import annotations

import gc
import os
import threading

import numpy as np
import pytest

import leptonc
from leptonc.collecting import SELDOM, seldom_collected

USERS = (900, 8, 7)


@pytest.fixture(autouse=True)
def thresholds():
    before = gc.get_threshold()
    gc.set_threshold(*USERS)
    yield
    gc.set_threshold(*before)


def test_while_a_function_is_traced_and_compiled():
    seen = []

    def f(x):
        seen.append(gc.get_threshold())
        return leptonc.grad(lambda y: y * y)(x)

    assert leptonc.jit(f)(np.float32(3)) == 6
    assert set(seen) == {SELDOM} and gc.get_threshold() == USERS


def test_what_is_raised_within_leaves_the_users_thresholds():
    def f(x):
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        leptonc.jit(f)(np.float32(3))
    assert gc.get_threshold() == USERS


@pytest.mark.parametrize("users", [(0, 10, 10), (SELDOM[0] + 1, 10, 10)])
def test_who_asked_for_less_keeps_it(users):
    gc.set_threshold(*users)
    assert seldom_collected(gc.get_threshold)() == users == gc.get_threshold()


def test_a_users_change_in_the_meantime_stays():
    seldom_collected(lambda: gc.set_threshold(800, 9, 9))()
    assert gc.get_threshold() == (800, 9, 9)


def test_the_last_of_several_calls_ends_it():
    inside, go = threading.Event(), threading.Event()
    other = threading.Thread(target=seldom_collected(lambda: (inside.set(), go.wait(60))))
    other.start()
    assert inside.wait(60)
    assert seldom_collected(gc.get_threshold)() == SELDOM == gc.get_threshold()
    go.set()
    other.join()
    assert gc.get_threshold() == USERS


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_collects_as_the_user_set_it():
    @seldom_collected
    def forked():
        child = os.fork()
        if not child:
            os._exit(0 if gc.get_threshold() == USERS else 1)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    assert forked() == 0
