"""A lesson of a real daemon that trains with several processes."""

from __future__ import annotations

from contextlib import suppress

import psutil
import pytest

from shammah.records import JobState
from tests.asking import correct, finished
from tests.conftest import StartDaemon
from tests.running import TINY_LESSON, Daemon, wait_for

TWO = {
    "SHAMMAH_TRAINING__LAUNCH": "torchrun --standalone --nproc-per-node=2",
    "SHAMMAH_TRAINING__FSDP": "true",
}


@pytest.mark.slow
def test_a_lesson_is_promoted_that_two_processes_train_with_half_of_the_base_each(
    start_daemon: StartDaemon,
) -> None:
    daemon = start_daemon(TINY_LESSON | TWO)
    with daemon.client as client:
        correct(client, 0)
        job = client.train()
        wait_for(lambda: sorted(ranks(daemon)) == ["0", "1"])
        assert finished(client, job.id).state is JobState.PROMOTED
    assert ranks(daemon) == []


def ranks(daemon: Daemon) -> list[str]:
    """Of the stages that its launchers have started."""
    found = []
    assert daemon.process is not None
    for process in psutil.Process(daemon.process.pid).children(recursive=True):
        with suppress(psutil.Error):
            if "--launched" in process.cmdline() and "RANK" in (environment := process.environ()):
                found.append(environment["RANK"])
    return found
