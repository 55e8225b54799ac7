"""Runs jobs, one at a time, from the store: preparing to promoted or rejected (DESIGN §8).

Every stage leaves its result as a file in the job's folder, and a stage whose result is there is
not run again: so a job goes on after any interruption where it was. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from shammah.config import Config
from shammah.engine.handle import Engine
from shammah.errors import Conflict, EngineCrashed, JobError, ShammahError
from shammah.files import remove, write_atomically
from shammah.gate.forgotten import Proof
from shammah.gate.judge import Report, conclude
from shammah.paths import Paths
from shammah.publish import ADAPTER_FOLDER
from shammah.records import (
    Active,
    Base,
    Example,
    Job,
    JobState,
    Judgement,
    Mode,
    Verdict,
    Version,
)
from shammah.store.database import Store
from shammah.training.spec import JobSpec
from shammah_daemon import moving
from shammah_daemon.anticipation import Anticipation, training
from shammah_daemon.bases import Bases
from shammah_daemon.choice import situation_of, start_of
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.database import Database
from shammah_daemon.hub import Hub
from shammah_daemon.judging import Forgotten, Judging, read_report, write_report
from shammah_daemon.ladder import Rung, folder_of, next_rung, rungs
from shammah_daemon.lesson import Lesson, build
from shammah_daemon.promotion import build_version
from shammah_daemon.servable import servable
from shammah_daemon.serving import Serving
from shammah_daemon.stages import ChildKilled, Stages
from shammah_daemon.unlearned import Unlearned

log = structlog.get_logger()

#: A stage whose process dies is started again from its newest checkpoint so often.
ATTEMPTS = 3

#: Pause before a job is taken up again whose end could not be recorded.
RETRY_SECONDS = 10.0

#: Progress is recorded no more often than this.
PROGRESS_SECONDS = 0.3

#: What stays of a finished job's folder.
KEPT = frozenset({"job.json", "log.jsonl", "report.json", "train.json"})


@dataclass(frozen=True)
class _Trained:
    """A job after training: what its candidates are made of and judged by."""

    job: Job
    base: Base
    spec: JobSpec
    training: dict[str, Any]  # the stage's result
    forgotten: Forgotten


class Supervisor:
    """Takes unfinished jobs from the store and brings each to its end."""

    def __init__(
        self,
        paths: Paths,
        config: Config,
        database: Database,
        hub: Hub,
        serving: Serving,
        bases: Bases,
        stages: Stages,
        courtesy: Courtesy,
        unlearned: Unlearned,
        anticipation: Anticipation,
    ) -> None:
        self._paths = paths
        self._config = config
        self._database = database
        self._hub = hub
        self._serving = serving
        self._bases = bases
        self._stages = stages
        self._unlearned = unlearned
        self._judging = Judging(config, database, serving, courtesy, unlearned, anticipation)
        self._wake = asyncio.Event()
        self._submitting = asyncio.Lock()
        self._choosing = asyncio.Lock()
        self._running: tuple[int, asyncio.Task[None]] | None = None
        self.on_finished: Callable[[], Awaitable[object]] | None = None

    async def submit(self, mode: Mode) -> Job:
        """Queue a lesson; an unfinished one that teaches the same is returned instead.

        One that cannot be quick, because there is no adapter to go on from, consolidates.

        Raises:
            Conflict: there is nothing to teach.
        """
        async with self._submitting:
            active, ready, unfinished = await self._database.run(_situation)
            for job in unfinished:
                if self._teaches(job, ready):
                    return job
            if not ready:
                raise Conflict(
                    "there is nothing to teach yet",
                    hint="mark an answer: /critical, then /fix ANSWER",
                )
            job = await self._database.run(lambda store: _create(store, active, mode))
        await self._announce(job)
        self._wake.set()
        return job

    async def move(self, base: Base) -> Job:
        """Queue the job that teaches every example to another base, which then serves.

        There is one at a time: the same one is returned, one to yet another base is cancelled.
        """
        async with self._submitting:
            for job in await self._moves():
                if job.base == base.name:
                    return job
                await self.cancel(job.id)
            job = await self._database.run(lambda store: store.jobs.create(base.name, Mode.MOVE))
        await self._announce(job)
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
            await self._database.run(lambda store: store.jobs.require_unfinished(job_id))
            if self._running and self._running[0] == job_id:
                task = self._running[1]
                task.cancel()
                await asyncio.wait([task])
            job = await self._database.run(lambda store: _cancel(store, job_id))
        _tidy(self._paths.job(job.id))
        await self._announce(job)
        return job

    async def tidy(self) -> None:
        """Remove what an interruption may have left of finished jobs: rows are words as tokens."""
        unfinished = await self._database.run(lambda store: store.jobs.unfinished())
        going_on = {str(job.id) for job in unfinished}
        for folder in self._paths.jobs.iterdir():
            if folder.name not in going_on:
                _tidy(folder)

    async def run(self) -> None:
        """Work for ever; cancelled, it leaves the job to be continued by the next daemon."""
        while True:
            self._wake.clear()
            task = await self._begin_next()
            if task is None:
                await self._wake.wait()
                continue
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                task.cancel()
                await asyncio.wait([task])
                raise
            finally:
                self._running = None
            if not task.cancelled():
                await self._after(task)

    async def _begin_next(self) -> asyncio.Task[None] | None:
        async with self._choosing:
            jobs = await self._database.run(lambda store: store.jobs.unfinished())
            if not jobs:
                return None
            task = asyncio.create_task(self._run_job(jobs[0]))
            self._running = (jobs[0].id, task)
            return task

    async def _after(self, task: asyncio.Task[None]) -> None:
        """Start what is due next. A failure here is the disk's: wait, and do not spin."""
        try:
            task.result()
            if self.on_finished:
                await self.on_finished()
        except ShammahError as error:
            log.error("the job's end could not be recorded", problem=error.message)
            await asyncio.sleep(RETRY_SECONDS)
        except Exception:  # a mistake of ours must not end the loop that runs every later job
            log.exception("what follows a job failed")
            await asyncio.sleep(RETRY_SECONDS)

    async def _run_job(self, job: Job) -> None:
        log.info("job begins", job=job.id, state=job.state, attempt=job.attempt)
        try:
            while True:
                try:
                    return await self._work(job)
                except (ChildKilled, EngineCrashed) as error:
                    job = await self._next_attempt(job, error)
        except ShammahError as error:
            await self._fail(job, error)
        except Exception as error:
            log.exception("job failed", job=job.id)
            await self._fail(job, JobError(f"{type(error).__name__}: {error}"))

    async def _next_attempt(self, job: Job, error: ShammahError) -> Job:
        """Count one more attempt after a death; raises `error` when there were enough."""
        if job.attempt >= ATTEMPTS:
            raise error
        log.warning("job goes on", job=job.id, attempt=job.attempt + 1, after=error.message)
        return await self._database.run(
            lambda store: store.jobs.update(job.id, attempt=job.attempt + 1)
        )

    async def _work(self, job: Job) -> None:
        """All stages from what is on disk."""
        folder = self._paths.job(job.id)
        if not (folder / "job.json").exists():
            job = await self._database.run(lambda store: _on_active_base(store, job))
        base = self._bases.get(job.base)
        spec = await self._prepare(job, base, folder)

        training = await self._train(job, base, spec, folder)
        merged = await self._merge(job, base, folder, scale=1.0)
        forgotten = await self._forgotten(job, base)
        trained = _Trained(job, base, spec, training, forgotten)
        all_rungs = rungs(spec.quantizations, self._config.gate.scales, merged["row_sizes"])
        failed: list[Report] = []
        while rung := next_rung(all_rungs, failed):
            report = await self._try(trained, rung, failed)
            if report.passed:
                return
            failed.append(report)
        await self._reject(job, folder, naming_sample(conclude(failed), spec))

    async def _forgotten(self, job: Job, base: Base) -> Forgotten:
        """What the new version must no longer know. On the way to another base there is nothing:
        that base was taught nothing, and the engine that serves reads other tokens."""
        return Forgotten([], []) if job.mode is Mode.MOVE else await self._judging.forgotten(base)

    async def _train(self, job: Job, base: Base, spec: JobSpec, folder: Path) -> dict[str, Any]:
        """The training stage. The look back comes first: while the stage's child still imports
        torch on one core, the serving engine has the others."""
        await self._enter(job, JobState.TRAINING)
        stage = training(self._bases.ground(base.name).folder)
        request = {"job_dir": str(folder), "adapter": self._start(spec)}
        try:
            if not (folder / "train.json").exists():
                await self._stages.start_ahead(stage)
            await self._judging.look_back(folder)
            return await self._stage(job, folder / "train.json", *stage, request=request)
        finally:
            await self._stages.close()  # it was not asked if the look back did not end well

    async def _merge(self, job: Job, base: Base, folder: Path, scale: float) -> dict[str, Any]:
        into = folder_of(folder, scale)
        if not (into / "merge.json").exists():
            await self._enter(job, JobState.MERGING)
        return await self._stage(
            job, into / "merge.json", "shammah.publish", "merge", str(folder), base.gguf,
            "--into", str(into), "--scale", str(scale),
        )  # fmt: skip

    async def _try(self, trained: _Trained, rung: Rung, failed: Sequence[Report]) -> Report:
        """Make one candidate and put it before the gate; promote it if it passes."""
        job, base = trained.job, trained.base
        folder = self._paths.job(job.id)
        own = folder_of(folder, rung.scale)
        judged = own / f"report-{rung.quantization}.json"
        if (known := read_report(judged)) and not known.passed:
            return known
        await self._merge(job, base, folder, rung.scale)
        await self._enter(job, JobState.QUANTIZING)
        quantized = await self._stage(
            job, own / f"quantize-{rung.quantization}.json",
            "shammah.publish", "quantize", str(own), rung.quantization,
        )  # fmt: skip
        await self._enter(job, JobState.JUDGING)
        gguf, reference = Path(quantized["path"]), self._bases.ground(base.name).reference
        async with self._judging.candidate(gguf) as engine:
            report = await self._judging.judge(
                engine, folder, reference, rung, trained.forgotten, self._progress(job)
            )
            write_report(judged, report)
            log.info("judged", job=job.id, rung=asdict(rung), failed=report.failed)
            if report.passed:
                whole = naming_sample(conclude([*failed, report]), trained.spec)
                await self._promote(job, base, trained.spec, whole, gguf, trained.training, engine)
        return report

    async def _prepare(self, job: Job, base: Base, folder: Path) -> JobSpec:
        """The lesson's files; made once, so that later feedback does not change a running job."""
        await self._enter(job, JobState.PREPARING)
        if (folder / "job.json").exists():
            return JobSpec.load(folder / "job.json")
        await self._bases.groundwork(base)
        if job.mode is Mode.MOVE:
            lesson = await self._prepare_move(job, base, folder)
        else:
            lesson = await self._prepare_lesson(job)
        lesson.save(folder)
        return lesson.spec

    async def _prepare_move(self, job: Job, base: Base, folder: Path) -> Lesson:
        async with self._judging.candidate(Path(base.gguf)) as engine:
            lesson, former = await moving.prepare(
                job, base, self._config, self._database, self._serving, engine
            )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        former.save(folder)
        return lesson

    async def _prepare_lesson(self, job: Job) -> Lesson:
        async with self._serving.borrow() as lease:
            active = lease.active
            situation = await self._database.run(
                lambda store: situation_of(store, job.mode, active)
            )
            if not situation.examples:
                raise JobError("there is nothing to teach", hint="correct an answer first")
            return await build(job, situation, self._config, lease.engine, lease.template)

    def _start(self, spec: JobSpec) -> str | None:
        """The adapter that training goes on from."""
        if not spec.start_version:
            return None
        return str(self._paths.version(spec.start_version) / ADAPTER_FOLDER)

    async def _stage(
        self, job: Job, result_file: Path, *arguments: str, request: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The result of a stage child, run unless its result is on disk already."""
        if result_file.exists():
            stored: dict[str, Any] = json.loads(result_file.read_bytes())
            return stored
        result = await self._stages.run(arguments, self._progress(job), request)
        write_atomically(result_file, json.dumps(result).encode())
        return result

    async def _promote(
        self,
        job: Job,
        base: Base,
        spec: JobSpec,
        report: Report,
        gguf: Path,
        training: dict[str, Any],
        engine: Engine,
    ) -> None:
        """From candidate to active version. The order makes every interruption harmless: files
        first, then the store in one transaction, then the engine. Once the store knows, a cancel
        comes too late: what serves must be what the store says."""
        write_report(self._paths.job(job.id) / "report.json", report)
        number = await self._database.run(lambda store: store.jobs.allocate_version(job.id))
        version = await asyncio.to_thread(
            build_version, self._paths, number, base, spec, report, gguf, training
        )

        async def take_over() -> None:
            done = await self._database.run(lambda store: _promote(store, version, spec, report))
            await self._judging.keep(engine)
            self._unlearned.drop(report.forgotten)
            await self._serving.adopt(servable(self._paths, base, version), engine)
            _tidy(self._paths.job(done.id))
            await self._announce(done)

        await _whole(asyncio.create_task(take_over()))

    async def _reject(self, job: Job, folder: Path, report: Report) -> None:
        write_report(folder / "report.json", report)
        done = await self._database.run(
            lambda store: store.reject(job.id, report.as_dict(), judgements(report))
        )
        _tidy(self._paths.job(done.id))
        await self._announce(done)

    async def _fail(self, job: Job, error: ShammahError) -> None:
        done = await self._database.run(
            lambda store: store.jobs.update(
                job.id, state=JobState.FAILED, error=error.message, hint=error.hint
            )
        )
        _tidy(self._paths.job(done.id))
        await self._announce(done)

    async def _enter(self, job: Job, state: JobState) -> None:
        changed = await self._database.run(lambda store: store.jobs.update(job.id, state=state))
        await self._announce(changed)

    def _progress(self, job: Job) -> Callable[[dict[str, Any]], Awaitable[None]]:
        last = 0.0

        async def record(fields: dict[str, Any]) -> None:
            nonlocal last
            now = asyncio.get_running_loop().time()
            if now - last < PROGRESS_SECONDS and fields["fraction"] < 1:
                return
            last = now
            await self._database.run(lambda store: store.jobs.update(job.id, progress=fields))
            await self._hub.publish(job.id, "progress", fields)

        return record

    async def _announce(self, job: Job) -> None:
        log.info("job", job=job.id, state=job.state, version=job.version, error=job.error)
        await self._hub.publish(
            job.id,
            "state",
            {
                "state": job.state,
                "summary": summary_of(job),
                "version": job.version,
                "error": job.error,
                "hint": job.hint,
            },
        )

    def _teaches(self, job: Job, ready: Sequence[Example]) -> bool:
        """Whether an unfinished job teaches what is ready: it has not chosen yet, or chose that."""
        file = self._paths.job(job.id) / "job.json"
        if not file.exists():
            return True
        chosen = {example["content_hash"] for example in JobSpec.load(file).examples}
        return {example.content_hash for example in ready} == chosen


def _tidy(folder: Path) -> None:
    """Remove a finished job's large files."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.name not in KEPT:
                with contextlib.suppress(OSError):
                    remove(path)


def summary_of(job: Job) -> str:
    """One sentence on how a job ended, or an empty one."""
    report = job.report or {}
    match job.state:
        case JobState.PROMOTED:
            unlearned = "".join(f"; {Proof(**proof)}" for proof in report.get("forgotten", []))
            return f"{report['summary']}{unlearned}. Version {job.version} answers now."
        case JobState.REJECTED:
            failed = "; ".join(c["detail"] for c in report["checks"] if not c["passed"])
            return f"The lesson was rejected, the active version stays: {failed}."
        case JobState.FAILED:
            return f"The lesson failed: {job.error}."
        case JobState.CANCELLED:
            return "The lesson was cancelled."
        case _:
            return ""


def naming_sample(report: Report, spec: JobSpec) -> Report:
    """The report, saying so where only a sample of the earlier examples was asked."""
    earlier = [example["judged"] for example in spec.examples if not example["new"]]
    if all(earlier):
        return report
    said = f"{sum(earlier)} of {len(earlier)} earlier examples were asked, a sample"
    return replace(report, warnings=[*report.warnings, said])


def judgements(report: Report) -> list[Judgement]:
    """The verdicts of a report, as they are stored per example."""
    stored = []
    for item in report.as_dict()["verdicts"]:
        example_id, verdict = item.pop("example_id"), item.pop("verdict")
        stored.append(Judgement(example_id, Verdict(verdict), item))
    return stored


def _situation(store: Store) -> tuple[Active, list[Example], list[Job]]:
    """Active version, ready examples, unfinished jobs."""
    active = store.pointer.active()
    if active is None:
        raise Conflict("no model is set up", hint="add one with 'shammah model add PATH.gguf'")
    return active, store.examples.ready(), store.jobs.unfinished()


def _on_active_base(store: Store, job: Job) -> Job:
    """A lesson that was queued before another base came into use teaches that one."""
    active = store.pointer.active()
    if job.mode is Mode.MOVE or active is None or active.base == job.base:
        return job
    return store.jobs.update(job.id, base=active.base)


def _create(store: Store, active: Active, mode: Mode) -> Job:
    start = start_of(store, mode, active)
    return store.jobs.create(active.base, mode if start else Mode.CONSOLIDATE)


def _promote(store: Store, version: Version, spec: JobSpec, report: Report) -> Job:
    """Record the version; what its first adapter knew already, it was taught too."""
    before = store.versions.taught(spec.start_version)
    own = {example["id"]: example["content_hash"] for example in spec.examples}
    trained = {example["id"] for example in spec.examples if example["trained"]}
    taught = before | own
    return store.promote(version, taught, judgements(report), inherited=taught.keys() - trained)


async def _whole(task: asyncio.Task[None]) -> None:
    """Wait for `task`, which goes on to its end also where the waiting is cancelled."""
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


def _cancel(store: Store, job_id: int) -> Job:
    store.jobs.require_unfinished(job_id)
    return store.jobs.update(job_id, state=JobState.CANCELLED)
