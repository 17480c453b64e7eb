"""A program in a process of its own that need not import again what the tests have imported: a fork of this one."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import traceback
import types
import warnings
from collections.abc import Mapping
from pathlib import Path

PATIENCE = 300.0  # seconds, on a machine that is busy


def run(program: str, folder: Path, filter: str = "default", environment: Mapping[str, str] = types.MappingProxyType({})) -> str:
    """Runs Python text as ``python -c`` does, with an empty ``__main__``, in a folder; returns what it wrote to both streams.

    ``filter``: what becomes of warnings, an action of the module ``warnings``. Raises AssertionError, with what it wrote, unless it
    ends as it should. Not for programs that bring threads of their own along, as polars does: a fork has none of them.
    """
    told = folder / "forked.log"
    if "fork" not in multiprocessing.get_all_start_methods():
        return _run_anew(program, folder, filter, environment)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads: leptonc's pool is made for them
        child = multiprocessing.get_context("fork").Process(target=_child, args=(program, folder, told, filter, environment))
        child.start()
    child.join(PATIENCE)
    if child.is_alive():
        child.kill()
        child.join()
    text = told.read_text()
    assert child.exitcode == 0, f"exit code {child.exitcode}\n{text}"
    return text


def _child(program: str, folder: Path, told: Path, filter: str, environment: Mapping[str, str]) -> None:
    with told.open("w", buffering=1) as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
        sys.stdout = sys.stderr = stream
        os.chdir(folder)
        os.environ.update(environment)
        warnings.resetwarnings()
        warnings.simplefilter(filter)  # type: ignore[arg-type]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            exec(compile(program, "<string>", "exec"), main.__dict__)
        except SystemExit:
            raise  # multiprocessing makes its code the process's
        except BaseException:
            traceback.print_exc()
            stream.flush()
            os._exit(1)


def _run_anew(program: str, folder: Path, filter: str, environment: Mapping[str, str]) -> str:
    command = [sys.executable, "-W", filter, "-c", program]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr
