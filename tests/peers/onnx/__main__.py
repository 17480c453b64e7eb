"""``python -m tests.peers.onnx [PART OF A NAME ...] [--expanded]``: ONNX's node tests, counted, and what is not right by reason."""

from __future__ import annotations

import sys
import traceback
from collections import defaultdict

from tests.peers.onnx.cases import Outcome, is_expanded, node_cases, outcome


def main(words: list[str]) -> int:
    expanded = "--expanded" in words
    parts = [w for w in words if not w.startswith("--")]
    found = [_one(c) for c in node_cases() if is_expanded(c) == expanded and (not parts or any(p in c.name for p in parts))]
    by_reason: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in found:
        by_reason[each.kind, each.reason].append(each.name.removeprefix("test_"))
    for (kind, reason), names in sorted(by_reason.items()):
        if kind != "right":
            print(f"{kind}: {reason}\n    {len(names)}: {', '.join(names)}")
    for kind in sorted({each.kind for each in found}):
        print(f"{sum(each.kind == kind for each in found)} of {len(found)} {kind}")
    return int(any(each.kind in ("wrong", "crash") for each in found))


def _one(case: object) -> Outcome:
    try:
        return outcome(case)
    except Exception as error:  # a mistake of the importer's: count it, and go on
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return Outcome(case.name, "crash", f"{type(error).__name__}: {error} ({frame.filename.rsplit('/', 1)[-1]}:{frame.lineno})")  # type: ignore[attr-defined]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
