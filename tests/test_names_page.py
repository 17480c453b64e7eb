"""docs/names.md is what ``python -m tests.names_page`` writes, and what it says is so."""

from __future__ import annotations

from pkgutil import resolve_name

import pytest

from leptonc.bfloat16 import FORMATS
from tests.names_page import NAMESPACES, PAGE, names, page


def test_the_page_is_current():
    assert PAGE.read_text() == page(), "docs/names.md is of other names: python -m tests.names_page"


@pytest.mark.parametrize("peer", [peer for peer in NAMESPACES if peer != "array_api.fft"])
def test_what_is_supported_is_there_and_what_is_not_is_not(peer):
    part = names(peer)
    module = resolve_name(part.module)
    optional = set(FORMATS)  # of ml_dtypes, which may not be installed
    assert part.there and all(hasattr(module, name) for name in part.there if name not in optional)
    assert not [name for name in part.missing if hasattr(module, name)]


def test_the_standard_is_complete():
    assert not names("array_api").missing and not names("array_api.linalg").missing
