"""What the documentation shows is run."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)


def test_errors_page():
    found = doctest.testfile(str(ROOT / "docs/errors.md"), module_relative=False, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 15 and not found.failed


def test_readme_programs_run(tmp_path):
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    assert blocks
    for block in blocks:
        if "keras" in block and find_spec("keras") is None:
            continue
        done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr


SWEEP = """
import sys
sys.path.insert(0, {root!r})
exec({block!r})
from tests.ops import test_sweep
cases = [c for c in test_sweep.CASES if c.op.name == "softsign"]
smooth = [c for c in test_sweep.SMOOTH if c.op.name == "softsign"]
assert len(cases) >= 10 and len(smooth) >= 5, (len(cases), len(smooth))
for case in cases:
    test_sweep.test_inferred_type_is_the_eager_one(case)
    test_sweep.test_graph_prints_and_parses_back(case)
    test_sweep.test_interpreted_kernel_is_the_eager_meaning(case)
    test_sweep.test_compiled_is_the_eager_meaning(case)
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


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md", "docs/errors.md", "docs/keras.md", "docs/names.md"])
def test_files_named_in_the_documentation_exist(page):
    for name in re.findall(r"`((?:leptonc|examples|tests|docs|passes|ops|runtime)/[\w/]+\.(?:py|md))`", (ROOT / page).read_text()):
        assert (ROOT / name).exists() or (ROOT / "leptonc" / name).exists(), name
