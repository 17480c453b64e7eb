"""``python -m tests.peers.harnesses [PART OF A NAME ...]``: JAX's op harnesses, counted, and what does not agree by reason."""

from __future__ import annotations

import re
import sys
import traceback
from collections import Counter, defaultdict

from tests.peers.harnesses.judge import Outcome, harnesses, outcome


def main(words: list[str]) -> int:
    found = [_one(h) for h in harnesses() if not words or any(w in h.fullname for w in words)]
    by_reason: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in found:
        by_reason[each.kind, re.sub(r"[-+.\de]+", "#", each.reason)[:100]].append(each.name)
    reasons = {each.name: each.reason for each in found}
    for (kind, _), names in sorted(by_reason.items(), key=lambda item: (item[0][0], -len(item[1]))):
        if kind != "agrees":
            groups = Counter(name.split("_")[0] for name in names)
            print(f"{kind} {len(names)}: {reasons[names[0]]}\n    {dict(groups)} such as {', '.join(names[:3])}")
    for kind, count in sorted(Counter(each.kind for each in found).items()):
        print(f"{count} of {len(found)} {kind}")
    return int(any(each.kind in ("differs", "crash") for each in found))


def _one(harness: object) -> Outcome:
    try:
        return outcome(harness)
    except Exception as error:  # a mistake of the runner's: count it, and go on
        frame = traceback.extract_tb(error.__traceback__)[-1]
        name = harness.fullname  # type: ignore[attr-defined]
        where = f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}"
        return Outcome(name, "crash", f"{type(error).__name__}: {str(error)[:150]} ({where})")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
