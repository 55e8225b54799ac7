"""Jobs that are paused: where they stay, who resumes them, and what waits behind them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from shammah.client import Client
from shammah.errors import Conflict, NotFound
from shammah.records import JobState, Level, Mode, PauseReason
from shammah.store.database import Store
from shammah_daemon.supervisor import _pause, _resume
from tests.asking import user
from tests.conftest import StartDaemon
from tests.running import TINY_LESSON, Daemon
from tests.store.filling import BASE

#: Long enough to be met while it trains.
LONG_LESSON = TINY_LESSON | {"SHAMMAH_TRAINING__EPOCHS": "60"}


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    return start_daemon(LONG_LESSON)


@pytest.fixture
def client(daemon: Daemon) -> Iterator[Client]:
    with daemon.client as client:
        yield client


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def correct(client: Client, number: int) -> str:
    answer = client.chat(user(f"what do we do about case {number} then"), max_tokens=6)
    return client.feedback(Level.CRITICAL, answer.id, correction="yes we agree indeed").message


def test_a_paused_job_leaves_memory_stays_paused_over_a_restart_and_goes_on(
    daemon: Daemon, client: Client
) -> None:
    correct(client, 1)
    job = client.train()
    wait_for(lambda: (client.job(job.id).progress.get("step") or 0) > 3)
    paused = client.pause_job(job.id)
    assert (paused.state, paused.stage, paused.paused_for) == ("paused", "training", "user")
    assert daemon.children("shammah.training") == []
    [checkpoint] = (daemon.paths.job(job.id) / "checkpoints").iterdir()
    assert int(checkpoint.name) > 3

    assert f"Job {job.id} is paused" in correct(client, 2)
    behind = client.train()
    assert behind.id != job.id
    daemon.stop()
    daemon.start()
    with daemon.client as client:
        status = client.status().job
        assert status is not None
        assert (status.id, status.state) == (job.id, "paused")
        assert client.job(behind.id).state is JobState.QUEUED
        client.resume_job(job.id)
        client.cancel_job(behind.id)
        for _ in client.job_events(job.id):
            pass
        done = client.job(job.id)
        assert done.state in (JobState.PROMOTED, JobState.REJECTED)  # the gate's to say
        assert (done.paused_for, done.attempt) == (None, 1)
        assert min(step.step for step in client.job_steps(job.id)) == 1
        with pytest.raises(Conflict, match=f"ended as {done.state}"):
            client.pause_job(job.id)
        with pytest.raises(Conflict, match="not paused"):
            client.resume_job(job.id)
        with pytest.raises(NotFound):
            client.pause_job(99)


def test_a_paused_job_is_cancelled_and_what_waited_goes_on(daemon: Daemon, client: Client) -> None:
    correct(client, 1)
    first = client.train()
    client.pause_job(first.id)
    wait_for(lambda: client.job(first.id).state is JobState.PAUSED)
    cancelled = client.cancel_job(first.id)
    assert (cancelled.state, cancelled.paused_for) == ("cancelled", None)
    second = client.train()
    wait_for(lambda: client.job(second.id).stage)
    client.cancel_job(second.id)


def test_only_who_paused_a_job_or_the_user_resumes_it(store: Store) -> None:
    job = store.jobs.create(BASE, Mode.CONSOLIDATE)
    _pause(store, job.id, PauseReason.POLICY)
    assert _resume(store, job.id, PauseReason.SPACE).state is JobState.PAUSED
    assert _resume(store, job.id, PauseReason.POLICY).state is JobState.QUEUED

    _pause(store, job.id, PauseReason.POLICY)
    assert _pause(store, job.id, PauseReason.USER).paused_for is PauseReason.USER
    assert _pause(store, job.id, PauseReason.POLICY).paused_for is PauseReason.USER
    assert _resume(store, job.id, PauseReason.POLICY).state is JobState.PAUSED
    assert _resume(store, job.id, PauseReason.USER).paused_for is None
