"""Another base serves once it has been taught what was taught, and the old one until then.

On tiny models under a real daemon.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from shammah.client import Client
from shammah.errors import Conflict
from shammah.paths import Paths
from shammah.records import JobState, Level, Mode
from tests.asking import TARGET, answered, case, finished, text_of
from tests.conftest import StartDaemon
from tests.running import TINY, TINY_LESSON, Daemon, home_in, lay_tiny_ground, link_bases
from tests.versions import Taught

NEW = "newer"


@pytest.fixture(scope="module")
def newer(tmp_path_factory: pytest.TempPathFactory, other_tiny_base: Path) -> Path:
    """`bases/` with another base that is ready to be taught."""
    paths = home_in(tmp_path_factory.mktemp("newer"))
    lay_tiny_ground(paths, other_tiny_base, NEW)
    return paths.bases


@pytest.fixture
def start(home: Paths, moved_in: Taught, newer: Path, start_daemon: StartDaemon) -> StartDaemon:
    """Starts the daemon: version 1 of the tiny base serves, and the other base was added."""
    link_bases(newer, home)
    return start_daemon


@pytest.fixture
def daemon(start: StartDaemon) -> Daemon:
    return start(TINY_LESSON)


def serving(client: Client) -> tuple[str | None, int]:
    status = client.status()
    return status.base, status.active_version


def test_a_newer_base_is_taught_everything_before_it_serves(client: Client) -> None:
    wanted = client.use_base(NEW)
    assert not wanted.active
    assert serving(client) == (TINY, 1)
    assert text_of(answered(client, case(0), 30)) == TARGET
    assert client.use_base(NEW).job_id == wanted.job_id  # asked twice, it is the same job
    job = finished(client, wanted.job_id)
    assert (job.mode, job.base, job.state) == (Mode.MOVE, NEW, JobState.PROMOTED), job.error
    assert serving(client) == (NEW, 2)
    checks = {check["name"]: check for check in client.version(2).report["checks"]}
    assert checks["moved"]["detail"] == "3 of 3 examples hold, 3 did before"
    answer = answered(client, case(0), 30)
    assert (text_of(answer), answer.shammah.base) == (TARGET, NEW)
    assert client.status().waiting == 0


def test_rollback_leads_back_to_the_former_base_and_forth_again(
    daemon: Daemon, client: Client
) -> None:
    assert finished(client, client.use_base(NEW).job_id).state is JobState.PROMOTED
    assert client.rollback().base == TINY
    assert serving(client) == (TINY, 1)
    assert answered(client, case(0), 30).shammah.base == TINY
    assert client.rollback(2).base == NEW
    daemon.stop()
    daemon.start()
    with daemon.client as again:
        assert serving(again) == (NEW, 2)
        # Both bases know all: no job is needed to change between them.
        assert again.use_base(TINY).active
        assert again.use_base(NEW).job_id is None


def test_a_cancelled_move_leaves_the_former_base(client: Client) -> None:
    wanted = client.use_base(NEW)
    client.use_base(TINY)  # the user has changed their mind
    assert finished(client, wanted.job_id).state is JobState.CANCELLED
    assert serving(client) == (TINY, 1)
    assert text_of(answered(client, case(0), 30)) == TARGET
    assert finished(client, client.use_base(NEW).job_id).state is JobState.PROMOTED


def test_a_base_can_be_served_at_once_without_the_lessons(client: Client) -> None:
    wanted = client.use_base(NEW)
    assert client.use_base(NEW, now=True).active
    assert finished(client, wanted.job_id).state is JobState.CANCELLED
    assert serving(client) == (NEW, 0)
    assert client.status().waiting == 3
    client.train()
    with pytest.raises(Conflict, match="is teaching newer"):
        client.rollback(1)  # its job would bring the newer base back


def test_a_lesson_queued_during_a_move_teaches_the_base_that_serves_then(client: Client) -> None:
    moving = client.use_base(NEW)
    for event in client.job_events(moving.job_id):
        if event.data.get("state") == "training":
            answered(client, "and one more thing", 2)
            client.feedback(Level.CRITICAL, correction=TARGET)
            queued = client.train()
    assert queued.id != moving.job_id
    following = finished(client, queued.id)
    assert (following.base, following.state) == (NEW, JobState.PROMOTED)
    assert serving(client) == (NEW, 3)


def test_a_base_that_does_not_learn_as_much_is_rejected(start: StartDaemon) -> None:
    with start(TINY_LESSON | {"SHAMMAH_TRAINING__LEARNING_RATE": "1e-9"}).client as client:
        job = finished(client, client.use_base(NEW).job_id)
        assert job.state is JobState.REJECTED
        assert "0 of 3 examples hold, 3 did before" in job.summary
        assert serving(client) == (TINY, 1)
        assert text_of(answered(client, case(0), 30)) == TARGET
