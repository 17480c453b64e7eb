"""What stands in for the conftest that Keras's wheel lacks: marks, the list of what is known to fail, a table at the end."""

from __future__ import annotations

import fnmatch
import sys
from collections import Counter, defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from keras_leptonc.registration import BRANCHES, register

# A test that compares names as well.
BRANCHES["keras.src.trainers.trainer_test"] = "from leptonc.keras.src.trainer import LeptoncTrainer as Trainer"
register()  # before any test imports Keras

EXCLUDED = Path(__file__).with_name("excluded.txt")
_counts: dict[str, Counter[str]] = defaultdict(Counter)


def excluded() -> list[tuple[str, str]]:
    """(pattern of test ids, reason) of each line that is not a comment."""
    lines = [line.strip() for line in EXCLUDED.read_text().splitlines()]
    pairs = [line.split(" # ", 1) for line in lines if line and not line.startswith("#")]
    return [(pattern.strip(), reason.strip()) for pattern, reason in pairs]


def skip_if_backend(name: str, reason: str) -> Any:
    return pytest.mark.skipif(name == "leptonc", reason=reason)


def pytest_configure(config: Any) -> None:
    sys.modules["conftest"] = conftest = ModuleType("conftest")  # some tests import it
    conftest.skip_if_backend = skip_if_backend  # type: ignore[attr-defined]
    for mark in ("requires_trainable_backend: a backend with gradients", "multi_device: several devices"):
        config.addinivalue_line("markers", mark)


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Files that can't be imported here."""
    name = collection_path.as_posix()
    return True if any(name.endswith(pattern) for pattern, _ in excluded() if pattern.endswith(".py")) else None


def pytest_collection_modifyitems(items: list[Any]) -> None:
    rules = [rule for rule in excluded() if not rule[0].endswith(".py")]
    for item in items:
        if item.get_closest_marker("multi_device"):
            item.add_marker(pytest.mark.skip(reason="several devices"))
        for pattern, reason in rules:
            if fnmatch.fnmatch(item.nodeid.rpartition("/")[2], pattern):
                item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
                break


def pytest_runtest_logreport(report: Any) -> None:
    if report.when == "call" or (report.when == "setup" and report.outcome != "passed"):
        _counts[_folder(report.nodeid)][_kind(report)] += 1


def _kind(report: Any) -> str:
    """Its outcome; of one that is to fail, whether our list or Keras says so."""
    if not hasattr(report, "wasxfail"):
        return str(report.outcome)
    return "excluded" if report.wasxfail in {reason for _, reason in excluded()} else "left to fail by Keras"


def pytest_collectreport(report: Any) -> None:
    if report.failed:
        _counts[_folder(report.nodeid)]["not imported"] += 1


def _folder(nodeid: str) -> str:
    parts = nodeid.split("::")[0].split("/")
    return "/".join(parts[:2] if parts[0] in ("layers", "backend") else parts[:1])


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Share of passed tests among those that are no skips of Keras's own."""
    total: Counter[str] = Counter()
    for folder, counts in sorted(_counts.items()):
        total += counts
        terminalreporter.write_line(f"{folder:28s} {_share(counts)}")
    terminalreporter.write_line(f"{'all':28s} {_share(total)}")


def _share(counts: Counter[str]) -> str:
    run = sum(counts.values()) - counts["skipped"] - counts["left to fail by Keras"]
    listed = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
    return f"{counts['passed'] / max(run, 1):6.1%}  {listed}"
