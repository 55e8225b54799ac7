"""One job through its stages: prepared, trained, merged, quantized, judged, promoted or rejected
(DESIGN §8).

Every stage leaves its result as a file in the job's folder, and a stage whose result is there is
not run again: so a job goes on after any interruption where it was. Knows no other job.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import structlog

from shammah.config import Config
from shammah.engine.handle import Engine
from shammah.errors import JobError
from shammah.files import write_atomically
from shammah.gate.evidence import Origin
from shammah.gate.judge import Report, conclude
from shammah.options import resolved
from shammah.paths import Paths
from shammah.publish import ADAPTER_FOLDER
from shammah.records import Base, Job, JobState, Mode
from shammah.store.database import Store
from shammah.training.spec import JobSpec
from shammah.training.validation import at_step
from shammah_daemon import artefacts, moving
from shammah_daemon.anticipation import training
from shammah_daemon.bases import Bases
from shammah_daemon.choice import situation_of
from shammah_daemon.database import Database
from shammah_daemon.joblog import JobLog
from shammah_daemon.judging import Forgotten, Judging, read_report, write_report
from shammah_daemon.ladder import Rung, folder_of, next_rung, rungs
from shammah_daemon.lesson import Lesson, build
from shammah_daemon.outcome import (
    judgements,
    naming_left_out,
    naming_sample,
    naming_too_long,
    promote,
)
from shammah_daemon.promotion import build_version
from shammah_daemon.remedies import adjustments
from shammah_daemon.servable import servable
from shammah_daemon.serving import Serving, warm_up
from shammah_daemon.stages import Stages
from shammah_daemon.uninterrupted import uninterrupted
from shammah_daemon.unlearned import Unlearned

log = structlog.get_logger()

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Trained:
    """A job after training: what its candidates are made of and judged by."""

    job: Job
    base: Base
    spec: JobSpec
    training: dict[str, Any]  # the stage's result
    forgotten: Forgotten


class Pipeline:
    """Brings a job from where it is to promoted or rejected."""

    def __init__(
        self,
        paths: Paths,
        config: Config,
        database: Database,
        serving: Serving,
        bases: Bases,
        stages: Stages,
        judging: Judging,
        unlearned: Unlearned,
        joblog: JobLog,
        moving_pointer: asyncio.Lock,
    ) -> None:
        self._paths = paths
        self._config = config
        self._database = database
        self._serving = serving
        self._bases = bases
        self._stages = stages
        self._judging = judging
        self._unlearned = unlearned
        self._joblog = joblog
        self._moving_pointer = moving_pointer  # held until the engine has followed

    async def run(self, job: Job) -> None:
        """All stages from what is on disk."""
        folder = self._paths.job(job.id)
        if not (folder / "job.json").exists():
            job = await self._database.run(lambda store: _on_active_base(store, job))
        base = self._bases.get(job.base)
        await artefacts.check(Path(base.gguf), base.sha256)
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
        await self._reject(job, folder, self._whole(failed, trained))

    async def _forgotten(self, job: Job, base: Base) -> Forgotten:
        """What the new version must no longer know. On the way to another base there is nothing:
        that base was taught nothing, and the engine that serves reads other tokens."""
        return Forgotten([], []) if job.mode is Mode.MOVE else await self._judging.forgotten(base)

    async def _train(self, job: Job, base: Base, spec: JobSpec, folder: Path) -> dict[str, Any]:
        """The training stage. The look back comes first: while the stage's child still imports
        torch on one core, the serving engine has the others."""
        await self._joblog.enter(job, JobState.TRAINING)
        await self._check_start(spec)
        config = resolved(self._config.training, job.preset, job.options)
        stage = training(self._bases.ground(base.name).folder, config)
        request = {
            "job_dir": str(folder),
            "adapter": self._start(spec),
            "adjustments": asdict(adjustments(job.tried)),
        }
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
            await self._joblog.enter(job, JobState.MERGING)
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
        await self._joblog.enter(job, JobState.QUANTIZING)
        quantized = await self._stage(
            job, own / f"quantize-{rung.quantization}.json",
            "shammah.publish", "quantize", str(own), rung.quantization,
            "--against", base.gguf, str(folder),
        )  # fmt: skip
        await self._joblog.enter(job, JobState.JUDGING)
        gguf, reference = Path(quantized["path"]), self._bases.ground(base.name).reference
        origin = Origin(quantized.get("kept", {}), _held_out_nll(trained.training))
        async with self._judging.candidate(gguf, quantized["sha256"]) as engine:
            report = await self._judging.judge(
                engine, folder, reference, rung, origin, trained.forgotten,
                self._joblog.progress(job),
            )  # fmt: skip
            await _write(write_report, judged, report)
            log.info("judged", job=job.id, rung=asdict(rung), failed=report.failed)
            if report.passed:
                whole = self._whole([*failed, report], trained)
                await self._promote(trained, whole, gguf, engine)
        return report

    def _whole(self, reports: Sequence[Report], trained: _Trained) -> Report:
        """The job's report, with what the user should know of how it came about."""
        report = naming_too_long(conclude(reports), trained.spec.too_long)
        report = naming_left_out(report, trained.training["left_out"])
        return naming_sample(report, trained.spec)

    async def _prepare(self, job: Job, base: Base, folder: Path) -> JobSpec:
        """The lesson's files; made once, so that later feedback does not change a running job."""
        await self._joblog.enter(job, JobState.PREPARING)
        if (folder / "job.json").exists():
            return JobSpec.load(folder / "job.json")
        await self._bases.groundwork(base)
        if job.mode is Mode.MOVE:
            lesson = await self._prepare_move(job, base, folder)
        else:
            lesson = await self._prepare_lesson(job)
        recipe = asdict(lesson.spec.recipe)
        await self._database.run(lambda store: store.jobs.update(job.id, recipe=recipe))
        await _write(lesson.save, folder)
        return lesson.spec

    async def _prepare_move(self, job: Job, base: Base, folder: Path) -> Lesson:
        async with self._judging.candidate(Path(base.gguf), base.sha256) as engine:
            lesson, former = await moving.prepare(
                job, base, self._config, self._database, self._serving, engine
            )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        await _write(former.save, folder)
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

    async def _check_start(self, spec: JobSpec) -> None:
        """Raises DamagedFile where the adapter that training goes on from has changed."""
        if spec.start_version:
            version = await self._database.run(lambda store: store.versions.get(spec.start_version))
            folder = self._paths.version(version.number)
            for name, sha256 in version.manifest["files"].items():
                if name.startswith(f"{ADAPTER_FOLDER}/"):
                    await artefacts.check(folder / name, sha256)

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
        result = await self._stages.run(arguments, self._joblog.progress(job), request)
        await _write(write_atomically, result_file, json.dumps(result).encode())
        return result

    async def _promote(
        self, trained: _Trained, report: Report, gguf: Path, engine: Engine
    ) -> None:  # fmt: skip
        """From candidate to active version. The order makes every interruption harmless: files
        first, then the store in one transaction, then the engine. Once the store knows, a cancel
        comes too late: what serves must be what the store says."""
        job, base, spec = trained.job, trained.base, trained.spec
        await _write(write_report, self._paths.job(job.id) / "report.json", report)
        number = await self._database.run(lambda store: store.jobs.allocate_version(job.id))
        version = await _write(
            build_version, self._paths, number, base, spec, report, gguf, trained.training
        )
        next_servable = servable(self._paths, base, version)
        await engine.forget()  # every token of a chat would be compared with its trial's prompts
        await warm_up(engine, next_servable.template)

        async def take_over() -> None:
            async with self._moving_pointer:
                done = await self._database.run(lambda store: promote(store, version, spec, report))
                self._judging.keep(engine)
                self._unlearned.drop(report.forgotten)
                await self._serving.adopt(next_servable, engine)
            await self._joblog.ended(done)

        await uninterrupted(take_over())

    async def _reject(self, job: Job, folder: Path, report: Report) -> None:
        await _write(write_report, folder / "report.json", report)
        done = await self._database.run(
            lambda store: store.reject(job.id, report.as_dict(), judgements(report))
        )
        await uninterrupted(self._joblog.ended(done))


def _held_out_nll(training: Mapping[str, Any]) -> float | None:
    """What the training stage measured at the step that it saved."""
    return at_step(training["held_out_nll"], training["saved_step"], training["steps"])


def _on_active_base(store: Store, job: Job) -> Job:
    """A lesson that was queued before another base came into use teaches that one."""
    active = store.pointer.active()
    if job.mode is Mode.MOVE or active is None or active.base == job.base:
        return job
    return store.jobs.update(job.id, base=active.base)


async def _write(write: Callable[..., Result], *given: Any) -> Result:
    """In a thread; a job that is cancelled waits for it, so that nothing is written afterwards."""
    writing = asyncio.create_task(asyncio.to_thread(write, *given))
    try:
        return await asyncio.shield(writing)
    finally:
        await asyncio.wait([writing])
