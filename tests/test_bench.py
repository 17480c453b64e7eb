"""The benchmark harness on a tiny case: the JSON's shape, systems that do the same work. Nothing is timed here."""

from __future__ import annotations

import json

import numpy as np
import pytest

import leptonc
from leptonc import driver
from leptonc.bench import profile, run
from leptonc.bench.cases import CASES, TINY, TINY_FORWARD
from leptonc.bench.machine import fma_text
from leptonc.bench.systems import make, modes
from leptonc.codegen.assemble import compile_object
from leptonc.errors import LeptonError
from leptonc.target import TARGETS


def test_a_run_gives_the_documented_json(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "ROUND_SECONDS", 0.0)
    monkeypatch.setattr(run, "describe_machine", lambda: {"cpu": "test", "threads": 1, "fma_gflops": 100.0, "copy_gbs": 10.0})
    run.run_all(["tiny"], 2, json_file=tmp_path / "out.json", markdown=tmp_path / "out.md", chart=tmp_path / "out.png")
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")
    assert "| tiny | dense limit |" in (tmp_path / "out.md").read_text()
    found = json.loads((tmp_path / "out.json").read_text())
    assert {"fma_gflops", "copy_gbs"} <= found["machine"].keys()
    (case,) = found["cases"]
    assert case.keys() == {"case", "dense_limit_ms", "runs", "best_peer", "ratio_to_best_peer", "ratio_in_scan"}
    assert [(r["system"], r["mode"]) for r in case["runs"]] == modes(TINY)
    for entry in case["runs"]:
        known = {"system", "mode", "median_ms", "min_ms", "compile_s", "peak_rss_mb", "value_after_10_steps"}
        assert entry.keys() == known | ({"warm_start_s"} if entry is case["runs"][0] else set())
        assert entry["min_ms"] <= entry["median_ms"] and entry["peak_rss_mb"] > 10
    losses = [r["value_after_10_steps"] for r in case["runs"]]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-3)
    assert "| tiny | leptonc compiled |" in capsys.readouterr().out


def test_forward_passes_agree():
    found = {mode: make(*mode, TINY_FORWARD)() for mode in modes(TINY_FORWARD)}
    np.testing.assert_allclose(list(found.values()), found["leptonc", "eager"], rtol=1e-5)


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


MACHINE = {"fma_gflops": 100.0, "copy_gbs": 10.0}


def test_a_profile_has_a_row_for_every_kernel(tmp_path, capsys):
    rows = profile.profile_case(TINY, MACHINE, tmp_path / "trace.json")
    printed = capsys.readouterr().out
    assert len(rows) > 5 and all(row.seconds > 0 for row in rows)
    assert all(row.line.startswith("systems.py:") for row in rows if row.flops)
    assert all(row.function in printed for row in rows)
    trace = json.loads((tmp_path / "trace.json").read_text())
    assert [event["name"] for event in trace["traceEvents"]] == [row.function for row in rows]


def test_operations_of_a_kernel_are_counted():
    """A product of 30 x 20 by 20 x 50, with two operations per result behind it."""
    a, b = np.ones((30, 20), np.float32), np.ones((20, 50), np.float32)
    graph = leptonc.make_graph(lambda a, b: np.float32(2) * (a @ b) + 1)(a, b)
    program = driver.lower(driver.optimize(graph))
    assert sum(profile.kernel_flops(call.kernel) for call in program.calls) == 2 * 30 * 20 * 50 + 2 * 30 * 50


def test_unknown_systems_are_an_error():
    with pytest.raises(LeptonError, match="no system"):
        make("fortran", "fast", TINY)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_the_machine_measurement_compiles(target):
    assert compile_object(fma_text(target), target)
