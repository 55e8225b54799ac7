"""Takes jobs from the store, one at a time, until each has ended. Knows no stage and no HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence, Set

import structlog

from shammah.errors import Conflict, ShammahError
from shammah.files import remove
from shammah.options import Manner, TrainingConfig, resolved
from shammah.paths import Paths
from shammah.records import (
    Active,
    Base,
    Cause,
    Job,
    JobState,
    Mode,
    PauseReason,
    Tried,
)
from shammah.store.database import Store
from shammah.training.spec import JobSpec
from shammah_daemon.choice import start_of
from shammah_daemon.database import Database
from shammah_daemon.joblog import JobLog, tidy
from shammah_daemon.pipeline import Pipeline
from shammah_daemon.remedies import ADVICE, Failure, classify, remedy
from shammah_daemon.schedule.conditions import Conditions
from shammah_daemon.uninterrupted import uninterrupted

log = structlog.get_logger()

#: How often it is looked whether a job that waits for space has it.
SPACE_SECONDS = 15.0

#: Pause after a failure that is no job's own: of the disk, most likely.
RETRY_SECONDS = 10.0


class Supervisor:
    """Takes unfinished jobs from the store and brings each to its end."""

    def __init__(
        self,
        paths: Paths,
        database: Database,
        pipeline: Pipeline,
        joblog: JobLog,
        conditions: Conditions,
        training: TrainingConfig,
    ) -> None:
        self._training = training
        self._paths = paths
        self._database = database
        self._pipeline = pipeline
        self._joblog = joblog
        self._conditions = conditions
        self._held_back: dict[int, str] = {}
        self._wake = asyncio.Event()
        self._submitting = asyncio.Lock()
        self._choosing = asyncio.Lock()
        self._running: tuple[int, asyncio.Task[None]] | None = None
        self.on_queued: Callable[[Job], Awaitable[Job]] | None = None
        self.on_finished: Callable[[], Awaitable[object]] | None = None

    async def submit(
        self, mode: Mode, cause: Cause = Cause.USER, manner: Manner | None = None
    ) -> Job:
        """Queue a lesson; an unfinished one that teaches the same is returned instead, unless
        another `manner` is asked for. If the user asks, the lesson waits for no quiet machine, nor
        does what stands before it.

        One that cannot be quick, because there is no adapter to go on from, consolidates.

        Raises:
            Conflict: there is nothing to teach.
            UsageError: the manner has no such option, or not a value of it.
            Shortage: the user asks, and the machine has no room for a lesson.
        """
        manner = manner or Manner()
        resolved(self._training, manner.preset, manner.options)
        async with self._submitting:
            active, ready, unfinished = await self._database.run(_situation)
            for place, job in enumerate(unfinished):
                if self._teaches(job, ready) and manner in (Manner(), _manner(job)):
                    if cause is Cause.USER:
                        [*_, job] = await self._hurry(unfinished[: place + 1])
                    return job
            if not ready:
                raise Conflict(
                    "there is nothing to teach yet",
                    hint="correct an answer: /fix ANSWER",
                )
            if cause is Cause.USER:
                await asyncio.to_thread(self._conditions.require_room, active.base)
                await self._hurry(unfinished)
            return await self._queue(lambda store: _create(store, active, mode, cause, manner))

    async def look_again(self) -> None:
        """The machine may have changed: what waits may begin, and what runs may disturb by now."""
        self._wake.set()
        if self._running is None:
            return
        number = self._running[0]
        job = await self._database.run(lambda store: store.jobs.get(number))
        if reason := await asyncio.to_thread(self._conditions.disturbs, job):
            log.info("job makes room", job=job.id, condition=reason)
            with contextlib.suppress(Conflict):  # it has ended meanwhile
                await self.pause(job.id, PauseReason.POLICY)

    def waits(self, job: Job) -> str | None:
        """What the job waits for before it begins, in a few words."""
        return self._held_back.get(job.id)

    async def _hurry(self, jobs: Sequence[Job]) -> list[Job]:
        """The user wants them now."""
        hurried = await self._database.run(
            lambda store: [store.jobs.update(job.id, cause=Cause.USER) for job in jobs]
        )
        self._wake.set()
        return hurried

    async def move(self, base: Base) -> Job:
        """Queue the job that teaches every example to another base, which then serves.

        There is one at a time: the same one is returned, one to yet another base is cancelled.
        """
        async with self._submitting:
            for job in await self._moves():
                if job.base == base.name:
                    return job
                await self.cancel(job.id)
            return await self._queue(lambda store: store.jobs.create(base.name, Mode.MOVE))

    async def _queue(self, create: Callable[[Store], Job]) -> Job:
        """A new job; nothing takes it up before it is announced: that is its first event."""
        async with self._choosing:
            job = await self._database.run(create)
            if self.on_queued:
                job = await self.on_queued(job)
            await self._joblog.announce(job)
        self._wake.set()
        return job

    async def stay(self) -> None:
        """Cancel an unfinished move: the active base is to go on serving."""
        async with self._submitting:
            for job in await self._moves():
                await self.cancel(job.id)

    async def _moves(self) -> list[Job]:
        unfinished = await self._database.run(lambda store: store.jobs.unfinished())
        return [job for job in unfinished if job.mode is Mode.MOVE]

    async def cancel(self, job_id: int) -> Job:
        """End an unfinished job; the active version stays.

        Raises:
            Conflict: it has ended already.
        """
        async with self._choosing:  # or it would be taken up again before the store knows
            await self._stop(job_id)
            job = await self._database.run(
                lambda store: store.jobs.update(job_id, state=JobState.CANCELLED, paused_for=None)
            )
        await self._joblog.ended(job)
        self._wake.set()  # what it held back goes on
        return job

    async def pause(self, job_id: int, reason: PauseReason = PauseReason.USER) -> Job:
        """Stop a job where it is, and give its memory back; it goes on when it is resumed, by this
        daemon or a later one. Jobs behind it wait. What the user pauses stays the user's.

        Raises:
            Conflict: it has ended already.
        """
        async with self._choosing:
            await self._stop(job_id)
            job = await self._database.run(lambda store: _pause(store, job_id, reason))
            await self._joblog.announce(job)
        return job

    async def resume(self, job_id: int, reason: PauseReason = PauseReason.USER) -> Job:
        """Let a paused job go on from what is on disk. A reason other than the user's resumes only
        what was paused for it.

        Raises:
            Conflict: it is not paused.
        """
        async with self._choosing:
            before = await self._database.run(lambda store: store.jobs.get(job_id))
            job = await self._database.run(lambda store: _resume(store, job_id, reason))
            if job.state is not before.state:
                await self._joblog.announce(job)
                self._wake.set()
        return job

    async def _stop(self, job_id: int) -> None:
        """End an unfinished job's work; its children leave a checkpoint."""
        await self._database.run(lambda store: store.jobs.require_unfinished(job_id))
        if self._running and self._running[0] == job_id:
            task = self._running[1]
            task.cancel()
            await asyncio.wait([task])

    async def tidy(self) -> None:
        """Remove what an interruption may have left of finished jobs: rows are words as tokens."""
        folders = list(self._paths.jobs.iterdir())  # first, so that the store knows each one's job
        unfinished = await self._database.run(lambda store: store.jobs.unfinished())
        going_on = {str(job.id) for job in unfinished}
        for folder in folders:
            if folder.name not in going_on:
                await asyncio.to_thread(tidy, folder)

    async def run(self) -> None:
        """Work for ever; cancelled, it leaves the job to be continued by the next daemon."""
        await self._attempt(self._sweep)
        while True:
            await self._attempt(self._work)

    async def _attempt(self, act: Callable[[], Awaitable[None]]) -> None:
        """A failure is the disk's, or a mistake of ours that must not end the loop which runs every
        later job: wait, and do not spin."""
        try:
            await act()
        except ShammahError as error:
            log.error("jobs have to wait", problem=error.message)
            await asyncio.sleep(RETRY_SECONDS)
        except Exception:
            log.exception("jobs have to wait")
            await asyncio.sleep(RETRY_SECONDS)

    async def _sweep(self) -> None:
        """Remove what the daemon before has left. Only while no job works: a version's folder is
        there before its row is."""
        await self.tidy()
        unfinished, versions = await self._database.run(
            lambda store: (store.jobs.unfinished(), store.versions.list())
        )
        known = {version.number for version in versions} | {job.version for job in unfinished}
        for folder in self._paths.versions.iterdir():
            if not (folder.name.isdecimal() and int(folder.name) in known):
                await asyncio.to_thread(remove, folder)

    async def _work(self) -> None:
        """The next job as far as it goes now, and what follows it; without one, wait."""
        self._wake.clear()
        task = await self._begin_next()
        if task is None:
            await self._wake_within(SPACE_SECONDS)  # the first job may wait for space
            return
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            await asyncio.wait([task])
            raise
        finally:
            self._running = None
        if not task.cancelled():
            task.result()
            if self.on_finished:
                await self.on_finished()

    async def _begin_next(self) -> asyncio.Task[None] | None:
        """The first job goes on or begins. One that has begun holds its place; one that waits for a
        quiet machine before it begins is overtaken."""
        async with self._choosing:
            jobs = await self._database.run(lambda store: store.jobs.unfinished())
            reasons = {job.id: await asyncio.to_thread(self._conditions.waits, job) for job in jobs}
            self._held_back = {number: reason for number, reason in reasons.items() if reason}
            first = next((job for job in jobs if job.stage or not reasons[job.id]), None)
            if first is None or not await self._may_go_on(first):
                return None
            job = first
            if first.state is JobState.PAUSED:
                job = await self._database.run(
                    lambda store: _resume(store, first.id, first.paused_for)
                )
            task = asyncio.create_task(self._run_job(job))
            self._running = (job.id, task)
            return task

    async def _may_go_on(self, job: Job) -> bool:
        """Whether what a job waits or was paused for is over; for the user's word it waits."""
        if job.id in self._held_back or job.paused_for is PauseReason.USER:
            return False
        if job.paused_for is PauseReason.SPACE:
            return await asyncio.to_thread(self._conditions.has_room, job)
        return True

    async def _run_job(self, job: Job) -> None:
        log.info("job begins", job=job.id, state=job.state, attempt=job.attempt)
        going_on: Job | None = job
        while going_on:
            try:
                return await self._pipeline.run(going_on)
            except ShammahError as error:
                failed = error
            except Exception as error:
                log.exception("job failed", job=job.id)
                failed = ShammahError(f"{type(error).__name__}: {error}")
            going_on = await self._next_attempt(job.id, failed)

    async def _next_attempt(self, job_id: int, error: ShammahError) -> Job | None:
        """The job with what is changed for its next attempt; None when it waits or has failed."""
        job = await self._database.run(lambda store: store.jobs.get(job_id))
        if job.state.is_final:
            log.error("the job's end is not announced", job=job.id, problem=error.message)
            return None
        stage, failure = job.stage or JobState.PREPARING, classify(error)
        if failure is Failure.DISK_FULL:
            await self._wait_for_space(job, error)
            return None
        cure = remedy(failure, stage, job.tried)
        if cure is None:
            await self._fail(job, error, failure)
            return None
        log.warning(
            "job goes on", job=job.id, attempt=job.attempt + 1, failure=failure,
            after=error.message, change=cure.change,
        )  # fmt: skip
        tried = [*job.tried, Tried(stage, failure, error.message, cure.change, cure.said)]
        return await self._database.run(
            lambda store: store.jobs.update(job.id, attempt=job.attempt + 1, tried=tried)
        )

    async def _wait_for_space(self, job: Job, error: ShammahError) -> None:
        """No attempt is counted: the job goes on when there is room, however long that takes."""
        log.warning("job waits for space", job=job.id, problem=error.message)
        waiting = await self._database.run(
            lambda store: store.jobs.update(
                job.id, state=JobState.PAUSED, paused_for=PauseReason.SPACE
            )
        )
        await self._joblog.announce(waiting)
        await self._wake_within(RETRY_SECONDS)  # a quota may be full where the disk is not

    async def _wake_within(self, seconds: float) -> None:
        """Not `asyncio.wait_for`: Python 3.11's loses a cancellation that meets the end of what it
        waits for, and this runs until it is cancelled."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _fail(self, job: Job, error: ShammahError, failure: Failure) -> None:
        done = await self._database.run(
            lambda store: store.jobs.update(
                job.id,
                state=JobState.FAILED,
                error=error.message,
                hint=error.hint or ADVICE[failure],
            )
        )
        await uninterrupted(self._joblog.ended(done))

    def _teaches(self, job: Job, ready: Set[str]) -> bool:
        """Whether an unfinished job teaches what is ready: it has not chosen yet, or chose that."""
        file = self._paths.job(job.id) / "job.json"
        if not file.exists():
            return True
        chosen = {example["content_hash"] for example in JobSpec.load(file).examples}
        return ready == chosen


def _situation(store: Store) -> tuple[Active, set[str], list[Job]]:
    """Active version, content hashes of the ready examples, unfinished jobs."""
    active = store.pointer.active()
    if active is None:
        raise Conflict("no model is set up", hint="add one with 'shammah model add PATH.gguf'")
    return active, store.examples.hashes(), store.jobs.unfinished()


def _create(store: Store, active: Active, mode: Mode, cause: Cause, manner: Manner) -> Job:
    start = start_of(store, mode, active)
    possible = mode if start else Mode.CONSOLIDATE
    return store.jobs.create(active.base, possible, cause, manner.preset, manner.options)


def _manner(job: Job) -> Manner:
    return Manner(job.preset, job.options)


def _pause(store: Store, job_id: int, reason: PauseReason) -> Job:
    job = store.jobs.require_unfinished(job_id)
    if job.paused_for is PauseReason.USER:
        return job
    return store.jobs.update(job_id, state=JobState.PAUSED, paused_for=reason)


def _resume(store: Store, job_id: int, reason: PauseReason | None) -> Job:
    job = store.jobs.get(job_id)
    if job.state is not JobState.PAUSED:
        raise Conflict(f"job {job_id} is not paused: it is {job.state}")
    if reason not in (PauseReason.USER, job.paused_for):
        return job
    job = store.jobs.update(job_id, state=JobState.QUEUED, paused_for=None)
    if reason is PauseReason.USER:  # who resumes it means now
        job = store.jobs.update(job_id, cause=Cause.USER)
    return job
