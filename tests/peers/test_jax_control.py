"""Loops and branches under transformations against JAX's: a share of the table in ``control_table.py``."""

from __future__ import annotations

from collections import Counter

import pytest

jax = pytest.importorskip("jax")

pytestmark = pytest.mark.usefixtures("double_precision")

from tests.peers import control_table  # noqa: E402

SEED, SHARE = 1, 0.003


@pytest.mark.parametrize("at", control_table.share(SHARE, SEED), ids=" / ".join)
def test_a_share_of_the_table(at):
    control_table.check(at)


@pytest.mark.parametrize("at", [("grad", "scan", "scan"), ("grad of grad", "cond", "cond"), ("grad", "reversed", "switch"),
                                ("jvp", "scan", "while"), ("vmap hw", "while", "cond")], ids=" / ".join)
def test_nested(at):
    control_table.check(at)


def test_the_table_is_whole():
    """No cell is empty: every transformation, alone and of each other, of every construct in every other."""
    counts = Counter(transformation for transformation, _, _ in control_table.cells())
    print(f"{len(counts)} transformations of {counts['jit']} programs: {counts.total()} cells")
    assert len(counts) == 39 and set(counts.values()) == {9 * 10}
