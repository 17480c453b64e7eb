"""The example and the page of documentation run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

if any(find_spec(name) is None for name in ("cleanvision", "cleanlab", "PIL", "polars", "grain", "keras", "skimage")):
    pytest.skip("needs leptonc[data,examples]", allow_module_level=True)

import leptonc.keras  # noqa: F401  # before what imports keras by its own name

ROOT = Path(__file__).parents[2]


def test_from_a_folder_to_a_classifier_and_from_a_table_to_a_regression(tmp_path, capsys):
    import data_faces
    accuracy, error = data_faces.main(["--out", str(tmp_path / "out"), "--epochs", "6"])
    assert accuracy > 0.7 and error < 0.4
    log = json.loads((tmp_path / "out/clean.json").read_text())
    gone = {entry["item"] for entry in log["dropped"]}
    assert {f"train/face/{name}{n}.png" for name in ("copy", "empty") for n in range(3)} | {"train/face/dark.png"} <= gone
    assert sum(f"train/no face/mistaken{n}.png" in gone for n in range(3)) >= 2
    assert (tmp_path / "out/report.html").read_text().count("data:image/jpeg") > 10


def test_the_page(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs/data.md").read_text(), re.DOTALL)
    assert len(blocks) == 4
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
