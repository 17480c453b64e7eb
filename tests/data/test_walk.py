"""The site alone: from an own folder of pictures to a classifier, and from a CSV to a regression, by the page's blocks in order."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if any(find_spec(name) is None for name in ("cleanvision", "cleanlab", "PIL", "polars", "grain", "keras")):
    pytest.skip("needs leptonc[data]", allow_module_level=True)

from PIL import Image

ROOT = Path(__file__).parents[2]
SHAPES = "disc", "ring"
PICTURES = 80


def picture(shape, rng):
    """A bright disc or ring somewhere on noise."""
    y, x = np.mgrid[:40, :48] - rng.uniform(14, 26, (2, 1, 1))
    distance = np.hypot(x, y)
    inside = (distance < 9) & ((distance > 5) | (shape == "disc"))
    pixels = rng.integers(0, 40, (40, 48, 3)) + inside[..., None] * rng.integers(150, 210, 3)
    return Image.fromarray(pixels.astype(np.uint8))


def own_pictures(folder, rng):
    for n in range(PICTURES):
        path = folder / "pictures" / SHAPES[n % 2] / f"{n:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(SHAPES[n % 2], rng).save(path)
    (folder / "pictures/disc/broken.png").write_bytes(path.read_bytes()[:50])
    (folder / "pictures/ring/copy.png").write_bytes(path.read_bytes())
    (folder / "new").mkdir()
    for shape in SHAPES:
        picture(shape, rng).save(folder / "new" / f"a {shape}.png")


def own_table(path, rng):
    area, year, city = rng.uniform(20, 150, 200), rng.integers(1900, 2020, 200), rng.integers(0, 3, 200)
    price = 2 * area + 0.5 * (year - 1900) + 40 * city
    lines = [f"{a:.1f},{y},{('Bonn', 'Ulm', 'Wien')[c]},{p:.1f}" for a, y, c, p in zip(area, year, city, price)]
    lines[3], lines[7] = lines[4], f",1950,Ulm,{price[7]:.1f}"
    path.write_text("area,year,city,price\n" + "\n".join(lines) + "\n")


RUN = """\
for program in {programs!r}:
    exec(compile(program, "<page>", "exec"), {{"__name__": "__main__"}})
"""


def programs():
    """The page's blocks in order; a new program starts at a heading, and at a block that begins with the name of a file."""
    text = (ROOT / "docs/start/data.md").read_text()
    blocks = [re.findall(r"```python\n(.*?)```", part, re.DOTALL) for part in re.split(r"^## ", text, flags=re.MULTILINE)]
    return [program for part in blocks if part for program in re.split(r"^(?=# \w+\.py$)", "\n".join(part), flags=re.MULTILINE)]


def test_the_page_from_own_data_to_a_model(tmp_path):
    """A fresh folder with the user's data in it; what the page says to look at is there, and nothing is warned of."""
    rng = np.random.default_rng(0)
    own_pictures(tmp_path, rng)
    own_table(tmp_path / "flats.csv", rng)
    assert len(programs()) == 4
    done = subprocess.run([sys.executable, "-c", RUN.format(programs=programs())], cwd=tmp_path, capture_output=True, text=True,
                          timeout=300, env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"})
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, done.stderr
    assert {"report.html", "clean.json", "pictures.keras", "flats-clean.csv", "flats.keras"} <= {*os.listdir(tmp_path)}
    assert not (tmp_path / "clean/disc/broken.png").exists() and len([*(tmp_path / "clean").glob("*/*.png")]) == PICTURES
    assert int(re.search(r"(\d+)% of the pictures kept apart", done.stdout)[1]) >= 80
    assert all(f"a {shape}.png: {shape} (" in done.stdout for shape in SHAPES)
    error, guess = map(float, re.search(r"wrong by (\S+) in the mean; always .* by (\S+)\n", done.stdout).groups())
    assert error < guess / 4
    flats = [float(row) for row in re.findall(r"\[+(\S+?)\]", done.stdout.rpartition("wrong by")[2])]
    np.testing.assert_allclose(flats, [2 * 50 + 30 + 40, 2 * 120 + 55 + 80], rtol=0.1)
