"""Too little memory for a training child, really: it is tried again, otherwise."""

from __future__ import annotations

import resource
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from shammah.records import JobState
from tests.conftest import StartDaemon
from tests.faults.harness import (
    SETTINGS,
    check_all_is_there,
    check_jobs_have_ended_well,
    ended,
    ensure_job,
)
from tests.running import Daemon, wait_for

LIMIT_BYTES = 200 << 20
CGROUPS = Path("/sys/fs/cgroup/memory")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits a running process"),
]


def limit_address_space(child: psutil.Process) -> None:
    limit = child.memory_info().vms + LIMIT_BYTES
    resource.prlimit(child.pid, resource.RLIMIT_AS, (limit, limit))


@pytest.fixture
def small_group() -> Iterator[Callable[[psutil.Process], None]]:
    """Moves a process to where the kernel kills it if it takes more than `LIMIT_BYTES`."""
    group = CGROUPS / f"shammah-test-{uuid.uuid4().hex}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(LIMIT_BYTES))
    except OSError:
        pytest.skip("a memory group takes rights that this user does not have")
    yield lambda child: _write(group / "cgroup.procs", str(child.pid))
    group.rmdir()


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def strike(daemon: Daemon, limit: Callable[[psutil.Process], None]) -> None:
    """A lesson whose first training child gets too little memory."""
    with daemon.client as client:
        job_id = ensure_job(client)
        limit(wait_for(lambda: daemon.children("shammah.training"))[0])
    job = ended(daemon, job_id)
    assert job.state is JobState.PROMOTED
    assert [(one.stage, one.failure) for one in job.tried] == [("training", "out of memory")]
    assert "half as many rows" in job.tried[0].said
    assert '"divided": 2' in (daemon.paths.job(job_id) / "train.json").read_text()
    check_jobs_have_ended_well(daemon)
    check_all_is_there(daemon, {})


def test_memory_that_is_refused_leads_to_smaller_passes(start_daemon: StartDaemon) -> None:
    strike(start_daemon(SETTINGS), limit_address_space)


def test_a_kill_by_the_kernel_leads_to_smaller_passes(
    start_daemon: StartDaemon, small_group: Callable[[psutil.Process], None]
) -> None:
    strike(start_daemon(SETTINGS), small_group)
