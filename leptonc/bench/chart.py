"""The results of a run as a picture: how long each system takes, in multiples of compiled leptonc's time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from leptonc.errors import LeptonError


def write_chart(results: dict[str, Any], file: Path) -> None:
    """Bars of median times, a group per case. Raises LeptonError where matplotlib is missing."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise LeptonError("bench: a chart needs matplotlib; fix: pip install matplotlib, or leave --chart out") from None
    bars = [(f"{case['case']}: {run['system']} {run['mode']}", run["median_ms"] / case["runs"][0]["median_ms"], run["system"])
            for case in results["cases"] for run in case["runs"] if run["mode"] != "eager"]
    figure = Figure(figsize=(9, 0.8 + 0.24 * len(bars)), layout="constrained")
    axes = FigureCanvasAgg(figure).figure.add_subplot()
    colors = ["tab:orange" if system == "leptonc" else "tab:gray" for _, _, system in bars]
    drawn = axes.barh([label for label, _, _ in bars], [ratio for _, ratio, _ in bars], color=colors)
    axes.bar_label(drawn, [f"{ratio:.2f}" for _, ratio, _ in bars], padding=3, fontsize=8)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.set_xlabel("median time, in multiples of compiled leptonc's (shorter is faster)")
    axes.set_title(f"{results['machine']['cpu']}, {results['machine']['threads']} threads", fontsize=9)
    figure.savefig(file, dpi=120)
