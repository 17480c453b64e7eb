"""A small share of ``tests/attack``, the same at every run, and that what it looks for would be found."""

from __future__ import annotations

import pytest

from tests.attack.process import Count, run

SHARE = {
    "an exception at a line of a call": ("lines", "at_lines", range(0, 510, 11), "call+threads+first_threads", "0"),
    "an exception at a line of a compile": ("lines", "at_lines", range(100, 4800, 1600), "compile_anew", "0"),
    "threads": ("threads", "at_once", range(1), "5"),
    "forks within a step": ("forks", "while_busy", range(6), "step"),
    "forks within a compile": ("forks", "while_busy", range(3), "compile"),
    "Ctrl-C in a donating step": ("signals", "interrupted", range(12), "donate"),
    "handlers that call": ("signals", "handled", range(12), "call"),
    "finalizers that call": ("signals", "finalized", range(5), "scan_turned"),
    "no memory for a call": ("memory", "refused", range(0, 14), "call_in_new_memory"),
    "no memory for real": ("memory", "for_real", range(3)),
    "changed entries": ("entries", "mutated", range(12), "changed_bytes+changed_header"),
    "damaged objects": ("entries", "objects", range(200)),
    "exit handlers": ("exits", "ended", range(1, 2), "first threads in an exit handler"),
    "finalizers at exit": ("exits", "ended", range(1, 2), "finalizer"),
    "guard pages, ops": ("guard", "ops", range(7, 1000, 97), "avx2"),
}


def sound(count: Count, attempts: int) -> None:
    assert count.attempts == attempts and not count.faults, str(count)
    assert count.outcomes["past the end"] <= attempts // 2, "its numbers are of what was longer once"


@pytest.mark.parametrize("name", SHARE)
def test_a_share(name):
    module, setup, numbers, *arguments = SHARE[name]
    sound(run(module, setup, numbers, *arguments), len(numbers))


@pytest.mark.parametrize("kind", ["crash", "hang", "wrong"])
def test_it_is_found(kind, monkeypatch):
    """The third of five attempts goes wrong; the others are made all the same."""
    monkeypatch.setenv("ATTACK_HANG_SECONDS", "2")
    count = run("failing", kind, range(5))
    assert count.attempts == 5 and count.outcomes == {"right": 4, kind: 1}
    assert "number 2" in count.faults[0]


def test_a_guard_page_bites():
    count = run("failing", "behind_an_array", range(2))
    assert count.outcomes == {"crash": 2}
