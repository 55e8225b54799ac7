"""SIGKILL at random moments, under chat and feedback: what was acknowledged is there afterwards."""

from __future__ import annotations

import random
import time

import psutil
import pytest

from shammah.records import JobState
from tests.conftest import StartDaemon
from tests.faults.harness import (
    EVERY_DAY,
    POINTS,
    SEED,
    SETTINGS,
    Talker,
    check_all_is_there,
    check_jobs_have_ended_well,
    ended,
    ensure_job,
    integrity,
)
from tests.running import Daemon, kill_process, wait_for

STAGES = ("shammah.training", "shammah.publish")
KILLED = ("signal 9",)

#: States in which a job has its candidate, or is done.
LATE = frozenset({JobState.QUANTIZING, JobState.JUDGING, JobState.PROMOTED})
LATE_KILLS = 4

#: What tests/daemon/test_quick.py does every day with a quick lesson.
long_run = pytest.mark.skipif(POINTS <= EVERY_DAY, reason="scripts/faults runs it")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300 + 60 * POINTS),
    # httpcore leaves the socket of a refused connection to the garbage collector.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def daemon(start_daemon: StartDaemon) -> Daemon:
    return start_daemon(SETTINGS)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Randomness that a failure can be repeated with."""
    print(f"{request.node.name}: seed {SEED}")
    return random.Random(f"{SEED} {request.node.name}")


def check(daemon: Daemon, talker: Talker) -> None:
    assert talker.unexpected == []
    check_jobs_have_ended_well(daemon, KILLED)
    check_all_is_there(daemon, talker.acknowledged)


def test_a_killed_engine_loses_nothing(daemon: Daemon, chance: random.Random) -> None:
    with daemon.client as client, Talker(daemon) as talker:
        for _ in range(POINTS):
            ensure_job(client)
            time.sleep(chance.uniform(0.0, 1.5))
            kill_process(chance.choice(wait_for(lambda: daemon.children("shammah.engine"))))
    check(daemon, talker)


def test_a_killed_job_child_loses_nothing(daemon: Daemon, chance: random.Random) -> None:
    def at_work() -> list[psutil.Process]:
        return daemon.children(*STAGES)

    acknowledged: dict[int, str] = {}
    kills = 0
    with daemon.client as client:
        while kills < POINTS:
            job_id = ensure_job(client)
            wait_for(lambda: at_work() or client.job(job_id).state.is_final)  # noqa: B023
            time.sleep(chance.uniform(0.0, 3.0))
            with Talker(daemon, acknowledged) as talker:
                before = len(acknowledged)
                wait_for(lambda: len(acknowledged) > before)  # noqa: B023
                for child in at_work():
                    kill_process(child)
                    kills += 1
    check(daemon, talker)


def test_a_killed_daemon_loses_nothing(daemon: Daemon, chance: random.Random) -> None:
    with Talker(daemon) as talker:
        for _ in range(POINTS):
            with daemon.client as client:
                ensure_job(client)
            time.sleep(chance.uniform(0.0, 3.0))
            daemon.kill()
            assert integrity(daemon.paths.database) == "ok"
            acknowledged = dict(talker.acknowledged)
            daemon.start()
            with daemon.client as client:
                stored = {example.id: example.target for example in client.examples()}
            assert acknowledged.items() <= stored.items()
    check(daemon, talker)


@long_run
def test_a_daemon_killed_as_each_stage_begins_ends_the_job_all_the_same(daemon: Daemon) -> None:
    seen = 0
    with daemon.client as client:
        job_id = ensure_job(client)
    for stage in ("preparing", "training", "merging", "quantizing", "judging"):
        with daemon.client as client:
            for event in client.job_events(job_id, after=seen):
                seen = event.id
                if event.data.get("state") == stage:
                    break
        daemon.kill()
        daemon.start()
    assert ended(daemon, job_id).state is JobState.PROMOTED
    check_jobs_have_ended_well(daemon)
    check_all_is_there(daemon, {})


@pytest.mark.parametrize("commands", [("train", "quantize"), ("merge",)])
def test_a_child_killed_as_its_stage_begins_is_started_again(
    daemon: Daemon, commands: tuple[str, ...]
) -> None:
    with daemon.client as client:
        job_id = ensure_job(client)
        for command in commands:
            kill_process(wait_for(lambda: daemon.children(command))[0])  # noqa: B023
    job = ended(daemon, job_id)
    assert job.state is JobState.PROMOTED
    assert {one.failure for one in job.tried} == {"killed"}
    # The child that trains is started before it is needed: killed then, it is only replaced.
    [later] = [one.stage for one in job.tried if one.stage is not JobState.TRAINING]
    assert later in (JobState.MERGING, JobState.QUANTIZING)
    check_jobs_have_ended_well(daemon)
    check_all_is_there(daemon, {})


@long_run
def test_a_daemon_killed_while_it_judges_and_promotes_ends_the_job_all_the_same(
    daemon: Daemon, chance: random.Random
) -> None:
    with daemon.client as client:
        job_id = ensure_job(client)
    for _ in range(LATE_KILLS):
        with daemon.client as client:
            wait_for(lambda: client.job(job_id).state in LATE)
        time.sleep(chance.uniform(0.0, 0.8))
        daemon.kill()
        daemon.start()
    assert ended(daemon, job_id).state is JobState.PROMOTED
    with daemon.client as client:
        assert client.status().active_version == 1
        assert [version.number for version in client.versions()] == [1, 0]
    check_jobs_have_ended_well(daemon)
    check_all_is_there(daemon, {})
