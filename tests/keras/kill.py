"""Kills a training run that checkpoints, at random moments, and looks whether what comes of it is whole and ends with equal bits.

    python -m tests.keras.kill --runs 100

Each kill is a SIGKILL, and is followed by a start from what the run left, which may be killed again. Most processes are forks of
this one, which has Keras imported and has trained nothing; every tenth is a new interpreter.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from leptonc.callbacks import archive
from tests.keras import training

EVERY: tuple[Any, ...] = (1, 2, 5, "epoch")
EPOCHS = 4
PATIENCE = 120.0  # seconds; a run that takes longer hangs


def run(path: Path, every: Any) -> str:
    """Train to the end, from where the file at ``path`` is."""
    made = training.model()
    return training.digest(made, training.fit(made, path, every, EPOCHS))


def forked(path: Path, every: Any) -> tuple[int, int]:
    """(process, end of a pipe that gets the digest)."""
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.write(writing, run(path, every).encode())
        finally:
            os._exit(0)
    os.close(writing)
    return process, reading


def fresh(path: Path, every: Any) -> tuple[int, int]:
    reading, writing = os.pipe()
    process = subprocess.Popen([sys.executable, "-m", "tests.keras.kill", "--one", str(path), str(every)], stdout=writing,
                               stderr=subprocess.DEVNULL)
    process.returncode = 0  # it is waited for below
    os.close(writing)
    return process.pid, reading


def watched(process: int, reading: int, seconds: float) -> tuple[str, bool]:
    """(what came out of the process, whether it was killed before)."""
    ready, _, _ = select.select([reading], [], [], seconds)
    if not ready:
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    found = os.read(reading, 1000).decode().strip()
    os.close(reading)
    return found, not ready and not found


def stage(path: Path) -> str:
    """What a killed run left: raises if it is not whole."""
    part = path.with_name(f".{path.name}.part").exists()
    if not path.exists():
        return "nothing written yet, within a write" if part else "nothing written yet"
    state = archive.load(str(path))
    where = "in an epoch" if state["batch"] else "between epochs"
    return f"{where}, within a write" if part else where


def campaign(runs: int, seed: int, folder: Path) -> int:
    """Returns how many trainings did not end with the bits of one that was not killed."""
    rng, counts, wrong, kills, trainings = random.Random(seed), Counter[str](), 0, 0, 0
    lasts, digests = {}, set()
    for start, every in [(forked, EVERY[0]), *((forked, every) for every in EVERY), *((fresh, every) for every in EVERY)]:
        began = time.perf_counter()
        digests.add(watched(*start(folder / f"{start.__name__}-{every}-{len(lasts)}", every), PATIENCE)[0])
        lasts[start, every] = time.perf_counter() - began  # the first filled the cache, and is measured again
    expected = next(iter(digests))
    assert len(digests) == 1 and len(expected) == 64, f"runs that are not killed differ: {digests}"
    path, every = folder / "0", EVERY[0]
    while True:
        start = fresh if kills % 10 == 9 else forked
        seconds = rng.uniform(0, lasts[start, every]) if kills < runs else PATIENCE
        found, killed = watched(*start(path, every), seconds)
        if killed:
            assert kills < runs, f"a run that was not killed did not end in {PATIENCE} s"
            kills += 1
            counts[stage(path)] += 1
            continue
        trainings += 1
        if found != expected:
            wrong += 1
            print(f"training {trainings}, every={every}: ended with {found or 'an error'}", flush=True)
        if kills >= runs:
            break
        path, every = folder / str(trainings), EVERY[trainings % len(EVERY)]
    print(f"{kills} kills, each followed by a start from what was left: {kills} files whole or not there; "
          f"{trainings} trainings came to their end, {trainings - wrong} with equal bits")
    for what, count in counts.most_common():
        print(f"  {count:4d}  {what}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        path, every = arguments.one
        print(run(Path(path), every if every == "epoch" else int(every)), flush=True)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return int(campaign(arguments.runs, arguments.seed, Path(folder)) > 0)


if __name__ == "__main__":
    raise SystemExit(main())
