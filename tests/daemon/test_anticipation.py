"""What is done for a lesson before it starts, on the tiny model under a real daemon."""

from __future__ import annotations

import time

from shammah.client import Client
from shammah.records import JobState, Level
from tests.asking import user
from tests.conftest import StartDaemon
from tests.running import TINY_LESSON, Daemon

SETTINGS = TINY_LESSON | {"SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": "2"}
SECONDS = 60.0


def correct(client: Client, number: int) -> None:
    answer = client.chat(user(f"what do we do about case {number} then"), max_tokens=6)
    client.feedback(Level.CRITICAL, answer.id, correction="yes we agree indeed")


def trainers(daemon: Daemon) -> set[int]:
    return {child.pid for child in daemon.children("shammah.training")}


def test_the_base_is_loaded_when_one_more_correction_starts_a_lesson(
    start_daemon: StartDaemon,
) -> None:
    daemon = start_daemon(SETTINGS)
    with daemon.client as client:
        correct(client, 1)
        deadline = time.monotonic() + SECONDS
        while not (waiting := trainers(daemon)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert client.jobs() == []
        correct(client, 2)
        [job] = client.jobs()
        seen = set()
        for _event in client.job_events(job.id):
            seen |= trainers(daemon)
        assert client.job(job.id).state is JobState.PROMOTED
    assert seen == waiting


def test_a_daemon_that_stops_leaves_no_child_waiting(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(SETTINGS)
    with daemon.client as client:
        correct(client, 1)
        deadline = time.monotonic() + SECONDS
        while not trainers(daemon):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    children = daemon.children("shammah.training")
    daemon.stop()
    assert not any(child.is_running() for child in children)
