"""Registration with a Keras that chooses its backend by comparing names: Keras 3.15, which has no plug-ins yet.

An import hook adds one branch to the chain ``if backend() == "tensorflow": ... elif ... else: raise`` of each module that has one,
in its syntax tree, while that module is imported. It does so only if the backend is leptonc, and only where the chain does not
know the name by itself, as later releases will. A module whose chain is not found as expected is an ImportError: a backend that is
wired up by half would give wrong answers later.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any

NAME = "leptonc"

# What the branch of each module does. ``DynamicBackend`` has its chain inside a method, of ``if`` after ``if``.
BRANCHES = {
    "keras.src.backend": "from leptonc.keras.src.flat import *\n"
                         "from leptonc.keras.src.variable import Variable as BackendVariable\n"
                         "distribution_lib = None",
    "keras.src.layers.layer": "from leptonc.keras.src.layer import LeptoncLayer as BackendLayer",
    "keras.src.models.model": "from leptonc.keras.src.trainer import LeptoncTrainer as Trainer",
    "keras.src.export.saved_model": "from leptonc.keras.src.export import LeptoncExportArchive as BackendSavedModelExportArchive",
    "keras.src.optimizers.optimizer": "from leptonc.keras.src.optimizer import LeptoncOptimizer as BackendOptimizer",
}
# What is put behind a module that asks for TensorFlow whatever the backend, or for lengths that only it has, or for other backends.
ENDINGS = {
    "keras.src.layers.preprocessing.hashed_crossing": "from leptonc.keras.src.words import with_words\n"
                                                      "with_words(HashedCrossing)",
    "keras.src.layers.preprocessing.image_preprocessing.equalization":
        "from leptonc.keras.src.equalization import with_known_lengths\n"
        "with_known_lengths(Equalization)",
    "keras.src.export.onnx": "from leptonc.keras.src.export import export_onnx",
    "keras.src.callbacks.tensorboard": "from leptonc.keras.src.tensorboard import without_tensorflow\n"
                                       "TensorBoard = without_tensorflow(TensorBoard)",
}
DYNAMIC = "keras.src.utils.backend_utils"
DYNAMIC_BRANCH = f"if self._backend == {NAME!r}:\n    return getattr(importlib.import_module('leptonc.keras.src.flat'), name)"


def register() -> None:
    """Make ``KERAS_BACKEND=leptonc`` known to a Keras that is imported later. Does nothing the second time.

    Raises ImportError if Keras is there already, on another backend.
    """
    keras = sys.modules.get("keras.src.backend")
    if keras is not None and keras.backend() != NAME:
        raise ImportError(f"Keras is imported already, with backend {keras.backend()!r}; fix: import leptonc.keras before keras, "
                          f"or set KERAS_BACKEND={NAME} in the environment")
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())


class Finder(MetaPathFinder):
    """Finds the modules to change, and leaves all others to those behind it."""

    def find_spec(self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if not (fullname in BRANCHES or fullname in ENDINGS or fullname == DYNAMIC) or not is_chosen():
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, SourceFileLoader):
            return spec
        spec.loader = Loader(fullname, spec.loader.path)
        return spec


def is_chosen() -> bool:
    """Whether the backend that Keras was told to use is this one: by its configuration if it has read it, else the environment."""
    config = sys.modules.get("keras.src.backend.config")
    if config is not None and hasattr(config, "backend"):
        return bool(config.backend() == NAME)
    return os.environ.get("KERAS_BACKEND") == NAME


class Loader(SourceFileLoader):
    """A module with its branch. Bytecode is neither read nor written: the file's own, which other backends share, has none."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        tree = ast.parse(self.get_data(path), path)
        return compile(with_branch(fullname, tree), path, "exec", dont_inherit=True)


def with_branch(module: str, tree: ast.Module) -> ast.Module:
    """The module's syntax tree, changed in place unless it knows the name. Raises ImportError."""
    if any(isinstance(node, ast.Constant) and node.value == NAME for node in ast.walk(tree)):
        return tree
    if module == DYNAMIC:
        _extend_dynamic(module, tree)
    elif module in ENDINGS:
        tree.body += ast.parse(ENDINGS[module]).body
    else:
        _extend_chain(module, tree)
    return ast.fix_missing_locations(tree)


def _extend_chain(module: str, tree: ast.Module) -> None:
    chains = [node for node in tree.body if isinstance(node, ast.If) and node.orelse and _compared(node.test)]
    if len(chains) != 1:
        raise _unknown(module, f"{len(chains)} chains of backend names at its top")
    last = chains[0]
    while len(last.orelse) == 1 and isinstance(last.orelse[0], ast.If) and _compared(last.orelse[0].test):
        last = last.orelse[0]
    test = ast.Compare(_compared(last.test), [ast.Eq()], [ast.Constant(NAME)])
    last.orelse = [ast.copy_location(ast.If(test, ast.parse(BRANCHES[module]).body, last.orelse), last)]


def _extend_dynamic(module: str, tree: ast.Module) -> None:
    methods = {method.name: method for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "DynamicBackend"
               for method in node.body if isinstance(method, ast.FunctionDef)}
    names = [node for node in ast.walk(methods["set_backend"]) if isinstance(node, ast.Tuple)] if "set_backend" in methods else []
    if "__getattr__" not in methods or not names:
        raise _unknown(module, "no class DynamicBackend with set_backend and __getattr__")
    for node in names:
        node.elts.append(ast.Constant(NAME))
    methods["__getattr__"].body[:0] = ast.parse(DYNAMIC_BRANCH).body


def _compared(test: ast.expr) -> Any:
    """The call of ``backend()`` in ``backend() == "name"``, else None."""
    if not isinstance(test, ast.Compare) or not isinstance(test.left, ast.Call) or not isinstance(test.ops[0], ast.Eq):
        return None
    called = test.left.func
    name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
    known = isinstance(test.comparators[0], ast.Constant) and isinstance(test.comparators[0].value, str)
    return test.left if name == "backend" and known else None


def _unknown(module: str, what: str) -> ImportError:
    version = sys.modules.get("keras.src.version")
    return ImportError(f"leptonc cannot become the backend of Keras {getattr(version, '__version__', '')}: {module} has {what}; "
                       "fix: a Keras that leptonc was tested with (pip install 'keras>=3.15,<3.17'), or a newer leptonc")
