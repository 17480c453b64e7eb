"""How a process that tests leptonc is set: the tests' own, and those that attack it, which need no pytest."""

from __future__ import annotations

import gc
import os
from pathlib import Path

from leptonc import abi
from leptonc.codegen import entry
from tests.work import once_of_each

os.environ["LEPTONC_CACHE"] = "0"  # what is tested is compiled; tests of the cache turn it on, in a place of their own
os.environ.setdefault("LEPTONC_TRACEBACK", "full")  # a failing test may be leptonc's fault
ROOT = Path(__file__).parents[1]

# Another process of the tests has a use for the core on which a thread would wait for the next job.
if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
    abi.SPINS_ALONE = abi.SPINS_SHARING

# Tests make many small compiles, whose graphs are values: the collector, which by default looks at the youngest after 700 of them
# and so at all of Keras and LLVM every few seconds, finds hardly anything.
gc.set_threshold(20_000, 20, 20)

# Every program goes all the way to its text each time. What LLVM makes of a text depends on nothing else, and in more than a
# quarter of its time it would meet texts again: references, one network in several tests.
entry.compile_object = once_of_each(entry.compile_object)
