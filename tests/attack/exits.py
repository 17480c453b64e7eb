"""The interpreter's end: steps in exit handlers, finalizers, and threads that still run; it ends, and results are right."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

from tests.attack.process import Attempt, Count, run
from tests.setting import ROOT

BEGIN = """
import atexit, sys, threading, time
def late(): check("exit handler")
atexit.register(late)  # before leptonc's own, so it runs after
import numpy as np
import leptonc
leptonc.set_num_threads({threads})
x = np.ones((256, 256), np.float32)
def layers(x): return (x @ x * 0.5).sum(0)
f = leptonc.jit(layers)
told = []
def check(where, write=sys.stdout.write, flush=sys.stdout.flush):
    assert (f(x) == 256 * 128).all(), where
    write(where + "\\n"); flush()
"""

ENDS = {
    "exit handlers": "f(x)\natexit.register(lambda: check('exit handler'))\n",
    "first call in an exit handler": "",
    "first threads in an exit handler": "leptonc.set_num_threads(1); f(x); leptonc.set_num_threads({threads})\n",
    "finalizer": """
f(x)
class Late:
    def __del__(self, check=check): check("finalizer")
sys.late = Late()
sys.modules["late"] = Late()
""",
    "threads that run": """
f(x)
def work():
    while True: f(x)
for _ in range(3): threading.Thread(target=work, daemon=True).start()
time.sleep({delay})
""",
    "threads that compile": """
f(x)
def work():
    while True: leptonc.jit(layers)(x)
for _ in range(2): threading.Thread(target=work, daemon=True).start()
time.sleep({delay})
""",
    "sys.exit in a handler": """
import signal
def handler(*_): check("handler"); sys.exit(0)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, {delay} + 0.01)
while True: f(x)
""",
}
SECONDS = 60.0


def ended(name: str) -> Attempt:
    def attempt(number: int) -> str:
        threads = 1 + number % 3
        program = (BEGIN + ENDS[name]).format(threads=threads, delay=0.003 * (number % 19))
        try:
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=SECONDS, cwd=ROOT,
                                  env={**os.environ, "LEPTONC_CACHE": "0"})
        except subprocess.TimeoutExpired:
            raise AssertionError("a hang") from None
        assert done.returncode == 0 and not done.stderr and "exit handler" in done.stdout, f"{done}"
        return "right"

    return attempt


def attacks(count: int = 20) -> Iterator[tuple[str, Count]]:
    for name in ENDS:
        yield f"exit: {name}", run("exits", "ended", range(count), name)
