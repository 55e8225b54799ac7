"""How many cores there are to compute on."""

from __future__ import annotations

import os

import psutil


def usable_cores() -> int:
    """The physical cores, or fewer where this process may not run on all of them.

    A second thread on a core, or a thread that waits for a core, makes matrix products slower. What
    the process may run on is its CPU affinity, which containers and `taskset` set; macOS has none.
    """
    physical = psutil.cpu_count(logical=False) or 1
    if hasattr(os, "sched_getaffinity"):
        return min(physical, len(os.sched_getaffinity(0)))
    return physical
