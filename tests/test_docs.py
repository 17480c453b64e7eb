"""What the documentation shows is run."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import leptonc
from tests import forked

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_errors_page():
    found = doctest.testfile(str(ROOT / "docs/errors.md"), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 15 and not found.failed


OF_OWN_DATA = "docs/start/data.md"  # tests/data/test_walk.py brings the data that it starts from
PAGES = ["README.md", "docs/index.md", *sorted(str(page.relative_to(ROOT)) for folder in ("start", "guides")
                                                for page in (ROOT / "docs" / folder).glob("*.md"))]
PAGES.remove(OF_OWN_DATA)


@pytest.mark.parametrize("page", PAGES)
def test_programs_of_a_page_run(page, tmp_path):
    """One behind the other, in one process: a page is one story. What the README shows begins with an interpreter of its own."""
    blocks = BLOCK.findall((ROOT / page).read_text())
    assert blocks
    if find_spec("keras") is None:
        blocks = [] if page != "README.md" and "keras" in "".join(blocks) else [block for block in blocks if "keras" not in block]
    if find_spec("onnx") is None:
        blocks = [block for block in blocks if "onnx" not in block]
    if page != "README.md":
        forked.run("\n".join(blocks), tmp_path, environment={"MPLBACKEND": "agg"})
        return
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"})
    assert done.returncode == 0, done.stderr


def test_the_site_builds_and_every_public_name_has_its_place(tmp_path):
    """Strictly: a link or an anchor that leads nowhere is an error, and so is a page that the navigation lacks."""
    if find_spec("mkdocs") is None or find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed")
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)], cwd=ROOT,
                          capture_output=True, text=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "NO_MKDOCS_2_WARNING": "1"})
    assert done.returncode == 0, done.stderr
    for module in (leptonc, leptonc.numpy, leptonc.lax, leptonc.nn, leptonc.optim, leptonc.random):
        page = (tmp_path / "reference" / module.__name__ / "index.html").read_text()
        for name in module.__all__:
            assert f'{module.__name__}.{name}' in re.sub(r"<[^>]+>", "", page), name


def test_links_of_the_readme_lead_somewhere():
    for page in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (ROOT / page).read_text()):
            assert (ROOT / target).exists(), target


SWEEP = """
import sys
sys.path.insert(0, {root!r})
exec({block!r})
from tests.ops import test_sweep
cases = [c for c in test_sweep.CASES if c.op.name == "softsign"]
smooth = [c for c in test_sweep.SMOOTH if c.op.name == "softsign"]
assert len(cases) >= 10 and len(smooth) >= 5, (len(cases), len(smooth))
for case in cases:
    test_sweep.test_type_text_and_kernel_are_those_of_the_eager_meaning(case)
test_sweep.test_compiled_is_the_eager_meaning(cases)
for case in smooth:
    test_sweep.test_gradient_is_that_of_finite_differences_twice(case)
import numpy as np
import leptonc
from leptonc.trace import bind
x = np.linspace(-3, 3, 100)
f = lambda x: bind("softsign", x)
np.testing.assert_allclose(leptonc.jit(f)(x), x / (1 + abs(x)))
np.testing.assert_allclose(leptonc.jit(leptonc.grad(lambda x: f(x).sum()))(x), 1 / (1 + abs(x)) ** 2)
"""


def test_the_worked_example_of_adding_an_op():
    """In a process of its own, so that the op does not stay in the registry of the other tests."""
    (block,) = BLOCK.findall((ROOT / "docs/architecture.md").read_text())
    program = SWEEP.format(root=str(ROOT), block=block)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", [*PAGES, *(str(page.relative_to(ROOT)) for page in (ROOT / "docs").glob("*.md"))])
def test_files_named_in_the_documentation_exist(page):
    for name in re.findall(r"`((?:leptonc|examples|tests|docs|passes|ops|runtime)/[\w/]+\.(?:py|md))`", (ROOT / page).read_text()):
        assert (ROOT / name).exists() or (ROOT / "leptonc" / name).exists(), name
