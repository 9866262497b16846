"""Number of processors that this process may use."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def processors(cgroup: Path = CGROUP) -> int:
    """The number of processors within the CPU affinity and a container's limit; at least one.

    Args:
        cgroup: Linux folder with the container's limits (cgroup v2: ``cpu.max``; v1: ``cpu.cfs_*_us``).
    """
    return max(1, min(_allowed(), math.ceil(_share(cgroup))))


def _allowed() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _share(cgroup: Path) -> float:
    """The container's limit in processors; without one, the number that the affinity allows."""
    try:
        if (both := cgroup / "cpu.max").exists():
            quota, period = both.read_text().split()
        else:
            quota = (cgroup / "cpu" / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu" / "cpu.cfs_period_us").read_text()
        share = int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no container, or "max"
        return _allowed()
    return share if share > 0 else _allowed()  # v1 says -1 if there is no limit
