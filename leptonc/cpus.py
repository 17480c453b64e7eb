"""How many CPUs this process may use: those it may run on, and no more than its container's quota pays for. A leaf module.

A quota is a share of time: who uses more is stopped for the rest of each period, with all its threads, wherever they are in a step.
It stands in the process's control group and in all around it, as ``cpu.max`` (cgroup v2: "quota period" or "max period") or as
``cpu.cfs_quota_us`` and ``cpu.cfs_period_us`` (v1; a quota of -1 is none); see the kernel's cgroup-v2.rst and sched-bwc.rst.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from math import ceil, inf
from pathlib import Path, PurePosixPath
from typing import NamedTuple

PROC = Path("/proc/self")
QUOTA_SECONDS = 2.0
_known = (inf, 0.0)  # the last quota, and until when it is good


def available_cpus(proc: Path = PROC) -> int:
    """CPUs that this process may run on, at most as many as its quota keeps busy, at least 1."""
    if hasattr(os, "sched_getaffinity"):  # Linux: respects taskset and container CPU sets
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    return max(1, ceil(min(cpus, _recent_quota() if proc == PROC else quota(proc))))


def _recent_quota() -> float:
    """This process's quota, read again after a while: the answer is wanted many times a second."""
    global _known
    now = time.monotonic()
    if now >= _known[1]:
        _known = quota(), now + QUOTA_SECONDS
    return _known[0]


def quota(proc: Path = PROC) -> float:
    """CPUs' worth of time that this process's control groups allow; infinity if they set no bound, or none that can be read."""
    try:
        mounts, groups = (proc / "mountinfo").read_text(), (proc / "cgroup").read_text()
    except OSError:
        return inf
    found = [_quota_of(folder, mount.version) for mount in _mounts(mounts) for folder in _folders(mount, groups)]
    return min(found, default=inf)


class _Mount(NamedTuple):
    """Where groups are seen: the group ``root`` and those below it lie under ``point``."""

    version: int
    root: PurePosixPath
    point: Path


def _mounts(mountinfo: str) -> Iterator[_Mount]:
    """The mounts that control CPU time (proc_pid_mountinfo(5))."""
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2":
            yield _Mount(2, PurePosixPath(fields[3]), Path(fields[4]))
        elif kind[0] == "cgroup" and "cpu" in kind[2].split(","):
            yield _Mount(1, PurePosixPath(fields[3]), Path(fields[4]))


def _folders(mount: _Mount, groups: str) -> Iterator[Path]:
    """The folders of this process's group and of those around it, as far as the mount shows them (cgroups(7))."""
    for line in groups.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if (number == "0") if mount.version == 2 else ("cpu" in controllers.split(",")):
            group = PurePosixPath(path)
            inside = group.relative_to(mount.root) if group.is_relative_to(mount.root) else PurePosixPath()
            for part in (inside, *inside.parents):
                yield mount.point / part


def _quota_of(folder: Path, version: int) -> float:
    """One group's quota in CPUs."""
    try:
        if version == 2:
            limit, period = (folder / "cpu.max").read_text().split()
        else:
            limit, period = ((folder / name).read_text() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us"))
        share = inf if limit == "max" else int(limit) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return inf
    return share if share > 0 else inf
