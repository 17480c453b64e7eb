"""A new user's walk, in a terminal of 80 columns: nothing is wider, nothing is warned of, and the pictures are there."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if any(find_spec(name) is None for name in ("keras", "matplotlib", "PIL", "skimage")) or sys.platform == "win32":
    pytest.skip("needs leptonc[examples] and pseudo-terminals", allow_module_level=True)

import fcntl
import pty
import termios

from PIL import Image
from skimage.data import lfw_subset

ROOT = Path(__file__).parents[2]
COLUMNS = 80


def write_pictures(folder: Path, count: int) -> None:
    """So many faces and so many parts of pictures that are none, as PNG files in a folder for each."""
    pictures = (np.clip(lfw_subset(), 0, 1) * 255).astype(np.uint8)
    for name, chosen in (("face", pictures[:count]), ("no face", pictures[100:100 + count])):
        (folder / name).mkdir(parents=True)
        for n, picture in enumerate(chosen):
            Image.fromarray(picture).save(folder / name / f"{n}.png")


def in_terminal(*arguments: str) -> tuple[int, str]:
    """(exit status, all that a program wrote) in a terminal of 80 columns."""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    child = subprocess.Popen([sys.executable, *arguments], stdin=inside, stdout=inside, stderr=inside,
                             env={**os.environ, "PYTHONPATH": path, "MPLBACKEND": "Agg"})
    os.close(inside)
    written = b""
    while True:
        try:
            more = os.read(terminal, 65536)
        except OSError:  # the child has closed it
            break
        if not more:
            break
        written += more
    os.close(terminal)
    return child.wait(), written.decode()


def test_a_new_users_walk(tmp_path):
    write_pictures(tmp_path / "faces", 60)
    out = tmp_path / "out"
    out.mkdir()
    status, text = in_terminal(str(Path(__file__).with_name("walk.py")), str(tmp_path / "faces"), str(out))
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", text)
    (out / "terminal.txt").write_text(text)
    assert status == 0, plain
    lines = re.split(r"[\r\n]+", plain)
    assert max(map(len, lines)) <= COLUMNS, [line for line in lines if len(line) > COLUMNS]
    assert not re.search("Traceback|[Ww]arning|Error", plain), plain
    assert "Epoch 10/10" in plain and "6/6 ━" in plain and "val_loss:" in plain
    assert float(re.search(r"validation accuracy (\S+)", plain)[1]) >= 0.8
    pictures = sorted(out.glob("*.png"))
    assert len(pictures) == 8
    for picture in pictures:
        with Image.open(picture) as opened:
            assert min(opened.size) > 100 and len(np.unique(np.asarray(opened.convert("L")))) > 10, picture
