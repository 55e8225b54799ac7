from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from shammah.cores import usable_cores

_COUNTED_ON_ONE_CORE = (
    "import os; from shammah.cores import usable_cores; "
    "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); print(usable_cores())"
)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_a_process_that_may_run_on_one_core_counts_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COUNTED_ON_ONE_CORE], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "1"


def test_else_there_are_as_many_as_the_machine_has_at_most() -> None:
    assert 1 <= usable_cores() <= (psutil.cpu_count(logical=False) or 1)
