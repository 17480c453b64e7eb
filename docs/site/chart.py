"""``python docs/site/chart.py``: the table of speeds in README.md as the picture beside it, docs/speed.png."""

from __future__ import annotations

import re
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| ([^|]+) \| [\d.]+ \| [^|]+ \| ([\d.]+) \|$", re.MULTILINE)


def main() -> None:
    rows = [(name.split(" of examples")[0], float(ratio)) for name, ratio in ROW.findall((ROOT / "README.md").read_text())]
    figure = Figure(figsize=(7, 0.6 + 0.26 * len(rows)), layout="constrained")
    axes = FigureCanvasAgg(figure).figure.add_subplot()
    bars = axes.barh([name for name, _ in rows], [ratio for _, ratio in rows], color="tab:orange")
    axes.bar_label(bars, [f"{ratio:.2f}" for _, ratio in rows], padding=3, fontsize=8)
    axes.axvline(1, color="gray", linewidth=1)
    axes.invert_yaxis()
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("a training step of leptonc: times as fast as the best mode of the best peer", fontsize=8)
    figure.savefig(ROOT / "docs/speed.png", dpi=110)


if __name__ == "__main__":
    main()
