"""leptonc becomes Keras's backend: by a branch in each of Keras's modules that compare names, or not at all."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from keras_leptonc.registration import BRANCHES, DYNAMIC, Finder, Loader, with_branch

ROOT = Path(__file__).parents[2]
keras_spec = find_spec("keras")  # which imports nothing
FOLDERS = [os.path.join(folder, "src") for folder in (keras_spec and keras_spec.submodule_search_locations) or ()]
pytestmark = pytest.mark.skipif(keras_spec is None, reason="Keras is not installed")

CHAIN = """
if backend.backend() == "tensorflow":
    from keras.src.backend.tensorflow.layer import TFLayer as BackendLayer
elif backend.backend() == "jax":
    from keras.src.backend.jax.layer import JaxLayer as BackendLayer
else:
    raise RuntimeError(backend.backend())
"""
DYNAMIC_CLASS = """
class DynamicBackend:
    def set_backend(self, backend):
        if backend not in ("tensorflow", "jax"):
            raise ValueError(backend)

    def __getattr__(self, name):
        if self._backend == "jax":
            return 1
"""


def source(module: str) -> str:
    assert keras_spec is not None and keras_spec.origin is not None
    path = Path(keras_spec.origin).parent.joinpath(*module.split(".")[1:])
    return (path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text()


def changed(module: str, text: str) -> str:
    return ast.unparse(with_branch(module, ast.parse(text)))


@pytest.mark.parametrize("module", BRANCHES)
def test_a_branch_is_added_before_the_else_of_each_chain(module):
    text, before = changed(module, source(module)), ast.unparse(ast.parse(source(module)))
    branch = ast.unparse(ast.parse(BRANCHES[module])).splitlines()
    added = [line.strip() for line in text.splitlines() if line not in before.splitlines()]
    assert added[0].startswith("elif ") and added[0].endswith("backend() == 'leptonc':")
    assert set(added[1:]) <= set(branch) and branch[0] in added


def test_the_dynamic_backend_knows_the_name():
    text = changed(DYNAMIC, source(DYNAMIC))
    assert "'openvino', 'leptonc')" in text and "import_module('leptonc.keras.src.flat')" in text


@pytest.mark.parametrize("module", [*BRANCHES, DYNAMIC])
def test_a_module_that_knows_the_name_is_left_alone(module):
    known = source(module) + "\nNAMES = ['leptonc']\n"
    assert changed(module, known) == ast.unparse(ast.parse(known))


@pytest.mark.parametrize("text", ["", "x = 1", CHAIN + CHAIN, CHAIN.replace("backend.backend()", "BACKEND"),
                                  CHAIN.replace('== "', 'in "'), "def f():\n" + CHAIN.replace("\n", "\n    ")])
def test_a_module_without_one_chain_is_an_error(text):
    with pytest.raises(ImportError, match=r"keras\.src\.layers\.layer has \d chains of backend names at its top; fix:"):
        changed("keras.src.layers.layer", text)


@pytest.mark.parametrize("text", [
    "", "class DynamicBackend:\n    pass", DYNAMIC_CLASS.replace("__getattr__", "get"), DYNAMIC_CLASS.replace("set_backend", "use"),
    DYNAMIC_CLASS.replace('("tensorflow", "jax")', "NAMES")])
def test_an_unknown_dynamic_backend_is_an_error(text):
    with pytest.raises(ImportError, match="no class DynamicBackend"):
        changed(DYNAMIC, text)


def test_small_chains_are_changed_as_the_real_ones():
    assert "elif backend.backend() == 'leptonc':" in changed("keras.src.layers.layer", CHAIN)
    assert "('tensorflow', 'jax', 'leptonc')" in changed(DYNAMIC, DYNAMIC_CLASS)


def run(program: str, backend: str | None = None) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    env |= {"PYTHONPATH": str(ROOT), "KERAS_HOME": str(ROOT / "out" / "no-keras-configuration")}
    if backend is not None:
        env["KERAS_BACKEND"] = backend
    return subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=300)


def passes(program: str, backend: str | None = None) -> None:
    done = run(program, backend)
    assert done.returncode == 0, done.stderr


def test_keras_imported_behind_leptonc_keras_is_the_same():
    passes("""
import leptonc.keras
import keras
assert keras.backend.backend() == "leptonc" and leptonc.keras.__version__ == keras.__version__
assert leptonc.keras.layers is keras.layers and leptonc.keras.Model is keras.Model
from leptonc.keras.layers import Dense
import leptonc.keras.ops.image as image
assert Dense is keras.layers.Dense and image is keras.ops.image
import sys
assert keras.layers.__spec__.name == keras.layers.__name__ == "keras.layers"
assert sys.modules["keras.layers"] is sys.modules["leptonc.keras.layers"]
""")


def test_keras_imported_first_after_registration_is_the_same():
    passes("""
import keras_leptonc, sys
assert "leptonc" not in sys.modules
import keras
import leptonc.keras
assert leptonc.keras.layers.Dense is keras.layers.Dense and leptonc.keras.__version__ == keras.__version__
assert keras.ops.add(1, 2) == 3
""", "leptonc")


def test_importing_leptonc_alone_does_not_import_keras():
    passes("import leptonc, sys; assert not [name for name in sys.modules if name.split('.')[0] in ('keras', 'keras_leptonc')]")


@pytest.mark.parametrize("backend", ["jax", None])
def test_other_backends_load_keras_as_it_is(backend, monkeypatch):
    monkeypatch.delitem(sys.modules, "keras.src.backend.config", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", backend) if backend else monkeypatch.delenv("KERAS_BACKEND", raising=False)
    assert all(Finder().find_spec(module, FOLDERS) is None for module in (*BRANCHES, DYNAMIC))


def test_other_modules_load_as_they_are(monkeypatch):
    monkeypatch.delitem(sys.modules, "keras.src.backend.config", raising=False)
    monkeypatch.setenv("KERAS_BACKEND", "leptonc")
    specs = {name: Finder().find_spec(f"keras.src.{name}", FOLDERS) for name in ("backend", "layers", "models")}
    assert isinstance(specs["backend"].loader, Loader) and not specs["layers"] and not specs["models"]


@pytest.mark.parametrize("module", ["keras_leptonc", "leptonc.keras"])
def test_an_error_where_keras_runs_on_another_backend(module):
    done = run(f"""
import sys, types
sys.modules["keras.src.backend"] = types.SimpleNamespace(backend=lambda: "jax")
import {module}
""")
    wanted = "ImportError: Keras is imported already, with backend 'jax'; fix: import leptonc.keras before"
    assert done.returncode and wanted in done.stderr


def test_an_error_without_keras():
    done = run("import sys; sys.modules['keras'] = None; import leptonc.keras")
    assert done.returncode and "Keras is not installed; fix: pip install leptonc[keras]" in done.stderr


PTH = (ROOT / "keras_leptonc" / "keras_leptonc.pth").read_text()


def test_the_line_read_at_start_is_one_import():
    """A .pth file is read line by line; only lines that begin with ``import`` are run."""
    assert PTH.startswith("import os; ") and PTH.count("\n") == 1


@pytest.mark.parametrize("backend, there", [("leptonc", True), ("jax", False), (None, False)])
def test_the_line_read_at_start_registers_for_leptonc_alone(backend, there):
    passes(f"import sys; exec({PTH!r}); assert ('keras_leptonc' in sys.modules) is {there} and 'leptonc' not in sys.modules",
           backend)
