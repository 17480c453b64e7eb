"""What the backend lacks, found in its modules: the two tables of docs/keras.md, which a test compares with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from leptonc.keras.src import flat

MODULES = ("core", "numpy", "nn", "math", "linalg", "image", "random")


def wanting() -> Iterator[tuple[str, str, bool]]:
    """(what leptonc lacks, a function that waits for it, whether it works where nothing is traced)."""
    for module in MODULES:
        for name, function in vars(getattr(flat, module)).items():
            if hasattr(function, "needs") and not name.startswith("_"):
                prefix = {"image": "image.", "random": "random."}.get(module, "")
                yield function.needs, prefix + name, hasattr(function, "__wrapped__")


def table(known_only: bool) -> str:
    """Rows of Markdown: what is lacking, and the functions that wait for it."""
    rows = defaultdict(set)
    for needs, name, works_known in wanting():
        if works_known == known_only:
            rows[needs].add(name)
    lines = [f"| {needs} | {', '.join(f'`{name}`' for name in sorted(names))} |" for needs, names in sorted(rows.items())]
    return "\n".join(["| leptonc lacks | `keras.ops` that wait for it |", "|---|---|", *lines]) + "\n"
