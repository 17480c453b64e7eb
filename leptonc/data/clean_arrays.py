"""Cleaning arrays: new ones, without rows or columns, or with numbers and labels replaced."""

from __future__ import annotations

from typing import Any

import numpy as np

from leptonc.data.agreement import OP, Agreement, Choice, Cleaned, agreement, log
from leptonc.data.arrays import ArrayContent, finite, label_names
from leptonc.data.findings import KINDS
from leptonc.data.results import Report
from leptonc.errors import ArgumentError

DROPPABLE = frozenset(KINDS) - {"unreadable", "imbalance", "missing", "wrong_type", "no_header", "rotated", "animated", "mode"}
REPAIRABLE = frozenset({"label", "non_finite"})


def cleaned(report: Report, drop: Choice, repair: Choice, to: str | None) -> Cleaned:
    if to is not None:
        raise ArgumentError(f"{OP}: arrays are returned, not written; to= is for folders and tables")
    content: ArrayContent = report.content
    agreed = _own(agreement(report, drop, repair, DROPPABLE, REPAIRABLE))
    rows = [item for item in agreed.dropped if isinstance(item, int)]
    columns = [int(str(item).removeprefix("column ")) for item in agreed.dropped if isinstance(item, str)]
    x, y, repairs = _repaired(content, agreed)
    keep = np.setdiff1d(np.arange(len(x)), rows)
    x = np.delete(x[keep], columns, axis=1) if columns else x[keep]
    return Cleaned((x, None if y is None else y[keep]), log(report, agreed, len(content.x), len(keep), None, repairs))


def _own(agreed: Agreement) -> Agreement:
    """Without what is said of validation's examples."""
    def own(item: str | int) -> bool:
        return not str(item).startswith("validation/")

    return Agreement([issue for issue in agreed.drop if own(issue.item)], [issue for issue in agreed.repair if own(issue.item)])


def _repaired(content: ArrayContent, agreed: Agreement) -> tuple[np.ndarray, np.ndarray | None, list[dict[str, Any]]]:
    x, y = content.x.copy(), None if content.y is None else content.y.copy()
    good = finite(content.x)
    repairs: list[dict[str, Any]] = []
    for item, issues in agreed.repaired.items():
        for issue in issues:
            assert isinstance(item, int)
            if issue.kind == "non_finite" and issue.why != "its label":
                bad = int((~np.isfinite(x[item])).sum())
                x[item] = good[item]
                repairs.append({"item": item, "kinds": ["non_finite"], "now": f"{bad} numbers are the median of their column"})
            elif issue.kind == "label" and y is not None:
                y[item] = _label(content, issue.suggestion)
                repairs.append({"item": item, "kinds": ["label"], "why": [issue.why], "now": issue.suggestion})
    return x, y, repairs


def _label(content: ArrayContent, name: str | None) -> Any:
    """As it stands in the labels: that of the first example of the class."""
    named = label_names(OP, content.y, content.names, len(content.x))
    assert content.y is not None
    return content.y[named.index(name)]
