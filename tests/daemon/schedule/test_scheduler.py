"""The night's lesson in the daemon's own services, at times that the test names; once for real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from shammah.bases.registry import Registry
from shammah.config import Config, QuietConfig
from shammah.errors import Shortage
from shammah.options import TrainingConfig
from shammah.paths import Paths
from shammah.protocol import TrainRequest
from shammah.records import (
    Active,
    Base,
    Cause,
    ExampleStatus,
    Job,
    JobState,
    Level,
    Message,
    Mode,
    PauseReason,
    Turn,
)
from shammah.store.database import Store
from shammah_daemon.__main__ import build
from shammah_daemon.joblog import JobLog
from shammah_daemon.pipeline import Pipeline
from shammah_daemon.routes.jobs import train
from shammah_daemon.schedule.conditions import Conditions
from shammah_daemon.schedule.scheduler import NAME, Scheduler
from shammah_daemon.services import Services
from shammah_daemon.supervisor import Supervisor
from tests.conftest import StartDaemon
from tests.daemon.schedule.test_quiet import DESKTOP
from tests.running import TINY, TINY_LESSON, furnish

CRON = "0 3 * * *"
EVENING = datetime(2026, 5, 4, 22)
NIGHT = datetime(2026, 5, 5, 3, 0, 1)
DAY = timedelta(days=1)


def correct(store: Store, number: int = 0) -> None:
    """A ready example that no version was taught."""
    messages = [Message(role="user", content=f"what do we do about case {number} then")]
    turn = Turn(
        id=f"chatcmpl-{number}",
        created_at="2026-05-04T12:00:00.000+00:00",
        base=TINY,
        version=0,
        messages=messages,
        answer="no",
        finish_reason="stop",
        prompt_tokens=1,
        completion_tokens=1,
    )
    store.turns.add(turn)
    store.record_feedback(
        turn.id, Level.CRITICAL, 10, None, "yes we agree indeed",
        messages=messages, status=ExampleStatus.READY, target="yes we agree indeed", rejected="no",
    )  # fmt: skip


class Clock:
    """Stands where the test puts it."""

    def __init__(self) -> None:
        self.now = EVENING

    def __call__(self) -> datetime:
        return self.now


class Night:
    """A daemon's services that look at the clock when told to."""

    def __init__(self, services: Services, store: Store) -> None:
        self.services, self.store, self.clock = services, store, Clock()

    async def look(self, at: datetime) -> list[Job]:
        """The jobs after a look by a daemon that has just begun."""
        self.clock.now = at
        scheduler = Scheduler(
            CRON,
            self.services.database,
            self.services.learning.teach_at_night,
            self.services.supervisor.look_again,
            self.clock,
        )
        await scheduler.look()
        return self.store.jobs.list()


@pytest.fixture
async def night(home: Paths, store: Store) -> AsyncIterator[Night]:
    store.pointer.move(Active(TINY, 0))
    services = build(home, Config(), store)
    yield Night(services, store)
    services.database.close()  # its thread may still be at work for a task that was cancelled


async def test_a_night_consolidates_what_waits_and_says_why(night: Night) -> None:
    correct(night.store)
    assert await night.look(EVENING) == []
    [job] = await night.look(NIGHT)
    assert (job.mode, job.cause, job.state) == (Mode.CONSOLIDATE, Cause.NIGHT, JobState.QUEUED)


async def test_a_night_with_nothing_to_teach_starts_nothing_and_is_over(night: Night) -> None:
    await night.look(EVENING)
    assert await night.look(NIGHT) == []
    correct(night.store)
    assert await night.look(NIGHT + timedelta(hours=1)) == []
    assert len(await night.look(NIGHT + DAY)) == 1


async def test_a_lesson_that_has_failed_is_not_tried_every_night(night: Night) -> None:
    correct(night.store)
    await night.look(EVENING)
    [job] = await night.look(NIGHT)
    night.store.jobs.update(job.id, state=JobState.FAILED)
    assert len(await night.look(NIGHT + DAY)) == 1


async def test_a_night_waits_for_the_lesson_that_is_under_way(night: Night) -> None:
    correct(night.store)
    await night.look(EVENING)
    running = night.store.jobs.create(TINY, Mode.QUICK)
    assert [job.id for job in await night.look(NIGHT)] == [running.id]
    night.store.jobs.update(running.id, state=JobState.CANCELLED)
    correct(night.store, 1)
    [made_up, _] = await night.look(NIGHT + timedelta(minutes=20))
    assert made_up.cause is Cause.NIGHT


async def test_cut_off_between_the_lesson_and_the_note_of_it_nothing_starts_twice(
    night: Night,
) -> None:
    correct(night.store)
    await night.look(EVENING)
    [job] = await night.look(NIGHT)
    night.store.due_times.settle(NAME, CRON, EVENING)  # as if it had not been noted
    assert [found.id for found in await night.look(NIGHT)] == [job.id]


async def test_without_room_a_lesson_that_nobody_asked_for_waits(night: Night) -> None:
    policy = QuietConfig(spare_disk_gb=1e9)
    services = build(night.services.paths, Config(quiet=policy), night.store)
    correct(night.store)
    job = await services.supervisor.submit(Mode.CONSOLIDATE, Cause.THRESHOLD)
    reason = services.conditions.waits(job)
    assert reason is not None
    assert reason.startswith("disk: 1000000000.0 GB needed")
    assert services.conditions.waits(replace(job, cause=Cause.USER)) is None
    assert services.conditions.disturbs(job) == reason


async def test_without_room_the_user_is_told_before_there_is_a_job(night: Night) -> None:
    services = build(night.services.paths, Config(), night.store)
    base = Base("huge", "h.gguf", "", 1, "llama", 10**14, "Q8_0", 512, "", "", "")
    Registry(services.paths).save(base)
    night.store.pointer.move(Active("huge", 0))
    correct(night.store)
    with pytest.raises(Shortage, match=r"there is no room|too small"):
        await train(TrainRequest(), services)
    assert night.store.jobs.list() == []


class Endless(Pipeline):
    """A job that works until it is stopped."""

    def __init__(self) -> None:
        self.began = asyncio.Event()

    async def run(self, job: Job) -> None:
        self.began.set()
        await asyncio.Event().wait()


async def test_a_lesson_makes_room_when_the_plug_is_pulled_and_goes_on_later(
    night: Night, home: Paths
) -> None:
    services, pipeline, on_battery = night.services, Endless(), False
    conditions = Conditions(
        home, Config(), services.bases, lambda: replace(DESKTOP, on_battery=on_battery)
    )
    joblog = JobLog(home, services.database, services.hub)
    supervisor = Supervisor(home, services.database, pipeline, joblog, conditions, TrainingConfig())
    job = night.store.jobs.create(TINY, Mode.QUICK, Cause.THRESHOLD)
    working = asyncio.create_task(supervisor.run())

    async def look_until(paused_for: PauseReason | None) -> None:
        async with asyncio.timeout(10):
            while night.store.jobs.get(job.id).paused_for != paused_for:
                await supervisor.look_again()
                await asyncio.sleep(0.01)

    await pipeline.began.wait()
    on_battery = True
    await look_until(PauseReason.POLICY)
    assert night.store.jobs.get(job.id).state is JobState.PAUSED
    on_battery = False
    await look_until(None)
    assert not night.store.jobs.get(job.id).state.is_final
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)


@pytest.mark.parametrize("turns", range(5))
async def test_the_end_is_not_lost_when_it_meets_a_wake_up(
    night: Night, home: Paths, turns: int
) -> None:
    services = night.services
    conditions = Conditions(home, Config(), services.bases, lambda: DESKTOP)
    joblog = JobLog(home, services.database, services.hub)
    supervisor = Supervisor(
        home, services.database, Endless(), joblog, conditions, TrainingConfig()
    )
    working = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0.2)  # by then it waits
    await supervisor.look_again()
    for _ in range(turns):
        await asyncio.sleep(0)
    working.cancel()
    done, _ = await asyncio.wait([working], timeout=5)
    assert done


@pytest.fixture
def slept(home: Paths, tiny_ground: Path) -> Paths:
    """A home whose daemon was off for three nights, with something to teach."""
    furnish(home, tiny_ground, TINY)
    with closing(Store.open(home.database)) as store:
        correct(store)
        store.due_times.settle(NAME, CRON, datetime.now() - 3 * DAY)
    return home


def test_a_daemon_makes_up_for_missed_nights_once_and_says_what_it_waits_for(
    slept: Paths, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(
        TINY_LESSON
        | {"SHAMMAH_LEARNING__CONSOLIDATE_AT": CRON, "SHAMMAH_QUIET__SPARE_DISK_GB": "1e9"}
    )
    with daemon.client as client:
        while not (waits := client.status().waits):
            pass
        assert waits.startswith("disk: ")
        [job] = client.jobs()
        assert (job.cause, job.state) == (Cause.NIGHT, JobState.QUEUED)
        status = client.status()
        assert status.next_night is not None
        assert status.disk is not None
        assert status.disk.bases_bytes > 10**6
        hurried = client.train()
        assert (hurried.id, hurried.cause) == (job.id, Cause.USER)
        for event in client.job_events(job.id):
            if event.data.get("state") == JobState.TRAINING:
                break
        assert client.status().waits is None
        client.cancel_job(job.id)
    daemon.stop()
    daemon.start()
    with daemon.client as client:
        assert [job.id for job in client.jobs()] == [hurried.id]
