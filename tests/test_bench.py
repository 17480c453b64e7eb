"""The benchmark harness on a tiny case: the JSON's shape, systems that do the same work. Nothing is timed here."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
import sysconfig

import numpy as np
import pytest

import leptonc
from leptonc import cli
from leptonc.bench import run, systems
from leptonc.bench.cases import CASES, TINY, TINY_FORWARD
from leptonc.bench.networks.program import weights
from leptonc.bench.programs import PROGRAMS, TINY_PROGRAMS
from leptonc.bench.systems import ALL_CASES, TENSORFLOW, check_systems, make, modes, worker_command
from leptonc.codegen.llvm.assemble import compile_object
from leptonc.errors import LeptonError
from leptonc.profile.machine import fma_text
from leptonc.target import TARGETS


@pytest.fixture
def no_compiler(monkeypatch):
    """Without the modes that compile C++, which takes long."""
    monkeypatch.setattr(shutil, "which", lambda name: None)


@pytest.fixture
def everything(monkeypatch, tmp_path):
    """As if all peers were installed, a C++ compiler and Python's headers."""
    monkeypatch.delenv(TENSORFLOW, raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    (tmp_path / "Python.h").touch()


def test_a_run_gives_the_documented_json(tmp_path, monkeypatch, capsys, no_compiler):
    peers = [name for name in ("torch",) if importlib.util.find_spec(name)]
    monkeypatch.setattr(run, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(run, "describe_machine", lambda: MACHINE)
    run.run_all(["tiny"], 2, systems=peers, json_file=tmp_path / "out.json", markdown=tmp_path / "out.md",
                chart=tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert "| tiny | dense limit |" in (tmp_path / "out.md").read_text()
    found = json.loads((tmp_path / "out.json").read_text())
    assert {"fma_gflops", "copy_gbs"} <= found["machine"].keys()
    (case,) = found["cases"]
    assert case.keys() == {"case", "dense_limit_ms", "runs", "best_peer", "ratio_to_best_peer", "ratio_in_scan",
                           "ratio_frozen"}
    assert [(r["system"], r["mode"]) for r in case["runs"]] == modes(TINY, systems=peers)
    for entry in case["runs"]:
        known = {"system", "mode", "median_ms", "min_ms", "compile_s", "peak_rss_mb", "value_after_10_steps"}
        assert entry.keys() == known | ({"warm_start_s"} if entry is case["runs"][0] else set())
        assert entry["min_ms"] <= entry["median_ms"] and entry["peak_rss_mb"] > 10
    losses = [r["value_after_10_steps"] for r in case["runs"]]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-3)
    assert "| tiny | leptonc compiled |" in capsys.readouterr().out


def test_forward_passes_agree(no_compiler):
    found = {mode: make(*mode, TINY_FORWARD)() for mode in modes(TINY_FORWARD, systems=("torch", "onnxruntime", "jax"))}
    for logits in found.values():
        np.testing.assert_allclose(logits, found["leptonc", "eager"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("system, mode", [("torch", "compiled channels_last"), ("jax", "jit"), ("tensorflow", "keras function"),
                                          ("tensorflow", "xla")])
def test_compiling_peers_agree(system, mode):
    """In processes of their own, as in a run: TensorFlow may need another Python."""
    if (system, mode) not in modes(TINY):
        pytest.skip(f"{system} is not installed")
    losses = []
    for name in (("leptonc", "compiled"), (system, mode)):
        worker = run.Worker(*name, TINY)
        try:
            losses.append(worker.ask(cmd="warm", steps=10)["value_after_10_steps"])
        finally:
            worker.kill()
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_modes_of_everything_installed(everything):
    images = ["nchw", "nchw+memory kept", "channels_last", "channels_last+memory kept", "compiled channels_last"]
    last = [("jax", "jit"), ("tensorflow", "keras function"), ("tensorflow", "xla")]
    ours = [("leptonc", "compiled"), ("leptonc", "scan"), ("leptonc", "eager")]
    assert modes(TINY) == ours + [("torch", mode) for mode in images] + last
    assert modes(TINY_FORWARD)[:3] == [("leptonc", "compiled"), ("leptonc", "frozen"), ("leptonc", "eager")]
    assert modes(TINY_FORWARD)[3:] == [("torch", mode) for mode in images] + [("onnxruntime", "default")] + last
    assert modes(CASES["mlp"])[3:-3] == [("torch", mode) for mode in ("plain", "plain+memory kept", "compiled plain")]


def test_torch_compile_needs_a_compiler_and_headers(everything, monkeypatch, tmp_path):
    compiled = ("torch", "compiled plain")
    with monkeypatch.context() as without:
        without.setattr(shutil, "which", lambda name: None)
        assert compiled not in modes(CASES["mlp"])
    assert compiled in modes(CASES["mlp"])
    (tmp_path / "Python.h").unlink()
    assert compiled not in modes(CASES["mlp"])


def test_systems_can_be_limited(everything):
    check_systems(("leptonc", "jax"))
    assert modes(TINY, eager=False, systems=("jax",)) == [("leptonc", "compiled"), ("leptonc", "scan"), ("jax", "jit")]
    assert {system for system, _ in modes(TINY, systems=())} == {"leptonc"}


def test_systems_that_cannot_run_are_an_error(everything, monkeypatch):
    with pytest.raises(LeptonError, match="'fortran'; there are leptonc, torch, onnxruntime, jax, tensorflow"):
        check_systems(("jax", "fortran"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LeptonError, match=r"jax is not installed; fix: pip install jax \("):
        check_systems(("jax",))
    with pytest.raises(LeptonError, match=TENSORFLOW):
        check_systems(("tensorflow",))
    monkeypatch.setenv(TENSORFLOW, "python-elsewhere")
    check_systems(("tensorflow",))


def test_systems_on_the_command_line(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(run, "run_all", lambda *args, **options: asked.append(options["systems"]))
    assert cli.main(["bench", "--systems", "leptonc, torch"]) == 0 and cli.main(["bench"]) == 0
    assert asked == [["leptonc", "torch"], None]
    monkeypatch.undo()
    assert cli.main(["bench", "mlp", "--systems", "fortran"]) == 1 and "onnxruntime" in capsys.readouterr().err


def test_tensorflow_may_have_an_interpreter_of_its_own(monkeypatch):
    monkeypatch.setenv(TENSORFLOW, "python-elsewhere")
    assert worker_command("tensorflow")[0] == "python-elsewhere" and worker_command("jax")[0] == sys.executable
    with pytest.raises(LeptonError, match="python-elsewhere does not start: No such file"):
        run.Worker("tensorflow", "xla", TINY)
    monkeypatch.delenv(TENSORFLOW)
    assert worker_command("tensorflow") == worker_command("jax")


def test_another_interpreter_borrows_leptonc(monkeypatch, tmp_path):
    """It needs NumPy alone: here llvmlite and networkx cannot be imported."""
    monkeypatch.setenv(TENSORFLOW, sys.executable)
    monkeypatch.setattr(systems, "BORROW_LEPTONC", "import sys; sys.modules['llvmlite'] = sys.modules['networkx'] = None; "
                        + systems.BORROW_LEPTONC)
    done = subprocess.run([*worker_command("tensorflow"), "leptonc", "eager", "tiny-forward"], input='{"cmd": "quit"}',
                          cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "peak_rss_mb" in done.stdout, done.stderr


def test_a_worker_that_dies_is_reported():
    worker = run.Worker("nonsense", "mode", TINY)
    with pytest.raises(LeptonError, match="died"):
        worker.ask(cmd="warm", steps=1)
    worker.kill()


def test_work_is_counted():
    case = CASES["seed-224"]
    assert case.shapes() == [(224, 224, 3), (222, 222, 32), (111, 111, 32), (109, 109, 64), (54, 54, 64), (128,), (2,)]
    first = 2 * 32 * 222 * 222 * 32 * 27
    second = 2 * 32 * 109 * 109 * 64 * 288
    dense = 2 * 32 * (186624 * 128 + 128 * 2)
    assert case.flops() == 2 * first + 3 * (second + dense)


def test_same_padding_keeps_the_extents():
    shapes = CASES["vgg-small"].shapes()
    assert shapes[:4] == [(32, 32, 3), (32, 32, 32), (32, 32, 32), (16, 16, 32)] and shapes[9] == (4, 4, 128)


DISTINCT = [tiny for tiny in TINY_PROGRAMS.values() if not tiny.name.startswith("lstm128")]  # those have other sizes


@pytest.mark.parametrize("program", DISTINCT, ids=lambda program: program.name)
def test_a_program_runs_compiled_and_eager(program):
    compiled, eager = make("leptonc", "compiled", program), make("leptonc", "eager", program)
    values = [(compiled(), eager()) for _ in range(2)]
    np.testing.assert_allclose(*zip(*values), rtol=1e-5, atol=1e-6)
    assert np.abs(np.subtract(*(one for one, _ in values))).max() > 1e-6  # it moves


def test_a_program_in_a_scan_gives_what_steps_give():
    program = TINY_PROGRAMS["generation-tiny"]
    step, scan = make("leptonc", "compiled", program), make("leptonc", "scan", program)
    values = [step() for _ in range(program.lasts + 1)]
    np.testing.assert_allclose(scan(), values[9], rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(values[-1], values[0])  # from the start again


def test_programs_have_the_documented_sizes():
    assert set(PROGRAMS) == {"resnet20", "mobilenet", "lstm256", "lstm128-b1", "lstm128-b32", "gru256", "dcgan", "transformer",
                             "generation", "unet-small"}
    shapes = {name: [x.shape for x in program.data()] for name, program in PROGRAMS.items()}
    assert shapes["resnet20"] == [(64, 32, 32, 3), (64,)] and shapes["mobilenet"][0] == (32, 64, 64, 3)
    assert shapes["lstm256"][0] == shapes["gru256"][0] == (32, 64, 256) and shapes["dcgan"][0] == (64, 32, 32, 3)
    assert shapes["lstm128-b1"][0] == (1, 16, 128) and shapes["lstm128-b32"][0] == (32, 16, 128)
    assert shapes["transformer"] == [(16, 129)] and PROGRAMS["generation"].lasts == 128
    layers = [name for name in weights(PROGRAMS["resnet20"].model()) if name.endswith("kernel") and "around" not in name]
    assert len(layers) == 20


def test_weights_say_what_they_are():
    kinds = {name: weight.kind for name, weight in weights(TINY_PROGRAMS["mobilenet-tiny"].model()).items()}
    assert kinds["stem.kernel"] == "Conv.kernel" and kinds["blocks.0.depthwise.kernel"] == "DepthwiseConv.kernel"
    assert kinds["blocks.1.norm2.scale"] == "BatchNorm.scale" and kinds["out.bias"] == "Linear.bias"
    assert weights(TINY_PROGRAMS["gru256-tiny"].model())["layer.layers.0.kernel"].kind == "RecurrentWeights.kernel"


def test_modes_of_programs(everything):
    images, sequence = TINY_PROGRAMS["unet-small-tiny"], TINY_PROGRAMS["generation-tiny"]
    assert modes(images) == modes(TINY)
    assert modes(sequence, eager=False, systems=("torch", "onnxruntime", "jax")) == [
        ("leptonc", "compiled"), ("leptonc", "scan"), ("torch", "plain"), ("torch", "plain+memory kept"),
        ("torch", "compiled plain"), ("jax", "jit")]


def test_cases_are_listed(capsys):
    assert cli.main(["bench", "--list"]) == 0
    assert capsys.readouterr().out.split() == [*CASES, *PROGRAMS]


MACHINE = {"cpu": "test", "threads": 1, "fma_gflops": 100.0, "copy_gbs": 10.0}


@pytest.mark.parametrize("case", [TINY, TINY_FORWARD, TINY_PROGRAMS["lstm128-b1-tiny"]], ids=lambda case: case.name)
def test_a_case_is_profiled(monkeypatch, capsys, tmp_path, case):
    monkeypatch.setattr(leptonc.profile, "_machine", lambda threads: MACHINE)
    monkeypatch.setitem(ALL_CASES, case.name, case)
    assert cli.main(["bench", case.name, "--profile", "--trace", str(tmp_path / "trace.json")]) == 0
    printed = capsys.readouterr().out
    names = [event["name"] for event in json.loads((tmp_path / "trace.json").read_text())["traceEvents"]]
    assert printed.startswith(case.name) and all(name[:30] in printed for name in names)
    assert ("gradient" in printed) == case.training
    if case.name in CASES:
        assert printed.count(" systems.py:") >= 2 and " i0:4" in printed  # the schedule


def test_unknown_systems_are_an_error():
    with pytest.raises(LeptonError, match="no system"):
        make("fortran", "fast", TINY)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_the_machine_measurement_compiles(target):
    assert compile_object(fma_text(target), target)
