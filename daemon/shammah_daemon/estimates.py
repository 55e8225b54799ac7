"""What a lesson will take, told before it, and what it took, recorded after it.

Knows the store and the machine; the arithmetic is `schedule.estimate`'s.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from shammah.config import Config
from shammah.errors import ShammahError
from shammah.options import Manner, TrainingConfig, resolved
from shammah.paths import Paths
from shammah.protocol import EstimateView, PlanLine, PlanView
from shammah.records import WORKING_STATES, Job, JobEvent, JobState, Mode
from shammah.store.database import Store
from shammah.training.planning import Plan
from shammah_daemon.database import Database
from shammah_daemon.disk import size_of
from shammah_daemon.learning import waiting_count
from shammah_daemon.schedule.conditions import Conditions
from shammah_daemon.schedule.estimate import Estimate, energy, estimate, pace_of, tokens_of
from shammah_daemon.schedule.forecast import Forecast, Room, shortage

log = structlog.get_logger()

#: Among so many of the newest jobs one is sought whose pace counts.
PACE_JOBS = 50


class Estimates:
    """Estimates lessons, and measures them when they end."""

    def __init__(
        self, paths: Paths, config: Config, database: Database, conditions: Conditions
    ) -> None:
        self._paths = paths
        self._config = config
        self._database = database
        self._conditions = conditions

    async def plan(self, base: str, mode: Mode, manner: Manner) -> PlanView:
        """How a lesson on `base` would compute here, why, and what it would take.

        Raises:
            NotFound: there is no such base.
            UsageError: the manner has no such option, or not a value of it.
        """
        training = resolved(self._config.training, manner.preset, manner.options)
        found, room, wanted = await asyncio.to_thread(self._look, base, training)
        estimated = await self.estimate(base, mode, training)
        return PlanView(
            base=base,
            device=found.setting.device,
            precision=found.setting.precision,
            four_bit=found.setting.four_bit,
            max_tokens=found.max_tokens,
            passes=found.passes,
            recompute=found.setting.recompute,
            predicted_bytes=found.predicted_bytes,
            lines=[PlanLine(**asdict(line)) for line in found.lines],
            shortage=shortage(wanted, room),
            estimate=EstimateView(**asdict(estimated)) if estimated else None,
        )

    def _look(self, base: str, training: TrainingConfig) -> tuple[Plan, Room, Forecast]:
        conditions = self._conditions
        return conditions.plan(base, training), conditions.room, conditions.forecast(base)

    async def estimate(self, base: str, mode: Mode, training: TrainingConfig) -> Estimate | None:
        """None where there is nothing to teach.

        Raises:
            NotFound: there is no such base.
        """
        (examples, characters), new, jobs = await self._database.run(_situation)
        if not examples:
            return None
        conditions = self._conditions
        learning = self._config.learning
        found, _, wanted = await asyncio.to_thread(self._look, base, training)
        paces = (pace_of(job.id, job.took) for job in jobs if job.base == base)
        return estimate(
            shape=await asyncio.to_thread(conditions.shape, base),
            plan=found,
            disk_bytes=wanted.disk_bytes,
            tokens=tokens_of(examples, characters, new, mode, learning, training),
            examples=examples,
            pace=next((pace for pace in paces if pace), None),
            machine=self._config.machine,
        )

    async def announce(self, job: Job) -> Job:
        """Record what the queued job is estimated to take. No job fails for want of it."""
        try:
            training = resolved(self._config.training, job.preset, job.options)
            if found := await self.estimate(job.base, job.mode, training):
                written = asdict(found)
                return await self._database.run(
                    lambda store: store.jobs.update(job.id, estimate=written)
                )
        except ShammahError as error:
            log.warning("a job is not estimated", job=job.id, problem=error.message)
        return job

    async def account(self, job: Job) -> Job:
        """Record what the job, which has ended, took; nothing for one that never began."""
        if job.started_at is None:
            return job
        try:
            events = await self._database.run(lambda store: store.events.after(0, job.id))
            took = asdict(await asyncio.to_thread(self._took, job, events))
            return await self._database.run(lambda store: store.jobs.update(job.id, took=took))
        except ShammahError as error:
            log.warning("what a job took is not recorded", job=job.id, problem=error.message)
            return job

    def _took(self, job: Job, events: Sequence[JobEvent]) -> Estimate:
        stages = seconds_by_state(events, job.finished_at)
        seconds = sum(stages.get(state, 0.0) for state in WORKING_STATES)
        folder = self._paths.job(job.id)
        places = [folder, *([self._paths.version(job.version)] if job.version else [])]
        trained = _result(folder / "train.json")
        kwh, cost = energy(seconds, self._config.machine)
        return Estimate(
            seconds=seconds,
            training_seconds=stages.get(JobState.TRAINING, 0.0),
            memory_bytes=trained.get("peak_bytes", 0),
            disk_bytes=size_of(places, set()),
            tokens=trained.get("tokens", 0),
            basis="measured",
            kwh=kwh,
            cost=cost,
        )


def seconds_by_state(events: Sequence[JobEvent], end: str | None) -> dict[JobState, float]:
    """How long a job was in each state, all times together; in the last one until the end."""
    entered = [
        (JobState(event.data["state"]), datetime.fromisoformat(event.at))
        for event in events
        if event.kind == "state"
    ]
    left = [at for _, at in entered[1:]]
    if end:
        left.append(datetime.fromisoformat(end))
    spent: dict[JobState, float] = {}
    for (state, since), until in zip(entered, left, strict=False):
        spent[state] = spent.get(state, 0.0) + max((until - since).total_seconds(), 0.0)
    return spent


def _situation(store: Store) -> tuple[tuple[int, int], int, list[Job]]:
    """Ready examples and their characters, how many of them wait, and the newest jobs."""
    return store.examples.amount(), waiting_count(store), store.jobs.list(PACE_JOBS)


def _result(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found
