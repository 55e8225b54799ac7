"""Which job is worked on next, that an end is final, and that nothing stops the loop for good."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from shammah.bases.registry import Registry
from shammah.config import Config, EngineConfig
from shammah.errors import DiskFull, Shortage, StorageError, UsageError
from shammah.options import Manner, TrainingConfig
from shammah.paths import Paths
from shammah.records import Active, Base, Cause, Job, JobState, Mode, PauseReason
from shammah.store.database import Store
from shammah.training.spec import JobSpec, Recipe
from shammah_daemon import supervisor as supervising
from shammah_daemon.bases import Bases
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.database import Database
from shammah_daemon.hub import Hub
from shammah_daemon.joblog import JobLog
from shammah_daemon.pipeline import Pipeline
from shammah_daemon.schedule.conditions import Conditions
from shammah_daemon.schedule.quiet import Snapshot
from shammah_daemon.stages import Stages
from shammah_daemon.supervisor import Supervisor
from tests.daemon.schedule.test_quiet import DESKTOP, PLENTY
from tests.daemon.schedule.test_scheduler import correct

LARGE = Base("large", "l.gguf", "", 1, "llama", 10**9, "Q8_0", 512, "", "", "")
HUGE = replace(LARGE, name="huge", parameters=10**14)
ON_BATTERY = replace(DESKTOP, on_battery=True)


class Scripted(Pipeline):
    """Does with every job the same, and knows which ones it was given."""

    def __init__(self, act: Callable[[Job], Awaitable[None]]) -> None:
        self._act = act
        self.begun: list[int] = []

    async def run(self, job: Job) -> None:
        self.begun.append(job.id)
        await self._act(job)


class Bench:
    """A supervisor on a machine as the test wants it, whose jobs are rejected at once."""

    def __init__(self, home: Paths, store: Store) -> None:
        self.store, self.home = store, home
        self.look: Callable[[], Snapshot] = lambda: DESKTOP
        self.database = Database(store)
        self.joblog = JobLog(home, self.database, Hub(self.database))
        self.pipeline = Scripted(self._reject)
        courtesy = Courtesy()
        bases = Bases(home, Registry(home), EngineConfig(), Stages(courtesy, home.logs), courtesy)
        conditions = Conditions(home, Config(), bases, lambda: self.look())
        self.supervisor = Supervisor(
            home, self.database, self.pipeline, self.joblog, conditions, TrainingConfig()
        )
        self.supervisor.on_finished = self._count
        self._finished = asyncio.Semaphore(0)

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        work = asyncio.create_task(self.supervisor.run())
        try:
            async with asyncio.timeout(10):
                yield
        finally:
            work.cancel()
            await asyncio.wait([work])

    async def finished(self, jobs: int = 1) -> None:
        for _ in range(jobs):
            await self._finished.acquire()

    def begun(self, cause: Cause) -> Job:
        """A job that a daemon before this one had at work, on other examples than there are now."""
        job = self.store.jobs.create(LARGE.name, Mode.CONSOLIDATE, cause)
        self.home.job(job.id).mkdir()
        recipe = Recipe(16, 32, 0.001, 1, 0, 4, 5, 0)
        spec = JobSpec(job.id, job.base, job.mode, recipe, [], ["Q8_0"])
        spec.save(self.home.job(job.id) / "job.json")
        return self.store.jobs.update(job.id, state=JobState.TRAINING)

    async def _reject(self, job: Job) -> None:
        done = await self.database.run(lambda store: store.reject(job.id, {"checks": []}, []))
        await self.joblog.ended(done)

    async def _count(self) -> None:
        self._finished.release()


@pytest.fixture
async def bench(home: Paths, store: Store) -> AsyncIterator[Bench]:
    Registry(home).save(LARGE)
    store.pointer.move(Active(LARGE.name, 0))
    bench = Bench(home, store)
    yield bench
    bench.database.close()


@pytest.mark.parametrize("error", [DiskFull("the disk is full"), StorageError("a lock is held")])
async def test_a_job_whose_end_cannot_be_announced_has_ended_all_the_same(
    bench: Bench, error: StorageError
) -> None:
    def announce(job: Job) -> None:
        if job.state.is_final:
            raise error

    bench.joblog.observers.append(announce)
    job = bench.store.jobs.create(LARGE.name, Mode.CONSOLIDATE)
    async with bench.at_work():
        await bench.finished()
    ended = bench.store.jobs.get(job.id)
    assert (ended.state, ended.attempt, ended.tried) == (JobState.REJECTED, 1, [])
    assert ended.finished_at is not None
    assert bench.pipeline.begun == [job.id]


async def test_nothing_is_done_for_a_job_before_it_is_said_to_be_queued(bench: Bench) -> None:
    async def estimated_slowly(job: Job) -> Job:
        await bench.supervisor.look_again()  # the loop wakes up, and the job is in the store
        await asyncio.sleep(0.1)
        return job

    bench.supervisor.on_queued = estimated_slowly
    correct(bench.store)
    async with bench.at_work():
        job = await bench.supervisor.submit(Mode.CONSOLIDATE)
        await bench.finished()
    states = [event.data["state"] for event in bench.store.events.after(0, job.id)]
    assert states == ["queued", "rejected"]


async def test_what_fails_between_jobs_stops_no_later_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "RETRY_SECONDS", 0.0)
    failures = [StorageError("a lock is held"), OSError("no such file")]

    def look() -> Snapshot:
        if failures:
            raise failures.pop()
        return DESKTOP

    bench.look = look
    bench.home.jobs.rmdir()  # the first look at what is left over fails, too
    bench.store.jobs.create(LARGE.name, Mode.CONSOLIDATE, Cause.NIGHT)
    async with bench.at_work():
        await bench.finished()
    assert failures == []


async def test_a_job_that_has_begun_is_not_overtaken(bench: Bench) -> None:
    bench.look = lambda: ON_BATTERY
    first = bench.begun(Cause.NIGHT)
    second = bench.store.jobs.create(LARGE.name, Mode.CONSOLIDATE)
    async with bench.at_work():
        while bench.supervisor.waits(first) is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert bench.pipeline.begun == []
        bench.look = lambda: DESKTOP
        await bench.supervisor.look_again()
        await bench.finished(2)
    assert bench.pipeline.begun == [first.id, second.id]


async def test_a_job_that_waits_to_begin_is_overtaken(bench: Bench) -> None:
    bench.look = lambda: ON_BATTERY
    first = bench.store.jobs.create(LARGE.name, Mode.CONSOLIDATE, Cause.NIGHT)
    second = bench.store.jobs.create(LARGE.name, Mode.CONSOLIDATE)
    async with bench.at_work():
        await bench.finished()
    assert bench.pipeline.begun == [second.id]
    assert bench.supervisor.waits(first) == "on battery"


async def test_what_stands_before_the_users_lesson_waits_no_longer(bench: Bench) -> None:
    correct(bench.store)
    first = bench.begun(Cause.NIGHT)
    behind = bench.store.jobs.create(LARGE.name, Mode.CONSOLIDATE, Cause.THRESHOLD)
    asked = await bench.supervisor.submit(Mode.CONSOLIDATE)
    assert asked == replace(behind, cause=Cause.USER)
    assert bench.store.jobs.get(first.id).cause is Cause.USER


async def test_a_new_lesson_hurries_the_one_before_it(bench: Bench) -> None:
    correct(bench.store)
    first = bench.begun(Cause.NIGHT)
    asked = await bench.supervisor.submit(Mode.CONSOLIDATE)
    assert asked.id > first.id
    assert bench.store.jobs.get(first.id).cause is Cause.USER


async def test_room_is_asked_for_when_the_user_wants_a_new_lesson(bench: Bench) -> None:
    Registry(bench.home).save(HUGE)
    bench.store.pointer.move(Active(HUGE.name, 0))
    correct(bench.store)
    with pytest.raises(Shortage):
        await bench.supervisor.submit(Mode.CONSOLIDATE)
    assert bench.store.jobs.list() == []
    waiting = await bench.supervisor.submit(Mode.CONSOLIDATE, Cause.NIGHT)
    assert (await bench.supervisor.submit(Mode.CONSOLIDATE)).id == waiting.id


async def test_a_job_that_waits_for_space_goes_on_when_there_is_room(bench: Bench) -> None:
    full = replace(DESKTOP, room=replace(PLENTY, disk_free_bytes=10**9))
    bench.look = lambda: full
    job = bench.begun(Cause.USER)
    bench.store.jobs.update(job.id, state=JobState.PAUSED, paused_for=PauseReason.SPACE)
    async with bench.at_work():
        await asyncio.sleep(0.1)
        assert bench.pipeline.begun == []
        bench.look = lambda: DESKTOP
        await bench.supervisor.look_again()
        await bench.finished()
    assert bench.pipeline.begun == [job.id]


async def test_only_a_new_daemon_removes_versions_that_were_never_promoted(bench: Bench) -> None:
    rows = bench.home.job(9) / "rows.json"
    rows.parent.mkdir()
    rows.touch()
    building = bench.home.versions / "1.partial"
    building.mkdir()
    await bench.supervisor.tidy()
    assert not rows.exists()
    assert building.exists()
    async with bench.at_work():
        while building.exists():
            await asyncio.sleep(0.01)


async def test_an_end_without_a_version_leaves_no_version(bench: Bench) -> None:
    job = bench.store.jobs.create(LARGE.name, Mode.CONSOLIDATE)
    number = bench.store.jobs.allocate_version(job.id)
    bench.home.version(number).mkdir()
    for fraction in (0.5, 1.0):
        bench.store.events.append(job.id, "progress", {"stage": "merging", "fraction": fraction})
    await bench.supervisor.cancel(job.id)
    assert not bench.home.version(number).exists()
    left = [
        event.data.get("fraction") or event.data["state"] for event in bench.store.events.after(0)
    ]
    assert left == [1.0, "cancelled"]


async def test_another_manner_is_another_lesson_and_a_wrong_one_none(bench: Bench) -> None:
    correct(bench.store)
    plain = await bench.supervisor.submit(Mode.CONSOLIDATE)
    assert (await bench.supervisor.submit(Mode.CONSOLIDATE)).id == plain.id
    deep = Manner("deep", {"rank": 16})
    other = await bench.supervisor.submit(Mode.CONSOLIDATE, manner=deep)
    assert other.id != plain.id
    assert (other.preset, other.options) == ("deep", {"rank": 16})
    assert (await bench.supervisor.submit(Mode.CONSOLIDATE, manner=deep)).id == other.id
    with pytest.raises(UsageError, match="rank = -1"):
        await bench.supervisor.submit(Mode.CONSOLIDATE, manner=Manner("standard", {"rank": -1}))
    assert len(bench.store.jobs.list()) == 2
