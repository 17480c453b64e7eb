"""Seeds that a failure prints, golden texts that ``--update-golden`` rewrites."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from zlib import crc32

import numpy as np
import pytest

from tests.setting import ROOT

GOLDEN = ROOT / "tests/golden"
sys.path += [str(ROOT / "examples"), str(ROOT / "benchmarks")]  # they are programs, not part of the package


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seed", type=int, default=None, help="seed of the rng fixture")
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden texts")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> Iterator[np.random.Generator]:
    """A generator of each test's own: the same numbers at every run, others with ``--seed``; a failure shows the seed."""
    seed = request.config.getoption("--seed")
    if seed is None:
        seed = crc32(request.node.nodeid.encode())
    request.node.add_report_section("call", "seed", f"repeat with --seed {seed}")
    yield np.random.default_rng(seed)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """``golden(name, text)``: the text must equal ``tests/golden/<name>.txt``."""
    def check(name: str, text: str) -> None:
        path = GOLDEN / f"{name}.txt"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert path.exists(), f"{path} is missing; make it with --update-golden"
        assert text == path.read_text(), f"{path.name} differs; look at it, then --update-golden"

    return check
