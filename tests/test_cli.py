"""The command line: every stage of the reference step, passes watched and switched off, mistakes in one line."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import leptonc
from leptonc import cli, driver
from leptonc.ir import parse

EXAMPLES = Path(__file__).parents[1] / "examples"
STEP = f"{EXAMPLES}/seed_cnn.py:train_step"

MODEL = '''
import numpy as np
import leptonc
from leptonc import nn

def layer(x, w):
    return nn.relu(x @ w).sum()

class Net:
    @staticmethod
    def forward(x):
        return x + 1

def broken(x):
    return x @ x.T @ x.T

def python_error(x):
    return {}["missing"]

number = 7
'''


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "small_model.py"
    path.write_text(MODEL)
    return path


def run(capsys, *arguments):
    code = cli.main([str(a) for a in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_profile(capsys, model, tmp_path, monkeypatch):
    machine = {"cpu": "test", "threads": 1, "fma_gflops": 100.0, "copy_gbs": 10.0}
    monkeypatch.setattr(leptonc.profile, "_machine", lambda threads: machine)
    call = ("profile", f"{model}:layer", "--arg", "f32[4,8]", "--arg", "f32[8,2]")
    code, out, _ = run(capsys, *call, "--schedule", "--trace", tmp_path / "trace.json")
    assert code == 0 and out.startswith("layer: ") and "small_model.py:7" in out and " i0:4" in out
    names = [event["name"] for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]]
    assert names and all(name in out for name in names)
    code, out, _ = run(capsys, *call, "--json")
    found = json.loads(out)
    assert code == 0 and [kernel["kernel"] for kernel in found["kernels"]] == names and found["machine"] == machine
    assert all(kernel["file"] == str(model) for kernel in found["kernels"])
    assert run(capsys, *call, "-o", tmp_path / "out.txt")[:2] == (0, "")
    assert (tmp_path / "out.txt").read_text().startswith("layer: ")


@pytest.mark.parametrize("stage, word", [("traced", "conv_weight_grad"), ("optimized", "max_pool_index"),
                                         ("kernels", "k0 = kernel"), ("llvm", "define void @step"), ("asm", "vfmadd")])
def test_every_stage_of_the_reference_step(capsys, stage, word):
    code, out, _ = run(capsys, "dump", STEP, "--stage", stage)
    assert code == 0 and (word in out or (stage == "asm" and "step:" in out))
    if stage in ("traced", "optimized"):
        graph = parse(out)
        assert str(graph) == out.rstrip("\n")
        traced = importlib.import_module("seed_cnn").train_step
        whole = traced.trace(*traced.examples()).graph
        assert graph == (whole if stage == "traced" else driver.optimize(whole))


def test_types_on_the_command_line(capsys, model, tmp_path):
    code, out, _ = run(capsys, "dump", f"{model}:layer", "--arg", "f32[4,8]", "--arg", "f32[8,2]")
    assert code == 0 and "dot_general" in out and "small_model.py" in out
    assert run(capsys, "dump", f"{model}:Net.forward", "--arg", "f64[3]", "-o", tmp_path / "out.txt")[0] == 0
    assert parse((tmp_path / "out.txt").read_text()).name == "forward"


def test_passes_are_watched_and_switched_off(capsys, model):
    base = ("dump", f"{model}:layer", "--arg", "f32[4,8]", "--arg", "f32[8,2]")
    _, fused, timings = run(capsys, *base, "--stage", "kernels", "--timings")
    assert all(name in timings for name in driver.pipeline_names())
    _, unfused, _ = run(capsys, *base, "--stage", "kernels", "--disable", "fuse")
    assert unfused.count("  call") > fused.count("  call")
    assert "program" in run(capsys, *base, "--after", "halo")[1]
    assert "graph" in run(capsys, *base, "--after", "cse")[1]
    assert run(capsys, *base, "--bisect", "0")[0] == 0


@pytest.mark.parametrize("stage", ["kernels", "llvm"])
def test_any_number_of_passes_gives_a_program(capsys, model, stage):
    """The planner runs whatever the limit is."""
    for count in range(len(driver.pipeline_names()) + 1):
        code, out, _ = run(capsys, "dump", f"{model}:layer", *TWO, "--stage", stage, "--bisect", count)
        assert code == 0 and out


def test_a_file_may_have_the_name_of_a_module(capsys, tmp_path):
    import json

    for name in ("json", "numpy", "random"):
        before = sys.modules.get(name)
        (tmp_path / f"{name}.py").write_text("def f(x):\n    return x + 1\n")
        assert run(capsys, "dump", f"{tmp_path / name}.py:f", "--arg", "f32[2]")[0] == 0
        assert sys.modules.get(name) is before
    assert json.loads("1") == 1


def test_relative_imports_work_in_a_package(capsys, tmp_path):
    inner = tmp_path / "models" / "inner"
    inner.mkdir(parents=True)
    for folder in (inner, inner.parent):
        (folder / "__init__.py").write_text("")
    (inner.parent / "layers.py").write_text("def double(x):\n    return x * 2\n")
    (inner / "net.py").write_text("from ..layers import double\n\n\ndef f(x):\n    return double(x)\n")
    code, out, err = run(capsys, "dump", f"{inner / 'net.py'}:f", "--arg", "f32[2]", "--stage", "traced")
    assert code == 0 and "mul" in out and '("layers.py":2)' in out, err
    (tmp_path / "alone.py").write_text("from .models import layers\n")
    code, _, err = run(capsys, "dump", f"{tmp_path / 'alone.py'}:f", "--arg", "f32[2]")
    assert code == 2 and "relative" in err and err.count("\n") == 1


def test_drawing(capsys, model):
    base = ("dump", f"{model}:layer", "--arg", "f32[4,8]", "--arg", "f32[8,2]", "--dot")
    for stage in ("traced", "optimized"):
        code, out, _ = run(capsys, *base, "--stage", stage)
        assert code == 0 and out.startswith('digraph "layer" {') and out.count("->") == 4 and "dot_general: f32[4,2]" in out
    assert run(capsys, *base, "--stage", "asm")[0] == 2


TWO = ["--arg", "f32[4,8]", "--arg", "f32[8,2]"]


@pytest.mark.parametrize("arguments, code, words", [
    (["dump", "nowhere.py:f"], 2, "no file"), (["dump", "{model}"], 2, "FILE.py:FUNCTION"),
    (["dump", "{model}:nothing"], 2, "layer"),
    (["dump", "{model}:number"], 2, "not a function"), (["dump", "{model}:layer"], 1, "example arguments"),
    (["dump", "{model}:layer", "--arg", "f99[2]"], 1, "no tensor type"),
    (["dump", "{model}:broken", "--arg", "f32[2,3]"], 1, "matmul"),
    (["dump", "{model}:layer", "--after", "fuze"], 1, "did you mean fuse"), (["bench", "nonsense"], 2, "seed-224"),
    (["dump", "{model}:layer", "--arg", "f32[4,8]"], 2, "missing a required argument: 'w'"),
    (["dump", "{model}:layer", *["--arg", "f32[4,8]"] * 3], 2, "too many positional arguments"),
    *((["dump", "{model}:layer", "--arg", text, "--arg", "f32[8,2]"], 1, "") for text in (
        "f32[2,,3]", "f32[2,]", "f32[,2]", "f32", "", "f32[-1]", "f32[2", "f32[2.5]", "f32[" + "9" * 5000 + "]", "f32[1e3]",
        "f32[٣]",
        "f32[99999999999,99999999999]", "f32[2][3]", "c64[2]", "f32[None]")),
    (["dump", "{model}:layer", "--disable", "plan-memory", *TWO], 1, "always runs"),
    (["dump", "{model}:layer", "--disable", "fuse", "--after", "fuse", *TWO], 2, "is disabled"),
    (["dump", "{model}:layer", "--bisect", "-1", *TWO], 2, "at least 0"),
    (["dump", "{model}:layer", "-o", "/nowhere/there.txt", *TWO], 2, "cannot write"),
])
def test_mistakes_are_one_line(capsys, model, arguments, code, words):
    found, out, err = run(capsys, *(a.format(model=model) for a in arguments))
    assert found == code and words in err and err.count("\n") == 1 and not out


def test_errors_of_the_users_program_keep_their_traceback(model):
    with pytest.raises(KeyError, match="missing"):
        cli.main(["dump", f"{model}:python_error", "--arg", "f32[2]"])


def test_info_and_version(capsys):
    code, out, _ = run(capsys, "info")
    assert code == 0 and leptonc.__version__ in out and "target" in out and "numpy" in out
    with pytest.raises(SystemExit) as stop:
        cli.main(["--version"])
    assert stop.value.code == 0


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "leptonc", "info"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "threads" in done.stdout


def test_debug_ladder(capsys, monkeypatch):
    monkeypatch.setenv("LEPTONC_DEBUG", "3")
    leptonc.jit(lambda x: x + 1)(1.0)
    err = capsys.readouterr().err
    assert "compiled in" in err and "graph @lambda" in err and "program @lambda" in err and "define void" not in err


def test_target_from_the_environment(monkeypatch):
    from leptonc.errors import LeptonError
    from leptonc.target import host_target

    monkeypatch.setenv("LEPTONC_TARGET", "sse")
    assert host_target().name == "sse"
    monkeypatch.setenv("LEPTONC_TARGET", "altivec")
    with pytest.raises(LeptonError, match="sse, avx2, avx512"):
        host_target()
