"""The lists of JAX's names that docs/names.md compares with are those of the JAX that is installed, if it is that version."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest

from tests.names_page import NAMESPACES, names

jax = pytest.importorskip("jax")


@pytest.mark.parametrize("peer", [peer for peer in NAMESPACES if peer.startswith("jax")])
def test_lists_are_those_of_jax(peer):
    part = names(peer)
    if part.source != f"jax {jax.__version__}":
        pytest.skip(f"the lists are those of {part.source}")
    theirs = importlib.import_module(peer)
    public = [name for name in dir(theirs) if not name.startswith("_") and not name.endswith("_p")]
    modules = peer == "jax.scipy.stats"  # distributions are
    assert sorted(part.there + part.missing) == [n for n in public if modules or not isinstance(getattr(theirs, n), ModuleType)]
