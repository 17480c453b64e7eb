"""How many threads the next call runs on: all there are, or one where others keep the cores busy.

Results do not depend on it, so each call is free to choose. On an idle machine all threads are best, and nothing is tried. What
gives a busy one away is that the calling thread waits (its own time falls behind the clock's: it was put off, or slept at a
barrier for a thread that was), or that calls take longer than they used to. Then some calls run on one thread, and the faster
stays. While one thread is the faster, all of them are tried now and then: at most a twentieth of the time goes into trying.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median

SAMPLES = 3  # calls whose median stands for a thread count
SHORT = 1e-3  # seconds: of calls shorter than that ...
EACH = 8  # ... one in so many is timed, which then costs less than a hundredth of the shortest
WAITED = 1.2  # times its own time: a call's thread has been kept waiting
SLOWER = 1.2  # times the best there was: something is in the way
FASTER = 0.9  # of the other's time: worth changing over
HOPELESS = 2.0  # times the other's: one call of that is enough to know
SHARE = 20  # what trying costs, so many times over, is how long it is left alone afterwards
LONGEST = 5.0  # seconds without a new try
FORGET = 1.001  # a sample's growth of the best: what was met once need not be met again


class Pace:
    """``threads``: what the next call runs on. ``due``: how many calls from now one is to be timed, 0 for the next."""

    def __init__(self, most: int, clock: Callable[[], float] = time.perf_counter,
                 own_clock: Callable[[], float] = time.thread_time):
        self.most, self.threads, self.due = most, most, 0
        self._clock, self._own_clock = clock, own_clock
        self._recent = {1: deque[float](maxlen=SAMPLES), most: deque[float](maxlen=SAMPLES)}
        self._waits = deque[float](maxlen=SAMPLES)
        self._best = float("inf")
        self._trying = False
        self._spent = 0.0  # seconds of the try under way
        self._patience = 0.0  # seconds that the next failed try is followed by, at least
        self._next_try = 0.0

    def timed(self, run: Callable[[int], None]) -> None:
        """``run(threads)``, and what its time says of the next calls."""
        threads = self.threads
        start, own = self._clock(), self._own_clock()
        run(threads)
        own, now = self._own_clock() - own, self._clock()
        self.saw(threads, now - start, own, now)

    def saw(self, threads: int, seconds: float, own: float, now: float, calls: int = 1) -> None:
        """``calls`` in one took ``seconds`` and ended at ``now``; the calling thread itself was at work for ``own`` of them."""
        each = seconds / calls
        self.due = EACH - 1 if each < SHORT and calls == 1 else 0
        if threads not in self._recent:
            return
        self._recent[threads].append(each)
        if self._trying:
            self._spent += seconds
            self._judge(now)
        elif threads == 1:
            self._try_if(True, now)
        else:
            self._waits.append(seconds / max(own, 1e-9))
            self._try_if(self._is_held_up(), now)

    def _is_held_up(self) -> bool:
        recent = self._recent[self.most]
        if len(recent) < SAMPLES:
            return False
        usual = median(recent)
        self._best = min(self._best * FORGET, usual)
        return usual > SLOWER * self._best or median(self._waits) > WAITED

    def _try_if(self, wanted: bool, now: float) -> None:
        """Begin to try the other thread count, if that was not done lately."""
        if wanted and now >= self._next_try:
            self._trying, self._spent = True, 0.0
            self.threads = self._other
            self._recent[self.threads].clear()

    @property
    def _other(self) -> int:
        return 1 if self.threads != 1 else self.most

    def _judge(self, now: float) -> None:
        """The try so far against what was before it."""
        tried, known = self._recent[self.threads], median(self._recent[self._other])
        hopeless = tried[-1] > HOPELESS * known
        if len(tried) < SAMPLES and not hopeless:
            return
        self._trying = False
        if not hopeless and median(tried) < FASTER * known:
            self._patience = 0.0
            self._waits.clear()
        else:
            self.threads = self._other
            self._patience = min(max(2 * self._patience, SHARE * self._spent), LONGEST)
        self._next_try = now + max(self._patience, SHARE * self._spent)
        self._recent[self._other].clear()
