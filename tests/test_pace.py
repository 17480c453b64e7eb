"""The thread count of the next call: all threads on an idle machine, one on a busy one, and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from leptonc.runtime.pace import EACH, SHARE, STALLS, Pace

Machine = Callable[[int, float], tuple[float, float]]  # (threads, now) -> seconds, of which the caller itself was at work


def simulate(machine: Machine, seconds: float, most: int = 2) -> list[tuple[float, int, float]]:
    """(time, threads, seconds) of each call."""
    pace, now, calls = Pace(most), 0.0, []
    while now < seconds:
        took, own = machine(pace.threads, now)
        calls.append((now, pace.threads, took))
        now += took
        if pace.due:
            pace.due -= 1
        else:
            pace.saw(pace.threads, took, own, now)
    return calls


def share_of_one(calls: list[tuple[float, int, float]], start: float = 0.0) -> float:
    late = [threads for at, threads, _ in calls if at >= start]
    return sum(threads == 1 for threads in late) / len(late)


def noisy(rng: np.random.Generator, alone: float, together: float, waits: float = 1.0) -> Machine:
    def machine(threads: int, now: float) -> tuple[float, float]:
        took = (alone if threads == 1 else together) * float(rng.lognormal(0, 0.05))
        return took, took / (waits if threads > 1 else 1.0)

    return machine


@pytest.mark.parametrize("seconds", [2e-5, 1e-3, 0.05])
def test_an_idle_machine_runs_on_all_threads(seconds, rng):
    """Two threads that gain little are not given up for noise."""
    assert share_of_one(simulate(noisy(rng, 1.9 * seconds, seconds), 3000 * seconds)) < 0.01
    assert share_of_one(simulate(noisy(rng, 1.1 * seconds, seconds), 3000 * seconds)) < 0.02


@pytest.mark.parametrize("together", [2e-3, 0.2])
def test_a_busy_machine_runs_on_one(together, rng):
    """Busy from the start: nothing says that it was ever faster, but the caller waits."""
    calls = simulate(noisy(rng, 1.2e-3, together, waits=3.0), 60.0)
    assert share_of_one(calls, 3.0) > 0.9
    tried = sum(took for at, threads, took in calls if threads == 2 and at >= 3.0)
    assert tried <= 60.0 * 1.5 / SHARE, "trying costs a twentieth of the time"


def test_what_waits_but_gains_stays_parallel(rng):
    """A long serial part makes the others wait; two threads are the faster all the same."""
    assert share_of_one(simulate(noisy(rng, 1.5e-3, 1e-3, waits=2.0), 20.0), 2.0) < 0.1


def test_it_comes_and_goes(rng):
    idle, busy = noisy(rng, 1.9e-3, 1e-3), noisy(rng, 1.9e-3, 0.03, waits=4.0)

    def machine(threads: int, now: float) -> tuple[float, float]:
        return (busy if 5.0 <= now < 15.0 else idle)(threads, now)

    calls = simulate(machine, 30.0)
    assert share_of_one([c for c in calls if c[0] < 5.0]) < 0.01
    assert share_of_one([c for c in calls if 7.0 <= c[0] < 15.0]) > 0.9
    assert share_of_one(calls, 22.0) < 0.02


def test_long_calls_are_soon_back_on_all_threads(rng):
    """Two seconds of something else at the start, while a call takes a tenth: one thread won, in a trial of half a second."""
    idle, busy = noisy(rng, 0.11, 0.07), noisy(rng, 0.11, 0.4, waits=4.0)

    def machine(threads: int, now: float) -> tuple[float, float]:
        return (busy if now < 2.0 else idle)(threads, now)

    calls = simulate(machine, 10.0)
    assert share_of_one([c for c in calls if 1.5 <= c[0] < 2.0]) == 1.0
    assert share_of_one(calls, 4.0) == 0.0


def test_short_calls_are_seldom_timed():
    pace = Pace(2)
    pace.saw(2, 2e-5, 2e-5, 1.0)
    assert pace.due == EACH - 1
    pace.saw(2, 2e-2, 2e-2, 2.0)
    assert pace.due == 0


def test_a_thread_count_it_does_not_choose_among_is_ignored():
    pace = Pace(4)
    for n in range(10):
        pace.saw(2, 1.0, 0.1, float(n))
    assert pace.threads == 4


def test_a_call_that_began_before_a_change_says_nothing_of_it():
    pace = Pace(2)
    for n in range(STALLS):
        pace.saw(2, 1.0, 0.1, float(n))
    assert pace.threads == 1
    for n in range(STALLS, 20):
        pace.saw(2, 5.0, 5.0, float(n))
    assert pace.threads == 1


def test_what_is_timed_is_the_run():
    now = iter(range(100))
    pace = Pace(2, clock=lambda: float(next(now)), own_clock=lambda: 0.0)
    ran: list[int] = []
    for _ in range(STALLS):
        assert pace.timed(lambda: ran.append(1), 2) == 1.0
    assert len(ran) == STALLS and pace.threads == 1, "the caller did nothing of what it was there for"


def test_a_run_that_fails_changes_nothing():
    pace = Pace(2)
    before = vars(pace).copy()
    with pytest.raises(ZeroDivisionError):
        pace.timed(lambda: 1 // 0, 2)
    assert vars(pace) == before
