"""``python -m tests.fuzz``: random programs, compared; see the package."""

from __future__ import annotations

import argparse
import os
import sys

from tests.fuzz.campaign import Tally, results
from tests.fuzz.check import ways
from tests.fuzz.generate import program
from tests.fuzz.isolated import fails_like, isolated_fault
from tests.fuzz.program import snippet
from tests.fuzz.reduce import reduced


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long")
    parser.add_argument("--count", type=int, default=10**9, help="how many programs at most")
    parser.add_argument("--seed", type=int, default=0, help="the first program's number")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--thorough", action="store_true",
                        help="every comparison for every program: all targets, each pass left out")
    parser.add_argument("--table", action="store_true", help="print what was reached")
    parser.add_argument("--reduce", action="store_true", help="make each finding small")
    parser.add_argument("--replay", type=int, metavar="SEED", help="one program again: print it, check it in every way")
    return parser.parse_args()


def describe(seed: int, way: str, text: str, small: bool) -> None:
    """A finding with its snippet."""
    print(f"\nprogram {seed}, {way}: {text}", flush=True)
    if way == "drawing":
        return
    found = program(seed)
    if small:
        found = reduced(found, fails_like(found, way, seed))
        now = isolated_fault(found, way, seed)
        print(f"reduced: {now.text if now else text}", flush=True)
    print(f"python -m tests.fuzz --replay {seed}\n\n{snippet(found)}", flush=True)


def replay(seed: int) -> int:
    """Each way in a process of its own: it may crash. Without code from the disk, which does not depend on the passes left out."""
    os.environ["LEPTONC_CACHE"] = "0"
    found = program(seed)
    print(snippet(found), flush=True)
    wrong = False
    for way in ways(seed, thorough=True):
        fault = isolated_fault(found, way, seed)
        wrong |= fault is not None
        print(f"{way}: {fault.text if fault else 'right'}", flush=True)
    return int(wrong)


def main() -> int:
    given = arguments()
    if given.replay is not None:
        return replay(given.replay)
    tally = Tally()
    try:
        for message in results(given.seed, given.seed + given.count, given.seconds, given.jobs, given.thorough):
            for seed, way, text in tally.add(message):
                describe(seed, way, text, given.reduce)
    except KeyboardInterrupt:
        pass  # what was seen until then is told
    print(tally.report() if given.table else tally.report().split("\n")[0])
    return int(bool(tally.findings))


if __name__ == "__main__":
    sys.exit(main())
