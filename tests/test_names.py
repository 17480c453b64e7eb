"""Names that are not there: what the error recommends exists, as does every name that any message or docstring recommends."""

from __future__ import annotations

import ast
import importlib
import inspect
import pickle
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import leptonc
from leptonc import lax, nn, optim, random, tree, tree_util
from leptonc import numpy as lnp
from leptonc.bfloat16 import FORMATS
from leptonc.errors import LeptonError, MissingNameError
from leptonc.public import _PUBLISHED, publish
from leptonc.substitutes import SUBSTITUTES

MODULES = (leptonc, lnp, lax, nn, nn.initializers, optim, random, tree, tree_util, lnp.linalg, lnp.fft)
BESIDE_ALL = {  # what modules have that `from module import *` leaves out
    "leptonc": {"__version__", "callbacks", "data", "debug", "flatten_util", "keras", "onnx", "plot", "profile",
                "scipy", "tree_util"},
    "leptonc.numpy": {*FORMATS, "fft", "linalg"},
    "leptonc.lax": {"linalg"},
}
EXTRAS = {*FORMATS, "callbacks", "data", "keras", "onnx", "plot"}  # which need a package that may not be there
NAMED = re.compile(r"\bleptonc(?:\.[A-Za-z_]\w*)+")


def exists(dotted: str) -> bool:
    """Whether ``leptonc.a.b`` is a module, or an attribute of one."""
    module, *names = leptonc, *dotted.split(".")[1:]
    found = module
    for name in names:
        if not hasattr(found, name):
            try:
                found = importlib.import_module(f"{found.__name__}.{name}")
            except (ImportError, AttributeError):
                return name in EXTRAS
            continue
        found = getattr(found, name)
    return True


def recommended(text: str) -> list[str]:
    return [name for name in NAMED.findall(text) if not name.endswith(".py")]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_what_is_exported_is_there(module):
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_dir_lists_what_is_public(module):
    listed = dir(module)
    assert listed == sorted({*module.__all__, *BESIDE_ALL.get(module.__name__, ())})
    assert all(hasattr(module, name) for name in listed if name not in EXTRAS)


def test_dir_lists_what_is_loaded_later():
    """Names that no program has asked for are listed, listing loads none of them, and each is there when it is asked for."""
    code = ("import sys, leptonc\n"
            "from leptonc import lax, nn\n"
            "names = {*dir(leptonc), *dir(leptonc.numpy), *dir(nn), *dir(lax)}\n"
            "assert {'profile', 'linalg', 'Linear', 'MLP', 'exp', 'load'} <= names\n"
            "assert 'leptonc.profile' not in sys.modules and 'leptonc.nn.layers' not in sys.modules\n"
            "assert leptonc.profile.__name__ == 'leptonc.profile' and nn.Linear.__name__ == 'Linear' and lax.exp(0.0) == 1")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_submodule_whose_extra_is_missing_is_a_missing_name(monkeypatch):
    """With the same words: ``help`` and ``inspect.getmembers`` ask for all that ``dir`` lists, and pass over such names alone."""
    def later():
        raise ImportError("Keras is not installed; fix: pip install leptonc[keras]")

    module = ModuleType("leptonc.example")
    module.__all__ = []
    publish(vars(module), [], later={"keras": later})
    monkeypatch.delitem(_PUBLISHED, "leptonc.example")
    assert inspect.getmembers(module) == [] and dir(module) == ["keras"]
    with pytest.raises(MissingNameError, match=r"pip install leptonc\[keras\]"):
        _ = module.keras


def test_onnx_that_is_not_installed_is_named_with_its_extra():
    code = ("import sys\n"
            "sys.modules['onnx'] = None\n"
            "import leptonc\n"
            "try:\n    leptonc.onnx\n"
            "except leptonc.MissingNameError as error:\n    print(error)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "fix: pip install leptonc[onnx]" in done.stdout, done.stderr


def test_strings_of_the_package_name_what_there_is():
    """Messages, fixes and docstrings alike."""
    missing = []
    for path in sorted(Path(leptonc.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                missing += [f"{path.name}:{node.lineno} {name}" for name in recommended(node.value) if not exists(name)]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("page", ["README.md", "docs/errors.md"])
def test_pages_name_what_there_is(page):
    text = (Path(leptonc.__file__).parents[1] / page).read_text()
    assert not [name for name in recommended(text) if not exists(name)]


@pytest.mark.parametrize("module", SUBSTITUTES)
def test_substitutes_are_for_what_is_missing(module):
    here = importlib.import_module(module)
    for name, text in SUBSTITUTES[module].items():
        assert name not in here.__all__, f"{module}.{name} is there"
        with pytest.raises(MissingNameError) as error:
            getattr(here, name)
        assert text in str(error.value) and "test_names.py" in str(error.value)
        assert all(exists(found) for found in recommended(text)), text


@pytest.mark.parametrize(
    "module, name, words",
    [
        (lnp, "sums", "did you mean sum"),
        (lnp, "norm", "leptonc.numpy.linalg.norm"),
        (lnp, "relu", "leptonc.nn.relu"),
        (nn, "Dense", "x @ w + b"),
        (nn, "sofmax", "softmax"),
        (optim, "adma", "adam"),
        (random, "default_rng", "random.key"),
        (leptonc, "gard", "grad"),
        (tree, "flaten", "flatten"),
        (lnp, "qqqqqq", "has no qqqqqq"),
    ],
)
def test_near_names_and_substitutes(module, name, words):
    with pytest.raises(AttributeError, match=re.escape(words)) as error:
        getattr(module, name)
    assert isinstance(error.value, LeptonError)
    assert all(exists(found) for found in recommended(str(error.value))), str(error.value)
    assert not hasattr(module, name) and not hasattr(module, "__wrapped__")


def test_names_of_numpy_are_answered_or_have_no_counterpart():
    """Whatever the answer to a name of NumPy's is, it recommends nothing that is missing."""
    for name in (n for n in dir(np) if not n.startswith("_")):
        try:
            getattr(lnp, name)
        except MissingNameError as error:
            assert all(exists(found) for found in recommended(str(error))), str(error)


@pytest.mark.parametrize(
    "use, words",
    [
        (lambda x: x.argsort(), "has no argsort"),
        (lambda x: x.sums(), "did you mean sum"),
        (lambda x: np.exp(x), "leptonc.numpy.exp"),
        (lambda x: np.linalg.norm(x), "leptonc.numpy.linalg.norm"),
        (lambda x: np.copyto(x, 1), "leptonc.numpy has no copyto"),
        (lambda x: x.relu(), "leptonc.nn.relu"),
        (lambda x: x.at[0].blend(2), "it has get, set, add"),
    ],
)
def test_names_of_traced_values(use, words):
    with pytest.raises(LeptonError, match=re.escape(words)) as error:
        leptonc.jit(use)(np.ones(3))
    assert all(exists(found) for found in recommended(str(error.value)))


def test_public_functions_are_pickled_by_name():
    for function in (lnp.sum, nn.relu, lax.pad, random.normal, tree.map, leptonc.jit, optim.adam):
        assert pickle.loads(pickle.dumps(function)) is function
