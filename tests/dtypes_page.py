"""Writes the tables of docs/guides/dtypes.md, what dtypes are promoted to: ``python -m tests.dtypes_page``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from leptonc import config
from leptonc.ir.types import DTYPES, dtype_of
from leptonc.promotion import promoted

PAGE = Path(__file__).parents[1] / "docs/guides/dtypes.md"
NUMBERS = {"True": True, "1": 1, "1.0": 1.0, "1j": 1j}
TABLE = re.compile(r"<!-- table: (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def both(x, y, promotion: str) -> tuple[str, bool]:
    """The short name of what two operands are promoted to, and whether that is weak."""
    with config.override(promotion=promotion):
        dtype, weak = promoted([x, y])
    return dtype_of(dtype).name, weak


def table(promotion: str) -> str:
    """Arrays beside arrays, and beside Python's numbers."""
    arrays = {name: np.empty(1, kind.numpy) for name, kind in DTYPES.items() if not name.startswith("f8")}
    operands = arrays | NUMBERS
    rows = ["| | " + " | ".join(f"`{name}`" for name in operands) + " |", "|---" * (len(operands) + 1) + "|"]
    for name, x in arrays.items():
        cells = [f"{found}{'*' * weak}" for found, weak in (both(x, y, promotion) for y in operands.values())]
        rows.append(f"| **{name}** | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def written(text: str) -> str:
    """The page with its tables as the code has them."""
    return TABLE.sub(lambda found: f"<!-- table: {found[1]} -->\n\n{table(found[1])}\n\n<!-- end -->", text)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
