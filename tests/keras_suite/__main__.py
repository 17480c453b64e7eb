"""Runs the tests of some folders, and prints a table of them."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path

import pytest

# All but ``applications``, whose networks take an hour to build; and the backends' own tests.
FOLDERS = ("activations", "backend/common", "backend/tests", "callbacks", "constraints", "datasets", "distillation", "distribution",
           "dtype_policies", "export", "initializers", "layers", "legacy", "losses", "metrics", "models", "ops", "optimizers",
           "quantizers", "random", "regularizers", "saving", "testing", "trainers", "tree", "utils", "wrappers")


def source() -> Path:
    """The folder ``keras/src`` of the installed Keras, which is not imported for that."""
    spec = importlib.util.find_spec("keras")
    if spec is None or spec.origin is None:
        raise SystemExit("Keras is not installed; fix: make keras-tests, or pip install leptonc[keras]")
    return Path(spec.origin).parent / "src"


def main(arguments: list[str]) -> int:
    options = [a for a in arguments if a.startswith("-")]
    folders = [a for a in arguments if not a.startswith("-")] or FOLDERS
    os.environ["KERAS_BACKEND"] = "leptonc"
    paths = [str(path) for path in (source() / folder for folder in folders) if path.exists()]
    return pytest.main(["-q", "--assert=plain", "-p", "tests.keras_suite.plugin",
                        "-p", "no:cacheprovider", "-c", os.devnull, "--tb=short",
                        "--rootdir", str(source()), "--continue-on-collection-errors", *options, *paths])


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
