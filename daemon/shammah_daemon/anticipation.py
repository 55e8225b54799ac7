"""What a lesson needs that can be done before it starts: its examples scored, its base loaded.

Only ever saves time. What is not there when the lesson starts is done then. Writes no file.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Coroutine
from pathlib import Path
from statistics import median

import psutil
import structlog

from shammah.errors import ShammahError
from shammah.gate.measure import Case, measure_targets
from shammah.options import TrainingConfig
from shammah.records import Active, Example, ExampleStatus
from shammah_daemon.bases import Bases
from shammah_daemon.lesson import cases_of
from shammah_daemon.serving import Serving
from shammah_daemon.stages import Stages

log = structlog.get_logger()

#: Free memory that loading ahead must leave, in sizes of the base's training weights.
FREE_WEIGHTS = 6


class Anticipation:
    """Works in the background while corrections come in."""

    def __init__(self, bases: Bases, serving: Serving, stages: Stages, launch: str = "") -> None:
        """Args: launch: `training.launch`. Several processes are not started ahead: what they will
        take of this machine, and whether the other machines are ready, is not known."""
        self._bases = bases
        self._serving = serving
        self._stages = stages
        self._launch = launch
        self._scored_on: Active | None = None
        self._scores: dict[bytes, float] = {}  # by `_key`
        self._tasks: set[asyncio.Task[None]] = set()

    def corrected(self, example: Example, missing: int) -> None:
        """An example came in, `missing` before the next lesson starts by itself."""
        if example.status is ExampleStatus.READY:
            self._begin(self._score(example))
        if missing == 1:
            self._begin(self._load_base())

    def nll(self, active: Active, case: Case) -> float | None:
        """The target's NLL as `measure_targets` found it under `active`: the median, in nats."""
        return self._scores.get(_key(case)) if self._scored_on == active else None

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stages.close()

    async def _score(self, example: Example) -> None:
        """Not while an answer is generated: every token of it would wait for a scored batch."""
        if self._serving.status().active_requests:
            return
        async with self._serving.borrow(bare=True) as lease:
            cases = await cases_of([example], lease.engine, lease.template)
            [scored] = await measure_targets(lease.engine, cases)
            if self._scored_on != lease.active:
                self._scored_on, self._scores = lease.active, {}
            self._scores[_key(cases[0])] = median(scored)

    async def _load_base(self) -> None:
        """Start the child that will train, up to where it waits for its job."""
        servable = self._serving.servable
        if servable is None or self._launch:
            return
        ground = self._bases.ground(servable.active.base)
        if not ground.is_ready:
            return
        size = sum(path.stat().st_size for path in ground.train.glob("*.safetensors"))
        if psutil.virtual_memory().available > FREE_WEIGHTS * size:
            await self._stages.start_ahead(training(ground.folder))

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def training(ground: Path, config: TrainingConfig | None = None) -> list[str]:
    """The stage that trains on the base in `ground`; its job is what it is asked.

    Args:
        config: says whether several processes train; None: one does.
    """
    words = ["shammah.training", "train", str(ground)]
    if config is not None and config.launch:
        words += ["--launch", config.launch]
        words += ["--fsdp"] if config.fsdp else []
    return words


async def _quietly(work: Coroutine[None, None, None]) -> None:
    try:
        await work
    except ShammahError as error:
        log.info("a lesson is not prepared ahead", problem=error.message)


def _key(case: Case) -> bytes:
    """Of what is scored. A hash: what is forgotten must not stay in memory."""
    return hashlib.sha256(json.dumps([case.target, case.held_out]).encode()).digest()
