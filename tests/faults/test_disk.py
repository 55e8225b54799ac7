"""A disk that is full, or fails: jobs wait or are tried again, and what was acknowledged stays."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shammah.paths import Paths
from shammah.protocol import JobView
from shammah.records import Active, JobState
from shammah.store.database import Store
from tests.conftest import StartDaemon
from tests.faults.harness import (
    POINTS,
    SEED,
    SETTINGS,
    Talker,
    check_all_is_there,
    check_jobs_have_ended_well,
    ended,
    ensure_job,
)
from tests.running import TINY, Daemon, home_in, running

FAILING = Path(__file__).with_name("failing")

#: A home of this size holds the tiny base and a job on it, and is soon full.
DISK_BYTES = 256 << 20

#: What a merged file of the tiny base takes.
MERGE_BYTES = 6_000_000

#: After so long the disk is so full that not even this can be recorded: that the job waits.
STUCK_SECONDS = 30.0

#: Which of the things that a module does to files fails; the daemon's first seven make its folders.
ACTS = {"shammah.training": (1, 10), "shammah.publish": (1, 4), "shammah_daemon": (8, 26)}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300 + 60 * POINTS),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder],
        stderr=subprocess.DEVNULL,
        check=False,
    )
    if made.returncode:
        pytest.skip("mounting takes rights that this user does not have")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def daemon(small_disk: Path, tiny_ground: Path) -> Iterator[Daemon]:
    paths = home_in(small_disk / "home")
    shutil.copytree(tiny_ground, paths.bases, dirs_exist_ok=True)
    with closing(Store.open(paths.database)) as store:
        store.pointer.move(Active(TINY, 0))
    with running(paths, SETTINGS) as daemon:
        yield daemon


def fill(folder: Path, free_bytes: int) -> Path:
    """A file that leaves about so much free."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        while True:
            size = max(shutil.disk_usage(folder).free - free_bytes, 1)
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except OSError:  # somebody wrote at the same time
                continue
            return ballast


def test_a_full_disk_makes_a_job_wait_and_loses_nothing(small_disk: Path, daemon: Daemon) -> None:
    chance = random.Random(SEED)
    waited = 0
    acknowledged: dict[int, str] = {}
    for point in range(max(1, POINTS // 3)):
        # 10 kB to 25 MB; the first, where a merge does not fit, is certain to be met.
        free = round(10 ** chance.uniform(4, 7.4)) if point else MERGE_BYTES // 2
        with daemon.client as client, Talker(daemon, acknowledged, rest_seconds=1.0) as talker:
            job_id = ensure_job(client)
            ballast = fill(small_disk, free)
            stuck = time.monotonic() + STUCK_SECONDS
            while time.monotonic() < stuck and not _waits_or_has_ended(client.job(job_id)):
                time.sleep(0.1)
            waited += not client.job(job_id).state.is_final
            ballast.unlink()
        assert talker.unexpected == []
        assert ended(daemon, job_id).state in (JobState.PROMOTED, JobState.REJECTED)
    assert waited
    check_jobs_have_ended_well(daemon)
    check_all_is_there(daemon, acknowledged)


def _waits_or_has_ended(job: JobView) -> bool:
    return job.state is JobState.PAUSED or job.state.is_final


def start(daemon: Daemon) -> None:
    """What fails while it starts ends it with a clear word; then it starts."""
    try:
        daemon.start()
    except AssertionError:
        assert daemon.process is not None
        assert daemon.process.returncode == 1
        assert "error: cannot write " in daemon.said()
        daemon.start()


@pytest.mark.parametrize("module", ACTS)
def test_a_write_that_fails_is_tried_again(
    start_daemon: StartDaemon, home: Paths, tmp_path: Path, module: str
) -> None:
    chance = random.Random(f"{SEED} {module}")
    daemon = start_daemon(SETTINGS)
    daemon.settings["PYTHONPATH"] = str(FAILING)
    for _ in range(max(1, POINTS // 3)):
        daemon.stop()
        fault = tmp_path / f"{module}@{chance.randint(*ACTS[module])}"
        fault.touch()
        daemon.settings["FAULT"] = str(fault)
        start(daemon)
        with daemon.client as client:
            job_id = ensure_job(client)
        assert ended(daemon, job_id).state in (JobState.PROMOTED, JobState.REJECTED), fault
        assert fault.with_name(f"{fault.name}.struck").exists(), fault
    check_jobs_have_ended_well(daemon)
    check_all_is_there(daemon, {})
