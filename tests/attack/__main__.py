"""``python -m tests.attack [NAME ...] [--share N]``: the attacks, whole, or every N-th attempt of each; prints what they came to.

Ends with exit code 1 if there was a fault.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.attack import entries, exits, forks, guard, lines, memory, signals, threads

ATTACKS = {
    "lines": lambda share: lines.attacks(share),
    "threads": lambda share: threads.attacks(1000 // share),
    "forks": lambda share: forks.attacks(max(100 // share, 1)),
    "signals": lambda share: signals.attacks(max(100 // share, 1)),
    "memory": lambda share: memory.attacks(share),
    "guard": lambda share: guard.attacks(share),
    "entries": lambda share: entries.attacks(max(1000 // share, 1)),
    "exits": lambda share: exits.attacks(max(20 // share, 1)),
}


def main() -> int:
    parser = argparse.ArgumentParser("python -m tests.attack", description="The runtime under attack.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(ATTACKS)} (default: all)")
    parser.add_argument("--share", type=int, default=1, metavar="N", help="one N-th of the attempts (default: all)")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in ATTACKS]
    if unknown or options.share < 1:
        parser.error(f"no attack {', '.join(unknown)}" if unknown else "--share wants 1 or more")
    attempts = faults = 0
    for name in options.names or ATTACKS:
        for what, count in ATTACKS[name](options.share):
            print(f"{time.strftime('%H:%M:%S')} {what}: {count}", flush=True)
            attempts, faults = attempts + count.attempts, faults + len(count.faults)
    print(f"{attempts} attempts, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
