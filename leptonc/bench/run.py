"""Running cases: a process per system, rounds interleaved, results as a table and as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path
from statistics import median
from typing import IO, Any

from leptonc.bench.cases import Case
from leptonc.bench.chart import write_chart
from leptonc.bench.networks.program import Program
from leptonc.bench.systems import check_systems, environment, find_case, modes, worker_command
from leptonc.errors import LeptonError
from leptonc.profile.machine import describe_machine

WARM_STEPS = 10
ROUND_SECONDS = 1.0
MAX_STEPS = 5000
REST = 0.3  # seconds between two systems' turns: thread pools spin on for some time
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")  # they would slow NumPy down


class Worker:
    """One system in a process of its own."""

    def __init__(self, system: str, mode: str, case: Case | Program, **extra: str):
        self.system, self.mode = system, mode
        inherited = {k: v for k, v in os.environ.items() if k not in UNSET}
        self._scratch = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # helpers of a system may still write there
        command = worker_command(system)
        try:
            self._process = subprocess.Popen([*command, system, mode, case.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                             text=True, env={**inherited, **environment(mode, self._scratch.name), **extra})
        except OSError as error:
            self._scratch.cleanup()
            raise LeptonError(f"bench: {command[0]} does not start: {error.strerror}") from None
        self.seconds: list[float] = []
        self.warm: dict[str, Any] = {}

    def ask(self, **request: Any) -> dict[str, Any]:
        """Raises LeptonError if the process has died."""
        stdin, stdout = self._pipes()
        try:
            stdin.write(json.dumps(request) + "\n")
            stdin.flush()
        except BrokenPipeError:
            pass
        line = stdout.readline()
        if not line:
            raise LeptonError(f"bench: {self.system} ({self.mode}) died with exit code {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None and self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def turn(self) -> None:
        """One round: as many steps as fill a second."""
        steps = min(max(int(ROUND_SECONDS / max(self.warm["seconds"], 1e-6)), 1), MAX_STEPS)
        self.seconds += self.ask(cmd="run", steps=steps)["seconds"]

    def finish(self) -> dict[str, Any]:
        """The system's entry of the results."""
        peak = self.ask(cmd="quit")["peak_rss_mb"]
        return {"system": self.system, "mode": self.mode, "median_ms": round(median(self.seconds) * 1e3, 3),
                "min_ms": round(min(self.seconds) * 1e3, 3), "compile_s": round(self.warm["compile_s"], 3),
                "peak_rss_mb": round(peak, 1), "value_after_10_steps": self.warm["value_after_10_steps"]}

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in self._pipes():
            pipe.close()
        self._scratch.cleanup()


def run_case(case: Case | Program, rounds: int, systems: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The case's entry of the results; ``systems``: (system, mode) of each run, compiled leptonc first."""
    workers: list[Worker] = []
    try:
        for system, mode in systems:
            _say(f"{case.name}: warming up {system} ({mode})")
            worker = Worker(system, mode, case)
            workers.append(worker)
            worker.warm = worker.ask(cmd="warm", steps=WARM_STEPS)
        for number in range(rounds):
            _say(f"{case.name}: round {number + 1} of {rounds}")
            for worker in workers:
                time.sleep(REST)
                worker.turn()
        runs = [worker.finish() for worker in workers]
        runs[0]["warm_start_s"] = round(_warm_start(case), 3)
    finally:
        for worker in workers:
            worker.kill()
    return {"case": case.name, "runs": runs, **_compared(runs)}


def _warm_start(case: Case | Program) -> float:
    """What the first step costs beyond a usual one in a process that finds compiled code on disk, in seconds."""
    with tempfile.TemporaryDirectory() as directory:
        for _ in range(2):
            worker = Worker("leptonc", "compiled", case, LEPTONC_CACHE="1", LEPTONC_CACHE_DIR=directory + "/cache")
            try:
                seconds: float = worker.ask(cmd="warm", steps=4)["compile_s"]
            finally:
                worker.kill()
    return seconds


def _compared(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """The fastest peer by median, and how many times faster leptonc is: called for each step, in a scan, with frozen weights."""
    ours = {r["mode"]: float(r["median_ms"]) for r in runs if r["system"] == "leptonc"}
    peers = [r for r in runs if r["system"] != "leptonc"]
    if not peers:
        return {"best_peer": None, "ratio_to_best_peer": None, "ratio_in_scan": None, "ratio_frozen": None}
    best = min(peers, key=lambda r: float(r["median_ms"]))
    ratios = {mode: round(best["median_ms"] / ours[mode], 3) if mode in ours else None for mode in ("compiled", "scan", "frozen")}
    return {"best_peer": f"{best['system']} {best['mode']}", "ratio_to_best_peer": ratios["compiled"],
            "ratio_in_scan": ratios["scan"], "ratio_frozen": ratios["frozen"]}


def run_all(names: Sequence[str], rounds: int, eager: bool = True, systems: Collection[str] | None = None,
            json_file: Path | None = None, markdown: Path | None = None, chart: Path | None = None) -> dict[str, Any]:
    """Measure the machine, then each case, with those ``systems`` beside leptonc, or all; print a table, and write JSON, Markdown
    and a PNG where files are given."""
    check_systems(systems or ())
    _say("measuring the machine")
    machine = describe_machine()
    cases: list[dict[str, Any]] = []
    for case in map(find_case, names):
        cases.append(run_case(case, rounds, modes(case, eager, systems)))
        # A limit is the best that was ever seen: once more, for the first measurement may have met a busy machine.
        machine["fma_gflops"] = max(machine["fma_gflops"], describe_machine()["fma_gflops"])
    for case, found in zip(map(find_case, names), cases):
        if isinstance(case, Case):
            found["dense_limit_ms"] = round(case.flops() / machine["fma_gflops"] / 1e6, 3)
    results = {"machine": machine, "cases": cases}
    print(table(results))
    if json_file is not None:
        json_file.write_text(json.dumps(results, indent=1) + "\n")
    if markdown is not None:
        markdown.write_text(table(results) + "\n")
    if chart is not None:
        write_chart(results, chart)
    return results


def table(results: dict[str, Any]) -> str:
    """Markdown."""
    machine = results["machine"]
    lines = [f"{machine['cpu']}, {machine['threads']} threads: {machine['fma_gflops']} GFLOP/s of f32 FMA, "
             f"{machine['copy_gbs']} GB/s", "",
             "| case | system | median ms | min ms | compile s | peak MB | value after 10 steps |", "|---|---|---|---|---|---|---|"]
    for case in results["cases"]:
        lines += [f"| {case['case']} | {r['system']} {r['mode']} | {_ms(r['median_ms'])} | {_ms(r['min_ms'])} | "
                  f"{r['compile_s']:.2f} | {r['peak_rss_mb']:.0f} | {r['value_after_10_steps']:.5f} |" for r in case["runs"]]
        if "dense_limit_ms" in case:
            lines.append(f"| {case['case']} | dense limit | {_ms(case['dense_limit_ms'])} | | | | |")
    for case in results["cases"]:
        ours = case["runs"][0]
        limit = case.get("dense_limit_ms")
        speed = f"{limit / ours['median_ms']:.2f} times the dense limit's speed; " if limit else ""
        lines += ["", f"{case['case']}: {speed}the first step of a process that finds code on disk takes "
                      f"{ours['warm_start_s'] * 1e3:.0f} ms more than the next"]
        if case["best_peer"]:
            line = f"{case['case']}: {case['ratio_to_best_peer']:.2f} times as fast as the best peer ({case['best_peer']})"
            line += f", {case['ratio_in_scan']:.2f} times in a scan" if case["ratio_in_scan"] else ""
            lines.append(line + (f", {case['ratio_frozen']:.2f} times with frozen weights" if case["ratio_frozen"] else ""))
    return "\n".join(lines)


def _ms(x: float) -> str:
    return f"{x:.2f}" if x >= 1 else f"{x:.3f}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
