"""Many programs in processes of their own: what they found, and what they reached."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from leptonc import lax, nn, optim, random
from leptonc import numpy as lnp
from tests.fuzz import coverage
from tests.fuzz.known import known

PATIENCE = 600.0  # seconds for one comparison, on a machine that is busy
MODULES = {"lnp": lnp, "lax": lax, "nn": nn, "random": random, "optim": optim}


@dataclass
class Worker:
    """One process over the seeds first, first + stride, ..."""

    first: int
    stride: int
    end: int
    thorough: bool
    seed: int | None = None
    way: str = ""

    def __post_init__(self) -> None:
        env = {**os.environ, "LEPTONC_CACHE": "0", "PYTHONFAULTHANDLER": "0", "OPENBLAS_NUM_THREADS": "1"}
        arguments = [sys.executable, "-m", "tests.fuzz.worker", *map(str, (self.first, self.stride, self.end, int(self.thorough)))]
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
        self.since = time.monotonic()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@dataclass
class Tally:
    """What a campaign has seen."""

    programs: int = 0
    codes: int = 0
    unclaimed: float = 0.0
    changed: Counter[str] = field(default_factory=Counter)
    modes: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    dtypes: Counter[str] = field(default_factory=Counter)
    names: set[str] = field(default_factory=set)
    recognised: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str, str]] = field(default_factory=list)  # seed, way, text

    def add(self, message: dict[str, Any]) -> list[tuple[int, str, str]]:
        """Counts a program in; returns what is new."""
        self.programs += 1
        self.codes += message["codes"]
        self.unclaimed += message["unclaimed"]
        self.changed.update(message["changed"])
        self.modes[message["mode"]] += 1
        self.notes.update(message["note"])
        self.ways.update(w.split()[0] for w in message.get("ways", ()))
        self.dtypes.update(message["dtypes"])
        self.names.update(message["names"])
        new = []
        for way, text in message["faults"]:
            reason = known(way, text)
            if reason:
                self.recognised[reason] += 1
            else:
                new.append((message["done"], way, text))
        self.findings += new
        return new

    def report(self) -> str:
        share = 100 * self.unclaimed / max(self.programs, 1)
        missing = [f"{m}.{n}" for m, module in MODULES.items() for n in module.__all__ if f"{m}.{n}" not in self.names]
        lines = [f"{self.programs:,} programs, {self.codes:,} compilations, {len(self.findings)} findings; "
                 f"of {share:.2f} % of the results nothing is claimed",
                 "modes: " + ", ".join(f"{k} {n}" for k, n in self.modes.most_common()),
                 "comparisons: " + ", ".join(f"{k} {n}" for k, n in self.ways.most_common()),
                 "structures: " + ", ".join(f"{k} {n}" for k, n in self.notes.most_common()),
                 "inputs: " + ", ".join(f"{k} {n}" for k, n in self.dtypes.most_common()),
                 f"public names used: {len(self.names)}, not used: {', '.join(missing) or 'none'}"]
        if self.recognised:
            lines.append("known: " + ", ".join(f"{k} {n}" for k, n in self.recognised.most_common()))
        return "\n".join([*lines, "", coverage.table(self.changed, self.programs)])


def results(first: int, end: int, seconds: float, jobs: int, thorough: bool) -> Iterator[dict[str, Any]]:
    """Messages of finished programs, crashes and hangs among them."""
    deadline = time.monotonic() + seconds
    selector = selectors.DefaultSelector()
    workers = [Worker(first + n, jobs, end, thorough) for n in range(jobs)]
    for worker in workers:
        selector.register(worker.process.stdout, selectors.EVENT_READ, worker)  # type: ignore[arg-type]
    try:
        while selector.get_map() and time.monotonic() < deadline:
            for key, _ in selector.select(timeout=1.0):
                yield from _heard(selector, key.data)
            for key in list(selector.get_map().values()):
                if time.monotonic() - key.data.since > PATIENCE:
                    key.data.process.kill()  # its end is heard of next
    finally:
        for key in list(selector.get_map().values()):
            key.data.stop()


def _heard(selector: selectors.BaseSelector, worker: Worker) -> Iterator[dict[str, Any]]:
    stream = worker.process.stdout
    assert stream is not None
    line = stream.readline()
    if line and not line.startswith("{"):  # LAPACK says so of what it is not to be given
        print(f"program {worker.seed}, {worker.way}: printed {line!r}", flush=True)
        return
    if line:
        message = json.loads(line)
        worker.since = time.monotonic()
        worker.seed = message.get("start", worker.seed)
        worker.way = message.get("way", "" if "start" in message else worker.way)
        if "done" in message:
            worker.seed = None
            yield message
        return
    selector.unregister(stream)
    code = worker.process.wait()
    stream.close()
    if worker.seed is not None:
        yield {"done": worker.seed, "mode": "?", "note": [], "names": [], "unclaimed": 0.0, "changed": [], "codes": 0, "dtypes": [],
               "faults": [(worker.way or "compiled",
                           f"the process ended with {code}: a crash, or a wait of {PATIENCE:.0f} s")], "seconds": 0.0}
        again = Worker(worker.seed + worker.stride, worker.stride, worker.end, worker.thorough)
        selector.register(again.process.stdout, selectors.EVENT_READ, again)  # type: ignore[arg-type]
