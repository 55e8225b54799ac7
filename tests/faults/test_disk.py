"""A disk that is full, or fails: jobs wait or are tried again, and what was acknowledged stays."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shammah.errors import StorageError
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

#: Which of its writes and syncs, also those of SQLite, of safetensors and of llama.cpp.
WRITES = {"shammah.training": (1, 30), "shammah.publish": (1, 30), "shammah_daemon": (1, 100)}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300 + 60 * POINTS),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="session")
def failing_writes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler, or another loader than Linux's")
    library = tmp_path_factory.mktemp("failing") / "writes.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, FAILING / "writes.c", "-ldl"],
        check=True,
    )
    return library


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
        said = daemon.said()
        assert "error: cannot write " in said or "error: the disk failed" in said
        daemon.start()


@pytest.mark.parametrize("module", ACTS)
def test_a_file_that_cannot_be_opened_is_tried_again(
    start_daemon: StartDaemon, tmp_path: Path, module: str
) -> None:
    daemon = start_daemon(SETTINGS | {"PYTHONPATH": str(FAILING)})
    strike(daemon, tmp_path, "FAILING_ACT", module, ACTS[module])


@pytest.mark.parametrize("module", WRITES)
def test_a_write_of_whatever_code_that_fails_is_tried_again(
    start_daemon: StartDaemon, failing_writes: Path, tmp_path: Path, module: str
) -> None:
    daemon = start_daemon(SETTINGS | {"LD_PRELOAD": str(failing_writes)})
    strike(daemon, tmp_path, "FAILING_WRITE", module, WRITES[module])


def strike(
    daemon: Daemon, folder: Path, setting: str, module: str, numbers: tuple[int, int]
) -> None:
    """Let one thing of many that the module does to files fail during a job, again and again."""
    chance = random.Random(f"{SEED} {setting} {module}")
    for _ in range(max(1, POINTS // 3)):
        daemon.stop()
        fault = folder / f"{module}@{chance.randint(*numbers)}"
        fault.touch()
        daemon.settings[setting] = str(fault)
        start(daemon)
        with daemon.client as client:
            try:
                job_id = ensure_job(client)
            except StorageError:  # not acknowledged, and said to whoever asked
                job_id = ensure_job(client)
        assert ended(daemon, job_id).state in (JobState.PROMOTED, JobState.REJECTED), fault
        assert fault.with_name(f"{fault.name}.struck").exists(), fault
    check_jobs_have_ended_well(daemon)
    check_all_is_there(daemon, {})
