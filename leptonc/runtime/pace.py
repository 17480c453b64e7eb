"""How many threads the next call runs on: all there are, or one where others keep the cores busy.

Results do not depend on it, so each call is free to choose. On an idle machine all threads are best, and nothing is tried. What
gives a busy one away is that the calling thread waits (its own time falls behind the clock's: it was put off, or slept at a
barrier for a thread that was), or that calls take longer than they used to. Then some calls run on one thread, which stays if it is
no slower: times on a busy machine are noisy, and one thread is what cannot go far wrong there. All of them are tried now and then,
and stay if they gain: at most a twentieth of the time goes into trying.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from statistics import median

SAMPLES = 5  # calls whose median stands for a thread count
SHORT = 1e-3  # seconds: of calls shorter than that ...
EACH = 8  # ... one in so many is timed, which then costs less than a hundredth of the shortest
WAITED = 1.2  # times its own time: a call's thread has been kept waiting
STALLED, STALLS = 2.0, 2  # times its own time, calls in a row
SLOWER = 1.2  # times the best there was: something is in the way
FASTER = 0.8  # of one thread's time: worth leaving it on a machine that was busy
HOPELESS = 2.0  # times the other's: one call of that is enough to know
SHARE = 20  # what trying costs, so many times over, is how long it is left alone afterwards
LONGEST = 5.0  # seconds without a new try
SOON = 1.0  # seconds to the first try of all threads after they lost: what was in the way may have been short, a call may be long
NEVER = 1 << 62  # calls
FORGET = 1.001  # a sample's growth of the best: what was met once need not be met again


@dataclass(frozen=True)
class _State:
    """``threads``: what the next call runs on. ``alone``, ``together``: seconds of the last calls on one thread and on all.
    ``waits``: clock's time over the caller's own, of the last calls on all. ``trying``: the thread count is on trial, which has
    taken ``spent`` seconds; there is none before ``next_trial``. ``patience``: seconds that follow the next one in vain."""

    threads: int
    alone: tuple[float, ...] = ()
    together: tuple[float, ...] = ()
    waits: tuple[float, ...] = ()
    best: float = inf
    trying: bool = False
    spent: float = 0.0
    patience: float = 0.0
    next_trial: float = 0.0

    def with_sample(self, seconds: float, wait: float) -> _State:
        """A call's time on the present thread count."""
        if self.threads == 1:
            return replace(self, alone=(*self.alone, seconds)[-SAMPLES:])
        return replace(self, together=(*self.together, seconds)[-SAMPLES:], waits=(*self.waits, wait)[-SAMPLES:])

    @property
    def now(self) -> tuple[float, ...]:
        return self.alone if self.threads == 1 else self.together

    @property
    def is_stalled(self) -> bool:
        """Whether the last calls on all threads mostly waited: no more of them are needed to know."""
        return len(self.waits) >= STALLS and min(self.waits[-STALLS:]) > STALLED

    @property
    def before(self) -> tuple[float, ...]:
        """The samples of the other thread count."""
        return self.together if self.threads == 1 else self.alone


class Pace:
    """The choice between one thread and ``most``. ``due``: how many calls from now one is to be timed, 0 for the next.

    Calls of several threads may come at once, and one may be cut short anywhere: the state is a value, replaced at last.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.perf_counter,
                 own_clock: Callable[[], float] = time.thread_time):
        self.most, self.due = most, 0 if most > 1 else NEVER
        self._clock, self._own_clock = clock, own_clock
        self._state = _State(most)

    @property
    def threads(self) -> int:
        return self._state.threads

    def timed(self, run: Callable[[], None], threads: int, calls: int = 1) -> float:
        """``run`` on so many threads, and what its time says of the next calls; ``calls`` in one. Returns the seconds it took."""
        start, own = self._clock(), self._own_clock()
        run()
        own, now = self._own_clock() - own, self._clock()
        self.saw(threads, now - start, own, now, calls)
        return now - start

    def saw(self, threads: int, seconds: float, own: float, now: float, calls: int = 1) -> None:
        """A call took ``seconds`` and ended at ``now``; the calling thread itself was at work for ``own`` of them."""
        if self.most == 1:
            return
        state, each = self._state, seconds / calls
        self.due = EACH - 1 if each < SHORT and calls == 1 else 0
        if threads == state.threads:  # not one that began before the last change
            self._state = self._next(state.with_sample(each, seconds / max(own, 1e-9)), seconds, now)

    def _next(self, state: _State, seconds: float, now: float) -> _State:
        if state.trying:
            return self._judged(replace(state, spent=state.spent + seconds), now)
        if state.threads == 1:
            return self._on_trial(state, now)
        if len(state.together) < SAMPLES:
            return self._on_trial(state, now) if state.is_stalled else state
        usual = median(state.together)
        state = replace(state, best=min(state.best * FORGET, usual))
        held_up = usual > SLOWER * state.best or median(state.waits) > WAITED or state.is_stalled
        return self._on_trial(state, now) if held_up else state

    def _on_trial(self, state: _State, now: float) -> _State:
        """The other thread count, if it was not tried lately."""
        if now < state.next_trial:
            return state
        if state.threads == 1:
            return replace(state, threads=self.most, together=(), waits=(), trying=True, spent=0.0)
        return replace(state, threads=1, alone=(), trying=True, spent=0.0)

    def _is_better(self, state: _State, known: float) -> bool:
        """Whether the thread count on trial is to stay; the other's calls took ``known`` seconds."""
        return median(state.now) <= (known if state.threads == 1 else FASTER * known)

    def _judged(self, state: _State, now: float) -> _State:
        """The trial so far against what was before it."""
        known = median(state.before)
        hopeless = state.now[-1] > HOPELESS * known
        if len(state.now) < SAMPLES and not hopeless:
            return state
        if not hopeless and self._is_better(state, known):
            pause = SHARE * state.spent
            return replace(state, trying=False, waits=(), patience=0.0,
                           next_trial=now + (min(pause, SOON) if state.threads == 1 else pause))
        patience = min(max(2 * state.patience, SHARE * state.spent), LONGEST)
        other = 1 if state.threads != 1 else self.most
        return replace(state, threads=other, trying=False, patience=patience, next_trial=now + max(patience, SHARE * state.spent))
