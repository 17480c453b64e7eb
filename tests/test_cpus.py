"""CPUs of a process: what it may run on, and what its control groups pay for."""

from __future__ import annotations

import os
from math import inf
from pathlib import Path

import pytest

from leptonc.cpus import available_cpus, quota

V2 = "30 24 0:26 {root} {point} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "33 25 0:29 {root} {point} rw,nosuid shared:15 - cgroup cgroup rw,cpu,cpuacct\n"
MEMORY = "34 25 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"


def process(tmp_path: Path, mount: str, groups: str, files: dict[str, str], root: str = "/") -> Path:
    """A ``/proc/self`` whose control groups lie below ``tmp_path``."""
    proc, point = tmp_path / "proc", tmp_path / "groups"
    proc.mkdir()
    for name, text in files.items():
        (point / name).parent.mkdir(parents=True, exist_ok=True)
        (point / name).write_text(text)
    (proc / "mountinfo").write_text(MEMORY + mount.format(root=root, point=point) + "nonsense\n")
    (proc / "cgroup").write_text(groups)
    return proc


@pytest.mark.parametrize("files, wanted", [
    ({"a/b/cpu.max": "150000 100000\n"}, 1.5),
    ({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "50000 100000\n"}, 0.5),  # a group around it
    ({"a/b/cpu.max": "400000 100000\n", "a/cpu.max": "max 100000\n", "cpu.max": "300000 100000\n"}, 3.0),
    ({"a/b/cpu.max": "max 100000\n"}, inf),
    ({"a/b/cpu.max": "what?\n"}, inf),
    ({"a/c/cpu.max": "10000 100000\n"}, inf),  # another process's
    ({}, inf),
])
def test_quota_of_version_2(tmp_path, files, wanted):
    assert quota(process(tmp_path, V2, "0::/a/b\n", files)) == wanted


@pytest.mark.parametrize("limit, wanted", [("200000\n", 2.0), ("-1\n", inf), ("0\n", inf)])
def test_quota_of_version_1(tmp_path, limit, wanted):
    files = {"a/cpu.cfs_quota_us": limit, "a/cpu.cfs_period_us": "100000\n"}
    assert quota(process(tmp_path, V1, "4:memory:/other\n3:cpu,cpuacct:/a\n", files)) == wanted


def test_a_container_that_sees_its_own_group_alone(tmp_path):
    """The mount shows a group further down, or the process's path leads out of it."""
    assert quota(process(tmp_path, V2, "0::/docker/1/x\n", {"x/cpu.max": "50000 100000"}, root="/docker/1")) == 0.5
    (tmp_path / "other").mkdir()
    assert quota(process(tmp_path / "other", V2, "0::/../..\n", {"cpu.max": "250000 100000"}, root="/docker/1")) == 2.5


def test_a_quota_bounds_the_cpus(tmp_path):
    assert available_cpus(process(tmp_path, V2, "0::/\n", {"cpu.max": "110000 100000"})) == min(2, len(os.sched_getaffinity(0)))
    for name, limit in (("half", "50000"), ("one", "100000"), ("little", "1")):
        (tmp_path / name).mkdir()
        assert available_cpus(process(tmp_path / name, V2, "0::/\n", {"cpu.max": f"{limit} 100000"})) == 1


def test_no_process_file_system(tmp_path):
    assert quota(tmp_path) == inf
    assert available_cpus(tmp_path) == len(os.sched_getaffinity(0))
